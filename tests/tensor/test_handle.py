"""The handle: what a tensor tells, what Python may do with it, copies, pickles and operators."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from operands import BINARY, constant
from slopes import leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.errors import DetachedError, GradientError, InplaceError

# What a tensor tells.


def test_shape_ndim_size_dtype_and_length_are_numpys() -> None:
    t = constant(np.ones((2, 3), np.float32))
    assert (t.shape, t.ndim, t.size, t.dtype, len(t)) == ((2, 3), 2, 6, np.float32, 2)


@pytest.mark.parametrize("make", [lambda: leaf(2.0) * 3, lambda: constant([1.0]).sum(), lambda: constant([1.0])[0]])
def test_data_is_always_an_array(make: Callable[[], Any]) -> None:
    t = make()
    assert type(t.data) is np.ndarray
    assert t.data.shape == ()


def test_numpy_is_a_read_only_view() -> None:
    t = leaf([1.0, 2.0])
    view = t.numpy()
    assert np.shares_memory(view, t.data)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 9.0
    assert t.data.flags.writeable


def test_setting_data_replaces_the_value_of_the_same_leaf() -> None:
    x = leaf([1.0, 2.0])
    y = x * x
    x.data = np.array([5.0, 6.0])
    assert x.requires_grad
    y.sum().backward()
    np.testing.assert_array_equal(slope(x), [2.0, 4.0])
    with pytest.raises(
        ValueError,
        match=r"^the new value has shape \(3,\), its tensor \(2,\); t.data = x keeps both; write t = tg.tensor\(x\)$",
    ):
        x.data = np.zeros(3)
    with pytest.raises(DetachedError, match=r"^t.data = x would lose the gradient .*; write t.data = x.data$"):
        x.data = y
    with pytest.raises(InplaceError):
        (x * 2).data = np.zeros(2)


def test_requires_grad_can_be_switched_on_leaves_only() -> None:
    t = constant([1.0])
    t.requires_grad = True
    assert (t * 2).requires_grad
    t.requires_grad = False
    assert not (t * 2).requires_grad
    with pytest.raises(GradientError, match="detach"):
        (leaf([1.0]) * 2).requires_grad = False


@pytest.mark.parametrize("wanted", ["no", None, 1, np.array([True])])
def test_requires_grad_is_a_boolean(wanted: Any) -> None:
    t = leaf([1.0])
    with pytest.raises(TypeError, match=r"True or False, got .*; write t\.requires_grad = True"):
        t.requires_grad = wanted
    with pytest.raises(TypeError, match="True or False"):
        tg.tensor([1.0], requires_grad=wanted)
    assert t.requires_grad
    assert tg.tensor([1.0], requires_grad=np.True_).requires_grad  # type: ignore[arg-type]


def test_a_misspelt_attribute_is_an_error() -> None:
    t = constant([1.0])
    with pytest.raises(AttributeError):
        t.require_grad = True


REPRS = [
    constant([1.0, 2.0]),
    leaf([1.5, -2.5]),
    constant(3.0),
    constant(True),
    constant([[1, 2], [3, 4]]),
    constant([1.0], np.float32),
    constant([1 + 2j]),
    tg.tensor([0.5], requires_grad=True, name="W1"),
    constant([np.nan, np.inf, -np.inf]),
    constant(np.zeros(0)),
    constant(np.zeros((2, 3), np.float16)),
]


@pytest.mark.parametrize("t", REPRS, ids=repr)
def test_the_repr_of_a_small_tensor_makes_it_again(t: Any) -> None:
    twin = eval(repr(t), {"tg": tg, "np": np})
    np.testing.assert_array_equal(twin.data, t.data)
    assert (twin.dtype, twin.shape, twin.requires_grad, twin.name) == (t.dtype, t.shape, t.requires_grad, t.name)


def test_the_repr_of_a_large_tensor_is_short_and_shows_the_shape() -> None:
    text = repr(leaf(np.zeros((100, 100))))
    assert len(text) < 1000
    assert "shape=(100, 100)" in text
    assert "dtype='float64'" in text
    assert "requires_grad=True" in text


def test_the_repr_ignores_how_a_tensor_was_computed() -> None:
    assert repr(leaf([1.0]) * 2) == "tg.tensor([2.], dtype='float64', requires_grad=True)"


def test_formatting_reads_a_single_number() -> None:
    assert f"{leaf(2.25) * 1:.1f}" == f"{2.25:.1f}"
    assert f"{constant([[7.0]]):.1f}" == "7.0"
    assert f"{constant([1.0])}" == repr(constant([1.0]))
    assert str(constant([1.0])) == repr(constant([1.0]))
    assert f"{constant(3):d}" == "3"
    with pytest.raises(TypeError):
        format(constant([1.0, 2.0]), ".2f")


# Python's protocols.


def test_numbers_come_out_of_tensors_of_one_entry() -> None:
    t = leaf(2.5)
    assert (int(t), t.item(), bool(t)) == (2, 2.5, True)
    assert float(constant(2.5)) == 2.5
    assert isinstance(t.item(), float)
    assert constant([[4.0]]).item() == 4.0
    assert math.isclose(math.sqrt(constant(4.0)), 2.0)
    assert constant([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert leaf(2.5).tolist() == 2.5


@pytest.mark.parametrize("convert", [float, int, lambda t: t.item()], ids=["float", "int", "item"])
def test_several_entries_are_no_number(convert: Callable[[Any], Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as found:
        convert(constant([1.0, 2.0]))
    (note,) = found.value.__notes__
    assert note == "a number needs one entry, an index an integer: write t[i], t.sum(), t.tolist() or int(t)"


def test_an_integer_tensor_is_an_index() -> None:
    assert [10, 20, 30][constant(1)] == 20
    assert list(range(constant(3))) == [0, 1, 2]
    with pytest.raises(TypeError):
        [10, 20][constant(1.0)]


@pytest.mark.parametrize("values", [[1.0, 2.0], []])
def test_the_truth_of_several_entries_or_none_is_ambiguous(values: list[float]) -> None:
    with pytest.raises(ValueError, match="ambiguous"):
        bool(constant(values))


def test_length_and_iteration_of_a_0d_tensor_are_errors() -> None:
    with pytest.raises(TypeError):
        len(constant(1.0))
    with pytest.raises(TypeError, match=r"0-d.*item"):
        iter(constant(1.0))


def test_iteration_gives_rows_and_records() -> None:
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    first, second = x
    (first * 10 + second).sum().backward()
    np.testing.assert_array_equal(slope(x), [[10.0, 10.0], [1.0, 1.0]])
    assert list(constant(np.zeros((0, 3)))) == []


def test_iteration_reads_the_value_that_there_was_at_its_start() -> None:
    t = constant([1.0, 2.0, 3.0])
    seen = []
    for entry in t:
        seen.append(float(entry))
        t[:] = 0.0
    assert seen == [1.0, 2.0, 3.0]


def test_pythons_sum_max_min_and_sorted_work() -> None:
    x = leaf([3.0, 1.0, 2.0])
    sum(x).backward()
    np.testing.assert_array_equal(slope(x), [1.0, 1.0, 1.0])
    assert max(x).item() == 3.0
    assert min(x).item() == 1.0
    assert [entry.item() for entry in sorted(x)] == [1.0, 2.0, 3.0]


def test_comparisons_are_entry_by_entry_and_record_nothing() -> None:
    x, other = leaf([1.0, 2.0, 3.0]), [2.0, 2.0, 2.0]
    expected = {"__lt__": [1, 0, 0], "__le__": [1, 1, 0], "__gt__": [0, 0, 1], "__ge__": [0, 1, 1]}
    expected |= {"__eq__": [0, 1, 0], "__ne__": [1, 0, 1]}
    for name, values in expected.items():
        for operand in (other, np.array(other), constant(other), 2, 2.0, np.float32(2)):
            found = getattr(x, name)(operand)
            assert isinstance(found, tg.Tensor)
            assert found.dtype == np.bool_
            assert not found.requires_grad
            np.testing.assert_array_equal(found.data, np.array(values, bool))


def test_comparisons_with_an_array_on_the_left_give_tensors() -> None:
    found = np.array([1.0, 5.0]) > leaf([2.0, 2.0])
    assert isinstance(found, tg.Tensor)
    np.testing.assert_array_equal(found.data, [False, True])


@pytest.mark.parametrize(
    "other", [None, "text", b"bytes", object(), {}, NotImplemented, len], ids=lambda v: type(v).__name__
)
def test_a_tensor_equals_nothing_that_is_no_number(other: Any) -> None:
    x = leaf([1.0, 2.0])
    assert (x == other) is False
    assert (x != other) is True


@pytest.mark.parametrize("other", [None, "text"])
def test_ordering_against_what_is_no_number_is_a_type_error(other: Any) -> None:
    with pytest.raises(TypeError):
        _ = leaf([1.0]) < other


def test_tensors_hash_by_identity() -> None:
    a, b = leaf([1.0]), leaf([1.0])
    assert hash(a) != hash(b)
    assert {a: "a", b: "b"}[b] == "b"
    held = {a}
    a.data = np.array([2.0])
    assert a in held


def test_membership_in_a_list_finds_the_tensor_itself() -> None:
    a, b = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    assert a in [a, b]
    assert leaf(1.0) in [constant(1.0)]
    assert leaf(1.0) not in [constant(2.0)]
    assert [object(), a].index(a) == 1


@pytest.mark.parametrize("value", [2.0, 2, np.float64(2), np.array(2.0), constant(2.0)])
def test_membership_in_a_tensor_compares_values(value: Any) -> None:
    x = leaf([1.0, 2.0])
    assert value in x
    assert value in x * 1
    assert value * 5 not in x


def test_an_entry_is_a_member_of_its_tensor() -> None:
    x = leaf([1.0, 2.0])
    assert x[1] in x
    assert x[1] * 5 not in x


def test_logical_operators_act_on_masks() -> None:
    t = constant([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(((t > 1) & (t < 3)).data, [False, True, False])
    np.testing.assert_array_equal(((t < 2) | ~(t < 3)).data, [True, False, True])
    np.testing.assert_array_equal(((t < 2) ^ (t < 3)).data, [False, True, False])


# Copies and pickles.


@pytest.mark.parametrize("twin_of", [copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
def test_leaves_copy_and_pickle_with_all_that_they_are(twin_of: Callable[[Any], Any]) -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    (x * x).sum().backward()
    twin = twin_of(x)
    assert twin is not x
    assert (twin.requires_grad, twin.is_leaf, twin.name) == (True, True, "w")
    assert not np.shares_memory(twin.data, x.data)
    assert not np.shares_memory(slope(twin), slope(x))
    np.testing.assert_array_equal(twin.data, x.data)
    np.testing.assert_array_equal(slope(twin), slope(x))
    (twin * 3).sum().backward()
    np.testing.assert_array_equal(slope(twin), [5.0, 7.0])
    np.testing.assert_array_equal(slope(x), [2.0, 4.0])


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.bool_, np.complex64])
@pytest.mark.parametrize("shape", [(), (0, 3), (2,)])
def test_tensors_that_record_nothing_copy_and_pickle(dtype: Any, shape: tuple[int, ...]) -> None:
    t = constant(np.ones(shape, dtype))
    for twin in (copy.copy(t), copy.deepcopy(t), pickle.loads(pickle.dumps(t)), pickle.loads(pickle.dumps(t.sum()))):
        assert not twin.requires_grad
    assert copy.deepcopy(t).dtype == dtype
    assert copy.deepcopy(t).shape == shape


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps])
def test_recorded_tensors_refuse_to_be_copied_or_pickled_with_the_remedy(how: Callable[[Any], Any]) -> None:
    with pytest.raises(GradientError, match=r"can't be copied or pickled; copy or pickle t\.detach\(\)"):
        how(leaf([1.0]) * 2)


def test_a_deep_copy_keeps_a_tie() -> None:
    x = leaf([1.0])
    first, second = copy.deepcopy([x, x])
    assert first is second


def test_a_leaf_whose_gradient_is_recorded_is_copied_with_its_value() -> None:
    x = leaf([2.0])
    (x**3).sum().backward(create_graph=True)
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert twin.grad.tolist() == [12.0]
        assert not twin.grad.requires_grad


# Gradients that are set.


def test_a_gradient_that_is_set_owns_its_memory() -> None:
    a, b, g = leaf([1.0, 2.0]), leaf([1.0, 2.0]), tg.tensor([3.0, 4.0])
    a.grad = g
    b.grad = a.grad
    held: list[Any] = [a, b, g, a.grad, b.grad]
    assert not any(np.shares_memory(x.data, y.data) for i, x in enumerate(held) for y in held[:i])
    a.grad *= 2
    g.data[:] = 0
    assert (a.grad.tolist(), b.grad.tolist()) == ([6.0, 8.0], [3.0, 4.0])


def test_a_gradient_that_is_set_stays_recorded() -> None:
    w = leaf([2.0])
    (w.grad,) = tg.autograd.grad((w**3).sum(), [w], create_graph=True)
    w.grad.sum().backward()
    assert w.grad.tolist() == [24.0]


# Operators.

OPERANDS: dict[str, Any] = {
    "array": np.array([0.5, 2.0, 3.0]),
    "float64": np.float64(2),
    "float32": np.float32(2),
    "0-d array": np.array(2.0),
    "list": [0.5, 2.0, 3.0],
    "tuple": (0.5, 2.0, 3.0),
    "int": 2,
    "float": 2.5,
    "bool": True,
    "int array": np.array([1, 2, 3]),
    "strided": np.array([0.5, 0.0, 2.0, 0.0, 3.0, 0.0])[::2],
    "column": np.array([[1.0], [2.0]]),
}


@pytest.mark.parametrize("operand", OPERANDS)
@pytest.mark.parametrize("operator", BINARY)
def test_every_operator_records_with_any_operand_on_either_side(operator: str, operand: str) -> None:
    function, other = BINARY[operator], OPERANDS[operand]
    values, array = np.array([1.5, 2.0, 0.7]), np.asarray(OPERANDS[operand])
    for left in (False, True):
        x = leaf(values)
        y = function(other, x) if left else function(x, other)
        assert type(y) is tg.Tensor
        assert y.requires_grad
        expected = function(array, values) if left else function(values, array)
        np.testing.assert_allclose(y.data, expected, rtol=1e-15)
        y.sum().backward()
        step = 1e-6
        up, down = ((array, values + s) if left else (values + s, array) for s in (step, -step))
        numeric = (function(*up) - function(*down)) / (2 * step)
        numeric = np.broadcast_to(numeric, y.shape)
        numeric = numeric if numeric.ndim == 1 else numeric.sum(axis=0)
        np.testing.assert_allclose(slope(x), numeric, rtol=1e-7)


def test_matrix_products_record_with_arrays_and_lists_on_either_side() -> None:
    w = leaf(np.arange(4.0).reshape(2, 2))
    array = np.array([[1.0, 2.0], [3.0, 4.0]])
    for y in (array @ w, w @ array, array.tolist() @ w, w @ array.tolist(), np.matmul(array, w)):
        assert type(y) is tg.Tensor
        assert y.requires_grad
    (array @ w).sum().backward()
    np.testing.assert_array_equal(slope(w), [[4.0, 4.0], [6.0, 6.0]])


def test_unary_operators_record() -> None:
    x = leaf([-1.0, 2.0])
    (-x + abs(x) + +x).sum().backward()
    np.testing.assert_array_equal(slope(x), [-1.0, 1.0])


@pytest.mark.parametrize("other", [None, "text", object()], ids=["None", "text", "object"])
def test_arithmetic_with_what_is_no_number_is_a_type_error(other: Any) -> None:
    x = leaf([1.0])
    with pytest.raises(TypeError):
        x + other
    with pytest.raises(TypeError):
        other * x
    with pytest.raises(TypeError):
        x**other


def test_shapes_that_do_not_broadcast_are_numpys_error_with_a_note_that_names_what_met() -> None:
    with pytest.raises(ValueError, match=r"broadcast.*\(2,\).*\(3,\)") as caught:
        leaf([1.0, 2.0]) + constant([1.0, 2.0, 3.0], np.float32)
    notes = "".join(caught.value.__notes__)
    assert "'add'" in notes
    assert "float64[2]" in notes
    assert "float32[3]" in notes
