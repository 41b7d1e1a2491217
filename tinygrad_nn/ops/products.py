"""Products of matrices and tensors; products of vectors are in `vectors`, sums over named axes in `contraction`."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine.zero_safe import sum_of_products
from ..tensor.declaring import composite, primitive, sample
from ..tensor.handle import Tensor
from .axes import all_axes
from .elementwise import conjugate, multiply
from .joining import ravel
from .shaping import swapaxes


@primitive(method=False, name="matrix_product")
def _product(a: Any, b: Any, /) -> Any:
    """Return the products of the matrices in the last two axes. (..., m, k) @ (..., k, n) -> (..., m, n)."""
    return np.matmul(a, b)


_product.vjp(lambda g, b: g @ b.mT, lambda g, a: a.mT @ g, zero_safe=sum_of_products)
_product.jvp(lambda t, b: t @ b, lambda t, a: a @ t)


@primitive(method=False, name="vector_product")
def _vector_product(a: Any, b: Any, /) -> Any:
    """Return the product of two vectors, or of a vector and a matrix. (k,) @ (k,) -> (), (m, k) @ (k,) -> (m,)."""
    return np.matmul(a, b)


def _slope_of_left(g: Any, b: Any, a_shape: Any) -> Any:
    if len(a_shape) == 2:
        return np.outer(g, b)
    return g * b if b.ndim == 1 else g @ b.T


def _slope_of_right(g: Any, a: Any, b_shape: Any) -> Any:
    if len(b_shape) == 2:
        return np.outer(a, g)
    return g * a if a.ndim == 1 else a.T @ g


_vector_product.vjp(_slope_of_left, _slope_of_right, zero_safe=sum_of_products)
_vector_product.jvp(lambda t, b: t @ b, lambda t, a: a @ t)


@composite(numpy=[np.matmul, np.linalg.matmul], operator="matmul")
def matmul(a: Tensor, b: Tensor) -> Any:
    """Return the matrix product, for all shapes that NumPy takes. (..., m, k) @ (..., k, n) -> (..., m, n).

    A vector on the left is a row, on the right a column; that axis is dropped from the result.
    """
    if a.ndim == 2 == b.ndim:
        return _product(a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul needs vectors or matrices, got shapes {a.shape} and {b.shape}; write a * b")
    if a.ndim + b.ndim <= 3:  # a vector and a vector or matrix
        return _vector_product(a, b)
    if a.ndim == 1:
        return matmul(a.reshape(1, a.size), b).squeeze(-2 if b.ndim > 1 else 0)
    if b.ndim == 1:
        return matmul(a, b.reshape(b.size, 1)).squeeze(-1)
    if b.ndim == 2:
        rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])  # one product instead of many
        return _product(rows, b).reshape(*a.shape[:-1], b.shape[-1])
    return _product(a, b)


def conjugated(x: Tensor) -> Tensor:
    """Return the complex conjugate of a complex tensor, and any other as it is."""
    return conjugate(x) if x.dtype.kind == "c" else x


def _axes_of_both(axes: Any, a: Tensor, b: Tensor) -> tuple[list[int], list[int]]:
    """Return the axes that a tensor product sums over, for each of the two tensors."""
    if np.ndim(axes) == 0 and not isinstance(axes, Sequence):
        n = operator.index(axes)
        if not 0 <= n <= min(a.ndim, b.ndim):
            raise ValueError(f"tensordot takes at most as many axes as both have, not {n} of {a.ndim} and {b.ndim}")
        return list(range(a.ndim - n, a.ndim)), list(range(n))
    first, second = axes
    return list(all_axes(first, a.ndim)), list(all_axes(second, b.ndim))


@composite(numpy=[np.tensordot, np.linalg.tensordot], method=False)
def tensordot(a: Tensor, b: Tensor, axes: Any = 2) -> Tensor:
    """Return the sum of products over pairs of axes: `axes` counts them (last of `a`, first of `b`), or is two lists.

    Shapes: the remaining axes of `a`, then those of `b`.
    """
    over_a, over_b = _axes_of_both(axes, a, b)
    lengths = [a.shape[i] for i in over_a]
    if lengths != [b.shape[i] for i in over_b]:
        raise ValueError(f"tensordot needs pairs of equal axes, not {axes} of shapes {a.shape} and {b.shape}")
    left = [i for i in range(a.ndim) if i not in over_a]
    right = [i for i in range(b.ndim) if i not in over_b]
    rows, columns = [a.shape[i] for i in left], [b.shape[i] for i in right]
    n = math.prod(lengths)
    matrix = a.transpose([*left, *over_a]).reshape(math.prod(rows), n)
    other = b.transpose([*over_b, *right]).reshape(n, math.prod(columns))
    return _product(matrix, other).reshape((*rows, *columns))


@composite(numpy=[np.dot])
def dot(a: Tensor | float, b: Tensor | float) -> Any:
    """Return the sum of products over the last axis of `a` and the last but one axis of `b`, or its only axis.

    Shapes: (..., k), (..., k, n) -> (..., ..., n). If one of them is 0-d, it is the product with a number.
    """
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return multiply(a, b)
    return matmul(a, b) if np.ndim(b) <= 2 else tensordot(a, b, (-1, -2))


@composite(numpy=[np.inner], method=False)
def inner(a: Tensor | float, b: Tensor | float) -> Any:
    """Return the sum of products over the last axes. Shapes: (..., k), (..., k) -> (..., ...)."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return multiply(a, b)
    return matmul(a, b) if np.ndim(b) == 1 else tensordot(a, b, (-1, -1))


@composite(numpy=[np.vdot], method=False)
def vdot(a: Tensor, b: Tensor) -> Any:
    """Return the sum of products of all entries, those of `a` conjugated. Shapes: (...), (...) -> ()."""
    rows, columns = (x if x.ndim == 1 else ravel(x) for x in (a, b))
    return matmul(conjugated(rows), columns)


@composite(numpy=[np.kron], method=False)
def kron(a: Tensor, b: Tensor) -> Any:
    """Return the Kronecker product; missing leading axes get length 1. Shapes: (m, n), (p, q) -> (mp, nq)."""
    ndim = max(a.ndim, b.ndim)
    rows, columns = ((1,) * (ndim - x.ndim) + x.shape for x in (a, b))
    blocks = a.reshape([n for m in rows for n in (m, 1)]) * b.reshape([n for m in columns for n in (1, m)])
    return blocks.reshape([m * n for m, n in zip(rows, columns, strict=True)])


@composite(numpy=[np.matrix_transpose, np.linalg.matrix_transpose], method=False)
def matrix_transpose(x: Tensor) -> Tensor:
    """Return the tensor with its last two axes exchanged. Shapes: (..., m, n) -> (..., n, m)."""
    return swapaxes(x, -1, -2)


# Samples for tests: a tuple stands for random values of that shape.

_product.samples = [
    sample((2, 3), (3, 4)), sample((5, 2, 3), (3, 4)), sample((2, 1, 2, 3), (4, 3, 1)), sample((0, 3), (3, 2)),
    sample((2, 0), (0, 2)),
]  # fmt: skip
_vector_product.samples = [
    sample((3,), (3,)), sample((2, 3), (3,)), sample((3,), (3, 4)), sample((0,), (0,)), sample((0, 3), (3,)),
    sample((0,), (0, 2)), sample((2, 0), (0,)),
]  # fmt: skip
matmul.samples = [
    sample((2, 3), (3, 4)), sample((3,), (3,)), sample((3,), (2, 3, 4)), sample((5, 2, 3), (3,)),
    sample((2, 4, 2, 3), (3, 4)), sample((1, 2, 3), (4, 3, 2)), sample((0,), (0,)), sample((0, 3), (3, 2)),
    sample((2, 1, 0), (0, 3)), sample((1, 2, 0), (0,)), sample((0,), (2, 0, 3)),
]  # fmt: skip
tensordot.samples = [
    sample((2, 3, 4), (4, 3, 2), axes=((1, -1), (-2, 0))), sample((2, 3), (3, 2), axes=(-1, 0)),
    sample((2,), (3,), axes=0), sample((2, 3), (2, 3)), sample((2, 0), (0, 3), axes=1), sample((), (), axes=0),
]  # fmt: skip
dot.samples = [
    sample((2, 3), (3, 4)), sample((3,), (3,)), sample((2, 3), (3,)), sample((2, 3), (4, 3, 2)), sample((), (2, 3)),
    sample((3,), 2.0), sample((0,), (0,)),
]  # fmt: skip
inner.samples = [sample((3,), (3,)), sample((2, 3), (4, 2, 3)), sample((), (2, 3)), sample((2, 0), (0,))]
vdot.samples = [sample((3,), (3,)), sample((2, 3), (3, 2)), sample((), ()), sample((0,), (0, 2))]
kron.samples = [
    sample((2, 2), (1, 3)), sample((2,), (2, 3)), sample((2, 1, 2), (2,)), sample((), (3,)), sample((), ()),
    sample((0, 2), (2, 1)),
]  # fmt: skip
matrix_transpose.samples = [sample((2, 3, 4)), sample((0, 3))]
