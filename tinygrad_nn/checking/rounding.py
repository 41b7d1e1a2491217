"""How far rounding may move values and derivatives: measured, by moving what goes in by its last digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .directions import signed_like

LONG = np.dtype(np.longdouble)
WIDE = np.dtype(np.float64)
EPS = float(np.finfo(WIDE).eps)
NUDGE = 2.0**-9
COARSE = 2.0**-20
LAST = 64  # times eps: moves the last two digits


def largest(x: Any) -> float:
    """Return the size of the largest finite number, 1 if there is none but 0: moves are to suit what is there."""
    return float(np.abs(x).max(initial=0, where=np.isfinite(x))) or 1.0


def noise_of_values(line: Callable[[Any], Any], size: float, dtype: Any, eps: float) -> tuple[Any, Any]:
    """Return how far rounding may move a value, in a dtype, and what tiny steps show of that.

    `line` is the value as a function of a step through all entries, relative to their sizes; `size` is its size at
    the point, and `eps` that of the narrowest dtype on the way. It may be rounding of intermediate numbers, which are
    larger than the results. Second differences at steps of a few last digits are rounding alone. They don't see what is
    rounded so coarsely that such steps change nothing; fourth differences at larger steps do. Where these may be a
    kink's, they are taken on the other side, too.
    """
    last = LAST * float(np.finfo(dtype).eps) * np.arange(1, 4)
    fine = max(float(np.abs(np.diff([line(start + h) for h in last], 2)).max()) for start in (0.0, NUDGE))
    usual = 4 * eps * size
    coarse = _fourth_difference(line, NUDGE)
    if coarse > usual:
        coarse = min(coarse, _fourth_difference(line, -NUDGE))
    seen = [4 * fine, max(4 * fine, coarse)]
    tiny, both = (np.dtype(dtype).type(max(usual, noise if math.isfinite(noise) else 0)) for noise in seen)
    return both, tiny


def _fourth_difference(line: Any, start: float) -> float:
    return float(abs(np.diff([line(start + COARSE * k) for k in range(5)], 4)[0]))


def spread(value: Callable[[Callable[[Any], Any]], Any], seed: int, eps: float = 0.0) -> float:
    """Return how much `value(nudged)` varies with the last digits of the arrays that it puts through `nudged`.

    These are the last digits of each array's dtype, or of one whose precision is `eps`, if that is less.
    """
    rng = np.random.default_rng(seed)

    def nudged(x: Any) -> Any:
        return x * (1 + LAST * max(float(np.finfo(x.dtype).eps), eps) * signed_like(rng, x))

    found = [value(nudged) for _ in range(8)]
    return float(np.ptp(found)) if np.isfinite(found).all() else 0.0


def within(a: Any, b: Any, room: Any) -> bool:
    """Return whether two arrays have one shape and differ by no more than the room; two nan are no difference."""
    return a.shape == b.shape and bool(np.all((np.abs(a - b) <= room) | (a == b) | (np.isnan(a) & np.isnan(b))))
