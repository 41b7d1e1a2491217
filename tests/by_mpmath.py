"""What mpmath says of slopes: of every elementwise operation the function, its first and its second derivatives.

An operation joins by a row in `ROWS`, under its name, with a comma and what its parameters are if it has any.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import mpmath
import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.ops.fused import huber

m: Any = mpmath.mp
BITS = 200
INF = math.inf
Formula = Callable[..., Any]
_AT_ROOT = "the slope changes its sign there, and its terms cancel"


@dataclass(frozen=True)
class Row:
    """An operation of one or two operands: `first` has a slope by operand, `second` those of aa, ab and bb.

    Where `inside` does not hold there is no derivative; around `special` points the grid is dense. At the `conditioned`
    ones (order, where, why) mathematics forbids full digits: an operand off by half a unit changes the slope by more.
    """

    function: Formula
    first: tuple[Formula, ...]
    second: tuple[Formula, ...]
    inside: Callable[..., bool] = lambda *x: True
    special: tuple[float, ...] = ()
    conditioned: tuple[tuple[int, Callable[..., bool], str], ...] = ()
    call: Callable[..., Any] | None = None
    bits: int = BITS


def _zero(*x: Any) -> Any:
    return m.mpf(0)


def _unit(*x: Any) -> Any:
    return m.mpf(1)


def _between(low: float, high: float) -> Callable[..., bool]:
    return lambda x: low < x < high


def _s(x: Any) -> Any:
    return 1 / (1 + m.exp(-x))


def _sech2(x: Any) -> Any:
    return m.sech(x) ** 2


def _slope_of_s(x: Any) -> Any:
    return _sech2(x / 2) / 4


def _normal(x: Any) -> Any:
    return m.exp(-x * x / 2) / m.sqrt(2 * m.pi)


def _below(x: Any) -> Any:
    """Return the normal distribution function; mpmath's erfc overflows where it is 0 or 2 in any dtype."""
    return m.erfc(-x / m.sqrt(2)) / 2 if abs(x) < 1e4 else m.mpf(x > 0)


def _bell(x: Any) -> Any:
    return 2 / m.sqrt(m.pi) * m.exp(-x * x)


def _one(f: Formula, first: Formula, second: Formula, **more: Any) -> Row:
    return Row(f, (first,), (second,), **more)


def _two(f: Formula, a: Formula, b: Formula, aa: Formula, ab: Formula, bb: Formula, **more: Any) -> Row:
    return Row(f, (a, b), (aa, ab, bb), **more)


def _whole(x: Any) -> bool:
    return bool(x == m.floor(x))


def _falling(a: Any, b: Any, n: int) -> Any:
    """Return b (b - 1) ... a**(b - n), and 0 where a factor is, also at a = 0."""
    factor = m.mpf(1)
    for i in range(n):
        factor *= b - i
    return m.mpf(0) if factor == 0 else factor * _power(a, b - n)


def _power(a: Any, b: Any) -> Any:
    if a == 0:
        return m.mpf(1) if b == 0 else m.mpf(0) if b > 0 else m.inf
    return m.power(a, b)


def _of_power(a: Any, b: Any) -> Any:
    return m.mpf(0) if a == 0 else _power(a, b) * m.log(a)


def _mixed(a: Any, b: Any) -> Any:
    return m.mpf(0) if a == 0 else _power(a, b - 1) * (1 + b * m.log(a))


def _powers() -> Row:
    """A base of 0 counts where all second derivatives exist; what is beyond e^10000 either way tells no more."""
    return _two(
        _power, lambda a, b: _falling(a, b, 1), _of_power, lambda a, b: _falling(a, b, 2), _mixed,
        lambda a, b: m.mpf(0) if a == 0 else _power(a, b) * m.log(a) ** 2,
        inside=lambda a, b: (a > 0 and abs(b * m.log(a)) < 1e4) or (a == 0 and b > 2),
        special=(0.0, 0.5, 1.0, 2.0, 3.0),
        conditioned=((2, lambda a, b: a > 0 and abs(1 + b * m.log(a)) < 0.1, _AT_ROOT),),
    )  # fmt: skip


def _quotient(rounded: Formula) -> Row:
    return _two(
        lambda a, b: a - b * rounded(a / b), _unit, lambda a, b: -rounded(a / b),
        _zero, _zero, _zero, inside=lambda a, b: b != 0 and not _whole(a / b), bits=2600, special=(0.1, 1.0, 6.0),
    )  # fmt: skip


def _extreme(first_wins: Callable[[Any, Any], bool]) -> Row:
    return _two(
        lambda a, b: a if first_wins(a, b) else b, lambda a, b: m.mpf(first_wins(a, b)),
        lambda a, b: m.mpf(first_wins(b, a)), _zero, _zero, _zero, inside=lambda a, b: a != b,
    )  # fmt: skip


_greater, _less = _extreme(lambda a, b: a > b), _extreme(lambda a, b: a < b)
_NOT_ZERO: Any = {"inside": lambda x: x != 0}
_sign = _one(lambda x: abs(x), m.sign, _zero, **_NOT_ZERO)
_line = _one(lambda x: x, _unit, _zero)


def _scaled(c: Formula) -> Row:
    return _one(lambda x: x * c(), lambda x: c(), _zero)


def _logs(base: float | None) -> Row:
    def scale() -> Any:
        return m.mpf(1) if base is None else m.log(base)

    return _one(
        lambda x: m.log(x) / scale(), lambda x: 1 / (x * scale()), lambda x: -1 / (x * x * scale()),
        inside=_between(0, INF), special=(0.0, 1.0),
    )  # fmt: skip


def _squash(x: Any) -> Any:
    return (1 - x) * (1 + x)


def _h2(a: Any, b: Any) -> Any:
    return a * a + b * b


_NOT_BOTH_ZERO: Any = {"inside": lambda a, b: a != 0 or b != 0, "special": (0.0, 1.0, 3.0, 4.0)}


def _softer(scale: Callable[[], Any]) -> Row:
    def slope(x: Any) -> Any:
        return scale() * _slope_of_s(x * scale())

    return _two(
        lambda a, b: a + m.log1p(m.exp((b - a) * scale())) / scale(),
        lambda a, b: _s((a - b) * scale()), lambda a, b: _s((b - a) * scale()),
        lambda a, b: slope(a - b), lambda a, b: -slope(a - b), lambda a, b: slope(a - b), special=(0.0, 1.0, 700.25),
    )  # fmt: skip


def _near(*points: float) -> Callable[[Any], bool]:
    return lambda x: any(abs(x - p) < 0.05 * abs(p) for p in points)


def _psi(n: int, **more: Any) -> Row:
    """Digamma's derivatives; left of 0 they have poles at whole numbers, and digamma roots between."""
    return _one(
        partial(m.psi, n), partial(m.psi, n + 1), partial(m.psi, n + 2), inside=_no_pole, **more,
        conditioned=tuple((order, lambda x: -100 < x < 0 or x > 1.4, _AT_ROOT) for order in (1, 2)) if n else (),
    )  # fmt: skip


def _no_pole(x: Any) -> bool:
    return bool(-100 < x < 1e25 and not (x <= 0 and _whole(x)))


@functools.cache
def _erfinv(x: Any) -> Any:
    return m.erfinv(x)


@functools.cache
def _erfcinv(x: Any) -> Any:
    return m.erfinv(1 - x) if x > 0.01 else m.findroot(lambda y: m.log(m.erfc(y) / x), m.sqrt(-m.log(x)))


def _of_inverse(inverse: Formula, sign: int, **more: Any) -> Row:
    def slope(x: Any) -> Any:
        return sign * m.sqrt(m.pi) / 2 * m.exp(inverse(x) ** 2)

    return _one(inverse, slope, lambda x: 2 * inverse(x) * slope(x) ** 2, **more)


def _sinc_slope(x: Any) -> Any:
    return (m.cospi(x) - m.sincpi(x)) / x


_SILU, _SILU2, _GELU = 1.2784645427610738, 2.3993572805154676, 0.7517915246935645

ROWS: dict[str, Row] = {
    "negative": _scaled(lambda: m.mpf(-1)), "positive": _line, "conjugate": _line, "abs": _sign, "fabs": _sign,
    "radians": _scaled(lambda: m.pi / 180), "deg2rad": _scaled(lambda: m.pi / 180),
    "degrees": _scaled(lambda: 180 / m.pi), "rad2deg": _scaled(lambda: 180 / m.pi),
    "square": _one(lambda x: x * x, lambda x: 2 * x, lambda x: m.mpf(2)),
    "sqrt": _one(m.sqrt, lambda x: 1 / (2 * m.sqrt(x)), lambda x: -1 / (4 * x * m.sqrt(x)), inside=_between(0, INF)),
    "cbrt": _one(
        lambda x: m.sign(x) * m.cbrt(abs(x)), lambda x: 1 / (3 * m.cbrt(abs(x)) ** 2),
        lambda x: -2 / (9 * x * m.cbrt(abs(x)) ** 2), **_NOT_ZERO,
    ),
    "reciprocal": _one(lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3, **_NOT_ZERO),
    "exp": _one(m.exp, m.exp, m.exp),
    "exp2": _one(lambda x: m.power(2, x), lambda x: m.log(2) * m.power(2, x), lambda x: m.log(2) ** 2 * m.power(2, x)),
    "expm1": _one(m.expm1, m.exp, m.exp),
    "log": _logs(None), "log2": _logs(2), "log10": _logs(10),
    "log1p": _one(
        m.log1p, lambda x: 1 / (1 + x), lambda x: -1 / (1 + x) ** 2, inside=_between(-1, INF), special=(-1.0,),
    ),
    "sin": _one(m.sin, m.cos, lambda x: -m.sin(x)),
    "cos": _one(m.cos, lambda x: -m.sin(x), lambda x: -m.cos(x)),
    "tan": _one(m.tan, lambda x: m.sec(x) ** 2, lambda x: 2 * m.tan(x) * m.sec(x) ** 2),
    "arcsin": _one(
        m.asin, lambda x: 1 / m.sqrt(_squash(x)), lambda x: x / _squash(x) ** 1.5, inside=_between(-1, 1),
    ),
    "arccos": _one(
        m.acos, lambda x: -1 / m.sqrt(_squash(x)), lambda x: -x / _squash(x) ** 1.5, inside=_between(-1, 1),
    ),
    "arctan": _one(m.atan, lambda x: 1 / (1 + x * x), lambda x: -2 * x / (1 + x * x) ** 2),
    "sinh": _one(m.sinh, m.cosh, m.sinh), "cosh": _one(m.cosh, m.sinh, m.cosh),
    "tanh": _one(m.tanh, _sech2, lambda x: -2 * m.tanh(x) * _sech2(x)),
    "arcsinh": _one(m.asinh, lambda x: 1 / m.sqrt(1 + x * x), lambda x: -x / m.sqrt(1 + x * x) ** 3),
    "arccosh": _one(
        m.acosh, lambda x: 1 / m.sqrt((x - 1) * (x + 1)), lambda x: -x / m.sqrt((x - 1) * (x + 1)) ** 3,
        inside=_between(1, INF),
    ),
    "arctanh": _one(m.atanh, lambda x: 1 / _squash(x), lambda x: 2 * x / _squash(x) ** 2, inside=_between(-1, 1)),
    "sigmoid": _one(_s, _slope_of_s, lambda x: -_slope_of_s(x) * m.tanh(x / 2)),
    "softplus": _one(lambda x: m.log1p(m.exp(x)), _s, _slope_of_s),
    "silu": _one(
        lambda x: x * _s(x), lambda x: _s(x) + x * _slope_of_s(x), lambda x: _slope_of_s(x) * (2 - x * m.tanh(x / 2)),
        special=(-_SILU, -_SILU2, _SILU2),
        conditioned=((1, _near(-_SILU), _AT_ROOT), (2, _near(-_SILU2, _SILU2), _AT_ROOT)),
    ),
    "gelu": _one(
        lambda x: x * _below(x), lambda x: _below(x) + x * _normal(x), lambda x: _normal(x) * (2 - x * x),
        special=(-_GELU, -math.sqrt(2), math.sqrt(2)),
        conditioned=((1, _near(-_GELU), _AT_ROOT), (2, _near(-math.sqrt(2), math.sqrt(2)), _AT_ROOT)),
    ),
    "relu": _one(lambda x: max(x, 0), lambda x: m.mpf(x > 0), _zero, **_NOT_ZERO),
    "leaky_relu": _one(lambda x: max(x, x / 4), lambda x: m.mpf(1 if x > 0 else 0.25), _zero, **_NOT_ZERO,
                       call=lambda x: tg.leaky_relu(x, negative_slope=0.25)),
    "elu": _one(lambda x: x if x > 0 else m.expm1(x) / 2, lambda x: m.mpf(1) if x > 0 else m.exp(x) / 2,
                lambda x: m.mpf(0) if x > 0 else m.exp(x) / 2, **_NOT_ZERO, call=lambda x: tg.elu(x, alpha=0.5)),
    "polygamma": _psi(0, call=tg.digamma), "polygamma, n=3": _psi(3, call=lambda x: tg.polygamma(x, n=3)),
    "gammaln": _one(
        lambda x: m.log(abs(m.gamma(x))), partial(m.psi, 0), partial(m.psi, 1), inside=_no_pole,
        conditioned=((1, lambda x: abs(m.psi(0, x)) < 1, _AT_ROOT),),
    ),
    "gamma": _one(
        m.gamma, lambda x: m.gamma(x) * m.psi(0, x), lambda x: m.gamma(x) * (m.psi(0, x) ** 2 + m.psi(1, x)),
        inside=_no_pole, conditioned=((1, lambda x: abs(m.psi(0, x)) < 1, _AT_ROOT),),
    ),
    "erfinv": _of_inverse(_erfinv, 1, inside=_between(-1, 1)),
    "erfcinv": _of_inverse(_erfcinv, -1, inside=_between(1e-320, 2)),
    "sinc_derivative": _one(
        m.sincpi, _sinc_slope, lambda x: (-m.pi * m.sinpi(x) - 2 * _sinc_slope(x)) / x, inside=lambda x: x != 0,
        bits=2600, call=np.sinc, conditioned=(
            (1, lambda x: abs(m.cospi(x)) < 0.1 * abs(x), _AT_ROOT), (2, lambda x: abs(x) > 0.5, _AT_ROOT),
        ),
    ),
    "huber": _one(
        lambda x: x * x / 2 if abs(x) < 1 else abs(x) - m.mpf(0.5), lambda x: max(-1, min(x, 1)),
        lambda x: m.mpf(abs(x) < 1), inside=lambda x: abs(x) != 1, call=huber,
    ),
    "erf": _one(m.erf, _bell, lambda x: -2 * x * _bell(x)),
    "erfc": _one(m.erfc, lambda x: -_bell(x), lambda x: 2 * x * _bell(x)),
    "ndtr": _one(_below, _normal, lambda x: -x * _normal(x)),
    "logit": _one(
        lambda x: m.log(x) - m.log1p(-x), lambda x: 1 / (x * (1 - x)), lambda x: (2 * x - 1) / (x * (1 - x)) ** 2,
        inside=_between(0, 1), special=(0.5,),
    ),
    "ldexp": _one(lambda x: 8 * x, lambda x: m.mpf(8), _zero, call=lambda x: np.ldexp(x, 3)),
    "add": _two(lambda a, b: a + b, _unit, _unit, _zero, _zero, _zero),
    "subtract": _two(lambda a, b: a - b, _unit, lambda a, b: m.mpf(-1), _zero, _zero, _zero),
    "multiply": _two(
        lambda a, b: a * b, lambda a, b: b, lambda a, b: a, _zero, _unit, _zero,
    ),
    "divide": _two(
        lambda a, b: a / b, lambda a, b: 1 / b, lambda a, b: -a / b**2, _zero, lambda a, b: -1 / b**2,
        lambda a, b: 2 * a / b**3, inside=lambda a, b: b != 0,
    ),
    "power": _powers(), "float_power": _powers(),
    "remainder": _quotient(m.floor), "fmod": _quotient(lambda q: m.floor(q) if q > 0 else m.ceil(q)),
    "copysign": _two(
        lambda a, b: abs(a) * (1 if b > 0 else -1), lambda a, b: m.sign(a) * m.sign(b), _zero, _zero, _zero, _zero,
        inside=lambda a, b: a != 0 and b != 0,
    ),
    "heaviside": _two(lambda a, b: m.mpf(a > 0), _zero, _zero, _zero, _zero, _zero, inside=lambda a, b: a != 0),
    "maximum": _greater, "fmax": _greater, "minimum": _less, "fmin": _less,
    "hypot": _two(
        lambda a, b: m.hypot(a, b), lambda a, b: a / m.hypot(a, b), lambda a, b: b / m.hypot(a, b),
        lambda a, b: b**2 / m.hypot(a, b) ** 3, lambda a, b: -a * b / m.hypot(a, b) ** 3,
        lambda a, b: a**2 / m.hypot(a, b) ** 3, **_NOT_BOTH_ZERO,
    ),
    "arctan2": _two(
        m.atan2, lambda a, b: b / _h2(a, b), lambda a, b: -a / _h2(a, b), lambda a, b: -2 * a * b / _h2(a, b) ** 2,
        lambda a, b: (a - b) * (a + b) / _h2(a, b) ** 2, lambda a, b: 2 * a * b / _h2(a, b) ** 2, **_NOT_BOTH_ZERO,
    ),
    "logaddexp": _softer(lambda: m.mpf(1)), "logaddexp2": _softer(lambda: m.log(2)),
    "xlogy": _two(
        lambda a, b: a * m.log(b), lambda a, b: m.log(b), lambda a, b: a / b, _zero, lambda a, b: 1 / b,
        lambda a, b: -a / b**2, inside=lambda a, b: b > 0,
    ),
    "xlog1py": _two(
        lambda a, b: a * m.log1p(b), lambda a, b: m.log1p(b), lambda a, b: a / (1 + b), _zero, lambda a, b: 1 / (1 + b),
        lambda a, b: -a / (1 + b) ** 2, inside=lambda a, b: b > -1,
    ),
}  # fmt: skip
