"""Operations on corresponding entries: one row each, with the function and a derivative rule for each operand.

`elementwise` declares a row: it returns the public function of arrays and Tensors, makes it a Tensor method and, if
named, an operator, and lets NumPy's function call it for Tensors. A rule's parameters name what it reads: `g` is the
cotangent, `y` the output, `x` or `a, b` the inputs, `wanted` tells which inputs require grad. For all rules, the engine
sums over broadcast axes and keeps zeros zero. A rule is None if the derivative is zero wherever it exists; rows with
only None, such as comparisons, are in `rounding`. Names of rows are `Final`: never set again.

`operator` names the Python operator; `method=False` says that a Tensor has no such method; `name` is the public name
and `numpy` lists NumPy's functions, if they are not those of the first argument. `masks` says that the output can hide
a nan of an operand, as 1**nan = 1 does. Tests draw operands from `domain`, and read in `kinks={point: slope}` which
slope the rule takes where none exists (for two operands: pairs).
"""

# ruff: noqa: E501
from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from ..tensor.declaring import elementwise
from .slopes import cosine_of, edge_product, exponential_share, over_square, power_derivative, tanh_slope

# cosine_of: a/hypot(a, b); edge_product: 1 - x^2; exponential_share: e^a/(e^a + e^b); over_square: a/(a^2 + b^2);
# power_derivative: a^b, differentiated n times in a (default: once) and k times in b; tanh_slope: 1 - t^2, t = tanh x.
# Each keeps the digits that its formula loses: 1 - t^2 has few left where t is near 1.
_TIE = {(1, 1): (0.5, 0.5)}  # the tie that tests try, a = b = 1: each operand gets half

add: Final         = elementwise(np.add,         lambda g: g,               lambda g: g,                    operator="add", method=False)
subtract: Final    = elementwise(np.subtract,    lambda g: g,               lambda g: -g,                   operator="sub", method=False)
multiply: Final    = elementwise(np.multiply,    lambda g, b: g * b,        lambda g, a: g * a,             operator="mul", method=False)
divide: Final      = elementwise(np.divide,      lambda g, b: g / b,        lambda g, b, y: -g * y / b,     operator="truediv", method=False, domain=(0.5, 2))
float_power: Final = elementwise(np.float_power, lambda g, a, b: g * _slope_of_power(a, b),
                                                 lambda g, a, b: g * power_derivative(a, b, n=0, k=1),      method=False, masks=True, domain=(0.5, 2))
fmod: Final        = elementwise(np.fmod,        lambda g: g,
                                                 lambda g, a, b, y: g * -np.rint((a - y) / b),              method=False, domain=(0.5, 2))
remainder: Final   = elementwise(np.remainder,   lambda g: g,
                                                 lambda g, a, b: g * -np.floor_divide(a, b),                operator="mod", method=False, domain=(0.5, 2))
power: Final       = elementwise(np.power,       lambda g, a, b: g * _slope_of_power(a, b),
                                                 lambda g, a, b: g * power_derivative(a, b, n=0, k=1),      operator="pow", method=False, masks=True, domain=(0.5, 2))
negative: Final    = elementwise(np.negative,    lambda g: -g,                                              operator="neg", method=False)
positive: Final    = elementwise(np.positive,    lambda g: g,                                               operator="pos", method=False)
absolute: Final    = elementwise(np.absolute,    lambda g, x: g * np.sign(x),                               name="abs", operator="abs", kinks={0: 0})
fabs: Final        = elementwise(np.fabs,        lambda g, x: g * np.sign(x),                               method=False, kinks={0: 0})
conjugate: Final   = elementwise(np.conjugate,   lambda g: g)
copysign: Final    = elementwise(np.copysign,    lambda g, a, b: g * (np.sign(a) * np.copysign(1, b)),
                                                 None,                                                      method=False, kinks={(0, 1): (0, 0)})
heaviside: Final   = elementwise(np.heaviside,   None,
                                                 lambda g, a: np.where(a == 0, g, 0),                       method=False, masks=True)
square: Final      = elementwise(np.square,      lambda g, x: g * (2 * x))
sqrt: Final        = elementwise(np.sqrt,        lambda g, y: g / (2 * y),                                  domain=(0.5, 2))
cbrt: Final        = elementwise(np.cbrt,        lambda g, y: g / (3 * y * y),                              domain=(0.5, 2))
reciprocal: Final  = elementwise(np.reciprocal,  lambda g, y: -g * y * y,                                   domain=(0.5, 2))
hypot: Final       = elementwise(np.hypot,       lambda g, a, b: g * cosine_of(a, b),
                                                 lambda g, a, b: g * cosine_of(b, a),                       method=False, masks=True, kinks={(0, 0): (0, 0)})

radians: Final     = elementwise(np.radians,     lambda g: g * (math.pi / 180),                             method=False)
deg2rad: Final     = elementwise(np.deg2rad,     lambda g: g * (math.pi / 180))
degrees: Final     = elementwise(np.degrees,     lambda g: g * (180 / math.pi),                             method=False)
rad2deg: Final     = elementwise(np.rad2deg,     lambda g: g * (180 / math.pi))

exp: Final         = elementwise(np.exp,         lambda g, y: g * y)
exp2: Final        = elementwise(np.exp2,        lambda g, y: g * (y * math.log(2)))
expm1: Final       = elementwise(np.expm1,       lambda g, x: g * np.exp(x))
log: Final         = elementwise(np.log,         lambda g, x: g / x,                                        domain=(0.5, 2))
log2: Final        = elementwise(np.log2,        lambda g, x: g * (1 / math.log(2)) / x,                    domain=(0.5, 2))
log10: Final       = elementwise(np.log10,       lambda g, x: g * (1 / math.log(10)) / x,                   domain=(0.5, 2))
log1p: Final       = elementwise(np.log1p,       lambda g, x: g / (1 + x),                                  domain=(-0.5, 2))

sin: Final         = elementwise(np.sin,         lambda g, x: g * np.cos(x))
cos: Final         = elementwise(np.cos,         lambda g, x: g * -np.sin(x))
tan: Final         = elementwise(np.tan,         lambda g, y: g * (1 + y * y),                              domain=(-1, 1))
arcsin: Final      = elementwise(np.arcsin,      lambda g, x: g / np.sqrt(edge_product(x)),                 domain=(-0.9, 0.9))
arccos: Final      = elementwise(np.arccos,      lambda g, x: -g / np.sqrt(edge_product(x)),                domain=(-0.9, 0.9))
arctan: Final      = elementwise(np.arctan,      lambda g, x: g * over_square(1.0, x))
arctan2: Final     = elementwise(np.arctan2,     lambda g, a, b: g * over_square(b, a),
                                                 lambda g, a, b: g * -over_square(a, b),                    method=False, domain=(0.5, 2))
sinh: Final        = elementwise(np.sinh,        lambda g, x: g * np.cosh(x))
cosh: Final        = elementwise(np.cosh,        lambda g, x: g * np.sinh(x))
tanh: Final        = elementwise(np.tanh,        lambda g, x, y: g * tanh_slope(x, y))
arcsinh: Final     = elementwise(np.arcsinh,     lambda g, x: g / np.hypot(1, x))
arccosh: Final     = elementwise(np.arccosh,     lambda g, x: g / (np.sqrt(x - 1) * np.sqrt(x + 1)),        domain=(1.5, 3))
arctanh: Final     = elementwise(np.arctanh,     lambda g, x: g / edge_product(x),                          domain=(-0.9, 0.9))

maximum: Final     = elementwise(np.maximum,     lambda g, a, b, wanted: g * _share(a > b, a == b, wanted),
                                                 lambda g, a, b, wanted: g * _share(b > a, a == b, wanted), method=False, kinks=_TIE)
minimum: Final     = elementwise(np.minimum,     lambda g, a, b, wanted: g * _share(a < b, a == b, wanted),
                                                 lambda g, a, b, wanted: g * _share(b < a, a == b, wanted), method=False, kinks=_TIE)
fmax: Final        = elementwise(np.fmax,        lambda g, a, b, wanted: g * _share((a > b) | np.isnan(b), a == b, wanted),
                                                 lambda g, a, b, wanted: g * _share((b > a) | np.isnan(a), a == b, wanted), method=False, masks=True, kinks=_TIE)
fmin: Final        = elementwise(np.fmin,        lambda g, a, b, wanted: g * _share((a < b) | np.isnan(b), a == b, wanted),
                                                 lambda g, a, b, wanted: g * _share((b < a) | np.isnan(a), a == b, wanted), method=False, masks=True, kinks=_TIE)


# What the rules above share.


def _slope_of_power(a: Any, b: Any) -> Any:
    """Return b a^(b - 1), and 0 where b is 0. For Python numbers such as 2 or 0.5, b - 1 is exact."""
    if isinstance(b, (int, float)) and not isinstance(b, np.generic) and b and 2 * b % 1 == 0:  # np.float64 is a float
        return b * a ** (b - 1)
    return power_derivative(a, b)


def _share(wins: Any, ties: Any, wanted: Any) -> Any:
    """Return an operand's share of `g`: 1 if it wins; at a tie 1/2, or 0 (the least slope) beside a constant."""
    return np.where(ties, 0.5, wins) if all(wanted) else wins


# Operations that need more than one NumPy function.


def _logaddexp(a: Any, b: Any) -> Any:
    """Return log(exp(a) + exp(b)), without overflow or warning. Shapes broadcast: (...), (...) -> (...)."""
    with np.errstate(over="ignore"):
        return np.logaddexp(a, b)


def _logaddexp2(a: Any, b: Any) -> Any:
    """Return log2(2**a + 2**b), without overflow or warning. Shapes broadcast: (...), (...) -> (...)."""
    with np.errstate(over="ignore"):
        return np.logaddexp2(a, b)


def _sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), accurate in both tails. Shapes: (...) -> (...).

    >>> import tinygrad_nn as tg
    >>> tg.sigmoid([-1000.0, 0.0, 1000.0])
    tg.tensor([0. , 0.5, 1. ], dtype='float64')
    """
    if getattr(x, "dtype", np.dtype(float)).kind in "biu":  # -x would wrap; np.exp has the same dtype for integers
        x = x + np.float16(0)
    e = np.exp(np.minimum(x, 0))  # compares real parts: right for complex numbers, too
    return e / (e + np.exp(np.minimum(-x, 0)))


logaddexp: Final   = elementwise(_logaddexp,     lambda g, a, b: g * exponential_share(a, b),
                                                 lambda g, a, b: g * exponential_share(b, a),               name="logaddexp", numpy=[np.logaddexp], method=False)
logaddexp2: Final  = elementwise(_logaddexp2,    lambda g, a, b: g * exponential_share(a, b, binary=True),
                                                 lambda g, a, b: g * exponential_share(b, a, binary=True),  name="logaddexp2", numpy=[np.logaddexp2], method=False)
sigmoid: Final     = elementwise(_sigmoid,       lambda g, x, y: g * tanh_slope(x, y, logistic=True),       name="sigmoid")
