"""The classical V: how far a difference quotient is off, step by step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import errors
from .directions import Direction
from .judgement import judge
from .numerical import quotient
from .point import Point
from .rounding import WIDE
from .verdicts import Verdict

STEPS = 2.0 ** np.arange(-2, -50, -1)


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Errors of central and forward differences against step size, of one derivative.

    Left of the lowest point rounding rules, and errors grow as 1 / step; right of it truncation, where they
    grow as step**2 (central) and step (forward). `gap` is how far the function's own derivative is off.
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
                ax.loglog(right, low * (right / at) ** 2, "k--", lw=1, label="truncation: step²")
            if self.gap > 0:
                ax.axhline(self.gap, color="black", linestyle="-.", lw=1.2, label="the function's own derivative")
            ax.set(xlabel="step", ylabel="error", title="A difference quotient's error against its step")
            ax.legend()
        return ax


def curve_along(point: Point, direction: Direction) -> ErrorCurve:
    """Return how far quotients along a direction, and the function's own derivative, are from the right one."""
    finding, line = judge(point, direction), point.line(direction, WIDE)
    trusted = finding.verdict is Verdict.OK or not np.isfinite(finding.numeric)
    derivative = float(finding.analytic if trusted else finding.numeric)
    slopes = [[quotient(line, method, step) for step in STEPS] for method in ("central", "forward")]
    central, forward = np.abs(np.array(slopes, float) - derivative)
    return ErrorCurve(STEPS, central, forward, derivative, abs(float(finding.analytic) - derivative))
