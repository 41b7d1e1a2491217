"""Print the tables of docs/measurements.md and docs/performance.md, in Markdown, ready to be pasted there.

    python examples/benchmarks/tables.py                     all of them: some ten minutes
    python examples/benchmarks/tables.py eager compiled      these two
    python examples/benchmarks/tables.py --quick             does it run at all? The figures mean nothing

Run it while nothing else uses the machine. `run.py` and `minibatches.py` say what is measured, and how; this file has
only the rows and columns. A cell is "-" if its library is not installed, or failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import minibatches
from one import lacking
from run import THREADS, Results, measured, shown

EAGER = {
    "a64": "the article's, 900 × 2-25-50-50-25-1, float64",
    "a32": "the same, float32",
    "b": "128 × 784-256-128-10, float32",
    "c": "1024 × 1024-1024-1024-10, float32",
}
COMPILED = {
    "a64": "the article's, float64",
    "a32": "the same, float32",
    "b": "128 × 784-256-128-10",
    "c": "1024 × 1024-1024-1024-10",
    "f1": "4 × 2-4-6-6-4-1, nothing but overhead",
}
MINIBATCHES = {
    "dense": "784-256-128-10, batches of 128",
    "conv": "28 × 28, conv 16, pool, conv 32, pool, linear, batches of 128",
    "transformer": "an encoder layer, 64 × 128, 4 heads, 256, dropout, batches of 32",
}
MEMORY = {
    "tinygrad_nn": "tinygrad_nn", "tinygrad_nn-compiled": "tinygrad_nn, compiled", "torch": "PyTorch",
    "mygrad": "MyGrad", "jax": "JAX, by `jax.jit`",
}  # fmt: skip
# What is imported -> the name of its row, and what its size does not contain.
STARTUP = {
    "": ("Python alone", ""),
    "numpy": ("NumPy", ""),
    "tinygrad_nn": ("tinygrad_nn", "NumPy"),
    "sklearn.neural_network": ("scikit-learn's `neural_network`", "SciPy and NumPy"),
    "jax": ("JAX, with jaxlib", "SciPy and NumPy"),
    "torch": ("PyTorch, for the CPU", ""),
}
PARTS = {"jax": ("jax", "jaxlib")}  # packages that are of several folders


def markdown(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def timed(works: dict[str, str], contestants: list[str], options: Any) -> Results:
    keys = [(work, name) for work in works for name in contestants if lacking(name) is None]
    return measured(keys, [], options.rounds, options.seconds)


def micros(results: Results, work: str, contestant: str) -> str:
    seconds = results.time(work, contestant)
    return shown(None if seconds is None else 1e6 * seconds, 0)


def eager(options: Any) -> Iterator[str]:
    """Yield the table of training steps without `tg.compile`."""
    names = ["plain", "tinygrad_nn", "torch", "mygrad"]
    results = timed(EAGER, names, options)
    yield markdown(
        "step", "plain", "tinygrad_nn", "PyTorch", "MyGrad", "to plain, to PyTorch", "MB: tinygrad_nn, PyTorch"
    )
    yield markdown(*["---"] * 7)
    for work, title in EAGER.items():
        ratios = ", ".join(shown(results.ratio(work, "tinygrad_nn", other)) for other in ("plain", "torch"))
        peaks = ", ".join(shown(results.peak(work, name), 1) for name in ("tinygrad_nn", "torch"))
        yield markdown(title, *(micros(results, work, name) for name in names), ratios, peaks)


def compiled(options: Any) -> Iterator[str]:
    """Yield the table of training steps with `tg.compile`."""
    ours, others = "tinygrad_nn-compiled", ["plain", "tuned", "jax", "torch", "torch-compiled"]
    results = timed(COMPILED, [ours, *others], options)
    yield markdown("step", "compiled, µs", "to plain", "to tuned", "to JAX's jit", "to PyTorch", "to torch.compile")
    yield markdown(*["---"] * 7)
    for work, title in COMPILED.items():
        ratios = [shown(results.ratio(work, ours, other)) for other in others]
        yield markdown(title, micros(results, work, ours), *ratios)


def memory(options: Any) -> Iterator[str]:
    """Yield the table of peak memory of a training step, in MB above what each library takes without it."""
    works = {"a64": EAGER["a64"], "c": EAGER["c"]}
    results = timed(works, list(MEMORY), options)
    yield markdown("peak MB of a training step", *works.values())
    yield markdown(*["---"] * 3)
    for name, title in MEMORY.items():
        yield markdown(title, *(shown(results.peak(work, name), 1) for work in works))


def in_minibatches(options: Any) -> Iterator[str]:
    """Yield the table of training by Adam."""
    names = ["tinygrad_nn-compiled", "torch", "sklearn"]
    installed = [name for name in names if importlib.util.find_spec(minibatches.CONTESTANTS[name][0])]
    pairs = [(work, name) for work in MINIBATCHES for name in installed if name != "sklearn" or work == "dense"]
    minibatches.check_all(pairs)
    results = minibatches.measured_in_turn(pairs, options.rounds, 6 * options.seconds)

    def cell(work: str, name: str, what: str) -> str:
        found = [report[what] for report in results.get((work, name), []) if report[what] is not None]
        return shown(median(found) if found else None, 0)

    yield markdown(
        *["training by Adam, float32", "samples per CPU second", "PyTorch", "scikit-learn"],
        *["MB above: ours, PyTorch", "MB in all: ours, PyTorch"],
    )
    yield markdown(*["---"] * 6)
    for work, title in MINIBATCHES.items():
        peaks = [", ".join(cell(work, name, what) for name in names[:2]) for what in ("above", "whole")]
        yield markdown(title, *(cell(work, name, "rate") for name in names), *peaks)


def startup(options: Any) -> Iterator[str]:
    """Yield the table of imports, in milliseconds of processor time, and of sizes in MB."""
    installed = [name for name in STARTUP if not name or importlib.util.find_spec(name.partition(".")[0])]
    found: dict[str, list[float]] = {name: [] for name in STARTUP}
    ready = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # the first import writes the bytecode
    for _ in range(options.rounds + 2):
        for name in installed:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", f"import {name or 'sys'}"], env=ready, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    yield markdown("what is imported", "import", "size")
    yield markdown(*["---"] * 3)
    for name, (title, needs) in STARTUP.items():
        package = name.partition(".")[0]
        megabytes = "" if not name else shown(size(package) if found[name] else None, 1 if needs == "NumPy" else 0)
        least = shown(1e3 * min(found[name]) if found[name] else None, 0)
        yield markdown(title, least, ", and ".join(filter(None, [megabytes, needs])))


def size(package: str) -> float:
    """Return the MB of a package's files, with its libraries, without bytecode."""
    specs = [importlib.util.find_spec(part) for part in PARTS.get(package, (package,))]
    folders = [Path(str(spec and spec.origin)).parent for spec in specs]
    files = [file for folder in folders for name in ("", ".libs") for file in Path(f"{folder}{name}").rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc") / 1e6


TABLES = {
    "eager": eager, "compiled": compiled, "memory": memory, "minibatches": in_minibatches, "startup": startup,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="processes per contestant and work (default 5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="timed per process (default 0.5)")
    parser.add_argument("--threads", type=int, help="of BLAS and PyTorch (default: as they choose)")
    parser.add_argument("--quick", action="store_true", help="one round of a few steps")
    options = parser.parse_args()
    if unknown := {*options.tables} - {*TABLES}:
        parser.error(f"no table is named {', '.join(unknown)}: write one of {', '.join(TABLES)}")
    if options.threads is not None:
        os.environ.update(dict.fromkeys(THREADS, str(options.threads)))
    if options.quick:
        options.rounds, options.seconds = 1, 0.0
    for name in options.tables or TABLES:
        print("", *TABLES[name](options), sep="\n", flush=True)


if __name__ == "__main__":
    main()
