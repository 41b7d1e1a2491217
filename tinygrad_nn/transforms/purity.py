"""Evaluations that leave modules as they were: what a forward pass changes is put back."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import numpy as np

from ..engine.trees import entries, is_module
from ..engine.watching import watcher
from ..tensor.handle import replace_values


@contextmanager
def restoring(function: Any, *given: Any, states: Sequence[tuple[Any, Any]] = ()) -> Iterator[None]:
    """Let the body call the function with what is given, then put back buffers' values and generators' states.

    The modules are those among the arguments, the function itself if it is a module, a method of one or a
    `functools.partial` with one, and those that its code names, in closures and as globals. Modules that only called
    functions name are not found, and attributes other than buffers and generators are not put back. `states` are pairs
    of a generator and its state at the beginning of the body; these generators are put back, too.
    """
    modules = list(filter(is_module, (*entries(given), *_named(function))))
    buffers = [(t, t.data) for module in modules for t in module.buffers()]
    before = [(g, g.state) for g in (*_generators(modules), *dict(states))]
    watching = watcher()
    try:
        with watching.rewinding() if watching is not None and before else nullcontext():
            for generator, state in states:
                generator.state = state
            yield
    finally:
        replace_values([(t, data) for t, data in buffers if t.data is not data])
        for generator, state in before:
            generator.state = state


def generator_states(function: Any, *given: Any) -> list[tuple[Any, Any]]:
    """Return the generators of `np.random`, of modules, given, and named by the code, each with its state."""
    kinds: Any = (np.random.Generator, np.random.RandomState)
    found = [np.random.mtrand._rand, *entries((given, tuple(_named(function))))]
    bare = [x._bit_generator for x in found if isinstance(x, kinds)]
    return [(g, g.state) for g in (*_generators(filter(is_module, found)), *bare)]


def _generators(modules: Iterable[Any]) -> Iterator[Any]:
    return (g.bit_generator for module in modules for g in module.generators().values())


def _named(function: Any) -> Iterator[Any]:
    """Yield a function, the object that it is bound to, and the objects that its code names."""
    while isinstance(function, functools.partial):
        yield from (*function.args, *function.keywords.values())
        function = function.func
    yield from (function, getattr(function, "__self__", None))
    code = getattr(function, "__code__", None)
    if code is not None:
        yield from map(function.__globals__.get, code.co_names)
        for cell in function.__closure__ or ():
            with suppress(ValueError):  # the name is not set yet
                yield cell.cell_contents
