"""Watchers see what is computed: the compiler, the checkers, inspection. The engine knows no more of them than this."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from typing import Any, Self

from .cotangents import Cotangents
from .grad_mode import recording, setting
from .node import Lift, Node


class Watcher:
    """Is asked at each operation in `watched(watcher)`; true while these are recorded. By default all is as without."""

    grad_enabled = True

    def __bool__(self) -> bool:
        return self.grad_enabled

    def switched(self, grad_enabled: bool) -> Self:
        """Return the same watcher, for the body of `no_grad()` or `enable_grad()`."""
        twin = copy(self)
        twin.grad_enabled = grad_enabled
        return twin

    def shadow(self, tensor: Any) -> Any:
        """Return the Tensor whose array, node and gradient are read and written in place of this one's."""
        return tensor

    def forward(self, operation: Any, arrays: list[Any], parameters: dict[str, Any]) -> Any:
        """Return what an operation computes."""
        return operation.run(arrays, parameters)

    def recorded(self, operation: Any, arrays: list[Any], parameters: dict[str, Any], node: Any, y: Any) -> None:
        """Is told what was computed, and the node that records it, None if nothing does."""

    def cotangents(self, seeds: Mapping[Node, Any], lift: Lift, create_graph: bool) -> Cotangents:
        """Return what holds the cotangents of a backward pass that begins with these."""
        return Cotangents(seeds, lift, create_graph)

    def rewinding(self) -> AbstractContextManager[None]:
        """Be told that the body may draw from random generators, and that they get their old states back after it."""
        return nullcontext()

    def created(self, tensor: Any) -> None:
        """Is told of a Tensor that is created from an array."""

    def gradient(self, tensor: Any) -> Any:
        """Return the gradient of a tensor, as `t.grad` does."""
        return tensor._grad

    def read(self, tensor: Any, what: str) -> Any:
        """Return the array of a tensor whose value Python is about to read, as `float(t)` does; or raise."""
        return tensor.data

    def hyperparameter(self, owner: Any, name: str, value: Any) -> Any:
        """Return a hyperparameter of an optimiser's group of parameters."""
        return value

    def setting(self, owner: Any, name: str) -> None:
        """Be told that a group's number or an optimiser's state is about to be set."""

    def state(self, owner: Any, state: Any) -> Any:
        """Return what an optimiser keeps from step to step."""
        return state


def watched(watcher: Watcher) -> AbstractContextManager[None]:
    """Operations in the body are recorded, and the watcher is asked at each."""
    return setting(recording, watcher)


def watcher() -> Watcher | None:
    """Return the watcher, None if there is none."""
    watching = recording.get()
    return None if watching is True or watching is False else watching


def cotangents_from(seeds: Mapping[Node, Any], lift: Lift, create_graph: bool) -> Cotangents:
    """Return the cotangents of a backward pass that begins with these, the watcher's own kind if there is one."""
    watching = watcher()
    return (Cotangents if watching is None else watching.cotangents)(seeds, lift, create_graph)
