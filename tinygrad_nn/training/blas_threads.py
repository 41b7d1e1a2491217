"""How many threads BLAS computes with while a network trains: one where all products are small.

OpenBLAS's threads wait for each other by spinning. How long products of float64 took with two threads, relative to
one, on two cores (`examples/benchmarks/blas_threads.py`, with `--busy 4` for the second row):

    multiplications         1.1e6   2.3e6   6.4e6   8.4e6   1.5e7   2.6e7   3.4e7   1.3e8   1.1e9
    on a quiet machine       0.52    0.51    0.57    0.56    0.52    0.53    0.50    0.48    0.49
    beside four busy loops  66.53    0.61    0.97   22.26    5.68   12.66    2.56    0.51    0.69

So a training step, in which products are a part, loses at most a fifth on a quiet machine by one thread where its
products are small; beside others it takes many times longer with two. Large products gain half in either case.

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
from ..tensor.handle import Tensor
from .data_checks import check_count
from .refusals import whole_number

VARIABLE = "TINYGRAD_NN_BLAS_THREADS"
SMALL = 2**24


def threads_for(rows: int, parameters: Iterable[Tensor]) -> int | None:
    """Return 1 if no product of `rows` samples with a matrix of parameters takes over 2**24 multiplications.

    Otherwise None: BLAS chooses.
    """
    sizes = [p.size for p in parameters if p.ndim > 1]
    return 1 if rows * max(sizes, default=0) <= SMALL else None


@contextmanager
def limited_blas(asked: int | None, otherwise: int | None) -> Iterator[None]:
    """Let BLAS compute with so many threads in the body: `asked` if it is a number, else what the environment says.

    If neither says anything, with `otherwise`, where None leaves BLAS alone. Where several bodies run at once, in
    threads or nested, the smallest number counts for all; the last one to leave gives back what was before.

    Raises TypeError or ValueError for what is no number of threads, and ImportError where threads were asked for
    and threadpoolctl is not installed.
    """
    number = _asked(asked)
    if number is None:
        number = otherwise if _controller() is not None else None
    elif _controller() is None:
        raise ImportError(errors.missing("a number of BLAS threads takes threadpoolctl", "threadpoolctl"))
    if number is None:
        yield
        return
    request = threading.get_ident(), object()
    try:
        _LIMITS.add(request, number)
        yield
    finally:
        _LIMITS.drop(request)


def _asked(number: int | None) -> int | None:
    """Return the number of threads that the caller or the environment asks for, checked."""
    name = "blas_threads"
    if number is None and VARIABLE in os.environ:
        name, text = VARIABLE, os.environ[VARIABLE]
        if not text.strip().isdecimal():
            raise ValueError(whole_number(name, text, 1))
        number = int(text)
    if number is not None:
        check_count(name, number, 1)
    return number


class _Limits:
    """What is asked of BLAS in this process, by whom, and what was set before anybody asked."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.requests: dict[Any, int] = {}
        self.before: list[tuple[Any, int]] = []

    def add(self, request: Any, number: int) -> None:
        with self.lock:
            if not self.requests:
                self.before = [(library, library.num_threads) for library in _controller().lib_controllers]
            self.requests[request] = number
            self._apply()

    def drop(self, request: Any) -> None:
        with self.lock:
            if self.requests.pop(request, None) is not None:
                self._apply()

    def _apply(self) -> None:
        for library, before in self.before:
            library.set_num_threads(min(self.requests.values(), default=before))

    def after_fork(self) -> None:
        """Forget, in a new process, what threads have asked for that it does not have."""
        self.lock = threading.Lock()
        own = threading.get_ident()
        left = {request: number for request, number in self.requests.items() if request[0] == own}
        if left != self.requests:
            self.requests = left
            self._apply()


@functools.cache
def _controller() -> Any:
    """Return what sets the threads of each BLAS in this process, None where threadpoolctl is not installed."""
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")


_LIMITS = _Limits()
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_LIMITS.after_fork)
