"""Steps of gradient descent on batches: eager, compiled, or in tiles on threads; and what remains after divergence."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from itertools import chain, pairwise
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..errors import CompileError, DivergedError, given, warn
from ..nn.module import Module
from ..optim import SGD, Optimizer, clip_grad_norm_
from ..tensor.handle import Tensor, replace_values
from ..transforms.functions import value_and_grad
from .cost import Cost, Loss
from .samples import rows_of

WORTH_COMPILING = 100  # steps: about as many as pay for tracing, compiling and checking
TILE = 4000  # rows of a tile, at least: with fewer, Python's overhead counts; with many more, caches are too small

Batch = tuple[Any, Any, Any]  # X, y, and weights or None


@dataclass(eq=False)
class Programs:
    """How a module, a loss and an optimiser make a step, as functions and as programs, compiled when first used.

    `exact` programs have the bits of the function itself; those without a key are not kept.
    """

    module: Any
    loss: Loss | None
    optimizer: Any
    clip_norm: float | None
    exact: bool
    key: Any = None

    def __post_init__(self) -> None:
        self.together: bool = hasattr(type(self.optimizer), "exchange")  # is one of several ranks

    def update(self, batches: list[Batch]) -> list[tuple[Tensor, Any]]:
        """Make one step of gradient descent; return the cost of each batch before the step, and the scores.

        Of several batches, the cost of each is multiplied by its share of the samples. With several ranks, `finish` is
        to be called when the gradients are exchanged.
        """
        cost, found, rows = Cost(self.module, self.loss), [], sum(rows_of(X) for X, _, _ in batches)
        self.optimizer.zero_grad()
        for X, y, weights in batches:
            read = cost.read(X)
            value = cost.of(read, y, weights)
            (value if len(batches) == 1 else value * (rows_of(X) / rows)).backward()
            found.append((value.detach(), cost.scores(read)))
        if not self.together:
            self.finish()
        return found

    def finish(self) -> None:
        """Clip the gradients, and make the optimiser's step with them."""
        if self.clip_norm is not None:
            clip_grad_norm_(self.optimizer.parameters, self.clip_norm)
        (self.optimizer.inner if self.together else self.optimizer).step()

    def update_in_tiles(self, parameters: dict[str, Tensor], workers: int, X: Any, y: Any) -> tuple[Tensor, Tensor]:
        """Make one step of gradient descent on a batch, computed in tiles; return its cost and scores.

        Tiles, and the order of their sum, follow from the sizes. Workers write only into their results, and one of them
        makes the step: Python interrupts only the main thread, so Ctrl-C never leaves half a step.
        """
        gradient = self.gradient  # made before threads ask for it
        arrays = {name: p.data for name, p in parameters.items()}
        count = len(X) // (workers * TILE)  # tiles of each worker, which adds them up itself: threads that meet wait
        ends = [len(X) * i // (workers * count) for i in range(workers * count + 1)]

        def of_worker(i: int) -> tuple[list[np.ndarray], list[Any]]:
            """Return the scores of a worker's tiles, and the sums of costs and gradients over their rows."""
            found, sums = list[np.ndarray](), [0] * (len(arrays) + 1)
            for low, high in pairwise(ends[i * count : (i + 1) * count + 1]):
                (cost, scores), gradients = gradient(arrays, X[low:high], y[low:high])
                found.append(scores.data)
                parts = [cost, *[gradients[name] for name in arrays]]
                sums = [total + part.data * (high - low) for total, part in zip(sums, parts, strict=True)]
            return found, sums

        def make_step(gradients: list[Any]) -> None:
            self.optimizer.zero_grad()
            for p, g in zip(parameters.values(), gradients, strict=True):
                if p.requires_grad:
                    p.backward(g)
            self.finish()

        with ThreadPoolExecutor(workers) as pool:  # only for this step: a later fork finds no threads
            shares = [pool.submit(copy_context().run, of_worker, i) for i in range(workers)]
            scores, sums = zip(*[share.result() for share in shares], strict=True)
            cost, *gradients = [Tensor(np.asarray(sum(parts) / len(X))) for parts in zip(*sums, strict=True)]
            pool.submit(copy_context().run, make_step, gradients).result()
        return cost, Tensor(np.concatenate([*chain(*scores)]))

    def cost(self, parameters: dict[str, Any], X: Any, y: Any) -> tuple[Tensor, Any]:
        """Return the cost of the module with other parameters, and the scores."""
        cost = Cost(self.module.with_parameters(parameters), self.loss)
        read = cost.read(X)
        return cost.of(read, y), cost.scores(read)

    @cached_property
    def step(self) -> Any:
        """The program of `update`."""
        return self._compiled(self.update)

    @cached_property
    def gradient(self) -> Any:
        """Parameters by name, X and y -> ((the cost, the scores), the gradients by name)."""
        return self._compiled(value_and_grad(self.cost, has_aux=True))

    def _compiled(self, function: Callable[..., Any]) -> Any:
        compiled = import_module("..compiler.compiled", __package__).Compiled  # imported only here
        return compiled(function, self.exact, own=(self.module, self.loss, self.optimizer))


_kept: WeakKeyDictionary[Module, Programs] = WeakKeyDictionary()


def programs_for(
    module: Module, loss: Loss | None, optimizer: Optimizer, clip_norm: float | None, exact: bool, by_default: bool
) -> Programs:
    """Return the programs that were kept for the same parts, removed from the store, or new ones.

    All default optimisers of the same parameters are equivalent. A user's own objects may refer to the module, which
    would then never be freed, so nothing is kept for them.
    """
    if not are_ours(module, loss, optimizer):
        return Programs(module, loss, optimizer, clip_norm, exact)
    key = (loss, None if by_default else optimizer, [*map(id, optimizer.parameters)], clip_norm, exact)
    kept = _kept.pop(module, None)
    if kept is None or kept.key != key:
        twin = object.__new__(type(module))  # shares the module's attributes, without a reference to the module
        twin.__dict__ = vars(module)
        return Programs(twin, loss, optimizer, clip_norm, exact, key)
    if by_default:
        kept.optimizer.lr = optimizer.lr
    return kept


def are_ours(module: Module, *parts: Any) -> bool:
    """Return whether modules, loss and optimiser are this library's own, which have no side effects."""
    names = [str(getattr(x, "__module__", "")) for x in (*module.modules(), *parts) if x is not None]
    return all(name.partition(".")[0] == __name__.partition(".")[0] for name in names)


def in_tiles(rows: int, workers: int) -> bool:
    """Return whether there are workers and the batch is large enough for a tile each."""
    return 0 < workers * TILE <= rows


class Steps:
    """A module with its loss, and the optimiser that trains it."""

    def __init__(
        self, module: Any, loss: Loss | None, optimizer: Any = None, learning_rate: float | None = None,
        compiled: bool | None = None, workers: int | None = None, clip_norm: float | None = None, exact: bool = False,
    ) -> None:  # fmt: skip
        self.module: Any = module
        self.cost: Cost = Cost(module, loss)
        self.workers: int = workers or 0
        if optimizer is not None and learning_rate is not None:
            raise ValueError("pass a learning_rate or an optimizer with its own lr, not both")
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise TypeError(f"an optimizer is needed, got {given(optimizer)}; write tg.optim.Adam(module.parameters())")
        self.parameters: list[Tensor] = module.parameters()
        by_default = optimizer is None
        optimizer = optimizer or SGD(self.parameters, 0.01 if learning_rate is None else learning_rate)
        if not {*map(id, self.parameters)} & {*map(id, optimizer.parameters)}:
            raise ValueError("the optimizer updates none of the module's parameters; make it from module.parameters()")
        if not any(p.requires_grad for p in optimizer.parameters):
            raise ValueError("all parameters that the optimizer updates are frozen; write module.requires_grad_()")
        wanted = are_ours(module, loss, optimizer) if compiled is None else compiled
        self.steps_worth_compiling: float = (WORTH_COMPILING if compiled is None else 0) if wanted else math.inf
        self.by_program: set[int] = set()
        self.rank: int = getattr(optimizer, "rank", 0)
        self.gathered: Callable[..., list[Any]] = getattr(optimizer, "gathered", lambda own: [own])  # from each rank
        self.programs: Programs = programs_for(module, loss, optimizer, clip_norm, exact, by_default)
        self.optimizer: Any = self.programs.optimizer
        self.together: bool = self.programs.together
        self.now: Any = None  # the state before this step, and the step's batches
        self.last: Any = None  # the same for the last step whose cost was finite
        self.look()

    def look(self) -> None:
        """Collect modules, tensors and generators again, which takes a while: after callbacks, which may change them.

        The tensors are the parameters and buffers of the module, of a loss that is a module, and all optimised ones.
        """
        self.modules: list[Module] = self.module.modules()
        self.tensors: dict[str, Tensor] = {}
        self.generators: dict[str, np.random.Generator] = {}
        for part, m in (("module", self.module), ("loss", self.cost.loss)):
            if isinstance(m, Module):
                self.tensors |= {f"{part}.{name}": t for name, t in (*m.named_parameters(), *m.named_buffers())}
                self.generators |= {f"{part}.{name}": g for name, g in m.generators().items()}
        known = {*map(id, self.tensors.values())}
        others = [p for p in self.optimizer.parameters if id(p) not in known]
        self.tensors |= {f"optimizer.{i}": p for i, p in enumerate(others)}

    def plan(self, rows: int, batch_size: int, epochs: int, accumulate: int = 1) -> None:
        """Decide which batch sizes are computed by a program: those in tiles, and those with enough steps to come."""
        full, rest = divmod(rows, batch_size)
        for size, count in ((batch_size, -(-full // accumulate) * epochs), (rest, epochs)):
            if size and (count >= self.steps_worth_compiling or in_tiles(size, self.workers)):
                self.by_program.add(size)

    def make(self, epoch: int, batches: list[Batch]) -> list[tuple[int, float, Any]]:
        """Make one step; return of each batch the number of samples, the cost before the step, and the scores.

        With several ranks it is a step with the mean of their gradients. Raises DivergedError, on all ranks.
        """
        values = [(t, t.data) for t in self.tensors.values()]
        drawn = [(g.bit_generator, g.bit_generator.state) for g in self.generators.values()]
        sizes = [rows_of(X) for X, _, _ in batches]
        self.now = values, [dict(own) for own in self.optimizer.state], drawn, batches
        step = self.update_or_else if sizes and self.by_program.issuperset(sizes) else self.programs.update
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is an error, not a warning
            made = zip(sizes, step(batches), strict=True)
            found = [(size, float(cost.item()), scores) for size, (cost, scores) in made]
        mean = sum(cost * (size / sum(sizes)) for size, cost, _ in found)
        if self.together:
            mean = self.optimizer.exchange(sum(sizes), mean)
        if not math.isfinite(mean):
            sound = self.last is None or all(np.isfinite(x).all() for _, x in values)
            self._diverged(f"the cost became {mean} in epoch {epoch}", self.now if sound else self.last)
        self.last = self.now
        if self.together:
            self.programs.finish()
        return found

    def update_or_else(self, batches: list[Batch]) -> list[tuple[Tensor, Any]]:
        """Make one step by a compiled program; if it can't be compiled, warn once and go on uncompiled."""
        try:
            if not (self.workers and in_tiles(rows_of(batches[0][0]), self.workers)):
                found: list[tuple[Tensor, Any]] = self.programs.step(batches)
                return found
            X, y, _ = batches[0]
            parameters = dict(self.module.named_parameters())
            return [self.programs.update_in_tiles(parameters, self.workers, X, y)]
        except CompileError as error:
            warn(f"the training step is not compiled: {error}. Pass compile=False if that is meant to be so")
            self.by_program = set()
            return self.programs.update(batches)

    def keep_programs(self) -> None:
        """Keep the programs for the module's next training, for as long as the module exists."""
        if self.programs.key is not None:
            _kept[self.module] = self.programs

    def check_parameters(self, epoch: int) -> None:
        """Raise DivergedError if parameters are not finite after the last update, after which no cost is computed."""
        if not all(np.isfinite(p.data).all() for p in self.parameters):
            self._diverged(f"epoch {epoch} left parameters that are not finite", self.last)

    def _diverged(self, what: str, step: Any) -> None:
        """Raise DivergedError with the origin of the inf or nan, found by repeating the step; restore finite values."""
        origin = None
        if step is not None and not self.together:
            values, self.optimizer.state, drawn, batches = step
            replace_values(values)
            for generator, state in drawn:
                generator.state = state
            inspection = import_module("..inspection.origins", __package__)
            with np.errstate(over="ignore", invalid="ignore"):
                origin = inspection.why_nan(lambda: self.programs.update(batches))
        if (finite := self.last or self.now) is not None:
            replace_values(finite[0])
        began = "" if origin is None else f". It began here: {origin}"
        error = DivergedError(
            f"{what}; the module keeps the parameters of its last finite cost. "
            f"Lower the learning rate, or scale the inputs to about 1{began}"
        )
        error.origin = origin
        raise error
