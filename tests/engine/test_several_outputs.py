"""Operations with several outputs: one node for all of them, and one for each output that is used."""

from typing import Any

import numpy as np
import pytest
from slopes import leaf

import tinygrad_nn as tg
from tinygrad_nn.engine.node import history
from tinygrad_nn.engine.outputs import ITEM
from tinygrad_nn.errors import FreedGraphError


def operations(t: tg.Tensor) -> list[str]:
    assert t._node is not None
    return [node.operation.name for node in history([t._node]) if node.operation is not None]


def test_iterating_records_one_unstack_and_an_item_for_each_slice() -> None:
    x = leaf(np.arange(12.0).reshape(4, 3))
    rows = list(x)
    assert [row.shape for row in rows] == [(3,)] * 4
    whole = {row._node.parents[0] for row in rows if row._node is not None and row._node.parents is not None}
    assert len(whole) == 1
    assert operations(tg.stack(rows).sum()).count("unstack") == 1
    assert operations(rows[2].sum()).count(ITEM.name) == 1


def test_an_output_that_is_not_used_gets_zeros() -> None:
    x = leaf(np.arange(6.0).reshape(3, 2))
    _, middle, _ = x
    (middle * middle).sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, [[0, 0], [4, 6], [0, 0]])


def test_every_order_goes_through_all_outputs() -> None:
    x = leaf([2.0, 3.0, 5.0])
    a, b, c = x
    (g,) = tg.autograd.grad(a * a * b * c, x, create_graph=True)
    np.testing.assert_array_equal(g.data, [2 * 2 * 15, 20, 12])
    (h,) = tg.autograd.grad(g[0], x, create_graph=True)
    np.testing.assert_array_equal(h.data, [30, 20, 12])
    (third,) = tg.autograd.grad(h[1], x)
    np.testing.assert_array_equal(third.data, [10, 0, 4])


def test_an_output_that_rules_read_too_gets_both_cotangents() -> None:
    """At second order an output has two item nodes: that of its handle, and the rule's own."""

    def slope(x: Any) -> Any:
        a = leaf(x)
        w, v = tg.linalg.eigh(a)
        (g,) = tg.autograd.grad(((w + v[0]) ** 2 * v[1]).sum(), a, create_graph=True)
        assert g is not None
        return a, (g * [[1.0, 2.0], [3.0, 4.0]]).sum()

    x = np.array([[2.0, 0.5], [0.5, 3.0]])
    a, along = slope(x)
    (second,) = tg.autograd.grad(along, a)
    assert second is not None
    for unit in np.array([[[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]]) * 1e-5:
        expected = (slope(x + unit)[1].item() - slope(x - unit)[1].item()) / 2
        np.testing.assert_allclose(np.sum(second.data * unit), expected, rtol=1e-7)


def test_hooks_and_retained_gradients_of_one_output() -> None:
    x = leaf([1.0, 2.0])
    a, b = x
    a.retain_grad()
    b.register_hook(lambda g: g * 10)
    (a * b).backward()
    assert a.grad is not None
    assert x.grad is not None
    assert a.grad.item() == 2.0
    np.testing.assert_array_equal(x.grad.data, [2.0, 10.0])


def test_outputs_can_be_asked_for_alone() -> None:
    a, b = leaf([1.0, 2.0])
    (g,) = tg.autograd.grad(a * b, b)
    assert g is not None
    assert g.item() == 1.0


def test_a_freed_item_says_so() -> None:
    a, b = leaf([1.0, 2.0])
    (a * 2).backward()
    with pytest.raises(FreedGraphError, match="retain_graph"):
        (b * 3).backward()


def test_a_nan_in_a_slice_that_is_left_out_stays_out() -> None:
    x = leaf([[4.0], [-1.0]])
    with np.errstate(invalid="ignore"):
        kept, _ = np.log(x) * 2
    kept.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, [[0.5], [0.0]])


def test_a_long_iteration_is_linear() -> None:
    """Each slice's cotangent is stored once; nothing of the whole's size is made per slice."""
    x = leaf(np.ones((3000, 40)))
    total: Any = 0.0
    for row in x:
        total = total + (row * row).sum()
    (g,) = tg.autograd.grad(total, x, create_graph=True)
    np.testing.assert_array_equal(g.data, 2.0)
    (h,) = tg.autograd.grad(g.sum(), x)
    np.testing.assert_array_equal(h.data, 2.0)
