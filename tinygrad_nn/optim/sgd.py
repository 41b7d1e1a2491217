"""Gradient descent, with momentum on request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..tensor.handle import Tensor
from .optimizer import Hyperparameter, Optimizer


def sgd(
    w: np.ndarray, g: np.ndarray, velocity: np.ndarray | None, lr: float, momentum: float
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return w - lr v and v, where v = momentum v + g (PyTorch's form); without a velocity, v is g and not kept."""
    if velocity is not None:
        g = velocity = momentum * velocity + g
    step = np.multiply(g, lr)
    return np.subtract(w, step, out=step), velocity


class SGD(Optimizer):
    """w <- w - lr v with v <- momentum v + g: gradient descent. `lr` and `momentum` have no unit.

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> tg.optim.SGD([w], lr=0.1).step()
    >>> w
    tg.tensor([0.8], dtype='float64', requires_grad=True)
    """

    state_names = ("velocity",)
    momentum: Any = Hyperparameter(below=1)

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0) -> None:
        super().__init__(parameters, lr)
        self.momentum = momentum

    def initial_state(self, w: np.ndarray) -> dict[str, Any]:
        """Return a velocity of zeros; nothing without momentum."""
        return {"velocity": np.zeros_like(w)} if self.momentum else {}

    def update(self, w: np.ndarray, g: np.ndarray, state: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the parameter and its state after one step."""
        velocity = state.get("velocity") if self.momentum else None
        value, velocity = sgd(w, g, velocity, self.lr, self.momentum)
        return value, state if velocity is None else {"velocity": velocity}
