"""The cotangents of a traced backward pass: as they leave, it is noted which value is which adjoint."""

from __future__ import annotations

from typing import Any

from ...engine.cotangents import Cotangents
from ...engine.operation import Operation
from ...errors import CompileError
from ..program import Span, Value
from ..refusals import hook_in_trace
from .arrays import Buffer, Traced
from .proxies import value_of


class NotedCotangents(Cotangents):
    """The cotangents of a traced backward pass."""

    def __init__(self, tracer: Any, seeds: Any, lift: Any, create_graph: bool) -> None:
        super().__init__(seeds, lift, create_graph)
        self.tracer = tracer

    def leave(self, node: Any) -> Any:
        """Return a node's complete cotangent, and note which value it is; the node's first rule follows."""
        current, primal = self.tracer.passes[-1], self.tracer.value_at(node)
        if node in self:
            current.stop = len(self.tracer.lines)
            if isinstance(value := value_of(self[node]), Value) and isinstance(primal, Value):
                current.adjoints.append((value, primal))
        g, operation = super().leave(node), node.operation
        kept = dict(zip(operation.slots, node.saved or (), strict=False)) if isinstance(operation, Operation) else {}
        self._names = names_of(kept | {"g": g})
        self.begin_rule(node)
        return g

    def begin_rule(self, node: Any) -> None:
        """Let the lines that follow belong to a rule of this node, if it has any; `arrive` names which."""
        span = Span(node.operation, None, self._names, self.tracer.of_node.get(node))
        self.tracer.span = span if isinstance(node.operation, Operation) else None

    def arrive(self, parent: Any, c: Any, node: Any, rule: Any) -> None:
        """Add a rule's result to the parent's cotangent, outside of that rule's span; the next rule follows."""
        if self.tracer.span is not None:
            self.tracer.span.argument = rule.argument
        self.tracer.span = None
        super().arrive(parent, c, node, rule)
        self.begin_rule(node)

    def hooked(self, node: Any, g: Any) -> Any:
        """Refuse to call a hook with the proxy of a gradient."""
        raise CompileError(hook_in_trace(next(iter(node.hooks.values()))))

    def add_into(self, parent: Any, rule: Any, g: Any, saved: Any) -> None:
        """Let a rule add into a cotangent line by line, or else add what the rule returns."""
        tracer, held, span = self.tracer, self[parent], self.tracer.span

        def added() -> Any:
            tracer.span = None
            total = Buffer(tracer, tracer.value(held if held.flags.writeable else held.copy()))
            rule.into(total, g, *[saved[place] for place in rule.into_slots])
            return Traced(tracer, total.value)

        self[parent] = tracer.attempted(added, lambda: held + rule.pull(g, saved))
        tracer.span = span


def names_of(given: dict[str, Any]) -> dict[Value, str]:
    """Return the names of the traced values among these."""
    return {value: name for name, x in given.items() if isinstance(value := value_of(x), Value)}
