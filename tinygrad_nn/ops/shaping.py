"""Operations that move entries about or repeat them: the values stay what they were."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..containers import leaves
from ..creation import as_tensor
from ..operation import sample
from ..primitive import composite, primitive
from ..tensors import Tensor
from .reduction import axes

_EMPTY = np.zeros((0, 3))


def _axis(axis: Any, ndim: int) -> int:
    return int(np.lib.array_utils.normalize_axis_index(axis, ndim))


def _whole_shape(shape: Any, inputs: Any) -> tuple[int, ...]:
    """Return the shape with its -1, if there is one, worked out."""
    x = inputs[0]
    wanted = tuple(int(n) for n in shape) if isinstance(shape, Iterable) else (int(shape),)
    if wanted.count(-1) == 1:
        known = -math.prod(wanted)
        wanted = tuple(np.size(x) // known if n == -1 and known else n for n in wanted)
    if math.prod(wanted) != np.size(x) or any(n < 0 for n in wanted):
        raise ValueError(f"cannot reshape a tensor of shape {np.shape(x)} into {shape}: the sizes differ")
    return wanted


@primitive(
    name="reshape_to", linear=True, method=False, shape=_whole_shape,
    samples=[sample((2, 3), shape=(3, -1)), sample((), shape=(1, 1)), sample((0, 3), shape=(3, 0))],
)  # fmt: skip
def _reshape(x: Any, /, shape: Any) -> Any:
    """Return the entries, read in C order, in another shape of the same size."""
    return np.reshape(x, shape)


_reshape.vjp(lambda g, x_shape: np.reshape(g, x_shape))


@composite(numpy=[np.reshape], samples=[sample((2, 3), shape=(3, 2)), sample((), shape=(1,)), sample(_EMPTY, shape=(0,))])
def reshape(x: Any, *lengths: Any, shape: Any = None) -> Tensor:
    """Return the entries in another shape: `t.reshape(2, 3)` and `t.reshape((2, -1))` alike."""
    return _reshape(x, shape if shape is not None else lengths[0] if len(lengths) == 1 else lengths)


@composite(numpy=[np.ravel], samples=[sample((2, 3)), sample(()), sample(_EMPTY)])
def ravel(x: Any) -> Tensor:
    """Return the entries along one axis, in C order. Shapes: (...) -> (n,).

    Of a nested list, tuple or dict, or of a Module, all leaves follow each other; `tg.unravel` is the way back.
    """
    parts = list(leaves(x))
    if all(isinstance(part, (int, float)) for part in parts):
        parts = [parts]
    return concatenate([_reshape(as_tensor(part), (-1,)) for part in parts]) if len(parts) != 1 else _reshape(parts[0], (-1,))


def _permutation(axes: Any, inputs: Any) -> tuple[int, ...]:
    ndim = np.ndim(inputs[0])
    if axes is None:
        return tuple(reversed(range(ndim)))
    found = tuple(_axis(a, ndim) for a in axes)
    if sorted(found) != list(range(ndim)):
        raise ValueError(f"axes {axes} don't match a tensor of {ndim} axes: name each axis once")
    return found


@primitive(
    name="permute", linear=True, method=False, axes=_permutation,
    samples=[sample((2, 3, 4), axes=(-1, 0, 1)), sample((2, 3), axes=None), sample(()), sample(_EMPTY)],
)  # fmt: skip
def _transpose(x: Any, /, axes: Any = None) -> Any:
    """Return a view with the axes in the given order."""
    return np.transpose(x, axes)


_transpose.vjp(lambda g, axes: np.transpose(g, tuple(int(i) for i in np.argsort(axes))))


@composite(numpy=[np.transpose, np.permute_dims], samples=[sample((2, 3, 4), axes=(-1, 0, 1)), sample(()), sample(_EMPTY)])
def transpose(x: Any, *order: Any, axes: Any = None) -> Tensor:
    """Return the tensor with its axes reversed, or in the given order."""
    if order:
        axes = order[0] if len(order) == 1 and not isinstance(order[0], int) else order
    return _transpose(x, axes)


setattr(Tensor, "T", property(transpose, doc="The tensor with its axes reversed."))  # noqa: B010


@composite(numpy=[np.swapaxes], samples=[sample((2, 3, 4), axis1=0, axis2=-1), sample(_EMPTY, axis1=0, axis2=1)])
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Return the tensor with two axes exchanged."""
    x = as_tensor(x)
    order = list(range(x.ndim))
    i, j = _axis(axis1, x.ndim), _axis(axis2, x.ndim)
    order[i], order[j] = order[j], order[i]
    return _transpose(x, order)


setattr(Tensor, "mT", property(lambda x: swapaxes(x, -1, -2), doc="The last two axes exchanged."))  # noqa: B010


@composite(
    numpy=[np.moveaxis], method=False,
    samples=[
        sample((2, 3, 4), source=(0, -1), destination=(-1, 0)), sample(_EMPTY, source=0, destination=-1),
    ],
)  # fmt: skip
def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """Return the tensor with the source axes moved to where the destination says."""
    x = as_tensor(x)
    one = np.ndim(source) == 0
    sources = [_axis(a, x.ndim) for a in ([source] if one else source)]
    places = [_axis(a, x.ndim) for a in ([destination] if one else destination)]
    order = [i for i in range(x.ndim) if i not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return _transpose(x, order)


@composite(numpy=[np.expand_dims], samples=[sample((2, 3), axis=(0, -1)), sample((), axis=-1), sample(_EMPTY, axis=1)])
def expand_dims(x: Any, axis: Any) -> Tensor:
    """Return the tensor with axes of length 1 inserted at the given places of the result."""
    x = as_tensor(x)
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    places = axes(tuple(given), x.ndim + len(given))
    old = iter(x.shape)
    return _reshape(x, tuple(1 if i in places else next(old) for i in range(x.ndim + len(places))))


@composite(numpy=[np.squeeze], samples=[sample((1, 3, 1)), sample((1, 3, 1), axis=-1), sample(()), sample((1, 0))])
def squeeze(x: Any, axis: Any = None) -> Tensor:
    """Return the tensor without its axes of length 1, or without those named."""
    x = as_tensor(x)
    gone = tuple(i for i, n in enumerate(x.shape) if n == 1) if axis is None else axes(axis, x.ndim)
    if any(x.shape[i] != 1 for i in gone):
        raise ValueError(f"cannot squeeze axis {axis} of shape {x.shape}: its length is not 1")
    return _reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in gone))


def _lengths(shape: Any, inputs: Any) -> tuple[int, ...]:
    return tuple(shape) if isinstance(shape, Iterable) else (int(shape),)


@primitive(
    numpy=[np.broadcast_to], linear=True, method=False, shape=_lengths,
    samples=[
        sample((3, 1), shape=(2, 3, 4)), sample((), shape=(2,)), sample((1, 3), shape=(0, 3)),
        sample((0, 1), shape=(2, 0, 3)),
    ],
)  # fmt: skip
def broadcast_to(x: Any, /, shape: Any) -> Any:
    """Return a read-only view with axes of length 1, and missing first ones, repeated."""
    return np.broadcast_to(x, shape)


broadcast_to.vjp(lambda g: g)


def _joined_axis(axis: Any, inputs: Any) -> int:
    return _axis(axis, np.ndim(inputs[0]))


@primitive(
    variadic=True, linear=True, method=False, name="join", axis=_joined_axis,
    samples=[sample([(2, 3), (1, 3)]), sample([(2, 3), (2, 0), (2, 1)], axis=-1)],
)  # fmt: skip
def _concatenate(xs: Any, /, axis: int = 0) -> Any:
    """Return the inputs joined along an axis that they have."""
    return np.concatenate(xs, axis)


@_concatenate.vjp
def _own_part(g: Any, index_of_input: int, xs_shapes: Any, axis: int) -> Any:
    before = sum(shape[axis] for shape in xs_shapes[:index_of_input])
    part = slice(before, before + xs_shapes[index_of_input][axis])
    return g[(*[slice(None)] * axis, part)]


@composite(
    numpy=[np.concatenate, np.concat], method=False,
    samples=[sample([(2, 3), (1, 3)]), sample([(2, 3), (2, 0)], axis=-1), sample([(2, 3), ()], axis=None)],
)  # fmt: skip
def concatenate(xs: Any, axis: int | None = 0) -> Tensor:
    """Return the tensors joined along an existing axis; `axis=None` joins them flattened."""
    xs = list(xs)
    if not xs:
        raise ValueError("concatenate needs at least one tensor")
    return _concatenate(xs, axis) if axis is not None else _concatenate([ravel(x) for x in xs], 0)


@composite(
    numpy=[np.stack], method=False,
    samples=[sample([(2, 3), (2, 3)], axis=-1), sample([(), ()]), sample([(0,), (0,)])],
)  # fmt: skip
def stack(xs: Any, axis: int = 0) -> Tensor:
    """Return the tensors, all of one shape, joined along a new axis."""
    tensors = [as_tensor(x) for x in xs]
    if len({t.shape for t in tensors}) > 1:
        raise ValueError(f"stack needs tensors of one shape, got {[t.shape for t in tensors]}")
    return _concatenate([expand_dims(t, axis) for t in tensors], axis)


@primitive(
    numpy=[np.unstack] if hasattr(np, "unstack") else [], several=True, linear=True, method=False, masks=True, axis=_joined_axis,
    samples=[sample((2, 3)), sample((2, 3, 2), axis=-1), sample((3,)), sample((2, 0))],
)  # fmt: skip
def unstack(x: Any, /, axis: int = 0) -> Any:
    """Return the slices along an axis as a tuple, without it. Shapes: (n, ...) -> n times (...)."""
    return tuple(np.moveaxis(x, axis, 0))


unstack.vjp(lambda g, axis: np.stack(g, axis))


def _iterate(x: Tensor) -> Iterator[Tensor]:
    """Return an iterator over the slices along the first axis."""
    if x.ndim == 0:
        raise TypeError("a 0-d tensor can't be iterated over; use t.item()")
    return iter(unstack(x))


setattr(Tensor, "__iter__", _iterate)  # noqa: B010


@composite(
    numpy=[np.split], method=False,
    samples=[
        sample((4, 3), indices_or_sections=2), sample((2, 5), indices_or_sections=[1, 3], axis=-1),
        sample(_EMPTY, indices_or_sections=2),
    ],
)  # fmt: skip
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Return the pieces between the given places along an axis, or so many equal ones."""
    x = as_tensor(x)
    axis = _axis(axis, x.ndim)
    n = x.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        pieces = operator.index(indices_or_sections)
        if pieces < 1 or n % pieces:
            raise ValueError(f"an axis of length {n} has no {pieces} equal pieces")
        places = [n // pieces * i for i in range(1, pieces)]
    else:
        places = [int(i) for i in indices_or_sections]
    before = (slice(None),) * axis
    return [x[(*before, slice(start, stop))] for start, stop in itertools.pairwise([0, *places, n])]
