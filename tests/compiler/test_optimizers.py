"""Every optimiser compiled: eager's bits, with one group and with two, and numbers that change between calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiler.contract import Twin, ran
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError

CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "SGD": (tg.optim.SGD, {}),
    "momentum": (tg.optim.SGD, {"momentum": 0.9, "weight_decay": 0.01}),
    "Nesterov": (tg.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "dampening": (tg.optim.SGD, {"momentum": 0.9, "dampening": 0.5}),
    "Adam": (tg.optim.Adam, {}),
    "AdamW": (tg.optim.AdamW, {}),
    "Adamax": (tg.optim.Adamax, {"weight_decay": 0.01}),
    "NAdam": (tg.optim.NAdam, {}),
    "RMSprop": (tg.optim.RMSprop, {}),
    "centred": (tg.optim.RMSprop, {"centered": True, "momentum": 0.5}),
    "Adagrad": (tg.optim.Adagrad, {"lr_decay": 0.01, "initial_accumulator_value": 0.5}),
}


class Training:
    """Three parameters and their optimiser, in one group or in two."""

    def __init__(self, case: str, groups: int) -> None:
        kind, options = CASES[case]
        self.w = [tg.tensor([1.0, 2.0, 3.0], requires_grad=True), tg.tensor([0.5], requires_grad=True)]
        self.w.append(tg.tensor(0.25, requires_grad=True))
        parted = [{"params": self.w[:1], "lr": 0.05}, {"params": self.w[1:], "weight_decay": 0.1}]
        self.optimizer = kind(self.w if groups == 1 else parted, lr=0.1, **options)

    def step(self, x: Any) -> Any:
        ran()
        self.optimizer.zero_grad()
        loss = ((self.w[0] * x + self.w[1]) ** 2).sum() * self.w[2]
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def everything(self) -> Any:
        return [w.data for w in self.w], [w.grad.data for w in self.w if w.grad is not None], self.optimizer.state


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_a_compiled_step_is_eagers(case: str, groups: int) -> None:
    one, other = Training(case, groups), Training(case, groups)
    twin = Twin(one.step, other.step)
    x = np.array([0.5, -1.0, 0.25])
    for n in range(6):
        traced = twin.equal(x + 0.1 * n)
        assert case == "dampening" or traced == (n == 0), "one program, whatever the hyperparameters are"
        assert same(one.everything(), other.everything())
        for training in (one, other):
            training.optimizer.param_groups[-1]["lr"] = 0.1 / (n + 2)
            if n == 2:
                training.optimizer.lr = 0.03


def test_a_group_that_is_added_is_seen() -> None:
    one, other = Training("Adam", 1), Training("Adam", 1)
    for training in (one, other):
        training.optimizer = tg.optim.Adam(training.w[:1], lr=0.1)
    twin = Twin(one.step, other.step)
    x = np.array([0.5, -1.0, 0.25])
    for n in range(4):
        for training in (one, other):
            training.w[1].grad = training.w[2].grad = None
            if n == 2:
                training.optimizer.add_param_group({"params": training.w[1:], "lr": 0.5})
        twin.equal(x + n)
        assert same(one.everything(), other.everything())


@pytest.mark.parametrize("case", ["Adam", "momentum"])
def test_a_frozen_parameter_is_stepped_over_and_has_a_state_from_its_first_step_on(case: str) -> None:
    one, other = Training(case, 2), Training(case, 2)
    for training in (one, other):
        training.w[0].requires_grad = False
    twin = Twin(one.step, other.step)
    for n in range(6):
        assert twin.equal(np.ones(3) * n) == (n in (0, 3)), "one program for each state of the parameter"
        assert same(one.everything(), other.everything())
        assert bool(one.optimizer.state[0]) == (n >= 3)
        if n == 2:
            one.w[0].requires_grad = other.w[0].requires_grad = True


def test_a_switch_is_part_of_what_a_program_is_for() -> None:
    one, other = Training("momentum", 2), Training("momentum", 2)
    twin = Twin(one.step, other.step)
    for n in range(4):
        assert twin.equal(np.ones(3) * n) == (n in (0, 2))
        assert same(one.everything(), other.everything())
        if n == 1:
            for training in (one, other):
                training.optimizer.param_groups[0]["nesterov"] = True


def test_a_step_may_not_set_a_group() -> None:
    w = tg.tensor([1.0], requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=0.5)

    def sets(x: Any) -> Any:
        optimizer.param_groups[0]["lr"] = 0.25
        return x * 2

    def adds(x: Any) -> Any:
        optimizer.add_param_group({"params": [tg.ones(2, requires_grad=True)]})
        return x * 2

    for f, words in ((sets, "sets 'lr' of an optimiser"), (adds, "sets 'state' of an optimiser")):
        with pytest.raises(CompileError, match=words):
            tg.compile(f)(np.ones(2))
    assert optimizer.lr == 0.5
    assert len(optimizer.param_groups) == 1


def test_steps_that_were_equal_may_part_and_meet_again() -> None:
    one, other = Training("Adam", 1), Training("Adam", 1)
    twin = Twin(one.step, other.step)
    x = np.array([0.5, -1.0, 0.25])
    for steps in ((), (5, 0, 0), (), (9, 9, 9), ()):
        for i, n in enumerate(steps):
            for training in (one, other):
                training.optimizer.state[i]["step"] = n
        twin.equal(x)
        assert same(one.everything(), other.everything())
