"""Checks that a program computes what the function did: at its first use, and with `verify` at each use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...engine.trees import entries
from ...errors import CompileError
from ...tensor.handle import Tensor
from ..program import Program, over_leaves
from ..trace.recorder import frozen_copy
from ..trace.traced_call import Placeholder
from .replay import Replay, rewind


def holds(replay: Replay, inputs: list[Any], values: list[Any], exact: bool) -> bool:
    """Return whether a program runs on these inputs. Raises CompileError if its targets' values are not these."""
    unlucky: tuple[type[Exception], ...] = (*replay.stale, ArithmeticError, np.linalg.LinAlgError)
    try:
        found = replay.computed(inputs)
    except unlucky:  # by sums in another order, or 0 * inf
        return False
    for target, x, right in zip(replay.lowered.targets, found, values, strict=True):
        # What is left after larger numbers cancel is as inexact as those.
        if not agree(x, right, exact) and (exact or not agree(x, right, exact, _largest(replay.lowered.plain))):
            what = {"result": "a result", "state": f"an optimiser's {target.key}"}.get(
                target.kind, f"the {target.kind} of {getattr(target.owner, 'name', None) or 'a tensor'}"
            )
            raise _differs(what)
    return True


def verified(replay: Replay, flat: list[Any], function: Callable[[], Any], exact: bool) -> Any:
    """Return what the function itself returns. Raises CompileError if its program computes something else."""
    states = replay.states()
    inputs = [frozen_copy(x) if isinstance(x, np.ndarray) else x for x in replay.fetch(flat)]
    rewind(states)
    replay.computed(inputs)  # raises if the program is for other numbers, before the function runs
    result = function()
    pairs = [*zip(entries(replay.trace.result), entries(result), strict=False)]
    form, expected = (over_leaves(lambda _: None, tree) for tree in (result, replay.trace.result))
    if form != expected or not all(_belongs(*pair) for pair in pairs):
        raise _differs("what the function returns")
    found = iter([getattr(x, "_array", x) for place, x in pairs if isinstance(place, Placeholder)])
    values = [next(found) if t.kind == "result" else t.now(flat) for t in replay.lowered.targets]
    holds(replay, inputs, values, exact)
    return result


def _differs(what: str) -> CompileError:
    return CompileError(
        f"{what} differs from what the function computes: the function depends on what a program does not follow, such "
        "as what functions that it calls read, or the type of a proxy. Pass such values as arguments"
    )


def _belongs(place: Any, x: Any) -> bool:
    """Return whether a result is of the kind that was in its place in the trace, or the same constant."""
    if isinstance(place, Placeholder):
        return isinstance(x, Tensor) == (place.kind is Tensor)
    return place is x or (type(place) is type(x) and place == x)


def _largest(program: Program) -> float:
    """Return the largest finite magnitude of any floating result of the program's lines."""
    largest = 0.0
    for line in program.lines:
        line.compute()
        for x in [np.asarray(v.concrete) for v in line.outputs if v.dtype is not None and v.dtype.kind in "fc"]:
            largest = max(largest, float(np.abs(x[np.isfinite(x)]).max(initial=0)))
    for line in program.lines:
        for value in line.outputs:
            value.forget()
    return largest


def agree(a: Any, b: Any, exact: bool, scale: float = 0.0) -> bool:
    """Return whether two results are the same; if not `exact`, up to the rounding of sums in another order.

    The tolerance is relative to the largest entry, or to `scale` if that is larger.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if exact or a.dtype.kind not in "fc":
        signs = exact and a.dtype.kind == "f"  # 0 and -0 are equal to each other
        same = not signs or bool((np.isnan(a) | (np.signbit(a) == np.signbit(b))).all())
        return same and np.array_equal(a, b, equal_nan=a.dtype.kind in "fcmM")
    finite = b[np.isfinite(b)]
    scale = max(scale, float(np.abs(finite).max(initial=0)))
    return np.allclose(a, b, rtol=0, atol=float(2**10 * np.finfo(a.dtype).eps * scale), equal_nan=True)
