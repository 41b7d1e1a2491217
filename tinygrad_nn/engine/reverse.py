"""Reverse mode: cotangents pulled from node to node, newest first. It knows no operation.

The cotangent of a node is the derivative of the final output by each entry of the node's output, and has that output's
shape. The pass begins with that of the final output, its seed: 1, or, of several entries, what each weighs in the sum
that is differentiated. A cotangent is an array, and of an operation with several outputs a tuple of arrays.

All that was computed from a node is newer, so its cotangent is complete at its turn. `leave` takes it out, through the
node's hooks. `arrive` adds what the rules compute from it to the cotangents of the parents, each summed over the axes
along which the parent was broadcast: in one place for all rules, so that none can forget it.

With `create_graph` a cotangent is a Tensor, which `lift` makes, and the very same rules record the derivative's graph:
a second derivative is a pass through that.
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
    """Return the targets' cotangents, by node, but of none that is not reached; `seeds` has those of the outputs.

    `targets=None` stands for every leaf, and every node that retains its gradient. What is returned owns its memory.
    The caller writes it to `.grad`, so a pass that fails has changed none. Without `retain_graph` the graph's arrays
    are freed on the way, and a second pass raises FreedGraphError; whoever wants `create_graph` retains it. `since`
    ends the pass at older nodes, which must be targets, see `history`.
    IEEE says 0 * inf = nan, but here a zero cotangent stays zero: what a mask switched off stays off. NumPy's invalid
    flag makes `suspicion` true. Threads that multiply matrices may lose it: such products are always `mended`.
    """
    keep_memory_once()  # from now on the process gives freed memory to the next array, not to the system
    order = history(seeds, since)
    useful = None if targets is None else _computed_from(targets, order)
    cotangents, results = cotangents_from(seeds, lift, create_graph), {}
    leave, arrive = cotangents.leave, cotangents.arrive  # looked up once, called for every node and edge
    suspicion = Suspicion(seeds.values())  # false until NumPy reports 0 * inf, or a mask may have hidden one
    with suspicion.listening(), recording_rules() if create_graph else nullcontext():
        for node in order:
            older = node.number < since  # an input of a checkpointed part: the pass around it runs hooks and rules
            if (g := cotangents.pop(node, None) if older else leave(node)) is None:
                continue
            is_target = node.handle is not None if targets is None else node in targets
            if is_target:  # copied if anything else holds it: a rule may pass `g` on, and `arrive` adds in place
                results[node] = np.positive(g) if create_graph else g if owned(g) else copied(g)
            operation = node.operation
            if operation is None or older:
                continue
            if node.parents is None:  # by now: a hook has differentiated the same graph
                raise FreedGraphError(FREED)
            if useful is not None and useful.isdisjoint(node.parents):
                continue  # not on the way to a target: neither read nor freed
            if operation.masks or node.hooks:  # a nan may be hidden, or a zero made, without NumPy's telling
                suspicion.mask()
            saved = tuple(operation.lift_saved(node, lift)) if create_graph else node.saved
            for parent, rule in zip(node.parents, operation.rules):
                if parent is None or (useful is not None and parent not in useful):
                    continue
                if rule.into is not None and parent in cotangents and not create_graph:  # no graph records a write
                    cotangents.add_into(parent, rule, g, saved)
                    continue
                c = rule.pull(g, saved)
                if rule.zero_safe is not None and (suspicion or rule.zero_safe is sum_of_products):
                    c = suspicion.mended(rule, g, saved, c)
                arrive(parent, c, node, rule)
            # Freed as soon as used; and an array that `c` still held, `arrive` would copy before it adds to it.
            saved = c = None
            if not retain_graph:
                node.parents = node.saved = None
    return results


def _computed_from(targets: Collection[Node], order: list[Node]) -> set[Node | None]:
    """Return the targets and all that were computed from one: a cotangent elsewhere would be of no use."""
    useful: set[Node | None] = set(targets)
    for node in reversed(order):
        if any(parent in useful for parent in node.parents or ()):
            useful.add(node)
    return useful
