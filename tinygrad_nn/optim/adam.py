"""Adam and its variants: steps whose size does not depend on the gradient's scale."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..ops.settings import count, share
from .groups import setting
from .optimizer import Array, Optimizer, Step, no_nan, not_negative, pure, zeros

_OF_STATE = {"step": count, "m": no_nan, **dict.fromkeys(["v", "v_max", "u"], not_negative), "mu_product": share}


class _Moments(Optimizer, settings=_OF_STATE):
    """The base of optimisers with running means of the gradient and of its size."""

    betas: tuple[float, float] = setting((0.9, 0.999), below=1)
    eps: float = setting(1e-8)
    weight_decay: float = setting(0.0)


class Adam(_Moments):
    """Adaptive moments: m and v are running means of g and g squared; w <- w - lr m / (sqrt(v) + eps), bias-corrected.

    First, `weight_decay` w is added to g. With `amsgrad`, the largest v so far is used instead of v.
    Sources: Kingma and Ba, Adam (2015), algorithm 1; Reddi et al., On the convergence of Adam and beyond (2018).

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> tg.optim.Adam([w], lr=0.1).step()
    >>> w.data.round(6)
    array([0.9])
    """

    amsgrad: bool = setting(False)

    @pure
    def init(w: Array, amsgrad: bool = False) -> dict[str, Any]:
        """Return 0 steps, and zeros for the means; for AMSGrad also for the largest mean."""
        return zeros("m", "v", *["v_max"] * amsgrad, step=0)(w)

    @pure
    def rule(
        w: Array, g: Array, step: int, m: Array, v: Array, v_max: Array | float = 0.0, *,
        lr: float, betas: tuple[float, float], eps: float, amsgrad: bool = False,
    ) -> Step:  # fmt: skip
        """Return w and its state after a step.

        >>> import numpy as np
        >>> import tinygrad_nn as tg
        >>> w, begun = np.array([1.0]), tg.optim.Adam.init(np.array([1.0]))
        >>> w, state = tg.optim.Adam.rule(w, np.array([2.0]), **begun, lr=0.1, betas=(0.9, 0.999), eps=1e-8)
        >>> w.round(6), state["step"]
        (array([0.9]), 1)
        """
        step, (beta1, beta2) = step + 1, betas
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (g * g)
        largest = {"v_max": np.maximum(v_max, v)} if amsgrad else {}
        unbiased = (1 - beta2**step) ** 0.5  # multiplies both sides of the fraction, which saves a pass over v
        rate = lr * unbiased / (1 - beta1**step)
        value = w - rate * m / (np.sqrt(largest.get("v_max", v)) + eps * unbiased)
        return value, {"step": step, "m": m, "v": v} | largest


class AdamW(Adam):
    """Adam with decoupled weight decay: w <- (1 - lr weight_decay) w comes before Adam's step.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization (2019), algorithm 2.

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> tg.optim.AdamW([w], lr=0.1, weight_decay=0.5).step()
    >>> w.data.round(6)
    array([0.85])
    """

    weight_decay: float = setting(1e-2)
    _decouples = True


class Adamax(_Moments):
    """Adam with u <- max(beta2 u, |g| + eps) instead of sqrt(v) + eps.

    Source: Kingma and Ba, Adam (2015), algorithm 2; eps is where PyTorch has it.

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> tg.optim.Adamax([w], lr=0.1).step()
    >>> w.data.round(6)
    array([0.9])
    """

    init: ClassVar[Any] = staticmethod(zeros("m", "u", step=0))
    lr: float = setting(2e-3)

    @pure
    def rule(
        w: Array, g: Array, step: int, m: Array, u: Array, *, lr: float, betas: tuple[float, float], eps: float
    ) -> Step:
        """Return w and its state after a step."""
        step, (beta1, beta2) = step + 1, betas
        m = beta1 * m + (1 - beta1) * g
        u = np.maximum(beta2 * u, np.abs(g) + eps)
        return w - (lr / (1 - beta1**step)) * m / u, {"step": step, "m": m, "u": u}


class NAdam(_Moments):
    """Adam with Nesterov's momentum: m is replaced by a mean of g and m, weighted by a growing momentum.

    The momentum is mu = beta1 (1 - 0.96**(step momentum_decay) / 2). Source: Dozat, Incorporating Nesterov
    momentum into Adam (2016), algorithm 2.

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> tg.optim.NAdam([w], lr=0.1).step()
    >>> w.data.round(3)
    array([0.894])
    """

    init: ClassVar[Any] = staticmethod(zeros("m", "v", step=0, mu_product=1.0))
    lr: float = setting(2e-3)
    momentum_decay: float = setting(4e-3)

    @pure
    def rule(
        w: Array, g: Array, step: int, m: Array, v: Array, mu_product: float, *,
        lr: float, betas: tuple[float, float], eps: float, momentum_decay: float,
    ) -> Step:  # fmt: skip
        """Return w and its state after a step."""
        step, (beta1, beta2) = step + 1, betas
        mu, next_mu = (beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in (step, step + 1))
        mu_product = mu_product * mu
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * (g * g)
        ahead = ((1 - mu) / (1 - mu_product)) * g + (next_mu / (1 - mu_product * next_mu)) * m
        root = np.sqrt(v) / (1 - beta2**step) ** 0.5
        return w - lr * ahead / (root + eps), {"step": step, "m": m, "v": v, "mu_product": mu_product}
