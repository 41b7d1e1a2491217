"""The article's experiment: `python -m tinygrad_nn` checks, trains, reports and draws."""

from __future__ import annotations

import argparse
import importlib.util
import math
import pathlib
import tempfile
from typing import Any

import numpy as np

from .checking.network import check_network
from .errors import DivergedError, unusable_folder
from .nn.dense import DenseNetwork
from .training import plots
from .training.datasets import make_moons, train_test_split
from .training.history import History
from .training.loop import evaluate, train

LAYERS = [(2, 25, "relu"), (25, 50, "relu"), (50, 50, "relu"), (50, 25, "relu"), (25, 1, "sigmoid")]
ARCHITECTURE = [{"input_dim": i, "output_dim": o, "activation": a} for i, o, a in LAYERS]
ARTICLE_COSTS = {
    0: 0.6936484871866765,
    1: 0.6936453795732516,
    10: 0.6936171443380083,
    100: 0.6933371271884572,
    1000: 0.6910875862240591,
    2000: 0.6787465452541144,
    5000: 0.23821057694235312,
    9999: 0.07429314895274869,
}


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tinygrad_nn", description=__doc__)
    parser.add_argument("--epochs", type=int, default=10_000, help="epochs to train (default: 10000)")
    parser.add_argument("--seed", type=int, default=2, help="seed of the initial weights (default: 2)")
    parser.add_argument("--learning-rate", type=float, default=0.01, help="step size (default: 0.01)")
    parser.add_argument(
        "--output", type=pathlib.Path, default=pathlib.Path("moons"), help="folder for the pictures (default: moons)"
    )
    parser.add_argument("--animate", action="store_true", help="also write an animation of the boundary (GIF)")
    parser.add_argument(
        "--quick", action="store_true", help="200 epochs, too few to learn the boundary, and the same files"
    )
    options = parser.parse_args(arguments)
    options.epochs = 200 if options.quick else options.epochs
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    if not 0 <= options.seed < 2**32:
        parser.error("--seed must be a whole number from 0 to 2**32 - 1")
    if not 0 < options.learning_rate < math.inf:
        parser.error("--learning-rate must be a positive number")
    if _can_draw():
        try:
            options.output.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=options.output).close()
        except OSError as error:
            parser.error(unusable_folder("--output", options.output, error))
    return options


def _can_draw() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def main(arguments: list[str] | None = None) -> int:
    """Run the experiment and return the exit code: 0, or 1 if the gradient check fails. Bad options exit with 2."""
    options = _options(arguments)
    X, y = make_moons()
    X_train, X_test, y_train, y_test = train_test_split(X, y)
    network = DenseNetwork(ARCHITECTURE, seed=options.seed)
    print(network.summary(), end="\n\n")
    check = check_network(network, X_train, y_train.reshape(-1, 1).astype(float))
    print(check, end="\n\n")
    can_draw = _can_draw()
    frames: list[tuple[int, np.ndarray]] = []

    def remember(epoch: int, history: History) -> None:
        if options.animate and can_draw and epoch % max(options.epochs // 50, 1) == 0:
            frames.append((epoch, plots.probability_grid(network.predict_proba)[2]))

    try:
        history = train(network, X_train, y_train, options.epochs, options.learning_rate, on_epoch=remember)
    except DivergedError as error:
        print(f"training diverged: {error}")
        return 1
    _report(network, history, options, X_test, y_test)
    if can_draw:
        for path in _pictures(network, history, frames, options.output, X, y, X_test, y_test):
            print(f"wrote {path}")
    else:
        print(f"for the pictures{' and the animation' * options.animate}, install matplotlib: {plots.install_line()}")
    return 0 if check.ok else 1


def _report(network: DenseNetwork, history: History, options: Any, X_test: Any, y_test: Any) -> None:
    if options.seed == 2 and options.learning_rate == 0.01:
        print(f"\n{'epoch':>6}  {'cost':<20}  {'by hand (the article)':<21}  difference")
        for epoch, expected in ARTICLE_COSTS.items():
            if epoch < len(history):
                cost = history.cost[epoch]
                print(f"{epoch:>6}  {cost:<20.16g}  {expected:<21.16g}  {abs(cost / expected - 1):.1e}")
    else:
        print("\nthe article's costs are those of --seed 2 and --learning-rate 0.01, so none stand beside these")
    _, right = evaluate(network, X_test, y_test)
    per_epoch = history.seconds / max(len(history), 1) * 1e6
    print(f"\ntest accuracy {right:.2f} after {len(history)} epochs, {per_epoch:.0f} µs each")
    if options.quick:
        print("200 epochs are too few for the article's accuracy of 0.98, which takes 10,000: leave out --quick")


def _pictures(
    network: DenseNetwork, history: History, frames: Any, folder: pathlib.Path, X: Any, y: Any, X_test: Any, y_test: Any
) -> list[pathlib.Path]:
    written = [
        plots.save(plots.plot_data(X, y), folder / "data.png"),
        plots.save(plots.plot_history(history), folder / "learning.png"),
        plots.save(plots.plot_boundary(network.predict_proba, X_test, y_test), folder / "boundary.png"),
    ]
    if frames:
        written.append(plots.save_animation(frames, X_test, y_test, folder / "learning.gif"))
    return written


if __name__ == "__main__":
    raise SystemExit(main())
