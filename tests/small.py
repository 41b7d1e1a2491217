"""Small networks, data for them, and data spoilt in one row."""

from typing import Any

import numpy as np
from article import layers

import tinygrad_nn as tg


def small(activation: str = "sigmoid", outputs: int = 1, dtype: Any = np.float64) -> tg.nn.DenseNetwork:
    return tg.nn.DenseNetwork(layers([2, 5, outputs], ["tanh", activation]), seed=4, dtype=dtype)


def data(m: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return tg.data.make_moons(m, 0.2, seed)


def spoilt(array: np.ndarray, row: int, value: float) -> np.ndarray:
    array = array.astype(float)
    array[row] = value
    return array


ROWS, LABELS = data(6)
LAYERS = [{"input_dim": 2, "output_dim": 1, "activation": "sigmoid"}]


def problem(dtype: Any = np.float64) -> tuple[tg.DenseNetwork, Any, Any]:
    X, y = tg.data.make_moons(30, seed=4)
    return tg.DenseNetwork(LAYERS, seed=1, dtype=dtype), X, y


SMALL = [
    {"input_dim": 2, "output_dim": 5, "activation": "relu"},
    {"input_dim": 5, "output_dim": 1, "activation": "sigmoid"},
]
