"""Which values a Tensor can be made of, and how they become an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import errors


class ArrayProxy:
    """A proxy, which a watcher hands out for an array and which computes as one. The engine takes it for an array."""

    __slots__ = ()

    shape: Any
    dtype: Any
    size: Any

    def as_array(self) -> Any:
        """Return the proxy of an array: that of a Python number, which has no dtype, becomes one that has."""
        return self


def raw(x: Any) -> Any:
    """Return the array of a Tensor, and anything else as it is."""
    return x.data if hasattr(x, "requires_grad") else x


def zeros(shape: tuple[int, ...], x: Any) -> Any:
    """Return zeros of a shape, in the dtype of an array."""
    return x.zeros(shape) if isinstance(x, ArrayProxy) else np.zeros(shape, x.dtype)  # type: ignore[attr-defined]


def copied(x: Any) -> Any:
    """Return a copy of an array that shares no memory with it."""
    return x.copy(order="K") if isinstance(x, ArrayProxy) else np.array(x)  # type: ignore[attr-defined]


def as_array(x: Any) -> Any:
    """Return `x` as a native numeric array, copying only where that is needed.

    Raises DtypeError for what is no number, masked arrays and np.matrix, DetachedError for lists of recorded tensors.
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
        error.add_note("a tensor is made of numbers in a regular nesting of lists")
        raise
    if array.dtype.kind not in "biufc":
        raise errors.DtypeError(errors.unsupported_values(f"{x!r:.60} of dtype {array.dtype}"))
    if not array.dtype.isnative or not array.flags.aligned:
        array = array.astype(array.dtype.newbyteorder("="), copy=True)
    return array
