"""Every message ends in a remedy: each raise of the package is walked, and its text judged.

The text is what is constant in it: of an f-string, of the wording that a function returns, of what a name was set to
in the same function. Where it may be one of several, each needs a remedy of its own.
"""

from __future__ import annotations

import ast
import builtins
import functools
import itertools
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from remedies import REMEDY

import tinygrad_nn
from tinygrad_nn import errors

ROOT = pathlib.Path(tinygrad_nn.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Classes, and single raises by file and function, whose text is not judged.
EXCEPTED = {
    "AssertionError": "the test kit reports what it found and expected: a finding, no misuse",
    "Anomaly": "a finding: an Origin, whose text ends in what to do about the operation",
    "BackpropError": "a report of findings, with the table",
    "GradientCheckError": "a report of findings, with the table",
    "ops/settings.py:call": "what to write stands in a table, which tests/nn/test_habits.py reads",
    "optim/optimizer.py:_checked_settings": "the words of what a hyperparameter needs, under another class",
    "compiler/compiled.py:_refused": "a refusal, which has its remedy, with the function's line",
    "__init__.py:__getattr__": "Python's own words, for a name that there is not, or the table's of PyTorch's",
    "nn/habits.py:__getattr__": "Python's own words, for a name that there is not, or the table's of PyTorch's",
    "training/datasets.py:__getattr__": "Python's own words, for a name that there is not, or the table's",
    "tensor/handle.py:__get__": "what to write stands in a table, which tests/errors/test_unsupported.py reads",
    "testing/__init__.py:__getattr__": "Python's own words, for a name that there is not",
    "interop/mpi.py:__getattr__": "for code that asks whether there is an attribute, while it is copied",
    "compiler/trace/proxies.py:__getattr__": "NumPy's own words, for code that asks whether there is an attribute",
    "__main__.py:module": "the exit code",
    "compiler/write/mathematics.py:printed": "the printer goes on with the call as it stands",
    "interop/onnx.py:indexed": "the exporter words what it can't write",
    "interop/onnx.py:of": "the exporter words what it can't write",
    "interop/onnx.py:lstm": "the exporter words what it can't write",
    "interop/onnx.py:reduced": "the exporter words what it can't write",
    "interop/onnx.py:several": "the exporter words what it can't write",
    "interop/onnx.py:window_sum": "the exporter words what it can't write",
    "compiler/trace/proxies.py:__hash__": "NumPy's own words, for code that asks whether there is a hash",
    "training/reading.py:require": "a reason inside the sentences of training.reading, which say what to do",
    "Differs": "a reason inside the sentence of run.portable, which says what to write",
    "NoSource": "a reason inside the sentence of run.module.Module, which says what to write",
}
HOLE = "…"  # stands where a message shows a value


@dataclass
class Raise:
    """A raise: where it is, and all texts that its message may have."""

    location: str
    kind: str
    texts: list[str]

    @property
    def excepted(self) -> bool:
        return self.kind in EXCEPTED or self.location.rpartition(":")[0] in EXCEPTED


@functools.cache
def wordings() -> tuple[dict[str, ast.FunctionDef], dict[str, ast.expr]]:
    """Return the functions and the constants that word messages for other files, by name."""
    paths = [*(ROOT / "errors").glob("*.py"), *ROOT.rglob("refusals.py"), ROOT / "engine/node.py"]
    trees = [ast.parse(path.read_text()) for path in paths]
    known = {name: f for tree in trees for name, f in functions(tree).items()}
    return known, {name: value for tree in trees for name, value in constants(tree).items()}


def functions(tree: ast.AST) -> dict[str, ast.FunctionDef]:
    return {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


def constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Return what the names at the top of a file are set to."""
    assigned = [n for n in tree.body if isinstance(n, ast.Assign)]
    return {target.id: n.value for n in assigned for target in n.targets if isinstance(target, ast.Name)}


class Reader:
    """Reads the texts of expressions in a file."""

    def __init__(self, tree: ast.Module) -> None:
        known, constant = wordings()
        self.known, self.constants = known | functions(tree), constant | constants(tree)

    def texts(self, node: ast.expr, inside: ast.AST) -> list[str]:
        """Return what a string may be, for an expression in the body of a function."""
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=parts):
                return ["".join(each) for each in itertools.product(*[self.texts(part, inside) for part in parts])]
            case ast.FormattedValue(value=value):
                return self.texts(value, inside)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return [a + b for a in self.texts(left, inside) for b in self.texts(right, inside)]
            case ast.IfExp(body=yes, orelse=no):
                return [*self.texts(yes, inside), *self.texts(no, inside)]
            case ast.BoolOp(op=ast.Or(), values=values):
                return [text for value in values for text in self.texts(value, inside)]
            case ast.Call(func=ast.Attribute(attr="get"), args=[_, default]):
                return self.texts(default, inside)
            case ast.Call(func=function) if (made := self.known.get(last_name(function))) is not None:
                return [text for value in returned(made) for text in self.texts(value, made)]
            case ast.Name(id=name) if values := set_to(name, inside):
                return [text for value in values for text in self.texts(value, inside)]
            case ast.Name(id=name) if name in self.constants:
                return self.texts(self.constants[name], inside)
        return [HOLE]

    def message(self, call: ast.Call, inside: ast.AST) -> list[str]:
        """Return what the message of a new exception may be; one may be made by a function of the file."""
        made = self.known.get(last_name(call.func))
        if made is None or made.name == "refusal":
            return self.texts(call.args[0], inside) if call.args else [""]
        return [text for value in returned(made) if isinstance(value, ast.Call) for text in self.message(value, made)]


def last_name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def returned(function: ast.FunctionDef) -> list[ast.expr]:
    found = [n.value for n in ast.walk(function) if isinstance(n, ast.Return) and n.value is not None]
    return [value for value in found if not (isinstance(value, ast.Constant) and value.value is None)]


def set_to(name: str, inside: ast.AST) -> list[ast.expr]:
    """Return what a name is set to in a function, unless to itself."""
    found = [n for n in ast.walk(inside) if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == name]
    return [n.value for n in found if name not in {x.id for x in ast.walk(n.value) if isinstance(x, ast.Name)}]


def raises(source: str, path: str) -> Iterator[Raise]:
    """Yield every raise of a new exception; the innermost function around it counts."""
    tree = ast.parse(source)
    reader = Reader(tree)
    around: dict[ast.AST, ast.AST] = {}
    for outer in [tree, *(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef))]:  # from the outside inwards
        around |= dict.fromkeys([n for n in ast.walk(outer) if isinstance(n, ast.Raise)], outer)
    for node, inside in around.items():
        if not isinstance(node, ast.Raise) or node.exc is None:
            continue
        location, known = f"{path}:{getattr(inside, 'name', 'module')}:{node.lineno}", vars(builtins) | vars(errors)
        calls = [node.exc] if isinstance(node.exc, ast.Call) else set_to(ast.unparse(node.exc), inside)  # of a variable
        for call in calls or [ast.Call(node.exc, [], [])]:  # of a class without a message
            if isinstance(call, ast.Call) and (call is node.exc or last_name(call.func) in known):
                yield Raise(location, last_name(call.func), reader.message(call, inside))


@functools.cache
def walked() -> list[Raise]:
    return [r for path in FILES for r in raises(path.read_text(), path.relative_to(ROOT).as_posix())]


def without_remedy(found: Raise) -> list[str]:
    return [text for text in found.texts if REMEDY.search(text) is None]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_message_has_a_remedy(path: pathlib.Path) -> None:
    here = f"{path.relative_to(ROOT).as_posix()}:"
    found = [r for r in walked() if r.location.startswith(here) and not r.excepted]
    assert {r.location: texts for r in found if (texts := without_remedy(r))} == {}


def test_the_walk_comes_by_what_there_is() -> None:
    assert len(walked()) > 300
    assert {r.kind for r in walked()} >= {"CompileError", "GradientError", "DtypeError", "ImportError", "refusal"}
    used = {name for r in walked() for name in (r.kind, r.location.rpartition(":")[0])}
    assert used >= EXCEPTED.keys(), "an exception that nothing needs"


BAD = """
SAD = "it is " + "sad"

def wording(x):
    return f"{x} is wrong"

def either(x):
    return "write 1" if x else "no"

def made(x):
    return ValueError(f"{x}, which is what it is")

def f(self, x):
    text = f"{x} is " + "a pity"
    %s
"""


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('raise ValueError(f"{x} can\'t be had")', ["… can't be had"]),
        ("raise ValueError(wording(x))", ["… is wrong"]),
        ("raise errors.DataError(either(x))", ["no"]),
        ("raise made(x) from None", ["…, which is what it is"]),
        ("raise TypeError(text)", ["… is a pity"]),
        ("raise TypeError(SAD)", ["it is sad"]),
        (
            'raise self.refusal("the address is unmet: it was passed over")',
            ["the address is unmet: it was passed over"],
        ),
        ("raise ValueError()", [""]),
        ("raise ValueError(str(x))", ["…"]),
        ('raise ValueError(f"{x} is wrong; write 1")', []),
        ('raise ValueError(f"{x} must be 1")', []),
        ("raise KeyError(x)", ["…"]),
        ("raise NotImplementedError", [""]),
        ("raise text", []),
    ],
)
def test_a_raise_without_a_remedy_is_found(line: str, found: list[str]) -> None:
    assert [text for r in raises(BAD % line, "here.py") for text in without_remedy(r)] == found
