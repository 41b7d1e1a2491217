"""Hyperparameters, and groups of parameters that share them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, dataclass_transform

from ..engine.watching import watcher
from ..errors import given
from ..ops.settings import Explained, number, switch
from ..tensor.handle import Tensor


@dataclass_transform(eq_default=False)
class Declared(Explained):
    """A class whose constructor sets the annotated attributes of its body, which stand in the constructor's order."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        dataclass(init="__init__" not in vars(cls), eq=False, repr=False)(cls)
        super().__init_subclass__(**kwargs)


class Hyperparameter:
    """A number, several, or a switch, as its default is: at least 0 and below a bound, checked whenever it is set.

    Each group of parameters has its own value. Reading it from an optimiser gives the value that all groups share;
    setting it on an optimiser sets it in all groups. Hyperparameters are part of the optimiser's `state_dict()`; one
    that is annotated is a parameter of the constructor, too.

    >>> import tinygrad_nn as tg
    >>> class Shrinking(tg.optim.Optimizer):
    ...     decay: float = tg.optim.Hyperparameter(0.5, below=1)
    ...     def update(self, w, g, state):
    ...         return self.decay * w - self.lr * g, state
    >>> Shrinking([tg.ones(2, requires_grad=True)], lr=0.1, decay=0.25)
    Shrinking(1 parameters, lr=0.1, decay=0.25)
    """

    def __init__(self, default: Any = None, below: float = math.inf) -> None:
        self.default: Any = default
        self.below: float = below

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Any, owner: type) -> Any:
        if optimizer is None:
            return self.default  # as a dataclass asks for it
        first, *others = [group[self.name] for group in optimizer.param_groups]
        if any(value != first for value in others):
            raise ValueError(f"the groups differ in {self.name}; write optimizer.param_groups[0][{self.name!r}]")
        return first

    def __set__(self, optimizer: Any, value: Any) -> None:
        value = self.checked(value)
        if not hasattr(optimizer, "defaults"):  # it is being made
            vars(optimizer)["defaults"] = {}
        is_first = self.name not in optimizer.defaults  # and what a group was given is its own
        groups = [g for g in getattr(optimizer, "param_groups", ()) if not (is_first and self.name in vars(g))]
        for group in groups:
            optimizer._check(vars(group) | {self.name: value})
        for group in groups:
            group[self.name] = value
        optimizer.defaults[self.name] = value

    def checked(self, value: Any) -> Any:
        """Return the value as Python floats, or a bool. Raises TypeError or ValueError, which say what to write."""
        if isinstance(self.default, bool):
            return switch(self.name, value)
        if not isinstance(self.default, tuple):
            return number("the learning rate" if self.name == "lr" else self.name, value, below=self.below)
        if not isinstance(value, (list, tuple)) or len(value) != len(self.default):
            raise TypeError(f"{self.name} must be {len(self.default)} numbers, got {given(value)}")
        return tuple(number(f"each of {self.name}", x, below=self.below) for x in value)


setting: Any = Hyperparameter  # so a type checker goes by the annotation of what is declared


class ParameterGroup(Mapping[str, Any]):
    """Parameters, `group["params"]`, with their own hyperparameters, such as `group["lr"]`, which can be set.

    `names` are the parameters' names, or None if they were given without. Schedules start from `initial_lr`.

    >>> import tinygrad_nn as tg
    >>> layers = [tg.nn.Linear(2, 3, seed=0), tg.nn.Linear(3, 1, seed=1)]
    >>> optimizer = tg.optim.SGD([{"params": layer.parameters(), "lr": lr} for layer, lr in zip(layers, (0.1, 0.5))])
    >>> optimizer.param_groups[1]["lr"]
    0.5
    """

    initial_lr: float | None = None
    _check: Any = dict  # an optimiser has its own, which refuses hyperparameters that do not go together

    def __init__(self, params: Any, kinds: Mapping[str, Hyperparameter]) -> None:
        found: dict[int, tuple[Any, Any]] = {}
        for name, p in [x if isinstance(x, tuple) and len(x) == 2 else (None, x) for x in listed(params)]:
            if hasattr(p, "parameters"):
                raise TypeError("an optimiser takes parameters, not what holds them; write model.parameters()")
            frozen = getattr(p, "role", None) == "parameter"
            if not (isinstance(p, Tensor) and p.is_leaf and (p.requires_grad or frozen)):
                raise ValueError(
                    f"an optimiser takes leaves that require grad, not {given(p)}; write model.parameters()"
                )
            found.setdefault(id(p), (name, p))
        names = [name for name, _ in found.values()]
        self.params: tuple[Any, ...] = tuple([p for _, p in found.values()])
        self.names: list[Any] | None = names if any(name is not None for name in names) else None
        self.kinds: dict[str, Hyperparameter] = dict(kinds)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in vars(self) and name != "initial_lr":
            raise AttributeError(f"group.{name} can't be set; write group['lr'] = 0.1, or make a new optimiser")
        object.__setattr__(self, name, number(name, value) if name == "initial_lr" else value)

    def __getitem__(self, name: str) -> Any:
        if name in self.kinds:
            value, watching = self.__dict__[name], watcher()
            return value if watching is None else watching.hyperparameter(self, name, value)
        return self.params if name == "params" else self._kind(name)

    def __setitem__(self, name: str, value: Any) -> None:
        value = self._kind(name).checked(value)
        self._check(vars(self) | {name: value})
        tell(self, name)
        vars(self)[name] = value

    def __iter__(self) -> Iterator[str]:
        return iter(["params", *self.kinds])

    def __len__(self) -> int:
        return 1 + len(self.kinds)

    def __repr__(self) -> str:
        settings = [f"{name}={vars(self)[name]!r}" for name in self.kinds]
        return f"{len(self.params)} parameters, {', '.join(settings)}"

    def _kind(self, name: str) -> Hyperparameter:
        if name not in self.kinds:
            raise KeyError(f"{name!r} is no hyperparameter here; set one of {', '.join(self.kinds)}")
        return self.kinds[name]


class Groups(tuple[ParameterGroup, ...]):
    """The groups of an optimiser. Errors say how to change them."""

    def refuse(self, *_: Any) -> NoReturn:
        """Raise AttributeError."""
        raise AttributeError("an optimiser keeps its groups; set group['lr'], or write add_param_group(...)")

    __setitem__: Any = refuse
    append: Any = refuse


def listed(params: Any) -> list[Any]:
    """Return parameters, or groups of them, as a list; a single one as a list with one entry."""
    one = isinstance(params, Tensor) or hasattr(params, "parameters") or not isinstance(params, Iterable)
    return [params] if one else list(params)


def first_lr(group: ParameterGroup) -> float:
    """Return the learning rate of a group before any schedule."""
    return float(group["lr"] if group.initial_lr is None else group.initial_lr)


def tell(owner: Any, name: str) -> None:
    """Tell the watcher that a hyperparameter or the state is set."""
    if (watching := watcher()) is not None:
        watching.setting(owner, name)
