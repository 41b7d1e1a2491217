"""Averages, covariances and correlations where the generic samples don't reach."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest
from by_folds import average
from looped import LOOPS, looped
from weighed import gradient, leaf, numeric, weights_for

import tinygrad_nn as tg

np: Any = numpy  # what is tested is what NumPy does with a Tensor, whatever its stubs say


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
