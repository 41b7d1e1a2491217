"""Where the time of a program goes: it runs line by line, on copies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any

from ..write.emit import Emitter
from .first_run import probed
from .replay import Replay

_RUNS, _SECONDS, _MARKED = 20, 0.5, 3
_PROBE = re.compile(r" *probe\(.*\)\n")


@dataclass(frozen=True, repr=False)
class Profile:
    """The median time of each line of a program, in seconds; it prints as the source with the times beside.

    `lines` pairs the text of each line with its time, None for what is not timed by itself. What entering
    and leaving the guarded part takes stands beside its `with`.
    """

    name: str
    lines: tuple[tuple[str, float | None], ...]
    runs: int

    @property
    def total(self) -> float:
        """The sum of all lines' times, in seconds."""
        return sum(seconds or 0.0 for _, seconds in self.lines)

    def __str__(self) -> str:
        dearest = sorted([s for _, s in self.lines if s is not None], reverse=True)[:_MARKED]
        total = self.total or 1.0
        rows = [f"{self.name}: {1e6 * self.total:,.1f} us a replay, medians of {self.runs} runs; the dearest lines: <"]
        for text, seconds in self.lines:
            beside = ""
            if seconds is not None:
                mark = "<" if seconds in dearest else ""
                beside = f"{1e6 * seconds:,.1f} us {seconds / total:6.1%} {mark:1}"
            rows.append(f"{beside:>21}  {text}")
        return "\n".join(rows)

    def __repr__(self) -> str:
        return f"<profile of {self.name}: {1e6 * self.total:,.1f} us a replay>"


def profiled(replay: Replay, flat: list[Any]) -> Profile:
    """Return the profile of a program. Raises what the program raises."""
    inputs = replay.fetch(flat)
    emitter = Emitter(replay.lowered)
    marks: list[tuple[int | None, float]] = []

    def probe(number: int | None, *values: Any) -> None:
        marks.append((number, perf_counter()))

    step, source = probed(emitter, probe)
    step(*inputs)
    price = _price_of_a_probe(probe, marks)
    found: dict[int, list[float]] = {}
    runs, end = 0, perf_counter() + _SECONDS
    while runs < _RUNS or (perf_counter() < end and runs < 50 * _RUNS):
        marks.clear()
        probe(None)
        step(*inputs)
        for place, ((_, before), (_, now)) in enumerate(pairwise(marks)):
            found.setdefault(place, []).append(max(0.0, now - before - price))
        runs += 1
    medians = [median(times) for times in found.values()]
    return Profile(replay.name, tuple(_beside(source, medians)), runs)


def _price_of_a_probe(probe: Any, marks: list[tuple[int | None, float]]) -> float:
    marks.clear()
    for _ in range(1000):
        probe(0, marks)
    return median([b - a for (_, a), (_, b) in pairwise(marks)])


def _beside(source: str, medians: list[float]) -> list[tuple[str, float | None]]:
    """Return the lines of `step` as they stand without probes, each with its time."""
    head, *parts = [part.splitlines() for part in _PROBE.split(source[source.index("    def step(") :])]
    rows: list[tuple[str, float | None]] = [*[(text, None) for text in head[:-1]], (head[-1], medians[0])]
    for part, seconds in zip(parts, [*medians[1:], None], strict=True):  # a copy onto itself is written as nothing
        rows += [(text, None if n else seconds) for n, text in enumerate(part)]
    return [(text[4:], seconds) for text, seconds in rows if text.strip() not in ("", "return step")]
