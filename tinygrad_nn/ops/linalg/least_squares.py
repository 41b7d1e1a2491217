"""Pseudo-inverses and least squares."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np

from ...tensor.declaring import composite, primitive, sample
from ...tensor.handle import Tensor
from ..elementwise import absolute
from ..products import matmul
from ..reduction import sum
from ..sample_arrays import REGULAR, TALL, TWO_TALL
from .decompositions import mirrored, svdvals
from .inverses import zero_matrices

_RTOL = signature(np.linalg.pinv).parameters["rtol"].default


@primitive(name="pseudo_inverse", method=False)
def _pinv(a: Any, /, rcond: Any = None, rtol: Any = _RTOL) -> Any:
    """Return the pseudo-inverses. Shapes: (..., m, n) -> (..., n, m)."""
    return np.linalg.pinv(a, rcond, rtol=rtol)


def _from_pinv(g: Any, a: Any, y: Any) -> Any:
    right, left = g.mT @ (y @ y.mT), (y.mT @ y) @ g.mT
    return (right - a @ (y @ right)) + (left - (left @ y) @ a) - y.mT @ g @ y.mT


_pinv.vjp(_from_pinv, zero_where=zero_matrices)


@composite(numpy=[np.linalg.pinv], method=False)
def pinv(a: Tensor, rcond: Any = None, hermitian: bool = False, *, rtol: Any = _RTOL) -> Any:
    """Return the pseudo-inverses; the gradient is the one along matrices of the same rank. (..., m, n) -> (..., n, m).

    Singular values up to `rtol` (or `rcond`) times the largest count as 0. For `hermitian` matrices only the lower
    triangle is read. Source: Golub and Pereyra (1973), The differentiation of pseudo-inverses and nonlinear least
    squares problems, equation 4.12.
    """
    return _pinv(mirrored(a) if hermitian else a, rcond, rtol)


@primitive(name="least_squares", multiple_outputs=True, method=False)
def _least_squares(a: Any, b: Any, /, rcond: Any = None) -> Any:
    """Return the least-squares solution of smallest norm, and the rank. (m, n), (m, k) -> (n, k), ()."""
    x, _, rank, _ = np.linalg.lstsq(a, b, rcond)
    return x, rank


def _to_matrix(g: Any, a: Any, b: Any, y: Any, rcond: Any) -> Any:
    """Return `r (pinv(a) u)' + (pinv(a)' x) (g - a' u)' - u x'`, with `u = pinv(a)' g` and the residual `r`."""
    g, x = g[0], y[0]
    u = _least_squares.kernel(a.mT, g, rcond)[0]
    back = _least_squares.kernel(a, u, rcond)[0]
    weights = _least_squares.kernel(a.mT, x, rcond)[0]
    return (b - a @ x) @ back.mT + weights @ (g - a.mT @ u).mT - u @ x.mT


_least_squares.vjp(_to_matrix, lambda g, a, rcond: _least_squares.kernel(a.mT, g[0], rcond)[0])


@composite(numpy=[np.linalg.lstsq], method=False)
def lstsq(a: Tensor, b: Tensor, rcond: Any = None) -> tuple[Tensor, ...]:
    """Return the least-squares solution, the sums of squared residuals, the rank, and the singular values.

    Shapes: (m, n), (m, k) -> (n, k), (k), (), (min(m, n)); for a vector `b`, (m) -> (n), (1). There are residuals only
    if the rank is n < m. The gradient is the one along matrices of the same rank.
    """
    columns = b.reshape(b.size, 1) if b.ndim == 1 else b
    x, rank = _least_squares(a, columns, rcond)
    missed = columns - matmul(a, x)
    squares = absolute(missed) ** 2 if missed.dtype.kind == "c" else missed * missed
    residuals = sum(squares, 0)
    if not a.shape[0] > a.shape[1] == rank.item():
        residuals = residuals[:0]
    return x.squeeze(-1) if b.ndim == 1 else x, residuals, rank, svdvals(a)


# Samples for tests: a tuple stands for random values of that shape.

_pinv.samples = [sample(TALL), sample(TALL.T), sample(TWO_TALL), sample((0, 3))]
_SYMMETRIC = np.array([[1.5, 0.4], [0.4, -0.8]])
pinv.samples = [
    sample(TALL), sample(_SYMMETRIC, hermitian=True), sample((0, 3)), sample(TALL, rtol=1e-10),
    sample(TWO_TALL, rcond=[1e-10, 1e-9]),
]  # fmt: skip
_least_squares.samples = [
    sample(TALL, (3, 2)), sample(TALL.T, (2, 1)), sample(REGULAR[:2, :2], (2, 2)), sample((0, 2), (0, 2)),
]  # fmt: skip
lstsq.samples = [
    sample(TALL, (3,)), sample(TALL, (3, 2)), sample(TALL.T, (2, 2)), sample(REGULAR[:2, :2], (2,), rcond=1e-10),
    sample((0, 2), (0,)),
]  # fmt: skip
