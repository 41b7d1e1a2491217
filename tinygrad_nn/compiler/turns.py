"""A program locks the tensors and optimisers that it changes: programs that change the same ones take turns."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from threading import RLock
from typing import Any


class Turn:
    """A lock that a forked child replaces by a new one, since the thread that held it does not exist there."""

    def __init__(self) -> None:
        self.lock: Any = RLock()
        _turns.add(self)


_turns: weakref.WeakSet[Turn] = weakref.WeakSet()
_guard = Turn()
_of_owner: dict[int, tuple[weakref.ref[Any], Turn]] = {}


def turns_of(owners: Iterable[Any]) -> list[Turn]:
    """Return the turns of some objects, always in the same order, so that there are no deadlocks.

    Objects that are first seen together share a turn.
    """
    with _guard.lock:
        for key in [key for key, (holder, _) in _of_owner.items() if holder() is None]:
            del _of_owner[key]
        new = Turn()
        found = {_of_owner.setdefault(id(x), (weakref.ref(x), new))[1] for x in owners}
    return sorted(found, key=id)


def in_turn(turns: Sequence[Turn], run: Callable[..., Any], *args: Any) -> Any:
    """Return `run(*args)`, which runs while all these turns are held."""
    if not turns:
        return run(*args)
    with turns[0].lock:  # the lock's own `with`: an interrupt between taking it and the body is not possible
        return in_turn(turns[1:], run, *args)


def _after_fork() -> None:
    for turn in [*_turns]:
        turn.lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
