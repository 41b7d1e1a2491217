"""The same lines in NumPy's fastest words for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .functions import of_numpy
from .values import Function, Line, Program, Value

_MANY, _LARGE = 500, 1 << 22


def spelled(program: Program) -> Program:
    """Return a program of other lines that computes the same bits, faster."""
    constants: dict[Any, Value] = {}
    prepared: dict[tuple[Value, Any], Value] = {}
    lines: list[Line] = []
    for line in program.lines:
        _relu(line, constants)
        if line.function.form == "ufunc" and line.outputs[0].is_array:
            _prepare_numbers(line, constants, prepared, lines)
        lines.append(line)
    program.constants += constants.values()
    program.lines = lines
    return program


def _relu(line: Line, constants: dict[Any, Value]) -> None:
    """Let max(x, 0) in float32 read its zeros from an array: NumPy's loop for that is vectorised."""
    x, *bounds = line.args or (None,)
    clipped = line.function.text == "np.clip" and bounds[0] == 0 and bounds[1] == np.inf and not line.kwargs
    if not (clipped or (line.function.text == "np.maximum" and type(bounds[0]) is int and bounds[0] == 0)):
        return
    if not (isinstance(x, Value) and x.is_array and x.dtype.char == "f"):
        return
    if x.concrete.size >= _MANY and x.nbytes <= _LARGE:
        zeros = constants.setdefault(("zeros", x.shape, x.dtype), Value(np.zeros(x.shape, x.dtype)))
        line.function, line.args = of_numpy(np.maximum), (x, zeros)
    elif clipped and x.concrete.size < _MANY:
        line.function, line.args = of_numpy(np.maximum), (x, 0)


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
