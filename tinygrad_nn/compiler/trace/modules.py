"""The modules and optimisers that a trace meets: what they held, by which later changes are seen."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from ...nn.module import Module
from ...optim.optimizer import Optimizer
from ..refusals import effect
from .draws import NotedGenerator
from .patches import Patch
from .proxies import in_package, users_line
from .snapshot import CONTAINERS, Snapshot


class Modules:
    """Notes what the dictionaries of modules, of their classes, and containers nested in them hold when they are met.

    Plain objects inside are frozen. Optimisers are looked into in the same way, but for their hyperparameters and
    their state, which are read anew at each replay. So are arrays that are attributes.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.known: dict[int, Any] = {}

    def meet(self, x: Any) -> None:
        """Note what a module or an optimiser holds, if it is one."""
        if isinstance(x, (Module, Optimizer)):
            self._note(x)

    def _note(self, x: Any) -> None:
        """Note what a module, container or array holds, and what that holds."""
        if id(x) in self.known or not isinstance(x, (Module, Optimizer, tuple, *CONTAINERS, np.ndarray)):
            return
        self.known[id(x)] = x
        if isinstance(x, np.ndarray):  # one that is no attribute
            self.snapshot.note(x.tobytes)
        elif isinstance(x, (Module, Optimizer)):
            self._note_class(x)
            held = held_by(x)
            live = {"defaults", "_state"} if isinstance(x, Optimizer) else set[str]()
            live |= {name for name, part in held.items() if type(part) is np.ndarray}
            self.snapshot.hold(held, live)
            for name, part in held.items():
                if name not in live:
                    self._note(part)
        else:
            if not isinstance(x, tuple):
                self.snapshot.hold(x)
            for part in x.values() if isinstance(x, dict) else x:
                self._note(part)

    def _note_class(self, x: Any) -> None:
        self.snapshot.note(_class_of, weakref.ref(x))
        for kind in type(x).__mro__:
            if kind not in (Module, Optimizer, object) and id(kind) not in self.known:
                self.known[id(kind)] = kind
                self.snapshot.hold_class(kind)

    def expose(self, module: Module) -> None:
        """Let arrays of a module count, and their entries: the function has read them past the module's attributes."""
        held = held_by(module)
        if id(held) not in self.known:
            self.known[id(held)] = held
            for name, part in held.items():
                self.snapshot.note(held.get, name)
                self._note(part)


def held_by(x: Any) -> dict[str, Any]:
    """Return the dictionary of a module or an optimiser, which no tracer is told of."""
    held: dict[str, Any] = object.__getattribute__(x, "__dict__")
    return held


def _class_of(reference: weakref.ref[Any]) -> type:
    return type(reference())


_OF_OBJECTS = frozenset({*dir(object)} - {"__dict__"})  # what says nothing of a module's state


def _read(tracer: Any, function: Any, module: Any, name: str) -> Any:
    """Return what a traced function is to see of a module's attribute: of an array and a generator a proxy."""
    x = function(module, name)
    if not tracer.traces() or name in _OF_OBJECTS or tracer.is_made_inside(module):
        return x
    tracer.modules.meet(module)
    held = held_by(module)
    if name == "__dict__":
        if not in_package(2):
            tracer.modules.expose(module)
    elif held.get(name) is x and type(x) is np.ndarray:
        return tracer.input(x, name, "entry", held, name)
    elif held.get(name) is x and isinstance(x, np.random.Generator):
        if all(x is not generator for generator, _ in tracer.generators):
            tracer.generators.append((x, x.bit_generator.state))
        return NotedGenerator(x, tracer, held, name)
    return x


def _set(tracer: Any, function: Any, module: Any, name: str, value: Any) -> None:
    if tracer.traces() and not tracer.is_made_inside(module):
        tracer.modules.meet(module)
        held = held_by(module)  # m.w -= step sets the very tensor that stands there
        if name not in held or held[name] is not value or type(value) is np.ndarray:
            raise tracer.refusal(effect(f"sets the attribute {name!r} at {users_line()}"))
    function(module, name, value)


MODULES_TOLD = [Patch(Module, "__getattribute__", _read), Patch(Module, "__setattr__", _set)]
