"""The training loop: checks first, then epochs, with history, progress, and nothing lost on Ctrl-C."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import as_array
from .errors import DataError, DivergedError
from .memory import keep_memory_once
from .nn.dense import DenseNetwork
from .ops.elementwise import sigmoid
from .ops.fused import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from .optim import SGD, Optimizer
from .recording import no_grad
from .tensors import Tensor

Loss = Callable[[Tensor, Any], Tensor]


@dataclass
class History:
    """What training recorded: an entry per epoch, each taken before that epoch's update.

    With batches, an epoch's cost and accuracy are the samples' mean over its batches, each before
    its own update. `seconds` is the wall time of the whole training.
    """

    cost: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_cost: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.cost)

    def __repr__(self) -> str:
        if not self.cost:
            return "History of 0 epochs"
        return f"History of {len(self)} epochs: cost {self.cost[-1]:.6g}, accuracy {self.accuracy[-1]:.4g}"


def accuracy(predictions: Any, labels: Any) -> float:
    """Return the share of samples that are right, from 0 to 1.

    Labels shaped like the predictions are compared output by output at > 0.5, and all have to fit;
    class indices, of shape (m,), are compared with the argmax of predictions (m, k). Predictions that
    are whole numbers or booleans are classes themselves: they are compared as they are.
    """
    p = predictions.data if isinstance(predictions, Tensor) else np.asarray(predictions)
    y = labels.data if isinstance(labels, Tensor) else np.asarray(labels)
    if p.ndim == 1 and y.shape == (len(p), 1):
        y = y[:, 0]
    if not len(p):
        raise DataError("the accuracy of no samples is not defined; pass at least one")
    if p.shape == y.shape:
        right = p == y if p.dtype.kind in "biu" else (p > 0.5) == (y > 0.5)
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
    run = _Run(network, loss, None)
    return run.evaluate(*run.checked(X, y))


def train(
    network: DenseNetwork,
    X: Any,
    y: Any,
    epochs: int,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    validation: tuple[Any, Any] | None = None,
    shuffle_seed: int = 0,
    progress: bool = True,
    on_epoch: Callable[[int, History], Any] | None = None,
    optimizer: Optimizer | None = None,
    loss: Loss | None = None,
) -> History:
    """Train the network in place and return the history, as it is so far if Ctrl-C ends it.

    The loss follows from the last activation: binary cross entropy summed over outputs (sigmoid),
    cross entropy (softmax), squared error summed over outputs (identity), each through its stable
    form and averaged over samples. `loss(activations, y)` replaces it. Plain gradient descent with
    `learning_rate` (default 0.01), unless an `optimizer` is given. `batch_size=None` takes all rows
    at once; otherwise rows are shuffled anew each epoch by a generator seeded with `shuffle_seed`.
    `on_epoch(epoch, history)` runs after each epoch's update.

    Raises DataError before the first epoch, naming the row, for data that can't be learnt from, and
    DivergedError when the cost stops being finite: the last parameters with a finite cost are kept.
    """
    if optimizer is not None and learning_rate is not None:
        raise ValueError("pass a learning_rate or an optimizer with its own lr, not both")
    if any(n is not None and not isinstance(n, (int, np.integer)) for n in (epochs, batch_size)):
        raise TypeError(f"epochs and batch_size are whole numbers, got {epochs!r} and {batch_size!r}")
    if epochs < 0 or (batch_size is not None and batch_size < 1):
        raise ValueError(f"epochs must be at least 0 and batch_size at least 1, got {epochs} and {batch_size}")
    run = _Run(network, loss, optimizer or SGD(network.parameters(), 0.01 if learning_rate is None else learning_rate))
    X, y = run.checked(X, y)
    pair: Any = validation
    if pair is not None and not (isinstance(pair, (tuple, list)) and len(pair) == 2):
        raise DataError("validation is a pair (X, y) of its own samples and labels")
    held_out = None if pair is None else run.checked(pair[0], pair[1], "validation ")
    keep_memory_once()
    history, started = History(), time.perf_counter()
    generator = np.random.default_rng(shuffle_seed)
    try:
        for epoch in _shown(epochs, history, progress):
            validated = None if held_out is None else run.evaluate(*held_out)
            cost, right = run.epoch(_batches(X, y, batch_size, generator), epoch)
            history.cost.append(cost)
            history.accuracy.append(right)
            if validated is not None:
                history.validation_cost.append(validated[0])
                history.validation_accuracy.append(validated[1])
            if on_epoch is not None:
                on_epoch(epoch, history)
    except KeyboardInterrupt:
        print(f"stopped after {len(history)} of {epochs} epochs; what was learnt is kept", file=sys.stderr)
    else:
        run.check_parameters(epochs)
    finally:
        history.seconds = time.perf_counter() - started
    return history


class _Run:
    """A network with the loss and the optimiser that train it."""

    def __init__(self, network: DenseNetwork, loss: Loss | None, optimizer: Optimizer | None) -> None:
        if loss is None and network.activation not in ("sigmoid", "softmax", "identity"):
            raise ValueError(
                f"no loss follows from a last activation of {network.activation!r}; pass loss=, a function "
                "(activations, y) -> cost, or end the network with sigmoid, softmax or identity"
            )
        self.network, self.loss, self.optimizer = network, loss, optimizer
        self.parameters = network.parameters()
        if optimizer is not None and not any(p is q for p in optimizer.parameters for q in self.parameters):
            raise ValueError(
                "the optimizer updates none of this network's parameters; make it from network.parameters()"
            )
        self.finite: list[np.ndarray] = [p.data for p in self.parameters]

    def cost(self, X: np.ndarray, y: np.ndarray) -> tuple[Tensor, float]:
        """Return the cost, averaged over samples, and the accuracy (nan for a regression)."""
        if self.loss is not None:
            p = self.network(X)
            return self.loss(p, y), _accuracy_or_nan(p.data, y)
        z = self.network.logits(X)
        if self.network.activation == "softmax":
            return cross_entropy(z, y), accuracy(z, y)
        loss, guess = mse_loss, math.nan
        if self.network.activation == "sigmoid":
            loss, guess = binary_cross_entropy_with_logits, accuracy(sigmoid.kernel(z.data), y)
        if self.network.outputs == 1:
            return loss(z, y), guess
        return loss(z, y, reduction="sum") / len(X), guess

    def evaluate(self, X: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        with no_grad(), np.errstate(over="ignore", invalid="ignore"):
            cost, right = self.cost(X, y)
        return cost.item(), right

    def epoch(self, batches: Iterator[tuple[np.ndarray, np.ndarray]], epoch: int) -> tuple[float, float]:
        """Update once per batch; return the samples' mean cost and accuracy, each before its update."""
        costs, rights, sizes = [], [], []
        assert self.optimizer is not None
        for X, y in batches:
            with np.errstate(over="ignore", invalid="ignore"):
                cost, right = self.cost(X, y)
            value = cost.item()
            if not math.isfinite(value):
                self._diverged(f"the cost became {value} in epoch {epoch}")
            self.finite = [p.data for p in self.parameters]
            costs.append(value)
            rights.append(right)
            sizes.append(len(X))
            self.optimizer.zero_grad()
            cost.backward()
            self.optimizer.step()
        if len(sizes) == 1:
            return costs[0], rights[0]
        return float(np.average(costs, weights=sizes)), float(np.average(rights, weights=sizes))

    def check_parameters(self, epochs: int) -> None:
        """Undo an update that left numbers which are not finite: no later cost would tell of it."""
        if not all(np.isfinite(p.data).all() for p in self.parameters):
            self._diverged(f"epoch {epochs - 1} left parameters that are not finite")

    def _diverged(self, what: str) -> None:
        for p, array in zip(self.parameters, self.finite, strict=True):
            p.data = array
        raise DivergedError(
            f"{what}; the network keeps the parameters of its last "
            "finite cost. Lower the learning rate, or scale the inputs to about 1"
        )

    def checked(self, X: Any, y: Any, which: str = "") -> tuple[np.ndarray, np.ndarray]:
        """Return the data as arrays that fit the network. Raises DataError, naming the row."""
        X = _array(f"{which}X", X).astype(self.network.dtype, copy=False)
        inputs = self.network.architecture[0]["input_dim"]
        if X.ndim != 2 or X.shape[1] != inputs:
            raise DataError(f"the network reads rows of {inputs} numbers, X of shape (m, {inputs}); got {X.shape}")
        y = _array(f"{which}y", y)
        if len(X) == 0:
            raise DataError("there are no samples: X has 0 rows")
        if y.ndim == 0 or len(y) != len(X):
            raise DataError(f"X has {len(X)} rows, y has shape {y.shape}; each sample needs one label")
        _refuse(f"{which}X", X, ~np.isfinite(X), "not a finite number")
        _refuse(f"{which}y", y, ~np.isfinite(y), "not a finite number")
        return X, y if self.loss is not None else self._checked_labels(y, f"{which}y")

    def _checked_labels(self, y: np.ndarray, name: str) -> np.ndarray:
        outputs = self.network.outputs
        if self.network.activation == "softmax":
            y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
            if y.ndim != 1:
                raise DataError(
                    f"softmax is trained on class indices, y of shape (m,), got {y.shape}; write y.argmax(axis=1)"
                )
            _refuse(
                name, y, (y < 0) | (y >= outputs) | (y != np.floor(y)), f"not a class index from 0 to {outputs - 1}"
            )
            return y.astype(np.intp)
        y = y.reshape(-1, 1) if y.ndim == 1 and outputs == 1 else y
        if y.shape != (len(y), outputs):
            raise DataError(f"the network has {outputs} outputs, so y needs shape ({len(y)}, {outputs}); got {y.shape}")
        if self.network.activation == "sigmoid":
            _refuse(name, y, (y < 0) | (y > 1), "outside 0..1, which binary cross entropy needs")
        return y.astype(self.network.dtype, copy=False)


def _array(name: str, values: Any) -> np.ndarray:
    try:
        array: np.ndarray = as_array(values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} can't be read as numbers: {error}") from error
    if array.dtype.kind == "c":
        raise DataError(f"{name} is complex (dtype {array.dtype}); a network reads real numbers")
    return array


def _refuse(name: str, array: np.ndarray, wrong: np.ndarray, what: str) -> None:
    """Raise DataError for the first row with a wrong entry."""
    rows = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))
    if len(rows):
        row = int(rows[0])
        entry = array[row][wrong[row]].flat[0] if array.ndim > 1 else array[row]
        more = f" (and {len(rows) - 1} rows more)" if len(rows) > 1 else ""
        raise DataError(f"row {row} of {name} holds {entry}, {what}{more}; mend or drop it before training")


def _accuracy_or_nan(p: np.ndarray, y: np.ndarray) -> float:
    fits = p.shape == y.shape or (p.ndim == 2 and y.shape == p.shape[:1])
    return accuracy(p, y) if fits else math.nan


def _batches(
    X: np.ndarray, y: np.ndarray, size: int | None, generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    if size is None:
        yield X, y
        return
    order = generator.permutation(len(X))
    for start in range(0, len(X), size):
        rows = order[start : start + size]
        yield X[rows], y[rows]


def _shown(epochs: int, history: History, progress: bool) -> Iterator[int]:
    """Yield the epochs' numbers, showing cost, accuracy and time left: by tqdm, or ten plain lines."""
    if not progress:
        yield from range(epochs)
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield from _printed(epochs, history)
    else:
        bar = tqdm(range(epochs), unit="epoch", mininterval=0.2)
        shown = 0.0
        for epoch in bar:
            yield epoch
            now = time.perf_counter()
            if history.cost and (now - shown > 0.2 or epoch == epochs - 1):
                shown = now
                bar.set_postfix(cost=f"{history.cost[-1]:.5f}", accuracy=f"{history.accuracy[-1]:.4f}", refresh=False)


def _printed(epochs: int, history: History) -> Iterator[int]:
    """Yield the epochs' numbers, printing a line after each tenth of them."""
    started = time.perf_counter()
    for epoch in range(epochs):
        yield epoch
        if (epoch + 1) * 10 // epochs > epoch * 10 // epochs and history.cost:
            left = (time.perf_counter() - started) * (epochs - epoch - 1) / (epoch + 1)
            figures = f"cost {history.cost[-1]:.5f}, accuracy {history.accuracy[-1]:.4f}"
            print(f"epoch {epoch + 1} of {epochs}: {figures}, {left:.0f} s left", file=sys.stderr)
