"""Determinants of matrices in the last two axes, with derivatives for singular matrices too."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...engine.arrays import raw
from ...tensor.declaring import primitive, sample
from ..sample_arrays import REGULAR
from .inverses import solved, zero_matrices


def _factors(a: Any) -> tuple[Any, Any, Any, Any]:
    """Return the SVD and the determinant of its orthogonal factors, 1 or -1, or nan for matrices that aren't finite."""
    finite = np.isfinite(a).all(axis=(-2, -1))
    u, s, vh = np.linalg.svd(np.where(finite[..., None, None], a, 0))
    return u, s, vh, np.where(finite, np.rint(np.linalg.det(u) * np.linalg.det(vh)), np.nan).astype(s.dtype)


def _left_out(s: Any) -> tuple[Any, Any]:
    """Return the products of all numbers but one, (..., n), and of all but two different ones, (..., n, n)."""
    n = s.shape[-1]
    shifted = np.concatenate([np.ones_like(s[..., :1]), s[..., :-1]], axis=-1)
    # before[i] is the product of s[:i], after[i] that of s[i + 1:], between[i, j] that of s[i + 1:j].
    before = np.cumprod(shifted, axis=-1)
    after = np.cumprod(np.concatenate([np.ones_like(s[..., :1]), s[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    between = np.cumprod(np.where(np.tri(n, k=1, dtype=bool), 1, shifted[..., None, :]), axis=-1)
    pairs = np.triu(before[..., :, None] * between * after[..., None, :], 1)
    return before * after, pairs + pairs.mT


@primitive(name="cofactor_slopes", method=False)
def _cofactor_slopes(a: Any, e: Any, /) -> Any:
    """Return the derivatives of the cofactors at `a` along `e`. Shapes: (..., n, n), (..., n, n) -> (..., n, n).

    In the bases of the singular vectors, a cofactor is a product of all singular values but one, so its derivatives are
    products of all but two.
    """
    u, s, vh, sign = _factors(a)
    pairs = _left_out(s)[1]
    turned = u.mT @ e @ vh.mT
    diagonal = (pairs @ np.linalg.diagonal(turned)[..., None]) * np.eye(s.shape[-1], dtype=s.dtype)
    return sign[..., None, None] * (u @ (diagonal - pairs * turned.mT) @ vh)


def _third_derivatives(g: Any, a: Any, e: Any) -> Any:
    """Return the third derivatives of the determinant along `e` and `g`, where it is not 0."""
    what = "the third derivative of a determinant"
    x, z = solved(a, e, of=what), solved(a, g, of=what)
    tx, tz = (np.linalg.trace(m)[..., None, None] for m in (x, z))
    txz = np.sum(x * z.mT, axis=(-2, -1), keepdims=True)
    inner = (tx * tz - txz) * np.eye(a.shape[-1], dtype=raw(a).dtype) - tx * z - tz * x + x @ z + z @ x
    return np.linalg.det(a)[..., None, None] * solved(a.mT, inner.mT, of=what)


_cofactor_slopes.vjp(_third_derivatives, lambda g, a: _cofactor_slopes.kernel(a, g), zero_where=zero_matrices)


def _cofactors_by_svd(a: Any) -> Any:
    u, s, vh, sign = _factors(a)
    return sign[..., None, None] * ((u * _left_out(s)[0][..., None, :]) @ vh)


@primitive(name="cofactor_matrix", method=False)
def _cofactors(a: Any, /) -> Any:
    """Return the matrices of cofactors, the transposed adjugates. Shapes: (..., n, n) -> (..., n, n)."""
    determinant = np.linalg.det(a)
    size = np.abs(determinant)
    if np.all((size >= np.finfo(size.dtype).tiny) & np.isfinite(size)):
        return determinant[..., None, None] * np.linalg.inv(a).mT
    return _cofactors_by_svd(a)


_cofactors.vjp(lambda g, a: _cofactor_slopes.kernel(a, g), zero_where=zero_matrices)


@primitive(numpy=[np.linalg.det], method=False, masks=True)
def det(a: Any, /) -> Any:
    """Return the determinants; the derivative is the matrix of cofactors, for any rank. (..., n, n) -> (...)."""
    return np.linalg.det(a)


det.vjp(lambda g, a: g[..., None, None] * _cofactors.kernel(a), zero_where=lambda g: (g == 0)[..., None, None])


@primitive(numpy=[np.linalg.slogdet], multiple_outputs=True, method=False)
def slogdet(a: Any, /) -> Any:
    """Return the signs of determinants, which have no gradient, and log|det|. Shapes: (..., n, n) -> (...), (...)."""
    return np.linalg.slogdet(a)


def _from_logarithm(g: Any, a: Any) -> Any:
    eye = np.eye(a.shape[-1], dtype=a.dtype)
    return solved(a.mT, g[1][..., None, None] * eye, of="the logarithm of a determinant that is 0")


slogdet.vjp(_from_logarithm, zero_where=lambda g: (raw(g[1]) == 0)[..., None, None])


# Samples for tests: a tuple stands for random values of that shape.

_cofactor_slopes.samples = [
    sample(REGULAR, (3, 3)), sample(REGULAR, (2, 3, 3)), sample((2, 2, 2), (2, 2, 2)), sample((0, 0), (0, 0)),
]  # fmt: skip
_SAMPLES = [sample((3, 3)), sample((2, 2, 2)), sample((0, 0))]
_cofactors.samples = _SAMPLES
_RANK_TWO = np.array([[1.0, 2.0, -1.0], [2.0, 4.0, -2.0], [0.5, -1.0, 3.0]])
det.samples = [*_SAMPLES, sample(_RANK_TWO), sample(np.zeros((3, 3))), sample((1, 1)), sample((0, 2, 2))]
slogdet.samples = [sample((3, 3)), sample((2, 2, 2)), sample((1, 1)), sample((0, 0)), sample((0, 2, 2))]
