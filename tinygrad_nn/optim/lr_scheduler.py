"""Schedules: learning rates that change from epoch to epoch, or when a metric no longer improves."""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

from ..errors import StateError, given, noted
from ..nn.habits import unknown
from ..ops.settings import Check, count, finite, number, one_of, positive, share, whole_number
from .groups import Declared, first_lr, listed
from .optimizer import Optimizer


def _optimizer(name: str, x: Any) -> Optimizer:
    if not isinstance(x, Optimizer):
        raise TypeError(f"a schedule takes an optimiser, got {given(x)}; make one by tg.optim.SGD(...)")
    return x


_OF_ALL: dict[str, Check] = {
    "optimizer": _optimizer, "last_epoch": count, "eta_min": number,
    "base_lrs": lambda _, rates: [number("each of base_lrs", rate) for rate in rates],
}  # fmt: skip
_OF_STEPS: dict[str, Check] = {
    "milestones": lambda _, epochs: tuple(sorted(count("each milestone", n) for n in listed(epochs))), "gamma": number,
}  # fmt: skip
_OF_LINEAR: dict[str, Check] = {
    "start_factor": functools.partial(positive, most=1), "end_factor": share, "total_iters": whole_number,
}  # fmt: skip
_OF_PLATEAU: dict[str, Check] = {
    "mode": one_of("min", "max"), "threshold_mode": one_of("rel", "abs"), "factor": functools.partial(number, below=1),
    **dict.fromkeys(["threshold", "min_lr", "eps"], number),
    "best": lambda name, x: x if x in (math.inf, -math.inf) else finite(name, x),
    **dict.fromkeys(["patience", "cooldown", "num_bad_epochs", "cooldown_counter"], count),
}  # fmt: skip


class LRScheduler(Declared, settings=_OF_ALL):
    """Sets the learning rates of an optimiser's groups once per epoch; a subclass defines `multiplier`.

    From epoch to epoch, the part of a rate above `eta_min` is multiplied by the quotient of the multipliers. So several
    schedules of one optimiser multiply, and a rate that is set by hand is the basis of the next ones.

    >>> import tinygrad_nn as tg
    >>> class InverseLR(tg.optim.lr_scheduler.LRScheduler):
    ...     def multiplier(self, epoch):
    ...         return 1 / (1 + epoch)
    >>> schedule = InverseLR(tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5))
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    optimizer: Optimizer

    def __post_init__(self) -> None:
        """Set the learning rates for the first epoch."""
        self.last_epoch: int = 0
        self._set(1.0, self.multiplier(0))

    def multiplier(self, epoch: int) -> float:
        """Return the factor on the initial learning rate, minus `eta_min`, at an epoch, counted from 0."""
        return 1.0

    def step(self) -> None:
        """Set the learning rates for the next epoch."""
        self._set(self.multiplier(self.last_epoch), self.multiplier(self.last_epoch + 1))
        self.last_epoch += 1

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return the settings, the epoch and the initial learning rates."""
        own = {name: value for name, value in vars(self).items() if name != "optimizer"}
        return own | {"base_lrs": [first_lr(group) for group in self.optimizer.param_groups]}

    def load_state_dict(self, state_dict: Any) -> None:
        """Set the schedule from a `state_dict()`; the rates are in the optimiser's own state.

        Raises StateError if anything does not fit; then nothing has changed.
        """
        own, saved, groups = self.state_dict(), state_dict, self.optimizer.param_groups
        wanted = f"the state of {type(self).__name__} must be like {own}"
        if not isinstance(saved, Mapping) or {*saved} != {*own}:
            raise StateError(f"{wanted}, got {saved!r:.200}")
        try:
            kept = {
                name: self._settings[name](name, saved[name]) if name in self._settings else type(x)(saved[name])
                for name, x in own.items()
            }
            rates = [*zip(groups, kept.pop("base_lrs"), strict=True)]
        except (TypeError, ValueError) as error:
            raise StateError(f"{wanted}, got {saved!r:.200}; {error}") from error
        for group, lr in rates:
            group.initial_lr = lr
        vars(self).update(kept)

    def __repr__(self) -> str:
        own = vars(self)
        names = [name for name in signature(type(self)).parameters if name in own and name != "optimizer"]
        return f"{type(self).__name__}({', '.join(f'{name}={own[name]!r}' for name in names)})"

    def _set(self, before: float, now: float) -> None:
        for group in self.optimizer.param_groups:
            group.initial_lr = first_lr(group)
            with noted("a rate below eta_min falls further: lower eta_min"):
                group["lr"] = self._next(group["lr"], group.initial_lr, before, now)

    def _next(self, lr: float, initial: float, before: float, now: float) -> float:
        low = getattr(self, "eta_min", 0.0)
        if now == before:
            return lr
        if before == 0:  # there is no quotient; what other schedules changed remains, as in PyTorch
            return float(lr + (initial - low) * now)
        return float(low + (lr - low) * (now / before))


class StepLR(LRScheduler, settings={"step_size": whole_number, "gamma": number}):
    """Multiplies the learning rate by gamma every `step_size` epochs.

    >>> import tinygrad_nn as tg
    >>> schedule = tg.optim.lr_scheduler.StepLR(tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5), 2)
    >>> [schedule.step() or float(f"{schedule.get_last_lr()[0]:.3g}") for _ in range(4)]
    [0.5, 0.05, 0.05, 0.005]
    """

    step_size: int
    gamma: float = 0.1

    def multiplier(self, epoch: int) -> float:
        """Return gamma to the power of the steps so far."""
        return self.gamma ** (epoch // self.step_size)


class MultiStepLR(LRScheduler, settings=_OF_STEPS):
    """Multiplies the learning rate by gamma at each of the epochs `milestones`.

    >>> import tinygrad_nn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.lr_scheduler.MultiStepLR(optimizer, [1, 3])
    >>> [schedule.step() or float(f"{schedule.get_last_lr()[0]:.3g}") for _ in range(4)]
    [0.05, 0.05, 0.005, 0.005]
    """

    milestones: Sequence[int]
    gamma: float = 0.1

    def multiplier(self, epoch: int) -> float:
        """Return gamma to the power of the milestones so far."""
        return self.gamma ** bisect_right(self.milestones, epoch)


class ExponentialLR(LRScheduler, settings={"gamma": number}):
    """Multiplies the learning rate by gamma every epoch.

    >>> import tinygrad_nn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> [schedule.step() or schedule.get_last_lr()[0] for _ in range(3)]
    [0.25, 0.125, 0.0625]
    """

    gamma: float

    def multiplier(self, epoch: int) -> float:
        """Return gamma to the power of the epochs so far."""
        return self.gamma**epoch


class LinearLR(LRScheduler, settings=_OF_LINEAR):
    """Multiplies the learning rate by a factor that goes linearly from start to end in `total_iters` epochs.

    Raises ValueError for a start factor outside (0, 1], or an end factor outside [0, 1].

    >>> import tinygrad_nn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> [optimizer.lr, *(schedule.step() or optimizer.lr for _ in range(3))]
    [0.25, 0.375, 0.5, 0.5]
    """

    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_iters: int = 5

    def multiplier(self, epoch: int) -> float:
        """Return the factor on the line from start to end."""
        share = min(epoch, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * share


class CosineAnnealingLR(LRScheduler, settings={"T_max": whole_number}):
    """Lowers the learning rate to `eta_min` in `T_max` epochs, along half a cosine, and raises it again.

    Source: Loshchilov and Hutter, SGDR (2017), equation 5, without restarts.

    >>> import tinygrad_nn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    >>> [schedule.step() or round(optimizer.lr, 12) for _ in range(4)]
    [0.25, 0.0, 0.25, 0.5]
    """

    T_max: int
    eta_min: float = 0.0

    def multiplier(self, epoch: int) -> float:
        """Return the cosine, scaled to between 0 and 1."""
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler, settings={"T_0": whole_number, "T_mult": whole_number}):
    """Lowers the learning rate to `eta_min` along half a cosine, again and again.

    The first cycle takes `T_0` epochs, each later one `T_mult` times as many as the one before. A rate that is set by
    hand holds for one epoch. Source: Loshchilov and Hutter, SGDR (2017), equation 5.

    >>> import tinygrad_nn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> [schedule.step() or round(optimizer.lr, 12) for _ in range(4)]
    [0.25, 0.5, 0.25, 0.5]
    """

    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    def multiplier(self, epoch: int) -> float:
        """Return the cosine of this cycle, scaled to between 0 and 1."""
        length = self.T_0
        if self.T_mult == 1:
            epoch %= length
        while epoch >= length:
            epoch, length = epoch - length, length * self.T_mult
        return (1 + math.cos(math.pi * epoch / length)) / 2

    def _next(self, lr: float, initial: float, before: float, now: float) -> float:
        return self.eta_min + (initial - self.eta_min) * now


class ReduceLROnPlateau(LRScheduler, settings=_OF_PLATEAU):
    """Multiplies the learning rate by `factor` when a metric has not improved for more than `patience` epochs.

    An improvement is a value below the best so far (with mode "max", above) by more than `threshold`: a fraction of the
    best ("rel"), or an amount ("abs"). After a reduction, `cooldown` epochs don't count. A rate is never lowered below
    `min_lr`, nor changed by `eps` or less.

    >>> import tinygrad_nn as tg
    >>> optimizer = tg.optim.SGD([tg.ones(2, requires_grad=True)], lr=0.5)
    >>> schedule = tg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> [schedule.step(loss) or optimizer.lr for loss in (3.0, 2.0, 2.0, 2.0, 2.0)]
    [0.5, 0.5, 0.5, 0.25, 0.25]
    """

    mode: str = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0
    eps: float = 1e-8

    def __post_init__(self) -> None:
        """Begin to count."""
        super().__post_init__()
        self.best: float = math.inf if self.mode == "min" else -math.inf
        self.num_bad_epochs: int = 0
        self.cooldown_counter: int = 0

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Report the metric after an epoch: a number, or a Tensor with one entry."""
        with noted("a metric is one number, or a Tensor that holds one: write step(loss)"):
            metric = float(metrics)
        self.last_epoch: int = self.last_epoch + 1
        sign = 1 if self.mode == "min" else -1
        relative = self.threshold_mode == "rel"
        bound = self.best * (1 - sign * self.threshold) if relative else self.best - sign * self.threshold
        better = sign * metric < sign * bound
        self.best, self.num_bad_epochs = (metric, 0) if better else (self.best, self.num_bad_epochs + 1)
        if self.cooldown_counter:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            for group in self.optimizer.param_groups:
                lr = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr


if not TYPE_CHECKING:
    __getattr__ = unknown("optim.lr_scheduler")
