"""Measure single operations in several libraries: a convolution, pooling, and a loop over an array's entries.

    python examples/benchmarks/operations.py
    python examples/benchmarks/operations.py --only convolution tinygrad_nn torch
    python examples/benchmarks/operations.py --quick

There are rounds of fresh processes, one per contestant and work, in rotating order. Each process checks
its results against NumPy's in double precision, warms up, and reports its median time. The table shows
the median over the rounds, and its ratio to PyTorch's. `im2col` and the three below it are other ways to
write the forward convolution in NumPy: the library's own was chosen among them. Freed memory is kept, as
it is from a first backward pass on. The loop is s += x[i] * x[i] for each i, forward and backward. Its
time is that of one index, so it is the same for 300 and 3,000 entries unless each index costs a whole array.

BLAS threads wait for each other, so on a busy machine they can take a hundred times as long: measure
with `--threads 1` there.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from one import seconds_per_step, threads, version
from run import THREADS, reported, say
from works import largest_error

Run = Callable[[], list[np.ndarray]]
BATCH, CHANNELS, LENGTH, KERNEL = 32, 16, 32, 3
PAD = KERNEL // 2


def drawn(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def convolution_data() -> tuple[Any, Any, Any, Any]:
    """Return the input, the weight, the bias and the cotangent."""
    images = BATCH, CHANNELS, LENGTH, LENGTH
    return drawn(0, *images), drawn(1, CHANNELS, CHANNELS, KERNEL, KERNEL), drawn(2, CHANNELS), drawn(3, *images)


def padded(x: Any, axes: tuple[int, int] = (2, 3)) -> Any:
    return np.pad(x, [(PAD, PAD) if axis in axes else (0, 0) for axis in range(4)])


def biased(y: Any, bias: Any) -> list[np.ndarray]:
    y += bias[:, None, None]
    return [y]


def im2col(x: Any, weight: Any, bias: Any) -> list[np.ndarray]:
    """All windows as columns, and one product for each image."""
    windows = sliding_window_view(padded(x), (KERNEL, KERNEL), (2, 3)).transpose(0, 1, 4, 5, 2, 3)
    y = weight.reshape(CHANNELS, -1) @ windows.reshape(BATCH, -1, LENGTH * LENGTH)
    return biased(y.reshape(x.shape), bias)


def channels_last(x: Any, weight: Any, bias: Any) -> list[np.ndarray]:
    """All windows as rows, channels last, and one product."""
    p = padded(x.transpose(0, 2, 3, 1), (1, 2))
    a, b, c, d = p.strides
    rows = as_strided(p, (BATCH, LENGTH, LENGTH, KERNEL, KERNEL * CHANNELS), (a, b, c, b, d)).reshape(
        BATCH * LENGTH**2, -1
    )
    y = rows @ weight.transpose(2, 3, 1, 0).reshape(-1, CHANNELS)
    return biased(y.reshape(BATCH, LENGTH, LENGTH, CHANNELS).transpose(0, 3, 1, 2), bias)


def positions(x: Any, weight: Any, bias: Any) -> list[np.ndarray]:
    """One product for each position in the kernel, of slices of the images' rows laid end to end."""
    p = np.pad(padded(x).reshape(BATCH, CHANNELS, -1), ((0, 0), (0, 0), (0, KERNEL - 1)))
    wide, y = LENGTH + 2 * PAD, np.zeros((BATCH, CHANNELS, LENGTH * (LENGTH + 2 * PAD)), x.dtype)
    for i, j in np.ndindex(KERNEL, KERNEL):
        y += np.ascontiguousarray(weight[:, :, i, j]) @ p[:, :, i * wide + j : i * wide + j + LENGTH * wide]
    return biased(y.reshape(BATCH, CHANNELS, LENGTH, wide)[..., :LENGTH], bias)


def tensordot(x: Any, weight: Any, bias: Any) -> list[np.ndarray]:
    """A contraction of the view of all windows."""
    windows = sliding_window_view(padded(x), (KERNEL, KERNEL), (2, 3))
    return biased(np.tensordot(windows, weight, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2), bias)


def by_hand(form: Any) -> Callable[[], Run]:
    def make() -> Run:
        import tinygrad_nn as tg

        tg.keep_memory()
        x, weight, bias, _ = convolution_data()
        return lambda: form(x, weight, bias)

    return make


def conv(library: Any) -> Any:
    return lambda x, weight, bias: library.conv2d(x, weight, bias, padding=PAD)


def pool(library: Any) -> Any:
    return lambda x: library.max_pool2d(x, 2)


def loop(library: Any) -> Any:
    def total(x: Any) -> Any:
        s = 0.0
        for i in range(len(x)):
            s = s + x[i] * x[i]
        return s

    return total


def ours(forward: Any, data: Callable[[], Any], backward: bool = True) -> Callable[[], Run]:
    """Return a function that makes a pass of tinygrad_nn; the last array of the data is the cotangent."""

    def make() -> Run:
        import tinygrad_nn as tg

        tg.keep_memory()
        *arrays, cotangent = data()
        inputs, function = [tg.tensor(a, requires_grad=backward) for a in arrays], forward(tg)

        def run() -> list[np.ndarray]:
            for t in inputs:
                t.grad = None
            y = function(*inputs)
            if not backward:
                return [y.data]
            y.backward(tg.Tensor(cotangent))
            return [t.grad.data for t in inputs]  # type: ignore[union-attr]

        return run

    return make


def pytorch(forward: Any, data: Callable[[], Any], backward: bool = True) -> Callable[[], Run]:
    """Return a function that makes the same pass of PyTorch."""

    def make() -> Run:
        import torch

        *arrays, cotangent = map(torch.tensor, data())
        inputs, function = [t.requires_grad_(backward) for t in arrays], forward(torch.nn.functional)

        def run() -> list[np.ndarray]:
            for t in inputs:
                t.grad = None
            y = function(*inputs)
            if not backward:
                return [y.numpy()]
            y.backward(cotangent)
            return [t.grad.numpy() for t in inputs]

        return run

    return make


def autograd(n: int) -> Callable[[], Run]:
    """Return a function that makes HIPS autograd's pass through the loop."""

    def make() -> Run:
        from autograd import grad

        x, _ = entries(n)()
        slope = grad(loop(None))
        return lambda: [slope(x)]

    return make


def entries(n: int) -> Callable[[], Any]:
    return lambda: (np.random.default_rng(0).standard_normal(n), np.array(1.0))


def right_convolution() -> list[np.ndarray]:
    """Return the convolution and its gradients, from the definition, in double precision."""
    x, weight, bias, g = (a.astype(float) for a in convolution_data())
    windows = sliding_window_view(padded(x), (KERNEL, KERNEL), (2, 3))
    spread = sliding_window_view(padded(g), (KERNEL, KERNEL), (2, 3))[..., ::-1, ::-1]
    y = np.tensordot(windows, weight, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2) + bias[:, None, None]
    to_x = np.tensordot(spread, weight, ((1, 4, 5), (0, 2, 3))).transpose(0, 3, 1, 2)
    return [y, to_x, np.tensordot(g, windows, ((0, 2, 3), (0, 2, 3))), g.sum((0, 2, 3))]


def pool_data() -> tuple[Any, Any]:
    return drawn(0, BATCH, CHANNELS, LENGTH, LENGTH), drawn(1, BATCH, CHANNELS, LENGTH // 2, LENGTH // 2)


def right_pool() -> list[np.ndarray]:
    """Return max_pool2d's gradient: each cotangent at the largest of its 2 x 2 entries."""
    x, g = pool_data()
    tiles = x.reshape(BATCH, CHANNELS, LENGTH // 2, 2, LENGTH // 2, 2)
    largest = tiles == tiles.max((3, 5), keepdims=True)
    return [(largest * g[:, :, :, None, :, None]).reshape(x.shape)]


@dataclass(frozen=True)
class Work:
    """What is measured: the contestants, what each must compute, and the unit of its times."""

    title: str
    contestants: dict[str, Callable[[], Run]]
    right: Callable[[], list[np.ndarray]]
    dtype: str = "float32"
    seconds: float = 1e-3
    unit: str = "ms"


def indexing(n: int) -> Work:
    data = entries(n)
    contestants = {"tinygrad_nn": ours(loop, data), "torch": pytorch(loop, data), "autograd": autograd(n)}
    return Work(
        f"s += x[i] * x[i] for {n:,} entries, float64, forward and backward",
        contestants, lambda: [2 * data()[0]], "float64", 1e-6 * n, "us an index",
    )  # fmt: skip


FORMS = {"im2col": im2col, "channels_last": channels_last, "positions": positions, "tensordot": tensordot}
SHAPE = f"{BATCH} x {CHANNELS} -> {CHANNELS} channels of {LENGTH} x {LENGTH}, kernels {KERNEL} x {KERNEL}, float32"
WORKS = {
    "convolution-forward": Work(
        f"conv2d, {SHAPE}, forward",
        {"tinygrad_nn": ours(conv, convolution_data, False), "torch": pytorch(conv, convolution_data, False)}
        | {name: by_hand(form) for name, form in FORMS.items()},
        lambda: right_convolution()[:1],
    ),
    "convolution": Work(
        "the same, forward and backward: the gradients of input, weight and bias",
        {"tinygrad_nn": ours(conv, convolution_data), "torch": pytorch(conv, convolution_data)},
        lambda: right_convolution()[1:],
    ),
    "pool": Work(
        f"max_pool2d by 2 x 2, {BATCH} x {CHANNELS} x {LENGTH} x {LENGTH}, float32, forward and backward",
        {"tinygrad_nn": ours(pool, pool_data), "torch": pytorch(pool, pool_data)},
        right_pool,
    ),
    **{f"loop-{n}": indexing(n) for n in (300, 1000, 3000)},
}
PACKAGES = {"tinygrad_nn": "tinygrad_nn", "torch": "torch", "autograd": "autograd"}
Key = tuple[str, str]


def measure(work: Work, contestant: str, seconds: float) -> dict[str, Any]:
    """Return a contestant's time in seconds, its version and threads. Raises ValueError if its results are wrong."""
    run, package = work.contestants[contestant](), PACKAGES.get(contestant, "numpy")
    error = largest_error(run(), work.right(), work.dtype)
    if not error <= 1:
        raise ValueError(f"this contestant computes something else: its error is {error:.3g} times the allowed one")
    return {"time": seconds_per_step(run, seconds), "version": version(package), "threads": threads(package)}


def measured(keys: list[Key], rounds: int, seconds: float) -> tuple[dict[Key, list[dict[str, Any]]], dict[Key, str]]:
    """Return what the processes reported, round by round, and what went wrong."""
    reports: dict[Key, list[dict[str, Any]]] = {key: [] for key in keys}
    failures: dict[Key, str] = {}
    for number in range(rounds):
        for work in WORKS:
            here = [key for key in keys if key[0] == work and key not in failures]
            turn = number % max(len(here), 1)
            for key in here[turn:] + here[:turn]:
                say(f"round {number + 1} of {rounds}: {' '.join(key)}")
                command = [sys.executable, str(Path(__file__)), "--one", *key, "--seconds", str(seconds)]
                try:
                    reports[key].append(json.loads(reported(command, {})))
                except RuntimeError as error:
                    failures[key] = str(error)
    say("")
    return reports, failures


def print_table(reports: dict[Key, list[dict[str, Any]]], failures: dict[Key, str]) -> None:
    """Print each work with a row for each contestant."""
    medians = {key: median([r["time"] for r in found]) for key, found in reports.items() if found}
    print(f"{'':<18}{'median':>10}{'lowest-highest':>20}{'/ PyTorch':>12}")
    for name, work in WORKS.items():
        here = [key for key in reports if key[0] == name]
        if here:
            print(f"\n{work.title}; {work.unit}")
        for key in here:
            if key in failures:
                print(f"  {key[1]:<16}failed: {failures[key]}")
                continue
            times = [r["time"] / work.seconds for r in reports[key]]
            torch = medians.get((name, "torch"))
            ratio = f"{medians[key] / torch:.2f}" if torch else "-"
            spread = f"{min(times):.2f}-{max(times):.2f}"
            print(f"  {key[1]:<16}{median(times):>10.2f}{spread:>20}{ratio:>12}")


def main() -> int:
    contestants = {name: PACKAGES.get(name, "numpy") for work in WORKS.values() for name in work.contestants}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="processes per contestant and work (default 5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="timed per process (default 0.5)")
    words = [*WORKS, "loop", *contestants]
    parser.add_argument("--only", nargs="+", default=[], choices=words, metavar="NAME", help=f"of {', '.join(words)}")
    parser.add_argument("--threads", type=int, help="of BLAS and PyTorch (default: as they choose)")
    parser.add_argument("--quick", action="store_true", help="one round of three runs: does it run at all?")
    parser.add_argument("--one", nargs=2, metavar=("WORK", "CONTESTANT"), help="measure one of them, in this process")
    options = parser.parse_args()
    if options.one:
        work, contestant = options.one
        print(json.dumps(measure(WORKS[work], contestant, options.seconds)))
        return 0
    if options.threads is not None:
        os.environ.update(dict.fromkeys(THREADS, str(options.threads)))
    rounds, seconds = (1, 0.0) if options.quick else (max(options.rounds, 1), options.seconds)
    works = [w for w in WORKS if w in options.only or w.partition("-")[0] in options.only] or list(WORKS)
    names = [c for c in contestants if c in options.only] or list(contestants)
    missing = {package for package in contestants.values() if importlib.util.find_spec(package) is None}
    keys = [(w, c) for w in works for c in names if c in WORKS[w].contestants and contestants[c] not in missing]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    reports, failures = measured(keys, rounds, seconds)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs; ", end="")
    print(f"median over {rounds} processes, each the median of {seconds:g} s")
    if load > 0.5:
        print(f"load average before the run {load:.1f}: others were at work, trust ratios only, and those little")
    told = {contestants[c]: r[-1] for (_, c), r in reports.items() if r}
    for package in dict.fromkeys(contestants.values()):
        if package in told or package in missing:
            found = told.get(package)
            print(f"  {package:<14}", f"{found['version']}, {found['threads']}" if found else "not installed")
    print()
    print_table(reports, failures)
    if options.quick:
        print("a quick run: these figures mean nothing")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
