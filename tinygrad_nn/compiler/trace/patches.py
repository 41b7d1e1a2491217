"""Functions that tell a tracer when they are called: wrapped while any function is traced, and as they were before."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ..turns import Turn

_tracing: ContextVar[Any] = ContextVar("tracing", default=None)  # the tracer of this thread or task
_turn = Turn()


class Patch:
    """A function of a class or module, and what is called in place of it in the contexts that trace.

    That is `instead(tracer, function, *args, **kwargs)`. In all other contexts the function does what it did. Whenever
    an interrupt comes, the next who applies or removes it puts things right.
    """

    def __init__(self, owner: Any, name: str, instead: Callable[..., Any]) -> None:
        self.owner, self.name = owner, name
        self.own, self.function = None, getattr(owner, name)

        @functools.wraps(self.function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            tracer, function = _tracing.get(), self.function
            return function(*args, **kwargs) if tracer is None else instead(tracer, function, *args, **kwargs)

        self.wrapped = wrapped
        self.tracers: weakref.WeakSet[Any] = weakref.WeakSet()  # weak, as an interrupt may keep one from being removed

    def want(self, tracer: Any, wanted: bool) -> None:
        """Wrap the function as long as any tracer wants it."""
        with _turn.lock:
            (self.tracers.add if wanted else self.tracers.discard)(tracer)
            is_wrapped = vars(self.owner).get(self.name) is self.wrapped
            if self.tracers and not is_wrapped:
                self.own, self.function = vars(self.owner).get(self.name), getattr(self.owner, self.name)
                setattr(self.owner, self.name, self.wrapped)
            elif not self.tracers and is_wrapped and self.own is None:  # a method that the class inherits
                delattr(self.owner, self.name)
            elif not self.tracers and is_wrapped:
                setattr(self.owner, self.name, self.own)


@contextmanager
def telling(tracer: Any, patches: Sequence[Patch]) -> Iterator[None]:
    """Let functions tell the tracer when they are called in the body, in this context."""
    token = _tracing.set(tracer)
    try:
        for patch in patches:
            patch.want(tracer, True)
        yield
    finally:
        _tracing.reset(token)
        for patch in patches:
            patch.want(tracer, False)
