"""Tensors by name, each with the layout and the scale that a convention gives its hand-derived gradient."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import errors
from ...engine.arrays import as_array
from ...engine.node import Node
from ...tensor.handle import Tensor, node_of, root_of
from .adjoints import Graph

CONVENTIONS = ("adjoint", "article")


@dataclass(frozen=True, eq=False)
class Aligned:
    """A Tensor, the name of its gradient, and how that is written by hand.

    By hand, the gradient has this `shape`, for which a matrix is `turned` or a vector made a column, and is
    `scale` times the adjoint.
    """

    key: str
    name: str
    tensor: Tensor
    shape: tuple[int, ...]
    turned: bool
    scale: int

    @property
    def node(self) -> Node:
        """The node of the Tensor."""
        return root_of(self.tensor)

    def laid_out(self, array: Any) -> Any:
        """Return what has the Tensor's shape in the layout of its gradient by hand."""
        return array.T if self.turned else array.reshape(self.shape)

    def by_hand(self, adjoint: Any) -> Any:
        """Return an adjoint as it is written by hand."""
        return self.laid_out(adjoint) * adjoint.dtype.type(self.scale)

    def adjoint(self, hand: Any) -> Any:
        """Return what is written by hand in the layout and scale of an adjoint."""
        return (hand.T if self.turned else hand.reshape(self.tensor.shape)) / self.scale


class Alignment:
    """The Tensors by name, and the convention that relates their gradients by hand to the adjoints."""

    def __init__(self, graph: Graph, tensors: Any, convention: str) -> None:
        if convention not in CONVENTIONS:
            raise ValueError(f"convention is {convention!r}; write one of {', '.join(map(repr, CONVENTIONS))}")
        self.convention, self._root = convention, graph.root
        filled = [node.handle() for node in reversed(graph.order) if node.handle is not None]  # by its backward pass
        own = {t.name: t for t in filled if t is not None and t.name is not None}
        self.named: dict[str, Any] = own | _by_name(tensors)
        known = set(graph.order)
        self.tensors: dict[str, Tensor] = {n: t for n, t in self.named.items() if isinstance(t, Tensor)}
        self.reached: dict[str, Tensor] = {n: t for n, t in self.tensors.items() if node_of(t) in known}
        biases = [t for n, t in self.reached.items() if n[:1] == "b" and t.is_leaf]
        self._in_columns = any(t.ndim == 2 and t.shape[1] == 1 for t in biases)
        samples, outputs = self._sizes(graph)
        self.samples: int = samples
        self.outputs: int = outputs

    def _sizes(self, graph: Graph) -> tuple[int, int]:
        """Return how many samples and outputs what the loss was last computed from has."""
        named = [root_of(t) for t in self.reached.values() if not t.is_leaf]
        newest = sorted(named, key=lambda node: -node.number) + graph.order
        shape = next((n.shape for n in newest if n.shape and not getattr(n.operation, "multiple_outputs", False)), (1,))
        if len(shape) == 1:
            return shape[0], 1
        return (shape[-1], shape[0]) if self._in_columns else (shape[0], shape[-1])

    def named_by(self, key: str) -> str:
        """Return the name of the Tensor that `key` is the gradient of. Raises ValueError if there is none."""
        for name in (key[1:] if key[:1] == "d" else key, key):
            if name in self.named:
                return name
        names = sorted(self.reached)
        if not names:
            raise ValueError(
                f"no Tensor is known that {key!r} could be the gradient of; name them, as in "
                "tensors={'W1': W1, 'Z1': Z1}"
            )
        (near,) = difflib.get_close_matches(key.removeprefix("d"), names, n=1, cutoff=0.0)
        raise ValueError(
            f"no Tensor is known that {key!r} is the gradient of; there are {', '.join(names)}, the nearest being "
            f"{near}; name others by tensors={{...}}"
        )

    def of(self, name: str, key: str | None = None) -> Aligned:
        """Return a Tensor's alignment. Raises TypeError, GradientError, DisconnectedError if it has no adjoint."""
        tensor, key = self.named[name], f"d{name}" if key is None else key
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"{name} is a {type(tensor).__name__}, and an adjoint belongs to a Tensor; pass the Tensor that the "
                "loss was computed from"
            )
        if not tensor.requires_grad:
            raise errors.GradientError(
                f"{name} does not require a gradient, so the graph has no adjoint for it; make it with tg.tensor(..., "
                f"requires_grad=True), or leave {key} out"
            )
        if name not in self.reached:
            raise errors.DisconnectedError(
                f"{name} does not lead to this loss by any recorded operation; compute the loss from it, pass the "
                f"Tensors of the same forward pass, or leave {key} out"
            )
        return self.frame(name, tensor, key)

    def frame(self, name: str, tensor: Tensor, key: str = "") -> Aligned:
        """Return how the convention lays out and scales what has the shape of a Tensor of this name."""
        shape, turned, scale = tensor.shape, False, 1
        if self.convention == "article" and node_of(tensor) is not self._root:
            if name.rpartition(".")[2][:1] not in ("W", "b", "w"):
                scale, turned = self.samples, not self._in_columns and tensor.ndim == 2
                shape = shape[::-1] if turned else shape
            elif tensor.ndim == 1:
                shape = (*shape, 1)
        return Aligned(key, name, tensor, shape, turned, scale)


def _by_name(tensors: Any) -> dict[str, Any]:
    """Return what a mapping or a Module holds by name; Modules inside a mapping add their parameters."""
    if hasattr(tensors, "named_parameters"):
        return dict(tensors.named_parameters())
    if tensors is None:
        return {}
    if not isinstance(tensors, Mapping):
        raise TypeError(
            "tensors= takes a mapping of names to Tensors, such as network.memory(X) or locals(), or a Module; got "
            f"{type(tensors).__name__}"
        )
    joined = {name: p for v in tensors.values() if hasattr(v, "named_parameters") for name, p in v.named_parameters()}
    return joined | {name: value for name, value in tensors.items() if isinstance(value, Tensor) or name not in joined}


def hand_written(gradient: Any) -> np.ndarray:
    """Return a gradient by hand as an array of floats. Raises DtypeError for what is not real numbers."""
    array: np.ndarray = gradient.data if isinstance(gradient, Tensor) else as_array(gradient)
    if array.dtype.kind == "c":
        raise errors.DtypeError(errors.no_gradient_dtype(array.dtype))
    return array if array.dtype.kind == "f" else array.astype(float)
