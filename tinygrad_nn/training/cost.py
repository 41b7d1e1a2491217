"""What a network's predictions cost, and how many of them are right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine.grad_mode import no_grad
from ..errors import DataError
from ..nn.dense import ACTIVATIONS, DenseNetwork
from ..ops.fused import binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, mse_loss
from ..tensor.handle import Tensor
from . import refusals
from .data_checks import checked_labels, checked_samples

Loss = Callable[[Tensor, Any], Tensor]


def accuracy(predictions: Any, labels: Any) -> float:
    """Return the share of samples that are right, from 0 to 1.

    Labels shaped like the predictions are compared output by output at > 0.5, and all have to fit;
    class indices, of shape (m,), are compared with the argmax of predictions (m, k). Where both are
    whole numbers or booleans, they are classes: they are compared as they are.
    """
    p = predictions.data if isinstance(predictions, Tensor) else np.asarray(predictions)
    y = labels.data if isinstance(labels, Tensor) else np.asarray(labels)
    if p.ndim == 1 and y.shape == (len(p), 1):
        y = y[:, 0]
    if not len(p):
        raise DataError("the accuracy of no samples is not defined; pass at least one")
    if p.shape == y.shape:
        right = p == y if p.dtype.kind in "biu" and y.dtype.kind in "biu" else (p > 0.5) == (y > 0.5)
        return float(right.reshape(len(p), -1).all(axis=1).mean())
    if p.ndim == 2 and y.shape == p.shape[:1]:
        if p.shape[1] == 1:
            return accuracy(p[:, 0], y)
        return float((p.argmax(axis=1) == y).mean())
    raise ValueError(
        f"predictions of shape {p.shape} need labels of that shape, or class indices ({len(p)},); got {y.shape}"
    )


def evaluate(network: DenseNetwork, X: Any, y: Any, loss: Loss | None = None) -> tuple[float, float]:
    """Return the cost and the accuracy of the network on X (m, inputs) and y, as floats."""
    cost = Cost(network, loss)
    return cost.evaluate(*cost.checked(X, y))


# The losses of a batch that are the mean of its samples' losses.
LOSSES: list[Any] = [binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, mse_loss]
# The losses whose stable form reads what is before the last activation.
_ON_LOGITS: list[tuple[str, Any, Any]] = [
    ("sigmoid", binary_cross_entropy, binary_cross_entropy_with_logits),
    ("sigmoid", binary_cross_entropy_with_logits, binary_cross_entropy_with_logits),
    ("softmax", cross_entropy, cross_entropy),
]


class Cost:
    """A network with its loss."""

    def __init__(self, network: DenseNetwork, loss: Loss | None) -> None:
        if not isinstance(network, DenseNetwork):
            raise TypeError(refusals.not_a_network(network))
        if loss is not None and not callable(loss):
            raise TypeError(refusals.not_a_loss(loss))
        if loss is None and network.activation not in ("sigmoid", "softmax", "identity"):
            raise ValueError(refusals.no_loss_follows(network.activation))
        self.network, self.loss = network, loss
        self.on_logits = next((f for last, own, f in _ON_LOGITS if last == network.activation and own is loss), None)

    def checked(self, X: Any, y: Any, which: str = "") -> tuple[np.ndarray, np.ndarray]:
        """Return the data as arrays that fit the network; a loss of one's own reads labels of its own."""
        X, y = checked_samples(self.network, X, y, which)
        if self.loss is None or self.on_logits is not None:
            return X, checked_labels(self.network, y, which)
        return X, y.reshape(-1, 1) if y.ndim == 1 and self.network.outputs == 1 else y

    def of(self, X: Any, y: Any) -> tuple[Tensor, Tensor]:
        """Return the cost, averaged over samples, and the scores that the accuracy is read from."""
        if self.loss is not None and self.on_logits is None:
            p = self.network(X)
            return self._own_loss(p, y), p.detach()
        z = self.network.logits(X)
        scores = z.detach()
        if self.on_logits is not None or self.network.activation == "sigmoid":
            with no_grad():
                scores = ACTIVATIONS[self.network.activation](scores)
        if self.on_logits is not None:
            return self.on_logits(z, y), scores
        if self.network.activation == "softmax":
            return cross_entropy(z, y), scores
        loss = binary_cross_entropy_with_logits if self.network.activation == "sigmoid" else mse_loss
        return (loss(z, y) if self.network.outputs == 1 else loss(z, y, reduction="sum") / len(X)), scores

    def accuracy(self, scores: Tensor, y: np.ndarray) -> float:
        """Return the accuracy, nan for a regression."""
        if self.loss is not None and self.on_logits is None:
            return _accuracy_or_nan(scores.data, y)
        return math.nan if self.on_logits is None and self.network.activation == "identity" else accuracy(scores, y)

    def _own_loss(self, p: Tensor, y: np.ndarray) -> Tensor:
        assert self.loss is not None
        cost: Any = self.loss(p, y)
        if not isinstance(cost, Tensor):
            raise TypeError(refusals.not_a_cost(cost))
        if cost.size != 1:
            raise ValueError(refusals.not_a_cost(cost))
        return cost

    def evaluate(self, X: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        """Return the cost and the accuracy, as floats."""
        with no_grad(), np.errstate(over="ignore", invalid="ignore"):
            cost, scores = self.of(X, y)
        return float(cost.item()), self.accuracy(scores, y)


def _accuracy_or_nan(p: np.ndarray, y: np.ndarray) -> float:
    fits = p.shape == y.shape or (p.ndim == 2 and y.shape == p.shape[:1])
    return accuracy(p, y) if fits else math.nan
