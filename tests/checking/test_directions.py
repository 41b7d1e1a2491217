"""Random directions: of both signs, without tiny entries, exact in float16, 0 where there is no number to move."""

from __future__ import annotations

import numpy as np
import pytest
from numpy import inf as INF

from tinygrad_nn.checking.directions import everywhere, halves, signed, signed_like, unit


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
    assert everywhere(np.random.default_rng(0), [x, np.array(INF)])[1] == 0.0


def test_the_direction_of_one_entry_moves_its_input_only() -> None:
    direction = unit([np.zeros(2), np.zeros((2, 3))], 1, 4)
    assert {position: v.tolist() for position, v in direction.items()} == {1: [[0, 0, 0], [0, 1, 0]]}


def test_halves_add_up_to_the_direction() -> None:
    v = np.array([0.0, 1.0, 2.0, 0.0, 3.0])
    first, second = halves({3: v})
    assert (first[3].tolist(), second[3].tolist()) == ([0, 1, 0, 0, 0], [0, 0, 2, 0, 3])
    assert [list(half) for half in halves({0: v, 1: v, 2: v})] == [[0], [1, 2]]
    assert len(halves({0: np.array([0.0, 1.0])})) == 1
