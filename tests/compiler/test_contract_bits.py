"""The contract, point 7: the bits are eager's, but for sums in another order; what is invalid runs as the function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiler.contract import Twin, X, ran
from same_bits import same

import tinygrad_nn as tg

BITS: dict[str, Callable[[Any, Any], Any]] = {
    "sums": lambda x, k: (x.sum(), x.sum(0), x.mean(1), x.std()),
    "what cancels": lambda x, k: (x + k) - x - k,
    "weak numbers": lambda x, k: (x * 0.1) * 3 + k,
    "powers": lambda x, k: (x**2, x**3, np.abs(x) ** 0.5, k**2),
    "quotients": lambda x, k: (x / 3, x / k, 1 / (x * x + 1)),
    "minus zero": lambda x, k: (-x * 0.0, 0.0 - x, -(x * 0), x * 0 + 0.0),
    "integers": lambda x, k: np.floor(x).astype(int) // 2 * 3,
    "single precision": lambda x, k: (x.astype(np.float32) * 0.1, x.astype(np.float32) * np.float64(0.1)),
    "transposed sums": lambda x, k: x.T.sum(0) + x.T.copy().sum(0),
    "a copy that is dropped": lambda x, k: np.exp(x)[:, :2].copy().ravel(),
    "a derivative": lambda x, k: tg.grad(lambda v: (np.tanh(v) * np.exp(-v * v) * k).sum())(x),
    "a second derivative": lambda x, k: tg.grad(lambda v: (tg.grad(lambda u: (u**3 * k).sum())(v) ** 2).sum())(x),
    "a sort twice differentiated": lambda x, k: tg.grad(lambda q: tg.grad(lambda z: np.exp(np.sort(z)).sum())(q).sum())(
        x
    ),
}


@pytest.mark.parametrize("what", BITS)
def test_bits(what: str) -> None:
    rng = np.random.default_rng(0)
    for shape in ((2, 3), (31, 17)):
        twin = Twin(BITS[what])
        for k in (0.3, -0.7, 0.0, -0.0, 2.5):
            with np.errstate(all="ignore"):
                twin.equal(rng.normal(size=shape), k)


def test_sums_in_another_order_differ_by_rounding_only() -> None:
    rng = np.random.default_rng(0)
    step = tg.compile(BITS["sums"])
    for _ in range(3):
        x = rng.normal(size=(300, 7))
        for found, right in zip(step(x, 1.0), BITS["sums"](x, 1.0), strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 0.0, -0.0, 5e-324, 1e308])
def test_odd_values(value: float) -> None:
    twin = Twin(lambda x: (x * 2 - x, np.maximum(x, 0), np.where(x > 0, x, -x), np.sign(x), x - x))
    with np.errstate(all="ignore"):
        twin.equal(X)
        twin.equal(np.full((2, 3), value))
        twin.equal(X)


def test_an_invalid_operation_runs_the_function_itself() -> None:
    def f(x: Any) -> Any:
        ran()
        return tg.grad(lambda v: (v / np.sqrt((v * v).sum())).sum())(x)

    def masked(x: Any) -> Any:
        ran()
        return tg.grad(lambda v: np.where(v > 0, np.log(v), 0.0).sum())(x)

    regular, singular = np.array([1.0, 2.0, 0.5]), np.array([1.0, 0.0, 0.5])
    with np.errstate(all="ignore"):
        twin = Twin(masked)
        assert [twin.equal(x) for x in (regular, regular * 2, singular, regular)] == [1, 0, 1, 0]
        other = Twin(f)
        assert other.equal(regular) == 1
        assert other.equal(regular * 0) in (0, 1)
        assert other.equal(regular) == 0


def test_numbers_keep_their_class() -> None:
    twin = Twin(lambda n: (n, n * 2, n / 2, n + 1, -n, n == 2, n**2))
    for n in (2, 2.0, np.int64(2), np.float32(2), 3, 3.5):
        twin.equal(n)
    step: Any = tg.compile(lambda n: (n * 2, n / 2))
    for n in (2, 3, 4):
        found = step(n)
        assert [type(part) for part in found] == [int, float]
        assert same(found, (n * 2, n / 2))


# ---- what is loud, and must not be ----


def test_ufuncs_of_others() -> None:
    special = pytest.importorskip("scipy.special")
    twin = Twin(lambda x: special.expit(x) * special.erfcx(x))
    twin.equal(X)
    twin.equal(X * 2)


def test_ufuncs_of_pythons_functions_are_right_or_refused() -> None:
    doubled: Any = np.frompyfunc(lambda v: v * 2, 1, 1)
    step: Any = tg.compile(lambda x: doubled(x).astype(float))
    for k in (1.0, 2.0):
        try:
            assert same(step(X * k), doubled(X * k).astype(float))
        except tg.errors.CompileError as error:
            assert "frompyfunc" in str(error) or "object" in str(error)  # noqa: PT017


def test_names_that_python_takes_for_one() -> None:
    ligature = "\ufb01"  # one letter for fi: as identifiers the two are equal, as keys they are not
    twin = Twin(lambda **named: named[ligature] * 2 - named["fi"])
    for k in (1.0, 2.0):
        twin.equal(**{ligature: X * k, "fi": X + k})


def test_a_function_without_a_source() -> None:
    space: dict[str, Any] = {"kept": [], "np": np}
    exec(
        compile("def f(x):\n    return np.sin(x) * 2\ndef g(x):\n    kept.append(1)\n    return x", "<none>", "exec"),
        space,
    )
    twin = Twin(space["f"])
    twin.equal(X)
    twin.equal(X * 2)
    with pytest.raises(tg.errors.CompileError, match=r"<none>:4"):
        tg.compile(space["g"])(X)
    assert space["kept"] == []


def test_a_function_in_the_line_of_another() -> None:
    def f(x: Any) -> Any: return np.apply_along_axis(lambda row: row / np.sum(row * row), 1, x)  # fmt: skip

    twin = Twin(f)
    assert [twin.equal(X) >= 0, len(twin.step.programs)] == [True, 1]
    twin.equal(X * 2)


def test_the_data_of_a_tensor_is_an_array_also_where_it_has_no_axes() -> None:
    w = tg.tensor([0.5, -1.0, 2.0], requires_grad=True)

    def f(x: Any) -> Any:
        loss = (w * x).sum()
        total = loss.detach().data
        total += 1.0
        return loss.data, total, loss.data * 2, tg.as_tensor(x.sum()).data

    step = tg.compile(f, exact=True)
    for x in X:
        found, right = step(x), f(x)
        assert [type(part) for part in found] == [type(part) for part in right]
        assert same(found, right)


def test_numbers_of_no_dimension_are_raised_as_numpy_does_it() -> None:
    """Python's power of two NumPy scalars has other last digits than NumPy's of two arrays."""

    def slope(a: Any, b: Any) -> Any:
        return tg.grad(lambda a, b: np.power(a * 1.1, np.sin(b) * 1.2), (0, 1))(a, b)

    step = tg.compile(slope, exact=True)
    for a, b in np.random.default_rng(0).uniform(0.1, 2.0, (200, 2)):
        assert same(step(np.array(a), np.array(b)), slope(np.array(a), np.array(b)))


def test_what_is_assigned_into_stays_in_its_order() -> None:
    def f(x: Any) -> Any:
        y = tg.as_tensor(x).T * 1.5
        y[0, 0] = 2.0
        return y.sum(), (y * y).sum(), y

    step = tg.compile(f, exact=True)
    for x in np.random.default_rng(0).normal(size=(50, 7, 5)):
        found, right = step(x), f(x)
        assert same(found, right)
        assert found[2].data.strides == right[2].data.strides
