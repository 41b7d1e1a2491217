"""What is wrong with a hand-derived gradient: mistakes that people make, each held against the numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .cases import Case
from .formulas import formulas


def diagnosed(case: Case) -> str:
    """Return one sentence: what the gradient is instead of what it should be, and what to write."""
    with np.errstate(all="ignore"):
        looks = _CLOSE if case.same(case.hand, case.right) else _CATALOGUE
        return next(finding for look in looks for finding in look(case))


def _not_finite(case: Case) -> Iterator[str]:
    bad = ~np.isfinite(case.hand)
    if case.hand.shape == case.right.shape and (bad & np.isfinite(case.right)).any():
        at = _first(bad)
        yield (
            f"{case.key} is {case.hand[tuple(at)]} in {bad.sum()} of {bad.size} entries, first at {at} where "
            f"{case.right[tuple(at)]:.3g} is right: look for a division by 0, log(0) or an overflow"
        )


def _first(mask: np.ndarray) -> list[int]:
    return [int(i) for i in np.argwhere(mask)[0]]


def _zero(case: Case) -> Iterator[str]:
    if case.hand.shape == case.right.shape and case.hand.size and not case.hand.any():
        yield f"{case.key} is 0 everywhere: was it ever computed, or is everything before it masked?"


def _known_factor(case: Case) -> Iterator[str]:
    c = case.factor(case.hand, case.right)
    if case.meaning(c):
        yield f"{case.key} is {case.times(c)}{case.called}: {case.meaning(c)}"


def _shape(case: Case) -> Iterator[str]:
    hand, right = case.hand, case.right
    if hand.shape == right.shape:
        return
    told = f"{case.key} has shape {hand.shape} where {right.shape} is right"
    yield from (f"{told}: {finding}" for finding in _why_shaped_so(case))
    yield f"{told}: it is the derivative of one number by {case.name}, entry by entry"


def _why_shaped_so(case: Case) -> Iterator[str]:
    hand, right = case.hand, case.right
    if hand.ndim == 2 and np.isfinite(case.factor(hand.T, right)):
        yield f"it is transposed; write {case.key}.T{_also(case, hand.T)}"
    if hand.size == right.size and np.isfinite(case.factor(hand.reshape(right.shape), right)):
        also = _also(case, hand.reshape(right.shape))
        if right.ndim > hand.ndim:
            yield f"its numbers fit, but the sum dropped an axis; sum with keepdims=True{also}"
        yield f"its numbers fit; write {case.key}.reshape({', '.join(map(str, right.shape))}){also}"
    for axis in range(hand.ndim):
        total = hand.sum(axis=axis, keepdims=True)
        for keep in (True, False):
            total = total if keep else total.squeeze(axis)
            if total.shape == right.shape and np.isfinite(case.factor(total, right)):
                yield (
                    f"the sum over axis {axis} is missing; write "
                    f"{case.key}.sum(axis={axis}{', keepdims=True' if keep else ''}){_also(case, total)}"
                )
    for key, g in case.before.items():
        if case.same(hand, g):
            yield _left_out(case, key)
    for key, g in case.gradients.items():
        if case.same(hand, g):
            yield f"it is the right {key}"
    if hand.size == 1 and case.same(hand.reshape(()), right.sum().reshape(())):
        yield "everything was added up; sum over the axis of the samples only"
    yield from _formula(case)


def _also(case: Case, hand: np.ndarray) -> str:
    c = case.factor(hand, case.right)
    if abs(c - 1) <= case.close:
        return ""
    meaning = case.meaning(c)
    return f"; also, it is {case.times(c)}{case.called}" + (f": {meaning}" if meaning else "")


def _transposed(case: Case) -> Iterator[str]:
    c = case.factor(case.hand.T, case.right)
    if case.hand.ndim == 2 and np.isfinite(c) and (abs(c - 1) <= case.close or case.meaning(c)):
        yield f"{case.key} is transposed; write {case.key}.T{_also(case, case.hand.T)}"


def _no_more_than_before(case: Case) -> Iterator[str]:
    for key, g in case.before.items():
        c = case.factor(case.hand, g)
        if abs(c - 1) <= case.close or case.meaning(c):
            yield f"{case.key} is {case.times(c)}{key}: {_left_out(case, key)}"


def _left_out(case: Case, key: str) -> str:
    if case.slopes is not None:
        return f"the derivative of {case.slopes.step} is missing; multiply {key} by it"
    right = _right_formula(case)
    return f"the step from {case.name} to {key.removeprefix('d')} is left out" + (f"; write {right}" if right else "")


def _another(case: Case) -> Iterator[str]:
    for key, g in case.gradients.items():
        if case.same(case.hand, g):
            yield f"{case.key} is the right {key}: it is taken from another layer, or the layers are miscounted"


def _slope(case: Case) -> Iterator[str]:
    if case.slopes is None:
        return
    ((key, g),) = case.before.items()
    if case.same(case.hand, case.slopes.local):
        yield f"{case.key} is the derivative of {case.slopes.step} alone; multiply it by {key}"
    for told, other in case.slopes.others.items():
        if case.same(case.hand, other):
            yield f"{case.key} is {key} times the derivative of {told}; take that of {case.slopes.step}"
    local, hand = case.slopes.local, case.hand
    if g.shape == hand.shape and set(np.unique(local)) <= {0.0, 1.0}:
        passed = np.isclose(hand, g, rtol=case.close, atol=0)
        if (passed | (hand == 0)).all():
            wrong = (passed != (local == 1)) & (g != 0)
            if wrong.any():
                yield (
                    f"{case.key} passes or stops {key} wrongly in {wrong.sum()} of {wrong.size} entries, first at "
                    f"{_first(wrong)}: switch it by {case.slopes.step}, whose derivative at 0 is 0"
                )


def _permuted(case: Case) -> Iterator[str]:
    for axis in range(case.hand.ndim):
        rows, right = (np.moveaxis(a, axis, 0).reshape(a.shape[axis], -1) for a in (case.hand, case.right))
        order, target = np.lexsort(rows.T), np.lexsort(right.T)
        if case.same(rows[order], right[target]):
            moved = next(((int(i), int(j)) for i, j in zip(order, target, strict=True) if i != j), None)
            if moved is not None:
                one = "entry" if case.hand.ndim == 1 else ("row", "column")[axis] if axis < 2 else f"axis {axis}, part"
                yield f"{case.key} is in another order: its {one} {moved[0]} belongs at {moved[1]}"


def _other_weights(case: Case) -> Iterator[str]:
    """Tell a product with a matrix that isn't the recorded one: of more equations than unknowns, all are met."""
    text = _right_formula(case) or ""
    for key, g in case.before.items():
        if " @ " not in text or g.ndim != 2 or case.hand.ndim != 2:
            continue
        turned = not text.startswith(key)
        a, b = (g.T, case.hand.T) if turned else (g, case.hand)
        if len(a) == len(b) == case.m and np.isfinite(a).all() and np.linalg.matrix_rank(a) < len(a):
            used = np.linalg.lstsq(a, b)[0]
            if case.same(a @ used, b):
                yield (
                    f"{case.key} is {key} through other weights than those of the forward pass: were they updated "
                    f"before the backward pass was done? write {text} with those"
                )


def _decay(case: Case) -> Iterator[str]:
    value, rest = case.values[case.name], case.hand - case.right
    if value.shape == rest.shape and value.any():
        c = float(np.vdot(value, rest) / np.vdot(value, value))
        if abs(c) > case.close and case.same(rest, c * value):
            yield (
                f"{case.key} is {case.called} plus {c:.4g} times {case.name}, as from a weight decay that this loss "
                "doesn't have"
            )


def _few_digits(case: Case) -> Iterator[str]:
    errors = np.abs(case.hand - case.right)[case.hand != case.right] / np.abs(case.right[case.hand != case.right])
    if errors.size and errors.max() <= 1e-3:
        yield (
            f"{case.key} agrees with {case.called} to {-np.log10(errors.max()):.0f} digits only: rounding, as in "
            "1 - a where a sigmoid a is next to 1, or a constant that is slightly off"
        )


def _any_factor(case: Case) -> Iterator[str]:
    c = case.factor(case.hand, case.right)
    if np.isfinite(c) and case.hand.size > 1:
        yield f"{case.key} is {case.times(c)}{case.called}: a constant factor is wrong"


def _entries(case: Case) -> Iterator[str]:
    hand, right = case.hand, case.right
    off = np.nan_to_num(np.abs(hand - right), nan=np.inf)
    wrong = off > np.minimum(case.close * np.abs(right), off.max() / 2)
    at = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))
    where = ""
    for axis, what in enumerate(("row", "column")[: hand.ndim] if hand.ndim == 2 else ()):
        places = np.flatnonzero(wrong.any(axis=1 - axis))
        if len(places) == 1 < hand.shape[axis]:
            where = f", all in {what} {places[0]}"
    signs = ", of the right size but the wrong sign" if case.same(np.abs(hand), np.abs(right)) else ""
    yield (
        f"{case.key} differs from {case.called} in {wrong.sum()} of {wrong.size} entries{where}{signs}; most at "
        f"{list(at)}: {hand[at]:.4g} where {right[at]:.4g} is right"
    )


def _formula(case: Case) -> Iterator[str]:
    for found in formulas(case.hand, case.before, case.values, case.m, case.same):
        right = _right_formula(case)
        if right is None and case.slopes is not None:
            right = f"{next(iter(case.before))} times the derivative of {case.slopes.step}"
        yield f"{case.key} is {found}" + (f"; write {right}" if right else "")


def _right_formula(case: Case) -> str | None:
    found = formulas(case.right, case.before, case.values, case.m, case.same)
    return next(found, None)


_CATALOGUE = (
    _shape,
    _not_finite,
    _zero,
    _known_factor,
    _no_more_than_before,
    _transposed,
    _slope,
    _another,
    _formula,
    _permuted,
    _decay,
    _few_digits,
    _any_factor,
    _other_weights,
    _entries,
)
_CLOSE = (_few_digits, _entries)
