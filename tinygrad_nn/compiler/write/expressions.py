"""Lines of a program as Python expressions: operators and their precedence, calls, indices, literals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..program import Function, Line, Value
from .literals import literal

# How strongly an operator binds, from the weakest.
COMPARED, OR, XOR, AND, PLUS, TIMES, SIGN, POWER, ATOM = range(1, 10)
BINARY = {
    "np.power": ("**", POWER), "np.matmul": ("@", TIMES), "np.multiply": ("*", TIMES), "np.divide": ("/", TIMES),
    "np.floor_divide": ("//", TIMES), "np.remainder": ("%", TIMES), "np.add": ("+", PLUS),
    "np.subtract": ("-", PLUS), "np.bitwise_and": ("&", AND), "np.bitwise_xor": ("^", XOR),
    "np.bitwise_or": ("|", OR), "np.less": ("<", COMPARED), "np.less_equal": ("<=", COMPARED),
    "np.greater": (">", COMPARED), "np.greater_equal": (">=", COMPARED), "np.equal": ("==", COMPARED),
    "np.not_equal": ("!=", COMPARED),
}  # fmt: skip
_OF_NUMBERS = dict(BINARY.values())

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
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return self.call(self.called(type(x), type(x).__name__), x, {}), ATOM
        if callable(x) and not isinstance(x, type):
            return self.called(x, getattr(x, "__name__", "function")), ATOM
        if isinstance(x, (tuple, list)):
            inner = ", ".join([self.operand(part) for part in x])
            comma = "," if len(x) == 1 else ""
            return (f"({inner}{comma})" if isinstance(x, tuple) else f"[{inner}]"), ATOM
        if isinstance(x, slice):
            return f"slice({self.operand(x.start)}, {self.operand(x.stop)}, {self.operand(x.step)})", ATOM
        text = literal(x)
        return text, SIGN if text.startswith("-") else ATOM

    def line(self, line: Line) -> Text:
        """Return the expression that computes a line's outputs."""
        function, args = line.function, line.args
        if function.form == "operator" and function.text != "np.asarray":
            return self.of_numbers(function.text, args)
        if function.text in BINARY and len(args) == 2 and not line.kwargs and self.infix(line):
            return self.binary(*BINARY[function.text], *args)
        if function.text == "{0}[{1}]":
            return f"{self.operand(args[0], ATOM)}[{self.index(args[1])}]", ATOM
        if function.form == "astype":
            return f"{self.operand(args[0], ATOM)}.astype({self.operand(args[1])})", ATOM
        if function.text == "np.transpose" and isinstance(args[0], Value):
            axes = line.kwargs.get("axes", args[1] if len(args) > 1 else None)
            if axes is None:
                return self.transposed(args[0])
            return f"{self.operand(args[0], ATOM)}.transpose({self.operand(axes)})", ATOM
        if function.text == "np.reshape" and isinstance(args[0], Value) and len(args) == 2 and not line.kwargs:
            return f"{self.operand(args[0], ATOM)}.reshape({self.operand(args[1])})", ATOM
        return self.call(self.function(function), args, line.kwargs), ATOM

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

    def call(self, name: str, args: Any, kwargs: Any, more: tuple[str, ...] = ()) -> str:
        """Return a call with these arguments."""
        named = [f"{key}={self.operand(x)}" for key, x in kwargs.items()]
        return f"{name}({', '.join([*[self.operand(x) for x in args], *named, *more])})"

    def of_numbers(self, template: str, args: Any) -> Text:
        """Return an expression of Python numbers."""
        parts = template.split()
        if len(parts) == 3:
            return self.binary(parts[1], _OF_NUMBERS[parts[1]], *args)
        if template == "{0}":
            return self.argument(args[0])
        if template[0] == "-":
            return f"-{self.operand(args[0], SIGN)}", SIGN
        return template.format(self.operand(args[0], 0 if template.endswith(")") else ATOM)), ATOM

    def binary(self, symbol: str, level: int, a: Any, b: Any) -> Text:
        """Return two operands with an operator between them."""
        left, right = (level + 1, level) if level == POWER else (level, level + 1)
        if level == COMPARED:
            left = right = COMPARED + 1
        return f"{self.operand(a, left)} {symbol} {self.operand(b, right)}", level

    def transposed(self, x: Any) -> Text:
        """Return a matrix with its axes exchanged."""
        return f"{self.operand(x, ATOM)}.T", ATOM

    def index(self, index: Any) -> str:
        """Return the text of an index, with colons where that is how one writes it."""
        parts = index if isinstance(index, tuple) else (index,)
        texts = [self.part_of_index(part) for part in parts]
        return ", ".join(texts) + ("," if isinstance(index, tuple) and len(parts) == 1 else "") if parts else "()"

    def part_of_index(self, part: Any) -> str:
        """Return the text of one part of an index."""
        if isinstance(part, slice):
            ends = ["" if x is None else self.operand(x) for x in (part.start, part.stop)]
            return ":".join(ends) + ("" if part.step is None else f":{self.operand(part.step)}")
        return "..." if part is Ellipsis else self.operand(part)
