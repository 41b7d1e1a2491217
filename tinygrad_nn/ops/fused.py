"""Operations of networks whose direct form is faster or more exact than the composition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine.arrays import copied
from ..engine.zero_safe import product_of_entries, sum_of_products
from ..tensor.creation import array_of
from ..tensor.declaring import primitive, sample
from ..tensor.handle import Tensor
from .axes import input_axes
from .elementwise import sigmoid
from .reduction import with_kept_axes
from .sample_arrays import TIES
from .settings import one_of


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
    y += bias  # in place: nobody else has the product yet
    return y


def _rows(x: Any) -> Any:
    """Return the matrix of all rows. Shapes: (..., n) -> (m, n)."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


linear.vjp(
    lambda g, weight: g * weight if type(g) is np.ndarray and len(weight) == 1 else g @ weight,  # takes half the time
    lambda g, x: _rows(g).T @ _rows(x), lambda g: g, zero_safe=sum_of_products,
)  # fmt: skip
linear.jvp(lambda t, weight: t @ weight.T, lambda t, x: x @ t.T, lambda t: t)


def _exponentials(x: Any, axis: Any) -> tuple[Any, Any, Any, Any]:
    """Return the maximum of x, z = x - maximum, exp(z), which can't overflow, and the sum of exp(z) over the axes.

    Where the maximum is inf, z is the limit; where the sum would be 0, it is 1.
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


def _widened(x: Any) -> Any:
    """Return numbers to compute with: float16 as float32, integers as float64."""
    x = array_of(x)
    return x if x.dtype.char in "fdgFDG" else x.astype(np.float32 if x.dtype.char == "e" else float)


def _like(y: Any, x: Any) -> Any:
    """Return the result, in float16 if x is."""
    if array_of(x).dtype.char != "e":
        return y
    with np.errstate(over="ignore"):
        return y.astype(np.float16)


@primitive(axis=input_axes)
def softmax(x: Any, /, axis: Any = -1) -> Any:
    """Return exp(x) / sum(exp(x)) over the axes. Shapes: (..., n, ...) -> (..., n, ...).

    An entry of -inf gets 0, also where all of them are -inf; entries of inf share 1. Source: Bridle (1990).

    >>> import tinygrad_nn as tg
    >>> tg.softmax([[0.0, 0.0], [1000.0, 0.0]])
    tg.tensor([[0.5, 0.5],
               [1. , 0. ]], dtype='float64')
    """
    _, _, e, total = _exponentials(_widened(x), axis)
    return _like(e / total, x)


def _all_zero(g: Any, axis: Any) -> Any:
    """Return where all cotangents along the axes are zero."""
    return np.all(g == 0, axis=axis, keepdims=True)


softmax.vjp(lambda g, y, axis: y * (g - np.sum(g * y, axis=axis, keepdims=True)), zero_where=_all_zero)


@primitive(axis=input_axes)
def log_softmax(x: Any, /, axis: Any = -1) -> Any:
    """Return the logarithm of softmax, exact where softmax underflows. Shapes: (..., n, ...) -> (..., n, ...).

    >>> import tinygrad_nn as tg
    >>> tg.log_softmax([1000.0, 0.0])
    tg.tensor([    0., -1000.], dtype='float64')
    """
    _, z, _, total = _exponentials(_widened(x), axis)
    return _like(z - np.log(total), x)


log_softmax.vjp(
    lambda g, x, axis: g - softmax.kernel(x, axis=axis) * np.add.reduce(g, axis=axis, keepdims=True),
    zero_where=_all_zero,
)


@primitive(axis=input_axes)
def logsumexp(x: Any, /, axis: Any = None, keepdims: bool = False) -> Any:
    """Return log(sum(exp(x))) over the axes, by default all, without overflow.

    Where every entry is -inf the value is -inf and the derivative 0.

    >>> import tinygrad_nn as tg
    >>> round(tg.logsumexp([1000.0, 1000.0]).item(), 2)
    1000.69
    """
    top, _, _, total = _exponentials(_widened(x), axis)
    y = _like(top + np.log(total), x)
    return y if keepdims else np.squeeze(y, axis)


logsumexp.vjp(
    lambda g, x, axis, keepdims: with_kept_axes(g, axis, keepdims) * softmax.kernel(x, axis=axis),
    zero_where=lambda g, axis, keepdims: with_kept_axes(g, axis, keepdims) == 0,
)


def reduction_of(value: Any, inputs: Any = ()) -> Any:
    """Return the reduction's name. Raises ValueError if there is no such reduction."""
    return one_of("mean", "sum", "none")("reduction", value)


def _reduced(losses: Any, reduction: str) -> Any:
    """Return the mean of the losses, their sum, or the losses themselves."""
    if reduction == "none":
        return losses
    total = np.add.reduce(losses, axis=None)
    if reduction == "sum":
        return total
    return total / losses.dtype.type(losses.size)


def _spread(g: Any, shape: Any, reduction: str) -> Any:
    """Return the cotangent of each loss. In float16, 70,000 is inf, but its reciprocal is finite."""
    if reduction != "mean":
        return g
    n = max(math.prod(shape), 1)
    return g * (1 / n) if g.dtype.char == "e" else g / n


def class_labels(value: Any, inputs: Any) -> Any:
    """Return class indices as an array of the logits' shape without the last axis. Raises ValueError, TypeError."""
    labels = copied(value.data if isinstance(value, Tensor) else value)
    shape = np.shape(inputs[0])
    if labels.size and labels.dtype.kind not in "iu":
        raise TypeError(f"class labels, which come second, are integers, got dtype {labels.dtype}; write y.astype(int)")
    if not np.can_cast(labels.dtype, np.intp):  # uint64, which NumPy adds to other integers as floats
        labels = labels.astype(np.intp)
    if labels.shape != shape[:-1]:
        raise ValueError(f"logits of shape {shape} need class labels of shape {shape[:-1]}, got {labels.shape}")
    return labels


def _counted(labels: Any, classes: int, ignore_index: int) -> tuple[Any, Any]:
    """Return the labels, 0 where ignored, and a mask of those that count, None if all do. Raises ValueError."""
    if all_count(labels, classes, ignore_index):
        return labels, None
    counted = labels != ignore_index
    labels = np.where(counted, labels, 0)
    if not all_count(labels, classes):
        at = tuple(int(i) for i in np.argwhere((labels < 0) | (labels >= classes))[0])
        raise ValueError(f"label {labels[at]} at {at} names no class: it must be from 0 to {classes - 1}")
    return labels, counted


def all_count(labels: Any, classes: int, ignore_index: int = -100) -> bool:
    """Return whether all labels are from 0 to classes - 1, and none is ignored."""
    fit = not labels.size or bool(labels.astype(np.uint64, copy=False).max() < classes)  # unsigned, -1 is a huge number
    return fit and (not 0 <= ignore_index < classes or bool((labels != ignore_index).all()))


def _flat_labels(labels: Any, shape: tuple[int, ...]) -> Any:
    """Return where each sample's label lies in the flattened logits. Shapes: (...) -> (...)."""
    return np.arange(0, labels.size * shape[-1], shape[-1]).reshape(labels.shape) + labels


@primitive(method=False, name="softmax_cross_entropy", labels=class_labels, reduction=reduction_of)
def _softmax_cross_entropy(logits: Any, /, labels: Any, reduction: str = "mean") -> Any:
    """Return -log(softmax(logits)[label]), averaged over samples; `all_count`. Shapes: (..., k), int (...) -> ()."""
    _, z, _, total = _exponentials(_widened(logits), (logits.ndim - 1,))
    losses = np.log(total).reshape(labels.shape) - z.reshape(-1)[_flat_labels(labels, z.shape)]
    return _like(_reduced(losses, reduction), logits)


def _probabilities_minus_labels(g: Any, logits: Any, labels: Any, reduction: str) -> Any:
    hot = labels[..., None] == np.arange(logits.shape[-1])
    g = g[..., None] if reduction == "none" else _spread(g, labels.shape, reduction)
    return (softmax.kernel(logits, axis=(logits.ndim - 1,)) - hot) * g


_softmax_cross_entropy.vjp(
    _probabilities_minus_labels, zero_where=lambda g, reduction: g[..., None] == 0 if reduction == "none" else g == 0
)


@primitive(method=False, name="class_entries", masks=True, labels=class_labels)
def _class_entries(x: Any, /, labels: Any, ignore_index: int = -100) -> Any:
    """Return x[..., label], and 0 where the label is ignored. Shapes: (..., k), int (...) -> (...)."""
    labels, counted = _counted(labels, x.shape[-1], ignore_index)
    y = np.take_along_axis(x, labels[..., None], -1)[..., 0]
    return y if counted is None else np.where(counted, y, y.dtype.type(0))


def _at_class(g: Any, x_shape: Any, labels: Any, ignore_index: int) -> Any:
    labels, counted = _counted(labels, x_shape[-1], ignore_index)
    hot = labels[..., None] == np.arange(x_shape[-1])
    return np.where(hot if counted is None else hot & counted[..., None], g[..., None], 0)


_class_entries.vjp(_at_class)


@primitive(method=False, name="bernoulli_cross_entropy", reduction=reduction_of)
def _bernoulli_cross_entropy(p: Any, y: Any, /, reduction: str = "mean") -> Any:
    """Return -(y log(p) + (1 - y) log(1 - p)), averaged over all entries. Shapes: (...), (...) -> ().

    A logarithm below -100 is taken as -100, so that every loss is finite.
    """
    probabilities = _widened(p)
    if ((probabilities < 0) | (probabilities > 1)).any():
        raise ValueError("binary_cross_entropy takes probabilities, from 0 to 1; for logits use ..._with_logits")
    y = array_of(y, probabilities.dtype)
    with np.errstate(divide="ignore"):
        losses = -y * np.maximum(np.log(probabilities), -100) - (1 - y) * np.maximum(np.log1p(-probabilities), -100)
    return _like(_reduced(losses, reduction), p)


def _divisor(q: Any) -> Any:
    """Return probabilities to divide by: 1e-12 for 0, as in PyTorch, or float16's smallest normal number."""
    return np.where(q == 0, max(1e-12, float(np.finfo(q.dtype).tiny)), q)


_bernoulli_cross_entropy.vjp(
    lambda g, p, y, p_shape, reduction: _spread(g, p_shape, reduction) * ((1 - y) / _divisor(1 - p) - y / _divisor(p)),
    lambda g, p, y_shape, reduction: (
        _spread(g, y_shape, reduction) * (np.maximum(np.log1p(-p), -100) - np.maximum(np.log(p), -100))
    ),
    zero_safe=product_of_entries,
)


@primitive(method=False, name="sigmoid_cross_entropy", reduction=reduction_of)
def _sigmoid_cross_entropy(logits: Any, y: Any, /, reduction: str = "mean") -> Any:
    """Return the binary cross entropy of sigmoid(logits), exact at any logit. Shapes: (...), (...) -> ()."""
    z = _widened(logits)
    y = array_of(y, z.dtype)
    size = np.abs(z)
    excess = np.maximum(z, 0) - z * y if np.isfinite(size).all() else _limit_of_excess(z, y)
    return _like(_reduced(excess + np.log1p(np.exp(-size)), reduction), logits)


def _limit_of_excess(z: Any, y: Any) -> Any:
    """Return max(z, 0) - z y where z may be infinite: 0 where the label agrees."""
    slope = np.where(z > 0, 1 - y, -y)
    return slope * np.where(slope == 0, z.dtype.type(0), z)


_sigmoid_cross_entropy.vjp(
    lambda g, logits, y, logits_shape, reduction: (  # sigmoid - y has no digits left where y = 1 and the logit is large
        ((1 - y) * sigmoid.kernel(logits) - y * sigmoid.kernel(-logits)) * _spread(g, logits_shape, reduction)
    ),
    lambda g, logits, y_shape, reduction: -logits * _spread(g, y_shape, reduction),
    zero_safe=product_of_entries,
)


@primitive(method=False, name="huber", pointwise=True)
def _huber(x: Any, /, delta: float = 1.0) -> Any:
    """Return x² / 2 where |x| is at most delta, beyond it delta (|x| - delta / 2). Shapes: (...) -> (...)."""
    near = np.clip(x, -delta, delta)
    return near * (x - near / 2)


_huber.vjp(lambda g, x, delta: g * np.clip(x, -delta, delta))


@primitive(method=False, name="at_least")
def _at_least(var: Any, /, eps: float = 1e-6) -> Any:
    """Return variances that are at least eps. Raises ValueError for a negative one."""
    if (var < 0).any():
        raise ValueError("gaussian_nll_loss: a variance must not be negative; compute it as tg.exp or tg.softplus")
    return np.maximum(var, eps)


_at_least.vjp(lambda g: g)

# The parts of losses; the losses themselves are in `tg`.
at_least = _at_least
huber = _huber
class_entries = _class_entries
bernoulli_cross_entropy = _bernoulli_cross_entropy
sigmoid_cross_entropy = _sigmoid_cross_entropy
softmax_cross_entropy = _softmax_cross_entropy


# Samples for tests: a tuple stands for random values of that shape.

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
_softmax_cross_entropy.samples = [
    sample((4, 3), labels=np.array([0, 2, 1, 1])), sample((3,), labels=np.array(2), reduction="sum"),
    sample((2, 2, 3), labels=np.array([[0, 1], [2, 2]]), reduction="none"),
    sample(np.array([[0.0, -np.inf, 1.0]]), labels=np.array([2])),
    sample((0, 3), labels=np.zeros(0, int), reduction="none"),
]  # fmt: skip
_class_entries.samples = [
    sample((4, 3), labels=np.array([0, 2, -7, 1]), ignore_index=-7), sample((3,), labels=np.array(2)),
    sample((2, 2, 3), labels=np.array([[0, 1], [2, 2]])), sample((0, 3), labels=np.zeros(0, int)),
]  # fmt: skip
_bernoulli_cross_entropy.samples = [
    sample(np.array([0.2, 0.9, 0.5]), np.array([0.0, 1.0, 0.25])),
    sample(np.array([[0.2, 0.9]]), np.array([[1.0, 1.0]]), reduction="sum"),
    sample(np.array(0.3), np.array(1.0), reduction="none"), sample((0, 1), (0, 1), reduction="sum"),
]  # fmt: skip
_sigmoid_cross_entropy.samples = [
    sample((4, 1), np.array([[0.0], [1.0], [1.0], [0.5]])), sample((3,), np.ones(3), reduction="sum"),
    sample((), np.array(1.0), reduction="none"), sample((0, 1), (0, 1), reduction="sum"),
    sample(np.array([1e4, -1e4, 40.0]), np.array([1.0, 0.0, 0.0])),
]  # fmt: skip
_huber.samples = [sample((2, 3)), sample((), delta=0.5), sample((0, 2))]
_at_least.samples = [sample(np.array([0.5, 2.0])), sample(np.array(2.0), eps=0.1), sample((0, 2))]
