"""Entries picked by indices, by conditions and by choices, and where those hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine.arrays import raw
from ..tensor.creation import array_of, as_tensor
from ..tensor.declaring import composite, primitive, sample
from ..tensor.handle import Tensor
from .axes import all_axes
from .broadcasting import broadcast_to
from .joining import ravel, stack
from .sample_arrays import MASK
from .shaping import flat_or, on_axis


def known_index(indices: Any, n: int, mode: str) -> Any:
    """Return the indices as an array; by `mode`, those beyond an axis of length n are wrapped around, or clipped."""
    index = array_of(raw(indices))
    index = index.astype(np.intp, casting="same_kind" if index.size else "unsafe")
    if mode == "raise" or n == 0:
        return index
    if mode not in ("wrap", "clip"):
        raise ValueError(f"mode must be 'raise', 'wrap' or 'clip', not {mode!r}")
    return index % n if mode == "wrap" else np.clip(index, 0, n - 1)


@composite(numpy=[np.take])
def take(x: Tensor, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    """Return the entries, or the slices along an axis, at the given indices, which may repeat.

    An index out of bounds raises with `mode` "raise", is wrapped around with "wrap", and clipped with "clip".
    """
    x, axis = flat_or(x, axis)
    return x[on_axis(axis, known_index(indices, x.shape[axis], mode))]


def flat_indices(shape: tuple[int, ...], indices: Any, axis: int) -> Any:
    """Return the positions, in a flattened tensor of that shape, of the indices along an axis, broadcast."""
    n = shape[axis]
    if indices.ndim != len(shape):
        raise ValueError(f"indices of shape {indices.shape} need as many axes as the tensor of shape {shape}")
    if indices.size and not (-n <= indices.min() and indices.max() < n):
        raise IndexError(f"an index is out of bounds for axis {axis} with size {n}; it must be from {-n} to {n - 1}")
    indices, strides = indices.astype(np.intp, casting="same_kind"), np.cumprod([1, *shape[:0:-1]])[::-1]
    others = np.ix_(*[np.arange(1 if i == axis else length) * strides[i] for i, length in enumerate(shape)])
    flat = np.where(indices < 0, indices + n, indices) * strides[axis]
    for i, offset in enumerate(others):
        if i != axis:
            flat = flat + offset
    return flat


@composite(numpy=[np.take_along_axis], method=False)
def take_along_axis(x: Tensor, indices: Any, axis: int | None = -1) -> Any:
    """Return the entries at indices along an axis, such as those from argsort, or from argmax with keepdims.

    Shapes: (..., n, ...), (..., k, ...) -> (..., k, ...); the other axes broadcast.
    """
    x, axis = flat_or(x, axis)
    return ravel(x)[flat_indices(x.shape, array_of(raw(indices)), axis)]


@primitive(numpy=[np.nonzero], multiple_outputs=True)
def nonzero(x: Any, /) -> Any:
    """Return the indices of the entries that are not zero: one tensor for each axis."""
    return np.nonzero(x)


@primitive(numpy=[np.flatnonzero], method=False)
def flatnonzero(x: Any, /) -> Any:
    """Return the indices of the flattened entries that are not zero."""
    return np.flatnonzero(x)


@primitive(numpy=[np.argwhere], method=False)
def argwhere(x: Any, /) -> Any:
    """Return the indices of the entries that are not zero, a row for each."""
    return np.argwhere(x)


for _constant in (nonzero, flatnonzero, argwhere):
    _constant.vjp(None)


@primitive(name="either", masks=True, linear=True, method=False)
def _either(condition: Any, a: Any, b: Any, /) -> Any:
    """Return a where the condition holds, else b. Shapes broadcast: (...), (...), (...) -> (...)."""
    return np.where(condition, a, b)


_either.vjp(None, lambda g, condition: np.where(condition, g, 0), lambda g, condition: np.where(condition, 0, g))
either = _either  # the public one is `where`, which also takes the condition alone, as in NumPy


@composite(numpy=[np.where], method=False)
def where(condition: Any, *choices: Any) -> Any:
    """Return a where the condition holds, else b; with the condition alone, the indices that nonzero returns.

    Shapes broadcast: (...), (...), (...) -> (...).
    """
    if len(choices) == 1 or len(choices) > 2:
        raise ValueError(f"where takes a condition alone or with two choices, got {len(choices)}")
    return either(condition, *choices) if choices else nonzero(condition)


@composite(numpy=[np.select], method=False)
def select(condlist: Sequence[Tensor], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """Return, for each entry, the choice of the first condition that holds, else the default. Shapes broadcast."""
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(f"select needs a choice for each condition, got {len(choicelist)} for {len(condlist)}")
    if any(condition.dtype != bool for condition in condlist):
        raise TypeError("select needs conditions of booleans: write t != 0 for numbers")
    choices: list[Any] = [x if isinstance(x, (int, float)) else as_tensor(x) for x in (*choicelist, default)]
    dtype = np.result_type(*map(raw, choices))
    y = choices.pop()
    for condition, choice in zip(reversed(condlist), reversed(choices), strict=True):
        y = either(condition, choice, y)
    return y if y.dtype == dtype else y.astype(dtype)


@composite(numpy=[np.piecewise], method=False)
def piecewise(x: Tensor, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """Return, for each entry, the function or value of the last condition that holds; one more is for the rest, or 0.

    A function is called with a vector of the entries where its condition holds, and the further arguments.
    """
    conditions = raw(condlist) if isinstance(condlist, Tensor) else [raw(condition) for condition in condlist]
    if not isinstance(conditions[0], (list, np.ndarray)) and x.ndim:
        conditions = [conditions]
    holds = list(np.asarray(conditions, bool))
    if len(funclist) == len(holds) + 1:
        holds.append(~np.any(holds, axis=0))
    if len(funclist) != len(holds):
        raise ValueError(
            f"piecewise takes {len(holds)} or {len(holds) + 1} functions, as many as conditions or one more"
        )
    y = either(False, x, 0)
    for where_it_holds, function in zip(holds, funclist, strict=True):
        if where_it_holds.any():
            y[where_it_holds] = function(x[where_it_holds], *args, **kw) if callable(function) else function
    return y


@composite(numpy=[np.choose])
def choose(x: Any, choices: Sequence[Tensor], mode: str = "raise") -> Any:
    """Return, for each entry, the choice whose index is in `x`. Shapes broadcast: (...), k times (...) -> (...).

    An index out of bounds raises with `mode` "raise", is wrapped around with "wrap", and clipped with "clip".
    """
    index = known_index(x, len(choices), mode)
    if mode == "raise" and index.size and (index.min() < 0 or index.max() >= len(choices)):
        raise ValueError(f"invalid entry in choice array: choose among {len(choices)} needs indices from 0 on")
    shape = np.broadcast_shapes(index.shape, *[t.shape for t in choices])
    index, joined = np.broadcast_to(index, shape), stack([broadcast_to(t, shape) for t in choices])
    return joined[(index, *np.indices(shape, sparse=True))]


@composite(numpy=[np.compress], method=False)
def compress(condition: Any, x: Tensor, axis: int | None = None) -> Any:
    """Return the slices along an axis for which the condition, a vector no longer than the axis, holds."""
    holds = array_of(raw(condition))
    if holds.ndim != 1:
        raise ValueError(f"compress takes a vector of conditions, got shape {holds.shape}; write t[mask] for a mask")
    x, axis = flat_or(x, axis)
    return x[on_axis(axis, np.flatnonzero(holds))]


def _compress(self: Tensor, condition: Any, axis: int | None = None) -> Any:
    """Return `tg.compress(condition, self, axis)`: as in NumPy, the method takes the condition after the tensor."""
    return compress(condition, self, axis)


setattr(Tensor, "compress", _compress)  # noqa: B010


@composite(numpy=[np.extract], method=False)
def extract(condition: Any, x: Tensor) -> Any:
    """Return the flattened entries at which the flattened condition holds."""
    return ravel(x)[np.flatnonzero(raw(condition))]


@composite(numpy=[np.trim_zeros], method=False)
def trim_zeros(x: Tensor, trim: str = "fb", axis: Any = None) -> Any:
    """Return the tensor without zeros at the front, "f", and back, "b", of the axes, by default all."""
    if trim.lower() not in ("f", "b", "fb", "bf"):
        raise ValueError(f"trim must be 'f', 'b' or 'fb', not {trim!r}")
    found = np.nonzero(x.data)
    part: list[slice] = [slice(None)] * x.ndim
    for i in all_axes(axis, x.ndim):
        none = found[i].size == 0
        start = 0 if none else found[i].min() if "f" in trim.lower() else None
        stop = 0 if none else found[i].max() + 1 if "b" in trim.lower() else None
        part[i] = slice(start, stop)
    return x[tuple(part)]


# Samples for tests: a tuple stands for random values of that shape.

take.samples = [
    sample((2, 3), indices=np.array([[0, -1], [1, 1]]), axis=-1), sample((2, 3), indices=[5, 0, 0]),
    sample((), indices=0), sample((3, 2), indices=1, axis=0), sample((3,), indices=[-4, 7], mode="wrap"),
    sample((3,), indices=[-4, 7], mode="clip"), sample((0, 3), indices=[2], axis=1), sample((3,), indices=[]),
]  # fmt: skip
take_along_axis.samples = [
    sample((2, 3), indices=np.array([[2, 0], [-1, -1]]), axis=-1), sample((2, 3), indices=np.array([[1]]), axis=1),
    sample((2, 1, 3), indices=np.array([[[1], [0]]]), axis=0), sample((2, 3), indices=np.array([5, 0]), axis=None),
    sample((0, 3), indices=np.zeros((0, 2), int), axis=1), sample((), indices=np.array([0]), axis=None),
]  # fmt: skip
_HOLDS = [sample((2, 3)), sample(np.array([[0.0, 1.0], [2.0, 0.0]])), sample((0, 3)), sample(np.array([True, False]))]
nonzero.samples = _HOLDS
flatnonzero.samples = argwhere.samples = [*_HOLDS, sample(())]
_either.samples = [
    sample(np.array([True, False, True]), (3,), (3,)), sample(np.array([[True], [False]]), (2, 1), (1, 3)),
    sample(np.array([True, False]), (), 1.5), sample(np.array(False), 0, ()), sample(np.ones(0, bool), (0,), (1,)),
]  # fmt: skip
where.samples = _either.samples
select.samples = [
    sample([np.array([True, False, False]), np.array([True, True, False])], [(3,), (2, 3)]),
    sample([np.array(True)], [()]), sample([np.zeros((0, 1), bool)], [(3,)], default=0.5),
]  # fmt: skip
_LOW = np.array([True, True, False])
piecewise.samples = [
    sample((3,), condlist=[_LOW, ~_LOW], funclist=[lambda x: x * x, np.exp]),
    sample((2, 3), condlist=[[_LOW, ~_LOW]], funclist=[np.exp]), sample((), condlist=[True], funclist=[np.exp]),
    sample((3,), condlist=[_LOW], funclist=[np.sin, 1.5]), sample((0,), condlist=[_LOW[:0]], funclist=[np.exp]),
    sample((3,), condlist=[_LOW, ~_LOW], funclist=[lambda x, k, p: k * x**p, lambda x, k, p: k - x], k=0.5, p=2),
]  # fmt: skip
choose.samples = [
    sample(np.array([1, 0, 1]), [(3,), (2, 3)]), sample(np.array(1), [(), ()]),
    sample(np.array([-1, 5]), [(2,), (1,)], mode="wrap"), sample(np.array([-1, 5]), [(2,), ()], mode="clip"),
    sample(np.zeros((0,), int), [(1,)]),
]  # fmt: skip
compress.samples = [
    sample(MASK[0], (2, 3), axis=-1), sample(np.array([0, 1]), (3, 2), axis=0),
    sample(np.array([False, True, False, True]), (2, 3)), sample(np.array([True]), ()),
    sample(np.array([True]), (0, 3), axis=1),
]  # fmt: skip
extract.samples = [
    sample(MASK, (2, 3)), sample(np.array([0, 1, 1]), (2, 3)),
    sample(np.array(True), ()), sample(np.zeros((0, 3), bool), (0, 3)),
]  # fmt: skip
trim_zeros.samples = [sample((3,), trim="f"), sample((3,), axis=-1), sample((0,))]
