"""PyTorch's names that nn and optim don't have, and what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from ..errors.unsupported import table

# Names in nn, nn.init, optim and optim.lr_scheduler.
NAMES = table("""
    functional: tg.relu, tg.cross_entropy and so on | utils: tg.optim.clip_grad_norm_, or np.concatenate of arrays |
    Conv3d ConvTranspose1d ConvTranspose3d MaxPool3d AvgPool3d: tg.conv3d or the like, in a Module of your own |
    InstanceNorm1d InstanceNorm2d InstanceNorm3d: nn.GroupNorm(channels, channels) | ReLU6 Hardtanh: tg.clip |
    BatchNorm3d: nn.BatchNorm2d, of x.reshape(*x.shape[:3], -1) | Unflatten: x.reshape | LogSigmoid: -tg.softplus(-x) |
    PReLU: tg.where(x > 0, x, slope * x), where slope is an nn.Parameter | LSTMCell GRUCell RNNCell: nn.LSTM, nn.GRU or
    nn.RNN, of one step | Dropout1d Dropout2d: x * nn.Dropout(p)(ones), with ones of shape (n, channels, 1, 1) |
    TransformerEncoder: nn.Sequential, of nn.TransformerEncoderLayer | ParameterList ParameterDict: a list or dict of
    nn.Parameter | xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ uniform_ normal_ trunc_normal_
    orthogonal_: p.data = nn.init.normal(generator, p.shape) and so on | zeros_ ones_ constant_: p.data =
    np.zeros(p.shape) and so on | LBFGS: minimize, of tinygrad_nn.interop.scipy | Adadelta ASGD RAdam Rprop SparseAdam:
    an Optimizer with a rule of its own | LambdaLR MultiplicativeLR ConstantLR PolynomialLR OneCycleLR CyclicLR
    SequentialLR ChainedScheduler: an LRScheduler with a multiplier of its own
""")

# Names of a Module.
METHODS = table("""
    to type float double half bfloat16: module.astype(np.float32), or another dtype | register_parameter: module.name =
    nn.Parameter(...) | register_buffer: module.name = nn.Buffer(...) | add_module register_module: module.name =
    another | cuda cpu share_memory to_empty: the module as it is, for it is NumPy's | get_submodule:
    dict(module.named_modules())[name] | get_parameter: dict(module.named_parameters())[name] | get_buffer:
    dict(module.named_buffers())[name] | compile: tg.compile(step) | register_forward_hook register_forward_pre_hook
    register_full_backward_hook: a Module that holds this one, and does more in its forward
""")


def unknown(home: str) -> Callable[[str], NoReturn]:
    """Return the `__getattr__` of one of these Python modules."""

    def __getattr__(name: str) -> NoReturn:
        here = f"{home}.{name} is PyTorch's name; write {NAMES[name]}" if name in NAMES else None
        raise AttributeError(here or f"module 'tinygrad_nn.{home}' has no attribute {name!r}", name=name)

    return __getattr__
