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

_OPTIONS: dict[str, dict[str, Any]] = {
    "constant": {"constant_values": 0},
    "linear_ramp": {"end_values": 0},
    "reflect": {"reflect_type": "even"},
    "symmetric": {"reflect_type": "even"},
    "maximum": {"stat_length": None},
    "minimum": {"stat_length": None},
    "mean": {"stat_length": None},
    "median": {"stat_length": None},
    "edge": {},
    "wrap": {},
    "empty": {},
}


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
    if mode not in _OPTIONS:
        raise ValueError(f"mode must be one of {', '.join(_OPTIONS)}, not {mode!r}")
    if not options.keys() <= _OPTIONS[mode].keys():
        raise TypeError(f"unexpected keyword for mode {mode!r}: drop {sorted(options.keys() - _OPTIONS[mode].keys())}")
    widths = _widths(pad_width, x.ndim)
    if x.dtype.kind != "f":
        plain: Any = {name: raw(value) for name, value in options.items()}
        return as_tensor(np.pad(x.data, widths, mode, **plain))  # type: ignore[call-overload]
    option = next(iter((_OPTIONS[mode] | options).values()), None)
    if mode == "empty" or (mode == "constant" and type(option) is int and option == 0):
        inner = tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True))
        return scatter_add(x, inner, tuple(n + b + a for n, (b, a) in zip(x.shape, widths, strict=True)))
    for axis, (width, choice) in enumerate(zip(widths, _pairs(option, x.ndim), strict=True)):
        if any(width):
            before, after = _BESIDE[mode](x, axis, width, choice)
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


def _constants(x: Tensor, axis: int, width: tuple[int, int], values: Any) -> list[Tensor]:
    around = x.shape[:axis], x.shape[axis + 1 :]
    return [
        broadcast_to(as_tensor(value).astype(x.dtype), (*around[0], n, *around[1]))
        for value, n in zip(values, width, strict=True)
    ]


def _ramps(x: Tensor, axis: int, width: tuple[int, int], ends: Any) -> list[Tensor]:
    def ramp(edge: Any, end: Any, steps: Any) -> Any:
        end = as_tensor(end).astype(x.dtype)
        return end + (edge - end) * _along(steps, x, axis)

    _need_entries(x, axis)
    before, after = width
    first, last = x[on_axis(axis, slice(0, 1))], x[on_axis(axis, slice(-1, None))]
    rising, falling = np.arange(before) / (before or 1), np.arange(after)[::-1] / (after or 1)
    return [ramp(first, ends[0], rising), ramp(last, ends[1], falling)]


def _statistics(statistic: Callable[..., Any]) -> Callable[..., list[Tensor]]:
    def beside(x: Tensor, axis: int, width: tuple[int, int], lengths: Any) -> list[Tensor]:
        n = _need_entries(x, axis)
        first, last = [n if length is None else builtins.min(int(length), n) for length in lengths]
        chunks = x[on_axis(axis, slice(first))], x[on_axis(axis, slice(n - last, None))]
        return [
            broadcast_to(statistic(chunk, axis=axis, keepdims=True), (*x.shape[:axis], times, *x.shape[axis + 1 :]))
            for chunk, times in zip(chunks, width, strict=True)
        ]

    return beside


def _repeated(source: Callable[[Any, int], Any]) -> Callable[..., list[Tensor]]:
    def beside(x: Tensor, axis: int, width: tuple[int, int], _: Any) -> list[Tensor]:
        n = _need_entries(x, axis)
        outside = np.arange(-width[0], 0), np.arange(n, n + width[1])
        return [x[on_axis(axis, source(indices, n))] for indices in outside]

    return beside


def _mirrored(shared_edge: int) -> Callable[..., list[Tensor]]:
    """Return the mode that mirrors at the edges, whose entries are part of the image (1) or not (0).

    If mirrored "odd", the image of an entry lies as far beyond the edge in value as in position, and so on outwards.
    """

    def beside(x: Tensor, axis: int, width: tuple[int, int], types: Any) -> list[Tensor]:
        n = _need_entries(x, axis)
        if types[0] not in ("even", "odd"):
            raise ValueError(f"reflect_type must be 'even' or 'odd', not {types[0]!r}")
        ends = x[on_axis(axis, slice(0, 1))], x[on_axis(axis, slice(-1, None))]
        odd = types[0] == "odd" and n > 1
        return [_image(x, axis, side, width[side], ends, shared_edge, odd) for side in (0, 1)]

    return beside


def _image(x: Tensor, axis: int, side: int, width: int, ends: Any, shared_edge: int, odd: bool) -> Any:
    """Return what mirrors show beyond one side, from there outwards: after the first image, images of images."""
    n = x.shape[axis]
    outwards = np.arange(n, n + width)
    indices = outwards if side else outwards[::-1]
    period = 2 * (n - 1 + shared_edge) or 1  # the images repeat after this many entries
    turn, index = np.divmod(indices - 1 + shared_edge, period)
    index += 1 - shared_edge
    turned = index >= n
    source = np.where(turned, period - shared_edge - index, index)
    image = x[on_axis(axis, source if side else n - 1 - source)]
    if odd:
        image = image * _along(1 - 2 * turned, x, axis) + ends[side] * _along(2 * (turned + turn), x, axis)
        image = image - ends[1 - side] * _along(2 * turn, x, axis) if turn.any() else image
    return image


def _need_entries(x: Tensor, axis: int) -> int:
    """Return the length of the axis that is padded. Raises ValueError if it is 0."""
    n: int = x.shape[axis]
    if n == 0:
        raise ValueError(f"can't extend empty axis {axis}; use mode 'constant' or 'empty'")
    return n


def _along(factors: Any, x: Tensor, axis: int) -> Any:
    """Return one factor for each index along the axis, to be broadcast over the others, in x's dtype."""
    return factors.astype(x.dtype).reshape([-1 if i == axis else 1 for i in range(x.ndim)])


_BESIDE: dict[str, Callable[..., list[Tensor]]] = {
    "constant": _constants,
    "linear_ramp": _ramps,
    "edge": _repeated(lambda index, n: np.clip(index, 0, n - 1)),
    "wrap": _repeated(lambda index, n: index % n),
    "reflect": _mirrored(0),
    "symmetric": _mirrored(1),
    "maximum": _statistics(max),
    "minimum": _statistics(min),
    "mean": _statistics(mean),
    "median": _statistics(median),
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
