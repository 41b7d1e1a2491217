"""The recorded graph: one Node an operation, and the order to differentiate them in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from ..errors import FreedGraphError, freed

count = itertools.count().__next__  # the number of the next node
Lift = Callable[[Any, "Node | None"], Any]  # makes a Tensor of an array and the node that recorded it


class Node:
    """One recorded step: an operation, the nodes it read, and the arrays its rules will read.

    Of relu(x @ W + b) with x, W and b that require grad, the product's node saves x and W, the sum's nothing, and
    relu's its output. No node saves the product or the sum: they are freed as soon as the next step has read them.
    Every node knows its output's shape and dtype, in which its cotangent will be.
    A leaf, which `requires_grad=True` creates, is a Node without an operation and without parents, (). `parents` has
    an entry per input, None where no gradient is wanted; it is None as a whole once the graph has been freed.
    An operation with several outputs has one node, whose `shape` is a tuple of their shapes, and for each output that
    is used a node whose operation, `outputs.ITEM`, picks that output.
    `handle` refers weakly to the Tensor whose `.grad` is to be filled, or is None. `hooks`, by key, are called with
    the node's whole cotangent.
    """

    __slots__ = ("dtype", "handle", "hooks", "number", "operation", "parents", "saved", "shape")

    operation: Any
    parents: tuple[Node | None, ...] | None
    saved: Any
    shape: tuple[Any, ...]
    dtype: Any
    number: int
    handle: Callable[[], Any] | None
    hooks: dict[int, Callable[[Any], Any]] | None


def record(operation: Any, parents: tuple[Node | None, ...], saved: Any, y: Any) -> Node:
    """Return the node of a step whose output is `y`."""
    node = Node()
    node.operation = operation
    node.parents = parents
    node.saved = saved
    node.shape = y.shape
    node.dtype = y.dtype
    node.number = count()
    node.handle = node.hooks = None
    return node


def history(roots: Iterable[Node], since: int = 0) -> list[Node]:
    """Return every node that the roots were computed from, newest first.

    Nodes numbered before `since` end the walk: checkpointing differentiates only what was recorded from then on.
    A node is created after all the nodes that it reads, so the numbers that count nodes as they are created are
    already a topological order: newest first, each comes after everything that was computed from it.
    """
    found = dict.fromkeys(roots)
    unread = list(found)
    while unread:
        node = unread.pop()
        if node.number < since:
            continue
        parents = node.parents
        if parents is None:
            raise FreedGraphError(freed())
        for parent in parents:
            if parent is not None and parent not in found:
                found[parent] = None
                unread.append(parent)
    return sorted(found, key=attrgetter("number"), reverse=True)
