"""What training and optimisers refuse or undo, so that nothing is lost or changed unseen."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.errors import DataError, DivergedError, StateError

OPTIM: Any = tg.optim  # for calls that its types refuse
LAYERS = [{"input_dim": 2, "output_dim": 1, "activation": "sigmoid"}]


def problem(dtype: Any = np.float64) -> tuple[tg.DenseNetwork, Any, Any]:
    X, y = tg.data.make_moons(30, seed=4)
    return tg.DenseNetwork(LAYERS, seed=1, dtype=dtype), X, y


@pytest.mark.parametrize("make", [tg.optim.SGD, lambda p, lr: tg.optim.SGD(p, lr, np.float64(0.9)), tg.optim.Adam])
def test_a_numpy_learning_rate_leaves_float32_alone(make: Any) -> None:
    network, X, y = problem(np.float32)
    tg.train(network, X, y, 3, optimizer=make(network.parameters(), np.float64(0.1)), progress=False)
    assert {p.dtype for p in network.parameters()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("lr", [np.inf, np.nan, -1.0])
def test_a_learning_rate_is_finite_and_not_negative(lr: float) -> None:
    with pytest.raises(ValueError, match="learning rate must be a finite number, 0 or more"):
        tg.optim.SGD(problem()[0].parameters(), lr)


def test_the_last_update_is_undone_if_it_is_not_finite() -> None:
    network = tg.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": "identity"}])
    before = network.state_dict()
    X = np.full((4, 2), 1e3)
    with np.errstate(over="ignore"), pytest.raises(DivergedError, match="epoch 0 left parameters that are not finite"):
        tg.train(network, X, np.ones(4), 1, 1e308, progress=False)
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_an_optimiser_of_another_network_is_refused() -> None:
    network, X, y = problem()
    with pytest.raises(ValueError, match="updates none of this network's parameters"):
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
        ({"validation": np.ones((3, 2))}, r"validation is a pair \(X, y\)"),
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


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"epochs": 2.0}, TypeError, r"epochs must be a whole number, 0 or more, got 2\.0 of type float"),
        ({"epochs": True}, TypeError, "epochs must be a whole number, 0 or more, got True of type bool"),
        ({"epochs": None}, TypeError, "epochs must be a whole number, 0 or more, got None"),
        ({"batch_size": 7.5}, TypeError, r"batch_size must be a whole number, 1 or more, got 7\.5 of type float"),
        ({"batch_size": 0}, ValueError, "batch_size must be a whole number, 1 or more, got 0 of type int"),
        ({"learning_rate": "0.1"}, TypeError, r"the learning rate must be a finite number, .*got '0\.1' of type str"),
        ({"learning_rate": -0.1}, ValueError, r"the learning rate must be a finite number, 0 or more, got -0\.1"),
        ({"optimizer": "adam"}, TypeError, r"got 'adam' of type str; write optimizer=tg\.optim\.Adam\(network\.param"),
        ({"optimizer": tg.optim.Adam}, TypeError, "an optimizer that holds .* is needed, got the class Adam"),
        (
            {"loss": "mse"},
            TypeError,
            r"a loss is a function \(activations, y\) -> cost, got 'mse' of type str; leave loss",
        ),
        (
            {"loss": lambda p, y: 1.5},
            TypeError,
            r"a loss returns a Tensor of one entry, got 1\.5 of type float; compute",
        ),
        ({"loss": lambda p, y: p}, ValueError, r"got Tensor of shape \(30, 1\); .* reduce it, as in .*\.mean\(\)"),
        ({"network": LAYERS}, TypeError, r"a tg\.nn\.DenseNetwork is needed, got \[.* of type list; make one by tg"),
        ({"network": tg.DenseNetwork}, TypeError, "is needed, got the class DenseNetwork; make one by"),
        ({"network": Own()}, TypeError, r"of type Own; .* write the loop: loss\.backward\(\), optimizer\.step\(\)"),
    ],
)
def test_misuse_of_train_says_what_was_found_and_what_to_write(change: Any, kind: type, words: str) -> None:
    network, X, y = problem()
    before = network.state_dict()
    with pytest.raises(kind, match=words):
        tg.train(**{"network": network, "X": X, "y": y, "epochs": 1, "progress": False} | change)
    assert all(np.array_equal(value, before[name]) for name, value in network.state_dict().items())
    if change.keys() & {"network", "loss"}:
        with pytest.raises(kind, match=words):
            tg.evaluate(**{"network": network, "X": X, "y": y} | change)


@pytest.mark.parametrize("join", ["stack", "concatenate", "hstack", "vstack", "dstack", "column_stack"])
def test_nothing_can_t_be_joined(join: str) -> None:
    with pytest.raises(ValueError, match=rf"^{join} needs at least one tensor.*write tg\.zeros\(\(0, n\)\)"):
        getattr(tg, join)([])


@pytest.mark.parametrize(
    ("outputs", "inputs", "words"),
    [
        (None, np.ones(2), r"input 0 is ndarray of shape \(2,\), and only Tensors are differentiated"),
        (None, 3.0, r"input 0 is 3\.0 of type float, .*: x = tg\.tensor\(x, requires_grad=True\)"),
        (None, [tg.ones(2, requires_grad=True), [1.0]], r"input 1 is \[1\.0\] of type list"),
        (2.0, None, r"output 0 is 2\.0 of type float, and only Tensors are differentiated"),
    ],
)
def test_what_is_not_a_tensor_is_not_differentiated(outputs: Any, inputs: Any, words: str) -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=words):
        tg.autograd.grad((x * x).sum() if outputs is None else outputs, x if inputs is None else inputs)


def test_an_optimiser_s_state_is_checked_before_it_is_taken_over() -> None:
    network, X, y = problem()
    adam, sgd = tg.optim.Adam(network.parameters()), tg.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    tg.train(network, X, y, 1, optimizer=sgd, progress=False)
    with pytest.raises(StateError, match=r"has the state \['velocity'\], needs \['m', 'step', 'v'\]"):
        adam.load_state_dict(adam.state_dict() | {"state": sgd.state_dict()["state"]})
    saved = sgd.state_dict()
    saved["state"][0]["velocity"] = saved["state"][0]["velocity"].astype(np.float32)
    with pytest.raises(StateError, match="velocity of parameter 0 has dtype float32, the parameter float64"):
        sgd.load_state_dict(saved)


def decaying(parameters: Any) -> tg.optim.Optimizer:
    """Return an optimiser of one's own with a hyperparameter of its own."""

    class Decaying(tg.optim.SGD):
        decay = tg.optim.Hyperparameter(below=1)

        def __init__(self, parameters: Any, lr: float, decay: float) -> None:
            super().__init__(parameters, lr, momentum=0.5)
            self.decay = decay

    return Decaying(parameters, 0.1, 0.25)


@pytest.mark.parametrize(
    ("make", "settings", "written"),
    [
        (
            lambda p: OPTIM.SGD(p, np.float32(0.5), momentum=0.25),
            {"lr": 0.5, "momentum": 0.25},
            "lr=0.5, momentum=0.25",
        ),
        (
            lambda p: OPTIM.Adam(p, 2, betas=[0.5, 0.75], eps=1e-6),
            {"lr": 2.0, "betas": (0.5, 0.75), "eps": 1e-6},
            "lr=2.0, betas=(0.5, 0.75), eps=1e-06",
        ),
        (decaying, {"lr": 0.1, "momentum": 0.5, "decay": 0.25}, "lr=0.1, momentum=0.5, decay=0.25"),
    ],
)
def test_an_optimiser_s_state_holds_its_hyperparameters(make: Any, settings: dict[str, Any], written: str) -> None:
    parameters = problem()[0].parameters()
    optimizer = make(parameters)
    saved = optimizer.state_dict()
    assert saved == {**settings, "state": [{}, {}]}
    assert repr(optimizer) == f"{type(optimizer).__name__}(2 parameters, {written})"
    for name in settings:
        setattr(optimizer, name, (0.0, 0.0) if name == "betas" else 0)
    optimizer.load_state_dict(saved)
    assert optimizer.state_dict() == saved


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lr": -1.0}, r"the learning rate must be a finite number, 0 or more, got -1\.0 of type float"),
        ({"lr": "0.1"}, r"the learning rate must be a finite number, 0 or more, got '0\.1' of type str"),
        ({"eps": np.nan}, "eps must be a finite number, 0 or more, got nan of type float"),
        ({"betas": 0.9}, r"betas must be 2 numbers, each at least 0 and below 1, got 0\.9 of type float"),
        ({"betas": (0.9, 0.9, 0.9)}, "betas must be 2 numbers"),
        ({"betas": (0.9, None)}, "betas must be 2 numbers"),
        ({"betas": (0.9, 1)}, "betas must be 2 numbers, each at least 0 and below 1"),
        (
            {"momentum": 0.9},
            r"the state of Adam is a dict with the keys \['lr', 'betas', 'eps', 'state'\], got \['lr', .*'mom",
        ),
        (None, r"the state of Adam is a dict with .*, got a NoneType; save it by optimizer\.state_dict\(\)"),
    ],
)
def test_hyperparameters_that_do_not_fit_change_nothing(change: Any, words: str) -> None:
    network, X, y = problem()
    adam = OPTIM.Adam(network.parameters(), 0.5, betas=(0.5, 0.25))
    saved = adam.state_dict() | {"lr": 0.125}
    tg.train(network, X, y, 1, optimizer=adam, progress=False)
    with pytest.raises(StateError, match=words):
        adam.load_state_dict(None if change is None else saved | change)
    assert (adam.lr, adam.betas, adam.state[0]["step"]) == (0.5, (0.5, 0.25), 1)


def test_a_hyperparameter_is_checked_whenever_it_is_set() -> None:
    sgd = tg.optim.SGD(problem()[0].parameters(), 0.1)
    sgd.lr = np.float32(0.5)
    assert type(sgd.lr) is float
    with pytest.raises(ValueError, match="momentum must be at least 0 and below 1, got 1 of type int"):
        sgd.momentum = 1
    with pytest.raises(TypeError, match="the learning rate must be a finite number"):
        sgd.lr = None
    assert (sgd.lr, sgd.momentum) == (0.5, 0)


def test_numpy_functions_without_a_derivative_take_tensors_by_keyword() -> None:
    t = tg.tensor([1.0, 2.0], requires_grad=True)
    assert np.allclose(a=t, b=t)
    assert np.shape(a=t) == (2,)
    assert np.isclose(t, b=t).all()


def test_a_cotangent_of_a_foreign_kind_is_refused() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    with pytest.raises(tg.errors.DtypeError):
        (x * 1).backward(np.array([1j]))


def test_an_error_thrown_into_a_decorated_async_generator_reaches_it() -> None:
    @tg.no_grad()
    async def numbers() -> AsyncIterator[str]:
        try:
            yield "first"
        except ValueError:
            yield "caught"

    async def consume() -> list[str]:
        generator: Any = numbers()
        return [await anext(generator), await generator.athrow(ValueError("x"))]

    assert asyncio.run(consume()) == ["first", "caught"]


def test_a_step_that_can_not_be_compiled_is_run_as_it_is_with_one_warning() -> None:
    network, X, y = problem()
    twin, *_ = problem()
    read = []

    def loss(p: Any, labels: Any) -> Any:
        cost = ((p - labels) ** 2).mean()
        read.append(cost.item())
        return cost

    with pytest.warns(RuntimeWarning, match=r"not compiled: item\(\) at .*test_guards\.py.*compile=False") as warned:
        history = tg.train(network, X, y, 5, 0.1, loss=loss, progress=False, compile=True)
    assert len(warned) == 1
    assert history.cost == tg.train(twin, X, y, 5, 0.1, loss=loss, progress=False).cost
    assert len(read) > 5


def test_a_compiled_training_is_the_same_to_the_last_bit() -> None:
    network, X, y = problem()
    twin, *_ = problem()
    compiled = tg.train(network, X, y, 12, 0.3, batch_size=7, progress=False)
    assert compiled.cost == tg.train(twin, X, y, 12, 0.3, batch_size=7, progress=False, compile=False).cost
    for a, b in zip(network.parameters(), twin.parameters(), strict=True):
        assert np.array_equal(a.data, b.data)
