"""Slopes keep their digits: every elementwise operation against mpmath, far out, at edges, at zero and at ties."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from by_mpmath import ROWS, m
from digits_kept import grid, too_wrong, unproven
from rings import drawn
from slopes import FLOATS, leaf

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.ops import slopes as hidden
from tinygrad_nn.testing import planted_rule

JOINING = "add a row to ROWS in tests/by_mpmath.py: its function, its slopes and second slopes, as mpmath computes them"
SLOPES = {f.operation.name for f in vars(hidden).values() if hasattr(f, "operation")}
# Whose values are SciPy's, of fewer digits, or whose slopes cancel: see test_slopes_of_special; and a slope.
SPECIAL = {"beta", "betaln", "rgamma", "bessel", "inverse_error_slope"}
# Not of corresponding entries, by declaration, but of the same kind.
LINEAR = {"ldexp"}


def test_every_elementwise_operation_is_compared() -> None:
    smooth = {name for name, op in OPERATIONS.items() if op.pointwise and op.differentiable}
    compared = {name.split(",")[0] for name in ROWS}
    assert smooth - SLOPES - SPECIAL - compared == set(), JOINING
    assert compared - LINEAR <= smooth


def called(name: str) -> Callable[..., Any]:
    return ROWS[name].call or getattr(tg, name)


def first(name: str, *x: Any, seed: float = 1.0) -> list[Any]:
    """Return the slopes by reverse mode."""
    inputs = [leaf(v) for v in x]
    y = called(name)(*inputs)
    found = tg.autograd.grad(y, inputs, np.full(y.shape, seed, y.dtype), allow_unused=True)
    return [np.zeros_like(x[0]) if g is None else g.data for g in found]


def second(name: str, *x: Any) -> list[Any]:
    """Return all second derivatives, by reverse mode twice."""
    inputs = [leaf(v) for v in x]
    slopes = tg.autograd.grad(called(name)(*inputs).sum(), inputs, create_graph=True, allow_unused=True)
    found: list[Any] = []
    for g in slopes:
        again: Any = [None] * len(x)
        if g is not None and g.requires_grad:
            again = tg.autograd.grad(g.sum(), inputs, retain_graph=True, allow_unused=True)
        found += [np.zeros_like(x[0]) if h is None else h.data for h in again]
    return found


def forward_first(name: str, *x: Any) -> list[Any]:
    """Return the slopes by forward mode."""
    directions = [tuple(np.full_like(v, i == j) for j, v in enumerate(x)) for i in range(len(x))]
    return [tg.jvp(called(name), x, along)[1].data for along in directions]


def forward_second(name: str, *x: Any) -> list[Any]:
    """Return all second derivatives, by forward mode over reverse mode."""

    def slopes(*inputs: Any) -> Any:
        return tg.grad(lambda *inputs: called(name)(*inputs).sum(), argnums=tuple(range(len(x))))(*inputs)

    directions = [tuple(np.full_like(v, i == j) for j, v in enumerate(x)) for i in range(len(x))]
    columns = [[t.data for t in tg.jvp(slopes, x, along)[1]] for along in directions]
    return [columns[j][i] for i in range(len(x)) for j in range(len(x))]


def compiled(mode: Callable[..., Any]) -> Callable[..., Any]:
    def replayed(name: str, *x: Any) -> list[Any]:
        program = tg.compile(lambda *x: mode(name, *x))
        program(*x)
        return [np.asarray(y) for y in program(*x)]

    return replayed


REVERSE = [(1, first), (2, second)]
OTHERS = [(1, forward_first), (2, forward_second), (1, compiled(first)), (2, compiled(second))]


def hold(name: str, modes: Sequence[tuple[int, Any]], points: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        for order, mode in modes:
            wrong = too_wrong(ROWS[name], order, points, mode(name, *points))
            assert not wrong, f"operation {name!r}, {len(wrong)} of {points.size}: {wrong[:8]}"


def some(points: np.ndarray, size: int) -> np.ndarray:
    return points[:, sorted(drawn(points.shape[1], max(points.shape[1] // size, 1), seed=2))]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ROWS)
def test_slopes_keep_their_digits_at_some_points(name: str, dtype: Any) -> None:
    hold(name, REVERSE, some(grid(name, dtype), 60))


@pytest.mark.parametrize(("dtype", "point"), [(np.float32, 3.92e-20), (np.float64, 6e-155)])
def test_a_second_slope_of_log10_is_as_large_as_numbers_are(dtype: Any, point: float) -> None:
    hold("log10", [*REVERSE, *OTHERS], np.array([[point]], dtype))


def test_a_second_slope_of_hypot_is_finite_next_to_0() -> None:
    slopes = second("hypot", *np.array([[1.4013e-42], [2.8e-45]], np.float32))
    np.testing.assert_allclose(np.ravel(slopes), [2.854478e36, -np.inf, -np.inf, np.inf], 1e-4)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("share", [0.01, 1.0])
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus"])
def test_many_numbers_have_the_slopes_of_few(name: str, share: float, order: Any) -> None:
    """The exact formula is applied where it is needed, in arrays of any layout; of few numbers, to all."""
    points = grid(name, np.float64)[0]
    x = np.array(np.resize(np.concatenate([points[: int(share * points.size)], np.zeros(2000)]), (40, 50)), order=order)
    for mode in (first, second):
        (many,) = mode(name, x)
        few = [mode(name, row)[0] for row in x]
        np.testing.assert_allclose(many, few, rtol=4e-15, atol=1e-322)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ROWS)
def test_slopes_keep_their_digits(name: str, dtype: Any) -> None:
    hold(name, [*REVERSE, *OTHERS], grid(name, dtype))


# erfinv's reference is found by iteration, whose differences tell nothing at this order.
HIGH = [name for name in ROWS if name not in ("erfinv", "erfcinv", "sinc_derivative", "float_power")]


@pytest.mark.parametrize("name", HIGH)
def test_third_and_fourth_derivatives_at_zeros_ties_and_whole_numbers(name: str) -> None:
    row = ROWS[name]
    ones, pairs = [0.0, 1.0, -1.0, 2.0, 0.5], [(1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (2.0, 0.0), (0.5, 1.0), (0.0, 4.0)]
    points = [(x,) for x in ones] if len(row.first) == 1 else [*pairs, (2.0, 2.0), (1.0, 2.0), (-1.0, -1.0)]
    checked = 0
    for point in points:
        near = [[x + s * 2.0**-50 for x in point] for s in (-1, 0, 1)]
        if all(row.inside(*map(m.mpf, each)) for each in near):
            for order in (3, 4) if len(row.first) == 1 else (3,):
                for found, right in higher(name, order, point):
                    assert abs(found - right) <= 1e-11 * max(abs(right), 1), (name, order, point, found, right)
                    checked += 1
    assert checked


def higher(name: str, order: int, point: tuple[float, ...]) -> Any:
    """Yield derivatives of a higher order, by reverse mode and by mpmath."""
    row, inputs = ROWS[name], [leaf(x) for x in point]
    n = len(point)
    with m.workprec(max(row.bits, 400)), np.errstate(all="ignore"):
        for along in itertools.product(range(n), repeat=order):
            y = called(name)(*inputs)
            for i in along:
                (g,) = (
                    tg.autograd.grad(y, inputs[i], create_graph=True, allow_unused=True) if y.requires_grad else (None,)
                )
                y = tg.tensor(0.0) if g is None else g
            times = tuple(along[2:].count(i) for i in range(n))
            at = tuple(m.mpf(x) for x in point)
            formula = row.second[along[0] + along[1]]
            yield float(y.data), float(m.diff(formula, at, times) if n > 1 else m.diff(formula, *at, *times))


@pytest.mark.parametrize("name", ROWS)
def test_a_power_of_two_as_cotangent_changes_no_digit(name: str) -> None:
    points = some(grid(name, np.float64), 200)
    with np.errstate(all="ignore"):
        for slope, scaled in zip(first(name, *points), first(name, *points, seed=0.25), strict=True):
            normal = (np.abs(slope) > 1e-300) & (np.abs(slope) < 1e300)
            np.testing.assert_array_equal(scaled[normal], 0.25 * slope[normal])


@pytest.mark.parametrize("name", ROWS)
def test_the_rows_are_derivatives_of_their_functions(name: str) -> None:
    row = ROWS[name]
    points = [(0.37, 0.82), (1.63, 2.29), (0.71, 2.9), (-0.44, 0.66)]
    inside = [p for p in (point[: len(row.first)] for point in points) if row.inside(*p)]
    assert inside
    assert unproven(row, inside) == []


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("tanh", lambda g, y: g * (1 - y * y)),
        ("expm1", lambda g, x: g * (np.expm1(x) + 1)),
        ("arccosh", lambda g, x: g / np.sqrt(x * x - 1)),
        ("arcsin", lambda g, x: g / np.sqrt(1 - x * x)),
    ],
)
def test_a_naive_rule_is_noticed(name: str, rule: Any) -> None:
    with planted_rule(name, "x", rule), pytest.raises(AssertionError, match=f"operation '{name}'"):
        hold(name, REVERSE, grid(name, np.float64))


@pytest.mark.parametrize("exponent", [0, 0.0, np.zeros(3)], ids=["int", "float", "array"])
def test_a_power_of_zero_has_the_slope_zero_everywhere(exponent: Any) -> None:
    x = leaf([np.nan, np.inf, 2.0])
    (x**exponent).sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, [0.0, 0.0, 0.0])
