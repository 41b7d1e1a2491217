"""Suspicion of a nan that ought to be zero, and what each kind of rule makes of one, on arrays worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy import inf as INF
from numpy import nan as NAN
from slopes import leaf

from tinygrad_nn.engine import zero_safe
from tinygrad_nn.engine.rules import Rule
from tinygrad_nn.engine.zero_safe import (
    FLAG_TELLS,
    MASKED,
    Suspicion,
    has_nan,
    product_of_entries,
    sum_of_products,
    zero_safe_where,
)

TOLD = pytest.mark.skipif(not FLAG_TELLS, reason="needs a machine whose invalid flag tells of 0 * inf")

# Why there is reason.


@TOLD
@pytest.mark.parametrize("seeds", [[], [np.ones(3)], [np.array(2.0), np.array([-1.0, NAN])], [np.empty(0)]])
def test_there_is_no_reason_while_no_seed_has_a_zero(seeds: list[Any]) -> None:
    assert not Suspicion(seeds)


@pytest.mark.parametrize("make", [np.array, leaf], ids=["array", "tensor"])
def test_a_zero_in_any_seed_is_a_mask(make: Any) -> None:
    assert Suspicion([make([1.0, 2.0]), make([1.0, 0.0])]) == [MASKED]


@TOLD
def test_an_invalid_operation_is_a_reason_and_division_and_overflow_are_none() -> None:
    suspicion = Suspicion([])
    zero, large = np.array([0.0]), np.array([1e308])
    with suspicion.listening():
        _ = 1 / zero
        _ = large * large
        assert not suspicion
        _ = zero * INF
    assert len(suspicion) == 1
    assert suspicion[0] is not MASKED


@TOLD
def test_a_mask_is_the_first_reason_and_counts_once() -> None:
    suspicion = Suspicion([])
    with suspicion.listening():
        _ = np.array([0.0]) * INF
    suspicion.mask()
    suspicion.mask()
    assert len(suspicion) == 2
    assert suspicion[0] is MASKED


# What is mended, and what stays suspect.


def mended_to(value: float) -> Any:
    """Return a rule whose zero-safe form makes an array of this number."""
    return SimpleNamespace(zero_safe=lambda rule, g, saved, c: np.full(c.shape, value))


def test_a_cotangent_is_mended_only_if_it_has_a_nan() -> None:
    whole, broken = np.array([1.0, INF]), np.array([1.0, NAN])
    suspicion = Suspicion([np.zeros(1)])
    assert suspicion.mended(mended_to(7.0), whole, (), whole) is whole
    np.testing.assert_array_equal(suspicion.mended(mended_to(7.0), broken, (), broken), [7.0, 7.0])


@TOLD
@pytest.mark.parametrize("c", [np.array([1.0]), np.array([NAN])], ids=["no nan", "nan"])
def test_a_flag_is_answered_once_and_a_mask_stays(c: Any) -> None:
    flagged, masked = Suspicion([]), Suspicion([np.zeros(1)])
    for suspicion in (flagged, masked):
        with suspicion.listening():
            _ = np.array([0.0]) * INF
            _ = np.array([0.0]) * INF
        suspicion.mended(mended_to(0.0), None, (), c)
    assert flagged == []
    assert masked == [MASKED]


@TOLD
def test_nothing_is_suspect_after_nothing_was() -> None:
    suspicion = Suspicion([])
    g = np.ones(1)
    np.testing.assert_array_equal(suspicion.mended(mended_to(0.0), g, (), np.array([NAN])), [NAN])
    assert suspicion == []


@pytest.mark.parametrize(
    ("c", "expected"),
    [
        (np.array(NAN), True),
        (np.array(1.0), False),
        (np.float64(NAN), True),
        (np.array([1.0, NAN]), True),
        (np.array([[1.0, 2.0], [NAN, 3.0]]), True),
        (np.array([[1.0, 2.0], [4.0, 3.0]]), False),
        (np.array([INF, -INF]), False),
        (np.array([INF, 0.0]), False),
        (np.array([1e300, -1e300]), False),
        (np.empty((0, 2)), False),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_a_nan_is_found_and_nothing_is_taken_for_one(c: Any, expected: bool) -> None:
    assert has_nan(c) is expected


# Pointwise rules: zero where the cotangent or the local derivative is zero.


def test_a_pointwise_rule_is_zero_where_either_factor_is() -> None:
    rule = Rule(lambda g, x: g * x, "x", ("x",), product_of_entries)
    g = np.array([0.0, 0.0, INF, 2.0, 2.0, 0.0])
    x = np.array([INF, NAN, 0.0, 3.0, INF, 5.0])
    with np.errstate(invalid="ignore"):
        found = product_of_entries(rule, g, (x,), rule.pull(g, (x,)))
    np.testing.assert_array_equal(found, [0.0, 0.0, 0.0, 6.0, INF, 0.0])


def test_a_pointwise_rule_that_makes_nan_of_numbers_says_so() -> None:
    rule = Rule(lambda g, x: g * x, "x", ("x",), product_of_entries)
    g, x = np.array([2.0, NAN, -INF]), np.array([NAN, 3.0, 1.0])
    np.testing.assert_array_equal(product_of_entries(rule, g, (x,), g * x), [NAN, NAN, -INF])


def test_a_pointwise_rule_keeps_the_cotangents_dtype() -> None:
    rule = Rule(lambda g, x: g * x, "x", ("x",), product_of_entries)
    g, x = np.array([0.0, 2.0], np.float32), np.array([INF, 3.0], np.float32)
    with np.errstate(invalid="ignore"):
        found = product_of_entries(rule, g, (x,), g * x)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [0.0, 6.0])


# Sums of products: what meets zeros only counts as zero.

DOT = Rule(lambda g, b: g @ b, "a", ("a", "b"), sum_of_products)


def summed(g: Any, b: Any) -> Any:
    """Return the zero-safe g @ b."""
    g, b = np.array(g), np.array(b)
    saved = (None, b)
    with np.errstate(invalid="ignore"):
        return sum_of_products(DOT, g, saved, DOT.pull(g, saved))


def test_what_is_not_finite_counts_as_zero_where_it_meets_only_zeros() -> None:
    # Row by column: 0 inf + 2 * 3, 0 * 1 + 2 * 4; and 0 nan + 0 * 3, 0 * 1 + 0 * 4.
    np.testing.assert_array_equal(summed([[0.0, 2.0]], [[INF, 1.0], [3.0, 4.0]]), [[6.0, 8.0]])
    np.testing.assert_array_equal(summed([[0.0, 0.0]], [[NAN, 1.0], [3.0, 4.0]]), [[0.0, 0.0]])
    np.testing.assert_array_equal(summed([[NAN, 2.0]], [[0.0, 0.0], [3.0, 4.0]]), [[6.0, 8.0]])
    np.testing.assert_array_equal(summed([[INF, 2.0]], [[0.0, 0.0], [3.0, 0.0]]), [[6.0, 0.0]])


def test_what_is_not_finite_stays_where_it_meets_a_number() -> None:
    # Only the second row meets inf with a number: its sum is what IEEE says, and the first row's is mended.
    found = summed([[0.0, 2.0], [1.0, 2.0]], [[INF, 1.0], [3.0, 4.0]])
    np.testing.assert_array_equal(found, [[6.0, 8.0], [INF, 9.0]])
    # One inf that meets a zero does not hide another that meets a number: 0 inf + 2 inf.
    np.testing.assert_array_equal(summed([[0.0, 2.0]], [[INF], [INF]]), [[NAN]])
    # nan meets a number in the cotangent, or what it reads.
    np.testing.assert_array_equal(summed([[NAN, 2.0]], [[1.0, 0.0], [3.0, 4.0]]), [[NAN, 8.0]])


def test_of_what_a_rule_reads_only_floating_arrays_are_factors() -> None:
    taken = Rule(lambda g, a, factor, rows: g * a[rows] * factor, "x", ("a", "factor", "rows"), sum_of_products)
    saved = (np.array([INF, 3.0, 5.0]), 10, np.array([2, 0, 1]))
    g = np.array([1.0, 0.0, 2.0])
    with np.errstate(invalid="ignore"):
        c = taken.pull(g, saved)
        np.testing.assert_array_equal(c, [50.0, NAN, 60.0])
        np.testing.assert_array_equal(sum_of_products(taken, g, saved, c), [50.0, 0.0, 60.0])


def test_a_product_of_three_is_zero_where_one_of_them_is() -> None:
    three = Rule(lambda g, a, b: g * a * b, "x", ("a", "b"), sum_of_products)
    g = np.array([2.0, 0.0, 2.0, 2.0])
    saved = (np.array([INF, INF, 0.0, 3.0]), np.array([0.0, 5.0, NAN, 5.0]))
    with np.errstate(invalid="ignore"):
        found = sum_of_products(three, g, saved, three.pull(g, saved))
    np.testing.assert_array_equal(found, [0.0, 0.0, 0.0, 30.0])


def test_terms_of_opposite_signs_hide_no_nan() -> None:
    # 2 inf - 3 inf, 3 inf - 0 inf, 0 inf - 0 inf, 0 inf - 2 inf, 2 inf - 3 * 1: only the third meets zeros alone.
    difference = Rule(lambda g, a: g[:-1] * a[:-1] - g[1:] * a[1:], "x", ("a",), sum_of_products)
    g, a = np.array([2.0, 3.0, 0.0, 0.0, 2.0, 3.0]), np.array([INF, INF, INF, INF, INF, 1.0])
    with np.errstate(invalid="ignore"):
        found = sum_of_products(difference, g, (a,), difference.pull(g, (a,)))
    np.testing.assert_array_equal(found, [NAN, NAN, 0.0, NAN, INF])


# Rules that say themselves where all cotangents are zero.


def test_a_rule_may_say_where_it_is_zero() -> None:
    safe = zero_safe_where(lambda g, limit: g < limit, ("x", "limit", "y"))
    g, c = np.array([1.0, 2.0, 3.0]), np.array([NAN, NAN, 5.0])
    np.testing.assert_array_equal(safe(None, g, (None, 2.0, None), c), [0.0, NAN, 5.0])


def test_a_rule_that_says_where_it_is_zero_sees_an_array() -> None:
    safe = zero_safe_where(lambda g: np.asarray(g) == 0, ("x",))
    found = safe(None, leaf([0.0, 1.0]), (None,), leaf([NAN, 5.0]))
    np.testing.assert_array_equal(found.data, [0.0, 5.0])


def test_products_that_threads_may_share_are_searched_where_threads_lose_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zero_safe, "_flag_tells", lambda rows, inner: False)
    rule = SimpleNamespace(zero_safe=lambda rule, g, saved, c: np.zeros(c.shape))
    for size, found in ((512, np.nan), (513, 0.0)):
        suspicion = zero_safe.Suspicion([])
        suspicion.clear()
        c = suspicion.mended(rule, np.ones(512), (), np.full(size, np.nan))
        np.testing.assert_array_equal(c, np.full(size, found))
