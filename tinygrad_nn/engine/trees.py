"""Nested lists, tuples and dicts as arguments and results; a module counts as a dict of its parameters."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import given


def entries(tree: Any) -> Iterator[Any]:
    """Yield the entries of a nested list, tuple or dict, depth first; modules are entries."""
    if isinstance(tree, (dict, list, tuple)):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from entries(part)
    else:
        yield tree


def leaves(tree: Any) -> Iterator[Any]:
    """Yield the entries of a nested list, tuple or dict, depth first, with the parameters in place of each module."""
    for x in entries(tree):
        yield from dict(x.named_parameters()).values() if is_module(x) else (x,)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return the tree with `function` applied to each leaf; a module becomes one with the results as parameters."""
    return mapped(function, tree, lambda m: m.with_parameters({n: function(p) for n, p in m.named_parameters()}))


def filled(tree: Any, values: Iterator[Any]) -> Any:
    """Return `tree` with its leaves replaced by `values`, in order; a module becomes a dict by name."""
    return mapped(lambda _: next(values), tree, lambda m: {name: next(values) for name, _ in m.named_parameters()})


def aligned(tree: Any, like: Any) -> Iterator[Any]:
    """Yield the leaves of `tree` in the order of `like`. Raises ValueError if their structures differ.

    `tree` may have a dict by name where `like` has a module. If it is None, all leaves are None.
    """
    tree = filled(like, itertools.repeat(None)) if tree is None else tree
    if is_module(like):
        like = dict(like.named_parameters())
        tree = dict(tree.named_parameters()) if is_module(tree) else tree
    if isinstance(like, dict):
        if not isinstance(tree, dict) or tree.keys() != like.keys():
            raise ValueError(f"pass a dict with the keys {list(like)}, got {given(tree)}")
        for key, part in like.items():
            yield from aligned(tree[key], part)
    elif isinstance(like, (list, tuple)):
        if not isinstance(tree, (list, tuple)) or len(tree) != len(like):
            raise ValueError(f"pass a sequence of {len(like)}, got {given(tree)}")
        for item, part in zip(tree, like, strict=True):
            yield from aligned(item, part)
    else:
        yield tree


def mapped(function: Callable[[Any], Any], tree: Any, rebuilt: Any) -> Any:
    """Return the tree with `function` applied to each entry, and `rebuilt` to each module."""
    if isinstance(tree, dict):
        return {key: mapped(function, value, rebuilt) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        parts = [mapped(function, value, rebuilt) for value in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return rebuilt(tree) if is_module(tree) else function(tree)


def is_module(tree: Any) -> bool:
    """Return whether this is an object with parameters that can be replaced."""
    return hasattr(type(tree), "named_parameters") and hasattr(type(tree), "with_parameters")
