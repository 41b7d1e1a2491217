"""Texts about networks: a table of the layers, and where in a network an error was raised."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ..engine.grad_mode import no_grad
from ..engine.trees import entries, leaves
from ..errors import in_columns, public
from ..tensor.handle import Tensor, node_of

_IN_LAYER = "in layer "
_STEPS = 8  # the last recorded steps before the layer


def summary(module: Any, input: Any) -> str:
    """Return a table of a module and all modules inside: name, output shape if an input is given, own parameters."""
    shapes = {} if input is None else _output_shapes(module, input)
    rows, counted = [("layer", "output shape", "parameters")], set[int]()
    for name, m in module.named_modules():
        within = {id(p) for child in m.children() for p in child.parameters()} | counted
        own = {id(p): p.size for p in m.parameters() if id(p) not in within}
        counted |= own.keys()
        kind = type(m).__name__
        rows.append((f"{name}: {kind}" if name else kind, shapes.get(id(m), ""), f"{sum(own.values()):10,}"))
    rows.append(("total", "", f"{sum(p.size for p in module.parameters()):10,}"))
    return in_columns(rows)


def _output_shapes(module: Any, input: Any) -> dict[int, str]:
    """Return the shape of each module's last output, by the module's id; the modules stay as they are."""
    shapes: dict[int, str] = {}

    def noted(m: Any, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        y = forward(*args, **kwargs)
        shapes[id(m)] = ", ".join(str(part.shape) for part in entries(y) if hasattr(part, "shape"))
        return y

    before = [(vars(m), dict(vars(m))) for m in module.modules()]
    try:
        for m in module.eval().modules():
            vars(m)["forward"] = partial(noted, m, m.forward)
        args = input if isinstance(input, (tuple, dict)) else (input,)
        with no_grad():
            module(**args) if isinstance(args, dict) else module(*args)
    finally:
        for held, then in before:
            held.clear()
            held.update(then)
    return shapes


def locate(error: Exception, module: Any, named: Iterable[tuple[str, Any]], given: Any) -> None:
    """Add a note to an error raised by the module or one of those `named` inside; it replaces notes from inside."""
    way = _way(_operands(error) or given)
    nested = "; it takes a Tensor, not a tuple: pass one of its entries" * any(
        isinstance(x, tuple) for x in given[0][:1]
    )
    layer, inputs = vars(error).setdefault("_layer", (module, f"given {_shapes(given)}{nested}{way}"))
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
