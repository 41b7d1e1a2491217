"""Interrupts at any line and forks at any moment leave the state of one step or of none, and no lock held."""

from __future__ import annotations

import functools
import gc
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiler.interrupting import Lines, lines_of
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.compiler import turns
from tinygrad_nn.compiler.trace.patches import ENTROPY_TOLD, MODULES_TOLD
from tinygrad_nn.engine.grad_mode import recording
from tinygrad_nn.errors import CompileError

X = np.array([0.5, -1.25, 2.0])


class Noise(tg.nn.Module):
    def __init__(self) -> None:
        self.generator = np.random.default_rng(5)

    def forward(self, x: Any) -> Any:
        return x + self.generator.normal(size=3)


class Steps:
    """A step that changes all that a program can change, compiled; and what each of its first steps leaves, eagerly.

    It updates a parameter by Adam, writes into an array, draws of a module's generator, and counts, if it is `counted`:
    then each call is traced.
    """

    def __init__(self, counted: bool = False) -> None:
        self.counted = counted
        self.begin(lambda f: f)
        self.right, self.results = [self.state()], [None]
        for _ in range(9):
            self.results.append(self.step(X))
            self.right.append(self.state())

    def begin(self, compiler: Callable[..., Any]) -> None:
        w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        b, noise, optimizer, n = tg.Tensor(np.ones(3)), Noise(), tg.optim.Adam([w], lr=0.1), 0

        def once(x: Any) -> Any:
            optimizer.zero_grad()
            loss = ((w * noise.forward(x) * b) ** 2).sum()
            loss.backward()
            optimizer.step()
            b.data -= 0.01 * x
            return loss.detach()

        def counting(x: Any) -> Any:
            nonlocal n
            n += 1
            return once(x)

        def state() -> list[Any]:
            (moments,) = optimizer._state
            gradient = [] if w.grad is None else w.grad.data.copy()
            drawn = noise.generator.bit_generator.state["state"]["state"]
            return [w.data.copy(), gradient, b.data.copy(), *[np.copy(x) for x in moments.values()], str(drawn), n]

        self.step, self.state = compiler(counting if self.counted else once), state

    def compiled(self, calls: int) -> None:
        """Begin anew, compiled, with some calls already made."""
        self.begin(lambda f: tg.compile(f, exact=True))
        for _ in range(calls):
            self.step(X)

    def lines(self, calls: int, **options: Any) -> list[str]:
        """Return the lines that run in the call after these."""
        self.compiled(calls)
        return lines_of(lambda: self.step(X), **options)

    def interrupted(self, calls: int, at: int, **options: Any) -> None:
        """Interrupt the call after these at a line, and assert that nothing is half done, nor wrong afterwards."""
        self.compiled(calls)
        lines = Lines(at, **options)
        lines.run(lambda: self.step(X))
        where = f"interrupted at {lines.stopped}"  # nowhere, if the call took a line less than the one counted
        assert recording.get() is True, where
        assert turns_are_free(), where
        found = self.state()
        done = next((n for n in (calls, calls + 1) if same(found, self.right[n])), None)
        assert done is not None, f"{where}: {found} is neither {self.right[calls]} nor {self.right[calls + 1]}"
        for n in (done + 1, done + 2):
            assert same(self.step(X), self.results[n]), where
            assert same(self.state(), self.right[n]), where
        assert nobody_is_told(), where


def turns_are_free() -> bool:
    """Return whether another thread can take every lock, but for those that nobody can use any more."""
    return all_can_be_taken() or (gc.collect() >= 0 and all_can_be_taken())


def nobody_is_told() -> bool:
    """Return whether no function tells a tracer any more, but for those that nobody can use any more."""
    told = [*MODULES_TOLD, *ENTROPY_TOLD]
    return not any(p.tracers for p in told) or (gc.collect() >= 0 and not any(p.tracers for p in told))


def all_can_be_taken() -> bool:
    """Return whether another thread can take every lock that there is."""
    free: list[bool] = []

    def take() -> None:
        for turn in [*turns._turns]:
            taken = turn.lock.acquire(timeout=5)
            free.append(taken)
            if taken:
                turn.lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join(60)
    return all(free) and not thread.is_alive()


def spread(count: int, over: int) -> list[int]:
    """Return so many line numbers, spread over so many lines."""
    return [1 + (over - 1) * n // max(count - 1, 1) for n in range(min(count, over))]


COMMIT = ("<around", "<commit")
COUNTS = [pytest.param(32, id="some"), pytest.param(600, id="many", marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("counted", [False, True])
def test_interrupts_in_a_trace(counted: bool, count: int) -> None:
    steps = Steps(counted)
    for at in spread(count // 2, len(steps.lines(0))):
        steps.interrupted(0, at)


@pytest.mark.parametrize("count", COUNTS)
def test_interrupts_in_a_replay(count: int) -> None:
    steps = Steps()
    for at in spread(count, len(steps.lines(3))):
        steps.interrupted(3, at)


def test_interrupts_around_a_commit() -> None:
    steps = Steps()
    lines = steps.lines(3, within=COMMIT)
    assert len(lines) >= 30
    for at in range(1, len(lines) + 1):
        steps.interrupted(3, at, within=COMMIT)


# ---- training with workers ----

ROWS = np.random.default_rng(0).normal(size=(8000, 2))
SIGNS = (ROWS.sum(axis=1, keepdims=True) > 0) * 1.0


def network() -> Any:
    layers = [
        {"input_dim": 2, "output_dim": 3, "activation": "tanh"},
        {"input_dim": 3, "output_dim": 1, "activation": "sigmoid"},
    ]
    return tg.nn.DenseNetwork(layers, seed=3)


def trained(net: Any, epochs: int) -> list[Any]:
    """Train, and return the parameters before and after each epoch."""
    found = [[p.data.copy() for p in net.parameters()]]

    def note(*_: Any) -> None:
        found.append([p.data.copy() for p in net.parameters()])

    tg.train(net, ROWS, SIGNS, epochs, progress=False, workers=2, on_epoch=note)
    return found


@pytest.mark.parametrize("count", [pytest.param(6, id="some"), pytest.param(100, id="many", marks=pytest.mark.slow)])
def test_interrupts_of_training_with_workers(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("threadpoolctl")
    right, threads = trained(network(), 4), threading.active_count()
    inside = len(lines_of(lambda: trained(network(), 2)))
    for at in spread(count, inside - 50):
        net = network()
        lines = Lines(at)
        lines.run(functools.partial(trained, net, 2))
        done = [n for n in range(3) if same([p.data for p in net.parameters()], right[n])]
        assert done, f"interrupted at {lines.stopped}"
        assert same(trained(net, 1)[-1], right[done[0] + 1])
        assert threading.active_count() == threads
        assert turns_are_free()


# ---- forks ----


def forked(work: Callable[[], bool]) -> int:
    """Return the exit code of a child that does the work: 0 if it returns True within ten seconds."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(10)
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@forks
def test_forks_in_a_trace() -> None:
    """In the child, Python seeds `random` anew, which is refused as a draw; whatever comes next is right there, too."""
    right = X
    for _ in range(8):
        right = np.sin(right) * 1.5

    for number in range(8):
        children: list[int] = []

        def f(x: Any, number: int = number, children: Any = lambda: children) -> Any:
            for n in range(8):
                x = np.sin(x) * 1.5
                if n == number:
                    fork(children())
            return x

        def fork(children: list[int]) -> None:
            if not children:
                children.append(os.fork())
                if children[-1] == 0:
                    signal.alarm(10)

        step, found = tg.compile(f, exact=True), []
        try:
            found.append(step(X))
        except CompileError as error:
            found += [right] if "random" in str(error) and children == [0] else []
        finally:
            if children == [0]:
                found += [step(X), step(X), tg.compile(lambda x: np.cos(x), exact=True)(X)]
                os._exit(0 if same(found, [right, right, right, np.cos(X)]) else 1)
        assert same(found, [right])
        assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0


@forks
def test_forks_while_a_thread_replays() -> None:
    w: Any = tg.tensor(np.zeros(20000), requires_grad=True)

    def f(x: Any) -> None:
        w.grad = None
        (w * x).sum().backward()
        with tg.no_grad():
            w.data = w.data + w.grad.data

    step, ones, stop = tg.compile(f), np.ones(20000), threading.Event()
    step(ones)

    def work() -> None:
        while not stop.is_set():
            step(ones)

    def child() -> bool:
        before = float(w.data[0])
        step(ones)
        return before >= 1 and same(w.data, np.full(20000, before + 1))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        assert [forked(child) for _ in range(8)] == [0] * 8
    finally:
        stop.set()
        thread.join(10)
    assert same(w.data, np.full(20000, w.data[0]))


@forks
def test_forks_after_training_with_workers() -> None:
    pytest.importorskip("threadpoolctl")
    right = trained(network(), 3)
    net = network()
    trained(net, 2)
    for _ in range(4):
        assert forked(lambda: same(trained(net, 1)[-1], right[3])) == 0
