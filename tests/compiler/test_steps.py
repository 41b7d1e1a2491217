"""Whole training runs, compiled: parameters, gradients and optimiser state are the eager ones, bit for bit."""

from __future__ import annotations

import itertools
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.errors import DtypeError

STEPS = 24
Work = Callable[..., Any]


def network(sizes: list[int], dtype: Any, seed: int) -> Any:
    """Return a dense network of these sizes, relu between the layers."""
    layers = [
        {"input_dim": m, "output_dim": n, "activation": "sigmoid" if n == sizes[-1] else "relu"}
        for m, n in itertools.pairwise(sizes)
    ]
    return tg.nn.DenseNetwork(layers, seed=seed, dtype=dtype)


class Training:
    """A network with its optimiser and data: two of them start alike."""

    def __init__(self, optimizer: str = "sgd", dtype: Any = np.float64, seed: int = 3) -> None:
        self.network = network([3, 7, 5, 1], dtype, seed)
        made: dict[str, Callable[[Any], Any]] = {
            "sgd": lambda ps: tg.optim.SGD(ps, lr=0.1),
            "momentum": lambda ps: tg.optim.SGD(ps, lr=0.05, momentum=0.9),
            "adam": lambda ps: tg.optim.Adam(ps, lr=0.01),
        }
        self.parameters = self.network.parameters()
        self.optimizer: Any = made[optimizer](self.parameters)
        rng = np.random.default_rng(4)
        self.X = rng.normal(size=(12, 3)).astype(dtype)
        self.y = rng.integers(0, 2, (12, 1)).astype(dtype)

    def loss(self, X: Any, y: Any) -> Any:
        return tg.binary_cross_entropy_with_logits(self.network.logits(X), y)

    def step(self, X: Any, y: Any) -> Any:
        loss = self.loss(X, y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def accumulate(self, X: Any, y: Any) -> Any:
        loss = self.loss(X, y)
        loss.backward()
        return loss.detach()

    def batches(self, count: int = STEPS) -> Iterator[tuple[Any, Any]]:
        rng = np.random.default_rng(5)
        for _ in range(count):
            rows = rng.permutation(len(self.X))[:8]
            yield self.X[rows], self.y[rows]

    def everything(self) -> Any:
        """Return parameters, gradients and optimiser state."""
        gradients = [None if p.grad is None else p.grad.data for p in self.parameters]
        return [p.data for p in self.parameters], gradients, self.optimizer.state


def twins(optimizer: str = "sgd", dtype: Any = np.float64) -> tuple[Training, Training, Any]:
    """Return one training for eager steps, one for compiled ones, and that one's compiled step."""
    eager, other = Training(optimizer, dtype), Training(optimizer, dtype)
    return eager, other, tg.compile(other.step, exact=True)


def replays(step: Any) -> int:
    return sum(map(len, step.programs.values()))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_runs_are_equal(optimizer: str, dtype: Any) -> None:
    eager, other, step = twins(optimizer, dtype)
    for X, y in eager.batches():
        assert same(step(X, y), eager.step(X, y))
        assert same(other.everything(), eager.everything())
    assert replays(step) <= 2


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_a_learning_rate_that_changes_is_not_traced_again(optimizer: str) -> None:
    eager, other, step = twins(optimizer)
    for number, (X, y) in enumerate(eager.batches()):
        for training in (eager, other):
            training.optimizer.lr = 0.1 / (1 + number)
            if optimizer == "adam":
                training.optimizer.betas = (0.9 - 0.01 * number, 0.99)
        step(X, y)
        eager.step(X, y)
        assert same(other.everything(), eager.everything())
    assert replays(step) <= 2


def test_a_rate_that_is_an_argument() -> None:
    eager, other = Training(), Training()

    def descend(training: Training, X: Any, y: Any, rate: Any) -> Any:
        loss = training.loss(X, y)
        loss.backward()
        with tg.no_grad():
            for p in training.parameters:
                p -= rate * p.grad
                p.grad = None
        return loss.detach()

    step = tg.compile(lambda X, y, rate: descend(other, X, y, rate), exact=True)
    for number, (X, y) in enumerate(eager.batches()):
        rate = 0.2 / (1 + number)
        assert same(step(X, y, rate), descend(eager, X, y, rate))
        assert same(other.everything(), eager.everything())
    assert replays(step) == 1


def test_gradients_add_up() -> None:
    eager, other = Training(), Training()
    step = tg.compile(other.accumulate, exact=True)
    for number, (X, y) in enumerate(eager.batches()):
        assert same(step(X, y), eager.accumulate(X, y))
        assert same(other.everything(), eager.everything())
        if number % 5 == 4:
            for training in (eager, other):
                training.optimizer.step()
                training.optimizer.zero_grad()
    assert replays(step) == 2


def test_data_is_set() -> None:
    eager, other = Training(), Training()

    def decay(training: Training, factor: Any) -> None:
        for p in training.parameters:
            p.data = p.data * factor + 0.001

    step = tg.compile(lambda factor: decay(other, factor), exact=True)
    for number in range(STEPS):
        step(0.9 + 0.004 * number)
        decay(eager, 0.9 + 0.004 * number)
        assert same(other.everything(), eager.everything())
    assert replays(step) == 1


def test_the_last_batch_is_smaller() -> None:
    eager, other, step = twins("momentum")
    for number, (X, y) in enumerate(eager.batches()):
        rows = 3 if number % 4 == 3 else 8
        step(X[:rows], y[:rows])
        eager.step(X[:rows], y[:rows])
        assert same(other.everything(), eager.everything())
    assert len(step.programs) == 2


def test_a_step_that_returns_its_gradients_and_parameters() -> None:
    eager, other = Training(), Training()

    def shown(training: Training, X: Any, y: Any) -> Any:
        loss = training.step(X, y)
        return loss, [p.grad for p in training.parameters], {"w": training.parameters[0].data}

    step = tg.compile(lambda X, y: shown(other, X, y), exact=True)
    kept = []
    for X, y in eager.batches(8):
        kept.append((step(X, y), shown(eager, X, y)))
    assert all(same(found, expected) for found, expected in kept)


# ---- between two steps ----


def changed(what: str, training: Training) -> None:
    """Change something that a step reads, as a user may."""
    first, last = training.parameters[0], training.parameters[-1]
    match what:
        case "load the network's state":
            training.network.load_state_dict({k: v * 0.5 for k, v in training.network.state_dict().items()})
        case "load the optimiser's state":
            saved = training.optimizer.state_dict()
            for entry in saved["state"].values():
                entry |= {k: v * 0.5 for k, v in entry.items() if k != "step"}
            training.optimizer.load_state_dict(saved)
        case "forget the optimiser's state":
            training.optimizer.load_state_dict(type(training.optimizer)(training.parameters, lr=0.02).state_dict())
        case "set a gradient":
            first.grad = tg.ones(first.shape)
        case "zero the gradients":
            training.optimizer.zero_grad()
        case "set the data":
            first.data = np.full(first.shape, 0.25)
        case "set the data in another order":
            first.data = np.asfortranarray(np.linspace(-1, 1, first.size).reshape(first.shape))
        case "set the data to a view":
            first.data = np.linspace(-1, 1, 2 * first.size)[::2].reshape(first.shape)
        case "set the data read-only":
            data = np.full(first.shape, 0.125)
            data.flags.writeable = False
            first.data = data
        case "write into the data":
            first.data[...] *= 0.5
        case "update in place":
            with tg.no_grad():
                first -= 0.125
        case "take a step outside":
            training.step(training.X, training.y)
        case "freeze and thaw":
            last.requires_grad = False
            last.requires_grad = True


CHANGES = [
    "load the network's state", "load the optimiser's state", "forget the optimiser's state", "set a gradient",
    "zero the gradients", "set the data", "set the data in another order", "set the data to a view",
    "set the data read-only", "write into the data", "update in place", "take a step outside", "freeze and thaw",
]  # fmt: skip


@pytest.mark.parametrize("method", ["step", "accumulate"])
@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_between_steps_is_seen(what: str, method: str) -> None:
    eager, other = Training("momentum"), Training("momentum")
    step = tg.compile(getattr(other, method), exact=True)
    for number, (X, y) in enumerate(eager.batches(12)):
        assert same(step(X, y), getattr(eager, method)(X, y))
        if number % 3 == 2:
            changed(what, eager)
            changed(what, other)
        assert same(other.everything(), eager.everything())


def test_a_parameter_that_is_frozen_is_no_longer_changed() -> None:
    eager, other, step = twins()
    for training in (eager, other):
        training.step(training.X, training.y)
    for number, (X, y) in enumerate(eager.batches(12)):
        for training in (eager, other):
            training.parameters[2].requires_grad = number % 4 < 2
            training.parameters[2].grad = None
        step(X, y)
        eager.step(X, y)
        assert same(other.everything(), eager.everything())


def test_data_in_another_order_keeps_the_bits() -> None:
    """What NumPy computes from an array in Fortran's order lies so, too, and is summed in that order."""
    table = tg.tensor(np.random.default_rng(6).normal(size=(137, 211)))
    f = tg.compile(lambda x: (np.tanh(table) * x).sum(), exact=True)
    for order in "CFCF":
        table.data = np.array(table.data, order=order)  # type: ignore[call-overload]
        assert same(f(0.7), (np.tanh(table) * 0.7).sum())


def test_a_gradient_of_another_dtype_is_refused_between_steps_and_changes_nothing() -> None:
    eager, other = Training(), Training()
    step = tg.compile(other.accumulate, exact=True)
    for number, (X, y) in enumerate(eager.batches(8)):
        if number == 4:
            for p in other.parameters:
                with pytest.raises(DtypeError, match="has dtype float32, its tensor float64; write"):
                    p.grad = tg.Tensor(p.grad.data.astype(np.float32))
        step(X, y)
        eager.accumulate(X, y)
        assert same(other.everything(), eager.everything())


# ---- what the user holds ----


def held_by(training: Training) -> list[Any]:
    """Return arrays, handles and views of all that a step replaces."""
    p, g = training.parameters[0], training.parameters[0].grad
    found = [p.data, p.data[1:], p.numpy(), p.data.T, p.detach(), p.copy() if hasattr(p, "copy") else p.data]
    if g is not None:
        found += [g, g.data, g.data[1:], g.numpy(), g.detach()]
    return found + [x for entry in training.optimizer.state for x in entry.values() if isinstance(x, np.ndarray)]


@pytest.mark.parametrize("method", ["step", "accumulate"])
@pytest.mark.parametrize("which", range(14))
def test_what_the_user_holds_is_never_overwritten(which: int, method: str) -> None:
    training = Training("adam")
    step = tg.compile(getattr(training, method), exact=True)
    kept: list[Any] = []
    for X, y in training.batches(12):
        result = step(X, y)
        held = [*held_by(training), result, result.data]
        if which < len(held):
            x = held[which]
            kept.append((x, np.array(x.data if isinstance(x, tg.Tensor) else x)))
        del held, result
    for x, copy in kept:
        assert same(np.asarray(x.data if isinstance(x, tg.Tensor) else x), copy)


# ---- memory ----


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_replay_allocates_what_it_puts_in_place_alone(dtype: Any) -> None:
    model = network([2, 25, 50, 50, 25, 1], dtype, 1)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.01)
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(900, 2)).astype(dtype), rng.integers(0, 2, (900, 1)).astype(dtype)

    @tg.compile
    def step(X: Any, y: Any) -> Any:
        loss = tg.binary_cross_entropy_with_logits(model.logits(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    for _ in range(4):
        step(X, y)
    traced_by = sys.gettrace()
    sys.settrace(None)  # what measures coverage allocates, too
    tracemalloc.start()
    try:
        step(X, y)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(5):
            step(X, y)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        sys.settrace(traced_by)
    buffer = np.getbufsize() * np.dtype(dtype).itemsize  # a ufunc takes one for itself, and gives it back, to cast
    made = 2 * sum(p.data.nbytes for p in model.parameters())  # the new parameters and their gradients
    assert peak - before < made + buffer + 8000 < 900 * 25 * np.dtype(dtype).itemsize
    assert after - before < 1000
