"""Derivatives along a line by differences of values, each with an estimate of its error, rounding included."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WIDE = np.dtype(np.float64)
EPS = float(np.finfo(WIDE).eps)
NUDGE = 2.0**-9
COARSE = 2.0**-20
LAST = 64  # times eps: changes the last two digits
SHRINK = 4
COLUMNS = 6
COMPLEX_STEP = 1e-40
Line = Callable[[Any], Any]


@dataclass(frozen=True)
class Slope:
    """A derivative, the estimate of its error, and the step with which it was computed."""

    value: Any = math.nan
    error: Any = math.inf
    step: float = math.nan

    @property
    def known(self) -> bool:
        """Whether the value is finite."""
        return bool(np.isfinite(self.value) and np.isfinite(self.error))


class Extrapolation:
    """Ridders' table: difference quotients at shrinking steps, extrapolated to step 0.

    `order` is the power of the step in the leading error, 2 for central quotients, 1 for one-sided ones.
    The best entry has the smallest error. An error is the larger of the differences from the two entries that the entry
    was made of, and the possible effect of rounding.
    Source: C. J. F. Ridders, Accurate computation of F'(x) and F'(x)F''(x), 1982.
    """

    def __init__(self, order: int) -> None:
        self._ratio = SHRINK**order
        self.row: list[Any] = []
        self.best: Slope = Slope()
        self._last = self.best

    def add(self, quotient: Any, step: float, noise: Any) -> None:
        """Add the quotient at the next smaller step."""
        if not np.isfinite(quotient):
            self.row = []
            return
        change = abs(quotient - self.row[0]) if self.row else math.inf
        self._last = Slope(quotient, change + 2 * noise, step)
        row = [quotient]
        for power, above in enumerate(self.row[:COLUMNS], start=1):
            better = row[-1] + (row[-1] - above) / (self._ratio**power - 1)
            error = max(abs(better - row[-1]), abs(better - above)) + noise
            row.append(better)
            if error <= self.best.error:
                self.best = Slope(better, error, step)
        self.row = row

    @property
    def value(self) -> Slope:
        """The best entry, unless it contradicts the last quotient, whose error is less than its last change.

        Between many kinks two entries may agree by chance.
        """
        against = self._last.known and abs(self.best.value - self._last.value) > self._last.error + self.best.error
        return self._last if against else self.best


class Ladder:
    """The results of central and one-sided quotients at shrinking steps for a line at 0, and whether values moved."""

    def __init__(self, line: Line, middle: Any, steps: Iterator[float], size: float, noise: Any, enough: float) -> None:
        wide, near = ([Extrapolation(2), Extrapolation(1), Extrapolation(1)] for _ in range(2))
        heights, gaps = list[Any](), list[Any]()
        for step in steps:
            up, down, rounding = line(step), line(-step), noise / step
            tables = near if step < size / 2 or not size else wide
            central, below, above = tables
            central.add((up - down) / (2 * step), step, rounding)
            below.add((middle - down) / step, step, 2 * rounding)
            above.add((up - middle) / step, step, 2 * rounding)
            heights.append((up - middle, down - middle))
            gaps.append(abs(up - 2 * middle + down) / step)
            # Settled: at smaller steps, rounding alone would be larger. Vanishing: the two sides' slopes get closer.
            settled = max(central.best.error, below.best.error / 2, above.best.error / 2) <= SHRINK * rounding
            known = central.best.error <= enough * abs(central.best.value) or settled
            vanishes = len(central.row) > 3 and (gaps[-1] <= 0.6 * gaps[-2] or gaps[-1] <= 100 * rounding)
            if enough and tables is near and known and vanishes and not _differ(below.best, above.best):
                break
        left, right = [_nearer(n.best if enough else n.value, w.best) for n, w in zip(near[1:], wide[1:], strict=True)]
        self.left: Slope = left
        self.right: Slope = right
        self.central: Slope = _nearer(near[0].value, wide[0].value)
        self.jumps: bool = _stays(heights, noise)
        self.moves: bool = bool(np.any(heights))

    @property
    def value(self) -> Slope:
        """The derivative: central if both sides have values, else that of the side that has."""
        return self.central if self.central.known else min(self.left, self.right, key=lambda side: side.error)

    @property
    def kinked(self) -> bool:
        """Whether the two sides' slopes differ by more than their errors."""
        return _differ(self.left, self.right)


def descend(
    line: Line, size: float, middle: Any, noise: Any, fine: Any,
    agree: Callable[[Slope], Sequence[bool]] = lambda _: (), enough: float = 1e-9,
) -> Ladder:  # fmt: skip
    """Return the results of a descending ladder of steps for a line at 0, where its value is `middle`.

    `size` is that of the numbers that are moved: steps above and below half of it are extrapolated separately, as 1 / x
    looks smooth from afar. `noise` is the possible rounding error of a value, `fine` the part that tiny steps show. The
    ladder ends early when the derivative is accurate enough, or smaller steps can't improve it, and there is no sign of
    a kink or a jump. If there is one, or if the last witness disagrees (`agree` says for each whether it agrees with a
    slope), the ladder goes on down to rounding: a function may vary on any scale, and may have a kink or an edge next
    to the point. The result there counts if the kink is gone, or if a witness agrees.
    """
    found = Ladder(line, middle, _steps(size), size, noise, enough)
    rough = found.kinked or found.jumps
    if not rough and found.value.known and all(agree(found.value)[-1:]):
        return found
    slope = abs(found.value.value) if found.value.known else 0.0
    # Below those steps, down to where numbers of this size have few digits left to change.
    tiny = _powers(min(2.0**-26 * max(size, 1.0), size / 4096 or 1.0), 256 * EPS * (size or 1.0))
    closer = Ladder(line, middle, tiny, 0, fine + 4 * EPS * size * slope, 0.0)
    smooth = closer.value.known and not (closer.kinked or closer.jumps) and (closer.moves or noise <= 8 * fine)
    if smooth and found.kinked:
        smooth = abs(closer.right.value - closer.left.value) < 0.1 * abs(found.right.value - found.left.value)
    contradicts = abs(closer.value.value - found.value.value) > 10 * closer.value.error
    better = rough or (contradicts and any(agree(closer.value)))
    return closer if (smooth and better) or (closer.jumps and not found.jumps) else found


def _nearer(near: Slope, wide: Slope) -> Slope:
    """Return the slope from small steps, unless that from large ones is within its error and more accurate."""
    if not near.known:
        return wide
    agree = wide.known and abs(near.value - wide.value) <= 10 * near.error
    return wide if agree and wide.error < near.error else near


def _steps(size: float) -> Iterator[float]:
    """Yield powers of two, with which most sums are exact, from 1/64 of the numbers' size down.

    There is a gap between the steps for numbers of size 1 and those for tiny numbers.
    """
    yield from _powers(max(size, 1.0) / 64, 2.0**-25 * max(size, 1.0))
    if size:
        yield from _powers(min(size, 2.0**-26), size / 4096)


def _powers(first: float, last: float) -> Iterator[float]:
    step = 2.0 ** math.floor(math.log2(first))
    while step and step >= last:
        yield step
        step /= SHRINK


def _differ(left: Slope, right: Slope) -> bool:
    if not (left.known and right.known):
        return False
    gap, tolerance = abs(right.value - left.value), left.error + right.error
    return bool(gap > 10 * tolerance + 1e-6 * (abs(left.value) + abs(right.value)))


def _stays(heights: list[tuple[Any, Any]], noise: Any) -> bool:
    """Return whether the change to one side doesn't shrink with the step, as it does for a continuous function."""
    if len(heights) < 7:
        return False
    last = np.abs(heights[-5:])
    least = last.min(axis=0)
    return bool(((least > 1000 * noise) & (np.diff(last, axis=0) > -0.1 * least).all(axis=0)).any())


def complex_slope(line: Line, size: float = 1.0) -> Slope:
    """Return the imaginary part of the value at an imaginary step, over the step: exact to rounding.

    The step is small compared with the numbers. Unknown if the function refuses complex numbers, or returns real ones.
    Source: W. Squire and G. Trapp, Using complex variables to estimate derivatives of real functions, 1998.
    """
    step = min(COMPLEX_STEP, 1e-9 * size)
    try:
        value = line(1j * step)
    except Exception:  # a function may raise anything for numbers that it was not written for
        return Slope()
    if not np.iscomplexobj(value):
        return Slope()
    slope = float(np.imag(value) / step)
    return Slope(slope, 64 * EPS * abs(slope), step)


def difference_quotient(line: Line, method: str, step: float | None) -> Any:
    """Return a plain difference quotient of a line at 0, "central" or "forward", with the usual step for float64."""
    usual, back = (1 / 3, -1) if method == "central" else (1 / 2, 0)
    h = EPS**usual if step is None else step
    return (line(h) - line(back * h)) / (h - back * h)


def largest(x: Any) -> float:
    """Return the size of the largest finite number, or 1 if there is only 0: moves are in proportion to it."""
    return float(np.abs(x).max(initial=0, where=np.isfinite(x))) or 1.0


def noise_of_values(line: Line, size: float, eps: float) -> tuple[Any, float, float]:
    """Return the value, the possible effect of rounding, and the part of that which tiny steps show.

    `line` is the value as a function of a step through all entries, relative to their sizes; `size` is its size at
    the point, and `eps` that of the narrowest dtype on the way. Intermediate numbers may be larger than the results,
    and so is their rounding. Second differences at steps of a few last digits are rounding alone. If such steps change
    nothing, so is the change by the first larger step, as of 1 + x**2 at a tiny x. Fourth differences at larger steps
    show coarse rounding. They are taken on both sides, since on one side they may come from a kink.
    """
    middle, last, usual = line(0.0), LAST * EPS * np.arange(1, 4), 4 * eps * size
    fine = max(float(np.abs(np.diff([line(start + h) for h in last], 2)).max()) for start in (0.0, NUDGE))
    first = next((h for h in 2.0 ** np.arange(-46, -8, 4) if line(h) != middle), 0.0)
    if first > last[0]:
        fine = max(fine, float(abs(line(first) - middle)))
    coarse = min(float(abs(np.diff([line(start + COARSE * k) for k in range(5)], 4)[0])) for start in (NUDGE, -NUDGE))
    seen = [4 * fine, max(4 * fine, coarse)]
    tiny, both = (max(usual, noise if math.isfinite(noise) else 0.0) for noise in seen)
    return middle, both, tiny


def within(a: Any, b: Any, tolerance: Any) -> bool:
    """Return whether two arrays have the same shape and differ by at most `tolerance`; nan equals nan."""
    return a.shape == b.shape and bool(np.all((np.abs(a - b) <= tolerance) | (a == b) | (np.isnan(a) & np.isnan(b))))
