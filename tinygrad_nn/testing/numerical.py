"""Derivatives by differences of values, entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Slopes:
    """The slopes of a function in each entry of one array: by central and by one-sided differences."""

    central: Any
    left: Any
    right: Any

    @property
    def kinked(self) -> Any:
        """Where the one-sided slopes differ by more than those of a smooth function."""
        return np.abs(self.right - self.left) > 0.05 * (1 + np.abs(self.central))


def slopes(function: Callable[[list[Any]], float], arrays: Sequence[Any], position: int, step: float = 1e-3) -> Slopes:
    """Return the slopes of a function of arrays in the entries of one; nan for entries that aren't finite.

    Central differences of two steps, extrapolated (Richardson): the error is of order step**4.
    """
    x = arrays[position]
    central, left, right = (np.full(x.shape, np.nan) for _ in range(3))
    middle = function(list(arrays))
    for entry in map(tuple, np.argwhere(np.isfinite(x))):

        def moved(by: float, entry: tuple[int, ...] = entry) -> float:
            y = np.array(x)
            y[entry] += by
            return function([*arrays[:position], y, *arrays[position + 1 :]])

        up, down = moved(step / 2), moved(-step / 2)
        central[entry] = extrapolated([moved(step), moved(-step), up, down], step)
        left[entry], right[entry] = (middle - down) / (step / 2), (up - middle) / (step / 2)
    return Slopes(central, left, right)


def extrapolated(values: Sequence[Any], step: float) -> Any:
    """Return the derivative from the values at step, -step, step / 2, -step / 2, with an error of order step**4."""
    above, below, half_above, half_below = values
    with np.errstate(invalid="ignore"):  # infinite values have none
        return (4 * (half_above - half_below) / step - (above - below) / (2 * step)) / 3
