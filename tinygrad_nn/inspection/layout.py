"""A graph as nested boxes, few enough to look at, and the positions of the boxes and edges.

A group is drawn around what a call of a module computed. Inner groups are laid out first. An edge that enters or leaves
a group crosses its border at a port: a dummy in the first or last layer.
Source: Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures (1981): layers by
the longest path, dummies where an edge passes a layer, orders by barycentres.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from operator import itemgetter

from .nodes import GraphNode

MOST = 150  # boxes in a picture, roughly: if there are more, groups replace their contents
_COLUMN, _LINE = 7.3, 15.0  # a letter and a line of text, in pixels
GAP, BETWEEN, PORT, MARGIN, TITLE = 18.0, 40.0, 10.0, 14.0, 20.0  # pixels
_SWEEPS, _SORTED = 20, 14  # sweeps over all layers, and how many of them reorder the layers

Point = tuple[float, float]


@dataclass(eq=False)
class Box:
    """A node or a group: `members` are the nodes that it stands for, `inner` the boxes in it, none if it is collapsed.

    `kind` is that of its node, or "group". After the layout, `x` and `y` are its centre in pixels, and `ways` the
    points in it that each edge passes through, relative to its centre. A dummy has no lines.
    """

    lines: list[str] = field(default_factory=list)
    kind: str = "group"
    members: list[GraphNode] = field(default_factory=list)
    inner: list[Box] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0
    ways: dict[tuple[Box, Box], list[Point]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.width: float = max(_COLUMN * max(map(_columns, self.lines)) + 22, 48) if self.lines else PORT
        self.height: float = _LINE * len(self.lines) + 10 if self.lines else 0.0

    def walk(self) -> Iterator[Box]:
        """Yield this box and all boxes in it, outer before inner ones."""
        yield self
        for box in self.inner:
            yield from box.walk()


def _columns(text: str) -> int:
    """Return the width of a text: a letter is 1, one of Chinese, Japanese or Korean, or an emoji, 2."""
    return len(text) + sum(unicodedata.east_asian_width(c) in "FW" for c in text)


Edge = tuple[Box, Box]


def boxes_of(nodes: list[GraphNode]) -> Box:
    """Return the nodes of a graph as nested boxes; if they are too many, inner groups are collapsed, or sequences.

    A group is a call of a module: the consecutive nodes that it computed, and its leaves that it was first to read.
    """
    # Outside leaves first: they would divide the call of a module that reads them.
    nodes = sorted(nodes, key=lambda node: bool(node.operation or node.modules))
    groups = {node: _groups(node) for node in nodes}

    def nested(members: Iterable[GraphNode], depth: int, most: int) -> Iterator[Box]:
        for group, run in groupby(members, lambda node: groups[node][depth : depth + 1]):
            inside = [*run]
            if group and depth == most:
                yield _closed(group[0][0], inside)
            else:
                yield from [Box([x], inner=[*nested(inside, depth + 1, most)]) for x, _ in group] or map(_box, inside)

    for most in range(max(map(len, groups.values()), default=0), -1, -1):  # groups within groups
        root = Box(inner=[*nested(groups, 0, most)])
        if sum(not box.inner for box in root.walk()) <= MOST:
            return root
    boxes = sorted(root.inner, key=lambda box: box.members[0].number)
    size = -(-len(boxes) // (MOST // 2))
    rows = [[node for box in boxes[i : i + size] for node in box.members] for i in range(0, len(boxes), size)]
    return Box(inner=[_closed(f"{row[0].number} to {row[-1].number}", row) for row in rows])


def _closed(label: str, members: list[GraphNode]) -> Box:
    """Return a collapsed box, which sums up its contents in two lines."""
    counts = Counter(node.operation for node in members if node.operation)
    most = ", ".join(f"{count} {name}" for name, count in counts.most_common(2))
    return Box([label, f"{len(members):,} nodes: {most}"], members=members)


def _box(node: GraphNode) -> Box:
    """Return the box of a node, which shows its name, operation and shape."""
    shape = str(node.shape).replace(" ", "") if node.shape else ""
    name = node.name if len(node.name) <= 24 else f"{node.name[:11]}..{node.name[-11:]}"
    what = node.operation if node.operation and not name.startswith(node.operation) else ""
    return Box([name, *filter(None, [f"{what} {shape}".strip()])], node.kind, [node])


def _groups(node: GraphNode) -> list[tuple[str, int]]:
    """Return the labels and ids of the modules around a node; layers of the article's network count as modules."""
    own = [(": ".join(filter(None, module)), owner) for module, owner in zip(node.modules, node.owners)]
    layer = re.fullmatch(r"(?:.*\b)?[ZAWb](\d+)", node.name) if node.group.endswith("DenseNetwork") else None
    return own + ([(f"layer {layer[1]}", 0)] if layer else [])


def edges_of(root: Box) -> list[Edge]:
    """Return the pairs of boxes where the second reads what the first computed, each pair once."""
    home = {node: box for box in root.walk() if not box.inner for node in box.members}
    found = ((home[parent], box) for node, box in home.items() for parent in node.parents if parent in home)
    return [*dict.fromkeys((a, b) for a, b in found if a is not b)]


def laid_out(root: Box) -> dict[Edge, list[Point]]:
    """Position all boxes, and return the points that each edge passes through."""
    edges = edges_of(root)
    _arrange(root, edges)
    root.x, root.y = root.width / 2, root.height / 2
    points = {edge: list[Point]() for edge in edges}
    for box in root.walk():  # outer boxes before inner ones
        for inner in box.inner:
            inner.x, inner.y = box.x + inner.x, box.y + inner.y
        for edge, way in box.ways.items():
            points[edge] += [(box.x + x, box.y + y) for x, y in way]
    for (a, b), found in points.items():  # all edges lead downwards
        begin, end = (a.x, a.y + a.height / 2), (b.x, b.y - b.height / 2)
        found[:] = dict.fromkeys([begin, *sorted(found, key=itemgetter(1)), end])
    return points


def _arrange(box: Box, edges: list[Edge]) -> None:
    """Place the contents of a box relative to its centre, and set its size and the points of the edges in it."""
    for inner in box.inner:
        if inner.inner:
            own = set(inner.walk())
            _arrange(inner, [e for e in edges if e[0] in own or e[1] in own])
    holder = {one: inner for inner in box.inner for one in inner.walk()}
    ends = {(a, b): (holder.get(a) or Box(), holder.get(b) or Box()) for a, b in edges}  # outside of the box: a port
    layers, chains = _layers(box.inner, {edge: (a, b) for edge, (a, b) in ends.items() if a is not b})
    _place(layers, chains)
    bottom, levels = -BETWEEN / 2, dict[Box, Point]()  # top and bottom of each
    for layer in layers:
        height = max(v.height for v in layer)
        top = bottom + (BETWEEN if height else BETWEEN / 2)
        bottom = top + height
        levels |= dict.fromkeys(layer, (top, bottom))
    left = min((v.x - v.width / 2 for v in levels), default=0.0)
    right = max((v.x + v.width / 2 for v in levels), default=0.0)
    title = TITLE if box.lines else 0.0
    box.width, box.height = max(right - left + 2 * MARGIN, box.width), bottom + 2 * MARGIN + title
    dx, dy = -(left + right) / 2, -box.height / 2 + MARGIN + title
    for v, level in levels.items():
        v.x, v.y, levels[v] = v.x + dx, sum(level) / 2 + dy, (level[0] + dy, level[1] + dy)
    for edge, (first, *dummies, last) in chains.items():
        a, b = [v.x + v.ways[edge][i][0] if edge in v.ways else v.x for v, i in ((first, -1), (last, 0))]
        begin = [(a, -box.height / 2)] * (edge[0] not in holder) + [(a, levels[first][1])]
        end = [(b, levels[last][0])] + [(b, box.height / 2)] * (edge[1] not in holder)
        box.ways[edge] = begin + [(v.x, y) for v in dummies for y in levels[v]] + end


def _layers(inner: Sequence[Box], links: dict[Edge, Edge]) -> tuple[list[list[Box]], dict[Edge, list[Box]]]:
    """Return layers of boxes, ports and dummies, and the chain of these that each edge follows, one per layer."""
    depth: dict[Box, int] = {}
    for v in inner:  # in the order of execution, except that leaves precede the nodes that read them
        depth[v] = 1 + max((depth.get(a, 0) for a, b in links.values() if b is v), default=0)
    for v in reversed(inner):  # move a leaf next to the node that reads it
        below = [depth[b] for a, b in links.values() if a is v and b in depth]
        if below and depth[v] == 1:
            depth[v] = min(below) - 1
    last = max(depth.values(), default=0) + 1
    for a, b in links.values():  # ports
        depth.setdefault(a, 0)
        depth.setdefault(b, last)
    layers = [[v for v in depth if depth[v] == level] for level in range(last + 1)]
    chains: dict[Edge, list[Box]] = {}
    for edge, (a, b) in links.items():
        passed = [layer for layer in layers[depth[a] + 1 : depth[b]] if layer]
        chains[edge] = [a, *[Box() for _ in passed], b]
        for layer, dummy in zip(passed, chains[edge][1:-1], strict=True):
            layer.append(dummy)
    return [*filter(None, layers)], chains


def _place(layers: list[list[Box]], chains: dict[Edge, list[Box]]) -> None:
    """Sort each layer by the mean positions of the boxes that its boxes are linked to, and set the positions.

    Sweeps go down and up in turn; the last ones keep the order, and only let the positions settle.
    """
    above, below = defaultdict[Box, list[Box]](list), defaultdict[Box, list[Box]](list)
    for a, b in [pair for chain in chains.values() for pair in pairwise(chain)]:
        below[a].append(b)
        above[b].append(a)
    for layer in layers:
        for i, v in enumerate(layer):
            v.x = float(i)
    for sweep in range(_SWEEPS):
        order, before, after = (layers, above, below) if sweep % 2 == 0 else (layers[::-1], below, above)
        for layer in order:
            near = {v: before[v] or after[v] or [v] for v in layer}
            wishes = {v: sum(w.x for w in linked) / len(linked) for v, linked in near.items()}
            if sweep < _SORTED:
                layer.sort(key=wishes.__getitem__)
            for v, x in zip(layer, apart([wishes[v] for v in layer], [v.width for v in layer]), strict=True):
                v.x = x


def apart(wishes: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Return the positions nearest to the wished ones, by least squares, that keep the order without overlaps.

    With the widths subtracted, this is isotonic regression, by pooling adjacent violators.
    """
    offsets = [0.0]
    for a, b in pairwise(widths):
        offsets.append(offsets[-1] + (a + b) / 2 + GAP)
    pools: list[tuple[float, int]] = []
    for wish, offset in zip(wishes, offsets, strict=False):
        mean, count = wish - offset, 1
        while pools and pools[-1][0] > mean:
            other, more = pools.pop()
            mean, count = (mean * count + other * more) / (count + more), count + more
        pools.append((mean, count))
    level = [mean for mean, count in pools for _ in range(count)]
    return [a + b for a, b in zip(level, offsets, strict=False)]
