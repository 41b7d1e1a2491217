"""Polynomials as arrays of coefficients, highest power first, as in NumPy's poly functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...tensor.creation import as_tensor
from ...tensor.declaring import composite, sample
from ...tensor.handle import Tensor
from ..joining import concatenate, ravel, stack
from ..linalg.least_squares import lstsq
from ..reduction import prod, sum
from .correlation import convolve
from .rearranging import vander


@composite(numpy=[np.polyval], method=False)
def polyval(p: Tensor, x: Tensor) -> Any:
    """Return a polynomial's values at x, by Horner's rule. Shapes: (n,), (...) -> (...)."""
    y = x * False
    for k in range(len(p)):
        y = y * x + p[k]
    return y


def _padded(p: Tensor, n: int) -> Tensor:
    return concatenate([np.zeros(n - len(p), p.dtype), p]) if n > len(p) else p


def _aligned(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the coefficients of two polynomials, padded to the same number."""
    a, b = ravel(a), ravel(b)
    n = np.maximum(len(a), len(b))
    return _padded(a, n), _padded(b, n)


@composite(numpy=[np.polyadd], method=False)
def polyadd(a: Tensor, b: Tensor) -> Any:
    """Return the coefficients of the sum of two polynomials. Shapes: (m,), (n,) -> (max(m, n),)."""
    a, b = _aligned(a, b)
    return a + b


@composite(numpy=[np.polysub], method=False)
def polysub(a: Tensor, b: Tensor) -> Any:
    """Return the coefficients of the difference of two polynomials. Shapes: (m,), (n,) -> (max(m, n),)."""
    a, b = _aligned(a, b)
    return a - b


@composite(numpy=[np.polymul], method=False)
def polymul(a: Tensor, b: Tensor) -> Any:
    """Return the coefficients of the product of two polynomials. Shapes: (m,), (n,) -> (m + n - 1,)."""
    return convolve(ravel(a), ravel(b))


@composite(numpy=[np.polyder], method=False)
def polyder(p: Tensor, m: int = 1) -> Any:
    """Return the coefficients of a polynomial's m-th derivative. Shapes: (n,) -> (n - m,)."""
    p = _row(p, m, "differentiated")
    for _ in range(m):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p * True


def _row(p: Tensor, times: int, done: str) -> Tensor:
    if times < 0 or p.ndim != 1:
        raise ValueError(f"a polynomial must be a vector, {done} 0 or more times; got shape {p.shape}, {times} times")
    return p


@composite(numpy=[np.polyint], method=False)
def polyint(p: Tensor, m: int = 1, k: Any = 0.0) -> Any:
    """Return the coefficients of a polynomial's m-th integral. Shapes: (n,) -> (n + m,).

    `k` are the constants of integration, in order, or one constant for all.
    """
    p = _row(p, m, "integrated")
    constants = ravel(as_tensor(k))
    if len(constants) not in (1, m):
        raise ValueError(f"polyint takes one constant, or one for each of its {m} integrations, not {len(constants)}")
    for i in range(m):
        constant = constants if len(constants) == 1 else constants[i : i + 1]
        p = concatenate([p / np.arange(len(p), 0, -1), constant])
    return p * True


@composite(numpy=[np.poly], method=False)
def poly(roots: Tensor) -> Any:
    """Return the coefficients of the polynomial with these roots and a leading 1. Shapes: (n,) -> (n + 1,).

    Without roots it is the number 1, as in NumPy.
    """
    if roots.ndim != 1:
        raise ValueError("poly takes a vector of roots; for a symmetric matrix write tg.linalg.eigvalsh(a)")
    if not roots.size:
        return prod(roots)
    roots = roots if roots.dtype.char in "fdgFDG" else roots.astype(float)
    nothing, y = np.zeros(1, roots.dtype), np.ones(1, roots.dtype)
    for root in roots:
        y = concatenate([y, nothing]) - root * concatenate([nothing, y])
    return y


@composite(numpy=[np.polydiv], method=False)
def polydiv(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the quotient and the remainder of two polynomials. Shapes: (m,), (n,) -> (max(m - n + 1, 1),), (k,).

    The remainder is without leading coefficients that are nearly 0: k is less than n and at most m, but at least 1.
    """
    u, v = ravel(u) + 0.0, ravel(v) + 0.0
    if not u.size or not v.size:
        raise ValueError("polydiv takes two polynomials of at least one coefficient each")
    rest = u.astype(np.result_type(u.dtype, v.dtype))
    quotient, scale = [], 1.0 / v[0]
    for k in range(len(u) - len(v) + 1):
        quotient.append(scale * rest[k])
        rest[k : k + len(v)] -= quotient[k] * v
    first = min(len(quotient), len(u) - 1)
    while first < len(u) - 1 and np.isclose(rest.data[first], 0):
        first += 1
    return stack(quotient or [rest.dtype.type(0)]), rest[first:]


@composite(numpy=[np.polyfit], method=False)
def polyfit(x: Tensor, y: Tensor, deg: int, rcond: Any = None, *, w: Any = None) -> Any:
    """Return the coefficients of the polynomial fitted to points by least squares. Shapes: (m,), (m,) -> (deg + 1,).

    Several y are columns: (m,), (m, k) -> (deg + 1, k). `w` multiplies each point's error.
    """
    x, y = x + 0.0, y + 0.0
    if deg < 0 or x.ndim != 1 or not x.size or y.ndim not in (1, 2) or len(y) != len(x):
        raise ValueError(
            f"polyfit takes x of shape (m,), y (m,) or (m, k), and deg >= 0; got {x.shape}, {y.shape}, {deg}"
        )
    powers, columns = vander(x, deg + 1), y.reshape(len(y), -1)
    if w is not None:
        weights = as_tensor(w, x.dtype)[:, None]
        powers, columns = powers * weights, columns * weights
    scale = np.sqrt(sum(powers * powers, 0))
    found = lstsq(powers / scale, columns, len(x) * np.finfo(x.dtype).eps if rcond is None else rcond)[0]
    return (found / scale[:, None]).reshape(deg + 1, *y.shape[1:])


# Samples for tests: a tuple stands for random values of that shape.

polyval.samples = [sample((3,), (2, 2)), sample((1,), ()), sample((4,), (0,))]
polyadd.samples = polysub.samples = polymul.samples = [
    sample((3,), (2,)), sample((2,), (4,)), sample((1,), (1,)), sample((), (2,)),
]  # fmt: skip
polyder.samples = [sample((4,)), sample((4,), m=2), sample((1,)), sample((3,), m=0)]
polyint.samples = [
    sample((3,)), sample((2,), m=2, k=[0.5, -1.0]), sample((2,), m=3, k=1.5), sample((0,)), sample((3,), m=0),
]  # fmt: skip
poly.samples = [sample((3,)), sample((1,)), sample(np.array([2.0, 2.0]))]
polydiv.samples = [sample((4,), (2,)), sample((3,), (3,)), sample((3,), ()), sample(np.array([1.0, 0.0, -1.0]), (2,))]
polyfit.samples = [
    sample((5,), (5,), deg=2), sample((4,), (4, 2), deg=1), sample((3,), (3,), deg=0),
    sample((5,), (5,), deg=3, w=np.array([1.0, 2.0, 0.5, 1.0, 3.0])),
]  # fmt: skip
