"""Hypothesis over shapes, axes and indices: values as NumPy's, gradients as central differences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as npst
import hypothesis.strategies as st
import numpy as np
import pytest
from by_algebra import matmul
from by_folds import one_by_one
from entries import numbers
from hypothesis import assume, given
from looped import LOOPS
from rings import sampled

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.testing import axes, broadcastable, indices, points, shapes, signed, spaced
from tinygrad_nn.testing import check_agreement as check

Array = Any
BINARY = [
    n
    for n, op in OPERATIONS.items()
    if op.pointwise and len(op.arguments) == 2 and None not in op.rules and hasattr(tg, n)
]
FUNCTIONS = {name: getattr(tg, name) for name in BINARY}


# ---- broadcasting ----


@pytest.mark.parametrize("name", sampled(BINARY, 2, seed=1))
@given(data=st.data())
def test_binary_operations_broadcast(name: str, data: st.DataObject) -> None:
    a, b = data.draw(points(FUNCTIONS[name]))
    step = 1e-3
    if name in ("fmod", "remainder"):  # they jump where a is a multiple of b: no difference may step across
        multiple = np.round(a / b)
        assume((np.abs(a - multiple * b) > 2 * step * (1 + np.abs(multiple))).all())
    check(FUNCTIONS[name], OPERATIONS[name].forward, [a, b])


@given(operands=broadcastable(3, "float64"))
def test_where_broadcasts(operands: tuple[Array, ...]) -> None:
    mask, a, b = operands
    check(lambda a, b: tg.where(mask > 0, a, b), lambda a, b: np.where(mask > 0, a, b), [a, b])


@given(data=st.data(), shape=shapes())
def test_broadcast_to(data: st.DataObject, shape: tuple[int, ...]) -> None:
    target = data.draw(npst.broadcastable_shapes(shape, min_dims=len(shape), max_dims=4, min_side=0, max_side=3))
    target = np.broadcast_shapes(shape, target)
    check(lambda x: tg.broadcast_to(x, target), lambda x: np.broadcast_to(x, target), [spaced(numbers(), shape)])


@given(
    shapes=npst.mutually_broadcastable_shapes(signature="(m?,n),(n,p?)->(m?,p?)", max_dims=2, min_side=0, max_side=3)
)
def test_matmul(shapes: npst.BroadcastableShapes) -> None:
    rng = numbers()
    arrays = [spaced(rng, shape) for shape in shapes.input_shapes]
    check(tg.matmul, matmul, arrays, exact=False)
    check(lambda a, b: a @ b, matmul, arrays, exact=False)


# ---- reductions ----


@st.composite
def reductions(draw: st.DrawFn, min_side: int = 0) -> tuple[tuple[int, ...], Any, bool]:
    """Return a shape, some of its axes in any of NumPy's spellings, and keepdims."""
    shape = draw(shapes(min_side=min_side))
    return shape, draw(axes(len(shape))), draw(st.booleans())


REDUCTIONS = ["sum", "prod", "max", "min", "mean", "var", "std"]


@pytest.mark.parametrize("name", REDUCTIONS)
@given(case=reductions())
def test_reductions(name: str, case: tuple[tuple[int, ...], Any, bool]) -> None:
    shape, axis, keepdims = case
    taken = range(len(shape)) if axis is None else np.atleast_1d(np.array(axis, int))
    count = math.prod(shape[a] for a in taken)
    assume(count > 0 or name in ("sum", "prod"))
    assume(count > 1 or name != "std")  # of one entry it is 0 everywhere: NumPy says so, differences of roots don't
    ours, loops = getattr(tg, name), LOOPS[getattr(np, name)]
    check(
        lambda x: ours(x, axis=axis, keepdims=keepdims),
        lambda x: loops(x, axis=axis, keepdims=keepdims),
        [spaced(numbers(), shape, *((-8, 8) if name == "std" else (-2, 2)))],  # whose root is steep where it is small
        exact=name in ("max", "min"),
    )


@pytest.mark.parametrize("name", ["max", "min"])
@given(case=reductions(min_side=1), data=st.data())
def test_ties_share_the_gradient(name: str, case: tuple[tuple[int, ...], Any, bool], data: st.DataObject) -> None:
    shape, axis, keepdims = case
    x = data.draw(npst.arrays(np.float64, shape, elements=st.integers(0, 2).map(float)))
    t = tg.tensor(x, requires_grad=True)
    y = getattr(tg, name)(t, axis=axis, keepdims=keepdims)
    u = signed(numbers(), y.shape)
    (g,) = tg.autograd.grad(y, t, tg.Tensor(u))
    full = LOOPS[getattr(np, name)](x, axis=axis, keepdims=True)
    tied = x == full
    expected = np.where(tied, u.reshape(full.shape) / tied.sum(axis=axis, keepdims=True), 0)
    assert g is not None
    assert np.allclose(g.data, expected, rtol=1e-15, atol=0)


@given(case=reductions(min_side=1))
def test_logsumexp_and_softmax(case: tuple[tuple[int, ...], Any, bool]) -> None:
    shape, axis, keepdims = case
    x = spaced(numbers(), shape)

    def lse(x: Array, keepdims: bool) -> Array:
        return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))

    check(lambda x: tg.logsumexp(x, axis, keepdims), lambda x: lse(x, keepdims), [x], exact=False)
    check(lambda x: tg.softmax(x, axis), lambda x: np.exp(x - lse(x, True)), [x], exact=False)
    check(lambda x: tg.log_softmax(x, axis), lambda x: x - lse(x, True), [x], exact=False)


# ---- shapes ----


@given(data=st.data(), shape=shapes())
def test_reshape(data: st.DataObject, shape: tuple[int, ...]) -> None:
    size = math.prod(shape)
    cuts = [n for n in range(1, size + 1) if size % n == 0] or [0]
    first = data.draw(st.sampled_from(cuts))
    rest = size // first if first else 3
    target = data.draw(
        st.sampled_from([(first, rest), (rest, 1, first), (size,), (first, -1) if first else (0, 2), -1])
    )
    x = spaced(numbers(), shape)
    check(lambda x: x.reshape(target), lambda x: np.reshape(x, target), [x])
    check(tg.ravel, np.ravel, [x])


@given(data=st.data(), shape=shapes())
def test_axes_are_permuted(data: st.DataObject, shape: tuple[int, ...]) -> None:
    n, x = len(shape), spaced(numbers(), shape)
    order = [a - n * data.draw(st.booleans()) for a in data.draw(st.permutations(range(n)))]
    check(lambda x: tg.transpose(x, order), lambda x: np.transpose(x, order), [x])
    check(lambda x: x.T, np.transpose, [x])
    if n:
        count = data.draw(st.integers(1, n))
        ends = [a - n * data.draw(st.booleans()) for a in data.draw(st.permutations(range(n)))]
        check(
            lambda x: tg.moveaxis(x, order[:count], ends[:count]),
            lambda x: np.moveaxis(x, order[:count], ends[:count]),
            [x],
        )
        i, j = order[0], ends[0]
        check(lambda x: tg.moveaxis(x, i, j), lambda x: np.moveaxis(x, i, j), [x])
        check(lambda x: x.swapaxes(i, j), lambda x: np.swapaxes(x, i, j), [x])


@given(data=st.data(), shape=npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=2))
def test_axes_of_length_one(data: st.DataObject, shape: tuple[int, ...]) -> None:
    x = spaced(numbers(), shape)
    n = len(shape) + 2
    axes = data.draw(npst.valid_tuple_axes(n, min_size=2, max_size=2))
    check(lambda x: tg.expand_dims(x, axes), lambda x: np.expand_dims(x, axes), [x])
    ones = [a for a, length in enumerate(shape) if length == 1]
    gone = data.draw(st.none() | st.sets(st.sampled_from(ones)).map(tuple)) if ones else None
    check(lambda x: tg.squeeze(x, gone), lambda x: np.squeeze(x, gone), [x])


@given(data=st.data(), shape=npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3))
def test_joining_and_splitting(data: st.DataObject, shape: tuple[int, ...]) -> None:
    n = len(shape)
    axis = data.draw(st.integers(-n, n - 1))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    at = axis % n
    pieces = [spaced(numbers(), (*shape[:at], k, *shape[at + 1 :])) for k in lengths]
    check(lambda *xs: tg.concatenate(xs, axis=axis), lambda *xs: np.concatenate(xs, axis=axis), pieces)
    check(lambda *xs: tg.concatenate(xs, axis=None), lambda *xs: np.concatenate(xs, axis=None), pieces)
    new = data.draw(st.integers(-n - 1, n))
    same = [spaced(numbers(), shape)] * len(lengths)
    check(lambda *xs: tg.stack(xs, axis=new), lambda *xs: np.stack(xs, axis=new), same)
    whole = np.concatenate(pieces, axis)
    indices = list(itertools.accumulate(lengths))[:-1]
    check(lambda x: tg.split(x, indices, axis=axis), lambda x: np.split(x, indices, axis=axis), [whole])
    sections = data.draw(st.sampled_from([k for k in range(1, 4) if shape[at] % k == 0]))
    check(lambda x: tg.split(x, sections, axis), lambda x: np.split(x, sections, axis), same[:1])


# ---- indices ----


@st.composite
def indexed(draw: st.DrawFn) -> tuple[tuple[int, ...], Any]:
    """Return a shape and any of NumPy's indices into it."""
    shape = draw(shapes(max_side=4))
    return shape, draw(indices(shape))


def taken(shape: tuple[int, ...], index: Any) -> tuple[int, ...]:
    """Return the shape of what the index names."""
    return np.shape(np.empty(shape)[index])


@given(case=indexed())
def test_reading_by_any_index(case: tuple[tuple[int, ...], Any]) -> None:
    shape, index = case
    x = spaced(numbers(), shape)
    check(lambda x: x[index], lambda x: x[index], [x])
    y = tg.tensor(x)[index]
    assert not np.may_share_memory(y.data, x)


@given(case=indexed())
def test_adding_at_any_index(case: tuple[tuple[int, ...], Any]) -> None:
    shape, index = case

    def numpys(v: Array) -> Array:
        y = np.zeros(shape)
        one_by_one(np.add, y, index, v)
        return y

    check(lambda v: tg.scatter_add(v, index, shape), numpys, [spaced(numbers(), taken(shape, index))], exact=False)


@given(case=indexed(), data=st.data())
def test_assigning_at_any_index(case: tuple[tuple[int, ...], Any], data: st.DataObject) -> None:
    """Values broadcast as NumPy's; with repeated indices the gradient goes to the write that survived."""
    shape, index = case
    room = taken(shape, index)
    narrow = tuple(1 if data.draw(st.booleans()) else n for n in room)[data.draw(st.integers(0, len(room))) :]

    def numpys(x: Array, v: Array) -> Array:
        y = np.array(x)
        y[index] = v
        return y

    def assigned(x: Any, v: Any) -> Any:
        y = x + 0
        y[index] = v
        return y

    arrays = [spaced(numbers(), shape), spaced(numbers(), narrow, 3.0, 5.0)]
    check(lambda x, v: tg.set_at(x, v, index), numpys, arrays)
    check(assigned, numpys, arrays)


@given(
    indices=st.lists(st.integers(-4, 3), min_size=1, max_size=8),
    wrap=st.sampled_from([np.array, lambda p: (np.array(p),), lambda p: p, lambda p: (Ellipsis, p)]),
)
def test_the_surviving_write_gets_the_gradient(indices: list[int], wrap: Callable[[list[int]], Any]) -> None:
    t = tg.zeros(4) + 0
    v = tg.tensor(np.arange(1.0, len(indices) + 1), requires_grad=True)
    t[wrap(indices)] = v
    u = np.array([2.0, 3.0, 5.0, 7.0])
    t.backward(u)
    last = {index % 4: write for write, index in enumerate(indices)}
    expected = [u[index % 4] if last[index % 4] == write else 0.0 for write, index in enumerate(indices)]
    assert v.grad is not None
    assert v.grad.tolist() == expected
