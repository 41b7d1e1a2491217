"""What every optimiser does: visit each parameter once, and rebind it to its updated value."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..engine.watching import watcher
from ..errors import StateError, given
from ..tensor.handle import Tensor, replace_values


class Hyperparameter:
    """A number, or several, that the user sets: at least 0 and below a bound, checked whenever it is set.

    An optimiser's hyperparameters are part of its `state_dict()`.
    """

    def __init__(self, below: float = math.inf, count: int | None = None) -> None:
        self.below, self.count = below, count

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Any, owner: type) -> Any:
        if optimizer is None:
            return self
        value = vars(optimizer)[self.name]
        watching = watcher()
        return value if watching is None else watching.hyperparameter(optimizer, self.name, value)

    def __set__(self, optimizer: Any, value: Any) -> None:
        _tell(optimizer, self.name)
        vars(optimizer)[self.name] = self.checked(value)

    def checked(self, value: Any) -> Any:
        """Return the value in Python's floats. Raises TypeError or ValueError, saying what to write."""
        wording = self._needed(value)
        entries = value if isinstance(value, (list, tuple)) and self.count is not None else (value,)
        if len(entries) != (self.count or 1) or not all(_is_number(x) for x in entries):
            raise TypeError(wording)
        if not all(0 <= x < self.below for x in entries):
            raise ValueError(wording)
        return float(value) if self.count is None else tuple(map(float, value))

    def _needed(self, value: Any) -> str:
        what = "the learning rate" if self.name == "lr" else self.name
        number = "a finite number, 0 or more" if self.below == math.inf else f"at least 0 and below {self.below}"
        number = number if self.count is None else f"{self.count} numbers, each {number}"
        return f"{what} must be {number}, got {value!r} of type {type(value).__name__}"


def _tell(optimizer: Any, name: str) -> None:
    """Tell who watches that a number or the state is set."""
    watching = watcher()
    if watching is not None:
        watching.setting(optimizer, name)


class Optimizer:
    """The parameters, their state, and the step; a subclass supplies `update`.

    Parameters listed twice are stepped once; one without a gradient is skipped, as a module's is while
    it is frozen. New values are computed in fresh arrays, so graphs recorded before a step stay right.
    `state_names` are the names in a parameter's state.
    """

    state_names: tuple[str, ...] = ()
    lr: Any = Hyperparameter()

    def __init__(self, parameters: Iterable[Any], lr: float) -> None:
        if hasattr(parameters, "parameters"):
            raise TypeError("an optimiser takes parameters, not what holds them; write model.parameters()")
        self.parameters: list[Any] = list({id(p): p for p in parameters}.values())
        if not self.parameters:
            raise ValueError("there are no parameters to optimise; pass model.parameters()")
        for p in self.parameters:
            frozen = getattr(p, "role", None) == "parameter"
            if not (isinstance(p, Tensor) and p.is_leaf and (p.requires_grad or frozen)):
                raise ValueError(f"an optimiser takes leaves that require grad, not {p!r}")
        self.lr = lr
        self.state = [{} for _ in self.parameters]

    @property
    def state(self) -> list[dict[str, Any]]:
        """What is kept of each parameter from step to step, by name; nothing before its first step."""
        watching = watcher()
        found: list[dict[str, Any]] = self._state if watching is None else watching.state(self, self._state)
        return found

    @state.setter
    def state(self, state: list[dict[str, Any]]) -> None:
        _tell(self, "_state")
        self._state = state

    def initial_state(self, w: np.ndarray) -> dict[str, Any]:
        """Return what `update` is given as the state of a parameter at its first step."""
        return {}

    def update(self, w: np.ndarray, g: np.ndarray, state: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the new value of a parameter and its new state; nothing given is written to."""
        raise NotImplementedError

    def step(self) -> None:
        """Update every parameter that has a gradient, or none if an update has another shape or dtype."""
        states = self.state
        updates = [
            (i, p, *self.update(p.data, p.grad.data, states[i] or self.initial_state(p.data)))
            for i, p in enumerate(self.parameters)
            if p.grad is not None
        ]
        replace_values([(p, value) for _, p, value, _ in updates])
        for i, _, _, state in updates:
            states[i] = state

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.parameters:
            p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the hyperparameters, and a copy of each parameter's state, in the parameters' order."""
        return {name: getattr(self, name) for name in self.hyperparameters()} | {"state": _copied(self.state)}

    def load_state_dict(self, saved: Any) -> None:
        """Take over what `state_dict` returned; nothing is changed unless all of it fits.

        Raises StateError for what is missing or unexpected, out of its range, or of another shape or dtype.
        """
        own = self.hyperparameters()
        if not isinstance(saved, Mapping) or set(saved) != {*own, "state"}:
            found = list(saved) if isinstance(saved, Mapping) else f"a {type(saved).__name__}"
            raise StateError(
                f"the state of {type(self).__name__} is a dict with the keys {[*own, 'state']}, got {found}; "
                "save it by optimizer.state_dict()"
            )
        try:
            settings = {name: own[name].checked(saved[name]) for name in own}
        except (TypeError, ValueError) as error:
            raise StateError(str(error)) from error
        self._check_state(saved["state"])
        self.state = _copied(saved["state"])
        for name, value in settings.items():
            setattr(self, name, value)

    def _check_state(self, state: Any) -> None:
        if not isinstance(state, (list, tuple)) or not all(isinstance(entry, Mapping) for entry in state):
            raise StateError(
                f"a state is a list of a dict per parameter, got {given(state)}; load that of state_dict()"
            )
        if len(state) != len(self.parameters):
            raise StateError(
                f"this state is for {len(state)} parameters, the optimiser has {len(self.parameters)}; "
                "load that of an optimiser of the same parameters"
            )
        for i, (entry, p) in enumerate(zip(state, self.parameters, strict=True)):
            if entry and set(entry) != set(self.state_names):
                raise StateError(f"parameter {i} has the state {sorted(entry)}, needs {sorted(self.state_names)}")
            for name, value in entry.items():
                if isinstance(value, np.ndarray) and value.shape != p.shape:
                    raise StateError(f"{name} of parameter {i} has shape {value.shape}, needs {p.shape}")
                if isinstance(value, np.ndarray) and value.dtype != p.dtype:
                    raise StateError(f"{name} of parameter {i} has dtype {value.dtype}, needs {p.dtype}")
                if not (isinstance(value, np.ndarray) or _is_number(value)):
                    raise StateError(f"{name} of parameter {i} must be an array or a number, got {given(value)}")

    def hyperparameters(self) -> dict[str, Hyperparameter]:
        """Return the hyperparameters, by name."""
        found = [vars(cls).items() for cls in reversed(type(self).__mro__)]
        return {name: value for items in found for name, value in items if isinstance(value, Hyperparameter)}

    def __repr__(self) -> str:
        settings = [f"{name}={getattr(self, name)!r}" for name in self.hyperparameters()]
        return f"{type(self).__name__}({len(self.parameters)} parameters, {', '.join(settings)})"


def _is_number(x: Any) -> bool:
    return isinstance(x, numbers.Real) and not isinstance(x, bool)


def _copied(state: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in entry.items()} for entry in state]
