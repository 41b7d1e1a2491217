"""Initialisers against their formulas, and against PyTorch's bounds and deviations."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg

init = tg.nn.init
SHAPE = (60, 40, 3, 3)
IN, OUT = 40 * 9, 60 * 9


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    ("draw", "std", "bound"),
    [
        (lambda: init.article(generator(), SHAPE), 0.1, None),
        (lambda: init.uniform(generator(), SHAPE, -3, 3), 3 / math.sqrt(3), 3),
        (lambda: init.normal(generator(), SHAPE, std=2), 2, None),
        (lambda: init.xavier_uniform(generator(), SHAPE, 2), 2 * math.sqrt(2 / (IN + OUT)), 2 * math.sqrt(6 / 900)),
        (lambda: init.xavier_normal(generator(), SHAPE, 2), 2 * math.sqrt(2 / (IN + OUT)), None),
        (lambda: init.kaiming_uniform(generator(), SHAPE, math.sqrt(5)), 1 / math.sqrt(3 * IN), 1 / math.sqrt(IN)),
        (lambda: init.kaiming_normal(generator(), SHAPE, mode="fan_out"), math.sqrt(2 / OUT), None),
        (lambda: init.kaiming_normal(generator(), SHAPE, nonlinearity="tanh"), 5 / 3 / math.sqrt(IN), None),
        (lambda: init.trunc_normal(generator(), SHAPE), 0.8796, 2),  # √(1 - 4 φ(2) / (2 Φ(2) - 1))
        (lambda: init.orthogonal(generator(), SHAPE, 2), 2 / math.sqrt(IN), None),
    ],
)
def test_draws_have_their_deviation_and_bound(draw: Callable[[], np.ndarray], std: float, bound: float | None) -> None:
    drawn = draw()
    assert drawn.shape == SHAPE
    assert drawn.dtype == np.float64
    assert drawn.std() == pytest.approx(std, rel=0.02)
    assert abs(drawn.mean()) < 5 * std / math.sqrt(drawn.size)
    if bound is not None:
        assert 0.99 * bound < np.abs(drawn).max() <= bound
    np.testing.assert_array_equal(draw(), drawn)


def test_bounds_of_truncated_draws_need_not_lie_around_the_mean() -> None:
    drawn = init.trunc_normal(generator(), (1000,), mean=1.0, std=2.0, a=2.0, b=9.0)
    assert ((drawn >= 2) & (drawn <= 9)).all()
    with pytest.raises(ValueError, match=r"hardly any .* lies from 9 to 9\.5; use wider bounds"):
        init.trunc_normal(generator(), (1000,), a=9, b=9.5)


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 4), (2, 3, 5), (30, 2, 2)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    w = init.orthogonal(generator(), shape).reshape(shape[0], -1)
    w = w if len(w) <= w.shape[1] else w.T
    assert np.abs(w @ w.T - np.eye(len(w))).max() < 1e-14


def test_orthogonal_draws_are_uniform_over_rotations_and_reflections() -> None:
    """QR's sign convention alone would leave the first entry negative, or positive, at each draw."""
    rng = generator()
    entries = [init.orthogonal(rng, (2, 2))[0, 0] for _ in range(400)]
    assert 150 < np.sum(np.array(entries) > 0) < 250


@pytest.mark.parametrize("name", [name for name in init.__all__ if name not in ("article", "calculate_gain", "fans")])
def test_a_seed_stands_for_its_generator(name: str) -> None:
    draw = getattr(init, name)
    assert np.array_equal(draw(7, (4, 3)), draw(generator(), (4, 3)))
    assert not np.array_equal(draw(None, (4, 3)), draw(None, (4, 3)))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: init.normal(generator(), (5,), std=-1), "std must be a finite number, 0 or more, got -1"),
        (lambda: init.trunc_normal(generator(), (5,), std=0), "std must be above 0, got 0"),
        (lambda: init.xavier_normal(generator(), (5,)), r"\(out, in, \*kernel\), got shape \(5,\); use zeros"),
        (lambda: init.orthogonal(generator(), (5,)), "fans are those of a weight"),
        (lambda: init.calculate_gain("swish"), "no gain is known for 'swish'; write one of linear, sigmoid, tanh"),
        (lambda: init.kaiming_normal(generator(), (2, 2), mode="fan"), "mode must be 'fan_in' or 'fan_out', got 'fan'"),
    ],
)
def test_what_can_t_be_drawn_says_why(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()
