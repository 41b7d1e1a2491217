"""What training refuses and what it undoes, so that nothing is lost or changed unseen."""

import math
from typing import Any

import numpy as np
import pytest
from small import LAYERS, problem

import tinygrad_nn as tg
from tinygrad_nn.errors import DataError, DivergedError


def test_the_last_update_is_undone_if_it_is_not_finite() -> None:
    network = tg.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": "identity"}])
    before = network.state_dict()
    X = np.full((4, 2), 1e3)
    with pytest.raises(DivergedError, match="epoch 0 left parameters that are not finite"):
        tg.train(network, X, np.ones(4), 1, 1e308, progress=False)
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_frozen_parameters_are_refused_where_none_is_left_to_train() -> None:
    network, X, y = problem()
    network.requires_grad_(False)
    with pytest.raises(ValueError, match=r"updates are frozen; write module\.requires_grad_\(\)"):
        tg.train(network, X, y, 1, progress=False)
    network.parameters()[0].requires_grad = True
    assert len(tg.train(network, X, y, 1, progress=False)) == 1


@pytest.mark.parametrize(
    ("returned", "words"),
    [(None, "None"), (10**400, "1000"), ([0.5], r"\[0.5\] of"), (np.ones(2), "ndarray of shape"), ("a", "'a'")],
)
def test_a_metric_that_returns_no_number_is_named(returned: Any, words: str) -> None:
    network, X, y = problem()
    with pytest.raises(TypeError, match=f"the metric mine returned {words}.* no number; return one"):
        tg.train(network, X, y, 1, metrics={"mine": lambda p, labels: returned}, progress=False)


@pytest.mark.parametrize("how", ["on_epoch", "Ctrl-C", "Ctrl-C in a step"])
def test_however_a_training_ends_early_stopping_keeps_the_best_epoch(how: str) -> None:
    network, X, y = problem()
    best: list[Any] = []

    def metric(outputs: Any, labels: Any) -> float:
        if how == "Ctrl-C in a step" and len(best) == 3 and len(labels) == 30:
            raise KeyboardInterrupt
        return 0.0

    def on_epoch(epoch: int, history: Any) -> Any:
        best.append(network.state_dict())
        if epoch == 3 and how == "Ctrl-C":
            raise KeyboardInterrupt
        return epoch < 3

    validation = (X[:9], 1 - y[:9])  # gets worse from epoch to epoch
    history = tg.train(
        network, X, y, 9, 0.5, validation=validation, early_stopping=7, metrics={"mine": metric}, on_epoch=on_epoch,
        progress=False,
    )  # fmt: skip
    assert history.validation_cost.index(min(history.validation_cost)) == 0
    assert len(history) == (3 if how == "Ctrl-C in a step" else 4)
    assert all(np.array_equal(value, best[0][name]) for name, value in network.state_dict().items())


def test_an_optimiser_of_another_network_is_refused() -> None:
    network, X, y = problem()
    with pytest.raises(ValueError, match="updates none of the module's parameters"):
        tg.train(network, X, y, 1, optimizer=tg.optim.Adam(problem()[0].parameters()), progress=False)


def test_interrupts_leave_figures_of_equal_length() -> None:
    network, X, y = problem()
    calls = []

    def loss(p: Any, labels: Any) -> Any:
        calls.append(len(labels))
        if len(calls) == 6:
            raise KeyboardInterrupt
        return ((p - labels.reshape(-1, 1)) ** 2).mean()

    history = tg.train(network, X, y, 9, 0.1, validation=(X[:5], y[:5]), loss=loss, progress=False)
    assert len(history.cost) == len(history.validation_cost) == len(history.accuracy) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"X": np.ones((30, 2)) * 1j}, "X is complex"),
        ({"validation": np.ones((3, 2))}, r"validation takes a pair \(X, y\)"),
        ({"validation": (np.ones((3, 2)), [0, 1, 7])}, "row 2 of validation y holds 7"),
    ],
)
def test_data_that_can_t_be_learnt_from_is_named(change: dict[str, Any], words: str) -> None:
    network, X, y = problem()
    with pytest.raises(DataError, match=words):
        tg.train(network, **{"X": X, "y": y, "epochs": 1, "progress": False} | change)


class Own(tg.nn.Module):
    """A module that is no dense network."""

    def __init__(self) -> None:
        self.w = tg.tensor([1.0], requires_grad=True)


PAIRS = tg.data.TensorDataset(np.ones((30, 2)), np.zeros(30))


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"epochs": 2.0}, TypeError, r"epochs must be a whole number, 0 or more, got 2\.0 of type float"),
        ({"epochs": True}, TypeError, "epochs must be a whole number, 0 or more, got True of type bool"),
        ({"epochs": None}, TypeError, "epochs must be a whole number, 0 or .*None"),
        ({"batch_size": 7.5}, TypeError, r"batch_size must be a whole number, 1 or more, got 7\.5 of type float"),
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number, 1 or more, got 0 of type int"),
        ({"learning_rate": "0.1"}, TypeError, r"the learning rate must be a finite number, .*got '0\.1' of type str"),
        ({"learning_rate": -0.1}, ValueError, r"the learning rate must be a finite number, 0 or more, got -0\.1"),
        ({"optimizer": "adam"}, TypeError, r"got 'adam' of type str; write tg\.optim\.Adam\(module\.param"),
        ({"optimizer": tg.optim.Adam}, TypeError, "an optimizer is needed, got the class Adam; write"),
        ({"loss": "mse"}, TypeError, r"a loss is a function \(outputs, y\) -> cost, got 'mse' of type str; pass loss="),
        (
            {"loss": lambda p, y: 1.5},
            TypeError,
            r"a loss returns a Tensor of one entry, got 1\.5 of type float; reduce it",
        ),
        ({"loss": lambda p, y: p}, TypeError, r"got Tensor of shape \(30, 1\); reduce it, as in loss\.mean\(\)"),
        ({"early_stopping": 3}, ValueError, r"goes by the cost of validation data; pass validation=\(X, y\)"),
        ({"early_stopping": 0, "validation": ([[1, 2]], [1])}, ValueError, "must be a whole number, 1 or more, got 0"),
        ({"scheduler": 0.5}, TypeError, r"a schedule .* got 0\.5 .*pass both"),
        ({"metrics": tg.accuracy}, TypeError, r"metrics must be functions by name, as \{"),
        *[
            (
                {"metrics": {name: tg.accuracy}},
                ValueError,
                f"a metric can't be named '?{name}'?, which .*; give it another",
            )
            for name in ("cost", "seconds", "epoch", "validation_cost", "validation_mine", "plot", "figures", 3)
        ],
        ({"loss": tg.nn.MSELoss}, TypeError, r"got the class MSELoss; pass loss=, .* tg\.nn\.MSELoss\(\)"),
        ({"X": PAIRS}, DataError, "X is a TensorDataset; pass arrays, or to tg.train a DataLoader"),
        ({"X": tg.data.Subset(PAIRS, [0])}, DataError, "X is a Subset; pass arrays, or to tg.train a DataLoader"),
        ({"validation": (tg.data.DataLoader(PAIRS), [1])}, DataError, "validation X is a DataLoader; pass arrays"),
        ({"accumulate": 0}, ValueError, "accumulate must be a whole number, 1 or more, got 0"),
        ({"clip_norm": -1.0}, ValueError, "clip_norm must be a finite number, 0 or more, got -1.0"),
        ({"sample_weight": [1.0]}, DataError, r"it needs one number per sample, \(30,\)"),
        ({"sample_weight": [-1.0] * 30}, DataError, "row 0 of sample_weight holds -1.0"),
        ({"sample_weight": [0] * 30}, DataError, "all samples add up to 0.0; pass some above 0"),
        ({"sample_weight": [1e308] * 30}, DataError, "all samples add up to inf; pass some above 0, and none so large"),
        ({"X": {}}, DataError, "X can't be read as numbers"),
        ({"X": {"a": {}}}, DataError, r"X\['a'\] can't be read as numbers"),
        ({"validation": (np.ones((0, 2)), [])}, DataError, "there are no samples: validation X has 0 rows"),
        ({"validation": tg.data.DataLoader(PAIRS, collate_fn=lambda s: None)}, DataError, "validation takes a pair"),
        (
            {"validation": tg.data.DataLoader(PAIRS, collate_fn=lambda s: (1,) * 3)},
            DataError,
            "validation takes a pair",
        ),
        ({"validation": tg.data.DataLoader([])}, DataError, "no samples to make a batch of; pass one or more"),
        ({"class_weight": {0: 1}}, DataError, r"a weight of 0 or more for \[0\.0, 1\.0\], got \{0: 1\}"),
        *[({"class_weight": {0: 1, 1: x}}, DataError, "a weight of 0 or more for") for x in (-1, "2", math.nan)],
        ({"class_weight": np.ones(2)}, DataError, r'must be "balanced", or .* for \[0\.0, 1\.0\], got \[1\. 1\.\]'),
        (
            {"module": Own(), "loss": tg.mse_loss, "y": np.linspace(0, 1, 30), "class_weight": "balanced"},
            DataError,
            "class_weight needs a class per sample as y",
        ),
        ({"on_epoch": 3}, TypeError, r"on_epoch must be a function \(epoch, history\), got 3 of type int"),
        ({"class_weight": "balanced", "y": np.ones((30, 2))}, DataError, "the network has 1 outputs"),
        (
            {"loss": lambda p, y: p.mean(), "sample_weight": [1] * 30},
            ValueError,
            'weights need a loss that takes reduction="n',
        ),
        ({"workers": 2, "accumulate": 2}, ValueError, "without weights, accumulate="),
        ({"module": LAYERS}, TypeError, r"a tg\.nn\.Module is needed, got \[.* of type list; make one by tg"),
        ({"module": tg.DenseNetwork}, TypeError, "is needed, got the class DenseNetwork; make one by"),
        ({"module": Own()}, ValueError, r"no loss follows from Own; pass loss=, a function \(outputs, y\)"),
    ],
)
def test_misuse_of_train_says_what_was_found_and_what_to_write(change: Any, kind: type, words: str) -> None:
    network, X, y = problem()
    before = network.state_dict()
    with pytest.raises(kind, match=words):
        tg.train(**{"module": network, "X": X, "y": y, "epochs": 1, "progress": False} | change)
    assert all(np.array_equal(value, before[name]) for name, value in network.state_dict().items())
    if change.keys() in ({"module"}, {"loss"}):
        with pytest.raises(kind, match=words):
            tg.evaluate(**{"module": network, "X": X, "y": y} | change)


def loader(*arrays: Any, **settings: Any) -> tg.data.DataLoader:
    return tg.data.DataLoader(tg.data.TensorDataset(*arrays), **settings)


@pytest.mark.parametrize(
    ("data", "y", "options", "kind", "words"),
    [
        (loader(np.ones((4, 2)), np.ones((4, 1))), 1, {}, ValueError, "a DataLoader goes without y=; leave it out"),
        (loader(np.ones((4, 2)), np.ones((4, 1))), None, {"batch_size": 2}, ValueError, "goes without batch_size="),
        (loader(np.ones((4, 2)), np.ones((4, 1))), None, {"sample_weight": 1}, ValueError, "without sample_w"),
        (loader(np.ones((4, 2))), None, {}, DataError, "a batch is .*, and X and y are needed; return pairs from the"),
        (loader(np.ones((4, 2)), np.ones((4, 1)), batch_size=5, drop_last=True), None, {}, DataError, "no batch of 4"),
        (loader(np.ones((4, 2)), np.full((4, 1), np.nan)), None, {}, DataError, "row 0 of a batch's y holds nan, not"),
        (np.ones((4, 2)), np.ones(4), {"epochs": None}, TypeError, "epochs must be a whole number, 0 or .*None"),
        (np.ones((4, 2)), None, {}, DataError, "y can't be read as numbers, which it must hold: None"),
        (tg.data.TensorDataset(np.ones(4)), np.ones(4), {}, DataError, "X is a TensorDataset; pass arrays"),
    ],
)
def test_data_that_is_passed_otherwise_is_refused(data: Any, y: Any, options: Any, kind: Any, words: str) -> None:
    module = tg.nn.Linear(2, 1, seed=0)
    before = module.weight.data.copy()
    with pytest.raises(kind, match=words):
        tg.train(module, data, y, **({"epochs": 1} | options), loss=tg.mse_loss, progress=False)
    np.testing.assert_array_equal(module.weight.data, before)
