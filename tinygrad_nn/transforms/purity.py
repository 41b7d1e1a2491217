"""Evaluations that leave modules as they were: what a forward pass moves is put back."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from ..engine.watching import watcher
from ..tensor.handle import replace_values


def restoring(function: Any, *given: Any) -> AbstractContextManager[None]:
    """Let the body evaluate the function of what is given, then put back buffers' values and generators' states.

    That holds for the modules among the arguments, for the function's own, where it is a module, a method of one, or a
    `functools.partial` with one, and for those that its code names, in closures and as globals. What called functions
    name is not looked for, and attributes other than Tensors and generators are not put back.
    """
    modules = {id(m): m for m in (*_modules(given), *filter(_is_module, _named(function)))}
    return _restoring(list(modules.values())) if modules else _NOTHING


_NOTHING = nullcontext()


@contextmanager
def _restoring(modules: list[Any]) -> Iterator[None]:
    buffers = {id(t): (t, t.data) for m in modules for t in m.buffers()}.values()
    generators = {id(g): g.bit_generator for m in modules for g in m.generators().values()}.values()
    states = [(generator, generator.state) for generator in generators]
    watching = watcher()
    try:
        with watching.rewinding() if watching is not None and states else _NOTHING:
            yield
    finally:
        replace_values([(t, data) for t, data in buffers if t.data is not data])
        for generator, state in states:
            generator.state = state


def _named(function: Any) -> list[Any]:
    """Return what a function is bound to, and what its code names."""
    found: list[Any] = []
    while isinstance(function, functools.partial):
        found += [*function.args, *function.keywords.values()]
        function = function.func
    found += [function, getattr(function, "__self__", None)]
    code = getattr(function, "__code__", None)
    if code is not None:
        known = function.__globals__
        found += [known[name] for name in code.co_names if name in known]
        for cell in function.__closure__ or ():
            with suppress(ValueError):  # of a name that is not set yet
                found.append(cell.cell_contents)
    return found


def _modules(tree: Any) -> Iterator[Any]:
    """Yield the modules in nested lists, tuples and dictionaries."""
    if isinstance(tree, (list, tuple, dict)):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from _modules(part)
    elif _is_module(tree):
        yield tree


def _is_module(x: Any) -> bool:
    """Return whether this is an object that may hold buffers and generators."""
    return hasattr(type(x), "generators") and hasattr(type(x), "buffers")
