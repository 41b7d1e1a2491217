"""Operations on corresponding entries: one row each, the function and its derivative rules.

A rule names what it reads: `g` the cotangent, `y` the output, `x` or `a, b` the inputs, `wanted`
which inputs require grad. The engine sums over what was broadcast and keeps zeros zero.
"""

# ruff: noqa: E501
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine.arrays import array_of
from ..engine.operation import sample
from ..errors import DtypeError, unsupported_values
from ..tensor.creation import as_tensor
from ..tensor.declaring import composite, elementwise, primitive
from ..tensor.handle import Tensor


def _logaddexp(a: Any, b: Any) -> Any:
    """Return log(exp(a) + exp(b)), without overflow. Shapes broadcast: (...), (...) -> (...)."""
    with np.errstate(over="ignore"):
        return np.logaddexp(a, b)


def _logaddexp2(a: Any, b: Any) -> Any:
    """Return log2(2**a + 2**b), without overflow. Shapes broadcast: (...), (...) -> (...)."""
    with np.errstate(over="ignore"):
        return np.logaddexp2(a, b)


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


def _weight(a: Any, b: Any, y: Any, scale: float) -> Any:
    """Return e^a / (e^a + e^b), or the same to the base e^scale, and 0 where both are 0."""
    return np.where(y == -np.inf, 0, sigmoid.kernel(np.where(a == b, 0, a - b) * scale))


def _sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), exact in both tails. Shapes: (...) -> (...)."""
    e = np.exp(-np.abs(x))
    return np.where(np.less(x, 0), e, 1) / (1 + e)


def quotient(a: Any, b: Any) -> Any:
    """Return a / b, and 0 where both are 0."""
    nothing = (a == 0) & (b == 0)
    return np.where(nothing, 0, a / np.where(nothing, 1, b))


def _nonzero(x: Any) -> Any:
    return np.where(x == 0, 1, x)


_LN2 = math.log(2)

add         = elementwise(np.add,         lambda g: g,               lambda g: g,                        operator="add", method=False)
subtract    = elementwise(np.subtract,    lambda g: g,               lambda g: -g,                       operator="sub", method=False)
multiply    = elementwise(np.multiply,    lambda g, b: g * b,        lambda g, a: g * a,                 operator="mul", method=False)
divide      = elementwise(np.divide,      lambda g, b: g / b,        lambda g, b, y: -g * y / b,         operator="truediv", method=False, domain=(0.5, 2))
float_power = elementwise(np.float_power, lambda g, a, b: g * (b * a ** _predecessor(b)), lambda g, a, y: g * (y * _log_of_base(a)), method=False, masks=True, domain=(0.5, 2))
fmod        = elementwise(np.fmod,        lambda g: g,               lambda g, a, b: g * -np.trunc(a / b), method=False, domain=(0.5, 2))
remainder   = elementwise(np.remainder,   lambda g: g,               lambda g, a, b: g * -np.floor(a / b), operator="mod", method=False, domain=(0.5, 2))
power       = elementwise(np.power,       lambda g, a, b: g * (b * a ** _predecessor(b)), lambda g, a, y: g * (y * _log_of_base(a)), operator="pow", method=False, masks=True, domain=(0.5, 2))
negative    = elementwise(np.negative,    lambda g: -g,              operator="neg", method=False)
positive    = elementwise(np.positive,    lambda g: g,               operator="pos", method=False)
absolute    = elementwise(np.absolute,    lambda g, x: g * np.sign(x), name="abs", operator="abs",       kinks={0: 0})
fabs        = elementwise(np.fabs,        lambda g, x: g * np.sign(x), method=False,                     kinks={0: 0})
conjugate   = elementwise(np.conjugate,   lambda g: g)
copysign    = elementwise(np.copysign,    lambda g, a, b: g * (np.sign(a) * np.copysign(1, b)), None, method=False, kinks={(0, 1): (0, 0)})
heaviside   = elementwise(np.heaviside,   None, lambda g, a: np.where(a == 0, g, 0), method=False, masks=True)
square      = elementwise(np.square,      lambda g, x: g * (2 * x))
sqrt        = elementwise(np.sqrt,        lambda g, y: g / (2 * y),                                      domain=(0.5, 2))
cbrt        = elementwise(np.cbrt,        lambda g, y: g / (3 * y * y),                                  domain=(0.5, 2))
reciprocal  = elementwise(np.reciprocal,  lambda g, y: -g * y * y,                                       domain=(0.5, 2))
hypot       = elementwise(np.hypot,       lambda g, a, y: g * quotient(a, y), lambda g, b, y: g * quotient(b, y), method=False, masks=True, kinks={(0, 0): (0, 0)})

radians     = elementwise(np.radians,     lambda g: g * (math.pi / 180), method=False)
deg2rad     = elementwise(np.deg2rad,     lambda g: g * (math.pi / 180))
degrees     = elementwise(np.degrees,     lambda g: g * (180 / math.pi), method=False)
rad2deg     = elementwise(np.rad2deg,     lambda g: g * (180 / math.pi))

exp         = elementwise(np.exp,         lambda g, y: g * y)
exp2        = elementwise(np.exp2,        lambda g, y: g * (y * math.log(2)))
expm1       = elementwise(np.expm1,       lambda g, y: g * (y + 1))
log         = elementwise(np.log,         lambda g, x: g / x,                                            domain=(0.5, 2))
log2        = elementwise(np.log2,        lambda g, x: g / (x * math.log(2)),                            domain=(0.5, 2))
log10       = elementwise(np.log10,       lambda g, x: g / (x * math.log(10)),                           domain=(0.5, 2))
log1p       = elementwise(np.log1p,       lambda g, x: g / (1 + x),                                      domain=(-0.5, 2))
logaddexp   = elementwise(_logaddexp,     lambda g, a, b, y: g * _weight(a, b, y, 1.0), lambda g, a, b, y: g * _weight(b, a, y, 1.0), name="logaddexp", numpy=[np.logaddexp], method=False)
logaddexp2  = elementwise(_logaddexp2,    lambda g, a, b, y: g * _weight(a, b, y, _LN2), lambda g, a, b, y: g * _weight(b, a, y, _LN2), name="logaddexp2", numpy=[np.logaddexp2], method=False)

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
sigmoid     = elementwise(_sigmoid,       lambda g, y: g * (y * (1 - y)),                name="sigmoid")
arcsinh     = elementwise(np.arcsinh,     lambda g, x: g / np.hypot(1, x))
arccosh     = elementwise(np.arccosh,     lambda g, x: g / np.sqrt((x - 1) * (x + 1)),                   domain=(1.5, 3))
arctanh     = elementwise(np.arctanh,     lambda g, x: g / ((1 - x) * (1 + x)),                          domain=(-0.9, 0.9))

maximum     = elementwise(np.maximum,     lambda g, a, b, wanted: g * _share(a > b, a == b, wanted), lambda g, a, b, wanted: g * _share(b > a, a == b, wanted), method=False, kinks={(1, 1): (0.5, 0.5)})
minimum     = elementwise(np.minimum,     lambda g, a, b, wanted: g * _share(a < b, a == b, wanted), lambda g, a, b, wanted: g * _share(b < a, a == b, wanted), method=False, kinks={(1, 1): (0.5, 0.5)})
fmax        = elementwise(np.fmax,        lambda g, a, b, wanted: g * _share((a > b) | np.isnan(b), a == b, wanted), lambda g, a, b, wanted: g * _share((b > a) | np.isnan(a), a == b, wanted), method=False, masks=True, kinks={(1, 1): (0.5, 0.5)})
fmin        = elementwise(np.fmin,        lambda g, a, b, wanted: g * _share((a < b) | np.isnan(b), a == b, wanted), lambda g, a, b, wanted: g * _share((b < a) | np.isnan(a), a == b, wanted), method=False, masks=True, kinks={(1, 1): (0.5, 0.5)})

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
trunc          = elementwise(np.trunc)
fix            = elementwise(lambda x: np.fix(x),      name="fix", numpy=[np.fix], method=False)
spacing        = elementwise(np.spacing,       method=False)
signbit        = elementwise(np.signbit,       method=False)
floor_divide   = elementwise(np.floor_divide,  operator="floordiv", method=False, domain=(0.5, 2))
isnan          = elementwise(np.isnan)
isinf          = elementwise(np.isinf)
isfinite       = elementwise(np.isfinite)
isposinf       = elementwise(lambda x: np.isposinf(x), name="isposinf", numpy=[np.isposinf])
isneginf       = elementwise(lambda x: np.isneginf(x), name="isneginf", numpy=[np.isneginf])
logical_not    = elementwise(np.logical_not,   method=False)
logical_and    = elementwise(np.logical_and,   method=False)
logical_or     = elementwise(np.logical_or,    method=False)
logical_xor    = elementwise(np.logical_xor,   method=False)
left_shift     = elementwise(np.left_shift,    operator="lshift", method=False)
right_shift    = elementwise(np.right_shift,   operator="rshift", method=False)
bitwise_count  = elementwise(np.bitwise_count, method=False)
gcd            = elementwise(np.gcd,           method=False)
lcm            = elementwise(np.lcm,           method=False)
bitwise_and    = elementwise(np.bitwise_and,   operator="and", method=False)
bitwise_or     = elementwise(np.bitwise_or,    operator="or", method=False)
bitwise_xor    = elementwise(np.bitwise_xor,   operator="xor", method=False)
invert         = elementwise(np.invert,        operator="invert", method=False)


@primitive(
    name="either", masks=True, linear=True, method=False,
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
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise TypeError("a bound is given twice: a_min and min are one, a_max and max are one")
    low, high = a_min if min is None else min, a_max if max is None else max
    x = positive(x) if low is None else maximum(x, low)
    return x if high is None else minimum(x, high)


def _numeric(value: Any, inputs: Any) -> Any:
    """Return a dtype of numbers or booleans. Raises DtypeError for others, which would lose the gradient."""
    dtype = np.dtype(value)
    if dtype.kind not in "biufc":
        raise DtypeError(unsupported_values(f"dtype {dtype}"))
    return dtype


@primitive(
    numpy=[np.astype] if hasattr(np, "astype") else [],
    linear=True,
    dtype=_numeric,
    samples=[sample(shape, dtype=dtype) for shape in [(2, 3), (), (0,)] for dtype in ("float32", "float64")],
)
def astype(x: Any, /, dtype: Any) -> Any:
    """Return the values in another dtype; the gradient comes back in this one."""
    return array_of(x).astype(dtype)


astype.vjp(lambda g: g)


@composite(
    numpy=[np.nan_to_num],
    samples=[
        sample(np.array([[np.nan, 1.0, -2.0], [0.25, np.nan, 0.5]])), sample((), nan=1.0), sample((0, 3)),
        sample(np.array([np.inf, -np.inf, np.nan]), nan=1.0, posinf=2.0, neginf=-3.0),
    ],
)  # fmt: skip
def nan_to_num(x: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Return x with nan and the infinities replaced, by 0 and the largest numbers by default; derivative 0 there."""
    x = as_tensor(x)
    if x.dtype.kind != "f":
        return positive(x)
    largest = float(np.finfo(x.dtype).max)
    x = _either(isnan(x), nan, x)
    x = _either(isposinf(x), largest if posinf is None else posinf, x)
    return _either(isneginf(x), -largest if neginf is None else neginf, x)


@primitive(
    numpy=[np.ldexp], method=False,
    samples=[
        sample((2, 3), np.array([0, 1, -2])), sample((), np.array(3)), sample((0, 2), np.array([1, 2])),
        sample((3,), np.array([[1], [2]])),
    ],
)  # fmt: skip
def ldexp(x: Any, exponent: Any, /) -> Any:
    """Return x * 2**exponent, for integer exponents. Shapes broadcast: (...), (...) -> (...)."""
    return np.ldexp(x, exponent)


ldexp.vjp(lambda g, exponent: np.ldexp(g, exponent), None)
ldexp.jvp(lambda t, exponent: np.ldexp(t, exponent), None)

_FRACTIONS = [sample((2, 3)), sample(()), sample((0, 3)), sample(np.array([2.75, -1.25]))]


@primitive(numpy=[np.frexp], several=True, method=False, samples=_FRACTIONS)
def frexp(x: Any, /) -> Any:
    """Return the mantissa, from 0.5 to 1 in size, and the integer exponent of 2 of each entry."""
    return np.frexp(x)


frexp.vjp(lambda g, y: np.ldexp(g[0], -y[1]))


@primitive(numpy=[np.modf], several=True, method=False, samples=_FRACTIONS)
def modf(x: Any, /) -> Any:
    """Return the fractional part of each entry, whose derivative is 1, and the integer part, whose derivative is 0."""
    return np.modf(x)


modf.vjp(lambda g: g[0])


@composite(
    numpy=[np.divmod], operator="divmod", method=False,
    samples=[sample((2, 1), np.array([0.75, 1.5])), sample((), 0.75), sample((0,), 2.0)],
)  # fmt: skip
def divmod(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Return the floor of the quotient and the remainder. Shapes broadcast: (...), (...) -> (...) twice."""
    return floor_divide(a, b), remainder(a, b)


@primitive(
    numpy=[np.round, np.around], decimals=lambda value, inputs: int(value),
    samples=[sample((2, 3)), sample((3,), decimals=1), sample(()), sample((0,))],
)  # fmt: skip
def round(x: Any, /, decimals: int = 0) -> Any:
    """Return x rounded to so many decimals, half to even."""
    return np.round(x, decimals)


round.vjp(None)


@composite(numpy=[np.real], method=False, samples=[sample((2, 3)), sample(()), sample((0,))])
def real(x: Any) -> Any:
    """Return the real part: x itself, unless it is complex."""
    x = as_tensor(x)
    return as_tensor(x.data.real) if x.dtype.kind == "c" else positive(x)


setattr(Tensor, "real", property(real, doc="The real part: the tensor itself, unless it is complex."))  # noqa: B010


@composite(numpy=[np.imag], method=False, samples=[sample((2, 3)), sample(()), sample((0,))])
def imag(x: Any) -> Any:
    """Return the imaginary part: zeros, unless x is complex."""
    x = as_tensor(x)
    return as_tensor(x.data.imag) if x.dtype.kind == "c" else x * 0


setattr(Tensor, "imag", property(imag, doc="The imaginary part: zeros, unless the tensor is complex."))  # noqa: B010


@composite(numpy=[np.real_if_close], method=False, samples=[sample((2, 3)), sample(()), sample((0,))])
def real_if_close(x: Any, tol: float = 100) -> Any:
    """Return x itself if it is real; complex numbers as real ones where their imaginary parts are rounding errors."""
    x = as_tensor(x)
    return as_tensor(np.real_if_close(x.data, tol)) if x.dtype.kind == "c" else positive(x)
