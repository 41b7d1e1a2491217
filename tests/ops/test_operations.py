"""Every operation, on every sample, against every property that an operation has to have.

The checks are the public ones of `tg.testing`. The tests here walk the registry with them, and show
that the samples cover what they must, and that the checks can fail.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from inspect import signature
from typing import Any

import by_loops
import by_steps
import numpy as np
import pytest
from cases import CASES, NAMES, OWN, SMOOTH, cases_of
from references import FUNCTIONS, REFERENCES, function_of
from rings import drawn, sampled

import tinygrad_nn as tg
from tinygrad_nn.engine.arrays import raw
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.errors import GradientError
from tinygrad_nn.tensor.declaring import COMPOSITES, sample
from tinygrad_nn.testing import PROPERTIES, Case, check_kink, mutate_rules, numpy_functions, planted_rule

BEHIND = {
    "matrix_product", "vector_product", "linear_solution", "solution_unless_zero", "least_squares", "cofactor_matrix",
    "cofactor_slopes", "qr_factors",
    "singular_factors", "pseudo_inverse", "mirrored_triangle",
}  # fmt: skip
WITHOUT_GRADIENT = {"eig", "eigvals"}

AXES = {"axis", "axes", "axis1", "axis2", "source", "destination"}
OF_CALLS = {"keywords", "counted arguments", "errors"}
OF_VALUES = {
    "value", "call variants", "no rule", "float32", "float16", "longdouble",
    "strided", "negative strides", "Fortran order", "stride 0",
}  # fmt: skip


# ---- the tests over all cases ----


PAIRS = list(itertools.product(PROPERTIES, NAMES))
QUICK = drawn(len(PAIRS), 2, seed=4)


@pytest.mark.parametrize(
    ("check", "name"), [pytest.param(*p, marks=[pytest.mark.slow] * (i not in QUICK)) for i, p in enumerate(PAIRS)]
)
def test_property(check: str, name: str) -> None:
    for case in CASES[name][:1] if check in OF_CALLS else CASES[name]:
        if case.differentiable or check in OF_VALUES | OF_CALLS:
            PROPERTIES[check](case)


def test_only_what_numpy_widens_is_widened() -> None:
    narrow = [case.astype("float32") for case in SMOOTH if case.active and "dtype" not in case.parameters]
    wider = {case.name for case in narrow if any(y.dtype == np.float64 for y in case.values)}
    widening = {"float_power", "cov", "corrcoef", "average", "bincount"}
    assert wider == widening | {"interp", "vander", "polyder", "polyint", "polyfit"}


def test_nested_lists_are_arrays() -> None:
    for name in {*NAMES} - {"block", "ravel", "flatten"}:  # lists say what stands beside what, and have no order
        case = next(case for case in CASES[name] if all(map(np.size, case.leaves)))
        given = [x.tolist() if isinstance(x, (np.ndarray, np.generic)) else x for x in case.leaves]
        for found, expected in zip(case.results(given), case.results(case.leaves), strict=True):
            np.testing.assert_allclose(raw(found), raw(expected), rtol=1e-4, err_msg=name)


PRIVATE = {
    "reshape_to", "permute", "join", "matrix_product", "sinc_derivative", "bessel", "total", "largest", "smallest",
    "running_total",
    "tanh_slope", "edge_product", "gaussian", "over_square", "cosine_of", "exponential_share", "power_derivative",
    "inverse_error_slope",
    "running_largest", "running_smallest", "either", "share", "softmax_cross_entropy", "sigmoid_cross_entropy",
    "bernoulli_cross_entropy", "class_entries", "huber", "at_least",
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
    if hasattr(np.ndarray, name) and name not in {"resize", "compress", "ptp"}:  # in place, other arguments, gone
        method = vars(tg.Tensor).get(name)
        there = method.fget if isinstance(method, property) else method
        assert there is call, f"Tensor has no {name!r}, though arrays have"


# ---- kinks: the table, and the minimum-norm convention behind it ----

KINKS = [(name, key) for name, op in OWN.items() for key in op.kinks]


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
    "softmax_cross_entropy", "cross_entropy", "nll_loss", "class_entries",
    "linear", "matmul", "join", "swapaxes", "moveaxis", "split", "unstack",
    "diff", "gradient", "trapezoid", "cov", "corrcoef",
    "running_total", "running_largest", "running_smallest", "polyder", "polyint", "poly", "polyfit",
    "unwrap", "bincount", "fftshift", "ifftshift",
    "rollaxis", "array_split", "hsplit", "vsplit", "dsplit", "fliplr", "flipud", "rot90", "tril", "triu", "diagonal",
    "trace", "diag", "vander", "nonzero", "share", "topk", "searchsorted", "trim_zeros",
    *BEHIND, "linalg_outer", "linalg_cross", "cross", "vecdot", "matvec", "vecmat", "multi_dot", "matrix_transpose",
    "linalg_diagonal", "linalg_trace", "solve", "inv", "tensorinv", "matrix_power", "pinv", "lstsq", "det",
    "slogdet", "cholesky", "qr", "eigh", "eigvalsh", "svd", "svdvals", "eig", "eigvals", "matrix_norm", "cond",
}  # fmt: skip
SAME_SHAPES = {
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss",
    "kl_div",
}  # fmt: skip
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
PRIVATE |= by_loops.PRIVATE | by_steps.REFERENCES.keys()
NEEDS_AXES |= {"correlate", "scaled_dot_product_attention", *by_loops.SPATIAL, *by_steps.REFERENCES}
SAME_SHAPES |= by_loops.MEET_ALONG_WINDOWS
TIED |= {"interp", *by_loops.TIED}
NO_EMPTY |= by_loops.SEQUENCES


def negative(value: Any) -> bool:
    return any(map(negative, value)) if isinstance(value, (tuple, list)) else isinstance(value, int) and value < 0


def broadcasts(case: Case) -> bool:
    """Return whether an input is stretched: to the others' shape, or to the entries that it is assigned to."""
    shapes = [np.shape(x) for x in case.leaves if not isinstance(x, (int, float))]
    if case.name == "set_at":
        return bool(shapes[1] != case.leaves[0][case.parameters["index"]].shape)
    if case.name in ("matmul", "matrix_product", "vector_product"):
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
    inputs = max(len(case.takes) for case in cases_of(name))
    found = {
        "size 0": name not in NO_EMPTY,
        "0-d": name not in NEEDS_AXES,
        "negative axis": bool(AXES & set(names)) and name != "tensorsolve",  # nor does NumPy's take one
        "broadcasting": inputs > 1 and name not in SAME_SHAPES | by_loops.TAKE_WINDOWS | {"vector_product"},
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
    tabled = {name for name, op in OWN.items() if op.kinks}
    assert kinked <= tabled | TIED


def test_every_operation_has_samples_and_a_reference() -> None:
    assert set(FUNCTIONS) == set(OWN)
    for name in NAMES:
        assert cases_of(name), f"operation {name!r} has no samples"
        assert name in REFERENCES or numpy_functions(function_of(name)), f"no values for {name!r}"


def test_complex_step_judges_every_analytic_ufunc() -> None:
    judged = {case.name for case in SMOOTH if PROPERTIES["complex step"](case)}
    loops = {name: getattr(op.forward, "types", []) for name, op in OWN.items() if op.differentiable}
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
    "hypot": (lambda g, a, b: g * (a / np.hypot(a, b)), lambda g, b: g * b),
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
    made = op.rules_from(wrong, None, "t") if attribute == "tangent_rules" else wrong
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
        ("call variants", lambda x: tg.tanh(x).detach()),
        ("call variants", lambda x: tg.tanh(x) + 1e-15),
        ("float32", lambda x: tg.tanh(x.astype("float64"))),
        ("strided", lambda x: tg.tanh(x) * (2 - x.data.flags.c_contiguous)),
        ("stride 0", lambda x: tg.tanh(x) * (1 + (0 in x.data.strides))),
        ("complex step", lambda x: tg.tanh(x) * (1 + 1e-13)),
    ],
    ids=["value", "shape", "detached", "call variant", "dtype", "strided", "stride 0", "complex step"],
)
def test_broken_function_is_noticed(name: str, broken: Any) -> None:
    def break_only_the_function(case: Case) -> Any:
        changed = replace(case, call=broken)
        return PROPERTIES[name](changed)

    assert noticed(break_only_the_function, "tanh")


# ---- no mutated rule gets through ----

DERIVATIVES = ["gradient", "second order", "complex step", "constant operand", "float32"]
EQUIVALENT = {
    # of 3 x 3, whose determinant is a polynomial of degree 3
    "cofactor_slopes for a: uses a stale a",
    "cofactor_slopes for a: takes a for a constant",
    # of relu, whose slope depends on the output's sign alone
    *[f"rnn_relu for {x}: uses a stale y" for x in ("x", "state", "w_ih", "b_ih", "b_hh")],
}


RULED = [name for name, op in OWN.items() if op.differentiable]


@pytest.mark.parametrize("name", sampled(RULED, share=12, seed=3))
def test_every_mutated_rule_is_noticed(name: str) -> None:
    cases = [case for case in cases_of(name) if case.differentiable]

    def judge() -> None:
        for check, case in itertools.product(DERIVATIVES, cases):
            PROPERTIES[check](case)

    report = mutate_rules(judge, [name])
    assert {str(mutant) for mutant in report.survivors} <= EQUIVALENT, str(report)
    assert report.noticed
    assert not report.unused
