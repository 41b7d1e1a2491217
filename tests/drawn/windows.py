"""Calls of convolution and pooling, of losses, polynomials, ranges and interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.ops.windows.sliding import Windows
from tinygrad_nn.tensor.declaring import sample
from tinygrad_nn.testing import shapes

from .arrays import Calls, Draw, Shape, numbers, of_some_rank, several, some, stretching

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
def labelled(draw: Draw, /, name: str = "labels", **more: Any) -> Any:
    *batch, classes = draw(shapes(1, min_side=1))
    labels = draw(npst.arrays(np.int64, tuple(batch), elements=st.integers(0, classes - 1)))
    return sample((*batch, classes), **{name: labels}, **draw(some(**more)))


@st.composite
def targeted(draw: Draw, /, low: float = -2.0, high: float = 2.0, target: float = 0.1, **more: Any) -> Any:
    shape = draw(shapes(min_side=1))
    inputs = draw(numbers(shape, low, high)), draw(numbers(shape, target, 0.9))
    options = draw(some(reduction=REDUCTIONS, **more))
    off = np.abs(inputs[0] - inputs[1])
    kinks = [0.0, 1.0, *[x for x in options.values() if isinstance(x, float)]]
    assume(all(np.all(np.abs(off - kink) > 0.01) for kink in kinks))  # across which no difference may step
    return sample(*inputs, **options)


@st.composite
def beside_delta(draw: Draw) -> Any:
    x, delta = draw(numbers(draw(shapes(0, 2, min_side=1)), -2, 2)), draw(st.floats(0.1, 2))
    assume(np.all(np.abs(np.abs(x) - delta) > 0.01))
    return sample(x, delta=delta)


@st.composite
def with_variance(draw: Draw) -> Any:
    shape = draw(shapes(min_side=1))
    inputs = draw(numbers(shape, -2, 2)), draw(numbers(shape, -2, 2)), draw(numbers(shape, 0.5, 2))
    return sample(*inputs, **draw(some(reduction=REDUCTIONS, full=st.booleans())))


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
    x = np.linspace(-1.5, 1.5, n) + draw(numbers((n,), -0.2, 0.2))  # points that are near each other cost digits
    return sample(x, y, deg=deg, **draw(some(w=numbers((n,), 0.5, 2))))


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


CALLS: dict[str, Calls] = {
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
    "class_entries": labelled(),
    "softmax_cross_entropy": labelled(reduction=REDUCTIONS),
    "nll_loss": labelled("target", reduction=REDUCTIONS),
    "cross_entropy": labelled("target", reduction=REDUCTIONS, label_smoothing=st.floats(0, 1)),
    **dict.fromkeys(["binary_cross_entropy", "bernoulli_cross_entropy"], targeted(0.1, 0.9)),
    **dict.fromkeys(["binary_cross_entropy_with_logits", "sigmoid_cross_entropy"], targeted()),
    **dict.fromkeys(["mse_loss", "l1_loss"], targeted(target=-1.0)),
    "huber_loss": targeted(target=-1.0, delta=st.floats(0.1, 2)),
    "smooth_l1_loss": targeted(target=-1.0, beta=st.floats(0.1, 2)),
    "kl_div": targeted(log_target=st.booleans()),
    "huber": beside_delta(),
    "at_least": shapes().flatmap(lambda shape: numbers(shape, 0.5, 2)).map(sample),
    "gaussian_nll_loss": with_variance(),
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
