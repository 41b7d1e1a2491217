"""A function at one point: values along any direction, and its own derivatives in both modes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np

from .directions import Direction, everywhere, signed_like
from .numerical import Ladder, Slope, complex_slope, descend
from .rounding import EPS, LAST, NUDGE, WIDE, largest, noise_of_values
from .subject import Arrays, Subject
from .verdicts import Finding, Verdict

NOTHING = SimpleNamespace(conventions="", culprit=None, coarsest=0.0, largest=0.0, trusted=False)


class Point:
    """A subject at certain arrays, whose results are weighed and added up: a function with one value.

    Weights are of both signs and of similar size, drawn by `seed`, exact in float16, and 0 for results
    that are not finite.
    What `inquiry` returns is asked for `coarsest`, the eps of the narrowest dtype inside, and only where differences
    don't settle it for `conventions` of steps on a kink or on a singularity, the `culprit` whose rule is wrong, and
    whether the function is `trusted`: it is made of right rules.
    Once it is `mistaken`, its own derivative is no witness any more.
    """

    def __init__(
        self, subject: Subject, arrays: Arrays, seed: int = 0, inquiry: Callable[[], Any] = lambda: NOTHING
    ) -> None:
        self.subject = subject
        self.arrays = arrays
        self.seed = seed
        self.inquiry = inquiry
        self.values: Arrays = subject.values(arrays)
        self.mistaken: bool = False
        self.holomorphic: bool = True
        self.narrow: bool = coarsest_of(arrays) > 0  # some array has less precision than float64
        rng = np.random.default_rng(seed)
        drawn = [signed_like(rng, y) for y in self.values]
        self.results: int = sum(y.size for y in self.values)
        self.weights: list[Any] = drawn if self.results != 1 else [np.abs(np.sign(u)) for u in drawn]
        self.left_out: int = sum(int((~np.isfinite(y)).sum()) for y in self.values)
        self.is_nowhere_finite: bool = 0 < self.left_out == self.results

    @functools.cached_property
    def eps(self) -> float:
        """The eps of the narrowest dtype on the way to the results, 0 if none is narrower than that of the arrays."""
        own = coarsest_of(self.values)
        return max(own if own > coarsest_of(self.arrays) else 0.0, float(self.inquiry().coarsest))

    @functools.cached_property
    def gradients(self) -> list[Any]:
        """The function's own derivatives, None where nothing connects."""
        return self.subject.pull(self.arrays, self.weights)

    @functools.cached_property
    def wide(self) -> list[Any]:
        """The same in float64."""
        return self.subject.pull([x.astype(WIDE) for x in self.arrays], self.weights)

    @functools.cached_property
    def size_of_values(self) -> float:
        """The sum of the weighed results' sizes: rounding is relative to that."""
        return float(dot(map(np.abs, self.weights), map(np.abs, self.values)))

    @functools.cached_property
    def middle(self) -> tuple[Any, float, float]:
        """The value, how far rounding may move it, and what tiny steps show of that."""
        random = everywhere(np.random.default_rng(self.seed), self.arrays)
        line = self.line({position: v * largest(self.arrays[position]) for position, v in random.items()})
        return noise_of_values(line, self.size_of_values, max(EPS, self.eps))

    def line(self, direction: Direction) -> Callable[[Any], Any]:
        """Return the weighed results, in float64, as a function of the step along a direction."""
        moves = [(position, v != 0, v[v != 0]) for position, v in direction.items()]

        def along(step: Any) -> Any:
            moved = [np.array(x, complex if isinstance(step, complex) else WIDE) for x in self.arrays]
            for position, mask, v in moves:
                moved[position][mask] += step * v
            return dot(self.weights, self.subject.values(moved))

        return along

    def ladder(self, direction: Direction, *how: Any) -> Ladder:
        """Return what difference quotients along a direction say; `how` as for `descend`."""
        size = float(np.abs(self.moved(self.arrays, direction)).max(initial=0))
        return descend(self.line(direction), size, *self.middle, *how)

    def complex_slope(self, direction: Direction) -> Slope:
        """Return what the complex step says along a direction, a step that is small beside all that is moved."""
        moved = np.abs(self.moved(self.arrays, direction))
        return complex_slope(self.line(direction), float(moved.min(initial=1.0, where=moved > 0)))

    def moved(self, arrays: Any, direction: Direction) -> Any:
        """Return what a direction moves of arrays, in a row, in no less than float64; 0 where there is no array."""
        given = [(arrays[position], v) for position, v in direction.items()]
        parts = [np.zeros(np.count_nonzero(v)) if x is None else x[v != 0] for x, v in given]
        return np.concatenate(parts, dtype=np.result_type(*parts, WIDE))

    def analytic(self, gradients: list[Any], direction: Direction) -> Any:
        """Return the function's own derivative along a direction, 0 where nothing connects."""
        return (self.moved(gradients, direction) * self.moved(direction, direction)).sum()

    def spread(
        self, direction: Direction, eps: float = 0.0, minus: Callable[[Point], Any] = lambda there: 0.0
    ) -> float:
        """Return how much that derivative, `minus` another, varies with the last digits of what the direction moves.

        So do the weights. The digits are those of float64, or of a dtype whose precision is `eps`, if that is less.
        """
        rng, found = np.random.default_rng(self.seed), []

        def nudged(x: Any) -> Any:
            return x * (1 + LAST * max(EPS, eps) * signed_like(rng, x))

        for _ in range(8):
            arrays = [x.astype(WIDE) for x in self.arrays]
            for position, v in direction.items():
                arrays[position] = np.where(v != 0, nudged(arrays[position]), arrays[position])
            there = Point(self.subject, arrays, self.seed)
            there.weights = [nudged(u) for u in self.weights]
            found.append(there.analytic(there.gradients, direction) - minus(there))
        return float(np.ptp(found)) if np.isfinite(found).all() else 0.0

    def beside(self, rng: np.random.Generator, direction: Direction, nudge: float = NUDGE) -> Arrays:
        """Return arrays a little off, along the direction, or at random where that leads nowhere.

        They are of float64 at least: few numbers of float16 are next to a kink, and not on it.
        """
        arrays = []
        for position, x in enumerate(self.arrays):
            size = np.where(np.isfinite(x), largest(x), 0)
            move = abs(nudge) * size * rng.uniform(0.25, 0.5, x.shape) * rng.choice([-1, 1], x.shape)
            if position in direction:
                v = direction[position] * rng.uniform(0.75, 1.25, x.shape)
                move = np.where(v != 0, nudge * size * v, move)
            arrays.append(np.asarray(x + move, np.result_type(x, WIDE)))
        return arrays


def coarsest_of(arrays: Arrays) -> float:
    """Return the eps of the narrowest floating-point dtype among arrays, 0 if none is narrower than float64."""
    found = [float(np.finfo(x.dtype).eps) for x in arrays if x is not None and x.dtype.kind in "fc"]
    return max([eps for eps in found if eps > EPS], default=0.0)


def dot(us: Iterable[Any], vs: Iterable[Any]) -> Any:
    """Return the sum of products, in no less than float64; a factor of 0 in `us` leaves out what is not finite."""
    return sum(np.where(u == 0, 0, u * v.astype(np.result_type(v, WIDE))).sum() for u, v in zip(us, vs, strict=True))


def modes_compared(point: Point, rng: np.random.Generator) -> Finding:
    """Return how <u, J v> by forward mode agrees with <J' u, v> by reverse mode, for a random v, in float64."""
    if point.is_nowhere_finite:
        return Finding(math.nan, math.nan, math.inf, math.nan, Verdict.NONFINITE, "the function's value is not finite")
    direction = everywhere(rng, point.arrays)

    def pushed(there: Point) -> list[Any]:
        found = there.subject.push([x.astype(WIDE) for x in there.arrays], [*direction.values()])
        return [t for t in found if t.dtype.kind == "f"]

    reverse, tangents = point.analytic(point.wide, direction), pushed(point)
    forward = dot(point.weights, tangents)
    size = dot(map(np.abs, point.weights), map(np.abs, tangents)) + np.abs(point.moved(point.wide, direction)).sum()
    apart, note = abs(forward - reverse), ""
    room, verdict = float(256 * max(EPS, point.eps) * size), Verdict.OK
    if room < apart < math.inf:
        inside = 256 * EPS * point.size_of_values * (1 + max(map(largest, point.arrays)))  # of intermediate numbers
        moved = point.spread(direction, minus=lambda there: dot(there.weights, pushed(there)))
        rounded = not point.mistaken and apart <= max(inside, 4 * moved)
        verdict = Verdict.PRECISION if rounded else Verdict.BUG
        note = "forward and reverse mode differ" + (" by rounding" if rounded else "")
    return Finding(reverse, forward, room, math.nan, verdict, note, room)
