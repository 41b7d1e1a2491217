"""Derivative rules: what a rule reads is what its parameters name, and that decides what a node keeps.

`slots` names all that a node can keep, in order: the inputs, the output `y`, the inputs' shapes, `wanted` (which
inputs require grad), and the operation's own options, as `axis`. What a node has kept, `saved`, has an entry per slot,
up to the last that is kept, None where a slot is not. A rule's first parameter is the cotangent `g`, in forward mode
the tangent `t` of an input, which it pushes to the output; in the one rule of an operation on any number of inputs,
`index_of_input` is the second. All others come in any order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

Slots = tuple[str, ...]


class Rule:
    """One derivative rule: `pull(g, saved)` returns the cotangent of `argument`, given that of the output.

    `zero_safe(rule, g, saved, c)`, where there is one, mends a cotangent `c` in which 0 * inf was nan. `into(buffer, g,
    ...)`, where there is one, adds the cotangent into one that is there: that of `x[i]` is zero but at i.
    """

    __slots__ = ("argument", "into", "into_slots", "pull", "read_slots", "reads", "zero_safe")

    def __init__(self, function: Callable[..., Any], argument: str, slots: Slots, zero_safe: Any = None) -> None:
        self.argument: str = argument
        names = [name for name in parameter_names(function) if name not in ("g", "t", "index_of_input")]
        self.reads: tuple[str, ...] = tuple(names)
        unknown = set(self.reads) - set(slots)
        if unknown:
            raise TypeError(f"a rule reads {sorted(unknown)}, but it may only read g, {', '.join(slots)}")
        self.read_slots: list[int] = [slots.index(name) for name in self.reads]
        self.pull: Callable[[Any, Any], Any] = _pull_of(function, self.read_slots)
        self.zero_safe: Callable[..., Any] | None = zero_safe if self.reads else None  # a factor of g is finite then
        self.into: Callable[..., None] | None = None
        self.into_slots: list[int] = []

    def add_by(self, function: Callable[..., None], slots: Slots) -> None:
        """Let `function(buffer, g, ...)`, which reads what its further parameters name, add into buffers."""
        self.into, self.into_slots = function, [slots.index(name) for name in parameter_names(function)[2:]]


def parameter_names(function: Any) -> tuple[str, ...]:
    """Return the names of a function's parameters, in order."""
    code = function.__code__
    return tuple(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def _pull_of(function: Callable[..., Any], read: list[int]) -> Callable[[Any, Any], Any]:
    """Return a rule as a function of the cotangent and of all that its node kept."""
    match read:  # up to two are written out: to unpack a list takes longer than most rules on small arrays
        case []:
            return lambda g, saved: function(g)
        case [i]:
            return lambda g, saved: function(g, saved[i])
        case [i, j]:
            return lambda g, saved: function(g, saved[i], saved[j])
    return lambda g, saved: function(g, *[saved[i] for i in read])


class RuleForEach:
    """The rules of an operation on any number of inputs: one function, called with each `index_of_input`."""

    def __init__(self, function: Callable[..., Any], slots: Slots) -> None:
        self.function, self.slots, self.known = function, slots, dict[int, Rule]()
        self.reads = self.rule(0).reads

    def rule(self, index: int) -> Rule:
        """Return the rule of one input."""
        if index not in self.known:
            self.known[index] = _rule_for_input(index, self.function, self.slots)
        return self.known[index]

    def __iter__(self) -> Iterator[Rule]:
        return map(self.rule, itertools.count())  # endless: whoever zips it with the parents stops at the last


def _rule_for_input(index: int, function: Callable[..., Any], slots: Slots) -> Rule:
    def for_input(g: Any, *values: Any) -> Any:
        return function(g, index, *values)

    rule = Rule(function, f"input {index}", slots)
    rule.pull = _pull_of(for_input, rule.read_slots)
    return rule
