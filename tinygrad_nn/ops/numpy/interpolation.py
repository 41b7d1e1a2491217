"""Piecewise linear interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...tensor.creation import as_tensor
from ...tensor.declaring import composite, sample
from ...tensor.handle import Tensor
from ..joining import concatenate
from ..selection import where


@composite(numpy=[np.interp], method=False)
def interp(x: Tensor, xp: Tensor, fp: Tensor, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Return the value at x of the line through the points (xp, fp), xp increasing. Shapes: (...), (n,), (n,) -> (...).

    Left of the points the value is `left`, by default the first fp; right of them `right`, by default the last fp. With
    a `period`, `left` and `right` don't count, and xp need not be sorted. At a knot, the derivative is that of the
    flatter side, or 0 between slopes of opposite signs. Raises ValueError if xp decreases.
    """
    x, xp, fp = (as_tensor(t, np.result_type(t.dtype, float)) for t in (x, xp, fp))
    if xp.ndim != 1 or xp.shape != fp.shape or xp.size == 0:
        raise ValueError(f"interp takes xp and fp of one shape (n,), at least one point, got {xp.shape} and {fp.shape}")
    if period is not None:
        x, xp, fp = _unrolled(x, xp, fp, period)
        left = right = None
    with np.errstate(all="ignore"):  # no warnings, as in NumPy, whatever the points are
        piece, base, level = _pieces(x.data, xp.data, fp.data)
        end = np.minimum(piece + 1, xp.size - 1)
        slope = where(level, 0, fp[end] - fp[piece]) / where(level, 1, xp[end] - xp[piece])
        y = fp[base] + slope * where(level, 0, x - xp[base])
    y = y if left is None else where(x < xp[0], left, y)
    return y if right is None else where(x > xp[-1], right, y)


def _unrolled(x: Tensor, xp: Tensor, fp: Tensor, period: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return x and the points moved into the first period, with one more point at either end."""
    period = abs(period)
    if not as_tensor(period).data:
        raise ValueError("interp needs a period that is not zero; leave it out where there is none")
    x, xp = x % period, xp % period
    order = np.argsort(xp.data)
    xp, fp = xp[order], fp[order]
    return x, concatenate([xp[-1:] - period, xp, xp[:1] + period]), concatenate([fp[-1:], fp, fp[:1]])


def _pieces(x: Any, xp: Any, fp: Any) -> tuple[Any, Any, Any]:
    """Return for each x the piece whose slope counts, the point to start from, and whether its value is the result."""
    last = len(xp) - 1
    if np.any(xp[1:] < xp[:-1]):
        raise ValueError("interp needs increasing xp; sort the points: order = np.argsort(xp); xp[order], fp[order]")
    base = np.clip(np.searchsorted(xp, x, side="right") - 1, 0, last)
    slopes = np.concatenate([[0], (fp[1:] - fp[:-1]) / (xp[1:] - xp[:-1]), [0]])
    before, behind, knot = slopes[base], slopes[base + 1], x == xp[base]
    leftwards = knot & (abs(before) < abs(behind))
    piece = np.clip(base - leftwards, 0, max(last - 1, 0))
    slope = slopes[piece + 1]
    level = (x < xp[0]) | (x > xp[-1]) | (knot & ~((before * behind > 0) & np.isfinite(slope))) | (last == 0)
    # Next to an infinite point, inf - inf is avoided as in NumPy: by starting from the other end, if possible.
    lost = ~level & np.isnan(slope * (x - xp[base]) + fp[base]) & ~np.isnan(x)
    base = np.minimum(base + lost, last)
    level = level | (lost & (fp[base] == fp[piece]))
    return piece, base, level


# Samples for tests: a tuple stands for random values of that shape.

_KNOTS = np.array([-1.0, 0.5, 2.0, 3.0])
_LEVELS = np.array([0.3, -1.0, 1.5, 0.7])
_AT_KNOTS = np.array([-1.0, 0.0, 0.5, 2.0, 3.0, 2.5])
interp.samples = [
    sample((2, 3), _KNOTS, _LEVELS), sample((), _KNOTS, _LEVELS), sample((0,), _KNOTS, _LEVELS),
    sample((5,), _KNOTS / 3, _LEVELS, left=5.0, right=-2.0), sample((4,), np.zeros(1), np.ones(1)),
    sample((5,), _KNOTS[[2, 0, 3, 1]], _LEVELS, period=5.0), sample(_AT_KNOTS, _KNOTS, np.array([0.0, 1.0, 3.0, 2.0])),
]  # fmt: skip
