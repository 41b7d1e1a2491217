"""Data to learn from; the experiment's data equal scikit-learn's bit for bit, by NumPy's legacy generator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..engine.arrays import as_array
from ..errors import DataError
from ..errors.unsupported import ELSEWHERE, elsewhere
from ..ops.settings import is_number, number, whole_number
from .loader import DataLoader, Dataset, Subset, TensorDataset, collate, random_split
from .reading import read_idx

__all__ = ["DataLoader", "Dataset", "Subset", "TensorDataset", "collate", "make_moons", "one_hot", "random_split"]
__all__ += ["read_idx", "train_test_split"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        raise AttributeError(
            elsewhere("data", name, ELSEWHERE) or f"module 'tinygrad_nn.data' has no attribute {name!r}"
        )


def make_moons(n_samples: int = 1000, noise: float = 0.2, seed: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Return points on two interleaving half circles, X (n, 2), and the half circle of each, y (n,).

    `noise` is the standard deviation added to each coordinate. The same seed gives the same points
    as scikit-learn's function of this name.

    >>> import tinygrad_nn as tg
    >>> X, y = tg.data.make_moons(200, noise=0.1, seed=0)
    >>> X.shape, y.shape, sorted(set(y.tolist()))
    ((200, 2), (200,), [0, 1])
    """
    n_samples, noise = whole_number("n_samples", n_samples, 0), number("noise", noise)
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

    The same seed gives the same split as scikit-learn's function of this name. Raises ValueError if X and y differ in
    length, or if one of the sets would be empty.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> X, y = np.arange(20.0).reshape(10, 2), np.arange(10)
    >>> X_train, X_test, y_train, y_test = tg.data.train_test_split(X, y, test_size=0.2)
    >>> X_train.shape, X_test.shape
    ((8, 2), (2, 2))
    """
    X, y = np.asarray(X), np.asarray(y)
    if len(X) != len(y):
        raise ValueError(f"X has {len(X)} rows, y {len(y)}; each sample needs one label")
    held_out = math.ceil(test_size * len(X)) if is_number(test_size) and 0 < test_size < 1 else 0
    if not 0 < held_out < len(X):
        raise ValueError(f"test_size={test_size} of {len(X)} rows leaves {held_out} to test; pass one between 0 and 1")
    order = np.random.RandomState(seed).permutation(len(X))
    test, train = order[:held_out], order[held_out:]
    return X[train], X[test], y[train], y[test]


def one_hot(labels: Any, num_classes: int | None = None, dtype: Any = np.float64) -> np.ndarray:
    """Return class indices (...) as rows (..., num_classes) that are 1 at the class and 0 elsewhere.

    By default, `num_classes` is the largest index plus 1. Raises DataError for an entry that is not a class index.

    >>> import tinygrad_nn as tg
    >>> tg.data.one_hot([2, 0])
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    indices = as_array(labels)
    if indices.dtype.kind not in "iu":
        raise DataError(f"labels are whole numbers, got dtype {indices.dtype}; convert them: labels.astype(int)")
    least, largest = (int(indices.min()), int(indices.max())) if indices.size else (0, -1)
    classes = max(largest + 1, 0) if num_classes is None else num_classes
    whole_number("num_classes", classes, 0)
    if least < 0:
        raise DataError(f"labels are counted from 0, got {least}; drop it, or shift them: labels - labels.min()")
    if largest >= classes:
        raise DataError(f"there are {classes} classes, and a label is {largest}; pass num_classes={largest + 1}")
    return np.asarray(indices[..., None] == np.arange(classes), dtype)
