"""Where functions and classes are written down, and their text without what this package alone reads in it."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import linecache
import symtable
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

from ..tensor.declaring import composite, primitive

PACKAGE = __package__.partition(".")[0]
Edit = tuple[int, int, int, int, str]


class NoSource(Exception):
    """A function, or something that it refers to, can't be written as text."""


@dataclass(frozen=True)
class Definition:
    """The text of a function or class: `own` are the names of all its variables, `free` those from elsewhere."""

    text: str
    tree: Any
    own: set[str]
    free: set[str]


@functools.lru_cache(maxsize=512)
def definition(x: Any) -> Definition:
    """Return how a function or class is defined, a lambda as a function of that name. Raises NoSource."""
    text = _source(x)
    text = edited(text, list(_without_declarations(text, Scope(x))))
    return Definition(text, ast.parse(text).body[0], *_locals_and_globals(text))


def edit(node: Any, text: str) -> Edit:
    """Return the edit that puts another text in the place of a node."""
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset, text


def edited(text: str, edits: list[Edit]) -> str:
    """Return the text with stretches of it, by line and column, replaced."""
    lines = [line.encode() for line in text.splitlines()]
    for line, column, last, end, new in sorted(edits, reverse=True):
        lines[line - 1 : last] = [lines[line - 1][:column] + new.encode() + lines[last - 1][end:]]
    return "\n".join([line.decode().rstrip() for line in lines]) + "\n"


def is_installed(module: str) -> bool:
    """Return whether what a module holds can be imported elsewhere: not this package's, nor the user's own."""
    first = module.partition(".")[0]
    if first in sys.stdlib_module_names:
        return first not in ("__main__",)
    folders = str(getattr(sys.modules.get(first), "__file__", "")).replace("\\", "/").split("/")
    return first != PACKAGE and ("site-packages" in folders or "dist-packages" in folders)


class Scope:
    """What the free names of a function or class refer to."""

    def __init__(self, x: Any) -> None:
        self.cells: dict[str, Any] = {}
        if isinstance(x, type):
            self.globals = vars(sys.modules[x.__module__])
        else:
            self.globals = x.__globals__
            self.cells = dict(zip(x.__code__.co_freevars, x.__closure__ or (), strict=True))

    def known(self, name: str) -> Any:
        """Return what a name refers to now. Raises LookupError, or ValueError where it is not bound yet."""
        return self.cells[name].cell_contents if name in self.cells else self.globals[name]

    def resolved(self, name: str, attributes: list[str]) -> tuple[Any, int]:
        """Return what a name with attributes refers to, and how many of these it took; itself for a builtin.

        Modules that need not be installed elsewhere, and operations, are not in the text: what they hold is.
        """
        try:
            x, used = self.known(name), 0
        except (LookupError, ValueError):
            if hasattr(builtins, name):
                return self, 0
            raise NoSource(f"the name {name} is not defined yet") from None
        for attribute in attributes:
            if isinstance(x, ModuleType) and not is_installed(x.__name__):
                x = getattr(x, attribute)
            elif attribute == "kernel" and hasattr(x, "operation"):
                x = x.operation.forward
            else:
                break
            used += 1
        if hasattr(x, "operation") or (isinstance(x, ModuleType) and x.__name__.partition(".")[0] == PACKAGE):
            raise NoSource(f"{name} makes Tensors; arrays are computed by NumPy's functions, or by `{name}.kernel`")
        return x, used

    def declares(self, decorator: ast.expr) -> bool:
        """Return whether a decorator declares an operation, and does nothing else."""
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        names: list[str] = []
        while isinstance(function, ast.Attribute):
            names.insert(0, function.attr)
            function = function.value
        if not isinstance(function, ast.Name) or function.id not in {*self.cells, *self.globals}:
            return False
        x = self.known(function.id)
        for name in names:
            if hasattr(x, "operation") and name in ("vjp", "jvp"):
                return True
            x = getattr(x, name, None)
        return x is primitive or x is composite


def _source(x: Any) -> str:
    """Return the text of a definition, from its first decorator on. Raises NoSource."""
    try:
        if isinstance(x, type):
            return textwrap.dedent("".join(inspect.getsourcelines(x)[0]))
        code: CodeType = x.__code__
        text = "".join(linecache.getlines(code.co_filename))
        (node,) = [node for node in _definitions(text).get(code.co_firstlineno, ()) if _defines(node, code)]
    except (OSError, TypeError, SyntaxError, ValueError):
        raise NoSource(f"the source of {getattr(x, '__qualname__', x)} is not to be had") from None
    if isinstance(node, ast.Lambda):
        return f"def function({ast.unparse(node.args)}):\n    return {ast.unparse(node.body)}\n"
    return textwrap.dedent("".join(text.splitlines(keepends=True)[_first_line(node) - 1 : node.end_lineno]))


@functools.lru_cache(maxsize=64)
def _definitions(text: str) -> dict[int, list[Any]]:
    """Return the functions and lambdas of a file by their first lines."""
    found: dict[int, list[Any]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            found.setdefault(_first_line(node), []).append(node)
    return found


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


def _without_declarations(text: str, scope: Scope) -> Iterator[Edit]:
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


def _without_annotations(arguments: ast.arguments, text: str) -> Iterator[Edit]:
    """Yield the edits that write `name: kind = default` as `name=default`."""
    named = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip(reversed(named), reversed(arguments.defaults), strict=False))
    defaults |= {name: x for name, x in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if x is not None}
    for argument in [*named, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
        if argument is not None and argument.annotation is not None:
            line, start, last, end, _ = _from_mark(":", argument.annotation, text)
            x = defaults.get(argument)
            yield (line, start, last, end, "") if x is None else (line, start, x.lineno, x.col_offset, "=")


def _from_mark(mark: str, annotation: ast.expr, text: str) -> Edit:
    """Return the edit that takes away an annotation, with the mark before it and the blanks around that."""
    line = text.splitlines()[annotation.lineno - 1].encode()
    start = len(line[: annotation.col_offset].rpartition(mark.encode())[0].rstrip())
    return annotation.lineno, start, *edit(annotation, "")[2:]


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
