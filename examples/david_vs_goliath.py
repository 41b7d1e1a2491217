"""The article's comparison: its network against Keras, as published and on equal terms.

As published, the two differ in more than their code: Goliath starts from Glorot weights and takes
29 small steps per epoch, David starts from small weights and takes one. On equal terms they have
the same initial numbers, data and updates, and so have PyTorch and scikit-learn if they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import pathlib
import platform
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from typing import Any

import by_hand
import contestants
import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.training.plots import plot_boundary

ROUNDS = 20
SECONDS = 60  # a contestant that has trained for longer on equal terms trains no further
TELL_EVERY = 2.0


class Progress:
    """Messages on stderr that say what is being done: at most one in two seconds, on a terminal a line that changes."""

    def __init__(self) -> None:
        self.told, self.changing = time.perf_counter(), sys.stderr.isatty()

    def tell(self, text: str) -> None:
        """Show the text, unless another one was shown just before."""
        now = time.perf_counter()
        if now - self.told >= (0.2 if self.changing else TELL_EVERY):
            self.told = now
            print(f"\r{text:<78}" if self.changing else text, end="" if self.changing else "\n", file=sys.stderr)
            sys.stderr.flush()

    def clear(self) -> None:
        """Make room for the next table."""
        if self.changing:
            print(f"\r{'':<78}\r", end="", file=sys.stderr, flush=True)


PROGRESS = Progress()


class Runner:
    """A contestant in a process of its own, with its times and the number of its epochs.

    `first` is the time of its first epoch, and `each` has the time of an epoch in each round, in seconds.
    """

    def __init__(self, name: str, package: str, make: Callable[..., Any], *arguments: Any) -> None:
        self.name, self.package, self.making = name, package, (make, *arguments)
        self.how, self.first, self.each, self.epochs, self.seconds = "", 0.0, list[float](), 0, 0.0

    def start(self, stack: ExitStack) -> None:
        """Start the process, which lasts as long as the stack. Raises what the import of the package raises."""
        if importlib.util.find_spec(self.package) is None:
            install = {"sklearn": "scikit-learn", "keras": "keras jax"}.get(self.package, self.package)
            raise ModuleNotFoundError(f"not installed; python -m pip install {install}")
        context = multiprocessing.get_context("spawn")
        self.reached = context.Value("i", 0, lock=False)
        pool = ProcessPoolExecutor(1, context, contestants.share, (self.reached,))
        self.pool = stack.enter_context(pool)
        self.how = self.ask("is imported", contestants.build, *self.making)

    def ask(self, doing: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what the function returns in the contestant's process; messages say what it is doing meanwhile."""
        started, future = time.perf_counter(), self.pool.submit(function, *arguments)
        while True:
            seconds, epoch = time.perf_counter() - started, self.epochs + self.reached.value
            PROGRESS.tell(f"{self.name} {doing}" + (f", epoch {epoch:,}" if epoch else "") + f", {seconds:.0f} s")
            if wait([future], 0.5).done:
                return future.result()

    def train(self, epochs: int, doing: str = "trains") -> float:
        """Train, and return the seconds that it took."""
        seconds = float(self.ask(doing, contestants.train_for, epochs))
        self.epochs, self.seconds, self.reached.value = self.epochs + epochs, self.seconds + seconds, 0
        return seconds

    def warm_up(self, epochs: int) -> None:
        """Train for the first epochs, so that what happens only once is over, and keep the parameters as `found`."""
        self.first = self.train(1, "warms up")
        if epochs > 1:
            self.train(epochs - 1, "warms up")
        self.found = self.ask("shows its parameters", contestants.get, "parameters")

    def train_timed(self, epochs: int, doing: str) -> None:
        """Train one epoch, then the others; the extra time of the second call, per extra epoch, is the time of one."""
        short = self.train(1, doing)
        self.each.append((self.train(epochs - 1, doing) - short) / (epochs - 2))

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probability of class 1, shape (m, 1)."""
        return np.asarray(self.ask("predicts", contestants.get, "predict_proba", X))


def able(runners: Sequence[Runner], do: Callable[[Runner], Any], left_out: list[str]) -> list[Runner]:
    """Return the runners for which `do` succeeded; for each other one, add the reason to `left_out`."""
    kept = []
    for runner in runners:
        try:
            do(runner)
        except Exception as error:
            said = (str(error).strip() or "no reason given").splitlines()[0]
            left_out.append(f"{runner.name} is left out ({type(error).__name__}: {said}).")
        else:
            kept.append(runner)
    return kept


def print_table(title: str, rows: Sequence[Sequence[str]], left: int, notes: Sequence[str]) -> None:
    """Print a table, whose first row is the header; the first `left` columns are aligned to the left."""
    PROGRESS.clear()
    print(title)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [f"{v:<{w}}" if n < left else f"{v:>{w}}" for n, (v, w) in enumerate(zip(row, widths, strict=True))]
        print("  ".join(cells).rstrip())
    for note in notes:
        print(textwrap.fill(note, 108, initial_indent="  ", subsequent_indent="    "))
    sys.stdout.flush()


def glorot(seed: int) -> contestants.Parameters:
    """Return initial numbers like Keras's: weights uniform up to sqrt(6 / (in + out)), biases 0.

    Source: Glorot and Bengio, Understanding the difficulty of training deep networks (2010), equation 16.
    """
    generator = np.random.default_rng(seed)
    shapes = [(layer["output_dim"], layer["input_dim"]) for layer in by_hand.EXPERIMENT]
    weights = [generator.uniform(-1, 1, shape) * np.sqrt(6 / sum(shape)) for shape in shapes]
    return contestants.named(weights, [np.zeros(n) for n, _ in shapes])


def as_published(split: Any, quick: bool, stack: ExitStack) -> list[Runner]:
    """Print the article's comparison; return David and Goliath, or Goliath's stand-in if Keras is missing."""
    X_train, X_test, y_train, y_test = split
    few, many = (3, 120) if quick else (200, 10_000)
    small = tg.nn.DenseNetwork(by_hand.EXPERIMENT, seed=2).state_dict()
    david = Runner("David, tinygrad_nn", "tinygrad_nn", contestants.ours, X_train, y_train, small)
    stand_in = Runner(
        "Goliath's settings, tinygrad_nn", "tinygrad_nn", contestants.ours, X_train, y_train, glorot(0), 32
    )
    goliath = Runner("Goliath, Keras", "keras", contestants.keras, X_train, y_train, None, 32)
    settings = {david: (f"normal x 0.1, full batch, {many:,} epochs", many)}
    settings |= dict.fromkeys((stand_in, goliath), (f"Glorot, batches of 32, {few:,} epochs", few))
    notes: list[str] = []

    def whole(runner: Runner) -> None:
        runner.start(stack)
        runner.train(settings[runner][1])

    runners = able([david, stand_in, goliath], whole, notes)
    if len(runners) < 2:
        raise SystemExit("\n".join(notes))
    rows = [["", "start and updates", "test accuracy", "time"]]
    for runner in runners:
        right = tg.accuracy(runner.predict_proba(X_test), y_test)
        rows.append([runner.name, settings[runner][0], f"{right:.2f}", f"{runner.seconds:.1f} s"])
    notes += ["Time: one call for all epochs, with what happens only once in it, but without imports."]
    notes += [f"{runner.name}: {runner.how}." for runner in runners]
    stands_in = "" if goliath in runners else " (Goliath's settings in tinygrad_nn stand in for Keras)"
    print_table(f"As published{stands_in}", rows, 2, notes)
    return [runners[0], runners[-1]]


def trained(split: Any, epochs: int, compared: int, stack: ExitStack, left_out: list[str]) -> list[Runner]:
    """Return all runners that work, trained in turns: warmed up for `compared` epochs, then timed in rounds."""
    data = split[0], split[2], tg.nn.DenseNetwork(by_hand.EXPERIMENT, seed=2).state_dict()
    everybody = [
        Runner("by hand", "numpy", contestants.hand_written, *data),
        Runner("tinygrad_nn", "tinygrad_nn", contestants.ours, *data),
        Runner("PyTorch", "torch", contestants.pytorch, *data),
        Runner("scikit-learn", "sklearn", contestants.scikit_learn, *data),
        Runner("Keras", "keras", contestants.keras, *data),
    ]
    runners = able(everybody, lambda runner: runner.start(stack), left_out)
    runners = able(runners, lambda runner: runner.warm_up(compared), left_out)
    rest = epochs - compared
    rounds = max(1, min(ROUNDS, rest // 25)) if rest else 0
    for number in range(rounds):
        first, part = number % len(runners), rest * (number + 1) // rounds - rest * number // rounds
        turns = [runner for runner in runners[first:] + runners[:first] if runner.seconds < SECONDS]
        timed = partial(Runner.train_timed, epochs=part, doing=f"trains, round {number + 1} of {rounds}")
        fine = able(turns, timed, left_out)
        runners = [runner for runner in runners if runner in fine or runner not in turns]
    return runners


def on_equal_terms(split: Any, epochs: int, stack: ExitStack) -> None:
    """Print what each library learns from the same initial numbers with the same full-batch updates."""
    compared = epochs if epochs < 6 else min(100, epochs // 2)
    notes: list[str] = []
    runners = trained(split, epochs, compared, stack, notes)
    reference = runners[0].found
    rows = [["", "test accuracy", "first epoch", "each epoch", "100 epochs", "10,000 epochs", "difference"]]
    for runner in runners:
        right = tg.accuracy(runner.predict_proba(split[1]), split[3])
        each = float(np.median(runner.each)) if runner.each else 0.0
        off = max(float(np.abs(runner.found[name] - reference[name]).max()) for name in reference)
        sums = [f"{runner.first + (n - 1) * each:.{digits}f} s" for n, digits in ((100, 2), (10_000, 1))]
        rows.append([
            runner.name, f"{right:.2f} after {runner.epochs:,}", f"{runner.first * 1e3:.0f} ms",
            *([f"{each * 1e3:.2f} ms", *sums] if each > 0 else ["-"] * 3),
            "reference" if runner is runners[0] else f"{off:.1e}",
        ])  # fmt: skip
        if runner.epochs < epochs:
            notes.append(f"{runner.name} stopped after {runner.epochs:,} epochs, {runner.seconds:.0f} s.")
    reading = "Times of 100 and 10,000 epochs are computed: the first epoch, in which some libraries trace or compile"
    notes.insert(0, f"{reading} (without imports), and 99 or 9,999 times that of each epoch, the median over rounds.")
    notes.insert(1, f"Difference: the largest difference of a parameter from that of by hand, after {compared} epochs.")
    notes += [f"{runner.name}: {runner.how}." for runner in runners]
    title = f"the article's initial numbers, full batch, learning rate {contestants.LEARNING_RATE}, float64"
    print_table(f"\nOn equal terms: {title}", rows, 1, notes)


def draw(runners: Sequence[Runner], split: Any, output: str) -> None:
    """Draw the decision boundaries if matplotlib is installed, and print the name of the file, or why there is none."""
    try:
        from matplotlib.figure import Figure
    except Exception as error:
        print(f"no picture: python -m pip install matplotlib ({type(error).__name__}: {error})")
        return
    figure = Figure(figsize=(12, 5), layout="constrained")
    for ax, runner in zip(figure.subplots(1, 2), runners, strict=True):
        plot_boundary(runner.predict_proba, split[1], split[3], ax, runner.name)
    try:
        figure.savefig(output)
    except (OSError, ValueError) as error:
        raise SystemExit(f"no picture: {error}") from None
    print(f"wrote {output}")


def refused(output: str) -> str:
    """Return why a picture can't be written there, or "" if it can."""
    path = pathlib.Path(output).absolute()
    if not path.parent.is_dir():
        return f"--output {output} lies in a folder that does not exist; make it first"
    if path.is_dir():
        return f"--output {output} is a folder; name a file in it"
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return f"--output {output} can't be written; name a file in a folder of yours"
    if path.suffix not in (".png", ".pdf", ".svg", ".jpg"):
        return f"--output {output} is no picture; let it end in .png, .pdf, .svg or .jpg"
    return ""


def machine() -> str:
    """Return Python's version and the number of cores, with advice if other programs use them."""
    load, cores = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0, os.cpu_count() or 1
    told = f"Python {platform.python_version()}, {cores} cores"
    if load > cores / 2:
        told += f", which other programs use (load {load:.1f})"
        if "OPENBLAS_NUM_THREADS" not in os.environ:
            told += "\nThreads then wait for each other: set OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1."
    return told


def main() -> None:
    """Print both tables, and draw both decision boundaries if matplotlib is installed."""
    parser = argparse.ArgumentParser(description="The article's network against Keras, PyTorch and scikit-learn.")
    parser.add_argument("--epochs", type=int, default=10_000, help="on equal terms (%(default)s)")
    parser.add_argument("--output", default="david_vs_goliath.png", help="the picture (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a few epochs of everything, too few to learn or to time")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    if why := refused(options.output):
        parser.error(why)

    split = tg.data.train_test_split(*tg.data.make_moons())
    print(machine(), flush=True)
    try:
        with ExitStack() as stack:
            models = as_published(split, options.quick, stack)
            on_equal_terms(split, min(options.epochs, 120) if options.quick else options.epochs, stack)
            draw(models, split, options.output)
    except KeyboardInterrupt:
        raise SystemExit("stopped") from None


if __name__ == "__main__":
    main()
