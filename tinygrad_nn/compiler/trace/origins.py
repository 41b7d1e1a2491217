"""What the user calls the arrays that a function is given, and those that it refers to."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...tensor.handle import Tensor

PACKAGE = __package__.partition(".")[0]


def argument_names(function: Any, args: Any, kwargs: Any) -> list[str]:
    """Return a name for every array, Tensor and number among the arguments, in their order; a Tensor has one.

    In a dict it is the key, in a list the list's name with the place: the W of the first of two layers is W1.
    """
    found: list[str] = []
    seen: set[int] = set()

    def walk(tree: Any, name: str, place: str = "") -> None:
        if isinstance(tree, (tuple, list)):
            for i, x in enumerate(tree, start=1):
                walk(x, name, f"{place}_{i}" if place else f"{i}")
        elif isinstance(tree, dict):
            for key, x in tree.items():
                walk(x, str(key), place)
        elif isinstance(tree, Tensor) and id(tree) not in seen:
            seen.add(id(tree))
            found.append(f"{name}{place}")
        elif isinstance(tree, (np.ndarray, np.generic)) or type(tree) in (int, float):
            found.append(f"{name}{place}")

    for x, name in zip(args, _positional(function, len(args)), strict=True):
        walk(x, name)
    for name, x in kwargs.items():
        walk(x, name)
    return found


def _positional(function: Any, n: int) -> list[str]:
    """Return the names of the first n positional parameters."""
    try:
        parameters = list(inspect.signature(innermost(function)).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    own = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [own[i] if i < len(own) else f"x{i + 1}" for i in range(n)]


def innermost(function: Any) -> Any:
    """Return the user's function that a transform such as `tg.grad` was given."""
    while str(getattr(function, "__module__", None)).split(".")[0] == __name__.split(".")[0]:
        inner = [x for x in _cells(function).values() if callable(x)]
        if not inner:
            break
        function = inner[0]
    return function


def _cells(function: Any) -> dict[str, Any]:
    """Return what a function refers to in the functions around it, by name."""
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    cells = getattr(function, "__closure__", None) or ()
    return {name: cell.cell_contents for name, cell in zip(names, cells, strict=True) if _is_filled(cell)}


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def captured(function: Any) -> dict[int, str]:
    """Return the names of the arrays and Tensors that a function refers to, by id, also one attribute or item away."""
    function = innermost(function)
    owner = getattr(function, "__self__", None)
    found: dict[int, str] = {}
    for name, x in [*_referred(getattr(function, "__func__", function)), *([("", owner)] if owner is not None else [])]:
        parts: Any = [(name, x)]
        if isinstance(x, dict):
            parts += [(str(key), part) for key, part in x.items()]
        elif isinstance(x, (list, tuple)):
            parts += [(f"{name}{i}", part) for i, part in enumerate(x, start=1)]
        elif not isinstance(x, (types.ModuleType, types.FunctionType, type)):
            parts += getattr(x, "__dict__", {}).items()
        for wish, part in parts:
            if isinstance(part, (np.ndarray, Tensor)):
                found.setdefault(id(part), wish)
                found.setdefault(id(getattr(part, "_array", part)), wish)
    return found


def _referred(function: Any) -> Iterator[tuple[str, Any]]:
    yield from _cells(function).items()
    codes = [code] if (code := getattr(function, "__code__", None)) is not None else []
    while codes:
        code = codes.pop()
        codes += [c for c in code.co_consts if isinstance(c, types.CodeType)]
        yield from [(n, function.__globals__[n]) for n in code.co_names if n in function.__globals__]


def is_installed(module: str) -> bool:
    """Return whether what a module holds can be imported elsewhere: not this package's, nor the user's own."""
    first = module.partition(".")[0]
    if first in sys.stdlib_module_names:
        return first not in ("__main__",)
    folders = str(getattr(sys.modules.get(first), "__file__", "")).replace("\\", "/").split("/")
    return first != PACKAGE and ("site-packages" in folders or "dist-packages" in folders)
