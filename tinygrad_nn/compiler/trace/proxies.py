"""Proxies for arrays and numbers while a program is traced: they compute, and each call becomes a line."""

from __future__ import annotations

import functools
import inspect
import math
import operator
from collections.abc import Callable
from typing import Any, NoReturn, Self

import numpy as np

from ...engine.arrays import ArrayProxy
from ...engine.trees import leaves
from ...tensor.handle import Tensor
from ..numpy_calls import ARRAY, ON_NUMBERS, OPERATORS, REDUCTIONS, of_at, of_method, of_numpy
from ..program import Function, Value, over_leaves
from ..refusals import value_read
from .callers import in_package, users_line

_ASARRAY = Function("np.asarray", np.asarray, "operator")
_READING = frozenset({np.trim_zeros, np.real_if_close})  # the entries decide which view is returned
_WRITING = frozenset({np.put, np.place, np.putmask, np.copyto, np.fill_diagonal, np.put_along_axis})
_UNEQUAL = {np.equal: ON_NUMBERS["eq"], np.not_equal: ON_NUMBERS["ne"]}  # of numbers with strings and None
_STATIC = frozenset({np.shape, np.ndim, np.result_type, np.can_cast, np.iscomplexobj, np.isrealobj})


@functools.cache
def _passing_for(proxy: Any, kind: Any) -> Any:
    """Return the class of a proxy that `isinstance` takes for another class.

    C code reads `__class__` where it expects no exception, so this is no property: an interrupt could come in one.
    """
    return type(proxy.__name__, (proxy,), {"__slots__": (), "__class__": kind})


class Proxy(ArrayProxy):
    """NumPy's calls on it become lines of its tracer's program. `isinstance` takes it for what it stands for, if known.

    If Python asks for a number that is known, it gets that number, and the program is for this number only.
    """

    __slots__ = ("tracer", "value")

    def __new__(cls, tracer: Any, value: Value) -> Self:
        """Return a proxy of the class that passes for the value's."""
        return super().__new__(_passing_for(cls, type(value.concrete)))  # type: ignore[no-any-return, arg-type]

    def __init__(self, tracer: Any, value: Value) -> None:
        self.tracer: Any = tracer
        self.value: Value = value

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented
        if not self.tracer.open:
            return getattr(ufunc, method)(*concretes(inputs), **concretes(options))
        if ufunc in _UNEQUAL and any(x is None or isinstance(x, (str, bytes)) for x in inputs):
            return self.tracer.call(_UNEQUAL[ufunc], inputs, {})
        out, dtype = options.pop("out", ()), options.pop("dtype", None)
        if method == "at" and _has_dtype(inputs[0]) and not options:
            inputs[0].become(self.tracer.call(of_at(ufunc), inputs, {}))
            return None
        if method == "at" or "where" in options or not all(x is None or _has_dtype(x) for x in out):
            self._lacks(f"np.{ufunc.__name__} that writes into an array")
        options |= {} if dtype is None else {"dtype": dtype}
        function = of_numpy(ufunc) if method == "__call__" else of_method(ufunc, method)
        result = self.tracer.call(function, tuple(map(self._operand, inputs)), options)
        casting = options.get("casting", "same_kind") if method in ("__call__", "outer") else None
        if ufunc.nout == 1 or method != "__call__":
            return out[0].receive(result, ufunc, casting) if out else result
        given = out or [None] * ufunc.nout
        return tuple([y if x is None else x.receive(y, ufunc, casting) for y, x in zip(result, given, strict=True)])

    def _operand(self, x: Any) -> Any:
        """Return an operand of a ufunc: an array in place of a list."""
        if not isinstance(x, (list, tuple)):
            return x
        return self.tracer.call(ARRAY, (x,), {}) if is_of_a_trace(x) else np.array(x)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, Tensor) for kind in types):
            return NotImplemented
        if not self.tracer.open:
            return function(*concretes(args), **concretes(kwargs))
        given = _signature(function).bind(*args, **kwargs)
        if (out := given.arguments.pop("out", None)) is not None or not args:
            args, kwargs = given.args, given.kwargs
        if function is np.size:  # of an axis, for which the program then is
            return function(concretes(args[0]), *args[1:], **kwargs)
        if function in _STATIC:
            return function(*concretes(args), **concretes(kwargs))
        if function in _READING:
            self._read(f"np.{function.__name__}")
        if function in _WRITING or not (out is None or _has_dtype(out)):
            self._lacks(f"np.{function.__name__} that writes into an array")
        if function is np.where and len(args) == 1:
            function = np.nonzero
        if function in REDUCTIONS and self.value.dtype != object:  # NumPy turns those of objects into flags
            kwargs = {"axis": None} | given.arguments
            result = self.tracer.call(of_method(REDUCTIONS[function], "reduce"), (kwargs.pop("a"),), kwargs)
        else:
            result = self.tracer.call(of_numpy(function), args, kwargs)
        return result if out is None else out.receive(result, function)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if not self.tracer.open:
            return np.array(self.value.concrete, dtype)
        whole_number = self.value.shape == () and np.dtype(self.value.dtype).kind in "iu"
        if _has_dtype(self) and (in_package(1) or not (self.value.known or whole_number)):
            raise self.tracer.refusal(
                f"an array is made at {users_line()} of one that the program computes, as np.array(x), np.asarray(x) "
                "and y[i] = x do where y is no array of the program: a program can't depend on a value that Python "
                "reads. Use x as it is, x.copy(), tg.as_tensor(x) or np.stack; write into np.zeros_like(x), or into a "
                "copy of an argument; np.take(y, x, axis=0) for y[x]; or make it outside the compiled function"
            )
        return np.array(self.number(), dtype)

    def as_array(self) -> Any:
        """Return an array of the number."""
        return self.tracer.call(_ASARRAY, (self,), {}) if self.tracer.open else np.asarray(self.value.concrete)

    def number(self) -> Any:
        """Return the number; the program is then for this number only."""
        x = self.value.concrete
        return self.tracer.guarded(self.value, x if self.value.dtype is None else x[()])

    def asked(self, what: str) -> Any:
        """Return the number, if it is known; raise CompileError if it is not.

        If the library's operation asks for a NumPy scalar, it becomes one line instead, for any number.
        """
        inside = _has_dtype(self) and self.tracer.span is not None and in_package(2)
        if inside or not (self.value.known or not self.tracer.open):
            self._read(what)
        return self.number()

    def __bool__(self) -> bool:
        if not (self.value.known or in_package(1)):
            self._read("bool(...)")
        return bool(self.tracer.guarded(self.value, bool(self.value.concrete)))

    def __index__(self) -> int:
        number = operator.index(self.value.concrete)  # raises as NumPy does if it is not a whole number
        return self.tracer.guarded(self.value, number)  # type: ignore[no-any-return]

    def __hash__(self) -> int:
        if not self.value.known:
            raise TypeError("unhashable type: 'numpy.ndarray'")
        return hash(self.asked("a key"))

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.asked("pickling").__reduce_ex__(protocol)

    def _shown(self, function: Callable[..., str], *how: str) -> str:
        """Return the number's text; for an array, what the library's messages call it, which alone may ask."""
        if self.value.known:
            return function(self.number(), *how)
        if self.tracer.traces() and not in_package(1):
            self._read(f"{function.__name__}(...)")
        return f"<an array of shape {self.value.shape}, dtype {self.value.dtype}, in a program that is being traced>"

    def __getattr__(self, name: str) -> Any:
        kind = type(self.value.concrete)
        own = None if name.startswith("__") else getattr(kind, name, None)
        if own is None:
            what = f"{'numpy.' * _has_dtype(self)}{kind.__name__}"
            raise AttributeError(f"{what!r} object has no attribute {name!r}", name=name, obj=self)
        if self.value.known:
            return getattr(self.number(), name)
        what = f".{name} of an array"
        return functools.partial(self._lacks, what) if callable(own) else self._lacks(what)

    def _read(self, what: str) -> NoReturn:
        raise self.tracer.refusal(value_read(what, users_line()))

    def _lacks(self, what: str, *args: Any, **kwargs: Any) -> NoReturn:
        raise self.tracer.refusal(
            f"{what} at {users_line()} can't be part of a program; write it with operators, NumPy's functions that "
            "return arrays, and x[index] = value, on a copy of what is an argument"
        )


def answer(name: str, function: Callable[..., Any]) -> Any:
    """Return a method that applies a function to the number."""
    return lambda self, *more: function(self.asked(f"{name}(...)"), *map(plain, more))


for _shows in (format, str, repr):
    setattr(Proxy, f"__{_shows.__name__}__", functools.partialmethod(Proxy._shown, _shows))
for _function in (float, int, complex, round, math.trunc, math.floor, math.ceil):
    setattr(Proxy, f"__{_function.__name__}__", answer(_function.__name__, _function))


@functools.cache
def _signature(function: Any) -> inspect.Signature:
    """Return the parameters of a NumPy function; two in C have those of others, no other one in C has `out`."""
    try:
        return inspect.signature({np.concatenate: np.stack, np.dot: np.outer}.get(function, function))
    except ValueError:
        return inspect.signature(lambda *args, **kwargs: None)


def _has_dtype(x: Any) -> bool:
    """Return whether something is the proxy of an array or a NumPy scalar."""
    return isinstance(x, Proxy) and x.value.dtype is not None


def concretes(tree: Any) -> Any:
    """Return nested arguments with what their proxies stand for."""
    return over_leaves(lambda x: x.value.concrete if isinstance(x, Proxy) else x, tree)


def plain(x: Any) -> Any:
    """Return a number in place of its proxy; the program is then for that number."""
    return x.number() if isinstance(x, Proxy) and x.value.known else x


def held(x: Any) -> Any:
    """Return what a Tensor holds, and anything else as it is."""
    return x._array if isinstance(x, Tensor) else x


def value_of(x: Any) -> Any:
    """Return the value of a proxy, or of a Tensor of one, and anything else as it is."""
    x = held(x)
    return x.value if isinstance(x, Proxy) else x


def is_of_a_trace(x: Any) -> bool:
    """Return whether something is a proxy, or holds one in lists, tuples and dicts."""
    return any(isinstance(value_of(leaf), Value) for leaf in leaves(x))


class Number(Proxy):
    """The proxy of a Python number: an argument, a hyperparameter, or what is computed from them.

    Python decides by its value only if a branch, a length or an index asks for it; the program is then for that answer,
    and another answer is traced anew.
    """

    __slots__ = ()


def _computing(name: str, reflected: bool) -> Any:
    """Return an operator that computes in the program; beside an array, NumPy's ufunc does."""
    function, ufunc = ON_NUMBERS[name], OPERATORS[name][1]

    def compute(self: Number, *others: Any) -> Any:
        operands = (*others, self) if reflected else (self, *others)
        if len(others) == 2:  # pow(n, exponent, modulus)
            return pow(self.number(), *others)
        if not self.tracer.open:  # it outlived its trace, as a cache's key may: use the number
            return function.apply(*map(plain, operands))
        if not others or isinstance(others[0], (int, float, complex)):
            return self.tracer.call(function, operands, {})
        return ufunc(*operands) if isinstance(others[0], (np.ndarray, np.generic, Proxy)) else NotImplemented

    return compute


for _name in OPERATORS:
    setattr(Number, f"__{_name}__", _computing(_name, False))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Number, f"__r{_name}__", _computing(_name, True))
for _name in ("pos", "invert"):
    setattr(Number, f"__{_name}__", answer(_name, getattr(operator, _name)))
for _name in ("and", "or", "xor", "lshift", "rshift", "divmod"):
    _of_two: Any = divmod if _name == "divmod" else getattr(operator, f"__{_name}__")
    setattr(Number, f"__{_name}__", answer(_name, _of_two))
    setattr(Number, f"__r{_name}__", answer(_name, lambda x, other, of_two=_of_two: of_two(other, x)))
