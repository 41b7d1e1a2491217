"""Special functions: by SciPy if it is installed, else by NumPy alone or with a clear error; the rules are our own."""

# ruff: noqa: E501
from __future__ import annotations

import math
from functools import partial
from typing import Any, Final

import numpy as np

from ..errors import missing
from ..tensor.creation import array_of, as_tensor
from ..tensor.declaring import PUBLIC, composite, elementwise, primitive, sample
from ..tensor.numpy_protocols import SCIPY_FUNCTIONS
from .elementwise import sigmoid
from .slopes import edge_product, gaussian


def _floats(x: Any) -> tuple[Any, np.dtype[Any]]:
    """Return an array and the dtype of results: its own, or float64 for integers."""
    x = array_of(x)
    return x, x.dtype if x.dtype.kind in "fc" else np.dtype(float)


def _by_scipy(name: str, one: Any, x: Any, *before: Any) -> Any:
    """Return scipy.special's function of the array, or `one` of each number if SciPy isn't installed.

    `before` are arguments in front of the array. Raises ImportError without SciPy if `one` is None.
    """
    x, dtype = _floats(x)
    try:
        import scipy.special
    except ImportError:
        if one is None:
            raise ImportError(missing(f"{name} takes its values from SciPy", "scipy")) from None
        return np.asarray(np.frompyfunc(one, 1, 1)(x)).astype(dtype)
    y = getattr(scipy.special, name)(*before, x.astype(np.float32) if dtype.char == "e" else x)
    return np.asarray(y).astype(dtype)


def _of_scipy(name: str, returned: str, *rules: Any, one: Any = None, **declared: Any) -> Any:
    """Declare SciPy's function, with a rule per operand; without SciPy, `one` computes each number, if it is given."""

    def of_one(x: Any) -> Any:
        return _by_scipy(name, one, x)

    def of_two(a: Any, b: Any) -> Any:
        return np.asarray(_by_scipy(name, None, b, a), _result_dtype(a, b))

    of_one.__doc__ = f"Return {returned}. Shapes: (...) -> (...)."
    of_two.__doc__ = f"Return {returned}. Shapes broadcast: (...), (...) -> (...)."
    SCIPY_FUNCTIONS[name] = elementwise(of_one if len(rules) == 1 else of_two, *rules, name=name, **declared)
    return SCIPY_FUNCTIONS[name]


def _result_dtype(a: Any, b: Any) -> np.dtype[Any]:
    """Return the dtype of a result: Python numbers are weak beside arrays, and float64 alone."""
    return np.result_type(a, b, np.float16 if hasattr(a, "dtype") or hasattr(b, "dtype") else np.float64)


def _log_gamma(x: float) -> float:
    return math.inf if x in (0, -math.inf) or (x < 0 and x == math.floor(x)) else math.lgamma(x)


def _normal_share(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _logit(x: Any) -> Any:
    """Return log(x / (1 - x)), the inverse of the sigmoid. Shapes: (...) -> (...)."""
    return np.log(x) - np.log1p(0.0 - x)  # not -x, which wraps for unsigned integers


def _xlogy(a: Any, b: Any) -> Any:
    """Return a * log(b), and 0 where a is 0. Shapes broadcast: (...), (...) -> (...)."""
    return array_of(a * np.log(np.where(a == 0, 1, b)), _result_dtype(a, b))


def _xlog1py(a: Any, b: Any) -> Any:
    """Return a * log(1 + b), and 0 where a is 0. Shapes broadcast: (...), (...) -> (...)."""
    return array_of(a * np.log1p(np.where(a == 0, 0, b)), _result_dtype(a, b))


def _quotient(a: Any, b: Any) -> Any:
    """Return a / b, and 0 where both are 0."""
    nothing = (a == 0) & (b == 0)
    return np.where(nothing, 0, a / np.where(nothing, 1, b))


def _polygamma(x: Any) -> Any:
    return polygamma.kernel(x, n=0)


def _rgamma_slope(x: Any) -> Any:
    """Return the derivative of 1 / gamma(x): left of 0.5 by reflection, which is finite at 0, -1, -2, ..."""
    left = x < 0.5
    a, b = np.where(left, 1 - x, 1), np.where(left, 1, x)
    whole = np.rint(x)
    turned = math.pi * np.where(left, x - whole, 0)
    slope = gamma.kernel(a) * (np.cos(turned) - np.sin(turned) * _polygamma(a) / math.pi)
    return np.where(left, slope * (1 - 2 * (whole % 2)), -rgamma.kernel(b) * _polygamma(b))


_ROOT_PI = math.sqrt(math.pi)


@primitive(name="inverse_error_slope", pointwise=True, method=False, domain=(-0.9, 0.9))
def _slope_of_inverse(x: Any, /, complement: bool = False) -> Any:
    """Return the derivative of erfinv at x, or minus that of erfcinv: sqrt(pi)/2 exp(y^2), as erfcx(|y|) / erfc(|y|)."""
    y, edge = _by_scipy("erfcinv" if complement else "erfinv", None, x), np.minimum(x, 2 - x) if complement else 1 - np.abs(x)
    return _ROOT_PI / 2 * _by_scipy("erfcx", None, np.abs(y)) / edge


@_slope_of_inverse.vjp
def _slope_of_slope(g: Any, x: Any, y: Any, complement: bool) -> Any:
    return g * ((-2 * erfcinv.kernel(x) if complement else 2 * erfinv.kernel(x)) * y * y)


erf: Final      = _of_scipy("erf",     "the error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x",
                            lambda g, x: g * (2 / _ROOT_PI * gaussian(x)), one=math.erf)
erfc: Final     = _of_scipy("erfc",    "1 - erf(x), exact for large x too, where it is close to 0",
                            lambda g, x: g * (-2 / _ROOT_PI * gaussian(x)), one=math.erfc)
gammaln: Final  = _of_scipy("gammaln", "log|gamma(x)|; its derivative is digamma",
                            lambda g, x: g * _polygamma(x), one=_log_gamma, domain=(0.5, 3))
gamma: Final    = _of_scipy("gamma",   "the gamma function, (x - 1)! at whole numbers",
                            lambda g, x, y: g * (y * _polygamma(x)), domain=(0.5, 3))
rgamma: Final   = _of_scipy("rgamma",  "1 / gamma(x), which is 0 at 0, -1, -2 and so on",
                            lambda g, x: g * _rgamma_slope(x), domain=(-2, 3))
beta: Final     = _of_scipy("beta",    "gamma(a) * gamma(b) / gamma(a + b)",
                            lambda g, a, b, y: g * (y * (_polygamma(a) - _polygamma(a + b))),
                            lambda g, a, b, y: g * (y * (_polygamma(b) - _polygamma(a + b))), method=False, masks=True, domain=(0.5, 3))
betaln: Final   = _of_scipy("betaln",  "log|beta(a, b)|",
                            lambda g, a, b: g * (_polygamma(a) - _polygamma(a + b)),
                            lambda g, a, b: g * (_polygamma(b) - _polygamma(a + b)), method=False, masks=True, domain=(0.5, 3))
erfinv: Final   = _of_scipy("erfinv",  "the inverse of erf, for x between -1 and 1",
                            lambda g, x: g * _slope_of_inverse.kernel(x), domain=(-0.9, 0.9))
erfcinv: Final  = _of_scipy("erfcinv", "the inverse of erfc, for x between 0 and 2",
                            lambda g, x: g * -_slope_of_inverse.kernel(x, complement=True), domain=(0.1, 1.9))
ndtr: Final     = _of_scipy("ndtr",    "the share of a standard normal distribution that lies below x",
                            lambda g, x: g * (gaussian(x, scale=0.5) / math.sqrt(2 * math.pi)),
                            one=_normal_share)
logit: Final    = elementwise(_logit,   lambda g, x: g / edge_product(x, low=0.0, high=1.0), name="logit", domain=(0.1, 0.9))
xlogy: Final    = elementwise(_xlogy,   lambda g, b: g * np.log(b),
                                        lambda g, a, b: g * _quotient(a, b), name="xlogy", method=False, masks=True, domain=(0.5, 2))
xlog1py: Final  = elementwise(_xlog1py, lambda g, b: g * np.log1p(b),
                                        lambda g, a, b: g * _quotient(a, 1 + b), name="xlog1py", method=False, masks=True, domain=(0.5, 2))
PUBLIC["expit"] = sigmoid
SCIPY_FUNCTIONS |= {"expit": sigmoid, "logit": logit, "xlogy": xlogy, "xlog1py": xlog1py}

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)


def _asymptotic(x: np.ndarray, n: int) -> Any:
    """Return the n-th derivative of digamma for large x."""
    if n == 0:
        return np.log(x) - 0.5 / x - sum(b / (2 * k * x ** (2 * k)) for k, b in enumerate(_BERNOULLI, start=1))
    total = math.factorial(n - 1) / x**n + math.factorial(n) / (2 * x ** (n + 1))
    for k, b in enumerate(_BERNOULLI, start=1):
        total = total + b * math.factorial(2 * k + n - 1) / math.factorial(2 * k) / x ** (2 * k + n)
    return (-1) ** (n + 1) * total


def _right_of_half(x: np.ndarray, n: int) -> Any:
    """Return the n-th derivative of digamma for x >= 0.5: by recurrence from x + steps, where the series is exact."""
    steps = 15 + n
    far = _asymptotic(x + steps, n)
    return far - (-1) ** n * math.factorial(n) * sum(1 / (x + k) ** (n + 1) for k in range(steps - 1, -1, -1))


def _reflected(x: np.ndarray, n: int) -> Any:
    """Return pi times the n-th derivative of cot(pi x), a polynomial in the cotangent."""
    polynomial = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(n):
        polynomial = -math.pi * np.polynomial.Polynomial([1.0, 0.0, 1.0]) * polynomial.deriv()
    r = x - np.rint(x)
    near = np.abs(r) < 1e-9  # next to a pole, where only the first term counts
    pole = (-1) ** n * math.factorial(n) / np.where(near, r, 1) ** (n + 1)
    rest = 0.5 - np.abs(r)  # the cotangent is 0 at a half
    cotangent = np.where(rest < 0.25, np.sign(r) * np.tan(math.pi * rest), 1 / np.tan(math.pi * np.where(near, 0.25, r)))
    return np.where(near, pole, math.pi * polynomial(cotangent))


def _order(value: Any, inputs: Any) -> int:
    if int(value) != value or value < 0:
        raise ValueError(f"the order n must be a whole number of at least 0, not {value!r}")
    return int(value)


@primitive(pointwise=True, domain=(0.5, 3), n=_order)
def polygamma(x: Any, /, n: int = 0) -> Any:
    """Return the n-th derivative of digamma; nan at its poles 0, -1, -2, ... Shapes: (...) -> (...).

    Source: Abramowitz and Stegun, 6.4.6 (recurrence), 6.4.7 (reflection) and 6.4.11 (asymptotic series).
    """
    x, dtype = _floats(x)
    x = x.astype(np.float64, casting="same_kind")  # raises for complex numbers
    left = x < 0.5
    with np.errstate(all="ignore"):
        y = _right_of_half(np.where(left, 1 - x, x), n)
        y = np.where(left, (-1) ** n * y - _reflected(x, n), y)
    return np.where((x <= 0) & (x == np.floor(x)), np.nan, y).astype(dtype)


polygamma.vjp(lambda g, x, n: g * polygamma.kernel(x, n=n + 1))


@composite()
def digamma(x: Any) -> Any:
    """Return the derivative of log(gamma(x)). Shapes: (...) -> (...)."""
    return polygamma(x)


SCIPY_FUNCTIONS["psi"] = digamma


@primitive(name="bessel", pointwise=True, method=False)
def _bessel(x: Any, /, kind: str = "j", n: int = 0) -> Any:
    """Return the Bessel function J, Y or I (kind "j", "y" or "i") of integer order n. Shapes: (...) -> (...)."""
    sign, n = -1 if n < 0 and n % 2 and kind != "i" else 1, abs(n)
    own = f"{kind}{n}"
    return sign * (_by_scipy(own, np.i0 if own == "i0" else None, x) if n < 2 else _by_scipy(f"{kind}v", None, x, n))


@_bessel.vjp
def _bessel_slope(g: Any, x: Any, kind: str, n: int) -> Any:
    """Source: Abramowitz and Stegun, 9.1.27 and 9.6.26."""
    below, above = _bessel.kernel(x, kind=kind, n=n - 1), _bessel.kernel(x, kind=kind, n=n + 1)
    return g * ((below + above if kind == "i" else below - above) / 2)


SCIPY_FUNCTIONS |= {name: partial(_bessel, kind=name[0], n=int(name[1])) for name in ("j0", "j1", "y0", "y1", "i0", "i1")}


@composite(numpy=[np.i0], method=False)
def i0(x: Any) -> Any:
    """Return the modified Bessel function of order 0; its derivatives need SciPy. Shapes: (...) -> (...)."""
    return _bessel(x, "i")


def _sinc_slope(x: np.ndarray, n: int) -> Any:
    """Return the n-th derivative of sin(pi x) / (pi x): by its series near 0, by recurrence elsewhere.

    The recurrence comes from differentiating pi x sinc(x) = sin(pi x) n times.
    """
    near = np.abs(x) < 1
    small, far = np.where(near, x, 0.0), np.where(near, 1.0, x)
    series: Any = 0.0
    for k in range((n + 1) // 2, (n + 1) // 2 + 18):
        scale = (-1) ** k * math.pi ** (2 * k) / (2 * k + 1) / math.factorial(2 * k - n)
        series = series + scale * small ** (2 * k - n)
    whole = np.rint(far)  # sin(pi x) is computed from x - whole: for large x, pi x would lose digits
    sign, turned = 1 - 2 * (whole % 2), math.pi * (far - whole)
    waves = [sign * wave for wave in (np.sin(turned), np.cos(turned), -np.sin(turned), -np.cos(turned))]
    recurrence = waves[0] / (math.pi * far)
    for order in range(1, n + 1):
        recurrence = (math.pi ** (order - 1) * waves[order % 4] - order * recurrence) / far
    return np.where(near, series, recurrence)


@primitive(name="sinc_derivative", pointwise=True, method=False, n=_order)
def _sinc_derivative(x: Any, /, n: int = 0) -> Any:
    """Return the n-th derivative of sin(pi x) / (pi x); at 0, its limit."""
    x, dtype = _floats(x)
    wide = x.astype(np.float64, casting="same_kind")  # raises for complex numbers
    y = _sinc_slope(wide, n) if n else np.sinc(x.astype(np.float32) if x.dtype.char == "e" else x)
    return np.asarray(y).astype(dtype)


_sinc_derivative.vjp(lambda g, x, n: g * _sinc_derivative.kernel(x, n=n + 1))


@composite(numpy=[np.sinc], method=False)
def sinc(x: Any) -> Any:
    """Return sin(pi x) / (pi x), and 1 at 0, where the derivative is 0. Shapes: (...) -> (...)."""
    return as_tensor(np.sinc(as_tensor(x).data)) if np.iscomplexobj(x) else _sinc_derivative(x, 0)


# Samples for tests: a tuple stands for random values of that shape.

_slope_of_inverse.samples = [sample(np.array([0.25, 1.0, 1.75]), complement=True)]
polygamma.samples = [sample(np.array([0.25, 1.75, 7.0, 30.0])), sample(np.array([[-0.5], [-3.25]])), sample((2,), n=3)]
digamma.samples = [sample(np.array([[0.25], [3.5]])), sample(np.array(2.5)), sample((0,))]
_bessel.samples = [
    sample((2, 3), kind="j"), sample((), kind="i", n=1), sample(np.array([0.5, 3.0, 9.0]), kind="y", n=1),
    sample((0,), kind="i"), sample(np.array([-1.5, 0.0, 2.0]), kind="j", n=-2),
]  # fmt: skip
i0.samples = sinc.samples = [sample((2, 3)), sample(np.zeros(2)), sample(()), sample((0,))]
_sinc_derivative.samples = [
    sample(np.array([-2.5, -1.0, 1e-9, 0.0, 0.3, 1.7])), sample((2, 2), n=1), sample((), n=2), sample((0,), n=3),
    sample(np.array([0.0, 0.999, 1.0, 5.0]), n=3),
]  # fmt: skip
