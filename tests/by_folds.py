"""Reductions, statistics, ordering, padding and more by folds and loops: what the operations are held against.

Each takes NumPy's arguments. An `out` is ignored. A fold calls its ufunc on pairs of slices, which a ufunc's own
`reduce` need not do: NumPy's is wrong for some ufuncs on some processors.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = Any
UNSET: Any = np._NoValue


def wide(x: Any, dtype: Any = None) -> Array:
    """Return the array in the dtype that sums are kept in: double precision, or the largest integers."""
    x = np.asarray(x) if dtype is None else np.asarray(x).astype(dtype)
    widest = {"f": np.float64, "c": np.complex128, "b": np.int64, "i": np.int64, "u": np.uint64}
    return x.astype(np.result_type(x, widest[x.dtype.kind]))


def axes_of(ndim: int, axis: Any) -> tuple[int, ...]:
    """Return the axes counted from the front: all of them for None."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(int(a) % ndim for a in (axis if isinstance(axis, tuple) else (axis,)) if ndim)


def in_front(x: Array, axes: tuple[int, ...]) -> Array:
    """Return the array with the axes to go along in front, as one."""
    kept = [a for a in range(x.ndim) if a not in axes]
    lengths = [x.shape[a] for a in kept]
    return x.transpose(*axes, *kept).reshape(math.prod(x.shape[a] for a in axes), *lengths)


def answers(ufunc: Any) -> bool:
    """Return whether a ufunc's results are booleans."""
    return all(loop.endswith("?") for loop in ufunc.types if "O" not in loop)


def fold(
    ufunc: Any, x: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False,
    initial: Any = UNSET, where: Any = True,
) -> Array:  # fmt: skip
    """Return what `ufunc.reduce` documents: f(f(f(initial, a), b), c), of the entries where the mask is True."""
    x = wide(x, dtype)
    axes = axes_of(x.ndim, axis)
    start = ufunc.identity if initial is UNSET else initial
    slices = list(zip(in_front(x, axes), in_front(np.broadcast_to(where, x.shape), axes)))
    if start is None and not slices:
        raise ValueError("zero-size array to reduction operation which has no identity")
    y = slices.pop(0)[0] if start is None else np.full([n for a, n in enumerate(x.shape) if a not in axes], start)
    with np.errstate(all="ignore"):
        for entries, chosen in slices:
            y = np.where(chosen, ufunc(y, entries), y)
    y = np.asarray(y, bool if answers(ufunc) else dtype)
    return np.expand_dims(y, axes) if keepdims else y


def accumulated(ufunc: Any, x: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Array:
    """Return what `ufunc.accumulate` documents: the fold of the first entry, of the first two, and so on."""
    x = np.moveaxis(wide(x, dtype), axis, 0)
    y = np.array(list(itertools.accumulate(x, ufunc))).reshape(x.shape)
    return np.moveaxis(y.astype(bool) if answers(ufunc) else y, 0, axis)


def between(ufunc: Any, x: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Array:
    """Return what `ufunc.reduceat` documents: the fold from each index to the next, or the one entry."""
    x = np.moveaxis(wide(x, dtype), axis, 0)
    ends = [*indices[1:], len(x)]
    return np.moveaxis(np.array([fold(ufunc, x[i : max(i + 1, j)]) for i, j in zip(indices, ends)]), 0, axis)


def each_pair(ufunc: Any, a: Any, b: Any) -> Array:
    """Return what `ufunc.outer` documents."""
    a, b = np.asarray(a), np.asarray(b)
    return np.array([ufunc(p, q) for p in a.flat for q in b.flat]).reshape(a.shape + b.shape)


def one_by_one(ufunc: Any, x: Array, indices: Any, *others: Any) -> None:
    """Do what `ufunc.at` documents: change the array at each index in turn, at equal ones again."""
    places = np.arange(x.size).reshape(x.shape)[indices]
    rows = zip(places.flat, *[np.broadcast_to(v, places.shape).flat for v in others])
    for place, *values in rows:
        at = np.unravel_index(place, x.shape)
        x[at] = ufunc(x[at], *values)


# ---- row by row ----


def along(
    function: Callable[..., Any], arrays: Sequence[Any], axis: Any = None, keepdims: Any = False,
    size: tuple[int, ...] = (), front: bool = False,
) -> Array:  # fmt: skip
    """Return a function of each row along the axes, of all arrays alike: its results come last, or in front."""
    x = np.asarray(arrays[0])
    axes = axes_of(x.ndim, axis)
    rows = [in_front(np.broadcast_to(a, x.shape), axes) for a in arrays]
    kept = rows[0].shape[1:]
    found = [function(*[row[(slice(None), *place)] for row in rows]) for place in np.ndindex(*kept)]
    y = np.array(found).reshape(kept + size)
    if front:
        y = np.moveaxis(y, range(len(kept), y.ndim), range(len(size)))
    return np.expand_dims(y, [a + len(size) * front for a in axes]) if keepdims else y


def divided(a: Any, b: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.true_divide(a, b)


def added(values: Any) -> Any:
    """Return the sum of a row, rounded once."""
    values = np.asarray(values)
    if values.dtype.kind == "f" and values.dtype.itemsize <= 8 and np.isfinite(values).all():
        return math.fsum(values.tolist())
    return functools.reduce(np.add, values, values.dtype.type(0))


def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True
) -> Array:
    y = along(lambda x, w: divided(added(x[w]), w.sum()), [wide(a, dtype), where], axis, keepdims)
    return y if dtype is None else y.astype(dtype)


def var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False, *,
    where: Any = True, mean: Any = UNSET, correction: Any = UNSET,
) -> Array:  # fmt: skip
    less = ddof if correction is UNSET else correction

    def one(x: Array, w: Array, middle: Array | None = None) -> Any:
        far = np.abs(x[w] - (divided(added(x[w]), len(x[w])) if middle is None else middle[w]))
        return divided(added(far * far), max(len(far) - less, 0))

    given = [] if mean is UNSET else [mean]
    y = along(one, [wide(a, dtype), where, *given], axis, keepdims)
    return y if dtype is None else y.astype(dtype)


def std(*arguments: Any, **parameters: Any) -> Array:
    return np.sqrt(var(*arguments, **parameters))


def without_nan(reduction: Any) -> Any:
    """Return a reduction that skips nan."""

    def skipping(x: Any, axis: Any = None, *arguments: Any, where: Any = True, **parameters: Any) -> Array:
        there = ~np.isnan(x) & where
        return reduction(np.where(there, x, 0), axis, *arguments, where=there, **parameters)

    return skipping


def any_of(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Array:
    return along(lambda x, w: any(x[w].tolist()), [a, where], axis, keepdims)


def all_of(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Array:
    return along(lambda x, w: all(x[w].tolist()), [a, where], axis, keepdims)


def extreme(ufunc: Any, skip_nan: bool = False) -> Any:
    def found(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = UNSET, where: Any = True
    ) -> Array:
        def one(x: Array, w: Array) -> Any:
            rest = x[w & ~np.isnan(x)] if skip_nan else x[w]
            start = [] if initial in (UNSET, None) else [x.dtype.type(initial)]
            return functools.reduce(ufunc, [*start, *rest]) if len(rest) or start else math.nan

        return along(one, [a, where], axis, keepdims)

    return found


largest, smallest = extreme(np.maximum), extreme(np.minimum)


def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Array:
    return np.subtract(*[found(a, axis, None, keepdims) for found in (largest, smallest)])


def place_of(better: Any, skip_nan: bool = False) -> Any:
    """Return a function for the index of the first entry that no other is better than; nan is, unless skipped."""

    def place(row: Array) -> int:
        left = [i for i, v in enumerate(row) if not (skip_nan and np.isnan(v))]
        nans = [i for i in left if np.isnan(row[i])]
        return (nans or [functools.reduce(lambda i, j: j if better(row[j], row[i]) else i, left)])[0]

    def found(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Array:
        return along(place, [a], axis, keepdims)

    return found


def scaled(ufunc: Any) -> Any:
    """Return `np.sum` or `np.prod`, whose default is to reduce everything."""

    def found(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False,
        initial: Any = UNSET, where: Any = True,
    ) -> Array:  # fmt: skip
        return fold(ufunc, a, axis, dtype, None, keepdims, ufunc.identity if initial is None else initial, where)

    return found


def cumulated(ufunc: Any, skip_nan: bool = False) -> Any:
    def found(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Array:
        x = np.ravel(a) if axis is None else np.asarray(a)
        y = np.where(np.isnan(x), ufunc.identity, x) if skip_nan else x
        return accumulated(ufunc, y, 0 if axis is None else axis, dtype)

    return found


def cumulated_from(ufunc: Any) -> Any:
    def found(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
    ) -> Array:
        a = 0 if axis is None else axis
        x = np.atleast_1d(wide(x, dtype))  # of a number, too, a total after each step
        start = np.full_like(np.take(x, range(1), a) if x.shape[a] else np.insert(x, 0, 0, a), ufunc.identity)
        return accumulated(ufunc, np.concatenate([start, x], a) if include_initial else x, a)

    return found


# ---- ordering ----


def in_order(row: Array) -> list[Any]:
    """Return the entries from the smallest to the largest, nan last."""
    return sorted(row, key=lambda v: (bool(np.isnan(v)), v))


def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Array:
    x = np.ravel(a) if axis is None else np.asarray(a)
    last = -1 if axis is None else axis
    return np.moveaxis(along(in_order, [x], last, size=(x.shape[last],)), -1, last)


def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Array:
    """Return the places of the entries in order, those of equal ones as they come."""
    x = np.ravel(a) if axis is None else np.asarray(a)
    last = -1 if axis is None else axis
    if not x.ndim:
        return np.zeros(np.shape(np.argsort(x)), np.intp)

    def one(row: Array) -> list[int]:
        return sorted(range(len(row)), key=lambda i: (bool(np.isnan(row[i])), row[i]))

    return np.moveaxis(along(one, [x], last, size=(x.shape[last],)), -1, last).astype(np.intp)


ALPHA_BETA = {
    "interpolated_inverted_cdf": (0, 1), "hazen": (0.5, 0.5), "weibull": (0, 0), "linear": (1, 1),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (0.375, 0.375),
}  # fmt: skip


def places(n: int, q: float, method: str) -> tuple[int, int, float]:
    """Return the two entries of n in order that a quantile lies between, and how far: Hyndman and Fan's table."""
    if method in ("lower", "higher", "midpoint", "nearest"):
        h = q * (n - 1)
        low, high = math.floor(h), math.ceil(h)
        low, high = {"lower": (low, low), "higher": (high, high), "nearest": (round(h),) * 2}.get(method, (low, high))
        return low, high, 0.5
    if method in ALPHA_BETA:
        alpha, beta = ALPHA_BETA[method]
        h = min(max(alpha + q * (n + 1 - alpha - beta), 1), n)
        return math.floor(h) - 1, math.ceil(h) - 1, h - math.floor(h)
    h = n * q - (0.5 if method == "closest_observation" else 0)
    j = math.floor(h)
    whole = h == j
    if method == "closest_observation":
        found = (j - 1 if whole and j % 2 == 0 else j,) * 2
    else:
        found = (j - 1 if whole else j, j - 1 if whole and method == "inverted_cdf" else j)
    low, high = (min(max(i, 0), n - 1) for i in found)
    return low, high, 0.5


def quantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = False, *, skip_nan: bool = False,
) -> Array:  # fmt: skip
    levels = np.asarray(q, np.float64)

    def one(row: Array) -> Any:
        x = in_order(row[~np.isnan(row)] if skip_nan else row)
        if not x or np.isnan(x[-1]):
            return np.full(levels.shape, np.nan)
        found = [mixed(x, *places(len(x), float(level), method)) for level in levels.flat]
        return np.array(found).reshape(levels.shape)

    return along(one, [a], axis, keepdims, levels.shape, front=True)


def mixed(x: list[Any], low: int, high: int, share: float) -> Any:
    """Return the mean of two entries by their shares; equal ones are theirs whatever the share is."""
    return x[low] if x[low] == x[high] else x[low] * (1 - share) + x[high] * share


def percentile(a: Any, q: Any, *arguments: Any, **parameters: Any) -> Array:
    return quantile(a, np.true_divide(q, 100), *arguments, **parameters)


def median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False, **more: Any
) -> Array:
    return quantile(a, 0.5, axis, keepdims=keepdims, **more)


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Array:
    x = list(a if sorter is None else np.asarray(a)[sorter])
    search = bisect.bisect_left if side == "left" else bisect.bisect_right
    return np.array([search(x, value) for value in np.asarray(v).flat], int).reshape(np.shape(v))


def digitize(x: Any, bins: Any, right: bool = False) -> Array:
    def below(value: Any, edge: Any) -> bool:
        return bool(value > edge if right else value >= edge)

    rising = len(bins) < 2 or bins[-1] >= bins[0]
    places = [sum(below(v, e) if rising else not below(v, e) for e in bins) for v in np.asarray(x).flat]
    return np.array(places, int).reshape(np.shape(x))


# ---- statistics, differences ----


def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    x = wide(a)
    axes = axes_of(x.ndim, axis)
    w = np.ones(x.shape) if weights is None else wide(weights)
    if w.ndim != x.ndim:
        w = np.expand_dims(w.transpose(np.argsort(axes)), [d for d in range(x.ndim) if d not in axes])
    y = along(lambda x, w: divided(added(x * w), added(w)), [x, w], axis, keepdims)
    return (y, along(added, [np.broadcast_to(w, x.shape)], axis, keepdims)) if returned else y


def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, fweights: Any = None,
    aweights: Any = None, *, dtype: Any = None,
) -> Array:  # fmt: skip
    given = [np.atleast_2d(wide(v)) for v in ([m] if y is None else [m, y])]
    rows = np.concatenate([v if rowvar or np.ndim(raw) == 1 else v.T for raw, v in zip((m, y), given)])
    n = rows.shape[1]
    f = np.ones(n) if fweights is None else np.asarray(fweights)
    w = f * (1.0 if aweights is None else np.asarray(aweights))
    less = (0 if bias else 1) if ddof is None else ddof
    weight = added(w)
    factor = weight - less * (1 if aweights is None else added(w * np.asarray(aweights)) / weight)
    far = [row - added(row * w) / weight for row in rows]
    y = [divided(added(w * a * b.conj()), factor) for a in far for b in far]
    return np.squeeze(np.array(y).reshape(len(far), len(far)))


def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Array:
    c = np.atleast_2d(cov(x, y, rowvar))
    y = [1.0 if i == j else c[i, j] / np.sqrt(c[i, i] * c[j, j]) for i, j in np.ndindex(*c.shape)]
    return np.squeeze(np.array(y).reshape(c.shape))


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = UNSET, append: Any = UNSET) -> Array:
    x = np.moveaxis(np.asarray(a), axis, 0)

    def end(value: Any) -> Array:
        value = np.asarray(value)
        return np.broadcast_to(value, (1, *x.shape[1:])) if value.ndim == 0 else np.moveaxis(value, axis, 0)

    parts = [x if v is x else end(v) for v in (prepend, x, append) if v is not UNSET]
    rows = list(np.concatenate(parts))
    for _ in range(n):
        rows = [after - before for before, after in itertools.pairwise(rows)]
    return np.moveaxis(np.array(rows).reshape(len(rows), *x.shape[1:]), 0, axis)


def slopes_of(f: Array, at: Array, edge_order: int) -> list[Any]:
    """Return the derivative at each place of the parabola through it and its neighbours, or at the ends of a line."""

    def parabola(i: int, k: int) -> Any:
        a, b, c = (at[i + d] for d in range(3))
        x = at[k]
        weights = [(2 * x - b - c) / ((a - b) * (a - c)), (2 * x - a - c) / ((b - a) * (b - c)),
                   (2 * x - a - b) / ((c - a) * (c - b))]  # fmt: skip
        return functools.reduce(np.add, [w * f[i + d] for d, w in enumerate(weights)])

    last = len(f) - 1
    ends = [(f[1] - f[0]) / (at[1] - at[0]), (f[last] - f[last - 1]) / (at[last] - at[last - 1])]
    if edge_order == 2:
        ends = [parabola(0, 0), parabola(last - 2, last)]
    return [ends[0], *[parabola(i - 1, i) for i in range(1, last)], ends[1]]


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    x = np.asarray(f)
    axes = axes_of(x.ndim, axis)
    spacings = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    found = []
    for a, h in zip(axes, spacings):
        at = np.asarray(h) if np.ndim(h) else np.arange(x.shape[a]) * h
        found.append(np.moveaxis(np.array(slopes_of(np.moveaxis(x, a, 0), at, edge_order)), 0, a))
    return found[0] if len(found) == 1 else tuple(found)


def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * math.pi) -> Array:
    """Shift the entries behind each step by what takes it between minus and plus half a period."""
    half = period / 2
    least = half if discont is None else discont

    def one(row: Array) -> list[Any]:
        found, shift = list(row[:1]), 0.0
        for before, after in itertools.pairwise(row):
            step = after - before
            wrapped = (step + half) % period - half
            if wrapped == -half and step > 0:
                wrapped = half
            shift += 0 if abs(step) < least else wrapped - step
            found.append(after + shift)
        return found

    x = np.asarray(p)
    return np.moveaxis(along(one, [x], axis, size=(x.shape[axis],)), -1, axis)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Array:
    y = np.moveaxis(wide(y), axis, -1)
    at = np.arange(y.shape[-1]) * dx if x is None else np.asarray(x) if np.ndim(x) == 1 else np.moveaxis(x, axis, -1)
    pairs = itertools.pairwise(range(y.shape[-1]))
    parts = [(at[..., j] - at[..., i]) * (y[..., i] + y[..., j]) / 2 for i, j in pairs]
    return np.asarray(functools.reduce(np.add, parts, np.zeros(y.shape[:-1])))


def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Array:
    y = np.zeros(max([minlength, *[int(v) + 1 for v in x]]), int if weights is None else float)
    for place, weight in zip(x, np.ones(len(x), int) if weights is None else weights):
        y[place] += weight
    return y


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Array:
    return fold(np.add, np.diagonal(a, offset, axis1, axis2), -1, dtype)


def between_knots(v: Any, at: Any, levels: Any) -> Any:
    """Return the height of the line through two knots, from either of them where the other's is infinite."""
    with np.errstate(all="ignore"):
        slope = np.float64(levels[1] - levels[0]) / (at[1] - at[0])
        heights = [slope * (v - a) + level for a, level in zip(at, levels)]
    kept = [y for y in heights if not np.isnan(y)]
    return kept[0] if kept else levels[0] if levels[0] == levels[1] else math.nan


def around(xp: Any, fp: Any, period: float) -> tuple[list[Any], list[Any]]:
    """Return the knots of one period in order, with the last one before it and the first one behind it."""
    knots = sorted(zip([place % period for place in xp], fp), key=lambda knot: knot[0])
    (first, level), (last, highest) = knots[0], knots[-1]
    whole = [(last - period, highest), *knots, (first + period, level)]
    return [place for place, _ in whole], [level for _, level in whole]


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Array:
    """Return the heights of straight lines between places, and those of the ends outside."""
    if period is not None:
        return interp(np.asarray(x) % abs(period), *around(xp, fp, abs(period)))
    xp = list(xp)

    def one(v: Any) -> Any:
        if np.isnan(v):
            return v if len(xp) > 1 else fp[0]  # as NumPy does
        if v < xp[0] or v > xp[-1]:
            return [fp[0] if left is None else left, fp[-1] if right is None else right][int(v > xp[-1])]
        i = bisect.bisect_right(xp, v) - 1
        return fp[i] if i == len(xp) - 1 or v == xp[i] else between_knots(v, xp[i : i + 2], fp[i : i + 2])

    return np.array([one(v) for v in np.asarray(x).flat], np.result_type(float, np.asarray(fp))).reshape(np.shape(x))


# ---- padding ----

STATISTICS: dict[str, Callable[..., Array]] = {
    "maximum": largest, "minimum": smallest, "mean": mean, "median": median,
}  # fmt: skip


def mirrored(rows: Array, place: int, shared_edge: int, odd: bool) -> Array:
    """Return the entry at a place; outside it is the image, in the nearer edge, of what lies or is shown inwards."""
    n = len(rows)
    if 0 <= place < n or n == 1:
        return rows[place if n > 1 else 0]
    edge, gap = (0, -shared_edge) if place < 0 else (n - 1, shared_edge)
    image = mirrored(rows, 2 * edge + gap - place, shared_edge, odd)
    return 2 * rows[edge] - image if odd else image


def beside(rows: Array, mode: str, widths: tuple[int, int], option: Any) -> Callable[[int], Any]:
    """Return what a mode of `np.pad` puts at a place before the rows, which is negative, or behind them."""
    n, whole = len(rows), rows.dtype.kind in "iu"

    def ramp(place: int) -> Array:
        side = int(place >= 0)
        steps, width = (place - n + 1 if side else -place), widths[side]
        edge = wide(rows[-side])
        height = np.true_divide(edge * (width - steps) + option[side] * steps, width)
        return np.floor(height) if whole else height

    if mode in STATISTICS:
        lengths = [n if length is None else min(int(length), n) for length in option]
        found = [STATISTICS[mode](part, 0) for part in (rows[: lengths[0]], rows[n - lengths[1] :])]
        return lambda place: np.rint(found[int(place >= 0)]) if whole else found[int(place >= 0)]
    return {
        "constant": lambda place: option[int(place >= 0)],
        "edge": lambda place: rows[-int(place >= 0)],
        "wrap": lambda place: rows[place % n],
        "linear_ramp": ramp,
        "reflect": lambda place: mirrored(rows, place, 0, option[0] == "odd"),
        "symmetric": lambda place: mirrored(rows, place, 1, option[0] == "odd"),
    }[mode]


def pad(array: Any, pad_width: Any, mode: str = "constant", **options: Any) -> Array:
    """Return what `np.pad` documents: one axis after the other, each padded place by place."""
    x = np.asarray(array)
    widths = np.zeros((x.ndim, 2), int)
    for axis, width in pad_width.items() if isinstance(pad_width, dict) else [(..., pad_width)]:
        widths[axis] = width
    default = {"constant": 0, "linear_ramp": 0, "reflect": "even", "symmetric": "even"}.get(mode)
    choices = np.broadcast_to(np.asarray(next(iter(options.values()), default)), widths.shape)
    for axis, (before, after) in enumerate(widths.tolist()):
        if before or after:
            rows = np.moveaxis(x, axis, 0)
            entry = beside(rows, mode, (before, after), choices[axis])
            places = range(-before, len(rows) + after)
            found = [rows[i] if 0 <= i < len(rows) else np.broadcast_to(entry(i), rows.shape[1:]) for i in places]
            x = np.moveaxis(np.array(found).astype(x.dtype), 0, axis)
    return x


FOLDS: dict[Any, Callable[..., Any]] = {
    np.sum: scaled(np.add), np.prod: scaled(np.multiply),
    np.nansum: without_nan(scaled(np.add)), np.nanprod: without_nan(scaled(np.multiply)),
    np.max: largest, np.amax: largest, np.min: smallest, np.amin: smallest,
    np.nanmax: extreme(np.maximum, True), np.nanmin: extreme(np.minimum, True),
    np.ptp: ptp,
    np.mean: mean, np.var: var, np.std: std,
    np.nanmean: without_nan(mean), np.nanvar: without_nan(var), np.nanstd: without_nan(std),
    np.any: any_of, np.all: all_of,
    np.argmax: place_of(np.greater), np.argmin: place_of(np.less),
    np.nanargmax: place_of(np.greater, True), np.nanargmin: place_of(np.less, True),
    np.cumsum: cumulated(np.add), np.cumprod: cumulated(np.multiply),
    np.nancumsum: cumulated(np.add, True), np.nancumprod: cumulated(np.multiply, True),
    np.cumulative_sum: cumulated_from(np.add), np.cumulative_prod: cumulated_from(np.multiply),
    np.sort: sort, np.argsort: argsort, np.median: median, np.quantile: quantile, np.percentile: percentile,
    np.nanmedian: functools.partial(median, skip_nan=True), np.nanquantile: functools.partial(quantile, skip_nan=True),
    np.nanpercentile: functools.partial(percentile, skip_nan=True),
    np.searchsorted: searchsorted, np.digitize: digitize,
    np.average: average, np.cov: cov, np.corrcoef: corrcoef, np.diff: diff, np.gradient: gradient,
    np.unwrap: unwrap, np.trapezoid: trapezoid, np.bincount: bincount, np.trace: trace, np.interp: interp, np.pad: pad,
    np.ediff1d: lambda ary, to_end=None, to_begin=None: np.concatenate(
        [np.ravel(v) for v in (to_begin, diff(np.ravel(ary)), to_end) if v is not None]
    ),
}  # fmt: skip
METHODS: dict[str, Callable[..., Any]] = {
    "reduce": fold, "accumulate": accumulated, "reduceat": between, "outer": each_pair, "at": one_by_one,
}  # fmt: skip
