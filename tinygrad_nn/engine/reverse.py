"""Reverse and forward mode over nodes and rules: knows no operation.

Cotangents and tangents are arrays in an ordinary pass. With `create_graph` they are Tensors, which
`lift` makes, and the very same rules then record the graph of the derivative.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..errors import CompileError, hook_in_trace, rule_shape
from .allocator import keep_memory_once
from .arrays import TracedArray, copied
from .grad_mode import enable_grad, recording_rules, users_code, watcher
from .node import ITEM, Node, history, record

Lift = Callable[[Any, Node | None], Any]


def pullback(
    seeds: Mapping[Node, Any],
    wanted: Collection[Node] | None,
    lift: Lift,
    *,
    retain_graph: bool,
    create_graph: bool,
    since: int = 0,
) -> dict[Node, Any]:
    """Return the cotangent of each wanted node, given those of the outputs.

    `wanted=None` stands for every leaf, and every node that retains its gradient. What is returned
    owns its memory. The graph's arrays are freed on the way unless `retain_graph`. Nodes numbered
    before `since` are not differentiated.
    """
    keep_memory_once()
    order = history(seeds, since)
    below, useful = (None, None) if wanted is None else _leading_to(wanted, order)
    cotangents, results = dict(seeds), {}
    alarms: list[str] = []
    masked = any(np.count_nonzero(raw(seed)) < seed.size for seed in seeds.values())
    flags = np.errstate(invalid="call", divide="ignore", over="ignore", call=lambda kind, _: alarms.append(kind))
    watching = watcher()
    if watching is not None:
        watching.backward(list(seeds))
    with flags, recording_rules() if create_graph else nullcontext():
        for node in order:
            g = cotangents.pop(node, None)
            if g is None:
                continue
            if watching is not None:
                watching.cotangent(node, g)
            if node.hooks:
                g = _run_hooks(node, g, lift)
            if node.handle is not None if wanted is None else node in wanted:
                results[node] = np.positive(g) if create_graph else g if _owned(g) else copied(g)
            operation = node.operation
            if operation is None or (below is not None and node not in below):
                continue
            if operation is ITEM:
                parts = cotangents.setdefault(node.parents[0], {})  # type: ignore[index, arg-type]
                parts[node.saved] = _added(parts.pop(node.saved), g) if node.saved in parts else g
                if not retain_graph:
                    node.parents = node.saved = None
                continue
            if type(g) is dict:
                g = _of_all_outputs(node, g, lift if create_graph else None)
            saved = tuple(operation.lift_saved(node, lift)) if create_graph else node.saved
            for parent, rule in zip(node.parents, operation.rules):  # type: ignore[arg-type]
                if parent is None or (useful is not None and parent not in useful):
                    continue
                if rule.into is not None and not create_graph and parent in cotangents:
                    _add_into(rule, g, saved, parent, cotangents, watching)
                    continue
                c = rule.pull(g, saved)
                if (masked or alarms) and rule.zero_safe is not None:
                    if has_nan(raw(c)):
                        c = rule.zero_safe(rule, g, saved, c)
                    alarms.clear()
                if c.shape != parent.shape or c.dtype is not parent.dtype:
                    c = project(c, parent, node, rule)
                if parent in cotangents:
                    c = cotangents.pop(parent) + c if c.size <= 2000 else _added(cotangents.pop(parent), c)
                cotangents[parent] = c
            saved = None
            masked = masked or operation.masks
            if not retain_graph:
                node.parents = node.saved = None
    return results


def raw(x: Any) -> Any:
    """Return the array of a Tensor, and anything else as it is."""
    return x.data if hasattr(x, "requires_grad") else x


def _of_all_outputs(node: Node, g: dict[int, Any], lift: Lift | None) -> tuple[Any, ...]:
    """Return the cotangents of all outputs of the node's operation: zeros where none arrived."""

    def zeros(shape: Any) -> Any:
        array = np.zeros(shape, node.dtype)
        return array if lift is None else lift(array, None)

    return tuple([g[place] if place in g else zeros(shape) for place, shape in enumerate(node.shape)])


def pushforward(
    roots: Iterable[Node], tangents: Mapping[Node, Any], lift: Lift, *, create_graph: bool
) -> dict[Node, Any]:
    """Return the tangent of every node that the given ones lead to, of those that the roots came from.

    An operation on corresponding entries pushes a tangent by its own rule, which is a product with the
    local derivative, and a linear operation by itself. Any other rule is a linear map of the
    cotangent; its transpose pushes tangents, unless a tangent rule says the same at less cost.
    """
    found: dict[Node, Any] = dict(tangents)
    quiet = np.errstate(invalid="ignore", divide="ignore", over="ignore")
    with quiet, recording_rules() if create_graph else nullcontext():
        for node in reversed(history(roots)):
            parents = node.parents or ()
            if node in found or not any(parent in found for parent in parents):
                continue
            if node.operation is ITEM:
                found[node] = found[parents[0]][node.saved]  # type: ignore[index]
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
    return functools.reduce(operator.add, parts)


def _fitted(node: Node, t: Any) -> Any:
    """Return a tangent in its node's shape and dtype."""
    if isinstance(t, tuple):
        return t
    t = t if t.dtype == node.dtype else t.astype(node.dtype)
    return t if t.shape == node.shape else np.broadcast_to(t, node.shape)


def _push_by_rule(node: Node, i: int, t: Any, saved: Any, lift: Lift, create_graph: bool) -> Any:
    """Return what the tangent of input `i` contributes, by a product with the local derivative."""
    operation = node.operation
    rule = (operation.rules if operation.pointwise else operation.tangent_rules)[i]
    pushed = rule.pull(t, saved)
    if rule.zero_safe is not None and has_nan(raw(pushed)):
        pushed = rule.zero_safe(rule, t, saved, pushed)
    return _fitted(node, pushed)


def _push_transposed(node: Node, i: int, t: Any, saved: Any, lift: Lift, create_graph: bool) -> Any:
    """Return what the tangent of input `i` contributes: its rule, recorded as a function of `g`, transposed."""
    operation, parent = node.operation, node.parents[i]  # type: ignore[index]
    rule = next(itertools.islice(operation.rules, i, None))
    blanks = [np.zeros(shape, node.dtype) for shape in (node.shape if operation.several else [node.shape])]
    variables = [record(None, (), (), blank) for blank in blanks]
    inputs = [lift(blank, variable) for blank, variable in zip(blanks, variables, strict=True)]
    with enable_grad():
        c = project(rule.pull(tuple(inputs) if operation.several else inputs[0], saved), parent, node, rule)  # type: ignore[arg-type]
    pulled: dict[Node, Any] = {}
    if c.requires_grad:
        seeds = {c._node: t}
        pulled = pullback(seeds, variables, lift, retain_graph=create_graph, create_graph=create_graph)
    pairs = zip(variables, blanks, strict=True)
    pushed = [pulled[v] if v in pulled else lift(blank, None) if create_graph else blank for v, blank in pairs]
    return tuple(pushed) if operation.several else pushed[0]


def _added(held: Any, c: Any) -> Any:
    """Return the sum of two cotangents, in the first one's memory if nobody else holds that."""
    return np.add(held, c, out=held) if held.size > 2000 and _owned(held) else held + c


def _add_into(rule: Any, g: Any, saved: Any, parent: Node, cotangents: dict[Node, Any], watching: Any) -> None:
    """Let a rule add into its parent's cotangent instead of returning an array of its own."""
    held = cotangents.pop(parent)
    if watching is not None:
        cotangents[parent] = watching.into(rule, held, g, saved)
        return
    if not _owned(held):
        held = np.array(held, parent.dtype)
    rule.into(held, g, saved)
    cotangents[parent] = held


def project(c: Any, parent: Node, node: Node, rule: Any) -> Any:
    """Return the cotangent in its parent's shape and dtype: summed over what was broadcast."""
    shape = parent.shape
    if c.shape != shape:
        lead = c.ndim - len(shape)
        plain = isinstance(c, (np.ndarray, TracedArray)) and c.dtype.char in "fd" and c.size > 0
        if lead > 0 and plain and c.shape[lead:] == shape:
            rows = c if c.ndim == 2 and shape else c.reshape(-1, math.prod(shape))
            c = (np.ones(len(rows), c.dtype) @ rows).reshape(shape)  # the fastest spelling of a sum of rows
        else:
            if lead < 0 or any(n not in (1, m) for n, m in zip(shape, c.shape[lead:], strict=True)):
                raise ValueError(rule_shape(node.operation.name, rule.argument, c.shape, shape))
            axes = tuple(i for i in range(c.ndim) if i < lead or c.shape[i] != shape[i - lead])
            if axes == (c.ndim - 1,) and plain and c.shape[-1] <= 64:
                c = (c.reshape(-1, c.shape[-1]) @ np.ones(c.shape[-1], c.dtype)).reshape(shape)
            else:
                wide = c.astype(np.float32) if c.dtype.char == "e" else c
                c = np.sum(wide, axis=axes).reshape(shape)
    return c if c.dtype == parent.dtype else c.astype(parent.dtype)


# A cotangent that is exactly zero stays zero, though IEEE arithmetic says that 0 * inf is nan: what a
# mask switched off stays off. To look for nan costs time, so it is done only where there can be one:
# after NumPy's invalid flag, which 0 * inf raises, or behind an operation that masks, for only there
# can a nan be left out of the output. Each form of rule below then says what the cotangent is.


def has_nan(c: Any) -> bool:
    """Return whether any entry is nan: a sum of squares is nan exactly then, and the cheapest look."""
    if c.ndim != 1:
        c = c.reshape(-1)
    s = c.dot(c)
    return bool(s != s)


def pointwise(rule: Any, g: Any, saved: Any, c: Any) -> Any:
    """Return the cotangent by a rule that is `g` times a local derivative, zero where either is zero."""
    local = rule.pull(np.ones(g.shape, g.dtype), saved)
    return np.where((g == 0) | (local == 0), 0, g * local)


def sum_of_products(rule: Any, g: Any, saved: Any, c: Any) -> Any:
    """Return the cotangent by a rule that adds up products of `g` and of each floating array it reads.

    Where an inf or nan among those meets only zeros, it counts as zero; else the sum is what IEEE says.
    """
    places = [place for place in rule.places if getattr(saved[place], "dtype", np.dtype(int)).kind == "f"]

    def evaluated(factors: list[Any]) -> Any:
        values = dict(zip(places, factors[1:], strict=True))
        return rule.pull(factors[0], [values.get(place, value) for place, value in enumerate(saved)])

    factors = [g, *[saved[place] for place in places]]
    singular = [~np.isfinite(raw(x)) for x in factors]
    nonzero = [raw(x) != 0 for x in factors]
    reached = 0
    for i, bad in enumerate(singular):
        met = [*nonzero[:i], bad, *nonzero[i + 1 :]]
        reached = reached + evaluated([there.astype(x.dtype) for there, x in zip(met, factors, strict=True)])
    finite = [np.where(bad, 0, x) for bad, x in zip(singular, factors, strict=True)]
    return np.where(reached != 0, c, evaluated(finite))


def _run_hooks(node: Node, g: Any, lift: Lift) -> Any:
    """Return the cotangent after the node's hooks, each of which is handed a copy of its own."""
    assert node.hooks is not None
    if isinstance(raw(g), TracedArray):
        raise CompileError(hook_in_trace(next(iter(node.hooks.values()))))
    for hook in list(node.hooks.values()):
        recorded = not isinstance(g, (np.ndarray, np.generic))
        with users_code():
            changed = hook(np.positive(g) if recorded else lift(np.array(g), None))
        if changed is not None:
            changed = changed if hasattr(changed, "requires_grad") else lift(np.asarray(changed), None)
            changed = np.positive(changed).astype(node.dtype)
            changed = changed if recorded else np.array(changed.data)
            if changed.shape != node.shape:
                raise ValueError(rule_shape("hook", "its tensor", changed.shape, node.shape))
            g = changed
    return g


def _leading_to(wanted: Collection[Node], order: list[Node]) -> tuple[set[Node], set[Node]]:
    """Return the nodes that were computed from a wanted one, without and with the wanted themselves."""
    below: set[Node] = set()
    useful = set(wanted)
    for node in reversed(order):
        if any(parent in useful for parent in node.parents or ()):
            below.add(node)
            useful.add(node)
    return below, useful


def _count_references(array: Any) -> int:
    return sys.getrefcount(array)


def _references_of_one_holder() -> int:
    array = np.empty(1)
    return _count_references(array)


_ONE_HOLDER = _references_of_one_holder()


def _owned(array: Any) -> bool:
    """Return whether the caller's variable is all that refers to this array's memory."""
    return (
        type(array) is np.ndarray
        and array.base is None
        and sys.getrefcount(array) <= _ONE_HOLDER
        and array.flags.owndata
    )
