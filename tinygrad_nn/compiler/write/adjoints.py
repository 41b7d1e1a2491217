"""What the lines of a backward pass compute, as a derivation says it: dL/dx = dL/dy ∘ f'(x)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..program import Line, Program, Value
from ..trace.tracer import Tracer
from .folding import STATEMENTS
from .notation import OF, Derivation, in_notation

_WIDE = 90


def loss(number: int) -> str:
    """Return the name of what a backward pass differentiates: L, L2, and so on."""
    return "L" if number == 1 else f"L{number}"


class Adjoints:
    """Writes above a line which adjoint it computes. `of` holds the values that are adjoints, and of what.

    The adjoint of a value that is read in the place of another is left out: it is one part of what that line's is.
    So is one of several adjoints in a pass, and that of what reaches the loss in another way, too, detached. What has
    no line, as it is `folded`, has no name either.
    """

    def __init__(
        self, program: Program, tracer: Tracer, pass_of: dict[Value, int], folded: set[Value],
        name: Callable[[Value], str], called: Callable[[Any, str], str],
    ) -> None:  # fmt: skip
        self.program, self.pass_of, self.name = program, pass_of, name
        self.makers = makers = program.makers
        self.above = set(program.inputs)  # and what `comment` was asked for
        self.derivation = Derivation(self.symbol, makers, folded, called)
        found: dict[tuple[int, Value], set[Value]] = {}
        detached = [(program.present(y), program.present(x)) for y, x in tracer.detached]
        for number, one in enumerate(tracer.passes, start=1):
            inside = self.causes(program.present(root) for root in one.roots)
            held = self.causes(x for y, x in detached if y in inside)
            for g, primal in one.adjoints:
                value = g if g in makers else program.present(g)
                if value in makers and pass_of.get(value) == number and primal not in held:
                    found.setdefault((number, primal), set()).add(value)
        seen = {*program.inputs, *makers} - folded - program.instead.keys()
        whole = {key: values.pop() for key, values in found.items() if len(values) == 1}
        self.values = {key: value for key, value in whole.items() if key[1] in seen and value not in folded}
        self.of = {value: primal for (_, primal), value in reversed(self.values.items())}

    def causes(self, values: Iterable[Value]) -> set[Value]:
        """Return these values and all that they are computed from."""
        found, left = set[Value](), list(values)
        while left:
            value = left.pop()
            if value not in found:
                found.add(value)
                left += self.makers[value].reads() if value in self.makers else ()
        return found

    def symbol(self, value: Value) -> str:
        """Return a value's name in a derivation, in Python: dLǀx for the adjoint of x."""
        if value not in self.of:
            return self.name(value)
        return f"d{loss(self.pass_of[value])}{OF}{self.symbol(self.of[value])}"

    def comment(self, line: Line) -> str:
        """Return the adjoint that a line computes, or for which one it does; nothing outside of backward passes."""
        found = self.computed(line, line.outputs[0]) if line.outputs[0] in self.pass_of else ""
        self.above.update(line.outputs)
        return found

    def computed(self, line: Line, value: Value) -> str:
        """Return what a line of a backward pass computes."""
        if value not in self.of:
            whole = self.first_adjoint(value)
            return "" if whole is None else f"for {in_notation(self.symbol(whole))}"
        name = in_notation(self.symbol(value))
        if line.function.kind in STATEMENTS:
            return name
        right = self.slope(line, value) or self.derivation.right(line)
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
        if span is None or span.y is None or (line.function.text not in products and line.function.kind != "helper"):
            return ""
        g = self.values.get((self.pass_of[value], span.y))
        if g is None or g is value or not span.operation.pointwise or len(span.operation.arguments) > 1:
            return ""
        return in_notation(f"{self.symbol(g)} // {span.operation.name}__prime({self.symbol(self.of[value])})")
