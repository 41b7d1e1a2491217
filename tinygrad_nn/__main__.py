"""The experiment of the article "Let's code a Neural Network in plain NumPy", from its data to its pictures."""

from __future__ import annotations

import argparse
import io
import itertools
import math
import os
import pathlib
import sys
import tempfile
from collections.abc import Sequence

from . import __version__
from .inspection.recorder import watch
from .nn.dense import DenseNetwork
from .nn.losses import binary_cross_entropy
from .training.blas_threads import asked_threads
from .training.datasets import make_moons
from .training.experiment import ARTICLE, EPOCHS, LEARNING_RATE, SEED, can_draw, run, say, wrapped

QUICK_EPOCHS = 200


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    about = (
        'Run the experiment of the article "Let\'s code a Neural Network in plain NumPy" (Piotr Skalski, 2018): check '
        "every gradient numerically, train a network on two moons, print the costs beside the article's own, and "
        "draw what was learnt."
    )
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_nn",
        usage="python -m tinygrad_nn [options]",
        description=f"{wrapped(about)}\n{ARTICLE}",
        epilog=wrapped(
            "`python -m tinygrad_nn graph` instead writes a page that steps through the forward and the backward pass. "
            "Exit codes: 0, or 1 if a gradient is wrong or training diverges, or 2 for bad options. The matrix "
            "products are small, so BLAS uses one thread; set TINYGRAD_NN_BLAS_THREADS=2 in the environment for two."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"tinygrad_nn {__version__}", help="show the version and exit"
    )
    training = parser.add_argument_group("training")
    lengths = training.add_mutually_exclusive_group()
    lengths.add_argument("--epochs", type=int, metavar="N", help=f"epochs to train (default: {EPOCHS})")
    lengths.add_argument("--quick", action="store_true", help="200 epochs, too few to learn the moons")
    training.add_argument("--seed", type=int, default=SEED, metavar="N", help="seed of the first weights (default: 2)")
    training.add_argument(
        "--learning-rate", type=float, default=LEARNING_RATE, metavar="RATE", help="size of a step (default: 0.01)"
    )
    pictures = parser.add_argument_group("pictures")
    where = "where the pictures go (default: moons)"
    pictures.add_argument("--output", type=pathlib.Path, default=pathlib.Path("moons"), metavar="FOLDER", help=where)
    pictures.add_argument("--animate", action="store_true", help="also write a GIF of the boundary as it is learnt")
    return _checked(parser, parser.parse_args(arguments))


def _checked(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    """Return the checked options; if one is invalid, print why and exit with 2, before anything is computed."""
    options.epochs = QUICK_EPOCHS if options.quick else EPOCHS if options.epochs is None else options.epochs
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    if not 0 <= options.seed < 2**32:
        parser.error("--seed must be a whole number from 0 to 2**32 - 1")
    if not 0 < options.learning_rate < math.inf:
        parser.error("--learning-rate must be a positive number")
    try:
        asked_threads(None)
    except ValueError as error:
        parser.error(str(error))
    if can_draw():
        try:
            options.output.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=options.output).close()
        except OSError as error:
            why = "a file is in the way" if isinstance(error, (FileExistsError, NotADirectoryError)) else error.strerror
            parser.error(
                f"--output {options.output} can't be written to: {why}; name a folder that can be created "
                "and written to"
            )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiment and return the exit code: 0, or 1 if the gradient check fails. Bad options exit with 2."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["graph"]:
        return _graph(given[1:])
    options = _options(given)
    code = run(options, __version__)
    if options.quick:
        say("200 epochs are too few for the article's accuracy of 0.98, which takes 10,000: leave out --quick")
    return code


def _graph(arguments: Sequence[str]) -> int:
    """Write the page that steps through the network of the article's figure 1, and return the exit code."""
    about = "Write a page that steps through both passes of the article's figure-1 network on four samples."
    parser = argparse.ArgumentParser(prog="python -m tinygrad_nn graph", description=about)
    where = "the file to write (default: graph.html)"
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("graph.html"), metavar="FILE", help=where)
    path = parser.parse_args(arguments).output
    sizes = itertools.pairwise((2, 4, 6, 6, 4, 1))
    layers = [{"input_dim": n, "output_dim": k, "activation": "relu" if k > 1 else "sigmoid"} for n, k in sizes]
    network = DenseNetwork(layers, seed=SEED, init="he")  # with small weights, four samples would fade to 0 on the way
    X, labels = make_moons(4)
    y = labels.reshape(-1, 1).astype(float)
    with watch() as graph:
        loss = binary_cross_entropy(network(X), y)
        loss.backward()
    try:
        graph.to_html(path)
    except OSError as error:
        parser.error(f"--output {path} can't be written: {error.strerror}; name a file in a folder that is there")
    print(f"wrote {path.resolve()}; open it in a browser")
    return 0


def _without_a_traceback() -> int:
    """Run the experiment; a closed pipe, as after `| head`, and Ctrl-C end it without a traceback.

    A character that the terminal can't show is replaced by a question mark.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # the exit code of a program that a closed pipe ends
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return code


if __name__ == "__main__":
    raise SystemExit(_without_a_traceback())
