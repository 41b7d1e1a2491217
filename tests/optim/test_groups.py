"""Groups of parameters with hyperparameters of their own, names of parameters, and states by them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.errors import StateError

OPTIM: Any = tg.optim


def leaves(n: int = 3) -> list[Any]:
    return [tg.tensor(np.arange(1.0, 3.0) + i, requires_grad=True) for i in range(n)]


def stepped(optimizer: Any, steps: int = 2) -> None:
    """Step by gradients that depend on the parameters."""
    for _ in range(steps):
        for p in optimizer.parameters:
            p.grad = tg.tensor(np.sin(p.data))
        optimizer.step()


def test_a_group_has_what_it_is_given_and_else_the_optimisers() -> None:
    a, b, c = leaves()
    optimizer = tg.optim.Adam([{"params": [a], "lr": 0.5, "betas": (0.5, 0.75)}, {"params": b}], lr=0.1)
    optimizer.add_param_group({"params": [c], "eps": 1e-3})
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1, 0.1]
    assert [group["betas"] for group in optimizer.param_groups] == [(0.5, 0.75), (0.9, 0.999), (0.9, 0.999)]
    assert [group["eps"] for group in optimizer.param_groups] == [1e-8, 1e-8, 1e-3]
    assert optimizer.parameters == [a, b, c] or all(x is y for x, y in zip(optimizer.parameters, (a, b, c)))
    assert list(optimizer.param_groups[1]) == ["params", "lr", "betas", "eps", "weight_decay", "amsgrad"]
    assert len(optimizer.param_groups[1]) == 6
    assert optimizer.param_groups[0]["params"] == (a,)


def test_what_is_set_on_the_optimiser_is_set_in_all_groups() -> None:
    a, b, _ = leaves()
    optimizer = tg.optim.SGD([{"params": [a], "lr": 0.5}, {"params": [b]}], lr=0.1)
    with pytest.raises(ValueError, match=r"the groups differ in lr; write optimizer\.param_groups\[0\]\['lr'\]"):
        optimizer.lr
    assert optimizer.momentum == 0
    optimizer.lr = 0.25
    assert optimizer.lr == 0.25
    optimizer.param_groups[1]["lr"] = np.float32(0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.125]
    assert repr(optimizer).startswith("SGD([1 parameters, lr=0.25, momentum=0.0,")
    assert "[1 parameters, lr=0.125," in repr(optimizer)


def test_an_optimiser_of_ones_own_has_groups_too() -> None:
    class Decayed(tg.optim.SGD):
        decay = tg.optim.Hyperparameter(below=1)

        def __init__(self, parameters: Any, lr: float, decay: float) -> None:
            super().__init__(parameters, lr)
            self.decay, self.scale = decay, 1.0

        def update(self, w: Any, g: Any, state: Any) -> Any:
            return super().update(w, self.scale * g + self.decay * w, state)

    a, b, _ = leaves()
    optimizer = Decayed([{"params": [a], "decay": 0.5}, {"params": [b]}], 0.1, decay=0.0)
    optimizer.scale = 0.0
    before = a.data, b.data
    stepped(optimizer, 1)
    assert np.allclose(a.data, 0.95 * before[0], rtol=1e-15)
    assert same(b.data, before[1])


def test_the_state_is_by_name_where_names_were_given() -> None:
    a, b, _ = leaves()
    named = tg.optim.SGD([("b", b), ("a", a)], 0.1, momentum=0.5)
    stepped(named)
    saved = named.state_dict()
    assert set(saved["state"]) == {"a", "b"}
    assert same(saved["state"]["a"], named.state[1])
    other = leaves()
    resumed = tg.optim.SGD([("a", other[0]), ("b", other[1])], 0.1, momentum=0.5)
    resumed.load_state_dict(saved)
    assert same(resumed.state, named.state[::-1])
    plain = tg.optim.SGD([a, b], 0.1, momentum=0.5)
    with pytest.raises(StateError, match="these are not the groups of this optimiser"):
        plain.load_state_dict(saved)
    with pytest.raises(StateError, match=r"load such as \[{'params': \['b', 'a'\], .*, got .*'params': \[0, 1\]"):
        named.load_state_dict(plain.state_dict())
    missing = {**saved, "state": {"a": saved["state"]["a"]}}
    with pytest.raises(StateError, match=r"an entry for each of \['b', 'a'\], got {'a': "):
        named.load_state_dict(missing)


def test_a_modules_named_parameters() -> None:
    network = tg.nn.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": "sigmoid"}])
    optimizer = tg.optim.Adam(network.named_parameters())
    assert list(optimizer.state_dict()["state"]) == [name for name, _ in network.named_parameters()]


@pytest.mark.parametrize("named", [False, True])
def test_the_state_of_groups_loads_back(named: bool) -> None:
    def made() -> Any:
        p = [(name, x) if named else x for name, x in zip("abc", leaves())]
        return tg.optim.RMSprop([{"params": p[:2], "momentum": 0.5}, {"params": p[2:], "centered": True}], lr=0.01)

    first, second = made(), made()
    stepped(first)
    first.param_groups[1]["lr"] = 0.5
    saved = first.state_dict()
    keys: list[Any] = [["a", "b"], ["c"]] if named else [[0, 1], [2]]
    assert [group["params"] for group in saved["param_groups"]] == keys
    for p, q in zip(first.parameters, second.parameters):
        q.data = p.data.copy()
    second.load_state_dict(saved)
    assert second.param_groups[1]["lr"] == 0.5
    for optimizer in (first, second):
        stepped(optimizer)
    assert same([p.data for p in first.parameters], [p.data for p in second.parameters])
    assert set(first.state[0]) == {"v", "velocity"}
    assert set(first.state[2]) == {"v", "m"}
    other = tg.optim.RMSprop([{"params": first.parameters[:1]}, {"params": first.parameters[1:]}])
    groups: list[Any] = [saved["param_groups"][:1], None, [{}, {}], [{"params": [0]}, {"params": [1, 2]}]]
    for wrong in groups:
        with pytest.raises(StateError, match="these are not the groups of this optimiser; load such as"):
            other.load_state_dict({"param_groups": wrong, "state": saved["state"]})


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RMSprop", "Adagrad"])
def test_every_optimiser_resumes(name: str) -> None:
    whole, parted = leaves(), leaves()
    first, second = (getattr(tg.optim, name)(p, lr=0.01, weight_decay=0.01) for p in (whole, parted))
    stepped(first, 4)
    stepped(second)
    third = getattr(tg.optim, name)(parted)
    third.load_state_dict(second.state_dict())
    stepped(third)
    assert same([p.data for p in whole], [p.data for p in parted])


def test_momentum_of_rmsprop_and_a_centred_mean_can_start_late() -> None:
    (w,) = leaves(1)
    optimizer = tg.optim.RMSprop([w])
    stepped(optimizer)
    optimizer.momentum, optimizer.centered = 0.5, True
    stepped(optimizer)
    assert set(optimizer.state[0]) == {"v", "m", "velocity"}


def test_a_centred_variance_never_falls_below_zero() -> None:
    w = tg.tensor([1.0], requires_grad=True)
    optimizer = tg.optim.RMSprop([w], alpha=0.5, centered=True)
    for _ in range(200):
        w.grad = tg.tensor([0.1])
        optimizer.step()
    assert np.isfinite(w.data).all()


A, B, C = leaves()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: OPTIM.SGD([{"params": [A]}, B]), TypeError, "a group needs the key 'params', and may have lr, mom"),
        (lambda: OPTIM.SGD([{"lr": 0.1}]), TypeError, r"a group needs the key 'params', .* got \['lr'\]"),
        (lambda: OPTIM.SGD([{"params": [A], "betas": 1}]), TypeError, r"got \['params', 'betas'\]"),
        (lambda: OPTIM.SGD([{"params": [A], "lr": -1}]), ValueError, "learning rate must be a finite number, 0 or"),
        (lambda: OPTIM.SGD([{"params": [A]}, {"params": [A, B]}]), ValueError, "must be in one group only; leave it"),
        (lambda: OPTIM.SGD([("a", A), B]), ValueError, r"parameters need a name each, .* got \['a', None\]"),
        (lambda: OPTIM.SGD([(A, B)]), ValueError, "parameters need a name each"),
        (lambda: OPTIM.SGD([("a", A), ("a", B)]), ValueError, r"and different ones, got \['a', 'a'\]"),
        (lambda: OPTIM.SGD([{"params": [("a", A)]}, {"params": [B]}]), ValueError, "pass named_parameters.. for all"),
        (lambda: OPTIM.SGD(tg.nn.Module()), TypeError, r"write model\.parameters\(\)"),
        (lambda: OPTIM.SGD([{"params": tg.nn.Module()}]), TypeError, r"write model\.parameters\(\)"),
        (lambda: OPTIM.SGD([A], nesterov=True), ValueError, "Nesterov momentum needs a momentum above 0"),
        (lambda: OPTIM.SGD([A], 0.1, 0.9, 0.5, nesterov=True), ValueError, "and no dampening"),
        (lambda: OPTIM.SGD([A], nesterov=1), TypeError, "nesterov must be True or False, got 1 of type int"),
        (lambda: OPTIM.SGD([A]).param_groups[0].__setitem__("eps", 1), KeyError, "set one of lr, momentum"),
        (lambda: OPTIM.SGD([A]).param_groups[0]["eps"], KeyError, "is no hyperparameter here; set one of lr"),
        (lambda: OPTIM.RMSprop([A], alpha=1), ValueError, "alpha must be at least 0 and below 1"),
    ],
)
def test_bad_groups_are_refused(make: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_groups_are_kept() -> None:
    optimizer: Any = tg.optim.SGD([A], 0.1)
    group = {"params": [B], "lr": 1.0}
    with pytest.raises(AttributeError, match=r"keeps its groups; set group\['lr'\], or write add_param_group\(...\)"):
        optimizer.param_groups[0] = group
    with pytest.raises(AttributeError, match="an optimiser keeps its groups"):
        optimizer.param_groups.append(group)
    for name in ("param_groups", "defaults"):
        with pytest.raises(AttributeError, match="an optimiser keeps its groups"):
            setattr(optimizer, name, [group])
    assert optimizer.param_groups[0]["params"] == (A,)


def test_a_group_that_does_not_fit_changes_nothing() -> None:
    optimizer = tg.optim.SGD([A], 0.1)
    bad: list[dict[str, Any]] = [{"params": [B], "lr": "1"}, {"params": [A]}]
    for wrong in bad:
        with pytest.raises((TypeError, ValueError)):
            optimizer.add_param_group(wrong)
    assert len(optimizer.param_groups) == len(optimizer.state) == 1


def test_a_copy_of_an_optimiser_has_groups_of_its_own() -> None:
    optimizer = tg.optim.SGD([{"params": leaves(1), "lr": 0.5}, {"params": leaves(1)}], 0.1, momentum=0.5)
    stepped(optimizer)
    twin = copy.deepcopy(optimizer)
    stepped(optimizer)
    stepped(twin)
    assert same([p.data for p in optimizer.parameters], [p.data for p in twin.parameters])
    twin.lr = 0.25
    assert optimizer.param_groups[0]["lr"] == 0.5
