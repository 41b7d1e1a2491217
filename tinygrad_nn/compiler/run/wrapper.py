"""The code around a program: it fetches the inputs, and puts the outputs where they belong when all are computed.

One call of C code puts them there, and nothing can interrupt it between its steps.
"""

from __future__ import annotations

import builtins
import operator
from collections import deque
from typing import Any

import numpy as np

from ...tensor.handle import Tensor, make
from ..trace.records import Location
from ..trace.traced_call import Placeholder, Trace
from ..write.literals import nested


class Stale(Exception):
    """A program does not hold for its inputs, or what lies outside them, as they are now."""


class Wrapper:
    """Writes the functions around the program of a trace, in which `flat` are the arguments.

    `fetch(flat)` returns the inputs, and raises Stale if something outside of them is not as it was in the trace.
    `deliver(flat, computed, done)` puts the outputs in their places, clears the gradients that the function cleared,
    binds the names that it bound anew, and returns its result; the last entry of `done` is True from then on.
    `run(flat, step, done)` does both, with the step between them. `put` are the numbers of the outputs that the next
    replay finds as its inputs; `held` are the objects that the code refers to, with their names in it.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace, self._targets, self._sources = trace, trace.targets, trace.tracer.sources
        self._source_of = {s.place: n for n, s in enumerate(self._sources)}
        self.put: list[int] = [n for n, t in enumerate(self._targets) if t.kind == "array" and not t.in_place]
        self.held: dict[int, tuple[str, Any]] = {}

    def functions(self, title: str) -> dict[str, Any]:
        """Return the functions by their names, and what they refer to."""
        text = self.text()
        space: dict[str, Any] = {
            "deque": deque, "call": operator.call, "functions": self._calls, "keys": self._keys, "make": make,
            "asarray": np.asarray, "put": [None] * len(self.put), "Stale": Stale, "ndarray": np.ndarray,
            "shared": np.may_share_memory, "compared": self._trace.table.snapshot,
        }  # fmt: skip
        space |= dict(self.held.values())
        exec(builtins.compile(text, f"<around {title}>", "exec"), space)
        return space

    def first(self, title: str, flat: list[Any]) -> Any:
        """Put what the trace itself computed in its place, and return the function's result."""
        return self.functions(title)["deliver"](flat, self._trace.values, self._trace.delivered)

    def text(self) -> str:
        """Return the code."""
        inputs = [f"i{n}" for n in range(len(self._sources))]
        fetch = [f"if {check}: raise Stale" for check in self._checks()]
        fetch += [f"i{n} = {self._fetched(source)}" for n, source in enumerate(self._sources)]
        fetch += [f"if {check}: raise Stale" for check in self._checks_of_arrays()]
        fetch += [f"return ({', '.join(inputs)}{',' if inputs else ''})"]
        parts = ["def fetch(flat):", *fetch, "def deliver(flat, computed, done):", *self._delivered()]
        parts += ["def run(flat, step, done):", "return deliver(flat, step(*fetch(flat)), done)"]
        return "\n".join([part if part.startswith("def ") else f"    {part}" for part in parts]) + "\n"

    def of(self, x: Any) -> str:
        """Return how code refers to an object."""
        return self.held.setdefault(id(x), (f"o{len(self.held)}", x))[0]

    def owner(self, x: Any) -> str:
        """Return how code refers to a tensor or an optimiser; to an argument by its index."""
        return f"flat[{x}]" if isinstance(x, int) else self.of(x)

    # What is delivered.

    def _delivered(self) -> list[str]:
        """Return the lines that put the outputs in their places, and return the function's result."""
        steps = [self._put(n, target) for n, target in enumerate(self._targets) if target.kind != "result"]
        steps += [(setattr, self.owner(x), "_grad", "None") for x in self._trace.cleared]
        for x, i, _, gone in self._trace.states:
            steps += [(dict.pop, f"{self.of(x)}._state[{i}]", name, "None") for name in gone]
        for holder, name, value in self._trace.rebound:
            bind = operator.setitem if isinstance(holder, dict) else setattr
            steps.append((bind, self.of(holder), name, self.of(value)))
        steps.append((operator.setitem, "done", -1, "True"))
        self._calls, owners, self._keys, values = zip(*steps, strict=True)
        results = [f"r{n}, " for n in range(len(self._targets))]
        return [
            *([f"{''.join(results)}= computed"] if results else []),
            # operator.setitem and setattr, called one after the other by map, which deque empties
            f"deque(map(call, functions, ({', '.join(owners)},), keys, ({', '.join(values)},)), 0)",
            f"put[:] = ({''.join([results[n] for n in self.put])})",
            f"return {nested(self._leaf, self._trace.result)}",
        ]

    def _put(self, n: int, target: Location) -> tuple[Any, str, Any, str]:
        """Return what puts an output in its place: a C function, the code of an owner, a key, the code of a value."""
        owner = self.owner(target.owner)
        if target.kind == "state":
            index, name = target.key
            return operator.setitem, f"{owner}._state[{index}]", name, f"r{n}"
        if target.in_place:
            return operator.setitem, target.code(owner), Ellipsis, f"r{n}"
        if target.kind == "gradient":
            return setattr, owner, "_grad", f"make(r{n}, None)"
        return setattr, owner, "_array", f"r{n}" if target.value.is_array else f"asarray(r{n})"

    def _leaf(self, x: Any) -> str:
        """Return the code of a leaf of the nested result."""
        if isinstance(x, Placeholder):
            return f"make(r{x.number}, None)" if x.kind is Tensor else f"r{x.number}"
        if isinstance(x, tuple):
            return f"{self.of(type(x))}(*{nested(self._leaf, tuple(x))})"
        return self.of(x)

    # What is fetched, and checked.

    def _fetched(self, source: Location) -> str:
        """Return the code that fetches an input."""
        owner = self.owner(source.owner)
        if source.kind == "draw":
            return f"{self.of(source.key[1])}({owner}[{source.key[0]!r}])"
        return source.code(owner)

    def _checks(self) -> list[str]:
        """Return the conditions that are true if something outside the inputs is not as it was in the trace."""
        checks = ["not compared.unchanged()"]
        checks += [f"{self.owner(x)}._grad is not None" for x in self._trace.without_gradient]
        checks += [f"{self.owner(s.owner)}._grad is None" for s in self._sources if s.kind == "gradient"]
        checks += [f"len({self.of(x)}._state[{i}]) != {count}" for x, i, count, _ in self._trace.states]
        return checks + self._checks_of_tensors()

    def _checks_of_tensors(self) -> list[str]:
        """Return the conditions that are true if captured tensors record differently, or one is also an argument."""
        checks = []
        captured = [s.owner for s in self._sources if s.kind == "array" and not isinstance(s.owner, int)]
        for tensor in captured:
            node = f"{self.of(tensor)}._node"
            recorded = f"{node} is None or {node}.operation or {node}.hooks"
            checks.append(f"{node} is not None" if not tensor.requires_grad else recorded)
        changed = [*[t.owner for t in self._targets if t.kind in ("array", "gradient")], *self._trace.cleared]
        arguments = {x for x in changed if isinstance(x, int)}
        indices = {s.owner for s in self._sources if s.kind == "array" and isinstance(s.owner, int)}
        pairs = [(i, x) for i in indices for x in captured if i in arguments or any(y is x for y in changed)]
        return checks + [f"flat[{i}] is {self.of(tensor)}" for i, tensor in pairs]

    def _checks_of_arrays(self) -> list[str]:
        """Return the conditions that are true if arrays other than arguments differ from the trace in their layout.

        What the last replay itself put there needs no such check. An array that the program writes into must be
        writeable, and share no memory with another input.
        """
        checks, put = [], [self._source_of[self._targets[n].place] for n in self.put]
        for n, s in enumerate(self._sources):
            if s.kind == "entry":
                checks.append(f"type(i{n}) is not ndarray")
            if s.kind in ("gradient", "entry") or (s.kind == "array" and not isinstance(s.owner, int)):
                own = f"i{n} is not put[{put.index(n)}] and " if n in put else ""
                kind = f"i{n}.dtype != {self.of(s.value.dtype)} or i{n}.strides != {s.value.strides}"
                checks.append(f"{own}({kind} or i{n}.shape != {s.value.shape})")
        for old in [self._source_of[t.place] for t in self._targets if t.in_place]:
            others = [m for m, s in enumerate(self._sources) if m != old and s.value.is_array]
            checks += [f"not i{old}.flags.writeable", *[f"shared(i{old}, i{m})" for m in others]]
        return checks
