"""Functions that tell a tracer when they are called: wrapped while any function is traced, and as they were before."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from ..turns import Turn

_tracing: ContextVar[Any] = ContextVar("tracing", default=None)  # the tracer of this thread or task
_turn = Turn()


class Patch:
    """A function of a class or module, and what is called in place of it in the contexts that trace.

    That is `told(tracer, function, *args, **kwargs)`. In all other contexts the function does what it did.
    """

    def __init__(self, owner: Any, name: str, told: Callable[..., Any]) -> None:
        self.owner, self.name, self.told = owner, name, told
        self.wrapper: Any = None
        self.tracers: weakref.WeakSet[Any] = weakref.WeakSet()  # weak, as an interrupt may keep one from being removed

    def apply(self, tracer: Any) -> None:
        """Wrap the function, unless it is."""
        with _turn.lock:
            self.tracers.add(tracer)
            standing = vars(self.owner).get(self.name)
            if self.wrapper is None or standing is not self.wrapper:
                self.own, self.wrapper = standing, self.wrapped(getattr(self.owner, self.name))
                setattr(self.owner, self.name, self.wrapper)

    def wrapped(self, function: Any) -> Any:
        """Return what stands in the function's place."""
        told = self.told

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            tracer = _tracing.get()
            return function(*args, **kwargs) if tracer is None else told(tracer, function, *args, **kwargs)

        return called

    def remove(self, tracer: Any) -> None:
        """Put the function back, if no other tracer wants it wrapped."""
        with _turn.lock:
            self.tracers.discard(tracer)
            if self.tracers or vars(self.owner).get(self.name) is not self.wrapper:
                return
            if self.own is None:  # a method that the class inherits
                delattr(self.owner, self.name)
            else:
                setattr(self.owner, self.name, self.own)


@contextmanager
def telling(tracer: Any, patches: Sequence[Patch]) -> Iterator[None]:
    """Let functions tell the tracer when they are called in the body, in this context."""
    with ExitStack() as stack:
        for patch in patches:
            stack.callback(patch.remove, tracer)
            patch.apply(tracer)
        stack.callback(_tracing.set, _tracing.get())
        _tracing.set(tracer)
        yield
