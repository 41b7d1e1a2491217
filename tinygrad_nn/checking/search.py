"""Finding the wrong entries among very many: a wrong direction is divided until single entries are left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .numerical import EPS, LAST, difference_quotient, largest
from .point import Point, halves
from .report import Finding

MOST = 32
STEPS = 2.0**-13, 2.0**-17, 2.0**-21


def wrong_entries(point: Point, direction: Any, finding: Finding) -> list[int]:
    """Return the entries that make the derivative along a direction wrong; [] if there are many.

    Errors along parts of a direction add up, so measuring one part, by one evaluation (a complex step) or two, also
    tells the error of the rest. Groups are halved until one half is right. The other half may have a single wrong
    entry. If its error is large, it is measured again with weights by position: the ratio of the two errors gives the
    position.
    """
    slope, tolerance = _measure(point, direction, finding)

    def off(part: Any) -> float:
        return float(point.analytic(point.gradients, part) - slope(part))

    groups, found = [(direction, float(finding.analytic - finding.numeric), False)], list[int]()
    while groups and len(groups) + len(found) <= MOST:
        parts = []
        for group, error, single in groups:
            single = single and 64 * tolerance < abs(error)
            first, *rest = _around_one(group, error, off, tolerance) if single else halves(group)
            if not rest:
                found.append(int(np.flatnonzero(group)[0]))
                continue
            own = off(first)
            kept = [part for part in ((first, own), (rest[0], error - own)) if abs(part[1]) > tolerance]
            parts += [(*part, len(kept) == 1 and (part[0] is first or not single)) for part in kept]
        groups = parts
    return [] if groups else sorted(found)


def _around_one(group: Any, error: float, off: Callable[[Any], float], tolerance: float) -> list[Any]:
    """Return a group in two parts, the first around the wrong entry if there is only one; otherwise halves."""
    entries, ramp, inside = np.flatnonzero(group), np.zeros(group.size), np.zeros(group.size)
    ramp[entries] = group[entries] * np.arange(entries.size) / entries.size
    at, width = (entries.size / error * e for e in (off(ramp), 4 * tolerance))
    near = entries[max(0, round(at - abs(width))) : max(0, round(at + abs(width)) + 1)]
    inside[near] = group[near]
    return [inside, group - inside] if 0 < near.size < entries.size else halves(group)


def _measure(point: Point, direction: Any, finding: Finding) -> tuple[Any, float]:
    """Return a cheap numerical derivative along parts of a direction, and its possible error."""
    exact = point.complex_slope(direction)
    if abs(exact.value - finding.numeric) <= exact.error + 10 * finding.uncertainty:
        size = float(np.abs(point.subject.row(point.gradients) * direction).sum())
        return lambda part: point.complex_slope(part).value, LAST * EPS * size
    size, noise = max(1.0, largest(point.x)), point.middle[1]

    def central(part: Any, step: float) -> Any:
        return difference_quotient(point.line(part), "central", step)

    errors = {s: 4 * abs(central(direction, s) - finding.numeric) + 10 * noise / s for s in (size * x for x in STEPS)}
    step = min(errors, key=errors.__getitem__)
    return lambda part: central(part, step), float(errors[step])
