"""What the lines of a backward pass compute, as a derivation says it: dL/dx = dL/dy ∘ f'(x)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..program import Line, Value
from ..trace.tracer import Pass
from .folding import STATEMENTS
from .notation import TIMES, Derivation

_WIDE = 90


class Adjoints:
    """Writes above a line which adjoint it computes.

    `numbers` are the places of values in the trace, `operations` the names of what computed them.
    """

    def __init__(
        self, makers: dict[Value, Line], folded: set[Value], name: Callable[[Value], str], passes: list[Pass],
        numbers: dict[Value, int], operations: dict[Value, str],
    ) -> None:  # fmt: skip
        self.makers, self.name, self.passes = makers, name, passes
        self.numbers, self.operations = numbers, operations
        self.derivation = Derivation(self.symbol, makers, folded)
        self.wholes = {(self.pass_of(v), v.primal): v for v in makers if v.primal is not None}

    def symbol(self, value: Value) -> str:
        """Return a value's name in a derivation: dL/dx for the adjoint of x."""
        if value.primal is None:
            return self.name(value)
        n = self.pass_of(value)
        if self.wholes.get((n, value.primal), value) is not value:
            return self.name(value)
        primal = self.symbol(value.primal)
        return f"d{'L' if n == 1 else f'L{n}'}/d{f'({primal})' if value.primal.primal is not None else primal}"

    def pass_of(self, value: Value) -> int:
        """Return the number of the backward pass that a value is an adjoint of, from 1 on."""
        number = self.numbers.get(value, 0)
        return next((n for n, one in enumerate(self.passes, start=1) if number < one.stop), len(self.passes))

    def of(self, line: Line) -> str:
        """Return the adjoint that a line computes, as a derivation says it; nothing for a line that computes none."""
        (value, *_) = line.outputs
        if value.primal is None:
            return ""
        name = self.symbol(value)
        if line.function.form in STATEMENTS:
            return name
        right = self.slope(line, value) or self.derivation.line(line)[0]
        return f"{name} = {right}" if len(right) <= _WIDE else name

    def slope(self, line: Line, value: Value) -> str | None:
        """Return dL/dy ∘ f'(x), if that is what the adjoint of x is, where y = f(x)."""
        x = value.primal
        if line.function.text not in ("np.multiply", "np.divide") or x is None:
            return None
        for g, k in (line.args, line.args[::-1]):
            if not (isinstance(g, Value) and isinstance(k, Value)) or g.primal is None or k.primal is not None:
                continue
            for y in [g.primal, *self.near(k)]:
                unary = y is not x and k not in (x, y) and _is_unary(self.operations.get(y, ""))
                if unary and self.leaves(k, {x, y}) <= {x, y} and self.leaves(y, {x}, True) == {x}:
                    return f"{self.derivation.operand(g, TIMES)} ∘ {self.operations[y]}'({self.symbol(x)})"
        return None

    def near(self, value: Value) -> list[Value]:
        """Return what a value is computed from by one step or two."""
        first = list(self.makers[value].reads()) if value in self.makers else []
        return [*first, *[v for x in first if x in self.makers for v in self.makers[x].reads()]]

    def leaves(self, value: Value, known: set[Value], inside: bool = False) -> set[Value]:
        """Return what a value is computed from, down to the known ones and the inputs."""
        if (value in known and not inside) or value not in self.makers:
            return {value}
        found: set[Value] = set()
        for v in self.makers[value].reads():
            found |= {v} if v in known else self.leaves(v, known)
        return found


def _is_unary(operation: str) -> bool:
    """Return whether an operation is a function of one array, entry by entry."""
    return operation in ("relu", "sigmoid") or getattr(getattr(np, operation, None), "nin", 0) == 1
