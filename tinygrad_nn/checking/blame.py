"""Which operation's rule is wrong: every recorded step of a function is judged by itself."""

from __future__ import annotations

import functools
import linecache
import os
import traceback
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..engine.node import Node, history
from ..engine.operation import Operation
from ..engine.trees import leaves
from ..engine.watching import Watcher, watched
from ..tensor.handle import Tensor, node_of
from .judgement import judge
from .likely import likely_mistake
from .numerical import NUDGE, largest
from .point import Point, coarsest_of, modes_compared, signed_like
from .report import Finding, Verdict
from .subject import Arrays, Subject, derivative_of, quiet

PACKAGES = (os.path.dirname(os.path.dirname(__file__)), os.path.dirname(np.__file__), functools.__file__)
TRIALS = 3


@dataclass(frozen=True)
class Step:
    """One recorded step: its operation, arrays and parameters, and the line that called it.

    `active` are the positions of the inputs that get a gradient; `line` says where the call is, and `text` is its
    source, or "".
    """

    operation: Operation
    arrays: list[Any]
    parameters: dict[str, Any]
    active: list[int]
    line: str
    text: str

    def subject(self, order: int = 1) -> Subject:
        """Return the step as a function of the active inputs, with the others constant; at order 2, its gradient."""

        def alone(*given: Any) -> Any:
            inputs = list(self.arrays)
            for i, x in zip(self.active, given, strict=True):
                inputs[i] = x
            return self.operation.kernel(*([inputs] if self.operation.variadic else inputs), **self.parameters)

        subject = Subject(alone, [self.arrays[i] for i in self.active])
        if order == 2:
            subject = derivative_of(subject, Point(subject, subject.arrays).weights)
        names = list(self.operation.arguments)
        if self.operation.variadic:
            names = [f"{names[0]}[{i}]" for i in range(len(self.arrays))]
        subject.names, subject.alone = [names[i] for i in self.active], True
        arrays = enumerate(map(np.asarray, self.arrays))
        subject.constants = {names[i]: x for i, x in arrays if i not in self.active and x.dtype.kind == "f"}
        return subject


@dataclass(frozen=True)
class Culprit:
    """An operation whose rule is wrong: where it was called, and how its derivative with respect to one input is off.

    `what` says what is wrong: its "rule", its "second derivative", or its "forward mode", for all inputs together.
    `mistake` explains the rule's result; it is "" if no known mistake does.
    """

    step: Step
    finding: Finding
    what: str
    mistake: str = ""

    def told(self) -> str:
        """Return one sentence: which rule, where it was called, and the likely mistake."""
        analytic, numeric = (f"{float(slope):.6g}" for slope in (self.finding.analytic, self.finding.numeric))
        name, line = self.step.operation.name, f"called at {self.step.line}"
        rule = f"to blame: the {self.what} of operation {name!r}"
        if self.what == "forward mode":
            return f"{rule}, {line}: along a random direction it says {numeric}, reverse mode {analytic}"
        off = self.mistake or f"along a random direction it says {analytic}, and values {numeric}"
        return f"{rule} for {self.finding.input!r}, {line}: {off}"


@dataclass(eq=False)
class Inquiry:
    """The steps that a function records on the way to its results, and what is wrong with them, found when needed."""

    subject: Subject
    arrays: Arrays
    seed: int = 0
    order: int = 1

    @cached_property
    def steps(self) -> list[Step]:
        """The steps that connect the arrays with the results, in the order of execution."""
        return self._recorded(self.arrays)[0]

    def _recorded(self, arrays: Arrays) -> tuple[list[Step], list[Any]]:
        """Return the steps from arrays to results, and the constants beside them, except integers and flat values."""
        if self.subject.by_hand:
            return [], []
        steps, variables = _Steps(), [Tensor(x, requires_grad=True) for x in arrays]
        with quiet(), watched(steps):
            results = [(y.data, node_of(y)) for y in leaves(self.subject.called(variables)) if isinstance(y, Tensor)]
        found = [steps.seen[n] for n in reversed(history([n for _, n in results if n])) if n in steps.seen]
        fixed = [x for step in found for i, x in enumerate(step.arrays) if i not in step.active]
        fixed += [y for y, n in results if n is None]
        # Not a parameter that is an input's own array: sort uses one to recognise ties.
        fixed += [p for step in found for p in leaves(step.parameters) if not any(p is x for x in step.arrays)]
        known = [x for x in fixed if not any(x is y for y in steps.flat)]
        return found, [x for x in map(np.asarray, known) if x.dtype.kind not in "biu"]

    @cached_property
    def hidden(self) -> bool:
        """Whether values depend on the inputs in unrecorded ways: then the constants of steps differ elsewhere."""
        rng = np.random.default_rng(self.seed)
        moved = [(x + NUDGE * largest(x) * signed_like(rng, x)).astype(x.dtype) for x in self.arrays]
        try:
            here, there = (self._recorded(arrays)[1] for arrays in (self.arrays, moved))
        except (ArithmeticError, ValueError):  # the function refuses these numbers
            return True
        return len(here) != len(there) or not all(map(np.array_equal, here, there))

    @property
    def trusted(self) -> bool:
        """Whether the function consists only of operations whose rules are right."""
        return not (self.subject.by_hand or self.culprit or self.hidden)

    @cached_property
    def coarsest(self) -> float:
        """The eps of the narrowest dtype in which a step computes when the arrays are float64; 0 if all use float64."""
        steps, _ = self._recorded([x.astype(float) for x in self.arrays])
        return coarsest_of([step.arrays[i] for step in steps for i in step.active])

    @cached_property
    def largest(self) -> float:
        """The size of the largest number among the inputs of all steps."""
        arrays = (np.asarray(x) for step in self.steps for x in step.arrays)
        return max((largest(x) for x in arrays if x.dtype.kind == "f"), default=0.0)

    @cached_property
    def judged(self) -> list[tuple[Step, int, Finding]]:
        """The worst finding for each input of every step, by position, along random directions; last step first."""
        found = []
        for step in reversed(self.steps):
            try:
                point = self._point(step)
            except (TypeError, ValueError):  # no floating result, or nothing to differentiate
                continue
            for position, (name, x) in enumerate(zip(point.subject.names, point.arrays, strict=True)):
                rng = np.random.default_rng(self.seed)
                trials = [judge(point, point.subject.only(position, signed_like(rng, x))) for _ in range(TRIALS)]
                worst = max(trials, key=lambda finding: finding.verdict.rank)
                if worst.verdict.accepted and point.left_out:
                    worst = replace(worst, verdict=Verdict.NONFINITE)
                found.append((step, position, replace(worst, input=name)))
        return found

    @cached_property
    def culprit(self) -> Culprit | None:
        """The last step, in the order of execution, whose rule is wrong, or None."""
        for step, position, finding in self.judged:
            if finding.verdict is Verdict.BUG:
                what = "second derivative" if self.order == 2 else "rule"
                mistake = likely_mistake(step.subject(self.order), position)
                return Culprit(step, finding, what, mistake)
        return None

    @cached_property
    def pusher(self) -> Culprit | None:
        """The last step whose forward mode disagrees with its rules, or None."""
        for step in reversed(self.steps):
            finding = modes_compared(self._point(step), np.random.default_rng(self.seed))
            if finding.verdict is Verdict.BUG:
                return Culprit(step, finding, "forward mode")
        return None

    @cached_property
    def conventions(self) -> str:
        """What steps at a kink or a singularity do there, as declared; "" unless all rules are right."""
        found = []
        for step, _, finding in [] if self.culprit else self.judged:
            name = step.operation.name
            at = [f"{name} at {key}: {value}" for key, value in step.operation.kinks.items()]
            if finding.verdict in (Verdict.KINK, Verdict.DISCONTINUITY):  # a rule that jumps, at second order
                found.append(at[0] if at else f"the smallest one of {name}")
            elif finding.verdict not in (Verdict.OK, Verdict.PRECISION):
                found.append(f"{name} where its derivative is singular: a zero cotangent stays zero")
        return ", ".join(dict.fromkeys(found))

    def _point(self, step: Step) -> Point:
        subject = step.subject(self.order)
        return Point(subject, subject.arrays, self.seed)


class _Steps(Watcher):
    """Records the steps that are computed while it watches."""

    def __init__(self) -> None:
        self.seen: dict[Node, Step] = {}
        self.flat: list[Any] = []  # results of operations without a derivative, and values computed from them

    def recorded(self, operation: Any, arrays: list[Any], parameters: dict[str, Any], node: Any, y: Any) -> None:
        if node is not None:
            active = [position for position, parent in enumerate(node.parents) if parent is not None]
            self.seen[node] = Step(operation, list(arrays), dict(parameters), active, *_users_line())
        elif not operation.differentiable or any(x is flat for x in arrays for flat in self.flat):
            self.flat.append(y)


def _users_line() -> tuple[str, str]:
    """Return file, line, function and source text of the innermost frame outside this package and NumPy."""
    frames = ((f.f_code, number) for f, number in traceback.walk_stack(None))
    code, number = next((code, number) for code, number in frames if not code.co_filename.startswith(PACKAGES))
    text = linecache.getline(code.co_filename, number).strip()
    return f"{os.path.basename(code.co_filename)}:{number} in {code.co_name}", text
