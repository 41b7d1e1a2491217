"""Which values a Tensor can be made of, and how they become an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import errors


class ArrayProxy:
    """A proxy that a watcher uses in place of an array. It computes as one, and the engine treats it as one."""

    __slots__ = ()

    shape: Any
    dtype: Any
    size: Any

    def as_array(self) -> Any:
        """Return this proxy; that of a number, of Python or NumPy, becomes the proxy of an array."""
        return self


def raw(x: Any) -> Any:
    """Return the array of a Tensor; return anything else unchanged."""
    return x.data if hasattr(x, "requires_grad") else x


def zeros(shape: tuple[int, ...], x: Any) -> Any:
    """Return zeros of a shape, in the dtype of the array `x`."""
    return x.zeros(shape) if isinstance(x, ArrayProxy) else np.zeros(shape, x.dtype)  # type: ignore[attr-defined]


def copied(x: Any) -> Any:
    """Return a copy of an array that shares no memory with it."""
    return np.copy(x) if isinstance(x, ArrayProxy) else np.array(x)  # type: ignore[call-overload]


def as_array(x: Any) -> Any:
    """Return `x` as a native numeric array, copied only if necessary.

    Raises DtypeError unless it holds numbers, and for masked arrays and np.matrix; DetachedError for recorded tensors.
    """
    if isinstance(x, ArrayProxy):
        return x.as_array()
    if isinstance(x, np.ndarray) and type(x) is not np.ndarray and not isinstance(x, np.memmap):
        raise errors.DtypeError(errors.unsupported_values(f"a {type(x).__name__}"))
    if isinstance(x, (list, tuple)):
        for item in x:
            if isinstance(item, (list, tuple, np.ndarray)):
                as_array(item)
    try:
        array = np.asarray(x)
    except (TypeError, ValueError, OverflowError) as error:
        error.add_note("write nested lists of numbers in which all rows have one length")
        raise
    if array.dtype.kind not in "biufc":
        raise errors.DtypeError(errors.unsupported_values(f"{x!r:.60} of dtype {array.dtype}"))
    if not array.dtype.isnative or not array.flags.aligned:
        array = array.astype(array.dtype.newbyteorder("="), copy=True)
    return array
