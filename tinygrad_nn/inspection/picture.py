"""A graph as a picture: SVG laid out by the library, and text for Graphviz."""

from __future__ import annotations

import json
from html import escape
from itertools import pairwise

from .layout import Box, Point, boxes_of, edges_of, laid_out
from .nodes import GraphNode

# The colours of the library's plots, by Okabe and Ito, on any background; shapes tell the kinds apart as well.
STYLE = """
.tg-graph { font: 12px ui-monospace, "DejaVu Sans Mono", monospace; fill: currentColor; }
.tg-graph rect, .tg-graph polygon { fill-opacity: .2; }
.tg-graph .group > rect { fill: #888; fill-opacity: .07; stroke: #888; stroke-dasharray: 4 3; }
.tg-graph .closed > rect { fill-opacity: .2; stroke-dasharray: none; }
.tg-graph .parameter > polygon { fill: #d55e00; stroke: #d55e00; }
.tg-graph .data > rect { fill: #009e73; stroke: #009e73; }
.tg-graph .operation > rect { fill: #0072b2; stroke: #0072b2; }
.tg-graph .edge { fill: none; stroke: #888; stroke-width: 1.2; }
.tg-graph .arrow { fill: #888; }
"""


def svg_of(nodes: list[GraphNode], label: str, style: str = f"<style>{STYLE}</style>") -> str:
    """Return the nodes of a graph as an SVG element: layers from top to bottom, in the order of computation."""
    root = boxes_of(nodes)
    edges = laid_out(root)
    body = [f'<path class="edge" d="{_curve(points)}" marker-end="url(#tg-arrow)"/>' for points in edges.values()]
    width, height = f"{root.width:.0f}", f"{root.height:.0f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tg-graph" role="img" aria-label="{escape(label)}" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">{style}'
        '<marker id="tg-arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path class="arrow" d="M0 0L8 4L0 8z"/></marker>{"".join(map(_drawn, root.inner))}{"".join(body)}</svg>'
    )


def _drawn(box: Box) -> str:
    """Return the SVG element of a box and its contents."""
    left, top = box.x - box.width / 2, box.y - box.height / 2
    number = f' data-node="{box.members[0].number}"' if box.kind != "group" else ""
    if box.inner:
        body = [f'<text x="{left + 8:.1f}" y="{top + 15:.1f}">{escape(box.lines[0])}</text>', *map(_drawn, box.inner)]
    else:
        lines = [(top + 17 + 15 * i, escape(line)) for i, line in enumerate(box.lines)]
        body = [f'<text x="{box.x:.1f}" y="{y:.1f}" text-anchor="middle">{line}</text>' for y, line in lines]
    closed = " closed" * (box.kind == "group" and not box.inner)
    return f'<g class="{box.kind}{closed}"{number}>{_outline(box)}{"".join(body)}</g>'


def _outline(box: Box) -> str:
    """Return the shape of a box: data is a rectangle, a parameter has points at its sides, an operation is round."""
    w, h = box.width / 2, box.height / 2
    if box.kind == "parameter":
        corners = [(-w, 0), (9 - w, -h), (w - 9, -h), (w, 0), (w - 9, h), (9 - w, h)]
        return f'<polygon points="{" ".join([f"{box.x + x:.1f},{box.y + y:.1f}" for x, y in corners])}"/>'
    corner = {"operation": h, "group": 6}.get(box.kind, 0)
    size = f'width="{box.width:.1f}" height="{box.height:.1f}" rx="{corner:.1f}"'
    return f'<rect x="{box.x - w:.1f}" y="{box.y - h:.1f}" {size}/>'


def _curve(points: list[Point]) -> str:
    """Return a path through points that leaves and reaches each one vertically."""
    path = "M{:.1f} {:.1f}".format(*points[0])
    for (a, b), (c, d) in pairwise(points):
        middle = (b + d) / 2
        path += f"V{d:.1f}" if abs(a - c) < 0.05 else f"C{a:.1f} {middle:.1f} {c:.1f} {middle:.1f} {c:.1f} {d:.1f}"
    return path


# The shape and colour of each kind, in Graphviz's terms.
_LOOKS = {
    "parameter": ("hexagon", "#fde3cf"), "data": ("box", "#d8f0e6"), "operation": ("ellipse", "#dcebf7"),
    "group": ("box3d", "#eeeeee"),
}  # fmt: skip


def dot_of(nodes: list[GraphNode]) -> str:
    """Return the nodes of a graph as text for Graphviz."""
    root = boxes_of(nodes)
    names = {box: f"n{i}" for i, box in enumerate(root.walk()) if box.members}
    lines = []
    for box, name in names.items():
        label, (shape, colour) = json.dumps("\n".join(box.lines), ensure_ascii=False), _LOOKS[box.kind]
        lines.append(f'  {name} [label={label} shape={shape} style=filled fillcolor="{colour}"]\n')
    lines += [f"  {names[a]} -> {names[b]}\n" for a, b in edges_of(root)]
    return f"digraph {{\n{''.join(lines)}}}\n"
