"""Gradient checks that give reasons: `tg.gradcheck` and its companions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..engine.trees import filled
from .blame import Inquiry
from .judgement import judge
from .likely import likely_mistake
from .numerical import difference_quotient, within
from .point import Point, modes_compared, signed_like, unit
from .report import STEPS, ErrorCurve, Finding, GradientReport, Verdict
from .search import wrong_entries
from .subject import HandWritten, Subject, derivative_of

SAMPLE = 128
DIRECTIONS = 3


def gradcheck(
    function: Callable[..., Any],
    *inputs: Any,
    gradient: Callable[..., Any] | None = None,
    order: int = 1,
    mode: str = "both",
    full: bool = False,
    seed: int = 0,
) -> GradientReport:
    """Compare a function's derivatives with the best numerical ones, and return a report with a verdict for each.

    `function` takes Tensors, Modules or nestings of them, and returns Tensors; several results are weighted and added
    up. With `gradient`, the function takes and returns arrays, and `gradient(*inputs)` is a derivative written by hand;
    inputs may then be PyTorch's or JAX's, which both functions get. `order=2` also checks the gradient of the gradient.
    `mode` is "reverse", "forward", or "both", which also compares the two. If there are more than 128 entries, a sample
    of 128, drawn by `seed`, is checked, and directions through all entries, unless `full` is true; a few wrong entries
    are then found by bisection of a direction.

    The numerical derivative is by the complex step where the function allows that, which is exact to rounding;
    otherwise it is extrapolated from a ladder of steps, with an estimate of its error, which is the tolerance. The
    report is true if every verdict is OK, CONVENTION, KINK or PRECISION; the others are DISCONTINUITY, DISCONNECTED,
    NONFINITE, NONDETERMINISTIC and BUG. On BUG it names the operation. Raises TypeError or ValueError for functions
    that can't be checked.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> report = tg.gradcheck(lambda x: tg.sum(tg.relu(x) * x), np.array([1.0, -2.0, 0.5]))
    >>> bool(report), report.verdict.value
    (True, 'OK')
    """
    _check_known("order", order, (1, 2))
    _check_known("mode", mode, ("reverse", "forward", "both"))
    if gradient is not None and (order == 2 or mode == "forward"):
        raise ValueError(
            "a gradient by hand can be checked to first order and in reverse mode only: leave out order= and mode="
        )
    subject = Subject(function, inputs) if gradient is None else HandWritten(function, inputs, gradient)
    report = _Check(subject, mode, full, seed).report()
    if order == 1 or not report:
        return report
    weights = Point(subject, subject.arrays, seed).weights
    twice = _Check(derivative_of(subject, weights), mode, full, seed, first=subject).report()
    return replace(twice, rows=report.rows + twice.rows, covered=f"{report.covered}; {twice.covered}")


def _check_known(name: str, value: Any, known: tuple[Any, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}={value!r} is unknown; write one of {', '.join(map(repr, known))}")


def assert_gradients(function: Callable[..., Any], *inputs: Any, **options: Any) -> None:
    """Raise GradientCheckError with the table, unless `tg.gradcheck` finds every derivative right.

    >>> import tinygrad_nn as tg
    >>> tg.assert_gradients(lambda x: x * tg.exp(x), 2.0)
    """
    gradcheck(function, *inputs, **options).raise_if_failed()


def numerical_gradient(
    function: Callable[..., Any], *inputs: Any, method: str = "ridders", step: float | None = None
) -> Any:
    """Return the numerical derivatives of a scalar function, nested as its inputs; for several inputs, a tuple.

    `method` is "central", "forward" or "complex", with the given step or the usual one for float64, or "ridders":
    extrapolated from many steps. `function` takes Tensors and returns a Tensor, an array or a number.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.numerical_gradient(lambda x: (x**3).sum(), np.array([1.0, 2.0]), method="complex").tolist()
    [3.0, 12.0]
    """
    _check_known("method", method, ("central", "forward", "complex", "ridders"))
    if step is not None and method in ("complex", "ridders"):
        raise ValueError(f"method={method!r} chooses its step by itself; leave out step=")
    subject = Subject(function, inputs)
    subject.measured = True
    point = Point(subject, subject.arrays)
    if len(point.values) != 1 or point.results != 1:
        raise ValueError(
            f"the function returns shapes {[y.shape for y in point.values]}, where one number is needed; return a sum, "
            "or use tg.jacobian"
        )

    def slope(direction: Any) -> float:
        if method in ("central", "forward"):
            return float(difference_quotient(point.line(direction), method, step))
        found = point.complex_slope(direction) if method == "complex" else point.ladder(direction).value
        if method == "complex" and not found.known:
            raise TypeError("the function refuses complex numbers, or drops the imaginary part; use method='ridders'")
        return float(found.value)

    slopes = np.array([slope(unit(point.x.size, entry)) for entry in range(point.x.size)])
    nested = filled(subject.inputs, iter(subject.parted(slopes)))
    return nested[0] if len(inputs) == 1 else tuple(nested)


def error_curve(function: Callable[..., Any], *inputs: Any, entry: int = 0) -> ErrorCurve:
    """Return the errors of a function's difference quotients at steps from 1/4 down: the classical V.

    `entry` counts the entries of all inputs in a row. The reference is the function's own derivative if that is right,
    else the best numerical one.

    >>> import tinygrad_nn as tg
    >>> curve = tg.error_curve(lambda x: tg.exp(x), 1.0)
    """
    subject = Subject(function, inputs)
    point = Point(subject, subject.arrays)
    return _curve(point, unit(point.x.size, entry))


def _curve(point: Point, direction: Any) -> ErrorCurve:
    """Return the errors of quotients along a direction, and of the function's own derivative."""
    finding, line = judge(point, direction), point.line(direction)
    trusted = finding.verdict is Verdict.OK or not np.isfinite(finding.numeric)
    derivative = float(finding.analytic if trusted else finding.numeric)
    slopes = [[difference_quotient(line, method, step) for step in STEPS] for method in ("central", "forward")]
    central, forward = np.abs(np.array(slopes, float) - derivative)
    return ErrorCurve(STEPS, central, forward, derivative, abs(float(finding.analytic) - derivative))


class _Check:
    """One check: the derivatives to look at, and the findings."""

    def __init__(self, subject: Subject, mode: str, full: bool, seed: int, first: Subject | None = None) -> None:
        self.subject, self.mode, self.seed = subject, mode, seed
        self.of = "" if first is None else "second derivative, "
        self.point = Point(subject, subject.arrays, seed, lambda: self.inquiry)
        self.inquiry = Inquiry(first or subject, subject.arrays, seed, order=2 if first else 1)
        numbers = subject.parted(np.arange(self.point.x.size))
        finite = [n[np.isfinite(x)] for n, x in zip(numbers, subject.arrays, strict=True)]
        self.size = sum(map(len, finite))
        self.skipped = self.point.x.size - self.size
        self.sampled, self.few, self.directions = self.size > SAMPLE and not full, False, DIRECTIONS
        self.entries = _sample(finite, seed) if self.sampled else np.concatenate(finite).tolist()

    @np.errstate(all="ignore")
    def report(self) -> GradientReport:
        """Return the report."""
        differing = self._differing(1)
        if differing is not None:
            return self._report_of([differing])
        rows = [] if self.mode == "forward" else self._reverse()
        if self.mode != "reverse" and not self.subject.by_hand:
            rng = np.random.default_rng(self.seed)
            findings = [modes_compared(self.point, rng) for _ in range(DIRECTIONS)]
            rows += self._along(findings, "forward mode")
        if self.mode != "forward" and all(row.verdict.accepted for row in rows):
            rows += self._beside()
        if any(row.verdict in (Verdict.PRECISION, Verdict.BUG) for row in rows):
            differing = self._differing(4)
        return self._report_of([differing] if differing else rows)

    def _report_of(self, rows: list[Finding]) -> GradientReport:
        worst = max(rows, key=lambda row: row.badness)
        blame, notes = None, []
        if self.few:
            notes.append(f"{len(self.entries)} of {self.size:,} entries are wrong, or on a kink; all others are right")
        if worst.verdict is Verdict.BUG and self.subject.by_hand and not self.few:
            wrong = {row.input for row in rows if row.verdict is Verdict.BUG}
            likely = [(n, likely_mistake(self.subject, i)) for i, n in enumerate(self.subject.names) if n in wrong]
            notes += [f"the gradient by {name}: {mistake}" for name, mistake in likely if mistake]
        elif worst.verdict is Verdict.BUG and not self.subject.by_hand:
            blame = self.inquiry.culprit or (self.inquiry.pusher if self.mode != "reverse" else None)
            if blame is None:
                notes.append(
                    "every recorded operation's own rule is right here: something that the value depends on is not "
                    "recorded, such as t.data, t.detach() or a value taken under tg.no_grad()"
                )
        if self.skipped:
            notes.append(f"{self.skipped} entries of the inputs are not finite and were left out")
        if self.point.left_out:
            notes.append(f"{self.point.left_out} of {self.point.results} results are not finite and were left out")
        entry = next((e for e, row in zip(self.entries, rows, strict=False) if row is worst), self.entries[0])
        curve = partial(_curve, self.point, unit(self.point.x.size, entry))
        coverage = sum(isinstance(row.index, tuple) for row in rows) / self.size
        return GradientReport(tuple(rows), self._covered(), blame, tuple(notes), curve, coverage)

    def _covered(self) -> str:
        if not self.sampled:
            return f"{self.of}all {self.size:,} entries of the inputs"
        part = f"{len(self.entries)} of {self.size:,} entries of the inputs"
        return f"{self.of}{part}, and {self.directions} direction{'s' * (self.directions > 1)} through all"

    def _differing(self, runs: int) -> Finding | None:
        """Return a row if repeated runs give other values or gradients."""
        before = [*self.point.values, *(g for g in self.point.gradients if g is not None)]
        for _ in range(runs):
            again = Point(self.subject, self.subject.arrays, self.seed)
            for a, b in zip(before, [*again.values, *(g for g in again.gradients if g is not None)], strict=True):
                tolerance = 64 * float(np.finfo(a.dtype).eps) * np.abs(a).max(initial=0.0, where=np.isfinite(a))
                if not within(a, b, tolerance):
                    at = int(np.argmax(np.nan_to_num(np.abs(a - b)).reshape(-1)))
                    note = "two runs on the same inputs differ; seed what draws random numbers, inside the function"
                    found = Finding(a.flat[at], b.flat[at], math.inf, math.nan, Verdict.NONDETERMINISTIC, note)
                    return replace(found, input="all", index="two runs")
        return None

    def _reverse(self) -> list[Finding]:
        """Return findings for entries and, if not every entry is checked, along directions through all of them."""
        through: list[Finding] = []
        for number in range(DIRECTIONS if self.sampled else 0):
            direction = signed_like(np.random.default_rng((self.seed, number)), self.point.x)
            through.append(judge(self.point, direction))
            if through[-1].verdict is Verdict.BUG:  # a few wrong entries are found by bisection
                few = wrong_entries(self.point, direction, through[-1])
                self.few, self.entries, self.directions = bool(few), few or self.entries[:: SAMPLE // 32], len(through)
                break
        return [*map(self._entry, self.entries), *self._along(through, "all")]

    def _along(self, findings: list[Finding], what: str) -> list[Finding]:
        return [replace(f, input=self.of + what, index=f"direction {n}") for n, f in enumerate(findings)]

    def _entry(self, entry: int) -> Finding:
        direction = unit(self.point.x.size, entry)
        each = zip(self.subject.names, self.subject.parted(direction), strict=True)
        ((name, v),) = [(name, v) for name, v in each if v.any()]
        return replace(judge(self.point, direction), input=self.of + name, index=tuple(np.argwhere(v)[0].tolist()))

    def _beside(self) -> list[Finding]:
        """Return a row if the derivative is wrong next to the point, because an earlier run's values are used."""
        rng = np.random.default_rng(self.seed)
        arrays = self.point.beside(rng)
        inquiry = Inquiry(self.inquiry.subject, arrays, self.seed, self.inquiry.order)
        try:
            there = Point(self.subject, arrays, self.seed, lambda: inquiry)
            finding = judge(there, signed_like(rng, there.x))
        except ValueError:  # shapes differ there, or a matrix is singular
            return []
        if finding.verdict is not Verdict.BUG:
            return []
        self.inquiry = inquiry
        note = "right at the point, wrong next to it: are values of an earlier run used?"
        return [replace(finding, note=note, input=self.of + "all", index="beside the point")]


def _sample(finite: list[Any], seed: int) -> list[int]:
    """Return a sample: some entries of every input, and others at random."""
    rng, share = np.random.default_rng(seed), SAMPLE // len(finite) or 1
    shuffled = [rng.permutation(part)[:SAMPLE] for part in finite]
    few, rest = (np.concatenate([part[which] for part in shuffled]) for which in (slice(share), slice(share, None)))
    return sorted([*few.tolist(), *rng.permutation(rest)[: max(0, SAMPLE - few.size)].tolist()])
