"""`watch` and `graph`: the watcher that keeps every value, adjoint and contribution, and the line behind each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import numpy as np

from .. import errors
from ..engine.arrays import raw
from ..engine.cotangents import Cotangents, project
from ..engine.grad_mode import recording, setting
from ..engine.node import Node
from ..engine.outputs import Parts
from ..engine.trees import entries, leaves, map_leaves
from ..engine.watching import Watcher, watched, watcher
from ..tensor.handle import Tensor, node_of, root_of
from ..transforms.linearization import pulled
from .graphs import Graph
from .nodes import MANY, GraphNode, arguments_of
from .sites import Site
from .terms import Contribution, remember


@contextmanager
def watch() -> Iterator[Graph]:
    """Keep every value, adjoint and contribution computed in the body, and the line of code that computed each.

    Yields the Graph, which grows as the body computes, backward passes included. A compiled function runs its original
    code, so that all of its steps are seen. Nothing else changes. Memory is held as long as the graph, or a leaf whose
    gradient it explains, is alive. Raises GradientError inside the body of another watcher.

    >>> import tinygrad_nn as tg
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> with tg.watch() as graph:
    ...     y = x * x
    ...     loss = y + x
    ...     loss.backward()
    >>> float(graph["y"].value), float(graph["x"].adjoint)
    (4.0, 5.0)
    >>> [(term.argument, float(term.value)) for term in graph["x"].contributions]
    [('b', 1.0), ('a', 2.0), ('b', 2.0)]
    """
    with watching(Recorder()) as recorder:
        yield recorder.graph


@contextmanager
def watching(recorder: Any) -> Iterator[Any]:
    """Let a Recorder see the body. Raises GradientError inside the body of another watcher."""
    if watcher() is not None:
        raise errors.GradientError(
            "this code is watched already, by tg.watch, tg.detect_anomaly or tg.compile; put this `with` around that "
            "call, or leave one of the two out"
        )
    with watched(recorder.switched(bool(recording.get()))):
        yield recorder
    recorder.graph.name_by(Site())  # what was computed last and not read since


def graph(output: Tensor | Callable[..., Any], /, *inputs: Any) -> Graph:
    """Return the Graph of what was recorded on the way to a Tensor, or of a function, which is run and watched.

    A recorded graph has only the values that its rules read, and adjoints only of leaves that have a `.grad`. Names are
    those of the caller's variables, or of a Module among these; that of a leaf that no longer exists is lost.
    Of a function, every value is kept. A single number that it returns is differentiated; no `.grad` is changed. Arrays
    and numbers among its inputs, nested as for `tg.grad`, become Tensors that require grad; integers stay as they are.
    Raises GradientError if nothing is recorded, FreedGraphError if a backward pass has freed a Tensor's graph.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> graph = tg.graph(lambda x: (x * x).sum(), np.array([1.0, 2.0]))
    >>> [node.name for node in graph], graph["x"].adjoint
    (['x', 'multiply1', 'sum1'], array([2., 4.]))
    """
    if isinstance(output, Tensor):
        found = Graph()
        found.of_node(root_of(output))
        found.name_by(Site())
        return found
    if not callable(output):
        raise TypeError(f"tg.graph takes a Tensor, or a function and its inputs, got {errors.given(output)}")
    with watch() as found:
        ends = [y for y in results_of(output, inputs, found) if node_of(y) is not None]
        if len(ends) == 1 and ends[0].size == 1:
            pulled(ends, [None], None, False, False)
    return found


def results_of(function: Callable[..., Any], inputs: Sequence[Any], graph: Graph) -> list[Tensor]:
    """Return the Tensors that a function returns; it is given arrays and numbers as Tensors that require grad.

    Integers are passed unchanged, as indices, unless all inputs are plain integers. Raises GradientError if nothing was
    recorded and an input is an array of integers.
    """
    alone = all(type(x) is int for x in inputs)
    results = function(*[_differentiable(float(x) if alone else x) for x in inputs])
    integers = any(isinstance(x, np.ndarray) and x.dtype.kind in "iu" for x in entries(inputs))
    if integers and not any(node.node for node in graph):
        what = "nothing was recorded: integers are taken for indices or labels; write the numbers as floats"
        raise errors.GradientError(what)
    return [y for y in leaves(results) if isinstance(y, Tensor)]


def _differentiable(x: Any) -> Any:
    numbers = isinstance(x, list) and all(isinstance(one, (int, float)) for one in entries(x))
    if isinstance(x, (dict, list, tuple)) and not numbers:
        return map_leaves(_differentiable, x)
    if isinstance(x, Tensor) or not (numbers or hasattr(x, "dtype") or isinstance(x, (int, float))):
        return x
    t = Tensor(x)
    t.requires_grad = t.dtype.kind == "f"
    return t if t.requires_grad else x


class Recorder(Watcher):
    """A watcher that keeps, in a Graph, what is computed."""

    def __init__(self) -> None:
        self.graph: Graph = Graph()
        self.met: dict[int, Tensor] = {}  # the handles that the next operation reads
        self._within = functools.cache(_names_within)
        self._around = Site()  # where the body is

    def shadow(self, tensor: Any) -> Any:
        """Return the tensor, after noting that it is read."""
        self.met[id(tensor)] = tensor
        return tensor

    def recorded(self, operation: Any, arrays: list[Any], parameters: dict[str, Any], node: Any, y: Any) -> None:
        """Add what was computed to the graph, unless a rule computed it from arrays."""
        met, site = [*self.met.values()], Site(self._around)
        self.met.clear()
        if site.passes and node is None:
            return
        with setting(recording, True):
            for tensor in met:
                self._meet(tensor, site)
            self._add(operation, arrays, parameters, node, y, site)

    def _meet(self, tensor: Tensor, site: Site) -> None:
        """Give a tensor that is about to be read the name that modules or the user's code have for it."""
        node = node_of(tensor)
        if node is None and not tensor.ndim:  # a number: each access would make a new array
            return
        array = tensor.data
        known = self.graph.computed(array, self.graph.of_array(array) if node is None else self.graph.of_node(node))
        if node is not None and node.operation is None:
            known.stored = array  # an optimiser may have replaced it
        own = self._within(site.modules[0]).get(id(tensor)) if site.modules and not known.operation else None
        if own is not None:
            known.given = own
            if not known.modules:
                known.modules, known.owners = self._path(site.modules)
        elif not known.given:
            whole = known.operation in ("", "positive")  # an input, also of a function that a transform runs
            known.given = tensor.name or site.name_of(tensor, array, entries=whole)

    def _add(self, operation: Any, arrays: list[Any], parameters: Any, node: Any, y: Any, site: Site) -> GraphNode:
        parents = (None,) * len(arrays) if node is None else node.parents
        operands = dict(zip(arguments_of(operation, len(arrays)), arrays, strict=True))
        several = operation.multiple_outputs
        shape, dtype = (tuple([part.shape for part in y]), y[0].dtype) if several else (y.shape, y.dtype)
        modules, owners = self._path(site.modules)
        added = self.graph.add_operation(
            operation, parents, operands, operands=operands, shape=shape, dtype=dtype, settings=dict(parameters),
            stored=y, line=site.line, modules=modules, owners=owners, node=node,
        )  # fmt: skip
        for name, x in added.inputs.items():
            if getattr(x, "kind", "") == "data" and not x.given:  # an array without a handle
                x.given = site.name_of(operands[name])
        parts = [y] if not several else y if node is None else []  # recorded outputs are known by their nodes
        for part in parts:
            self.graph.computed(part, added)
        return added

    def _path(self, modules: list[Any]) -> tuple[Any, Any]:
        """Return the names of nested modules within the outermost one and their classes, and their ids."""
        names = [(self._within(modules[0]).get(id(m), ""), type(m).__name__) for m in modules]
        return tuple(names), tuple(map(id, modules))

    def cotangents(self, seeds: Any, lift: Any, create_graph: bool) -> Cotangents:
        """Return cotangents that are noted as they arrive and leave, except in a pass within another."""
        if Site(self._around).passes > 1:
            return Cotangents(seeds, lift, create_graph)
        return SeenCotangents(self, seeds, lift, create_graph)

    def left(self, node: GraphNode) -> None:
        """Note that a node's adjoint is complete, before its rules run."""
        remember(node)


def _names_within(module: Any) -> dict[int, str]:
    """Return the names of the modules, parameters and buffers in a module, by their ids."""
    named = [*module.named_modules(), *module.named_parameters(), *module.named_buffers()]
    return {id(x): name for name, x in named}


class SeenCotangents(Cotangents):
    """The cotangents of a backward pass, each noted at its node, with the contributions that sum to it."""

    def __init__(self, recorder: Recorder, seeds: Any, lift: Any, create_graph: bool) -> None:
        super().__init__(seeds, lift, create_graph)
        self._recorder, self._graph = recorder, recorder.graph
        self.node: Any = None  # the node whose rules run
        for known in self._graph.reached:
            known.contributions, known.arrived, known.seen = [], None, None
        self._graph.reached = {self._graph.of_node(root) for root in seeds}
        for root, seed in seeds.items():
            self._graph.of_node(root).contributions = [Contribution(raw(seed), None, "seed")]

    def leave(self, node: Node) -> Any:
        """Return a node's complete cotangent, and note it; what arrives next is from this node's rules."""
        g = super().leave(node)
        self.node = node
        if g is not None:
            known = self._graph.of_node(node)
            known.seen, known.kept = tuple(map(raw, g)) if isinstance(g, tuple) else raw(g), node.saved
            self._recorder.left(known)
        return g

    def hooked(self, node: Node, g: Any) -> Any:
        """Return the cotangent after the node's hooks, and note what it was before them."""
        self._graph.of_node(node).arrived = raw(g)
        return super().hooked(node, g)

    def arrive(self, parent: Node, c: Any, node: Node, rule: Any) -> None:
        """Add to the cotangent of `parent` what a rule has computed, and note it."""
        c = project(c, parent, node, rule)
        value = Parts({i: raw(part) for i, part in c.items()}) if isinstance(c, Parts) else raw(c)
        source, known = self._graph.of_node(node), self._graph.of_node(parent)
        near = min(source.contributions, key=attrgetter("steps"))
        ways = min(sum(part.ways for part in source.contributions), MANY)
        known.contributions.append(Contribution(value, source, rule.argument, rule, ways, near.steps + 1, near))
        self._graph.reached.add(known)
        super().arrive(parent, c, node, rule)

    def add_into(self, parent: Node, rule: Any, g: Any, saved: Any) -> None:
        """Add what a rule would add in place, as a contribution: so all contributions sum to the gradient."""
        self.arrive(parent, rule.pull(g, saved), self.node, rule)
