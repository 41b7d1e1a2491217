"""Layers that take the maximum or the mean of windows, in PyTorch's layout (N, C, *lengths).

A setting is one number or, for images, a pair; the default stride is kernel_size.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..ops.joining import concatenate
from ..ops.settings import Check
from ..ops.windows.pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from ..ops.windows.sliding import per_axis
from ..tensor.creation import as_tensor
from .layers import of_windows
from .of_functions import OfFunction, module_of

MaxPool1d = module_of(max_pool1d, "MaxPool1d", __name__, **of_windows(1, [None]))
MaxPool2d = module_of(max_pool2d, "MaxPool2d", __name__, **of_windows(2, [None]))
AvgPool1d = module_of(avg_pool1d, "AvgPool1d", __name__, **of_windows(1, [None]))
AvgPool2d = module_of(avg_pool2d, "AvgPool2d", __name__, **of_windows(2, [None]))


def _per_axis(axes: int, x: Any) -> Any:
    return x if isinstance(x, (tuple, list)) else (x,) * axes


def _size(axes: int, name: str, x: Any) -> Any:
    """Return a size: a number for all axes, or a number or None for each. Raises ValueError for others."""
    per_axis([1 if n is None else n for n in _per_axis(axes, x)], axes, name, 1)
    return x


def _adaptive(axes: int, x: Any, output_size: Any) -> Any:
    """Return the means over windows such that the last axes get the given lengths; None keeps a length."""
    x = as_tensor(x)
    if x.ndim < axes:
        raise ValueError(f"output_size is {output_size}, and needs {axes} of the axes of the input, {x.shape}")
    for axis, k in zip(range(-axes, 0), _per_axis(axes, output_size), strict=True):
        if k is not None:
            n, behind = x.shape[axis], (slice(None),) * (-1 - axis)
            windows = [slice(i * n // k, -(-(i + 1) * n // k)) for i in range(k)]
            x = concatenate([x[(..., w, *behind)].mean(axis=axis, keepdims=True) for w in windows], axis=axis)
    return x


_OF_SIZES: list[dict[str, Check]] = [{"output_size": partial(_size, axes)} for axes in (1, 2)]


class AdaptiveAvgPool1d(OfFunction, function=partial(_adaptive, 1), settings=_OF_SIZES[0]):
    """AdaptiveAvgPool2d over the last axis only. Shapes: (..., L) -> (..., output_size).

    >>> import tinygrad_nn as tg
    >>> tg.nn.AdaptiveAvgPool1d(2)([[[0.0, 2.0, 4.0]]]).tolist()
    [[[1.0, 3.0]]]
    """


class AdaptiveAvgPool2d(OfFunction, function=partial(_adaptive, 2), settings=_OF_SIZES[1]):
    """Means over windows, chosen to give output_size. Shapes: (..., H, W) -> (..., *output_size).

    Along n entries, window i of k goes from ⌊i n / k⌋ to ⌈(i + 1) n / k⌉, exclusive. A size is a number for both axes,
    or a pair; None keeps a length. Source: Lin, Chen and Yan, Network in network (2014), for a size of 1.

    >>> import tinygrad_nn as tg
    >>> tg.nn.AdaptiveAvgPool2d((1, None))([[[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]]).tolist()
    [[[[1.5, 2.5, 3.5]]]]
    """
