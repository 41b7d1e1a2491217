"""Which entries have a wrong derivative, of very many: a wrong direction is halved until single entries are left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .directions import Direction, halves
from .numerical import quotient
from .point import Point
from .rounding import EPS, LAST, WIDE, largest
from .verdicts import Finding

MOST = 32
STEP = 2.0**-13


def wrong_entries(point: Point, direction: Direction, finding: Finding) -> list[tuple[int, int]]:
    """Return the entries, as position and index, that make a derivative along a direction wrong; [] if they are many.

    Errors along parts of a direction add up, so that each half that is measured tells of the other. That takes one
    evaluation by the complex step, or two by a central quotient: a mistake in one of n entries takes about log2 n.
    """
    slope, room = _measure(point, direction, finding)
    groups, found = [(direction, float(finding.analytic - finding.numeric))], list[tuple[int, int]]()
    while groups and len(groups) + len(found) <= MOST:
        parts = []
        for group, error in groups:
            first, *rest = halves(group)
            if not rest:
                ((position, v),) = group.items()
                found.append((position, int(np.flatnonzero(v)[0])))
                continue
            own = float(point.analytic(point.gradients, first) - slope(first))
            parts += [(first, own), (rest[0], error - own)]
        groups = [(part, error) for part, error in parts if abs(error) > room]
    return [] if groups else sorted(found)


def _measure(point: Point, direction: Direction, finding: Finding) -> tuple[Callable[[Direction], Any], float]:
    """Return a cheap numerical derivative along parts of a direction, and how far it may be off."""
    exact = point.complex_slope(direction)
    if abs(exact.value - finding.numeric) <= exact.error + 10 * finding.uncertainty:
        pairs = [(point.gradients[position], v) for position, v in direction.items()]
        size = max([float(np.abs(g * v).sum()) for g, v in pairs if g is not None], default=0.0)
        return lambda part: point.complex_slope(part).value, LAST * EPS * size
    step = STEP * max(1.0, *[largest(point.arrays[position]) for position in direction])

    def central(part: Direction) -> Any:
        return quotient(point.line(part, WIDE), "central", step)

    return central, float(4 * abs(central(direction) - finding.numeric) + 10 * point.noise(WIDE)[0] / step)
