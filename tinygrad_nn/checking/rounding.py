"""How far rounding may move values: measured, by moving what goes in by its last digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

WIDE = np.dtype(np.float64)
EPS = float(np.finfo(WIDE).eps)
NUDGE = 2.0**-9
COARSE = 2.0**-20
LAST = 64  # times eps: moves the last two digits


def largest(x: Any) -> float:
    """Return the size of the largest finite number, 1 if there is none but 0: moves are to suit what is there."""
    return float(np.abs(x).max(initial=0, where=np.isfinite(x))) or 1.0


def noise_of_values(line: Callable[[Any], Any], size: float, eps: float) -> tuple[Any, float, float]:
    """Return the value, how far rounding may move it, and what tiny steps show of that.

    `line` is the value as a function of a step through all entries, relative to their sizes; `size` is its size at
    the point, and `eps` that of the narrowest dtype on the way. It may be rounding of intermediate numbers, which are
    larger than the results. Second differences at steps of a few last digits are rounding alone, and where these change
    nothing, so is what the first larger step changes: of 1 + x**2 at a tiny x. Fourth differences at larger steps see
    what is rounded coarsely. Where these may be a kink's, they are taken on the other side, too.
    """
    middle, last, usual = line(0.0), LAST * EPS * np.arange(1, 4), 4 * eps * size
    fine = max(float(np.abs(np.diff([line(start + h) for h in last], 2)).max()) for start in (0.0, NUDGE))
    first = next((h for h in 2.0 ** np.arange(-46, -8, 4) if line(h) != middle), 0.0)
    if first > last[0]:
        fine = max(fine, float(abs(line(first) - middle)))
    coarse = _fourth_difference(line, NUDGE)
    if coarse > usual:
        coarse = min(coarse, _fourth_difference(line, -NUDGE))
    seen = [4 * fine, max(4 * fine, coarse)]
    tiny, both = (max(usual, noise if math.isfinite(noise) else 0.0) for noise in seen)
    return middle, both, tiny


def _fourth_difference(line: Any, start: float) -> float:
    return float(abs(np.diff([line(start + COARSE * k) for k in range(5)], 4)[0]))


def within(a: Any, b: Any, room: Any) -> bool:
    """Return whether two arrays have one shape and differ by no more than the room; two nan are no difference."""
    return a.shape == b.shape and bool(np.all((np.abs(a - b) <= room) | (a == b) | (np.isnan(a) & np.isnan(b))))
