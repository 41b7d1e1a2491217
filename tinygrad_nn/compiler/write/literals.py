"""Constants as Python source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_FEW, _WIDTH = 16, 100
WRITTEN = (int, float, complex, str, bytes, range, slice, np.dtype, np.generic, type(None), type(...))


class NoSource(Exception):
    """A function or constant, or something that it refers to, can't be written as text."""


def literal(x: Any) -> str:
    """Return Python source for a static argument."""
    if isinstance(x, np.dtype):
        return f"np.{x.name}" if x.kind in "biufc" and x.isnative else f"np.dtype({x.str!r})"
    if isinstance(x, type):
        return f"{'np.' * issubclass(x, np.generic)}{x.__name__}"
    if isinstance(x, np.generic):
        return repr(x) if x.dtype.char in "mMgG" else f"np.{type(x).__name__}({literal(x.item())})"
    if isinstance(x, float) and not np.isfinite(x):
        return "np.nan" if x != x else f"{'-' * (x < 0)}np.inf"
    if isinstance(x, complex) and ("-0" in repr(x) or not np.isfinite(x)):  # -0j is (-0-0j)
        return f"complex({literal(x.real)}, {literal(x.imag)})"
    return repr(x)


def nested(leaf: Callable[[Any], str], tree: Any) -> str:
    """Return source for nested tuples, lists and dictionaries, given the source of their leaves."""
    if type(tree) is dict:
        return "{" + ", ".join([f"{nested(leaf, key)}: {nested(leaf, x)}" for key, x in tree.items()]) + "}"
    if type(tree) is not tuple and type(tree) is not list:
        return leaf(tree)
    inner = ", ".join([nested(leaf, x) for x in tree])
    return f"[{inner}]" if type(tree) is list else f"({inner}{',' * (len(tree) == 1)})"


def whole_literal(tree: Any) -> str:
    """Return Python source for a constant of any kind. Raises NoSource if it has none or is too large for text."""

    def leaf(x: Any) -> str:
        if type(x) in (set, frozenset):
            return f"{type(x).__name__}({whole_literal([*x])})"
        text = array_text(x) if isinstance(x, np.ndarray) else literal(x) if isinstance(x, WRITTEN) else None
        text = f"np.dtype({text})" if isinstance(x, np.dtype) else text
        if text is None:
            raise NoSource(f"{x!r:.60} can't be written as text")
        return text

    return nested(leaf, tree)


def array_text(x: Any, few: int = _FEW) -> str | None:
    """Return source for a constant array, None if it lies in another order, or has many entries and no plain form."""
    if x.dtype.kind in "mMOV" or not x.flags.c_contiguous:
        return None
    dtype = "" if x.dtype in (float, int, bool) else f", dtype={literal(x.dtype)}"
    if x.ndim and x.tobytes() == x.size * x.ravel()[:1].tobytes():
        number = nested(literal, _numbers(x.ravel()[:1] if x.size else np.zeros(1, x.dtype)))[1:-1]
        length = repr(x.shape[0] if x.ndim == 1 else x.shape)
        full = {"0.0": f"np.zeros({length}", "1.0": f"np.ones({length}"}.get(number, f"np.full({length}, {number}")
        return f"{full}{dtype})"
    steps: Any = np.unique(np.diff(x)) if x.ndim == 1 and x.size > 2 and x.dtype == int else ()
    if len(steps) == 1 and steps[0] > 0:
        start, step = int(x[0]), int(steps[0])
        return f"np.arange({start}, {x[-1] + step}, {step})" if start or step > 1 else f"np.arange({x.size})"
    for make in (np.eye, np.tri) if x.ndim == 2 and x.dtype.kind in "biufc" else ():
        number, shape = x[0, 0], dict.fromkeys(x.shape)
        if x.tobytes() == (number * make(*x.shape, dtype=x.dtype)).tobytes():
            text = f"np.{make.__name__}({', '.join(map(str, shape))}{dtype if x.dtype != bool else ', dtype=bool'})"
            return text if number == 1 else f"({nested(literal, _numbers(x[:1, 0]))[1:-1]} * {text})"
    return None if x.size > few else f"np.array({nested(literal, _numbers(x))}{dtype})"


def for_people(x: np.ndarray) -> str | None:
    """Return source for a constant array of whatever layout; an array without axes is a number."""
    return array_text(x.copy()) if x.ndim else nested(literal, _numbers(x))


def _numbers(x: np.ndarray) -> Any:
    """Return an array as nested lists, with the shortest numbers that give its entries."""
    return x.astype(str).astype(float).tolist() if x.dtype.char in "ef" else x.tolist()


def wrapped(start: str, entries: list[str], end: str) -> str:
    """Return entries in brackets, on one line if they fit, else on lines of their own, as many as fit on each."""
    line = f"{start}{', '.join(entries)}{end}"
    if len(line) <= _WIDTH:
        return line
    rows = [indent := " " * (8 if start.startswith("def") else 4)]
    for entry in entries:
        if len(rows[-1]) + len(entry) >= _WIDTH and rows[-1] != indent:
            rows.append(indent)
        rows[-1] += f"{entry}, "
    return "\n".join([start, *[row.rstrip() for row in rows], end])
