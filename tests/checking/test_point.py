"""One point, judged along one direction: the verdicts, and what they are made of, on functions of one line."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy import inf as INF

import tinygrad_nn as tg
from tinygrad_nn.checking.judgement import judge
from tinygrad_nn.checking.numerical import NUDGE, WIDE
from tinygrad_nn.checking.point import Point, halves, signed, signed_like, unit
from tinygrad_nn.checking.report import Finding, Verdict
from tinygrad_nn.checking.subject import HandWritten, Subject, quiet


def point(function: Callable[..., Any], *inputs: Any) -> Point:
    subject = Subject(function, [np.asarray(x) for x in inputs])
    return Point(subject, subject.arrays)


def by_hand(function: Callable[..., Any], gradient: Callable[..., Any], *inputs: Any) -> Point:
    subject = HandWritten(function, [np.asarray(x) for x in inputs], gradient)
    return Point(subject, subject.arrays)


def along_first(judged: Point) -> Finding:
    """Return what is said of the derivative by the first input's first entry."""
    return judge(judged, unit(judged.x.size, 0))


# The verdicts.


def test_a_right_derivative_is_ok_to_all_of_its_digits() -> None:
    found = along_first(point(lambda x: x**3, 2.0))
    assert found.verdict is Verdict.OK
    assert (found.analytic, found.note) == (12.0, "")
    np.testing.assert_allclose(found.numeric, 12.0, rtol=1e-14)
    assert found.uncertainty < 1e-12


def test_a_derivative_along_a_direction_is_judged_as_a_whole() -> None:
    judged = point(lambda x, y: (x * y).sum(), [1.0, 2.0], [3.0, 5.0])
    found = judge(judged, np.array([1.0, -1.0, 0.0, 10.0]))
    assert found.verdict is Verdict.OK
    assert found.analytic == 3.0 - 5.0 + 10.0 * 2.0
    np.testing.assert_allclose(found.numeric, 18.0, rtol=1e-13)


def test_half_of_a_product_is_a_bug() -> None:
    judged = point(lambda x: x * x.detach(), 3.0)
    assert not judged.mistaken
    found = along_first(judged)
    assert found.verdict is Verdict.BUG
    assert found.analytic == 3.0
    np.testing.assert_allclose(found.numeric, 6.0, rtol=1e-12)
    assert judged.mistaken


@pytest.mark.parametrize("off", [1e-3, 1e-6, 1e-9])
def test_a_derivative_that_is_slightly_off_is_a_bug(off: float) -> None:
    found = along_first(by_hand(lambda x: x**3, lambda x: 3 * x**2 * (1 + off), 2.0))
    assert found.verdict is Verdict.BUG
    np.testing.assert_allclose(found.error, 12.0 * off, rtol=1e-4)


def test_a_kink_is_no_bug_where_the_gradient_is_a_subgradient() -> None:
    found = along_first(point(tg.abs, 0.0))
    assert found.verdict is Verdict.KINK
    assert found.analytic == 0.0
    assert found.note == "one-sided slopes -1 and 1; the gradient is a subgradient"


@pytest.mark.parametrize(("at_0", "verdict"), [(-1.0, Verdict.KINK), (1.0, Verdict.KINK), (1.5, Verdict.BUG)])
def test_at_a_kink_all_between_the_two_slopes_is_right(at_0: float, verdict: Verdict) -> None:
    found = along_first(by_hand(np.abs, lambda x: np.sign(x) if x else np.asarray(at_0), 0.0))
    assert found.verdict is verdict, found.note


def test_a_kink_whose_sides_are_wrong_is_a_bug() -> None:
    found = along_first(by_hand(np.abs, lambda x: 3 * np.sign(x), 0.0))
    assert found.analytic == 0.0
    assert found.verdict is Verdict.BUG


def test_a_dtype_that_loses_the_digits_of_a_right_derivative_is_named() -> None:
    # The derivative is 2 (x + 10000) - 20000; float32 rounds x + 10000 to multiples of 1/1024.
    judged = point(lambda x: (x + 10000) ** 2 - 20000 * x, np.float32(0.0013))
    found = along_first(judged)
    assert found.verdict is Verdict.PRECISION
    assert found.analytic == 2 / 1024
    assert found.note == "right, but float32 holds 0 of 6 digits here"
    assert along_first(point(lambda x: (x + 10000) ** 2 - 20000 * x, 0.0013)).verdict.accepted


def test_narrow_dtypes_are_no_fault_by_themselves() -> None:
    found = along_first(point(lambda x: tg.exp(x) * x, np.float16(0.7)))
    assert found.verdict is Verdict.OK
    np.testing.assert_allclose(found.numeric, np.exp(float(np.float16(0.7))) * (1 + float(np.float16(0.7))), rtol=1e-12)


def test_a_jump_is_told() -> None:
    found = along_first(point(lambda x: tg.floor(x) + x, 1.0))
    assert (found.verdict, found.note) == (Verdict.DISCONTINUITY, "the function jumps here")


def test_a_step_that_is_not_recorded_is_told() -> None:
    found = along_first(point(lambda x, y: x.detach() * 2 + y, 1.0, 1.0))
    assert found.verdict is Verdict.DISCONNECTED
    assert found.analytic == 0.0


@pytest.mark.parametrize(
    ("function", "x", "note"),
    [(tg.log, -1.0, "the function's value is not finite"), (tg.sqrt, 0.0, "the gradient is not finite")],
)
def test_what_is_not_finite_is_told(function: Callable[..., Any], x: float, note: str) -> None:
    found = along_first(point(function, x))
    assert (found.verdict, found.note) == (Verdict.NONFINITE, note)


def test_a_convention_is_asked_for_only_where_differences_do_not_settle_it() -> None:
    asked: list[str] = []

    class Inquiry(SimpleNamespace):
        @property
        def conventions(self) -> str:
            asked.append("now")
            return "sqrt at 0"

    def inquiry() -> Any:
        return Inquiry(culprit=None, coarsest=0.0, trusted=True)

    subject = Subject(lambda x: tg.sqrt(x) ** 2, [np.array(4.0)])
    assert along_first(Point(subject, subject.arrays, inquiry=inquiry)).verdict is Verdict.OK
    assert asked == []
    found = along_first(Point(subject, [np.array(0.0)], inquiry=inquiry))
    assert (found.verdict, found.note) == (Verdict.CONVENTION, "sqrt at 0")


# Directions: of both signs, without tiny entries, exact in float16, 0 where there is no number to move.


@pytest.mark.parametrize("shape", [(), (0,), (7,), (40, 30)])
def test_signed_numbers_have_a_size_near_1_and_are_exact_in_float16(shape: tuple[int, ...]) -> None:
    v = signed(np.random.default_rng(0), shape)
    assert v.shape == shape
    assert (np.abs(v) >= 0.5).all()
    assert (np.abs(v) <= 1.5).all()
    np.testing.assert_array_equal(v.astype(np.float16), v)
    assert v.size < 100 or {*np.sign(v).flat} == {-1.0, 1.0}


def test_what_is_not_finite_is_not_moved() -> None:
    x = np.array([1.0, INF, np.nan, -2.0])
    assert (signed_like(np.random.default_rng(0), x) == 0).tolist() == [False, True, True, False]
    assert signed_like(np.random.default_rng(0), np.array(INF)) == 0.0


def test_the_inputs_are_a_row_and_the_row_is_parted_into_inputs() -> None:
    subject = Subject(lambda x, y: x.sum() * y.sum(), [np.arange(2.0), np.arange(6, dtype=np.float32).reshape(2, 3)])
    row = subject.row(subject.arrays)
    assert (row.dtype, row.tolist()) == (WIDE, [0, 1, 0, 1, 2, 3, 4, 5])
    assert [x.tolist() for x in subject.parted(unit(8, 6))] == [[0, 0], [[0, 0, 0], [0, 1, 0]]]
    assert subject.only(0, np.array([3.0, 4.0])).tolist() == [3, 4, 0, 0, 0, 0, 0, 0]
    assert subject.row([None, subject.arrays[1]]).tolist() == [0, 0, 0, 1, 2, 3, 4, 5]


def test_halves_add_up_to_the_direction() -> None:
    first, second = halves(np.array([0.0, 1.0, 2.0, 0.0, 3.0]))
    assert (first.tolist(), second.tolist()) == ([0, 1, 0, 0, 0], [0, 0, 2, 0, 3])
    assert len(halves(np.array([0.0, 1.0]))) == 1


# What they are made of.


def test_the_line_through_a_point_is_the_function_of_the_step() -> None:
    judged = point(lambda x, y: (x * x * y).sum(), [1.0, 2.0], [10.0, 100.0])
    line = judged.line(np.array([1.0, 0.0, 0.0, -1.0]))
    assert line(0.0) == 10.0 + 400.0
    assert line(2.0) == 9.0 * 10.0 + 4.0 * 98.0
    np.testing.assert_array_equal(judged.arrays[0], [1.0, 2.0])
    imaginary = line(1e-40j)
    np.testing.assert_allclose(imaginary.imag / 1e-40, 2.0 * 10.0 - 4.0, rtol=1e-15)


def test_several_results_are_weighed_by_numbers_of_both_signs_and_similar_size() -> None:
    judged = point(lambda x: x * 2, np.arange(1.0, 65.0))
    (weights,) = judged.weights
    assert (weights < 0).any()
    assert (weights > 0).any()
    assert np.abs(weights).min() >= 0.5
    assert np.abs(weights).max() <= 1.5
    np.testing.assert_array_equal(weights.astype(np.float16), weights)
    assert judged.line(np.zeros(64))(0.0) == sum(2 * w * k for k, w in enumerate(weights.tolist(), start=1))
    np.testing.assert_array_equal(judged.gradients[0], 2 * weights)


def test_one_number_is_weighed_by_one_and_what_is_not_finite_is_left_out() -> None:
    assert point(lambda x: x * 2, 3.0).weights == [1.0]
    judged = point(lambda x: 1 / x, [0.0, 1.0])
    assert (judged.left_out, judged.results) == (1, 2)
    assert judged.weights[0][0] == 0.0
    with quiet():
        assert judged.line(np.zeros(2))(0.0) == judged.weights[0][1]
        assert judged.size_of_values == abs(judged.weights[0][1])


def test_noise_is_that_of_the_largest_numbers_on_the_way() -> None:
    eps = float(np.finfo(float).eps)
    plain, cancelling = point(lambda x: x * 1.0, 1.0), point(lambda x: (x + 1e10) - 1e10, 1.0)
    assert eps <= plain.middle[1] <= 100 * eps
    assert 1e9 * eps <= cancelling.middle[1] <= 1e12 * eps


def test_the_functions_own_derivative_along_a_direction_is_a_sum_of_products() -> None:
    judged = point(lambda x, y, z: x.sum() * y * z.sum(), np.ones(3), 1.0, np.ones((1, 1)))
    gradients = [np.array([2.0, INF, 5.0]), None, np.array([[7.0]], np.float32)]
    with quiet():
        assert judged.analytic(gradients, np.array([10.0, 0.0, -1.0, 1.0, 100.0])) == 20.0 - 5.0 + 700.0
        assert judged.analytic(gradients, np.array([0.0, 0.0, 0.0, 1.0, 0.0])) == 0.0
    assert point(tg.exp, 1.0).analytic([np.float32(0.1)], np.array([1.0])) == float(np.float32(0.1))


def test_derivatives_in_more_digits_are_those_of_the_same_numbers() -> None:
    judged = point(lambda x: tg.exp(x), np.float32(0.5))
    assert judged.narrow
    assert [judged.gradients[0].dtype, judged.wide[0].dtype] == [np.float32, WIDE]
    np.testing.assert_allclose(judged.wide[0], 1.6487212707001282, rtol=1e-15)
    assert not point(lambda x: x * 1, 0.5).narrow


def test_a_function_that_takes_float64_at_most_is_judged_as_all_are() -> None:
    found = along_first(point(lambda x: tg.linalg.inv(x).sum(), [[2.0, 0.0], [0.0, 4.0]]))
    assert found.verdict is Verdict.OK
    assert found.analytic == -0.25


def test_what_lies_beside_a_point_is_next_to_it_on_the_side_that_is_asked_for() -> None:
    judged = point(lambda x: x.sum(), np.array([4.0, -2.0], np.float16))
    v = np.array([1.0, 0.0])
    for sign in (1, -1):
        (beside,) = judged.beside(np.random.default_rng(0), v, sign * NUDGE)
        assert beside.dtype == WIDE
        assert 0 < sign * (beside[0] - 4.0) < 0.02
        assert 0 < abs(beside[1] + 2.0) < 0.02


def test_a_complex_step_that_differences_contradict_is_no_witness_afterwards() -> None:
    """In |x| it sees nothing; next to a kink, differences of a sum of many numbers are too rough to say so."""
    x = np.random.default_rng(11).normal(size=10**6)
    x[:2] = 1.1, -5.7e-4
    judged = Point(HandWritten(lambda x: abs(x).sum() + (x**2).sum(), [x], lambda x: np.sign(x) + 2 * x), [x])
    with np.errstate(all="ignore"):
        assert [judge(judged, unit(x.size, entry)).verdict for entry in (0, 1)] == [Verdict.PRECISION] * 2
