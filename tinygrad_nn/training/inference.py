"""Outputs of modules, computed without recording, and the modes of modules in training and evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from ..engine.arrays import raw
from ..engine.grad_mode import no_grad
from ..engine.trees import filled, leaves, map_leaves
from ..errors import given
from ..nn.module import Module
from ..ops.settings import whole_number
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor
from .batches import as_samples, picked


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
    count = len(next(leaves(X)))
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
    changed = [m for m in modules if m.training is not training]
    before = [vars(m).get("training") for m in changed]
    try:
        for m in changed:
            m.training = training
        yield
    finally:
        for m, mode in zip(changed, before, strict=True):
            if mode is None:
                vars(m).pop("training", None)  # the class attribute counts again
            else:
                m.training = mode


def dtype_of(module: Module) -> Any:
    """Return the dtype to which floating inputs are converted: that of the first floating parameter, or None."""
    return next((p.dtype for p in module.parameters() if p.dtype.kind == "f"), None)
