"""In-place syntax and assignment: what they mean, record and refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from by_folds import one_by_one
from operands import BINARY, constant, masked
from slopes import leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.errors import DetachedError, InplaceError


def _in_place(t: Any, operator: str, v: Any) -> Any:
    match operator:
        case "+=":
            t += v
        case "-=":
            t -= v
        case "*=":
            t *= v
        case "/=":
            t /= v
        case "**=":
            t **= v
        case "@=":
            t @= v
    return t


@pytest.mark.parametrize("operator", ["+=", "-=", "*=", "/=", "**="])
def test_in_place_operators_on_a_computed_tensor_record_like_their_plain_forms(operator: str) -> None:
    x, v = leaf([2.0, 3.0]), leaf([1.5, 0.5])
    t = x * 1
    alias = t
    assert _in_place(t, operator, v) is alias
    expected = BINARY[operator[:-1]](x, v)
    np.testing.assert_array_equal(alias.data, expected.data)
    gx, gv = tg.autograd.grad(t.sum(), [x, v])
    wanted = tg.autograd.grad(expected.sum(), [x, v])
    for found, plain in zip((gx, gv), wanted, strict=True):
        assert found is not None
        assert plain is not None
        np.testing.assert_array_equal(found.data, plain.data)


def test_in_place_matmul_keeps_the_shape() -> None:
    x = leaf(np.ones((2, 2)))
    t = x * 1
    t @= np.array([[0.0, 1.0], [1.0, 0.0]])
    t.sum().backward()
    np.testing.assert_array_equal(slope(x), np.ones((2, 2)))
    with pytest.raises(ValueError, match="shape"):
        t @= np.ones((2, 3))


def test_a_graph_recorded_before_differentiates_the_old_value() -> None:
    x = leaf([2.0, 3.0])
    t = x * 1
    before = (t * t).sum()
    t *= 10
    t[0] = 0.0
    before.backward(retain_graph=True)
    np.testing.assert_array_equal(slope(x), [4.0, 6.0])
    x.grad = None
    (t * t).sum().backward()
    np.testing.assert_array_equal(slope(x), [0.0, 600.0])


def test_a_graph_recorded_before_an_update_differentiates_the_old_parameter() -> None:
    w = leaf([2.0, 3.0])
    y = (w * w).sum()
    with tg.no_grad():
        w -= np.array([1.0, 1.0])
        w[0] = 50.0
    y.backward()
    np.testing.assert_array_equal(slope(w), [4.0, 6.0])
    np.testing.assert_array_equal(w.data, [50.0, 2.0])


def test_aliases_see_the_new_value_and_slices_do_not() -> None:
    t = constant([[1.0, 2.0], [3.0, 4.0]])
    alias, row = t, t[0]
    t[0, 1] = 9.0
    t += 1
    np.testing.assert_array_equal(alias.data, [[2.0, 10.0], [4.0, 5.0]])
    np.testing.assert_array_equal(row.data, [1.0, 2.0])


def test_a_slice_is_a_value_not_a_window() -> None:
    t = constant([[1.0, 2.0], [3.0, 4.0]])
    t[0][1] = 9.0
    t.T[0, 0] = 9.0
    t.reshape(-1)[0] = 9.0
    t.detach()[0, 0] = 9.0
    np.testing.assert_array_equal(t.data, [[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize("operator", ["+=", "-=", "*=", "/=", "**="])
def test_changing_a_recording_leaf_names_the_way_out(operator: str) -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(InplaceError, match=r"leaf.*no_grad\(\)"):
        _in_place(x, operator, 2.0)
    with pytest.raises(InplaceError, match=r"leaf.*no_grad\(\)"):
        x[0] = 2.0
    np.testing.assert_array_equal(x.data, [1.0, 2.0])
    assert x.is_leaf


def test_an_update_under_no_grad_keeps_the_leaf() -> None:
    w = leaf([1.0, 2.0])
    same = w
    (w * w).sum().backward()
    with tg.no_grad():
        w -= 0.5 * w.grad
        w[0] = 7.0
    assert same is w
    assert w.is_leaf
    assert w.requires_grad
    np.testing.assert_array_equal(w.data, [7.0, 0.0])
    w.grad = None
    (w * w).sum().backward()
    np.testing.assert_array_equal(slope(w), [14.0, 0.0])


def test_changing_a_computed_tensor_under_no_grad_is_an_error() -> None:
    t = leaf([1.0, 2.0]) * 1
    with tg.no_grad():
        with pytest.raises(InplaceError, match=r"t\.detach\(\)"):
            t += 1
        with pytest.raises(InplaceError, match="no_grad"):
            t[0] = 1
    np.testing.assert_array_equal(t.data, [1.0, 2.0])


def test_a_constant_becomes_recorded_when_a_recorded_value_is_assigned() -> None:
    x = leaf([2.0, 3.0])
    t, u = tg.zeros(2), tg.ones(2)
    t[0] = x[1] * 5
    u *= x
    assert t.requires_grad
    assert u.requires_grad
    (t.sum() + u.sum()).backward()
    np.testing.assert_array_equal(slope(x), [1.0, 6.0])


def test_a_constant_stays_one_when_a_recorded_value_is_assigned_under_no_grad() -> None:
    x, t = leaf([2.0]), tg.zeros(1)
    with tg.no_grad():
        t[0] = x[0]
        t += x
    assert not t.requires_grad
    assert t.item() == 4.0


def test_in_place_operations_keep_shape_and_dtype() -> None:
    t = constant([1.0, 2.0], np.float32)
    t += np.array([0.5, 0.5])
    assert t.dtype == np.float32
    with pytest.raises(ValueError, match=r"shape \(3, 2\).*\(2,\).*t = t \+ v"):
        t += np.ones((3, 2))
    n = constant([1, 2])
    with pytest.raises(TypeError, match=r"dtype float64.*int64"):
        n += 0.5
    n += 1
    np.testing.assert_array_equal(n.data, [2, 3])


def test_in_place_gradients_keep_the_dtype_of_both_sides() -> None:
    x, v = leaf([1.0, 2.0], np.float32), leaf([1.0, 2.0], np.float64)
    t = x * 1
    t *= v
    t[0] = v[1]
    assert t.dtype == np.float32
    t.sum().backward()
    assert slope(x).dtype == np.float32
    assert slope(v).dtype == np.float64
    np.testing.assert_array_equal(slope(x), [0.0, 2.0])
    np.testing.assert_array_equal(slope(v), [0.0, 3.0])


# Item assignment.


def test_assignment_differentiates_value_and_rest() -> None:
    x, v = leaf(np.ones((2, 3))), leaf([5.0, 6.0])
    t = x * 2
    t[:, 1] = v * v
    (t * np.arange(6.0).reshape(2, 3)).sum().backward()
    np.testing.assert_array_equal(slope(x), [[0.0, 0.0, 4.0], [6.0, 0.0, 10.0]])
    np.testing.assert_array_equal(slope(v), [10.0, 48.0])


def test_duplicate_indices_give_the_gradient_to_the_write_that_survived() -> None:
    v = leaf([5.0, 6.0])
    y = tg.zeros(3)
    y[[0, 0]] = v
    np.testing.assert_array_equal(y.data, [6.0, 0.0, 0.0])
    y.sum().backward()
    np.testing.assert_array_equal(slope(v), [0.0, 1.0])


DUPLICATES: dict[str, Any] = {
    "list": [0, 2, 0, 2],
    "negative": [0, -3, 2, -1],
    "tuple": ((0, 2, 0, 2),),
    "range": (range(2),),
    "two axes": ([0, 1, 0, 1], [1, 1, 1, 1]),
    "two tuples": ((0, 1, 0, 1), (1, 1, 1, 1)),
    "tensor": tg.tensor([0, 2, 0]),
    "with slice": ([0, 0, 1], slice(None, 2)),
    "split by a slice": ([0, 0], slice(None), [1, 1]),
    "mask": np.array([True, False, True]),
    "rows": [[0, 0], [1, 0]],
}


@pytest.mark.parametrize("case", DUPLICATES)
def test_assignment_with_duplicates_sends_each_entry_home_once(case: str) -> None:
    index = DUPLICATES[case]
    plain = index.data if isinstance(index, tg.Tensor) else index
    target = np.zeros((3, 3, 2))
    values = np.arange(1.0, target[plain].size + 1).reshape(target[plain].shape)
    target[plain] = values
    v = leaf(values)
    t = tg.zeros((3, 3, 2))
    t[index] = v
    np.testing.assert_array_equal(t.data, target)
    t.sum().backward()
    np.testing.assert_array_equal(slope(v), np.isin(values, target).astype(float))


@pytest.mark.parametrize("case", DUPLICATES)
def test_reading_duplicates_accumulates(case: str) -> None:
    index = DUPLICATES[case]
    plain = index.data if isinstance(index, tg.Tensor) else index
    x = leaf(np.zeros((3, 3, 2)))
    y = x[index]
    seed = np.arange(1.0, y.size + 1).reshape(y.shape)
    expected = np.zeros((3, 3, 2))
    one_by_one(np.add, expected, plain, seed)
    for create_graph in (False, True):
        (g,) = tg.autograd.grad(x[index], x, seed, create_graph=create_graph)
        assert g is not None
        np.testing.assert_array_equal(g.data, expected)


@pytest.mark.parametrize(
    ("index", "shape"),
    [
        (slice(0, 2), ()),
        (slice(0, 2), (1,)),
        (slice(0, 2), (1, 2)),
        (slice(0, 2), (1, 1, 1)),
        ([0, 0, 1], (1,)),
        ([0, 0, 1], (1, 3)),
        (Ellipsis, (3,)),
        (np.array([True, False, True]), (2,)),
        (0, ()),
    ],
)
def test_a_value_is_broadcast_as_numpy_does_and_its_gradient_summed(index: Any, shape: tuple[int, ...]) -> None:
    v = leaf(np.full(shape, 2.0))
    t = tg.zeros(3)
    t[index] = v
    expected = np.zeros(3)
    expected[index] = 2.0
    np.testing.assert_array_equal(t.data, expected)
    t.sum().backward()
    assert slope(v).shape == shape
    assert slope(v).sum() == np.count_nonzero(expected)


@pytest.mark.parametrize("nest", [list, tuple])
def test_assigning_a_list_of_recorded_tensors_keeps_their_graph_or_raises(nest: Callable[[Any], Any]) -> None:
    v = leaf([1.0, 2.0])
    t = tg.zeros(2)
    try:
        t[0:2] = nest([v[0], v[1] * 3])
    except DetachedError:
        return
    t.sum().backward()
    np.testing.assert_array_equal(slope(v), [1.0, 3.0])


def test_plain_values_may_be_lists_tuples_and_arrays() -> None:
    t = tg.zeros((2, 2))
    t[0] = [1, 2]
    t[1] = (3, 4)
    np.testing.assert_array_equal(t.data, [[1.0, 2.0], [3.0, 4.0]])
    t[:] = np.eye(2, dtype=int)
    np.testing.assert_array_equal(t.data, np.eye(2))


@pytest.mark.parametrize(
    "value",
    [None, "7", object(), masked(), np.array(["2020", "2021"], "M8[Y]"), np.array([1, 2], "m8[s]"),
     np.array([1, 2], object), np.array(["1", "2"])],
    ids=["None", "text", "object", "masked", "datetime", "timedelta", "object array", "text array"],
)  # fmt: skip
def test_values_that_no_tensor_can_be_made_of_are_refused_in_an_assignment(value: Any) -> None:
    t = constant([1.0, 2.0])
    with pytest.raises(TypeError):
        t[:] = value
    np.testing.assert_array_equal(t.data, [1.0, 2.0])


@pytest.mark.parametrize("value", [1j, np.array([1j, 2]), constant(1j)], ids=["number", "array", "tensor"])
def test_a_complex_value_is_refused_by_a_real_tensor(value: Any) -> None:
    t = constant([1.0, 2.0])
    with pytest.raises(TypeError):
        t[:] = value


def test_a_recorded_value_is_not_truncated_into_an_integer_tensor() -> None:
    t = constant([1, 2])
    with pytest.raises(TypeError):
        t[0] = leaf(1.5)
    assert not t.requires_grad


def test_assignment_outside_the_tensor_is_numpys_error() -> None:
    t = constant([1.0, 2.0])
    with pytest.raises(IndexError):
        t[5] = 1.0
    with pytest.raises(IndexError):
        t[0.5] = 1.0
    with pytest.raises(ValueError, match="broadcast"):
        t[:] = [1.0, 2.0, 3.0]


def test_an_index_is_private_to_what_was_recorded() -> None:
    x, index = leaf([1.0, 2.0, 3.0]), np.array([0, 1])
    y = x[index]
    t = tg.zeros(3)
    t[index] = x[:2] * 2
    index[:] = 2
    (y.sum() + t.sum()).backward()
    np.testing.assert_array_equal(slope(x), [3.0, 3.0, 0.0])


def test_a_value_is_private_to_the_tensor_that_it_was_assigned_to() -> None:
    t, value = tg.zeros(2), np.array([1.0, 2.0])
    t[:] = value
    value[:] = 9.0
    np.testing.assert_array_equal(t.data, [1.0, 2.0])


def test_assignment_is_differentiable_to_second_order() -> None:
    x = leaf([2.0, 3.0])
    t = x * x
    t[0] = x[0] ** 3
    (g,) = tg.autograd.grad((t * t).sum(), x, create_graph=True)
    assert g is not None
    np.testing.assert_allclose(g.data, np.array([6 * 2.0**5, 4 * 3.0**3]))
    (second,) = tg.autograd.grad(g.sum(), x)
    assert second is not None
    np.testing.assert_allclose(second.data, [30 * 2.0**4, 12 * 3.0**2])


def test_a_0d_tensor_is_assigned_by_an_empty_index() -> None:
    x = leaf(2.0)
    t = tg.zeros(())
    t[()] = x * 3
    t[...] = t * 2
    t.backward()
    assert slope(x) == 6.0
