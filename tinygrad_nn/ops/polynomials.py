"""Polynomials as arrays of coefficients, highest power first, as in NumPy's poly functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..creation import as_tensor
from ..operation import sample
from ..primitive import composite
from ..tensors import Tensor
from .correlation import convolve
from .joining import concatenate, ravel

_PAIRS = [sample((3,), (2,)), sample((2,), (4,)), sample((1,), (1,)), sample((), (2,))]


@composite(numpy=[np.polyval], method=False, samples=[sample((3,), (2, 2)), sample((1,), ()), sample((4,), (0,))])
def polyval(p: Any, x: Any) -> Any:
    """Return a polynomial's values at x, by Horner's rule. Shapes: (n,), (...) -> (...)."""
    p, x = as_tensor(p), as_tensor(x)
    y = x * 0
    for k in range(len(p)):
        y = y * x + p[k]
    return y


def _padded(p: Tensor, n: int) -> Tensor:
    return concatenate([np.zeros(n - len(p), p.dtype), p]) if n > len(p) else p


def _aligned(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Return the coefficients of two polynomials, as many of the one as of the other."""
    a, b = (ravel(as_tensor(p)) for p in (a, b))
    n = np.maximum(len(a), len(b))
    return _padded(a, n), _padded(b, n)


@composite(numpy=[np.polyadd], method=False, samples=_PAIRS)
def polyadd(a: Any, b: Any) -> Any:
    """Return the coefficients of the sum of two polynomials. Shapes: (m,), (n,) -> (max(m, n),)."""
    a, b = _aligned(a, b)
    return a + b


@composite(numpy=[np.polysub], method=False, samples=_PAIRS)
def polysub(a: Any, b: Any) -> Any:
    """Return the coefficients of the difference of two polynomials. Shapes: (m,), (n,) -> (max(m, n),)."""
    a, b = _aligned(a, b)
    return a - b


@composite(numpy=[np.polymul], method=False, samples=_PAIRS)
def polymul(a: Any, b: Any) -> Any:
    """Return the coefficients of the product of two polynomials. Shapes: (m,), (n,) -> (m + n - 1,)."""
    return convolve(ravel(as_tensor(a)), ravel(as_tensor(b)))


@composite(numpy=[np.polyder], method=False, samples=[sample((4,)), sample((4,), m=2), sample((1,)), sample((3,), m=0)])
def polyder(p: Any, m: int = 1) -> Any:
    """Return the coefficients of a polynomial's m-th derivative. Shapes: (n,) -> (n - m,)."""
    p = as_tensor(p)
    if m < 0 or p.ndim != 1:
        raise ValueError(f"a polynomial is a row of coefficients, derived at least 0 times; got {p.shape} and {m}")
    for _ in range(m):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1).astype(p.dtype)
    return p * 1
