"""The cotangents of a backward pass that is traced: as they leave, it is noted which value is which adjoint."""

from __future__ import annotations

from typing import Any

from ...engine.cotangents import Cotangents
from ...engine.operation import Operation
from ...errors import CompileError
from ..program import Span, Value
from ..refusals import hook_in_trace
from .proxies import value_of


class NotedCotangents(Cotangents):
    """The cotangents of a backward pass that is traced."""

    def __init__(self, tracer: Any, seeds: Any, lift: Any, create_graph: bool) -> None:
        super().__init__(seeds, lift, create_graph)
        self.tracer = tracer

    def leave(self, node: Any) -> Any:
        """Return a node's whole cotangent, having noted which value it is; what follows is the node's first rule."""
        if node in self:
            self.tracer.cotangent(node, self[node])
        g, operation = super().leave(node), node.operation
        kept = dict(zip(operation.slots, node.saved or (), strict=False)) if isinstance(operation, Operation) else {}
        self.names = names_of(kept | {"g": g})
        self.begin_rule(node)
        return g

    def begin_rule(self, node: Any) -> None:
        """Let the lines that follow belong to a rule of this node, which `arrive` names, if it has any."""
        span = Span(node.operation, None, self.names, self.tracer.of_node.get(node))
        self.tracer.progress.span = span if isinstance(node.operation, Operation) else None

    def arrive(self, parent: Any, c: Any, node: Any, rule: Any) -> None:
        """Add what a rule has made to the parent's cotangent, outside of that rule; the next one follows."""
        if self.tracer.progress.span is not None:
            self.tracer.progress.span.argument = rule.argument
        self.tracer.progress.span = None
        super().arrive(parent, c, node, rule)
        self.begin_rule(node)

    def hooked(self, node: Any, g: Any) -> Any:
        """Refuse to call a hook with what only stands for a gradient."""
        raise CompileError(hook_in_trace(next(iter(node.hooks.values()))))

    def add_into(self, parent: Any, rule: Any, g: Any, saved: Any) -> None:
        """Let a rule add into a cotangent, which becomes lines of the program."""
        span, self.tracer.progress.span = self.tracer.progress.span, None
        self[parent] = self.tracer.into(rule, self[parent], g, saved)
        self.tracer.progress.span = span


def names_of(given: dict[str, Any]) -> dict[Value, str]:
    """Return the names of what is traced among these."""
    return {value: name for name, x in given.items() if isinstance(value := value_of(x), Value)}
