"""From a trace to a program that can be written down: outputs get their own memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..numpy_calls import COPY, GUARD, ON_NUMBERS
from ..program import Line, Program, Value, mapped
from ..trace.records import Location
from ..trace.tracer import Tracer
from .buffers import Plan, planned
from .rewrites import MERGING, PLAIN
from .selection import selected


@dataclass
class Lowered:
    """A program, and where its values lie. `replaced` maps outputs to the sources whose places they take.

    `plain` is the program as one would write it: before equal lines were merged, and dead lines left out.
    """

    plain: Program
    program: Program
    plan: Plan
    targets: list[Location]
    sources: list[Location]
    replaced: dict[Location, Location]


def lowered(tracer: Tracer, targets: list[Location]) -> Lowered:
    """Return the traced program with these targets, simplified and with its memory planned."""
    inputs = [source.value for source in tracer.sources]
    outputs = [t.value for t in targets]
    constants = [value for _, value in tracer.constants.values()]
    program = Program(inputs, tracer.lines, outputs, constants, raising=frozenset(tracer.raising))
    for rewrite in PLAIN:
        program = rewrite(program)
    plain, program = program, merged(_with_equal_numbers(program.copy(), tracer.sources))
    for target, value in zip(targets, program.outputs, strict=True):
        target.value = value
    program = selected(program)
    places = {source.place: source for source in tracer.sources}
    replaced = {target: places[target.place] for target in targets if target.place in places}
    return Lowered(plain, program, planned(program), targets, tracer.sources, replaced)


def merged(program: Program) -> Program:
    """Return a program that computes nothing twice or in vain, and whose outputs share no memory."""
    for rewrite in MERGING:
        program = rewrite(program)
    _copy_what_is_not_its_own(program)
    return program


def _with_equal_numbers(program: Program, sources: list[Location]) -> Program:
    """Read one number in place of equal ones in an optimiser's state: what follows from its steps is computed once."""
    first: dict[Any, Value] = {}
    same: dict[Value, Value] = {}
    guards = []
    for source in sources:
        value, number = source.value, source.value.concrete
        if source.kind == "state" and type(number) is int and first.setdefault(number, value) is not value:
            same[value], equal = first[number], Value(True, "equal#")
            guards += [Line(ON_NUMBERS["eq"], (value, same[value]), {}, (equal,)), Line(GUARD, (equal, True), {}, ())]
    for line in program.lines if same else ():
        line.args = mapped(lambda value: same.get(value, value), line.args)
    program.lines = [*guards, *program.lines]
    return program


def _copy_what_is_not_its_own(program: Program) -> None:
    """Copy an output that is an input, a constant, a view, an operation's result, or the same as another output."""
    made = {v for line in program.lines if line.function.kind != "operation" for v in line.outputs}
    seen = set[Value]()
    for place, value in enumerate(program.outputs):
        if value.is_array and (value in seen or value not in made or value.base is not None):
            program.outputs[place] = Value(np.empty(value.shape, value.dtype), "copy#", temporary=True)
            program.lines.append(Line(COPY, (value,), {}, (program.outputs[place],)))
        seen.add(program.outputs[place])
