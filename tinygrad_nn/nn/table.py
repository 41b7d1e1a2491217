"""Tables of networks, as text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..engine.grad_mode import no_grad
from ..engine.trees import entries
from ..errors import in_columns


def summary(module: Any, input: Any) -> str:
    """Return a table of a module and all modules inside: name, output shape if an input is given, own parameters."""
    shapes = {} if input is None else _shapes(module, input)
    rows, counted = [("layer", "output shape", "parameters")], set[int]()
    for name, m in module.named_modules():
        within = {id(p) for child in m.children() for p in child.parameters()} | counted
        own = {id(p): p.size for p in m.parameters() if id(p) not in within}
        counted |= own.keys()
        kind = type(m).__name__
        rows.append((f"{name}: {kind}" if name else kind, shapes.get(id(m), ""), f"{sum(own.values()):10,}"))
    rows.append(("total", "", f"{sum(p.size for p in module.parameters()):10,}"))
    return in_columns(rows)


def _shapes(module: Any, input: Any) -> dict[int, str]:
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
