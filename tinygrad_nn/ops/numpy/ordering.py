"""Entries in ascending order, and the indices where they are or belong.

Equal entries share their gradient: sorting may put any of them first, so each gets the mean of the cotangents of their
places in the result. That is the subgradient of smallest norm, as for max.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ...engine.arrays import raw
from ...tensor.declaring import composite, primitive, sample
from ...tensor.handle import Tensor, make
from ..axes import one_axis, searched_axis
from ..sample_arrays import TIES
from ..selection import take_along_axis
from ..shaping import flat_or, moveaxis


@primitive(name="share", linear=True, method=False)
def _share(x: Any, /, sorted: Any) -> Any:
    """Return x averaged over each run of equal entries of `sorted`, along the last axis. (..., n) -> (..., n)."""
    if x.shape != sorted.shape:
        raise ValueError(f"share needs one shape, got {x.shape} and {sorted.shape}")
    starts = np.ones(sorted.shape, bool)  # where a run of equal entries begins
    np.not_equal(sorted[..., 1:], sorted[..., :-1], out=starts[..., 1:])
    if starts.all():
        return x
    flat, runs = x.reshape(-1), np.flatnonzero(starts)
    lengths = np.diff(runs, append=flat.size)
    first = np.repeat(flat[runs], lengths)
    with np.errstate(invalid="ignore"):
        beyond = np.where(flat == first, 0, flat - first)
    means = np.add.reduceat(beyond, runs, dtype=np.result_type(x, np.float32)) / lengths
    return (first + np.repeat(means, lengths)).astype(x.dtype).reshape(x.shape)


_share.vjp(lambda g, sorted: _share.kernel(g, sorted=sorted))


@primitive(numpy=[np.argsort], axis=searched_axis)
def argsort(x: Any, /, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Any:
    """Return the indices that sort an axis in ascending order; equal entries always keep their order."""
    return np.argsort(x, axis, kind="stable")


argsort.vjp(None)


@composite(numpy=[np.sort])
def sort(x: Tensor, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Any:
    """Return the entries in ascending order along an axis, or flattened for None; nan comes last.

    The method returns a new tensor, too: `t = t.sort()`. Equal entries share their gradient.
    """
    x, axis = flat_or(x, axis if axis is None else one_axis(axis, x.ndim))
    last = moveaxis(x, axis, -1)
    y = take_along_axis(last, np.argsort(last.data, -1), -1)
    return moveaxis(_share(y, y.data) if y.requires_grad else y, -1, axis)


def _kth(kth: Any, n: int) -> Any:
    """Return the indices of the entries to be put in place. Raises ValueError for one out of bounds."""
    index = np.atleast_1d(raw(kth))
    if index.size and not (-n <= index.min() and index.max() < n):
        raise ValueError(f"kth(={raw(kth)}) out of bounds ({n}); it must be from {-n} to {n - 1}")
    return index


@primitive(numpy=[np.argpartition], axis=searched_axis)
def argpartition(x: Any, /, kth: Any, axis: int | None = -1) -> Any:
    """Return the indices that partition an axis: the kth entry where sorting puts it, smaller ones before it."""
    return np.argpartition(x, raw(kth), axis)


argpartition.vjp(None)


@composite(numpy=[np.partition])
def partition(x: Tensor, kth: Any, axis: int | None = -1) -> Any:
    """Return the entries with the kth along an axis where sorting puts it, smaller ones before it, larger ones after.

    These are sorted, too, which NumPy doesn't promise. Equal entries share their gradient.
    """
    x, axis = flat_or(x, axis if axis is None else one_axis(axis, x.ndim))
    _kth(kth, x.shape[axis])
    return sort(x, axis)


def _extremes(x: Any, k: int, largest: bool) -> tuple[Any, bool]:
    """Return the indices of the k most extreme entries along the last axis, in order, and whether any is tied."""
    n = x.shape[-1]
    if k == 0:
        return np.zeros((*x.shape[:-1], 0), np.intp), False
    order = np.argpartition(x, n - k if largest else k - 1, -1)
    order = order[..., n - k :] if largest else order[..., :k]
    ranks = np.argsort(np.take_along_axis(x, order, -1), -1)
    order = np.take_along_axis(order, ranks[..., ::-1] if largest else ranks, -1)
    found = np.take_along_axis(x, order, -1)
    ties = (found[..., 1:] == found[..., :-1]).any() or ((x == found[..., -1:]).sum(-1) > 1).any()
    if ties and largest:
        order = n - 1 - np.argsort(x[..., ::-1], -1, kind="stable")[..., : n - k - 1 if n > k else None : -1]
    elif ties:
        order = np.argsort(x, -1, kind="stable")[..., :k]
    return order, bool(ties)


@composite()
def topk(x: Tensor, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """Return the k largest entries along an axis, or the smallest, most extreme first, and their indices.

    Shapes: (..., n, ...) -> (..., k, ...) twice. nan counts as largest. Of equal entries, the indices of the first are
    returned, and all of them share the gradient.

    >>> import tinygrad_nn as tg
    >>> values, indices = tg.topk([3.0, 1.0, 2.0], k=2)
    >>> values.tolist(), indices.tolist()
    ([3.0, 2.0], [0, 2])
    """
    k = operator.index(k)
    last = moveaxis(x, axis, -1)
    n = last.shape[-1]
    if not 0 <= k <= n:
        raise ValueError(f"topk takes 0 to {n} entries on an axis of length {n}, not {k}")
    index, ties = _extremes(last.data, k, largest)
    if ties and x.requires_grad:
        y = sort(last)[..., : n - k - 1 if n > k else None : -1] if largest else sort(last)[..., :k]
    else:
        y = take_along_axis(last, index, -1)
    return moveaxis(y, -1, axis), moveaxis(make(index, None), -1, axis)


@primitive(numpy=[np.searchsorted])
def searchsorted(x: Any, v: Any, /, side: Any = "left", sorter: Any = None) -> Any:
    """Return the indices at which the entries of v belong in an ascending vector, before or after equal entries."""
    return np.searchsorted(x, v, side, raw(sorter))


@primitive(numpy=[np.digitize], method=False)
def digitize(x: Any, bins: Any, /, right: bool = False) -> Any:
    """Return, for each entry, the number of its bin; the bounds of the bins are in ascending or descending order."""
    return np.digitize(x, bins, right)


searchsorted.vjp(None, None)
digitize.vjp(None, None)


# Samples for tests: a tuple stands for random values of that shape.

_share.samples = [
    sample((2, 4), sorted=np.array([[0, 0, 1, 1], [3, 3, 3, 4]])), sample((2,), sorted=np.array([1, 2])),
    sample((2, 0), sorted=np.zeros((2, 0))),
]  # fmt: skip
argsort.samples = [
    sample((2, 3)), sample((2, 3), axis=-2), sample((2, 3), axis=None), sample(()), sample((0, 3)), sample(TIES),
]  # fmt: skip
sort.samples = [
    sample((2, 3)), sample((2, 3, 2), axis=-2), sample((2, 3), axis=None), sample((), axis=None), sample((0, 3)),
    sample(TIES), sample(TIES, axis=0),
]  # fmt: skip
argpartition.samples = [
    sample((2, 3), kth=1), sample((2, 3), kth=(0, -1), axis=-2), sample((2, 1), kth=1, axis=None), sample((), kth=0),
    sample((0, 3), kth=1),
]  # fmt: skip
partition.samples = [
    sample((2, 3), kth=1), sample((2, 3, 2), kth=(0, -1), axis=-2), sample((2, 1), kth=(0, 1), axis=None),
    sample((), kth=0, axis=None), sample((0, 3), kth=1), sample(TIES, kth=1),
]  # fmt: skip
topk.samples = [
    sample((2, 4), k=2), sample((3, 2), k=2, axis=-2, largest=False), sample((2, 3), k=0), sample((0, 3), k=1),
    sample(TIES, k=1), sample(np.array([[1.0, 0.0, 1.0], [0.0, 2.0, 2.0]]), k=2, axis=1),
]  # fmt: skip
_SIDES = [
    sample(np.array([0.0, 0.5, 0.5, 2.0]), np.array([[0.5, -1.0], [3.0, 1.0]])),
    sample(np.array([1.0, 2.0]), np.array(1.5)), sample((0,), np.zeros((0, 2))),
]  # fmt: skip
searchsorted.samples = [
    *_SIDES, sample(np.array([0.0, 1.0, 1.0]), np.array([1.0]), side="right"),
    sample(np.array([2.0, 0.0]), np.array([1.0]), sorter=[1, 0]),
]  # fmt: skip
digitize.samples = [
    sample(np.array([[0.5, -1.0], [3.0, 1.0]]), np.array([0.0, 0.5, 2.0])), sample(np.array(1.5), np.array([2.0, 1.0])),
    sample((0, 2), np.array([1.0])), sample(np.array([0.5]), np.array([0.0, 0.5]), right=True),
]  # fmt: skip
