"""Ranks that are threads of one process: what `Bcast` and `Allreduce` are, without MPI."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import numpy as np


class Threads:
    """The communicator of one thread of several, with the names that mpi4py gives to it."""

    def __init__(self, rank: int, size: int, shared: dict[str, Any]) -> None:
        self.rank, self.size, self.shared, self.calls = rank, size, shared, 0

    def _exchanged(self, array: np.ndarray) -> list[np.ndarray]:
        self.shared[str(self.rank)] = array.copy()
        self.shared["barrier"].wait(60)
        found = [self.shared[str(rank)] for rank in range(self.size)]
        self.shared["barrier"].wait(60)
        assert len({each.shape for each in found}) == 1
        return found

    def Bcast(self, buffer: np.ndarray, root: int = 0) -> None:
        buffer[...] = self._exchanged(buffer)[root]

    def Allreduce(self, sent: np.ndarray, received: np.ndarray) -> None:
        self.calls += 1
        received[...] = np.add.reduce(self._exchanged(sent))


def on_ranks(size: int, function: Callable[[Any], Any]) -> list[Any]:
    """Return what the function returns on each rank, given its communicator; raise what one raises."""
    shared: dict[str, Any] = {"barrier": threading.Barrier(size)}
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            results[rank] = function(Threads(rank, size, shared))
        except BaseException as error:
            errors.append(error)
            shared["barrier"].abort()

    threads = [threading.Thread(target=copy_context().run, args=(run, rank)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own = [error for error in errors if not isinstance(error, threading.BrokenBarrierError)]
    if errors:
        raise (own or errors)[0]
    return results
