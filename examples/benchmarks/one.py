"""Check or time one contestant at one work, in a process of its own, and print the result as JSON.

`run.py` runs this program; by itself: `python one.py time a64 plain`. A check compares the change of
the parameters in each of four steps (or the gradients of a chain) with that of the yardstick `plain`
from the same parameters, in float64 and in the dtype that is timed. Four steps, because a program
that is compiled in the first ones must be right when it runs again. A check also measures peak memory:
the process's highest resident set (VmHWM) over the first five steps, minus its resident set (VmRSS)
before the contestant was made. That baseline holds the imports, the data and what a step of a
miniature network pages in, so neither libraries nor lazily loaded code count. Parameters, activations
and gradients count, and so does a compiler at work on this step (JAX, torch.compile, tg.compile).
Memory is measured on Linux only, elsewhere it is null. Times are taken in a separate process, since
earlier allocations change how glibc reuses memory.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import chains
import numpy as np
import steps_by_hand
import steps_by_libraries
from works import WORKS, Chain, Training, largest_error

OFF = {"TINYGRAD_NN_KEEP_MEMORY": "0"}
# name -> package, what makes a training step, what makes a pass through the chain, environment
CONTESTANTS: dict[str, tuple[str, Callable[..., Any], Callable[..., Any] | None, dict[str, str]]] = {
    "plain": ("numpy", steps_by_hand.Plain, chains.plain, {}),
    "tuned": ("numpy", steps_by_hand.Tuned, None, {}),
    "article": ("numpy", steps_by_hand.Article, None, {}),
    "tinygrad_nn": ("tinygrad_nn", steps_by_libraries.Ours, chains.ours, {}),
    "tinygrad_nn-compiled": ("tinygrad_nn", partial(steps_by_libraries.Ours, compiled=True), None, {}),
    "tinygrad_nn-workers": ("tinygrad_nn", partial(steps_by_libraries.Ours, in_tiles=True), None, {}),
    "tinygrad_nn-unkept": ("tinygrad_nn", steps_by_libraries.Ours, chains.ours, OFF),
    "torch": ("torch", steps_by_libraries.PyTorch, chains.pytorch, {}),
    "torch-compiled": ("torch", partial(steps_by_libraries.PyTorch, compiled=True), None, {}),
    "jax": ("jax", steps_by_libraries.Jax, chains.jax, {}),
    "mygrad": ("mygrad", steps_by_libraries.MyGrad, chains.mygrad, {}),
    "mygrad-unguarded": (
        "mygrad",
        partial(steps_by_libraries.MyGrad, guarded=False),
        partial(chains.mygrad, guarded=False),
        {},
    ),
    "autograd": ("autograd", steps_by_libraries.Autograd, chains.autograd, {}),
}


ONLY = {"tinygrad_nn-workers": ("e5",)}  # the works of contestants that are not meant for all
CHECKED = 4  # steps
COMPILERS = ("c++", "g++", "clang++", "cl")


def lacking(contestant: str) -> str | None:
    """Return what a contestant needs and this machine lacks, None if it can run."""
    package = CONTESTANTS[contestant][0]
    if importlib.util.find_spec(package) is None:
        return "not installed"
    if contestant == "torch-compiled" and not (os.environ.get("CXX") or any(map(shutil.which, COMPILERS))):
        return "skipped: torch.compile needs a C++ compiler"
    if contestant == "tinygrad_nn-workers" and importlib.util.find_spec("threadpoolctl") is None:
        return "skipped: workers need threadpoolctl"
    return None


def memory(field: str) -> float | None:
    """Return VmRSS or VmHWM of this process in MB, None if the system does not report it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Reset VmHWM to what is resident now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        print("the peak so far can't be reset, so small peaks may read as 0", file=sys.stderr)


def checked(work: Training | Chain, make: Any) -> float:
    """Return the contestant's largest error in any step. Raises ValueError if it is wrong."""
    if isinstance(work, Chain):
        error = largest_error(make(work)(), chains.plain(work)(), float)
    else:
        error = max(error_of_the_steps(replace(work, dtype=dtype), make) for dtype in {work.dtype, "float64"})
    if not error <= 1:
        raise ValueError(f"this contestant computes another step: its error is {error:.3g} times the allowed one")
    return error


def error_of_the_steps(work: Training, make: Any) -> float:
    """Return the largest difference of a step from the yardstick's, both taken from the contestant's parameters."""
    step, yardstick = make(work), steps_by_hand.Plain(work)
    errors = []
    for _ in range(CHECKED):
        before = [np.array(p) for p in step.parameters()]
        for mine, theirs in zip(yardstick.parameters(), before, strict=True):
            mine[...] = theirs
        step()
        yardstick()
        pairs = [zip(s.parameters(), before, strict=True) for s in (step, yardstick)]
        found, right = ([np.asarray(after) - b for after, b in pair] for pair in pairs)
        errors.append(largest_error(found, right, work.dtype))
    return max(errors)


def peak(work: Training, make: Callable[..., Any]) -> float | None:
    """Return the step's peak memory in MB, as defined at the top of this file."""
    make(work.miniature())()
    data = work.data()
    forget_peak()
    before = memory("VmRSS")
    step = make(work)
    for _ in range(5):
        step()
    highest = memory("VmHWM")
    del data
    return None if highest is None or before is None else max(highest - before, 0.0)


def seconds_per_step(step: Callable[[], Any], seconds: float) -> float:
    """Return the median time of a step, over at least three steps and about `seconds`, warmed up."""
    times: list[float] = []
    step()
    warm = time.perf_counter() + seconds / 3
    while time.perf_counter() < warm:
        step()
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def threads(package: str) -> str:
    """Return how many threads the package computes with, and which library has them."""
    if package == "torch":
        import torch

        return f"{torch.get_num_threads()} threads of its own"
    if package == "jax":
        return f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} threads (XLA)"
    if importlib.util.find_spec("threadpoolctl") is None:
        asked = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
        return f"{asked or os.cpu_count()} BLAS threads (by environment; install threadpoolctl to be sure)"
    pools = importlib.import_module("threadpoolctl").threadpool_info()
    counts = [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]
    return f"{max(counts, default=1)} BLAS threads"


def version(package: str) -> str:
    """Return the installed version of a package, or the one that it reports itself."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return str(importlib.import_module(package).__version__)


def check(work: Training | Chain, contestant: str) -> dict[str, Any]:
    """Check a contestant; return its peak memory, and its package's version and threads."""
    package, step, chain, _ = CONTESTANTS[contestant]
    highest = peak(work, step) if isinstance(work, Training) else None
    error = checked(work, step if isinstance(work, Training) else chain)
    return {"peak": highest, "error": error, "version": version(package), "threads": threads(package)}


def measure(work: Training | Chain, contestant: str, seconds: float) -> dict[str, Any]:
    """Return the time of a step, and of the first one, or of one operation of a chain, in seconds."""
    _, step, chain, _ = CONTESTANTS[contestant]
    if isinstance(work, Training):
        run = step(work)
        start = time.perf_counter()
        run()
        first = time.perf_counter() - start
        return {"time": seconds_per_step(run, seconds), "first": first}
    assert chain is not None
    return {"time": seconds_per_step(chain(work), seconds) / work.operations}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["check", "time"])
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("contestant", choices=CONTESTANTS)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long to time steps")
    options = parser.parse_args()
    work = WORKS[options.work]
    if isinstance(work, Chain) and CONTESTANTS[options.contestant][2] is None:
        parser.error(f"{options.contestant} has no chain")
    if options.task == "check":
        result = check(work, options.contestant)
    else:
        result = measure(work, options.contestant, options.seconds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
