"""The recorded graph: one Node an operation, and the order to differentiate them in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from ..errors import FREED, FreedGraphError

next_number: Callable[[], int] = itertools.count().__next__  # 0, then 1, ...
Lift = Callable[[Any, "Node | None"], Any]  # an array and its node -> a Tensor; of a constant the node is None


class Node:
    """One recorded step: an operation, the nodes it read, and the arrays its rules will read.

    A step is recorded once its output is there, and only if one of its inputs requires grad. Of relu(x @ W + b) where
    all three do, the product's node saves x and W, the sum's saves nothing, and relu's saves its output. No node saves
    the product or the sum: their memory is free as soon as the next step has read them. A node knows its output's shape
    and dtype, which its cotangent has, too: see `reverse`.
    A leaf, which `requires_grad=True` creates, is a Node without an operation, and its `parents` is (). `parents` has
    an entry per input, None where no gradient is wanted; it is None as a whole once the graph has been freed.
    An operation with several outputs has one node, whose `shape` is a tuple of their shapes, and for each output that
    is used a node of the operation `outputs.ITEM`, which picks it and puts its cotangent into the tuple of all.
    `handle` is None or a weak reference (a graph keeps no Tensor alive) to the Tensor whose `.grad` is to be filled.
    `hooks`, by the keys that remove them, are given the node's complete cotangent, and may return another.
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
    node.number = next_number()
    node.handle = node.hooks = None
    return node


def history(roots: Iterable[Node], since: int = 0) -> list[Node]:
    """Return every node that the roots were computed from, newest first.

    Of nodes numbered before `since` the parents are left out. That is for `checkpoint`, which saves memory: it computes
    a part of the graph anew during the backward pass, and then differentiates the nodes of that part alone.
    A node is created after all the nodes that it reads, so the numbers that count nodes as they are created are
    already a topological order: newest first, each comes after everything that was computed from it.
    """
    found = dict.fromkeys(roots)
    nodes = list(found)
    for node in nodes:  # grows as it is walked; not by recursion: graphs are deeper than Python's stack
        if node.number < since:
            continue
        parents = node.parents
        if parents is None:
            raise FreedGraphError(FREED)
        for parent in parents:
            if parent is not None and parent not in found:
                found[parent] = None
                nodes.append(parent)
    nodes.sort(key=attrgetter("number"), reverse=True)
    return nodes
