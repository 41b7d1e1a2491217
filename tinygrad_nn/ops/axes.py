"""Axes as numbers from 0 on, in NumPy's way: AxisError for one that isn't there, ValueError for one given twice."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

one_axis: Final = np.lib.array_utils.normalize_axis_index
_several = np.lib.array_utils.normalize_axis_tuple


def all_axes(axis: Any, ndim: int, may_repeat: bool = False) -> tuple[int, ...]:
    """Return the axes in the given order: one or a sequence of them, or every one for None."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int:  # a third of the time
        return (one_axis(axis, ndim),)
    return _several(axis, ndim, None, may_repeat)


# As declarations of operations take them: of the first input.


def input_axis(axis: Any, inputs: Any) -> int:
    """Return one axis."""
    return one_axis(axis, np.ndim(inputs[0]))


def searched_axis(axis: Any, inputs: Any) -> int | None:
    """Return the axis of argmax or argsort; None stays. As in NumPy, a number is a vector here: its axis is 0 or -1."""
    return None if axis is None else one_axis(axis, np.ndim(inputs[0]) or 1)


def input_axes(axis: Any, inputs: Any) -> tuple[int, ...]:
    """Return the axes, every one for None."""
    return all_axes(axis, np.ndim(inputs[0]))


def reduced_axes(axis: Any, inputs: Any) -> tuple[int, ...]:
    """Return the axes that a ufunc reduces; as in NumPy, a number may be reduced over 0 or -1, which is no axis."""
    ndim = np.ndim(inputs[0])
    if ndim or axis is None or np.ndim(axis):
        return all_axes(axis, ndim)
    one_axis(axis, 1)
    return ()
