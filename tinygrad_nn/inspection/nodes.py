"""The nodes of a graph: what each reads, what reads it, what was observed, and what it keeps alive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from os.path import basename
from traceback import FrameSummary
from typing import Any, NamedTuple

import numpy as np

from ..engine.arrays import raw
from ..engine.node import Node
from ..engine.trees import leaves
from ..errors import in_columns
from ..tensor.handle import Tensor
from .terms import Contribution

MANY = 2**63  # ways are counted up to this number


@dataclass(eq=False, slots=True)
class GraphNode:
    """A value in a graph, of the kind "parameter" (a leaf that requires grad), "data" (another leaf) or "operation".

    `inputs` are the operands as nodes or plain numbers, by the operation's names for them, and `operands` their values;
    `settings` are the operation's parameters, such as an axis. `value`, `adjoint`, `contributions`, `line` and
    `modules` are known if the node was watched; `adjoint` also for a leaf whose `.grad` is filled. The adjoint of
    several outputs is a tuple of arrays. `modules` are the names and classes of the modules that computed the value,
    the outermost first. `line` is a `traceback.FrameSummary`.
    """

    number: int
    kind: str
    operation: str = ""
    shape: Any = ()
    dtype: Any = None
    inputs: dict[str, Any] = field(default_factory=dict)
    operands: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    children: list[GraphNode] = field(default_factory=list)
    stored: Any = None
    contributions: list[Contribution] = field(default_factory=list)
    line: FrameSummary | None = None
    modules: tuple[tuple[str, str], ...] = ()
    owners: tuple[int, ...] = ()  # the ids of these modules
    given: str = ""  # the name that the user or a module has for it
    name: str = ""  # unique in the graph
    symbol: str = ""  # the name as a Python identifier, in formulas
    node: Node | None = None  # the engine's; `kept` is what it saved when a pass came to it
    kept: Any = None
    sums: list[int] = field(default_factory=list)  # checksums of `kept_arrays` when the node was recorded
    engine: Any = None  # the engine's operation, None for an item
    rule_of: Any = None  # the engine's node whose rule computed it, in a pass that is itself recorded
    arrived: Any = None  # the sum of the contributions, if hooks were called with it
    seen: Any = None  # the adjoint in the last watched pass

    @property
    def parents(self) -> list[GraphNode]:
        """The nodes that it reads, in order; a node that is read twice is listed twice."""
        return [x for x in self.inputs.values() if isinstance(x, GraphNode)]

    @property
    def value(self) -> Any:
        """The value if it was watched, if the node is a leaf, or as long as the node's rule needs it; else None."""
        if self.stored is None and self.engine is None and self.tensor is not None:
            return self.tensor.data
        return self.saved.get("y") if self.stored is None else self.stored

    @property
    def saved(self) -> dict[str, Any]:
        """What the engine keeps, or kept until a watched pass came, for the node's rules, by their names for it."""
        if self.engine is None or self.node is None:
            return {}
        return dict(zip(self.engine.slots, self.kept or self.node.saved or (), strict=False))

    @property
    def known(self) -> dict[str, Any]:
        """The operands; if it was not watched when recorded, those that its rules read, as long as they are kept."""
        if self.operands or self.engine is None or self.engine.variadic:
            return self.operands
        return {slot: x for slot, x in self.saved.items() if slot in self.engine.arguments and x is not None}

    @property
    def tensor(self) -> Tensor | None:
        """The Tensor whose `.grad` is filled, if it still exists."""
        found: Tensor | None = self.node.handle() if self.node is not None and self.node.handle is not None else None
        return found

    @property
    def adjoint(self) -> Any:
        """The derivative of the output with respect to this value: an array, or None if no backward pass came here."""
        if self.seen is not None or (tensor := self.tensor) is None:
            return self.seen
        return None if tensor.grad is None else tensor.grad.data

    @property
    def kept_arrays(self) -> list[tuple[str, Any]]:
        """The arrays that the engine keeps for the node's rules, with the rules' names for them."""
        saved = {} if self.node is None or self.node.saved is None else self.saved
        found = [(slot, raw(x)) for slot, tree in saved.items() for x in leaves(_of_checkpoint(tree))]
        return [(slot, x) for slot, x in found if isinstance(x, np.ndarray)]

    @property
    def group(self) -> str:
        """The innermost module that computed it, as "encoder.0: Linear"; "" outside of modules."""
        return "" if not self.modules else printable(": ".join(filter(None, self.modules[-1])))

    @property
    def place(self) -> str:
        """The file's name and the number of its line."""
        return "" if self.line is None else f"{basename(self.line.filename)}:{self.line.lineno}"

    def __repr__(self) -> str:
        return f"<{self.name or self.operation}: {self.operation or self.kind} of shape {self.shape}>"


def printable(text: str) -> str:
    """Return a text with a space in place of each character that can't be printed or stand in a picture."""
    return "".join(c if c.isprintable() else " " for c in text)


def arguments_of(operation: Any, count: int) -> list[str]:
    """Return an operation's names for `count` operands."""
    return [f"input {i}" for i in range(count)] if operation.variadic else list(operation.arguments)


def _of_checkpoint(x: Any) -> Any:
    """Return what a checkpointed part needs to be computed again; anything else unchanged."""
    if not hasattr(x, "kwargs"):
        return x
    captured = [cell.cell_contents for cell in getattr(x.function, "__closure__", None) or ()]
    return x.function, x.args, x.kwargs, x.entries, captured


class Kept(NamedTuple):
    """An array that is kept: its size `nbytes`, and `by` which nodes, each with its rules' name for the array."""

    nbytes: int
    shape: tuple[int, ...]
    dtype: Any
    by: list[str]


class Memory(tuple[Kept, ...]):
    """The arrays that a graph keeps, the largest first; `print` lists them."""

    @classmethod
    def of(cls, nodes: Iterable[GraphNode]) -> Memory:
        """Return the arrays that the recorded nodes among these keep."""
        found: dict[int, Kept] = {}
        for node in nodes:
            for slot, array in node.kept_arrays:
                while isinstance(array.base, np.ndarray):  # a view keeps its whole base
                    array = array.base
                kept = found.setdefault(id(array), Kept(array.nbytes, array.shape, array.dtype, []))
                kept.by.append(f"{node.name} ({slot})")
        return cls(sorted(found.values(), key=lambda kept: -kept.nbytes))

    @property
    def nbytes(self) -> int:
        """The total number of bytes kept."""
        return sum(array.nbytes for array in self)

    def __str__(self) -> str:
        rows = [["bytes", "shape", "dtype", "kept by"]]
        rows += [[f"{k.nbytes:,}", str(k.shape), str(k.dtype), ", ".join(k.by)] for k in self]
        return f"{in_columns(rows)}\n{self.nbytes:,} bytes in {len(self)} array{'s' * (len(self) != 1)}"
