"""Neural networks and reverse-mode automatic differentiation in readable NumPy.

    import tinygrad_nn as tg

Array operations read like NumPy, autograd, `nn` and `optim` like PyTorch, transforms like JAX.
Each operation that `ops` declares is here under its own name and under every name NumPy has for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import autograd, data, errors, linalg, nn, ops, optim
from .checkpointing import checkpoint
from .creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from .history import History
from .memory import keep_memory
from .nn.dense import DenseNetwork
from .recording import enable_grad, no_grad
from .tensors import Tensor
from .training import accuracy, evaluate, train
from .transforms import grad, hessian, hvp, jacobian, jvp, unravel, value_and_grad, vjp
from .unsupported import reason

if TYPE_CHECKING:
    from . import testing
    from .checking.gradients import assert_gradients, error_curve, gradcheck, numerical_gradient
    from .program.compiled import compile
    from .study.backprop import diff_backprop

__version__ = "0.1.0"

_functions = ops.functions()
globals().update(_functions)
__all__ = [
    "DenseNetwork",
    "History",
    "Tensor",
    "accuracy",
    "arange",
    "as_tensor",
    "assert_gradients",
    "autograd",
    "checkpoint",
    "compile",
    "data",
    "diff_backprop",
    "empty",
    "empty_like",
    "enable_grad",
    "error_curve",
    "errors",
    "evaluate",
    "eye",
    "full",
    "full_like",
    "grad",
    "gradcheck",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "keep_memory",
    "linalg",
    "nn",
    "no_grad",
    "numerical_gradient",
    "ones",
    "ones_like",
    "optim",
    "tensor",
    "testing",
    "train",
    "unravel",
    "value_and_grad",
    "vjp",
    "zeros",
    "zeros_like",
    *sorted(_functions.keys() - {"empty_like", "full_like", "ones_like", "zeros_like"}),
]


_WHEN_USED = {
    "assert_gradients": ".checking.gradients",
    "compile": ".program.compiled",
    "diff_backprop": ".study.backprop",
    "error_curve": ".checking.gradients",
    "gradcheck": ".checking.gradients",
    "numerical_gradient": ".checking.gradients",
    "testing": ".testing",
}


def __getattr__(name: str) -> Any:
    """Import what checks, tests and compiles when it is first used: who does not use it does not wait for it.

    Raises AttributeError, which says why where NumPy has a function of that name that is not recorded.
    """
    if name in _WHEN_USED:
        module = import_module(_WHEN_USED[name], __name__)
        found = globals()[name] = getattr(module, name, module)
        return found
    if reason(name) is not None:
        raise AttributeError(errors.unknown_numpy(f"tg.{name}", ()))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
