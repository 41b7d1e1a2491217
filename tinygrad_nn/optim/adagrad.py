"""Steps divided by the root of squared gradients: of their sum (Adagrad), or of a running mean (RMSprop)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.settings import count
from .groups import setting
from .optimizer import Array, Optimizer, Step, no_nan, not_negative, pure


class Adagrad(Optimizer, settings={"step": count, "total": not_negative}):
    """Adaptive gradient: w <- w - lr g / (sqrt(total) + eps), where total is the sum of all g squared so far.

    lr is divided by 1 + step lr_decay, where the first step is 0; before that, weight_decay w is added to g.
    Source: Duchi et al., Adaptive subgradient methods (2011), figure 1, with the diagonal matrix.

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> tg.optim.Adagrad([w], lr=0.1).step()
    >>> w.data.round(6)
    array([0.9])
    """

    lr: float = setting(1e-2)
    lr_decay: float = setting(0.0)
    weight_decay: float = setting(0.0)
    initial_accumulator_value: float = setting(0.0)
    eps: float = setting(1e-10)

    @pure
    def init(w: Array, initial_accumulator_value: float) -> dict[str, Any]:
        """Return 0 steps, and the initial sum of squared gradients."""
        return {"step": 0, "total": np.full_like(w, float(initial_accumulator_value))}

    @pure
    def rule(w: Array, g: Array, step: int, total: Array, *, lr: float, lr_decay: float, eps: float) -> Step:
        """Return w and its state after a step."""
        total = total + g * g
        value = w - (lr / (1 + step * lr_decay)) * g / (np.sqrt(total) + eps)
        return value, {"step": step + 1, "total": total}


class RMSprop(Optimizer, settings={"v": not_negative, "m": no_nan, "velocity": no_nan}):
    """Root mean square propagation: w <- w - lr g / (sqrt(v) + eps), where v is a running mean of g squared.

    If `centered`, v is replaced by the variance v - m squared, where m is a running mean of g. With momentum, lr
    multiplies a velocity, which is momentum times the last one plus g / (sqrt(v) + eps). First, weight_decay w is added
    to g. Sources: Tieleman and Hinton, Neural networks for machine learning (2012), lecture 6.5; Graves, Generating
    sequences with recurrent neural networks (2013), equations 38 to 41; eps is where PyTorch has it.

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> tg.optim.RMSprop([w], lr=0.01).step()
    >>> w.data.round(6)
    array([0.9])
    """

    lr: float = setting(1e-2)
    alpha: float = setting(0.99, below=1)
    eps: float = setting(1e-8)
    weight_decay: float = setting(0.0)
    momentum: float = setting(0.0, below=1)
    centered: bool = setting(False)

    @pure
    def init(w: Array, momentum: float, centered: bool) -> dict[str, Any]:
        """Return zeros for the means and the velocity that are used."""
        kept = {"v": True, "m": centered, "velocity": momentum}
        return {name: np.zeros_like(w) for name, wanted in kept.items() if wanted}

    @pure
    def rule(
        w: Array, g: Array, v: Array, m: Array | float = 0.0, velocity: Array | float = 0.0, *,
        lr: float, alpha: float, eps: float, momentum: float, centered: bool,
    ) -> Step:  # fmt: skip
        """Return w and its state after a step."""
        state = {"v": alpha * v + (1 - alpha) * (g * g)}
        square = state["v"]
        if centered:
            state["m"] = m = alpha * m + (1 - alpha) * g
            square = np.maximum(square - m * m, 0)  # rounding can make a variance negative
        step = g / (np.sqrt(square) + eps)
        if momentum:
            state["velocity"] = step = momentum * velocity + step
        return w - lr * step, state
