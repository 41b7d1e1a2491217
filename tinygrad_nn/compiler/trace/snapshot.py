"""What names were bound to and containers held before a trace: whether they still do, and how to give it back."""

from __future__ import annotations

import functools
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from itertools import chain
from operator import is_, methodcaller
from types import MappingProxyType
from typing import Any

import numpy as np

PLAIN = (int, float, complex, str, bytes, type(None))
CONTAINERS = (list, deque, dict, set)
MISSING: Any = object()
_values = methodcaller("values")


class Snapshot:
    """What names were bound to, what functions returned, and what lists, dictionaries and sets held.

    Numbers and strings count by value, all else by identity. Nearly always everything is the very same, which C code
    sees at once.
    """

    def __init__(self) -> None:
        self.gets: list[functools.partial[Any]] = []
        self.values: list[Any] = []  # what these returned
        self.names: list[tuple[Any, str, Any, bool]] = []  # holders, what was bound, whether it moves
        self.held: dict[int, tuple[Any, list[Any], set[int]]] = {}
        self.classes: list[tuple[type, dict[str, Any]]] = []

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

    def hold(self, x: Any, live: Collection[Any] = ()) -> None:
        """Note what a list, dictionary or set holds now; the values of keys that are `live` may be others later."""
        places = {len(x) + i for i, key in enumerate(x) if key in live} if live else set[int]()
        self.held.setdefault(id(x), (x, entries_of(x), places))

    def hold_class(self, kind: type) -> None:
        """Note what a class holds."""
        self.hold(vars(kind))
        self.classes.append((kind, dict(vars(kind))))

    def settle(self) -> None:
        """Get ready for being compared; nothing is noted from now on."""
        self.each = [x for x, _, _ in self.held.values()]
        self.dictionaries = [x for x in self.each if not isinstance(x, (list, deque, set))]
        self.lengths, self.entries = [*map(len, self.each)], [*self._entries()]

    def _entries(self) -> Iterator[Any]:
        return chain(chain.from_iterable(self.each), chain.from_iterable(map(_values, self.dictionaries)))

    def unchanged(self) -> bool:
        """Return whether everything is what it was."""
        if not all_same([get() for get in self.gets], self.values):
            return False
        very_same = [*map(len, self.each)] == self.lengths and all(map(is_, self._entries(), self.entries))
        return very_same or all(_alike(entries_of(x), then, live) for x, then, live in self.held.values())

    def changed(self) -> Iterator[tuple[Any, list[Any]]]:
        """Yield the containers that hold something else now, live or not, with what they held."""
        for x, then, _ in self.held.values():
            if not all_same(entries_of(x), then):
                yield x, then

    def undo(self) -> None:
        """Bind names to what they were bound to, and give containers back what they held."""
        for holder, name, then, _ in self.names:
            if not same(bound(holder, name), then):
                with suppress(AttributeError):  # a property that can't be set
                    _bind(holder, name, then)
        for kind, held in self.classes:
            for name in {*held, *vars(kind)}:
                if bound(kind, name) is not held.get(name, MISSING):
                    _bind(kind, name, held.get(name, MISSING))
        for x, then, _ in self.held.values():
            now = entries_of(x)
            if not isinstance(x, CONTAINERS) or (len(now) == len(then) and all(map(is_, now, then))):
                continue
            x.clear()
            if isinstance(x, dict):
                kind = OrderedDict if isinstance(x, OrderedDict) else dict  # not a subclass: a Counter would count
                for key, part in zip(then[: len(then) // 2], then[len(then) // 2 :], strict=True):
                    kind.__setitem__(x, key, part)
            else:
                x.update(then) if isinstance(x, set) else x.extend(then)


def bound(holder: Any, name: str) -> Any:
    """Return what a name is bound to in a dictionary, a class or a cell, or as an object's attribute; or MISSING."""
    holder = vars(holder) if isinstance(holder, type) else holder
    if isinstance(holder, (dict, MappingProxyType)):
        return holder.get(name, MISSING)
    try:
        return getattr(holder, name)
    except Exception:  # a cell that is empty, or whatever a property raises
        return MISSING


def _bind(holder: Any, name: str, value: Any) -> None:
    if isinstance(holder, dict):
        holder[name] = value
        if value is MISSING:
            del holder[name]
    elif value is MISSING:
        delattr(holder, name)
    else:
        setattr(holder, name, value)


def same(now: Any, then: Any) -> bool:
    """Return whether a value is what it was: a number or string by value, with the sign of zero, else itself.

    Of a tuple that is made anew it is the parts that count.
    """
    if type(now) is tuple and type(then) is tuple:
        return all_same([*now], [*then])
    if now is then or type(now) is not type(then):
        return now is then
    if isinstance(now, (str, bytes)):
        return bool(now == then)
    return isinstance(now, (*PLAIN, np.generic)) and repr(now) == repr(then)


def all_same(now: list[Any], then: list[Any]) -> bool:
    """Return whether as many values are what they were, in the same order."""
    return len(now) == len(then) and (all(map(is_, now, then)) or all(map(same, now, then)))


def _alike(now: list[Any], then: list[Any], live: set[int]) -> bool:
    """Return whether entries are what they were, but for those in live places."""
    return len(now) == len(then) and all(i in live or same(*pair) for i, pair in enumerate(zip(now, then, strict=True)))


def entries_of(x: Any) -> list[Any]:
    """Return what a list, deque, tuple, dictionary or set holds, of a dictionary the keys too."""
    return [*x] if isinstance(x, (list, deque, tuple, set, frozenset)) else [*x, *x.values()]
