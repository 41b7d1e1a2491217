"""Tensors repeated as a whole, to fill a larger shape."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..tensor.creation import as_tensor
from ..tensor.declaring import composite, primitive, sample
from ..tensor.handle import Tensor
from .indexing import scatter_add
from .shaping import reshape


def _lengths(shape: Any, inputs: Any) -> tuple[int, ...]:
    return tuple(shape) if isinstance(shape, Iterable) else (int(shape),)


@primitive(numpy=[np.broadcast_to], linear=True, method=False, shape=_lengths)
def broadcast_to(x: Any, /, shape: Any) -> Any:
    """Return a read-only view in which axes of length 1, and missing leading axes, are repeated."""
    return np.broadcast_to(x, shape)


broadcast_to.vjp(lambda g: g)


@composite(numpy=[np.broadcast_arrays], method=False)
def broadcast_arrays(*xs: Any) -> tuple[Tensor, ...]:
    """Return the tensors, each broadcast to their common shape."""
    tensors = [as_tensor(x) for x in xs]
    shape = np.broadcast_shapes(*[t.shape for t in tensors])
    return tuple([broadcast_to(t, shape) for t in tensors])


@composite(numpy=[np.meshgrid], method=False)
def meshgrid(*xs: Any, sparse: bool = False, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Return the coordinates of a grid, a tensor per vector: (n,), (m,) -> (m, n) each, or (n, m) with "ij".

    With `sparse`, each has length 1 along the axes of the others.
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing must be 'xy' or 'ij', not {indexing!r}")
    swapped = (1, 0) if indexing == "xy" and len(xs) > 1 else (0, 1)
    axis = {i: swapped[i] if i < 2 else i for i in range(len(xs))}
    vectors = [reshape(x, [-1 if axis[i] == position else 1 for position in range(len(xs))]) for i, x in enumerate(xs)]
    return tuple(vectors) if sparse else broadcast_arrays(*vectors)


@composite(numpy=[np.resize], method=False)
def resize(x: Tensor, new_shape: Any) -> Any:
    """Return the entries in a shape of any size, repeated in C order as often as needed; zeros if there are none."""
    shape = _lengths(new_shape, ())
    if min(shape, default=0) < 0:
        raise ValueError(f"resize to {shape} has a negative length; reshape works out a length of -1")
    size = math.prod(shape)
    if x.size == 0:
        return reshape(scatter_add(reshape(x, (0,)), [], (size,)), shape)
    times = -(-size // x.size)
    repeated = reshape(broadcast_to(reshape(x, (-1,)), (times, x.size)), (times * x.size,))
    return reshape(repeated[:size], shape)


# Samples for tests: a tuple stands for random values of that shape.

broadcast_to.samples = [
    sample((3, 1), shape=(2, 3, 4)), sample((), shape=(2,)), sample((1, 3), shape=(0, 3)),
    sample((0, 1), shape=(2, 0, 3)),
]  # fmt: skip
broadcast_arrays.samples = [sample((3, 1), (2,), ()), sample((0, 1), (1, 3)), sample(())]
meshgrid.samples = [
    sample((2,), (3,), (2,), indexing="ij"), sample((2,), (3,)), sample((2,), (3,), sparse=True), sample((), (2,)),
    sample((0,), (2,)), sample((3,)),
]  # fmt: skip
resize.samples = [
    sample((2, 3), new_shape=(4, 2)), sample((), new_shape=3), sample((0, 3), new_shape=(2,)),
    sample((3,), new_shape=(0,)),
]  # fmt: skip
