"""Peephole rewrites for people: what is equal up to rounding is written in the usual way."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..lower.rewrites import with_folded_constants, without_dead_lines
from ..numpy_calls import of_method, of_numpy
from ..program import Function, Line, Program, Value, mapped
from .notation import is_transpose

SUM = of_method(np.add, "reduce")
MEAN = Function("np.mean", np.mean)
SAME = Function("{0}", np.positive, "operator")


def readable(program: Program, roots: list[Value], backward: set[Value]) -> Program:
    """Return the program as people would write it, without its guards, with the roots of its backward passes.

    No value of the program itself is changed; `instead` maps replaced values to their replacements. An output that is
    the same as another value is that value; one of the backward passes that is one of the forward pass keeps its line.
    """
    program = program.copy()
    program.lines = [line for line in program.lines if line.function.kind != "guard"]
    program.outputs += [root for root in dict.fromkeys(roots) if root not in program.outputs]
    # A view of a constant becomes a constant, too, unless the user named the constant.
    program = with_folded_constants(program, [v for v in program.constants if v.name.endswith("#")])
    makers = program.makers
    unnamed = {v for v in program.constants if v.name.endswith("#")}
    for line in program.lines:
        line.args, line.kwargs = mapped(program.present, (line.args, line.kwargs))
        if line.function.kind == "ufunc" and line.function.text != "np.matmul" and not line.kwargs:
            line.args = tuple([_number(x, line) if x in unnamed else x for x in line.args])
        for rewrite in (_as_argument, _with_sums, _with_means):
            if line.args and (found := rewrite(line, makers)):
                line.function, line.args, line.kwargs = found
        if line.function is SAME:
            program.instead[line.outputs[0]] = line.args[0]
    same = [(v, program.present(v)) for v in program.outputs]
    program.outputs = [v if v in backward and x not in backward else x for v, x in same]
    return without_dead_lines(program)


_IDLE = {"np.copy", "np.asarray", "np.positive", "np.reshape", "np.broadcast_to", "np.add.reduce"}


def _as_argument(line: Line, makers: dict[Value, Line]) -> Any:
    """Write x for 1 x, x to the power of 1, a copy, (xᵀ)ᵀ, and a sum or another view that has the size of x."""
    text, (x, *more) = line.function.text, line.args
    others = [other for other in line.args if not (isinstance(other, (int, float, np.generic)) and other == 1)]
    same = x if text in _IDLE and line.kwargs.keys().isdisjoint(("initial", "where")) else None
    if text == "setitem" and more[0] is Ellipsis:
        same = more[1]
    elif text in ("np.multiply", "np.power") and len(others) == 1:
        same = others[0] if text == "np.multiply" or others[0] is x else None
    elif is_transpose(line) and (inner := makers.get(x)) is not None and is_transpose(inner):
        same = inner.args[0]
    return (SAME, (same,), {}) if _is_like(same, line.outputs[0]) else None


def _is_like(x: Any, y: Value) -> bool:
    return isinstance(x, Value) and x.shape == y.shape and x.dtype == y.dtype


def _number(value: Value, line: Line) -> Any:
    """Return the number that fills a constant, if another operand alone gives the result its shape and dtype."""
    x, y = value.concrete, line.outputs[0]
    enough = any(_is_like(v, y) for v in line.reads() if v is not value)
    if not enough or y.dtype.kind != "f" or x.dtype != y.dtype or not x.size or not (x == x.flat[0]).all():
        return value
    return _whole(float(str(x.flat[0])))


def _whole(x: Any) -> Any:
    """Return a number as it is written beside floats: 2 for 2.0."""
    return int(x) if type(x) is float and x.is_integer() and abs(x) < 1e6 else x


def _made(x: Any, makers: dict[Value, Line], *texts: str) -> Line | None:
    """Return the line that computes x, if it does so by one of these functions."""
    line = makers.get(x) if isinstance(x, Value) else None
    return line if line is not None and line.function.text in texts else None


def _with_sums(line: Line, makers: dict[Value, Line]) -> Any:
    """Write the product with a vector of ones, and the sum over a column, as sums over an array."""
    if line.function.text == "np.matmul":
        unnamed = [v.name == "constant#" and v not in makers and len(v.shape) == 1 for v in line.args]
        ones = [here and bool((v.concrete == 1).all()) for here, v in zip(unnamed, line.args, strict=True)]
        x = line.args[ones[0]]
        return (SUM, (x,), {"axis": len(x.shape) - 1 - ones[0]}) if sum(ones) == 1 else None
    summed = _made(line.args[0], makers, "np.add.reduce") if line.function.text == "np.reshape" else None
    if summed is None or set(summed.kwargs) != {"axis"} or line.outputs[0].shape:
        return None
    column = _made(summed.args[0], makers, "np.reshape") or summed
    return SUM, column.args[:1], {"axis": None}


def _with_means(line: Line, makers: dict[Value, Line]) -> Any:
    """Write a product with 1/n as a quotient if n is a number of entries, and their sum over n as their mean."""
    text, (x, n, *_) = line.function.text, (*line.args, None)
    if text == "np.multiply" and not line.kwargs:
        x, n = (n, x) if isinstance(x, float) else (x, n)
        if isinstance(x, Value) and x.dtype is not None and isinstance(n, float) and 1e-9 < abs(n) < 0.5:
            count = round(1 / n)
            if x.dtype.type(n) == x.dtype.type(1 / count) and abs(count) in (x.concrete.size, *x.shape):
                text, n = "np.divide", count
    if text not in ("np.divide", "{0} / {1}") or line.kwargs:
        return None
    summed = _made(x, makers, "np.add.reduce")
    if summed is not None and not isinstance(n, Value) and set(summed.kwargs) <= {"axis", "keepdims"}:
        (whole,) = summed.args
        if whole.dtype.char in "fd?" and float(n) * x.concrete.size == whole.concrete.size > 0:
            return MEAN, (whole,), {"axis": 0} | summed.kwargs
    return (of_numpy(np.divide), (x, _whole(n)), {}) if text == "np.divide" else None
