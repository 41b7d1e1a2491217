"""A program for mpiexec: what each rank does in a test, by name; rank 0 writes what came out as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

import tinygrad_nn as tg
from tinygrad_nn.interop import mpi
from tinygrad_nn.interop.mpi import DataParallel, ShardedLoader, world

COMM: Any = MPI.COMM_WORLD
X, y = tg.data.make_moons(101, 0.1, 0)
Y = y.reshape(-1, 1).astype(float)
LAYERS = [
    {"input_dim": 2, "output_dim": 8, "activation": "tanh"},
    {"input_dim": 8, "output_dim": 1, "activation": "sigmoid"},
]


def full_batches() -> Any:
    """Return the parameters of one process, and of the ranks, after 500 epochs with all rows."""
    found = []
    for together in (False, True):
        network = tg.nn.DenseNetwork(LAYERS, seed=COMM.rank if together and COMM.rank else 2)
        optimizer: Any = tg.optim.Adam(network.parameters(), lr=0.01)
        rows = slice(COMM.rank, None, COMM.size) if together else slice(None)
        if together:
            optimizer = DataParallel(optimizer)
        tg.train(network, X[rows], y[rows], 500, optimizer=optimizer, progress=False)
        found.append(tg.ravel(network).data.tolist())
    return found


def minibatches() -> Any:
    """Return the same after 50 epochs in batches of 16, by a loop of one's own."""
    found = []
    for together in (False, True):
        network = tg.nn.DenseNetwork(LAYERS, seed=2)
        optimizer: Any = tg.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        dataset, kind = tg.data.TensorDataset(X, Y), ShardedLoader if together else tg.data.DataLoader
        loader = kind(dataset, 16, shuffle=True, seed=3)
        if together:
            optimizer = DataParallel(optimizer)
        for _ in range(50):
            for rows, labels in loader:
                optimizer.zero_grad()
                if len(rows):
                    tg.binary_cross_entropy_with_logits(network.logits(rows), labels).backward()
                if together:
                    optimizer.step(rows=len(rows))
                else:
                    optimizer.step()
        found.append(tg.ravel(network).data.tolist())
    return found


def checkpointed(folder: str, kill_at: str = "-1") -> Any:
    """Return the parameters, and the costs, of a training whose last rank may kill itself; it goes on where it can."""
    module = tg.nn.Sequential(
        tg.nn.Linear(2, 8, seed=0), tg.nn.BatchNorm1d(8), tg.nn.Tanh(), tg.nn.Dropout(0.2, seed=COMM.rank),
        tg.nn.Linear(8, 1, seed=1),
    )  # fmt: skip
    optimizer = DataParallel(tg.optim.Adam(module.parameters(), lr=0.02), module=module)
    rows = slice(COMM.rank, None, COMM.size)

    def on_epoch(epoch: int, history: Any) -> None:
        if epoch == int(kill_at) and COMM.rank == COMM.size - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    history = tg.train(
        module, X[rows], Y[rows], 12, batch_size=16, loss=tg.binary_cross_entropy_with_logits, optimizer=optimizer,
        shuffle_seed=COMM.rank, checkpoint=folder, resume=True, on_epoch=on_epoch, progress=False,
    )  # fmt: skip
    buffers = optimizer.gathered([t.data.tolist() for t in module.buffers()])
    return [tg.ravel(module).data.tolist(), history.cost, buffers]


def failing(when: str) -> None:
    """Let the last rank fail while the others wait for it."""
    if when == "before" and world().rank == COMM.size - 1:
        raise RuntimeError("the disk of this rank is on fire")
    w = tg.ones(3, requires_grad=True)
    optimizer = DataParallel(tg.optim.SGD([w], lr=0.1))
    for step in range(100):
        (w * w).sum().backward()
        if step == 5 and COMM.rank == COMM.size - 1:
            raise RuntimeError("the disk of this rank is on fire")
        optimizer.step()


def leaving(how: str) -> None:
    """Let the last rank end while the others wait for it: in a step, or for what `tg.train` gathers."""
    w = tg.ones(3, requires_grad=True)
    optimizer = DataParallel(tg.optim.SGD([w], lr=0.1))
    for step in range(100):
        (w * w).sum().backward()
        if step == 5 and COMM.rank == COMM.size - 1:
            sys.exit(0 if how == "in peace" else 3)
        if step == 5 and how == "gathering":
            optimizer.gathered(step)
        optimizer.step()


def leaving_at_first(who: str, when: str) -> None:
    """Let one rank end before there is an optimiser, a loader, or a step."""
    comm = world()
    if when == "before the optimiser" and comm.rank == int(who):
        sys.exit(f"rank {who}: the data file is missing")
    optimizer = DataParallel(tg.optim.SGD([tg.ones(3, requires_grad=True)], lr=0.1), comm)
    if when == "before the loader" and comm.rank == int(who):
        sys.exit(f"rank {who}: the data file is missing")
    ShardedLoader(range(8), comm=comm)
    if when == "before the step" and comm.rank == int(who):
        sys.exit(f"rank {who}: the data file is missing")
    optimizer.step(rows=2)


def waiting(how: str) -> None:
    """Let the last rank end while the others wait for it in a collective call of their own."""
    if COMM.rank < COMM.size - 1:
        COMM.Barrier()
    if how == "an error":  # although nothing of the bridge was called
        raise RuntimeError("the disk of this rank is on fire")
    sys.exit(how)


def ending(made: str) -> str:
    """Let ranks end without a step: with an optimiser, without one, with one for some ranks or for each alone."""
    w = tg.ones(3, requires_grad=True)
    comm = world() if made != "nothing" or COMM.rank == 0 else COMM
    if made == "an optimiser":
        DataParallel(tg.optim.SGD([w], lr=0.1), comm)
    if made == "one for some":
        part = comm.Split(min(comm.rank, 1))
        DataParallel(tg.optim.SGD([w], lr=0.1), part).step()
        if comm.rank == 0:
            part.Free()
    if made == "an exit that is caught" and comm.rank == 1:
        mpi._PATIENCE = 0.2
        with contextlib.suppress(SystemExit):
            sys.exit("no such option")
        time.sleep(0.5)
    if made == "one alone" and comm.rank == 1:
        DataParallel(tg.optim.SGD([w], lr=0.1), MPI.COMM_SELF).step()
    return made


if __name__ == "__main__":
    target, scenario, *arguments = sys.argv[1:]
    result = globals()[scenario](*arguments)
    if COMM.rank == 0:
        Path(target).write_text(json.dumps(result))
    np.testing.assert_equal(COMM.allgather(scenario), [scenario] * COMM.size)
