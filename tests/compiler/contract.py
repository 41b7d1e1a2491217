"""What the tests of the compiler's contract ask: how often the function itself ran, and whether it is refused."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError

X = np.array([[0.5, -1.25, 2.0], [1.5, 0.25, -0.75]])
Y = np.array([[1.0, 0.5, -2.0], [0.125, 3.0, 1.0]])

_runs = [0]


def ran() -> None:
    """Count one run of the function that calls this. What a called function does is its own: no program repeats it."""
    _runs[0] += 1


def runs_of(call: Callable[[], Any]) -> tuple[Any, int]:
    """Return a call's result, and how often functions that call `ran` ran in it."""
    before = _runs[0]
    return call(), _runs[0] - before


def uncounted(call: Callable[[], Any]) -> Any:
    """Return a call's result, without counting the runs in it."""
    before = _runs[0]
    try:
        return call()
    finally:
        _runs[0] = before


class Twin:
    """A compiled function beside an eager one: the same, or one with state of its own."""

    def __init__(self, function: Callable[..., Any], eager: Callable[..., Any] | None = None, **options: Any) -> None:
        self.step: Any = tg.compile(function, **{"exact": True} | options)
        self.eager = function if eager is None else eager

    def equal(self, *args: Any, **kwargs: Any) -> int:
        """Assert that both give the same bits, and return how often the function ran in the compiled call."""
        found, runs = runs_of(lambda: self.step(*args, **kwargs))
        expected = self.eager(*args, **kwargs)
        assert same(found, plain(expected)), f"{found} is not {expected}"
        return runs


def plain(result: Any) -> Any:
    """Return a result with its Tensors detached, as a program returns them."""
    if isinstance(result, tg.Tensor):
        return result.detach()
    if isinstance(result, dict):
        return {key: plain(part) for key, part in result.items()}
    if isinstance(result, (list, tuple)):
        parts = [plain(part) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    return result


def assert_refused(
    function: Callable[..., Any], *args: Any, says: str, calls: Callable[..., Any] | None = None
) -> None:
    """Assert that each call is refused by an error that names a line of the function and says what to do instead.

    `calls` is a function that this one calls: a line of it is as good.
    """
    step = tg.compile(function, exact=True)
    for _ in range(2):
        with pytest.raises(CompileError) as caught:
            step(*args)
        message = str(caught.value)
        assert any(names_a_line_of(f, message) for f in (function, calls) if f), (
            f"no line of the function in: {message}"
        )
        assert re.search(says, str(caught.value)), f"no remedy like {says!r} in: {caught.value}"


def names_a_line_of(function: Callable[..., Any], message: str) -> bool:
    """Return whether a message names a line of the function, as file:line."""
    lines, start = inspect.getsourcelines(function)
    file = re.escape(str(inspect.getsourcefile(function)))
    return any(re.search(rf"{file}:{n}\b", message) for n in range(start, start + len(lines)))
