"""An optimiser's hyperparameters and its state: checked whenever they are set, and never half taken over."""

from typing import Any

import numpy as np
import pytest
from small import problem

import tinygrad_nn as tg
from tinygrad_nn.errors import StateError

OPTIM: Any = tg.optim  # for calls that its types refuse


@pytest.mark.parametrize("make", [tg.optim.SGD, lambda p, lr: tg.optim.SGD(p, lr, np.float64(0.9)), tg.optim.Adam])
def test_a_numpy_learning_rate_leaves_float32_alone(make: Any) -> None:
    network, X, y = problem(np.float32)
    tg.train(network, X, y, 3, optimizer=make(network.parameters(), np.float64(0.1)), progress=False)
    assert {p.dtype for p in network.parameters()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("lr", [np.inf, np.nan, -1.0])
def test_a_learning_rate_is_finite_and_not_negative(lr: float) -> None:
    with pytest.raises(ValueError, match="learning rate must be a finite number, 0 or more"):
        tg.optim.SGD(problem()[0].parameters(), lr)


def test_an_optimiser_s_state_is_checked_before_it_is_taken_over() -> None:
    network, X, y = problem()
    adam, sgd = tg.optim.Adam(network.parameters()), tg.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    tg.train(network, X, y, 1, optimizer=sgd, progress=False)
    with pytest.raises(StateError, match=r"has the state \['velocity'\], needs \['m', 'step', 'v'\]"):
        adam.load_state_dict(adam.state_dict() | {"state": sgd.state_dict()["state"]})
    saved = sgd.state_dict()
    saved["state"][0]["velocity"] = saved["state"][0]["velocity"].astype(np.float32)
    with pytest.raises(StateError, match=r"velocity of parameter 0 must .*, float64; got .*dtype=float32"):
        sgd.load_state_dict(saved)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, r"an entry for each of \['0'\], got None"),
        ([{}], r"an entry for each of \['0'\], got \[{}\]"),
        ({1: {}}, r"an entry for each of \['0'\], got {1: {}}"),
        ({0: {"step": 1, "m": None, "v": np.ones(2)}}, "m of parameter 0 must be a number or an array .*; got None"),
        ({0: {"step": "1", "m": np.ones(2), "v": np.ones(2)}}, "step of parameter 0 must be a number or .*; got '1'"),
        ({0: {"step": 1, "m": np.ones(2), "v": [1.0, 1.0]}}, "v of parameter 0 must be a number or an array of"),
        ({0: {"step": 1, "m": np.ones(2), "v": tg.ones(2)}}, "v of parameter 0 must be a number or an array of"),
    ],
)
def test_what_is_no_state_is_refused_when_it_is_loaded(state: Any, words: str) -> None:
    adam = tg.optim.Adam([tg.ones(2, requires_grad=True)])
    with pytest.raises(StateError, match=words):
        adam.load_state_dict(adam.state_dict() | {"state": state})
    assert adam.state == [{}]


NAN, MINUS = np.array([1.0, np.nan]), np.array([1.0, -1e-9])


@pytest.mark.parametrize(
    ("make", "name", "bad"),
    [
        *[(OPTIM.Adam, "step", x) for x in (-1, 2.5, np.inf, np.nan, np.ones(2))],
        *[(kind, "step", -1) for kind in (OPTIM.AdamW, OPTIM.Adamax, OPTIM.NAdam, OPTIM.Adagrad)],
        *[(kind, name, NAN) for kind in (OPTIM.Adam, OPTIM.AdamW, OPTIM.NAdam) for name in ("m", "v")],
        *[(kind, "v", x) for kind in (OPTIM.Adam, OPTIM.NAdam, OPTIM.RMSprop) for x in (NAN, MINUS, -1.0)],
        (lambda p: OPTIM.Adam(p, amsgrad=True), "v_max", MINUS),
        (OPTIM.Adamax, "u", MINUS),
        (OPTIM.Adagrad, "total", MINUS),
        *[(OPTIM.NAdam, "mu_product", x) for x in (-0.5, 1.5, np.nan)],
        (lambda p: OPTIM.RMSprop(p, momentum=0.5, centered=True), "velocity", NAN),
        (lambda p: OPTIM.RMSprop(p, momentum=0.5, centered=True), "m", NAN),
        (lambda p: OPTIM.SGD(p, momentum=0.5), "velocity", NAN),
    ],
)
def test_a_state_that_no_step_leaves_is_refused(make: Any, name: str, bad: Any) -> None:
    (w, b), optimizer = (parameters := [tg.ones(2, requires_grad=True) for _ in "wb"]), make(parameters)
    (w * b).sum().backward()
    optimizer.step()
    before = optimizer.state_dict()
    wrong = {0: before["state"][0], 1: before["state"][1] | {name: bad}}
    with pytest.raises(StateError, match=f"no step results in this state: {name} .*; load one from"):
        optimizer.load_state_dict(before | {"state": wrong})
    with pytest.raises(StateError, match=f"no step results in this state: {name} "):
        optimizer.state = [*wrong.values()]
    np.testing.assert_equal(optimizer.state_dict(), before)
    optimizer.load_state_dict(before)


def test_a_state_that_overflowed_is_loaded() -> None:
    optimizer = tg.optim.Adam([tg.ones(2, requires_grad=True)])
    optimizer.state = [{"step": np.int64(3), "m": np.ones(2), "v": np.array([np.inf, 0.0])}]
    assert type(optimizer.state[0]["step"]) is int


@pytest.mark.parametrize("number", [10**400, -(10**400), np.longdouble("1e400")])
def test_a_number_too_large_for_a_float_is_infinite(number: Any) -> None:
    sgd = OPTIM.SGD([tg.ones(2, requires_grad=True)], 0.1)
    with pytest.raises(ValueError, match="the learning rate must be a finite number, 0 or more"):
        sgd.lr = number
    with pytest.raises(ValueError, match="eps must be a finite number, 0 or more"):
        tg.nn.LayerNorm(2).eps = number
    with pytest.raises(ValueError, match="negative_slope must be a finite number, got"):
        tg.nn.LeakyReLU(number)
    assert sgd.lr == 0.1


@pytest.mark.parametrize("shape", [(), (2,)])
def test_a_number_of_numpys_in_a_state_has_the_parameters_dtype(shape: tuple[int, ...]) -> None:
    """In another one it would change the dtype of the next step."""
    w = tg.zeros(shape, dtype=np.float32, requires_grad=True)
    sgd = tg.optim.SGD([w], 0.1, momentum=0.5)
    for fits in (np.float32(1), 1, 1.0, np.int64(1)):
        sgd.state = [{"velocity": fits}]
    for other in (np.float64(1), np.float16(1)):
        with pytest.raises(StateError, match=r"velocity of parameter 0 must be a number or an array of .*, float32"):
            sgd.state = [{"velocity": other}]
    assert type(sgd.state[0]["velocity"]) is int  # which leaves float32 alone, as NumPy's would not


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
            {"lr": 0.5, "momentum": 0.25, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False},
            "lr=0.5, momentum=0.25, dampening=0.0, weight_decay=0.0, nesterov=False",
        ),
        (
            lambda p: OPTIM.Adam(p, 2, betas=[0.5, 0.75], eps=1e-6),
            {"lr": 2.0, "betas": (0.5, 0.75), "eps": 1e-6, "weight_decay": 0.0, "amsgrad": False},
            "lr=2.0, betas=(0.5, 0.75), eps=1e-06, weight_decay=0.0, amsgrad=False",
        ),
        (
            decaying,
            {"lr": 0.1, "momentum": 0.5, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "decay": 0.25},
            "lr=0.1, momentum=0.5, dampening=0.0, weight_decay=0.0, nesterov=False, decay=0.25",
        ),
    ],
)
def test_an_optimiser_s_state_holds_its_hyperparameters(make: Any, settings: dict[str, Any], written: str) -> None:
    parameters = problem()[0].parameters()
    optimizer = make(parameters)
    saved = optimizer.state_dict()
    assert saved == {"param_groups": [{"params": [0, 1], **settings}], "state": {0: {}, 1: {}}}
    assert repr(optimizer) == f"{type(optimizer).__name__}(2 parameters, {written})"
    for name in settings:
        setattr(optimizer, name, {"betas": (0.0, 0.0), "nesterov": False, "amsgrad": True}.get(name, 0))
    optimizer.load_state_dict(saved)
    assert optimizer.state_dict() == saved


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lr": -1.0}, r"the learning rate must be a finite number, 0 or more, got -1\.0 of type float"),
        ({"lr": "0.1"}, r"the learning rate must be a finite number, 0 or more, got '0\.1' of type str"),
        ({"lr": np.ones((2, 3))}, r"the learning rate must be .*, got ndarray of shape \(2, 3\)$"),
        ({"lr": True}, "the learning rate must be a finite number, 0 or more, got True of type bool"),
        ({"eps": np.nan}, "eps must be a finite number, 0 or more, got nan of type float"),
        ({"betas": 0.9}, r"betas must be 2 numbers, got 0\.9 of type float"),
        ({"betas": (0.9, 0.9, 0.9)}, "betas must be 2 numbers"),
        ({"betas": (0.9, None)}, "each of betas must be at least 0 and below 1, got None"),
        ({"betas": (0.9, 1)}, "each of betas must be at least 0 and below 1, got 1 of type int"),
        ({"momentum": 0.9}, r"not the groups of this optimiser; load such as \[{'params': .*, got .*'momentum': 0\.9"),
        (None, r"None .*is no state of an optimiser; save one by optimizer\.state_dict\(\)"),
    ],
)
def test_hyperparameters_that_do_not_fit_change_nothing(change: Any, words: str) -> None:
    network, X, y = problem()
    adam = OPTIM.Adam(network.parameters(), 0.5, betas=(0.5, 0.25))
    saved = adam.state_dict()
    saved["param_groups"][0] |= {"lr": 0.125, **(change or {})}
    tg.train(network, X, y, 1, optimizer=adam, progress=False)
    with pytest.raises(StateError, match=words):
        adam.load_state_dict(None if change is None else saved)
    assert (adam.lr, adam.betas, adam.state[0]["step"]) == (0.5, (0.5, 0.25), 1)


def test_a_hyperparameter_is_checked_whenever_it_is_set() -> None:
    sgd: Any = tg.optim.SGD(problem()[0].parameters(), 0.1)
    sgd.lr = np.float32(0.5)
    assert type(sgd.lr) is float
    with pytest.raises(ValueError, match="momentum must be at least 0 and below 1, got 1 of type int"):
        sgd.momentum = 1
    with pytest.raises(TypeError, match="the learning rate must be a finite number"):
        sgd.lr = None
    assert (sgd.lr, sgd.momentum) == (0.5, 0)


def test_an_own_class_hands_its_hyperparameters_on_or_declares_them() -> None:
    class Handed(tg.optim.Optimizer):
        decay = tg.optim.Hyperparameter()

        def __init__(self, params: Any, lr: float, decay: float) -> None:
            super().__init__(params, lr=lr, decay=decay)

    class Declared(tg.optim.Optimizer):
        decay: Any = tg.optim.Hyperparameter(0.25)

    w = tg.ones(2, requires_grad=True)
    for optimizer in (Handed([w], 0.5, 0.25), Declared([w], 0.5), Declared([{"params": [w]}], 0.5, decay=0.25)):
        assert dict(optimizer.param_groups[0]) == {"params": (w,), "lr": 0.5, "decay": 0.25}
    with pytest.raises(TypeError, match="has no decays=; write decay="):
        Declared([w], decays=1)  # type: ignore[call-arg]
