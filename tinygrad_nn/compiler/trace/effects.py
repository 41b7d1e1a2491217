"""What a function does besides returning: what a program can't do again is found after the trace, and undone."""

from __future__ import annotations

import pickle
import random
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np

from ...errors import CompileError
from ...nn.module import Module
from ...optim.optimizer import Optimizer
from ..program import over_leaves
from ..refusals import effect
from .proxies import is_of_a_trace, plain
from .snapshot import MISSING, Snapshot, bound
from .table import Table

_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
_ALWAYS_DRAWN_FROM: set[Any] = {np.random.mtrand._rand, vars(random)["_inst"]}


class Effects:
    """What the table, the arguments and the containers that stand for some held before a trace; generators' states."""

    def __init__(self, table: Table, arguments: list[Any], containers: list[Any]) -> None:
        self.table, self.before, self.containers = table, Snapshot(), Snapshot()
        objects = [x for x in [*table.objects, *arguments] if not isinstance(x, (ModuleType, Module, Optimizer))]
        attributes = [own for x in objects if type(own := getattr(x, "__dict__", None)) is dict]
        self.attributes = {*map(id, attributes)}
        for x in [*objects, *attributes]:
            if isinstance(x, (list, dict, set)):
                self.before.hold(x)
            elif isinstance(x, type) and x not in (Module, random.Random):  # which tell tracers, another thread's too
                self.before.hold_class(x)
        for x in containers:
            self.containers.hold(x)
        found = {x for x in objects if isinstance(x, _GENERATORS) and not isinstance(x, random.SystemRandom)}
        self.generators = [(x, _state(x)) for x in found | _ALWAYS_DRAWN_FROM]

    def changed(self) -> str:
        """Return what the function changed that a program can't change again, in words; "" if there is nothing."""
        for x, _ in self.containers.changed():
            return f"changes a {type(x).__name__} among its arguments"
        self.containers.held.clear()  # what stands for arguments is to be gone
        for x, then in self.before.changed():
            if isinstance(x, MappingProxyType) or id(x) in self.attributes:
                held = dict(zip(then[: len(then) // 2], then[len(then) // 2 :], strict=True))
                name = next(n for n in [*x, *held] if x.get(n, MISSING) is not held.get(n, MISSING))
                return f"sets the attribute {name!r}{self.table.line_of(name)}"
            return f"changes a {type(x).__name__}{self.table.line_of(self.table.labels.get(id(x), ''))}"
        for holder, name, then, moves in self.table.snapshot.names:
            if not moves and bound(holder, name) is not then:
                return f"sets the attribute {name!r}{self.table.line_of(name)}"
        others = any(True for _ in self.table.snapshot.changed())
        return "changes what a module or an optimiser holds" if others else ""

    def drew(self) -> str:
        """Return where numbers were drawn of a generator that is no module's, in words; "" if none were."""
        for x, state in self.generators:
            if _state(x) != state:
                return self.table.line_of(self.table.labels.get(id(x), "random")) or " in a function that it calls"
        return ""

    def rebound(self) -> list[tuple[Any, Any, Any]]:
        """Return the names that the function bound anew: cells and dictionaries of globals, names, and values.

        The program is for the numbers among them. Raises CompileError for a new container: each call makes its own.
        """
        found = []
        for holder, name, then, moves in self.table.snapshot.names:
            if moves and (now := bound(holder, name)) is not then:
                if now is MISSING:
                    raise CompileError(effect("deletes a name outside"))
                if isinstance(now, (list, dict, set)) and all(now is not x for x in self.table.objects):
                    raise CompileError(effect(f"binds a name outside to a {type(now).__name__} that it has made"))
                found.append((holder, name, over_leaves(plain, now) if is_of_a_trace(now) else now))
        return found

    def undo(self) -> None:
        """Give everything back what it held, and generators their states."""
        self.before.undo()
        self.table.snapshot.undo()
        for generator, state in self.generators:
            _restore(generator, state)


def _state(generator: Any) -> Any:
    """Return a generator's state, of a kind that can be compared."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    legacy = isinstance(generator, np.random.RandomState)
    return pickle.dumps(generator.get_state(legacy=False) if legacy else generator.bit_generator.state)


def _restore(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(pickle.loads(state))
    else:
        generator.bit_generator.state = pickle.loads(state)
