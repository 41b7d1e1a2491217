"""The classical V: how far a difference quotient is off, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

STEPS = 2.0 ** np.arange(-2, -50, -1)


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Errors of central and forward differences against step size, of one derivative.

    Left of the lowest point rounding rules, and errors grow as 1 / step; right of it truncation, where they
    grow as step**2 (central) and step (forward).
    """

    steps: Any
    central: Any
    forward: Any
    derivative: float

    def plot(self, ax: Any = None) -> Any:
        """Draw both curves with the slopes of rounding and truncation; return the Axes. Needs matplotlib."""
        import matplotlib.pyplot as plt

        ax = plt.figure().add_subplot() if ax is None else ax
        tiny = np.finfo(float).tiny
        ax.loglog(self.steps, np.maximum(self.central, tiny), "o-", ms=3, label="central difference")
        ax.loglog(self.steps, np.maximum(self.forward, tiny), "s-", ms=3, label="forward difference")
        best = np.nanargmin(np.where(self.central > 0, self.central, np.nan)) if self.central.any() else 0
        at, low = self.steps[best], max(self.central[best], tiny)
        ax.loglog(self.steps[best:], low * at / self.steps[best:], "k:", lw=1, label="rounding: 1 / step")
        ax.loglog(
            self.steps[: best + 1], low * (self.steps[: best + 1] / at) ** 2, "k--", lw=1, label="truncation: step²"
        )
        ax.set_ylim(bottom=max(low / 100, 1e-20))
        ax.set(xlabel="step", ylabel="error", title="a difference quotient's error against its step")
        ax.legend()
        return ax


def measured(line: Any, derivative: float) -> ErrorCurve:
    """Return how far quotients of a line at 0 are from its derivative."""
    middle = line(0.0)
    up, down = (np.array([float(line(sign * step)) for step in STEPS]) for sign in (1, -1))
    central = np.abs((up - down) / (2 * STEPS) - derivative)
    return ErrorCurve(STEPS, central, np.abs((up - float(middle)) / STEPS - derivative), float(derivative))
