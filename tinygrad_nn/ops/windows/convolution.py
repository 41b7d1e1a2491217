"""Convolution and its transpose over one to three spatial axes, in PyTorch's layout.

Take the product of x[n, c, w * stride + i * dilation - padding], weight[o, c, i] and z[n, o, w]. Two of the three,
summed over the indices that the third doesn't have, give the convolution, the transposed convolution, or the gradient
of the weight. So the derivatives of each of these operations are the other two.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ...engine.zero_safe import sum_of_products
from ...tensor.declaring import composite, primitive, sample
from ...tensor.handle import Tensor
from ..reduction import total
from .convolution_kernels import convolved, correlated, transposed
from .sliding import Windows, in_float32, per_axis, windows_over, with_batch, without_batch


@primitive(method=False, masks=True, name="convolution")
@in_float32
def _convolution(x: Any, weight: Any, bias: Any = None, /, windows: Any = None, groups: int = 1) -> Any:
    """Return the convolution. Shapes: (N, C, *lengths), (O, C / groups, *kernel), (O,) -> (N, O, *counts)."""
    y = convolved(x, weight, windows, groups)
    if bias is not None:
        bias = bias.reshape(-1, *(1,) * len(windows.kernel))
        y = np.add(y, bias, out=y if y.dtype == np.result_type(y, bias) else None)
    return y


@primitive(method=False, masks=True, name="transposed_convolution")
@in_float32
def _transposed(z: Any, weight: Any, /, windows: Any, lengths: Any, groups: int = 1) -> Any:
    """Return the convolution's transpose. Shapes: (N, O, *counts), (O, C / groups, *kernel) -> (N, C, *lengths)."""
    return transposed(z, weight, lengths, windows, groups)


@primitive(method=False, masks=True, name="convolution_weight")
@in_float32
def _weight(x: Any, z: Any, /, windows: Any, groups: int = 1) -> Any:
    """Return the weight's gradient. Shapes: (N, C, *lengths), (N, O, *counts) -> (O, C / groups, *kernel)."""
    return correlated(x, z, windows, groups)


_convolution.vjp(
    lambda g, weight, x_shape, windows, groups: _transposed.kernel(
        g, weight, windows=windows, lengths=x_shape[2:], groups=groups
    ),
    lambda g, x, windows, groups: _weight.kernel(x, g, windows=windows, groups=groups),
    lambda g, windows: total.kernel(g, axis=(0, *range(2, 2 + len(windows.kernel))), keepdims=False),
    zero_safe=sum_of_products,
)
_convolution.jvp(
    lambda t, weight, windows, groups: _convolution.kernel(t, weight, windows=windows, groups=groups),
    lambda t, x, windows, groups: _convolution.kernel(x, t, windows=windows, groups=groups),
    lambda t, windows: t.reshape(-1, *(1,) * len(windows.kernel)),
)
_transposed.vjp(
    lambda g, weight, windows, groups: _convolution.kernel(g, weight, windows=windows, groups=groups),
    lambda g, z, windows, groups: _weight.kernel(g, z, windows=windows, groups=groups),
    zero_safe=sum_of_products,
)
_weight.vjp(
    lambda g, z, x_shape, windows, groups: _transposed.kernel(
        z, g, windows=windows, lengths=x_shape[2:], groups=groups
    ),
    lambda g, x, windows, groups: _convolution.kernel(x, g, windows=windows, groups=groups),
    zero_safe=sum_of_products,
)
_weight.jvp(
    lambda t, z, windows, groups: _weight.kernel(t, z, windows=windows, groups=groups),
    lambda t, x, windows, groups: _weight.kernel(x, t, windows=windows, groups=groups),
)


def _channels(name: str, x: Tensor, weight: Tensor, bias: Any, groups: int, transposed: bool) -> None:
    """Raise ValueError if the shapes don't fit together."""
    first, second, *kernel = weight.shape if weight.ndim == x.ndim else (0, 0)
    takes, gives = (first, second * groups) if transposed else (second * groups, first)
    wanted = "(C, O / groups, *kernel)" if transposed else "(O, C / groups, *kernel)"
    if not kernel or 0 in kernel:
        axes = x.ndim - 2
        raise ValueError(f"{name} takes a weight of shape {wanted}, the kernel with {axes} axes, got {weight.shape}")
    if groups < 1 or first % groups:
        raise ValueError(f"{name}: groups={groups} must divide the first axis of the weight's shape {weight.shape}")
    if x.shape[1] != takes:
        raise ValueError(
            f"{name}: a weight of shape {weight.shape} with groups={groups} takes {takes} channels, the input has "
            f"{x.shape[1]}; the weight's shape is {wanted}"
        )
    if bias is not None and bias.shape != (gives,):
        raise ValueError(f"{name} takes a bias of shape ({gives},), one number for each channel of the result")


def pads_of(name: str, padding: Any, kernel: Any, stride: Any, dilation: Any) -> list[tuple[int, int]]:
    """Return the numbers of padding entries before and after each axis."""
    if padding == "same" and set(stride) == {1}:
        spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return [(span // 2, span - span // 2) for span in spans]
    if isinstance(padding, str) and padding != "valid":
        raise ValueError(
            f"{name}: padding must be numbers, 'valid', or with stride 1 'same', not {padding!r} with {stride}"
        )
    return [(p, p) for p in per_axis(0 if isinstance(padding, str) else padding, len(kernel), "padding", 0)]


def _convolutions(ndim: int) -> tuple[Any, Any]:
    """Return conv and conv_transpose over `ndim` spatial axes."""
    lengths, kernel = (5, 4, 3)[:ndim], (3, 2, 2)[:ndim]

    @composite(method=False, name=f"conv{ndim}d")
    def conv(
        input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:  # fmt: skip
        """Return the convolution in PyTorch's layout; the kernel is not mirrored.

        Shapes: (N, C, *lengths) or (C, *lengths), (O, C / groups, *kernel), (O,) -> (N, O, *lengths). Each length n
        becomes (n + 2p - d(k - 1) - 1) // s + 1, with the kernel's length k, stride s, padding p and dilation d. The
        padding is a number, one number per axis, "valid" (none), or "same". Raises ValueError if channels don't match,
        or if the kernel is longer than the padded input.
        """
        x = with_batch(conv.__name__, input, ndim)
        _channels(conv.__name__, x, weight, bias, groups, transposed=False)
        strides, dilations = per_axis(stride, ndim, "stride", 1), per_axis(dilation, ndim, "dilation", 1)
        pads = pads_of(conv.__name__, padding, weight.shape[2:], strides, dilations)
        windows = windows_over(x.shape[2:], weight.shape[2:], strides, pads, dilations)
        return without_batch(_convolution(x, weight, bias, windows=windows, groups=groups), input)

    conv.samples = [
        sample((2, 2, *lengths), (3, 2, *kernel), (3,)), sample((2, *lengths), (3, 2, *kernel), (3,), padding="same"),
        sample((1, 2, *lengths), (4, 1, *kernel), padding=1, stride=2, dilation=(1, 2, 2)[:ndim], groups=2),
        sample((0, 2, *lengths), (1, 2, *kernel)),
    ]  # fmt: skip

    @composite(method=False, name=f"conv_transpose{ndim}d")
    def conv_transpose(
        input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
    ) -> Tensor:  # fmt: skip
        """Return the transposed convolution, the operation of conv's gradient, in PyTorch's layout.

        Shapes: (N, C, *lengths) or (C, *lengths), (C, O / groups, *kernel), (O,) -> (N, O, *lengths). Each length n
        becomes (n - 1)s - 2p + d(k - 1) + 1 + q, with the kernel's length k, stride s, padding p, dilation d and output
        padding q. Raises ValueError if channels don't match or the result would be empty.
        """
        name = conv_transpose.__name__
        x = with_batch(name, input, ndim)
        _channels(name, x, weight, bias, groups, transposed=True)
        strides, dilations = per_axis(stride, ndim, "stride", 1), per_axis(dilation, ndim, "dilation", 1)
        pads, more = per_axis(padding, ndim, "padding", 0), per_axis(output_padding, ndim, "output_padding", 0)
        windows = Windows(weight.shape[2:], strides, pads, dilations, x.shape[2:])
        y = _transposed(x, weight, windows=windows, lengths=_unslid(name, windows, more), groups=groups)
        return without_batch(y if bias is None else y + bias.reshape(-1, *(1,) * ndim), input)

    conv_transpose.samples = [
        sample((2, 2, *lengths), (2, 3, *kernel), (3,)), sample((2, *lengths), (2, 3, *kernel), (3,), padding=1),
        sample((1, 2, *lengths), (2, 2, *kernel), stride=2, output_padding=1, dilation=(1, 2, 2)[:ndim], groups=2),
        sample((0, 2, *lengths), (2, 1, *kernel)),
    ]  # fmt: skip

    return conv, conv_transpose


def _unslid(name: str, windows: Windows, more: tuple[int, ...]) -> tuple[int, ...]:
    """Return the lengths that the windows slide over, with `more` at the end. Raises ValueError if one is below 1."""
    fields = list(zip(*windows, more, strict=True))
    if any(q >= max(s, d) for _, s, _, d, _, q in fields):
        raise ValueError(f"{name}: output_padding {more} must be less than the stride or the dilation; pad the result")
    lengths = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 + q for k, s, p, d, n, q in fields)
    if any(n < 1 for n in lengths):
        raise ValueError(f"{name}: padding {windows.padding} leaves a result of lengths {lengths}; give less padding")
    return lengths


_PAIRS = [_convolutions(ndim) for ndim in (1, 2, 3)]
conv1d: Final = _PAIRS[0][0]
conv2d: Final = _PAIRS[1][0]
conv_transpose2d: Final = _PAIRS[1][1]


# Samples for tests: a tuple stands for random values of that shape.

_SLID = Windows((3, 2), (2, 1), (1, 0), (1, 2), (3, 2))
_DENSE = Windows((2, 3), (1, 1), (1, 1), (1, 1), (5, 4))
_LINE = Windows((2,), (3,), (1,), (2,), (2,))
_POINT = Windows((1, 1), (2, 2), (0, 0), (1, 1), (1, 2))
_convolution.samples = [
    sample((2, 2, 5, 4), (3, 2, 3, 2), (3,), windows=_SLID), sample((1, 4, 4, 4), (1, 4, 2, 3), windows=_DENSE),
    sample((2, 4, 6), (6, 2, 2), (6,), windows=_LINE, groups=2), sample((0, 2, 2, 3), (3, 2, 1, 1), windows=_POINT),
    sample((2, 0, 2, 3), (3, 0, 1, 1), (3,), windows=_POINT), sample((1, 2, 2, 3), (0, 2, 1, 1), windows=_POINT),
]  # fmt: skip
_transposed.samples = [
    sample((2, 3, 3, 2), (3, 2, 3, 2), windows=_SLID, lengths=(5, 4)),
    sample((1, 1, 5, 4), (1, 4, 2, 3), windows=_DENSE, lengths=(4, 4)),
    sample((2, 6, 2), (6, 2, 2), windows=_LINE, lengths=(6,), groups=2),
    sample((0, 3, 1, 2), (3, 2, 1, 1), windows=_POINT, lengths=(2, 3)),
]  # fmt: skip
_weight.samples = [
    sample((2, 2, 5, 4), (2, 3, 3, 2), windows=_SLID), sample((1, 4, 4, 4), (1, 1, 5, 4), windows=_DENSE),
    sample((2, 4, 6), (2, 6, 2), windows=_LINE, groups=2), sample((0, 2, 2, 3), (0, 3, 1, 2), windows=_POINT),
]  # fmt: skip
