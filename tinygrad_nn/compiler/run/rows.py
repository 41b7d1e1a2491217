"""Lengths, numbers and constants that depend on the number of rows of a program's arguments."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from ..numpy_calls import of_numpy
from ..program import Line, Value


class Rows(int):
    """A length that depends on the rows: `factor` * rows + `offset`. Its repr is that formula."""

    symbol: str
    factor: int
    offset: int

    def __repr__(self) -> str:
        times = self.symbol if self.factor == 1 else f"{self.factor} * {self.symbol}"
        text = times if self.offset == 0 else f"{times} {'+-'[self.offset < 0]} {abs(self.offset)}"
        return text if text == self.symbol else f"({text})"


class Ratio(float):
    """A number that depends on the rows, as 1 / rows: `above` / `below`, rounded as `kind`; its repr is the formula."""

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
    """Return a number rounded to float32, as it is used beside arrays of that dtype."""
    return float(np.float32(x))


class Differs(Exception):
    """A program is a different one for other numbers of rows."""


def affine(symbol: str, counts: tuple[int, int], lengths: Any) -> int:
    """Return the length that has these values for these numbers of rows."""
    factor, rest = divmod(lengths[1] - lengths[0], counts[1] - counts[0])
    offset = lengths[0] - factor * counts[0]
    if rest:
        raise Differs
    if factor == 0:
        return int(offset)
    found = Rows(lengths[0])
    found.symbol, found.factor, found.offset = symbol, factor, offset
    return found


def ratio(symbol: str, counts: tuple[int, int], numbers: Any) -> Ratio:
    """Return the number with these values for these numbers of rows, such as 2 / (3 * rows) or rows / (rows - 1)."""
    fractions = [Fraction(float(x)).limit_denominator(10**6) for x in numbers]
    for kind in (float, _single) if type(numbers[0]) is float else (type(numbers[0]),):
        if all(kind(p.numerator / p.denominator) == x for p, x in zip(fractions, numbers, strict=True)):
            found = Ratio(numbers[0])
            found.kind = kind
            found.above = affine(symbol, counts, [p.numerator for p in fractions])
            found.below = affine(symbol, counts, [p.denominator for p in fractions])
            return found
    raise Differs


def alike(value: Value, shape: Any, arrays: tuple[np.ndarray, np.ndarray], number: Callable[[Any, Any], Any]) -> Line:
    """Return a line that makes a constant for any number of rows, given its arrays for two numbers of rows.

    These are filled with one number, or count. `number` says how a number depends on the rows. Raises Differs.
    """
    dtype: Any = arrays[0].dtype
    kwargs = {} if dtype in (float, int, bool) else {"dtype": dtype}
    lists: list[Any] = [x.ravel().tolist() for x in arrays]
    if all(x.size and x.tobytes() == x.size * x.ravel()[:1].tobytes() for x in arrays):
        return Line(of_numpy(np.full), (shape, number(*[entries[0] for entries in lists])), kwargs, (value,))
    start, second = (*lists[0], 0, 0)[:2]
    step = second - start if arrays[0].ndim == 1 and dtype.kind in "iuf" else 0
    stops = [x[-1] + step for x in lists if x and step and abs((x[-1] - start) / step + 1 - len(x)) < 0.5]
    if [np.arange(start, stop, step, dtype=dtype).tobytes() for stop in stops] != [x.tobytes() for x in arrays]:
        raise Differs
    return Line(of_numpy(np.arange), (start, number(*stops), step), kwargs, (value,))
