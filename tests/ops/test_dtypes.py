"""What goes in comes out: dtypes, promotion, wide sums, and long doubles that keep their digits."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import leaf, slope

import tinygrad_nn as tg


def _unary(name: str) -> Callable[[Any], Any]:
    return getattr(tg, name)  # type: ignore[no-any-return]


UNARY = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "square", "reciprocal", "abs", "sin",
    "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arctanh", "relu", "leaky_relu",
    "elu", "sigmoid", "softplus", "silu", "gelu", "erfc", "sum", "mean", "prod", "max", "min", "var", "std",
    "logsumexp", "softmax", "log_softmax",
]  # fmt: skip
SAME_DTYPE: dict[str, Callable[[Any], Any]] = {
    **{name: _unary(name) for name in UNARY},
    "arccosh": lambda x: tg.arccosh(x + 1),
    "x * 2": lambda x: x * 2,
    "2.5 * x": lambda x: 2.5 * x,
    "x / 3": lambda x: x / 3,
    "1 - x": lambda x: 1 - x,
    "x ** 2": lambda x: x**2,
    "x ** 0.5": lambda x: x**0.5,
    "2 ** x": lambda x: 2**x,
    "x + True": lambda x: x + True,
    "maximum": lambda x: tg.maximum(x, 0),
    "minimum": lambda x: tg.minimum(0.5, x),
    "clip": lambda x: tg.clip(x, 0, 1),
    "where": lambda x: tg.where(np.array([True, False]), x, 0.0),
    "where 1": lambda x: tg.where(np.array([True, False]), 1, x),
    "logaddexp": lambda x: tg.logaddexp(x, 0.0),
    "hypot": lambda x: tg.hypot(x, 1),
    "arctan2": lambda x: tg.arctan2(x, 1),
    "concatenate": lambda x: tg.concatenate([x, x]),
    "getitem": lambda x: x[[0, 0, 1]],
    "scatter": lambda x: tg.scatter_add(x, index=[0, 0], shape=(3,)),
    "matmul": lambda x: x @ x,
    "matmul array": lambda x: x @ np.ones((2, 2), x.dtype),
    "linear": lambda x: tg.linear(x, tg.ones((3, 2), dtype=x.dtype), tg.ones(3, dtype=x.dtype)),
    "broadcast": lambda x: x + tg.ones((3, 1), dtype=x.dtype),
    "int array": lambda x: x * np.array([1, 2], np.int8),
    "bool mask": lambda x: x * np.array([True, False]),
    "cross entropy": lambda x: tg.cross_entropy(x, np.array(1)),
    "bce": lambda x: tg.binary_cross_entropy(x, np.array([0.0, 1.0])),
    "bce with logits": lambda x: tg.binary_cross_entropy_with_logits(x, np.array([0, 1])),
    "mse": lambda x: tg.mse_loss(x, tg.zeros(2, dtype=x.dtype)),
    "assignment": lambda x: _assigned(x),
}


def _assigned(x: Any) -> Any:
    t = x * 1
    t[0] = 2.5
    t += np.float64(1)
    return t


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", SAME_DTYPE)
def test_the_dtype_that_goes_in_comes_out(name: str, dtype: Any) -> None:
    x = leaf([0.25, 0.5], dtype)
    y = SAME_DTYPE[name](x)
    assert y.dtype == dtype
    assert y.data.dtype == dtype
    (g,) = tg.autograd.grad(y.sum(), x, create_graph=True)
    assert g is not None
    assert g.dtype == dtype
    y.sum().backward()
    assert slope(x).dtype == dtype
    assert np.isfinite(slope(x)).all()


@pytest.mark.parametrize(
    ("operand", "expected"),
    [
        (2.0, np.float32),
        (2, np.float32),
        (True, np.float32),
        (np.float64(2), np.float64),
        (np.float32(2), np.float32),
        (np.float16(2), np.float32),
        (np.array(2.0), np.float64),
        (np.int8(2), np.float32),
        (np.int64(2), np.float64),
        (2j, np.complex64),
        (np.array([2], np.int32), np.float64),
    ],
    ids=lambda v: f"{type(v).__name__}",
)
def test_promotion_follows_nep_50_and_the_gradient_stays_float32(operand: Any, expected: Any) -> None:
    constant = tg.tensor([1.0, 2.0], dtype=np.float32)
    for y in (constant * operand, operand * constant, constant + operand):
        assert y.dtype == expected
    if np.dtype(expected).kind == "f":
        x = leaf([1.0, 2.0], np.float32)
        (operand * x).sum().backward()
        assert slope(x).dtype == np.float32
        np.testing.assert_array_equal(slope(x), np.full(2, operand, float))


def test_two_dtypes_meet_and_each_gets_its_own_gradient() -> None:
    a, b = leaf([1.5, 2.5], np.float32), leaf([[2.0], [3.0]], np.float64)
    y = a * b
    assert y.dtype == np.float64
    y.sum().backward()
    assert slope(a).dtype == np.float32
    assert slope(b).dtype == np.float64
    np.testing.assert_array_equal(slope(a), [5.0, 5.0])
    np.testing.assert_array_equal(slope(b), [[4.0], [4.0]])


def test_a_conversion_brings_the_gradient_back_in_the_old_dtype() -> None:
    x = leaf([1.0, 2.0], np.float32)
    y = x.astype(np.float64)
    assert y.dtype == np.float64
    (y * np.float64(1 / 3)).sum().backward()
    assert slope(x).dtype == np.float32


def test_python_numbers_are_float64_by_default() -> None:
    assert tg.tensor(1.0).dtype == np.float64
    assert tg.zeros(2).dtype == np.float64
    assert tg.grad(lambda x: x * x)(1.0).dtype == np.float64


def test_a_number_too_large_for_the_dtype_is_numpys_error() -> None:
    with pytest.raises(OverflowError):
        tg.tensor([1], dtype=np.int8) + 1000
    with pytest.raises(OverflowError):
        tg.tensor([1.0]) * 10**400


def test_float16_sums_accumulate_wider() -> None:
    x = leaf(np.ones(4096, np.float16))
    assert x.sum().item() == 4096.0
    assert x.sum().dtype == np.float16
    assert float(tg.ones((5000, 3), dtype=np.float16).sum(axis=0)[0]) == 5000.0


def test_a_float16_mean_does_not_overflow_in_its_sum() -> None:
    x = leaf(np.full(70_000, 2.0, np.float16))
    y = x.mean()
    assert y.item() == 2.0
    y.backward()
    np.testing.assert_allclose(slope(x).astype(float), 1 / 70_000, rtol=1e-2)


def test_a_float16_gradient_summed_over_the_batch_accumulates_wider() -> None:
    bias = leaf(np.zeros(3), np.float16)
    (bias + np.zeros((5000, 3), np.float16)).sum().backward()
    np.testing.assert_array_equal(slope(bias), np.full(3, 5000.0))


# NumPy's own dtypes, whatever is asked for: every function that takes axes away or runs along one, and powers.

DTYPES = [np.dtype(c) for c in "?bBhHiIqQefdgFD"]
REDUCTIONS = """
    sum prod mean var std max min ptp any all argmax argmin nansum nanprod nanmean nanvar nanstd nanmax nanmin nanargmax
    nanargmin cumsum cumprod nancumsum nancumprod cumulative_sum cumulative_prod median nanmedian average diff ediff1d
    trapezoid gradient unwrap vander trace sort argsort polyder polyint poly cov corrcoef linalg.norm add.reduce
    multiply.reduce maximum.reduce minimum.reduce logical_and.reduce subtract.reduce power.reduce add.accumulate
    multiply.accumulate maximum.accumulate
""".split()  # noqa: SIM905
SHARES = ["quantile", "nanquantile", "percentile", "nanpercentile"]
PAIRS = [
    "dot", "vdot", "inner", "outer", "matmul", "cross", "convolve", "correlate", "polyval", "polyadd", "polymul",
    "polydiv", "polysub", "interp", "power", "float_power",
]  # fmt: skip
HALF = np.array([True, False, True])
KEYWORDS: list[dict[str, Any]] = [
    {}, {"axis": 0}, {"axis": 0, "keepdims": True}, {"initial": 3}, {"initial": 0.5}, {"initial": np.float64(1.5)},
    {"where": HALF}, {"where": HALF, "initial": 1}, {"ddof": 1}, {"correction": 0.5}, {"n": 0},
    *[{"dtype": dtype} for dtype in DTYPES], {"dtype": "float16", "where": HALF}, {"dtype": bool, "axis": 0},
]  # fmt: skip


def _outcome(function: Any, *args: Any, **keywords: Any) -> Any:
    """Return the arrays that a call gives, or None where it is refused."""
    try:
        with np.errstate(all="ignore"):
            found = function(*args, **keywords)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return [np.asarray(y) for y in (found if isinstance(found, tuple) else (found,))]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*REDUCTIONS, *SHARES, *PAIRS])
def test_a_result_has_numpys_dtype_and_value_or_is_refused(name: str) -> None:
    function = functools.reduce(getattr, name.split("."), np)
    compared = 0
    for dtype, keywords in itertools.product(DTYPES, KEYWORDS):
        x = np.array([[3, 0, 2]] if name == "trace" else [1, 0, 2], int).astype(dtype)
        x = x * dtype.type(1 - 0.5j) if dtype.kind == "c" else x
        more: Any = (np.arange(3).astype(dtype), x) if name == "interp" else (0.5,) if name in SHARES else (x,)
        more = more if name in [*SHARES, *PAIRS] else ()
        expected = _outcome(function, x, *more, **keywords)
        found = _outcome(function, tg.Tensor(x), *more, **keywords)
        if expected is None or found is None:
            continue
        compared += 1
        for y, z in zip(found, expected, strict=True):
            if (name, dtype) != ("interp", np.longdouble):  # whose digits NumPy drops
                assert (y.dtype, y.shape) == (z.dtype, z.shape), (dtype, keywords)
            if name == "power.reduce":  # some builds of NumPy get its values wrong
                continue
            eps = max(np.finfo(d).eps if d.kind in "fc" else 0 for d in (dtype, y.dtype))
            np.testing.assert_allclose(y, z, rtol=4 * eps, atol=2 * eps, err_msg=f"{dtype} {keywords}")
    assert compared >= 10


NOTHING: list[dict[str, Any]] = [
    {}, {"axis": 0}, {"axis": 1}, {"axis": ()}, {"initial": 3}, {"axis": 0, "initial": 1}, {"dtype": bool},
    {"dtype": np.int8, "keepdims": True}, {"where": np.array(False), "initial": 1},
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", "sum prod max min nansum nanprod nanmax nanmin mean var std any all".split())  # noqa: SIM905
def test_what_is_reduced_of_nothing_has_numpys_dtype_and_shape(name: str) -> None:
    function = getattr(np, name)
    for dtype, shape, keywords in itertools.product(DTYPES, [(0, 3), (0,), (2, 0)], NOTHING):
        x = np.zeros(shape, dtype)
        found, expected = (_outcome(function, y, **keywords) for y in (tg.Tensor(x), x))
        for y, z in zip(found or [], expected or [], strict=bool(found and expected)):
            assert (y.dtype, y.shape) == (z.dtype, z.shape), (dtype, shape, keywords)
            np.testing.assert_array_equal(y, z)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_leaves_entries_as_they_are_has_numpys_dtype_and_value(dtype: Any) -> None:
    x = np.array([1, 0, 2], int).astype(dtype)
    x = np.append(x, [np.inf, np.nan]).astype(dtype) if dtype.kind == "f" else x
    calls: list[Any] = [
        np.real, np.imag, np.real_if_close, np.nan_to_num, lambda x: np.nan_to_num(x, nan=np.float64(0.5)),
        lambda x: np.clip(x, None, x), np.sinc,
    ]  # fmt: skip
    for call in calls:
        found, expected = call(tg.Tensor(x)), np.asarray(call(x))
        assert found.dtype == expected.dtype
        if call is np.sinc and dtype.char == "e":  # NumPy's own is nan at 0 before NumPy 2.3
            expected = np.sinc(x.astype(np.float32)).astype(dtype)
        eps = float(np.finfo(dtype).eps) if dtype.kind in "fc" else 2e-16
        np.testing.assert_allclose(found.data, expected, 16 * eps, eps)


def test_the_standard_deviation_may_be_a_whole_number() -> None:
    assert np.std(tg.tensor([1.0, 2.0, 9.0]), dtype=int).item() == np.std(np.array([1.0, 2.0, 9.0]), dtype=int)


def test_an_extreme_without_nan_passes_over_that_of_the_start() -> None:
    for function in (np.nanmax, np.nanmin):
        assert function(tg.tensor([1.0, 1.0]), initial=np.nan).item() == 1


def by_algebra(name: str, z: Any) -> Any:
    e = np.exp(z)
    formulas = {
        "sigmoid": e / (1 + e), "silu": z * e / (1 + e), "softmax": e / e.sum(), "logsumexp": np.log(e.sum()),
        "log_softmax": z - np.log(e.sum()), "sinc": np.sin(np.pi * z) / (np.pi * z),
    }  # fmt: skip
    return formulas[name] if name in formulas else getattr(pytest.importorskip("scipy.special"), name)(z)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize(
    "name", ["sigmoid", "silu", "softmax", "logsumexp", "log_softmax", "sinc", "erf", "erfc", "gamma", "rgamma", "ndtr"]
)
def test_functions_of_complex_numbers_are_complex(name: str, dtype: Any) -> None:
    z = np.array([0.3 + 0.4j, -1.2 - 0.1j, 0.7j], dtype)
    found = getattr(tg, name)(z)
    assert found.dtype == dtype
    np.testing.assert_allclose(found.data, by_algebra(name, z), 16 * float(np.finfo(dtype).eps))


def test_what_is_computed_of_real_numbers_only_takes_no_others() -> None:
    with pytest.raises(TypeError, match="complex128"):
        tg.digamma(np.array([1j]))


UNKNOWN = (np.nextafter, np.spacing)
UFUNCS = [f for f in vars(np).values() if isinstance(f, np.ufunc) and f.signature is None and f not in UNKNOWN]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("asked", [None, *[np.dtype(c) for c in "?bBqefdF"]], ids=str)
def test_a_ufunc_converts_what_numpy_converts_to_the_dtype_asked_for(asked: Any) -> None:
    for function, dtype in itertools.product(UFUNCS, [np.dtype(c) for c in "?bqefdF"]):
        x = np.array([1, 0, 2], int).astype(dtype)
        for operands in [(x,)] if function.nin == 1 else [(x, x), (x, np.float32(2)), (np.array(1), x)]:
            found = _outcome(function, *map(tg.Tensor, operands), dtype=asked)
            expected = _outcome(function, *operands, dtype=asked)
            assert (found is None) == (expected is None), (function, dtype)
            for y, z in zip(found or [], expected or [], strict=True):
                assert y.dtype == z.dtype, (function, dtype)
                np.testing.assert_array_equal(y, z, f"{function} {dtype}")


# Extended precision, for checks: no rule and no sum of the engine's rounds to float64.

EXTENDED = float(np.finfo(np.longdouble).eps)


def sigmoid_by_hand(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@pytest.mark.skipif(EXTENDED > 1e-18, reason="NumPy's long double is no longer than float64 here")
@pytest.mark.parametrize(
    ("function", "slope_by_hand"),
    [
        (lambda x: tg.softplus(x) * tg.tanh(x),
         lambda x: sigmoid_by_hand(x) * np.tanh(x) + np.log1p(np.exp(x)) * (1 - np.tanh(x) ** 2)),
        (lambda x: x / (1 + x @ x), lambda x: 1 / (1 + x @ x) - 2 * x.sum() * x / (1 + x @ x) ** 2),
        (lambda x: tg.reshape(x, (-1, 1)) @ tg.reshape(x, (1, -1)), lambda x: np.full_like(x, 2 * x.sum())),
        (lambda x: tg.grad(lambda x: tg.tanh(x).sum())(x), lambda x: -2 * np.tanh(x) * (1 - np.tanh(x) ** 2)),
        (lambda x: tg.logsumexp(x), lambda x: np.exp(x) / np.exp(x).sum()),
        (lambda x: x.var(), lambda x: 2 * (x - x.mean()) / x.size),
    ],
    ids=["softplus and tanh", "quotient", "outer product", "second order", "logsumexp", "variance"],
)  # fmt: skip
def test_long_doubles_keep_their_digits(function: Any, slope_by_hand: Any) -> None:
    x = np.array([0.3, -0.7, 1.1, 0.05], np.longdouble) / 3
    expected = slope_by_hand(x)
    found = tg.grad(lambda x: function(x).sum())(x).data
    assert found.dtype == np.longdouble
    assert np.abs(found - expected).max() <= 8 * EXTENDED * np.abs(expected).max()
    pushed = tg.jvp(lambda x: function(x).sum(), (x,), (np.ones_like(x),))[1]
    assert abs(pushed.data - expected.sum()) <= 16 * EXTENDED * np.abs(expected).max()


@pytest.mark.parametrize("name", ["xlogy", "xlog1py", "beta", "betaln"])
def test_numbers_alone_are_float64_and_weak_beside_arrays(name: str) -> None:
    function: Callable[..., Any] = getattr(tg, name)
    assert function(2.0, 3).dtype == np.float64
    assert function(np.float32(2), 3.0).dtype == np.float32
    assert function(np.float16(2), np.float16(3)).dtype == np.float16
    np.testing.assert_allclose(tg.beta(2, 3).item(), 1 / 12, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint64", "bool"])
@pytest.mark.parametrize(
    "name", sorted({*UNARY, "logit", "erf", "sinc", "i0"} - {"square", "sum", "prod", "reciprocal"})
)
def test_functions_of_integers_are_those_of_the_numbers(name: str, dtype: str) -> None:
    """What NumPy computes in whole numbers, which wrap, is left out."""
    x = np.array([1, 0, 1] if dtype == "bool" or name in ("logit", "arcsin", "arccos", "arctanh") else [1, 3, 5], dtype)
    with np.errstate(divide="ignore"):
        found = getattr(tg, name)(x).data
        expected = getattr(tg, name)(x.astype(float)).data
    np.testing.assert_allclose(found.astype(float), expected, rtol=4e-3)


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_the_sigmoid_of_the_least_integer_is_0(dtype: Any) -> None:
    assert tg.sigmoid(np.array([np.iinfo(dtype).min], dtype)).item() == 0.0
