"""Zero-safe reverse mode: what a mask switched off stays off, and derivatives at zero are no NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy import inf as INF
from numpy import nan as NAN
from slopes import FLOATS, leaf, second, slope, slopes

import tinygrad_nn as tg
from tinygrad_nn.testing import planted_rule

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


def test_the_entries_beside_a_singular_one_keep_the_rules_own_result() -> None:
    """At 1e-20 the slope alone is more than float32 holds, and its product with a small cotangent is not."""
    x = leaf([0.0, 1e-20], np.float32)
    with np.errstate(divide="ignore"):
        tg.where(x > 0, np.float32(1e-10) * tg.reciprocal(x), np.float32(0)).sum().backward()
    np.testing.assert_allclose(x.grad.data, [0.0, -1e30], rtol=1e-6)


@pytest.mark.parametrize("seed", [0.0, 1.0])
def test_a_rule_that_returns_no_array_is_named_whatever_is_suspected(seed: float) -> None:
    x = leaf([1.0, 4.0])
    with planted_rule(tg.sqrt, "x", lambda g, y: 3.0), pytest.raises(TypeError, match="the rule of 'sqrt' for 'x'"):
        tg.sqrt(x).backward(np.array([seed, 1.0]))


@pytest.mark.parametrize("f", [tg.sqrt, tg.log], ids=["sqrt", "log"])
def test_a_seed_that_is_zero_stays_zero_where_the_slope_is_nan(f: Callable[[Any], Any]) -> None:
    """Nothing in the graph masks, and 0 * nan raises no flag: that the seed has zeros is all that tells."""
    x = leaf([NAN, -1.0, 4.0])
    with np.errstate(invalid="ignore"):
        f(x).backward(np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(x.grad.data, [0.0, 0.0, 0.25])


def test_a_seed_that_is_zero_stays_zero_in_a_product_with_nan() -> None:
    a, b = leaf([[1.0, 2.0]]), leaf([[NAN, 3.0], [NAN, 4.0]])
    (a @ b).backward(np.array([[0.0, 1.0]]))
    np.testing.assert_array_equal(a.grad.data, [[3.0, 4.0]])
    np.testing.assert_array_equal(b.grad.data, [[0.0, 1.0], [0.0, 2.0]])
