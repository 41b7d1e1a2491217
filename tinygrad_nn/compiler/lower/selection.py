"""Instruction selection: the same lines, by the fastest NumPy calls."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from ..numpy_calls import ARRAY, of_numpy
from ..program import Line, Program, Value

# Measured on float32 and float64, one BLAS thread, time relative to the other call.
FEW, CACHED = 500, 2**22  # zeros of 500 entries to 4 MB: 0.3 to 0.6; fewer are no faster, more take 1.2 to 2.8
SMALL = 10**4  # np.dot of so few results: 0.5 to 0.95; of more: 1.0 to 1.2, except vectors, 0.2 to 1.0
DOT_TELLS = np.lib.NumpyVersion(np.__version__) >= "2.4.0"  # it flags invalid operations, which programs rely on


def selected(program: Program) -> Program:
    """Return a program of other lines that computes the same bits, faster."""
    constants: dict[Any, Value] = {}
    prepared: dict[tuple[Value, Any], Value] = {}
    lines: list[Line] = []
    for line in program.lines:
        _relu(line, constants)
        _product(line)
        if line.function.kind == "ufunc" and line.outputs[0].is_array:
            _prepare_numbers(line, constants, prepared, lines)
        lines.append(line)
    program.constants += constants.values()
    program.lines = lines
    return program


def _relu(line: Line, constants: dict[Any, Value]) -> None:
    """Let max(x, 0) read its zeros from an array, if NumPy's loop for that is faster."""
    x, *bounds = line.args or (None,)
    clipped = line.function.text == "np.clip" and bounds == [0, np.inf] and not line.kwargs
    if not (clipped or (line.function.text == "np.maximum" and type(bounds[0]) is int and bounds[0] == 0)):
        return
    if isinstance(x, Value) and x.is_array and x.dtype.char in "fd" and x.nbytes <= CACHED:
        zeros = Value(np.zeros_like(x.concrete))
        zero = 0 if x.concrete.size < FEW else constants.setdefault(("zeros", x.shape, x.strides, x.dtype), zeros)
        line.function, line.args = of_numpy(np.maximum), (x, zero)


def _product(line: Line) -> None:
    """Compute a product of two matrices, or with a row of ones, by np.dot, which checks less, if that is faster."""
    if line.function.text != "np.matmul" or line.kwargs or line.outputs[0].base is not None:
        return
    a, b = line.args
    (y,) = line.outputs
    if not (a.dtype == b.dtype == y.dtype and y.dtype.char in "fd" and len(b.shape) == 2 and len(a.shape) in (1, 2)):
        return
    if not (y.is_array and y.concrete.flags.c_contiguous and y.concrete.size):
        return
    if not (a.concrete.flags.forc and b.concrete.flags.forc) or a.concrete.size == b.concrete.size == 1:
        return  # here the two add in different orders, or give a product of two numbers another sign of zero
    if DOT_TELLS and (y.concrete.size <= SMALL or 1 in b.shape):
        line.function = of_numpy(np.dot)


def _prepare_numbers(line: Line, constants: dict[Any, Value], prepared: Any, lines: list[Line]) -> None:
    """Replace numbers by 0-d arrays of the dtype in which they are used: NumPy would convert a number each time."""
    dtypes, ufunc = {v.dtype for v in line.reads() if v.dtype is not None}, cast(np.ufunc, line.function.apply)
    kind = "".join([dtype.char for dtype in dtypes])
    if kind not in ("f", "d") or not any(loop.startswith(kind * ufunc.nin) for loop in ufunc.types):  # as for ldexp
        return
    dtype, args = dtypes.pop(), []
    for x in line.args:
        if type(x) in (int, float):
            args.append(constants.setdefault((x, str(x), dtype), Value(np.array(x, dtype))))
        elif isinstance(x, Value) and type(x.concrete) in (int, float):
            if (x, dtype) not in prepared:
                prepared[x, dtype] = Value(np.array(x.concrete, dtype), x.name)
                lines.append(Line(ARRAY, (x, dtype), {}, (prepared[x, dtype],)))
            args.append(prepared[x, dtype])
        else:
            args.append(x)
    line.args = tuple(args)
