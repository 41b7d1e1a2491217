"""The cotangents of a backward pass: added up at each node, in the node's shape and dtype."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import DtypeError, given, no_gradient_dtype, noted, of_another
from .arrays import ArrayProxy, as_array
from .grad_mode import inside_rule, setting
from .node import Lift, Node
from .outputs import Parts

# Below this number of entries, a new array costs less than finding out whether the old one may be overwritten.
SMALL = 2000


class Cotangents(dict[Node, Any]):
    """The sum of what has arrived at each node so far, in the node's shape and dtype.

    With `create_graph` cotangents are Tensors, made by `lift`; otherwise they are arrays.
    """

    __slots__ = ("_create_graph", "_lift")

    def __init__(self, seeds: Mapping[Node, Any], lift: Lift, create_graph: bool) -> None:
        super().__init__(seeds)
        self._lift, self._create_graph = lift, create_graph

    def leave(self, node: Node) -> Any:
        """Remove and return the complete cotangent of a node, None if nothing reached it; its hooks may replace it."""
        g = self.pop(node, None)
        if type(g) is Parts:
            g = g.whole(node, self._lift if self._create_graph else None)
        return g if node.hooks is None or g is None else self.hooked(node, g)

    def arrive(self, parent: Node, c: Any, node: Node, rule: Any) -> None:
        """Add `c`, which a rule of `node` has computed from the node's cotangent, to that of `parent`."""
        try:
            fits = c.shape == parent.shape and c.dtype is parent.dtype
        except AttributeError:  # not an array: `project` raises
            fits = False
        if not fits:
            c = project(c, parent, node, rule)
        if (held := self.pop(parent, None)) is not None:
            c = np.add(held, c, out=held) if c.size > SMALL and owned(held) else held + c
        self[parent] = c

    def add_into(self, parent: Node, rule: Any, g: Any, saved: Any) -> None:
        """Let a rule add to the cotangent of `parent` in place, without an array of its own."""
        held = self.pop(parent)
        if not owned(held):
            held = np.array(held, parent.dtype)
        rule.into(held, g, *[saved[i] for i in rule.into_slots])
        self[parent] = held

    def hooked(self, node: Node, g: Any) -> Any:
        """Return the cotangent after the node's hooks; each hook gets its own copy."""
        for hook in list((node.hooks or {}).values()):
            with setting(inside_rule, False):  # a hook is not a rule: it may read a Tensor's array
                changed = hook(np.positive(g) if self._create_graph else self._lift(np.array(g), None))
            if changed is not None:
                c = fitting(changed, node, self._lift, "cotangent that a hook returned", "its tensor")
                g = np.positive(c) if self._create_graph else np.array(c.data)
        return g


def fitting(given: Any, like: Any, lift: Lift, what: str = "cotangent", whose: str = "the output") -> Any:
    """Return the cotangent or tangent that a user gives for `like`, a tensor or node, as a Tensor of its dtype.

    Raises ValueError for another shape, DtypeError for complex numbers.
    """
    with noted(f"the {what} must be an array of shape {like.shape}, as {whose} is"):
        c = given if hasattr(given, "requires_grad") else lift(as_array(given), None)
    if c.shape != like.shape:
        raise ValueError(of_another("shape", what, c, whose, like))
    if c.dtype.kind == "c":
        raise DtypeError(no_gradient_dtype(c.dtype))
    return c if c.dtype == like.dtype else c.astype(like.dtype)


def project(c: Any, parent: Node, node: Node, rule: Any) -> Any:
    """Return a cotangent in its parent's shape and dtype: summed over what was broadcast."""
    shape = parent.shape
    if not hasattr(c, "dtype"):
        raise TypeError(_misfit(c, shape, node, rule))
    if c.shape != shape:
        lead = c.ndim - len(shape)
        plain = isinstance(c, (np.ndarray, ArrayProxy)) and c.dtype.char in "fd" and c.size > 0
        if plain and c.shape[lead:] == shape and math.prod(shape) > 1:  # np.sum to one entry is as fast, and pairwise
            rows = c if c.ndim == 2 else c.reshape(-1, math.prod(shape))
            c = (np.ones(len(rows), c.dtype) @ rows).reshape(shape)  # 900 rows of 50: three times as fast as np.sum
        else:
            if lead < 0 or any(n not in (1, m) for n, m in zip(shape, c.shape[lead:], strict=True)):
                raise ValueError(_misfit(c, shape, node, rule))
            axes = tuple(i for i in range(c.ndim) if i < lead or c.shape[i] != shape[i - lead])
            if axes == (c.ndim - 1,) and plain and c.shape[-1] <= 64:
                c = (c.reshape(-1, c.shape[-1]) @ np.ones(c.shape[-1], c.dtype)).reshape(shape)
            else:
                wide = c.astype(np.float32) if c.dtype.char == "e" else c  # float16 sums overflow, and lose digits
                c = np.add.reduce(wide, axis=axes).reshape(shape)
    return c if c.dtype == parent.dtype else c.astype(parent.dtype)


def _misfit(c: Any, shape: tuple[int, ...], node: Node, rule: Any) -> str:
    return (
        f"the rule of {node.operation.name!r} for {rule.argument!r} returned {given(c)}, which can't be summed to the "
        f"input's shape {shape}; return the cotangent, an array in that shape or in one that it was broadcast to"
    )


def _references_of_one_holder() -> int:
    array = np.empty(1)
    return (lambda held: sys.getrefcount(held))(array)  # called as `owned` is: Python versions count differently


_ONE_HOLDER = _references_of_one_holder()


def owned(array: Any) -> bool:
    """Return whether only the caller's variable refers to this array's memory, so that it may be overwritten."""
    return type(array) is np.ndarray and sys.getrefcount(array) <= _ONE_HOLDER and array.flags.owndata
