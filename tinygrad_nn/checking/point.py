"""A function at one point: values along any direction, and the function's own derivatives in both modes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..engine.watching import Watcher, watched
from .numerical import EPS, LAST, NUDGE, WIDE, Ladder, Line, Slope, complex_slope, descend, largest, noise_of_values
from .report import Finding, Verdict
from .subject import Arrays, Subject

NOTHING = SimpleNamespace(conventions="", culprit=None, coarsest=0.0, largest=0.0, trusted=False)
NOWHERE = Finding(math.nan, math.nan, math.inf, math.nan, Verdict.NONFINITE, "the function's value is not finite")


class Point:
    """A subject at given arrays, with results that are weighted and added up: a function with one value.

    Weights have both signs and similar sizes, are drawn by `seed`, exact in float16, and 0 for results that are not
    finite. The result of `inquiry` gives `coarsest`, the eps of the narrowest dtype inside. Only if differences don't
    decide, it is also asked for `conventions` of steps at a kink or a singularity, the `culprit` whose rule is wrong,
    and whether the function is `trusted`, that is, made of right rules.
    Directions, and the numbers `x` that they move, are rows with the entries of all inputs. If the function is
    `mistaken`, its own derivative is no longer a witness.
    """

    def __init__(
        self, subject: Subject, arrays: Arrays, seed: int = 0, inquiry: Callable[[], Any] = lambda: NOTHING
    ) -> None:
        self.subject = subject
        self.arrays = arrays
        self.x: Any = subject.row(arrays)
        self.seed = seed
        self.inquiry = inquiry
        self.values: Arrays = subject.values(arrays)
        self.mistaken: bool = False
        self.holomorphic: bool = True
        self.narrow: bool = coarsest_of(arrays) > 0  # an array has less precision than float64
        rng = np.random.default_rng(seed)
        drawn = [signed_like(rng, y) for y in self.values]
        self.results: int = sum(y.size for y in self.values)
        self.weights: list[Any] = drawn if self.results != 1 else [np.abs(np.sign(u)) for u in drawn]
        self.left_out: int = sum(int((~np.isfinite(y)).sum()) for y in self.values)
        self.is_nowhere_finite: bool = 0 < self.left_out == self.results

    @functools.cached_property
    def eps(self) -> float:
        """The eps of the narrowest dtype on the way to the results, or 0 if none is narrower than the arrays'."""
        own = coarsest_of(self.values)
        return max(own if own > coarsest_of(self.arrays) else 0.0, float(self.inquiry().coarsest))

    @functools.cached_property
    def gradients(self) -> list[Any]:
        """The function's own derivatives, None where nothing connects."""
        return self.subject.pull(self.arrays, self.weights)

    @functools.cached_property
    def wide(self) -> list[Any]:
        """The same in float64."""
        return self.subject.pull(self.subject.parted(self.x), self.weights) if self.narrow else self.gradients

    @functools.cached_property
    def size_of_values(self) -> float:
        """The sum of the sizes of the weighted results; rounding is relative to it."""
        return float(dot(map(np.abs, self.weights), map(np.abs, self.values)))

    @functools.cached_property
    def middle(self) -> tuple[Any, float, float]:
        """The value, the possible effect of rounding, and the part of that which tiny steps show."""
        random = signed_like(np.random.default_rng(self.seed), self.x)
        return noise_of_values(self.line(random * self.sizes), self.size_of_values, max(EPS, self.eps))

    @functools.cached_property
    def sizes(self) -> Any:
        """The size of the largest number in each entry's array, 0 for an entry that is not finite."""
        return self.subject.row([np.where(np.isfinite(x), largest(x), 0.0) for x in self.arrays])

    def line(self, direction: Any) -> Line:
        """Return the weighted sum of the results, in float64, as a function of the step along a direction."""
        moved = np.flatnonzero(direction)

        def along(step: Any) -> Any:
            x = self.x.astype(complex if isinstance(step, complex) else WIDE)
            x[moved] += step * direction[moved]
            return dot(self.weights, self.subject.values(self.subject.parted(x)))

        return along

    def ladder(self, direction: Any, *how: Any) -> Ladder:
        """Return the results of difference quotients along a direction; `how` is as in `descend`."""
        size = float(np.abs(self.x[direction != 0]).max(initial=0))
        return descend(self.line(direction), size, *self.middle, *how)

    def complex_slope(self, direction: Any) -> Slope:
        """Return the slope by the complex step along a direction; the step is small compared with the moved numbers."""
        moved = np.abs(self.x[direction != 0])
        return complex_slope(self.line(direction), float(moved.min(initial=1.0, where=moved > 0)))

    def analytic(self, gradients: list[Any], direction: Any) -> Any:
        """Return the function's own derivative along a direction, 0 where nothing connects."""
        return dot([direction], [self.subject.row(gradients)])

    def spread(self, direction: Any, eps: float = 0.0, minus: Callable[[Point], Any] = lambda there: 0.0) -> float:
        """Return how much that derivative, `minus` another, varies with the last digits of the moved numbers.

        The weights vary as well, and what each operation reads, constants too. The digits are those of float64, or of a
        less precise dtype with this `eps`.
        """
        rng, found = np.random.default_rng(self.seed), []

        def nudged(x: Any) -> Any:
            return x * (1 + LAST * max(EPS, eps) * signed_like(rng, x))

        for _ in range(8):
            x = np.where(direction != 0, nudged(self.x), self.x)
            there = Point(self.subject, self.subject.parted(x), self.seed)
            there.weights = [nudged(u) for u in self.weights]
            try:
                with watched(_Rounding(nudged)):
                    found.append(there.analytic(there.gradients, direction) - minus(there))
            except (ArithmeticError, ValueError):  # a matrix is singular up to rounding
                return 0.0
        return float(np.ptp(found)) if np.isfinite(found).all() else 0.0

    def beside(self, rng: np.random.Generator, direction: Any = 0, nudge: float = NUDGE) -> Arrays:
        """Return arrays a little away from the point, along the direction, and randomly where that is 0.

        They are at least float64: in float16, few numbers are close to a kink but not on it.
        """
        random = abs(nudge) * rng.uniform(0.25, 0.5, self.x.shape) * rng.choice([-1, 1], self.x.shape)
        along = nudge * direction * rng.uniform(0.75, 1.25, self.x.shape)
        return self.subject.parted(self.x + self.sizes * np.where(direction != 0, along, random))


class _Rounding(Watcher):
    """Operations get numbers with other last digits. Exponents, which are whole numbers, stay as they are."""

    def __init__(self, nudged: Callable[[Any], Any]) -> None:
        self.nudged = nudged

    def forward(self, operation: Any, arrays: list[Any], parameters: dict[str, Any]) -> Any:
        for i, x in enumerate(arrays):
            if getattr(getattr(x, "dtype", None), "kind", "") == "f":
                stays = operation.pointwise & (x == np.rint(x))
                arrays[i] = np.where(stays, x, self.nudged(x).astype(x.dtype))
        return super().forward(operation, arrays, parameters)


def coarsest_of(arrays: Arrays) -> float:
    """Return the eps of the narrowest floating-point dtype among arrays, 0 if none is narrower than float64."""
    found = [float(np.finfo(x.dtype).eps) for x in arrays if x is not None and x.dtype.kind in "fc"]
    return max([eps for eps in found if eps > EPS], default=0.0)


def dot(us: Iterable[Any], vs: Iterable[Any]) -> Any:
    """Return the sum of products, at least in float64; a factor of 0 in `us` leaves out numbers that are not finite."""
    return sum(np.where(u == 0, 0, u * v.astype(np.result_type(v, WIDE))).sum() for u, v in zip(us, vs, strict=True))


def modes_compared(point: Point, rng: np.random.Generator) -> Finding:
    """Return the finding on <u, J v> by forward and <J' u, v> by reverse mode, for a random v, in float64."""
    if point.is_nowhere_finite:
        return NOWHERE
    direction = signed_like(rng, point.x)

    def pushed(there: Point) -> list[Any]:
        found = there.subject.push(*map(there.subject.parted, (there.x, direction)))
        return [t for t in found if t.dtype.kind == "f"]

    reverse, tangents = point.analytic(point.wide, direction), pushed(point)
    forward = dot(point.weights, tangents)
    pulled = np.abs(point.subject.row(point.wide)[direction != 0])
    size = dot(map(np.abs, point.weights), map(np.abs, tangents)) + pulled.sum()
    apart, note = abs(forward - reverse), ""
    tolerance, verdict = float(256 * max(EPS, point.eps) * size), Verdict.OK
    if tolerance < apart < math.inf:
        inside = 256 * EPS * point.size_of_values * (1 + float(point.sizes.max()))  # of intermediate numbers
        moved = point.spread(direction, minus=lambda there: dot(there.weights, pushed(there)))
        rounded = not point.mistaken and apart <= max(inside, 4 * moved)
        verdict = Verdict.PRECISION if rounded else Verdict.BUG
        note = "forward and reverse mode differ" + (" by rounding" if rounded else "")
    return Finding(reverse, forward, tolerance, math.nan, verdict, note, tolerance)


def signed(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Return numbers of both signs and of sizes between 0.5 and 1.5, exact in float16.

    With plain signs, errors in two entries would often cancel; tiny entries would hide an error.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> bool(np.all(np.abs(tg.testing.signed(np.random.default_rng(0), (3,))) >= 0.5))
    True
    """
    return np.asarray(np.round(rng.uniform(32, 96, shape)) / 64 * rng.choice([-1.0, 1.0], shape))


def signed_like(rng: np.random.Generator, x: Any) -> Any:
    """Return such numbers in the shape of an array, with 0 where the array is not finite."""
    return np.where(np.isfinite(x), signed(rng, x.shape), 0.0)


def unit(size: int, entry: int) -> Any:
    """Return the direction of one entry of `size`."""
    direction = np.zeros(size)
    direction[entry] = 1.0
    return direction


def halves(direction: Any) -> list[Any]:
    """Return a direction in two parts, each with half of its entries; in one part if it has only one entry."""
    entries, first = np.flatnonzero(direction), direction.copy()
    first[entries[entries.size // 2 :]] = 0
    return [first, direction - first] if entries.size > 1 else [direction]
