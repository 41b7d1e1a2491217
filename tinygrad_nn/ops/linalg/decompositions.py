"""Factorisations of matrices in the last two axes.

Vectors that belong to equal values can be rotated into each other, so they have derivatives only where the cotangent
does not depend on the rotation. What is 0 there stays 0; anything else is an error, because 0/0 may have another limit:
for a function of the matrix, such as `(v * w**2) @ v.mT`, one that is not 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import errors
from ...engine.arrays import raw
from ...tensor.declaring import composite, primitive, sample
from ...tensor.handle import Tensor
from ..elementwise import absolute
from ..rounding import sign
from ..sample_arrays import TALL, TWO_TALL
from ..selection import take_along_axis
from .inverses import solved, zero_matrices, zero_vectors

_ROUNDINGS = 8


def _symmetric(x: Any) -> Any:
    return (x + x.mT) / 2


@primitive(name="mirrored_triangle", method=False, masks=True)
def _mirrored(a: Any, /) -> Any:
    """Return the symmetric matrices with the lower triangle of `a`. Shapes: (..., n, n) -> (..., n, n)."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"symmetric matrices must be square, got shape {a.shape}")
    return np.tril(a) + np.tril(a, -1).mT


_mirrored.vjp(lambda g: _symmetric(g))
mirrored: Any = _mirrored


def _told_apart(what: str) -> str:
    return (
        f"the derivative of {what} is not defined: they can be rotated into each other, and this output, or a second "
        "derivative of the values alone, depends on the rotation; use first derivatives of the values alone, as by "
        "tg.linalg.eigvalsh or tg.linalg.svdvals, or add small different numbers to the diagonal of the matrix"
    )


@primitive(name="distinct_quotient", method=False)
def _quotient(x: Any, d: Any, size: Any, /, of: str = "these vectors") -> Any:
    """Return x / d, and 0 where x is 0 and d is at most the rounding error of numbers of the given size.

    Raises GradientError for any other x over such a d: 0/0 may have any limit. Shapes broadcast: (..., n) -> (..., n).
    """
    equal = np.abs(d) <= _ROUNDINGS * np.finfo(d.dtype).eps * size
    if np.any(equal & (x != 0) & ~np.isnan(x)):
        raise errors.GradientError(_told_apart(of))
    return np.where(equal, 0, x / np.where(equal, 1, d))


_quotient.vjp(
    lambda g, d, size, of: _quotient.kernel(g, d, size, of=of),
    lambda g, d, size, y, of: -_quotient.kernel(g * y, d, size, of=of),
    None,
    zero_where=lambda g: g == 0,
)


@primitive(numpy=[np.linalg.cholesky], method=False, masks=True)
def cholesky(a: Any, /, upper: bool = False) -> Any:
    """Return the lower triangular l with a = l @ l.mT, or its transpose if `upper`. Shapes: (..., n, n) -> (..., n, n).

    Only that triangle of `a` is read, but the gradient is symmetric. Raises LinAlgError if `a` is not positive
    definite. Source: Murray (2016), Differentiation of the Cholesky decomposition, section 3.1.
    """
    return np.linalg.cholesky(a, upper=upper)


def _from_cholesky(g: Any, y: Any, upper: bool) -> Any:
    transposed, g = (y, g.mT) if upper else (y.mT, g)
    inner = transposed @ np.tril(g)
    inner = (np.tril(inner) + np.tril(inner, -1)) / 2
    return _symmetric(np.linalg.solve(transposed, np.linalg.solve(transposed, inner).mT))


cholesky.vjp(_from_cholesky, zero_where=zero_matrices)


def _leading(q: Any, g: Any, k: int) -> tuple[Any, Any]:
    """Return the first k orthonormal columns and their cotangent, with that of the rest, which fill up the space.

    Raises GradientError if the result depends on how the rest are rotated into each other, which is arbitrary.
    """
    if q.shape[-1] == k:
        return q, g
    first, rest = q[..., :k], q[..., k:]
    turn = raw(rest.mT @ g[..., k:])
    rounding = _ROUNDINGS * len(turn) * np.finfo(turn.dtype).eps * np.max(np.abs(turn), initial=0)
    if np.any(np.abs(turn - turn.mT) > rounding):
        raise errors.GradientError(_told_apart("the columns that fill up a square matrix"))
    return first, g[..., :k] - rest @ (g[..., k:].mT @ first)


@primitive(name="qr_factors", multiple_outputs=True, method=False)
def _qr(a: Any, /, mode: Any = "reduced") -> Any:
    """Return orthonormal columns q and upper triangular r with a = q @ r."""
    return np.linalg.qr(a, mode)


def _from_qr(g: Any, y: Any) -> Any:
    (gq, gr), (q, r) = g, y
    k = min(q.shape[-2], r.shape[-1])
    q, gq = _leading(q, gq, k)
    r, gr, beyond, gbeyond = r[..., :k, :k], gr[..., :k, :k], r[..., :k, k:], gr[..., :k, k:]
    if beyond.shape[-1]:
        gq = gq + q @ (beyond @ gbeyond.mT)
    inner = r @ np.tril(gr.mT) - gq.mT @ q
    inner = np.tril(inner) + np.tril(inner, -1).mT
    c = solved(r, (gq + q @ inner).mT, of="qr of a matrix whose rank is less than its columns").mT
    return np.concatenate([c, q @ gbeyond], axis=-1) if beyond.shape[-1] else c


_qr.vjp(_from_qr, zero_where=lambda g: zero_matrices(g[0]) & zero_matrices(g[1]))


@composite(numpy=[np.linalg.qr], method=False)
def qr(a: Tensor, mode: str = "reduced") -> Any:
    """Return orthonormal columns q and upper triangular r with a = q @ r. (..., m, n) -> (..., m, k), (..., k, n).

    k is the smaller of m and n, or m in mode "complete"; mode "r" returns r alone. Source: Walter and Lehmann (2013),
    On algorithmic differentiation of QR decompositions; wide matrices are taken as [q r1, q r2].
    """
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"qr's mode must be 'reduced', 'complete' or 'r', not {mode!r}; others are not recorded")
    return _qr(a, "reduced")[1] if mode == "r" else _qr(a, mode)


def _with_diagonal(value: int, x: Any) -> Any:
    return np.where(np.eye(x.shape[-1], dtype=bool), value, x)


@primitive(numpy=[np.linalg.eigh], multiple_outputs=True, method=False, masks=True)
def eigh(a: Any, /, UPLO: Any = "L") -> Any:
    """Return the eigenvalues, ascending, and the eigenvectors in columns. (..., n, n) -> (..., n), (..., n, n).

    Only the lower triangle of `a` is read, or the upper with UPLO="U", but the gradient is symmetric.
    """
    return np.linalg.eigh(a, UPLO)


def _from_eigh(g: Any, y: Any) -> Any:
    (gw, gv), (w, v) = g, y
    gaps = _with_diagonal(1, w[..., None, :] - w[..., :, None])
    size = np.sum(np.abs(w), axis=-1, keepdims=True)[..., None]
    inner = _quotient.kernel(_with_diagonal(0, v.mT @ gv), gaps, size, of="eigenvectors of repeated eigenvalues")
    return _symmetric((v * gw[..., None, :] + v @ _symmetric(inner)) @ v.mT)


eigh.vjp(_from_eigh, zero_where=lambda g: zero_vectors(g[0]) & zero_matrices(g[1]))


@primitive(numpy=[np.linalg.eigvalsh], method=False, masks=True)
def eigvalsh(a: Any, /, UPLO: Any = "L") -> Any:
    """Return the eigenvalues of symmetric matrices, ascending, as eigh does. (..., n, n) -> (..., n)."""
    return np.linalg.eigvalsh(a, UPLO)


def _from_eigenvalues(g: Any, a: Any, UPLO: Any) -> Any:
    v = eigh.kernel(a, UPLO)[1]
    return _symmetric((v * g[..., None, :]) @ v.mT)


eigvalsh.vjp(_from_eigenvalues, zero_where=zero_vectors)


@primitive(name="singular_factors", multiple_outputs=True, method=False)
def _svd(a: Any, /, full_matrices: bool = False) -> Any:
    """Return orthonormal columns u, the descending s, and orthonormal rows vh with a = (u * s) @ vh."""
    return np.linalg.svd(a, full_matrices)


def _from_svd(g: Any, y: Any) -> Any:
    """Return the cotangent by sums and differences: only the part that rotates u and v alike is divided by the gap."""
    (gu, gs, gvh), (u, s, vh) = g, y
    k, of = s.shape[-1], "singular vectors of repeated singular values or of 0"
    (u, gu), (v, gv) = _leading(u, gu, k), _leading(vh.mT, gvh.mT, k)
    size = np.sum(s, axis=-1, keepdims=True)[..., None]
    ku, kv = u.mT @ gu, v.mT @ gv  # the cotangents of rotating u and v within their own spaces
    gaps, sums = (_with_diagonal(1, d) for d in (s[..., None, :] - s[..., :, None], s[..., None, :] + s[..., :, None]))
    alike = _quotient.kernel(_with_diagonal(0, ku + kv), gaps, size, of=of)
    opposed = ku - kv
    opposed = _quotient.kernel(opposed - opposed.mT, sums, size, of=of)
    c = (u * gs[..., None, :] + u @ ((alike + alike.mT + opposed) / 2)) @ v.mT
    if u.shape[-2] > k:
        c = c + _quotient.kernel(gu - u @ ku, s[..., None, :], size, of=of) @ v.mT
    if v.shape[-2] > k:
        c = c + u @ _quotient.kernel(gv - v @ kv, s[..., None, :], size, of=of).mT
    return c


_svd.vjp(_from_svd, zero_where=lambda g: zero_matrices(g[0]) & zero_vectors(g[1]) & zero_matrices(g[2]))


@primitive(numpy=[np.linalg.svdvals], method=False)
def svdvals(x: Any, /) -> Any:
    """Return the singular values, descending; at 0 their derivative is 0, as for |x|. (..., m, n) -> (..., k)."""
    return np.linalg.svdvals(x)


def _from_singular_values(g: Any, x: Any) -> Any:
    u, s, vh = _svd.kernel(x)
    zero = s <= _ROUNDINGS * np.finfo(s.dtype).eps * np.sum(s, axis=-1, keepdims=True)
    return (u * np.where(zero, 0, g)[..., None, :]) @ vh


svdvals.vjp(_from_singular_values, zero_where=zero_vectors)


@composite(numpy=[np.linalg.svd], method=False)
def svd(a: Tensor, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """Return u, s and vh with a = (u * s) @ vh, or s alone. (..., m, n) -> (..., m, m), (..., k), (..., n, n).

    With full_matrices=False, u and vh have only k = min(m, n) columns and rows. A symmetric matrix is
    decomposed by eigh if `hermitian`. Source: Townsend (2016), Differentiating the singular value decomposition.
    """
    if hermitian:
        return _svd_by_eigh(a, compute_uv)
    return _svd(a, full_matrices) if compute_uv else svdvals(a)


def _svd_by_eigh(a: Tensor, compute_uv: bool) -> Any:
    w, v = eigh(a)
    falling = np.argsort(np.abs(w.data), axis=-1)[..., ::-1]
    w, u = take_along_axis(w, falling, -1), take_along_axis(v, falling[..., None, :], -1)
    vh = (u * sign(w)[..., None, :]).mT
    kind: Any = type(np.linalg.svd(np.eye(1)))
    return kind(u, absolute(w), vh) if compute_uv else absolute(w)


@primitive(numpy=[np.linalg.eigvals], method=False)
def eigvals(a: Any, /) -> Any:
    """Return the eigenvalues of any square matrices, often complex; they have no gradient. (..., n, n) -> (..., n).

    >>> import tinygrad_nn as tg
    >>> tg.linalg.eigvals([[0.0, -1.0], [1.0, 0.0]]).numpy()
    array([0.+1.j, 0.-1.j])
    """
    return np.linalg.eigvals(a)


@primitive(numpy=[np.linalg.eig], multiple_outputs=True, method=False)
def eig(a: Any, /) -> Any:
    """Return the eigenvalues and eigenvectors of any square matrices, often complex; they have no gradients.

    Shapes: (..., n, n) -> (..., n), (..., n, n).

    >>> import tinygrad_nn as tg
    >>> values, vectors = tg.linalg.eig([[0.0, -1.0], [1.0, 0.0]])
    >>> values.numpy()
    array([0.+1.j, 0.-1.j])
    """
    return np.linalg.eig(a)


# Samples for tests: a tuple stands for random values of that shape.

_SYMMETRIC = np.array([[2.0, 0.5, -0.3], [0.5, 1.2, 0.4], [-0.3, 0.4, 0.8]])
_BATCH = np.stack([_SYMMETRIC[:2, :2], _SYMMETRIC[1:, 1:]])
_mirrored.samples = [sample(_SYMMETRIC), sample(_BATCH), sample((0, 0))]
_quotient.samples = [
    sample((2, 3, 3), np.array([[1.0, -2.0, 0.5], [0.7, 1.0, -1.4], [-3.0, 0.6, 2.0]]), 1.0),
    sample((2, 3), np.array([[0.5, 2.0, -0.7]]), 1.0), sample((0, 2), np.ones((1, 2)), 1.0),
    sample((), np.array(0.7), 1.0),
]  # fmt: skip
cholesky.samples = [sample(_SYMMETRIC), sample(_BATCH), sample(_SYMMETRIC, upper=True), sample((0, 0))]
_qr.samples = [
    sample(TALL), sample(TALL.T), sample(_SYMMETRIC), sample(TWO_TALL, mode="reduced"), sample((0, 2)), sample((2, 0)),
]  # fmt: skip
qr.samples = [sample(TALL), sample(TALL.T, mode="complete"), sample(TWO_TALL, mode="r"), sample((0, 2))]
eigh.samples = eigvalsh.samples = [sample(_SYMMETRIC), sample(_BATCH, UPLO="U"), sample((0, 0))]
_svd.samples = [sample(TALL), sample(TALL.T), sample(TWO_TALL), sample((0, 3)), sample((3, 0))]
svdvals.samples = [sample(TALL), sample(TWO_TALL), sample((0, 3)), sample(np.array([[1.0, 2.0], [2.0, 4.0]]))]
svd.samples = [
    sample(TALL), sample(TALL.T, full_matrices=False), sample(TWO_TALL, compute_uv=False),
    sample(_SYMMETRIC - 1, hermitian=True), sample(_BATCH, hermitian=True, compute_uv=False),
    sample((0, 3), full_matrices=False),
]  # fmt: skip
eigvals.samples = eig.samples = [sample(_SYMMETRIC), sample((2, 2, 2)), sample((0, 0))]
