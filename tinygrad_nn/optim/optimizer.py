"""What every optimiser does: visit each parameter once, and rebind it to its updated value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import StateError
from ..tensors import Tensor


class Optimizer:
    """The parameters, their state, and the step; a subclass supplies `update`.

    Parameters listed twice are stepped once; one without a gradient is skipped. New values are
    computed in fresh arrays, so graphs recorded before a step stay right. `state_names` are the
    names in a parameter's state.
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[Any], lr: float) -> None:
        if hasattr(parameters, "parameters"):
            raise TypeError("an optimiser takes parameters, not what holds them; write model.parameters()")
        self.parameters: list[Any] = list({id(p): p for p in parameters}.values())
        if not self.parameters:
            raise ValueError("there are no parameters to optimise; pass model.parameters()")
        for p in self.parameters:
            if not (isinstance(p, Tensor) and p.requires_grad and p.is_leaf):
                raise ValueError(f"an optimiser updates leaves that require grad, not {p!r}")
        if not 0 <= lr < math.inf:
            raise ValueError(f"the learning rate must be a finite number, 0 or more, got {lr}")
        self.lr = float(lr)
        self.state: list[dict[str, Any]] = [{} for _ in self.parameters]

    def update(self, w: np.ndarray, g: np.ndarray, state: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the new value of a parameter and its new state; nothing given is written to."""
        raise NotImplementedError

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        updates = [
            (i, p, *self.update(p.data, p.grad.data, self.state[i]))
            for i, p in enumerate(self.parameters)
            if p.grad is not None
        ]
        for i, p, value, state in updates:
            p._array, self.state[i] = value, state

    def __repr__(self) -> str:
        settings = [f"{k}={v!r}" for k, v in vars(self).items() if k not in ("parameters", "state")]
        return f"{type(self).__name__}({len(self.parameters)} parameters, {', '.join(settings)})"

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.parameters:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the learning rate and a copy of each parameter's state, in the parameters' order."""
        copies = [{k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in s.items()} for s in self.state]
        return {"lr": self.lr, "state": copies}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over what `state_dict` returned. Raises StateError if it doesn't fit the parameters."""
        if set(saved) != {"lr", "state"}:
            raise StateError(f"an optimiser's state has the keys 'lr' and 'state', got {sorted(saved)}")
        state = saved["state"]
        if len(state) != len(self.parameters):
            raise StateError(f"this state is for {len(state)} parameters, the optimiser has {len(self.parameters)}")
        for i, (entry, p) in enumerate(zip(state, self.parameters, strict=True)):
            if entry and set(entry) != set(self.state_names):
                raise StateError(f"parameter {i} has the state {sorted(entry)}, needs {sorted(self.state_names)}")
            for name, value in entry.items():
                if isinstance(value, np.ndarray) and value.shape != p.shape:
                    raise StateError(f"{name} of parameter {i} has shape {value.shape}, the parameter {p.shape}")
        if not 0 <= saved["lr"] < math.inf:
            raise StateError(f"the learning rate must be a finite number, 0 or more, got {saved['lr']}")
        self.lr = float(saved["lr"])
        self.state = [{k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in s.items()} for s in state]
