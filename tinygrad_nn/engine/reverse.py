"""Reverse mode: cotangents pulled from node to node, newest first. It knows no operation.

The cotangent of a node is the derivative of the final output with respect to the node's output, and has its shape. The
pass begins at the final output with the seed: 1, or a weight for each entry of that output, if there are several; then
their weighted sum is differentiated. A cotangent is an array, or a tuple of arrays if an operation has several outputs.

Everything that was computed from a node is newer than the node, so its cotangent is complete when its turn comes.
`Cotangents.leave` removes it and runs the node's hooks. Each rule turns it into a contribution to a parent's cotangent,
and `arrive` adds that, summed over the axes along which the parent was broadcast. No rule can forget the sum.

With `create_graph`, cotangents are Tensors, made by `lift`. The same rules then record the graph of the derivative, and
a second derivative is a pass through that graph.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..errors import FREED, FreedGraphError
from .allocator import keep_memory_once
from .arrays import copied
from .cotangents import owned
from .grad_mode import recording_rules
from .node import Lift, Node, history
from .watching import cotangents_from
from .zero_safe import Suspicion, sum_of_products


def pullback(
    seeds: Mapping[Node, Any], targets: Collection[Node] | None, lift: Lift, *,
    retain_graph: bool, create_graph: bool, since: int = 0,
) -> dict[Node, Any]:  # fmt: skip
    """Return the cotangents of the targets that are reached, by node; `seeds` are the cotangents of the outputs.

    `targets=None` means every node with a `handle`: leaves, and nodes that retain their gradient. The returned arrays
    own their memory. The caller writes them to `.grad`, so a pass that fails changes no gradient. Without
    `retain_graph` the graph's arrays are freed on the way, and a second pass raises FreedGraphError; with
    `create_graph` callers retain it by default. `since` ends the pass at older nodes, which must be targets: see
    `history`. IEEE says 0 * inf = nan, but here a zero cotangent stays zero: what a mask switched off stays off.
    After the invalid flag, or a mask, cotangents are `mended`; those of matrix products always: threads lose flags.
    """
    keep_memory_once()  # from now on freed memory is reused for the next array, not returned to the system
    order = history(seeds, since)
    useful = None if targets is None else _computed_from(targets, order)
    cotangents, results = cotangents_from(seeds, lift, create_graph), {}
    leave, arrive = cotangents.leave, cotangents.arrive  # looked up once: called at every node and edge
    suspicion = Suspicion(seeds.values())  # false until NumPy reports 0 * inf, or a mask, such as a seed's zeros
    with suspicion.listening(), recording_rules() if create_graph else nullcontext():
        for node in order:
            older = node.number < since  # an input of a checkpointed part: the outer pass runs its hooks and rules
            if (g := cotangents.pop(node, None) if older else leave(node)) is None:
                continue
            is_target = node.handle is not None if targets is None else node in targets
            if is_target:  # copied if shared: a rule may have passed it on, and each .grad owns its memory
                results[node] = np.positive(g) if create_graph else g if owned(g) else copied(g)
            operation = node.operation
            if operation is None or older:
                continue
            if node.parents is None:  # freed meanwhile: a hook differentiated the same graph
                raise FreedGraphError(FREED)
            if useful is not None and useful.isdisjoint(node.parents):
                continue  # not on the way to a target: neither read nor freed
            if operation.masks or node.hooks:  # a mask may hide a nan, a hook make a zero: no flag
                suspicion.mask()
            saved = tuple(operation.lift_saved(node, lift)) if create_graph else node.saved
            for parent, rule in zip(node.parents, operation.rules):
                if parent is None or (useful is not None and parent not in useful):
                    continue
                if rule.into is not None and parent in cotangents and not create_graph:  # a graph can't record a write
                    cotangents.add_into(parent, rule, g, saved)
                    continue
                c = rule.pull(g, saved)
                if rule.zero_safe is not None and (suspicion or rule.zero_safe is sum_of_products):
                    c = suspicion.mended(rule, g, saved, c)
                arrive(parent, c, node, rule)
            # Free the saved arrays at once, and `c`: an array that anything else still holds is copied to be added to.
            saved = c = None
            if not retain_graph:
                node.parents = node.saved = None
    return results


def _computed_from(targets: Collection[Node], order: list[Node]) -> set[Node | None]:
    """Return the targets and every node computed from one: only their cotangents are needed."""
    useful: set[Node | None] = set(targets)
    for node in reversed(order):
        if any(parent in useful for parent in node.parents or ()):
            useful.add(node)
    return useful
