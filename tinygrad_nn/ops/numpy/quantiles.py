"""Medians and quantiles: entries of the sorted tensor, or points between two of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import errors
from ...engine.arrays import raw
from ...tensor.creation import array_of
from ...tensor.declaring import composite, sample
from ...tensor.handle import Tensor
from ..axes import all_axes
from ..broadcasting import broadcast_to
from ..reduction import max
from ..selection import take_along_axis, where
from ..shaping import moveaxis
from .ordering import sort

# Where the quantile q of n sorted entries lies, as a rank counted from 0, which may be fractional.
# Source: Hyndman and Fan, Sample Quantiles in Statistical Packages (1996), definitions 1 to 9, and
# NumPy's own. A stepped definition is constant between two steps of q; the others are
# n q + alpha + q (1 - alpha - beta) - 1.

_STEPPED = {
    "inverted_cdf": lambda n, q: np.ceil(n * q - 1),
    "averaged_inverted_cdf": lambda n, q: _half_up_if_whole(n * q - 1),
    "closest_observation": lambda n, q: _even_if_whole(n * q - 1.5),
    "lower": lambda n, q: np.floor((n - 1) * q),
    "higher": lambda n, q: np.ceil((n - 1) * q),
    "nearest": lambda n, q: np.rint((n - 1) * q),
    "midpoint": lambda n, q: (np.floor((n - 1) * q) + np.ceil((n - 1) * q)) / 2,
}
_ALPHA_BETA = {
    "interpolated_inverted_cdf": (0, 1),
    "hazen": (1 / 2, 1 / 2),
    "weibull": (0, 0),
    "linear": (1, 1),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}
_WHOLE = frozenset({"inverted_cdf", "closest_observation", "lower", "higher", "nearest"})


def _half_up_if_whole(rank: Any) -> Any:
    return np.where(rank == np.floor(rank), rank + 0.5, np.ceil(rank))


def _even_if_whole(rank: Any) -> Any:
    """Return the whole rank above; of two that are equally near, the one that is even when counted from 1."""
    return np.where((rank == np.floor(rank)) & (rank % 2 == 1), rank, np.floor(rank) + 1)


def _rank(method: str, n: Any, q: Any) -> Any:
    if method in _STEPPED:
        return _STEPPED[method](n, raw(q))
    if method not in _ALPHA_BETA:
        raise ValueError(f"method must be one of {', '.join([*_ALPHA_BETA, *_STEPPED])}, not {method!r}")
    alpha, beta = _ALPHA_BETA[method]
    return (n - 1) * q if method == "linear" else n * q + (alpha + q * (1 - alpha - beta)) - 1


def _among(rows: Tensor, missing: Any, n: Any, q: Any, method: str) -> Any:
    """Return the quantiles of the n entries of each row that are not missing: (..., m), (k,) -> (..., k)."""
    rank = np.clip(_rank(method, n, q), 0, n - 1)
    low = np.floor(raw(rank)).astype(np.intp)
    high = low if method in _WHOLE else low + (raw(rank) > low)
    if isinstance(rank, Tensor):
        low, high = _flatter_side(np.sort(rows.data), low, high, n)
    pick = _in_order if missing.any() or isinstance(rank, Tensor) else _by_partition
    a, b = pick(rows, low, high)
    if method in _WHOLE:
        return a
    share = np.where(low == high, 0.5, rank - low).astype(rows.dtype)
    return where(np.equal(a.data, b.data), a, a * (1 - share) + b * share)


def _in_order(rows: Tensor, *ranks: Any) -> list[Any]:
    """Return the entries of the sorted rows at these ranks, which are the same for all rows or given for each."""
    y = sort(rows)
    return [y[..., p] if p.ndim == 1 else take_along_axis(y, p, -1) for p in ranks]


def _by_partition(rows: Tensor, *ranks: Any) -> list[Any]:
    """Return the same for rows without nan, but without sorting if there are few ranks and no ties at their entries."""
    wanted = np.unique(np.concatenate(ranks))
    if len(wanted) > 4:
        return _in_order(rows, *ranks)
    y = take_along_axis(rows, np.argpartition(rows.data, wanted, -1)[..., wanted], -1)
    if rows.requires_grad and any(
        ((rows.data == edge).sum(-1) > 1).any() for edge in np.split(y.data, len(wanted), -1)
    ):
        return _in_order(rows, *ranks)
    return [y[..., np.searchsorted(wanted, p)] for p in ranks]


def _flatter_side(y: Any, low: Any, high: Any, n: Any) -> tuple[Any, Any]:
    """Return the two neighbours to interpolate between; at an entry itself, those with the smaller slope in q."""
    rows = np.broadcast_to(low, (*y.shape[:-1], low.shape[-1]))
    below, above = np.maximum(rows - 1, 0), np.minimum(rows + 1, n - 1)
    here, left, right = [np.take_along_axis(y, ranks, -1) for ranks in (rows, below, above)]
    whole, down = low == high, here - left < right - here
    return np.where(whole & down, below, rows), np.where(whole, np.where(down, rows, above), high)


def _quantile(x: Tensor, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool, empty_is_nan: bool) -> Any:
    if x.dtype.kind == "c":
        raise TypeError("complex numbers have no order, which quantiles need; use np.abs(x) or x.real")
    x = x if x.dtype.kind == "f" or method in _WHOLE else x.astype(float)
    axis = all_axes(axis, x.ndim)
    q = q.astype(float) if isinstance(q, Tensor) and q.requires_grad else array_of(raw(q), float)
    if not ((raw(q) >= 0) & (raw(q) <= 1)).all():
        raise ValueError("quantiles must be between 0 and 1, percentiles between 0 and 100")
    others = [i for i in range(x.ndim) if i not in axis]
    n = math.prod(x.shape[i] for i in axis)
    rows = x.transpose([*others, *axis]).reshape(*[x.shape[i] for i in others], n)
    kept = [1 if i in axis else x.shape[i] for i in (range(x.ndim) if keepdims else others)]
    if n == 0 and empty_is_nan:
        return broadcast_to((rows.sum(-1) / math.nan).reshape(kept), (*q.shape, *kept))
    if n == 0:
        raise ValueError(f"quantiles need at least one entry, but axes {axis} of shape {x.shape} hold none")
    missing = np.isnan(rows.data)
    counts = n - missing.sum(-1, keepdims=True) if skip_nan and missing.any() else n
    found = _among(rows, missing, counts, q.reshape(-1), method)
    if skip_nan and not np.all(counts):
        errors.warn("All-NaN slice encountered")
    if not skip_nan and missing.any():
        found = where(missing.any(-1, keepdims=True), max(rows, -1, keepdims=True), found)
    return moveaxis(found, -1, 0).reshape(*q.shape, *kept)


@composite(numpy=[np.median], method=False)
def median(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the medians over the axes, for an even number of entries the mean of the middle two; nan if one is nan.

    The middle entry gets the gradient, or the middle two half each; entries equal to them share it.
    """
    return _quantile(x, 0.5, axis, "linear", keepdims, skip_nan=False, empty_is_nan=True)


@composite(numpy=[np.nanmedian], method=False)
def nanmedian(x: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the medians over the axes of the entries that are not nan; nan where all are. See `median`."""
    return _quantile(x, 0.5, axis, "linear", keepdims, skip_nan=True, empty_is_nan=True)


@composite(numpy=[np.quantile], method=False)
def quantile(x: Tensor, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """Return the values below which a share q, from 0 to 1, of the entries lies: (..., n, ...), (k,) -> (k, ..., ...).

    `method` is as in NumPy. A quantile between two entries is their weighted mean, and its gradient has the same
    weights; entries equal to either share it. A tensor q gets a gradient with the methods that interpolate; at an entry
    itself it is the smaller of the two slopes, and at the ends 0.
    """
    return _quantile(x, q, axis, method, keepdims, skip_nan=False, empty_is_nan=False)


@composite(numpy=[np.nanquantile], method=False)
def nanquantile(x: Tensor, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """Return the quantiles over the axes of the entries that are not nan; nan where all are. See `quantile`."""
    return _quantile(x, q, axis, method, keepdims, skip_nan=True, empty_is_nan=True)


@composite(numpy=[np.percentile], method=False)
def percentile(x: Tensor, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """Return the values below which q per cent, from 0 to 100, of the entries over the axes lie. See `quantile`."""
    return quantile(x, _share(q), axis, method, keepdims)


@composite(numpy=[np.nanpercentile], method=False)
def nanpercentile(x: Tensor, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
    """Return the percentiles over the axes of the entries that are not nan; nan where all are. See `quantile`."""
    return nanquantile(x, _share(q), axis, method, keepdims)


def _share(percent: Any) -> Any:
    return percent / 100 if isinstance(percent, Tensor) else np.true_divide(percent, 100)


# Samples for tests: a tuple stands for random values of that shape.

_TIES = np.array([[1.0, 0.0, 1.0, 1.0], [2.0, 2.0, 3.0, 0.0]])
_MEDIANS = [
    sample((2, 3)), sample((2, 4), axis=-1, keepdims=True), sample((2, 3, 2), axis=(0, -1)), sample(()),
    sample((0, 3), axis=1), sample(_TIES), sample(_TIES, axis=1), sample(np.array([np.inf, 1.0, np.inf])),
]  # fmt: skip
median.samples = [*_MEDIANS, sample(np.array([[np.nan, 1.0], [2.0, 3.0]]), axis=1)]
_WITH_NAN = np.array([[np.nan, 1.0, 5.0], [4.0, 2.5, 3.0], [7.0, np.nan, np.nan]])
nanmedian.samples = [*_MEDIANS, sample(_WITH_NAN, axis=1), sample(_WITH_NAN)]
_QUANTILES = [
    sample((2, 3), q=0.3), sample((2, 4), q=[0.25, 1.0, 0.9], axis=-1, keepdims=True),
    sample((2, 3, 2), q=0.5, axis=(0, -1)), sample((), q=0.5), sample((0, 3), q=0.1, axis=1),
    sample(_TIES, q=[[0.0, 0.4]], axis=1),
    *[sample((2, 5), q=[0.0, 0.1, 0.4, 0.5, 0.77, 1.0], axis=1, method=method) for method in [*_STEPPED, *_ALPHA_BETA]],
]  # fmt: skip
quantile.samples = _QUANTILES
nanquantile.samples = [*_QUANTILES, sample(_WITH_NAN, q=[0.2, 0.5], axis=1)]


def _percent(samples: list[Any]) -> list[Any]:
    return [(inputs, given | {"q": np.multiply(given["q"], 100)}) for inputs, given in samples]


percentile.samples = _percent(_QUANTILES)
nanpercentile.samples = _percent([*_QUANTILES, sample(_WITH_NAN, q=[0.2, 0.5], axis=1)])
