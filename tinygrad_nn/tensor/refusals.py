"""What a Tensor refuses, and what to write instead."""

from __future__ import annotations

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
