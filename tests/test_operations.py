"""Every operation, on every sample, against every property that an operation has to have.

The checks are the public ones of `tg.testing`. The tests here walk the registry with them, and show
that the samples cover what they must, and that the checks can fail.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from inspect import signature
from typing import Any

import by_loops
import numpy as np
import pytest
import scipy.special

import tinygrad_nn as tg
from tinygrad_nn import ops
from tinygrad_nn.autodiff import raw
from tinygrad_nn.errors import GradientError
from tinygrad_nn.operation import OPERATIONS, sample
from tinygrad_nn.primitive import COMPOSITES
from tinygrad_nn.testing import PROPERTIES, Case, check_kink, mutate_rules, numpy_functions, planted_rule

Array = Any
BEHIND = {
    "matrix_product", "linear_solution", "solution_unless_zero", "least_squares", "cofactor_matrix",
    "cofactor_slopes", "qr_factors",
    "singular_factors", "pseudo_inverse", "mirrored_triangle",
}  # fmt: skip
WITHOUT_GRADIENT = {"eig", "eigvals"}

SYMMETRIC = {"cholesky", "eigh", "eigvalsh", "mirrored_triangle"}
AXES = {"axis", "axes", "axis1", "axis2", "source", "destination"}


def of_symmetric(call: Any) -> Any:
    """Return the call on the symmetric part of its matrix: it reads one triangle, but its gradient is symmetric."""

    def symmetrised(x: Any, **parameters: Any) -> Any:
        return call(x if np.ndim(x) < 2 else (x + np.swapaxes(x, -1, -2)) / 2, **parameters)

    return functools.wraps(call)(symmetrised)


def declared_functions() -> dict[str, Any]:
    """Return the function of each operation, by the operation's name."""
    modules = [import_module(f"{ops.__name__}.{m.name}") for m in pkgutil.iter_modules(ops.__path__)]
    return {f.operation.name: f for m in modules for f in vars(m).values() if hasattr(f, "operation")}


def function_of(name: str) -> Any:
    return COMPOSITES.get(name) or FUNCTIONS[name]


def cases_of(name: str, samples: Iterable[Any] | None = None) -> list[Case]:
    """Return an operation's cases, which know its values: what NumPy says, or an independent formula."""
    function = function_of(name)
    reference = None if numpy_functions(function) else REFERENCES.get(name)
    found = tg.testing.cases_of(function, samples, reference)
    return [
        replace(case, call=of_symmetric(case.call)) if name in SYMMETRIC or case.parameters.get("hermitian") else case
        for case in found
    ]


# ---- values: an independent formula for what NumPy doesn't have ----


def log_sum_exp(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    kept = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    y = x
    for a in kept:
        y = np.logaddexp.reduce(y, axis=a, keepdims=True)
    return y if keepdims else np.squeeze(y, kept)


def log_probabilities(x: Array, axis: Any = -1) -> Array:
    return x - log_sum_exp(x, axis, keepdims=True)


def scattered(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    y = np.zeros(shape, x.dtype)
    np.add.at(y, index, x)
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
    return losses if reduction == "none" else np.sum(losses) if reduction == "sum" else np.mean(losses)


def cross_entropies(logits: Array, labels: Array, reduction: str = "mean") -> Array:
    rows = log_probabilities(logits).reshape(-1, logits.shape[-1])
    losses = np.array([-row[k] for row, k in zip(rows, labels.ravel())]).reshape(labels.shape)
    return summarised(losses, reduction)


def binary_cross_entropies(p: Array, y: Array, reduction: str = "mean") -> Array:
    def one(p: float, y: float) -> float:
        return -(y * math.log(p) if y else 0) - ((1 - y) * math.log(1 - p) if y != 1 else 0)

    return summarised(np.array([one(*pair) for pair in zip(p.flat, y.flat)]).reshape(p.shape), reduction)


def logit_entropies(z: Array, y: Array, reduction: str = "mean") -> Array:
    z = z.astype(np.longdouble)
    return summarised(y * np.log1p(np.exp(-z)) + (1 - y) * np.log1p(np.exp(z)), reduction)


def sinc_integral(x: Array, n: int = 0) -> Array:
    """Return the n-th derivative of sinc, the integral of cos(pi x t) over t from 0 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    t = (nodes + 1) / 2
    return ((np.pi * t) ** n * np.cos(np.pi * x[..., None] * t + n * np.pi / 2)) @ (weights / 2)


def cofactors(a: Array) -> Array:
    """Return each entry's cofactor by its definition: a signed minor."""
    found = np.zeros(a.shape)
    for *each, i, j in np.ndindex(a.shape):
        minor = np.delete(np.delete(a[tuple(each)], i, 0), j, 1)
        found[(*each, i, j)] = (-1) ** (i + j) * np.linalg.det(minor)
    return found


def cofactor_slopes(a: Array, e: Array) -> Array:
    """Return the derivative of the cofactors, which are polynomials of degree 2 at most here: exactly a difference."""
    return (cofactors(a + e) - cofactors(a - e)) / 2


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
    "logit": lambda x: np.log(x / (1 - x)),
    "xlogy": lambda a, b: scipy.special.xlogy(a, b),
    "xlog1py": lambda a, b: scipy.special.xlog1py(a, b),
    "erfc": lambda x: np.array([math.erfc(v) for v in x.flat]).reshape(x.shape),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * np.array([1 + math.erf(v / math.sqrt(2)) for v in x.flat]).reshape(x.shape) / 2,
    "leaky_relu": lambda x, slope=0.01: np.maximum(x, 0) + slope * np.minimum(x, 0),
    "elu": lambda x, alpha=1.0: np.maximum(x, 0) + alpha * (np.exp(np.minimum(x, 0)) - 1),
    "astype": lambda x, dtype: x.astype(dtype),
    "linear": lambda x, w, b=0: np.einsum("...k,nk->...n", x, w) + b,
    "softmax": lambda x, axis=-1: np.exp(log_probabilities(x, axis)),
    "log_softmax": log_probabilities,
    "logsumexp": log_sum_exp,
    "cross_entropy": cross_entropies,
    "binary_cross_entropy": binary_cross_entropies,
    "binary_cross_entropy_with_logits": logit_entropies,
    "mse_loss": lambda a, b, reduction="mean": summarised(np.square(a - b), reduction),
    "getitem": lambda x, index: x[index],
    "scatter_add": scattered,
    "set_at": assigned,
    "matrix_product": np.matmul,
    "linear_solution": np.linalg.solve,
    "solution_unless_zero": np.linalg.solve,
    "least_squares": lambda a, b, rcond=None: (np.linalg.pinv(a) @ b, np.linalg.matrix_rank(a)),
    "cofactor_matrix": cofactors,
    "cofactor_slopes": cofactor_slopes,
    "distinct_quotient": lambda x, d, size: x / d,
    "qr_factors": np.linalg.qr,
    "pseudo_inverse": np.linalg.pinv,
    "mirrored_triangle": lambda a: np.tril(a) + np.tril(a, -1).mT,
    "singular_factors": lambda a, full_matrices=False: np.linalg.svd(a, full_matrices),
    "reshape_to": np.reshape,
    "permute": np.transpose,
    "join": np.concatenate,
    "running_total": np.cumsum,
    "running_largest": np.maximum.accumulate,
    "running_smallest": np.minimum.accumulate,
    "cummax": lambda x, axis=None: np.maximum.accumulate(x.reshape(-1) if axis is None else x, axis=axis or 0),
    "cummin": lambda x, axis=None: np.minimum.accumulate(x.reshape(-1) if axis is None else x, axis=axis or 0),
    "total": np.sum,
    "largest": np.max,
    "smallest": np.min,
    "flatten": lambda x, order="C": x.flatten(order),
    "either": np.where,
    "share": shared,
    "topk": extremes,
}

REFERENCES |= by_loops.REFERENCES


FUNCTIONS = declared_functions()
NAMES = [*OPERATIONS, *COMPOSITES]
CASES = [case for name in NAMES for case in cases_of(name)]
SMOOTH = [case for case in CASES if case.differentiable]
FIRST = [cases_of(name)[0] for name in NAMES]
OF_CALLS = {"keywords", "counted arguments", "errors"}
OF_VALUES = {
    "value", "spellings", "no rule", "float32", "float16", "longdouble",
    "strided", "negative strides", "Fortran order", "stride 0",
}  # fmt: skip
JUDGED = [
    (name, case)
    for name in PROPERTIES
    for case in (FIRST if name in OF_CALLS else CASES if name in OF_VALUES else SMOOTH)
]


# ---- the tests over all cases ----


@pytest.mark.parametrize(("name", "case"), JUDGED, ids=str)
def test_property(name: str, case: Case) -> None:
    PROPERTIES[name](case)


def test_only_what_numpy_widens_is_widened() -> None:
    narrow = [case.astype("float32") for case in SMOOTH if case.active and "dtype" not in case.parameters]
    wider = {case.name for case in narrow if any(y.dtype == np.float64 for y in case.values)}
    assert wider == {"float_power", "cov", "corrcoef", "average", "bincount"}


PRIVATE = {
    "reshape_to", "permute", "join", "matrix_product", "sinc_derivative", "bessel", "total", "largest", "smallest",
    "running_total",
    "running_largest", "running_smallest", "either", "share",
} | BEHIND | {"distinct_quotient"}  # fmt: skip


@pytest.mark.parametrize("name", sorted(WITHOUT_GRADIENT))
def test_operation_whose_gradient_would_be_lost_refuses_it(name: str) -> None:
    with pytest.raises(GradientError, match=rf"operation '{name}'.*detach"):
        function_of(name)(tg.eye(2, requires_grad=True))


@pytest.mark.parametrize("name", NAMES)
def test_public_names(name: str) -> None:
    """What has a public name is in `tg`, and a method or property wherever NumPy's arrays have it as one."""
    call = function_of(name)
    if name in PRIVATE:
        assert not hasattr(tg, name)
        return
    home = tg.linalg if {f.__module__ for f in numpy_functions(call)} == {"numpy.linalg"} else tg
    assert getattr(home, name.removeprefix("linalg_")) is call
    if hasattr(np.ndarray, name) and name not in {"resize", "compress"}:  # in place, or with other arguments
        method = vars(tg.Tensor).get(name)
        there = method.fget if isinstance(method, property) else method
        assert there is call, f"Tensor has no {name!r}, though arrays have"


# ---- kinks: the table, and the minimum-norm convention behind it ----

KINKS = [(name, key) for name, op in OPERATIONS.items() for key in op.kinks]


@pytest.mark.parametrize(("name", "key"), KINKS, ids=lambda v: str(v))
def test_gradient_at_a_kink_is_the_tables(name: str, key: Any) -> None:
    check_kink(function_of(name), key)


@pytest.mark.parametrize("slope", [-0.5, 0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("function", [tg.leaky_relu, tg.elu], ids=["leaky_relu", "elu"])
def test_kink_with_a_parameter_has_minimum_norm(function: Any, slope: float) -> None:
    x = tg.tensor(0.0, requires_grad=True)
    function(x, slope).backward()
    assert x.grad is not None
    assert x.grad.item() == min(max(0.0, min(slope, 1.0)), max(slope, 1.0))


def test_clip_at_its_bounds() -> None:
    x = tg.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    tg.clip(x, -1.0, 1.0).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", ["max", "min"])
def test_tied_extremes_share_the_gradient(name: str, dtype: str) -> None:
    x = tg.zeros((3, 70_000), dtype=dtype, requires_grad=True)
    getattr(tg, name)(x, axis=-1).sum().backward()
    assert x.grad is not None
    assert np.allclose(x.grad.data, 1 / 70_000, rtol=2e-3 if dtype == "float16" else 1e-6)


# ---- errors ----


def test_a_rule_of_the_wrong_shape_is_named() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = tg.tanh(x).sum()
    with planted_rule("tanh", "x", lambda g, y: np.ones((7,))), pytest.raises(ValueError, match="'tanh' for 'x'"):
        y.backward()


# ---- the samples cover what they must ----

NEEDS_AXES = {
    "linear", "cross_entropy", "matmul", "join", "swapaxes", "moveaxis", "split", "unstack",
    "diff", "gradient", "trapezoid", "cumulative_sum", "cumulative_prod", "cov", "corrcoef",
    "running_total", "running_largest", "running_smallest", "polyder", "polyint", "poly", "polyfit",
    "unwrap", "bincount", "fftshift", "ifftshift",
    "rollaxis", "array_split", "hsplit", "vsplit", "dsplit", "fliplr", "flipud", "rot90", "tril", "triu", "diagonal",
    "trace", "diag", "vander", "nonzero", "share", "topk", "searchsorted", "trim_zeros",
    *BEHIND, "linalg_outer", "linalg_cross", "cross", "vecdot", "matvec", "vecmat", "multi_dot", "matrix_transpose",
    "linalg_diagonal", "linalg_trace", "solve", "inv", "tensorinv", "matrix_power", "pinv", "lstsq", "det",
    "slogdet", "cholesky", "qr", "eigh", "eigvalsh", "svd", "svdvals", "eig", "eigvals", "matrix_norm", "cond",
}  # fmt: skip
SAME_SHAPES = {"binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss"}
QUANTILES = {"median", "quantile", "percentile", "nanmedian", "nanquantile", "nanpercentile"}
TIED = {
    "clip", "max", "min", "ptp", "std", "cummax", "running_largest", "sort", "partition", "topk", *QUANTILES, "norm",
    "unwrap",
    "vector_norm", "svdvals",
}  # fmt: skip
NO_EMPTY = {
    "average", "tensorinv", "polyadd", "polysub", "polymul", "polyder", "poly", "polydiv", "polyfit", "bincount",
}  # fmt: skip

# Convolution, pooling and interpolation, whose inputs meet along windows.
PRIVATE |= by_loops.PRIVATE
NEEDS_AXES |= {"correlate", *by_loops.SPATIAL}
SAME_SHAPES |= by_loops.MEET_ALONG_WINDOWS
TIED |= {"interp", *by_loops.TIED}
NO_EMPTY |= by_loops.SEQUENCES


def negative(value: Any) -> bool:
    return any(map(negative, value)) if isinstance(value, (tuple, list)) else isinstance(value, int) and value < 0


def broadcasts(case: Case) -> bool:
    """Return whether an input is stretched: to the others' shape, or to the place that it is assigned to."""
    shapes = [np.shape(x) for x in case.leaves if not isinstance(x, (int, float))]
    if case.name == "set_at":
        return bool(shapes[1] != case.leaves[0][case.parameters["index"]].shape)
    if case.name in ("matmul", "matrix_product"):
        return bool(shapes[0][:-2] != shapes[1][:-2])
    return any(shape != case.values[0].shape for shape in shapes[case.name == "linear" :])


def features(case: Case) -> set[str]:
    """Return what a sample covers."""
    arrays = [x for x in case.leaves if isinstance(x, np.ndarray)]
    axes = [v for k, v in case.parameters.items() if k in AXES]
    found = {
        "size 0": any(x.size == 0 for x in arrays),
        "0-d": any(x.ndim == 0 for x in arrays),
        "negative axis": any(map(negative, axes)),
        "broadcasting": len(arrays) > 1 and broadcasts(case),
        "ties": case.at_kink,
    }
    return {feature for feature, there in found.items() if there}


def required(name: str) -> set[str]:
    """Return what an operation's samples must cover between them."""
    op = OPERATIONS.get(name)
    names = [*op.arguments, *op.defaults] if op is not None else list(signature(COMPOSITES[name]).parameters)
    inputs = max(len(case.places) for case in cases_of(name))
    found = {
        "size 0": name not in NO_EMPTY,
        "0-d": name not in NEEDS_AXES,
        "negative axis": bool(AXES & set(names)) and name != "tensorsolve",  # nor does NumPy's take one
        "broadcasting": inputs > 1 and name not in SAME_SHAPES | by_loops.TAKE_WINDOWS,
        "ties": name in TIED or bool(op is not None and op.kinks),
    }
    return {feature for feature, there in found.items() if there}


def missing(name: str, cases: Iterable[Case]) -> set[str]:
    return required(name) - set().union(*map(features, cases))


@pytest.mark.parametrize("name", NAMES)
def test_samples_cover(name: str) -> None:
    lacking = missing(name, cases_of(name))
    assert lacking == set(), f"operation {name!r} has no sample with {lacking}"


@pytest.mark.parametrize("name", NAMES)
def test_missing_samples_are_noticed(name: str) -> None:
    for feature in required(name):
        crippled = [case for case in cases_of(name) if feature not in features(case)]
        assert feature in missing(name, crippled), f"operation {name!r} without samples of {feature}"


def test_crippled_sample_lists() -> None:
    assert missing("total", cases_of("total", [sample((2, 3))])) == {"size 0", "0-d", "negative axis"}
    assert missing("max", cases_of("max", [sample((0, 3), axis=-2 + 1), sample(())])) == {"ties"}
    assert missing("multiply", cases_of("multiply", [sample((0,), (0,)), sample((), ())])) == {"broadcasting"}
    assert missing("maximum", cases_of("maximum", [sample((0,), (1,)), sample((), 1.0)])) == {"ties"}
    assert missing("matmul", cases_of("matmul", [sample((0, 3), (3, 2))])) == {"broadcasting"}
    assert missing("transpose", cases_of("transpose", [sample((0, 3), axes=(1, 0)), sample(())])) == {"negative axis"}


@pytest.mark.parametrize("name", sorted(NEEDS_AXES))
def test_operations_without_0d_samples_refuse_0d(name: str) -> None:
    for case in cases_of(name):
        flat = [np.array(1.0) if isinstance(x, np.ndarray) else x for x in case.leaves]
        with pytest.raises((ValueError, IndexError)):
            case.outputs(flat)


@pytest.mark.parametrize("name", sorted(SAME_SHAPES))
def test_operations_without_broadcasting_samples_refuse_it(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        function_of(name)(np.full((2, 1), 0.5), np.full((1, 3), 0.5))


def test_every_kink_is_in_the_table() -> None:
    """An operation whose own samples lie where its derivative jumps has that in `kinks`, or is TIED."""
    kinked = {case.name for case in SMOOTH if case.at_kink}
    tabled = {name for name, op in OPERATIONS.items() if op.kinks}
    assert kinked <= tabled | TIED


def test_every_operation_has_samples_and_a_reference() -> None:
    assert set(FUNCTIONS) == set(OPERATIONS)
    for name in NAMES:
        assert cases_of(name), f"operation {name!r} has no samples"
        assert name in REFERENCES or numpy_functions(function_of(name)), f"no values for {name!r}"


def test_complex_step_judges_every_analytic_ufunc() -> None:
    judged = {case.name for case in SMOOTH if PROPERTIES["complex step"](case)}
    loops = {name: getattr(op.forward, "types", []) for name, op in OPERATIONS.items() if op.differentiable}
    analytic = {name for name, types in loops.items() if {"D->D", "DD->D"} & set(types)}
    assert analytic - {"conjugate"} <= judged
    assert {"total", "matrix_product", "getitem", "scatter_add", "either", "permute", "reshape_to"} <= judged


# ---- the checks can fail ----


@contextmanager
def wrong_rules(name: str, *rules: Any) -> Iterator[None]:
    """Plant wrong rules, one for each input of an operation, while the body runs."""
    with ExitStack() as stack:
        for argument, rule in zip(OPERATIONS[name].arguments, rules, strict=True):
            stack.enter_context(planted_rule(name, argument, rule))
        yield


def detached(x: Any) -> Any:
    """Return the values alone, as a careless helper of the library's own would: it isn't caught in the act."""
    return tg.Tensor(raw(x)) if isinstance(x, tg.Tensor) else x


def noticed(check: Callable[[Case], Any], name: str) -> bool:
    """Return whether the check fails on a sample of the operation, and names it."""
    said = []
    for case in cases_of(name):
        try:
            check(case)
        except AssertionError as error:
            said.append(str(error))
    assert all(repr(name) in text for text in said)
    return bool(said)


WRONG_FIRST: dict[str, tuple[Any, ...]] = {
    "tanh": (lambda g, y: -(g * (1 - y * y)),),
    "exp": (lambda g, y: 2 * g * y,),
    "sin": (lambda g, x: g * np.cos(x) * (1 + 1e-6),),
    "divide": (lambda g, b: g / b, lambda g, b, y: g * y / b),
    "hypot": (lambda g, a, y: g * (a / y), lambda g, b, y: g * b),
    "matrix_product": (lambda g, b: g @ np.swapaxes(b, -1, -2), lambda g, a: np.swapaxes(a, -1, -2) @ g * 0),
    "reshape_to": (lambda g, x_shape: np.reshape(np.flip(g), x_shape),),
    "total": (lambda g, x_shape, axis, keepdims: np.ones(x_shape) * np.sum(g),),
    "logsumexp": (lambda g, x, axis, keepdims: np.ones_like(x),),
    "set_at": (lambda g, index: g, lambda g, x_shape, index: g[index]),
    "maximum": (lambda g, a, b, wanted: g * (a > b), lambda g, a, b, wanted: g * (a >= b)),
}
WRONG_SECOND: dict[str, tuple[Any, ...]] = {
    "tanh": (lambda g, y: g * (1 - detached(y) * y),),
    "multiply": (lambda g, b: g * detached(b), lambda g, a: g * a),
    "log": (lambda g, x: g / detached(x),),
    "getitem": (lambda g, x_shape, index: tg.scatter_add(detached(g), index, x_shape),),
    "softmax": (lambda g, y, axis: y * (g - detached(np.sum(g * y, axis=axis, keepdims=True))),),
}


@pytest.mark.parametrize("name", WRONG_FIRST)
def test_wrong_rule_is_noticed(name: str) -> None:
    with wrong_rules(name, *WRONG_FIRST[name]):
        assert noticed(PROPERTIES["gradient"], name), f"a wrong rule of {name!r} passes"


@pytest.mark.parametrize("name", WRONG_SECOND)
def test_rule_wrong_at_second_order_only_is_noticed(name: str) -> None:
    with wrong_rules(name, *WRONG_SECOND[name]):
        assert noticed(PROPERTIES["second order"], name), f"a rule of {name!r} that drops a term at second order passes"


@pytest.mark.parametrize(
    ("name", "attribute", "wrong"),
    [
        ("matrix_product", "tangent_rules", (lambda t, b: t @ b, lambda t, a: -(a @ t))),
        ("linear", "tangent_rules", (lambda t, weight: t @ weight.T, lambda t, x: x @ t.T * 2, lambda t: t)),
        ("getitem", "kernel", lambda x, index: np.flip(x[index])),
        ("join", "kernel", lambda xs, axis: np.concatenate(xs[::-1], axis)),
    ],
)
def test_a_wrong_way_to_push_tangents_is_noticed(
    name: str, attribute: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = OPERATIONS[name]
    made = op._made(wrong, None) if attribute == "tangent_rules" else wrong
    monkeypatch.setattr(op, attribute, made)
    assert noticed(PROPERTIES["forward mode"], name)


def test_a_tangent_rule_reads_what_is_kept() -> None:
    with pytest.raises(TypeError, match="may read b only"):
        OPERATIONS["matrix_product"].set_tangent_rules((lambda t, a: a @ t, lambda t, a: a @ t))


def scaled_in_place(g: Any, y: Any) -> Any:
    g *= y
    return g


def test_impure_rule_is_noticed() -> None:
    with wrong_rules("exp", scaled_in_place):
        assert noticed(PROPERTIES["purity"], "exp")


def test_wrong_kink_is_noticed() -> None:
    with wrong_rules("relu", lambda g, y: g * (y >= 0)), pytest.raises(AssertionError, match="'relu'"):
        check_kink(tg.relu, 0)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("value", lambda x: tg.Tensor(np.tanh(x.data) * (1 + 1e-14))),
        ("value", lambda x: tg.tanh(x.reshape(1, *x.shape))),
        ("spellings", lambda x: tg.tanh(x).detach()),
        ("spellings", lambda x: tg.tanh(x) + 1e-15),
        ("float32", lambda x: tg.tanh(x.astype("float64"))),
        ("strided", lambda x: tg.tanh(x) * (2 - x.data.flags.c_contiguous)),
        ("stride 0", lambda x: tg.tanh(x) * (1 + (0 in x.data.strides))),
        ("complex step", lambda x: tg.tanh(x) * (1 + 1e-13)),
    ],
    ids=["value", "shape", "detached", "spelling", "dtype", "strided", "stride 0", "complex step"],
)
def test_broken_function_is_noticed(name: str, broken: Any) -> None:
    def break_only_the_function(case: Case) -> Any:
        spelled = replace(case, call=broken)
        return PROPERTIES[name](spelled)

    assert noticed(break_only_the_function, "tanh")


# ---- no mutated rule gets through ----

DERIVATIVES = ["gradient", "second order", "complex step", "constant operand", "float32"]
EQUIVALENT = {
    # of 3 x 3, whose determinant is a polynomial of degree 3
    "cofactor_slopes for a: uses a stale a",
    "cofactor_slopes for a: takes a for a constant",
}


RULED = [name for name, op in OPERATIONS.items() if op.differentiable]


@pytest.mark.parametrize("name", RULED if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else RULED[::6])
def test_every_mutated_rule_is_noticed(name: str) -> None:
    cases = [case for case in cases_of(name) if case.differentiable]

    def judge() -> None:
        for check, case in itertools.product(DERIVATIVES, cases):
            PROPERTIES[check](case)

    report = mutate_rules(judge, [name])
    assert {str(mutant) for mutant in report.survivors} <= EQUIVALENT, str(report)
    assert report.noticed
    assert not report.unused
