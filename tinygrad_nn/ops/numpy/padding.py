"""Padding, in all of NumPy's modes."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from ...engine.arrays import raw
from ...tensor.creation import as_tensor
from ...tensor.declaring import composite, sample
from ...tensor.handle import Tensor
from ..axes import one_axis
from ..broadcasting import broadcast_to
from ..indexing import scatter_add
from ..joining import concatenate
from ..reduction import max, mean, min
from ..shaping import on_axis
from .quantiles import median


@composite(numpy=[np.pad], method=False)
def pad(x: Tensor, pad_width: Any, mode: str = "constant", **options: Any) -> Any:
    """Return the tensor with `pad_width` entries added before and after it along each axis.

    `pad_width` is one number, a pair (before, after), a pair for each axis, or a dict from axes to these. Modes, with
    their options: "constant" (constant_values, which may be tensors), "edge", "wrap", "reflect" and "symmetric"
    (reflect_type "even" or "odd"), "linear_ramp" (end_values, which may be tensors), "mean", "median", "maximum" and
    "minimum" (stat_length), and "empty", which pads with 0 here.
    """
    if callable(mode):
        raise TypeError("pad by a function that writes into an array is not recorded; join the parts: tg.concatenate")
    if mode not in _MODES:
        raise ValueError(f"mode must be one of {', '.join(_MODES)}, not {mode!r}")
    name, option, beside = _MODES[mode]
    if not options.keys() <= {name}:
        raise TypeError(f"unexpected keyword for mode {mode!r}: drop {sorted(options.keys() - {name})}")
    widths = _widths(pad_width, x.ndim)
    if x.dtype.kind != "f":
        plain: Any = {key: raw(value) for key, value in options.items()}
        return as_tensor(np.pad(x.data, widths, mode, **plain))  # type: ignore[call-overload]
    option = options.get(name, option)
    if mode == "empty" or (mode == "constant" and type(option) is int and option == 0):
        inner = tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True))
        return scatter_add(x, inner, tuple(n + b + a for n, (b, a) in zip(x.shape, widths, strict=True)))
    for axis, (width, choice) in enumerate(zip(widths, _pairs(option, x.ndim), strict=True)):
        if any(width):
            if not x.shape[axis] and mode != "constant":
                raise ValueError(f"can't extend empty axis {axis}; use mode 'constant' or 'empty'")
            before, after = beside(x, axis, width, choice, mode)
            x = concatenate([before, x, after], axis)
    return x.reshape(x.shape)


def _widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    """Return how many entries to add before and after, for each axis."""
    given = raw(pad_width)
    if isinstance(given, dict):
        named = {one_axis(axis, ndim): width for axis, width in given.items()}
        given = [np.broadcast_to(named.get(axis, 0), 2) for axis in range(ndim)] or 0
    counts = np.asarray(given)
    if counts.dtype.kind not in "iu":
        raise TypeError(f"pad_width counts entries, so it must be integers, not {counts.dtype}")
    if counts.size and counts.min() < 0:
        raise ValueError("pad_width can't be negative; to take entries away, use a slice")
    return [(int(before), int(after)) for before, after in np.broadcast_to(counts, (ndim, 2))]


def _pairs(option: Any, ndim: int) -> Any:
    """Return an option's value before and after, for each axis; it may be a tensor, or hold some."""
    if option is None or isinstance(option, (int, float, str)):
        return [(option, option)] * ndim
    both = broadcast_to(as_tensor(option), (ndim, 2))
    return [(both[axis, 0], both[axis, 1]) for axis in range(ndim)]


# For each mode: the entries before and after `x` along an axis, `width` of them, given the mode's option.


def _constants(x: Tensor, axis: int, width: tuple[int, int], values: Any, mode: str) -> list[Tensor]:
    values = [as_tensor(value).astype(x.dtype) for value in values]
    return [broadcast_to(v, (*x.shape[:axis], n, *x.shape[axis + 1 :])) for v, n in zip(values, width, strict=True)]


def _statistics(x: Tensor, axis: int, width: tuple[int, int], lengths: Any, mode: str) -> list[Tensor]:
    n, statistic = x.shape[axis], {"maximum": max, "minimum": min, "mean": mean, "median": median}[mode]
    first, last = [n if length is None else builtins.min(int(length), n) for length in lengths]
    chunks = x[on_axis(axis, slice(first))], x[on_axis(axis, slice(n - last, None))]
    values = [statistic(chunk, axis=axis, keepdims=True) for chunk in chunks]
    return [broadcast_to(v, (*x.shape[:axis], n, *x.shape[axis + 1 :])) for v, n in zip(values, width, strict=True)]


def _ramps(x: Tensor, axis: int, width: tuple[int, int], ends: Any, mode: str) -> list[Any]:
    def ramp(edge: Any, end: Any, steps: Any) -> Any:
        end = as_tensor(end).astype(x.dtype)
        return end + (edge - end) * _along(steps, x, axis)

    (before, after), (first, last) = width, _edges(x, axis)
    rising, falling = np.arange(before) / (before or 1), np.arange(after)[::-1] / (after or 1)
    return [ramp(first, ends[0], rising), ramp(last, ends[1], falling)]


_SOURCES: dict[str, Callable[[Any, int], Any]] = {  # which of n entries is copied to the positions i
    "edge": lambda i, n: np.clip(i, 0, n - 1),
    "wrap": lambda i, n: i % n,
    "reflect": lambda i, n: np.minimum(i % (2 * n - 2 or 1), -i % (2 * n - 2 or 1)),
    "symmetric": lambda i, n: np.minimum(i % (2 * n), (-1 - i) % (2 * n)),
}


def _copies(x: Tensor, axis: int, width: tuple[int, int], kinds: Any, mode: str) -> list[Any]:
    """Return copies of entries; beyond an odd mirror, each is as far from the edge in value as in position."""
    if kinds[0] not in ("even", "odd"):
        raise ValueError(f"reflect_type must be 'even' or 'odd', not {kinds[0]!r}")
    n = x.shape[axis]
    outside = np.arange(-width[0], 0), np.arange(n, n + width[1])
    before, after = (x[on_axis(axis, _SOURCES[mode](positions, n))] for positions in outside)
    if kinds[0] == "even" or n == 1:
        return [before, after]
    first, last = _edges(x, axis)
    once = n - (mode == "reflect")  # the entries of an image; after the first image follow images of images

    def turned(image: Any, outwards: Any, near: Any, far: Any) -> Any:
        pairs, odd = (outwards + once) // (2 * once), outwards % (2 * once) < once
        y = image * _along(1 - 2 * odd, x, axis) + near * _along(2 * (odd + pairs), x, axis)
        return y - far * _along(2 * pairs, x, axis) if pairs.any() else y

    return [turned(before, np.arange(width[0])[::-1], first, last), turned(after, np.arange(width[1]), last, first)]


def _edges(x: Tensor, axis: int) -> tuple[Any, Any]:
    """Return the first and the last entry along an axis, which is kept."""
    return x[on_axis(axis, slice(1))], x[on_axis(axis, slice(-1, None))]


def _along(factors: Any, x: Tensor, axis: int) -> Any:
    """Return one factor for each index along the axis, to be broadcast over the others, in x's dtype."""
    return factors.astype(x.dtype).reshape([-1 if i == axis else 1 for i in range(x.ndim)])


# Each mode with its option, the option's default, and the function of what is beside.
_MODES: dict[str, tuple[str, Any, Callable[..., list[Any]]]] = {
    "constant": ("constant_values", 0, _constants),
    "linear_ramp": ("end_values", 0, _ramps),
    "reflect": ("reflect_type", "even", _copies),
    "symmetric": ("reflect_type", "even", _copies),
    "edge": ("", "even", _copies),
    "wrap": ("", "even", _copies),
    **dict.fromkeys(("maximum", "minimum", "mean", "median"), ("stat_length", None, _statistics)),
    "empty": ("", 0, _constants),
}


# Samples for tests: a tuple stands for random values of that shape.

pad.samples = [
    sample((2, 3), pad_width=1, mode="constant"), sample((), pad_width=1), sample((0, 3), pad_width=1),
    sample((2, 3), pad_width=((1, 0), (0, 2)), constant_values=((1, 2), (3, 4))),
    sample((2, 3), pad_width=((1, 2), (4, 0)), mode="edge"), sample((2, 3), pad_width=((0, 3), (5, 1)), mode="wrap"),
    sample((3, 2), pad_width=4, mode="reflect"), sample((3, 1), pad_width=((7, 0), (1, 1)), mode="symmetric"),
    sample((3, 2), pad_width=(5, 2), mode="reflect", reflect_type="odd"),
    sample((3, 2), pad_width=(5, 2), mode="symmetric", reflect_type="odd"),
    sample((3, 2), pad_width=((1, 3), (0, 2)), mode="linear_ramp", end_values=((1, -2), (0, 3))),
    sample((3, 4), pad_width=1, mode="mean", stat_length=(1, 2)), sample((3, 2), pad_width=2, mode="maximum"),
    sample((4, 2), pad_width=1, mode="minimum", stat_length=3), sample((4, 3), pad_width=(2, 1), mode="median"),
]  # fmt: skip
