"""Nodes: what is recorded, and what a node keeps and frees."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.engine.node import Node


def live_nodes() -> int:
    return sum(type(thing) is Node for thing in gc.get_objects())


def test_nothing_is_recorded_without_a_tensor_that_requires_grad() -> None:
    y = tg.tensor([1.0, 2.0]) * 3 + 1
    assert not y.requires_grad
    assert y.is_leaf


def test_a_result_requires_grad_as_soon_as_one_input_does() -> None:
    y = tg.tensor([1.0, 2.0]) * leaf(3.0)
    assert y.requires_grad
    assert not y.is_leaf


def test_leaves_are_those_that_no_operation_computed() -> None:
    x = leaf([1.0])
    assert x.is_leaf
    assert (x * 2).detach().is_leaf
    assert not (x * 2).is_leaf


def test_detach_shares_the_array_and_records_nothing() -> None:
    y = leaf([1.0, 2.0]) * 2
    assert np.shares_memory(y.detach().data, y.data)
    assert not y.detach().requires_grad


@pytest.mark.parametrize(
    "follow",
    [lambda h: h + 1, lambda h: -h, lambda h: h.sum(), lambda h: h.reshape(-1), lambda h: h[0], tg.exp, tg.relu],
    ids=["add", "negative", "sum", "reshape", "getitem", "exp", "relu"],
)
def test_an_input_that_no_rule_reads_is_freed_with_its_handle(follow: Callable[[Any], Any]) -> None:
    h = leaf(np.ones((3, 4))) * 2
    array = weakref.ref(h.data)
    y = follow(h)
    base = y.data.base is not None
    del h
    assert base or array() is None
    y.sum().backward()


def test_a_dense_layer_keeps_neither_the_product_nor_the_sum() -> None:
    x, w, b = tg.ones((5, 3)), leaf(np.ones((3, 4))), leaf(np.ones(4))
    product = x @ w
    total = product + b
    arrays = [weakref.ref(product.data), weakref.ref(total.data)]
    y = tg.relu(total)
    del product, total
    assert [array() for array in arrays] == [None, None]
    y.sum().backward()
    np.testing.assert_array_equal(slope(b), np.full(4, 5.0))


def test_a_product_keeps_only_the_factor_that_the_other_ones_gradient_needs() -> None:
    x, data = leaf(np.ones(3)), tg.ones(3)
    h = x * 2
    array = weakref.ref(h.data)
    y = h * data
    del h
    assert array() is None
    y.sum().backward()


def test_a_graph_is_freed_by_reference_counting_alone(no_collector: None) -> None:
    before = live_nodes()
    x = leaf(np.ones(3))
    y = tg.exp(x * 2).sum() + (x[0] - x.mean()) ** 2
    assert live_nodes() > before + 5
    del x, y
    assert live_nodes() == before


def test_backward_frees_arrays_as_it_goes() -> None:
    x = leaf(np.ones(1000))
    h = x * 2
    seen: list[Any] = []
    y = tg.exp(h)
    array = weakref.ref(y.data)
    h.register_hook(lambda g: seen.append(array()))
    loss = y.sum()
    del y, h
    loss.backward()
    assert len(seen) == 1
    assert seen[0] is None


def test_backward_frees_the_nodes_though_the_output_lives(no_collector: None) -> None:
    x = leaf(np.ones(3))
    before = live_nodes()
    y = (tg.exp(x) * 2).sum()
    y.backward()
    assert live_nodes() <= before + 1
    assert y.requires_grad
