"""A graph as one page that steps through forward and backward: it needs no network, and is readable without scripts."""

from __future__ import annotations

import base64
import functools
import hashlib
import operator
import struct
import zlib
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..compiler.write.mathematics import MATHML, OF, Mathematics
from ..engine.outputs import Parts
from .culprits import pulled
from .formulas import Formulas, equations, part_of
from .nodes import GraphNode
from .picture import STYLE, svg_of
from .terms import Contribution, brief

MOST = 600  # nodes: more are too many to step through
_NUMBERS, _MAP = 48, 32  # entries shown as numbers, and cells along a side of a heat map, at most
_HOOKED = ", after its hooks"
_HERE = Path(__file__).parent


class Step(NamedTuple):
    """One step: its title, the numbers of the nodes that the picture marks, and its text as HTML."""

    title: str
    at: int
    read: Iterable[int] = ()
    text: str = ""


class Page:
    """Writes the page of a graph."""

    def __init__(self, nodes: list[GraphNode], label: str) -> None:
        self._nodes, self._label, self._formulas = nodes, label, Formulas(nodes)
        self._mathematics = Mathematics(MATHML, {node.symbol: node.name for node in nodes})
        self._order = sorted((n for n in nodes if n.seen is not None and n.operation), key=lambda n: -n.number)

    @np.errstate(all="ignore")
    def html(self) -> str:
        """Return the page."""
        forward = [self.forward(node) for node in self._nodes if node.operation]
        backward = [self.backward(node) for node in self._order]
        nothing = Step("nothing was computed", 0, text=_values({node.name: node.value for node in self._nodes}))
        style, script = (_HERE / "page.css").read_text("utf-8") + STYLE, (_HERE / "page.js").read_text("utf-8")
        own = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
        policy = f"default-src 'none'; script-src 'sha256-{own[0]}'; style-src 'sha256-{own[1]}'; img-src data:"
        ends = [*self._order, *reversed(self._nodes)]  # what a hook computes comes after the end
        title = f"Reverse mode, step by step: {ends[0].name}" if ends else "An empty graph"
        hooked = any(node.arrived is not None for node in self._nodes)  # hooks are not called again
        naive = self.naive() if self._order and not hooked else []
        sections = self.section("step", "Forward, then backward", [*forward, *backward] or [nothing])
        sections += self.section("naive", "The naive order: depth first, each value once", naive)
        return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{policy}; base-uri 'none'; form-action 'none'">
<title>{escape(title)}</title><style>{style}</style></head><body>
<header><h1>{escape(title)}</h1>
<nav hidden aria-label="steps"><button id="back">← back</button>
<input id="slider" type="range" min="1" value="1" aria-label="step"><button id="next">next →</button>
<output id="said" aria-live="polite"></output>
<label><input id="naive-order" type="checkbox"{"" if naive else " disabled"}> naive order, depth first</label>
</nav></header>
<main><figure tabindex="0" aria-label="the graph">{svg_of(self._nodes, self._label, "")}</figure>
<div>{sections}</div></main>
<script>{script}</script></body></html>
"""

    def section(self, kind: str, title: str, steps: list[Step]) -> str:
        """Return steps as an ordered list, nothing if there are none."""
        if not steps:
            return ""
        items = [
            f'<li id="{kind}-{i}" data-at="{s.at}" data-read="{" ".join(map(str, s.read))}">'
            f"<h3>{i}. {escape(s.title)}</h3>{s.text}</li>"
            for i, s in enumerate(steps, start=1)
        ]
        start = f'<section id="{kind}s" tabindex="0" aria-label="{title}">'
        return f"{start}<h2>{title}</h2><ol>{''.join(items)}</ol></section>"

    def forward(self, node: GraphNode) -> Step:
        """Return the step that computes a node."""
        code = self._formulas.of(node).code[""]
        text = self.formula(code[-1], code) + _values(_arrays(node)) + _line(node)
        return Step(f"forward: {node.name}, by {node.operation}", node.number, [x.number for x in node.parents], text)

    def backward(self, node: GraphNode) -> Step:
        """Return the step that passes a node's adjoint on to its operands."""
        given = _uses(node)
        names = ", ".join([x.name for x in dict.fromkeys(x for x, _ in given)])
        read = {name for _, contribution in given for name in getattr(contribution.rule, "reads", ())}
        text = _values({f"∂L/∂{node.name}{_HOOKED * (node.arrived is not None)}": node.seen} | _arrays(node, read))
        for parent, contribution in given:
            rule, code = part_of(contribution, self._formulas), self._formulas.of(node).code[contribution.argument]
            relation = "=" if contribution is parent.contributions[0] else "+="
            code = [*code[:-1], code[-1].replace(" = ", f" {relation} ", 1)]
            text += self.formula(f"dL{OF}{parent.symbol} = {rule}", code, relation) + _added(parent, contribution)
        title = f"backward: from {node.name} to {names}" if names else f"backward: at {node.name}"
        return Step(title, node.number, [x.number for x, _ in given], text + _line(node))

    def formula(self, line: str, code: list[str], relation: str = "=") -> str:
        """Return the HTML of a line and the functions that the code calls, as mathematics, and of the code."""
        printed = [self._mathematics.equation(line, relation), *map(self._mathematics.equation, equations(code))]
        text = escape("".join([f"{part}\n\n" if part.startswith("def ") else f"{part}\n" for part in code]).rstrip())
        return "".join(f'<math display="block">{x}</math>' for x in printed) + f"<pre><code>{text}</code></pre>"

    def naive(self) -> list[Step]:
        """Return the steps of a depth-first pass, where a value hands on at once what first arrives, and only that."""
        handed, steps = dict[Any, Any](), list[Step]()
        stack = [(n, c) for n in reversed(self._order) for c in n.contributions if c.source is None]  # seeds
        while stack:
            node, one = stack.pop()
            right = one.source is None or _close(handed[one.source], one.source.seen)
            c = _whole(node, one.value if right else pulled(one, node, {"g": handed[one.source]}))
            if not node.operation:
                handed[node] = _sum(handed[node], c) if node in handed else c
            elif node in handed:
                steps.append(Step(f"{node.name} gets {brief(c)} more, too late", node.number))
            else:
                handed[node] = c
                steps.append(_left(node, c))
                stack += _uses(node)[::-1]
        wrong = {n: g for n, g in handed.items() if not n.operation and not _close(g, n.seen)}
        if not wrong:
            return [*steps, Step("right here, because no computed value is read in two ways", self._order[0].number)]
        text = "".join([_values({f"∂L/∂{n.name}, naive": g, "right": n.seen}) for n, g in wrong.items()])
        text += (
            '<p class="wrong">A value was handed on before everything that reads it had contributed. In the order of a '
            "topological sort this can't happen.</p>"
        )
        title = f"wrong: {', '.join(n.name for n in wrong)}"
        return [*steps, Step(title, self._order[0].number, [n.number for n in wrong], text)]


def _arrays(node: GraphNode, read: Any = None) -> dict[str, Any]:
    """Return the operands and the result of a node by their names: all, or those that its rules `read`."""
    nodes = {name: x for name, x in node.inputs.items() if isinstance(x, GraphNode) and (read is None or name in read)}
    result = {node.name: node.value} if read is None or "y" in read else {}
    return {x.name: node.operands.get(name, x.value) for name, x in nodes.items()} | result


def _line(node: GraphNode) -> str:
    """Return the HTML of the line of code that computed a node, with its layer."""
    if node.line is None:
        return ""
    layer = f" in {escape(node.group)}" if node.group else ""
    source = f": <code>{escape(node.line.line)}</code>" if node.line.line else ""
    return f"<p>{escape(node.place)}{layer}{source}</p>"


def _left(node: GraphNode, g: Any) -> Step:
    """Return the step that hands on what has arrived at a node so far."""
    text = _values({f"∂L/∂{node.name} so far": g})
    if not _close(g, node.seen):
        text += f'<p class="wrong">{escape(f"not yet ∂L/∂{node.name} = {brief(node.seen)}")}</p>'
    return Step(f"{node.name} hands on {brief(g)}", node.number, [x.number for x in node.parents], text)


def _whole(node: GraphNode, c: Any) -> Any:
    return c.whole(node.node, None) if isinstance(c, Parts) else c  # type: ignore[arg-type]


def _sum(a: Any, b: Any) -> Any:
    return tuple(map(operator.add, a, b)) if isinstance(a, tuple) else a + b


def _close(a: Any, b: Any) -> bool:
    pairs = zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)]
    return all(np.allclose(x, y, equal_nan=True) for x, y in pairs)


def _added(parent: GraphNode, contribution: Contribution) -> str:
    """Return the HTML of a contribution, and of the sum of those up to it."""
    parts, adjoint = parent.contributions, f"∂L/∂{parent.name}"
    count = [part is contribution for part in parts].index(True) + 1
    values = [_whole(parent, part.value) for part in parts[:count]]
    if len(parts) == 1:
        shown = {adjoint: values[-1]}
    else:
        shown = {f"contribution {count} of {len(parts)} to {adjoint}": values[-1]}
        shown["added up so far"] = functools.reduce(_sum, values)
    if parent.arrived is not None and contribution is parts[-1]:
        shown[adjoint + _HOOKED] = parent.seen
    return _values(shown)


def _uses(node: GraphNode) -> list[tuple[GraphNode, Contribution]]:
    return [(x, c) for x in dict.fromkeys(node.parents) for c in x.contributions if c.source is node]


def _values(named: dict[str, Any]) -> str:
    """Return arrays by name: as numbers, or as heat maps with statistics."""
    shown = [(escape(name), _shown(x, name)) for name, x in named.items() if x is not None]
    items = "".join([f"<div><dt>{name}</dt><dd>{text}</dd></div>" for name, text in shown])
    return f"<dl>{items}</dl>" if items else ""


def _shown(x: Any, name: str) -> str:
    if isinstance(x, tuple):
        return "".join(_shown(part, name) for part in x)
    array = np.asarray(x)
    if array.size <= _NUMBERS:
        return f"<pre>{escape(np.array2string(array, precision=3, max_line_width=70))}</pre>"
    sizes, array = ("absolute values, ", np.abs(array)) if np.iscomplexobj(array) else ("", array)
    numbers = f"{sizes}{array.shape}, from {array.min():.4g} to {array.max():.4g}, mean {array.mean():.4g}"
    return f'<img alt="heat map of {escape(name)}" width="128" height="96" src="{_heat_map(array)}"><br>{numbers}'


def _heat_map(array: Any) -> str:
    """Return a PNG of an array as rows of cells: blue below 0, orange above, white at 0, thinned out if large."""
    rows = array.reshape(-1, array.shape[-1])
    rows = rows[:: -(-len(rows) // _MAP), :: -(-rows.shape[1] // _MAP)].astype(float)
    finite = np.where(np.isfinite(rows), rows, 0)
    share = finite / (np.abs(finite).max() or 1)
    colours = np.where(share[..., None] < 0, (0, 114, 178), (213, 94, 0))
    cells = 255 - np.abs(share)[..., None] * (255 - colours)
    pixels = np.where(np.isfinite(rows)[..., None], cells, 0).astype(np.uint8)
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    png = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", *rows.shape[::-1], 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")):
        png += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
