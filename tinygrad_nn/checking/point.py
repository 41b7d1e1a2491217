"""A function at one place, and the judgement of its derivative along any direction there."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .numerical import Ladder, Slope, complex_slope, descend
from .rounding import LONG, NUDGE, WIDE, Direction, largest, noise_of_values, signed, spread_of_derivative
from .subject import Arrays, Subject
from .verdicts import Finding, Verdict


class Point:
    """A subject at certain arrays, whose results are weighed and added up: a function with one value.

    Weights are of both signs and of similar size, drawn by `seed`, exact in float16, and 0 for results
    that are not finite.
    `conventions`, asked only where differences don't settle it, says which steps sit on a kink or on a singularity
    while all rules are right. Once more digits have confirmed a mismatch, the next are believed without.
    """

    def __init__(
        self, subject: Subject, arrays: Arrays, seed: int = 0, conventions: Callable[[], list[str]] = list
    ) -> None:
        self.subject, self.arrays, self.seed, self.conventions = subject, arrays, seed, conventions
        self.values, self.mistaken = subject.values(arrays), False
        self.noises, self.middles, self.nearby = dict[Any, Any](), dict[Any, Any](), 0.0
        self.weights = _weights(self.values, seed)
        self.left_out = sum(int((~np.isfinite(y)).sum()) for y in self.values)
        self.results = sum(y.size for y in self.values)

    @functools.cached_property
    def gradients(self) -> list[Any]:
        """The function's own derivatives, None where nothing connects."""
        return self.subject.pull(self.arrays, self.weights)

    @functools.cached_property
    def wide(self) -> list[Any]:
        """The same in float64."""
        return self._pulled(WIDE)

    @functools.cached_property
    def long(self) -> list[Any]:
        """The same in long double; None throughout where the function can't be run in it."""
        try:
            return self._pulled(LONG)
        except Exception:  # numpy.linalg, for one, refuses long doubles
            return [None] * len(self.arrays)

    @property
    def longer(self) -> bool:
        """Whether there are derivatives in long double."""
        return any(g is not None for g in self.long)

    def _pulled(self, dtype: Any) -> list[Any]:
        if all(x.dtype == dtype for x in self.arrays):
            return self.gradients
        return self.subject.pull([x.astype(dtype) for x in self.arrays], self.weights)

    @property
    def narrow(self) -> bool:
        """Whether some array has less precision than float64."""
        return any(x.dtype.itemsize < WIDE.itemsize for x in self.arrays)

    def size_of_values(self) -> float:
        """Return the sum of the weighed results' sizes: rounding is relative to that."""
        return float(sum((np.abs(_weighed(u, y))).sum() for u, y in zip(self.weights, self.values, strict=True)))

    def noise(self, dtype: Any) -> Any:
        """Return how far rounding may move a value, in a dtype."""
        if dtype not in self.noises:
            self.noises[dtype], self.nearby = noise_of_values(
                self.line, self.arrays, self.size_of_values(), dtype, self.seed
            )
        return self.noises[dtype]

    def line(self, direction: Direction, dtype: Any) -> Callable[[Any], Any]:
        """Return the weighed results as a function of the step along a direction."""
        arrays = [x.astype(dtype) for x in self.arrays]
        moves = [(place, v != 0, v[v != 0]) for place, v in direction.items()]

        def along(step: Any) -> Any:
            kind = np.result_type(dtype, np.complex64) if isinstance(step, complex) else dtype
            moved = [x.astype(kind) if kind != dtype else x for x in arrays]
            for place, there, v in moves:
                moved[place] = np.array(moved[place], kind)
                moved[place][there] += step * v
            values = self.subject.values(moved)
            return sum(_weighed(u, y).sum() for u, y in zip(self.weights, values, strict=True))

        return along

    def analytic(self, gradients: list[Any], direction: Direction) -> Any:
        """Return the function's own derivative along a direction, 0 where nothing connects."""
        parts = [(gradients[place], v) for place, v in direction.items() if gradients[place] is not None]
        return sum((g.astype(np.result_type(g, WIDE)) * v)[v != 0].sum() for g, v in parts) if parts else 0.0

    def _spread(self, direction: Direction) -> float:
        """Return how much the function's own derivative along a direction varies with the last digits."""

        def derivative(arrays: list[Any], weights: list[Any]) -> Any:
            return self.analytic(self.subject.pull(arrays, weights), direction)

        return spread_of_derivative(derivative, self.arrays, self.weights, direction, self.seed)

    def ladder(self, direction: Direction, dtype: Any = WIDE) -> Ladder:
        """Return what difference quotients along a direction say, in values of a dtype."""
        size = max(float(np.abs(self.arrays[place][v != 0]).max(initial=0)) for place, v in direction.items())
        return descend(self.line(direction, dtype), self._middle(dtype), size, self.noise(dtype))

    def _middle(self, dtype: Any) -> Any:
        """Return the value at the point itself, in a dtype."""
        if dtype not in self.middles:
            self.middles[dtype] = self.line({}, dtype)(0.0)
        return self.middles[dtype]

    def judge(self, direction: Direction, *, nudging: bool = True) -> Finding:
        """Return the verdict on the derivative along a direction, a dict of arrays by place."""
        given = self.analytic(self.gradients, direction)
        if self.left_out and self.left_out == self.results:
            return Finding(given, math.nan, math.inf, math.nan, Verdict.NONFINITE, "the function's value is not finite")
        found = self.ladder(direction)
        numeric = self._refined(found, direction)
        if not np.isfinite(given):
            return _found(given, numeric, Verdict.NONFINITE, "the gradient is not finite")
        right = self.analytic(self.wide, direction) if self.narrow else given
        if not numeric.known and not found.jumps:
            return self._unresolved(given, numeric, direction)
        agrees = self._agree(right, numeric, direction)
        if not agrees and not self.longer and self._agree(right, found.value, direction):
            numeric, agrees = found.value, True  # there are functions of less precision in complex numbers
        if found.jumps:
            return _found(given, Slope(), Verdict.DISCONTINUITY, "the function jumps here")
        if found.kinked:
            return self._at_kink(given, right, numeric, found, direction, nudging)
        if agrees and self._sharp(right, numeric, direction):
            return self._rounded(given, right, numeric, direction)
        return self._again(given, right, numeric, direction, agrees, nudging)

    def _refined(self, found: Ladder, direction: Direction) -> Slope:
        """Return the slope by the complex step where that agrees with the ladder, the ladder's otherwise."""
        rough = found.value
        if not found.central.known or found.kinked or found.jumps:
            return rough
        exact = complex_slope(self.line(direction, WIDE))
        close = abs(exact.value - rough.value) <= 2 * rough.error + 1e-12 * abs(rough.value)
        sharp = rough.error <= 1e-3 * abs(rough.value) or rough.error <= 1e-6 * self._scale(direction)
        return exact if exact.known and close and sharp else rough

    def _scale(self, direction: Direction) -> float:
        """Return the size that derivatives have around here: the largest in the arrays that are moved."""
        sizes = [
            np.abs(g[np.isfinite(g)]).max(initial=0) for g in (self.gradients[p] for p in direction) if g is not None
        ]
        return float(max(sizes, default=0.0))

    def _agree(self, right: Any, numeric: Slope, direction: Direction, eps: float = float(np.finfo(WIDE).eps)) -> bool:
        """Return whether two derivatives may be one: but for rounding, and for the numerical one's error."""
        entries = sum(float(np.count_nonzero(v)) for v in direction.values())
        rounding = 256 * eps * (abs(right) + self._scale(direction) * math.sqrt(entries))
        return bool(abs(right - numeric.value) <= 10 * numeric.error + rounding)

    def _sharp(self, right: Any, numeric: Slope, direction: Direction) -> bool:
        """Return whether the numerical derivative is known well enough to tell right from wrong."""
        if numeric.error <= 1e-4 * max(abs(right), abs(numeric.value)):
            return True
        sizes = [float(np.abs(self.arrays[place]).max(initial=0)) for place in direction]
        values = max(self.size_of_values(), self.nearby)
        return bool(numeric.error <= 1e-6 * max(self._scale(direction), values / (1 + max(sizes))))

    def _rounded(self, given: Any, right: Any, numeric: Slope, direction: Direction) -> Finding:
        """Return OK, or PRECISION where the arrays' own dtype loses more than half of its digits."""
        eps = max(float(np.finfo(x.dtype).eps) for x in self.arrays)
        lost = abs(given - right)
        if lost <= math.sqrt(eps) * max(abs(right), eps * self._scale(direction)):
            return _found(given, numeric, Verdict.OK)
        return _found(given, numeric, Verdict.PRECISION, self._digits(lost, right, eps))

    def _digits(self, lost: Any, right: Any, eps: float) -> str:
        kept = max(0, math.floor(-math.log10(float(lost / abs(right))))) if right and lost else 0
        names = {str(x.dtype) for x in self.arrays}
        return f"right, but {' and '.join(sorted(names))} holds {kept} of {math.floor(-math.log10(eps))} digits here"

    def _at_kink(
        self, given: Any, right: Any, numeric: Slope, found: Ladder, direction: Direction, nudging: bool
    ) -> Finding:
        low, high = sorted([found.left.value, found.right.value])
        room = 10 * (found.left.error + found.right.error) + 1e-6 * (abs(low) + abs(high))
        between = low - room <= right <= high + room
        slopes = f"one-sided slopes {float(found.left.value):.6g} and {float(found.right.value):.6g}"
        if not nudging:
            return _found(given, numeric, Verdict.KINK if between else Verdict.BUG, slopes)
        if not self._nudged(direction) or not (between or self.conventions() or self._each_is_right(direction)):
            return _found(given, numeric, Verdict.BUG, slopes)
        named = f" ({', '.join(self.conventions())})" if self.conventions() else ""
        says = "the gradient is a subgradient" if between else "several meet"
        return _found(given, numeric, Verdict.KINK, f"{slopes}; {says}{named}")

    def _each_is_right(self, direction: Direction) -> bool:
        """Return whether a direction that crosses several kinks falls into parts along which all is right."""
        halves = _halves(direction)
        return len(halves) == 2 and all(self.judge(half).verdict.accepted for half in halves)

    def _again(
        self, given: Any, right: Any, numeric: Slope, direction: Direction, agrees: bool, nudging: bool
    ) -> Finding:
        """Judge a mismatch, or a derivative that differences can't resolve, by more digits first."""
        if not agrees and self.mistaken:
            return self._mismatch(given, numeric, direction, nudging)
        exact = self.analytic(self.long, direction) if self.longer else None
        if exact is not None and np.isfinite(exact):
            sharper = self.ladder(direction, LONG).value
            eps = float(np.finfo(LONG).eps)
            fine = sharper.known and self._agree(exact, sharper, direction, eps)
            if fine and self._sharp(exact, sharper, direction):
                return self._rounded(given, exact, sharper, direction)
            numeric = sharper if sharper.known and sharper.error < numeric.error else numeric
            if abs(exact - given) > 0.1 * abs(numeric.value - given):
                kept = "it changes with every digit that is computed with"
                return _found(given, numeric, Verdict.PRECISION, f"not one digit can be relied on: {kept}")
        if agrees and nudging and self.conventions():
            return _found(given, numeric, Verdict.CONVENTION, ", ".join(self.conventions()))
        if agrees:
            return _found(given, numeric, Verdict.PRECISION, f"known to {float(numeric.error):.1e} only")
        spread = self._spread(direction)
        if abs(right - numeric.value) <= 4 * spread + 10 * numeric.error and (not nudging or self._nudged(direction)):
            note = f"rounding alone moves it by {spread:.1e}"
            return _found(given, numeric, Verdict.PRECISION, note)
        return self._mismatch(given, numeric, direction, nudging)

    def _mismatch(self, given: Any, numeric: Slope, direction: Direction, nudging: bool) -> Finding:
        if all(self.gradients[place] is None for place in direction):
            return _found(given, numeric, Verdict.DISCONNECTED, "no recorded step leads here, but values depend on it")
        if nudging and self.conventions() and self._nudged(direction):
            return _found(given, numeric, Verdict.CONVENTION, ", ".join(self.conventions()))
        if nudging and len(_halves(direction)) == 2 and self._nudged(direction) and self._each_is_right(direction):
            return _found(given, numeric, Verdict.KINK, "several kinks meet, and cancel")
        self.mistaken = True
        return _found(given, numeric, Verdict.BUG)

    def _unresolved(self, given: Any, numeric: Slope, direction: Direction) -> Finding:
        if self.conventions():
            return _found(given, numeric, Verdict.CONVENTION, ", ".join(self.conventions()))
        return _found(given, numeric, Verdict.NONFINITE, "values beside the point are not finite")

    def _nudged(self, direction: Direction) -> bool:
        """Return whether the derivative is right on both sides of the point, a little off in all coordinates."""
        rng, passed = np.random.default_rng(self.seed + 1), []
        for sign in (1, -1):
            try:
                there = Point(self.subject, self.beside(rng, direction, sign), self.seed)
                finding = there.judge(direction, nudging=False)
            except ArithmeticError:
                continue
            if finding.verdict is not Verdict.NONFINITE:
                passed.append(finding.verdict in (Verdict.OK, Verdict.PRECISION))
        return bool(passed) and all(passed)

    def beside(self, rng: np.random.Generator, direction: Direction, sign: int = 1) -> Arrays:
        """Return arrays a little off, along the direction, or at random where that leads nowhere.

        They are of float64 at least: few numbers of float16 are next to a kink, and not on it.
        """
        arrays = []
        for place, x in enumerate(self.arrays):
            size = np.where(np.isfinite(x), NUDGE * largest(x), 0)
            move = size * rng.uniform(0.25, 0.5, x.shape) * rng.choice([-1, 1], x.shape)
            if place in direction:
                v = direction[place] * rng.uniform(0.75, 1.25, x.shape)
                move = np.where(v != 0, sign * size * v, move)
            arrays.append(np.asarray(x + move, np.result_type(x, WIDE)))
        return arrays


def _found(given: Any, numeric: Slope, verdict: Verdict, note: str = "") -> Finding:
    return Finding(given, numeric.value, float(numeric.error), numeric.step, verdict, note)


def _halves(direction: Direction) -> list[Direction]:
    """Return a direction in two parts, each of half of its inputs or entries; in one if it has one entry only."""
    (place, v), *others = direction.items()
    if others:
        return [{place: v}, dict(others)]
    entries = np.flatnonzero(v)
    if entries.size < 2:
        return [direction]
    first = np.zeros(v.shape)
    first.flat[entries[: entries.size // 2]] = v.flat[entries[: entries.size // 2]]
    return [{place: first}, {place: v - first}]


def _weights(values: Arrays, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    drawn = [signed(rng, y) for y in values]
    return [np.abs(np.sign(u)) for u in drawn] if len(drawn) == 1 and drawn[0].size == 1 else drawn


def _weighed(u: Any, y: Any) -> Any:
    """Return the products, in no less than float64; a weight of 0 leaves out what is not finite."""
    y = y.astype(np.result_type(y, WIDE))
    return np.where(u == 0, 0, u * y)
