"""How the arguments of a call become an operation's inputs and parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any

Normalise = Callable[[Any, Any], Any]


class Bound:
    """What a function takes: inputs, which are arrays, by position, and parameters, which are not, by name."""

    def __init__(
        self, arguments: tuple[str, ...], defaults: Mapping[str, Any], optional: int, variadic: bool,
        normalise: Mapping[str, Normalise] | None,
    ) -> None:  # fmt: skip
        self.arguments: tuple[str, ...] = arguments
        self.defaults: dict[str, Any] = dict(defaults)
        self.variadic: bool = variadic
        self.normalise: dict[str, Normalise] = dict(normalise or {})
        if unknown := self.normalise.keys() - self.defaults:
            raise TypeError(f"{sorted(unknown)} are neither options nor parameters of the function; leave them out")
        self.required: int = len(arguments) - optional
        self.names: tuple[str, ...] = tuple(self.defaults)
        self.needed: tuple[str, ...] = tuple(
            [name for name, default in self.defaults.items() if default is Parameter.empty]
        )
        given: dict[str, Any] = dict.fromkeys(arguments[: self.required], Parameter.empty)
        given |= dict.fromkeys(arguments[self.required :], None) | self.defaults
        kind = Parameter.POSITIONAL_OR_KEYWORD
        self.signature: Signature = Signature([Parameter(n, kind, default=default) for n, default in given.items()])

    def bind(self, args: tuple[Any, ...], parameters: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """Return the inputs, and every parameter by name. Raises TypeError as Python does.

        The signature itself binds what is irregular only: it takes some ten times as long.
        """
        n, given = len(self.arguments), len(args)
        values = self.defaults.copy()
        if given == n and not (parameters or self.needed or self.variadic):
            return args, values
        by_position = self.names[: given - n] if given > n else ()
        if by_position:
            values.update(zip(by_position, args[n:], strict=False))
        if parameters:
            values.update(parameters)
        regular = self.required <= given <= n + len(by_position) and len(values) == len(self.names)
        if by_position and parameters:
            regular = regular and parameters.keys().isdisjoint(by_position)
        for name in self.needed:
            regular = regular and values[name] is not Parameter.empty
        inputs: Sequence[Any] = args if given == n else [*args[:n], *[None] * (n - given)]
        if not regular:
            bound = self.signature.bind(*args, **parameters)
            bound.apply_defaults()
            everything = list(bound.arguments.values())
            inputs, values = everything[:n], dict(zip(self.names, everything[n:], strict=True))
        return list(inputs[0]) if self.variadic else inputs, values

    def normalised(self, values: dict[str, Any], arrays: list[Any]) -> dict[str, Any]:
        """Return the parameters, normalised in place, here and nowhere else."""
        for name, normal in self.normalise.items():
            values[name] = normal(values[name], arrays)
        return values
