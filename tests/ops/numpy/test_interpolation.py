"""np.interp on tensors: NumPy's values, whatever the points are, and the smaller slope at a knot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from by_folds import interp
from hypothesis import given
from hypothesis import strategies as st
from slopes import leaf, slope

import tinygrad_nn as tg

halves = st.integers(-8, 8).map(lambda n: n / 2)
levels = st.one_of(halves, st.sampled_from([np.inf, -np.inf, np.nan]))


@given(
    st.lists(halves, min_size=1, max_size=6).map(sorted), st.lists(levels, min_size=6, max_size=6),
    st.lists(st.one_of(st.floats(-5, 5), levels), max_size=8),
    st.sampled_from([None, 7.0]), st.sampled_from([None, -7.0]),
)  # fmt: skip
def test_values_are_numpys(knots: Any, values: Any, at: Any, left: Any, right: Any) -> None:
    """Also with knots that coincide, infinite levels and points, and nan."""
    xp, fp = np.array(knots), np.array(values[: len(knots)])
    x = np.array([*at, *knots], float)
    expected = interp(x, xp, fp, left, right)
    found = np.interp(tg.tensor(x), xp, fp, left, right)
    np.testing.assert_allclose(found.data, expected, rtol=1e-14, atol=1e-14)


@given(
    st.lists(st.floats(-9, 9), min_size=1, max_size=5, unique_by=lambda v: round(v % 3.7, 6)),
    st.lists(st.floats(-9, 9), min_size=1, max_size=5), st.sampled_from([3.7, -3.7]),
)  # fmt: skip
def test_periodic_values_are_numpys(knots: list[float], at: list[float], period: float) -> None:
    xp, fp = np.array(knots), np.cos(np.arange(len(knots)))
    expected = interp(at, xp, fp, period=period)
    found = tg.interp(tg.tensor(at), xp, fp, left=1.0, period=period)
    np.testing.assert_allclose(found.data, expected, rtol=1e-9, atol=1e-9)


KNOT = {
    "both rise": ([0.0, 1.0, 4.0], 1.0),
    "the first one steeper": ([0.0, 3.0, 4.0], 1.0),
    "both fall": ([4.0, 1.0, 0.0], -1.0),
    "a peak": ([0.0, 1.0, 0.0], 0.0),
    "one level": ([0.0, 0.0, 1.0], 0.0),
    "a straight line": ([0.0, 2.0, 4.0], 2.0),
}


@pytest.mark.parametrize("name", KNOT)
def test_at_a_knot_the_slope_is_the_smaller_one(name: str) -> None:
    """Of x alone, of xp alone, and of both: the value depends on x - xp there, so their slopes are opposite."""
    levels, expected = KNOT[name]
    for move_x, move_xp in [(True, False), (False, True), (True, True)]:
        x, xp, fp = leaf(1.0), leaf([0.0, 1.0, 2.0]), leaf(levels)
        y = tg.interp(x if move_x else 1.0, xp if move_xp else [0.0, 1.0, 2.0], fp)
        y.backward()
        assert y.item() == levels[1]
        np.testing.assert_array_equal(slope(fp), [0, 1, 0])
        if move_x:
            assert slope(x) == expected
        if move_xp:
            np.testing.assert_array_equal(slope(xp), [0, -expected, 0])


def test_at_the_ends_and_beyond_the_value_is_level() -> None:
    x, left, right = leaf([-1.0, 0.0, 2.0, 3.0]), leaf(5.0), leaf(6.0)
    fp = leaf([1.0, 2.0, 4.0])
    tg.interp(x, [0.0, 1.0, 2.0], fp, left, right).backward(tg.tensor([1.0, 10.0, 100.0, 1000.0]))
    np.testing.assert_array_equal(slope(x), [0, 0, 0, 0])
    np.testing.assert_array_equal(slope(fp), [10, 0, 100])
    assert (slope(left), slope(right)) == (1, 1000)


def test_the_period_has_a_gradient() -> None:
    def value(period: Any) -> Any:
        return tg.interp([5.3, -2.2], [0.4, 1.9, 3.1], [1.0, -2.0, 0.5], period=period).sum()

    period, h = leaf(3.7), 1e-6
    value(period).backward()
    np.testing.assert_allclose(slope(period), (value(3.7 + h).item() - value(3.7 - h).item()) / (2 * h), rtol=1e-8)


def test_a_nan_place_behind_a_mask_stays_out_of_the_gradient() -> None:
    x, fp = leaf([0.5, np.nan]), leaf([1.0, 3.0])
    y = tg.interp(x, [0.0, 1.0], fp)
    assert np.isnan(y.data[1])
    tg.where([True, False], y, 0.0).sum().backward()
    np.testing.assert_array_equal(slope(x), [2.0, 0.0])
    np.testing.assert_array_equal(slope(fp), [0.5, 0.5])


def test_dtypes() -> None:
    x, xp, fp = (leaf(v, "float32") for v in ([0.5, 2.0], [0.0, 1.0, 2.0], [1.0, 3.0, 4.0]))
    tg.interp(x, xp, fp, left=0.0, right=1.0).sum().backward()
    assert {slope(t).dtype.name for t in (x, xp, fp)} == {"float32"}
    falling = np.array([3, 1], np.uint8)
    assert tg.interp(np.array([0.5]), np.array([0, 1], np.uint8), falling).item() == 2.0


REFUSED: dict[str, tuple[Any, str]] = {
    "no points": (lambda: tg.interp([1.0], [], []), "at least one point"),
    "lengths": (lambda: tg.interp([1.0], [1.0, 2.0], [1.0]), r"one shape \(n,\).*got \(2,\) and \(1,\)"),
    "axes": (lambda: tg.interp([1.0], np.ones((1, 2)), np.ones((1, 2))), r"one shape \(n,\)"),
    "order": (lambda: tg.interp([1.0], [1.0, 0.0], [1.0, 2.0]), r"np\.argsort\(xp\)"),
    "period": (lambda: tg.interp([1.0], [1.0], [1.0], period=0), "not zero"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_the_remedy(name: str) -> None:
    call, text = REFUSED[name]
    with pytest.raises(ValueError, match=text) as caught:
        call()
    assert any("operation 'interp'" in note for note in caught.value.__notes__)
