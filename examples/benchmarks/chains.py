"""A chain of small operations, y * a and y + b in turn, by hand and in each library.

Each function returns a function for one pass, forward and backward. A pass returns the gradients of the
sum of the last y with respect to the first y, a and b.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from works import Chain

Pass = Callable[[], list[np.ndarray]]


def plain(work: Chain) -> Pass:
    """By hand, into arrays made beforehand."""
    start, a, b = work.initial()
    half = work.operations // 2
    ys = np.empty((half + 1, *work.shape))
    ys[0] = start
    rows = [ys[i, ...] for i in range(half + 1)]
    scaled, g, da, db = (np.empty(work.shape) for _ in range(4))

    def run() -> list[np.ndarray]:
        for before, after in pairwise(rows):
            np.multiply(before, a, out=scaled)
            np.add(scaled, b, out=after)
        g.fill(1)
        da.fill(0)
        db.fill(0)
        for before in reversed(rows[:-1]):
            np.add(db, g, out=db)
            np.multiply(g, before, out=scaled)
            np.add(da, scaled, out=da)
            np.multiply(g, a, out=g)
        return [g, da, db]

    return run


def ours(work: Chain) -> Pass:
    import tinygrad_nn as tg

    return _by_backward(work, [tg.tensor(v, requires_grad=True) for v in work.initial()])


def pytorch(work: Chain) -> Pass:
    import torch

    return _by_backward(work, [torch.tensor(v, requires_grad=True) for v in work.initial()])


def _by_backward(work: Chain, values: list[Any]) -> Pass:
    """Return the pass of a library whose tensors have PyTorch's methods."""

    def run() -> list[np.ndarray]:
        y, a, b = values
        for _ in range(work.operations // 2):
            y = y * a
            y = y + b
        for v in values:
            v.grad = None
        y.sum().backward()
        return [v.grad.numpy() for v in values]

    return run


def jax(work: Chain) -> Pass:
    """JAX operation by operation: under `jit` there would be no chain left to measure."""
    import jax as library
    import jax.numpy as jnp

    library.config.update("jax_enable_x64", True)
    values = list(map(jnp.asarray, work.initial()))

    def last(y: Any, a: Any, b: Any) -> Any:
        for _ in range(work.operations // 2):
            y = y * a
            y = y + b
        return y.sum()

    slope = library.value_and_grad(last, argnums=(0, 1, 2))
    return lambda: list(map(np.asarray, slope(*values)[1]))


def mygrad(work: Chain, guarded: bool = True) -> Pass:
    import mygrad as mg

    (mg.turn_memory_guarding_on if guarded else mg.turn_memory_guarding_off)()
    values = list(map(mg.tensor, work.initial()))

    def run() -> list[np.ndarray]:
        y, a, b = values
        for _ in range(work.operations // 2):
            y = y * a
            y = y + b
        y.sum().backward()
        return [np.asarray(v.grad) for v in values]

    return run


def autograd(work: Chain) -> Pass:
    import autograd.numpy as anp
    from autograd import value_and_grad

    values = tuple(work.initial())

    def last(values: Any) -> Any:
        y, a, b = values
        for _ in range(work.operations // 2):
            y = y * a
            y = y + b
        return anp.sum(y)

    slope = value_and_grad(last)
    return lambda: list(map(np.asarray, slope(values)[1]))
