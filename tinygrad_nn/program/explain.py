"""The teaching form of a program: forward, backward and update as one would write them by hand."""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .emit import Names
from .folding import Folding
from .literals import literal, literal_array
from .lowering import Lowered
from .notation import Derivation, Notation, extents
from .readings import DEFINITIONS, readable
from .tracer import Source, Target
from .tracing import Place, Trace
from .values import Line, Value

_SHORT, _LONG, _FEW = 24, 72, 16
_HEAD = '''"""{title}, as one would write it by hand.

In the comments: dL/dx is the adjoint of x, · the product of matrices, ∘ that of entries, ᵀ transposes.
"""

import numpy as np
'''


def _is_unary(operation: str) -> bool:
    """Return whether an operation is a function of one array, entry by entry."""
    return operation in ("relu", "sigmoid") or getattr(getattr(np, operation, None), "nin", 0) == 1


def constant(x: np.ndarray) -> str | None:
    """Return the text of a constant array, None if it is too large for text."""
    dtype = "" if x.dtype in (float, np.dtype(int), bool) else f", {literal(x.dtype)}"
    shape = x.shape[0] if x.ndim == 1 else x.shape
    if x.ndim and x.size and x.dtype.kind == "f" and (x == x.flat[0]).all():
        number = literal(float(str(x.flat[0])))
        filled = {"0.0": f"np.zeros({shape}", "1.0": f"np.ones({shape}"}.get(number, f"np.full({shape}, {number}")
        return f"{filled}{dtype})"
    steps = np.unique(np.diff(x)) if x.ndim == 1 and x.size > 2 and x.dtype == int else x[:0]
    if steps.size == 1 and steps[0] > 0:
        start, step = int(x[0]), int(steps[0])
        stop = start + step * x.size
        return f"np.arange({f'{start}, ' if start or step > 1 else ''}{stop}{f', {step}' if step > 1 else ''})"
    if x.ndim == 2 and x.dtype.kind == "f" and np.array_equal(x, np.eye(len(x), x.shape[1])):
        return f"np.eye({extents(x.shape) if x.shape[0] != x.shape[1] else len(x)}{dtype})"
    if x.size > _FEW or not x.size or x.dtype.kind not in "bif":
        return literal_array(x)
    text = f"np.array({literal_list(x.tolist())}{dtype})"
    return text if len(text) <= _LONG else None


def literal_list(x: Any) -> str:
    """Return the text of nested lists of numbers."""
    return f"[{', '.join(map(literal_list, x))}]" if isinstance(x, list) else literal(x)


class Listing(str):
    """A program's text, which shows as it is. `inputs` holds the arguments of its `step` as they were when traced."""

    inputs: dict[str, Any]

    def __repr__(self) -> str:
        return str(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))


@dataclass
class Section:
    """Lines that belong together, under a heading."""

    heading: str
    lines: list[Line] = field(default_factory=list)


def explained(lowered: Lowered, trace: Trace, title: str) -> Listing:
    """Return the program as a Python file that needs NumPy only, written for people."""
    return _Explainer(lowered, trace).listing(title)


class _Explainer:
    """Writes one program; its lines are those of the plain program, before any memory was planned."""

    def __init__(self, lowered: Lowered, trace: Trace) -> None:
        self.trace, self.lowered = trace, lowered
        self.passes = trace.tracer.passes
        self.numbers = {output: n for n, line in enumerate(trace.tracer.lines) for output in line.outputs}
        self.program = readable(lowered.plain)
        self.makers = {output: line for line in self.program.lines for output in line.outputs}
        self.targets: list[tuple[Target, Value]] = list(zip(lowered.targets, self.program.outputs, strict=True))
        present = lowered.plain.present
        self.operations = {present(v): name for v, name in reversed(trace.tracer.operations.items())}
        self.names = Names()
        self.names.used |= {*DEFINITIONS, "gradients", "parameters", "state"}
        self.wholes = {(self.pass_of(v), v.primal): v for v in self.makers if v.primal is not None}
        self.sections = self.divided()
        self.folded = Folding(self.program, [s.lines for s in self.sections]).folded
        self.notation = Notation(self.names.of, self.makers, self.folded)
        self.derivation = Derivation(self.symbol, self.makers, self.folded)
        self.inputs: dict[str, Any] = {}

    # What stands where.

    def divided(self) -> list[Section]:
        """Return the program's lines under their headings."""
        late = self.updates()
        found = {"forward": Section("forward")}
        for line in self.program.lines:
            heading = "update" if line in late else self.heading(line)
            found.setdefault(heading, Section(heading)).lines.append(line)
        return sorted(found.values(), key=lambda section: section.heading == "update")

    def heading(self, line: Line) -> str:
        """Return in which part of the run a line was traced."""
        number = min([self.numbers.get(v, 0) for v in line.outputs])
        for n, one in enumerate(self.passes, start=1):
            if one.start <= number < one.stop:
                return "backward" if n == 1 else f"backward, pass {n}"
        return "forward" if not self.passes or number < self.passes[0].start else "afterwards"

    def updates(self) -> set[Line]:
        """Return the lines that lead to nothing but new parameters and state."""
        first = max([one.stop for one in self.passes], default=0)
        read = {v for target, v in self.targets if target.kind in ("result", "gradient")}
        found: set[Line] = set()
        for line in reversed(self.program.lines):
            early = line.function.form != "operator" and any(self.numbers.get(v, 0) < first for v in line.outputs)
            if early or read.intersection(line.outputs):
                read.update(line.reads())
            else:
                found.add(line)
        return found

    def order(self) -> None:
        """Leave out the folded lines, and compute each inner adjoint where it is first read."""
        for section in self.sections:
            shown = [line for line in section.lines if not self.folded.intersection(line.outputs)]
            for line in reversed(list(shown)):
                (value, *more) = line.outputs
                if more or value.primal is None or value.primal in self.program.inputs or value in self.program.outputs:
                    continue
                place = shown.index(line)
                readers = [n for n, other in enumerate(shown) if value in self.reads(other)]
                if readers:
                    shown.insert(readers[0], line)
                    del shown[place]
            section.lines = shown

    def reads(self, line: Line) -> set[Value]:
        """Return what a line reads that has a line of its own, or is an input."""
        found: set[Value] = set()
        for v in line.reads():
            found |= self.reads(self.makers[v]) if v in self.folded else {v}
        return found

    # Names.

    def name_all(self) -> None:
        """Name inputs first, then results in their order; what replaces an input has the name of it, if it can."""
        for source in self.lowered.sources:
            self.names.of(source.value)
        lines = [line for section in self.sections for line in section.lines]
        last = {v: n for n, line in enumerate(lines) for v in self.reads(line)}
        replaced = {v: old for target, v in self.targets if (old := self.replaced_by(target)) is not None}
        for number, line in enumerate(lines):
            for value in line.outputs:
                old = replaced.get(value)
                if old is not None and last.get(old, -1) <= number and old not in self.program.outputs:
                    self.names.found[value] = self.names.of(old)
                self.names.of(value)

    def replaced_by(self, target: Target) -> Value | None:
        """Return the input that an output takes the place of."""
        if target.kind not in ("array", "state"):
            return None
        same = [s for s in self.lowered.sources if s.kind == target.kind and s.owner is target.owner]
        return next((s.value for s in same if s.key == target.key), None)

    def symbol(self, value: Value) -> str:
        """Return a value's name in a derivation: dL/dx for the adjoint of x."""
        if value.primal is None:
            return self.names.of(value)
        n = self.pass_of(value)
        if self.wholes[n, value.primal] is not value:
            return self.names.of(value)
        primal = self.symbol(value.primal)
        return f"d{'L' if n == 1 else f'L{n}'}/d{f'({primal})' if value.primal.primal is not None else primal}"

    def pass_of(self, value: Value) -> int:
        """Return the number of the backward pass that a value is an adjoint of, from 1 on."""
        number = self.numbers.get(value, 0)
        return next((n for n, one in enumerate(self.passes, start=1) if number < one.stop), len(self.passes))

    # Text.

    def listing(self, title: str) -> Listing:
        """Return the whole file."""
        self.order()
        self.name_all()
        body: list[tuple[str, str]] = self.constants()
        for section in self.sections:
            if section.lines:
                body += [("", ""), (f"# {section.heading}", "")] if body else [(f"# {section.heading}", "")]
                for line in section.lines:
                    comment = self.comment(line)
                    body += [(f"# {comment}", "")] if comment else []
                    *first, code = self.code(line)
                    body += [*[(text, "") for text in first], (code, self.shape(line))]
        body += [("", ""), *[(text, "") for text in self.returned()]]
        column = max([len(code) for code, shape in body if shape and len(code) <= 100], default=0) + 2
        lines = [
            f"    {code.ljust(column - 2)}  # {shape}" if shape else f"    {code}".rstrip() for code, shape in body
        ]
        used = {line.function.text for line in self.program.lines}
        helpers = [f"\n{text}" for name, text in DEFINITIONS.items() if name in used]
        head = textwrap.fill(f"def step({', '.join(self.parameters())}):", 100, subsequent_indent=" " * 9)
        text = Listing(
            "\n".join(
                [
                    _HEAD.format(title=title if title.isidentifier() else "The function") + "".join(helpers),
                    "",
                    head,
                    *lines,
                    "",
                ]
            )
        )
        text.inputs = self.inputs
        return text

    def parameters(self) -> list[str]:
        """Return the names of what the program is given, and note their values."""
        read = {v for line in self.program.lines for v in line.reads()} | set(self.program.outputs)
        given = [s.value for s in self.lowered.sources if s.value in read or s.kind == "argument"]
        self.inputs = {self.names.of(v): v.concrete for v in given} | self.inputs
        return list(self.inputs)

    def constants(self) -> list[tuple[str, str]]:
        """Return the lines that make small constants; the smallest stand where they are read, large ones are parameters."""
        uses = Counter(v for line in self.program.lines for v in line.reads())
        found = []
        for value in self.program.constants:
            text = constant(value.concrete)
            if text is not None and len(text) <= _SHORT and uses[value] == 1:
                self.notation.texts[value] = self.derivation.texts[value] = text
            elif text is not None and (uses[value] or value in self.program.outputs):
                found.append((f"{self.names.of(value)} = {text}", f"{value.shape}"))
            elif uses[value] or value in self.program.outputs:
                self.inputs[self.names.of(value)] = value.concrete
        return found

    def code(self, line: Line) -> list[str]:
        """Return the statements that compute a line's outputs."""
        names = ", ".join(map(self.names.of, line.outputs)) + ("," if line.several and len(line.outputs) == 1 else "")
        x = line.args[0] if line.args else None
        if line.function.form == "setitem":
            return [f"{names} = {self.notation.operand(x, 9)}.copy()", self.into(names, line.args[1], line.args[2])]
        if line.function.text == "op_scatter_add":
            (output,) = line.outputs
            dtype = "" if output.dtype == np.float64 else f", {literal(output.dtype)}"
            shape = output.shape[0] if len(output.shape) == 1 else output.shape
            zeros = f"{names} = np.zeros({shape}{dtype})"
            return [zeros, self.into(names, line.kwargs["index"], x, adding=True)]
        if line.function.form == "operation":
            return [f"{names} = {self.operation(line)}"]
        return [f"{names} = {self.notation.line(line)[0]}"]

    def into(self, name: str, index: Any, x: Any, adding: bool = False) -> str:
        """Return the statement that writes into places of an array, or adds there what may come to one place twice."""
        parts = index if isinstance(index, tuple) else (index,)
        if adding and any(isinstance(part, (Value, list)) for part in parts):
            place = self.notation.index(index)
            place = f"np.s_[{place}]" if ":" in place or "..." in place else self.notation.operand(index)
            return f"np.add.at({name}, {place}, {self.notation.operand(x)})"
        return f"{name}[{self.notation.index(index)}] = {self.notation.operand(x)}"

    def operation(self, line: Line) -> str:
        """Return the call of an operation that is not taken apart: it is a parameter of the program."""
        apply, args, kwargs = line.function.apply, line.args, line.kwargs
        static = {key: x for key, x in kwargs.items() if not isinstance(x, Value)}
        name = self.names.new(line.function.text)
        self.inputs[name] = lambda *arrays, **given: apply(*arrays, **static, **given)
        moving = {key: x for key, x in kwargs.items() if key not in static}
        return self.notation.call(name, args, moving)

    def shape(self, line: Line) -> str:
        """Return the shapes of what a line computes."""
        return ", ".join(["number" if v.dtype is None else f"{v.shape}" for v in line.outputs])

    def comment(self, line: Line) -> str:
        """Return the adjoint that a line computes, as a derivation says it; nothing for a line that computes none."""
        (value, *_) = line.outputs
        if value.primal is None:
            return ""
        name = self.symbol(value)
        if line.function.form in ("setitem", "operation"):
            return name
        right = self.slope(line, value) or self.derivation.line(line)[0]
        return f"{name} = {right}" if len(right) <= 90 else name

    def slope(self, line: Line, value: Value) -> str | None:
        """Return dL/dy ∘ f'(x), if that is what the adjoint of x is, where y = f(x)."""
        x = value.primal
        if line.function.text not in ("np.multiply", "np.divide") or x is None:
            return None
        for g, k in (line.args, line.args[::-1]):
            y = g.primal if isinstance(g, Value) else None
            if y is None or not _is_unary(self.operations.get(y, "")) or not isinstance(k, Value) or k in (x, y):
                continue
            if self.leaves(k, {x, y}) <= {x, y} and self.leaves(y, {x}, True) == {x}:
                return f"{self.derivation.operand(g, 6)} ∘ {self.operations[y]}'({self.symbol(x)})"
        return None

    def leaves(self, value: Value, known: set[Value], inside: bool = False) -> set[Value]:
        """Return what a value is computed from, down to the known ones and the inputs."""
        if (value in known and not inside) or value not in self.makers:
            return {value}
        found: set[Value] = set()
        for v in self.makers[value].reads():
            found |= {v} if v in known else self.leaves(v, known)
        return found

    def returned(self) -> list[str]:
        """Return the lines that gather the results."""
        found = []
        names = []
        if self.has_place(self.trace.result):
            names.append(self.result(self.trace.result))
        for what, kind in (("gradients", "gradient"), ("parameters", "array"), ("state", "state")):
            entries = [f'"{self.key(t)}":~{self.names.of(v)}' for t, v in self.targets if t.kind == kind]
            if entries:
                text = f"{what} = {{{', '.join(entries)}}}"
                wrapped = textwrap.wrap(text, 96, subsequent_indent=" " * (len(what) + 4), break_long_words=False)
                found += [part.replace("~", " ") for part in wrapped]
                names.append(what)
        if len(names) == 1 and isinstance(self.trace.result, tuple) and len(self.trace.result) > 1:
            names[0] = names[0][1:-1]
        return [*found, f"return {', '.join(names) if names else 'None'}"]

    def key(self, target: Target) -> str:
        """Return the name of a tensor, or of a part of an optimiser's state."""
        if target.kind == "state":
            return f"{target.key[1]}{target.key[0] + 1}"
        same: list[Source] = [s for s in self.lowered.sources if s.kind == "array" and s.owner is target.owner]
        return self.names.of(same[0].value) if same else str(getattr(target.owner, "name", "") or "w")

    def has_place(self, tree: Any) -> bool:
        """Return whether a result holds anything that the program computes."""
        parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (tuple, list)) else ()
        return isinstance(tree, Place) or any(map(self.has_place, parts))

    def result(self, tree: Any) -> str:
        """Return the text of a function's result."""
        if isinstance(tree, Place):
            return self.notation.operand(self.program.outputs[tree.number])
        if isinstance(tree, dict):
            entries = [f'"{key}"' if isinstance(key, str) else repr(key) for key in tree]
            return "{" + ", ".join(map("{}: {}".format, entries, map(self.result, tree.values()))) + "}"
        if isinstance(tree, (tuple, list)):
            inner = ", ".join(map(self.result, tree)) + ("," if len(tree) == 1 and isinstance(tree, tuple) else "")
            return f"({inner})" if isinstance(tree, tuple) else f"[{inner}]"
        return literal(tree) if isinstance(tree, (int, float, str, bool, type(None))) else "None"
