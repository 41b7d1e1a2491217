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
