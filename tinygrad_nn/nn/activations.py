"""Nonlinearities as modules, to stand in a Sequential; as functions they are `tg.relu` and so on."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ..ops.activation import elu, gelu, leaky_relu, relu, silu, softplus
from ..ops.elementwise import maximum, minimum, sigmoid, tanh
from ..ops.fused import log_softmax, softmax
from ..ops.selection import where
from ..tensor.creation import as_tensor
from .module import Module, without_dim


class Identity(Module):
    """The input as it is. Its subclasses apply a function to each entry. Shapes: (...) -> (...).

    >>> Identity()([1.0, -1.0]).tolist(), ReLU()([1.0, -1.0]).tolist(), Sigmoid()(0.0).item()
    ([1.0, -1.0], [1.0, 0.0], 0.5)
    """

    _function: ClassVar[Any] = staticmethod(as_tensor)
    _setting: ClassVar[str | None] = None

    def __init_subclass__(cls, function: Any = None, setting: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if function is not None:
            cls._function = staticmethod(function)
        cls._setting = setting or cls._setting

    def forward(self, x: Any) -> Any:
        """Return the function of each entry. Shapes: (...) -> (...)."""
        return self._function(x) if self._setting is None else self._function(x, getattr(self, self._setting))


class ReLU(Identity, function=relu):
    """max(x, 0). Shapes: (...) -> (...).

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.nn.ReLU()(np.array([-1.0, 0.0, 2.0]))
    tg.tensor([0., 0., 2.], dtype='float64')
    """


class Sigmoid(Identity, function=sigmoid):
    """1 / (1 + exp(-x)). Shapes: (...) -> (...).

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.nn.Sigmoid()(np.array([-1.0, 0.0, 2.0])).numpy()
    array([0.26894142, 0.5       , 0.88079708])
    """


class Tanh(Identity, function=tanh):
    """The hyperbolic tangent. Shapes: (...) -> (...).

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.nn.Tanh()(np.array([-1.0, 0.0, 2.0])).numpy()
    array([-0.76159416,  0.        ,  0.96402758])
    """


class GELU(Identity, function=gelu):
    """x times the standard normal's distribution function, or what is near it, x · sigmoid(√(8/π) (x + 0.044715 x³)).

    Exactly unless `approximate="tanh"`, as PyTorch calls the other. Shapes: (...) -> (...).
    Source: Hendrycks and Gimpel, Gaussian error linear units (2016).

    >>> GELU()(1.0).round(4).item(), GELU(approximate="tanh")(1.0).round(4).item()
    (0.8413, 0.8412)
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate is {approximate!r}; write 'none' or 'tanh'")
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        """Return the function of each entry. Shapes: (...) -> (...)."""
        if self.approximate == "none":
            return gelu(x)
        x = maximum(x, -40)  # from here on the sigmoid is 0, and from 40 on 1
        z = minimum(x, 40)
        return x * sigmoid(math.sqrt(8 / math.pi) * (z + 0.044715 * z * z * z))


class SiLU(Identity, function=silu):
    """x · sigmoid(x), also called swish. Shapes: (...) -> (...).

    Source: Elfwing, Uchibe and Doya, Sigmoid-weighted linear units (2017).

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.nn.SiLU()(np.array([-1.0, 0.0, 2.0])).numpy()
    array([-0.26894142,  0.        ,  1.76159416])
    """


class Softplus(Identity, function=softplus):
    """log(1 + exp(beta x)) / beta. Shapes: (...) -> (...).

    With a `threshold` it is x where beta x is above it: PyTorch's is 20, and loses digits.

    >>> Softplus()([0.0, 1000.0]).round(3).tolist(), Softplus(2.0, threshold=1.0)([0.0, 1.0]).round(3).tolist()
    ([0.693, 1000.0], [0.347, 1.0])
    """

    def __init__(self, beta: float = 1.0, threshold: float | None = None) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Any) -> Any:
        """Return the function of each entry. Shapes: (...) -> (...)."""
        y = softplus(x) if self.beta == 1 else softplus(as_tensor(x) * self.beta) / self.beta
        return y if self.threshold is None else where(as_tensor(x) * self.beta > self.threshold, x, y)


class LeakyReLU(Identity, function=leaky_relu, setting="negative_slope"):
    """x where it is positive, else negative_slope · x. Shapes: (...) -> (...).

    Source: Maas, Hannun and Ng, Rectifier nonlinearities improve neural network acoustic models (2013).

    >>> LeakyReLU(0.1)([2.0, -1.0]).tolist()
    [2.0, -0.1]
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope


class ELU(Identity, function=elu, setting="alpha"):
    """x where it is positive, else alpha (exp(x) - 1). Shapes: (...) -> (...).

    Source: Clevert, Unterthiner and Hochreiter, Fast and accurate deep network learning by ELUs (2015).

    >>> ELU(2.0)([2.0, -1000.0]).tolist()
    [2.0, -2.0]
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha


class Softmax(Identity, function=softmax, setting="axis"):
    """exp(x) / sum(exp(x)) over an axis, shares of 1. Shapes: (..., n, ...) -> (..., n, ...).

    >>> Softmax()([0.0, 0.0]).tolist(), LogSoftmax()([0.0, -1000.0]).tolist()
    ([0.5, 0.5], [0.0, -1000.0])
    """

    @without_dim
    def __init__(self, axis: int = -1) -> None:
        self.axis = axis


class LogSoftmax(Softmax, function=log_softmax):
    """The logarithm of softmax, exact where softmax underflows. Shapes: (..., n, ...) -> (..., n, ...).

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.nn.LogSoftmax()(np.array([1000.0, 0.0]))
    tg.tensor([    0., -1000.], dtype='float64')
    """
