"""Rewrites that make a program smaller and keep its bits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..numpy_calls import GETITEM, kind_follows
from ..program import Line, Program, Value, mapped


def with_weak_numbers(program: Program) -> Program:
    """Write a NumPy scalar of an operation's own dtype as a number of Python's."""
    for line in program.lines:
        dtype = line.outputs[0].dtype if line.function.kind == "ufunc" else None
        if dtype in (np.float16, np.float32, np.float64) and {v.dtype for v in line.reads()} - {None} == {dtype}:
            line.args = tuple([float(x) if type(x) is dtype.type else x for x in line.args])
    return program


def without_idle_lines(program: Program) -> Program:
    """Read the original instead of a copy, as no value is ever overwritten, and of a view that shows it unchanged."""
    same: dict[Value, Value] = {}
    for line in program.lines:
        x, y = next(iter(line.args), None), next(iter(line.outputs), None)
        index = line.args[1] if line.function is GETITEM else ...
        rows = index[0] if isinstance(index, tuple) and index else index
        view = y is not None and y.base is x and rows in (..., slice(None))  # x[:9] is only a part if there are more
        copied = line.function.text in ("np.positive", "np.copy") and not line.kwargs
        if isinstance(x, Value) and y is not None and (copied or (view and kind_follows(line))):
            alike = (x.shape, x.dtype, x.strides, x.is_array) == (y.shape, y.dtype, y.strides, y.is_array)
            same |= {y: x} if alike else {}
    return program.replaced([line for line in program.lines if same.keys().isdisjoint(line.outputs)], same)


def with_shared_lines(program: Program) -> Program:
    """Compute once what is computed twice."""
    first: dict[Any, Line] = {}
    same: dict[Value, Value] = {}
    kept = []

    def identity(value: Value) -> Any:
        return "value", id(same.get(value, value))

    for line in program.lines:
        called = mapped(identity, (line.args, dict(sorted(line.kwargs.items()))))
        equal = first.setdefault((line.function, repr(called)), line)
        if equal is line or line.function.kind == "zeros":  # each of which is written into
            kept.append(line)
        else:
            same |= dict(zip(line.outputs, equal.outputs, strict=True))
    return program.replaced(kept, same)


def causes(lines: Sequence[Line], values: Iterable[Value]) -> set[Value]:
    """Return these values and everything that the lines compute them from."""
    found = set(values)
    for line in reversed(lines):
        if found.intersection(line.outputs):
            found.update(line.reads())
    return found


def without_dead_lines(program: Program) -> Program:
    """Leave out lines and constants that no output and no guard depends on."""
    judged = [v for line in program.lines if line.function.kind == "guard" for v in line.reads()]
    needed = causes(program.lines, [*program.outputs, *judged])
    program.constants = [v for v in program.constants if v in needed]
    kept = [line for line in program.lines if line.function.kind == "guard" or needed.intersection(line.outputs)]
    return program.replaced(kept, {})


def with_plain_broadcasts(program: Program) -> Program:
    """Let a pointwise line broadcast its operands itself."""
    narrow: dict[Value, Value] = {}
    for line in program.lines:
        if line.function.text == "np.broadcast_to" and isinstance(line.args[0], Value):
            narrow[line.outputs[0]] = line.args[0]
        if line.function.kind == "ufunc" and line.function.text not in ("np.matmul", "np.vecdot") and narrow:
            args = [narrow.get(x, x) if isinstance(x, Value) else x for x in line.args]
            shapes = [x.shape for x in args if isinstance(x, Value)]
            if shapes and np.broadcast_shapes(*shapes) == line.outputs[0].shape:
                line.args = tuple(args)
    return program


def with_folded_constants(program: Program, viewed: Iterable[Value] = ()) -> Program:
    """Compute now what depends on constants alone, and drop its guards: these always hold.

    A view costs nothing, and keeps its line and name, unless it is of constants that are `viewed`.
    """
    known = {False: set(program.constants), True: set(viewed)}  # by whether a line makes a view
    kept = []
    for line in program.lines:
        reads, is_view = line.reads(), any(v.base is not None for v in line.outputs)
        if reads and known[is_view].issuperset(reads) and all(v.dtype is not None for v in line.outputs):
            line.compute()
            program.constants += line.outputs
            for values in filter(set(reads).issubset, known.values()):
                values.update(line.outputs)
        else:
            kept.append(line)
    return program.replaced(kept, {})


# The rewrites in their order; each keeps every bit. What people see is not merged: equal lines have adjoints of their
# own, and the loss is shown even if only its gradient is asked for.
PLAIN = (with_weak_numbers, without_idle_lines, with_plain_broadcasts, with_folded_constants)
MERGING = (with_shared_lines, without_dead_lines)
