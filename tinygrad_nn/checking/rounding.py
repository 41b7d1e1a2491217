"""How far rounding may move values and derivatives: measured, by moving what goes in by its last digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Direction = dict[int, Any]
LONG = np.dtype(np.longdouble)
WIDE = np.dtype(np.float64)
NUDGE = 2.0**-9
COARSE = 2.0**-20
LAST = 64  # times eps: moves the last two digits


def signed(rng: np.random.Generator, like: Any) -> Any:
    """Return numbers of both signs and of sizes between 1/2 and 3/2, exact in float16; 0 for what is not finite.

    With plain signs, errors in two entries would often cancel.
    """
    drawn = rng.integers(32, 97, like.shape) / 64 * rng.choice([-1.0, 1.0], like.shape)
    return np.where(np.isfinite(like), drawn, 0.0)


def largest(x: Any) -> float:
    """Return the size of the largest finite number, 1 if there is none but 0: moves are to suit what is there."""
    return float(np.abs(x).max(initial=0, where=np.isfinite(x))) or 1.0


def noise_of_values(
    line_along: Callable[[Direction, Any], Any], arrays: list[Any], size: float, dtype: Any, seed: int
) -> tuple[Any, float]:
    """Return how far rounding may move a value, in a dtype, and the size of values next to the point `arrays`.

    `line_along(direction, dtype)` returns the value as a function of the step, `size` is its size at the point.
    It may be rounding of numbers on the way, which are larger than the results. Second differences at steps of a
    few last digits are rounding alone. They don't see what is rounded so coarsely that such steps change nothing;
    fourth differences at larger steps do. Where these may be a kink's, they are taken once more elsewhere.
    """
    eps, rng = float(np.finfo(dtype).eps), np.random.default_rng(seed)
    line = line_along({place: signed(rng, x) * largest(x) for place, x in enumerate(arrays)}, dtype)
    values = [line(NUDGE + LAST * eps * k) for k in range(4)]
    fine, usual = float(np.abs(np.diff(values, 2)).max()), 4 * eps * size
    coarse = _fourth_difference(line, NUDGE)
    if coarse > usual:
        coarse = min(coarse, _fourth_difference(line, -NUDGE))
    seen = max(4 * fine, coarse)
    return np.dtype(dtype).type(max(usual, seen if math.isfinite(seen) else 0)), float(np.abs(values).max())


def _fourth_difference(line: Any, start: float) -> float:
    return float(abs(np.diff([line(start + COARSE * k) for k in range(5)], 4)[0]))


def spread_of_derivative(
    derivative: Callable[[list[Any], list[Any]], Any],
    arrays: list[Any],
    weights: list[Any],
    direction: Direction,
    seed: int,
) -> float:
    """Return how much the function's own `derivative(arrays, weights)` varies with the last digits of what goes in.

    That is what the direction moves, and the weights, which are its cotangents.
    """
    rng, found = np.random.default_rng(seed), []
    for _ in range(8):
        moved = [x.astype(np.result_type(x, WIDE)) for x in arrays]
        for place, v in direction.items():
            moved[place] = moved[place] * np.where(v != 0, about_one(rng, moved[place]), 1)
        found.append(derivative(moved, [u * about_one(rng, u) for u in weights]))
    return float(np.ptp(found)) if np.isfinite(found).all() else 0.0


def about_one(rng: np.random.Generator, like: Any) -> Any:
    """Return factors that differ from 1 in the last two digits."""
    return 1 + LAST * np.finfo(like.dtype).eps * signed(rng, like)
