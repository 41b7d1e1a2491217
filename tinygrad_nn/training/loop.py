"""The training loop: checks first, then epochs, with history, progress, and nothing lost on Ctrl-C."""

from __future__ import annotations

import functools
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np

from ..engine.allocator import keep_memory_once
from ..engine.grad_mode import no_grad
from ..errors import CompileError, DataError, DivergedError
from ..nn.dense import ACTIVATIONS, DenseNetwork
from ..ops.fused import binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, mse_loss
from ..optim import SGD, Optimizer
from ..tensor.handle import Tensor
from . import refusals
from .blas_threads import limited_blas, threads_for
from .data_checks import check_count, checked_labels, checked_samples
from .history import History, add_epoch, newest_figures
from .progress import counted

Loss = Callable[[Tensor, Any], Tensor]
WORTH_COMPILING = 100  # steps: about as many as it takes to gain what tracing, compiling and checking cost


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
    cost = _Cost(network, loss)
    return cost.evaluate(*cost.checked(X, y))


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
    compile: bool | None = None,
    blas_threads: int | None = None,
) -> History:
    """Train the network, whose parameters change, and return the history; Ctrl-C ends it and loses nothing.

    The loss follows from the last activation: binary cross entropy summed over outputs (sigmoid),
    cross entropy (softmax), squared error summed over outputs (identity), each through its stable
    form and averaged over samples. `loss(activations, y)` replaces it; the library's cross entropies after
    their activation are computed from the logits. Plain gradient descent with
    `learning_rate` (default 0.01), unless an `optimizer` is given. `batch_size=None` takes all rows
    at once; otherwise rows are shuffled anew each epoch by a generator seeded with `shuffle_seed`.
    `on_epoch(epoch, history)` runs after each epoch's update.

    The step is compiled (see `tg.compile`) if network, loss and optimiser are this library's own and at least
    100 steps of a batch's size are to come, since compiling takes as long as that gains; `compile=True` does so
    in any case, also with yours, whose Python then runs only while it is traced. A step that can't be compiled is
    run as it is, with a warning that says why.

    Where the products of a step are small, BLAS computes with one thread and gets its own number back afterwards,
    if threadpoolctl is installed; `blas_threads=` or the environment variable TINYGRAD_NN_BLAS_THREADS sets another.

    Raises DataError before the first epoch, naming the row, for data that can't be learnt from, and
    DivergedError when the cost stops being finite: the last parameters with a finite cost are kept.
    """
    check_count("epochs", epochs, 0)
    if batch_size is not None:
        check_count("batch_size", batch_size, 1)
    run = _Run(network, loss, optimizer, learning_rate, compile)
    X, y = run.checked(X, y)
    held_out = None if validation is None else _held_out(run, validation)
    rows = len(X) if batch_size is None else min(batch_size, len(X))
    run.plan(len(X), rows, epochs)
    keep_memory_once()
    history, started = History(), time.perf_counter()
    generator = np.random.default_rng(shuffle_seed)
    most = rows if held_out is None else max(rows, len(held_out[0]))
    with limited_blas(blas_threads, threads_for(most, run.parameters)):
        try:
            for epoch in (
                counted(range(epochs), epochs, "epoch", lambda: newest_figures(history)) if progress else range(epochs)
            ):
                validated = None if held_out is None else run.evaluate(*held_out)
                add_epoch(history, run.epoch(_batches(X, y, batch_size, generator), epoch), validated)
                if on_epoch is not None:
                    on_epoch(epoch, history)
        except KeyboardInterrupt:
            history.end_together()
            print(f"stopped after {len(history)} of {epochs} epochs; what was learnt is kept", file=sys.stderr)
        else:
            run.check_parameters(epochs)
        finally:
            history.seconds = time.perf_counter() - started
    return history


# Last activation, loss, and the stable equivalent of both, which reads the logits.
_ON_LOGITS: list[tuple[str, Any, Any]] = [
    ("sigmoid", binary_cross_entropy, binary_cross_entropy_with_logits),
    ("sigmoid", binary_cross_entropy_with_logits, binary_cross_entropy_with_logits),
    ("softmax", cross_entropy, cross_entropy),
]


def _held_out(run: _Run, validation: Any) -> tuple[np.ndarray, np.ndarray]:
    if not (isinstance(validation, (tuple, list)) and len(validation) == 2):
        raise DataError("validation takes a pair (X, y) of its own samples and labels")
    return run.checked(validation[0], validation[1], "validation ")


class _Cost:
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
        with no_grad(), np.errstate(over="ignore", invalid="ignore"):
            cost, scores = self.of(X, y)
        return float(cost.item()), self.accuracy(scores, y)


class _Run(_Cost):
    """A network with its loss and the optimiser that trains it."""

    def __init__(
        self, network: Any, loss: Loss | None, optimizer: Any, learning_rate: Any, compiled: bool | None
    ) -> None:
        super().__init__(network, loss)
        if optimizer is not None and learning_rate is not None:
            raise ValueError("pass a learning_rate or an optimizer with its own lr, not both")
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise TypeError(refusals.not_an_optimizer(optimizer))
        self.parameters = network.parameters()
        self.optimizer = optimizer or SGD(self.parameters, 0.01 if learning_rate is None else learning_rate)
        if not any(p is q for p in self.optimizer.parameters for q in self.parameters):
            raise ValueError(
                "the optimizer updates none of this network's parameters; make it from network.parameters()"
            )
        self.finite: list[np.ndarray] = [p.data for p in self.parameters]
        ours = all(map(_is_ours, (type(network), type(self.optimizer), *([] if loss is None else [loss]))))
        never_or_always = math.inf if not (ours if compiled is None else compiled) else 0
        self.steps_worth_compiling = WORTH_COMPILING if compiled is None and ours else never_or_always
        self.by_program: set[int] = set()

    @functools.cached_property
    def program(self) -> Callable[[np.ndarray, np.ndarray], tuple[Tensor, Tensor]]:
        """The update, compiled; the compiler is imported when it is used."""
        compiler = import_module("..compiler.compiled", __package__)
        compiled: Callable[[np.ndarray, np.ndarray], tuple[Tensor, Tensor]] = compiler.compile(self.update)
        return compiled

    def plan(self, rows: int, batch_size: int, epochs: int) -> None:
        """Decide which batches are computed by a program: those of a size with enough steps to come."""
        full, rest = divmod(rows, batch_size)
        steps = {batch_size: full * epochs} | ({rest: epochs} if rest else {})
        self.by_program = {size for size, count in steps.items() if count >= self.steps_worth_compiling}

    def epoch(self, batches: Iterator[tuple[np.ndarray, np.ndarray]], epoch: int) -> tuple[float, float]:
        """Update once per batch; return the samples' mean cost and accuracy, each before its update."""
        costs, rights, sizes = [], [], []
        for X, y in batches:
            before = [p.data for p in self.parameters]
            step = self.update_or_else if len(X) in self.by_program else self.update
            cost, scores = step(X, y)
            value = float(cost.item())
            if not math.isfinite(value):
                self._diverged(f"the cost became {value} in epoch {epoch}")
            self.finite = before
            costs.append(value)
            rights.append(self.accuracy(scores, y))
            sizes.append(len(X))
        if len(sizes) == 1:
            return costs[0], rights[0]
        return float(np.average(costs, weights=sizes)), float(np.average(rights, weights=sizes))

    def update(self, X: Any, y: Any) -> tuple[Tensor, Tensor]:
        """Make one step of gradient descent, and return the cost and the scores before it."""
        with np.errstate(over="ignore", invalid="ignore"):
            cost, scores = self.of(X, y)
        self.optimizer.zero_grad()
        cost.backward()
        self.optimizer.step()
        return cost.detach(), scores

    def update_or_else(self, X: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
        """Make one step by a compiled program; if the step can't be compiled, warn once and go on without."""
        try:
            return self.program(X, y)
        except CompileError as error:
            warnings.warn(refusals.trained_eagerly(error), RuntimeWarning, stacklevel=4)
            self.by_program = set()
            return self.update(X, y)

    def check_parameters(self, epochs: int) -> None:
        """Raise DivergedError if the last update left numbers that are not finite: no cost is computed after it."""
        if not all(np.isfinite(p.data).all() for p in self.parameters):
            self._diverged(f"epoch {epochs - 1} left parameters that are not finite")

    def _diverged(self, what: str) -> None:
        for p, array in zip(self.parameters, self.finite, strict=True):
            p.data = array
        raise DivergedError(refusals.diverged(what))


def _is_ours(part: Any) -> bool:
    """Return whether a class or a function is this library's own: it has no effects besides its result."""
    return str(getattr(part, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]


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
