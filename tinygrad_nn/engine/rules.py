"""Derivative rules: a rule reads what its parameters name, and a node saves what its rules read.

A rule's first parameter is `g`, the cotangent of the output. (A rule for forward mode has `t` instead, the tangent of
an input: see `Operation`.) An operation on any number of inputs has a single rule, whose second parameter is
`index_of_input`. All other parameters, in any order, name slots: what a node can save. The slots are, in order, the
inputs, the output `y`, the inputs' shapes (`x_shape` of `x`), `wanted` (which inputs require grad, a tuple of bools),
and the operation's parameters, such as `axis`. With several outputs, `g` and `y` are tuples with one entry per output.
`saved` of a node has one entry per slot, None where nothing reads it; it ends after `y`, or is (), if nothing later is
read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

Names = tuple[str, ...]


class Rule:
    """One derivative rule: `pull(g, saved)` returns what the input `argument` gets of the output's cotangent.

    `zero_safe(rule, g, saved, c)`, if not None, corrects a cotangent `c` in which 0 * inf gave nan. `into(buffer, g,
    ...)`, if not None, adds to an existing cotangent in place: for `x[i]`, only to the entries at i.
    """

    __slots__ = ("argument", "into", "into_slots", "pull", "read_slots", "reads", "zero_safe")

    def __init__(
        self, function: Any, argument: str, slots: Names, zero_safe: Any = None, leading: Names = ("g",), name: str = ""
    ) -> None:
        self.argument: str = argument
        self.read_slots: list[int] = slots_read(function, leading, slots, f"the rule of {name!r} for {argument!r}")
        self.reads: Names = tuple([slots[i] for i in self.read_slots])
        self.pull: Callable[[Any, Any], Any] = _pull_of(function, self.read_slots)
        # A rule that reads nothing can only multiply g by numbers in its code, which are finite: no 0 * inf.
        self.zero_safe: Callable[..., Any] | None = zero_safe if self.reads else None
        self.into: Callable[..., None] | None = None
        self.into_slots: list[int] = []

    def add_by(self, function: Callable[..., None], slots: Names) -> None:
        """Set `into`: `function(buffer, g, ...)` adds into the buffer; it may read what the rule reads."""
        self.into, self.into_slots = function, slots_read(function, ("buffer", "g"), slots, "the rule `into`")


def slots_read(function: Any, leading: Names, slots: Names, what: str) -> list[int]:
    """Return the slots that a function's parameters name after `leading`. Raises TypeError for other names."""
    names, n = parameter_names(function), len(leading)
    if names[:n] != leading or not set(names[n:]) <= set(slots):
        order = f"first {', '.join(leading)}, and then any of {', '.join(slots)}"
        raise TypeError(f"{what} has the parameters ({', '.join(names)}); name {order}")
    return [slots.index(name) for name in names[n:]]


def parameter_names(function: Any) -> tuple[str, ...]:
    """Return the names of a function's parameters, in order. Raises TypeError if it has none, such as np.negative."""
    if not hasattr(function, "__code__"):
        raise TypeError(f"{function!r} has no named parameters; write a function that calls it: lambda g: ...")
    code = function.__code__
    return tuple(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def _pull_of(function: Callable[..., Any], read: list[int]) -> Callable[[Any, Any], Any]:
    """Return a rule as a function of the cotangent and of everything that its node saved."""
    match read:  # one and two are written out: unpacking a list takes longer than most rules on small arrays
        case []:
            return lambda g, saved: function(g)
        case [i]:
            return lambda g, saved: function(g, saved[i])
        case [i, j]:
            return lambda g, saved: function(g, saved[i], saved[j])
    return lambda g, saved: function(g, *[saved[i] for i in read])


class RuleForEach:
    """The rules of an operation on any number of inputs: one function, called with each `index_of_input`."""

    def __init__(self, function: Callable[..., Any], slots: Names, name: str = "") -> None:
        self._function, self._slots, self._name, self._known = function, slots, name, dict[int, Rule]()
        self.reads: Names = self.rule(0).reads

    def rule(self, index: int) -> Rule:
        """Return the rule of one input."""
        if index not in self._known:
            leading = ("g", "index_of_input")
            rule = Rule(self._function, f"input {index}", self._slots, None, leading, self._name)
            rule.pull = _pull_of(lambda g, *values: self._function(g, index, *values), rule.read_slots)
            self._known[index] = rule
        return self._known[index]

    def __iter__(self) -> Iterator[Rule]:
        return map(self.rule, itertools.count())  # endless: zip with the parents stops at the last parent
