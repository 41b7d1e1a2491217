"""What a function does besides returning: what a program can't do again is found after the trace, and undone."""

from __future__ import annotations

import pickle
import random
from types import ModuleType
from typing import Any

import numpy as np

from ...nn.module import Module
from ...optim.optimizer import Optimizer
from .modules import ModuleState
from .table import MISSING, Table, all_same, entries_of

_ALWAYS_DRAWN_FROM: tuple[Any, ...] = (np.random.mtrand._rand, vars(random)["_inst"])


class Effects:
    """What the table and the arguments held before a trace, and the states of generators."""

    def __init__(self, table: Table, modules: ModuleState, arguments: list[Any]) -> None:
        self.table, self.modules = table, modules
        objects = [x for x in [*table.objects, *arguments] if not isinstance(x, (ModuleType, Module, Optimizer))]
        self.containers = [(x, x.copy()) for x in objects if isinstance(x, (list, dict, set))]
        holders = {id(entries): entries for x in objects if type(entries := getattr(x, "__dict__", None)) is dict}
        self.attributes = [(entries, dict(entries)) for entries in holders.values()]
        found = [x for x in objects if isinstance(x, (np.random.Generator, np.random.RandomState, random.Random))]
        self.generators = [(x, _state(x)) for x in {*found, *_ALWAYS_DRAWN_FROM}]

    def changed(self) -> str:
        """Return what the function changed that a program can't change again, in words; "" if there is nothing."""
        for x, then in self.containers:
            if not all_same(entries_of(x), entries_of(then)):
                return f"changes a {type(x).__name__}{self.table.line_of(self.table.labels.get(id(x), ''))}"
        for entries, before in self.attributes:
            for name in {*entries, *before}:
                if entries.get(name, MISSING) is not before.get(name, MISSING):
                    return f"sets the attribute {name!r}{self.table.line_of(name)}"
        for get, args, value in self.table.rows:
            if get is getattr and get(*args) is not value:
                return f"sets the attribute {args[1]!r}{self.table.line_of(args[1])}"
        return "" if self.modules.unchanged() else "changes what a module or an optimiser holds"

    def drew(self) -> str:
        """Return where numbers were drawn of a generator that is no module's, in words; "" if none were."""
        for x, state in self.generators:
            if _state(x) != state:
                return self.table.line_of(self.table.labels.get(id(x), "random")) or " in a function that it calls"
        return ""

    def rebound(self) -> list[tuple[Any, Any, Any]]:
        """Return the names that the function bound anew: cells and dictionaries of globals, names, and values."""
        now = [(holder, name, _value_of(holder, name), then) for holder, name, then in self.table.names]
        return [(holder, name, value) for holder, name, value, then in now if value is not then]

    def undo(self) -> None:
        """Give everything back what it held, and generators their states."""
        for x, then in self.containers:
            if not all_same(entries_of(x), entries_of(then)):
                x.clear()
                x.extend(then) if isinstance(x, list) else x.update(then)
        for entries, before in self.attributes:
            entries.clear()
            entries.update(before)
        for holder, name, then in self.table.names:
            if _value_of(holder, name) is not then:
                bind(holder, name, then)
        for generator, state in self.generators:
            _restore(generator, state)
        self.modules.undo()


def bind(holder: Any, name: Any, value: Any) -> None:
    """Bind a cell, or a name among globals."""
    if isinstance(holder, dict):
        if value is MISSING:
            holder.pop(name, None)
        else:
            holder[name] = value
    elif value is MISSING:
        del holder.cell_contents
    else:
        holder.cell_contents = value


def _value_of(holder: Any, name: Any) -> Any:
    if isinstance(holder, dict):
        return holder.get(name, MISSING)
    try:
        return holder.cell_contents
    except ValueError:
        return MISSING


def _state(generator: Any) -> Any:
    """Return a generator's state, of a kind that can be compared."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    return pickle.dumps(generator)


def _restore(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(pickle.loads(state).get_state())
    else:
        generator.bit_generator.state = pickle.loads(state).bit_generator.state
