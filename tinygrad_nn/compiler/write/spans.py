"""Operations that take several lines, as calls of functions that hold these lines.

The trace says which lines belong to one run of an operation, or of its rule: nothing is recognised by pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..program import Function, Line, Program, Span, Value
from .folding import Folding
from .literals import for_people
from .naming import Names
from .notation import Called

_SHORT = 72


class Outlining:
    """Puts the lines of each span into a function, unless they make one readable expression. `texts` holds these.

    `kept` are the values that need a line of their own, `new` returns an unused name, `called` the name of a function
    that NumPy doesn't have.
    """

    def __init__(self, program: Program, kept: set[Value], new: Callable[[str], str], called: Called) -> None:
        self._program, self._kept, self._new, self._called = program, kept, new, called
        self.texts: dict[str, tuple[str, str]] = {}
        constants = [(v, for_people(v.concrete)) for v in program.constants]
        self._constants = {v: text for v, text in constants if text and len(text) <= _SHORT}
        spans = dict.fromkeys(span for line in program.lines for span in line.spans)
        for span in sorted(spans, key=lambda span: -len(span.chain)):
            self.outline(span, [line for line in program.lines if span in line.spans])

    def outline(self, span: Span, lines: list[Line]) -> None:
        """Write a span's lines as one call, unless they are one expression, or compute a value that is kept."""
        inner = {v for line in lines for v in line.outputs}
        outside = [v for line in self._program.lines if line not in lines for v in line.reads()]
        results = inner.intersection([*outside, *self._program.outputs])
        if len(lines) < 2 or len(results) != 1 or self._kept.intersection(inner - results):
            return
        (result,) = results
        known = inner | self._constants.keys()
        reads = dict.fromkeys(v for line in lines for v in line.reads() if v not in known)
        given = [v for v in map(self._program.present, span.names) if v in reads]
        arguments = list(dict.fromkeys([*given[-1:], *given[:-1], *reads] if span.y is not None else [*given, *reads]))
        if name := self.function(span, arguments, lines, result):
            function, around = Function(name, lines[-1].function.apply, "helper"), span if span.y else span.outer
            call = Line(function, tuple(arguments), {}, (result,), lines[-1].where, False, around)
            self._program.lines[self._program.lines.index(lines[-1])] = call
            self._program.lines = [line for line in self._program.lines if line not in lines]

    def function(self, span: Span, arguments: list[Value], lines: list[Line], result: Value) -> str:
        """Return the name of the function that holds these lines; spans with the same text share it.

        Lines that make one expression of readable length, or a statement that reads one, need no function: "".
        """
        names = Names()
        own = {self._program.present(value): name for value, name in span.names.items()}
        for value in arguments:
            names.found[value] = names.new(own[value]) if own.get(value) else names.of(value)
        body = Program(arguments, lines, [result], [])
        notation = Folding(body, [lines], names, self._called)
        shown = notation.shown(lines)
        if len(shown) == 1:
            return ""
        notation.texts |= self._constants
        written = [text for line in shown for text in notation.statements(line)]
        *before, last = written
        target, _, right = last.partition(" = ")
        before, last = (before, right) if target == names.of(result) else (written, names.of(result))
        text = "\n".join([f"    {part}" for part in [f'"""{_doc(span)}"""', *before, f"return {last}"]])
        text = f"({', '.join(map(names.of, arguments))}):\n{text}\n"
        if text not in self.texts:
            name = self._new(span_name(span))
            self.texts[text] = name, f"def {name}{text}"
        return self.texts[text][0]


def span_name(span: Span) -> str:
    """Return the name of the function for an operation's span: softmax, and softmax_vjp for its rule."""
    name = re.sub(r"\W", "_", span.operation.name)
    several = len(span.operation.arguments) > 1 and span.argument
    return name if span.y is None else f"{name}_vjp_{span.argument}" if several else f"{name}_vjp"


def _doc(span: Span) -> str:
    """Return the first sentence about an operation, or what its rule returns."""
    if span.y is not None:
        return f"Return the adjoint of {span.argument or 'x'}, given g, that of {span.operation.name}'s result."
    text = " ".join((span.operation.forward.__doc__ or "").split())
    return re.split(r"(?<=\.)\s", text)[0].replace("\\", "\\\\").replace('"', "'") or f"Return {span.operation.name}."
