"""The modules and optimisers that a trace meets: what they held, by which later changes are seen."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from itertools import chain
from operator import is_, methodcaller
from typing import Any

import numpy as np

from ...nn.module import Module
from ...optim.optimizer import Optimizer
from .patches import Patch
from .table import all_same, entries_of


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
            live = {"defaults", "_state"}
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
        """Return whether everything is what it was; arrays that are attributes may be others.

        First all that dictionaries hold is looked through at once, in C code: nearly always it is the very same.
        """
        if [*map(len, self.each)] != self.lengths or not (
            all(map(is_, chain.from_iterable(self.each), self.keys))
            and all(map(is_, chain.from_iterable(map(_values, self.each)), self.values))
        ):
            return self._unchanged_in_detail()
        return self._rest_unchanged()

    def settle(self) -> None:
        """Get ready for being compared, and let go of the objects themselves: a program keeps none alive."""
        self.known = {}
        self.each = [x for x, _, _ in self.dictionaries]
        keys, values = [keys for _, keys, _ in self.dictionaries], [values for _, _, values in self.dictionaries]
        self.lengths = [*map(len, keys)]
        self.keys, self.values = [*chain.from_iterable(keys)], [*chain.from_iterable(values)]
        self.settings: list[tuple[Any, int, list[str], list[Any]]] = []
        for held, before, live in self.optimizers:
            names = [name for name in before if name not in live]
            self.settings.append((held, len(before), names, [before[name] for name in names]))

    def _unchanged_in_detail(self) -> bool:
        for x, keys, values in self.dictionaries:
            if len(x) == len(keys) and all(map(is_, x, keys)) and all(map(is_, x.values(), values)):
                continue
            if list(x) != keys or not all_same(list(map(_kind, x.values())), list(map(_kind, values))):
                return False
        return self._rest_unchanged()

    def _rest_unchanged(self) -> bool:
        for reference, kind in self.classes:
            if type(reference()) is not kind:
                return False
        for held, count, names, then in self.settings:
            now = [*map(held.get, names)]
            if len(held) != count or not all_same(now, then):
                return False
        for x, then in self.containers:
            if not ((len(x) == len(then) and all(map(is_, x, then))) or all_same(entries_of(x), entries_of(then))):
                return False
        return all(x.tobytes() == then for x, then in self.arrays)

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


_values = methodcaller("values")


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
