"""The recorded graph: one Node per operation, and the order in which nodes are differentiated."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from ..errors import FREED, FreedGraphError

next_number: Callable[[], int] = itertools.count().__next__  # 0, then 1, ...
Lift = Callable[[Any, "Node | None"], Any]  # (array, its node) -> a Tensor; a constant has None as node


class Node:
    """One recorded step: an operation, the nodes it read, and the arrays its rules will read.

    A step is recorded after its output is computed, and only if one of its inputs requires grad. In relu(x @ W + b),
    where all three require grad, the product's node saves x and W, the sum's saves nothing, and relu's saves its
    output. No node saves the product or the sum: their memory is free as soon as the next step has read them. A node
    knows the shape and dtype of its output, which are those of its cotangent, too: see `reverse`.
    `requires_grad=True` creates a leaf: a Node without an operation, whose `parents` is (). `parents` has one entry per
    input, None where no gradient is wanted. After the graph is freed, `parents` itself is None. An operation with
    several outputs has one node, whose `shape` is a tuple of their shapes. Each output that is used has a node of its
    own, of the operation `outputs.ITEM`, whose rule puts its cotangent into the tuple of all. `handle` is None or a
    weak reference to the Tensor whose `.grad` is to be filled: a graph keeps no Tensor alive. `hooks` are functions by
    the keys that remove them; each gets the node's complete cotangent and may return another.
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

    Nodes are numbered as they are created, and a node is created after all the nodes that it reads. So the numbers are
    already a topological order: newest first, each node comes after everything that was computed from it. Nodes
    numbered below `since` are returned, but the walk ends there. That is for `checkpoint`, which saves memory: it
    computes a part of the graph again during the backward pass, and then differentiates that part alone.
    """
    found = dict.fromkeys(roots)
    nodes = list(found)
    for node in nodes:  # grows during the loop; no recursion: graphs are deeper than Python's stack
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
