"""Reductions where the generic samples don't reach."""

import math
import warnings
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from looped import LOOPS, looped
from weighed import ARRAYS, gradient, leaf, numeric, weights_for

import tinygrad_nn as tg

np: Any = numpy  # what is tested is what NumPy does with a Tensor, whatever its stubs say


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


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "any", "all", "ptp", "argmax", "argmin", "nansum"])
def test_a_number_is_reduced_over_its_axis_0_as_by_numpy(name: str, axis: int) -> None:
    y = getattr(np, name)(tg.tensor(2.5), axis=axis)
    np.testing.assert_array_equal(y.data, getattr(np, name)(np.array(2.5), axis=axis), strict=True)


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize(("name", "args"), [("cumsum", ()), ("cumprod", ()), ("repeat", (2,)), ("take", (0,))])
def test_a_number_is_a_vector_where_it_is_one_in_numpy(name: str, args: Any, axis: int) -> None:
    y = getattr(np, name)(tg.tensor(2.5), *args, axis=axis)
    np.testing.assert_array_equal(y.data, getattr(np, name)(np.array(2.5), *args, axis=axis), strict=True)


@pytest.mark.parametrize("axis", [1, -2, (0,)])
@pytest.mark.parametrize("name", ["sum", "max", "mean", "var"])
def test_a_number_has_no_other_axis(name: str, axis: Any) -> None:
    with pytest.raises(np.exceptions.AxisError):
        getattr(np, name)(tg.tensor(2.5), axis=axis)


def test_an_axis_given_twice_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="repeated axis") as caught:
        tg.sum(tg.ones((2, 3)), axis=(0, -2))
    assert "name each axis once" in "".join(caught.value.__notes__)
