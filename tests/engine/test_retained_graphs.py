"""Which graphs are freed, which are retained, and the gradients that intermediate tensors retain."""

from __future__ import annotations

import numpy as np
import pytest
from slopes import leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.errors import FreedGraphError, GradientError


def test_two_losses_share_a_subgraph_when_the_first_retains_it() -> None:
    x = leaf([1.0, 2.0])
    h = tg.exp(x)
    first, second = h.sum(), (h * h).sum()
    first.backward(retain_graph=True)
    second.backward()
    np.testing.assert_allclose(slope(x), np.exp(x.data) + 2 * np.exp(2 * x.data), rtol=1e-15)


def test_a_second_backward_through_a_freed_graph_says_what_to_pass() -> None:
    y = leaf(2.0) * 3
    y.backward()
    with pytest.raises(FreedGraphError, match="retain_graph=True"):
        y.backward()


def test_a_backward_through_a_subgraph_that_another_loss_freed_is_an_error_and_changes_nothing() -> None:
    x = leaf([1.0, 2.0])
    h = tg.exp(x)
    first, second = h.sum(), (h * x).sum()
    first.backward()
    before = slope(x).copy()
    with pytest.raises(FreedGraphError, match="freed by an earlier backward pass"):
        second.backward()
    np.testing.assert_array_equal(slope(x), before)


def test_a_new_operation_on_a_freed_tensor_is_refused_in_its_backward() -> None:
    y = leaf(2.0) * 3
    y.backward()
    with pytest.raises(FreedGraphError):
        (y * 2).backward()


def test_a_freed_graph_is_an_error_for_autograd_grad_too() -> None:
    x = leaf(2.0)
    y = x * x
    tg.autograd.grad(y, x)
    with pytest.raises(FreedGraphError):
        tg.autograd.grad(y, x)


def test_create_graph_retains_the_graph_by_default() -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(create_graph=True)
    y.backward()
    assert slope(x) == 12.0


def test_retain_graph_false_frees_also_under_create_graph() -> None:
    x = leaf(3.0)
    y = tg.exp(x)
    y.backward(create_graph=True, retain_graph=False)
    with pytest.raises(FreedGraphError):
        y.backward()


def test_only_what_was_used_is_freed_below_an_intermediate() -> None:
    x = leaf(2.0)
    h = x * x
    (g,) = tg.autograd.grad(h * 3, h)
    h.backward(g)
    assert slope(x) == 12.0


def test_only_what_was_used_is_freed_beside_the_wanted_input() -> None:
    x, z = leaf(2.0), leaf(3.0)
    a, b = x * x, z * z
    tg.autograd.grad(a * b, x)
    b.backward()
    assert slope(z) == 6.0


# retain_grad.


def test_an_intermediate_gets_a_gradient_only_when_it_retains_it() -> None:
    x = leaf([1.0, 2.0])
    kept, plain = x * 2, x * 3
    kept.retain_grad()
    (kept * plain).sum().backward()
    np.testing.assert_array_equal(slope(kept), plain.data)
    assert plain.grad is None


def test_retain_grad_on_a_leaf_changes_nothing() -> None:
    x = leaf(1.0)
    x.retain_grad()
    (x * 2).backward()
    assert slope(x) == 2.0


def test_retain_grad_on_a_tensor_that_records_nothing_is_an_error() -> None:
    with pytest.raises(GradientError, match="requires_grad=True"):
        tg.tensor(1.0).retain_grad()


def test_retain_grad_follows_the_handle_through_in_place_operations() -> None:
    x = leaf([1.0, 2.0])
    h = x * 1
    h.retain_grad()
    h *= 5
    h[0] = 7.0
    (h * 2).sum().backward()
    np.testing.assert_array_equal(slope(h), [2.0, 2.0])
    np.testing.assert_array_equal(slope(x), [0.0, 10.0])
