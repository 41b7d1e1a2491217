"""Lines of a program as expressions: in infix NumPy, and in the notation of a derivation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..program import Function, Line, Value
from .expressions import ATOM, POWER, SIGN, TIMES, Expressions, Text
from .literals import literal, literal_array

_LONG, _FEW = 72, 16
_UNARY = {"np.negative": "-", "np.invert": "~", "np.positive": "+"}
_METHODS = {
    "np.add.reduce": "sum", "np.multiply.reduce": "prod", "np.maximum.reduce": "max", "np.minimum.reduce": "min",
    "np.logical_and.reduce": "all", "np.logical_or.reduce": "any", "np.mean": "mean", "np.argmax": "argmax",
    "np.argmin": "argmin", "np.add.accumulate": "cumsum", "np.multiply.accumulate": "cumprod",
}  # fmt: skip


class Notation(Expressions):
    """Infix NumPy. `folded` are the values that are written as the expression that computes them."""

    def __init__(
        self, name: Callable[[Value], str], makers: dict[Value, Line], folded: set[Value],
        called: Callable[[Any, str], str] = lambda function, wish: wish,
    ) -> None:  # fmt: skip
        super().__init__(name, called)
        self.makers, self.folded = makers, folded
        self.texts: dict[Value, str] = {}

    def value(self, value: Value) -> Text:
        """Return the name of a value, or its expression."""
        if value in self.texts:
            return self.texts[value], ATOM
        return self.line(self.makers[value]) if value in self.folded else super().value(value)

    def infix(self, line: Line) -> bool:
        """Return whether Python's operators are NumPy's: beside an array, or a NumPy scalar."""
        return _has_dtype(line.args)

    def line(self, line: Line) -> Text:
        """Return the expression that computes a line's outputs."""
        function, args = line.function, line.args
        if function.form == "operation":
            defaults = line.span.operation.defaults if line.span is not None else {}
            more = {key: x for key, x in line.kwargs.items() if key not in defaults or x is not defaults[key]}
            given = args[:-1] if args[-1:] == (None,) else args
            return self.call(self.function(function), given, more), ATOM
        if function.text in _UNARY and not line.kwargs and _has_dtype(args):
            return f"{_UNARY[function.text]}{self.operand(args[0], SIGN)}", SIGN
        if function.text == "np.square" and not line.kwargs and _has_dtype(args):
            return self.binary("**", POWER, args[0], 2)
        if function.text in _METHODS and _has_dtype(args):
            return self.reduction(line)
        if is_transpose(line):
            return self.transposed(args[0])
        if function.text == "np.reshape" and len(args) == 2 and not line.kwargs and _has_dtype(args):
            return f"{self.operand(args[0], ATOM)}.reshape({extents(args[1])})", ATOM
        return super().line(line)

    def function(self, function: Function) -> str:
        """Return the name of a line's function, the short one of two."""
        return super().function(function).replace("np.absolute", "np.abs")

    def statements(self, line: Line) -> list[str]:
        """Return the statements that compute a line's outputs."""
        names = ", ".join(map(self.name, line.outputs)) + ("," if line.several and len(line.outputs) == 1 else "")
        x = line.args[0] if line.args else None
        if line.function.form not in ("setitem", "at", "add", "into"):
            return [f"{names} = {self.line(line)[0]}"]
        fresh = isinstance(x, Value) and x in self.folded and self.makers[x].function.form == "zeros"
        first = f"{names} = {self.operand(x, ATOM)}{'' if fresh else '.copy()'}"
        if line.function.form == "at" and line.function.text != "np.add.at":
            return [first, f"{self.function(line.function)}({', '.join([names, *map(self.operand, line.args[1:])])})"]
        index, value = (line.args[-1], line.args[1]) if line.function.form == "into" else line.args[1:3]
        parts = index if isinstance(index, tuple) else (index,)
        text, right = self.index(index), self.operand(value)
        if line.function.form == "setitem":
            return [first, f"{names}[{text}] = {right}"]
        if not any(isinstance(part, (Value, list)) for part in parts):
            return [first, f"{names}[{text}] += {right}"]
        text = f"np.s_[{text}]" if ":" in text or "..." in text else self.operand(index)
        return [first, f"np.add.at({names}, {text}, {right})"]  # an entry may be named twice

    def binary(self, symbol: str, level: int, a: Any, b: Any) -> Text:
        """Return two operands with an operator between them, of a product first the number."""
        if symbol == "*" and _is_number(b) and isinstance(a, Value) and a.shape:
            a, b = b, a
        return super().binary(symbol, level, a, b)

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


def is_transpose(line: Line) -> bool:
    """Return whether a line exchanges the axes of a matrix."""
    axes = line.kwargs.get("axes", (*line.args, None)[1]) if line.function.text == "np.transpose" else (1, 0)
    exchanged = line.function.text in ("np.transpose", "np.matrix_transpose") and axes in (None, (1, 0))
    return exchanged and len(line.outputs[0].shape) == 2


def extents(shape: Any) -> str:
    """Return a shape as it stands among arguments: without parentheses if it can."""
    return ", ".join(map(str, shape)) if isinstance(shape, tuple) and shape else str(shape)


def _has_dtype(args: Any) -> bool:
    """Return whether there is an array among the operands, or a NumPy scalar: Python's operators are then NumPy's."""
    return any(getattr(x, "dtype", None) is not None for x in args)


def _is_number(x: Any) -> bool:
    return not isinstance(x, (Value, np.ndarray)) or x.dtype is None


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
