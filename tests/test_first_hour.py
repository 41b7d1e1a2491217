"""The first hour: five files that a student reads top to bottom, short, and on their own."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

import tinygrad_nn

ROOT = pathlib.Path(tinygrad_nn.__file__).parent
FILES = [ROOT / name for name in ("engine/node.py", "engine/reverse.py", "engine/rules.py", "engine/operation.py")]
FILES.append(ROOT / "ops/elementwise.py")
MOST_LINES = 650
# What these files name from others of the package, and what a reader has to be told of it.
FROM_OUTSIDE = {
    "Suspicion": "zero-safety",
    "sum_of_products": "zero-safety of a product of matrices", "FLAG_TELLS": "does NumPy tell of 0 * inf?",
    "cotangents_from": "what has arrived at each node", "owned": "may this array be written to?", "copied": "a copy",
    "keep_memory_once": "memory is kept for reuse", "recording_rules": "operations of rules are recorded",
    "item": "one output of several", "product_of_entries": "zero-safety of a product",
    "FreedGraphError": "an exception", "FREED": "its words", "elementwise": "declares a row",
    "tanh_slope": "a slope that 1 - y * y is only near 0", "cosine_of": "a / hypot(a, b)",
    "edge_product": "(1 - x) * (1 + x)", "over_square": "a / (a * a + b * b)", "power_derivative": "b * a ** (b - 1)",
    "exponential_share": "exp(a) / (exp(a) + exp(b))",
}  # fmt: skip


def named_from_outside(source: str) -> set[str]:
    """Return what a file imports from the package's other files."""
    home = {path.stem for path in FILES}
    imports = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom) and n.level]
    return {alias.name for n in imports if str(n.module).rpartition(".")[2] not in home for alias in n.names}


def test_the_five_files_are_short() -> None:
    lines = sum(path.read_text().count("\n") for path in FILES)
    assert lines <= MOST_LINES
    texts = [(ROOT.parent / name).read_text("utf-8") for name in ("README.md", "docs/lessons/11_reading_the_engine.py")]
    told = [int(number) for text in texts for number in re.findall(r"some (\d+) lines", text)]
    assert len(told) == 2
    assert all(abs(number - lines) <= 10 for number in told), f"they have {lines} lines now: tell so"


def test_they_name_little_from_elsewhere() -> None:
    named = {name for path in FILES for name in named_from_outside(path.read_text())}
    assert named == FROM_OUTSIDE.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_they_say_no_word_about_the_compiler(path: pathlib.Path) -> None:
    assert re.findall(r"(?i)\b(?:trac(?:e|ed|er|ing)|compil\w+|program\w*|watcher)\b", path.read_text()) == []


@pytest.mark.parametrize("folder", ["engine", "tensor"])
def test_engine_and_tensor_name_the_compiler_in_watching_only(folder: str) -> None:
    found = [
        f"{path.stem}: {line.strip()}"
        for path in sorted((ROOT / folder).glob("*.py"))
        if path.stem != "watching"
        for line in path.read_text().splitlines()
        if re.search(r"(?i)\b(?:trac(?:e|ed|er|ing)|compil\w+|programs?)\b", line)
    ]
    assert found == []


def test_the_backward_loop_fits_on_one_screen() -> None:
    tree = ast.parse((ROOT / "engine/reverse.py").read_text())
    (function,) = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "pullback"]
    body = function.body[1:]  # without the docstring
    assert body[-1].end_lineno is not None
    assert body[-1].end_lineno - body[0].lineno < 40
