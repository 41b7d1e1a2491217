"""How far rounding may move values and derivatives: measured, by moving what goes in by its last digits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .point import Point

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


def noise_of_values(point: Point, dtype: Any) -> tuple[Any, float]:
    """Return how far rounding may move a value, in a dtype, and the size of values next to the point.

    It may be rounding of numbers on the way, which are larger than the results. Second differences at steps of a
    few last digits are rounding alone. They don't see what is rounded so coarsely that such steps change nothing;
    fourth differences at larger steps do. Where these may be a kink's, they are taken once more elsewhere.
    """
    eps, rng = float(np.finfo(dtype).eps), np.random.default_rng(point.seed)
    line = point.line({place: signed(rng, x) * largest(x) for place, x in enumerate(point.arrays)}, dtype)
    values = [line(NUDGE + LAST * eps * k) for k in range(4)]
    fine, usual = float(np.abs(np.diff(values, 2)).max()), 4 * eps * point.size_of_values()
    coarse = _fourth_difference(line, NUDGE)
    if coarse > usual:
        coarse = min(coarse, _fourth_difference(line, -NUDGE))
    seen = max(4 * fine, coarse)
    return np.dtype(dtype).type(max(usual, seen if math.isfinite(seen) else 0)), float(np.abs(values).max())


def _fourth_difference(line: Any, start: float) -> float:
    return float(abs(np.diff([line(start + COARSE * k) for k in range(5)], 4)[0]))


def spread_of_derivative(point: Point, direction: Direction) -> float:
    """Return how much the function's own derivative varies with the last digits of what goes into it.

    That is what the direction moves, and the cotangents.
    """
    rng, found = np.random.default_rng(point.seed), []
    for _ in range(8):
        arrays = [x.astype(np.result_type(x, WIDE)) for x in point.arrays]
        for place, v in direction.items():
            arrays[place] = arrays[place] * np.where(v != 0, about_one(rng, arrays[place]), 1)
        seeds = [u * about_one(rng, u) for u in point.weights]
        found.append(point.analytic(point.subject.pull(arrays, seeds), direction))
    return float(np.ptp(found)) if np.isfinite(found).all() else 0.0


def about_one(rng: np.random.Generator, like: Any) -> Any:
    """Return factors that differ from 1 in the last two digits."""
    return 1 + LAST * np.finfo(like.dtype).eps * signed(rng, like)
