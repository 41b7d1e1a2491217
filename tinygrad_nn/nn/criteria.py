"""Losses as modules, with PyTorch's names and defaults: functions such as `tg.mse_loss` with their settings.

Formula, shapes, settings and source are in the function's documentation. All are called with (input, target).
"""

from __future__ import annotations

from typing import Any

from ..ops.settings import integer, number, one_of, positive, share
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor
from . import losses
from .label_losses import cross_entropy, nll_loss
from .module import Buffer
from .of_functions import OfFunction, module_of


def _weight(name: str, x: Any) -> Any:
    if x is None or (isinstance(x, Tensor) and x.requires_grad):  # one that is trained stays a parameter
        return x
    return Buffer(x)


class Loss(OfFunction, settings={"reduction": one_of("mean", "sum", "none"), "weight": _weight, "pos_weight": _weight}):
    """A loss function with its settings; weights among them are buffers."""


MSELoss = module_of(losses.mse_loss, "MSELoss", __name__, 2, Loss)
L1Loss = module_of(losses.l1_loss, "L1Loss", __name__, 2, Loss)
HuberLoss = module_of(losses.huber_loss, "HuberLoss", __name__, 2, Loss, delta=positive)
SmoothL1Loss = module_of(losses.smooth_l1_loss, "SmoothL1Loss", __name__, 2, Loss, beta=number)
BCELoss = module_of(losses.binary_cross_entropy, "BCELoss", __name__, 2, Loss)
BCEWithLogitsLoss = module_of(losses.binary_cross_entropy_with_logits, "BCEWithLogitsLoss", __name__, 2, Loss)
GaussianNLLLoss = module_of(losses.gaussian_nll_loss, "GaussianNLLLoss", __name__, 3, Loss, eps=positive)
_OF_KL = one_of("mean", "sum", "none", "batchmean")
KLDivLoss = module_of(losses.kl_div, "KLDivLoss", __name__, 2, Loss, reduction=_OF_KL)


class NLLLoss(Loss, function=nll_loss, inputs=2, without="axis", settings={"ignore_index": integer}):
    """The negative log-likelihood of class indices, `tg.nll_loss`; the classes are on axis 1.

    Shapes: (N, k, ...), int (N, ...) -> (), or (k,), int () -> ().

    >>> import tinygrad_nn as tg
    >>> tg.nn.NLLLoss()([[-1.0, -2.0], [-1.0, -2.0]], [0, 1]).item()
    1.5
    """

    def forward(self, input: Any, target: Any) -> Any:
        """Return the loss."""
        input = as_tensor(input)
        return super().forward(input, target, axis=min(1, input.ndim - 1))


class CrossEntropyLoss(NLLLoss, function=cross_entropy, inputs=2, without="axis", settings={"label_smoothing": share}):
    """The cross entropy of softmax(input), `tg.cross_entropy`; the classes, indices or probabilities, are on axis 1.

    Shapes: (N, k, ...), int (N, ...) or (N, k, ...) -> (), or (k,), int () or (k,) -> ().

    >>> import tinygrad_nn as tg
    >>> tg.nn.CrossEntropyLoss()([[0.0, 0.0], [1000.0, 0.0]], [0, 0]).round(3).item()
    0.347
    """
