"""A step on a large batch by several threads: each computes the gradients of tiles of its rows, which are added up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import pairwise
from threading import Event
from typing import Any

import numpy as np

from ..optim import Optimizer
from ..tensor.handle import Tensor

ROWS = 4000  # of a tile at least: of fewer, what Python adds counts; of many more, the caches are too small


def in_tiles(rows: int, workers: int) -> bool:
    """Return whether there are workers, and a batch is large enough that each has a tile."""
    return 0 < workers * ROWS <= rows


def tiled_step(
    gradient: Callable[..., Any], parameters: dict[str, Tensor], optimizer: Optimizer, workers: int,
    X: np.ndarray, y: np.ndarray,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Make one step of gradient descent on a batch, computed in tiles; return its cost and scores.

    `gradient(parameters, X, y)` returns ((cost, scores), gradients) of a tile, where a cost is the mean over rows.
    Which worker computes which tiles, and in which order all is added, follows from the sizes alone: so the same
    number of workers gives the same bits.

    The workers write into what they return only, and one of them makes the step when all is added. Python
    interrupts the main thread alone: so Ctrl-C leaves the step made, or not begun.
    """
    arrays = {name: p.data for name, p in parameters.items()}
    count = workers * (len(X) // (workers * ROWS))
    tiles = list(pairwise([len(X) * i // count for i in range(count + 1)]))
    scores: list[Any] = [None] * count
    stopped = Event()

    def add_up(worker: int) -> list[Any]:
        """Return the sums of costs and of gradients over the rows of every tile that is the worker's."""
        sums: list[Any] = []
        for tile in range(worker, count, workers):
            if stopped.is_set():
                break
            low, high = tiles[tile]
            (cost, of_rows), gradients = gradient(arrays, X[low:high], y[low:high])
            scores[tile] = of_rows.data
            weighted = [x.data * (high - low) for x in (cost, *[gradients[name] for name in arrays])]
            sums = [a + b for a, b in zip(sums, weighted, strict=True)] if sums else weighted
        return sums

    def make_step(gradients: list[Any]) -> None:
        optimizer.zero_grad()
        for p, g in zip(parameters.values(), gradients, strict=True):
            if p.requires_grad:
                p.backward(g)
        optimizer.step()

    with ThreadPoolExecutor(workers) as pool:  # of this step alone: a process that forks later has nothing to wait for
        try:
            jobs = [pool.submit(copy_context().run, add_up, worker) for worker in range(workers)]
            sums = zip(*[job.result() for job in jobs], strict=True)
            cost, *gradients = [Tensor(np.asarray(sum(parts[1:], parts[0]) / len(X))) for parts in sums]
            pool.submit(copy_context().run, make_step, gradients).result()
        finally:
            stopped.set()
    return cost, Tensor(np.concatenate(scores))
