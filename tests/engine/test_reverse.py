"""Reverse mode: what backward adds and where, whose memory a gradient is, and passes that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import fail, leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.errors import DtypeError, GradientError
from tinygrad_nn.testing import planted_rule

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
    with pytest.raises(ValueError, match=r"cotangent has shape .*the output \(2,\)"):
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


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_failing_hook_leaves_every_gradient_as_it_was(create_graph: bool) -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (a * b).sum().backward()
    before = slope(a).copy(), slope(b).copy()
    h = a * 2
    h.register_hook(fail)
    with pytest.raises(RuntimeError, match="no derivative today"):
        (h + b).sum().backward(create_graph=create_graph)
    np.testing.assert_array_equal(slope(a), before[0])
    np.testing.assert_array_equal(slope(b), before[1])


def test_a_failing_rule_leaves_every_gradient_as_it_was() -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = (tg.exp(a) + b).sum()
    with planted_rule(tg.exp, "x", lambda g: fail()), pytest.raises(RuntimeError, match="no derivative today"):
        y.backward()
    assert a.grad is None
    assert b.grad is None


def test_a_failing_pass_leaves_recording_and_floating_point_flags_as_they_were() -> None:
    flags = np.geterr()
    h = leaf([1.0]) * 2
    h.register_hook(fail)
    loss = h.sum()
    with pytest.raises(RuntimeError):
        loss.backward(create_graph=True)
    assert np.geterr() == flags
    assert (leaf(1.0) * 2).requires_grad


def test_a_rule_of_an_impossible_shape_names_the_operation() -> None:
    y = tg.exp(leaf([1.0, 2.0])).sum()
    with planted_rule(tg.exp, "x", lambda g: np.ones(3)), pytest.raises(ValueError, match=r"'exp'.*\(3,\).*\(2,\)"):
        y.backward()


def test_a_cotangent_of_a_foreign_kind_is_refused() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    with pytest.raises(tg.errors.DtypeError):
        (x * 1).backward(np.array([1j]))
