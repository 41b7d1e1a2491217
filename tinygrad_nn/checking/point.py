"""A function at one point: values along any direction, its own derivatives in several precisions and in both modes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from .directions import Direction, everywhere, signed_like
from .numerical import COMPLEX_STEP, Ladder, Slope, complex_slope, descend
from .rounding import EPS, LONG, NUDGE, WIDE, largest, noise_of_values, spread
from .subject import Arrays, Subject
from .verdicts import Finding, Verdict

NOTHING = SimpleNamespace(conventions="", culprit=None, coarsest=0.0, largest=0.0, hidden=True)


class Point:
    """A subject at certain arrays, whose results are weighed and added up: a function with one value.

    Weights are of both signs and of similar size, drawn by `seed`, exact in float16, and 0 for results
    that are not finite.
    What `inquiry` returns is asked only where differences don't settle it: for `conventions` of steps on a kink or on a
    singularity, the `culprit` whose rule is wrong, and `coarsest`, the eps of the narrowest dtype inside.
    Once more digits have confirmed a mismatch, the next are believed without.
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
        eps = coarsest_of(self.values)
        self.eps: float = eps if eps > coarsest_of(arrays) else 0.0
        self._noises, self._middles = dict[Any, Any](), dict[Any, Any]()
        rng = np.random.default_rng(seed)
        drawn = [signed_like(rng, y) for y in self.values]
        self.results: int = sum(y.size for y in self.values)
        self.weights: list[Any] = drawn if self.results != 1 else [np.abs(np.sign(u)) for u in drawn]
        self.left_out: int = sum(int((~np.isfinite(y)).sum()) for y in self.values)
        self.is_nowhere_finite: bool = 0 < self.left_out == self.results

    @functools.cached_property
    def gradients(self) -> list[Any]:
        """The function's own derivatives, None where nothing connects."""
        return self.subject.pull(self.arrays, self.weights)

    @functools.cached_property
    def wide(self) -> list[Any]:
        """The same in float64."""
        return self._pulled(WIDE)

    @functools.cached_property
    def long(self) -> list[Any] | None:
        """The same in long double, None where the function can't be run in it, or nothing connects."""
        try:
            self._middles[LONG] = self.line({}, LONG)(0.0)
            pulled = self._pulled(LONG)
            return pulled if any(g is not None for g in pulled) else None
        except Exception:  # numpy.linalg, for one, refuses long doubles
            return None

    def _pulled(self, dtype: Any) -> list[Any]:
        return self.subject.pull([x.astype(dtype) for x in self.arrays], self.weights)

    @property
    def narrow(self) -> bool:
        """Whether some array has less precision than float64."""
        return any(x.dtype.itemsize < WIDE.itemsize for x in self.arrays)

    def size_of_values(self) -> float:
        """Return the sum of the weighed results' sizes: rounding is relative to that."""
        return float(dot([np.abs(u) for u in self.weights], [np.abs(y) for y in self.values]))

    def noise(self, dtype: Any) -> Any:
        """Return how far rounding may move a value, in a dtype, and what tiny steps show of that."""
        if dtype not in self._noises:
            random = everywhere(np.random.default_rng(self.seed), self.arrays)
            line = self.line({position: v * largest(self.arrays[position]) for position, v in random.items()}, dtype)
            eps = max(float(np.finfo(dtype).eps), self.eps)
            self._noises[dtype] = noise_of_values(line, self.size_of_values(), dtype, eps)
        return self._noises[dtype]

    def is_coarser(self) -> bool:
        """Return whether the function turns out to compute in a narrower dtype than was known."""
        found, before = float(self.inquiry().coarsest), self.eps
        if found > before:
            self.eps = found
            self._noises.clear()
        return found > before

    def line(self, direction: Direction, dtype: Any) -> Callable[[Any], Any]:
        """Return the weighed results as a function of the step along a direction."""
        arrays = [x.astype(dtype) for x in self.arrays]
        moves = [(position, v != 0, v[v != 0]) for position, v in direction.items()]

        def along(step: Any) -> Any:
            kind = np.result_type(dtype, np.complex64) if isinstance(step, complex) else dtype
            moved = [np.array(x, kind) for x in arrays]
            for position, mask, v in moves:
                moved[position][mask] += step * v
            return dot(self.weights, self.subject.values(moved))

        return along

    def ladder(self, direction: Direction, dtype: Any = WIDE, *how: Any) -> Ladder:
        """Return what difference quotients along a direction say, in values of a dtype; `how` as for `descend`."""
        size = max(float(np.abs(self.arrays[position][v != 0]).max(initial=0)) for position, v in direction.items())
        if dtype not in self._middles:
            self._middles[dtype] = self.line({}, dtype)(0.0)
        return descend(self.line(direction, dtype), self._middles[dtype], size, *self.noise(dtype), *how)

    def complex_slope(self, direction: Direction) -> Slope:
        """Return what the complex step says along a direction, a step that is small beside all that is moved."""
        moved = np.concatenate(
            [np.abs(self.arrays[position][v != 0]).astype(WIDE) for position, v in direction.items()]
        )
        step = min(COMPLEX_STEP, 1e-9 * float(moved.min(initial=1.0, where=moved > 0)))
        return complex_slope(self.line(direction, WIDE), step)

    def analytic(self, gradients: list[Any], direction: Direction) -> Any:
        """Return the function's own derivative along a direction, 0 where nothing connects."""
        parts = [(gradients[position], v) for position, v in direction.items() if gradients[position] is not None]
        return sum((g.astype(np.result_type(g, WIDE)) * v)[v != 0].sum() for g, v in parts) if parts else 0.0

    def spread(self, direction: Direction, eps: float = 0.0) -> float:
        """Return how much that derivative varies with the last digits of what the direction moves, and the weights."""

        def derivative(nudged: Callable[[Any], Any]) -> Any:
            arrays = [x.astype(np.result_type(x, WIDE)) for x in self.arrays]
            for position, v in direction.items():
                arrays[position] = np.where(v != 0, nudged(arrays[position]), arrays[position])
            return self.analytic(self.subject.pull(arrays, [nudged(u) for u in self.weights]), direction)

        return spread(derivative, self.seed, eps)

    def beside(self, rng: np.random.Generator, direction: Direction, sign: int = 1) -> Arrays:
        """Return arrays a little off, along the direction, or at random where that leads nowhere.

        They are of float64 at least: few numbers of float16 are next to a kink, and not on it.
        """
        arrays = []
        for position, x in enumerate(self.arrays):
            size = np.where(np.isfinite(x), NUDGE * largest(x), 0)
            move = size * rng.uniform(0.25, 0.5, x.shape) * rng.choice([-1, 1], x.shape)
            if position in direction:
                v = direction[position] * rng.uniform(0.75, 1.25, x.shape)
                move = np.where(v != 0, sign * size * v, move)
            arrays.append(np.asarray(x + move, np.result_type(x, WIDE)))
        return arrays


def coarsest_of(arrays: Arrays) -> float:
    """Return the eps of the narrowest floating-point dtype among arrays, 0 if none is narrower than float64."""
    found = [float(np.finfo(x.dtype).eps) for x in arrays if x is not None and x.dtype.kind in "fc"]
    return max([eps for eps in found if eps > EPS], default=0.0)


def dot(us: Arrays, vs: Arrays) -> Any:
    """Return the sum of products, in no less than float64; a factor of 0 in `us` leaves out what is not finite."""
    return sum(np.where(u == 0, 0, u * v.astype(np.result_type(v, WIDE))).sum() for u, v in zip(us, vs, strict=True))


def modes_compared(point: Point, rng: np.random.Generator) -> Finding:
    """Return how <u, J v> by forward mode agrees with <J' u, v> by reverse mode, for a random v."""
    if point.is_nowhere_finite:
        return Finding(math.nan, math.nan, math.inf, math.nan, Verdict.NONFINITE, "the function's value is not finite")
    tangents = [signed_like(rng, x) for x in point.arrays]
    reverse, forward, size = _both(point, tangents)
    eps = max(float(np.finfo(x.dtype).eps) for x in point.arrays)
    room, apart = 256 * max(eps, point.eps) * size, abs(forward - reverse)
    if apart > room and point.is_coarser():
        room = 256 * max(eps, point.eps) * size
    verdict, note = Verdict.OK, ""
    if room < apart < math.inf:
        rounded = not point.mistaken and _is_rounding(point, tangents, apart)
        verdict = Verdict.PRECISION if rounded else Verdict.BUG
        note = "forward and reverse mode differ" + (" by rounding" if rounded else "")
    return Finding(reverse, forward, room, math.nan, verdict, note, room)


def _both(point: Point, tangents: list[Any], changed: Callable[[Any], Any] = lambda x: x) -> tuple[float, float, float]:
    """Return a directional derivative by reverse and by forward mode, and the size of what rounding is relative to."""
    arrays, weights = ([changed(x) for x in xs] for xs in (point.arrays, point.weights))
    tangents = [changed(t).astype(x.dtype) for t, x in zip(tangents, arrays, strict=True)]
    pushed = [t for t in point.subject.push(arrays, tangents) if t.dtype.kind == "f"]
    pairs = [(g, t) for g, t in zip(point.subject.pull(arrays, weights), tangents, strict=True) if g is not None]
    size = dot([np.abs(u) for u in weights], [np.abs(t) for t in pushed]) + sum(
        float(np.abs(g).sum()) for g, _ in pairs
    )
    return sum(dot([g], [t]) for g, t in pairs), dot(weights, pushed), size


def _is_rounding(point: Point, tangents: list[Any], apart: float) -> bool:
    """Return whether two modes are closer with more digits, or as far apart where the last digits are others."""
    wider = LONG if any(x.dtype == WIDE for x in point.arrays) else WIDE
    size = point.size_of_values() * (1 + max(map(largest, point.arrays)))  # of intermediate numbers

    def difference(nudged: Callable[[Any], Any]) -> Any:
        return np.subtract(*_both(point, tangents, lambda x: nudged(x).astype(x.dtype))[:2])

    try:
        left = abs(np.subtract(*_both(point, tangents, lambda x: x.astype(wider))[:2]))
    except Exception:  # numpy.linalg, for one, refuses long doubles
        left, wider = apart, max((x.dtype for x in point.arrays), key=lambda dtype: np.finfo(dtype).eps)
    is_less = left <= max(0.05 * apart, 256 * float(np.finfo(wider).eps) * size)
    return bool(is_less or apart <= 4 * spread(difference, point.seed))
