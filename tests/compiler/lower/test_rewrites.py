"""Each rewrite of a program, by itself: it does what it says, and the program computes the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.compiler.lower import rewrites
from tinygrad_nn.compiler.program import Program, Value, mapped
from tinygrad_nn.compiler.trace.traced_call import traced

X = np.array([[0.5, -1.0, 2.0], [3.0, 0.25, -0.75]])


def program_of(function: Callable[..., Any], *arrays: np.ndarray) -> Program:
    """Return the program of a function of arrays as it was traced."""
    trace = traced(function, arrays, {}, [function], lambda trace: trace)
    inputs = [source.value for source in trace.tracer.sources]
    outputs = [target.value for target in trace.targets]
    return Program(inputs, trace.tracer.lines, outputs, [value for _, value in trace.tracer.constants.values()])


def computed(program: Program, *arrays: np.ndarray) -> list[Any]:
    """Return the outputs, computed line by line."""
    found: dict[Value, Any] = dict(zip(program.inputs, arrays, strict=True))
    found |= {value: value.concrete for value in program.constants}
    for line in program.lines:
        args, kwargs = mapped(found.__getitem__, (line.args, line.kwargs))
        result = line.function.apply(*args, **kwargs)
        found.update(zip(line.outputs, result if line.several else [result], strict=False))
    return [found[value] for value in program.outputs]


def called(program: Program) -> list[str]:
    return [line.function.text for line in program.lines]


CASES: list[tuple[str, Callable[..., Any], list[str]]] = [
    ("with_weak_numbers", lambda x: x * np.float64(0.5), ["np.multiply"]),
    ("without_idle_lines", lambda x: np.positive(x.copy()) + 1, ["np.add"]),
    ("without_idle_lines", lambda x: x.reshape(2, 3)[:, :] * 2, ["np.multiply"]),
    ("with_plain_broadcasts", lambda x: x * np.broadcast_to(x[:1], (2, 3)),
     ["{0}[{1}]", "np.broadcast_to", "np.multiply"]),
    ("with_folded_constants", lambda x: x + tg.exp(tg.as_tensor(np.array([1.0, 2.0, 3.0]))), ["np.add"]),
    ("with_shared_lines", lambda x: np.exp(x) * np.exp(x), ["np.exp", "np.multiply"]),
    ("without_dead_lines", lambda x: [np.exp(x), np.sin(x)][0], ["np.exp"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "function", "calls"), CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)])
def test_a_rewrite_keeps_what_is_computed(name: str, function: Any, calls: list[str]) -> None:
    before = computed(program_of(function, X), X)
    program = getattr(rewrites, name)(program_of(function, X))
    assert called(program) == calls
    assert len(before) == len(program.outputs)
    for a, b in zip(computed(program, 3 * X), computed(program_of(function, X), 3 * X), strict=True):
        np.testing.assert_array_equal(a, np.asarray(b))


def test_every_rewrite_of_the_table_has_a_case() -> None:
    assert {name for name, *_ in CASES} == {rewrite.__name__ for rewrite in (*rewrites.PLAIN, *rewrites.MERGING)}


def test_what_each_leaves() -> None:
    (weak,) = rewrites.with_weak_numbers(program_of(CASES[0][1], X)).lines
    assert type(weak.args[1]) is float
    narrow = rewrites.without_dead_lines(rewrites.with_plain_broadcasts(program_of(CASES[3][1], X)))
    assert called(narrow) == ["{0}[{1}]", "np.multiply"]


def test_guards_are_never_dead() -> None:
    def function(x: Any) -> Any:
        return tg.logsumexp(x)

    program = program_of(function, X)
    for rewrite in (*rewrites.PLAIN, *rewrites.MERGING):
        program = rewrite(program)
    assert "guard" in called(program)
