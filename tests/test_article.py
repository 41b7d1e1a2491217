"""The autograd network against the article's algorithm written by hand: gradients, initial numbers, whole runs.

What is compared is transposed, and dA and dZ are divided by m: see `article`.
"""

import math
from typing import Any

import numpy as np
import pytest
from article import MODERATE, Case, Experiment, by_hand, cases, distance, gradient, layers
from by_algebra import matmul
from by_folds import fold
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_nn as tg

WIDER = {np.float32: np.float64, np.float64: np.longdouble}
TOLERANCE: dict[Any, float] = {np.float32: 1e-5, np.float64: 1e-12, np.longdouble: 1e-17}


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
        ours: dict[str, Any] = {n: t.grad for n, t in [*network.named_parameters(), *memory.items()]}
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


@pytest.mark.slow
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
