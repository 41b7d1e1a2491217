"""Values and names as text, as graphs, terms and memory print them."""

from __future__ import annotations

from typing import Any

import numpy as np

_NAMES = 12


def brief(x: Any) -> str:
    """Return a value in a few characters: its numbers if they are few, else the least and the greatest."""
    if x is None:
        return ""
    if isinstance(x, tuple):
        return "; ".join(map(brief, x))
    return _numbers(np.asarray(x).tolist()) if np.size(x) <= 4 else f"{x.min():.4g} .. {x.max():.4g}"


def _numbers(x: Any) -> str:
    if isinstance(x, list):
        return f"[{', '.join(map(_numbers, x))}]"
    return f"{x:.4g}" if isinstance(x, float) else str(x)


def printable(text: str) -> str:
    """Return a text with a space in place of each character that can't be printed or stand in a picture."""
    return "".join(c if c.isprintable() else " " for c in text)


def some(names: list[str]) -> str:
    """Return names joined by commas; if there are many, the first ones and their number; "." for none."""
    more = f", ... {len(names):,} in all" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more or "."
