"""A program as Python source that needs NumPy only."""

from __future__ import annotations

import keyword
import os
import re
import textwrap
from collections.abc import Iterable
from typing import Any

from ..lower.buffers import Plan, takes_out
from ..program import Line, Program, Value
from .functions import Functions
from .literals import literal, literal_array, whole_literal

_HEAD = '''"""{title}

`build(constants)` sets memory aside and returns `step`, which computes without allocating
wherever NumPy can write into memory that is there. `step` changes no input, and raises Unusual
where this program does not hold.
"""

{imports}


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
        self.used = {"np", "memory", "at", "step", "build", "constants", "Unusual", "run", "checked"}
        self.used |= {"parameters", "gradients", "saved", "steps", "file", "pathlib"}
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


class Emitter:
    """Writes one program: where its values lie, and line by line how they are computed."""

    def __init__(self, program: Program, plan: Plan, outs: dict[Value, str]) -> None:
        self.program, self.plan = program, plan
        self.names = Names()
        for value in program.inputs:
            self.names.of(value)
        self.outs = {value: self.names.new(wish) for value, wish in outs.items()}
        self.names.found |= self.outs | {value: self.outs[target] for value, target in plan.inside.items()}
        self.functions = Functions(self.names.new, whole_literal)
        self.large: list[Value] = []
        self.built: set[Value] = set()
        self.head: list[str] = []

    def source(self, title: str, probe: bool = False) -> str:
        """Return the whole file.

        With `probe`, a global `probe` is told the number and the results of each line when it is done, and None
        before the first.
        """
        self.set_aside()
        body = self.body(probe)
        names = [self.names.of(v) for v in self.program.inputs] + list(self.outs.values())
        large = [f"{self.names.of(v)}, " for v in self.large]
        lines = ["def build(constants=()):"]
        lines += [f"    {''.join(large)[:-1]} = constants"] if large else []
        lines += [f"    {line}".rstrip() for line in self.head]
        signature = textwrap.wrap(f"def step({', '.join(names)}):", 96, subsequent_indent=" " * 9)
        lines += [*[f"    {line}" for line in signature], *[f"        {line}" for line in body]]
        head = _HEAD.format(title=title, imports=self.functions.imports_written())
        return "\n\n".join([head, *self.functions.written(), "\n".join([*lines, "", "    return step", ""])])

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
            if value.after is not None and self.continues(value, value.after):
                self.names.found[value] = self.names.of(value.after)
                continue
            strides = "" if value.concrete.flags.c_contiguous else f", {value.strides}"
            place = f"at({offset}, {value.shape}, {literal(value.dtype)}{strides})"
            places.setdefault(place, []).append(self.names.of(value))
        self.head += [" = ".join([*names, place]) for place, names in places.items()]
        for line in self.program.lines:
            reads = list(line.reads())
            views = line.outputs and all(o.base is not None for o in line.outputs)
            if reads and views and all(v in self.built for v in reads):
                self.head.append(self.assigned(line))
                self.built.update(line.outputs)
        if self.head and self.head[-1]:
            self.head.append("")

    def continues(self, value: Value, before: Value) -> bool:
        """Return whether a value's next step lies in the same memory: it then has the same name."""
        return self.same_memory(before, value) and value.strides == before.strides

    def body(self, probe: bool) -> list[str]:
        """Return the lines of `step`."""
        found = ["probe(None)"] if probe else []
        for number, line in enumerate(self.program.lines):
            if line.outputs and all(o in self.built and o.base is not None for o in line.outputs):
                continue
            found += self.written(line)
            if probe:
                found.append(f"probe({', '.join([str(number), *map(self.names.of, line.outputs)])})")
        returned = ", ".join(self.names.of(v) for v in self.program.outputs if v not in self.outs)
        guarded = ["with np.errstate(invalid='raise', divide='ignore', over='ignore', under='ignore'):"]
        guarded += [f"    {line}" for line in found or ["pass"]]
        return [*guarded, f"return ({returned}{',' if returned else ''})"]

    def written(self, line: Line) -> list[str]:
        """Return how a line is written: into its memory if it has some, else as an assignment."""
        if line.function.form == "guard":
            value, answer = line.args
            known = literal(answer)
            if isinstance(answer, bool):
                test = f"bool({self.text(value)}) is not {known}"
            elif (isinstance(answer, float) and not answer) or answer != answer:  # 0 is not -0, nan is nan
                test = f"repr(float({self.text(value)})) != {repr(float(answer))!r}"
            else:
                test = f"{self.text(value)} != {known}"
            return [f"if {test}:", f"    raise Unusual({os.path.basename(line.where)!r})"]
        if not takes_out(line):
            return [self.assigned(line)]
        target = line.outputs[0]
        name = self.names.of(target)
        form = line.function.form
        if form in ("where", "setitem", "astype", "copy", "into", "at", "add", "zeros"):
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
        if form == "zeros":
            return [f"{name}.fill(0)"]
        source = line.args[0]
        filled = f"np.copyto({name}, {self.text(source)})" if isinstance(source, Value) else f"{name}.fill({source})"
        first = [] if self.same_memory(source, target) else [filled]
        if form == "astype":
            return [f"np.copyto({name}, {self.text(source)}, casting='unsafe')"]
        if form == "into":
            more = [self.text(x) for x in line.args[1:]]
            return [*first, f"{self.functions.called(line.function.write, 'add_into')}({', '.join([name, *more])})"]
        if form == "at":
            return [*first, f"{line.function.text}({', '.join([name, *map(self.text, line.args[1:])])})"]
        if form in ("setitem", "add"):
            sign = "=" if form == "setitem" else "+="
            return [*first, f"{name}[{self.index(line.args[1])}] {sign} {self.text(line.args[2])}"]
        return first

    def same_memory(self, value: Any, target: Value) -> bool:
        """Return whether a line's result lies where that operand lies."""
        place = self.plan.place(value) if isinstance(value, Value) else None
        return place is not None and place == (target if target in self.outs else self.plan.place(target))

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
        """Return the call of an operation that is not taken apart: of its own forward, as text."""
        name = self.functions.called(line.function.apply, line.function.text.removeprefix("op_"))
        return f"{name}({self.arguments(line)})"

    def arguments(self, line: Line, more: Iterable[str] = ()) -> str:
        """Return the source of a line's arguments."""
        named = [f"{name}={self.text(x)}" for name, x in line.kwargs.items()]
        return ", ".join([*map(self.text, line.args), *named, *more])

    def text(self, x: Any) -> str:
        """Return the source of an argument."""
        if isinstance(x, Value):
            return self.names.of(x)
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return f"{self.functions.called(type(x), type(x).__name__)}({', '.join(map(self.text, x))})"
        if isinstance(x, tuple):
            return f"({', '.join(map(self.text, x))}{',' if len(x) == 1 else ''})"
        if isinstance(x, list):
            return f"[{', '.join(map(self.text, x))}]"
        if isinstance(x, slice):
            return f"slice({self.text(x.start)}, {self.text(x.stop)}, {self.text(x.step)})"
        if callable(x) and not isinstance(x, type):
            return self.functions.called(x, getattr(x, "__name__", "function"))
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
