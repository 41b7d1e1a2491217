"""What names were bound to and containers held before a trace: whether they still do, and how to restore it."""

from __future__ import annotations

import copyreg
import functools
import pickle
import random
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from io import IOBase
from itertools import chain
from operator import is_, methodcaller
from types import MappingProxyType
from typing import Any

import numpy as np

from ...errors import CompileError
from ...nn.module import Module
from ...optim.optimizer import Optimizer
from ..refusals import iterated
from ..signature import BY_VALUE, GENERATORS

CONTAINERS = (list, deque, dict, set)
MISSING: Any = object()
_values = methodcaller("values")


class Snapshot:
    """What names were bound to, what functions returned, and what lists, dictionaries, sets and classes held.

    Numbers and strings are compared by value, all else by identity. Nearly always everything is the very same, which C
    code sees at once. What is only kept, including arrays and generators, is not compared, but can be restored.

    Modules are examined when they are met: their dictionaries, those of their classes, and containers nested in them.
    Plain objects inside are frozen; `generators` are those that a trace does not note draws from. Optimisers are
    examined in the same way, except their hyperparameters and their state, which are read anew at each replay, as are
    arrays that are attributes.
    """

    def __init__(self) -> None:
        self.gets: list[functools.partial[Any]] = []
        self.values: list[Any] = []  # what these returned
        self.names: list[tuple[Any, str, Any, bool]] = []  # holders, names, what was bound, whether it moves
        self.kept: dict[int, tuple[Any, Any]] = {}  # objects, and what they held
        self.live: dict[int, set[int]] = {}  # of compared objects, the positions whose entries may change
        self.known: dict[int, Any] = {}  # modules, and what was met in them
        self.generators: dict[int, Any] = {}

    def note(self, get: Callable[..., Any], *args: Any) -> Any:
        """Note what a function returns now, and return it."""
        self.gets.append(functools.partial(get, *args))
        self.values.append(get(*args))
        return self.values[-1]

    def name(self, holder: Any, name: str, moves: bool = False) -> Any:
        """Note what a name is bound to, and return it; `moves` tells whether a program may bind it anew."""
        value = bound(holder, name)
        self.names.append((holder, name, value, moves))
        names = vars(holder) if isinstance(holder, type) else holder
        if isinstance(names, (dict, MappingProxyType)):
            return self.note(names.get, name, MISSING)
        return self.note(bound if value is MISSING else getattr, holder, name)

    def keep(self, x: Any) -> None:
        """Note what a list, dictionary, set, class, array or generator holds, so that it can be restored."""
        if id(x) not in self.kept:
            self.kept[id(x)] = x, state_of(x)

    def hold(self, x: Any, live: Collection[str] = ()) -> None:
        """Note what a list, dictionary, set or class holds; the values of keys that are `live` may change."""
        self.keep(x)
        self.live[id(x)] = {len(x) + i for i, key in enumerate(x) if key in live} if live else set()

    def meet(self, x: Any) -> None:
        """Note what a module or an optimiser holds, or a container or an array in one, and what that holds.

        Raises CompileError for attributes in slots, and for an iterator, unless reading it as an attribute will tell.
        """
        if is_read_on(x):
            raise CompileError(iterated(" that a module or an optimiser holds"))
        if draws(x):
            self.keep(x)
            self.generators[id(x)] = x
        if id(x) in self.known or not isinstance(x, (Module, Optimizer, tuple, *CONTAINERS, np.ndarray)):
            return
        self.known[id(x)] = x
        if isinstance(x, np.ndarray):  # not an attribute
            self.note(x.tobytes)
            return
        held: Any = x
        live = set[str]()
        if isinstance(x, (Module, Optimizer)):
            self._note_class(x)
            held = held_by(x)
            told = isinstance(x, Module)  # which attributes are read
            live = {name for name, part in held.items() if type(part) is np.ndarray or (told and is_read_on(part))}
            live |= {"defaults", "_state"} if isinstance(x, Optimizer) else set()
        if not isinstance(held, tuple):
            self.hold(held, live)
        for name, part in held.items() if isinstance(held, dict) else enumerate(held):
            if name not in live:
                self.meet(part)

    def _note_class(self, x: Any) -> None:
        self.note(lambda reference: type(reference()), weakref.ref(x))
        kinds = [kind for kind in type(x).__mro__ if kind not in (Module, Optimizer, object)]
        for kind in [kind for kind in kinds if kind.__module__ != "collections.abc"]:  # a container has seven
            # Asked first, so that the class is not changed by copying x.
            if copyreg._slotnames(kind):  # type: ignore[attr-defined]
                raise CompileError(
                    f"{kind.__name__} has attributes in __slots__, and a program sees changes of those in the "
                    "dictionary of a module or an optimiser; leave __slots__ out"
                )
            self.hold(kind)
            for name, part in vars(kind).items():
                if not (name.startswith("__") or is_read_on(part)):
                    self.meet(part)

    def expose(self, module: Module) -> None:
        """Compare a module's arrays and their entries, too: the function read them past the module's attributes."""
        held = held_by(module)
        self.live[id(held)] = set()
        for part in held.values():
            self.meet(part)

    def settle(self) -> None:
        """Prepare for comparisons; nothing is noted from now on."""
        self._compared = [(*self.kept[key], live) for key, live in self.live.items()]
        each = [vars(x) if isinstance(x, type) else x for x, _, _ in self._compared]
        dictionaries = [x for x in each if not isinstance(x, (list, deque, set))]
        self._named = [x for x in dictionaries if all(type(key) is str for key in x)]
        named = {*map(id, self._named)}
        self._views = [*[x for x in each if id(x) not in named], *map(_values, dictionaries)]  # which stay up to date
        self._lengths, self._names = [*map(len, self._views)], [*chain.from_iterable(self._named)]
        self._parts = [*chain.from_iterable(self._views)]

    def unchanged(self) -> bool:
        """Return whether everything that is compared is what it was."""
        if not all_same([get() for get in self.gets], self.values):
            return False
        very_same = [*map(len, self._views)] == self._lengths and [*chain.from_iterable(self._named)] == self._names
        very_same = very_same and all(map(is_, chain.from_iterable(self._views), self._parts))
        return very_same or all(_alike(entries_of(x), entries_of(then), live) for x, then, live in self._compared)

    def changed(self) -> Iterator[tuple[Any, Any]]:
        """Yield each object that holds something else now, live or not, with what it held; no generators."""
        return ((x, then) for x, then in self.kept.values() if not (isinstance(then, bytes) or holds(x, then)))

    def undo(self) -> None:
        """Bind names to what they were bound to, and restore what everything else held."""
        for holder, name, then, _ in self.names:
            if not same(bound(holder, name), then):
                with suppress(AttributeError):  # a property that can't be set
                    bind(holder, name, then)
        for x, then in self.kept.values():
            _restore(x, then)

    def forget(self) -> None:
        """Let go of what only `undo` needs: a program keeps none of it alive."""
        self.names, self.kept, self.known = [], {}, {}


def state_of(x: Any) -> Any:
    """Return what a container, a class or an array holds, or the state of a generator."""
    if isinstance(x, (dict, type)):
        return dict(vars(x) if isinstance(x, type) else x)
    if isinstance(x, CONTAINERS):
        return [*x]
    return x.copy() if isinstance(x, np.ndarray) else pickle.dumps(_bits(x).__getstate__())


def holds(x: Any, then: Any) -> bool:
    """Return whether an object holds what it held."""
    if isinstance(x, np.ndarray):
        return bool(x.tobytes() == then.tobytes())
    return state_of(x) == then if isinstance(then, bytes) else all_same(entries_of(x), entries_of(then))


def _restore(x: Any, then: Any) -> None:
    """Restore what an object held."""
    if isinstance(then, bytes):
        _bits(x).__setstate__(pickle.loads(then))
    elif isinstance(x, np.ndarray):
        if x.flags.writeable:
            x[...] = then
    elif isinstance(x, type):
        for name in [name for name in {*then, *vars(x)} if bound(x, name) is not then.get(name, MISSING)]:
            bind(x, name, then.get(name, MISSING))
    elif len(held := entries_of(x)) != len(old := entries_of(then)) or not all(map(is_, held, old)):
        x.clear()
        if isinstance(x, dict):
            kind = OrderedDict if isinstance(x, OrderedDict) else dict  # not a subclass: a Counter would count
            for key, part in then.items():
                kind.__setitem__(x, key, part)
        else:
            x.update(then) if isinstance(x, set) else x.extend(then)


def _bits(generator: Any) -> Any:
    return getattr(generator, "bit_generator", generator)


def draws(x: Any) -> bool:
    """Return whether something is a random generator that has a state."""
    return isinstance(x, GENERATORS) and not isinstance(x, random.SystemRandom)


def is_read_on(x: Any) -> bool:
    """Return whether something is an iterator, of which each reading takes the next entry."""
    return isinstance(x, Iterator) and not isinstance(x, IOBase)


def held_by(x: Any) -> dict[str, Any]:
    """Return the dictionary of a module or an optimiser, without telling a tracer."""
    held: dict[str, Any] = object.__getattribute__(x, "__dict__")
    return held


def bound(holder: Any, name: str) -> Any:
    """Return what a name is bound to in a dictionary, a class or a cell, or as an object's attribute; or MISSING."""
    holder = vars(holder) if isinstance(holder, type) else holder
    if isinstance(holder, (dict, MappingProxyType)):
        return holder.get(name, MISSING)
    try:
        return getattr(holder, name)
    except Exception:  # a cell that is empty, or whatever a property raises
        return MISSING


def bind(holder: Any, name: str, value: Any) -> None:
    """Bind a name in a dictionary, or as an attribute; or remove it, if the value is MISSING."""
    if isinstance(holder, dict):
        holder[name] = value
        if value is MISSING:
            del holder[name]
    elif value is MISSING:
        delattr(holder, name)
    else:
        setattr(holder, name, value)


def same(now: Any, then: Any) -> bool:
    """Return whether a value is what it was: numbers (with the sign of zero) and strings by value, else by identity.

    A tuple that is made anew is compared by its parts.
    """
    if type(now) is tuple and type(then) is tuple:
        return all_same(now, then)
    if now is then or type(now) is not type(then):
        return now is then
    return isinstance(now, BY_VALUE) and repr(now) == repr(then)


def all_same(now: Sequence[Any], then: Sequence[Any]) -> bool:
    """Return whether values are as many as before, and each is what it was."""
    return len(now) == len(then) and (all(map(is_, now, then)) or all(map(same, now, then)))


def _alike(now: Sequence[Any], then: Sequence[Any], live: set[int]) -> bool:
    """Return whether entries are what they were, except those in live positions."""
    return len(now) == len(then) and all(i in live or same(*pair) for i, pair in enumerate(zip(now, then, strict=True)))


def entries_of(x: Any) -> tuple[Any, ...]:
    """Return what a list, tuple, dictionary, set or class holds, or what acts as one, including a dictionary's keys."""
    x = vars(x) if isinstance(x, type) else x
    return (*x, *x.values()) if isinstance(x, Mapping) else (*x,)
