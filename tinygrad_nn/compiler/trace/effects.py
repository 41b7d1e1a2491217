"""What a function does besides returning: what a program can't do again is found after the trace, and undone."""

from __future__ import annotations

import pickle
import random
from types import ModuleType
from typing import Any

import numpy as np

from ...nn.module import Module
from ...optim.optimizer import Optimizer
from .snapshot import Snapshot
from .table import MISSING, Table, bound

_ALWAYS_DRAWN_FROM: tuple[Any, ...] = (np.random.mtrand._rand, vars(random)["_inst"])


class Effects:
    """What the table and the arguments held before a trace, and the states of generators."""

    def __init__(self, table: Table, arguments: list[Any]) -> None:
        self.table, self.before = table, Snapshot()
        objects = [x for x in [*table.objects, *arguments] if not isinstance(x, (ModuleType, Module, Optimizer))]
        for x in objects:
            if isinstance(x, (list, dict, set)):
                self.before.hold(x)
        self.attributes = [own for x in objects if type(own := getattr(x, "__dict__", None)) is dict]
        for own in self.attributes:
            self.before.hold(own)
        found = [x for x in objects if isinstance(x, (np.random.Generator, np.random.RandomState, random.Random))]
        self.generators = [(x, _state(x)) for x in {*found, *_ALWAYS_DRAWN_FROM}]

    def changed(self) -> str:
        """Return what the function changed that a program can't change again, in words; "" if there is nothing."""
        for x, then in self.before.changed():
            if all(x is not own for own in self.attributes):
                return f"changes a {type(x).__name__}{self.table.line_of(self.table.labels.get(id(x), ''))}"
            held = dict(zip(then[: len(then) // 2], then[len(then) // 2 :], strict=True))
            name = next(n for n in [*x, *held] if x.get(n, MISSING) is not held.get(n, MISSING))
            return f"sets the attribute {name!r}{self.table.line_of(name)}"
        snapshot = self.table.snapshot
        for get, value in zip(snapshot.gets, snapshot.values, strict=True):
            if get.func is getattr and get() is not value:
                return f"sets the attribute {get.args[1]!r}{self.table.line_of(get.args[1])}"
        return "changes what a module or an optimiser holds" if any(True for _ in snapshot.changed()) else ""

    def drew(self) -> str:
        """Return where numbers were drawn of a generator that is no module's, in words; "" if none were."""
        for x, state in self.generators:
            if _state(x) != state:
                return self.table.line_of(self.table.labels.get(id(x), "random")) or " in a function that it calls"
        return ""

    def rebound(self) -> list[tuple[Any, Any, Any]]:
        """Return the names that the function bound anew: cells and dictionaries of globals, names, and values."""
        now = [(holder, name, bound(holder, name), then) for holder, name, then in self.table.names]
        return [(holder, name, value) for holder, name, value, then in now if value is not then]

    def undo(self) -> None:
        """Give everything back what it held, and generators their states."""
        self.before.undo()
        for holder, name, then in self.table.names:
            if bound(holder, name) is not then:
                _bind(holder, name, then)
        for generator, state in self.generators:
            _restore(generator, state)
        self.table.snapshot.undo()


def _bind(holder: Any, name: Any, value: Any) -> None:
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
