"""Where boxes and edges go: in layers by depth, with few crossings, each group around what it holds.

Source: Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures (1981): layers by
the longest path, dummies where an edge passes a layer, orders by barycentres. Groups are laid out from within, and an
edge that enters or leaves one passes its border at a port, which is a dummy in the first or last layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from .groups import Box, Edge, edges_of

GAP, BETWEEN, PORT, MARGIN, TITLE = 18.0, 40.0, 10.0, 14.0, 20.0  # pixels
_SWEEPS, _SORTED = 20, 14  # sweeps over all layers, and those of them that put layers in another order

Point = tuple[float, float]


def laid_out(root: Box) -> dict[Edge, list[Point]]:
    """Give all boxes their places, and return the points that each edge, from box to box, goes through."""
    edges = edges_of(root)
    _arrange(root, edges)
    _shift(root, root.width / 2, root.height / 2)
    return {edge: _joined(edge) for edge in edges}


def _arrange(box: Box, edges: list[Edge]) -> None:
    """Place what is in a box, relative to its centre, and give it its size; note the edges' ways within."""
    for inner in box.inner:
        if inner.inner:
            own = set(inner.walk())
            _arrange(inner, [e for e in edges if e[0] in own or e[1] in own])
    holder = {one: inner for inner in box.inner for one in inner.walk()}
    ends: Any = {e: (holder.get(e[0], ("in", e)), holder.get(e[1], ("out", e))) for e in edges}
    layers, chains = _layers(box.inner, {edge: pair for edge, pair in ends.items() if pair[0] is not pair[1]})
    places = _placed(layers, chains.values())
    top, levels = 0.0, dict[Any, Point]()  # of each the top and the bottom
    heights = [max(_size(v)[1] for v in layer) for layer in layers]
    for layer, height, following in zip(layers, heights, [*heights, 0.0][1:], strict=True):
        levels |= dict.fromkeys(layer, (top, top + height))
        top += height + (BETWEEN if height and following else BETWEEN / 2)
    bottom = levels[layers[-1][0]][1] if layers else 0.0
    left = min((x - _size(v)[0] / 2 for v, x in places.items()), default=0.0)
    right = max((x + _size(v)[0] / 2 for v, x in places.items()), default=0.0)
    title = TITLE if box.outer is not None else 0.0
    box.width = max(right - left + 2 * MARGIN, box.width if box.outer is not None else 0)
    box.height = bottom + 2 * MARGIN + title
    dx, dy = -(left + right) / 2, -box.height / 2 + MARGIN + title
    for inner in box.inner:
        inner.x, inner.y = places[inner] + dx, sum(levels[inner]) / 2 + dy
    for edge, (first, *dummies, last) in chains.items():
        a, b = _end(edge, first, -1, places) + dx, _end(edge, last, 0, places) + dx
        begin = [(a, -box.height / 2)] * isinstance(first, tuple) + [(a, levels[first][1] + dy)]
        end = [(b, levels[last][0] + dy)] + [(b, box.height / 2)] * isinstance(last, tuple)
        box.ways[edge] = begin + [(places[v] + dx, y + dy) for v in dummies for y in levels[v]] + end


def _size(v: Any) -> Point:
    """Return the width and height of a box; a port, or a dummy, has no height."""
    return (v.width, v.height) if isinstance(v, Box) else (PORT, 0.0)


def _end(edge: Edge, v: Any, which: int, places: Mapping[Any, float]) -> float:
    """Return where an edge leaves a box, or reaches it: at its middle, or at the port of a group."""
    return places[v] + (v.ways[edge][which][0] if isinstance(v, Box) and edge in v.ways else 0.0)


def _layers(inner: Sequence[Box], links: Mapping[Edge, Any]) -> tuple[list[list[Any]], dict[Edge, list[Any]]]:
    """Return layers of boxes, ports and dummies, and the chain that each edge goes along, one in each layer."""
    depth: dict[Any, int] = {}
    for v in inner:  # in the order of execution, but for leaves, which are before what reads them
        depth[v] = 1 + max((depth.get(a, 0) for a, b in links.values() if b is v), default=0)
    for v in reversed(inner):  # a leaf is next to what reads it
        below = [depth[b] for a, b in links.values() if a is v and b in depth]
        if below and depth[v] == 1:
            depth[v] = min(below) - 1
    last = max(depth.values(), default=0) + 1
    depth |= {end: 0 if end[0] == "in" else last for pair in links.values() for end in pair if isinstance(end, tuple)}
    rank = {level: i for i, level in enumerate(sorted({*depth.values()}))}
    layers: list[list[Any]] = [[] for _ in rank]
    for v, level in depth.items():
        layers[rank[level]].append(v)
    chains: dict[Edge, list[Any]] = {}
    for edge, (a, b) in links.items():
        dummies = [(edge, i) for i in range(rank[depth[a]] + 1, rank[depth[b]])]
        for dummy in dummies:
            layers[dummy[1]].append(dummy)
        chains[edge] = [a, *dummies, b]
    return layers, chains


def _placed(layers: list[list[Any]], chains: Iterable[list[Any]]) -> dict[Any, float]:
    """Put each layer in the order of the mean places of what it is linked to, and return where each is then.

    It goes down and up by turns; the last sweeps keep the order, and let places come to rest.
    """
    places = {v: float(i) for layer in layers for i, v in enumerate(layer)}
    above: dict[Any, list[Any]] = {v: [] for v in places}
    below: dict[Any, list[Any]] = {v: [] for v in places}
    for a, b in [pair for chain in chains for pair in pairwise(chain)]:
        below[a].append(b)
        above[b].append(a)
    for sweep in range(_SWEEPS):
        order, before, after = (layers, above, below) if sweep % 2 == 0 else (layers[::-1], below, above)
        for layer in order:
            near = {v: before[v] or after[v] or [v] for v in layer}
            wishes = {v: sum(places[w] for w in linked) / len(linked) for v, linked in near.items()}
            if sweep < _SORTED:
                layer.sort(key=wishes.__getitem__)
            places |= zip(layer, apart([wishes[v] for v in layer], [_size(v)[0] for v in layer]), strict=True)
    return places


def apart(wishes: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Return the places nearest to the wished ones, by least squares, at which nothing overlaps and the order holds.

    Without the widths this is isotonic regression, by pooling adjacent violators.
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


def _shift(box: Box, x: float, y: float) -> None:
    """Make the places in a box absolute, given the place of its centre."""
    box.x, box.y = x, y
    box.ways = {edge: [(x + a, y + b) for a, b in way] for edge, way in box.ways.items()}
    for inner in box.inner:
        _shift(inner, x + inner.x, y + inner.y)


def _joined(edge: Edge) -> list[Point]:
    """Return an edge's points, from the box where it begins, out of its groups, and into those of the other."""
    a, b = edge
    groups = dict.fromkeys([*reversed(a.chain()[:-1]), *b.chain()[:-1]])
    points = [point for box in groups for point in box.ways.get(edge, ())]
    return [*dict.fromkeys([(a.x, a.y + a.height / 2), *points, (b.x, b.y - b.height / 2)])]
