"""What a function's own code names outside itself, and one level behind it: a program is for what that was.

Compared are numbers and strings by value, all else by identity. What lies deeper is frozen, as what called functions
read. Modules are looked into as deep as they nest: `modules.py`.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ...nn.module import Module
from ...optim.optimizer import Optimizer
from ...tensor.handle import Tensor
from .proxies import PACKAGE
from .snapshot import PLAIN, Snapshot, bound, entries_of

LEAVES = (*PLAIN, Tensor, np.ndarray, np.generic, np.ufunc, np.dtype, slice, range, CodeType)


class Table:
    """The names in a function's own code; `snapshot` is what they and their attributes and entries were."""

    def __init__(self, functions: list[Any]) -> None:
        self.snapshot = Snapshot()
        self.named: dict[int, Any] = {}  # what the code names
        self.behind: dict[int, Any] = {}  # and what lies one level behind
        self.labels: dict[int, str] = {}  # by which names the code knows them
        self.arrays: dict[int, str] = {}  # and arrays and Tensors, which go by their entries' names, too
        self.functions: list[FunctionType] = []
        attributes: set[str] = set()
        for function in _own_functions(functions, self._add):
            self.functions.append(function)
            attributes.update(_names(function, "_ATTR", "_METHOD"))
            self._of_function(function)
        for x in list(self.named.values()):
            self._one_level_behind(x, attributes)

    def _add(self, x: Any, name: str = "self") -> None:
        self._label(self.named, x, name, name)

    def _label(self, among: dict[int, Any], x: Any, name: str, own: str) -> None:
        if isinstance(x, (Tensor, np.ndarray)):
            self.arrays.setdefault(id(x), own)
        elif not isinstance(x, LEAVES):
            among[id(x)] = x
            self.labels.setdefault(id(x), name)

    def _of_function(self, function: FunctionType) -> None:
        """Note the cells, globals and defaults of a function."""
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._add(self.snapshot.name(cell, "cell_contents", moves=True), name)
        for name in _names(function, "_GLOBAL", "_NAME"):
            self._add(self.snapshot.name(function.__globals__, name, moves=True), name)
        for name in ("__defaults__", "__kwdefaults__"):
            self.snapshot.name(function, name)
        parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
        defaults = function.__defaults__ or ()
        named = dict(zip(parameters[len(parameters) - len(defaults) :], defaults, strict=True))
        for name, x in (named | (function.__kwdefaults__ or {})).items():
            self._add(x, name)

    def _one_level_behind(self, x: Any, attributes: set[str]) -> None:
        """Note the entries of a container, and those attributes of any other object that the code names."""
        if isinstance(x, (list, dict, set, tuple, frozenset)):
            if isinstance(x, (list, dict, set)):
                self.snapshot.hold(x)
            label = self.labels[id(x)]
            for n, entry in enumerate(entries_of(x)):
                own = str([*x][n - len(x)]) if isinstance(x, dict) else f"{label}{n + 1}"
                self._label(self.behind, entry, label, own)
        elif not isinstance(x, (Module, Optimizer)):
            for name in attributes:
                for holder in _holders(x, name):
                    self._label(self.behind, self.snapshot.name(holder, name), name, name)
            self.snapshot.note(type, x)

    def line_of(self, name: str) -> str:
        """Return " at file:line" for the last line of the function's own code that names something; "" if none does."""
        lines = [
            f" at {code.co_filename}:{i.positions.lineno}, in {code.co_name}"
            for function in self.functions
            for code in _codes(function)
            for i in dis.get_instructions(code)
            if i.argval == name and i.positions is not None and i.positions.lineno is not None
        ]
        return "".join(lines[-1:])

    def where(self) -> str:
        """Return file and line of the function, as far as it is the user's own."""
        places = [f"{f.__code__.co_filename}:{f.__code__.co_firstlineno}" for f in self.functions]
        return places[0] if places else "an unknown line"

    def forget(self) -> None:
        """Let go of the objects themselves: a program keeps none alive."""
        self.named, self.behind, self.functions = {}, {}, []

    @property
    def objects(self) -> list[Any]:
        """All that the table holds and that can change: what the code names, and what lies one level behind."""
        return list((self.named | self.behind).values())


def innermost(function: Any) -> Any:
    """Return the user's function that a transform such as `tg.grad` was given."""
    while _is_a_transform(function) and (inner := _inner_functions(function)):
        function = inner[0]
    return function


def _is_a_transform(x: Any) -> bool:
    return isinstance(x, FunctionType) and x.__code__.co_filename.startswith(PACKAGE)


def _inner_functions(x: FunctionType) -> list[Any]:
    return [inner for cell in x.__closure__ or () if callable(inner := bound(cell, "cell_contents"))]


def _own_functions(functions: list[Any], named: Callable[..., None]) -> Iterator[FunctionType]:
    """Yield the functions whose code is the user's own; tell `named` the objects that they are bound to."""
    found: set[int] = set()
    left = list(functions)
    while left:
        x = left.pop()
        if id(x) in found:
            continue
        found.add(id(x))
        left += [inner] if (inner := getattr(x, "__wrapped__", None)) is not None else []
        match x:
            case functools.partial():
                left += [x.func, *x.args, *x.keywords.values()]
            case MethodType():
                left.append(x.__func__)
                named(x.__self__)
            case FunctionType() if _is_a_transform(x):
                left += _inner_functions(x)
            case FunctionType():
                yield x
            case _:
                named(x)
                calls = [vars(kind)["__call__"] for kind in type(x).__mro__ if "__call__" in vars(kind)][:1]
                left += [call for call in calls if isinstance(call, FunctionType)]


def _names(function: FunctionType, *kinds: str) -> list[str]:
    """Return the names that a function's code, and that of functions inside it, uses in one way: as globals, say."""
    found = dict[str, None]()
    for code in _codes(function):
        found |= dict.fromkeys(i.argval for i in dis.get_instructions(code) if i.opname.endswith(kinds))
    return list(found)


def _codes(function: FunctionType) -> list[CodeType]:
    """Return the code of a function and of the functions inside it."""
    codes = [function.__code__]
    for code in codes:
        codes += [x for x in code.co_consts if isinstance(x, CodeType)]
    return codes


def _holders(x: Any, name: str) -> Iterator[Any]:
    """Yield what may hold an attribute: the object's dictionary, the first class that has it; of a slot, the object."""
    if isinstance(x, ModuleType):
        yield from [x] * hasattr(x, name)
        return
    if isinstance(x, type) or type(getattr(x, "__dict__", None)) is dict:
        yield x if isinstance(x, type) else x.__dict__
    for kind in x.__mro__ if isinstance(x, type) else type(x).__mro__:
        if name in vars(kind):
            yield kind
            if hasattr(vars(kind)[name], "__set__") and not isinstance(vars(kind)[name], property):
                yield x
            return
