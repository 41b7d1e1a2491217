"""Averages, moments of several variables, and reductions that skip nan."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...tensor.creation import array_of, as_tensor
from ...tensor.declaring import composite, sample
from ...tensor.handle import Tensor
from .. import reduction
from ..axes import all_axes, reduced_axes
from ..elementwise import fmax, fmin
from ..joining import concatenate
from ..rounding import isnan, logical_not
from ..selection import either
from .cumulative import cumprod, cumsum


def _there(x: Tensor, where: Any) -> Any:
    """Return the mask of the entries that count: those that are not nan, among those where `where` holds."""
    there = logical_not(isnan(x)).data
    return there if where is True else there & array_of(where)


@composite(numpy=[np.nansum])
def nansum(
    x: Tensor, axis: Any = None, dtype: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Tensor:
    """Return the sum over the axes of the entries that are not nan."""
    return reduction.sum(x, axis, dtype, keepdims, initial, _there(x, where))


@composite(numpy=[np.nanprod])
def nanprod(
    x: Tensor, axis: Any = None, dtype: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True
) -> Tensor:
    """Return the product over the axes of the entries that are not nan."""
    return reduction.prod(x, axis, dtype, keepdims, initial, _there(x, where))


@composite(numpy=[np.nanmean])
def nanmean(x: Tensor, axis: Any = None, dtype: Any = None, keepdims: Any = False, where: Any = True) -> Tensor:
    """Return the mean over the axes of the entries that are not nan; nan, with a warning, where all are."""
    return reduction.mean(x, reduced_axes(axis, [x]), dtype, keepdims, _there(x, where))


@composite(numpy=[np.nanvar])
def nanvar(
    x: Tensor, axis: Any = None, dtype: Any = None, ddof: float = 0, keepdims: Any = False, *,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Tensor:  # fmt: skip
    """Return the variance over the axes of the entries that are not nan; `mean` and `correction` as for var."""
    axis = reduced_axes(axis, [x])
    return reduction.var(x, axis, dtype, ddof, keepdims, where=_there(x, where), mean=mean, correction=correction)


@composite(numpy=[np.nanstd])
def nanstd(
    x: Tensor, axis: Any = None, dtype: Any = None, ddof: float = 0, keepdims: Any = False, *,
    where: Any = True, mean: Any = None, correction: Any = None,
) -> Tensor:  # fmt: skip
    """Return the standard deviation over the axes, leaving out nan; where it is 0, so is the derivative."""
    axis = reduced_axes(axis, [x])
    return reduction.std(x, axis, dtype, ddof, keepdims, where=_there(x, where), mean=mean, correction=correction)


def _nan_extreme(
    reduced: Any, of_two: Any, worst: float, x: Tensor, axis: Any, keepdims: Any, initial: Any, where: Any
) -> Any:
    """Return an extreme of the entries that are not nan, and nan where all are."""
    if x.dtype.kind != "f":
        return reduced(x, axis, keepdims, initial, where)
    if where is not True and initial is None:
        raise ValueError("an extreme with where= needs initial=, the result if the mask holds nowhere")
    there = _there(x, where)
    y = reduced(either(there, x, worst), axis, keepdims, None if initial is None else worst)
    if initial is not None:
        return of_two(y, as_tensor(initial, y.dtype))
    nothing = np.logical_not(np.any(np.broadcast_to(there, x.shape), axis=reduced_axes(axis, [x]), keepdims=keepdims))
    return either(nothing, np.nan, y) if nothing.any() else y


@composite(numpy=[np.nanmax, np.fmax.reduce])
def nanmax(x: Tensor, axis: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True) -> Tensor:
    """Return the largest entries that are not nan, over the axes; tied entries share the gradient."""
    return _nan_extreme(reduction.max, fmax, -np.inf, x, axis, keepdims, initial, where)


@composite(numpy=[np.nanmin, np.fmin.reduce])
def nanmin(x: Tensor, axis: Any = None, keepdims: Any = False, initial: Any = None, where: Any = True) -> Tensor:
    """Return the smallest entries that are not nan, over the axes; tied entries share the gradient."""
    return _nan_extreme(reduction.min, fmin, np.inf, x, axis, keepdims, initial, where)


@composite(numpy=[np.nancumsum])
def nancumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Return the running sums of the entries along an axis; nan counts as 0."""
    return cumsum(either(isnan(x), 0, x), axis, dtype)


@composite(numpy=[np.nancumprod])
def nancumprod(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """Return the running products of the entries along an axis; nan counts as 1."""
    return cumprod(either(isnan(x), 1, x), axis, dtype)


@composite(numpy=[np.average], method=False)
def average(x: Tensor, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    """Return the average over the axes, weighted by `weights`, which have x's shape or that of the axes.

    With `returned`, the sum of the weights is returned, too. Raises ZeroDivisionError if it is 0.
    """
    if weights is None:
        mean = reduction.mean(x, axis, keepdims=keepdims)
        count = np.full(mean.shape, x.size / np.maximum(mean.size, 1), mean.dtype)
        return (mean, as_tensor(count)) if returned else mean
    w = as_tensor(weights)
    if w.shape != x.shape:
        if axis is None:
            raise TypeError(f"weights of shape {w.shape} for a tensor of shape {x.shape}: say along which axis")
        chosen = all_axes(axis, x.ndim)
        if w.shape != tuple(x.shape[a] for a in chosen):
            raise ValueError(f"weights along axis {axis} of {x.shape} need that axis's shape, got {w.shape}")
        w = w.transpose(np.argsort(chosen).tolist())
        w = w.reshape(tuple(x.shape[i] if i in chosen else 1 for i in range(x.ndim)))
    total = reduction.sum(w + x * 0 if w.shape != x.shape else w, axis, keepdims=keepdims)
    if (total.data == 0).any():
        raise ZeroDivisionError("the weights add up to 0, but an average needs a sum that is not 0")
    mean = reduction.sum(x * w, axis, keepdims=keepdims) / total
    return (mean, total) if returned else mean


@composite(numpy=[np.cov], method=False)
def cov(
    m: Tensor, y: Tensor | None = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None,
    fweights: Any = None, aweights: Any = None, *, dtype: Any = None,
) -> Tensor:  # fmt: skip
    """Return the covariances of variables, one per row of m, over their observations. Shapes: (k, n) -> (k, k).

    `aweights` are the weights of the observations, `fweights` say how often each was made.
    """
    x = _variables(m, rowvar, dtype)
    if y is not None:
        x = concatenate([x, _variables(y, rowvar, dtype)])
    repeats = np.ones(x.shape[1], x.dtype) if fweights is None else array_of(fweights)
    w = as_tensor(repeats) * (1 if aweights is None else as_tensor(aweights))
    total = reduction.sum(w)
    ddof = (0 if bias else 1) if ddof is None else ddof
    spread = reduction.sum(w * (1 if aweights is None else as_tensor(aweights)))
    centred = x - reduction.sum(x * w, 1, keepdims=True) / total
    others = np.conj(centred.T) if x.dtype.kind == "c" else centred.T
    return np.squeeze(centred * w @ others / (total - ddof * spread / total))


def _variables(m: Tensor, rowvar: bool, dtype: Any) -> Tensor:
    x = m.astype(np.result_type(m.dtype, np.float64) if dtype is None else dtype)
    if x.ndim not in (1, 2):
        raise ValueError(f"observations must be a vector for one variable, a matrix for several, not shape {x.shape}")
    x = x.reshape(1, x.size) if x.ndim < 2 else x
    return x if rowvar or len(x) == 1 else x.T


@composite(numpy=[np.corrcoef], method=False)
def corrcoef(x: Tensor, y: Tensor | None = None, rowvar: bool = True, *, dtype: Any = None) -> Tensor:
    """Return the correlation coefficients of variables, one per row of x. Shapes: (k, n) -> (k, k)."""
    c = cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    index = np.arange(len(c))
    deviation = np.sqrt(c[index, index])
    return c / deviation[:, None] / deviation


# Samples for tests: a tuple stands for random values of that shape.

_NANS = np.array([[0.5, 3.0, -1.5], [1.0, np.nan, -2.0]])
_SAMPLES = [
    sample((2, 3)), sample(_NANS), sample(_NANS, axis=-1), sample(_NANS, axis=0, keepdims=True), sample(()),
    sample((0, 3), axis=1), sample(np.array([[np.nan, 1.0], [np.nan, 2.0]]), axis=1),
]  # fmt: skip
nansum.samples = nanprod.samples = nanmean.samples = _SAMPLES
nanvar.samples = nanstd.samples = [*_SAMPLES, sample(_NANS, correction=1), sample((2, 3), mean=0.25)]
nanmax.samples = nanmin.samples = [
    *_SAMPLES, sample((2, 3), initial=0.25), sample((0, 3), axis=0, initial=0.25),
    sample(_NANS, axis=0, initial=0.25, where=np.array([[True], [False]])),
]  # fmt: skip
nancumsum.samples = nancumprod.samples = [s for s in _SAMPLES if "keepdims" not in s[1]]
_WEIGHTS = [0.5, 1.0, 2.0]
average.samples = [
    sample((2, 3)), sample((2, 3), weights=[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]), sample(()),
    sample((2, 3), axis=-1, weights=_WEIGHTS), sample((2, 3), axis=0, weights=_WEIGHTS[:2], keepdims=True),
]  # fmt: skip
cov.samples = [
    sample((3, 5)), sample((4,)), sample((4, 2), rowvar=False, bias=True), sample((2, 4), (4,)), sample((2, 3), ddof=0),
    sample((0, 3)),
]  # fmt: skip
corrcoef.samples = [sample((3, 5)), sample((0, 3))]
