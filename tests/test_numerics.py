"""Numbers: zero-safe reverse mode, subgradients, saturation, and dtypes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from by_folds import fold
from slopes import leaf, slope

import tinygrad_nn as tg

FLOATS = [np.float32, np.float64]
INF = np.inf


def slopes(function: Callable[..., Any], *values: Any, dtype: Any = np.float64, create_graph: bool = False) -> Any:
    """Return the gradients of the function's sum with respect to each of its arguments."""
    inputs = [leaf(v, dtype) for v in values]
    with np.errstate(divide="ignore", invalid="ignore"):
        y = function(*inputs)
        found = tg.autograd.grad(y.sum(), inputs, create_graph=create_graph)
    return [g.data for g in found if g is not None]


def second(function: Callable[[Any], Any], value: Any) -> Any:
    """Return the derivative of the derivatives' sum."""
    x = leaf(value)
    with np.errstate(divide="ignore", invalid="ignore"):
        (g,) = tg.autograd.grad(function(x).sum(), x, create_graph=True)
        assert g is not None
        (gg,) = tg.autograd.grad(g.sum(), x, allow_unused=True) if g.requires_grad else (None,)
    return np.zeros(x.shape) if gg is None else gg.data


# Zero-safe reverse mode: what a mask switched off stays off.

X = np.array([-2.0, -1.0, 0.0, 0.5, 2.0])
ON = X > 0
MASKED: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "log else 0": (lambda x: tg.where(x > 0, tg.log(x), 0.0), lambda x: 1 / x, lambda x: -1 / x**2),
    "sqrt else 0": (lambda x: tg.where(x > 0, tg.sqrt(x), 0.0), lambda x: 0.5 * x**-0.5, lambda x: -0.25 * x**-1.5),
    "x log x": (lambda x: tg.where(x > 0, x * tg.log(x), 0.0), lambda x: np.log(x) + 1, lambda x: 1 / x),
    "1/x": (lambda x: tg.where(x > 0, 1 / x, 0.0), lambda x: -1 / x**2, lambda x: 2 / x**3),
    "log1p(-x)": (
        lambda x: tg.where(x > 0, tg.log1p(x - 1), 0.0), lambda x: 1 / x, lambda x: -1 / x**2
    ),
    "x**-1.5": (lambda x: tg.where(x > 0, x**-1.5, 0.0), lambda x: -1.5 * x**-2.5, lambda x: 3.75 * x**-3.5),
    "log log": (
        lambda x: tg.where(x > 0, tg.log(tg.sqrt(x)), 0.0), lambda x: 0.5 / x, lambda x: -0.5 / x**2
    ),
    "reciprocal": (lambda x: tg.where(x > 0, tg.reciprocal(x), 0.0), lambda x: -1 / x**2, lambda x: 2 / x**3),
    "log2": (
        lambda x: tg.where(x > 0, tg.log2(x), 0.0), lambda x: 1 / x / math.log(2), lambda x: -1 / x**2 / math.log(2)
    ),
    "x**x": (
        lambda x: tg.where(x > 0, x**x, 0.0),
        lambda x: x**x * (np.log(x) + 1),
        lambda x: x**x * ((np.log(x) + 1) ** 2 + 1 / x),
    ),
    "selected": (lambda x: tg.log(x)[ON], lambda x: 1 / x, lambda x: -1 / x**2),
    "times a mask": (
        lambda x: tg.where(x > 0, tg.log(tg.where(x > 0, x, -1.0)), 0.0), lambda x: 1 / x, lambda x: -1 / x**2
    ),
}  # fmt: skip


def _on(values: Callable[[Any], Any]) -> Any:
    expected = np.zeros(5)
    expected[ON] = values(X[ON])
    return expected


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", MASKED)
def test_the_side_not_taken_leaks_no_nan(name: str, create_graph: bool) -> None:
    function, first, _ = MASKED[name]
    (g,) = slopes(function, X, create_graph=create_graph)
    np.testing.assert_allclose(g, _on(first), rtol=1e-14)


@pytest.mark.parametrize("name", MASKED)
def test_the_side_not_taken_leaks_no_nan_at_second_order(name: str) -> None:
    function, _, twice = MASKED[name]
    np.testing.assert_allclose(second(function, X), _on(twice), rtol=1e-13)


def test_the_other_side_of_a_mask_keeps_its_own_gradient() -> None:
    (g,) = slopes(lambda x: tg.where(x > 0, tg.log(x), x), X)
    np.testing.assert_array_equal(g, np.where(ON, 1 / np.where(ON, X, 1), 1.0))


@pytest.mark.parametrize("dtype", FLOATS)
def test_masked_rows_that_sum_to_zero_have_finite_gradients(dtype: Any) -> None:
    rows = np.array([[1.0, 3.0], [0.0, 0.0]])
    mask = np.array([[True], [False]])
    (g,) = slopes(lambda x: tg.where(mask, x / x.sum(axis=1, keepdims=True), 0.0)[:, 0], rows, dtype=dtype)
    np.testing.assert_allclose(g, [[3 / 16, -1 / 16], [0.0, 0.0]], rtol=1e-6)


@pytest.mark.parametrize(("p", "y"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1.0, 1.0)])
def test_a_masked_cross_entropy_leaks_no_nan(p: float, y: float) -> None:
    probabilities, labels = leaf([p, 0.5]), leaf([y, 1.0])
    losses = tg.binary_cross_entropy(probabilities, labels, reduction="none")
    tg.where(np.array([False, True]), losses, 0.0).sum().backward()
    np.testing.assert_array_equal(slope(probabilities), [0.0, -2.0])
    np.testing.assert_array_equal(slope(labels), [0.0, 0.0])


def test_a_masked_cross_entropy_of_infinite_logits_leaks_no_nan() -> None:
    z, y = leaf([INF, 0.0]), leaf([1.0, 1.0])
    losses = tg.binary_cross_entropy_with_logits(z, y, reduction="none")
    tg.where(np.array([False, True]), losses, 0.0).sum().backward()
    np.testing.assert_array_equal(slope(z), [0.0, -0.5])
    np.testing.assert_array_equal(slope(y), [0.0, 0.0])


def _norm(x: Any) -> Any:
    return tg.sqrt((x * x).sum())


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(
    ("function", "value"),
    [
        (_norm, np.zeros(3)),
        (lambda x: tg.sqrt(tg.square(x).sum()), np.zeros(3)),
        (lambda x: _norm(x) ** 2, np.zeros(3)),
        (tg.std, np.full(3, 5.0)),
        (lambda x: tg.std(x, axis=0, ddof=1), np.full((3, 2), 5.0)),
        (lambda x: tg.hypot(x, x * 2), np.array(0.0)),
        (lambda x: tg.arctan2(x, x), np.array(0.0)),
        (tg.abs, np.zeros(2)),
    ],
    ids=["norm", "norm by square", "norm squared", "std", "std of columns", "hypot", "arctan2", "abs"],
)
def test_derivatives_at_zero_are_zero(function: Callable[[Any], Any], value: Any, create_graph: bool) -> None:
    (g,) = slopes(function, value, create_graph=create_graph)
    np.testing.assert_array_equal(g, np.zeros(value.shape))


@pytest.mark.parametrize("function", [_norm, tg.std])
def test_second_derivatives_of_norm_and_std_at_zero_are_no_nan(function: Callable[[Any], Any]) -> None:
    assert not np.isnan(second(function, np.zeros(3))).any()


def test_the_norm_away_from_zero_is_untouched() -> None:
    (g,) = slopes(lambda x: tg.sqrt((x * x).sum(axis=1)), [[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(g, [[0.6, 0.8], [0.0, 0.0]], rtol=1e-15)


def test_a_genuine_singularity_is_told_as_ieee_does() -> None:
    (g,) = slopes(tg.sqrt, [0.0, 4.0])
    np.testing.assert_array_equal(g, [INF, 0.25])
    (g,) = slopes(tg.log, [0.0])
    assert g[0] == INF
    (g,) = slopes(lambda x: tg.log(x) * 1.0, [np.nan])
    assert np.isnan(g[0])
    (g,) = slopes(lambda x: tg.sqrt(x), [-1.0])
    assert np.isnan(g[0])


def test_sqrt_squared_at_zero_is_zero_by_convention() -> None:
    (g,) = slopes(lambda x: tg.sqrt(x) ** 2, [0.0])
    assert g[0] == 0.0


def test_a_nan_elsewhere_does_not_hide_a_masked_one() -> None:
    (g,) = slopes(lambda x: tg.where(x != 0, tg.log(x), 0.0), [np.nan, 0.0, 2.0])
    assert np.isnan(g[0])
    np.testing.assert_array_equal(g[1:], [0.0, 0.5])


@pytest.mark.parametrize(("dtype", "huge"), [(np.float64, 1e300), (np.float32, 1e30), (np.float16, 3e4)])
def test_huge_cotangents_neither_look_like_nan_nor_warn(dtype: Any, huge: float) -> None:
    x = leaf([2.0, 4.0], dtype)
    tg.log(x).backward(np.array([huge, -huge], dtype))
    np.testing.assert_allclose(slope(x).astype(float), [huge / 2, -huge / 4], rtol=1e-3)


# Powers.


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 0.0, 1.0, 2.0, 3.0], ids=repr)
def test_powers_at_zero_to_second_order(exponent: float, dtype: Any) -> None:
    first = {0: 0.0, 1: 1.0}.get(int(exponent), 0.0)
    twice = {2: 2.0}.get(int(exponent), 0.0)
    (g,) = slopes(lambda x: x**exponent, [0.0], dtype=dtype)
    assert g[0] == first
    assert g.dtype == dtype
    assert second(lambda x: x**exponent, [0.0])[0] == twice


def test_an_array_of_exponents_at_zero() -> None:
    exponents = np.array([0, 1, 2])
    for powers in (exponents, exponents.astype(float), tg.tensor(exponents), [0, 1, 2]):
        x = leaf(0.0)
        (x**powers).sum().backward()
        assert slope(x) == 1.0
    assert second(lambda x: x ** np.array([0.0, 1.0, 2.0, 3.0]), 0.0) == 2.0


def test_powers_of_negative_numbers() -> None:
    (g,) = slopes(lambda x: x**3.0, [-2.0])
    assert g[0] == 12.0
    (g,) = slopes(lambda x: x**2, [-2.0])
    assert g[0] == -4.0
    (g,) = slopes(lambda x: x**-1, [-2.0])
    assert g[0] == -0.25


def test_the_slope_of_a_power_in_its_exponent() -> None:
    a, b = slopes(lambda x, y: x**y, [0.0, 2.0, -2.0], [3.0, 3.0, 3.0])
    np.testing.assert_allclose(a, [0.0, 12.0, 12.0])
    np.testing.assert_allclose(b[:2], [0.0, 8 * np.log(2)])
    assert np.isnan(b[2])
    (g,) = slopes(lambda y: 0.0**y, [2.0])
    assert g[0] == 0.0
    (g,) = slopes(lambda y: 2**y, [3.0])
    np.testing.assert_allclose(g, 8 * np.log(2))


# One subgradient convention.


def test_the_kinks_of_one_operand() -> None:
    cases: list[tuple[Callable[..., Any], list[float], list[float]]] = [
        (tg.relu, [-1.0, 0.0, 1.0], [0.0, 0.0, 1.0]),
        (tg.abs, [-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]),
        (lambda x: tg.clip(x, -1.0, 1.0), [-2.0, -1.0, 0.0, 1.0, 2.0], [0.0, 0.0, 1.0, 0.0, 0.0]),
        (lambda x: tg.clip(x, min=0.0), [-1.0, 0.0, 1.0], [0.0, 0.0, 1.0]),
        (lambda x: tg.clip(x, max=0.0), [-1.0, 0.0, 1.0], [1.0, 0.0, 0.0]),
        (lambda x: tg.maximum(x, 0), [-1.0, 0.0, 1.0], [0.0, 0.0, 1.0]),
        (lambda x: tg.maximum(0, x), [-1.0, 0.0, 1.0], [0.0, 0.0, 1.0]),
        (lambda x: tg.minimum(x, 0), [-1.0, 0.0, 1.0], [1.0, 0.0, 0.0]),
        (lambda x: tg.maximum(x, tg.zeros(3)), [-1.0, 0.0, 1.0], [0.0, 0.0, 1.0]),
        (lambda x: tg.maximum(x, x), [1.0, 2.0], [1.0, 1.0]),
        (tg.leaky_relu, [-1.0, 0.0, 1.0], [0.01, 0.01, 1.0]),
    ]
    for function, at, expected in cases:
        (g,) = slopes(function, at)
        np.testing.assert_array_equal(g, expected)


@pytest.mark.parametrize("function", [tg.maximum, tg.minimum])
def test_a_tie_is_shared_by_operands_that_both_require_grad(function: Callable[..., Any]) -> None:
    a, b = slopes(function, [1.0, 2.0], [1.0, 5.0])
    assert (a[0], b[0]) == (0.5, 0.5)
    assert a[1] + b[1] == 1.0


def test_the_operands_of_a_tie_are_told_by_what_requires_grad_now() -> None:
    a, b = leaf([1.0]), leaf([1.0])
    tg.maximum(a, b.detach()).sum().backward()
    assert slope(a)[0] == 0.0
    with tg.no_grad():
        c = b * 1
    a.grad = None
    tg.maximum(a, c).sum().backward()
    assert slope(a)[0] == 0.0


@pytest.mark.parametrize("function", [tg.max, tg.min])
def test_tied_extremes_share_the_gradient(function: Callable[..., Any]) -> None:
    (g,) = slopes(function, np.ones(4))
    np.testing.assert_array_equal(g, np.full(4, 0.25))
    (g,) = slopes(lambda x: function(x, axis=1), [[2.0, 2.0], [1.0, 3.0]])
    np.testing.assert_array_equal(g[0], [0.5, 0.5])


def test_ties_of_70_000_entries_in_float16_do_not_overflow_their_count() -> None:
    x = leaf(np.ones(70_000, np.float16))
    x.max().backward(np.float16(1000))
    np.testing.assert_allclose(slope(x).astype(float), 1000 / 70_000, rtol=1e-2)
    assert slope(x).dtype == np.float16


# Saturation.


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


# What goes in comes out: dtypes.


def _unary(name: str) -> Callable[[Any], Any]:
    return getattr(tg, name)  # type: ignore[no-any-return]


UNARY = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "square", "reciprocal", "abs", "sin",
    "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arctanh", "relu", "leaky_relu",
    "elu", "sigmoid", "softplus", "silu", "gelu", "erfc", "sum", "mean", "prod", "max", "min", "var", "std",
    "logsumexp", "softmax", "log_softmax",
]  # fmt: skip
SAME_DTYPE: dict[str, Callable[[Any], Any]] = {
    **{name: _unary(name) for name in UNARY},
    "arccosh": lambda x: tg.arccosh(x + 1),
    "x * 2": lambda x: x * 2,
    "2.5 * x": lambda x: 2.5 * x,
    "x / 3": lambda x: x / 3,
    "1 - x": lambda x: 1 - x,
    "x ** 2": lambda x: x**2,
    "x ** 0.5": lambda x: x**0.5,
    "2 ** x": lambda x: 2**x,
    "x + True": lambda x: x + True,
    "maximum": lambda x: tg.maximum(x, 0),
    "minimum": lambda x: tg.minimum(0.5, x),
    "clip": lambda x: tg.clip(x, 0, 1),
    "where": lambda x: tg.where(np.array([True, False]), x, 0.0),
    "where 1": lambda x: tg.where(np.array([True, False]), 1, x),
    "logaddexp": lambda x: tg.logaddexp(x, 0.0),
    "hypot": lambda x: tg.hypot(x, 1),
    "arctan2": lambda x: tg.arctan2(x, 1),
    "concatenate": lambda x: tg.concatenate([x, x]),
    "getitem": lambda x: x[[0, 0, 1]],
    "scatter": lambda x: tg.scatter_add(x, index=[0, 0], shape=(3,)),
    "matmul": lambda x: x @ x,
    "matmul array": lambda x: x @ np.ones((2, 2), x.dtype),
    "linear": lambda x: tg.linear(x, tg.ones((3, 2), dtype=x.dtype), tg.ones(3, dtype=x.dtype)),
    "broadcast": lambda x: x + tg.ones((3, 1), dtype=x.dtype),
    "int array": lambda x: x * np.array([1, 2], np.int8),
    "bool mask": lambda x: x * np.array([True, False]),
    "cross entropy": lambda x: tg.cross_entropy(x, np.array(1)),
    "bce": lambda x: tg.binary_cross_entropy(x, np.array([0.0, 1.0])),
    "bce with logits": lambda x: tg.binary_cross_entropy_with_logits(x, np.array([0, 1])),
    "mse": lambda x: tg.mse_loss(x, tg.zeros(2, dtype=x.dtype)),
    "assignment": lambda x: _assigned(x),
}


def _assigned(x: Any) -> Any:
    t = x * 1
    t[0] = 2.5
    t += np.float64(1)
    return t


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", SAME_DTYPE)
def test_the_dtype_that_goes_in_comes_out(name: str, dtype: Any) -> None:
    x = leaf([0.25, 0.5], dtype)
    y = SAME_DTYPE[name](x)
    assert y.dtype == dtype
    assert y.data.dtype == dtype
    (g,) = tg.autograd.grad(y.sum(), x, create_graph=True)
    assert g is not None
    assert g.dtype == dtype
    y.sum().backward()
    assert slope(x).dtype == dtype
    assert np.isfinite(slope(x)).all()


@pytest.mark.parametrize(
    ("operand", "expected"),
    [
        (2.0, np.float32),
        (2, np.float32),
        (True, np.float32),
        (np.float64(2), np.float64),
        (np.float32(2), np.float32),
        (np.float16(2), np.float32),
        (np.array(2.0), np.float64),
        (np.int8(2), np.float32),
        (np.int64(2), np.float64),
        (2j, np.complex64),
        (np.array([2], np.int32), np.float64),
    ],
    ids=lambda v: f"{type(v).__name__}",
)
def test_promotion_follows_nep_50_and_the_gradient_stays_float32(operand: Any, expected: Any) -> None:
    constant = tg.tensor([1.0, 2.0], dtype=np.float32)
    for y in (constant * operand, operand * constant, constant + operand):
        assert y.dtype == expected
    if np.dtype(expected).kind == "f":
        x = leaf([1.0, 2.0], np.float32)
        (operand * x).sum().backward()
        assert slope(x).dtype == np.float32
        np.testing.assert_array_equal(slope(x), np.full(2, operand, float))


def test_two_dtypes_meet_and_each_gets_its_own_gradient() -> None:
    a, b = leaf([1.5, 2.5], np.float32), leaf([[2.0], [3.0]], np.float64)
    y = a * b
    assert y.dtype == np.float64
    y.sum().backward()
    assert slope(a).dtype == np.float32
    assert slope(b).dtype == np.float64
    np.testing.assert_array_equal(slope(a), [5.0, 5.0])
    np.testing.assert_array_equal(slope(b), [[4.0], [4.0]])


def test_a_conversion_brings_the_gradient_back_in_the_old_dtype() -> None:
    x = leaf([1.0, 2.0], np.float32)
    y = x.astype(np.float64)
    assert y.dtype == np.float64
    (y * np.float64(1 / 3)).sum().backward()
    assert slope(x).dtype == np.float32


def test_python_numbers_are_float64_by_default() -> None:
    assert tg.tensor(1.0).dtype == np.float64
    assert tg.zeros(2).dtype == np.float64
    assert tg.grad(lambda x: x * x)(1.0).dtype == np.float64


def test_a_number_too_large_for_the_dtype_is_numpys_error() -> None:
    with pytest.raises(OverflowError):
        tg.tensor([1], dtype=np.int8) + 1000
    with pytest.raises(OverflowError):
        tg.tensor([1.0]) * 10**400


def test_float16_sums_accumulate_wider() -> None:
    x = leaf(np.ones(4096, np.float16))
    assert x.sum().item() == 4096.0
    assert x.sum().dtype == np.float16
    assert float(tg.ones((5000, 3), dtype=np.float16).sum(axis=0)[0]) == 5000.0


def test_a_float16_mean_does_not_overflow_in_its_sum() -> None:
    x = leaf(np.full(70_000, 2.0, np.float16))
    y = x.mean()
    assert y.item() == 2.0
    y.backward()
    np.testing.assert_allclose(slope(x).astype(float), 1 / 70_000, rtol=1e-2)


def test_a_float16_gradient_summed_over_the_batch_accumulates_wider() -> None:
    bias = leaf(np.zeros(3), np.float16)
    (bias + np.zeros((5000, 3), np.float16)).sum().backward()
    np.testing.assert_array_equal(slope(bias), np.full(3, 5000.0))


# Extended precision, for checks: no rule and no sum of the engine's rounds to float64.

EXTENDED = float(np.finfo(np.longdouble).eps)


def sigmoid_by_hand(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@pytest.mark.skipif(EXTENDED > 1e-18, reason="NumPy's long double is no longer than float64 here")
@pytest.mark.parametrize(
    ("function", "slope_by_hand"),
    [
        (lambda x: tg.softplus(x) * tg.tanh(x),
         lambda x: sigmoid_by_hand(x) * np.tanh(x) + np.log1p(np.exp(x)) * (1 - np.tanh(x) ** 2)),
        (lambda x: x / (1 + x @ x), lambda x: 1 / (1 + x @ x) - 2 * x.sum() * x / (1 + x @ x) ** 2),
        (lambda x: tg.reshape(x, (-1, 1)) @ tg.reshape(x, (1, -1)), lambda x: np.full_like(x, 2 * x.sum())),
        (lambda x: tg.grad(lambda x: tg.tanh(x).sum())(x), lambda x: -2 * np.tanh(x) * (1 - np.tanh(x) ** 2)),
        (lambda x: tg.logsumexp(x), lambda x: np.exp(x) / np.exp(x).sum()),
        (lambda x: x.var(), lambda x: 2 * (x - x.mean()) / x.size),
    ],
    ids=["softplus and tanh", "quotient", "outer product", "second order", "logsumexp", "variance"],
)  # fmt: skip
def test_long_doubles_keep_their_digits(function: Any, slope_by_hand: Any) -> None:
    x = np.array([0.3, -0.7, 1.1, 0.05], np.longdouble) / 3
    expected = slope_by_hand(x)
    found = tg.grad(lambda x: function(x).sum())(x).data
    assert found.dtype == np.longdouble
    assert np.abs(found - expected).max() <= 8 * EXTENDED * np.abs(expected).max()
    pushed = tg.jvp(lambda x: function(x).sum(), (x,), (np.ones_like(x),))[1]
    assert abs(pushed.data - expected.sum()) <= 16 * EXTENDED * np.abs(expected).max()


# Broadcasting: shapes come back.


@pytest.mark.parametrize(
    ("a", "b"),
    [((), ()), ((), (3,)), ((3, 1), (0,)), ((3, 1), (4,)), ((1, 1, 1), (2, 3)), ((0,), ()), ((2, 1, 3), (4, 1)),
     ((1,), (0, 1)), ((5, 2, 3), (3,)), ((1, 3), (2, 3)), ((2, 1), (1, 2))],
)  # fmt: skip
@pytest.mark.parametrize(
    "function", [tg.add, tg.multiply, tg.divide, tg.maximum, tg.power, tg.where, tg.logaddexp], ids=lambda f: f.__name__
)
def test_a_gradient_has_the_shape_of_its_input(a: tuple[int, ...], b: tuple[int, ...], function: Any) -> None:
    x, z = leaf(np.full(a, 2.0)), leaf(np.full(b, 3.0))
    y = function(x > 0, x, z) if function is tg.where else function(x, z)
    assert y.shape == np.broadcast_shapes(a, b)
    for create_graph in (True, False):
        x.grad = z.grad = None
        y.sum().backward(create_graph=create_graph)
        assert slope(x).shape == a
        assert slope(z).shape == b
    if function is tg.add and x.size:
        np.testing.assert_array_equal(slope(x), np.full(a, y.size / x.size))


def test_a_scalar_branch_of_where_gets_a_scalar_gradient() -> None:
    x = leaf(2.0)
    tg.where(np.array([[True, False], [True, True]]), x, 0.0).sum().backward()
    assert slope(x).shape == ()
    assert slope(x) == 3.0


@pytest.mark.parametrize("memory", ["C", "F", "strided", "transposed"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_bias_gradient_sums_over_the_batch_in_any_memory_layout(memory: str, dtype: Any) -> None:
    seed = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(dtype)
    laid = {
        "C": seed,
        "F": np.asfortranarray(seed),
        "strided": np.repeat(seed, 2, axis=0)[::2],
        "transposed": np.ascontiguousarray(seed.transpose(2, 1, 0)).transpose(2, 1, 0),
    }[memory]
    for shape, axes in (((3,), (0, 1)), ((1, 3), (0, 1)), ((4, 1), (0, 2)), ((), (0, 1, 2)), ((6, 1, 1), (1, 2))):
        bias = leaf(np.zeros(shape), dtype)
        (bias + np.zeros((6, 4, 3), dtype)).backward(laid)
        np.testing.assert_allclose(slope(bias), fold(np.add, seed, axes).reshape(shape), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bad", [INF, np.nan])
def test_infinities_and_nans_in_a_batch_stay_in_their_own_column(bad: float) -> None:
    bias, seed = leaf(np.zeros(3)), np.ones((4, 3))
    seed[1, 1] = bad
    (bias + np.zeros((4, 3))).backward(seed)
    assert (slope(bias)[0], slope(bias)[2]) == (4.0, 4.0)
    np.testing.assert_equal(slope(bias)[1], bad)


def test_hypot_at_0_has_slope_and_curvature_0() -> None:
    assert tg.hessian(lambda x: np.hypot(x[0], x[1]))(np.zeros(2)).tolist() == [[0.0, 0.0], [0.0, 0.0]]
