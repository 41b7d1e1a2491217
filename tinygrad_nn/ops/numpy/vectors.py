"""Products of vectors with vectors and matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...tensor.declaring import composite, sample
from ...tensor.handle import Tensor
from ..elementwise import multiply
from ..joining import ravel, stack
from ..products import conjugated, matmul
from ..shaping import expand_dims, moveaxis, squeeze
from .splitting import unstack


@composite(numpy=[np.outer], method=False)
def outer(a: Tensor, b: Tensor) -> Any:
    """Return the products of each entry of `a` with each of `b`, both flattened. Shapes: (m), (n) -> (m, n)."""
    return multiply(expand_dims(ravel(a), 1), ravel(b))


@composite(numpy=[np.linalg.outer], method=False, name="linalg_outer")
def _outer_of_vectors(a: Tensor, b: Tensor, /) -> Any:
    """Return the products of each entry of a vector with each of another. Shapes: (m), (n) -> (m, n)."""
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"linalg.outer needs vectors, got shapes {a.shape} and {b.shape}; np.outer flattens them")
    return outer(a, b)


@composite(numpy=[np.cross], method=False)
def cross(a: Tensor, b: Tensor, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """Return the cross products of vectors of 3 components; of vectors of 2, only the third component.

    Shapes: (..., 3), (..., 3) -> (..., 3); (..., 2), (..., 2) -> (...).
    """
    if axis is not None:
        axisa = axisb = axisc = axis
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


@composite(numpy=[np.linalg.cross], method=False, name="linalg_cross")
def _cross_of_three(a: Tensor, b: Tensor, /, *, axis: int = -1) -> Tensor:
    """Return the cross products of vectors of 3 components. Shapes: (..., 3), (..., 3) -> (..., 3)."""
    if a.shape[axis] != 3 or b.shape[axis] != 3:
        raise ValueError(f"linalg.cross needs vectors of 3 components, got shapes {a.shape} and {b.shape}")
    return cross(a, b, axis=axis)


def _known(*names: str) -> list[Any]:
    """Return NumPy's functions of these names, if the installed version has them."""
    return [f for space in (np, np.linalg) for name in names if (f := getattr(space, name, None)) is not None]


@composite(numpy=_known("vecdot"), method=False)
def vecdot(a: Tensor, b: Tensor, axis: int = -1) -> Any:
    """Return the sums of products of vectors, those of `a` conjugated. Shapes: (..., n), (..., n) -> (...)."""
    if a.ndim == 1 == b.ndim and axis in (0, -1):
        return matmul(conjugated(a), b)
    rows, columns = moveaxis(conjugated(a), axis, -1), moveaxis(b, axis, -1)
    if rows.shape[-1] != columns.shape[-1]:
        raise ValueError(f"vecdot needs vectors of one length, got shapes {rows.shape} and {columns.shape}")
    return squeeze(matmul(expand_dims(rows, -2), expand_dims(columns, -1)), (-2, -1))


@composite(numpy=_known("matvec"), method=False)
def matvec(a: Tensor, b: Tensor) -> Any:
    """Return the products of matrices and vectors. Shapes: (..., m, n), (..., n) -> (..., m)."""
    return squeeze(matmul(a, expand_dims(b, -1)), -1)


@composite(numpy=_known("vecmat"), method=False)
def vecmat(a: Tensor, b: Tensor) -> Any:
    """Return the products of vectors, conjugated, and matrices. Shapes: (..., n), (..., n, m) -> (..., m)."""
    return squeeze(matmul(expand_dims(conjugated(a), -2), b), -2)


# Samples for tests: a tuple stands for random values of that shape.

outer.samples = [sample((2,), (3,)), sample((2, 2), (3,)), sample((), (2,)), sample((0,), (3,))]
_outer_of_vectors.samples = [sample((2,), (3,)), sample((0,), (3,))]
cross.samples = [
    sample((3,), (3,)), sample((2, 3), (4, 1, 3)), sample((3, 2), (2, 3), axisa=0, axisc=-2), sample((0, 3), (3,)),
    sample((2, 3, 4), (2, 3, 4), axis=-2),
]  # fmt: skip
_cross_of_three.samples = [sample((3,), (2, 3)), sample((3, 2), (3, 2), axis=-2), sample((0, 3), (3,))]
vecdot.samples = [sample((3,), (3,)), sample((2, 3), (4, 1, 3)), sample((3, 2), (3, 1), axis=-2), sample((2, 0), (0,))]
matvec.samples = [sample((2, 3), (3,)), sample((4, 2, 3), (3,)), sample((2, 3), (4, 3)), sample((2, 0), (0,))]
vecmat.samples = [sample((2,), (2, 3)), sample((2,), (4, 2, 3)), sample((4, 2), (2, 3)), sample((0,), (0, 2))]
