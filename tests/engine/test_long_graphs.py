"""Long and deep graphs: a step per node, and no recursion."""

from __future__ import annotations

import numpy as np
import pytest
from slopes import leaf, slope

import tinygrad_nn as tg

LONG = 300_000


def test_a_chain_of_300_000_operations_goes_forward_backward_and_away() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(LONG // 3):
        y = -(y * 1.0) + 0.0
    y.backward()
    assert slope(x) == 1.0
    del y


@pytest.mark.parametrize("shape", [(), (2,)])
def test_a_long_recorded_chain_is_deleted_without_a_backward(shape: tuple[int, ...]) -> None:
    x = leaf(np.ones(shape))
    y = x
    for _ in range(LONG):
        y = y + 1.0
    assert y.data.ravel()[0] == LONG + 1
    del y
    assert x.grad is None


def test_a_long_chain_is_differentiated_through_a_retained_graph_twice_and_deleted() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(LONG):
        y = y + x
    y.backward(retain_graph=True)
    y.backward()
    assert slope(x) == 2 * (LONG + 1)
    del y


def test_a_long_chain_is_differentiated_with_create_graph_and_deleted() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(30_000):
        y = y * 1.0 + 0.0
    (g,) = tg.autograd.grad(y * y, x, create_graph=True)
    assert g is not None
    assert g.item() == 2.0
    (second,) = tg.autograd.grad(g, x)
    assert second is not None
    assert second.item() == 2.0
    del y, g


def test_a_sum_over_a_long_list_of_tensors_is_differentiated() -> None:
    xs = [leaf(float(i)) for i in range(2_000)]
    tg.stack(xs).sum().backward()
    assert all(slope(x) == 1.0 for x in xs)


def test_a_graph_with_exponentially_many_paths_takes_a_step_per_node() -> None:
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert slope(x) == 2.0**60
