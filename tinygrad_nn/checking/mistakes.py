"""The likely mistake in a wrong rule: what the rule returns, held against what it should."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .point import Point
from .rounding import WIDE
from .subject import Subject

ENTRIES = 512
FEW = 32
CLOSE = 1e-5


def likely_mistake(subject: Subject, place: int, constants: dict[str, Any] | None = None) -> str:
    """Return in words how an operation's derivative by one of its inputs is wrong, "" if nothing fits.

    `constants` are the arrays, by name, that it is computed with beside the subject's inputs. What it should
    be is measured, entry by entry: of an input of more than 512 entries at a few of them.
    """
    arrays = [x.astype(WIDE) for x in subject.arrays]
    point = Point(subject, arrays)
    wrong = point.gradients[place]
    if wrong is None:
        return "no gradient is sent back"
    entries = _entries(wrong, point.seed)
    right = _measured(point, place, entries)
    if _same(wrong, right) and abs(_ratio(wrong, right) - 1) < 1e-9:
        return ""  # it is wrong elsewhere
    g = point.weights[0]
    others = dict(zip(subject.names, arrays, strict=True)) | (constants or {}) | {"the output": point.values[0]}
    looks = itertools.chain(
        _factors(wrong, right, _sizes(wrong, right, g, subject.by_hand)),
        _layouts(wrong, right, g),
        _sums(point, place, wrong),
        _products(wrong, right, g, others),
        _matrix_products(wrong, right, {**others, "g": g}),
        _stale(subject, arrays, place, wrong, right, entries),
    )
    return next(looks, "")


def _entries(wrong: Any, seed: int) -> Any:
    """Return the entries to measure: all, or the first, the largest, and others at random."""
    if wrong.size <= ENTRIES:
        return np.arange(wrong.size)
    largest = np.argpartition(np.abs(wrong).reshape(-1), -FEW // 2)[-FEW // 2 :]
    return np.unique([0, *largest, *np.random.default_rng(seed).integers(wrong.size, size=FEW // 2)])


def _measured(point: Point, place: int, entries: Any) -> Any:
    """Return the right derivatives by some entries of an input, by extrapolated differences; nan at the others."""
    x = point.arrays[place]
    found = np.full(x.size, math.nan)
    for i in entries[np.isfinite(x.reshape(-1)[entries])]:
        direction = np.zeros(x.shape)
        direction.reshape(-1)[i] = 1.0
        found[i] = point.ladder({place: direction}).value.value
    return found.reshape(x.shape)


def _same(a: Any, b: Any) -> bool:
    """Return whether two arrays agree wherever both are known, which has to be somewhere."""
    if np.shape(a) != np.shape(b):
        return False
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    if not a.size or not np.isfinite(a).all() or not np.isfinite(b).all():
        return False
    return bool(np.abs(a - b).max() <= CLOSE * max(np.abs(b).max(), 1e-300))


def _ratio(wrong: Any, right: Any) -> float:
    """Return the factor between two arrays by least squares; nan where there is none."""
    known = np.isfinite(right)
    square = np.vdot(right[known], right[known])
    return float(np.vdot(right[known], wrong[known]) / square) if square else math.nan


def _sizes(wrong: Any, right: Any, g: Any, by_hand: bool) -> set[int]:
    """Return the numbers that a 1/m can be of: lengths of axes, or what a gradient by hand has too much of."""
    found = {*wrong.shape, *g.shape, wrong.size, g.size, wrong.size // max(g.size, 1)}
    c = abs(_ratio(wrong, right))
    if by_hand and c:
        found |= {round(float(n)) for n in (c, 1 / c) if math.isfinite(n)}
    return {n for n in found if n > 2 or (n == 2 and not by_hand)}


def _factors(wrong: Any, right: Any, sizes: set[int]) -> Iterator[str]:
    """Yield constant factors that have a meaning: of the sizes, of 2 and of the sign."""
    if not wrong.any():
        yield "it is 0: nothing is sent back"
    c = _ratio(wrong, right)
    if not math.isfinite(c) or not _same(wrong, c * right):
        return
    meanings = [(-1.0, "the sign is wrong"), (2.0, "it is twice what is right"), (0.5, "it is half of what is right")]
    meanings += [(float(n), f"it is {n} times what is right: a missing 1/m, m = {n}") for n in sizes]
    meanings += [(1 / n, f"it is 1/{n} of what is right: 1/m once too often, m = {n}") for n in sizes]
    yield from (text for factor, text in meanings if abs(c - factor) <= CLOSE * abs(factor))
    yield f"it is {c:.9g} times what is right"


def _layouts(wrong: Any, right: Any, g: Any) -> Iterator[str]:
    """Yield what is right in another order, or sent back as it came."""
    if wrong.ndim >= 2 and _same(wrong.swapaxes(-1, -2), right):
        yield "it is transposed"
    if wrong.ndim >= 2 and wrong.shape[-1] == wrong.shape[-2] and _same(np.swapaxes(wrong, 0, -1), right):
        yield "it is transposed"
    if _same(wrong, np.broadcast_to(g, wrong.shape) if _fits(g, wrong.shape) else g):
        yield "the cotangent is sent back unchanged: the local derivative is missing"
    if g.ndim > wrong.ndim and _same(wrong, g[(0,) * (g.ndim - wrong.ndim)]):
        yield "it is not summed over what was broadcast: only the first row of the cotangent is sent back"
    for axis in range(wrong.ndim):
        if _same(np.flip(wrong, axis), right):
            yield f"it is flipped along axis {axis}"
    if not np.isnan(right).any() and _same(np.sort(wrong.reshape(-1)), np.sort(right.reshape(-1))):
        yield "its entries are right, but in another order"
    first = np.zeros_like(wrong)
    first.reshape(-1)[:1] = wrong.reshape(-1)[:1]
    if wrong.size > 1 and wrong.any() and _same(wrong, first):
        yield "only the first entry is sent back"


def _sums(point: Point, place: int, wrong: Any) -> Iterator[str]:
    """Yield an axis along which it is the sum, or the mean, of what is right, as three lines tell."""
    for axis, length in enumerate(wrong.shape):
        first = np.take(wrong, 0, axis)
        if length == 1 or not _same(wrong, np.broadcast_to(np.expand_dims(first, axis), wrong.shape)):
            continue
        lines = np.argsort(np.abs(first).reshape(-1))[-3:]
        found = np.array([point.ladder({place: _line(wrong.shape, axis, line)}).value.value for line in lines])
        if _same(first.reshape(-1)[lines], found) or _same(first.reshape(-1)[lines] * length, found):
            yield f"it is summed over axis {axis}, where every entry has its own"


def _line(shape: tuple[int, ...], axis: int, number: int) -> Any:
    """Return the direction of all entries in one of the lines along an axis."""
    direction = np.zeros(shape)
    index: list[Any] = list(np.unravel_index(number, (*shape[:axis], 1, *shape[axis + 1 :])))
    index[axis] = slice(None)
    direction[tuple(index)] = 1
    return direction


def _products(wrong: Any, right: Any, g: Any, others: dict[str, Any]) -> Iterator[str]:
    """Yield factors that are missing or too many: one of the inputs, the output, or the cotangent."""
    named = {**others, "the cotangent": g}
    for name, value in named.items():
        if not _fits(value, wrong.shape):
            continue
        factor = np.broadcast_to(value, wrong.shape)
        for sign, minus in ((1, ""), (-1, "minus ")):
            if _same(wrong * factor, sign * right):
                yield f"a factor is missing: {minus}{name}"
            if _same(wrong, sign * right * factor):
                yield f"{minus}{name} is one factor too many"


def _matrix_products(wrong: Any, right: Any, named: dict[str, Any]) -> Iterator[str]:
    """Yield the product of matrices that it is, beside the one that it should be: a transpose that is missing."""
    matrices = {k: x for k, x in named.items() if x.ndim == 2}
    turned = {f"{k}.T": x.T for k, x in matrices.items()}
    pairs = itertools.permutations((matrices | turned).items(), 2)
    fitting = [(k, x, n, y) for (k, x), (n, y) in pairs if x.shape[1:] + wrong.shape == (len(y), len(x), y.shape[1])]
    known = {f"{k} @ {n}": x @ y for k, x, n, y in fitting}
    found = next((text for text, product in known.items() if _same(wrong, product)), None)
    expected = next((text for text, product in known.items() if _same(right, product)), None)
    if found and expected:
        yield f"it is {found} where {expected} is right: a transpose"


def _stale(subject: Subject, arrays: list[Any], place: int, wrong: Any, right: Any, entries: Any) -> Iterator[str]:
    """Yield that it ignores the inputs' values where the right derivative depends on them."""
    moved = Point(subject, [x * (1 + 2.0**-7) + 2.0**-7 for x in arrays])
    if _same(moved.gradients[place], wrong) and not _same(_measured(moved, place, entries), right):
        yield "it doesn't change when the inputs do: a stale value"


def _fits(value: Any, shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(np.shape(value), shape) == shape
    except ValueError:
        return False
