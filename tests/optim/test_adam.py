"""Adam, by its formula."""

import numpy as np
from stepping import GRADIENTS, parameter, stepped

import tinygrad_nn as tg


def test_adam_by_its_formula() -> None:
    w, expected, m, v = parameter(), parameter().data, np.zeros(4), np.zeros(4)
    values = stepped(tg.optim.Adam([w], lr=0.1, betas=(0.8, 0.99), eps=1e-6), w)
    for t, (value, g) in enumerate(zip(values, GRADIENTS, strict=True), start=1):
        m, v = 0.8 * m + 0.2 * g, 0.99 * v + 0.01 * g**2
        expected = expected - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-6)
        assert np.abs(value - expected).max() <= 1e-14
