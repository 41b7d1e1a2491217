"""When two arrays count as equal."""

from __future__ import annotations

from typing import Any

import numpy as np


def close(found: Any, expected: Any, tolerance: float) -> bool:
    """Return whether all entries agree to the tolerance, relative to the largest of them, or to 1 if that is more."""
    scale = max(1.0, float(np.max(np.abs(expected), initial=0, where=np.isfinite(expected))))
    return found.shape == expected.shape and np.allclose(found, expected, rtol=0, atol=tolerance * scale)


def within(a: Any, b: Any, room: Any) -> bool:
    """Return whether two arrays have one shape and differ by no more than the room; two nan are no difference."""
    return a.shape == b.shape and bool(np.all((np.abs(a - b) <= room) | (a == b) | (np.isnan(a) & np.isnan(b))))
