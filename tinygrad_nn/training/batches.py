"""Samples to train on: arrays, or tuples and dictionaries of arrays, with samples on axis 0, or those of a loader."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..engine.arrays import as_array
from ..engine.trees import leaves, map_leaves
from ..errors import DataError
from ..ops.settings import is_number
from ..tensor.handle import Tensor
from .loader import DataLoader, Subset, TensorDataset


def as_samples(name: str, values: Any, dtype: Any = None) -> Any:
    """Return the values as an array, or a tuple or dictionary of arrays; floating numbers in `dtype`, if given.

    A tuple of arrays is several inputs; any other sequence of numbers is one array. Raises DataError.
    """
    if isinstance(values, (DataLoader, Subset, TensorDataset)):
        raise DataError(f"{name} is a {type(values).__name__}; pass arrays, or to tg.train a DataLoader for X and y")
    if isinstance(values, dict):
        return {key: as_samples(f"{name}[{key!r}]", part, dtype) for key, part in values.items()}
    if isinstance(values, tuple) and values and all(isinstance(part, (np.ndarray, Tensor)) for part in values):
        return tuple([as_samples(f"{name}[{i}]", part, dtype) for i, part in enumerate(values)])
    try:
        array: np.ndarray = as_array(values.data if isinstance(values, Tensor) else values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} can't be read as numbers, which it must hold: {error}") from error
    if array.dtype.kind == "c":
        raise DataError(f"{name} is complex (dtype {array.dtype}); pass its real part, {name}.real")
    return array if dtype is None or array.dtype.kind != "f" else array.astype(dtype, copy=False)


def checked_rows(X: Any, y: Any, which: str = "", least: int = 1) -> int:
    """Return the number of samples. Raises DataError if arrays have different numbers, or a row is not finite."""
    arrays = [(f"{which}{name}", array) for name, tree in (("X", X), ("y", y)) for array in leaves(tree)]
    count = len(arrays[0][1]) if arrays and arrays[0][1].ndim else 0
    if count < least:
        raise DataError("there are no samples: X has 0 rows, and needs at least one")
    for name, array in arrays:
        if array.ndim == 0 or len(array) != count:
            raise DataError(f"{which}X has {count} rows, {name} has shape {array.shape}; each sample needs one label")
        refuse_rows(name, array, ~np.isfinite(array), "not a finite number")
    return count


def refuse_rows(name: str, array: np.ndarray, wrong: np.ndarray, what: str) -> None:
    """Raise DataError for the first row with a wrong entry."""
    rows = np.flatnonzero(wrong.any(axis=tuple(range(1, wrong.ndim))))
    if len(rows):
        row = int(rows[0])
        entry = array[row][wrong[row]].flat[0] if array.ndim > 1 else array[row]
        more = f" (and {len(rows) - 1} rows more)" if len(rows) > 1 else ""
        raise DataError(f"row {row} of {name} holds {entry}, {what}{more}; mend or drop it before training")


def picked(tree: Any, rows: Any) -> Any:
    """Return the samples of these rows."""
    return map_leaves(lambda array: None if array is None else array[rows], tree)


def weights_of(y: Any, sample_weight: Any, class_weight: Any, dtype: Any, gathered: Any) -> np.ndarray | None:
    """Return a weight per sample, its own times that of its class, scaled to a mean of 1; or None.

    The mean and the class counts are over all ranks: `gathered` returns the values of each.
    Raises DataError for weights that are not finite, below 0 or all 0, or a class without a weight.
    """
    if sample_weight is None and class_weight is None:
        return None
    count = len(next(leaves(y)))
    weights = np.ones(count) if sample_weight is None else as_samples("sample_weight", sample_weight).astype(float)
    if weights.shape != (count,):
        raise DataError(f"sample_weight has shape {weights.shape}; it needs one number per sample, ({count},)")
    refuse_rows("sample_weight", weights, ~(np.isfinite(weights) & (weights >= 0)), "not a weight of 0 or more")
    if class_weight is not None:
        labels = np.asarray(y)
        if labels.size != count or (labels % 1 != 0).any():
            raise DataError(f"class_weight needs a class per sample as y, got shape {labels.shape}; pass sample_weight")
        classes, of_labels, counts = np.unique(labels.reshape(-1), return_inverse=True, return_counts=True)
        known = dict(zip(classes.tolist(), counts.tolist(), strict=True))
        of_all = sum([Counter(dict(each)) for each in gathered([*known.items()])], Counter())
        own = {label: 1 / of_all[label] for label in known} if str(class_weight) == "balanced" else class_weight
        right = isinstance(own, dict) and known.keys() <= own.keys()
        if not (right and all(is_number(own[label]) and 0 <= own[label] < np.inf for label in known)):
            raise DataError(f'class_weight must be "balanced", or a weight of 0 or more for {[*known]}, got {own}')
        weights = weights * np.array([own[label] for label in known], float)[of_labels]
    total, samples = np.sum(gathered([weights.sum(), count]), axis=0)
    if not total > 0:
        raise DataError("the weights of all samples are 0; give at least one sample a weight above 0")
    return np.asarray(weights / (total / samples), dtype)
