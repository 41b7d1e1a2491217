"""Rules of matrix functions, as the page of all rules writes them in mathematics, against the gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS

DRAW = np.random.default_rng(0)
SQUARE, ALONG, OTHER = DRAW.normal(size=(3, 3, 3))
SYMMETRIC = SQUARE + SQUARE.T + 6 * np.eye(3)
TALL, TARGETS = DRAW.normal(size=(4, 3)), DRAW.normal(size=(4, 2))
inverse, trace = np.linalg.inv, np.trace


def sym(x: Any) -> Any:
    return (x + x.T) / 2


def mirrored(x: Any) -> Any:
    return np.tril(x) + np.tril(x, -1).T


def halved(x: Any) -> Any:
    return np.tril(x) - np.diag(np.diag(x)) / 2


def over_gaps(x: Any, s: Any) -> Any:
    """Return x_ij / (s_j - s_i), and 0 on the diagonal."""
    gaps = s[None, :] - s[:, None]
    return np.where(gaps == 0, 0, x / np.where(gaps == 0, 1, gaps))


def of_cholesky(g: Any, a: Any) -> Any:
    y = np.linalg.cholesky(a)
    return sym(inverse(y.T) @ halved(y.T @ g) @ inverse(y))


def of_eigh(g: Any, a: Any) -> Any:
    w, V = np.linalg.eigh(a)
    return V @ (np.diag(g[0]) + sym(over_gaps(V.T @ (g[1] * V), w))) @ V.T


def of_qr(g: Any, a: Any) -> Any:
    q, r = np.linalg.qr(a)
    return (g[0] + q @ mirrored(r @ np.triu(g[1]).T - g[0].T @ q)) @ inverse(r.T)


def of_svd(g: Any, a: Any) -> Any:
    U, s, Vh = np.linalg.svd(a, full_matrices=False)
    V, S = Vh.T, np.diag(s)
    gU, gV = g[0] * U, (g[2] * Vh).T
    K, L = U.T @ gU, V.T @ gV
    turned = sym(over_gaps(K + L, s)) + (K - L - K.T + L.T) / (s[None, :] + s[:, None]) / 2
    return U @ (np.diag(g[1]) + turned) @ V.T + (gU - U @ K) @ inverse(S) @ V.T + U @ inverse(S) @ (gV - V @ L).T


def of_pinv(g: Any, a: Any) -> Any:
    y, one = np.linalg.pinv(a), np.eye(4)
    return (one - a @ y) @ g.T @ y @ y.T + y.T @ y @ g.T @ (one[:3, :3] - y @ a) - y.T @ g @ y.T


def of_least_squares(g: Any, a: Any) -> Any:
    x, pseudo = np.linalg.lstsq(a, TARGETS)[0], np.linalg.pinv(a)
    u = pseudo.T @ g
    return (TARGETS - a @ x) @ (pseudo @ u).T + pseudo.T @ x @ (g - a.T @ u).T - u @ x.T


def of_cofactor_slopes(g: Any, a: Any) -> Any:
    X, Z = inverse(a) @ ALONG, inverse(a) @ g
    inner = (trace(X) * trace(Z) - trace(X @ Z)) * np.eye(3) - trace(X) * Z - trace(Z) * X + X @ Z + Z @ X
    return np.linalg.det(a) * inverse(a.T) @ inner.T


def turned(g: Any, outputs: Any) -> Any:
    """Return a sum whose cotangents of vectors are `g` times the vectors, so that their signs don't matter."""
    return sum((c * y * (y / 2 if y.ndim > 1 else 1)).sum() for c, y in zip(g, outputs, strict=True))


CASES: dict[str, tuple[Any, Any, Any, Any]] = {
    "cholesky": (of_cholesky, lambda g, a: (tg.linalg.cholesky(a) * g).sum(), SYMMETRIC, np.tril(OTHER)),
    "eigh": (of_eigh, lambda g, a: turned(g, tg.linalg.eigh(a)), SYMMETRIC, (OTHER[0], ALONG)),
    "qr": (
        of_qr, lambda g, a: sum((c * y).sum() for c, y in zip(g, tg.linalg.qr(a), strict=True)), TALL,
        (TALL[::-1], OTHER),
    ),
    "svd": (
        of_svd, lambda g, a: turned(g, tg.linalg.svd(a, full_matrices=False)), TALL, (TALL[::-1], OTHER[0], ALONG)
    ),
    "pinv": (of_pinv, lambda g, a: (tg.linalg.pinv(a) * g).sum(), TALL, TALL[::-1].T),
    "lstsq": (of_least_squares, lambda g, a: (tg.linalg.lstsq(a, TARGETS)[0] * g).sum(), TALL, OTHER[:, :2]),
    "cofactors": (
        of_cofactor_slopes, lambda g, a: (OPERATIONS["cofactor_slopes"].kernel(a, ALONG) * g).sum(), SQUARE, OTHER
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_mathematics_of_the_table_gives_the_gradient(name: str) -> None:
    formula, function, a, g = CASES[name]
    np.testing.assert_allclose(formula(g, a), tg.grad(lambda a: function(g, a))(a).data, rtol=1e-9, atol=1e-9)
