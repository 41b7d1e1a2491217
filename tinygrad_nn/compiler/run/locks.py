"""Whoever changes a tensor or an optimiser takes its lock: programs that change the same take turns."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from threading import Lock, RLock
from typing import Any

_guard = Lock()
_locks: dict[int, tuple[weakref.ref[Any], Any]] = {}


class Locks:
    """The locks of some objects, as a context manager. All are taken in one order, so that nobody waits in a circle.

    Objects that were first seen together share one lock.
    """

    def __init__(self, owners: Iterable[Any]) -> None:
        owners = list(owners)
        with _guard:
            for key in [key for key, (holder, _) in _locks.items() if holder() is None]:
                del _locks[key]
            new = RLock()
            found = [_locks.setdefault(id(x), (weakref.ref(x), new))[1] for x in owners] or [new]
        self.locks = sorted({id(lock): lock for lock in found}.values(), key=id)

    def __enter__(self) -> None:
        for lock in self.locks:
            lock.acquire()

    def __exit__(self, *error: object) -> None:
        for lock in self.locks:
            lock.release()
