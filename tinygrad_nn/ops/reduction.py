"""Operations that remove axes: sums, extremes, products and moments."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..engine.arrays import as_array
from ..tensor.creation import array_of, as_tensor
from ..tensor.declaring import composite, primitive, sample
from ..tensor.handle import Tensor
from .axes import all_axes, reduced_axes, searched_axis
from .elementwise import maximum, minimum, sqrt
from .sample_arrays import MASK, TIES
from .selection import either


def with_kept_axes(g: Any, axis: tuple[int, ...], keepdims: Any) -> Any:
    """Return `g` so that it broadcasts to the shape before the reduction: with these axes, unless they are leading."""
    return g if keepdims or axis == tuple(range(len(axis))) else np.expand_dims(g, axis)


def _masked(x: Any, where: Any, instead: Any, dtype: Any = None) -> Tensor:
    """Return x as a Tensor of the dtype, with the neutral number `instead` where the mask is False."""
    x = as_tensor(x, dtype)
    return x if where is True else either(as_array(where), x, as_tensor(instead, x.dtype))


@primitive(name="total", linear=True, method=False, axis=reduced_axes)
def _total(x: Any, /, axis: Any = None, keepdims: Any = False) -> Any:
    """Return the sum over the axes; float16, which can't hold 2049, is added up in float32."""
    x = array_of(x)
    if x.dtype.char == "e":
        return np.add.reduce(x, axis=axis, keepdims=keepdims, dtype=np.float32).astype(np.float16)
    return np.add.reduce(x, axis=axis, keepdims=keepdims)


_total.vjp(lambda g, x_shape, axis, keepdims: np.broadcast_to(with_kept_axes(g, axis, keepdims), x_shape))
total = _total  # the public one is `sum`


@composite(numpy=[np.sum, np.add.reduce])
def sum(
    x: Tensor, axis: Any = None, dtype: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Tensor:
    """Return the sum over the axes, by default all, of the entries where `where` holds: (..., n, ...) -> (..., ...).

    `initial` is added to the sum. The entries are converted to `dtype` first; the result has it too.
    """
    if where is not True or dtype is not None:
        x = _masked(x, where, 0, dtype)
    y = as_tensor(_total(x, axis, keepdims), dtype)
    return y if initial is None else y + as_tensor(initial, y.dtype)


def _to_extremes(g: Any, x: Any, y: Any, axis: Any, keepdims: Any) -> Any:
    """Return each entry's share; if the extreme is nan, its cotangent goes to the entries that are nan."""
    chosen = (x == with_kept_axes(y, axis, keepdims)) | np.isnan(x)
    ties = np.sum(chosen, axis=axis, keepdims=True)
    return np.where(chosen, with_kept_axes(g, axis, keepdims) / np.maximum(ties, 1), 0)


@primitive(name="largest", method=False, axis=reduced_axes, kinks={(1, 1, 0): (0.5, 0.5, 0)})
def _largest(x: Any, /, axis: Any = None, keepdims: Any = False) -> Any:
    """Return the largest entries over the axes."""
    return np.maximum.reduce(x, axis=axis, keepdims=keepdims)


@primitive(name="smallest", method=False, axis=reduced_axes, kinks={(0, 0, 1): (0.5, 0.5, 0)})
def _smallest(x: Any, /, axis: Any = None, keepdims: Any = False) -> Any:
    """Return the smallest entries over the axes."""
    return np.minimum.reduce(x, axis=axis, keepdims=keepdims)


_largest.vjp(_to_extremes)
_smallest.vjp(_to_extremes)


def _extreme(reduced: Any, of_two: Any, x: Any, axis: Any, keepdims: Any, initial: Any, where: Any) -> Any:
    """Return the extreme of the entries where the mask holds, and of the initial number."""
    if where is not True:
        if initial is None:
            raise ValueError("an extreme with where= needs initial=, the result if the mask holds nowhere")
        x = _masked(x, where, initial)
    if initial is None:
        return reduced(x, axis, keepdims)
    initial = as_tensor(initial, x.dtype)
    if math.prod(x.shape[a] for a in reduced_axes(axis, [x])) == 0:
        return sum(x, axis, x.dtype, keepdims) + initial
    return of_two(reduced(x, axis, keepdims), initial)


@composite(numpy=[np.max, np.amax, np.maximum.reduce])
def max(x: Tensor, axis: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True) -> Tensor:
    """Return the largest entries over the axes, by default all; k tied entries share the gradient, 1/k each.

    Only entries where `where` holds are compared, and the number `initial`, if given. The gradient of a result that is
    nan goes to the entries that are nan.
    """
    return _extreme(_largest, maximum, x, axis, keepdims, initial, where)


@composite(numpy=[np.min, np.amin, np.minimum.reduce])
def min(x: Tensor, axis: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True) -> Tensor:
    """Return the smallest entries over the axes, by default all; see `max`."""
    return _extreme(_smallest, minimum, x, axis, keepdims, initial, where)


@composite(numpy=[np.ptp], method=False)
def ptp(x: Tensor, axis: Any = None, keepdims: Any = False) -> Tensor:
    """Return the largest entry minus the smallest over the axes."""
    return max(x, axis, keepdims) - min(x, axis, keepdims)


def _count(x: Tensor, axis: Any, where: Any, keepdims: Any) -> Any:
    """Return how many entries are added up: a number, or an array if a mask chooses them."""
    if where is True:
        return x.size if axis is None else math.prod([x.shape[a] for a in all_axes(axis, x.ndim)])
    return np.sum(np.broadcast_to(as_array(where), x.shape), axis=axis, keepdims=keepdims)


def _divided(y: Tensor, n: Any) -> Tensor:
    """Return a sum divided by a count, in the sum's dtype; a negative count is taken as 0."""
    dtype = y.dtype if y.dtype.kind in "fc" else np.dtype(float)
    return y / (np.maximum(n, 0).astype(dtype) if hasattr(n, "dtype") else dtype.type(n if n > 0 else 0))


@composite(numpy=[np.mean])
def mean(x: Tensor, axis: Any = None, dtype: Any = None, keepdims: Any = False, where: Any = True) -> Tensor:
    """Return the arithmetic mean over the axes, by default all, of the entries where `where` holds.

    The mean of no entries is nan, with a warning.
    """
    kept = x.dtype if dtype is None else np.dtype(dtype)
    if kept.char == "e":
        return mean(x.astype(np.float32), axis, None, keepdims, where).astype(np.float16)
    y = sum(x, axis, dtype or (float if kept.kind in "iu" else None), keepdims, None, where)
    return as_tensor(_divided(y, _count(x, axis, where, keepdims)), dtype)


@composite(numpy=[np.var])
def var(
    x: Tensor, axis: Any = None, dtype: Any = None, ddof: float = 0, keepdims: Any = False, *,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Tensor:  # fmt: skip
    """Return the variance over the axes, by default all: the sum of squared deviations from the mean over n - ddof.

    `mean` is the mean, with its axes kept, if it is known; `correction` is another name for `ddof`.
    """
    deviation = x - (_mean(x, axis, dtype, True, where) if mean is None else mean)
    square = deviation * deviation if x.dtype.kind != "c" else as_tensor((deviation * np.conj(deviation)).data.real)
    n = _count(x, axis, where, keepdims) - (ddof if correction is None else correction)
    return as_tensor(_divided(sum(square, axis, dtype, keepdims, None, where), n), dtype)


_mean = mean  # `var` has a parameter of that name


@composite(numpy=[np.std])
def std(
    x: Tensor, axis: Any = None, dtype: Any = None, ddof: float = 0, keepdims: Any = False, *,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Tensor:  # fmt: skip
    """Return the square root of the variance; where it is 0, the derivative is 0, too."""
    with np.errstate(over="ignore"):
        square = var(x, axis, dtype, ddof, keepdims, where=where, mean=mean, correction=correction)
    if x.dtype.kind not in "fc" or not loses_digits(square.data):
        return as_tensor(sqrt(square), dtype)
    scale = scale_of(x.data, axis)
    mean = None if mean is None else mean / scale
    y = sqrt(var(x / scale, axis, dtype, ddof, True, where=where, mean=mean, correction=correction)) * scale
    return as_tensor(y if keepdims else y.squeeze(all_axes(axis, x.ndim)), dtype)


def loses_digits(powers: Any) -> bool:
    """Return whether sums of powers are so small, or so large, that the powers have lost digits."""
    info = np.finfo(powers.dtype) if powers.dtype.kind in "fc" else np.finfo(float)
    return not ((powers > info.tiny / info.eps) & (powers < np.inf)).all()


def scale_of(x: Any, axis: Any, smallest: bool = False) -> Any:
    """Return powers of two: divided by these, the largest numbers over the axes, or the smallest, are about 1."""
    reduced, start = (np.min, np.inf) if smallest else (np.max, 0)
    top = reduced(np.abs(x), axis=axis, keepdims=True, initial=start)
    return np.where((top > 0) & (top < np.inf), np.ldexp(top.dtype.type(1), np.frexp(top)[1] - 1), 1)


@functools.cache
def promoted(dtype: Any) -> Any:
    """Return the dtype in which NumPy adds up and multiplies entries of an integer or boolean dtype."""
    return np.prod(np.ones(1, dtype)).dtype


@composite(numpy=[np.prod, np.multiply.reduce])
def prod(
    x: Tensor, axis: Any = None, dtype: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Tensor:
    """Return the product over the axes, by default all, by halving, so that derivatives are right with zeros, too."""
    x = _masked(x, where, 1, dtype)
    if dtype is None and x.dtype.kind in "biu":
        x = x.astype(promoted(x.dtype))
    axis = reduced_axes(axis, [x])
    shape = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
    others = tuple(i for i in range(x.ndim) if i not in axis)
    rows = x.transpose((*axis, *others)).reshape(math.prod(x.shape[i] for i in axis), *[x.shape[i] for i in others])
    if len(rows) == 0:
        rows = sum(rows, 0, x.dtype, keepdims=True) + x.dtype.type(1)
    while len(rows) > 1:
        half = len(rows) // 2
        odd = [rows[2 * half :]] if len(rows) % 2 else []
        rows = rows[:half] * rows[half : 2 * half]
        rows = np.concatenate([rows, *odd]) if odd else rows  # type: ignore[assignment]
    y = rows.reshape(shape if keepdims else rows.shape[1:])
    return y if initial is None else y * as_tensor(initial, y.dtype)


@primitive(numpy=[np.argmax], axis=searched_axis)
def argmax(x: Any, /, axis: int | None = None, keepdims: Any = False) -> Any:
    """Return the index of the first largest entry along an axis, or of all entries by default."""
    return np.argmax(x, axis, keepdims=keepdims)


@primitive(numpy=[np.argmin], axis=searched_axis)
def argmin(x: Any, /, axis: int | None = None, keepdims: Any = False) -> Any:
    """Return the index of the first smallest entry along an axis, or of all entries by default."""
    return np.argmin(x, axis, keepdims=keepdims)


@primitive(numpy=[np.nanargmax], method=False, masks=True, axis=searched_axis)
def nanargmax(x: Any, /, axis: int | None = None, keepdims: Any = False) -> Any:
    """Return the index of the first largest entry that is not nan along an axis, or of all entries by default."""
    return np.nanargmax(x, axis, keepdims=keepdims)


@primitive(numpy=[np.nanargmin], method=False, masks=True, axis=searched_axis)
def nanargmin(x: Any, /, axis: int | None = None, keepdims: Any = False) -> Any:
    """Return the index of the first smallest entry that is not nan along an axis, or of all entries by default."""
    return np.nanargmin(x, axis, keepdims=keepdims)


def _mask(where: Any, inputs: Any) -> Any:
    return where if where is True else as_array(where)


@primitive(numpy=[np.any, np.logical_or.reduce], axis=reduced_axes, where=_mask)
def any(x: Any, /, axis: Any = None, keepdims: Any = False, where: Any = True) -> Any:
    """Return whether any entry over the axes is not zero, among those where `where` holds."""
    return np.any(x, axis=axis, keepdims=keepdims, where=where)


@primitive(numpy=[np.all, np.logical_and.reduce], axis=reduced_axes, where=_mask)
def all(x: Any, /, axis: Any = None, keepdims: Any = False, where: Any = True) -> Any:
    """Return whether no entry over the axes is zero, among those where `where` holds."""
    return np.all(x, axis=axis, keepdims=keepdims, where=where)


for _constant in (argmax, argmin, nanargmax, nanargmin, any, all):
    _constant.vjp(None)


# Samples for tests: a tuple stands for random values of that shape.

_SAMPLES = [
    sample((2, 3)), sample((2, 3, 2), axis=(0, -1)), sample((2, 3), axis=-1, keepdims=True), sample((2, 3), axis=()),
    sample(()), sample(TIES, axis=1),
]  # fmt: skip
_WITH_EMPTY = [*_SAMPLES, sample((0, 3)), sample((0, 3), axis=0), sample((2, 0), axis=0)]
_total.samples = _WITH_EMPTY
sum.samples = [
    *_WITH_EMPTY, sample((2, 3), where=MASK, axis=1), sample((2, 3), initial=2.5), sample((3,), dtype="float32"),
]  # fmt: skip
_EMPTY_BESIDE = [*_SAMPLES, sample((0, 3), axis=1)]
_largest.samples = _smallest.samples = ptp.samples = _EMPTY_BESIDE
max.samples = min.samples = [
    *_EMPTY_BESIDE, sample((2, 3), where=MASK, axis=1, initial=-9.0), sample((0, 3), axis=0, initial=0.25),
    sample((2, 3), initial=0.3),
]  # fmt: skip
MASKED = [*_EMPTY_BESIDE, sample((2, 3), where=MASK, axis=1), sample((2, 3), where=MASK[:, :1], axis=0)]
mean.samples = [*MASKED, sample((2,), dtype="float32")]
var.samples = [*MASKED, sample((3, 2), axis=0, ddof=1), sample((2,), correction=1)]
std.samples = [*MASKED, sample((3, 2), axis=0, ddof=1)]
prod.samples = [
    *_WITH_EMPTY, sample(np.array([[3.0, 0.0, 2.0], [0.0, 0.0, 5.0]]), axis=1), sample((2, 3), where=MASK, axis=1),
    sample((2, 3), initial=2.0), sample((3,), dtype="float32"),
]  # fmt: skip
_SEARCHES = [sample((2, 3)), sample((2, 3), axis=-1, keepdims=True), sample(()), sample((0, 3), axis=1)]
argmax.samples = argmin.samples = _SEARCHES
nanargmax.samples = nanargmin.samples = [sample(np.array([[np.nan, 2.0], [3.0, np.nan]]), axis=-1), *_SEARCHES]
any.samples = all.samples = [*_WITH_EMPTY, sample((2, 3), where=MASK, axis=0)]
