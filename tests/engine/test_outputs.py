"""The cotangent of several outputs: parts that add up, zeros for what is missing, and the nodes of single outputs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from slopes import leaf

import tinygrad_nn as tg
from tinygrad_nn.engine.arrays import raw
from tinygrad_nn.engine.cotangents import Cotangents
from tinygrad_nn.engine.node import Node, record
from tinygrad_nn.engine.outputs import ITEM, Parts, item
from tinygrad_nn.tensor.handle import make

SHAPES: Any = ((2,), (), (1, 2))


def whole_node(dtype: Any = np.float64) -> Node:
    """Return the node of an operation with three outputs of these shapes."""
    return record(SimpleNamespace(multiple_outputs=True), (), None, SimpleNamespace(shape=SHAPES, dtype=dtype))


def part(index: int, g: Any) -> Parts:
    return ITEM.rules[0].pull(g, (index, SHAPES, np.float64))


def test_parts_add_up_output_by_output() -> None:
    total = part(0, np.array([1.0, 2.0])) + part(2, np.array([[5.0, 6.0]])) + part(0, np.array([10.0, 20.0]))
    assert sorted(total) == [0, 2]
    np.testing.assert_array_equal(total[0], [11.0, 22.0])
    np.testing.assert_array_equal(total[2], [[5.0, 6.0]])
    assert (total.shape, total.dtype) == (SHAPES, np.float64)


def test_adding_up_writes_into_nobodys_array() -> None:
    first, second = np.array([1.0, 2.0]), np.array([10.0, 20.0])
    np.testing.assert_array_equal((part(0, first) + part(0, second))[0], [11.0, 22.0])
    np.testing.assert_array_equal(first, [1.0, 2.0])
    np.testing.assert_array_equal(second, [10.0, 20.0])


def test_what_is_missing_is_zeros_in_the_outputs_own_shape_and_dtype() -> None:
    g = np.float32(3.0)
    found = part(1, g).whole(whole_node(np.float32), None)
    assert found[1] is g
    assert list(found.arrived) == [1]
    assert [y.shape for y in found] == list(SHAPES)
    assert [type(y) for y in (found[0], found[2])] == [np.ndarray, np.ndarray]
    assert {y.dtype for y in found} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(found[0], [0.0, 0.0])
    np.testing.assert_array_equal(found[2], [[0.0, 0.0]])


def test_what_is_missing_is_tensors_of_zeros_where_cotangents_are_tensors() -> None:
    g = leaf([1.0, 2.0])
    found = part(0, g).whole(whole_node(), make)
    assert found[0] is g
    assert [type(y) for y in found] == [tg.Tensor] * 3
    assert [y.requires_grad for y in found] == [True, False, False]
    np.testing.assert_array_equal(found[2].data, [[0.0, 0.0]])


def test_the_node_of_one_output_keeps_which_one_and_no_array() -> None:
    n = whole_node()
    y = np.ones((1, 2))
    one = item(n, 2, y)
    assert one.operation is ITEM
    assert one.parents == (n,)
    assert one.saved == (2, SHAPES, np.float64)
    assert (one.shape, one.dtype) == ((1, 2), np.float64)
    assert one.number > n.number


@pytest.mark.parametrize("create_graph", [False, True])
def test_the_cotangents_of_two_outputs_arrive_as_one_and_leave_as_a_tuple(create_graph: bool) -> None:
    n = whole_node()
    arrived = Cotangents({}, make, create_graph)
    kind = tg.tensor if create_graph else np.array
    for index, g in [(2, kind([[5.0, 6.0]])), (0, kind([1.0, 2.0])), (2, kind([[0.5, 0.5]]))]:
        one = item(n, index, g)
        (rule,) = ITEM.rules
        arrived.arrive(n, rule.pull(g, one.saved), one, rule)
    found = arrived.leave(n)
    assert isinstance(found, tuple)
    assert [type(g) for g in found] == [tg.Tensor if create_graph else np.ndarray] * 3
    first, second, third = [raw(g) for g in found]
    np.testing.assert_array_equal(first, [1.0, 2.0])
    assert (second, second.shape) == (0.0, ())
    np.testing.assert_array_equal(third, [[5.5, 6.5]])


def test_taking_one_output_is_linear_and_neither_pointwise_nor_a_mask() -> None:
    assert (ITEM.linear, ITEM.pointwise, ITEM.masks, ITEM.multiple_outputs) == (True, False, False, False)


def test_the_tangent_of_one_output_is_taken_from_those_of_all() -> None:
    one = item(whole_node(), 1, np.float64(0.0))
    tangents = (np.array([1.0, 2.0]), np.float64(3.0), np.array([[5.0, 6.0]]))
    assert ITEM.applied([tangents], one.saved) == 3.0
    assert tuple(ITEM.lift_saved(one, make)) == one.saved
