"""Running operations, differences and their slopes where the generic samples don't reach."""

import functools
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from by_folds import accumulated
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from looped import LOOPS, looped
from weighed import ARRAYS, gradient, numeric, weights_for

import tinygrad_nn as tg

np: Any = numpy  # what is tested is what NumPy does with a Tensor, whatever its stubs say


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


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient_on_uneven_places_and_by_them(edge_order: int) -> None:
    points, values = np.array([0.0, 0.5, 1.5, 1.75, 3.0]), np.array([1.0, -1.0, 2.0, 0.5, 4.0])
    found = tg.gradient(values, points, edge_order=edge_order)
    np.testing.assert_allclose(found.data, LOOPS[np.gradient](values, points, edge_order=edge_order))
    w = weights_for(values)
    slopes = gradient(lambda p: tg.gradient(values, p, edge_order=edge_order), points, w)
    expected = numeric(lambda p: LOOPS[np.gradient](values, p, edge_order=edge_order), points, w)
    np.testing.assert_allclose(slopes, expected, rtol=1e-6, atol=1e-6)


def test_gradient_along_several_axes() -> None:
    x = np.arange(12.0).reshape(3, 4) ** 1.5
    spacings = 0.5, [0.0, 1.0, 3.0, 4.0]
    for found, expected in zip(tg.gradient(x, *spacings), LOOPS[np.gradient](x, *spacings)):
        np.testing.assert_allclose(found.data, expected)
    with pytest.raises(ValueError, match="no spacing, one, or one for each"):
        tg.gradient(x, 1.0, 2.0, 3.0)
    with pytest.raises(ValueError, match="needs 3 entries along an axis, got 2"):
        tg.gradient([1.0, 2.0], edge_order=2)


def test_gradient_gives_the_slopes_in_the_order_of_the_axes() -> None:
    f = np.arange(12.0).reshape(3, 4) ** 2
    found = np.gradient(tg.tensor(f), 0.5, 2.0, axis=(1, 0))
    for slope, expected in zip(found, np.gradient(f, 0.5, 2.0, axis=(1, 0)), strict=True):
        np.testing.assert_allclose(slope.data, expected, rtol=1e-14)
