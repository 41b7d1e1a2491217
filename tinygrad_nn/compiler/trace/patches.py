"""Patches that tell a tracer what is used: modules' attributes and generators, and the system's entropy."""

from __future__ import annotations

import copy
import functools
import os
import random
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import methodcaller
from typing import Any, NoReturn

import numpy as np
from numpy.random import bit_generator

from ...engine.trees import leaves
from ...engine.watching import watcher
from ...nn.module import Module
from ..program import over_leaves
from ..refusals import effect, iterated, random_drawn
from ..turns import Turn
from .callers import in_package, users_line
from .proxies import Proxy, plain
from .recorder import Recorder
from .snapshot import MISSING, bind, bound, held_by, is_read_on

_turn = Turn()


class Patch:
    """A function of a class or module, and what is called in its place by a traced function.

    That is `instead(tracer, function, *args, **kwargs)`. For all others the function works as before. If an interrupt
    leaves the patch half applied, the next `want` puts it right.
    """

    def __init__(self, owner: Any, name: str, instead: Callable[..., Any]) -> None:
        self._owner, self._name = owner, name
        self.own: Any = MISSING
        self._function = getattr(owner, name)

        @functools.wraps(self._function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            tracer, function = watcher(), self._function
            traces = isinstance(tracer, Recorder)
            return instead(tracer, function, *args, **kwargs) if traces else function(*args, **kwargs)

        self.wrapped = wrapped
        self.tracers: weakref.WeakSet[Any] = weakref.WeakSet()  # weak, as an interrupt may keep one from being removed

    def want(self, tracer: Any, wanted: bool) -> None:
        """Wrap the function as long as any tracer wants it."""
        with _turn.lock:
            (self.tracers.add if wanted else self.tracers.discard)(tracer)
            own = bound(self._owner, self._name)  # MISSING if the class inherits the method
            if self.tracers and own is not self.wrapped:
                self.own, self._function = own, getattr(self._owner, self._name)
                bind(self._owner, self._name, self.wrapped)
            elif not self.tracers and own is self.wrapped:
                bind(self._owner, self._name, self.own)


@contextmanager
def telling(tracer: Any, patches: Sequence[Patch]) -> Iterator[None]:
    """Let functions tell the tracer when they are called in the body."""
    try:
        for patch in patches:
            patch.want(tracer, True)
        yield
    finally:
        for patch in patches:
            patch.want(tracer, False)


class NotedGenerator:
    """A module's generator, which tells the tracer what is drawn from it."""

    __class__: Any = np.random.Generator

    def __init__(self, generator: np.random.Generator, tracer: Any, place: tuple[Any, str]) -> None:
        self._own, self._tracer, self._place = generator, tracer, place

    def __getattr__(self, name: str) -> Any:
        if name == "bit_generator" and self._tracer.traces() and not in_package(1):
            raise self._tracer.refusal(effect(f"uses the state of a module's generator at {users_line()}"))
        own = getattr(self._own, name)
        return functools.partial(self._drawn, name) if callable(own) and self._tracer.traces() else own

    def _drawn(self, method: str, *args: Any, **kwargs: Any) -> Any:
        computed = any(isinstance(x, Proxy) and not x.value.known for x in leaves((args, kwargs)))
        if computed or method in ("shuffle", "spawn") or kwargs.get("out") is not None:
            raise self._tracer.refusal(
                f"random numbers are drawn by {method}{' with a computed array' * computed} at {users_line()}, and a "
                "program draws arrays by a generator's methods with parameters that are known: write x = "
                "x[generator.permutation(n)] in place of shuffle, draw standard numbers and compute with them, or draw "
                "outside"
            )
        args, kwargs = over_leaves(plain, (args, kwargs))
        draw = methodcaller(method, *args, **kwargs)
        return self._tracer.drawn(draw(self._own), self._own, self._place, draw)


def drawn_again(calls: Sequence[Callable[[Any], Any]], generator: np.random.Generator) -> Any:
    """Return what the last of these consecutive calls draws, and leave the generator as it is."""
    twin = copy.deepcopy(generator)
    return [call(twin) for call in calls][-1]


_OF_OBJECTS = frozenset({*dir(object)} - {"__dict__"})  # these say nothing about a module's state


def _read(tracer: Any, function: Any, module: Any, name: str) -> Any:
    """Return what a traced function sees of a module's attribute: for an array or a generator, a proxy."""
    x = function(module, name)
    if name in _OF_OBJECTS or tracer.is_made_inside(module):
        return x
    tracer.snapshot.meet(module)
    held = held_by(module)
    if name == "__dict__":
        if not in_package(2):
            tracer.snapshot.expose(module)
    elif held.get(name) is x and type(x) is np.ndarray:
        return tracer.input(x, name, "entry", held, name)
    elif held.get(name) is x and isinstance(x, np.random.Generator):
        tracer.snapshot.generators.pop(id(x), None)
        return NotedGenerator(x, tracer, (held, name))
    elif is_read_on(x):
        raise tracer.refusal(iterated(f" at {users_line()}"))
    return x


def _set(tracer: Any, function: Any, module: Any, name: str, value: Any) -> None:
    if not tracer.is_made_inside(module):
        tracer.snapshot.meet(module)
        held = held_by(module)  # m.w -= step sets the very tensor that is there
        if name not in held or held[name] is not value or type(value) is np.ndarray:
            raise tracer.refusal(effect(f"sets the attribute {name!r} at {users_line()}"))
    function(module, name, value)


MODULES_TOLD = [Patch(Module, "__getattribute__", _read), Patch(Module, "__setattr__", _set)]


def _entropy(tracer: Any, *_: Any, **__: Any) -> NoReturn:
    raise tracer.refusal(random_drawn(f" at {users_line()}"))


def _seeded(tracer: Any, function: Any, generator: Any, *args: Any, **kwargs: Any) -> Any:
    if [*args, *kwargs.values()] in ([], [None]):
        _entropy(tracer)
    return function(generator, *args, **kwargs)


# These draw the system's entropy, for default_rng(), SystemRandom, secrets, uuid4, Random() without a seed.
ENTROPY_TOLD = [
    Patch(bit_generator, "randbits", _entropy), Patch(random, "_urandom", _entropy), Patch(os, "urandom", _entropy),
    Patch(random.Random, "seed", _seeded),
]  # fmt: skip
