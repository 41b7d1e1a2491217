"""Training compiled: the same to the last bit, and what can't be compiled runs as it is."""

import copy
import gc
import pickle
import weakref
from typing import Any

import numpy as np
import pytest
from small import problem

import tinygrad_nn as tg
from tinygrad_nn.compiler.trace.traced_call import traced
from tinygrad_nn.training.steps import Steps


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
    assert [each.filename for each in warned] == [__file__]
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
    steps = Steps(network, loss, None, 0.1, compile)
    steps.plan(rows, batch_size, epochs)
    return steps.by_program


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
    calls: list[int] = []
    by_program = Steps.update_or_else

    def noted(steps: Steps, batches: Any) -> Any:
        calls.append(len(batches[0][0]))
        return by_program(steps, batches)

    monkeypatch.setattr(Steps, "update_or_else", noted)
    for epochs in (99, 100):
        network, X, y = problem()
        tg.train(network, X, y, epochs, 0.1, progress=False)
        assert calls == [30] * 100 * (epochs == 100)


def _noting(steps: list[str], name: str, step: Any) -> Any:
    def noted(*args: Any) -> Any:
        steps.append(name)
        return step(*args)

    return noted


# ---- programs are kept from call to call ----


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by an entry with every trace."""
    found: list[str] = []
    monkeypatch.setattr("tinygrad_nn.compiler.compiled.traced", _noting(found, "trace", traced))
    return found


def train(network: tg.DenseNetwork, **options: Any) -> tg.History:
    _, X, y = problem()
    return tg.train(network, X, y, **{"epochs": 3, "progress": False, "compile": True} | options)


def test_a_second_training_goes_on_with_the_programs_of_the_first(traces: list[str]) -> None:
    network, twin = problem()[0], problem()[0]
    for rate in (0.1, 0.3, None):
        history = train(network, learning_rate=rate)
        assert len(traces) == 1
        assert history.cost == train(twin, learning_rate=rate, compile=False).cost
    network.load_state_dict({name: 2 * x for name, x in network.state_dict().items()})
    twin.load_state_dict(network.state_dict())
    assert train(network).cost == train(twin, compile=False).cost
    assert len(traces) == 1


def test_an_optimiser_keeps_its_programs_and_another_has_its_own(traces: list[str]) -> None:
    network, twin = problem()[0], problem()[0]
    adam, other = tg.optim.Adam(network.parameters(), 0.1), tg.optim.Adam(twin.parameters(), 0.1)
    train(network, optimizer=adam)
    train(twin, optimizer=other, compile=False)
    before = len(traces)
    for rate in (0.1, 0.2):
        adam.lr = other.lr = rate
        assert train(network, optimizer=adam).cost == train(twin, optimizer=other, compile=False).cost
    assert len(traces) == before
    train(network, optimizer=tg.optim.Adam(network.parameters(), 0.1))
    assert len(traces) > before


def test_a_training_within_another_of_the_same_network_has_programs_of_its_own() -> None:
    network, twin = problem()[0], problem()[0]

    def nested(which: tg.DenseNetwork, compile: bool) -> tg.History:
        return train(
            which, compile=compile, learning_rate=0.1,
            on_epoch=lambda epoch, history: train(which, compile=compile, learning_rate=0.2) and None,
        )  # fmt: skip

    for _ in range(2):
        assert nested(network, True).cost == nested(twin, False).cost


def test_other_parameters_and_another_loss_are_seen(traces: list[str]) -> None:
    network, twin = problem()[0], problem()[0]
    for loss in (None, tg.mse_loss):
        for _ in range(2):
            for which in (network, twin):
                which.values["W1"] = tg.tensor(which.values["W1"].data * 2, requires_grad=True, name="W1")
            assert train(network, loss=loss).cost == train(twin, loss=loss, compile=False).cost
            assert np.array_equal(network.values["W1"].data, twin.values["W1"].data)
    assert len(traces) == 4


def test_copies_and_pickles_of_a_network_carry_no_programs_and_a_network_is_freed(traces: list[str]) -> None:
    network = problem()[0]
    attributes, size = set(vars(network)), len(pickle.dumps(network))
    train(network)
    network.zero_grad()
    assert set(vars(network)) == attributes
    assert len(pickle.dumps(network)) == size
    for twin in (copy.copy(network), copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        before = len(traces)
        train(twin)
        assert len(traces) == before + 1
    held = weakref.ref(network)
    del network
    gc.collect()
    assert held() is None


@pytest.mark.parametrize("compile", [False, True])
def test_what_callbacks_change_is_seen(compile: bool) -> None:
    def run(compile: bool) -> tuple[list[float], list[np.ndarray]]:
        network, X, y = problem()
        X = X.copy()
        optimizer = tg.optim.SGD(network.parameters(), 0.1, momentum=0.5)

        def change(epoch: int, history: tg.History) -> None:
            if epoch == 1:
                optimizer.lr = 0.3
            if epoch == 2:
                network.values["W1"] = tg.tensor(network.values["W1"].data * 2, requires_grad=True)
            if epoch == 3:
                optimizer.load_state_dict(tg.optim.SGD(optimizer.parameters, 0.2, momentum=0.1).state_dict())
            if epoch == 4:
                X[:] *= 2
            if epoch == 5:
                network.values["b1"].requires_grad = False

        history = tg.train(network, X, y, 8, progress=False, optimizer=optimizer, compile=compile, on_epoch=change)
        return history.cost, [p.data for p in network.values.values()]

    (costs, arrays), (expected, by_eager) = run(compile), run(False)
    assert costs == expected
    assert all(map(np.array_equal, arrays, by_eager))
