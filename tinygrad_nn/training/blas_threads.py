"""The number of threads that BLAS uses while a network trains: one if all products are small.

OpenBLAS's threads wait for each other by spinning. Time of float64 products with two threads, relative to one, on two
cores (`examples/benchmarks/blas_threads.py`, with `--busy 4` for the second row):

    multiplications         1.1e6   2.3e6   6.4e6   8.4e6   1.5e7   2.6e7   3.4e7   1.3e8   1.1e9
    on a quiet machine       0.52    0.51    0.57    0.56    0.52    0.53    0.50    0.48    0.49
    beside four busy loops  66.53    0.61    0.97   22.26    5.68   12.66    2.56    0.51    0.69

With one thread, the article's step takes 18 % longer on a quiet machine: products are only a part of it.

The number of threads decides the order in which a product is summed, and so its last bits. It depends on sizes alone,
never on measured time, so the same seed gives the same numbers in every run.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .. import errors
from ..ops.settings import whole_number
from ..tensor.handle import Tensor

VARIABLE = "TINYGRAD_NN_BLAS_THREADS"
SMALL = 2**24
_MOST = 1024  # BLAS takes a C int, and has no more


def threads_for(rows: int, parameters: Iterable[Tensor]) -> int | None:
    """Return 1 if no product of `rows` samples takes over 2**24 multiplications, else None: BLAS chooses."""
    return 1 if rows * max([p.size for p in parameters if p.ndim > 1], default=0) <= SMALL else None


@contextmanager
def limited_blas(asked: int | None, otherwise: int | None) -> Iterator[None]:
    """Set the number of BLAS threads in the body: to `asked` if it is a number, else to the environment's.

    If there is neither, it is set to `otherwise`; None keeps the original number. In each thread, the innermost body
    counts. BLAS has one number for the whole process: if several threads are in such bodies, it is the smallest of
    theirs. The last thread that leaves restores the original number.

    Raises TypeError or ValueError for an invalid number of threads, and ImportError if a number was asked for and
    threadpoolctl is not installed.
    """
    number = asked_threads(asked)
    if _controller() is None:
        if number is not None:
            raise ImportError(errors.missing("a number of BLAS threads takes threadpoolctl", "threadpoolctl"))
        yield
        return
    key = object()
    try:
        _request(key, otherwise if number is None else number)
        yield
    finally:
        _request(key)


def asked_threads(number: int | None) -> int | None:
    """Return the number of threads that the caller or the environment asks for, checked; None if neither does."""
    text = os.environ.get(VARIABLE, "").strip()
    if number is None and not text:
        return None
    if number is None and not (text.isdecimal() and int(text)):
        raise ValueError(f"{VARIABLE} must be a whole number, 1 or more, got {text!r}; set another, or unset it")
    return min(whole_number("blas_threads", int(text) if number is None else number), _MOST)


_lock = threading.Lock()
_requests: dict[object, tuple[int, int | None]] = {}  # of each body that runs: its thread, and the number
_before: list[tuple[Any, int]] = []  # each library, and its number before the first body


def _request(key: object, *numbers: int | None) -> None:
    """Set or remove the request of a body, and give BLAS the smallest of the threads' innermost requests."""
    with _lock:
        if not _requests:
            _before[:] = [(library, library.num_threads) for library in _controller().lib_controllers]
        _requests.pop(key, None)
        _requests.update([(key, (threading.get_ident(), number)) for number in numbers])
        _apply()


def _apply() -> None:
    innermost = dict(_requests.values()).values()  # the last request of each thread stays
    for library, before in _before:  # without threadpoolctl's check of the calling thread: we hold a lock
        set_number = getattr(library, "_real_set_num_threads", library.set_num_threads)
        set_number(min([before if n is None else n for n in innermost], default=before))


def _after_fork() -> None:
    """In a forked process, forget the requests of threads that exist only in its parent."""
    global _lock
    _lock, own = threading.Lock(), threading.get_ident()
    for key in [key for key, (thread, _) in _requests.items() if thread != own]:
        del _requests[key]
    _apply()


@functools.cache
def _controller() -> Any:
    """Return the controller of the BLAS libraries in this process, or None if threadpoolctl is not installed."""
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_after_fork)
