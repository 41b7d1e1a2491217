"""Functions as text that needs NumPy only: what a program calls, with all that it refers to.

The text is the function's own, from its file, with comments and names as they are. What goes is what the
library alone reads: the decorators that declare operations, and annotations.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import linecache
import symtable
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from .. import arrays
from ..primitive import composite, primitive
from .functions import of_numpy

_PACKAGE = __package__.partition(".")[0]
_WITHOUT_TRACE = ((arrays.array_of, "np.asarray"), (arrays.copied, "np.array"), (arrays.TracedArray, "()"))


class NoSource(Exception):
    """A function, or something that it refers to, can't be written as text."""


class Embedding:
    """Texts of functions, in the order in which Python can run them.

    `new` gives a name that nobody has, `literal` the text of a constant or None. `missing` holds, by name,
    the functions that have no text; `reasons` says why.
    """

    def __init__(self, new: Callable[[str], str], literal: Callable[[Any], str | None]) -> None:
        self.new, self.literal = new, literal
        self.names: dict[int, tuple[Any, str]] = {}
        self.imports: list[str] = []
        self.texts: list[str] = []
        self.missing: dict[str, Any] = {}
        self.reasons: dict[str, str] = {}

    def written(self) -> list[str]:
        """Return the texts, one after the other; what has none is named in a comment."""
        without = [f"# {name}: {reason}. To run this file, define it here.\n" for name, reason in self.reasons.items()]
        return [*without, *self.texts]

    def called(self, function: Any, wish: str) -> str:
        """Return the name of a function in the text, under which it is `missing` if it can't be written."""
        before = len(self.imports), len(self.texts), dict(self.names)
        try:
            return self.name(function, wish)
        except NoSource as error:
            del self.imports[before[0] :], self.texts[before[1] :]
            self.names = before[2]
            name = self.new(wish)
            self.names[id(function)] = function, name
            self.missing[name], self.reasons[name] = function, str(error)
            return name

    def name(self, x: Any, wish: str) -> str:
        """Return how the text refers to a function, class, module or constant. Raises NoSource."""
        x = inspect.unwrap(x) if callable(x) and not isinstance(x, type) else x
        if id(x) not in self.names:
            self.names[id(x)] = x, self._found(x, wish)
        return self.names[id(x)][1]

    def _found(self, x: Any, wish: str) -> str:
        instead = next((text for known, text in _WITHOUT_TRACE if known is x), None)
        if instead is not None:
            return instead
        if x is np:
            return "np"
        if isinstance(x, ModuleType):
            return self._imported(f"import {x.__name__} as {{}}", x.__name__, wish)
        home, name = str(getattr(x, "__module__", "")), getattr(x, "__qualname__", "")
        if isinstance(x, np.ufunc) or (callable(x) and home.partition(".")[0] == "numpy"):
            return self._of_numpy(x)
        if callable(x) and _is_installed(home) and getattr(sys.modules.get(home), name, None) is x:
            return self._imported(f"from {home} import {name} as {{}}", name, wish)
        if isinstance(x, (FunctionType, type)):
            return self._defined(x, wish)
        text = self.literal(x)
        if text is None:
            raise NoSource(f"{wish} is {x!r:.60}, which can't be written as text")
        self.texts.append(f"{(made := self.new(wish))} = {text}\n")
        return made

    def _of_numpy(self, x: Any) -> str:
        text = of_numpy(x).text if hasattr(x, "__name__") else ""
        module, _, name = text.rpartition(".")
        place = sys.modules.get(module.replace("np", "numpy", 1) if module.partition(".")[0] == "np" else module)
        if getattr(place, name, None) is not x:
            raise NoSource(f"{x!r} is not NumPy's own")
        if module.partition(".")[0] != "np":
            self.imported(module)
        return text

    def imports_written(self) -> str:
        """Return the lines that import modules, Python's own first."""
        own = [line for line in sorted(self.imports) if line.split()[1].partition(".")[0] in sys.stdlib_module_names]
        others = {*self.imports, "import numpy as np"} - {*own}
        return "\n".join([*own, *([""] if own else []), *sorted(others)])

    def imported(self, module: str) -> None:
        """Let the text import a module."""
        if f"import {module}" not in self.imports:
            self.imports.append(f"import {module}")

    def _imported(self, statement: str, own: str, wish: str) -> str:
        name = self.new(wish)
        text = statement.format(name)
        self.imports.append(text.removesuffix(f" as {name}") if own == name else text)
        return name

    def _defined(self, x: Any, wish: str) -> str:
        """Write a function or class, after all that it refers to."""
        node, text = _definition(x)
        name = self.new(getattr(node, "name", wish))
        self.names[id(x)] = x, name
        scope = _Scope(x)
        if isinstance(node, ast.Lambda):
            text = f"def {name}({ast.unparse(node.args)}):\n    return {ast.unparse(node.body)}\n"
        text = _edited(text, list(_without_declarations(text, scope)))
        edits = list(self._references(text, scope, name))
        self.texts.append(_edited(text, edits))
        return name

    def _references(self, text: str, scope: _Scope, name: str) -> Iterator[_Edit]:
        """Yield the edits that let the text refer to what it refers to by the names here."""
        tree: Any = ast.parse(text).body[0]
        inner, outer = _locals_and_globals(text)
        if tree.name != name:
            line = text.splitlines()[tree.lineno - 1]
            start = line.index(tree.name, tree.col_offset + len("def"))
            yield tree.lineno, start, tree.lineno, start + len(tree.name), name
        for root, attributes in _references_in(tree):
            if root.id not in outer:
                continue
            found, used = scope.resolved(root.id, [part.attr for part in attributes])
            if found is scope:
                continue
            last = attributes[used - 1].attr if used else ""
            known = self.name(found, root.id if last in ("", "kernel") else last)
            if used or known != root.id:
                if root.id in inner:
                    raise NoSource(f"{name} has a variable of its own that is named {root.id}")
                yield _edit(attributes[used - 1] if used else root, known)


_Edit = tuple[int, int, int, int, str]


def _edit(node: Any, text: str) -> _Edit:
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, text


def _edited(text: str, edits: list[_Edit]) -> str:
    """Return the text with stretches of it, by line and column, replaced."""
    lines = [line.encode() for line in text.splitlines()]
    for line, column, last, end, new in sorted(edits, reverse=True):
        lines[line - 1 : last] = [lines[line - 1][:column] + new.encode() + lines[last - 1][end:]]
    return "\n".join([line.decode().rstrip() for line in lines]) + "\n"


class _Scope:
    """What the free names of a function or class refer to."""

    def __init__(self, x: Any) -> None:
        if isinstance(x, type):
            self.known = dict(vars(sys.modules[x.__module__]))
        else:
            cells = zip(x.__code__.co_freevars, x.__closure__ or (), strict=True)
            self.known = x.__globals__ | {name: cell.cell_contents for name, cell in cells}

    def resolved(self, name: str, attributes: list[str]) -> tuple[Any, int]:
        """Return what a name with attributes refers to, and how many of these it took; itself for a builtin.

        Modules that need not be installed elsewhere, and operations, are not in the text: what they hold is.
        """
        if name not in self.known:
            if hasattr(builtins, name):
                return self, 0
            raise NoSource(f"the name {name} is not defined yet")
        x, used = self.known[name], 0
        for attribute in attributes:
            if isinstance(x, ModuleType) and not _is_installed(x.__name__):
                x = getattr(x, attribute)
            elif attribute == "kernel" and hasattr(x, "operation"):
                x = x.operation.forward
            else:
                break
            used += 1
        if hasattr(x, "operation") or (isinstance(x, ModuleType) and x.__name__.partition(".")[0] == _PACKAGE):
            raise NoSource(f"{name} makes Tensors; arrays are computed by NumPy's functions, or by `{name}.kernel`")
        return x, used

    def declares(self, decorator: ast.expr) -> bool:
        """Return whether a decorator declares an operation, and does nothing else."""
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        names: list[str] = []
        while isinstance(function, ast.Attribute):
            names.insert(0, function.attr)
            function = function.value
        x = self.known.get(function.id) if isinstance(function, ast.Name) else None
        for name in names:
            if hasattr(x, "operation") and name in ("vjp", "jvp"):
                return True
            x = getattr(x, name, None)
        return x is primitive or x is composite


def _without_declarations(text: str, scope: _Scope) -> Iterator[_Edit]:
    """Yield the edits that take away declarations of operations, and annotations."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            for decorator, after in zip(node.decorator_list, [*node.decorator_list[1:], node], strict=False):
                if scope.declares(decorator):
                    at = decorator.lineno, decorator.col_offset - 1
                    yield *at, after.lineno, after.col_offset - (after is not node), ""
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield _from_mark("->", node.returns, text)
        if isinstance(node, ast.arguments):
            yield from _without_annotations(node, text)
        if isinstance(node, ast.FunctionDef):
            for part in node.body:
                if isinstance(part, ast.AnnAssign) and part.value is not None:
                    yield _from_mark(":", part.annotation, text)


def _without_annotations(arguments: ast.arguments, text: str) -> Iterator[_Edit]:
    """Yield the edits that write `name: kind = default` as `name=default`."""
    named = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip(reversed(named), reversed(arguments.defaults), strict=False))
    defaults |= {name: x for name, x in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if x is not None}
    for argument in [*named, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
        if argument is not None and argument.annotation is not None:
            line, start, last, end, _ = _from_mark(":", argument.annotation, text)
            x = defaults.get(argument)
            yield (line, start, last, end, "") if x is None else (line, start, x.lineno, x.col_offset, "=")


def _from_mark(mark: str, annotation: ast.expr, text: str) -> _Edit:
    """Return the edit that takes away an annotation, with the mark before it and the blanks around that."""
    line = text.splitlines()[annotation.lineno - 1].encode()
    start = len(line[: annotation.col_offset].rpartition(mark.encode())[0].rstrip())
    return annotation.lineno, start, *_edit(annotation, "")[2:]


def _references_in(tree: ast.AST) -> Iterator[tuple[ast.Name, list[ast.Attribute]]]:
    """Yield each name that is read, with the attributes that follow it."""
    if isinstance(tree, (ast.Attribute, ast.Name)):
        attributes: list[ast.Attribute] = []
        root: ast.expr = tree
        while isinstance(root, ast.Attribute):
            attributes.insert(0, root)
            root = root.value
        if isinstance(root, ast.Name):
            yield root, attributes
            return
    for child in ast.iter_child_nodes(tree):
        yield from _references_in(child)


def _locals_and_globals(text: str) -> tuple[set[str], set[str]]:
    """Return the names that are some scope's own, and those that refer to something outside of the text."""
    inner: set[str] = set()
    outer: set[str] = set()

    def walk(table: Any) -> None:
        for symbol in table.get_symbols():
            if table.get_type() == "module" or symbol.is_global():
                outer.add(symbol.get_name())
            elif symbol.is_local():
                inner.add(symbol.get_name())
        for child in table.get_children():
            walk(child)

    walk(symtable.symtable(text, "text", "exec"))
    return inner, outer


def _definition(x: Any) -> tuple[Any, str]:
    """Return where a function or class is defined, and its text from its first decorator on. Raises NoSource."""
    try:
        if isinstance(x, type):
            text = textwrap.dedent("".join(inspect.getsourcelines(x)[0]))
            return ast.parse(text).body[0], text
        lines = linecache.getlines(x.__code__.co_filename)
        found: list[Any] = [node for node in ast.walk(_parsed("".join(lines))) if _defines(node, x.__code__)]
        (node,) = found
    except (OSError, TypeError, SyntaxError, ValueError):
        raise NoSource(f"the source of {getattr(x, '__qualname__', x)} is not to be had") from None
    return node, textwrap.dedent("".join(lines[_first_line(node) - 1 : node.end_lineno]))


@functools.lru_cache(maxsize=32)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _first_line(node: Any) -> int:
    lines: list[int] = [node.lineno, *[decorator.lineno for decorator in getattr(node, "decorator_list", ())]]
    return min(lines)


def _defines(node: Any, code: CodeType) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name == code.co_name and _first_line(node) == code.co_firstlineno
    if isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
        body = node.body
        return (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset) in code.co_positions()
    return False


def _is_installed(module: str) -> bool:
    """Return whether what a module holds can be imported elsewhere: not this package's, nor the user's own."""
    first = module.partition(".")[0]
    if first in sys.stdlib_module_names:
        return first not in ("__main__",)
    folders = str(getattr(sys.modules.get(first), "__file__", "")).replace("\\", "/").split("/")
    return first != _PACKAGE and ("site-packages" in folders or "dist-packages" in folders)
