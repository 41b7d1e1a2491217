"""Peephole rewrites for people: what is equal up to rounding is written as one says it."""

from __future__ import annotations

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
    Peephole(program)
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
        arrays = bool(line.outputs) and all(v.dtype is not None for v in line.outputs)
        if arrays and known.issuperset(line.reads()) and any(True for _ in line.reads()):
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


class Peephole:
    """Rewrites each line by every method `with_...`, which returns its new function and arguments, or None."""

    def __init__(self, program: Program) -> None:
        self.makers = {output: line for line in program.lines for output in line.outputs}
        for line in program.lines:
            for name, rewrite in vars(Peephole).items():
                if name.startswith("with_") and line.args:
                    line.function, line.args, line.kwargs = rewrite(self, line, *line.args) or (
                        line.function, line.args, line.kwargs,
                    )  # fmt: skip

    def made(self, x: Any, *texts: str) -> Line | None:
        """Return the line that computes x, if it does so by one of these functions."""
        line = self.makers.get(x) if isinstance(x, Value) else None
        return line if line is not None and line.function.text in texts else None

    def with_single_transposes(self, line: Line, *args: Any) -> Any:
        """Read x in place of the transpose of its transpose."""

        def now(value: Value) -> Value:
            outer = self.makers.get(value)
            inner = self.makers.get(outer.args[0]) if outer is not None and is_transpose(outer) else None
            return inner.args[0] if inner is not None and is_transpose(inner) else value

        return line.function, mapped(now, line.args), mapped(now, line.kwargs)

    def with_sums(self, line: Line, x: Any, y: Any = None, *more: Any) -> Any:
        """Write the product of a row of ones with a matrix, and the sum over a column, as sums over an array."""
        ones = isinstance(x, Value) and x not in self.makers and x.name == "ones#" and x.concrete.ndim == 1
        if line.function.text == "np.matmul" and ones and y.concrete.ndim == 2:
            return SUM, (y,), {"axis": 0}
        summed = self.made(x, "np.add.reduce") if line.function.text == "np.reshape" else None
        if summed is not None and summed.kwargs == {"axis": 0} and not line.outputs[0].shape:
            column = self.made(summed.args[0], "np.reshape")
            if column is not None and column.outputs[0].shape[1:] == (1,):
                return SUM, (column.args[0],), {"axis": None}
        return None

    def with_vectors(self, line: Line, x: Any, *more: Any) -> Any:
        """Write the product of a matrix and a vector, or of two vectors, without the shapes between."""
        product = self.made(x, "np.matmul") if line.function.text == "np.reshape" else None
        if product is not None and line.outputs[0].concrete.ndim == 1:
            operands = list(product.args)
            for k, v in enumerate(product.args):
                reshaped = self.made(v, "np.reshape")
                if reshaped is not None and reshaped.args[0].concrete.ndim == 1 and v.shape[k:][:1] == (1,):
                    operands[k] = reshaped.args[0] if v.concrete.ndim == 2 else v
            if sum(v.concrete.ndim == 1 for v in operands) == 1:
                return product.function, tuple(operands), {}
        if line.function.text == "np.matmul":
            column = self.made(x, "np.transpose")
            vectors = [self.made(v, "np.reshape") for v in (x if column is None else column.args[0], *more)]
            inner = [made.args[0] for made in vectors if made is not None]
            if [v.concrete.ndim for v in inner] == [1, 1] and line.outputs[0].shape == inner[0].shape + inner[1].shape:
                return of_numpy(np.outer), tuple(inner), line.kwargs
        return None

    def with_comparisons(self, line: Line, *args: Any) -> Any:
        """Write where(a == b, 0, a > b), 1 where a is larger, as a > b beside a float factor."""

        def larger(x: Any) -> Any:
            choice = self.made(x, "np.where")
            if choice is None or choice.args[1] != 0:
                return x
            ties = self.made(choice.args[0], "np.equal")
            greater = self.made(choice.args[2], "np.greater", "np.less")
            return choice.args[2] if ties is not None and greater is not None and ties.args == greater.args else x

        return (line.function, tuple(map(larger, args)), line.kwargs) if line.function.text == "np.multiply" else None

    def with_numbers(self, line: Line, *args: Any) -> Any:
        """Read a Python number itself where it was made an array of the others' dtype; 2 for 2.0 beside floats."""
        if line.function.form != "ufunc":
            return None
        y = line.outputs[0]
        like = any(_is_like(v, y) for v in line.reads())
        floats = any(v.dtype is not None and v.dtype.kind == "f" for v in line.reads())

        def plain(x: Any) -> Any:
            made = self.made(x, "np.asarray")
            x = made.args[0] if made is not None and like and x.dtype == y.dtype and not x.shape else x
            return int(x) if type(x) is float and floats and x.is_integer() and abs(x) < 1e6 else x

        return line.function, tuple(map(plain, args)), line.kwargs

    def with_means(self, line: Line, x: Any, n: Any = None, *more: Any) -> Any:
        """Write a product with 1/n as a quotient, where n is a number of entries, and a sum over them as their mean."""
        text = line.function.text
        if text == "np.multiply" and not line.kwargs:
            x, n = (n, x) if isinstance(x, float) else (x, n)
            if isinstance(x, Value) and x.dtype is not None and isinstance(n, float) and 0 < abs(n) < 0.5:
                count = round(1 / n)
                if x.dtype.type(n) == x.dtype.type(1 / count) and abs(count) in (x.concrete.size, *x.shape):
                    text, n = "np.divide", count
        if text not in ("np.divide", "{0} / {1}") or line.kwargs:
            return None
        summed = self.made(x, "np.add.reduce")
        if summed is not None and not isinstance(n, Value) and set(summed.kwargs) <= {"axis", "keepdims"}:
            (whole,) = summed.args
            if whole.dtype.char in "fd?" and float(n) * x.concrete.size == whole.concrete.size > 0:
                return MEAN, (whole,), {"axis": 0} | summed.kwargs
        return (of_numpy(np.divide), (x, n), {}) if text == "np.divide" else None

    def with_usual_names(self, line: Line, x: Any, *more: Any) -> Any:
        """Write what has several names by the usual one, and leave out axes that are all there are."""
        text, kwargs = line.function.text, {key: v for key, v in line.kwargs.items() if (key, v) != ("keepdims", False)}
        exchanged = text == "np.matrix_transpose" or (
            text == "np.transpose" and ((1, 0) in more or kwargs.get("axes") == (1, 0))
        )
        if exchanged and line.outputs[0].concrete.ndim == 2:
            return of_numpy(np.transpose), (x,), {}
        if text.endswith(".reduce") or text == MEAN.text:
            axis = kwargs.get("axis", 0)
            ndim = x.concrete.ndim if isinstance(x, Value) and x.is_array else 0
            if ndim and not kwargs.get("keepdims") and len(axis if isinstance(axis, tuple) else (axis,)) == ndim:
                kwargs["axis"] = None
            return line.function, line.args, kwargs
        return None
