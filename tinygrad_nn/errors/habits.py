"""What nn, optim and data don't have of PyTorch's, names and settings, and what to write; classes that tell it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from .unsupported import table

# Of modules of functions and classes: nn, nn.init, optim and optim.lr_scheduler.
NAMES = table("""
    functional: tg.relu, tg.cross_entropy and so on | utils: tg.optim.clip_grad_norm_, or np.concatenate of arrays |
    Conv3d ConvTranspose1d ConvTranspose3d MaxPool3d AvgPool3d: tg.conv3d and so on, in a Module of your own |
    InstanceNorm1d InstanceNorm2d InstanceNorm3d: nn.GroupNorm(channels, channels) |
    BatchNorm3d: nn.BatchNorm2d, of x.reshape(*x.shape[:3], -1) | Dropout1d Dropout2d AlphaDropout: nn.Dropout |
    PReLU: tg.where(x > 0, x, slope * x), where slope is an nn.Parameter | Hardtanh ReLU6: tg.clip |
    LogSigmoid: -tg.softplus(-x) | LSTMCell GRUCell RNNCell: nn.LSTM, of one step | Unflatten: x.reshape |
    TransformerEncoder: nn.Sequential, of nn.TransformerEncoderLayer | ParameterList ParameterDict: a list or dict of
    nn.Parameter | xavier_uniform_ xavier_normal_ kaiming_uniform_ kaiming_normal_ uniform_ normal_ trunc_normal_
    orthogonal_: p.data = nn.init.normal(generator, p.shape) and so on | zeros_ ones_ constant_: p.data =
    np.zeros(p.shape) and so on | LBFGS: minimize, of tinygrad_nn.interop.scipy | Adadelta ASGD RAdam Rprop SparseAdam:
    an Optimizer with a rule of its own | LambdaLR MultiplicativeLR ConstantLR PolynomialLR OneCycleLR CyclicLR
    SequentialLR ChainedScheduler: an LRScheduler with a multiplier of its own
""")

# Of a module.
METHODS = table("""
    to type float double half bfloat16: module.astype(np.float32), or another dtype | register_parameter: module.name =
    nn.Parameter(...) | register_buffer: module.name = nn.Buffer(...) | add_module register_module: module.name =
    another | cuda cpu share_memory to_empty: the module as it is, for it is NumPy's | get_submodule:
    dict(module.named_modules())[name] | get_parameter: dict(module.named_parameters())[name] | get_buffer:
    dict(module.named_buffers())[name] | compile: tg.compile(step) | register_forward_hook register_forward_pre_hook
    register_full_backward_hook: a Module that holds this one, and does more in its forward
""")

# Of functions and of classes when they are made.
SETTINGS = table("""
    device: leave it out, for it is NumPy's | inplace: leave it out, for a tensor is a value | dim: write axis= |
    start_dim: write start_axis= | end_dim: write end_axis= | size_average reduce: write reduction= | padding_mode:
    leave it out, for zeros are what is padded with | return_indices: find them by tg.argmax | max_norm norm_type:
    scale layer.weight.data after each step | scale_grad_by_freq sparse: leave it out, for gradients are dense |
    add_bias_kv add_zero_attn: concatenate such entries to key and value | proj_size: put a Linear layer behind it |
    foreach fused capturable differentiable: leave it out, for there is one way to compute a step | maximize: minimise
    -loss | decoupled_weight_decay: use AdamW | last_epoch: use load_state_dict of the schedule | verbose: print
    schedule.get_last_lr() | sampler batch_sampler: pass a tg.data.Subset in its order | generator: write seed=, which
    takes a generator | num_workers pin_memory timeout worker_init_fn multiprocessing_context prefetch_factor
    persistent_workers: leave it out, for batches are made where they are used
""")


def unknown(home: str) -> Callable[[str], NoReturn]:
    """Return the `__getattr__` of such a module of functions and classes."""

    def __getattr__(name: str) -> NoReturn:
        here = f"{home}.{name} is PyTorch's name; write {NAMES[name]}" if name in NAMES else None
        raise AttributeError(here or f"module 'tinygrad_nn.{home}' has no attribute {name!r}", name=name)

    return __getattr__


def explained(function: Callable[..., Any]) -> Any:
    """Return the function; if it has not a setting of PyTorch's, its TypeError says what to write."""

    @functools.wraps(function)
    def told(*args: Any, **settings: Any) -> Any:
        try:
            return function(*args, **settings)
        except TypeError as error:
            for name in settings.keys() & SETTINGS.keys():
                if f"unexpected keyword argument '{name}'" in str(error):
                    what = type(args[0]).__name__ if function.__name__ == "__init__" else function.__name__
                    raise TypeError(f"{what} has no {name}=, which is PyTorch's; {SETTINGS[name]}") from None
            raise

    return told


class Explained:
    """What says why an attribute is missing, or a setting refused, and what to write."""

    _of_pytorch: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            type.__setattr__(cls, "__init__", explained(vars(cls)["__init__"]))

    if not TYPE_CHECKING:  # to a type checker an attribute that nothing sets is a mistake as well

        def __getattr__(self, name: str) -> NoReturn:
            kind = type(self).__name__
            if hasattr(type(self), name):
                object.__getattribute__(self, name)  # a property has failed: it does so again, with its own words
            raise AttributeError(
                f"{kind}.{name} is PyTorch's name; write {self._of_pytorch[name]}"
                if name in self._of_pytorch
                else f"{kind} has no attribute {name!r}; set it in __init__, which in a class that extends another "
                "first calls super().__init__(...)",
                name=name,
                obj=self,  # from these Python suggests a name, once the error is shown
            )
