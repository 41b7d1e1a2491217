"""Neural networks and reverse-mode automatic differentiation in readable NumPy.

    import tinygrad_nn as tg

Array operations read like NumPy, autograd, `nn` and `optim` like PyTorch, transforms like JAX.
Each operation that `ops` declares is here under its own name and under every name NumPy has for it.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors, nn, ops, optim
from .engine.allocator import keep_memory
from .engine.grad_mode import enable_grad, no_grad
from .errors.unsupported import NOT_RECORDED, of_pytorch
from .nn.dense import DenseNetwork
from .ops.joining import unravel
from .ops.linalg import namespace as linalg
from .tensor.creation import arange, as_tensor, empty, eye, full, ones, tensor, zeros
from .tensor.handle import Tensor
from .training import datasets as data
from .transforms import autograd
from .transforms.checkpointing import checkpoint
from .transforms.functions import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

if TYPE_CHECKING:
    from . import testing
    from .checking.by_hand.backprop import diff_backprop
    from .checking.gradients import assert_gradients, error_curve, gradcheck, numerical_gradient
    from .compiler.compiled import compile
    from .inspection.origins import detect_anomaly, why_nan
    from .inspection.recorder import graph, watch
    from .training import plots
    from .training.cost import accuracy, evaluate
    from .training.files import load, save
    from .training.history import History
    from .training.inference import predict
    from .training.loop import train

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
    "detect_anomaly",
    "diff_backprop",
    "empty",
    "enable_grad",
    "error_curve",
    "errors",
    "evaluate",
    "eye",
    "full",
    "grad",
    "gradcheck",
    "graph",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "keep_memory",
    "linalg",
    "load",
    "nn",
    "no_grad",
    "numerical_gradient",
    "ones",
    "optim",
    "plots",
    "predict",
    "save",
    "tensor",
    "testing",
    "train",
    "unravel",
    "value_and_grad",
    "vjp",
    "watch",
    "why_nan",
    "zeros",
    *sorted(_functions),
]

_HOMES = {
    ".checking.by_hand.backprop": ["diff_backprop"],
    ".checking.gradients": ["assert_gradients", "error_curve", "gradcheck", "numerical_gradient"],
    ".compiler.compiled": ["compile"],
    ".inspection.origins": ["detect_anomaly", "why_nan"],
    ".inspection.recorder": ["graph", "watch"],
    ".testing": ["testing"],
    ".training.cost": ["accuracy", "evaluate"],
    ".training.files": ["load", "save"],
    ".training.history": ["History"],
    ".training.inference": ["predict"],
    ".training.loop": ["train"],
    ".training.plots": ["plots"],
}
_WHEN_USED = {name: home for home, names in _HOMES.items() for name in names}

import_module(".inspection.terms", __name__)  # gives Tensor its `grad_terms`
Tensor.__doc__ = ops.help_by_task()
# Modules are found where NumPy and PyTorch have them, as os.path is: `from tinygrad_nn.linalg import solve`.
sys.modules.update({f"{__name__}.{name}": globals()[name] for name in ("autograd", "data", "linalg")})
__path__.append(f"{__path__[0]}/reference")  # for `python -m tinygrad_nn.coverage`


def __getattr__(name: str) -> Any:
    """Import what trains, checks, tests and compiles when it is first used: who does not use it does not wait for it.

    Raises AttributeError, which says what a name of PyTorch's is here, and why a function of NumPy's is not recorded.
    """
    if name in _WHEN_USED:
        module = import_module(_WHEN_USED[name], __name__)
        found = globals()[name] = getattr(module, name, module)
        return found
    if name in NOT_RECORDED:
        raise AttributeError(errors.unknown_numpy(f"tg.{name}", ()))
    raise AttributeError(of_pytorch("tg", name) or f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, and no others."""
    return __all__
