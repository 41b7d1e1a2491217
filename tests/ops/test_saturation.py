"""Saturation: far out and at infinity, values and derivatives are exact and silent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import FLOATS, leaf, slope, slopes

import tinygrad_nn as tg

INF = np.inf


def _sigmoid(x: float) -> float:
    return 1.0 if x > 0 else 0.0


# value and derivative at far, -far, inf, -inf
SATURATED: dict[str, tuple[Callable[[Any], Any], Callable[[float], float], Callable[[float], float]]] = {
    "sigmoid": (tg.sigmoid, _sigmoid, lambda x: 0.0),
    "tanh": (tg.tanh, math.tanh, lambda x: 0.0),
    "softplus": (tg.softplus, lambda x: max(x, 0.0), _sigmoid),
    "relu": (tg.relu, lambda x: max(x, 0.0), _sigmoid),
    "silu": (tg.silu, lambda x: max(x, 0.0), _sigmoid),
    "gelu": (tg.gelu, lambda x: max(x, 0.0), _sigmoid),
    "elu": (tg.elu, lambda x: max(x, -1.0), _sigmoid),
    "logaddexp 0": (lambda x: tg.logaddexp(x, 0), lambda x: max(x, 0.0), _sigmoid),
    "0 logaddexp": (lambda x: tg.logaddexp(0, x), lambda x: max(x, 0.0), _sigmoid),
    "arctan": (tg.arctan, math.atan, lambda x: 0.0 if math.isinf(x) else 1 / (1 + x * x)),
    "-softplus(-x)": (lambda x: -tg.softplus(-x), lambda x: min(x, 0.0), lambda x: 1 - _sigmoid(x)),
    "exp of -|x|": (lambda x: tg.exp(-abs(x)), lambda x: 0.0, lambda x: 0.0),
    "erfc": (tg.erfc, lambda x: 0.0 if x > 0 else 2.0, lambda x: 0.0),
}


@pytest.mark.parametrize("far", [1e4, -1e4, INF, -INF])
@pytest.mark.parametrize("dtype", [np.float16, *FLOATS])
@pytest.mark.parametrize("name", SATURATED)
def test_saturation_is_exact_and_silent(name: str, dtype: Any, far: float) -> None:
    function, value, derivative = SATURATED[name]
    x = leaf([far], dtype)
    far = float(x.data[0])
    y = function(x)
    assert y.dtype == dtype
    tolerance = 4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(y.data.astype(float), value(far), rtol=tolerance, atol=1e-300)
    (g,) = tg.autograd.grad(y, x, create_graph=True)
    assert g is not None
    np.testing.assert_allclose(g.data.astype(float), derivative(far), rtol=tolerance, atol=6e-8)
    y.backward()
    np.testing.assert_allclose(slope(x).astype(float), derivative(far), rtol=tolerance, atol=6e-8)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "silu", "gelu", "logaddexp 0"])
@pytest.mark.parametrize("far", [1e4, -1e4])
@pytest.mark.parametrize("dtype", FLOATS)
def test_second_derivatives_of_saturated_functions_are_zero(name: str, far: float, dtype: Any) -> None:
    x = leaf([far], dtype)
    (g,) = tg.autograd.grad(SATURATED[name][0](x), x, create_graph=True)
    assert g is not None
    (gg,) = tg.autograd.grad(g, x)
    assert gg is not None
    assert gg.data[0] == 0.0


@pytest.mark.parametrize("dtype", [np.float16, *FLOATS])
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softplus", "logaddexp 0", "arctan", "gelu", "silu", "erfc"])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_numbers_raise_no_warning(name: str, dtype: Any, sign: int) -> None:
    function, value, _ = SATURATED[name]
    x = leaf([sign * np.finfo(dtype).max], dtype)
    y = function(x)
    y.backward()
    np.testing.assert_allclose(y.data.astype(float), value(float(x.data[0])), rtol=1e-2)
    assert np.isfinite(slope(x)).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("values", "value", "gradient"),
    [
        ([-INF, -INF], -INF, [0.0, 0.0]),
        ([INF, 0.0], INF, [1.0, 0.0]),
        ([INF, INF], INF, [0.5, 0.5]),
        ([INF, -INF], INF, [1.0, 0.0]),
        ([-INF, 3.0], 3.0, [0.0, 1.0]),
        ([1e4, -1e4], 1e4, [1.0, 0.0]),
        ([1e4, 1e4], 1e4 + math.log(2), [0.5, 0.5]),
        ([-1e4, -1e4], -1e4 + math.log(2), [0.5, 0.5]),
    ],
)
def test_logsumexp_and_logaddexp_at_their_limits(
    values: list[float], value: float, gradient: list[float], dtype: Any
) -> None:
    x = leaf(values, dtype)
    y = tg.logsumexp(x)
    y.backward()
    np.testing.assert_allclose(y.data, value, rtol=1e-6)
    np.testing.assert_allclose(slope(x), gradient, rtol=1e-6)
    a, b = leaf(values[0], dtype), leaf(values[1], dtype)
    z = tg.logaddexp(a, b)
    z.backward()
    np.testing.assert_allclose(z.data, value, rtol=1e-6)
    np.testing.assert_allclose([slope(a), slope(b)], gradient, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, *FLOATS])
@pytest.mark.parametrize("function", [tg.logsumexp, tg.softmax, tg.log_softmax])
def test_the_softmax_family_takes_the_largest_numbers_of_both_signs(function: Callable[[Any], Any], dtype: Any) -> None:
    largest = np.finfo(dtype).max
    x = leaf([largest, -largest], dtype)
    y = function(x)
    y.backward(np.ones(y.shape))
    assert np.isfinite(slope(x)).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_logaddexp_takes_the_largest_numbers_of_both_signs(dtype: Any) -> None:
    largest = np.finfo(dtype).max
    a, b = leaf(largest, dtype), leaf(-largest, dtype)
    y = tg.logaddexp(a, b)
    y.backward()
    assert (y.item(), slope(a).item(), slope(b).item()) == (float(largest), 1.0, 0.0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([1e4, -1e4, 0.0], [1.0, 0.0, 0.0]),
        ([-INF, 0.0, 0.0], [0.0, 0.5, 0.5]),
        ([INF, 0.0, 0.0], [1.0, 0.0, 0.0]),
        ([-INF, -INF, -INF], [0.0, 0.0, 0.0]),
    ],
)
def test_softmax_at_its_limits(logits: list[float], expected: list[float], dtype: Any) -> None:
    x = leaf(logits, dtype)
    y = tg.softmax(x)
    np.testing.assert_array_equal(y.data, expected)
    y[0].backward()
    assert np.isfinite(slope(x)).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_cross_entropy_at_its_limits(dtype: Any) -> None:
    x = leaf([[0.0, -INF, 1.0], [1e4, -1e4, 0.0]], dtype)
    loss = tg.cross_entropy(x, np.array([2, 0]))
    loss.backward()
    np.testing.assert_allclose(loss.data, np.log1p(np.exp(-1.0)) / 2, rtol=1e-6)
    assert slope(x)[0, 1] == 0.0
    np.testing.assert_array_equal(slope(x)[1], [0.0, 0.0, 0.0])
    assert np.isfinite(slope(x)).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("logit", "label", "loss", "gradient"),
    [
        (1e4, 1.0, 0.0, 0.0),
        (1e4, 0.0, 1e4, 1.0),
        (-1e4, 0.0, 0.0, 0.0),
        (-1e4, 1.0, 1e4, -1.0),
        (INF, 1.0, 0.0, 0.0),
        (-INF, 0.0, 0.0, 0.0),
        (INF, 0.0, INF, 1.0),
        (0.0, 0.5, math.log(2), 0.0),
    ],
)
def test_binary_cross_entropy_with_logits_at_its_limits(
    logit: float, label: float, loss: float, gradient: float, dtype: Any
) -> None:
    z = leaf([logit], dtype)
    y = tg.binary_cross_entropy_with_logits(z, np.array([label], dtype))
    y.backward()
    np.testing.assert_allclose(y.data, loss, rtol=1e-6)
    assert slope(z)[0] == gradient
    assert y.dtype == slope(z).dtype == dtype


@pytest.mark.parametrize("scale", [1e-200, 1e-25, 1.0, 1e25, 1e200])
def test_arctan2_and_hypot_have_no_scale(scale: float) -> None:
    a, b = slopes(tg.arctan2, [scale], [scale])
    np.testing.assert_allclose([a[0] * scale, b[0] * scale], [0.5, -0.5], rtol=1e-12)
    a, b = slopes(tg.hypot, [3 * scale], [4 * scale])
    np.testing.assert_allclose([a[0], b[0]], [0.6, 0.8], rtol=1e-12)
