"""A loop over entries is linear: backward allocates once for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import leaf, slope

import tinygrad_nn as tg


def _entries_allocated(n: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many array entries backward through `x[0] + ... + x[n - 1]` asks NumPy for."""
    allocated = 0
    zeros = np.zeros

    def counting(shape: Any, *args: Any, **options: Any) -> Any:
        nonlocal allocated
        made = zeros(shape, *args, **options)
        allocated += made.size
        return made

    x = leaf(np.ones(n))
    total: Any = 0.0
    for i in range(n):
        total = total + x[i] * (i + 1)
    with monkeypatch.context() as patch:
        patch.setattr(np, "zeros", counting)
        total.backward()
    np.testing.assert_array_equal(slope(x), np.arange(1.0, n + 1))
    return allocated


def test_a_loop_over_entries_allocates_in_proportion_to_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _entries_allocated(200, monkeypatch) <= 200
    assert _entries_allocated(400, monkeypatch) <= 400


@pytest.mark.parametrize("loop", [lambda x: [x[i] for i in range(len(x))], list, lambda x: tg.split(x, len(x))])
def test_every_way_to_take_a_tensor_apart_allocates_once(
    loop: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[int] = []
    original = np.array

    def counting(*args: Any, **options: Any) -> Any:
        made = original(*args, **options)
        copies.append(made.size)
        return made

    x = leaf(np.ones(300))
    parts = loop(x)
    total = tg.stack([part.sum() for part in parts]).sum()
    with monkeypatch.context() as patch:
        patch.setattr(np, "array", counting)
        total.backward()
    assert sum(copies) <= 4 * 300
    np.testing.assert_array_equal(slope(x), np.ones(300))
