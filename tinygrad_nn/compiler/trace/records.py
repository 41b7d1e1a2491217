"""What a trace notes of tensors, and where the inputs of its program come from and the outputs go."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...tensor.handle import Tensor
from ..program import Value

UNREAD: Any = object()  # the gradient of a shadow until the function sets it


@dataclass(eq=False)
class Handle:
    """A tensor that the function read or changed, and its shadow, which the trace reads and writes instead.

    A tensor that is an argument is its own shadow, made for the trace. The `owner` of the places in it is the tensor,
    or the index of the argument.
    """

    tensor: Tensor
    shadow: Tensor
    gradient: Tensor | None
    owner: Any
    requires_grad: bool
    reads_gradient: bool = False

    @property
    def held(self) -> dict[str, Any]:
        """What the shadow holds now: its array, and its gradient."""
        return {"array": self.shadow._array, "gradient": self.shadow._grad}

    @property
    def lasts(self) -> bool:
        """Whether anything besides the trace holds the tensor."""
        return isinstance(self.owner, int) or sys.getrefcount(self.tensor) > _ONE_HOLDER


def place_of(kind: str, owner: Any, key: Any = None) -> tuple[Any, ...]:
    """Return the key that tells a place from all others."""
    return kind, owner if isinstance(owner, int) else id(owner), key


_CODES = {
    "argument": "flat[{key}]", "array": "{owner}._array", "gradient": "{owner}._grad._array",
    "hyperparameter": "vars({owner}){key}", "entry": "{owner}[{key!r}]",
    "state": "{owner}._state[{key[0]}][{key[1]!r}]",
}  # fmt: skip


@dataclass(eq=False)
class Location:
    """Where an input of the program is found at each replay, and its proxy in the trace; or where an output goes.

    The `key` of an "argument" is its index among the arguments, that of a "result" its index among the outputs. An
    "array" or a "gradient" is that of a tensor, the `owner`, or of the argument with that index. A "hyperparameter" and
    a "state" are an optimiser's; an "entry" is an array of a module, and a "draw" comes from its generator: the owner
    is the module's dictionary. An output that goes `in_place` is written into the memory that is there.
    """

    value: Value
    kind: str
    owner: Any = None
    key: Any = None
    proxy: Any = None
    in_place: bool = False

    @property
    def place(self) -> tuple[Any, ...]:
        """The key that an input and an output share if the output is put in the input's place."""
        return place_of(self.kind, self.owner, self.key)

    def code(self, owner: str) -> str:
        """Return the code that reads the place, given the code of the owner, for everything except draws."""
        return _CODES[self.kind].format(owner=owner, key=self.key)

    def now(self, flat: Sequence[Any] = ()) -> Any:
        """Return what is there now; `flat` are the arguments."""
        owner = flat[self.owner] if isinstance(self.owner, int) else self.owner
        return eval(self.code("owner"), {"owner": owner, "flat": flat})


@dataclass(eq=False)
class Pass:
    """One backward pass: the numbers of its first line and of the one after its last, and its seeds by their roots.

    `adjoints` are pairs: an adjoint, and the value whose adjoint it is.
    """

    start: int
    stop: int
    roots: dict[Value, Value]
    adjoints: list[tuple[Value, Value]] = field(default_factory=list)


def _references_of_one_holder() -> int:
    held: list[Any] = [Tensor(0.0)] * 3  # as a Handle does, twice, and the Location of its array
    return sys.getrefcount(held[0])


_ONE_HOLDER = _references_of_one_holder()
