"""Infix NumPy in which small lines are written inside the expression that reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ..program import Line, Program, Value
from .naming import Names
from .notation import CHANGING, Called, Notation, is_transpose

STATEMENTS = (*CHANGING, "operation")
_WIDE, _TINY, _OUTPUT = 76, 12, 1 << 20


class Folding(Notation):
    """Without a line of their own are transposes, and small steps that are read once, in the same section.

    A value with a name of its own keeps its line, and so does the adjoint of such a value.
    """

    def __init__(self, program: Program, sections: list[list[Line]], names: Names, called: Called) -> None:
        super().__init__(Names().of, {})  # these names are for measuring alone
        self._inputs, self._primals, self._makers = set(program.inputs), names.primals, program.makers
        self._uses = Counter(v for line in program.lines for v in line.reads())
        self._uses.update(dict.fromkeys(program.outputs, _OUTPUT))
        for line in reversed(program.lines):
            if is_transpose(line) and line.outputs[0] not in program.outputs:
                self.folded[line.outputs[0]] = line
                (x,) = line.reads()
                self._uses[x] += self._uses[line.outputs[0]] - 1
        for lines in sections:
            self.fold(lines)
        self.name: Callable[[Value], str] = names.of
        self.called = called

    def shown(self, lines: list[Line]) -> list[Line]:
        """Return the lines that are written as such."""
        return [line for line in lines if self.folded.keys().isdisjoint(line.outputs)]

    def fold(self, lines: list[Line]) -> None:
        """Fold what the lines read as far as they stay short."""
        own: set[Value] = set()
        for line in lines:
            free = [v for v in dict.fromkeys(line.reads()) if v in own and self.is_small(v)]
            self.folded.update({v: self._makers[v] for v in free})
            while free and self.width(line) > _WIDE:
                longest = max(free, key=lambda v: self.width(self._makers[v]))
                free.remove(longest)
                self.folded.pop(longest)
            own.update(line.outputs)

    def width(self, line: Line) -> int:
        """Return how long a line is, without the name of what it computes."""
        *before, last = self.statements(line)
        return max(map(len, [*before, last.partition(" = ")[2]]))

    def is_small(self, value: Value) -> bool:
        """Return whether a value is read once, has no name of its own, and is not the adjoint of a kept value."""
        line = self._makers[value]
        if line.function.kind == "operator" and self._uses[value] < _OUTPUT and self.width(line) <= _TINY:
            return True
        if self._uses[value] > 1 or line.several or line.function.kind in STATEMENTS:
            return False
        primal = value.primal or self._primals.get(value)
        if primal is not None:
            return primal not in self._inputs and (primal not in self._makers or primal in self.folded)
        return value.name.endswith("#") or value.after is not None
