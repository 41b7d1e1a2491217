"""Names of PyTorch and Keras that nn and optim don't have, and what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from ..errors.unsupported import elsewhere, table
from ..tensor.declaring import PUBLIC

# Names in nn, nn.init, optim and optim.lr_scheduler.
NAMES = {
    "PyTorch": table("""
    functional: tg.relu, tg.cross_entropy and so on | utils: tg.optim.clip_grad_norm_, or np.concatenate of arrays |
    Conv3d ConvTranspose1d ConvTranspose3d MaxPool3d AvgPool3d: tg.conv3d or the like, in a Module of your own |
    InstanceNorm1d InstanceNorm2d InstanceNorm3d: nn.GroupNorm(channels, channels) | ReLU6 Hardtanh: tg.clip |
    BatchNorm3d: nn.BatchNorm2d, of x.reshape(*x.shape[:3], -1) | Unflatten: x.reshape | LogSigmoid: -tg.softplus(-x) |
    PReLU: tg.where(x > 0, x, slope * x), where slope is an nn.Parameter | Mish GLU SELU Hardswish: tg.tanh and other
    functions, in a Module of your own | ZeroPad2d ReflectionPad2d: tg.pad | Upsample: tg.repeat along each axis |
    LSTMCell GRUCell RNNCell: nn.LSTM, nn.GRU or nn.RNN, of one step | Dropout1d Dropout2d: x * nn.Dropout(p)(ones),
    with ones of shape (n, channels, 1, 1) | TransformerEncoder: nn.Sequential, of nn.TransformerEncoderLayer |
    TransformerDecoder TransformerDecoderLayer Transformer: nn.MultiheadAttention, in a Module of your own |
    CTCLoss CosineEmbeddingLoss MarginRankingLoss PoissonNLLLoss TripletMarginLoss: a function of Tensors |
    ParameterList ParameterDict: a list or dict of nn.Parameter | xavier_uniform_ xavier_normal_ kaiming_uniform_
    kaiming_normal_ uniform_ normal_ trunc_normal_ orthogonal_: p.data = nn.init.normal(generator, p.shape) and so on |
    zeros_ ones_ constant_ eye_: p.data = np.zeros(p.shape) and so on | LBFGS: minimize, of tinygrad_nn.interop.scipy |
    Adadelta Adafactor ASGD Muon RAdam Rprop SparseAdam: an Optimizer with a rule of its own | LambdaLR
    MultiplicativeLR ConstantLR PolynomialLR OneCycleLR CyclicLR SequentialLR ChainedScheduler: an LRScheduler with a
    multiplier of its own
"""),
    "Keras": table("""
    Dense: nn.Linear(inputs, units) | Conv1D: nn.Conv1d | Conv2D: nn.Conv2d | Conv2DTranspose: nn.ConvTranspose2d |
    MaxPooling1D: nn.MaxPool1d | MaxPooling2D: nn.MaxPool2d | AveragePooling2D: nn.AvgPool2d | GlobalAveragePooling2D:
    nn.AdaptiveAvgPool2d(1) | BatchNormalization: nn.BatchNorm1d or nn.BatchNorm2d | LayerNormalization: nn.LayerNorm |
    MultiHeadAttention: nn.MultiheadAttention | SimpleRNN: nn.RNN | Bidirectional: bidirectional=True of nn.GRU |
    Activation: nn.ReLU or another activation | Model Input Reshape Concatenate Add Lambda: a Module whose forward
    calls tg.reshape, tg.concatenate and so on
"""),
}

# Names of a Module.
METHODS = {
    "PyTorch": table("""
    to type float double half bfloat16: module.astype(np.float32), or another dtype | register_parameter: module.name =
    nn.Parameter(...) | register_buffer: module.name = nn.Buffer(...) | add_module register_module: module.name =
    another | cuda cpu share_memory to_empty: the module as it is, for it is NumPy's | get_submodule:
    dict(module.named_modules())[name] | get_parameter: dict(module.named_parameters())[name] | get_buffer:
    dict(module.named_buffers())[name] | compile: tg.compile(step); tg.train takes loss= and optimizer= |
    register_forward_hook register_forward_pre_hook register_full_backward_hook: a Module that holds this one, and
    does more in its forward
"""),
    "Keras": table("""
    fit: tg.train(module, X, y) | evaluate: tg.evaluate | predict: tg.predict | train_on_batch: a loop of your own |
    get_weights: module.state_dict() | set_weights: module.load_state_dict | save save_weights: tg.save(path, module) |
    load_weights: module.load_state_dict(tg.load(path)) | count_params: sum(p.size for p in module.parameters()) |
    trainable_variables trainable_weights: module.parameters() | add: module.append(layer), of a Sequential
"""),
}

# Names of an optimiser.
OPTIMIZERS = {
    "Keras": table("""
    learning_rate: optimizer.lr | minimize apply_gradients: loss.backward(), then optimizer.step()
""")
}


def unknown(home: str) -> Callable[[str], NoReturn]:
    """Return the `__getattr__` of one of these Python modules."""

    def __getattr__(name: str) -> NoReturn:
        here = f"{home}.{name} is not there; write tg.{name}" if name in PUBLIC else elsewhere(home, name, NAMES)
        raise AttributeError(here or f"module 'tinygrad_nn.{home}' has no attribute {name!r}")

    return __getattr__
