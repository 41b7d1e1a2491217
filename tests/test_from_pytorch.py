"""The page for those who come from PyTorch: both columns are run row by row, and give the same values."""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from optional import pytorch

import tinygrad_nn as tg

PAGE = pathlib.Path(__file__).parents[1] / "docs/from_pytorch.md"
Row = tuple[str, str]


def code(cell: str) -> str:
    """Return the lines of code in a cell of a table: what stands between backquotes."""
    return "\n".join(span.replace("\\|", "|") for span in re.findall(r"`([^`]*)`", cell))


def tables() -> dict[str, list[Row]]:
    """Return the rows of each table of the page, by the heading above it."""
    found: dict[str, list[Row]] = {}
    for part in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        rows = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in part.splitlines() if line.startswith("| ")]
        assert all(len(row) == 2 for row in rows)
        found[part.splitlines()[0]] = [(code(row[0]), code(row[1])) for row in rows[2:]]
    return found


def run(source: str, names: dict[str, Any]) -> Any:
    """Run the code, and return the value of its last line, None if that has none."""
    *body, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        exec(source, names)
        return None
    exec(compile(ast.Module(body, []), "<row>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<row>", "eval"), names)


def plain(value: Any) -> Any:
    """Return a tensor of either library as an array, and other values as they are."""
    if hasattr(value, "detach"):
        return value.detach().numpy()
    return list(value) if isinstance(value, tuple) else value


def ours(rows: list[Row]) -> Iterator[Any]:
    names = {"np": np, "tg": tg}
    for _, right in rows:
        yield run(right, names)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("table", tables())
def test_what_stands_on_the_right_runs(table: str) -> None:
    assert len(list(ours(tables()[table]))) > 5


@pytest.mark.parametrize("table", tables())
def test_what_stands_on_the_left_gives_the_same(table: str) -> None:
    torch = pytorch()
    names = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}
    rows = tables()[table]
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        for (left, right), own in zip(rows, ours(rows), strict=True):
            its, own = plain(run(left, names)), plain(own)
            assert (its is None) == (own is None), (left, right)
            if its is not None:
                np.testing.assert_allclose(own, its, rtol=1e-12, err_msg=f"{left} | {right}") if isinstance(
                    its, (np.ndarray, float)
                ) else np.testing.assert_equal(own, its, f"{left} | {right}")
    finally:
        torch.set_default_dtype(before)
