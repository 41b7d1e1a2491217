"""One rule swapped for another, in one context only."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..engine.operation import OPERATIONS, Operation
from ..engine.rules import Rule, RuleForEach
from ..tensor.declaring import COMPOSITES
from ..tensor.handle import NUMPY_FUNCTIONS

Planted = Mapping[tuple[Operation, int], Any]
_planted: ContextVar[Planted] = ContextVar("planted", default={})  # noqa: B039  (never written to: replaced)
_lock = threading.Lock()


class _Rules:
    """An operation's rules while any context has planted one: each context sees its own rules.

    It replaces the declared rules, so that an operation without planted rules pays nothing.
    """

    users = 0  # how many contexts have planted one

    def __init__(self, operation: Operation, declared: Any) -> None:
        self.operation, self.declared = operation, declared
        self.reads = getattr(declared, "reads", ())  # of the one rule of a variadic operation

    def __iter__(self) -> Iterator[Any]:
        planted = _planted.get()
        if self.operation.variadic:
            return iter(planted.get((self.operation, 0), self.declared))
        return iter([planted.get((self.operation, position), rule) for position, rule in enumerate(self.declared)])

    def __getitem__(self, position: int) -> Any:
        return _planted.get().get((self.operation, position), self.declared[position])

    def __len__(self) -> int:
        return 1 if self.operation.variadic else len(self.declared)


def declared_rules(operation: Operation) -> Any:
    """Return the rules that were declared, whatever is planted."""
    rules = operation.rules
    return rules.declared if isinstance(rules, _Rules) else rules


@contextmanager
def planted(rules: Planted) -> Iterator[None]:
    """Use these rules, by operation and position, while the body runs and in this context only."""
    before, touched = _planted.get(), {operation for operation, _ in rules}
    with _lock:
        for operation in touched:
            if not isinstance(operation.rules, _Rules):
                operation.rules = _Rules(operation, operation.rules)
            operation.rules.users += 1
    _planted.set({**before, **rules})
    try:
        yield
    finally:
        _planted.set(before)
        with _lock:
            for operation in touched:
                operation.rules.users -= 1
                if not operation.rules.users:
                    operation.rules = declared_rules(operation)


def operation_of(function: Any) -> Operation:
    """Return the operation that a function or a name stands for. Raises ValueError with the nearest names if none."""
    recorded = function if isinstance(function, str) else NUMPY_FUNCTIONS.get(function, function)
    operation = OPERATIONS.get(recorded) if isinstance(recorded, str) else getattr(recorded, "operation", recorded)
    if isinstance(operation, Operation):
        return operation
    name = recorded if isinstance(recorded, str) else getattr(recorded, "__name__", repr(recorded))
    if name in COMPOSITES:
        raise ValueError(
            f"{name!r} is composed of operations and has no rule of its own; name one of the operations it is made of"
        )
    near = difflib.get_close_matches(name, OPERATIONS, n=3, cutoff=0.5)
    hint = f"name one of the nearest: {', '.join(near)}" if near else "see tinygrad_nn.engine.operation.OPERATIONS"
    raise ValueError(f"{name!r} is no operation; {hint}")


def position_of(operation: Operation, argument: str) -> int:
    """Return the position of the input that `argument` names. Raises ValueError if that input has no rule."""
    ruled = [name for name, rule in zip(operation.arguments, declared_rules(operation)) if rule is not None]
    if argument not in ruled:
        hint = f"name one that has: {', '.join(ruled)}" if ruled else "name another operation, this has no rules"
        raise ValueError(f"operation {operation.name!r} has no rule for an input named {argument!r}; {hint}")
    return operation.arguments.index(argument)


@contextmanager
def planted_rule(operation: Any, argument: str, rule: Callable[..., Any]) -> Iterator[None]:
    """Replace the operation's rule for one of its inputs, while the body runs and in this context only.

    `operation` is a function, such as `tg.tanh`, or the name of an operation, even one without a public name;
    `argument` is the name of its input. The rule is written like a declared one, and may read what the declared one
    reads. It takes effect when derivatives are computed, not values; in forward mode, too, unless the operation pushes
    tangents without its rule, as matmul does. Other threads and asyncio tasks don't see it. As a decorator, it applies
    while the function runs. Raises ValueError if there is no such operation or input, TypeError if the rule reads more
    than the declared one.

    >>> import tinygrad_nn as tg
    >>> with tg.testing.planted_rule(tg.tanh, "x", lambda g, y: g * (1 - y)):
    ...     tg.grad(tg.tanh)(1.0).round(6).item()
    0.238406
    >>> tg.grad(tg.tanh)(1.0).round(6).item()
    0.419974
    """
    op = operation_of(operation)
    position, rules = position_of(op, argument), declared_rules(op)
    declared: Any = rules if op.variadic else rules[position]
    other: Any = RuleForEach(rule, op.slots, op.name) if op.variadic else None
    other = other or Rule(rule, argument, op.slots, declared.zero_safe, name=op.name)
    if unkept := sorted(set(other.reads) - set(declared.reads)):
        raise TypeError(
            f"a rule planted in {op.name!r} for {argument!r} reads {', '.join(unkept)}, which is not kept; it may read "
            f"{', '.join(['g', *declared.reads])}; to read more, declare an operation of your own with that rule"
        )
    other.reads = declared.reads  # what nodes keep is cached, and has to suit the declared rule again
    with planted({(op, position): other}):
        yield
