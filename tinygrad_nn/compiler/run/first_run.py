"""Whether a program computes what the function did: the first use of it, and each one where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...errors import CompileError
from ...tensor.handle import Tensor
from ..program import Program
from ..refusals import other_result
from ..trace.traced_call import Place
from .replay import Replay


def holds(replay: Replay, inputs: list[Any], values: list[Any], exact: bool) -> bool:
    """Return whether a program runs on these inputs. Raises CompileError if its targets' values are not these."""
    try:
        found = replay.computed(inputs)
    except Exception:  # a guard, an invalid operation, or one that fails: the function itself is run then
        return False
    for target, x, right in zip(replay.lowered.targets, found, values, strict=True):
        # What is left where larger numbers cancel is as inexact as these.
        if not agree(x, right, exact) and (exact or not agree(x, right, exact, _largest(replay.lowered.plain))):
            what = {"result": "a result", "state": f"an optimiser's {target.key}"}.get(
                target.kind, f"the {target.kind} of {getattr(target.owner, 'name', None) or 'a tensor'}"
            )
            raise CompileError(other_result(what))
    return True


def verified(replay: Replay, flat: list[Any], function: Callable[[], Any], exact: bool) -> Any:
    """Return what the function itself returns. Raises CompileError where its program computes something else."""
    generators = [holder[name].bit_generator for holder, name in replay.draws]
    states = [generator.state for generator in generators]
    inputs = [x.copy() if isinstance(x, np.ndarray) else x for x in replay.fetch(flat)]
    for generator, state in zip(generators, states, strict=True):
        generator.state = state
    result = function()
    pairs = list(_paired(replay.result, result))
    results = [getattr(x, "_array", x) for place, x in pairs if isinstance(place, Place)]
    for place, x in pairs:
        if not isinstance(place, Place) and place is not x and place != x:
            raise CompileError(other_result("what the function returns"))
    found = iter(results)
    values = [next(found) if t.kind == "result" else t.now(flat) for t in replay.lowered.targets]
    holds(replay, inputs, values, exact)
    return result


def _paired(places: Any, result: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the leaves of a traced result and of another one. Raises CompileError where their nesting differs."""
    nested = isinstance(places, (tuple, list, dict))
    if isinstance(places, Place) and isinstance(result, Tensor) != (places.kind is Tensor):
        raise CompileError(other_result("what the function returns"))
    if nested and (type(places) is not type(result) or len(places) != len(result)):
        raise CompileError(other_result("what the function returns"))
    if not nested:
        yield places, result
        return
    keys = [*places] if isinstance(places, dict) else range(len(places))
    for key in keys:
        yield from _paired(places[key], result[key])


def _largest(program: Program) -> float:
    """Return the largest finite magnitude of any floating result of the program's lines."""
    largest = 0.0
    for line in program.lines:
        line.compute()
        for x in [np.asarray(v.concrete) for v in line.outputs if v.dtype is not None and v.dtype.kind in "fc"]:
            largest = max(largest, float(np.abs(x[np.isfinite(x)]).max(initial=0)))
    return largest


def agree(a: Any, b: Any, exact: bool, scale: float = 0.0) -> bool:
    """Return whether two results are the same; up to rounding in another order, unless they must be exact.

    That is relative to the largest entry, or to `scale` if that is larger.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if exact or a.dtype.kind not in "fc":
        signs = exact and a.dtype.kind == "f"  # of zeros, which are equal to each other
        same = not signs or bool((np.isnan(a) | (np.signbit(a) == np.signbit(b))).all())
        return same and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    finite = b[np.isfinite(b)]
    scale = max(scale, float(np.abs(finite).max(initial=0)))
    return np.allclose(a, b, rtol=0, atol=float(2**10 * np.finfo(a.dtype).eps * scale), equal_nan=True)
