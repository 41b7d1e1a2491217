"""The methods of ufuncs, such as `np.add.reduce`, composed of calls of the operation."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ...tensor.creation import as_tensor
from ...tensor.numpy_protocols import UFUNC_METHODS
from ..axes import all_axes


def _reduce(ufunc: Any, call: Any, inputs: Any, options: dict[str, Any]) -> Any:
    """Return the ufunc's reduction, from entry to entry along the axes."""
    x = as_tensor(inputs[0])
    keepdims, where, axis = options.pop("keepdims", False), options.pop("where", True), options.pop("axis", 0)
    start = options.pop("initial", ufunc.identity)
    axes = sorted(all_axes(axis if x.ndim else None, x.ndim))
    given: dict[str, Any] = {} if start is None else {"initial": 0}
    given |= {} if where is True else {"where": np.array(True)}
    dtype = ufunc.reduce(np.ones([min(n, 1) for n in x.shape], x.dtype), axis, **given).dtype  # or its error
    masks = None if where is True else _rows(np.broadcast_to(np.asarray(where), x.shape), axes)
    result = _folded(call, _rows(x, axes), masks, start if start is None else as_tensor(start, dtype))
    return np.expand_dims(result, axes) if keepdims else result


def _rows(x: Any, axes: Any) -> Any:
    """Return the tensor with the given axes moved in front of the others and joined into one."""
    x = np.moveaxis(x, axes, range(len(axes)))
    return np.reshape(x, (math.prod(x.shape[: len(axes)]), *x.shape[len(axes) :]))


def _folded(call: Any, rows: Any, masks: Any, start: Any) -> Any:
    """Return the ufunc applied to the start, or to the first row if there is none, and then to row after row."""
    result, *parts = list(rows) if start is None else [start, *rows]
    if not parts and start is not None:
        return (np.sum(rows, 0) + start).astype(rows.dtype)
    for i, part in enumerate(parts):
        following = call(result, part)
        result = following if masks is None else np.where(masks[i], following, result)
    return result


def _accumulate(ufunc: Any, call: Any, inputs: Any, options: dict[str, Any]) -> Any:
    """Return the ufunc's running results along an axis."""
    (x,), axis = inputs, options.pop("axis", 0)
    results = list(np.moveaxis(x, axis, 0))
    if not results:
        raise ValueError(f"np.{ufunc.__name__}.accumulate needs at least one entry: check that t.size > 0")
    return np.stack(list(itertools.accumulate(results, call)), axis)


def _outer(ufunc: Any, call: Any, inputs: Any, options: dict[str, Any]) -> Any:
    """Return the ufunc's value for every pair of entries. Shapes: (m...), (n...) -> (m..., n...)."""
    a, b = inputs
    return call(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b)


def _reduceat(ufunc: Any, call: Any, inputs: Any, options: dict[str, Any]) -> Any:
    """Return the ufunc's reductions of the slices from each index to the next, as NumPy defines them."""
    axis = options.pop("axis", 0)
    x, starts = np.moveaxis(inputs[0], axis, 0), [int(i) for i in np.asarray(inputs[1])]
    ends = [*starts[1:], len(x)]
    parts = [ufunc.reduce(x[i:j]) if j > i else x[i] for i, j in zip(starts, ends, strict=True)]
    return np.stack(parts, axis)


UFUNC_METHODS |= {"reduce": _reduce, "accumulate": _accumulate, "outer": _outer, "reduceat": _reduceat}
