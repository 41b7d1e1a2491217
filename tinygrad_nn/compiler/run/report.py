"""What a program costs: its calls, its memory, the time that it took to make, and where its own time goes."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from statistics import median
from time import perf_counter
from typing import Any

from .replay import Made, Replay

_RUNS, _SECONDS = 20, 0.5


@dataclass(frozen=True, repr=False)
class Report:
    """What one replay of a program costs; it prints as a table.

    `calls` counts the NumPy calls of a replay by function, except views; `guards` counts the tests that can stop the
    program. `memory` is what the program holds, in bytes: its block, its outputs, its constants, and what is allocated
    by lines that can't write into given memory. `programs` are all that are kept, oldest kind of arguments first.
    """

    name: str
    calls: dict[str, int]
    guards: int
    memory: dict[str, int]
    programs: tuple[Made, ...]

    @property
    def lines(self) -> int:
        """The number of calls in a replay, and of guards."""
        return sum(self.calls.values()) + self.guards

    @property
    def peak(self) -> int:
        """What the program holds beyond its inputs, in bytes, if none of it is freed before the end."""
        return sum(self.memory.values())

    def __repr__(self) -> str:
        parts = [f"{what} {n:,}" for what, n in self.memory.items() if n]
        rows = [
            f"  lines    {self.lines}, of them guards {self.guards}",
            f"  calls    {', '.join([f'{name} {n}' for name, n in self.calls.items()])}",
            f"  memory   {self.peak:,} bytes ({', '.join(parts)})",
        ]
        for made in self.programs:
            spent = (made.tracing, made.compiling, made.checking)
            took = "{:.1f} ms tracing, {:.1f} compiling, {:.1f} checking".format(*[1e3 * t for t in spent])
            rows.append(f"  program  ({made.arguments}): {made.reason}; {took}")
        return "\n".join([self.name, *rows])


def reported(replay: Replay, programs: Iterable[Made]) -> Report:
    """Return the report of a program, with how all that are kept were made."""
    program, plan = replay.lowered.program, replay.lowered.plan
    allocated = {v for line in program.lines for v in line.outputs if v.base is None} - plan.places.keys()
    called = [line.function for line in program.lines if any(o.base is None for o in line.outputs)]  # others make views
    names = ["numbers" if f.kind == "operator" else f.text.replace("{0}[{1}]", "index") for f in called]
    memory = {
        "block": plan.nbytes,
        "outputs": sum(v.nbytes for v in {*program.outputs}),
        "constants": sum(v.nbytes for v in program.constants),
        "allocated": sum(v.nbytes for v in allocated),
    }
    guards = sum(line.function.kind == "guard" for line in program.lines)
    return Report(replay.name, dict(Counter(names).most_common()), guards, memory, tuple(programs))


@dataclass(frozen=True, repr=False)
class Profile:
    """The median time of each line of a program, in seconds; it prints as a table.

    `lines` pairs the text of each line with its time; the first is the time to enter `np.errstate`.
    """

    name: str
    lines: tuple[tuple[str, float], ...]
    runs: int

    @property
    def total(self) -> float:
        """The sum of all lines' times, in seconds."""
        return sum(seconds for _, seconds in self.lines)

    def __str__(self) -> str:
        rows = [f"{1e6 * t:11,.1f} us {t / (self.total or 1.0):6.1%}  {text}" for text, t in self.lines]
        return "\n".join([f"{self!r}, medians of {self.runs} runs", *rows])

    def __repr__(self) -> str:
        return f"{self.name}: {1e6 * self.total:,.1f} us a replay"


def profiled(replay: Replay, flat: list[Any]) -> Profile:
    """Return the profile of a program. Raises what the program raises."""
    tree = ast.parse(replay.source)
    *_, step = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "step"]
    block = next(node for node in step.body if isinstance(node, ast.With))
    written = ["with np.errstate(...)", *[str(ast.get_source_segment(replay.source, line)) for line in block.body]]
    probed = [[line, *ast.parse(f"probe({n})").body] for n, line in enumerate(block.body, start=1)]
    block.body = [*ast.parse("probe(0)").body, *chain.from_iterable(probed)]
    times: list[list[float]] = [[] for _ in written]
    before = 0.0

    def probe(number: int) -> None:
        nonlocal before
        times[number].append(perf_counter() - before)
        before = perf_counter()  # again, so that the time of this function is not counted

    inputs, run = replay.inputs(flat), replay.made_of(ast.fix_missing_locations(tree), probe=probe)["build"]()
    end = perf_counter() + _SECONDS
    while (runs := len(times[0])) < _RUNS or (runs < 50 * _RUNS and perf_counter() < end):
        before = perf_counter()
        run(*inputs)
    texts = ["; ".join(map(str.strip, text.splitlines())) for text in written]
    return Profile(replay.name, tuple(zip(texts, map(median, times), strict=True)), runs)
