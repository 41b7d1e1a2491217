"""One program at work: its inputs are fetched, memory is found for its outputs, and these go where they belong."""

from __future__ import annotations

import builtins
import functools
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ...tensor.handle import Tensor, make
from ..lower.lowering import Lowered
from ..trace.traced_call import Place, Trace
from ..trace.tracer import Source, Target
from ..write.emit import Emitter
from .locks import Locks
from .report import Made


class Replay:
    """A traced program, ready to run.

    Arrays that are changed or returned are written into again at the next replay only if nobody else
    refers to them by then. Programs that change the same tensors or optimisers run one at a time, those
    that change nothing may run in several threads.
    """

    made: Made

    def __init__(self, trace: Trace, lowered: Lowered, title: str) -> None:
        self.lowered, self.result, self.trace, self.name = lowered, trace.result, trace, title
        self.outs = list(lowered.outs)
        emitter = Emitter(lowered.program, lowered.plan, lowered.outs)
        self.source = emitter.source(f"{title}, as a program of NumPy calls.")
        space: dict[str, Any] = dict(emitter.functions.missing)
        exec(builtins.compile(self.source, f"<{title}>", "exec"), space)
        self.raises = space["Unusual"]
        self.unusual: tuple[type[Exception], ...] = (self.raises, FloatingPointError)
        constants = [v.concrete for v in emitter.large]
        self.build: Callable[[], Any] = functools.partial(space["build"], constants)
        self.steps = [self.step()]
        self.lock = Locks(self._changed())
        glue = Glue(self)
        text = glue.text()
        space = glue.space()
        exec(builtins.compile(text, f"<around {title}>", "exec"), space)
        self.fetch, self.run = space["fetch"], space["run"]
        self.pure = not trace.cleared and all(t.kind == "result" for t in lowered.targets)

    def __call__(self, flat: list[Any]) -> Any:
        """Return the function's result. Raises one of `unusual`, having changed nothing."""
        try:
            step = self.steps.pop()
        except IndexError:
            step = self.step()
        try:
            if self.pure:
                return self.run(flat, *step)
            with self.lock:
                return self.run(flat, *step)
        finally:
            self.steps.append(step)

    def _changed(self) -> list[Any]:
        """Return the tensors and optimisers that the program changes, but for arguments."""
        owners = [t.owner for t in self.lowered.targets if t.kind != "result"] + self.trace.cleared
        return [x for x in owners if not isinstance(x, int)]

    def forget(self) -> None:
        """Let go of what the lines computed when they were traced: nobody reads it any more."""
        plain, program = self.lowered.plain, self.lowered.program
        kept = {*plain.constants, *program.constants}
        for line in [*self.trace.tracer.lines, *plain.lines, *program.lines]:
            for value in line.outputs:
                if value not in kept:
                    value.forget()

    def step(self) -> tuple[Any, list[Any]]:
        """Return the program with memory of its own, and room for what it wrote its outputs into."""
        return self.build(), [None] * (2 * len(self.outs))


class Glue:
    """Writes the code around a program: `fetch(flat)` returns its inputs, `run(flat, step)` runs it."""

    def __init__(self, replay: Replay) -> None:
        self.replay, self.lowered = replay, replay.lowered
        self.owners: dict[int, tuple[str, Any]] = {}

    def space(self) -> dict[str, Any]:
        """Return what the code refers to."""
        return {
            "refs": sys.getrefcount, "is_": operator.is_, "make": make, "Unusual": self.replay.raises,
            "renewed": self.renewed, "renewed_gradient": self.renewed_gradient, "asarray": np.asarray,
        } | dict(self._owners())  # fmt: skip

    def _owners(self) -> Any:
        everything: list[Any] = [*self.lowered.sources, *self.lowered.targets]
        for x in [*[e.owner for e in everything], *self.replay.trace.cleared, *self.replay.trace.without_gradient]:
            if x is not None:
                self.owner(x)
        return self.owners.values()

    def owner(self, x: Any) -> str:
        """Return how the code refers to a tensor, an optimiser, or an argument by its place."""
        return f"flat[{x}]" if isinstance(x, int) else self.held(x)

    def held(self, x: Any) -> str:
        """Return how the code refers to any object."""
        if id(x) not in self.owners:
            self.owners[id(x)] = f"o{len(self.owners)}", x
        return self.owners[id(x)][0]

    def fetched(self, source: Source) -> str:
        """Return the code that fetches an input."""
        if source.kind == "argument":
            return f"flat[{source.key}]"
        owner = self.owner(source.owner)
        match source.kind:
            case "array":
                return f"{owner}._array"
            case "gradient":
                return f"{owner}._grad._array"
            case "hyperparameter":
                name, place = source.key
                return f"vars({owner})[{name!r}]" + ("" if place is None else f"[{place}]")
        place, name = source.key
        return f"{owner}.state[{place}][{name!r}]"

    def text(self) -> str:
        """Return the code."""
        inputs = [f"i{n}" for n in range(len(self.lowered.sources))]
        lines = ["def fetch(flat):", *[f"    {line}" for line in self._checks()]]
        lines += [f"    i{n} = {self.fetched(source)}" for n, source in enumerate(self.lowered.sources)]
        lines += [f"    {line}" for line in self._checks_of_kind()]
        lines += [f"    return ({', '.join(inputs)}{',' if inputs else ''})", "", "def run(flat, step, own):"]
        body = [f"{', '.join(inputs)}{',' if inputs else ''} = fetch(flat)"] if inputs else ["fetch(flat)"]
        outs = [f"b{n}" for n in range(len(self.replay.outs))]
        targets = {t.value: t for t in self.lowered.targets}
        sources = {(s.kind, id(s.owner), s.key): n for n, s in enumerate(self.lowered.sources)}
        for n, value in enumerate(self.replay.outs):
            target = targets[value]
            old = sources.get((target.kind, id(target.owner), target.key))
            body += self._memory(n, target, old)
        returned = [f"r{n}" for n, t in enumerate(self.lowered.targets) if t.value not in self.replay.outs]
        call = f"step({', '.join([*inputs, *outs])})"
        body.append(f"{', '.join(returned)}, = {call}" if returned else call)
        names = dict(zip(self.replay.outs, outs, strict=True))
        for n, target in enumerate(self.lowered.targets):
            body += self._delivered(target, names.get(target.value, f"r{n}"), target.value in names)
        for n, value in enumerate(self.replay.outs):
            target = targets[value]
            old = sources.get((target.kind, id(target.owner), target.key))
            if old is not None:
                now = self.current(n)
                body += [f"own[{n}] = i{old} if i{old} is own[{now}] else None", f"own[{now}] = b{n}"]
        body += [f"{self.owner(x)}._grad = None" for x in self.replay.trace.cleared]
        body.append(f"return {self._result(self.replay.result, names)}")
        return "\n".join([*lines, *[f"    {line}" for line in body], ""])

    def _checks(self) -> list[str]:
        """Return what makes sure that the tensors and the optimisers are as they were when traced."""
        checks = [f"{self.owner(x)}._grad is not None" for x in self.replay.trace.without_gradient]
        checks += [f"{self.owner(s.owner)}._grad is None" for s in self.lowered.sources if s.kind == "gradient"]
        for owner, before, _ in self.replay.trace.tracer.states.values():
            checks += [f"len({self.owner(owner)}.state[{i}]) != {len(entry)}" for i, entry in enumerate(before)]
            now, then = f"{self.owner(owner)}.parameters", self.held(tuple(owner.parameters))
            checks.append(f"len({now}) != len({then}) or not all(map(is_, {now}, {then}))")
        for owner, settings in self.replay.trace.tracer.settings.values():
            checks += [f"{self.owner(owner)}.{name} != {self.held(x)}" for name, x in settings.items()]
        if outside := self.replay.trace.surroundings:
            checks.append(f"not {self.held(outside)}.unchanged()")
        checks += self._checks_of_tensors()
        return [f"if {check}: raise Unusual" for check in checks]

    def _checks_of_tensors(self) -> list[str]:
        """Return what makes sure that captured tensors record as they did, and that none is an argument, too."""
        trace, checks = self.replay.trace, []
        captured = [s.owner for s in self.lowered.sources if s.kind == "array" and not isinstance(s.owner, int)]
        for tensor in captured:
            node = f"{self.owner(tensor)}._node"
            recorded = f"{node} is None or {node}.operation or {node}.hooks"
            checks.append(f"{node} is not None" if tensor._node is None else recorded)
        changed = {id(t.owner) for t in self.lowered.targets} | set(map(id, trace.cleared))
        for place in {s.owner for s in self.lowered.sources if s.kind == "array" and isinstance(s.owner, int)}:
            checks += [
                f"flat[{place}] is {self.owner(tensor)}"
                for tensor in captured
                if id(tensor) in changed or id(place) in changed
            ]
        return checks

    def _checks_of_kind(self) -> list[str]:
        """Return what makes sure that arrays that are no arguments have the shapes and dtypes of the trace.

        What the program writes over is its own array, and needs to be looked at only if it is not.
        """
        outs = {
            (t.kind, id(t.owner)) for t in self.lowered.targets if t.kind == "array" and t.value in self.replay.outs
        }
        return [
            self._check_of_kind(n)
            for n, s in enumerate(self.lowered.sources)
            if s.kind == "gradient" or (s.kind == "array" and not isinstance(s.owner, int))
            if (s.kind, id(s.owner)) not in outs
        ]

    def _check_of_kind(self, n: int) -> str:
        value = self.lowered.sources[n].value
        other = (
            f"i{n}.dtype != {self.held(value.dtype)} or i{n}.strides != {value.strides} or i{n}.shape != {value.shape}"
        )
        return f"if {other}: raise Unusual"

    def _memory(self, n: int, target: Target, source: int | None) -> list[str]:
        """Return the code that finds memory for an output, which nobody else refers to.

        What replaces an input is written beside it, and takes its place when all is done; what it
        replaced is the next replay's memory, if it was this program's. So nobody sees half a step.
        """
        old = None if source is None else f"i{source}"
        if target.kind == "gradient" and old is None:
            held = f"refs(b{n}) > {_HELD_TENSOR} or refs(b{n}._array) > {_HELD_ARRAY}"
            return [
                f"b{n} = own[{n}]",
                f"if b{n} is None or {held}: b{n} = renewed_gradient(own, {n})",
                f"g{n}, b{n} = b{n}, b{n}._array",
            ]
        found = [f"b{n} = own[{n}]", f"if b{n} is None or refs(b{n}) > {_HELD}: b{n} = renewed(own, {n})"]
        if target.kind == "array" and source is not None:
            found += [f"if {old} is not own[{self.current(n)}]:", f"    {self._check_of_kind(source)}"]
        return found

    def current(self, n: int) -> int:
        """Return where `own` keeps what an output was written into last; at `n` it keeps what may be written into."""
        return len(self.replay.outs) + n

    def renewed(self, own: list[Any], n: int) -> Any:
        """Return new memory for an output."""
        own[n] = array = np.empty_like(self.replay.outs[n].concrete)
        return array

    def renewed_gradient(self, own: list[Any], n: int) -> Tensor:
        """Return a new tensor for a gradient."""
        own[n] = tensor = make(np.empty_like(self.replay.outs[n].concrete), None)
        return tensor

    def _delivered(self, target: Target, name: str, is_out: bool) -> list[str]:
        """Return the code that puts an output where it belongs."""
        if target.kind == "result":
            return []
        owner = self.owner(target.owner)
        match target.kind:
            case "array":
                return [f"{owner}._array = {name}" if is_out else f"{owner}._array = asarray({name})"]
            case "gradient":
                old = any(s.kind == "gradient" and s.owner is target.owner for s in self.lowered.sources)
                if is_out and not old:
                    return [f"{owner}._grad = g{name[1:]}"]
                return [f"{owner}._grad = make({name}, None)"]
        place, key = target.key
        return [f"{owner}.state[{place}][{key!r}] = {name}"]

    def _result(self, tree: Any, names: Any) -> str:
        """Return the code that makes the result."""
        if isinstance(tree, Place):
            target = self.lowered.targets[tree.number]
            name = names.get(target.value, f"r{tree.number}")
            return f"make({name}, None)" if tree.kind is Tensor else name
        if isinstance(tree, tuple) and hasattr(tree, "_fields"):
            return f"{self.held(type(tree))}({', '.join([self._result(x, names) for x in tree])})"
        if isinstance(tree, (tuple, list)):
            ends = "()" if isinstance(tree, tuple) else "[]"
            return f"{ends[0]}{''.join([self._result(x, names) + ', ' for x in tree])}{ends[1]}"
        if isinstance(tree, dict):
            return "{" + "".join([f"{self.held(k)}: {self._result(x, names)}, " for k, x in tree.items()]) + "}"
        return "None" if tree is None else self.held(tree)


def _references() -> tuple[int, int, int]:
    """Return the counts of references to an array or tensor that the glue alone causes, found by doing the same."""
    space: dict[str, Any] = {"refs": sys.getrefcount, "arrays": [np.empty(1)], "tensors": [make(np.empty(1), None)]}
    exec(
        "def held(own):\n    b = own[0]\n    return refs(b)\n"
        "def held_tensor(own):\n    b = own[0]\n    return refs(b) + 1, refs(b._array)\n",
        space,
    )
    return space["held"](space["arrays"]), *space["held_tensor"](space["tensors"])


_HELD, _HELD_TENSOR, _HELD_ARRAY = _references()
