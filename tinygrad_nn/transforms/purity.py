"""Evaluations that leave modules as they were: what a forward pass moves is put back."""

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
    """Let the body evaluate the function of what is given, then put back buffers' values and generators' states.

    That holds for the modules among the arguments, for the function's own, where it is a module, a method of one, or a
    `functools.partial` with one, and for those that its code names, in closures and as globals. What called functions
    name is not looked for, and attributes other than Tensors and generators are not put back. The generators that
    `states` are of begin the body with those, and are put back, too.
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
    """Return the generators of modules, of `np.random`, given, and named by the code; with their states."""
    kinds: Any = (np.random.Generator, np.random.RandomState)
    found = [np.random.mtrand._rand, *entries((given, tuple(_named(function))))]
    bare = [x._bit_generator for x in found if isinstance(x, kinds)]
    return [(g, g.state) for g in (*_generators(filter(is_module, found)), *bare)]


def _generators(modules: Iterable[Any]) -> Iterator[Any]:
    return (g.bit_generator for module in modules for g in module.generators().values())


def _named(function: Any) -> Iterator[Any]:
    """Yield a function, what it is bound to, and what its code names."""
    while isinstance(function, functools.partial):
        yield from (*function.args, *function.keywords.values())
        function = function.func
    yield from (function, getattr(function, "__self__", None))
    code = getattr(function, "__code__", None)
    if code is not None:
        yield from map(function.__globals__.get, code.co_names)
        for cell in function.__closure__ or ():
            with suppress(ValueError):  # of a name that is not set yet
                yield cell.cell_contents
