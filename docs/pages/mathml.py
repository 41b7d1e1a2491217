"""Mathematics as MathML, which browsers show by themselves: no script, no font, no network."""

from __future__ import annotations

import re
from typing import Any

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.errors import SphinxError

SPACE = '<mspace width="0.17em"></mspace>'


def formula(text: str, block: bool) -> str:
    """Return TeX as MathML, with TeX's thin spaces around the names of functions: `x sin y` and not `xsiny`."""
    made = tex2mathml(text, as_block=block)
    made = re.sub(r"(</m(?!o>|space>)\w+>\s*)(?=<mi>\w+</mi>\s*<mo>&ApplyFunction;)", rf"\1{SPACE}", made)
    return re.sub(r'(<mo>&ApplyFunction;</mo>\s*)(?!\s|<mo stretchy="false">)', rf"\1{SPACE}", made)


def _html(self: Any, node: Any, block: bool) -> None:
    try:
        self.body.append(formula(node.astext(), block))
    except Exception as error:
        raise SphinxError(f"{node.source}:{node.line}: no MathML for {node.astext()!r}: {error}") from None


def visit_inline(self: Any, node: Any) -> None:
    """Write a formula in a line, and leave its text alone."""
    _html(self, node, block=False)
    raise SkipNode


def visit_block(self: Any, node: Any) -> None:
    """Write a formula of its own lines, in a box that is moved, by keys as well, where it is wider than the page."""
    self.body.append('<div class="formula" tabindex="0">')
    _html(self, node, block=True)
    self.body.append("</div>")
    raise SkipNode


def setup(app: Any) -> dict[str, Any]:
    """Register the renderer with Sphinx."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True}
