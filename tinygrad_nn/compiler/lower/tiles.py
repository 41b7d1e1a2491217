"""A program over a large batch, as the program of a tile of it, and what is done with the tiles' sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import CompileError
from ..numpy_calls import GETITEM
from ..program import Line, Program, Value, mapped, values_in
from ..refusals import coupled
from .rewrites import without_dead_lines

ROWS = 4000
TOTAL, LOCAL = "total", "local"


@dataclass
class Axes:
    """Along which axis each value holds the batch.

    A value may also be a TOTAL over the batch, or be computed from one; or be LOCAL, which is of a tile
    alone and good for guards only, first made so by a line of `mixed`. `constants` are those that hold a number for
    each sample, `starts` those where the rows of a flat array start: every tile has the first ones.
    """

    rows: int
    of: dict[Value, Any] = field(default_factory=dict)
    constants: dict[Value, int] = field(default_factory=dict)
    starts: set[Value] = field(default_factory=set)
    partial: list[Value] = field(default_factory=list)
    mixed: dict[Value, Line] = field(default_factory=dict)

    def axis(self, x: Any) -> Any:
        """Return a value's batch axis, TOTAL or LOCAL; None of what does not depend on the batch."""
        return self.of.get(x, self.constants.get(x)) if isinstance(x, Value) else None

    def constant(self, x: Any, axis: int) -> bool:
        """Take a constant for one that holds the batch along that axis, if it does."""
        if not isinstance(x, Value) or x in self.of or not x.is_array or not 0 <= axis < len(x.shape):
            return False
        return x.shape[axis] == self.rows and self.constants.setdefault(x, axis) == axis


def batch_axes(program: Program, batch: list[Value]) -> Axes:
    """Return along which axis each value holds the batch. Raises CompileError where samples are not independent."""
    axes = Axes(batch[0].shape[0], dict.fromkeys(batch, 0))
    for line in program.lines:
        found = {axes.axis(v) for v in line.reads()} - {None}
        if not found:
            _repeated(line, axes)
            continue
        if line.function.form == "guard":
            continue
        batched = found - {TOTAL}
        if TOTAL in found and batched:
            raise _coupled(line)
        kind: Any
        if not batched:
            kind = TOTAL
        elif _picks_from_rows(line, axes, program):
            kind = 0
        else:
            kind = LOCAL if LOCAL in found else _RULES.get(_family(line), _unknown)(line, axes)
        if kind == TOTAL and batched:
            axes.partial += line.outputs
        if kind == LOCAL:
            first = next((axes.mixed[v] for v in line.reads() if v in axes.mixed), line)
            axes.mixed |= dict.fromkeys(line.outputs, first)
        axes.of.update(dict.fromkeys(line.outputs, kind))
    for value in axes.constants.keys() - set(program.constants):
        raise CompileError(coupled(f"an array of {axes.rows} rows that is not an argument", value.name))
    for line in program.lines:
        if any(v in axes.constants for v in line.reads()) and all(axes.axis(o) is None for o in line.outputs):
            raise _coupled(line)
    for value in program.outputs:
        if value in axes.mixed:
            raise _coupled(axes.mixed[value])
    return axes


def _repeated(line: Line, axes: Axes) -> None:
    """Take what has an entry for each sample, though it is computed from none, for one that holds the batch."""
    y = line.outputs[0] if len(line.outputs) == 1 else None
    new = [] if y is None else [a for a, n in enumerate(y.shape) if n == axes.rows]
    if y is None or len(new) != 1:
        return
    operands = [x for x in line.args if isinstance(x, Value)]
    own = [(x, new[0] - len(y.shape) + len(x.shape)) for x in operands]
    held = [(x, axis) for x, axis in own if axis >= 0 and x.shape[axis] == axes.rows]
    if (line.function.text == "np.broadcast_to" and not held) or (
        _RULES.get(_family(line)) is _entrywise and held and all(axes.constant(x, axis) for x, axis in held)
    ):
        axes.of[y] = new[0]
    if line.function.text == "np.matmul" and new == [0] and len(y.shape) == 2 and axes.constant(line.args[0], 0):
        axes.of[y] = 0


def _picks_from_rows(line: Line, axes: Axes, program: Program) -> bool:
    """Return whether a line is x.reshape(-1)[starts + places]: one entry of each sample, where places are judged."""
    if line.function.text != GETITEM.text:
        return False
    makers = {output: other for other in program.lines for output in other.outputs}

    def made(x: Any, text: str) -> tuple[Any, ...]:
        maker = makers.get(x) if isinstance(x, Value) else None
        return maker.args if maker is not None and maker.function.text == text else (None, None)

    x, (starts, places) = made(line.args[0], "np.reshape")[0], made(line.args[1], "np.add")
    if not (isinstance(starts, Value) and isinstance(x, Value) and axes.axis(x) == axes.axis(places) == 0):
        return False
    width = x.concrete.size // axes.rows
    if not np.array_equal(starts.concrete, np.arange(axes.rows) * width) or len(line.args[0].shape) != 1:
        return False
    for guard in program.lines:
        if guard.function.form == "guard" and guard.args[1] is False:
            top, limit = made(guard.args[0], "np.greater_equal")
            unsigned = made(made(top, "np.maximum.reduce")[0], "astype")
            if unsigned[0] is places and unsigned[1] == np.uint64 and limit == width:
                axes.starts.add(starts)
                return True
    return False


def _coupled(line: Line) -> CompileError:
    name = "an index" if line.function is GETITEM else line.function.text
    return CompileError(coupled(name, line.where))


def _family(line: Line) -> str:
    if line.function.text in _RULES:
        return line.function.text
    return line.function.form


def _unknown(line: Line, axes: Axes) -> Any:
    raise _coupled(line)


def _local(line: Line, axes: Axes) -> Any:
    return LOCAL


def _entrywise(line: Line, axes: Axes) -> Any:
    """Return the axis of what is computed entry by entry, of operands that broadcast."""
    ndim = len(line.outputs[0].shape)
    if getattr(line.function.apply, "signature", None):  # of vectors, as np.vecdot
        return _unknown(line, axes)
    operands = [x for x in line.args if isinstance(x, Value)]
    found = {axes.axis(v) + ndim - len(v.shape) for v in operands if axes.axis(v) is not None}
    if len(found) != 1:
        return _unknown(line, axes)
    (axis,) = found
    for v in operands:
        own = axis - ndim + len(v.shape)
        if axes.axis(v) is None and own >= 0 and v.shape[own] != 1 and not axes.constant(v, own):
            return _unknown(line, axes)
    return axis


def _matmul(line: Line, axes: Axes) -> Any:
    """Return the axis of a product; TOTAL where it adds up over the batch."""
    a, b = line.args
    inner = [len(a.shape) - 1, max(len(b.shape) - 2, 0)]
    for x, y, here, there in ((a, b, *inner), (b, a, *inner[::-1])):
        if axes.axis(x) == here and axes.axis(y) is None:
            axes.constant(y, there)
    i, j = axes.axis(a), axes.axis(b)
    ndim = len(line.outputs[0].shape)
    if i == inner[0] and j == inner[1]:
        return TOTAL
    if j is None and i is not None and i != inner[0]:
        return i + ndim - len(a.shape) + (1 if len(b.shape) == 1 else 0)
    if i is None and j is not None and j == len(b.shape) - 1 and len(b.shape) >= 2:
        return ndim - 1
    return _unknown(line, axes)


def _sum(line: Line, axes: Axes) -> Any:
    kept = _reduced(line, axes)
    return TOTAL if kept is None else kept


def _extreme(line: Line, axes: Axes) -> Any:
    kept = _reduced(line, axes)
    return LOCAL if kept is None else kept


def _reduced(line: Line, axes: Axes) -> Any:
    """Return where the batch axis is after a reduction, None if that was over it."""
    (x,) = line.args
    axis, ndim = line.kwargs.get("axis", 0), len(x.shape)
    over = [a % ndim for a in (range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,))]
    own = axes.axis(x)
    if "where" in line.kwargs or (own in over and "initial" in line.kwargs):  # each tile would start from it
        return _unknown(line, axes)
    if own in over:
        return None
    return own if line.kwargs.get("keepdims") else own - sum(a < own for a in over)


def _transpose(line: Line, axes: Axes) -> Any:
    x = line.args[0]
    order = line.kwargs.get("axes", line.args[1] if len(line.args) > 1 else None) or range(len(x.shape))[::-1]
    return list(order).index(axes.axis(x))


def _same_place(line: Line, axes: Axes) -> Any:
    """Return the axis after a change of shape that leaves the batch first, or last; LOCAL of one that mixes it."""
    x, shape = line.args[0], line.outputs[0].shape
    own = axes.axis(x)
    if line.function.text == "np.broadcast_to":
        return own + len(shape) - len(x.shape)
    if own == 0 and shape and shape[0] == axes.rows:
        return 0
    return len(shape) - 1 if own == len(x.shape) - 1 and shape and shape[-1] == axes.rows else LOCAL


def _expanded(line: Line, axes: Axes) -> Any:
    given = line.kwargs.get("axis", line.args[1] if len(line.args) > 1 else None)
    ndim = len(line.outputs[0].shape)
    new = {a % ndim for a in (given if isinstance(given, tuple) else (given,))}
    return [a for a in range(ndim) if a not in new][axes.axis(line.args[0])]


def _joined(line: Line, axes: Axes) -> Any:
    """Return the axis of arrays that are joined along another one."""
    ndim, parts = len(line.outputs[0].shape), list(values_in(line.args[0]))
    along = line.kwargs.get("axis", line.args[1] if len(line.args) > 1 else 0)
    own = {axes.axis(v) for v in parts}
    return own.pop() if len(own) == 1 and along is not None and own != {along % ndim} else _unknown(line, axes)


def _getitem(line: Line, axes: Axes) -> Any:
    """Return the axis after an index that takes all samples."""
    x, index = line.args
    parts = list(index) if isinstance(index, tuple) else [index]
    if any(isinstance(part, Value) or not isinstance(part, (slice, int, type(None), type(Ellipsis))) for part in parts):
        return _unknown(line, axes)
    named = sum(part is not None and part is not Ellipsis for part in parts)
    rest = [slice(None)] * (len(x.shape) - named)
    at = parts.index(Ellipsis) if Ellipsis in parts else len(parts)
    parts = [*parts[:at], *rest, *parts[at + 1 :]]
    own, here = 0, 0
    for part in parts:
        if part is not None and here == axes.axis(x):
            return own if part == slice(None) else _unknown(line, axes)
        here += part is not None
        own += not isinstance(part, int)
    return _unknown(line, axes)


_RULES: dict[str, Callable[[Line, Axes], Any]] = {
    "ufunc": _entrywise, "where": _entrywise, "astype": _entrywise, "copy": _entrywise, "np.clip": _entrywise,
    "np.matmul": _matmul, "np.dot": _local, "np.count_nonzero": _local,
    "np.add.reduce": _sum, "np.maximum.reduce": _extreme, "np.minimum.reduce": _extreme,
    "np.multiply.reduce": _extreme, "np.logical_and.reduce": _extreme, "np.logical_or.reduce": _extreme,
    "np.transpose": _transpose, "np.matrix_transpose": _transpose, "np.reshape": _same_place,
    "np.broadcast_to": _same_place, "np.expand_dims": _expanded, GETITEM.text: _getitem,
    "np.concatenate": _joined,
}  # fmt: skip


@dataclass
class Tile:
    """The program of `rows` samples, which computes `partial` sums, and outputs with the batch along `axes`.

    `inputs` says for each of its inputs which of the whole program's it is, by number, or which constant, and along
    which axis it is cut, if it is.
    """

    program: Program
    rows: int
    inputs: list[tuple[Any, int | None]]
    partial: list[Value]
    axes: list[int]


def tile_of(program: Program, axes: Axes, rows: int) -> Tile:
    """Return the program on `rows` samples: what holds the batch, and what is summed over it."""
    new: dict[Value, Value] = {}
    inputs: list[tuple[Any, int | None]] = []
    tile_inputs: list[Value] = []
    constants: list[Value] = []

    def cut(value: Value, axis: int) -> Value:
        index = (slice(None),) * axis + (slice(0, rows),)
        return Value(value.concrete[index].copy(), value.name)

    for number, value in enumerate(program.inputs):
        axis = axes.axis(value)
        new[value] = cut(value, axis) if axis is not None else Value(value.concrete, value.name)
        tile_inputs.append(new[value])
        inputs.append((number, axis))
    for value in program.constants:
        if value in axes.constants:
            new[value] = cut(value, axes.constants[value])
            if value in axes.starts or (value.concrete == value.concrete.flat[0]).all():
                constants.append(new[value])
            else:
                tile_inputs.append(new[value])
                inputs.append((value.concrete, axes.constants[value]))
        else:
            new[value] = value
            constants.append(value)
    lines = [_on_tile(line, axes, new, rows) for line in program.lines if _in_tile(line, axes)]
    partial = [new[v] for v in axes.partial]
    batch = [v for v in program.outputs if isinstance(axes.axis(v), int)]
    found = without_dead_lines(Program(tile_inputs, lines, [*partial, *[new[v] for v in batch]], constants))
    return Tile(found, rows, inputs, partial, [axes.of[v] for v in batch])


def _in_tile(line: Line, axes: Axes) -> bool:
    """Return whether a line is part of a tile's program: not if it reads a total, or judges what is no sample's."""
    found = [axes.axis(v) for v in line.reads()]
    return TOTAL not in found and (line.function.form != "guard" or any(kind is not None for kind in found))


def _on_tile(line: Line, axes: Axes, new: dict[Value, Value], rows: int) -> Line:
    """Return the line with the tile's values, computed on its first samples."""
    args, kwargs = mapped(new.__getitem__, (line.args, line.kwargs))
    axis = axes.axis(line.outputs[0]) if line.outputs else None
    if line.function.text in ("np.reshape", "np.broadcast_to") and isinstance(axis, int):
        shape = list(line.outputs[0].shape)
        shape[axis] = rows
        args, kwargs = (args[0], tuple(shape)), {}
    made = Line(line.function, args, kwargs, (), line.where, line.several)
    pairs = zip(made.computed(), line.outputs, strict=True)
    made.outputs = tuple([Value(x, o.name, None if o.base is None else new[o.base]) for x, o in pairs])
    new.update(zip(line.outputs, made.outputs, strict=True))
    return made


def after_tiles(program: Program, axes: Axes) -> Program:
    """Return what is computed once, when the totals are known: they are inputs after the program's own."""

    def is_after(line: Line) -> bool:
        return not any(isinstance(axes.axis(v), int) or axes.axis(v) == LOCAL for v in line.reads())

    lines = [line for line in program.lines if is_after(line) and not set(line.outputs) & set(axes.partial)]
    outputs = [v for v in program.outputs if not isinstance(axes.axis(v), int)]
    return without_dead_lines(Program([*program.inputs, *axes.partial], lines, outputs, program.constants))
