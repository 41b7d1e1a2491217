"""What is printed shows on a terminal without UTF-8: texts are ASCII, or know how to become so."""

from __future__ import annotations

import ast
import os
import pathlib
import subprocess
import sys

import tinygrad_nn

ROOT = pathlib.Path(tinygrad_nn.__file__).parent
# Pictures and pages bring their letters along; a derivation translates itself: tests/compiler/write/test_explain.py.
OTHERWISE = ("training/plots.py", "inspection/page.py", "compiler/write/")


def beyond_ascii(source: str) -> list[str]:
    """Return the strings of a file that are not ASCII, without its docstrings."""
    tree = ast.parse(source)
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in statements]
    return [node.value for node in constants if isinstance(node.value, str) and not node.value.isascii()]


def test_texts_are_ascii() -> None:
    sources = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")}
    found = {name: beyond_ascii(source) for name, source in sources.items() if not name.startswith(OTHERWISE)}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_a_text_beyond_ascii_is_found() -> None:
    assert beyond_ascii('def f():\n    """σ"""\n    return f\'{x} →\'\n') == [" →"]


PRINTS = """
import numpy as np, tinygrad_nn as tg
network = tg.nn.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": "sigmoid"}], seed=0)
x, y = np.ones((4, 2)), np.ones((4, 1))
print(network, repr(network), tg.nn.Linear(2, 3), tg.nn.GELU(), tg.optim.Adam(network.parameters()))
history = tg.train(network, x, y, 12, 0.1, progress=True)
print(history, tg.gradcheck(np.sin, x), tg.gradcheck(lambda x: abs(x), np.zeros(2)))
step = tg.compile(tg.grad(lambda x: np.tanh(x @ x.T).sum()))
step(x)
print(step.explain(), step.report(), step.profile)
"""


def test_a_terminal_without_utf_8_shows_everything() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    ran = subprocess.run([sys.executable, "-c", PRINTS], env=environment, capture_output=True, check=False, timeout=60)
    assert (ran.returncode, ran.stdout.isascii(), ran.stderr.isascii()) == (0, True, True), ran.stderr.decode()
