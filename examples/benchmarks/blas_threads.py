"""What a second BLAS thread gains in products of several sizes, on this machine, quiet or beside busy loops.

    python examples/benchmarks/blas_threads.py
    python examples/benchmarks/blas_threads.py --busy 4

Each row is a product of (rows, inputs) and (inputs, outputs), in float64 and float32. Times with one and with two
threads are taken in turns, and the ratio of their medians is shown: below 1 the second thread helps. `tg.train` uses
one BLAS thread if no product has more than 2**24 multiplications; the last column says what it chooses.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from typing import Any

import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.training.blas_threads import limited_blas, threads_for

SIZES = [
    (900, 2, 25), (900, 25, 50), (900, 50, 50), (32, 784, 256), (128, 256, 128), (128, 256, 256), (900, 128, 128),
    (128, 784, 256), (512, 256, 256), (1024, 512, 256), (1024, 1024, 1024),
]  # fmt: skip


def busy() -> None:
    """Compute for ever."""
    while True:
        pass


def seconds(a: Any, b: Any, out: Any, threads: int) -> float:
    """Return the time of a product, the mean over as many products as take some 20 ms."""
    with limited_blas(threads, None):
        np.matmul(a, b, out=out)
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < 0.02:
            np.matmul(a, b, out=out)
            count += 1
        return (time.perf_counter() - started) / count


def ratio(size: tuple[int, int, int], dtype: Any, rounds: int) -> tuple[float, float]:
    """Return the microseconds of a product with one thread, and the ratio of two threads' time to that."""
    rows, inputs, outputs = size
    generator = np.random.default_rng(0)
    a, b = (generator.normal(size=shape).astype(dtype) for shape in ((rows, inputs), (inputs, outputs)))
    out = np.empty((rows, outputs), dtype)
    times = [[seconds(a, b, out, threads) for threads in (1, 2)] for _ in range(rounds)]
    one, two = map(statistics.median, zip(*times, strict=True))
    return one * 1e6, two / one


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What a second BLAS thread is worth, by the size of the product.")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="loops that compute meanwhile (default: 0)")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="turns of one and two threads (default: 9)")
    options = parser.parse_args()
    loops = [multiprocessing.Process(target=busy, daemon=True) for _ in range(options.busy)]
    for loop in loops:
        loop.start()
    print(f"beside {options.busy} busy loops, median of {options.rounds} turns")
    times = f"{'float64 µs':>10}  {'two':>5}  {'float32 µs':>10}  {'two':>5}"
    print(f"{'product':<16}  {'multiplications':>15}  {times}  chosen")
    for size in SIZES:
        (slow, of_slow), (quick, of_quick) = (ratio(size, dtype, options.rounds) for dtype in (np.float64, np.float32))
        chosen = threads_for(size[0], [tg.zeros(size[1:])]) or "BLAS's own"
        name = "x".join(map(str, size))
        figures = f"{slow:>10.0f}  {of_slow:>5.2f}  {quick:>10.0f}  {of_quick:>5.2f}"
        print(f"{name:<16}  {int(np.prod(size)):>15,}  {figures}  {chosen}")


if __name__ == "__main__":
    main()
