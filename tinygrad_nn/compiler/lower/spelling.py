"""The same lines in NumPy's fastest words for them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Any

import numpy as np

from ..numpy_calls import of_numpy
from ..program import Function, Line, Program, Value
from .spellings import RANKED, SIZES, WIDTHS


def fastest(pattern: str, of: Value, known: tuple[str, ...]) -> str:
    """Return which of the known spellings of a pattern ran fastest for an array of that dtype and size."""
    ranked = RANKED[pattern].get(of.dtype.name)
    if ranked is None:
        return known[-1]
    columns = of.shape[-1] if of.shape else 1
    width, size = bisect_left(WIDTHS, columns), bisect_left(SIZES, of.concrete.size)
    names = ranked[min(width, len(ranked) - 1)]
    found = names[min(size, len(names) - 1)].split()
    return next((name for name in found if name in known), known[-1])


def spelled(program: Program) -> Program:
    """Return a program of other lines that computes the same bits, faster."""
    constants: dict[Any, Value] = {}
    prepared: dict[tuple[Value, Any], Value] = {}
    lines: list[Line] = []
    for line in program.lines:
        _relu(line, constants)
        _product(line, program)
        if line.function.form == "ufunc" and line.outputs[0].is_array:
            _prepare_numbers(line, constants, prepared, lines)
        lines.append(line)
    program.constants += constants.values()
    program.lines = lines
    _fill(program)
    return program


def _fill(program: Program) -> None:
    """Let what writes into fresh zeros fill its own memory with 0: zeros that nobody else reads are not made."""
    uses = Counter([*program.outputs, *[v for line in program.lines for v in line.reads()]])
    fresh = {v for line in program.lines if line.function.form == "zeros" for v in line.outputs if uses[v] == 1}
    for line in program.lines:
        if line.function.form in ("setitem", "at") and line.args[0] in fresh:
            fresh.discard(line.args[0])
            line.args = (0, *line.args[1:])
    read = {*program.outputs, *[v.root for line in program.lines for v in line.reads()]}
    program.lines = [x for x in program.lines if x.function.form != "zeros" or read.intersection(x.outputs)]


def _relu(line: Line, constants: dict[Any, Value]) -> None:
    """Let max(x, 0) read its zeros from an array, where NumPy's loop for that is the faster one."""
    x, *bounds = line.args or (None,)
    clipped = line.function.text == "np.clip" and bounds[0] == 0 and bounds[1] == np.inf and not line.kwargs
    if not (clipped or (line.function.text == "np.maximum" and type(bounds[0]) is int and bounds[0] == 0)):
        return
    if not (isinstance(x, Value) and x.is_array and x.dtype.char in "fd"):
        return
    if x.concrete.size >= _MANY and fastest("relu", x, ("zeros", "scalar")) == "zeros":
        zeros = constants.setdefault(("zeros", x.shape, x.dtype), Value(np.zeros(x.shape, x.dtype)))
        line.function, line.args = of_numpy(np.maximum), (x, zeros)
    elif x.concrete.size < _MANY:
        line.function, line.args = of_numpy(np.maximum), (x, 0)


_MANY = 500  # entries: below, a zero of no axes is as fast, and needs no memory


def _product(line: Line, program: Program) -> None:
    """Let a product of two matrices, or with a row of ones, be np.dot, which checks less, where that is faster."""
    if line.function.text != "np.matmul" or line.kwargs or line.outputs[0].base is not None:
        return
    a, b = line.args
    (y,) = line.outputs
    if not (a.dtype == b.dtype == y.dtype and y.dtype.char in "fd" and len(b.shape) == 2 and len(a.shape) in (1, 2)):
        return
    if not (y.is_array and y.concrete.flags.c_contiguous and y.concrete.size):
        return
    if not (a.concrete.flags.forc and b.concrete.flags.forc) or a.concrete.size == b.concrete.size == 1:
        return  # the two add in another order there, and give a product of two numbers the sign of another zero
    pattern, of = "product", y
    if len(a.shape) == 1:
        pattern, of = "sum_rows", b
    elif 1 in (a.shape[1], y.shape[1]):
        pattern = "product_column" if y.shape[1] == 1 else "product_outer"
    elif a.base is not None and a.strides[0] < a.strides[1]:
        pattern, of = "product_weights", b
    if fastest(pattern, of, ("dot", "matmul")) == "dot":
        line.function = of_numpy(np.dot)


_ARRAY = Function("np.array", np.array, "plain")


def _prepare_numbers(line: Line, constants: dict[Any, Value], prepared: Any, lines: list[Line]) -> None:
    """Let numbers be arrays of no axes, in the dtype in which they are used: NumPy converts a number each time."""
    dtypes = {v.dtype for v in line.reads() if v.dtype is not None}
    if len(dtypes) != 1 or (dtype := dtypes.pop()).char not in "fd":
        return
    args = []
    for x in line.args:
        if type(x) in (int, float):
            args.append(constants.setdefault((x, str(x), dtype), Value(np.array(x, dtype))))
        elif isinstance(x, Value) and x.dtype is None:
            if (x, dtype) not in prepared:
                prepared[x, dtype] = Value(np.array(x.concrete, dtype), x.name)
                lines.append(Line(_ARRAY, (x, dtype), {}, (prepared[x, dtype],)))
            args.append(prepared[x, dtype])
        else:
            args.append(x)
    line.args = tuple(args)
