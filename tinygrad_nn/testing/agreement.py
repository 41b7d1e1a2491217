"""A function of Tensors held against one of arrays, cheap enough for each example that Hypothesis draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..checking.directions import signed
from ..ops.reduction import sum as total
from ..tensor.handle import Tensor
from ..transforms import autograd
from .case import listed
from .numerical import extrapolated, slopes

Function = Callable[..., Any]


def check_agreement(
    function: Function, reference: Function, arrays: Sequence[Any], exact: bool = True, step: float = 1e-3
) -> None:
    """Hold values against the reference's, and every entry of every gradient against its central differences.

    The second derivative is held against differences of first derivatives, along one direction. The values
    are to be equal, or unless `exact` close. Either function may return one result or several. All arrays
    are floating. Raises AssertionError.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.testing.check_agreement(lambda x, y: x.T * y, lambda x, y: x.T * y, [np.eye(3), np.ones((3, 3))])
    """
    rng = np.random.default_rng(0)
    outputs = listed(function(*[Tensor(x, requires_grad=True) for x in arrays]))
    expected = [np.asarray(y) for y in listed(reference(*arrays))]
    shapes = [y.shape for y in outputs], [y.shape for y in expected]
    assert shapes[0] == shapes[1], f"the results have shapes {shapes[0]}, the reference's {shapes[1]}"
    for y, e in zip(outputs, expected):
        same = np.array_equal(y.data, e) if exact else np.allclose(y.data, e, rtol=1e-13, atol=1e-13)
        assert same, f"{y.data} is not the reference's {e}"
    seeds = [signed(rng, y.shape) for y in outputs]

    def weighed(moved: Sequence[Any]) -> float:
        return math.fsum(float(np.sum(u * y)) for u, y in zip(seeds, listed(reference(*moved))))

    for position, (x, g) in enumerate(zip(arrays, _gradients(function, arrays, seeds))):
        assert (g.shape, g.dtype) == (x.shape, x.dtype), f"the gradient of input {position} is {g.dtype}{g.shape}"
        found = slopes(weighed, arrays, position, step).central
        right = np.allclose(g, found, rtol=1e-8, atol=1e-8)
        assert right, f"the gradient of input {position} is {g}, by central differences {found}"
    _check_second_order(function, arrays, seeds, [signed(rng, x.shape) for x in arrays], step)


def _gradients(function: Function, arrays: Sequence[Any], seeds: Sequence[Any]) -> list[Any]:
    inputs = [Tensor(x, requires_grad=True) for x in arrays]
    return [g.data for g in autograd.grad(listed(function(*inputs)), inputs, seeds)]


def _check_second_order(
    function: Function, arrays: Sequence[Any], seeds: Sequence[Any], along: Sequence[Any], step: float
) -> None:
    inputs = [Tensor(x, requires_grad=True) for x in arrays]
    cotangents = [Tensor(u, requires_grad=True) for u in seeds]
    first = autograd.grad(listed(function(*inputs)), inputs, cotangents, create_graph=True)
    inner = [total(g * v) for g, v in zip(first, along)]
    second = autograd.grad(inner, inputs, allow_unused=True)

    def moved(by: float) -> list[Any]:
        return _gradients(function, [x + by * v for x, v in zip(arrays, along)], seeds)

    points = zip(moved(step), moved(-step), moved(step / 2), moved(-step / 2))
    for position, (g, values) in enumerate(zip(second, points)):
        expected, data = extrapolated(*values, step), 0 if g is None else g.data
        right = np.allclose(data, expected, rtol=1e-7, atol=1e-7) and (g is None or g.shape == arrays[position].shape)
        assert right, f"the second order of input {position} is {data}, by differences of gradients {expected}"
