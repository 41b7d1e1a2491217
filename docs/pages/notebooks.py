"""The lessons as notebooks, executed, so that they open with outputs and figures; and as pages that links lead to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # figures become outputs of their cells


def execute(app: Any) -> None:
    """Execute the notebooks that the gallery has written anew."""
    for path in sorted((Path(app.srcdir) / "generated" / "lessons").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        if not any(cell.get("execution_count") for cell in notebook.cells):
            NotebookClient(notebook, extra_arguments=["--log-level=ERROR"]).execute(env=os.environ | INLINE)
            nbformat.write(notebook, path)


def link(app: Any, document: str, source: list[str]) -> None:
    """Lead the links to a lesson, a file in the repository, to its page, which would be a download otherwise."""
    source[0] = re.sub(r"\]\(lessons/(\w+)\.py\)", r"](generated/lessons/\1.rst)", source[0])


def setup(app: Any) -> dict[str, Any]:
    """Execute them when the gallery is written, before the site takes them as downloads."""
    app.connect("builder-inited", execute, priority=900)
    app.connect("source-read", link)
    return {"parallel_read_safe": True}
