"""Lines of a program as Python expressions: operators and their precedence, calls, indices, literals."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ..program import Function, Line, Value
from .literals import literal, nested

# How strongly an operator binds, from the weakest.
COMPARED, TIMES, SIGN, POWER, ATOM = 1, 6, 7, 8, 9
LEVELS = dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), COMPARED) | {"|": 2, "^": 3, "&": 4, "+": 5, "-": 5}
LEVELS |= dict.fromkeys(("*", "@", "/", "//", "%", "·", "∘"), TIMES) | {"**": POWER}
BINARY = {
    "np.power": "**", "np.matmul": "@", "np.multiply": "*", "np.divide": "/", "np.floor_divide": "//",
    "np.remainder": "%", "np.add": "+", "np.subtract": "-", "np.bitwise_and": "&", "np.bitwise_xor": "^",
    "np.bitwise_or": "|", "np.less": "<", "np.less_equal": "<=", "np.greater": ">", "np.greater_equal": ">=",
    "np.equal": "==", "np.not_equal": "!=",
}  # fmt: skip

Text = tuple[str, int]


class Expressions:
    """Writes a line's right side. `name` gives the name of a value, `called` that of a function, for a wish."""

    def __init__(self, name: Callable[[Value], str], called: Callable[[Any, str], str]) -> None:
        self.name, self.called = name, called

    def infix(self, line: Line) -> bool:
        """Return whether a ufunc is written as Python's operator."""
        raise NotImplementedError

    def value(self, value: Value) -> Text:
        """Return a value's text and how strongly it binds."""
        return self.name(value), ATOM

    def operand(self, x: Any, level: int = 0) -> str:
        """Return an argument's text, in parentheses if it binds less than the level."""
        text, own = self.argument(x)
        return text if own >= level else f"({text})"

    def argument(self, x: Any) -> Text:
        """Return an argument's text and how strongly it binds."""
        if isinstance(x, Value):
            return self.value(x)
        if isinstance(x, slice):
            return self.call("slice", (x.start, x.stop, x.step), {})
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return self.call(self.called(type(x), type(x).__name__), x, {})
        if isinstance(x, (tuple, list)):
            return nested(self.operand, x), ATOM
        if callable(x) and not isinstance(x, type):
            return self.called(x, getattr(x, "__name__", "function")), ATOM
        text = literal(x)
        return text, SIGN if text.startswith("-") else ATOM

    def line(self, line: Line) -> Text:
        """Return the expression that computes a line's outputs."""
        function, args = line.function, line.args
        if function.form == "operator" and function.text != "np.asarray":
            return self.of_numbers(function.text, args)
        if function.text in BINARY and len(args) == 2 and not line.kwargs and self.infix(line):
            return self.binary(BINARY[function.text], *args)
        if function.text == "{0}[{1}]":
            return f"{self.operand(args[0], ATOM)}[{self.index(args[1])}]", ATOM
        if is_transpose(line):
            return self.transposed(args[0])
        if function.text in ("np.transpose", "np.reshape", "astype") and isinstance(args[0], Value) and len(args) == 2:
            more = args[1] if function.text == "np.reshape" and type(args[1]) is tuple and args[1] else args[1:]
            return self.call(f"{self.operand(args[0], ATOM)}.{function.text.removeprefix('np.')}", more, line.kwargs)
        return self.call(self.function(function), args, line.kwargs)

    def function(self, function: Function) -> str:
        """Return the name of a line's function: NumPy's, that of an object that can be imported, or of the text."""
        if function.form == "operation":
            return self.called(function.apply, function.text.removeprefix("op_"))
        if function.text.startswith("np.") or function.form == "helper":
            return function.text
        owner = getattr(function.apply, "__self__", None)
        ufunc: Any = owner if isinstance(owner, np.ufunc) else function.write or function.apply
        method = "" if ufunc is function.apply else f".{function.text.rpartition('.')[2]}"
        return f"{self.called(ufunc, ufunc.__name__)}{method}"

    def call(self, name: str, args: Any, kwargs: Any, *more: str) -> Text:
        """Return a call with these arguments."""
        named = [f"{key}={self.operand(x)}" for key, x in kwargs.items()]
        return f"{name}({', '.join([*map(self.operand, args), *named, *more])})", ATOM

    def of_numbers(self, template: str, args: Any) -> Text:
        """Return an expression of Python numbers."""
        if template[4:-4] in LEVELS:
            return self.binary(template[4:-4], *args)
        if template == "{0}":
            return self.argument(args[0])
        level = SIGN if template[0] == "-" else ATOM
        return template.format(self.operand(args[0], 0 if template.endswith(")") else level)), level

    def binary(self, symbol: str, a: Any, b: Any) -> Text:
        """Return two operands with an operator between them."""
        level = LEVELS[symbol]
        left = level + (level in (COMPARED, POWER))
        return f"{self.operand(a, left)} {symbol} {self.operand(b, level + (level != POWER))}", level

    def transposed(self, x: Any) -> Text:
        """Return a matrix with its axes exchanged."""
        return f"{self.operand(x, ATOM)}.T", ATOM

    def assigned(self, line: Line) -> str:
        """Return a line as an assignment to the names of its outputs."""
        names = ", ".join(map(self.name, line.outputs))
        return f"{names}{',' * (line.several and len(line.outputs) == 1)} = {self.line(line)[0]}"

    def guard(self, line: Line) -> list[str]:
        """Return the lines that stop the program where a number is another one than it is for."""
        value, answer = line.args
        test = f"{self.operand(value)} != {literal(answer)}"
        if isinstance(answer, bool):
            test = f"bool({self.operand(value)}) is not {answer}"
        elif (isinstance(answer, float) and not answer) or answer != answer:  # 0 is not -0, nan is nan
            test = f"repr(float({self.operand(value)})) != {repr(float(answer))!r}"
        return [f"if {test}:", f"    raise Unusual({os.path.basename(line.where)!r})"]

    def in_place(self, line: Line, name: str) -> str:
        """Return the statement that changes entries of what a line starts from, which is there by this name."""
        if line.function.form == "at":
            return f"{self.function(line.function)}({', '.join([name, *map(self.operand, line.args[1:])])})"
        sign = "=" if line.function.form == "setitem" else "+="
        return f"{name}[{self.index(line.args[1])}] {sign} {self.operand(line.args[2])}"

    def index(self, index: Any) -> str:
        """Return the text of an index, with colons where that is how one writes it."""
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
    axes = line.kwargs.get("axes", (*line.args, None)[1]) if line.function.text == "np.transpose" else (1, 0)
    exchanged = line.function.text in ("np.transpose", "np.matrix_transpose") and axes in (None, (1, 0))
    return exchanged and len(line.outputs[0].shape) == 2
