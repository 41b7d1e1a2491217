"""A graph as boxes within boxes: nodes in the modules that computed them, few enough to be looked at."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from .nodes import GraphNode

MOST = 150  # boxes in a picture, about: beyond that groups are drawn in place of what they hold
_CHARACTER, _LINE = 7.2, 15.0  # the size of text, in pixels


@dataclass(eq=False)
class Box:
    """A node, or a group: `members` are the nodes in it, `inner` its boxes, none if it is collapsed.

    `kind` is that of its node, or "group". Once it is laid out, `x` and `y` are its centre, in pixels, and `ways` the
    points that edges, from box to box, go through in it.
    """

    lines: list[str]
    kind: str = "group"
    members: list[GraphNode] = field(default_factory=list)
    inner: list[Box] = field(default_factory=list)
    outer: Box | None = None
    width: float = 0.0
    height: float = 0.0
    x: float = 0.0
    y: float = 0.0
    ways: dict[tuple[Box, Box], list[tuple[float, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fit()

    def fit(self) -> None:
        """Make the box as large as its text."""
        self.width = max(_CHARACTER * max(map(len, self.lines), default=0) + 22, 48)
        self.height = _LINE * len(self.lines) + 10

    def walk(self) -> Iterator[Box]:
        """Yield the box and all within, each before what it holds."""
        yield self
        for box in self.inner:
            yield from box.walk()

    def chain(self) -> list[Box]:
        """Return the boxes around this one, the outermost first, and itself."""
        return [*(self.outer.chain() if self.outer is not None else []), self]

    def put(self, box: Box) -> Box:
        """Put a box into this one, and return it."""
        box.outer = self
        self.inner.append(box)
        return box


Edge = tuple[Box, Box]


def boxes_of(nodes: list[GraphNode], most: int = MOST) -> Box:
    """Return the nodes of a graph in a box, in groups, of which the innermost are collapsed where there are too many.

    A group is a call of a module: what it computed in a row. A leaf that a module holds is in the group of what reads
    it first.
    """
    root = Box([""])
    placed = set[GraphNode]()
    path, stack = list[tuple[str, int]](), [root]
    for node in filter(lambda node: node.operation, nodes):
        own = _path(node)
        same = next((i for i, (a, b) in enumerate(zip(path, own)) if a != b), min(len(path), len(own)))
        del stack[same + 1 :]
        for label, _ in own[same:]:
            stack.append(stack[-1].put(Box([label])))
        path = own
        for one in [p for p in dict.fromkeys(node.parents) if p not in placed] + [node]:
            (stack[-1] if one.modules else root).put(Box(_lines(one), one.kind, [one]))
            placed.add(one)
    for node in nodes:
        if node not in placed:
            root.put(Box(_lines(node), node.kind, [node]))
    _collapse(root, most)
    return root


def edges_of(root: Box) -> list[Edge]:
    """Return the pairs of boxes of which the second reads what the first has computed, each once."""
    home = {node: box for box in root.walk() if not box.inner for node in box.members}
    found = ((home[parent], box) for node, box in home.items() for parent in node.parents if parent in home)
    return [*dict.fromkeys((a, b) for a, b in found if a is not b)]


def _path(node: GraphNode) -> list[tuple[str, int]]:
    """Return the labels of the modules around a node, and which ones these are; the article's layers count as such."""
    layer = re.fullmatch(r"[ZA](\d+)", node.name) if any(kind == "DenseNetwork" for _, kind in node.modules) else None
    own = [(": ".join(filter(None, module)), owner) for module, owner in zip(node.modules, node.owners)]
    return own + ([(f"layer {layer[1]}", 0)] if layer else [])


def _lines(node: GraphNode) -> list[str]:
    shape = str(node.shape).replace(" ", "") if node.shape else ""
    name = node.name if len(node.name) <= 24 else f"{node.name[:11]}..{node.name[-11:]}"
    what = node.operation if node.operation and not name.startswith(node.operation) else ""
    return [name, *filter(None, [f"{what} {shape}".strip()])]


def _collapse(root: Box, most: int) -> None:
    """Collapse the innermost groups, and then rows of boxes, until there are few enough."""
    depth = max(len(box.chain()) for box in root.walk())
    while depth > 2 and sum(not box.inner for box in root.walk()) > most:
        depth -= 1
        for box in [box for box in root.walk() if box.inner and len(box.chain()) == depth]:
            _close(box, box.lines[0])
    if len(root.inner) > most:
        rows, root.inner = root.inner, []
        size = -(-len(rows) // (most // 2))
        for start in range(0, len(rows), size):
            group = root.put(Box([""], inner=rows[start : start + size]))
            lines = Counter(n.line.short for box in group.inner for n in box.members if n.line is not None)
            first, last = group.inner[0].members[0].number, group.inner[-1].members[-1].number
            _close(group, f"{first} to {last}" + (f", {lines.most_common(1)[0][0]}" if lines else ""))


def _close(box: Box, label: str) -> None:
    """Let a group be drawn as one box, with what it holds in two lines."""
    box.members, box.inner = [node for inner in box.walk() for node in inner.members], []
    counts = Counter(node.operation for node in box.members if node.operation)
    most = ", ".join(f"{count} {name}" for name, count in counts.most_common(2))
    box.lines = [label, f"{len(box.members):,} nodes: {most}"]
    box.fit()
