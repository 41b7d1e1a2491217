"""The contract: what lies deeper is frozen at the first call, is listed in `constants`, and is found by `verify`."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compiler.contract import Twin, X, Y, ran
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError

RATE = 2.0
VERIFY: dict[str, Any] = {"exact": True, "verify": True}


def rate() -> float:
    """Return what the function that calls this does not name."""
    return RATE


def test_two_levels_behind_a_name_are_frozen_until_the_next_trace() -> None:
    settings = SimpleNamespace(inner=SimpleNamespace(scale=2.0), table=[[3.0]])

    def f(x: Any) -> Any:
        ran()
        return x * settings.inner.scale + settings.table[0][0]

    twin = Twin(f)
    assert twin.equal(X) == 1
    settings.inner.scale = 5.0
    settings.table[0][0] = 7.0
    assert same(twin.step(Y), Y * 2.0 + 3.0)
    settings.inner = SimpleNamespace(scale=4.0)
    assert twin.equal(Y) == 1


def test_what_called_functions_read_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Any) -> Any:
        ran()
        return x * rate()

    twin = Twin(f)
    assert twin.equal(X) == 1
    monkeypatch.setitem(globals(), "RATE", 3.0)
    assert same(twin.step(Y), Y * 2.0)
    assert twin.equal(Y[0]) == 1


def test_what_is_written_into_an_array_in_the_table_is_frozen() -> None:
    array = np.array([1.0, 2.0, 3.0])

    def f(x: Any) -> Any:
        return x * array

    twin = Twin(f)
    twin.equal(X)
    array[0] = 10.0
    assert same(twin.step(Y), Y * np.array([1.0, 2.0, 3.0]))


def test_identity_and_class_are_those_of_the_first_call() -> None:
    first = object()
    other: Any = SimpleNamespace(marker=SimpleNamespace(at=first))

    def f(x: Any) -> Any:
        return x * 2 if other.marker.at is first else -x

    twin = Twin(f)
    twin.equal(X)
    other.marker.at = object()
    assert same(twin.step(Y), Y * 2)


def test_the_environment_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("TINYGRAD_NN_TEST_SCALE", "2.0")

    def f(x: Any) -> Any:
        return x * float(os.environ["TINYGRAD_NN_TEST_SCALE"])

    twin = Twin(f)
    twin.equal(X)
    monkeypatch.setenv("TINYGRAD_NN_TEST_SCALE", "3.0")
    assert same(twin.step(Y), Y * 2.0)


def test_constants_lists_every_array_and_number_that_was_baked_in(monkeypatch: pytest.MonkeyPatch) -> None:
    array, inner = np.array([1.25, -2.5, 3.75]), SimpleNamespace(deep=SimpleNamespace(number=0.3125))
    scale = 0.6875

    def f(x: Any) -> Any:
        return np.tanh(x * array) * scale + rate() * inner.deep.number

    monkeypatch.setitem(globals(), "RATE", 2.0)
    step: Any = tg.compile(f)
    assert same(step(X), f(X))
    baked = step.constants
    assert any(isinstance(c, np.ndarray) and same(c, array) for c in baked)
    numbers = [float(c) for c in baked if np.ndim(c) == 0]
    assert scale in numbers
    assert 2.0 * 0.3125 in numbers or {2.0, 0.3125} <= {*numbers}
    assert not any(np.array_equal(c, X) for c in baked)
    assert not any(c is array for c in baked), "a constant is the program's own, which no later write reaches"


def test_live_values_are_no_constants() -> None:
    w = tg.tensor([1.5, 2.5, 3.5], requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=0.4375)

    def f(x: Any, k: Any) -> None:
        optimizer.zero_grad()
        (w * x * k).sum().backward()
        optimizer.step()

    step: Any = tg.compile(f)
    step(X, 0.8125)
    numbers = [float(c) for c in step.constants if np.ndim(c) == 0]
    assert not {0.4375, 0.8125} & {*numbers}
    assert not any(np.array_equal(c, [1.5, 2.5, 3.5]) for c in step.constants)


def test_constants_stand_in_source() -> None:
    settings = SimpleNamespace(inner=SimpleNamespace(scale=0.6875))
    step: Any = tg.compile(lambda x: np.sin(x) * settings.inner.scale)
    step(X)
    assert "0.6875" in step.source


# ---- verify ----


def test_verify_finds_what_is_frozen() -> None:
    settings = SimpleNamespace(inner=SimpleNamespace(scale=2.0))

    def f(x: Any) -> Any:
        return x * settings.inner.scale

    step: Any = tg.compile(f, **VERIFY)
    for k in (1.0, 2.0, 3.0):
        assert same(step(X * k), f(X * k))
    settings.inner.scale = 5.0
    with pytest.raises(CompileError, match=r"differ"):
        step(X)
    settings.inner.scale = 2.0
    assert same(step(X), f(X))


def grad_of(w: Any) -> Any:
    return w.grad


def test_verify_finds_an_update_that_differs() -> None:
    w, settings = tg.tensor([1.0, 2.0], requires_grad=True), SimpleNamespace(inner=SimpleNamespace(rate=0.5))

    def f(x: Any) -> None:
        w.grad = None
        (w * x).sum().backward()
        with tg.no_grad():
            w.data = w.data - settings.inner.rate * grad_of(w).data

    step: Any = tg.compile(f, **VERIFY)
    step(np.array([1.0, 2.0]))
    settings.inner.rate = 0.25
    with pytest.raises(CompileError, match=r"differ"):
        step(np.array([1.0, 2.0]))


@pytest.mark.parametrize("kind", [tg.optim.SGD, tg.optim.Adam])
def test_verify_steps_once_a_call(kind: Any) -> None:
    def made(wrap: Any) -> Any:
        w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        optimizer = kind([w], lr=0.1)

        def f(x: Any) -> Any:
            loss = ((w * x) ** 2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        f = wrap(f)
        return [f(X * k) for k in (1.0, 0.5, 0.25)], w.data, w.grad, optimizer.state

    assert same(made(lambda f: tg.compile(f, **VERIFY)), made(lambda f: f))


def test_verify_runs_the_function_at_every_call() -> None:
    def f(x: Any) -> Any:
        ran()
        return x * 2

    twin = Twin(f, verify=True)
    assert [twin.equal(X) > 0 for _ in range(3)] == [True, True, True]


@pytest.mark.parametrize("asked", [str, float, bool, math.floor], ids=lambda asked: asked.__name__)
def test_verify_traces_anew_for_a_number_that_the_program_is_not_for(asked: Callable[[Any], Any]) -> None:
    twin = Twin(lambda x, n: (x * n, asked(n)), verify=True)
    for n in (1.0, 2.5, 0.0, 1.0):
        twin.equal(X, n)
    assert sum(map(len, twin.step.programs.values())) == (2 if asked is bool else 3)


def test_verify_draws_once_a_call_where_a_program_does_not_hold() -> None:
    class Noise(tg.nn.Module):
        def __init__(self) -> None:
            self.generator = np.random.default_rng(0)

        def forward(self, x: Any, n: Any) -> Any:
            return x + self.generator.normal(size=x.shape), int(n)

    noise, other = Noise(), Noise()
    twin = Twin(lambda x, n: noise(x, n), lambda x, n: other(x, n), verify=True)
    for n in (1.0, 1.0, 2.0, 1.0, 2.0):
        twin.equal(X, n)
