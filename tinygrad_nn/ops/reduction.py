"""Operations that take axes away: sums, extremes, products and moments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..creation import as_tensor
from ..operation import sample
from ..primitive import composite, primitive
from ..tensors import Tensor
from .elementwise import sqrt

_SAMPLES = (
    sample((2, 3)),
    sample((2, 3, 2), axis=(0, -1)),
    sample((2, 3), axis=-1, keepdims=True),
    sample((2, 3), axis=()),
    sample(()),
    sample(np.array([[2.0, 2.0, 1.0], [0.0, 0.0, 0.0]]), axis=1),
)
_WITH_EMPTY = (*_SAMPLES, sample((0, 3)), sample((0, 3), axis=0), sample((2, 0), axis=0))
_EMPTY_BESIDE = (*_SAMPLES, sample((0, 3), axis=1))


def axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return `axis` (None, one or several, negative ones too) as a sorted tuple of axis numbers.

    Raises numpy.exceptions.AxisError for an axis that isn't there, ValueError for one given twice.
    """
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    found = tuple(sorted(np.lib.array_utils.normalize_axis_index(a, ndim) for a in given))
    if len(set(found)) != len(found):
        raise ValueError(f"axis {axis} names an axis twice; name each once")
    return found


def _all_axes(axis: Any, inputs: Any) -> tuple[int, ...]:
    return axes(axis, np.ndim(inputs[0]))


def _kept(g: Any, axis: tuple[int, ...], keepdims: Any) -> Any:
    """Return `g` with the reduced axes present, of length 1."""
    return g if keepdims else np.expand_dims(g, axis)


def _wide_sum(x: Any, axis: Any, keepdims: Any) -> Any:
    """Return the sum; float16 is added up in float32, where 2049 is a number."""
    if x.dtype == np.float16:
        return np.add.reduce(x, axis=axis, keepdims=keepdims, dtype=np.float32).astype(np.float16)
    return np.add.reduce(x, axis=axis, keepdims=keepdims)


@primitive(numpy=[np.sum], linear=True, axis=_all_axes, samples=_WITH_EMPTY)
def sum(x: Any, /, axis: Any = None, keepdims: Any = False) -> Any:
    """Return the sum over the axes, all by default. Shapes: (..., n, ...) -> (..., ...)."""
    return _wide_sum(np.asarray(x), axis, keepdims)


sum.vjp(lambda g, x_shape, axis, keepdims: np.broadcast_to(_kept(g, axis, keepdims), x_shape))


@primitive(numpy=[np.max, np.amax], axis=_all_axes, samples=_EMPTY_BESIDE, kinks={(1, 1, 0): (0.5, 0.5, 0)})
def max(x: Any, /, axis: Any = None, keepdims: Any = False) -> Any:
    """Return the largest entries over the axes; k tied ones share the gradient, 1/k each."""
    return np.maximum.reduce(x, axis=axis, keepdims=keepdims)


@primitive(numpy=[np.min, np.amin], axis=_all_axes, samples=_EMPTY_BESIDE, kinks={(0, 0, 1): (0.5, 0.5, 0)})
def min(x: Any, /, axis: Any = None, keepdims: Any = False) -> Any:
    """Return the smallest entries over the axes; k tied ones share the gradient, 1/k each."""
    return np.minimum.reduce(x, axis=axis, keepdims=keepdims)


def _to_extremes(g: Any, x: Any, y: Any, axis: Any, keepdims: Any) -> Any:
    chosen = x == _kept(y, axis, keepdims)
    ties = np.sum(chosen, axis=axis, keepdims=True)
    return np.where(chosen, _kept(g, axis, keepdims) / np.maximum(ties, 1), 0)


max.vjp(_to_extremes)
min.vjp(_to_extremes)


@composite(numpy=[np.mean], samples=_EMPTY_BESIDE)
def mean(x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    """Return the arithmetic mean over the axes, all by default."""
    x = as_tensor(x)
    axis = axes(axis, x.ndim)
    if x.dtype.char == "e":
        return mean(x.astype(np.float32), axis, keepdims).astype(np.float16)
    return sum(x, axis, keepdims) / _count(x, axis)


@composite(numpy=[np.var], samples=(*_EMPTY_BESIDE, sample((3, 2), axis=0, ddof=1)))
def var(x: Any, axis: Any = None, ddof: float = 0, keepdims: Any = False) -> Any:
    """Return the mean squared deviation from the mean, divided by n - ddof instead of n."""
    x = as_tensor(x)
    axis = axes(axis, x.ndim)
    deviation = x - mean(x, axis, keepdims=True)
    return sum(deviation * deviation, axis, keepdims) / (_count(x, axis) - ddof)


@composite(numpy=[np.std], samples=(*_EMPTY_BESIDE, sample((3, 2), axis=0, ddof=1)))
def std(x: Any, axis: Any = None, ddof: float = 0, keepdims: Any = False) -> Any:
    """Return the square root of the variance; where that is 0, so is the derivative."""
    return sqrt(var(x, axis, ddof, keepdims))


def _count(x: Tensor, axis: tuple[int, ...]) -> int | float:
    n = math.prod(x.shape[a] for a in axis)
    return n if n else math.nan


@composite(numpy=[np.prod], samples=(*_WITH_EMPTY, sample(np.array([[3.0, 0.0, 2.0], [0.0, 0.0, 5.0]]), axis=1)))
def prod(x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    """Return the product over the axes, all by default, by halving: right with any number of zeros."""
    x = as_tensor(x)
    axis = axes(axis, x.ndim)
    shape = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
    others = tuple(i for i in range(x.ndim) if i not in axis)
    x = x.transpose((*axis, *others)).reshape(math.prod(x.shape[a] for a in axis), *[x.shape[i] for i in others])
    if len(x) == 0:
        return (sum(x, 0) + 1).reshape(shape if keepdims else x.shape[1:])
    while len(x) > 1:
        half = len(x) // 2
        rest = [x[2 * half :]] if len(x) % 2 else []
        x = x[:half] * x[half : 2 * half]
        x = np.concatenate([x, *rest]) if rest else x
    return x.reshape(shape if keepdims else x.shape[1:])


def _one_axis(axis: Any, inputs: Any) -> int | None:
    return None if axis is None else int(np.lib.array_utils.normalize_axis_index(axis, np.ndim(inputs[0])))


_PLACES = (sample((2, 3)), sample((2, 3), axis=-1, keepdims=True), sample(()), sample((0, 3), axis=1))


@primitive(numpy=[np.argmax], axis=_one_axis, samples=_PLACES)
def argmax(x: Any, /, axis: int | None = None, keepdims: Any = False) -> Any:
    """Return where the first largest entry is along an axis, in all entries by default."""
    return np.argmax(x, axis, keepdims=keepdims)


@primitive(numpy=[np.argmin], axis=_one_axis, samples=_PLACES)
def argmin(x: Any, /, axis: int | None = None, keepdims: Any = False) -> Any:
    """Return where the first smallest entry is along an axis, in all entries by default."""
    return np.argmin(x, axis, keepdims=keepdims)


@primitive(numpy=[np.any], axis=_all_axes, samples=_WITH_EMPTY)
def any(x: Any, /, axis: Any = None, keepdims: Any = False) -> Any:
    """Return whether some entry over the axes is not zero."""
    return np.any(x, axis=axis, keepdims=keepdims)


@primitive(numpy=[np.all], axis=_all_axes, samples=_WITH_EMPTY)
def all(x: Any, /, axis: Any = None, keepdims: Any = False) -> Any:
    """Return whether no entry over the axes is zero."""
    return np.all(x, axis=axis, keepdims=keepdims)


for _places in (argmax, argmin, any, all):
    _places.vjp(None)
