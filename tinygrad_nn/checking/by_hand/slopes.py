"""An elementwise step of a recorded graph, and the derivatives that its own is mistaken for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...engine.node import Node
from ...engine.operation import OPERATIONS
from .alignment import Aligned

_ACTIVATIONS = ("relu", "sigmoid", "tanh")


@dataclass(frozen=True, eq=False)
class Slopes:
    """What an elementwise step sends back: by its own derivative, and by those that it is mistaken for.

    `step` names the function and what it reads, as in "relu at Z1"; `local` is its derivative alone, and `others`
    what other derivatives would send back, by a description of each.
    """

    step: str
    local: np.ndarray
    others: Mapping[str, np.ndarray]


def slopes_of(one: Aligned, node: Node, g: np.ndarray, arrays: Mapping[str, np.ndarray]) -> Slopes | None:
    """Return what the step from one Tensor to a node makes of the node's adjoint `g`, laid out as by hand.

    `arrays` are the values of the Tensors of this shape, by name: a derivative may be taken at the wrong one.
    Returns None if the step is not elementwise, or reads the Tensor twice.
    """
    operation, parents = node.operation, list(node.parents or ())
    if not getattr(operation, "pointwise", False) or operation.defaults or parents.count(one.node) != 1:
        return None
    position = parents.index(one.node)
    saved = node.saved or (None,) * len(operation.slots)
    inputs = list(saved[: len(parents)])
    if any(x is None for i, x in enumerate(inputs) if i != position):
        return None

    def pull(g: Any, x: Any) -> Any:
        inputs[position] = x
        return operation.rules[position].pull(g, [*inputs, operation.forward(*inputs), *saved[len(inputs) + 1 :]])

    x = arrays[one.name]
    others = {f"{operation.name} at {name}": pull(g, array) for name, array in arrays.items() if array is not x}
    for other in [OPERATIONS[name] for name in _ACTIVATIONS if name != operation.name]:
        others[f"{other.name} at {one.name}"] = other.rules[0].pull(g, (x, other.forward(x), x.shape, (True,)))
    local = one.laid_out(pull(np.ones(x.shape, x.dtype), x))
    return Slopes(f"{operation.name} at {one.name}", local, {told: one.by_hand(c) for told, c in others.items()})
