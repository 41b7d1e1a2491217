"""Gradients of gradients: tensors at every order, under create_graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import leaf, slope

import tinygrad_nn as tg


def test_gradients_are_tensors_at_every_order() -> None:
    x = leaf(2.0)
    (x**4).backward(create_graph=True)
    first = x.grad
    assert isinstance(first, tg.Tensor)
    assert first.requires_grad
    x.grad = None
    first.backward(create_graph=True)
    second = x.grad
    assert isinstance(second, tg.Tensor)
    x.grad = None
    second.backward()
    assert (first.item(), second.item(), slope(x).item()) == (32.0, 48.0, 48.0)
    assert not x.grad.requires_grad


DERIVATIVES: dict[str, tuple[Callable[[Any], Any], list[Callable[[float], float]]]] = {
    "sin": (tg.sin, [np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)]),
    "exp(2x)": (
        lambda x: tg.exp(2 * x),
        [lambda x: 2 * np.exp(2 * x), lambda x: 4 * np.exp(2 * x), lambda x: 8 * np.exp(2 * x)],
    ),
    "1/x": (lambda x: 1 / x, [lambda x: -1 / x**2, lambda x: 2 / x**3, lambda x: -6 / x**4]),
    "x log x": (lambda x: x * tg.log(x), [lambda x: np.log(x) + 1, lambda x: 1 / x, lambda x: -1 / x**2]),
    "x**5": (lambda x: x**5, [lambda x: 5 * x**4, lambda x: 20 * x**3, lambda x: 60 * x**2]),
    "x[0]**3": (lambda x: x.reshape(1)[0] ** 3, [lambda x: 3 * x**2, lambda x: 6 * x, lambda x: 6.0]),
    "assigned": (lambda x: _assigned(x), [lambda x: 4 * x**3, lambda x: 12 * x**2, lambda x: 24 * x]),
}


def _assigned(x: Any) -> Any:
    t = tg.zeros(2)
    t[0] = x * x
    t[1] = t[0]
    return t[0] * t[1]


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_to_third_order(name: str) -> None:
    function, derivatives = DERIVATIVES[name]
    x = leaf(0.7)
    g = function(x)
    for derivative in derivatives:
        (g,) = tg.autograd.grad(g, x, create_graph=True)
        assert g is not None
        np.testing.assert_allclose(g.item(), derivative(0.7), rtol=1e-12)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_nested_transforms_to_third_order(name: str) -> None:
    function, derivatives = DERIVATIVES[name]
    for derivative in derivatives:
        function = tg.grad(function)
        np.testing.assert_allclose(float(function(0.7)), derivative(0.7), rtol=1e-12)


def test_create_graph_accumulates_into_a_gradient_that_stays_differentiable() -> None:
    x = leaf(3.0)
    (x**2).backward(create_graph=True)
    (x**3).backward(create_graph=True)
    (second,) = tg.autograd.grad(x.grad, x)
    assert second is not None
    assert second.item() == 2 + 6 * 3


def test_create_graph_under_no_grad_accumulates_into_a_recorded_gradient() -> None:
    x = leaf(3.0)
    square, cube = x**2, x**3
    with tg.no_grad():
        square.backward(create_graph=True)
        cube.backward(create_graph=True)
    assert x.grad.requires_grad


def test_a_mixed_second_derivative_is_symmetric() -> None:
    x, y = leaf(2.0), leaf(3.0)
    f = x**2 * y**3
    fx, fy = tg.autograd.grad(f, [x, y], create_graph=True)
    (fxy,) = tg.autograd.grad(fx, y)
    (fyx,) = tg.autograd.grad(fy, x)
    assert fxy is not None
    assert fyx is not None
    assert fxy.item() == fyx.item() == 2 * 2 * 3 * 9


def test_the_cotangent_itself_is_differentiable_under_create_graph() -> None:
    x, v = leaf([1.0, 2.0]), leaf([0.0, 0.0])
    (g,) = tg.autograd.grad(x * x, x, grad_outputs=v, create_graph=True)
    (tangent,) = tg.autograd.grad(g, v, grad_outputs=np.array([1.0, 10.0]))
    assert tangent is not None
    np.testing.assert_array_equal(tangent.data, [2.0, 40.0])
