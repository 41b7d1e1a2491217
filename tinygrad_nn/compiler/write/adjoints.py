"""What the lines of a backward pass compute, as a derivation says it: dL/dx = dL/dy ∘ f'(x)."""

from __future__ import annotations

from collections.abc import Callable

from ..program import Line, Program, Value
from ..trace.tracer import Tracer
from .expressions import TIMES
from .folding import STATEMENTS
from .notation import Derivation

_WIDE = 90


def loss(number: int) -> str:
    """Return the name of what a backward pass differentiates: L, L2, and so on."""
    return "L" if number == 1 else f"L{number}"


class Adjoints:
    """Writes above a line which adjoint it computes. `of` holds the values that are adjoints, and of what.

    A value that the program computes in one line with another is left out: its adjoint and that line's differ. So
    is one with several adjoints in a pass: they are parts. What has no line, as it is `folded`, has no name either.
    """

    def __init__(self, program: Program, tracer: Tracer, folded: set[Value], name: Callable[[Value], str]) -> None:
        self.program, self.passes, self.name = program, tracer.passes, name
        self.makers = {output: line for line in program.lines for output in line.outputs}
        self.numbers = {output: n for n, line in enumerate(tracer.lines) for output in line.outputs}
        self.above = set(program.inputs)  # and what `comment` was asked for
        self.derivation = Derivation(self.symbol, self.makers, folded)
        named = {*program.inputs, *self.makers} - folded
        found: dict[tuple[int, Value], set[Value]] = {}
        for number, one in enumerate(self.passes, start=1):
            for g, primal in one.adjoints:
                value = g if g in self.makers else program.present(g)
                if (
                    primal in named
                    and primal not in program.instead
                    and self.pass_of(value) == number
                    and value in named
                ):
                    found.setdefault((number, primal), set()).add(value)
        self.values = {
            key: values.pop() for key, values in found.items() if len(values) == 1 and not values - {*self.makers}
        }
        self.of = {value: primal for (_, primal), value in reversed(self.values.items())}

    def pass_of(self, value: Value) -> int:
        """Return the number of the backward pass in which a value was computed, from 1 on, 0 outside of all."""
        number = self.numbers.get(value, -1)
        return next((n for n, one in enumerate(self.passes, start=1) if one.start <= number < one.stop), 0)

    def symbol(self, value: Value) -> str:
        """Return a value's name in a derivation: dL/dx for the adjoint of x."""
        if value not in self.of:
            return self.name(value)
        primal = self.of[value]
        inner = self.symbol(primal)
        return f"d{loss(self.pass_of(value))}/d{f'({inner})' if primal in self.of else inner}"

    def comment(self, line: Line) -> str:
        """Return the adjoint that a line computes, or for which one it does; nothing outside of backward passes."""
        (value, *_) = line.outputs
        self.above.update(line.outputs)
        if not self.pass_of(value):
            return ""
        if value not in self.of:
            whole = self.first_adjoint(value)
            return "" if whole is None else f"for {self.symbol(whole)}"
        name = self.symbol(value)
        if line.function.form in STATEMENTS:
            return name
        right = self.slope(line, value) or self.derivation.line(line)[0]
        return f"{name} = {right}" if len(right) <= _WIDE else name

    def first_adjoint(self, value: Value) -> Value | None:
        """Return the first adjoint that a value goes into, of what is defined above."""
        reached = {value}
        for line in self.program.lines:
            if reached.intersection(line.reads()):
                reached.update(line.outputs)
                if line.outputs[0] in self.of and self.of[line.outputs[0]] in self.above:
                    return line.outputs[0]
        return None

    def slope(self, line: Line, value: Value) -> str:
        """Return dL/dy ∘ f'(x) for what the rule of a function f of one array has made; nothing of other lines."""
        span = line.spans[-1] if line.spans else None
        products = ("np.multiply", "np.divide")
        if span is None or span.y is None or (line.function.text not in products and line.function.form != "helper"):
            return ""
        g = self.values.get((self.pass_of(value), span.y))
        if g is None or g is value or not span.operation.pointwise or len(span.operation.arguments) > 1:
            return ""
        return f"{self.derivation.operand(g, TIMES)} ∘ {span.operation.name}'({self.symbol(self.of[value])})"
