"""Where in a network an error was raised: a note with the layer, its input, and the shapes on the way to it."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from typing import Any

from ..engine.trees import leaves
from ..errors import public
from ..tensor.handle import Tensor, node_of

_IN_LAYER = "in layer "
_STEPS = 8  # the last recorded steps before the layer


def locate(error: Exception, module: Any, named: Iterable[tuple[str, Any]], given: Any) -> None:
    """Add a note to an error raised by the module or one of those `named` inside; it replaces notes from inside."""
    way = _way(_operands(error) or given)
    layer, inputs = vars(error).setdefault("_layer", (module, f"given {_shapes(given)}{way}"))
    whole = "" if layer is module else f"; the whole {type(module).__name__} was given {_shapes(given)}"
    name = next((name for name, m in named if m is layer), "")
    first, *within = f"{layer!r}".split("\n")
    what = f"{first})".removesuffix("()") if within else first
    notes = [note for note in getattr(error, "__notes__", ()) if not note.startswith(_IN_LAYER)]
    error.__notes__ = [*notes, f"{_IN_LAYER}{f'{name}: ' if name else ''}{what}, {inputs}{whole}"]


def _operands(error: Exception) -> list[Any]:
    """Return the Tensors passed to the operation that raised the error, if an operation did."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    calls = [frame for frame in frames if Tensor.__module__.startswith(f"{frame.f_globals.get('__package__')}.")]
    return [x for frame in calls for x in leaves([*frame.f_locals.values()]) if isinstance(x, Tensor)]


def _shapes(given: Any) -> str:
    return ", ".join(str(x.shape) if hasattr(x, "shape") else type(x).__name__ for x in leaves(given))


def _way(given: Any) -> str:
    """Return the last recorded steps that computed the input, with their shapes.

    Of several values, the one that was computed last is followed.
    """
    nodes = [node_of(x) for x in leaves(given) if isinstance(x, Tensor)]
    node = max((n for n in nodes if n is not None and n.operation is not None), key=lambda n: n.number, default=None)
    steps: list[str] = []
    while node is not None:
        steps.append(f"{public(node.operation.name, node)} {node.shape}")
        node = next((p for p in node.parents or () if p is not None and p.operation is not None), None)
    return "; on the way there: " * bool(steps) + ", ".join([*["..."] * (len(steps) > _STEPS), *steps[:_STEPS][::-1]])
