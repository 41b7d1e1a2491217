"""Where a nan or an inf began: `why_nan` and `detect_anomaly`, and what to do about it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np

from ..engine.cotangents import Cotangents
from ..engine.grad_mode import recording, setting
from ..engine.node import Node
from ..errors import FreedGraphError
from ..tensor.handle import Tensor
from ..transforms.linearization import pulled as cotangents_of
from .culprits import Index, blamed, entry, faults, indexed, positions, pulled, recomputed, there
from .nodes import GraphNode
from .recorder import Recorder, results_of, watching
from .remedies import LOST, remedy_for
from .sites import Site
from .terms import brief

_STARTS = 16  # entries that are not finite are traced, at most


@dataclass(frozen=True)
class Origin:
    """Where the first nan or inf began, and what to do about it; `str(origin)` says both in one sentence.

    `phase` is "forward" if `operation` computed it; "backward" if the operation's rule for `argument` turned a finite
    cotangent into it; "given" if it was in the data, parameter or cotangent that `operation` names; "step" if the
    optimiser `operation` made a finite parameter so; "write" if an array that the operation computed, or that its rule
    reads, was written into. `argument` names the array that is not finite or was written into, `index` is the entry,
    `value` the number there, and `operands` are the operation's numbers there, by name. `line` is the user's line (the
    first that reads a given value), `module` the layer, "" outside of layers.
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
        alone = len(self.operands) == 1
        numbers = [f"{brief(x)} at {name}" if alone else f"{name} = {brief(x)}" for name, x in self.operands.items()]
        of, entry = " and ".join(numbers), indexed(self.argument or self.operation, self.index)
        of_which = f"{self.operation} computed of {of}" if of else f"the backward pass of {self.operation} still needs"
        what = {
            "forward": f"{self.operation}{of and f' of {of}'} gives {self.value:g}",
            "backward": f"the rule of {self.operation} for {entry}{of and f', of {of},'} gives {self.value:g} from a "
            "finite cotangent",
            "given": f"{entry} is {self.value:g} as it was given",
            "step": f"{self.operation}'s step made {entry} {self.value:g}, from {of}",
            "write": f"{entry}, which {of_which}, was written into",
        }[self.phase]
        line = self.line or "computed outside of the watched block, or more than two passes ago"
        where = f"{line}: {self.source}" if self.source else line
        return f"{what}{self.module and f' in {self.module}'}: {self.remedy} ({where})"


class Anomaly(FloatingPointError):
    """A value or a gradient that is not finite, or an array that was written into while a graph needs it."""

    def __init__(self, origin: Origin) -> None:
        super().__init__(str(origin))
        self.origin = origin


def why_nan(function: Callable[..., Any], /, *inputs: Any) -> Origin | None:
    """Return where a function's results or gradients cease to be finite, None if all of them are finite.

    The function runs once forward, then backward from the sum of its results, unless it calls `backward` itself; what
    it differentiates counts as a result. Arrays and numbers among the inputs become Tensors that require grad; integers
    stay as they are. No `.grad` is changed, except by the function. Raises GradientError if nothing is recorded because
    an input is an array of integers. The origin is the first value that makes a result not finite: a mask of -inf that
    softmax turns into 0 is none. If all results are finite, it is the first rule that turned a finite cotangent into
    one that is not, or a write into an array that the graph needs.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> origin = tg.why_nan(lambda x: tg.log(x).sum(), np.array([1.0, 0.0]))
    >>> origin.operation, origin.phase, origin.index, origin.remedy
    ('log', 'forward', (1,), 'add eps, or mask with where')
    >>> print(tg.why_nan(lambda x: tg.where(x > 0, tg.log(x), 0).sum(), np.array([1.0, 0.0])))
    None
    """
    try:
        with setting(recording, True), np.errstate(all="ignore"), watching(Watchdog()) as watchdog:
            ends = results_of(function, inputs, watchdog.graph)
            watchdog.check_values([node for y in ends if (node := watchdog.graph.get(y)) is not None])
            with suppress(FreedGraphError):  # the function went backward itself
                cotangents_of(ends, [np.ones(y.shape, y.dtype) for y in ends], None, False, False)
        watchdog.check_step()
        for y in [y for y in ends if watchdog.graph.get(y) is None and not np.isfinite(y.data).all()]:
            watchdog.check_unread()  # numbers that recorded nothing; else a tangent, or made of an array
            watchdog.check_values([GraphNode(0, "data", dtype=y.dtype, stored=y.data, name="a result")])
    except Anomaly as anomaly:
        return anomaly.origin
    return None


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Raise in the body when a value or gradient is not finite, and say where that began.

    Checked are what a backward pass begins from, the gradients of leaves, parameters after an optimiser's step, and at
    the end of the body results that nothing has read. Raises FloatingPointError, whose `origin` is what `tg.why_nan`
    returns, also if an array was written into while the graph needs it. Values and lines of the last two passes are
    kept, and of what each pass reaches again. Tangents of `tg.jvp` are not checked.

    >>> import tinygrad_nn as tg
    >>> x = tg.tensor([4.0, 0.0], requires_grad=True)
    >>> with tg.detect_anomaly():
    ...     tg.sqrt(x).sum().backward()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    tinygrad_nn.inspection.origins.Anomaly: the rule of sqrt for x[1], of 0 at x[1], gives inf from a ...
    """
    with np.errstate(all="ignore"):
        with watching(Watchdog()) as watchdog:
            yield
        watchdog.check_step()
        watchdog.check_unread()


class Watchdog(Recorder):
    """A watcher that raises Anomaly if something is not finite, or was written into."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = [0, 0]  # how many nodes there were when the last passes began
        self.stepped: list[tuple[GraphNode, Tensor, Any, Any]] = []  # a step, a parameter, and what it was before

    def _add(self, operation: Any, arrays: list[Any], parameters: Any, node: Any, y: Any, site: Any) -> GraphNode:
        added = super()._add(operation, arrays, parameters, node, y, site)
        added.rule_of = site.rule_of
        added.sums = [crc32(x.tobytes()) for _, x in added.kept_arrays]
        return added

    def state(self, owner: Any, state: Any) -> Any:
        """Note the parameters' values before an optimiser's step, which asks for its state first."""
        step = GraphNode(0, "operation", type(owner).__name__, line=Site().line)
        with setting(recording, True):
            self.stepped += [(step, p, p.data, p.grad.data) for p in owner.parameters if p.grad is not None]
        return state

    def check_step(self) -> None:
        """Raise Anomaly if an optimiser's last step made a finite parameter nan or inf."""
        while self.stepped:
            step, p, before, g = self.stepped.pop(0)
            after, known = p.data, self.graph.get(p)
            index = next(faults(after), None)
            if index is not None and np.isfinite(before).all():
                self.graph.name_all()
                name = p.name or "a parameter" if known is None else known.name
                numbers = {"value": before[index], "gradient": g[index]}
                raise Anomaly(self.origin(step, "step", index, after[index], numbers, name))

    def cotangents(self, seeds: Mapping[Node, Any], lift: Any, create_graph: bool) -> Cotangents:
        """Begin a pass, after checking the values it begins from, and forget what was computed before the last one."""
        before, found = self.graph.reached, super().cotangents(seeds, lift, create_graph)
        if type(found) is not Cotangents:
            self.check_step()
            self.check_values([self.graph.of_node(root) for root in seeds])
            self._begun.append(self.graph.count)
            self.graph.forget(self._begun.pop(0), before | self.graph.reached)
        return found

    def left(self, node: GraphNode) -> None:
        """Check the arrays that the node's rules are about to read, and the complete gradient of a Tensor."""
        for (slot, array), before in zip(node.kept_arrays, node.sums, strict=False):
            if crc32(array.tobytes()) != before:
                self.graph.name_all()
                name = x.name if isinstance(x := node.inputs.get(slot), GraphNode) else node.name
                raise Anomaly(self.origin(node, "write", (), np.nan, {}, name))
        if node.node is not None and node.node.handle is not None:  # a Tensor's, even if that is gone
            self.check(partial(self.from_gradient, node), node.seen)

    def check_unread(self) -> None:
        """Raise Anomaly if a result that nothing has read is not finite."""
        # Zero-safety may mask what rules compute.
        self.check_values([n for n in self.graph.nodes if n.operands and not (n.children or n.rule_of)])

    def check_values(self, nodes: list[GraphNode]) -> None:
        """Raise Anomaly if a node's value is not finite."""
        for node in nodes:
            self.check(partial(self.from_value, node), node.value)

    def check(self, trace: Callable[[Index], tuple[int, Origin]], value: Any) -> None:
        """Raise Anomaly if entries of a value are not finite, with the earliest of their origins."""
        wrong = list(itertools.islice(faults(value), _STARTS))
        if wrong:
            self.graph.name_by(Site())
            self._adjoints = {id(node.seen): node for node in self.graph.nodes if node.seen is not None}
            raise Anomaly(min(map(trace, wrong), key=lambda pair: pair[0])[1])

    def origin(
        self, node: GraphNode, phase: str, index: Index, value: Any, operands: Mapping[str, Any], argument: str = ""
    ) -> Origin:
        """Return the origin at an entry of a node."""
        name, at = node.name if phase == "given" else node.operation, node.line
        if at is None and node.engine is None:  # the first line that reads it, or begins the pass
            at = next((child.line for child in node.children if child.line), Site().line)
        line, source = (f"{at.filename}:{at.lineno}, in {at.name}", at.line or "") if at else ("", "")
        lost = phase == "forward" and not node.inputs.keys() <= node.known.keys()  # recorded unwatched, or long ago
        advice = LOST if lost else remedy_for(name, phase, operands, value, node.dtype)
        return Origin(name, phase, index, float(value), operands, argument, line, source, node.group, advice)

    def from_value(self, node: GraphNode, index: Index) -> tuple[int, Origin]:
        """Return the number of the node where an entry that is not finite began, and the origin."""
        value = entry(node.value, index)
        while id(node.stored) not in self._adjoints:
            if node.operation == "item":
                ((output, node),) = node.inputs.items()
                index = (int(output.removeprefix("output ")), *index)
                continue
            culprit = blamed(node.operands, partial(recomputed, node), index, positions(node, index))
            parent = None if culprit is None else node.inputs[culprit[0]]
            if culprit is None or not isinstance(parent, GraphNode):
                written = node.operands and np.isfinite(entry(recomputed(node, node.operands), index))
                phase = "given" if node.engine is None else "write" if written else "forward"
                if node.rule_of is not None and phase == "forward":
                    return node.number, self.of_rule(node, index, value)
                return node.number, self.origin(node, phase, index, value, there(node, index), node.name)
            value, node, index = entry(node.operands[culprit[0]], culprit[1]), parent, culprit[1]
        return self.from_gradient(self._adjoints[id(node.stored)], index)  # recorded rules computed it

    def of_rule(self, computed: GraphNode, index: Index, value: Any) -> Origin:
        """Return the origin at an entry of what a rule computed, or a rule of its rule: the user's operation."""
        node = computed
        while node.rule_of is not None:
            node = self.graph.of_node(node.rule_of)
        numbers = there(node, index if node.shape == computed.shape else None)
        argument = next((x.name for x in node.parents if x.shape == computed.shape), node.name)
        return self.origin(node, "backward", index, value, numbers, argument)

    def from_gradient(self, node: GraphNode, index: Index) -> tuple[int, Origin]:
        """Return minus the number of the node whose rule first made a gradient not finite, and the origin."""
        while True:
            part = next((c for c in node.contributions if not np.isfinite(entry(c.value, index))), None)
            value = entry(node.seen, index)
            if part is None:  # a hook, or a sum of finite parts that overflows
                name = "hook" if node.node is not None and node.node.hooks else "sum"
                first = replace(node, operation=name, name=name, engine=None)
                return -node.number, self.origin(first, "backward", index, value, {}, node.name)
            source = part.source
            if source is None:
                seed = GraphNode(node.number, "data", dtype=node.dtype, name=f"the cotangent of {node.name}")
                return -node.number, self.origin(seed, "given", index, value, {})
            read = {"g": source.seen} | {slot: x for slot, x in source.saved.items() if isinstance(x, np.ndarray)}
            slot, where = blamed(read, partial(pulled, part, node), index, {}) or ("", ())
            operand = source if slot == "y" else source.inputs.get(slot)
            if isinstance(operand, GraphNode) and operand.value is not None:
                return self.from_value(operand, where)
            if slot != "g":
                numbers = there(source, index if source.shape == node.shape else None)
                return -source.number, self.origin(source, "backward", index, value, numbers, node.name)
            node, index = source, where
