"""Watchers: what they are told, and the few functions outside the compiler and inspection that know of them."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from slopes import leaf

import tinygrad_nn as tg
from tinygrad_nn.engine.watching import Watcher, watched, watcher

ROOT = pathlib.Path(tg.__file__).parent
# Rooms that are about watching, and the file that defines it.
OWN = ("compiler/", "inspection/", "engine/watching.py")
# `recording` holds the watcher, and is true while operations are recorded.
NAMES = {"recording", "watched", "Watcher", "watcher", "watching"}
MET = {
    "checking/blame.py": {"_Steps": "is a watcher: it keeps each step", "_recorded": "runs a function under it"},
    "engine/grad_mode.py": {
        "_Switch.__enter__": "no_grad() keeps the watcher, and tells it",
        "_Switch.__exit__": "restores what was there before",
    },
    "optim/optimizer.py": {
        "Hyperparameter.__get__": "a watcher may want a number anew at every step",
        "Optimizer.step": "a watcher may want the state anew at every step",
    },
    "tensor/calls.py": {
        "call_any": "asks the watcher at every operation",
        "call_one": "hands a watched call on to that",
        "call_two": "hands a watched call on to that",
    },
    "tensor/declaring.py": {"_finished": "asks the watcher at operations that rules call on arrays"},
    "tensor/handle.py": {
        "Tensor.data": "a watcher may have a proxy for the array",
        "Tensor.grad": "and for the gradient; it is told when that is set",
        "Tensor._rebind": "only looks whether operations are recorded",
        "Tensor._set_array": "the watcher is told",
        "_read": "Python reads a value, which a watcher may refuse",
    },
    "transforms/checkpointing.py": {"checkpoint": "only looks whether operations are recorded"},
    "transforms/linearization.py": {
        "Run.records": "only looks whether operations are recorded",
        "_variable": "only looks whether operations are recorded",
    },
}


def definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Yield functions, methods, and what else a class says, by name."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from definitions(node.body, f"{node.name}.")
            rest = [n for n in node.body if not isinstance(n, (ast.FunctionDef, ast.ClassDef))]
            yield node.name, ast.Module([*map(ast.Expr, node.bases), *rest], [])
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + node.name, node


def met(source: str) -> set[str]:
    """Return which functions and classes of a file name a watcher."""
    found = definitions(ast.parse(source).body)
    return {name for name, tree in found if any(isinstance(n, ast.Name) and n.id in NAMES for n in ast.walk(tree))}


def test_watchers_are_met_where_the_list_says_and_nowhere_else() -> None:
    files = {str(path.relative_to(ROOT).as_posix()): path for path in sorted(ROOT.rglob("*.py"))}
    found = {name: met(path.read_text()) for name, path in files.items() if not name.startswith(OWN)}
    assert {name: functions for name, functions in found.items() if functions} == {k: {*v} for k, v in MET.items()}


def test_a_met_watcher_is_found() -> None:
    assert met("class A(Watcher):\n def f(self): return 1") == {"A"}
    assert met("class A:\n def f(self): return watcher()") == {"A.f"}
    assert met("def f():\n def g(): return recording.get()\n return g") == {"f"}
    assert met("from .watching import watcher\ndef f(watch): return watch.watcher") == set()


# What a watcher is told.


class Diary(Watcher):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.entries: list[Any] = []

    def recorded(self, operation: Any, arrays: list[Any], parameters: dict[str, Any], node: Any, y: Any) -> None:
        self.entries.append((operation.name, node is not None))

    def rebinds(self, tensor: Any) -> None:
        self.entries.append(("rebinds", tensor.name, tensor.data.tolist()))

    def sets_gradient(self, tensor: Any) -> None:
        self.entries.append(("sets_gradient", tensor.name))


def test_a_watcher_is_told_of_each_operation_and_its_node() -> None:
    diary, x = Diary(), leaf([1.0, 2.0])
    with watched(diary):
        assert watcher() is diary
        y = (tg.exp(x) * 2).sum()
        with tg.no_grad():
            x * x
            assert not watcher()
    assert watcher() is None
    x * x
    assert diary.entries == [("exp", True), ("multiply", True), ("total", True), ("multiply", False)]
    y.backward()


def test_a_watcher_is_told_before_a_tensor_changes_and_not_where_that_is_refused() -> None:
    diary, x = Diary(), tg.tensor([1.0], name="x")
    with watched(diary):
        x.data = np.array([2.0])
        x.grad = tg.ones(1)
        for wrong in ([1.0, 2.0], [1j]):
            try:
                x.data = np.array(wrong)
            except (TypeError, ValueError):
                continue
            raise AssertionError("not refused")
    assert diary.entries == [("rebinds", "x", [1.0]), ("sets_gradient", "x")]
