"""Where outputs go when all of them are computed: one call of C code, between whose steps nothing can interrupt."""

from __future__ import annotations

import builtins
import operator
from collections import deque
from typing import Any

import numpy as np

from ...tensor.handle import Tensor, make
from ..program import over_leaves
from ..trace.records import Target
from ..trace.traced_call import Place, Trace


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
    """Puts outputs in their places: `commit(flat, values, done)`, with the values of the targets that are no results.

    It also takes away the gradients that the function took away, and binds the names that the function bound anew.
    `done` is a list whose last entry is then True.
    """

    def __init__(self, trace: Trace, names: Names) -> None:
        self.targets, self.delivered = trace.targets, trace.delivered
        steps = [_assignment(target, names) for target in trace.targets if target.kind != "result"]
        steps += [(setattr, names.owner(x), "_grad") for x in trace.cleared]
        for holder, name, _ in trace.rebound:
            steps.append((operator.setitem if isinstance(holder, dict) else setattr, names.of(holder), name))
        steps.append((operator.setitem, "done", -1))
        last = (*[None] * len(trace.cleared), *[value for _, _, value in trace.rebound], True)
        functions, keys = tuple([f for f, _, _ in steps]), tuple([key for _, _, key in steps])
        owners = "".join([f"{owner}, " for _, owner, _ in steps])
        # operator.setitem and setattr, called one after the other by map, which deque empties
        text = f"deque(map(call, functions, [{owners}], keys, [*values, *last]), 0)"
        self.commit = names.defined(
            f"def commit(flat, values, done):\n    {text}\n", "<commit>",
            deque=deque, call=operator.call, functions=functions, keys=keys, last=last,
        )["commit"]  # fmt: skip

    def first(self, flat: list[Any], values: list[Any], result: Any) -> Any:
        """Put what the trace itself computed in its places, and return the function's result."""
        pairs = zip(self.targets, values, strict=True)
        self.commit(flat, [_as_kept(t, x) for t, x in pairs if t.kind != "result"], self.delivered)

        def filled(x: Any) -> Any:
            if not isinstance(x, Place):
                return x
            return make(values[x.number], None) if x.kind is Tensor else values[x.number]

        return over_leaves(filled, result)


def _assignment(target: Target, names: Names) -> tuple[Any, str, Any]:
    """Return what puts an output in its place: a C function of an owner, a key and a value; the owner as code."""
    owner = names.owner(target.owner)
    if target.kind == "state":
        index, name = target.key
        return operator.setitem, f"{owner}._state[{index}]", name
    if target.in_place:
        return operator.setitem, f"{owner}.{'_array' if target.kind == 'array' else '_grad._array'}", Ellipsis
    return setattr, owner, "_array" if target.kind == "array" else "_grad"


def _as_kept(target: Target, x: Any) -> Any:
    """Return a computed array or number as its owner keeps it."""
    if target.kind == "gradient" and not target.in_place:
        return make(x, None)
    return np.asarray(x) if target.kind == "array" else x
