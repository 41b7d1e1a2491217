"""Data-parallel training over MPI: a wrapper of an optimiser, a loader of shards, and a common end of all ranks."""

from __future__ import annotations

import atexit
import json
import sys
import threading
import time
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

from .. import errors
from ..nn.module import Module
from ..optim import Optimizer
from ..tensor.handle import Tensor, make, replace_values
from ..training.loader import DataLoader, Dataset


def world() -> Any:
    """Return mpi4py's communicator of all ranks. Raises ImportError without mpi4py."""
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(errors.missing("tinygrad_nn.interop.mpi needs mpi4py", "mpi4py mpich")) from error
    return MPI.COMM_WORLD


class DataParallel(Optimizer):
    """An optimiser whose step uses the gradients of all ranks, each weighted by the number of rows it is the mean over.

    `optimizer` makes the step; `comm` is mpi4py's world, or any object with `Bcast` and `Allreduce` like mpi4py's. All
    ranks begin with the parameters of rank 0, and with its buffers if a `module` is given. Each rank computes the
    gradients of its own rows; `step(rows=n)` adds them up in one `Allreduce`, weighted by n, and divides by the sum of
    n. So all ranks make the same step, that of one process with all rows. Every rank has to make as many steps as the
    others, with rows=0 if it has none. Settings, clipping and schedules are those of the inner optimiser, after the
    sum; batch norm uses the statistics of each rank's own batch.

    `tg.train` passes the rows by itself, and uses the figures of all ranks: costs and metrics are means over all rows,
    and early stopping, schedules, a callback's False and divergence are decided together. Only rank 0 prints, and
    writes checkpoints; these hold the generators and buffers of all ranks, and as many ranks have to resume them.

    From the import of this module on, an uncaught error on one rank is printed and ends all ranks, wherever the others
    wait, and so does `sys.exit` with an error, after 5 seconds. A rank that ends without one while others wait for it
    in a step ends all, too.

    >>> import tinygrad_nn as tg
    >>> class Alone:
    ...     def Bcast(self, buffer, root=0): ...
    ...     def Allreduce(self, sent, received): received[:] = sent
    >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = DataParallel(tg.optim.SGD([w], lr=0.5), Alone())
    >>> (w * w).sum().backward()
    >>> optimizer.step(rows=10)
    >>> w
    tg.tensor([0., 0.], dtype='float64', requires_grad=True)
    """

    def __init__(self, optimizer: Optimizer, comm: Any = None, module: Module | None = None) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"DataParallel wraps an optimiser, got {errors.given(optimizer)}; pass one")
        self.inner: Optimizer = optimizer
        self.comm: Any = world() if comm is None else comm
        rank, ranks = _place(self.comm)
        self.rank: int = rank
        self.ranks: int = ranks
        of_module = [] if module is None else [*module.parameters(), *module.buffers()]
        self._broadcast([*self.inner.parameters, *of_module])
        self._sum_of_nothing()

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # while it is copied
            raise AttributeError(name)
        return getattr(self.inner, name)

    def step(self, rows: float = 1) -> None:
        """Step with the mean gradients over all ranks' rows, `rows` of them this one's; those of no rank stay None."""
        self.exchange(rows)
        self.inner.step()

    def exchange(self, rows: float = 1, cost: float = 0.0) -> float:
        """Replace every gradient by its mean over all ranks' rows, and return the mean cost."""
        parameters, ends, sent = self._sum_of_nothing()
        if not 0 <= rows < np.inf:
            raise ValueError(f"rows= is how many rows the gradients are the mean over, got {rows!r}; pass 0 for none")
        if rows:
            for i, (p, end) in enumerate(zip(parameters, ends, strict=False)):
                if p.grad is not None:
                    np.multiply(p.grad.data, rows, out=sent[end - p.size : end].reshape(p.shape))
                    sent[ends[-3] + i] = 1
            sent[-2:] = rows * cost, rows
        received = _summed(self.comm, sent)
        total = received[-1] or 1
        for i, (p, end) in enumerate(zip(parameters, ends, strict=False)):
            mean = (received[end - p.size : end].reshape(p.shape) / total).astype(p.dtype, copy=False)
            p.grad = make(mean, None) if received[ends[-3] + i] else None
        return float(received[-2] / total)

    def gathered(self, own: Any) -> list[Any]:
        """Return the `own` of every rank, in their order: anything that JSON can hold."""
        text = np.frombuffer(json.dumps(own, default=lambda x: x.tolist()).encode(), np.uint8)
        lengths = _summed(self.comm, np.eye(self.ranks, dtype=np.int64)[self.rank] * len(text))
        sent = np.zeros((self.ranks, lengths.max()), np.uint8)
        sent[self.rank, : len(text)] = text
        return [json.loads(row[:n].tobytes()) for row, n in zip(_summed(self.comm, sent), lengths, strict=True)]

    def add_param_group(self, group: Any) -> None:
        """Add parameters to the inner optimiser; all ranks begin with those of rank 0."""
        self.inner.add_param_group(group)
        self._broadcast(list(self.inner.param_groups[-1].params))

    def load_state_dict(self, saved: Any) -> None:
        """Load a state into the inner optimiser."""
        self.inner.load_state_dict(saved)

    def __repr__(self) -> str:
        return f"DataParallel({self.inner!r}, rank {self.rank} of {self.ranks})"

    def _broadcast(self, tensors: list[Tensor]) -> None:
        _summed(self.comm, np.ones(1))  # a rank that leaves answers a sum, and no broadcast
        arrays = [np.array(t.data, order="C") for t in tensors]
        for array in arrays:
            self.comm.Bcast(array.reshape(-1).view(np.uint8), root=0)
        replace_values(list(zip(tensors, arrays, strict=True)))

    def _sum_of_nothing(self) -> tuple[list[Tensor], np.ndarray, np.ndarray]:
        """Return the parameters, the ends of their gradients in a step's sum, and what a rank without rows adds."""
        parameters = [p for p in self.inner.parameters if p.requires_grad]
        sizes = [p.size for p in parameters]
        ends = np.cumsum([*sizes, len(sizes), 2])
        sent = np.zeros(ends[-1], np.result_type(np.float32, *[p.dtype for p in parameters]))
        if hasattr(self.comm, "Abort"):
            _next_sums[id(self.comm)] = self.comm, sent
        return parameters, ends, sent


class ShardedLoader(DataLoader):
    """A loader that gives each rank its part of every batch; together, the parts are the batches of one process.

    `batch_size` is that of all ranks together. Every rank passes the same dataset and settings; without a `seed`, they
    draw one together. If a batch has fewer samples than there are ranks, some get a part without rows.

    >>> class Second:
    ...     rank, size = 1, 2
    >>> import tinygrad_nn as tg
    >>> [y.tolist() for (y,) in ShardedLoader(tg.data.TensorDataset(np.arange(5)), 4, comm=Second(), seed=0)]
    [[2, 3], []]
    """

    def __init__(
        self, dataset: Dataset, batch_size: int = 1, shuffle: bool = False, *, drop_last: bool = False,
        collate_fn: Any = None, seed: Any = None, comm: Any = None,
    ) -> None:  # fmt: skip
        self.comm: Any = world() if comm is None else comm
        rank, ranks = _place(self.comm)
        self.rank: int = rank
        self.ranks: int = ranks
        if seed is None:
            seed = int(_summed(self.comm, np.random.SeedSequence().generate_state(1).astype(float))[0])
        super().__init__(dataset, batch_size, shuffle, drop_last=drop_last, collate_fn=collate_fn, seed=seed)

    def order(self) -> list[np.ndarray]:
        """Return the indices of this rank's samples in each batch of an epoch."""
        return [np.array_split(rows, self.ranks)[self.rank] for rows in super().order()]


def _place(comm: Any) -> tuple[int, int]:
    """Return the rank and how many there are; if the communicator does not tell, every rank broadcasts a number."""
    if hasattr(comm, "rank") and hasattr(comm, "size"):
        return int(comm.rank), int(comm.size)
    own, size = np.random.SeedSequence().generate_state(1, np.uint64), np.zeros(1)
    comm.Allreduce(np.ones(1), size)
    received = [own.copy() for _ in range(int(size[0]))]
    for root, buffer in enumerate(received):
        comm.Bcast(buffer, root=root)
    return next(rank for rank, buffer in enumerate(received) if buffer == own), len(received)


_next_sums: dict[int, Any] = {}  # by the id of a communicator: itself, and a buffer like that of its next sum


def _summed(comm: Any, array: np.ndarray) -> np.ndarray:
    """Return the sum of all ranks' arrays. Raises RuntimeError if a rank has ended."""
    found, reason = np.empty_like(array), None
    try:
        comm.Allreduce(array, found)
    except RuntimeError as error:  # mpi4py's, if a rank that leaves sends another length
        reason = error
    if reason is not None or np.isnan(found[-1:]).any():
        raise RuntimeError("a rank has ended while others go on; let all make the same number of steps") from reason
    return found


def _mpi() -> Any:
    """Return mpi4py's module while MPI runs, else None."""
    mpi: Any = sys.modules.get("mpi4py.MPI")
    return mpi if mpi and mpi.Is_initialized() and not mpi.Is_finalized() else None


def _end_all(why: str) -> None:
    """End all ranks, if there are others; these may wait for this one."""
    mpi = _mpi()
    if mpi is None or mpi.COMM_WORLD.size == 1:
        return
    try:
        print(f"rank {mpi.COMM_WORLD.rank} of {mpi.COMM_WORLD.size} {why}; all ranks end", file=sys.stderr, flush=True)
        time.sleep(0.5)  # mpiexec forwards what it reads, and drops the rest when a rank aborts
    finally:
        mpi.COMM_WORLD.Abort(1)


def _failed(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """Print an uncaught error, and end all ranks."""
    try:
        _shown(kind, error, where)
    finally:
        _end_all("failed with the error above")


def _exit(status: Any = None, /) -> NoReturn:
    """Exit; if this is with an error, end all ranks unless they come to their end as well. No hook is called here."""

    def end() -> None:
        if _leaves.is_set():  # and the exit was not caught
            _end_all(f"has exited with {status!r}")

    if status not in (None, 0) and _mpi():
        watch = threading.Timer(_PATIENCE, end)
        watch.daemon = True
        watch.start()
    _exited(status)


def _leave() -> None:
    """Answer ranks that wait for this one in a sum; if all ranks end together, all come here, and none waits."""
    mpi = _mpi()
    if mpi is None:
        return
    _leaves.set()
    sums = {id(mpi.COMM_WORLD): (mpi.COMM_WORLD, np.ones(1))} | _next_sums
    for comm, sent in reversed(sums.values()):
        try:
            if comm:  # and not freed
                comm.Allreduce(np.full_like(sent, np.nan), np.empty_like(sent))
        except mpi.Exception:  # they wait for something else, of another length
            _end_all("has ended while others go on")


_PATIENCE = 5.0  # seconds
_leaves = threading.Event()
_shown, sys.excepthook = sys.excepthook, _failed
_exited, sys.exit = sys.exit, _exit
atexit.register(_leave)
