"""Losses: an infinite logit costs nothing where its label agrees."""

import numpy as np

import tinygrad_nn as tg


def test_an_infinite_logit_costs_nothing_where_its_label_agrees() -> None:
    z = tg.tensor([np.inf, -np.inf, np.inf, 2.0], requires_grad=True)
    losses = tg.binary_cross_entropy_with_logits(z, np.array([1.0, 0.0, 0.0, 0.5]), reduction="none")
    np.testing.assert_allclose(losses.data, [0.0, 0.0, np.inf, np.log1p(np.exp(-2.0)) + 1.0])
    losses.backward(np.ones(4))
    assert z.grad is not None
    np.testing.assert_allclose(z.grad.data, [0.0, 0.0, 1.0, 1 / (1 + np.exp(-2.0)) - 0.5])
