"""Tensors cut into pieces along an axis."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...engine.arrays import raw
from ...tensor.declaring import composite, primitive, sample
from ...tensor.handle import Tensor
from ..axes import input_axis, one_axis
from ..shaping import flat_or, on_axis


@primitive(
    numpy=[np.unstack] if hasattr(np, "unstack") else [], multiple_outputs=True, linear=True, method=False, masks=True,
    axis=input_axis,
)  # fmt: skip
def unstack(x: Any, /, axis: int = 0) -> Any:
    """Return the slices along an axis, without that axis, as a tuple. Shapes: (n, ...) -> n times (...)."""
    return tuple(np.moveaxis(x, axis, 0))


unstack.vjp(lambda g, axis: np.stack(g, axis))


def _iterate(x: Tensor) -> Iterator[Tensor]:
    """Return an iterator over the slices along the first axis."""
    if x.ndim == 0:
        raise TypeError("a 0-d tensor can't be iterated over; use t.item()")
    return iter(unstack(x))


setattr(Tensor, "__iter__", _iterate)  # noqa: B010


@composite(numpy=[np.array_split], method=False)
def array_split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Return the pieces between indices along an axis, or the given number of pieces, as equal as possible."""
    axis = one_axis(axis, x.ndim)
    n = x.shape[axis]
    if np.ndim(raw(indices_or_sections)):
        indices = [int(i) for i in raw(indices_or_sections)]
    else:
        pieces = operator.index(raw(indices_or_sections))
        if pieces < 1:
            raise ValueError(f"array_split takes 1 piece or more, not {pieces}")
        least, longer = divmod(n, pieces)
        indices = [least * i + min(i, longer) for i in range(1, pieces)]
    return [x[on_axis(axis, slice(start, stop))] for start, stop in itertools.pairwise([0, *indices, n])]


@composite(numpy=[np.split], method=False)
def split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Return the pieces between indices along an axis, or the given number of equal pieces."""
    n, pieces = x.shape[one_axis(axis, x.ndim)], raw(indices_or_sections)
    if np.ndim(pieces) == 0 and pieces > 0 and n % pieces:
        raise ValueError(f"an axis of length {n} has no {pieces} equal pieces; use array_split for unequal ones")
    found: list[Tensor] = array_split(x, indices_or_sections, axis)
    return found


def _split_at_rank(x: Tensor, indices_or_sections: Any, name: str, rank: int, axis: int) -> list[Tensor]:
    if x.ndim < rank:
        raise ValueError(f"{name} needs a tensor with {rank} or more axes, got shape {x.shape}")
    found: list[Tensor] = split(x, indices_or_sections, axis)
    return found


@composite(numpy=[np.hsplit], method=False)
def hsplit(x: Tensor, indices_or_sections: Any) -> list[Tensor]:
    """Return the pieces side by side: along the second axis, or along the only axis of a vector."""
    return _split_at_rank(x, indices_or_sections, "hsplit", 1, 1 if x.ndim > 1 else 0)


@composite(numpy=[np.vsplit], method=False)
def vsplit(x: Tensor, indices_or_sections: Any) -> list[Tensor]:
    """Return the pieces on top of each other: along the first axis of a tensor with two axes or more."""
    return _split_at_rank(x, indices_or_sections, "vsplit", 2, 0)


@composite(numpy=[np.dsplit], method=False)
def dsplit(x: Tensor, indices_or_sections: Any) -> list[Tensor]:
    """Return the pieces along the third axis of a tensor with three axes or more."""
    return _split_at_rank(x, indices_or_sections, "dsplit", 3, 2)


@composite(numpy=[np.delete], method=False)
def delete(x: Tensor, obj: Any, axis: int | None = None) -> Any:
    """Return the tensor without the entries that `obj`, an index along the axis, names."""
    x, axis = flat_or(x, axis if axis is None else one_axis(axis, x.ndim))
    kept = np.delete(np.arange(x.shape[axis]), raw(obj))
    return x[on_axis(axis, kept)]


# Samples for tests: a tuple stands for random values of that shape.

unstack.samples = [sample((2, 3)), sample((2, 3, 2), axis=-1), sample((3,)), sample((2, 0))]
array_split.samples = [
    sample((5, 2), indices_or_sections=3), sample((2, 5), indices_or_sections=[1, 3], axis=-1),
    sample((2, 5), indices_or_sections=(3, 1, 9), axis=1), sample((0, 3), indices_or_sections=2),
    sample((2,), indices_or_sections=4),
]  # fmt: skip
split.samples = [
    sample((4, 3), indices_or_sections=2), sample((2, 5), indices_or_sections=[1, 3], axis=-1),
    sample((0, 3), indices_or_sections=2),
]  # fmt: skip
hsplit.samples = [
    sample((2, 4), indices_or_sections=2), sample((5,), indices_or_sections=[2]), sample((2, 0), indices_or_sections=2),
]  # fmt: skip
vsplit.samples = [
    sample((4, 2), indices_or_sections=2), sample((5, 1), indices_or_sections=[2]),
    sample((0, 3), indices_or_sections=2),
]  # fmt: skip
dsplit.samples = [
    sample((1, 2, 4), indices_or_sections=2), sample((2, 1, 3), indices_or_sections=[2]),
    sample((1, 2, 0), indices_or_sections=2),
]  # fmt: skip
delete.samples = [
    sample((2, 3), obj=1, axis=-1), sample((2, 3), obj=[0, -1]), sample((4, 2), obj=slice(None, None, 2), axis=0),
    sample((3,), obj=np.array([True, False, False])), sample((0, 3), obj=1, axis=1), sample((), obj=0),
]  # fmt: skip
