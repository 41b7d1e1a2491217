"""Lines of a program as Python: operators, calls, indices, literals."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ..numpy_calls import OPERATORS
from ..program import Function, Line, Value
from ..trace.traced_call import Placeholder
from .literals import WRITTEN, literal, nested

# How ufuncs are written as Python's operators.
TEMPLATES = {f"np.{ufunc.__name__}": text for name, (text, ufunc) in OPERATORS.items() if name != "abs"}
TEMPLATES |= {
    "np.matmul": "{0} @ {1}", "np.bitwise_and": "{0} & {1}", "np.bitwise_or": "{0} | {1}",
    "np.bitwise_xor": "{0} ^ {1}", "np.square": "{0} ** 2", "np.positive": "+{0}", "np.invert": "~{0}",
}  # fmt: skip
METHODS = {
    "np.add.reduce": "sum", "np.multiply.reduce": "prod", "np.maximum.reduce": "max", "np.minimum.reduce": "min",
    "np.logical_and.reduce": "all", "np.logical_or.reduce": "any", "np.mean": "mean", "np.argmax": "argmax",
    "np.argmin": "argmin", "np.add.accumulate": "cumsum", "np.multiply.accumulate": "cumprod",
}  # fmt: skip
Called = Callable[[Any, str], str]  # returns the name of a function, given a wish
CHANGING = ("setitem", "at")  # kinds that copy an array, and change entries of the copy


def _identifier(_: Any, wish: str) -> str:
    return re.sub(r"\W", "_", wish)


class Notation:
    """Writes lines. `name` returns the name of a value, `called` that of a function.

    `folded` has the lines of values that are written as expressions, `texts` the texts of others. An operator's operand
    is put in parentheses if it is more than a name, a number or a call.
    """

    def __init__(self, name: Callable[[Value], str], folded: dict[Value, Line], called: Called = _identifier) -> None:
        self.name: Callable[[Value], str] = name
        self.folded: dict[Value, Line] = folded
        self.called: Called = called
        self.texts: dict[Value, str] = {}

    # Operands.

    def inner(self, x: Any) -> str:
        """Return the text of what an operator is applied to."""
        text = self.operand(x)
        return text if re.fullmatch(r"[\w.]+(e-\d+|\([^()]*\))?", text) else f"({text})"

    def operand(self, x: Any) -> str:
        """Return an argument's text."""
        if isinstance(x, Value):
            return self.texts.get(x) or (self.line(self.folded[x]) if x in self.folded else self.name(x))
        if isinstance(x, slice):
            return self.call("slice", (x.start, x.stop, x.step), {})
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return self.call(self.called(type(x), type(x).__name__), x, {})
        if isinstance(x, (tuple, list)):
            return nested(self.operand, x)
        known = isinstance(x, (type, *WRITTEN))
        return literal(x) if known else self.called(x, getattr(x, "__name__", type(x).__name__))

    def index(self, index: Any) -> str:
        """Return the text of an index, with colons for slices."""
        parts = index if isinstance(index, tuple) else (index,)
        pair = len(parts) == 1 and isinstance(parts[0], tuple)  # x[(0, 1),] has two rows, x[0, 1] is an entry
        return ", ".join(map(self.part_of_index, parts)) + "," * pair or "()"

    def part_of_index(self, part: Any) -> str:
        """Return the text of one part of an index."""
        if isinstance(part, slice):
            ends = ["" if x is None else self.operand(x) for x in (part.start, part.stop)]
            return ":".join(ends) + ("" if part.step is None else f":{self.operand(part.step)}")
        return "..." if part is Ellipsis else self.operand(part)

    # Expressions.

    def infix(self, line: Line) -> bool:
        """Return whether a ufunc is written as Python's operator, as beside an array or a NumPy scalar."""
        return any(getattr(x, "dtype", None) is not None for x in line.args)

    def line(self, line: Line) -> str:
        """Return the expression that computes a line's outputs."""
        function, args = line.function, line.args
        if function.kind == "operation":
            defaults = line.span.operation.defaults if line.span is not None else {}
            kwargs = {key: x for key, x in line.kwargs.items() if key not in defaults or x is not defaults[key]}
            return self.call(self.function(function), args[:-1] if args[-1:] == (None,) else args, kwargs)
        if function.text == "{0}[{1}]":
            return f"{self.inner(args[0])}[{self.index(args[1])}]"
        if "{0}" in function.text:
            return self.templated(function.text, args)
        template = TEMPLATES.get(function.text, "")
        if len(args) == template.count("{") > 0 and not line.kwargs and self.infix(line):
            return self.templated(template, args)
        if function.text in METHODS and self.infix(line):
            return self.reduction(line)
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
            return function.text.replace("np.absolute", "np.abs")
        owner = getattr(function.apply, "__self__", None)
        ufunc: Any = owner if isinstance(owner, np.ufunc) else function.write or function.apply
        method = "" if ufunc is function.apply else f".{function.text.rpartition('.')[2]}"
        return f"{self.called(ufunc, ufunc.__name__)}{method}"

    def call(self, name: str, args: Any, kwargs: Any, *more: str) -> str:
        """Return a call with these arguments."""
        named = [f"{key}={self.operand(x)}" for key, x in kwargs.items()]
        return f"{name}({', '.join([*map(self.operand, args), *named, *more])})"

    def templated(self, template: str, args: Any) -> str:
        """Return operands with an operator; in a product, the number is first."""
        if template == "{0} * {1}" and getattr(args[0], "shape", None) and getattr(args[1], "dtype", None) is None:
            args = args[::-1]
        return template.format(*map(self.inner, args))

    def reduction(self, line: Line) -> str:
        """Return a sum or another reduction: a method of a name, a function of an expression."""
        x, *settings = line.args
        usual = {"axis": 0} if line.function.text.endswith((".reduce", ".accumulate")) else {}
        given = usual | dict(zip(("axis", "dtype", "out", "keepdims"), settings, strict=False)) | line.kwargs
        kept = {key: setting for key, setting in given.items() if setting is not None and setting is not False}
        axes: Any = kept.get("axis")
        if np.size(axes) == len(x.shape) and not kept.get("keepdims"):
            kept.pop("axis", None)
        elif isinstance(axes, tuple) and len(axes) == 1:
            kept["axis"] = axes[0]
        if kept.get("initial") in (np.inf, -np.inf) and x.concrete.size:
            del kept["initial"]
        name, text = METHODS[line.function.text], self.operand(x)
        return self.call(f"{text}.{name}", (), kept) if text.isidentifier() else self.call(f"np.{name}", (x,), kept)

    # Statements.

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

    def assigned(self, line: Line) -> str:
        """Return a line as an assignment to the names of its outputs."""
        names = ", ".join(map(self.name, line.outputs))
        return f"{names}{',' * (line.several and len(line.outputs) == 1)} = {self.line(line)}"

    def copy_of(self, x: Any) -> str:
        """Return the expression of a copy."""
        return f"{self.inner(x)}.copy()"

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
        _, index, *more = line.args
        if line.function.kind == "setitem":
            return f"{name}[{self.index(index)}] = {self.operand(more[0])}"
        where = f"np.s_[{self.index(index)}]" if isinstance(index, tuple) else self.operand(index)
        return f"{self.function(line.function)}({', '.join([name, where, *map(self.operand, more)])})"

    def result(self, tree: Any, outputs: list[Value], constant: Callable[[Any], str]) -> str:
        """Return the text of what a function returns; `constant` returns that of what no line computes."""

        def leaf(x: Any) -> str:
            if isinstance(x, Placeholder):
                return self.operand(outputs[x.number])
            return nested(leaf, tuple(x)) if isinstance(x, tuple) else constant(x)

        return nested(leaf, tree)


def is_transpose(line: Line) -> bool:
    """Return whether a line exchanges the axes of a matrix."""
    axes = [*line.args[1:], *line.kwargs.values()]
    plain = line.function.text in ("np.transpose", "np.matrix_transpose") and axes in ([], [None], [(1, 0)])
    return plain and isinstance(line.args[0], Value) and len(line.args[0].shape) == 2
