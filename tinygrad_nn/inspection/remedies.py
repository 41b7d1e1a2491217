"""What to do about a value that is not finite, by the operation that made it, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_EPS = "add eps, or mask with where"
_MASK = "mask with where"
_LOGARITHM = f"a logarithm needs numbers above 0: clip them, or {_MASK}"
_UNIT = f"keep its operand between -1 and 1: np.clip, or {_MASK}"
_OVERFLOWS = "subtract the maximum first, as tg.softmax and tg.logsumexp do, or clip the operand"
# By the operation whose result is not finite; where the operand that decides is 0 there is another remedy.
_OF_VALUES = {
    "log": _LOGARITHM, "log2": _LOGARITHM, "log10": _LOGARITHM, "arcsin": _UNIT, "arccos": _UNIT,
    "exp": _OVERFLOWS, "exp2": _OVERFLOWS, "expm1": _OVERFLOWS, "cosh": _OVERFLOWS, "sinh": _OVERFLOWS,
    "sqrt": f"a root needs numbers of 0 or more: clip them with np.maximum(x, 0), or {_MASK}",
    "power": "a negative number has no real power of a fraction: clip it, or use its square",
    "arctanh": f"keep its operand between -1 and 1, which are excluded: np.clip, or {_MASK}",
    "log1p": f"keep its operand above -1: np.clip, or {_MASK}",
    "arccosh": f"keep its operand at 1 or above: np.maximum(x, 1), or {_MASK}",
    "slogdet": "the matrix is singular: add a small multiple of the identity, or leave its determinant out",
    "cross_entropy": "every label is ignore_index: leave such a batch out",
    "where": "fill in a number that is finite, or let softmax or the like read the result first",
}  # fmt: skip
_AT_ZERO = dict.fromkeys(["log", "log2", "log10", "power"], _EPS)
_AT_ZERO |= dict.fromkeys(["divide", "reciprocal"], f"{_EPS}, for the divisor is 0")
_OF_RULES = {
    "hook": "a hook has returned it; mend the function that was registered by register_hook",
    "checkpoint": "compute the whole of it in the watched block, where a checkpoint's own operations are seen",
}
LOST = "compute what it reads in the watched block, too, at most two passes before; that is not known any more"
_STEEP = ("sqrt", "cbrt", "power", "arcsin", "arccos", "arccosh", "arctanh")  # an infinite slope at an edge


def remedy_for(operation: str, phase: str, operands: Mapping[str, Any], value: Any, dtype: Any) -> str:
    """Return what to do, given the numbers that an operation had where its result, or its rule's, is not finite."""
    if phase == "given":
        return "mend it where it comes from; np.isfinite finds such entries"
    if phase == "write":
        return "write into a copy, or call backward first"
    if phase == "step":
        return "lower its lr, clip the gradients with tg.optim.clip_grad_norm_, or raise its eps if it has one"
    if phase == "backward":
        return _of_rule(operation, value, dtype)
    numbers = [float(x) for x in operands.values() if np.ndim(x) == 0]
    decides = numbers[0 if operation == "power" else -1] if numbers else np.nan
    if decides == 0 and operation in _AT_ZERO:
        return _AT_ZERO[operation]
    if operation in _OF_VALUES and not (operation == "power" and decides > 0):
        return _OF_VALUES[operation]
    if not np.isfinite(numbers).all():
        return "give it another number in place of the operand that is not finite itself"
    return _too_large("the result", dtype) if np.isinf(value) else f"look at its operands there, and {_MASK}"


def _of_rule(operation: str, value: Any, dtype: Any) -> str:
    if operation in _OF_RULES:
        return _OF_RULES[operation]
    if operation in _STEEP:
        return f"its slope is infinite there; {_EPS} before it"
    if operation in _AT_ZERO:
        return f"its slope is too large so near to 0; {_EPS} before it"
    return (
        _too_large("the gradient", dtype)
        if np.isinf(value)
        else "the numbers are too large there, or the rule is wrong: tg.gradcheck tells"
    )


def _too_large(what: str, dtype: Any) -> str:
    most = f"{what} is beyond {np.finfo(dtype).max:.2g}, the most that {dtype} holds; scale down"
    return most if np.finfo(dtype).bits >= 64 else f"{most}, or compute in float64"
