"""What tests of compiled functions ask: whether two results are the same, to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import tinygrad_nn as tg


def same_bits(a: Any, b: Any) -> bool:
    """Return whether two arrays have one dtype, one shape and the same bits; one nan is as good as another."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind not in "fc":
        return bool(np.array_equal(a, b))
    lost = np.isnan(a)
    return bool(np.array_equal(lost, np.isnan(b))) and np.where(lost, 0, a).tobytes() == np.where(lost, 0, b).tobytes()


def same(a: Any, b: Any) -> bool:
    """Return whether two results are the same bits in the same nesting, Tensors where there are Tensors."""
    if isinstance(a, tg.Tensor) or isinstance(b, tg.Tensor):
        return isinstance(a, tg.Tensor) and isinstance(b, tg.Tensor) and same_bits(a.data, b.data)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, Mapping):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if a is None or isinstance(a, str):
        return bool(a == b)
    return same_bits(a, b)
