"""What a function's own code names outside itself, and one level behind it: a program is for what that was.

Compared are numbers and strings by value, all else by identity. What lies deeper is frozen, as what called functions
read. Modules are looked into as deep as they nest: `modules.py`.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Callable, Iterator
from operator import is_
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ...nn.module import Module
from ...optim.optimizer import Optimizer
from ...tensor.handle import Tensor
from .proxies import PACKAGE

PLAIN = (int, float, complex, str, bytes, type(None))
LEAVES = (*PLAIN, Tensor, np.ndarray, np.generic, np.ufunc, np.dtype, slice, range, CodeType)
MISSING: Any = object()
Row = tuple[Callable[..., Any], tuple[Any, ...], Any]  # what returns a value now, its arguments, and the value


class Table:
    """The names in a function's own code, and what they and their attributes and entries were."""

    def __init__(self, functions: list[Any]) -> None:
        self.rows: list[Row] = []
        self.contents: list[tuple[Any, list[Any]]] = []  # named lists, dictionaries and sets, with their entries
        self.names: list[tuple[Any, Any, Any]] = []  # a cell or a global, by its dictionary: what may be rebound
        self.named: dict[int, Any] = {}  # what the code names
        self.behind: dict[int, Any] = {}  # and what lies one level behind
        self.labels: dict[int, str] = {}  # by which names the code knows them
        self.functions: list[FunctionType] = []
        attributes: set[str] = set()
        for function in _own_functions(functions, self._add):
            self.functions.append(function)
            attributes.update(_names(function, "_ATTR", "_METHOD"))
            self._of_function(function)
        for x in list(self.named.values()):
            self._one_level_behind(x, attributes)

    def _add(self, x: Any, name: str = "self") -> None:
        if not isinstance(x, LEAVES):
            self.named[id(x)] = x
            self.labels.setdefault(id(x), name)

    def _of_function(self, function: FunctionType) -> None:
        """Note the cells, globals and defaults of a function."""
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self.names.append((cell, "cell_contents", _content(cell)))
            self.rows.append((_content, (cell,), _content(cell)))
            self._add(_content(cell), name)
        known = function.__globals__
        for name in _names(function, "_GLOBAL", "_NAME"):
            self.names.append((known, name, known.get(name, MISSING)))
            self.rows.append((known.get, (name, MISSING), known.get(name, MISSING)))
            self._add(known.get(name), name)
        for name in ("__defaults__", "__kwdefaults__"):
            self.rows.append((getattr, (function, name), getattr(function, name)))
        parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
        defaults = function.__defaults__ or ()
        named = dict(zip(parameters[len(parameters) - len(defaults) :], defaults, strict=True))
        for name, x in (named | (function.__kwdefaults__ or {})).items():
            self._add(x, name)

    def _one_level_behind(self, x: Any, attributes: set[str]) -> None:
        """Note the entries of a container, and those attributes of any other object that the code names."""
        if isinstance(x, (list, dict, set, tuple, frozenset)):
            entries = entries_of(x)
            if isinstance(x, (list, dict, set)):
                self.contents.append((x, entries))
            self._reach(entries, [self.labels[id(x)]] * len(entries))
        elif isinstance(x, ModuleType):
            for name in attributes & {*dir(x)}:
                self.rows.append((getattr, (x, name, MISSING), getattr(x, name)))
                self._reach([getattr(x, name)], [name])
        elif not isinstance(x, (Module, Optimizer)):
            found = list(_attributes(x, attributes))
            self.rows += [*found, (type, (x,), type(x))]
            self._reach([value for _, _, value in found], [str(args[-2]) for _, args, _ in found])

    def _reach(self, values: list[Any], names: list[str]) -> None:
        for x, name in zip(values, names, strict=True):
            if not isinstance(x, LEAVES):
                self.behind[id(x)] = x
                self.labels.setdefault(id(x), name)

    def line_of(self, name: str) -> str:
        """Return " at file:line" for the last line of the function's own code that names something; "" if none does."""
        lines = [
            f" at {code.co_filename}:{line}, in {code.co_name}"
            for function in self.functions
            for code in _codes(function)
            for line in _lines_that_name(code, name)
        ]
        return lines[-1] if lines else ""

    def where(self) -> str:
        """Return file and line of the function, as far as it is the user's own."""
        codes = [function.__code__ for function in self.functions[:1]]
        return f"{codes[0].co_filename}:{codes[0].co_firstlineno}" if codes else "an unknown line"

    def forget(self) -> None:
        """Let go of the objects themselves: a program keeps none alive."""
        self.named, self.behind, self.functions = {}, {}, []

    @property
    def objects(self) -> list[Any]:
        """All that the table holds and that can change: what the code names, and what lies one level behind."""
        return list((self.named | self.behind).values())

    def unchanged(self) -> bool:
        """Return whether everything is what it was."""
        now = [get(*args) for get, args, _ in self.rows]
        if not all_same(now, [value for _, _, value in self.rows]):
            return False
        return all(all_same(entries_of(x), then) for x, then in self.contents)


def same(now: Any, then: Any) -> bool:
    """Return whether a value is what it was: a number or string by value, with the sign of zero, else itself.

    Of a tuple that is made anew it is the parts that count.
    """
    if type(now) is tuple and type(then) is tuple:
        return all_same([*now], [*then])
    return now is then or (
        type(now) is type(then) and isinstance(now, (*PLAIN, np.generic)) and repr(now) == repr(then)
    )


def all_same(now: list[Any], then: list[Any]) -> bool:
    """Return whether as many values are what they were, in the same order."""
    return len(now) == len(then) and (all(map(is_, now, then)) or all(map(same, now, then)))


def entries_of(x: Any) -> list[Any]:
    """Return what a list, tuple, dictionary or set holds, of a dictionary the keys too."""
    return [*x, *x.values()] if isinstance(x, dict) else [*x]


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
            case FunctionType():
                if not x.__code__.co_filename.startswith(PACKAGE):
                    yield x
                else:  # a transform, such as tg.grad, of the user's function
                    left += [cell.cell_contents for cell in x.__closure__ or () if callable(_content(cell))]
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


def _lines_that_name(code: CodeType, name: str) -> Iterator[int]:
    for instruction in dis.get_instructions(code):
        where = instruction.positions
        if instruction.argval == name and where is not None and where.lineno is not None:
            yield where.lineno


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return MISSING


def _attributes(x: Any, names: set[str]) -> Iterator[Row]:
    """Yield the rows of an object's attributes: its own, and where it has none of that name, its class's."""
    own = getattr(x, "__dict__", {})
    classes = x.__mro__ if isinstance(x, type) else type(x).__mro__
    for name in names:
        if not isinstance(x, type):
            yield own.get, (name, MISSING), own.get(name, MISSING)
        for kind in classes:
            if name in vars(kind):
                yield vars(kind).get, (name, MISSING), vars(kind)[name]
                if hasattr(vars(kind)[name], "__set__") and not isinstance(vars(kind)[name], property):  # a slot
                    yield getattr, (x, name, MISSING), getattr(x, name, MISSING)
                break
