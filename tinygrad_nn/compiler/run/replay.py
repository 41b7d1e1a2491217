"""One program at work: its inputs are fetched, memory is found for its outputs, and these go where they belong.

At its first use, and with `verify` at each use, it is compared with what the function computes.
"""

from __future__ import annotations

import builtins
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ...engine.trees import entries
from ...errors import CompileError
from ...tensor.handle import Tensor
from ..lower.lowering import Lowered
from ..program import Program, over_leaves
from ..trace.recorder import frozen_copy
from ..trace.traced_call import Placeholder, Trace
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

    def holds(self, inputs: list[Any], values: list[Any], exact: bool) -> bool:
        """Return whether the program runs on these inputs. Raises CompileError if its targets' values are not these."""
        unlucky: tuple[type[Exception], ...] = (*self.stale, ArithmeticError, np.linalg.LinAlgError)
        try:
            found = self.build()(*inputs)
        except unlucky:  # by sums in another order, or 0 * inf
            return False
        for target, x, right in zip(self.lowered.targets, found, values, strict=True):
            # What is left after larger numbers cancel is as inexact as those.
            if not agree(x, right, exact) and (exact or not agree(x, right, exact, _largest(self.lowered.plain))):
                what = {"result": "a result", "state": f"an optimiser's {target.key}"}.get(
                    target.kind, f"the {target.kind} of {getattr(target.owner, 'name', None) or 'a tensor'}"
                )
                raise _differs(what)
        return True

    def inputs(self, flat: list[Any]) -> Any:
        """Return the program's inputs, and leave generators as they are. Raises what the program raises for them."""
        states = self.states()
        try:
            inputs = self.fetch(flat)
        finally:
            rewind(states)
        self.build()(*inputs)
        return inputs

    def verified(self, flat: list[Any], function: Callable[[], Any], exact: bool) -> Any:
        """Return what the function itself returns. Raises CompileError if its program computes something else."""
        inputs = [frozen_copy(x) if isinstance(x, np.ndarray) else x for x in self.inputs(flat)]
        result = function()
        pairs = [*zip(entries(self.trace.result), entries(result), strict=False)]
        form, expected = (over_leaves(lambda _: None, tree) for tree in (result, self.trace.result))
        if form != expected or not all(_belongs(*pair) for pair in pairs):
            raise _differs("what the function returns")
        found = iter([getattr(x, "_array", x) for place, x in pairs if isinstance(place, Placeholder)])
        values = [next(found) if t.kind == "result" else t.now(flat) for t in self.lowered.targets]
        self.holds(inputs, values, exact)
        return result

    def listing(self) -> str:
        """Return the program's text for use elsewhere; it checks the shapes that it is given."""
        return Emitter(self.lowered).source(self.name, checks=True)


def rewind(states: list[tuple[Any, Any]]) -> None:
    """Restore the states of generators."""
    for generator, state in states:
        generator.state = state


def _differs(what: str) -> CompileError:
    return CompileError(
        f"{what} differs from what the function computes: the function depends on what a program does not follow, such "
        "as what functions that it calls read, or the type of a proxy. Pass such values as arguments"
    )


def _belongs(place: Any, x: Any) -> bool:
    """Return whether a result is of the kind that was in its place in the trace, or the same constant."""
    if isinstance(place, Placeholder):
        return isinstance(x, Tensor) == (place.kind is Tensor)
    return place is x or (type(place) is type(x) and place == x)


def _largest(program: Program) -> float:
    """Return the largest finite magnitude of any floating result of the program's lines."""
    largest = 0.0
    for line in program.lines:
        line.compute()
        for x in [np.asarray(v.concrete) for v in line.outputs if v.dtype is not None and v.dtype.kind in "fc"]:
            largest = max(largest, float(np.abs(x[np.isfinite(x)]).max(initial=0)))
    for line in program.lines:
        for value in line.outputs:
            value.forget()
    return largest


def agree(a: Any, b: Any, exact: bool, scale: float = 0.0) -> bool:
    """Return whether two results are the same; if not `exact`, up to the rounding of sums in another order.

    The tolerance is relative to the largest entry, or to `scale` if that is larger.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if exact or a.dtype.kind not in "fc":
        signs = exact and a.dtype.kind == "f"  # 0 and -0 are equal to each other
        same = not signs or bool((np.isnan(a) | (np.signbit(a) == np.signbit(b))).all())
        return same and np.array_equal(a, b, equal_nan=a.dtype.kind in "fcmM")
    finite = b[np.isfinite(b)]
    scale = max(scale, float(np.abs(finite).max(initial=0)))
    return np.allclose(a, b, rtol=0, atol=float(2**10 * np.finfo(a.dtype).eps * scale), equal_nan=True)
