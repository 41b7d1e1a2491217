"""Shapes, joining and picking by Hypothesis: NumPy's values, slopes of first and second order."""

from __future__ import annotations

import itertools
import math
from typing import Any

import hypothesis.extra.numpy as npst
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from looped import looped
from shapes import FULL, SHAPES, axis_of, drawn, same
from slopes import derivative, leaf

import tinygrad_nn as tg
from tinygrad_nn.testing import check_agreement as check

NUMPY: Any = np  # for calls that its types refuse


# ---- shapes ----


@given(shape=SHAPES, data=st.data())
def test_reshape_and_ravel_in_fortran_order(shape: tuple[int, ...], data: st.DataObject) -> None:
    target = data.draw(st.permutations([*shape, 1]))
    if math.prod(shape):
        target[data.draw(st.integers(0, len(target) - 1))] = -1
    same(lambda x: np.reshape(x, target, order="F"), shape)
    same(lambda x: np.ravel(x, order="F"), shape)
    check(lambda x: x.flatten("F"), lambda x: x.flatten("F"), drawn(shape))


def test_fortran_order_by_position_and_what_a_value_has_no_order_for() -> None:
    x = leaf(np.arange(6.0).reshape(2, 3))
    expected = x.data.reshape((3, 2), order="F")
    for y in (np.reshape(x, (3, 2), "F"), x.reshape(3, 2, order="F"), x.reshape((3, 2), "F"), x.reshape(3, 2, "F")):
        np.testing.assert_array_equal(y.data, expected)
    for order in ("A", "K", "f"):
        with pytest.raises(ValueError, match="order must be 'C' or 'F'"):
            x.reshape(6, order=order)
    with pytest.raises(ValueError, match="order must be 'C' or 'F'"):
        np.ravel(x, order="K")


@given(shape=SHAPES, data=st.data())
def test_rollaxis(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis, start = axis_of(data, shape), data.draw(st.integers(-len(shape), len(shape)))
    same(lambda x: np.rollaxis(x, axis, start), shape)


@given(shapes=npst.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, min_side=0, max_side=3))
def test_broadcast_arrays(shapes: npst.BroadcastableShapes) -> None:
    same(lambda *xs: np.broadcast_arrays(*xs), *shapes.input_shapes)


@given(
    lengths=st.lists(st.integers(0, 3), min_size=1, max_size=3),
    sparse=st.booleans(),
    indexing=st.sampled_from(["xy", "ij"]),
)
def test_meshgrid(lengths: list[int], sparse: bool, indexing: Any) -> None:
    same(lambda *xs: np.meshgrid(*xs, sparse=sparse, indexing=indexing), *[(n,) for n in lengths])


@given(shape=SHAPES, target=SHAPES)
def test_resize(shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    same(lambda x: np.resize(x, target), shape)


def test_at_least_so_many_axes_of_several() -> None:
    x, y = leaf(2.0), leaf([1.0, 3.0])
    for function, shapes in (
        (np.atleast_1d, [(1,), (2,)]),
        (np.atleast_2d, [(1, 1), (1, 2)]),
        (np.atleast_3d, [(1, 1, 1), (1, 2, 1)]),
    ):
        results = function(x, y)
        assert [t.shape for t in results] == shapes
        assert all(t.requires_grad for t in results)
        assert derivative(results[1].sum(), y).tolist() == [1.0, 1.0]


def test_a_result_is_a_handle_of_its_own_also_where_nothing_changes() -> None:
    """`t += 1` rebinds t's handle: one that were the input's would be refused, or change the input."""
    x = leaf([[1.0, 2.0]])
    results = [np.atleast_1d(x), np.atleast_2d(x), np.roll(x, 2, 1), np.pad(x, 0, "edge"), np.flip(x, ()), np.copy(x)]
    for t in results:
        assert t is not x
        t += 1
    assert x.tolist() == [[1.0, 2.0]]


def test_a_copy_has_memory_of_its_own_and_a_gradient() -> None:
    x = leaf([1.0, 2.0], "float32")
    y = x.copy()
    assert not np.shares_memory(y.data, x.data)
    assert y.dtype == np.float32
    assert derivative((y * y).sum(), x).tolist() == [2.0, 4.0]


# ---- joining and inserting ----


@given(data=st.data(), shape=FULL, pieces=st.integers(1, 3))
def test_concatenate_and_append(data: st.DataObject, shape: tuple[int, ...], pieces: int) -> None:
    axis = axis_of(data, shape)
    lengths = data.draw(st.lists(st.integers(0, 2), min_size=pieces, max_size=pieces))
    shapes = [(*shape[: axis % len(shape)], n, *shape[axis % len(shape) + 1 :]) for n in lengths]
    same(lambda *xs: np.concatenate(xs, axis), *shapes)
    same(lambda *xs: np.concatenate(xs, None), *shapes, ())
    same(lambda x, y: np.append(x, y, axis), shapes[0], shapes[-1])
    same(lambda x, y: np.append(x, y), shapes[0], ())


STACKS: dict[str, tuple[Any, list[list[tuple[int, ...]]]]] = {
    "hstack": (np.hstack, [[(), (2,)], [(2, 1), (2, 3)], [(2, 1, 2), (2, 0, 2)]]),
    "vstack": (np.vstack, [[(), ()], [(3,), (2, 3), (0, 3)], [(1, 2, 2), (2, 2, 2)]]),
    "dstack": (np.dstack, [[(), ()], [(2,), (2,)], [(2, 3), (2, 3, 2), (2, 3, 0)]]),
    "column_stack": (np.column_stack, [[(2,), (2, 3)], [(), (1, 2)], [(2, 0), (2,)]]),
    "stack": (np.stack, [[(), ()], [(2, 3), (2, 3)], [(0,), (0,)]]),
    "concatenate": (np.concatenate, [[(2, 3), (0, 3)], [(1,), (2,)]]),
    "block": (np.block, [[(2, 2), (2, 1)], [(), (3,)]]),
}


@pytest.mark.parametrize("name", STACKS)
def test_lists_that_mix_tensors_and_arrays_record(name: str) -> None:
    """Whichever parts are tensors, in a list or (but for block) a tuple, the result is NumPy's and recorded."""
    function, cases = STACKS[name]
    for shapes in cases:
        arrays = drawn(*shapes)
        expected = function(arrays)
        same(lambda *xs: function(list(xs)), *shapes)
        for lone, kind in itertools.product(range(len(shapes)), [list] if name == "block" else [list, tuple]):
            x = leaf(arrays[lone])
            y = function(kind(x if i == lone else a for i, a in enumerate(arrays)))
            assert type(y) is tg.Tensor
            np.testing.assert_array_equal(y.data, expected)
            np.testing.assert_array_equal(derivative(y, x, np.ones(y.shape)), np.ones(x.shape))


def test_stack_along_every_axis() -> None:
    for axis in (-3, -1, 0, 1, 2):
        same(lambda *xs: np.stack(xs, axis), (2, 3), (2, 3))  # noqa: B023


def test_blocks_of_matrices() -> None:
    same(lambda a, b, c, d: np.block([[a, b], [c, d]]), (2, 2), (2, 1), (1, 2), (1, 1))
    same(lambda a, b: np.block([[a, np.zeros((2, 1))], [np.ones((1, 2)), b]]), (2, 2), (1, 1))
    same(lambda a, b: np.block([[[a]], [[b]]]), (2,), (2,))
    with pytest.raises(TypeError, match="lists of tensors, not tuples"):
        tg.block((leaf([1.0]), leaf([2.0])))
    for ragged in ([leaf([1.0]), [leaf([2.0])]], [[], leaf([1.0])]):
        with pytest.raises(ValueError, match="lists of one depth"):
            np.block(ragged)


@given(shape=FULL, data=st.data())
def test_insert_and_delete(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = axis_of(data, shape)
    n = shape[axis]
    obj: Any = data.draw(
        st.integers(-n, n) | st.lists(st.integers(-n, n), max_size=3) | st.slices(n), label="where to insert"
    )
    count = len(np.insert(np.zeros(n), obj, 0)) - n
    values = data.draw(st.sampled_from([(), (1,) * len(shape)]))
    if isinstance(obj, list) and data.draw(st.booleans()):
        values = (*shape[: axis % len(shape)], count, *shape[axis % len(shape) + 1 :])
    same(lambda x, v: np.insert(x, obj, v, axis), shape, values)
    same(lambda x, v: np.insert(x, 0, v), shape, (2,))
    gone: Any = data.draw(
        st.integers(-n, n - 1) | st.lists(st.integers(-n, n - 1), max_size=3) | st.slices(n), label="what to delete"
    )
    same(lambda x: np.delete(x, gone, axis), shape)


def test_insert_many_values_at_one_place() -> None:
    """A scalar place and a list of one place differ in NumPy where the values have several axes."""
    same(lambda x, v: np.insert(x, 1, v, axis=1), (3, 2), (3,))
    same(lambda x, v: np.insert(x, [1], v, axis=1), (3, 2), (3, 1))
    same(lambda x, v: np.insert(x, 1, v, axis=1), (3, 2), (2, 3))
    same(lambda x, v: np.insert(x, [1], v, axis=0), (3, 2), (4, 2))
    assert np.insert(tg.tensor([1, 2]), 1, 7.9).tolist() == np.insert([1, 2], 1, 7.9).tolist()


# ---- picking ----


@given(shape=FULL, data=st.data(), mode=st.sampled_from(["raise", "wrap", "clip"]))
def test_take(shape: tuple[int, ...], data: st.DataObject, mode: Any) -> None:
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    n = math.prod(shape) if axis is None else shape[axis]
    low, high = (-n, n - 1) if mode == "raise" else (-3 * n, 3 * n)
    wanted = npst.array_shapes(min_dims=0, max_dims=2)
    indices = data.draw(npst.arrays(np.int64, wanted, elements=st.integers(low, high)))
    same(lambda x: np.take(x, indices, axis, mode=mode), shape)
    t = tg.tensor(indices)
    check(lambda x: x.take(t, axis, mode), lambda x: np.take(x, indices, axis, mode=mode), drawn(shape))


@given(shape=FULL, data=st.data())
def test_take_along_axis(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = axis_of(data, shape)
    n, k = shape[axis], data.draw(st.integers(0, 4))
    others = [1 if data.draw(st.booleans()) else length for length in shape]
    wanted = tuple(k if i == axis % len(shape) else length for i, length in enumerate(others))
    indices = data.draw(npst.arrays(np.int64, wanted, elements=st.integers(-n, n - 1)))
    same(lambda x: np.take_along_axis(x, indices, axis), shape)


def test_take_along_axis_with_what_arg_functions_return() -> None:
    x = leaf([[3.0, 1.0, 2.0], [5.0, 6.0, 4.0]])
    best = np.take_along_axis(x, np.argmax(x, -1, keepdims=True), -1)
    assert best.tolist() == [[3.0], [6.0]]
    assert np.take_along_axis(x, np.argsort(x, 0), 0).tolist() == [[3.0, 1.0, 2.0], [5.0, 6.0, 4.0]]
    assert np.take_along_axis(x, np.argsort(x, None), None).tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: np.take(x, 3), IndexError, "out of bounds"),
        (lambda x: NUMPY.take(x, [0.5]), TypeError, "Cannot cast"),
        (lambda x: NUMPY.take(x, 0, mode="wrong"), ValueError, "mode must be 'raise', 'wrap' or 'clip'"),
        (lambda x: np.take_along_axis(x, np.array([3]), 0), IndexError, "out of bounds for axis 0 with size 3"),
        (lambda x: np.take_along_axis(x, np.array([[0]]), 0), ValueError, "need as many axes"),
        (lambda x: np.repeat(x, -1), ValueError, "must be at least 0, not -1"),
        (lambda x: np.repeat(x, [1, 2]), ValueError, "broadcast"),
        (lambda x: np.rot90(x[None], axes=(1, -1)), ValueError, "repeated axis"),
        (lambda x: np.diagonal(x), ValueError, "two or more axes"),
        (lambda x: np.trace(x[None], 0, 1, -1), ValueError, "axis2 of a diagonal must differ"),
        (lambda x: np.diag(x[None, None]), ValueError, "use diagonal or diagflat"),
        (lambda x: np.select([x], [x]), TypeError, "write t != 0 for numbers"),
        (lambda x: tg.select([], []), ValueError, "a choice for each condition"),
        (lambda x: np.where(x > 0, x), ValueError, "alone or with two choices"),
        (lambda x: np.choose(np.array([0, 2]), [x[:2], x[:2]]), ValueError, "choose among 2 needs indices from 0"),
        (lambda x: np.compress([[True]], x), ValueError, r"write t\[mask\]"),
        (lambda x: NUMPY.meshgrid(x, indexing="yx"), ValueError, "'xy' or 'ij'"),
        (lambda x: np.resize(x, (-1, 3)), ValueError, "reshape works out"),
        (lambda x: np.flip(x, 1), np.exceptions.AxisError, "out of bounds"),
        (lambda x: np.delete(x, 3), IndexError, "out of bounds"),
        (lambda x: np.concatenate([]), ValueError, "at least one"),
    ],
)
def test_misuse_is_refused_with_the_remedy(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(leaf(np.ones(3)))


@given(shapes=npst.mutually_broadcastable_shapes(num_shapes=3, max_dims=2, max_side=3), data=st.data())
def test_select_choose_and_where(shapes: npst.BroadcastableShapes, data: st.DataObject) -> None:
    first, second, index = shapes.input_shapes
    chosen = data.draw(npst.arrays(np.int64, index, elements=st.integers(-3, 3)))
    same(lambda a, b: np.choose(chosen, [a, b], mode="wrap"), first, second)
    same(lambda a, b: np.choose(chosen, [a, b, 1.0], mode="clip"), first, second)
    same(lambda a, b: np.select([chosen > 1, chosen < -1], [a, b], 0.5), first, second)
    same(lambda a, b: np.where(chosen > 0, a, b), first, second)


def test_select_keeps_dtypes_and_takes_the_first_condition_that_holds() -> None:
    x, default = leaf([1.0, 2.0, 3.0], "float32"), leaf(5.0)
    y = np.select([x.data > 2, x.data > 1], [x * 10, x * 100], 0)
    assert y.tolist() == [0.0, 200.0, 30.0]
    assert y.dtype == np.float32
    z = tg.select([x > 2], [x], default)
    assert z.tolist() == [5.0, 5.0, 3.0]
    assert derivative(z.sum(), default).item() == 2.0


@given(shape=FULL, data=st.data())
def test_compress_and_extract(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    n = math.prod(shape) if axis is None else shape[axis]
    holds = data.draw(st.lists(st.booleans(), max_size=n))
    same(lambda x: np.compress(holds, x, axis), shape)
    check(lambda x: x.compress(holds, axis), lambda x: x.compress(holds, axis), drawn(shape))
    mask = data.draw(npst.arrays(bool, shape))
    same(lambda x: np.extract(mask, x), shape)


def test_indices_of_what_holds_are_constants() -> None:
    x = leaf([[0.0, 2.0], [3.0, 0.0]])
    for places in (np.nonzero(x), np.where(x), x.nonzero(), np.where(x > 0)):
        assert all(type(p) is tg.Tensor and not p.requires_grad for p in places)
        assert x[places].tolist() == [2.0, 3.0]
    assert np.argwhere(x).tolist() == [[0, 1], [1, 0]]
    assert x.ravel()[np.flatnonzero(x)].tolist() == [2.0, 3.0]


@pytest.mark.parametrize("trim", ["fb", "f", "b"])
def test_zeros_trimmed_off(trim: Any) -> None:
    for values in ([0.0, 2.0, 0.0, 3.0, 0.0], [0.0, 0.0], [1.0], []):
        x = leaf(values)
        y = np.trim_zeros(x, trim)
        assert y.tolist() == np.trim_zeros(np.array(values), trim).tolist()
        expected = np.ones(len(values)) if values == [1.0] else np.zeros(len(values))
        expected[len(values) - len(y) if trim == "f" else 1 if "f" in trim else 0 :][: len(y)] = 1
        np.testing.assert_array_equal(derivative(y.sum(), x), expected[: len(values)])
    square = np.zeros((4, 3))
    square[1:3, 1] = 1.0
    assert tg.trim_zeros(leaf(square)).shape == (2, 1)
    assert tg.trim_zeros(leaf(square), axis=0).shape == (2, 3)
    with pytest.raises(ValueError, match="trim must be"):
        tg.trim_zeros(leaf(square), "x")


def test_names_and_defaults_of_numpys_parameters_are_taken() -> None:
    x = leaf(np.arange(6.0).reshape(2, 3))
    for call in (
        lambda t: np.pad(array=t, pad_width=1, mode="edge"),
        lambda t: np.quantile(a=t, q=0.5, axis=1, out=None, overwrite_input=False),
        lambda t: np.quantile(t, 0.5, 0, None, False, "lower"),
        lambda t: np.median(t, 0, None, False, True),
        lambda t: np.compress(condition=[True, False], a=t, axis=0),
        lambda t: np.insert(arr=t, obj=1, values=0.0, axis=1),
        lambda t: np.meshgrid(t[0], t[1], copy=True, indexing="ij")[0],
        lambda t: np.partition(a=t, kth=1, axis=1, kind="introselect"),
        lambda t: np.copy(a=t, order="K"),
        lambda t: np.take_along_axis(arr=t, indices=np.array([[0], [1]]), axis=1),
        lambda t: np.hstack(tup=[t, t]),
    ):
        np.testing.assert_array_equal(call(x).data, looped(call)(x.data))


def test_a_nan_in_the_branch_not_selected_stays_out() -> None:
    x = leaf([4.0, -1.0])
    with np.errstate(invalid="ignore"):
        for y in (
            np.select([x > 0], [np.sqrt(x)], 0.0),
            np.choose(np.array([1, 0]), [0.0, np.sqrt(x)]),
            np.take(np.sqrt(x), [0]),
            np.compress([True, False], np.sqrt(x)),
            np.tril(np.stack([np.sqrt(x), np.sqrt(x) * 0.0])[:, ::-1])[1:0],
            np.delete(np.sqrt(x), 1),
        ):
            assert np.isfinite(derivative(y.sum(), x)).all()


# ---- the gradient of an index: every way it is added up ----


@pytest.mark.parametrize("size", [3, 70])
@pytest.mark.parametrize(
    "index",
    [
        lambda n: np.random.default_rng(0).permutation(n),
        lambda n: np.random.default_rng(0).integers(-n, n, (n, 2)),
        lambda n: (slice(None), np.random.default_rng(0).permutation(n)),
        lambda n: (slice(None, None, -1), np.random.default_rng(0).integers(-n, n, n)),
        lambda n: (np.arange(n)[:, None], np.random.default_rng(0).integers(0, n, (n, 3))),
        lambda n: (Ellipsis, None, np.array([n - 1, -1])),
        lambda n: np.array([0, n - 1]),
    ],
    ids=range(7),
)
def test_gradients_of_repeated_and_distinct_places_add_up(index: Any, size: int) -> None:
    """Small and large, with and without repetition: `index` as a sum of its places, each by itself."""
    x = leaf(np.arange(float(size * size)).reshape(size, size))
    places = index(size)
    y = x[places]
    seed = np.random.default_rng(1).standard_normal(y.shape)
    expected = np.zeros(x.size)
    for place, u in zip(np.arange(x.size).reshape(x.shape)[places].ravel(), seed.ravel()):
        expected[place] += u
    np.testing.assert_allclose(derivative(y, x, seed).ravel(), expected, rtol=1e-13, atol=1e-13)
    (g,) = tg.autograd.grad(x[places], x, leaf(seed), create_graph=True)
    assert g is not None
    np.testing.assert_allclose(g.data.ravel(), expected, rtol=1e-13, atol=1e-13)


def test_adding_into_a_cotangent_keeps_what_is_there() -> None:
    n = 80
    x = leaf(np.ones((n, n)))
    rows, columns = np.arange(n)[::-1].copy(), np.zeros(n, int)
    y = (x[rows] * 2).sum() + (x[:, columns] * 3).sum() + (x[rows] * 5).sum() + x.sum()
    expected = np.full((n, n), 8.0)
    expected[:, 0] += 3 * n
    np.testing.assert_array_equal(derivative(y, x), expected)
