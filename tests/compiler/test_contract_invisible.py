"""The contract, point 6: nobody else sees a trace, and nothing is ever left half done."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiler.contract import Twin, X, ran
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError


def network() -> Any:
    layers = [
        {"input_dim": 3, "output_dim": 4, "activation": "tanh"},
        {"input_dim": 4, "output_dim": 1, "activation": "sigmoid"},
    ]
    return tg.nn.DenseNetwork(layers, seed=3)


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    """Return what each work returns or raises, in threads of their own, within twenty seconds."""
    found: list[Any] = ["still running"] * len(works)

    def run(place: int) -> None:
        try:
            found[place] = works[place]()
        except BaseException as error:
            found[place] = error

    threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return found


def test_a_thread_that_predicts_while_another_traces_sees_arrays() -> None:
    net = network()
    optimizer = tg.optim.SGD(net.parameters(), lr=0.1)
    inside, done = threading.Event(), threading.Event()
    expected = net(X).detach()

    def pause() -> None:
        inside.set()
        done.wait(10)

    def f(x: Any) -> Any:
        optimizer.zero_grad()
        loss = net(x).sum()
        loss.backward()
        optimizer.step()
        pause()
        return loss.detach()

    def predict() -> Any:
        inside.wait(10)
        try:
            kinds = [type(p.data) for p in net.parameters()]
            return kinds, net(X).detach(), net.parameters()[0].grad
        finally:
            done.set()

    loss, (kinds, predicted, grad) = in_threads(lambda: tg.compile(f)(X), predict)
    assert kinds == [np.ndarray] * len(kinds)
    assert same(predicted, expected)
    assert grad is None
    assert same(loss, expected.sum())


def test_a_thread_that_trains_another_network_while_one_traces() -> None:
    inside, done = threading.Event(), threading.Event()

    def pause() -> None:
        inside.set()
        done.wait(10)

    def traced(x: Any) -> Any:
        y = np.sin(x)
        pause()
        return y * 2

    def other() -> Any:
        inside.wait(10)
        try:
            return tg.grad(lambda v: (v * v).sum())(X)
        finally:
            done.set()

    found, slope = in_threads(lambda: tg.compile(traced)(X), other)
    assert same(found, np.sin(X) * 2)
    assert same(slope, tg.tensor(X + X))


def test_two_functions_that_call_each_other_do_not_wait_for_each_other() -> None:
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def decay() -> None:
        with tg.no_grad():
            w.data = w.data * 0.5

    first: Any = tg.compile(lambda: decay())
    second: Any = tg.compile(lambda: first())
    start = threading.Barrier(2)

    def run(step: Any) -> Any:
        start.wait(10)
        for _ in range(50):
            step()

    assert in_threads(lambda: run(first), lambda: run(second)) == [None, None]
    assert same(w.data, np.array([1.0, 2.0, 3.0]) * 0.5**100)


def test_steps_on_the_same_tensors_take_turns() -> None:
    w = tg.tensor(np.zeros(300), requires_grad=True)

    def step_of(k: float) -> Any:
        def f(x: Any) -> None:
            with tg.no_grad():
                w.data = w.data + x * k

        return tg.compile(f)

    steps = [step_of(k) for k in (1.0, 2.0, 4.0)]
    ones = np.ones(300)

    def run(step: Any) -> None:
        for _ in range(60):
            step(ones)

    assert in_threads(*[functools.partial(run, step) for step in steps]) == [None] * 3
    assert same(w.data, np.full(300, 60 * 7.0))


def test_threads_in_one_function_share_no_buffer() -> None:
    step = tg.compile(lambda x: np.tanh(np.sin(x) * 2) * x)
    step(np.ones(500))

    def run(k: float) -> bool:
        x = np.full(500, k)
        right = np.tanh(np.sin(x) * 2) * x
        return all(same(step(x), right) for _ in range(100))

    assert in_threads(*[functools.partial(run, k) for k in (0.5, 1.5, 2.5)]) == [True] * 3


# ---- exceptions, interrupts and forks ----


class Stop(BaseException):
    """What nothing catches."""


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Stop])
def test_an_exception_in_a_trace_leaves_no_half_step(error: type[BaseException]) -> None:
    def made() -> tuple[Any, Any, Callable[[Any, Any], Any]]:
        w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        optimizer = tg.optim.Adam([w], lr=0.1)

        def f(x: Any, fails: Any) -> Any:
            optimizer.zero_grad()
            loss = (w * x).sum()
            loss.backward()
            optimizer.step()
            if fails:
                raise error("as it is")
            return loss.detach()

        return w, optimizer, f

    (w, optimizer, f), (other, expected, eager) = made(), made()
    step = tg.compile(f, exact=True)
    array = w.data
    for _ in range(2):
        with pytest.raises(error, match="as it is"):
            step(X, True)
        assert w.data is array
        assert w.grad is None
        assert same(w.data, np.array([1.0, 2.0, 3.0]))
    for _ in range(3):
        assert same(step(X, False), eager(X, False))
        assert same([w.data, w.grad, optimizer.state], [other.data, other.grad, expected.state])


def test_a_replay_that_fails_rewinds_generators() -> None:
    class Noise(tg.nn.Module):
        def __init__(self) -> None:
            self.generator = np.random.default_rng(5)

        def forward(self, a: Any) -> Any:
            return np.linalg.inv(a + 0 * self.generator.normal(size=(2, 2)))

    noise, other = Noise(), Noise()
    twin = Twin(lambda a: noise.forward(a), lambda a: other.forward(a))
    good, singular = np.array([[2.0, 0.5], [0.5, 1.0]]), np.ones((2, 2))
    for a in (good, singular, good):
        if a is singular:
            for call in (twin.step, twin.eager):
                with pytest.raises(np.linalg.LinAlgError):
                    call(a)
        else:
            twin.equal(a)
        assert noise.generator.bit_generator.state == other.generator.bit_generator.state


def test_a_replay_that_fails_leaves_no_half_step() -> None:
    def made() -> tuple[Any, Any, Callable[[Any], Any]]:
        w, v = tg.tensor(np.eye(2)), tg.tensor(np.eye(2))

        def f(a: Any) -> Any:
            ran()
            w.data = w.data + a
            try:
                v.data = np.linalg.inv(a)
            except np.linalg.LinAlgError:
                v.data = a * 0
            return w * 2

        return w, v, f

    (w, v, f), (other, expected, eager) = made(), made()
    twin = Twin(f, eager)
    for a in (np.eye(2) * 2, np.ones((2, 2)), np.eye(2)):
        twin.equal(a)
        assert same([w.data, v.data], [other.data, expected.data])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
@pytest.mark.parametrize("what", ["traces", "replays"])
def test_an_interrupt_at_any_moment_leaves_no_half_step(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # One that comes in a destructor is lost; pytest would keep it, and with its frames the arrays of the trace.
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: None)

    def made() -> tuple[Callable[[], Any], Callable[[Any], None]]:
        w = tg.tensor(np.ones(5000), requires_grad=True)
        optimizer = tg.optim.Adam([w], lr=0.1)

        def f(x: Any) -> None:
            optimizer.zero_grad()
            ((w * x) ** 2).sum().backward()
            optimizer.step()

        def state() -> Any:
            (moments,) = optimizer.state
            return w.data, w.grad, moments.get("step", 0), moments.get("m", 0.0)

        return state, f

    x = np.linspace(0.5, 1.5, 5000)
    expected, eager = made()
    right = [expected()]
    for _ in range(80):
        eager(x)
        right.append(expected())

    def interrupt(*_: Any) -> None:
        raise Stop

    state, f = made()
    step, rng, done = tg.compile(f, exact=True), random.Random(0), 2
    step(x)
    step(x)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(40):
            step = tg.compile(f, exact=True) if what == "traces" else step
            # NumPy's own errstate, interrupted where it ends, would stay for the tests to come.
            with np.errstate(), contextlib.suppress(Stop):
                signal.setitimer(signal.ITIMER_REAL, rng.uniform(2e-5, 2e-2 if what == "traces" else 6e-4))
                step(x)
                signal.setitimer(signal.ITIMER_REAL, 0)
            found = state()
            assert same(found, right[done]) or same(found, right[done + 1])
            done += not same(found, right[done])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for _ in range(3):
        step(x)
        done += 1
        assert same(state(), right[done])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork() -> None:
    step = tg.compile(lambda x: np.sin(x) * 2, exact=True)
    step(X)
    child = os.fork()
    if child == 0:
        os._exit(0 if same(step(X), np.sin(X) * 2) and same(step(X[0]), np.sin(X[0]) * 2) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert same(step(X), np.sin(X) * 2)


# ---- memory ----


def test_a_write_in_place_stays_in_its_memory() -> None:
    array = np.array([1.0, 2.0, 3.0])
    w = tg.Tensor(array)

    def f(x: Any) -> None:
        w.data -= 0.5 * x

    step = tg.compile(f, exact=True)
    expected = array.copy()
    for k in (1.0, 2.0, 3.0):
        step(X[0] * k)
        expected -= 0.5 * (X[0] * k)
        assert w.data is array
        assert same(array, expected)


def test_a_write_in_place_into_memory_that_another_array_shares_is_refused() -> None:
    table = np.array([[1.0, 2.0], [3.0, 4.0]])
    w, v = tg.Tensor(table), tg.Tensor(table.T)

    def f(x: Any) -> Any:
        w.data -= 0.5 * x
        return v * 2

    step = tg.compile(f, exact=True)
    for _ in range(2):
        with pytest.raises(CompileError, match=r"share|memory"):
            step(np.ones((2, 2)))
        assert same(table, np.array([[1.0, 2.0], [3.0, 4.0]]))
        assert w.data is table


def test_a_write_in_place_into_memory_of_an_array_that_the_code_names_is_refused() -> None:
    """NumPy alone computes with such an array, before the tensor is written into."""
    table = np.array([1.0, 2.0])
    w = tg.Tensor(table)

    def f(x: Any) -> Any:
        w.data += x
        return w * table.sum()

    with pytest.raises(CompileError, match=r"shares its memory"):
        tg.compile(f)(np.ones(2))
    assert w.data is table
    assert same(table, np.array([1.0, 2.0]))


def test_arrays_that_are_held_are_never_written_over() -> None:
    w: Any = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=0.1)

    def f(x: Any) -> Any:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()
        return w.detach()

    step = tg.compile(f, exact=True)
    held = []
    for k in range(5):
        held.append((w.data, w.data.copy()))
        result = step(X * k)
        held.append((result.data, result.data.copy()))
        held.append((w.grad.data, w.grad.data.copy()))
    assert all(same(array, copy) for array, copy in held)


def test_nothing_that_outlives_a_trace_is_a_proxy() -> None:
    known: dict[Any, Any] = {}

    @functools.lru_cache
    def cached(n: Any) -> Any:
        return n + 1

    def f(x: Any, n: Any) -> Any:
        known.get(n)
        return x * cached(n)

    step = tg.compile(f, exact=True)
    step(X, 3)
    assert cached(3) * 2 == 8
    assert same(f(X, 3), X * 4)
    assert [0, 1, 2, 3, 4, 5][cached(3)] == 4
