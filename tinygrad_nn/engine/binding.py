"""How the arguments of a call become an operation's inputs and parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import Any

Normalise = Callable[[Any, Any], Any]


def bind(op: Any, args: tuple[Any, ...], parameters: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return the inputs, and every parameter by name. Raises TypeError as Python does.

    The signature itself binds what is irregular only: it takes some ten times as long.
    """
    n, given = len(op.arguments), len(args)
    inputs: Sequence[Any] = args if given == n else [*args[:n], *[None] * (n - given)]
    values = op.defaults | parameters
    regular = op.required <= given <= n + len(op.names) and len(values) == len(op.names)
    if given > n:
        values.update(zip(op.names, args[n:], strict=False))
        regular = regular and parameters.keys().isdisjoint(op.names[: given - n])
    for name in op.needed:
        regular = regular and values[name] is not Parameter.empty
    if not regular:
        bound = op.signature.bind(*args, **parameters)
        bound.apply_defaults()
        everything = list(bound.arguments.values())
        inputs, values = everything[:n], dict(zip(op.names, everything[n:], strict=True))
    return list(inputs[0]) if op.variadic else inputs, values
