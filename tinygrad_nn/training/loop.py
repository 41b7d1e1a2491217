"""The training loop: checks first, then epochs, with history, progress, and nothing lost on Ctrl-C."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..engine.allocator import keep_memory_once
from ..errors import CompileError, DataError, DivergedError
from ..nn.dense import DenseNetwork
from ..optim import SGD, Optimizer
from ..tensor.handle import Tensor
from . import refusals
from .blas_threads import limited_blas, threads_for
from .cost import LOSSES, Cost, Loss
from .data_checks import check_count
from .history import History, add_epoch, newest_figures
from .programs import are_ours, keep, programs_for, update
from .progress import counted
from .tiles import in_tiles, tiled_step

WORTH_COMPILING = 100  # steps: about as many as it takes to gain what tracing, compiling and checking cost


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
    workers: int | None = None,
) -> History:
    """Train the network, whose parameters change, and return the history; Ctrl-C ends it and loses nothing.

    The loss follows from the last activation: binary cross entropy summed over outputs (sigmoid),
    cross entropy (softmax), squared error summed over outputs (identity), each through its stable
    form and averaged over samples. `loss(activations, y)` replaces it; the library's cross entropies after
    their activation are computed from the logits. Plain gradient descent with
    `learning_rate` (default 0.01), unless an `optimizer` is given. `batch_size=None` takes all rows
    at once; otherwise rows are shuffled anew each epoch by a generator seeded with `shuffle_seed`.
    `on_epoch(epoch, history)` runs after each epoch's update, and ends the training by returning False.

    The step is compiled (see `tg.compile`) if network, loss and optimiser are this library's own and at least
    100 steps of a batch's size are to come, since compiling takes as long as that gains; `compile=True` does so
    in any case, also with yours, whose Python then runs only while it is traced. A step that can't be compiled is
    run as it is, with a warning that says why. Programs are kept as long as the network: its next training with
    the same loss and optimiser, or by plain gradient descent again, goes on with them, if all three are the library's.

    Where the products of a step are small, BLAS computes with one thread and gets its own number back afterwards,
    if threadpoolctl is installed; `blas_threads=` or the environment variable TINYGRAD_NN_BLAS_THREADS sets another.

    `workers=n` computes batches of at least 4,000 n rows in tiles, by compiled programs on n threads, each with one
    thread of BLAS (needs threadpoolctl). The result depends on n, as sums in another order do, and on nothing else.

    Raises DataError before the first epoch, naming the row, for data that can't be learnt from, and
    DivergedError when the cost stops being finite: the last parameters with a finite cost are kept.
    """
    check_count("epochs", epochs, 0)
    if batch_size is not None:
        check_count("batch_size", batch_size, 1)
    if workers is not None and blas_threads is not None:
        raise ValueError(refusals.threads_of_workers())
    run = _Run(network, loss, optimizer, learning_rate, compile, workers)
    X, y = run.checked(X, y)
    held_out = None if validation is None else _held_out(run, validation)
    rows = len(X) if batch_size is None else min(batch_size, len(X))
    run.plan(len(X), rows, epochs)
    keep_memory_once()
    history, started = History(), time.perf_counter()
    generator = np.random.default_rng(shuffle_seed)
    most = rows if held_out is None else max(rows, len(held_out[0]))
    with limited_blas(1 if run.in_tiles(rows) else blas_threads, threads_for(most, run.parameters)):
        try:
            for epoch in (
                counted(range(epochs), epochs, "epoch", lambda: newest_figures(history)) if progress else range(epochs)
            ):
                validated = None if held_out is None else run.evaluate(*held_out)
                add_epoch(history, run.epoch(_batches(X, y, batch_size, generator), epoch), validated)
                if on_epoch is not None and on_epoch(epoch, history) is False:
                    break
        except KeyboardInterrupt:
            history.end_together()
            print(f"stopped after {len(history)} of {epochs} epochs; what was learnt is kept", file=sys.stderr)
        else:
            run.check_parameters(len(history))
        finally:
            history.seconds = time.perf_counter() - started
    keep(network, run.programs)
    return history


def _held_out(run: _Run, validation: Any) -> tuple[np.ndarray, np.ndarray]:
    if not (isinstance(validation, (tuple, list)) and len(validation) == 2):
        raise DataError("validation takes a pair (X, y) of its own samples and labels")
    return run.checked(validation[0], validation[1], "validation ")


class _Run(Cost):
    """A network with its loss, and the optimiser that trains it."""

    def __init__(
        self,
        network: Any,
        loss: Loss | None,
        optimizer: Any,
        learning_rate: Any,
        compiled: bool | None,
        workers: int | None = None,
    ) -> None:
        super().__init__(network, loss)
        if optimizer is not None and learning_rate is not None:
            raise ValueError("pass a learning_rate or an optimizer with its own lr, not both")
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise TypeError(refusals.not_an_optimizer(optimizer))
        self.parameters = network.parameters()
        by_default = optimizer is None
        optimizer = optimizer or SGD(self.parameters, 0.01 if learning_rate is None else learning_rate)
        if not any(p is q for p in optimizer.parameters for q in self.parameters):
            raise ValueError(
                "the optimizer updates none of this network's parameters; make it from network.parameters()"
            )
        self.finite: list[np.ndarray] = [p.data for p in self.parameters]
        ours = are_ours(network, loss, optimizer)
        never_or_always = math.inf if not (ours if compiled is None else compiled) else 0
        self.steps_worth_compiling = WORTH_COMPILING if compiled is None and ours else never_or_always
        self.by_program: set[int] = set()
        if workers is not None:
            check_count("workers", workers, 1)
            if not are_ours(network) or not (loss is None or any(loss is f for f in LOSSES)):
                raise ValueError(refusals.not_in_tiles())
            if compiled is not None and not compiled:
                raise ValueError(refusals.tiles_are_programs())
        self.workers = workers or 0
        self.programs = programs_for(network, loss, optimizer, by_default)
        self.network, self.optimizer = self.programs.network, self.programs.optimizer

    def plan(self, rows: int, batch_size: int, epochs: int) -> None:
        """Decide which batches are computed by a program: tiles, and those of a size with enough steps to come."""
        full, rest = divmod(rows, batch_size)
        steps = {batch_size: full * epochs} | ({rest: epochs} if rest else {})
        self.by_program = {
            size for size, count in steps.items() if count >= self.steps_worth_compiling or self.in_tiles(size)
        }

    def in_tiles(self, rows: int) -> bool:
        """Return whether a batch of so many rows is split over workers."""
        return self.workers > 0 and in_tiles(rows, self.workers)

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
        return update(self.network, self.loss, self.optimizer, X, y)

    def update_or_else(self, X: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
        """Make one step by a compiled program; if the step can't be compiled, warn once and go on without."""
        try:
            if not self.in_tiles(len(X)):
                found: tuple[Tensor, Tensor] = self.programs.step(X, y)
                return found
            parameters = dict(self.network.named_parameters())
            return tiled_step(self.programs.gradient, parameters, self.optimizer, self.workers, X, y)
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
