"""Where the time of a program goes: it runs line by line, and nothing is put in its place."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from ..write.emit import Emitter
from .replay import Replay

_RUNS, _SECONDS = 20, 0.5


@dataclass(frozen=True, repr=False)
class Profile:
    """The median time of each line of a program, in seconds; it prints as a table.

    `lines` pairs the text of each line with its time; the first is what entering the guarded part takes.
    """

    name: str
    lines: tuple[tuple[str, float], ...]
    runs: int

    @property
    def total(self) -> float:
        """The sum of all lines' times, in seconds."""
        return sum(seconds for _, seconds in self.lines)

    def __str__(self) -> str:
        rows = [f"{self.name}: {1e6 * self.total:,.1f} us a replay, medians of {self.runs} runs"]
        for text, seconds in self.lines:
            rows.append(f"{1e6 * seconds:11,.1f} us {seconds / (self.total or 1.0):6.1%}  {text}")
        return "\n".join(rows)

    def __repr__(self) -> str:
        return f"<profile of {self.name}: {1e6 * self.total:,.1f} us a replay>"


def profiled(replay: Replay, flat: list[Any]) -> Profile:
    """Return the profile of a program. Raises what the program raises."""
    inputs, emitter = replay.fetch(flat), Emitter(replay.lowered)
    times: dict[int | None, list[float]] = {None: []}
    before = 0.0

    def probe(number: int | None) -> None:
        nonlocal before
        times.setdefault(number, []).append(perf_counter() - before)
        before = perf_counter()  # again: what this function itself takes counts nowhere

    space: dict[str, Any] = {"probe": probe}
    exec(emitter.source("probed", probe=True), space)
    space |= emitter.functions.missing
    step = space["build"]([v.concrete for v in emitter.large])
    end = perf_counter() + _SECONDS
    while (runs := len(times[None])) < _RUNS or (runs < 50 * _RUNS and perf_counter() < end):
        before = perf_counter()
        step(*inputs)
    lines = replay.lowered.program.lines
    texts = [["with np.errstate(...)"] if n is None else emitter.written(lines[n]) for n in times]
    found = zip(["; ".join(map(str.strip, text)) for text in texts], map(median, times.values()), strict=True)
    return Profile(replay.name, tuple(found), runs)
