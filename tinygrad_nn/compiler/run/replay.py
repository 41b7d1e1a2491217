"""One program at work: its inputs are fetched, memory is found for its outputs, and these go where they belong."""

from __future__ import annotations

import builtins
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..lower.lowering import Lowered
from ..trace.traced_call import Trace
from ..turns import Turn, in_turn, turns_of
from ..write.emit import Emitter
from .wrapper import Stale, Wrapper

now: Final = itertools.count(1).__next__  # counts replays: the least recently used program is dropped first


@dataclass(frozen=True)
class Made:
    """Why a program was traced, for which arguments, and how long that took, in seconds.

    `checking` is the program's own first run and the comparison, without the function's run.
    """

    reason: str
    arguments: str
    tracing: float
    compiling: float
    checking: float


class Replay:
    """A traced program, ready to run.

    The arrays that it returns or puts in place are made anew by NumPy; its other memory belongs to a step, and no two
    calls use a step at the same time. Programs that change the same tensors or optimisers run one at a time; those that
    change nothing may run in several threads.
    """

    made: Made
    given: Any  # the arguments that it was traced with
    used: int = 0

    def __init__(self, trace: Trace, lowered: Lowered, title: str) -> None:
        self.lowered = lowered
        self.trace = trace
        self.name: str = title
        self._emitter = Emitter(lowered)
        self.source: str = self._emitter.source(title)
        space = self.made_of(self.source)
        self.stale: tuple[type[Exception], ...] = (Stale, space["Unusual"])
        self.build: Callable[[], Any] = space["build"]
        self.steps: list[Any] = [self.build()]
        space = Wrapper(trace).functions(title)
        self.fetch: Callable[..., Any] = space["fetch"]
        self._deliver = space["deliver"]
        self.run: Callable[..., Any] = space["run"]
        owners = [t.owner for t in lowered.targets if t.kind != "result"] + trace.cleared
        self.turns: list[Turn] = turns_of([x for x in owners if not isinstance(x, int)])
        self._changed_arguments = sorted({x for x in owners if isinstance(x, int)})
        self.draws: list[tuple[Any, str]] = [(s.owner, s.key[0]) for s in lowered.sources if s.kind == "draw"]

    def made_of(self, source: Any, **more: Any) -> dict[str, Any]:
        """Return what the program's text defines, by name; `build` has its constants."""
        space: dict[str, Any] = more | self._emitter.functions.missing
        exec(builtins.compile(source, f"<{self.name}>", "exec"), space)
        return space | {"build": functools.partial(space["build"], [v.concrete for v in self._emitter.large])}

    def __call__(self, flat: list[Any]) -> Any:
        """Return the function's result. Raises what the program raises, or one of `stale`, with nothing changed."""
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
        """Put what the trace computed in its place, and return the function's result.

        If another thread has changed a tensor since, the program computes it anew.
        """

        def commit() -> Any:
            arrays = [s for s in self.lowered.sources if s.kind == "array" and isinstance(s.value.concrete, np.ndarray)]
            if all(s.now(flat) is s.value.concrete for s in arrays):
                return self._deliver(flat, self.trace.values, self.trace.delivered)
            return self.run(flat, self.steps[0], self.trace.delivered)

        return in_turn(self._turns(flat), commit)

    def _turns(self, flat: list[Any]) -> list[Turn]:
        if not self._changed_arguments:
            return self.turns
        return sorted({*self.turns, *turns_of([flat[i] for i in self._changed_arguments])}, key=id)

    def _run(self, flat: list[Any], step: Any, done: list[bool]) -> Any:
        """Return the function's result; if the program fails, generators get back the states that they had."""
        states = self.states()
        try:
            return self.run(flat, step, done)
        except BaseException:
            if not done[-1]:  # else it was interrupted on its way out
                rewind(states)
            raise

    def states(self) -> list[tuple[Any, Any]]:
        """Return the generators that the program draws from, and their states."""
        generators = [holder[name].bit_generator for holder, name in self.draws]
        return [(generator, generator.state) for generator in generators]

    def computed(self, inputs: Any) -> list[Any]:
        """Return what the program computes from its inputs: the values of its targets, in new memory."""
        return list(self.build()(*inputs))

    def listing(self) -> str:
        """Return the program's text for use elsewhere; it checks the shapes that it is given."""
        return Emitter(self.lowered).source(self.name, checks=True)


def rewind(states: list[tuple[Any, Any]]) -> None:
    """Restore the states of generators."""
    for generator, state in states:
        generator.state = state
