"""Slopes of reductions against mpmath: to 16 eps of the sum of what is added up, in size."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from by_mpmath import m
from slopes import FLOATS

import tinygrad_nn as tg

# Of x, i and, for second derivatives, j: the derivative, and the sum of the sizes of its terms.
Formula = Callable[..., tuple[Any, Any]]


def _sum(*terms: Any) -> tuple[Any, Any]:
    return m.fsum(terms), m.fsum(map(abs, terms))


def _p(x: Any, i: int) -> Any:
    top = max(x)
    return m.exp(x[i] - top) / m.fsum([m.exp(v - top) for v in x])


def _is(i: int, j: int) -> int:
    return int(i == j)


def _first_of_softmax(x: Any, i: int) -> tuple[Any, Any]:
    return _sum(_p(x, 0) * _is(i, 0), -_p(x, 0) * _p(x, i))


def _second_of_softmax(x: Any, i: int, j: int) -> tuple[Any, Any]:
    p, pi, pj = _p(x, 0), _p(x, i), _p(x, j)
    return _sum(
        p * _is(i, 0) * _is(j, 0), -p * pj * _is(i, 0), -p * pi * _is(j, 0), p * pi * pj, -p * pi * _is(i, j),
        p * pi * pj,
    )  # fmt: skip


def _of_entropy(sign: int) -> tuple[Formula, Formula]:
    def first(x: Any, i: int) -> tuple[Any, Any]:
        return _sum(sign * _is(i, 0), -sign * _p(x, i))

    return first, lambda x, i, j: _sum(-sign * _p(x, i) * _is(i, j), sign * _p(x, i) * _p(x, j))


def _s(x: Any) -> Any:
    return 1 / (1 + m.exp(-x))


def _deviation(x: Any, i: int) -> tuple[Any, Any]:
    return _sum(x[i], *[-v / len(x) for v in x])


def _sigma(x: Any) -> Any:
    return m.sqrt(m.fsum([_deviation(x, i)[0] ** 2 for i in range(len(x))]) / len(x))


def _first_of_std(x: Any, i: int) -> tuple[Any, Any]:
    value, size = _deviation(x, i)
    return value / (len(x) * _sigma(x)), size / (len(x) * _sigma(x))


def _second_of_std(x: Any, i: int, j: int) -> tuple[Any, Any]:
    n, s = len(x), _sigma(x)
    (a, b), (c, d) = _deviation(x, i), _deviation(x, j)
    value, size = _sum(_is(i, j) / (n * s), -1 / (n * n * s))
    return value - a * c / (n * n * s**3), size + b * d / (n * n * s**3)


def _length(x: Any) -> Any:
    return m.sqrt(m.fsum([v * v for v in x]))


LABELS = np.array([1.0, 0.0, 0.25, 1.0])
SMALL: dict[str, Any] = {
    "logsumexp": (
        tg.logsumexp, lambda x, i: _sum(_p(x, i)), lambda x, i, j: _sum(_p(x, i) * _is(i, j), -_p(x, i) * _p(x, j)),
    ),
    "softmax": (lambda x: tg.softmax(x)[0], _first_of_softmax, _second_of_softmax),
    "log_softmax": (lambda x: tg.log_softmax(x)[0], *_of_entropy(1)),
    "cross_entropy": (lambda x: tg.cross_entropy(x, np.array(0)), *_of_entropy(-1)),
    "binary_cross_entropy_with_logits": (
        lambda x: tg.binary_cross_entropy_with_logits(x, LABELS.astype(x.dtype), reduction="sum"),
        lambda x, i: _sum((1 - m.mpf(LABELS[i])) * _s(x[i]), -m.mpf(LABELS[i]) * _s(-x[i])),
        lambda x, i, j: _sum(_is(i, j) * _s(x[i]) * _s(-x[i])),
    ),
}  # fmt: skip
ANY_SIZE: dict[str, Any] = {
    "var": (
        tg.var, lambda x, i: tuple(2 * d / len(x) for d in _deviation(x, i)),
        lambda x, i, j: _sum(m.mpf(2 * _is(i, j)) / len(x), -m.mpf(2) / len(x) ** 2),
    ),
    "std": (tg.std, _first_of_std, _second_of_std),
    "norm": (
        np.linalg.norm, lambda x, i: _sum(x[i] / _length(x)),
        lambda x, i, j: _sum(_is(i, j) / _length(x), -x[i] * x[j] / _length(x) ** 3),
    ),
}  # fmt: skip
# What rounding takes from a difference of two logits is large in their exponentials: these differences are exact.
POINTS: list[list[float]] = [
    [1, 2, -3, 0.5], [40, 0, -3, 1e-3], [0, 40, -40, 17], [2, 2, 2, 2.5], [88, -88, 80, 1], [1e4, -1e4, 9999, 1],
    [700, -700, 690, 37], [-1000, -1000, -1000, -1001],
]  # fmt: skip


def check(row: tuple[Any, Formula, Formula], x: np.ndarray) -> None:
    function, first, second = row
    eps, least = 16 * float(np.finfo(x.dtype).eps), 64 * float(np.finfo(x.dtype).smallest_subnormal)
    n = range(len(x))
    with m.workprec(300):
        exact = [m.mpf(float(v)) for v in x]
        for slope in (tg.grad(function), tg.jacobian(function, mode="forward"), tg.compile(tg.grad(function))):
            for i, found in enumerate(slope(x).data):
                right, size = first(exact, i)
                assert abs(found - right) <= eps * size + least, (i, found, m.nstr(right))
        hessian = tg.hessian(function)(x).data
        for i, j in [(i, j) for i in n for j in n]:
            right, size = second(exact, i, j)
            assert abs(hessian[i, j] - right) <= eps * size + least, (i, j, hessian[i, j], m.nstr(right))


@pytest.mark.parametrize("point", POINTS, ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [*SMALL, *ANY_SIZE])
def test_slopes_of_reductions_keep_their_digits(name: str, dtype: Any, point: list[float]) -> None:
    with np.errstate(under="ignore"):
        check((SMALL | ANY_SIZE)[name], np.array(point, dtype))


@pytest.mark.parametrize("share", [-0.97, -0.65, -0.53, -0.505, -0.49, -0.3, 0.03, 0.3, 0.49, 0.505, 0.65, 0.97])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ANY_SIZE)
def test_slopes_of_reductions_at_any_scale(name: str, dtype: Any, share: float) -> None:
    """Between the smallest and the largest number; at half of their exponents squares are lost."""
    with np.errstate(over="ignore", under="ignore"):
        check(ANY_SIZE[name], np.array([1.0, 2.0, -3.0, 0.5], dtype) * dtype(float(np.finfo(dtype).max) ** share))


@pytest.mark.parametrize("how", [{}, {"ddof": 1}, {"where": [True, True, False]}, {"mean": 0.0}, {"keepdims": True}])
def test_the_standard_deviations_of_rows_of_different_scales(how: dict[str, Any]) -> None:
    row, scales = np.array([3.0, 4.0, -2.0]), [2.0**660, 2.0**-660, 1.0]
    how = {key: np.asarray(value) if isinstance(value, list) else value for key, value in how.items()}
    shape = (3, 1) if "keepdims" in how else (3,)
    slopes_of = tg.value_and_grad(lambda x: (tg.std(x, -1, **how) / np.reshape(scales, shape)).sum())
    y, slopes = slopes_of(np.outer(scales, row))
    right, slope = tg.value_and_grad(lambda x: tg.std(x, -1, **how).sum())(row)
    np.testing.assert_array_equal(y.data, 3 * right.data)
    np.testing.assert_array_equal(slopes.data, np.outer(1 / np.array(scales), slope.data))


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-200, 1e-160, 1e154, 1e200, 1e307])
@pytest.mark.parametrize("axis", [None, -1])
def test_a_norm_has_no_scale(scale: float, axis: int | None) -> None:
    x = np.array([3.0, 4.0]) * scale
    for order in (2, 3):
        y, slope = tg.value_and_grad(functools.partial(np.linalg.norm, ord=order, axis=axis))(x)
        length: Any = (3**order + 4**order) ** (1 / order)
        tolerance = 1e-14 if scale > 1e-300 else 2e-3  # of subnormal operands
        np.testing.assert_allclose(y.data / scale, length, tolerance)
        np.testing.assert_allclose(slope.data, (x / scale / length) ** (order - 1), tolerance)


@pytest.mark.parametrize("order", [-2, -1, -0.5, 0.5, 1.5, 3, 10])
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_slopes_of_a_norm_of_any_order_have_no_scale(order: float, dtype: Any) -> None:
    x = np.array([1.0, 2.0, -3.0, 0.5], dtype)
    norm, eps = functools.partial(np.linalg.norm, ord=order), float(np.finfo(dtype).eps)
    slope, hessian = tg.grad(norm)(x).data, tg.hessian(norm)(x).data
    for power in (60, -60, -100) if dtype == np.float32 else (300, 900, -300, -900):
        scale = dtype(2.0**power)
        np.testing.assert_array_equal(tg.grad(norm)(x * scale).data, slope)
        np.testing.assert_allclose(tg.hessian(norm)(x * scale).data * scale, hessian, 16 * eps)


def test_the_hessian_of_a_squared_length_is_that_of_the_sum_of_squares() -> None:
    """At 0 the square of a norm has none by convention, so the README names the sum; both agree elsewhere."""
    b = np.array([0.5, -1.0])
    by_sum = tg.hessian(lambda a: tg.exp(-((a - b) ** 2).sum()))
    by_norm = tg.hessian(lambda a: tg.exp(-(np.linalg.norm(a - b) ** 2)))
    np.testing.assert_allclose(by_sum(b).data, -2 * np.eye(2))
    np.testing.assert_array_equal(by_norm(b).data, 0)
    np.testing.assert_allclose(by_norm(b + 1e-3).data, by_sum(b + 1e-3).data, 1e-10, 1e-12)


def test_the_norms_of_rows_of_different_scales() -> None:
    x = np.array([[3e200, 4e200], [0.0, 0.0], [3e-200, 4e-200], [3.0, 4.0]])
    slope = tg.grad(lambda x: np.linalg.norm(x, axis=1).sum())(x).data
    np.testing.assert_allclose(slope, [[0.6, 0.8], [0.0, 0.0], [0.6, 0.8], [0.6, 0.8]], 1e-14)
