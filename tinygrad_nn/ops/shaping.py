"""Shapes and axes: every entry is kept, once, and stays as it is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..tensor.creation import as_tensor
from ..tensor.declaring import composite, primitive, sample
from ..tensor.handle import Tensor
from .axes import all_axes, one_axis, reduced_axes


def _whole_shape(shape: Any, inputs: Any) -> tuple[int, ...]:
    """Return the shape, with a -1 replaced by the length that fits."""
    x = inputs[0]
    size = x.size if type(x) is np.ndarray else np.size(x)
    wanted = tuple(map(int, shape)) if isinstance(shape, Iterable) else (int(shape),)
    if wanted.count(-1) == 1:
        known = -math.prod(wanted)
        wanted = tuple([size // known if n == -1 and known else n for n in wanted])
    if math.prod(wanted) != size or min(wanted, default=0) < 0:
        raise ValueError(f"cannot reshape a tensor of shape {np.shape(x)} into {shape}: the sizes must be equal")
    return wanted


@primitive(name="reshape_to", linear=True, method=False, shape=_whole_shape)
def _reshape(x: Any, /, shape: Any) -> Any:
    """Return the entries, read in C order, in another shape of the same size."""
    return np.reshape(x, shape)


_reshape.vjp(lambda g, x_shape: np.reshape(g, x_shape))


def in_order(x: Any, shape: Any, order: str) -> Tensor:
    """Return the entries in another shape, read and laid out in C order, or in Fortran order: first axis fastest."""
    if order not in ("C", "F"):
        raise ValueError(f"order must be 'C' or 'F', not {order!r}: a tensor is a value, without an order in memory")
    if order == "C":
        return _reshape(x, shape)
    lengths = shape if isinstance(shape, Iterable) else (shape,)
    return _transpose(_reshape(_transpose(x), tuple(reversed(tuple(lengths)))))


@composite(numpy=[np.reshape])
def reshape(x: Tensor, *lengths: Any, shape: Any = None, order: str = "C") -> Tensor:
    """Return the entries in another shape: `t.reshape(2, 3)` and `t.reshape((2, -1))` alike."""
    if len(lengths) > 1 and isinstance(lengths[-1], str):
        *lengths, order = lengths  # type: ignore[assignment]
    return in_order(x, shape if shape is not None else lengths[0] if len(lengths) == 1 else lengths, order)


@composite(numpy=[np.copy])
def copy(x: Tensor) -> Any:
    """Return a tensor with the same values and its own memory; the copy is recorded in the graph."""
    return x.astype(x.dtype)


def _permutation(axes: Any, inputs: Any) -> tuple[int, ...]:
    ndim = np.ndim(inputs[0])
    if axes is None:
        return tuple(reversed(range(ndim)))
    found = all_axes(axes, ndim)
    if len(found) != ndim:
        raise ValueError(f"axes {axes} don't match a tensor of {ndim} axes: name each axis once")
    return found


@primitive(name="permute", linear=True, method=False, axes=_permutation)
def _transpose(x: Any, /, axes: Any = None) -> Any:
    """Return a view with the axes in the given order."""
    return np.transpose(x, axes)


_transpose.vjp(lambda g, axes: np.transpose(g, tuple(sorted(range(len(axes)), key=axes.__getitem__))))


@composite(numpy=[np.transpose, np.permute_dims])
def transpose(x: Tensor, *order: Any, axes: Any = None) -> Tensor:
    """Return the tensor with its axes reversed, or in the given order."""
    if order:
        axes = order[0] if len(order) == 1 and not isinstance(order[0], int) else order
    return _transpose(x, axes)


setattr(Tensor, "T", property(transpose, doc="The tensor with its axes reversed."))  # noqa: B010


@composite(numpy=[np.swapaxes])
def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """Return the tensor with two axes exchanged."""
    order = list(range(x.ndim))
    i, j = one_axis(axis1, x.ndim), one_axis(axis2, x.ndim)
    order[i], order[j] = order[j], order[i]
    return _transpose(x, order)


setattr(Tensor, "mT", property(lambda x: swapaxes(x, -1, -2), doc="The last two axes exchanged."))  # noqa: B010


@composite(numpy=[np.moveaxis], method=False)
def moveaxis(x: Tensor, source: Any, destination: Any) -> Tensor:
    """Return the tensor with the axes `source` moved to the positions `destination`."""
    sources, destinations = all_axes(source, x.ndim), all_axes(destination, x.ndim)
    order = [i for i in range(x.ndim) if i not in sources]
    for new, old in sorted(zip(destinations, sources, strict=True)):
        order.insert(new, old)
    return _transpose(x, order)


@composite(numpy=[np.rollaxis], method=False)
def rollaxis(x: Tensor, axis: int, start: int = 0) -> Any:
    """Return the tensor with an axis moved in front of axis `start`; `moveaxis` is clearer."""
    axis, before = one_axis(axis, x.ndim), start if start == x.ndim else one_axis(start, x.ndim)
    return moveaxis(x, axis, before - (axis < before))


@composite(numpy=[np.expand_dims])
def expand_dims(x: Tensor, axis: Any) -> Tensor:
    """Return the tensor with axes of length 1 inserted at the given positions of the result."""
    ndim = x.ndim + (len(axis) if isinstance(axis, (tuple, list)) else 1)
    new, old = all_axes(axis, ndim), iter(x.shape)
    return _reshape(x, tuple(1 if i in new else next(old) for i in range(ndim)))


def _each(change: Any, xs: tuple[Any, ...]) -> Any:
    """Return the changed inputs: one tensor for one input, else a tuple."""
    changed = tuple(change(as_tensor(x)) for x in xs)
    return changed[0] if len(changed) == 1 else changed


@composite(numpy=[np.atleast_1d], method=False)
def atleast_1d(*xs: Any) -> Any:
    """Return the tensor with at least one axis, or a tuple of several: () -> (1,)."""
    return _each(lambda x: _reshape(x, x.shape or (1,)), xs)


@composite(numpy=[np.atleast_2d], method=False)
def atleast_2d(*xs: Any) -> Any:
    """Return the tensor with at least two axes, or a tuple of several: (n,) -> (1, n)."""
    return _each(lambda x: _reshape(x, x.shape if x.ndim > 1 else (1, x.size)), xs)


@composite(numpy=[np.atleast_3d], method=False)
def atleast_3d(*xs: Any) -> Any:
    """Return the tensor with at least three axes, or a tuple of several: (n,) -> (1, n, 1), (m, n) -> (m, n, 1)."""
    return _each(lambda x: _reshape(x, x.shape if x.ndim > 2 else (*(x.shape if x.ndim == 2 else (1, x.size)), 1)), xs)


@composite(numpy=[np.squeeze])
def squeeze(x: Tensor, axis: Any = None) -> Tensor:
    """Return the tensor without its axes of length 1, or only without the given ones."""
    gone = tuple(i for i, n in enumerate(x.shape) if n == 1) if axis is None else reduced_axes(axis, [x])
    if any(x.shape[i] != 1 for i in gone):
        raise ValueError(f"cannot squeeze axis {axis} of shape {x.shape}: its length must be 1")
    return _reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in gone))


def on_axis(axis: int, part: Any) -> tuple[Any, ...]:
    """Return the index that takes `part` of one axis and everything along the others."""
    return (*[slice(None)] * axis, part)


def flat_or(x: Tensor, axis: int | None) -> tuple[Tensor, int]:
    """Return the tensor and its axis from 0 on: flattened if the axis is None, and a 0-d tensor as a vector."""
    if axis is None or x.ndim == 0:
        return _reshape(x, (-1,)), 0 if axis is None else one_axis(axis, 1)
    return x, one_axis(axis, x.ndim)


# Samples for tests: a tuple stands for random values of that shape.

_reshape.samples = [sample((2, 3), shape=(3, -1)), sample((), shape=(1, 1)), sample((0, 3), shape=(3, 0))]
reshape.samples = [
    sample((2, 3), shape=(3, 2)), sample((), shape=(1,)), sample((0, 3), shape=(0,)),
    sample((2, 3, 2), shape=(-1, 4), order="F"),
]  # fmt: skip
copy.samples = [sample((2, 3)), sample(()), sample((0, 3))]
_transpose.samples = [sample((2, 3, 4), axes=(-1, 0, 1)), sample((2, 3), axes=None), sample(()), sample((0, 3))]
transpose.samples = [sample((2, 3, 4), axes=(-1, 0, 1)), sample(()), sample((0, 3))]
swapaxes.samples = [sample((2, 3, 4), axis1=0, axis2=-1), sample((0, 3), axis1=0, axis2=1)]
moveaxis.samples = [sample((2, 3, 4), source=(0, -1), destination=(-1, 0)), sample((0, 3), source=0, destination=-1)]
rollaxis.samples = [sample((2, 3, 4), axis=-1), sample((2, 3, 4), axis=0, start=3), sample((0, 3), axis=1)]
expand_dims.samples = [sample((2, 3), axis=(0, -1)), sample((), axis=-1), sample((0, 3), axis=1)]
atleast_1d.samples = atleast_2d.samples = atleast_3d.samples = [
    sample(()), sample((2,), (2, 3), ()), sample((2, 3, 4), (0,)), sample((0, 2, 1, 1)),
]  # fmt: skip
squeeze.samples = [sample((1, 3, 1)), sample((1, 3, 1), axis=-1), sample(()), sample((1, 0))]
