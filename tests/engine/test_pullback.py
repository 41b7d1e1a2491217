"""The loop of a backward pass, called directly: what it runs, what it copies and frees, and what it looks for."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import fail, leaf

import tinygrad_nn as tg
from tinygrad_nn.engine.node import Node
from tinygrad_nn.engine.reverse import pullback
from tinygrad_nn.engine.zero_safe import FLAG_TELLS
from tinygrad_nn.tensor.handle import make, node_of
from tinygrad_nn.testing import planted_rule


def pulled(seeds: dict[Node, Any], targets: set[Node] | None, **options: Any) -> dict[Node, Any]:
    return pullback(seeds, targets, make, **{"retain_graph": False, "create_graph": False} | options)


def nodes(*tensors: Any) -> list[Any]:
    return [node_of(t) for t in tensors]


# What it returns.


def test_a_wanted_node_gets_its_cotangent_and_no_other_node_does() -> None:
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    h = x * w
    y = h * h
    seed = np.array([1.0, 10.0])
    (at_x, at_h, at_y) = nodes(x, h, y)
    found = pulled({at_y: seed}, {at_x, at_h})
    assert set(found) == {at_x, at_h}
    np.testing.assert_array_equal(found[at_h], [6.0, 160.0])  # 2 h times the seed, h = [3, 8]
    np.testing.assert_array_equal(found[at_x], [18.0, 640.0])
    assert not np.shares_memory(found[at_h], seed)


def test_several_seeds_add_up_and_one_of_a_wanted_node_is_returned_as_a_copy() -> None:
    x = leaf([1.0, 2.0])
    h = x * 3
    y = h * 2
    seed = np.array([10.0, 20.0])
    at_x, at_h, at_y = nodes(x, h, y)
    found = pulled({at_y: np.array([1.0, 1.0]), at_h: seed}, {at_x, at_h, at_y})
    np.testing.assert_array_equal(found[at_h], [12.0, 22.0])
    np.testing.assert_array_equal(found[at_x], [36.0, 66.0])
    np.testing.assert_array_equal(seed, [10.0, 20.0])


def test_what_a_rule_made_for_the_pass_alone_becomes_the_gradient_without_a_copy() -> None:
    made: list[int] = []

    def rule(g: Any) -> Any:
        c = np.full(3, 7.0)
        made.append(c.__array_interface__["data"][0])
        return c

    x = leaf([1.0, 2.0, 3.0])
    with planted_rule(tg.exp, "x", rule):
        at_x, at_y = nodes(x, tg.exp(x))
        found = pulled({at_y: np.ones(3)}, {at_x})
    assert [found[at_x].__array_interface__["data"][0]] == made


# What it runs.


def test_no_rule_is_run_for_an_input_that_nobody_wants() -> None:
    x, w = leaf(2.0), leaf(3.0)
    at_x, at_y = nodes(x, x * tg.exp(w))
    with planted_rule(tg.multiply, "b", fail_with_g), planted_rule(tg.exp, "x", fail_with_g):
        found = pulled({at_y: np.array(1.0)}, {at_x})
    assert found[at_x] == np.exp(3.0)


def fail_with_g(g: Any) -> Any:
    fail()


@pytest.mark.parametrize("named", [True, False], ids=["wanted", "every leaf"])
def test_nodes_from_before_are_not_differentiated_even_if_they_were_freed(named: bool) -> None:
    x = leaf(2.0)
    h = x * x
    h.retain_grad()
    h.backward()
    at_h, at_y = nodes(h, h * 3)
    assert at_h.parents is None
    found = pulled({at_y: np.array(1.0)}, {at_h} if named else None, since=at_h.number + 1)
    assert list(found) == [at_h]
    assert found[at_h] == 3.0


@pytest.mark.parametrize("create_graph", [False, True])
def test_rules_and_hooks_record_only_where_the_derivatives_graph_is_asked_for(create_graph: bool) -> None:
    other, seen = leaf(1.0), list[bool]()

    def look(*_: Any) -> None:
        seen.append((other * 2).requires_grad)

    def rule(g: Any) -> Any:
        look()
        return g

    x = leaf(1.0)
    h = tg.exp(x)
    h.register_hook(look)
    with planted_rule(tg.exp, "x", rule), tg.no_grad():
        h.backward(create_graph=create_graph)
        look()
    assert seen == [create_graph, create_graph, False]


# What it frees.


@pytest.mark.parametrize("retain_graph", [False, True])
def test_a_node_is_freed_when_it_was_used_and_only_then(retain_graph: bool) -> None:
    x = leaf([1.0, 2.0])
    h = tg.exp(x)
    y = tg.exp(h)
    at_h, at_y = nodes(h, y)
    used: list[Any] = []
    h.register_hook(lambda g: used.append((at_y.parents is None, at_h.parents is None)))
    pulled({at_y: np.ones(2)}, None, retain_graph=retain_graph)
    assert used == [(not retain_graph, False)]
    assert (at_y.saved is None, at_h.saved is None) == (not retain_graph, not retain_graph)


def test_a_cotangent_is_let_go_of_as_soon_as_it_has_been_passed_on() -> None:
    made: list[Any] = []
    alive: list[int] = []

    def rule(g: Any) -> Any:
        alive.append(sum(c() is not None for c in made))
        c = np.full(3, 2.0)
        made.append(weakref.ref(c))
        return c

    y = leaf([1.0, 2.0, 3.0])
    for _ in range(4):
        y = tg.tanh(y)
    with planted_rule(tg.tanh, "x", rule):
        y.backward(np.ones(3))
    assert alive == [0, 1, 1, 1]  # what the rule is given, and no more


def test_a_rule_adds_into_what_another_rule_made_just_before() -> None:
    made: list[int] = []

    def rule(g: Any) -> Any:
        c = np.array([0.0, 0.0, 1.0])
        made.append(c.__array_interface__["data"][0])
        return c

    x = leaf([1.0, 2.0, 3.0])
    at_x, at_y = nodes(x, x[0] + tg.exp(x)[2])  # the newest is first: x[0] comes right after the rule
    with planted_rule(tg.exp, "x", rule):
        found = pulled({at_y: np.array(1.0)}, {at_x})
    np.testing.assert_array_equal(found[at_x], [1.0, 0.0, 1.0])
    assert [found[at_x].__array_interface__["data"][0]] == made


# What it looks for.


def _behind(mask: Callable[[Any], Any], value: float, seed: float) -> Any:
    x = leaf([value])
    with np.errstate(invalid="ignore"):
        y = mask(x)
    (g,) = tg.autograd.grad(y, x, np.array([seed]))
    assert g is not None
    return g.data[0]


def test_a_mask_alone_is_reason_enough_to_look_for_a_nan() -> None:
    """The seed has no zero, and 0 / nan raises no flag: only the operation says that something may be left out."""
    assert _behind(lambda x: tg.where(x > 0, tg.log(tg.sqrt(x)), 0.0), -1.0, 1.0) == 0.0


def test_a_nan_that_the_output_shows_is_told() -> None:
    """Nothing was left out: log(x) * 0 is nan itself, and so is its derivative; by a flag alone can that be known."""
    found = _behind(lambda x: tg.log(x) * 0.0, np.nan, 1.0)
    assert np.isnan(found) if FLAG_TELLS else found == 0
