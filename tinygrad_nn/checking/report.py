"""The findings of a gradient check: verdicts, and reports as a table, a picture and data."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any

import numpy as np

from .. import errors

COLUMNS = ("input", "index", "analytic", "numeric", "error", "uncertainty", "step", "verdict")
SHOWN = 8
STEPS = 2.0 ** np.arange(-2, -50, -1)


class Verdict(StrEnum):
    """The verdicts, from best to worst; the first four mean that the gradient is right."""

    OK = "OK"
    CONVENTION = "CONVENTION"
    KINK = "KINK"
    PRECISION = "PRECISION"
    DISCONTINUITY = "DISCONTINUITY"
    DISCONNECTED = "DISCONNECTED"
    NONFINITE = "NONFINITE"
    NONDETERMINISTIC = "NONDETERMINISTIC"
    BUG = "BUG"

    @property
    def rank(self) -> int:
        """The position, from 0 for the best verdict."""
        return list(Verdict).index(self)

    @property
    def accepted(self) -> bool:
        """Whether a gradient with this verdict is right."""
        return self.rank <= Verdict.PRECISION.rank


@dataclass(frozen=True)
class Finding:
    """One derivative: by the function's own rule, by differences of values, and the verdict.

    `uncertainty` is the error estimate of the numerical derivative, `tolerance` the largest error that would pass;
    `note` explains the verdict. In a report it is the derivative with respect to the entry `index` of an `input`, or
    along a direction through all entries.
    """

    analytic: Any
    numeric: Any
    uncertainty: float
    step: float
    verdict: Verdict
    note: str = ""
    tolerance: float = math.inf
    input: str = ""
    index: Any = None

    @property
    def error(self) -> float:
        """The difference of the two derivatives."""
        return 0.0 if self.analytic == self.numeric else float(abs(self.analytic - self.numeric))

    @property
    def badness(self) -> tuple[int, float]:
        """The key by which findings are sorted: the verdict, then the error."""
        return self.verdict.rank, self.error


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Errors of central and forward differences against step size, of one derivative.

    Left of the lowest point, rounding dominates, and errors grow as 1 / step; right of it, truncation, and they grow as
    step**2 (central) or step (forward). `gap` is the error of the function's own derivative.
    """

    steps: Any
    central: Any
    forward: Any
    derivative: float
    gap: float = 0.0

    def plot(self, ax: Any = None) -> Any:
        """Draw both curves with the slopes of rounding and truncation; return the Axes. Needs matplotlib."""
        try:
            import matplotlib.style
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(errors.missing("pictures need matplotlib", "matplotlib")) from error
        with matplotlib.style.context("tinygrad_nn.training.pictures"):
            ax = Figure().subplots() if ax is None else ax
            ax.loglog(self.steps, self.central, "o-", ms=3, label="central difference")
            ax.loglog(self.steps, self.forward, "s-", ms=3, label="forward difference")
            best = int(np.nanargmin(np.where(self.central > 0, self.central, math.inf)))
            if 0 < best < len(self.steps) - 1:
                (right, left), low, at = np.split(self.steps, [best]), self.central[best], self.steps[best]
                ax.loglog(left, low * at / left, "k:", lw=1, label="rounding: 1 / step")
                ax.loglog(right, low * (right / at) ** 2, "k--", lw=1, label="truncation: step$^2$")
            if self.gap > 0:
                ax.axhline(self.gap, color="black", linestyle="-.", lw=1.2, label="the function's own derivative")
            ax.set(xlabel="step", ylabel="error", title="A difference quotient's error against its step")
            ax.legend()
        return ax


@dataclass(frozen=True, eq=False)
class GradientReport:
    """The result of `tg.gradcheck`: true if every derivative is right.

    `verdict` is the worst of all, `culprit` the name of the operation whose rule is wrong, if any. `covered` says what
    was checked, `notes` has further remarks, and `coverage` is the share of the inputs' entries that have their own
    row.
    """

    rows: tuple[Finding, ...]
    covered: str
    blame: Any
    notes: tuple[str, ...]
    curve: Callable[[], ErrorCurve]
    coverage: float

    @property
    def smallest_detectable(self) -> float:
        """The smallest error in the derivative with respect to any single entry that would have been noticed.

        Entries without their own row are checked along directions, in which each counts by at least a half.
        """
        own = [row for row in self.rows if "forward mode" not in row.input] or self.rows
        return max(row.tolerance * (1 if isinstance(row.index, tuple) else 2) for row in own)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict."""
        return max((row.verdict for row in self.rows), key=lambda v: v.rank)

    @property
    def culprit(self) -> str | None:
        """The name of the operation whose rule is wrong, or None."""
        return None if self.blame is None else str(self.blame.step.operation.name)

    @property
    def table(self) -> Any:
        """A structured array with a row per derivative that was checked.

        `input` and `index` say which one, `error` is the difference of `analytic` and `numeric`, `uncertainty` the
        error estimate of `numeric`, and `step` the step with which it was computed.
        """
        kinds = ["O", "O", "f8", "f8", "f8", "f8", "f8", "U16"]
        return np.array(list(map(attrgetter(*COLUMNS), self.rows)), dtype=list(zip(COLUMNS, kinds, strict=True)))

    def __bool__(self) -> bool:
        return self.verdict.accepted

    def raise_if_failed(self) -> None:
        """Raise GradientCheckError with the table, if any derivative is wrong."""
        if not self:
            raise errors.GradientCheckError(f"a derivative is wrong\n{self}")

    def plot(self, ax: Any = None) -> Any:
        """Draw error against step size for the worst derivative; return the Axes. Needs matplotlib."""
        return self.curve().plot(ax)

    def _cells(self) -> list[tuple[str, ...]]:
        """Return the worst rows as text, after the names of the columns."""
        worst = sorted(self.rows, key=lambda row: row.badness, reverse=True)[:SHOWN]
        return [("input", "index", "analytic", "numeric", "error", "verdict"), *map(_cells_of, worst)]

    def _lines(self) -> list[str]:
        """Return the lines before the table (the verdict and what it covers) and after it (what is to blame)."""
        counts = {v: sum(row.verdict is v for row in self.rows) for v in Verdict}
        counted = ", ".join(f"{n} {v}" for v, n in counts.items() if n)
        blame = [] if self.blame is None else [self.blame.told(), *filter(None, [self.blame.step.text])]
        return [f"gradient check: {self.verdict} ({counted})", self.covered, *self.notes, *blame]

    def __repr__(self) -> str:
        more = [f"... and {len(self.rows) - SHOWN} more"] if len(self.rows) > SHOWN else []
        return "\n".join([*self._lines(), errors.in_columns(self._cells()), *more])

    def _repr_html_(self) -> str:
        return "".join(f"<p>{html.escape(line)}</p>" for line in self._lines()) + as_html(self._cells())


def _cells_of(f: Finding) -> tuple[str, ...]:
    index = f.index
    entry = ", ".join(map(str, index)) if index and isinstance(index, tuple) else str(index)
    numbers = (f"{float(f.analytic):.9g}", f"{float(f.numeric):.9g}", f"{f.error:.1e}")
    return (f.input, entry, *numbers, f"{f.verdict}: {f.note}" if f.note else str(f.verdict))


def as_html(cells: Sequence[Sequence[str]]) -> str:
    """Return the rows as an HTML table, with escaped cells."""
    first, *rows = [[html.escape(cell) for cell in row] for row in cells]
    head = "".join(f"<th>{cell}</th>" for cell in first)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
