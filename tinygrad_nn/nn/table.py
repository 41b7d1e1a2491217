"""Tables of networks, as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..engine.grad_mode import no_grad


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines, each column as wide as its longest cell, the last one flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(w) for cell, w in zip(row[:-1], widths, strict=False)] for row in rows]
    return "\n".join("  ".join([*line, row[-1].rjust(widths[-1])]) for line, row in zip(lines, rows, strict=True))


def summary(module: Any, input: Any) -> str:
    """Return a table of a module and all within it: name, output shape where there is an input, own parameters."""
    shapes = {} if input is None else _shapes(module, input)
    rows, counted = [("layer", "output shape", "parameters")], set[int]()
    for name, m in module.named_modules():
        within = {id(p) for child in m.children() for p in child.parameters()} | counted
        own = {id(p): p.size for p in m.parameters() if id(p) not in within}
        counted |= own.keys()
        kind = type(m).__name__
        rows.append((f"{name}: {kind}" if name else kind, shapes.get(id(m), ""), f"{sum(own.values()):,}"))
    rows.append(("total", "", f"{sum(p.size for p in module.parameters()):,}"))
    return table(rows)


def _shapes(module: Any, input: Any) -> dict[int, str]:
    """Return the shape of each module's last output, by the module's id; the modules are left as they were."""
    shapes: dict[int, str] = {}

    def noted(m: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
        def forward_and_note(*args: Any, **kwargs: Any) -> Any:
            y = forward(*args, **kwargs)
            parts = y if isinstance(y, (tuple, list)) else [y]
            shapes[id(m)] = ", ".join(str(part.shape) for part in parts if hasattr(part, "shape"))
            return y

        return forward_and_note

    before = [(vars(m), dict(vars(m))) for m in module.modules()]
    try:
        for m in module.eval().modules():
            vars(m)["forward"] = noted(m, m.forward)
        with no_grad():
            module(*input) if isinstance(input, tuple) else module(**input) if isinstance(input, dict) else module(
                input
            )
    finally:
        for held, then in before:
            held.clear()
            held.update(then)
    return shapes
