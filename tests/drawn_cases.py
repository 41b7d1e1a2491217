"""For every operation, the calls that Hypothesis may draw: shapes, axes, indices and parameters.

`CALLS` is the table. A call is a `sample(...)`: positional inputs, where a tuple stands for an array of that
shape with distinct numbers of the operation's domain, and parameters. All numbers lie away from kinks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from references import REFERENCES, function_of, of_symmetric_part, reads_a_triangle

from tinygrad_nn.operation import OPERATIONS, sample
from tinygrad_nn.ops.windows import Windows
from tinygrad_nn.testing import Case, axes, indices, numpy_functions, shapes, signed
from tinygrad_nn.testing.case import build
from tinygrad_nn.testing.numerical import distinct, slopes

Draw = st.DrawFn
Calls = st.SearchStrategy[Any]
Shape = tuple[int, ...]


@st.composite
def cases(draw: Draw, /, name: str, dtype: str = "float64") -> Case:
    """Return a case of one operation, of a drawn call, with numbers that are drawn from a seed."""
    inputs, parameters = draw(CALLS[name])
    function = function_of(name)
    reference = None if numpy_functions(function) else REFERENCES.get(name)
    seed = draw(st.integers(0, 2**16))
    case = replace(build(name, function, inputs, parameters, f"seed {seed}", reference), drawn=True)
    if reads_a_triangle(case):
        case = replace(case, call=of_symmetric_part(case.call))
    assume(name not in KINKED or not near_a_kink(case))
    return case.astype(dtype)


def near_a_kink(case: Case) -> bool:
    """Return whether a value or a derivative jumps within reach of the central differences."""
    step = 4 * case.accuracy[0]
    if any(case.slopes(i, step).kinked.any() for i in case.active):
        return True
    rng = np.random.default_rng(0)
    for _ in range(4):
        along = {i: signed(rng, case.leaves[i].shape) for i in case.active}

        def moved(by: Any, along: dict[int, Any] = along) -> float:
            return case.weighed([x + by * along[i] if i in along else x for i, x in enumerate(case.leaves)])

        if slopes(lambda by: moved(by[0]), [np.array(0.0)], 0, step).kinked:
            return True
    return False


# ---- numbers ----


def numbers(shape: Shape, low: float = -2.0, high: float = 2.0, kinks: Sequence[float] = ()) -> Calls:
    """Return a strategy for arrays of distinct numbers between two bounds, away from kinks."""
    size = math.prod(shape)
    seeds = st.integers(0, 2**16)
    return seeds.map(lambda seed: np.array(list(distinct(seed, size, (low, high), kinks))).reshape(shape))


@st.composite
def rotation(draw: Draw, /, batch: Shape, n: int) -> Any:
    """Return orthogonal matrices."""
    return np.linalg.qr(draw(numbers((*batch, n, n))) + 3 * np.eye(n))[0]


@st.composite
def spectral(draw: Draw, /, batch: Shape, m: int, n: int, symmetric: bool = False, low: float = 0.6) -> Any:
    """Return matrices whose singular values, eigenvalues of symmetric ones, are all distinct, and none small."""
    k = min(m, n)
    values = draw(numbers((*batch, k), low, 2.5))
    left = draw(rotation(batch, m))[..., :k]
    right = left if symmetric else draw(rotation(batch, n))[..., :k]
    found = (left * values[..., None, :]) @ right.mT
    return (found + found.mT) / 2 if symmetric else found


def masks(shape: Shape) -> st.SearchStrategy[Any]:
    return npst.arrays(bool, shape)


def some(**parameters: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for any of these parameters; what is left out has its default."""
    return st.fixed_dictionaries({}, optional=parameters)


@st.composite
def stretching(draw: Draw, /, count: int = 2, max_dims: int = 3, min_side: int = 0) -> list[Shape]:
    """Return shapes that broadcast together."""
    found = npst.mutually_broadcastable_shapes(num_shapes=count, max_dims=max_dims, min_side=min_side, max_side=3)
    return list(draw(found).input_shapes)


@st.composite
def matching(draw: Draw, /, signature: str, min_side: int = 0, max_dims: int = 2) -> list[Shape]:
    """Return shapes for a generalised ufunc's signature, whose batches broadcast together."""
    found = npst.mutually_broadcastable_shapes(signature=signature, max_dims=max_dims, min_side=min_side, max_side=3)
    return list(draw(found).input_shapes)


def one_axis(shape: Shape) -> st.SearchStrategy[int]:
    return st.integers(-len(shape), len(shape) - 1)


def one_or_none(shape: Shape) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), one_axis(shape)) if shape else st.none()


DTYPES = st.sampled_from(["float32", "float64"])


# ---- entry by entry ----


@st.composite
def pointwise(draw: Draw, /, count: int, **parameters: Any) -> Any:
    """Return shapes that broadcast together, or a shape and a number, and any of the parameters."""
    return sample(*draw(stretching(count=count)), **draw(some(**parameters)))


@st.composite
def bessel(draw: Draw) -> Any:
    kind = draw(st.sampled_from("jyi"))
    return sample(draw(numbers(draw(shapes()), 0.4 if kind == "y" else -2, 4)), kind=kind, n=draw(st.integers(0, 3)))


@st.composite
def conditional(draw: Draw) -> Any:
    condition, *others = draw(stretching(count=3))
    return sample(draw(masks(condition)), *others)


@st.composite
def scaled_by_powers(draw: Draw) -> Any:
    a, b = draw(stretching())
    return sample(a, draw(npst.arrays(np.int64, b, elements=st.integers(-3, 3))))


@st.composite
def clipped(draw: Draw) -> Any:
    shape, low, high = draw(stretching(count=3))
    bounds = draw(numbers(low, -1, 0)), draw(numbers(high, 0.2, 1))
    spelled = draw(st.sampled_from(["arrays", "numbers", "low", "high", "keyword"]))
    if spelled == "arrays":
        return sample(shape, *bounds)
    if spelled == "keyword":
        return sample(shape, **draw(st.sampled_from([{"min": -0.3}, {"max": 0.4}, {"min": -0.3, "max": 0.4}])))
    return sample(shape, *{"numbers": (-0.3, 0.4), "low": (-0.3, None), "high": (None, 0.4)}[spelled])


@st.composite
def with_nan(draw: Draw, /, strategy: Calls) -> Any:
    """Return a call whose first input has nan in some places, but in no row in all of them."""
    (shape, *rest), parameters = draw(strategy)
    x = draw(numbers(shape))
    kept = True if parameters.get("axis") == () else draw(leaving_some(shape))
    return sample(np.where(kept, x, np.nan), *rest, **parameters)


@st.composite
def replaced_nan(draw: Draw) -> Any:
    x = draw(numbers(draw(shapes())))
    odd = draw(npst.arrays(np.int64, x.shape, elements=st.integers(0, 7)))
    x = np.select([odd == 1, odd == 2, odd == 3], [np.nan, np.inf, -np.inf], x)
    number = st.sampled_from([-1.0, 0.5, 3.0])
    given = draw(some(nan=number)) | {"posinf": draw(number), "neginf": draw(number)}
    return sample(x, **given)  # the largest finite number, which is the default, has no differences


@st.composite
def counted(draw: Draw) -> Any:
    n = draw(st.integers(1, 5))
    places = draw(npst.arrays(np.int64, n, elements=st.integers(0, 4)))
    return sample(places, (n,), **draw(some(minlength=st.integers(0, 6))))


# ---- reductions ----


@st.composite
def reduced(draw: Draw, /, min_side: int = 0, **parameters: Any) -> Any:
    """Return a shape with axes to reduce, and any of the parameters: a strategy, or one for a shape."""
    shape = draw(shapes(min_side=min_side))
    given = {"axis": axes(len(shape)), "keepdims": st.booleans()} | parameters
    return sample(shape, **draw(some(**{k: v(shape) if callable(v) else v for k, v in given.items()})))


def leaving(shape: Shape) -> st.SearchStrategy[Any]:
    """Return a strategy for a `where`: a mask of this shape or of its last axis, which leaves out some entries."""
    return st.one_of(masks(shape), masks(shape[-1:]), st.booleans())


def leaving_some(shape: Shape) -> st.SearchStrategy[Any]:
    """Return a strategy for a `where` that leaves two entries or more in each row along any axis."""
    first_two = np.logical_or.reduce(np.indices(shape) < 2) if shape else True
    return masks(shape).map(lambda mask: mask | first_two)


@st.composite
def averages(draw: Draw, /, min_side: int = 1, **parameters: Any) -> Any:
    """Return a reduction that leaves entries out, but in no row all of them."""
    (shape,), given = draw(reduced(min_side, where=leaving_some, dtype=DTYPES, **parameters))
    if given.get("axis") == ():
        given.pop("where", None)
    return sample(shape, **given)


@st.composite
def extreme(draw: Draw) -> Any:
    """Return a reduction to the largest or smallest; with a mask or of size 0 only beside an initial value."""
    if draw(st.booleans()):
        return draw(reduced(1))
    (shape,), parameters = draw(reduced(where=leaving))
    return sample(shape, initial=draw(st.sampled_from([-9.0, 0.37, 9.0])), **parameters)


@st.composite
def spread_out(draw: Draw) -> Any:
    """Return a variance: of two entries at least along each axis, so that ddof=1 leaves one."""
    more = draw(st.sampled_from(["ddof", "correction", "mean", "none"]))
    (shape,), parameters = draw(averages(2))
    if shape == () or parameters.get("axis") == ():
        parameters.pop("dtype", None)
    elif more in ("ddof", "correction"):
        parameters[more] = draw(st.sampled_from([0, 1, 0.5]))
    if more == "mean":
        parameters["mean"] = 0.25
    return sample(shape, **parameters)


@st.composite
def along_one(draw: Draw, /, min_dims: int = 1, min_side: int = 0, none: bool = False, **parameters: Any) -> Any:
    """Return a shape with one axis, or None where that is allowed."""
    shape = draw(shapes(min_dims, min_side=min_side))
    given = {"axis": one_or_none(shape) if none else one_axis(shape)} if shape else {}
    return sample(shape, **draw(some(**given, **parameters)))


@st.composite
def shares(draw: Draw) -> Any:
    """Return a shape with one axis or several, along which its shares sum to 1."""
    shape = draw(shapes(min_side=1))
    several = npst.valid_tuple_axes(len(shape))
    return sample(shape, axis=draw(st.one_of(one_axis(shape), several) if shape else several))


@st.composite
def of_some_rank(draw: Draw, /, min_dims: int = 0, max_dims: int = 3, min_side: int = 0, **parameters: Any) -> Any:
    return sample(draw(shapes(min_dims, max_dims, min_side=min_side)), **draw(some(**parameters)))


LEVELS = [0.0, 0.13, 0.4, 0.5, 0.77, 1.0]
METHODS = [
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
    "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
]  # fmt: skip


@st.composite
def at_quantiles(draw: Draw, /, scale: float, max_dims: int = 2) -> Any:
    (shape,), parameters = draw(reduced(1, method=st.sampled_from(METHODS)))
    q = draw(
        npst.arrays(
            np.float64,
            draw(shapes(0, max_dims, min_side=1)),
            elements=st.sampled_from([0.0, 0.13, 0.4, 0.5, 0.77, 1.0]),
        )
    )
    return sample(shape, q=q * scale, **parameters)


@st.composite
def averaged(draw: Draw) -> Any:
    shape = draw(shapes(min_side=1))
    axis = draw(axes(len(shape)))
    kept = range(len(shape)) if axis is None else np.atleast_1d(np.array(axis, int))
    weights = draw(numbers(tuple(shape[a] for a in kept) if len(kept) == 1 else shape, 0.5, 2))
    given = draw(some(keepdims=st.booleans(), weights=st.just(weights)))
    return sample(shape, axis=axis, **given)


@st.composite
def covariance(draw: Draw, /, second: bool = False, **parameters: Any) -> Any:
    rows, columns = draw(st.integers(2, 3)), draw(st.integers(3, 4))
    given = draw(some(**parameters))
    inputs = [(rows, columns)]
    if second and draw(st.booleans()):
        inputs.append((rows, columns))
    return sample(*inputs, **given)


@st.composite
def weighed_covariance(draw: Draw) -> Any:
    inputs, parameters = draw(covariance(True, rowvar=st.booleans(), bias=st.booleans(), ddof=st.integers(0, 1)))
    n = inputs[0][1] if parameters.get("rowvar", True) else inputs[0][0]
    weights = draw(some(fweights=npst.arrays(np.int64, n, elements=st.integers(1, 3)), aweights=numbers((n,), 0.5, 2)))
    return sample(*inputs, **parameters | weights)


# ---- running, differences ----


@st.composite
def differences(draw: Draw) -> Any:
    shape = draw(shapes(1))
    axis = draw(one_axis(shape))
    return sample(shape, n=draw(st.integers(0, 2)), axis=axis)


@st.composite
def slopes_along(draw: Draw) -> Any:
    shape = draw(shapes(1, min_side=3, max_side=4, max_dims=2))
    axis = draw(st.one_of(st.none(), one_axis(shape)))
    spacings: list[Any] = draw(st.sampled_from([[], [0.5]]))
    if axis is not None and draw(st.booleans()):
        spacings = [np.cumsum(draw(numbers((shape[axis],), 0.5, 1.5)))]
    return sample(shape, *spacings, axis=axis, **draw(some(edge_order=st.sampled_from([1, 2]))))


@st.composite
def integrated(draw: Draw) -> Any:
    shape = draw(shapes(1))
    axis = draw(one_axis(shape))
    kind = draw(st.sampled_from(["spacing", "points of the axis", "points"]))
    if kind == "points":
        return sample(shape, shape, axis=axis)
    if kind == "points of the axis":
        return sample(shape, (shape[axis],), axis=axis)
    return sample(shape, axis=axis, **draw(some(dx=st.sampled_from([0.5, 2.0]))))


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
def several(draw: Draw, /, strategy: Any) -> Any:
    """Return a call on several arrays of the shapes that are drawn."""
    return sample(*draw(strategy))


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
    one = st.integers(-n, n - 1)
    two = st.tuples(one, one).filter(lambda pair: (pair[0] - pair[1]) % n)
    x, kth = draw(numbers(shape)), draw(st.one_of(one, two) if n > 1 else one)
    for y in (x, x.astype(np.float32)):  # what lies beside the kth has any order; NumPy's two functions may differ
        assume(np.array_equal(np.take_along_axis(y, np.argpartition(y, kth, axis), axis), np.partition(y, kth, axis)))
    return sample(x, kth=kth, **parameters)


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


# ---- linear algebra ----


@st.composite
def square(draw: Draw, /, min_side: int = 0, **parameters: Any) -> Any:
    (shape,) = draw(matching("(n,n)->()", min_side))
    return sample(shape, **draw(some(**parameters)))


@st.composite
def regular(draw: Draw, /, symmetric: bool = False, **parameters: Any) -> Any:
    """Return square matrices of full rank: symmetric and positive definite ones, if asked for."""
    *batch, n, _ = draw(matching("(n,n)->()"))[0]
    return sample(draw(spectral(tuple(batch), n, n, symmetric)), **draw(some(**parameters)))


@st.composite
def of_full_rank(draw: Draw, /, **parameters: Any) -> Any:
    """Return matrices of full rank, of any shape."""
    *batch, m, n = draw(matching("(m,n)->()"))[0]
    return sample(draw(spectral(tuple(batch), m, n)), **draw(some(**parameters)))


@st.composite
def system(draw: Draw, /, signature: str = "(n,n),(n,k)->(n,k)", min_side: int = 0) -> Any:
    a, b = draw(matching(signature, min_side))
    return sample(draw(spectral(a[:-2], a[-1], a[-1])), b)


@st.composite
def fitted(draw: Draw, /, vector: bool = True) -> Any:
    m, n = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    right = (m,) if vector and draw(st.booleans()) else (m, draw(st.integers(1, 2)))
    return sample(draw(spectral((), m, n)), right, **draw(some(rcond=st.just(1e-10))))


@st.composite
def tensor_system(draw: Draw) -> Any:
    rows, columns = draw(st.sampled_from([((2, 3), (6,)), ((2, 2), (2, 2)), ((3,), (3,)), ((), ()), ((6,), (3, 2))]))
    n = math.prod(rows)
    return sample(draw(spectral((), n, n)).reshape(rows + columns), rows)


@st.composite
def tensor_inverse(draw: Draw) -> Any:
    rows, columns = draw(st.sampled_from([((2, 3), (6,)), ((2, 2), (2, 2)), ((3,), (3,)), ((6,), (3, 2))]))
    n = math.prod(rows)
    return sample(draw(spectral((), n, n)).reshape(rows + columns), ind=len(rows))


@st.composite
def singular_values(draw: Draw) -> Any:
    if draw(st.booleans()):
        return draw(regular(True, hermitian=st.just(True), compute_uv=st.booleans()))
    inputs, parameters = draw(of_full_rank(compute_uv=st.booleans()))
    return sample(*inputs, full_matrices=False, **parameters)


@st.composite
def pseudo_inverted(draw: Draw) -> Any:
    if draw(st.booleans()):
        return draw(regular(True, hermitian=st.just(True)))
    return draw(of_full_rank(rcond=st.sampled_from([1e-10, 1e-3])))


ORDERS: dict[int, list[Any]] = {
    1: [None, 1, 2, 3, 0.5, 1.5, -1, -2, np.inf, -np.inf],
    2: [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf],
}


@st.composite
def normed(draw: Draw) -> Any:
    """Return norms of vectors and matrices along axes, and of everything."""
    axes_count = draw(st.sampled_from([0, 1, 2]))
    if axes_count == 0:
        return sample(draw(shapes(min_side=1)), **draw(some(keepdims=st.booleans())))
    shape = draw(shapes(axes_count, 3, min_side=1))
    chosen = tuple(a - len(shape) * draw(st.booleans()) for a in draw(st.permutations(range(len(shape)))))[:axes_count]
    axis: Any = chosen if axes_count == 2 else draw(st.sampled_from([chosen, chosen[0]]))
    x, order = draw(numbers(shape, kinks=[0])), draw(st.sampled_from(ORDERS[axes_count]))
    return sample(x, ord=order, axis=axis, **draw(some(keepdims=st.booleans())))


@st.composite
def vector_normed(draw: Draw) -> Any:
    (shape,), parameters = draw(reduced(1, ord=st.sampled_from([o for o in ORDERS[1] if o is not None])))
    return sample(draw(numbers(shape, kinks=[0])), **parameters)


@st.composite
def matrix_normed(draw: Draw) -> Any:
    orders = st.sampled_from([o for o in ORDERS[2] if o is not None])
    inputs, parameters = draw(of_full_rank(keepdims=st.booleans()))
    assume(inputs[0].size)
    return sample(*inputs, **parameters | draw(some(ord=orders)))


@st.composite
def conditioned(draw: Draw) -> Any:
    p = draw(st.sampled_from(ORDERS[2]))
    found = draw(of_full_rank() if p in (None, 2, -2) else regular())
    assume(found[0][0].size)
    return sample(*found[0], p=p)


@st.composite
def contracted(draw: Draw) -> Any:
    """Return two arrays that share the lengths of some axes, each counted from either end."""
    common, left, right = draw(shapes(0, 2)), draw(shapes(0, 1)), draw(shapes(0, 1))
    if draw(st.booleans()):
        return sample((*left, *common), (*common, *right), axes=len(common))
    of_a = [a - (len(left) + len(common)) * draw(st.booleans()) for a in range(len(left), len(left) + len(common))]
    return sample((*left, *common), (*common, *right), axes=(tuple(of_a), tuple(range(len(common)))))


@st.composite
def dotted(draw: Draw) -> Any:
    kind = draw(st.sampled_from(["scalar", "general"]))
    if kind == "scalar":
        return sample(*draw(st.permutations([draw(shapes()), ()])))
    n = draw(st.integers(0, 3))
    a = (*draw(shapes(0, 2)), n)
    lead = draw(shapes(0, 2))
    return sample(a, (*lead[:-1], n, *lead[-1:]) if lead else (n,))


@st.composite
def inner(draw: Draw) -> Any:
    n = draw(st.integers(0, 3))
    return sample(*[(*draw(shapes(0, 2)), n) for _ in "ab"])


@st.composite
def flattened_alike(draw: Draw) -> Any:
    shape = draw(shapes())
    return sample(shape, tuple(draw(st.permutations(shape))))


@st.composite
def chained(draw: Draw) -> Any:
    lengths = draw(st.lists(st.integers(0, 3), min_size=3, max_size=5))
    found: list[Shape] = list(itertools.pairwise(lengths))
    found[0] = draw(st.sampled_from([found[0], found[0][1:]]))
    found[-1] = draw(st.sampled_from([found[-1], found[-1][:1]]))
    return sample(found)


@st.composite
def summed_over_letters(draw: Draw) -> Any:
    """Return an einsum of one to three operands: repeated letters, ellipsis, any output, or none given."""
    lengths = dict(zip("ijkl", draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))))
    words = draw(st.lists(st.text("ijkl", max_size=3), min_size=1, max_size=3))
    batch = draw(stretching(count=len(words), max_dims=1)) if draw(st.booleans()) else None
    operands = [tuple(lengths[c] for c in word) for word in words]
    spelled, out = ",".join(words), ""
    if batch is not None:
        operands = [(*lead, *shape) for lead, shape in zip(batch, operands)]
        spelled, out = ",".join(f"...{word}" for word in words), "..."
    if draw(st.booleans()):
        letters = draw(st.permutations(sorted(set("".join(words)))))
        spelled += f"->{out}{''.join(letters[: draw(st.integers(0, len(letters)))])}"
    return sample(spelled, *operands, **draw(some(optimize=st.sampled_from([False, True, "optimal"]))))


@st.composite
def crossed(draw: Draw) -> Any:
    a, b = draw(stretching(max_dims=2))
    places = {name: draw(st.integers(-1, 0)) for name in ("axisa", "axisb")}
    put = {-1: lambda shape: (*shape, 3), 0: lambda shape: (3, *shape)}
    return sample(*[put[p](shape) for p, shape in zip(places.values(), (a, b))], **places)


@st.composite
def crossed_along(draw: Draw) -> Any:
    a, b = draw(stretching(max_dims=1))
    return sample((*a, 3), (*b, 3))


@st.composite
def along_vectors(draw: Draw) -> Any:
    a, b = draw(matching("(n),(n)->()"))
    return sample(a, b)


# ---- windows ----


@st.composite
def windowed(draw: Draw) -> Any:
    shape = draw(shapes(1, min_side=1, max_side=4))
    count = draw(st.integers(1, len(shape)))
    along = tuple(draw(st.permutations(range(len(shape)))))[:count]
    window = tuple(draw(st.integers(1, shape[a])) for a in along)
    if count == len(shape) and draw(st.booleans()):
        return sample(shape, window_shape=tuple(w for _, w in sorted(zip(along, window))))
    return sample(shape, window_shape=window, axis=tuple(a - len(shape) for a in along))


@st.composite
def overlapping(draw: Draw) -> Any:
    (shape,), parameters = draw(windowed())
    window, axis = parameters["window_shape"], parameters.get("axis")
    found = np.lib.stride_tricks.sliding_window_view(np.empty(shape), window, axis).shape
    return sample(found, axis=axis)


def spaces(ndim: int, least: int, most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(least, most)] * ndim)


def per_axis(ndim: int, least: int, most: int) -> st.SearchStrategy[Any]:
    """Return a strategy for one number, or one for each axis."""
    return st.one_of(st.integers(least, most), spaces(ndim, least, most))


@st.composite
def slid_windows(draw: Draw, /, ndim: int) -> tuple[Shape, Windows]:
    """Return lengths, and windows that slide over them."""
    lengths = draw(spaces(ndim, 2, 4))
    kernel, stride, dilation = draw(spaces(ndim, 1, 2)), draw(spaces(ndim, 1, 3)), draw(spaces(ndim, 1, 2))
    padding = tuple(draw(st.integers(0, min(1, k // 2))) for k in kernel)
    room = [n + 2 * p - d * (k - 1) for n, p, d, k in zip(lengths, padding, dilation, kernel)]
    assume(min(room) > 0)
    counts = tuple((r - 1) // s + 1 for r, s in zip(room, stride))
    return lengths, Windows(kernel, stride, padding, dilation, counts)


@st.composite
def convolved(draw: Draw, /, kind: str) -> Any:
    """Return the call of a convolution's primitive, whose windows are given, or of a derivative of it."""
    lengths, windows = draw(slid_windows(draw(st.integers(1, 2))))
    batch, groups, inner, outer = [draw(st.integers(1, 2)) for _ in range(4)]
    x, weight = (batch, groups * inner, *lengths), (groups * outer, inner, *windows.kernel)
    z = (batch, groups * outer, *windows.counts)
    if kind == "forward":
        bias = [(groups * outer,)] if draw(st.booleans()) else []
        return sample(x, weight, *bias, windows=windows, groups=groups)
    if kind == "transposed":
        return sample(z, weight, windows=windows, lengths=lengths, groups=groups)
    return sample(x, z, windows=windows, groups=groups)


@st.composite
def over_windows(draw: Draw, /, kind: str) -> Any:
    """Return the call of a pooling's primitive, or of a derivative of it."""
    lengths, windows = draw(slid_windows(draw(st.integers(1, 2))))
    lead = draw(st.integers(0, 2)), draw(st.integers(1, 2))
    x, z = (*lead, *lengths), (*lead, *windows.counts)
    if kind == "spread":
        return sample(z, windows=windows, lengths=lengths)
    if kind == "whole":
        return sample(x, windows=windows)
    values = draw(npst.arrays(np.int64, x, elements=st.integers(0, 3))).astype(float)
    largest = OPERATIONS["window_maximum"].forward(values, windows)
    return sample(z if kind == "to" else x, values, largest, windows=windows)


@st.composite
def convolution(draw: Draw, /, ndim: int) -> Any:
    lengths, kernel = draw(spaces(ndim, 2, 5 - ndim)), draw(spaces(ndim, 1, 2))
    groups, inner, outer = [draw(st.integers(1, 2 if ndim < 3 else 1)) for _ in range(3)]
    batch = draw(st.sampled_from([(), (0,), (1,), (2,)]))
    given = draw(some(stride=per_axis(ndim, 1, 3), padding=per_axis(ndim, 0, 2), dilation=per_axis(ndim, 1, 2)))
    if "stride" not in given and draw(st.booleans()):
        given["padding"] = draw(st.sampled_from(["same", "valid"]))
    bias = [(groups * outer,)] if draw(st.booleans()) else []
    x, weight = (*batch, groups * inner, *lengths), (groups * outer, inner, *kernel)
    assume(fits(lengths, kernel, given))
    return sample(x, weight, *bias, groups=groups, **given)


def fits(lengths: Shape, kernel: Shape, given: dict[str, Any]) -> bool:
    """Return whether a kernel has a place on every axis."""
    padding = {"same": 9, "valid": 0}.get(given.get("padding", 0), given.get("padding", 0))
    spread = [np.broadcast_to(v, len(kernel)) for v in (padding, given.get("dilation", 1))]
    return all(n + 2 * p - d * (k - 1) > 0 for n, k, p, d in zip(lengths, kernel, *spread))


@st.composite
def transposed_convolution(draw: Draw, /, ndim: int) -> Any:
    lengths, kernel = draw(spaces(ndim, 1, 4 - ndim)), draw(spaces(ndim, 1, 2))
    groups, inner, outer = [draw(st.integers(1, 2 if ndim < 3 else 1)) for _ in range(3)]
    batch = draw(st.sampled_from([(), (0,), (1,), (2,)]))
    stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    given = draw(some(output_padding=st.integers(0, max(stride, dilation) - 1), padding=st.integers(0, 1)))
    grown = [(n - 1) * stride - 2 * given.get("padding", 0) + dilation * (k - 1) + 1 for n, k in zip(lengths, kernel)]
    assume(min(grown) > 0)
    bias = [(groups * outer,)] if draw(st.booleans()) else []
    x, weight = (*batch, groups * inner, *lengths), (groups * inner, outer, *kernel)
    return sample(x, weight, *bias, stride=stride, dilation=dilation, groups=groups, **given)


@st.composite
def pooled(draw: Draw, /, ndim: int, largest: bool) -> Any:
    lengths, kernel = draw(spaces(ndim, 2, 6 - ndim)), draw(spaces(ndim, 1, 2))
    lead = draw(st.sampled_from([(1,), (0, 1), (1, 2), (2, 1)]))
    given = draw(some(stride=per_axis(ndim, 1, 3), ceil_mode=st.booleans()))
    if min(kernel) > 1:
        given |= draw(some(padding=st.integers(0, 1)))
    if largest:
        given |= draw(some(dilation=per_axis(ndim, 1, 2)))
    else:
        given |= draw(some(count_include_pad=st.booleans(), divisor_override=st.integers(1, 3)))
    assume(fits(lengths, kernel, given))
    return sample((*lead, *lengths), kernel_size=kernel, **given)


@st.composite
def sequences(draw: Draw, /, ordered: bool = False, mode: bool = True) -> Any:
    lengths = draw(st.lists(st.integers(1, 5), min_size=2, max_size=2))
    a, b = sorted(lengths, reverse=True) if ordered else lengths
    return sample((a,), (b,), **draw(some(mode=st.sampled_from(["full", "same", "valid"]))) if mode else {})


# ---- losses, polynomials, ranges, interpolation ----

REDUCTIONS = st.sampled_from(["mean", "sum", "none"])


@st.composite
def labelled(draw: Draw) -> Any:
    *batch, classes = draw(shapes(1, min_side=1))
    return sample(
        (*batch, classes), labels=draw(npst.arrays(np.int64, tuple(batch), elements=st.integers(0, classes - 1))),
        **draw(some(reduction=REDUCTIONS)),
    )  # fmt: skip


@st.composite
def targeted(draw: Draw, /, low: float = -2.0, high: float = 2.0, target: float = 0.1) -> Any:
    shape = draw(shapes(min_side=1))
    inputs = draw(numbers(shape, low, high)), draw(numbers(shape, target, 0.9))
    return sample(*inputs, **draw(some(reduction=REDUCTIONS)))


@st.composite
def layer(draw: Draw) -> Any:
    *lead, inputs = draw(shapes(1))
    outputs = draw(st.integers(0, 3))
    return sample((*lead, inputs), (outputs, inputs), *draw(st.sampled_from([[], [(outputs,)]])))


@st.composite
def two_polynomials(draw: Draw) -> Any:
    return sample(*[draw(shapes(1, 1, min_side=1)) for _ in "ab"])


@st.composite
def divided_polynomials(draw: Draw) -> Any:
    n, more = draw(st.integers(1, 3)), draw(st.integers(0, 2))
    u, v = draw(numbers((n + more,), 0.5, 2)), draw(numbers((n,), 2.1, 3))
    lengths = [len(np.polydiv(*pair)[1]) for pair in [(u, v), (u.astype(np.float32), v.astype(np.float32))]]
    assume(lengths[0] == lengths[1])  # NumPy takes rounding errors of single precision for a remainder
    return sample(u, v)


@st.composite
def fitted_polynomial(draw: Draw) -> Any:
    deg = draw(st.integers(0, 2))
    n = deg + draw(st.integers(1, 3))
    y = (n,) if draw(st.booleans()) else (n, draw(st.integers(1, 2)))
    return sample((n,), y, deg=deg, **draw(some(w=numbers((n,), 0.5, 2))))


@st.composite
def integrated_polynomial(draw: Draw) -> Any:
    m = draw(st.integers(0, 3))
    k = st.lists(st.sampled_from([0.5, -1.0]), min_size=m, max_size=m)
    return sample(draw(shapes(1, 1)), m=m, **draw(some(k=k)) if m else {})


@st.composite
def between_ends(draw: Draw, /, low: float = -2.0, high: float = 2.0, **parameters: Any) -> Any:
    ends = draw(stretching(max_dims=2))
    axis = draw(st.integers(-1, 0))
    given = draw(some(num=st.integers(0, 4), endpoint=st.booleans(), **parameters))
    return sample(*[draw(numbers(shape, low, high)) for shape in ends], axis=axis, **{"num": 3} | given)


@st.composite
def interpolated(draw: Draw) -> Any:
    n = draw(st.integers(1, 4))
    xp = np.sort(draw(numbers((n,))))
    inside = draw(st.sampled_from([{}, {"left": 5.0}, {"right": -2.0}, {"period": 5.0}]))
    return sample(draw(numbers(draw(shapes()), -3, 3)), xp, draw(numbers((n,))), **inside)


# ---- the table ----

ELEMENTWISE = {
    name: pointwise(len(op.arguments)) for name, op in OPERATIONS.items() if op.pointwise and not op.defaults
}
FORMS = [f"{kind}{n}d" for kind in ("conv", "conv_transpose", "max_pool", "avg_pool") for n in (1, 2, 3)]
MATRIX = of_some_rank(2)

CALLS: dict[str, Calls] = ELEMENTWISE | {
    # entry by entry
    "leaky_relu": pointwise(1, slope=st.sampled_from([0.3, -0.5, 2.0])),
    "elu": pointwise(1, alpha=st.sampled_from([0.3, 1.0, 2.0])),
    "polygamma": pointwise(1, n=st.integers(0, 3)),
    "sinc_derivative": pointwise(1, n=st.integers(0, 3)),
    "bessel": bessel(),
    "round": pointwise(1, decimals=st.integers(-1, 2)),
    "astype": pointwise(1).flatmap(lambda call: DTYPES.map(lambda dtype: sample(*call[0], dtype=dtype))),
    "ldexp": scaled_by_powers(),
    **dict.fromkeys(["frexp", "modf", "real", "imag", "real_if_close", "i0", "sinc", "copy"], pointwise(1)),
    "digamma": pointwise(1).flatmap(lambda call: numbers(call[0][0], 0.3, 4).map(sample)),
    "divmod": several(stretching().flatmap(lambda found: st.tuples(*[numbers(shape, 0.5, 2) for shape in found]))),
    **dict.fromkeys(["either", "where"], conditional()),
    "clip": clipped(),
    "nan_to_num": replaced_nan(),
    "bincount": counted(),
    # reductions
    "total": reduced(),
    **dict.fromkeys(["largest", "smallest", "ptp"], reduced(1)),
    **dict.fromkeys(["argmax", "argmin", "nanargmax", "nanargmin"], along_one(0, 1, none=True, keepdims=st.booleans())),
    **dict.fromkeys(["any", "all"], reduced(where=leaving)),
    **dict.fromkeys(
        ["sum", "prod"], reduced(where=leaving, initial=st.sampled_from([0.0, 1.5, -2.0]), dtype=DTYPES)
    ),
    **dict.fromkeys(
        ["nansum", "nanprod"], with_nan(reduced(where=leaving, initial=st.sampled_from([0.0, 1.5]), dtype=DTYPES))
    ),
    **dict.fromkeys(["max", "min"], extreme()),
    **dict.fromkeys(["nanmax", "nanmin"], with_nan(extreme())),
    "mean": averages(),
    "nanmean": with_nan(averages()),
    **dict.fromkeys(["var", "std"], spread_out()),
    **dict.fromkeys(["nanvar", "nanstd"], with_nan(spread_out())),
    "median": reduced(1),
    "nanmedian": with_nan(reduced(1)),
    "quantile": at_quantiles(1),
    "percentile": at_quantiles(100),
    "nanquantile": with_nan(at_quantiles(1, 1)),
    "nanpercentile": with_nan(at_quantiles(100, 1)),
    "average": averaged(),
    "cov": weighed_covariance(),
    "corrcoef": covariance(True, rowvar=st.booleans()),
    "logsumexp": reduced(1),
    **dict.fromkeys(["softmax", "log_softmax"], shares()),
    # running, differences
    **dict.fromkeys(["running_total", "running_largest", "running_smallest"], along_one().filter(lambda call: call[1])),
    **dict.fromkeys(["cumsum", "cumprod"], along_one(0, none=True, dtype=DTYPES)),
    **dict.fromkeys(["nancumsum", "nancumprod"], with_nan(along_one(0, none=True))),
    **dict.fromkeys(["cummax", "cummin"], along_one(0, none=True)),
    **dict.fromkeys(
        ["cumulative_sum", "cumulative_prod"],
        along_one().flatmap(lambda c: some(include_initial=st.booleans()).map(lambda p: sample(*c[0], axis=-1, **p))),
    ),
    "diff": differences(),
    "ediff1d": of_some_rank(),
    "gradient": slopes_along(),
    "unwrap": along_one(min_side=1, period=st.sampled_from([2.0, 3.5])),
    "trapezoid": integrated(),
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
    "block": alike(1, 2).map(lambda call: sample([(*shape[:0], *shape[1:], shape[0]) for shape in call[0][0]])),
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
    # products
    **dict.fromkeys(["matmul"], several(matching("(m?,k),(k,n?)->(m?,n?)"))),
    "matrix_product": several(matching("(m,k),(k,n)->(m,n)")),
    "matvec": several(matching("(m,k),(k)->(m)")),
    "vecmat": several(matching("(k),(k,n)->(n)")),
    "vecdot": along_vectors(),
    "linear": layer(),
    "tensordot": contracted(),
    "dot": dotted(),
    "inner": inner(),
    "vdot": flattened_alike(),
    **dict.fromkeys(["outer", "kron"], several(st.tuples(shapes(max_dims=2), shapes(max_dims=2)))),
    "linalg_outer": several(st.tuples(shapes(1, 1), shapes(1, 1))),
    "multi_dot": chained(),
    "einsum": summed_over_letters(),
    "cross": crossed(),
    "linalg_cross": crossed_along(),
    # linear algebra
    **dict.fromkeys(["linear_solution", "solution_unless_zero"], system()),
    "solve": st.one_of(system(), system("(n,n),(n)->(n)", 1).filter(lambda call: len(call[0][1]) == 1)),
    "tensorsolve": tensor_system(),
    "tensorinv": tensor_inverse(),
    "inv": regular(),
    "matrix_power": regular().flatmap(lambda call: st.integers(-2, 3).map(lambda n: sample(*call[0], n=n))),
    "det": square(),
    "slogdet": regular(),
    "cofactor_matrix": regular(),
    "cofactor_slopes": system("(n,n),(n,n)->()"),
    "mirrored_triangle": regular(True),
    "cholesky": regular(True, upper=st.booleans()),
    **dict.fromkeys(["eigh", "eigvalsh"], regular(True, UPLO=st.sampled_from("LU"))),
    **dict.fromkeys(["eig", "eigvals"], regular(True)),
    "qr_factors": of_full_rank(),
    "qr": of_full_rank(mode=st.sampled_from(["reduced", "r"])),
    "singular_factors": of_full_rank(),
    "svdvals": of_full_rank(),
    "svd": singular_values(),
    "pseudo_inverse": of_full_rank(),
    "pinv": pseudo_inverted(),
    "least_squares": fitted(vector=False),
    "lstsq": fitted(),
    "matrix_rank": of_full_rank(),
    "distinct_quotient": shapes(1).flatmap(lambda found: numbers(found, 0.5, 2).map(lambda d: sample(found, d, 1.0))),
    "norm": normed(),
    "vector_norm": vector_normed(),
    "matrix_norm": matrix_normed(),
    "cond": conditioned(),
    # windows
    "sliding_window_view": windowed(),
    "overlap_add": overlapping(),
    "convolution": convolved("forward"),
    "transposed_convolution": convolved("transposed"),
    "convolution_weight": convolved("weight"),
    **dict.fromkeys(["window_maximum", "window_sum"], over_windows("whole")),
    "spread_windows": over_windows("spread"),
    "to_maximum": over_windows("to"),
    "at_maximum": over_windows("at"),
    "full_convolution": sequences(mode=False),
    "valid_correlation": sequences(ordered=True, mode=False),
    **dict.fromkeys(["convolve", "correlate"], sequences()),
    **{f"conv{n}d": convolution(n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": transposed_convolution(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d": pooled(n, True) for n in (1, 2, 3)},
    **{f"avg_pool{n}d": pooled(n, False) for n in (1, 2, 3)},
    # losses, polynomials, ranges, interpolation
    "cross_entropy": labelled(),
    "binary_cross_entropy": targeted(0.1, 0.9),
    "binary_cross_entropy_with_logits": targeted(),
    "mse_loss": targeted(target=-1.0),
    "polyval": several(st.tuples(shapes(1, 1, min_side=1), shapes())),
    **dict.fromkeys(["polyadd", "polysub", "polymul"], two_polynomials()),
    "polyder": of_some_rank(1, 1, min_side=1, m=st.integers(0, 3)),
    "polyint": integrated_polynomial(),
    "poly": of_some_rank(1, 1, min_side=1),
    "polydiv": divided_polynomials(),
    "polyfit": fitted_polynomial(),
    "linspace": between_ends(),
    "logspace": between_ends(-1, 1, base=st.sampled_from([2.0, 10.0])),
    "geomspace": between_ends(0.5, 2),
    "interp": interpolated(),
}  # fmt: skip

# Where kinks depend on the parameters, or on several entries together, points near one are drawn anew.
KINKED = {
    "copysign", "fmod", "remainder", "divmod", "floor_divide", "frexp", "modf", "clip", "max", "min",
    "nanmax", "nanmin", "unwrap", "norm", "vector_norm", "matrix_norm", "cond", "interp", "pad",
    "eigh", "svd", "singular_factors", "qr", "qr_factors",
}  # fmt: skip
