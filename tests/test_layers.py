"""A module imports only from layers before its own, and never inside a function."""

import ast
import pathlib
from collections.abc import Iterator

import pytest

import tinygrad_nn

ROOT = pathlib.Path(tinygrad_nn.__file__).parent
LAYERS = [
    {"history", "memory", "remedies", "unsupported"},
    {"errors"},
    {"arrays", "containers", "node", "recording"},
    {"autodiff"},
    {"tensors"},
    {"creation", "operation"},
    {"dispatch", "primitive"},
    {"ops"},
    {"linalg", "runs"},
    {"autograd", "checkpointing", "transforms"},
    {"nn", "optim"},
    {"checking", "program", "study", "testing"},
    {"data", "samples"},
    {"training"},
    {"__init__", "__main__", "conventions", "coverage"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(ROOT.rglob("*.py"))


def place(path: pathlib.Path) -> str:
    """Return the name of the module or folder just below the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imported(path: pathlib.Path, tree: ast.AST) -> Iterator[str]:
    """Yield the first-level names of this package that a file imports."""
    folder = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = folder[: len(folder) - node.level + 1]
            full = (*base, *(node.module or "").split(".")) if node.module else base
            if full:
                yield full[0]
            else:
                yield from (alias.name for alias in node.names)


def violations(path: pathlib.Path, source: str) -> list[str]:
    own = place(path)
    tree = ast.parse(source)
    return [f"{own} imports {name}" for name in imported(path, tree) if name != own and LEVEL[name] >= LEVEL[own]]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_only_from_earlier_layers(path: pathlib.Path) -> None:
    assert place(path) in LEVEL, f"{path.name} belongs to no layer"
    assert violations(path, path.read_text()) == []


def test_an_upward_import_is_found() -> None:
    assert violations(ROOT / "node.py", "from .tensors import Tensor") == ["node imports tensors"]
    assert violations(ROOT / "ops" / "linalg.py", "from ..nn.dense import x") == ["ops imports nn"]
    assert violations(ROOT / "ops" / "linalg.py", "from .. import training") == ["ops imports training"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_functions_import_optional_packages_only(path: pathlib.Path) -> None:
    functions = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef))
    inner = [n for f in functions for n in ast.walk(f) if isinstance(n, (ast.Import, ast.ImportFrom))]
    names = {n.names[0].name if isinstance(n, ast.Import) else str(n.module) for n in inner}
    assert {name.split(".")[0] for name in names} <= {"matplotlib", "scipy", "threadpoolctl", "tqdm"}


def test_no_module_bears_the_name_of_a_public_function() -> None:
    modules = {path.stem for path in FILES} - {"__init__"}
    functions = {name for name in tinygrad_nn.__all__ if callable(getattr(tinygrad_nn, name))}
    assert modules & functions == set()
