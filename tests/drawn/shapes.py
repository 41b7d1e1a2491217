"""Calls of the operations that move entries: shapes, joins, parts, indices, orders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tinygrad_nn.tensor.declaring import sample
from tinygrad_nn.testing import axes, indices, shapes

from .arrays import (
    Calls,
    Draw,
    along_one,
    masks,
    numbers,
    of_some_rank,
    one_axis,
    one_or_none,
    several,
    some,
    stretching,
)

# ---- shapes ----


@st.composite
def reshaped(draw: Draw, /, **parameters: Any) -> Any:
    shape = draw(shapes())
    lengths = list(draw(st.permutations(shape)))
    if draw(st.booleans()):
        lengths.insert(draw(st.integers(0, len(lengths))), 1)
    if len(lengths) > 1 and draw(st.booleans()):
        lengths[:2] = [lengths[0] * lengths[1]]
    if lengths and 0 not in lengths and draw(st.booleans()):
        lengths[draw(st.integers(0, len(lengths) - 1))] = -1
    return sample(shape, shape=tuple(lengths), **draw(some(**parameters)))


@st.composite
def permuted(draw: Draw) -> Any:
    shape = draw(st.one_of(shapes(3, min_side=1), shapes()))
    n = len(shape)
    order = tuple([a - n * draw(st.booleans()) for a in draw(st.permutations(range(n)))])
    return sample(shape, axes=draw(st.sampled_from([order, None])))


@st.composite
def two_axes(draw: Draw, /, first: str, second: str, differ: bool = False, min_side: int = 0, **parameters: Any) -> Any:
    shape = draw(shapes(2 if differ else 1, min_side=min_side))
    a, b = draw(one_axis(shape)), draw(one_axis(shape))
    assume(not differ or (a - b) % len(shape))
    return sample(shape, **{first: a, second: b}, **draw(some(**parameters)))


@st.composite
def moved_axes(draw: Draw) -> Any:
    shape = draw(shapes(1))
    count = draw(st.integers(1, len(shape)))
    source, destination = [tuple(draw(st.permutations(range(len(shape)))))[:count] for _ in "ab"]
    return sample(shape, source=tuple(a - len(shape) for a in source), destination=destination)


@st.composite
def rolled_axis(draw: Draw) -> Any:
    shape = draw(shapes(1))
    return sample(shape, axis=draw(one_axis(shape)), **draw(some(start=st.integers(-len(shape), len(shape)))))


@st.composite
def expanded(draw: Draw) -> Any:
    shape = draw(shapes())
    return sample(shape, axis=draw(npst.valid_tuple_axes(len(shape) + 1, min_size=1, max_size=1)))


@st.composite
def squeezed(draw: Draw) -> Any:
    shape = draw(shapes(max_side=2))
    ones = [a for a, n in enumerate(shape) if n == 1]
    return sample(shape, **draw(some(axis=st.sampled_from([*ones, tuple(ones), *[a - len(shape) for a in ones]]))))


@st.composite
def stretched(draw: Draw) -> Any:
    found = draw(npst.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3))
    return sample(found.input_shapes[0], shape=found.result_shape)


@st.composite
def meshed(draw: Draw) -> Any:
    inputs = draw(st.lists(shapes(0, 1), min_size=1, max_size=3))
    return sample(*inputs, **draw(some(sparse=st.booleans(), indexing=st.sampled_from(["xy", "ij"]))))


@st.composite
def resized(draw: Draw) -> Any:
    return sample(draw(shapes()), new_shape=draw(shapes()))


@st.composite
def rotated(draw: Draw) -> Any:
    (shape,), planes = draw(two_axes("a", "b", differ=True))
    return sample(shape, k=draw(st.integers(-3, 5)), axes=tuple(planes.values()))


@st.composite
def rolled(draw: Draw) -> Any:
    shape = draw(shapes())
    shift = draw(st.integers(-4, 4))
    if not shape or draw(st.booleans()):
        return sample(shape, shift=shift)
    several = draw(st.lists(one_axis(shape), min_size=1, max_size=3).map(tuple))
    shifts = tuple(draw(st.lists(st.integers(-4, 4), min_size=len(several), max_size=len(several))))
    return sample(shape, shift=draw(st.sampled_from([shift, shifts])), axis=several)


@st.composite
def shifted_axes(draw: Draw) -> Any:
    shape = draw(shapes(1))
    return sample(shape, **draw(some(axes=axes(len(shape)))))


@st.composite
def flipped(draw: Draw) -> Any:
    shape = draw(shapes())
    return sample(shape, **draw(some(axis=axes(len(shape)))))


@st.composite
def repeated(draw: Draw) -> Any:
    shape = draw(shapes())
    axis = draw(one_or_none(shape))
    length = math.prod(shape) if axis is None else shape[axis]
    counts = npst.arrays(np.int64, length, elements=st.integers(0, 2))
    return sample(shape, repeats=draw(st.one_of(st.integers(0, 2), counts)), axis=axis)


@st.composite
def tiled(draw: Draw) -> Any:
    reps = st.lists(st.integers(0, 2), max_size=4).map(tuple)
    return sample(draw(shapes()), reps=draw(st.one_of(reps, st.integers(0, 3))))


PADS_BY: dict[str, dict[str, Any]] = {
    "constant": {"constant_values": st.sampled_from([0.0, 1.5, (1.0, 2.0)])},
    "edge": {}, "wrap": {},
    "reflect": {"reflect_type": st.sampled_from(["even", "odd"])},
    "symmetric": {"reflect_type": st.sampled_from(["even", "odd"])},
    "linear_ramp": {"end_values": st.sampled_from([0.0, -1.5, (1.0, 2.0)])},
    **{mode: {"stat_length": st.integers(1, 4)} for mode in ("mean", "median", "maximum", "minimum")},
}  # fmt: skip


@st.composite
def padded(draw: Draw) -> Any:
    mode = draw(st.sampled_from(list(PADS_BY)))
    shape = draw(shapes(1, 2, min_side=1))
    each = st.tuples(st.integers(0, 4), st.integers(0, 4))
    width = draw(st.one_of(st.integers(0, 2), each, st.tuples(*[each] * len(shape))))
    return sample(shape, pad_width=width, mode=mode, **draw(some(**PADS_BY[mode])))


@st.composite
def vandermonde(draw: Draw) -> Any:
    return sample(draw(shapes(1, 1)), **draw(some(N=st.integers(0, 4), increasing=st.booleans())))


# ---- joins and parts ----


@st.composite
def joined(draw: Draw, /, axis: bool = True, whole: bool = False) -> Any:
    """Return arrays that differ in one axis only."""
    shape, count = draw(shapes(1, min_side=0)), draw(st.integers(1, 3))
    if whole and draw(st.booleans()):
        return sample(draw(st.lists(shapes(), min_size=1, max_size=3)), axis=None)
    a = draw(one_axis(shape)) if axis else 0
    lengths = [draw(st.integers(0, 3)) for _ in range(count)]
    pieces = [tuple(n if i == a % len(shape) else m for i, m in enumerate(shape)) for n in lengths]
    return sample(pieces, **{"axis": a} if axis else {})


@st.composite
def stacked(draw: Draw) -> Any:
    shape = draw(shapes())
    return sample([shape] * draw(st.integers(1, 3)), **draw(some(axis=st.integers(-len(shape) - 1, len(shape)))))


@st.composite
def alike(draw: Draw, /, min_dims: int = 0, max_dims: int = 2, lead: int = 0) -> Any:
    """Return arrays of one shape, of which one axis may differ from array to array, for hstack and its like."""
    shape = draw(shapes(min_dims, max_dims))
    lengths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    if len(shape) <= lead:
        return sample([shape] * len(lengths))
    return sample([(*shape[:lead], n, *shape[lead + 1 :]) for n in lengths])


@st.composite
def appended(draw: Draw) -> Any:
    if draw(st.booleans()):
        return sample(draw(shapes()), draw(shapes()))
    ((a, *rest),), parameters = draw(joined())
    return sample(a, rest[0] if rest else a, **parameters)


@st.composite
def inserted(draw: Draw) -> Any:
    shape = draw(shapes())
    axis = draw(one_or_none(shape))
    length = math.prod(shape) if axis is None else shape[axis]
    places = st.integers(-length, length)
    kind = draw(st.sampled_from(["one", "several", "slice"]))
    if kind == "one":
        place: Any = draw(places)
        rest = () if axis is None else tuple(n for a, n in enumerate(shape) if a != axis % len(shape))
    else:
        place = np.array(draw(st.lists(places, min_size=2, max_size=3))) if kind == "several" else slice(0, length, 2)
        count = len(place) if kind == "several" else len(range(*place.indices(length)))
        full = () if axis is None else shape
        rest = (count,) if axis is None else tuple(count if a == axis % len(shape) else n for a, n in enumerate(full))
    values = draw(st.sampled_from([rest, ()]))
    return sample(shape, place, values, axis=axis)


@st.composite
def deleted(draw: Draw) -> Any:
    shape = draw(shapes())
    axis = draw(one_or_none(shape))
    length = math.prod(shape) if axis is None else shape[axis]
    kinds: list[Any] = [st.slices(length), masks((length,))]
    if length:
        kinds += [st.integers(-length, length - 1), st.lists(st.integers(-length, length - 1), max_size=3)]
    return sample(shape, obj=draw(st.one_of(kinds)), axis=axis)


@st.composite
def divided(draw: Draw, /, dims: int = 1, axis: int | None = None, uneven: bool = False) -> Any:
    """Return a shape cut into sections, or at indices; along a drawn axis unless one is given."""
    shape = draw(shapes(dims, 3))
    along = draw(one_axis(shape)) if axis is None else min(axis, len(shape) - 1)
    divisors = [k for k in range(1, 4) if uneven or shape[along] % k == 0]
    cuts = st.lists(st.integers(0, 4), max_size=3).map(sorted)
    return sample(shape, draw(st.one_of(st.sampled_from(divisors), cuts)), **{"axis": along} if axis is None else {})


# ---- indices ----


@st.composite
def indexed(draw: Draw) -> Any:
    shape = draw(shapes())
    return sample(shape, index=draw(indices(shape)))


@st.composite
def scattered(draw: Draw) -> Any:
    (shape,), parameters = draw(indexed())
    return sample(np.empty(shape)[parameters["index"]].shape, shape=shape, **parameters)


@st.composite
def assigned(draw: Draw) -> Any:
    (shape,), parameters = draw(indexed())
    place = np.empty(shape)[parameters["index"]].shape
    value = tuple(1 if draw(st.booleans()) else n for n in place)[draw(st.integers(0, len(place))) :]
    return sample(shape, value, **parameters)


@st.composite
def taken(draw: Draw) -> Any:
    shape = draw(shapes())
    axis = draw(one_or_none(shape))
    length = math.prod(shape) if axis is None else shape[axis]
    mode = draw(st.sampled_from(["raise", "wrap", "clip"]))
    bound = length if mode == "raise" else 3 * length + 1
    if length == 0:
        return sample(shape, indices=np.zeros((0,), int), axis=axis)
    places = npst.arrays(np.int64, shapes(0, 2), elements=st.integers(-bound, bound - 1))
    return sample(shape, indices=draw(places), axis=axis, mode=mode)


@st.composite
def taken_along(draw: Draw) -> Any:
    shape = draw(shapes(1, min_side=1))
    axis = draw(one_or_none(shape))
    if axis is None:
        shape = (math.prod(shape),)
    count = draw(st.integers(0, 4))
    along = 0 if axis is None else axis % len(shape)
    places = tuple(count if a == along else draw(st.sampled_from([n, 1])) for a, n in enumerate(shape))
    n = shape[along]
    return sample(shape, indices=draw(npst.arrays(np.int64, places, elements=st.integers(-n, n - 1))), axis=axis)


@st.composite
def compressed(draw: Draw) -> Any:
    shape = draw(shapes())
    axis = draw(one_or_none(shape))
    length = math.prod(shape) if axis is None else shape[axis]
    return sample(draw(masks((draw(st.integers(0, length)),))), shape, axis=axis)


@st.composite
def extracted(draw: Draw) -> Any:
    shape = draw(shapes())
    return sample(draw(masks(shape)), shape)


@st.composite
def selected(draw: Draw) -> Any:
    count = draw(st.integers(1, 3))
    found = draw(stretching(count=2 * count))
    conditions = [draw(masks(shape)) for shape in found[:count]]
    return sample(conditions, found[count:], **draw(some(default=st.sampled_from([0.5, -1.0]))))


@st.composite
def chosen(draw: Draw) -> Any:
    count = draw(st.integers(1, 3))
    shape, *choices = draw(stretching(count=count + 1))
    mode = draw(st.sampled_from(["raise", "wrap", "clip"]))
    bounds = (0, count - 1) if mode == "raise" else (-4, 5)
    return sample(draw(npst.arrays(np.int64, shape, elements=st.integers(*bounds))), choices, mode=mode)


@st.composite
def by_pieces(draw: Draw) -> Any:
    shape = draw(shapes(1))
    conditions = [draw(masks(shape)) for _ in range(draw(st.integers(1, 3)))]
    pieces = [np.exp, np.sin, lambda x: x * x, 1.5]
    functions = draw(st.lists(st.sampled_from(pieces), min_size=len(conditions), max_size=len(conditions) + 1))
    return sample(shape, condlist=conditions, funclist=functions)


@st.composite
def trimmed(draw: Draw) -> Any:
    x = draw(numbers(draw(shapes(1, 1)))) * 1
    kept = draw(masks(x.shape))
    assume(kept.all())  # a zero that is trimmed has no differences: its neighbours stay
    return sample(x, **draw(some(trim=st.sampled_from(["f", "b", "fb"]))))


# ---- orders ----


@st.composite
def partitioned(draw: Draw) -> Any:
    (shape,), parameters = draw(along_one(min_side=1, none=True))
    axis = parameters.get("axis", -1)
    n = math.prod(shape) if axis is None else shape[axis]
    places = draw(st.permutations(range(n)))[: max(1, n - 1)]  # so that all entries have one order
    return sample(shape, kth=tuple(k - n * draw(st.booleans()) for k in places), **parameters)


@st.composite
def largest_few(draw: Draw) -> Any:
    (shape,), parameters = draw(along_one(largest=st.booleans()))
    return sample(shape, k=draw(st.integers(0, shape[parameters.get("axis", -1)])), **parameters)


@st.composite
def searched(draw: Draw) -> Any:
    places = np.sort(draw(numbers(draw(shapes(1, 1)))))
    return sample(places, draw(numbers(draw(shapes()))), **draw(some(side=st.sampled_from(["left", "right"]))))


@st.composite
def binned(draw: Draw) -> Any:
    bins = np.sort(draw(numbers(draw(shapes(1, 1, min_side=1)))))[:: draw(st.sampled_from([1, -1]))]
    return sample(draw(numbers(draw(shapes()))), bins, **draw(some(right=st.booleans())))


@st.composite
def shared(draw: Draw) -> Any:
    shape = draw(shapes(1))
    return sample(shape, sorted=np.sort(draw(npst.arrays(np.int64, shape, elements=st.integers(0, 2)))))


MATRIX = of_some_rank(2)

CALLS: dict[str, Calls] = {
    # shapes
    "reshape_to": reshaped(),
    "reshape": reshaped(order=st.sampled_from(["C", "F"])),
    **dict.fromkeys(["ravel", "flatten"], of_some_rank(order=st.sampled_from(["C", "F"]))),
    **dict.fromkeys(["permute", "transpose"], permuted()),
    "swapaxes": two_axes("axis1", "axis2"),
    "moveaxis": moved_axes(),
    "rollaxis": rolled_axis(),
    "expand_dims": expanded(),
    "squeeze": squeezed(),
    "broadcast_to": stretched(),
    **dict.fromkeys(["atleast_1d", "atleast_2d", "atleast_3d"], several(st.lists(shapes(), min_size=1, max_size=3))),
    "broadcast_arrays": several(stretching(count=3)),
    "meshgrid": meshed(),
    "resize": resized(),
    "repeat": repeated(),
    "tile": tiled(),
    "roll": rolled(),
    **dict.fromkeys(["fftshift", "ifftshift"], shifted_axes()),
    "flip": flipped(),
    "fliplr": MATRIX,
    "flipud": of_some_rank(1),
    "rot90": rotated(),
    **dict.fromkeys(["tril", "triu"], of_some_rank(1, k=st.integers(-3, 3))),
    **dict.fromkeys(["diagonal", "trace"], two_axes("axis1", "axis2", differ=True, offset=st.integers(-3, 3))),
    **dict.fromkeys(["linalg_diagonal", "linalg_trace"], of_some_rank(2, offset=st.integers(-3, 3))),
    "diag": of_some_rank(1, 2, k=st.integers(-3, 3)),
    "diagflat": of_some_rank(0, 2, k=st.integers(-2, 2)),
    "vander": vandermonde(),
    "pad": padded(),
    "matrix_transpose": MATRIX,
    # joins and parts
    "join": joined(),
    "concatenate": joined(whole=True),
    "stack": stacked(),
    "hstack": alike(2, 3, lead=1),
    "vstack": alike(2, 3),
    "dstack": alike(3, 3, lead=2),
    "column_stack": alike(2, 2, lead=1),
    "block": alike(1, 2).map(lambda call: sample([(*shape[1:], shape[0]) for shape in call[0][0]])),
    "append": appended(),
    "insert": inserted(),
    "delete": deleted(),
    "unstack": along_one(min_side=1),
    "split": divided(),
    "array_split": divided(uneven=True),
    "hsplit": divided(axis=1),
    "vsplit": divided(2, axis=0),
    "dsplit": divided(3, axis=2),
    # indices
    "getitem": indexed(),
    "scatter_add": scattered(),
    "set_at": assigned(),
    "take": taken(),
    "take_along_axis": taken_along(),
    "compress": compressed(),
    "extract": extracted(),
    "select": selected(),
    "choose": chosen(),
    "piecewise": by_pieces(),
    "trim_zeros": trimmed(),
    **dict.fromkeys(["nonzero", "argwhere"], of_some_rank(1)),
    "flatnonzero": of_some_rank(),
    # orders
    **dict.fromkeys(["sort", "argsort"], along_one(none=True)),
    **dict.fromkeys(["partition", "argpartition"], partitioned()),
    "topk": largest_few(),
    "searchsorted": searched(),
    "digitize": binned(),
    "share": shared(),
}  # fmt: skip
