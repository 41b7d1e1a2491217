"""What is wrong with a gradient derived by hand: common mistakes, each compared with the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...engine.operation import OPERATIONS
from ...transforms.functions import vjp
from .. import mistakes
from ..mistakes import Arrays, WrongGradient
from .adjoints import Aligned

_WRITTEN: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "sigmoid": ("{0} * (1 - {0})", lambda v: v * (1 - v)),
    "tanh": ("1 - {0}**2", lambda v: 1 - v * v),
}


@np.errstate(all="ignore")
def diagnosed(case: WrongGradient) -> str:
    """Return one sentence: what the gradient is instead of the right one, and what to write."""
    looks = (_few_digits, _entries) if case.same(case.wrong, case.right) else _CATALOGUE
    return next(finding for look in looks for finding in look(case))


def _not_finite(case: WrongGradient) -> Iterator[str]:
    bad = ~np.isfinite(case.wrong)
    if (bad & np.isfinite(case.right)).any():
        at = np.argwhere(bad)[0].tolist()
        yield (
            f"{case.key} is {case.wrong[tuple(at)]} in {bad.sum()} of {bad.size} entries, first at {at} where "
            f"{case.right[tuple(at)]:.3g} is right: look for a division by 0, log(0) or an overflow"
        )


def _shape(case: WrongGradient) -> Iterator[str]:
    if case.wrong.shape == case.right.shape:
        return
    if case.wrong.size == 1 and case.same(case.wrong.reshape(()), case.right.sum().reshape(())):
        yield f"{case.subject} is everything added up; sum over the axis of the samples only"
    for look in (mistakes.changed, mistakes.unchanged, mistakes.formula):
        yield from look(case)
    yield f"{case.subject} is the derivative of one number by {case.name}, entry by entry"


def _switch(case: WrongGradient) -> Iterator[str]:
    if case.local is None or not set(np.unique(case.local)) <= {0.0, 1.0}:
        return
    ((key, g),) = case.before.items()
    if g.shape == case.wrong.shape:
        passed = np.isclose(case.wrong, g, rtol=case.close, atol=0)
        wrong = (passed != (case.local == 1)) & (g != 0)
        if wrong.any() and (passed | (case.wrong == 0)).all():
            yield (
                f"{case.key} passes or stops {key} wrongly in {wrong.sum()} of {wrong.size} entries, first at "
                f"{np.argwhere(wrong)[0].tolist()}: switch it by {case.step}, whose derivative at 0 is 0"
            )


def _other_weights(case: WrongGradient) -> Iterator[str]:
    """Tell a product with a matrix that isn't the recorded one: of more equations than unknowns, all are met."""
    text = case.right_formula() or ""
    for key, g in case.before.items():
        if " @ " not in text or g.ndim != 2 or case.wrong.ndim != 2:
            continue
        turned = not text.startswith(key)
        a, b = (g.T, case.wrong.T) if turned else (g, case.wrong)
        fits = len(a) == len(b) == case.m and np.isfinite(a).all() and np.linalg.matrix_rank(a) < len(a)
        if fits and case.same(a @ np.linalg.lstsq(a, b)[0], b):
            yield (
                f"{case.key} is {key} through other weights than those of the forward pass: were they updated "
                f"before the backward pass was done? write {text} with those"
            )


def _decay(case: WrongGradient) -> Iterator[str]:
    c = case.factor(case.wrong - case.right, case.values[case.name])
    if abs(c) > case.close:
        yield (
            f"{case.key} is {case.called} plus {c:.4g} times {case.name}, as from a weight decay that this loss "
            "doesn't have"
        )


def _few_digits(case: WrongGradient) -> Iterator[str]:
    errors = np.abs(case.wrong - case.right)[case.wrong != case.right] / np.abs(case.right[case.wrong != case.right])
    if errors.size and errors.max() <= 1e-3:
        yield (
            f"{case.key} agrees with {case.called} to {-np.log10(errors.max()):.0f} digits only: rounding, as in "
            "1 - a where a sigmoid a is next to 1, or a constant that is slightly off"
        )


def _entries(case: WrongGradient) -> Iterator[str]:
    hand, right = case.wrong, case.right
    off = np.nan_to_num(np.abs(hand - right), nan=np.inf)
    wrong = off > np.minimum(case.close * np.abs(right), off.max() / 2)
    at = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))
    where = ""
    for axis, what in enumerate(("row", "column") if hand.ndim == 2 else ()):
        lines = np.flatnonzero(wrong.any(axis=1 - axis))
        if len(lines) == 1 < hand.shape[axis]:
            where = f", all in {what} {lines[0]}"
    signs = ", of the right size but the wrong sign" if case.same(np.abs(hand), np.abs(right)) else ""
    unknown = "" if where or signs or wrong.size == 1 else "; not any of the mistakes I know"
    yield (
        f"{case.key} differs from {case.called} in {wrong.sum()} of {wrong.size} entries{where}{signs}; most at "
        f"{list(at)}: {hand[at]:.4g} where {right[at]:.4g} is right{unknown}"
    )


_CATALOGUE = (
    *(_shape, _not_finite, mistakes.zero, mistakes.known_factor, mistakes.unchanged, mistakes.changed, mistakes.known),
    *(_switch, mistakes.formula, mistakes.reordered, _decay, _few_digits, mistakes.any_factor, _other_weights),
    _entries,
)


def slopes_of(one: Aligned, after: Aligned, hand: np.ndarray, arrays: Arrays) -> dict[str, Any]:
    """Return what is known about the step between two Tensors; `hand` is the gradient by hand of the second.

    `arrays` are the values of the Tensors of this shape, by name: the derivative may be taken at the wrong one. Nothing
    is known if the step is not elementwise, or reads the Tensor twice.
    """
    node, x, g = after.node, arrays[one.name], after.adjoint(hand)
    operation, parents = node.operation, list(node.parents or ())
    if not getattr(operation, "pointwise", False) or operation.defaults or parents.count(one.node) != 1:
        return {}
    position, saved = parents.index(one.node), list(node.saved or [None])
    if any(saved[i] is None for i in range(len(parents)) if i != position):
        return {}

    def step(x: Any) -> Any:
        return operation.kernel(*saved[:position], x, *saved[position + 1 : len(parents)])

    def pulled(function: Any, x: Any, g: Any) -> Any:
        return vjp(function, x)[1](g.astype(x.dtype))[0].data

    functions = {name: OPERATIONS[name].kernel for name in ("relu", "sigmoid", "tanh")} | {operation.name: step}
    known, mistaken = f"{operation.name} at {one.name}", dict[str, Any]()
    for name, array in arrays.items():
        mistaken |= {f"{what} at {name}": pulled(f, array, g) for what, f in functions.items()}
        for what, (text, of) in _WRITTEN.items():
            mistaken[f"{what} written with {name}, {text.format(name)}"] = g * of(array)
    del mistaken[known]
    local = one.laid_out(pulled(step, x, np.ones(x.shape)))
    pairs = [(f"{after.key} times the derivative of {what}", one.by_hand(c)) for what, c in mistaken.items()]
    return {"step": known, "local": local, "known": [(f"the derivative of {known} alone", local), *pairs]}
