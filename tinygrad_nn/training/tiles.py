"""A step on a large batch by several threads: each computes gradients of tiles of rows, which are added up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import pairwise
from typing import Any

import numpy as np

from ..optim import Optimizer
from ..tensor.handle import Tensor

ROWS = 4000  # per tile, at least: with fewer, Python's overhead counts; with many more, caches are too small


def in_tiles(rows: int, workers: int) -> bool:
    """Return whether there are workers and the batch is large enough for a tile each."""
    return 0 < workers * ROWS <= rows


def tiled_step(
    gradient: Callable[..., Any], parameters: dict[str, Tensor], optimizer: Optimizer, workers: int,
    X: np.ndarray, y: np.ndarray,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Make one step of gradient descent on a batch, computed in tiles; return its cost and scores.

    `gradient(parameters, X, y)` returns ((cost, scores), gradients) of a tile, where the cost is the mean over rows.
    The tiles, and the order in which they are added up, depend on the sizes alone, so the same number of workers gives
    the same bits.

    Workers write only into their results, and one of them makes the step after all are added. Python interrupts only
    the main thread, so after Ctrl-C the step is made completely or not begun.
    """
    arrays = {name: p.data for name, p in parameters.items()}
    count = workers * (len(X) // (workers * ROWS))
    tiles = list(pairwise([len(X) * i // count for i in range(count + 1)]))

    def of_tile(low: int, high: int) -> tuple[np.ndarray, list[Any]]:
        """Return the scores of a tile's rows, and the sums of costs and gradients over the rows."""
        (cost, scores), gradients = gradient(arrays, X[low:high], y[low:high])
        return scores.data, [x.data * (high - low) for x in (cost, *[gradients[name] for name in arrays])]

    def make_step(gradients: list[Any]) -> None:
        optimizer.zero_grad()
        for p, g in zip(parameters.values(), gradients, strict=True):
            if p.requires_grad:
                p.backward(g)
        optimizer.step()

    with ThreadPoolExecutor(workers) as pool:  # only for this step: a later fork finds no threads
        scores, sums, contexts = [], list[Any](), [copy_context() for _ in tiles]
        for of_rows, parts in pool.map(lambda context, tile: context.run(of_tile, *tile), contexts, tiles):
            scores.append(of_rows)
            sums = [a + b for a, b in zip(sums, parts, strict=True)] if sums else parts
        cost, *gradients = [Tensor(np.asarray(total / len(X))) for total in sums]
        pool.submit(copy_context().run, make_step, gradients).result()
    return cost, Tensor(np.concatenate(scores))
