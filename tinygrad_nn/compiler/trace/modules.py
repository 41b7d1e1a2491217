"""The modules and optimisers that a trace meets: what they held, by which later changes are seen."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from operator import is_
from typing import Any

import numpy as np

from ...nn.module import Module
from ...optim.optimizer import Optimizer
from .patches import Patch
from .table import all_same, entries_of, same


class ModuleState:
    """What the dictionaries of modules, of their classes, and containers nested in them held when they were met.

    Plain objects inside are frozen. Optimisers are looked into in the same way, but for their hyperparameters and
    their state, which are read anew at each replay.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self.classes: list[tuple[weakref.ref[Any], type]] = []
        self.dictionaries: list[tuple[Any, list[Any], list[Any]]] = []
        self.containers: list[tuple[Any, Any]] = []
        self.arrays: list[tuple[np.ndarray, bytes]] = []  # those that are no attributes, which would be inputs
        self.optimizers: list[
            tuple[dict[str, Any], dict[str, Any], set[str]]
        ] = []  # what each holds, held; what is live
        self.known: dict[int, Any] = {}
        for x in roots:
            self.meet(x)

    def meet(self, x: Any) -> None:
        """Note what a module or an optimiser holds, if it is one."""
        if isinstance(x, (Module, Optimizer)):
            self._note(x)

    def _note(self, x: Any) -> None:
        """Note what a module, container or array holds, and what that holds."""
        if id(x) in self.known or not isinstance(x, (Module, Optimizer, list, tuple, dict, set, np.ndarray)):
            return
        self.known[id(x)] = x
        if isinstance(x, (Module, Optimizer)):
            self._note_class(x)
        if isinstance(x, Module):
            self._note_dictionary(held := held_by(x), [part for part in held.values() if type(part) is not np.ndarray])
        elif isinstance(x, Optimizer):
            live = {*x.hyperparameters(), "_state"}
            self.optimizers.append((vars(x), dict(vars(x)), live))
            for name, part in vars(x).items():
                if name not in live:
                    self._note(part)
        elif isinstance(x, dict):
            self._note_dictionary(x, list(x.values()))
        elif isinstance(x, np.ndarray):
            self.arrays.append((x, x.tobytes()))
        else:
            if not isinstance(x, tuple):
                self.containers.append((x, x.copy()))
            for part in x:
                self._note(part)

    def _note_class(self, x: Any) -> None:
        self.classes.append((weakref.ref(x), type(x)))
        for kind in type(x).__mro__:
            if kind not in (Module, Optimizer, object) and id(kind) not in self.known:
                self.known[id(kind)] = kind
                self.dictionaries.append((vars(kind), list(vars(kind)), list(vars(kind).values())))

    def _note_dictionary(self, x: dict[Any, Any], parts: list[Any]) -> None:
        self.dictionaries.append((x, list(x), list(x.values())))
        for part in parts:
            self._note(part)

    def expose(self, module: Module) -> None:
        """Let the entries of a module's arrays count: the function has read them past the module's attributes."""
        for part in held_by(module).values():
            self._note(part)

    def unchanged(self) -> bool:
        """Return whether everything is what it was; arrays that are attributes may be others."""
        for x, keys, values in self.dictionaries:
            if len(x) == len(keys) and all(map(is_, x, keys)) and all(map(is_, x.values(), values)):
                continue
            if list(x) != keys or not all_same(list(map(_kind, x.values())), list(map(_kind, values))):
                return False
        for reference, kind in self.classes:
            if type(reference()) is not kind:
                return False
        for held, before, live in self.optimizers:
            if held.keys() != before.keys() or not all(name in live or same(held[name], before[name]) for name in held):
                return False
        return all(all_same(entries_of(x), entries_of(then)) for x, then in self.containers) and all(
            x.tobytes() == then for x, then in self.arrays
        )

    def undo(self) -> None:
        """Give everything back what it held."""
        for x, keys, values in self.dictionaries:
            if isinstance(x, dict) and (list(x) != keys or not all(map(is_, x.values(), values))):
                x.clear()
                x.update(zip(keys, values, strict=True))
        for x, then in self.containers:
            if not all_same(entries_of(x), entries_of(then)):
                x.clear()
                x.extend(then) if isinstance(x, list) else x.update(then)
        for held, before, _ in self.optimizers:
            held.clear()
            held.update(before)


def held_by(module: Module) -> dict[str, Any]:
    """Return a module's own dictionary, which no tracer is told of."""
    held: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return held


class _Array:
    """Any array: which one it is does not matter, since it is read anew."""


def _kind(x: Any) -> Any:
    return _Array if type(x) is np.ndarray else x


def _read(tracer: Any, function: Any, module: Any, name: str) -> Any:
    return tracer.module_read(module, name, function(module, name))


def _set(tracer: Any, function: Any, module: Any, name: str, value: Any) -> None:
    tracer.module_set(module, name)
    function(module, name, value)


MODULES_TOLD = [Patch(Module, "__getattribute__", _read), Patch(Module, "__setattr__", _set)]
