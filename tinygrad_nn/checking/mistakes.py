"""The mistakes that `tg.gradcheck` and `tg.diff_backprop` know: what a gradient is instead of the right one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class WrongGradient:
    """A wrong gradient, the right one, and the arrays that the wrong one may be made of.

    A nan in `right` is an unknown entry. Sentences call the right one `called`, and the wrong one `key` ("" if it has
    no name). `before` are the gradients that it is derived from, `values` the arrays that enter, and `m` the number of
    samples, or 1. A constant factor may be made of `sizes`, each with a symbol, a number and what it counts. Arrays
    count as equal if they differ by at most the fraction `close` of the largest entry. It is the gradient of the tensor
    `name`, if given. If only an elementwise step reads the tensor, `step` names its function and argument, as in "relu
    at Z1", and `local` is its derivative alone. `known` are pairs of a description and an array that it may be.
    """

    key: str
    wrong: np.ndarray
    right: np.ndarray
    called: str
    before: Arrays
    values: Arrays
    m: int
    sizes: tuple[tuple[str, int, str], ...]
    close: float
    name: str = ""
    step: str = ""
    local: np.ndarray | None = None
    known: Iterable[tuple[str, np.ndarray]] = ()

    @property
    def subject(self) -> str:
        """The beginning of a sentence about the wrong gradient, with its shape if that is wrong."""
        if self.wrong.shape == self.right.shape:
            return self.key or "it"
        return f"{self.key} has shape {self.wrong.shape} where {self.right.shape} is right: it"

    def same(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Return whether two arrays agree in shape and in the known entries of the second, and are not all zeros."""
        if a.shape != b.shape:
            return False
        known = ~np.isnan(b)
        largest = np.abs(b[known]).max(initial=0)
        return bool(0 < largest < np.inf and np.abs(a - b)[known].max() <= self.close * largest)

    def factor(self, wrong: np.ndarray, right: np.ndarray) -> float:
        """Return the number c, by least squares, for which c times `right` is `wrong`; nan if there is none."""
        known = ~np.isnan(right)
        if wrong.shape != right.shape or not right[known].any():
            return np.nan
        scaled = right[known] / np.abs(right[known]).max()  # squares of tiny numbers would underflow to 0
        c = float(np.vdot(scaled, wrong[known]) / np.vdot(scaled, right[known]))
        return c if self.same(wrong, c * right) else np.nan

    def is_one(self, c: float) -> bool:
        """Return whether a factor is 1, up to the tolerance."""
        return abs(c - 1) <= self.close

    def times(self, c: float) -> str:
        """Return a factor in words that precede what it multiplies; "" for 1."""
        sign, size = "minus " if c < 0 else "", abs(c)
        for denominator in (1, 2, round(1 / size) if size < 1 else 3):
            numerator = round(size * denominator)
            if numerator and self.is_one(size * denominator / numerator):
                if denominator > 1:
                    return f"{sign}{numerator}/{denominator} of "
                return sign if numerator == 1 else f"{sign}{numerator} times "
        return f"{sign}{size:.4g} times "

    def meaning(self, c: float) -> str:
        """Return the meaning of a factor made of one or two of the sizes, 2 and -1; "" for others, and for 1."""
        basics = [(2, "a factor 2 too much", ""), (1 / 2, "a missing factor 2, as from the derivative of a square", "")]
        for symbol, n, counted in reversed([size for size in self.sizes if size[1] != 1]):
            equation = f"{symbol} = {n} {counted}".rstrip()
            too_often = f"1/{symbol} once too often{', as by a mean where a sum belongs' if symbol == 'm' else ''}"
            basics = [(n, f"a missing 1/{symbol}", equation), (1 / n, too_often, equation), *basics]
            off = [(n / k, f"1/{k} where 1/{n} belongs, one sample off", equation) for k in (n - 1, n + 1)]
            basics += off if counted == "samples" and n > 2 else []
        sign = ["the sign is wrong"] if c < 0 else []
        if self.is_one(abs(c)):
            return "".join(sign)
        single = [basic for basic in basics if self.is_one(abs(c) / basic[0])]
        pairs = (
            (a, b) for a, b in itertools.combinations(basics, 2)
            if a[2][:1] != b[2][:1] and self.is_one(abs(c) / (a[0] * b[0]))  # m is one number, not two
        )  # fmt: skip
        parts = single or list(next(pairs, ()))
        if not parts:
            return ""
        counts = ", ".join(dict.fromkeys(equation for _, _, equation in parts if equation))
        text = (" or " if single else " and ").join(text for _, text, _ in parts)
        return " and ".join([*sign, text]) + (f" ({counts})" if counts else "")

    def formulas(self, target: np.ndarray) -> Iterator[str]:
        """Yield each formula that gives `target`, from a gradient before it, perhaps one of the values, and `m`."""
        for text, candidate in _candidates(target.shape, self.before, self.values):
            for scaled, factor in ((text, 1.0), (f"{text} / m", 1 / self.m), (f"{text} * m", self.m)):
                if self.same(candidate * candidate.dtype.type(factor), target):
                    yield scaled

    def right_formula(self) -> str | None:
        """Return the formula of the right gradient, in words for an elementwise step; None if unknown."""
        found = next(self.formulas(self.right), None)
        if found is None and self.step:
            return f"{next(iter(self.before))} times the derivative of {self.step}"
        return found

    def remedy(self) -> str:
        """Return what to write, as the end of a sentence; "" if no formula is known."""
        return f"; write {right}" if (right := self.right_formula()) else ""


def zero(case: WrongGradient) -> Iterator[str]:
    """It is 0."""
    if case.wrong.size and not case.wrong.any():
        yield f"{case.subject} is 0 everywhere: was it ever computed, or is everything before it masked?"


def known_factor(case: WrongGradient) -> Iterator[str]:
    """It is right, except for a constant factor that has a meaning."""
    c = case.factor(case.wrong, case.right)
    if meaning := case.meaning(c):
        yield f"{case.subject} is {case.times(c)}{case.called}: {meaning}"


def any_factor(case: WrongGradient) -> Iterator[str]:
    """It is right, except for a constant factor."""
    c = case.factor(case.wrong, case.right)
    if np.isfinite(c) and case.wrong.size > 1:
        yield f"{case.subject} is {case.times(c)}{case.called}: a constant factor is wrong"


def unchanged(case: WrongGradient) -> Iterator[str]:
    """It is still equal to a gradient from which it should be derived."""
    derivative = f"derivative of {case.step}" if case.step else "local derivative"
    for key, g in case.before.items():
        c = case.factor(case.wrong, g)
        if case.is_one(c) or case.meaning(c):
            missing = f"the {derivative} is missing; multiply {key} by it"
            if case.name and not case.step:
                missing = f"the step from {case.name} to {key.removeprefix('d')} is left out{case.remedy()}"
            yield f"{case.subject} is {case.times(c)}{key}: {missing}"


def changed(case: WrongGradient) -> Iterator[str]:
    """It is right, except for a change of its axes, and perhaps a constant factor."""
    for how, array in _changes(case.key, case.wrong, case.right.shape):
        c = case.factor(array, case.right)
        if np.isfinite(c) and not case.same(array, case.wrong):
            meaning = case.meaning(c)
            also = f"; also, it is {case.times(c)}{case.called}" + (f": {meaning}" if meaning else "")
            yield f"{case.subject} {how}" + ("" if case.is_one(c) else also)


def _changes(key: str, wrong: np.ndarray, shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield arrays that may have the right axes, each with what is wrong with the axes and what to write."""
    for array in (wrong.swapaxes(-1, -2), wrong.T) if wrong.ndim > 1 else ():
        yield "is transposed" + (f"; write {key}.T" if key else ""), array
    if wrong.shape == shape:
        yield from ((f"is flipped along axis {axis}", np.flip(wrong, axis)) for axis in range(wrong.ndim))
    elif wrong.size == math.prod(shape):
        dropped = "the sum dropped an axis; write keepdims=True"
        how = dropped if len(shape) > wrong.ndim else f"write {key}.reshape({', '.join(map(str, shape))})"
        yield f"fits in another shape: {how}", wrong.reshape(shape)
    for axis, keepdims in itertools.product(range(wrong.ndim), (True, False)):
        summed = f"{key}.sum(axis={axis}{', keepdims=True' if keepdims else ''})"
        yield f"is not summed over axis {axis}; write {summed}", wrong.sum(axis=axis, keepdims=keepdims)


def reordered(case: WrongGradient) -> Iterator[str]:
    """Its entries are in another order."""
    if np.isnan(case.right).any():
        return
    for axis in range(case.wrong.ndim):
        rows, right = (np.moveaxis(a, axis, 0).reshape(a.shape[axis], -1) for a in (case.wrong, case.right))
        order, target = np.lexsort(rows.T), np.lexsort(right.T)
        moved = np.flatnonzero(order != target)
        if moved.size and case.same(rows[order], right[target]):
            one = "entry" if case.wrong.ndim == 1 else ("row", "column")[axis] if axis < 2 else f"axis {axis}, part"
            yield f"{case.subject} is in another order: its {one} {order[moved[0]]} belongs at {target[moved[0]]}"
    if case.same(np.sort(case.wrong, axis=None), np.sort(case.right, axis=None)):
        yield f"{case.subject} has the right entries in another order"


def known(case: WrongGradient) -> Iterator[str]:
    """It is one of the arrays that it may be by mistake, perhaps with the wrong sign."""
    for what, array in case.known:
        if case.is_one(abs(c := case.factor(case.wrong, array))):
            yield f"{case.subject} is {case.times(c)}{what}{case.remedy()}"


def formula(case: WrongGradient) -> Iterator[str]:
    """It is computed by another formula."""
    for found in case.formulas(case.wrong):
        yield f"{case.subject} is {found}{case.remedy()}"


# What a loop over samples adds up: all terms, or some of them by mistake.
_PARTS = {
    "": slice(None), " without the first term": slice(1, None), " without the last term": slice(-1),
    ", the last term alone": slice(-1, None),
}  # fmt: skip


def _candidates(shape: tuple[int, ...], gradients: Arrays, values: Arrays) -> Iterator[tuple[str, np.ndarray]]:
    for key, g in gradients.items():
        if g.ndim == len(shape) + 1 and g.shape[1:] == shape and len(g):
            yield f"{key}[0]", g[0]
        if math.prod(shape) > 1:
            yield f"{key}.mean() everywhere", np.full(shape, g.mean())
            yield f"{key}.sum() everywhere", np.full(shape, g.sum())
        for axis, keep in itertools.product(range(g.ndim), (True, False)):
            total, along = g.sum(axis=axis, keepdims=keep), f"axis={axis}{', keepdims=True' if keep else ''}"
            if total.shape == shape:
                for part, terms in _PARTS.items():
                    yield f"{key}.sum({along}){part}", np.moveaxis(g, axis, 0)[terms].sum(axis=0).reshape(shape)
                yield f"{key}.mean({along})", total / g.shape[axis]
        for name, value in values.items():
            ours, theirs = _both_ways(key, g), _both_ways(name, value)
            for (left, a), (right, b) in [*itertools.product(ours, theirs), *itertools.product(theirs, ours)]:
                if a.shape[-1] == b.shape[0] and (*a.shape[:-1], *b.shape[1:]) == shape:
                    for part, terms in _PARTS.items():
                        yield f"{left} @ {right}{part}", a[..., terms] @ b[terms]
            if g.shape == value.shape == shape:
                yield f"{key} * {name}", g * value


def _both_ways(name: str, array: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Return the forms in which an array may enter a product: a vector as it is, a matrix also transposed."""
    return {1: [(name, array)], 2: [(name, array), (f"{name}.T", array.T)]}.get(array.ndim, [])
