"""What a function finds outside its arguments, and what it was: a program is for the surroundings of then."""

from __future__ import annotations

import dis
import functools
import pickle
from collections.abc import Callable, Iterator
from operator import is_
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ...nn.module import Module
from ...optim.optimizer import Optimizer
from ...tensor.handle import Tensor
from .origins import innermost, is_installed
from .proxies import PACKAGES, Traced, is_of_a_trace

PLAIN = (int, float, str, type(None))
FEW, MOST = 100, 5000


class Surroundings:
    """What a function's names refer to when this is made, and what the names in it say of that, and so on.

    Of modules these are all attributes; of other objects, classes and Python modules those that the code names;
    of lists, sets and dicts all entries, if there are few, else they are data, and constant as arrays are.
    Functions of other packages that are installed are taken as they are.
    """

    def __init__(self, function: Any, args: Any = (), kwargs: Any = None) -> None:
        self.home = _package(innermost(getattr(function, "func", function)))
        self.names: set[str] = set()
        known = -1
        while known != len(self.names):  # what is found names more
            known = len(self.names)
            self.of: list[tuple[Callable[[Any], Any], dict[Any, Any]]] = []
            self.cells: list[tuple[Any, Any]] = []
            self.lists: list[tuple[Any, Callable[[Any], Any], list[Any]]] = []
            self.holders: list[tuple[Any, Any]] = []
            self.drawing: list[Any] = []
            self._walk([(function, True), *[(x, True) for x in _objects((args, kwargs))]])
        self.drawn = [pickle.dumps(x) for x in self.drawing]

    def _walk(self, left: list[tuple[Any, bool]]) -> None:
        """Note all that can be reached; what is not `named` is an attribute of a module that the code does not name."""
        found: set[int] = set()
        while left and len(found) < MOST:
            x, named = left.pop()
            if isinstance(x, _LEAVES) or id(x) in found or not (named or isinstance(x, (Module, list, dict))):
                continue
            found.add(id(x))
            left += self._parts(x, named)

    def _parts(self, x: Any, named: bool) -> list[tuple[Any, bool]]:
        """Note an object, and return what is to be looked at next."""
        match x:
            case Module():
                self._note(vars(x), list(vars(x)))
                return [(part, name in self.names) for name, part in vars(x).items()] + [(type(x), True)]
            case FunctionType():
                return [(part, True) for part in self._of_function(x)]
            case MethodType():
                return [(x.__self__, True), (x.__func__, True)]
            case functools.partial():
                return [(part, True) for part in (x.func, x.args, x.keywords)]
            case np.random.Generator() | np.random.RandomState():
                self.drawing.append(x)
                return []
            case tuple():
                return [(part, True) for part in x]
            case list() | set() | dict() if named and len(x) <= FEW:
                if isinstance(x, dict):
                    self._note(x, list(x))
                self.lists.append((x, list, list(x)))
                return [(part, True) for part in (x.values() if isinstance(x, dict) else x)]
            case list() | dict():
                entries = list(x.values() if isinstance(x, dict) else x)
                owned = _owned(entries)
                if len(owned) == len(entries):
                    self.lists.append((x, dict.values if isinstance(x, dict) else _itself, entries))
                elif owned:
                    self.lists.append((x, _owned, owned))
                return [(part, False) for part in (x.values() if isinstance(x, dict) else x)]
            case type() | ModuleType():
                return self._of_home(x)
            case property() | classmethod() | staticmethod() | functools.cached_property():
                return [(getattr(x, "fget", None) or getattr(x, "__func__", None) or getattr(x, "func", None), True)]
        return self._of_object(x)

    def _of_function(self, function: FunctionType) -> list[Any]:
        """Note what the names in a function refer to, and its defaults."""
        if _package(function) != self.home and is_installed(function.__module__):
            return []
        cells = [(cell, cell.cell_contents) for cell in function.__closure__ or () if _is_filled(cell)]
        self.cells += cells
        parts = [x for _, x in cells]
        codes = list(_codes(function))
        if codes:
            self.names.update(*[code.co_names for code in codes])
            parts += self._note(function.__globals__, _globals(codes, function.__globals__))
            get = functools.partial(_attribute, function)
            self.of.append((get, {name: get(name) for name in ("__defaults__", "__kwdefaults__")}))
            parts += [function.__defaults__, function.__kwdefaults__]
            if any("random" in code.co_names for code in codes):
                parts.append(np.random.mtrand._rand)  # that of np.random.normal and the like
        return parts

    def _of_home(self, x: Any) -> list[tuple[Any, bool]]:
        """Note the named attributes of a class or a Python module, unless it is another package's.

        Special methods are called though nobody names them, and those that this package's modules and optimisers have.
        """
        found: list[tuple[Any, bool]] = []
        kinds = [kind for kind in (Module, Optimizer) if isinstance(x, type) and issubclass(x, kind)]
        for part in x.__mro__ if isinstance(x, type) else [x]:
            name = part.__module__ if isinstance(x, type) else x.__name__
            if name.partition(".")[0] in (self.home, "__main__") or not (_is_own(name) or is_installed(name)):
                entries = vars(part)
                then = {
                    n: value
                    for n, value in entries.items()
                    if n in self.names or (isinstance(value, FunctionType) and _is_called(n, kinds))
                }
                self.of.append((entries.get, then))
                found += [(value, True) for value in then.values()]
        return found

    def _of_object(self, x: Any) -> list[tuple[Any, bool]]:
        """Note the named attributes of an object; an optimiser's hyperparameters and state are the program's."""
        if _is_own(type(x).__module__) and not isinstance(x, Optimizer):
            wrapped = getattr(x, "__wrapped__", None)  # a compiled function's
            return [] if wrapped is None else [(wrapped, True)]
        handled = {*x.hyperparameters(), "state", "parameters"} if isinstance(x, Optimizer) else set()
        slots = [name for kind in type(x).__mro__ for name in getattr(kind, "__slots__", ()) if hasattr(x, name)]
        parts: list[Any] = []
        if type(entries := getattr(x, "__dict__", None)) is dict:
            parts = self._note(entries, [name for name in entries if name in self.names - handled])
        get = functools.partial(_attribute, x)
        then = {name: get(name) for name in slots if name in self.names - handled}
        if then:
            self.of.append((get, then))
        return [(part, True) for part in [*parts, *then.values(), type(x), getattr(x, "__wrapped__", None)]]

    def _note(self, entries: dict[Any, Any], names: list[Any]) -> list[Any]:
        """Note entries of a dict, and all of it, in case that something is kept there; return the entries."""
        then = {name: entries[name] for name in names}
        self.of.append((entries.get, then))
        self.holders.append((entries, dict(entries)))
        return list(then.values())

    def settle(self) -> None:
        """Leave out what the function itself has changed meanwhile: that happens only while tracing."""
        for get, then in self.of:
            for name in [name for name, x in then.items() if not _same(get(name), x)]:
                del then[name]
        self.of = [(get, then) for get, then in self.of if then]
        self.cells = [(cell, x) for cell, x in self.cells if _is_filled(cell) and _same(cell.cell_contents, x)]
        self.lists = [(x, of, then) for x, of, then in self.lists if _all_same(of(x), then)]
        self.holders = []

    def drew(self) -> bool:
        """Return whether a generator of random numbers was used meanwhile."""
        return [pickle.dumps(x) for x in self.drawing] != self.drawn

    def restore(self) -> str:
        """Take away what the function has kept of a trace, and return the name that it kept it by, if any."""
        kept = ""
        for entries, then in self.holders:
            for name in [n for n, x in entries.items() if x is not then.get(n, _MISSING) and is_of_a_trace(x)]:
                kept = str(name)
                if name in then:
                    entries[name] = then[name]
                else:
                    del entries[name]
        for cell, then in self.cells:
            if _is_filled(cell) and cell.cell_contents is not then and is_of_a_trace(cell.cell_contents):
                kept, cell.cell_contents = "a name of an enclosing function", then
        for x, _, _ in self.lists:
            if isinstance(x, list) and is_of_a_trace(x):
                kept, x[:] = "a list", [part for part in x if not is_of_a_trace(part)]
        return kept

    def unchanged(self) -> bool:
        """Return whether everything is what it was."""
        for get, then in self.of:
            for name, x in then.items():
                y = get(name)
                if y is not x and not _same(y, x):
                    return False
        for cell, x in self.cells:
            y = cell.cell_contents if _is_filled(cell) else None
            if y is not x and not _same(y, x):
                return False
        return all(_all_same(of(x), then) for x, of, then in self.lists)

    def __bool__(self) -> bool:
        return bool(self.of or self.cells or self.lists)


_MISSING = object()
_LEAVES = (Tensor, Traced, np.ndarray, np.generic, np.ufunc, CodeType, complex, bytes, slice, *PLAIN)


def _objects(tree: Any) -> Iterator[Any]:
    """Yield what stands in nested arguments and is no array, Tensor or number."""
    if type(tree) in (tuple, list, dict):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from _objects(part)
    elif not isinstance(tree, _LEAVES):
        yield tree


def _is_called(name: str, kinds: list[Any]) -> bool:
    """Return whether a method may be called by Python or by this package, though no code of the user's names it."""
    special = name.startswith("__") and name not in _NOT_CALLED
    return special or (name not in _NOT_CALLED and any(hasattr(kind, name) for kind in kinds))


_NOT_CALLED = ("__init__", "__new__", "__init_subclass__", "__repr__", "__str__", "__del__")


def _attribute(x: Any, name: str) -> Any:
    return getattr(x, name, None)


def _is_own(module: str) -> bool:
    """Return whether a module is this package's, NumPy's or Python's builtins."""
    return module.partition(".")[0] in (_package(Module), "numpy", "builtins")


def _package(x: Any) -> str:
    """Return the name of the package in which a function or class is defined, or the class of an object."""
    return str(getattr(x, "__module__", None) or type(x).__module__).partition(".")[0]


def _owned(x: Any) -> list[Any]:
    """Return the parameters and modules in a list or dict."""
    parts = x.values() if isinstance(x, dict) else x
    return [part for part in parts if isinstance(part, Module) or (isinstance(part, Tensor) and part._node)]


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and isinstance(a, PLAIN) and repr(a) == repr(b))


def _all_same(now: Any, then: list[Any]) -> bool:
    return len(now) == len(then) and (all(map(is_, now, then)) or all(map(_same, now, then)))


def _itself(x: Any) -> Any:
    return x


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is cell.cell_contents
    except ValueError:
        return False


def _globals(codes: list[CodeType], known: dict[str, Any]) -> list[str]:
    """Return the names of the globals that code reads."""
    loads = [i.argval for code in codes for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"]
    return [name for name in dict.fromkeys(loads) if name in known]


def _codes(function: FunctionType) -> Iterator[CodeType]:
    """Yield the code of a function and of those inside it; nothing of this package's and of NumPy's."""
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        if not code.co_filename.startswith(PACKAGES):
            yield code
            codes += [x for x in code.co_consts if isinstance(x, CodeType)]
