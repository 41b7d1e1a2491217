"""The likely mistake in a derivative rule, or a gradient by hand, found from measured right values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .mistakes import WrongGradient, any_factor, changed, formula, known, known_factor, reordered, unchanged, zero
from .numerical import WIDE
from .point import Point, unit
from .subject import Subject

ENTRIES = 512
FEW = 32
CLOSE = 1e-5


def likely_mistake(subject: Subject, position: int) -> str:
    """Return in words how the derivative with respect to one input is wrong, or "" if nothing fits."""
    point = Point(subject, [x.astype(WIDE) for x in subject.arrays])
    wrong = point.gradients[position]
    if wrong is None:
        return "no gradient is sent back"
    entries = _entries(wrong, point.seed)
    right = _measured(point, position, entries)
    g = point.weights[0]
    before = {} if subject.by_hand else {"g": np.broadcast_to(g, wrong.shape) if _fits(g, wrong.shape) else g}
    values = dict(zip(subject.names, point.arrays, strict=True)) | subject.constants | {"the output": point.values[0]}
    case = WrongGradient("", wrong, right, "what is right", before, values, 1, (), CLOSE)
    c = case.factor(wrong, right)
    if case.same(wrong, right) or not (wrong.any() or np.nan_to_num(right).any()):  # it may be wrong only elsewhere
        return f"it is {c:.9g} times what is right" if abs(c - 1) >= 1e-9 else ""
    case = replace(case, sizes=_sizes(case, g, subject.by_hand), known=_products(case, g))
    first = [look(case) for look in (zero, known_factor, any_factor, unchanged, changed, reordered)]
    more = [_sums(point, position, case), known(case), formula(case), _stale(point, position, case, entries)]
    return next(itertools.chain(*first, *more), "")


def _entries(wrong: Any, seed: int) -> Any:
    """Return the entries to measure: all, or the first, the largest, and random ones."""
    if wrong.size <= ENTRIES:
        return np.arange(wrong.size)
    largest = np.argpartition(np.abs(wrong).reshape(-1), -FEW // 2)[-FEW // 2 :]
    return np.unique([0, *largest, *np.random.default_rng(seed).integers(wrong.size, size=FEW // 2)])


def _measured(point: Point, position: int, entries: Any) -> Any:
    """Return the right derivatives for some entries of an input, by extrapolated differences; nan for the others."""
    x = point.arrays[position]
    found = np.full(x.shape, math.nan)
    for index in entries[np.isfinite(x.flat[entries])]:
        found.flat[index] = point.ladder(point.subject.only(position, unit(x.size, index))).value.value
    return found


def _sizes(case: WrongGradient, g: Any, by_hand: bool) -> tuple[tuple[str, int, str], ...]:
    """Return the numbers that m in a factor 1/m can be: lengths of axes, or the factor of a gradient by hand."""
    wrong, c = case.wrong, abs(case.factor(case.wrong, case.right))
    found = {*wrong.shape, *g.shape, wrong.size, g.size, wrong.size // max(g.size, 1)}
    if by_hand and c:
        found |= {round(n) for n in (c, 1 / c) if math.isfinite(n)}
    return tuple([("m", n, "") for n in sorted(found) if n > 2 or (n == 2 and not by_hand)])


def _sums(point: Point, position: int, case: WrongGradient) -> Iterator[str]:
    """It is the sum, or the mean, of the right one along an axis: judged by the line through its largest entry."""
    shape = case.wrong.shape
    index = np.unravel_index(np.abs(case.wrong).argmax(), shape)
    for axis, length in enumerate(shape):
        if length == 1 or not case.same(case.wrong, np.broadcast_to(case.wrong.mean(axis, keepdims=True), shape)):
            continue
        line = np.zeros(shape)
        line[(*index[:axis], slice(None), *index[axis + 1 :])] = 1.0
        total = np.asarray(point.ladder(point.subject.only(position, line)).value.value)
        if any(case.same(case.wrong[index] * n, total) for n in (1, length)):
            yield f"it is summed over axis {axis}, where every entry has its own"


def _products(case: WrongGradient, g: Any) -> Iterator[tuple[str, Any]]:
    """Yield the results with a missing or an extra factor: one of the inputs, the output, or the cotangent."""
    for name, value in {**case.values, "the cotangent": g}.items():
        if _fits(value, case.wrong.shape):
            yield f"what is right, but a factor is missing: {name}", case.right / value
            yield f"what is right, with {name} as one factor too many", case.right * value


def _stale(point: Point, position: int, case: WrongGradient, entries: Any) -> Iterator[str]:
    """It does not depend on the inputs' values, and the right derivative does."""
    moved = Point(point.subject, [x * (1 + 2.0**-7) + 2.0**-7 for x in point.arrays])
    constant = case.same(moved.gradients[position], case.wrong)
    if constant and not case.same(_measured(moved, position, entries), case.right):
        yield "it doesn't change when the inputs do: a stale value"


def _fits(value: Any, shape: tuple[int, ...]) -> bool:
    lengths = zip(reversed(np.shape(value)), reversed(shape), strict=False)
    return np.ndim(value) <= len(shape) and all(n in (1, length) for n, length in lengths)
