"""Wrong entries among very many: all are named, for few evaluations; many wrong ones are told by a few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg

CASES = [(20_000, False), (20_000, True), pytest.param(1_000_000, False, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("n", "real_only"), CASES)
def test_ten_entries_that_are_off_by_a_hundredth_are_named(n: int, real_only: bool) -> None:
    rng, evaluations = np.random.default_rng(1), []
    x, c = rng.normal(size=n), rng.normal(size=n)
    wrong, signs = np.sort(rng.choice(n, 10, replace=False)), rng.choice([-1, 1], 10)

    def function(x: Any) -> Any:
        evaluations.append(1)
        return np.sum(np.tanh(x.real if real_only else x) * c)

    def gradient(x: Any) -> Any:
        g = c * (1 - np.tanh(x) ** 2)
        g[wrong] += 0.01 * np.abs(g).mean() * signs
        return g

    report = tg.gradcheck(function, x, gradient=gradient)
    named = [row["index"][0] for row in report.table if row["verdict"] == "BUG" and isinstance(row["index"], tuple)]
    assert named == wrong.tolist(), report
    assert f"10 of {n:,} entries are wrong" in str(report)
    assert len(evaluations) <= (530 if real_only else 300)


def test_where_all_entries_are_wrong_some_are_shown() -> None:
    report = tg.gradcheck(lambda x: (x**3).sum(), np.linspace(-1, 1, 1000), gradient=lambda x: 6 * x**2)
    assert report.verdict == "BUG"
    assert report.coverage == 0.032
    assert "it is 2 times what is right" in str(report)


@pytest.mark.parametrize("n", [3, 500])
def test_an_error_above_the_smallest_detectable_is_seen_in_any_entry(n: int) -> None:
    x = np.linspace(0.5, 2.0, n)

    def checked(entry: int, off: float) -> Any:
        return tg.gradcheck(lambda x: np.exp(x).sum(), x, gradient=lambda x: np.exp(x) + off * (np.arange(n) == entry))

    right = checked(0, 0.0)
    assert right
    assert right.coverage == min(1, 128 / n)
    assert 0 < right.smallest_detectable < 1e-9
    for entry in range(0, n, n // 3):
        assert not checked(entry, 3 * right.smallest_detectable)
    assert checked(0, right.smallest_detectable / 1e3)
