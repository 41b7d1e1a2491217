"""How NumPy's functions are written in a program, and which of them can write into memory that is there."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .program import Function

_FORMS = dict.fromkeys((np.concatenate, np.dot, np.cumsum, np.cumprod, np.clip, np.einsum), "out")
_FORMS |= {np.where: "where", np.copy: "copy"}
_PLACES: tuple[Any, ...] = (np, np.linalg, np.lib.stride_tricks)


@functools.cache
def of_numpy(function: Any) -> Function:
    """Return NumPy's function as a program calls it."""
    if isinstance(function, np.ufunc):
        return Function(_name(function), function, "ufunc")
    return Function(_name(function), function, _FORMS.get(function, "plain"))


@functools.cache
def of_method(ufunc: np.ufunc, method: str) -> Function:
    """Return a ufunc's method as a program calls it."""
    form = "out" if method in ("reduce", "accumulate") else "plain"
    return Function(f"{_name(ufunc)}.{method}", getattr(ufunc, method), form)


REDUCTIONS = {
    np.sum: np.add, np.prod: np.multiply, np.max: np.maximum, np.amax: np.maximum, np.min: np.minimum,
    np.amin: np.minimum, np.all: np.logical_and, np.any: np.logical_or,
}  # fmt: skip


def _name(function: Any) -> str:
    for module in _PLACES:
        known: Any = getattr(module, function.__name__, None)
        if known is function:
            return f"{str(module.__name__).replace('numpy', 'np', 1)}.{function.__name__}"
    if isinstance(function, np.ufunc):
        return f"scipy.special.{function.__name__}"
    module = str(function.__module__).replace("numpy", "np", 1)
    return f"{module}.{function.__name__}"


def _setitem(x: Any, index: Any, value: Any) -> Any:
    y = np.array(x)
    y[index] = value
    return y


@functools.cache
def of_at(ufunc: np.ufunc) -> Function:
    """Return a ufunc's method `at`, which writes into its first argument, as a function that returns that."""

    def apply(x: Any, index: Any, *operands: Any) -> Any:
        y = np.array(x)
        ufunc.at(y, index, *operands)
        return y

    return Function(f"{_name(ufunc)}.at", apply, "at", ufunc)


def _added_at(x: Any, index: Any, g: Any) -> Any:
    y = np.array(x)
    y[index] += g
    return y


def _astype(x: Any, dtype: Any) -> Any:
    return x.astype(dtype)


GETITEM = Function("{0}[{1}]", operator.getitem)
SETITEM = Function("setitem", _setitem, "setitem")
ADDED_AT = Function("added", _added_at, "add")
ZEROS = Function("np.zeros", np.zeros, "zeros")
COPY = Function("np.copy", np.copy, "copy")
ASTYPE = Function("astype", _astype, "astype")


def _same(x: Any, expected: Any) -> bool:
    return bool(x) == expected if isinstance(expected, bool) else x == expected


SHAPE = Function("{0}.shape", np.shape, "operator")
GUARD = Function("guard", _same, "guard")

OPERATORS: dict[str, Callable[..., Any]] = {
    "{0} + {1}": operator.add,
    "{0} - {1}": operator.sub,
    "{0} * {1}": operator.mul,
    "{0} / {1}": operator.truediv,
    "{0} // {1}": operator.floordiv,
    "{0} % {1}": operator.mod,
    "{0} ** {1}": operator.pow,
    "-{0}": operator.neg,
    "abs({0})": abs,
    "{0} < {1}": operator.lt,
    "{0} <= {1}": operator.le,
    "{0} > {1}": operator.gt,
    "{0} >= {1}": operator.ge,
    "{0} == {1}": operator.eq,
    "{0} != {1}": operator.ne,
}
ON_NUMBERS = {text: Function(text, apply, "operator") for text, apply in OPERATORS.items()}
