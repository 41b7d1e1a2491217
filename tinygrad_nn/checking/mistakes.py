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
CLOSE = 1e-5


def likely_mistake(subject: Subject, place: int) -> str:
    """Return in words how an operation's derivative by one of its inputs is wrong, "" if nothing fits.

    What it should be is measured, entry by entry, so inputs of more than 512 entries are not looked at.
    """
    arrays = [x.astype(WIDE) for x in subject.arrays]
    if arrays[place].size > ENTRIES:
        return ""
    point = Point(subject, arrays)
    wrong = point.gradients[place]
    if wrong is None:
        return "no gradient is sent back"
    right = _measured(point, place)
    g = point.weights[0]
    others = {f"input {k}": x for k, x in enumerate(arrays)} | {"the output": point.values[0]}
    looks = itertools.chain(
        _factors(wrong, right, _sizes(wrong, right, g, subject.by_hand)),
        _layouts(wrong, right, g),
        _products(wrong, right, g, others),
        _matrix_products(wrong, right, {"g": g, **others}),
        _stale(subject, arrays, place, wrong, right),
    )
    return next(looks, "")


def _measured(point: Point, place: int) -> Any:
    """Return the right derivatives by one input, by extrapolated differences."""
    x = point.arrays[place]
    found = np.zeros(x.size)
    for i in np.flatnonzero(np.isfinite(x)):
        direction = np.zeros(x.shape)
        direction.reshape(-1)[i] = 1.0
        found[i] = point.ladder({place: direction}).value.value
    return found.reshape(x.shape)


def _same(a: Any, b: Any) -> bool:
    if np.shape(a) != np.shape(b) or not np.isfinite(a).all() or not np.isfinite(b).all():
        return False
    return bool(np.abs(a - b).max(initial=0.0) <= CLOSE * max(np.abs(b).max(initial=0.0), 1e-300))


def _sizes(wrong: Any, right: Any, g: Any, by_hand: bool) -> set[int]:
    """Return the numbers that a 1/m can be of: lengths of axes, or what a gradient by hand has too much of."""
    found = {*wrong.shape, *g.shape, wrong.size, g.size, wrong.size // max(g.size, 1)}
    if by_hand and wrong.any() and right.any():
        c = abs(np.vdot(right, wrong)) / np.vdot(right, right)
        found |= {round(float(n)) for n in (c, 1 / c) if math.isfinite(n)}
    return {n for n in found if n > 2 or (n == 2 and not by_hand)}


def _factors(wrong: Any, right: Any, sizes: set[int]) -> Iterator[str]:
    """Yield constant factors that have a meaning: of the sizes, of 2 and of the sign."""
    if not wrong.any() and right.any():
        yield "it is 0: nothing is sent back"
    c = float(np.vdot(right, wrong) / np.vdot(right, right)) if right.any() else math.nan
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
        mean = np.broadcast_to(right.mean(axis, keepdims=True), right.shape)
        if _same(wrong, mean) or _same(wrong, mean * right.shape[axis]):
            yield f"it is summed over axis {axis}, where every entry has its own"
        if _same(np.flip(wrong, axis), right):
            yield f"it is flipped along axis {axis}"
    if wrong.size and _same(np.sort(wrong.reshape(-1)), np.sort(right.reshape(-1))):
        yield "its entries are right, but in another order"
    first = np.zeros_like(wrong)
    first.reshape(-1)[:1] = wrong.reshape(-1)[:1]
    if wrong.size > 1 and wrong.any() and _same(wrong, first):
        yield "only the first entry is sent back"


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
    known = {f"{k} @ {n}": x @ y for (k, x), (n, y) in pairs if x.shape[1] == y.shape[0]}
    found = next((text for text, product in known.items() if _same(wrong, product)), None)
    expected = next((text for text, product in known.items() if _same(right, product)), None)
    if found and expected:
        yield f"it is {found} where {expected} is right: a transpose"


def _stale(subject: Subject, arrays: list[Any], place: int, wrong: Any, right: Any) -> Iterator[str]:
    """Yield that it ignores the inputs' values where the right derivative depends on them."""
    moved = Point(subject, [x * (1 + 2.0**-7) + 2.0**-7 for x in arrays])
    if _same(moved.gradients[place], wrong) and not _same(_measured(moved, place), right):
        yield "it doesn't change when the inputs do: a stale value"


def _fits(value: Any, shape: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(np.shape(value), shape) == shape
    except ValueError:
        return False
