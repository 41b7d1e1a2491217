"""What the operations compute: an independent formula for each that NumPy doesn't have."""

from __future__ import annotations

import functools
import math
import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

import by_algebra
import by_folds
import by_loops
import by_steps
import mpmath
import numpy as np
import scipy.special
from looped import LOOPS

from tinygrad_nn import nn, ops
from tinygrad_nn.tensor.declaring import COMPOSITES
from tinygrad_nn.testing import Case, numpy_functions

Array = Any
SYMMETRIC = {"cholesky", "eigh", "eigvalsh", "mirrored_triangle"}


def of_symmetric_part(call: Any) -> Any:
    """Return the call on the symmetric part of its matrix: it reads one triangle, but its gradient is symmetric."""

    def symmetrised(x: Any, **parameters: Any) -> Any:
        return call(x if np.ndim(x) < 2 else (x + np.swapaxes(x, -1, -2)) / 2, **parameters)

    return functools.wraps(call)(symmetrised)


def declared_functions() -> dict[str, Any]:
    """Return the function of each operation, by the operation's name, once all of the losses are declared, too."""
    rooms = (ops, nn)
    modules = [import_module(m.name) for r in rooms for m in pkgutil.walk_packages(r.__path__, f"{r.__name__}.")]
    return {f.operation.name: f for m in modules for f in vars(m).values() if hasattr(f, "operation")}


def reference_of(name: str) -> Any:
    """Return what computes an operation's values on its own; None for what NumPy does entry by entry, or moves."""
    known = numpy_functions(function_of(name))
    return next((LOOPS[f] for f in known if f in LOOPS), None) if known else REFERENCES.get(name)


def function_of(name: str) -> Any:
    return COMPOSITES.get(name) or FUNCTIONS[name]


FUNCTIONS = declared_functions()


def reads_a_triangle(case: Case) -> bool:
    """Return whether an operation takes its matrix for a symmetric one."""
    return case.name in SYMMETRIC or bool(case.parameters.get("hermitian"))


# ---- values: an independent formula for what NumPy doesn't have ----


def log_sum_exp(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    kept = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    y = x
    for a in kept:
        y = by_folds.fold(np.logaddexp, y, a, keepdims=True)
    return y if keepdims else np.squeeze(y, kept)


def log_probabilities(x: Array, axis: Any = -1) -> Array:
    return x - log_sum_exp(x, axis, keepdims=True)


def scattered(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    y = np.zeros(shape, x.dtype)
    by_folds.one_by_one(np.add, y, index, x)
    return y


def assigned(x: Array, value: Array, index: Any) -> Array:
    y = x.copy()
    y[index] = value
    return y


def shared(x: Array, sorted: Array) -> Array:
    y = x.copy()
    for row, keys in zip(y.reshape(-1, *x.shape[-1:]), sorted.reshape(-1, *x.shape[-1:])) if x.size else ():
        for key in set(keys.tolist()):
            row[keys == key] = math.fsum(row[keys == key]) / np.sum(keys == key)
    return y


def extremes(x: Array, k: int, axis: int = -1, largest: bool = True) -> tuple[Array, Array]:
    order = np.argsort(-x if largest else x, axis, kind="stable")
    places = np.take(order, range(k), axis)
    return np.take_along_axis(x, places, axis), places


def summarised(losses: Array, reduction: str = "mean") -> Array:
    whole = {"sum": LOOPS[np.sum], "mean": LOOPS[np.mean]}
    return whole[reduction](losses) if reduction in whole else losses


def entries_at(x: Array, labels: Array, ignore_index: int = -100) -> Array:
    rows = x.reshape(-1, x.shape[-1])
    found = [0.0 if k == ignore_index else row[k] for row, k in zip(rows, labels.ravel())]
    return np.array(found).reshape(labels.shape)


def attended(query: Array, key: Array, value: Array, mask: Any = None, is_causal: bool = False) -> Array:
    """Return the mean of the values that a query may read, weighed by exponentials of its products with keys."""
    scores = by_algebra.einsum("...le,...se->...ls", query, key) / math.sqrt(query.shape[-1] or 1)
    added = np.zeros(1) if mask is None else np.where(mask, 0, -np.inf) if mask.dtype == bool else mask
    scores = scores + added + (np.triu(np.full(scores.shape[-2:], -np.inf), 1) if is_causal else 0)
    weights = np.exp(scores)
    weights /= np.maximum(LOOPS[np.sum](weights, axis=-1, keepdims=True), np.finfo(float).tiny)
    return by_algebra.einsum("...ls,...sv->...lv", weights, value)


def averaged(losses: Array, weights: Array, reduction: str) -> Array:
    return summarised(losses, reduction) if reduction != "mean" else LOOPS[np.sum](losses) / LOOPS[np.sum](weights)


def likelihoods(
    x: Array, target: Array, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", axis: int = -1
) -> Array:
    x = np.moveaxis(x, axis, -1)
    weights = entries_at(np.ones(x.shape) * (1 if weight is None else weight), target, ignore_index)
    return averaged(-entries_at(x, target, ignore_index) * weights, weights, reduction)


def softmax_cross_entropies(logits: Array, labels: Array, reduction: str = "mean", ignore_index: int = -100) -> Array:
    return likelihoods(log_probabilities(logits), labels, None, ignore_index, reduction)


def cross_entropies(
    x: Array,
    target: Array,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Return the cross entropy with a target distribution for each sample, whose mean divides by samples' weights."""
    rows = np.moveaxis(x, axis, -1)
    k = rows.shape[-1]
    weights = np.ones(k) if weight is None else weight
    if target.shape == x.shape:
        q, counts = np.moveaxis(target, axis, -1), np.ones(rows.shape[:-1])
    else:
        q = np.equal.outer(target, np.arange(k)) * 1.0
        counts = np.where(target == ignore_index, 0.0, (q * weights).sum(axis=-1))
    smooth = (1 - label_smoothing) * q + label_smoothing / k
    losses = -np.where(smooth == 0, 0, smooth * weights * log_probabilities(rows)).sum(axis=-1)
    return averaged(np.where(counts == 0, 0, losses), counts, reduction)


def binary_cross_entropies(p: Array, y: Array, weight: Any = 1.0, reduction: str = "mean") -> Array:
    def one(p: float, y: float) -> float:
        return -(y * math.log(p) if y else 0) - ((1 - y) * math.log(1 - p) if y != 1 else 0)

    return summarised(np.array([one(*pair) for pair in zip(p.flat, y.flat)]).reshape(p.shape) * weight, reduction)


def logit_entropies(z: Array, y: Array, weight: Any = 1.0, reduction: str = "mean", pos_weight: Any = 1.0) -> Array:
    z = z.astype(np.longdouble)
    losses = pos_weight * y * np.log1p(np.exp(-z)) + (1 - y) * np.log1p(np.exp(z))
    return summarised(losses * weight, reduction)


def piecewise(d: Array, beta: float) -> Array:
    size = np.abs(d)
    return np.where(size < beta, d * d / (2 * beta if beta else 1), size - beta / 2)


def gaussians(x: Array, y: Array, var: Array, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> Array:
    """Return minus the logarithm of the normal density, to which a constant belongs only if `full`."""
    var = var if var.ndim in (0, x.ndim) else var[..., None]
    density = np.exp(-((x - y) ** 2) / var / 2) / np.sqrt(var * (2 * np.pi if full else 1))
    return summarised(-np.log(density), reduction)


def divergences(x: Array, y: Array, reduction: str = "mean", log_target: bool = False) -> Array:
    q = np.exp(y) if log_target else y
    losses = np.array([q * (math.log(q) - x) if q else 0.0 for x, q in zip(x.flat, q.flat)]).reshape(x.shape)
    return losses.sum() / len(losses) if reduction == "batchmean" else summarised(losses, reduction)


def sinc_integral(x: Array, n: int = 0) -> Array:
    """Return the n-th derivative of sinc, the integral of cos(pi x t) over t from 0 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    t = (nodes + 1) / 2
    z = np.pi * x[..., None] * t
    wave = (np.cos(z), -np.sin(z), -np.cos(z), np.sin(z))[n % 4]  # cos(z + n pi / 2) has no digits of a small z
    return ((np.pi * t) ** n * wave) @ (weights / 2)


def slope_of_inverse(x: Array) -> Array:
    """Return the derivative of erfinv: that of the normal distribution's quantiles, scaled."""
    return np.asarray(math.sqrt(math.pi) / 2 * np.exp(np.square(scipy.special.ndtri((x + 1) / 2)) / 2))


def derivative_of_power(a: Array, b: Array, n: int = 1, k: int = 0) -> Array:
    """Return what mpmath finds by itself."""
    found = np.vectorize(lambda a, b: float(mpmath.diff(mpmath.power, (float(a), float(b)), (n, k))), [float])
    return np.asarray(found(a, b))


def cofactors(a: Array) -> Array:
    """Return each entry's cofactor by its definition: a signed minor."""
    found = np.zeros(a.shape)
    for *each, i, j in np.ndindex(a.shape):
        minor = np.delete(np.delete(a[tuple(each)], i, 0), j, 1)
        found[(*each, i, j)] = (-1) ** (i + j) * by_algebra.det(minor)
    return found


def cofactor_slopes(a: Array, e: Array) -> Array:
    """Return the derivative of the cofactors along e: each is linear in every row of its minor."""
    a, e = np.broadcast_arrays(a, e)
    found = np.zeros(a.shape)
    for row in range(a.shape[-1]):
        replaced = np.array(a)
        replaced[..., row, :] = e[..., row, :]
        part = cofactors(replaced)
        part[..., row, :] = 0
        found += part
    return found


REFERENCES: dict[str, Callable[..., Array]] = {
    "relu": lambda x: (np.abs(x) + x) / 2,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "erf": lambda x: np.array([math.erf(v) for v in x.flat]).reshape(x.shape),
    "gammaln": lambda x: np.array([math.lgamma(v) for v in x.flat]).reshape(x.shape),
    "polygamma": lambda x, n=0: scipy.special.polygamma(n, x),
    "digamma": lambda x: scipy.special.digamma(x),
    "bessel": lambda x, kind="j", n=0: getattr(scipy.special, f"{kind}v")(n, x),
    "gamma": lambda x: np.array([math.gamma(v) for v in x.flat]).reshape(x.shape),
    "rgamma": lambda x: np.array([1 / math.gamma(v) for v in x.flat]).reshape(x.shape),
    "beta": lambda a, b: np.exp(scipy.special.gammaln(a) + scipy.special.gammaln(b) - scipy.special.gammaln(a + b)),
    "betaln": lambda a, b: scipy.special.gammaln(a) + scipy.special.gammaln(b) - scipy.special.gammaln(a + b),
    "erfinv": lambda x: scipy.special.ndtri((x + 1) / 2) / math.sqrt(2),
    "erfcinv": lambda x: -scipy.special.ndtri(x / 2) / math.sqrt(2),
    "ndtr": lambda x: np.array([(1 + math.erf(v / math.sqrt(2))) / 2 for v in x.flat]).reshape(x.shape),
    "sinc_derivative": sinc_integral,
    "tanh_slope": lambda x, t=None, logistic=False: np.cosh(x / 2 if logistic else x) ** -2.0 / (4 if logistic else 1),
    "edge_product": lambda x, low=-1.0, high=1.0: -x * x + (low + high) * x - low * high,
    "gaussian": lambda x, scale=1.0: np.exp(-scale * x * x),
    "over_square": lambda a, b: a / (a * a + b * b),
    "cosine_of": lambda a, b: np.cos(np.arctan2(b, a)),
    "exponential_share": lambda a, b, binary=False: 1 / (1 + (2 if binary else np.e) ** (b - a)),
    "power_derivative": derivative_of_power,
    "inverse_error_slope": lambda x, complement=False: slope_of_inverse(1 - x if complement else x),
    "logit": lambda x: np.log(x / (1 - x)),
    "xlogy": lambda a, b: scipy.special.xlogy(a, b),
    "xlog1py": lambda a, b: scipy.special.xlog1py(a, b),
    "erfc": lambda x: np.array([math.erfc(v) for v in x.flat]).reshape(x.shape),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * np.array([1 + math.erf(v / math.sqrt(2)) for v in x.flat]).reshape(x.shape) / 2,
    "leaky_relu": lambda x, negative_slope=0.01: np.maximum(x, 0) + negative_slope * np.minimum(x, 0),
    "elu": lambda x, alpha=1.0: np.maximum(x, 0) + alpha * (np.exp(np.minimum(x, 0, dtype=np.longdouble)) - 1),
    "astype": lambda x, dtype: x.astype(dtype),
    "linear": lambda x, w, b=0: by_algebra.einsum("...k,nk->...n", x, w) + b,
    "scaled_dot_product_attention": attended,
    "softmax": lambda x, axis=-1: np.exp(log_probabilities(x, axis)),
    "log_softmax": log_probabilities,
    "logsumexp": log_sum_exp,
    "softmax_cross_entropy": softmax_cross_entropies,
    "class_entries": entries_at,
    "cross_entropy": cross_entropies,
    "nll_loss": likelihoods,
    **dict.fromkeys(["bernoulli_cross_entropy", "binary_cross_entropy"], binary_cross_entropies),
    **dict.fromkeys(["sigmoid_cross_entropy", "binary_cross_entropy_with_logits"], logit_entropies),
    "huber": lambda x, delta=1.0: delta * piecewise(x, delta),
    "at_least": lambda x, eps=1e-6: (x + eps + np.abs(x - eps)) / 2,
    "mse_loss": lambda a, b, reduction="mean": summarised(np.square(a - b), reduction),
    "l1_loss": lambda a, b, reduction="mean": summarised(np.abs(a - b), reduction),
    "huber_loss": lambda a, b, reduction="mean", delta=1.0: summarised(delta * piecewise(a - b, delta), reduction),
    "smooth_l1_loss": lambda a, b, reduction="mean", beta=1.0: summarised(piecewise(a - b, beta), reduction),
    "gaussian_nll_loss": gaussians,
    "kl_div": divergences,
    "getitem": lambda x, index: x[index],
    "scatter_add": scattered,
    "set_at": assigned,
    "matrix_product": by_algebra.matmul,
    "vector_product": by_algebra.matmul,
    "linear_solution": by_algebra.solve,
    "solution_unless_zero": by_algebra.solve,
    "least_squares": lambda a, b, rcond=None: by_algebra.lstsq(a, b, rcond)[::2],
    "cofactor_matrix": cofactors,
    "cofactor_slopes": cofactor_slopes,
    "distinct_quotient": lambda x, d, size: x / d,
    "qr_factors": by_algebra.qr,
    "pseudo_inverse": by_algebra.pinv,
    "mirrored_triangle": lambda a: np.tril(a) + np.tril(a, -1).mT,
    "singular_factors": lambda a, full_matrices=False: by_algebra.svd(a, full_matrices),
    "reshape_to": np.reshape,
    "permute": np.transpose,
    "join": np.concatenate,
    "running_total": LOOPS[np.cumsum],
    "running_largest": functools.partial(by_folds.accumulated, np.maximum),
    "running_smallest": functools.partial(by_folds.accumulated, np.minimum),
    "cummax": by_folds.cumulated(np.maximum),
    "cummin": by_folds.cumulated(np.minimum),
    "total": LOOPS[np.sum],
    "largest": by_folds.largest,
    "smallest": by_folds.smallest,
    "flatten": lambda x, order="C": x.flatten(order),
    "either": np.where,
    "share": shared,
    "topk": extremes,
}

REFERENCES |= by_loops.REFERENCES | by_steps.REFERENCES
