"""NumPy's functions that write into their first argument: on a tensor, they assign as `t[index] = v` does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...engine.arrays import raw
from ...tensor.creation import array_of, as_tensor
from ...tensor.handle import NUMPY_FUNCTIONS, Tensor
from ...tensor.numpy_protocols import UFUNC_METHODS
from ..axes import one_axis
from ..broadcasting import broadcast_to, resize
from ..indexing import assign, plain, scatter_add
from ..joining import ravel
from ..selection import flat_indices, known_index, where


def _target(x: Any, name: str) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} would write tensors into a NumPy array; make that a tensor by tg.tensor(array)")
    return x


def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """Assign `src`, broadcast, to all entries, or to those where the mask `where` holds, with "same_kind" casting."""
    t = _target(dst, "copyto")
    if casting != "same_kind":
        raise TypeError(f"tensors are assigned by casting='same_kind', not {casting!r}; write src.astype(dst.dtype)")
    assign(t, ..., src if where is True else _chosen(where, src, t))


def _chosen(mask: Any, values: Any, t: Tensor) -> Any:
    holds = array_of(raw(mask), bool)
    return where(holds, values, t)


def putmask(a: Any, mask: Any, values: Any) -> None:
    """Assign, where the mask holds, the entries at the same positions of `values`, repeated to the tensor's size."""
    t = _target(a, "putmask")
    if np.size(raw(values)):
        assign(t, ..., _chosen(np.reshape(raw(mask), t.shape), resize(values, t.shape), t))


def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """Assign the values in turn, repeated as needed, to the entries at the given indices of the flattened tensor.

    An index out of bounds raises with `mode` "raise", is wrapped around with "wrap", and clipped with "clip".
    """
    t = _target(a, "put")
    flat, index, values = ravel(t), known_index(ind, t.size, mode).ravel(), ravel(v)
    if values.size:
        assign(flat, index, resize(values, index.shape))
        t._rebind(flat.reshape(t.shape))


def place(arr: Any, mask: Any, vals: Any) -> None:
    """Assign the values in turn, repeated as often as needed, to the entries where the mask holds."""
    t, holds = _target(arr, "place"), np.ravel(raw(mask)).astype(bool)
    if holds.size != t.size:
        raise ValueError(f"place takes a mask of its tensor's size {t.size}, not {holds.size}")
    if holds.any() and not as_tensor(vals).size:
        raise ValueError("place needs at least one value if the mask holds anywhere")
    put(t, np.flatnonzero(holds), vals)


def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """Assign the values in turn, repeated as often as needed, to the entries whose indices are all equal.

    In a tall matrix, `wrap` begins again after each square block and the row below it.
    """
    t = _target(a, "fill_diagonal")
    if t.ndim < 2 or (t.ndim > 2 and len(set(t.shape)) > 1):
        raise ValueError(f"a diagonal needs a matrix, or axes of one length, but the shape is {t.shape}")
    step = int(np.sum(np.cumprod((1, *t.shape[:0:-1]))))
    put(t, np.arange(t.size)[: None if wrap else t.shape[-1] ** t.ndim : step], val)


def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None = -1) -> None:
    """Assign the values to the entries at the given indices along an axis."""
    t = _target(arr, "put_along_axis")
    shape = (t.size,) if axis is None else t.shape
    index = flat_indices(shape, array_of(raw(indices)), 0 if axis is None else one_axis(axis, t.ndim))
    assign(t, np.unravel_index(index, t.shape), values)


def _at(ufunc: Any, call: Any, inputs: Any, options: Any) -> None:
    """Assign the ufunc's result to each entry that the index names; for a repeated index, it is applied repeatedly."""
    a, indices, *values = inputs
    t = _target(a, f"np.{ufunc.__name__}.at")
    index = np.arange(t.size).reshape(t.shape)[plain(indices, ())]
    operands = [broadcast_to(v, index.shape) for v in values]
    if ufunc in (np.add, np.subtract):
        t._rebind(call(t, scatter_add(*operands, np.unravel_index(index, t.shape), t.shape)))
        return
    flat, operands = ravel(t), [ravel(v) for v in operands]
    for turn in _turns(index.ravel()):
        now = index.ravel()[turn]
        assign(flat, now, call(flat[now], *[v[turn] for v in operands]))
    t._rebind(flat.reshape(t.shape))


def _turns(index: Any) -> Iterator[Any]:
    """Yield the positions at which an index occurs for the first time, then those of second occurrences, and so on."""
    _, inverse, counts = np.unique(index, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    times = np.empty_like(order)
    times[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    for k in range(max(counts, default=0)):
        yield np.flatnonzero(times == k)


UFUNC_METHODS["at"] = _at
for _function in (copyto, putmask, put, place, fill_diagonal, put_along_axis):
    NUMPY_FUNCTIONS[getattr(np, _function.__name__)] = _function
