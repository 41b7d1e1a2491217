"""What all optimisers promise: PyTorch's steps, each parameter once, and a state to resume from."""

from typing import Any

import numpy as np
import pytest
from article import gradient
from optional import pytorch
from stepping import GRADIENTS, parameter, stepped

import tinygrad_nn as tg
from tinygrad_nn.errors import DtypeError, StateError


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
    torch = pytorch()
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
    with pytest.raises(StateError, match="these are not the groups of this optimiser"):
        make([parameter(), parameter()]).load_state_dict(saved)
    with pytest.raises(StateError, match=r"parameter 0 must .* an array of \(2,\), float64; got array"):
        make([tg.zeros(2, requires_grad=True)]).load_state_dict(saved)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: tg.optim.SGD([], 0.1), "no parameters to optimise; pass model.parameters"),
        (lambda: tg.optim.SGD([tg.ones(2)], 0.1), "takes leaves that require grad"),
        (lambda: tg.optim.SGD([parameter() * 2], 0.1), "takes leaves that require grad"),
        (lambda: tg.optim.Adam([parameter()], lr=-1), "learning rate must be a finite number, 0 or more, got -1"),
        (lambda: tg.optim.SGD([parameter()], 0.1, momentum=1), "momentum must be at least 0 and below 1"),
        (lambda: tg.optim.Adam([parameter()], betas=(0.9, 1.0)), "each of betas must be at least 0 and below 1"),
    ],
)
def test_bad_optimisers_are_refused(make: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        (lambda w: w[:1] - 1, ValueError, r"has shape \(1,\), its tensor \(2,\); pass one of shape \(2,\)"),
        (lambda w: w.astype("f4"), DtypeError, r"has dtype float32, its tensor float64; write \.astype\('float64'\)"),
        (lambda w: w.astype(int), DtypeError, r"has dtype int64, its tensor float64; write"),
        (tg.tensor, TypeError, r"is an array, got Tensor of shape \(2,\); return one like t\.data"),
        (lambda w: 1.0, TypeError, r"is an array, got 1\.0 of type float; return one like"),
        (lambda w: None, TypeError, r"is an array, got None of type NoneType; return one like"),
    ],
)
def test_a_step_with_one_wrong_update_changes_nothing(wrong: Any, error: Any, match: str) -> None:
    class Wrong(tg.optim.SGD):
        def update(self, w: Any, g: Any, state: Any) -> Any:
            return wrong(w) if len(w) > 1 else w - g, {"velocity": g}

    parameters = [tg.ones(1, requires_grad=True), tg.ones(2, requires_grad=True)]
    optimizer = Wrong(parameters, 0.1)
    for p in parameters:
        p.grad = tg.ones(p.shape)
    with pytest.raises(error, match=match):
        optimizer.step()
    assert all((p.data == 1).all() for p in parameters)
    assert optimizer.state == [{}, {}]


def test_a_step_leaves_earlier_graphs_right() -> None:
    w = parameter()
    loss = (w * w).sum()
    before = w.data.copy()
    w.grad = tg.ones(4)
    tg.optim.SGD([w], lr=1.0).step()
    w.grad = None
    loss.backward()
    assert np.array_equal(gradient(w), 2 * before)


def in_place(w: Any, g: Any, lr: float) -> Any:
    w -= lr * g
    return w, {}


def in_gradient(w: Any, g: Any, lr: float) -> Any:
    g *= lr
    return w - g, {}


class InPlace(tg.optim.Optimizer):
    """An optimiser whose update writes into the parameter."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr)

    def update(self, w: Any, g: Any, state: Any) -> Any:
        np.subtract(w, self.lr * g, out=w)
        return w, state


@pytest.mark.parametrize(
    "kind", [InPlace, *[type("Own", (tg.optim.Optimizer,), {"rule": staticmethod(f)}) for f in (in_place, in_gradient)]]
)
def test_a_step_that_writes_into_what_it_is_given_is_refused(kind: Any) -> None:
    w = parameter()
    w.grad = tg.ones(4)
    before, loss = w.data.copy(), (w * w).sum()
    with pytest.raises(ValueError, match="read-only") as caught:
        kind([w], 0.5).step()
    says = "a step must not modify the arrays that it gets, because graphs use them; write w = w - lr * g"
    assert caught.value.__notes__ == [says]
    assert np.array_equal(w.data, before)
    assert (gradient(w) == 1).all()
    loss.backward()
    assert np.array_equal(gradient(w), 2 * before + 1)


def test_what_a_step_returns_of_what_it_was_given_is_copied() -> None:
    class Same(tg.optim.Optimizer):
        state_names = ("last",)

        def __init__(self, params: Any) -> None:
            super().__init__(params, 0.5)

        def update(self, w: Any, g: Any, state: Any) -> Any:
            return w, {"last": g}

    w = parameter()
    w.grad = tg.ones(4)
    before, optimizer = w.data, Same([w])
    optimizer.step()
    kept = optimizer.state[0]["last"]
    for x, given in ((w.data, before), (kept, gradient(w))):
        assert np.array_equal(x, given)
        assert x.flags.writeable
        assert not np.shares_memory(x, given)


def test_a_rule_says_by_its_parameters_what_is_kept() -> None:
    def rule(w: Any, g: Any, total: Any, lr: float, last: Any = None) -> Any:
        return w - lr * total, {"total": total + g, "last": g}

    kind: Any = type(
        "Own", (tg.optim.Optimizer,), {"rule": staticmethod(rule), "init": lambda self, w: {"total": 0 * w}}
    )
    assert (kind.state_names, kind.optional_state_names) == (("total",), ("last",))
    assert (tg.optim.SGD.state_names, tg.optim.SGD.optional_state_names) == ((), ("velocity",))
    assert tg.optim.AdamW.state_names == ("step", "m", "v")


def test_a_class_without_a_rule_says_what_to_write() -> None:
    own: Any = type("Own", (tg.optim.Optimizer,), {})
    w = parameter()
    with pytest.raises(
        NotImplementedError, match=r"Own has no rule; write def update\(self, w, g, state\) in class Own"
    ):
        stepped(own([w], lr=0.1), w)


@pytest.mark.parametrize(
    ("result", "error", "match"),
    [
        (lambda w: None, TypeError, "update returned None .*; return the new array and the new state"),
        (lambda w: w, TypeError, r"update returned ndarray of shape \(4,\); return the new array and the new state"),
        (
            lambda w: (w, None),
            StateError,
            r"has the state None of type NoneType, needs \[\] in a dict; a class of your own",
        ),
        (lambda w: (w, {"m": w[:1]}), StateError, r"m of parameter 0 must be a number or an array of \(4,\), float64"),
        (lambda w: (w, {"m": w.astype("f4")}), StateError, r"got array.*; after module\.astype make a new optimiser"),
        (lambda w: (w, {"m": "1"}), StateError, "m of parameter 0 must be a number or an array"),
    ],
)
def test_what_an_update_returns_is_checked(result: Any, error: Any, match: str) -> None:
    own: Any = type("Own", (tg.optim.Optimizer,), {"update": lambda self, w, g, state: result(w - g)})
    w = parameter()
    optimizer = own([w], lr=0.1)
    with pytest.raises(error, match=match):
        stepped(optimizer, w)
    assert (w.data == parameter().data).all()
    assert optimizer.state == [{}]


def test_a_state_that_another_kind_of_update_keeps_is_refused() -> None:
    own: Any = type("Own", (tg.optim.Adam,), {"update": lambda self, w, g, state: (w - g, {"velocity": g})})
    with pytest.raises(StateError, match=r"has the state \['velocity'\], needs \['m', 'step', 'v'\]"):
        stepped(own([w := parameter()], lr=0.1), w)
    assert (w.data == parameter().data).all()


@pytest.mark.parametrize(
    ("state", "match"),
    [
        ("nonsense", "needs a list of a dict for each parameter, got 'nonsense' of type str"),
        ([], r"needs a list of a dict for each parameter, got \[\]"),
        ([{"velocity": np.ones(1)}], r"velocity of parameter 0 must be a number or an array of \(4,\), float64"),
        ([{"velocity": np.ones(4, "f4")}], "velocity of parameter 0 must be a number or an array of .*, float64"),
        ([{"m": np.ones(4)}], r"has the state \['m'\], needs \[\] in a dict"),
        ([3], r"has the state 3 of type int, needs \[\] in a dict"),
    ],
)
def test_a_state_is_checked_when_it_is_set(state: Any, match: str) -> None:
    w = parameter()
    optimizer = tg.optim.SGD([w], 0.1, momentum=0.9)
    with pytest.raises(StateError, match=match):
        optimizer.state = state
    optimizer.state = [{"velocity": np.ones(4)}]
    stepped(optimizer, w)


def test_an_optimiser_after_astype_says_to_make_a_new_one() -> None:
    layer = tg.nn.Linear(4, 1, seed=0)
    optimizer = tg.optim.Adam(layer.parameters())
    for dtype in (np.float64, np.float32):
        layer.astype(dtype)
        layer(np.ones((1, 4), dtype)).sum().backward()
        if dtype is np.float64:
            optimizer.step()
    with pytest.raises(StateError, match=r"m of parameter 0 must .*, float32; got .*; after module\.astype make a new"):
        optimizer.step()
    tg.optim.Adam(layer.parameters()).step()


def test_groups_and_their_parameters_stay() -> None:
    optimizer: Any = tg.optim.SGD([parameter()], 0.1)
    with pytest.raises(AttributeError, match=r"keeps its groups; set group\['lr'\], or write add_param_group"):
        optimizer.param_groups = []
    for name in ("params", "lr"):
        with pytest.raises(
            AttributeError, match=rf"group\.{name} can't be set; write group\['lr'\] = 0\.1, or make a new"
        ):
            setattr(optimizer.param_groups[0], name, [3])
    assert (len(optimizer.parameters), optimizer.lr) == (1, 0.1)


@pytest.mark.parametrize("changes", [{"momentum": 0.0}, {"dampening": 0.5}, {"momentum": 0, "dampening": 1}])
def test_nesterov_momentum_is_checked_when_it_is_set(changes: dict[str, float]) -> None:
    sgd: Any = tg.optim.SGD([parameter()], 0.1, momentum=0.9, nesterov=True)
    other: Any = tg.optim.SGD([{"params": [parameter()], "momentum": 0.9}, {"params": [parameter()]}], 0.1)
    before, words = sgd.state_dict(), "Nesterov momentum needs a momentum above 0, and no dampening"
    for name, value in changes.items():
        for change in (sgd.__setattr__, sgd.param_groups[0].__setitem__):
            with pytest.raises(ValueError, match=words):
                change(name, value)
    with pytest.raises(StateError, match=words):
        sgd.load_state_dict(before | {"param_groups": [before["param_groups"][0] | changes]})
    with pytest.raises(ValueError, match=words):
        sgd.add_param_group({"params": [parameter()], **changes})
    with pytest.raises(ValueError, match=words):
        other.nesterov = True
    assert sgd.state_dict() == before
    assert not any(group["nesterov"] for group in other.param_groups)


def test_hyperparameters_that_go_together_are_set_one_by_one_or_loaded_at_once() -> None:
    def made() -> Any:
        return tg.optim.SGD([{"params": [parameter()], "nesterov": True, "momentum": 0.5}], 0.1, dampening=0.0)

    sgd = made()
    sgd.nesterov = False
    sgd.momentum, sgd.dampening = 0.0, 0.5
    sgd.load_state_dict(made().state_dict())
    assert sgd.state_dict() == made().state_dict()
