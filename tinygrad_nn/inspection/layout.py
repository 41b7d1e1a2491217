"""Where boxes and edges go: in layers by depth, with few crossings, each group around what it holds.

Source: Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures (1981): layers by
the longest path, dummies where an edge passes a layer, orders by barycentres. Groups are laid out from within, and an
edge that enters or leaves one passes its border at a port, which is a dummy in the first or last layer.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from .groups import Box

GAP, BETWEEN, PORT, MARGIN, TITLE = 18.0, 40.0, 10.0, 14.0, 20.0  # pixels
_SWEEPS = 12

Point = tuple[float, float]
Edge = tuple[Box, Box]


def laid_out(root: Box) -> dict[Edge, list[Point]]:
    """Give all boxes their places, and return the points that each edge, from box to box, goes through."""
    home = {node: box for box in root.walk() if not box.inner for node in box.members}
    found = ((home[parent], box) for node, box in home.items() for parent in node.parents if parent in home)
    edges = [*dict.fromkeys((a, b) for a, b in found if a is not b)]
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
    links = {edge: pair for edge, pair in ends.items() if pair[0] is not pair[1]}
    size: dict[Any, Point] = {inner: (inner.width, inner.height) for inner in box.inner}
    layers, chains = _layers(box.inner, links)
    order_by_barycentres(layers, _neighbours(chains.values()))
    places = _places(layers, chains, size)
    heights = [max((size[v][1] for v in layer if v in size), default=0.0) for layer in layers]
    top = 0.0
    levels: dict[Any, Point] = {}
    for layer, height, following in zip(layers, heights, [*heights, 0.0][1:], strict=True):
        levels |= dict.fromkeys(layer, (top, top + height))
        top += height + (BETWEEN if height and following else BETWEEN / 2)
    bottom = levels[layers[-1][0]][1] if layers else 0.0
    left = min((places[v] - size.get(v, (PORT, 0))[0] / 2 for v in places), default=0.0)
    right = max((places[v] + size.get(v, (PORT, 0))[0] / 2 for v in places), default=0.0)
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


def _end(edge: Edge, v: Any, which: int, places: Mapping[Any, float]) -> float:
    """Return where an edge leaves a box, or reaches it: at its middle, or at the port of a group."""
    return places[v] + (v.ways[edge][which][0] if isinstance(v, Box) and edge in v.ways else 0.0)


def _layers(
    inner: Sequence[Box], links: Mapping[Edge, tuple[Any, Any]]
) -> tuple[list[list[Any]], dict[Edge, list[Any]]]:
    """Return layers of boxes, ports and dummies, and the chain that each edge goes along, one in each layer."""
    below: dict[Any, list[Any]] = {v: [] for v in inner}
    above: dict[Any, list[Any]] = {v: [] for v in inner}
    for a, b in links.values():
        if isinstance(a, Box) and isinstance(b, Box):
            below[a].append(b)
            above[b].append(a)
    depth: dict[Any, int] = {}
    for v in inner:  # in the order of execution, but for leaves, which are before what reads them
        depth[v] = 1 + max((depth.get(u, 0) for u in above[v]), default=0)
    for v in reversed(inner):  # a leaf is next to what reads it
        if not above[v] and below[v]:
            depth[v] = min(depth[w] for w in below[v]) - 1
    last = max(depth.values(), default=0) + 1
    depth |= {end: 0 if end[0] == "in" else last for pair in links.values() for end in pair if isinstance(end, tuple)}
    levels = sorted({*depth.values()})
    rank = {level: i for i, level in enumerate(levels)}
    layers: list[list[Any]] = [[] for _ in levels]
    for v, level in depth.items():
        layers[rank[level]].append(v)
    chains: dict[Edge, list[Any]] = {}
    for edge, (a, b) in links.items():
        dummies = [(edge, i) for i in range(rank[depth[a]] + 1, rank[depth[b]])]
        for dummy in dummies:
            layers[dummy[1]].append(dummy)
        chains[edge] = [a, *dummies, b]
    return layers, chains


def _neighbours(chains: Iterable[list[Any]]) -> dict[Any, tuple[list[Any], list[Any]]]:
    """Return what each is linked to, in the layer above and in the one below."""
    found: dict[Any, tuple[list[Any], list[Any]]] = {}
    for chain in chains:
        for a, b in pairwise(chain):
            found.setdefault(a, ([], []))[1].append(b)
            found.setdefault(b, ([], []))[0].append(a)
    return found


def crossings(layers: Sequence[Sequence[Any]], neighbours: Mapping[Any, tuple[list[Any], list[Any]]]) -> int:
    """Return how many pairs of links cross between neighbouring layers."""
    count = 0
    for upper, lower in pairwise(layers):
        place = {v: i for i, v in enumerate(lower)}
        ends: list[int] = []
        for v in upper:
            own = sorted(place[w] for w in neighbours.get(v, ([], []))[1])
            count += sum(len(ends) - bisect_left(ends, end + 1) for end in own)
            for end in own:
                insort(ends, end)
    return count


def order_by_barycentres(layers: list[list[Any]], neighbours: Mapping[Any, tuple[list[Any], list[Any]]]) -> None:
    """Put each layer in the order of the mean places of what it is linked to, as long as fewer links cross."""
    best, least = [list(layer) for layer in layers], crossings(layers, neighbours)
    for sweep in range(_SWEEPS):
        if least == 0:
            break
        down = sweep % 2 == 0
        for i in range(1, len(layers)) if down else range(len(layers) - 2, -1, -1):
            fixed = {v: k for k, v in enumerate(layers[i - 1 if down else i + 1])}
            near = {v: [fixed[w] for w in neighbours.get(v, ([], []))[0 if down else 1]] for v in layers[i]}
            own = {v: sum(near[v]) / len(near[v]) if near[v] else k for k, v in enumerate(layers[i])}
            layers[i].sort(key=own.__getitem__)
        count = crossings(layers, neighbours)
        if count < least:
            best, least = [list(layer) for layer in layers], count
    layers[:] = best


def _places(layers: list[list[Any]], chains: Mapping[Edge, list[Any]], size: Mapping[Any, Point]) -> dict[Any, float]:
    """Return where each is from left to right: near to what it is linked to, and clear of its neighbours."""
    neighbours = _neighbours(chains.values())
    width = {v: size.get(v, (PORT, 0.0))[0] for layer in layers for v in layer}
    places = {v: 0.0 for layer in layers for v in layer}
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            wishes = []
            for v in layer:
                linked = neighbours.get(v, ([], []))
                near = (linked[0] or linked[1]) if sweep % 2 == 0 else (linked[1] or linked[0])
                wishes.append(sum(places[w] for w in near) / len(near) if near else places[v])
            places |= zip(layer, apart(wishes, [width[v] for v in layer]), strict=True)
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
