"""Train the article's network on two moons, and draw its decision boundary."""

from __future__ import annotations

import argparse
import pathlib

import tinygrad_nn as tg
from tinygrad_nn.training.plots import plot_boundary

ARCHITECTURE = [
    {"input_dim": 2, "output_dim": 25, "activation": "relu"},
    {"input_dim": 25, "output_dim": 50, "activation": "relu"},
    {"input_dim": 50, "output_dim": 50, "activation": "relu"},
    {"input_dim": 50, "output_dim": 25, "activation": "relu"},
    {"input_dim": 25, "output_dim": 1, "activation": "sigmoid"},
]


def main() -> None:
    """Train, print what was learnt, and write the picture if --output names a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10_000, help="updates on all training points (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=0.01, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=2, help="of the initial parameters (%(default)s)")
    parser.add_argument("--output", help="write the decision boundary to this file, such as moons.png")
    parser.add_argument("--quick", action="store_true", help="50 epochs, too few to learn the boundary")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    if options.output and not pathlib.Path(options.output).absolute().parent.is_dir():
        parser.error(f"--output {options.output} lies in a folder that does not exist; make it first")

    X_train, X_test, y_train, y_test = tg.data.train_test_split(*tg.data.make_moons())
    network = tg.nn.DenseNetwork(ARCHITECTURE, seed=options.seed)
    print(network.summary())
    history = tg.train(network, X_train, y_train, 50 if options.quick else options.epochs, options.learning_rate)
    print(history)
    cost, accuracy = tg.evaluate(network, X_test, y_test)
    print(f"on points it has not seen: cost {cost:.4f}, accuracy {accuracy:.2f}")
    if options.quick:
        print("50 epochs are too few to learn the boundary: leave out --quick")

    if options.output:
        plot_boundary(network.predict_proba, X_test, y_test).figure.savefig(options.output)
        print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
