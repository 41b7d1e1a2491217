"""Zero-safe reverse mode: a cotangent that is exactly zero stays zero through a singular derivative.

IEEE arithmetic says that 0 * inf is nan; here, what a mask switched off stays off. Searching for nan costs time. So it
is done only after NumPy's invalid flag, which 0 * inf raises, and after an operation that masks: such an operation may
hide a nan of its input, and 0 * nan raises no flag. Where the flag means nothing, all are searched. How a nan is
corrected depends on the rule: a product of entries, a sum of products, or one that says where it is 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from .arrays import raw
from .rules import Names, slots_read

MASKED, THREADED = "a mask", 2**18  # a product of so many multiplications may run on threads, which lose flags


@functools.cache
def _flag_tells(rows: int, inner: int) -> bool:
    """Return whether products of this size raise NumPy's invalid flag exactly when 0 * inf is computed.

    WebAssembly has no flags; some BLAS libraries raise them without cause, or never, or in another thread.
    """
    told, counts = list[str](), list[int]()
    with np.errstate(invalid="call", call=lambda kind, _: told.append(kind)):
        for a in (np.ones((rows, inner), np.float32), np.ones((rows, inner))):
            b = np.zeros((inner, rows), a.dtype)
            for last in (1, np.inf):
                a[-1] = last
                _ = a @ b, b.T @ a.T, a[-1] @ b[:, 0]
                counts.append(len(told))
    return counts == [0, 3, 3, 6]


FLAG_TELLS = _flag_tells(8, 8)


class Suspicion(list[str]):
    """The reasons why a cotangent may be nan where it should be zero; empty, and so false, as long as there is none."""

    def __init__(self, seeds: Iterable[Any]) -> None:
        if not FLAG_TELLS or any(np.count_nonzero(raw(seed)) < seed.size for seed in seeds):
            self.mask()

    def listening(self) -> AbstractContextManager[Any]:
        """In the body, NumPy's invalid flag adds a reason instead of warning."""
        invalid: Any = "call" if FLAG_TELLS else "ignore"
        return np.errstate(invalid=invalid, divide="ignore", over="ignore", call=lambda kind, _: self.append(kind))

    def mask(self) -> None:
        """Suspect every cotangent from here on: after an operation that masks, a nan may raise no flag."""
        if MASKED not in self:
            self.insert(0, MASKED)

    def mended(self, rule: Any, g: Any, saved: Any, c: Any) -> Any:
        """Return the cotangent `c` that a rule has computed, with zero where it is nan and should be zero."""
        if not hasattr(c, "size") or (not self and (c.size * g.size <= THREADED or _flag_tells(64, 900))):
            return c  # no reason to look, or not an array, which `arrive` refuses
        c = rule.zero_safe(rule, g, saved, c) if has_nan(raw(c)) else c
        self[:] = [MASKED] if self and self[0] is MASKED else []
        return c


def has_nan(c: Any) -> bool:
    """Return whether any entry is nan. The sum of squares is nan exactly then, and is the cheapest test."""
    c = c.ravel("K")  # in memory order, without a copy
    s = c.dot(c)
    return bool(s != s)


def product_of_entries(rule: Any, g: Any, saved: Any, c: Any) -> Any:
    """Return the cotangent of a rule that is `g` times a local derivative: zero where either is zero."""
    local = rule.pull(np.ones(g.shape, g.dtype), saved)
    return np.where((g == 0) | (local == 0), 0, c)


def sum_of_products(rule: Any, g: Any, saved: Any, c: Any) -> Any:
    """Return the cotangent of a rule that adds up products, each of `g` and all the floating arrays it reads.

    An inf or nan that is only multiplied by zeros counts as zero; otherwise the sum is what IEEE says. To find out
    which entries meet, the rule is evaluated with random numbers in place of all entries that are not zero. Ones would
    not do: terms of opposite signs would cancel.
    """
    slots = [slot for slot in rule.read_slots if getattr(saved[slot], "dtype", np.dtype(int)).kind == "f"]

    def evaluated(factors: list[Any]) -> Any:
        values = dict(zip(slots, factors[1:], strict=True))
        return rule.pull(factors[0], [values.get(slot, value) for slot, value in enumerate(saved)])

    factors = [g, *[saved[slot] for slot in slots]]
    singular = [~np.isfinite(raw(x)) for x in factors]
    nonzero = [raw(x) != 0 for x in factors]
    draws, reached = np.random.default_rng(0), 0
    for i, bad in enumerate(singular):
        met = [*nonzero[:i], bad, *nonzero[i + 1 :]]
        reached = reached + evaluated([there * draws.uniform(1, 2, there.shape) for there in met])
    return np.where(reached != 0, c, evaluated([np.where(bad, 0, x) for bad, x in zip(singular, factors, strict=True)]))


def zero_safe_where(zero: Callable[..., Any], slots: Names) -> Callable[..., Any]:
    """Return a `zero_safe`: 0 where `zero(g, ...)` says that all the cotangents which an entry depends on are 0."""
    read = slots_read(zero, ("g",), slots, "zero_where")
    return lambda rule, g, saved, c: np.where(zero(raw(g), *[saved[i] for i in read]), 0, c)
