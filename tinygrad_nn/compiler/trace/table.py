"""What a function's own code names outside itself, and one level further: a program holds while this stays the same.

Numbers and strings are compared by value, all else by identity. What lies deeper is frozen, as is what called functions
read. Modules are examined as deep as they nest: see `snapshot.py`. A function that changes these or its arguments, in
ways that a program can't repeat, is found after its trace.
"""

from __future__ import annotations

import builtins
import dis
import functools
import random
from collections.abc import Callable, Iterator, Mapping, MutableSequence
from types import BuiltinMethodType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import numpy as np

from ...errors import PACKAGE, CompileError
from ...nn.module import Module
from ...optim.optimizer import Optimizer
from ...tensor.handle import Tensor
from ..program import over_leaves
from ..refusals import effect
from ..signature import BY_VALUE
from .proxies import is_of_a_trace, plain
from .snapshot import CONTAINERS, MISSING, Snapshot, bound, draws, entries_of, holds, same, state_of

LEAVES = (*BY_VALUE, np.ufunc, slice, CodeType)
_ALWAYS_DRAWN_FROM = [np.random.mtrand._rand, vars(random)["_inst"]]


class Table:
    """The names in a function's own code; `snapshot` is what they and their attributes and entries were.

    The arguments of a call, and their copies with proxies, may be changed as little: `watch` notes them, too.
    """

    def __init__(self, functions: list[Any]) -> None:
        self.snapshot: Snapshot = Snapshot()
        self.objects: list[Any] = []  # everything that can change, named by the code or one level further
        self.labels: dict[int, str] = {}  # the code's names for these and for Tensors, by id
        self.instructions: list[Any] = []  # of the code, each with its code object
        for function in own_functions(functions, self._add):
            found = _instructions(function)
            self.instructions += found
            self._of_function(function, _names(found, "_GLOBAL", "_NAME"))
        self._attributes = _names(self.instructions, "_ATTR", "_METHOD")
        if not {"getattr", "hasattr"}.isdisjoint(_names(self.instructions, "_GLOBAL", "_NAME")):
            self._attributes += [x for x in _names(self.instructions, "_CONST") if str(x).isidentifier()]
        for x in list(self.objects):
            self._one_level_behind(x)

    def _add(self, x: Any, name: str = "self", own: str = "") -> None:
        """Note an object by the name that leads to it; an array or a Tensor in a container has its `own` name."""
        if id(x) not in self.labels and not isinstance(x, LEAVES):
            self.labels[id(x)] = own or name if isinstance(x, (Tensor, np.ndarray)) else name
            self.objects += [] if isinstance(x, Tensor) else [x]

    def _of_function(self, function: FunctionType, names: list[str]) -> None:
        """Note the cells and defaults of a function, and its globals of these names."""
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._add(self.snapshot.name(cell, "cell_contents", moves=True), name)
        for name in names:
            x = self.snapshot.name(function.__globals__, name, moves=True)
            self._add(self.snapshot.name(vars(builtins), name) if x is MISSING else x, name)
        for name in ("__code__", "__defaults__", "__kwdefaults__"):
            self.snapshot.name(function, name)
        parameters = function.__code__.co_varnames[: function.__code__.co_argcount]
        defaults = zip(reversed(parameters), reversed(function.__defaults__ or ()), strict=False)
        by_name = function.__kwdefaults__ or {}
        for name, x in [*defaults, *by_name.items(), ("", by_name)]:
            self._add(x, name)

    def _one_level_behind(self, x: Any) -> None:
        """Note the entries of a container, and those attributes of any other object that the code names."""
        if isinstance(x, (*CONTAINERS, tuple, frozenset)):
            if isinstance(x, CONTAINERS):
                self.snapshot.hold(x)
            label = self.labels[id(x)]
            own = [*map(str, x)] * 2 if isinstance(x, dict) else [f"{label}{n + 1}" for n in range(len(x))]
            for entry, name in zip(entries_of(x), own, strict=True):
                self._add(entry, label, name)
        elif not isinstance(x, (Module, Optimizer, np.ndarray)):
            self._attributes_of(x)
            self.snapshot.note(type, x)
            if isinstance(x, (Mapping, MutableSequence)):  # of a class of its own, such as a ChainMap or a bytearray
                self.snapshot.note(entries_of, x)
            for part in _bound_in(x):  # such as a bound method's generator
                self._add(part, self.labels[id(x)])

    def watch(self, arguments: list[Any], twins: list[Any]) -> None:
        """Note what the table and arguments hold, and generators' states; of arguments, attributes of their classes.

        Signatures tell what the arguments hold. `twins` are copies of them with proxies.
        """
        for x in arguments:
            if not isinstance(x, (Module, Optimizer, Tensor, np.ndarray, *LEAVES)):
                self._attributes_of(x, type)
        for x in [*self.objects, *arguments]:
            if isinstance(x, (Module, Optimizer)):
                self.snapshot.meet(x)
        self._twins = [(x, state_of(x)) for x in twins]
        given = [x for x in [*self.objects, *arguments] if not isinstance(x, (ModuleType, Module, Optimizer, Tensor))]
        attributes = [own for x in given if type(own := getattr(x, "__dict__", None)) is dict]
        self._generators = [*filter(draws, given), *_ALWAYS_DRAWN_FROM]
        held = [x for x in [*given, *attributes] if isinstance(x, (np.ndarray, type, *CONTAINERS))]
        for x in [*held, *self._generators]:
            if x is not Module and x is not random.Random:  # these are patched
                self.snapshot.keep(x)
        for x in arguments:
            slotted = [vars(kind) for kind in type(x).__mro__ if "__slots__" in vars(kind)]
            slots = [name for held in slotted for name in held if isinstance(held[name], MemberDescriptorType)]
            self.snapshot.names += [(x, name, bound(x, name), False) for name in slots]

    def changed(self) -> str:
        """Return what the function changed that a program can't change again, in words; "" if nothing."""
        if twins := [x for x, then in self._twins if not holds(x, then)]:
            return f"changes a {type(twins[0]).__name__} among its arguments"
        self._twins = []  # lets go of the arguments' copies
        for x, then in self.snapshot.changed():
            line = self.line_of(self.labels.get(id(x), ""))
            if isinstance(x, np.ndarray):
                return f"writes into an array{line}"
            if not isinstance(x, type) and (not isinstance(x, dict) or id(x) in self.labels):
                return f"changes a {type(x).__name__}{line}"
            names = [*(vars(x) if isinstance(x, type) else x), *then]  # else it has attributes
            name = next(name for name in names if bound(x, name) is not then.get(name, MISSING))
            return f"sets the attribute {name!r}{self.line_of(name)}"
        for holder, name, then, moves in self.snapshot.names:
            if not moves and not same(bound(holder, name), then):
                return f"sets the attribute {name!r}{self.line_of(name)}"
        return ""

    def drew(self) -> str:
        """Return where numbers were drawn from a generator that is not a module's own, in words; "" if none were."""
        for x in [*self._generators, *self.snapshot.generators.values()]:
            if not holds(*self.snapshot.kept[id(x)]):
                return self.line_of(self.labels.get(id(x), "random")) or " in a function that it calls"
        return ""

    def rebound(self) -> list[tuple[Any, Any, Any]]:
        """Return the names that the function bound anew, each with its cell or dictionary of globals, and its value.

        The program is for the numbers among these. Raises CompileError for a new container, which each call makes.
        """
        found = []
        for holder, name, then, moves in self.snapshot.names:
            if moves and (now := bound(holder, name)) is not then:
                if now is MISSING:
                    raise CompileError(effect("deletes a name outside"))
                if isinstance(now, CONTAINERS) and all(now is not x for x in self.objects):
                    raise CompileError(effect(f"binds a name outside to a {type(now).__name__} that it has made"))
                found.append((holder, name, over_leaves(plain, now) if is_of_a_trace(now) else now))
        return found

    def _attributes_of(self, x: Any, kind: type = object) -> None:
        """Note the attributes that the code names, in holders of this kind."""
        if type(held := getattr(x, "__dict__", None)) is dict and not isinstance(x, ModuleType):
            self.snapshot.keep(held)  # before a property changes something
        for name in self._attributes:
            for holder in _holders(x, name):
                if isinstance(holder, kind):
                    self._add(self.snapshot.name(holder, name), name)

    def line_of(self, name: str) -> str:
        """Return " at file:line" for the last line of the function's own code that names something; "" if none does."""
        lines = [
            f" at {code.co_filename}:{i.positions.lineno}, in {code.co_name}"
            for code, i in self.instructions
            if i.argval == name and i.positions is not None and i.positions.lineno is not None
        ]
        return "".join(lines[-1:])

    def forget(self) -> None:
        """Let go of the objects themselves: a program keeps none alive."""
        self.objects, self.instructions = [], []
        self.snapshot.forget()


def line_of(function: Any) -> str:
    """Return file and line of a function's own code, as far as it has any."""
    places = [f"{x.__code__.co_filename}:{x.__code__.co_firstlineno}" for x in own_functions([function])]
    return places[0] if places else "an unknown line"


def innermost(function: Any) -> Any:
    """Return the user's function that a transform such as `tg.grad` was given."""
    while _is_a_transform(function) and (inner := _inner_functions(function)):
        function = inner[0]
    return function


def _is_a_transform(x: Any) -> bool:
    return isinstance(x, FunctionType) and x.__code__.co_filename.startswith(PACKAGE)


def _inner_functions(x: FunctionType) -> list[Any]:
    return [inner for cell in x.__closure__ or () if callable(inner := bound(cell, "cell_contents"))]


def own_functions(functions: list[Any], named: Callable[..., None] = lambda *_: None) -> Iterator[FunctionType]:
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
                left += [x.func, *x.args, x.keywords, *x.keywords.values()]
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
                calls += [vars(x).get("__init__")] if isinstance(x, type) else []
                left += [call for call in calls if isinstance(call, FunctionType)]


def _instructions(function: FunctionType) -> list[tuple[CodeType, dis.Instruction]]:
    """Return the instructions of a function and of the functions inside it, each with its code object."""
    codes = [function.__code__]
    for code in codes:
        codes += [x for x in code.co_consts if isinstance(x, CodeType)]
    return [(code, i) for code in codes for i in dis.get_instructions(code)]


def _names(instructions: list[Any], *kinds: str) -> list[str]:
    """Return the names that instructions use in some way, such as globals."""
    return list(dict.fromkeys(i.argval for _, i in instructions if i.opname.endswith(kinds)))


def _holders(x: Any, name: str) -> Iterator[Any]:
    """Yield what may hold an attribute: the object's dictionary, its classes up to the first that has it, except C's.

    For a slot, and for a number or string that a property or `__getattr__` returns, it is the object itself.
    """
    if type(getattr(x, "__dict__", None)) is dict and (name in x.__dict__ or not isinstance(x, ModuleType)):
        yield x.__dict__
    for kind in [*(x.__mro__ if isinstance(x, type) else ()), *type(x).__mro__]:
        if not kind.__flags__ & _IMMUTABLE:
            yield kind
        if name in vars(kind):
            own = vars(kind)[name]
            in_slot = hasattr(own, "__set__") and not isinstance(own, property)
            told = hasattr(own, "__get__") and not isinstance(own, functools.cached_property)
            if in_slot or (told and isinstance(bound(x, name), BY_VALUE)):
                yield x
            return
    if hasattr(type(x), "__getattr__") and isinstance(bound(x, name), BY_VALUE):
        yield x


_IMMUTABLE = 1 << 8  # the flag of classes that can't be changed


def _bound_in(x: Any) -> list[Any]:
    """Return what a bound method is bound to, and what a partial function holds."""
    if isinstance(x, functools.partial):
        return [*_bound_in(x.func), *x.args, *x.keywords.values()]
    return [x.__self__] if isinstance(x, (MethodType, BuiltinMethodType)) else []
