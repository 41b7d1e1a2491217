"""Layers that take the largest entry, or the mean, of windows, in PyTorch's layout (N, C, *lengths)."""

from __future__ import annotations

from typing import Any, ClassVar

from ..ops.joining import concatenate
from ..ops.windows.pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from ..tensor.creation import as_tensor
from .module import Module


class MaxPool1d(Module):
    """The largest entry of each window; k tied ones share the gradient. Shapes: (N, C, L) -> (N, C, L').

    L' = (L + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1, the stride being kernel_size unless given.

    >>> MaxPool1d(2)([[[1.0, 3.0, 2.0, 0.0]]]).tolist()
    [[[3.0, 2.0]]]
    """

    _function: ClassVar[Any] = staticmethod(max_pool1d)

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> None:
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def forward(self, x: Any) -> Any:
        """Return the largest entries. Shapes: (N, C, *lengths) -> (N, C, *lengths)."""
        return self._function(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)


class MaxPool2d(MaxPool1d):
    """MaxPool1d over both axes of images; a setting is a number or a pair. Shapes: (N, C, H, W) -> (N, C, H', W').

    >>> MaxPool2d(2)([[[[1.0, 2.0], [3.0, 5.0]]]]).tolist()
    [[[[5.0]]]]
    """

    _function = staticmethod(max_pool2d)


class AvgPool1d(Module):
    """The mean of each window, the padding being zeros or not counted. Shapes: (N, C, L) -> (N, C, L').

    L' = (L + 2 padding - kernel_size) // stride + 1, the stride being kernel_size unless given.

    >>> AvgPool1d(2)([[[1.0, 3.0, 2.0, 0.0]]]).tolist()
    [[[2.0, 1.0]]]
    """

    _function: ClassVar[Any] = staticmethod(avg_pool1d)

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:  # fmt: skip
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Any) -> Any:
        """Return the means. Shapes: (N, C, *lengths) -> (N, C, *lengths)."""
        return self._function(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(AvgPool1d):
    """AvgPool1d over both axes of images; a setting is a number or a pair. Shapes: (N, C, H, W) -> (N, C, H', W').

    >>> AvgPool2d(2)([[[[1.0, 2.0], [3.0, 5.0]]]]).tolist()
    [[[[2.75]]]]
    """

    _function = staticmethod(avg_pool2d)


class AdaptiveAvgPool2d(Module):
    """Means over windows such that the output has output_size. Shapes: (..., H, W) -> (..., *output_size).

    Of n entries window i of k has those from ⌊i n / k⌋ to ⌈(i + 1) n / k⌉. A size is a number for both axes, or a
    pair, in which None keeps the length.

    >>> AdaptiveAvgPool2d((1, None))([[[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]]).tolist()
    [[[[1.5, 2.5, 3.5]]]]
    """

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        """Return the means. Shapes: (..., H, W) -> (..., *output_size)."""
        x = as_tensor(x)
        sizes = self.output_size if isinstance(self.output_size, (tuple, list)) else (self.output_size,) * 2
        for axis, k in zip((-2, -1), sizes, strict=True):
            if k is not None:
                n, behind = x.shape[axis], (slice(None),) * (-1 - axis)
                windows = [slice(i * n // k, -(-(i + 1) * n // k)) for i in range(k)]
                x = concatenate([x[(..., w, *behind)].mean(axis=axis, keepdims=True) for w in windows], axis=axis)
        return x
