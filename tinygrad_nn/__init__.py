"""Neural networks and reverse-mode automatic differentiation in readable NumPy.

    import tinygrad_nn as tg

Array operations read like NumPy, autograd, `nn` and `optim` like PyTorch, transforms like JAX.
"""

from . import autograd, data, errors, nn, optim
from .memory import keep_memory
from .nn.dense import DenseNetwork
from .node import enable_grad, no_grad
from .ops.elementwise import (
    absolute,
    add,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    astype,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    cbrt,
    ceil,
    clip,
    cos,
    cosh,
    divide,
    elu,
    equal,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    gelu,
    greater,
    greater_equal,
    hypot,
    invert,
    isfinite,
    isinf,
    isnan,
    leaky_relu,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_not,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    positive,
    power,
    reciprocal,
    relu,
    rint,
    sigmoid,
    sign,
    silu,
    sin,
    sinh,
    softplus,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    where,
)
from .ops.fused import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    linear,
    log_softmax,
    logsumexp,
    mse_loss,
    softmax,
)
from .ops.indexing import getitem, scatter_add, set_at
from .ops.linalg import matmul
from .ops.reduction import max, mean, min, prod, std, sum, var
from .ops.shaping import (
    broadcast_to,
    concatenate,
    expand_dims,
    moveaxis,
    ravel,
    reshape,
    split,
    squeeze,
    stack,
    swapaxes,
    transpose,
)
from .tensors import (
    Tensor,
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from .training import History, accuracy, evaluate, train
from .transforms import grad, value_and_grad

abs = absolute
__version__ = "0.1.0"
__all__ = [name for name in dir() if not name.startswith("_")]
