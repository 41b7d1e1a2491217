"""Layers for signals and images: convolutions, in PyTorch's layout (N, C, *lengths)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops.numpy.padding import pad
from ..ops.settings import one_of
from ..ops.windows.convolution import conv1d, conv2d, conv_transpose2d, pads_of
from ..ops.windows.sliding import per_axis
from ..tensor.creation import as_tensor
from ..tensor.handle import Tensor
from .layers import Affine, of_windows, unset

_PADDING_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
_MODE = {"padding_mode": one_of(*_PADDING_MODES)}
_PADDING = ["same", "valid"]


class Conv1d(Affine, settings=of_windows(1, padding=_PADDING) | _MODE, fixed=["kernel_size"]):
    """Convolution, without flipping the kernel. Shapes: (N, in_channels, L) -> (N, out_channels, L').

    L' = (L + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1; padding is a number, "valid" or "same". It pads
    with zeros or, by `padding_mode`, with the signal's own entries: "reflect", "replicate" or "circular".
    The weight is (out_channels, in_channels / groups, kernel_size), the bias (out_channels,) or None; both start
    uniform in ±1 / √fan_in, fan_in = in_channels / groups · kernel_size.
    Source: LeCun et al., Gradient-based learning applied to document recognition (1998).

    >>> import tinygrad_nn as tg
    >>> tg.nn.Conv1d(2, 4, 3, padding="same", seed=0)(tg.ones((1, 2, 5))).shape
    (1, 4, 5)
    """

    padding_mode: str = "zeros"  # set on an instance only if it differs
    _axes, _function, _transposed = 1, staticmethod(conv1d), False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", *, dtype: Any = np.float64,
        seed: Any = None,
    ) -> None:  # fmt: skip
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"groups={groups} must divide {in_channels=} and {out_channels=}")
        self.in_channels: int = in_channels
        self.out_channels: int = out_channels
        self.kernel_size: tuple[int, ...] = per_axis(kernel_size, self._axes, "kernel_size", 1)
        self.stride: Any = stride
        self.padding: Any = padding
        self.dilation: Any = dilation
        self.groups: int = groups
        if padding_mode != "zeros":
            self.padding_mode = padding_mode
        first, second = (in_channels, out_channels) if self._transposed else (out_channels, in_channels)
        self.weight: Tensor = unset(first, second // groups, *self.kernel_size, dtype=dtype)
        self.bias: Tensor | None = unset(out_channels, dtype=dtype) if bias else None
        self.reset_parameters(seed)

    def forward(self, x: Any) -> Any:
        """Return the convolution. Shapes: (N, in_channels, *lengths) -> (N, out_channels, *lengths)."""
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = self._padded(as_tensor(x)), 0
        return self._function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _padded(self, x: Tensor) -> Any:
        """Return the input padded with its own entries. Shapes: (..., *lengths) -> (..., *longer)."""
        stride, dilation = (per_axis(n, self._axes, "stride and dilation", 1) for n in (self.stride, self.dilation))
        pads = pads_of(type(self).__name__, self.padding, self.kernel_size, stride, dilation)
        return pad(x, [(0, 0)] * (x.ndim - self._axes) + pads, _PADDING_MODES[self.padding_mode])


class Conv2d(Conv1d, settings=of_windows(2, padding=_PADDING)):
    """Conv1d over both axes of images; each setting is a number for both axes, or a pair.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H', W').

    >>> import tinygrad_nn as tg
    >>> tg.nn.Conv2d(3, 4, (3, 5), stride=2, seed=0)(tg.ones((1, 3, 9, 9))).shape
    (1, 4, 4, 3)
    """

    _axes, _function = 2, staticmethod(conv2d)


class ConvTranspose2d(Conv1d, settings=of_windows(2)):
    """Transposed convolution: the map that Conv2d's gradient applies to a cotangent.

    Shapes: (N, in_channels, H, W) -> (N, out_channels, H', W'), and for each length
    H' = (H - 1) stride - 2 padding + dilation (kernel_size - 1) + 1 + output_padding. The weight is
    (in_channels, out_channels / groups, *kernel_size); it starts as in Conv2d, where fan_in is out_channels / groups
    times the kernel's size. Source: Zeiler et al., Deconvolutional networks (2010).

    >>> import tinygrad_nn as tg
    >>> tg.nn.ConvTranspose2d(3, 2, 2, stride=2, seed=0)(tg.ones((1, 3, 4, 4))).shape
    (1, 2, 8, 8)
    """

    _axes, _transposed = 2, True

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, bias: bool = True, dilation: Any = 1, *,
        dtype: Any = np.float64, seed: Any = None,
    ) -> None:  # fmt: skip
        own = {"dilation": dilation, "groups": groups, "bias": bias, "dtype": dtype, "seed": seed}
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, **own)
        self.output_padding = output_padding

    def forward(self, x: Any) -> Any:
        """Return the transposed convolution. Shapes: (N, in_channels, H, W) -> (N, out_channels, H', W')."""
        settings = self.stride, self.padding, self.output_padding, self.groups, self.dilation
        return conv_transpose2d(x, self.weight, self.bias, *settings)
