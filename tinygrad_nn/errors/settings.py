"""Numbers that a user sets, checked when they are set."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from . import given


def is_number(x: Any) -> bool:
    """Return whether something is a real number, and no boolean."""
    return isinstance(x, numbers.Real) and not isinstance(x, bool)


def whole_number(name: str, x: Any, least: int = 1) -> int:
    """Return a whole number as Python's. Raises TypeError for what is none, ValueError for one below `least`."""
    wording = f"{name} must be a whole number, {least} or more, got {given(x)}"
    if isinstance(x, bool) or not isinstance(x, (int, np.integer)):
        raise TypeError(wording)
    if x < least:
        raise ValueError(wording)
    return int(x)


def number(name: str, x: Any, most: float = math.inf) -> float:
    """Return a finite number as Python's float. Raises TypeError for what is none, ValueError outside 0 to `most`."""
    wording = (
        f"{name} must be {'a finite number, 0 or more' if most == math.inf else f'from 0 to {most}'}, got {given(x)}"
    )
    if not is_number(x):
        raise TypeError(wording)
    if not 0 <= x <= most or x == math.inf:
        raise ValueError(wording)
    return float(x)
