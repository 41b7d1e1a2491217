"""Nonlinearities as modules, to stand in a Sequential; as functions they are `tg.relu` and so on."""

from __future__ import annotations

from typing import Any, ClassVar

from ..ops.activation import elu, gelu, leaky_relu, relu, silu, softplus
from ..ops.elementwise import sigmoid, tanh
from ..ops.fused import log_softmax, softmax
from ..tensor.creation import as_tensor
from .module import Module


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
    """max(x, 0)."""


class Sigmoid(Identity, function=sigmoid):
    """1 / (1 + exp(-x))."""


class Tanh(Identity, function=tanh):
    """The hyperbolic tangent."""


class GELU(Identity, function=gelu):
    """x times the standard normal's distribution function, exactly."""


class SiLU(Identity, function=silu):
    """x · sigmoid(x), also called swish."""


class Softplus(Identity, function=softplus):
    """log(1 + exp(x))."""


class LeakyReLU(Identity, function=leaky_relu, setting="negative_slope"):
    """x where it is positive, else negative_slope · x.

    >>> LeakyReLU(0.1)([2.0, -1.0]).tolist()
    [2.0, -0.1]
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope


class ELU(Identity, function=elu, setting="alpha"):
    """x where it is positive, else alpha (exp(x) - 1).

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

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis


class LogSoftmax(Softmax, function=log_softmax):
    """The logarithm of softmax, exact where softmax underflows. Shapes: (..., n, ...) -> (..., n, ...)."""
