"""The switch that says whether operations are recorded, safe across threads, tasks and generators."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar
from typing import Any, Self, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

recording: ContextVar[Any] = ContextVar("recording", default=True)  # False, True, or a Watcher
_entered: ContextVar[tuple[tuple[Any, Any], ...]] = ContextVar("entered", default=())
inside_rule: ContextVar[bool] = ContextVar("inside_rule", default=False)


@contextmanager
def recording_rules() -> Iterator[None]:
    """Operations in the body are recorded, and rules from outside this package may not read a Tensor's array."""
    with enable_grad(), setting(inside_rule, True):
        yield


@contextmanager
def setting(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    """Set a context variable in the body, and restore it afterwards."""
    before = variable.get()
    variable.set(value)
    try:
        yield
    finally:
        variable.set(before)


class _Switch(ContextDecorator):
    """A context manager and decorator that sets `recording` while its body runs.

    The values to restore are on a stack in the current context, so threads and tasks may share one object.
    """

    value: bool

    def __new__(cls, function: Any = None) -> Self:
        switch = super().__new__(cls)
        return switch if function is None else switch(function)

    def __enter__(self) -> None:
        before = recording.get()
        _entered.set((*_entered.get(), (self, before)))
        recording.set(self.value if before is True or before is False else before.switched(self.value))

    def __exit__(self, *exception: object) -> None:
        stack = _entered.get()
        for i in range(len(stack) - 1, -1, -1):  # the innermost entry of this object, which may not be the last
            if stack[i][0] is self:
                recording.set(stack[i][1])
                _entered.set(stack[:i] + stack[i + 1 :])
                return

    def __call__(self, function: F) -> F:
        wraps = cast(Callable[[Any], F], functools.wraps(function))
        if inspect.isgeneratorfunction(function):
            return wraps(lambda *args, **kwargs: _driven(self, function(*args, **kwargs)))
        if inspect.isasyncgenfunction(function):
            return wraps(lambda *args, **kwargs: _driven_async(self, function(*args, **kwargs)))
        if not inspect.iscoroutinefunction(function):
            return super().__call__(function)

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        return wraps(awaited)


class no_grad(_Switch):
    """Nothing is recorded in the body; results do not require grad.

    Holds for this thread and this asyncio task only. As a decorator on a generator function it
    holds while the generator's own code runs, not while its consumer does.

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> with tg.no_grad():
    ...     (w * 2).requires_grad
    False
    """

    value = False


class enable_grad(_Switch):
    """Operations are recorded in the body, also inside `no_grad()`.

    >>> import tinygrad_nn as tg
    >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> with tg.no_grad(), tg.enable_grad():
    ...     (w * 2).requires_grad
    True
    """

    value = True


def _driven(switch: _Switch, generator: Any) -> Any:
    """Yield what the generator yields, the switch set only while its own code runs."""
    resume, value = generator.send, None
    while True:
        try:
            with switch:
                item = resume(value)
        except StopIteration as stop:
            return stop.value
        try:
            resume, value = generator.send, (yield item)
        except BaseException as error:  # thrown in by the consumer, as close() does: the generator decides
            resume, value = generator.throw, error


async def _driven_async(switch: _Switch, generator: Any) -> Any:
    """Yield what the asynchronous generator yields, in the same way."""
    resume, value = generator.asend, None
    while True:
        try:
            with switch:
                item = await resume(value)
        except StopAsyncIteration:
            return
        try:
            resume, value = generator.asend, (yield item)
        except BaseException as error:
            resume, value = generator.athrow, error
