"""The modules that a function refers to, and what they were: a program is for their attributes of then."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Iterator
from operator import is_
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from ..nn.module import Module
from ..tensors import Tensor
from .traced import PACKAGES

PLAIN = (int, float, str, type(None))


class Seen:
    """The attributes of every module that a function can reach, as they are when this is made."""

    def __init__(self, *roots: Any) -> None:
        self.of: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.lists: list[tuple[Any, list[Any]]] = []
        self.found: set[int] = set()
        self.generators: list[tuple[Any, bytes]] = []
        left = [(root, False) for root in roots]
        while left:
            x, inside = left.pop()
            if id(x) in self.found or not isinstance(x, _WALKED):
                continue
            self.found.add(id(x))
            if isinstance(x, _GENERATORS):
                self.generators.append((x, pickle.dumps(x)))
            elif isinstance(x, Module):
                self.of.append((vars(x), dict(vars(x))))
            elif inside and isinstance(x, (list, dict)) and _owned(x):
                self.lists.append((x, _owned(x)))
            left += [(part, inside or isinstance(x, Module)) for part in _parts(x)]

    def settle(self) -> None:
        """Leave out what the function itself has changed meanwhile: that happens only while tracing."""
        for now, then in self.of:
            for name in [name for name, x in then.items() if not _same(now.get(name), x)]:
                del then[name]
        self.of = [(now, then) for now, then in self.of if then]
        self.lists = [(x, owned) for x, owned in self.lists if list(map(id, _owned(x))) == list(map(id, owned))]

    def drew(self) -> bool:
        """Return whether a generator of random numbers was used meanwhile."""
        return any(pickle.dumps(x) != then for x, then in self.generators)

    def unchanged(self) -> bool:
        """Return whether all attributes are what they were."""
        for attributes, then in self.of:
            for name, x in then.items():
                y = attributes.get(name)
                if y is not x and not _same(y, x):
                    return False
        for x, owned in self.lists:
            now = _owned(x)
            if len(now) != len(owned) or not all(map(is_, now, owned)):
                return False
        return True


def _owned(x: Any) -> list[Any]:
    """Return the parameters and modules in a list or dict."""
    return [part for part in _parts(x) if isinstance(part, Module) or (isinstance(part, Tensor) and part._node)]


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and isinstance(a, PLAIN) and repr(a) == repr(b))


def _parts(x: Any) -> Iterator[Any]:
    if isinstance(x, Module):
        yield from vars(x).values()
    elif isinstance(x, dict):
        yield from x.values()
    elif isinstance(x, (list, tuple)):
        yield from x
    elif isinstance(x, MethodType):
        yield from (x.__self__, x.__func__)
    elif isinstance(x, functools.partial):
        yield from (x.func, x.args, x.keywords)
    elif isinstance(x, FunctionType):
        for cell in x.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # not yet bound
                continue
        yield x.__defaults__
        if not x.__code__.co_filename.startswith(PACKAGES):
            names = list(_names(x.__code__))
            yield from map(x.__globals__.get, names)
            if "random" in names:
                yield np.random.mtrand._rand  # that of np.random.normal and the like


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


_GENERATORS = (np.random.Generator, np.random.RandomState)
_WALKED = (Module, dict, list, tuple, MethodType, functools.partial, FunctionType, *_GENERATORS)
