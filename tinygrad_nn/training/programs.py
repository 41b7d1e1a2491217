"""A network's step of gradient descent, compiled, and kept from one training to the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..nn.dense import DenseNetwork
from ..optim import Optimizer
from ..tensor.handle import Tensor
from ..transforms.functions import value_and_grad
from .cost import Cost, Loss


def update(
    network: DenseNetwork, loss: Loss | None, optimizer: Optimizer, X: np.ndarray, y: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Make one step of gradient descent, and return the cost and the scores before it."""
    with np.errstate(over="ignore", invalid="ignore"):
        cost, scores = Cost(network, loss).of(X, y)
    optimizer.zero_grad()
    cost.backward()
    optimizer.step()
    return cost.detach(), scores


def cost_of(
    network: DenseNetwork, loss: Loss | None, parameters: dict[str, Any], X: np.ndarray, y: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Return the cost and the scores of the network with other parameters."""
    with np.errstate(over="ignore", invalid="ignore"):
        return Cost(network.with_parameters(parameters), loss).of(X, y)


class Programs:
    """The programs of a network, a loss and an optimiser, each compiled when it is first used.

    Arguments that the functions are given by `partial` are what the compiler compares at every call: so a program
    sees what a callback changes in them.
    """

    def __init__(self, network: DenseNetwork, loss: Loss | None, optimizer: Optimizer, by_default: bool) -> None:
        self.network, self.loss, self.optimizer, self.by_default = network, loss, optimizer, by_default

    @cached_property
    def step(self) -> Any:
        """`update`: X and y -> the cost and the scores."""
        return _compiled(partial(update, self.network, self.loss, self.optimizer))

    @cached_property
    def gradient(self) -> Any:
        """Parameters by name, X and y -> ((the cost, the scores), the gradients by name)."""
        return _compiled(value_and_grad(partial(cost_of, self.network, self.loss), has_aux=True))

    def are_for(self, loss: Loss | None, optimizer: Optimizer, by_default: bool) -> bool:
        """Return whether a training with these may go on with the programs; any default optimiser is as good."""
        if self.by_default and by_default:
            optimizer = self.optimizer if _ids(self.optimizer) == _ids(optimizer) else optimizer
        return self.loss is loss and self.optimizer is optimizer


_kept: WeakKeyDictionary[DenseNetwork, Programs] = WeakKeyDictionary()


def programs_for(network: DenseNetwork, loss: Loss | None, optimizer: Optimizer, by_default: bool) -> Programs:
    """Return the programs that were kept for the same parts, for the caller alone, or new ones.

    What is a user's own may refer to the network, which would then never be freed: nothing is kept for that.
    """
    if not are_ours(network, loss, optimizer):
        return Programs(network, loss, optimizer, by_default)
    kept = _kept.pop(network, None)
    if kept is None or not kept.are_for(loss, optimizer, by_default):
        twin = object.__new__(type(network))  # the network's attributes, and no reference to it
        twin.__dict__ = vars(network)
        return Programs(twin, loss, optimizer, by_default)
    if by_default:
        kept.optimizer.lr = optimizer.lr
    return kept


def keep(network: DenseNetwork, programs: Programs) -> None:
    """Keep programs for the network's next training, as long as the network lives."""
    if are_ours(network, programs.loss, programs.optimizer):
        _kept[network] = programs


def are_ours(*parts: Any) -> bool:
    """Return whether a network, a loss, an optimiser are this library's own: these have no effects besides results."""
    modules = [str(getattr(x, "__module__", "")) for x in parts if x is not None]
    return all(module.partition(".")[0] == __name__.partition(".")[0] for module in modules)


def _ids(optimizer: Optimizer) -> list[int]:
    return [id(p) for p in optimizer.parameters]


def _compiled(function: Callable[..., Any]) -> Any:
    """Return the function, compiled; the compiler is imported when it is used."""
    return import_module("..compiler.compiled", __package__).compile(function)
