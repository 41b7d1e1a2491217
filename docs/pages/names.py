"""The public names: where each is written, which page of the reference it is on, and what is said of it."""

from __future__ import annotations

import ast
import functools
import inspect
import operator
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from public import SPACES, names_of

import tinygrad_nn as tg

IMPORTS = ">>> import numpy as np\n>>> import tinygrad_nn as tg\n"
ROOT = Path(tg.__file__).parent
# Page of the reference: its title, and what it holds: public modules, or files of the package by their beginnings.
PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "tensors": ("Tensors", ("tensor.",)),
    "operations": ("Operations", ("ops.",)),
    "linear_algebra": ("Linear algebra", ("linalg:",)),
    "gradients": ("Gradients and transforms", ("engine.", "transforms.", "autograd:")),
    "networks": ("Networks and losses", ("nn.", "nn:", "nn.init:")),
    "optimisers": ("Optimisers and schedules", ("optim:", "optim.lr_scheduler:")),
    "training": ("Training, data and files", ("training.", "data:", "plots:")),
    "compiling": ("Compiling", ("compiler.",)),
    "checking": ("Checking gradients", ("checking.",)),
    "seeing": ("Seeing the graph", ("inspection.",)),
    "bridges": ("Bridges to other libraries", ("interop.",)),
    "testing": ("Tests of your own", ("testing:",)),
    "errors": ("Errors", ("errors:",)),
}


class Name(NamedTuple):
    """One public name: as it is written behind `tg.`, the object, the file it is written in, and its first line."""

    path: str
    value: Any
    module: str
    line: int

    @property
    def page(self) -> str:
        """The page of the reference that lists it."""
        space = self.path.rpartition(".")[0]
        home = f"{space}:" if space else self.module.removeprefix("tinygrad_nn.")
        found = [page for page, (_, starts) in PAGES.items() if home.startswith(starts)]
        assert found, f"tg.{self.path} is on no page of the reference; add its room to PAGES"
        return found[0]

    @property
    def document(self) -> str:
        """The name of its own page; files of some systems do not tell a Tensor from a tensor."""
        return f"class-{self.path}" if inspect.isclass(self.value) else self.path

    @property
    def text(self) -> str:
        """What is said of it, with an example."""
        if not callable(self.value):
            return f"A {type(self.value).__name__} that holds {', '.join(f'`{key}`' for key in self.value)}."
        text = inspect.getdoc(self.value) or ""
        if self.path.startswith("interop."):  # what `import tinygrad_nn` does not bring is imported by its example
            needed = [f">>> from {self.module} import {self.value.__name__}"]
            needed += [">>> import numpy as np"] * ("np." in text)
            text = text.replace(">>> ", "\n".join([*needed, ">>> "]), 1)
        return with_example(text, self.path.removeprefix("interop."))

    @property
    def sentence(self) -> str:
        """The first sentence of its description, without shapes and details."""
        first = " ".join(self.text.split("\n\n")[0].split())
        return re.split(r"(?<=\.) (?=[A-Z])", first)[0]


class Method(NamedTuple):
    """A method or a property: its name, the object, what is said of it, and the function that it is, if it is one."""

    name: str
    value: Any
    text: str
    function: Name | None


def methods(name: Name) -> Iterator[Method]:
    """Yield the methods and properties that a class has itself, and no class of modules or of optimisers before it."""
    inherited = [kind for kind in (tg.nn.Module, tg.optim.Optimizer) if kind in name.value.__mro__[1:]]
    for attribute, held in sorted(vars(name.value).items()):
        value = getattr(held, "__func__", held)
        if attribute.startswith("_") or any(hasattr(kind, attribute) for kind in inherited):
            continue
        text = inspect.getdoc(value) or ""
        if text and (callable(value) or isinstance(value, property)):
            function = by_path().get(getattr(value, "__name__", ""))
            if function is not None and function.value is value:
                yield Method(attribute, value, text.partition("\n\n>>>")[0], function)
            else:
                yield Method(attribute, value, with_example(text, f"{name.value.__name__}.{attribute}"), None)


def with_example(text: str, name: str) -> str:
    """Return a description with the example that a page has for the name, and what that imports."""
    example = examples().get(name, "")
    if ">>>" in text or not example:
        return text
    imports = [line for line in IMPORTS.splitlines(keepends=True) if f"{line.split()[-1]}." in example]
    return f"{text}\n\n{''.join(imports)}{example}"


@functools.cache
def examples() -> dict[str, str]:
    """Return the examples that stand on pages and not in the code: of methods, and of errors."""
    pages = Path(__file__).parent
    of_methods = re.findall(
        r"^### ([\w.]+)\n+```python\n(.*?)\n+```", (pages / "methods.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    of_errors = re.findall(
        r"^`(\w+)`: [^\n]+\n+```python\n(.*?)\n+```", (pages.parent / "errors.md").read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )  # fmt: skip
    return dict(of_methods) | {f"errors.{name}": example for name, example in of_errors}


# Bridges, by the package that each needs: what is not installed has no page.
BRIDGES = {"mpi": "numpy", "scipy": "scipy", "sklearn": "sklearn", "torch": "torch"}


@functools.cache
def public_names() -> list[Name]:
    """Return all public names but those of modules."""
    paths = [name for name in tg.__all__ if not inspect.ismodule(getattr(tg, name))]
    loaded = {name for name in BRIDGES if hasattr(sys.modules.get("tinygrad_nn.interop"), name)}
    bridges = [f"interop.{name}" for name, needed in BRIDGES.items() if name in loaded or find_spec(needed)]
    for bridge in bridges:
        import_module(f"tinygrad_nn.{bridge}")
    for space in (*SPACES, *bridges):
        paths += [f"{space}.{name}" for name in names_of(operator.attrgetter(space)(tg))]
    values = [(path, operator.attrgetter(path)(tg)) for path in paths]
    return [Name(path, value, *home(value)) for path, value in values if not inspect.ismodule(value)]


@functools.cache
def by_path() -> dict[str, Name]:
    """Return the public names by how they are written behind `tg.`."""
    return {name.path: name for name in public_names()}


def home(value: Any) -> tuple[str, int]:
    """Return the module where a public object is written, and the line."""
    inner = inspect.unwrap(value) if callable(value) else value
    op = getattr(value, "operation", None)
    written = inner if op is None or not hasattr(op.forward, "__code__") else op.forward
    name = getattr(value, "__name__", "")
    module: str = getattr(written, "__module__", None) or ""
    # An operation that is one of NumPy's functions is a row of a table; a strategy is wrapped by Hypothesis.
    if module == "tinygrad_nn.tensor.calls" or not module.startswith("tinygrad_nn."):
        module = next(_modules_with(value))
        return module, _lines(module).get(name) or next(_rows(module, value), 1)
    code = getattr(written, "__code__", None)
    return module, _lines(module).get(name) or (1 if code is None else code.co_firstlineno)


def _modules_with(value: Any) -> Any:
    for name, module in sorted(sys.modules.items(), key=lambda item: not item[0].startswith("tinygrad_nn.ops.")):
        if name.startswith("tinygrad_nn.") and name.count(".") > 1 and any(v is value for v in vars(module).values()):
            yield name


def _rows(module: str, value: Any) -> Any:
    for name, held in vars(sys.modules[module]).items():
        if held is value and name in _lines(module):
            yield _lines(module)[name]


def source(module: str) -> str:
    """Return the text of a module of the package."""
    path = ROOT.parent / Path(*module.split("."))
    return (path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py").read_text("utf-8")


@functools.cache
def _lines(module: str) -> dict[str, int]:
    """Return the lines where a module's functions, classes and rows are written, by name."""
    found = {}
    for node in ast.parse(source(module)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node.lineno
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {t.id: node.lineno for t in targets if isinstance(t, ast.Name)}
    return found


def signature(value: Any) -> str:
    """Return the parameters with their defaults, without types; "" for what cannot be called."""
    if not callable(value):
        return ""
    try:
        given = parameters(value)
    except (TypeError, ValueError):
        return "(...)"
    return str(inspect.Signature([p.replace(annotation=p.empty, default=_shown(p.default)) for p in given]))


def parameters(value: Any) -> list[inspect.Parameter]:
    """Return the parameters of a function, of an operation those that it was declared with."""
    op = getattr(value, "operation", None)
    return list((op.signature if op is not None else inspect.signature(value)).parameters.values())


class _Source:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _shown(default: Any) -> Any:
    """Return a default that prints without addresses."""
    if default is inspect.Parameter.empty or "<" not in repr(default):
        return default
    return _Source(getattr(default, "__name__", "..."))
