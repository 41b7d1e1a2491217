"""Sorting, the largest few, medians and quantiles: values as NumPy's, gradients at ties and between entries."""

from __future__ import annotations

import itertools
import math
from typing import Any

import hypothesis.extra.numpy as npst
import hypothesis.strategies as st
import numpy as np
import pytest
from by_folds import digitize, searchsorted, sort
from entries import numbers
from hypothesis import given
from looped import looped
from optional import pytorch
from rings import sampled
from slopes import derivative, leaf

import tinygrad_nn as tg
from tinygrad_nn.ops.numpy.quantiles import _ALPHA_BETA, _STEPPED
from tinygrad_nn.testing import check_agreement as check
from tinygrad_nn.testing import spaced

Array = Any
METHODS: list[Any] = [*_STEPPED, *_ALPHA_BETA]
FULL = npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4)


def same(function: Any, shape: tuple[int, ...]) -> None:
    """Hold NumPy's function on tensors against loops over arrays without ties, with its derivatives."""
    check(function, looped(function), [spaced(numbers(), shape)], exact=False)


# ---- sorting ----


@given(shape=npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4), data=st.data())
def test_sort_and_partition(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    same(lambda x: np.sort(x, axis), shape)
    n = math.prod(shape) if axis is None else shape[axis]
    if n == 0:
        return
    kth = data.draw(st.integers(-n, n - 1) | st.lists(st.integers(-n, n - 1), min_size=1, max_size=2))
    x = leaf(spaced(numbers(), shape))
    along = -1 if axis is None else axis
    y = np.partition(x, kth, axis)
    expected = sort(x.data, axis)
    np.testing.assert_array_equal(np.take(y, kth, along).data, np.take(expected, kth, along))
    np.testing.assert_array_equal(sort(y.data, along), sort(expected, along))
    indices = np.argpartition(x, kth, axis)
    found = np.take_along_axis(x, indices, axis)
    np.testing.assert_array_equal(np.take(found, kth, along).data, np.take(expected, kth, along))
    np.testing.assert_array_equal(np.take_along_axis(x, np.array(indices, np.uint64), axis).data, found.data)


def test_sort_is_a_new_tensor_and_takes_numpys_keywords() -> None:
    x = leaf([3.0, 1.0, 2.0])
    y = x.sort()
    assert x.tolist() == [3.0, 1.0, 2.0]
    assert derivative(y, x, [1.0, 2.0, 3.0]).tolist() == [3.0, 1.0, 2.0]
    for z in (np.sort(x, kind="stable"), np.sort(x, stable=True), x.sort(-1), x.sort(kind="heapsort")):
        assert z.tolist() == [1.0, 2.0, 3.0]
    assert np.sort(tg.tensor([3, 1])).dtype == np.int64
    with pytest.raises(ValueError, match="out of bounds"):
        np.partition(x, 3)
    with pytest.raises(np.exceptions.AxisError):
        np.sort(leaf(1.0))


def test_argsort_keeps_equal_entries_in_order() -> None:
    x = leaf(np.tile([2.0, 1.0], 50))
    order: Any = np.argsort(x)
    assert type(order) is tg.Tensor
    assert not order.requires_grad
    np.testing.assert_array_equal(order.data, [*range(1, 100, 2), *range(0, 100, 2)])


@given(values=st.lists(st.integers(0, 3), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_ties_get_the_subgradient_of_smallest_norm(values: list[int], seed: int) -> None:
    """All orders of equal entries give gradients; their mean is the point of their hull nearest to 0."""
    u = np.random.default_rng(seed).standard_normal(len(values))
    orders = [p for p in itertools.permutations(range(len(values))) if [values[i] for i in p] == sorted(values)]
    expected = np.mean([u[np.argsort(p)] for p in orders], axis=0)
    x = leaf(np.array(values, float))
    np.testing.assert_allclose(derivative(np.sort(x), x, u), expected, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(derivative(np.partition(x, 0), x, u), expected, rtol=1e-14, atol=1e-14)


@given(x=npst.arrays(np.float64, npst.array_shapes(max_dims=2), elements=st.integers(0, 2)))
def test_sort_agrees_with_max_and_min_at_ties(x: Array) -> None:
    t = leaf(x)
    ones = np.ones(x.shape[:-1])
    for ours, known in ((np.sort(t)[..., -1], np.max(t, -1)), (np.sort(t)[..., 0], np.min(t, -1))):
        np.testing.assert_allclose(derivative(ours, t, ones), derivative(known, t, ones), rtol=1e-14)
    np.testing.assert_allclose(
        derivative(tg.topk(t, 1)[0][..., 0], t, ones), derivative(np.max(t, -1), t, ones), rtol=1e-14
    )


def test_ties_at_second_order() -> None:
    x = leaf([1.0, 1.0, 0.0])
    y = np.sort(x) ** 3
    (g,) = tg.autograd.grad(y, x, [1.0, 2.0, 4.0], create_graph=True)
    assert g is not None
    assert g.tolist() == [9.0, 9.0, 0.0]
    assert derivative(g.sum(), x).tolist() == [18.0, 18.0, 0.0]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_many_ties_share_in_every_precision(dtype: str) -> None:
    x = leaf(np.zeros((3, 70_000), dtype))
    for y in (np.sort(x)[:, -1], np.median(x, axis=1), np.quantile(x, 0.3, axis=1), tg.topk(x, 1)[0]):
        assert y.dtype == dtype
        found = derivative(y.sum(), x)
        assert np.allclose(found, 1 / 70_000, rtol=2e-3 if dtype == "float16" else 1e-6)


def test_infinite_and_missing_entries_sort_and_keep_their_gradients_apart() -> None:
    x = leaf([np.inf, np.nan, 1.0, -np.inf, np.inf, np.nan])
    y = np.sort(x)
    np.testing.assert_array_equal(y.data, [-np.inf, 1.0, np.inf, np.inf, np.nan, np.nan])
    np.testing.assert_array_equal(derivative(y, x, [1.0, 2.0, 3.0, 5.0, 7.0, 9.0])[[0, 2, 3, 4]], [4.0, 2.0, 1.0, 4.0])
    kept = derivative(np.sort(np.log(leaf_of(x)))[0], x)
    assert np.isfinite(kept).all()


def leaf_of(x: Any) -> Any:
    """Return positive numbers that depend on x, also where x is not finite."""
    return np.where(np.isfinite(x.data), np.abs(x) + 0.5, 1.0)


# ---- the largest few ----


@given(shape=FULL, data=st.data(), largest=st.booleans())
def test_topk_equals_pytorchs(shape: tuple[int, ...], data: st.DataObject, largest: bool) -> None:
    torch = pytorch()
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    k = data.draw(st.integers(0, shape[axis]))
    x = spaced(numbers(), shape)
    check(lambda t: tg.topk(t, k, axis, largest)[0], lambda a: extremes(a, k, axis, largest), [x])
    t, w = leaf(x), torch.tensor(x, requires_grad=True)
    values, indices = t.topk(k, axis=axis, largest=largest)
    known = torch.topk(w, k, axis, largest)
    assert not indices.requires_grad
    np.testing.assert_array_equal(values.data, known.values.detach().numpy())
    np.testing.assert_array_equal(indices.data, known.indices.numpy())
    u = np.random.default_rng(0).standard_normal(values.shape)
    known.values.backward(torch.tensor(u))
    np.testing.assert_array_equal(derivative(values, t, u), w.grad.numpy())


def extremes(x: Array, k: int, axis: int, largest: bool) -> Array:
    return np.take(np.flip(sort(x, axis), axis) if largest else sort(x, axis), range(k), axis)


def test_topk_among_equal_entries() -> None:
    x = leaf([[2.0, 1.0, 2.0, 2.0], [0.0, 3.0, 1.0, 2.0]])
    for k, largest in itertools.product(range(5), [True, False]):
        values, indices = tg.topk(x, k, largest=largest)
        np.testing.assert_array_equal(values.data, extremes(x.data, k, 1, largest))
        np.testing.assert_array_equal(np.take_along_axis(x.data, indices.data, 1), values.data)
    values, indices = tg.topk(x, 2)
    assert indices.tolist() == [[0, 2], [1, 3]]
    shared = np.array([[2 / 3, 0, 2 / 3, 2 / 3], [0, 1, 0, 1]])
    np.testing.assert_allclose(derivative(values, x, np.ones((2, 2))), shared)
    assert tg.topk(tg.tensor([1, 3, 3]), 2)[1].tolist() == [1, 2]


def test_topk_of_nan_and_of_too_many() -> None:
    values, indices = tg.topk(leaf([1.0, np.nan, 2.0]), 2)
    np.testing.assert_array_equal(values.data, [np.nan, 2.0])
    assert indices.tolist() == [1, 2]
    with pytest.raises(ValueError, match="topk takes 0 to 3 entries on an axis of length 3, not 4"):
        tg.topk(leaf([1.0, 2.0, 3.0]), 4)


# ---- where entries belong ----


def test_places_among_sorted_entries_and_bins_are_constants() -> None:
    edges, x = np.array([0.0, 1.0, 1.0, 2.0]), leaf([[0.5, 1.0], [-1.0, 3.0]])
    for indices, expected in (
        (np.searchsorted(edges, x), searchsorted(edges, x.data)),
        (np.searchsorted(leaf(edges), x, side="right"), searchsorted(edges, x.data, "right")),
        (leaf(edges[::-1]).searchsorted(1.0, sorter=tg.tensor([3, 2, 1, 0])), np.array(1)),
        (np.digitize(x, edges), digitize(x.data, edges)),
        (np.digitize(x, leaf(edges), right=True), digitize(x.data, edges, right=True)),
    ):
        assert type(indices) is tg.Tensor
        assert not indices.requires_grad
        np.testing.assert_array_equal(indices.data, expected)
    y = leaf([10.0, 20.0, 30.0, 40.0, 50.0])[np.digitize(x, edges)]
    assert y.tolist() == [[20.0, 40.0], [10.0, 50.0]]


# ---- medians and quantiles ----


@given(shape=FULL, data=st.data(), keepdims=st.booleans())
def test_median(shape: tuple[int, ...], data: st.DataObject, keepdims: bool) -> None:
    axis = st.integers(-len(shape), len(shape) - 1)
    axes = data.draw(st.none() | axis | st.sets(axis.filter(lambda i: i >= 0), min_size=1).map(tuple))
    same(lambda x: np.median(x, axes, keepdims=keepdims), shape)
    same(lambda x: np.nanmedian(x, axes, keepdims=keepdims), shape)


@pytest.mark.parametrize("method", sampled(METHODS, 9, seed=1))
@given(n=st.integers(1, 7), data=st.data())
def test_every_method_of_quantiles(method: Any, n: int, data: st.DataObject) -> None:
    """Also at the steps and ends of the method, where the rounding of n q decides."""
    steps = st.integers(0, 2 * n).map(lambda i: i / (2 * n))
    q = np.array(data.draw(st.lists(steps | st.floats(0, 1), min_size=1, max_size=4)))
    same(lambda x: np.quantile(x, q, axis=1, method=method), (2, n))
    same(lambda x: np.percentile(x, 100 * q[0], method=method), (n,))


@given(shape=FULL, data=st.data(), keepdims=st.booleans())
def test_axes_and_shapes_of_quantiles(shape: tuple[int, ...], data: st.DataObject, keepdims: bool) -> None:
    axes = data.draw(st.none() | st.sets(st.integers(-len(shape), -1), min_size=1).map(tuple))
    shapes = npst.array_shapes(min_dims=0, max_dims=2, max_side=2)
    q = data.draw(npst.arrays(np.float64, shapes, elements=st.floats(0, 1)))
    same(lambda x: np.quantile(x, q, axis=axes, keepdims=keepdims), shape)
    same(lambda x: np.nanpercentile(x, 100 * q.ravel(), axis=axes, keepdims=keepdims), shape)  # of more axes NumPy errs


@given(data=st.data(), n=st.integers(1, 5), method=st.sampled_from(METHODS))
def test_missing_entries(data: st.DataObject, n: int, method: Any) -> None:
    x = spaced(numbers(), (3, n))
    mask = data.draw(npst.arrays(bool, (3, n)))
    mask[:, 0] = False
    x[mask] = np.nan
    q = data.draw(st.floats(0, 1))
    t = leaf(x)
    calls: list[Any] = [
        lambda x: np.nanquantile(x, q, axis=1, method=method),
        lambda x: np.nanmedian(x, axis=1),
        lambda x: np.quantile(x, q, axis=1, method=method),
        lambda x: np.median(x, axis=1),
    ]
    for call in calls:
        np.testing.assert_allclose(call(t).data, looped(call)(x), rtol=1e-13, atol=1e-13)
    found = derivative(np.nanquantile(t, q, axis=1, method=method).sum(), t)
    assert not found[mask].any()
    for row, g in zip(x, found):
        kept = leaf(row[~np.isnan(row)])
        np.testing.assert_allclose(g[~np.isnan(row)], derivative(np.quantile(kept, q, method=method), kept), atol=1e-14)


def test_rows_of_nothing_but_nan_are_nan_and_warn_as_numpy_does() -> None:
    x = leaf([[np.nan, np.nan], [1.0, np.nan]])
    functions: list[Any] = [lambda t: np.nanmedian(t, 1), lambda t: np.nanquantile(t, [0.2, 0.5], 1)]
    for function in functions:
        with pytest.warns(RuntimeWarning, match="All-NaN slice"):
            y = function(x)
        with pytest.warns(RuntimeWarning, match="All-NaN slice"):
            expected = function(x.data)
        np.testing.assert_array_equal(y.data, expected)
        assert derivative(y[..., 1].sum(), x)[1].tolist()[1] == 0.0


def test_the_gradient_of_a_median() -> None:
    """The middle one gets all, two middle ones half each; entries equal to them share."""
    for values, expected in (
        ([5.0, 1.0, 3.0], [0, 0, 1]),
        ([5.0, 1.0, 3.0, 4.0], [0, 0, 0.5, 0.5]),
        ([2.0, 2.0, 1.0], [0.5, 0.5, 0]),
        ([2.0, 2.0, 2.0, 9.0], [1 / 3, 1 / 3, 1 / 3, 0]),
        ([1.0, 2.0, 2.0, 3.0], [0, 0.5, 0.5, 0]),
        ([1.0, 2.0, 4.0, 4.0], [0, 0.5, 0.25, 0.25]),
        ([np.inf, 1.0, np.inf], [0.5, 0, 0.5]),
    ):
        x = leaf(values)
        np.testing.assert_allclose(derivative(np.median(x), x), expected, rtol=1e-15)


def test_medians_and_quantiles_of_extreme_entries() -> None:
    big = float(np.finfo(float).max)
    assert np.median(leaf([big, -big])).item() == 0.0
    assert np.median(leaf([big, big])).item() == big
    assert np.median(leaf([1.0, np.inf, np.inf, np.inf])).item() == np.inf
    for q in np.linspace(0, 1, 30):
        assert np.quantile(leaf([0.1] * 4), q).item() == 0.1
    assert np.quantile(tg.tensor([6e4, 6e4], "float16"), 0.5).item() == np.float16(6e4)


def test_dtypes_of_medians_and_quantiles() -> None:
    for dtype in ("float32", "float16"):
        x = leaf([3.0, 1.0, 2.0, 5.0], dtype)
        assert np.quantile(x, 0.5, method="lower").dtype == dtype
        for y in (np.median(x), np.quantile(x, [0.3, 0.6]), np.percentile(x, 30), np.nanmedian(x)):
            assert y.dtype == dtype
    counts = tg.tensor([3, 1, 2, 5])
    assert np.median(counts).dtype == np.float64
    assert np.quantile(counts, 0.5, method="nearest").dtype == np.int64
    assert np.median(counts).item() == 2.5


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: np.quantile(x, 1.5), ValueError, "between 0 and 1"),
        (lambda x: np.percentile(x, -1), ValueError, "percentiles between 0 and 100"),
        (lambda x: np.quantile(x, np.nan), ValueError, "between 0 and 1"),
        (lambda x: tg.quantile(x, 0.5, method="middle"), ValueError, "method must be one of interpolated_inverted_cdf"),
        (lambda x: np.quantile(x[:0], 0.5), ValueError, "quantiles need at least one entry"),
        (lambda x: np.median(x, axis=(0, 0)), ValueError, "repeated axis"),
        (lambda x: np.quantile(x, 0.5, weights=np.ones(3), method="inverted_cdf"), TypeError, "weights"),
    ],
)
def test_misuse_of_quantiles_is_refused(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call(leaf(np.ones(3)))
    told = [str(caught.value), *getattr(caught.value, "__notes__", [])]
    assert any("tinygrad_nn operation" in text or "np.quantile" in text for text in told)


def test_the_median_of_nothing_is_nan_as_its_mean_is() -> None:
    x = leaf(np.zeros((2, 0)))
    assert np.isnan(np.median(x, axis=1).data).tolist() == [True, True]
    assert np.nanquantile(x, [0.1, 0.2, 0.3], axis=1, keepdims=True).shape == (3, 2, 1)
    assert np.median(np.zeros((0, 3)) + x[:0, :0].sum(), axis=1).shape == (0,)


# ---- a tensor of quantiles ----


@given(q=st.lists(st.floats(0.03, 0.97), min_size=1, max_size=3), method=st.sampled_from(list(_ALPHA_BETA)))
def test_quantiles_have_slopes_in_q(q: list[float], method: Any) -> None:
    x = spaced(numbers(), (2, 6))
    alpha, beta = _ALPHA_BETA[method]
    ranks = [6 * v + alpha + v * (1 - alpha - beta) - 1 for v in q]
    if any(abs(p - round(p)) < 0.02 for p in ranks):
        return
    check(
        lambda t, v: tg.quantile(t, v, axis=1, method=method),
        lambda a, v: np.quantile(a, v, axis=1, method=method),
        [x, np.array(q)],
        exact=False,
    )


def test_the_slope_in_q_at_an_entry_is_the_smaller_one_and_at_the_ends_0() -> None:
    x = leaf([[0.0, 1.0, 5.0], [9.0, 7.0, 6.0]])
    q = leaf([0.0, 0.5, 1.0])
    y = tg.quantile(x, q, axis=1)
    assert y.tolist() == [[0.0, 6.0], [1.0, 7.0], [5.0, 9.0]]
    for row, expected in ((0, [0.0, 2.0, 0.0]), (1, [0.0, 2.0, 0.0])):
        assert derivative(y[:, row].sum(), q).tolist() == expected
        y = tg.quantile(x, q, axis=1)
    assert derivative(y.sum(), x).tolist() == [[1.0, 1.0, 1.0]] * 2
    assert derivative(tg.percentile(x, leaf(30.0) * 1).sum(), x).shape == (2, 3)


@pytest.mark.parametrize("method", list(_STEPPED))
def test_stepped_methods_have_no_slope_in_q(method: str) -> None:
    q = leaf(0.4)
    y = tg.quantile(np.array([1.0, 2.0, 5.0]), q, method=method)
    assert not y.requires_grad


# ---- against PyTorch ----


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
def test_gradients_of_quantiles_equal_pytorchs(method: Any) -> None:
    torch = pytorch()
    x = spaced(numbers(), (3, 8))
    x[1, 2] = np.nan
    q = np.array([0.1, 0.33, 0.9])
    for ours, theirs in ((np.nanquantile, torch.nanquantile), (np.quantile, torch.quantile)):
        t, w = leaf(x[::2]), torch.tensor(x[::2], requires_grad=True)
        if ours is np.nanquantile:
            t, w = leaf(x), torch.tensor(x, requires_grad=True)
        y, z = ours(t * t, q, axis=1, method=method), theirs(w * w, torch.tensor(q), 1, interpolation=method)
        np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-13)
        u = np.random.default_rng(0).standard_normal(y.shape)
        z.backward(torch.tensor(u))
        found, known = derivative(y, t, u), w.grad.numpy()
        np.testing.assert_allclose(found[~np.isnan(t.data)], known[~np.isnan(t.data)], rtol=1e-12, atol=1e-12)


def test_gradients_of_sorting_equal_pytorchs() -> None:
    torch = pytorch()
    x = spaced(numbers(), (3, 4, 5))
    for axis in (0, 1, -1):
        t, w = leaf(x), torch.tensor(x, requires_grad=True)
        y: Any = np.sort(np.sin(3 * t), axis)
        z = torch.sort(torch.sin(3 * w), axis).values
        np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-13)
        u = np.random.default_rng(0).standard_normal(y.shape)
        z.backward(torch.tensor(u))
        np.testing.assert_allclose(derivative(y, t, u), w.grad.numpy(), rtol=1e-13)
