"""Proxies for arrays and NumPy scalars of the program, which behave as NumPy's own do."""

from __future__ import annotations

import functools
import gc
import operator
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ...errors import CompileError, DtypeError, unsupported_values
from ..numpy_calls import ARRAY, ASTYPE, COPY, GETITEM, ON_NUMBERS, SETITEM, ZEROS
from ..program import Function, Value
from .callers import users_line
from .proxies import Proxy, answer, plain

_POWERS = {2: np.square, 1: np.positive, 0.5: np.sqrt, -1: np.reciprocal}  # what NumPy's arrays compute for these
_SAME = {*dir(np.ndarray)} & {*dir(np)} - {"partition", "put", "resize"}  # which change the array
_METHODS = {name: getattr(np, name) for name in _SAME if not name.startswith("_")} | {
    name: lambda x: np.conjugate(x) if x.dtype.kind == "c" else x for name in ("conj", "conjugate")
} | {
    "flatten": lambda x, order="C": np.ravel(x, order).copy(),
    "clip": lambda x, min=None, max=None, *out, **options: np.clip(x, min, max, *out, **options),
    "compress": lambda x, condition, *more, **options: np.compress(condition, x, *more, **options),
    "reshape": lambda x, *shape, **order: np.reshape(x, shape[0] if len(shape) == 1 else shape, **order),
    "transpose": lambda x, *axes: np.transpose(x, axes[0] if len(axes) == 1 else axes or None),
}  # fmt: skip


class Traced(Proxy, NDArrayOperatorsMixin):
    """The proxy of an array, or of a NumPy scalar, of the program.

    A view of another array keeps in `window` how it is computed from that one: what is written into one is seen in the
    other.
    """

    __slots__ = ("__weakref__", "array", "window")

    shape: Any = property(lambda self: self.value.shape, lambda self, _: self._lacks(".shape = ..."))
    dtype: Any = property(lambda self: self.value.dtype)
    ndim: Final = property(lambda self: len(self.value.shape))
    T: Final = property(np.transpose)
    mT: Final = property(np.matrix_transpose, doc="The matrices in the last two axes, transposed.")
    imag: Final = property(np.imag, doc="The imaginary parts.")
    real: Final = property(lambda self: np.real(self) if self.dtype.kind == "c" else self)

    item: Final = answer("item", lambda x, *place: x.item(*place))
    tolist: Final = answer("tolist", operator.methodcaller("tolist"))

    def __init__(self, tracer: Any, value: Value) -> None:
        super().__init__(tracer, value)
        self.array: Any = value.concrete  # freed with the last proxy
        self.window: tuple[Function, tuple[Any, ...], dict[str, Any]] | None = None
        tracer.arrays[id(self)] = self

    def stand_for(self, value: Value) -> Traced:
        """Stand for another value."""
        self.value = value
        self.array = value.concrete
        return self

    def receive(self, result: Any, function: Any, casting: Any = None) -> Any:
        """Stand for what a function computed with this array as `out`; for a NumPy scalar, n += 1 makes another one.

        What is no call of a ufunc, and has no `casting`, NumPy computes in another way if `out` is not as the result.
        """
        if not self.value.is_array:
            return result
        if casting is None and (result.shape, result.dtype) != (self.shape, self.dtype):
            name = f"np.{function.__name__}"
            raise self.tracer.refusal(
                f"{name} at {users_line()} gives {result.dtype} {result.shape}, and is to write that into {self.dtype} "
                f"{self.shape}; write out[...] = {name}(...), or pass an `out` like the result"
            )
        if not np.can_cast(result.dtype, self.dtype, casting or "same_kind"):
            raise TypeError(
                f"Cannot cast ufunc {function.__name__!r} output from {result.dtype!r} to {self.dtype!r} with casting "
                f"rule {casting!r}; write x = x + y instead of x += y, or convert by astype"
            )
        same = (result.shape, result.dtype, result.value.strides) == (self.shape, self.dtype, self.value.strides)
        return self.become(result if same else self.tracer.call(SETITEM, (self, ..., result), {}))

    def become(self, result: Any) -> Traced:
        """Stand for a new value, as an array does after a write; if it is a view, so does the array that it views."""
        if not getattr(self.value.concrete, "flags", self.flags).writeable:
            raise ValueError(f"the array that is written into at {users_line()} is read-only; write into a copy")
        if self.value.is_array and not result.value.is_array:  # an array without axes stays one
            result = self.tracer.call(COPY, (result,), {})
        # Not inside an operation: one that fills its result by views is a line of its own, which ONNX may have, too.
        if self.window and self.window[0] is GETITEM and self.tracer.span is None:
            self.window[1][0].become(self.tracer.call(SETITEM, (*self.window[1], result), {}))
            return self
        if any(other.window is None for other in self.tracer.windows(self)):
            gc.collect()  # perhaps only a reference cycle holds it
        windows = self.tracer.windows(self)
        if self.value.base is not None or any(other.window is None for other in windows):
            raise CompileError(
                f"the array that is written into at {users_line()} shares its memory with another one, as a transposed "
                "or reshaped one does; write into the whole, x[i, j] = v, or into a copy"
            )
        self.stand_for(result.value)
        for other in windows:
            now = self.tracer.call(*other.window)  # held until `other` holds the array
            other.stand_for(now.value)
        return self

    def as_array(self) -> Any:
        """Return it as the array of a tensor, in the machine's own byte order."""
        if self.dtype.kind not in "biufc":
            raise DtypeError(unsupported_values(f"an array of dtype {self.dtype}"))
        native = self if self.dtype.isnative else self.astype(self.dtype.newbyteorder("="))
        return native if native.value.is_array else super().as_array()

    def zeros(self, shape: tuple[int, ...]) -> Any:
        """Return zeros of a shape, of this array's dtype."""
        return self.tracer.call(ZEROS, (shape,) if self.dtype == np.float64 else (shape, self.dtype), {})

    def __pow__(self, exponent: Any) -> Any:
        if self._of_scalars(exponent):
            return self.tracer.call(ON_NUMBERS["pow"], (self, exponent), {})
        exponent = plain(exponent) if self.dtype == bool else exponent
        powers = _POWERS if self.dtype.kind in "fc" else {2: np.square} if self.dtype == bool else {}
        same = powers.get(exponent) if type(exponent) in (int, float) else None
        return np.power(self, exponent) if same is None else same(self)

    def __rpow__(self, base: Any) -> Any:
        if self._of_scalars(base):
            return self.tracer.call(ON_NUMBERS["pow"], (base, self), {})
        return np.power(base, self)

    def _of_scalars(self, other: Any) -> bool:
        """Return whether both are scalars: their powers are the C library's, those of arrays NumPy's own loops'."""
        if isinstance(other, Traced):
            return not (self.value.is_array or other.value.is_array)
        return not self.value.is_array and isinstance(other, (int, float, np.generic))

    def __getitem__(self, index: Any) -> Any:
        return self.tracer.call(GETITEM, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        if not self.value.is_array:
            raise TypeError("a NumPy scalar does not support item assignment; write into the array that it is of")
        window, (whole, *places), _ = getattr(value, "window", None) or (None, (None,), {})
        if window is not GETITEM or whole is not self or places[0] is not index:  # else x[index] += y wrote it already
            self.become(self.tracer.call(SETITEM, (self, index, value), {}))

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __rmul__(self, other: Any) -> Any:
        if isinstance(other, (list, tuple, str)) and not self.value.is_array:
            return other * operator.index(self)
        return np.multiply(other, self)

    def __getattr__(self, name: str) -> Any:
        if name in ("size", "nbytes", "itemsize", "strides", "flags"):
            return getattr(self.array, name)
        return functools.partial(_METHODS[name], self) if name in _METHODS else super().__getattr__(name)

    def astype(
        self, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        """Return the values in another dtype."""
        more = {} if (order, casting) == ("K", "unsafe") else {"order": order, "casting": casting}
        if np.dtype(dtype) == self.dtype and not more:
            return self.copy() if copy else self
        return self.tracer.call(ASTYPE, (self, np.dtype(dtype)), more)

    def copy(self, order: str = "C") -> Any:
        """Return a copy; a NumPy scalar is its own."""
        if not self.value.is_array:
            return self
        if order == "K" or self.flags.c_contiguous:
            return self.tracer.call(COPY, (self,), {})
        return self.tracer.call(ARRAY, (self,), {"order": order})

    def __copy__(self, memo: Any = None) -> Any:
        return self.copy()

    __deepcopy__ = __copy__

    def sort(self, *how: Any, **options: Any) -> None:
        """Sort in place."""
        self.become(np.sort(self, *how, **options))


class Buffer(Traced):
    """An array that a rule adds into: what was read from it before stays as it was."""

    __slots__ = ()

    def become(self, result: Any) -> Traced:
        """Stand for the sum."""
        return self.stand_for(result.value)
