"""DenseNetwork: architectures that contradict themselves, activations, predictions, the summary and the state."""

import re
from typing import Any

import numpy as np
import pytest
from article import by_hand, layers
from small import data, small

import tinygrad_nn as tg
from tinygrad_nn.errors import ArchitectureError, StateError

# Architectures that contradict themselves.

GOOD = {"input_dim": 2, "output_dim": 3, "activation": "relu"}
AN_ARCHITECTURE = "an architecture must be a list with a dictionary per layer"


@pytest.mark.parametrize(
    ("architecture", "match"),
    [
        ([], AN_ARCHITECTURE),
        (None, AN_ARCHITECTURE),
        ("relu", AN_ARCHITECTURE),
        (GOOD, AN_ARCHITECTURE),
        ([GOOD, 4], r"layer 2 is 4; write a dictionary with the keys input_dim, output_dim, activation"),
        ([{**GOOD, "units": 3}], r"layer 1 is .*'units': 3}; write a dictionary with the keys"),
        (
            [{k: v for k, v in GOOD.items() if k != "activation"}],
            r"layer 1 is .*; write .* input_dim, output_dim, activation",
        ),
        (
            [GOOD, {"input_dim": 3, "ouput_dim": 1, "activation": "sigmoid"}],
            r"layer 2 is .*'ouput_dim': .*; write a dictionary with the keys",
        ),
        ([GOOD, {**GOOD, "input_dim": 4}], r"layer 2 reads input_dim=4, but layer 1 gives output_dim=3; write"),
        ([GOOD, {**GOOD, "input_dim": 3}, GOOD], r"layer 3 reads input_dim=2, but layer 2 gives output_dim=3"),
        ([{**GOOD, "output_dim": 0}], r"output_dim of layer 1 must be a whole number, 1 or more, got 0"),
        ([{**GOOD, "input_dim": -2}], r"input_dim of layer 1 must be a whole number, 1 or more, got -2"),
        ([{**GOOD, "input_dim": 2.0}], r"input_dim of layer 1 must be a whole number, 1 or more, got 2\.0"),
        ([{**GOOD, "input_dim": "2"}], r"input_dim of layer 1 must be a whole number, 1 or more, got '2'"),
        ([{**GOOD, "output_dim": True}], r"output_dim of layer 1 must be a whole number, 1 or more, got True"),
        ([{**GOOD, "activation": "Relu"}], r"activation of layer 1 must be 'relu', 'sigmoid', 'tanh', .*, got 'Relu'"),
        ([{**GOOD, "activation": None}], r"activation of layer 1 must be .*, got None"),
        ([{**GOOD, "activation": ["relu"]}], r"activation of layer 1 must be .*, got \['relu'\]"),
    ],
)
def test_a_bad_architecture_names_layer_and_remedy(architecture: Any, match: str) -> None:
    with pytest.raises(ArchitectureError, match=match):
        tg.nn.DenseNetwork(architecture)


def test_an_architecture_may_hold_numpy_integers_in_any_sequence() -> None:
    network = tg.nn.DenseNetwork(({**GOOD, "input_dim": np.int64(2)},))
    assert network([[1.0, 2.0]]).shape == (1, 3)


@pytest.mark.parametrize("X", [np.ones(2), np.ones((4, 3)), np.ones((1, 4, 2))])
def test_input_of_another_width_is_refused(X: np.ndarray) -> None:
    network = tg.nn.DenseNetwork([GOOD])
    with pytest.raises(ValueError, match=r"rows of 2 numbers, X of shape \(m, 2\); got " + re.escape(str(X.shape))):
        network(X)
    with pytest.raises(ValueError, match=r"X of shape \(m, 2\)"):
        network.predict(X)


@pytest.mark.parametrize(
    "activation", ["relu", "sigmoid", "tanh", "softmax", "identity", "leaky_relu", "elu", "gelu", "silu", "softplus"]
)
def test_each_activation_is_the_function_of_its_name(activation: str) -> None:
    network = tg.nn.DenseNetwork(layers([2, 4, 3], [activation, activation]), seed=3)
    X = np.random.default_rng(0).normal(size=(5, 2)) * 10
    memory = network.memory(X)
    for number in (1, 2):
        Z = memory[f"Z{number}"].data
        expected = Z if activation == "identity" else getattr(tg, activation)(Z).data
        assert np.array_equal(memory[f"A{number}"].data, expected)
    assert np.array_equal(network(X).data, memory["A2"].data)


# What a network tells about itself.


def test_predictions_are_arrays_of_classes() -> None:
    X, _ = data()
    network = small()
    p = network.predict_proba(X)
    assert type(p) is np.ndarray
    assert np.array_equal(p, network(X).data)
    assert np.array_equal(network.predict(X), (p[:, 0] > 0.5).astype(int))
    assert network.predict(X).dtype.kind == "i"
    several = small(outputs=3)
    assert np.array_equal(several.predict(X), (several(X).data > 0.5).astype(int))
    classes = small("softmax", 3)
    assert np.array_equal(classes.predict(X), classes(X).data.argmax(axis=1))
    assert np.abs(classes.predict_proba(X).sum(axis=1) - 1).max() < 1e-15
    assert network.predict(np.zeros((0, 2))).shape == (0,)
    assert network.predict(X.tolist()).shape == (30,)


@pytest.mark.parametrize("batch_size", [1, 7, 30, 100])
def test_predictions_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    X, _ = data()
    network = small()
    assert np.abs(network.predict_proba(X, batch_size) - network.predict_proba(X)).max() <= 1e-15
    assert np.array_equal(network.predict(X, batch_size=batch_size), network.predict(X))


def test_predictions_of_batches_of_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="batch_size must be a whole number, 1 or more, got 0"):
        small().predict_proba(np.ones((3, 2)), batch_size=0)


def test_summary_is_a_table() -> None:
    assert small().summary().splitlines() == [
        "layer    output shape  activation  parameters",
        "dense 1  (m, 5)        tanh                15",
        "dense 2  (m, 1)        sigmoid              6",
        "total                                      21",
    ]
    assert tg.nn.DenseNetwork(by_hand.EXPERIMENT).summary().split()[-1] == "5,226"


def test_summary_of_an_input_shows_its_rows() -> None:
    assert small().summary(np.ones((7, 2))).splitlines()[2] == "dense 2  (7, 1)        sigmoid              6"


@pytest.mark.parametrize(("init", "std"), [("article", 0.1), ("he", np.sqrt(2 / 400)), ("xavier", np.sqrt(2 / 600))])
def test_initialisers_are_chosen_by_name(init: str, std: float) -> None:
    network = tg.nn.DenseNetwork(layers([400, 200], ["relu"]), seed=4, init=init)
    assert network.values["W1"].data.std() == pytest.approx(std, rel=0.02)
    assert network.values["b1"].data.any() == (init == "article")
    before = network.state_dict()
    network.reset_parameters(5)
    assert (network.values["W1"].data != before["W1"]).all()
    network.reset_parameters(4)
    assert all(np.array_equal(value, before[name]) for name, value in network.state_dict().items())


def test_an_unknown_initialiser_is_named() -> None:
    with pytest.raises(ArchitectureError, match="init='heh' names no initialiser; write one of article, he, xavier"):
        tg.nn.DenseNetwork([GOOD], init="heh")


def test_orthogonal_layers_keep_the_length_of_signals() -> None:
    network = tg.nn.DenseNetwork(layers([6] * 9, ["identity"] * 8), seed=1, init="orthogonal")
    x = np.random.default_rng(0).normal(size=(5, 6))
    lengths = [np.linalg.norm(y, axis=1) for y in (network(x).data, x)]
    assert np.abs(lengths[0] - lengths[1]).max() < 1e-12


def test_a_network_converts_its_dtype_in_place() -> None:
    network = small()
    handle = network.values["W1"]
    assert network.astype(np.float32) is network
    assert (network.dtype, handle.dtype, network.values["W1"] is handle) == (np.float32, np.float32, True)
    assert network(np.ones((3, 2))).dtype == np.float32


def test_state_round_trips_and_is_a_copy() -> None:
    first, second = small(), tg.nn.DenseNetwork(small().architecture, seed=5)
    state = first.state_dict()
    assert {name: value.shape for name, value in state.items()} == {"W1": (5, 2), "b1": (5,), "W2": (1, 5), "b2": (1,)}
    handles = second.parameters()
    second.load_state_dict(state)
    assert all(np.array_equal(a.data, b.data) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert all(a is b for a, b in zip(handles, second.parameters(), strict=True))
    state["W1"][:] = 0
    assert first.values["W1"].data.all()
    assert second.values["W1"].data.all()


def test_a_state_that_does_not_fit_changes_nothing_and_lists_what_is_wrong() -> None:
    network = small()
    before = network.state_dict()
    state = {name: value + 1 for name, value in before.items()}
    del state["b1"]
    state |= {"W3": np.ones(2), "W2": np.ones((5, 1)), "b2": np.ones(1, np.float32)}
    with pytest.raises(StateError) as caught:
        network.load_state_dict(state)
    for part in (
        "b1 is missing", "W3 is not a parameter here", "W2 has shape (5, 1), needs (1, 5)",
        "b2 has dtype float32, needs float64",
    ):  # fmt: skip
        assert part in str(caught.value)
    assert all(np.array_equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("compile", [False, True])
def test_a_frozen_layer_is_not_trained_and_stays_in_the_state(compile: bool) -> None:
    network, before = small(), small().state_dict()
    network.values["W1"].requires_grad = False
    tg.train(network, *data(), 3, 0.5, progress=False, compile=compile)
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert {name for name in before if np.array_equal(before[name], after[name])} == {"W1"}
