"""What a function does besides returning: what a program can't repeat is found after the trace, and undone."""

from __future__ import annotations

import random
from types import MemberDescriptorType, ModuleType
from typing import Any

import numpy as np

from ...errors import CompileError
from ...nn.module import Module
from ...optim.optimizer import Optimizer
from ...tensor.handle import Tensor
from ..program import over_leaves
from ..refusals import effect
from .proxies import is_of_a_trace, plain
from .snapshot import CONTAINERS, MISSING, bound, draws, holds, same, state_of
from .table import Table

_ALWAYS_DRAWN_FROM = [np.random.mtrand._rand, vars(random)["_inst"]]


class Effects:
    """Notes what a function may not change: the table, the arguments, their copies, and generators' states."""

    def __init__(self, table: Table, arguments: list[Any], twins: list[Any]) -> None:
        self._table, self._snapshot = table, table.snapshot
        self._twins = [(x, state_of(x)) for x in twins]
        given = [x for x in [*table.objects, *arguments] if not isinstance(x, (ModuleType, Module, Optimizer, Tensor))]
        attributes = [own for x in given if type(own := getattr(x, "__dict__", None)) is dict]
        self._attributes = {*map(id, attributes)}
        self._generators = [*filter(draws, given), *_ALWAYS_DRAWN_FROM]
        held = [x for x in [*given, *attributes] if isinstance(x, (np.ndarray, type, *CONTAINERS))]
        for x in [*held, *self._generators]:
            if x is not Module and x is not random.Random:  # these are patched
                self._snapshot.keep(x)
        for x in arguments:
            slotted = [vars(kind) for kind in type(x).__mro__ if "__slots__" in vars(kind)]
            for name in [name for held in slotted for name in held if isinstance(held[name], MemberDescriptorType)]:
                self._snapshot.name(x, name, compared=False)

    def changed(self) -> str:
        """Return what the function changed that a program can't change again, in words; "" if nothing."""
        if twins := [x for x, then in self._twins if not holds(x, then)]:
            return f"changes a {type(twins[0]).__name__} among its arguments"
        self._twins = []  # lets go of the arguments' copies
        for x, then in self._snapshot.changed():
            line = self._table.line_of(self._table.labels.get(id(x), ""))
            if isinstance(x, np.ndarray):
                return f"writes into an array{line}"
            if isinstance(x, type) or id(x) in self._attributes:
                names = [*(vars(x) if isinstance(x, type) else x), *then]
                name = next(name for name in names if bound(x, name) is not then.get(name, MISSING))
                return f"sets the attribute {name!r}{self._table.line_of(name)}"
            if id(x) in self._snapshot.live and id(x) not in self._table.labels:
                return "changes what a module or an optimiser holds"
            return f"changes a {type(x).__name__}{line}"
        for holder, name, then, moves in self._snapshot.names:
            if not moves and not same(bound(holder, name), then):
                return f"sets the attribute {name!r}{self._table.line_of(name)}"
        return ""

    def drew(self) -> str:
        """Return where numbers were drawn from a generator that is not a module's own, in words; "" if none were."""
        for x in [*self._generators, *self._snapshot.generators.values()]:
            if not holds(*self._snapshot.kept[id(x)]):
                return self._table.line_of(self._table.labels.get(id(x), "random")) or " in a function that it calls"
        return ""

    def rebound(self) -> list[tuple[Any, Any, Any]]:
        """Return the names that the function bound anew, each with its cell or dictionary of globals, and its value.

        The program is for the numbers among these. Raises CompileError for a new container, which each call makes.
        """
        found = []
        for holder, name, then, moves in self._snapshot.names:
            if moves and (now := bound(holder, name)) is not then:
                if now is MISSING:
                    raise CompileError(effect("deletes a name outside"))
                if isinstance(now, CONTAINERS) and all(now is not x for x in self._table.objects):
                    raise CompileError(effect(f"binds a name outside to a {type(now).__name__} that it has made"))
                found.append((holder, name, over_leaves(plain, now) if is_of_a_trace(now) else now))
        return found
