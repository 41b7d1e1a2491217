"""Watchers see what is computed: the compiler, the checkers, inspection. This is all that the engine knows of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from typing import Any, Self

from .cotangents import Cotangents
from .grad_mode import recording, setting
from .node import Lift, Node


class Watcher:
    """Called at each operation in `watched(watcher)`; true while recording. By default its methods change nothing."""

    grad_enabled = True

    def __bool__(self) -> bool:
        return self.grad_enabled

    def switched(self, grad_enabled: bool) -> Self:
        """Return this watcher as it acts in the body of `no_grad()` or `enable_grad()`."""
        twin = copy(self)
        twin.grad_enabled = grad_enabled
        return twin

    def shadow(self, tensor: Any) -> Any:
        """Return the Tensor whose array, node and gradient are read and written instead of this one's."""
        return tensor

    def forward(self, operation: Any, arrays: list[Any], parameters: dict[str, Any]) -> Any:
        """Return the result of an operation."""
        return operation.run(arrays, parameters)

    def recorded(self, operation: Any, arrays: list[Any], parameters: dict[str, Any], node: Any, y: Any) -> None:
        """Called after each operation with its result `y` and the node that records it, or None."""

    def cotangents(self, seeds: Mapping[Node, Any], lift: Lift, create_graph: bool) -> Cotangents:
        """Return the container for the cotangents of a backward pass that begins with `seeds`."""
        return Cotangents(seeds, lift, create_graph)

    def rewinding(self) -> AbstractContextManager[None]:
        """Called around a body that may draw from random generators, whose states are restored after it."""
        return nullcontext()

    def created(self, tensor: Any) -> None:
        """Called when a Tensor is created from an array."""

    def gradient(self, tensor: Any) -> Any:
        """Return the gradient of a tensor, as `t.grad` does."""
        return tensor._grad

    def read(self, tensor: Any, what: str) -> Any:
        """Return the array of a tensor whose value Python is about to read, as in `float(t)`, or raise."""
        return tensor.data

    def hyperparameter(self, owner: Any, name: str, value: Any) -> Any:
        """Return a hyperparameter of an optimiser's group of parameters."""
        return value

    def setting(self, owner: Any, name: str) -> None:
        """Called before a hyperparameter of a group, or the state of an optimiser, is set."""

    def state(self, owner: Any, state: Any) -> Any:
        """Return the state that an optimiser keeps from step to step."""
        return state


def watched(watcher: Watcher) -> AbstractContextManager[None]:
    """Operations in the body are recorded, and the watcher's methods are called at each."""
    return setting(recording, watcher)


def watcher() -> Watcher | None:
    """Return the current watcher, or None."""
    watching = recording.get()
    return None if watching is True or watching is False else watching


def cotangents_from(seeds: Mapping[Node, Any], lift: Lift, create_graph: bool) -> Cotangents:
    """Return the container for the cotangents of a backward pass: the watcher's, if there is a watcher."""
    watching = watcher()
    return (Cotangents if watching is None else watching.cotangents)(seeds, lift, create_graph)
