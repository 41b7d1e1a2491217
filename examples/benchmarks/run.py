"""Compare tinygrad_nn with hand-written NumPy and with other libraries; print one table.

    python examples/benchmarks/run.py                        everything that is installed
    python examples/benchmarks/run.py --only a b plain torch tinygrad_nn
    python examples/benchmarks/run.py --only a b c e f plain tuned jax torch tinygrad_nn tinygrad_nn-compiled
    python examples/benchmarks/run.py --quick --only a plain tinygrad_nn

First `one.py` checks that all contestants compute the same steps. Then there are rounds of fresh
processes, one per contestant and work, in rotating order. Each warms up and reports its median time,
and separately the time of its first step, in which some libraries compile. The table shows the medians
over the rounds. `works.py` lists the works. Import time is that of a process that has imported NumPy
already. Targets are printed with pass or MISS and never change the exit code, which is 1 only if a
contestant fails or computes something else. There is no verdict on a time whose median is far above
that of the fastest process: then other programs were at work. BLAS threads wait for each other, so on
a busy machine a step can take a hundred times as long: measure with `--threads 1` there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from one import CONTESTANTS, ONLY, lacking
from works import WORKS, Chain

IMPORTS = {
    "tinygrad_nn": "tinygrad_nn",
    "torch": "torch",
    "jax": "jax, jax.numpy",
    "mygrad": "mygrad",
    "autograd": "autograd, autograd.numpy",
}
TIMED_IMPORT = "import time, numpy; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
NOISY = 1.5
# contestant -> other -> work -> the most of the other's time that it may take
TARGETS: dict[str, dict[str, dict[str, float]]] = {
    "tinygrad_nn": {
        "plain": {"a64": 1.2, "a32": 1.3, "b": 1.15, "c": 1.15},
        "torch": {"a64": 1.0, "a32": 1.0, "b": 1.0, "d0": 0.6, "d1": 0.6},
        "mygrad": {"d0": 0.2, "d1": 0.2},
    },
    "tinygrad_nn-compiled": {
        "plain": {"a64": 0.95, "a32": 0.95, "b": 1.0, "c": 1.0, "f1": 1.0},
        "tuned": dict.fromkeys(("a64", "a32", "b", "c"), 1.05),
        "jax": dict.fromkeys(("a64", "a32", "b", "c"), 1.0),
        "torch": {"a64": 0.7, "a32": 0.7, "b": 0.8, "c": 0.9},
        "article": {"a64": 1 / 3.5, "a32": 1 / 3.5},
    },
    "tinygrad_nn-workers": {"jax": {"e5": 1.0}, "torch": {"e5": 0.65}},
}
Key = tuple[str, str]


class Results:
    """What the processes reported: times per (work, contestant) and round, and what checks found."""

    def __init__(self) -> None:
        self.times: dict[Key, list[float]] = {}
        self.firsts: dict[Key, list[float]] = {}
        self.checks: dict[Key, dict[str, Any]] = {}
        self.imports: dict[str, list[float]] = {}
        self.failures: dict[Key, str] = {}

    def time(self, work: str, contestant: str) -> float | None:
        """Return the median time in seconds, None if it was not measured."""
        times = self.times.get((work, contestant))
        return median(times) if times else None

    def first(self, work: str, contestant: str) -> float | None:
        """Return the median time of the first step in a process, in seconds, None if it was not measured."""
        firsts = self.firsts.get((work, contestant))
        return median(firsts) if firsts else None

    def ratio(self, work: str, contestant: str, other: str) -> float | None:
        """Return the quotient of two contestants' median times, None if one was not measured."""
        ours, theirs = self.time(work, contestant), self.time(work, other)
        return None if ours is None or theirs is None else ours / theirs

    def noisy(self, work: str, *contestants: str) -> bool:
        """Return whether some contestant's median is far above the lowest of its processes."""
        rows = [self.times.get((work, contestant), [1.0]) for contestant in contestants]
        return any(median(times) > NOISY * min(times) for times in rows)

    def peak(self, work: str, contestant: str) -> float | None:
        """Return a contestant's peak memory in MB, None if it was not measured."""
        value: float | None = self.checks.get((work, contestant), {}).get("peak")
        return value


def reported(command: list[str], environment: dict[str, str]) -> str:
    """Return the last line that a process prints. Raises RuntimeError with its last words."""
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return done.stdout.strip().splitlines()[-1]


def ran(results: Results, key: Key, task: str, seconds: float) -> dict[str, Any] | None:
    """Return what `one.py` reports, or None if it failed: that is noted, and all figures of the contestant dropped."""
    program = str(Path(__file__).with_name("one.py"))
    command = [sys.executable, program, task, *key, "--seconds", str(seconds)]
    try:
        report: dict[str, Any] = json.loads(reported(command, CONTESTANTS[key[1]][3]))
    except RuntimeError as error:
        results.failures[key] = str(error)
        results.times.pop(key, None)
        results.firsts.pop(key, None)
        results.checks.pop(key, None)
        return None
    return report


def import_time(package: str, folder: str) -> float:
    """Return the seconds that an import takes; `folder` is for bytecode, which pip would write beside the package."""
    ready = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}
    return float(reported([sys.executable, "-c", TIMED_IMPORT.format(IMPORTS[package])], ready))


def measured(keys: list[Key], packages: list[str], rounds: int, seconds: float) -> Results:
    """Return the results of all processes, round by round."""
    results = Results()
    for key in keys:
        say(f"checking {key[1]} at {key[0]}")
        report = ran(results, key, "check", 0)
        if report is not None:
            results.checks[key] = report
    with TemporaryDirectory() as folder:
        for package in packages:  # the first import writes the bytecode
            import_time(package, folder)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            for work in WORKS:
                here = [key for key in keys if key[0] == work and key not in results.failures]
                turn = number % max(len(here), 1)
                for key in here[turn:] + here[:turn]:
                    report = ran(results, key, "time", seconds)
                    if report is not None:
                        results.times.setdefault(key, []).append(report["time"])
                        if "first" in report:
                            results.firsts.setdefault(key, []).append(report["first"])
            for package in packages:
                results.imports.setdefault(package, []).append(import_time(package, folder))
    say("")
    return results


def say(text: str) -> None:
    """Show progress if the output is a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text:<60}", end="" if text else "\r", file=sys.stderr, flush=True)


def shown(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def print_table(results: Results, keys: list[Key]) -> None:
    """Print each work with a row for each contestant, then import times."""
    row = "{:<22}{:>12}{:>20}{:>9}{:>11}{:>10}{:>10}".format
    print(row("", "us, median", "us, lowest-highest", "/ plain", "/ PyTorch", "peak MB", "first ms"))
    for name, work in WORKS.items():
        contestants = [contestant for w, contestant in keys if w == name]
        digits = 2 if isinstance(work, Chain) else 0
        if contestants:
            print(f"\n{work.title}")
        for contestant in contestants:
            if (name, contestant) in results.failures:
                print(f"  {contestant:<20}failed: {results.failures[name, contestant]}")
                continue
            times = [1e6 * t for t in results.times[name, contestant]]
            ratios = [shown(results.ratio(name, contestant, other)) for other in ("plain", "torch")]
            spread = f"{min(times):,.{digits}f}-{max(times):,.{digits}f}"
            peak = shown(results.peak(name, contestant), 1)
            first = results.first(name, contestant)
            first_ms = shown(None if first is None else 1e3 * first, 0)
            print(row(f"  {contestant}", shown(median(times), digits), spread, *ratios, peak, first_ms))
    if results.imports:
        print("\n(g) import, beyond numpy's own")
    for package, times in results.imports.items():
        print(f"  {package:<20}{1e3 * median(times):>9,.0f} ms")


def print_targets(results: Results) -> None:
    """Print each target with what was measured, and whether that passes."""
    for contestant, limits in TARGETS.items():
        print(f"\ntargets of {contestant}")
        for other, by_work in limits.items():
            for work, limit in by_work.items():
                ratio = results.ratio(work, contestant, other)
                noisy = results.noisy(work, contestant, other)
                print_verdict(f"{work}: time at most {limit:.3g} x {other}", ratio, limit, noisy)
    print("\ntargets of compiling, memory and import")
    first, eager = results.first("a64", "tinygrad_nn-compiled"), results.time("a64", "tinygrad_nn")
    spent = None if first is None or eager is None else 1e3 * (first - eager)
    firsts = results.firsts.get(("a64", "tinygrad_nn-compiled"), [1.0])
    noisy = median(firsts) > NOISY * min(firsts)
    print_verdict("a64: first step at most 100 ms beyond eager", spent, 100, noisy)
    for work in ("a64", "a32", "b", "c"):
        mine, theirs = results.peak(work, "tinygrad_nn"), results.peak(work, "torch")
        ratio = None if mine is None or not theirs else mine / theirs
        print_verdict(f"{work}: peak memory at most 1 x torch", ratio, 1.0)
    times = results.imports.get("tinygrad_nn")
    print_verdict("import at most 60 ms beyond numpy", 1e3 * median(times) if times else None, 60)


def print_verdict(target: str, value: float | None, limit: float, noisy: bool = False) -> None:
    verdict = "no verdict, too noisy" if noisy else "pass" if value is not None and value <= limit else "MISS"
    print(f"  {target:<46}" + ("not measured" if value is None else f"{value:8.2f}  {verdict}"))


def chosen(only: list[str], missing: dict[str, str]) -> list[Key]:
    """Return the (work, contestant) pairs: all, or those of the named works and contestants."""
    works = [w for w in WORKS if any(w == word or w[0] == word for word in only)] or list(WORKS)
    names = [c for c in CONTESTANTS if c in only] or list(CONTESTANTS)
    pairs = [(w, name) for w in works for name in names if name not in missing and w in ONLY.get(name, works)]
    return [(w, name) for w, name in pairs if not isinstance(WORKS[w], Chain) or CONTESTANTS[name][2] is not None]


def print_setting(results: Results, missing: dict[str, str], rounds: int, seconds: float, load: float) -> None:
    """Print the versions and threads that were used, and what is missing."""
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs; ", end="")
    print(f"median over {rounds} processes, each the median of {seconds:g} s of steps")
    if load > 0.5:
        print(f"load average before the run {load:.1f}: others were at work, trust ratios only, and those little")
    seen: dict[str, str] = {}
    for (_, contestant), report in results.checks.items():
        seen[CONTESTANTS[contestant][0]] = f"{report['version']}, {report['threads']}"
    for name, text in [*seen.items(), *missing.items()]:
        print(f"  {name:<20} {text}")
    print()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="processes per contestant and work (default 5)")
    parser.add_argument("--seconds", type=float, default=0.5, help="timed per process (default 0.5)")
    words = [*dict.fromkeys([w[0] for w in WORKS] + list(WORKS)), *CONTESTANTS]
    parser.add_argument("--only", nargs="+", default=[], choices=words, metavar="NAME", help=f"of {', '.join(words)}")
    parser.add_argument("--threads", type=int, help="of BLAS and PyTorch; JAX keeps its own (default: as they choose)")
    parser.add_argument("--quick", action="store_true", help="one round of three steps: does it run at all?")
    options = parser.parse_args()
    if options.threads is not None:
        os.environ.update(dict.fromkeys(THREADS, str(options.threads)))
    rounds, seconds = (1, 0.0) if options.quick else (max(options.rounds, 1), options.seconds)
    missing = {name: text for name in CONTESTANTS if (text := lacking(name)) is not None}
    keys = chosen(options.only, missing)
    used = {CONTESTANTS[contestant][0] for _, contestant in keys}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    results = measured(keys, [p for p in IMPORTS if p in used], rounds, seconds)
    print_setting(results, missing, rounds, seconds, load)
    print_table(results, keys)
    print_targets(results)
    if options.quick:
        print("a quick run: these figures mean nothing")
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
