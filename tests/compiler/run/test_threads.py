"""Threads that trace, replay and predict at once: each sees whole steps only, and none waits for ever."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.engine.grad_mode import recording

X = np.array([0.5, -1.25, 2.0])
ROUNDS = [pytest.param(20, id="some"), pytest.param(200, id="many", marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def _threads_that_change_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def at_once(*works: Callable[[], Any]) -> None:
    """Run each work in a thread of its own, all at once. Raises what one of them raises, or after two minutes."""
    start, failures = threading.Barrier(len(works)), []

    def run(work: Callable[[], Any]) -> None:
        try:
            start.wait(10)
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "threads wait for each other"
    if failures:
        raise failures[0]


def adding(w: Any, k: float = 1.0) -> Callable[[Any], Any]:
    """Return a step that adds to a parameter, by its gradient."""

    def add(x: Any) -> Any:
        w.grad = None
        (w * x).sum().backward()
        with tg.no_grad():
            w.data = w.data + k * w.grad.data
        return w.sum().detach()

    return add


@pytest.mark.parametrize("rounds", ROUNDS)
def test_one_predicts_while_another_traces(rounds: int) -> None:
    w: Any = tg.tensor(np.zeros(50), requires_grad=True)
    ones, stop = np.ones(50), threading.Event()

    def trace() -> None:
        try:
            for _ in range(rounds):
                tg.compile(adding(w))(ones)
        finally:
            stop.set()

    def predict() -> None:
        while not stop.is_set():
            array, gradient = w.data, w.grad
            assert type(array) is np.ndarray
            assert same(array, np.full(50, array[0]))
            assert gradient is None or same(gradient.data, ones)
            with tg.no_grad():
                assert type((w * 2).data) is np.ndarray

    at_once(trace, predict, predict)
    assert same(w.data, np.full(50, float(rounds)))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_many_trace_one_function_at_once(rounds: int) -> None:
    for _ in range(rounds // 4):
        f = tg.compile(lambda x: np.tanh(x) * x.shape[0], exact=True)

        def work(f: Any = f) -> None:
            for n in range(1, 4):
                assert same(f(np.full(n, 0.5)), np.tanh(np.full(n, 0.5)) * n)

        at_once(*[work] * 4)
        assert sum(map(len, f.programs.values())) == 3


@pytest.mark.parametrize("rounds", ROUNDS)
def test_many_trace_steps_on_one_parameter_at_once(rounds: int) -> None:
    w: Any = tg.tensor(np.zeros(50), requires_grad=True)
    ones = np.ones(50)

    def work() -> None:
        for _ in range(rounds // 2):
            tg.compile(adding(w))(ones)

    at_once(*[work] * 3)
    assert same(w.data, np.full(50, 3.0 * (rounds // 2)))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_no_step_is_lost(rounds: int) -> None:
    w: Any = tg.tensor(np.zeros(3000), requires_grad=True)
    steps, ones = [tg.compile(adding(w, k)) for k in (1.0, 2.0)], np.ones(3000)
    for step in steps:
        step(ones)

    def work(step: Any) -> None:
        for _ in range(rounds * 5):
            step(ones)

    at_once(*[lambda step=step: work(step) for step in steps * 2])
    assert same(w.data, np.full(3000, 3.0 + rounds * 5 * 6))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_functions_inside_one_another_on_shared_parameters(rounds: int) -> None:
    w: Any = tg.tensor(np.zeros(50), requires_grad=True)
    v: Any = tg.tensor(np.zeros(50), requires_grad=True)
    ones = np.ones(50)
    inner = [tg.compile(adding(t)) for t in (w, v)]
    outer = [tg.compile(lambda x: (inner[0](x), inner[1](x))), tg.compile(lambda x: (inner[1](x), inner[0](x)))]

    def work(step: Any) -> None:
        for _ in range(rounds):
            step(ones)

    at_once(*[lambda step=step: work(step) for step in [*outer, *inner]])
    assert same([w.data, v.data], [np.full(50, 3.0 * rounds)] * 2)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_arguments_that_are_changed_by_many(rounds: int) -> None:
    tensors = [tg.tensor(np.zeros(50)) for _ in range(3)]

    def f(a: Any, b: Any) -> None:
        a.data, b.data = a.data + 1.0, b.data + 1.0

    step = tg.compile(f)

    def work(first: int, second: int) -> None:
        for _ in range(rounds):
            step(tensors[first], tensors[second])

    at_once(lambda: work(0, 1), lambda: work(1, 2), lambda: work(2, 0))
    assert same([t.data for t in tensors], [np.full(50, 2.0 * rounds)] * 3)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_results_of_one_are_never_written_over_by_another(rounds: int) -> None:
    f = tg.compile(tg.value_and_grad(lambda x: (np.sin(x) * x).sum()), exact=True)

    def work(k: float) -> None:
        x = X * k
        right = tg.value_and_grad(lambda x: (np.sin(x) * x).sum())(x)
        held = [f(x) for _ in range(rounds)]
        assert all(same(found, right) for found in held)

    at_once(*[lambda k=k: work(k) for k in (0.5, 1.5, 2.5, 3.5)])


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_module_that_draws_for_many(rounds: int) -> None:
    """Each step draws once, whoever makes it: so the steps of all together are those of one."""

    class Noise(tg.nn.Module):
        def __init__(self) -> None:
            self.generator = np.random.default_rng(5)

        def forward(self, x: Any) -> Any:
            return x + self.generator.integers(0, 100, 20)

    noise, w, zeros = Noise(), tg.tensor(np.zeros(20)), np.zeros(20)

    def f(x: Any) -> None:
        w.data = w.data + noise.forward(x)

    step = tg.compile(f)
    step(zeros)

    def work() -> None:
        for _ in range(rounds):
            step(zeros)

    at_once(*[work] * 4)
    alone = np.random.default_rng(5)
    assert same(w.data, sum([alone.integers(0, 100, 20) for _ in range(4 * rounds + 1)], start=zeros))
    assert recording.get() is True
