"""The teaching form of a program: forward, backward and update as one would write them by hand."""

from __future__ import annotations

import keyword
import sys
from itertools import groupby
from typing import Any

from ...errors import CompileError
from ..lower.lowering import Lowered
from ..lower.rewrites import causes
from ..program import Line, Program, Value
from ..trace.records import Location, Pass
from ..trace.traced_call import Trace
from .adjoints import Adjoints, loss
from .folding import Folding
from .functions import Functions
from .literals import for_people, literal, wrapped
from .mathematics import latex_of
from .naming import Names, keys
from .peephole import readable
from .spans import Outlining

_SHORT, _WIDE = 24, 100
_PLAIN = str.maketrans({"·": "@", "∘": "*", "ᵀ": ".T", "Σ": "sum"})
_HEAD = '"""{}"""\n\n{}\n'
_COMMENTS = "In the comments: dL/dx is the adjoint of x, · the product of matrices, ∘ that of entries, ᵀ transposes."


class Listing(str):
    """A program's text; its repr is the text itself.

    `inputs` are the traced arguments of its function `name`; `derivation` are the lines of its backward passes: the
    comments, or the code where a comment says less. `code` has the lines of each section, by its heading; `functions`
    are those that hold operations of several lines, `kernels` the library's own that are called.
    """

    inputs: dict[str, Any]
    name: str
    derivation: list[str]
    code: dict[str, list[str]]
    functions: list[str]
    kernels: list[str]

    def __str__(self) -> str:
        """Return the text in characters that the standard output can show: if need be, · becomes @, and ᵀ .T."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        try:
            self.encode(encoding)
        except UnicodeEncodeError:
            return self.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
        return str.__str__(self)

    def __repr__(self) -> str:
        return str(self)

    def to_latex(self) -> str:
        r"""Return the derivation of the backward passes as LaTeX for amsmath, with one equation per line.

        Raises CompileError if there is no backward pass.

        >>> import numpy as np
        >>> import tinygrad_nn as tg
        >>> slope = tg.compile(tg.grad(lambda x: tg.exp(x).sum()))
        >>> _ = slope(np.ones(2))
        >>> print(slope.explain().to_latex())
        \begin{align*}
        L&=\mathrm{loss} \\
        \frac{\partial L}{\partial x}&={\mathrm{exp}}_{1}
        \end{align*}
        """
        if not self.derivation:
            raise CompileError("this program has no backward pass to derive; compile a function that has gradients")
        return latex_of(self.derivation)


class Explainer:
    """Writes a program for people; its lines are those of the plain program, before any memory was planned."""

    def __init__(self, lowered: Lowered, trace: Trace, title: str) -> None:
        self.trace: Trace = trace
        self.lowered: Lowered = lowered
        self.title: str = title if title.isidentifier() and not keyword.iskeyword(title) else "step"
        self.passes: list[Pass] = trace.tracer.passes
        roots = [lowered.plain.present(root) for one in self.passes for root in one.roots]
        noted = [pair for one in self.passes for pair in one.adjoints]
        traced, of_passes = trace.tracer.lines, [slice(one.start, one.stop) for one in self.passes]
        parts = enumerate([slice(self.passes[0].start if self.passes else None), *of_passes])  # the forward pass is 0
        self.pass_of: dict[Value, int] = {v: n for n, part in parts for line in traced[part] for v in line.outputs}
        self.program: Program = readable(lowered.plain, roots, {v for v, n in self.pass_of.items() if n})
        self.targets: list[tuple[Location, Value]] = list(zip(lowered.targets, self.program.outputs, strict=False))
        self.names: Names = Names()
        self.names.used.update([self.title, *map(loss, range(1, len(self.passes) + 1))])
        for source in lowered.sources:
            self.names.of(source.value)
        self.functions: Functions = Functions(self.names.new)
        self.inputs: dict[str, Any] = {}
        seen = {self.program.present(v) for pair in noted for v in pair}
        self.outlining: Outlining = Outlining(self.program, seen, self.names.new, self.functions.called)
        self.read: set[Value] = {v for line in self.program.lines for v in line.reads()} | set(self.program.outputs)
        updated = {v for t, v in self.targets if t.kind in ("array", "state")}
        self.kept: set[Value] = causes(self.program.lines, set(self.program.outputs) - updated)
        lines = sorted(self.program.lines, key=lambda line: self.heading(line) == "update")
        groups = [list(lines) for _, lines in groupby(lines, self.heading)]
        for number, one in enumerate(self.passes, start=1):
            for g, primal in [[self.program.present(v) for v in pair] for pair in one.adjoints]:
                if self.pass_of.get(g) == number != self.pass_of.get(primal):  # what an adjoint was rewritten to
                    self.names.primals.setdefault(g, primal)
        self.notation: Folding = Folding(self.program, groups, self.names, self.functions.called)
        self.sections: list[list[Line]] = [self.notation.shown(lines) for lines in groups]
        self.adjoints: Adjoints = Adjoints(self.program, trace.tracer, self.pass_of, self.notation)

    # What stands where.

    def heading(self, line: Line) -> str:
        """Return the section of a line: the update, if it leads only to new parameters and state."""
        value = line.outputs[0]
        if number := self.pass_of.get(value):
            return "backward" if number == 1 else f"backward, pass {number}"
        return "forward" if number == 0 else "afterwards" if value in self.kept else "update"

    def reads(self, line: Line) -> set[Value]:
        """Return the values that a line reads, and for folded ones the values that those read."""
        folded = self.notation.folded
        return {x for v in line.reads() for x in (self.reads(folded[v]) if v in folded else [v])}

    # Names.

    def name_all(self) -> None:
        """Name results in their order, after the inputs; one that replaces an input takes its name, if that is free."""
        lines = [line for section in self.sections for line in section]
        last = {v: n for n, line in enumerate(lines) for v in self.reads(line)}
        places = [(v, source.value) for target, v in self.targets if (source := self.lowered.replaced.get(target))]
        replaced = {v: old for v, old in places if old is not v}
        for number, line in enumerate(lines):
            for value in line.outputs:
                old = replaced.get(value)
                if old is not None and value not in self.names.found:
                    free = last.get(old, -1) <= number and old not in self.program.outputs
                    name = self.names.of(old)
                    self.names.found[value] = name if free else self.names.new(f"new_{name}")
                self.names.of(value)

    # Text.

    def listing(self) -> Listing:
        """Return the program as a Python file that needs NumPy only."""
        self.name_all()
        body: list[tuple[str, str]] = self.constants()
        derivation: list[str] = []
        codes: dict[str, list[str]] = {}
        for section in filter(None, self.sections):
            seeded = self.differentiated(section[0])
            heading = f"# {', '.join([self.heading(section[0]), *seeded])}"
            body += [("", ""), (heading, "")] if body else [(heading, "")]
            derivation += seeded
            for line in section:
                comment = self.adjoints.comment(line)
                body += [(f"# {comment}", "")] if comment else []
                *first, code = self.notation.statements(line)
                codes.setdefault(self.heading(line), []).extend([*first, code])
                shapes = ["number" if v.dtype is None else f"{v.shape}" for v in line.outputs]
                body += [*[(text, "") for text in first], (code, ", ".join(shapes))]
                derivation += self.adjoints.statements(line) if self.pass_of.get(line.outputs[0]) else []
        body += [("", ""), *[(text, "") for text in self.returned()]]
        column = max([len(code) for code, shape in body if shape and len(code) <= _WIDE], default=0)
        lines = [f"    {code.ljust(column)}  # {shape}" if shape else f"    {code}".rstrip() for code, shape in body]
        functions = [text for _, text in self.outlining.texts.values()]
        kernels = self.functions.written()  # long ones, so the program stands above them
        start = wrapped(f"def {self.title}(", self.parameters(), "):")
        formulas, called = ([f"\n{text}" for text in texts] for texts in (functions, kernels))
        text = Listing("\n".join([self.head(), *formulas, "", start, *lines, "", *called]))
        text.inputs, text.name, text.derivation = self.inputs, self.title, derivation
        text.code, text.functions, text.kernels = codes, functions, kernels
        return text

    def differentiated(self, line: Line) -> list[str]:
        """Return what a line's backward pass differentiates: the sum of its roots, each times its seed."""
        terms, number = [], self.pass_of.get(line.outputs[0], 0)
        for root, seed in self.passes[number - 1].roots.items() if number else ():
            root, seed = self.program.present(root), self.lowered.plain.present(seed)
            y = self.notation.operand(root)
            if seed not in self.lowered.plain.constants or not (seed.concrete == 1).all():
                y = f"np.sum({y} * {self.names.found.get(seed) or for_people(seed.concrete)})"
            terms.append(f"{y}.sum()" if y.isidentifier() and root.shape else y)
        return [f"{loss(number)} = {' + '.join(terms)}"] if terms else []

    def head(self) -> str:
        """Return the text above the program: what its comments mean, and what it was traced for."""
        of_numbers = [line for line in self.lowered.plain.lines if not any(v.is_array for v in line.reads())]
        judged = [v for line in of_numbers if line.function.kind == "guard" for v in line.reads()]
        decided = causes(of_numbers, judged)
        numbers = [v for v in self.program.inputs if v in decided and v.dtype is None]
        values = ", ".join([f"{self.names.of(v)} = {v.concrete!r}" for v in numbers])
        notes = [f"Traced with {values}, by which the function decides."] if numbers else []
        notes += [_COMMENTS] if self.passes else []
        about = "\n\n".join([f"{self.title}, as one would write it by hand.", *notes]) + "\n" * bool(notes)
        return _HEAD.format(about, self.functions.imports_written())

    def parameters(self) -> list[str]:
        """Return the names of what the program is given, and note their values."""
        given = [s.value for s in self.lowered.sources if s.value in self.read or s.kind == "argument"]
        self.inputs = {self.names.of(v): v.concrete for v in given} | self.inputs | self.functions.missing
        return list(self.inputs)

    def constants(self) -> list[tuple[str, str]]:
        """Return the lines that make constants; small ones are written where they are read, large ones are inputs."""
        found = []
        for value in [v for v in self.program.constants if v in self.read]:
            text = for_people(value.concrete)
            if text is None:
                self.inputs[self.names.of(value)] = value.concrete
            elif len(text) <= _SHORT and value.name.endswith("#"):
                self.notation.texts[value] = text
            else:
                found.append((f"{self.names.of(value)} = {text}", f"{value.shape}"))
        return found

    def returned(self) -> list[str]:
        """Return the lines that gather the results."""
        found = []
        result = self.notation.result(self.trace.result, self.program.outputs, _constant)
        names = [result] if any(keys(self.trace.result)) else []
        for what, kind in (("gradients", "gradient"), ("parameters", "array"), ("state", "state")):
            entries = [f"{self.key(t)!r}: {self.names.of(v)}" for t, v in self.targets if t.kind == kind]
            if entries:
                found += wrapped(f"{what} = {{", entries, "}").split("\n")
                names.append(what)
        return [*found, f"return {', '.join(names) if names else 'None'}"]

    def key(self, target: Location) -> str:
        """Return the name of a tensor, or of a part of an optimiser's state."""
        if target.kind == "state":
            return f"{target.key[1]}{target.key[0] + 1}"
        for source in self.lowered.sources:
            if source.kind == "array" and source.owner is target.owner:
                return self.names.of(source.value)
        return self.names.new(str(getattr(target.owner, "name", "") or "w"))


def _constant(x: Any) -> str:
    return literal(x) if isinstance(x, (int, float, str)) else "None"
