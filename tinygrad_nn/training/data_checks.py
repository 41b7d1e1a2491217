"""Samples and labels that a network is to learn from: read as arrays, and refused, row by row, where it can't."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:  # `tg.data` is there from the import on, networks when they are used
    from ..nn.dense import DenseNetwork


def checked_labels(network: DenseNetwork, y: np.ndarray, which: str = "") -> np.ndarray:
    """Return the labels as the last activation's own loss reads them. Raises DataError, naming the row."""
    outputs, name = network.outputs, f"{which}y"
    if network.activation == "softmax":
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if y.ndim != 1:
            raise DataError(f"softmax is trained on class indices (m,), got y of {y.shape}; write y.argmax(axis=1)")
        wrong = (y < 0) | (y >= outputs) | (y != np.floor(y))
        refuse_rows(name, y, wrong, f"not a class index from 0 to {outputs - 1}")
        return y.astype(np.intp)
    y = y.reshape(-1, 1) if y.ndim == 1 and outputs == 1 else y
    if y.shape != (len(y), outputs):
        raise DataError(f"the network has {outputs} outputs, so y needs shape ({len(y)}, {outputs}); got {y.shape}")
    if network.activation == "sigmoid":
        refuse_rows(name, y, (y < 0) | (y > 1), "outside 0..1, which binary cross entropy needs")
    return y.astype(network.dtype, copy=False)


def refuse_rows(name: str, array: np.ndarray, wrong: np.ndarray, what: str) -> None:
    """Raise DataError for the first row with a wrong entry."""
    rows = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))
    if len(rows):
        row = int(rows[0])
        entry = array[row][wrong[row]].flat[0] if array.ndim > 1 else array[row]
        more = f" (and {len(rows) - 1} rows more)" if len(rows) > 1 else ""
        raise DataError(f"row {row} of {name} holds {entry}, {what}{more}; mend or drop it before training")
