"""What tests of gradients begin and end with: a leaf, what came back to it, and a function that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_nn as tg

FLOATS = [np.float32, np.float64]


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


def slopes(function: Callable[..., Any], *values: Any, dtype: Any = np.float64, create_graph: bool = False) -> Any:
    """Return the gradients of the function's sum with respect to each of its arguments."""
    inputs = [leaf(v, dtype) for v in values]
    with np.errstate(divide="ignore", invalid="ignore"):
        y = function(*inputs)
        found = tg.autograd.grad(y.sum(), inputs, create_graph=create_graph)
    return [g.data for g in found if g is not None]


def second(function: Callable[[Any], Any], value: Any) -> Any:
    """Return the derivative of the derivatives' sum."""
    x = leaf(value)
    with np.errstate(divide="ignore", invalid="ignore"):
        (g,) = tg.autograd.grad(function(x).sum(), x, create_graph=True)
        assert g is not None
        (gg,) = tg.autograd.grad(g.sum(), x, allow_unused=True) if g.requires_grad else (None,)
    return np.zeros(x.shape) if gg is None else gg.data
