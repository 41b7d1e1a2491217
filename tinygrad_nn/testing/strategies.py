"""Hypothesis strategies: arrays and Tensors of all kinds, indices, axes, operands, architectures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ..tensor.handle import Tensor
from .planting import operation_of
from .samples import distinct, kink_inputs
from .storage import LAYOUTS, frozen

Shape = tuple[int, ...]
FLOATS = ("float64", "float32", "float16")
_LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "contiguous": lambda x: x,
    "read-only": frozen,
    **{name: layout for name, layout in LAYOUTS.items() if name != "stride 0"},  # its entries would tie
}


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 3) -> st.SearchStrategy[Shape]:
    """Return a strategy for shapes, including 0-d and size-0 ones unless these are excluded.

    >>> import tinygrad_nn as tg
    >>> from hypothesis import find
    >>> find(tg.testing.shapes(), lambda shape: len(shape) == 2)
    (0, 0)
    """
    return npst.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side)


def _drawn(draw: st.DrawFn, given: Any) -> Any:
    """Return a draw from a strategy, or anything else unchanged."""
    return draw(given) if isinstance(given, st.SearchStrategy) else given


def _filled(
    draw: st.DrawFn, shapes: Sequence[Shape], dtype: Any, domain: tuple[float, float], kinks: Sequence[Any] = ()
) -> list[Any]:
    """Return arrays whose entries are all distinct, in drawn layouts."""
    sizes = [math.prod(shape) for shape in shapes]
    numbers = distinct(draw(st.integers(0, 2**32 - 1)), sum(sizes), domain, kinks)
    found = []
    for shape, size in zip(shapes, sizes):
        x = np.array(list(itertools.islice(numbers, size)), dtype).reshape(shape)
        found.append(_LAYOUTS[draw(st.sampled_from(list(_LAYOUTS)))](x))
    return found


@st.composite
def arrays(draw: st.DrawFn, shape: Any = None, dtype: Any = None, *, domain: tuple[float, float] = (-2.0, 2.0)) -> Any:
    """Return a strategy for arrays of floats in any layout: strided, reversed, Fortran order, read-only.

    `shape` and `dtype` are values or strategies; by default `shapes()`, and float64, float32 or float16. The entries
    are distinct numbers from the domain, no two close to each other, so that there are no ties.

    >>> import tinygrad_nn as tg
    >>> from hypothesis import find
    >>> find(tg.testing.arrays(dtype="float32"), lambda x: x.size > 1).shape
    (2,)
    """
    shape = draw(shapes()) if shape is None else _drawn(draw, shape)
    dtype = draw(st.sampled_from(FLOATS)) if dtype is None else _drawn(draw, dtype)
    return _filled(draw, [shape], dtype, domain)[0]


def tensors(shape: Any = None, dtype: Any = None, *, requires_grad: bool = True, **options: Any) -> Any:
    """Return a strategy for Tensors that wrap draws of `arrays`: leaves that require grad, unless that is False.

    >>> import tinygrad_nn as tg
    >>> from hypothesis import find
    >>> find(tg.testing.tensors((2,)), lambda t: True).shape
    (2,)
    """
    return arrays(shape, dtype, **options).map(lambda x: Tensor(x, requires_grad=requires_grad))


@st.composite
def broadcastable(
    draw: st.DrawFn, count: int = 2, dtype: Any = None, *, domain: tuple[float, float] = (-2.0, 2.0),
    max_dims: int = 3, max_side: int = 3,
) -> tuple[Any, ...]:  # fmt: skip
    """Return a strategy for `count` arrays of one dtype whose shapes broadcast together; no two entries are close.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> from hypothesis import find
    >>> a, b = find(tg.testing.broadcastable(2, max_dims=1), lambda pair: pair[0].shape != pair[1].shape)
    >>> (a + b).shape == np.broadcast_shapes(a.shape, b.shape)
    True
    """
    found = draw(_together(count, max_dims, max_side))
    dtype = draw(st.sampled_from(FLOATS)) if dtype is None else _drawn(draw, dtype)
    return tuple(_filled(draw, found.input_shapes, dtype, domain))


def _together(count: int, max_dims: int = 3, max_side: int = 3, min_side: int = 0) -> Any:
    return npst.mutually_broadcastable_shapes(num_shapes=count, max_dims=max_dims, min_side=min_side, max_side=max_side)


def axes(ndim: int) -> st.SearchStrategy[Any]:
    """Return a strategy for values of `axis=`: None, one axis, or a tuple of axes, counted from either end.

    >>> import tinygrad_nn as tg
    >>> from hypothesis import find
    >>> find(tg.testing.axes(2), lambda axis: axis == -1)
    -1
    """
    one = [st.integers(-ndim, ndim - 1)] if ndim else []
    return st.one_of(st.none(), npst.valid_tuple_axes(ndim), *one)


def indices(shape: Shape) -> st.SearchStrategy[Any]:
    """Return a strategy for indices into an array of this shape: basic ones, integer arrays, masks, and mixtures.

    >>> import tinygrad_nn as tg
    >>> from hypothesis import find
    >>> find(tg.testing.indices((3,)), lambda index: isinstance(index, slice) and index.step == -1).step
    -1
    """
    kinds: list[Any] = [npst.basic_indices(shape, allow_newaxis=True, max_dims=5), npst.arrays(bool, shape)]
    if shape:
        kinds += [_mixtures(shape), npst.arrays(bool, shape[:1])]
        if 0 not in shape:
            kinds.append(npst.integer_array_indices(shape, result_shape=shapes()))
    return st.one_of(kinds).filter(lambda index: _fits(shape, index))


def _fits(shape: Shape, index: Any) -> bool:
    """Return False for masks and integer arrays that don't broadcast together."""
    try:
        np.empty(shape)[index]
    except IndexError:
        return False
    return True


@st.composite
def _mixtures(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """Return a tuple of slices, integers, integer arrays, masks of one axis, None and Ellipsis."""
    stretched = draw(_together(len(shape), 2, min_side=1)).input_shapes
    chosen = draw(st.integers(0, len(shape)))
    parts: list[Any] = []
    masked = False
    for n, result in zip(shape[:chosen], stretched):
        kinds: list[Any] = [st.slices(n)]
        if n:
            kinds += [st.integers(-n, n - 1), npst.arrays(np.int64, result, elements=st.integers(-n, n - 1))]
        if not masked:
            kinds.append(npst.arrays(bool, n))
        part = draw(st.one_of(kinds))
        masked = masked or (isinstance(part, np.ndarray) and part.dtype == bool)
        parts.append(part)
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if draw(st.booleans()):
        position = draw(st.sampled_from([0, len(parts)])) if chosen == len(shape) else len(parts)
        parts.insert(position, Ellipsis)
    return tuple(parts)


@st.composite
def points(draw: st.DrawFn, operation: Any, dtype: Any = "float64") -> tuple[Any, ...]:
    """Return a strategy for operands of a pointwise operation, in its domain and away from its declared kinks.

    The shapes of two operands broadcast together. Raises ValueError if the operation is not pointwise.

    >>> import tinygrad_nn as tg
    >>> from hypothesis import find
    >>> [x.ndim for x in find(tg.testing.points(tg.exp), lambda operands: operands[0].ndim == 2)]
    [2]
    """
    op = operation_of(operation)
    if not op.pointwise:
        raise ValueError(
            f"operation {op.name!r} is not pointwise; draw its inputs by tg.testing.arrays or broadcastable"
        )
    together = draw(_together(len(op.arguments)))
    dtype = _drawn(draw, dtype)
    return tuple(_filled(draw, together.input_shapes, dtype, op.domain, list(op.kinks)))


@st.composite
def kink_points(draw: st.DrawFn, operation: Any) -> tuple[Any, ...]:
    """Return a strategy for operands exactly on a declared kink of an operation, and the gradients declared there.

    All operands have the same drawn shape; there is one gradient for each. Raises ValueError if the operation declares
    no kinks.

    >>> import tinygrad_nn as tg
    >>> from hypothesis import find
    >>> operands, gradients = find(tg.testing.kink_points(tg.abs), lambda drawn: drawn[0][0].size == 1)
    """
    op = operation_of(operation)
    if not op.kinks:
        raise ValueError(f"operation {op.name!r} declares no kinks; use tg.testing.points for operands away from kinks")
    key = draw(st.sampled_from(list(op.kinks)))
    slopes = op.kinks[key] if len(op.arguments) > 1 else (op.kinks[key],)
    among_entries = len(op.arguments) == 1 and np.ndim(key) == 1
    shape = np.shape(key) if among_entries else draw(shapes())
    inputs = [np.broadcast_to(x if among_entries else x.reshape(()), shape) for x in kink_inputs(op, key)]
    return tuple(inputs), tuple([np.broadcast_to(np.float64(slope), shape) for slope in slopes])


@st.composite
def architectures(
    draw: st.DrawFn, max_layers: int = 6, max_width: int = 12, activations: Sequence[str] = ("relu", "sigmoid"),
    last: str = "sigmoid",
) -> list[dict[str, Any]]:  # fmt: skip
    """Return a strategy for architectures of `tg.nn.DenseNetwork`: up to `max_layers` layers with activations.

    >>> import tinygrad_nn as tg
    >>> from hypothesis import find
    >>> find(tg.testing.architectures(max_layers=2), lambda layers: len(layers) == 2)[0]["input_dim"]
    1
    """
    depth = draw(st.integers(1, max_layers))
    widths = draw(st.lists(st.integers(1, max_width), min_size=depth + 1, max_size=depth + 1))
    hidden = draw(st.lists(st.sampled_from(list(activations)), min_size=depth - 1, max_size=depth - 1))
    steps = zip(widths[:-1], widths[1:], [*hidden, last], strict=True)
    return [{"input_dim": n, "output_dim": k, "activation": name} for n, k, name in steps]
