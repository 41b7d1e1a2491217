"""Steps of gradient descent on batches, eager, compiled or in tiles; and what remains when the cost diverges."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, partial
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..engine.trees import leaves
from ..errors import CompileError, DivergedError, given, warn
from ..nn.module import Module
from ..optim import SGD, Optimizer, clip_grad_norm_
from ..tensor.handle import Tensor, replace_values
from ..transforms.functions import value_and_grad
from .cost import Cost, Loss
from .tiles import in_tiles, tiled_step

WORTH_COMPILING = 100  # steps: about as many as pay for tracing, compiling and checking


def update(
    module: Module, loss: Loss | None, optimizer: Optimizer, clip_norm: float | None,
    X: Any, y: Any, weights: Any = None, share: float | None = None, first: bool = True, last: bool = True,
) -> tuple[Tensor, Any]:  # fmt: skip
    """Make one step of gradient descent; return the cost before the step, and the scores.

    A step may take several batches: the cost of each is multiplied by its `share`, and only the last one updates.
    """
    cost = Cost(module, loss)
    read = cost.read(X)
    value = cost.of(read, y, weights)
    if first:
        optimizer.zero_grad()
    (value if share is None else value * share).backward()
    if last:
        if clip_norm is not None:
            clip_grad_norm_(optimizer.parameters, clip_norm)
        optimizer.step()
    return value.detach(), cost.scores(read)


def cost_of(module: Any, loss: Loss | None, parameters: dict[str, Any], X: Any, y: Any) -> tuple[Tensor, Any]:
    """Return the cost of the module with other parameters, and the scores."""
    cost = Cost(module.with_parameters(parameters), loss)
    read = cost.read(X)
    return cost.of(read, y), cost.scores(read)


class Programs:
    """The compiled programs of a module, a loss and an optimiser; each is compiled when it is first used.

    The compiler compares arguments that are bound by `partial` at every call, so a program sees what a callback changes
    in them. `exact` programs have the bits of the function itself.
    """

    def __init__(self, module: Module, parts: tuple[Any, ...], key: Any, exact: bool) -> None:
        self._module, self._parts, self._key, self._exact = module, parts, key, exact
        self._loss, self._optimizer, self._clip_norm = parts

    @cached_property
    def step(self) -> Any:
        """`update`: a batch -> the cost and the scores."""
        return _compiled(partial(update, self._module, *self._parts), self._exact)

    @cached_property
    def gradient(self) -> Any:
        """Parameters by name, X and y -> ((the cost, the scores), the gradients by name)."""
        return _compiled(value_and_grad(partial(cost_of, self._module, self._loss), has_aux=True), self._exact)


_kept: WeakKeyDictionary[Module, Programs] = WeakKeyDictionary()


def programs_for(module: Module, parts: tuple[Any, ...], by_default: bool, exact: bool) -> Programs:
    """Return the programs that were kept for the same parts, removed from the store, or new ones.

    All default optimisers of the same parameters are equivalent. A user's own objects may refer to the module, which
    would then never be freed, so nothing is kept for them.
    """
    loss, optimizer, clip_norm = parts
    if not are_ours(module, loss, optimizer):
        return Programs(module, parts, None, exact)
    key = (loss, None if by_default else optimizer, [*map(id, optimizer.parameters)], clip_norm, exact)
    kept = _kept.pop(module, None)
    if kept is None or kept._key != key:
        twin = object.__new__(type(module))  # shares the module's attributes, without a reference to the module
        twin.__dict__ = vars(module)
        return Programs(twin, parts, key, exact)
    kept._optimizer.lr = optimizer.lr if by_default else kept._optimizer.lr
    return kept


def are_ours(module: Module, *parts: Any) -> bool:
    """Return whether modules, loss and optimiser are this library's own, which have no side effects."""
    names = [str(getattr(x, "__module__", "")) for x in (*module.modules(), *parts) if x is not None]
    return all(name.partition(".")[0] == __name__.partition(".")[0] for name in names)


def _compiled(function: Callable[..., Any], exact: bool) -> Any:
    """Return the compiled function; the compiler is imported only here."""
    return import_module("..compiler.compiled", __package__).compile(function, exact=exact)


class Steps:
    """A module with its loss, and the optimiser that trains it."""

    def __init__(
        self, module: Any, loss: Loss | None, optimizer: Any = None, learning_rate: float | None = None,
        compiled: bool | None = None, workers: int | None = None, clip_norm: float | None = None, exact: bool = False,
    ) -> None:  # fmt: skip
        self.module = module
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
        self.steps_worth_compiling = (WORTH_COMPILING if compiled is None else 0) if wanted else math.inf
        self.by_program: set[int] = set()
        self.together: bool = hasattr(optimizer, "exchange")  # is one of several ranks
        self.gathered: Callable[..., list[Any]] = getattr(optimizer, "gathered", lambda own: [own])  # from each rank
        self.programs: Programs = programs_for(module, (loss, optimizer, clip_norm), by_default, exact)
        self.optimizer: Any = self.programs._optimizer
        self.update: Callable[..., tuple[Tensor, Any]] = partial(update, module, *self.programs._parts)
        self.now: Any = None  # the state before this step, and the step's batches so far
        self.last: Any = None  # the same for the last step whose cost was finite
        self.look()

    def look(self) -> None:
        """Collect modules, tensors and generators again, which takes a while: after callbacks, which may change them.

        The tensors are the parameters and buffers of the module, of a loss that is a module, and all optimised ones.
        """
        loss = self.cost.loss
        parts = {"module": self.module} | ({"loss": loss} if isinstance(loss, Module) else {})
        self.modules: list[Module] = self.module.modules()
        self.tensors: dict[str, Tensor] = {}
        self.generators: dict[str, np.random.Generator] = {}
        for part, m in parts.items():
            self.tensors |= {f"{part}.{name}": t for name, t in (*m.named_parameters(), *m.named_buffers())}
            self.generators |= {f"{part}.{name}": g for name, g in m.generators().items()}
        known = {*map(id, self.tensors.values())}
        others = [p for p in self.optimizer.parameters if id(p) not in known]
        self.tensors |= {f"optimizer.{i}": p for i, p in enumerate(others)}

    def plan(self, rows: int, batch_size: int, epochs: int) -> None:
        """Decide which batch sizes are computed by a program: those in tiles, and those with enough steps to come."""
        full, rest = divmod(rows, batch_size)
        for size, count in ((batch_size, full * epochs), (rest, epochs)):
            if size and (count >= self.steps_worth_compiling or in_tiles(size, self.workers)):
                self.by_program.add(size)

    def begin(self) -> None:
        """Save what a step changes: values, the optimiser's state, and the states of the generators."""
        generators = [g.bit_generator for g in self.generators.values()]
        values = [(t, t.data) for t in self.tensors.values()]
        self.now = (values, [dict(own) for own in self.optimizer.state], [(g, g.state) for g in generators]), []

    def make(self, epoch: int, X: Any, y: Any, weights: Any, share: float | None, first: bool, last: bool) -> Any:
        """Make one step, or this batch's part of it; return the cost before it and the scores. Raises DivergedError."""
        batch = (X, y, weights, share, first, last)
        self.now[1].append(batch)
        step = self.update_or_else if len(next(leaves(X))) in self.by_program else self.update
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is an error, not a warning
            cost, scores = step(*batch)
        value = float(cost.item())
        if not self.together:
            self._accept(value, epoch)
        return value, scores

    def exchange(self, epoch: int, rows: int, cost: float) -> None:
        """Make a step with the mean of all ranks' gradients. Raises DivergedError on all ranks."""
        self._accept(self.optimizer.exchange(rows, cost), epoch)
        if self.programs._clip_norm is not None:
            clip_grad_norm_(self.optimizer.parameters, self.programs._clip_norm)
        self.optimizer.inner.step()

    def update_or_else(self, X: Any, y: Any, *others: Any) -> tuple[Tensor, Any]:
        """Make one step by a compiled program; if it can't be compiled, warn once and go on uncompiled."""
        try:
            if not (self.workers and in_tiles(len(next(leaves(X))), self.workers)):
                found: tuple[Tensor, Any] = self.programs.step(X, y, *others)
                return found
            parameters = dict(self.module.named_parameters())
            return tiled_step(self.programs.gradient, parameters, self.optimizer, self.workers, X, y)
        except CompileError as error:
            warn(f"the training step is not compiled: {error}. Pass compile=False if that is meant to be so")
            self.by_program = set()
            return self.update(X, y, *others)

    def keep_programs(self) -> None:
        """Keep the programs for the module's next training, for as long as the module exists."""
        if self.programs._key is not None:
            _kept[self.module] = self.programs

    def check_parameters(self, epoch: int) -> None:
        """Raise DivergedError if parameters are not finite after the last update, after which no cost is computed."""
        if not all(np.isfinite(p.data).all() for p in self.parameters):
            self._diverged(f"epoch {epoch} left parameters that are not finite", self.last)

    def _accept(self, cost: float, epoch: int) -> None:
        """Raise DivergedError if the cost of a step is not finite."""
        if not math.isfinite(cost):
            sound = self.last is None or all(np.isfinite(x).all() for _, x in self.now[0][0])
            self._diverged(f"the cost became {cost} in epoch {epoch}", self.now if sound else self.last)
        self.last = self.now

    def _diverged(self, what: str, step: Any) -> None:
        """Raise DivergedError with the origin of the inf or nan, found by repeating the step; restore finite values."""
        origin = None
        if step is not None and not self.together:
            (values, self.optimizer.state, drawn), batches = step
            replace_values(values)
            for generator, state in drawn:
                generator.state = state
            inspection = import_module("..inspection.origins", __package__)
            with np.errstate(over="ignore", invalid="ignore"):
                origin = inspection.why_nan(lambda: [self.update(*batch) for batch in batches])
        if (finite := self.last or self.now) is not None:
            replace_values(finite[0][0])
        began = "" if origin is None else f". It began here: {origin}"
        error = DivergedError(
            f"{what}; the module keeps the parameters of its last finite cost. "
            f"Lower the learning rate, or scale the inputs to about 1{began}"
        )
        error.origin = origin
        raise error
