"""`train`: checks its arguments, runs the epochs, records the history, and loses nothing on Ctrl-C."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

import numpy as np

from ..engine.allocator import keep_memory_once
from ..engine.trees import leaves
from ..errors import DataError, given
from ..nn.dense import DenseNetwork
from ..nn.label_losses import cross_entropy
from ..nn.module import Module
from ..ops.settings import explained, number, optional, whole_number
from ..optim import Optimizer
from ..optim.lr_scheduler import LRScheduler
from .blas_threads import limited_blas, threads_for
from .checkpoints import Checkpoints
from .cost import LOSSES, Loss, Metric
from .epochs import Training
from .history import History, counted, newest_figures
from .loader import DataLoader
from .samples import dtype_of, rows_of, weights_of
from .steps import Steps, are_ours, in_tiles


@explained
def train(
    module: Module, X: Any, y: Any = None, epochs: int | None = None, learning_rate: float | None = None,
    batch_size: int | None = None, *, loss: Loss | None = None, optimizer: Optimizer | None = None,
    scheduler: LRScheduler | None = None, validation: Any = None, metrics: Mapping[str, Metric] | None = None,
    early_stopping: int | None = None, sample_weight: Any = None, class_weight: Any = None, accumulate: int = 1,
    clip_norm: float | None = None, shuffle_seed: Any = 0, checkpoint: str | PathLike[str] | None = None,
    every: int | None = None, every_steps: int | None = None, keep: int = 2, resume: bool = False,
    on_epoch: Callable[[int, History], Any] | None = None, progress: bool = True, compile: bool | None = None,
    blas_threads: int | None = None, workers: int | None = None,
) -> History:  # fmt: skip
    """Train a module in place and return the history; Ctrl-C ends the training and loses nothing.

    X is an array or several, as in `tg.predict`, and so is y. `loss(outputs, y)` is minimised. A DenseNetwork needs no
    loss: by its last activation it gets binary cross entropy summed over outputs (sigmoid), cross entropy (softmax) or
    squared error summed over outputs (identity), each computed from the logits and averaged over samples. Without an
    `optimizer`, the method is plain gradient descent with `learning_rate` (default 0.01). A `scheduler` of the
    optimizer steps once per epoch; ReduceLROnPlateau gets the validation cost, or without validation the cost.
    `batch_size=None` takes all rows at once; otherwise rows are shuffled in each epoch by a generator seeded with
    `shuffle_seed`. A `tg.data.DataLoader` of pairs can take the place of X and y; it has these settings itself, and is
    checked batch by batch.

    Each epoch trains in train mode and then computes the cost of `validation`, a pair (X, y) or a loader, in eval mode;
    afterwards modules return to their previous modes. `metrics` are functions (outputs, y) by name, recorded beside the
    cost. `on_epoch(epoch, history)` is called after each epoch and ends the training by returning False.
    `early_stopping=n` ends it when the validation cost has not fallen for n epochs. However a training with early
    stopping ends, parameters and buffers are set to their values in the best epoch. `sample_weight`, a number per
    sample, and `class_weight`, a dict of numbers by class or "balanced", multiply each sample's loss. They are scaled
    to a mean of 1, and the cost is then the mean over all samples, whatever the loss's `reduction`. A step takes
    `accumulate` batches: its cost is the mean of their costs, weighted by their numbers of samples, and `clip_norm`
    bounds the norm of all gradients together.

    With a folder as `checkpoint`, the state of the training is written there every `every` epochs (default 1) or
    `every_steps` steps: parameters, buffers, the states of the optimiser, the schedule and all generators that modules
    hold, the position in the epoch, and the history. A file is written whole or not at all, and the last `keep` are
    kept; beside them, `best.npz` holds the module's `state_dict` with the lowest validation cost. `resume=True`
    continues from the newest checkpoint, bit for bit as if the training had never stopped; in an empty folder it starts
    from the beginning. Make the module, loss, optimiser and schedule as for the first call: different settings are
    refused. `epochs` is the total. State that callbacks and classes of your own keep elsewhere is not saved.

    The step is compiled (see `tg.compile`) if modules, loss and optimiser are this library's own and there are at least
    100 steps of a batch size to come; `compile=True` always compiles it. A step that can't be compiled runs uncompiled,
    with a warning. Programs are kept as long as the module, for its next training with the same loss and optimiser. If
    all products of a step are small, BLAS uses one thread, provided that threadpoolctl is installed; `blas_threads=` or
    the environment variable TINYGRAD_NN_BLAS_THREADS sets another number. `workers=n` computes batches of at least
    4,000 n rows in tiles, by compiled programs on n threads; the bits of the result depend on n, but not on timing.

    Raises DataError before the first epoch for unusable data, naming the row; DivergedError if the cost becomes inf or
    nan: the module keeps its last parameters with a finite cost; StateError for the checkpoint of another training;
    FileError if a checkpoint can't be written or read: the module keeps what it has learnt.

    >>> import tinygrad_nn as tg
    >>> X, y = tg.data.make_moons(200, 0.1, 0)
    >>> model = tg.nn.Sequential(tg.nn.Linear(2, 16, seed=0), tg.nn.Tanh(), tg.nn.Linear(16, 2, seed=1))
    >>> history = tg.train(
    ...     model, X, y.astype(int), epochs=50, batch_size=20, loss=tg.cross_entropy, progress=False,
    ...     optimizer=tg.optim.Adam(model.parameters(), lr=0.03), metrics={"accuracy": tg.accuracy})
    >>> history.accuracy[-1] > 0.98
    True
    """
    epochs = whole_number("epochs", epochs, 0)
    options = {
        "learning_rate": learning_rate, "batch_size": batch_size, "shuffle_seed": shuffle_seed, "workers": workers,
        "accumulate": accumulate, "clip_norm": clip_norm, "early_stopping": early_stopping,
    }  # fmt: skip
    if isinstance(validation, DataLoader):
        found = validation.batch(np.arange(len(validation.dataset)))
        validation = () if found is None else found
    _check(options, validation, metrics, on_epoch)
    if checkpoint is None and (resume or every is not None or every_steps is not None):
        raise ValueError("resume=, every= and every_steps= are about checkpoints; pass checkpoint=, a folder for them")
    checkpoints = None if checkpoint is None else Checkpoints(checkpoint, every, every_steps, keep)
    steps = Steps(module, loss, optimizer, learning_rate, compile, workers, clip_norm, exact=checkpoint is not None)
    scheduled = getattr(scheduler, "optimizer", None)
    if scheduler is not None and (scheduled is None or scheduled not in (optimizer, getattr(optimizer, "inner", None))):
        raise TypeError(f"a schedule of the optimizer that is passed is needed, got {given(scheduler)}; pass both")
    arrays, loader = _samples(steps, X, y, options, {"sample_weight": sample_weight, "class_weight": class_weight})
    if workers is not None:
        _check_workers(steps, arrays, options, compile, blas_threads)
    held_out = None if validation is None else steps.cost.checked(validation[0], validation[1], "validation ")
    training = Training(steps, loader, arrays, held_out, metrics or {}, scheduler, options)
    if checkpoints is not None:
        checkpoints.begin(training, resume)
    rows = training.batch_size
    steps.plan(training.count, rows, epochs, accumulate)
    keep_memory_once()
    # There are many batches for each validation pass, so they decide.
    most = max([rows, *[len(array) for array in leaves(held_out or ()) if training.whole]])
    with limited_blas(1 if in_tiles(rows, steps.workers) else blas_threads, threads_for(most, steps.parameters)):
        _run(training, epochs, checkpoints, on_epoch, progress)
    steps.keep_programs()
    return training.history


def _samples(steps: Steps, X: Any, y: Any, options: Any, weights: Any) -> tuple[Any, DataLoader]:
    """Return the arrays X, y and weights, and a loader of their rows; or None and the loader that is given."""
    size = options["batch_size"]
    if isinstance(X, DataLoader):
        others = {"y": y, "batch_size": size, "workers": options["workers"], **weights}
        if wrong := [f"{name}=" for name, x in others.items() if x is not None]:
            raise ValueError(f"a DataLoader goes without {', '.join(wrong)}; leave it out, or pass arrays X and y")
        if not len(X):
            raise DataError(f"the loader has no batch of {len(X.dataset)} samples; pass more, or drop_last=False")
        return None, X
    X, y = steps.cost.checked(X, y, least=0 if steps.together else 1)
    count = rows_of(X)
    if not any(steps.gathered(count)):
        raise DataError("no rank has a sample: X has 0 rows on all of them; give at least one rank some")
    of_samples = weights_of(y, **weights, dtype=dtype_of(steps.module), gathered=steps.gathered)
    shuffle = size is not None
    return (X, y, of_samples), DataLoader(range(count), size or max(count, 1), shuffle, seed=options["shuffle_seed"])


def _check_workers(steps: Steps, arrays: Any, options: Mapping[str, Any], compile: Any, blas_threads: Any) -> None:
    """Raise ValueError unless batches of this training can be computed in tiles."""
    loss, (_, y, weights) = steps.cost.loss, arrays
    plain = isinstance(steps.module, DenseNetwork) and are_ours(steps.module) and any(loss is f for f in LOSSES)
    ignores = loss is cross_entropy and bool(np.any(y == -100))  # the mean is over the labels that count
    if not plain or ignores or weights is not None or options["accumulate"] > 1:
        raise ValueError(
            "workers= adds up the costs of tiles of a batch: it takes a tg.nn.DenseNetwork and one of the library's "
            "losses, without weights, accumulate= and ignored labels"
        )
    if steps.together:
        raise ValueError("workers= are threads of one process; start more ranks instead, and leave it out")
    if compile is not None and not compile:
        raise ValueError("workers= runs compiled programs; leave out compile=False, or workers=")
    if blas_threads is not None:
        raise ValueError("each worker computes with one thread of BLAS; pass workers= or blas_threads=, not both")


def _check(options: Mapping[str, Any], validation: Any, metrics: Any, on_epoch: Any) -> None:
    """Raise TypeError, ValueError or DataError for impossible arguments."""
    optional(number)("clip_norm", options["clip_norm"])
    for name in ("batch_size", "accumulate", "early_stopping", "workers"):
        if options[name] is not None or name == "accumulate":
            whole_number(name, options[name])
    if validation is not None and not (isinstance(validation, (tuple, list)) and len(validation) == 2):
        raise DataError("validation takes a pair (X, y) of its own samples and labels")
    if validation is None and options["early_stopping"] is not None:
        raise ValueError("early_stopping= goes by the cost of validation data; pass validation=(X, y) with it")
    if not (on_epoch is None or callable(on_epoch)):
        raise TypeError(f"on_epoch must be a function (epoch, history), got {given(on_epoch)}")
    if metrics and not (isinstance(metrics, Mapping) and all(map(callable, metrics.values()))):
        raise TypeError(f'metrics must be functions by name, as {{"accuracy": tg.accuracy}}, got {metrics!r:.80}')
    own = {"cost", "epoch", *vars(History()), *dir(History)}
    for name in metrics or ():
        if not isinstance(name, str) or name in own or name.startswith("validation_"):
            raise ValueError(f"a metric can't be named {name!r}, which a history has for itself; give it another name")


def _run(training: Training, epochs: int, checkpoints: Checkpoints | None, on_epoch: Any, progress: bool) -> None:
    """Run the remaining epochs."""
    progress = progress and training.steps.rank == 0
    history, started = training.history, time.perf_counter() - training.history.seconds
    left, patience = range(len(history), epochs), training.options["early_stopping"] or math.inf
    try:
        for epoch in counted(left, epochs, history) if progress and left else left:
            if training.waited >= patience:
                break
            training.epoch(None if checkpoints is None else checkpoints.after_step)
            returned = None if on_epoch is None else on_epoch(epoch, history)
            if on_epoch is not None:
                training.steps.look()
            history.seconds = time.perf_counter() - started
            if checkpoints is not None:
                checkpoints.after_epoch(training)
            ends = returned is False or getattr(returned, "tolist", list)() is False  # NumPy's too, and a Tensor's
            if on_epoch is not None and any(training.steps.gathered(ends)):
                break
    except KeyboardInterrupt:
        if training.steps.together:  # it is not known where the other ranks are
            raise
        history.end_together()
        training.restore_best()
        print(f"stopped after {len(history)} of {epochs} epochs; what was learnt is kept", file=sys.stderr)
    else:
        training.steps.check_parameters(len(history) - 1)
        if checkpoints is not None:
            checkpoints.write(training)
        training.restore_best()
    finally:
        history.seconds = time.perf_counter() - started
    if progress:
        print(_summary(history), file=sys.stderr)


def _summary(history: History) -> str:
    n, seconds, costs = len(history), max(history.seconds, 1e-9), history.validation_cost
    told = [f"{n} epochs in {seconds:.3g} s ({n / seconds:,.1f} epochs/s)", *newest_figures(history)]
    lowest = f"; the validation's cost was lowest in epoch {costs.index(min(costs))}" if costs else ""
    return ", ".join(told) + lowest
