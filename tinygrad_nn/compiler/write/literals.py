"""Constants as Python source."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

_FEW = 16


def literal(x: Any) -> str:
    """Return Python source for a static argument."""
    if isinstance(x, np.dtype):
        return f"np.{x.name}" if x.kind in "biufc" and x.isnative else f"np.dtype({x.str!r})"
    if isinstance(x, type) and issubclass(x, np.generic):
        return f"np.{x.__name__}"
    if isinstance(x, (np.longdouble, np.clongdouble)):
        return f"np.{type(x).__name__}({str(x)!r})"
    if isinstance(x, np.generic):
        return f"np.{type(x).__name__}({literal(x.item())})"
    if isinstance(x, float):
        return {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}.get(repr(x), repr(x))
    if isinstance(x, slice):
        return f"slice({x.start!r}, {x.stop!r}, {x.step!r})"
    return repr(x)


def whole_literal(x: Any) -> str | None:
    """Return Python source for a constant of any kind, None if it has none or is too large for text."""
    if isinstance(x, np.ndarray):
        return literal_array(x)
    if type(x) in (tuple, list, set, frozenset):
        entries = _joined(map(whole_literal, x), "," if type(x) is tuple and len(x) == 1 else "")
        if type(x) is tuple or type(x) is list or entries is None:
            return None if entries is None else f"({entries})" if type(x) is tuple else f"[{entries}]"
        return f"{type(x).__name__}([{entries}])"
    if type(x) is dict:
        entries = _joined([_joined(map(whole_literal, pair), mark=": ") for pair in x.items()])
        return None if entries is None else f"{{{entries}}}"
    plain = (bool, int, float, complex, str, bytes, slice, np.dtype, np.generic)
    return literal(x) if x is None or x is Ellipsis or isinstance(x, plain) else None


def _joined(texts: Iterable[str | None], end: str = "", mark: str = ", ") -> str | None:
    parts = list(texts)
    return None if None in parts else mark.join(map(str, parts)) + end


def literal_array(x: np.ndarray) -> str | None:
    """Return source for a constant array, None if it is too large for text."""
    dtype = literal(x.dtype)
    if x.size and x.tobytes() == x.size * x.flat[0].tobytes():
        one = literal(x.flat[0] if x.dtype.itemsize > 8 else x.flat[0].item())
        return (
            f"np.array({one}, {dtype})"
            if not x.shape
            else _FILLED.get(one, "np.full({}, {one}, {})").format(x.shape, dtype, one=one)
        )
    entries = ", ".join(map(literal, x.ravel().tolist()))
    shaped = "" if x.ndim == 1 else f".reshape({x.shape})"
    return None if x.size > _FEW else f"np.array([{entries}], {dtype}){shaped}"


_FILLED = {"0.0": "np.zeros({}, {})", "1.0": "np.ones({}, {})"}
