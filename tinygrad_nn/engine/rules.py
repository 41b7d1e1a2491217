"""One derivative rule: which of the things that a node keeps it reads, and how it is called."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any


class Rule:
    """One derivative rule: `pull(g, saved)` returns the cotangent of `argument`.

    `reads` are the names in the rule's parameter list, which decide what a node keeps.
    `zero_safe(rule, g, saved, c)`, where there is one, mends a cotangent `c` with nan in it.
    `into(buffer, g, saved)`, where there is one, adds the cotangent into a buffer.
    """

    __slots__ = ("adds", "adds_from", "argument", "into", "places", "pull", "reads", "zero_safe")

    def __init__(self, function: Callable[..., Any], argument: str, layout: tuple[str, ...], zero_safe: Any = None):
        self.argument = argument
        self.reads = tuple(n for n in parameter_names(function) if n not in ("g", "t", "index_of_input"))
        unknown = set(self.reads) - set(layout)
        if unknown:
            raise TypeError(f"a rule reads {sorted(unknown)}, but it may only read g, {', '.join(layout)}")
        self.places = [layout.index(n) for n in self.reads]
        self.pull = _reading(function, self.places)
        self.zero_safe: Callable[..., Any] | None = zero_safe if self.reads else None
        self.into: Callable[..., None] | None = None
        self.adds: Callable[..., None] | None = None
        self.adds_from: list[int] = []

    def add_by(self, into: Callable[..., None], layout: tuple[str, ...]) -> None:
        """Let `into(buffer, g, ...)`, a function of the buffer, the cotangent and what was kept, add into buffers."""
        places = [layout.index(name) for name in parameter_names(into)[2:]]
        self.adds, self.adds_from = into, places
        self.into = lambda buffer, g, saved: into(buffer, g, *[saved[i] for i in places])


def parameter_names(function: Any) -> tuple[str, ...]:
    """Return the names of a function's parameters, in order."""
    code = function.__code__
    return tuple(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def _reading(rule: Callable[..., Any], places: list[int]) -> Callable[[Any, Any], Any]:
    """Return the rule as a function of the cotangent and of all that its node kept."""
    match places:
        case []:
            return lambda g, saved: rule(g)
        case [i]:
            return lambda g, saved: rule(g, saved[i])
        case [i, j]:
            return lambda g, saved: rule(g, saved[i], saved[j])
    return lambda g, saved: rule(g, *[saved[i] for i in places])


class RuleForEach:
    """The rule of an operation on any number of inputs: it is told which one by `index_of_input`."""

    def __init__(self, function: Callable[..., Any], layout: tuple[str, ...]) -> None:
        self.function, self.layout, self.made = function, layout, list[Rule]()
        self.reads = self._rule(0).reads

    def _rule(self, index: int) -> Rule:
        def told(g: Any, *values: Any) -> Any:
            return self.function(g, index, *values)

        rule = Rule(self.function, f"input {index}", self.layout)
        rule.pull = _reading(told, rule.places)
        return rule

    def __iter__(self) -> Iterator[Rule]:
        for index in itertools.count():
            if index == len(self.made):
                self.made.append(self._rule(index))
            yield self.made[index]
