"""One program at work: its inputs are fetched, memory is found for its outputs, and these go where they belong."""

from __future__ import annotations

import builtins
import functools
import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ...tensor.handle import Tensor, make
from ..lower.lowering import Lowered
from ..program import Value
from ..trace.records import Source, Target
from ..trace.traced_call import Place, Trace
from ..turns import Turn, in_turn, turns_of
from ..write.emit import Emitter
from .delivery import Delivery, Names
from .report import Made

now = itertools.count(1).__next__  # counts replays: the least recently used program goes first


class Stale(Exception):
    """A program is for something else than what its inputs or what lies outside them are now."""


class Replay:
    """A traced program, ready to run.

    Arrays that are changed or returned are written into again at the next replay only if nobody else
    refers to them by then. Programs that change the same tensors or optimisers run one at a time, those
    that change nothing may run in several threads.
    """

    made: Made
    used = 0

    def __init__(self, trace: Trace, lowered: Lowered, title: str) -> None:
        self.lowered, self.result, self.trace, self.name = lowered, trace.result, trace, title
        emitter = Emitter(lowered.program, lowered.plan, lowered.outs)
        self.source = emitter.source(f"{title}, as a program of NumPy calls.")
        space: dict[str, Any] = dict(emitter.functions.missing)
        exec(builtins.compile(self.source, f"<{title}>", "exec"), space)
        self.stale: tuple[type[Exception], ...] = (Stale, space["Unusual"])
        constants = [v.concrete for v in emitter.large]
        self.build: Callable[[], Any] = functools.partial(space["build"], constants)
        self.steps = [self.step()]
        names = Names()
        self.delivery = Delivery(trace, names)
        glue = Glue(trace, lowered, names, self.delivery)
        text = glue.text()
        space = names.defined(
            text, f"<around {title}>", refs=sys.getrefcount, make=make, Stale=Stale, renewed=glue.renewed,
            renewed_gradient=glue.renewed_gradient, asarray=np.asarray, ndarray=np.ndarray, shared=np.may_share_memory,
            commit=self.delivery.commit, table=trace.table, modules=trace.modules,
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
            step = self.step()
        self.used = now()
        run = self._run if self.draws else self.run
        try:
            if len(self.turns) == 1 and not self.changed_arguments:
                with self.turns[0].lock:
                    return run(flat, *step, step[1])
            return in_turn(self._turns(flat), run, flat, *step, step[1])
        finally:
            self.steps.append(step)

    def first(self, flat: list[Any]) -> Any:
        """Put what the trace computed in its places, and return the function's result.

        Where another thread has changed a tensor since, the program computes it anew.
        """

        def commit() -> Any:
            arrays = [s for s in self.lowered.sources if s.kind == "array" and isinstance(s.value.concrete, np.ndarray)]
            owners = [flat[s.owner] if isinstance(s.owner, int) else s.owner for s in arrays]
            if all(owner.data is s.value.concrete for owner, s in zip(owners, arrays, strict=True)):
                return self.delivery.first(flat, self.trace.values, self.result)
            return self.run(flat, *self.steps[0], self.trace.delivered)

        return in_turn(self._turns(flat), commit)

    def _turns(self, flat: list[Any]) -> list[Turn]:
        if not self.changed_arguments:
            return self.turns
        return sorted({*self.turns, *turns_of([flat[i] for i in self.changed_arguments])}, key=id)

    def _run(self, flat: list[Any], step: Any, own: list[Any], done: list[Any]) -> Any:
        """Return the function's result; where the program fails, generators are given back the states they had."""
        done[-1] = False
        generators = [holder[name].bit_generator for holder, name in self.draws]
        states = [generator.state for generator in generators]
        try:
            return self.run(flat, step, own, done)
        except BaseException:
            if done[-1]:  # it was interrupted on its way out
                raise
            for generator, state in zip(generators, states, strict=True):
                generator.state = state
            raise

    def computed(self, inputs: Any) -> list[Any]:
        """Return what the program computes of its inputs: the values of its targets, in new memory."""
        outs = [np.empty_like(v.concrete) for v in self.lowered.outs]
        returned = self.build()(*inputs, *outs)
        found = dict(zip(self.lowered.outs, outs, strict=True))
        found |= dict(zip([t.value for t in self.lowered.targets if t.value not in found], returned, strict=True))
        return [found[t.value] for t in self.lowered.targets]

    def listing(self) -> str:
        """Return the program's text for others, who may give it other shapes: it looks at them."""
        emitter = Emitter(self.lowered.program, self.lowered.plan, self.lowered.outs)
        return emitter.source(f"{self.name}, as a program of NumPy calls.", checks=True)

    def forget(self) -> None:
        """Let go of what the lines computed when they were traced: nobody reads it any more."""
        plain, program = self.lowered.plain, self.lowered.program
        kept = {*plain.constants, *program.constants}
        for line in [*self.trace.tracer.lines, *plain.lines, *program.lines]:
            for value in line.outputs:
                if value not in kept:
                    value.forget()
        self.trace.values = []

    def step(self) -> tuple[Any, list[Any]]:
        """Return the program with memory of its own, room for what it wrote its outputs into, and whether it did."""
        return self.build(), [None] * (2 * len(self.lowered.outs) + 1)


class Glue:
    """Writes the code around a program: `fetch(flat)` returns its inputs, `run(flat, step, own, done)` runs it."""

    def __init__(self, trace: Trace, lowered: Lowered, names: Names, delivery: Delivery) -> None:
        self.trace, self.names, self.delivery = trace, names, delivery
        self.sources, self.targets, self.outs = lowered.sources, lowered.targets, list(lowered.outs)
        self.target_of = {t.value: t for t in lowered.targets}
        self.source_of = {_place(s): n for n, s in enumerate(lowered.sources)}

    def text(self) -> str:
        """Return the code."""
        inputs = [f"i{n}" for n in range(len(self.sources))]
        given = f"{', '.join(inputs)}{',' if inputs else ''}"
        fetch = [f"if {check}: raise Stale" for check in self._checks()]
        fetch += [f"i{n} = {self._fetched(source)}" for n, source in enumerate(self.sources)]
        fetch += [f"if {check}: raise Stale" for check in self._checks_of_arrays()]
        run = [f"{given} = fetch(flat)" if inputs else "fetch(flat)"]
        for n, value in enumerate(self.outs):
            run += self._memory(n, self.target_of[value])
        returned = [f"r{n}" for n, t in enumerate(self.targets) if t.value not in self.outs]
        call = f"step({', '.join([*inputs, *[f'b{n}' for n in range(len(self.outs))]])})"
        run.append(f"{', '.join(returned)}, = {call}" if returned else call)
        values = [self._kept(n, t) for n, t in enumerate(self.targets) if t.kind != "result"]
        run.append(f"commit(flat, [{', '.join(values)}], done)")
        for n, value in enumerate(self.outs):
            old = self.source_of.get(_place(self.target_of[value]))
            if old is not None and not self.target_of[value].in_place:
                now = self.current(n)
                run += [f"own[{n}] = i{old} if i{old} is own[{now}] else None", f"own[{now}] = b{n}"]
            elif self._is_a_new_gradient(self.target_of[value]):
                run.append(f"own[{n}], own[{self.current(n)}] = own[{self.current(n)}], g{n}")
        run.append(f"return {self._result(self.trace.result)}")
        parts = ["def fetch(flat):", *fetch, f"return ({given})", "def run(flat, step, own, done):", *run]
        return "\n".join([part if part.startswith("def ") else f"    {part}" for part in parts]) + "\n"

    def _fetched(self, source: Source) -> str:
        """Return the code that fetches an input."""
        if source.kind == "argument":
            return f"flat[{source.key}]"
        owner = self.names.owner(source.owner)
        match source.kind:
            case "array":
                return f"{owner}._array"
            case "gradient":
                return f"{owner}._grad._array"
            case "hyperparameter":
                name, index = source.key
                return f"vars({owner})[{name!r}]" + ("" if index is None else f"[{index}]")
            case "entry":
                return f"{owner}[{source.key!r}]"
            case "draw":
                name, method, args, kwargs = source.key
                drawn = f"{owner}[{self.names.of(name)}].{method}"
                return f"{drawn}(*{self.names.of(args)}, **{self.names.of(dict(kwargs))})"
        index, name = source.key
        return f"{owner}._state[{index}][{name!r}]"

    def _checks(self) -> list[str]:
        """Return what tells that something outside the inputs is not what it was when the function was traced."""
        checks = ["not table.unchanged()", "not modules.unchanged()"]
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
            checks.append(f"{node} is not None" if tensor._node is None else recorded)
        changed = [*[t.owner for t in self.targets if t.kind in ("array", "gradient")], *self.trace.cleared]
        for index in {s.owner for s in self.sources if s.kind == "array" and isinstance(s.owner, int)}:
            for tensor in captured:
                if any(x is tensor or (isinstance(x, int) and x == index) for x in changed):
                    checks.append(f"flat[{index}] is {self.names.of(tensor)}")
        return checks

    def _checks_of_arrays(self) -> list[str]:
        """Return what tells that arrays that are no arguments have other shapes, dtypes or strides than in the trace.

        What the program writes over is its own array, and is looked at only if it is not. What it writes into may
        share no memory with another input.
        """
        arrays = [t for t in self.targets if t.kind == "array" and t.value in self.outs and not t.in_place]
        written_over = set(map(_place, arrays))
        checks = []
        for n, s in enumerate(self.sources):
            if s.kind == "entry":
                checks.append(f"type(i{n}) is not ndarray")
            if s.kind in ("gradient", "entry") or (s.kind == "array" and not isinstance(s.owner, int)):
                checks += [self._of_another_kind(n)] if _place(s) not in written_over else []
        for old in [self.source_of[_place(t)] for t in self.targets if t.in_place]:
            others = [m for m, s in enumerate(self.sources) if m != old and s.value.is_array]
            checks += [f"not i{old}.flags.writeable", *[f"shared(i{old}, i{m})" for m in others]]
        return checks

    def _of_another_kind(self, n: int) -> str:
        value: Value = self.sources[n].value
        return (
            f"i{n}.dtype != {self.names.of(value.dtype)} or i{n}.strides != {value.strides} or "
            f"i{n}.shape != {value.shape}"
        )

    def _memory(self, n: int, target: Target) -> list[str]:
        """Return the code that finds memory for an output, which nobody else refers to.

        What replaces an input is written beside it, and takes its place when all is done; what it
        replaced is the next replay's memory, if it was this program's. So nobody sees half a step.
        """
        source = self.source_of.get(_place(target))
        if self._is_a_new_gradient(target):
            held = f"refs(b{n}) > {_HELD_TENSOR} or refs(b{n}._array) > {_HELD_ARRAY}"
            return [
                f"b{n} = own[{n}]",
                f"if b{n} is None or {held}: b{n} = renewed_gradient(own, {n})",
                f"g{n}, b{n} = b{n}, b{n}._array",
            ]
        found = [f"b{n} = own[{n}]", f"if b{n} is None or refs(b{n}) > {_HELD}: b{n} = renewed(own, {n})"]
        if target.kind == "array" and source is not None and not target.in_place:
            other = self._of_another_kind(source)
            found += [f"if i{source} is not own[{self.current(n)}] and ({other}): raise Stale"]
        return found

    def current(self, n: int) -> int:
        """Return where `own` keeps what an output was written into last; at `n` it keeps what may be written into."""
        return len(self.outs) + n

    def renewed(self, own: list[Any], n: int) -> Any:
        """Return new memory for an output."""
        own[n] = array = np.empty_like(self.outs[n].concrete)
        return array

    def renewed_gradient(self, own: list[Any], n: int) -> Tensor:
        """Return a new tensor for a gradient."""
        own[n] = tensor = make(np.empty_like(self.outs[n].concrete), None)
        return tensor

    def _is_a_new_gradient(self, target: Target) -> bool:
        """Return whether an output is a gradient that takes the place of one that the program does not read."""
        return target.kind == "gradient" and _place(target) not in self.source_of

    def _value(self, n: int, target: Target) -> str:
        """Return the name of a computed output."""
        return f"b{self.outs.index(target.value)}" if target.value in self.outs else f"r{n}"

    def _kept(self, n: int, target: Target) -> str:
        """Return the code of an output as its owner keeps it."""
        name = self._value(n, target)
        if target.kind == "gradient" and not target.in_place:
            fresh = target.value in self.outs and self._is_a_new_gradient(target)
            return f"g{name[1:]}" if fresh else f"make({name}, None)"
        return f"asarray({name})" if target.kind == "array" and target.value not in self.outs else name

    def _result(self, tree: Any) -> str:
        """Return the code that makes the result."""
        if isinstance(tree, Place):
            name = self._value(tree.number, self.targets[tree.number])
            return f"make({name}, None)" if tree.kind is Tensor else name
        if isinstance(tree, tuple) and hasattr(tree, "_fields"):
            return f"{self.names.of(type(tree))}({', '.join(map(self._result, tree))})"
        if isinstance(tree, (tuple, list)):
            ends = "()" if isinstance(tree, tuple) else "[]"
            return f"{ends[0]}{''.join([f'{self._result(x)}, ' for x in tree])}{ends[1]}"
        if isinstance(tree, dict):
            entries = "".join([f"({self.names.of(key)}, {self._result(x)}), " for key, x in tree.items()])
            return f"{self.names.of(type(tree))}([{entries}])"
        return "None" if tree is None else self.names.of(tree)


def _place(x: Source | Target) -> tuple[Any, ...]:
    """Return what a source and a target have in common if the one is put in the other's place."""
    return x.kind, x.owner if isinstance(x.owner, int) else id(x.owner), x.key


def _references() -> tuple[int, int, int]:
    """Return the counts of references to an array or tensor that the glue alone causes, found by doing the same."""
    space: dict[str, Any] = {"refs": sys.getrefcount, "arrays": [np.empty(1)], "tensors": [make(np.empty(1), None)]}
    exec(
        "def held(own):\n    b = own[0]\n    return refs(b)\n"
        "def held_tensor(own):\n    b = own[0]\n    return refs(b), refs(b._array)\n",
        space,
    )
    return space["held"](space["arrays"]), *space["held_tensor"](space["tensors"])


_HELD, _HELD_TENSOR, _HELD_ARRAY = _references()
