"""The pages for those who come from elsewhere: both columns are run row by row, and give the same values."""

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

PAGES = ["pytorch", "keras", "jax"]
BEGIN = {"keras": "X, y = tg.data.make_moons(200)"}
Row = tuple[str, str]


def code(cell: str) -> str:
    """Return the lines of code in a cell of a table: what stands between backquotes."""
    return "\n".join(span.replace("\\|", "|") for span in re.findall(r"`([^`]*)`", cell))


def tables(page: str) -> dict[str, list[Row]]:
    """Return the rows of each table of a page, by the heading above it."""
    found: dict[str, list[Row]] = {}
    text = (pathlib.Path(__file__).parents[1] / f"docs/from_{page}.md").read_text(encoding="utf-8")
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        rows = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in part.splitlines() if line.startswith("| ")]
        assert all(len(row) == 2 for row in rows)
        if rows:
            found[part.splitlines()[0]] = [(code(row[0]), code(row[1])) for row in rows[2:]]
    return found


def parts(page: str) -> list[list[Row]]:
    """Return the tables of a page; what is one session there is one here."""
    held = list(tables(page).values())
    return [[row for rows in held for row in rows]] if page == "keras" else held


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
    if type(value).__module__.startswith("jax"):
        return np.asarray(value)
    return list(value) if isinstance(value, tuple) else value


def ours(rows: list[Row], begin: str = "") -> Iterator[Any]:
    names: dict[str, Any] = {"np": np, "tg": tg}
    exec(begin, names)
    for _, right in rows:
        yield run(right, names)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_what_stands_on_the_right_runs(page: str) -> None:
    for rows in parts(page):
        assert len(list(ours(rows, BEGIN.get(page, "")))) > 5


def same(rows: list[Row], names: dict[str, Any], digits: float) -> None:
    """Run both columns; fail where they give other values."""
    for (left, right), own in zip(rows, ours(rows), strict=True):
        its, own = plain(run(left, names)), plain(own)
        assert (its is None) == (own is None), (left, right)
        if its is not None:
            np.testing.assert_allclose(own, its, rtol=digits, err_msg=f"{left} | {right}") if isinstance(
                its, (np.ndarray, float)
            ) else np.testing.assert_equal(own, its, f"{left} | {right}")


@pytest.mark.parametrize("table", tables("pytorch"))
def test_what_stands_on_the_left_gives_the_same(table: str) -> None:
    torch = pytorch()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        same(tables("pytorch")[table], {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}, 1e-12)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("table", tables("jax"))
def test_what_stands_in_jax_gives_the_same(table: str) -> None:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        same(tables("jax")[table], {"jax": jax, "jnp": jax.numpy}, 1e-12)
