"""A module owns parameters, buffers, generators and other modules, all by name."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from ..engine.arrays import as_array, raw
from ..engine.trees import mapped
from ..errors import DetachedError, DtypeError, StateError, given
from ..ops.settings import Explained, switch
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor, convert, replace_values
from .describing import locate, summary
from .habits import METHODS

_PARAMETER, _BUFFER, _TEMPORARY = "parameter", "buffer", "temporary buffer"


def Parameter(data: Any, requires_grad: bool = True) -> Tensor:
    """Return a Tensor that is a parameter of any module on which it is set, even if it never required grad.

    A Tensor is marked itself, without a copy; other numbers become a Tensor.

    >>> import tinygrad_nn as tg
    >>> tg.nn.Parameter([1.0, 2.0], requires_grad=False)
    tg.tensor([1., 2.], dtype='float64')
    """
    t = as_tensor(data)
    t.requires_grad, t.role = requires_grad, _PARAMETER  # a dtype that can't require grad raises before the mark
    return t


def Buffer(data: Any, persistent: bool = True) -> Tensor:
    """Return a Tensor that is a buffer of any module on which it is set: saved, but not trained.

    If it is not `persistent`, `state_dict()` leaves it out.

    >>> import tinygrad_nn as tg
    >>> tg.nn.Buffer([0, 1])
    tg.tensor([0, 1], dtype='int64')
    """
    t = as_tensor(data)
    t.role = _BUFFER if persistent else _TEMPORARY
    return t


def forget_gradients(parameters: list[Tensor], set_to_none: bool) -> None:
    """Set the gradients of parameters to None, or set existing ones to zeros."""
    for p in parameters:
        p.grad = None if set_to_none or p.grad is None else Tensor(np.zeros(p.shape, p.dtype))


def _role(t: Tensor) -> str | None:
    """Return what a Tensor is in a module; a leaf that requires grad is a parameter from then on, frozen or not."""
    role: str | None = getattr(t, "role", None)
    if role is None and t.requires_grad and t.is_leaf:
        role = t.role = _PARAMETER
    return role


def _parts(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the modules, Tensors and generators in nested lists, tuples and dictionaries, with their names."""
    if isinstance(value, (Module, Tensor, np.random.Generator)):
        yield prefix, value
    elif isinstance(value, (dict, list, tuple)):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _parts(f"{prefix}.{key}" if prefix else str(key), part)


def _walk(prefix: str, module: Module, within: tuple[Module, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield a module and all that it holds, at any depth, under each name; `within` are the modules around it."""
    yield prefix, module
    if not any(module is outer for outer in within):
        for name, x in module._held(prefix):
            yield from _walk(name, x, (*within, module)) if isinstance(x, Module) else [(name, x)]


def _all(module: Module) -> Iterator[tuple[str, Any]]:
    """Yield what `_walk` finds in a module. Raises StateError if two objects have the same name."""
    found: dict[str, Any] = {}
    for name, x in _walk("", module):
        if found.setdefault(name, x) is not x:
            raise StateError(f"two things in this {type(module).__name__} are named {name!r}; use another name or key")
        yield name, x


def _once(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield each object once, under its first name."""
    found: dict[int, tuple[str, Any]] = {}
    for name, x in named:
        found.setdefault(id(x), (name, x))
    yield from found.values()


def _is_plain(x: Any) -> bool:
    return x is None or isinstance(x, (int, float, str)) or (isinstance(x, tuple) and all(map(_is_plain, x)))


def _replaced(value: Any, new: dict[int, Any]) -> Any:
    """Return a copy of an attribute; `new` has what to put in, by the id of the old, and then copied modules too."""

    def copied(module: Any) -> Any:
        if id(module) not in new:
            twin = new[id(module)] = object.__new__(type(module))
            vars(twin).update({key: _replaced(part, new) for key, part in vars(module).items()})
        return new[id(module)]

    return mapped(lambda x: new.get(id(x), x), value, copied)


def tensor_or_none(name: str, x: Any) -> Tensor | None:
    """Return a Tensor or None. Raises TypeError for anything else."""
    if not isinstance(x, Tensor | None):
        remedy = f"write module.{name}.data = array, or module.{name} = tg.nn.Parameter(array)"
        raise TypeError(f"{name} is a Tensor here, got {given(x)}; {remedy}")
    return x


def _fits(name: str, old: Any, new: Tensor) -> None:
    """Raise ValueError if a Tensor can't take the place of a parameter or buffer; give it the role of a buffer."""
    role = _role(old)
    if role != _PARAMETER and not new.requires_grad and _role(new) in (None, _BUFFER):
        new.role = role
    if (_role(new), new.shape, new.dtype) != (role, old.shape, old.dtype):
        raise ValueError(
            f"{name} is a {role} of {old.shape}, {old.dtype}: only a {role} of that shape and dtype fits, got "
            f"{given(new)}, {new.dtype}; write module.{name}.data = value.data, or module.{name} = tg.nn."
            f"{'Parameter' if role == _PARAMETER else 'Buffer'}(value.data), and for another shape or dtype "
            f"module.{name} = None before"
        )


class Module(Explained, settings={"training": switch}):
    """The base of all layers and networks: a subclass sets Tensors and modules as attributes and defines `forward`.

    A Tensor that requires grad when it is set is a parameter from then on, frozen or not. `Parameter` and `Buffer` mark
    explicitly: a buffer is saved but not trained. Other Tensors, such as a result kept for later, are no state.
    Lists, tuples and dictionaries are searched as well; an entry that is set later is found, but not checked. An object
    with several names counts once, under the first, so tied parameters stay tied. `super().__init__()` is needed only
    in subclasses of a layer.

    >>> import tinygrad_nn as tg
    >>> class Scaled(tg.nn.Module):
    ...     def __init__(self):
    ...         self.scale = tg.tensor(2.0, requires_grad=True)
    ...         self.linear = tg.nn.Linear(3, 1, seed=0)
    ...
    ...     def forward(self, x):
    ...         return self.scale * self.linear(x)
    >>> [name for name, _ in Scaled().named_parameters()]
    ['scale', 'linear.weight', 'linear.bias']
    >>> Scaled()
    Scaled(
      (linear): Linear(in_features=3, out_features=1)
    )
    """

    training = True
    _elsewhere = METHODS
    _unnamed: ClassVar[str | None] = None  # the attribute whose name is left out of its entries' names

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the result of `forward`."""
        try:
            return self.forward(*args, **kwargs)
        except (ValueError, IndexError, DetachedError, DtypeError) as error:  # mostly shapes that do not fit
            locate(error, self, _walk("", self), (args, kwargs))
            raise

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; defined by subclasses. Raises NotImplementedError here."""
        kind = type(self).__name__
        raise NotImplementedError(f"{kind} computes nothing; write def forward(self, x) in class {kind}")

    def __setattr__(self, name: str, value: Any) -> None:
        old, value = vars(self).get(name), self._kept(name, value)
        if isinstance(old, Module) and not isinstance(value, Tensor | Module | None):
            raise TypeError(f"{name} is a module here, got {given(value)}; write module.{name} = another module")
        is_kept = isinstance(old, Tensor) and _role(old) is not None
        if is_kept and not isinstance(value, Module) and tensor_or_none(name, value) is not None:
            _fits(name, old, value)
        object.__setattr__(self, name, value)
        for _, t in _parts(name, value):
            if isinstance(t, Tensor) and t.is_leaf:
                t.name = t.name or name  # for errors, pictures and compiled programs
                _role(t)  # which marks it

    def _held(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Yield the modules, Tensors and generators that this module holds directly, with their names."""
        own, unnamed = vars(self), self._unnamed
        if unnamed is not None:
            getattr(self, unnamed)  # raises where super().__init__() was left out

        def rank(name: str) -> int:  # PyTorch's order
            x = own[name]
            return int(_role(x) != _PARAMETER) if isinstance(x, Tensor) else 2 + (name != unnamed)

        for name in sorted(own, key=rank):
            yield from _parts(prefix, own[name] if name == unnamed else {name: own[name]})

    def _tensors(self, *roles: str) -> Iterator[tuple[str, Tensor]]:
        """Yield the Tensors of these roles, under each of their names."""
        return ((name, t) for name, t in _all(self) if isinstance(t, Tensor) and _role(t) in roles)

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each parameter once, with its name; frozen ones too."""
        return _once(self._tensors(_PARAMETER))

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each buffer once, with its name."""
        return _once(self._tensors(_BUFFER, _TEMPORARY))

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """Yield this module, named "", and each module inside it, once each, with their names."""
        return _once((name, m) for name, m in _all(self) if isinstance(m, Module))

    def parameters(self) -> list[Tensor]:
        """Return the parameters in PyTorch's order: a module's own come before those of the modules that it holds."""
        return [p for _, p in self.named_parameters()]

    def buffers(self) -> list[Tensor]:
        """Return the buffers, in the order of their names."""
        return [t for _, t in self.named_buffers()]

    def modules(self) -> list[Module]:
        """Return this module and all modules inside it, each before the modules that it holds."""
        return [m for _, m in self.named_modules()]

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield each module that this one holds directly, once, with its name."""
        return _once((name, m) for name, m in self._held() if isinstance(m, Module))

    def children(self) -> list[Module]:
        """Return the modules that this one holds directly."""
        return [m for _, m in self.named_children()]

    def generators(self) -> dict[str, np.random.Generator]:
        """Return the random generators by name; checkpoints save their states, `state_dict` does not."""
        return dict(_once((name, g) for name, g in _all(self) if isinstance(g, np.random.Generator)))

    def with_parameters(self, parameters: Mapping[str, Any]) -> Self:
        """Return a copy of this module that computes with the given tensors, by name, instead of its own.

        They are parameters of the copy, whether they require grad or not. All other parameters are shared. Raises
        StateError if a name is not that of a parameter.
        """
        own = dict(self.named_parameters())
        if unknown := [name for name in parameters if name not in own]:
            raise StateError(f"{', '.join(unknown)} is not a parameter here; name one of {', '.join(own)}")
        for p in parameters.values():
            if isinstance(p, Tensor):
                p.role = _PARAMETER
        twin: Self = _replaced(self, {id(own[name]): p for name, p in parameters.items()})
        return twin

    def train(self, mode: bool = True) -> Self:
        """Set `training`, which dropout and batch norm read, here and in all modules inside; return the module."""
        for m in self.modules():
            if m.training is not mode:
                m.training = mode
        return self

    def eval(self) -> Self:
        """Switch the module to evaluation: `train(False)`. Return it."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze all parameters (False), or let them be trained (True); return the module."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients to None, or set existing ones to zeros if `set_to_none` is False."""
        forget_gradients(self.parameters(), set_to_none)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on each module inside, then on this one, once each; return this module."""
        seen: set[int] = set()

        def visit(m: Module) -> None:
            if id(m) not in seen:
                seen.add(id(m))
                for child in m.children():
                    visit(child)
                fn(m)

        visit(self)
        return self

    def astype(self, dtype: Any) -> Self:
        """Convert all floating parameters and buffers in place and forget their gradients; return the module."""
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"a module computes in floating numbers, not {np.dtype(dtype)}; write astype(np.float32)")
        for t in [*self.parameters(), *self.buffers()]:
            if t.dtype.kind == "f":
                convert(t, dtype)
        return self

    def reset_parameters(self, seed: Any = None) -> None:
        """Draw the parameters of this module and all modules inside again, from a seed or a generator.

        Each layer's class says how. Raises NotImplementedError for a class with its own parameters that doesn't.
        """
        generator, kind = np.random.default_rng(seed), type(self)
        within = {id(p) for m in self.children() for p in m.parameters()}
        own = [name for name, p in self.named_parameters() if id(p) not in within]
        if own and kind.reset_parameters is Module.reset_parameters:
            raise NotImplementedError(
                f"nothing says how {kind.__name__} draws {', '.join(own)}; write def reset_parameters(self, seed=None) "
                "in its class, which sets their data and calls super().reset_parameters(seed)"
            )
        for m in self.children():
            m.reset_parameters(generator)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of the arrays of all parameters, frozen ones too, and all persistent buffers, by name.

        As in PyTorch, a tied parameter appears under each of its names, with the same array.
        """
        tensors = dict(self._tensors(_PARAMETER, _BUFFER))
        copies = {id(t): t.data.copy() for t in tensors.values()}
        return {name: copies[id(t)] for name, t in tensors.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Set all parameters and buffers from arrays by name. If one doesn't fit, nothing is changed.

        A tied parameter may appear under one of its names, or under several with equal numbers. If `strict` is False,
        names may be missing or unexpected. Raises StateError, which lists all missing, unexpected and mis-shaped names.
        """
        if not isinstance(state_dict, Mapping):
            raise StateError(f"a state is a dict of arrays by name, got {given(state_dict)}; load that of state_dict()")
        arrays, problems = {}, []
        for name, value in state_dict.items():
            try:
                arrays[name] = as_array(raw(value))
            except (TypeError, ValueError) as error:
                problems.append(f"{name} is {given(value)}, which is no array: {error}")
        tensors = dict(self._tensors(_PARAMETER, _BUFFER))
        first = {id(t): name for name, t in reversed(tensors.items()) if name in arrays}
        if strict:
            missing = [name for name, t in _once(tensors.items()) if id(t) not in first and name not in state_dict]
            problems += [f"{name} is missing" for name in missing]
            problems += [f"{name} is not a parameter here" for name in arrays if name not in tensors]
        found = [(name, tensors[name], array) for name, array in arrays.items() if name in tensors]
        for name, t, array in found:
            if array.shape != t.shape:
                problems.append(f"{name} has shape {array.shape}, needs {t.shape}")
            elif array.dtype != t.dtype:
                problems.append(f"{name} has dtype {array.dtype}, needs {t.dtype}: use .astype")
            elif not np.array_equal(arrays[first[id(t)]], array, equal_nan=array.dtype.kind == "f"):
                problems.append(f"{name} is another name of {first[id(t)]} here, and has other numbers")
        if problems:
            raise StateError(f"this state does not fit: {'; '.join(problems)}; load that of such a module")
        replace_values([(t, array.copy()) for _, t, array in found])

    def summary(self, input: Any = None) -> str:
        """Return a table of the modules with their parameters and, if an input is given, their output shapes.

        The input is run in eval mode, without recording. A tuple is several arguments, a dictionary keyword arguments.
        """
        return summary(self, input)

    def extra_repr(self) -> str:
        """Return the text in the brackets of the repr: attributes that are numbers, strings, tuples or None."""
        settings = [(k, v) for k, v in vars(self).items() if k != "training" and k[0] != "_" and _is_plain(v)]
        return ", ".join(f"{name}={value!r}" for name, value in settings)

    @reprlib.recursive_repr()
    def __repr__(self) -> str:
        inner = [f"({name}): {m!r}".replace("\n", "\n  ") for name, m in self.named_children()]
        return "\n  ".join([f"{type(self).__name__}({self.extra_repr()}", *inner]) + "\n" * bool(inner) + ")"
