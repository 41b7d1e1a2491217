"""Products of vectors, matrices and tensors; those over named axes are in contraction."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autodiff import sum_of_products
from ..creation import as_tensor
from ..operation import sample
from ..primitive import composite, primitive
from ..tensors import Tensor
from .elementwise import conjugate, multiply
from .joining import ravel, stack
from .rearranging import diagonal, trace
from .shaping import expand_dims, moveaxis, squeeze, swapaxes
from .splitting import unstack


@primitive(
    method=False, name="matrix_product",
    samples=[
        sample((2, 3), (3, 4)), sample((5, 2, 3), (3, 4)), sample((2, 1, 2, 3), (4, 3, 1)),
        sample((0, 3), (3, 2)), sample((2, 0), (0, 2)),
    ],
)  # fmt: skip
def _product(a: Any, b: Any, /) -> Any:
    """Return the products of the matrices in the last two axes. (..., m, k) @ (..., k, n) -> (..., m, n)."""
    return np.matmul(a, b)


_product.vjp(lambda g, b: g @ b.mT, lambda g, a: a.mT @ g, zero_safe=sum_of_products)
_product.jvp(lambda t, b: t @ b, lambda t, a: a @ t)


@composite(
    numpy=[np.matmul, np.linalg.matmul], operator="matmul",
    samples=[
        sample((2, 3), (3, 4)), sample((3,), (3,)), sample((3,), (2, 3, 4)), sample((5, 2, 3), (3,)),
        sample((2, 4, 2, 3), (3, 4)), sample((1, 2, 3), (4, 3, 2)), sample((0,), (0,)), sample((0, 3), (3, 2)),
        sample((2, 1, 0), (0, 3)), sample((1, 2, 0), (0,)), sample((0,), (2, 0, 3)),
    ],
)  # fmt: skip
def matmul(a: Any, b: Any) -> Any:
    """Return the matrix product in all of NumPy's shapes. (..., m, k) @ (..., k, n) -> (..., m, n).

    A vector on the left is a row, on the right a column; that axis is dropped from the result.
    """
    a, b = as_tensor(a), as_tensor(b)
    if a.ndim == 2 == b.ndim:
        return _product(a, b)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul needs vectors or matrices, got shapes {a.shape} and {b.shape}; write a * b")
    if a.ndim == 1:
        return matmul(a.reshape(1, a.size), b).squeeze(-2 if b.ndim > 1 else 0)
    if b.ndim == 1:
        return matmul(a, b.reshape(b.size, 1)).squeeze(-1)
    if b.ndim == 2:
        rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
        return _product(rows, b).reshape(*a.shape[:-1], b.shape[-1])
    return _product(a, b)


def _conjugate(x: Any) -> Any:
    x = as_tensor(x)
    return conjugate(x) if x.dtype.kind == "c" else x


def _axes_of_both(axes: Any, a: Tensor, b: Tensor) -> tuple[list[int], list[int]]:
    """Return the axes that a tensor product sums over, those of the first and those of the second."""
    if np.ndim(axes) == 0 and not isinstance(axes, Sequence):
        n = operator.index(axes)
        if not 0 <= n <= min(a.ndim, b.ndim):
            raise ValueError(f"tensordot can't sum over {n} axes of tensors with {a.ndim} and {b.ndim}")
        return list(range(a.ndim - n, a.ndim)), list(range(n))
    first, second = ([part] if np.ndim(part) == 0 else list(part) for part in axes)
    normal = np.lib.array_utils.normalize_axis_tuple
    return list(normal(first, a.ndim)), list(normal(second, b.ndim))


@composite(
    numpy=[np.tensordot, np.linalg.tensordot], method=False,
    samples=[
        sample((2, 3, 4), (4, 3, 2), axes=((1, -1), (-2, 0))), sample((2, 3), (3, 2), axes=(-1, 0)),
        sample((2,), (3,), axes=0), sample((2, 3), (2, 3)), sample((2, 0), (0, 3), axes=1), sample((), (), axes=0),
    ],
)  # fmt: skip
def tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    """Return the sum of products over pairs of axes: `axes` last ones with first ones, or two lists of them.

    Shapes: the axes of `a` that are left, then those of `b`.
    """
    a, b = as_tensor(a), as_tensor(b)
    over_a, over_b = _axes_of_both(axes, a, b)
    lengths = [a.shape[i] for i in over_a]
    if lengths != [b.shape[i] for i in over_b]:
        raise ValueError(f"tensordot sums over pairs of equal axes, not {axes} of shapes {a.shape} and {b.shape}")
    left = [i for i in range(a.ndim) if i not in over_a]
    right = [i for i in range(b.ndim) if i not in over_b]
    rows, columns = [a.shape[i] for i in left], [b.shape[i] for i in right]
    n = math.prod(lengths)
    matrix = a.transpose([*left, *over_a]).reshape(math.prod(rows), n)
    other = b.transpose([*over_b, *right]).reshape(n, math.prod(columns))
    return _product(matrix, other).reshape((*rows, *columns))


@composite(
    numpy=[np.dot],
    samples=[
        sample((2, 3), (3, 4)), sample((3,), (3,)), sample((2, 3), (3,)), sample((2, 3), (4, 3, 2)), sample((), (2, 3)),
        sample((3,), 2.0), sample((0,), (0,)),
    ],
)  # fmt: skip
def dot(a: Any, b: Any) -> Any:
    """Return the sum of products over the last axis of `a` and the last but one of `b`, or its only one.

    Shapes: (..., k), (..., k, n) -> (..., ..., n). With a 0-d tensor it is the product by a number.
    """
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return multiply(a, b)
    return tensordot(a, b, (-1, -min(np.ndim(b), 2)))


@composite(
    numpy=[np.inner], method=False,
    samples=[sample((3,), (3,)), sample((2, 3), (4, 2, 3)), sample((), (2, 3)), sample((2, 0), (0,))],
)  # fmt: skip
def inner(a: Any, b: Any) -> Any:
    """Return the sum of products over the last axes. Shapes: (..., k), (..., k) -> (..., ...)."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return multiply(a, b)
    return tensordot(a, b, (-1, -1))


@composite(
    numpy=[np.vdot], method=False,
    samples=[sample((3,), (3,)), sample((2, 3), (3, 2)), sample((), ()), sample((0,), (0, 2))],
)  # fmt: skip
def vdot(a: Any, b: Any) -> Any:
    """Return the sum of products of all entries, those of `a` conjugated. Shapes: (...), (...) -> ()."""
    return tensordot(_conjugate(ravel(a)), ravel(b), 1)


@composite(
    numpy=[np.outer], method=False,
    samples=[sample((2,), (3,)), sample((2, 2), (3,)), sample((), (2,)), sample((0,), (3,))],
)  # fmt: skip
def outer(a: Any, b: Any) -> Any:
    """Return the products of each entry of `a` with each of `b`, both flattened. Shapes: (m), (n) -> (m, n)."""
    return multiply(expand_dims(ravel(a), 1), ravel(b))


@composite(numpy=[np.linalg.outer], method=False, name="linalg_outer", samples=[sample((2,), (3,)), sample((0,), (3,))])
def _outer_of_vectors(a: Any, b: Any, /) -> Any:
    """Return the products of each entry of a vector with each of another. Shapes: (m), (n) -> (m, n)."""
    a, b = as_tensor(a), as_tensor(b)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"linalg.outer needs vectors, got shapes {a.shape} and {b.shape}; np.outer flattens them")
    return outer(a, b)


@composite(
    numpy=[np.kron], method=False,
    samples=[
        sample((2, 2), (1, 3)), sample((2,), (2, 3)), sample((2, 1, 2), (2,)), sample((), (3,)), sample((), ()),
        sample((0, 2), (2, 1)),
    ],
)  # fmt: skip
def kron(a: Any, b: Any) -> Any:
    """Return the Kronecker product; missing first axes count as length 1. Shapes: (m, n), (p, q) -> (mp, nq)."""
    a, b = as_tensor(a), as_tensor(b)
    ndim = max(a.ndim, b.ndim)
    rows, columns = ((1,) * (ndim - x.ndim) + x.shape for x in (a, b))
    blocks = a.reshape([n for m in rows for n in (m, 1)]) * b.reshape([n for m in columns for n in (1, m)])
    return blocks.reshape([m * n for m, n in zip(rows, columns, strict=True)])


@composite(
    numpy=[np.cross], method=False,
    samples=[
        sample((3,), (3,)), sample((2, 3), (4, 1, 3)), sample((3, 2), (2, 3), axisa=0, axisc=-2), sample((0, 3), (3,)),
        sample((2, 3, 4), (2, 3, 4), axis=-2),
    ],
)  # fmt: skip
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """Return the cross products of vectors of 3, and of 2, which lie in a plane, the third component.

    Shapes: (..., 3), (..., 3) -> (..., 3); (..., 2), (..., 2) -> (...).
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = as_tensor(a), as_tensor(b)
    if not {a.shape[axisa], b.shape[axisb]} <= {2, 3}:
        raise ValueError(f"cross needs vectors of 2 or 3 components, got shapes {a.shape} and {b.shape}")
    (a0, a1, *a2), (b0, b1, *b2) = unstack(a, axisa), unstack(b, axisb)
    z = a0 * b1 - a1 * b0
    if not a2 and not b2:
        return z
    if a2 and b2:
        x, y = a1 * b2[0] - a2[0] * b1, a2[0] * b0 - a0 * b2[0]
    else:
        x, y = (a1 * b2[0], -a0 * b2[0]) if b2 else (-a2[0] * b1, a2[0] * b0)
    return stack([x, y, z], axisc)


@composite(
    numpy=[np.linalg.cross], method=False, name="linalg_cross",
    samples=[sample((3,), (2, 3)), sample((3, 2), (3, 2), axis=-2), sample((0, 3), (3,))],
)  # fmt: skip
def _cross_of_three(a: Any, b: Any, /, *, axis: int = -1) -> Tensor:
    """Return the cross products of vectors of 3 components. Shapes: (..., 3), (..., 3) -> (..., 3)."""
    a, b = as_tensor(a), as_tensor(b)
    if a.shape[axis] != 3 or b.shape[axis] != 3:
        raise ValueError(f"linalg.cross needs vectors of 3 components, got shapes {a.shape} and {b.shape}")
    return cross(a, b, axis=axis)


def _known(*names: str) -> list[Any]:
    """Return NumPy's functions of these names, those that its version has."""
    return [f for space in (np, np.linalg) for name in names if (f := getattr(space, name, None)) is not None]


@composite(
    numpy=_known("vecdot"), method=False,
    samples=[
        sample((3,), (3,)), sample((2, 3), (4, 1, 3)), sample((3, 2), (3, 1), axis=-2), sample((2, 0), (0,)),
    ],
)  # fmt: skip
def vecdot(a: Any, b: Any, axis: int = -1) -> Any:
    """Return the sums of products of vectors, those of `a` conjugated. Shapes: (..., n), (..., n) -> (...)."""
    rows, columns = moveaxis(_conjugate(a), axis, -1), moveaxis(b, axis, -1)
    if rows.shape[-1] != columns.shape[-1]:
        raise ValueError(f"vecdot needs vectors of one length, got shapes {rows.shape} and {columns.shape}")
    return squeeze(matmul(expand_dims(rows, -2), expand_dims(columns, -1)), (-2, -1))


@composite(
    numpy=_known("matvec"), method=False,
    samples=[sample((2, 3), (3,)), sample((4, 2, 3), (3,)), sample((2, 3), (4, 3)), sample((2, 0), (0,))],
)  # fmt: skip
def matvec(a: Any, b: Any) -> Any:
    """Return the products of matrices and vectors. Shapes: (..., m, n), (..., n) -> (..., m)."""
    return squeeze(matmul(a, expand_dims(b, -1)), -1)


@composite(
    numpy=_known("vecmat"), method=False,
    samples=[sample((2,), (2, 3)), sample((2,), (4, 2, 3)), sample((4, 2), (2, 3)), sample((0,), (0, 2))],
)  # fmt: skip
def vecmat(a: Any, b: Any) -> Any:
    """Return the products of vectors, conjugated, and matrices. Shapes: (..., n), (..., n, m) -> (..., m)."""
    return squeeze(matmul(expand_dims(_conjugate(a), -2), b), -2)


def _cheapest_split(lengths: tuple[int, ...]) -> Any:
    """Return the function that tells for matrices i to j where to split their product, and its multiplications."""

    @functools.cache
    def best(i: int, j: int) -> tuple[int, int]:
        return min((cost(i, m) + cost(m + 1, j) + lengths[i] * lengths[m + 1] * lengths[j + 1], m) for m in range(i, j))

    def cost(i: int, j: int) -> int:
        return best(i, j)[0] if i < j else 0

    return best


@composite(
    numpy=[np.linalg.multi_dot], method=False,
    samples=[
        sample([(2, 3), (3, 4)]), sample([(3,), (3, 2), (2, 4), (4,)]), sample([(2, 5), (5, 1), (1, 3)]),
        sample([(2, 0), (0, 3)]),
    ],
)  # fmt: skip
def multi_dot(arrays: Any) -> Tensor:
    """Return the product of matrices, in the order with the fewest multiplications.

    The first may be a row vector, the last a column vector. Shapes: (m, k), (k, l), ..., (l, n) -> (m, n).
    """
    factors = [as_tensor(x) for x in arrays]
    if len(factors) < 2:
        raise ValueError("multi_dot needs at least two tensors")
    ends = {0: (1, -1), len(factors) - 1: (-1, 1)}
    matrices = [x.reshape(ends[i]) if x.ndim == 1 and i in ends else x for i, x in enumerate(factors)]
    if any(x.ndim != 2 for x in matrices):
        raise ValueError(f"multi_dot needs matrices, and vectors at the ends; got {[x.shape for x in factors]}")
    best = _cheapest_split((*[len(x) for x in matrices], matrices[-1].shape[1]))

    def multiplied(i: int, j: int) -> Any:
        middle = best(i, j)[1] if i < j else i
        return matmul(multiplied(i, middle), multiplied(middle + 1, j)) if i < j else matrices[i]

    return multiplied(0, len(matrices) - 1).reshape(factors[0].shape[:-1] + factors[-1].shape[1:])


@composite(
    numpy=[np.matrix_transpose, np.linalg.matrix_transpose], method=False, samples=[sample((2, 3, 4)), sample((0, 3))]
)
def matrix_transpose(x: Any) -> Tensor:
    """Return the tensor with its last two axes exchanged. Shapes: (..., m, n) -> (..., n, m)."""
    return swapaxes(x, -1, -2)


@composite(
    numpy=[np.linalg.diagonal], method=False, name="linalg_diagonal",
    samples=[sample((2, 3, 4)), sample((3, 2), offset=-1), sample((2, 2), offset=3), sample((0, 3))],
)  # fmt: skip
def _diagonal_of_matrices(x: Any, /, *, offset: int = 0) -> Tensor:
    """Return the entries whose column is `offset` behind their row, of each matrix. (..., m, n) -> (..., k)."""
    return diagonal(x, offset, -2, -1)


@composite(
    numpy=[np.linalg.trace], method=False, name="linalg_trace",
    samples=[sample((2, 3, 4)), sample((3, 2), offset=-1), sample((0, 3))],
)  # fmt: skip
def _trace_of_matrices(x: Any, /, *, offset: int = 0) -> Any:
    """Return the sum of each matrix's entries whose column is `offset` behind their row. (..., m, n) -> (...)."""
    return trace(x, offset, -2, -1)
