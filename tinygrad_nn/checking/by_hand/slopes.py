"""An elementwise step of a recorded graph, and the derivatives that its own is mistaken for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...engine.node import Node
from ...engine.operation import OPERATIONS, Operation

_ACTIVATIONS = ("relu", "sigmoid", "tanh")


@dataclass(frozen=True, eq=False)
class Elementwise:
    """The step from one node to the next, as a function of its input number `place`."""

    operation: Operation
    place: int
    saved: Any

    @classmethod
    def of(cls, node: Node, parent: Node) -> Elementwise | None:
        """Return the step that made `node` of `parent`, or None if it is no elementwise one, or reads it twice."""
        operation, parents = node.operation, list(node.parents or ())
        if not getattr(operation, "pointwise", False) or operation.defaults or parents.count(parent) != 1:
            return None
        place = parents.index(parent)
        kept = node.saved or (None,) * len(operation.slots)
        if any(kept[i] is None for i in range(len(parents)) if i != place):
            return None
        return cls(operation, place, kept)

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.operation.name

    def pull(self, g: Any, x: Any) -> Any:
        """Return the cotangent of the input where it is `x`, given that of the output."""
        inputs = list(self.saved[: len(self.operation.arguments)])
        inputs[self.place] = x
        kept = [*inputs, self.operation.forward(*inputs), *self.saved[len(inputs) + 1 :]]
        return self.operation.rules[self.place].pull(g, kept)

    def derivatives(self, g: np.ndarray, name: str, arrays: Mapping[str, np.ndarray]) -> tuple[Any, dict[str, Any]]:
        """Return the derivative at the named array, and what `g` becomes by other derivatives, by what they are."""
        x = arrays[name]
        others = {f"{self.name} at {n}": self.pull(g, array) for n, array in arrays.items() if array is not x}
        for other in _ACTIVATIONS:
            operation = OPERATIONS[other]
            if other != self.name:
                others[f"{other} at {name}"] = operation.rules[0].pull(g, (x, operation.forward(x), x.shape, (True,)))
        return self.pull(np.ones(x.shape, x.dtype), x), others
