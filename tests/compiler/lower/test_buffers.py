"""Where results lie: no two that are needed at the same time share memory, and what is free is taken again."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_nn.compiler.lower.buffers import planned
from tinygrad_nn.compiler.numpy_calls import of_method, of_numpy
from tinygrad_nn.compiler.program import Line, Program, Value

SHAPES = [(64,), (16, 4), (1000,), (0,)]
POINTWISE, SUMMED = of_numpy(np.exp), of_method(np.add, "accumulate")


@st.composite
def drawn(draw: st.DrawFn) -> Program:
    """Return a program of lines that each read one or two earlier results, some of them at once the outputs."""
    values = [Value(np.ones(shape), f"x{n}") for n, shape in enumerate(SHAPES)]
    inputs, lines = list(values), []
    for n in range(draw(st.integers(1, 12))):
        read = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2))
        alike = [v for v in read if v.shape == read[0].shape]
        made = Value(np.empty(read[0].shape), f"y{n}")
        lines.append(Line(draw(st.sampled_from([POINTWISE, SUMMED])), tuple(alike), {}, (made,)))
        values.append(made)
    results = values[len(inputs) :]
    return Program(inputs, lines, draw(st.lists(st.sampled_from(results), unique=True)), [])


@given(drawn())
def test_no_line_writes_into_what_a_later_one_reads(program: Program) -> None:
    plan = planned(program)
    last: dict[Any, int] = {v: n for n, line in enumerate(program.lines) for v in line.reads()}
    for n, line in enumerate(program.lines):
        (made,) = line.outputs
        place: Any = plan.places[made]
        for m, other in enumerate(program.lines[:n]):
            (v,) = other.outputs
            over = v in line.args and line.function is POINTWISE
            needed = v in program.outputs or last.get(v, m) >= n + over
            earlier: Any = plan.places[v]
            apart = place != earlier
            if isinstance(place, int) and isinstance(earlier, int):
                apart = place + made.nbytes <= earlier or earlier + v.nbytes <= place
            assert apart or not needed or not made.nbytes or not v.nbytes
        assert place is made or made not in program.outputs
        assert not isinstance(place, int) or place + made.nbytes <= plan.nbytes


def test_memory_is_used_again() -> None:
    x = Value(np.ones(1000), "x")
    values = [Value(np.empty(1000), f"y{n}") for n in range(9)]
    lines = [Line(SUMMED, (a,), {}, (b,)) for a, b in zip([x, *values], values, strict=False)]
    assert planned(Program([x], lines, values[-1:], [])).nbytes == 2 * 8000
    lines = [Line(POINTWISE, (a,), {}, (b,)) for a, b in zip([x, *values], values, strict=False)]
    assert planned(Program([x], lines, values[-1:], [])).nbytes == 0, "all are written over, in the output's array"
