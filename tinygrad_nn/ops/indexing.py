"""Reading and assigning by any NumPy index, and the sum that puts the gradient of what was read into the whole."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from .. import errors
from ..engine.arrays import ArrayProxy, copied, raw, zeros
from ..tensor.creation import as_tensor
from ..tensor.declaring import composite, primitive, sample
from ..tensor.handle import Tensor
from .sample_arrays import MASK


def plain(index: Any, inputs: Any = None) -> Any:
    """Return the index with all array-likes as arrays that belong to the recorded node alone."""
    if isinstance(index, tuple) and inputs is not None:
        return tuple(plain(part) for part in index)
    if index is None or index is Ellipsis or isinstance(index, (int, np.integer, slice)):
        return index
    if isinstance(index, ArrayProxy) and not hasattr(index, "dtype"):
        return operator.index(index)  # type: ignore[arg-type]
    array = copied(index.data if isinstance(index, Tensor) else index)
    counts = array.dtype.kind in "iu" or (array.size == 0 and array.dtype.kind == "f")
    return array.astype(np.intp, copy=False) if counts else array


def _may_repeat(index: Any) -> bool:
    """Return whether the index can name an entry twice: only arrays of integers can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(getattr(part, "ndim", 0) and part.dtype.kind != "b" for part in parts)


@primitive(method=False, masks=True, linear=True, operator="getitem", index=plain)
def getitem(x: Any, /, index: Any) -> Any:
    """Return the entries that a NumPy index names: a new value, not a view."""
    return x[index]


def _is_large(g: Any, index: Any, shape: tuple[int, ...]) -> bool:
    """Return whether `g` has too many entries for `add.at`, which is fast along one axis only."""
    along_one = len(shape) == 1 and not isinstance(index, tuple)
    return not along_one and 8 * np.size(g) >= max(math.prod(shape), 4000)


def _add_at(buffer: Any, g: Any, index: Any) -> None:
    """Add `g` into the buffer at the index, in NumPy's fastest way; repeated entries add up."""
    if not _may_repeat(index):
        buffer[index] += g  # this would lose all but one addition to an entry that is named twice
    elif _is_large(g, index, buffer.shape):
        buffer += _spread(g, index, buffer.shape)
    elif buffer.ndim == 1 and not isinstance(index, tuple):
        np.add.at(buffer, index.ravel(), np.ravel(g))
    else:
        np.add.at(buffer, index, g)


def _spread(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros with `g` added at the index, for a `g` of many entries.

    An assignment is the fastest way, if no entry is named twice.
    """
    seen = np.zeros(shape, bool)
    seen[index] = True
    if np.count_nonzero(seen) == g.size:
        y = zeros(shape, g)
        y[index] = g
        return y
    flat, positions = zeros((seen.size,), g), np.arange(seen.size).reshape(shape)[index]
    np.add.at(flat, positions.ravel(), g.ravel())
    return flat.reshape(shape)


@primitive(method=False, linear=True, index=plain, shape=lambda value, inputs: tuple(value))
def scatter_add(x: Any, /, index: Any, shape: Any) -> Any:
    """Return zeros of `shape` with `x` added at the index; repeated entries add up."""
    repeats = _may_repeat(index)
    if repeats and _is_large(x, index, shape):
        return _spread(x, index, shape)
    y = zeros(shape, x)
    if repeats:
        _add_at(y, x, index)
    else:
        y[index] = x
    return y


scatter_add.vjp(lambda g, index: g[index])
getitem.vjp(lambda g, x_shape, index: scatter_add.kernel(g, index=index, shape=x_shape), into=_add_at)


@composite(numpy=[np.bincount], method=False)
def bincount(x: Any, weights: Tensor | None = None, minlength: int = 0) -> Any:
    """Return how often each integer from 0 on occurs in x, or the sum of the weights where it occurs.

    Shapes: (n,), (n,) -> (max(x) + 1,), or more by `minlength`; weights are summed in float64, as in NumPy, or wider.
    """
    counts = np.bincount(raw(x), minlength=minlength)
    if weights is None:
        return as_tensor(counts)
    weights = weights.astype(np.result_type(weights.dtype, float))
    if weights.shape != np.shape(x):
        raise ValueError(f"bincount takes a weight for each of its {np.size(x)} integers, got shape {weights.shape}")
    return scatter_add(weights, raw(x), counts.shape)


@primitive(method=False, masks=True, linear=True, index=plain)
def set_at(x: Any, value: Any, /, index: Any) -> Any:
    """Return a copy of `x` in which the entries that the index names are `value`, broadcast."""
    y = copied(x)
    y[index] = value
    return y


def _survivors(g: Any, shape: tuple[int, ...], index: Any) -> Any:
    """Return, for each entry that was written, whether no later write covered it."""
    last = np.zeros_like(zeros(shape, g), int)  # of what computes as g does: the index may be traced
    order = np.arange(1, g.size + 1).reshape(g.shape)
    last[index] = order
    return last[index] == order


def _to_value(g: Any, shape: tuple[int, ...], value_shape: tuple[int, ...], index: Any) -> Any:
    """Return the cotangent of the written value, which may have leading axes of length 1."""
    if _may_repeat(index):
        g = np.where(_survivors(g, shape, index), g, 0)
    return g.reshape((1,) * (len(value_shape) - g.ndim) + g.shape)


set_at.vjp(
    lambda g, index: set_at.kernel(g, 0, index=index),
    lambda g, x_shape, value_shape, index: _to_value(g[index], x_shape, value_shape, index),
)


def assign(x: Tensor, index: Any, value: Any) -> None:
    """Rebind the handle to a copy with the value assigned."""
    if type(value) is int and x.dtype.kind in "iuf":
        value = np.asarray(value, x.dtype)
    v = as_tensor(value)
    if not np.can_cast(v.dtype, x.dtype, "same_kind"):
        raise TypeError(errors.of_another("dtype", "assigned value", v, "the tensor", x))
    x._rebind(set_at(x, v, index))


setattr(Tensor, "__setitem__", assign)  # noqa: B010


# Samples for tests: a tuple stands for random values of that shape.

_TWICE = np.array([0, 0, 2])
_INDICES: list[tuple[tuple[int, ...], Any]] = [
    ((3, 4), (slice(None, None, -2), -1)),
    ((2, 3, 4), (_TWICE[:2], slice(1, None), np.array([[0], [3]]))),
    ((3, 4), (None, Ellipsis, _TWICE)),
    ((2, 3), MASK),
    ((), ()),
    ((), None),
    ((0, 3), slice(None)),
    ((3,), _TWICE),
    ((3,), np.array(1)),
    ((3,), np.array([], dtype=int)),
]
getitem.samples = [sample(shape, index=index) for shape, index in _INDICES]
scatter_add.samples = [sample(np.asarray(np.ones(shape)[index]), index=index, shape=shape) for shape, index in _INDICES]
bincount.samples = [sample(np.array([3, 0, 3, 1]), (4,)), sample(_TWICE, (3,), minlength=5)]
set_at.samples = [
    *[sample(shape, np.asarray(np.ones(shape)[index]), index=index) for shape, index in _INDICES],
    sample((3, 4), (4,), index=slice(1, 3)),
]
