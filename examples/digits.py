"""Learn to read handwritten digits: softmax, batches and Adam."""

from __future__ import annotations

import argparse

import numpy as np

import tinygrad_nn as tg

ARCHITECTURE = [
    {"input_dim": 64, "output_dim": 128, "activation": "relu"},
    {"input_dim": 128, "output_dim": 64, "activation": "relu"},
    {"input_dim": 64, "output_dim": 10, "activation": "softmax"},
]


def main() -> None:
    """Train on four fifths of scikit-learn's digits, and print how many of the others are read right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=40, help="passes over the training set (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="10 epochs")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error("--epochs must be at least 1")
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise SystemExit("the digits come with scikit-learn: python -m pip install scikit-learn") from None

    pixels, labels = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = tg.data.train_test_split(pixels / 16, labels, test_size=0.2)
    network = tg.nn.DenseNetwork(ARCHITECTURE, dtype=np.float32)
    print(network.summary())
    history = tg.train(
        network,
        X_train,
        y_train,
        epochs=10 if options.quick else options.epochs,
        batch_size=32,
        validation=(X_test, y_test),
        optimizer=tg.optim.Adam(network.parameters(), lr=2e-3),
    )
    print(f"training cost {history.cost[-1]:.4f}, {len(history)} epochs in {history.seconds:.1f} s")

    guesses = network.predict(X_test)
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (y_test, guesses), 1)
    print("rows: the digit written, columns: the digit read")
    print(confusion)
    print(f"test accuracy {(guesses == y_test).mean():.4f} on {len(y_test)} digits it has not seen")


if __name__ == "__main__":
    main()
