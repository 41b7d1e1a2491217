"""The mutation operators: the ways to change a derivative rule, each a function that replaces the rule's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..engine.arrays import raw
from ..engine.node import history, next_number
from ..engine.operation import Operation
from ..engine.rules import Rule
from ..tensor.handle import Tensor, node_of
from .planting import declared_rules

Pull = Callable[[Any, Any], Any]


class Effect:
    """Whether a mutation has changed a derivative."""

    seen: bool = False

    def compare(self, mutated: Any, declared: Any) -> None:
        """Note a difference in values, or in whether the derivative can be differentiated again."""
        recorded = [getattr(c, "requires_grad", False) for c in (mutated, declared)]
        same = np.array_equal(raw(mutated), raw(declared), equal_nan=True) and recorded[0] == recorded[1]
        self.seen = self.seen or not same


def mutations(op: Operation, position: int) -> Iterator[tuple[str, Callable[[Rule, Effect], Pull] | None]]:
    """Yield the mutations of a rule with their names: each takes the rule and an Effect, and returns a function."""
    yield "flips the sign", _compared(lambda rule: lambda g, saved: -rule.pull(g, saved))
    yield "transposes", _compared(lambda rule: lambda g, saved: _transposed(rule.pull(g, saved)))
    yield "skips the sum over what was broadcast", None
    yield "drops the factor g", _compared(lambda rule: lambda g, saved: rule.pull(_changed(g, _ones), saved))
    rules = declared_rules(op)
    for name in rules.reads if op.variadic else rules[position].reads:
        if name in (*op.arguments, "y"):
            slot = op.slots.index(name)
            yield f"drops the factor {name}", _compared(_reading(slot, lambda: _ones))
            yield f"uses a stale {name}", _compared(_reading(slot, _Stale))
            yield f"takes {name} for a constant", _taking_for_a_constant(slot)


def _compared(mutate: Callable[[Rule], Pull]) -> Callable[[Rule, Effect], Pull]:
    """Return the mutation of a rule that also notes whether it changes what the rule returns."""

    def pull_of(rule: Rule, effect: Effect) -> Pull:
        mutated_pull = mutate(rule)

        def pull(g: Any, saved: Any) -> Any:
            mutated = mutated_pull(g, saved)
            effect.compare(mutated, rule.pull(g, saved))
            return mutated

        return pull

    return pull_of


def _transposed(c: Any) -> Any:
    return c if c.ndim < 2 else np.swapaxes(c, -1, -2).reshape(c.shape)


def _reading(slot: int, change_of: Callable[[], Callable[[Any], Any]]) -> Callable[[Rule], Pull]:
    """Return the mutation that lets the rule read changed values in one slot of its node."""

    def mutate(rule: Rule) -> Pull:
        change = change_of()
        return lambda g, saved: rule.pull(g, [_changed(x, change) if i == slot else x for i, x in enumerate(saved)])

    return mutate


def _taking_for_a_constant(slot: int) -> Callable[[Rule, Effect], Pull]:
    """Return the mutation that takes what the rule reads for a constant when the rule itself is differentiated."""

    def pull_of(rule: Rule, effect: Effect) -> Pull:
        def pull(g: Any, saved: Any) -> Any:
            nodes = set()

            def detached(x: Tensor) -> Tensor:
                nodes.add(node_of(x))
                return x.detach()

            others = [_changed(x, detached, Tensor) if i == slot else x for i, x in enumerate(saved)]
            effect.seen = effect.seen or _depends(rule, g, saved, nodes - {None})
            return rule.pull(g, others)

        return pull

    return pull_of


def _depends(rule: Rule, g: Any, saved: Any, nodes: set[Any]) -> bool:
    """Return whether the steps that the rule records lead directly to these nodes, so that its derivative does."""
    start = next_number()
    c = rule.pull(g, saved) if nodes else None
    order = history([node_of(c)], start) if isinstance(c, Tensor) and node_of(c) is not None else []
    own = [node for node in order if node.number > start]
    return any(parent in nodes for node in own for parent in node.parents or ())


def _changed(x: Any, change: Callable[[Any], Any], kind: Any = (Tensor, np.ndarray, np.generic, float)) -> Any:
    """Return a value, or a tuple or list of values, with each array of floats changed."""
    if isinstance(x, (tuple, list)):
        return type(x)([_changed(part, change, kind) for part in x])
    floating = isinstance(x, kind) and (isinstance(x, float) or x.dtype.kind == "f")
    return change(x) if floating else x


def _ones(x: Any) -> Any:
    """Return ones in place of x, of its kind."""
    if isinstance(x, float) and not isinstance(x, np.generic):
        return 1.0
    ones = np.ones(x.shape, x.dtype)
    return Tensor(ones) if isinstance(x, Tensor) else ones


class _Stale:
    """A function that keeps returning the first values of each shape that it is called with."""

    def __init__(self) -> None:
        self.first: dict[Any, Any] = {}

    def __call__(self, x: Any) -> Any:
        return self.first.setdefault(np.shape(raw(x)), raw(x))
