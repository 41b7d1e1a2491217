"""A program as Python source that needs NumPy only."""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from typing import Any

from ..lower.buffers import takes_out
from ..lower.lowering import Lowered
from ..program import Line, Value
from .functions import Functions
from .literals import array_text, literal, wrapped
from .naming import Names
from .notation import CHANGING, Notation

HEAD = '''"""{about}
"""

{imports}


class Unusual(Exception):
    """The inputs are unlike those that this program is for."""


def checked(name, x, dtype, shape):
    """Return x as an array, if it is of this dtype and shape."""
    x = np.asarray(x)
    if x.dtype != dtype or x.shape != shape:
        kind = f"{{np.dtype(dtype)}} of shape {{shape}}"
        raise Unusual(f"{{name}} is {{x.dtype}} of shape {{x.shape}}; it must be {{kind}}")
    return x

'''
_ABOUT = """{}, as a program of NumPy calls.

`build(constants)` sets memory aside and returns `step`, which computes in that
memory what it does not return. `step` changes no input, and raises Unusual
where this program does not hold."""


class Emitter(Notation):
    """Writes one program: where its values lie, and line by line how they are computed."""

    def __init__(self, lowered: Lowered) -> None:
        self._program, self._plan, self._names = lowered.program, lowered.plan, Names()
        for value in self._program.inputs:
            self._names.of(value)
        replaced = {target.value: old.value for target, old in lowered.replaced.items()}
        self._names.found |= {v: self._names.new(f"{self._names.of(old)}_out") for v, old in replaced.items()}
        self._names.found |= {v: self._names.of(x) for v, x in self._plan.places.items() if isinstance(x, Value)}
        self.functions: Functions = Functions(self._names.new)
        super().__init__(self._names.of, {}, self.functions.called)
        self.large: list[Value] = []
        self.views: set[Line] = set()

    def source(self, name: str, checks: bool = False) -> str:
        """Return the whole file of a program; with `checks`, `step` checks the shapes and dtypes that it is given."""
        made, inputs = self.set_aside(), {self._names.of(v): v for v in self._program.inputs}
        arrays = [(name, v) for name, v in inputs.items() if v.is_array and checks]
        body = [f"{name} = checked({name!r}, {name}, {literal(v.dtype)}, {v.shape})" for name, v in arrays]
        body += self.body()
        large = "".join([f"{self._names.of(v)}, " for v in self.large])
        start = [f"{large[:-1]} = constants"] if large else []
        step = [wrapped("def step(", [*inputs], "):"), *[f"    {line}" for line in body], "", "return step\n"]
        program = "def build(constants=()):\n" + textwrap.indent("\n".join([*start, *made, *step]), "    ")
        head = HEAD.format(about=_ABOUT.format(name), imports=self.functions.imports_written())
        return "\n\n".join([head, *self.functions.written(), program])

    def set_aside(self) -> list[str]:
        """Return the lines of `build`: memory, constants, and the views of both."""
        texts = {v: array_text(v.concrete) for v in self._program.constants}
        self.large = [v for v, text in texts.items() if text is None]
        made = [f"{self._names.of(v)} = {text}" for v, text in texts.items() if text is not None]
        placed = [v for line in self._program.lines for v in line.outputs if self._plan.offset(v) is not None]
        if placed:
            made.append(f"memory = np.empty({self._plan.nbytes + 63}, np.uint8)")
            made.append("memory = memory[-memory.ctypes.data % 64 :]")
        laid: dict[str, list[str]] = {}
        for value in placed:
            strides = "" if value.concrete.flags.c_contiguous else f", {value.strides}"
            where = f"np.ndarray({value.shape}, {literal(value.dtype)}, memory, {self._plan.offset(value)}{strides})"
            laid.setdefault(where, []).append(self._names.of(value))
        made += [" = ".join([*names, where]) for where, names in laid.items()]
        built = {*texts, *placed}
        for line in self._program.lines:
            is_view = line.outputs and all(o.base is not None for o in line.outputs)
            if is_view and line.reads() and built.issuperset(line.reads()):
                made.append(self.assigned(line))
                self.views.add(line)
                built.update(line.outputs)
        return [*made, ""] if made else []

    def body(self) -> list[str]:
        """Return the lines of `step`."""
        found = [text for line in self._program.lines if line not in self.views for text in self.written(line)]
        returned = ", ".join(map(self._names.of, self._program.outputs))
        guarded = [f"    {line}" for line in found or ["pass"]]
        return [errstate(self._program.raising), *guarded, f"return ({returned}{',' if returned else ''})"]

    def written(self, line: Line) -> list[str]:
        """Return the statements of a line, which write into given memory if there is some, and assign otherwise."""
        if line.function.kind == "guard":
            return self.guard(line)
        target, kind = line.outputs[0], line.function.kind
        name, in_block = self._names.of(target), self._plan.offset(target) is not None
        there = in_block or any(self.same_memory(v, target) for v in line.reads())
        if not takes_out(line) or not (there or kind in CHANGING):
            return [self.assigned(line)]
        if kind == "zeros":
            return [f"{name}.fill(0)"]
        if kind in (*CHANGING, "copy"):
            x = self.operand(line.args[0])
            copied = f"np.copyto({name}, {x})" if in_block else f"{name} = np.array({x})"
            first = [] if self.same_memory(line.args[0], target) else [copied]
            return first if kind == "copy" else [*first, self.in_place(line, name)]
        return [self.call(self.function(line.function), line.args, line.kwargs, f"out={name}")]

    def same_memory(self, value: Any, target: Value) -> bool:
        """Return whether a line's result lies where an operand lies."""
        place = self._plan.places.get(value) if isinstance(value, Value) else None
        return place is not None and place == self._plan.places.get(target)

    def infix(self, line: Line) -> bool:
        """Return whether to write an operator, as for NumPy's scalars: it costs less there, and rounds alike."""
        scalar = line.function.kind == "ufunc" and not line.outputs[0].is_array and super().infix(line)
        return scalar and line.function.text not in ("np.power", "np.square", "np.matmul")


def errstate(raising: Collection[str]) -> str:
    """Return the line that lets these floating-point errors raise, and no others."""
    modes = [f"{k}={'raise' if k in raising else 'ignore'!r}" for k in ("invalid", "divide", "over", "under")]
    return f"with np.errstate({', '.join(modes)}):"
