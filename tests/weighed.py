"""What tests of reductions share: arrays to draw, and gradients of weighed sums, backward and by differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_nn as tg

FINITE = st.floats(-4, 4).map(lambda v: round(v, 2))
ARRAYS = hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4), elements=FINITE)


def leaf(x: Any) -> Any:
    return tg.tensor(np.asarray(x, float), requires_grad=True)


def gradient(function: Callable[[Any], Any], x: Any, weights: Any = None) -> Any:
    t = leaf(x)
    y = function(t)
    (y * (1.0 if weights is None else weights)).sum().backward()
    return t.grad.data


def numeric(function: Callable[[Any], Any], x: np.ndarray, weights: Any) -> np.ndarray:
    """Return central differences of the weighed sum."""
    found, step = np.zeros(x.shape), 1e-6
    for place in np.ndindex(x.shape):
        moved = [x.copy(), x.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        above, below = (np.sum(np.asarray(function(m)) * weights) for m in moved)
        found[place] = (above - below) / (2 * step)
    return found


def weights_for(y: Any) -> Any:
    return np.cos(1 + np.arange(y.size)).reshape(y.shape)
