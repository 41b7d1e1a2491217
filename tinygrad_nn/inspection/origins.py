"""Where a nan or an inf began: `why_nan` and `detect_anomaly`, and what to do about it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..engine.cotangents import Cotangents
from ..engine.grad_mode import recording, setting
from ..engine.node import Node
from ..engine.trees import leaves
from ..errors import FreedGraphError
from ..tensor.handle import Tensor
from .culprits import Index, checksum, cotangent_to_blame, entry, faults, indexed, operand_to_blame, there, within
from .graphs import Graph
from .nodes import GraphNode
from .recorder import Recorder, differentiable, pulled_back, watching
from .remedies import remedy_for
from .text import told

_STARTS = 16  # entries of a result that is not finite


@dataclass(frozen=True)
class Origin:
    """Where the first value that is not finite began, and what to do; `str(origin)` says it in one sentence.

    `phase` is "forward" where `operation` computed it, "backward" where its rule for `argument` turned a finite
    cotangent into it, "given" where it was in the data or a parameter, named by `operation`, and "write" where an array
    that the operation's rule reads was written into. `index` is the entry of the result, or of the argument's gradient,
    `value` what stands there, `operands` the numbers that the operation had there, by name. `line` is the user's,
    `module` the layer, "" outside of one.
    """

    operation: str
    phase: str
    index: Index
    value: float
    operands: Mapping[str, Any]
    argument: str
    line: str
    source: str
    module: str
    remedy: str

    def __str__(self) -> str:
        numbers = [f"{name} = {told(x)}" for name, x in self.operands.items()]
        if len(numbers) == 1:
            numbers = [f"{told(x)} at {name}" for name, x in self.operands.items()]
        of = " and ".join(numbers)
        if self.phase == "forward":
            what = f"{self.operation} of {of} gives {self.value:g}"
        elif self.phase == "backward":
            which = indexed(self.argument, self.index) + (f", of {of}," if of else "")
            what = f"the rule of {self.operation} for {which} gives {self.value:g} from a finite cotangent"
        elif self.phase == "given":
            what = f"{indexed(self.operation, self.index)} is {self.value:g} as it was given"
        else:
            reader = f"which the backward pass of {self.operation} still needs"
            what = f"{self.argument}, {reader}, was written into after it was read"
        where = f" ({self.line}: {self.source})" if self.source else f" ({self.line})" if self.line else ""
        return f"{what}{f' in {self.module}' if self.module else ''}: {self.remedy}{where}"


class Anomaly(FloatingPointError):
    """A value or a gradient that is not finite, or an array that was written into while a graph needs it."""

    def __init__(self, origin: Origin) -> None:
        super().__init__(str(origin))
        self.origin = origin


def why_nan(function: Callable[..., Any], /, *inputs: Any) -> Origin | None:
    """Return where a function's results or gradients cease to be finite, None where all of them are finite.

    The function is run once, forward and, from the sum of its results, backward, unless it goes backward itself.
    Arrays and numbers among the inputs become Tensors that require grad; no `.grad` is changed but by the function.
    It finds the first value that is not finite and stays so until it reaches a result: a mask of -inf that softmax
    turns into 0 is no origin. Where results are finite, it finds the first rule that turned a finite cotangent into
    one that is not. It finds arrays, too, that were written into while the graph needs them.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> origin = tg.why_nan(lambda x: tg.log(x).sum(), np.array([1.0, 0.0]))
    >>> origin.operation, origin.phase, origin.index, origin.remedy
    ('log', 'forward', (1,), 'add eps, or mask with where')
    >>> print(tg.why_nan(lambda x: tg.where(x > 0, tg.log(x), 0).sum(), np.array([1.0, 0.0])))
    None
    """
    try:
        with setting(recording, True), np.errstate(all="ignore"), watching(Watchdog(Graph())) as watchdog:
            results = function(*[differentiable(x) for x in inputs])
            ends = [y for y in leaves(results) if isinstance(y, Tensor)]
            watchdog.check_values([node for y in ends if (node := watchdog.graph.get(y)) is not None])
            pulled_back(ends)
    except Anomaly as anomaly:
        return anomaly.origin
    except FreedGraphError:  # the function went backward itself
        return None
    return None


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raise in the body where a value or gradient is not finite, and say where that began.

    A backward pass is not begun from a value that is not finite, and ends at the first leaf whose gradient is not; at
    the end of the body a result that nothing has read has to be finite. Raises FloatingPointError whose `origin` says
    what `tg.why_nan` returns, also where an array was written into while the graph needs it. Every value of the last
    two passes is kept.

    >>> import tinygrad_nn as tg
    >>> x = tg.tensor([4.0, 0.0], requires_grad=True)
    >>> with tg.detect_anomaly():
    ...     tg.sqrt(x).sum().backward()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    tinygrad_nn.inspection.origins.Anomaly: the rule of sqrt for x[1], of 0 at x[1], gives inf from a ...
    """
    with np.errstate(all="ignore"), watching(Watchdog(Graph())):
        yield


class Watchdog(Recorder):
    """Raises Anomaly where something is not finite, or was written into."""

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        self.sums: dict[GraphNode, list[tuple[str, Any, int]]] = {}
        self.begun = [0, 0]  # where the last passes began

    def _add(self, operation: Any, arrays: list[Any], parameters: Any, node: Any, y: Any, site: Any) -> GraphNode:
        added = super()._add(operation, arrays, parameters, node, y, site)
        kept = zip(operation.slots, added.kept or (), strict=False)
        self.sums[added] = [(slot, x, checksum(x)) for slot, x in kept if isinstance(x, np.ndarray)]
        return added

    def cotangents(self, seeds: Mapping[Node, Any], lift: Any, create_graph: bool) -> Cotangents:
        """Begin a pass, unless it would begin from what is not finite, and forget what came before the last one."""
        found = super().cotangents(seeds, lift, create_graph)
        if type(found) is not Cotangents:
            self.check_values([self.graph.of_node(root) for root in seeds])
            keep, *self.begun = *self.begun, self.graph.count
            self.graph.forget(keep)
            self.sums = {node: sums for node, sums in self.sums.items() if node.number >= keep}
        return found

    def left(self, node: GraphNode) -> None:
        """Check what the node's rules are about to read, and a gradient that is whole."""
        super().left(node)
        for slot, array, before in self.sums.get(node, ()):
            if checksum(array) != before:
                self.graph.name_all()
                name = x.name if isinstance(x := node.inputs.get(slot), GraphNode) else node.name
                raise Anomaly(self.origin(node, "write", (), np.nan, {}, name))
        if node.node is not None and node.node.handle is not None:  # of a Tensor, which may be gone
            self.check(partial(self.from_gradient, node), node.seen)

    def closed(self) -> None:
        """Check what nothing has read."""
        super().closed()
        self.check_values([node for node in self.graph.nodes if not node.children and node.operation])

    def check_values(self, nodes: list[GraphNode]) -> None:
        """Raise Anomaly if a node's value is not finite."""
        for node in nodes:
            self.check(partial(self.from_value, node), node.value)

    def check(self, trace: Callable[[Index], tuple[int, Origin]], value: Any) -> None:
        """Raise Anomaly with the earliest of the origins of what is not finite in an array."""
        wrong = list(itertools.islice(faults(value), _STARTS))
        if wrong:
            self.graph.name_all()
            raise Anomaly(min(map(trace, wrong), key=lambda pair: pair[0])[1])

    def origin(
        self, node: GraphNode, phase: str, index: Index, value: Any, operands: Mapping[str, Any], argument: str = ""
    ) -> Origin:
        """Return the origin at an entry of a node."""
        name = node.name if phase == "given" else node.operation
        line, source = ("", "") if node.line is None else (str(node.line), node.line.text)
        advice = remedy_for(name, phase, operands, value, node.dtype)
        return Origin(name, phase, index, float(value), operands, argument, line, source, node.group, advice)

    def from_value(self, node: GraphNode, index: Index) -> tuple[int, Origin]:
        """Return the number of the node where a value that is not finite began, and that origin."""
        while True:
            value = entry(node.value, index)
            if node.engine is None:
                if not node.parents:
                    return node.number, self.origin(node, "given", index, value, {})
                node, index = node.parents[0], (node.node.saved[0], *index)  # type: ignore[union-attr]
                continue
            culprit = operand_to_blame(node, index)
            parent = None if culprit is None else node.inputs[culprit[0]]
            if culprit is None or not isinstance(parent, GraphNode):
                return node.number, self.origin(node, "forward", index, value, there(node, index))
            node, index = parent, culprit[1]

    def from_gradient(self, node: GraphNode, index: Index) -> tuple[int, Origin]:
        """Return minus the number of the node in whose rule a gradient that is not finite began, and that origin."""
        while True:
            part = next((c for c in node.contributions if not np.isfinite(entry(c.value, within(c, index)))), None)
            value = entry(node.seen, index)
            if part is None:  # a hook, or a sum of finite parts that overflows
                name = "hook" if node.node is not None and node.node.hooks else "sum"
                first = GraphNode(node.number, "operation", name, node.shape, node.dtype, line=node.line, name=name)
                return -node.number, self.origin(first, "backward", index, value, {}, node.name)
            source = part.source
            if source is None:
                return -node.number, self.origin(node, "given", index, value, {})
            if source.operation == "item":
                node, index = source, within(part, index)
                continue
            culprit = cotangent_to_blame(part, node, index)
            if culprit is None:
                numbers = there(source, index) if source.engine.pointwise else {}
                return -source.number, self.origin(source, "backward", index, value, numbers, node.name)
            node, index = source, culprit[1]
