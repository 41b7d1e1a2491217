"""What the lines of a backward pass compute, as a derivation: dL/dx = dL/dy ∘ f'(x)."""

from __future__ import annotations

from typing import Any

from ..lower.rewrites import causes
from ..program import Line, Program, Value
from ..trace.tracer import Tracer
from .folding import STATEMENTS
from .mathematics import ENTRYWISE, OF, shown
from .notation import Notation

_WIDE = 110


def loss(number: int) -> str:
    """Return the name of what a backward pass differentiates: L, L2, and so on."""
    return "L" if number == 1 else f"L{number}"


class Adjoints(Notation):
    """Writes lines of a derivation, and above a line of the program which adjoint it computes.

    Three kinds of adjoints are left out: that of a value that is read in place of another, since it is only a part of
    that one's; that of a value with several in a pass; and that of a value that also reaches the loss detached. A value
    that has no line, because it is `folded`, has no name either.
    """

    def __init__(self, program: Program, tracer: Tracer, pass_of: dict[Value, int], notation: Notation) -> None:
        makers, folded = program.makers, notation.folded
        super().__init__(self.symbol, folded, notation.called)
        self._program, self._pass_of, self._notation = program, pass_of, notation
        self.texts: dict[Value, str] = notation.texts
        self._above = set(program.inputs)  # and what `comment` has been called for
        found: dict[tuple[int, Value], set[Value]] = {}
        detached = [(program.present(y), program.present(x)) for y, x in tracer.detached]
        for number, one in enumerate(tracer.passes, start=1):
            inside = causes(program.lines, [program.present(root) for root in one.roots])
            held = causes(program.lines, [x for y, x in detached if y in inside])
            for g, primal in one.adjoints:
                value = g if g in makers else program.present(g)
                if value in makers and pass_of.get(value) == number and primal not in held:
                    found.setdefault((number, primal), set()).add(value)
        seen = {*program.inputs, *makers} - folded.keys() - program.instead.keys()
        whole = {key: values.pop() for key, values in found.items() if len(values) == 1 and key[1] in seen}
        self._values = {key: value for key, value in whole.items() if value not in folded}
        self._of = {value: primal for (_, primal), value in reversed(self._values.items())}

    def symbol(self, value: Value) -> str:
        """Return a value's name in a derivation: dLǀx for the adjoint of x."""
        if value not in self._of:
            return self._notation.name(value)
        return f"d{loss(self._pass_of[value])}{OF}{self.symbol(self._of[value])}"

    def comment(self, line: Line) -> str:
        """Return the adjoint that a line computes, or is needed for; nothing outside of backward passes."""
        value, found = line.outputs[0], ""
        if value in self._of:
            text, *_ = self.statements(line)
            found = shown(text)
            if line.function.kind in STATEMENTS or len(found) > _WIDE:
                found = shown(self.symbol(value))
        elif self._pass_of.get(value) and (whole := self.first_adjoint(value)) is not None:
            found = f"for {shown(self.symbol(whole))}"
        self._above.update(line.outputs)
        return found

    def statements(self, line: Line) -> list[str]:
        """Return a line as a derivation has it, that of a function's rule as dL/dx = dL/dy ∘ f'(x)."""
        slope = self.slope(line) if line.outputs[0] in self._of else ""
        return [slope] if slope else super().statements(line)

    def templated(self, template: str, args: Any) -> str:
        """Return operands with an operator; that of entries is told from others."""
        arrays = template == "{0} * {1}" and all(isinstance(x, Value) and x.shape for x in args)
        return super().templated(f"{{0}}{ENTRYWISE}{{1}}" if arrays else template, args)

    def reduction(self, line: Line) -> str:
        """Return a sum as Σ, anything else as it is called."""
        if line.function.text == "np.add.reduce" and not line.kwargs.get("keepdims"):
            return self.call("Σ", line.args[:1], {})
        return super().reduction(line)

    def first_adjoint(self, value: Value) -> Value | None:
        """Return the first adjoint that a value is used for, among those of values that are defined above."""
        reached = {value}
        for line in self._program.lines:
            if reached.intersection(line.reads()):
                reached.update(line.outputs)
                if line.outputs[0] in self._of and self._of[line.outputs[0]] in self._above:
                    return line.outputs[0]
        return None

    def slope(self, line: Line) -> str:
        """Return dL/dx = dL/dy ∘ f'(x) for a line of the rule of a function f of one array; nothing for other lines."""
        span, value = line.spans[-1] if line.spans else None, line.outputs[0]
        if span is None or span.y is None:
            return ""
        made = line.function.text in ("np.multiply", "np.divide") or line.function.kind == "helper"
        g = self._values.get((self._pass_of[value], span.y))
        if not made or g is None or g is value or not span.operation.pointwise or len(span.operation.arguments) > 1:
            return ""
        slope = f"{span.operation.name}__prime({self.symbol(self._of[value])})"
        return f"{self.symbol(value)} = {self.symbol(g)}{ENTRYWISE}{slope}"
