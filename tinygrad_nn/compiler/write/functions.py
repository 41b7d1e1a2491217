"""Functions as text that needs NumPy only: what a program calls, with everything that it refers to.

The text is Python's own rendering of the function's source, without what only this package reads: the decorators that
declare operations, and annotations. Comments are lost, too.
"""

from __future__ import annotations

import ast
import builtins
import copy
import functools
import inspect
import symtable
import sys
import textwrap
from collections.abc import Callable, Hashable
from types import CellType, FunctionType, ModuleType
from typing import Any

import numpy as np

from ...engine import arrays
from ...tensor.creation import array_of
from ...tensor.declaring import primitive
from .literals import NoSource, whole_literal

PACKAGE = __package__.partition(".")[0]
# What is called differently where there are no proxies.
_WITHOUT_TRACE = {
    np: "np", array_of: "np.asarray", arrays.copied: "np.array", arrays.ArrayProxy: "()",
    arrays.zeros: "(lambda shape, x: np.zeros(shape, x.dtype))",
}  # fmt: skip


class Functions:
    """Texts of functions, in the order in which Python can run them.

    `new` returns an unused name. `missing` holds, by name, the functions that have no text; `reasons` says why.
    """

    def __init__(self, new: Callable[[str], str]) -> None:
        self.new = new
        self.names: dict[int, tuple[Any, str]] = {}
        self.imports: list[str] = []
        self.texts: list[str] = []
        self.missing: dict[str, Any] = {}
        self.reasons: dict[str, str] = {}

    def written(self) -> list[str]:
        """Return the texts, one after the other; a function that has none is named in a comment."""
        without = [f"# {name}: {reason}. To run this file, define it here.\n" for name, reason in self.reasons.items()]
        return [*without, *self.texts]

    def called(self, function: Any, wish: str) -> str:
        """Return the name of a function in the text, under which it is `missing` if it can't be written."""
        before = [*self.imports], [*self.texts], dict(self.names)
        try:
            return self.name(function, wish)
        except NoSource as error:
            self.imports, self.texts, self.names = before
            name = self.new(wish)
            self.names[id(function)] = function, name
            self.missing[name], self.reasons[name] = function, str(error)
            return name

    def name(self, x: Any, wish: str) -> str:
        """Return how the text refers to a function, class, module or constant. Raises NoSource."""
        whole = isinstance(x, type) or getattr(np, wish, None) is x
        if callable(x) and not whole and (inner := inspect.unwrap(x)) is not x:
            if isinstance(inner, FunctionType) and all(_declares(d, inner) for d in definition(inner).decorator_list):
                raise NoSource(f"{wish} is wrapped in what its text doesn't show")
            x = inner
        if id(x) not in self.names:
            self.names[id(x)] = x, self._found(x, wish)
        return self.names[id(x)][1]

    def imports_written(self) -> str:
        """Return the lines that import modules."""
        return "\n".join(sorted({*self.imports, "import numpy as np"}))

    def _found(self, x: Any, wish: str) -> str:
        if isinstance(x, Hashable) and x in _WITHOUT_TRACE:
            return _WITHOUT_TRACE[x]
        if isinstance(x, ModuleType):
            return self._imported(f"import {x.__name__}", x.__name__, wish)
        name = getattr(x, "__name__", "")
        home = "scipy.special" if isinstance(x, np.ufunc) else str(getattr(x, "__module__", ""))
        if callable(x) and getattr(np, name, None) is x:
            return f"np.{name}"
        if callable(x) and is_installed(home) and getattr(sys.modules.get(home), name, None) is x:
            return self._imported(f"from {home} import {name}", name, wish)
        if isinstance(x, (FunctionType, type)):
            return self._defined(x, wish)
        text = whole_literal(x)
        self.texts.append(f"{(made := self._new(wish))} = {text}\n")
        return made

    def _imported(self, statement: str, own: str, wish: str) -> str:
        name = self._new(wish)
        self.imports.append(statement if own == name else f"{statement} as {name}")
        return name

    def _defined(self, x: Any, wish: str) -> str:
        """Write a function or class, after all that it refers to."""
        tree, name = copy.deepcopy(definition(x)), self._new(wish)
        self.names[id(x)] = x, name
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef():
                    node.returns, node.decorator_list = None, [d for d in node.decorator_list if not _declares(d, x)]
                case ast.arg():
                    node.annotation = None
                case ast.AnnAssign():  # a field needs an annotation, of whatever kind
                    node.annotation = ast.Constant(ast.unparse(node.annotation))
        found = _Referring(self, x, name).visit(tree)
        found.name = name
        self.texts.append(ast.unparse(found) + "\n")
        return name

    def _new(self, wish: str) -> str:
        """Return a name for the top of the file, where it must not hide a builtin."""
        return self.new(f"{wish}_" if hasattr(builtins, wish) else wish)


def is_installed(module: str) -> bool:
    """Return whether a module can be imported elsewhere: it is neither this package's nor the user's own."""
    first = module.partition(".")[0]
    if first in {"numpy", "scipy", *sys.stdlib_module_names}:
        return first != "__main__"
    folders = str(getattr(sys.modules.get(first), "__file__", "")).replace("\\", "/").split("/")
    return first != PACKAGE and ("site-packages" in folders or "dist-packages" in folders)


def _scope(x: Any) -> dict[str, Any]:
    """Return what the free names of a function or class refer to now."""
    if isinstance(x, type):
        return dict(vars(sys.modules[x.__module__]))
    cells = zip(x.__code__.co_freevars, x.__closure__ or (), strict=True)
    return dict(x.__globals__) | {name: cell.cell_contents for name, cell in cells if cell != CellType()}


def _declares(decorator: ast.expr, x: Any) -> bool:
    """Return whether a decorator of a function declares an operation or a rule of it, and does nothing else."""
    root, *names = ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator).split(".")
    found = _scope(x).get(root)
    for name in names:
        found = getattr(found, name, None)
    return getattr(found, "__module__", "") == primitive.__module__


class _Referring(ast.NodeTransformer):
    """Replaces names in a text by those that the same objects have in the file.

    Modules that may not be installed elsewhere, and operations, are not in the file; what they hold is.
    """

    def __init__(self, functions: Functions, x: Any, name: str) -> None:
        self.functions, self.scope, self.name = functions, _scope(x), name
        self.own, self.free = _locals_and_globals(ast.unparse(definition(x)))

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        names = ast.unparse(node).split(".")
        return self.reference(node, *names) if all(map(str.isidentifier, names)) else self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        return self.reference(node, node.id)

    def reference(self, node: ast.expr, root: str, *attributes: str) -> ast.expr:
        """Return the expression that refers to the same object in the file. Raises NoSource."""
        if root not in self.free or (root not in self.scope and hasattr(builtins, root)):
            return node
        if root not in self.scope:
            raise NoSource(f"the name {root} is not defined yet")
        x, wish, rest = self.scope[root], root, list(attributes)
        while rest:
            if isinstance(x, ModuleType) and not is_installed(x.__name__):
                x = getattr(x, wish := rest.pop(0))
            elif rest[0] == "kernel" and hasattr(x, "operation"):
                x = x.operation.forward
                del rest[0]
            else:
                break
        if hasattr(x, "operation") or (isinstance(x, ModuleType) and x.__name__.partition(".")[0] == PACKAGE):
            raise NoSource(f"{root} makes Tensors; arrays are computed by NumPy's functions, or by `{root}.kernel`")
        known = self.functions.name(x, wish)
        if known != root and {root, known.partition(".")[0]} & self.own:
            raise NoSource(f"{self.name} has a variable of its own that is named {root}")
        return ast.parse(".".join([known, *rest]), mode="eval").body


@functools.lru_cache(maxsize=512)
def definition(x: Any) -> Any:
    """Return the tree of a function or class. Raises NoSource."""
    try:
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(x))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        node = ast.Pass()
    name = x.__code__.co_name if isinstance(x, FunctionType) else x.__name__
    if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name != name:  # of a lambda, it is its line's
        raise NoSource(f"the source of {getattr(x, '__qualname__', x)} is not available")
    return node


def _locals_and_globals(text: str) -> tuple[set[str], set[str]]:
    """Return the names that are some scope's own, and those that refer to something outside of the text."""
    tables: list[Any] = [symtable.symtable(text, "text", "exec")]
    for table in tables:  # grows on the way
        tables += table.get_children()
    top, *inner = [table.get_symbols() for table in tables]
    symbols = [symbol for found in inner for symbol in found]
    free = {symbol.get_name() for symbol in [*top, *[s for s in symbols if s.is_global()]]}
    return {symbol.get_name() for symbol in symbols if symbol.is_local()}, free
