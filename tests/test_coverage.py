"""The page of what is recorded knows every name of NumPy's, and tells the truth about it."""

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import coverage


def test_every_name_of_numpys_is_on_the_page() -> None:
    unknown = [row.name for row in coverage.rows() if row.kind == "unknown"]
    assert unknown == []
    assert len(coverage.rows()) > 500


def test_most_are_differentiable() -> None:
    assert coverage.share() >= 0.87
    assert f"{coverage.share():.1%}" in coverage.table()


@pytest.mark.parametrize("row", [r for r in coverage.rows() if r.kind == coverage.UNSUPPORTED], ids=lambda r: r.name)
def test_what_is_missing_says_why_and_names_something_that_exists(row: coverage.Row) -> None:
    assert row.remark
    name = row.remark.partition("nearest: tg.")[2]
    home, _, short = name.rpartition(".")
    assert not name or hasattr(getattr(tg, home) if home else tg, short)


@pytest.mark.parametrize("name", ["unique", "poly", "i0", "bincount", "angle", "piecewise"])
def test_what_the_page_calls_missing_raises(name: str) -> None:
    t = tg.ones(2, requires_grad=True)
    arguments = (t, [t.data > 0], [1.0]) if name == "piecewise" else (t,)
    with pytest.raises((TypeError, ValueError)):
        getattr(np, name)(*arguments)


def test_a_name_that_no_table_knows_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "brand_new", lambda x: x, raising=False)
    assert [row.name for row in coverage.rows() if row.kind == "unknown"] == ["brand_new"]
