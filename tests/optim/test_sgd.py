"""Gradient descent, plain and with momentum, by its formula."""

import numpy as np
from stepping import GRADIENTS, parameter, stepped

import tinygrad_nn as tg


def test_gradient_descent_by_its_formula() -> None:
    w, expected = parameter(), parameter().data
    for value, g in zip(stepped(tg.optim.SGD([w], lr=0.1), w), GRADIENTS, strict=True):
        expected = expected - 0.1 * g
        assert np.array_equal(value, expected)


def test_momentum_by_its_formula() -> None:
    w, expected, v = parameter(), parameter().data, np.zeros(4)
    for value, g in zip(stepped(tg.optim.SGD([w], lr=0.1, momentum=0.9), w), GRADIENTS, strict=True):
        v = 0.9 * v + g
        expected = expected - 0.1 * v
        assert np.abs(value - expected).max() <= 1e-15
