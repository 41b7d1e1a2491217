"""Losses as modules, with PyTorch's names and defaults: functions as `tg.mse_loss` with settings, averaged unless said.

Formula, shapes, settings and source stand with the function. All are called with (input, target).
"""

from __future__ import annotations

from typing import Any

from ..ops.fused import reduction_of
from ..tensor.creation import as_tensor
from . import label_losses, losses
from .of_functions import OfFunction


class Loss(OfFunction):
    """A function of an input and a target with settings; weights among them are buffers."""

    reduction: str

    def _check(self) -> None:
        reduction_of(self.reduction)
        for name, value in [*vars(self).items()]:
            if name.endswith("weight") and value is not None:
                setattr(self, name, as_tensor(value))


class MSELoss(Loss, function=losses.mse_loss, inputs=2):
    """The squared difference: `tg.mse_loss`.

    >>> MSELoss()([1.0, 3.0], [1.0, 1.0]).item()
    2.0
    """


class L1Loss(Loss, function=losses.l1_loss, inputs=2):
    """The absolute difference: `tg.l1_loss`.

    >>> L1Loss(reduction="sum")([1.0, 3.0], [1.0, 1.0]).item()
    2.0
    """


class HuberLoss(Loss, function=losses.huber_loss, inputs=2):
    """Half the squared difference d where |d| is at most delta, beyond it delta (|d| - delta / 2): `tg.huber_loss`.

    >>> HuberLoss()([1.0, 3.0], [1.0, 1.0]).item()
    0.75
    """


class SmoothL1Loss(Loss, function=losses.smooth_l1_loss, inputs=2):
    """Huber's loss, with beta for delta, divided by beta: `tg.smooth_l1_loss`.

    >>> SmoothL1Loss(beta=2.0)([1.0, 3.0], [1.0, 1.0]).item()
    0.5
    """


class BCELoss(Loss, function=losses.binary_cross_entropy, inputs=2):
    """The binary cross entropy of probabilities; train on logits where you can: `tg.binary_cross_entropy`.

    >>> BCELoss()([0.5, 0.5], [1.0, 0.0]).round(3).item()
    0.693
    """


class BCEWithLogitsLoss(Loss, function=losses.binary_cross_entropy_with_logits, inputs=2):
    """The binary cross entropy of sigmoid(input): `tg.binary_cross_entropy_with_logits`.

    >>> BCEWithLogitsLoss(pos_weight=3.0)([0.0, 0.0], [1.0, 0.0]).round(3).item()
    1.386
    """


class GaussianNLLLoss(Loss, function=losses.gaussian_nll_loss, inputs=3):
    """How unlikely a normal distribution of mean `input` has the target; called with its variance, third, too.

    >>> GaussianNLLLoss()([1.0, 2.0], [1.0, 4.0], [1.0, 1.0]).item()
    1.0
    """


class KLDivLoss(Loss, function=losses.kl_div, inputs=2):
    """The entries of the Kullback-Leibler divergence; `reduction="batchmean"` is the mathematical one: `tg.kl_div`.

    >>> import tinygrad_nn as tg
    >>> KLDivLoss(reduction="sum")(tg.log([0.5, 0.5]), [1.0, 0.0]).round(3).item()
    0.693
    """

    def _check(self) -> None:
        if self.reduction != "batchmean":
            super()._check()


class NLLLoss(Loss, function=label_losses.nll_loss, inputs=2, without="axis"):
    """The negative log-likelihood of class indices, `tg.nll_loss`; the classes are on axis 1.

    Shapes: (N, k, ...), int (N, ...) -> (), or (k,), int () -> ().

    >>> NLLLoss()([[-1.0, -2.0], [-1.0, -2.0]], [0, 1]).item()
    1.5
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        input = as_tensor(input)
        return super().forward(input, target, axis=min(1, input.ndim - 1))


class CrossEntropyLoss(NLLLoss, function=label_losses.cross_entropy, inputs=2, without="axis"):
    """The cross entropy of softmax(input), `tg.cross_entropy`; the classes, indices or probabilities, are on axis 1.

    Shapes: (N, k, ...), int (N, ...) or (N, k, ...) -> (), or (k,), int () or (k,) -> ().

    >>> CrossEntropyLoss()([[0.0, 0.0], [1000.0, 0.0]], [0, 0]).round(3).item()
    0.347
    """
