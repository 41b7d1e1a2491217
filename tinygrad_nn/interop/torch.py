"""PyTorch: modules, tensors and functions, converted in both directions."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np

from .. import errors, nn
from ..engine.arrays import raw
from ..engine.grad_mode import enable_grad, no_grad, recording
from ..engine.trees import leaves
from ..primitive import primitive
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor
from ..transforms.checkpointing import agree

try:
    import torch
except ImportError as _error:
    raise ImportError(errors.missing("tinygrad_nn.interop.torch needs PyTorch", "torch")) from _error

_LAYERS = {
    name: kind for name, kind in vars(nn).items()
    if isinstance(kind, type) and hasattr(torch.nn, name) and not re.search("Loss|Module|Sequential", name)
}  # fmt: skip
# PyTorch's settings that no layer here has, with the only value that can be converted.
_LACKING: dict[str, Any] = {
    "return_indices": False, "max_norm": None, "proj_size": 0, "bias_k": None, "add_zero_attn": False,
    "scale_grad_by_freq": False, "sparse": False, "_forward_hooks": {}, "_forward_pre_hooks": {}, "_backward_hooks": {},
    "_backward_pre_hooks": {},
}  # fmt: skip
# Settings that a layer has under another name, or in an inner layer.
_ELSEWHERE: dict[str, Callable[[Any], Any]] = {
    "d_model": lambda m: m.linear1.in_features, "nhead": lambda m: m.self_attn.num_heads,
    "dim_feedforward": lambda m: m.linear1.out_features, "layer_norm_eps": lambda m: m.norm1.eps,
    "affine": lambda m: m.weight is not None, "elementwise_affine": lambda m: m.weight is not None,
    "kdim": lambda m: m.k_proj_weight.shape[1], "vdim": lambda m: m.v_proj_weight.shape[1],
    "batch_first": lambda m: getattr(m, "self_attn", m).batch_first,
    "activation": lambda m: getattr(m.activation, "__name__", str(m.activation)),
    "threshold": lambda m: 40.0 if m.threshold is None else m.threshold,  # from which on log(1 + exp(x)) is x
}  # fmt: skip


def from_torch(x: Any) -> Any:
    """Return the counterpart here of a module, tensor or function of PyTorch.

    A layer that both libraries have, or a `Sequential` of such layers, becomes an independent module with the same
    numbers, modes, and frozen and tied parameters. A tensor becomes a Tensor that shares its memory; one that requires
    grad is refused, since its gradient would be lost. Any other callable, from tensors to a tensor or several, becomes
    a function of Tensors, whose derivatives of any order PyTorch computes. It has to be a pure function of tensors,
    with settings passed by name. PyTorch's parameters in it get no gradient: pass them as arguments, or freeze them.

    >>> import torch
    >>> module = from_torch(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU()))
    >>> [p.shape for p in module.parameters()]
    [(3, 2), (3,)]
    >>> import tinygrad_nn as tg
    >>> tg.grad(from_torch(torch.special.i0))(1.0).round(4)
    tg.tensor(0.5652, dtype='float64')
    """
    if isinstance(x, torch.nn.Module):
        return _handed_over(x, nn, torch.nn, {})
    if isinstance(x, torch.Tensor):
        if x.requires_grad:
            raise errors.GradientError("a gradient of PyTorch's would be lost here; write from_torch(t.detach())")
        return Tensor(_array(x))
    return _through(_of_tensors, x)


def to_torch(x: Any) -> Any:
    """Return the counterpart in PyTorch of a module, Tensor or function of Tensors.

    As in `from_torch`, modules become independent; tensors share memory, and record nothing. A function of Tensors
    becomes one of PyTorch's tensors, differentiable once; parameters that it holds get their `.grad` here.

    >>> import tinygrad_nn as tg
    >>> import torch
    >>> t = torch.tensor([3.0, 4.0], requires_grad=True)
    >>> to_torch(tg.linalg.norm)(t).backward()
    >>> t.grad
    tensor([0.6000, 0.8000])
    """
    if isinstance(x, nn.Module):
        return _handed_over(x, torch.nn, nn, {})
    return torch.from_dlpack(x) if isinstance(x, Tensor) else _through(_of_pytorchs, x)


def _through(seam: Callable[..., Any], function: Any) -> Callable[..., Any]:
    if not callable(function):
        raise TypeError(f"a module, tensor or function is needed, got {errors.given(function)}; pass one of these")
    return functools.partial(seam, function)


def _array(t: Any) -> Any:
    """Return a tensor's memory as an array."""
    try:
        return t.detach().numpy()
    except (TypeError, RuntimeError) as error:
        raise TypeError(f"{error}; NumPy has no such array: write t.float(), t.cpu() or t.to_dense()") from error


def _tensor(array: Any) -> Any:
    """Return a tensor with its own memory."""
    return torch.from_numpy(np.array(array, order="C"))


def _handed_over(module: Any, to: Any, of: Any, handed: dict[int, Any]) -> Any:
    """Return the module of the other library that computes the same; a module in several places stays one module."""
    if id(module) in handed:
        return handed[id(module)]
    name = type(module).__name__
    for lacking, value in _LACKING.items():
        if getattr(module, lacking, value) != value:
            setting = f"{lacking}={getattr(module, lacking)!r:.40}"
            raise ValueError(f"{name} with {setting} has no counterpart here; pass a function that calls the layer")
    if type(module) is of.Sequential:
        found = to.Sequential(*[_handed_over(m, to, of, handed) for m in module])
    elif type(module) is getattr(of, name, None) and name in _LAYERS:
        found = getattr(to, name)(**_settings(name, module, to is nn))
        _copy_numbers(module, found, to is nn, handed)
    else:
        there = f"layers that both have: {', '.join(_LAYERS)}"
        raise TypeError(f"{name} can't be converted, only Sequentials of {there}; pass a function that calls it")
    handed[id(module)] = found if isinstance(found, to.Sequential) else found.train(module.training)
    found.training = module.training
    return found


def _settings(name: str, module: Any, to_ours: bool) -> dict[str, Any]:
    """Return the settings of a layer as the other library names them."""
    found = {}
    for key in signature(_LAYERS[name]).parameters.keys() - {"dtype", "seed"}:
        torchs = key.replace("axis", "dim")
        value = _setting(module, torchs if to_ours else key)
        if key == "axis" and not isinstance(value, int):  # without one, PyTorch goes by the input's shape, we take all
            raise ValueError(f"{name} with {torchs}={value} has no counterpart there; pass one axis")
        if value is not None or key == "momentum":
            found[key if to_ours else torchs] = value
    return found


def _setting(module: Any, key: str) -> Any:
    if key == "bias":
        found = getattr(getattr(module, "self_attn", module), "in_proj_bias", getattr(module, key, None))
        return found if isinstance(found, bool) else found is not None
    try:
        value = _ELSEWHERE[key](module) if key in _ELSEWHERE else getattr(module, key)
    except AttributeError:  # such as k_proj_weight, if keys are as long as queries
        return None
    return getattr(value, "p", value)  # of an inner dropout


def _copy_numbers(module: Any, found: Any, to_ours: bool, handed: dict[int, Any]) -> None:
    """Copy parameters and buffers from one module to another, in their dtype, frozen and tied as they are."""
    own = dict(module.named_parameters())
    state = {k: (_array if to_ours else _tensor)(v) for k, v in module.state_dict().items()}
    for dtype in [array.dtype for array in state.values()][:1]:  # of its floating numbers, which come first
        found = found.astype(dtype) if to_ours else found.to(dtype)
    found.load_state_dict(state)
    for name, p in [*found.named_parameters()]:
        p.requires_grad = own[name].requires_grad
        *within, last = name.split(".")
        setattr(functools.reduce(getattr, within, found), last, handed.setdefault(id(own[name]), p))


def _pullback(function: Any, index: int, outputs: int, *given: Any) -> Any:
    """Pull cotangents back to one input; `given` are the cotangents, the outputs as they were, and the inputs."""
    again, inputs = torch.is_grad_enabled(), [*given[2 * outputs :]]
    with torch.enable_grad():
        x = inputs[index]
        wanted = inputs[index] = x if x.requires_grad else x.detach().requires_grad_()
        found, expected = _several(function(*inputs)), given[outputs : 2 * outputs]
        if not all(agree(_array(y), _array(v)) for v, y in zip(expected, found, strict=True)):
            raise errors.GradientError(
                "PyTorch's function computed other values in the backward pass; let it draw no random numbers"
            )
        pairs = [pair for pair in zip(found, given) if pair[0].requires_grad]
        ys, gs = zip(*pairs, strict=True) if pairs else ((), ())
        (c,) = torch.autograd.grad(ys, wanted, gs, create_graph=again, allow_unused=True) if pairs else (None,)
    return torch.zeros_like(wanted) if c is None else c


@primitive(method=False, variadic=True, multiple_outputs=True, name="function of PyTorch")
def _by_torch(xs: Any, /, function: Any) -> Any:
    """Return the outputs of a function of PyTorch's tensors, as independent arrays."""
    with torch.inference_mode(False), torch.set_grad_enabled(getattr(function, "func", None) is not _pullback):
        outputs = _several(function(*map(_tensor, xs)))
    for y in outputs:
        if not torch.is_tensor(y):
            raise TypeError(f"a function of PyTorch's returned {errors.given(y)}; let it return one tensor, or several")
        if y.requires_grad and recording.get():
            raise errors.GradientError(
                "the function has parameters of PyTorch's that require grad, and would get none; pass or freeze them"
            )
    return tuple([_array(y).copy() for y in outputs])


@_by_torch.vjp
def _pulled_back(g: Any, index_of_input: int, xs: Any, y: Any, function: Any) -> Any:
    given = [*g, *map(raw, y), *xs]
    call: Any = _by_torch if any(isinstance(x, Tensor) for x in given) else _by_torch.kernel
    return call(given, function=functools.partial(_pullback, function, index_of_input, len(y)))[0]


def _of_tensors(function: Any, *args: Any, **settings: Any) -> Any:
    """Return what a function of PyTorch's returns for Tensors: one, or a tuple of several."""
    _refuse_within(settings, Tensor)
    outputs = _by_torch([as_tensor(x) for x in args], function=functools.partial(function, **settings))
    return outputs if len(outputs) > 1 else outputs[0]


def _several(outputs: Any) -> tuple[Any, ...]:
    return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)


def _refuse_within(settings: Any, kind: Any) -> None:
    """Raise GradientError for a tensor among settings."""
    if any(isinstance(x, kind) for x in leaves(settings)):
        raise errors.GradientError("a tensor inside another argument, or by name, gets no gradient; pass it by itself")


class _Seam(torch.autograd.Function):  # type: ignore[misc] # PyTorch's types are not read
    """A function of Tensors as an operation of PyTorch's autograd, differentiable once."""

    @staticmethod
    def forward(ctx: Any, records: bool, _: Any, function: Any, *args: Any) -> Any:
        """Compute the outputs, and keep the graph that was recorded here."""
        ctx.inputs = [
            Tensor(_array(x), requires_grad=records and x.requires_grad) if torch.is_tensor(x) else None for x in args
        ]
        with enable_grad() if records else no_grad():
            found = function(*[x if t is None else t for t, x in zip(ctx.inputs, args, strict=True)])
        ctx.outputs = [as_tensor(y) for y in _several(found)]
        ctx.save_for_backward(*[x for x in args if torch.is_tensor(x)])  # PyTorch detects if these change
        results = [_tensor(y.data) for y in ctx.outputs]
        ctx.mark_non_differentiable(*[t for t, y in zip(results, ctx.outputs, strict=True) if not y.requires_grad])
        return tuple(results) if isinstance(found, (tuple, list)) else results[0]

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        """Pull the cotangents back to the inputs, and into the `.grad` of parameters that the function holds."""
        if torch.is_grad_enabled():
            raise errors.GradientError(
                "create_graph=True differentiates twice, and this function only once; use tg.hvp on this side"
            )
        assert ctx.saved_tensors is not None  # PyTorch raises here if one was changed
        for x in [x for x in ctx.inputs if x is not None]:
            x.grad = None
        for y, g in zip(ctx.outputs, cotangents, strict=True):
            if y.requires_grad and g is not None:
                y.backward(Tensor(np.array(_array(g))), retain_graph=True)
        return None, None, None, *[None if x is None or x.grad is None else _tensor(x.grad.data) for x in ctx.inputs]


def _of_pytorchs(function: Any, *args: Any, **settings: Any) -> Any:
    """Return what a function of Tensors returns for PyTorch's tensors: one, or a tuple of several."""
    _refuse_within([settings, [x for x in args if not torch.is_tensor(x)]], torch.Tensor)
    # The empty tensor makes PyTorch call `backward` even if only parameters of this library require grad.
    back = torch.empty(0, requires_grad=True)
    return _Seam.apply(torch.is_grad_enabled(), back, functools.partial(function, **settings), *args)
