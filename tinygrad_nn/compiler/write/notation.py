"""Lines of a program as expressions in infix NumPy, as one would write them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ..program import Function, Line, Value
from ..trace.traced_call import Placeholder
from .expressions import CHANGING, Expressions
from .literals import literal, nested

METHODS = {
    "np.add.reduce": "sum", "np.multiply.reduce": "prod", "np.maximum.reduce": "max", "np.minimum.reduce": "min",
    "np.logical_and.reduce": "all", "np.logical_or.reduce": "any", "np.mean": "mean", "np.argmax": "argmax",
    "np.argmin": "argmin", "np.add.accumulate": "cumsum", "np.multiply.accumulate": "cumprod",
}  # fmt: skip


class Notation(Expressions):
    """Infix NumPy. `folded` has the lines of values that are written as expressions, `texts` the texts of others."""

    def __init__(
        self, name: Callable[[Value], str], folded: dict[Value, Line],
        called: Callable[[Any, str], str] = lambda function, wish: re.sub(r"\W", "_", wish),
    ) -> None:  # fmt: skip
        super().__init__(name, called)
        self.folded = folded
        self.texts: dict[Value, str] = {}

    def value(self, value: Value) -> str:
        """Return the name of a value, or its expression."""
        if value in self.texts:
            return self.texts[value]
        return self.line(self.folded[value]) if value in self.folded else super().value(value)

    def line(self, line: Line) -> str:
        """Return the expression that computes a line's outputs."""
        function, args = line.function, line.args
        if function.kind == "operation":
            defaults = line.span.operation.defaults if line.span is not None else {}
            more = {key: x for key, x in line.kwargs.items() if key not in defaults or x is not defaults[key]}
            return self.call(self.function(function), args[:-1] if args[-1:] == (None,) else args, more)
        if function.text in METHODS and self.infix(line):
            return self.reduction(line)
        return super().line(line)

    def function(self, function: Function) -> str:
        """Return the name of a line's function, the shorter one of two."""
        return super().function(function).replace("np.absolute", "np.abs")

    def statements(self, line: Line) -> list[str]:
        """Return the statements that compute a line's outputs, or stop the program."""
        if line.function.kind == "guard":
            found = self.guard(line)
        elif line.function.kind in CHANGING:
            x, name = line.args[0], self.name(line.outputs[0])
            fresh = isinstance(x, Value) and x in self.folded and self.folded[x].function.kind == "zeros"
            found = [f"{name} = {self.operand(x) if fresh else self.copy_of(x)}", self.in_place(line, name)]
        else:
            found = [self.assigned(line)]
        # As Python writes it: without parentheses that it does not need.
        return ast.unparse(ast.parse("\n".join(found))).split("\n")

    def result(self, tree: Any, outputs: list[Value]) -> str:
        """Return the text of what a function returns."""

        def leaf(x: Any) -> str:
            if isinstance(x, Placeholder):
                return self.operand(outputs[x.number])
            return nested(leaf, tuple(x)) if isinstance(x, tuple) else self.constant(x)

        return nested(leaf, tree)

    def constant(self, x: Any) -> str:
        """Return the text of a result that no line computes."""
        return literal(x) if isinstance(x, (int, float, str)) else "None"

    def copy_of(self, x: Any) -> str:
        """Return the expression of a copy."""
        return f"{self.inner(x)}.copy()"

    def in_place(self, line: Line, name: str) -> str:
        """Return the statement that changes entries of the array of this name."""
        if line.function.text != "np.add.at":
            return super().in_place(line, name)
        _, index, g = line.args
        where = f"np.s_[{self.index(index)}]" if isinstance(index, tuple) else self.operand(index)
        return f"np.add.at({name}, {where}, {self.operand(g)})"  # an index may occur twice

    def templated(self, template: str, args: Any) -> str:
        """Return operands with an operator; in a product, the number is first."""
        if template == "{0} * {1}" and getattr(args[0], "shape", None) and getattr(args[1], "dtype", None) is None:
            args = args[::-1]
        return super().templated(template, args)

    def reduction(self, line: Line) -> str:
        """Return a sum or another reduction: a method of a name, a function of an expression."""
        usual = {"axis": 0} if line.function.text.endswith((".reduce", ".accumulate")) else {}
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
        name, text = METHODS[line.function.text], self.operand(x)
        return self.call(f"{text}.{name}", (), kept) if text.isidentifier() else self.call(f"np.{name}", (x,), kept)
