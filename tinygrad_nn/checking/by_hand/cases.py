"""One wrong gradient beside all that it may be mistaken for, and what a constant factor says."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Slopes:
    """What an elementwise step sends back: by its own derivative, and by those that it is mistaken for.

    `step` names the function and what it reads, as in "relu at Z1"; `local` is its derivative alone, and `others`
    what other derivatives would send back, by a description of each.
    """

    step: str
    local: np.ndarray
    others: Arrays


@dataclass(frozen=True, eq=False)
class Case:
    """One wrong gradient and all that it may be mistaken for, in the layout and scale of gradients by hand.

    `right` is what it should be, and `called` what that is; `before` are the gradients by hand that it is
    derived from, `gradients` the right ones of other tensors, and `values` the values of tensors. `close` is
    the share of the largest entry that two arrays may differ by.
    """

    key: str
    name: str
    hand: np.ndarray
    right: np.ndarray
    called: str
    before: Arrays
    gradients: Arrays
    values: Arrays
    m: int
    outputs: int
    slopes: Slopes | None
    close: float

    def same(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Return whether two arrays agree in shape and numbers, and are not just zeros."""
        if a.shape != b.shape or not a.size:
            return False
        largest = np.abs(b).max()
        return bool(0 < largest < np.inf and np.abs(a - b).max() <= self.close * largest)

    def factor(self, hand: np.ndarray, right: np.ndarray) -> float:
        """Return the number that `right` is to be multiplied by to give `hand`, nan if there is none."""
        if hand.shape != right.shape or not right.any():
            return np.nan
        scaled = right / np.abs(right).max()
        c = float(np.vdot(scaled, hand) / np.vdot(scaled, right))
        return c if self.same(hand, c * right) else np.nan

    def times(self, c: float) -> str:
        """Return a factor in words that end before what it multiplies, "" for 1."""
        sign, size = "minus " if c < 0 else "", abs(c)
        for denominator in (1, 2, round(1 / size) if size < 1 else 3):
            numerator = round(size * denominator)
            if numerator and abs(size * denominator / numerator - 1) <= self.close:
                if denominator > 1:
                    return f"{sign}{numerator}/{denominator} of "
                return sign if numerator == 1 else f"{sign}{numerator} times "
        return f"{sign}{size:.4g} times "

    def meaning(self, c: float) -> str:
        """Return what a factor says that is made of one or two of the batch's sizes, 2 and -1; "" for others."""
        m, k = f"m = {self.m} samples", f"k = {self.outputs} outputs"
        basics = [
            (self.m, "a missing 1/m", m),
            (1 / self.m, "1/m once too often, as by a mean where a sum belongs", m),
            (self.outputs, "a missing 1/k", k),
            (1 / self.outputs, "1/k once too often", k),
            (2, "a factor 2 too much", ""),
            (1 / 2, "a missing factor 2, as from the derivative of a square", ""),
        ]
        sign = ["the sign is wrong"] if c < 0 else []
        if abs(abs(c) - 1) <= self.close:
            return "".join(sign)
        basics = [basic for basic in basics if basic[0] != 1]
        single = [basic for basic in basics if abs(abs(c) / basic[0] - 1) <= self.close]
        pairs = (pair for pair in itertools.combinations(basics, 2)
                 if abs(abs(c) / (pair[0][0] * pair[1][0]) - 1) <= self.close)  # fmt: skip
        told: list[Any] = single or list(next(pairs, ()))
        if not told:
            return ""
        sizes = ", ".join(dict.fromkeys(size for _, _, size in told if size))
        text = (" or " if single else " and ").join(text for _, text, _ in told)
        return " and ".join([*sign, text]) + (f" ({sizes})" if sizes else "")
