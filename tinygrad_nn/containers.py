"""Nested lists, tuples and dicts as arguments and results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def leaves(tree: Any) -> Iterator[Any]:
    """Yield what a nested list, tuple or dict holds, depth first."""
    if isinstance(tree, dict):
        for value in tree.values():
            yield from leaves(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from leaves(value)
    else:
        yield tree


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return the same nesting with `function` applied to each leaf, depth first."""
    if isinstance(tree, dict):
        return {key: map_leaves(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[map_leaves(function, value) for value in tree])
    if isinstance(tree, (list, tuple)):
        return type(tree)([map_leaves(function, value) for value in tree])
    return function(tree)
