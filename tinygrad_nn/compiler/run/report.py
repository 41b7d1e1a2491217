"""What a program costs: its calls, its traffic, its arithmetic and its memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

from ..lower.buffers import last_reads
from ..lower.lowering import Lowered
from ..program import Line, Program, Value
from ..trace.traced_call import Trace

_PRODUCTS = ("np.matmul", "np.dot", "np.vecdot", "np.matvec", "np.vecmat")
_MOVES = ("operator", "where", "copy", "astype", "setitem", "zeros")


class Clock:
    """Tells the seconds since it was asked last."""

    def __init__(self) -> None:
        self.start = perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        before, self.start = self.start, perf_counter()
        return self.start - before


@dataclass(frozen=True)
class Made:
    """Why a program was traced, what for, and what that took, in seconds; what the function needs, in bytes.

    `checking` is the program's own first run and the comparison, without the function's.
    """

    reason: str
    arguments: str
    tracing: float
    compiling: float
    checking: float
    eager_peak: int


@dataclass(frozen=True)
class Report:
    """What one replay of a program costs; it prints as a table.

    `calls` counts the NumPy calls of a replay by function; views are made beforehand and not counted
    where they can be, `guards` are tests that stop the program. `read` and `written` are the bytes of
    every array with an axis that a line reads or writes, as often as it does, whatever the caches keep. `flops`
    are 2mnk for a product of matrices, 1 for each entry that a ufunc computes (an exponential, a
    comparison and a division alike) and 1 for each entry that a reduction takes in; copying counts
    nothing, and `uncounted` names the calls of which that isn't known.

    `memory` says in bytes what the program holds: its block, the outputs that are no input's memory,
    its constants, and at most at once what lines allocate that NumPy can't write into given memory.
    `eager_peak` is the least that the function itself holds at its peak beyond its inputs, computed from
    the lifetimes in its trace: every result lives from its call to the last that reads it.
    `programs` are all that are kept, oldest kind of arguments first.
    """

    name: str
    calls: dict[str, int]
    guards: int
    read: int
    written: int
    flops: int
    uncounted: tuple[str, ...]
    memory: dict[str, int]
    eager_peak: int
    programs: tuple[Made, ...]

    @property
    def lines(self) -> int:
        """The number of calls in a replay, and of guards."""
        return sum(self.calls.values()) + self.guards

    @property
    def peak(self) -> int:
        """The most that the program holds at once beyond its inputs, in bytes."""
        return sum(self.memory.values())

    def __str__(self) -> str:
        named = ", ".join([f"{name} {n}" for name, n in self.calls.items()])
        parts = ", ".join([f"{what} {_bytes(n)}" for what, n in self.memory.items() if n])
        unknown = f", without {', '.join(self.uncounted)}" if self.uncounted else ""
        rows = [
            ("lines", f"{self.lines}, of them guards {self.guards}"),
            ("calls", named),
            ("moved", f"{_bytes(self.read)} read, {_bytes(self.written)} written a replay"),
            ("flops", f"{self.flops:,}{unknown}"),
            ("memory", f"{_bytes(self.peak)} ({parts}); eager at least {_bytes(self.eager_peak)}"),
        ]
        for made in self.programs:
            spent = (made.tracing, made.compiling, made.checking)
            took = "{:.1f} ms tracing, {:.1f} compiling, {:.1f} checking".format(*[1e3 * t for t in spent])
            rows.append(("program", f"({made.arguments}): {made.reason}; {took}"))
        return "\n".join([self.name, *[f"  {what:<9}{text}" for what, text in rows]])

    __repr__ = __str__


def reported(name: str, lowered: Lowered, made: Made, programs: Iterable[Made]) -> Report:
    """Return the report of a program, and how all that are kept were made."""
    lines = lowered.program.lines
    work = [line for line in lines if not all(o.base is not None for o in line.outputs)]  # the others make views
    counts = [(line.function.text, flops(line)) for line in work]
    calls = ["numbers" if line.function.form == "operator" else line.function.text for line in work]
    return Report(
        name,
        dict(Counter([name.replace("{0}[{1}]", "index") for name in calls]).most_common()),
        sum(line.function.form == "guard" for line in lines),
        sum(_moved(v) for line in work for v in set(line.reads())),
        sum(_moved(o) for line in work for o in line.outputs),
        sum(n for _, n in counts if n is not None),
        tuple(sorted({text for text, n in counts if n is None})),
        memory(lowered),
        made.eager_peak,
        tuple(programs),
    )


def flops(line: Line) -> int | None:
    """Return the number of arithmetic operations of a line, None if it isn't known."""
    form, text = line.function.form, line.function.text
    (output, *more) = line.outputs
    arrays = [v for v in line.reads() if v.dtype is not None]
    if form in _MOVES or text in ("{0}[{1}]", "np.array"):
        return 0
    if text in _PRODUCTS and all(v.shape for v in arrays):
        return 2 * math.prod(output.shape) * int(arrays[0].shape[-1])
    if form == "ufunc":
        return math.prod(output.shape) * (1 + len(more))
    if text.endswith((".reduce", ".accumulate")) or text in ("np.cumsum", "np.cumprod"):
        return math.prod(arrays[0].shape)
    return None


def memory(lowered: Lowered) -> dict[str, int]:
    """Return how many bytes a program holds, by what for."""
    program, plan = lowered.program, lowered.plan
    constants = {v for line in program.lines for v in line.reads()}.intersection(program.constants)
    given = {*plan.offsets, *plan.inside}
    return {
        "block": plan.nbytes,
        "outputs": sum(v.nbytes for v in {*program.outputs}),
        "constants": sum(v.nbytes for v in constants),
        "allocated": most_alive(program, lambda value: value.base is None and value not in given),
    }


def eager_peak(trace: Trace) -> int:
    """Return the most bytes that are alive at once in a trace that has not been rewritten."""
    outputs = [t.value for t in trace.targets]
    program = Program([], trace.tracer.lines, outputs, [])
    return most_alive(program, lambda value: value.base is None)


def most_alive(program: Program, counts: Callable[[Value], bool]) -> int:
    """Return the most bytes of results that are alive at once, of those that count."""
    last = last_reads(program)
    ends: dict[int, int] = {}
    now = highest = 0
    for number, line in enumerate(program.lines):
        for output in line.outputs:
            if output.nbytes and counts(output):
                now += output.nbytes
                end = last.get(output, number)
                ends[end] = ends.get(end, 0) + output.nbytes
        highest = max(highest, now)
        now -= ends.pop(number, 0)
    return highest


def _moved(value: Value) -> int:
    """Return the bytes behind a value: what is broadcast is there once; a number counts nothing."""
    return min(value.nbytes, value.root.nbytes) if value.shape else 0


def _bytes(n: int) -> str:
    sizes = [(10**9, "GB"), (10**6, "MB"), (10**3, "kB")]
    return next((f"{n / size:.3g} {unit}" for size, unit in sizes if n >= size), f"{n} bytes")
