"""Sets, functions of slices, and polynomials where the generic samples can't go: ties, several results."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from looped import looped

import tinygrad_nn as tg
from tinygrad_nn.testing import check_agreement as check

np: Any = numpy  # what is tested is what NumPy does with a Tensor, whatever its stubs say


def gradient(y: Any, x: Any, seed: Any) -> Any:
    return tg.autograd.grad(y, x, np.array(seed))[0].data.tolist()


# ---- sets ----


@pytest.mark.parametrize("name", ["unique", "unique_values", "union1d", "intersect1d"])
def test_sets_say_why_there_is_no_gradient_and_the_remedy_works(name: str) -> None:
    t = tg.tensor([2.0, -1.0, 2.0], requires_grad=True) * 1
    arguments = (t,) if name.startswith("unique") else (t, t)
    with pytest.raises(TypeError, match=r"shape of its result depends on values.*np\.unique\(t\.data"):
        getattr(np, name)(*arguments)
    _, first = np.unique(t.data, return_index=True)
    assert t[first].tolist() == [-1.0, 2.0]


# ---- functions of slices and of axes ----


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize(
    "function",
    [lambda row: np.sum(row * row), lambda row: np.cumsum(row)[:2], lambda row: np.outer(row, row[1:]), np.sort],
    ids=["number", "row", "matrix", "same"],
)
def test_a_function_along_an_axis(function: Any, axis: int) -> None:
    x = np.random.default_rng(3).permutation(np.arange(24.0)).reshape(2, 3, 4)
    call = lambda t: np.apply_along_axis(function, axis, t)  # noqa: E731
    check(call, looped(call), [x], exact=False)


def test_a_function_over_axes() -> None:
    x = np.random.default_rng(3).permutation(np.arange(24.0)).reshape(2, 3, 4)
    for call in (
        lambda t: np.apply_over_axes(np.sum, t, [0, -1]),
        lambda t: np.apply_over_axes(lambda y, axis: y.mean(axis), t, 1),
        lambda t: np.apply_over_axes(np.cumsum, t, (2, 0)),
    ):
        check(call, looped(call), [x / 7], exact=False)
    t = tg.tensor(x, requires_grad=True)
    with pytest.raises(ValueError, match="drops one"):
        np.apply_over_axes(lambda y, axis: y.sum(), t, 0)
    with pytest.raises(ValueError, match="needs a slice"):
        np.apply_along_axis(np.sum, 0, t[:, :0])
    assert np.apply_along_axis(lambda row, k, p: row[k] ** p, 2, t, 1, p=2).tolist() == (x[..., 1] ** 2).tolist()


# ---- polynomials, counts, spaces and conversions ----


def test_polynomials_where_shapes_depend_on_values() -> None:
    u, v = np.array([1.0, -3.0, 3.0, -1.0]), np.array([1.0, -1.0])
    for a, b in ((u, v), (v, u), (np.array([2.0, 0.0, 1.0, 5.0]), np.array([1.0, 0.0, 0.5]))):
        for ours, theirs in zip(np.polydiv(tg.tensor(a), tg.tensor(b)), looped(np.polydiv)(a, b), strict=True):
            assert ours.shape == theirs.shape
            assert np.allclose(ours.data, theirs, rtol=0, atol=1e-15)
    assert np.poly(tg.tensor([1, 2])).tolist() == [1, -3, 2]
    assert tg.poly([]).data == 1.0
    single = tg.polydiv(tg.tensor(u, dtype="float32") / 3, tg.tensor(v, dtype="float32"))
    assert [y.shape for y in single] == [(3,), (1,)]


def test_constants_and_weights_of_polynomials_have_gradients() -> None:
    rng = np.random.default_rng(1)
    p, k, x, y, w = (rng.uniform(0.5, 2.0, n) for n in (3, 2, 5, 5, 5))
    check(lambda p, k: tg.polyint(p, 2, k), looped(lambda p, k: np.polyint(p, 2, k)), [p, k], exact=False)
    check(
        lambda x, y, w: tg.polyfit(np.cumsum(x), y, 2, w=w),
        looped(lambda x, y, w: np.polyfit(np.cumsum(x), y, 2, w=w)),
        [x, y, w], exact=False,
    )  # fmt: skip
    with pytest.raises(ValueError, match="one constant"):
        tg.polyint(p, 3, k)


def test_counts_are_integers_and_sums_of_weights_are_not() -> None:
    x = np.array([1, 0, 3, 1])
    assert tg.bincount(x).tolist() == [1, 2, 0, 1]
    assert tg.bincount(tg.tensor(x)).dtype == np.bincount(x).dtype
    assert tg.bincount(np.zeros(0, int), tg.ones(0, requires_grad=True), 2).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="a weight for each of its 4"):
        np.bincount(x, tg.ones(3, requires_grad=True))
    with pytest.raises(ValueError, match="negative"):
        np.bincount(-x, tg.ones(4, requires_grad=True))


def test_spaces_are_numpys_and_can_be_leaves() -> None:
    t = tg.tensor(2.0, dtype="float32", requires_grad=True)
    leaf = tg.linspace(1, t, 3, requires_grad=True, name="x")
    assert (leaf.is_leaf, leaf.name, leaf.dtype, leaf.tolist()) == (True, "x", np.float32, [1.0, 1.5, 2.0])
    assert tg.linspace(0, 10, 4, dtype=int).tolist() == [0, 3, 6, 10]
    values, step = np.linspace(0.0, t, 5, retstep=True)
    assert gradient(values, t, [1.0, 2.0, 3.0, 4.0, 5.0]) == 0.5 + 1.5 + 3 + 5
    assert step.requires_grad
    with pytest.raises(ValueError, match="from 0 on, not -1"):
        tg.linspace(0, 1, -1)
    for start, stop in ((-1.0, 1.0), (0.0, 1.0), (1.0, 0.0)):
        with pytest.raises(ValueError, match="same sign"):
            tg.geomspace(start, stop)


@pytest.mark.parametrize(("start", "stop"), [(1j, 2.0), (-1.0 + 0j, -2.0), (1 + 1j, 3 - 2j)])
def test_a_geometric_sequence_of_complex_numbers_is_numpys(start: Any, stop: Any) -> None:
    found = tg.geomspace(tg.tensor(start), tg.tensor(stop), 5)
    np.testing.assert_allclose(found.data, np.geomspace(start, stop, 5), 1e-14)


@pytest.mark.skipif(not hasattr(np, "astype"), reason="np.astype is of NumPy 2.1")
def test_numpys_astype_is_recorded() -> None:
    x = tg.tensor([1.5, -2.5], requires_grad=True)
    y = np.astype(x, np.float32)
    assert y.dtype == np.float32
    assert gradient(y, x, [1.0, 2.0]) == [1.0, 2.0]


def test_piecewise_looks_only_where_its_conditions_hold() -> None:
    x = tg.tensor([-1.0, 4.0, np.nan, 9.0], requires_grad=True)
    y = np.piecewise(x, [x < 0, x > 5], [0.5, np.sqrt])
    assert y.tolist() == [0.5, 0.0, 0.0, 3.0]
    assert gradient(y, x, np.ones(4)) == [0.0, 0.0, 0.0, 1 / 6]
    assert np.piecewise(x, x < 0, [np.negative, 7.0]).tolist() == [1.0, 7.0, 7.0, 7.0]
    with pytest.raises(ValueError, match="takes 2 or 3 functions"):
        np.piecewise(x, [x < 0, x > 5], [np.sqrt])
