"""What a Tensor refuses and what to write instead, and what is added to an error inside an operation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import errors
from ..errors.remedies import remedy
from ..errors.unsupported import NOT_RECORDED

LEAF_ASSIGNMENT = (
    "this tensor is a leaf that requires grad, and assigning into it would cut it off from its own gradient; "
    "write `with tg.no_grad(): ...` to change its value, or assign into a copy: t = t + 0"
)
RECORDED_ASSIGNMENT = (
    "this tensor was computed from others and requires grad; changing it under no_grad() would "
    "make its gradient wrong; use t.detach(), or assign outside no_grad()"
)


def needs_seed(shape: tuple[int, ...]) -> str:
    return f"a gradient starts from one number, not shape {shape}; reduce it, as in output.sum(), or pass a cotangent"


def silent_loss(what: str) -> str:
    return (
        f"{what} would lose the gradient of a tensor that requires one; write t.item() for the number, "
        "t.data for the array itself, or t.detach() for a tensor that records nothing; where NumPy sees no tensors, "
        "as in nested lists, np.full or scipy.special.logsumexp, call tg's function of that name, such as tg.stack"
    )


def raw_in_rule(what: str) -> str:
    return (
        f"a derivative rule reads t.{what} while it is recorded for a second derivative, which would be silently 0; "
        "compute with the tensor itself, as in NumPy: np.square(x), x > 0, x[index]"
    )


def no_rule(name: str) -> str:
    if name in NOT_RECORDED:
        return f"operation {name!r} has no rule: {NOT_RECORDED[name]}; or use t.detach() for values alone"
    return f"operation {name!r} has no derivative rule; declare one with {name}.vjp(...)"


_IN_OPERATION = "in tinygrad_nn operation"


def failed(error: Exception, name: str, inputs: Iterable[Any]) -> None:
    """Add to an error what was computed with what, and the remedy; of nested operations the outermost counts."""
    met, known = ", ".join(map(_described, inputs)), errors.public(name, next(iter(inputs), None))
    advice = "" if type(error).__module__ == errors.__name__ else f"; {remedy(error, name)}"
    notes = [note for note in getattr(error, "__notes__", ()) if not note.startswith(_IN_OPERATION)]
    error.__notes__ = [*notes, f"{_IN_OPERATION} {known!r} on inputs {met}{advice}"]


def _described(x: Any) -> str:
    if isinstance(x, (list, tuple)) and any(_is_array(part) for part in x):
        return f"[{', '.join(map(_described, x))}]"
    return f"{x.dtype}{list(x.shape)}" if _is_array(x) else f"{x!r:.20}" if np.isscalar(x) else type(x).__name__


def _is_array(x: Any) -> bool:
    return isinstance(getattr(x, "dtype", None), np.dtype)
