"""A program in the words that people use: what is equal up to rounding is written as one says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .functions import of_method, of_numpy
from .values import Function, Line, Program, Value, mapped

SUM = of_method(np.add, "reduce")
MEAN = Function("np.mean", np.mean)

# What a pattern binds: a call by its text, with operands that are patterns, names, or numbers.
_EXPONENTIAL = ("np.exp", ("np.negative", ("np.absolute", "x")))
_SHIFTED = ("np.exp", ("np.subtract", "x", ("np.maximum.reduce", "x")))
PATTERNS: dict[str, Any] = {
    "sigmoid": ("np.divide", ("np.where", ("np.less", "x", 0), _EXPONENTIAL, 1), ("np.add", 1, _EXPONENTIAL)),
    "softmax": ("np.divide", _SHIFTED, ("np.add.reduce", _SHIFTED)),
    "cross_entropy": (
        "np.subtract",
        ("np.reshape", ("np.log", ("np.add.reduce", _SHIFTED))),
        ("{0}[{1}]", ("np.reshape", _SHIFTED[1]), "places"),
    ),
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
    "cross_entropy": '''
def cross_entropy(z, y):
    """-log(softmax(z)[y]) of each row, without overflow."""
    z = z - z.max(axis=-1, keepdims=True)
    return np.log(np.exp(z).sum(axis=-1)) - z[np.arange(len(y)), y]
''',
}


def readable(program: Program) -> Program:
    """Return the program without its guards, in people's words; no value of the program itself is changed."""
    program = program.copy()
    program.lines = [line for line in program.lines if line.function.form != "guard"]
    _without_idle_factors(program)
    makers = {output: line for line in program.lines for output in line.outputs}
    for line in program.lines:
        for reading in _READINGS:
            reading(line, makers)
    made = [v for line in program.lines for v in line.reads() if v.name == "labels" and v not in makers]
    program.constants += dict.fromkeys(v for v in made if v not in program.inputs)
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


def _without_idle_factors(program: Program) -> None:
    """Write a constant of equal entries as the number, where the result is no larger for it; leave out 1 times x."""
    constants = {v for v in program.constants if v.name.endswith("#")}  # what the user named stays what it is
    same: dict[Value, Value] = {}
    kept = []

    def now(value: Value) -> Value:
        return same.get(value, value)

    for line in program.lines:
        line.args, line.kwargs = mapped(now, line.args), mapped(now, line.kwargs)
        if line.function.form == "ufunc" and line.function.text != "np.matmul" and not line.kwargs:
            line.args = tuple([_number(x, line) if isinstance(x, Value) and x in constants else x for x in line.args])
            others = [x for x in line.args if not (isinstance(x, float) and x == 1)]
            if line.function.text == "np.multiply" and len(others) == 1 and _is_like(others[0], line.outputs[0]):
                same[line.outputs[0]] = others[0]
                continue
        kept.append(line)
    program.lines, program.outputs = kept, list(map(now, program.outputs))


def _is_like(x: Any, y: Value) -> bool:
    return isinstance(x, Value) and x.shape == y.shape and x.dtype == y.dtype


def _number(value: Value, line: Line) -> Any:
    """Return the number of which a constant consists, if another operand alone makes the result what it is."""
    x, y = value.concrete, line.outputs[0]
    others = [v for v in line.reads() if v is not value]
    if y.dtype.kind != "f" or not x.size or not (x == x.flat[0]).all() or x.dtype != y.dtype:
        return value
    return float(str(x.flat[0])) if any(_is_like(v, y) for v in others) else value


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
    statics = line.args[len(pattern) - 1 :]
    return not any(isinstance(x, Value) for x in statics) and all(
        _matches(part, wanted, makers, bound) for part, wanted in zip(line.args, pattern[1:], strict=False)
    )


def _named(line: Line, makers: dict[Value, Line]) -> None:
    """Call a stable form by its name."""
    for name, pattern in PATTERNS.items():
        bound: dict[str, Any] = {}
        if line.function.text != pattern[0] or not _matches(line.outputs[0], pattern, makers, bound):
            continue
        args = [bound.pop("x")]
        if "places" in bound:
            labels = _labels(bound["places"], args[0].shape, makers)
            if labels is None:
                continue
            args.append(labels)
        axis = bound.get("axis")
        axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
        line.function, line.args = Function(name, line.function.apply), tuple(args)
        line.kwargs = {"axis": axis} if name == "softmax" else {}


def _labels(places: Any, shape: tuple[int, ...], makers: dict[Value, Line]) -> Value | None:
    """Return the labels of places in rows of k that are laid end to end, None if they were not made like that."""
    if len(shape) != 2 or not isinstance(places, Value) or places.shape != shape[:1]:
        return None
    if places not in makers:
        return Value(places.concrete % shape[1], "labels")
    line = makers[places]
    starts = [x for x in line.args if isinstance(x, Value) and x not in makers and _counts(x.concrete, shape)]
    others = [x for x in line.args if x not in starts]
    return others[0] if line.function.text == "np.add" and len(others) == 1 and isinstance(others[0], Value) else None


def _counts(x: Any, shape: tuple[int, ...]) -> bool:
    """Return whether an array holds where each row begins."""
    return np.array_equal(x, np.arange(0, shape[0] * shape[1], shape[1]))


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
        if not (isinstance(x, Value) and isinstance(factor, float) and 0 < factor < 0.5 and x.dtype is not None):
            continue
        n = round(1 / factor)
        if x.dtype.type(factor) == x.dtype.type(1 / n) and n in (x.concrete.size, *x.shape):
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
    for place, axis in ((0, 0), (1, 1)):
        v = operands[place]
        inner = makers[v].args[0] if _made_by(v, makers, "np.reshape") else None
        if isinstance(inner, Value) and inner.concrete.ndim == 1 and v.concrete.ndim == 2 and v.shape[axis] == 1:
            operands[place] = inner
    if sum(v.concrete.ndim == 1 for v in operands) == 1:
        line.function, line.args, line.kwargs = makers[x].function, tuple(operands), {}


def _made_by(x: Any, makers: dict[Value, Line], text: str) -> bool:
    return isinstance(x, Value) and x in makers and makers[x].function.text == text


def _usual(line: Line, makers: dict[Value, Line]) -> None:
    """Write what has several names by the usual one, and leave out axes that are all there are."""
    if line.function.text == "np.matrix_transpose" and line.outputs[0].concrete.ndim == 2:
        line.function = of_numpy(np.transpose)
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


_READINGS: list[Callable[[Line, dict[Value, Line]], None]] = [
    _named, _sum_over_rows, _plain_sum, _vector, _share, _mean, _usual, _whole,
]  # fmt: skip
