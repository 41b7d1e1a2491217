"""Adam: steps of a size that does not depend on the gradient's scale."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..tensor.handle import Tensor
from .optimizer import Hyperparameter, Optimizer


def adam(
    w: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, step: int,
    lr: float, beta1: float, beta2: float, eps: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Return w and the moments m and v after step number `step`, counted from 1.

    Source: Kingma and Ba, Adam (2015), algorithm 1, with epsilon outside the root.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    root = np.sqrt(v) / (1 - beta2**step) ** 0.5
    return w - (lr / (1 - beta1**step)) * m / (root + eps), m, v


class Adam(Optimizer):
    """m and v are running means of g and g squared; w <- w - lr m / (sqrt(v) + eps), bias-corrected."""

    state_names = ("step", "m", "v")
    betas: Any = Hyperparameter(below=1, count=2)
    eps: Any = Hyperparameter()

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr)
        self.betas, self.eps = betas, eps

    def initial_state(self, w: np.ndarray) -> dict[str, Any]:
        """Return no steps, and moments of zeros."""
        return {"step": 0, "m": np.zeros_like(w), "v": np.zeros_like(w)}

    def update(self, w: np.ndarray, g: np.ndarray, state: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the parameter and its state after one step."""
        step, (beta1, beta2) = state["step"] + 1, self.betas
        value, m, v = adam(w, g, state["m"], state["v"], step, self.lr, beta1, beta2, self.eps)
        return value, {"step": step, "m": m, "v": v}
