"""Sums of products over windows, on plain arrays: the computations of convolution and its derivatives.

The entries that windows read are copied into a matrix, except along the first spatial axis: a row of columns holds one
row of all images, and each row of the kernel is multiplied with a slice of the matrix. So a 3 x 3 kernel copies every
entry 3 times instead of 9. The batch is the last axis. So a slice of rows is one matrix for all images, which BLAS
takes without a copy, and NumPy's inner loops run along the batch. Results are views of such a matrix; relu and pooling
keep its order, in which pooling takes half the time.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .sliding import Windows, reach


class _Columns(NamedTuple):
    """The layout of the matrix: its shape before flattening, the sources of its entries, and the slices.

    Image rows with different remainders modulo the stride lie in separate blocks, so that each slice is contiguous.
    """

    shape: tuple[int, ...]
    pairs: list[tuple[Any, Any]]
    slices: list[slice]

    def flat(self, groups: int) -> tuple[int, int, int]:
        """Return the shape (groups, C / groups * other axes of the kernel, columns)."""
        ndim = len(self.shape) // 2 - 1
        return groups, math.prod(self.shape[:ndim]) // groups, math.prod(self.shape[ndim:])


def _columns(batch: int, channels: int, lengths: tuple[int, ...], windows: Windows) -> _Columns:
    """Return the layout of the matrix of the windows over arrays of shape (batch, channels, *lengths)."""
    step, count = windows.stride[0], windows.counts[0]
    starts = [i * windows.dilation[0] for i in range(windows.kernel[0])]
    blocks = sorted({start % step for start in starts})
    height = starts[-1] // step + count
    others = Windows(*[numbers[1:] for numbers in windows])
    pairs = []
    for number, block in enumerate(blocks):
        into_rows, rows = reach(block - windows.padding[0], lengths[0], height, step)
        for position, (_, *into), (_, *source) in others.positions(lengths[1:]):
            target = (slice(None), *position, number, into_rows, *into)
            pairs.append((target, (slice(None), rows, *source)))
    row = batch * math.prod(others.counts)
    firsts = [row * (height * blocks.index(start % step) + start // step) for start in starts]
    shape = (channels, *others.kernel, len(blocks), height, *others.counts, batch)
    return _Columns(shape, pairs, [slice(first, first + row * count) for first in firsts])


def _batch_last(x: Any) -> Any:
    """Return the array in the order of the columns. Shapes: (N, C, *lengths) -> (C, *lengths, N)."""
    y = np.moveaxis(x, 0, -1)
    if y.flags.c_contiguous:
        return y
    y = np.empty(y.shape, x.dtype)
    for n in range(0, len(x), 16):  # images a power of two apart map to few cache lines, and would evict each other
        y[..., n : n + 16] = np.moveaxis(x[n : n + 16], 0, -1)
    return y


def _filled(x: Any, columns: _Columns, groups: int) -> Any:
    """Return the matrix of `x`. Shapes: (N, C, *lengths) -> columns.flat(groups)."""
    matrix, source = np.zeros(columns.shape, x.dtype), _batch_last(x)
    for into, entries in columns.pairs:
        matrix[into] = source[entries]
    return matrix.reshape(columns.flat(groups))


def _rows(z: Any, groups: int) -> Any:
    """Return results in the order of the columns. Shapes: (N, O, *counts) -> (groups, O / groups, columns)."""
    n, channels, *counts = z.shape
    return _batch_last(z).reshape(groups, channels // groups, n * math.prod(counts))


def _kernel_rows(weight: Any, groups: int) -> list[Any]:
    """Return a matrix for each row of the kernel. Shapes: (O, C, k, ...) -> k times (groups, O / groups, C * ...)."""
    channels, inner, rows, *others = weight.shape
    return [weight[:, :, i].reshape(groups, channels // groups, inner * math.prod(others)) for i in range(rows)]


def _copies_all(inner: int, results: int, windows: Windows) -> bool:
    """Return whether also copying along the first axis is cheaper than adding up results row by row."""
    return windows.kernel[0] > 1 and inner * math.prod(windows.kernel[1:]) <= results


def _gathered(x: Any, weight: Any, windows: Windows, groups: int) -> Any:
    """Return the convolution: the sum of each row of the kernel times its slice of the matrix."""
    if _copies_all(weight.shape[1], len(weight) // groups, windows):
        return _gathered(x[:, :, None], weight[:, :, None], windows.behind_an_axis(), groups)[:, :, 0]
    columns = _columns(len(x), x.shape[1], x.shape[2:], windows)
    matrix = _filled(x, columns, groups)
    (first, part), *more = zip(_kernel_rows(weight, groups), columns.slices, strict=True)
    y = first @ matrix[..., part]
    for row, part in more:
        np.add(y, row @ matrix[..., part], out=y)
    return np.moveaxis(y.reshape(len(weight), *windows.counts, len(x)), -1, 0)


def _scattered(z: Any, weight: Any, lengths: tuple[int, ...], windows: Windows, groups: int) -> Any:
    """Return the transposed convolution: each step of `_gathered` transposed, in reverse order."""
    channels, rows = groups * weight.shape[1], _rows(z, groups)
    columns = _columns(len(z), channels, lengths, windows)
    matrix = np.zeros(columns.flat(groups), np.result_type(z, weight))
    for row, part in zip(_kernel_rows(weight, groups), columns.slices, strict=True):
        matrix[..., part] += row.swapaxes(1, 2) @ rows
    matrix = matrix.reshape(columns.shape)
    x = np.zeros((channels, *lengths, len(z)), matrix.dtype)
    for into, source in columns.pairs:
        x[source] += matrix[into]
    return np.moveaxis(x, -1, 0)


# With stride 1, a transposed convolution is a convolution with the mirrored kernel. Gathering costs less the more
# results there are for each channel that is read, scattering the fewer; and gathering multiplies the padding, too.


def _mirrored(weight: Any, groups: int) -> Any:
    """Return the weight of the transpose. Shapes: (O, C / groups, ...) -> (C, O / groups, ...)."""
    channels, inner, *kernel = weight.shape
    swapped = weight.reshape(groups, channels // groups, inner, *kernel).swapaxes(1, 2)
    return np.flip(swapped.reshape(groups * inner, channels // groups, *kernel), tuple(range(2, weight.ndim)))


def convolved(x: Any, weight: Any, windows: Windows, groups: int) -> Any:
    """Return the convolution. Shapes: (N, C, *lengths), (O, C / groups, *kernel) -> (N, O, *counts)."""
    results, inner = weight.shape[0] // groups, weight.shape[1]
    if set(windows.stride) == {1} and 4 * results <= inner:
        return _scattered(x, _mirrored(weight, groups), windows.counts, windows.mirrored(x.shape[2:]), groups)
    return _gathered(x, weight, windows, groups)


def transposed(z: Any, weight: Any, lengths: tuple[int, ...], windows: Windows, groups: int) -> Any:
    """Return its transpose. Shapes: (N, O, *counts), (O, C / groups, *kernel) -> (N, C, *lengths)."""
    inner, results = weight.shape[0] // groups, weight.shape[1]
    if set(windows.stride) == {1} and 2 * results * math.prod(windows.counts) > inner * math.prod(lengths):
        return _gathered(z, _mirrored(weight, groups), windows.mirrored(lengths), groups)
    return _scattered(z, weight, lengths, windows, groups)


def correlated(x: Any, z: Any, windows: Windows, groups: int) -> Any:
    """Return the weight's gradient. Shapes: (N, C, *lengths), (N, O, *counts) -> (O, C / groups, *kernel)."""
    inner, results = x.shape[1] // groups, z.shape[1] // groups
    if _copies_all(inner, results, windows):
        return correlated(x[:, :, None], z[:, :, None], windows.behind_an_axis(), groups)[:, :, 0]
    columns = _columns(len(x), x.shape[1], x.shape[2:], windows)
    matrix, rows = _filled(x, columns, groups), _rows(z, groups)
    count, *others = windows.kernel
    weight = np.empty((groups, results, inner, count, *others), np.result_type(x, z))
    for i, part in enumerate(columns.slices):
        row = rows @ matrix[..., part].swapaxes(1, 2)
        weight[:, :, :, i] = row.reshape(groups, results, inner, *others)
    return weight.reshape(z.shape[1], inner, count, *others)
