"""Operations on corresponding entries: one row each, the function and its derivative rules.

A rule names what it reads: `g` the cotangent, `y` the output, `x` or `a, b` the inputs, `wanted`
which inputs require grad. The engine sums over what was broadcast and keeps zeros zero.
"""

# ruff: noqa: E501
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..operation import sample
from ..primitive import composite, elementwise, primitive

_erfc_of_one = np.frompyfunc(math.erfc, 1, 1)


def _erfc(x: Any) -> Any:
    """Return erfc(x) = 1 - erf(x), by SciPy where it is installed. Shapes: (...) -> (...)."""
    x = np.asarray(x)
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(float)
    try:
        from scipy.special import erfc
    except ImportError:
        return np.asarray(_erfc_of_one(x)).astype(dtype)
    return erfc(x.astype(np.float32)).astype(dtype) if dtype.char == "e" else erfc(x)


def _logaddexp(a: Any, b: Any) -> Any:
    """Return log(exp(a) + exp(b)), without overflow. Shapes broadcast: (...), (...) -> (...)."""
    with np.errstate(over="ignore"):
        return np.logaddexp(a, b)


def _predecessor(b: Any) -> Any:
    """Return b - 1, and 1 where b is 0: there the factor b has made the derivative 0 already."""
    if isinstance(b, (int, float)):
        return b - 1 if b else 1
    return np.where(b == 0, 1, b - 1)


def _log_of_base(a: Any) -> Any:
    return np.log(np.where(a == 0, 1, a))


def _share(wins: Any, ties: Any, wanted: Any) -> Any:
    """Return what an operand of maximum or minimum gets: at a tie half, or 0 against a constant."""
    return np.where(ties, 0.5 if all(wanted) else 0.0, wins)


def _over_square(x: Any, a: Any, b: Any) -> Any:
    """Return x / (a^2 + b^2) without overflow, and 0 where both are 0."""
    length = _nonzero(np.hypot(a, b))
    return x / length / length


def _nonzero(x: Any) -> Any:
    return np.where(x == 0, 1, x)


add         = elementwise(np.add,         lambda g: g,               lambda g: g,                        operator="add", method=False)
subtract    = elementwise(np.subtract,    lambda g: g,               lambda g: -g,                       operator="sub", method=False)
multiply    = elementwise(np.multiply,    lambda g, b: g * b,        lambda g, a: g * a,                 operator="mul", method=False)
divide      = elementwise(np.divide,      lambda g, b: g / b,        lambda g, b, y: -g * y / b,         operator="truediv", method=False, domain=(0.5, 2))
remainder   = elementwise(np.remainder,   lambda g: g,               lambda g, a, b: g * -np.floor(a / b), operator="mod", method=False, domain=(0.5, 2))
power       = elementwise(np.power,       lambda g, a, b: g * (b * a ** _predecessor(b)), lambda g, a, y: g * (y * _log_of_base(a)), operator="pow", method=False, masks=True, domain=(0.5, 2))
negative    = elementwise(np.negative,    lambda g: -g,              operator="neg", method=False)
positive    = elementwise(np.positive,    lambda g: g,               operator="pos", method=False)
absolute    = elementwise(np.absolute,    lambda g, x: g * np.sign(x), name="abs", operator="abs",       kinks={0: 0})
square      = elementwise(np.square,      lambda g, x: g * (2 * x))
sqrt        = elementwise(np.sqrt,        lambda g, y: g / (2 * y),                                      domain=(0.5, 2))
cbrt        = elementwise(np.cbrt,        lambda g, y: g / (3 * y * y),                                  domain=(0.5, 2))
reciprocal  = elementwise(np.reciprocal,  lambda g, y: -g * y * y,                                       domain=(0.5, 2))
hypot       = elementwise(np.hypot,       lambda g, a, y: g * (a / _nonzero(y)), lambda g, b, y: g * (b / _nonzero(y)), method=False, masks=True, kinks={(0, 0): (0, 0)})

exp         = elementwise(np.exp,         lambda g, y: g * y)
exp2        = elementwise(np.exp2,        lambda g, y: g * (y * math.log(2)))
expm1       = elementwise(np.expm1,       lambda g, y: g * (y + 1))
log         = elementwise(np.log,         lambda g, x: g / x,                                            domain=(0.5, 2))
log2        = elementwise(np.log2,        lambda g, x: g / (x * math.log(2)),                            domain=(0.5, 2))
log10       = elementwise(np.log10,       lambda g, x: g / (x * math.log(10)),                           domain=(0.5, 2))
log1p       = elementwise(np.log1p,       lambda g, x: g / (1 + x),                                      domain=(-0.5, 2))
logaddexp   = elementwise(_logaddexp,     lambda g, a, b, y: g * _weight(a, b, y), lambda g, a, b, y: g * _weight(b, a, y), name="logaddexp", numpy=[np.logaddexp], method=False)

sin         = elementwise(np.sin,         lambda g, x: g * np.cos(x))
cos         = elementwise(np.cos,         lambda g, x: g * -np.sin(x))
tan         = elementwise(np.tan,         lambda g, y: g * (1 + y * y),                                  domain=(-1, 1))
arcsin      = elementwise(np.arcsin,      lambda g, x: g / np.sqrt((1 - x) * (1 + x)),                   domain=(-0.9, 0.9))
arccos      = elementwise(np.arccos,      lambda g, x: -g / np.sqrt((1 - x) * (1 + x)),                  domain=(-0.9, 0.9))
arctan      = elementwise(np.arctan,      lambda g, x: g / (1 + x * x))
arctan2     = elementwise(np.arctan2,     lambda g, a, b: g * _over_square(b, a, b), lambda g, a, b: g * -_over_square(a, a, b), method=False, domain=(0.5, 2))
sinh        = elementwise(np.sinh,        lambda g, x: g * np.cosh(x))
cosh        = elementwise(np.cosh,        lambda g, x: g * np.sinh(x))
tanh        = elementwise(np.tanh,        lambda g, y: g * (1 - y * y))
arcsinh     = elementwise(np.arcsinh,     lambda g, x: g / np.hypot(1, x))
arccosh     = elementwise(np.arccosh,     lambda g, x: g / np.sqrt((x - 1) * (x + 1)),                   domain=(1.5, 3))
arctanh     = elementwise(np.arctanh,     lambda g, x: g / ((1 - x) * (1 + x)),                          domain=(-0.9, 0.9))

maximum     = elementwise(np.maximum,     lambda g, a, b, wanted: g * _share(a > b, a == b, wanted), lambda g, a, b, wanted: g * _share(b > a, a == b, wanted), method=False, kinks={(1, 1): (0.5, 0.5)})
minimum     = elementwise(np.minimum,     lambda g, a, b, wanted: g * _share(a < b, a == b, wanted), lambda g, a, b, wanted: g * _share(b < a, a == b, wanted), method=False, kinks={(1, 1): (0.5, 0.5)})

equal          = elementwise(np.equal,         operator="eq", method=False)
not_equal      = elementwise(np.not_equal,     operator="ne", method=False)
less           = elementwise(np.less,          operator="lt", method=False)
less_equal     = elementwise(np.less_equal,    operator="le", method=False)
greater        = elementwise(np.greater,       operator="gt", method=False)
greater_equal  = elementwise(np.greater_equal, operator="ge", method=False)
sign           = elementwise(np.sign)
floor          = elementwise(np.floor)
ceil           = elementwise(np.ceil)
rint           = elementwise(np.rint)
floor_divide   = elementwise(np.floor_divide,  operator="floordiv", method=False, domain=(0.5, 2))
isnan          = elementwise(np.isnan)
isinf          = elementwise(np.isinf)
isfinite       = elementwise(np.isfinite)
logical_not    = elementwise(np.logical_not,   method=False)
bitwise_and    = elementwise(np.bitwise_and,   operator="and", method=False)
bitwise_or     = elementwise(np.bitwise_or,    operator="or", method=False)
bitwise_xor    = elementwise(np.bitwise_xor,   operator="xor", method=False)
invert         = elementwise(np.invert,        operator="invert", method=False)


def _relu(x: Any) -> Any:
    """Return the positive part, max(x, 0). Shapes: (...) -> (...)."""
    if np.size(x) > 2000 and x.dtype.kind == "f":
        return np.clip(x, 0, math.inf)  # half the time of maximum with a number
    return np.maximum(x, 0)


def _sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), exact in both tails. Shapes: (...) -> (...)."""
    e = np.exp(-np.abs(x))
    return np.where(np.less(x, 0), e, 1) / (1 + e)


def _softplus(x: Any) -> Any:
    """Return log(1 + exp(x)), without overflow. Shapes: (...) -> (...)."""
    return np.logaddexp(x, 0)


def _silu(x: Any) -> Any:
    """Return x * sigmoid(x), also called swish. Shapes: (...) -> (...)."""
    x = np.maximum(x, _FAR[0])
    return x * _sigmoid(x)


def _gelu(x: Any) -> Any:
    """Return x times the standard normal's distribution function at x. Shapes: (...) -> (...).

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units (2016), the exact form.
    """
    x = np.maximum(x, _FAR[0])
    return x * (0.5 * _erfc(-x * math.sqrt(0.5)))


_FAR = (-6e4, 6e4)

relu        = elementwise(_relu,          lambda g, y: g * (y > 0),                      name="relu",     kinks={0: 0})
sigmoid     = elementwise(_sigmoid,       lambda g, y: g * (y * (1 - y)),                name="sigmoid")
softplus    = elementwise(_softplus,      lambda g, x: g * sigmoid.kernel(x),            name="softplus")
erfc        = elementwise(_erfc,          lambda g, x: g * (-2 / math.sqrt(math.pi) * np.exp(-x * x)), name="erfc")
silu        = elementwise(_silu,          lambda g, x: g * _silu_slope(np.clip(x, *_FAR)), name="silu")
gelu        = elementwise(_gelu,          lambda g, x: g * _gelu_slope(np.clip(x, *_FAR)), name="gelu")


def _weight(a: Any, b: Any, y: Any) -> Any:
    """Return exp(a) / (exp(a) + exp(b)), and 0 where both are 0."""
    return np.where(y == -np.inf, 0, sigmoid.kernel(np.where(a == b, 0, a - b)))


def _silu_slope(x: Any) -> Any:
    s = sigmoid.kernel(x)
    return s * (1 + x * (1 - s))


def _gelu_slope(x: Any) -> Any:
    return 0.5 * erfc.kernel(-x * math.sqrt(0.5)) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _constant(value: Any, inputs: Any) -> Any:
    return float(value)


@primitive(pointwise=True, kinks={0: 0.01}, samples=[sample((2, 3), slope=0.3)], slope=_constant)
def leaky_relu(x: Any, /, slope: float = 0.01) -> Any:
    """Return x where it is positive, else slope * x. Shapes: (...) -> (...)."""
    return np.where(np.greater(x, 0), x, slope * x)


def _slope(x: Any, left: Any, at_zero: float) -> Any:
    """Return 1 right of 0 and `left` left of it; at 0 what is smallest in size between the two."""
    smallest = min(max(at_zero, 0), 1)
    return np.where(x > 0, 1, left if smallest == at_zero else np.where(x < 0, left, smallest))


leaky_relu.vjp(lambda g, x, slope: g * _slope(x, slope, slope))


@primitive(pointwise=True, samples=[sample((2, 3), alpha=0.5)], alpha=_constant)
def elu(x: Any, /, alpha: float = 1.0) -> Any:
    """Return x where it is positive, else alpha * (exp(x) - 1). Shapes: (...) -> (...)."""
    return np.where(np.greater(x, 0), x, alpha * np.expm1(np.minimum(x, 0)))


elu.vjp(lambda g, x, alpha: g * _slope(x, alpha * np.exp(np.minimum(x, 0)), alpha))


@primitive(
    name="either", masks=True, method=False,
    samples=[
        sample(np.array([True, False, True]), (3,), (3,)), sample(np.array([[True], [False]]), (2, 1), (1, 3)),
        sample(np.array([True, False]), (), 1.5), sample(np.array(False), 0, ()), sample(np.ones(0, bool), (0,), (1,)),
    ],
)  # fmt: skip
def _either(condition: Any, a: Any, b: Any, /) -> Any:
    """Return a where the condition holds, else b. Shapes broadcast: (...), (...), (...) -> (...)."""
    return np.where(condition, a, b)


_either.vjp(None, lambda g, condition: np.where(condition, g, 0), lambda g, condition: np.where(condition, 0, g))


@composite(
    numpy=[np.clip],
    samples=[
        sample((2, 3), -0.5, 0.5), sample((2, 3), None, 0.25), sample((2, 3), min=0.1), sample((2, 3), (3,), (2, 1)), sample((), -1.0, 1.0),
        sample((0,), -1.0, 1.0), sample(np.array([-1.0, 0.0, 1.0]), -1.0, 1.0),
    ],
)  # fmt: skip
def clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """Return x limited to [a_min, a_max], also named min and max; on a bound the derivative is 0."""
    low, high = a_min if min is None else min, a_max if max is None else max
    x = positive(x) if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)


@primitive(
    samples=[sample(shape, dtype=dtype) for shape in [(2, 3), (), (0,)] for dtype in ("float32", "float64")],
    dtype=lambda value, inputs: np.dtype(value),
)
def astype(x: Any, /, dtype: Any) -> Any:
    """Return the values in another dtype; the gradient comes back in this one."""
    return np.asarray(x).astype(dtype)


astype.vjp(lambda g: g)
