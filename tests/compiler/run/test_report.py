"""What a compiled function says of its programs: counts and bytes known by hand, and that looking changes
nothing. No time is asserted.
"""

import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError

X, W = np.linspace(-1, 1, 12).reshape(3, 4), np.linspace(1, 2, 8).reshape(4, 2)


def positive_part(X: Any, W: Any) -> Any:
    return np.maximum(tg.as_tensor(X) @ W, 0).sum()


def trained() -> tuple[list[tg.Tensor], Any, Any, np.ndarray, np.ndarray]:
    """Return parameters, their optimiser, a step that trains them by momentum, and its data."""
    w, b = tg.tensor(W, requires_grad=True), tg.tensor(W[0], requires_grad=True)
    optimizer = tg.optim.SGD([w, b], lr=0.1, momentum=0.9)

    def step(x: Any, y: Any) -> Any:
        loss = ((x @ w + b - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return [w, b], optimizer, tg.compile(step), X, X[:, :2]


def test_counts_by_hand() -> None:
    f = tg.compile(positive_part)
    f(X, W)
    report = f.report()
    assert report.name == "positive_part"
    assert {name.replace("dot", "matmul"): n for name, n in report.calls.items()} == {
        "np.matmul": 1, "np.maximum": 1, "np.add.reduce": 1,
    }  # fmt: skip
    assert (report.lines, report.guards) == (3, 0)


def test_memory_is_the_block_the_outputs_and_what_lines_allocate() -> None:
    f = tg.compile(lambda x: tg.exp(tg.as_tensor(x) + 1) * 2)
    f(X)
    memory = f.report().memory
    assert memory["outputs"] == X.nbytes
    assert memory["allocated"] == 0
    assert memory["constants"] in (0, 16)  # 1 and 2, where numbers are made arrays of no axes
    assert memory["block"] == 0  # the sum and its exponential are computed where the result is to lie
    assert f.report().peak == 96 + memory["constants"]
    f = tg.compile(lambda x: (tg.exp(tg.as_tensor(x) + 1) * 2).sum())
    f(X)
    assert f.report().memory["block"] == 128  # one array for all: 96 bytes in units of 64


def test_programs_are_listed_with_the_reason_for_each() -> None:
    f = tg.compile(positive_part)
    f(X, W)
    f(X[:2], W)
    f(X, W)
    first, second = f.report().programs
    assert (first.reason, first.arguments) == ("the first call", "float64 (3, 4), float64 (4, 2)")
    assert (second.reason, second.arguments) == ("other arguments", "float64 (2, 4), float64 (4, 2)")
    assert min(first.tracing, first.compiling, first.checking) > 0


def test_a_guard_that_fails_is_the_reason_for_the_next_program() -> None:
    def halved(x: Any, n: Any) -> Any:
        return tg.as_tensor(x) / 2 if n > 1 else tg.as_tensor(x)

    f = tg.compile(halved)
    f(X, 2.0)
    f(X, 0.5)
    assert f.report().guards == 1
    _, second = f.report().programs
    assert re.fullmatch(r"the program before does not hold: .*test_report.py:\d+, in halved", second.reason)
    assert second.arguments == "float64 (3, 4), float"


def test_arguments_are_described() -> None:
    f = tg.compile(lambda pair, *, scale, mode: {"y": pair[0] * scale, "z": pair[1]})
    f((tg.tensor(X), np.float32(2)), scale=3, mode="fast")
    (made,) = f.report().programs
    assert made.arguments == "Tensor float64 (3, 4), float32, scale=int, mode='fast'"


def test_it_prints_as_a_short_table() -> None:
    f = tg.compile(positive_part)
    f(X, W)
    lines = repr(f.report()).splitlines()
    assert lines[0] == "positive_part"
    assert [line.split()[0] for line in lines[1:]] == ["lines", "calls", "memory", "program"]


@pytest.mark.parametrize("ask", [lambda f: f.report(), lambda f: f.profile(X, W), lambda f: f.source])
def test_there_is_nothing_to_say_before_the_first_call(ask: Callable[[Any], Any]) -> None:
    f = tg.compile(positive_part)
    with pytest.raises(CompileError, match="positive_part has no program yet: call it once"):
        ask(f)


def test_a_profile_is_for_arguments_that_have_a_program() -> None:
    f = tg.compile(positive_part)
    f(X, W)
    with pytest.raises(
        CompileError, match=r"no program for \(float64 \(2, 4\), float64 \(4, 2\)\).* call it with them"
    ):
        f.profile(X[:2], W)


def test_a_profile_shows_every_line_of_the_source_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    f = tg.compile(positive_part)
    f(X, W)
    profile = f.profile(X, W)
    printed = capsys.readouterr().out
    assert str(profile) + "\n" == printed
    body = [line.strip() for line in f.source[f.source.index("with np.errstate") :].splitlines()]
    (entered, _), *lines = profile.lines
    assert entered.startswith("with np.errstate")
    assert [text for text, _ in lines] == body[1 : 1 + len(lines)]
    assert [re.sub(r".* = |\(.*", "", text).replace("dot", "matmul") for text, _ in lines] == [
        "np.matmul", "np.maximum", "np.add.reduce",
    ]  # fmt: skip
    assert profile.total == sum(seconds for _, seconds in profile.lines)
    shares = re.findall(r" us +(\d+\.\d)%", printed)
    assert sum(map(float, shares)) == pytest.approx(100, abs=0.05 * len(shares))


def test_a_profile_has_a_time_for_guards_and_for_lines_of_two(capsys: pytest.CaptureFixture[str]) -> None:
    f = tg.compile(lambda x, n: tg.where(x > 0, x, 0 * x) if n > 1 else x)
    f(tg.tensor(X), 2.0)
    profile = f.profile(tg.tensor(X), 2.0)
    (guard,) = [text for text, _ in profile.lines if text.startswith("if ")]
    assert "; raise Unusual" in guard


def test_a_profile_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    parameters, optimizer, step, x, y = trained()
    for _ in range(3):
        step(x, y)
    everything = [*parameters, *[tg.as_tensor(p.grad) for p in parameters]]
    arrays = [t.data for t in everything] + [array for entry in optimizer.state for array in entry.values()] + [x, y]
    before = [np.array(a) for a in arrays]
    profile = step.profile(x, y)
    assert [text.strip().split("(")[0] for text, _ in profile.lines].count("with np.errstate") == 1
    assert all(now is then for now, then in zip([t.data for t in everything], arrays, strict=False))
    for now, then in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_profile_of_a_program_that_draws_leaves_the_generator_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    dropout = tg.nn.Dropout(0.5, seed=3)
    f = tg.compile(lambda x: dropout(tg.as_tensor(x)))
    f(X)
    before = dropout.generator.bit_generator.state
    f.profile(X)
    assert dropout.generator.bit_generator.state == before


def test_a_profile_is_of_the_program_that_holds_for_the_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    f = tg.compile(lambda x, n: np.log(x[:, :n]))
    f(X * X, 1)
    f(X * X, 2)
    for n in (1, 2):
        assert any(f"x[:, :{n}]" in text for text, _ in f.profile(X * X, n).lines)
    for x, n in ((X * X, 3), (-X * X, 2)):  # no program is for 3, nor for what the function itself computes
        with pytest.raises(CompileError, match=r"no program for .* that holds for these values"):
            f.profile(x, n)


def test_what_was_computed_when_traced_is_let_go() -> None:
    x = np.random.default_rng(0).standard_normal((1000, 50))

    def f(x: Any) -> Any:
        y = tg.as_tensor(x)
        for _ in range(10):
            y = tg.sin(y[:, ::-1] + 1)
        return y.sum()

    compiled = tg.compile(f)
    tracemalloc.start()
    try:
        first = compiled(x)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < compiled.report().peak + x.nbytes
    assert peak < 8 * x.nbytes  # of 20 results
    assert float(compiled(x)) == float(first)
    assert "np.sin" in str(compiled.explain())
