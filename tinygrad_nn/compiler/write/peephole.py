"""Peephole rewrites for people: what is equal up to rounding is written as one says it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..lower.rewrites import without_dead_lines
from ..numpy_calls import of_method, of_numpy
from ..program import Function, Line, Program, Value, mapped

SUM = of_method(np.add, "reduce")
MEAN = Function("np.mean", np.mean)
SAME = Function("{0}", np.positive, "operator")


def readable(program: Program, roots: list[Value], adjoints: set[Value]) -> Program:
    """Return the program without its guards, in people's words, with what its backward passes start from.

    No value of the program itself is changed; `instead` says what is now read in place of what. An output that is
    the same as another value is that value, but for `adjoints`, which have lines of their own.
    """
    program = program.copy()
    program.lines = [line for line in program.lines if line.function.form != "guard"]
    program.outputs += [root for root in dict.fromkeys(roots) if root not in program.outputs]
    _with_constant_views(program)
    _without_idle_lines(program, adjoints)
    makers = {output: line for line in program.lines for output in line.outputs}
    for line in program.lines:
        for rewrite in (_with_sums, _with_comparisons, _with_means, _with_all_axes):
            if line.args and (found := rewrite(line, makers)):
                line.function, line.args, line.kwargs = found
    return without_dead_lines(program)


def _with_constant_views(program: Program) -> None:
    """Take a view of a constant for a constant."""
    known = {v for v in program.constants if v.name.endswith("#")}  # what the user named stays what it is
    for line in list(program.lines):
        arrays = bool(line.outputs) and all(v.dtype is not None for v in line.outputs)
        if arrays and known.issuperset(line.reads()) and any(True for _ in line.reads()):
            line.compute()
            known.update(line.outputs)
            program.constants += line.outputs
            program.lines.remove(line)


def _without_idle_lines(program: Program, adjoints: set[Value]) -> None:
    """Write a constant of equal entries as the number, where the result is no larger for it; read x instead of 1 x."""
    for line in program.lines:
        line.args, line.kwargs = mapped(program.present, line.args), mapped(program.present, line.kwargs)
        if line.function.form == "ufunc" and line.function.text != "np.matmul" and not line.kwargs:
            line.args = tuple([_number(x, line, program) for x in line.args])
        same = _same(line)
        if same is not None and _is_like(same, line.outputs[0]):
            line.function, line.args, line.kwargs = SAME, (same,), {}
            program.instead[line.outputs[0]] = same
    program.outputs = [v if v in adjoints else program.present(v) for v in program.outputs]


def _same(line: Line) -> Any:
    """Return which argument a line gives back, if it is as large: x of 1 x, x to the power of 1, or a copy of x."""
    x, *more = line.args or (None,)
    text = line.function.text
    if text == "setitem" and more[0] is Ellipsis:
        return more[1]
    others = [other for other in line.args if not (type(other) in (int, float) and other == 1)]
    if text in ("np.multiply", "np.power"):
        return others[0] if len(others) == 1 and (text == "np.multiply" or others[0] is x) else None
    return x if text in _IDLE else None


_IDLE = {"np.copy", "np.positive", "np.reshape", "np.broadcast_to", "np.add.reduce"}


def _is_like(x: Any, y: Value) -> bool:
    return isinstance(x, Value) and x.shape == y.shape and x.dtype == y.dtype


def _number(value: Any, line: Line, program: Program) -> Any:
    """Return the number of which a constant consists, if another operand alone makes the result what it is."""
    if value not in program.constants or value.name[-1:] != "#":
        return value
    x, y = value.concrete, line.outputs[0]
    enough = any(_is_like(v, y) for v in line.reads() if v is not value)
    if not enough or y.dtype.kind != "f" or x.dtype != y.dtype or not x.size or not (x == x.flat[0]).all():
        return value
    return _whole(float(str(x.flat[0])))


def _whole(x: float) -> float:
    """Return a number as one writes it beside floats: 2 for 2.0."""
    return int(x) if x.is_integer() and abs(x) < 1e6 else x


def _made(x: Any, makers: dict[Value, Line], *texts: str) -> Line | None:
    """Return the line that computes x, if it does so by one of these functions."""
    line = makers.get(x) if isinstance(x, Value) else None
    return line if line is not None and line.function.text in texts else None


def _with_sums(line: Line, makers: dict[Value, Line]) -> Any:
    """Write the product with a vector of ones, and the sum over a column, as sums over an array."""
    if line.function.text == "np.matmul":
        ones = [v.name == "ones#" and v not in makers and len(v.shape) == 1 for v in line.args]
        x = line.args[ones[0]]
        return (SUM, (x,), {"axis": len(x.shape) - 1 - ones[0]}) if sum(ones) == 1 else None
    summed = _made(line.args[0], makers, "np.add.reduce") if line.function.text == "np.reshape" else None
    if summed is None or set(summed.kwargs) != {"axis"} or line.outputs[0].shape:
        return None
    column = _made(summed.args[0], makers, "np.reshape") or summed
    return SUM, column.args[:1], {"axis": None}


def _with_comparisons(line: Line, makers: dict[Value, Line]) -> Any:
    """Write where(a == b, 0, a > b), 1 where a is larger, as a > b beside a float factor."""

    def larger(x: Any) -> Any:
        choice = _made(x, makers, "np.where")
        if choice is None or choice.args[1] != 0:
            return x
        ties = _made(choice.args[0], makers, "np.equal")
        greater = _made(choice.args[2], makers, "np.greater", "np.less")
        return choice.args[2] if ties is not None and greater is not None and ties.args == greater.args else x

    return (line.function, tuple(map(larger, line.args)), {}) if line.function.text == "np.multiply" else None


def _with_means(line: Line, makers: dict[Value, Line]) -> Any:
    """Write a product with 1/n as a quotient, where n is a number of entries, and a sum over them as their mean."""
    text, (x, n, *_) = line.function.text, (*line.args, None)
    if text == "np.multiply" and not line.kwargs:
        x, n = (n, x) if isinstance(x, float) else (x, n)
        if isinstance(x, Value) and x.dtype is not None and isinstance(n, float) and 0 < abs(n) < 0.5:
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
    n = _whole(n) if type(n) is float else n
    return (of_numpy(np.divide), (x, n), {}) if text == "np.divide" else None


def _with_all_axes(line: Line, makers: dict[Value, Line]) -> Any:
    """Leave out axes that are all there are."""
    text, kwargs = line.function.text, {key: v for key, v in line.kwargs.items() if (key, v) != ("keepdims", False)}
    ndim = len(getattr(line.args[0], "shape", ()))
    if not (text.endswith(".reduce") or text == MEAN.text) or kwargs.get("keepdims") or not ndim:
        return None
    every = np.size(kwargs.get("axis", 0)) == ndim
    return line.function, line.args, kwargs | ({"axis": None} if every else {})
