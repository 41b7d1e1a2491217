"""Samples: arrays, or tuples and dictionaries of them, with samples on axis 0; and modules' outputs for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from ..engine.arrays import as_array, raw
from ..engine.grad_mode import no_grad
from ..engine.trees import filled, leaves, map_leaves
from ..errors import DataError, given
from ..nn.module import Module
from ..ops.settings import is_number, whole_number
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor
from .loader import DataLoader, Subset, TensorDataset


def as_samples(name: str, values: Any, dtype: Any = None) -> Any:
    """Return the values as an array, or a tuple or dictionary of arrays; floating numbers in `dtype`, if given.

    A tuple of arrays is several inputs; any other sequence of numbers is one array. Raises DataError.
    """
    if isinstance(values, (DataLoader, Subset, TensorDataset)):
        raise DataError(f"{name} is a {type(values).__name__}; pass arrays, or to tg.train a DataLoader for X and y")
    if isinstance(values, dict) and values:
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


def check_rows(X: Any, y: Any, which: str = "", least: int = 1) -> None:
    """Raise DataError if arrays have different numbers of samples or fewer than `least`, or a row is not finite."""
    arrays = [(f"{which}{name}", array) for name, tree in (("X", X), ("y", y)) for array in leaves(tree)]
    count = len(arrays[0][1]) if arrays and arrays[0][1].ndim else 0
    if count < least:
        raise DataError(f"there are no samples: {which}X has 0 rows, and needs at least one")
    for name, array in arrays:
        if array.ndim == 0 or len(array) != count:
            raise DataError(f"{which}X has {count} rows, {name} has shape {array.shape}; each sample needs one label")
        refuse_rows(name, array, ~np.isfinite(array), "not a finite number")


def refuse_rows(name: str, array: np.ndarray, wrong: np.ndarray, what: str) -> None:
    """Raise DataError for the first row with a wrong entry."""
    if wrong.any():  # by rows it takes a hundred times as long
        rows = np.flatnonzero(wrong.any(axis=tuple(range(1, wrong.ndim))))
        row = int(rows[0])
        entry = array[row][wrong[row]].flat[0] if array.ndim > 1 else array[row]
        more = f" (and {len(rows) - 1} rows more)" if len(rows) > 1 else ""
        raise DataError(f"row {row} of {name} holds {entry}, {what}{more}; mend or drop it before training")


def rows_of(tree: Any) -> int:
    """Return the number of samples."""
    return len(next(leaves(tree)))


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
    count = rows_of(y)
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
    with np.errstate(over="ignore"):
        total, samples = np.sum(gathered([weights.sum(), count]), axis=0)
    if not 0 < total < np.inf:
        raise DataError(f"the weights of all samples add up to {total}; pass some above 0, and none so large")
    return np.asarray(weights / (total / samples), dtype)


def predict(module: Module, X: Any, batch_size: int | None = None) -> Any:
    """Return the module's outputs for X as an array, computed in eval mode without recording; modes are restored.

    X is an array with samples on axis 0, or several: a tuple is passed as several arguments, a dictionary as keyword
    arguments. Floating arrays are converted to the module's dtype. Several outputs are returned in the nesting that the
    module gives. With a `batch_size`, that many samples are computed at a time, and the results joined on axis 0.

    Raises TypeError for an object that is not a module, ValueError for a batch size below 1, and for outputs without
    the samples on axis 0, such as a recurrent layer's states: their length there is not that of the batch. If all
    batches are equal, the last one is halved to find out; one layer in batches of 1 can't be told apart.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> model = tg.nn.Sequential(tg.nn.Dropout(0.5), tg.nn.Flatten())
    >>> tg.predict(model, np.ones((3, 1, 2)), batch_size=2)
    array([[1., 1.],
           [1., 1.],
           [1., 1.]])
    """
    check_module(module)
    if batch_size is not None:
        whole_number("batch_size", batch_size)
    outputs = computed(module, lambda rows: called(module, rows), as_samples("X", X, dtype_of(module)), batch_size)
    return map_leaves(lambda t: t.data if isinstance(t, Tensor) else t, outputs)


def check_module(module: Any) -> None:
    """Raise TypeError unless `module` is a Module."""
    if not isinstance(module, Module):
        makers = "tg.nn.DenseNetwork(architecture), or by tg.nn.Sequential(...) of layers"
        raise TypeError(f"a tg.nn.Module is needed, got {given(module)}; make one by {makers}")


def called(module: Module, X: Any) -> Any:
    """Return a module's output for samples: a tuple is several arguments, a dictionary keyword arguments."""
    X = map_leaves(as_tensor, X)
    return module(*X) if isinstance(X, tuple) else module(**X) if isinstance(X, dict) else module(X)


def computed(module: Module, function: Callable[[Any], Any], X: Any, batch_size: int | None) -> Any:
    """Return a function's result for samples, in eval mode, without recording, `batch_size` samples at a time.

    Raises ValueError for results that can't be joined.
    """
    count = rows_of(X)
    with no_grad(), in_mode(module.modules(), False):
        if batch_size is None or count <= batch_size:
            return function(X)
        ends = [*range(0, count, batch_size), count]
        if count % batch_size == 0 and batch_size > 1:  # equal batches can't show what an axis counts
            ends.insert(-1, count - batch_size // 2)
        parts = [function(picked(X, slice(*each))) for each in pairwise(ends)]
    sizes = [end - start for start, end in pairwise(ends)]
    outputs = [*zip(*map(leaves, parts), strict=True)]
    return filled(parts[0], iter([_joined(of_parts, sizes) for of_parts in outputs]))


def _joined(parts: tuple[Any, ...], sizes: list[int]) -> Any:
    """Return the joined parts of an output: arrays with the samples on axis 0, or equal objects such as None."""
    first, arrays = parts[0], [raw(part) for part in parts]
    if isinstance(first, (Tensor, np.ndarray)):
        fits = all(array.shape[:1] == (size,) for array, size in zip(arrays, sizes, strict=True))
    else:
        fits = all(part is first or bool(part == first) for part in parts)
    if not fits:
        raise ValueError(f"an output, {given(first)}, does not have the samples on axis 0; leave out batch_size=")
    if isinstance(first, Tensor):
        return Tensor(np.concatenate(arrays))
    return np.concatenate(arrays) if isinstance(first, np.ndarray) else first


@contextmanager
def in_mode(modules: list[Module], training: bool) -> Iterator[None]:
    """Set train or eval mode in the body, and restore each module's mode afterwards."""
    changed = [(m, vars(m).get("training")) for m in modules if m.training is not training]
    try:
        for m, _ in changed:
            m.training = training
        yield
    finally:
        for m, mode in changed:
            if mode is None:
                vars(m).pop("training", None)  # the class attribute counts again
            else:
                m.training = mode


def dtype_of(module: Module) -> Any:
    """Return the dtype to which floating inputs are converted: that of the first floating parameter, or None."""
    return next((p.dtype for p in module.parameters() if p.dtype.kind == "f"), None)
