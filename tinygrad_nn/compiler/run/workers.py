"""Threads that run a program tile by tile, each with memory of its own and one thread of BLAS."""

from __future__ import annotations

import builtins
import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ... import errors
from ..lower.buffers import planned
from ..lower.spelling import spelled
from ..lower.tiles import ROWS, Axes, Tile, tile_of
from ..program import Program, Value
from ..write.emit import Emitter

_pools: WeakValueDictionary[int, ThreadPoolExecutor] = WeakValueDictionary()  # programs share their threads


class Team:
    """A program's tiles, and what is done with their totals.

    The samples are split into tiles of about 4,000, of which each worker takes every n-th; partial sums are
    added worker by worker. The result is therefore the same for the same number of workers.
    """

    def __init__(self, program: Program, axes: Axes, workers: int) -> None:
        self.program, self.axes, self.workers = program, axes, workers
        count = max(math.ceil(axes.rows / ROWS), min(workers, axes.rows))
        size, more = divmod(axes.rows, count)
        sizes = [size + 1] * more + [size] * (count - more)
        ends = list(itertools.accumulate(sizes))
        self.spans = list(zip([0, *ends[:-1]], ends, strict=True))
        self.tiles = {rows: tile_of(program, axes, rows) for rows in sorted(set(sizes))}
        self.written = {rows: _Written(tile) for rows, tile in self.tiles.items()}
        self.batch = [v for v in program.outputs if isinstance(axes.axis(v), int)]
        self.single_thread = _limits()
        self.pool = _pools.setdefault(workers, ThreadPoolExecutor(workers, "tinygrad_nn"))

    @property
    def unusual(self) -> tuple[type[Exception], ...]:
        """What is raised where the program of a tile does not hold."""
        return tuple([written.unusual for written in self.written.values()])

    @property
    def source(self) -> str:
        """The program of one tile, as source."""
        return next(iter(self.written.values())).source

    def first_tile(self, inputs: tuple[Any, ...]) -> tuple[Emitter, list[Any]]:
        """Return what writes the program of the first tile, and its inputs."""
        low, high = self.spans[0]
        written = self.written[high - low]
        return written.emitter(), written.given(inputs, low, high)

    def build(self) -> Callable[[tuple[Any, ...], tuple[Any, ...]], list[Any]]:
        """Return what runs all tiles on `inputs`, writes what holds the batch into `outs`, and returns the totals."""
        own = [{rows: written.build() for rows, written in self.written.items()} for _ in range(self.workers)]

        def run(inputs: tuple[Any, ...], outs: tuple[Any, ...]) -> list[Any]:
            def work(number: int) -> list[Any] | None:
                totals: list[Any] | None = None
                for low, high in self.spans[number :: self.workers]:
                    found = own[number][high - low](inputs, outs, low, high, totals is None)
                    totals = found if totals is None else _added(totals, found)
                return totals

            with self.single_thread():
                parts = [part for part in self.pool.map(work, range(self.workers)) if part is not None]
            totals = parts[0]
            for part in parts[1:]:
                totals = _added(totals, part)
            return totals

        return run


def _added(totals: list[Any], found: list[Any]) -> list[Any]:
    """Return the sums, arrays in the memory of the first."""
    return [np.add(a, b, out=a) if isinstance(a, np.ndarray) else a + b for a, b in zip(totals, found, strict=True)]


class _Written:
    """One tile's program, written down."""

    def __init__(self, tile: Tile) -> None:
        self.tile = tile
        program = spelled(tile.program)
        self.outs = {v: "part" for v in program.outputs if v.is_array}
        self.plan = planned(program, set(self.outs))
        emitter = self.emitter()
        self.source = emitter.source(f"A tile of {tile.rows} samples.")
        space: dict[str, Any] = dict(emitter.functions.missing)
        exec(builtins.compile(self.source, "<tile>", "exec"), space)
        self.unusual: type[Exception] = space["Unusual"]
        constants = [v.concrete for v in emitter.large]
        self.make: Callable[[], Any] = lambda: space["build"](constants)

    def emitter(self) -> Emitter:
        """Return what writes the program."""
        return Emitter(self.tile.program, self.plan, self.outs)

    def given(self, inputs: tuple[Any, ...], low: int, high: int) -> list[Any]:
        """Return the program's inputs for the samples from `low` to `high`."""
        return [
            x if axis is None else x[(slice(None),) * axis + (slice(low, high),)]
            for x, axis in [(inputs[of] if isinstance(of, int) else of, axis) for of, axis in self.tile.inputs]
        ]

    def build(self) -> Callable[..., list[Any]]:
        """Return what runs the tile of the samples from `low` to `high`, and returns its partial sums."""
        step, tile = self.make(), self.tile
        sums: list[Value] = tile.partial
        first = [np.empty_like(v.concrete) for v in sums if v.is_array]
        again = [np.empty_like(v.concrete) for v in sums if v.is_array]

        def run(inputs: tuple[Any, ...], outs: tuple[Any, ...], low: int, high: int, is_first: bool) -> list[Any]:
            arrays = first if is_first else again
            pairs = zip(outs, tile.axes, strict=True)
            parts = [out[(slice(None),) * axis + (slice(low, high),)] for out, axis in pairs]
            scalars = iter(step(*self.given(inputs, low, high), *arrays, *parts))
            rest = iter(arrays)
            return [next(rest) if v.is_array else next(scalars) for v in sums]

        return run


def _limits() -> Callable[[], AbstractContextManager[Any]]:
    """Return what limits BLAS to one thread in a body. Raises ImportError that names the remedy."""
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(errors.missing("workers= sets BLAS's threads by threadpoolctl", "threadpoolctl")) from error
    controller = ThreadpoolController()
    return lambda: controller.limit(limits=1, user_api="blas")
