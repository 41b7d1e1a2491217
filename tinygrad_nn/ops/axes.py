"""Axes as numbers from 0 on, as in NumPy: AxisError for one that doesn't exist, ValueError for one given twice."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

one_axis: Final = np.lib.array_utils.normalize_axis_index
_several = np.lib.array_utils.normalize_axis_tuple


def all_axes(axis: Any, ndim: int, may_repeat: bool = False) -> tuple[int, ...]:
    """Return the axes, one or a sequence of them, in the given order; all axes for None."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int:  # takes a third of the time
        return (one_axis(axis, ndim),)
    return _several(axis, ndim, None, may_repeat)


# For declarations of operations: axes of the first input.


def input_axis(axis: Any, inputs: Any) -> int:
    """Return one axis."""
    return one_axis(axis, np.ndim(inputs[0]))


def searched_axis(axis: Any, inputs: Any) -> int | None:
    """Return the axis of argmax or argsort, or None. As in NumPy, a number counts as a vector: its axis is 0 or -1."""
    return None if axis is None else one_axis(axis, np.ndim(inputs[0]) or 1)


def input_axes(axis: Any, inputs: Any) -> tuple[int, ...]:
    """Return the axes; all axes for None."""
    return all_axes(axis, np.ndim(inputs[0]))


def reduced_axes(axis: Any, inputs: Any) -> tuple[int, ...]:
    """Return the axes that a ufunc reduces; as in NumPy, for a number 0 and -1 are allowed, and reduce no axis."""
    ndim = np.ndim(inputs[0])
    if ndim or axis is None or np.ndim(axis):
        return all_axes(axis, ndim)
    one_axis(axis, 1)
    return ()
