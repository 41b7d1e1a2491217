"""Axes of a number: those that NumPy takes, and no others."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg

AXES = [None, (), 0, -1, 1, -2, (0,), (-1,), (0, 0), 0.0, np.int64(0), np.int64(-1)]
MORE: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(["quantile", "nanquantile", "percentile", "nanpercentile"], (0.5,)),
    "repeat": (2,), "take": ([0],), "append": (3.0,), "insert": (0, 5.0), "roll": (1,),
}  # fmt: skip
NAMES = """
    sum prod mean var std max min ptp any all argmax argmin nansum nanprod nanmean nanvar nanstd nanmax nanmin nanargmax
    nanargmin cumsum cumprod nancumsum nancumprod cumulative_sum cumulative_prod median nanmedian average diff trapezoid
    unwrap sort argsort flip squeeze linalg.norm count_nonzero add.reduce multiply.reduce maximum.reduce
    logical_or.reduce subtract.reduce power.reduce subtract.accumulate apply_over_axes
""".split()  # noqa: SIM905

# Where NumPy takes a tuple for one axis, refuses an empty one, or a fraction that is whole.
EXCEPT = {
    "cumulative_sum": ["(0,)", "(-1,)"],
    "cumulative_prod": ["(0,)", "(-1,)"], "roll": ["()"], "apply_over_axes": ["0.0"],
}  # fmt: skip


def _outcome(function: Any, *args: Any, **keywords: Any) -> Any:
    """Return the shape and the numbers that a call gives, or None where it is refused."""
    try:
        found = np.asarray(function(*args, **keywords))
    except (TypeError, ValueError, IndexError):  # also NumPy's AxisError
        return None
    return found.shape, found.tolist()


@pytest.mark.parametrize("name", [*NAMES, *MORE])
def test_a_number_takes_the_axes_that_numpy_takes_and_no_others(name: str) -> None:
    function: Any = functools.reduce(getattr, name.split("."), np)
    if name == "apply_over_axes":
        function = lambda x, axis: np.apply_over_axes(np.sum, x, axis)  # noqa: E731
    x, more = np.array(2.0), MORE.get(name, ())
    for axis in AXES:
        if repr(axis) in EXCEPT.get(name, ()):
            continue
        found = _outcome(function, tg.Tensor(x), *more, axis=axis)
        assert found == _outcome(function, x, *more, axis=axis), axis
        y: Any = None if found is None else function(tg.Tensor(x), *more, axis=axis)
        if np.issubdtype(getattr(y, "dtype", int), np.floating):  # np.count_nonzero may give an int
            t = tg.tensor(2.0, requires_grad=True)
            assert np.sum(function(t, *more, axis=axis) * 1.0).requires_grad


def test_an_axis_of_a_number_is_refused_with_what_to_look_at() -> None:
    for function in (tg.cross, tg.polyval):
        with pytest.raises((IndexError, TypeError)) as caught:
            function(2.0, np.ones(3))
        assert "name an axis from 0 to t.ndim - 1" in caught.value.__notes__[0]


def test_a_number_has_the_rank_of_numpys() -> None:
    assert tg.linalg.matrix_rank(2.0).item() == np.linalg.matrix_rank(2.0) == 1
