"""A program as a module that anyone can run: its source, and `run`, which knows about the memory."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import CompileError
from ..program import Value
from ..trace.records import Location
from ..trace.traced_call import Place
from ..write.emit import Emitter, text_of
from ..write.literals import NoSource, literal, nested, whole_literal, wrapped
from .replay import Replay

_UNUSUAL = """    except FloatingPointError as error:
        raise Unusual("an operation is invalid for these values, as 0 * inf is") from error
"""


def save(replay: Replay, path: Any) -> None:
    """Write a program as a module, and beside it, in a file of the same name that ends in .npz, its large arrays."""
    file = Path(path)
    if file.suffix != ".py":
        raise ValueError(f"a program is saved as a Python module; pass a path that ends in .py, not {str(path)!r}")
    module = Module(replay, file.stem)
    file.write_text(module.text(), encoding="utf-8")
    if module.arrays:
        np.savez(file.with_suffix(".npz"), **module.arrays)


class Module:
    """Writes the module of a program. `arrays` are those that lie in a file of their own, by name.

    What the function found outside its arguments, tensors and optimisers' state, are the module's
    `parameters`; hyperparameters are `numbers`. `gradients` are those that are not added to ones that are given.
    """

    def __init__(self, replay: Replay, module: str) -> None:
        self.replay, self.module = replay, module
        lowered = self.lowered = replay.lowered
        if replay.draws:
            raise CompileError(
                "the program draws of a module's generator, and a file has none; pass the numbers as an argument, or "
                "save the program of a module that draws nothing, as after net.eval()"
            )
        self.emitter = Emitter(lowered)
        self.name = self.emitter.names.of
        of_kind = {"hyperparameter": "numbers", "argument": "arguments"}
        self.arguments: list[Location] = []
        self.parameters: list[Location] = []
        self.numbers: list[Location] = []
        for source in lowered.sources:
            given = source.kind == "array" and isinstance(source.owner, int)
            getattr(self, "arguments" if given else of_kind.get(source.kind, "parameters")).append(source)
        self.arguments.sort(key=lambda s: int(s.key if s.kind == "argument" else s.owner))
        places = {source.place: source for source in lowered.sources}
        self.replaced = {target: places.get(target.place) for target in lowered.targets if target.kind != "result"}
        self.gradients = [t for t in lowered.targets if t.kind == "gradient" and self.replaced[t] is None]
        self.arrays = {self.name(s.value): present(s) for s in self.parameters if s.value.is_array}
        if self.arrays or None in map(text_of, lowered.program.constants):
            self.emitter.functions.imports.append("import pathlib")
        self.source = self.emitter.source(self.described(), checks=True)
        if self.emitter.functions.missing:
            which = "; ".join(f"{name}: {reason}" for name, reason in self.emitter.functions.reasons.items())
            raise CompileError(
                f"the program can't be saved ({which}). Define the operation in a file, of NumPy's functions, "
                "module-level functions and small constants; what else it reads, let it take as an input"
            )
        self.arrays |= {self.name(v): v.concrete for v in self.emitter.large}

    def text(self) -> str:
        """Return the whole file."""
        lines, large = [], [f"saved[{self.name(v)!r}]," for v in self.emitter.large]
        if self.arrays:
            lines.append('with np.load(pathlib.Path(__file__).with_suffix(".npz")) as file:\n    saved = dict(file)')
        if large:
            lines.append(f"constants = ({' '.join(large)})")
        if self.parameters:
            kept = {self.name(s.value): s for s in self.parameters}
            texts = {name: f"saved[{name!r}]" if s.value.is_array else literal(present(s)) for name, s in kept.items()}
            lines.append(wrapped("parameters = {", [f"{name!r}: {text}" for name, text in texts.items()], "}"))
        return "\n\n".join([self.source, "\n".join([*lines, "steps = []\n"]), self.run()])

    def run(self) -> str:
        """Return the function that runs the program."""
        named = [f"{self.name(s.value)}={literal(present(s))}" for s in self.numbers]
        named += ["gradients=None"] if self.gradients else []
        signature = [self.name(s.value) for s in self.arguments]
        signature += ["parameters=parameters"] if self.parameters else []
        signature += ["*", *named] if named else []
        lines = [wrapped("def run(", signature, "):")]
        lines.append('    """Run the program; what it takes and returns is told above."""')
        lines += [f"    {line}" for line in self.fetched()]
        lines += [f"    step = steps.pop() if steps else build({'constants' * bool(self.emitter.large)})"]
        given = [self.name(s.value) for s in self.lowered.sources]
        values = [*map(self.name, self.lowered.program.outputs)]
        target = f"{', '.join(values)}{',' if len(values) == 1 else ''} = " if values else ""
        lines += ["    try:", textwrap.indent(wrapped(f"{target}step(", given, ")"), "        ")]
        lines += [_UNUSUAL + "    finally:", "        steps.append(step)"]
        lines += [f"    {line}" for line in self.delivered()]
        return "\n".join([*lines, f"    return {self.returned()}", ""])

    def fetched(self) -> list[str]:
        """Return the lines that make arrays of what is given."""
        found = []
        for source in [*self.arguments, *self.parameters]:
            value, name = source.value, self.name(source.value)
            given = name if source in self.arguments else f"parameters[{name!r}]"
            if value.dtype is not None:
                given = f"{'np.asarray' if value.is_array else literal(value.dtype)}({given})"
            if given != name:
                found.append(f"{name} = {given}")
        return found

    def delivered(self) -> list[str]:
        """Return the lines that put what the program changed where it belongs."""
        found = []
        for target in self.lowered.targets:
            new, old = self.name(target.value), self.replaced.get(target)
            if old in self.arguments:
                found.append(f"{self.name(old.value)}[...] = {new}")
            elif old is not None:
                new = f"np.asarray({new})" if old.value.is_array and not target.value.is_array else new
                found.append(f"parameters[{self.name(old.value)!r}] = {new}")
        entries = [f"{self.of(t)!r}: {self.name(t.value)}" for t in self.gradients]
        if entries:
            found += ["if gradients is not None:", textwrap.indent(wrapped("gradients |= {", entries, "}"), "    ")]
        return found

    def of(self, target: Location) -> str:
        """Return the name of the tensor that a gradient belongs to."""
        same = [s for s in self.lowered.sources if s.kind == "array" and s.place[1] == target.place[1]]
        name = self.name(same[0].value) if same else getattr(target.owner, "name", None)
        return name or self.name(target.value)

    def returned(self) -> str:
        """Return the text of the function's result."""

        def leaf(x: Any) -> str:
            if isinstance(x, Place):
                return self.name(self.lowered.targets[x.number].value)
            try:
                return nested(leaf, tuple(x)) if isinstance(x, tuple) else whole_literal(x)
            except NoSource as error:
                raise CompileError(
                    f"the function returns {error}, nor computed by the program, so it is not saved; don't return it"
                ) from None

        return nested(leaf, self.replay.result)

    def described(self) -> str:
        """Return the head's paragraphs: how `run` is called, and what it takes and returns."""
        called = ", ".join([self.name(s.value) for s in self.arguments])
        lines = [f"{self.replay.name}, as a program of NumPy calls:", ""]
        lines += [f"    import {self.module}", f"    result = {self.module}.run({called})", "", "`run` takes", ""]
        lines += [f"    {_kind(s.value, self.name(s.value))}" for s in self.arguments]
        if self.parameters:
            lines.append("    parameters: a dictionary of these, by default the one in this module, as it was saved")
        for s in self.parameters:
            replaced = ", replaced" if s in self.replaced.values() else ""
            lines.append(f"        {_kind(s.value, self.name(s.value))}{replaced}")
        for s in self.numbers:
            lines.append(f"    {self.name(s.value)}: a number, {literal(present(s))} unless it is given")
        lines += ["    gradients: None, or a dictionary to put the gradients into"] if self.gradients else []
        result = self.replay.result
        kind = f", {_kind(self.lowered.targets[result.number].value)}" if isinstance(result, Place) else ""
        return "\n".join([*lines, "", f"and returns {self.returned()}{kind}."])


def present(source: Location) -> Any:
    """Return what a parameter or a hyperparameter is now; of a gradient, which may be gone, what it was."""
    return source.value.concrete if source.kind == "gradient" else source.now()


def _kind(value: Value, name: str = "") -> str:
    """Return how the head describes a value."""
    kind = f"{value.dtype} of shape {value.shape}" if value.shape else f"one {value.dtype}"
    kind = "a number" if value.dtype is None else kind
    return f"{name}: {kind}" if name else kind
