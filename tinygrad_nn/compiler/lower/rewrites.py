"""What makes a program smaller and keeps its results: a table of rewrites, each a function of one line or of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from ..numpy_calls import of_numpy
from ..program import Line, Program, Value


def simplified(program: Program, exact: bool, rewrites: list[Rewrite] | None = None) -> Program:
    """Return the program after these rewrites, by default all; with `exact`, only after those that keep every bit."""
    for rewrite, keeps_bits in REWRITES if rewrites is None else rewrites:
        if keeps_bits or not exact:
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
            if isinstance(x, Value) and (x.dtype, x.strides, x.is_array) == _kind(line.outputs[0]):
                same[line.outputs[0]] = x
                continue
        kept.append(line)
    return program.replaced(kept, same)


def _kind(value: Value) -> Any:
    """Return what a copy has in common with what it was made of, if that can be read instead: also how it lies."""
    return value.dtype, value.strides, value.is_array


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
        if line.function.form == "zeros":  # each is written into
            key = None
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


def with_folded_constants(program: Program) -> Program:
    """Compute at once what depends on constants alone, and judge: such a guard always holds.

    A view of a constant costs nothing, and keeps its name.
    """
    known = set(program.constants)
    kept = []
    for line in program.lines:
        reads = list(line.reads())
        if reads and all(v in known for v in reads) and all(v.dtype is not None for v in line.outputs):
            if any(output.base is not None for output in line.outputs):
                kept.append(line)
                continue
            line.compute()
            program.constants += line.outputs
            known.update(line.outputs)
        else:
            kept.append(line)
    return program.replaced(kept, {})


def with_single_transposes(program: Program) -> Program:
    """Transpose once what is transposed twice, or not at all: products read transposed matrices as they are."""
    makers = {line.outputs[0]: line for line in program.lines if _axes(line) is not None}
    same = {}
    kept = []
    for line in program.lines:
        inner = makers.get(line.args[0]) if line.outputs and _axes(line) is not None else None
        if inner is not None and inner is not line:
            axes = tuple([_axes(inner)[a] for a in _axes(line)])  # type: ignore[index, union-attr]
            if axes == tuple(range(len(axes))):
                same[line.outputs[0]] = inner.args[0]
                continue
            line.function, line.args, line.kwargs = of_numpy(np.transpose), (inner.args[0], axes), {}
        kept.append(line)
    return program.replaced(kept, same)


def _axes(line: Line) -> tuple[int, ...] | None:
    """Return the order in which a transpose takes the axes, None of any other line."""
    if line.function.text not in ("np.transpose", "np.matrix_transpose") or not isinstance(line.args[0], Value):
        return None
    ndim = len(line.args[0].shape)
    if line.function.text == "np.matrix_transpose":
        return (*range(ndim - 2), ndim - 1, ndim - 2)
    given = line.kwargs.get("axes", line.args[1] if len(line.args) > 1 else None)
    return tuple(range(ndim))[::-1] if given is None else tuple(a % ndim for a in given)


def with_folded_scaling(program: Program) -> Program:
    """Multiply once by the product of two numbers, instead of by one and then the other: that rounds once.

    Both make what they are multiplied with larger, or both smaller: then nothing overflows in between, or is lost
    there, that would not be in the end.
    """
    readers = Counter([v for line in program.lines for v in line.reads()] + program.outputs)
    scaled = {line.outputs[0]: line for line in program.lines if _scale(line) is not None}
    for line in program.lines:
        outer = _scale(line)
        inner = None if outer is None else scaled.get(outer[0])
        if outer is None or inner is None or inner is line or readers[outer[0]] != 1:
            continue
        x, factor = _scale(inner)  # type: ignore[misc]
        if _one_way(factor, outer[1], line.outputs[0].dtype):
            line.args = (x, factor * outer[1])
    return program


def _one_way(a: float, b: float, dtype: Any) -> bool:
    """Return whether both factors enlarge or both reduce, and so does their product, a normal number of the dtype."""
    if dtype.kind != "f":
        return False
    info, product = np.finfo(dtype), abs(a * b)
    same = (abs(a) >= 1) == (abs(b) >= 1) or 1 in (abs(a), abs(b))
    return same and float(info.smallest_normal) <= product <= float(info.max)


def _scale(line: Line) -> tuple[Value, float] | None:
    """Return what is multiplied with which number, None of any other line."""
    if line.function.text != "np.multiply" or line.kwargs or not line.outputs[0].is_array:
        return None
    values = [x for x in line.args if isinstance(x, Value) and x.dtype == line.outputs[0].dtype]
    numbers = [x for x in line.args if type(x) in (int, float)]
    return (values[0], float(numbers[0])) if len(values) == len(numbers) == 1 else None


# What is done, in this order, and whether it keeps every bit. What is shown to people keeps equal lines apart: each
# has an adjoint of its own. It keeps the loss, too, where only its gradient is asked for.
Rewrite = tuple[Callable[[Program], Program], bool]
PLAIN: list[Rewrite] = [
    (with_shared_constants, True),
    (with_weak_numbers, True),
    (without_copies, True),
    (without_idle_shapes, True),
    (with_single_transposes, True),
    (with_plain_broadcasts, True),
    (with_folded_constants, True),
    (with_folded_scaling, False),
]
MERGING: list[Rewrite] = [(with_shared_lines, True), (without_dead_lines, True)]
REWRITES = [*PLAIN, *MERGING]
