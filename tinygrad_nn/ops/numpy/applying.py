"""NumPy's functions that call a Python function for slices or for axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...tensor.creation import as_tensor
from ...tensor.handle import NUMPY_FUNCTIONS, Tensor
from ..axes import one_axis
from ..joining import stack
from ..shaping import expand_dims, moveaxis


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Tensor:
    """Return the function's results for all slices along an axis, in place of that axis.

    Shapes: (..., n, ...) -> (..., m..., ...), where func1d: (n,) -> (m...).
    """
    x = as_tensor(arr)
    axis = one_axis(axis, x.ndim)
    last = moveaxis(x, axis, -1)
    lead = last.shape[:-1]
    if not math.prod(lead):
        raise ValueError(f"apply_along_axis needs a slice to call the function with, and shape {x.shape} has none")
    results = [as_tensor(func1d(row, *args, **kwargs)) for row in last.reshape(math.prod(lead), x.shape[axis])]
    y = stack(results).reshape(*lead, *results[0].shape)
    new = range(results[0].ndim)
    return moveaxis(y, [len(lead) + i for i in new], [axis + i for i in new])


def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Tensor:
    """Return the result of `func(x, axis)` for one axis after the other; an axis that it drops is kept, with length 1.

    Raises ValueError if it drops more than one.
    """
    x = as_tensor(a)
    for axis in np.atleast_1d(axes):
        axis = one_axis(axis, x.ndim or 1)
        y = func(x, axis)
        y = y if y.ndim == x.ndim else expand_dims(y, axis)
        if y.ndim != x.ndim:
            raise ValueError(f"apply_over_axes needs a function that keeps the number of axes, {x.ndim}, or drops one")
        x = y
    return x


NUMPY_FUNCTIONS |= {np.apply_along_axis: apply_along_axis, np.apply_over_axes: apply_over_axes}
