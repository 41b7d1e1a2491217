"""A program: lines of NumPy calls on values, each computed once."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

import numpy as np

_SMALL = 4096  # bytes


class Value:
    """A result of a line, an input or a constant: an array, a NumPy scalar, or a Python number.

    `concrete` is what it was while traced. A result of a line is `temporary`: its array is freed with the last proxy
    that holds it; its shape, dtype and strides stay. Python may decide by a value that is `known`: an argument that is
    a number, of Python or NumPy, or computed from such numbers alone. `dtype` is None for a Python number, which stays
    weak. `base` is the value whose memory it shares, if it is a view, `primal` the value whose adjoint it is, if it is
    one. A `name` that ends in # is to be numbered; with `after`, it is appended to the name of that value, as T is for
    a transpose.
    """

    __slots__ = ("_held", "_seen", "after", "base", "dtype", "known", "name", "primal", "shape", "strides")

    def __init__(self, concrete: Any, name: str = "", base: Value | None = None, temporary: bool = False) -> None:
        self.name: str = name
        self.base: Value | None = base
        self.primal: Value | None = None
        self.after: Value | None = None
        self.shape: tuple[int, ...] = getattr(concrete, "shape", ())
        self.dtype: Any = getattr(concrete, "dtype", None)
        self.strides: tuple[int, ...] = concrete.strides if isinstance(concrete, np.ndarray) else ()
        self.known: bool = self.dtype is None
        self._seen: Any = None
        self.concrete = concrete
        if temporary:
            self.forget()

    @property
    def concrete(self) -> Any:
        """What it was while traced; for a forgotten array, another one of the same shape, dtype and strides."""
        x = self._held if self._seen is None else self._seen()
        return np.lib.stride_tricks.as_strided(np.empty(1, self.dtype), self.shape, self.strides) if x is None else x

    @concrete.setter
    def concrete(self, x: Any) -> None:
        self._held, self._seen = x, None

    @property
    def is_array(self) -> bool:
        """Whether it is an array, with memory to be planned, and not a number or a NumPy scalar."""
        return self.dtype is not None and (self._seen is not None or isinstance(self._held, np.ndarray))

    @property
    def nbytes(self) -> int:
        """Its size in bytes, 0 if it is not an array."""
        return int(self.concrete.nbytes) if self.is_array else 0

    @property
    def root(self) -> Value:
        """The value that owns the memory: itself, unless it is a view."""
        value = self
        while value.base is not None:
            value = value.base
        return value

    def forget(self) -> None:
        """Let go of the array, unless it is small and not a view."""
        x = self._held
        if isinstance(x, np.ndarray) and (x.nbytes > _SMALL or x.base is not None):
            self._held, self._seen = None, weakref.ref(x)


@dataclass(frozen=True)
class Function:
    """What a line calls: how it is written, and how it is computed.

    `kind` says how it can be written: "ufunc" and "out" take `out=`; "where", "astype", "copy" and "setitem" fill
    memory by other statements; "operator" is a template on Python numbers; "guard" stops the program; "at" changes
    its first argument by the method of that name of the ufunc `write`; "zeros" fills memory; "operation" and "helper"
    are functions that come as text; "plain" is called as it is.
    """

    text: str
    apply: Callable[..., Any] = field(compare=False)
    kind: str = "plain"
    write: Any = None


@dataclass(eq=False)
class Span:
    """One run of an operation's forward, or of its rule for an `argument`, inside the `outer` run, if there is one.

    `names` are the operation's names for its inputs; `y`, in the run of a rule, is the operation's result.
    """

    operation: Any
    outer: Span | None = None
    names: dict[Value, str] = field(default_factory=dict)
    y: Value | None = None
    argument: str = ""

    @property
    def chain(self) -> list[Span]:
        """The run itself and those around it, the outermost last."""
        return [self, *(self.outer.chain if self.outer is not None else [])]


@dataclass(eq=False)
class Line:
    """One call, `outputs = function(*args, **kwargs)`, for the user's line `where`; `span` is the operation's run."""

    function: Function
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Value, ...]
    where: str = ""
    several: bool = False
    span: Span | None = None

    def computed(self) -> list[Any]:
        """Return the outputs, computed from the traced arguments; none for a guard."""
        if self.function.kind == "guard":
            return []
        args, kwargs = mapped(concrete, (self.args, self.kwargs))
        with np.errstate(all="ignore"):
            result = self.function.apply(*args, **kwargs)
        return list(result) if self.several else [result]

    def compute(self) -> None:
        """Compute the outputs anew, after they were forgotten."""
        for output, part in zip(self.outputs, self.computed(), strict=True):
            output.concrete = part

    @property
    def spans(self) -> list[Span]:
        """The runs of operations that it belongs to, the outermost last."""
        return [] if self.span is None else self.span.chain

    def reads(self) -> list[Value]:
        """Return every value among the arguments, in order and with repetitions."""
        return values_in((self.args, self.kwargs))


@dataclass
class Program:
    """Inputs, lines and outputs. `constants` are arrays that were not traced.

    `instead` maps the values that rewrites have replaced to their replacements. `raising` are the floating-point errors
    that raise.
    """

    inputs: list[Value]
    lines: list[Line]
    outputs: list[Value]
    constants: list[Value]
    instead: dict[Value, Value] = field(default_factory=dict)
    raising: frozenset[str] = frozenset()

    @property
    def makers(self) -> dict[Value, Line]:
        """The line that computes each value, except inputs and constants."""
        return {output: line for line in self.lines for output in line.outputs}

    def copy(self) -> Program:
        """Return a copy of the program, with its own lines."""
        lines = [replace(line) for line in self.lines]
        outputs, constants, instead = list(self.outputs), list(self.constants), dict(self.instead)
        return Program(list(self.inputs), lines, outputs, constants, instead, self.raising)

    def replaced(self, lines: list[Line], instead: dict[Value, Value]) -> Program:
        """Return a program of these lines, which reads other values instead of some."""
        program = Program(self.inputs, lines, [], self.constants, self.instead | instead, self.raising)
        for line in lines if instead else ():
            line.args = mapped(program.present, line.args)
            line.kwargs = mapped(program.present, line.kwargs)
            for output in line.outputs:
                output.base = program.present(output.base) if output.base is not None else None
        program.outputs = [program.present(v) for v in self.outputs]
        return program

    def present(self, value: Value) -> Value:
        """Return the value that the program now reads in place of a traced one."""
        while value in self.instead:
            value = self.instead[value]
        return value


concrete: Callable[[Any], Any] = attrgetter("concrete")  # what a value was while it was traced


def values_in(tree: Any) -> list[Value]:
    """Return the values in a tuple, list, dict or slice, however nested."""
    tree = (tree.start, tree.stop, tree.step) if isinstance(tree, slice) else tree
    found: list[Value] = []
    for x in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(x, Value):
            found.append(x)
        elif isinstance(x, (tuple, list, dict, slice)):
            found += values_in(x)
    return found


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return nested arguments with `function` applied to every value in them."""
    return over_leaves(lambda x: function(x) if isinstance(x, Value) else x, tree)


def over_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return nested lists, tuples, dicts and slices with `function` applied to their leaves, all other kinds."""
    if isinstance(tree, (tuple, list)):
        parts = [over_leaves(function, part) for part in tree]
        if isinstance(tree, list):
            return parts
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    if type(tree) is dict:
        return {key: over_leaves(function, part) for key, part in tree.items()}
    if isinstance(tree, slice):
        return slice(*[over_leaves(function, part) for part in (tree.start, tree.stop, tree.step)])
    return function(tree)
