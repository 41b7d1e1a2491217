"""Hooks: what they are handed, what they may return, and when they run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from slopes import fail, leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.errors import FreedGraphError, GradientError


def test_a_hook_sees_the_whole_gradient_once() -> None:
    seen: list[Any] = []
    x = leaf([1.0, 2.0])
    h = x * 1
    h.register_hook(lambda g: seen.append(g.data.copy()))
    (h * 2 + h * 3).sum().backward()
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], [5.0, 5.0])


def test_what_a_hook_returns_replaces_the_gradient_and_none_does_not() -> None:
    x = leaf([1.0, 2.0])
    h = x * 2
    h.register_hook(lambda g: None)
    h.register_hook(lambda g: g * 10)
    h.sum().backward()
    np.testing.assert_array_equal(slope(x), [20.0, 20.0])


def test_hooks_run_in_the_order_of_registration() -> None:
    x = leaf(1.0)
    x.register_hook(lambda g: g + 1)
    x.register_hook(lambda g: g * 10)
    (x * 1).backward()
    assert slope(x) == 20.0


def test_a_removed_hook_no_longer_runs_and_can_be_removed_twice() -> None:
    x = leaf(1.0)
    remove = x.register_hook(lambda g: g * 10).remove
    remove()
    remove()
    (x * 1).backward()
    assert slope(x) == 1.0


def test_removing_a_hook_twice_spares_the_one_registered_since() -> None:
    x = leaf(1.0)
    remove = x.register_hook(lambda g: g * 10).remove
    remove()
    x.register_hook(lambda g: g * 5)
    remove()
    (x * 1).backward()
    assert slope(x) == 5.0


def test_a_hook_may_remove_itself() -> None:
    x = leaf(1.0)
    removers: list[Any] = []
    removers.append(x.register_hook(lambda g: removers[0].remove()))
    (x * 1).backward()
    assert slope(x) == 1.0


@pytest.mark.parametrize("create_graph", [False, True])
def test_what_a_hook_is_handed_is_private_to_it(create_graph: bool) -> None:
    def vandal(g: Any) -> None:
        g.data[...] = 99.0

    x, seed = leaf([1.0, 2.0]), tg.ones(2)
    h = x + 0
    h.retain_grad()
    h.register_hook(vandal)
    x.register_hook(vandal)
    h.backward(seed, create_graph=create_graph)
    np.testing.assert_array_equal(slope(x), [1.0, 1.0])
    np.testing.assert_array_equal(slope(h), [1.0, 1.0])
    np.testing.assert_array_equal(seed.data, [1.0, 1.0])


@pytest.mark.parametrize("create_graph", [False, True])
def test_what_a_hook_returned_and_kept_is_not_the_gradient(create_graph: bool) -> None:
    kept: list[Any] = []

    def keep(g: Any) -> Any:
        kept.append(g * 2)
        return kept[0]

    x = leaf([1.0, 2.0])
    x.register_hook(keep)
    (x * 1).sum().backward(create_graph=create_graph)
    assert not np.shares_memory(kept[0].data, slope(x))


@pytest.mark.parametrize("lifted", [lambda array: array, tg.Tensor], ids=["array", "tensor"])
def test_what_a_hook_returned_may_change_afterwards(lifted: Any) -> None:
    """The hook of the newest node returns an array, and one that runs later writes into it."""
    returned = np.array([1.0, 1.0])
    x, b = leaf([1.0, 2.0]), leaf([0.0, 0.0])
    older = x + 0  # to which its sum hands on what the hook returned: it waits there, while the next hook runs
    between = b * 3
    newest = older + 0
    newest.register_hook(lambda g: lifted(returned))
    between.register_hook(lambda g: returned.fill(99.0))
    (newest.sum() + between.sum()).backward()
    np.testing.assert_array_equal(returned, [99.0, 99.0])
    np.testing.assert_array_equal(slope(x), [1.0, 1.0])


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("result", [np.array([3.0, 4.0]), [3.0, 4.0], tg.tensor([3.0, 4.0])], ids=type)
@pytest.mark.parametrize("on_leaf", [False, True])
def test_a_hook_may_return_arrays_and_the_gradient_keeps_its_dtype(
    result: Any, create_graph: bool, on_leaf: bool
) -> None:
    x = leaf([1.0, 2.0], np.float32)
    h = x * 1
    (x if on_leaf else h).register_hook(lambda g: result)
    h.sum().backward(create_graph=create_graph)
    assert isinstance(x.grad, tg.Tensor)
    assert x.grad.dtype == np.float32
    np.testing.assert_array_equal(slope(x), [3.0, 4.0])


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_that_changes_the_shape_is_an_error(create_graph: bool) -> None:
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: g.sum())
    with pytest.raises(ValueError, match="hook"):
        (x * 1).sum().backward(create_graph=create_graph)
    assert x.grad is None


@pytest.mark.parametrize("returned", ["a", [[1.0], [2.0, 3.0]], {1.0}], ids=["text", "uneven", "set"])
def test_what_no_gradient_can_be_made_of_is_told_to_come_from_a_hook(returned: Any) -> None:
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: returned)
    with pytest.raises((TypeError, ValueError)) as found:
        (x * 1).sum().backward()
    assert found.value.__notes__[-1] == (
        "the cotangent that a hook returned must be an array of shape (2,), as its tensor is"
    )


def test_a_hook_that_can_not_be_called_is_refused_when_it_is_registered() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match="function of the gradient, got 3 of type int; write lambda g"):
        x.register_hook(3)
    (x * 1).sum().backward()
    np.testing.assert_array_equal(slope(x), [1.0, 1.0])


def test_a_hook_under_create_graph_is_differentiated_too() -> None:
    x = leaf(3.0)
    h = x * 1
    remove = h.register_hook(lambda g: g * g).remove
    (g,) = tg.autograd.grad(h * h, x, create_graph=True)
    remove()
    assert g is not None
    assert g.item() == 36.0
    (second,) = tg.autograd.grad(g, x)
    assert second is not None
    assert second.item() == 24.0


def test_a_hook_on_a_tensor_that_records_nothing_is_an_error() -> None:
    with pytest.raises(GradientError, match="records nothing"):
        tg.tensor(1.0).register_hook(fail)


def test_hooks_run_in_autograd_grad_too() -> None:
    x = leaf(1.0)
    h = x * 1
    h.register_hook(lambda g: g * 7)
    (g,) = tg.autograd.grad(h * 2, x)
    assert g is not None
    assert g.item() == 14.0


def test_hooks_stay_with_the_old_value() -> None:
    seen: list[Any] = []
    x = leaf([1.0, 2.0])
    h = x * 1
    h.register_hook(lambda g: seen.append(g.data.copy()))
    h *= 5
    h.sum().backward()
    np.testing.assert_array_equal(seen, [[5.0, 5.0]])


@pytest.mark.parametrize("create_graph", [False, True])
def test_what_a_hook_returned_is_copied_before_the_next_one_runs(create_graph: bool) -> None:
    x = leaf([1.0, 2.0])
    h = x * 1.0
    own = tg.tensor([3.0, 4.0])

    def change(g: Any) -> None:
        own.data[...] = 0

    h.register_hook(lambda g: own)
    h.register_hook(change)
    h.sum().backward(create_graph=create_graph)
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, [3.0, 4.0])


@pytest.mark.parametrize("retain_graph", [None, True])
def test_a_hook_that_differentiates_the_same_graph_loses_no_gradient(retain_graph: bool | None) -> None:
    """The pass of the hook frees what the other one was about to read, or else both add to the gradient."""
    x = leaf(2.0)
    h = x * x
    a, b = h * 3, h * 5
    a.register_hook(lambda g: b.backward(retain_graph=retain_graph))
    if retain_graph:
        a.backward()
        np.testing.assert_array_equal(slope(x), 2 * 2.0 * (3 + 5))
    else:
        with pytest.raises(FreedGraphError, match="freed by an earlier backward pass"):
            a.backward()


def test_a_zero_that_a_hook_makes_stays_zero() -> None:
    x = leaf([-1.0, 4.0])
    with np.errstate(invalid="ignore"):
        y = tg.sqrt(x)
    y.register_hook(lambda g: tg.where(np.array([False, True]), g, 0.0))
    y.sum().backward()
    np.testing.assert_array_equal(slope(x), [0.0, 0.25])
