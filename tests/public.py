"""The public names and their signatures, as text: what a user can call, and how."""

from __future__ import annotations

import inspect
import operator
import types
from collections.abc import Iterator
from typing import Any

import tinygrad_nn as tg

SPACES = ("autograd", "data", "errors", "linalg", "nn", "nn.init", "optim", "optim.lr_scheduler", "plots", "testing")


def listing() -> list[str]:
    """Return a line for each public name, of the package, its public modules and their classes."""
    found = [f"tg.{name}{signature(getattr(tg, name))}" for name in tg.__all__ if name not in SPACES]
    for space in SPACES:
        module = operator.attrgetter(space)(tg)
        found += [f"tg.{space}.{name}{signature(getattr(module, name))}" for name in names_of(module)]
    for kind in (tg.Tensor, tg.History, tg.DenseNetwork, tg.nn.Module, tg.optim.Optimizer, tg.optim.SGD, tg.optim.Adam):
        found += [f"{kind.__name__}.{line}" for line in members(kind)]
    return sorted(found)


def names_of(module: types.ModuleType) -> list[str]:
    """Return the public names of a public module."""
    return getattr(module, "__all__", None) or [n for n, x in vars(module).items() if own(module, n, x)]


def own(module: types.ModuleType, name: str, x: Any) -> bool:
    """Return whether a module without `__all__` defines a public name itself; of `errors`, its classes."""
    if name.startswith("_") or inspect.ismodule(x) or getattr(x, "__module__", None) != module.__name__:
        return False
    return inspect.isclass(x) or not module.__name__.endswith("errors")


def members(kind: type) -> Iterator[str]:
    """Yield the methods and properties of a class, with signatures."""
    for name in dir(kind):
        x = inspect.getattr_static(kind, name)
        if not name.startswith("_") and (callable(x) or isinstance(x, (property, classmethod, staticmethod))):
            yield name + (signature(x) if callable(x) else "")


def signature(x: Any) -> str:
    """Return a function's or class's parameters by name and kind, with their defaults, without types."""
    if inspect.ismodule(x) or not callable(x):
        return ""
    try:
        parameters = inspect.signature(x).parameters.values()
    except (TypeError, ValueError):
        return "(...)"
    shown = [p.replace(annotation=p.empty) for p in parameters]
    return str(inspect.Signature(shown))
