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
from tinygrad_nn.tensor.handle import make

ROOT = pathlib.Path(tg.__file__).parent
# Rooms that are about watching, and the file that defines it.
OWN = ("compiler/", "inspection/", "engine/watching.py")
# Besides these names, a watcher is met in what `recording` holds; whoever asks only whether it is true meets none.
# The array proxy is what a watcher hands out.
NAMES = {"watched", "Watcher", "watcher", "watching", "ArrayProxy"}
MET = {
    "checking/blame.py": {"_Steps": "is a watcher: it keeps each step", "Inquiry._recorded": "runs the function"},
    "checking/point.py": {"_Rounding": "is a watcher: it rounds anew", "Point.spread": "differentiates beside it"},
    "engine/arrays.py": {
        "as_array": "a proxy is an array, and one of a Python number becomes that",
        "copied": "and has a copy of its own",
        "zeros": "and zeros like it",
    },
    "engine/cotangents.py": {"project": "a proxy's sum is taken as an array's"},
    "engine/grad_mode.py": {
        "_Switch.__enter__": "no_grad() keeps the watcher, and tells it",
        "_Switch.__exit__": "restores what was there before",
    },
    "ops/indexing.py": {"plain": "a proxy of a Python number is that number as an index"},
    "optim/groups.py": {
        "ParameterGroup.__getitem__": "a watcher may want a number anew at every step",
        "tell": "a watcher may refuse that one of them, or the state, is set",
    },
    "optim/optimizer.py": {
        "Optimizer._checked": "a state may be of proxies",
        "Optimizer._updating": "without a watcher, a group's numbers are read without asking for each",
        "Optimizer.state": "a watcher may want the state anew at every step",
    },
    "tensor/calls.py": {
        "call_any": "asks the watcher at every operation",
        "call_one": "hands a watched call on to that",
        "call_two": "hands a watched call on to that",
        "constant": "a proxy is what NumPy should see",
    },
    "tensor/creation.py": {
        "_holds_recorded": "what a proxy was computed from is recorded by the watcher",
        "array_of": "a proxy of a Python number becomes that of an array",
    },
    "tensor/declaring.py": {"_finished": "asks the watcher at operations that rules call on arrays"},
    "tensor/handle.py": {
        "Tensor.__init__": "a watcher may want to know what is made of arrays",
        "Tensor.data": "a proxy is the array itself",
        "replace_values": "a watcher may have a shadow, which is rebound",
        "with_gradients": "and which is read",
        "_own": "a watcher may have a shadow, in which all is read and written",
        "Tensor.grad": "and may want to know that the gradient is read",
        "_read": "Python reads a value, which a watcher may refuse",
    },
    "transforms/checkpointing.py": {"checkpoint": "a part is not recorded again by whoever watches: it is kept whole"},
    "transforms/purity.py": {"restoring": "a watcher may want to know that generators get their states back"},
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
    """Return which functions and classes of a file meet a watcher."""
    found = definitions(ast.parse(source).body)
    return {name for name, tree in found if any(map(is_watcher, ast.walk(tree)))}


def is_watcher(node: ast.AST) -> bool:
    """Return whether this is one of the names, sets `recording`, or does more with its value than ask if it is true."""
    if isinstance(node, ast.Name):
        return node.id in NAMES
    called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    asks = called == "bool" or isinstance(node, (ast.If, ast.IfExp, ast.BoolOp, ast.UnaryOp))
    calls = [ast.unparse(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.Call)]
    return called == "recording.set" or ("recording.get()" in calls and not asks)


def test_watchers_are_met_where_the_list_says_and_nowhere_else() -> None:
    files = {str(path.relative_to(ROOT).as_posix()): path for path in sorted(ROOT.rglob("*.py"))}
    found = {name: met(path.read_text()) for name, path in files.items() if not name.startswith(OWN)}
    assert {name: functions for name, functions in found.items() if functions} == {k: {*v} for k, v in MET.items()}


def test_a_met_watcher_is_found() -> None:
    assert met("class A(Watcher):\n def f(self): return 1") == {"A"}
    assert met("class A:\n def f(self): return watcher()") == {"A.f"}
    assert met("def f():\n def g(): return recording.get()\n return g") == {"f"}
    assert met("def f():\n mode = recording.get()") == met("def f(): g(recording.get())") == {"f"}
    assert met("def f():\n if not recording.get(): return bool(recording.get()) and 1") == set()
    assert met("from .watching import watcher\ndef f(watch): return watch.watcher") == set()


# What a watcher is told.


class Diary(Watcher):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.entries: list[Any] = []

    def recorded(self, operation: Any, arrays: list[Any], parameters: dict[str, Any], node: Any, y: Any) -> None:
        self.entries.append((operation.name, node is not None))


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


class Shadowing(Watcher):
    """Lets each tensor from outside be read and written in a shadow of its own."""

    def __init__(self) -> None:
        self.shadows: dict[Any, Any] = {}  # by the tensor, which it keeps: a later one could get the id of a freed one

    def shadow(self, tensor: Any) -> Any:
        if any(tensor is shadow for shadow in self.shadows.values()):
            return tensor
        return self.shadows.setdefault(tensor, make(tensor._array, tensor._node))


def test_what_is_set_is_set_in_the_shadow() -> None:
    x = tg.tensor([1.0, 2.0], name="x")
    before = x.data
    with watched(Shadowing()):
        x.data = np.array([3.0, 4.0])
        x.requires_grad = True
        assert (x.data == [3.0, 4.0]).all()
        assert x.requires_grad
        assert ((x * 2).data == [6.0, 8.0]).all()
    assert x.data is before
    assert not x.requires_grad
