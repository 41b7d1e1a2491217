"""Which arrays a recorded graph keeps alive, how large they are, and which nodes keep them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..engine.node import Node
from ..engine.trees import leaves
from ..errors import in_columns


class Kept(NamedTuple):
    """An array that is kept: its `nbytes`, and `by` whom, nodes and the names that their rules have for it."""

    nbytes: int
    shape: tuple[int, ...]
    dtype: Any
    by: list[str]


class Memory(tuple[Kept, ...]):
    """The arrays that a graph keeps, the largest first; `print` lists them."""

    @property
    def nbytes(self) -> int:
        """How many bytes are kept in all."""
        return sum(array.nbytes for array in self)

    def __str__(self) -> str:
        rows = [["bytes", "shape", "dtype", "kept by"]]
        rows += [[f"{k.nbytes:,}", str(k.shape), str(k.dtype), ", ".join(k.by)] for k in self]
        return f"{in_columns(rows)}\n{self.nbytes:,} bytes in {len(self)} array{'s' * (len(self) != 1)}"


def kept_by(nodes: Iterable[Any]) -> Memory:
    """Return what the recorded ones among these nodes keep."""
    found: dict[int, Kept] = {}
    for node in nodes:
        for slot, array in arrays_kept(node.node):
            while isinstance(array.base, np.ndarray):  # a view keeps the whole
                array = array.base
            kept = found.setdefault(id(array), Kept(array.nbytes, array.shape, array.dtype, []))
            kept.by.append(f"{node.name} ({slot})")
    return Memory(sorted(found.values(), key=lambda kept: -kept.nbytes))


def arrays_kept(node: Node | None) -> list[tuple[str, Any]]:
    """Return the arrays that a recorded node keeps for its rules, with the rules' names for them."""
    if node is None:
        return []
    kept = zip(getattr(node.operation, "slots", ()), node.saved or (), strict=False)
    return [(slot, x) for slot, saved in kept for x in leaves(saved) if isinstance(x, np.ndarray)]
