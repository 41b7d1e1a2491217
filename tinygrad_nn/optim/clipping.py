"""Clipping of large gradients, between `backward` and `step`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import GradientError, given
from ..ops.settings import explained, is_number
from ..tensor.handle import Tensor, make
from .groups import listed


@explained
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients by min(1, max_norm / (norm + 1e-6)), and return their norm, taken together, before that.

    `norm_type` is a number above 0, or inf. Raises ValueError for other bounds and norms, GradientError if
    `error_if_nonfinite` and the norm is inf or nan. Source: Pascanu et al., On the difficulty of training recurrent
    neural networks (2013), algorithm 1; the 1e-6 is PyTorch's.

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> tg.optim.clip_grad_norm_([w], 1.0), w.grad.data.round(3)
    (tg.tensor(5., dtype='float64'), array([0.6, 0.8]))
    """
    if not (is_number(norm_type) and norm_type > 0):
        raise ValueError(f"norm_type must be a number above 0, or inf, got {norm_type!r}")
    found = _with_gradients(parameters, "max_norm", max_norm)
    norms = [_norm(p.grad.data, norm_type) for p in found]
    total: Any = _norm(np.stack(norms), norm_type) if norms else np.zeros(())
    if error_if_nonfinite and not np.isfinite(total):
        raise GradientError("the norm of the gradients is inf or nan; look for the first such gradient, or lower lr")
    share = np.minimum(max_norm / (total + 1e-6), 1.0)
    for p in found:
        p.grad = make(p.grad.data * share.astype(p.dtype), None)
    return make(total, None)


@explained
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip every entry of the gradients to ±clip_value. Raises ValueError for an invalid bound.

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> tg.optim.clip_grad_value_([w], 3.5)
    >>> w.grad
    tg.tensor([3. , 3.5], dtype='float64')
    """
    for p in _with_gradients(parameters, "clip_value", clip_value):
        clipped = np.minimum(np.maximum(p.grad.data, -clip_value), clip_value)
        p.grad = make(clipped.astype(p.dtype, copy=False), None)


def _norm(x: Any, order: float) -> Any:
    if order == math.inf:
        return np.max(np.abs(x), initial=0)
    return np.sqrt(np.sum(x * x)) if order == 2 else np.sum(np.abs(x) ** order) ** (1 / order)


def _with_gradients(parameters: Any, name: str, bound: float) -> list[Any]:
    """Return the parameters that have a gradient. Raises TypeError or ValueError for invalid arguments."""
    found = listed(parameters)
    for p in found:
        if not isinstance(p, Tensor):
            raise TypeError(f"gradients are clipped of parameters, not of {given(p)}; write model.parameters()")
    if not (is_number(bound) and bound >= 0):
        raise ValueError(f"{name} must be a number, 0 or more, got {bound!r}")
    return [p for p in found if p.grad is not None]
