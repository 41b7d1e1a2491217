"""Lines of a program as expressions: in infix NumPy, and in the notation of a derivation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..program import Line, Value
from .literals import literal, literal_array

_LONG, _FEW = 72, 16
ATOM, POWER, SIGN, TIMES, PLUS, AND, XOR, OR, COMPARED = 9, 8, 7, 6, 5, 4, 3, 2, 1
_BINARY = {
    "np.power": ("**", POWER), "np.matmul": ("@", TIMES), "np.multiply": ("*", TIMES), "np.divide": ("/", TIMES),
    "np.floor_divide": ("//", TIMES), "np.remainder": ("%", TIMES), "np.add": ("+", PLUS),
    "np.subtract": ("-", PLUS), "np.bitwise_and": ("&", AND), "np.bitwise_xor": ("^", XOR),
    "np.bitwise_or": ("|", OR), "np.less": ("<", COMPARED), "np.less_equal": ("<=", COMPARED),
    "np.greater": (">", COMPARED), "np.greater_equal": (">=", COMPARED), "np.equal": ("==", COMPARED),
    "np.not_equal": ("!=", COMPARED),
}  # fmt: skip
_OF_NUMBERS = dict(_BINARY.values())
_UNARY = {"np.negative": "-", "np.invert": "~", "np.positive": "+"}
_METHODS = {
    "np.add.reduce": "sum", "np.multiply.reduce": "prod", "np.maximum.reduce": "max", "np.minimum.reduce": "min",
    "np.logical_and.reduce": "all", "np.logical_or.reduce": "any", "np.mean": "mean", "np.argmax": "argmax",
    "np.argmin": "argmin", "np.add.accumulate": "cumsum", "np.multiply.accumulate": "cumprod",
}  # fmt: skip

Text = tuple[str, int]


class Notation:
    """Infix NumPy. `folded` are the values that are written as the expression that computes them.

    `called` returns the name of a function that is not NumPy's, for a wish.
    """

    def __init__(
        self, name: Callable[[Value], str], makers: dict[Value, Line], folded: set[Value],
        called: Callable[[Any, str], str] = lambda function, wish: wish,
    ) -> None:  # fmt: skip
        self.name, self.makers, self.folded, self.called = name, makers, folded, called
        self.texts: dict[Value, str] = {}

    def value(self, value: Value) -> Text:
        """Return the name of a value, or its expression."""
        if value in self.texts:
            return self.texts[value], ATOM
        return self.line(self.makers[value]) if value in self.folded else (self.name(value), ATOM)

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
        if function.text in _BINARY and len(args) == 2 and not line.kwargs and _has_dtype(args):
            return self.binary(*_BINARY[function.text], *_number_first(line))
        if function.text in _UNARY and not line.kwargs and _has_dtype(args):
            return f"{_UNARY[function.text]}{self.operand(args[0], SIGN)}", SIGN
        if function.text == "np.square" and not line.kwargs and _has_dtype(args):
            return self.binary("**", POWER, args[0], 2)
        if function.text in _METHODS and _has_dtype(args):
            return self.reduction(line)
        if function.text == "{0}[{1}]":
            return f"{self.operand(args[0], ATOM)}[{self.index(args[1])}]", ATOM
        if function.form == "astype":
            return f"{self.operand(args[0], ATOM)}.astype({self.operand(args[1])})", ATOM
        if function.text == "np.transpose" and len(args) == 1 and line.kwargs.get("axes") is None:
            return self.transposed(args[0])
        if function.text == "np.reshape" and len(args) == 2 and not line.kwargs and _has_dtype(args):
            return f"{self.operand(args[0], ATOM)}.reshape({extents(args[1])})", ATOM
        if function.form == "operation":
            return self.call(self.called(function.apply, function.text.removeprefix("op_")), args, line.kwargs), ATOM
        return self.call(function.text.replace("np.absolute", "np.abs"), args, line.kwargs), ATOM

    def call(self, name: str, args: Any, kwargs: Any) -> str:
        """Return a call with these arguments."""
        named = [f"{key}={self.operand(x)}" for key, x in kwargs.items()]
        return f"{name}({', '.join([*[self.operand(x) for x in args], *named])})"

    def of_numbers(self, template: str, args: Any) -> Text:
        """Return an expression of Python numbers."""
        parts = template.split()
        if len(parts) == 3:
            return self.binary(parts[1], _OF_NUMBERS[parts[1]], *args)
        return (f"-{self.operand(args[0], SIGN)}", SIGN) if template[0] == "-" else (self.call("abs", args, {}), ATOM)

    def binary(self, symbol: str, level: int, a: Any, b: Any) -> Text:
        """Return two operands with an operator between them."""
        left, right = (level + 1, level) if level == POWER else (level, level + 1)
        if level == COMPARED:
            left = right = COMPARED + 1
        return f"{self.operand(a, left)} {symbol} {self.operand(b, right)}", level

    def transposed(self, x: Any) -> Text:
        """Return a matrix with its axes exchanged."""
        return f"{self.operand(x, ATOM)}.T", ATOM

    def reduction(self, line: Line) -> Text:
        """Return a sum or the like: a method of a name, a function of an expression."""
        usual = {} if "arg" in line.function.text else {"axis": 0}
        given = usual | dict(zip(("axis", "dtype", "out", "keepdims"), line.args[1:], strict=False)) | line.kwargs
        idle = {"axis": None, "dtype": None, "out": None, "keepdims": False}
        kept = {key: x for key, x in given.items() if not (key in idle and x is idle[key])}
        if isinstance(kept.get("axis"), tuple) and len(kept["axis"]) == 1:
            kept["axis"] = kept["axis"][0]
        x: Any = line.args[0]
        if kept.get("initial") in (np.inf, -np.inf) and x.concrete.size:
            del kept["initial"]
        name = _METHODS[line.function.text]
        text, level = self.argument(x)
        if level == ATOM and "(" not in text:
            return self.call(f"{text}.{name}", (), kept), ATOM
        return self.call(f"np.{name}", (x,), kept), ATOM

    def index(self, index: Any) -> str:
        """Return the text of an index, with colons where that is how one writes it."""
        parts = index if isinstance(index, tuple) else (index,)
        texts = [self.place(part) for part in parts]
        return ", ".join(texts) + ("," if isinstance(index, tuple) and len(parts) == 1 else "") if parts else "()"

    def place(self, part: Any) -> str:
        """Return the text of one part of an index."""
        if isinstance(part, slice):
            ends = ["" if x is None else self.operand(x) for x in (part.start, part.stop)]
            return ":".join(ends) + ("" if part.step is None else f":{self.operand(part.step)}")
        return "..." if part is Ellipsis else self.operand(part)


class Derivation(Notation):
    """The same in the notation of a derivation: · for products of matrices, ∘ for those of entries, dL/dx."""

    def line(self, line: Line) -> Text:
        """Return the expression that computes a line's outputs."""
        text, level = super().line(line)
        return text.replace("np.", ""), level

    def binary(self, symbol: str, level: int, a: Any, b: Any) -> Text:
        """Return two operands with an operator between them."""
        arrays = all(isinstance(x, Value) and x.shape for x in (a, b))
        return super().binary({"@": "·", "*": "∘" if arrays else "*"}.get(symbol, symbol), level, a, b)

    def transposed(self, x: Any) -> Text:
        """Return a matrix with its axes exchanged."""
        return f"{self.operand(x, ATOM)}ᵀ", ATOM

    def reduction(self, line: Line) -> Text:
        """Return a sum as Σ, anything else as it is called."""
        if line.function.text == "np.add.reduce" and not line.kwargs.get("keepdims"):
            return f"Σ {self.operand(line.args[0], TIMES + 1)}", TIMES
        return super().reduction(line)


def extents(shape: Any) -> str:
    """Return a shape as it stands among arguments: without parentheses if it can."""
    return ", ".join(map(str, shape)) if isinstance(shape, tuple) and shape else str(shape)


def _has_dtype(args: Any) -> bool:
    """Return whether there is an array among the operands, or a NumPy scalar: Python's operators are then NumPy's."""
    return any(getattr(x, "dtype", None) is not None for x in args)


def _number_first(line: Line) -> tuple[Any, Any]:
    """Return the operands, of a product first the number."""
    a, b = line.args
    number = not isinstance(b, (Value, np.ndarray)) or b.dtype is None
    return (b, a) if line.function.text == "np.multiply" and number and isinstance(a, Value) and a.shape else (a, b)


def constant(x: np.ndarray) -> str | None:
    """Return the text of a constant array, None if it is too large for text."""
    dtype = "" if x.dtype in (float, np.dtype(int), bool) else f", {literal(x.dtype)}"
    shape = x.shape[0] if x.ndim == 1 else x.shape
    if x.ndim and x.size and x.dtype.kind == "f" and (x == x.flat[0]).all():
        number = literal(float(str(x.flat[0])))
        filled = {"0.0": f"np.zeros({shape}", "1.0": f"np.ones({shape}"}.get(number, f"np.full({shape}, {number}")
        return f"{filled}{dtype})"
    steps = np.unique(np.diff(x)) if x.ndim == 1 and x.size > 2 and x.dtype == int else np.zeros(0)
    if steps.size == 1 and steps[0] > 0:
        start, step = int(x[0]), int(steps[0])
        stop = start + step * x.size
        return f"np.arange({f'{start}, ' if start or step > 1 else ''}{stop}{f', {step}' if step > 1 else ''})"
    if x.ndim == 2 and x.dtype.kind == "f" and np.array_equal(x, np.eye(len(x), x.shape[1])):
        return f"np.eye({extents(x.shape) if x.shape[0] != x.shape[1] else len(x)}{dtype})"
    if x.size > _FEW or not x.size or x.dtype.kind not in "bif":
        return literal_array(x)
    text = f"np.array({literal_list(x.tolist())}{dtype})"
    return text if len(text) <= _LONG else None


def literal_list(x: Any) -> str:
    """Return the text of nested lists of numbers."""
    return f"[{', '.join(map(literal_list, x))}]" if isinstance(x, list) else literal(x)
