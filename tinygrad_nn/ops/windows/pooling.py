"""Pooling: the largest entry, or the mean, of each window that slides over the spatial axes."""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np

from ...tensor.creation import array_of
from ...tensor.declaring import composite, primitive, sample
from ...tensor.handle import Tensor
from .sliding import Windows, in_float32, per_axis, windows_over, with_batch, without_batch


def _combined(combine: Any, start: Any, x: Any, windows: Windows) -> Any:
    """Return the combination of all entries of each window, computed one axis after the other."""
    for axis, pairs in enumerate(windows.along(x.shape[2:]), start=2):
        shape = (*x.shape[:axis], windows.counts[axis - 2], *x.shape[axis + 1 :])
        y = np.full_like(x, start, shape=shape)
        for into, source in pairs:
            combine(y[into], x[source], out=y[into])
        x = y
    return x


@primitive(method=False, masks=True, name="window_maximum")
def _maximum(x: Any, /, windows: Windows) -> Any:
    """Return the largest entry of each window; k tied entries share the gradient, 1/k each."""
    if x.dtype.kind not in "fiub":
        raise TypeError(f"numbers of dtype {x.dtype} have no order; convert them first, as in abs(t)")
    lowest = -np.inf if x.dtype.kind == "f" else False if x.dtype == bool else np.iinfo(x.dtype).min
    return _combined(np.maximum, lowest, x, windows)


def _chosen(x: Any, largest: Any, windows: Windows) -> tuple[list[Any], Any]:
    """Return where each window's largest entries are, by position in the window, and how many there are."""
    found = [(into, source, x[source] == largest[into]) for _, into, source in windows.positions(x.shape[2:])]
    ties = np.zeros_like(largest, np.min_scalar_type(len(found)))
    for into, _, chosen in found:
        ties[into] += chosen.view(np.uint8)
    return found, np.maximum(ties, 1)


def _only(x: Any) -> Any:
    """Return the fastest function of parts of x and masks that gives 0 outside the mask."""
    return np.multiply if np.isfinite(x).all() else lambda part, chosen: np.where(chosen, part, 0)


@primitive(linear=True, method=False, name="to_maximum")
@in_float32
def _to_maximum(z: Any, x: Any, largest: Any, /, windows: Windows) -> Any:
    """Return each window's `z`, added to the window's largest entries in equal shares."""
    found, ties = _chosen(x, largest, windows)
    shares = np.divide(z, ties, out=np.empty_like(ties, z.dtype))
    only, total = _only(shares), np.zeros_like(x, z.dtype)
    for into, source, chosen in found:
        part = only(shares[into], chosen)
        if windows.apart():
            total[source] = part
        else:
            total[source] += part
    return total


@primitive(linear=True, method=False, masks=True, name="at_maximum")
@in_float32
def _at_maximum(z: Any, x: Any, largest: Any, /, windows: Windows) -> Any:
    """Return the mean of `z` over each window's largest entries."""
    found, ties = _chosen(x, largest, windows)
    only, total = _only(z), np.zeros_like(largest, z.dtype)
    for into, source, chosen in found:
        total[into] += only(z[source], chosen)
    return (total / ties).astype(z.dtype, copy=False)


_maximum.vjp(lambda g, x, y, windows: _to_maximum.kernel(g, x, y, windows=windows))
_to_maximum.vjp(lambda g, x, largest, windows: _at_maximum.kernel(g, x, largest, windows=windows), None, None)
_at_maximum.vjp(lambda g, x, largest, windows: _to_maximum.kernel(g, x, largest, windows=windows), None, None)


@primitive(linear=True, method=False, masks=True, name="window_sum")
@in_float32
def _window_sum(x: Any, /, windows: Windows) -> Any:
    """Return the sum of each window's entries."""
    return _combined(np.add, 0, x, windows)


@primitive(linear=True, method=False, masks=True, name="spread_windows")
@in_float32
def _spread(z: Any, /, windows: Windows, lengths: tuple[int, ...]) -> Any:
    """Return, for each entry of an array of these spatial lengths, the sum of `z` over the windows that contain it."""
    for axis, pairs in reversed(list(enumerate(windows.along(lengths), start=2))):
        total = np.zeros_like(z, shape=(*z.shape[:axis], lengths[axis - 2], *z.shape[axis + 1 :]))
        for into, source in pairs:
            total[source] += z[into]
        z = total
    return z


_window_sum.vjp(lambda g, x_shape, windows: _spread.kernel(g, windows=windows, lengths=x_shape[2:]))
_spread.vjp(lambda g, windows: _window_sum.kernel(g, windows=windows))


def _pooled(
    name: str, ndim: int, x: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> tuple[Tensor, Windows]:
    """Return the input with a batch axis, and the windows over it. Raises ValueError if a window is padding alone."""
    x = with_batch(name, x, ndim)
    kernel, dilation = per_axis(kernel_size, ndim, "kernel_size", 1), per_axis(dilation, ndim, "dilation", 1)
    stride = kernel if stride is None else per_axis(stride, ndim, "stride", 1)
    pads = per_axis(padding, ndim, "padding", 0)
    if any(2 * p > (k - 1) * d + 1 for p, k, d in zip(pads, kernel, dilation, strict=True)):
        raise ValueError(f"padding {padding} is more than half the span of kernel {kernel}; pad less, or pad first")
    return x, windows_over(x.shape[2:], kernel, stride, [(p, p) for p in pads], dilation, ceil_mode)


def _sizes(windows: Windows, lengths: tuple[int, ...], count_include_pad: bool) -> Any:
    """Return how many entries each window has, with or without those in the padding. Shapes: -> windows.counts."""
    sizes = []
    for k, s, p, _, count, n in zip(*windows, lengths, strict=True):
        starts = s * np.arange(count) - p
        low, high = (-p, n + p) if count_include_pad else (0, n)
        sizes.append(np.minimum(starts + k, high) - np.maximum(starts, low))
    return functools.reduce(np.multiply.outer, sizes)


def _pools(ndim: int) -> tuple[Any, Any]:
    """Return max_pool and avg_pool over `ndim` spatial axes."""
    lengths, pair = (5, 4, 3)[:ndim], (1, 1, 2)[-ndim:]
    common = [
        sample((2, 2, *lengths), kernel_size=2), sample((0, 2, *lengths), kernel_size=1),
        sample((1, *lengths), kernel_size=(3, 2, 2)[:ndim], stride=1, padding=1),
        sample((1, 1, *lengths), kernel_size=2, stride=3, ceil_mode=True),
    ]  # fmt: skip

    @composite(method=False, name=f"max_pool{ndim}d")
    def max_pool(
        input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, *,
        ceil_mode: bool = False,
    ) -> Tensor:  # fmt: skip
        """Return the largest entry of each window, in PyTorch's layout; k tied entries share the gradient, 1/k each.

        Shapes: (N, C, *lengths) or (C, *lengths). Each length n becomes (n + 2p - d(k - 1) - 1) // s + 1, with the
        kernel's size k, stride s (default: k), padding p and dilation d. Raises ValueError if the kernel is longer than
        the padded input, or if a window could be padding alone. Source: Scherer et al. (2010).
        """
        x, windows = _pooled(max_pool.__name__, ndim, input, kernel_size, stride, padding, dilation, ceil_mode)
        return without_batch(_maximum(x, windows=windows), input)

    max_pool.samples = [
        *common, sample(np.ones((1, 1, *pair)), kernel_size=pair),
        sample((1, 1, *lengths), kernel_size=2, stride=1, dilation=2),
    ]  # fmt: skip

    @composite(method=False, name=f"avg_pool{ndim}d")
    def avg_pool(
        input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> Tensor:  # fmt: skip
        """Return the mean of each window, in PyTorch's layout; padding counts as zeros, or is left out.

        Shapes: (N, C, *lengths) or (C, *lengths). Each length n becomes (n + 2p - k) // s + 1, with the kernel's size
        k, stride s (default: k) and padding p. `divisor_override` replaces the number of entries as the divisor. Raises
        ValueError if the kernel is longer than the padded input. Source: LeCun et al. (1998).
        """
        x, windows = _pooled(avg_pool.__name__, ndim, input, kernel_size, stride, padding, 1, ceil_mode)
        y = _window_sum(x, windows=windows)
        sizes = _sizes(windows, x.shape[2:], count_include_pad) if divisor_override is None else divisor_override
        return without_batch(y / array_of(sizes, y.dtype if y.dtype.kind == "f" else float), input)

    avg_pool.samples = [
        *common, sample((1, 1, *lengths), kernel_size=2, stride=1, padding=1, count_include_pad=False),
        sample((1, 1, *lengths), kernel_size=2, divisor_override=3),
    ]  # fmt: skip

    return max_pool, avg_pool


_PAIRS = [_pools(ndim) for ndim in (1, 2, 3)]
max_pool1d: Final = _PAIRS[0][0]
avg_pool1d: Final = _PAIRS[0][1]
max_pool2d: Final = _PAIRS[1][0]
avg_pool2d: Final = _PAIRS[1][1]


# Samples for tests: a tuple stands for random values of that shape.

_OVERLAPPING = Windows((3, 2), (2, 1), (1, 0), (1, 2), (3, 2))
_TILING = Windows((2, 2), (2, 2), (0, 0), (1, 1), (1, 2))
_TIES = np.array([[[1.0, 1.0, 0.0, 2.0, 2.0, 2.0]]])
_THREES = Windows((3,), (2,), (1,), (1,), (3,))
_maximum.samples = [
    sample((2, 1, 5, 4), windows=_OVERLAPPING), sample((0, 1, 2, 4), windows=_TILING),
    sample((1, 2, 7), windows=Windows((2,), (3,), (0,), (1,), (2,))), sample(_TIES, windows=_THREES),
]  # fmt: skip
_PEAKS = np.array([[[[5.0, 7.0]]], [[[13.0, 15.0]]]])
_RISING = np.arange(16.0).reshape(2, 1, 2, 4)
_to_maximum.samples = [
    sample((1, 1, 3), _TIES, np.array([[[1.0, 2.0, 2.0]]]), windows=_THREES),
    sample((2, 1, 1, 2), _RISING, _PEAKS, windows=_TILING),
    sample((0, 1, 1, 2), (0, 1, 2, 4), (0, 1, 1, 2), windows=_TILING),
]  # fmt: skip
_at_maximum.samples = [
    sample((1, 1, 6), _TIES, np.array([[[1.0, 2.0, 2.0]]]), windows=_THREES),
    sample((2, 1, 2, 4), _RISING, _PEAKS, windows=_TILING),
    sample((0, 1, 2, 4), (0, 1, 2, 4), (0, 1, 1, 2), windows=_TILING),
]  # fmt: skip
_window_sum.samples = [
    sample((2, 1, 5, 4), windows=_OVERLAPPING), sample((0, 1, 2, 4), windows=_TILING),
    sample((1, 2, 7), windows=Windows((2,), (3,), (0,), (1,), (2,))),
]  # fmt: skip
_spread.samples = [
    sample((2, 1, 3, 2), windows=_OVERLAPPING, lengths=(5, 4)), sample((0, 1, 1, 2), windows=_TILING, lengths=(2, 4)),
    sample((1, 2, 2), windows=Windows((2,), (3,), (0,), (1,), (2,)), lengths=(7,)),
]  # fmt: skip
