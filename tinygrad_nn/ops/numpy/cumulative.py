"""Running totals and differences along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...engine.arrays import raw
from ...tensor.creation import as_tensor
from ...tensor.declaring import composite, primitive, sample
from ...tensor.handle import Tensor
from ..axes import all_axes, input_axis, one_axis
from ..broadcasting import broadcast_to
from ..joining import concatenate
from ..reduction import promoted, sum
from ..shaping import flat_or


def _part(x: Tensor, axis: int, start: int | None = None, stop: int | None = None, step: int | None = None) -> Tensor:
    """Return a slice along one axis."""
    return x[(*[slice(None)] * axis, slice(start, stop, step))]


@primitive(name="running_total", linear=True, method=False, axis=input_axis)
def _running_total(x: Any, /, axis: int = 0) -> Any:
    """Return the running sums of the entries along an axis; float16 is added up in float32."""
    wide = np.float32 if x.dtype == np.float16 else x.dtype
    return np.add.accumulate(x, axis=axis, dtype=wide).astype(x.dtype, copy=False)


_running_total.vjp(lambda g, axis: np.flip(_running_total.kernel(np.flip(g, axis), axis=axis), axis))


@composite(numpy=[np.cumsum, np.add.accumulate])
def cumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Return the running sums of the entries along an axis, by default of all, flattened. Shapes: (...) -> (...)."""
    return _running_total(*flat_or(as_tensor(x, dtype or promoted(x.dtype)), axis))


def _scan(function: Any, x: Tensor, axis: int) -> Tensor:
    """Return the running results of an associative function, by doubling: log2(n) operations on the whole."""
    step, n = 1, x.shape[axis]
    while step < n:
        joined = function(_part(x, axis, step), _part(x, axis, None, n - step))
        x = concatenate([_part(x, axis, None, step), joined], axis)
        step *= 2
    return x


@composite(numpy=[np.cumprod, np.multiply.accumulate])
def cumprod(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Return the running products of the entries along an axis; derivatives are right with any number of zeros."""
    return _scan(np.multiply, *flat_or(as_tensor(x, dtype or promoted(x.dtype)), axis)) * True


def _with_start(y: Tensor, axis: int, start: float) -> Tensor:
    first = np.full(tuple(1 if i == axis else n for i, n in enumerate(y.shape)), start, y.dtype)
    return concatenate([first, y], axis)


def _single(x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    if axis is None and x.ndim > 1:
        raise ValueError(f"name the axis: a tensor of shape {x.shape} has {x.ndim}")
    return flat_or(x, axis)


@composite(numpy=[np.cumulative_sum] if hasattr(np, "cumulative_sum") else [], method=False)
def cumulative_sum(x: Tensor, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """Return the running sums of the entries along an axis, after a 0 if `include_initial`."""
    x, axis = _single(x, axis)
    y = cumsum(x, axis, dtype)
    return _with_start(y, axis, 0) if include_initial else y


@composite(numpy=[np.cumulative_prod] if hasattr(np, "cumulative_prod") else [], method=False)
def cumulative_prod(x: Tensor, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Tensor:
    """Return the running products of the entries along an axis, after a 1 if `include_initial`."""
    x, axis = _single(x, axis)
    y = cumprod(x, axis, dtype)
    return _with_start(y, axis, 1) if include_initial else y


def _runs(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where entries of x attain the running extreme y along the last axis, how many have so far, and the index
    after the last one at which y stays the same.
    """
    n = x.shape[-1]
    attained, order = (x == y) | np.isnan(x), np.arange(n)
    same = (y[..., 1:] == y[..., :-1]) | (np.isnan(y[..., 1:]) & np.isnan(y[..., :-1]))
    edge = np.zeros((*x.shape[:-1], 1), bool)
    # A run is a stretch in which y stays the same: each entry's run begins at `first`, and ends before `behind`.
    first = np.maximum.accumulate(np.where(np.concatenate([edge, same], -1), 0, order), axis=-1)
    last = np.where(np.concatenate([same, edge], -1), n, order)
    behind = np.flip(np.minimum.accumulate(np.flip(last, -1), axis=-1), -1) + 1
    counted = np.concatenate([np.zeros((*x.shape[:-1], 1), int), np.cumsum(attained, axis=-1)], -1)
    so_far = counted[..., 1:] - np.take_along_axis(counted, first, -1)
    return attained, np.maximum(so_far, 1), behind


def _to_attained(g: Any, x: Any, y: Any, axis: int) -> Any:
    """Return each entry's cotangent: where k entries attain the extreme so far, each gets 1/k of it."""
    attained, shares, behind = _runs(*[np.moveaxis(raw(a), axis, -1) for a in (x, y)])
    g = np.moveaxis(g, axis, -1)
    later = np.flip(np.cumsum(np.flip(g / shares.astype(g.dtype), -1), -1), -1)
    padded = np.concatenate([later, np.zeros((*g.shape[:-1], 1), g.dtype)], -1)
    others = np.indices(behind.shape)[:-1] if behind.ndim > 1 else ()
    return np.moveaxis(np.where(attained, later - padded[(*others, behind)], 0), -1, axis)


@primitive(name="running_largest", method=False, axis=input_axis)
def _running_largest(x: Any, /, axis: int = 0) -> Any:
    """Return the largest entries so far along an axis."""
    return np.maximum.accumulate(x, axis=axis)


@primitive(name="running_smallest", method=False, axis=input_axis)
def _running_smallest(x: Any, /, axis: int = 0) -> Any:
    """Return the smallest entries so far along an axis."""
    return np.minimum.accumulate(x, axis=axis)


_running_largest.vjp(_to_attained)
_running_smallest.vjp(_to_attained)


@composite(numpy=[np.maximum.accumulate])
def cummax(x: Tensor, axis: int | None = None) -> Tensor:
    """Return the largest entries so far along an axis; where k are tied so far, each gets 1/k of the gradient.

    >>> import tinygrad_nn as tg
    >>> tg.cummax([1.0, 3.0, 2.0])
    tg.tensor([1., 3., 3.], dtype='float64')
    """
    return _running_largest(*flat_or(x, axis))


@composite(numpy=[np.minimum.accumulate])
def cummin(x: Tensor, axis: int | None = None) -> Tensor:
    """Return the smallest entries so far along an axis; where k are tied so far, each gets 1/k of the gradient.

    >>> import tinygrad_nn as tg
    >>> tg.cummin([2.0, 3.0, 1.0])
    tg.tensor([2., 2., 1.], dtype='float64')
    """
    return _running_smallest(*flat_or(x, axis))


@composite(numpy=[np.diff], method=False)
def diff(x: Tensor, n: int = 1, axis: int = -1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor:
    """Return the differences of neighbouring entries along an axis, taken n times."""
    axis = one_axis(axis, x.ndim)
    if n < 0:
        raise ValueError(f"diff takes the differences n times, at least 0, not {n}")
    if n == 0:
        return x * True
    edges = [(append, True)] if prepend is None else [(prepend, False), (append, True)]
    for edge, at_end in edges:
        if edge is not None:
            if edge.ndim == 0:
                edge = broadcast_to(edge, tuple(1 if i == axis else k for i, k in enumerate(x.shape)))
            x = concatenate([x, edge] if at_end else [edge, x], axis)
    difference: Any = np.not_equal if x.dtype == bool else np.subtract
    for _ in range(n):
        x = difference(_part(x, axis, 1), _part(x, axis, None, -1))
    return x


@composite(numpy=[np.ediff1d], method=False)
def ediff1d(x: Tensor, to_end: Tensor | None = None, to_begin: Tensor | None = None) -> Tensor:
    """Return the differences of neighbouring entries of the flattened tensor, after `to_begin` and before `to_end`."""
    parts = [to_begin, diff(x.reshape(-1)), to_end]
    return concatenate([part.reshape(-1) for part in parts if part is not None])


def _slopes(y: Tensor, h: Any, axis: int, edge_order: int) -> Tensor:
    """Return second-order differences along an axis, at points with spacing `h`: one number, or n - 1 numbers."""
    n = y.shape[axis]
    if n < edge_order + 1:
        raise ValueError(f"gradient needs {edge_order + 1} entries along an axis, got {n}; leave it out of axis=")
    ones = (slice(None),) + (None,) * (y.ndim - axis - 1)
    steps = h * np.ones(n - 1, y.dtype)
    left, right = steps[:-1][ones], steps[1:][ones]
    rises = _part(y, axis, 1) - _part(y, axis, None, -1)
    slopes = rises / steps[ones]
    inner = (_part(slopes, axis, None, -1) * right + _part(slopes, axis, 1) * left) / (left + right)
    first, last = _part(slopes, axis, None, 1), _part(slopes, axis, -1)
    if edge_order == 2:
        first = first - (_part(slopes, axis, 1, 2) - first) * (steps[0] / (steps[0] + steps[1]))
        last = last + (last - _part(slopes, axis, -2, -1)) * (steps[-1] / (steps[-1] + steps[-2]))
    return concatenate([first, inner, last], axis)


@composite(numpy=[np.gradient], method=False)
def gradient(f: Tensor, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Return the slopes of sampled values by second-order differences, a Tensor for each axis. Shapes: (...) -> (...).

    `varargs` are the spacings, one for all axes or one for each: a number, or the coordinates along the axis.
    """
    if f.ndim == 0:
        raise ValueError("one number has no slope: gradient needs at least one axis")
    f, chosen = f.astype(float) if f.dtype.kind in "biu" else f, all_axes(axis, f.ndim)
    if len(varargs) not in (0, 1, len(chosen)):
        raise ValueError(f"give no spacing, one, or one for each of the {len(chosen)} axes; got {len(varargs)}")
    if edge_order not in (1, 2):
        raise ValueError(f"edge_order must be 1 or 2, not {edge_order}")
    spacings = list(varargs) * (len(chosen) if len(varargs) == 1 else 1) or [1.0] * len(chosen)
    found = []
    for a, h in zip(chosen, spacings, strict=True):
        if np.ndim(h) and np.shape(h) != (f.shape[a],):
            raise ValueError(f"coordinates along axis {a} need shape ({f.shape[a]},), got {np.shape(h)}")
        found.append(_slopes(f, diff(h) if np.ndim(h) else h, a, edge_order))
    return found[0] if len(found) == 1 else tuple(found)


@composite(numpy=[np.unwrap], method=False)
def unwrap(x: Tensor, discont: float | None = None, axis: int = -1, *, period: float = 2 * np.pi) -> Tensor:
    """Return angles with jumps by a period removed along an axis; the derivative is 1."""
    return x + (np.unwrap(x.data, discont, axis, period=period) - x.data)


@composite(numpy=[np.trapezoid], method=False)
def trapezoid(y: Tensor, x: Tensor | None = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """Return the integral of sampled values along an axis, at the coordinates `x`, or `dx` apart.

    Shapes: (..., n, ...) -> (..., ...).
    """
    axis = one_axis(axis, y.ndim)
    steps: Any = dx
    if x is not None:
        steps = diff(x)[(slice(None),) + (None,) * (y.ndim - axis - 1)] if x.ndim == 1 else diff(x, axis=axis)
    return sum(steps * (_part(y, axis, 1) + _part(y, axis, None, -1)) / 2, axis=axis)


# Samples for tests: a tuple stands for random values of that shape.

_running_total.samples = [sample((3,)), sample((2, 3), axis=-1), sample((0, 3), axis=1), sample((2, 3), axis=0)]
_SAMPLES = [sample((2, 3)), sample((2, 3), axis=-1), sample((3, 2), axis=0), sample(()), sample((0, 3), axis=1)]
cumsum.samples = [*_SAMPLES, sample((2,), dtype="float32")]
cumprod.samples = [*_SAMPLES, sample(np.array([3.0, 0.0, 2.0, 0.0, 5.0])), sample((2,), dtype="float32")]
cumulative_sum.samples = cumulative_prod.samples = [
    *_SAMPLES[1:3], sample((3,)), sample(()), sample((0, 3), axis=1, include_initial=True),
    sample((3,), include_initial=True),
]  # fmt: skip
_TIED = sample(np.array([[1.0, 1.0, 0.0, 1.0, 2.0, 2.0], [3.0, 1.0, 3.0, 3.0, -1.0, 3.0]]), axis=1)
_running_largest.samples = [sample((4,)), sample((0, 3), axis=-1), _TIED]
_running_smallest.samples = [sample((4,)), sample((0, 3), axis=-1)]
cummax.samples = [*_SAMPLES, _TIED]
cummin.samples = _SAMPLES
diff.samples = [sample((4,)), sample((2, 4), n=2), sample((3, 2), axis=0), sample((2, 0)), sample((2, 3), n=0, axis=-2)]
ediff1d.samples = [sample((4,)), sample((2, 2)), sample(()), sample((0,))]
gradient.samples = [
    sample((4,)), sample((3, 4), axis=-1), sample((3, 4)), sample((5,), edge_order=2), sample((0, 3), axis=1),
]  # fmt: skip
unwrap.samples = [
    sample(np.array([0.5, 3.0, -3.0, -0.5])), sample((2, 3), axis=-2), sample(np.array([0.0, 2.0, 5.0]), period=4),
    sample((2, 0)),
]  # fmt: skip
trapezoid.samples = [
    sample((4,)), sample((3, 4), axis=-2), sample((2, 3), dx=0.5), sample((4,), np.array([0.0, 1.0, 3.0, 4.5])),
    sample((0, 3)), sample((2, 3), (2, 3)), sample((2, 3), (3,)),
]  # fmt: skip
