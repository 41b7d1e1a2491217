"""Train on several processes, or machines, at once: mpiexec -n 2 python examples/data_parallel.py.

Each rank computes the gradients of its part of every batch. The step is that of one process with the whole batch, so
any number of ranks learns the same, except for the last digits. With --checkpoint, training goes on from where it was
interrupted, on the same number of ranks.
"""

from __future__ import annotations

import argparse

import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.interop.mpi import DataParallel, ShardedLoader, world


def main() -> None:
    """Train, and let rank 0 print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20, help="(%(default)s)")
    parser.add_argument("--checkpoint", help="folder of checkpoints: write them there, and go on from the last one")
    options = parser.parse_args()
    try:
        comm = world()
    except ImportError as error:
        raise SystemExit(error) from None

    X, y = tg.data.make_moons(2000, 0.2, 0)
    first, second, last = (tg.nn.Linear(n, k, seed=k) for n, k in ((2, 32), (32, 32), (32, 2)))
    network = tg.nn.Sequential(first, tg.nn.ReLU(), second, tg.nn.ReLU(), last)
    optimizer = DataParallel(tg.optim.Adam(network.parameters(), lr=0.01), comm)
    loader = ShardedLoader(tg.data.TensorDataset(X, y.astype(int)), 100, shuffle=True, seed=0, comm=comm)
    history = tg.train(
        network, loader, epochs=options.epochs, loss=tg.cross_entropy, optimizer=optimizer,
        checkpoint=options.checkpoint, resume=options.checkpoint is not None,
    )  # fmt: skip
    if comm.rank == 0:
        length = np.linalg.norm(tg.ravel(network).data)
        print(f"{comm.size} ranks: cost {history.cost[-1]:.6f}, norm of all parameters {length:.9f}")
        print(f"accuracy {tg.accuracy(tg.predict(network, X), y.astype(int)):.3f}")


if __name__ == "__main__":
    main()
