"""A program in the words that people use: what is equal up to rounding is written as one says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .functions import of_method, of_numpy
from .rewrites import without_dead_lines
from .values import Function, Line, Program, Value

SUM = of_method(np.add, "reduce")
MEAN = Function("np.mean", np.mean)

# What a pattern binds: a call by its text, with operands that are patterns, names, or numbers.
_EXPONENTIAL = ("np.exp", ("np.negative", ("np.absolute", "x")))
_SHIFTED = ("np.exp", ("np.subtract", "x", ("np.maximum.reduce", "x")))
PATTERNS: dict[str, Any] = {
    "sigmoid": ("np.divide", ("np.where", ("np.less", "x", 0), _EXPONENTIAL, 1), ("np.add", 1, _EXPONENTIAL)),
    "softmax": ("np.divide", _SHIFTED, ("np.add.reduce", _SHIFTED)),
}
DEFINITIONS = {
    "sigmoid": '''
def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)
''',
    "softmax": '''
def softmax(x, axis):
    """exp(x) / sum of exp(x), without overflow."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)
''',
}


def readable(program: Program) -> Program:
    """Return the program without its guards, in people's words."""
    program = program.copy()
    program.lines = [line for line in program.lines if line.function.form != "guard"]
    program = without_dead_lines(program)
    makers = {output: line for line in program.lines for output in line.outputs}
    for line in program.lines:
        for reading in _READINGS:
            reading(line, makers)
    return without_dead_lines(program)


def _matches(x: Any, pattern: Any, makers: dict[Value, Line], bound: dict[str, Any]) -> bool:
    """Return whether a value was computed as the pattern says, and bind what its names stand for."""
    if isinstance(pattern, str):
        return bound.setdefault(pattern, x) is x
    if not isinstance(pattern, tuple):
        return not isinstance(x, Value) and isinstance(x, (int, float)) and x == pattern
    line = makers.get(x) if isinstance(x, Value) else None
    if line is None or line.function.text != pattern[0]:
        return False
    if line.function.text.endswith(".reduce"):
        axis = line.kwargs.get("axis", 0)
        if not line.kwargs.get("keepdims") or bound.setdefault("axis", axis) != axis:
            return False
    return len(line.args) == len(pattern) - 1 and all(
        _matches(part, wanted, makers, bound) for part, wanted in zip(line.args, pattern[1:], strict=True)
    )


def _named(line: Line, makers: dict[Value, Line]) -> None:
    """Call a stable form by its name."""
    for name, pattern in PATTERNS.items():
        bound: dict[str, Any] = {}
        if line.function.text == pattern[0] and _matches(line.outputs[0], pattern, makers, bound):
            line.function, line.args = Function(name, line.function.apply), (bound.pop("x"),)
            axis = bound.get("axis")
            line.kwargs = {"axis": axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis} if bound else {}


def _sum_over_rows(line: Line, makers: dict[Value, Line]) -> None:
    """Write the product of a row of ones with a matrix as the sum over its rows."""
    if line.function.text != "np.matmul" or line.kwargs:
        return
    ones, x = line.args
    if not (isinstance(ones, Value) and isinstance(x, Value)) or ones in makers or x.concrete.ndim != 2:
        return
    if ones.concrete.ndim == 1 and ones.name == "constant#" and ones.concrete.size and (ones.concrete == 1).all():
        line.function, line.args, line.kwargs = SUM, (x,), {"axis": 0}


def _share(line: Line, makers: dict[Value, Line]) -> None:
    """Write a product with 1/n as a quotient, where n is a number of entries."""
    if line.function.text != "np.multiply" or line.kwargs or len(line.args) != 2:
        return
    for x, factor in (line.args, line.args[::-1]):
        if not (isinstance(x, Value) and isinstance(factor, float) and 0 < factor < 1):
            continue
        n = round(1 / factor)
        if factor == 1 / n and n in (x.concrete.size, *x.shape):
            line.function, line.args = of_numpy(np.divide), (x, n)
            return


def _mean(line: Line, makers: dict[Value, Line]) -> None:
    """Write a sum over n entries, divided by n, as their mean."""
    if line.function.text not in ("np.divide", "{0} / {1}") or line.kwargs or len(line.args) != 2:
        return
    total, n = line.args
    summed = makers.get(total) if isinstance(total, Value) else None
    if summed is None or summed.function.text != "np.add.reduce" or isinstance(n, Value):
        return
    (x,) = summed.args
    if set(summed.kwargs) <= {"axis", "keepdims"} and isinstance(x, Value) and x.dtype.char in "fd":
        if float(n) * total.concrete.size == x.concrete.size > 0:
            line.function, line.args, line.kwargs = MEAN, (x,), {"axis": 0} | summed.kwargs


def _whole(line: Line, makers: dict[Value, Line]) -> None:
    """Write a float that is a whole number without its point, beside floats."""
    if line.function.form == "ufunc" and any(v.dtype is not None and v.dtype.kind == "f" for v in line.reads()):
        line.args = tuple([int(x) if type(x) is float and x.is_integer() and abs(x) < 1e6 else x for x in line.args])


_READINGS: list[Callable[[Line, dict[Value, Line]], None]] = [_named, _sum_over_rows, _share, _mean, _whole]
