"""A module owns parameters, under names, and whatever modules it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from ..engine.arrays import as_array
from ..errors import StateError
from ..tensor.handle import Tensor, replace_value


def _named(prefix: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        if value.requires_grad:
            yield prefix, value
    elif isinstance(value, Module):
        for name, p in value.named_parameters():
            yield f"{prefix}.{name}", p
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _named(f"{prefix}.{key}" if prefix else str(key), part)
    elif isinstance(value, (list, tuple)):
        for place, part in enumerate(value):
            yield from _named(f"{prefix}.{place}", part)


def _replaced(value: Any, new: Mapping[int, Any]) -> Any:
    """Return a copy of an attribute in which tensors are replaced by those given for their identity."""
    if isinstance(value, Module):
        twin = object.__new__(type(value))
        vars(twin).update({key: _replaced(part, new) for key, part in vars(value).items()})
        return twin
    if isinstance(value, dict):
        return {key: _replaced(part, new) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[_replaced(part, new) for part in value])
    if isinstance(value, (list, tuple)):
        return type(value)([_replaced(part, new) for part in value])
    return new.get(id(value), value)


class Module:
    """Anything with parameters: the Tensors among its attributes that require grad, nested ones too."""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each parameter once, with its name."""
        seen: set[int] = set()
        for name, p in _named("", vars(self)):
            if id(p) not in seen:
                seen.add(id(p))
                yield name, p

    def parameters(self) -> list[Tensor]:
        """Return the parameters, in the order of their names."""
        return [p for _, p in self.named_parameters()]

    def with_parameters(self, parameters: Mapping[str, Any]) -> Self:
        """Return a module like this one that computes with the given tensors, by name, instead of its own.

        Parameters that are not named stay shared. Raises StateError for a name that is none.
        """
        own = dict(self.named_parameters())
        unknown = [name for name in parameters if name not in own]
        if unknown:
            raise StateError(f"{', '.join(unknown)} is not a parameter here; name one of {', '.join(own)}")
        twin: Self = _replaced(self, {id(own[name]): p for name, p in parameters.items()})
        return twin

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.parameters():
            p.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy of every parameter's array, by name."""
        return {name: p.data.copy() for name, p in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set every parameter from arrays by name; nothing is changed unless all of them fit.

        Raises StateError that lists each missing, unexpected and mis-shaped name.
        """
        own = dict(self.named_parameters())
        arrays = {name: as_array(value) for name, value in state.items()}
        problems = [f"{name} is missing" for name in own if name not in arrays]
        problems += [f"{name} is not a parameter here" for name in arrays if name not in own]
        for name, p in own.items():
            if name in arrays and arrays[name].shape != p.shape:
                problems.append(f"{name} has shape {arrays[name].shape}, needs {p.shape}")
            elif name in arrays and arrays[name].dtype != p.dtype:
                problems.append(f"{name} has dtype {arrays[name].dtype}, needs {p.dtype}: use .astype")
        if problems:
            raise StateError(
                f"this state does not fit: {'; '.join(problems)}; load one that state_dict() of such a module returned"
            )
        for name, p in own.items():
            replace_value(p, arrays[name].copy())
