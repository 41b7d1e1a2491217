"""Forward mode: tangents pushed from node to node, oldest first, by the rules of reverse mode.

The rule of an elementwise operation multiplies by the local derivative, so it pushes tangents as well. A linear
operation pushes tangents through its own forward. Any other rule is a linear map of the cotangent, and is transposed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..errors import given
from .arrays import raw
from .cotangents import project
from .grad_mode import enable_grad, recording_rules
from .node import Lift, Node, history, record
from .outputs import Whole
from .reverse import pullback
from .zero_safe import has_nan


def pushforward(roots: Iterable[Node], given: Mapping[Node, Any], lift: Lift, *, create_graph: bool) -> dict[Node, Any]:
    """Return the tangent of every node between the `given` nodes, whose tangents are known, and the roots."""
    found: dict[Node, Any] = dict(given)
    quiet = np.errstate(invalid="ignore", divide="ignore", over="ignore")
    with quiet, recording_rules() if create_graph else nullcontext():
        for node in reversed(history(roots)):
            parents = node.parents or ()
            if node in found or not any(parent in found for parent in parents):
                continue
            saved = tuple(node.operation.lift_saved(node, lift)) if create_graph else node.saved
            arrived = {i: found[parent] for i, parent in enumerate(parents) if parent is not None and parent in found}
            if node.operation.linear:
                found[node] = _fitted(node, node.operation.applied(arrived, saved))
                continue
            push = _push_by_rule if node.operation.pointwise or node.operation.tangent_rules else _push_transposed
            found[node] = _total([push(node, i, t, saved, lift, create_graph) for i, t in arrived.items()])
    return found


def _total(parts: list[Any]) -> Any:
    if isinstance(parts[0], tuple):
        return tuple([_total(list(each)) for each in zip(*parts, strict=True)])
    return sum(parts[1:], parts[0])


def _fitted(node: Node, t: Any) -> Any:
    """Return a tangent in the shape and dtype of its node."""
    if isinstance(t, tuple):
        return t
    t = t if t.dtype == node.dtype else t.astype(node.dtype)
    return t if t.shape == node.shape else np.broadcast_to(t, node.shape)


def _push_by_rule(node: Node, i: int, t: Any, saved: Any, lift: Lift, create_graph: bool) -> Any:
    """Return the contribution of input `i`: its tangent times the local derivative, by the operation's rule."""
    operation = node.operation
    rule = (operation.rules if operation.pointwise else operation.tangent_rules)[i]
    pushed = rule.pull(t, saved)
    if not hasattr(pushed, "dtype") and not isinstance(pushed, tuple):
        what = f"the rule that pushes {rule.argument!r} of {operation.name!r}"
        raise TypeError(f"{what} returned {given(pushed)}; return the output's tangent, an array")
    if rule.zero_safe is not None and has_nan(raw(pushed)):
        pushed = rule.zero_safe(rule, t, saved, pushed)
    return _fitted(node, pushed)


def _push_transposed(node: Node, i: int, t: Any, saved: Any, lift: Lift, create_graph: bool) -> Any:
    """Return the contribution of input `i`: its rule, recorded as a function of `g`, transposed, applied to `t`."""
    operation, parent = node.operation, node.parents[i]  # type: ignore[index]
    rule = next(itertools.islice(operation.rules, i, None))
    blanks = [np.zeros(shape, node.dtype) for shape in (node.shape if operation.multiple_outputs else [node.shape])]
    variables = [record(None, (), (), blank) for blank in blanks]
    inputs = Whole([lift(blank, variable) for blank, variable in zip(blanks, variables, strict=True)])
    inputs.arrived = range(len(inputs))
    with enable_grad():
        c = project(rule.pull(inputs if operation.multiple_outputs else inputs[0], saved), parent, node, rule)  # type: ignore[arg-type]
    pulled: dict[Node, Any] = {}
    if getattr(c, "requires_grad", False):  # false if the rule returns an array, such as zeros
        pulled = pullback({c._node: t}, variables, lift, retain_graph=create_graph, create_graph=create_graph)
    pairs = zip(variables, blanks, strict=True)
    pushed = [pulled[v] if v in pulled else lift(blank, None) if create_graph else blank for v, blank in pairs]
    return tuple(pushed) if operation.multiple_outputs else pushed[0]
