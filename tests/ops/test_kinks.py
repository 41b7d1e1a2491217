"""Powers at zero, and one convention of subgradients: kinks and ties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import FLOATS, leaf, second, slope, slopes

import tinygrad_nn as tg

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


def test_hypot_at_0_has_slope_and_curvature_0() -> None:
    assert tg.hessian(lambda x: np.hypot(x[0], x[1]))(np.zeros(2)).tolist() == [[0.0, 0.0], [0.0, 0.0]]
