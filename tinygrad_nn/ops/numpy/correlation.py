"""NumPy's convolution and correlation of two sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...engine.zero_safe import sum_of_products
from ...tensor.creation import as_tensor
from ...tensor.declaring import composite, primitive, sample
from ...tensor.handle import Tensor


@primitive(method=False, name="full_convolution")
def _full(a: Any, v: Any, /) -> Any:
    """Return the sums of a[i] v[k - i] over i, for all k with at least one term. Shapes: (n,), (m,) -> (n + m - 1,)."""
    return np.convolve(a, v)


@primitive(method=False, name="valid_correlation")
def _valid(a: Any, v: Any, /) -> Any:
    """Return the sums of a[i + k] v[i] over all i. Shapes: (n,), (m,) with n >= m -> (n - m + 1,)."""
    return np.convolve(a, np.flip(v), "valid")


_full.vjp(lambda g, v: _valid.kernel(g, v), lambda g, a: _valid.kernel(g, a), zero_safe=sum_of_products)
_full.jvp(lambda t, v: _full.kernel(t, v), lambda t, a: _full.kernel(a, t))
_valid.vjp(lambda g, v: _full.kernel(g, v), lambda g, a: _valid.kernel(a, g), zero_safe=sum_of_products)
_valid.jvp(lambda t, v: _valid.kernel(t, v), lambda t, a: _valid.kernel(a, t))


def _sequence(x: Tensor, name: str, least: int) -> Tensor:
    """Return a vector of numbers. Raises ValueError for more than one axis, fewer than `least`, or no numbers."""
    if not least <= x.ndim <= 1 or not x.size:
        raise ValueError(f"{name} takes two sequences of at least one number, got shape {x.shape}; t.ravel() is one")
    return x if x.ndim else x.reshape(1)


@composite(numpy=[np.correlate], method=False)
def correlate(a: Tensor, v: Tensor, mode: str = "valid") -> Any:
    """Return the sums of a[i + k] v[i] over i, for ascending k; "full", "same" or "valid" says for which k.

    Shapes: (n,), (m,) -> (n + m - 1,) for all k with at least one term, (max(n, m),) for the middle ones, and
    (|n - m| + 1,) for those where the shorter sequence lies inside the longer.
    """
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"mode must be 'full', 'same' or 'valid', not {mode!r}")
    a, v = _sequence(a, "correlate", 1), _sequence(v, "correlate", 1)
    if v.dtype.kind == "c":
        v = as_tensor(np.conj(v.data))
    if mode == "valid":
        return _valid(a, v) if a.size >= v.size else _valid(v, a)[::-1]
    y = _full(a, v[::-1])
    first = (v.size - 1) // 2 if a.size >= v.size else a.size // 2
    return y if mode == "full" else y[first : first + max(a.size, v.size)]


@composite(numpy=[np.convolve], method=False)
def convolve(a: Tensor, v: Tensor, mode: str = "full") -> Any:
    """Return the sums of a[i] v[k - i] over i, for the same k as correlate. Shapes: (n,), (m,) -> as correlate's."""
    a, v = _sequence(a, "convolve", 0), _sequence(v, "convolve", 0)
    if v.size > a.size:
        a, v = v, a
    return correlate(a, (v if v.dtype.kind != "c" else as_tensor(np.conj(v.data)))[::-1], mode)


# Samples for tests: a tuple stands for random values of that shape.

_full.samples = [sample((4,), (3,)), sample((1,), (3,)), sample((), (2,))]
_valid.samples = [sample((5,), (3,)), sample((3,), (3,)), sample((), ())]
_LONG = [sample((5,), (3,), mode=mode) for mode in ("full", "same", "valid")]
_SHORT = [sample((2,), (5,), mode=mode) for mode in ("full", "same", "valid")]
correlate.samples = [*_LONG, *_SHORT, sample((4,), (4,))]
convolve.samples = [*_LONG, *_SHORT, sample((4,), (4,)), sample((), (3,))]
