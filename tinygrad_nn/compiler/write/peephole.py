"""Peephole rewrites for people: what is equal up to rounding is written as one says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

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
        for rewrite in _REWRITES:
            rewrite(line, makers)
    _without_double_transposes(program, makers)
    _without_dead_lines(program)
    return program


def _without_dead_lines(program: Program) -> None:
    """Leave out what no output depends on."""
    needed = set(program.outputs)
    kept = []
    for line in reversed(program.lines):
        if needed.intersection(line.outputs):
            kept.append(line)
            needed.update(line.reads())
    program.lines = kept[::-1]


def _with_constant_views(program: Program) -> None:
    """Take a view of a constant for a constant."""
    known = {v for v in program.constants if v.name.endswith("#")}  # what the user named stays what it is
    for line in list(program.lines):
        if line.outputs and known.issuperset(line.reads()) and any(True for _ in line.reads()):
            line.compute()
            known.update(line.outputs)
            program.constants += line.outputs
            program.lines.remove(line)


def _without_idle_lines(program: Program, adjoints: set[Value]) -> None:
    """Write a constant of equal entries as the number, where the result is no larger for it; read x instead of 1 x."""
    constants = {v for v in program.constants if v.name.endswith("#")}

    def now(value: Value) -> Value:
        return program.instead.get(value, value)

    for line in program.lines:
        line.args, line.kwargs = mapped(now, line.args), mapped(now, line.kwargs)
        if line.function.form == "ufunc" and line.function.text != "np.matmul" and not line.kwargs:
            line.args = tuple([_number(x, line) if isinstance(x, Value) and x in constants else x for x in line.args])
        same = _same(line)
        if same is not None and _is_like(same, line.outputs[0]):
            line.function, line.args, line.kwargs = SAME, (same,), {}
            program.instead[line.outputs[0]] = same
    program.outputs = [v if v in adjoints else now(v) for v in program.outputs]


def _same(line: Line) -> Any:
    """Return which argument a line gives back, if it is as large: x of 1 x, x to the power of 1, or a copy of x."""
    x, *more = line.args or (None,)
    text = line.function.text
    if text == "setitem" and more[0] is Ellipsis:
        return more[1]
    if text == "np.multiply":
        others = [x for x in line.args if not (isinstance(x, float) and x == 1)]
        return others[0] if len(others) == 1 else None
    if text in _IDLE or (text == "np.power" and type(more[0]) in (int, float) and more[0] == 1):
        return x
    return None


_IDLE = {
    "np.copy", "np.positive", "np.reshape", "np.expand_dims", "np.squeeze", "np.broadcast_to", "np.add.reduce",
}  # fmt: skip


def _without_double_transposes(program: Program, makers: dict[Value, Line]) -> None:
    """Read x in place of the transpose of its transpose."""

    def now(value: Value) -> Value:
        inner = makers[value].args[0] if is_transpose(makers.get(value)) else None
        return makers[inner].args[0] if isinstance(inner, Value) and is_transpose(makers.get(inner)) else value

    for line in program.lines:
        line.args, line.kwargs = mapped(now, line.args), mapped(now, line.kwargs)
    program.outputs = list(map(now, program.outputs))


def is_transpose(line: Line | None) -> bool:
    """Return whether a line exchanges the axes of a matrix."""
    plain = line is not None and line.function.text == "np.transpose" and len(line.args) == 1
    return plain and line is not None and line.kwargs.get("axes") is None and line.outputs[0].concrete.ndim == 2


def _is_like(x: Any, y: Value) -> bool:
    return isinstance(x, Value) and x.shape == y.shape and x.dtype == y.dtype


def _number(value: Value, line: Line) -> Any:
    """Return the number of which a constant consists, if another operand alone makes the result what it is."""
    x, y = value.concrete, line.outputs[0]
    others = [v for v in line.reads() if v is not value]
    if y.dtype.kind != "f" or not x.size or not (x == x.flat[0]).all() or x.dtype != y.dtype:
        return value
    return float(str(x.flat[0])) if any(_is_like(v, y) for v in others) else value


def _sum_over_rows(line: Line, makers: dict[Value, Line]) -> None:
    """Write the product of a row of ones with a matrix as the sum over its rows."""
    if line.function.text != "np.matmul" or line.kwargs:
        return
    ones, x = line.args
    if not (isinstance(ones, Value) and isinstance(x, Value)) or ones in makers or x.concrete.ndim != 2:
        return
    if ones.concrete.ndim == 1 and ones.name == "ones#":
        line.function, line.args, line.kwargs = SUM, (x,), {"axis": 0}


def _share(line: Line, makers: dict[Value, Line]) -> None:
    """Write a product with 1/n as a quotient, where n is a number of entries."""
    if line.function.text != "np.multiply" or line.kwargs or len(line.args) != 2:
        return
    for x, factor in (line.args, line.args[::-1]):
        if not (isinstance(x, Value) and isinstance(factor, float) and 0 < abs(factor) < 0.5 and x.dtype is not None):
            continue
        n = round(1 / factor)
        if x.dtype.type(factor) == x.dtype.type(1 / n) and abs(n) in (x.concrete.size, *x.shape):
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
    if not (set(summed.kwargs) <= {"axis", "keepdims"} and isinstance(x, Value) and x.dtype.char in "fd?"):
        return
    if float(n) * total.concrete.size == x.concrete.size > 0:
        line.function, line.args, line.kwargs = MEAN, (x,), {"axis": 0} | summed.kwargs


def _plain_sum(line: Line, makers: dict[Value, Line]) -> None:
    """Write the sum over a column that was made of an array as the sum over the array."""
    x: Any = line.args[0] if line.args else None
    if line.function.text == "np.reshape" and not line.outputs[0].shape and _made_by(x, makers, "np.add.reduce"):
        summed = makers[x]
        column = summed.args[0]
        if summed.kwargs == {"axis": 0} and column.shape[1:] == (1,) and _made_by(column, makers, "np.reshape"):
            line.function, line.args, line.kwargs = SUM, (makers[column].args[0],), {"axis": None}


def _vector(line: Line, makers: dict[Value, Line]) -> None:
    """Write the product of a matrix with a vector, or of a vector with a matrix, without the shapes between."""
    x: Any = line.args[0] if line.args else None
    if line.function.text != "np.reshape" or not _made_by(x, makers, "np.matmul") or line.outputs[0].concrete.ndim != 1:
        return
    operands = list(makers[x].args)
    for k in (0, 1):
        v = operands[k]
        inner = makers[v].args[0] if _made_by(v, makers, "np.reshape") else None
        if isinstance(inner, Value) and inner.concrete.ndim == 1 and v.concrete.ndim == 2 and v.shape[k] == 1:
            operands[k] = inner
    if sum(v.concrete.ndim == 1 for v in operands) == 1:
        line.function, line.args, line.kwargs = makers[x].function, tuple(operands), {}


def _outer(line: Line, makers: dict[Value, Line]) -> None:
    """Write the product of a column with a row as the outer product of two vectors."""
    if line.function.text != "np.matmul":
        return
    column, row = line.args
    if _made_by(column, makers, "np.transpose"):
        column = makers[column].args[0]
    vectors = [makers[v].args[0] for v in (column, row) if _made_by(v, makers, "np.reshape")]
    if [v.concrete.ndim for v in vectors] == [1, 1] and line.outputs[0].shape == vectors[0].shape + vectors[1].shape:
        line.function, line.args = of_numpy(np.outer), tuple(vectors)


def _slope_of_maximum(line: Line, makers: dict[Value, Line]) -> None:
    """Write 1 where x is larger, 0 where it is not or both are equal, as x > c, beside a float factor."""
    if line.function.text == "np.multiply":
        line.args = tuple([_larger(x, makers) for x in line.args])


def _larger(x: Any, makers: dict[Value, Line]) -> Any:
    """Return a > b for where(a == b, 0, a > b), anything else as it is."""
    if not _made_by(x, makers, "np.where"):
        return x
    ties, at_ties, larger = makers[x].args
    kinds = _made_by(ties, makers, "np.equal") and (_made_by(larger, makers, "np.greater", "np.less"))
    return larger if kinds and at_ties == 0 and makers[ties].args == makers[larger].args else x


def _number_itself(line: Line, makers: dict[Value, Line]) -> None:
    """Read a Python number itself where it was made an array of the dtype that the others have."""
    if line.function.form == "ufunc" and any(_is_like(v, line.outputs[0]) for v in line.reads()):
        line.args = tuple([_weak(x, line, makers) for x in line.args])


def _weak(x: Any, line: Line, makers: dict[Value, Line]) -> Any:
    same = _made_by(x, makers, "np.asarray") and x.dtype == line.outputs[0].dtype
    return makers[x].args[0] if same and not x.shape else x


def _made_by(x: Any, makers: dict[Value, Line], *texts: str) -> bool:
    return isinstance(x, Value) and x in makers and makers[x].function.text in texts


def _usual(line: Line, makers: dict[Value, Line]) -> None:
    """Write what has several names by the usual one, and leave out axes that are all there are."""
    exchanged: dict[str, Any] = {"np.matrix_transpose": ((), {}), "np.transpose": (((1, 0),), {"axes": (1, 0)})}
    if line.function.text in exchanged and line.outputs[0].concrete.ndim == 2:
        positional, named = exchanged[line.function.text]
        if line.args[1:] == positional or line.kwargs == named:
            line.function, line.args, line.kwargs = of_numpy(np.transpose), line.args[:1], {}
    x: Any = line.args[0] if line.args else None
    if line.function.text.endswith(".reduce") or line.function is MEAN:
        axis = line.kwargs.get("axis", 0)
        ndim = x.concrete.ndim if isinstance(x, Value) and x.is_array else 0
        if ndim and not line.kwargs.get("keepdims") and len(axis if isinstance(axis, tuple) else (axis,)) == ndim:
            line.kwargs = line.kwargs | {"axis": None}
    if line.kwargs.get("keepdims") is False:
        line.kwargs = {key: value for key, value in line.kwargs.items() if key != "keepdims"}


def _whole(line: Line, makers: dict[Value, Line]) -> None:
    """Write a float that is a whole number without its point, beside floats."""
    if line.function.form == "ufunc" and any(v.dtype is not None and v.dtype.kind == "f" for v in line.reads()):
        line.args = tuple([int(x) if type(x) is float and x.is_integer() and abs(x) < 1e6 else x for x in line.args])


_REWRITES: list[Callable[[Line, dict[Value, Line]], None]] = [
    _sum_over_rows, _plain_sum, _vector, _outer, _slope_of_maximum,
    _number_itself, _share, _mean, _usual, _whole,
]  # fmt: skip
