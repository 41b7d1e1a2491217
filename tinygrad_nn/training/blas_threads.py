"""How many threads BLAS computes with while a network trains: one where all products are small.

OpenBLAS's threads wait for each other by spinning. On a quiet machine of two cores, two of them took half of the time
that one takes for a product of float64; beside four busy loops mostly 2.5 to 67 times of it, up to some 10**8
multiplications, from where they gain (`examples/benchmarks/blas_threads.py --busy 4`). Products are a part of a
training step only: one thread loses 18 % of the article's on a quiet machine.

The number of threads decides in what order a product adds up, and so its last bits. It follows from sizes alone,
never from a measurement of time: the same seed gives the same numbers in every run.
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
    """Return 1 if no product of `rows` samples with a matrix of parameters takes over 2**24 multiplications.

    Otherwise None: BLAS chooses.
    """
    sizes = [p.size for p in parameters if p.ndim > 1]
    return 1 if rows * max(sizes, default=0) <= SMALL else None


@contextmanager
def limited_blas(asked: int | None, otherwise: int | None) -> Iterator[None]:
    """Set the number of threads of BLAS in the body: to `asked` if it is a number, else to the environment's.

    If there is neither, to `otherwise`; None leaves it as it is. BLAS has one number for the whole process: while a
    thread is in such a body, nested ones set and restore it, and those of other threads compute with what it is.

    Raises TypeError or ValueError for what is no number of threads, and ImportError if a number was asked for
    and threadpoolctl is not installed.
    """
    number, blas = asked_threads(asked), _controller()
    if blas is None and number is not None:
        raise ImportError(errors.missing("a number of BLAS threads takes threadpoolctl", "threadpoolctl"))
    if blas is None or not _turn.acquire(blocking=False):
        yield
        return
    try:
        with blas.limit(limits=otherwise if number is None else number):
            yield
    finally:
        _turn.release()


def asked_threads(number: int | None) -> int | None:
    """Return the number of threads that the caller or the environment asks for, checked, and None if neither does."""
    if number is not None:
        return min(whole_number("blas_threads", number), _MOST)
    text = os.environ.get(VARIABLE, "").strip()
    if text and (not text.isdecimal() or int(text) < 1):
        raise ValueError(f"{VARIABLE} must be a whole number, 1 or more, got {text!r}; set another, or unset it")
    return min(int(text), _MOST) if text else None


@functools.cache
def _controller() -> Any:
    """Return what sets the threads of each BLAS in this process, None where threadpoolctl is not installed."""
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")


_turn = threading.RLock()  # of the thread that chooses
