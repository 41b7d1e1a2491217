"""Operations with several outputs: one node for all of them, and for each output that is used an item node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from .node import Lift, Node, record


class Whole(tuple[Any, ...]):
    """The cotangents of all outputs, of which some `arrived`; `common` is for what the rules of a pass share."""

    arrived: Any = ()
    common: Any = None


class Parts(dict[int, Any]):
    """The cotangents of several outputs that have arrived: with zeros for the others, a loop over many is quadratic."""

    __slots__ = ("dtype", "shape")
    shape: Any
    dtype: Any
    size = 0

    def __add__(self, other: Parts) -> Parts:
        for index, g in other.items():
            self[index] = self[index] + g if index in self else g
        return self

    def whole(self, node: Node, lift: Lift | None) -> Whole:
        """Return the cotangents of all outputs of a node, zeros that take no memory where none arrived."""
        missing = {shape for index, shape in enumerate(node.shape) if index not in self}
        zeros: Any = {shape: np.broadcast_to(np.zeros((), node.dtype), shape) for shape in missing}
        zeros = zeros if lift is None else {shape: lift(array, None) for shape, array in zeros.items()}
        whole = Whole([self[index] if index in self else zeros[shape] for index, shape in enumerate(node.shape)])
        whole.arrived = self.keys()
        return whole


class _ItemRule:
    """The cotangent of all outputs, where that of one has arrived."""

    argument, into, zero_safe = "outputs", None, None

    def pull(self, g: Any, saved: Any) -> Parts:
        parts = Parts({saved[0]: g})
        _, parts.shape, parts.dtype = saved
        return parts


class Item:
    """The operation that takes one output of several: its node saves which one, and all their shapes and dtype."""

    name = "item"
    masks = multiple_outputs = pointwise = False
    linear = True
    rules: Final = (_ItemRule(),)

    def lift_saved(self, node: Node, lift: Lift) -> Iterator[Any]:
        """Yield what the node saved, in which there is no array."""
        yield from node.saved

    def applied(self, tangents: Any, saved: Any) -> Any:
        """Return the tangent of the output, given those of all."""
        return tangents[0][saved[0]]


ITEM = Item()


def item(whole: Node, index: int, y: Any) -> Node:
    """Return the node of output number `index`, which is `y`, of an operation with several."""
    return record(ITEM, (whole,), (index, whole.shape, whole.dtype), y)
