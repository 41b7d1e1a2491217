"""Adjoints of a recorded graph, with what rounding can do to them, and with others put in their place.

Every pass runs over a copy of the graph's nodes, so that hooks stay silent, no `.grad` changes, and
the graph can be differentiated afterwards as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ... import errors
from ...engine.node import Node, history, record
from ...engine.reverse import pullback
from ...engine.zero_safe import product_of_entries, sum_of_products
from ...tensor.handle import Tensor, make, root_of, seed_of

Arrays = dict[Node, np.ndarray]
DRAWS, ROUNDINGS = 4, 32
Noise = Callable[[Any], Any]


class Graph:
    """What a loss was computed from.

    Raises TypeError for what is no Tensor, and GradientError for a loss of several entries or without a graph.
    """

    def __init__(self, loss: Tensor) -> None:
        if not isinstance(loss, Tensor):
            raise TypeError(errors.only_tensors("the loss", loss))
        self.root: Node = root_of(loss)
        self._seed = seed_of(loss, None, create_graph=False)
        self.order: list[Node] = history([self.root])

    def next_ones(self, chosen: set[Node]) -> dict[Node, set[Node]]:
        """Return, for each chosen node, the chosen ones (or the root) that it leads to without another between."""
        met: dict[Node, set[Node]] = {self.root: set()}
        for node in self.order:
            through = {node} if node in chosen or node is self.root else met[node]
            for parent in node.parents or ():
                if parent is not None:
                    met[parent] = met.get(parent, set()) | through
        return {node: met[node] for node in chosen}

    def adjoints(self, wanted: list[Node], given: Mapping[Node, np.ndarray], eps: float) -> tuple[Arrays, Arrays]:
        """Return the wanted nodes' adjoints, and how far from them rounding to `eps` may lead.

        Where a node is among `given`, its own adjoint is returned, but what is given goes on to
        earlier nodes. How far rounding leads is measured, by passes that round every array anew.
        """
        exact = self._pass(wanted, given, lambda array: array)
        draws = [self._pass(wanted, given, _rounding(np.random.default_rng(draw), eps)) for draw in range(DRAWS)]
        room = {}
        for node, g in exact.items():
            spread = np.sqrt(np.mean([np.square(np.subtract(draw[node], g, dtype=float)) for draw in draws], axis=0))
            measured = np.where(np.isfinite(spread), ROUNDINGS * spread, 0)
            room[node] = np.sqrt(eps) * np.abs(g) + eps * np.abs(g).max(initial=0.0) + measured
        return exact, room

    def _pass(self, wanted: list[Node], given: Mapping[Node, np.ndarray], noise: Noise) -> Arrays:
        """Return the wanted adjoints of a backward pass that puts every array through `noise`."""
        copies: dict[Node, Node] = {}
        arrived: Arrays = {}
        steps = [n for n in self.order if n.operation is not None and n.operation.name in ("sigmoid", "tanh")]
        squashed = {parent: node for node in steps for parent in node.parents or ()}

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


def _rounding(generator: np.random.Generator, eps: float) -> Noise:
    """Return the function that changes each entry by about `eps` of itself."""
    return lambda array: (array * (1 + eps * generator.normal(size=np.shape(array)))).astype(array.dtype)


def _rounded(node: Node, noise: Noise) -> Any:
    """Return what a node keeps, rounded anew where a rule multiplies by it, and not where it compares."""
    operation, saved = node.operation, node.saved
    if operation is None or not saved or getattr(operation, "variadic", True):
        return saved
    if any(rule is not None and rule.reads and rule.zero_safe not in (product_of_entries, sum_of_products)
           for rule in operation.rules):  # fmt: skip
        return saved
    variable = [parent is not None for parent in node.parents or ()] + [True]  # the slots of inputs, then the output's
    changed = [noise(x) if v and x is not None and x.dtype.kind == "f" else x for v, x in zip(variable, saved)]
    return (*changed, *saved[len(changed) :])
