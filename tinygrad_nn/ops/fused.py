"""Operations of networks whose direct form is faster or more exact than the composition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine.arrays import array_of, copied
from ..engine.zero_safe import pointwise, sum_of_products
from ..tensor.declaring import composite, primitive, sample
from ..tensor.handle import Tensor
from .axes import input_axes
from .elementwise import quotient, sigmoid
from .reduction import _kept, mean, sum
from .sample_arrays import TIES


@primitive(method=False)
def linear(x: Any, weight: Any, bias: Any = None, /) -> Any:
    """Return x @ weight.T + bias. Shapes: (..., k), (n, k), (n,) -> (..., n)."""
    if getattr(weight, "ndim", 0) != 2 or (bias is not None and bias.shape != (len(weight),)):
        raise ValueError(
            "linear needs a weight of shape (n, k) and a bias of shape (n,), "
            f"got {np.shape(weight)} and {np.shape(bias)}"
        )
    y = x @ weight.T
    if bias is None:
        return y
    if y.dtype is not bias.dtype:
        return y + bias
    y += bias  # in place, for nobody else has the product yet
    return y


def _rows(x: Any) -> Any:
    """Return the matrix of all rows. Shapes: (..., n) -> (m, n)."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


linear.vjp(
    lambda g, weight: g @ weight, lambda g, x: _rows(g).T @ _rows(x), lambda g: g, zero_safe=sum_of_products
)  # fmt: skip
linear.jvp(lambda t, weight: t @ weight.T, lambda t, x: x @ t.T, lambda t: t)


def _exponentials(x: Any, axis: Any) -> tuple[Any, Any, Any, Any]:
    """Return the maximum of x, x without it, exp of that, which can't overflow, and its sum over the axes.

    Where the maximum is inf, the second is the limit; where there is nothing to add up, the sum is 1.
    """
    top = np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
    if np.isfinite(top).all():  # the usual case needs no masks
        with np.errstate(over="ignore"):
            z = x - top
        e = np.exp(z)
        return top, z, e, np.add.reduce(e, axis=axis, keepdims=True)
    limit = np.where(x == np.inf, x.dtype.type(0), x.dtype.type(-np.inf))
    z = np.where(top == np.inf, limit, np.where(np.isneginf(x), x, x - np.where(np.isinf(top), 0, top)))
    e = np.exp(z)
    total = np.add.reduce(e, axis=axis, keepdims=True)
    return top, z, e, np.where(total == 0, x.dtype.type(1), total)


def _floating(x: Any) -> Any:
    """Return numbers to compute with: float16 in float32, integers in float64."""
    x = array_of(x)
    return x.astype(np.float32 if x.dtype.char == "e" else float) if x.dtype.char not in "fdg" else x


def _like(y: Any, x: Any) -> Any:
    """Return the result in float16, if that is what was given."""
    if array_of(x).dtype.char != "e":
        return y
    with np.errstate(over="ignore"):
        return y.astype(np.float16)


@primitive(axis=input_axes)
def softmax(x: Any, /, axis: Any = -1) -> Any:
    """Return exp(x) / sum(exp(x)) over the axes. Shapes: (..., n, ...) -> (..., n, ...).

    An entry of -inf gets 0, also where all of them are -inf; entries of inf share 1.
    """
    _, _, e, total = _exponentials(_floating(x), axis)
    return _like(e / total, x)


def _all_zero(g: Any, axis: Any) -> Any:
    """Return where all cotangents along the axes are zero."""
    return np.all(g == 0, axis=axis, keepdims=True)


softmax.vjp(lambda g, y, axis: y * (g - np.sum(g * y, axis=axis, keepdims=True)), zero_where=_all_zero)


@primitive(axis=input_axes)
def log_softmax(x: Any, /, axis: Any = -1) -> Any:
    """Return the logarithm of softmax, exact where softmax underflows."""
    _, z, _, total = _exponentials(_floating(x), axis)
    return _like(z - np.log(total), x)


log_softmax.vjp(lambda g, y, axis: g - np.exp(y) * np.add.reduce(g, axis=axis, keepdims=True), zero_where=_all_zero)


@primitive(axis=input_axes)
def logsumexp(x: Any, /, axis: Any = None, keepdims: bool = False) -> Any:
    """Return log(sum(exp(x))) over the axes, all by default, without overflow.

    Where every entry is -inf the value is -inf and the derivative 0.
    """
    top, _, _, total = _exponentials(_floating(x), axis)
    y = _like(top + np.log(total), x)
    return y if keepdims else np.squeeze(y, axis)


logsumexp.vjp(
    lambda g, x, axis, keepdims: _kept(g, axis, keepdims) * softmax.kernel(x, axis=axis),
    zero_where=lambda g, axis, keepdims: _kept(g, axis, keepdims) == 0,
)


def _reduced(losses: Any, reduction: str) -> Any:
    """Return the mean of the losses, their sum, or the losses themselves."""
    if reduction == "none":
        return losses
    total = np.add.reduce(losses, axis=None)
    return total if reduction == "sum" else total / losses.dtype.type(losses.size)


def _spread(g: Any, n: int, reduction: str) -> Any:
    """Return each loss's own cotangent; 70,000 is inf in float16, but its reciprocal is a number."""
    if reduction != "mean":
        return g
    return g * (1 / n) if g.dtype.char == "e" else g / n


def _reduction(value: Any, inputs: Any) -> str:
    if value not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {value!r}")
    return str(value)


def _labels(value: Any, inputs: Any) -> Any:
    """Return class indices as an array, checked against the logits. Raises ValueError, TypeError."""
    labels = copied(value.data if isinstance(value, Tensor) else value)
    shape = np.shape(inputs[0])
    if labels.dtype.kind not in "iu":
        if labels.size:
            raise TypeError(f"class labels are integers, got dtype {labels.dtype}; write y.astype(int)")
        labels = labels.astype(np.intp)
    if labels.shape != shape[:-1]:
        raise ValueError(f"logits of shape {shape} need class labels of shape {shape[:-1]}, got {labels.shape}")
    if labels.size and labels.astype(np.uint64, copy=False).max() >= shape[-1]:  # so read, -1 is a huge number
        at = tuple(int(i) for i in np.argwhere((labels < 0) | (labels >= shape[-1]))[0])
        raise ValueError(f"label {labels[at]} at {at} names no class: it must be from 0 to {shape[-1] - 1}")
    return labels


def _flat_labels(labels: Any, shape: tuple[int, ...]) -> Any:
    """Return where each sample's label lies in the flattened logits. Shapes: (...) -> (...)."""
    return np.arange(0, labels.size * shape[-1], shape[-1]).reshape(labels.shape) + labels


@primitive(method=False, labels=_labels, reduction=_reduction)
def cross_entropy(logits: Any, /, labels: Any, reduction: str = "mean") -> Any:
    """Return -log(softmax(logits)[label]), averaged over samples. Shapes: (..., k), int (...) -> ().

    `reduction` is "mean", "sum" or "none". Raises ValueError for labels outside 0..k-1.
    """
    _, z, _, total = _exponentials(_floating(logits), (logits.ndim - 1,))
    losses = np.log(total).reshape(labels.shape) - z.reshape(-1)[_flat_labels(labels, z.shape)]
    return _like(_reduced(losses, reduction), logits)


def _probabilities_minus_labels(g: Any, logits: Any, labels: Any, reduction: str) -> Any:
    hot = labels[..., None] == np.arange(logits.shape[-1])
    g = g[..., None] if reduction == "none" else _spread(g, max(labels.size, 1), reduction)
    return (softmax.kernel(logits, axis=(logits.ndim - 1,)) - hot) * g


cross_entropy.vjp(
    _probabilities_minus_labels, zero_where=lambda g, reduction: g[..., None] == 0 if reduction == "none" else g == 0
)


def _same_shape(loss: str, a: Any, b: Any) -> None:
    if np.shape(a) != np.shape(b):
        raise ValueError(
            f"{loss} compares entry by entry, but got shapes {np.shape(a)} and {np.shape(b)}; "
            f"write y.reshape({np.shape(a)}) if they hold the same entries"
        )


@primitive(method=False, reduction=_reduction)
def binary_cross_entropy(probabilities: Any, y: Any, /, reduction: str = "mean") -> Any:
    """Return -(y log(p) + (1 - y) log(1 - p)), averaged over all entries. Shapes: (...), (...) -> ().

    A term whose factor is exactly 0 is 0. Train on logits where you can: p = 1 loses its digits.
    """
    _same_shape("binary_cross_entropy", probabilities, y)
    p = _floating(probabilities)
    if ((p < 0) | (p > 1)).any():
        raise ValueError("binary_cross_entropy takes probabilities, from 0 to 1; for logits use ..._with_logits")
    y = array_of(y, p.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        losses = -np.where(y == 0, 0, y * np.log(p)) - np.where(y == 1, 0, (1 - y) * np.log1p(-p))
    return _like(_reduced(losses.astype(p.dtype, copy=False), reduction), probabilities)


binary_cross_entropy.vjp(
    lambda g, probabilities, y, probabilities_shape, reduction: (
        _spread(g, max(math.prod(probabilities_shape), 1), reduction)
        * (quotient(1 - y, 1 - probabilities) - quotient(y, probabilities))
    ),
    lambda g, probabilities, y_shape, reduction: (
        _spread(g, max(math.prod(y_shape), 1), reduction) * (np.log1p(-probabilities) - np.log(probabilities))
    ),
    zero_safe=pointwise,
)


@primitive(method=False, reduction=_reduction)
def binary_cross_entropy_with_logits(logits: Any, y: Any, /, reduction: str = "mean") -> Any:
    """Return the binary cross entropy of sigmoid(logits), exact at any logit. Shapes: (...), (...) -> ()."""
    _same_shape("binary_cross_entropy_with_logits", logits, y)
    z = _floating(logits)
    y = array_of(y, z.dtype)
    size = np.abs(z)
    excess = np.maximum(z, 0) - z * y if np.isfinite(size).all() else _limit_of_excess(z, y)
    return _like(_reduced(excess + np.log1p(np.exp(-size)), reduction), logits)


def _limit_of_excess(z: Any, y: Any) -> Any:
    """Return max(z, 0) - z y where z may be infinite: 0 where the label agrees."""
    slope = np.where(z > 0, 1 - y, -y)
    return slope * np.where(slope == 0, z.dtype.type(0), z)


binary_cross_entropy_with_logits.vjp(
    lambda g, logits, y, logits_shape, reduction: (
        (sigmoid.kernel(logits) - y) * _spread(g, max(math.prod(logits_shape), 1), reduction)
    ),
    lambda g, logits, y_shape, reduction: -logits * _spread(g, max(math.prod(y_shape), 1), reduction),
    zero_safe=pointwise,
)


@composite(method=False)
def mse_loss(predictions: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """Return the squared difference, averaged over all entries. Shapes: (...), (...) -> ()."""
    _same_shape("mse_loss", predictions, targets)
    losses = (predictions - targets) ** 2
    return losses if _reduction(reduction, ()) == "none" else sum(losses) if reduction == "sum" else mean(losses)


# What tests try: a tuple stands for drawn values of that shape.

linear.samples = [
    sample((5, 3), (2, 3), (2,)), sample((2, 4, 3), (2, 3)), sample((3,), (2, 3), (2,)), sample((0, 3), (2, 3), (2,)),
    sample((2, 2, 0), (3, 0), (3,)), sample((2, 2, 3), (0, 3), (0,)),
]  # fmt: skip
_CASES = [
    sample((2, 3)), sample((2, 3), axis=-2), sample((2, 3, 2), axis=(0, -1)),
    sample(TIES), sample((0, 3), axis=-1), sample((), axis=()),
]  # fmt: skip
softmax.samples = log_softmax.samples = _CASES
_INFINITE = np.array([[-np.inf, 1.0], [np.inf, 0.0], [-np.inf, -np.inf], [1e4, -1e4]])
logsumexp.samples = [*_CASES, sample((2, 3), keepdims=True), sample(_INFINITE, axis=-1)]
cross_entropy.samples = [
    sample((4, 3), labels=np.array([0, 2, 1, 1])), sample((3,), labels=np.array(2), reduction="sum"),
    sample((2, 2, 3), labels=np.array([[0, 1], [2, 2]]), reduction="none"),
    sample(np.array([[0.0, -np.inf, 1.0]]), labels=np.array([2])),
    sample((0, 3), labels=np.zeros(0, int), reduction="none"),
]  # fmt: skip
binary_cross_entropy.samples = [
    sample(np.array([0.2, 0.9, 0.5]), np.array([0.0, 1.0, 0.25])),
    sample(np.array([[0.2, 0.9]]), np.array([[1.0, 1.0]]), reduction="sum"),
    sample(np.array(0.3), np.array(1.0), reduction="none"), sample((0, 1), (0, 1), reduction="sum"),
]  # fmt: skip
binary_cross_entropy_with_logits.samples = [
    sample((4, 1), np.array([[0.0], [1.0], [1.0], [0.5]])), sample((3,), np.ones(3), reduction="sum"),
    sample((), np.array(1.0), reduction="none"), sample((0, 1), (0, 1), reduction="sum"),
    sample(np.array([1e4, -1e4, 40.0]), np.array([1.0, 0.0, 0.0])),
]  # fmt: skip
mse_loss.samples = [sample((2, 3), (2, 3)), sample((), ()), sample((0, 2), (0, 2), reduction="sum")]
