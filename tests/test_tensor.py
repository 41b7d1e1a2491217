"""The handle: what makes a tensor, what Python may do with it, and what in-place syntax means."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from by_folds import one_by_one
from looped import LOOPS
from slopes import leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.errors import DetachedError, DtypeError, GradientError, InplaceError


def constant(values: Any, dtype: Any = None) -> Any:
    return tg.tensor(values, dtype=dtype)


def masked() -> Any:
    return np.ma.array([1.0, 2.0], mask=[False, True])


def matrix() -> Any:
    return np.zeros((1, 2)).view(np.matrix)


def unaligned() -> Any:
    return np.frombuffer(b"\0" + np.array([1.0, 2.0]).tobytes(), np.uint8)[1:].view(np.float64)


# What a tensor is made of.


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (1.0, np.float64),
        (1, np.int64),
        (True, np.bool_),
        (1j, np.complex128),
        ([1, 2.5], np.float64),
        (np.float32(1), np.float32),
        (np.ones(2, np.float16), np.float16),
        ([[1.0], [2.0]], np.float64),
        ((1.0, 2.0), np.float64),
        (range(3), np.int64),
        ([], np.float64),
    ],
    ids=repr,
)
def test_numbers_keep_numpys_dtype(values: Any, dtype: Any) -> None:
    t = tg.tensor(values)
    assert t.dtype == dtype
    np.testing.assert_array_equal(t.data, np.asarray(values))


@pytest.mark.parametrize(
    "values",
    [
        None,
        "text",
        b"bytes",
        ["a", "b"],
        object(),
        [None, 1.0],
        10**30,
        {"a": 1},
        np.array([1, 2], object),
        np.array(["2020-01-01"], "M8[D]"),
        np.array([1], "m8[s]"),
        np.zeros(2, [("x", float)]),
        masked(),
        matrix(),
        np.zeros(2, [("x", float)]).view(np.recarray),
    ],
    ids=lambda v: type(v).__name__ + str(getattr(v, "dtype", "")),
)
@pytest.mark.parametrize("maker", [tg.tensor, tg.Tensor, tg.as_tensor], ids=["tensor", "Tensor", "as_tensor"])
def test_what_is_not_a_plain_array_of_numbers_is_refused_with_the_remedy(
    maker: Callable[[Any], Any], values: Any
) -> None:
    with pytest.raises(DtypeError, match=r"np\.asarray"):
        maker(values)


def test_a_list_of_masked_arrays_is_refused() -> None:
    with pytest.raises(DtypeError):
        tg.tensor([masked(), masked()])


def test_a_ragged_list_is_numpys_error_with_a_note() -> None:
    with pytest.raises(ValueError, match="inhomogeneous") as caught:
        tg.tensor([[1.0, 2.0], [3.0]])
    assert "regular" in "".join(caught.value.__notes__)


@pytest.mark.parametrize("maker", [tg.tensor, tg.Tensor, tg.as_tensor], ids=["tensor", "Tensor", "as_tensor"])
@pytest.mark.parametrize("array", [np.array([1.0, 2.0], ">f8"), np.array([1, 2], ">i4"), unaligned()], ids=str)
def test_big_endian_and_unaligned_arrays_are_converted(maker: Callable[[Any], Any], array: Any) -> None:
    t = maker(array)
    assert t.dtype.isnative
    assert t.data.flags.aligned
    np.testing.assert_array_equal(t.data, array)


@pytest.mark.parametrize(
    "operand", [np.array([1.0, 2.0], ">f8"), unaligned(), np.array([1, 2], ">i4")], ids=["big", "unaligned", "int"]
)
def test_operands_of_any_memory_layout_give_native_results(operand: Any) -> None:
    x = leaf([3.0, 4.0])
    for y in (x * operand, operand * x, tg.maximum(x, operand)):
        assert y.dtype == np.dtype("f8")
        assert y.dtype.isnative
    (x * operand).sum().backward()
    np.testing.assert_array_equal(slope(x), [1.0, 2.0])


def _layouts() -> dict[str, Any]:
    base = np.arange(12.0).reshape(3, 4)
    readonly = base.copy()
    readonly.flags.writeable = False
    return {
        "read-only": readonly,
        "stride 0": np.broadcast_to(np.arange(4.0), (3, 4)),
        "Fortran": np.asfortranarray(base),
        "negative strides": base[::-1, ::-1],
        "bytes": np.frombuffer(base.tobytes()).reshape(3, 4),
        "every other column": np.ascontiguousarray(base)[:, ::2],
    }


@pytest.mark.parametrize("layout", _layouts())
def test_arrays_of_any_layout_work_and_are_never_written_to(layout: str) -> None:
    array = _layouts()[layout]
    before = array.copy()
    x = tg.Tensor(array, requires_grad=True)
    y = x * x
    y[0] = 1.0
    y += x
    (y.sum() + x[0].sum() + x.T.reshape(-1).sum()).backward()
    with tg.no_grad():
        x -= 0.5
        x[0, 0] = 9.0
    np.testing.assert_array_equal(array, before)
    expected = 2 * before + 2
    expected[0] = 3.0
    np.testing.assert_array_equal(slope(x), expected)


def test_tensor_copies_and_the_others_wrap() -> None:
    array = np.array([1.0, 2.0])
    assert not np.shares_memory(tg.tensor(array).data, array)
    assert np.shares_memory(tg.Tensor(array).data, array)
    assert np.shares_memory(tg.as_tensor(array).data, array)


def test_tensor_copies_a_tensor_too() -> None:
    t = constant([1.0, 2.0])
    assert not np.shares_memory(tg.tensor(t).data, t.data)


def test_as_tensor_returns_a_tensor_itself() -> None:
    x = leaf([1.0])
    assert tg.as_tensor(x) is x
    assert tg.as_tensor(x, np.float64) is x
    assert tg.as_tensor(x, np.float32).dtype == np.float32


def test_assigning_into_a_wrapping_tensor_leaves_the_array_alone() -> None:
    array = np.array([1.0, 2.0])
    t = tg.Tensor(array)
    t[0] = 9.0
    t += 1
    np.testing.assert_array_equal(array, [1.0, 2.0])
    np.testing.assert_array_equal(t.data, [10.0, 3.0])


@pytest.mark.parametrize("maker", [tg.tensor, tg.as_tensor], ids=["tensor", "as_tensor"])
@pytest.mark.parametrize("nest", [lambda a, b: [a, b], lambda a, b: (a, b), lambda a, b: [[a, 1.0], [2.0, b]]])
def test_a_nest_of_recorded_tensors_keeps_its_graph(maker: Callable[[Any], Any], nest: Callable[..., Any]) -> None:
    a, b = leaf(1.0), leaf(2.0)
    t = maker(nest(a, b))
    (t * t).sum().backward()
    assert slope(a) == 2.0
    assert slope(b) == 4.0


def test_a_nest_of_recorded_tensors_keeps_name_and_dtype() -> None:
    t = tg.tensor([leaf(1.0), leaf(2.0)], dtype=np.float32, name="joined")
    assert t.name == "joined"
    assert t.dtype == np.float32


def test_tensor_of_a_recorded_tensor_keeps_its_graph_or_raises() -> None:
    x = leaf([1.0, 2.0])
    try:
        t = tg.tensor(x * 2)
    except DetachedError:
        return
    t.sum().backward()
    np.testing.assert_array_equal(slope(x), [2.0, 2.0])


def test_wrapping_a_recorded_tensor_raises() -> None:
    with pytest.raises(DetachedError, match=r"t\.detach\(\)"):
        tg.Tensor(leaf([1.0]))


@pytest.mark.parametrize("values", [1, True, [1, 2], np.ones(2, np.uint8), np.ones(2, bool)], ids=repr)
def test_integers_and_booleans_cannot_require_grad_and_the_error_names_dtype_and_remedy(values: Any) -> None:
    with pytest.raises(DtypeError, match=f"dtype {np.asarray(values).dtype} can't require.*dtype=float"):
        tg.tensor(values, requires_grad=True)
    t = tg.tensor(values)
    with pytest.raises(DtypeError):
        t.requires_grad = True


def test_complex_tensors_compute_but_cannot_require_grad() -> None:
    t = constant([1 + 2j, 3.0])
    np.testing.assert_array_equal((t * t).data, np.array([1 + 2j, 3.0]) ** 2)
    with pytest.raises(DtypeError, match="complex"):
        tg.tensor([1j], requires_grad=True)


def test_dtype_chooses_the_dtype() -> None:
    assert tg.tensor([1, 2], dtype=float, requires_grad=True).dtype == np.float64
    assert tg.tensor([1.5], dtype="float32").dtype == np.float32
    with pytest.raises(DtypeError):
        tg.tensor([1.5], dtype=object)
    with pytest.raises(DtypeError):
        tg.tensor([1.5], dtype=str)


CREATORS: dict[str, tuple[Any, ...]] = {
    "zeros": ((2, 3),),
    "ones": (3,),
    "full": ((2,), 7.0),
    "empty": ((2,),),
    "arange": (1.0, 4.0, 0.5),
    "linspace": (0, 1, 5),
    "eye": (3,),
}


@pytest.mark.parametrize("name", CREATORS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_creation_follows_numpy(name: str, dtype: Any) -> None:
    args = CREATORS[name]
    expected = getattr(np, name)(*args, dtype=dtype)
    t = getattr(tg, name)(*args, dtype=dtype, requires_grad=True, name="w")
    assert (t.shape, t.dtype, t.requires_grad, t.is_leaf, t.name) == (expected.shape, dtype, True, True, "w")
    if name != "empty":
        np.testing.assert_array_equal(t.data, LOOPS.get(getattr(np, name), getattr(np, name))(*args))


@pytest.mark.parametrize("like", ["zeros_like", "ones_like", "empty_like", "full_like"])
@pytest.mark.parametrize("module", [tg, np])
def test_like_forms_follow_shape_and_dtype_and_record_nothing(module: Any, like: str) -> None:
    x = leaf(np.ones((2, 3), np.float32))
    t = getattr(module, like)(x, *([4] if like == "full_like" else []))
    assert isinstance(t, tg.Tensor)
    assert (t.shape, t.dtype, t.requires_grad) == ((2, 3), np.float32, False)


@pytest.mark.parametrize(
    "create",
    [
        lambda w: tg.full((2,), w),
        lambda w: tg.full((2,), fill_value=w),
        lambda w: tg.full_like(tg.zeros(2), w),
        lambda w: np.full((2,), w),
        lambda w: np.full_like(tg.zeros(2), w),
        lambda w: np.full_like(np.zeros(2), w),
        lambda w: tg.linspace(0.0, w, 3),
        lambda w: np.linspace(0.0, w, 3),
        lambda w: tg.arange(0.0, w),
    ],
    ids=["full", "full keyword", "full_like", "np.full", "np.full_like", "np.full_like array", "linspace",
         "np.linspace", "arange"],
)  # fmt: skip
def test_creation_from_a_recorded_tensor_keeps_its_graph_or_raises(create: Callable[[Any], Any]) -> None:
    w = leaf(2.0)
    try:
        t = create(w)
    except TypeError:
        return
    assert t.requires_grad


def test_filling_by_a_recorded_tensor_keeps_its_graph() -> None:
    w, row = leaf(2.0), leaf([1.0, 3.0])
    assert tg.full(3, w).tolist() == [2.0, 2.0, 2.0]
    assert tg.full(shape=(2,), fill_value=[w, 1.0], dtype="float32").dtype == np.float32
    y = np.full_like(row, w) + tg.full((2, 2), row) + tg.full_like(np.zeros((2, 2), np.float32), w).astype(float)
    y.sum().backward()
    assert w.grad is not None
    assert row.grad is not None
    assert (w.grad.item(), row.grad.tolist()) == (8.0, [2.0, 2.0])
    assert tg.full(2, w, requires_grad=True).is_leaf
    assert tg.full(2, w, name="w").name == "w"
    with pytest.raises(TypeError, match=r"np\.full.*tg's function of that name"):
        np.full(2, w)


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
    with pytest.raises(ValueError, match="shape"):
        x.data = np.zeros(3)
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
    with pytest.raises((TypeError, ValueError)):
        convert(constant([1.0, 2.0]))


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


@pytest.mark.parametrize(("how", "verb"), [(copy.copy, "copy"), (copy.deepcopy, "copy"), (pickle.dumps, "pickle")])
def test_recorded_tensors_refuse_to_be_copied_or_pickled_with_the_remedy(how: Callable[[Any], Any], verb: str) -> None:
    with pytest.raises(GradientError, match=r"t\.detach\(\)") as caught:
        how(leaf([1.0]) * 2)
    assert f"{verb} t.detach()" in str(caught.value)


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


# Operators.

BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}
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


# In-place syntax.


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
    with pytest.raises(ValueError, match=r"shape \(2,\).*\(3, 2\).*t = t \+ v"):
        t += np.ones((3, 2))
    n = constant([1, 2])
    with pytest.raises(TypeError, match=r"dtype int64.*float64"):
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


# What assignment would need, and has: a loop over entries is linear.


def _entries_allocated(n: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many array entries backward through `x[0] + ... + x[n - 1]` asks NumPy for."""
    allocated = 0
    zeros = np.zeros

    def counting(shape: Any, *args: Any, **options: Any) -> Any:
        nonlocal allocated
        made = zeros(shape, *args, **options)
        allocated += made.size
        return made

    x = leaf(np.ones(n))
    total: Any = 0.0
    for i in range(n):
        total = total + x[i] * (i + 1)
    with monkeypatch.context() as patch:
        patch.setattr(np, "zeros", counting)
        total.backward()
    np.testing.assert_array_equal(slope(x), np.arange(1.0, n + 1))
    return allocated


def test_a_loop_over_entries_allocates_in_proportion_to_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _entries_allocated(200, monkeypatch) <= 200
    assert _entries_allocated(400, monkeypatch) <= 400


@pytest.mark.parametrize("loop", [lambda x: [x[i] for i in range(len(x))], list, lambda x: tg.split(x, len(x))])
def test_every_way_to_take_a_tensor_apart_allocates_once(
    loop: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[int] = []
    original = np.array

    def counting(*args: Any, **options: Any) -> Any:
        made = original(*args, **options)
        copies.append(made.size)
        return made

    x = leaf(np.ones(300))
    parts = loop(x)
    total = tg.stack([part.sum() for part in parts]).sum()
    with monkeypatch.context() as patch:
        patch.setattr(np, "array", counting)
        total.backward()
    assert sum(copies) <= 4 * 300
    np.testing.assert_array_equal(slope(x), np.ones(300))
