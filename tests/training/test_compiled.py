"""Training compiled: the same to the last bit, and what can't be compiled runs as it is."""

from typing import Any

import numpy as np
import pytest
from small import problem

import tinygrad_nn as tg
from tinygrad_nn.training.loop import _Run


def test_a_step_that_can_not_be_compiled_is_run_as_it_is_with_one_warning() -> None:
    network, X, y = problem()
    twin, *_ = problem()
    read = []

    def loss(p: Any, labels: Any) -> Any:
        cost = ((p - labels) ** 2).mean()
        read.append(cost.item())
        return cost

    with pytest.warns(RuntimeWarning, match=r"not compiled: item\(\) at .*test_compiled\.py.*compile=False") as warned:
        history = tg.train(network, X, y, 5, 0.1, loss=loss, progress=False, compile=True)
    assert len(warned) == 1
    assert history.cost == tg.train(twin, X, y, 5, 0.1, loss=loss, progress=False).cost
    assert len(read) > 5


def test_a_compiled_training_is_the_same_to_the_last_bit() -> None:
    network, X, y = problem()
    twin, *_ = problem()
    compiled = tg.train(network, X, y, 12, 0.3, batch_size=7, progress=False, compile=True)
    assert compiled.cost == tg.train(twin, X, y, 12, 0.3, batch_size=7, progress=False, compile=False).cost
    for a, b in zip(network.parameters(), twin.parameters(), strict=True):
        assert np.array_equal(a.data, b.data)


def sizes_computed_by_a_program(rows: int, batch_size: int, epochs: int, compile: Any, loss: Any = None) -> set[int]:
    network, *_ = problem()
    run = _Run(network, loss, None, 0.1, compile)
    run.plan(rows, batch_size, epochs)
    return run.by_program


PLANS: list[tuple[int, int, int, set[int]]] = [
    (30, 30, 99, set()), (30, 30, 100, {30}), (30, 7, 24, set()), (30, 7, 25, {7}), (30, 7, 100, {7, 2}),
    (30, 7, 0, set()),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "batch_size", "epochs", "expected"), PLANS)
def test_sizes_with_a_hundred_steps_to_come_are_compiled(
    rows: int, batch_size: int, epochs: int, expected: set[int]
) -> None:
    assert sizes_computed_by_a_program(rows, batch_size, epochs, None) == expected


@pytest.mark.parametrize(("compile", "expected"), [(True, {7, 2}), (1, {7, 2}), (False, set()), (0, set())])
def test_who_asks_decides_whatever_is_to_come(compile: Any, expected: set[int]) -> None:
    for epochs in (1, 1000):
        assert sizes_computed_by_a_program(30, 7, epochs, compile) == expected


def test_a_loss_of_ones_own_is_compiled_when_asked_only() -> None:
    def loss(p: Any, labels: Any) -> Any:
        return (p - labels).mean()

    assert sizes_computed_by_a_program(30, 30, 1000, None, loss) == set()
    assert sizes_computed_by_a_program(30, 30, 1000, True, loss) == {30}


def test_long_trainings_run_by_a_program_and_short_ones_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    for name in ("update", "update_or_else"):
        monkeypatch.setattr(_Run, name, _noting(steps, name, getattr(_Run, name)))
    for epochs, step in ((99, "update"), (100, "update_or_else")):
        network, X, y = problem()
        tg.train(network, X, y, epochs, 0.1, progress=False)
        assert steps[0] == step
        steps.clear()


def _noting(steps: list[str], name: str, step: Any) -> Any:
    def noted(*args: Any) -> Any:
        steps.append(name)
        return step(*args)

    return noted
