"""Tables of a report, as text and as HTML: rows of cells, the columns' names first."""

from __future__ import annotations

import html
from collections.abc import Sequence

Cells = Sequence[Sequence[str]]


def as_text(cells: Cells) -> str:
    """Return the rows as lines, with columns two spaces apart; the last column is as wide as it is."""
    widths = [max(map(len, column)) for column in list(zip(*cells, strict=True))[:-1]]
    return "\n".join("  ".join([*map(str.ljust, row[:-1], widths), row[-1]]).rstrip() for row in cells)


def as_html(cells: Cells) -> str:
    """Return the rows as an HTML table, whatever the cells hold."""
    first, *rows = [[html.escape(cell) for cell in row] for row in cells]
    head = "".join(f"<th>{cell}</th>" for cell in first)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
