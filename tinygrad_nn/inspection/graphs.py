"""The Graph: nodes in the order of execution, as a list, a picture, a page and formulas."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..compiler.write.mathematics import latex_of
from ..engine.arrays import raw
from ..engine.node import Node, history
from ..engine.outputs import ITEM
from ..errors import GradientError, in_columns, public
from ..nn.dense import ACTIVATIONS
from ..nn.module import Module
from ..tensor.handle import Tensor, node_of
from .formulas import Formulas, derivation
from .nodes import GraphNode, Memory, arguments_of, printable
from .page import MOST, Page
from .picture import dot_of, svg_of
from .sites import Site
from .terms import brief

# The letters of an operation's operand and result.
_LETTERS = {"linear": ("W", "Z")} | dict.fromkeys(ACTIVATIONS, ("Z", "A"))


class Graph:
    """What was computed, as nodes: iteration yields them in the order of execution, and `print(graph)` lists them.

    `tg.graph(loss)` finds what was recorded; `tg.watch()` also keeps what no rule needs: values, adjoints,
    contributions and lines of code. `graph[2]`, `graph["W1"]` and `graph[tensor]` give a node.

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    >>> graph = tg.graph((w * w).sum())
    >>> print(graph)
    #  name       operation  shape  dtype    reads      read by
    0  w          parameter  (2,)   float64  .          multiply1, multiply1
    1  multiply1  multiply   (2,)   float64  w, w       sum1
    2  sum1       sum        ()     float64  multiply1  .
    >>> graph["w"].children[0].parents
    [<w: parameter of shape (2,)>, <w: parameter of shape (2,)>]
    """

    def __init__(self) -> None:
        self._nodes: list[GraphNode] = []
        self._of_node: dict[Any, GraphNode] = {}
        self._of_array: dict[int, tuple[GraphNode, Any]] = {}  # with the array, so that its id stays unique
        self.reached: set[GraphNode] = set()  # by the last watched pass
        self.count: int = 0

    @property
    def nodes(self) -> list[GraphNode]:
        """The nodes, in the order of execution."""
        if self._nodes and not self._nodes[-1].name:
            self.name_all()
        return self._nodes

    def __iter__(self) -> Iterator[GraphNode]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def __getitem__(self, key: int | str | Tensor) -> GraphNode:
        """Return a node by its number, its name, or a Tensor. Raises KeyError if there is no such node."""
        tensor = isinstance(key, Tensor)
        found = self.get(key) if tensor else next((n for n in self.nodes if key in (n.number, n.name)), None)
        if found is None:
            raise KeyError(f"no node {'of this tensor' if tensor else repr(key)}; see print(graph)")
        return found

    def __repr__(self) -> str:
        kinds = Counter(node.kind for node in self._nodes)
        counted = ", ".join(f"{count} {kind}{'s' * (kind != 'data' and count != 1)}" for kind, count in kinds.items())
        return f"<graph of {len(self)} nodes: {counted}>" if counted else "<empty graph>"

    def __str__(self) -> str:
        """Return the table of nodes, without empty columns."""
        nodes = self.nodes
        watched = any(n.operation and n.value is not None for n in nodes)  # else only the values of leaves are known
        columns = {
            "#": [str(n.number) for n in nodes],
            "name": [n.name for n in nodes],
            "operation": [n.operation or n.kind for n in nodes],
            "shape": [str(n.shape) for n in nodes],
            "dtype": [str(n.dtype) for n in nodes],
            "reads": [_some([getattr(x, "name", "") or brief(x) for x in n.inputs.values()]) for n in nodes],
            "module": [n.group for n in nodes],
            "line": [n.place for n in nodes],
            "value": [brief(n.value) if watched else "" for n in nodes],
            "adjoint": [brief(n.adjoint) for n in nodes],
            "read by": [_some([child.name for child in n.children]) for n in nodes],
        }
        rows = zip(*[[title, *cells] for title, cells in columns.items() if any(cells)], strict=True)
        return in_columns([*rows])

    def get(self, x: Any) -> GraphNode | None:
        """Return the node of a Tensor or an array, None if the graph has none."""
        node = node_of(x) if isinstance(x, Tensor) else None
        found = self._of_node.get(node) or self._of_array.get(id(raw(x)), (None,))[0]
        return None if found is not None and isinstance(found.stored, tuple) else found

    def to_dot(self) -> str:
        """Return the graph as text for Graphviz; large graphs are collapsed to groups.

        >>> import tinygrad_nn as tg
        >>> w = tg.tensor(2.0, requires_grad=True, name="w")
        >>> print(tg.graph(w * 3).to_dot())
        digraph {
          n1 [label="w" shape=hexagon style=filled fillcolor="#fde3cf"]
          n2 [label="multiply1" shape=ellipse style=filled fillcolor="#dcebf7"]
          n1 -> n2
        }
        <BLANKLINE>
        """
        return dot_of(self.nodes)

    def to_svg(self) -> str:
        """Return the graph as a picture: an SVG element, from top to bottom in the order of computation.

        Rectangles are data, hexagons parameters, round boxes operations; a frame is drawn around what a module
        computed. In graphs of more than about 150 nodes, each module, or sequence of operations, is drawn as one box.

        >>> import tinygrad_nn as tg
        >>> w = tg.tensor(2.0, requires_grad=True, name="w")
        >>> tg.graph(w * 3).to_svg()[:40]
        '<svg xmlns="http://www.w3.org/2000/svg" '
        """
        return svg_of(self.nodes, repr(self))

    _repr_svg_ = to_svg  # for notebooks

    def to_html(self, path: str | PathLike[str]) -> None:
        """Write a page that steps through what was watched, forward and backward, with buttons, keys or a slider.

        Each step shows the operation in the picture, the values that flow in and out, the rule as mathematics and as
        the NumPy that runs, the sums of contributions, and the line of code; its number in the address links to it. A
        second list walks the graph depth first, where a value hands on at once what first arrives, and shows where that
        goes wrong; there is none if hooks were called. The page is one file that needs no network; without scripts, or
        printed, it is a list. Raises ValueError for more than 600 nodes: watch a smaller part, or use `to_svg()`.
        """
        if len(self) > MOST:
            raise ValueError(
                f"a page steps through {MOST} nodes at most, and this graph has {len(self):,}; watch a smaller part, "
                "or look at graph.to_svg()"
            )
        Path(path).write_text(Page(self.nodes, repr(self)).html(), encoding="utf-8")

    def to_latex(self) -> str:
        r"""Return the last watched backward pass as LaTeX for amsmath, with an equation for each adjoint.

        The functions that they call follow below. Hooks appear as a function `hook`.
        Raises GradientError if no backward pass was watched.

        >>> import tinygrad_nn as tg
        >>> print(tg.graph(lambda x: tg.exp(x), 3.0).to_latex())
        \begin{align*}
        \frac{\partial L}{\partial {\mathrm{exp}}_{1}}&=1 \\
        \frac{\partial L}{\partial x}&=\frac{\partial L}{\partial {\mathrm{exp}}_{1}}\cdot {\mathrm{exp}}_{1}
        \end{align*}
        """
        lines = derivation(self.nodes, Formulas(self.nodes))
        if not lines:
            raise GradientError("no backward pass was watched; call backward inside `with tg.watch() as graph:`")
        return latex_of(lines, {node.symbol: node.name for node in self.nodes})

    def memory(self) -> Memory:
        """Return the arrays that recorded nodes keep for the backward pass, the largest first, with the nodes' names.

        Arrays that a pass has freed are not listed, nor those that only a watched graph itself keeps. An array and its
        views count once.

        >>> import numpy as np
        >>> import tinygrad_nn as tg
        >>> w = tg.tensor(np.ones((100, 10)), requires_grad=True, name="w")
        >>> h = tg.relu(w * 3)
        >>> print(tg.graph((h * h).sum()).memory())
        bytes  shape      dtype    kept by
        8,000  (100, 10)  float64  h (y), multiply2 (a), multiply2 (b)
        8,000 bytes in 1 array
        """
        return Memory.of(self.nodes)

    # How `graph` and the watcher build it.

    def add(self, kind: str, operation: str = "", **about: Any) -> GraphNode:
        """Add a node, also to the children of its parents, and return it."""
        new = GraphNode(self.count, kind, operation, **about)
        new.operation = public(operation, new)
        self._nodes.append(new)
        self.count += 1
        for parent in new.parents:
            parent.children.append(new)
        if new.node is not None:
            self._of_node[new.node] = new
        return new

    def forget(self, number: int, but: set[GraphNode]) -> None:
        """Drop the nodes before a number, except some."""
        old = {n for n in self._nodes if n.number < number} - but
        for node in old:
            if node.operation != "item":  # newer nodes may read it, as running means do, and would keep all before it
                node.inputs, node.operands, node.children = dict.fromkeys(node.inputs), {}, []
        for node in but:
            node.children = [child for child in node.children if child not in old]
        self._nodes = [node for node in self._nodes if node not in old]
        self._of_node = {key: node for key, node in self._of_node.items() if node not in old}
        self._of_array = {key: pair for key, pair in self._of_array.items() if pair[0] not in old}

    def of_node(self, node: Node) -> GraphNode:
        """Return the node for a node of the engine; a new one is added after the nodes that it was recorded from."""
        if node not in self._of_node:
            for one in reversed(history([node])):
                if one not in self._of_node:
                    self._from_engine(one)
        return self._of_node[node]

    def of_array(self, array: Any) -> Any:
        """Return the node of an array to which no gradient goes back; for a number, the number itself."""
        if id(array) in self._of_array:
            node = self._of_array[id(array)][0]
            if isinstance(node.stored, tuple):
                number = next(i for i, part in enumerate(node.stored) if part is array)
                return self.computed(array, self._item(node, number, shape=array.shape, dtype=array.dtype))
            return node
        if not (isinstance(array, np.ndarray) and array.ndim):
            return array
        return self.computed(array, self.add("data", shape=array.shape, dtype=array.dtype, stored=array))

    def computed(self, array: Any, node: GraphNode) -> GraphNode:
        """Return a node, after noting that it computed an array."""
        self._of_array[id(array)] = node, array
        return node

    def _from_engine(self, node: Node) -> GraphNode:
        operation, parents = node.operation, node.parents or ()
        about: dict[str, Any] = {"node": node, "shape": node.shape, "dtype": node.dtype}
        if operation is None:
            new = self.add("parameter", **about)
            new.given = getattr(new.tensor, "name", "") or ""
            return new
        if operation is ITEM:
            return self._item(self._of_node[parents[0]], node.saved[0], **about)
        kept = dict(zip(operation.slots, node.saved or (), strict=False))
        settings = {name: kept[name] for name in operation.defaults if kept.get(name) is not None}
        return self.add_operation(operation, parents, kept, settings=settings, **about)

    def add_operation(self, operation: Any, parents: Any, arrays: dict[str, Any], **about: Any) -> GraphNode:
        """Add what an operation computed; a parent is None where no gradient goes back."""
        read = {
            name: self.of_array(arrays.get(name)) if parent is None else self.of_node(parent)
            for name, parent in zip(arguments_of(operation, len(parents)), parents, strict=True)
        }
        inputs = {name: x for name, x in read.items() if x is not None}
        return self.add("operation", operation.name, inputs=inputs, engine=operation, **about)

    def _item(self, whole: GraphNode, number: int, **about: Any) -> GraphNode:
        """Return a new node for one of the outputs of a node, because that output has been read."""
        stored = None if whole.stored is None else whole.stored[number]
        about |= {"line": whole.line, "modules": whole.modules, "owners": whole.owners}
        return self.add("operation", "item", inputs={f"output {number}": whole}, stored=stored, **about)

    def name_by(self, site: Site) -> None:
        """Name all nodes; those without a name are named as in the user's code, or in a Module among its variables."""
        for name, x in site.named():
            held = [*x.named_parameters(), *x.named_buffers()] if isinstance(x, Module) else [(name, x)]
            for own, t in held:
                node = self.get(t) if isinstance(t, (Tensor, np.ndarray)) else None
                if node is not None and node.given in ("", t is not x and t.name):
                    node.given = own
        self.name_all()

    def name_all(self) -> None:
        """Give each node a unique name: the user's, the article's, or the operation's with a number."""
        numbers, taken = Counter[str](), Counter[str]()
        for node in self._nodes:
            wish = printable(node.given) or _of_article(node)
            if not wish:
                own = node.operation or node.kind
                numbers[own] += 1
                wish = f"{own}{numbers[own]}"
            node.name = wish
            while taken[node.name]:
                taken[wish] += 1
                node.name = f"{wish}_{taken[wish]}"
            taken[node.name] = 1


def _of_article(node: GraphNode) -> str:
    """Return Z1 for a linear operation with a weight W1, A1 for the activation of Z1, "" for anything else."""
    operand, result = _LETTERS.get(node.operation, (" ", ""))
    found = (re.fullmatch(rf"(.*\b){operand}(\d+)", parent.name) for parent in node.parents)
    return next((f"{match[1]}{result}{match[2]}" for match in found if match), "")


def _some(names: list[str]) -> str:
    """Return names joined by commas; if there are many, the first ones and their number; "." for none."""
    return ", ".join([*names[:12], *[f"... {len(names):,} in all"] * (len(names) > 12)]) or "."
