"""The page of what is recorded knows every name of NumPy's, and tells the truth about it."""

import functools
import pathlib
from typing import Any

import numpy
import pytest

import tinygrad_nn as tg
from tinygrad_nn.errors import GradientError
from tinygrad_nn.reference import coverage
from tinygrad_nn.tensor.handle import NUMPY_FUNCTIONS

np: Any = numpy


def test_every_name_of_numpys_is_on_the_page() -> None:
    unknown = [row.name for row in coverage.rows() if row.kind == "unknown"]
    assert unknown == []
    assert len(coverage.rows()) > 500


def test_nine_of_ten_are_differentiable() -> None:
    assert coverage.share() >= 0.9
    assert f"{coverage.share():.1%}" in coverage.table()


@pytest.mark.skipif(not np.__version__.startswith("2.4."), reason="the page counts the names of NumPy 2.4")
def test_the_readme_has_the_fresh_table() -> None:
    page = (pathlib.Path(tg.__file__).parents[1] / "docs/numpy.md").read_text(encoding="utf-8")
    assert coverage.summary() in page, f"write into docs/numpy.md:\n{coverage.summary()}"


TAKE_TWO = {"nextafter", "histogram2d", "intersect1d", "setdiff1d", "setxor1d", "union1d"}
MISSING = [row for row in coverage.rows() if row.kind == coverage.UNSUPPORTED]


@pytest.mark.parametrize("row", MISSING, ids=str)
def test_what_is_missing_says_why_and_names_something_that_exists(row: coverage.Row) -> None:
    assert row.remark
    name = row.remark.partition("the nearest is tg.")[2]
    home, _, short = name.rpartition(".")
    assert not name or hasattr(getattr(tg, home) if home else tg, short)


@pytest.mark.parametrize("row", MISSING, ids=str)
def test_what_the_page_calls_missing_raises(row: coverage.Row) -> None:
    function = functools.reduce(getattr, str(row).split("."), np)
    t = tg.ones((2, 2) if row.group == "numpy.linalg" else 2, requires_grad=True)
    operands = [t, t] if row.name in TAKE_TWO else [t]
    with pytest.raises((TypeError, GradientError)) as caught:
        function(*operands)
    if row.name not in ("eig", "eigvals"):
        assert row.remark in str(caught.value)


def test_a_name_that_is_missing_says_why_in_our_namespace() -> None:
    with pytest.raises(AttributeError, match=r"tg\.unique is not recorded.*depends on values"):
        _ = tg.unique  # type: ignore[attr-defined]
    assert not hasattr(tg, "no_such_name")


@pytest.mark.parametrize("name", ["reduce", "accumulate", "outer", "reduceat", "at"])
def test_the_methods_of_ufuncs_record(name: str) -> None:
    t = tg.ones(2, requires_grad=True) * 1
    arguments = {"outer": (t, t), "reduceat": (t, [0]), "at": (t, [0, 0], t)}.get(name, (t,))
    result = getattr(np.subtract, name)(*arguments)
    assert (t if result is None else result).requires_grad
    assert f"ufunc.{name}" in [str(row) for row in coverage.rows() if row.kind == coverage.DIFFERENTIABLE]


@pytest.mark.parametrize("row", [row for row in coverage.rows() if row.kind == coverage.CONSTANT], ids=str)
def test_what_the_page_calls_piecewise_constant_has_no_rule(row: coverage.Row) -> None:
    operation = getattr(NUMPY_FUNCTIONS.get(functools.reduce(getattr, str(row).split("."), np)), "operation", None)
    assert operation is None or not operation.differentiable
    assert operation is None or operation.rules, "an operation that refuses to be differentiated is not constant"


def test_a_name_that_no_table_knows_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "brand_new", lambda x: x, raising=False)
    assert [row.name for row in coverage.rows() if row.kind == "unknown"] == ["brand_new"]
