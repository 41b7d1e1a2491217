"""Nonlinearities as modules, for use in a Sequential; the functions are `tg.relu` and so on."""

from __future__ import annotations

import math
from typing import Any

from ..ops.activation import elu, gelu, leaky_relu, relu, silu, softplus
from ..ops.elementwise import maximum, minimum, sigmoid, tanh
from ..ops.fused import log_softmax, softmax
from ..ops.selection import where
from ..ops.settings import finite, integer, one_of, optional, positive
from ..tensor.creation import as_tensor
from .of_functions import OfFunction, module_of


def _axis(name: str, x: Any) -> Any:
    return tuple([integer(name, n) for n in x]) if isinstance(x, (list, tuple)) else integer(name, x)


ReLU = module_of(relu, "ReLU", __name__)
Tanh = module_of(tanh, "Tanh", __name__)
Sigmoid = module_of(sigmoid, "Sigmoid", __name__)
SiLU = module_of(silu, "SiLU", __name__)
ELU = module_of(elu, "ELU", __name__, alpha=finite)
LeakyReLU = module_of(leaky_relu, "LeakyReLU", __name__, negative_slope=finite)
Softmax = module_of(softmax, "Softmax", __name__, axis=_axis)
LogSoftmax = module_of(log_softmax, "LogSoftmax", __name__, axis=_axis)


class Identity(OfFunction, function=lambda x: as_tensor(x)):
    """Returns its input unchanged. Shapes: (...) -> (...).

    >>> import tinygrad_nn as tg
    >>> tg.nn.Identity()([1.0, -1.0]).tolist()
    [1.0, -1.0]
    """


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        return gelu(x)
    x = maximum(x, -40)  # from here on the sigmoid is 0, and from 40 on 1
    z = minimum(x, 40)
    return x * sigmoid(math.sqrt(8 / math.pi) * (z + 0.044715 * z * z * z))


class GELU(OfFunction, function=_gelu, settings={"approximate": one_of("none", "tanh")}):
    """Gaussian error linear unit: x times the standard normal's distribution function. Shapes: (...) -> (...).

    `approximate="tanh"`, PyTorch's name, gives the approximation x · sigmoid(√(8/π) (x + 0.044715 x³)). Source:
    Hendrycks and Gimpel, Gaussian error linear units (2016).

    >>> import tinygrad_nn as tg
    >>> tg.nn.GELU()(1.0).round(4).item(), tg.nn.GELU(approximate="tanh")(1.0).round(4).item()
    (0.8413, 0.8412)
    """


def _softplus(x: Any, beta: float = 1.0, threshold: float | None = None) -> Any:
    y = softplus(x) if beta == 1 else softplus(as_tensor(x) * beta) / beta
    return y if threshold is None else where(as_tensor(x) * beta > threshold, x, y)


class Softplus(OfFunction, function=_softplus, settings={"beta": positive, "threshold": optional(finite)}):
    """Smooth rectifier: log(1 + exp(beta x)) / beta. Shapes: (...) -> (...).

    With a `threshold` it returns x where beta x is larger. PyTorch's default of 20 loses digits.
    Source: Dugas et al., Incorporating second-order functional knowledge for better option pricing (2001).

    >>> import tinygrad_nn as tg
    >>> tg.nn.Softplus(2.0, threshold=1.0)([0.0, 1.0]).round(3).tolist()
    [0.347, 1.0]
    """
