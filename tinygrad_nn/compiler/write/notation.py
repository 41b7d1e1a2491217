"""Lines of a program as expressions: in infix NumPy, and in the notation of a derivation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..program import Function, Line, Value
from .expressions import ATOM, SIGN, TIMES, Expressions, Text

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
        return any(getattr(x, "dtype", None) is not None for x in line.args)

    def line(self, line: Line) -> Text:
        """Return the expression that computes a line's outputs."""
        function, args = line.function, line.args
        if function.form == "operation":
            defaults = line.span.operation.defaults if line.span is not None else {}
            more = {key: x for key, x in line.kwargs.items() if key not in defaults or x is not defaults[key]}
            return self.call(self.function(function), args[:-1] if args[-1:] == (None,) else args, more)
        if function.text in _UNARY and not line.kwargs and self.infix(line):
            return f"{_UNARY[function.text]}{self.operand(args[0], SIGN)}", SIGN
        if function.text == "np.square" and not line.kwargs and self.infix(line):
            return self.binary("**", args[0], 2)
        if function.text in _METHODS and self.infix(line):
            return self.reduction(line)
        return super().line(line)

    def function(self, function: Function) -> str:
        """Return the name of a line's function, the short one of two."""
        return super().function(function).replace("np.absolute", "np.abs")

    def statements(self, line: Line) -> list[str]:
        """Return the statements that compute a line's outputs."""
        form, text = line.function.form, line.function.text
        if form not in ("setitem", "at", "add", "into"):
            return [self.assigned(line)]
        x, name = line.args[0], self.name(line.outputs[0])
        fresh = isinstance(x, Value) and x in self.folded and self.makers[x].function.form == "zeros"
        first = f"{name} = {self.operand(x, ATOM)}{'' if fresh else '.copy()'}"
        if form != "into" and text != "np.add.at":
            return [first, self.in_place(line, name)]
        index, g = (line.args[-1], line.args[1]) if form == "into" else line.args[1:]
        if not any(isinstance(part, (Value, list)) for part in (index if isinstance(index, tuple) else (index,))):
            return [first, f"{name}[{self.index(index)}] += {self.operand(g)}"]
        where = f"np.s_[{self.index(index)}]" if isinstance(index, tuple) else self.operand(index)
        return [first, f"np.add.at({name}, {where}, {self.operand(g)})"]  # an entry may be named twice

    def binary(self, symbol: str, a: Any, b: Any) -> Text:
        """Return two operands with an operator between them, of a product first the number."""
        if symbol == "*" and getattr(a, "shape", None) and getattr(b, "dtype", None) is None:
            a, b = b, a
        return super().binary(symbol, a, b)

    def reduction(self, line: Line) -> Text:
        """Return a sum or the like: a method of a name, a function of an expression."""
        usual = {} if "arg" in line.function.text else {"axis": 0}
        given = usual | dict(zip(("axis", "dtype", "out", "keepdims"), line.args[1:], strict=False)) | line.kwargs
        idle = {"axis": None, "dtype": None, "out": None, "keepdims": False}
        kept = {key: x for key, x in given.items() if not (key in idle and x is idle[key])}
        x: Any = line.args[0]
        axes: Any = kept.get("axis")
        if np.size(axes) == len(x.shape) and not kept.get("keepdims"):
            kept.pop("axis", None)
        elif isinstance(axes, tuple) and len(axes) == 1:
            kept["axis"] = axes[0]
        if kept.get("initial") in (np.inf, -np.inf) and x.concrete.size:
            del kept["initial"]
        name, (text, level) = _METHODS[line.function.text], self.argument(x)
        if level == ATOM and "(" not in text:
            return self.call(f"{text}.{name}", (), kept)
        return self.call(f"np.{name}", (x,), kept)


class Derivation(Notation):
    """The same in the notation of a derivation: · for products of matrices, ∘ for those of entries, dL/dx."""

    def line(self, line: Line) -> Text:
        """Return the expression that computes a line's outputs."""
        text, level = super().line(line)
        return text.replace("np.", ""), level

    def binary(self, symbol: str, a: Any, b: Any) -> Text:
        """Return two operands with an operator between them."""
        arrays = all(isinstance(x, Value) and x.shape for x in (a, b))
        return super().binary({"@": "·", "*": "∘" if arrays else "*"}.get(symbol, symbol), a, b)

    def transposed(self, x: Any) -> Text:
        """Return a matrix with its axes exchanged."""
        return f"{self.operand(x, ATOM)}ᵀ", ATOM

    def reduction(self, line: Line) -> Text:
        """Return a sum as Σ, anything else as it is called."""
        if line.function.text == "np.add.reduce" and not line.kwargs.get("keepdims"):
            return f"Σ {self.operand(line.args[0], SIGN)}", TIMES
        return super().reduction(line)
