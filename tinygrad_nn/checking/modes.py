"""Forward mode held against reverse mode, by the dot-product test."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .directions import signed_like
from .point import Point, dot
from .rounding import WIDE, largest, spread
from .subject import Arrays
from .verdicts import Finding, Verdict

DIFFER = "forward and reverse mode differ"


def modes_compared(point: Point, rng: np.random.Generator) -> Finding:
    """Return how <u, J v> by forward mode agrees with <J' u, v> by reverse mode, for a random v."""
    if point.left_out and point.left_out == point.results:
        return Finding(math.nan, math.nan, math.inf, math.nan, Verdict.NONFINITE, "the function's value is not finite")
    tangents = [signed_like(rng, x) for x in point.arrays]
    reverse, forward, room = _both(point, point.arrays, tangents, point.weights)
    if not abs(forward - reverse) <= room and point.is_coarser():
        reverse, forward, room = _both(point, point.arrays, tangents, point.weights)
    differ = not abs(forward - reverse) <= room and np.isfinite(forward - reverse)
    verdict, note = _more_digits(point, tangents, abs(forward - reverse)) if differ else (Verdict.OK, "")
    return Finding(reverse, forward, room, math.nan, verdict, note, room)


def _both(point: Point, arrays: Arrays, tangents: Arrays, weights: Arrays) -> tuple[float, float, float]:
    """Return a directional derivative by reverse and by forward mode, and how far rounding may move them apart."""
    tangents = [t.astype(x.dtype) for t, x in zip(tangents, arrays, strict=True)]
    pushed = [t for t in point.subject.push(arrays, tangents) if t.dtype.kind == "f"]
    pairs = [(g, t) for g, t in zip(point.subject.pull(arrays, weights), tangents, strict=True) if g is not None]
    forward, reverse = dot(weights, pushed), sum(dot([g], [t]) for g, t in pairs)
    sizes = dot([np.abs(u) for u in weights], [np.abs(t) for t in pushed])
    sizes += sum(float(np.abs(g).sum()) for g, _ in pairs)
    return reverse, forward, 256 * max(point.eps, *[float(np.finfo(x.dtype).eps) for x in arrays]) * sizes


def _more_digits(point: Point, tangents: Arrays, mismatch: float) -> tuple[Verdict, str]:
    """Return whether a mismatch of the two modes is a bug: computed with more digits, rounding gets smaller."""
    if point.mistaken:
        return Verdict.BUG, DIFFER
    wider = np.longdouble if any(x.dtype == WIDE for x in point.arrays) else WIDE
    try:
        reverse, forward, _ = _both(point, [x.astype(wider) for x in point.arrays], tangents, point.weights)
    except Exception:  # numpy.linalg, for one, refuses long doubles
        reverse, forward, wider = 0.0, mismatch, max((x.dtype for x in point.arrays), key=lambda d: np.finfo(d).eps)
    size = point.size_of_values() * (1 + max(map(largest, point.arrays)))  # of intermediate numbers
    room = max(0.05 * mismatch, 256 * float(np.finfo(wider).eps) * size)

    def difference(nudged: Callable[[Any], Any]) -> Any:
        arrays = [nudged(x).astype(x.dtype) for x in point.arrays]
        weights, moved = [nudged(u) for u in point.weights], [nudged(t) for t in tangents]
        reverse, forward, _ = _both(point, arrays, moved, weights)
        return forward - reverse

    if abs(forward - reverse) <= room or mismatch <= 4 * spread(difference, point.seed):
        return Verdict.PRECISION, "the two modes differ by rounding"
    return Verdict.BUG, DIFFER
