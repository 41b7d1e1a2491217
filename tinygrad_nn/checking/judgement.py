"""The verdict on a function's derivative at a point, along one direction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .directions import Direction, halves
from .numerical import COARSE, EPS, LAST, NUDGE, Slope, largest
from .point import Point, coarsest_of, modes_compared
from .verdicts import Finding, Verdict


def judge(point: Point, direction: Direction, *, nudging: bool = True) -> Finding:
    """Return the verdict on the derivative along a direction. With `nudging` it may look at points next to it."""
    return _Judgement(point, direction, nudging).finding()


class _Judgement:
    """What is known of one derivative.

    `given` is the function's own, `right` the same in float64 at least, `found` what differences of values say,
    `numeric` the best numerical derivative so far, and `size` that of the largest number that is moved.
    """

    def __init__(self, point: Point, direction: Direction, nudging: bool) -> None:
        self.point, self.direction, self.nudging = point, direction, nudging
        self.given = self.right = point.analytic(point.gradients, direction)
        self.numeric = self.exact = Slope()
        own = [point.gradients[position] for position in direction]
        self.size = largest(point.moved(point.arrays, direction))
        self.eps = max(EPS, point.eps, 0.0 if point.narrow else coarsest_of(own) / 16)

    def finding(self) -> Finding:
        """Return the verdict."""
        point = self.point
        if point.is_nowhere_finite:
            self.given = math.nan
            return self._found(Verdict.NONFINITE, "the function's value is not finite")
        if point.narrow:
            self.right = point.analytic(point.wide, self.direction)
        self.exact = point.complex_slope(self.direction)
        self.found = point.ladder(self.direction, self._agree, 1e-5 if self.exact.known else 1e-9)
        self.numeric = self._refined()
        if not np.isfinite(self.given):
            return self._found(Verdict.NONFINITE, "the gradient is not finite")
        if not self.numeric.known and not self.found.jumps:
            return self._convention() or self._found(Verdict.NONFINITE, "values beside the point are not finite")
        agrees = self._agrees(self.right, self.numeric)
        if self.found.jumps:
            self.numeric = Slope()
            return self._found(Verdict.DISCONTINUITY, "the function jumps here")
        if self.found.kinked:
            return self._at_kink()
        if agrees and (self._is_sharp(self.right, self.numeric) or not self._agrees(self.given, self.numeric)):
            return self._rounded()
        return self._blurred(agrees)

    def _agree(self, slope: Slope) -> list[bool]:
        """Return who agrees with a slope: the function's own derivative, and the complex step's where there is one."""
        own = [] if self.point.mistaken or not np.isfinite(self.right) else [self.right]
        exact = [self.exact.value] if self.exact.known else []
        return [self._agrees(witness, slope) for witness in own + exact]

    def _found(self, verdict: Verdict, note: str = "") -> Finding:
        numeric = self.numeric
        room = self._room(self.right, numeric)
        return Finding(self.given, numeric.value, float(numeric.error), numeric.step, verdict, note, room)

    def _refined(self) -> Slope:
        """Return the slope by the complex step where that agrees with the ladder, the ladder's otherwise."""
        rough, exact = self.found.value, self.exact
        if self.found.kinked or self.found.jumps or not exact.known:
            return rough
        if not self.found.central.known:
            return exact if self._is_exact() else rough
        # The complex step has no truncation, but is wrong where |x| or a comparison is on the way: the ladder decides.
        agrees = abs(exact.value - rough.value) <= 2 * rough.error + 1e-12 * abs(rough.value)
        sharp = rough.error <= 1e-3 * abs(rough.value) or rough.error <= 1e-6 * self._scale()
        own = self._agrees(self.right, exact)
        if agrees and not own and self._agrees(self.right, rough) and not self._is_off_elsewhere():
            return rough  # some functions are less precise in complex numbers
        return exact if agrees and (sharp or own) else rough

    def _is_off_elsewhere(self) -> bool:
        """Return whether derivative and complex step differ as much, or by the same factor, at another point."""
        point, rng = self.point, np.random.default_rng(self.point.seed)
        points = point, Point(point.subject, point.beside(rng, {}, 0.5), point.seed)
        own = np.array([p.analytic(p.wide, self.direction) for p in points])
        exact = np.array([p.complex_slope(self.direction).value for p in points])
        return any(abs(there - here) <= 0.1 * abs(here) for here, there in (own - exact, own / exact - 1))

    def _is_exact(self) -> bool:
        """Return whether the complex step says the same as the derivative, to the last digits."""
        return bool(self.exact.known and abs(self.exact.value - self.right) <= self.exact.error != 0)

    def _scale(self) -> float:
        """Return the size that derivatives have around here: the largest in the arrays that are moved.

        Where numbers of many sizes stand in one array, what the largest derivative makes of its own number counts.
        """
        sizes = []
        for position, v in self.direction.items():
            g, x = self.point.gradients[position], np.abs(self.point.arrays[position])
            if g is not None and g.size:
                g, moved = np.where(np.isfinite(g), np.abs(g), 0), largest(x[v != 0])
                sizes.append(min(g.max(), (g * np.where((x == 0) | ~np.isfinite(x), moved, x)).max() / moved))
        return float(max(sizes, default=0.0))

    def _agrees(self, own: Any, numeric: Slope) -> bool:
        """Return whether two derivatives may be one: but for rounding, and for the numerical one's error."""
        return bool(abs(own - numeric.value) <= self._room(own, numeric))

    def _room(self, own: Any, numeric: Slope) -> float:
        entries = sum(float(np.count_nonzero(v)) for v in self.direction.values())
        return float(10 * numeric.error + 256 * self.eps * (abs(own) + self._scale() * math.sqrt(entries)))

    def _is_sharp(self, own: Any, numeric: Slope) -> bool:
        """Return whether the numerical derivative is known well enough to tell right from wrong."""
        if numeric.error <= 1e-4 * max(abs(own), abs(numeric.value)) or not (own or self.found.moves):
            return True
        return bool(numeric.error <= 1e-6 * self._scale())

    def _rounded(self) -> Finding:
        """Return OK, or PRECISION where the arrays' own dtype loses more than half of its digits: by rounding.

        Of one operation that is what moving its inputs by their last digits does. A function of many loses digits on
        the way: then no operation is to blame.
        """
        point, right, lost = self.point, self.right, abs(self.given - self.right)
        eps, smallest = (max(float(getattr(np.finfo(x.dtype), a)) for x in point.arrays) for a in ("eps", "tiny"))
        if lost <= math.sqrt(eps) * max(abs(right), eps * self._scale(), smallest):
            return self._found(Verdict.OK)
        names = " and ".join(sorted({str(x.dtype) for x in point.arrays}))
        moved = point.spread(self.direction, eps) + LAST * eps * self._scale() if point.subject.alone else math.inf
        if lost > moved or point.inquiry().culprit:
            return self._found(Verdict.BUG, f"right in float64, wrong in {names} by more than rounding")
        kept, of = (math.floor(-math.log10(share)) for share in (float(lost / abs(right)) if right else 1.0, eps))
        return self._found(Verdict.PRECISION, f"right, but {names} holds {max(0, kept)} of {of} digits here")

    def _at_kink(self) -> Finding:
        """Judge where the slopes of the two sides differ: all between them are right, and the sides have to be."""
        left, right = self.found.left, self.found.right
        low, high = sorted([left.value, right.value])
        room = 10 * (left.error + right.error) + 1e-6 * (abs(low) + abs(high))
        between = low - room <= self.right <= high + room
        slopes = f"one-sided slopes {float(left.value):.6g} and {float(right.value):.6g}"
        if not self.nudging:
            return self._found(Verdict.KINK if between else Verdict.BUG, slopes)
        conventions = self.point.inquiry().conventions
        several = between or conventions or self._is_between_neighbours()
        if not several or not self._is_right_beside():
            return self._bug(slopes)
        named = f" ({conventions})" if conventions else ""
        says = "the gradient is a subgradient" if between else "several meet"
        return self._found(Verdict.KINK, f"{slopes}; {says}{named}")

    def _blurred(self, agrees: bool) -> Finding:
        """Judge a mismatch, or a derivative that differences can't resolve."""
        point, numeric = self.point, self.numeric
        if agrees and not (point.eps and point.inquiry().culprit):
            return self._convention() or self._found(Verdict.PRECISION, f"known to {float(numeric.error):.1e} only")
        spread = point.spread(self.direction)
        near = abs(self.right - numeric.value) <= 4 * spread + 10 * numeric.error
        if near and not agrees and (not self.nudging or self._is_right_beside()):
            return self._found(Verdict.PRECISION, f"rounding alone moves it by {spread:.1e}")
        return self._mismatch()

    def _mismatch(self) -> Finding:
        if all(self.point.gradients[position] is None for position in self.direction):
            return self._found(Verdict.DISCONNECTED, "no recorded step leads here, but values depend on it")
        if self._is_symmetrised():
            return self._found(Verdict.CONVENTION, "one triangle is read: both get half of its derivative")
        # What holds at the point alone is no mistake of a rule that is right on both sides of it.
        several = self._convention() or (not self.point.mistaken and self.nudging and self._is_between_neighbours())
        if several and self._is_right_beside():
            return self._convention() or self._found(Verdict.KINK, "several kinks meet, and cancel")
        return self._bug()

    def _bug(self, note: str = "") -> Finding:
        """Return BUG, unless differences tell nothing here: the function varies below their steps, or is rounded."""
        if self._is_unresolved():
            return self._found(Verdict.PRECISION, "rounding, or a scale below that of differences, hides it")
        self.point.mistaken = True
        return self._found(Verdict.BUG, note)

    def _is_unresolved(self) -> bool:
        """Return whether all speaks for the derivative but differences, which may see too little.

        Of recorded operations, all rules are right, nothing is hidden, and forward mode says the same. One operation
        alone is right in parts, where numbers of many sizes are moved at once. Or values next to the point are off the
        line that differences draw, and the complex step agrees, or a rule is right where numbers are small.
        """
        point, inquiry = self.point, self.point.inquiry()
        if not self.nudging:
            return False
        if not (point.subject.by_hand or point.subject.alone):
            modes = modes_compared(point, np.random.default_rng(point.seed))
            return modes.verdict.accepted and not (inquiry.culprit or inquiry.hidden)
        parts = halves(self.direction)
        if point.subject.alone and len(parts) == 2 and all(judge(point, part).verdict.accepted for part in parts):
            return True
        agrees = self._is_exact()
        if point.subject.alone and not agrees:
            there = Point(point.subject, [x / (3 * largest(x)) for x in point.arrays], point.seed)
            agrees = judge(there, self.direction, nudging=False).verdict.accepted
        return agrees and self._departs()

    def _departs(self) -> bool:
        """Return whether values next to the point are off the line that differences draw, nearly as far as disputed.

        Or whether the derivative varies as much with the last digits of the narrowest dtype on the way.
        """
        point, line, slope = self.point, self.point.line(self.direction), self.numeric.value
        size, off = self.size, abs(self.right - slope)
        rounding = self.eps * max(16 * point.size_of_values, 4 * size * abs(self.right))

        def rise(h: Any) -> Any:
            up, down = line(h) - line(0.0), line(0.0) - line(-h)
            return up + down if np.isfinite(up + down) else 2 * (up if np.isfinite(up) else down)

        steps = [h for h in size * COARSE * 2.0 ** -np.arange(0, 36, 2) if h < self.numeric.step]
        departs = any(abs(rise(h) - 2 * h * slope) > max(rounding, 0.2 * h * off) for h in steps)
        return departs or bool(point.eps and off <= 4 * point.spread(self.direction, point.eps))

    def _is_symmetrised(self) -> bool:
        """Return whether one triangle of square matrices is read, as by eigvalsh, and the gradient is symmetric."""
        point = self.point
        if any(v.ndim < 2 or v.shape[-1] != v.shape[-2] for v in self.direction.values()):
            return False
        along = {position: (v + v.swapaxes(-1, -2)) / 2 for position, v in self.direction.items()}
        skew = any((v != along[position]).any() for position, v in self.direction.items())
        if not (skew and self._agrees(self.right, Slope(point.analytic(point.wide, along), 0.0))):
            return False
        others = [{i: side(v * 0 + 1 - np.eye(len(v.T))) for i, v in along.items()} for side in (np.triu, np.tril)]
        unread = any(line(NUDGE) == line(-NUDGE) for line in map(point.line, others))
        return unread and self._agrees(self.right, point.ladder(along).value)

    def _convention(self) -> Finding | None:
        """Return CONVENTION, if steps sit on a kink or on a singularity while all rules are right."""
        conventions = self.point.inquiry().conventions
        return self._found(Verdict.CONVENTION, conventions) if conventions else None

    def _is_between_neighbours(self) -> bool:
        """Return whether derivative and slope lie between the derivatives around this point, entry by entry.

        Where kinks meet, all between is right, and along a direction the slopes of several may cancel. Around kinks,
        other than around waves, derivatives don't depend on the distance.
        Source: F. H. Clarke, Optimization and Nonsmooth Analysis, 1983.
        """
        point, rng = self.point, np.random.default_rng(self.point.seed)
        own, v = (point.moved(xs, self.direction) for xs in (point.wide, self.direction))
        low, high, room, apart = np.full(v.size, math.inf), np.full(v.size, -math.inf), 0.0, 0.0
        for _ in range(32):
            far = point.beside(rng, {}, COARSE)
            near = [(x + y) / 2 for x, y in zip(point.arrays, far, strict=True)]
            a, b = (point.moved(point.subject.pull(xs, point.weights), self.direction) for xs in (far, near))
            low, high, apart = np.fmin(low, a), np.fmax(high, a), max(apart, np.abs(a - b).max())
            room = max(room, 16 * COARSE * np.abs(a).max())  # what is smooth varies, too
        least, most = (pick(v * low, v * high).sum() for pick in (np.minimum, np.maximum))
        inside = apart <= room and ((low - room <= own) & (own <= high + room)).all()
        along, slope = room * np.abs(v).sum(), self.numeric.value
        return bool(inside and along < abs(self.right - slope) and least - along <= slope <= most + along)

    def _is_right_beside(self) -> bool:
        """Return whether the derivative is right on both sides of the point, a little off in all coordinates."""
        point, passed = self.point, False
        rng = np.random.default_rng(point.seed + 1)  # another seed: the weights' numbers were drawn by the point's own
        for nudge in (NUDGE, -NUDGE):
            try:
                there = Point(point.subject, point.beside(rng, self.direction, nudge), point.seed)
                finding = judge(there, self.direction, nudging=False)
            except (ArithmeticError, ValueError):  # a singular matrix, or numbers that the function refuses
                continue
            if finding.verdict not in (Verdict.OK, Verdict.PRECISION, Verdict.NONFINITE):
                return False
            passed = passed or finding.verdict is not Verdict.NONFINITE
        return passed
