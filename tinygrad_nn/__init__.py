"""Neural networks and reverse-mode automatic differentiation in readable NumPy.

    import tinygrad_nn as tg

Array operations read like NumPy, autograd, `nn` and `optim` like PyTorch, transforms like JAX.
Each operation that `ops` declares is here under its own name and under every name NumPy has for it.
"""

import sys
from importlib import import_module
from typing import Any

import numpy as np

from . import errors, ops
from .engine.allocator import keep_memory
from .engine.grad_mode import enable_grad, no_grad
from .errors.unsupported import ELSEWHERE, NOT_RECORDED, elsewhere
from .ops.joining import unravel
from .ops.linalg import namespace as linalg
from .tensor.creation import arange, as_tensor, empty, eye, full, ones, tensor, zeros
from .tensor.handle import Tensor, explain_absent
from .training import datasets as data
from .transforms import autograd
from .transforms.checkpointing import checkpoint
from .transforms.functions import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

__version__ = "0.1.0"

# Names that only some users need, by the module that is imported when one of them is first used.
_HOMES = {
    ".checking.by_hand.backprop": ["diff_backprop"],
    ".checking.gradients": ["assert_gradients", "error_curve", "gradcheck", "numerical_gradient"],
    ".compiler.compiled": ["compile"],
    ".inspection.origins": ["detect_anomaly", "why_nan"],
    ".inspection.recorder": ["graph", "watch"],
    ".nn": ["nn"],
    ".nn.attention": ["scaled_dot_product_attention"],
    ".nn.dense": ["DenseNetwork"],
    ".nn.label_losses": ["cross_entropy", "nll_loss"],
    ".nn.losses": [
        *["binary_cross_entropy", "binary_cross_entropy_with_logits", "gaussian_nll_loss", "huber_loss", "kl_div"],
        *["l1_loss", "mse_loss", "smooth_l1_loss"],
    ],
    ".optim": ["optim"],
    ".testing": ["testing"],
    ".training.cost": ["accuracy", "evaluate"],
    ".training.files": ["load", "save"],
    ".training.history": ["History"],
    ".training.loop": ["train"],
    ".training.plots": ["plots"],
    ".training.samples": ["predict"],
}
_WHEN_USED = {name: home for home, names in _HOMES.items() for name in names}
_functions = ops.functions()
globals().update(_functions)
explain_absent(_functions)
__all__ = [
    "Tensor",
    "arange",
    "as_tensor",
    "autograd",
    "checkpoint",
    "data",
    "empty",
    "enable_grad",
    "errors",
    "eye",
    "full",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "keep_memory",
    "linalg",
    "no_grad",
    "ones",
    "tensor",
    "unravel",
    "value_and_grad",
    "vjp",
    "zeros",
    *sorted(_WHEN_USED),
    *sorted(_functions),
]

import_module(".inspection.terms", __name__)  # gives Tensor its `grad_terms`
Tensor.__doc__ = ops.help_by_task()
ops.add_examples(sys.modules[__name__])
# Modules can be imported as in NumPy and PyTorch, like os.path: `from tinygrad_nn.linalg import solve`.
sys.modules.update({f"{__name__}.{name}": globals()[name] for name in ("autograd", "data", "linalg")})
__path__.append(f"{__path__[0]}/reference")  # for `python -m tinygrad_nn.coverage`


def __getattr__(name: str) -> Any:
    """Import the parts that build, train, check, test and compile when they are first used, for a quick import.

    Raises AttributeError, which says what to write for a name of another library or module, and why a NumPy function
    is not recorded.
    """
    if name in _WHEN_USED:
        module = import_module(_WHEN_USED[name], __name__)
        found = globals()[name] = getattr(module, name, module)
        return found
    if name in NOT_RECORDED:
        raise AttributeError(errors.unknown_numpy(f"tg.{name}", ()))
    if here := elsewhere("tg", name, ELSEWHERE):
        raise AttributeError(here)
    for home in [] if name.startswith("_") else ["tg.nn", "tg.optim", "tg.data", "tg.linalg", "np"]:
        if name in (np if home == "np" else getattr(sys.modules[__name__], home[3:])).__all__:
            raise AttributeError(f"tg.{name} is not there; write {home}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, and no others."""
    return __all__
