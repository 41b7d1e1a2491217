"""PyTorch's and SciPy's functions for the operations, with the operations' own arguments.

`TORCH` has values and gradients, `SCIPY` values of arrays. What PyTorch can't do of a call raises NoCounterpart.
Imports PyTorch and SciPy, which a test skips without.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
import scipy.signal
import scipy.special
from optional import pytorch

torch: Any = pytorch()
F: Any = torch.nn.functional

Array = Any
Function = Callable[..., Any]


class NoCounterpart(Exception):
    """PyTorch has no such call: the draw is left out."""


def needs(holds: Any) -> None:
    if not holds:
        raise NoCounterpart


# ---- reductions: any axes become the last one ----


def over(function: Function) -> Function:
    """Return the reduction over any axes, of a function that reduces the last."""

    def reduction(x: Any, axis: Any = None, keepdims: bool = False, **parameters: Any) -> Any:
        chosen = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        gone = sorted({a % x.ndim for a in chosen})
        kept = [a for a in range(x.ndim) if a not in gone]

        def last(t: Any) -> Any:
            return t.permute([*kept, *gone]).reshape([x.shape[a] for a in kept] + [math.prod(x.shape[a] for a in gone)])

        where = parameters.pop("where", None)
        if where is not None:
            parameters["where"] = last(torch.as_tensor(where).broadcast_to(x.shape))
        results = function(last(x), **parameters)
        whole = [1 if a in gone else n for a, n in enumerate(x.shape)]
        return results.reshape((*results.shape[: results.ndim - len(kept)], *whole)) if keepdims else results

    return reduction


def filled(x: Any, where: Any, value: float) -> Any:
    return x if where is None else torch.where(where, x, value)


def total(x: Any, where: Any = None, initial: float = 0, dtype: Any = None) -> Any:
    return filled(x if dtype is None else x.to(DTYPES[dtype]), where, 0).sum(-1) + initial


def product(x: Any, where: Any = None, initial: float = 1, dtype: Any = None) -> Any:
    return filled(x if dtype is None else x.to(DTYPES[dtype]), where, 1).prod(-1) * initial


def extreme(sign: int) -> Function:
    def found(x: Any, where: Any = None, initial: Any = None) -> Any:
        x = filled(sign * x, where, -np.inf)
        first = x.new_full((*x.shape[:-1], 1), -np.inf if initial is None else sign * initial)
        return sign * torch.cat([x, first], -1).amax(-1)

    return found


def average(x: Any, where: Any = None, dtype: Any = None) -> Any:
    count = x.shape[-1] if where is None else where.sum(-1)
    return total(x, where, dtype=dtype) / count


def variance(
    x: Any, where: Any = None, dtype: Any = None, ddof: float = 0, correction: Any = None, mean: Any = None
) -> Any:
    where = torch.ones(x.shape, dtype=torch.bool) if where is None else where
    x = x if dtype is None else x.to(DTYPES[dtype])
    centre = average(x, where)[..., None] if mean is None else mean
    return total((torch.where(where, x, 0) - centre) ** 2, where) / (where.sum(-1) - (correction or ddof))


def deviation(x: Any, **parameters: Any) -> Any:
    found = variance(x, **parameters)
    needs((found > 1e-12).all())  # at 0 it is a convention
    return found.sqrt()


def not_nan(function: Function) -> Function:
    """Return the function that leaves out what is nan."""

    def found(x: Any, where: Any = None, **parameters: Any) -> Any:
        there = ~x.isnan()
        return function(x, where=there if where is None else there & where, **parameters)

    return found


def quantiles(function: Function, scale: float = 1.0) -> Function:
    def found(x: Any, q: Any, method: str = "linear") -> Any:
        needs(method in {"linear", "lower", "higher", "midpoint", "nearest"})
        y = function(x, torch.as_tensor(q).reshape(-1) / scale, dim=-1, interpolation=method)
        return y.reshape((*np.shape(q), *x.shape[:-1]))

    return found


def weighed(x: Any, axis: Any = None, weights: Any = None, keepdims: bool = False) -> Any:
    if weights is None:
        return over(average)(x, axis, keepdims)
    w = torch.as_tensor(weights)
    if w.ndim == 1 and x.ndim > 1:
        (a,) = (axis,) if isinstance(axis, int) else axis
        w = w.reshape([-1 if i == a % x.ndim else 1 for i in range(x.ndim)])
    sums = [over(total)(t, axis, keepdims) for t in (x * w, w.broadcast_to(x.shape))]
    return sums[0] / sums[1]


def covariance(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, fweights: Any = None,
    aweights: Any = None,
) -> Any:  # fmt: skip
    rows = [t if rowvar else t.T for t in (m, y) if t is not None]
    weights = {
        k: None if w is None else torch.as_tensor(w) for k, w in [("fweights", fweights), ("aweights", aweights)]
    }
    return torch.cov(torch.cat(rows), correction=1 - bias if ddof is None else ddof, **weights)


def correlations(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    return torch.corrcoef(torch.cat([t if rowvar else t.T for t in (x, y) if t is not None]))


def running(function: Function, fill: float | None = None) -> Function:
    def found(x: Any, axis: Any = None, dtype: Any = None) -> Any:
        x = x if fill is None else torch.where(x.isnan(), fill, x)
        x = x if dtype is None else x.to(DTYPES[dtype])
        y = function(x.reshape(-1), 0) if axis is None else function(x, axis)
        return y if isinstance(y, torch.Tensor) else y.values

    return found


def from_a_start(function: Function, start: float) -> Function:
    def found(x: Any, axis: Any = -1, include_initial: bool = False) -> Any:
        y = function(x, axis)
        return torch.cat([torch.full_like(y.sum(axis, keepdim=True), start), y], axis) if include_initial else y

    return found


# ---- moving entries: by the places that NumPy gives them ----


def by_places(function: Function) -> Function:
    """Return NumPy's function that moves entries around; what it does to their places is done to the entries."""

    def found(*arguments: Any, **parameters: Any) -> Any:
        given = [x for x in arguments if isinstance(x, torch.Tensor) and x.is_floating_point()]
        starts = iter(np.cumsum([0, *[x.numel() for x in given]]))
        places = [
            next(starts) + np.arange(x.numel()).reshape(tuple(x.shape)) if any(x is g for g in given) else plain(x)
            for x in arguments
        ]
        chosen = torch.as_tensor(np.array(function(*places, **parameters)))
        return torch.cat([x.reshape(-1) for x in given])[chosen]

    return found


def plain(x: Any) -> Any:
    return x.numpy() if isinstance(x, torch.Tensor) else x


def scattered(x: Any, index: Any, shape: Any) -> Any:
    places = np.array(np.arange(math.prod(shape)).reshape(shape)[index])
    y = x.new_zeros(math.prod(shape)).index_add(0, torch.as_tensor(places).reshape(-1), x.reshape(-1))
    return y.reshape(shape)


def assigned(x: Any, value: Any, index: Any) -> Any:
    places = torch.as_tensor(np.arange(x.numel()).reshape(tuple(x.shape))[index].copy())
    needs(len(set(places.reshape(-1).tolist())) == places.numel())  # PyTorch lets every duplicate have a gradient
    value = value.broadcast_to(places.shape).reshape(-1)
    return x.reshape(-1).index_put((places.reshape(-1),), value).reshape(x.shape)


def overlapped(x: Any, axis: Any = None) -> Any:
    ndim = x.ndim // 2 if axis is None else x.ndim - np.size(axis)
    along = range(ndim) if axis is None else [a % ndim for a in np.atleast_1d(axis)]
    shape = list(x.shape[:ndim])
    for a, k in zip(along, x.shape[ndim:]):
        shape[a] += k - 1
    places = np.lib.stride_tricks.sliding_window_view(np.arange(math.prod(shape)).reshape(shape), x.shape[ndim:], axis)
    return x.new_zeros(math.prod(shape)).index_add(0, torch.tensor(places).reshape(-1), x.reshape(-1)).reshape(shape)


def in_order(x: Any, shape: Any, order: str = "C") -> Any:
    if order == "C":
        return x.reshape(shape)
    lengths = np.empty(tuple(x.shape)).reshape(shape).shape
    return backwards(backwards(x).reshape(lengths[::-1]))


def backwards(x: Any) -> Any:
    return x.permute(list(reversed(range(x.ndim))))


def unfolded(x: Any, window_shape: Any, axis: Any = None) -> Any:
    for a, k in zip(range(x.ndim) if axis is None else [a % x.ndim for a in axis], window_shape):
        x = x.unfold(a, k, 1)
    return x


def padded(x: Any, pad_width: Any, mode: str, **options: Any) -> Any:
    needs(
        (mode in {"edge", "wrap", "reflect", "symmetric"} and options.get("reflect_type") != "odd")
        or mode == "constant"
    )
    if mode != "constant":
        return by_places(np.pad)(x, pad_width, mode=mode)
    value = options.get("constant_values", 0)
    needs(np.ndim(value) == 0)
    widths = np.broadcast_to(pad_width, (x.ndim, 2))[::-1].reshape(-1).tolist()
    return F.pad(x, widths, value=value)


def joined(xs: Any, axis: Any = 0) -> Any:
    return torch.cat([x.reshape(-1) for x in xs]) if axis is None else torch.cat(list(xs), axis)


def selected(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    y = torch.as_tensor(default, dtype=torch.float64)
    for condition, choice in reversed(list(zip(condlist, choicelist))):
        y = torch.where(condition, choice, y)
    return y.broadcast_to(torch.broadcast_shapes(*[t.shape for t in (*condlist, *choicelist)]))


def chosen(x: Any, choices: Any, mode: str = "raise") -> Any:
    n = len(choices)
    x = x % n if mode == "wrap" else x.clamp(0, n - 1)
    y = choices[0]
    for k, choice in enumerate(choices):
        y = torch.where(x == k, choice, y)
    return y


def shifted(x: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return torch.roll(x, shift)
    shifts, dims = np.broadcast_arrays(shift, axis)
    return torch.roll(x, tuple(shifts.tolist()), tuple(dims.tolist()))


def divided(x: Any, where: Any, axis: int = 0) -> Any:
    return torch.tensor_split(x, where, axis)


def one_or_several(function: Function) -> Function:
    return lambda *xs: function(*xs) if len(xs) > 1 else function(xs[0])


def triangle(function: Function) -> Function:
    def found(x: Any, k: int = 0) -> Any:
        needs(x.ndim > 1)
        return function(x, k)

    return found


# ---- products and linear algebra ----


def dotted(a: Any, b: Any) -> Any:
    if 0 in (a.ndim, b.ndim):
        return a * b
    return torch.tensordot(a, b, ([a.ndim - 1], [max(0, b.ndim - 2)]))


def crossed(a: Any, b: Any, axisa: int = -1, axisb: int = -1) -> Any:
    return torch.linalg.cross(*torch.broadcast_tensors(a.movedim(axisa, -1), b.movedim(axisb, -1)), dim=-1)


def contracted(a: Any, b: Any, axes: Any) -> Any:
    return torch.tensordot(a, b, dims=axes if isinstance(axes, int) else [list(part) for part in axes])


def solution(a: Any, b: Any) -> Any:
    if b.ndim > 1:  # one matrix is no batch of vectors
        return torch.linalg.solve(a, b.broadcast_to(*torch.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]))
    return torch.linalg.solve(a, b.broadcast_to(a.shape[:-1])[..., None])[..., 0]


def fitted(a: Any, b: Any, rcond: Any = None) -> Any:
    matrix = b[:, None] if b.ndim == 1 else b
    x = torch.linalg.pinv(a) @ matrix
    m, n = a.shape
    residuals = ((a @ x - matrix) ** 2).sum(0) if m > n else x.new_zeros(0)
    return x[:, 0] if b.ndim == 1 else x, residuals, torch.linalg.matrix_rank(a), torch.linalg.svdvals(a)


def singular(x: Any, full_matrices: bool = False, compute_uv: bool = True, hermitian: bool = False) -> Any:
    return torch.linalg.svd(x, full_matrices=False) if compute_uv else torch.linalg.svdvals(x)


def normed(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return torch.linalg.norm(x, ord, axis, keepdims)


def clipped(x: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    low, high = min if a_min is None else a_min, max if a_max is None else a_max
    x = x if low is None else torch.maximum(x, torch.as_tensor(low, dtype=x.dtype))
    return x if high is None else torch.minimum(x, torch.as_tensor(high, dtype=x.dtype))


def condition(x: Any, p: Any) -> Any:
    if p in (None, 2, -2):
        return torch.linalg.cond(x, p)
    return torch.linalg.matrix_norm(x, p) * torch.linalg.matrix_norm(torch.linalg.inv(x), p)


def powers(x: Any, N: Any = None, increasing: bool = False) -> Any:
    needs((len(x) if N is None else N) > 1 and len(x))
    y = torch.linalg.vander(x, N=N)
    return y if increasing else y.flip(-1)


def resized(x: Any, new_shape: Any) -> Any:
    needs(x.numel())
    return by_places(np.resize)(x, new_shape)


def slopes_along(x: Any, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Any:
    needs(not any(isinstance(s, torch.Tensor) for s in spacing))  # it has no derivative in the coordinates
    step = spacing[0] if spacing else 1
    found = torch.gradient(x, spacing=step, dim=axis, edge_order=edge_order)
    return found[0] if len(found) == 1 else found


# ---- windows ----


def full(a: Any, v: Any) -> Any:
    padded = F.pad(a.reshape(1, 1, -1), (v.numel() - 1, v.numel() - 1))
    return F.conv1d(padded, v.flip(0).reshape(1, 1, -1))[0, 0]


def convolved(a: Any, v: Any, mode: str = "full") -> Any:
    n, m = len(a), len(v)
    y = full(a, v)
    kept = {"full": n + m - 1, "same": max(n, m), "valid": abs(n - m) + 1}[mode]
    start = {"full": 0, "same": (min(n, m) - 1) // 2, "valid": min(n, m) - 1}[mode]
    return y[start : start + kept]


def correlated(a: Any, v: Any, mode: str = "valid") -> Any:
    needs(mode != "same" or len(a) >= len(v))  # NumPy swaps them first, and shifts even lengths
    return convolved(a, v.flip(0), mode)


def slid(x: Any, weight: Any, bias: Any = None, *, windows: Any, groups: int = 1) -> Any:
    function = (F.conv1d, F.conv2d)[weight.ndim - 3]
    return function(x, weight, bias, windows.stride, windows.padding, windows.dilation, groups)


def pulled(z: Any, weight: Any, *, windows: Any, lengths: Any, groups: int = 1) -> Any:
    function = (torch.nn.grad.conv1d_input, torch.nn.grad.conv2d_input)[weight.ndim - 3]
    shape = (len(z), weight.shape[1] * groups, *lengths)
    return function(shape, weight, z, windows.stride, windows.padding, windows.dilation, groups)


def of_weight(x: Any, z: Any, *, windows: Any, groups: int = 1) -> Any:
    function = (torch.nn.grad.conv1d_weight, torch.nn.grad.conv2d_weight)[x.ndim - 3]
    shape = (z.shape[1], x.shape[1] // groups, *windows.kernel)
    return function(x, shape, z, windows.stride, windows.padding, windows.dilation, groups)


def window_maximum(x: Any, windows: Any) -> Any:
    function = (F.max_pool1d, F.max_pool2d)[x.ndim - 3]
    needs(len(x))
    return function(x, windows.kernel, windows.stride, windows.padding, windows.dilation)


def pooled(function: Function) -> Function:
    def found(x: Any, kernel_size: Any, **parameters: Any) -> Any:
        needs(x.numel())
        needs("divisor_override" not in parameters or function is not F.avg_pool1d)
        return function(x, kernel_size, **parameters)

    return found


def labelled(function: Function) -> Function:
    """Return PyTorch's function of classes on the first axis of one sample, on the second of more."""

    def found(x: Any, target: Any, axis: int = -1, weight: Any = None, **parameters: Any) -> Any:
        target = torch.as_tensor(target)
        if target.shape == x.shape:
            target = target.to(x.dtype).moveaxis(axis, min(1, x.ndim - 1))
        if weight is not None:
            weight = torch.as_tensor(weight, dtype=x.dtype)
        return function(x.moveaxis(axis, min(1, x.ndim - 1)), target, weight=weight, **parameters)

    return found


def of_labels(function: Function) -> Function:
    return lambda x, labels, **parameters: labelled(function)(x, labels, **parameters)


def picked(x: Any, labels: Any, ignore_index: int = -100) -> Any:
    return -of_labels(F.nll_loss)(x, labels, ignore_index=ignore_index, reduction="none")


# ---- the tables ----

DTYPES = {"float32": torch.float32, "float64": torch.float64}
SAME_NAMES = [
    "add", "subtract", "multiply", "divide", "float_power", "fmod", "remainder", "negative", "positive", "abs",
    "copysign", "square", "sqrt", "reciprocal", "hypot", "deg2rad", "rad2deg", "exp", "exp2", "expm1", "log", "log2",
    "log10", "log1p", "logaddexp", "logaddexp2", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2",
    "sinh", "cosh", "tanh", "sigmoid", "arcsinh", "arccosh", "arctanh", "maximum", "minimum", "fmax", "fmin", "sign",
    "floor", "ceil", "trunc", "fix", "signbit", "floor_divide", "isnan", "isinf", "isfinite", "isposinf", "isneginf",
    "logical_not", "logical_and", "logical_or", "logical_xor", "gcd", "lcm", "bitwise_and", "bitwise_or",
    "bitwise_xor", "less", "less_equal", "greater", "greater_equal", "not_equal", "erf", "erfc", "erfinv", "logit",
    "xlogy", "i0", "sinc", "frexp", "relu", "matmul", "inner", "kron", "fliplr", "flipud", "nan_to_num",
]  # fmt: skip
OTHER_NAMES = {
    "power": "pow", "fabs": "abs", "radians": "deg2rad", "degrees": "rad2deg", "rint": "round", "equal": "eq",
    "left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift", "invert": "bitwise_not",
    "gammaln": "lgamma", "either": "where", "where": "where", "real": "clone", "real_if_close": "clone",
    "conjugate": "clone", "copy": "clone", "matrix_product": "matmul", "vector_product": "matmul",
}  # fmt: skip

TORCH: dict[str, Function] = {name: getattr(torch, name) for name in SAME_NAMES} | {
    name: getattr(torch, other) for name, other in OTHER_NAMES.items()
}
TORCH |= {
    # entry by entry
    "cbrt": lambda x: x ** (1 / 3),
    "gamma": lambda x: x.lgamma().exp(),
    "beta": lambda a, b: (a.lgamma() + b.lgamma() - (a + b).lgamma()).exp(),
    "betaln": lambda a, b: a.lgamma() + b.lgamma() - (a + b).lgamma(),
    "erfcinv": lambda x: torch.erfinv(1 - x),
    "ndtr": torch.special.ndtr,
    "xlog1py": torch.special.xlog1py,
    "heaviside": lambda a, b: torch.heaviside(a.detach(), b.detach()),  # values only
    "ldexp": lambda x, exponent: x * 2.0 ** exponent.double(),
    "softplus": lambda x: F.softplus(x, threshold=1e9),
    "silu": F.silu,
    "gelu": F.gelu,
    "leaky_relu": lambda x, negative_slope=0.01: F.leaky_relu(x, negative_slope),
    "elu": lambda x, alpha=1.0: F.elu(x, alpha),
    "astype": lambda x, dtype: x.to(DTYPES[dtype]),
    "modf": lambda x: (x.frac(), x.trunc()),
    "round": lambda x, decimals=0: torch.round(x, decimals=decimals),
    "clip": clipped,
    "divmod": lambda a, b: (torch.floor(a / b), torch.remainder(a, b)),
    "imag": torch.zeros_like,
    "bincount": lambda x, w, minlength=0: w.new_zeros(max(int(x.max()) + 1, minlength)).index_add(0, x, w),
    # reductions
    **dict.fromkeys(["total", "sum"], over(total)),
    "prod": over(product),
    **dict.fromkeys(["largest", "max"], over(extreme(1))),
    **dict.fromkeys(["smallest", "min"], over(extreme(-1))),
    "nansum": over(not_nan(total)),
    "nanprod": over(not_nan(product)),
    "nanmax": over(not_nan(extreme(1))),
    "nanmin": over(not_nan(extreme(-1))),
    "ptp": over(lambda x: x.amax(-1) - x.amin(-1)),
    **dict.fromkeys(["argmax", "nanargmax"], over(lambda x: x.argmax(-1))),
    **dict.fromkeys(["argmin", "nanargmin"], over(lambda x: x.argmin(-1))),
    "any": over(lambda x, where=None: filled(x != 0, where, False).any(-1)),
    "all": over(lambda x, where=None: filled(x != 0, where, True).all(-1)),
    "mean": over(average),
    "nanmean": over(not_nan(average)),
    "var": over(variance),
    "nanvar": over(not_nan(variance)),
    "std": over(deviation),
    "nanstd": over(not_nan(deviation)),
    "median": over(lambda x: torch.quantile(x, 0.5, dim=-1)),
    "nanmedian": over(lambda x: torch.nanquantile(x, 0.5, dim=-1)),
    "quantile": over(quantiles(torch.quantile)),
    "percentile": over(quantiles(torch.quantile, 100)),
    "nanquantile": over(quantiles(torch.nanquantile)),
    "nanpercentile": over(quantiles(torch.nanquantile, 100)),
    "average": weighed,
    "cov": covariance,
    "corrcoef": correlations,
    "logsumexp": over(lambda x: x.logsumexp(-1)),
    "softmax": lambda x, axis=-1: (x - over(lambda t: t.logsumexp(-1))(x, axis, True)).exp(),
    "log_softmax": lambda x, axis=-1: x - over(lambda t: t.logsumexp(-1))(x, axis, True),
    # running, differences
    **dict.fromkeys(["running_total", "cumsum"], running(torch.cumsum)),
    "cumprod": running(torch.cumprod),
    "nancumsum": running(torch.cumsum, 0),
    "nancumprod": running(torch.cumprod, 1),
    **dict.fromkeys(["running_largest", "cummax"], running(torch.cummax)),
    **dict.fromkeys(["running_smallest", "cummin"], running(torch.cummin)),
    "cumulative_sum": from_a_start(torch.cumsum, 0),
    "cumulative_prod": from_a_start(torch.cumprod, 1),
    "diff": lambda x, n=1, axis=-1: torch.diff(x, n, axis),
    "ediff1d": lambda x: torch.diff(x.reshape(-1)),
    "gradient": slopes_along,
    "trapezoid": lambda y, x=None, dx=1.0, axis=-1: (
        torch.trapezoid(y, dx=dx, dim=axis)
        if x is None
        else torch.trapezoid(y.movedim(axis, -1), x if x.ndim == 1 else x.movedim(axis, -1), dim=-1)
    ),
    # shapes
    **dict.fromkeys(["reshape_to", "reshape"], in_order),
    **dict.fromkeys(["ravel", "flatten"], lambda x, order="C": in_order(x, -1, order)),
    **dict.fromkeys(
        ["permute", "transpose"], lambda x, axes=None: backwards(x) if axes is None else x.permute(axes)
    ),
    "moveaxis": lambda x, source, destination: x.movedim(source, destination),
    "expand_dims": lambda x, axis: x.unsqueeze(axis[0]),
    "squeeze": lambda x, axis=None: x.squeeze() if axis is None else x.squeeze(axis),
    **{name: one_or_several(getattr(torch, name)) for name in ("atleast_1d", "atleast_2d", "atleast_3d")},
    "broadcast_arrays": torch.broadcast_tensors,
    "repeat": lambda x, repeats, axis=None: torch.repeat_interleave(x, torch.as_tensor(repeats), axis),
    "roll": shifted,
    "fftshift": lambda x, axes=None: x if axes == () else torch.fft.fftshift(x, axes),
    "ifftshift": lambda x, axes=None: x if axes == () else torch.fft.ifftshift(x, axes),
    "flip": lambda x, axis=None: x.flip(tuple(range(x.ndim)) if axis is None else axis),
    "rot90": lambda x, k, axes: torch.rot90(x, k, axes),
    "tril": triangle(torch.tril),
    "triu": triangle(torch.triu),
    "diagonal": lambda x, offset=0, axis1=0, axis2=1: x.diagonal(offset, axis1, axis2),
    "trace": lambda x, offset=0, axis1=0, axis2=1: x.diagonal(offset, axis1, axis2).sum(-1),
    "linalg_diagonal": lambda x, offset=0: x.diagonal(offset, -2, -1),
    "linalg_trace": lambda x, offset=0: x.diagonal(offset, -2, -1).sum(-1),
    "vander": powers,
    "pad": padded,
    "resize": resized,
    "swapaxes": lambda x, axis1, axis2: x.swapaxes(axis1, axis2),
    "broadcast_to": lambda x, shape: x.broadcast_to(shape),
    "tile": lambda x, reps: torch.tile(x, reps if isinstance(reps, tuple) else (reps,)),
    "diag": lambda x, k=0: torch.diag(x, k),
    "diagflat": lambda x, k=0: torch.diagflat(x, k),
    "matrix_transpose": lambda x: x.mT,
    **{name: by_places(getattr(np, name)) for name in ("rollaxis", "insert", "delete", "take")},
    # joins and parts
    **dict.fromkeys(["join", "concatenate"], joined),
    "stack": lambda xs, axis=0: torch.stack(list(xs), axis),
    **{name: getattr(torch, name) for name in ("hstack", "vstack", "dstack", "column_stack")},
    "block": lambda xs: torch.cat(list(xs), -1),
    "append": lambda x, values, axis=None: joined([x, values], axis),
    "unstack": lambda x, axis=0: x.unbind(axis),
    **dict.fromkeys(["split", "array_split"], divided),
    "hsplit": lambda x, where: divided(x, where, min(1, x.ndim - 1)),
    "vsplit": divided,
    "dsplit": lambda x, where: divided(x, where, 2),
    # indices and orders
    "getitem": by_places(lambda x, index: x[index]),
    "scatter_add": scattered,
    "set_at": assigned,
    "take_along_axis": lambda x, indices, axis: torch.take_along_dim(
        x, torch.as_tensor(indices) % (x.numel() if axis is None else x.shape[axis]), axis
    ),
    "compress": lambda condition, x, axis=None: by_places(np.compress)(condition, x, axis=axis),
    "extract": lambda condition, x: x[condition],
    "select": selected,
    "choose": chosen,
    "nonzero": lambda x: torch.nonzero(x, as_tuple=True),
    "argwhere": torch.argwhere,
    "flatnonzero": lambda x: torch.nonzero(x.reshape(-1))[:, 0],
    "sort": lambda x, axis=-1: x.reshape(-1).sort().values if axis is None else x.sort(axis).values,
    "argsort": lambda x, axis=-1: x.reshape(-1).argsort() if axis is None else x.argsort(axis),
    "topk": lambda x, k, axis=-1, largest=True: tuple(torch.topk(x, k, axis, largest)),
    "searchsorted": lambda x, v, side="left": torch.searchsorted(x, v, side=side),
    # products and linear algebra
    "matvec": lambda a, b: (a @ b[..., None])[..., 0],
    "vecmat": lambda a, b: (a[..., None, :] @ b)[..., 0, :],
    "vecdot": lambda a, b, axis=-1: torch.linalg.vecdot(a, b, dim=axis),
    "linear": F.linear,
    "tensordot": contracted,
    "dot": dotted,
    "vdot": lambda a, b: torch.vdot(a.reshape(-1), b.reshape(-1)),
    "outer": lambda a, b: torch.outer(a.reshape(-1), b.reshape(-1)),
    "linalg_outer": torch.outer,
    "multi_dot": lambda arrays: torch.linalg.multi_dot(list(arrays)),
    "einsum": lambda *operands, optimize=False: torch.einsum(*operands),
    "cross": crossed,
    "linalg_cross": lambda a, b, axis=-1: torch.linalg.cross(*torch.broadcast_tensors(a, b), dim=axis),
    **dict.fromkeys(["linear_solution", "solution_unless_zero", "solve"], solution),
    "tensorsolve": torch.linalg.tensorsolve,
    "tensorinv": torch.linalg.tensorinv,
    "inv": torch.linalg.inv,
    "matrix_power": torch.linalg.matrix_power,
    "det": torch.linalg.det,
    "slogdet": lambda x: tuple(torch.linalg.slogdet(x)),
    "cofactor_matrix": lambda x: torch.linalg.det(x)[..., None, None] * torch.linalg.inv(x).mT,
    "mirrored_triangle": lambda a: a.tril() + a.tril(-1).mT,
    "cholesky": lambda a, upper=False: torch.linalg.cholesky(a, upper=upper),
    "eigh": lambda a, UPLO="L": torch.linalg.eigh(a, UPLO),
    "eigvalsh": lambda a, UPLO="L": torch.linalg.eigvalsh(a, UPLO),
    "qr_factors": torch.linalg.qr,
    "qr": lambda a, mode="reduced": torch.linalg.qr(a) if mode == "reduced" else torch.linalg.qr(a).R,
    **dict.fromkeys(["singular_factors", "svd"], singular),
    "svdvals": torch.linalg.svdvals,
    "pseudo_inverse": torch.linalg.pinv,
    "pinv": lambda a, rcond=None, hermitian=False: torch.linalg.pinv(a, rtol=rcond, hermitian=hermitian),
    "least_squares": lambda a, b, rcond=None: fitted(a, b)[::2],
    "lstsq": fitted,
    "matrix_rank": torch.linalg.matrix_rank,
    "norm": normed,
    "vector_norm": over(lambda x, ord=2: torch.linalg.vector_norm(x, ord, -1)),
    "matrix_norm": lambda x, ord="fro", keepdims=False: torch.linalg.matrix_norm(x, ord, keepdim=keepdims),
    "cond": condition,
    # windows
    "sliding_window_view": unfolded,
    "overlap_add": overlapped,
    "convolution": slid,
    "transposed_convolution": pulled,
    "convolution_weight": of_weight,
    "window_maximum": window_maximum,
    "full_convolution": full,
    "valid_correlation": correlated,
    "convolve": convolved,
    "correlate": correlated,
    **{f"{kind}{n}d": getattr(F, f"{kind}{n}d") for kind in ("conv", "conv_transpose") for n in (1, 2, 3)},
    **{f"{kind}_pool{n}d": pooled(getattr(F, f"{kind}_pool{n}d")) for kind in ("max", "avg") for n in (1, 2, 3)},
    # losses
    "softmax_cross_entropy": of_labels(F.cross_entropy),
    "class_entries": picked,
    "cross_entropy": labelled(F.cross_entropy),
    "nll_loss": labelled(F.nll_loss),
    **dict.fromkeys(["bernoulli_cross_entropy", "binary_cross_entropy"], F.binary_cross_entropy),
    **dict.fromkeys(["sigmoid_cross_entropy", "binary_cross_entropy_with_logits"], F.binary_cross_entropy_with_logits),
    "huber": lambda x, delta=1.0: F.huber_loss(x, torch.zeros_like(x), reduction="none", delta=delta),
    "at_least": lambda x, eps=1e-6: x.clamp(min=eps),
    **{name: getattr(F, name) for name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "kl_div")},
    "gaussian_nll_loss": F.gaussian_nll_loss,
}  # fmt: skip

# Vectors are determined up to their signs, which differ between builds of LAPACK: their squares are compared.
UP_TO_SIGNS = {"eigh", "qr", "qr_factors", "svd", "singular_factors"}


def one_matrix(function: Function) -> Function:
    """Return SciPy's function of one matrix for a stack of them."""

    @functools.wraps(function)
    def found(x: Array, **parameters: Any) -> Any:
        if x.size == 0:
            return None
        each = [function(m, **parameters) for m in x.reshape(-1, *x.shape[-2:])]
        return np.array(each).reshape((*x.shape[:-2], *np.shape(each[0])))

    return found


special = scipy.special
IN_SPECIAL = [
    "erf", "erfc", "gammaln", "gamma", "rgamma", "beta", "betaln", "erfinv", "erfcinv", "ndtr", "logit", "xlogy",
    "xlog1py", "digamma", "i0", "cbrt", "exp2", "expm1", "log1p",
]  # fmt: skip
SCIPY: dict[str, Function] = {name: getattr(special, name) for name in IN_SPECIAL}
SCIPY |= {
    "sigmoid": special.expit,
    "silu": lambda x: x * special.expit(x),
    "gelu": lambda x: x * special.ndtr(x),
    "polygamma": lambda x, n=0: special.polygamma(n, x),  # its slope is the next one; PyTorch's has fewer digits
    "softmax": lambda x, axis=-1: special.softmax(x, axis),
    "log_softmax": lambda x, axis=-1: special.log_softmax(x, axis),
    "bessel": lambda x, kind, n: getattr(special, f"{kind}v")(n, x),
    "logsumexp": lambda x, axis=None, keepdims=False: (
        special.logsumexp(x, axis, keepdims=keepdims) if np.ndim(x) and axis != () else None
    ),
    "convolve": lambda a, v, mode="full": (
        scipy.signal.convolve(a, v, mode) if len(a) >= len(v) or mode != "same" else None
    ),
    "det": one_matrix(scipy.linalg.det),
    "inv": one_matrix(scipy.linalg.inv),
    "cholesky": lambda a, upper=False: one_matrix(scipy.linalg.cholesky)(a, lower=not upper),
    "eigvalsh": lambda a, UPLO="L": one_matrix(scipy.linalg.eigvalsh)(a),
    "svdvals": one_matrix(scipy.linalg.svdvals),
    "pseudo_inverse": one_matrix(scipy.linalg.pinv),
}

NEITHER = {
    "spacing", "bitwise_count", "sinc_derivative",  # of one number
    "tanh_slope", "edge_product", "gaussian", "over_square", "cosine_of", "exponential_share", "power_derivative",
    "inverse_error_slope",
    "scaled_dot_product_attention",  # whose layer is held against PyTorch's
    "meshgrid", "trim_zeros", "piecewise", "partition", "argpartition", "digitize", "unwrap", "interp",  # of arrays
    "eig", "eigvals",  # whose order is LAPACK's
    "polyval", "polyadd", "polysub", "polymul", "polyder", "polyint", "poly", "polydiv", "polyfit",
    "linspace", "logspace", "geomspace",  # whose ends are numbers there
    "share", "distinct_quotient", "cofactor_slopes", "to_maximum", "at_maximum", "window_sum", "spread_windows",  # ours
    "rnn_tanh", "rnn_relu", "gru", "lstm",  # with their gates; the layers are held against PyTorch's
    "rnn_backward", "gru_backward", "lstm_backward",
}  # fmt: skip
