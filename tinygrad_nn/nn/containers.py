"""Modules that hold modules, in order or by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, Self

from ..errors import given
from .module import Module


class _Container(Module):
    """A module that is read and changed like the list or dictionary of modules that it holds."""

    _unnamed = "_modules"
    __eq__: Any = object.__eq__
    __hash__: Any = object.__hash__

    def __init__(self, modules: Any) -> None:
        self._check(modules.values() if isinstance(modules, dict) else modules)
        self._modules = modules

    def _check(self, modules: Iterable[Any]) -> None:
        """Raise TypeError unless all are modules."""
        for m in modules:
            if not isinstance(m, Module):
                kind = type(self).__name__
                raise TypeError(f"{kind} takes modules, not {given(m)}; write Sequential(*layers), nn.ReLU()")

    def __getitem__(self, key: Any) -> Any:
        return self._modules[key]

    def __setitem__(self, key: Any, module: Any) -> None:
        self._check(module if isinstance(key, slice) else [module])
        self._modules[key] = module

    def __delitem__(self, key: Any) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules)


class ModuleList(_Container, MutableSequence[Any]):
    """A list of modules that is itself a module, and so is a slice of it. Plain lists on a module are searched, too.

    >>> import tinygrad_nn as tg
    >>> layers = tg.nn.ModuleList([tg.nn.Linear(2, 2, seed=0)])
    >>> _ = layers.append(tg.nn.Linear(2, 1, bias=False, seed=1))
    >>> len(layers), [name for name, _ in layers.named_parameters()]
    (2, ['0.weight', '0.bias', '1.weight'])
    """

    def __init__(self, modules: Iterable[Any] | None = None) -> None:
        super().__init__([*(modules or ())])

    def __getitem__(self, index: Any) -> Any:
        found = self._modules[index]
        return ModuleList(found) if isinstance(index, slice) else found

    def insert(self, index: int, value: Any) -> None:
        """Insert a module before the one at this index."""
        self[index:index] = [value]

    def append(self, value: Any) -> Self:  # type: ignore[override]
        """Append a module; return the list, as in PyTorch."""
        self.insert(len(self), value)
        return self

    def extend(self, values: Iterable[Any]) -> Self:  # type: ignore[override]
        """Append modules; return the list, as in PyTorch."""
        self[len(self) :] = [*values]
        return self


class ModuleDict(_Container, MutableMapping[str, Any]):
    """A dictionary of modules that is itself a module. Plain dictionaries on a module are searched, too.

    >>> import tinygrad_nn as tg
    >>> heads = tg.nn.ModuleDict({"left": tg.nn.Linear(2, 1, seed=0), "right": tg.nn.Identity()})
    >>> list(heads), [name for name, _ in heads.named_parameters()]
    (['left', 'right'], ['left.weight', 'left.bias'])
    """

    def __init__(self, modules: Mapping[str, Any] | None = None) -> None:
        super().__init__(dict(modules or {}))


class Sequential(ModuleList):
    """Modules that compute one after the other. A slice is a Sequential that shares its modules.

    >>> import tinygrad_nn as tg
    >>> network = tg.nn.Sequential(tg.nn.Linear(2, 3, seed=0), tg.nn.ReLU(), tg.nn.Linear(3, 1, seed=1))
    >>> network([[1.0, -1.0]]).shape, [name for name, _ in network.named_parameters()]
    ((1, 1), ['0.weight', '0.bias', '2.weight', '2.bias'])
    >>> network[:2]
    Sequential(
      (0): Linear(in_features=2, out_features=3)
      (1): ReLU()
    )
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__(modules)

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Sequential(*found) if isinstance(index, slice) else found

    def forward(self, x: Any) -> Any:
        """Return the last module's output."""
        for module in self._modules:
            x = module(x)
        return x
