"""Random numbers: what is drawn of a module's generator while tracing is drawn anew at every replay."""

from __future__ import annotations

import copy
import functools
import os
import random
from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import Any

import numpy as np
from numpy.random import bit_generator

from ...engine.trees import leaves
from ..program import over_leaves
from ..refusals import random_drawn
from .patches import Patch
from .proxies import Number, Traced, users_line


class NotedGenerator(np.random.Generator):
    """A generator that shares its numbers with a module's, and tells the tracer what is drawn of it."""

    def __init__(self, generator: np.random.Generator, tracer: Any, holder: Any, name: Any) -> None:
        super().__init__(generator.bit_generator)
        self.own, self.tracer, self.holder, self.name = generator, tracer, holder, name


def _noting(method: str) -> Any:
    draws = getattr(np.random.Generator, method)

    @functools.wraps(draws)
    def draw(self: NotedGenerator, *args: Any, **kwargs: Any) -> Any:
        tracer = self.tracer
        if not tracer.traces():
            return draws(self.own, *args, **kwargs)
        computed = any(isinstance(x, Traced) and not x.value.known for x in leaves((args, kwargs)))
        if computed or method in ("shuffle", "spawn") or kwargs.get("out") is not None:
            raise tracer.refusal(
                f"random numbers are drawn by {method}{' with a computed array' * computed} at {users_line()}, and a "
                "program draws arrays by a generator's methods with parameters that are known: write x = "
                "x[generator.permutation(n)] in place of shuffle, draw standard numbers and compute with them, or draw "
                "outside"
            )
        args, kwargs = over_leaves(lambda x: x.number() if isinstance(x, (Traced, Number)) else x, (args, kwargs))
        return tracer.drawn(draws(self.own, *args, **kwargs), self, methodcaller(method, *args, **kwargs))

    return draw


def drawn_again(calls: Sequence[Callable[[Any], Any]], generator: np.random.Generator) -> Any:
    """Return what the last of these calls in a row draws, and leave the generator as it is."""
    twin = copy.deepcopy(generator)
    return [call(twin) for call in calls][-1]


for _method in dir(np.random.Generator):
    if not _method.startswith("_") and callable(getattr(np.random.Generator, _method)):
        setattr(NotedGenerator, _method, _noting(_method))


def _entropy(tracer: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
    if tracer.traces():
        raise tracer.refusal(random_drawn(f" at {users_line()}"))
    return function(*args, **kwargs)


def _seeded(tracer: Any, function: Any, generator: Any, *args: Any, **kwargs: Any) -> Any:
    if [*args, *kwargs.values()] in ([], [None]):
        return _entropy(tracer, function, generator, *args, **kwargs)
    return function(generator, *args, **kwargs)


# Through which the system's entropy is drawn: default_rng(), SystemRandom, secrets, uuid4, Random() without a seed.
ENTROPY_TOLD = [
    Patch(bit_generator, "randbits", _entropy),
    Patch(random, "_urandom", _entropy),
    Patch(os, "urandom", _entropy),
    Patch(random.Random, "seed", _seeded),
]
