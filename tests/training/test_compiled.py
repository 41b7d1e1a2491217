"""Training compiled: the same to the last bit, and what can't be compiled runs as it is."""

from typing import Any

import numpy as np
import pytest
from small import problem

import tinygrad_nn as tg


def test_a_step_that_can_not_be_compiled_is_run_as_it_is_with_one_warning() -> None:
    network, X, y = problem()
    twin, *_ = problem()
    read = []

    def loss(p: Any, labels: Any) -> Any:
        cost = ((p - labels) ** 2).mean()
        read.append(cost.item())
        return cost

    with pytest.warns(RuntimeWarning, match=r"not compiled: item\(\) at .*test_compiled\.py.*compile=False") as warned:
        history = tg.train(network, X, y, 5, 0.1, loss=loss, progress=False, compile=True)
    assert len(warned) == 1
    assert history.cost == tg.train(twin, X, y, 5, 0.1, loss=loss, progress=False).cost
    assert len(read) > 5


def test_a_compiled_training_is_the_same_to_the_last_bit() -> None:
    network, X, y = problem()
    twin, *_ = problem()
    compiled = tg.train(network, X, y, 12, 0.3, batch_size=7, progress=False)
    assert compiled.cost == tg.train(twin, X, y, 12, 0.3, batch_size=7, progress=False, compile=False).cost
    for a, b in zip(network.parameters(), twin.parameters(), strict=True):
        assert np.array_equal(a.data, b.data)
