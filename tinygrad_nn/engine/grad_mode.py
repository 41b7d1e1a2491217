"""The switch that says whether operations are recorded, safe across threads, tasks and generators."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from copy import copy
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

recording: ContextVar[Any] = ContextVar("recording", default=True)  # False, True, or the Watcher who is asked
_entered: ContextVar[tuple[tuple[Any, Any], ...]] = ContextVar("entered", default=())

inside_rule: ContextVar[bool] = ContextVar("inside_rule", default=False)


@contextmanager
def recording_rules() -> Iterator[None]:
    """Operations in the body are recorded, and rules from outside this package may not leave Tensors for arrays."""
    with enable_grad(), _set(inside_rule, True):
        yield


def users_code() -> AbstractContextManager[None]:
    """The body, called by a rule or beside one, is none: it may read what it likes."""
    return _set(inside_rule, False)


@contextmanager
def _set(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    before = variable.get()
    variable.set(value)
    try:
        yield
    finally:
        variable.set(before)


class Watcher:
    """Who is asked at every operation in the body of `watched(watcher)`; true while gradients are recorded."""

    grad_enabled = True

    def __bool__(self) -> bool:
        return self.grad_enabled

    def switched(self, grad_enabled: bool) -> Self:
        """Return the same watcher, for the body of `no_grad()` or `enable_grad()`."""
        twin = copy(self)
        twin.grad_enabled = grad_enabled
        return twin

    def operand(self, x: Any) -> Any:
        """Return what an operation is to see of an operand."""
        return x

    def forward(self, operation: Any, arrays: list[Any], parameters: dict[str, Any]) -> Any:
        """Return what an operation computes."""
        return operation.run(arrays, parameters)

    def recorded(self, operation: Any, arrays: list[Any], parameters: dict[str, Any], node: Any, y: Any) -> None:
        """Be told what was computed, and of the node that records it, if there is one."""

    def backward(self, roots: list[Any]) -> None:
        """Be told that a backward pass begins, from these nodes."""

    def cotangent(self, node: Any, g: Any) -> None:
        """Be told the whole cotangent of a node, as a backward pass comes to it."""

    def into(self, rule: Any, held: Any, g: Any, saved: Any) -> Any:
        """Return a cotangent with what a rule adds into it."""
        total = np.array(held)
        rule.into(total, g, saved)
        return total

    def array(self, tensor: Any) -> Any:
        """Return the array of a tensor that somebody asks for."""
        return tensor._array

    def gradient(self, tensor: Any) -> Any:
        """Return the gradient of a tensor that somebody asks for."""
        return tensor._grad

    def rebinds(self, tensor: Any) -> None:
        """Be told of a tensor that is about to get another array."""

    def sets_gradient(self, tensor: Any) -> None:
        """Be told of a tensor that is about to get another gradient, or none."""

    def read(self, tensor: Any, what: str) -> Any:
        """Return the array of a tensor whose value is about to be read by Python."""
        return tensor.data

    def hyperparameter(self, owner: Any, name: str, value: Any) -> Any:
        """Return a number that an optimiser was told."""
        return value

    def state(self, owner: Any, state: Any) -> Any:
        """Return what an optimiser keeps from step to step."""
        return state


def watched(watcher: Watcher) -> AbstractContextManager[None]:
    """Operations in the body are recorded, and the watcher is asked at each."""
    return _set(recording, watcher)


def watcher() -> Watcher | None:
    """Return who watches, if anybody does."""
    mode = recording.get()
    return None if mode is True or mode is False else mode


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
        watching = watcher()
        recording.set(self.value if watching is None else watching.switched(self.value))

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
    resume, value = generator.asend, None
    try:
        while True:
            try:
                with switch():
                    item = await resume(value)
            except StopAsyncIteration:
                return
            try:
                resume, value = generator.asend, (yield item)
            except GeneratorExit:
                raise
            except BaseException as error:  # thrown in by the consumer: the generator decides
                resume, value = generator.athrow, error
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
