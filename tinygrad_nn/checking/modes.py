"""Forward mode held against reverse mode, by the dot-product test."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .point import Point
from .rounding import WIDE, about_one, largest
from .subject import Arrays
from .verdicts import Finding, Verdict


def modes_compared(point: Point, tangents: Arrays) -> Finding:
    """Return how <u, J v> by forward mode agrees with <J' u, v> by reverse mode, looked at with more digits if not."""
    reverse, forward, room = _both(point, point.arrays, tangents, point.weights, point.gradients)
    verdict, note = Verdict.OK, ""
    if not abs(forward - reverse) <= room and np.isfinite(forward - reverse):
        verdict, note = _more_digits(point, tangents, abs(forward - reverse))
    return Finding(reverse, forward, room, math.nan, verdict, note)


def _both(
    point: Point, arrays: Arrays, tangents: Arrays, weights: Arrays, pulled: list[Any] | None = None
) -> tuple[float, float, float]:
    """Return a directional derivative by reverse and by forward mode, and how far rounding may move them apart."""
    pulled = point.subject.pull(arrays, weights) if pulled is None else pulled
    tangents = [t.astype(x.dtype) for t, x in zip(tangents, arrays, strict=True)]
    pushed = [t for t in point.subject.push(arrays, tangents) if t.dtype.kind == "f"]
    pairs = [(g, t) for g, t in zip(pulled, tangents, strict=True) if g is not None]
    forward, reverse = _dot(weights, pushed), sum(_dot([g], [t]) for g, t in pairs)
    sizes = _dot([np.abs(u) for u in weights], [np.abs(t) for t in pushed])
    sizes += sum(float(np.abs(g).sum()) for g, _ in pairs)
    return reverse, forward, 256 * max(float(np.finfo(x.dtype).eps) for x in arrays) * sizes


def _more_digits(point: Point, tangents: Arrays, mismatch: float) -> tuple[Verdict, str]:
    if point.mistaken:
        return Verdict.BUG, "forward and reverse mode differ"
    wider = np.longdouble if any(x.dtype == WIDE for x in point.arrays) else WIDE
    try:
        reverse, forward, _ = _both(point, [x.astype(wider) for x in point.arrays], tangents, point.weights)
    except Exception:  # numpy.linalg, for one, refuses long doubles
        reverse, forward, wider = 0.0, mismatch, max((x.dtype for x in point.arrays), key=lambda d: np.finfo(d).eps)
    size = point.size_of_values() * (1 + max(map(largest, point.arrays)))  # of numbers on the way
    room = max(0.05 * mismatch, 256 * float(np.finfo(wider).eps) * size)
    if abs(forward - reverse) <= room or mismatch <= 4 * _spread(point, tangents):
        return Verdict.PRECISION, "the two modes differ by rounding"
    return Verdict.BUG, "forward and reverse mode differ"


def _spread(point: Point, tangents: Arrays) -> float:
    """Return how much the modes' difference varies with the last digits of all that goes in, as rounding does."""
    rng, found = np.random.default_rng(point.seed), []
    for _ in range(8):
        arrays = [(x * about_one(rng, x)).astype(x.dtype) for x in point.arrays]
        seeds, moved = ([u * about_one(rng, u) for u in us] for us in (point.weights, tangents))
        reverse, forward, _ = _both(point, arrays, moved, seeds)
        found.append(forward - reverse)
    return float(np.ptp(found))


def _dot(us: Arrays, vs: Arrays) -> Any:
    return sum(np.where(u == 0, 0, u.astype(np.result_type(u, WIDE)) * v).sum() for u, v in zip(us, vs, strict=True))
