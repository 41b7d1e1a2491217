"""Losses as modules, with PyTorch's names and defaults; as functions they are `tg.mse_loss` and so on."""

from __future__ import annotations

from inspect import signature
from typing import Any, ClassVar

from ..ops.fused import reduction_of
from ..tensor.creation import as_tensor
from .label_losses import cross_entropy, nll_loss
from .losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from .module import Module


class Loss(Module):
    """A function of an input and a target with settings; weights among them are buffers."""

    _function: ClassVar[Any]
    _names: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, function: Any = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if function is not None:
            cls._function, cls._names = staticmethod(function), tuple(signature(function).parameters)

    def __init__(self, **settings: Any) -> None:
        for name, value in settings.items():
            setattr(self, name, as_tensor(value) if name.endswith("weight") and value is not None else value)

    def forward(self, input: Any, target: Any, *others: Any, **settings: Any) -> Any:
        """Return the loss. Shapes: (...), (...) -> (), or that of the losses for `reduction="none"`."""
        own = {name: value for name, value in vars(self).items() if name in self._names}
        return self._function(input, target, *others, **own | settings)


class MSELoss(Loss, function=mse_loss):
    """The squared difference, averaged. Shapes: (...), (...) -> ().

    >>> MSELoss()([1.0, 3.0], [1.0, 1.0]).item(), L1Loss(reduction="sum")([1.0, 3.0], [1.0, 1.0]).item()
    (2.0, 2.0)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction_of(reduction))


class L1Loss(MSELoss, function=l1_loss):
    """The absolute difference, averaged. Shapes: (...), (...) -> ().

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.nn.L1Loss()(np.array([1.0, 2.0]), np.array([1.0, 4.0])).item()
    1.0
    """


class HuberLoss(Loss, function=huber_loss):
    """Half the squared difference d where |d| is at most delta, beyond it delta (|d| - delta / 2), averaged.

    Shapes: (...), (...) -> (). Source: Huber, Robust Estimation of a Location Parameter (1964).

    >>> HuberLoss()([1.0, 3.0], [1.0, 1.0]).item()
    0.75
    """

    def __init__(self, *, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction_of(reduction), delta=delta)


class SmoothL1Loss(Loss, function=smooth_l1_loss):
    """Huber's loss divided by beta, averaged. Shapes: (...), (...) -> ().

    >>> SmoothL1Loss(beta=2.0)([1.0, 3.0], [1.0, 1.0]).item()
    0.5
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction_of(reduction), beta=beta)


class BCELoss(Loss, function=binary_cross_entropy):
    """The binary cross entropy of probabilities, averaged; train on logits where you can. Shapes: (...), (...) -> ().

    >>> round(BCELoss()([0.5, 0.5], [1.0, 0.0]).item(), 3)
    0.693
    """

    def __init__(self, weight: Any = None, *, reduction: str = "mean") -> None:
        super().__init__(weight=weight, reduction=reduction_of(reduction))


class BCEWithLogitsLoss(Loss, function=binary_cross_entropy_with_logits):
    """The binary cross entropy of sigmoid(input), averaged; `pos_weight` multiplies that of positive labels.

    Shapes: (...), (...) -> (), with weights that broadcast.

    >>> round(BCEWithLogitsLoss(pos_weight=3.0)([0.0, 0.0], [1.0, 0.0]).item(), 3)
    1.386
    """

    def __init__(self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(weight=weight, reduction=reduction_of(reduction), pos_weight=pos_weight)


class GaussianNLLLoss(Loss, function=gaussian_nll_loss):
    """How unlikely a normal distribution has the target: called with its mean, the target, and its variance.

    Shapes: (..., n), (..., n), (..., n) or (..., 1) -> (). Source: that of `tg.gaussian_nll_loss`.

    >>> GaussianNLLLoss()([1.0, 2.0], [1.0, 4.0], [1.0, 1.0]).item()
    1.0
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(full=full, eps=eps, reduction=reduction_of(reduction))


class KLDivLoss(Loss, function=kl_div):
    """The entries of the Kullback-Leibler divergence, averaged; `reduction="batchmean"` is the mathematical one.

    Shapes: (...), (...) -> (). Source: Kullback and Leibler, On information and sufficiency (1951).

    >>> import tinygrad_nn as tg
    >>> round(KLDivLoss(reduction="sum")(tg.log([0.5, 0.5]), [1.0, 0.0]).item(), 3)
    0.693
    """

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        checked = reduction if reduction == "batchmean" else reduction_of(reduction)
        super().__init__(reduction=checked, log_target=log_target)


class NLLLoss(Loss, function=nll_loss):
    """The negative log-likelihood of class indices, averaged; the classes are on axis 1.

    Shapes: (N, k, ...), int (N, ...) -> (), or (k,), int () -> ().

    >>> NLLLoss()([[-1.0, -2.0], [-1.0, -2.0]], [0, 1]).item()
    1.5
    """

    def __init__(self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction_of(reduction))

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        input = as_tensor(input)
        return super().forward(input, target, axis=min(1, input.ndim - 1))


class CrossEntropyLoss(NLLLoss, function=cross_entropy):
    """The cross entropy of softmax(input) with class indices or probabilities; the classes are on axis 1.

    Shapes: (N, k, ...), int (N, ...) or (N, k, ...) -> (), or (k,), int () or (k,) -> ().

    >>> round(CrossEntropyLoss()([[0.0, 0.0], [1000.0, 0.0]], [0, 0]).item(), 3)
    0.347
    """

    def __init__(
        self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction)
        self.label_smoothing = label_smoothing
