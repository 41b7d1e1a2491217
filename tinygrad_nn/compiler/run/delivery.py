"""Where outputs go when all of them are computed: one call of C code, between whose steps nothing can interrupt."""

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


class Names:
    """How generated code refers to tensors, optimisers and other objects, and to arguments by their index."""

    def __init__(self) -> None:
        self.held: dict[int, tuple[str, Any]] = {}

    def of(self, x: Any) -> str:
        """Return how code refers to an object."""
        return self.held.setdefault(id(x), (f"o{len(self.held)}", x))[0]

    def owner(self, x: Any) -> str:
        """Return how code refers to a tensor or an optimiser; an argument is told by its index."""
        return f"flat[{x}]" if isinstance(x, int) else self.of(x)

    def defined(self, text: str, title: str, **space: Any) -> dict[str, Any]:
        """Return what the code defines."""
        found = space | dict(self.held.values())
        exec(builtins.compile(text, title, "exec"), found)
        return found


class Delivery:
    """Writes the code that puts outputs in their places and returns the function's result.

    It also takes away the gradients that the function took away, and binds the names that the function bound anew.
    The `lines` read `flat`, the arguments, and `computed`, the outputs; `done` is a list whose last entry is then True.
    `space` is what they refer to. `put` are the outputs that the next replay finds as its inputs, by their numbers.
    """

    def __init__(self, trace: Trace, names: Names) -> None:
        self.trace, self.names = trace, names
        targets = list(enumerate(trace.targets))
        self.put = [n for n, t in targets if t.kind == "array" and not t.in_place]
        steps = [(*_assignment(t, names), _kept(n, t)) for n, t in targets if t.kind != "result"]
        steps += [(setattr, names.owner(x), "_grad", "None") for x in trace.cleared]
        for holder, name, value in trace.rebound:
            bind = operator.setitem if isinstance(holder, dict) else setattr
            steps.append((bind, names.of(holder), name, names.of(value)))
        functions, owners, keys, values = zip(*steps, (operator.setitem, "done", -1, "True"), strict=True)
        # operator.setitem and setattr, called one after the other by map, which deque empties
        commit = f"deque(map(call, functions, ({', '.join(owners)},), keys, ({', '.join(values)},)), 0)"
        self.lines = [f"{''.join([f'r{n}, ' for n, _ in targets])}= computed"] if targets else []
        self.lines += [commit, f"put[:] = ({''.join([f'r{n}, ' for n in self.put])})"]
        self.lines.append(f"return {nested(self._leaf, trace.result)}")
        self.space = {
            "deque": deque, "call": operator.call, "functions": functions, "keys": keys, "make": make,
            "asarray": np.asarray, "put": [None] * len(self.put),
        }  # fmt: skip

    def first(self, flat: list[Any]) -> Any:
        """Put what the trace itself computed in its places, and return the function's result."""
        text = "\n    ".join(["def deliver(flat, computed, done):", *self.lines])
        deliver = self.names.defined(text, "<commit>", **self.space)["deliver"]
        return deliver(flat, self.trace.values, self.trace.delivered)

    def _leaf(self, x: Any) -> str:
        """Return the code of what lies in the nested result."""
        if isinstance(x, Placeholder):
            return f"make(r{x.number}, None)" if x.kind is Tensor else f"r{x.number}"
        if isinstance(x, tuple):
            return f"{self.names.of(type(x))}(*{nested(self._leaf, tuple(x))})"
        return self.names.of(x)


def _assignment(target: Location, names: Names) -> tuple[Any, str, Any]:
    """Return what puts an output in its place: a C function of an owner, a key and a value; the owner as code."""
    owner = names.owner(target.owner)
    if target.kind == "state":
        index, name = target.key
        return operator.setitem, f"{owner}._state[{index}]", name
    if target.in_place:
        return operator.setitem, target.code(owner), Ellipsis
    return setattr, owner, "_array" if target.kind == "array" else "_grad"


def _kept(n: int, target: Location) -> str:
    """Return the code of an output as its owner keeps it."""
    if target.kind == "gradient" and not target.in_place:
        return f"make(r{n}, None)"
    return f"asarray(r{n})" if target.kind == "array" and not target.value.is_array else f"r{n}"
