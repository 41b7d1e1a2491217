"""The engine: what is recorded and freed, what backward promises, hooks, and the transforms."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from slopes import leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.engine.node import Node
from tinygrad_nn.errors import DisconnectedError, DtypeError, FreedGraphError, GradientError
from tinygrad_nn.testing import planted_rule

LONG = 300_000


def live_nodes() -> int:
    return sum(type(thing) is Node for thing in gc.get_objects())


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# What is recorded, and what a node keeps.


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


# Long and deep graphs.


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


# Flat memory.


def _plain_step(w: Any, x: Any) -> None:
    w.grad = None
    loss = ((tg.tanh(x @ w) - 1) ** 2).mean()
    loss.backward()
    with tg.no_grad():
        w -= 0.01 * w.grad


def _create_graph_step(w: Any, x: Any) -> None:
    w.grad = None
    ((tg.tanh(x @ w) - 1) ** 2).mean().backward(create_graph=True)
    (w.grad * w.grad).sum().backward()
    with tg.no_grad():
        w -= 0.01 * w.grad


def _abandoned_create_graph_step(w: Any, x: Any) -> None:
    w.grad = None
    tg.exp(x @ w).sum().backward(create_graph=True)


def _functional_step(w: Any, x: Any) -> None:
    (g,) = tg.autograd.grad(tg.sigmoid(x @ w).sum(), w, create_graph=True)
    assert g is not None
    tg.autograd.grad(g.sum(), w)


def _transform_step(w: Any, x: Any) -> None:
    tg.grad(lambda v: (tg.sigmoid(x @ v) @ w).sum())(w)
    tg.grad(tg.grad(lambda s: s**3 * 2))(1.0)


def _hooked_step(w: Any, x: Any) -> None:
    w.grad = None
    h = x @ w
    h.retain_grad()
    h.register_hook(lambda g: g * 2)
    h[0] = 1.0
    h += 1
    h.sum().backward()


def _failing_step(w: Any, x: Any) -> None:
    w.grad = None
    y = (x @ w).sum()
    y.backward()
    with pytest.raises(FreedGraphError):
        y.backward()


def _left_over(step: Callable[[Any, Any], None], repeats: int, rounds: int = 1) -> tuple[int, int]:
    """Return what a round of repeats left behind: objects in cycles, and blocks of memory beside them.

    A collection also empties the interpreter's free lists, which would look like growth, and its
    lists fill up in the first rounds; a leak shows in each of them, so the smallest counts.
    """
    w, x = leaf(np.full((3, 3), 0.1)), tg.ones((2, 3))
    left = []
    for _ in range(rounds):
        for _ in range(20):
            step(w, x)
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(repeats):
            step(w, x)
        cycles = gc.collect()
        left.append((cycles, sys.getallocatedblocks() - before))
    return max(cycles for cycles, _ in left), min(blocks for _, blocks in left)


def test_10_000_training_steps_leave_memory_flat_without_the_collector(no_collector: None) -> None:
    cycles, blocks = _left_over(_plain_step, 10_000)
    assert cycles < 100
    assert blocks < 100


@pytest.mark.parametrize(
    "step",
    [_create_graph_step, _abandoned_create_graph_step, _functional_step, _transform_step, _hooked_step, _failing_step],
)
def test_memory_stays_flat_without_the_collector(step: Callable[[Any, Any], None], no_collector: None) -> None:
    cycles, blocks = _left_over(step, 500, rounds=4)
    assert cycles < 100
    assert blocks < 50


def test_a_leak_of_one_block_a_step_is_noticed(no_collector: None) -> None:
    kept: list[Any] = []
    _, blocks = _left_over(lambda w, x: kept.append(object()), 500, rounds=4)
    assert blocks >= 500


# Backward: what it adds, how often, and where.


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_backward_accumulates_exactly_once_per_call(calls: int) -> None:
    x = leaf(2.0)
    h = x * x
    y = h * h + h
    for _ in range(calls):
        y.backward(retain_graph=True)
    assert slope(x) == calls * (4 * 2.0**3 + 2 * 2.0)


def test_intermediates_never_count_twice() -> None:
    x = leaf(2.0)
    h = x * 3
    h.retain_grad()
    y = h * 1
    y.backward(retain_graph=True)
    y.backward()
    assert slope(x) == 6.0
    assert slope(h) == 2.0


def test_two_losses_may_share_a_leaf() -> None:
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    tg.exp(x).sum().backward()
    np.testing.assert_allclose(slope(x), 2 * x.data + np.exp(x.data), rtol=1e-15)


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


def test_backward_of_a_leaf_gives_one() -> None:
    x = leaf(5.0)
    x.backward()
    x.backward()
    assert slope(x) == 2.0


def test_an_output_of_one_entry_in_any_shape_needs_no_cotangent() -> None:
    x = leaf([[3.0]])
    (x * x).backward()
    np.testing.assert_array_equal(slope(x), [[6.0]])


def test_a_non_scalar_output_needs_a_cotangent_and_says_so() -> None:
    with pytest.raises(GradientError, match=r"shape \(2,\).*output\.sum\(\)"):
        (leaf([1.0, 2.0]) * 2).backward()


@pytest.mark.parametrize("seed", [1.0, np.ones(3), np.ones((1, 2)), [[1.0], [1.0]]])
def test_a_cotangent_of_the_wrong_shape_is_an_error_that_names_both(seed: Any) -> None:
    with pytest.raises(GradientError, match=r"cotangent has shape .*the output \(2,\)"):
        (leaf([1.0, 2.0]) * 2).backward(seed)


@pytest.mark.parametrize("seed", [np.array([1j, 0]), np.array(["a", "b"]), np.array([None, None])])
def test_a_cotangent_of_no_real_dtype_is_refused(seed: Any) -> None:
    with pytest.raises(DtypeError):
        (leaf([1.0, 2.0]) * 2).backward(seed)


@pytest.mark.parametrize("seed", [[2.0, 3.0], (2, 3), np.array([2, 3]), np.array([2.0, 3.0], "f4"), tg.tensor([2, 3])])
def test_a_cotangent_is_any_real_array_of_the_outputs_shape(seed: Any) -> None:
    x = leaf([1.0, 1.0])
    (x * 10).backward(seed)
    np.testing.assert_array_equal(slope(x), [20.0, 30.0])
    assert slope(x).dtype == np.float64


def test_backward_of_a_tensor_that_records_nothing_names_the_way_out() -> None:
    with pytest.raises(GradientError, match="requires_grad=True"):
        tg.tensor(1.0).backward()
    with pytest.raises(GradientError, match="records nothing"):
        (leaf(1.0) * 2).detach().backward()


def test_a_gradient_that_was_read_keeps_its_value_when_more_accumulates() -> None:
    x = leaf([1.0])
    (x * 2).sum().backward()
    held, array = x.grad, slope(x)
    (x * 3).sum().backward()
    assert slope(x)[0] == 5.0
    assert held.data[0] == 2.0
    assert array[0] == 2.0


def test_zero_grad_forgets_the_gradient() -> None:
    x = leaf([1.0])
    (x * 2).sum().backward()
    x.zero_grad()
    assert x.grad is None


def test_a_gradient_reaches_a_leaf_through_its_handle_only_while_that_lives() -> None:
    x, w = leaf([3.0]), leaf([1.0])
    y = (x * w).sum()
    del x
    y.backward()
    np.testing.assert_array_equal(slope(w), [3.0])


# Whose memory a gradient is.

SHARING: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "positive": lambda a, b: tg.positive(a) + tg.positive(b),
    "reshape": lambda a, b: a.reshape(4) + b.reshape(4),
    "transpose": lambda a, b: a.T + b.T,
    "concatenate": lambda a, b: tg.concatenate([a, b]),
    "stack": lambda a, b: tg.stack([a, b, a]),
    "getitem": lambda a, b: a[:] + b[...],
    "sum": lambda a, b: a.sum() + b.sum(),
    "broadcast": lambda a, b: tg.broadcast_to(a, (3, 2, 2)) + b,
    "astype": lambda a, b: a.astype(np.float64) + b,
    "product": lambda a, b: a * b,
    "same twice": lambda a, b: a + a + b + b,
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("case", SHARING)
def test_every_gradient_owns_its_memory(case: str, create_graph: bool) -> None:
    a, b = leaf(np.ones((2, 2))), leaf(np.full((2, 2), 2.0))
    y = SHARING[case](a, b)
    if not y.is_leaf:
        y.retain_grad()
    seed = tg.ones(y.shape)
    y.backward(seed, create_graph=create_graph)
    arrays = [slope(a), slope(b), slope(y), seed.data, a.data, b.data, y.data]
    for i, array in enumerate(arrays[:3]):
        others = arrays[:i] + arrays[i + 1 :]
        assert not any(np.shares_memory(array, other) for other in others)
        assert array.flags.writeable


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("case", SHARING)
def test_every_result_of_autograd_grad_owns_its_memory(case: str, create_graph: bool) -> None:
    a, b = leaf(np.ones((2, 2))), leaf(np.full((2, 2), 2.0))
    y = SHARING[case](a, b)
    seed = tg.ones(y.shape)
    found = tg.autograd.grad(y, [a, b, y, a], seed, create_graph=create_graph)
    arrays = [g.data for g in found if g is not None] + [seed.data, a.data, b.data]
    for i, array in enumerate(arrays[:4]):
        assert not any(np.shares_memory(array, other) for other in arrays[:i] + arrays[i + 1 :])


def test_changing_one_gradient_under_create_graph_leaves_the_other() -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (a + b).sum().backward(create_graph=True)
    a.grad *= 0
    np.testing.assert_array_equal(slope(b), [1.0, 1.0])


def test_a_cotangent_that_is_passed_in_is_never_written_to() -> None:
    x, seed = leaf([1.0, 2.0]), np.array([1.0, 1.0])
    y = x + x + x
    y.backward(seed, retain_graph=True)
    y.backward(seed)
    np.testing.assert_array_equal(seed, [1.0, 1.0])
    np.testing.assert_array_equal(slope(x), [6.0, 6.0])


def test_a_retained_gradient_is_not_changed_by_the_pass_that_goes_on() -> None:
    x = leaf([1.0, 2.0])
    h = x * 1
    h.retain_grad()
    (h + 0 + x).sum().backward()
    np.testing.assert_array_equal(slope(h), [1.0, 1.0])
    np.testing.assert_array_equal(slope(x), [2.0, 2.0])


# A pass that fails.


def _fail(*_: Any) -> Any:
    raise RuntimeError("no derivative today")


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_failing_hook_leaves_every_gradient_as_it_was(create_graph: bool) -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (a * b).sum().backward()
    before = slope(a).copy(), slope(b).copy()
    h = a * 2
    h.register_hook(_fail)
    with pytest.raises(RuntimeError, match="no derivative today"):
        (h + b).sum().backward(create_graph=create_graph)
    np.testing.assert_array_equal(slope(a), before[0])
    np.testing.assert_array_equal(slope(b), before[1])


def test_a_failing_rule_leaves_every_gradient_as_it_was() -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = (tg.exp(a) + b).sum()
    with planted_rule(tg.exp, "x", lambda g: _fail()), pytest.raises(RuntimeError, match="no derivative today"):
        y.backward()
    assert a.grad is None
    assert b.grad is None


def test_a_failing_pass_leaves_recording_and_floating_point_flags_as_they_were() -> None:
    flags = np.geterr()
    h = leaf([1.0]) * 2
    h.register_hook(_fail)
    loss = h.sum()
    with pytest.raises(RuntimeError):
        loss.backward(create_graph=True)
    assert np.geterr() == flags
    assert (leaf(1.0) * 2).requires_grad


def test_a_rule_of_an_impossible_shape_names_the_operation() -> None:
    y = tg.exp(leaf([1.0, 2.0])).sum()
    with planted_rule(tg.exp, "x", lambda g: np.ones(3)), pytest.raises(ValueError, match=r"'exp'.*\(3,\).*\(2,\)"):
        y.backward()


# Hooks.


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
        tg.tensor(1.0).register_hook(_fail)


def test_hooks_run_in_autograd_grad_too() -> None:
    x = leaf(1.0)
    h = x * 1
    h.register_hook(lambda g: g * 7)
    (g,) = tg.autograd.grad(h * 2, x)
    assert g is not None
    assert g.item() == 14.0


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


def test_hooks_stay_with_the_old_value() -> None:
    seen: list[Any] = []
    x = leaf([1.0, 2.0])
    h = x * 1
    h.register_hook(lambda g: seen.append(g.data.copy()))
    h *= 5
    h.sum().backward()
    np.testing.assert_array_equal(seen, [[5.0, 5.0]])


# Gradients of gradients.


def test_gradients_are_tensors_at_every_order() -> None:
    x = leaf(2.0)
    (x**4).backward(create_graph=True)
    first = x.grad
    assert isinstance(first, tg.Tensor)
    assert first.requires_grad
    x.grad = None
    first.backward(create_graph=True)
    second = x.grad
    assert isinstance(second, tg.Tensor)
    x.grad = None
    second.backward()
    assert (first.item(), second.item(), slope(x).item()) == (32.0, 48.0, 48.0)
    assert not x.grad.requires_grad


DERIVATIVES: dict[str, tuple[Callable[[Any], Any], list[Callable[[float], float]]]] = {
    "sin": (tg.sin, [np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)]),
    "exp(2x)": (
        lambda x: tg.exp(2 * x),
        [lambda x: 2 * np.exp(2 * x), lambda x: 4 * np.exp(2 * x), lambda x: 8 * np.exp(2 * x)],
    ),
    "1/x": (lambda x: 1 / x, [lambda x: -1 / x**2, lambda x: 2 / x**3, lambda x: -6 / x**4]),
    "x log x": (lambda x: x * tg.log(x), [lambda x: np.log(x) + 1, lambda x: 1 / x, lambda x: -1 / x**2]),
    "x**5": (lambda x: x**5, [lambda x: 5 * x**4, lambda x: 20 * x**3, lambda x: 60 * x**2]),
    "x[0]**3": (lambda x: x.reshape(1)[0] ** 3, [lambda x: 3 * x**2, lambda x: 6 * x, lambda x: 6.0]),
    "assigned": (lambda x: _assigned(x), [lambda x: 4 * x**3, lambda x: 12 * x**2, lambda x: 24 * x]),
}


def _assigned(x: Any) -> Any:
    t = tg.zeros(2)
    t[0] = x * x
    t[1] = t[0]
    return t[0] * t[1]


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_to_third_order(name: str) -> None:
    function, derivatives = DERIVATIVES[name]
    x = leaf(0.7)
    g = function(x)
    for derivative in derivatives:
        (g,) = tg.autograd.grad(g, x, create_graph=True)
        assert g is not None
        np.testing.assert_allclose(g.item(), derivative(0.7), rtol=1e-12)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_nested_transforms_to_third_order(name: str) -> None:
    function, derivatives = DERIVATIVES[name]
    for derivative in derivatives:
        function = tg.grad(function)
        np.testing.assert_allclose(float(function(0.7)), derivative(0.7), rtol=1e-12)


def test_create_graph_accumulates_into_a_gradient_that_stays_differentiable() -> None:
    x = leaf(3.0)
    (x**2).backward(create_graph=True)
    (x**3).backward(create_graph=True)
    (second,) = tg.autograd.grad(x.grad, x)
    assert second is not None
    assert second.item() == 2 + 6 * 3


def test_create_graph_under_no_grad_accumulates_into_a_recorded_gradient() -> None:
    x = leaf(3.0)
    square, cube = x**2, x**3
    with tg.no_grad():
        square.backward(create_graph=True)
        cube.backward(create_graph=True)
    assert x.grad.requires_grad


def test_a_mixed_second_derivative_is_symmetric() -> None:
    x, y = leaf(2.0), leaf(3.0)
    f = x**2 * y**3
    fx, fy = tg.autograd.grad(f, [x, y], create_graph=True)
    (fxy,) = tg.autograd.grad(fx, y)
    (fyx,) = tg.autograd.grad(fy, x)
    assert fxy is not None
    assert fyx is not None
    assert fxy.item() == fyx.item() == 2 * 2 * 3 * 9


def test_the_cotangent_itself_is_differentiable_under_create_graph() -> None:
    x, v = leaf([1.0, 2.0]), leaf([0.0, 0.0])
    (g,) = tg.autograd.grad(x * x, x, grad_outputs=v, create_graph=True)
    (tangent,) = tg.autograd.grad(g, v, grad_outputs=np.array([1.0, 10.0]))
    assert tangent is not None
    np.testing.assert_array_equal(tangent.data, [2.0, 40.0])


# autograd.grad.


def test_gradients_with_respect_to_intermediate_tensors() -> None:
    x = leaf(2.0)
    h = x * x
    y = tg.exp(h)
    dh, dx = tg.autograd.grad(y * 1, [h, x])
    assert dh is not None
    assert dx is not None
    np.testing.assert_allclose([dh.item(), dx.item()], [np.exp(4.0), 4 * np.exp(4.0)], rtol=1e-15)


def test_an_output_is_its_own_input() -> None:
    y = leaf(2.0) * 3
    (g,) = tg.autograd.grad(y, y)
    assert g is not None
    assert g.item() == 1.0


def test_autograd_grad_touches_no_grad_and_retains_nothing() -> None:
    x = leaf(2.0)
    h = x * x
    h.retain_grad()
    tg.autograd.grad(h * 1, x)
    assert x.grad is None
    assert h.grad is None


def test_several_outputs_are_summed_and_an_output_listed_twice_counts_twice() -> None:
    x = leaf(3.0)
    y = x * x
    (g,) = tg.autograd.grad([y, y, x * 1], x)
    assert g is not None
    assert g.item() == 13.0


def test_an_output_inside_the_graph_of_another_gets_both_cotangents() -> None:
    x = leaf(3.0)
    h = x * x
    (g,) = tg.autograd.grad([h, h * 5], x, grad_outputs=[1.0, 1.0])
    assert g is not None
    assert g.item() == 36.0


def test_grad_outputs_must_be_as_many_as_the_outputs() -> None:
    x = leaf(3.0)
    with pytest.raises(ValueError, match="2 outputs need 2 grad_outputs"):
        tg.autograd.grad([x * 1, x * 2], x, grad_outputs=[1.0])


def test_an_input_that_nothing_connects_raises_or_gives_none() -> None:
    x, z = leaf(1.0), leaf(2.0)
    with pytest.raises(DisconnectedError, match=r"input 1.*allow_unused=True"):
        tg.autograd.grad(x * 2, [x, z], retain_graph=True)
    dx, dz = tg.autograd.grad(x * 2, [x, z], allow_unused=True)
    assert dx is not None
    assert dx.item() == 2.0
    assert dz is None


def test_an_input_cut_off_by_detach_raises() -> None:
    x = leaf(1.0)
    with pytest.raises(DisconnectedError, match="detach"):
        tg.autograd.grad(x.detach() * leaf(2.0), x)


def test_an_input_that_records_nothing_is_an_error() -> None:
    with pytest.raises(GradientError, match="input 0 records nothing"):
        tg.autograd.grad(leaf(1.0) * 2, tg.tensor(1.0))


# Transforms.


def test_nested_differentiation_keeps_the_variables_apart() -> None:
    assert float(tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(5.0)) == 1.0


def test_the_outer_variable_may_be_the_inner_argument() -> None:
    inner = tg.grad(lambda y: y**3)
    assert float(tg.grad(lambda x: x * inner(x))(2.0)) == 3 * 3 * 4.0
    assert float(tg.grad(lambda x: tg.grad(lambda y: x * y * y)(x))(3.0)) == 4 * 3.0


@pytest.mark.parametrize("function", [lambda x: tg.tensor(3.0), lambda x: tg.ones(()) * 2])
def test_transforms_give_zeros_where_nothing_connects(function: Callable[[Any], Any]) -> None:
    np.testing.assert_array_equal(tg.grad(function)(np.ones(2)).data, [0.0, 0.0])


def test_the_second_derivative_of_a_linear_function_is_zero() -> None:
    assert float(tg.grad(tg.grad(lambda x: 3 * x))(1.0)) == 0.0


def test_zeros_keep_the_arguments_shape_and_dtype() -> None:
    g = tg.grad(lambda x, y: (y * 2).sum(), argnums=0)(np.ones((2, 3), np.float32), tg.ones(2))
    assert g.shape == (2, 3)
    assert g.dtype == np.float32


def test_value_and_grad_returns_both_without_a_graph() -> None:
    value, g = tg.value_and_grad(lambda x: (x * x).sum())(np.array([1.0, 2.0]))
    assert value.item() == 5.0
    np.testing.assert_array_equal(g.data, [2.0, 4.0])
    assert not value.requires_grad
    assert not g.requires_grad


def test_what_comes_beside_the_value_is_handed_through() -> None:
    (value, aux), g = tg.value_and_grad(lambda x: (x * x, {"twice": 2.0}), has_aux=True)(3.0)
    assert (value.item(), aux, g.item()) == (9.0, {"twice": 2.0}, 6.0)
    assert tg.grad(lambda x: (x * x, "aux"), has_aux=True)(3.0)[1] == "aux"


@pytest.mark.parametrize(("argnums", "expected"), [(0, 3.0), (1, 2.0), (-1, 2.0), ((0, 1), (3.0, 2.0)), ((1,), (2.0,))])
def test_argnums_choose_the_arguments(argnums: Any, expected: Any) -> None:
    found = tg.grad(lambda x, y: x * y, argnums=argnums)(2.0, 3.0)
    assert (tuple(map(float, found)) if isinstance(found, tuple) else float(found)) == expected


@pytest.mark.parametrize("argnums", [(0, 0), (0, -2)])
def test_an_argument_named_twice_gets_its_gradient_twice_or_an_error(argnums: tuple[int, int]) -> None:
    try:
        found = tg.grad(lambda x, y: x * y, argnums=argnums)(2.0, 3.0)
    except ValueError:
        return
    assert tuple(map(float, found)) == (3.0, 3.0)


def test_an_argument_that_is_not_there_is_an_error() -> None:
    with pytest.raises((IndexError, ValueError), match="argnums 1"):
        tg.grad(lambda x: x * x, argnums=1)(1.0)


def test_arguments_may_be_nested() -> None:
    parameters = {"w": np.array([1.0, 2.0]), "layers": [np.array(3.0), (np.array(4.0),)]}
    g = tg.grad(lambda p: (p["w"] * p["layers"][0]).sum() * p["layers"][1][0])(parameters)
    np.testing.assert_array_equal(g["w"].data, [12.0, 12.0])
    assert float(g["layers"][0]) == 12.0
    assert float(g["layers"][1][0]) == 9.0


def test_a_transform_leaves_the_callers_tensors_alone() -> None:
    x = leaf([1.0, 2.0])
    tg.grad(lambda v: (v * v).sum())(x)
    assert x.grad is None


def test_a_transform_of_a_function_that_uses_an_outer_parameter_stays_differentiable() -> None:
    w = leaf(2.0)
    g = tg.grad(lambda x: w * x * x)(3.0)
    g.backward()
    assert slope(w) == 6.0


def test_transforms_work_under_no_grad_and_record_nothing_there() -> None:
    x = leaf(3.0)
    with tg.no_grad():
        g = tg.grad(lambda v: v * v * x)(x)
    assert g.item() == 18.0
    assert not g.requires_grad


def test_a_function_to_differentiate_returns_one_number() -> None:
    with pytest.raises(GradientError, match=r"shape \(2,\)"):
        tg.grad(lambda x: x * 2)(np.ones(2))
    with pytest.raises(TypeError, match="returns a Tensor, got float"):
        tg.grad(lambda x: 2.0)(1.0)


@pytest.mark.parametrize("x", [2, True, np.array([1, 2])])
def test_transforms_refuse_integers_and_booleans(x: Any) -> None:
    with pytest.raises(DtypeError, match="floats"):
        tg.grad(lambda v: (v * 1.0).sum())(x)


# Memory kept for reuse.


def test_keep_memory_says_whether_it_keeps() -> None:
    assert tg.keep_memory(True) in (True, False)
    assert tg.keep_memory(False) is False
    tg.keep_memory(True)


_PROBE = """
import tinygrad_nn as tg
from tinygrad_nn.engine import allocator
calls = []
allocator.keep_memory, kept = lambda keep=True: calls.append(keep), allocator.keep_memory
{first}
x = tg.tensor(1.0, requires_grad=True)
print(len(calls), end=" ")
(x * x).backward()
print(len(calls))
"""


@pytest.mark.parametrize(
    ("first", "variable", "expected"),
    [("", None, "0 1"), ("", "0", "0 0"), ("kept(False)", None, "0 0")],
    ids=["by the first backward", "variable turns it off", "keep_memory(False) turns it off"],
)
def test_memory_is_kept_from_the_first_backward_on_and_never_by_the_import(
    first: str, variable: str | None, expected: str
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TINYGRAD_NN_KEEP_MEMORY"}
    if variable is not None:
        environment["TINYGRAD_NN_KEEP_MEMORY"] = variable
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", _PROBE.format(first=first)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert run.stdout.strip() == expected
