"""Schedules: PyTorch's learning rates over 50 epochs, alone and several at once, and states that load back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from optional import pytorch

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError, StateError

SCHEDULES: Any = tg.optim.lr_scheduler
CASES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}),
    ("MultiStepLR", {"milestones": [3, 20, 20, 31], "gamma": 0.3}),
    ("MultiStepLR", {"milestones": [0, 10]}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.01, "end_factor": 0.7, "total_iters": 13}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 13}),
    ("CosineAnnealingLR", {"T_max": 50}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.003}),
    ("CosineAnnealingLR", {"T_max": 1}),
    ("CosineAnnealingWarmRestarts", {"T_0": 7}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.003}),
]
PLATEAUS: list[dict[str, Any]] = [
    {"patience": 2},
    {"patience": 0, "factor": 0.5, "cooldown": 3},
    {"mode": "max", "patience": 1, "threshold": 0.1},
    {"patience": 1, "threshold": 0.1, "threshold_mode": "abs", "min_lr": 0.01},
    {"mode": "max", "patience": 1, "threshold": 0.1, "threshold_mode": "abs", "eps": 0.03},
]


def ours() -> Any:
    """Return an optimiser of two groups."""
    w = [tg.ones(2, requires_grad=True) for _ in range(2)]
    return tg.optim.SGD([{"params": w[:1]}, {"params": w[1:], "lr": 0.5}], lr=0.1)


def theirs() -> Any:
    torch = pytorch()
    w = [torch.ones(2, requires_grad=True) for _ in range(2)]
    for p in w:
        p.grad = torch.zeros(2)
    return torch.optim.SGD([{"params": w[:1]}, {"params": w[1:], "lr": 0.5}], lr=0.1)


def rates(optimizer: Any) -> Any:
    return [group["lr"] for group in optimizer.param_groups]


def compared(makers: list[Any], by_hand: bool = False) -> None:
    """Hold the schedules that makers return, of a module and an optimiser, against PyTorch's over 50 epochs."""
    torch, mine, other = pytorch(), ours(), theirs()
    schedules = [make(SCHEDULES, mine) for make in makers]
    expected = [make(torch.optim.lr_scheduler, other) for make in makers]
    for epoch in range(50):
        assert np.allclose(rates(mine), rates(other), rtol=1e-10, atol=1e-17), epoch
        other.step()
        if by_hand and epoch == 10:
            for optimizer in (mine, other):
                optimizer.param_groups[0]["lr"] *= 0.5
        for schedule in [*schedules, *expected]:
            schedule.step()


def maker(name: str, options: dict[str, Any]) -> Any:
    return lambda module, optimizer: getattr(module, name)(optimizer, **options)


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_schedule_is_pytorchs(name: str, options: dict[str, Any], by_hand: bool) -> None:
    compared([maker(name, options)], by_hand)


@pytest.mark.parametrize("second", [CASES[0], CASES[4], CASES[8]])
def test_a_warm_up_and_another_schedule_multiply(second: tuple[str, dict[str, Any]]) -> None:
    compared([maker("LinearLR", {"start_factor": 0.1, "total_iters": 10}), maker(*second)])


@pytest.mark.parametrize("first", [CASES[2], CASES[6], CASES[10]])
@pytest.mark.parametrize("second", [{"T_max": 1}, {"T_max": 5}, {"T_max": 9}])
def test_a_cosine_rises_again_from_what_another_schedule_left(first: Any, second: Any) -> None:
    compared([maker(*first), maker("CosineAnnealingLR", second)])


def test_a_rate_that_would_become_negative_says_why() -> None:
    optimizer = ours()
    schedule = SCHEDULES.CosineAnnealingLR(optimizer, 6, eta_min=0.09)
    for _ in range(7):
        schedule.step()
    optimizer.lr = 0.01
    with pytest.raises(ValueError, match="the learning rate must be a finite number, 0 or more") as raised:
        for _ in range(9):
            schedule.step()
    assert "a rate below eta_min falls further: lower eta_min" in raised.value.__notes__


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("options", PLATEAUS)
def test_a_plateau_is_pytorchs(options: dict[str, Any], sign: int) -> None:
    torch, mine, other = pytorch(), ours(), theirs()
    schedule = SCHEDULES.ReduceLROnPlateau(mine, **options)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(other, **options)
    metrics = sign * (1 + 0.3 * np.random.default_rng(3).normal(size=50)).cumsum() / np.arange(1, 51)
    metrics[[5, 20]] = np.nan, sign * np.inf
    for metric in metrics:
        schedule.step(tg.tensor(metric))
        expected.step(metric)
        assert np.allclose(rates(mine), rates(other), rtol=1e-12)
        assert (schedule.best, schedule.num_bad_epochs) == (expected.best, expected.num_bad_epochs)
        assert schedule.cooldown_counter == expected.cooldown_counter


@pytest.mark.parametrize(("name", "options"), [*CASES, *(("ReduceLROnPlateau", o) for o in PLATEAUS)])
def test_a_schedule_resumes(name: str, options: dict[str, Any]) -> None:
    def stepped(schedule: Any, epochs: range) -> None:
        for epoch in epochs:
            schedule.step(*([1.0 + epoch % 3] if name == "ReduceLROnPlateau" else []))

    whole, first, second = (getattr(SCHEDULES, name)(ours(), **options) for _ in range(3))
    stepped(whole, range(12))
    stepped(first, range(5))
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    stepped(second, range(5, 12))
    assert second.get_last_lr() == whole.get_last_lr()
    assert second.state_dict() == whole.state_dict()


@pytest.mark.parametrize("metric", ["low", None, np.ones(2), tg.ones(2)])
def test_a_plateau_takes_one_number(metric: Any) -> None:
    schedule = SCHEDULES.ReduceLROnPlateau(ours())
    before = schedule.state_dict()
    with pytest.raises((TypeError, ValueError)) as raised:
        schedule.step(metric)
    assert any("a metric is one number, or a Tensor that holds one" in note for note in raised.value.__notes__)
    assert schedule.state_dict() == before


def test_a_group_that_is_added_starts_at_its_own_rate() -> None:
    optimizer = ours()
    schedule = SCHEDULES.CosineAnnealingWarmRestarts(optimizer, 4)
    schedule.step()
    optimizer.add_param_group({"params": [tg.ones(2, requires_grad=True)], "lr": 0.25})
    for _ in range(3):
        schedule.step()
    assert np.allclose(rates(optimizer), [0.1, 0.5, 0.25], rtol=1e-15)


def test_a_state_of_another_schedule_changes_nothing() -> None:
    schedule = SCHEDULES.StepLR(ours(), 3)
    before = schedule.state_dict()
    wrong = [None, {}, SCHEDULES.ExponentialLR(ours(), 0.5).state_dict(), before | {"gamma": "0.1"}]
    for saved in [*wrong, before | {"base_lrs": [0.1]}]:
        with pytest.raises(StateError, match=r"the state of StepLR must be like .*'step_size': 3.*, got"):
            schedule.load_state_dict(saved)
    assert schedule.state_dict() == before


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("StepLR", {"step_size": 0}, "step_size must be a whole number, 1 or more, got 0"),
        ("StepLR", {"step_size": 2.5}, "step_size must be a whole number"),
        ("StepLR", {"step_size": np.inf}, "step_size must be a whole number"),
        ("StepLR", {"step_size": 2, "gamma": -1}, "gamma must be a finite number, 0 or more, got -1"),
        ("MultiStepLR", {"milestones": [1, "2"]}, "each milestone must be a whole number, 0 or more, got '2'"),
        ("MultiStepLR", {"milestones": 2.5}, "each milestone must be a whole number, 0 or more, got 2.5"),
        ("ExponentialLR", {"gamma": np.nan}, "gamma must be a finite number"),
        ("LinearLR", {"start_factor": 0}, "start_factor must be above 0, got 0"),
        ("LinearLR", {"end_factor": 2}, "end_factor must be from 0 to 1, got 2"),
        ("CosineAnnealingLR", {"T_max": -3}, "T_max must be a whole number"),
        ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 1.5}, "T_mult must be a whole number"),
        ("ReduceLROnPlateau", {"mode": "least"}, "mode must be 'min' or 'max'"),
        ("ReduceLROnPlateau", {"threshold_mode": "relative"}, "threshold_mode must be 'rel' or 'abs', got 'relative'"),
        ("ReduceLROnPlateau", {"factor": 1}, "factor must be at least 0 and below 1, got 1"),
    ],
)
def test_bad_settings_are_refused_when_made_assigned_and_loaded(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        getattr(SCHEDULES, name)(ours(), **options)
    is_refused_later(getattr(SCHEDULES, name)(ours(), **GOOD.get(name, {})), *[*options.items()][-1], words)


GOOD: dict[str, dict[str, Any]] = dict(reversed(CASES))


def is_refused_later(schedule: Any, setting: str, bad: Any, words: str) -> None:
    """Check that a setting is refused when it is assigned and when it is loaded, and that nothing changes then."""
    before = schedule.state_dict()
    if setting in vars(schedule):
        with pytest.raises((TypeError, ValueError), match=words):
            setattr(schedule, setting, bad)
    with pytest.raises(StateError, match=r"the state of .* must be like"):
        schedule.load_state_dict({**before, "last_epoch": 7, setting: bad})
    assert schedule.state_dict() == before


@pytest.mark.parametrize(
    ("setting", "bad"),
    [
        *[("best", bad) for bad in (np.nan, "1", None)],
        *[(name, bad) for name in ("num_bad_epochs", "cooldown_counter") for bad in (-1, 0.5, "0", None)],
        *[(name, bad) for name in ("patience", "cooldown") for bad in (-1, 1.5, True)],
        *[(name, bad) for name in ("min_lr", "eps", "threshold") for bad in (-0.1, np.nan, np.inf, "0")],
    ],
)
def test_what_a_plateau_counts_is_checked_when_it_is_set(setting: str, bad: Any) -> None:
    is_refused_later(SCHEDULES.ReduceLROnPlateau(ours()), setting, bad, setting)


@pytest.mark.parametrize("bad", [-1, 2.5, np.inf, "3", None, True])
def test_the_last_epoch_is_checked_when_it_is_set(bad: Any) -> None:
    schedule = SCHEDULES.StepLR(ours(), 2)
    is_refused_later(schedule, "last_epoch", bad, "last_epoch must be a whole number, 0 or more")
    schedule.last_epoch = np.int64(3)
    assert type(schedule.last_epoch) is int


@pytest.mark.parametrize("bad", [[0.1, np.nan], [0.1, -0.5], [np.inf, 0.5], [0.1], [0.1, 0.5, 0.5], [0.1, "0.5"], 0.1])
def test_initial_rates_are_checked_when_they_are_set(bad: Any) -> None:
    schedule = SCHEDULES.StepLR(ours(), 2)
    is_refused_later(schedule, "base_lrs", bad, "")
    group = schedule.optimizer.param_groups[0]
    with pytest.raises((TypeError, ValueError), match="initial_lr must be a finite number, 0 or more"):
        group.initial_lr = np.nan
    assert group.initial_lr == 0.1


def test_an_optimiser_is_checked_when_it_is_set() -> None:
    schedule = SCHEDULES.StepLR(ours(), 2)
    with pytest.raises(TypeError, match="a schedule takes an optimiser, got None"):
        schedule.optimizer = None


def test_own_attributes_of_a_schedule_are_loaded_in_their_own_type() -> None:
    schedule = SCHEDULES.StepLR(ours(), 2)
    schedule.own = (1, 2)
    saved = schedule.state_dict()
    schedule.own = (0, 0)
    schedule.load_state_dict(json.loads(json.dumps(saved)))
    assert schedule.own == (1, 2)


def test_a_schedule_takes_an_optimiser() -> None:
    with pytest.raises(TypeError, match=r"a schedule takes an optimiser, got .*; make one by"):
        SCHEDULES.StepLR([tg.ones(2, requires_grad=True)], 3)


def test_a_schedule_between_compiled_steps() -> None:
    def made() -> Any:
        optimizer = ours()
        (w, _) = optimizer.parameters

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = ((w * x) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return w, step, SCHEDULES.CosineAnnealingLR(optimizer, 5)

    (w, step, schedule), (other, eager, twin) = made(), made()
    compiled = tg.compile(step)
    for _ in range(6):
        x = np.array([0.5, 0.25])
        assert compiled(x).item() == eager(x).item()
        assert np.array_equal(w.data, other.data)
        schedule.step()
        twin.step()

    def inside(x: Any) -> Any:
        schedule.step()
        return step(x)

    before = schedule.state_dict(), schedule.get_last_lr()
    with pytest.raises(CompileError, match="sets 'lr' of an optimiser"):
        tg.compile(inside)(np.ones(2))
    assert (schedule.state_dict(), schedule.get_last_lr()) == before
