"""Calls of the operations on corresponding entries, of reductions, and of running ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.tensor.declaring import sample
from tinygrad_nn.testing import axes, shapes

from .arrays import (
    DTYPES,
    Calls,
    Draw,
    Shape,
    along_one,
    masks,
    numbers,
    of_some_rank,
    one_axis,
    several,
    some,
    stretching,
)

# ---- entry by entry ----


@st.composite
def pointwise(draw: Draw, /, count: int, **parameters: Any) -> Any:
    """Return shapes that broadcast together, and any of the parameters."""
    return sample(*draw(stretching(count=count)), **draw(some(**parameters)))


@st.composite
def bent(draw: Draw) -> Any:
    """Return numbers away from 0, where the second derivative jumps if the first one doesn't."""
    x = draw(numbers(draw(shapes()), kinks=[0]))
    return sample(x, **draw(some(alpha=st.sampled_from([0.3, 1.0, 2.0]))))


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
def shares(draw: Draw) -> Any:
    """Return a shape with one axis or several, along which its shares sum to 1."""
    shape = draw(shapes(min_side=1))
    several = npst.valid_tuple_axes(len(shape))
    return sample(shape, axis=draw(st.one_of(one_axis(shape), several) if shape else several))


LEVELS = [0.0, 0.13, 0.4, 0.5, 0.77, 1.0]
METHODS = [
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
    "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
]  # fmt: skip


@st.composite
def at_quantiles(draw: Draw, /, scale: float, max_dims: int = 2) -> Any:
    (shape,), parameters = draw(reduced(1, method=st.sampled_from(METHODS)))
    q = draw(npst.arrays(np.float64, draw(shapes(0, max_dims, min_side=1)), elements=st.sampled_from(LEVELS)))
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


ELEMENTWISE = {
    name: pointwise(len(op.arguments)) for name, op in OPERATIONS.items() if op.pointwise and not op.defaults
}
CALLS: dict[str, Calls] = ELEMENTWISE | {
    # entry by entry
    "leaky_relu": pointwise(1, negative_slope=st.sampled_from([0.3, -0.5, 2.0])),
    "elu": bent(),
    "polygamma": pointwise(1, n=st.integers(0, 3)),
    "tanh_slope": pointwise(1, logistic=st.booleans()),
    "edge_product": pointwise(1, high=st.sampled_from([1.0, 2.0])),
    "gaussian": pointwise(1, scale=st.sampled_from([0.5, 1.0, -1.0])),
    "exponential_share": pointwise(2, binary=st.booleans()),
    "inverse_error_slope": pointwise(1),
    "power_derivative": pointwise(2, n=st.integers(0, 2), k=st.integers(0, 2)),
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
        along_one(include_initial=st.booleans()).filter(lambda call: "axis" in call[1] or len(call[0][0]) == 1),
    ),
    "diff": differences(),
    "ediff1d": of_some_rank(),
    "gradient": slopes_along(),
    "unwrap": along_one(min_side=1, period=st.sampled_from([2.0, 3.5])),
    "trapezoid": integrated(),
}  # fmt: skip
