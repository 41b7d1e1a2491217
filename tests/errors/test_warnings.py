"""Warnings that this package gives point to the line that called it, whichever way that was."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.errors import warn

NANS = tg.tensor([np.nan, np.nan])
COMPLEX = tg.tensor([1 + 2j])
CASTS: dict[str, Callable[[], Any]] = {
    "a method": lambda: COMPLEX.astype(np.float32),
    "a function": lambda: tg.astype(COMPLEX, float),
    "of integers": lambda: COMPLEX.astype(int),
    "inside another": lambda: tg.mean(COMPLEX, dtype=float),
}
CALLS: dict[str, Callable[[], Any]] = {
    "as NumPy's": lambda: np.nanmedian(NANS),
    "as tg's": lambda: tg.nanmedian(NANS),
    "through another": lambda: np.nanpercentile(NANS, 50),
    "in a gradient": lambda: tg.grad(lambda x: tg.nanmedian(x))(NANS),
    "at once": lambda: warn("All-NaN"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_warning_names_the_users_line(name: str) -> None:
    with pytest.warns(RuntimeWarning, match="All-NaN") as caught:
        CALLS[name]()
    assert caught[0].filename == __file__
    assert caught[0].lineno == inspect.getsourcelines(CALLS[name])[1]


@pytest.mark.parametrize("name", CASTS)
def test_a_cast_that_drops_imaginary_parts_warns_as_numpys_at_the_users_line(name: str) -> None:
    with pytest.warns(np.exceptions.ComplexWarning, match="discards the imaginary part") as caught:
        y = CASTS[name]()
    assert [(w.filename, w.lineno) for w in caught] == [(__file__, inspect.getsourcelines(CASTS[name])[1])]
    assert y.item() == 1


def test_a_cast_to_booleans_reads_imaginary_parts_and_does_not_warn() -> None:
    assert tg.tensor([2j]).astype(bool).data.tolist() == [True]


def test_code_whose_globals_have_no_name_is_warned_too() -> None:
    space: dict[str, Any] = {"tg": tg, "x": NANS}
    with pytest.warns(RuntimeWarning, match="All-NaN") as caught:
        exec(compile("tg.nanmedian(x)", "typed in", "exec"), space)
    assert caught[0].filename == "typed in"
