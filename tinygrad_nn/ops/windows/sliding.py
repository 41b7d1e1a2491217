"""Windows that slide over an array: where they lie, views of them, and their overlapping sums."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ...tensor.creation import array_of
from ...tensor.declaring import primitive, sample
from ...tensor.handle import Tensor
from ..axes import all_axes

_SPATIAL = {1: "L", 2: "H, W", 3: "D, H, W"}
Index = tuple[Any, ...]


def reach(offset: int, length: int, count: int, step: int) -> tuple[slice, slice]:
    """Return which of `count` indices offset, offset + step, ... lie in range(length), and the entries there."""
    first = max(0, -(offset // step))
    last = max(first, min(count, (length - 1 - offset) // step + 1))
    start = first * step + offset
    return slice(first, last), slice(start, start + (last - first) * step, step)


class Windows(NamedTuple):
    """How a kernel slides over the last axes of an array; each field has one number per axis.

    Window w reads the entries w * stride + i * dilation - padding for i in range(kernel); those outside the array are
    missing. There are `counts` windows.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    counts: tuple[int, ...]

    def behind_an_axis(self) -> Windows:
        """Return the windows over an array with one more axis, of length 1, before the others."""
        return Windows(*[(first, *numbers) for first, numbers in zip((1, 1, 0, 1, 1), self, strict=True)])

    def apart(self) -> bool:
        """Return whether no two windows share an entry."""
        return all(s > d * (k - 1) for k, s, _, d, _ in zip(*self, strict=True))

    def mirrored(self, lengths: tuple[int, ...]) -> Windows:
        """Return the windows of the mirrored kernel that lead back, with stride 1, from the counts to the lengths."""
        fields = zip(self.dilation, self.kernel, self.padding, strict=True)
        return self._replace(padding=tuple(d * (k - 1) - p for d, k, p in fields), counts=lengths)

    def positions(self, lengths: Iterable[int]) -> Iterator[tuple[tuple[int, ...], Index, Index]]:
        """Yield each position in the kernel, the windows that have an entry there, and those entries."""
        fields = zip(*self, lengths, strict=True)
        axes = [[reach(i * d - p, length, count, s) for i in range(k)] for k, s, p, d, count, length in fields]
        for position in np.ndindex(*self.kernel):
            pairs = [axis[i] for axis, i in zip(axes, position, strict=True)]
            yield position, (..., *[into for into, _ in pairs]), (..., *[source for _, source in pairs])

    def along(self, lengths: Iterable[int]) -> Iterator[list[tuple[Index, Index]]]:
        """Yield, for each axis, the `positions` of the windows along it alone, as indices of an array with all axes."""
        for axis, (*one, length) in enumerate(zip(*self, lengths, strict=True)):
            alone = Windows(*[(number,) for number in one])
            rest = (slice(None),) * (len(self.kernel) - axis - 1)
            yield [((*into, *rest), (*source, *rest)) for _, into, source in alone.positions([length])]


def per_axis(value: Any, ndim: int, name: str, least: int) -> tuple[int, ...]:
    """Return a parameter as one integer per axis. Raises ValueError if there are more or fewer, or one is too small."""
    found = list(value) if isinstance(value, Iterable) else [value]
    numbers = tuple([operator.index(n) for n in found if hasattr(n, "__index__") and not np.ndim(n)])
    numbers = numbers * ndim if len(found) == 1 else numbers
    if len(numbers) != ndim or any(n < least for n in numbers):
        raise ValueError(f"{name} is {value!r}; give one integer{f', or {ndim},' * (ndim > 1)} of at least {least}")
    return numbers


def windows_over(
    lengths: tuple[int, ...], kernel: Any, stride: Any, pads: list[tuple[int, int]], dilation: Any, ceil: bool = False
) -> Windows:
    """Return the windows that fit, with `pads` entries before and after each axis; with `ceil`, the last may stick out.

    A window that would start after the array doesn't count. Raises ValueError if the kernel is longer than an axis.
    """
    counts = []
    for axis, (n, k, s, (before, after), d) in enumerate(zip(lengths, kernel, stride, pads, dilation, strict=True)):
        room = before + n + after - (k - 1) * d - 1 + (s - 1) * ceil
        if room < 0:
            raise ValueError(
                f"the kernel spans {(k - 1) * d + 1} entries of spatial axis {axis}, which has {n} and padding "
                f"{before} + {after}: {-room} too few; pad it, or take a smaller kernel or dilation"
            )
        count = room // s + 1
        counts.append(count - ((count - 1) * s >= before + n) if ceil else count)
    return Windows(tuple(kernel), tuple(stride), tuple(before for before, _ in pads), tuple(dilation), tuple(counts))


def with_batch(name: str, x: Tensor, ndim: int) -> Tensor:
    """Return the input with a batch axis. Shapes: (N, C, *lengths) or (C, *lengths) -> (N, C, *lengths)."""
    if x.ndim not in (ndim + 1, ndim + 2):
        axes = f"C, {_SPATIAL[ndim]}"
        raise ValueError(f"{name} takes an input of shape (N, {axes}) or ({axes}), got {x.shape}")
    return x if x.ndim == ndim + 2 else x.reshape(1, *x.shape)


def without_batch(y: Tensor, x: Tensor) -> Tensor:
    """Return the result without the batch axis that the input doesn't have."""
    return y if x.ndim == y.ndim else y.reshape(y.shape[1:])


def in_float32(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function for float16 too: computed in float32, and rounded once."""

    @functools.wraps(forward)
    def computed(*arrays: Any, **parameters: Any) -> Any:
        given = [a if a is None else array_of(a) for a in arrays]
        if all(a is None or a.dtype.char != "e" for a in given):
            return forward(*given, **parameters)
        dtype = np.result_type(*[a for a in given if a is not None])
        wide = [a if a is None or a.dtype.char != "e" else a.astype(np.float32) for a in given]
        return forward(*wide, **parameters).astype(dtype, copy=False)

    return computed


def _window_shape(window_shape: Any, inputs: Any) -> tuple[int, ...]:
    return tuple(window_shape) if isinstance(window_shape, Iterable) else (operator.index(window_shape),)


def _slid_axes(axis: Any, inputs: Any) -> tuple[int, ...]:
    return all_axes(axis, np.ndim(inputs[0]), may_repeat=True)


@primitive(
    numpy=[np.lib.stride_tricks.sliding_window_view], linear=True, method=False, window_shape=_window_shape,
    axis=_slid_axes,
)  # fmt: skip
def sliding_window_view(x: Any, /, window_shape: Any, axis: Any = None) -> Any:
    """Return a read-only view of all windows of a shape. Shapes: (..., n, ...) -> (..., n - k + 1, ..., k)."""
    return np.lib.stride_tricks.sliding_window_view(x, window_shape, axis)


def _added_axes(axis: Any, inputs: Any) -> tuple[int, ...]:
    ndim = np.ndim(inputs[0])
    if axis is not None:
        return all_axes(axis, ndim - np.size(axis), may_repeat=True)
    if ndim % 2:
        raise ValueError(f"overlap_add needs as many window axes as others, got {ndim} axes; name the axis that slides")
    return tuple(range(ndim // 2))


@primitive(linear=True, method=False, axis=_added_axes)
@in_float32
def overlap_add(x: Any, /, axis: Any = None) -> Any:
    """Return the sum of windows, in the last axes, each added where sliding_window_view would take it from.

    Shapes: (..., m, ..., k) -> (..., m + k - 1, ...). By default there are as many window axes as others.
    """
    for one in reversed(axis):
        x = _antidiagonal_sums(np.moveaxis(x, one, -2), one)
    return x


def _antidiagonal_sums(x: Any, axis: int) -> Any:
    """Return the m + k - 1 sums over the antidiagonals of the last two axes, along the given axis."""
    if x.shape[-1] > x.shape[-2]:
        x = x.swapaxes(-1, -2)
    *others, n, short = x.shape
    y = np.zeros((*others, n + short - 1), x.dtype)
    for i in range(short):
        y[..., i : i + n] += x[..., i]
    return np.moveaxis(y, -1, axis)


sliding_window_view.vjp(lambda g, axis: overlap_add.kernel(g, axis=axis))
overlap_add.vjp(
    lambda g, x_shape, axis: sliding_window_view.kernel(g, window_shape=x_shape[len(x_shape) - len(axis) :], axis=axis)
)


# Samples for tests: a tuple stands for random values of that shape.

sliding_window_view.samples = [
    sample((5,), window_shape=3), sample((3, 4), window_shape=(2, 3)), sample((2, 5), window_shape=2, axis=-1),
    sample((5, 2), window_shape=(2, 3), axis=(0, 0)), sample((), window_shape=()),
    sample((0, 3), window_shape=2, axis=1),
]  # fmt: skip
overlap_add.samples = [
    sample((3, 4)), sample((4, 3)), sample((2, 3, 2, 4)), sample((2, 4, 3), axis=-1), sample((3, 2, 2, 3), axis=(0, 0)),
    sample(()), sample((0, 2, 2), axis=1),
]  # fmt: skip
