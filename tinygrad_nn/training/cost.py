"""The cost of a module's outputs, and their accuracy."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import numpy as np

from ..engine.arrays import as_array, raw
from ..engine.grad_mode import no_grad
from ..engine.trees import map_leaves
from ..errors import DataError, given
from ..nn.criteria import BCEWithLogitsLoss, CrossEntropyLoss
from ..nn.dense import DenseNetwork
from ..nn.label_losses import cross_entropy
from ..nn.losses import binary_cross_entropy, binary_cross_entropy_with_logits, mse_loss
from ..nn.module import Module
from ..ops.elementwise import sigmoid
from ..ops.fused import softmax
from ..tensor.handle import Tensor
from .samples import as_samples, called, check_module, check_rows, computed, dtype_of, refuse_rows

Loss = Callable[[Any, Any], Tensor]
Metric = Callable[[Any, Any], Any]


def accuracy(predictions: Any, labels: Any) -> float:
    """Return the share of samples that are right, from 0 to 1.

    If labels and predictions have the same shape, outputs are compared at > 0.5, and a sample is right if all of them
    are. Class indices, of shape (m, ...), are compared with the argmax of predictions (m, ..., k), except those of
    -100, which `tg.cross_entropy` ignores, too. Whole numbers or booleans on both sides are compared directly.

    >>> import tinygrad_nn as tg
    >>> round(tg.accuracy([[0.9], [0.2], [0.6]], [[1], [0], [0]]), 3)
    0.667
    >>> tg.accuracy([[2.0, -1.0], [0.0, 1.0]], [0, 1])
    1.0
    """
    p, y = as_array(raw(predictions)), as_array(raw(labels))
    if p.ndim == 1 and y.shape == (len(p), 1):
        y = y[:, 0]
    if not p.size or not p.ndim:
        raise DataError("the accuracy of no samples is not defined; pass at least one")
    if p.shape == y.shape:
        right = p == y if p.dtype.kind in "biu" and y.dtype.kind in "biu" else (p > 0.5) == (y > 0.5)
        return float(right.reshape(len(p), -1).all(axis=1).mean())
    if p.ndim > 1 and y.shape == p.shape[:-1]:
        if p.shape[-1] == 1:
            return accuracy(p[..., 0], y)
        counts = y != -100
        return float((p.argmax(axis=-1) == y)[counts].mean()) if counts.any() else math.nan
    indices = p.shape[:-1] or p.shape
    raise ValueError(f"predictions of shape {p.shape} need labels of it, or class indices {indices}; got {y.shape}")


def evaluate(module: Module, X: Any, y: Any, loss: Loss | None = None) -> tuple[float, float]:
    """Return the cost and the accuracy of a module on X and y, as floats, in eval mode; X and y are as in `tg.train`.

    The accuracy is nan for a regression, and for other modules than DenseNetwork if labels are not whole numbers.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> model = tg.nn.Linear(2, 3, seed=0)
    >>> cost, accuracy = tg.evaluate(model, np.zeros((4, 2)), np.zeros(4, int), tg.cross_entropy)
    >>> cost > 0, 0 <= accuracy <= 1
    (True, True)
    """
    cost = Cost(module, loss)
    X, y = cost.checked(X, y)
    found = cost.evaluate(X, y, {} if cost._network is not None else {"accuracy": cost.accuracy})
    return found["cost"], found["accuracy"]


_PASS_ONE = (
    "pass loss=, a function (outputs, y) -> cost such as tg.mse_loss or tg.nn.MSELoss(), or leave it out for a "
    "DenseNetwork that ends in sigmoid, softmax or identity"
)
# Losses that are means over samples.
LOSSES: list[Any] = [binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, mse_loss]
# The default loss by last activation, computed from the logits; and losses that are computed from logits instead.
_FOLLOWING = {"sigmoid": binary_cross_entropy_with_logits, "softmax": cross_entropy, "identity": mse_loss}
_STABLE: dict[str, tuple[Any, ...]] = {
    "sigmoid": (binary_cross_entropy, binary_cross_entropy_with_logits, BCEWithLogitsLoss),
    "softmax": (cross_entropy, CrossEntropyLoss),
}


class Cost:
    """A module with its loss."""

    def __init__(self, module: Module, loss: Loss | None) -> None:
        check_module(module)
        if loss is not None and (isinstance(loss, type) or not callable(loss)):
            raise TypeError(f"a loss is a function (outputs, y) -> cost, got {given(loss)}; {_PASS_ONE}")
        self._module = module
        self.by_default: bool = loss is None
        self._network: Any = module if isinstance(module, DenseNetwork) else None
        activation = "" if self._network is None else self._network.activation
        if loss is None and activation not in _FOLLOWING:
            raise ValueError(f"no loss follows from {activation or type(module).__name__}; {_PASS_ONE}")
        on_logits = loss is None or any(loss is f or type(loss) is f for f in _STABLE.get(activation, ()))
        self._last = activation if on_logits else ""  # the activation that the loss has not applied
        self.loss: Any = _FOLLOWING[activation] if on_logits and not isinstance(loss, Module) else loss

    def checked(self, X: Any, y: Any, which: str = "", least: int = 1) -> tuple[Any, Any]:
        """Return the data as arrays that fit the module; a user's own loss may take any labels."""
        X, y = [as_samples(f"{which}{name}", x, dtype_of(self._module)) for name, x in (("X", X), ("y", y))]
        if self._network is not None:
            inputs = self._network.architecture[0]["input_dim"]
            if not isinstance(X, np.ndarray) or X.ndim != 2 or X.shape[1] != inputs:
                shape = getattr(X, "shape", given(X))
                raise DataError(f"the network takes rows of {inputs} numbers, X of shape (m, {inputs}); got {shape}")
            X = X.astype(self._network.dtype, copy=False)
        check_rows(X, y, which, least)
        return X, y if self._network is None or not isinstance(y, np.ndarray) else self._labels(y, f"{which}y")

    def _labels(self, y: np.ndarray, name: str) -> np.ndarray:
        """Return labels in the form that the loss of the network needs. Raises DataError."""
        outputs = self._network.outputs
        if self._last == "softmax":
            y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
            if y.ndim != 1:
                raise DataError(f"softmax is trained on class indices (m,), got y of {y.shape}; write y.argmax(axis=1)")
            wrong = (y < 0) | (y >= outputs) | (y != np.floor(y))
            refuse_rows(name, y, wrong, f"not a class index from 0 to {outputs - 1}")
            return y.astype(np.intp)
        y = y.reshape(-1, 1) if y.ndim == 1 and outputs == 1 else y
        if not self._last:
            return y
        if y.shape != (len(y), outputs):
            raise DataError(f"the network has {outputs} outputs, so y needs shape ({len(y)}, {outputs}); got {y.shape}")
        if self._last == "sigmoid":
            refuse_rows(name, y, (y < 0) | (y > 1), "outside 0..1, which binary cross entropy needs")
        return y.astype(self._network.dtype, copy=False)

    def read(self, X: Any) -> Any:
        """Return the input of the loss: the module's outputs, or the logits."""
        return self._network.logits(X) if self._last else called(self._module, X)

    def scores(self, read: Any) -> Any:
        """Return the outputs without a graph; for softmax the logits, which have the same argmax."""
        found = map_leaves(lambda t: t.detach() if isinstance(t, Tensor) else t, read)
        return sigmoid(found) if self._last == "sigmoid" else found

    def figures(self, scores: Any, y: Any, metrics: Mapping[str, Metric]) -> dict[str, float]:
        """Return the metrics by name, with the accuracy if the module is a DenseNetwork."""
        own = {} if self._network is None else {"accuracy": self.accuracy(scores, y)}
        if metrics and self._last == "softmax":
            scores = softmax(scores)
        for name, metric in metrics.items():
            found = metric(scores, y)
            try:
                own[name] = float(found)
            except (TypeError, ValueError, OverflowError):
                returned = f"the metric {name} returned {given(found)}, which is no number"
                raise TypeError(f"{returned}; return one, as float(np.mean(...)) is") from None
        return own

    def of(self, read: Any, y: Any, weights: Any = None) -> Tensor:
        """Return the cost: the mean of the samples' losses, weighted if there are weights."""
        summed = self.by_default and read.ndim == 2 and read.shape[1] > 1 and self.loss is not cross_entropy
        if weights is not None:
            summed = summed or getattr(self.loss, "reduction", "mean") == "batchmean"
            each = self._each(read, y, len(weights)).reshape(len(weights), -1)
            weighed: Tensor = ((each.sum(axis=1) if summed else each.mean(axis=1)) * weights).mean()
            return weighed
        if summed:
            total: Tensor = self.loss(read, y, reduction="sum")
            return total / len(y)
        cost = self.loss(read, y)
        if not isinstance(cost, Tensor) or cost.size != 1:
            raise TypeError(f"a loss returns a Tensor of one entry, got {given(cost)}; reduce it, as in loss.mean()")
        return cost

    def _each(self, read: Any, y: Any, count: int) -> Tensor:
        """Return the loss of each sample, or each of its entries. Raises ValueError if the loss can't give them."""
        loss, each = self.loss, None
        if isinstance(loss, Module) and hasattr(loss, "reduction"):
            loss = copy.copy(loss)
            loss.reduction = "none"
            each = loss(read, y)
        elif "reduction" in signature(loss).parameters:
            each = loss(read, y, reduction="none")
        if not isinstance(each, Tensor) or each.shape[:1] != (count,):
            raise ValueError('weights need a loss that takes reduction="none" and then returns one for each sample')
        return each

    def accuracy(self, outputs: Any, y: Any) -> float:
        """Return the accuracy, or nan if it is undefined."""
        p = outputs.data if isinstance(outputs, Tensor) else None
        if self._last == "identity" or p is None or not isinstance(y, np.ndarray):
            return math.nan
        labels = self._last or y.dtype.kind in "biu" or (self._network and not (y % 1).any())
        fits = labels and y.shape in (p.shape, p.shape[:-1])
        return accuracy(p, y) if fits else math.nan

    def evaluate(
        self, X: Any, y: Any, metrics: Mapping[str, Metric], batch_size: int | None = None
    ) -> dict[str, float]:
        """Return the cost and the metrics, in eval mode, as floats by name."""
        with np.errstate(over="ignore", invalid="ignore"), no_grad():
            try:
                read = computed(self._module, self.read, X, batch_size)
            except ValueError:  # outputs can't be joined
                read = computed(self._module, self.read, X, None)
            return {"cost": float(self.of(read, y).item())} | self.figures(self.scores(read), y, metrics)
