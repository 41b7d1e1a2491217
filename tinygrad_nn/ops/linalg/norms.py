"""Norms of vectors and matrices in every order that NumPy has, condition numbers and ranks.

Where a norm is 0, or several entries are the largest, the gradient is the subgradient of smallest norm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...tensor.declaring import composite, primitive, sample
from ...tensor.handle import Tensor
from ..axes import all_axes
from ..elementwise import absolute, sqrt
from ..reduction import loses_digits, max, min, scale_of, sum
from ..selection import where
from ..shaping import expand_dims, moveaxis
from .decompositions import svdvals
from .determinants import slogdet
from .inverses import inv


def _floating(x: Tensor) -> Tensor:
    return x if x.dtype.kind in "fc" else x.astype(np.float64)


def _vector_norm(x: Tensor, ord: Any, axis: tuple[int, ...], keepdims: Any) -> Any:
    if ord is None or ord == 2:
        return _length(x, axis, keepdims)
    size = absolute(x)
    if ord == math.inf:
        return max(size, axis, keepdims, initial=0)
    if ord == -math.inf:
        return min(size, axis, keepdims=keepdims)
    if ord == 0:
        return sum((x != 0).astype(size.dtype), axis, keepdims=keepdims)
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order {ord!r} for vectors; write a number, or None")
    if ord == 1:
        return sum(size, axis, keepdims=keepdims)
    return _root_of_powers(size, float(ord), axis, keepdims)


def _length(x: Tensor, axis: tuple[int, ...], keepdims: Any) -> Any:
    with np.errstate(over="ignore"):
        total = sum(x * x if x.dtype.kind == "f" else absolute(x) ** 2, axis, keepdims=keepdims)
    return _root_of_powers(absolute(x), 2.0, axis, keepdims) if loses_digits(total.data) else sqrt(total)


def _root_of_powers(size: Tensor, p: float, axis: tuple[int, ...], keepdims: Any) -> Any:
    """Return the p-th root of the sum of p-th powers, computed after scaling the dominant number to about 1."""
    scale = scale_of(size.data, axis, smallest=p < 0)
    total = sum((size / scale) ** p, axis, keepdims=True)
    y = (sqrt(total) if p == 2 else total ** (total.dtype.type(1) / total.dtype.type(p))) * scale
    return y if keepdims else y.squeeze(axis)


def _matrix_norm(x: Tensor, ord: Any, axis: tuple[int, int], keepdims: Any) -> Any:
    rows, columns = axis
    if ord in (None, "fro", "f"):
        return _vector_norm(x, 2, axis, keepdims)
    if ord in (1, -1, math.inf, -math.inf):
        summed, left = (rows, columns) if abs(ord) == 1 else (columns, rows)
        y = sum(absolute(x), summed, keepdims=True)
        y = max(y, left, keepdims=True, initial=0) if ord > 0 else min(y, left, keepdims=True)
    elif ord in (2, -2, "nuc"):
        s = svdvals(moveaxis(x, axis, (-2, -1)))
        y = sum(s, -1) if ord == "nuc" else max(s, -1, initial=0) if ord == 2 else min(s, -1)
        y = expand_dims(y, axis)
    else:
        raise ValueError(f"Invalid norm order {ord!r} for matrices; write 'fro', 'nuc', 1, 2, inf, -1, -2 or -inf")
    return y if keepdims else y.squeeze(axis)


@composite(numpy=[np.linalg.norm], method=False)
def norm(x: Tensor, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    """Return the norm of vectors along one axis, or of matrices in two axes; by default of all entries.

    Orders for vectors: 2, 1, inf, -inf, 0 (how many are not 0: no gradient), any p; for matrices: "fro", "nuc", 1, -1,
    2, -2, inf, -inf. At a norm of 0 the derivative is 0. Raises ValueError for other orders.
    """
    x = _floating(x)
    axes = all_axes(axis, x.ndim)
    if len(axes) == 1 or (axis is None and ord is None):
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, (axes[0], axes[1]), keepdims)
    raise ValueError(f"Improper number of dimensions to norm: {len(axes)}; name one axis, or two of matrices")


@composite(numpy=[np.linalg.vector_norm], method=False)
def vector_norm(x: Tensor, /, *, axis: Any = None, keepdims: Any = False, ord: Any = 2) -> Any:
    """Return the norm of the entries along one axis or several, by default of all entries. (..., n) -> (...)."""
    x = _floating(x)
    return _vector_norm(x, ord, all_axes(axis, x.ndim), keepdims)


@composite(numpy=[np.linalg.matrix_norm], method=False)
def matrix_norm(x: Tensor, /, *, keepdims: Any = False, ord: Any = "fro") -> Any:
    """Return the norms of the matrices in the last two axes. Shapes: (..., m, n) -> (...)."""
    return norm(x, ord, (-2, -1), keepdims)


@composite(numpy=[np.linalg.cond], method=False)
def cond(x: Tensor, p: Any = None) -> Any:
    """Return the norm of a matrix times that of its inverse; for a singular matrix inf, with derivative 0.

    By default, and for p = 2, it is the ratio of the largest to the smallest singular value, for p = -2 the inverse
    ratio; there the matrix may have any shape. Shapes: (..., m, n) -> (...).
    """
    x = _floating(x)
    if x.ndim < 2 or 0 in x.shape[-2:]:
        raise np.linalg.LinAlgError(f"cond takes matrices, not vectors or empty matrices; got shape {x.shape}")
    if p in (None, 2, -2):
        s = svdvals(x)
        large, small = (s[..., 0], s[..., -1]) if p != -2 else (s[..., -1], s[..., 0])
        singular = small == 0
        return where(singular, math.inf, large / where(singular, 1, small))
    singular = slogdet(x)[0] == 0
    regular = where(singular[..., None, None], np.eye(x.shape[-1], dtype=x.dtype), x)
    return where(singular, math.inf, matrix_norm(x, ord=p) * matrix_norm(inv(regular), ord=p))


@primitive(numpy=[np.linalg.matrix_rank], method=False)
def matrix_rank(A: Any, /, tol: Any = None, hermitian: bool = False, rtol: Any = None) -> Any:
    """Return how many singular values are above `tol`, by default above rounding: no gradient. (..., m, n) -> (...)."""
    if 0 in np.shape(A)[-2:]:  # NumPy before 2.3 refuses these
        return np.zeros(np.shape(A)[:-2], int)
    return np.asarray(np.linalg.matrix_rank(A, tol, hermitian, rtol=rtol))


matrix_rank.vjp(None)


# Samples for tests: a tuple stands for random values of that shape.

_TIED = np.array([[2.0, -2.0, 1.0], [0.0, 0.0, 0.0]])
_VECTOR_ORDERS: tuple[Any, ...] = (2, 1, 3, 0.5, -2, math.inf, -math.inf)
_MATRIX_ORDERS: tuple[Any, ...] = ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)
_FULL = np.array([[2.0, -0.4, 0.2], [0.5, 0.8, -0.6]])
norm.samples = [
    *[sample(_FULL[0], ord=ord) for ord in _VECTOR_ORDERS], *[sample(_FULL, ord=ord) for ord in _MATRIX_ORDERS],
    sample((2, 3)), sample((2, 2, 3), axis=(-1, 0)), sample(_TIED, ord=math.inf, axis=1), sample(()), sample((0, 3)),
    sample((2, 3), axis=-1, keepdims=True), sample(_FULL[:, None], ord="nuc", axis=(2, 0), keepdims=True),
]  # fmt: skip
vector_norm.samples = [
    sample((2, 3)), sample((2, 3, 2), axis=(0, -1), ord=1), sample((2, 3), keepdims=True, ord=3), sample(()),
    sample((0, 3), axis=0), sample(_TIED, ord=math.inf, axis=1),
]  # fmt: skip
matrix_norm.samples = [sample((2, 2, 3)), sample(_FULL, ord=2, keepdims=True), sample((0, 3)), sample((2, 3), ord=1)]
cond.samples = [
    sample(_FULL), sample(_FULL, p=-2), sample(_FULL[:, :2], p=1), sample(_FULL[:, :2], p=2),
    sample(np.stack([_FULL[:, ::2], _FULL[:, :2]]), p="fro"), sample((0, 2, 2)),
]  # fmt: skip
matrix_rank.samples = [
    sample(_FULL), sample((2, 2, 2)), sample(np.ones((2, 2)), tol=0.1), sample((0, 2, 2)), sample(()),
]  # fmt: skip
