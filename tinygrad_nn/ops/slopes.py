"""Slopes that keep their digits: operations whose only job is to be the derivative of another.

A rule is a plain expression where that is exact. Where it cancels, as 1 - tanh(x)^2 for large x, or leaves the range of
its dtype on the way, as 1 / (1 + x^2), the rule calls a slope from here. Slopes have exact rules of their own.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from ..engine.arrays import raw
from ..tensor.declaring import primitive, sample


@primitive(name="tanh_slope", pointwise=True, method=False, t=lambda value, inputs: raw(value))
def _tanh_slope(x: Any, /, t: Any = None, logistic: bool = False) -> Any:
    """Return 1 / cosh(x)^2; for many numbers as 1 - t^2 with t = tanh(x), except in the tails.

    If `logistic`, return the slope of the sigmoid instead: t - t^2 with t = sigmoid(x), except next to t = 1.
    """
    if t is None or t.size < _FEW:
        return (0.5 / np.cosh(0.5 * x) if logistic else np.reciprocal(np.cosh(x))) ** 2
    order: Any = "K" if x.strides == t.strides else "C"
    y = np.multiply(t, t, order=order)
    flat, t = y.ravel(order), t.ravel(order)
    # into a view, so compiled programs keep this function whole: the number of tails changes
    np.subtract(t if logistic else 1, flat, out=flat)
    tails = np.flatnonzero(t > 0.853 if logistic else flat < 0.125)
    if tails.size:
        flat[tails] = _tanh_slope.operation.forward(x.ravel(order)[tails], logistic=logistic)
    return y


_FEW = 500  # below, computing every hyperbolic cosine is faster than finding the tails


_tanh_slope.vjp(lambda g, x, y, logistic: g * (-np.tanh(0.5 * x) * y if logistic else -2 * np.tanh(x) * y))
tanh_slope: Final = _tanh_slope.kernel


@primitive(name="edge_product", pointwise=True, method=False)
def _edge_product(x: Any, /, low: float = -1.0, high: float = 1.0) -> Any:
    """Return (x - low) (high - x), whose derivative has no digits to lose near the middle."""
    return (x - low) * (high - x)


_edge_product.vjp(lambda g, x, low, high: g * ((low + high) - 2 * x))
edge_product: Final = _edge_product.kernel


@primitive(name="gaussian", pointwise=True, method=False)
def _gaussian(x: Any, /, scale: float = 1.0) -> Any:
    """Return exp(-scale x^2), for a scale that is a power of two. The square is split in two parts, the greater exact.

    Source: Dekker, A floating-point technique for extending the available precision (1971), for the parts.
    """
    x = np.clip(x, -50, 50)  # further out it is 0
    z = x * (2.0 ** ((np.finfo(x.dtype).nmant + 2) // 2) + 1)
    half = z - (z - x)  # x with half of its digits, so that its square is exact
    return np.exp(-scale * half * half) * np.exp(-scale * (x - half) * (x + half))


_gaussian.vjp(lambda g, x, y, scale: g * (-2 * scale * np.clip(x, -50, 50) * y))
gaussian: Final = _gaussian.kernel


@primitive(name="over_square", pointwise=True, method=False)
def _over_square(a: Any, b: Any, /) -> Any:
    """Return a / (a^2 + b^2), and 0 where both are 0."""
    h = _length(a, b)
    return a / h / h


def _length(a: Any, b: Any) -> Any:
    h = np.hypot(a, b)
    return np.where(h == 0, 1, h)


def _product_over_squares(c: Any, d: Any, h: Any) -> Any:
    """Return c d / h^4, which neither overflows nor underflows on the way."""
    overflowing = (h < np.finfo(h.dtype).tiny) & ((c == 0) | (d == 0))
    return np.where(overflowing, 0, (c / h / h) * (d / h / h))


_over_square.vjp(
    lambda g, a, b: g * _product_over_squares(b - a, b + a, _length(a, b)),
    lambda g, a, b: g * (-2 * _product_over_squares(a, b, _length(a, b))),
)
over_square: Final = _over_square.kernel


def _arrays(a: Any, b: Any) -> Any:
    """Return two operands as arrays of one dtype. Compiled programs can't trace what follows: they keep it whole."""
    dtype = np.result_type(a, b)
    return np.asarray(a, dtype), np.asarray(b, dtype)


@primitive(name="cosine_of", pointwise=True, method=False)
def _cosine_of(a: Any, b: Any, /) -> Any:
    """Return a / hypot(a, b), and 0 where both are 0."""
    a, b = _arrays(a, b)
    h = np.asarray(np.hypot(a, b))
    y = np.asarray(a / _length(a, b))
    info = np.finfo(y.dtype)
    extreme = (h < 4 * info.tiny / info.eps) | (h > info.max / 4)  # where hypot has lost digits, or may overflow
    if extreme.any():
        a, b = (np.broadcast_to(x, y.shape)[extreme] for x in (a, b))
        _, exponent = np.frexp(np.maximum(np.abs(a), np.abs(b)))
        a, b = np.ldexp(a, -exponent), np.ldexp(b, -exponent)
        y[extreme] = a / _length(a, b)
    return y


_cosine_of.vjp(
    lambda g, a, b: g * (cosine_of(b, a) / np.sqrt(_length(a, b))) ** 2,
    lambda g, a, b, y: g * -(y / np.sqrt(_length(a, b)) * (cosine_of(b, a) / np.sqrt(_length(a, b)))),
)
cosine_of: Any = _cosine_of.kernel


@primitive(name="exponential_share", pointwise=True, method=False)
def _exponential_share(a: Any, b: Any, /, binary: bool = False) -> Any:
    """Return e^a / (e^a + e^b), or the same to the base 2, and 0 where both are 0.

    Source: Knuth, The Art of Computer Programming, volume 2, 4.2.2, for the rounding error of a - b.
    """
    a, b = _arrays(a, b)
    d = np.where(a == b, 0, a - b)
    lost = a - (d - (d - a)) - (b + (d - a))
    lost = np.where(np.isfinite(lost), lost, 0) * (math.log(2) if binary else 1)
    e = (np.exp2 if binary else np.exp)(-np.abs(d)) * (1 - np.copysign(1, d) * lost)
    return np.where((a == b) & (a == -np.inf), 0, np.where(d < 0, e, 1) / (1 + e))


def _shares(g: Any, a: Any, b: Any, y: Any, binary: bool) -> Any:
    return g * (y * exponential_share(b, a, binary=binary) * (math.log(2) if binary else 1))


_exponential_share.vjp(_shares, lambda g, a, b, y, binary: -_shares(g, a, b, y, binary))
exponential_share: Final = _exponential_share.kernel


def _falling(b: Any, n: int, k: int) -> list[Any]:
    """Return b (b - 1) ... (b - n + 1) and its first k derivatives."""
    found = [1.0, *[0.0] * k]
    for i in range(n):
        found = [f * (b - i) + j * found[j - 1] for j, f in enumerate(found)]
    return found


@primitive(name="power_derivative", pointwise=True, masks=True, method=False, domain=(0.5, 2))
def _power_derivative(a: Any, b: Any, /, n: int = 1, k: int = 0) -> Any:
    """Return a**b differentiated n times in a and k times in b: 0 where one of its factors is 0, also at a = 0."""
    a, b = _arrays(a, b)
    exponent = b - n
    lost = b - (exponent - (exponent - b)) - (n + (exponent - b))
    logarithm: Any = 1.0  # not used: most exponents above 1/2 lose no digits
    if k or lost.any():
        logarithm = np.log(a if (a > 0).all() else np.where(a == 0, 1, np.where(a < 0, np.nan if k else 1, a)))
    factor = sum(math.comb(k, j) * f * logarithm ** (k - j) for j, f in enumerate(_falling(b, n, k)))
    factor, power = factor * np.exp(lost * logarithm), a**exponent
    y, info, size = factor * power, np.finfo(power.dtype), np.abs(power)
    usual = (size >= info.tiny) & (size <= info.max)
    if usual.all():
        return y
    y = np.where((factor == 0) | (power == 0), 0, y)
    extreme = (a > 0) & (factor != 0) & np.isfinite(factor) & ~usual
    a, exponent, factor = (np.broadcast_to(x, y.shape)[extreme] for x in (a, exponent, factor))
    root = a ** (exponent / 4)
    y[extreme] = factor * root * root * root * root
    return y


_power_derivative.vjp(
    lambda g, a, b, n, k: g * power_derivative(a, b, n=n + 1, k=k),
    lambda g, a, b, n, k: g * power_derivative(a, b, n=n, k=k + 1),
)
power_derivative: Any = _power_derivative.kernel


# Samples for tests: a tuple stands for random values of that shape.

_tanh_slope.samples = [sample((2, 3), logistic=True)]
_edge_product.samples = [sample((2, 3), low=0.0), sample((0,))]
_gaussian.samples = [sample((2, 3), scale=0.5), sample(np.array([-3.0, 0.0, 20.0]))]
_exponential_share.samples = [sample((2, 1), (3,), binary=True), sample(np.array([40.0, -40.0]), (2,))]
_power_derivative.samples = [sample((2, 1), (3,), n=2), sample((2,), (2,), n=0, k=1), sample((), (), n=2, k=2)]
