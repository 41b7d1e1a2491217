"""Operations with several outputs: one node for all of them, and an item node for each output that is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from .node import Lift, Node, record


class Whole(tuple[Any, ...]):
    """The cotangents of all outputs; `arrived` are their indices, `common` is what the rules of a pass share."""

    arrived: Any = ()
    common: Any = None


class Parts(dict[int, Any]):
    """The cotangents that have arrived so far, by output: with zeros for the others, many would be quadratic."""

    __slots__ = ("dtype", "shape")
    shape: Any
    dtype: Any
    size = 0

    def __add__(self, other: Parts) -> Parts:
        for index, g in other.items():
            self[index] = self[index] + g if index in self else g
        return self

    def whole(self, node: Node, lift: Lift | None) -> Whole:
        """Return the cotangents of all outputs of a node; where none arrived, zeros that take no memory."""
        missing = {shape for index, shape in enumerate(node.shape) if index not in self}
        zeros: Any = {shape: np.broadcast_to(np.zeros((), node.dtype), shape) for shape in missing}
        zeros = zeros if lift is None else {shape: lift(array, None) for shape, array in zeros.items()}
        whole = Whole([self[index] if index in self else zeros[shape] for index, shape in enumerate(node.shape)])
        whole.arrived = self.keys()
        return whole


class _ItemRule:
    """Puts the cotangent of one output among those of all."""

    argument, into, zero_safe = "outputs", None, None

    def pull(self, g: Any, saved: Any) -> Parts:
        parts = Parts()
        parts[saved[0]], (_, parts.shape, parts.dtype) = g, saved
        return parts


class Item:
    """The operation that picks one of several outputs; its node saves the index, and the shapes and dtype of all."""

    name = "item"
    masks = multiple_outputs = pointwise = False
    linear = True
    rules: Final = (_ItemRule(),)

    def lift_saved(self, node: Node, lift: Lift) -> Iterator[Any]:
        """Yield what the node saved: no arrays, so nothing to lift."""
        yield from node.saved

    def applied(self, tangents: Any, saved: Any) -> Any:
        """Return the tangent of the one output, given those of all."""
        return tangents[0][saved[0]]


ITEM = Item()


def item(whole: Node, index: int, y: Any) -> Node:
    """Return the node of output number `index`, which is `y`, of an operation with several."""
    return record(ITEM, (whole,), (index, whole.shape, whole.dtype), y)
