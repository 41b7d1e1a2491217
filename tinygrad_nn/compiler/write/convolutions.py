"""Convolutions as people write them: what the library computes in its own, faster way is a sum over windows."""

from __future__ import annotations

SHARED = '''def seen(x, windows):
    """Return what each window sees of x, 0 outside. Shapes: (N, C, *lengths) -> (N, C, windows, entries of one)."""
    for axis, (k, s, p, d, n) in enumerate(zip(*windows), start=2):
        at = np.arange(n)[:, None] * s + np.arange(k) * d - p
        inside = (at >= 0) & (at < x.shape[axis])
        x = np.moveaxis(np.take(x, np.where(inside, at, 0), axis), axis + 1, -1)
        x = np.where(inside.reshape(n, *[1] * (x.ndim - axis - 2), k), x, 0)
    return x.reshape(*x.shape[:2], math.prod(windows[4]), math.prod(windows[0]))


def grouped(x, groups):
    """Return the channels in groups. Shapes: (N, C, ...) -> (N, groups, C / groups, ...)."""
    return x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:])
'''
TEXTS = {
    "convolution": '''
def convolution(x, weight, bias=None, *, windows, groups=1):
    """Return the convolution; `windows` are the kernel's lengths, strides, padding, dilations, and how many fit."""
    w = weight.reshape(groups, len(weight) // groups, weight.shape[1], math.prod(windows[0]))
    y = np.einsum("ngcwk,gock->ngow", grouped(seen(x, windows), groups), w)
    y = y.reshape(len(x), len(weight), *windows[4])
    return y if bias is None else y + bias.reshape(-1, *[1] * len(windows[0]))
''',
    "transposed_convolution": '''
def transposed_convolution(z, weight, *, windows, lengths, groups=1):
    """Return the adjoint of the convolution's input, given z, that of its result."""
    w = weight.reshape(groups, len(weight) // groups, weight.shape[1], math.prod(windows[0]))
    z = grouped(z.reshape(len(z), len(weight), math.prod(windows[4])), groups)
    y = np.einsum("ngow,gock->ngcwk", z, w)
    y = y.reshape(len(z), groups * weight.shape[1], math.prod(y.shape[3:]))
    size = math.prod(lengths)
    where = seen(np.arange(1, size + 1).reshape(1, 1, *lengths), windows)  # 0 is outside
    x = np.zeros((*y.shape[:2], size + 1), y.dtype)
    np.add.at(x, np.s_[..., where.ravel()], y)
    return x[..., 1:].reshape(*y.shape[:2], *lengths)
''',
    "convolution_weight": '''
def convolution_weight(x, z, *, windows, groups=1):
    """Return the adjoint of the convolution's weight, given z, that of its result."""
    z = grouped(z.reshape(*z.shape[:2], math.prod(windows[4])), groups)
    w = np.einsum("ngcwk,ngow->gock", grouped(seen(x, windows), groups), z)
    return w.reshape(groups * w.shape[1], w.shape[2], *windows[0])
''',
}
