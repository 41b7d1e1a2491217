"""Adjoints of a recorded graph: how far rounding can move them, and how they are written by hand."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ... import errors
from ...engine.arrays import as_array
from ...engine.node import Node, history, record
from ...engine.reverse import pullback
from ...engine.zero_safe import product_of_entries, sum_of_products
from ...tensor.handle import Tensor, make, node_of, root_of, seed_of

CONVENTIONS = ("adjoint", "article")
Arrays = dict[Node, np.ndarray]
DRAWS, ROUNDINGS = 8, 32


class Graph:
    """The graph that a loss was computed by.

    Raises TypeError unless the loss is a Tensor, GradientError if it has several entries or no graph.
    """

    def __init__(self, loss: Tensor) -> None:
        if not isinstance(loss, Tensor):
            raise TypeError(errors.only_tensors("the loss", loss))
        self.root: Node = root_of(loss)
        self._seed = seed_of(loss, None, create_graph=False)
        self.order: list[Node] = history([self.root])

    def next_ones(self, chosen: set[Node]) -> dict[Node, set[Node]]:
        """Return, for each chosen node, the chosen nodes (or the root) to which it leads without another in between."""
        met: dict[Node, set[Node]] = {self.root: set()}
        for node in self.order:
            through = {node} if node in chosen or node is self.root else met[node]
            for parent in node.parents or ():
                if parent is not None:
                    met[parent] = met.get(parent, set()) | through
        return {node: met[node] for node in chosen}

    def adjoints(self, wanted: list[Node], given: Mapping[Node, np.ndarray], eps: float) -> tuple[Arrays, Arrays]:
        """Return the adjoints of the wanted nodes, and how far rounding to `eps` may move them.

        For a node in `given`, its own adjoint is returned, but the given one is passed on to earlier nodes. The effect
        of rounding is measured by passes that round every array differently.
        """
        exact, *draws = [self._pass(wanted, given, draw, eps * (draw > 0)) for draw in range(DRAWS + 1)]
        tolerance = {}
        for node, g in exact.items():
            spread = np.sqrt(np.mean([np.square(np.subtract(draw[node], g, dtype=float)) for draw in draws], axis=0))
            measured = np.where(np.isfinite(spread), ROUNDINGS * spread, 0)
            tolerance[node] = np.sqrt(eps) * np.abs(g) + eps * np.abs(g).max(initial=0.0) + measured
        return exact, tolerance

    def _pass(self, wanted: list[Node], given: Mapping[Node, np.ndarray], seed: int, eps: float) -> Arrays:
        """Return the wanted adjoints of a pass over copies of the nodes that changes each entry by about `eps`."""
        rng = np.random.default_rng(seed)
        copies: dict[Node, Node] = {}
        arrived: Arrays = {}
        steps = [n for n in self.order if n.operation is not None and n.operation.name in ("sigmoid", "tanh")]
        squashed = {parent: node for node in steps for parent in node.parents or ()}

        def noise(array: Any) -> Any:
            return (array * (1 + eps * rng.normal(size=np.shape(array)))).astype(array.dtype)

        def arrive(node: Node, g: Tensor) -> Any:
            arrived[node] = noise(g.data)
            if node in squashed:  # by hand, 1 - a is its slope, of which rounding leaves eps where a is next to 1
                ahead = arrived[squashed[node]].astype(float)
                arrived[node] = (arrived[node] + (noise(ahead) - ahead)).astype(g.dtype)
            return noise(given[node]) if node in given else arrived[node]

        for node in reversed(self.order):
            parents = tuple([None if parent is None else copies[parent] for parent in node.parents or ()])
            copy = copies[node] = record(node.operation, parents, _rounded(node, noise), node)
            if not getattr(node.operation, "multiple_outputs", False):
                copy.hooks = {0: partial(arrive, node)}
        targets = [copies[node] for node in wanted]
        pullback({copies[self.root]: self._seed}, targets, make, retain_graph=False, create_graph=False)
        return {node: arrived[node] for node in wanted if node in arrived}


def _rounded(node: Node, noise: Callable[[Any], Any]) -> Any:
    """Return the saved arrays of a node, rounded again if a rule multiplies by them, but not if it compares."""
    operation, saved = node.operation, node.saved
    if operation is None or not saved or getattr(operation, "variadic", True):
        return saved
    if any(rule is not None and rule.reads and rule.zero_safe not in (product_of_entries, sum_of_products)
           for rule in operation.rules):  # fmt: skip
        return saved
    variable = [parent is not None for parent in node.parents or ()] + [True]  # the slots of inputs, then the output's
    changed = [noise(x) if v and x is not None and x.dtype.kind == "f" else x for v, x in zip(variable, saved)]
    return (*changed, *saved[len(changed) :])


@dataclass(frozen=True, eq=False)
class Aligned:
    """A Tensor, the `key` of its gradient, and the layout of that by hand; `hand` is the gradient by hand, or None.

    By hand, the gradient has this `shape`: a matrix may be transposed (`turned`), a vector be a column. It is `scale`
    times the adjoint.
    """

    key: str
    name: str
    tensor: Tensor
    hand: Any
    shape: tuple[int, ...]
    turned: bool
    scale: int

    @property
    def node(self) -> Node:
        """The node of the Tensor."""
        return root_of(self.tensor)

    @property
    def fits(self) -> bool:
        """Whether the gradient by hand has the right shape."""
        return self.hand is not None and bool(self.hand.shape == self.shape)

    def laid_out(self, array: Any) -> Any:
        """Return an array of the Tensor's shape in the layout of the gradient by hand."""
        return array.T if self.turned else array.reshape(self.shape)

    def by_hand(self, adjoint: Any) -> Any:
        """Return an adjoint in the layout and scale of the gradient by hand."""
        return self.laid_out(adjoint) * adjoint.dtype.type(self.scale)

    def adjoint(self, hand: Any) -> Any:
        """Return a gradient by hand in the layout and scale of the adjoint."""
        return (hand.T if self.turned else hand.reshape(self.tensor.shape)) / self.scale


class Alignment:
    """The Tensors by name, and the convention that relates their gradients by hand to the adjoints."""

    def __init__(self, graph: Graph, tensors: Any, convention: str) -> None:
        if convention not in CONVENTIONS:
            raise ValueError(f"convention is {convention!r}; write one of {', '.join(map(repr, CONVENTIONS))}")
        self.convention, self._root = convention, graph.root
        filled = [node.handle() for node in reversed(graph.order) if node.handle is not None]  # their `.grad` is filled
        own = {t.name: t for t in filled if t is not None and t.name is not None}
        self.named: dict[str, Any] = own | _by_name(tensors)
        known = set(graph.order)
        self.tensors: dict[str, Tensor] = {n: t for n, t in self.named.items() if isinstance(t, Tensor)}
        self.reached: dict[str, Tensor] = {n: t for n, t in self.tensors.items() if node_of(t) in known}
        biases = [t for n, t in self.reached.items() if n[:1] == "b" and t.is_leaf]
        self._in_columns = any(t.ndim == 2 and t.shape[1] == 1 for t in biases)
        self.sizes: tuple[tuple[str, int, str], ...] = self._sizes(graph)

    def _sizes(self, graph: Graph) -> tuple[tuple[str, int, str], ...]:
        """Return the numbers of samples and outputs of the last array before the loss, each with its symbol."""
        named = [root_of(t) for t in self.reached.values() if not t.is_leaf]
        newest = sorted(named, key=lambda node: -node.number) + graph.order
        shape = next((n.shape for n in newest if n.shape and not getattr(n.operation, "multiple_outputs", False)), (1,))
        samples, outputs = (shape[-1], shape[0]) if self._in_columns else (shape[0], shape[-1])
        return ("m", samples, "samples"), ("k", outputs if len(shape) > 1 else 1, "outputs")

    def aligned(self, gradients: Any) -> list[Aligned]:
        """Return the Tensors that lead to the loss. Raises ValueError for two gradients of one Tensor, or for none."""
        if not isinstance(gradients, Mapping) or not gradients:
            raise ValueError('there is no gradient to compare; pass a mapping of names to arrays, such as {"dW1": dW1}')
        keys: dict[str, str] = {}
        for key in gradients:
            name = self._named_by(key)
            if name in keys:
                raise ValueError(f"{keys[name]!r} and {key!r} are both the gradient of {name}; leave one out")
            keys[name] = key
            self._check(name, key)
        hands = {name: _floats(gradients[key]) for name, key in keys.items()}
        return [
            self.frame(name, t, keys.get(name, f"d{name}"), hands.get(name))
            for name, t in reversed(self.reached.items())
        ]

    def _named_by(self, key: str) -> str:
        """Return the name of the Tensor that `key` is the gradient of. Raises ValueError if there is none."""
        for name in (key[1:] if key[:1] == "d" else key, key):
            if name in self.named:
                return name
        names = sorted(self.reached)
        near = difflib.get_close_matches(key.removeprefix("d"), names, n=1, cutoff=0.0)
        known = f"there are {', '.join(names)}, the nearest being {near[0]}; name others" if near else "name them"
        raise ValueError(
            f"no Tensor is known that {key!r} is the gradient of; {known} by tensors={{'W1': W1, 'Z1': Z1}}"
        )

    def _check(self, name: str, key: str) -> None:
        """Raise TypeError, GradientError or DisconnectedError if the object of this name has no adjoint."""
        tensor = self.named[name]
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

    def frame(self, name: str, tensor: Tensor, key: str = "", hand: Any = None) -> Aligned:
        """Return the layout and scale that the convention gives to the gradient of a Tensor of this name."""
        shape, turned, scale = tensor.shape, False, 1
        if self.convention == "article" and node_of(tensor) is not self._root:
            if name.rpartition(".")[2][:1] not in ("W", "b", "w"):
                scale, turned = self.sizes[0][1], not self._in_columns and tensor.ndim == 2
                shape = shape[::-1] if turned else shape
            elif tensor.ndim == 1:
                shape = (*shape, 1)
        return Aligned(key, name, tensor, hand, shape, turned, scale)


def _by_name(tensors: Any) -> dict[str, Any]:
    """Return the entries of a mapping or a Module by name; Modules in a mapping add their parameters."""
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


def _floats(gradient: Any) -> np.ndarray:
    """Return a gradient by hand as an array of floats. Raises DtypeError unless it has real numbers."""
    array: np.ndarray = gradient.data if isinstance(gradient, Tensor) else as_array(gradient)
    if array.dtype.kind == "c":
        raise errors.DtypeError(errors.no_gradient_dtype(array.dtype))
    return array if array.dtype.kind == "f" else array.astype(float)
