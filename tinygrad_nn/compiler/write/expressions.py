"""Lines of a program as Python expressions: operators, calls, indices, literals."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ..numpy_calls import OPERATORS
from ..program import Function, Line, Value
from .literals import WRITTEN, literal, nested

# How ufuncs are written as Python's operators.
TEMPLATES = {f"np.{ufunc.__name__}": text for name, (text, ufunc) in OPERATORS.items() if name != "abs"}
TEMPLATES |= {
    "np.matmul": "{0} @ {1}", "np.bitwise_and": "{0} & {1}", "np.bitwise_or": "{0} | {1}",
    "np.bitwise_xor": "{0} ^ {1}", "np.square": "{0} ** 2", "np.positive": "+{0}", "np.invert": "~{0}",
}  # fmt: skip
CHANGING = ("setitem", "at")  # kinds that copy an array, and change entries of the copy


class Expressions:
    """Writes a line's right side. `name` returns the name of a value, `called` that of a function, given a wish.

    An operator's operand is put in parentheses if it is more than a name, a number or a call.
    """

    def __init__(self, name: Callable[[Value], str], called: Callable[[Any, str], str]) -> None:
        self.name = name
        self.called = called

    def infix(self, line: Line) -> bool:
        """Return whether a ufunc is written as Python's operator, as beside an array or a NumPy scalar."""
        return any(getattr(x, "dtype", None) is not None for x in line.args)

    def value(self, value: Value) -> str:
        """Return a value's text."""
        return self.name(value)

    def inner(self, x: Any) -> str:
        """Return the text of what an operator is applied to."""
        text = self.operand(x)
        return text if re.fullmatch(r"[\w.]+(e-\d+|\([^()]*\))?", text) else f"({text})"

    def operand(self, x: Any) -> str:
        """Return an argument's text."""
        if isinstance(x, Value):
            return self.value(x)
        if isinstance(x, slice):
            return self.call("slice", (x.start, x.stop, x.step), {})
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return self.call(self.called(type(x), type(x).__name__), x, {})
        if isinstance(x, (tuple, list)):
            return nested(self.operand, x)
        known = isinstance(x, (type, *WRITTEN))
        return literal(x) if known else self.called(x, getattr(x, "__name__", type(x).__name__))

    def line(self, line: Line) -> str:
        """Return the expression that computes a line's outputs."""
        function, args = line.function, line.args
        if function.text == "{0}[{1}]":
            return f"{self.inner(args[0])}[{self.index(args[1])}]"
        if "{0}" in function.text:
            return self.templated(function.text, args)
        template = TEMPLATES.get(function.text, "")
        if len(args) == template.count("{") > 0 and not line.kwargs and self.infix(line):
            return self.templated(template, args)
        if is_transpose(line):
            return f"{self.inner(args[0])}.T"
        if function.text in ("np.transpose", "np.reshape", "astype") and isinstance(args[0], Value) and len(args) == 2:
            more = args[1] if function.text == "np.reshape" and type(args[1]) is tuple and args[1] else args[1:]
            return self.call(f"{self.inner(args[0])}.{function.text.removeprefix('np.')}", more, line.kwargs)
        return self.call(self.function(function), args, line.kwargs)

    def function(self, function: Function) -> str:
        """Return the name of a line's function: NumPy's, that of an imported object, or of a function in the text."""
        if function.kind == "operation":
            return self.called(function.apply, function.text.removeprefix("op_"))
        if function.text.startswith("np.") or function.kind == "helper":
            return function.text
        owner = getattr(function.apply, "__self__", None)
        ufunc: Any = owner if isinstance(owner, np.ufunc) else function.write or function.apply
        method = "" if ufunc is function.apply else f".{function.text.rpartition('.')[2]}"
        return f"{self.called(ufunc, ufunc.__name__)}{method}"

    def call(self, name: str, args: Any, kwargs: Any, *more: str) -> str:
        """Return a call with these arguments."""
        named = [f"{key}={self.operand(x)}" for key, x in kwargs.items()]
        return f"{name}({', '.join([*map(self.operand, args), *named, *more])})"

    def templated(self, template: str, args: Any) -> str:
        """Return operands with an operator."""
        return template.format(*map(self.inner, args))

    def assigned(self, line: Line) -> str:
        """Return a line as an assignment to the names of its outputs."""
        names = ", ".join(map(self.name, line.outputs))
        return f"{names}{',' * (line.several and len(line.outputs) == 1)} = {self.line(line)}"

    def guard(self, line: Line) -> list[str]:
        """Return the lines that stop the program if a number is not the one that it is for."""
        value, answer = line.args
        test = f"{self.operand(value)} != {literal(answer)}"
        if isinstance(answer, bool):
            test = f"bool({self.operand(value)}) is not {answer}"
        elif (isinstance(answer, float) and not answer) or answer != answer:  # 0 is not -0, nan is nan
            test = f"repr(float({self.operand(value)})) != {repr(float(answer))!r}"
        return [f"if {test}:", f"    raise Unusual({os.path.basename(line.where)!r})"]

    def in_place(self, line: Line, name: str) -> str:
        """Return the statement that changes entries of a line's first argument, which has this name."""
        if line.function.kind == "at":
            return f"{self.function(line.function)}({', '.join([name, *map(self.operand, line.args[1:])])})"
        return f"{name}[{self.index(line.args[1])}] = {self.operand(line.args[2])}"

    def index(self, index: Any) -> str:
        """Return the text of an index, with colons for slices."""
        parts = index if isinstance(index, tuple) else (index,)
        texts = [self.part_of_index(part) for part in parts]
        return ", ".join(texts) + "," * (isinstance(index, tuple) and len(parts) == 1) or "()"

    def part_of_index(self, part: Any) -> str:
        """Return the text of one part of an index."""
        if isinstance(part, slice):
            ends = ["" if x is None else self.operand(x) for x in (part.start, part.stop)]
            return ":".join(ends) + ("" if part.step is None else f":{self.operand(part.step)}")
        return "..." if part is Ellipsis else self.operand(part)


def is_transpose(line: Line) -> bool:
    """Return whether a line exchanges the axes of a matrix."""
    axes = [*line.args[1:], *line.kwargs.values()]
    plain = line.function.text in ("np.transpose", "np.matrix_transpose") and axes in ([], [None], [(1, 0)])
    return plain and isinstance(line.args[0], Value) and len(line.args[0].shape) == 2
