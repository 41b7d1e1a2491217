"""Gradient descent, with optional momentum."""

from __future__ import annotations

from typing import Any

import numpy as np

from .groups import setting
from .optimizer import Array, Optimizer, Step, no_nan, pure


class SGD(Optimizer, settings={"velocity": no_nan}):
    """Gradient descent: w <- w - lr v, where v <- momentum v + (1 - dampening) g.

    First, weight_decay w is added to g. The first v is g. With `nesterov`, w <- w - lr (g + momentum v).
    Hyperparameters have no units. Raises ValueError for Nesterov without momentum or with dampening. Source: Sutskever
    et al., On the importance of initialization and momentum in deep learning (2013), equations 1 to 4; lr multiplies v
    as in PyTorch.

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> tg.optim.SGD([w], lr=0.1).step()
    >>> w
    tg.tensor([0.8], dtype='float64', requires_grad=True)
    """

    momentum: float = setting(0.0, below=1)
    dampening: float = setting(0.0)
    weight_decay: float = setting(0.0)
    nesterov: bool = setting(False)

    @staticmethod
    def _check(settings: Any) -> Any:
        if settings.get("nesterov") and (settings.get("dampening") or settings.get("momentum") == 0):
            raise ValueError("Nesterov momentum needs a momentum above 0, and no dampening; set these first")
        return settings

    @pure
    def init(w: Array, momentum: float, dampening: float) -> dict[str, Any]:
        """Return a velocity of zeros, or nothing without momentum, or with dampening, which skips the first g."""
        return {"velocity": np.zeros_like(w)} if momentum and not dampening else {}

    @pure
    def rule(
        w: Array,
        g: Array,
        velocity: Array | None = None,
        *,
        lr: float,
        momentum: float,
        dampening: float,
        nesterov: bool,
    ) -> Step:
        """Return w and its state after a step; if there is no velocity yet, it becomes the gradient."""
        if momentum:
            damped = (1 - dampening) * g if dampening else g
            velocity = +g if velocity is None else momentum * velocity + damped  # +g: a copy of the gradient
            g = g + momentum * velocity if nesterov else velocity
        step = lr * g
        value = np.subtract(w, step, step if step.ndim else None)  # a 0-d step is a NumPy scalar
        return value, {} if velocity is None else {"velocity": velocity}
