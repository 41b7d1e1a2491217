"""The contract: arguments, Tensors and optimisers are live, read anew at every call by one program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiler.contract import Twin, X, Y, ran
from same_bits import same

import tinygrad_nn as tg


def test_arguments_in_containers() -> None:
    def f(parts: Any, named: Any) -> Any:
        ran()
        return {"sum": parts[0] * named["a"], "rest": [parts[1][0] - 1]}

    twin = Twin(f)
    assert [twin.equal([k * X, (Y,)], {"a": k * Y}) for k in (1.0, 2.0, 3.0)] == [1, 0, 0]


def test_what_is_written_into_an_argument_between_calls() -> None:
    def f(x: Any, t: Any) -> Any:
        ran()
        return x * t

    twin, x, t = Twin(f), X.copy(), tg.tensor(Y)
    assert twin.equal(x, t) == 1
    x[0, 0] = 7.0
    t.data[1, 1] = -4.0
    assert twin.equal(x, t) == 0


def test_a_tensors_data() -> None:
    w = tg.tensor([1.0, 2.0, 3.0])

    def f(x: Any) -> Any:
        ran()
        return tg.grad(lambda v: (v * v * x).sum())(w)

    twin = Twin(f)
    assert twin.equal(X) == 1
    w.data = np.array([0.5, -1.0, 4.0])
    assert twin.equal(X) == 0
    w.data[0] = 9.0
    assert twin.equal(X) == 0


def test_a_tensor_that_another_one_replaces() -> None:
    held = {"w": tg.tensor([1.0, 2.0, 3.0])}

    def f(x: Any) -> Any:
        return x * held["w"]

    twin = Twin(f)
    for k in (1.0, 2.0, 3.0):
        held["w"] = tg.tensor([k, 2.0, 3.0])
        twin.equal(X)


def test_a_tensor_that_a_called_function_reads() -> None:
    w = tg.tensor([1.0, 2.0, 3.0])

    def scaled(x: Any) -> Any:
        return x * w

    def f(x: Any) -> Any:
        ran()
        return scaled(x)

    twin = Twin(f)
    assert twin.equal(X) == 1
    w.data = np.array([0.5, -1.0, 4.0])
    assert twin.equal(X) == 0


def test_a_tensor_that_the_function_rebinds() -> None:
    def made() -> tuple[Any, Callable[[Any], Any]]:
        w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)

        def f(x: Any) -> Any:
            nonlocal w
            ran()
            loss = (w * x).sum()
            loss.backward()
            with tg.no_grad():
                w -= 0.1 * w.grad  # type: ignore[operator]
            w.grad = None
            return loss.detach()

        return w, f

    (w, f), (other, eager) = made(), made()
    twin = Twin(f, eager)
    for k, runs in ((1.0, 1), (2.0, 0), (3.0, 0)):
        assert twin.equal(X * k) == runs
        assert same(w.data, other.data)
        assert w.grad is None
    w.data, other.data = np.ones(3), np.ones(3)
    assert twin.equal(X) == 0
    assert same(w.data, other.data)


def test_a_gradient_that_is_set_between_calls() -> None:
    def made() -> tuple[Any, Callable[[Any], Any]]:
        w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        w.grad = tg.tensor([0.5, 0.5, 0.5])

        def f(x: Any) -> None:
            ran()
            (w * x).sum().backward()

        return w, f

    (w, f), (other, eager) = made(), made()
    twin = Twin(f, eager)
    assert twin.equal(X) == 1
    for tensor in (w, other):
        tensor.grad = tg.tensor([4.0, 5.0, 6.0])
    assert twin.equal(Y) == 0
    assert same(w.grad, other.grad)


class Decayed(tg.optim.SGD):
    """An optimiser of the user's, with a number in an attribute of its own."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, lr=lr)
        self.decay, self.settings = 0.1, {"extra": 0.0}

    def update(self, w: Any, g: Any, state: Any) -> Any:
        return super().update(w, g + (self.decay + self.settings["extra"]) * w, state)


class Training:
    """A weight with its optimiser: two of them start alike."""

    def __init__(self, kind: Any = tg.optim.SGD, **options: Any) -> None:
        self.w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        self.optimizer: Any = kind([self.w], lr=0.1, **options)

    def step(self, x: Any) -> Any:
        ran()
        loss = ((self.w * x) ** 2).sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def everything(self) -> Any:
        return self.w.data, self.w.grad, self.optimizer.state_dict()


def betas(optimizer: Any) -> None:
    optimizer.betas = (0.5, 0.75)


def old_state(optimizer: Any) -> None:
    state = optimizer.state_dict()
    state["state"][0] = {"step": 9, "m": np.ones(3), "v": np.full(3, 2.0)}
    optimizer.load_state_dict(state)


LIVE: dict[str, tuple[Any, dict[str, Any], Callable[[Any], Any]]] = {
    "the learning rate of SGD": (tg.optim.SGD, {}, lambda o: setattr(o, "lr", 0.025)),
    "the learning rate of momentum": (tg.optim.SGD, {"momentum": 0.9}, lambda o: setattr(o, "lr", 0.025)),
    "the momentum": (tg.optim.SGD, {"momentum": 0.9}, lambda o: setattr(o, "momentum", 0.5)),
    "the learning rate of Adam": (tg.optim.Adam, {}, lambda o: setattr(o, "lr", 0.025)),
    "betas": (tg.optim.Adam, {}, betas),
    "eps": (tg.optim.Adam, {}, lambda o: setattr(o, "eps", 0.01)),
    "a state that is loaded": (tg.optim.Adam, {}, old_state),
}


@pytest.mark.parametrize("what", LIVE)
def test_an_optimiser_is_live(what: str) -> None:
    kind, options, change = LIVE[what]
    one, other = Training(kind, **options), Training(kind, **options)
    twin = Twin(one.step, other.step)
    for n in range(4):
        assert twin.equal(X + n) == (n == 0), "the first step is traced as any other, once"
        assert same(one.everything(), other.everything())
        if n == 1:
            change(one.optimizer)
            change(other.optimizer)


@pytest.mark.parametrize(
    ("kind", "flag"), [(tg.optim.Adam, "amsgrad"), (tg.optim.RMSprop, "centered"), (tg.optim.SGD, "momentum")]
)
def test_a_state_that_an_optimiser_keeps_no_more(kind: Any, flag: str) -> None:
    one, other = Training(kind), Training(kind)
    twin = Twin(one.step, other.step)
    for wanted in (0, 0.5, 0.5, 0, 0, 0.5, 0.5) if flag == "momentum" else (False, True, True, False, False, True):
        for each in (one, other):
            setattr(each.optimizer, flag, wanted)
        twin.equal(X)
        assert same(one.everything(), other.everything())


@pytest.mark.parametrize("name", ["decay", "settings"])
def test_an_optimisers_own_attributes_are_live(name: str) -> None:
    one, other = Training(Decayed), Training(Decayed)
    twin = Twin(one.step, other.step)
    for n in range(4):
        twin.equal(X + n)
        assert same(one.w.data, other.w.data)
        for training in (one, other):
            if name == "decay":
                training.optimizer.decay = 0.5 * n
            else:
                training.optimizer.settings["extra"] = 0.5 * n


def test_a_momentum_that_comes_from_nothing() -> None:
    one, other = Training(), Training()
    twin = Twin(one.step, other.step)
    for n in range(5):
        twin.equal(X + n)
        assert same(one.everything(), other.everything())
        for training in (one, other):
            training.optimizer.momentum = 0.9 if n % 2 else 0.0


def test_a_branch_on_the_learning_rate() -> None:
    one, other = Training(), Training()

    def made(training: Training) -> Callable[[Any], Any]:
        def f(x: Any) -> Any:
            loss = training.step(x)
            return loss * 2 if training.optimizer.lr > 0.05 else loss

        return f

    twin = Twin(made(one), made(other))
    for n in range(5):
        twin.equal(X)
        assert same(one.w.data, other.w.data)
        for training in (one, other):
            training.optimizer.lr = 0.1 / (n + 1)


def test_an_optimiser_that_the_function_makes() -> None:
    def f(x: Any, rate: Any) -> Any:
        ran()
        w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        optimizer = tg.optim.Adam([w], lr=rate)
        (w * x).sum().backward()
        optimizer.step()
        return w.detach()

    twin = Twin(f)
    assert [twin.equal(x, 0.1) for x in (X, Y, X * 2)] == [1, 0, 0]
    twin.equal(X, 0.2)
    twin.equal(Y, 0.1)
