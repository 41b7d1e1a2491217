"""What calls that share a program have in common, and what may differ between them."""

from __future__ import annotations

import enum
import random
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..errors import CompileError
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ..tensor.handle import Tensor
from .refusals import not_described

BY_VALUE = (int, float, complex, str, bytes, bool, type(None), np.generic, np.dtype, range, type(Ellipsis), enum.Enum)
SCALARS = (np.number, np.bool, np.datetime64)  # NumPy's, of which each call may have another: a text is no number
_DESCRIBED_ONCE = frozenset({np.ndarray, np.memmap, Tensor, list, dict, OrderedDict})
GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
_BY_IDENTITY = (
    *(Tensor, np.ndarray, Module, Optimizer, type, ModuleType, FunctionType, BuiltinFunctionType, np.ufunc),
    *GENERATORS,
)


class Identity:
    """An object as part of a signature: equal only to itself, and to nothing once it is gone."""

    def __init__(self, x: Any) -> None:
        self._hash = id(x)
        try:
            self.held: Callable[[], Any] = weakref.ref(x)
        except TypeError:  # of a kind that has no weak references
            self.held = lambda: x

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and (x := self.held()) is not None and x is other.held()

    def when_gone(self, forget: Callable[[], None]) -> None:
        """Call a function when the object is gone."""
        if isinstance(self.held, weakref.ref) and (x := self.held()) is not None:
            self._end = weakref.ref(x, lambda _: forget())


def raising() -> tuple[str, ...]:
    """Return which floating-point errors raise here."""
    modes = np.geterr()
    return tuple([kind for kind, what in modes.items() if what == "raise"]) if "raise" in modes.values() else ()


def signature(args: Any, kwargs: Any, flat: list[Any]) -> Any:
    """Return what all calls that share a program have in common, and append the arrays and numbers to `flat`.

    Raises CompileError if an argument can't be described in this way.
    """
    seen: dict[int, int] = {}
    try:
        described = [_described(x, flat, seen) for x in args]
        if kwargs:
            described.append((dict, *[(name, _described(x, flat, seen)) for name, x in kwargs.items()]))
    except RecursionError as error:
        raise CompileError("an argument contains itself; pass what it holds") from error
    return (*described, bool(kwargs))


def _described(x: Any, flat: list[Any], seen: dict[int, int]) -> Any:
    kind = type(x)
    if kind is float or kind is int:
        flat.append(x)
        return kind
    if kind in _DESCRIBED_ONCE:
        if (before := seen.get(id(x))) is not None:  # one object in two places is one proxy
            return kind, before
        parts: list[Any] | None = None
        if kind is list:
            parts = [_described(part, flat, seen) for part in x]
        elif kind is dict or kind is OrderedDict:
            parts = [(type(key), key, _described(part, flat, seen)) for key, part in x.items()]
        seen[id(x)] = len(seen)  # afterwards: what contains itself is an error
        if parts is not None:
            return kind, *parts
        flat.append(np.asarray(x) if kind is np.memmap else x)
        if kind is Tensor:
            node, array = x._node, x._array
            recorded = None if node is None else (node.operation is None, bool(node.hooks))
            return kind, array.shape, array.dtype, None if array.flags.c_contiguous else array.strides, recorded
        return x.shape, x.dtype, None if x.flags.c_contiguous else x.strides
    if isinstance(x, SCALARS):
        flat.append(x)
        return kind
    if isinstance(x, tuple) and (kind is tuple or hasattr(x, "_fields")):
        return kind, *[_described(part, flat, seen) for part in x]
    if isinstance(x, np.ndarray):
        raise CompileError(f"an argument is a {kind.__name__}, which computes in a way of its own; pass np.asarray(x)")
    return constant(x, [])


def constant(x: Any, met: list[Any], inside: frozenset[int] = frozenset()) -> Any:
    """Return the description of an object that is not part of the program: its type, and what it holds.

    The objects that can change are appended to `met`, as deep as they are described.
    """
    kind = type(x)
    if kind is str or kind is int or x is None:
        return kind, x
    if isinstance(x, BY_VALUE) and (isinstance(x, enum.Enum) or not getattr(x, "__dict__", None)):
        return kind, repr(x) if isinstance(x, (float, complex, np.generic)) else x
    if isinstance(x, MethodType):  # made anew at each access
        with suppress(CompileError):
            return kind, Identity(x.__func__), constant(x.__self__, met, inside)
        return kind, Identity(x.__func__), Identity(x.__self__)
    met.append(x)
    if isinstance(x, _BY_IDENTITY) or "__wrapped__" in getattr(x, "__dict__", ()):  # such as compiled functions
        return kind, Identity(x)
    if id(x) in inside:
        raise CompileError(not_described(kind.__name__))
    parts = [constant(part, met, inside | {id(x)}) for part in _held_in(x)]
    return (kind, frozenset(parts)) if isinstance(x, (set, frozenset)) else (kind, *parts)


def _held_in(x: Any) -> list[Any]:
    """Return what an object holds: its entries, or the parts that a copy of it would be made from.

    Raises CompileError if it can't be copied, such as an iterator.
    """
    kind = type(x)
    if kind in (list, tuple, set, frozenset):
        return [*x]
    if kind is dict:
        return [*x, *x.values()]
    if kind is object or isinstance(x, Iterator):
        raise CompileError(not_described(kind.__name__))
    try:
        reduced = x.__reduce_ex__(2)
    except Exception as error:
        raise CompileError(not_described(kind.__name__)) from error
    if isinstance(reduced, str):  # the name of the one object of its kind
        return [reduced]
    own = [getattr(kind, name) is getattr(object, name) for name in ("__reduce_ex__", "__reduce__", "__getstate__")]
    # Without the class; with what the class's own code may leave out of a copy.
    reduced = reduced[1][1:] + reduced[2:] if all(own) else (*reduced[1:], object.__getstate__(x))
    return [list(part) if isinstance(part, Iterator) else part for part in reduced if part is not None]


def identities(part: Any) -> Iterator[Identity]:
    """Yield the objects that a signature names by identity."""
    if isinstance(part, (tuple, frozenset)):
        for inner in part:
            yield from identities(inner)
    elif isinstance(part, Identity):
        yield part


def in_words(x: Any) -> str:
    """Return arguments in words: the dtype and shape of arrays, strings and flags themselves, else the type."""
    match x:
        case Tensor() | np.ndarray():
            return f"{'Tensor ' * isinstance(x, Tensor)}{x.dtype} {x.shape}"
        case dict():
            return ", ".join([f"{key}={in_words(part)}" for key, part in x.items()])
        case list() | tuple():
            return ", ".join(filter(None, map(in_words, x)))
    return repr(x) if x is None or isinstance(x, (str, bool)) else type(x).__name__
