"""Warnings that this package gives point to the line that called it, whichever way that was."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import warnings
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


# What each line warns of, as NumPy says it.
COMPUTED: dict[str, list[str]] = {
    "tg.log(t)": ["divide by zero encountered in log", "invalid value encountered in log"],
    "np.log(t)": ["divide by zero encountered in log", "invalid value encountered in log"],
    "t.sqrt()": ["invalid value encountered in sqrt"],
    "1 / t": ["divide by zero encountered in divide"],
    "t % 0": ["invalid value encountered in remainder"],
    "t.max() * 1e308 * 1e9": ["overflow encountered in multiply"],
    "t.astype(np.float32) * 1e300": ["overflow encountered in cast", "invalid value encountered in multiply"],
    "(1e4 * t).exp()": ["overflow encountered in exp"],
    "t.mean() / np.inf * np.inf": ["invalid value encountered in multiply"],
    "(t * 1e308 * 1.5).sum() + (abs(t) * 1e308).sum()": ["overflow encountered in reduce"],
    "tg.grad(lambda x: (x**-0.5).sum())(t)": [
        "divide by zero encountered in power", "invalid value encountered in power",
    ],
}  # fmt: skip


def test_a_warning_of_a_computation_names_the_users_line_once() -> None:
    """As Python shows warnings by default: its filters are not this test's, so another process computes."""
    lines = "\n".join([f"for _ in range(2): {line}" for line in COMPUTED])
    program = f"import numpy as np, tinygrad_nn as tg\nt = tg.tensor([-1.0, 0.0, 1.0])\n{lines}"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr
    expected = [
        f"{number}: RuntimeWarning: {text}" for number, texts in enumerate(COMPUTED.values(), 3) for text in texts
    ]
    assert re.findall(r"^<string>:(.*)$", told, re.MULTILINE) == expected


@pytest.mark.parametrize("line", COMPUTED)
def test_a_warning_of_a_computation_that_is_collected_names_the_users_line(line: str) -> None:
    with pytest.warns(RuntimeWarning) as caught:
        exec(compile(line, "typed in", "exec"), {"tg": tg, "np": np, "t": tg.tensor([-1.0, 0.0, 1.0])})
    assert {str(w.message) for w in caught} == set(COMPUTED[line])
    assert {(w.filename, w.lineno) for w in caught} == {("typed in", 1)}


def test_what_is_not_to_be_warned_of_is_not() -> None:
    with warnings.catch_warnings(record=True, action="always") as caught:
        warnings.filterwarnings("ignore", "divide by zero")
        assert tg.log([0.0, 1.0]).tolist() == [-np.inf, 0.0]
        tg.log([-1.0, 0.0])
        warnings.filterwarnings("ignore", module=__name__)
        tg.log([-1.0])
    assert [(str(w.message), w.filename) for w in caught] == [("invalid value encountered in log", __file__)]


def test_a_warning_of_code_that_no_user_called_is_shown_once() -> None:
    """A thread whose outermost function is the library's: Python names no line."""
    program = "import _thread, time, tinygrad_nn as tg\n_thread.start_new_thread(tg.log, (-1.0,))\ntime.sleep(0.3)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr
    assert told.count("invalid value encountered in log") == 1


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
