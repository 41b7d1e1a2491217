"""Losses of class predictions: negative log-likelihood and cross entropy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.axes import one_axis
from ..ops.broadcasting import broadcast_to
from ..ops.fused import all_count, class_entries, class_labels, log_softmax, softmax_cross_entropy
from ..ops.reduction import sum
from ..ops.settings import integer, number
from ..ops.shaping import moveaxis
from ..tensor.declaring import composite, sample
from ..tensor.handle import Tensor
from .losses import like, reduced


def _last(x: Tensor, axis: int) -> Any:
    """Return the input with its classes on the last axis."""
    axis = one_axis(axis, x.ndim)
    return x if axis == x.ndim - 1 else moveaxis(x, axis, -1)


def _weights(x: Tensor, weight: Any) -> Any:
    """Return a weight for each class, by default 1. Raises ValueError unless there is one for each."""
    if weight is None:
        return Tensor(np.ones((), x.dtype))
    if np.shape(weight) != x.shape[-1:]:
        raise ValueError(f"weight needs an entry for each of the {x.shape[-1]} classes, got shape {np.shape(weight)}")
    return like(x, weight)


def _averaged(costs: Tensor, weights: Tensor, which: dict[str, Any], reduction: str) -> Any:
    """Return the reduced losses of labels; the mean divides by the sum of the weights of the samples that count."""
    counts = class_entries(broadcast_to(weights, costs.shape), **which)
    return reduced(class_entries(costs, **which), reduction, sum(counts))


@composite(method=False)
def nll_loss(
    input: Tensor, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean", axis: int = -1
) -> Any:
    """Return -input[target], the negative log-likelihood of class indices, averaged over samples.

    Shapes: (..., k), int (...) -> (); `axis` says where the classes are. `weight` has a factor for each class; the mean
    divides by the sum of the samples' factors. Samples with label `ignore_index` are left out. Raises ValueError for
    labels outside 0..k-1.

    >>> import tinygrad_nn as tg
    >>> tg.nll_loss(tg.log([[0.5, 0.5], [0.9, 0.1]]), [0, -100]).round(3).item()
    0.693
    """
    x, which = _last(input, axis), {"labels": target, "ignore_index": integer("ignore_index", ignore_index)}
    weights = _weights(x, weight)
    return _averaged(-x * weights, weights, which, reduction)


@composite(method=False)
def cross_entropy(
    input: Tensor, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean",
    label_smoothing: float = 0.0, axis: int = -1,
) -> Any:  # fmt: skip
    """Return -log(softmax(input)[target]), averaged over samples. Shapes: (..., k), int (...) -> ().

    The target is class indices, or probabilities of the input's shape; `axis` says where the classes are. `weight` and
    `ignore_index` are as in `nll_loss`; with probabilities there is no such index, and the mean divides by the number
    of samples. `label_smoothing`, from 0 to 1, is the share of the target that is spread evenly over all classes.
    Source: Szegedy et al., Rethinking the Inception Architecture (2016), section 7.

    >>> import tinygrad_nn as tg
    >>> tg.cross_entropy([[0.0, 0.0], [1000.0, 0.0]], [0, 0], reduction="none").round(3).tolist()
    [0.693, 0.0]
    """
    number("label_smoothing", label_smoothing, 1)
    x, which = _last(input, axis), {"labels": target, "ignore_index": integer("ignore_index", ignore_index)}
    is_soft = np.shape(target) == input.shape
    if weight is None and label_smoothing == 0 and not is_soft:
        labels = class_labels(target, (x,))
        if all_count(labels, x.shape[-1], ignore_index):
            return softmax_cross_entropy(x, labels, reduction)
    if is_soft and ignore_index >= 0:
        raise ValueError(f"{ignore_index=} names a class, and the target has probabilities; leave it out")
    costs, weights = -log_softmax(x), _weights(x, weight)
    share = label_smoothing / max(x.shape[-1], 1)
    if is_soft:
        q = _last(like(x, target), axis)
        q = q * (1 - label_smoothing) + share if label_smoothing else q
        return reduced(sum(q * (costs * weights), axis=-1), reduction)
    costs = costs * weights
    if label_smoothing:
        costs = (1 - label_smoothing) * costs + share * sum(costs, axis=-1, keepdims=True)
    return _averaged(costs, weights, which, reduction)


# Samples for the tests: a tuple stands for drawn values of that shape.

_CLASSES = np.array([0, 2, 1, 1])
_SHARES = np.array([[0.2, 0.5, 0.3], [0.0, 1.0, 0.0]])
_WEIGHTS = np.array([1.0, 2.0, 0.5])
nll_loss.samples = [
    sample((4, 3), target=_CLASSES), sample((3,), target=np.array(2), reduction="sum"),
    sample((4, 3), target=_CLASSES, weight=_WEIGHTS, ignore_index=1),
    sample((2, 3, 4), target=np.array([[0, 1, 2, 2], [1, 0, 0, 2]]), axis=-2, reduction="none"),
    sample((0, 3), target=np.zeros(0, int), reduction="none"),
]  # fmt: skip
cross_entropy.samples = [
    *nll_loss.samples,
    sample((4, 3), target=_CLASSES, weight=_WEIGHTS, ignore_index=1, label_smoothing=0.25),
    sample((2, 3), target=_SHARES, label_smoothing=0.1, reduction="none"),
    sample((2, 3), target=_SHARES, weight=np.array([1.0, 3.0]), axis=0),
]  # fmt: skip
