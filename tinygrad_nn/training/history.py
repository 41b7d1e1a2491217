"""The history of a training, and how it is shown while it grows."""

from __future__ import annotations

import csv
import math
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from os import PathLike
from typing import Any

from ..errors import in_columns
from .plots import plot_history

_SHOWN = 10  # rows in a table for the first epochs, and for the last


class History:
    """What a training recorded, by name, with one entry per epoch; `history.cost` is `history["cost"]`, a list.

    Cost, accuracy and other metrics of an epoch are means over its samples, each computed before its batch's update.
    Those of validation data, such as `validation_cost`, are computed after the last update. `seconds` is wall time.

    >>> import tinygrad_nn as tg
    >>> history = tg.History(cost=[0.5, 0.25])
    >>> history["cost"] is history.cost, len(history)
    (True, 2)
    >>> history
    epoch  cost
    0      0.5
    1      0.25
    """

    def __init__(self, **figures: list[float]) -> None:
        standard = ("cost", "accuracy", "validation_cost", "validation_accuracy")
        self.figures: dict[str, list[float]] = {name: [] for name in standard} | figures
        self.seconds: float = 0.0

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.figures:
            raise KeyError(f"{name!r} was not recorded; use one of {', '.join(self.figures)}")
        return self.figures[name]

    def __getattr__(self, name: str) -> list[float]:
        figures = vars(self).get("figures", {})
        if name not in figures:
            raise AttributeError(f"{name!r} was not recorded; use one of {', '.join(figures)}", name=name, obj=self)
        found: list[float] = figures[name]
        return found

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the figures."""
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures["cost"])

    def end_together(self) -> None:
        """Drop the entries of an interrupted epoch, which not all lists have."""
        kept = min(len(entries) for entries in self.figures.values() if entries) if self.cost else 0
        for entries in self.figures.values():
            del entries[kept:]

    def plot(self, ax: Any = None) -> Any:
        """Draw cost and accuracy by epoch, into one Axes or a pair, as `tg.plots.plot_history`; return the cost's."""
        return plot_history(self, ax)

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write a line of names, then a line per epoch with all digits. Raises OSError if the file can't be written."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(self._rows(repr))

    def _rows(self, text: Any) -> list[tuple[str, ...]]:
        """Return names and figures as texts, without those that are empty or, as a regression's accuracy, all nan."""
        shown = {name: x for name, x in self.figures.items() if x and not all(map(math.isnan, x))}
        figures = zip_longest(*[map(text, entries) for entries in shown.values()], fillvalue="")
        return [("epoch", *shown), *[(str(i), *each) for i, each in enumerate(figures)]]

    def __repr__(self) -> str:
        head, *rows = self._rows("{:.5g}".format)
        if len(rows) > 2 * _SHOWN:
            rows = [*rows[:_SHOWN], tuple(["..."] * len(head)), *rows[-_SHOWN:]]
        return in_columns([head, *rows]) if rows else "History of 0 epochs"


def newest_figures(history: History) -> list[str]:
    """Return the newest figures as texts, without those that are nan, as a regression's accuracy."""
    newest = {name: entries[-1] for name, entries in history.figures.items() if entries}
    return [f"{name} {figure:.5f}" for name, figure in newest.items() if not math.isnan(figure)]


def counted(epochs: Iterable[int], total: int, history: History) -> Iterator[int]:
    """Yield epochs, and show on stderr how many of `total` are done, the newest figures and the remaining time.

    A terminal gets a progress bar in one line; otherwise a line is printed after each tenth of the epochs.
    """
    terminal, columns = sys.stderr.isatty(), shutil.get_terminal_size().columns - 1
    started, shown, done = time.perf_counter(), 0.0, len(history)
    try:
        for epoch in epochs:
            yield epoch
            count, now = epoch + 1, time.perf_counter()
            if count * 10 // total > epoch * 10 // total or (terminal and now - shown > 0.2):
                shown, each = now, (now - started) / (count - done)
                rate = f"{1 / each:,.1f} epochs/s" if each < 1 else f"{each:,.1f} s an epoch"
                figures = ", ".join([*newest_figures(history), rate, f"{each * (total - count):.0f} s left"])
                line = f"epoch {count:,} of {total:,}: {figures}"
                bar = f"[{'#' * (20 * count // total):<20}] {line}"[:columns]
                print(f"\r{bar:<{columns}}" if terminal else f"{line}\n", end="", file=sys.stderr, flush=True)
    finally:
        if shown and terminal:
            print(file=sys.stderr)
