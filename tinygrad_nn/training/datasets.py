"""The experiment's data, bit for bit scikit-learn's, from NumPy's legacy generator."""

from __future__ import annotations

import math

import numpy as np


def make_moons(n_samples: int = 1000, noise: float = 0.2, seed: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Return points of two interleaving half circles, X (n, 2), and which each belongs to, y (n,).

    `noise` is the standard deviation added to each coordinate. The same seed gives the same points
    as scikit-learn's function of this name.
    """
    if n_samples < 0 or noise < 0:
        raise ValueError(f"n_samples and noise must be at least 0, got {n_samples} and {noise}")
    outer, inner = np.linspace(0, np.pi, n_samples // 2), np.linspace(0, np.pi, n_samples - n_samples // 2)
    x = np.concatenate([np.cos(outer), 1 - np.cos(inner)])
    y = np.concatenate([np.sin(outer), 1 - np.sin(inner) - 0.5])
    labels = np.repeat([0, 1], [len(outer), len(inner)])
    generator = np.random.RandomState(seed)
    order = np.arange(n_samples)
    generator.shuffle(order)
    points = np.stack([x, y], axis=1)[order]
    return points + generator.normal(scale=noise, size=points.shape), labels[order]


def train_test_split(
    X: np.ndarray, y: np.ndarray, test_size: float = 0.1, seed: int = 42
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return X_train, X_test, y_train, y_test: a random share of the rows, rounded up, is the test set.

    The same seed gives the same split as scikit-learn's function of this name. Raises ValueError
    where rows don't pair up, or where one of the sets would be empty.
    """
    X, y = np.asarray(X), np.asarray(y)
    if len(X) != len(y):
        raise ValueError(f"X has {len(X)} rows, y {len(y)}; each sample needs one label")
    held_out = math.ceil(test_size * len(X)) if 0 < test_size < 1 else 0
    if not 0 < held_out < len(X):
        raise ValueError(f"test_size={test_size} of {len(X)} rows leaves {held_out} to test; pass one between 0 and 1")
    order = np.random.RandomState(seed).permutation(len(X))
    test, train = order[:held_out], order[held_out:]
    return X[train], X[test], y[train], y[test]
