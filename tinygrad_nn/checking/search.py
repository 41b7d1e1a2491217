"""Which entries have a wrong derivative, of very many: a wrong direction is parted until single entries are left."""

from __future__ import annotations

from typing import Any

import numpy as np

from .directions import Direction, halves
from .numerical import EPS, LAST, difference_quotient, largest
from .point import Point
from .verdicts import Finding

MOST = 32
STEP = 2.0**-13


def wrong_entries(point: Point, direction: Direction, finding: Finding) -> list[tuple[int, int]]:
    """Return the entries, as position and index, that make a derivative along a direction wrong; [] if they are many.

    Errors along parts of a direction add up, so that each part that is measured tells of the rest. That takes one
    evaluation by the complex step, or two by a central quotient.
    """
    slope, room = _measure(point, direction, finding)
    groups, found = [(direction, float(finding.analytic - finding.numeric))], list[tuple[int, int]]()
    while groups and len(groups) + len(found) <= MOST:
        parts = []
        for group, error in groups:
            first, *rest = halves(group)
            if rest:
                own = float(point.analytic(point.gradients, first) - slope(first))
                parts += [part for part in ((first, own), (rest[0], error - own)) if abs(part[1]) > room]
            else:
                ((position, v),) = group.items()
                found.append((position, int(np.flatnonzero(v)[0])))
        groups = parts
    return [] if groups else sorted(found)


def _measure(point: Point, direction: Direction, finding: Finding) -> tuple[Any, float]:
    """Return a cheap numerical derivative along parts of a direction, and how far it may be off."""
    exact = point.complex_slope(direction)
    if abs(exact.value - finding.numeric) <= exact.error + 10 * finding.uncertainty:
        pairs = [(point.gradients[position], v) for position, v in direction.items()]
        size = max([float(np.abs(g * v).sum()) for g, v in pairs if g is not None], default=0.0)
        return lambda part: point.complex_slope(part).value, LAST * EPS * size
    step = STEP * max(1.0, *[largest(point.arrays[position]) for position in direction])

    def central(part: Direction) -> Any:
        return difference_quotient(point.line(part), "central", step)

    return central, float(4 * abs(central(direction) - finding.numeric) + 10 * point.middle[1] / step)
