"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autodiff import sum_of_products
from ..creation import as_tensor
from ..operation import sample
from ..primitive import composite, primitive


def _mT(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


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


_product.vjp(lambda g, b: g @ _mT(b), lambda g, a: _mT(a) @ g, zero_safe=sum_of_products)
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
