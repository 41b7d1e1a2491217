"""The nonlinearities of networks, exact for large inputs and at every precision."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from ..tensor.declaring import elementwise, primitive, sample
from .elementwise import sigmoid
from .settings import finite
from .slopes import gaussian
from .special import erfc


def _relu(x: Any) -> Any:
    """Return max(x, 0). Shapes: (...) -> (...). Source: Nair and Hinton, Rectified linear units improve RBMs (2010)."""
    if type(x) is np.ndarray and x.size > 2000 and x.dtype.char in "fd":
        return x.clip(0, math.inf)  # takes half the time of maximum with a number
    return np.maximum(x, 0)


def _softplus(x: Any) -> Any:
    """Return log(1 + exp(x)), without overflow. Shapes: (...) -> (...)."""
    return np.logaddexp(x, 0)


def _silu(x: Any) -> Any:
    """Return x sigmoid(x), or swish. Shapes: (...) -> (...). Source: Elfwing et al., Sigmoid-weighted units (2017)."""
    x = np.maximum(x, _FAR[0])
    return x * sigmoid.kernel(x)


def _gelu(x: Any) -> Any:
    """Return x times the standard normal's distribution function at x. Shapes: (...) -> (...).

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units (2016), the exact form.
    """
    x = np.maximum(x, _FAR[0])
    return x * (0.5 * erfc.kernel(-x * math.sqrt(0.5)))


# At -inf, x * sigmoid(x) would be inf * 0. Beyond these numbers, which float16 has, silu and gelu are exactly 0 or x.
_FAR = (-6e4, 6e4)

relu: Final     = elementwise(_relu,     lambda g, y: g * (y > 0),                        name="relu", kinks={0: 0})
softplus: Final = elementwise(_softplus, lambda g, x: g * sigmoid.kernel(x),              name="softplus")
silu: Final     = elementwise(_silu,     lambda g, x: g * _silu_slope(np.clip(x, *_FAR)), name="silu")
gelu: Final     = elementwise(_gelu,     lambda g, x: g * _gelu_slope(np.clip(x, *_FAR)), name="gelu")


def _silu_slope(x: Any) -> Any:
    s = sigmoid.kernel(x)
    return s * (1 + x * sigmoid.kernel(-x))


def _gelu_slope(x: Any) -> Any:
    return 0.5 * erfc.kernel(-x * math.sqrt(0.5)) + x * (1 / math.sqrt(2 * math.pi)) * gaussian(x, scale=0.5)


@primitive(pointwise=True, kinks={0: 0.01}, negative_slope=lambda value, inputs: finite("negative_slope", value))
def leaky_relu(x: Any, /, negative_slope: float = 0.01) -> Any:
    """Return x where it is positive, else negative_slope x. Shapes: (...) -> (...). Source: Maas et al. (2013)."""
    return np.where(np.greater(x, 0), x, negative_slope * x)


def _slope(x: Any, left: Any, at_zero: float) -> Any:
    """Return 1 right of 0 and `left` left of 0; at 0 the number of least size between these slopes."""
    smallest = min(max(at_zero, 0), 1)
    return np.where(x > 0, 1, left if smallest == at_zero else np.where(x < 0, left, smallest))


leaky_relu.vjp(lambda g, x, negative_slope: g * _slope(x, negative_slope, negative_slope))


@primitive(pointwise=True, alpha=lambda value, inputs: finite("alpha", value))
def elu(x: Any, /, alpha: float = 1.0) -> Any:
    """Return x if x > 0, else alpha (exp(x) - 1). Shapes: (...) -> (...). Source: Clevert et al., ELUs (2015)."""
    return np.where(np.greater(x, 0), x, alpha * np.expm1(np.minimum(x, 0)))


elu.vjp(lambda g, x, alpha: g * _slope(x, alpha * np.exp(np.minimum(x, 0)), alpha))


# Samples for tests: a tuple stands for random values of that shape.

leaky_relu.samples = [sample((2, 3), negative_slope=0.3)]
elu.samples = [sample((2, 3), alpha=0.5)]
