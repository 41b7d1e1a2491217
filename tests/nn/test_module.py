"""Modules find their parameters, once each, and load a state entirely or not at all."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.engine.trees import leaves, map_leaves


class Affine(tg.nn.Module):
    def __init__(self, n: int) -> None:
        self.weight = tg.ones((n, 2), requires_grad=True)
        self.offset = tg.zeros(n)  # no parameter: it doesn't require grad
        self.size = n


class Tower(tg.nn.Module):
    def __init__(self) -> None:
        self.layers = [Affine(1), Affine(2)]
        self.heads = {"left": Affine(3)}
        self.tied = self.layers[0].weight


def test_parameters_are_found_in_attributes_lists_dicts_and_modules_once_each() -> None:
    tower = Tower()
    names = [name for name, _ in tower.named_parameters()]
    assert names == ["layers.0.weight", "layers.1.weight", "heads.left.weight"]
    assert [p.shape for p in tower.parameters()] == [(1, 2), (2, 2), (3, 2)]


def test_zero_grad_forgets_every_gradient() -> None:
    tower = Tower()
    sum((p.sum() for p in tower.parameters()), tg.tensor(0.0)).backward()
    assert all(p.grad is not None for p in tower.parameters())
    tower.zero_grad()
    assert all(p.grad is None for p in tower.parameters())


def test_a_state_is_a_copy_that_loads_back() -> None:
    tower, other = Tower(), Tower()
    state = tower.state_dict()
    state["layers.0.weight"] += 1
    np.testing.assert_array_equal(tower.layers[0].weight.data, 1.0)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.layers[0].weight.data, 2.0)
    assert other.tied is other.layers[0].weight
    state["layers.0.weight"] += 1
    np.testing.assert_array_equal(other.layers[0].weight.data, 2.0)


def test_a_state_that_does_not_fit_lists_all_that_is_wrong_and_changes_nothing() -> None:
    tower = Tower()
    state: dict[str, Any] = {
        "layers.0.weight": np.zeros((5, 5)),
        "heads.left.weight": np.zeros((3, 2), np.float32),
        "stray": np.zeros(1),
    }
    with pytest.raises(tg.errors.StateError) as caught:
        tower.load_state_dict(state)
    for part in (
        "layers.1.weight is missing",
        "stray is not a parameter here",
        "layers.0.weight has shape (5, 5), needs (1, 2)",
        "heads.left.weight has dtype float32, needs float64: use .astype",
    ):
        assert part in str(caught.value)
    assert all((p.data == 1).all() for p in tower.parameters())


def test_parameters_that_are_replaced_by_tensors_without_grad_stay_parameters() -> None:
    tower = Tower()
    twin = tower.with_parameters({name: tg.zeros(p.shape) for name, p in tower.named_parameters()})
    assert [name for name, _ in twin.named_parameters()] == [name for name, _ in tower.named_parameters()]
    again = twin.with_parameters({"layers.1.weight": tg.ones((2, 2))})
    assert [float(p.sum()) for p in again.parameters()] == [0.0, 4.0, 0.0]


def test_a_module_is_pushed_forward_along_a_module_of_tangents() -> None:
    def value(tower: Tower) -> Any:
        return sum(((k + 1) * (p * p).sum() for k, p in enumerate(tower.parameters())), tg.tensor(0.0))

    tower = Tower()  # sizes 2, 4 and 6, all ones: the derivative along twice the weights is 4 (2 + 2 * 4 + 3 * 6)
    tangents = map_leaves(lambda p: tg.Tensor(2 * p.data), tower)
    assert tg.jvp(value, (tower,), (tangents,))[1].item() == 112.0
    assert tg.gradcheck(value, tower)


def test_a_frozen_parameter_and_a_constant_stay_in_the_state() -> None:
    tower, other = Tower(), Tower()
    tower.layers[0].weight.requires_grad = False
    assert [name for name, _ in tower.named_parameters()] == [name for name, _ in other.named_parameters()]
    state = tower.state_dict()
    assert sorted(state) == sorted(other.state_dict())
    assert {"layers.0.weight", "layers.0.offset", "heads.left.offset"} < state.keys()
    state = {name: array + 1 for name, array in state.items()}
    tower.load_state_dict(state)
    np.testing.assert_array_equal(tower.layers[0].weight.data, 2.0)
    np.testing.assert_array_equal(tower.layers[0].offset.data, 1.0)
    assert not tower.layers[0].weight.requires_grad


def test_a_state_is_a_dict() -> None:
    with pytest.raises(tg.errors.StateError, match="dict of arrays by name, got None"):
        Tower().load_state_dict(None)  # type: ignore[arg-type]


class Pair(NamedTuple):
    a: Any
    b: Any


def test_containers_keep_their_nesting() -> None:
    tree = {"x": [1, (2, 3)], "y": Pair(4, {"z": 5})}
    assert list(leaves(tree)) == [1, 2, 3, 4, 5]
    doubled = map_leaves(lambda n: 2 * n, tree)
    assert doubled == {"x": [2, (4, 6)], "y": Pair(8, {"z": 10})}
    assert type(doubled["y"]) is Pair


def test_gradients_have_the_nesting_of_their_argument() -> None:
    gradient = tg.grad(lambda p: (p["w"] * p["pair"].a).sum() + p["pair"].b[0])(
        {"w": np.array([1.0, 2.0]), "pair": Pair(np.array([3.0, 4.0]), [5.0, 6.0])}
    )
    np.testing.assert_array_equal(gradient["w"].data, [3.0, 4.0])
    np.testing.assert_array_equal(gradient["pair"].a.data, [1.0, 2.0])
    assert [float(g) for g in gradient["pair"].b] == [1.0, 0.0]
