"""The verdict on a function's derivative at a point, along one direction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .numerical import COARSE, EPS, LAST, NUDGE, Slope, largest
from .point import NOWHERE, Point, coarsest_of, halves
from .report import Finding, Verdict
from .subject import Arrays


def judge(point: Point, direction: Any, *, nudging: bool = True) -> Finding:
    """Return the verdict on the derivative along a direction. With `nudging` it may look at points next to it."""
    return _Judgement(point, direction, nudging).finding()


class _Judgement:
    """What is known about one derivative.

    `given` is the function's own derivative, `right` the same in float64 at least, `found` the result of differences,
    `numeric` the best numerical derivative so far, and `size` the size of the largest number that is moved. `moved` has
    the gradient, the numbers and the direction of each input that is moved.
    """

    def __init__(self, point: Point, direction: Any, nudging: bool) -> None:
        self.point, self.direction, self.nudging = point, direction, nudging
        self.given, self.right = (point.analytic(each, direction) for each in (point.gradients, point.wide))
        self.numeric = self.exact = Slope()
        parts = zip(point.gradients, point.arrays, point.subject.parted(direction), strict=True)
        self.moved = [(g, x, v) for g, x, v in parts if v.any()]
        self.size = largest(point.x[direction != 0])
        self.eps = max(EPS, point.eps, 0.0 if point.narrow else coarsest_of([g for g, _, _ in self.moved]) / 16)

    def finding(self) -> Finding:
        """Return the verdict."""
        point = self.point
        if point.is_nowhere_finite:
            return NOWHERE
        if point.holomorphic:
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
        return self._found(Verdict.OK) if self._is_zero() else self._blurred(agrees)

    def _agree(self, slope: Slope) -> list[bool]:
        """Return which witnesses agree with a slope: the function's own derivative, and the complex step's, if any."""
        own = [] if self.point.mistaken or not np.isfinite(self.right) else [self.right]
        exact = [self.exact.value] if self.exact.known else []
        return [self._agrees(witness, slope) for witness in own + exact]

    def _found(self, verdict: Verdict, note: str = "") -> Finding:
        numeric, tolerance = self.numeric, self._tolerance(self.right, self.numeric)
        return Finding(self.given, numeric.value, float(numeric.error), numeric.step, verdict, note, tolerance)

    def _refined(self) -> Slope:
        """Return the slope by the complex step if that agrees with the ladder, else the ladder's."""
        rough, exact = self.found.value, self.exact
        if self.found.kinked or self.found.jumps or not exact.known:
            return rough
        if not self.found.central.known:
            return exact if self._is_exact() else rough
        # The complex step has no truncation error, but is wrong if |x| or a comparison is involved: the ladder decides.
        agrees = abs(exact.value - rough.value) <= 2 * rough.error + 1e-12 * abs(rough.value)
        own = self._agrees(self.right, exact)
        self.point.holomorphic = agrees or own or self._agrees(exact.value, rough)
        if agrees and not own and self._agrees(self.right, rough):
            blur = self.point.spread(self.direction, 0.0, lambda there: there.complex_slope(self.direction).value)
            nearer = abs(self.right - rough.value) <= rough.error < abs(exact.value - rough.value)
            if nearer or abs(exact.value - self.right) <= 4 * blur:
                return rough  # some functions lose digits, or small parts of the derivative, in complex numbers
        sharp = rough.error <= 1e-3 * abs(rough.value) or rough.error <= 1e-6 * self._scale()
        off = abs(self.right - rough.value) > 2 * rough.error  # the complex step is nearer
        return exact if agrees and (sharp or own or off) else rough

    def _is_exact(self) -> bool:
        """Return whether the complex step agrees with the derivative to the last digits."""
        return bool(self.exact.known and abs(self.exact.value - self.right) <= self.exact.error != 0)

    def _scale(self) -> float:
        """Return the typical size of derivatives here: that of the largest in the arrays that are moved.

        If an array has numbers of many sizes, the product of derivative and number counts.
        """
        sizes = []
        for g, x, v in self.moved:
            if g is not None:
                g, x, moved = np.where(np.isfinite(g), np.abs(g), 0), np.abs(x), largest(x[v != 0])
                sizes.append(min(g.max(), (g * np.where((x == 0) | ~np.isfinite(x), moved, x)).max() / moved))
        return float(max(sizes, default=0.0))

    def _agrees(self, own: Any, numeric: Slope) -> bool:
        """Return whether two derivatives are equal, except for rounding and the numerical one's error."""
        return bool(abs(own - numeric.value) <= self._tolerance(own, numeric))

    def _tolerance(self, own: Any, numeric: Slope) -> float:
        entries = np.count_nonzero(self.direction)
        return float(10 * numeric.error + 256 * self.eps * (abs(own) + self._scale() * math.sqrt(entries)))

    def _is_sharp(self, own: Any, numeric: Slope) -> bool:
        """Return whether the numerical derivative is accurate enough to tell right from wrong."""
        if numeric.error <= 1e-4 * max(abs(own), abs(numeric.value)) or not (own or self.found.moves):
            return True
        return bool(numeric.error <= 1e-6 * self._scale())

    def _is_zero(self) -> bool:
        """Return whether both derivatives are 0 up to rounding of those of other arrays: a bias before a norm."""
        sizes = [np.abs(g).max(initial=0, where=np.isfinite(g)) for g in self.point.gradients if g is not None]
        scale, numeric = max(sizes, default=0.0), self.numeric
        is_small = max(abs(self.right), abs(numeric.value)) <= 256 * self.eps * scale
        return bool(is_small and numeric.error <= 1e-6 * scale)

    def _rounded(self) -> Finding:
        """Return OK, or PRECISION if rounding in the arrays' dtype loses more than half of its digits."""
        eps, smallest = (max(float(getattr(np.finfo(x.dtype), a)) for x in self.point.arrays) for a in ("eps", "tiny"))
        lost, right = abs(self.given - self.right), self.right
        if lost <= math.sqrt(eps) * max(abs(right), eps * self._scale(), smallest):
            return self._found(Verdict.OK)
        names = " and ".join(sorted({str(x.dtype) for x in self.point.arrays}))
        if not self._is_rounding(lost, eps):
            return self._found(Verdict.BUG, f"right in float64, wrong in {names} by more than rounding")
        kept = max(0, math.floor(-math.log10(float(lost / abs(right))))) if right and lost else 0
        digits = math.floor(-math.log10(eps))
        return self._found(Verdict.PRECISION, f"right, but {names} holds {kept} of {digits} digits here")

    def _is_rounding(self, lost: Any, eps: float) -> bool:
        """Return whether rounding can explain what a narrow dtype loses.

        For one operation, that is the effect of moving its inputs by their last digits. A function of many operations
        loses digits on the way: then no operation is to blame, and the error is not the same factor at other points.
        """
        point = self.point
        if point.subject.alone:
            moved = point.spread(self.direction, eps) + LAST * eps * (self._scale() + point.size_of_values / self.size)
            return bool(lost <= moved)
        if point.inquiry().culprit:
            return False
        rng, factors = np.random.default_rng(point.seed), [self.given / self.right]
        for _ in range(3 if self.given and self.right else 0):
            arrays = [(x * rng.uniform(0.5, 1.5, x.shape)).astype(x.dtype) for x in point.arrays]
            both = arrays, [x.astype(float) for x in arrays]
            given, right = (point.analytic(point.subject.pull(xs, point.weights), self.direction) for xs in both)
            factors.append(given / right)
        return len(factors) == 1 or not np.ptp(factors) <= 0.01 * abs(factors[0] - 1)

    def _at_kink(self) -> Finding:
        """Judge a kink: all slopes between those of the two sides are right, if they are right on both sides."""
        left, right = self.found.left, self.found.right
        low, high = sorted([left.value, right.value])
        tolerance = 10 * (left.error + right.error) + 1e-6 * (abs(low) + abs(high))
        between = low - tolerance <= self.right <= high + tolerance
        slopes = f"one-sided slopes {float(left.value):.6g} and {float(right.value):.6g}"
        if not self.nudging:
            return self._found(Verdict.KINK if between else Verdict.BUG, slopes)
        if not (between or self._is_one_of_several()) or not self._is_right_beside():
            return self._bug(slopes)
        conventions = self.point.inquiry().conventions
        named = f" ({conventions})" if conventions else ""
        says = "the gradient is a subgradient" if between else "several meet"
        return self._found(Verdict.KINK, f"{slopes}; {says}{named}")

    def _blurred(self, agrees: bool) -> Finding:
        """Judge a mismatch, or a derivative that differences can't resolve."""
        point, numeric = self.point, self.numeric
        if agrees and not point.inquiry().culprit:
            return self._convention() or self._found(Verdict.PRECISION, f"known to {numeric.error:.1e} only")
        if not agrees and not point.mistaken:
            spread = point.spread(self.direction)
            near = abs(self.right - numeric.value) <= 4 * spread + 10 * numeric.error
            if near and (not self.nudging or self._is_right_beside()):
                return self._found(Verdict.PRECISION, f"rounding alone moves it by {spread:.1e}")
        return self._mismatch()

    def _mismatch(self) -> Finding:
        if all(g is None for g, _, _ in self.moved):
            return self._found(Verdict.DISCONNECTED, "no recorded step leads here, but values depend on it")
        if self._is_symmetrised():
            return self._found(Verdict.CONVENTION, "one triangle is read: both get half of its derivative")
        # A convention holds only at the point: a rule that is right on both sides of it is not to blame.
        doubtful = self.nudging and (not self.point.mistaken or self.point.inquiry().conventions)
        if doubtful and self._is_right_beside() and self._is_one_of_several():
            return self._convention() or self._found(Verdict.KINK, "several kinks meet, and cancel")
        return self._bug()

    def _bug(self, note: str = "") -> Finding:
        """Return BUG, unless differences are useless here: the function varies below their steps, or is rounded."""
        if self.nudging and self._is_unresolved():
            return self._found(Verdict.PRECISION, "rounding, or a scale below that of differences, hides it")
        self.point.mistaken = True
        return self._found(Verdict.BUG, note)

    def _is_unresolved(self) -> bool:
        """Return whether everything but differences, which may see too little, supports the derivative.

        The complex step agrees with it, or values next to the point are off the line that differences give, or the
        function rounds to one value or to a narrower dtype. All rules are right and nothing is hidden; a single rule,
        or a gradient by hand, is right at numbers of size 1.
        """
        point, agrees = self.point, self._is_exact()
        if point.subject.by_hand or point.subject.alone:
            sizes = [np.maximum(np.abs(x) / largest(x), 0.1) / (3 + i) for i, x in enumerate(point.arrays)]
            rng = np.random.default_rng(point.seed)  # a matrix that is nearly singular is not so there
            of_size_1 = [np.sign(x) * rng.uniform(0.75, 1.25, x.shape) * size for x, size in zip(point.arrays, sizes)]
            return not point.mistaken and self._departs() and (agrees or self._elsewhere(of_size_1).accepted)
        inquiry = point.inquiry()
        rounds = point.eps or not self.found.moves or EPS * inquiry.largest > NUDGE * self.size
        return bool(agrees or rounds or self._departs()) and inquiry.trusted

    def _departs(self) -> bool:
        """Return whether values next to the point are off the line of differences, nearly as much as is disputed.

        Or whether the derivative varies as much with the last digits of the narrowest dtype on the way, or the disputed
        part is hidden by rounding.
        """
        point, line, slope = self.point, self.point.line(self.direction), self.numeric.value
        size, off = self.size, abs(self.right - slope)
        rounding = self.eps * max(16 * point.size_of_values, 4 * size * abs(self.right))

        def rise(h: Any) -> Any:
            up, down = line(h) - point.middle[0], point.middle[0] - line(-h)
            return up + down if np.isfinite(up + down) else 2 * (up if np.isfinite(up) else down)

        steps = [h for h in size * COARSE * 2.0 ** -np.arange(0, 36, 2) if h < self.numeric.step]
        departs = any(abs(rise(h) - 2 * h * slope) > max(rounding, 0.2 * h * off) for h in steps)
        least = np.abs(point.x[(self.direction != 0) & (point.x != 0)]).min(initial=size)
        doubtful = self.found.kinked or (point.subject.by_hand and not self._is_exact())
        lost = not doubtful and off * least <= LAST * self.eps * (least + point.size_of_values)
        return departs or lost or bool(point.eps and off <= 4 * point.spread(self.direction, point.eps))

    def _is_symmetrised(self) -> bool:
        """Return whether one triangle of square matrices is read, as by eigvalsh, and the gradient is symmetric."""
        point = self.point
        if any(v.ndim < 2 or v.shape[-1] != v.shape[-2] for _, _, v in self.moved):
            return False
        parts = [(v + v.swapaxes(-1, -2)) / 2 if v.any() else v for v in point.subject.parted(self.direction)]
        along = point.subject.row(parts)
        if not self._agrees(self.right, Slope(point.analytic(point.wide, along), 0.0)):
            return False
        ones = [v * 0 + v.any() for v in parts]
        sides = [[side(v, k) if v.any() else v for v in ones] for side, k in ((np.triu, 1), (np.tril, -1))]
        unread = any(line(NUDGE) == line(-NUDGE) for line in map(point.line, map(point.subject.row, sides)))
        return unread and self._agrees(self.right, point.ladder(along, lambda s: [self._agrees(self.right, s)]).value)

    def _convention(self) -> Finding | None:
        """Return CONVENTION if steps are at a kink or a singularity, and all rules are right."""
        conventions = self.point.inquiry().conventions
        return self._found(Verdict.CONVENTION, conventions) if conventions else None

    def _is_one_of_several(self) -> bool:
        """Return whether it may be one of several derivatives that meet here: its rules, or its parts, are right.

        Or it lies between others very near the point, as the slope of values does; a smooth function has only one.
        """
        point, inquiry, parts = self.point, self.point.inquiry(), halves(self.direction)
        if inquiry.trusted or inquiry.conventions:
            return True
        if len(parts) == 2 and all(judge(point, part).verdict.accepted for part in parts):
            return True
        rng = np.random.default_rng(point.seed)
        others = [point.subject.pull(point.beside(rng, nudge=COARSE), point.weights) for _ in range(32)]
        slopes = [point.analytic(gradients, self.direction) for gradients in others]
        low, high = min(slopes), max(slopes)
        tolerance = 1e-3 * (high - low)
        return all(low - tolerance <= slope <= high + tolerance for slope in (self.right, self.numeric.value))

    def _is_right_beside(self) -> bool:
        """Return whether the derivative is right on both sides of the point, a little away in all coordinates."""
        rng = np.random.default_rng(self.point.seed + 1)  # another seed, because the point's own drew the weights
        sides = [self.point.beside(rng, self.direction, nudge) for nudge in (NUDGE, -NUDGE)]
        found = {*map(self._elsewhere, sides)} - {Verdict.NONFINITE}
        return bool(found) and found <= {Verdict.OK, Verdict.PRECISION, Verdict.CONVENTION}

    def _elsewhere(self, arrays: Arrays) -> Verdict:
        """Return the verdict at other arrays, or NONFINITE if the function refuses them, such as a singular matrix."""
        try:
            there = Point(self.point.subject, arrays, self.point.seed)
            return judge(there, self.direction, nudging=False).verdict
        except (ArithmeticError, ValueError):
            return Verdict.NONFINITE
