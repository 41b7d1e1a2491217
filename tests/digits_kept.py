"""Slopes held against mpmath's: the points they are compared at, and how many digits they must have there."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from by_mpmath import ROWS, Row, m

ULPS = 16
BETWEEN = [
    0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 1.25, 1.5, 1.75, 2.5, 3.3, 4.5, 6, 7.7, 9.1, 13, 13.5, 17, 20, 25.3, 27, 36.7,
    38.3, 40, 53, 69.1, 87.5, 88.7, 97, 103.9, 170, 300.1, 354, 360, 372.5, 500, 690, 709.5, 730, 744, 745.2, 1000,
]  # fmt: skip


def _around(point: float, dtype: Any, ulps: int) -> list[Any]:
    """Return a number, its neighbours, so many on either side, and what is a power of ten away."""
    found = [dtype(point), *[dtype(point + s * 10.0**-k) for k in range(1, 17 if ulps > 1 else 1) for s in (1, -1)]]
    for end in (np.inf, -np.inf):
        x = dtype(point)
        for _ in range(ulps):
            x = np.nextafter(x, dtype(end))
            found.append(x)
    return found


@functools.cache
def grid(name: str, dtype: Any) -> np.ndarray:
    """Return the operands, a row for each: all powers of ten, of two operands some, and what lies close to a point."""
    row = ROWS[name]
    alone = len(row.first) == 1
    with np.errstate(over="ignore"):
        powers = [dtype(f"1e{k}") for k in range(-324, 309, 1 if alone else 20 if dtype == np.float64 else 5)]
    between = map(dtype, BETWEEN if alone else [0.1, 0.7, 1.7, 2.5, 6, 36.7, 700.3])
    close = [
        x
        for p in (0.0, 1.0, 2.0, 3.0, *row.special)[: None if alone else 2]
        for x in _around(p, dtype, 4 if alone else 1)
    ]
    close += [x for p in row.special for x in _around(p, dtype, 4 if alone else 1)]
    axis = np.unique([s * x for x in (*powers, *between, *close) if np.isfinite(x) for s in (1, -1)])
    with m.workprec(row.bits):
        points = [p for p in itertools.product(map(float, axis), repeat=len(row.first)) if row.inside(*map(m.mpf, p))]
    return np.array(points, dtype).T


def too_wrong(row: Row, order: int, points: np.ndarray, slopes: Sequence[Any]) -> list[str]:
    """Return what each slope is, and should be, that is off by more than it may be."""
    n = len(row.first)
    exact = row.first if order == 1 else [row.second[i + j] for i in range(n) for j in range(n)]
    found = []
    with m.workprec(row.bits):
        for k, (formula, slope) in enumerate(zip(exact, slopes, strict=True)):
            for x, got in zip(points.T, slope, strict=True):
                at = [m.mpf(float(v)) for v in x]
                right = formula(*at)
                if not _close(float(got), right, points.dtype) and not _excused(
                    row, order, k, at, float(got), right, points.dtype
                ):
                    found.append(f"order {order}, slope {k} at {x.tolist()}: {got!r}, not {m.nstr(right, 17)}")
    return found


def _ulp(x: Any, dtype: Any) -> Any:
    info = np.finfo(dtype)
    return m.mpf(
        float(info.smallest_subnormal if abs(x) < info.tiny else info.eps * 2.0 ** float(m.floor(m.log(abs(x), 2))))
    )


def _close(got: float, right: Any, dtype: Any, ulps: Any = ULPS) -> bool:
    """Return whether a number is right to so many units in the last place; where that is beyond all numbers, inf is."""
    largest = m.mpf(float(np.finfo(dtype).max))
    if abs(right) > largest * (1 - ULPS * float(np.finfo(dtype).eps)) and np.isinf(got):
        return bool((got > 0) == (right > 0))
    return bool(np.isfinite(got) and abs(right) <= 2 * largest and abs(got - right) <= ulps * _ulp(right, dtype))


def _excused(row: Row, order: int, k: int, at: list[Any], got: float, right: Any, dtype: Any) -> bool:
    """Return whether the error is at most 2 eps |x f''| more, where the row says so, or among the smallest numbers.

    There a slope is made of subnormal ones, which have lost digits: their last place counts, in relation to the slope.
    """
    info = np.finfo(dtype)
    subnormal = 0 < abs(right) < 1000 * float(info.tiny)
    if not subnormal and not any(order == o and where(*at) for o, where, _ in row.conditioned):
        return False
    n = len(at)
    partials = [(row.second[k + j] if order == 1 else _partial(row, k, j))(*at) for j in range(n)]
    change = sum(abs(x * d) for x, d in zip(at, partials, strict=True))
    eps = float(info.smallest_subnormal) / abs(right) if subnormal else float(info.eps)
    return _close(got, right, dtype, ULPS + 2 * eps * change / _ulp(right, dtype))


def _partial(row: Row, k: int, j: int) -> Any:
    """Return a third derivative: that of the second one of number k, by operand j."""
    n = len(row.first)
    return functools.partial(_derivative, row.second[k // n + k % n], j)


def _derivative(formula: Any, j: int, *at: Any) -> Any:
    """Return mpmath's own derivative of a formula by operand j."""
    return m.diff(formula, *at) if len(at) == 1 else m.diff(formula, at, tuple(int(i == j) for i in range(len(at))))


def unproven(row: Row, points: Iterable[tuple[float, ...]]) -> list[str]:
    """Return where a row's derivatives aren't those of its function, which mpmath differentiates by itself."""
    n, found = len(row.first), []
    with m.workprec(max(row.bits, 300)):
        for point in points:
            at = [m.mpf(x) for x in point]
            wanted = [(row.function, i, row.first[i]) for i in range(n)]
            wanted += [(row.first[i], j, row.second[i + j]) for i in range(n) for j in range(n)]
            for function, i, slope in wanted:
                right = (
                    m.diff(function, tuple(at), tuple(int(i == j) for j in range(n)))
                    if n > 1
                    else m.diff(function, *at)
                )
                if abs(right - slope(*at)) > 1e-20 * (1 + abs(right)):
                    found.append(f"by operand {i} at {point}: {m.nstr(slope(*at), 17)}, not {m.nstr(right, 17)}")
    return found
