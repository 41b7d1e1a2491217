"""Where every array of a program lies: memory is used again as soon as no line reads it any more."""

from __future__ import annotations

from dataclasses import dataclass

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
    smallest free block that is large enough is taken.
    """
    written = {line.outputs[0] for line in program.lines if takes_out(line)}
    places: dict[Value, int | Value] = {output: output for output in program.outputs}
    memory = _Memory()
    given = [v.root for line in program.lines if line.function.kind == "operation" for v in line.reads()]
    for value in [v for v in dict.fromkeys(given) if v in written and v not in places]:
        places[value] = memory.take(value)  # to the end: by its values, an operation may return what it is given
    for line in reversed(program.lines):
        for output in written.intersection(line.outputs):
            if output not in places:  # no line reads it
                places[output] = memory.take(output)
            over = next((v for v in _overwritable(line, output) if v in written and v not in places), None)
            if over is not None:
                places[over] = places[output]
                memory.move(output, over)
        for root in [v.root for v in line.reads()]:
            if root in written and root not in places:
                places[root] = memory.take(root)
        for output in line.outputs:
            memory.free(output)
    return Plan(places, memory.top)


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
        if old in self.taken:
            self.taken[new] = self.taken.pop(old)

    def free(self, value: Value) -> None:
        self.taken.pop(value, None)
