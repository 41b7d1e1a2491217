"""A program as Python source that needs NumPy only."""

from __future__ import annotations

import keyword
import os
import re
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .buffers import Plan, takes_out
from .values import Line, Program, Value, mapped

_FEW = 16
_HEAD = '''"""{title}

`build(constants{more})` sets memory aside and returns `step`, which computes without allocating
wherever NumPy can write into memory that is there. `step` raises Unusual where this program does
not hold, before it changes anything.
"""

import numpy as np


class Unusual(Exception):
    """The inputs are unlike those that this program was traced for."""

'''


_INFIX = {
    "np.add": "{} + {}", "np.subtract": "{} - {}", "np.multiply": "{} * {}", "np.divide": "{} / {}",
    "np.less": "{} < {}", "np.greater": "{} > {}", "np.less_equal": "{} <= {}", "np.greater_equal": "{} >= {}",
    "np.equal": "{} == {}", "np.not_equal": "{} != {}",
}  # fmt: skip


class Names:
    """A name for every value: its own if it has one, and no name twice."""

    def __init__(self) -> None:
        self.used = {"np", "memory", "at", "step", "build", "constants", "operations", "Unusual"}
        self.found: dict[Value, str] = {}

    def of(self, value: Value) -> str:
        """Return the value's name, that of an adjoint with a d before its primal's."""
        if value not in self.found:
            if value.primal is not None:
                wish = f"d{self.of(value.primal)}"
            else:
                wish = value.name if value.after is None else f"{self.of(value.after)}{value.name}"
            self.found[value] = self.new(wish or "t#")
        return self.found[value]

    def new(self, wish: str) -> str:
        """Return a name like the wish that nobody has; one that ends in # is numbered."""
        numbered = wish.endswith("#")
        stem = re.sub(r"\W", "_", wish.removesuffix("#"))
        stem = f"_{stem}" if not stem or stem[0].isdigit() or keyword.iskeyword(stem) else stem
        name, n = f"{stem}1" if numbered else stem, 1
        while name in self.used:
            n += 1
            name = f"{stem}{n}" if numbered else f"{stem}_{n}"
        self.used.add(name)
        return name


def literal(x: Any) -> str:
    """Return Python source for a static argument."""
    if isinstance(x, np.dtype):
        return f"np.{x.name}" if hasattr(np, x.name) and x.isnative else f"np.dtype({x.str!r})"
    if isinstance(x, type) and issubclass(x, np.generic):
        return f"np.{x.__name__}"
    if isinstance(x, (np.longdouble, np.clongdouble)):
        return f"np.{type(x).__name__}({str(x)!r})"
    if isinstance(x, np.generic):
        return f"np.{type(x).__name__}({literal(x.item())})"
    if isinstance(x, float):
        return {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}.get(repr(x), repr(x))
    if isinstance(x, slice):
        return f"slice({x.start!r}, {x.stop!r}, {x.step!r})"
    return repr(x)


def literal_array(x: np.ndarray) -> str | None:
    """Return source for a constant array, None if it is too large for text."""
    dtype = literal(x.dtype)
    if x.size and x.tobytes() == x.size * x.flat[0].tobytes():
        one = literal(x.flat[0] if x.dtype.itemsize > 8 else x.flat[0].item())
        return (
            f"np.array({one}, {dtype})"
            if not x.shape
            else _FILLED.get(one, "np.full({}, {one}, {})").format(x.shape, dtype, one=one)
        )
    entries = ", ".join(map(literal, x.ravel().tolist()))
    shaped = "" if x.ndim == 1 else f".reshape({x.shape})"
    return None if x.size > _FEW else f"np.array([{entries}], {dtype}){shaped}"


_FILLED = {"0.0": "np.zeros({}, {})", "1.0": "np.ones({}, {})"}


class Emitter:
    """Writes one program: where its values lie, and line by line how they are computed."""

    def __init__(self, program: Program, plan: Plan, outs: dict[Value, str], commit: int) -> None:
        self.program, self.plan, self.commit = program, plan, commit
        self.names = Names()
        for value in program.inputs:
            self.names.of(value)
        self.outs = {value: self.names.new(wish) for value, wish in outs.items()}
        self.names.found |= self.outs
        self.operations: dict[str, Callable[..., Any]] = {}
        self.large: list[Value] = []
        self.built: set[Value] = set()
        self.head: list[str] = []

    def source(self, title: str, probe: bool = False) -> str:
        """Return the whole file; with `probe`, `operations["probe"]` is told the number and the results of each line
        when it is done, and None where lines begin.
        """
        self.set_aside()
        body = self.body(probe)
        names = [self.names.of(v) for v in self.program.inputs] + list(self.outs.values())
        large = [f"{self.names.of(v)}, " for v in self.large]
        lines = [f"def build(constants{', operations' if self.operations or probe else ''}):"]
        lines += [f"    {''.join(large)[:-1]} = constants"] if large else []
        lines += [f"    {name} = operations[{name!r}]" for name in [*self.operations, *(["probe"] if probe else [])]]
        lines += [f"    {line}".rstrip() for line in self.head]
        head = textwrap.wrap(f"def step({', '.join(names)}):", 96, subsequent_indent=" " * 9)
        lines += [*[f"    {line}" for line in head], *[f"        {line}" for line in body]]
        more = ", operations" if self.operations or probe else ""
        return _HEAD.format(title=title, more=more) + "\n" + "\n".join([*lines, "", "    return step", ""])

    def set_aside(self) -> None:
        """Write what `build` does: memory, constants, and the views of both."""
        used = {v for line in self.program.lines for v in line.reads()} | set(self.program.outputs)
        for value in self.program.constants:
            if value in used:
                text = literal_array(value.concrete)
                self.built.add(value)
                if text is None:
                    self.large.append(value)
                else:
                    self.head.append(f"{self.names.of(value)} = {text}")
        if self.plan.offsets:
            self.head += [
                f"memory = np.empty({self.plan.nbytes + 63}, np.uint8)",
                "memory = memory[-memory.ctypes.data % 64 :]",
                "",
                "def at(offset, shape, dtype, strides=None):",
                "    return np.ndarray(shape, dtype, memory, offset, strides)",
                "",
            ]
        places: dict[str, list[str]] = {}
        for value, offset in self.plan.offsets.items():
            self.built.add(value)
            if self.continues(value):
                self.names.found[value] = self.names.of(value.after)
                continue
            strides = "" if value.concrete.flags.c_contiguous else f", {value.strides}"
            place = f"at({offset}, {value.shape}, {literal(value.dtype)}{strides})"
            places.setdefault(place, []).append(self.names.of(value))
        self.head += [" = ".join([*names, place]) for place, names in places.items()]
        for line in self.program.lines:
            reads = list(line.reads())
            if reads and all(v in self.built for v in reads) and all(o.base is not None for o in line.outputs):
                self.head.append(self.assigned(line))
                self.built.update(line.outputs)
        if self.head and self.head[-1]:
            self.head.append("")

    def continues(self, value: Value) -> bool:
        """Return whether a value is another's next step, in the same memory: it then has the same name."""
        before = value.after
        return before is not None and self.same_memory(before, value) and value.strides == before.strides

    def body(self, probe: bool) -> list[str]:
        """Return the lines of `step`."""
        found: list[list[str]] = [[], []]
        for number, line in enumerate(self.program.lines):
            if line.outputs and all(o in self.built and o.base is not None for o in line.outputs):
                continue
            part = found[number >= self.commit]
            part += self.written(line)
            if probe:
                part.append(f"probe({', '.join([str(number), *map(self.names.of, line.outputs)])})")
        returned = ", ".join(self.names.of(v) for v in self.program.outputs if v not in self.outs)
        guarded = ["with np.errstate(invalid='raise', divide='ignore', over='ignore', under='ignore'):"]
        begun = ["probe(None)"] if probe else []
        guarded += [f"    {line}" for line in [*begun, *found[0]]] or ["    pass"]
        if found[1]:
            guarded += ["with np.errstate(all='ignore'):", *[f"    {line}" for line in [*begun, *found[1]]]]
        return [*guarded, f"return ({returned}{',' if returned else ''})"]

    def written(self, line: Line) -> list[str]:
        """Return how a line is written: into its memory if it has some, else as an assignment."""
        if line.function.form == "guard":
            value, answer = line.args
            known = literal(answer)
            test = (
                f"bool({self.text(value)}) is not {known}"
                if isinstance(answer, bool)
                else (f"{self.text(value)} != {known}")
            )
            return [f"if {test}:", f"    raise Unusual({os.path.basename(line.where)!r})"]
        if not takes_out(line):
            return [self.assigned(line)]
        target = line.outputs[0]
        name = self.names.of(target)
        form = line.function.form
        if form in ("where", "setitem", "astype", "copy", "into"):
            return self.copied(line, target, name)
        return [f"{line.function.text}({self.arguments(line, [f'out={name}'])})"]

    def copied(self, line: Line, target: Value, name: str) -> list[str]:
        """Return a line that NumPy has no `out=` for, by copying into memory."""
        form = line.function.form
        if form == "where":
            condition, yes, no = map(self.text, line.args)
            filled = f"np.copyto({name}, {no})" if isinstance(line.args[2], Value) else f"{name}.fill({no})"
            first = [] if self.same_memory(line.args[2], target) else [filled]
            return [*first, f"np.copyto({name}, {yes}, where={condition})"]
        source = line.args[0]
        first = [] if self.same_memory(source, target) else [f"np.copyto({name}, {self.text(source)})"]
        if form == "astype":
            return [f"np.copyto({name}, {self.text(source)}, casting='unsafe')"]
        if form == "into":
            more = [self.text(x) for x in list(line.reads())[1:]]
            return [*first, f"{self.known(line, line.function.write)}({', '.join([name, *more])})"]
        if form == "setitem":
            return [*first, f"{name}[{self.index(line.args[1])}] = {self.text(line.args[2])}"]
        return first

    def same_memory(self, value: Any, target: Value) -> bool:
        """Return whether a line's result lies where that operand lies."""
        offsets = self.plan.offsets
        return isinstance(value, Value) and value in offsets and offsets[value] == offsets.get(target)

    def assigned(self, line: Line) -> str:
        """Return a line as an assignment to the names of its outputs."""
        names = ", ".join(map(self.names.of, line.outputs))
        return f"{names}{',' if line.several and len(line.outputs) == 1 else ''} = {self.expression(line)}"

    def expression(self, line: Line) -> str:
        """Return the call that computes a line's outputs."""
        function, args = line.function, line.args
        if function.form == "operation":
            return self.operation(line)
        if function.form == "operator" and function.text != "np.asarray":
            parts = [self.text(x) for x in args]
            return function.text.format(*[f"({p})" if p.startswith("-") else p for p in parts])
        if function.text in _INFIX and not line.kwargs and not line.outputs[0].is_array:
            return _INFIX[function.text].format(*map(self.text, args))
        if function.text == "{0}[{1}]":
            return f"{self.text(args[0])}[{self.index(args[1])}]"
        if function.form == "astype":
            return f"{self.text(args[0])}.astype({self.text(args[1])})"
        if function.text == "np.transpose" and isinstance(args[0], Value):
            axes = line.kwargs.get("axes", args[1] if len(args) > 1 else None)
            return f"{self.text(args[0])}.T" if axes is None else f"{self.text(args[0])}.transpose({self.text(axes)})"
        if function.text == "np.reshape" and isinstance(args[0], Value) and len(args) == 2 and not line.kwargs:
            return f"{self.text(args[0])}.reshape({self.text(args[1])})"
        return f"{function.text}({self.arguments(line)})"

    def operation(self, line: Line) -> str:
        """Return the call of an operation that is not taken apart."""
        return f"{self.known(line, line.function.apply)}({', '.join(map(self.text, line.reads()))})"

    def known(self, line: Line, function: Callable[..., Any]) -> str:
        """Return the name of a function of what a line reads, with all else that the program knows put in."""

        def apply(*values: Any) -> Any:
            given = iter(values)
            args, kwargs = mapped(lambda _: next(given), (line.args, line.kwargs))
            return function(*args, **kwargs)

        name = self.names.new(line.function.text)
        self.operations[name] = apply
        return name

    def arguments(self, line: Line, more: Iterable[str] = ()) -> str:
        """Return the source of a line's arguments."""
        named = [f"{name}={self.text(x)}" for name, x in line.kwargs.items()]
        return ", ".join([*map(self.text, line.args), *named, *more])

    def text(self, x: Any) -> str:
        """Return the source of an argument."""
        if isinstance(x, Value):
            return self.names.of(x)
        if isinstance(x, tuple):
            return f"({', '.join(map(self.text, x))}{',' if len(x) == 1 else ''})"
        if isinstance(x, list):
            return f"[{', '.join(map(self.text, x))}]"
        if isinstance(x, slice):
            return f"slice({self.text(x.start)}, {self.text(x.stop)}, {self.text(x.step)})"
        return literal(x)

    def index(self, index: Any) -> str:
        """Return the source of an index, with colons where that is how one writes it."""
        parts = index if isinstance(index, tuple) else (index,)
        if not parts:
            return "()"
        texts = []
        for part in parts:
            if isinstance(part, slice):
                ends = ["" if x is None else self.text(x) for x in (part.start, part.stop)]
                texts.append(":".join(ends) + ("" if part.step is None else f":{self.text(part.step)}"))
            else:
                texts.append("..." if part is Ellipsis else self.text(part))
        return ", ".join(texts) + ("," if isinstance(index, tuple) and len(parts) == 1 else "")
