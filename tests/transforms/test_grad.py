"""grad and value_and_grad: nestings, arguments, what comes beside the value, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.errors import DtypeError, GradientError


def test_nested_differentiation_keeps_the_variables_apart() -> None:
    assert float(tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(5.0)) == 1.0


def test_the_outer_variable_may_be_the_inner_argument() -> None:
    inner = tg.grad(lambda y: y**3)
    assert float(tg.grad(lambda x: x * inner(x))(2.0)) == 3 * 3 * 4.0
    assert float(tg.grad(lambda x: tg.grad(lambda y: x * y * y)(x))(3.0)) == 4 * 3.0


@pytest.mark.parametrize("function", [lambda x: tg.tensor(3.0), lambda x: tg.ones(()) * 2])
def test_transforms_give_zeros_where_nothing_connects(function: Callable[[Any], Any]) -> None:
    np.testing.assert_array_equal(tg.grad(function)(np.ones(2)).data, [0.0, 0.0])


def test_the_second_derivative_of_a_linear_function_is_zero() -> None:
    assert float(tg.grad(tg.grad(lambda x: 3 * x))(1.0)) == 0.0


def test_zeros_keep_the_arguments_shape_and_dtype() -> None:
    g = tg.grad(lambda x, y: (y * 2).sum(), argnums=0)(np.ones((2, 3), np.float32), tg.ones(2))
    assert g.shape == (2, 3)
    assert g.dtype == np.float32


def test_value_and_grad_returns_both_without_a_graph() -> None:
    value, g = tg.value_and_grad(lambda x: (x * x).sum())(np.array([1.0, 2.0]))
    assert value.item() == 5.0
    np.testing.assert_array_equal(g.data, [2.0, 4.0])
    assert not value.requires_grad
    assert not g.requires_grad


def test_what_comes_beside_the_value_is_handed_through() -> None:
    (value, aux), g = tg.value_and_grad(lambda x: (x * x, {"twice": 2.0}), has_aux=True)(3.0)
    assert (value.item(), aux, g.item()) == (9.0, {"twice": 2.0}, 6.0)
    assert tg.grad(lambda x: (x * x, "aux"), has_aux=True)(3.0)[1] == "aux"


@pytest.mark.parametrize(("argnums", "expected"), [(0, 3.0), (1, 2.0), (-1, 2.0), ((0, 1), (3.0, 2.0)), ((1,), (2.0,))])
def test_argnums_choose_the_arguments(argnums: Any, expected: Any) -> None:
    found = tg.grad(lambda x, y: x * y, argnums=argnums)(2.0, 3.0)
    assert (tuple(map(float, found)) if isinstance(found, tuple) else float(found)) == expected


@pytest.mark.parametrize("argnums", [(0, 0), (0, -2)])
def test_an_argument_named_twice_gets_its_gradient_twice_or_an_error(argnums: tuple[int, int]) -> None:
    try:
        found = tg.grad(lambda x, y: x * y, argnums=argnums)(2.0, 3.0)
    except ValueError:
        return
    assert tuple(map(float, found)) == (3.0, 3.0)


def test_an_argument_that_is_not_there_is_an_error() -> None:
    with pytest.raises((IndexError, ValueError), match="argnums 1"):
        tg.grad(lambda x: x * x, argnums=1)(1.0)


def test_arguments_may_be_nested() -> None:
    parameters = {"w": np.array([1.0, 2.0]), "layers": [np.array(3.0), (np.array(4.0),)]}
    g = tg.grad(lambda p: (p["w"] * p["layers"][0]).sum() * p["layers"][1][0])(parameters)
    np.testing.assert_array_equal(g["w"].data, [12.0, 12.0])
    assert float(g["layers"][0]) == 12.0
    assert float(g["layers"][1][0]) == 9.0


def test_a_transform_leaves_the_callers_tensors_alone() -> None:
    x = leaf([1.0, 2.0])
    tg.grad(lambda v: (v * v).sum())(x)
    assert x.grad is None


def test_a_transform_of_a_function_that_uses_an_outer_parameter_stays_differentiable() -> None:
    w = leaf(2.0)
    g = tg.grad(lambda x: w * x * x)(3.0)
    g.backward()
    assert slope(w) == 6.0


def test_transforms_work_under_no_grad_and_record_nothing_there() -> None:
    x = leaf(3.0)
    with tg.no_grad():
        g = tg.grad(lambda v: v * v * x)(x)
    assert g.item() == 18.0
    assert not g.requires_grad


def test_a_function_to_differentiate_returns_one_number() -> None:
    with pytest.raises(GradientError, match=r"shape \(2,\)"):
        tg.grad(lambda x: x * 2)(np.ones(2))
    with pytest.raises(TypeError, match="returns a Tensor, got float"):
        tg.grad(lambda x: 2.0)(1.0)


@pytest.mark.parametrize("x", [2, True, np.array([1, 2])])
def test_transforms_refuse_integers_and_booleans(x: Any) -> None:
    with pytest.raises(DtypeError, match="floats"):
        tg.grad(lambda v: (v * 1.0).sum())(x)
