"""What to do about a value that is not finite, by the operation that made it, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_EPS = "add eps, or mask with where"
_OVERFLOWS = "subtract the maximum first, as tg.softmax and tg.logsumexp do, or clip the operand"
_INTERVALS = {
    "arcsin": "-1 and 1",
    "arccos": "-1 and 1",
    "arctanh": "-1 and 1, which are excluded",
    "log1p": "-1 and inf",
}
_LOGARITHMS = ("log", "log2", "log10")
_STEEP = ("sqrt", "cbrt", "power", "arcsin", "arccos", "arccosh", "arctanh")  # an infinite slope at an edge


def remedy_for(operation: str, phase: str, operands: Mapping[str, Any], value: Any, dtype: Any) -> str:
    """Return what to do, given the numbers that an operation had where its result, or its rule's, is not finite."""
    if phase == "given":
        return "mend it where it comes from; np.isfinite finds such entries"
    if phase == "write":
        return "write into a copy, or call backward first"
    numbers = [float(x) for x in operands.values() if np.ndim(x) == 0]
    return _of_rule(operation, value, dtype) if phase == "backward" else _of_value(operation, numbers, value, dtype)


def _of_value(operation: str, numbers: list[float], value: Any, dtype: Any) -> str:
    last = numbers[-1] if numbers else np.nan
    if operation in _LOGARITHMS:
        return _EPS if last == 0 else "a logarithm needs numbers above 0: clip them, or mask with where"
    if operation == "sqrt":
        return "a root needs numbers of 0 or more: clip them with np.maximum(x, 0), or mask with where"
    if operation in ("divide", "reciprocal") and last == 0:
        return f"{_EPS}, for the divisor is 0"
    if operation == "power" and numbers and numbers[0] <= 0:
        return (
            _EPS if numbers[0] == 0 else "a negative number has no real power of a fraction: clip it, or use its square"
        )
    if operation in _INTERVALS:
        return f"keep its operand between {_INTERVALS[operation]}: np.clip, or mask with where"
    if operation == "arccosh":
        return "keep its operand at 1 or above: np.maximum(x, 1), or mask with where"
    if operation.startswith(("exp", "cosh", "sinh")):
        return _OVERFLOWS
    if operation == "where":
        return "fill in a number that is finite, or let softmax or the like read the result first"
    return _too_large("the result", dtype) if np.isinf(value) else "look at its operands there, and mask with where"


def _of_rule(operation: str, value: Any, dtype: Any) -> str:
    if operation == "hook":
        return "a hook has returned it; mend the function that was registered by register_hook"
    if operation in _STEEP:
        return f"its slope is infinite there; {_EPS} before it"
    if operation in (*_LOGARITHMS, "divide", "reciprocal"):
        return f"its slope is too large so near to 0; {_EPS} before it"
    return _too_large("the gradient", dtype) if np.isinf(value) else "the rule is wrong there; tg.gradcheck tells how"


def _too_large(what: str, dtype: Any) -> str:
    most = f"{what} is beyond {np.finfo(dtype).max:.2g}, the most that {dtype} holds; scale down"
    return most if np.finfo(dtype).bits >= 64 else f"{most}, or compute in float64"
