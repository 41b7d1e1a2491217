"""The estimators compared with scikit-learn's perceptrons, with equal settings: scores on its data, processor time.

Five sixths of the data are for training, one sixth for the score. Figures are means over seeds, and the standard
errors are those of the paired differences.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads of BLAS that wait for each other cost both sides alike
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
import warnings
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from tinygrad_nn.interop.sklearn import DenseClassifier, DenseRegressor

SETS = {
    "iris": (datasets.load_iris, 200),
    "wine": (datasets.load_wine, 200),
    "breast_cancer": (datasets.load_breast_cancer, 100),
    "digits": (datasets.load_digits, 50),
    "diabetes": (datasets.load_diabetes, 40),
}


def pair(is_regression: bool, epochs: int, seed: int) -> list[Any]:
    """Return our estimator and scikit-learn's, with equal settings."""
    theirs, ours = (MLPRegressor, DenseRegressor) if is_regression else (MLPClassifier, DenseClassifier)
    shared: dict[str, Any] = {"activation": "relu", "early_stopping": False, "random_state": seed}
    mlp = theirs(
        hidden_layer_sizes=(50, 50), max_iter=epochs, n_iter_no_change=epochs, tol=0, alpha=0, batch_size=32,
        learning_rate_init=3e-3, **shared,
    )  # fmt: skip
    dense = ours(
        hidden_layers=(50, 50), epochs=epochs, batch_size=32, learning_rate=3e-3, **shared | {"early_stopping": None}
    )
    return [dense, mlp]


def compared(name: str, seeds: int, share: float) -> np.ndarray:
    """Return scores and CPU seconds of both. Shapes: -> (seeds, 2, 2)."""
    load, epochs = SETS[name]
    X, y = load(return_X_y=True)
    is_regression = name == "diabetes"
    if is_regression:
        y = (y - y.mean()) / y.std()
    found = np.zeros((seeds, 2, 2))
    for seed in range(seeds):
        parts = train_test_split(X, y, test_size=1 / 6, random_state=seed, stratify=None if is_regression else y)
        scaler = StandardScaler().fit(parts[0])
        X_train, X_test = map(scaler.transform, parts[:2])
        both = [*enumerate(pair(is_regression, max(1, int(epochs * share)), seed))]
        for i, estimator in both if seed % 2 else both[::-1]:
            begun = time.process_time()
            estimator.fit(X_train, parts[2])
            found[seed, i] = estimator.score(X_test, parts[3]), time.process_time() - begun
    return found


def main() -> None:
    """Print a row for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="(%(default)s)")
    parser.add_argument("--quick", action="store_true", help="two seeds, a tenth of the epochs")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("set             ours   MLP    difference ± standard error   CPU s: ours, MLP   ratio")
    for name in SETS:
        found = compared(name, 2 if options.quick else options.seeds, 0.1 if options.quick else 1)
        scores, seconds = found[:, :, 0], found[:, :, 1]
        gain = scores[:, 0] - scores[:, 1]
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        ours, mlp = np.median(seconds, axis=0)
        print(
            f"{name:15s} {scores[:, 0].mean():.4f} {scores[:, 1].mean():.4f} {gain.mean():+.4f} ± {error:.4f}"
            f"              {ours:6.3f} {mlp:6.3f}      {ours / mlp:.2f}"
        )


if __name__ == "__main__":
    main()
