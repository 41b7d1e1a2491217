"""Every operation, on every sample, against every property that an operation has to have.

A check is a plain function of a Case that raises an AssertionError naming the operation. The tests
at the end show that the samples cover what they must, and that the checks can fail.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import pkgutil
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from inspect import Parameter, signature
from typing import Any

import by_loops
import numpy as np
import pytest
import scipy.special

import tinygrad_nn as tg
from tinygrad_nn import ops
from tinygrad_nn.autodiff import pointwise
from tinygrad_nn.errors import GradientError
from tinygrad_nn.operation import OPERATIONS, Operation, Rule, sample
from tinygrad_nn.primitive import COMPOSITES
from tinygrad_nn.tensors import NUMPY_FUNCTIONS

Array = Any
EPS = float(np.finfo(np.float64).eps)
BEHIND = {
    "matrix_product", "linear_solution", "solution_unless_zero", "least_squares", "cofactor_matrix",
    "cofactor_slopes", "qr_factors",
    "singular_factors", "pseudo_inverse", "mirrored_triangle",
}  # fmt: skip
WITHOUT_GRADIENT = {"eig", "eigvals"}

# ---- cases: an operation and one of its samples ----


@dataclass(frozen=True, eq=False)
class Case:
    """An operation's function with one sample's inputs, and how they are put into a call.

    `leaves` are the inputs, variadic ones in a row; `places` says for each positional argument
    which leaves it takes: an int, or a tuple for a variadic one.
    """

    name: str
    call: Callable[..., Any]
    operation: Operation | None
    leaves: tuple[Any, ...]
    places: tuple[Any, ...]
    parameters: dict[str, Any]
    drawn: bool
    label: str

    def __str__(self) -> str:
        return f"{self.name}-{self.label}"

    def arguments(self, leaves: Sequence[Any]) -> list[Any]:
        """Return the positional arguments with these leaves."""
        return [leaves[p] if isinstance(p, int) else [leaves[i] for i in p] for p in self.places]

    def outputs(self, leaves: Sequence[Any]) -> list[Any]:
        """Return the results of the call, in a list; of several those that record."""
        results = self.results(leaves)
        return [results[i] for i in self.recording] if len(results) > 1 else results

    @functools.cached_property
    def recording(self) -> list[int]:
        """The results that require grad; check_gradient holds the others to be constant."""
        with tg.enable_grad():
            results = self.results(self.tensors())
        return [i for i, y in enumerate(results) if y.requires_grad or not self.active]

    def recorded(self, results: list[Any]) -> tuple[list[Any], list[Array]]:
        """Return those of all results that require grad, and their seeds."""
        places = self.recording if len(results) > 1 else [0]
        pairs = [(results[i], u) for i, u in zip(places, self.seeds) if results[i].requires_grad]
        return [y for y, _ in pairs], [u for _, u in pairs]

    def results(self, leaves: Sequence[Any]) -> list[Any]:
        """Return all results of the call, in a list."""
        result = self.call(*self.arguments(leaves), **self.parameters)
        return list(result) if isinstance(result, (list, tuple)) else [result]

    def smooth(self, leaves: Sequence[Any]) -> list[Any]:
        """Return the results that can have a gradient: no ranks, no complex numbers."""
        return [y for y in self.outputs(leaves) if y.dtype.kind == "f"]

    @functools.cached_property
    def active(self) -> list[int]:
        """The leaves to differentiate: floating arrays that a rule exists for."""
        op = self.operation
        if self.name in WITHOUT_GRADIENT:
            return []
        unruled = () if op is None or op.variadic else [i for i, rule in enumerate(op.rules) if rule is None]
        return [i for i, x in enumerate(self.leaves) if is_floating(x) and i not in unruled]

    def at(self, leaves: Iterable[Any]) -> Case:
        return replace(self, leaves=tuple(leaves))

    def astype(self, dtype: Any) -> Case:
        return self.at(x.astype(dtype) if is_floating(x) else x for x in self.leaves)

    def tensors(self, leaves: Sequence[Any] | None = None) -> list[Any]:
        """Return the leaves wrapped in fresh Tensors, the active ones requiring grad."""
        return [
            tg.Tensor(x, requires_grad=i in self.active) if isinstance(x, np.ndarray) else x
            for i, x in enumerate(self.leaves if leaves is None else leaves)
        ]

    @functools.cached_property
    def values(self) -> list[Array]:
        """The results' arrays."""
        with tg.no_grad():
            return [y.data for y in self.outputs(self.tensors())]

    @functools.cached_property
    def seeds(self) -> list[Array]:
        """Signed cotangents without tiny components, 0 where the result isn't finite."""
        rng = np.random.default_rng(1)
        values = [y for y in self.values if y.dtype.kind == "f"]
        return [np.where(np.isfinite(y), signed(rng, y.shape), 0).astype(y.dtype) for y in values]

    def fails(self, what: str) -> str:
        shapes = [np.shape(x) for x in self.leaves]
        return f"operation {self.name!r}, sample {self.label} (shapes {shapes}, {self.parameters}): {what}"


SYMMETRIC = {"cholesky", "eigh", "eigvalsh", "mirrored_triangle"}
AXES = {"axis", "axes", "axis1", "axis2", "source", "destination"}


def is_floating(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def signed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return numbers of both signs between 0.5 and 1.5 in size."""
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape))


def distinct(seed: str, size: int, domain: tuple[float, float], kinks: Iterable[Any]) -> Iterator[float]:
    """Yield so many numbers of the domain, no two close to each other or to a kink."""
    rng = np.random.default_rng(zlib.crc32(seed.encode()))
    low, high = domain
    gap = (high - low) / max(size, 1)
    for place in rng.permutation(size):
        x = low + gap * (place + rng.uniform(0.3, 0.7))
        near = [k for k in kinks if np.ndim(k) == 0 and abs(x - k) < 0.15]
        yield near[0] + math.copysign(0.15, x - near[0]) + (x - near[0]) / 4 if near else x


def leaf(x: Any, draw: Callable[[tuple[int, ...]], Array]) -> Any:
    return draw(x) if isinstance(x, tuple) else x


def size_of(x: Any) -> int:
    return math.prod(x) if isinstance(x, tuple) else sum(map(size_of, x)) if isinstance(x, list) else 0


def build(name: str, call: Any, inputs: Sequence[Any], parameters: dict[str, Any], label: str) -> Case:
    """Return the case of one sample, its shapes filled with distinct values."""
    op = getattr(call, "operation", None)
    kinks, domain = (op.kinks, op.domain) if op is not None else ({}, (-2.0, 2.0))
    numbers = distinct(f"{name} {label}", sum(map(size_of, inputs)), domain, kinks)

    def draw(shape: tuple[int, ...]) -> Array:
        values = np.array(list(itertools.islice(numbers, math.prod(shape)))).reshape(shape)
        return values if op is None or takes_floats(op) else discrete(op, values)

    leaves: list[Any] = []
    places: list[Any] = []
    for x in inputs:
        if isinstance(x, list):
            places.append(tuple(range(len(leaves), len(leaves) + len(x))))
            leaves += [leaf(part, draw) for part in x]
        else:
            places.append(len(leaves))
            leaves.append(leaf(x, draw))
    drawn = not any(is_floating(x) for x in inputs)
    call = of_symmetric(call) if name in SYMMETRIC or parameters.get("hermitian") else call
    return Case(name, call, op, tuple(leaves), tuple(places), parameters, drawn, label)


def discrete(op: Operation, values: Array) -> Array:
    """Return drawn values as what a ufunc of booleans or integers takes."""
    booleans = any(loop.startswith("?") for loop in getattr(op.forward, "types", ()))
    return np.asarray(values > 0) if booleans else np.asarray(np.round(6 + 2 * values), int)


def of_symmetric(call: Any) -> Any:
    """Return the call on the symmetric part of its matrix: it reads one triangle, but its gradient is symmetric."""

    def symmetrised(x: Any, **parameters: Any) -> Any:
        return call(x if np.ndim(x) < 2 else (x + np.swapaxes(x, -1, -2)) / 2, **parameters)

    return functools.wraps(call)(symmetrised)


def takes_floats(op: Operation) -> bool:
    """Return False for ufuncs of integers and booleans."""
    return not isinstance(op.forward, np.ufunc) or any("d" in loop for loop in op.forward.types)


def declared_functions() -> dict[str, Any]:
    """Return the function of each operation, by the operation's name."""
    modules = [import_module(f"{ops.__name__}.{m.name}") for m in pkgutil.iter_modules(ops.__path__)]
    return {f.operation.name: f for m in modules for f in vars(m).values() if hasattr(f, "operation")}


def function_of(name: str) -> Any:
    return COMPOSITES.get(name) or FUNCTIONS[name]


def generated_samples(op: Operation) -> list[Any]:
    """Return the samples of an operation on corresponding entries, which declares none of its own."""
    low, high = op.domain
    number: Any = low + 0.618 * (high - low) if takes_floats(op) else discrete(op, np.array(1.0))[()]
    strided = np.linspace(low, high, 9)[7::-2]
    if len(op.arguments) == 1:
        found = [sample(shape) for shape in [(3,), (2, 3), (), (0,)]]
        found += [sample(strided if takes_floats(op) else discrete(op, strided))]
    else:
        shapes: list[Any] = [((3,), (3,)), ((2, 1), (1, 3)), ((3,), ()), ((), ()), ((0,), (1,)), ((2, 3), (3,))]
        found = [sample(*pair) for pair in shapes]
        found += [sample((3,), number), sample(number, (3,)), sample((), number), sample((0, 2), number)]
    return found + [sample(*kink_inputs(op, key)) for key in op.kinks]


def kink_inputs(op: Operation, key: Any) -> list[Array]:
    """Return the operands that a key of the kinks table stands for: one array, or one number each."""
    if len(op.arguments) == 1:
        return [np.atleast_1d(np.array(key, np.float64))]
    return [np.array([k], np.float64) for k in key]


def samples_of(name: str) -> list[Any]:
    """Return an operation's or composite's samples: those declared, and those that can be generated."""
    if name in COMPOSITES:
        return list(function_of(name).samples)
    op = OPERATIONS[name]
    return (generated_samples(op) if op.pointwise else []) + list(op.samples)


def describe(x: Any) -> str:
    shape = x if isinstance(x, tuple) else getattr(x, "shape", None)
    if isinstance(x, list):
        return "+".join(describe(part) for part in x)
    return str(x) if shape is None else "x".join(map(str, shape)) or "0d"


def cases_of(name: str, samples: Iterable[Any] | None = None) -> list[Case]:
    call = function_of(name)
    found = []
    for number, (inputs, parameters) in enumerate(samples_of(name) if samples is None else samples):
        label = f"{number}:" + ",".join(map(describe, inputs))
        found.append(build(name, call, inputs, parameters, label))
    return found


FUNCTIONS = declared_functions()
NAMES = [*OPERATIONS, *COMPOSITES]
CASES = [case for name in NAMES for case in cases_of(name)]
SMOOTH = [case for case in CASES if case.operation is None or (case.operation.differentiable and case.active)]
CONSTANT = [case for case in CASES if case not in SMOOTH]


def over(cases: Sequence[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=str)


# ---- numerical derivatives ----


@dataclass
class Numeric:
    """The slope of a function in each entry of one array: by central differences, and one-sided."""

    central: Array
    left: Array
    right: Array

    @property
    def kinked(self) -> Array:
        """Where the one-sided slopes differ by more than a smooth function's do."""
        return np.abs(self.right - self.left) > 0.05 * (1 + np.abs(self.central))


def numeric(function: Callable[[list[Any]], float], leaves: Sequence[Any], place: int, step: float) -> Numeric:
    """Return the slopes in the entries of one leaf; nan for entries that aren't finite.

    Central differences of two steps, extrapolated (Richardson): the error is of order step**4.
    """
    x = leaves[place]
    central, left, right = (np.full(x.shape, np.nan) for _ in range(3))
    middle = function(list(leaves))
    for entry in np.ndindex(x.shape):
        if not np.isfinite(x[entry]):
            continue

        def moved(by: float, entry: tuple[int, ...] = entry) -> float:
            y = np.array(x)
            y[entry] += by
            return function([*leaves[:place], y, *leaves[place + 1 :]])

        up, down = moved(step / 2), moved(-step / 2)
        wide, narrow = (moved(step) - moved(-step)) / (2 * step), (up - down) / step
        central[entry] = (4 * narrow - wide) / 3
        left[entry], right[entry] = (middle - down) / (step / 2), (up - middle) / (step / 2)
    return Numeric(central, left, right)


def accuracy(case: Case) -> tuple[float, float]:
    """Return a step for central differences, and the error to expect, by the results' precision."""
    single = any(u.dtype.itemsize < 8 for u in case.seeds)
    return (0.05, 1e-4) if single else (1e-3, 2e-9)


def weighed(case: Case, leaves: Sequence[Any]) -> float:
    """Return the results' sum at other leaves, weighed by the case's seeds."""
    with tg.no_grad():
        pairs = zip(case.smooth(case.tensors(leaves)), case.seeds)
        return math.fsum(float(np.sum(np.where(u == 0, 0, y.data) * u.astype(np.float64))) for y, u in pairs)


def gradients(case: Case, leaves: Sequence[Any] | None = None) -> list[Array]:
    """Return the gradients of the active leaves, at the case's own leaves or at others."""
    tensors = case.tensors(leaves)
    found = tg.autograd.grad(case.smooth(tensors), [tensors[i] for i in case.active], case.seeds)
    return [g.data for g in found if g is not None]


def close(found: Array, expected: Array, tolerance: float) -> bool:
    """Return whether all entries agree to the tolerance, relative to the largest of them."""
    scale = max(1.0, float(np.max(np.abs(expected), initial=0, where=np.isfinite(expected))))
    return found.shape == expected.shape and np.allclose(found, expected, rtol=0, atol=tolerance * scale)


# ---- values: what NumPy says, or an independent formula for what NumPy doesn't have ----


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


def numpy_functions(name: str) -> list[Any]:
    """Return NumPy's functions for an operation; what takes arguments in another way has its own tests.

    Those are ufunc methods, whose defaults differ, and np.astype, whose dtype has no name.
    """
    found = [f for f, recorded in NUMPY_FUNCTIONS.items() if recorded is function_of(name)]
    return [f for f in found if not isinstance(getattr(f, "__self__", None), np.ufunc) and f.__name__ != "astype"]


def check_value(case: Case) -> None:
    known = numpy_functions(case.name)
    reference = known[0] if known else REFERENCES[case.name]
    expected = reference(*case.arguments(case.leaves), **case.parameters)
    expected = [np.asarray(y) for y in (expected if isinstance(expected, (list, tuple)) else [expected])]
    values = [y.data for y in case.results(case.tensors())]
    assert len(values) == len(expected), case.fails("another number of results than NumPy's")
    for y, e in zip(values, expected):
        assert type(y) is np.ndarray, case.fails(f"data is a {type(y).__name__}")
        assert y.shape == e.shape, case.fails(f"shape {y.shape}, not {e.shape}")
        assert y.dtype == e.dtype or not known, case.fails(f"dtype {y.dtype}, not {e.dtype}")
        if known and isinstance(getattr(case.operation, "forward", None), np.ufunc):
            assert np.array_equal(y, e), case.fails(f"{y} is not NumPy's {e}")
        scale = np.max(np.abs(e), initial=0, where=np.isfinite(e)) if e.dtype.kind == "f" else 0
        exact = np.allclose(y, e, rtol=8 * EPS, atol=8 * EPS * float(scale), equal_nan=True)
        assert exact, case.fails(f"{y} is not {e}")


# ---- spellings: function, method, operator, NumPy's function ----

OPERATORS = [
    "add", "sub", "mul", "truediv", "floordiv", "pow", "matmul", "and", "or", "xor", "neg", "pos", "abs", "invert",
    "lt", "le", "gt", "ge",
]  # fmt: skip
EQUALITIES = {"equal": operator.eq, "not_equal": operator.ne}


def operators(name: str) -> list[Any]:
    call = function_of(name)
    found = [getattr(operator, f"__{n}__") for n in OPERATORS if vars(tg.Tensor).get(f"__{n}__") is call]
    return found + [o for n, o in EQUALITIES.items() if n == name]


def operator_name(name: str) -> str:
    """Return what Python calls the operator of an operation: "add" for `+`, "" where there is none."""
    found = [n for n in OPERATORS if vars(tg.Tensor).get(f"__{n}__") is function_of(name)]
    return found[0] if found else ""


def spellings(case: Case) -> dict[str, Callable[..., Any]]:
    """Return every way to write the call on Tensors."""
    call, name = function_of(case.name), case.name
    found = {f"{f.__class__.__name__} np.{f.__name__}": f for f in numpy_functions(name)}
    for space in (tg, tg.linalg):
        if getattr(space, name, None) is call:
            found[f"{space.__name__}.{name}"] = getattr(space, name)
    first_is_tensor = isinstance(case.places[0], int) and isinstance(case.leaves[case.places[0]], np.ndarray)
    if vars(tg.Tensor).get(name) is call and first_is_tensor:
        found[f"Tensor.{name}"] = lambda x, *rest, **parameters: getattr(x, name)(*rest, **parameters)
    return found | {f"operator.{o.__name__}": o for o in operators(name)}


def check_spellings(case: Case) -> None:
    leaves = case.tensors()
    expected = case.results(leaves)
    for spelling, function in spellings(case).items():
        check_same_record(case, spelling, function, leaves, expected)


def check_same_record(case: Case, spelling: str, function: Any, leaves: list[Any], expected: list[Any]) -> None:
    result = function(*case.arguments(leaves), **case.parameters)
    result = list(result) if isinstance(result, (list, tuple)) else [result]
    same = all(np.array_equal(a.data, b.data, equal_nan=a.dtype.kind == "f") for a, b in zip(result, expected))
    assert same, case.fails(f"{spelling} gives {result}, the function {expected}")
    for a, b in zip(result, expected):
        assert isinstance(a, tg.Tensor), case.fails(f"{spelling} gives a {type(a).__name__}")
        assert a.requires_grad == b.requires_grad, case.fails(f"{spelling} records otherwise than the function")
    if any(y.requires_grad for y in result):
        wanted = [x for x in leaves if isinstance(x, tg.Tensor) and x.requires_grad]
        (result, seeds), (expected, _) = case.recorded(result), case.recorded(expected)
        ours = tg.autograd.grad(result, wanted, seeds)
        known = tg.autograd.grad(expected, wanted, seeds, retain_graph=True)
        assert all(np.array_equal(a.data, b.data) for a, b in zip(ours, known)), case.fails(f"gradient of {spelling}")


ONE_OUTPUT_EACH = {"lstsq", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "meshgrid"}


def check_constant_operand(case: Case) -> None:
    """One operand a plain array: the other's gradient is the same, in every spelling; but not at a tie."""
    if at_kink(case):
        return
    full = dict(zip(case.active, gradients(case)))
    for lone in case.active:
        leaves = [tg.tensor(x, requires_grad=True) if i == lone else x for i, x in enumerate(case.leaves)]
        outputs = case.outputs(leaves)
        some = any if case.name in ONE_OUTPUT_EACH else all
        assert some(y.requires_grad for y in outputs), case.fails("not recorded beside a constant")
        outputs, seeds = case.recorded(case.results(leaves))
        (g,) = tg.autograd.grad(outputs, [leaves[lone]], seeds, retain_graph=True)
        assert g is not None
        assert close(g.data, full[lone], 8 * EPS), case.fails(f"input {lone} beside constants")
        for spelling, function in spellings(case).items():
            if not spelling.startswith("Tensor") or lone == case.places[0]:
                check_same_record(case, f"{spelling} beside a constant", function, leaves, case.results(leaves))


# ---- derivatives ----


def check_gradient(case: Case) -> None:
    """Every entry of every gradient against central differences; at a kink, between both slopes."""
    step, tolerance = accuracy(case)
    moved = case.results([x * (1 + 1e-9) if is_floating(x) else x for x in case.leaves])
    for i, (y, e) in enumerate(zip(moved, case.results(case.tensors()))):
        constant = i in case.recording or len(moved) == 1 or np.array_equal(y.data, e.data)
        assert constant, case.fails(f"result {i} depends on the inputs, but is not recorded")
    for i, g in zip(case.active, gradients(case)):
        x = case.leaves[i]
        assert (g.shape, g.dtype) == (x.shape, x.dtype), case.fails(f"gradient of input {i} is {g.dtype}{g.shape}")
        assert np.isfinite(g).all(), case.fails(f"gradient of input {i} is {g}")
        slopes = numeric(functools.partial(weighed, case), case.leaves, i, step)
        kinked, smooth = slopes.kinked, ~slopes.kinked & np.isfinite(x)
        assert not (case.drawn and kinked.any()), case.fails(f"input {i} was drawn at a kink: {x}")
        right = close(g[smooth], slopes.central[smooth], tolerance)
        assert right, case.fails(f"gradient of input {i} is {g}, by central differences {slopes.central}")
        low, high = np.minimum(slopes.left, slopes.right) - step, np.maximum(slopes.left, slopes.right) + step
        between = (low <= g) & (g <= high)
        assert between[kinked].all(), case.fails(f"input {i} at a kink: {g} is no subgradient of {slopes}")


def at_kink(case: Case) -> bool:
    """Return whether a sample's own numbers, never those drawn, lie where the derivative jumps."""
    step, _ = accuracy(case)
    return not case.drawn and any(
        numeric(functools.partial(weighed, case), case.leaves, i, step).kinked.any() for i in case.active
    )


def complex_slopes(case: Case, i: int) -> Array | None:
    """Return the slopes in input `i` by the complex step, None where the forward refuses complex numbers."""
    assert case.operation is not None
    inputs, values = case.operation.bind(tuple(case.arguments(case.leaves)), case.parameters)
    case.operation.run(list(inputs), values)
    x, h = case.leaves[i], 1e-30
    found = np.full(x.shape, np.nan)
    for entry in np.ndindex(x.shape):
        z = x.astype(complex)
        z[entry] += 1j * h
        try:
            y = case.operation.forward(*case.arguments([*case.leaves[:i], z, *case.leaves[i + 1 :]]), **values)
        except (TypeError, Warning):
            return None
        if isinstance(y, tuple) or np.asarray(y).dtype.kind != "c":
            return None
        found[entry] = np.sum(np.where(case.seeds[0] == 0, 0, np.imag(y)) * case.seeds[0]) / h
    return found


def check_complex_step(case: Case) -> bool:
    """Compare to the last digits with the complex step; return whether the operation allows it."""
    checked = False
    for i, g in zip(case.active, gradients(case)):
        with np.errstate(all="ignore"):
            exact = complex_slopes(case, i)
        rough = numeric(functools.partial(weighed, case), case.leaves, i, 1e-3)
        if exact is None or not close(exact, rough.central, 1e-6) or rough.kinked.any():
            continue  # it refuses complex numbers, or its |x| or comparison is not analytic
        checked = checked or g.size > 0
        assert close(g, exact, 64 * EPS), case.fails(f"gradient of input {i} is {g}, by the complex step {exact}")
    return checked


def check_second_order(case: Case) -> None:
    """The gradient of <gradient, v>, in inputs and cotangents, against central differences."""
    step, tolerance = accuracy(case)
    rng = np.random.default_rng(2)
    directions = [signed(rng, case.leaves[i].shape) for i in case.active]
    seeds = [tg.tensor(u, requires_grad=True) for u in case.seeds]
    leaves = case.tensors()
    active = [leaves[i] for i in case.active]
    first = tg.autograd.grad(case.smooth(leaves), active, seeds, create_graph=True)
    recorded = all(g is not None and g.requires_grad for g in first)
    assert recorded, case.fails("the gradient doesn't record its cotangent")
    inner = [tg.sum(g * v) for g, v in zip(first, directions) if g is not None]
    found = tg.autograd.grad(inner, [*active, *seeds], allow_unused=True)

    def first_order(moved: Sequence[Any]) -> float:
        return math.fsum(float(np.sum(g * v)) for g, v in zip(gradients(case, moved), directions))

    kinked = at_kink(case)
    for i, g in zip(case.active, found):
        x = case.leaves[i]
        data = np.zeros(x.shape) if g is None else g.data
        assert (data.shape, data.dtype) == (x.shape, x.dtype), case.fails(f"second order of input {i}: {g}")
        slopes = numeric(first_order, case.leaves, i, step).central
        right = kinked or close(data[np.isfinite(slopes)], slopes[np.isfinite(slopes)], 10 * tolerance)
        assert right, case.fails(f"second order of input {i} is {data}, by central differences {slopes}")
    if not kinked:
        check_pushforward(case, directions, found[len(active) :])


def check_pushforward(case: Case, directions: list[Array], found: Sequence[Any]) -> None:
    """The gradient of <gradient, v> in the cotangents is the derivative along v."""
    step, tolerance = accuracy(case)

    def along(by: float) -> list[Array]:
        moved = dict(zip(case.active, directions))
        leaves = [x + by * moved[i] if i in moved else x for i, x in enumerate(case.leaves)]
        with tg.no_grad():
            return [np.where(u == 0, 0, y.data) for y, u in zip(case.smooth(case.tensors(leaves)), case.seeds)]

    points = zip(along(step), along(-step), along(step / 2), along(-step / 2))
    for g, u, (a, b, c, d) in zip(found, case.seeds, points):
        expected = (4 * (c - d) / step - (a - b) / (2 * step)) / 3
        data = np.zeros(u.shape) if g is None else np.where(u == 0, 0, g.data)
        assert close(data, expected, 10 * tolerance), case.fails(f"derivative along v is {data}, not {expected}")


def pushed(case: Case, directions: list[Array]) -> list[Array]:
    """Return the tangents of the results in forward mode."""

    def function(*active: Any) -> list[Any]:
        given = dict(zip(case.active, active))
        return case.outputs([given.get(i, x) for i, x in enumerate(case.tensors())])

    return [t.data for t in tg.jvp(function, [case.leaves[i] for i in case.active], directions)[1]]


def check_tangents(case: Case) -> None:
    """Forward mode is the transpose of reverse mode, input by input: <u, J v> = <J' u, v>."""
    rng = np.random.default_rng(3)
    transposed = gradients(case)
    for place, i in enumerate(case.active):
        directions = [np.zeros_like(case.leaves[j]) for j in case.active]
        directions[place] = signed(rng, case.leaves[i].shape).astype(case.leaves[i].dtype)
        found = pushed(case, directions)
        for t, y in zip(found, case.values):
            assert (t.shape, t.dtype) == (y.shape, y.dtype), case.fails(f"tangent is {t.dtype}{t.shape}")
        pairs = [np.where(u == 0, 0, t) * u for t, u in zip(found, case.seeds)]
        finite = np.isfinite(case.leaves[i])
        across = [np.where(finite, transposed[place], 0) * directions[place]]
        scale = max(1.0, *[float(np.abs(p).sum()) for p in [*pairs, *across]])
        sums = [math.fsum(float(p.sum()) for p in side) for side in (pairs, across)]
        single = max(np.finfo(x.dtype).eps for x in [*case.values, case.leaves[i]])
        right = abs(sums[0] - sums[1]) <= 100 * float(single) * scale
        assert right or at_kink(case), case.fails(f"along input {i}: <u, J v> = {sums[0]}, <J' u, v> = {sums[1]}")


# ---- what an operation may and may not do with arrays ----


def frozen(x: Any) -> Any:
    """Return a copy that can't be written to."""
    if not isinstance(x, (np.ndarray, np.generic)):
        return x
    copy = np.array(x)
    copy.flags.writeable = False
    return copy


def node_contents(case: Case) -> tuple[Any, ...]:
    """Return everything that a rule may name, in the layout's order, as arrays that can't be written to."""
    op = case.operation
    assert op is not None
    inputs, values = op.bind(tuple(case.arguments([frozen(x) for x in case.leaves])), case.parameters)
    y = frozen(op.run(list(inputs), values))
    shapes, wanted = [np.shape(x) for x in inputs], tuple(True for _ in inputs)
    return ((inputs, y, shapes) if op.variadic else (*inputs, y, *shapes)) + (wanted, *values.values())


def arrays_in(value: Any) -> Iterator[Array]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from arrays_in(part)


def check_pure(case: Case) -> None:
    """Forward and rules, on arrays that can't be written to, leave everything as it was."""
    if case.operation is not None:
        seeds = [frozen(u) for u in case.seeds]
        saved, g = node_contents(case), tuple(seeds) if case.operation.several else seeds[0]
        before = [a.copy() for a in arrays_in([saved, g])]
        for i in case.active:
            rule = next(itertools.islice(case.operation.rules, i, None))
            try:
                rule.pull(g, saved)
            except ValueError as error:
                raise AssertionError(case.fails(f"the rule for input {i} isn't pure: {error}")) from error
            if rule.into is not None:
                buffer = np.ones(case.leaves[i].shape)
                rule.into(buffer, g, saved)
                assert close(buffer, 1 + rule.pull(g, saved), 8 * EPS), case.fails(f"into differs from pull: {buffer}")
        same = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(arrays_in([saved, g]), before))
        assert same, case.fails("a rule changed what it was given")
    whole = gradients(case.at(map(frozen, case.leaves)))
    assert all(close(a, b, 8 * EPS) for a, b in zip(whole, gradients(case))), case.fails("read-only inputs differ")


WIDENING = {"float_power", "cov", "corrcoef", "bincount"}  # in NumPy, too, the result is of float64


def refuses(case: Case) -> bool:
    """Return whether the operation, as NumPy's and SciPy's own, has no float16 or long double."""
    try:
        case.outputs(case.tensors())
    except TypeError as error:
        notes = "".join([str(error), *getattr(error, "__notes__", [])])
        assert re.search("unsupported in linalg|ufunc .* not supported|Cannot cast", notes), case.fails(notes)
        assert "astype" in notes, case.fails(f"no remedy in {notes}")
        return True
    return False


def check_dtype(case: Case, dtype: str) -> None:
    """What goes in comes out, forward and backward; values agree with float64's to the lower precision of the two."""
    other = case.astype(dtype)
    double = other.astype("float64")
    if dtype != "float32" and refuses(other):
        return
    tolerance = 64 * max(float(np.finfo(dtype).eps), EPS)
    for y, expected in zip(other.values, double.values):
        kinds = {np.dtype(np.float64): dtype, np.dtype(np.complex128): np.result_type(dtype, np.complex64)}
        kept = case.parameters.get("dtype", kinds.get(expected.dtype, expected.dtype))
        widened = case.name in WIDENING or "weights" in case.parameters
        kept = np.result_type(dtype, np.float64) if widened else kept
        assert y.dtype == kept, case.fails(f"{dtype} in, {y.dtype} out")
        if y.dtype == dtype:
            finite = np.isfinite(expected)
            assert close(y[finite], expected[finite], tolerance), case.fails(f"{y} in {dtype}")
    if not case.active:
        return
    for g, expected in zip(gradients(other), gradients(double)):
        assert g.dtype == dtype, case.fails(f"{dtype} in, gradient {g.dtype}")
        assert close(g, expected, tolerance), case.fails(f"gradient {g}, not {expected}")


def spread(x: Array) -> Array:
    """Return an equal array with holes between its entries in every axis."""
    holes: tuple[Any, ...] = (..., *[slice(None, None, 2)] * x.ndim)
    y = np.zeros([2 * n for n in x.shape], x.dtype)[holes]
    y[...] = x
    return y


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "strided": spread,
    "negative strides": lambda x: np.flip(np.array(np.flip(x)))[...],
    "Fortran order": lambda x: np.array(x, order="F"),
    "stride 0": lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim else np.broadcast_to(x, ()),
}


def refuses_equal_rows(case: Case) -> bool:
    """Return whether the operation takes only matrices of full rank, or distinct singular values."""
    try:
        gradients(case)
    except (np.linalg.LinAlgError, GradientError):
        return True
    return False


def check_layout(case: Case, layout: str) -> None:
    """Inputs in another layout have the values and gradients of their contiguous copies."""
    there = case.at(LAYOUTS[layout](x) if isinstance(x, np.ndarray) else x for x in case.leaves)
    if layout == "stride 0" and refuses_equal_rows(there):
        return
    here = case.at(np.array(x, order="C") if isinstance(x, np.ndarray) else x for x in there.leaves)
    for a, b in zip(there.values, here.values):
        same = np.allclose(a, b, rtol=8 * EPS, atol=8 * EPS, equal_nan=a.dtype.kind == "f") and a.dtype == b.dtype
        assert same, case.fails(f"{layout}: {a}, contiguous {b}")
    if case.active:
        for x, a, b in zip([there.leaves[i] for i in case.active], gradients(there), gradients(here)):
            assert (a.shape, a.dtype) == (x.shape, x.dtype), case.fails(f"{layout}: gradient {a.dtype}{a.shape}")
            assert close(a, b, 32 * EPS), case.fails(f"{layout}: gradient {a}, contiguous {b}")


def check_owned(case: Case) -> None:
    """Every .grad is memory of its own: neither a view, nor the seed's, nor a value's, nor another's."""
    leaves = case.tensors()
    active = [leaves[i] for i in case.active]
    outputs = case.smooth(leaves)
    seeds = [tg.Tensor(np.array(u)) for u in case.seeds]
    for y, u in zip(outputs, seeds):
        y.retain_grad()
        y.backward(u, retain_graph=True)
    gradients = [t.grad.data for t in [*active, *outputs]]
    others = [t.data for t in [*seeds, *outputs, *leaves] if isinstance(t, tg.Tensor)]
    for place, g in enumerate(gradients):
        assert g.base is None and g.flags.owndata and g.flags.writeable, case.fails(f"gradient {place} is a view")  # noqa: PT018
        shared = [o for o in [*others, *gradients[:place]] if np.may_share_memory(o, g)]
        assert not shared, case.fails(f"gradient {place} shares its memory")


# ---- the tests over all cases ----


@over(CASES)
def test_value_equals_numpys(case: Case) -> None:
    check_value(case)


@over(CASES)
def test_all_spellings_are_one_function(case: Case) -> None:
    check_spellings(case)


@over([case for case in SMOOTH if len(case.leaves) > 1])
def test_a_constant_operand_changes_nothing_for_the_other(case: Case) -> None:
    check_constant_operand(case)


@over([case for case in SMOOTH if len(case.leaves) == 2 and hasattr(operator, f"__i{operator_name(case.name)}__")])
def test_in_place_operator_rebinds(case: Case) -> None:
    """`t += v` gives t the function's value and gradient where its shape stays, and refuses otherwise."""
    a, b = case.tensors()
    if not isinstance(a, tg.Tensor):
        return
    assign = getattr(operator, f"__i{operator_name(case.name)}__")
    t = held = a * 1.0
    if case.values[0].shape != t.shape:
        with pytest.raises(ValueError, match="keeps its tensor's shape"):
            assign(t, b)
        return
    before = t.data.copy()
    recorded = t * 1.0
    t = assign(t, b)
    assert t is held
    check_same_record(case, "in place", lambda *_: t, [a, b], case.results([a, b]))
    assert np.array_equal(recorded.data, before), case.fails("an in-place operator changed an older result")


@over(SMOOTH)
def test_gradient_equals_central_differences(case: Case) -> None:
    check_gradient(case)


@over([case for case in SMOOTH if case.operation is not None])
def test_gradient_equals_complex_step(case: Case) -> None:
    check_complex_step(case)


@over(SMOOTH)
def test_second_order_equals_central_differences(case: Case) -> None:
    check_second_order(case)


@over(SMOOTH)
def test_forward_mode_is_the_transpose_of_reverse_mode(case: Case) -> None:
    check_tangents(case)


@over(SMOOTH)
def test_rules_write_into_nothing(case: Case) -> None:
    check_pure(case)


@pytest.mark.parametrize("dtype", ["float32", "float16", "longdouble"])
@over(CASES)
def test_dtype_stays(case: Case, dtype: str) -> None:
    check_dtype(case, dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@over(CASES)
def test_layout_makes_no_difference(case: Case, layout: str) -> None:
    check_layout(case, layout)


@over(SMOOTH)
def test_gradients_own_their_memory(case: Case) -> None:
    check_owned(case)


@over([case for case in CONSTANT if case.name not in WITHOUT_GRADIENT])
def test_operation_without_rules_records_nothing(case: Case) -> None:
    leaves = [tg.tensor(x, requires_grad=True) if is_floating(x) else x for x in case.leaves]
    assert not any(y.requires_grad for y in case.outputs(leaves)), case.fails("requires grad without a rule")


PRIVATE = {
    "reshape_to", "permute", "join", "matrix_product", "sinc_derivative", "total", "largest", "smallest",
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
    home = tg.linalg if {f.__module__ for f in numpy_functions(name)} == {"numpy.linalg"} else tg
    assert getattr(home, name.removeprefix("linalg_")) is call
    if hasattr(np.ndarray, name) and name not in {"resize", "compress"}:  # in place, or with other arguments
        method = vars(tg.Tensor).get(name)
        there = method.fget if isinstance(method, property) else method
        assert there is call, f"Tensor has no {name!r}, though arrays have"


# ---- kinks: the table, and the minimum-norm convention behind it ----

KINKS = [(name, key) for name, op in OPERATIONS.items() for key in op.kinks]


def check_kink(op: Operation, key: Any) -> None:
    """At a kink, gradients are the table's; in one operand alone, the slope between both sides nearest to 0."""
    among_entries = len(op.arguments) == 1 and np.ndim(key) == 1
    case = build(op.name, FUNCTIONS[op.name], kink_inputs(op, key), {}, f"kink at {key}")
    flat = [] if among_entries else [case.at(x.reshape(()) for x in case.leaves)]
    expected = [op.kinks[key]] if len(op.arguments) == 1 else op.kinks[key]
    for inputs in (case, *flat):
        unit = [np.ones_like(y) for y in inputs.values]
        vars(inputs)["seeds"] = unit
        for g, e in zip(gradients(inputs), expected):
            assert np.array_equal(g, np.broadcast_to(e, g.shape)), inputs.fails(f"gradient {g}, the table says {e}")
        for lone in [] if among_entries else inputs.active:
            slopes = numeric(functools.partial(weighed, inputs), inputs.leaves, lone, 1e-6)
            low, high = sorted([slopes.left.item(), slopes.right.item()])
            nearest = min(max(0.0, low), high)
            leaves = [tg.tensor(x, requires_grad=i == lone) for i, x in enumerate(inputs.leaves)]
            (g,) = tg.autograd.grad(inputs.outputs(leaves), leaves[lone], unit)
            assert g is not None
            assert abs(g.item() - nearest) < 1e-6, inputs.fails(f"gradient {g}, between {low} and {high}")


@pytest.mark.parametrize(("name", "key"), KINKS, ids=lambda v: str(v))
def test_gradient_at_a_kink_is_the_tables(name: str, key: Any) -> None:
    check_kink(OPERATIONS[name], key)


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


def awkward(case: Case) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Yield arguments and parameters that many operations can't take."""
    arrays = [isinstance(x, np.ndarray) for x in case.leaves]
    for shapes in ([(2,), (3,), (4,)], [(2, 3), (2, 3), (5,)], [(), (2, 2), (3,)]):
        ragged = itertools.cycle(shapes)
        yield case.arguments([np.ones(next(ragged)) for _ in arrays]), case.parameters
    for name in case.parameters:
        yield case.arguments(case.leaves), case.parameters | {name: 99}
    yield [["no number"] if isinstance(p, tuple) else "no number" for p in case.places], case.parameters
    if "axis" in signature(case.call).parameters or (case.operation and "axis" in case.operation.defaults):
        yield case.arguments(case.leaves), case.parameters | {"axis": 99}
    if case.operation is not None and case.operation.pointwise:
        yield case.arguments([np.broadcast_to(np.array(True), 2**59)] * len(arrays)), case.parameters
        yield case.arguments([np.broadcast_to(1.0, 2**59)] * len(arrays)), case.parameters


def failure(case: Case) -> Exception | None:
    """Return the first error of the operation on awkward arguments."""
    for arguments, parameters in awkward(case):
        wrapped = [tg.Tensor(x) if isinstance(x, np.ndarray) else x for x in arguments]
        try:
            case.call(*wrapped, **parameters)
        except Exception as error:
            return error
    return None


@pytest.mark.parametrize("name", NAMES)
def test_errors_name_the_operation(name: str) -> None:
    """A failure inside an operation carries one note: which one was called, on what shapes and dtypes."""
    case = cases_of(name)[0]
    error = failure(case)
    assert error is not None, case.fails("nothing here makes it fail")
    notes = getattr(error, "__notes__", [])
    named = any(f"operation {name!r}" in note and re.search(r"(float64|bool|int64)\[|'no", note) for note in notes)
    assert sum("tinygrad_nn operation" in note for note in notes) == 1, case.fails(f"not one note: {notes}")
    assert named, case.fails(f"{error!r} doesn't name the operation and its inputs: {notes}")


@pytest.mark.parametrize("name", NAMES)
def test_unknown_keyword_is_a_type_error(name: str) -> None:
    case = cases_of(name)[0]
    for spelling, function in spellings(case).items():
        if not spelling.startswith("operator"):
            with pytest.raises(TypeError):
                function(*case.arguments(case.tensors()), **case.parameters, no_such_keyword=1)
    if "where" not in signature(case.call).parameters:
        with pytest.raises(TypeError):
            case.call(*case.arguments(case.tensors()), **case.parameters, where=True)


@pytest.mark.parametrize("name", OPERATIONS)
def test_arguments_are_counted_as_python_counts_them(name: str) -> None:
    """One too many, one missing, a parameter left out or given twice: a TypeError, never a guess."""
    op, case = OPERATIONS[name], cases_of(name)[0]
    inputs, call = case.arguments(case.tensors()), case.call
    with pytest.raises(TypeError):
        call(*inputs, *op.defaults.values(), 1)
    with pytest.raises(TypeError):
        call()
    for parameter, default in op.defaults.items():
        if default is Parameter.empty:
            with pytest.raises(TypeError):
                call(*inputs, **{k: v for k, v in case.parameters.items() if k != parameter})
    if op.defaults:
        values = op.defaults | case.parameters
        with pytest.raises(TypeError):
            call(*inputs, next(iter(values.values())), **values)


def test_a_rule_of_the_wrong_shape_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_rule(monkeypatch, "tanh", lambda g, y: np.ones((7,)))
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match="'tanh' for 'x'"):
        tg.tanh(x).sum().backward()


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
    "average",
    "tensorinv",
    "polyadd",
    "polysub",
    "polymul",
    "polyder",
    "poly",
    "polydiv",
    "polyfit",
    "bincount",
}

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
        "ties": at_kink(case),
    }
    return {feature for feature, there in found.items() if there}


def required(name: str) -> set[str]:
    """Return what an operation's samples must cover between them."""
    op = OPERATIONS.get(name)
    names = [*op.arguments, *op.defaults] if op is not None else list(signature(COMPOSITES[name]).parameters)
    inputs = max(len(inputs) for inputs, _ in samples_of(name))
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
    kinked = {case.name for case in SMOOTH if at_kink(case)}
    tabled = {name for name, op in OPERATIONS.items() if op.kinks}
    assert kinked <= tabled | TIED


def test_every_operation_has_samples_and_a_reference() -> None:
    assert set(FUNCTIONS) == set(OPERATIONS)
    for name in NAMES:
        assert cases_of(name), f"operation {name!r} has no samples"
        assert name in REFERENCES or numpy_functions(name), f"no values for {name!r}"


def test_complex_step_judges_every_analytic_ufunc() -> None:
    judged = {case.name for case in SMOOTH if case.operation is not None and check_complex_step(case)}
    loops = {name: getattr(op.forward, "types", []) for name, op in OPERATIONS.items() if op.differentiable}
    analytic = {name for name, types in loops.items() if {"D->D", "DD->D"} & set(types)}
    assert analytic - {"conjugate"} <= judged
    assert {"total", "matrix_product", "getitem", "scatter_add", "either", "permute", "reshape_to"} <= judged


# ---- the checks can fail ----


def wrong_rule(monkeypatch: pytest.MonkeyPatch, name: str, *rules: Any) -> None:
    """Replace an operation's rules by others that read the same names."""
    op = OPERATIONS[name]
    made = tuple(
        Rule(rule, argument, op.layout, pointwise if op.pointwise else None)
        for rule, argument in zip(rules, op.arguments)
    )
    monkeypatch.setattr(op, "rules", made)


def detached(x: Any) -> Any:
    return x.detach() if isinstance(x, tg.Tensor) else x


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
def test_wrong_rule_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_rule(monkeypatch, name, *WRONG_FIRST[name])
    assert noticed(check_gradient, name), f"a wrong rule of {name!r} passes"


@pytest.mark.parametrize("name", WRONG_SECOND)
def test_rule_wrong_at_second_order_only_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_rule(monkeypatch, name, *WRONG_SECOND[name])
    assert noticed(check_second_order, name), f"a rule of {name!r} that drops a term at second order passes"


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
    assert noticed(check_tangents, name)


def test_a_tangent_rule_reads_what_is_kept() -> None:
    with pytest.raises(TypeError, match="may read b only"):
        OPERATIONS["matrix_product"].set_tangent_rules((lambda t, a: a @ t, lambda t, a: a @ t))


def scaled_in_place(g: Any, y: Any) -> Any:
    g *= y
    return g


def test_impure_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_rule(monkeypatch, "exp", scaled_in_place)
    assert noticed(check_pure, "exp")


def test_wrong_kink_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong_rule(monkeypatch, "relu", lambda g, y: g * (y >= 0))
    with pytest.raises(AssertionError, match="'relu'"):
        check_kink(OPERATIONS["relu"], 0)


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        (check_value, lambda x: tg.Tensor(np.tanh(x.data) * (1 + 1e-14))),
        (check_value, lambda x: tg.tanh(x.reshape(1, *x.shape))),
        (check_spellings, lambda x: tg.tanh(x).detach()),
        (check_spellings, lambda x: tg.tanh(x) + 1e-15),
        (functools.partial(check_dtype, dtype="float32"), lambda x: tg.tanh(x.astype("float64"))),
        (functools.partial(check_layout, layout="strided"), lambda x: tg.tanh(x) * (2 - x.data.flags.c_contiguous)),
        (functools.partial(check_layout, layout="stride 0"), lambda x: tg.tanh(x) * (1 + (0 in x.data.strides))),
        (check_complex_step, lambda x: tg.tanh(x) * (1 + 1e-13)),
    ],
    ids=["value", "shape", "detached", "spelling", "dtype", "strided", "stride 0", "complex step"],
)
def test_broken_function_is_noticed(check: Callable[[Case], Any], broken: Any) -> None:
    def break_only_the_function(case: Case) -> Any:
        spelled = replace(case, call=broken)
        return check(spelled)

    assert noticed(break_only_the_function, "tanh")
