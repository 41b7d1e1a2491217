"""Lengths, numbers and constants that go with the rows of a program's arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from ..write.literals import dtype_argument, filled, literal


class Rows(int):
    """A length that goes with the rows: `factor` * rows + `offset`. It shows as one writes it."""

    symbol: str
    factor: int
    offset: int

    def __repr__(self) -> str:
        times = self.symbol if self.factor == 1 else f"{self.factor} * {self.symbol}"
        text = times if self.offset == 0 else f"{times} {'+-'[self.offset < 0]} {abs(self.offset)}"
        return text if text == self.symbol else f"({text})"


class Ratio(float):
    """A number that goes with the rows, such as 1 / rows: `above` / `below`, rounded as the `kind`.

    It shows as one writes it.
    """

    above: int
    below: int
    kind: Any

    def __repr__(self) -> str:
        text = repr(self.above) if self.below == 1 else f"{self.above!r} / {self.below!r}"
        if self.kind is _single:
            return f"float(np.float32({text}))"
        if self.kind is float:
            return f"float({text})" if self.below == 1 else f"({text})"
        return f"np.{self.kind.__name__}({text})"


def _single(x: float) -> float:
    """Return a number as float32 holds it: so it stands beside arrays of that dtype."""
    return float(np.float32(x))


class Differs(Exception):
    """A program is another one for other rows."""


@dataclass
class Constant:
    """A constant whose shape or number goes with the rows: full of a number; or with a `step`, counting from it on."""

    shape: tuple[int, ...]
    number: Any
    dtype: Any
    step: int = 0

    def text(self) -> str:
        """Return its source."""
        if not self.step:
            return filled(self.shape, literal(self.number), self.dtype)
        start = f"{self.number} + " if self.number else ""
        step = f"{self.step} * " if self.step != 1 else ""
        return f"({start}{step}np.arange({self.shape[0]!r}{dtype_argument(self.dtype)}))"

    def made(self, now: Callable[[Any], Any]) -> Any:
        """Return it for a number of rows; `now` says what that makes of a length or a number."""
        shape = tuple(map(now, self.shape))
        if self.step:
            return self.number + self.step * np.arange(*shape, dtype=self.dtype)
        return np.full(shape, now(self.number), self.dtype)


def affine(symbol: str, counts: list[int], lengths: list[int]) -> int:
    """Return the length that is these for these numbers of rows."""
    factor = (lengths[1] - lengths[0]) // (counts[1] - counts[0])
    offset = lengths[0] - factor * counts[0]
    if any(n != factor * count + offset for n, count in zip(lengths, counts, strict=True)):
        raise Differs
    if factor == 0:
        return offset
    found = Rows(lengths[0])
    found.symbol, found.factor, found.offset = symbol, factor, offset
    return found


def ratio(symbol: str, counts: list[int], numbers: list[Any]) -> Ratio:
    """Return the number that is these for these numbers of rows, such as 2 / (3 * rows) or rows / (rows - 1)."""
    first = float(numbers[0])
    kinds: tuple[Any, ...] = (float, _single) if type(numbers[0]) is float else (type(numbers[0]),)
    one = [[above] * 3 for above in (1, -1, 2, -2)]
    several = [[round(above[0] / (first * counts[0])) * n for n in counts] for above in one]
    fractions = [Fraction(float(x)).limit_denominator(10**6) for x in numbers]  # of rows / (rows - 1), say
    each = [*zip(one, several, strict=True), [*zip(*[x.as_integer_ratio() for x in fractions], strict=True)]]
    for (above, below), kind in product(each, kinds):
        if 0 not in below and all(kind(p / q) == x for p, q, x in zip(above, below, numbers, strict=True)):
            found = Ratio(first)
            found.kind, found.above, found.below = kind, affine(symbol, counts, above), affine(symbol, counts, below)
            return found
    raise Differs


def alike(shape: Any, arrays: list[np.ndarray], number: Callable[[Any, list[Any]], Any]) -> Constant:
    """Return what constants of different shapes have in common. Raises Differs."""
    first, second, *_ = [*arrays[0].ravel().tolist(), 0]
    if all(x.size and x.tobytes() == x.size * x.ravel()[:1].tobytes() for x in arrays):
        return Constant(shape, number(first, [x.ravel()[0].item() for x in arrays[1:]]), arrays[0].dtype)
    found = Constant(shape, first, arrays[0].dtype, second - first)
    if all(x.ndim == 1 and x.tobytes() == replace(found, shape=x.shape).made(int).tobytes() for x in arrays):
        return found
    raise Differs
