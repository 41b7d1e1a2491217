"""What operators are applied to, and the operators: constants, masked arrays, the five of two operands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_nn as tg


def constant(values: Any, dtype: Any = None) -> Any:
    return tg.tensor(values, dtype=dtype)


def masked() -> Any:
    return np.ma.array([1.0, 2.0], mask=[False, True])


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}
