"""Reductions, cumulative operations and statistics where the generic samples don't reach."""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from by_folds import accumulated, average
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from looped import LOOPS, looped

import tinygrad_nn as tg

np: Any = numpy  # what is tested is what NumPy does with a Tensor, whatever its stubs say

FINITE = st.floats(-4, 4).map(lambda v: round(v, 2))
ARRAYS = hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4), elements=FINITE)


def leaf(x: Any) -> Any:
    return tg.tensor(np.asarray(x, float), requires_grad=True)


def gradient(function: Callable[[Any], Any], x: Any, weights: Any = None) -> Any:
    t = leaf(x)
    y = function(t)
    (y * (1.0 if weights is None else weights)).sum().backward()
    return t.grad.data


def numeric(function: Callable[[Any], Any], x: np.ndarray, weights: Any) -> np.ndarray:
    """Return central differences of the weighed sum."""
    found, step = np.zeros(x.shape), 1e-6
    for place in np.ndindex(x.shape):
        moved = [x.copy(), x.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        above, below = (np.sum(np.asarray(function(m)) * weights) for m in moved)
        found[place] = (above - below) / (2 * step)
    return found


def weights_for(y: Any) -> np.ndarray:
    return np.cos(1 + np.arange(y.size)).reshape(y.shape)


@given(ARRAYS, st.data())
def test_reductions_agree_with_numpy_under_every_option(x: np.ndarray, data: Any) -> None:
    axes = data.draw(st.none() | hnp.valid_tuple_axes(x.ndim, min_size=1) | st.integers(-x.ndim, x.ndim - 1))
    mask = data.draw(st.just(True) | hnp.arrays(bool, x.shape))
    name = data.draw(st.sampled_from(["sum", "prod", "max", "min", "mean", "var", "std", "nansum", "nanmax"]))
    options: dict[str, Any] = {"axis": axes, "keepdims": data.draw(st.booleans())}
    if name in ("max", "min", "nanmax") and mask is not True:
        options |= {"where": mask, "initial": -5.0}
    elif mask is not True:
        options["where"] = mask
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = LOOPS[getattr(np, name)](x, **options)
        found = getattr(tg, name)(tg.tensor(x), **options)
    np.testing.assert_allclose(found.data, expected, rtol=1e-12, atol=1e-12)
    assert found.shape == np.shape(expected)


@given(ARRAYS, st.data())
def test_gradients_of_masked_reductions(x: np.ndarray, data: Any) -> None:
    mask = data.draw(hnp.arrays(bool, x.shape))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    name = data.draw(st.sampled_from(["sum", "prod", "mean", "var"]))
    counts = mask.sum(axis)
    if name in ("mean", "var") and not counts.all():
        return

    def function(t: Any) -> Any:
        return getattr(np, name)(t, axis=axis, where=mask)

    w = weights_for(np.asarray(function(x)))
    np.testing.assert_allclose(gradient(function, x, w), numeric(looped(function), x, w), rtol=1e-6, atol=1e-6)


@given(ARRAYS, st.data())
def test_cumulative_operations_and_differences(x: np.ndarray, data: Any) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    functions: list[Callable[[Any], Any]] = [
        lambda t: np.cumsum(t, axis),
        lambda t: np.cumprod(t, axis),
        lambda t: np.diff(t, axis=axis, prepend=1.0, append=t),
        lambda t: np.diff(t, n=2, axis=axis, append=0.5),
        lambda t: np.trapezoid(t, axis=axis, dx=0.5),
    ]
    function = data.draw(st.sampled_from(functions))
    y = looped(function)(x)
    np.testing.assert_allclose(function(tg.tensor(x)).data, y, rtol=1e-12, atol=1e-12)
    w = weights_for(y)
    np.testing.assert_allclose(gradient(function, x, w), numeric(looped(function), x, w), rtol=1e-6, atol=1e-5)


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 6)), elements=st.sampled_from([0.0, 1.0, 2.0]))
)
def test_running_extremes_share_ties(x: np.ndarray) -> None:
    """Where k entries attain the running extreme by then, each gets 1/k: the minimum norm."""
    w = weights_for(x)
    for running, pick in ((tg.cummax, np.maximum), (tg.cummin, np.minimum)):
        expected = np.zeros(x.shape)
        values = accumulated(pick, x, axis=1)
        for row, column in np.ndindex(x.shape):
            tied = x[row, : column + 1] == values[row, column]
            expected[row, : column + 1] += w[row, column] * tied / tied.sum()
        np.testing.assert_allclose(gradient(functools.partial(running, axis=1), x, w), expected, rtol=1e-12, atol=1e-14)


def test_zeros_in_products_to_second_order() -> None:
    for zeros in ([], [1], [0, 2], [0, 1, 2, 3]):
        x = np.array([2.0, -1.5, 3.0, 0.5])
        x[zeros] = 0
        for function in (np.prod, lambda t: np.cumprod(t)[-1]):
            h = tg.hessian(lambda t, f=function: f(t))(x).data
            expected = [[0 if i == j else math.prod(np.delete(x, [i, j])) for j in range(4)] for i in range(4)]
            np.testing.assert_allclose(h, expected, atol=1e-14)


def test_an_extreme_that_is_nan_sends_its_gradient_to_the_nans() -> None:
    x = [[1.0, np.nan, np.nan], [3.0, 2.0, 3.0]]
    np.testing.assert_array_equal(gradient(lambda t: np.max(t, axis=1), x), [[0, 0.5, 0.5], [0.5, 0, 0.5]])
    np.testing.assert_array_equal(gradient(lambda t: np.nanmax(t, axis=1), x), [[1, 0, 0], [0.5, 0, 0.5]])


def test_initial_shares_nothing_of_a_tie() -> None:
    """Against a constant, the minimum norm at a tie is 0, as in maximum(x, 0)."""
    assert gradient(lambda t: np.max(t, initial=2.0), [1.0, 2.0]).tolist() == [0.0, 0.0]
    assert gradient(lambda t: np.max(t, initial=1.5), [1.0, 2.0]).tolist() == [0.0, 1.0]
    assert tg.max(tg.zeros((0, 2)), axis=0, initial=1.0).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="needs initial="):
        tg.max(leaf([1.0]), where=np.array([True]))


def test_integers_and_complex_numbers_as_in_numpy() -> None:
    small = np.array([100, 100], np.int8)
    for function in (np.sum, np.prod, np.cumsum, np.cumprod):
        found, expected = function(tg.tensor(small)), looped(function)(small)
        assert (found.dtype, found.tolist()) == (function(small).dtype, expected.tolist())
    z = np.array([1 + 1j, 2 - 1j])
    for function in (np.var, np.std, np.mean):
        np.testing.assert_allclose(function(tg.tensor(z)).data, looped(function)(z))
    with np.errstate(divide="ignore"):
        assert tg.tensor([1.0, 3.0]).var(ddof=3).item() == np.inf


def test_the_mean_of_nothing_is_nan_with_a_warning() -> None:
    for function in (np.mean, np.nanmean, np.var):
        with pytest.warns(RuntimeWarning, match="invalid value"):
            assert np.isnan(function(tg.zeros(0)).data)


def test_average_by_weights_that_are_differentiated() -> None:
    x, w = leaf([[1.0, 2.0, 4.0], [0.0, 1.0, 5.0]]), leaf([1.0, 2.0, 0.5])
    y, total = tg.average(x, axis=1, weights=w, returned=True)
    expected, known = average(x.data, axis=1, weights=w.data, returned=True)
    np.testing.assert_allclose(y.data, expected)
    np.testing.assert_allclose(total.data, known)
    y.sum().backward()
    slopes = ((x.data - expected[:, None]) / 3.5).sum(0)
    np.testing.assert_allclose(w.grad.data, slopes)
    assert tg.average(x, returned=True)[1].item() == 6.0
    with pytest.raises(ZeroDivisionError, match="add up to 0"):
        tg.average(x, weights=np.zeros((2, 3)))
    with pytest.raises(TypeError, match="along which axis"):
        tg.average(x, weights=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="need that axis's shape"):
        tg.average(x, axis=0, weights=[1.0, 2.0, 3.0])


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient_on_uneven_places_and_by_them(edge_order: int) -> None:
    places, values = np.array([0.0, 0.5, 1.5, 1.75, 3.0]), np.array([1.0, -1.0, 2.0, 0.5, 4.0])
    found = tg.gradient(values, places, edge_order=edge_order)
    np.testing.assert_allclose(found.data, LOOPS[np.gradient](values, places, edge_order=edge_order))
    w = weights_for(values)
    slopes = gradient(lambda p: tg.gradient(values, p, edge_order=edge_order), places, w)
    expected = numeric(lambda p: LOOPS[np.gradient](values, p, edge_order=edge_order), places, w)
    np.testing.assert_allclose(slopes, expected, rtol=1e-6, atol=1e-6)


def test_gradient_along_several_axes() -> None:
    x = np.arange(12.0).reshape(3, 4) ** 1.5
    spacings = 0.5, [0.0, 1.0, 3.0, 4.0]
    for found, expected in zip(tg.gradient(x, *spacings), LOOPS[np.gradient](x, *spacings)):
        np.testing.assert_allclose(found.data, expected)
    with pytest.raises(ValueError, match="no spacing, one, or one for each"):
        tg.gradient(x, 1.0, 2.0, 3.0)
    with pytest.raises(ValueError, match="too short"):
        tg.gradient([1.0, 2.0], edge_order=2)


@pytest.mark.parametrize(
    "options", [{}, {"bias": True}, {"ddof": 0}, {"aweights": [0.5, 1, 2, 1]}, {"fweights": [1, 2, 1, 3]}]
)
def test_covariances(options: dict[str, Any]) -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 4)), np.array([0.5, 1.0, -1.0, 2.0])
    np.testing.assert_allclose(tg.cov(x, y, **options).data, LOOPS[np.cov](x, y, **options))
    w = weights_for(np.cov(x, y))
    slopes = gradient(lambda t: np.cov(t, y, **options), x, w)
    np.testing.assert_allclose(slopes, numeric(lambda t: LOOPS[np.cov](t, y, **options), x, w), rtol=1e-6, atol=1e-7)


def test_correlations() -> None:
    x, y = np.random.default_rng(0).standard_normal((3, 5)), np.arange(5.0) ** 2
    calls: list[Callable[[Any], Any]] = [
        lambda t: np.corrcoef(t, y),
        lambda t: np.corrcoef(t.T, rowvar=False),
        lambda t: np.corrcoef(t[0]),
    ]
    for call in calls:
        np.testing.assert_allclose(call(tg.tensor(x)).data, looped(call)(x))
        w = weights_for(np.asarray(call(x)))
        np.testing.assert_allclose(gradient(call, x, w), numeric(looped(call), x, w), rtol=1e-6, atol=1e-7)
