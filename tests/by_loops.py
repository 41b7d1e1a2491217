"""Convolution, its derivatives and pooling by loops over their definition: what the operations are held against."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from by_folds import fold

Array = Any
Index = tuple[int, ...]


def slid(windows: Any, lengths: Any) -> Iterator[tuple[Index, Index, Index]]:
    """Yield every window, each of its positions that has an entry, and that entry's index."""
    for w in np.ndindex(*windows.counts):
        for i in np.ndindex(*windows.kernel):
            fields = zip(w, windows.stride, i, windows.dilation, windows.padding)
            entry = tuple(a * s + b * d - p for a, s, b, d, p in fields)
            if all(0 <= e < n for e, n in zip(entry, lengths)):
                yield w, i, entry


def read_by(o: int, outputs: int, inner: int, groups: int) -> slice:
    """Return the channels that output channel `o` reads."""
    first = o // (outputs // groups) * inner
    return slice(first, first + inner)


def convolution(x: Array, weight: Array, bias: Any = None, *, windows: Any, groups: int = 1) -> Array:
    y: Array = np.zeros((len(x), len(weight), *windows.counts))
    for (w, i, entry), o in itertools.product(slid(windows, x.shape[2:]), range(len(weight))):
        channels = read_by(o, len(weight), weight.shape[1], groups)
        y[(slice(None), o, *w)] += x[(slice(None), channels, *entry)] @ weight[(o, slice(None), *i)]
    return y if bias is None else y + np.reshape(bias, (-1, *(1,) * len(windows.counts)))


def transposed_convolution(z: Array, weight: Array, *, windows: Any, lengths: Any, groups: int = 1) -> Array:
    x: Array = np.zeros((len(z), weight.shape[1] * groups, *lengths))
    for (w, i, entry), o in itertools.product(slid(windows, lengths), range(len(weight))):
        channels = read_by(o, len(weight), weight.shape[1], groups)
        x[(slice(None), channels, *entry)] += np.outer(z[(slice(None), o, *w)], weight[(o, slice(None), *i)])
    return x


def convolution_weight(x: Array, z: Array, *, windows: Any, groups: int = 1) -> Array:
    weight: Array = np.zeros((z.shape[1], x.shape[1] // groups, *windows.kernel))
    for (w, i, entry), o in itertools.product(slid(windows, x.shape[2:]), range(len(weight))):
        channels = read_by(o, len(weight), weight.shape[1], groups)
        weight[(o, slice(None), *i)] += z[(slice(None), o, *w)] @ x[(slice(None), channels, *entry)]
    return weight


class Numbers:
    """PyTorch's arguments as one number for each axis."""

    def __init__(self, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1) -> None:
        n = len(kernel)
        self.kernel = tuple(kernel)
        self.stride, self.dilation = np.broadcast_to(stride, n), np.broadcast_to(dilation, n)
        spans = [d * (k - 1) for k, d in zip(self.kernel, self.dilation)]
        text: dict[str, Any] = {"same": [math.floor(span / 2) for span in spans], "valid": 0}
        self.padding = np.broadcast_to(text[padding] if isinstance(padding, str) else padding, n)
        self.behind = [span - p if padding == "same" else p for span, p in zip(spans, self.padding)]
        self.counts: Any = None

    def over(self, lengths: Any) -> Numbers:
        room = zip(lengths, self.padding, self.behind, self.dilation, self.kernel, self.stride)
        self.counts = tuple(len(range(0, n + p + q - d * (k - 1), s)) for n, p, q, d, k, s in room)
        return self


def batched(x: Array, ndim: int) -> Array:
    return x if x.ndim == ndim + 2 else x[None]


def conv(x: Array, weight: Array, bias: Any = None, groups: int = 1, **parameters: Any) -> Array:
    many = batched(x, weight.ndim - 2)
    windows = Numbers(weight.shape[2:], **parameters).over(many.shape[2:])
    y = convolution(many, weight, bias, windows=windows, groups=groups)
    return y if x is many else y[0]


def conv_transpose(
    x: Array, weight: Array, bias: Any = None, groups: int = 1, output_padding: int = 0, **parameters: Any
) -> Array:
    many, windows = batched(x, weight.ndim - 2), Numbers(weight.shape[2:], **parameters)
    windows.counts = many.shape[2:]
    fields = zip(windows.counts, windows.stride, windows.padding, windows.dilation, windows.kernel)
    lengths = [(n - 1) * s - 2 * p + d * (k - 1) + 1 + output_padding for n, s, p, d, k in fields]
    y = transposed_convolution(many, weight, windows=windows, lengths=lengths, groups=groups)
    y = y if bias is None else y + np.reshape(bias, (-1, *(1,) * len(lengths)))
    return y if x is many else y[0]


def read(windows: Any, lengths: Any) -> dict[Index, list[Index]]:
    """Return the entries that each window reads."""
    found: dict[Index, list[Index]] = {w: [] for w in np.ndindex(*windows.counts)}
    for w, _, entry in slid(windows, lengths):
        found[w].append(entry)
    return found


def of_each(reduce: Any, x: Array, windows: Any) -> Array:
    y: Array = np.zeros((*x.shape[:2], *windows.counts))
    for w, entries in read(windows, x.shape[2:]).items():
        y[(..., *w)] = reduce(np.stack([x[(..., *entry)] for entry in entries]), axis=0)
    return y


def spread_windows(g: Array, *, windows: Any, lengths: Any) -> Array:
    x: Array = np.zeros((*g.shape[:2], *lengths))
    for w, _, entry in slid(windows, lengths):
        x[(..., *entry)] += g[(..., *w)]
    return x


def to_maximum(g: Array, x: Array, y: Array, *, windows: Any) -> Array:
    found: Array = np.zeros(x.shape)
    for w, entries in read(windows, x.shape[2:]).items():
        for n, c in np.ndindex(*x.shape[:2]):
            tied = [entry for entry in entries if x[(n, c, *entry)] == y[(n, c, *w)]]
            for entry in tied:
                found[(n, c, *entry)] += g[(n, c, *w)] / len(tied)
    return found


def at_maximum(c: Array, x: Array, y: Array, *, windows: Any) -> Array:
    """Return the transpose of `to_maximum`, entry by entry."""
    found: Array = np.zeros(y.shape)
    for place in np.ndindex(*y.shape):
        unit = np.zeros(y.shape)
        unit[place] = 1
        found[place] = np.sum(c * to_maximum(unit, x, y, windows=windows))
    return found


def pooling(x: Array, ndim: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    kernel = tuple(int(k) for k in np.broadcast_to(kernel_size, ndim))
    windows = Numbers(kernel, kernel if stride is None else stride, padding, dilation)
    counts = []
    for n, k, s, p, d in zip(x.shape[-ndim:], kernel, windows.stride, windows.padding, windows.dilation):
        ends = [start + d * (k - 1) + 1 for start in range(-p, n, s)]
        counts.append(sum(end <= n + p + (s - 1) * ceil_mode for end in ends))
    windows.counts = tuple(counts)
    return windows


def max_pool(
    x: Array, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, *, ndim: int,
) -> Array:  # fmt: skip
    windows = pooling(x, ndim, kernel_size, stride, padding, dilation, ceil_mode)
    y = of_each(partial(fold, np.maximum), batched(x, ndim), windows)
    return y if x.ndim == ndim + 2 else y[0]


def avg_pool(
    x: Array, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: Any = None, *, ndim: int,
) -> Array:  # fmt: skip
    windows = pooling(x, ndim, kernel_size, stride, padding, 1, ceil_mode)
    total = of_each(partial(fold, np.add), batched(x, ndim), windows)
    lengths, padded = x.shape[-ndim:], Numbers(windows.kernel, windows.stride)
    if count_include_pad:
        lengths, padded.counts = [n + 2 * p for n, p in zip(lengths, windows.padding)], windows.counts
    sizes = of_each(partial(fold, np.add), np.ones((1, 1, *lengths)), padded if count_include_pad else windows)
    y = total / (sizes if divisor_override is None else divisor_override)
    return y if x.ndim == ndim + 2 else y[0]


def overlap_add(x: Array, axis: Any = None) -> Array:
    ndim = x.ndim // 2 if axis is None else x.ndim - np.size(axis)
    axes = range(ndim) if axis is None else [a % ndim for a in np.atleast_1d(axis)]
    lengths = list(x.shape[:ndim])
    for a, k in zip(axes, x.shape[ndim:]):
        lengths[a] += k - 1
    y: Array = np.zeros(lengths)
    for place in np.ndindex(*x.shape):
        entry = list(place[:ndim])
        for a, i in zip(axes, place[ndim:]):
            entry[a] += i
        y[tuple(entry)] += x[place]
    return y


def convolved(a: Array, v: Array, mode: str = "full") -> Array:
    """Return the sums of products of entries whose places add up to one number."""
    full: Array = np.zeros(np.size(a) + np.size(v) - 1, np.result_type(a, v))
    for (i, p), (j, q) in itertools.product(enumerate(np.atleast_1d(a)), enumerate(np.atleast_1d(v))):
        full[i + j] += p * q
    shorter, longer = sorted([np.size(a), np.size(v)])
    first = {"full": 0, "same": (shorter - 1) // 2, "valid": shorter - 1}[mode]
    return full[first : first + {"full": len(full), "same": longer, "valid": longer - shorter + 1}[mode]]


def correlated(a: Array, v: Array, mode: str = "valid") -> Array:
    """Return the sums of products of entries whose places differ by one number, from the least to the largest."""
    a, v = np.atleast_1d(a), np.conj(np.atleast_1d(v))
    return convolved(a, v[::-1], mode) if len(a) >= len(v) else convolved(v, a[::-1], mode)[::-1]


REFERENCES: dict[str, Any] = {
    "convolution": convolution,
    "transposed_convolution": transposed_convolution,
    "convolution_weight": convolution_weight,
    "window_maximum": lambda x, windows: of_each(partial(fold, np.maximum), x, windows),
    "window_sum": lambda x, windows: of_each(partial(fold, np.add), x, windows),
    "spread_windows": spread_windows,
    "to_maximum": to_maximum,
    "at_maximum": at_maximum,
    "overlap_add": overlap_add,
    "full_convolution": convolved,
    "valid_correlation": correlated,
}
for _n in (1, 2, 3):
    REFERENCES |= {f"conv{_n}d": conv, f"conv_transpose{_n}d": conv_transpose}
    REFERENCES |= {f"max_pool{_n}d": partial(max_pool, ndim=_n), f"avg_pool{_n}d": partial(avg_pool, ndim=_n)}

# What the generic tests need to know: which operations have no public name, need spatial axes, take
# inputs that meet along windows rather than entry by entry, need at least one entry, or have ties.

OVER_SPACE = [f"{kind}{n}d" for kind in ("conv", "conv_transpose", "max_pool", "avg_pool") for n in (1, 2, 3)]
TAKE_WINDOWS = {
    "convolution", "transposed_convolution", "convolution_weight", "window_maximum", "window_sum", "spread_windows",
    "to_maximum", "at_maximum",
}  # fmt: skip
SPATIAL = {*OVER_SPACE, *TAKE_WINDOWS}
SEQUENCES = {"convolve", "correlate", "full_convolution", "valid_correlation"}
PRIVATE = {*TAKE_WINDOWS, "full_convolution", "valid_correlation"}
MEET_ALONG_WINDOWS = {*SEQUENCES, *[name for name in OVER_SPACE if name.startswith("conv")]}
TIED = {"window_maximum", *[name for name in OVER_SPACE if name.startswith("max")]}
