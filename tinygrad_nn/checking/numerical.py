"""Derivatives along a line by differences of values, each with how far it may be off."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LEVELS = 26
SHRINK = 4
COMPLEX_STEP = 1e-40
Line = Callable[[Any], Any]


@dataclass(frozen=True)
class Slope:
    """A derivative, how far it may be off, and the step it was taken with."""

    value: Any = math.nan
    error: Any = math.inf
    step: float = math.nan

    @property
    def known(self) -> bool:
        """Whether there is a finite number."""
        return bool(np.isfinite(self.value) and np.isfinite(self.error))


class Extrapolation:
    """Ridders' table: difference quotients at shrinking steps, extrapolated to step 0.

    `order` is the power of the step in the leading error, 2 for central quotients, 1 for one-sided ones.
    `best` is the entry with the smallest error: the larger of its differences from the two entries that
    it was made of, and what rounding of the values alone may have done to it.
    Source: C. J. F. Ridders, Accurate computation of F'(x) and F'(x)F''(x), 1982.
    """

    COLUMNS = 6

    def __init__(self, order: int) -> None:
        self.ratio = SHRINK**order
        self.row: list[Any] = []
        self.best = Slope()

    def add(self, quotient: Any, step: float, noise: Any) -> None:
        """Take in the quotient at the next smaller step."""
        if not np.isfinite(quotient):
            self.row = []
            return
        row = [quotient]
        for power, above in enumerate(self.row[: self.COLUMNS], start=1):
            better = row[-1] + (row[-1] - above) / (self.ratio**power - 1)
            error = max(abs(better - row[-1]), abs(better - above)) + noise
            row.append(better)
            if error <= self.best.error:
                self.best = Slope(better, error, step)
        self.row = row


@dataclass
class Ladder:
    """What central and one-sided quotients at shrinking steps say about a line at 0."""

    central: Slope
    left: Slope
    right: Slope
    jumps: bool
    steps: list[float] = field(default_factory=list)
    quotients: list[Any] = field(default_factory=list)

    @property
    def value(self) -> Slope:
        """The derivative: central where both sides have values, or of the only side that has."""
        if self.central.known:
            return self.central
        return min(self.left, self.right, key=lambda side: side.error)

    @property
    def kinked(self) -> bool:
        """Whether the slopes of the two sides differ by more than they may be off."""
        if not (self.left.known and self.right.known):
            return False
        gap, room = abs(self.right.value - self.left.value), self.left.error + self.right.error
        return bool(gap > 10 * room + 1e-6 * (abs(self.left.value) + abs(self.right.value)))


def descend(line: Line, size: float, noise: Any, *, stop_early: bool = True) -> Ladder:
    """Return what a descending ladder of steps finds out about a line at 0.

    `size` is that of the numbers that are moved, which sets the largest and the smallest step; `noise` is
    how far a value may be off by rounding. The ladder ends early once the derivative is known to nine digits
    and neither a kink nor a jump is in sight.
    """
    middle = line(0.0)
    central, left, right = Extrapolation(2), Extrapolation(1), Extrapolation(1)
    found = Ladder(Slope(), Slope(), Slope(), jumps=False)
    heights: list[Any] = []
    gaps: list[Any] = []
    for step in _steps(size):
        up, down = line(step), line(-step)
        central.add((up - down) / (2 * step), step, noise / step)
        right.add((up - middle) / step, step, 2 * noise / step)
        left.add((middle - down) / step, step, 2 * noise / step)
        found.steps.append(step)
        found.quotients.append((up - down) / (2 * step))
        heights.append(max(abs(up - middle), abs(down - middle)))
        gaps.append(abs(up - 2 * middle + down) / step)
        best = central.best
        if stop_early and len(gaps) > 3 and best.error <= 1e-9 * abs(best.value) and _vanishes(gaps, noise / step):
            break
    found.central, found.left, found.right = central.best, left.best, right.best
    found.jumps = len(heights) > 6 and _stays(heights, noise)
    return found


def _steps(size: float) -> Iterator[float]:
    """Yield powers of two, which leave no rounding in most sums, from a sixteenth of the numbers' size down."""
    step = 2.0 ** math.floor(math.log2(max(size, 1.0) / 16))
    last = max(min(2.0**-26 * max(size, 1.0), size / 64), 2.0**-60) if size else 2.0**-26
    for _ in range(LEVELS):
        yield step
        if step <= last:
            return
        step /= SHRINK


def _vanishes(gaps: list[Any], noise: Any) -> bool:
    """Return whether the difference between the two sides' slopes shrinks with the step."""
    return bool(gaps[-1] <= 0.6 * gaps[-2] or gaps[-1] <= 100 * noise)


def _stays(heights: list[Any], noise: Any) -> bool:
    """Return whether the function's change doesn't shrink with the step: where it is continuous, it does."""
    last, before = heights[-1], heights[-5]
    return bool(np.isfinite(last) and last > 1000 * noise and last > 0.3 * before)


def complex_slope(line: Line, noise: float) -> Slope:
    """Return the imaginary part of the value at an imaginary step, over the step: exact to rounding.

    Unknown where the function refuses complex numbers, or gives real ones.
    Source: W. Squire and G. Trapp, Using complex variables to estimate derivatives of real functions, 1998.
    """
    try:
        value = line(1j * COMPLEX_STEP)
    except Exception:  # whatever a function does with numbers that it was not written for
        return Slope()
    if not np.iscomplexobj(value):
        return Slope()
    slope = float(np.imag(value) / COMPLEX_STEP)
    return Slope(slope, 64 * float(np.finfo(float).eps) * (abs(slope) + noise), COMPLEX_STEP)


def quotient(line: Line, method: str, step: float | None) -> Slope:
    """Return a plain difference quotient of a line at 0, "central" or "forward", with the usual step for float64."""
    eps = float(np.finfo(float).eps)
    if method == "central":
        h = eps ** (1 / 3) if step is None else step
        return Slope((line(h) - line(-h)) / (2 * h), math.nan, h)
    h = math.sqrt(eps) if step is None else step
    return Slope((line(h) - line(0.0)) / h, math.nan, h)
