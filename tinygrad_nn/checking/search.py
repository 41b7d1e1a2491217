"""Which entries have a wrong derivative, of very many: a wrong direction is parted until single entries are left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .directions import Direction, halves
from .numerical import difference_quotient
from .point import Point
from .rounding import EPS, LAST, largest
from .verdicts import Finding

MOST = 32
STEP = 2.0**-13


def wrong_entries(point: Point, direction: Direction, finding: Finding) -> list[tuple[int, int]]:
    """Return the entries, as position and index, that make a derivative along a direction wrong; [] if they are many.

    Errors along parts of a direction add up, so that each part that is measured tells of the rest. That takes one
    evaluation by the complex step, or two by a central quotient. Groups are halved until one half is right; the other,
    which may hold one wrong entry only, is then weighed by position, if that is exact: the ratio of two errors says
    where that is.
    """
    slope, room, exact = _measure(point, direction, finding)

    def off(part: Direction) -> float:
        return float(point.analytic(point.gradients, part) - slope(part))

    groups, found = [(direction, float(finding.analytic - finding.numeric), False)], list[tuple[int, int]]()
    while groups and len(groups) + len(found) <= MOST:
        parts = []
        for group, error, single in groups:
            single = exact and single and len(group) == 1
            first, *rest = _around_one(group, error, off, room) if single else halves(group)
            if not rest:
                ((position, v),) = group.items()
                found.append((position, int(np.flatnonzero(v)[0])))
                continue
            own = off(first)
            kept = [part for part in ((first, own), (rest[0], error - own)) if abs(part[1]) > room]
            parts += [(*part, len(kept) == 1 and (part[0] is first or not single)) for part in kept]
        groups = parts
    return [] if groups else sorted(found)


def _around_one(group: Direction, error: float, off: Callable[[Direction], float], room: float) -> list[Direction]:
    """Return a group in two parts, the first around the wrong entry if there is one only; in halves if that is all."""
    ((position, v),) = group.items()
    entries = np.flatnonzero(v)
    ramp, inside = np.zeros(v.shape), np.zeros(v.shape)
    ramp.flat[entries] = v.flat[entries] * np.arange(entries.size) / entries.size
    at, width = (entries.size / error * e for e in (off({position: ramp}), 4 * room))
    near = entries[max(0, round(at - abs(width))) : max(0, round(at + abs(width)) + 1)]
    inside.flat[near] = v.flat[near]
    return [{position: inside}, {position: v - inside}] if 0 < near.size < entries.size else halves(group)


def _measure(point: Point, direction: Direction, finding: Finding) -> tuple[Any, float, bool]:
    """Return a cheap numerical derivative along parts of a direction, how far it may be off, and if it is exact."""
    exact = point.complex_slope(direction)
    if abs(exact.value - finding.numeric) <= exact.error + 10 * finding.uncertainty:
        pairs = [(point.gradients[position], v) for position, v in direction.items()]
        size = max([float(np.abs(g * v).sum()) for g, v in pairs if g is not None], default=0.0)
        return lambda part: point.complex_slope(part).value, LAST * EPS * size, True
    step = STEP * max(1.0, *[largest(point.arrays[position]) for position in direction])

    def central(part: Direction) -> Any:
        return difference_quotient(point.line(part), "central", step)

    return central, float(4 * abs(central(direction) - finding.numeric) + 10 * point.middle[1] / step), False
