"""The arguments of a call while it is traced: proxies in the same nesting."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from typing import Any

import numpy as np

from ...tensor.handle import Tensor
from ..signature import SCALARS, constant
from .table import innermost
from .tracer import Tracer


class Arguments:
    """Makes the proxies for arguments, in the order of their leaves, one for each object.

    An array, Tensor or number is named after its parameter; in a dict after its key, in a list after the list, with its
    position: the W of the first of two layers is W1.
    """

    def __init__(self, tracer: Tracer, known: bool) -> None:
        self._tracer, self._known = tracer, known
        self.twins: dict[int, Any] = {}
        self.objects: list[Any] = []
        self.containers: list[Any] = []

    def of_call(self, function: Any, args: Any, kwargs: Any) -> Any:
        """Return the positional and the named arguments, with proxies."""
        names = _positional(function, len(args))
        given = [self.replaced(x, name) for x, name in zip(args, names, strict=True)]
        return given, {name: self.replaced(x, name) for name, x in kwargs.items()}

    def replaced(self, tree: Any, name: str, place: str = "") -> Any:
        """Return nested arguments with proxies for arrays, Tensors and numbers."""
        kind = type(tree)
        if kind is int or kind is float or isinstance(tree, SCALARS):
            number = self._tracer.argument(tree, f"{name}{place}")
            return number.number() if self._known else number
        if kind is tuple or (isinstance(tree, tuple) and hasattr(tree, "_fields")):
            parts = self._parts(tree, name, place)
            return tuple(parts) if kind is tuple else kind(*parts)
        if id(tree) not in self.twins:
            self.twins[id(tree)] = self._twin(tree, name, place)
        return self.twins[id(tree)]

    def _parts(self, tree: Any, name: str, place: str) -> list[Any]:
        return [self.replaced(x, name, f"{place}_{i}" if place else f"{i}") for i, x in enumerate(tree, start=1)]

    def _twin(self, tree: Any, name: str, place: str) -> Any:
        """Return a proxy of an array or a Tensor, or a container of proxies; any other object stands for itself."""
        kind = type(tree)
        if kind is Tensor or kind is np.ndarray or kind is np.memmap:
            return self._tracer.argument(tree if kind is Tensor else np.asarray(tree), f"{name}{place}")
        if kind is list:
            twin: Any = self._parts(tree, name, place)
        elif kind is dict or kind is OrderedDict:
            twin = kind((key, self.replaced(x, str(key), place)) for key, x in tree.items())
        else:
            constant(tree, self.objects)
            return tree
        self.containers.append(twin)
        return twin


def _positional(function: Any, n: int) -> list[str]:
    """Return the names of the first n positional parameters."""
    try:
        parameters = list(inspect.signature(innermost(function)).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    own = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [*own, *[f"x{i + 1}" for i in range(len(own), n)]][:n]
