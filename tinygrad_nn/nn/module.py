"""A module owns parameters, under names, and whatever modules it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from ..engine.arrays import as_array
from ..errors import StateError, given
from ..tensor.handle import Tensor, replace_values


def _named(prefix: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield prefix, value
    elif isinstance(value, Module):
        for name, t in value._named_tensors():
            yield f"{prefix}.{name}", t
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _named(f"{prefix}.{key}" if prefix else str(key), part)
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            yield from _named(f"{prefix}.{index}", part)


def _replaced(value: Any, new: Mapping[int, Any]) -> Any:
    """Return a copy of an attribute with tensors replaced; `new` has those to put in, by the id of the old one."""
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
        names = vars(self).get("_parameter_names")
        return ((name, t) for name, t in self._named_tensors() if (t.requires_grad if names is None else name in names))

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each Tensor among the attributes once, with its name: the parameters, frozen ones, and constants."""
        seen: set[int] = set()
        for name, t in _named("", vars(self)):
            if id(t) not in seen:
                seen.add(id(t))
                yield name, t

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
        vars(twin)["_parameter_names"] = frozenset(own)  # they stay parameters: tangents, say, require no grad
        return twin

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.parameters():
            p.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return a copy of the array of every Tensor, by name: the parameters, frozen ones too, and constants."""
        return {name: t.data.copy() for name, t in self._named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set every Tensor from arrays by name; nothing is changed unless all of them fit.

        Raises StateError that lists each missing, unexpected and mis-shaped name.
        """
        if not isinstance(state, Mapping):
            raise StateError(f"a state is a dict of arrays by name, got {given(state)}; load that of state_dict()")
        own = dict(self._named_tensors())
        arrays = {name: as_array(value) for name, value in state.items()}
        problems = [f"{name} is missing" for name in own if name not in arrays]
        problems += [f"{name} is not a parameter here" for name in arrays if name not in own]
        for name, t in own.items():
            if name in arrays and arrays[name].shape != t.shape:
                problems.append(f"{name} has shape {arrays[name].shape}, needs {t.shape}")
            elif name in arrays and arrays[name].dtype != t.dtype:
                problems.append(f"{name} has dtype {arrays[name].dtype}, needs {t.dtype}: use .astype")
        if problems:
            raise StateError(
                f"this state does not fit: {'; '.join(problems)}; load one that state_dict() of such a module returned"
            )
        replace_values([(t, arrays[name].copy()) for name, t in own.items()])
