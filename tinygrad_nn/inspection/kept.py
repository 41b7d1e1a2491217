"""Which arrays a recorded graph keeps alive, how large they are, and which nodes keep them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.trees import leaves


@dataclass
class Kept:
    """An array that is kept: its `nbytes`, and `by` whom, nodes and the names that their rules have for it."""

    nbytes: int
    shape: tuple[int, ...]
    dtype: Any
    by: list[str] = field(default_factory=list)


class Memory(tuple[Kept, ...]):
    """The arrays that a graph keeps, the largest first; `print` lists them."""

    @property
    def nbytes(self) -> int:
        """How many bytes are kept in all."""
        return sum(array.nbytes for array in self)

    def __str__(self) -> str:
        rows = [["bytes", "shape", "dtype", "kept by"]]
        rows += [[f"{k.nbytes:,}", str(k.shape), str(k.dtype), ", ".join(k.by)] for k in self]
        return f"{listed(rows)}\n{self.nbytes:,} bytes in {len(self)} array{'s' * (len(self) != 1)}"


def kept_by(nodes: Iterable[Any]) -> Memory:
    """Return what the recorded ones among these nodes keep."""
    found: dict[int, Kept] = {}
    for node in nodes:
        if node.node is not None and node.engine is not None and node.operation != "item":
            for slot, saved in zip(node.engine.slots, node.node.saved or (), strict=False):
                for array in leaves(saved):
                    if isinstance(array, np.ndarray):
                        owner = _owner(array)
                        kept = found.setdefault(id(owner), Kept(owner.nbytes, owner.shape, owner.dtype))
                        kept.by.append(f"{node.name} ({slot})")
    return Memory(sorted(found.values(), key=lambda kept: -kept.nbytes))


def _owner(array: np.ndarray) -> np.ndarray:
    """Return the array whose memory this is."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def listed(rows: list[list[str]]) -> str:
    """Return rows as lines, each column as wide as its longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
