"""The slope of tanh at 1, by the library and by hand, and a rule that doubles it."""

from typing import Any

import numpy as np

import tinygrad_nn as tg

SLOPE = 1 - np.tanh(1.0) ** 2


def slope() -> float:
    return float(tg.grad(tg.tanh)(1.0))


def doubled(g: Any, y: Any) -> Any:
    return 2 * g * (1 - y * y)
