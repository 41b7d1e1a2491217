"""How NumPy's functions are written in a program, and which of them can write into given memory."""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from .program import Function, Line, values_in

_FORMS = dict.fromkeys((np.concatenate, np.dot, np.cumsum, np.cumprod, np.clip), "out")  # np.einsum may ignore it
_FORMS |= {np.where: "where", np.copy: "copy"}


@functools.cache
def of_numpy(function: Any) -> Function:
    """Return NumPy's function as a program calls it."""
    if isinstance(function, np.ufunc):
        return Function(_name(function), function, "ufunc")
    return Function(_name(function), function, _FORMS.get(function, "plain"))


@functools.cache
def of_method(ufunc: np.ufunc, method: str) -> Function:
    """Return a ufunc's method as a program calls it."""
    kind = "out" if method in ("reduce", "accumulate") else "plain"
    return Function(f"{_name(ufunc)}.{method}", getattr(ufunc, method), kind)


REDUCTIONS: dict[Any, np.ufunc] = {
    np.sum: np.add, np.prod: np.multiply, np.max: np.maximum, np.amax: np.maximum, np.min: np.minimum,
    np.amin: np.minimum, np.all: np.logical_and, np.any: np.logical_or,
}  # fmt: skip


def _name(function: Any) -> str:
    if isinstance(function, np.ufunc):
        module = "np" if getattr(np, function.__name__, None) is function else "scipy.special"
    else:
        module = str(function.__module__).replace("numpy", "np", 1)
    return f"{module}.{function.__name__}"


def on_a_copy(change: Any) -> Any:
    """Return a function that applies `change` to a copy of its first argument, and returns the copy."""

    def apply(x: Any, *args: Any) -> Any:
        y = np.array(x)
        change(y, *args)
        return y

    return apply


@functools.cache
def of_at(ufunc: np.ufunc) -> Function:
    """Return a ufunc's method `at`, which writes into its first argument, as a function that returns a changed copy."""
    return Function(f"{_name(ufunc)}.at", on_a_copy(ufunc.at), "at", ufunc)


def _astype(x: Any, dtype: Any, **more: Any) -> Any:
    return x.astype(dtype, **more)


GETITEM = Function("{0}[{1}]", operator.getitem)
SETITEM = Function("setitem", on_a_copy(operator.setitem), "setitem")
ZEROS = Function("np.zeros", np.zeros, "zeros")
ARRAY = Function("np.array", np.array)
COPY = Function("np.copy", np.copy, "copy")
ASTYPE = Function("astype", _astype, "astype")


def _same(x: Any, expected: Any) -> bool:
    return bool(x) == expected if isinstance(expected, bool) else x == expected


KIND = Function("({0}.shape, {0}.dtype.str)", lambda x: (x.shape, x.dtype.str), "operator")
GUARD = Function("guard", _same, "guard")

# Python's operators on a program's numbers: how they are written, and the ufuncs that they are beside an array.
OPERATORS: dict[str, tuple[str, np.ufunc]] = {
    "add": ("{0} + {1}", np.add), "sub": ("{0} - {1}", np.subtract), "mul": ("{0} * {1}", np.multiply),
    "truediv": ("{0} / {1}", np.true_divide), "floordiv": ("{0} // {1}", np.floor_divide),
    "mod": ("{0} % {1}", np.remainder), "pow": ("{0} ** {1}", np.power), "neg": ("-{0}", np.negative),
    "abs": ("abs({0})", np.absolute), "lt": ("{0} < {1}", np.less), "le": ("{0} <= {1}", np.less_equal),
    "gt": ("{0} > {1}", np.greater), "ge": ("{0} >= {1}", np.greater_equal), "eq": ("{0} == {1}", np.equal),
    "ne": ("{0} != {1}", np.not_equal),
}  # fmt: skip
ON_NUMBERS = {name: Function(text, getattr(operator, name), "operator") for name, (text, _) in OPERATORS.items()}

# NumPy's functions whose result's shape and dtype follow from those of their operands, by the number of operands. For
# any other function, the program is restricted to the shape and dtype that the trace found.
_BY_OPERANDS = {
    1: """reshape transpose matrix_transpose swapaxes moveaxis rollaxis expand_dims squeeze broadcast_to ravel
        concatenate stack vstack hstack atleast_1d flip atleast_2d atleast_3d cumsum cumprod sort argsort partition diff
        argpartition argmax argmin roll rot90 tile pad tril triu diag diagonal trace mean var std median zeros_like
        ones_like copy empty_like count_nonzero real imag nan_to_num sliding_window_view as_strided inv cholesky det
        slogdet eigh eigvalsh svd qr norm""",
    2: """dot tensordot inner outer vdot kron cross take take_along_axis searchsorted full_like solve isin array""",
    4: "clip where interp put_along_axis polyval",
    99: "einsum",
}
_OPERAND_COUNTS = {name: count for count, names in _BY_OPERANDS.items() for name in names.split()}
OPERANDS = frozenset({"initial", "where", "min", "max", "a_min", "a_max", "fill_value", "prepend", "append"})
_ON_ENTRIES = frozenset({"ufunc", "operator", "where", "guard", "astype", "setitem", "at", "zeros", "copy"})


def operand_count(function: Function) -> int:
    """Return how many of a function's first arguments are operands; the others are lengths, axes and the like."""
    if function.kind in _ON_ENTRIES or function.kind == "operation":
        return 99
    return _OPERAND_COUNTS.get(function.text.rpartition(".")[2], 1)


def takes_numbers(function: Function, index: int) -> bool:
    """Return whether an operand may be a Python number that changes from call to call."""
    value = function.kind == "setitem" and index == 2
    return value or function.kind in ("ufunc", "operator", "where", "guard", "astype")


def kind_follows(line: Line) -> bool:
    """Return whether shapes and dtypes of a line's results follow from those of its operands."""
    function = line.function
    if function is GETITEM:
        return not any(v.dtype is not None and v.dtype.kind == "b" for v in values_in(line.args[1:]))
    if function.kind in _ON_ENTRIES or function.text.endswith((".reduce", ".accumulate")):
        return True
    return function.text.rpartition(".")[2] in _OPERAND_COUNTS or not line.reads()
