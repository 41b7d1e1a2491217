"""Samples per second by number of MPI ranks, with the latency and bandwidth of Allreduce, and what these imply.

The program starts itself by mpiexec. All ranks are on this machine; if they are more than its cores, they take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.interop.mpi import DataParallel, world

NETWORKS = {"2-25-50-50-25-1": [2, 25, 50, 50, 25, 1], "784-256-128-10": [784, 256, 128, 10]}
ROWS = 2048  # of a batch, of all ranks together


def seconds(function: Callable[[], Any], times: int, of: Callable[..., float] = statistics.median) -> float:
    """Return the median, or another statistic, of the times of a call."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        function()
        found.append(time.perf_counter() - begun)
    return of(found)


def allreduce(count: int, dtype: Any, times: int, of: Callable[..., float]) -> float:
    """Return the time that Allreduce takes to sum this many numbers."""
    comm, sent, received = world(), np.zeros(count, dtype), np.empty(count, dtype)
    return seconds(lambda: comm.Allreduce(sent, received), times, of)


def of_network(sizes: list[int], times: int) -> dict[str, float]:
    """Return the times of a step of this rank, of its gradient alone, and of Allreduce of its numbers."""
    comm = world()
    layers = [tg.nn.Linear(n, k, dtype=np.float32, seed=i) for i, (n, k) in enumerate(pairwise(sizes))]
    network = tg.nn.Sequential(*[m for layer in layers for m in (layer, tg.nn.ReLU())][:-1])
    rows, count = len(range(comm.rank, ROWS, comm.size)), sum(p.size for p in network.parameters())
    X = np.random.default_rng(comm.rank).standard_normal((rows, sizes[0]), np.float32)
    y = np.zeros((rows, sizes[-1]), np.float32)
    optimizer = DataParallel(tg.optim.Adam(network.parameters(), lr=1e-4), comm)

    @tg.compile
    def gradient(X: Any, y: Any) -> Any:
        network.zero_grad()
        loss = tg.mse_loss(network(X), y)
        loss.backward()
        return loss

    def step() -> None:
        gradient(X, y)
        optimizer.step(rows=rows)

    step()
    return {
        "step": seconds(step, times), "gradient": seconds(lambda: gradient(X, y), times),
        "allreduce": allreduce(count, np.float32, times, statistics.median), "bytes": 4 * count,
    }  # fmt: skip


def measured(times: int) -> dict[str, Any]:
    """Return what each rank measures; of the network between them the best times, since others may be at work."""
    found: dict[str, Any] = {name: of_network(sizes, times) for name, sizes in NETWORKS.items()}
    latency = allreduce(1, np.float64, times, min)
    return found | {"network": [latency, (allreduce(1 << 19, np.float64, times, min) - latency) / (1 << 22)]}


def main() -> None:
    """Measure on 1, 2 and 4 ranks, or be one of the ranks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4], help="(%(default)s)")
    parser.add_argument("--times", type=int, default=100, help="repetitions, of which the median counts (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="one and two ranks, few repetitions")
    parser.add_argument("--as-rank", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.ranks, options.times = [1, 2], 10
    if options.as_rank:
        found = measured(options.times)
        if world().rank == 0:
            print(json.dumps(found))
        return
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))
    if mpiexec is None:
        raise SystemExit(f"ranks are started by mpiexec; install it with: {sys.executable} -m pip install mpi4py mpich")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    print("network           ranks  samples/s  step µs  gradient µs  Allreduce µs")
    by_ranks: dict[int, Any] = {}
    for n in options.ranks:
        command = [mpiexec, "-n", str(n), sys.executable, __file__, "--as-rank", f"--times={options.times}"]
        by_ranks[n] = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
        for name in NETWORKS:
            row = by_ranks[n][name]
            times = [row[key] * 1e6 for key in ("step", "gradient", "allreduce")]
            print(f"{name:16s} {n:6d} {ROWS / row['step']:10,.0f} {times[0]:8,.0f} {times[1]:12,.0f} {times[2]:13,.0f}")
    latency, per_byte = by_ranks[2 if 2 in by_ranks else max(by_ranks)]["network"]
    print(f"Allreduce on two ranks: {latency * 1e6:.1f} µs for one number, {1e-9 / per_byte:.2f} GB/s for 4 MB")
    print(f"implied for nodes with such a network between them, and {ROWS:,} rows on each:")
    for name in NETWORKS:
        row = by_ranks[min(by_ranks)][name]
        shares = []
        for n in (2, 8, 64):
            # A ring or halving and doubling moves 2 (n - 1) / n of the bytes, in about log2(n) turns each way.
            exchange = latency * np.log2(n) + per_byte * row["bytes"] * 2 * (n - 1) / n
            shares.append(f"{n} nodes {row['step'] / (row['step'] + exchange):.0%}")
        print(f"{name:16s} of the ideal speed: {', '.join(shares)}")


if __name__ == "__main__":
    main()
