"""Losses that compare entry by entry, as functions with PyTorch's names, formulas and defaults."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ops.activation import softplus
from ..ops.elementwise import absolute as abs
from ..ops.elementwise import exp, log, square
from ..ops.fused import at_least, bernoulli_cross_entropy, huber, reduction_of, sigmoid_cross_entropy
from ..ops.reduction import mean, sum
from ..ops.settings import number, positive
from ..ops.special import xlogy
from ..tensor.creation import as_tensor
from ..tensor.declaring import composite, sample
from ..tensor.handle import Tensor


def reduced(losses: Any, reduction: str, total: Any = None) -> Any:
    """Return the losses, their sum, or their mean: the sum divided by `total` (None: the number of losses)."""
    if reduction_of(reduction) == "none":
        return losses
    if reduction == "mean":
        return mean(losses) if total is None else sum(losses) / total
    return sum(losses)


def like(input: Tensor, x: Any) -> Any:
    """Return a Tensor in the input's dtype, so that float64 targets don't make a float32 loss float64."""
    x = as_tensor(x)
    return x.astype(input.dtype) if input.dtype.kind == "f" and x.dtype != input.dtype else x


def targets(loss: str, input: Tensor, target: Tensor) -> Any:
    """Return the targets in the input's dtype. Raises ValueError unless they have its shape."""
    if target.shape != input.shape:
        raise ValueError(
            f"{loss} compares entry by entry, but got shapes {input.shape} and {target.shape}; "
            f"write y.reshape({input.shape}) if they hold the same entries"
        )
    return like(input, target)


def _factors(input: Tensor, weights: Any) -> Any:
    """Return weights in the input's dtype. Raises ValueError unless they broadcast to its shape."""
    if np.broadcast_shapes(np.shape(weights), input.shape) != input.shape:
        raise ValueError(f"weights of shape {np.shape(weights)} don't broadcast to {input.shape}; reshape them")
    return like(input, weights)


@composite(method=False)
def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Any:
    """Return the squared difference, averaged over all entries. Shapes: (...), (...) -> ().

    `reduction` is "mean", "sum" or "none", here as in all losses. Raises ValueError for different shapes.

    >>> import tinygrad_nn as tg
    >>> tg.mse_loss([1.0, 3.0], [1.0, 1.0]).item()
    2.0
    """
    return reduced(square(input - targets("mse_loss", input, target)), reduction)


@composite(method=False)
def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Any:
    """Return the absolute difference, averaged over all entries. Shapes: (...), (...) -> ().

    >>> import tinygrad_nn as tg
    >>> tg.l1_loss([1.0, 3.0], [1.0, 1.0]).item()
    1.0
    """
    return reduced(abs(input - targets("l1_loss", input, target)), reduction)


@composite(method=False)
def huber_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Return the mean of d² / 2 where the difference |d| <= `delta`, else of delta (|d| - delta / 2).

    Shapes: (...), (...) -> (). Source: Huber, Robust Estimation of a Location Parameter (1964).

    >>> import tinygrad_nn as tg
    >>> tg.huber_loss([1.0, 3.0], [1.0, 1.0], reduction="none").tolist()
    [0.0, 1.5]
    """
    positive("delta", delta)
    return reduced(huber(input - targets("huber_loss", input, target), delta=delta), reduction)


@composite(method=False)
def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Return the mean of d² / (2 beta) where the difference |d| < `beta`, else of |d| - beta / 2.

    Shapes: (...), (...) -> (). This is `huber_loss` divided by beta; with beta = 0 it is `l1_loss`.
    Source: Girshick, Fast R-CNN (2015), equation 3, where beta is 1.

    >>> import tinygrad_nn as tg
    >>> tg.smooth_l1_loss([1.0, 3.0], [1.0, 1.0], reduction="none", beta=2.0).tolist()
    [0.0, 1.0]
    """
    d = input - targets("smooth_l1_loss", input, target)
    return reduced(huber(d, delta=beta) / beta if number("beta", beta) else abs(d), reduction)


@composite(method=False)
def binary_cross_entropy(input: Tensor, target: Tensor, weight: Any = None, *, reduction: str = "mean") -> Any:
    """Return -(y log(p) + (1 - y) log(1 - p)) for probabilities p and labels y, averaged. Shapes: (...), (...) -> ().

    Logarithms are at least -100, as in PyTorch; `weight` multiplies the losses and is broadcast to them. Train on
    logits if you can: probabilities near 1 lose digits. Raises ValueError for p outside 0 to 1.

    >>> import tinygrad_nn as tg
    >>> tg.binary_cross_entropy([0.5, 0.0], [1.0, 1.0], reduction="none").round(3).tolist()
    [0.693, 100.0]
    """
    y = targets("binary_cross_entropy", input, target)
    if weight is None:
        return bernoulli_cross_entropy(input, y, reduction=reduction)
    return reduced(bernoulli_cross_entropy(input, y, reduction="none") * _factors(input, weight), reduction)


@composite(method=False)
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Return the binary cross entropy of sigmoid(input), exact at any logit, averaged. Shapes: (...), (...) -> ().

    `pos_weight` multiplies the losses of positive labels: the ratio of negatives to positives gives both classes equal
    weight. `weight` multiplies all losses. Both are broadcast to the logits.

    >>> import tinygrad_nn as tg
    >>> tg.binary_cross_entropy_with_logits([0.0, 1000.0], [1.0, 0.0], reduction="none").round(3).tolist()
    [0.693, 1000.0]
    """
    y = targets("binary_cross_entropy_with_logits", input, target)
    if weight is None and pos_weight is None:
        return sigmoid_cross_entropy(input, y, reduction=reduction)
    if pos_weight is None:
        losses = sigmoid_cross_entropy(input, y, reduction="none")
    else:
        losses = _factors(input, pos_weight) * y * softplus(-input) + (1 - y) * softplus(input)
    return reduced(losses if weight is None else losses * _factors(input, weight), reduction)


@composite(method=False)
def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """Return the mean of (log(var) + (target - input)² / var) / 2, the negative log-likelihood of normal distributions.

    Shapes: (..., n), (..., n), var of (..., n), (..., 1), (...) or () -> (). A variance below `eps` counts as `eps`,
    and gets the gradient at `eps`, as in PyTorch. `full` adds log(2 π) / 2. Raises ValueError for a negative variance.
    Source: Nix and Weigend, Estimating the mean and variance of the target probability distribution (1994).

    >>> import tinygrad_nn as tg
    >>> tg.gaussian_nll_loss([1.0, 2.0], [1.0, 4.0], [1.0, 1.0]).item()
    1.0
    """
    y, v = targets("gaussian_nll_loss", input, target), like(input, var)
    positive("eps", eps)
    if input.ndim and v.shape == input.shape[:-1]:
        v = v[..., None]
    if v.shape not in ((), input.shape, (*input.shape[:-1], 1)):
        raise ValueError(f"gaussian_nll_loss needs a variance of shape {input.shape}, or one for each row: (..., 1)")
    v = at_least(v, eps)
    losses = (log(v) + square(y - input) / v) / 2
    return reduced(losses + math.log(2 * math.pi) / 2 if full else losses, reduction)


@composite(method=False)
def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """Return q (log(q) - input) for log-probabilities `input` and probabilities q, averaged over all entries.

    Shapes: (...), (...) -> (). With `log_target` the target holds log(q). The sum over the classes is the
    Kullback-Leibler divergence of q from the prediction. `reduction="batchmean"`, the sum divided by the length of the
    first axis, is the mean divergence. Source: Kullback and Leibler, On information and sufficiency (1951).

    >>> import tinygrad_nn as tg
    >>> tg.kl_div(tg.log([0.5, 0.5]), [1.0, 0.0], reduction="sum").round(3).item()
    0.693
    """
    q = targets("kl_div", input, target)
    losses = exp(q) * (q - input) if log_target else xlogy(q, q) - q * input
    return reduced(losses, "mean", (*input.shape, 1)[0]) if reduction == "batchmean" else reduced(losses, reduction)


# Samples for the tests: a tuple stands for drawn values of that shape.

mse_loss.samples = l1_loss.samples = [
    sample((2, 3), (2, 3)), sample((), ()), sample((0, 2), (0, 2), reduction="sum"),
    sample((2,), (2,), reduction="none"),
]  # fmt: skip
huber_loss.samples = [*mse_loss.samples, sample((3, 2), (3, 2), delta=0.5)]
smooth_l1_loss.samples = [*mse_loss.samples, sample((3, 2), (3, 2), beta=0.5), sample((3,), (3,), beta=0.0)]
_HALVES, _LABELS = np.array([[0.2, 0.9], [0.5, 0.4]]), np.array([[0.0, 1.0], [0.25, 1.0]])
binary_cross_entropy.samples = [
    *bernoulli_cross_entropy.samples, sample(_HALVES, _LABELS, weight=np.array([2.0, 0.5]), reduction="none"),
]  # fmt: skip
binary_cross_entropy_with_logits.samples = [
    *sigmoid_cross_entropy.samples, sample((2, 2), _LABELS, weight=np.array([2.0, 0.5]), reduction="sum"),
    sample((2, 2), _LABELS, pos_weight=np.array([2.0, 0.5]), reduction="none"),
]  # fmt: skip
gaussian_nll_loss.samples = [
    sample((2, 2), (2, 2), np.array([[0.5, 2.0], [1.0, 3.0]])), sample((0, 2), (0, 2), (0, 1), reduction="sum"),
    sample((2, 3), (2, 3), np.array([0.5, 2.0]), full=True, reduction="none"), sample((), (), np.array(0.5)),
]  # fmt: skip
kl_div.samples = [
    sample((2, 2), _HALVES), sample((2, 2), (2, 2), log_target=True, reduction="batchmean"),
    sample((), np.array(0.5), reduction="none"), sample((0, 1), (0, 1), reduction="sum"),
]  # fmt: skip
