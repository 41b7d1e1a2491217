"""The autograd network against the article's algorithm written by hand, and all that trains it.

By hand, columns are samples and dA, dZ carry no 1/m; here, rows are samples and every gradient is
the cost's own. So what is compared is transposed, and dA and dZ are divided by m.
"""

import math
import pathlib
import re
import runpy
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from by_algebra import matmul
from by_folds import fold
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn.errors import ArchitectureError, DataError, DivergedError, StateError
from tinygrad_nn.testing import architectures

by_hand: Any = SimpleNamespace(**runpy.run_path(str(pathlib.Path(__file__).parents[1] / "examples" / "by_hand.py")))
WIDER = {np.float32: np.float64, np.float64: np.longdouble}
TOLERANCE: dict[Any, float] = {np.float32: 1e-5, np.float64: 1e-12, np.longdouble: 1e-17}
# Up to which |Z| of the last layer 1 - sigmoid(Z) has the digits that the tolerance asks for.
MODERATE = {np.float32: 3.0, np.float64: 8.0}


@dataclass
class Case:
    """A network in the article's form, and data, columns being samples."""

    architecture: list[dict[str, Any]]
    parameters: dict[str, np.ndarray]
    X: np.ndarray
    Y: np.ndarray

    def astype(self, dtype: Any) -> "Case":
        parameters = {name: value.astype(dtype) for name, value in self.parameters.items()}
        return Case(self.architecture, parameters, self.X.astype(dtype), self.Y.astype(dtype))

    def memory(self) -> dict[str, np.ndarray]:
        """Return by_hand's A0, Z1, A1, ...; where its exp overflows, its sigmoid is 0 as it should be."""
        with np.errstate(over="ignore"):
            memory: dict[str, np.ndarray] = by_hand.forward(self.X, self.parameters, self.architecture)[1]
        return memory

    def gradients(self) -> dict[str, np.ndarray]:
        """Return by_hand's derivatives of the cost itself, so dA and dZ divided by m."""
        with np.errstate(over="ignore"):
            found = by_hand.backward(self.Y, self.memory(), self.parameters, self.architecture)
        m = self.X.shape[1]
        return {name: g / m if name[1] in "AZ" else g for name, g in found.items()}

    def network(self) -> tg.nn.DenseNetwork:
        """Return our network with these parameters."""
        network = tg.nn.DenseNetwork(self.architecture, dtype=self.X.dtype)
        network.load_state_dict({n: v if n[0] == "W" else v[:, 0] for n, v in self.parameters.items()})
        return network


def gradient(tensor: tg.Tensor) -> np.ndarray:
    assert tensor.grad is not None
    array: np.ndarray = tensor.grad.data
    return array


def layers(widths: list[int], activations: list[str]) -> list[dict[str, Any]]:
    steps = zip(widths[:-1], widths[1:], activations, strict=True)
    return [{"input_dim": n, "output_dim": k, "activation": name} for n, k, name in steps]


def rescale_last_layer(case: Case, reach: float) -> None:
    """Let the largest |Z| of the last layer be at most `reach`."""
    last = len(case.architecture)
    largest = np.abs(case.memory()[f"Z{last}"]).max()
    if largest > reach:
        for name in (f"W{last}", f"b{last}"):
            case.parameters[name] = case.parameters[name] * (0.999 * reach / largest)


@st.composite
def cases(draw: st.DrawFn, reach: float, scale: float = 3.0) -> Case:
    """Return a random network with weights up to ±`scale`, and data with what breaks networks."""
    architecture = draw(architectures())
    depth, widths = len(architecture), [architecture[0]["input_dim"], *[layer["output_dim"] for layer in architecture]]
    m = draw(st.integers(1, 50))
    labels = draw(st.sampled_from(["mixed", "all 0", "all 1"]))
    zeros = draw(st.sets(st.sampled_from(["samples", "features", "weights", "biases", "dead units"])))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = generator.normal(size=(widths[0], m))
    if "samples" in zeros:
        X[:, ::3] = 0
    if "features" in zeros:
        X[0] = 0
    Y = generator.integers(0, 2, (widths[-1], m)).astype(float)
    if labels != "mixed":
        Y[:] = labels == "all 1"
    parameters: dict[str, np.ndarray] = {}
    for number in range(1, depth + 1):
        W = generator.uniform(-scale, scale, (widths[number], widths[number - 1]))
        b = generator.uniform(-scale, scale, (widths[number], 1))
        if "weights" in zeros:
            W[generator.random(W.shape) < 0.3] = 0
        if "biases" in zeros:
            b[:] = 0
        if "dead units" in zeros and number < depth:
            W[::4], b[::4] = 0, -scale
            W[1::4], b[1::4] = 0, 0
        parameters[f"W{number}"], parameters[f"b{number}"] = W, b
    case = Case(architecture, parameters, X, Y)
    rescale_last_layer(case, reach)
    return case


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference, relative to the largest entry expected (0 where both are 0)."""
    assert found.shape == expected.shape
    error = np.abs(found - expected).max()
    return float(error / np.abs(expected).max()) if error else 0.0


def worst_cancellation(case: Case) -> float:
    """Return by how much the sums of a forward and backward pass fall short of their terms, at worst."""
    found, ratios = case.memory() | case.gradients(), [1.0]
    for number in range(1, len(case.architecture) + 1):
        names = (f"A{number - 1}", f"dZ{number}")
        W, b, (A, dZ) = *(np.abs(case.parameters[f"{k}{number}"]) for k in "Wb"), (np.abs(found[n]) for n in names)
        terms = {"Z": W @ A + b, "dW": dZ @ A.T, "db": dZ.sum(axis=1), f"dA{number - 1}": W.T @ dZ}
        for name, total in terms.items():
            value = np.abs(found[name if name[-1].isdigit() else f"{name}{number}"]).max()
            if total.max() > 0:
                ratios.append(float(total.max() / value) if value else np.inf)
    return max(ratios)


def is_well_conditioned(case: Case, dtype: Any) -> bool:
    """Return whether by_hand's own rounding leaves it room to be a reference in this dtype.

    Sums that cancel, hidden units that saturate and values next to relu's kink lose digits in
    either program; by_hand in a wider dtype tells, without asking the network under test.
    """
    eps, tolerance = float(np.finfo(dtype).eps), TOLERANCE[dtype]
    narrow, wide = case.astype(dtype), case.astype(dtype).astype(WIDER[dtype])
    for name, Z in narrow.memory().items():
        size = np.abs(Z)
        if name[0] == "Z" and ((size > 0) & (size < 100 * eps * size.max())).any():
            return False
    if worst_cancellation(wide) > tolerance / eps / 8:
        return False
    exact = wide.gradients()
    return all(distance(g, exact[name]) <= tolerance / 4 for name, g in narrow.gradients().items())


def assert_gradients_agree(case: Case, dtype: Any) -> None:
    case = case.astype(dtype)
    expected, depth, m = case.gradients(), len(case.architecture), case.X.shape[1]
    for loss, ends in ((tg.binary_cross_entropy_with_logits, "Z"), (tg.binary_cross_entropy, "A")):
        network = case.network()
        memory = network.memory(tg.tensor(case.X.T, requires_grad=True))
        for tensor in memory.values():
            tensor.retain_grad()
        (loss(memory[f"{ends}{depth}"], case.Y.T, reduction="sum") / m).backward()
        ours = {name: p.grad for name, p in network.named_parameters()} | {n: t.grad for n, t in memory.items()}
        if ends == "Z":
            assert ours.pop(f"A{depth}") is None
        assert set(expected) - {f"d{name}" for name in ours} == ({f"dA{depth}"} if ends == "Z" else set())
        for name, g in ours.items():
            found = g.data.reshape(-1, 1) if name[0] == "b" else g.data if name[0] == "W" else g.data.T
            assert found.dtype == expected[f"d{name}"].dtype == dtype
            assert distance(found, expected[f"d{name}"]) <= TOLERANCE[dtype], f"d{name} through {ends}{depth}"


@given(cases(MODERATE[np.float64]))
def test_every_gradient_is_the_hand_derived_one(case: Case) -> None:
    assume(is_well_conditioned(case, np.float64))
    assert_gradients_agree(case, np.float64)


@given(cases(MODERATE[np.float32]))
def test_every_gradient_is_the_hand_derived_one_in_float32(case: Case) -> None:
    assume(is_well_conditioned(case, np.float32))
    assert_gradients_agree(case, np.float32)


@given(cases(MODERATE[np.float64]))
def test_memory_holds_the_hand_computed_values(case: Case) -> None:
    assume(is_well_conditioned(case, np.float64))
    expected, network = case.memory(), case.network()
    memory = network.memory(case.X.T)
    assert list(memory) == list(expected)
    for name, tensor in memory.items():
        assert distance(tensor.data.T, expected[name]) <= 1e-12, name
    last = len(case.architecture)
    assert np.array_equal(network(case.X.T).data, memory[f"A{last}"].data)
    assert np.array_equal(network.logits(case.X.T).data, memory[f"Z{last}"].data)


@given(cases(reach=2.0, scale=1.0), st.integers(1, 15), st.sampled_from([0.01, 0.1, 0.5]))
def test_a_whole_training_run_is_the_hand_written_one(case: Case, epochs: int, learning_rate: float) -> None:
    def run(case: Case) -> tuple[dict[str, np.ndarray], np.ndarray, list[float]]:
        with np.errstate(all="ignore"):
            trained, costs, accuracies = by_hand.train(
                case.X, case.Y, case.parameters, case.architecture, epochs, learning_rate
            )
        return trained, np.array(costs), accuracies

    trained, costs, accuracies = run(case)
    exact_trained, exact_costs, _ = run(case.astype(np.longdouble))
    assume(np.isfinite(costs).all())
    # A step across relu's kink that rounding decides would be another run, not a wrong one.
    assume(np.abs(costs / exact_costs - 1).max() <= 1e-12)
    assume(all(distance(value, exact_trained[name]) <= 1e-12 for name, value in trained.items()))
    network = case.network()
    history = tg.train(network, case.X.T, case.Y.T, epochs, learning_rate, progress=False)
    assert np.abs(np.array(history.cost) / costs - 1).max() <= 1e-11
    assert history.accuracy == accuracies
    for name, value in network.state_dict().items():
        assert distance(value, trained[name] if name[0] == "W" else trained[name][:, 0]) <= 1e-11, name


@given(cases(MODERATE[np.float64]), st.floats(40, 1e5), st.sampled_from([np.float32, np.float64]))
def test_saturated_outputs_keep_finite_gradients_of_the_closed_form(case: Case, reach: float, dtype: Any) -> None:
    last, m = len(case.architecture), case.X.shape[1]
    largest = np.abs(case.memory()[f"Z{last}"]).max()
    assume(largest > 1e-3)
    for name in (f"W{last}", f"b{last}"):
        case.parameters[name] = case.parameters[name] * (reach / largest)
    case = case.astype(dtype)
    network = case.network()
    memory = network.memory(case.X.T)
    memory[f"Z{last}"].retain_grad()
    cost = tg.binary_cross_entropy_with_logits(memory[f"Z{last}"], case.Y.T, reduction="sum") / m
    cost.backward()
    z, y, a = (v.astype(float) for v in (memory[f"Z{last}"].data, case.Y.T, memory[f"A{last - 1}"].data))
    slope = (np.exp(-np.logaddexp(0, -z)) - y) / m
    # sigmoid(z) - y is exact to the rounding of sigmoid(z), at most 1; sums of m products add theirs.
    eps = float(np.finfo(dtype).eps)
    dW, db = gradient(network.values[f"W{last}"]), gradient(network.values[f"b{last}"])
    assert np.abs(gradient(memory[f"Z{last}"]) - slope).max() <= 4 * eps / m
    assert np.abs(dW - matmul(slope.T, a)).max() <= (m + 4) * eps * np.abs(a).max()
    assert np.abs(db - fold(np.add, slope)).max() <= (m + 4) * eps
    assert all(np.isfinite(gradient(p)).all() for p in network.parameters())
    expected = math.fsum(np.logaddexp(0, np.where(y, -z, z)).flat) / m
    assert cost.item() == pytest.approx(expected, rel=100 * eps, abs=float(np.finfo(dtype).tiny))


@pytest.mark.parametrize(("dtype", "z"), [(np.float64, 37.0), (np.float32, 17.0)])
@pytest.mark.parametrize(("label", "hand_cost"), [(1.0, np.nan), (0.0, np.inf)])
def test_ours_goes_on_where_the_hand_written_sigmoid_is_1(dtype: Any, z: float, label: float, hand_cost: float) -> None:
    one = np.ones((1, 1))
    case = Case(layers([1, 1], ["sigmoid"]), {"W1": z * one, "b1": 0 * one}, one, label * one).astype(dtype)
    with np.errstate(all="ignore"):
        assert np.array_equal(by_hand.cost(by_hand.sigmoid(case.X * dtype(z)), case.Y), hand_cost, equal_nan=True)
        assert np.isnan(case.gradients()["dW1"]).all()
    network = case.network()
    history = tg.train(network, case.X.T, case.Y.T, epochs=1, learning_rate=1.0, progress=False)
    assert history.cost[0] == pytest.approx(np.exp(-z) if label else z, rel=1e-6)
    assert network.values["W1"].item() == (z if label else z - 1)


@pytest.mark.parametrize("seed", [0, 2, 99])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_initial_numbers_are_the_articles_bit_for_bit(seed: int, dtype: Any) -> None:
    before = np.random.get_state(legacy=True)[1].copy()  # type: ignore[index]
    network = tg.nn.DenseNetwork(by_hand.EXPERIMENT, seed=seed, dtype=dtype)
    expected = by_hand.initialise(by_hand.EXPERIMENT, seed, dtype)
    assert [name for name, _ in network.named_parameters()] == list(expected)
    for name, p in network.named_parameters():
        assert p.dtype == dtype
        assert p.requires_grad
        assert p.name == name
        assert p.shape == (expected[name].shape if name[0] == "W" else expected[name].shape[:1])
        assert p.data.tobytes() == expected[name].tobytes()
    assert np.array_equal(before, np.random.get_state(legacy=True)[1])  # type: ignore[index]


def test_the_default_seed_is_the_articles() -> None:
    network = tg.nn.DenseNetwork(by_hand.EXPERIMENT)
    assert network.values["W1"].data[0, 0] == np.random.RandomState(99).randn() * 0.1


class Experiment:
    """The article's experiment, run once."""

    TABLE = (
        (0, 0.6936484871866765, "0.504444"),
        (1, 0.6936453795732516, "0.504444"),
        (10, 0.6936171443380083, "0.504444"),
        (100, 0.6933371271884572, "0.504444"),
        (1_000, 0.6910875862240591, "0.504444"),
        (2_000, 0.6787465452541144, "0.842222"),
        (5_000, 0.23821057694235312, "0.890000"),
        (9_999, 0.07429314895274869, "0.968889"),
    )

    def __init__(self) -> None:
        self.X_train, self.X_test, self.y_train, self.y_test = tg.data.train_test_split(*tg.data.make_moons())
        self.network = tg.nn.DenseNetwork(by_hand.EXPERIMENT, seed=2)
        self.history = tg.train(self.network, self.X_train, self.y_train, 10_000, 0.01, progress=False)


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return Experiment()


def test_the_experiment_runs_as_published(experiment: Experiment) -> None:
    history = experiment.history
    assert len(history) == len(history.cost) == len(history.accuracy) == 10_000
    for epoch, published, right in Experiment.TABLE:
        assert abs(history.cost[epoch] / published - 1) <= 1e-12, epoch
        assert f"{history.accuracy[epoch]:.6f}" == right
    cost, accuracy = tg.evaluate(experiment.network, experiment.X_test, experiment.y_test)
    assert accuracy == 0.98
    assert (experiment.network.predict(experiment.X_test) == experiment.y_test).mean() == 0.98
    assert cost < 0.2
    assert history.seconds > 0


def test_the_experiment_by_hand_starts_alike(experiment: Experiment) -> None:
    X, Y = experiment.X_train.T, experiment.y_train.reshape(1, -1)
    initial = by_hand.initialise(by_hand.EXPERIMENT, seed=2)
    trained, costs, accuracies = by_hand.train(X, Y, initial, by_hand.EXPERIMENT, 101, 0.01)
    for epoch, cost, accuracy in Experiment.TABLE[:4]:
        assert abs(costs[epoch] / cost - 1) <= 1e-12
        assert f"{accuracies[epoch]:.6f}" == accuracy
    network = tg.nn.DenseNetwork(by_hand.EXPERIMENT, seed=2)
    history = tg.train(network, experiment.X_train, experiment.y_train, 101, 0.01, progress=False)
    assert np.abs(np.array(history.cost) / costs - 1).max() <= 1e-14
    assert history.accuracy == accuracies
    assert all(distance(p.data, trained[n].reshape(p.shape)) <= 1e-12 for n, p in network.named_parameters())


@pytest.mark.skipif(
    float(np.finfo(np.longdouble).eps) > 1e-18, reason="NumPy's long double is no longer than float64 here"
)
def test_training_in_long_doubles_keeps_their_digits() -> None:
    X, y = tg.data.make_moons(40)
    parameters = by_hand.initialise(by_hand.EXPERIMENT, seed=2)
    case = Case(by_hand.EXPERIMENT, parameters, X.T, y.reshape(1, -1)).astype(np.longdouble)
    assert_gradients_agree(case, np.longdouble)
    network = case.network()
    history = tg.train(network, case.X.T, y, 5, 0.01, progress=False)
    trained = by_hand.train(case.X, case.Y, case.parameters, by_hand.EXPERIMENT, 5, 0.01)[0]
    assert all(distance(p.data, trained[n].reshape(p.shape)) <= 1e-17 for n, p in network.named_parameters())
    assert type(history.cost[0]) is float


def test_labels_may_be_a_column(experiment: Experiment) -> None:
    network = tg.nn.DenseNetwork(by_hand.EXPERIMENT, seed=2)
    column = experiment.y_train.reshape(-1, 1)
    history = tg.train(network, experiment.X_train, column, 3, 0.01, progress=False)
    assert history.cost == experiment.history.cost[:3]
    assert tg.evaluate(network, experiment.X_test, experiment.y_test) == tg.evaluate(
        network, experiment.X_test, experiment.y_test.reshape(-1, 1)
    )


# What the article says about networks.


def test_without_activations_the_network_is_one_affine_map() -> None:
    network = tg.nn.DenseNetwork(layers([3, 7, 5, 2], ["identity"] * 3), seed=1)
    X = np.random.default_rng(0).normal(size=(20, 3))
    W, b = np.eye(3), np.zeros(3)
    for number in (1, 2, 3):
        step = network.values[f"W{number}"].data
        W, b = matmul(step, W), matmul(step, b) + network.values[f"b{number}"].data
    assert distance(network(X).data, matmul(X, W.T) + b) <= 1e-13
    bent = tg.nn.DenseNetwork(layers([3, 7, 5, 2], ["relu", "relu", "identity"]), seed=1)
    assert distance(bent(X).data, matmul(X, W.T) + b) > 0.1


def test_equal_weights_never_part() -> None:
    X, y = tg.data.make_moons(50, 0.2, 0)
    architecture = layers([2, 6, 4, 1], ["sigmoid", "sigmoid", "sigmoid"])
    network = tg.nn.DenseNetwork(architecture)
    network.load_state_dict({name: np.full_like(value, 0.5) for name, value in network.state_dict().items()})
    tg.train(network, X, y, epochs=200, learning_rate=0.5, progress=False)
    state = network.state_dict()
    assert np.abs(state["W1"] - 0.5).max() > 1e-3
    for name in ("W1", "b1", "W2", "b2"):
        assert np.abs(state[name] - state[name][0]).max() <= 1e-14 * np.abs(state[name]).max(), name
    random = tg.nn.DenseNetwork(architecture)
    tg.train(random, X, y, epochs=200, learning_rate=0.5, progress=False)
    assert np.ptp(random.state_dict()["W1"], axis=0).min() > 0.05


@pytest.mark.parametrize("size", [1.0, 30.0])
def test_large_weights_learn_slowly(size: float) -> None:
    case = Case(layers([1, 1, 1], ["sigmoid", "sigmoid"]), {}, np.ones((1, 1)), np.zeros((1, 1)))
    one = np.ones((1, 1))
    case.parameters = {"W1": size * one, "b1": 0 * one, "W2": one, "b2": 0 * one}
    network = case.network()
    tg.binary_cross_entropy_with_logits(network.logits(case.X.T), case.Y.T).backward()
    slope = abs(gradient(network.values["W1"]).item())
    assert slope > 0.1 if size == 1.0 else 0 < slope < 1e-12


# Architectures that contradict themselves.

GOOD = {"input_dim": 2, "output_dim": 3, "activation": "relu"}
AN_ARCHITECTURE = "an architecture is a list with a dictionary per layer"


@pytest.mark.parametrize(
    ("architecture", "match"),
    [
        ([], AN_ARCHITECTURE),
        (None, AN_ARCHITECTURE),
        ("relu", AN_ARCHITECTURE),
        (GOOD, AN_ARCHITECTURE),
        ([GOOD, 4], r"layer 2 is 4; write a dictionary with the keys input_dim, output_dim, activation"),
        ([{**GOOD, "units": 3}], r"layer 1 has the unknown key 'units'; its keys are input_dim, output_dim"),
        ([{k: v for k, v in GOOD.items() if k != "activation"}], r"layer 1 lacks 'activation'; its keys are"),
        (
            [GOOD, {"input_dim": 3, "ouput_dim": 1, "activation": "sigmoid"}],
            r"layer 2 lacks 'output_dim' and has the unknown key 'ouput_dim'; its keys are",
        ),
        ([GOOD, {**GOOD, "input_dim": 4}], r"layer 2 reads input_dim=4, but layer 1 gives output_dim=3; write"),
        ([GOOD, {**GOOD, "input_dim": 3}, GOOD], r"layer 3 reads input_dim=2, but layer 2 gives output_dim=3"),
        ([{**GOOD, "output_dim": 0}], r"layer 1 has output_dim=0; write a whole number of at least 1"),
        ([{**GOOD, "input_dim": -2}], r"layer 1 has input_dim=-2; write a whole number"),
        ([{**GOOD, "input_dim": 2.0}], r"layer 1 has input_dim=2\.0; write a whole number"),
        ([{**GOOD, "input_dim": "2"}], r"layer 1 has input_dim='2'; write a whole number"),
        ([{**GOOD, "output_dim": True}], r"layer 1 has output_dim=True; write a whole number"),
        ([{**GOOD, "activation": "Relu"}], r"layer 1 has activation='Relu'; write one of relu, sigmoid, tanh,"),
        ([{**GOOD, "activation": None}], r"layer 1 has activation=None; write one of"),
        ([{**GOOD, "activation": ["relu"]}], r"layer 1 has activation=\['relu'\]; write one of"),
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


def small(activation: str = "sigmoid", outputs: int = 1, dtype: Any = np.float64) -> tg.nn.DenseNetwork:
    return tg.nn.DenseNetwork(layers([2, 5, outputs], ["tanh", activation]), seed=4, dtype=dtype)


def data(m: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return tg.data.make_moons(m, 0.2, seed)


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
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        small().predict_proba(np.ones((3, 2)), batch_size=0)


def test_summary_is_a_table() -> None:
    assert small().summary().splitlines() == [
        "layer    output shape  activation  parameters",
        "dense 1  (m, 5)        tanh                15",
        "dense 2  (m, 1)        sigmoid              6",
        "total                                      21",
    ]
    assert tg.nn.DenseNetwork(by_hand.EXPERIMENT).summary().split()[-1] == "5,226"


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


def test_accuracy_by_hand() -> None:
    assert tg.accuracy([0, 0, 1], [0.2, 0.1, 0.9]) == 1.0
    assert tg.accuracy([[0.9], [0.5], [0.2], [0.7]], [[1], [0], [0], [0]]) == 0.75
    assert tg.accuracy([0.9, 0.5, 0.2], [1, 1, 0]) == pytest.approx(2 / 3)
    assert tg.accuracy([[0.9], [0.5]], [1, 1]) == 0.5
    assert tg.accuracy([[0.9, 0.1], [0.9, 0.9]], [[1, 0], [1, 0]]) == 0.5
    assert tg.accuracy([[1.0, 3.0, 2.0], [5.0, 0.0, 0.0]], [1, 2]) == 0.5
    assert tg.accuracy(tg.tensor([[2.0, 1.0]], requires_grad=True), tg.tensor([0])) == 1.0


@given(cases(MODERATE[np.float64]))
def test_accuracy_is_by_hands(case: Case) -> None:
    Y_hat = case.memory()[f"A{len(case.architecture)}"]
    assert tg.accuracy(Y_hat.T, case.Y.T) == by_hand.accuracy(Y_hat, case.Y)


def test_accuracy_refuses_what_has_none() -> None:
    with pytest.raises(DataError, match="accuracy of no samples"):
        tg.accuracy(np.zeros((0, 1)), np.zeros((0, 1)))
    with pytest.raises(ValueError, match=r"shape \(4, 3\) need labels of that shape, or class indices \(4,\)"):
        tg.accuracy(np.zeros((4, 3)), np.zeros((4, 2)))


def test_evaluate_is_the_cost_and_the_accuracy_by_hand() -> None:
    X, y = data()
    network = small()
    p = network.predict_proba(X)
    cost, right = tg.evaluate(network, X, y)
    assert cost == pytest.approx(by_hand.cost(p.T, y.reshape(1, -1)), rel=1e-13)
    assert right == by_hand.accuracy(p.T, y.reshape(1, -1))
    assert isinstance(cost, float)
    assert isinstance(right, float)
    assert all(p.grad is None for p in network.parameters())


def test_cost_follows_from_the_last_activation() -> None:
    X, _ = data()
    y = np.arange(30) % 3
    network = small("softmax", 3)
    p = network.predict_proba(X)
    hits = sum(max(range(3), key=row.__getitem__) == k for row, k in zip(p.tolist(), y))
    assert tg.evaluate(network, X, y) == pytest.approx((-math.fsum(np.log(p[range(30), y])) / 30, hits / 30))
    network = small("identity", 3)
    targets = np.random.default_rng(0).normal(size=(30, 3))
    cost, right = tg.evaluate(network, X, targets)
    assert cost == pytest.approx(math.fsum(((network.predict_proba(X) - targets) ** 2).flat) / 30, rel=1e-13)
    assert np.isnan(right)
    with pytest.raises(ValueError, match=r"no loss follows from a last activation of 'tanh'; pass loss="):
        tg.train(small("tanh"), X, X[:, 0], 1, progress=False)


@pytest.mark.parametrize("loss", [tg.binary_cross_entropy, tg.binary_cross_entropy_with_logits])
def test_the_librarys_cross_entropies_are_trained_on_logits(loss: Any) -> None:
    network = tg.DenseNetwork([{"input_dim": 1, "output_dim": 1, "activation": "sigmoid"}])
    network.load_state_dict({"W1": np.ones((1, 1)), "b1": np.zeros(1)})
    X, y = np.array([[50.0], [-50.0]]), np.array([0.0, 1.0])  # saturated, and wrong
    assert tg.evaluate(network, X, y, loss) == tg.evaluate(network, X, y) == (50.0, 0.0)
    assert np.isfinite(tg.train(network, X, y, 5, 0.01, loss=loss, progress=False).cost).all()


def test_cross_entropy_after_a_softmax_takes_it_once() -> None:
    network = tg.DenseNetwork([{"input_dim": 2, "output_dim": 3, "activation": "softmax"}])
    X, y = data()
    labels = y.astype(int).reshape(-1) % 3
    assert tg.evaluate(network, X, labels, tg.cross_entropy) == tg.evaluate(network, X, labels)


@pytest.mark.parametrize("columns", [False, True])
def test_labels_in_a_row_or_a_column_fit_a_loss_of_ones_own(columns: bool) -> None:
    X, y = data()
    network = small("identity")
    labels = y.reshape(-1, 1) if columns else y.reshape(-1)
    assert tg.evaluate(network, X, labels, tg.mse_loss)[0] == tg.evaluate(network, X, labels)[0]


def test_an_epoch_that_is_interrupted_between_its_entries_is_dropped() -> None:
    history = tg.History(cost=[1.0, 0.5], accuracy=[0.7], validation_cost=[2.0])
    history.end_together()
    assert (history.cost, history.accuracy, history.validation_cost) == ([1.0], [0.7], [2.0])


def test_a_loss_of_ones_own_replaces_it() -> None:
    X, y = data()
    network = small("tanh")
    history = tg.train(
        network, X, y.reshape(-1, 1), 50, 0.1, progress=False, loss=lambda p, y: ((p - y) ** 2).mean(), shuffle_seed=1
    )
    assert history.cost[-1] < history.cost[0]
    assert tg.evaluate(network, X, y.reshape(-1, 1), loss=lambda p, y: (p * 0).sum() + 7)[0] == 7


# Data that can't be learnt from.


def spoilt(array: np.ndarray, row: int, value: float) -> np.ndarray:
    array = array.astype(float)
    array[row] = value
    return array


ROWS, LABELS = data(6)


@pytest.mark.parametrize(
    ("network", "X", "y", "match"),
    [
        (small(), spoilt(ROWS, 3, np.nan), LABELS, r"row 3 of X holds nan, not a finite number; mend or drop it"),
        (small(), spoilt(ROWS, 5, -np.inf), LABELS, r"row 5 of X holds -inf, not a finite"),
        (small(), spoilt(spoilt(ROWS, 1, np.nan), 2, np.nan), LABELS, r"row 1 of X holds nan.*\(and 1 rows? more\)"),
        (small(), ROWS, spoilt(LABELS, 2, np.nan), r"row 2 of y holds nan, not a finite number"),
        (small(), ROWS, spoilt(LABELS, 4, 2), r"row 4 of y holds 2\.0, outside 0\.\.1"),
        (small(), ROWS, spoilt(LABELS, 0, -1), r"row 0 of y holds -1\.0, outside 0\.\.1"),
        (small(outputs=2), ROWS, spoilt(ROWS * 0, 1, 1.5), r"row 1 of y holds 1\.5, outside 0\.\.1"),
        (small("softmax", 3), ROWS, spoilt(LABELS, 1, 3), r"row 1 of y holds 3\.0, not a class index from 0 to 2"),
        (small("softmax", 3), ROWS, spoilt(LABELS, 2, -1), r"row 2 of y holds -1\.0, not a class index"),
        (small("softmax", 3), ROWS, spoilt(LABELS, 3, 0.5), r"row 3 of y holds 0\.5, not a class index"),
        (small("softmax", 3), ROWS, np.eye(6, 3), r"softmax is trained on class indices.*y\.argmax\(axis=1\)"),
        (small(), ROWS[:, :1], LABELS, r"rows of 2 numbers, X of shape \(m, 2\); got \(6, 1\)"),
        (small(), ROWS[0], LABELS, r"X of shape \(m, 2\); got \(2,\)"),
        (small(), ROWS, LABELS[:5], r"X has 6 rows, y has shape \(5,\); each sample needs one label"),
        (small(), ROWS, 1.0, r"X has 6 rows, y has shape \(\)"),
        (small(), ROWS, np.zeros((6, 2)), r"the network has 1 outputs?, so y needs shape \(6, 1\); got \(6, 2\)"),
        (small(outputs=2), ROWS, LABELS, r"the network has 2 outputs, so y needs shape \(6, 2\); got \(6,\)"),
        (small(), ROWS[:0], LABELS[:0], r"no samples: X has 0 rows"),
        (small(), [["a", "b"]], [1], r"X can't be read as numbers"),
        (small(), [[1.0, 2.0], [3.0]], [1, 0], r"X can't be read as numbers"),
        (small(), ROWS, ["yes"] * 6, r"y can't be read as numbers"),
        (small("identity"), ROWS, spoilt(LABELS, 1, np.inf), r"row 1 of y holds inf"),
    ],
)
def test_bad_data_is_refused_before_the_first_epoch(network: Any, X: Any, y: Any, match: str) -> None:
    before, seen = network.state_dict(), []
    for run in (
        lambda: tg.train(network, X, y, 3, progress=False, on_epoch=lambda epoch, _: seen.append(epoch)),
        lambda: tg.evaluate(network, X, y),
    ):
        with pytest.raises(DataError, match=match):
            run()
    assert seen == []
    assert all(np.array_equal(value, before[name]) for name, value in network.state_dict().items())


def test_bad_validation_data_is_refused_before_the_first_epoch() -> None:
    network, seen = small(), []
    with pytest.raises(DataError, match=r"row 2 of validation X holds nan"):
        tg.train(
            network, ROWS, LABELS, 3, progress=False, validation=(spoilt(ROWS, 2, np.nan), LABELS),
            on_epoch=lambda epoch, _: seen.append(epoch),
        )  # fmt: skip
    assert seen == []


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"epochs": -1}, "epochs must be a whole number, 0 or more, got -1"),
        ({"epochs": 1, "batch_size": 0}, "batch_size must be a whole number, 1 or more, got 0"),
        ({"epochs": 1, "learning_rate": -0.1}, "learning rate must be a finite number, 0 or more"),
        ({"epochs": 1, "learning_rate": float("nan")}, "learning rate must be a finite number, 0 or more"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        tg.train(small(), ROWS, LABELS, progress=False, **options)


def test_a_learning_rate_and_an_optimizer_are_one_too_many() -> None:
    network = small()
    with pytest.raises(ValueError, match="pass a learning_rate or an optimizer"):
        tg.train(network, ROWS, LABELS, 1, 0.1, progress=False, optimizer=tg.optim.SGD(network.parameters(), 0.1))


def test_labels_may_be_booleans_or_soft() -> None:
    hard = tg.train(small(), ROWS, LABELS, 3, 0.1, progress=False)
    assert tg.train(small(), ROWS, LABELS.astype(bool), 3, 0.1, progress=False).cost == hard.cost
    soft = tg.train(small(), ROWS, np.full(6, 0.5), 300, 0.5, progress=False)
    assert soft.cost[-1] == pytest.approx(np.log(2), abs=1e-3)


# The training loop.


def snapshots(network: tg.nn.DenseNetwork) -> tuple[list[dict[str, np.ndarray]], Any]:
    """Return a list of parameters that a callback, returned too, fills after every epoch."""
    taken = [network.state_dict()]
    return taken, lambda epoch, history: taken.append(network.state_dict())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("batch_size", [None, 4])
def test_a_diverging_cost_says_when_and_keeps_the_last_finite_parameters(batch_size: int | None) -> None:
    network = tg.nn.DenseNetwork(layers([2, 8, 1], ["identity", "identity"]))
    X, y = data()
    taken, callback = snapshots(network)
    with pytest.raises(DivergedError, match=r"cost became (inf|nan) in epoch \d+.*Lower the learning rate") as caught:
        tg.train(network, X * 100, y, 1000, 1.0, batch_size, progress=False, on_epoch=callback)
    assert f"in epoch {len(taken) - 1};" in str(caught.value)
    if batch_size is None:
        # The last update is what made the cost infinite, so it is the one taken back.
        assert all(np.array_equal(value, taken[-2][name]) for name, value in network.state_dict().items())
        assert np.isfinite(tg.evaluate(network, X * 100, y)[0])
    assert all(np.isfinite(p.data).all() for p in network.parameters())


def test_ctrl_c_keeps_what_was_learnt(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = data()

    def interrupt(epoch: int, history: tg.History) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    network, uninterrupted = small(), small()
    history = tg.train(network, X, y, 10, 0.1, progress=False, on_epoch=interrupt)
    expected = tg.train(uninterrupted, X, y, 4, 0.1, progress=False)
    assert history.cost == expected.cost
    assert history.accuracy == expected.accuracy
    assert "stopped after 4 of 10 epochs" in capsys.readouterr().err
    assert all(np.array_equal(v, uninterrupted.state_dict()[n]) for n, v in network.state_dict().items())


def test_an_error_of_the_callback_is_not_swallowed() -> None:
    def fail(epoch: int, history: tg.History) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        tg.train(small(), ROWS, LABELS, 3, progress=False, on_epoch=fail)


def test_history_is_taken_before_the_update() -> None:
    network, (X, y) = small(), data()
    start = tg.evaluate(network, X, y)
    costs = []
    history = tg.train(
        network, X, y, 5, 0.1, progress=False, on_epoch=lambda epoch, _: costs.append(tg.evaluate(network, X, y)[0])
    )
    assert (history.cost[0], history.accuracy[0]) == start
    assert history.cost[1:] == costs[:-1]
    assert len(history.accuracy) == 5
    assert history.validation_cost == history.validation_accuracy == []


def test_no_epochs_change_nothing() -> None:
    network = small()
    before = network.state_dict()
    history = tg.train(network, ROWS, LABELS, 0, progress=False)
    assert len(history) == 0
    assert repr(history) == "History of 0 epochs"
    assert all(np.array_equal(value, before[name]) for name, value in network.state_dict().items())


def test_validation_is_taken_before_the_update_and_not_learnt_from() -> None:
    X, y = data()
    held_out = data(seed=1)
    network, alone = small(), small()
    figures = [tg.evaluate(network, *held_out)]
    history = tg.train(
        network, X, y, 4, 0.1, progress=False, validation=held_out,
        on_epoch=lambda epoch, _: figures.append(tg.evaluate(network, *held_out)),
    )  # fmt: skip
    assert list(zip(history.validation_cost, history.validation_accuracy, strict=True)) == figures[:-1]
    assert tg.train(alone, X, y, 4, 0.1, progress=False).cost == history.cost


class Counting(tg.optim.Optimizer):
    """Changes nothing, and counts its steps."""

    steps = 0

    def step(self) -> None:
        self.steps += 1
        assert all(p.grad is not None for p in self.parameters)


@pytest.mark.parametrize(("batch_size", "steps"), [(None, 1), (1, 30), (7, 5), (30, 1), (64, 1)])
def test_every_row_is_used_once_an_epoch_whatever_the_batches(batch_size: int | None, steps: int) -> None:
    X, y = data()
    network = small()
    counting = Counting(network.parameters(), lr=0)
    history = tg.train(network, X, y, 2, batch_size=batch_size, progress=False, optimizer=counting)
    assert counting.steps == 2 * steps
    cost, right = tg.evaluate(network, X, y)
    assert history.cost == pytest.approx([cost, cost], rel=1e-13)
    assert history.accuracy == pytest.approx([right, right], rel=1e-13)


def test_shuffling_follows_its_seed() -> None:
    X, y = data()
    runs = [tg.train(small(), X, y, 3, 0.1, 7, progress=False, shuffle_seed=s).cost for s in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_training_says_how_it_is_going(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tg.train(small(), ROWS, LABELS, 20, progress=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    history = tg.train(small(), ROWS, LABELS, 20)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith(f"epoch 20 of 20: cost {history.cost[-1]:.5f}, accuracy {history.accuracy[-1]:.4f}")
    assert lines[-1].endswith("0 s left")


def test_tqdm_shows_cost_and_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    history = tg.train(small(), ROWS, LABELS, 20)
    shown = capsys.readouterr().err
    assert "20/20" in shown
    assert f"cost={history.cost[-1]:.5f}" in shown


@pytest.mark.parametrize("optimizer", [tg.optim.SGD, tg.optim.Adam])
def test_float32_stays_float32(optimizer: Any) -> None:
    network = small(dtype=np.float32)
    X, y = data()
    history = tg.train(
        network, X, y, 3, progress=False, batch_size=8, optimizer=optimizer(network.parameters(), lr=0.1)
    )
    for p in network.parameters():
        assert p.dtype == gradient(p).dtype == np.float32
    assert network.predict_proba(X).dtype == np.float32
    assert type(history.cost[0]) is float


def test_softmax_learns_three_classes() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 90)
    X = np.array([[0, 2], [2, -1], [-2, -1]])[y] + generator.normal(size=(90, 2)) * 0.3
    network = small("softmax", 3)
    history = tg.train(network, X, y, 200, progress=False, optimizer=tg.optim.Adam(network.parameters(), lr=0.05))
    assert history.accuracy[-1] == 1.0
    assert np.array_equal(network.predict(X), y)


# Optimisers.

GRADIENTS = np.random.default_rng(5).normal(size=(7, 4))


def stepped(optimizer: tg.optim.Optimizer, w: tg.Tensor, gradients: np.ndarray = GRADIENTS) -> list[np.ndarray]:
    """Return the parameter after each step with the given gradients."""
    values = []
    for g in gradients:
        w.grad = tg.tensor(g)
        optimizer.step()
        values.append(w.data.copy())
    return values


def parameter() -> tg.Tensor:
    return tg.tensor([1.0, -2.0, 0.0, 3.0], requires_grad=True)


def test_gradient_descent_by_its_formula() -> None:
    w, expected = parameter(), parameter().data
    for value, g in zip(stepped(tg.optim.SGD([w], lr=0.1), w), GRADIENTS, strict=True):
        expected = expected - 0.1 * g
        assert np.array_equal(value, expected)


def test_momentum_by_its_formula() -> None:
    w, expected, v = parameter(), parameter().data, np.zeros(4)
    for value, g in zip(stepped(tg.optim.SGD([w], lr=0.1, momentum=0.9), w), GRADIENTS, strict=True):
        v = 0.9 * v + g
        expected = expected - 0.1 * v
        assert np.abs(value - expected).max() <= 1e-15


def test_adam_by_its_formula() -> None:
    w, expected, m, v = parameter(), parameter().data, np.zeros(4), np.zeros(4)
    values = stepped(tg.optim.Adam([w], lr=0.1, betas=(0.8, 0.99), eps=1e-6), w)
    for t, (value, g) in enumerate(zip(values, GRADIENTS, strict=True), start=1):
        m, v = 0.8 * m + 0.2 * g, 0.99 * v + 0.01 * g**2
        expected = expected - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-6)
        assert np.abs(value - expected).max() <= 1e-14


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"lr": 0.1}),
        ("SGD", {"lr": 0.1, "momentum": 0.9}),
        ("Adam", {}),
        ("Adam", {"lr": 0.1, "betas": (0.5, 0.9)}),
    ],
)
def test_optimisers_step_as_pytorchs_do(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    w, theirs = parameter(), torch.tensor(parameter().data, requires_grad=True)
    optimizer = getattr(torch.optim, name)([theirs], **options)
    for value, g in zip(stepped(getattr(tg.optim, name)([w], **options), w), GRADIENTS, strict=True):
        theirs.grad = torch.tensor(g)
        optimizer.step()
        assert np.abs(value - theirs.detach().numpy()).max() <= 1e-14


@pytest.mark.parametrize("optimizer", [tg.optim.SGD, tg.optim.Adam])
def test_a_tied_parameter_is_stepped_once(optimizer: Any) -> None:
    tied, once = parameter(), parameter()
    stepped(optimizer([tied, tied], lr=0.1), tied)
    stepped(optimizer([once], lr=0.1), once)
    assert np.array_equal(tied.data, once.data)


@pytest.mark.parametrize("optimizer", [tg.optim.SGD, tg.optim.Adam])
def test_a_parameter_without_gradient_is_skipped(optimizer: Any) -> None:
    w, idle = parameter(), parameter()
    both = optimizer([idle, w], lr=0.1)
    stepped(both, w)
    assert np.array_equal(idle.data, parameter().data)
    late = stepped(both, idle)
    fresh = parameter()
    assert np.array_equal(late[-1], stepped(optimizer([fresh], lr=0.1), fresh)[-1])


def test_zero_grad_forgets() -> None:
    w = parameter()
    optimizer = tg.optim.SGD([w], lr=0.1)
    (w * w).sum().backward()
    optimizer.zero_grad()
    assert w.grad is None
    (w * w).sum().backward()
    w.zero_grad()
    assert w.grad is None


@pytest.mark.parametrize("make", [lambda p: tg.optim.SGD(p, 0.1, momentum=0.9), lambda p: tg.optim.Adam(p, lr=0.1)])
def test_an_optimiser_resumes_from_its_state(make: Any) -> None:
    whole, parted = parameter(), parameter()
    stepped(make([whole]), whole)
    first = make([parted])
    stepped(first, parted, GRADIENTS[:3])
    resumed, saved = tg.tensor(parted.data, requires_grad=True), first.state_dict()
    stepped(first, parted, GRADIENTS[:1])
    second = make([resumed])
    second.load_state_dict(saved)
    stepped(second, resumed, GRADIENTS[3:])
    assert np.array_equal(whole.data, resumed.data)
    with pytest.raises(StateError, match=r"this state is for 1 parameters?, the optimiser has 2"):
        make([parameter(), parameter()]).load_state_dict(saved)
    with pytest.raises(StateError, match=r"parameter 0 has shape \(4,\), the parameter \(2,\)"):
        make([tg.zeros(2, requires_grad=True)]).load_state_dict(saved)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: tg.optim.SGD([], 0.1), "no parameters to optimise; pass model.parameters"),
        (lambda: tg.optim.SGD([tg.ones(2)], 0.1), "updates leaves that require grad"),
        (lambda: tg.optim.SGD([parameter() * 2], 0.1), "updates leaves that require grad"),
        (lambda: tg.optim.Adam([parameter()], lr=-1), "learning rate must be a finite number, 0 or more, got -1"),
        (lambda: tg.optim.SGD([parameter()], 0.1, momentum=1), "momentum must be at least 0 and below 1"),
        (lambda: tg.optim.Adam([parameter()], betas=(0.9, 1.0)), "betas must be 2 numbers, each at least 0 and"),
    ],
)
def test_bad_optimisers_are_refused(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_a_step_leaves_earlier_graphs_right() -> None:
    w = parameter()
    loss = (w * w).sum()
    before = w.data.copy()
    w.grad = tg.ones(4)
    tg.optim.SGD([w], lr=1.0).step()
    w.grad = None
    loss.backward()
    assert np.array_equal(gradient(w), 2 * before)
