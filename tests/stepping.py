"""A parameter, gradients for it, and the steps that an optimiser takes by them."""

import numpy as np

import tinygrad_nn as tg

GRADIENTS = np.random.default_rng(5).normal(size=(7, 4))


def stepped(optimizer: tg.optim.Optimizer, w: tg.Tensor, gradients: np.ndarray = GRADIENTS) -> list[np.ndarray]:
    """Return the parameter after each step with the given gradients."""
    values = []
    for g in gradients:
        w.grad = tg.tensor(g)
        optimizer.step()
        values.append(w.data.copy())
    return values


def parameter() -> tg.Tensor:
    return tg.tensor([1.0, -2.0, 0.0, 3.0], requires_grad=True)
