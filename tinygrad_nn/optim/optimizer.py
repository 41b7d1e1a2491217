"""What all optimisers share: they visit each parameter once and rebind it to its new value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import InitVar
from inspect import signature
from typing import Any, ClassVar, Self

import numpy as np

from ..engine.arrays import ArrayProxy
from ..engine.trees import map_leaves
from ..engine.watching import watcher
from ..errors import DtypeError, StateError, given
from ..nn.habits import OPTIMIZERS
from ..nn.module import forget_gradients
from ..ops.settings import is_number
from ..tensor.handle import Tensor, replace_values, with_gradients
from .groups import Declared, Groups, Hyperparameter, ParameterGroup, listed, setting, tell

Array = np.ndarray
Step = tuple[np.ndarray, dict[str, Any]]  # a parameter's array and its state


def pure(function: Callable[..., Any]) -> Any:
    """Return a static method without a type, so that a subclass may take other parameters."""
    return staticmethod(function)


def zeros(*names: str, **numbers: float) -> Callable[[Array], dict[str, Any]]:
    """Return an `init` with the given numbers, and an array of zeros under each of the names."""

    def init(w: Array) -> dict[str, Any]:
        """Return the state of a parameter before its first step."""
        return numbers | {name: np.zeros_like(w) for name in names}

    return init


def no_nan(name: str, x: Any) -> Any:
    """Return an entry of a state. Raises ValueError if it has nan."""
    if np.isnan(x).any():
        raise ValueError(f"{name} has nan; load a state from before the run failed")
    return x


def not_negative(name: str, x: Any) -> Any:
    """Return an entry of a state. Raises ValueError if it has nan or negative numbers."""
    if np.less(no_nan(name, x), 0).any():
        raise ValueError(f"{name} must be 0 or more everywhere")
    return x


class Optimizer(Declared):
    """The parameters, their state, and the step; a subclass defines `update`, or `rule` and perhaps `init`.

    `params` are tensors, pairs (name, tensor) as from `named_parameters()`, or groups, such as `[{"params": weights,
    "lr": 0.1}, {"params": biases}]`; hyperparameters that a group doesn't set are the optimiser's. Parameters that are
    listed twice are stepped once; parameters without a gradient are skipped. New values are computed in fresh arrays,
    so graphs recorded before a step stay right.

    `rule(w, g, **state, ...)` returns the parameter's array and its state after a step, `init(w, ...)` the state before
    the first step. Both are pure functions of arrays, whose other parameters name the hyperparameters that they read.
    If `rule` does not read `weight_decay`, weight_decay w is added to g before. `state_names` are the names in a
    parameter's state, `optional_state_names` those that may be missing. By default they are the parameters of `rule`
    after w and g that are not hyperparameters; those with a default are optional.

    >>> import tinygrad_nn as tg
    >>> w, b = (tg.ones(2, requires_grad=True) for _ in "wb")
    >>> optimizer = tg.optim.SGD([{"params": [w], "lr": 0.5}, {"params": [b]}], lr=0.1)
    >>> (w + b).sum().backward()
    >>> optimizer.step()
    >>> w.data, b.data
    (array([0.5, 0.5]), array([0.9, 0.9]))
    >>> optimizer.param_groups[1]["lr"] = 0.2
    """

    params: InitVar[Iterable[Any]]
    lr: float = setting(1e-3)
    state_names: ClassVar[tuple[str, ...]] = ()
    optional_state_names: ClassVar[tuple[str, ...]] = ()
    init: ClassVar[Any] = staticmethod(zeros())
    rule: ClassVar[Any] = None
    defaults: ClassVar[dict[str, Any]]  # each of these three is an optimiser's own
    param_groups: ClassVar[Groups]
    _elsewhere = OPTIMIZERS
    _reads: ClassVar[tuple[list[str], ...]] = ([], [])
    _state: ClassVar[list[dict[str, Any]]]
    _decays = False
    _decouples = False  # decay lowers w itself, and is not added to g
    _is_ours = True  # rules of this package keep shapes and dtypes, and modify nothing: no check is needed

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Find out which hyperparameters `init` and `rule` read, and which state `rule` keeps."""
        super().__init_subclass__(**kwargs)
        own = cls.hyperparameters()
        if "rule" in vars(cls) and "state_names" not in vars(cls):
            kept = [p for name, p in [*signature(cls.rule).parameters.items()][2:] if name not in own]
            cls.state_names = tuple([p.name for p in kept if p.default is p.empty])
            cls.optional_state_names = tuple([p.name for p in kept if p.default is not p.empty])
        cls._is_ours = cls.__module__.startswith(__name__.partition(".")[0] + ".")
        functions = [f for f in (cls.init, cls.rule) if f is not None]
        cls._reads = tuple([[name for name in signature(f).parameters if name in own] for f in functions])
        cls._decays = "weight_decay" in own and "weight_decay" not in cls._reads[-1]

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, **hyperparameters: Any) -> None:
        for name, value in {"lr": lr, **hyperparameters}.items():
            setattr(self, name, value)
        self.__post_init__(params)

    def __post_init__(self, params: Iterable[Any]) -> None:
        """Make the groups; hyperparameters that they don't have are those of the optimiser."""
        vars(self)["param_groups"] = Groups()
        groups = listed(params)
        if not groups:
            raise ValueError("there are no parameters to optimise; pass model.parameters()")
        for group in groups if isinstance(groups[0], Mapping) else [{"params": groups}]:
            self.add_param_group(group)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("param_groups", "defaults"):
            self.param_groups.refuse()
        object.__setattr__(self, name, value)

    def add_param_group(self, param_group: Any) -> None:
        """Add a group: the parameters `param_group["params"]`, with the hyperparameters that the group sets.

        Raises TypeError for what is no group, ValueError for parameters of another group.
        """
        group, kinds = param_group, self.hyperparameters()
        if not isinstance(group, Mapping) or "params" not in group or not {*group} <= {"params", *kinds}:
            found = list(group) if isinstance(group, Mapping) else given(group)
            raise TypeError(f"a group needs the key 'params', and may have {', '.join(kinds)}; got {found}")
        new = ParameterGroup(group["params"], kinds)
        new._check = self._check
        names = [name for each in (*self.param_groups, new) for name in each.names or ()]
        if {*map(id, self.parameters)} & {*map(id, new.params)}:
            raise ValueError("a parameter must be in one group only; leave it out of the others")
        if any((each.names is None) != (new.names is None) for each in self.param_groups):
            raise ValueError("some parameters have names and some have none; pass named_parameters() for all groups")
        if not all(isinstance(name, str) for name in names) or len({*names}) != len(names):
            raise ValueError(f"parameters need a name each, and different ones, got {names}")
        for name, value in (self.defaults | {n: group[n] for n in kinds if n in group}).items():
            new[name] = value
        tell(self, "_state")  # before there is one: so who watches knows where the optimiser was made
        vars(self)["_state"] = [*vars(self).get("_state", ()), *({} for _ in new.params)]
        vars(self)["param_groups"] = Groups([*self.param_groups, new])

    @staticmethod
    def _check(settings: Any) -> Any:
        """Return a group's hyperparameters that are set. Raises ValueError if they contradict each other."""
        return settings

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters of all groups."""
        return [p for group in self.param_groups for p in group.params]

    @property
    def state(self) -> list[dict[str, Any]]:
        """The state that each parameter keeps from step to step, by name; empty before its first step.

        It is checked when it is set or loaded, but not when one of its entries is changed.
        """
        watching = watcher()
        found: list[dict[str, Any]] = self._state if watching is None else watching.state(self, self._state)
        return found

    @state.setter
    def state(self, state: Any) -> None:
        tell(self, "_state")
        if not isinstance(state, (list, tuple)) or len(state) != len(self.parameters):
            raise StateError(f"a state needs a list of a dict for each parameter, got {given(state)}")
        entries = [self._checked(i, p.data, state[i]) for i, p in enumerate(self.parameters)]
        try:
            vars(self)["_state"] = [
                _copied({name: self._kept(name, x) for name, x in entry.items()}) for entry in entries
            ]
        except (TypeError, ValueError) as error:
            raise StateError(f"no step results in this state: {error}; load one from optimizer.state_dict()") from error

    def initial_state(self, w: Array) -> dict[str, Any]:
        """Return the state that `update` gets at a parameter's first step."""
        state: dict[str, Any] = self.init(w, **{name: getattr(self, name) for name in self._reads[0]})
        return state

    def update(self, w: Array, g: Array, state: dict[str, Any]) -> Step:
        """Return the new value and the new state of a parameter; to modify w or g is an error.

        The hyperparameters of `self` are those of the parameter's group.
        """
        return self._by_rule(lambda name: getattr(self, name))(w, g, state)

    def _by_rule(self, read: Callable[[str], Any]) -> Callable[..., Step]:
        """Return `update` for the parameters of a group, whose hyperparameters are read only once."""
        rule, init = self.rule, self.init
        if rule is None:
            kind = type(self).__name__
            raise NotImplementedError(f"{kind} has no rule; write def update(self, w, g, state) in class {kind}")
        initial, settings = [{name: read(name) for name in names} for names in self._reads]
        decay = self._decays and read("weight_decay")
        if decay and self._decouples:
            kept = 1 - settings["lr"] * decay
            return lambda w, g, state: rule(kept * w, g, **(state or init(w, **initial)), **settings)
        return lambda w, g, state: rule(w, g + decay * w if decay else g, **(state or init(w, **initial)), **settings)

    def by_group(self) -> list[Self]:
        """Return the optimiser of each group: this one, or a copy for that group alone."""
        found = [self] if len(self.param_groups) == 1 else []
        for group in self.param_groups[len(found) :]:
            own = object.__new__(type(self))
            vars(own).update(vars(self), param_groups=Groups([group]))
            found.append(own)
        return found

    def step(self) -> None:
        """Update every parameter that has a gradient, or none if one update has a wrong shape or dtype."""
        i, values, states = 0, [], self.state
        new = [*states]
        for own in self.by_group():
            update = own._updating()
            for p, w, g in with_gradients(own.param_groups[0].params):
                if g is not None:
                    ours = self._is_ours
                    value, new[i] = update(w, g, new[i]) if ours else self._checked_step(update, i, w, g, new[i])
                    values.append((p, value))
                i += 1
        try:
            replace_values(values)
        except DtypeError:
            for i, p in enumerate(self.parameters):  # a state of another dtype may be the cause
                self._checked(i, p.data, new[i])
            raise
        states[:] = new

    def _updating(self) -> Callable[..., Step]:
        """Return `update` for the parameters of the only group; it also takes an empty state."""
        if type(self).update is Optimizer.update:
            group = self.param_groups[0]
            return self._by_rule((vars(group) if watcher() is None else group).__getitem__)  # asked once, not for each
        return lambda w, g, state: self.update(w, g, state or self.initial_state(w))

    def _checked_step(self, update: Callable[..., Step], i: int, w: Array, g: Array, state: dict[str, Any]) -> Step:
        """Return the result of an update that is not this package's. Raises TypeError, ValueError or StateError."""
        try:
            result: Any = update(_read_only(w), _read_only(g), state)
        except ValueError as error:
            if "read-only" in str(error):
                error.add_note(
                    "a step must not modify the arrays that it gets, because graphs use them; write w = w - lr * g"
                )
            raise
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"update returned {given(result)}; return the new array and the new state")
        value, entry = map_leaves(_own, result)
        return value, self._checked(i, w, entry)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients to None, or set existing ones to zeros if `set_to_none` is False."""
        forget_gradients(self.parameters, set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return each group's hyperparameters, and a copy of each parameter's state by name, or else by position."""
        state = {key: _copied(entry) for key, entry in zip(self._keys(), self.state, strict=True)}
        return {"param_groups": self._groups(), "state": state}

    def load_state_dict(self, state_dict: Any) -> None:
        """Set groups and state from a `state_dict()`. If a part does not fit, nothing is changed.

        Raises StateError if something is missing, unexpected, out of its range, or of another shape or dtype.
        """
        if not isinstance(state_dict, Mapping) or {*state_dict} != {"param_groups", "state"}:
            raise StateError(f"{given(state_dict)} is no state of an optimiser; save one by optimizer.state_dict()")
        settings = self._checked_settings(state_dict["param_groups"])
        keys, state = [*map(str, self._keys())], state_dict["state"]  # JSON turns positions into strings
        entries = {str(key): entry for key, entry in state.items()} if isinstance(state, Mapping) else {}
        if entries.keys() != {*keys}:
            raise StateError(f"a state needs an entry for each of {keys}, got {given(state)}; load that of these")
        self.state = [entries[key] for key in keys]
        for group, values in zip(self.param_groups, settings, strict=True):
            vars(group).update(values)

    def _keys(self) -> list[Any]:
        """Return the names of all parameters, or their positions if they have none."""
        names = [name for group in self.param_groups for name in group.names or ()]
        return names or [*range(len(self.parameters))]

    def _groups(self) -> list[dict[str, Any]]:
        """Return the groups of a `state_dict()`, checked."""
        keys = iter(self._keys())
        return [{**group, "params": [next(keys) for _ in group.params]} for group in self.param_groups]

    def _checked_settings(self, groups: Any) -> list[dict[str, Any]]:
        own, kinds = self._groups(), self.hyperparameters()
        alike = isinstance(groups, (list, tuple)) and all(isinstance(x, Mapping) for x in groups)
        described = [[({*x}, {*x.get("params", ())}) for x in each] for each in (own, groups if alike else ())]
        if described[0] != described[1]:
            raise StateError(f"these are not the groups of this optimiser; load such as {own}, got {groups!r:.200}")
        try:
            return [self._check({name: kinds[name].checked(group[name]) for name in kinds}) for group in groups]
        except (TypeError, ValueError) as error:
            raise StateError(str(error)) from error

    def _checked(self, i: int, w: Array, entry: Any) -> dict[str, Any]:
        """Return the checked state of the parameter at a position. Raises StateError."""
        if type(entry) is dict and not entry:
            return entry
        kept, more = {*self.state_names}, self.optional_state_names  # without names, nothing is known of its state
        if not isinstance(entry, dict) or ((kept or more) and entry.keys() - more != kept):
            found = sorted(entry) if isinstance(entry, dict) else given(entry)
            needed = f"{sorted(kept)} in a dict; a class of your own may name in state_names what it keeps"
            raise StateError(f"parameter {self._keys()[i]} has the state {found}, needs {needed}")
        for name, x in entry.items():
            if type(x) is int or (not isinstance(x, (np.ndarray, np.floating)) and is_number(x)):
                continue
            fits = isinstance(x, np.floating) or (isinstance(x, (np.ndarray, ArrayProxy)) and x.shape == w.shape)
            if not fits or x.dtype != w.dtype:
                raise StateError(
                    f"{name} of parameter {self._keys()[i]} must be a number or an array of {w.shape}, {w.dtype}; got "
                    f"{x!r:.60}; after module.astype make a new optimiser"
                )
        return entry

    @classmethod
    def hyperparameters(cls) -> dict[str, Hyperparameter]:
        """Return the hyperparameters by name."""
        found = [vars(kind).items() for kind in reversed(cls.__mro__)]
        return {name: value for items in found for name, value in items if isinstance(value, Hyperparameter)}

    def __repr__(self) -> str:
        groups = [repr(group) for group in self.param_groups]
        return f"{type(self).__name__}({groups[0] if len(groups) == 1 else ', '.join(f'[{x}]' for x in groups)})"


def _read_only(x: Any) -> Any:
    """Return a read-only view of an array, or a proxy itself."""
    if type(x) is np.ndarray:
        x = x.view()
        x.flags.writeable = False
    return x


def _own(x: Any) -> Any:
    """Return a copy of such a view, or anything else itself."""
    return x.copy() if type(x) is np.ndarray and not x.flags.writeable else x


def _copied(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state with arrays of its own, and Python's integers, which leave other dtypes as they are."""
    own = {name: int(x) if isinstance(x, np.integer) else x for name, x in entry.items()}
    return {name: np.array(x) if isinstance(x, np.ndarray) else x for name, x in own.items()}
