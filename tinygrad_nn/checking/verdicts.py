"""What can be said of one derivative, from best to worst."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a check found, from best to worst; the first four mean that the gradient is right."""

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
        """0 for the best; the worst has the highest."""
        return list(Verdict).index(self)

    @property
    def accepted(self) -> bool:
        """Whether a gradient with this verdict is right."""
        return self.rank <= Verdict.PRECISION.rank


@dataclass(frozen=True)
class Finding:
    """One derivative: what the function's own rule says, what differences of values say, and the verdict.

    `uncertainty` is how far the numerical derivative may be off, `room` how far the function's own might have been
    without a word; `note` says what the verdict alone doesn't. In a report it is that by an entry of an `input`, by
    `index`, or along a direction through all of them.
    """

    analytic: Any
    numeric: Any
    uncertainty: float
    step: float
    verdict: Verdict
    note: str = ""
    room: float = math.inf
    input: str = ""
    index: Any = None

    @property
    def error(self) -> float:
        """How far the two derivatives are apart."""
        return 0.0 if self.analytic == self.numeric else float(abs(self.analytic - self.numeric))

    @property
    def badness(self) -> tuple[int, float]:
        """By what findings are sorted: the verdict, then the error."""
        return self.verdict.rank, self.error
