"""What tests of shapes and places share: shapes to draw, distinct entries, and NumPy's function held against loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as npst
import hypothesis.strategies as st
import numpy as np
from entries import numbers
from looped import looped

from tinygrad_nn.testing import check_agreement, spaced

Array = Any
SHAPES = npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3)
FULL = npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3)


def drawn(*shapes: tuple[int, ...]) -> list[Array]:
    """Return an array of each shape, no two entries equal."""
    flat = spaced(numbers(), (sum(math.prod(s) for s in shapes),))
    cuts = np.cumsum([math.prod(s) for s in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(flat, cuts), shapes)]


def same(function: Callable[..., Any], *shapes: tuple[int, ...]) -> None:
    """Hold NumPy's function on tensors against itself on arrays, what it computes by loops, with its derivatives."""
    check_agreement(function, looped(function), drawn(*shapes), exact=False)


def axis_of(data: st.DataObject, shape: tuple[int, ...]) -> int:
    return data.draw(st.integers(-len(shape), len(shape) - 1), label="axis")
