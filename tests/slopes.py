"""What tests of gradients begin and end with: a leaf, what came back to it, and a function that fails."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_nn as tg


def leaf(values: Any, dtype: Any = None) -> Any:
    return tg.tensor(values, dtype=dtype, requires_grad=True)


def slope(t: Any) -> Any:
    """Return the array that backward has left in a leaf."""
    assert t.grad is not None
    return t.grad.data


def derivative(y: Any, x: Any, seed: Any = None) -> Any:
    """Return the array of dy/dx, weighed by the seed, which has x's shape and dtype."""
    (g,) = tg.autograd.grad(y, x, None if seed is None else np.asarray(seed, y.dtype))
    assert g is not None
    assert g.shape == x.shape
    assert g.dtype == x.dtype
    return g.data


def fail(*_: Any) -> Any:
    raise RuntimeError("no derivative today")
