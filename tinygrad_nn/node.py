"""The recorded graph: one Node an operation, and the switch that says whether to record."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from operator import attrgetter
from types import TracebackType
from typing import Any, Self, TypeVar

from .errors import FreedGraphError, freed

F = TypeVar("F", bound=Callable[..., Any])

recording: ContextVar[bool] = ContextVar("recording", default=True)
_entered: ContextVar[tuple[tuple[Any, bool], ...]] = ContextVar("entered", default=())
count = itertools.count().__next__


class Node:
    """One recorded step: an operation, the nodes it read, and the arrays its rules will read.

    A leaf, made by `requires_grad=True`, is a Node without an operation. `parents` has an entry per
    input, None where no gradient is wanted; it is None as a whole once the graph has been freed.
    `handle` refers weakly to the Tensor whose `.grad` is to be filled, or is None.
    """

    __slots__ = ("dtype", "handle", "hooks", "number", "operation", "parents", "saved", "shape")

    operation: Any
    parents: tuple[Node | None, ...] | None
    saved: tuple[Any, ...] | None
    shape: tuple[int, ...]
    dtype: Any
    number: int
    handle: Callable[[], Any] | None
    hooks: dict[int, Callable[[Any], Any]] | None


new = object.__new__


def record(operation: Any, parents: tuple[Node | None, ...], saved: tuple[Any, ...], y: Any) -> Node:
    """Return the node of a step whose output is `y`."""
    node = new(Node)
    node.operation = operation
    node.parents = parents
    node.saved = saved
    node.shape = y.shape
    node.dtype = y.dtype
    node.number = count()
    node.handle = node.hooks = None
    return node


def history(roots: Iterable[Node]) -> list[Node]:
    """Return every node that the roots were computed from, newest first.

    A node is made after all the nodes that it reads, so counting nodes as they are made is already
    a topological order: newest first, each comes after everything that was computed from it.
    """
    found = list(dict.fromkeys(roots))
    seen, unread = set(found), list(found)
    while unread:
        parents = unread.pop().parents
        if parents is None:
            raise FreedGraphError(freed())
        for parent in parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                found.append(parent)
                unread.append(parent)
    found.sort(key=attrgetter("number"), reverse=True)
    return found


class _Switch:
    """A context manager and decorator that sets `recording` while its body runs.

    What to restore lies in a stack of the current context, so that threads and tasks may share one.
    """

    value: bool

    def __new__(cls, function: Any = None) -> Self:
        made: Self = super().__new__(cls) if function is None else _decorated(cls, function)
        return made

    def __enter__(self) -> None:
        _entered.set((*_entered.get(), (self, recording.get())))
        recording.set(self.value)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack = _entered.get()
        for place in range(len(stack) - 1, -1, -1):
            if stack[place][0] is self:
                recording.set(stack[place][1])
                _entered.set(stack[:place] + stack[place + 1 :])
                return

    def __call__(self, function: F) -> F:
        decorated: F = _decorated(type(self), function)
        return decorated


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
    """Operations are recorded in the body, also inside `no_grad()`."""

    value = True


def _decorated(switch: type[_Switch], function: Any) -> Any:
    if inspect.isgeneratorfunction(function):
        return functools.wraps(function)(lambda *args, **kwargs: _driven(switch, function(*args, **kwargs)))

    if inspect.isasyncgenfunction(function):
        return functools.wraps(function)(lambda *args, **kwargs: _driven_async(switch, function(*args, **kwargs)))

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with switch():
                return await function(*args, **kwargs)

        return awaited

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with switch():
            return function(*args, **kwargs)

    return called


async def _driven_async(switch: type[_Switch], generator: Any) -> Any:
    """Yield what the asynchronous generator yields, the switch set only while its own code runs."""
    value = None
    try:
        while True:
            try:
                with switch():
                    item = await generator.asend(value)
            except StopAsyncIteration:
                return
            value = yield item
    finally:
        with switch():
            await generator.aclose()


def _driven(switch: type[_Switch], generator: Any) -> Any:
    """Yield what the generator yields, the switch set only while its own code runs."""
    resume, value = generator.send, None
    try:
        while True:
            try:
                with switch():
                    item = resume(value)
            except StopIteration as stop:
                return stop.value
            try:
                resume, value = generator.send, (yield item)
            except GeneratorExit:
                raise
            except BaseException as error:  # thrown in by the consumer: the generator decides
                resume, value = generator.throw, error
    finally:
        with switch():
            generator.close()
