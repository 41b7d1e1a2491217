"""Entries repeated, shifted, reversed, and put on or taken from diagonals."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ...engine.arrays import raw
from ...tensor.creation import array_of
from ...tensor.declaring import composite, sample
from ...tensor.handle import Tensor
from ..axes import all_axes, one_axis
from ..broadcasting import broadcast_to
from ..indexing import scatter_add
from ..joining import concatenate
from ..reduction import sum
from ..selection import where
from ..shaping import expand_dims, flat_or, on_axis, swapaxes


@composite(numpy=[np.repeat])
def repeat(x: Tensor, repeats: Any, axis: int | None = None) -> Any:
    """Return each entry, or each slice along an axis, repeated; `repeats` is one number, or one for each."""
    x, axis = flat_or(x, axis)
    counts = array_of(raw(repeats))
    if counts.size != 1:
        positions = np.where(counts < 0, 0, np.arange(x.shape[axis]))  # a proxy if `counts` is one
        return x[on_axis(axis, np.repeat(positions, counts))]
    times = operator.index(counts.item())
    if times < 0:
        raise ValueError(f"repeats counts how often, so it must be at least 0, not {times}")
    before, n, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    wide = broadcast_to(expand_dims(x, axis + 1), (*before, n, times, *after))
    return wide.reshape(*before, n * times, *after)


@composite(numpy=[np.tile], method=False)
def tile(x: Tensor, reps: Any) -> Any:
    """Return the tensor repeated as a whole `reps` times along each axis; missing leading numbers count as 1."""
    times = [operator.index(n) for n in np.atleast_1d(raw(reps)).tolist()]
    times = [1] * (x.ndim - len(times)) + times
    shape = (1,) * (len(times) - x.ndim) + x.shape
    single = x.reshape([n for length in shape for n in (1, length)])
    wide = broadcast_to(single, [n for pair in zip(times, shape, strict=True) for n in pair])
    return wide.reshape([k * n for k, n in zip(times, shape, strict=True)])


@composite(numpy=[np.roll], method=False)
def roll(x: Tensor, shift: Any, axis: Any = None) -> Any:
    """Return the tensor with entries shifted along the axes; those that leave at one end come in at the other.

    Shifts and axes broadcast; by default the flattened tensor is shifted.
    """
    if axis is None:
        return roll(x.reshape(-1), shift, 0).reshape(x.shape)
    for by, one in np.broadcast(raw(shift), axis):
        along = one_axis(one, x.ndim)
        n = x.shape[along]
        start = -operator.index(by) % n if n else 0
        if start:
            x = concatenate([x[on_axis(along, slice(start, None))], x[on_axis(along, slice(start))]], along)
    return x.reshape(x.shape)


@composite(numpy=[np.fft.fftshift], method=False)
def fftshift(x: Tensor, axes: Any = None) -> Any:
    """Return the tensor with the halves of its axes, by default all, swapped: the frequency 0 goes to the middle.

    >>> import tinygrad_nn as tg
    >>> tg.fftshift([0.0, 1.0, 2.0, 3.0])
    tg.tensor([2., 3., 0., 1.], dtype='float64')
    """
    return _rolled(x, axes, lambda n: n // 2)


@composite(numpy=[np.fft.ifftshift], method=False)
def ifftshift(x: Tensor, axes: Any = None) -> Any:
    """Return the tensor with the halves of its axes swapped back: the inverse of fftshift.

    >>> import tinygrad_nn as tg
    >>> tg.ifftshift(tg.fftshift([0.0, 1.0, 2.0]))
    tg.tensor([0., 1., 2.], dtype='float64')
    """
    return _rolled(x, axes, lambda n: -(n // 2))


def _rolled(x: Tensor, given: Any, by: Any) -> Tensor:
    if not x.ndim:
        raise ValueError("frequencies lie along axes, and a number has none; pass a vector")
    along = all_axes(given, x.ndim)
    return roll(x, [by(x.shape[i]) for i in along], along)


@composite(numpy=[np.flip], method=False)
def flip(x: Tensor, axis: Any = None) -> Any:
    """Return the tensor with the entries in reverse order along the axes, by default all."""
    turned = all_axes(axis, x.ndim)
    return x[tuple(slice(None, None, -1 if i in turned else None) for i in range(x.ndim))]


@composite(numpy=[np.fliplr], method=False)
def fliplr(x: Tensor) -> Any:
    """Return the tensor with the entries in reverse order along the second axis."""
    return flip(x, 1)


@composite(numpy=[np.flipud], method=False)
def flipud(x: Tensor) -> Any:
    """Return the tensor with the entries in reverse order along the first axis."""
    return flip(x, 0)


@composite(numpy=[np.rot90], method=False)
def rot90(x: Tensor, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Return the tensor rotated k times by 90 degrees, from the first of two axes towards the second."""
    if len(axes) != 2:
        raise ValueError(f"rot90 takes two axes, not {axes}")
    first, second = all_axes(axes, x.ndim)
    quarters = operator.index(k) % 4
    x = flip(x, {0: (), 1: second, 2: (first, second), 3: first}[quarters])
    return swapaxes(x, first, second) if quarters % 2 else x


def _below(x: Tensor, k: int) -> Any:
    """Return a mask of the entries of the matrices on or below the k-th diagonal."""
    if x.ndim == 0:
        raise ValueError("a triangle needs a matrix, got a tensor of shape (); pass t[None, None]")
    rows, columns = x.shape[-2:] if x.ndim > 1 else (x.size, x.size)
    return np.tri(rows, columns, k, dtype=bool)


@composite(numpy=[np.tril], method=False)
def tril(x: Tensor, k: int = 0) -> Any:
    """Return the matrices with zeros above the k-th diagonal. Shapes: (..., m, n) -> (..., m, n)."""
    return where(_below(x, k), x, np.zeros(1, x.dtype))


@composite(numpy=[np.triu], method=False)
def triu(x: Tensor, k: int = 0) -> Any:
    """Return the matrices with zeros below the k-th diagonal. Shapes: (..., m, n) -> (..., m, n)."""
    return where(_below(x, k - 1), np.zeros(1, x.dtype), x)


# In C order the entries of a diagonal lie at equal distances, so it is one slice of the flattened matrix.


def _slice_of_diagonal(rows: int, columns: int, k: int) -> tuple[slice, int]:
    """Return where the k-th diagonal lies in a flattened matrix, and its length."""
    start = k if k >= 0 else -k * columns
    length = max(0, min(rows + min(k, 0), columns - max(k, 0)))
    return slice(start, start + (length - 1) * (columns + 1) + 1 if length else start, columns + 1), length


@composite(numpy=[np.diagonal])
def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return the diagonals of the matrices in two axes, along a new last axis; offset > 0 is above the main one."""
    if x.ndim < 2:
        raise ValueError(f"a diagonal needs a tensor with two or more axes, got shape {x.shape}")
    first, second = one_axis(axis1, x.ndim), one_axis(axis2, x.ndim)
    if first == second:
        raise ValueError(f"axis1 and axis2 of a diagonal must differ, got {axis1} and {axis2}")
    others = [i for i in range(x.ndim) if i not in (first, second)]
    part, _ = _slice_of_diagonal(x.shape[first], x.shape[second], operator.index(offset))
    flat = x.transpose([*others, first, second]).reshape(
        *[x.shape[i] for i in others], x.shape[first] * x.shape[second]
    )
    return flat[..., part]


@composite(numpy=[np.trace])
def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return the sums along the diagonals of the matrices in two axes. Shapes: (n, m, ...) -> (...)."""
    return sum(diagonal(x, offset, axis1, axis2), -1)


@composite(numpy=[np.linalg.diagonal], method=False, name="linalg_diagonal")
def _diagonal_of_matrices(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """Return the diagonal `offset` above the main one, for matrices in the last two axes. (..., m, n) -> (..., k)."""
    return diagonal(x, offset, -2, -1)


@composite(numpy=[np.linalg.trace], method=False, name="linalg_trace")
def _trace_of_matrices(x: Tensor, /, *, offset: int = 0) -> Any:
    """Return the sum of the diagonal `offset` above the main one, for the last two axes. (..., m, n) -> (...)."""
    return trace(x, offset, -2, -1)


@composite(numpy=[np.diag], method=False)
def diag(x: Tensor, k: int = 0) -> Any:
    """Return the k-th diagonal of a matrix, or a matrix with the vector on it: (n,) -> (n+|k|, n+|k|)."""
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ValueError(f"diag takes a vector or a matrix, got shape {x.shape}; use diagonal or diagflat")
    n = x.size + abs(k)
    part, _ = _slice_of_diagonal(n, n, k)
    return scatter_add(x, part, (n * n,)).reshape(n, n)


@composite(numpy=[np.diagflat], method=False)
def diagflat(x: Tensor, k: int = 0) -> Any:
    """Return the square matrix with all entries of the tensor, flattened, on its k-th diagonal."""
    return diag(x.reshape(-1), k)


@composite(numpy=[np.vander], method=False)
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Any:
    """Return the powers of each entry, n - 1 to 0, or 0 to n - 1 if `increasing`, in a row: (m,) -> (m, n)."""
    if x.ndim != 1:
        raise ValueError(f"vander takes a vector, got shape {x.shape}")
    n = x.size if N is None else operator.index(N)
    powers = np.arange(n) if increasing else np.arange(n)[::-1]
    kept = np.result_type(x.dtype, int)
    return x.astype(kept)[:, None] ** powers.astype(kept)


# Samples for tests: a tuple stands for random values of that shape.

repeat.samples = [
    sample((2, 3), repeats=2, axis=-1), sample((2, 3), repeats=[2, 0, 1], axis=1), sample((2, 2), repeats=[1, 2, 0, 3]),
    sample((), repeats=3), sample((), repeats=[2]), sample((0, 3), repeats=2), sample((2, 1), repeats=0, axis=0),
]  # fmt: skip
tile.samples = [
    sample((2, 3), reps=(2, 1)), sample((2, 3), reps=2), sample((2,), reps=(2, 1, 3)), sample((), reps=3),
    sample((), reps=()), sample((0, 3), reps=(2, 2)), sample((2, 1), reps=(0, 2)),
]  # fmt: skip
roll.samples = [
    sample((2, 3), shift=1, axis=-1), sample((2, 3), shift=(-2, 7), axis=(0, 1)), sample((2, 3), shift=-1),
    sample((2, 3), shift=1, axis=(0, 1)), sample((), shift=2), sample((0, 3), shift=1, axis=0),
    sample((4,), shift=(1, 2), axis=0),
]  # fmt: skip
fftshift.samples = ifftshift.samples = [
    sample((2, 3)), sample((2, 3), axes=-1), sample((3, 2), axes=(0, 1)), sample((0, 3)),
]  # fmt: skip
flip.samples = [sample((2, 3)), sample((2, 3, 2), axis=(0, -1)), sample((2, 3), axis=1), sample(()), sample((0, 3))]
fliplr.samples = [sample((2, 3)), sample((2, 3, 2)), sample((2, 0))]
flipud.samples = [sample((2, 3)), sample((3,)), sample((0, 3))]
rot90.samples = [
    sample((2, 3)), sample((2, 3, 2), k=2, axes=(1, -1)), sample((2, 3, 2), k=-1, axes=(2, 0)), sample((2, 3), k=4),
    sample((0, 3), k=3),
]  # fmt: skip
tril.samples = triu.samples = [
    sample((3, 4)), sample((2, 4, 3), k=1), sample((3, 3), k=-2), sample((2, 2), k=9), sample((3,)), sample((0, 3)),
]  # fmt: skip
diagonal.samples = [
    sample((3, 4)), sample((2, 3, 4), offset=-1, axis1=-1, axis2=0), sample((3, 2), offset=1), sample((0, 3)),
    sample((2, 3), offset=7), sample((2, 4, 3), offset=1, axis1=1, axis2=2),
]  # fmt: skip
trace.samples = [
    sample((3, 4)), sample((2, 3, 4), offset=-1, axis1=-1, axis2=0), sample((0, 3)), sample((2, 3), offset=3),
]  # fmt: skip
_diagonal_of_matrices.samples = [sample((2, 3, 4)), sample((3, 2), offset=-1), sample((2, 2), offset=3), sample((0, 3))]
_trace_of_matrices.samples = [sample((2, 3, 4)), sample((3, 2), offset=-1), sample((0, 3))]
diag.samples = [
    sample((3, 4)), sample((3,), k=-1), sample((2, 3), k=1), sample((2,), k=2), sample((0,)), sample((0, 3), k=1),
]  # fmt: skip
diagflat.samples = [sample((2, 2)), sample((2,), k=-1), sample((), k=1), sample((0,))]
vander.samples = [
    sample((3,)), sample((2,), N=4, increasing=True), sample((3,), N=1), sample((0,)),
    sample(np.array([0.0, 2.0]), N=3),
]  # fmt: skip
