"""PyTorch: modules, tensors and functions handed over, either way."""

from __future__ import annotations

import functools
from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np

from .. import errors, nn
from ..engine.arrays import raw
from ..engine.grad_mode import enable_grad, no_grad, recording
from ..primitive import primitive
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor

_KINDS = (
    "Linear Embedding Flatten Dropout Conv1d Conv2d ConvTranspose2d BatchNorm1d BatchNorm2d GroupNorm LayerNorm "
    "RMSNorm MaxPool1d MaxPool2d AvgPool1d AvgPool2d AdaptiveAvgPool1d AdaptiveAvgPool2d RNN GRU LSTM "
    "MultiheadAttention TransformerEncoderLayer Identity ReLU LeakyReLU ELU GELU SiLU Sigmoid Tanh Softplus Softmax "
    "LogSoftmax"
)
_LAYERS = {name: getattr(nn, name) for name in _KINDS.split()}
# Settings of PyTorch's that no layer here has, with the only value that can be handed over.
_LACKING = {
    "padding_mode": "zeros", "return_indices": False, "max_norm": None, "proj_size": 0, "bias_k": None,
    "add_zero_attn": False, "scale_grad_by_freq": False, "sparse": False,
}  # fmt: skip
# Settings that a layer has by another name, or in a layer within.
_ELSEWHERE: dict[str, Callable[[Any], Any]] = {
    "d_model": lambda m: m.linear1.in_features, "nhead": lambda m: m.self_attn.num_heads,
    "dim_feedforward": lambda m: m.linear1.out_features, "layer_norm_eps": lambda m: m.norm1.eps,
    "affine": lambda m: m.weight is not None, "elementwise_affine": lambda m: m.weight is not None,
    "kdim": lambda m: m.k_proj_weight.shape[1], "vdim": lambda m: m.v_proj_weight.shape[1],
}  # fmt: skip


def pytorch() -> Any:
    """Return PyTorch. Raises ImportError with the line that installs it."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(errors.missing("tinygrad_nn.interop.torch needs PyTorch", "torch")) from error
    return torch


def from_torch(x: Any) -> Any:
    """Return what PyTorch's module, tensor or function is here.

    A `Sequential` of layers that both have, or such a layer, becomes a module of its own with the same numbers, modes
    and frozen parameters. A tensor becomes a Tensor that shares its memory; one that requires grad is refused, since
    its gradient would be lost. Any other callable, of tensors to a tensor or several, becomes a function of
    Tensors whose derivatives of any order PyTorch computes: it has to be a function of values, and PyTorch's
    parameters in it get no gradient, so they have to be arguments or frozen.

    >>> import torch
    >>> module = from_torch(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU()))
    >>> [p.shape for p in module.parameters()]
    [(3, 2), (3,)]
    >>> import tinygrad_nn as tg
    >>> tg.grad(from_torch(torch.special.i0))(1.0).round(4)
    tg.tensor(0.5652, dtype='float64')
    """
    torch = pytorch()
    if isinstance(x, torch.nn.Module):
        return _handed_over(x, nn, torch.nn, {})
    if isinstance(x, torch.Tensor):
        if x.requires_grad:
            raise errors.GradientError("a gradient of PyTorch's would be lost here; write from_torch(t.detach())")
        return Tensor(np.from_dlpack(x))
    return functools.partial(_of_tensors, x)


def to_torch(x: Any) -> Any:
    """Return what a module, Tensor or function of Tensors is in PyTorch.

    As in `from_torch`: modules of their own, tensors in the same memory, which record nothing. A function of Tensors
    becomes one of PyTorch's tensors, with its derivatives (once); parameters that it holds get their `.grad` here.

    >>> import tinygrad_nn as tg
    >>> import torch
    >>> t = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> to_torch(tg.linalg.norm)(t).backward()
    >>> t.grad
    tensor([0.6000, 0.8000])
    """
    torch = pytorch()
    if isinstance(x, nn.Module):
        return _handed_over(x, torch.nn, nn, {})
    return torch.from_dlpack(x) if isinstance(x, Tensor) else _seam(x)


def _handed_over(module: Any, to: Any, of: Any, handed: dict[int, Any]) -> Any:
    """Return the module of another library that computes the same; one that stands in several places stays one."""
    if id(module) in handed:
        return handed[id(module)]
    name = type(module).__name__
    if type(module) is of.Sequential:
        found = to.Sequential(*[_handed_over(m, to, of, handed) for m in module])
    elif type(module) is getattr(of, name, None) and name in _LAYERS:
        found = getattr(to, name)(**_settings(name, module, to is nn))
        _copy_numbers(module, found, to is nn)
    else:
        there = f"layers that both have: {', '.join(_LAYERS)}"
        raise TypeError(f"{name} is not handed over, but Sequentials of {there}; pass a function that calls it")
    handed[id(module)] = found if isinstance(found, to.Sequential) else found.train(module.training)
    found.training = module.training
    return found


def _settings(name: str, module: Any, to_ours: bool) -> dict[str, Any]:
    """Return the settings of a layer as the other library names them. Raises ValueError for one that it lacks."""
    for lacking, value in _LACKING.items():
        if getattr(module, lacking, value) != value:
            setting = f"{lacking}={getattr(module, lacking)!r}"
            raise ValueError(f"{name} with {setting} has no counterpart here; pass a function that calls the layer")
    found = {}
    for key in signature(_LAYERS[name]).parameters.keys() - {"dtype", "seed"}:
        torchs = key.replace("axis", "dim")
        value = _setting(module, torchs if to_ours else key)
        if value is not None or key == "momentum":
            found[key if to_ours else torchs] = value
    return found


def _setting(module: Any, key: str) -> Any:
    value = getattr(module, key, None)
    if key == "bias":
        within = getattr(getattr(module, "self_attn", module), "in_proj_bias", value)
        return within if isinstance(within, bool) else within is not None
    if value is None and key in _ELSEWHERE:
        try:
            return _ELSEWHERE[key](module)
        except AttributeError:  # as k_proj_weight, where keys are as long as queries
            return None
    if key == "batch_first" and value is None:
        return module.self_attn.batch_first
    if key == "activation" and callable(value):
        return value.__name__
    return getattr(value, "p", value)  # of a dropout within


def _copy_numbers(module: Any, found: Any, to_ours: bool) -> None:
    """Give a module the parameters and buffers of another, in their dtype, frozen where they are."""
    own, torch = dict(module.named_parameters()), pytorch()
    state = {k: v.numpy() if to_ours else torch.tensor(v) for k, v in module.state_dict().items()}
    for dtype in [array.dtype for array in state.values()][:1]:  # of its floating numbers, which come first
        found = found.astype(dtype) if to_ours else found.to(dtype)
    found.load_state_dict(state)
    for name, p in found.named_parameters():
        p.requires_grad = own[name].requires_grad


class _Pullback:
    """What pulls the cotangents of a function of PyTorch's back to one of its inputs: again such a function."""

    def __init__(self, function: Any, index: int, values: list[np.ndarray]) -> None:
        self.function, self.index, self.values = function, index, values

    def __call__(self, *given: Any) -> Any:
        cotangents, inputs = given[: len(self.values)], list(given[len(self.values) :])
        if not inputs[self.index].requires_grad:
            inputs[self.index] = inputs[self.index].detach().requires_grad_()
        outputs = _several(self.function(*inputs))
        if not all(np.array_equal(v, y.detach().numpy(), True) for v, y in zip(self.values, outputs, strict=True)):
            raise errors.GradientError(
                "PyTorch's function computed other values in the backward pass; let it draw no random numbers"
            )
        pairs = [pair for pair in zip(outputs, cotangents, strict=True) if pair[0].requires_grad]
        wanted = inputs[self.index]
        if not pairs:
            return pytorch().zeros_like(wanted)
        ys, gs = zip(*pairs, strict=True)
        (found,) = pytorch().autograd.grad(ys, wanted, gs, create_graph=True, allow_unused=True)
        return pytorch().zeros_like(wanted) if found is None else found


@primitive(method=False, variadic=True, multiple_outputs=True, name="function of PyTorch")
def _by_torch(xs: Any, /, function: Any) -> Any:
    """Return the outputs of a function of PyTorch's tensors, as arrays of their own."""
    torch = pytorch()
    with torch.enable_grad():
        outputs = _several(function(*[torch.from_numpy(np.require(x, requirements=["C", "W"])) for x in xs]))
    if not isinstance(function, _Pullback) and recording.get() and any(y.requires_grad for y in outputs):
        raise errors.GradientError(
            "the function has parameters of PyTorch's that require grad, and would get none; pass them as arguments, "
            "or freeze them by requires_grad_(False)"
        )
    return tuple([np.array(y.detach().numpy()) for y in outputs])


@_by_torch.vjp
def _pulled_back(g: Any, index_of_input: int, xs: Any, y: Any, function: Any) -> Any:
    values = [np.asarray(raw(part)) for part in y]
    given = [*g, *xs]
    call: Any = _by_torch if any(isinstance(x, Tensor) for x in given) else _by_torch.kernel
    return call(given, function=_Pullback(function, index_of_input, values))[0]


def _of_tensors(function: Any, *args: Any) -> Any:
    """Return what a function of PyTorch's returns of Tensors: one, or a tuple of several."""
    outputs = _by_torch([as_tensor(x) for x in args], function=function)
    return outputs if len(outputs) > 1 else outputs[0]


def _several(outputs: Any) -> tuple[Any, ...]:
    return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)


def _seam(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of Tensors as one of PyTorch's tensors, which its autograd differentiates once."""
    torch = pytorch()

    class Seam(torch.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, records: bool, _: Any, *args: Any) -> Any:
            """Compute the outputs, and keep the graph that was recorded here."""
            inputs = [
                Tensor(x.detach().numpy(), requires_grad=records and x.requires_grad) if torch.is_tensor(x) else x
                for x in args
            ]
            with enable_grad() if records else no_grad():
                found = function(*inputs)
            ctx.several = isinstance(found, (tuple, list))
            ctx.inputs, ctx.outputs = inputs, [as_tensor(y) for y in _several(found)]
            ctx.save_for_backward(*[x for x in args if torch.is_tensor(x)])  # whose changes PyTorch finds
            results = [torch.tensor(y.data) for y in ctx.outputs]
            ctx.mark_non_differentiable(*[t for t, y in zip(results, ctx.outputs, strict=True) if not y.requires_grad])
            return tuple(results) if ctx.several else results[0]

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            """Pull the cotangents back: to the inputs, and into the `.grad` of what else the function holds."""
            if torch.is_grad_enabled():
                raise errors.GradientError(
                    "create_graph=True differentiates twice, and this function only once; take second derivatives on "
                    "this side, by tg.hvp or tg.hessian"
                )
            assert ctx.saved_tensors is not None  # or PyTorch says that one was changed
            mine = [x for x in ctx.inputs if isinstance(x, Tensor) and x.requires_grad]
            for x in mine:
                x.grad = None
            for y, g in zip(ctx.outputs, cotangents, strict=True):
                if y.requires_grad and g is not None:
                    y.backward(Tensor(np.array(g.numpy())), retain_graph=True)
            grads = [x.grad if any(x is m for m in mine) else None for x in ctx.inputs]
            return None, None, *[None if g is None else torch.from_numpy(g.data.copy()) for g in grads]

    def called(*args: Any) -> Any:
        """Return what the function returns, as PyTorch's tensors."""
        # The empty tensor lets PyTorch come back also where only parameters of this side require grad.
        return Seam.apply(torch.is_grad_enabled(), torch.empty(0, requires_grad=True), *args)

    return functools.update_wrapper(called, function, updated=())
