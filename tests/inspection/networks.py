"""Networks and functions that tests of inspection look into."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_nn as tg

FIGURE_1 = [
    {"input_dim": a, "output_dim": b, "activation": "sigmoid" if b == 1 else "relu"}
    for a, b in ((2, 4), (4, 6), (6, 6), (6, 4), (4, 1))
]


def figure_1(samples: int = 4) -> tuple[Any, Any, Any]:
    """Return the network of the article's figure 1, and so many samples with their labels."""
    X, y = tg.data.make_moons(samples)
    return tg.nn.DenseNetwork(FIGURE_1, seed=2), X, y.reshape(-1, 1).astype(float)


class Residual(tg.nn.Module):
    """A module of a user's own, with a parameter, a module and a frozen tensor in it."""

    def __init__(self, width: int) -> None:
        self.scale = tg.tensor(0.5, requires_grad=True)
        self.linear = tg.nn.Linear(width, width, seed=0)
        self.shift = tg.nn.Buffer(np.ones(width))

    def forward(self, x: Any) -> Any:
        inner = self.linear(x)
        return x + self.scale * inner + self.shift


def sequence() -> Any:
    """Return a Sequential with nested modules."""
    return tg.nn.Sequential(tg.nn.Linear(2, 3, seed=1), tg.nn.ReLU(), Residual(3), tg.nn.Linear(3, 1, seed=2))
