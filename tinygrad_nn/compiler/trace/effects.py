"""What a function does besides returning: what a program can't do again is found after the trace, and undone."""

from __future__ import annotations

import functools
import pickle
import random
from collections.abc import Callable
from types import MappingProxyType, MemberDescriptorType, ModuleType
from typing import Any

import numpy as np

from ...errors import CompileError
from ...nn.module import Module
from ...optim.optimizer import Optimizer
from ...tensor.handle import Tensor
from ..program import over_leaves
from ..refusals import effect
from .proxies import is_of_a_trace, plain
from .snapshot import CONTAINERS, MISSING, Snapshot, all_same, bound, entries_of, same
from .table import Table

_GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
_LARGE = 2**20  # bytes; whether an array of more was written into is found only where a line reads it
_ALWAYS_DRAWN_FROM: set[Any] = {np.random.mtrand._rand, vars(random)["_inst"]}


class Effects:
    """What the table, the arguments and the containers that stand for some held before a trace; generators' states."""

    def __init__(self, table: Table, arguments: list[Any], containers: list[Any]) -> None:
        self.table, self.before = table, Snapshot()
        self.containers = [(x, entries_of(x)) for x in containers]
        given = [*table.objects, *arguments]
        objects = [x for x in given if not isinstance(x, (ModuleType, Module, Optimizer, np.ndarray, Tensor))]
        attributes = [own for x in objects if type(own := getattr(x, "__dict__", None)) is dict]
        self.attributes = {*map(id, attributes)}
        for x in [*objects, *attributes]:
            if isinstance(x, CONTAINERS):
                self.before.hold(x)
            elif isinstance(x, type) and x not in (Module, random.Random):  # which tell tracers, another thread's too
                self.before.hold_class(x)
        for x in arguments:
            slotted = [vars(kind) for kind in type(x).__mro__ if "__slots__" in vars(kind)]
            for name in [name for held in slotted for name in held if isinstance(held[name], MemberDescriptorType)]:
                self.before.name(x, name)
        arrays = {id(x): x for x in given if isinstance(x, np.ndarray) and x.nbytes <= _LARGE}
        self.arrays = [(x, x.copy()) for x in arrays.values()]
        found = {x for x in objects if isinstance(x, _GENERATORS) and not isinstance(x, random.SystemRandom)}
        self.generators = [(x, *_access(x)) for x in found | _ALWAYS_DRAWN_FROM]
        self.states = [pickle.dumps(get()) for _, get, _ in self.generators]

    def changed(self) -> str:
        """Return what the function changed that a program can't change again, in words; "" if there is nothing."""
        if twins := [x for x, then in self.containers if not all_same(entries_of(x), then)]:
            return f"changes a {type(twins[0]).__name__} among its arguments"
        self.containers = []  # what stands for arguments is to be gone
        for x, then in self.before.changed():
            if isinstance(x, MappingProxyType) or id(x) in self.attributes:
                held = dict(zip(then[: len(then) // 2], then[len(then) // 2 :], strict=True))
                name = next(n for n in [*x, *held] if x.get(n, MISSING) is not held.get(n, MISSING))
                return f"sets the attribute {name!r}{self.table.line_of(name)}"
            return f"changes a {type(x).__name__}{self.table.line_of(self.table.labels.get(id(x), ''))}"
        for x, array in self.arrays:
            if x.tobytes() != array.tobytes():
                return f"writes into an array{self.table.line_of(self.table.arrays.get(id(x), ''))}"
        for holder, name, then, moves in self.table.snapshot.names + self.before.names:
            if not moves and not same(bound(holder, name), then):
                return f"sets the attribute {name!r}{self.table.line_of(name)}"
        others = any(True for _ in self.table.snapshot.changed())
        return "changes what a module or an optimiser holds" if others else ""

    def drew(self) -> str:
        """Return where numbers were drawn of a generator that is no module's, in words; "" if none were."""
        for (x, get, _), state in zip(self.generators, self.states, strict=True):
            if pickle.dumps(get()) != state:
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
                if isinstance(now, CONTAINERS) and all(now is not x for x in self.table.objects):
                    raise CompileError(effect(f"binds a name outside to a {type(now).__name__} that it has made"))
                found.append((holder, name, over_leaves(plain, now) if is_of_a_trace(now) else now))
        return found

    def undo(self) -> None:
        """Give everything back what it held, and generators their states."""
        self.before.undo()
        self.table.snapshot.undo()
        for x, array in self.arrays:
            if x.flags.writeable:
                x[...] = array
        for (_, _, put), state in zip(self.generators, self.states, strict=True):
            put(pickle.loads(state))


def _access(generator: Any) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    """Return what tells a generator's state, and what sets it."""
    if isinstance(generator, random.Random):
        return generator.getstate, generator.setstate
    if isinstance(generator, np.random.RandomState):
        return functools.partial(generator.get_state, legacy=False), generator.set_state
    bits = getattr(generator, "bit_generator", generator)
    return lambda: bits.state, functools.partial(setattr, bits, "state")
