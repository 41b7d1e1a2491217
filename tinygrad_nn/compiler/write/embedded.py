"""Functions as text that needs NumPy only: what a program calls, with all that it refers to.

The text is the function's own, from its file, with comments and names as they are. What goes is what the
library alone reads: the decorators that declare operations, and annotations.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from ...engine import arrays
from ..definitions import Definition, Edit, NoSource, Scope, definition, edit, edited, is_installed
from ..numpy_calls import of_numpy

_WITHOUT_TRACE = ((arrays.array_of, "np.asarray"), (arrays.copied, "np.array"), (arrays.ArrayProxy, "()"))
_ZEROS = "def zeros(shape, x):\n    return np.zeros(shape, x.dtype)\n"


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
        if callable(x) and not isinstance(x, type) and (inner := inspect.unwrap(x)) is not x:
            if isinstance(inner, FunctionType) and not definition(inner).tree.decorator_list:
                raise NoSource(f"{wish} is wrapped in what its text doesn't show")
            x = inner
        if id(x) not in self.names:
            self.names[id(x)] = x, self._found(x, wish)
        return self.names[id(x)][1]

    def _found(self, x: Any, wish: str) -> str:
        instead = next((text for known, text in _WITHOUT_TRACE if known is x), None)
        if instead is not None:
            return instead
        if x is np:
            return "np"
        if x is arrays.zeros:
            self.texts.append(_ZEROS.replace("zeros", name := self.new(wish), 1))
            return name
        if isinstance(x, ModuleType):
            return self._imported(f"import {x.__name__} as {{}}", x.__name__, wish)
        home, name = str(getattr(x, "__module__", "")), getattr(x, "__qualname__", "")
        if isinstance(x, np.ufunc) or (callable(x) and home.partition(".")[0] == "numpy"):
            return self._of_numpy(x)
        if callable(x) and is_installed(home) and getattr(sys.modules.get(home), name, None) is x:
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
        found = definition(x)
        name = self.new(wish if x.__name__ == "<lambda>" else x.__name__)
        self.names[id(x)] = x, name
        self.texts.append(edited(found.text, list(self._references(found, Scope(x), name))))
        return name

    def _references(self, found: Definition, scope: Scope, name: str) -> Iterator[Edit]:
        """Yield the edits that let a text refer to what it refers to by the names here."""
        if (old := found.tree.name) != name:
            line = found.text.splitlines()[found.tree.lineno - 1]
            start = line.index(old, found.tree.col_offset + len("def"))
            yield found.tree.lineno, start, found.tree.lineno, start + len(old), name
        for root, attributes in _references_in(found.tree):
            if root.id not in found.free:
                continue
            x, used = scope.resolved(root.id, [part.attr for part in attributes])
            if x is scope:
                continue
            last = attributes[used - 1].attr if used else ""
            known = self.name(x, root.id if last in ("", "kernel") else last)
            if used or known != root.id:
                if root.id in found.own:
                    raise NoSource(f"{name} has a variable of its own that is named {root.id}")
                yield edit(attributes[used - 1] if used else root, known)


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
