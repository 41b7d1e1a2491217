"""Modules that hold modules, in order or by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any

from .module import Module


class _Container(Module):
    """What is read and changed as the list or dictionary of modules that it holds, beside attributes of its own."""

    _unnamed = "_modules"
    __eq__: Any = object.__eq__
    __hash__: Any = object.__hash__

    def __init__(self, modules: Any) -> None:
        self._modules = modules

    def __getitem__(self, key: Any) -> Any:
        return self._modules[key]

    def __setitem__(self, key: Any, module: Any) -> None:
        self._modules[key] = module

    def __delitem__(self, key: Any) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules)


class ModuleList(_Container, MutableSequence[Any]):
    """A list of modules that is itself a module. A plain list set on a module is walked just as well.

    >>> import tinygrad_nn as tg
    >>> layers = tg.nn.ModuleList([tg.nn.Linear(2, 2, seed=0)])
    >>> layers.append(tg.nn.Linear(2, 1, bias=False, seed=1))
    >>> len(layers), [name for name, _ in layers.named_parameters()]
    (2, ['0.weight', '0.bias', '1.weight'])
    """

    def __init__(self, modules: Iterable[Any] = ()) -> None:
        super().__init__([*modules])

    def insert(self, index: int, value: Any) -> None:
        """Put a module before the one of this index."""
        self._modules.insert(index, value)


class ModuleDict(_Container, MutableMapping[str, Any]):
    """Modules by name, and itself a module. A plain dictionary set on a module is walked just as well.

    >>> import tinygrad_nn as tg
    >>> heads = tg.nn.ModuleDict({"left": tg.nn.Linear(2, 1, seed=0), "right": tg.nn.Identity()})
    >>> list(heads), [name for name, _ in heads.named_parameters()]
    (['left', 'right'], ['left.weight', 'left.bias'])
    """

    def __init__(self, modules: Mapping[str, Any] | None = None) -> None:
        super().__init__(dict(modules or {}))


class Sequential(ModuleList):
    """Modules that compute one after the other. A slice is a Sequential of the same modules.

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
        if wrong := [m for m in modules if not isinstance(m, Module)]:
            raise TypeError(f"Sequential takes modules, not {wrong[0]!r:.60}; write Sequential(*layers), nn.ReLU()")
        super().__init__(modules)

    def __getitem__(self, index: Any) -> Any:
        return Sequential(*self._modules[index]) if isinstance(index, slice) else self._modules[index]

    def forward(self, x: Any) -> Any:
        """Return the last module's output."""
        for module in self._modules:
            x = module(x)
        return x
