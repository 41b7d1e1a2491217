"""From a trace to a program that can be written down: outputs get memory of their own, and what changes comes last."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .. import errors
from ..errors import CompileError
from .buffers import Plan, planned, takes_out
from .functions import COPY
from .rewrites import simplified
from .spelling import spelled
from .tiles import after_tiles, batch_axes
from .tracer import Source, Target, Tracer
from .values import Line, Program, Value
from .workers import Team


@dataclass
class Lowered:
    """A program, where its values lie, which outputs are written into arrays that are given, and the first line
    that may change an input. `plain` is the same program as one would write it.

    With a `team`, the program is what follows when its tiles are computed: its last inputs are their totals, and
    `batch` are the outputs that the tiles write.
    """

    plain: Program
    program: Program
    plan: Plan
    outs: dict[Value, str]
    commit: int
    targets: list[Target]
    sources: list[Source]
    team: Team | None = None
    batch: list[Value] = field(default_factory=list)


def lowered(tracer: Tracer, targets: list[Target], exact: bool, workers: int | None = None) -> Lowered:
    """Return the traced program with these targets, simplified and with its memory planned."""
    inputs = [source.value for source in tracer.sources]
    outputs = [t.value for t in targets]
    program = Program(inputs, tracer.lines, outputs, list(tracer.constants.values()))
    plain = simplified(program, exact)
    program = plain.copy()
    for target, value in zip(targets, program.outputs, strict=True):
        target.value = value
    _copy_what_is_not_its_own(program, targets)
    team, batch = None, list[Value]()
    rows = [] if workers is None else _batch(tracer.sources)
    if workers is not None and rows:
        axes = batch_axes(program, rows)
        team, program = Team(program, axes, workers), after_tiles(program, axes)
        batch = team.batch
        _copy_what_is_not_its_own(program, [t for t in targets if t.value not in batch])
    program = _numbers_first(spelled(program))
    commit = _changes_last(program, targets, {s.value: s for s in tracer.sources})
    makers = {output: line for line in program.lines for output in line.outputs}
    outs = {
        t.value: _wish(t) for t in targets if t.value in makers and takes_out(makers[t.value]) and t.value.base is None
    }
    return Lowered(plain, program, planned(program, set(outs)), outs, commit, targets, tracer.sources, team, batch)


def _batch(sources: list[Source]) -> list[Value]:
    """Return the arguments that hold a row for each sample: all as long as the longest; none if that has one row.

    Raises CompileError if no argument has rows.
    """
    given = [s.value for s in sources if s.kind == "argument" or isinstance(s.owner, int)]
    rows = max([v.shape[0] for v in given if v.shape], default=0)
    if rows == 0:
        raise CompileError(errors.no_batch())
    return [v for v in given if v.shape and v.shape[0] == rows > 1]


def _numbers_first(program: Program) -> Program:
    """Compute first, and judge, what depends on numbers alone: arrays are then not computed in vain."""
    known = {v for v in program.inputs if v.dtype is None}
    early = []
    for line in program.lines:
        if all(v in known for v in line.reads()) and line.function.form in ("operator", "guard"):
            early.append(line)
            known.update(line.outputs)
    held = set(map(id, early))
    program.lines = [*early, *[line for line in program.lines if id(line) not in held]]
    return program


def _wish(target: Target) -> str:
    if target.kind == "result":
        return "result"
    if target.kind == "state":
        return f"{target.key[1]}{target.key[0] + 1}_out"
    name = getattr(target.owner, "name", None) or "w"
    return f"d{name}" if target.kind == "gradient" else f"{name}_out"


def _copy_what_is_not_its_own(program: Program, targets: list[Target]) -> None:
    """Give an output that is an input, a constant, a view, or two outputs at once, a copy of its own."""
    makers = {output: line for line in program.lines for output in line.outputs}
    seen: set[Value] = set()
    for place, target in enumerate(targets):
        value = target.value
        if not value.is_array:
            continue
        if value in seen or value not in makers or value.base is not None:
            copy = Value(value.concrete.copy())
            program.lines.append(Line(COPY, (value,), {}, (copy,)))
            target.value = program.outputs[place] = copy
        seen.add(target.value)


def _changes_last(program: Program, targets: list[Target], sources: dict[Value, Source]) -> int:
    """Move the lines that may write over an input to the end, and return the number of the first of them.

    A line writes over the input that its output replaces if it reads that entry by entry, and nobody
    reads it afterwards; else its output is copied there at the very end.
    """
    old = {(s.kind, id(s.owner), _hashable(s.key)): s.value for s in sources.values()}
    changes: dict[Value, Value] = {}
    for target in targets:
        replaced = old.get((target.kind, id(target.owner), _hashable(target.key)))
        if replaced is not None and target.value.is_array:
            changes[target.value] = replaced
    late: list[Line] = []
    moved = set(changes)
    for line in program.lines:
        if (
            moved.intersection(line.outputs)
            or moved.intersection(v.root for v in line.reads())
            or (moved.intersection(line.reads()))
        ):
            late.append(line)
            moved.update(line.outputs)
    unsafe = set()
    for value, replaced in changes.items():
        number = next((n for n, line in enumerate(late) if value in line.outputs), None)
        if number is None:
            continue
        after = any(v.root is replaced for line in late[number + 1 :] for v in line.reads())
        if after or not _entry_by_entry(late[number], replaced, value) or any(x.function.form == "guard" for x in late):
            unsafe.add(value)
    if unsafe:
        return _with_copies(program, targets, changes)
    late = _with_what_they_alone_read(program, late, set(changes.values()))
    held = set(map(id, late))
    early = [line for line in program.lines if id(line) not in held]
    program.lines[:] = [*early, *late]
    return len(early)


def _with_what_they_alone_read(program: Program, late: list[Line], replaced: set[Value]) -> list[Line]:
    """Return the late lines, each after the lines on entries that only they read: their memory is then shared.

    A line that reads what is written over stays where it is.
    """
    readers: dict[Value, list[Line]] = {}
    for line in program.lines:
        for value in line.reads():
            readers.setdefault(value, []).append(line)
    found = set(map(id, late))
    before: dict[int, list[Line]] = {}
    kept = set(program.outputs)
    for line in reversed(program.lines):
        entrywise = line.function.form == "ufunc" and line.function.text != "np.matmul"
        if id(line) in found or not (entrywise or line.function.text == "np.array") or kept.intersection(line.outputs):
            continue
        after = [reader for output in line.outputs for reader in readers.get(output, ())]
        if after and all(id(x) in found for x in after) and not replaced.intersection(v.root for v in line.reads()):
            first = min(after, key=program.lines.index)
            before.setdefault(id(first), []).insert(0, line)
            found.add(id(line))

    def spread(line: Line) -> list[Line]:
        return [*[x for producer in before.get(id(line), ()) for x in spread(producer)], line]

    return [x for line in late for x in spread(line)]


def _with_copies(program: Program, targets: list[Target], changes: dict[Value, Value]) -> int:
    """Copy every output that replaces an input there, when all else has been computed."""
    first = len(program.lines)
    for place, target in enumerate(targets):
        if target.value in changes:
            copy = Value(target.value.concrete.copy())
            program.lines.append(Line(COPY, (target.value,), {}, (copy,)))
            target.value = program.outputs[place] = copy
    return first


def _entry_by_entry(line: Line, replaced: Value, output: Value) -> bool:
    reads = [v for v in line.reads() if v.root is replaced]
    if not takes_out(line):
        return True
    same = all(v is replaced and v.shape == output.shape and v.strides == output.strides for v in reads)
    return (
        not reads
        or (same and line.function.form == "ufunc" and line.function.text != "np.matmul")
        or (line.function.form == "copy")
    )


def _hashable(key: Any) -> Any:
    return tuple(key) if isinstance(key, (list, tuple)) else key
