"""What a function finds outside its arguments, and what it was: a program is for the surroundings of then."""

from __future__ import annotations

import dis
import functools
import pickle
from collections.abc import Iterator
from operator import is_
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..nn.module import Module
from ..tensors import Tensor
from .definitions import is_installed
from .origins import innermost
from .traced import PACKAGES

PLAIN = (int, float, str, type(None))
FEW = 100


class Surroundings:
    """What the names in a function, and in the functions that it names, refer to when this is made.

    Of a module that can be reached from there these are all attributes, of another object or a dict that a name
    refers to its numbers, strings and flags: if it has few, else it is data, and constant as arrays are. Functions of
    other packages that are installed are taken as they are.
    """

    def __init__(self, *roots: Any) -> None:
        home = _package(innermost(getattr(roots[0], "func", roots[0])))
        self.of: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self.cells: list[tuple[Any, Any]] = []
        self.lists: list[tuple[Any, list[Any]]] = []
        self.found: set[int] = set()
        self.generators: list[tuple[Any, bytes]] = []
        left = [(root, False) for root in roots]
        while left:
            x, inside = left.pop()
            if id(x) in self.found or not isinstance(x, _WALKED):
                continue
            if isinstance(x, FunctionType) and _package(x) != home and is_installed(x.__module__):
                continue
            self.found.add(id(x))
            if isinstance(x, _GENERATORS):
                self.generators.append((x, pickle.dumps(x)))
            elif isinstance(x, Module):
                self.of.append((vars(x), dict(vars(x))))
            elif isinstance(x, FunctionType):
                self._names_in(x)
            elif isinstance(x, MethodType):
                self._numbers_in(x.__self__)
            elif inside and isinstance(x, (list, dict)) and _owned(x):
                self.lists.append((x, _owned(x)))
            left += [(part, inside or isinstance(x, Module)) for part in _parts(x)]

    def _names_in(self, function: FunctionType) -> None:
        """Note what the names in a function refer to."""
        cells = [(cell, cell.cell_contents) for cell in function.__closure__ or () if _is_filled(cell)]
        names = {name: function.__globals__[name] for name in _globals(function)}
        self.cells += cells
        self.of.append((function.__globals__, names))
        for x in [*[content for _, content in cells], *names.values()]:
            self._numbers_in(x)

    def _numbers_in(self, x: Any) -> None:
        """Note the numbers, strings and flags in a dict, or in an object that is none of this package's."""
        if isinstance(x, (ModuleType, type)) or _package(type(x)) == _package(Module):
            return
        entries = x if type(x) is dict else getattr(x, "__dict__", None)
        if type(entries) is dict and len(entries) <= FEW:
            self.of.append((entries, {name: y for name, y in entries.items() if isinstance(y, PLAIN)}))

    def settle(self) -> None:
        """Leave out what the function itself has changed meanwhile: that happens only while tracing."""
        for now, then in self.of:
            for name in [name for name, x in then.items() if not _same(now.get(name), x)]:
                del then[name]
        self.of = [(now, then) for now, then in self.of if then]
        self.cells = [(cell, x) for cell, x in self.cells if _is_filled(cell) and _same(cell.cell_contents, x)]
        self.lists = [(x, owned) for x, owned in self.lists if list(map(id, _owned(x))) == list(map(id, owned))]

    def drew(self) -> bool:
        """Return whether a generator of random numbers was used meanwhile."""
        return any(pickle.dumps(x) != then for x, then in self.generators)

    def unchanged(self) -> bool:
        """Return whether everything is what it was."""
        for now, then in self.of:
            for name, x in then.items():
                y = now.get(name)
                if y is not x and not _same(y, x):
                    return False
        for cell, x in self.cells:
            y = cell.cell_contents if _is_filled(cell) else None
            if y is not x and not _same(y, x):
                return False
        for x, owned in self.lists:
            present = _owned(x)
            if len(present) != len(owned) or not all(map(is_, present, owned)):
                return False
        return True


def _package(x: Any) -> str:
    """Return the name of the package in which a function or class is defined, or the class of an object."""
    return str(getattr(x, "__module__", None) or type(x).__module__).partition(".")[0]


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
        yield from [cell.cell_contents for cell in x.__closure__ or () if _is_filled(cell)]
        yield x.__defaults__
        yield from [x.__globals__[name] for name in _globals(x)]
        if any("random" in code.co_names for code in _codes(x)):
            yield np.random.mtrand._rand  # that of np.random.normal and the like


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is cell.cell_contents
    except ValueError:
        return False


def _globals(function: FunctionType) -> list[str]:
    """Return the names of the globals that a function reads, but for functions of this package and of NumPy."""
    loads = [i.argval for code in _codes(function) for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"]
    return [name for name in dict.fromkeys(loads) if name in function.__globals__]


def _codes(function: FunctionType) -> Iterator[CodeType]:
    """Yield the code of a function and of those inside it; nothing of this package's and of NumPy's."""
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        if not code.co_filename.startswith(PACKAGES):
            yield code
            codes += [x for x in code.co_consts if isinstance(x, CodeType)]


_GENERATORS = (np.random.Generator, np.random.RandomState)
_WALKED = (Module, dict, list, tuple, MethodType, functools.partial, FunctionType, *_GENERATORS)
