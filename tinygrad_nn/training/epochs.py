"""The epochs of a training: batches and steps, the figures for the history, the best state so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.arrays import copied
from ..errors import DataError, given
from ..optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from ..tensor.handle import replace_values
from .cost import Metric
from .history import History
from .loader import DataLoader
from .samples import in_mode, picked, rows_of
from .steps import Steps

ROWS_AT_ONCE = 1000  # at least, for validation in batches


@dataclass
class Training:
    """A training in progress: its parts, its position, and how to run an epoch.

    `arrays` are X, y and weights, or None if they come from the loader's dataset; `held_out` is the validation data
    (X, y). `means` are over the first `position` batches of the unfinished epoch, which have `rows` samples. `drawn` is
    the state of the loader's generator from which the epoch's order follows.
    """

    steps: Steps
    loader: DataLoader
    arrays: Any
    held_out: Any
    metrics: Mapping[str, Metric]
    scheduler: LRScheduler | None
    options: Mapping[str, Any]
    history: History = field(default_factory=History)
    position: int = 0
    rows: int = 0
    updates: int = 0
    waited: int = 0
    means: dict[str, float] = field(default_factory=dict)
    best: float = math.inf
    best_arrays: dict[str, np.ndarray] = field(default_factory=dict)
    drawn: Any = None

    def __post_init__(self) -> None:
        self.drawn = self.loader.generator.bit_generator.state
        self.whole: bool = self.arrays is not None and self.options["batch_size"] is None  # one batch, no copy
        ranks = getattr(self.loader, "ranks", 1)
        self.count: int = -(-len(self.loader.dataset) // ranks)
        self.batch_size: int = max(1, min(-(-self.loader.batch_size // ranks), self.count))

    def epoch(self, after_step: Callable[[Training], None] | None) -> None:
        """Train on the rest of an epoch, and add its figures to the history."""
        order = self.loader.order()
        end = max(self.steps.gathered(len(order)))  # the most batches of any rank
        with in_mode(self.steps.modules, True):
            while self.position < end:
                following = self.position + self.options["accumulate"]
                self._update(order[self.position : following])
                self.position = following
                self.updates += 1
                if after_step is not None:
                    after_step(self)
        figures = self._of_all(self.means, self.rows)
        if self.held_out is not None:
            X, y = self.held_out
            at_once = None if self.whole else max(self.batch_size, ROWS_AT_ONCE)
            found = self._of_all(self.steps.cost.evaluate(X, y, self.metrics, at_once), rows_of(X))
            figures = figures | {f"validation_{name}": figure for name, figure in found.items()}
        self._end(figures)

    def _update(self, group: list[Any]) -> None:
        """Make one step on a group of batches."""
        batches = [self._batch(rows) for rows in group if len(rows)]
        made = self.steps.make(len(self.history), batches)
        for (_, y, _), (size, cost, scores) in zip(batches, made, strict=True):
            self.rows += size
            figures = {"cost": cost} | self.steps.cost.figures(scores, y, self.metrics)
            for name, figure in figures.items():  # a running mean, of one batch its figure to the last bit
                mean = self.means.get(name, 0.0)
                self.means[name] = mean + (figure - mean) * (size / self.rows)

    def _batch(self, rows: Any) -> Any:
        """Return X, y and weights, or None, of a batch. Raises DataError for a loader's that is no pair of samples."""
        if self.arrays is not None:
            return self.arrays if self.whole else picked(self.arrays, rows)
        found = self.loader.batch(rows)
        if not (isinstance(found, (tuple, list)) and len(found) == 2):
            raise DataError(f"a batch is {given(found)}, and X and y are needed; return pairs from the dataset")
        return *self.steps.cost.checked(found[0], found[1], "a batch's "), None

    def _of_all(self, figures: dict[str, float], rows: int) -> dict[str, float]:
        """Return the figures over the rows of all ranks, so that all ranks decide alike."""
        each = self.steps.gathered([rows, figures])
        if len(each) == 1:
            return figures
        names, total = max(each, key=lambda pair: int(pair[0]))[1], sum(n for n, _ in each)
        return {name: math.fsum(n * of_rank[name] for n, of_rank in each if n) / total for name in names}

    def _end(self, figures: dict[str, float]) -> None:
        for name, figure in figures.items():
            self.history.figures.setdefault(name, []).append(figure)
        self.position, self.rows, self.means, self.drawn = 0, 0, {}, self.loader.generator.bit_generator.state
        judged = figures.get("validation_cost", figures["cost"])
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(judged)
        elif self.scheduler is not None:
            self.scheduler.step()
        self.waited += 1
        if judged < self.best:
            self.best, self.waited = judged, 0
            if self.options["early_stopping"] is not None:
                self.steps.look()
                self.best_arrays = {name: copied(t.data) for name, t in self.steps.tensors.items()}

    def restore_best(self) -> None:
        """Set parameters and buffers to their values at the lowest validation cost."""
        self.steps.look()
        replace_values([(self.steps.tensors[name], copied(array)) for name, array in self.best_arrays.items()])
