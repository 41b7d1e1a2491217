"""Losses: labels are checked, and an infinite logit costs nothing where its label agrees."""

from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        ([0, 3], ValueError, r"label 3 at \(1,\) names no class: it must be from 0 to 2"),
        ([-1, 0], ValueError, r"label -1 at \(0,\)"),
        ([0.0, 1.0], TypeError, r"class labels are integers, got dtype float64; write y.astype\(int\)"),
        ([0], ValueError, r"logits of shape \(2, 3\) need class labels of shape \(2,\), got \(1,\)"),
    ],
)
def test_class_labels_are_checked(labels: list[Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        tg.cross_entropy(tg.zeros((2, 3)), labels)


@pytest.mark.parametrize("loss", [tg.binary_cross_entropy, tg.binary_cross_entropy_with_logits, tg.mse_loss])
def test_losses_refuse_different_shapes_and_unknown_reductions(loss: Any) -> None:
    half = tg.full((3, 1), 0.5)
    with pytest.raises(ValueError, match=r"\(3, 1\) and \(3,\); write y.reshape\(\(3, 1\)\)"):
        loss(half, np.ones(3))
    with pytest.raises(ValueError, match="reduction must be 'mean', 'sum' or 'none', not 'total'"):
        loss(half, np.ones((3, 1)), reduction="total")


def test_an_infinite_logit_costs_nothing_where_its_label_agrees() -> None:
    z = tg.tensor([np.inf, -np.inf, np.inf, 2.0], requires_grad=True)
    losses = tg.binary_cross_entropy_with_logits(z, np.array([1.0, 0.0, 0.0, 0.5]), reduction="none")
    np.testing.assert_allclose(losses.data, [0.0, 0.0, np.inf, np.log1p(np.exp(-2.0)) + 1.0])
    losses.backward(np.ones(4))
    assert z.grad is not None
    np.testing.assert_allclose(z.grad.data, [0.0, 0.0, 1.0, 1 / (1 + np.exp(-2.0)) - 0.5])
