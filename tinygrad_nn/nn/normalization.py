"""Layers that normalise to mean 0 and variance 1: over a batch, over a sample, or over groups of channels."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from ..ops.elementwise import sqrt, square
from ..ops.reduction import mean
from ..ops.settings import Check, number, optional, share, whole_number
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor
from .layers import unset
from .module import Buffer, Module, tensor_or_none

_SETTINGS: dict[str, Check] = {"eps": number, "bias": tensor_or_none}


class _Normalization(Module, settings=_SETTINGS, fixed=["normalized_shape", "track_running_stats"]):
    """The base of normalisations: a weight that starts at 1 and a bias that starts at 0; either may be None."""

    weight: Tensor | None
    bias: Tensor | None
    _normalised: Any

    def _own(self, shape: Any, has_weight: bool, has_bias: bool, dtype: Any) -> None:
        self.weight = unset(*shape, dtype=dtype) if has_weight else None
        self.bias = unset(*shape, dtype=dtype) if has_bias else None
        _Normalization.reset_parameters(self)

    def reset_parameters(self, seed: Any = None) -> None:
        """Set the weight to 1 and the bias to 0; nothing is drawn."""
        for p, value in ((self.weight, 1.0), (self.bias, 0.0)):
            if p is not None:
                p.data = np.full(p.shape, value)

    def forward(self, x: Any) -> Any:
        """Return the normalised values, in the same shape; float16 is computed in float32, as in PyTorch."""
        x = as_tensor(x)
        if x.dtype != np.float16:
            return self._normalised(x)
        dtype = np.result_type(x.dtype, *(p.dtype for p in self.parameters()))
        return self._normalised(x.astype(np.float32)).astype(dtype)

    def _affine(self, x: Any, shape: Any) -> Any:
        """Return x times the weight plus the bias, both reshaped to be broadcast against x."""
        x = x if self.weight is None else x * self.weight.reshape(shape)
        return x if self.bias is None else x + self.bias.reshape(shape)


def _lengths(shape: Any) -> tuple[int, ...]:
    return tuple(whole_number("each size of a layer", n, 0) for n in np.atleast_1d(shape).tolist())


def _moments(x: Any, axis: Any) -> tuple[Any, Any, Any]:
    """Return the mean over the axes, x minus the mean, and the variance."""
    mu = mean(x, axis=axis, keepdims=True)
    centred = x - mu
    return mu, centred, mean(square(centred), axis=axis, keepdims=True)


class LayerNorm(_Normalization):
    """Layer normalisation: (x - mean) / √(var + eps) · weight + bias, over the last axes.

    Shapes: (..., *normalized_shape) -> the same.

    Weight and bias are of normalized_shape, a number or several.
    Source: Ba, Kiros and Hinton, Layer normalization (2016).

    >>> import tinygrad_nn as tg
    >>> tg.nn.LayerNorm(2)([[1.0, 3.0]]).data.round(6)
    array([[-0.999995,  0.999995]])
    """

    def __init__(
        self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True, *,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        self.normalized_shape: tuple[int, ...] = _lengths(normalized_shape)
        self.eps: float = eps
        self._own(self.normalized_shape, elementwise_affine, elementwise_affine and bias, dtype)

    def _normalised(self, x: Any) -> Any:
        shape = self.normalized_shape
        if x.shape[x.ndim - len(shape) :] != shape:
            raise ValueError(f"{self!r} takes an input whose last lengths are {shape}, got {x.shape}")
        return self._affine(self._unit(x, tuple(range(-len(shape), 0))), shape)

    def _unit(self, x: Any, axes: tuple[int, ...]) -> Any:
        _, centred, variance = _moments(x, axes)
        return centred / sqrt(variance + self.eps)


class RMSNorm(LayerNorm, settings={"eps": optional(number)}):
    """Root mean square normalisation: x / √(mean(x²) + eps) · weight, over the last axes.

    Shapes: (..., *normalized_shape) -> the same.

    By default, `eps` is the distance from 1 to the next number of the dtype.
    Source: Zhang and Sennrich, Root mean square layer normalization (2019).

    >>> import tinygrad_nn as tg
    >>> tg.nn.RMSNorm(2)([[1.0, 7.0]]).tolist()
    [[0.2, 1.4]]
    """

    def __init__(
        self, normalized_shape: Any, eps: float | None = None, elementwise_affine: bool = True, *,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        self.normalized_shape: tuple[int, ...] = _lengths(normalized_shape)
        self.eps: float | None = eps  # type: ignore[assignment]
        self._own(self.normalized_shape, elementwise_affine, False, dtype)

    def _unit(self, x: Any, axes: tuple[int, ...]) -> Any:
        eps = float(np.finfo(x.dtype).eps) if self.eps is None else self.eps
        return x / sqrt(mean(square(x), axis=axes, keepdims=True) + eps)


class GroupNorm(_Normalization):
    """Layer norm over each of num_groups groups of neighbouring channels. Shapes: (N, C, ...) -> (N, C, ...).

    Weight and bias are (C,), C = num_channels. Source: Wu and He, Group normalization (2018).

    >>> import tinygrad_nn as tg
    >>> tg.nn.GroupNorm(2, 4)(tg.arange(8.0).reshape(1, 4, 2)).shape
    (1, 4, 2)
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, bias: bool = True,
        dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        self.num_groups: int = whole_number("num_groups", num_groups)
        self.num_channels: int = whole_number("num_channels", num_channels)
        if num_channels % num_groups:
            raise ValueError(f"num_groups={num_groups} must divide num_channels={num_channels}")
        self.eps: float = eps
        self._own((num_channels,), affine, affine and bias, dtype)

    def _normalised(self, x: Any) -> Any:
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ValueError(f"{self!r} takes (N, {self.num_channels}, ...), got {x.shape}")
        entries = math.prod(x.shape[1:]) // self.num_groups
        _, centred, variance = _moments(x.reshape(len(x), self.num_groups, entries), -1)
        y = (centred / sqrt(variance + self.eps)).reshape(x.shape)
        return self._affine(y, (-1, *(1,) * (x.ndim - 2)))


class BatchNorm1d(_Normalization, settings={"momentum": optional(share)}):
    """Batch normalisation: (x - mean) / √(var + eps) · weight + bias for each channel.

    Shapes: (N, C) or (N, C, L) -> the same. In training, mean and variance are those of the batch, and the buffers
    running_mean and running_var (with n - 1 for n) move towards them by the fraction `momentum` (None: the mean of all
    batches). In eval mode these buffers are used, or, with `track_running_stats=False`, the batch again. Weight and
    bias are (C,), C = num_features. Source: Ioffe and Szegedy, Batch normalization (2015).

    >>> import tinygrad_nn as tg
    >>> layer = tg.nn.BatchNorm1d(1)
    >>> y = layer([[1.0], [3.0]])
    >>> layer.running_mean.tolist(), layer.running_var.tolist(), layer.num_batches_tracked.item()
    ([0.2], [1.1], 1)
    """

    _dimensions: ClassVar[tuple[int, ...]] = (2, 3)

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, *, bias: bool = True, dtype: Any = np.float64,
    ) -> None:  # fmt: skip
        self.num_features: int = num_features
        self.eps: float = eps
        self.momentum: float | None = momentum
        self.track_running_stats = track_running_stats
        self._own((num_features,), affine, affine and bias, dtype)
        if track_running_stats:
            self.running_mean: Tensor = Buffer(np.zeros(num_features, dtype))
            self.running_var: Tensor = Buffer(np.ones(num_features, dtype))
            self.num_batches_tracked: Tensor = Buffer(np.zeros((), np.int64))

    def reset_parameters(self, seed: Any = None) -> None:
        """Set the weight to 1, the bias to 0, and forget the running statistics; nothing is drawn."""
        super().reset_parameters()
        if self.track_running_stats:
            self.running_mean.data = np.zeros(self.num_features)
            self.running_var.data = np.ones(self.num_features)
            self.num_batches_tracked.data = np.zeros((), np.int64)

    def _normalised(self, x: Any) -> Any:
        if x.ndim not in self._dimensions or x.shape[1] != self.num_features:
            axes = " or ".join(map(str, self._dimensions))
            raise ValueError(f"{self!r} takes {axes} axes, (N, {self.num_features}, ...), got {x.shape}")
        shape = (-1, *(1,) * (x.ndim - 2))
        if self.training or not self.track_running_stats:
            if x.size < 2 * self.num_features:
                raise ValueError(
                    "the batch needs more than one value per channel; take larger batches, or eval() with "
                    "running statistics"
                )
            others = (0, *range(2, x.ndim))
            # The mean of large numbers loses digits, so the first sample's mean is subtracted before.
            near = mean(x.detach()[:1], axis=others, keepdims=True)
            mu, centred, variance = _moments(x - near, others)
            if self.training and self.track_running_stats:
                self._track(near + mu, variance, x.size // self.num_features)
        else:
            centred, variance = x - self.running_mean.reshape(shape), self.running_var.reshape(shape)
        root = sqrt(variance + self.eps)  # per channel, so that the weight costs no pass over the batch
        y = centred * ((1 if self.weight is None else self.weight.reshape(shape)) / root)
        return y if self.bias is None else y + self.bias.reshape(shape)

    def _track(self, mu: Any, variance: Any, count: int) -> None:
        """Move the running statistics towards those of a batch with `count` values per channel."""
        self.num_batches_tracked.data = self.num_batches_tracked + 1
        share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        unbiased = variance.detach() * (count / (count - 1))
        for running, now in ((self.running_mean, mu.detach()), (self.running_var, unbiased)):
            running.data = running + (now.reshape(-1) - running) * share


class BatchNorm2d(BatchNorm1d):
    """BatchNorm1d for images. Shapes: (N, C, H, W) -> (N, C, H, W).

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.nn.BatchNorm2d(3)(np.random.default_rng(0).normal(size=(2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    _dimensions = (4,)
