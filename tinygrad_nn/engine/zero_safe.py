"""Zero-safe reverse mode: a cotangent that is exactly zero stays zero through a singular derivative.

IEEE arithmetic says that 0 * inf is nan; here what a mask switched off stays off. Looking for nan costs time. So it is
done only after NumPy's invalid flag, which 0 * inf raises, and behind an operation that masks: it may have left a nan
out of the output, and 0 * nan raises no flag. Where the flag tells nothing, it is done everywhere. How a nan is mended
depends on the kind of rule: a product of entries, a sum of products, or one that says itself where it is zero.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from .arrays import raw
from .rules import Names, slots_read

MASKED, THREADED = "a mask", 2**18  # a product of so many multiplications may be shared by threads: flags are lost


@functools.cache
def _flag_tells(rows: int, inner: int) -> bool:
    """Return whether NumPy's invalid flag rises in products of this size where 0 * inf is computed, and only there.

    WebAssembly has no flags; some libraries of products raise them without cause, or never, or in another thread.
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
    """The reasons why a cotangent may be nan where it ought to be zero; empty, and so false, while there is none."""

    def __init__(self, seeds: Iterable[Any]) -> None:
        if not FLAG_TELLS or any(np.count_nonzero(raw(seed)) < seed.size for seed in seeds):
            self.mask()

    def listening(self) -> AbstractContextManager[Any]:
        """Let NumPy's invalid flag raise suspicion in the body, instead of warning."""
        invalid: Any = "call" if FLAG_TELLS else "ignore"
        return np.errstate(invalid=invalid, divide="ignore", over="ignore", call=lambda kind, _: self.append(kind))

    def mask(self) -> None:
        """Suspect all that follows: behind an operation that masks, no flag may tell of a nan."""
        if MASKED not in self:
            self.insert(0, MASKED)

    def mended(self, rule: Any, g: Any, saved: Any, c: Any) -> Any:
        """Return the cotangent `c` that a rule has computed, zero where it is nan and ought to be zero."""
        if not hasattr(c, "size") or (not self and (c.size * g.size <= THREADED or _flag_tells(64, 900))):
            return c  # without reason to look; or no array, which is refused where it arrives
        c = rule.zero_safe(rule, g, saved, c) if has_nan(raw(c)) else c
        self[:] = [MASKED] if self and self[0] is MASKED else []
        return c


def has_nan(c: Any) -> bool:
    """Return whether any entry is nan: a sum of squares is nan exactly then, and the cheapest look."""
    c = c.ravel("K")  # in the order of its memory, without a copy
    s = c.dot(c)
    return bool(s != s)


def product_of_entries(rule: Any, g: Any, saved: Any, c: Any) -> Any:
    """Return the cotangent by a rule that is `g` times a local derivative, zero where either is zero."""
    local = rule.pull(np.ones(g.shape, g.dtype), saved)
    return np.where((g == 0) | (local == 0), 0, c)


def sum_of_products(rule: Any, g: Any, saved: Any, c: Any) -> Any:
    """Return the cotangent by a rule that adds up products, each of `g` and of all the floating arrays it reads.

    An inf or nan that meets only zeros counts as zero; otherwise the sum is what IEEE says. The rule itself tells what
    meets what: it is given random numbers in place of all entries that are not zero. Ones would not do, for terms of
    opposite signs would cancel.
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
    """Return the `zero_safe` of a rule: 0 where `zero(g, ...)` says that all the cotangents it reads are 0."""
    read = slots_read(zero, ("g",), slots, "zero_where")
    return lambda rule, g, saved, c: np.where(zero(raw(g), *[saved[i] for i in read]), 0, c)
