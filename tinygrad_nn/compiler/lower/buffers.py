"""Where every array of a program lies: memory is used again as soon as no line reads it any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..program import Line, Program, Value

_ALIGNED = 64
INTO_MEMORY = ("ufunc", "out", "setitem", "copy", "at", "zeros")


def takes_out(line: Line) -> bool:
    """Return whether a line can write its result into given memory: not if it is a view, as einsum may return one."""
    (output, *more) = line.outputs or (None,)
    held = output is not None and not more and output.is_array and output.base is None and not output.dtype.hasobject
    return held and line.function.kind in INTO_MEMORY


@dataclass
class Plan:
    """Where results lie: at an offset in one block of `nbytes` bytes, or in the array of an output, made by NumPy."""

    places: dict[Value, int | Value]
    nbytes: int

    def offset(self, value: Value) -> int | None:
        """Return where a value lies in the block, None if it lies elsewhere."""
        place = self.places.get(value)
        return place if isinstance(place, int) else None


def planned(program: Program) -> Plan:
    """Return the place of each result that its line can write into given memory.

    Lines are visited from the last to the first, so that the last reader of a value is met first. A pointwise line
    writes over an operand that no line reads afterwards, if it has the same shape, dtype and strides. Otherwise, the
    smallest free part of the block that is large enough is taken, or a new one.
    """
    written = {line.outputs[0] for line in program.lines if takes_out(line)}
    places: dict[Value, int | Value] = {output: output for output in program.outputs}
    sizes: dict[Any, int] = {}  # of the block's parts, by their offsets
    free = set[Any]()

    def place(value: Value) -> None:
        if value in written and value not in places:
            size = -(-max(value.nbytes, 1) // _ALIGNED) * _ALIGNED
            fitting = [(sizes[offset], offset) for offset in free if sizes[offset] >= size]
            size, offset = min(fitting, default=(size, sum(sizes.values())))
            sizes[offset], places[value] = size, offset
            free.discard(offset)

    for value in [v for line in program.lines if line.function.kind == "operation" for v in line.reads()]:
        place(value.root)  # to the end: by its values, an operation may return what it is given
    for line in reversed(program.lines):
        outputs = written.intersection(line.outputs)
        for output in outputs:
            place(output)
            over = [v for v in _overwritable(line, output) if v in written and v not in places]
            places |= dict.fromkeys(over[:1], places[output])
        for value in line.reads():
            place(value.root)
        held = {places.get(v) for v in line.reads()}
        free |= {places[v] for v in outputs if places[v] in sizes} - held
    return Plan(places, sum(sizes.values()))


def _overwritable(line: Line, output: Value) -> list[Value]:
    """Return the operands whose memory may take the line's result."""
    if line.function.kind == "ufunc" and line.function.text not in ("np.matmul", "np.vecdot", "np.matvec"):
        operands = line.reads()
    elif line.function.kind in ("setitem", "copy", "at") and line.reads().count(line.args[0]) == 1:
        operands = [line.args[0]]
    else:
        return []
    kind = output.shape, output.dtype, output.strides
    fits = [v for v in operands if v.base is None and (v.shape, v.dtype, v.strides) == kind]
    return [v for v in fits if not any(o.root is v and o is not v for o in line.reads())]
