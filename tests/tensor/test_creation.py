"""Creation: what a tensor is made of, and what keeps its graph."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from looped import LOOPS
from operands import constant, masked
from slopes import leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.errors import DetachedError, DtypeError


def matrix() -> Any:
    return np.zeros((1, 2)).view(np.matrix)


def unaligned() -> Any:
    return np.frombuffer(b"\0" + np.array([1.0, 2.0]).tobytes(), np.uint8)[1:].view(np.float64)


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
    assert "all rows have one length" in "".join(caught.value.__notes__)


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
    for create, x in ((tg.tensor, [1.5]), (tg.zeros, 2)):
        with pytest.raises(TypeError, match="'flot' not understood") as found:
            create(x, dtype="flot")
        assert "a dtype is one of NumPy's, by name or type: write 'float32'" in found.value.__notes__[0]


CREATORS: dict[str, tuple[Any, ...]] = {
    "zeros": ((2, 3),),
    "ones": (3,),
    "full": ((2,), 7.0),
    "empty": ((2,),),
    "arange": (1.0, 4.0, 0.5),
    "linspace": (0, 1, 5),
    "eye": (3,),
}


LIKE = ("zeros", "ones", "full", "empty")


@pytest.mark.parametrize("name", CREATORS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_creation_follows_numpy(name: str, dtype: Any) -> None:
    args = CREATORS[name]
    expected = getattr(np, name)(*args, dtype=dtype)
    t = getattr(tg, name)(*args, dtype=dtype, requires_grad=True, name="w")
    assert (t.shape, t.dtype, t.requires_grad, t.is_leaf, t.name) == (expected.shape, dtype, True, True, "w")
    if name != "empty":
        np.testing.assert_array_equal(t.data, LOOPS.get(getattr(np, name), getattr(np, name))(*args))


@pytest.mark.parametrize("name", [*sorted(CREATORS.keys() - {"linspace"}), *[f"{x}_like" for x in LIKE]])
def test_parameters_are_numpys_and_two_more(name: str) -> None:
    told = {p.name: p.default for p in inspect.signature(getattr(tg, name)).parameters.values()}
    assert list(told.items())[-2:] == [("requires_grad", False), ("name", None)]
    with contextlib.suppress(ValueError):  # NumPy tells them of functions in C from version 2.4 on
        wanted = inspect.signature(getattr(np, name)).parameters.values()
        assert list(told.items())[:-2] == [(p.name, p.default) for p in wanted if p.name != "like"]


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("zeros", {"shape": (2, 3), "order": "F"}),
        ("full", {"shape": (2, 3), "fill_value": 7.0, "dtype": np.float32}),
        ("arange", {"start": 1.0, "stop": 4.0}),
        ("arange", {"stop": 4.0, "device": "cpu"}),
        ("eye", {"N": 3, "M": 4, "k": 1}),
        ("ones_like", {"a": np.zeros((2, 3))}),
        ("full_like", {"a": np.zeros(3), "fill_value": 7.0, "shape": (2, 3)}),
        ("empty_like", {"prototype": np.zeros((2, 3))}),
    ],
)
def test_arguments_have_numpys_names(name: str, given: dict[str, Any]) -> None:
    t, expected = getattr(tg, name)(**given), getattr(np, name)(**given)
    assert (t.shape, t.dtype, t.data.flags.f_contiguous) == (
        expected.shape,
        expected.dtype,
        expected.flags.f_contiguous,
    )
    assert name == "empty_like" or t.tolist() == expected.tolist()


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
