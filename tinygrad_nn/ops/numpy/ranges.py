"""Numbers from one end point to another, in equal steps or equal ratios."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ...tensor.creation import as_tensor, named
from ...tensor.declaring import composite, sample
from ..broadcasting import broadcast_to
from ..elementwise import log10
from ..shaping import moveaxis


@composite(numpy=[np.linspace], method=False)
def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
    axis: int = 0, *, requires_grad: bool = False, name: str | None = None,
) -> Any:  # fmt: skip
    """Return `num` numbers from start to stop in equal steps; with `endpoint`, the last is stop itself.

    They lie along a new axis: (...), (...) -> (num, ...). With `retstep`, the step is returned, too. The result is
    recorded if an end point requires grad; `requires_grad` makes it a new leaf, as in other creation functions.
    """
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"linspace takes a number of values from 0 on, not {num}")
    start, stop = _ends(start, stop)
    delta = stop - start
    parts = num - 1 if endpoint else num
    step = delta / parts if parts > 0 else delta * np.nan
    y = np.arange(num, dtype=delta.dtype).reshape(-1, *(1,) * delta.ndim) * (step if parts > 0 else delta) + start
    if endpoint and num > 1:
        y[-1] = stop
    y = moveaxis(y, 0, axis)
    if dtype is not None:
        y = (np.floor(y) if np.dtype(dtype).kind in "iu" else y).astype(dtype)
    y = named(y, requires_grad, name)
    return (y, step) if retstep else y


def _ends(*ends: Any) -> list[Any]:
    """Return the end points as floating tensors of one dtype; Python numbers take that of the other."""
    dtype = np.result_type(*[x if isinstance(x, (int, float)) else as_tensor(x).data for x in ends], 1.0)
    return [as_tensor(x, dtype) for x in ends]


@composite(numpy=[np.logspace], method=False)
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    """Return the base to the power of `num` numbers from start to stop in equal steps, along a new axis.

    Shapes: (...), (...) -> (num, ...); a base with several numbers broadcasts with the end points.
    """
    start, stop = _ends(start, stop)
    shape = np.broadcast_shapes(start.shape, stop.shape, np.shape(base))
    y = moveaxis(base ** linspace(broadcast_to(start, shape), stop, num, endpoint), 0, axis)
    return y if dtype is None else y.astype(dtype)


@composite(numpy=[np.geomspace], method=False)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """Return `num` numbers from start to stop in equal ratios, along a new axis: (...), (...) -> (num, ...).

    Raises ValueError if start and stop don't have the same sign. Complex numbers turn on a spiral.
    """
    start, stop = _ends(start, stop)
    sign = np.sign(start.data)
    signs = sign * np.sign(stop.data)
    if not np.all(signs if signs.dtype.kind == "c" else signs > 0):
        raise ValueError("a geometric sequence must go between two numbers of the same sign, neither of them 0")
    y = sign * logspace(log10(start / sign), log10(stop / sign), num, endpoint)
    if len(y):
        y[0] = start
    if endpoint and len(y) > 1:
        y[-1] = stop
    y = moveaxis(y, 0, axis)
    return y if dtype is None else y.astype(dtype)


# Samples for tests: a tuple stands for random values of that shape.

_ENDS = [
    sample((), (), num=5), sample((2, 1), (3,), num=4, axis=-1), sample((2,), 1.5, num=3, endpoint=False),
    sample((3,), (), num=1), sample((), (2,), num=0), sample((0,), (0,), num=3),
]  # fmt: skip
linspace.samples = [*_ENDS, sample((), (), num=4, retstep=True)]
logspace.samples = [
    *_ENDS, sample((2,), (), num=3, base=2.0, axis=1), sample((), (), 3, True, np.array([2.0, 3.0])),
    sample((), (2, 1), 2, False, np.array([2.0, 0.5]), axis=-1),
]  # fmt: skip
_ABOVE_0 = np.array([0.5, 2.0])
geomspace.samples = [
    sample(np.array(0.5), 3.0, num=4), sample(_ABOVE_0, np.array([[3.0], [0.25]]), num=3, axis=-1),
    sample(-_ABOVE_0, -0.75, num=4, endpoint=False), sample(_ABOVE_0, 1.0, num=1), sample((0,), (0,), num=2),
]  # fmt: skip
