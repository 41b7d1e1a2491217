"""One program at work: its inputs are fetched, memory is found for its outputs, and these go where they belong."""

from __future__ import annotations

import builtins
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..lower.lowering import Lowered
from ..program import Value
from ..trace.records import Location
from ..trace.traced_call import Trace
from ..turns import Turn, in_turn, turns_of
from ..write.emit import Emitter
from .delivery import Delivery, Names

now = itertools.count(1).__next__  # counts replays: the least recently used program goes first


@dataclass(frozen=True)
class Made:
    """Why a program was traced, what for, and what that took, in seconds.

    `checking` is the program's own first run and the comparison, without the function's.
    """

    reason: str
    arguments: str
    tracing: float
    compiling: float
    checking: float


class Stale(Exception):
    """A program is for something else than what its inputs or what lies outside them are now."""


class Replay:
    """A traced program, ready to run.

    What it returns and puts in place are arrays that NumPy makes anew; its other memory is a step's, and no two
    calls have one step at a time. Programs that change the same tensors or optimisers run one at a time, those that
    change nothing may run in several threads.
    """

    made: Made
    given: Any  # the arguments that it was traced with
    used = 0

    def __init__(self, trace: Trace, lowered: Lowered, title: str) -> None:
        self.lowered, self.result, self.trace, self.name = lowered, trace.result, trace, title
        emitter = Emitter(lowered)
        self.source = emitter.source(f"{title}, as a program of NumPy calls.")
        space: dict[str, Any] = dict(emitter.functions.missing)
        exec(builtins.compile(self.source, f"<{title}>", "exec"), space)
        self.stale: tuple[type[Exception], ...] = (Stale, space["Unusual"])
        constants = [v.concrete for v in emitter.large]
        self.build: Callable[[], Any] = functools.partial(space["build"], constants)
        self.steps = [self.build()]
        names = Names()
        self.delivery = Delivery(trace, names)
        text = ReplayWriter(trace, lowered, names, self.delivery).text()
        space = names.defined(
            text, f"<around {title}>", Stale=Stale, ndarray=np.ndarray, shared=np.may_share_memory,
            compared=trace.table.snapshot, **self.delivery.space,
        )  # fmt: skip
        self.fetch, self.run = space["fetch"], space["run"]
        owners = [t.owner for t in lowered.targets if t.kind != "result"] + trace.cleared
        self.turns = turns_of([x for x in owners if not isinstance(x, int)])
        self.changed_arguments = sorted({x for x in owners if isinstance(x, int)})
        self.draws = [(s.owner, s.key[0]) for s in lowered.sources if s.kind == "draw"]

    def __call__(self, flat: list[Any]) -> Any:
        """Return the function's result. Raises what the program raises, or one of `stale`, having changed nothing."""
        try:
            step = self.steps.pop()
        except IndexError:
            step = self.build()
        self.used = now()
        try:
            return in_turn(self._turns(flat), self._run if self.draws else self.run, flat, step, [False])
        finally:
            self.steps.append(step)

    def first(self, flat: list[Any]) -> Any:
        """Put what the trace computed in its places, and return the function's result.

        Where another thread has changed a tensor since, the program computes it anew.
        """

        def commit() -> Any:
            arrays = [s for s in self.lowered.sources if s.kind == "array" and isinstance(s.value.concrete, np.ndarray)]
            if all(s.now(flat) is s.value.concrete for s in arrays):
                return self.delivery.first(flat)
            return self.run(flat, self.steps[0], self.trace.delivered)

        return in_turn(self._turns(flat), commit)

    def _turns(self, flat: list[Any]) -> list[Turn]:
        if not self.changed_arguments:
            return self.turns
        return sorted({*self.turns, *turns_of([flat[i] for i in self.changed_arguments])}, key=id)

    def _run(self, flat: list[Any], step: Any, done: list[bool]) -> Any:
        """Return the function's result; where the program fails, generators are given back the states they had."""
        states = self.states()
        try:
            return self.run(flat, step, done)
        except BaseException:
            if not done[-1]:  # else it was interrupted on its way out
                rewind(states)
            raise

    def states(self) -> list[tuple[Any, Any]]:
        """Return the generators that the program draws of, and their states."""
        generators = [holder[name].bit_generator for holder, name in self.draws]
        return [(generator, generator.state) for generator in generators]

    def computed(self, inputs: Any) -> list[Any]:
        """Return what the program computes of its inputs: the values of its targets, in new memory."""
        return list(self.build()(*inputs))

    def listing(self) -> str:
        """Return the program's text for others, who may give it other shapes: it looks at them."""
        return Emitter(self.lowered).source(f"{self.name}, as a program of NumPy calls.", checks=True)

    def forget(self) -> None:
        """Let go of what the lines computed when they were traced: nobody reads it any more."""
        plain, program = self.lowered.plain, self.lowered.program
        kept = {*plain.constants, *program.constants}
        for line in [*self.trace.tracer.lines, *plain.lines, *program.lines]:
            for value in line.outputs:
                if value not in kept:
                    value.forget()
        self.trace.values = []


def rewind(states: list[tuple[Any, Any]]) -> None:
    """Give generators back their states."""
    for generator, state in states:
        generator.state = state


class ReplayWriter:
    """Writes the code around a program: `fetch(flat)` returns its inputs, `run(flat, step, done)` runs it."""

    def __init__(self, trace: Trace, lowered: Lowered, names: Names, delivery: Delivery) -> None:
        self.trace, self.names, self.delivery = trace, names, delivery
        self.sources, self.targets = lowered.sources, lowered.targets
        self.source_of = {s.place: n for n, s in enumerate(lowered.sources)}

    def text(self) -> str:
        """Return the code."""
        inputs = [f"i{n}" for n in range(len(self.sources))]
        given = f"{', '.join(inputs)}{',' if inputs else ''}"
        fetch = [f"if {check}: raise Stale" for check in self._checks()]
        fetch += [f"i{n} = {self._fetched(source)}" for n, source in enumerate(self.sources)]
        fetch += [f"if {check}: raise Stale" for check in self._checks_of_arrays()]
        run = ["computed = step(*fetch(flat))", *self.delivery.lines]
        parts = ["def fetch(flat):", *fetch, f"return ({given})", "def run(flat, step, done):", *run]
        return "\n".join([part if part.startswith("def ") else f"    {part}" for part in parts]) + "\n"

    def _fetched(self, source: Location) -> str:
        """Return the code that fetches an input."""
        owner = self.names.owner(source.owner)
        if source.kind == "draw":
            name, draw = source.key
            return f"{self.names.of(draw)}({owner}[{name!r}])"
        return source.code(owner)

    def _checks(self) -> list[str]:
        """Return what tells that something outside the inputs is not what it was when the function was traced."""
        checks = ["not compared.unchanged()"]
        checks += [f"{self.names.owner(x)}._grad is not None" for x in self.trace.without_gradient]
        checks += [f"{self.names.owner(s.owner)}._grad is None" for s in self.sources if s.kind == "gradient"]
        states = {(id(s.owner), s.key[0]): s for s in self.sources if s.kind == "state"}
        for s in states.values():
            checks.append(f"not {self.names.of(s.owner)}._state[{s.key[0]}]")
        return checks + self._checks_of_tensors()

    def _checks_of_tensors(self) -> list[str]:
        """Return what tells that captured tensors record in another way, or that one is an argument, too."""
        checks = []
        captured = [s.owner for s in self.sources if s.kind == "array" and not isinstance(s.owner, int)]
        for tensor in captured:
            node = f"{self.names.of(tensor)}._node"
            recorded = f"{node} is None or {node}.operation or {node}.hooks"
            checks.append(f"{node} is not None" if not tensor.requires_grad else recorded)
        changed = [*[t.owner for t in self.targets if t.kind in ("array", "gradient")], *self.trace.cleared]
        for index in {s.owner for s in self.sources if s.kind == "array" and isinstance(s.owner, int)}:
            for tensor in captured:
                if any(x is tensor or (isinstance(x, int) and x == index) for x in changed):
                    checks.append(f"flat[{index}] is {self.names.of(tensor)}")
        return checks

    def _checks_of_arrays(self) -> list[str]:
        """Return what tells that arrays that are no arguments have other shapes, dtypes or strides than in the trace.

        What the last replay has put there itself is of the same kind, which saves the look; what the program writes
        into may share no memory with another input.
        """
        checks, put = [], [self.source_of[self.targets[n].place] for n in self.delivery.put]
        for n, s in enumerate(self.sources):
            if s.kind == "entry":
                checks.append(f"type(i{n}) is not ndarray")
            if s.kind in ("gradient", "entry") or (s.kind == "array" and not isinstance(s.owner, int)):
                own = f"i{n} is not put[{put.index(n)}] and " if n in put else ""
                checks.append(f"{own}({self._of_another_kind(n)})")
        for old in [self.source_of[t.place] for t in self.targets if t.in_place]:
            others = [m for m, s in enumerate(self.sources) if m != old and s.value.is_array]
            checks += [f"not i{old}.flags.writeable", *[f"shared(i{old}, i{m})" for m in others]]
        return checks

    def _of_another_kind(self, n: int) -> str:
        value: Value = self.sources[n].value
        return (
            f"i{n}.dtype != {self.names.of(value.dtype)} or i{n}.strides != {value.strides} or "
            f"i{n}.shape != {value.shape}"
        )
