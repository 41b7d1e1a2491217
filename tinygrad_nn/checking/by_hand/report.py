"""What was found of each hand-derived gradient, as a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ... import errors
from ..tables import as_html, as_text


@dataclass(frozen=True, eq=False)
class Row:
    """What was found of one gradient.

    `verdict` is "right", "wrong", "follows" for what is right but for an earlier mistake, or "unclear"
    where that mistake, a shape or a nan, leaves nothing to hold it against. `error` is the largest
    difference from `expected`, relative to the largest entry of that; nan where the shapes differ.
    `expected` is in the layout and scale of the convention.
    """

    name: str
    shape: tuple[int, ...]
    verdict: str
    error: float
    finding: str
    expected: np.ndarray


@dataclass(frozen=True, eq=False)
class BackpropReport:
    """The outcome of `tg.diff_backprop`: true if every gradient is right; `table` has its rows in backward order."""

    table: tuple[Row, ...]

    def __bool__(self) -> bool:
        return self.first is None

    @property
    def first(self) -> str | None:
        """The name of the first wrong gradient in backward order, or None."""
        return next((row.name for row in self.table if row.verdict != "right"), None)

    def __getitem__(self, name: str) -> Row:
        """Return the row of a gradient, by the name that it was given under."""
        return {row.name: row for row in self.table}[name]

    def raise_if_failed(self) -> None:
        """Raise BackpropError with the table, if any gradient is wrong."""
        if not self:
            raise errors.BackpropError(
                "the hand-derived gradients are not the adjoints; the first mistake in backward order comes "
                f"first:\n{self}"
            )

    def _cells(self) -> list[tuple[str, str, str, str, str]]:
        rows = [(r.name, str(r.shape), r.verdict, f"{r.error:.0e}", r.finding) for r in self.table]
        return [("name", "shape", "verdict", "error", "finding"), *rows]

    def __repr__(self) -> str:
        return as_text(self._cells())

    def _repr_html_(self) -> str:
        return as_html(self._cells())
