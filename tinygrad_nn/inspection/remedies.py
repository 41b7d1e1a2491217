"""What to do about a value that is not finite, by the operation that computed it, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors.unsupported import table

LOST = "compute its operands inside the watched block, too, at most two passes before; they are not known any more"
# By the operation whose result is not finite; `_AT_ZERO` has the remedy if the deciding operand is 0.
_OF_VALUES = table("""
    log log2 log10: a logarithm needs numbers above 0: clip them, or mask with where |
    log1p: keep its operand above -1: np.clip, or mask with where |
    sqrt: a root needs numbers of 0 or more: clip them with np.maximum(x, 0), or mask with where |
    power: a negative number has no real fractional power: clip it, or use its square |
    exp exp2 expm1 cosh sinh: subtract the maximum first, as tg.softmax and tg.logsumexp do, or clip the operand |
    arcsin arccos: keep its operand between -1 and 1: np.clip, or mask with where |
    arctanh: keep its operand between -1 and 1, which are excluded: np.clip, or mask with where |
    arccosh: keep its operand at 1 or above: np.maximum(x, 1), or mask with where |
    slogdet: the matrix is singular: add a small multiple of the identity, or leave its determinant out |
    where: fill in a number that is finite, or let softmax or the like read the result first
""")
_AT_ZERO = table("""
    log log2 log10 power: add eps, or mask with where |
    remainder fmod floor_divide: add eps to the divisor, or mask with where |
    divide reciprocal: add eps to the divisor, or mask with where; leave out a batch whose labels are all ignore_index
""")
# By the operation whose rule makes a cotangent not finite.
_OF_RULES = table("""
    log log2 log10 divide reciprocal: its slope is too large so near to 0; add eps, or mask with where before it |
    sqrt cbrt power arcsin arccos arccosh arctanh: its slope is infinite there; add eps, or mask with where before it |
    hook: a hook has returned it; mend the function that was registered by register_hook |
    checkpoint: compute the whole of it in the watched block, where a checkpoint's own operations are seen
""")
_OF_PHASES = table("""
    given: mend it where it comes from; np.isfinite finds such entries |
    write: write into a copy, or call backward first |
    step: lower its lr, clip the gradients with tg.optim.clip_grad_norm_, or raise its eps if it has one
""")


def remedy_for(operation: str, phase: str, operands: Mapping[str, Any], value: Any, dtype: Any) -> str:
    """Return what to do, given an operation's numbers at the entry where its result, or its rule's, is not finite."""
    if phase in _OF_PHASES:
        return _OF_PHASES[phase]
    most = np.finfo(dtype)
    beyond = f"is beyond {most.max:.2g}, the most that {dtype} holds; scale down"
    beyond += ", or compute in float64" * (most.bits < 64)
    numbers = [float(x) for x in operands.values() if np.ndim(x) == 0]
    if phase == "backward" and not (operation == "power" and np.isnan(value)):
        wrong = "the numbers are too large there, or the rule is wrong: tg.gradcheck tells"
        return _OF_RULES.get(operation, f"the gradient {beyond}" if np.isinf(value) else wrong)
    if numbers and numbers[0 if operation == "power" else -1] == 0 and operation in _AT_ZERO:
        return _AT_ZERO[operation]
    if operation != "where" and not np.isfinite(numbers).all():
        return "replace the operand, which is not finite itself, with another number"
    if operation in _OF_VALUES and not (operation == "power" and np.isinf(value)):
        return _OF_VALUES[operation]
    return f"the result {beyond}" if np.isinf(value) else "look at its operands there, and mask with where"
