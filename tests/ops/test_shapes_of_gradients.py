"""Broadcasting: a gradient has the shape of its input, and batches are summed in any memory layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from by_folds import fold
from numpy import inf as INF
from slopes import FLOATS, leaf, slope

import tinygrad_nn as tg


@pytest.mark.parametrize(
    ("a", "b"),
    [((), ()), ((), (3,)), ((3, 1), (0,)), ((3, 1), (4,)), ((1, 1, 1), (2, 3)), ((0,), ()), ((2, 1, 3), (4, 1)),
     ((1,), (0, 1)), ((5, 2, 3), (3,)), ((1, 3), (2, 3)), ((2, 1), (1, 2))],
)  # fmt: skip
@pytest.mark.parametrize(
    "function", [tg.add, tg.multiply, tg.divide, tg.maximum, tg.power, tg.where, tg.logaddexp], ids=lambda f: f.__name__
)
def test_a_gradient_has_the_shape_of_its_input(a: tuple[int, ...], b: tuple[int, ...], function: Any) -> None:
    x, z = leaf(np.full(a, 2.0)), leaf(np.full(b, 3.0))
    y = function(x > 0, x, z) if function is tg.where else function(x, z)
    assert y.shape == np.broadcast_shapes(a, b)
    for create_graph in (True, False):
        x.grad = z.grad = None
        y.sum().backward(create_graph=create_graph)
        assert slope(x).shape == a
        assert slope(z).shape == b
    if function is tg.add and x.size:
        np.testing.assert_array_equal(slope(x), np.full(a, y.size / x.size))


def test_a_scalar_branch_of_where_gets_a_scalar_gradient() -> None:
    x = leaf(2.0)
    tg.where(np.array([[True, False], [True, True]]), x, 0.0).sum().backward()
    assert slope(x).shape == ()
    assert slope(x) == 3.0


@pytest.mark.parametrize("memory", ["C", "F", "strided", "transposed"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_bias_gradient_sums_over_the_batch_in_any_memory_layout(memory: str, dtype: Any) -> None:
    seed = np.random.default_rng(0).normal(size=(6, 4, 3)).astype(dtype)
    laid = {
        "C": seed,
        "F": np.asfortranarray(seed),
        "strided": np.repeat(seed, 2, axis=0)[::2],
        "transposed": np.ascontiguousarray(seed.transpose(2, 1, 0)).transpose(2, 1, 0),
    }[memory]
    for shape, axes in (((3,), (0, 1)), ((1, 3), (0, 1)), ((4, 1), (0, 2)), ((), (0, 1, 2)), ((6, 1, 1), (1, 2))):
        bias = leaf(np.zeros(shape), dtype)
        (bias + np.zeros((6, 4, 3), dtype)).backward(laid)
        np.testing.assert_allclose(slope(bias), fold(np.add, seed, axes).reshape(shape), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bad", [INF, np.nan])
def test_infinities_and_nans_in_a_batch_stay_in_their_own_column(bad: float) -> None:
    bias, seed = leaf(np.zeros(3)), np.ones((4, 3))
    seed[1, 1] = bad
    (bias + np.zeros((4, 3))).backward(seed)
    assert (slope(bias)[0], slope(bias)[2]) == (4.0, 4.0)
    np.testing.assert_equal(slope(bias)[1], bad)
