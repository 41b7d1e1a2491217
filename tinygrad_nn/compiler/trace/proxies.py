"""What stands for an array, or for a number, while a program is traced: it computes, and each call becomes a line."""

from __future__ import annotations

import functools
import gc
import math
import operator
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn, Self

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ...engine.arrays import ArrayProxy
from ...engine.trees import leaves
from ...errors import CompileError, DtypeError, unsupported_values
from ...tensor.handle import Tensor
from ..numpy_calls import (
    ADDED_AT,
    ASTYPE,
    COPY,
    GETITEM,
    ON_NUMBERS,
    OPERATORS,
    REDUCTIONS,
    SETITEM,
    ZEROS,
    of_at,
    of_method,
    of_numpy,
)
from ..program import Function, Value, over_leaves
from ..refusals import value_read

PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(__file__))) + os.sep
PACKAGES = (PACKAGE, os.path.dirname(np.__file__) + os.sep)
_PYTHONS_OWN = os.path.dirname(os.__file__) + os.sep


def users_line() -> str:
    """Return file and line of the innermost frame outside this package, NumPy and Python, and what stands there."""
    frame: Any = sys._getframe()
    while is_no_users(frame.f_code.co_filename) and frame.f_back is not None:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}"


@functools.cache
def is_no_users(file: str) -> bool:
    """Return whether a file is of this package, but for its program, or of NumPy or Python."""
    package = file.startswith(PACKAGES) and file != PACKAGE + "__main__.py"
    return package or (file.startswith((_PYTHONS_OWN, "<frozen ")) and "-packages" not in file)


def in_package(depth: int) -> bool:
    """Return whether the code `depth` frames above the caller is this package's."""
    return sys._getframe(depth + 1).f_code.co_filename.startswith(PACKAGE)


@functools.cache
def _passing_for(proxy: Any, kind: Any) -> Any:
    """Return the class of a proxy that `isinstance` takes for another.

    C code asks for it where it expects no exception: no interrupt must come, as it could in a property.
    """
    return type(proxy.__name__, (proxy,), {"__slots__": (), "__class__": kind})


class _Dispatching(ArrayProxy):
    """NumPy's calls on it become lines of its tracer's program. It passes for what it stands for, if that is known."""

    __slots__ = ("tracer", "value")

    def __new__(cls, tracer: Any, value: Value) -> Self:
        """Return a proxy of the class that passes for the value's."""
        passes = value.is_array or value.known
        proxy: Self = super().__new__(_passing_for(cls, type(value.concrete)) if passes else cls)  # type: ignore[arg-type]
        return proxy

    def __init__(self, tracer: Any, value: Value) -> None:
        self.tracer, self.value = tracer, value

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented
        if not self.tracer.progress.open:
            return getattr(ufunc, method)(*concretes(inputs), **concretes(options))
        out, dtype = options.pop("out", None), options.pop("dtype", None)
        if method == "at" and isinstance(inputs[0], Traced) and not options:
            inputs[0].become(self.tracer.call(of_at(ufunc), inputs, {}))
            return None
        if method == "at" or "where" in options or (out is not None and not isinstance(out[0], Traced)):
            self._lacks(f"np.{ufunc.__name__} that writes into an array")
        options |= {} if dtype is None else {"dtype": dtype}
        function = of_numpy(ufunc) if method == "__call__" else of_method(ufunc, method)
        result = self.tracer.call(function, inputs, options)
        if out is None or not out[0].value.is_array:  # n += 1 makes another NumPy scalar
            return result
        return out[0].receive(result, ufunc)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, Tensor) for kind in types):
            return NotImplemented
        if not self.tracer.progress.open:
            return function(*concretes(args), **concretes(kwargs))
        if function in _STATIC:
            return function(*concretes(args), **kwargs)
        if function in _READING:
            self._read(f"np.{function.__name__}")
        out = kwargs.pop("out", None)
        if function in _WRITING or not (out is None or isinstance(out, Traced)):
            self._lacks(f"np.{function.__name__} that writes into an array")
        if function is np.where and len(args) == 1:
            function = np.nonzero
        if function in REDUCTIONS and self.value.dtype != object:  # of which NumPy makes flags at last
            kwargs = {"axis": None} | dict(zip(("a", "axis"), args, strict=False)) | kwargs
            result = self.tracer.call(of_method(REDUCTIONS[function], "reduce"), (kwargs.pop("a"),), kwargs)
        else:
            result = self.tracer.call(of_numpy(function), args, kwargs)
        return result if out is None else out.receive(result, function)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if not self.tracer.progress.open:
            return np.array(self.value.concrete, dtype)
        if not (self.value.known or (self.value.shape == () and self.dtype.kind in "iu")) or in_package(1):
            raise self.tracer.refusal(
                f"an array is made at {users_line()} of one that the program computes, as np.array(x), np.asarray(x) "
                "and y[i] = x do where y is no array of the program: a program can't depend on a value that Python "
                "reads. Use x as it is, x.copy(), tg.as_tensor(x) or np.stack; write into np.zeros_like(x), or into a "
                "copy of an argument; np.take(y, x, axis=0) for y[x]; or make it outside the compiled function"
            )
        return np.array(self.number(), dtype)

    def number(self) -> Any:
        """Return the number that it is, for which the program then is."""
        x = self.value.concrete
        return self.tracer.guarded(self.value, x if self.value.dtype is None else x[()])

    def _read(self, what: str) -> NoReturn:
        raise self.tracer.refusal(value_read(what, users_line()))

    def _lacks(self, what: str, *args: Any, **kwargs: Any) -> NoReturn:
        raise self.tracer.refusal(
            f"{what} at {users_line()} can't be part of a program; write it with operators, NumPy's functions that "
            "return arrays, and x[index] = value, on a copy of what is an argument"
        )


def concretes(tree: Any) -> Any:
    """Return nested arguments with what proxies stand for."""
    return over_leaves(lambda x: x.value.concrete if isinstance(x, _Dispatching) else x, tree)


_COPY_IN_ORDER = Function("np.array", np.array)
_ASARRAY = Function("np.asarray", np.asarray, "operator")
_READING = frozenset({np.trim_zeros, np.array2string, np.array_repr, np.array_str})
_WRITING = frozenset({np.put, np.place, np.putmask, np.copyto, np.fill_diagonal, np.put_along_axis})
_STATIC = frozenset({np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.iscomplexobj, np.isrealobj})


class Traced(_Dispatching, NDArrayOperatorsMixin):
    """An array, or a NumPy scalar, of the program.

    One that looks into the memory of another keeps in `window` how it is computed from that: what is written into
    the one is seen in the other.
    """

    __slots__ = ("__weakref__", "array", "window")

    shape = property(lambda self: self.value.shape, lambda self, _: self._lacks(".shape = ..."))
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: len(self.value.shape))
    T = property(np.transpose)
    mT = property(np.matrix_transpose, doc="The matrices in the last two axes, transposed.")
    imag = property(np.imag, doc="The imaginary parts.")
    real = property(lambda self: np.real(self) if self.dtype.kind == "c" else self)

    def __init__(self, tracer: Any, value: Value) -> None:
        super().__init__(tracer, value)
        self.array = value.concrete  # which is freed with the last proxy
        self.window: tuple[Function, tuple[Any, ...], dict[str, Any]] | None = None
        tracer.hold(self)

    def stand_for(self, value: Value) -> Traced:
        """Stand for another value."""
        self.value, self.array = value, value.concrete
        return self

    def receive(self, result: Any, function: Any) -> Traced:
        """Stand for what a function has computed with this array as `out`."""
        if not np.can_cast(result.dtype, self.dtype, "same_kind"):
            raise TypeError(
                f"Cannot cast ufunc {function.__name__!r} output from {result.dtype!r} to {self.dtype!r} with casting "
                "rule 'same_kind'; write x = x + y instead of x += y, or convert by astype"
            )
        result.value.lie_as(self.value)
        return self.become(result)

    def become(self, result: Any) -> Traced:
        """Stand for a new value, as an array does that is written into; the whole does, of which it is a window."""
        if not getattr(self.value.concrete, "flags", self.flags).writeable:
            raise ValueError(f"the array that is written into at {users_line()} is read-only; write into a copy")
        if result.shape != self.shape:
            result = np.broadcast_to(result, self.shape)
        result = result if result.dtype == self.dtype else result.astype(self.dtype)
        # Not so in an operation: one that fills its result by windows is a line of its own, which ONNX may have, too.
        if self.window and self.window[0] is GETITEM and self.tracer.progress.span is None:
            self.window[1][0].become(self.tracer.call(SETITEM, (*self.window[1], result), {}))
            return self
        if any(other.window is None for other in self.tracer.windows(self)):
            gc.collect()  # perhaps it is held in a circle only
        windows = self.tracer.windows(self)
        if self.value.base is not None or any(other.window is None for other in windows):
            raise CompileError(
                f"an array is written into at {users_line()} whose memory another one looks into, as a transposed or "
                "reshaped one does; write into the whole, x[i, j] = v, or into a copy"
            )
        self.stand_for(result.value)
        for other in windows:
            now = self.tracer.call(*other.window)  # held until its array is
            other.stand_for(now.value)
        return self

    def as_array(self) -> Any:
        """Return it as the array of a tensor, in the machine's own order of bytes."""
        if self.dtype.kind not in "biufc":
            raise DtypeError(unsupported_values(f"an array of dtype {self.dtype}"))
        return self if self.dtype.isnative else self.astype(self.dtype.newbyteorder("="))

    def zeros(self, shape: tuple[int, ...]) -> Any:
        """Return zeros of a shape, of this array's dtype."""
        return self.tracer.call(ZEROS, (shape,) if self.dtype == np.float64 else (shape, self.dtype), {})

    def __pow__(self, exponent: Any) -> Any:
        if self._of_scalars(exponent):
            return self.tracer.call(ON_NUMBERS["pow"], (self, exponent), {})
        powers = _POWERS if self.dtype.kind in "fc" else {2: np.square} if self.dtype == bool else {}
        same = powers.get(exponent) if type(exponent) in (int, float) else None
        return np.power(self, exponent) if same is None else same(self)

    def __rpow__(self, base: Any) -> Any:
        if self._of_scalars(base):
            return self.tracer.call(ON_NUMBERS["pow"], (base, self), {})
        return np.power(base, self)

    def _of_scalars(self, other: Any) -> bool:
        """Return whether both are numbers: NumPy's scalars take powers by the C library, arrays by its own loops."""
        if isinstance(other, Traced):
            return not (self.value.is_array or other.value.is_array)
        return not self.value.is_array and isinstance(other, (int, float, np.generic, Number))

    def __getitem__(self, index: Any) -> Any:
        return self.tracer.call(GETITEM, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        if not self.value.is_array:
            raise TypeError("a NumPy scalar does not support item assignment; write into the array that it is of")
        whole, place = (getattr(value, "window", None) or (None, (None, None)))[1][:2]
        if whole is not self or place is not index:  # else it is what x[index] += y has written
            self.become(self.tracer.call(SETITEM, (self, index, value), {}))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def _number(self, what: str) -> Any:
        """Return the number that it is, if it is known, and let the program be for that number.

        An operation of the library's that asks is a line of its own instead, for any number.
        """
        inside = self.tracer.progress.span is not None and in_package(2)
        if inside or not (self.value.known or not self.tracer.progress.open):
            self._read(what)
        return self.number()

    def __bool__(self) -> bool:
        if not (self.value.known or in_package(1)):
            self._read("bool(...)")
        return bool(self.tracer.guarded(self.value, bool(self.value.concrete)))

    def __index__(self) -> int:
        number = operator.index(self.value.concrete)  # of what is no whole number it raises what NumPy does
        return self.tracer.guarded(self.value, number)  # type: ignore[no-any-return]

    def __rmul__(self, other: Any) -> Any:
        if isinstance(other, (list, tuple, str)) and not self.value.is_array:
            return other * operator.index(self)
        return np.multiply(other, self)

    def __hash__(self) -> int:
        if not self.value.known:
            raise TypeError("unhashable type: 'numpy.ndarray'")
        return hash(self._number("a key"))

    def item(self, *args: Any) -> Any:
        """Return it as Python's number, if it is known; else raise CompileError."""
        return self._number("item()").item(*args)

    def __getattr__(self, name: str) -> Any:
        if name in ("size", "nbytes", "itemsize", "strides", "flags"):
            return getattr(self.array, name)
        if name in _METHODS:
            return functools.partial(_METHODS[name], self)
        if name == "tolist":
            return lambda: self._number("tolist()").tolist()
        kind = type(self.value.concrete)
        own = None if name.startswith("__") else getattr(kind, name, None)
        if own is None:
            what = f"'numpy.{kind.__name__}' object has no attribute {name!r}"
            raise AttributeError(what, name=name, obj=self)
        if self.value.known:
            return getattr(self.number(), name)

        what = f".{name} of an array"
        return functools.partial(self._lacks, what) if callable(own) else self._lacks(what)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._number("pickling").__reduce_ex__(protocol)

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """Return the entries in another shape."""
        if order != "C":
            self._read("reshape in another order")
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """Return a view with the axes in another order."""
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def astype(self, dtype: Any, order: str = "K", casting: str = "unsafe", copy: bool = True) -> Any:
        """Return the values in another dtype."""
        if np.dtype(dtype) == self.dtype:
            return self.copy() if copy else self
        return self.tracer.call(ASTYPE, (self, np.dtype(dtype)), {})

    def copy(self, order: str = "C") -> Any:
        """Return a copy; a NumPy scalar is its own."""
        if not self.value.is_array:
            return self
        if order == "K" or self.flags.c_contiguous:
            return self.tracer.call(COPY, (self,), {})
        return self.tracer.call(_COPY_IN_ORDER, (self,), {"order": order})

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def flatten(self) -> Any:
        """Return a copy of the entries in one row."""
        return self.reshape(-1).copy()

    def sort(self, axis: int = -1, **options: Any) -> None:
        """Sort in place."""
        self.become(np.sort(self, axis, **options))

    def __format__(self, how: str) -> str:
        return format(self.number(), how) if self.value.known else self._shown(how or "str")

    def __str__(self) -> str:
        return str(self.number()) if self.value.known else self._shown("str")

    def __repr__(self) -> str:
        return repr(self.number()) if self.value.known else self._shown("repr")

    def _shown(self, what: str) -> str:
        """Return what the library's own messages say of an array, whose text nobody else can have."""
        if self.tracer.traces() and not in_package(2):
            self._read(f"{what}(...)")
        return f"<an array of shape {self.shape}, dtype {self.dtype}, in a program that is being traced>"


def _converted(name: str, function: Any) -> Any:
    """Return a method that gives what a function of Python makes of the number."""
    return lambda self, *more: function(self._number(f"{name}(...)"), *more)


for _function in (float, int, complex, round, math.trunc, math.floor, math.ceil):
    setattr(Traced, f"__{_function.__name__}__", _converted(_function.__name__, _function))

_POWERS = {2: np.square, 1: np.positive, 0.5: np.sqrt, -1: np.reciprocal}  # what NumPy's arrays do for them


class Buffer(Traced):
    """An array that a rule adds into: what others saw of it stays as it was."""

    __slots__ = ()

    def become(self, result: Any) -> Traced:
        """Stand for the sum."""
        return self.stand_for(result.value)

    def __getitem__(self, index: Any) -> Any:
        return _Window(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(value, _Window):
            super().__setitem__(index, value)


class _Window:
    """What `buffer[index] += g` adds to; Python assigns it to the buffer afterwards, which changes nothing more."""

    def __init__(self, buffer: Buffer, index: Any) -> None:
        self.buffer, self.index = buffer, index

    def __iadd__(self, g: Any) -> _Window:
        self.buffer.become(self.buffer.tracer.call(ADDED_AT, (self.buffer, self.index, g), {}))
        return self


_METHODS = {
    name: getattr(np, name)
    for name in (
        "all", "any", "argmax", "argmin", "argsort", "argpartition", "clip", "conjugate", "cumprod", "cumsum",
        "diagonal", "dot", "max", "mean", "min", "nonzero", "prod", "ravel", "repeat", "searchsorted",
        "squeeze", "std", "sum", "swapaxes", "take", "trace", "var", "compress", "round",
    )
} | {"conj": np.conjugate}  # fmt: skip


class Number(_Dispatching):
    """A Python number of the program: an argument or a hyperparameter, and what is computed from them.

    Python decides by its value only where a branch, a length or an index asks for it; the program is
    then for that answer, and another answer is traced again.
    """

    __slots__ = ()

    def __bool__(self) -> bool:
        return bool(self.tracer.guarded(self.value, bool(self.value.concrete)))

    def as_array(self) -> Any:
        """Return an array of the number."""
        return self.tracer.call(_ASARRAY, (self,), {})

    def __pow__(self, exponent: Any, modulus: Any = None) -> Any:
        return self._power(exponent) if modulus is None else pow(self.number(), exponent, modulus)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.number(), dtype)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.number().__reduce_ex__(protocol)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(self.value.concrete, name):
            what = f"{type(self.value.concrete).__name__!r} object has no attribute {name!r}"
            raise AttributeError(what, name=name, obj=self)
        return getattr(self.number(), name)


def _on_numbers(name: str, reflected: bool) -> Any:
    """Return a method that computes in the program; NumPy does beside an array."""
    function, ufunc = ON_NUMBERS[name], OPERATORS[name][1]

    def compute(self: Number, *others: Any) -> Any:
        operands = (*others, self) if reflected else (self, *others)
        if not self.tracer.progress.open:  # it has outlived its trace, as a key of a cache, and is the number
            return function.apply(*map(plain, operands))
        if not others or isinstance(others[0], (int, float, complex, Number)):
            return self.tracer.call(function, operands, {})
        return ufunc(*operands) if isinstance(others[0], (np.ndarray, np.generic, Traced)) else NotImplemented

    return compute


def _by_value(function: Any, reflected: bool) -> Any:
    """Return a method that gives what a function of Python makes of the number, for which the program then is."""

    def method(self: Number, *others: Any) -> Any:
        operands = [self.number(), *map(plain, others)]
        return function(*(reversed(operands) if reflected else operands))

    return method


def plain(x: Any) -> Any:
    """Return a number in place of its proxy; the program is then for that number."""
    return x.number() if isinstance(x, _Dispatching) and x.value.known else x


for _name in OPERATORS:
    setattr(Number, "_power" if _name == "pow" else f"__{_name}__", _on_numbers(_name, False))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Number, f"__r{_name}__", _on_numbers(_name, True))
for _of_one in (int, float, round, hash, repr, format, math.trunc, math.floor, math.ceil):
    setattr(Number, f"__{_of_one.__name__}__", _by_value(_of_one, False))
for _name in ("pos", "invert", "index"):
    setattr(Number, f"__{_name}__", _by_value(getattr(operator, _name), False))
for _name in ("and", "or", "xor", "lshift", "rshift", "divmod"):
    _of_two: Any = divmod if _name == "divmod" else getattr(operator, f"__{_name}__")
    setattr(Number, f"__{_name}__", _by_value(_of_two, False))
    setattr(Number, f"__r{_name}__", _by_value(_of_two, True))


def value_of(x: Any) -> Any:
    """Return the value of what is traced, anything else as it is."""
    x = x._array if isinstance(x, Tensor) else x
    return x.value if isinstance(x, (Traced, Number)) else x


def is_of_a_trace(x: Any) -> bool:
    """Return whether something is, or holds in lists, tuples and dicts, what stands for an array or a number."""
    return any(isinstance(value_of(leaf), Value) for leaf in leaves(x))
