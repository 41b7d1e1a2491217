"""What makes a program smaller and keeps its results: a table of rewrites, each a function of one line or of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .values import Line, Program, Value


def simplified(program: Program, exact: bool) -> Program:
    """Return the program after every rewrite; with `exact`, only those that keep every bit."""
    for rewrite in REWRITES:
        program = rewrite(program)
    return program


def with_shared_constants(program: Program) -> Program:
    """Keep one of several constants that are equal."""
    first: dict[Any, Value] = {}
    same = {}
    for value in program.constants:
        x = value.concrete
        equal = first.setdefault((x.shape, x.dtype, x.strides, x.tobytes()), value)
        if equal is not value:
            same[value] = equal
    program.constants = list(first.values())
    return program.replaced(program.lines, same)


def with_weak_numbers(program: Program) -> Program:
    """Write a NumPy scalar of an operation's own dtype as a number of Python's."""
    for line in program.lines:
        if line.function.form == "ufunc" and line.outputs[0].dtype.kind == "f":
            arrays = [v for v in line.reads() if v.dtype is not None]
            if arrays and all(v.dtype == line.outputs[0].dtype for v in arrays):
                line.args = tuple([_weak(x, line.outputs[0].dtype) for x in line.args])
    return program


def _weak(x: Any, dtype: Any) -> Any:
    return float(x) if isinstance(x, np.generic) and x.dtype == dtype and x.dtype.itemsize <= 8 else x


def without_copies(program: Program) -> Program:
    """Read what a copy was made of: no value is ever written over."""
    same = {}
    kept = []
    for line in program.lines:
        if line.function.text in ("np.positive", "np.copy") and not line.kwargs and len(line.args) == 1:
            (x,) = line.args
            if isinstance(x, Value) and x.dtype == line.outputs[0].dtype and x.is_array == line.outputs[0].is_array:
                same[line.outputs[0]] = x
                continue
        kept.append(line)
    return program.replaced(kept, same)


def without_idle_shapes(program: Program) -> Program:
    """Leave out what gives back its argument: a reshape to the same shape, a transpose of a vector."""
    same = {}
    kept = []
    for line in program.lines:
        x = line.args[0] if line.args else None
        if line.function.text in _SHAPING and isinstance(x, Value) and len(line.outputs) == 1:
            y = line.outputs[0]
            if x.is_array and x.shape == y.shape and x.strides == y.strides and y.base is not None:
                same[y] = x
                continue
        kept.append(line)
    return program.replaced(kept, same)


_SHAPING = {
    "np.reshape", "np.transpose", "np.expand_dims", "np.squeeze", "np.broadcast_to", "np.ravel", "np.moveaxis",
    "np.swapaxes", "{0}[{1}]", "np.atleast_1d", "np.atleast_2d", "np.matrix_transpose",
}  # fmt: skip


def with_shared_lines(program: Program) -> Program:
    """Compute once what is computed twice."""
    first: dict[Any, Line] = {}
    same: dict[Value, Value] = {}
    kept = []

    def now(value: Value) -> Value:
        while value in same:
            value = same[value]
        return value

    for line in program.lines:
        key = _key((line.function, line.args, tuple(sorted(line.kwargs.items(), key=lambda pair: pair[0]))), now)
        if key is not None and key in first and line.outputs:
            same |= dict(zip(line.outputs, first[key].outputs, strict=True))
            continue
        if key is not None:
            first[key] = line
        kept.append(line)
    return program.replaced(kept, same)


def _key(x: Any, now: Callable[[Value], Value]) -> Any:
    """Return what two equal calls have in common, None if that can't be told."""
    if isinstance(x, Value):
        return now(x)
    if isinstance(x, (list, tuple)):
        parts = [_key(part, now) for part in x]
        return None if any(p is None for p in parts) else (type(x), *parts)
    if isinstance(x, slice):
        return _key((x.start, x.stop, x.step), now)
    if x is None:
        return "None"
    try:
        hash(x)
    except TypeError:
        return None
    return type(x), repr(x) if isinstance(x, float) else x


def without_dead_lines(program: Program) -> Program:
    """Leave out what no output and no guard depends on."""
    needed = {v.root for v in program.outputs} | set(program.outputs)
    kept = []
    for line in reversed(program.lines):
        if line.function.form == "guard" or any(o in needed for o in line.outputs):
            kept.append(line)
            needed.update(line.reads())
            needed.update(v.root for v in line.reads())
            for v in line.reads():
                base = v.base
                while base is not None:
                    needed.add(base)
                    base = base.base
    return program.replaced(kept[::-1], {})


def with_plain_broadcasts(program: Program) -> Program:
    """Let a line on corresponding entries broadcast its operands itself."""
    narrow: dict[Value, Value] = {}
    for line in program.lines:
        if line.function.text == "np.broadcast_to" and isinstance(line.args[0], Value):
            narrow[line.outputs[0]] = line.args[0]
        if line.function.form == "ufunc" and line.function.text not in ("np.matmul", "np.vecdot") and narrow:
            args = [narrow.get(x, x) if isinstance(x, Value) else x for x in line.args]
            shapes = [x.shape for x in args if isinstance(x, Value)]
            if shapes and np.broadcast_shapes(*shapes) == line.outputs[0].shape:
                line.args = tuple(args)
    return program


REWRITES: list[Callable[[Program], Program]] = [
    with_shared_constants,
    with_weak_numbers,
    without_copies,
    without_idle_shapes,
    with_plain_broadcasts,
    with_shared_lines,
    without_dead_lines,
]
