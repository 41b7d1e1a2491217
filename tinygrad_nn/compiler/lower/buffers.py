"""Where every array of a program lies: memory is used again as soon as nobody reads it any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..program import Line, Program, Value

_ALIGNED = 64
IN_PLACE = ("ufunc",)
INTO_MEMORY = ("ufunc", "out", "where", "astype", "setitem", "copy", "into", "at", "add", "zeros")


def takes_out(line: Line) -> bool:
    """Return whether a line can write its result into memory that is there."""
    (output, *more) = line.outputs or (None,)
    held = output is not None and not more and output.is_array and not output.dtype.hasobject
    return held and line.function.form in INTO_MEMORY


@dataclass
class Plan:
    """The offset of every planned value in one block of memory of `nbytes` bytes.

    Outputs lie in arrays of their own, which NumPy makes; those in `inside` lie in the array of an output.
    """

    offsets: dict[Value, int] = field(default_factory=dict)
    inside: dict[Value, Value] = field(default_factory=dict)
    nbytes: int = 0

    def place(self, value: Value) -> Any:
        """Return what two values have in common that lie in the same memory; None of one that has no place here."""
        return self.offsets.get(value, self.inside.get(value))


def last_reads(program: Program) -> dict[Value, int]:
    """Return the number of the last line that reads each value's memory, by itself or through a view."""
    last: dict[Value, int] = {}
    for number, line in enumerate(program.lines):
        for value in line.reads():
            last[value.root] = number
    for value in program.outputs:
        last[value.root] = len(program.lines)
    return last


def planned(program: Program) -> Plan:
    """Return where each result lies that its line can write into given memory.

    A line on corresponding entries writes over an operand that nobody reads afterwards, if it has the
    same shape, dtype and strides. Else the smallest free block that is large enough is taken.
    """
    last = last_reads(program)
    memory = _Memory()
    plan = Plan(inside=_inside(program, last))
    for number, line in enumerate(program.lines):
        dying = {v.root for v in line.reads() if v.root in plan.offsets and last[v.root] == number}
        for output in line.outputs:
            if output in plan.inside or not takes_out(line):
                continue
            over = next((v for v in _overwritable(line, output) if v in dying), None)
            if over is not None:
                plan.offsets[output] = plan.offsets[over]
                memory.move(over, output)
                dying.discard(over)
            else:
                plan.offsets[output] = memory.take(output)
            if output not in last:
                memory.free(output)
        for value in dying:
            memory.free(value)
    plan.nbytes = memory.top
    return plan


def _inside(program: Program, last: dict[Value, int]) -> dict[Value, Value]:
    """Return the outputs, and what is computed on the way to one, each with the output in whose array it lies."""
    makers = {output: line for line in program.lines for output in line.outputs}
    inside = {output: output for output in program.outputs}
    for number, line in reversed(list(enumerate(program.lines))):
        target = inside.get(line.outputs[0]) if takes_out(line) else None
        if target is None:
            continue
        for value in _overwritable(line, line.outputs[0]):
            planned = value in makers and takes_out(makers[value]) and value not in program.outputs
            if planned and last[value] == number:
                inside[value] = target
                break
    return inside


def _overwritable(line: Line, output: Value) -> list[Value]:
    """Return the operands whose memory may take the line's result."""
    if line.function.form == "ufunc" and line.function.text not in ("np.matmul", "np.vecdot", "np.matvec"):
        operands = list(line.reads())
    elif line.function.form in ("where", "setitem", "copy", "into", "at", "add"):
        written = line.args[-1:] if line.function.form == "where" else line.args[:1]
        operands = [v for v in written if isinstance(v, Value)]
    else:
        return []
    same = [v for v in operands if v.base is None and v.shape == output.shape and v.dtype == output.dtype]
    fits = [v for v in same if v.strides == output.strides]
    if line.function.form != "ufunc":
        others = list(line.reads())
        return [v for v in fits if others.count(v) == 1 and not any(o.root is v and o is not v for o in others)]
    return [v for v in fits if not any(o.root is v and o is not v for o in operands)]


class _Memory:
    """Blocks that are taken and free, in the order of their offsets."""

    def __init__(self) -> None:
        self.taken: dict[Value, tuple[int, int]] = {}
        self.top = 0

    def take(self, value: Value) -> int:
        size = -(-value.nbytes // _ALIGNED) * _ALIGNED
        start, best = 0, None
        for low, high in [*sorted(self.taken.values()), (self.top, self.top)]:
            if low - start >= size and (best is None or low - start < best[1]):
                best = start, low - start
            start = max(start, high)
        offset = start if best is None else best[0]
        self.taken[value] = offset, offset + size
        self.top = max(self.top, offset + size)
        return offset

    def move(self, old: Value, new: Value) -> None:
        self.taken[new] = self.taken.pop(old)

    def free(self, value: Value) -> None:
        self.taken.pop(value, None)
