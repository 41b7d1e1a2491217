"""A program as a Python module that needs only NumPy: one function `run`, and its parameters."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CompileError
from ..program import Line, Value
from ..trace.traced_call import Placeholder
from ..write.emit import HEAD, errstate
from ..write.folding import Folding
from ..write.functions import Functions
from ..write.literals import NoSource, array_text, literal, whole_literal, wrapped
from ..write.naming import Names
from .portable import Portable, present

ARGUMENTS = (np.asarray,)  # what arrays among the arguments are made for a trace
_INSIDE = 20_000  # at most so many numbers are in the file itself, more in a file beside it
_BESIDE = 'with np.load(__file__.rpartition(".")[0] + ".npz", allow_pickle=False) as file:\n    saved = dict(file)\n'
_INVALID = """    except FloatingPointError as error:
        raise Unusual("an operation is invalid for these values, as 0 * inf is") from error
"""


def save(portable: Portable, file: Path) -> None:
    """Write a program as a module; many numbers are saved beside it, in a file of the same name that ends in .npz."""
    module = Module(portable, file.stem)
    file.write_text(module.text(), encoding="utf-8")
    if module.arrays:
        np.savez(file.with_suffix(".npz"), allow_pickle=False, **module.arrays)


class _Exact(Folding):
    """Infix NumPy that computes the same bits as the lines."""

    def infix(self, line: Line) -> bool:
        """Return whether Python's operator computes what NumPy's function does: `**` squares, np.power does not."""
        return line.function.text != "np.power" and super().infix(line)

    def reduction(self, line: Line) -> str:
        """Return a sum or another reduction, with its initial value, which matters if there are no rows."""
        if "initial" in line.kwargs:
            return self.call(self.function(line.function), line.args, line.kwargs)
        return super().reduction(line)

    def copy_of(self, x: Any) -> str:
        """Return the expression of a copy in the same memory layout."""
        return f"np.array({self.operand(x)})"


class Module:
    """Writes the module of a program. `arrays` are those in a file of their own, by name.

    The tensors, gradients and optimisers' state that the function found outside its arguments are the module's
    `parameters`, and what it changes is put there; hyperparameters are `numbers`.
    """

    def __init__(self, portable: Portable, module: str) -> None:
        self._portable, self._module, self._program = portable, module, portable.program
        names = Names()
        names.used.update(portable.rows)
        self._name = names.of
        self._numbers = [s for s in portable.sources if s.kind == "hyperparameter"]
        self._arguments = portable.arguments
        self._parameters = [s for s in portable.sources if s not in self._numbers and s not in self._arguments]
        for source in [*self._arguments, *portable.sources]:
            self._name(source.value)
        self._keys = {s: portable.labels[s.place] for s in self._parameters}
        self._functions = Functions(names.new)
        self._notation = _Exact(self._program, [self._program.lines], names, self._functions.called)
        self.arrays: dict[str, np.ndarray] = {}
        self._held = self.constants()

    def constants(self) -> list[str]:
        """Return the lines that hold constants and parameters; many numbers are read from a file."""
        plain = {value: text for value in self._program.constants if (text := array_text(value.concrete))}
        large = [value for value in self._program.constants if value not in plain]
        self._notation.texts |= plain
        now = {s: present(s) for s in self._parameters}
        arrays = {self._name(v): v.concrete for v in large}
        arrays |= {self._keys[s]: x for s, x in now.items() if s.value.is_array}
        few = sum(x.size for x in arrays.values()) <= _INSIDE
        self.arrays = {n: x for n, x in arrays.items() if not (few and _as_text(x))}
        texts = {n: f"saved[{n!r}]" if n in self.arrays else _as_text(x) for n, x in arrays.items()}
        texts |= {self._keys[s]: literal(x) for s, x in now.items() if not s.value.is_array}
        held = [_BESIDE] if self.arrays else []
        held += [f"{self._name(v)} = {texts[self._name(v)]}" for v in large]
        if self._portable.labels:
            held += ["parameters = {", *[f"    {key!r}: {texts[key]}," for key in self._keys.values()], "}"]
        return held

    def text(self) -> str:
        """Return the whole file. Raises CompileError if a function that it calls can't be written."""
        run = self.run()
        if self._functions.missing:
            which = "; ".join(f"{name}: {reason}" for name, reason in self._functions.reasons.items())
            raise CompileError(
                f"the program can't be saved ({which}). Define the operation in a file, of NumPy's functions, "
                "module-level functions and small constants; what else it reads, let it take as an input"
            )
        head = HEAD.format(about=self.described(), imports=self._functions.imports_written())
        parts = [head, *self._functions.written(), "\n".join([*self._held, ""]) if self._held else "", run]
        return "\n\n".join(filter(None, parts))

    def run(self) -> str:
        """Return the function that runs the program."""
        named = [f"{self._name(s.value)}={literal(present(s))}" for s in self._numbers]
        signature = [self._name(s.value) for s in self._arguments]
        signature += ["parameters=parameters"] if self._portable.labels else []
        signature += ["*", *named] if named else []
        start = [
            wrapped("def run(", signature, "):"),
            '    """Run the program: see above for what it takes and returns."""',
        ]
        lines = [*start, *[f"    {line}" for line in self.fetched()]]
        return "\n".join([*lines, *self.body(), *[f"    {line}" for line in self.delivered()], ""])

    def fetched(self) -> list[str]:
        """Return the lines that count the rows, and check that the inputs are those that the program is for."""
        found = [f"{symbol}, *_ = np.shape({self._name(v)}) or (0,)" for symbol, v in self._portable.rows.items()]
        for source in [*self._arguments, *self._parameters]:
            value, name = source.value, self._name(source.value)
            given = name if source in self._arguments else f"parameters[{self._keys[source]!r}]"
            if value.is_array:
                kind = f"{literal(value.dtype)}, {self._portable.shape(value)}"
                given = f"checked({self._keys.get(source, name)!r}, {given}, {kind})"
            elif value.dtype is not None:
                given = f"np.{value.dtype.type.__name__}({given})"
            found += [f"{name} = {given}"] if given != name else []
        return found

    def body(self) -> list[str]:
        """Return the lines that compute; invalid operations raise if there is a backward pass among them."""
        raising = self._program.raising | ({"invalid"} if self._portable.trace.tracer.passes else set())
        found = [f"    {errstate(raising)}"]
        for line in self._notation.shown(self._program.lines):
            found += [f"        {text}" for text in self._notation.statements(line)]
        found += ["        pass"] if len(found) == 1 else []
        return ["    try:", *[f"    {text}" for text in found], _INVALID[:-1]] if "invalid" in raising else found

    def delivered(self) -> list[str]:
        """Return the lines that put what the program changed where it belongs, and return the rest."""
        found, given = [], {s.place: self._name(s.value) for s in self._arguments}
        for target, value in zip(self._portable.targets, self._program.outputs, strict=True):
            new = self._notation.operand(value)
            if target.place in given:
                found.append(f"{given[target.place]}[...] = {new}")
            elif target.kind != "result":
                new = new if value.is_array or value.dtype is None else f"np.asarray({new})"
                found.append(f"parameters[{self._portable.labels[target.place]!r}] = {new}")
        return [*found, f"return {self.returned()}"]

    def returned(self) -> str:
        """Return the text of the function's result."""
        try:
            return self._notation.result(self._portable.result, self._program.outputs, whole_literal)
        except NoSource as error:
            raise CompileError(
                f"the function returns what the program does not compute, and {error}; don't return it"
            ) from None

    def described(self) -> str:
        """Return the head's paragraphs: how `run` is called, and what it takes and returns."""
        portable, shape = self._portable, self._portable.shape
        called = ", ".join([self._name(s.value) for s in self._arguments])
        lines = [f"{portable.name}, as a program of NumPy calls:", ""]
        lines += [f"    import {self._module}", f"    result = {self._module}.run({called})", "", "`run` takes", ""]
        lines += [f"    {self._name(s.value)}: {_kind(s.value, shape(s.value))}" for s in self._arguments]
        if portable.labels:
            lines.append("    parameters: a dictionary of these, by default the one in this module, as it was saved")
        changed = {t.place: ", replaced" for t in portable.targets}
        for s in self._parameters:
            lines.append(f"        {self._keys[s]}: {_kind(s.value, shape(s.value))}{changed.pop(s.place, '')}")
        lines += [f"        {portable.labels[place]}: put there" for place in changed if place in portable.labels]
        for s in self._numbers:
            lines.append(f"    {self._name(s.value)}: a number, {literal(present(s))} unless it is given")
        values = [self._program.outputs[x.number] for x in [portable.result] if isinstance(x, Placeholder)]
        kinds = [f", {_kind(value, shape(value))}" for value in values]
        lines += ["", f"and returns {self.returned()}{''.join(kinds)}."]
        lines += ["", f"It is for these shapes alone: {portable.reason}."] if portable.reason else []
        return "\n".join(lines)


def _as_text(x: np.ndarray) -> str | None:
    """Return source for an array of a parameter, None if it has none."""
    text = array_text(x, x.size)
    return text and textwrap.fill(text, 110, subsequent_indent=" " * 8, break_long_words=False, break_on_hyphens=False)


def _kind(value: Value, shape: tuple[int, ...]) -> str:
    """Return how the head describes a value."""
    kind = f"{value.dtype} of shape {shape}" if shape else f"one {value.dtype}"
    return "a number" if value.dtype is None else kind
