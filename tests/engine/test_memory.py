"""Memory stays flat without the collector, whatever is done in a step."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import leaf

import tinygrad_nn as tg
from tinygrad_nn.errors import FreedGraphError


def _plain_step(w: Any, x: Any) -> None:
    w.grad = None
    loss = ((tg.tanh(x @ w) - 1) ** 2).mean()
    loss.backward()
    with tg.no_grad():
        w -= 0.01 * w.grad


def _create_graph_step(w: Any, x: Any) -> None:
    w.grad = None
    ((tg.tanh(x @ w) - 1) ** 2).mean().backward(create_graph=True)
    (w.grad * w.grad).sum().backward()
    with tg.no_grad():
        w -= 0.01 * w.grad


def _abandoned_create_graph_step(w: Any, x: Any) -> None:
    w.grad = None
    tg.exp(x @ w).sum().backward(create_graph=True)


def _functional_step(w: Any, x: Any) -> None:
    (g,) = tg.autograd.grad(tg.sigmoid(x @ w).sum(), w, create_graph=True)
    assert g is not None
    tg.autograd.grad(g.sum(), w)


def _transform_step(w: Any, x: Any) -> None:
    tg.grad(lambda v: (tg.sigmoid(x @ v) @ w).sum())(w)
    tg.grad(tg.grad(lambda s: s**3 * 2))(1.0)


def _hooked_step(w: Any, x: Any) -> None:
    w.grad = None
    h = x @ w
    h.retain_grad()
    h.register_hook(lambda g: g * 2)
    h[0] = 1.0
    h += 1
    h.sum().backward()


def _failing_step(w: Any, x: Any) -> None:
    w.grad = None
    y = (x @ w).sum()
    y.backward()
    with pytest.raises(FreedGraphError):
        y.backward()


def _left_over(step: Callable[[Any, Any], None], repeats: int, rounds: int = 1) -> tuple[int, int]:
    """Return what a round of repeats left behind: objects in cycles, and blocks of memory beside them.

    A collection also empties the interpreter's free lists, which would look like growth, and its
    lists fill up in the first rounds; a leak shows in each of them, so the smallest counts.
    """
    w, x = leaf(np.full((3, 3), 0.1)), tg.ones((2, 3))
    left = []
    for _ in range(rounds):
        for _ in range(20):
            step(w, x)
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(repeats):
            step(w, x)
        cycles = gc.collect()
        left.append((cycles, sys.getallocatedblocks() - before))
    return max(cycles for cycles, _ in left), min(blocks for _, blocks in left)


def test_10_000_training_steps_leave_memory_flat_without_the_collector(no_collector: None) -> None:
    cycles, blocks = _left_over(_plain_step, 10_000, rounds=2)
    assert cycles < 100
    assert blocks < 100


SLOW_STEPS = [_abandoned_create_graph_step, _functional_step, _transform_step, _hooked_step, _failing_step]


@pytest.mark.parametrize(
    "step", [_create_graph_step, *[pytest.param(step, marks=pytest.mark.slow) for step in SLOW_STEPS]]
)
def test_memory_stays_flat_without_the_collector(step: Callable[[Any, Any], None], no_collector: None) -> None:
    cycles, blocks = _left_over(step, 500, rounds=4)
    assert cycles < 100
    assert blocks < 50


def test_a_leak_of_one_block_a_step_is_noticed(no_collector: None) -> None:
    kept: list[Any] = []
    _, blocks = _left_over(lambda w, x: kept.append(object()), 500, rounds=4)
    assert blocks >= 500
