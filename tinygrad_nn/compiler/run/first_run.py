"""The first use of a program: beside the function itself, on the same values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import CompileError
from ...tensor.handle import Tensor, make
from ..program import Program
from ..refusals import other_result
from ..trace.traced_call import Place
from ..trace.tracer import Target
from ..write.emit import Emitter
from .replay import Replay


def checked(replay: Replay, flat: list[Any], function: Callable[[], Any], exact: bool) -> tuple[Any, bool]:
    """Return `function()`, and whether the program holds for these values, and so has computed the same.

    Raises CompileError if it computed something else.
    """
    lowered = replay.lowered
    outs = [np.empty_like(v.concrete) for v in lowered.outs]
    try:
        returned = replay.steps[0][0](*replay.fetch(flat), *outs)
    except replay.unusual:
        return function(), False
    found = dict(zip(lowered.outs, outs, strict=True))
    found |= dict(zip([t.value for t in lowered.targets if t.value not in found], returned, strict=True))
    result = function()
    if not _alike(replay.result, result):
        raise CompileError(other_result("what the function returns", "", ""))
    for target in lowered.targets:
        right = _eagerly(target, replay.result, result, flat)
        if not agree(found[target.value], right, exact):
            place = first_difference(replay, flat, exact)
            only_reordered = not exact and not place[0]
            if only_reordered and agree(found[target.value], right, exact, _largest(lowered.plain)):
                continue  # what is left where larger numbers cancel
            what = {"result": "a result", "state": f"an optimiser's {target.key}"}.get(
                target.kind, f"the {target.kind} of {getattr(target.owner, 'name', None) or 'a tensor'}"
            )
            raise CompileError(other_result(what, *place))
    return _released(replay.result, result), True


def _alike(places: Any, result: Any) -> bool:
    """Return whether a result has the traced one's nesting, and is the same where the program computes nothing."""
    if isinstance(places, Place):
        return isinstance(result, Tensor) == (places.kind is Tensor)
    if type(places) is not type(result):
        return False
    if isinstance(places, (tuple, list)):
        return len(places) == len(result) and all(map(_alike, places, result))
    if isinstance(places, dict):
        return list(places) == list(result) and all(_alike(x, result[name]) for name, x in places.items())
    return bool(places == result) if isinstance(places, (str, bytes, int)) else True


def _released(places: Any, result: Any) -> Any:
    """Return a result without the graph that the function recorded, as every replay returns it."""
    if isinstance(places, Place):
        return make(result._array, None) if isinstance(result, Tensor) else result
    if isinstance(places, tuple) and hasattr(places, "_fields"):
        return type(places)(*[_released(p, r) for p, r in zip(places, result, strict=True)])
    if isinstance(places, (tuple, list)):
        return type(places)([_released(p, r) for p, r in zip(places, result, strict=True)])
    if isinstance(places, dict):
        return {name: _released(p, result[name]) for name, p in places.items()}
    return result


def _eagerly(target: Target, places: Any, result: Any, flat: list[Any]) -> Any:
    """Return what the function itself made of a target."""
    owner = flat[target.owner] if isinstance(target.owner, int) else target.owner
    match target.kind:
        case "result":
            return _at(places, result, target.key)
        case "array":
            return owner._array
        case "gradient":
            return owner._grad._array
    place, name = target.key
    return owner.state[place][name]


def _at(places: Any, result: Any, number: int) -> Any:
    """Return what stands in the result where the places hold a number; None if it isn't there."""
    if isinstance(places, Place):
        found = result._array if isinstance(result, Tensor) else result
        return found if places.number == number else None
    if isinstance(places, (tuple, list)):
        pairs: Any = zip(places, result, strict=True)
    elif isinstance(places, dict):
        pairs = [(x, result[name]) for name, x in places.items()]
    else:
        return None
    return next((x for x in (_at(p, r, number) for p, r in pairs) if x is not None), None)


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


def first_difference(replay: Replay, flat: list[Any], exact: bool) -> tuple[str, str]:
    """Return the program's first line that computes something else than its trace, and the user's line it is from."""
    lowered = replay.lowered
    for line in lowered.plain.lines:
        line.compute()
    known = {value for line in lowered.plain.lines for value in line.outputs}
    found: list[tuple[str, str]] = []

    def probe(number: int | None, *values: Any) -> None:
        line = lowered.program.lines[number or 0]
        if (
            values
            and not found
            and known.issuperset(line.outputs)
            and not all(agree(x, o.concrete, exact) for x, o in zip(values, line.outputs, strict=True))
        ):
            found.append((" ".join(emitter.written(line)), line.where))

    emitter = Emitter(lowered.program, lowered.plan, lowered.outs)
    step, _ = probed(emitter, probe)
    step(*replay.fetch(flat), *[np.empty_like(v.concrete) for v in lowered.outs])
    return found[0] if found else ("", "")


def probed(emitter: Emitter, probe: Callable[..., None]) -> tuple[Callable[..., Any], str]:
    """Return a program with a call of `probe` after every line, and its source."""
    source = emitter.source("probed", probe=True)
    space: dict[str, Any] = emitter.functions.missing | {"probe": probe}
    exec(source, space)
    return space["build"]([v.concrete for v in emitter.large]), source
