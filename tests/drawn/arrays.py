"""Strategies that the calls are drawn with: numbers away from kinks, matrices, masks, shapes, axes, parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tinygrad_nn.tensor.declaring import sample
from tinygrad_nn.testing import shapes
from tinygrad_nn.testing.samples import distinct

Draw = st.DrawFn
Calls = st.SearchStrategy[Any]
Shape = tuple[int, ...]


def numbers(shape: Shape, low: float = -2.0, high: float = 2.0, kinks: Sequence[float] = ()) -> Calls:
    """Return a strategy for arrays of distinct numbers between two bounds, away from kinks."""
    size = math.prod(shape)
    seeds = st.integers(0, 2**16)
    return seeds.map(lambda seed: np.array(list(distinct(seed, size, (low, high), kinks))).reshape(shape))


@st.composite
def rotation(draw: Draw, /, batch: Shape, n: int) -> Any:
    """Return orthogonal matrices."""
    return np.linalg.qr(draw(numbers((*batch, n, n))) + 3 * np.eye(n))[0]


@st.composite
def spectral(draw: Draw, /, batch: Shape, m: int, n: int, symmetric: bool = False, low: float = 0.6) -> Any:
    """Return matrices whose singular values, eigenvalues of symmetric ones, are far from each other and from 0."""
    k = min(m, n)
    values = low + (2.5 - low) * (np.arange(k) + draw(numbers((*batch, k), 0.3, 0.7))) / max(k, 1)
    left = draw(rotation(batch, m))[..., :k]
    right = left if symmetric else draw(rotation(batch, n))[..., :k]
    found = (left * values[..., None, :]) @ right.mT
    return (found + found.mT) / 2 if symmetric else found


def masks(shape: Shape) -> st.SearchStrategy[Any]:
    return npst.arrays(bool, shape)


def some(**parameters: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for any of these parameters; what is left out has its default."""
    return st.fixed_dictionaries({}, optional=parameters)


@st.composite
def stretching(draw: Draw, /, count: int = 2, max_dims: int = 3, min_side: int = 0) -> list[Shape]:
    """Return shapes that broadcast together."""
    found = npst.mutually_broadcastable_shapes(num_shapes=count, max_dims=max_dims, min_side=min_side, max_side=3)
    return list(draw(found).input_shapes)


@st.composite
def matching(draw: Draw, /, signature: str, min_side: int = 0, max_dims: int = 2) -> list[Shape]:
    """Return shapes for a generalised ufunc's signature, whose batches broadcast together."""
    found = npst.mutually_broadcastable_shapes(signature=signature, max_dims=max_dims, min_side=min_side, max_side=3)
    return list(draw(found).input_shapes)


def one_axis(shape: Shape) -> st.SearchStrategy[int]:
    return st.integers(-len(shape), len(shape) - 1)


def one_or_none(shape: Shape) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), one_axis(shape)) if shape else st.none()


DTYPES = st.sampled_from(["float32", "float64"])


# ---- calls that many operations have ----


@st.composite
def several(draw: Draw, /, strategy: Any) -> Any:
    """Return a call on several arrays of the shapes that are drawn."""
    return sample(*draw(strategy))


@st.composite
def along_one(draw: Draw, /, min_dims: int = 1, min_side: int = 0, none: bool = False, **parameters: Any) -> Any:
    """Return a shape with one axis, or None where that is allowed."""
    shape = draw(shapes(min_dims, min_side=min_side))
    given = {"axis": one_or_none(shape) if none else one_axis(shape)} if shape else {}
    return sample(shape, **draw(some(**given, **parameters)))


@st.composite
def of_some_rank(draw: Draw, /, min_dims: int = 0, max_dims: int = 3, min_side: int = 0, **parameters: Any) -> Any:
    return sample(draw(shapes(min_dims, max_dims, min_side=min_side)), **draw(some(**parameters)))
