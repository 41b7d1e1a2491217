"""Tensors joined along an axis, new or existing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine.arrays import raw
from ..engine.trees import filled, leaves
from ..tensor.creation import as_tensor
from ..tensor.declaring import composite, primitive, sample
from ..tensor.handle import Tensor
from .axes import input_axis, one_axis
from .broadcasting import broadcast_to
from .sample_arrays import MASK
from .shaping import atleast_1d, atleast_2d, atleast_3d, flat_or, in_order, moveaxis, on_axis


@primitive(variadic=True, linear=True, method=False, name="join", axis=input_axis)
def _concatenate(xs: Any, /, axis: int = 0) -> Any:
    """Return the inputs joined along an axis that they have."""
    return np.concatenate(xs, axis)


@_concatenate.vjp
def _own_part(g: Any, index_of_input: int, xs_shapes: Any, axis: int) -> Any:
    before = sum(shape[axis] for shape in xs_shapes[:index_of_input])
    part = slice(before, before + xs_shapes[index_of_input][axis])
    return g[on_axis(axis, part)]


def _at_least_one(xs: Sequence[Tensor], name: str) -> Sequence[Tensor]:
    if not len(xs):
        raise ValueError(f"{name} needs at least one tensor, for its shape and dtype; or write tg.zeros((0, n))")
    return xs


@composite(numpy=[np.concatenate, np.concat], method=False)
def concatenate(xs: Sequence[Tensor], axis: int | None = 0) -> Any:
    """Return the tensors joined along an existing axis; `axis=None` joins them flattened."""
    xs = _at_least_one(xs, "concatenate")
    return _concatenate(xs, axis) if axis is not None else _concatenate([flat_or(x, None)[0] for x in xs], 0)


@composite(numpy=[np.ravel])
def ravel(x: Any, order: str = "C") -> Any:
    """Return the entries along one axis, in C or Fortran order. Shapes: (...) -> (n,).

    All leaves of a nested list, tuple or dict, or of a Module, follow each other; `tg.unravel` is the inverse.
    """
    parts = list(leaves(x))
    if all(isinstance(part, (int, float)) for part in parts):
        parts = [parts]
    flat = [in_order(as_tensor(part), (-1,), order) for part in parts]
    return flat[0] if len(flat) == 1 else concatenate(flat)


def unravel(vector: Any, like: Any) -> Any:
    """Return the entries of a vector in the shapes and the nesting of `like`; a Module becomes a dict by name.

    Floating-point leaves get the dtypes of `like`, others that of the vector. Raises ValueError if the sizes differ.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tree = {"w": np.ones((2, 2)), "b": 0.5}
    >>> tg.unravel(tg.ravel(tree) * 2, tree)["b"]
    tg.tensor(1., dtype='float64')
    """
    vector = as_tensor(vector)
    models = [as_tensor(x) for x in leaves(like)]
    ends = np.cumsum([0, *[x.size for x in models]]).tolist()
    if vector.shape != (ends[-1],):
        raise ValueError(f"a vector of {ends[-1]} entries is needed, got shape {vector.shape}")
    parts = [vector[start:end].reshape(x.shape) for start, end, x in zip(ends, ends[1:], models)]
    dtypes = [x.dtype if x.dtype.kind == "f" else vector.dtype for x in models]
    return filled(like, iter([part.astype(dtype) for part, dtype in zip(parts, dtypes, strict=True)]))


@composite()
def flatten(x: Any, order: str = "C") -> Any:
    """Return the entries along one axis, as ravel does. Shapes: (...) -> (n,).

    >>> import tinygrad_nn as tg
    >>> tg.flatten([[1.0, 2.0], [3.0, 4.0]])
    tg.tensor([1., 2., 3., 4.], dtype='float64')
    """
    return ravel(x, order)


@composite(numpy=[np.stack], method=False)
def stack(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Return the tensors, all of one shape, joined along a new axis."""
    if len({x.shape for x in _at_least_one(xs, "stack")}) > 1:
        raise ValueError(f"stack needs tensors of one shape, got {[x.shape for x in xs]}")
    shape, new = xs[0].shape, one_axis(axis, xs[0].ndim + 1)
    return _concatenate([in_order(x, (*shape[:new], 1, *shape[new:]), "C") for x in xs], new)


@composite(numpy=[np.hstack], method=False)
def hstack(xs: Sequence[Tensor]) -> Any:
    """Return the tensors joined side by side: along the second axis, vectors along their only axis."""
    parts = [atleast_1d(x) for x in _at_least_one(xs, "hstack")]
    return concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@composite(numpy=[np.vstack], method=False)
def vstack(xs: Sequence[Tensor]) -> Any:
    """Return the tensors joined on top of each other: along the first axis, a vector as a row."""
    return concatenate([atleast_2d(x) for x in _at_least_one(xs, "vstack")], 0)


@composite(numpy=[np.dstack], method=False)
def dstack(xs: Sequence[Tensor]) -> Any:
    """Return the tensors joined along the third axis: (n,) as (1, n, 1), (m, n) as (m, n, 1)."""
    return concatenate([atleast_3d(x) for x in _at_least_one(xs, "dstack")], 2)


@composite(numpy=[np.column_stack], method=False)
def column_stack(xs: Sequence[Tensor]) -> Any:
    """Return the tensors joined side by side along the second axis, a vector as a column."""
    return concatenate([x if x.ndim > 1 else atleast_2d(x).T for x in _at_least_one(xs, "column_stack")], 1)


@composite(numpy=[np.block], method=False)
def block(arrays: Any) -> Any:
    """Return the tensors in nested lists joined: innermost lists along the last axis, the next along the one before."""
    depth = _depth(arrays)
    tensors = [as_tensor(x) for x in leaves(arrays)]
    ndim = max(depth, *[x.ndim for x in tensors])
    padded = iter([x.reshape((1,) * (ndim - x.ndim) + x.shape) for x in tensors])

    def joined(part: Any, level: int) -> Any:
        if not isinstance(part, list):
            return next(padded)
        return concatenate([joined(p, level - 1) for p in part], ndim - level)

    return joined(arrays, depth)


def _depth(arrays: Any) -> int:
    """Return how deep the lists are nested, the same everywhere."""
    if isinstance(arrays, tuple):
        raise TypeError("block takes lists of tensors, not tuples: only lists say what to join")
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(part) for part in arrays}
    if len(depths) != 1:
        raise ValueError("block needs lists of one depth everywhere, and a tensor in each of them")
    return 1 + depths.pop()


@composite(numpy=[np.append], method=False)
def append(x: Tensor, values: Any, axis: int | None = None) -> Any:
    """Return the tensor with the values appended along an axis; by default both are flattened."""
    if isinstance(values, (int, float)):
        values = np.asarray(values, np.result_type(x.dtype, values))
    return concatenate([x, values], axis)


@composite(numpy=[np.insert], method=False)
def insert(x: Tensor, obj: Any, values: Tensor, axis: int | None = None) -> Any:
    """Return the tensor with values inserted before the entries that `obj`, an index along the axis, names."""
    obj = raw(obj)
    x, axis = flat_or(x, axis if axis is None else one_axis(axis, x.ndim))
    n = x.shape[axis]
    count = len(np.insert(np.zeros(n), obj, 0)) - n
    new = values.astype(x.dtype)
    new = new.reshape((1,) * (x.ndim - new.ndim) + new.shape)
    if not isinstance(obj, slice) and np.ndim(obj) == 0:
        new = moveaxis(new, 0, axis)
    count = new.shape[axis] if count == 1 else count
    new = broadcast_to(new, (*x.shape[:axis], count, *x.shape[axis + 1 :]))
    order = np.insert(np.arange(n), obj, np.arange(n, n + count))
    return concatenate([x, new], axis)[on_axis(axis, order)]


# Samples for tests: a tuple stands for random values of that shape.

_concatenate.samples = [sample([(2, 3), (1, 3)]), sample([(2, 3), (2, 0), (2, 1)], axis=-1)]
concatenate.samples = [sample([(2, 3), (1, 3)]), sample([(2, 3), (2, 0)], axis=-1), sample([(2, 3), ()], axis=None)]
ravel.samples = [sample((2, 3, 2), order="F"), sample((2, 3)), sample(()), sample((0, 3))]
flatten.samples = [sample((2, 3), order="F"), sample((2, 3)), sample(()), sample((0, 3))]
stack.samples = [sample([(2, 3), (2, 3)], axis=-1), sample([(), ()]), sample([(0,), (0,)])]
hstack.samples = [sample([(2, 3), (2, 1)]), sample([(), (2,), (0,)]), sample([(2, 0), (2, 1)])]
vstack.samples = [sample([(2, 3), (3,), (0, 3)]), sample([(), ()]), sample([(2,), (1, 2)])]
dstack.samples = [sample([(2, 3), (2, 3, 2)]), sample([(), (1,)]), sample([(2,), (1, 2, 0)])]
column_stack.samples = [sample([(2,), (2, 3), (2, 0)]), sample([(), ()]), sample([(0,), (0, 2)])]
block.samples = [sample([(2, 3), (2, 1)]), sample([(), (2,)]), sample([(2, 0), (2, 1)])]
append.samples = [
    sample((2, 3), (2,)), sample((2, 3), (2, 1), axis=-1), sample((), ()), sample((0, 3), (1, 3), axis=0),
    sample((2,), 1.5),
]  # fmt: skip
insert.samples = [
    sample((2, 3), 1, (), axis=-1), sample((3,), np.array([1, 3, 1]), (3,)), sample((2, 3), -1, (2,)),
    sample((2, 3), slice(None, None, 2), (2,), axis=1), sample((2, 3), 2, (2, 3), axis=0), sample((), 0, ()),
    sample((3, 2), np.array([1]), (1, 2), axis=0), sample((0,), 0, (2,)), sample((3,), MASK[0], ()),
]  # fmt: skip
