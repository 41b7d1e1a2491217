"""The history of a training, and how it is shown while it grows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from .plots import plot_history


@dataclass
class History:
    """What training recorded: an entry per epoch, each taken before that epoch's update.

    With batches, an epoch's cost and accuracy are the samples' mean over its batches, each before
    its own update. `seconds` is the wall time of the whole training.
    """

    cost: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    validation_cost: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.cost)

    def end_together(self) -> None:
        """Drop the entries of an interrupted epoch, which only some of the lists have."""
        kept = min(len(self.cost), len(self.accuracy))
        for entries in (self.cost, self.accuracy, self.validation_cost, self.validation_accuracy):
            del entries[kept:]

    def plot(self, ax: Any = None) -> Any:
        """Draw cost and accuracy by epoch, those of the validation data beside them; return the cost's Axes.

        Into Axes that are given the cost alone is drawn, into a pair of them both. Needs matplotlib.
        """
        return plot_history(self, ax)

    def __repr__(self) -> str:
        if not self.cost:
            return "History of 0 epochs"
        return f"History of {len(self)} epochs: cost {self.cost[-1]:.6g}, accuracy {self.accuracy[-1]:.4g}"


def add_epoch(history: History, figures: tuple[float, float], validated: tuple[float, float] | None) -> None:
    """Add an epoch's cost and accuracy, and those of the validation data where there is any."""
    for entries, figure in zip((history.cost, history.accuracy), figures, strict=True):
        entries.append(figure)
    if validated is not None:
        for entries, figure in zip((history.validation_cost, history.validation_accuracy), validated, strict=True):
            entries.append(figure)


def newest_figures(history: History) -> dict[str, str]:
    """Return the newest cost and accuracy as text, none before the first epoch and no accuracy of a regression."""
    if not history.cost:
        return {}
    right = {} if math.isnan(history.accuracy[-1]) else {"accuracy": f"{history.accuracy[-1]:.4f}"}
    return {"cost": f"{history.cost[-1]:.5f}"} | right
