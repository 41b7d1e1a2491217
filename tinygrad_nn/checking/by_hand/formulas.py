"""The formula that an array was computed by, searched among those that a layer's backward pass is made of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]


def formulas(
    target: np.ndarray, gradients: Arrays, values: Arrays, m: int, same: Callable[[np.ndarray, np.ndarray], bool]
) -> Iterator[str]:
    """Yield each formula that gives `target`: of one of the gradients, one of the values perhaps, and `m`."""
    for text, candidate in _candidates(target.shape, gradients, values):
        for scaled, factor in ((text, 1.0), (f"{text} / m", 1 / m), (f"{text} * m", m)):
            if same(target, candidate * candidate.dtype.type(factor)):
                yield scaled
                break


def _candidates(shape: tuple[int, ...], gradients: Arrays, values: Arrays) -> Iterator[tuple[str, np.ndarray]]:
    for key, g in gradients.items():
        for axis, keep in itertools.product(range(g.ndim), (True, False)):
            total = g.sum(axis=axis, keepdims=keep)
            if total.shape == shape:
                yield f"{key}.sum(axis={axis}{', keepdims=True' if keep else ''})", total
                yield f"{key}.mean(axis={axis}{', keepdims=True' if keep else ''})", total / g.shape[axis]
        for name, value in values.items():
            yield from _products(shape, (key, g), (name, value))
            yield from _products(shape, (name, value), (key, g))
            if g.shape == value.shape == shape:
                yield f"{key} * {name}", g * value


def _products(
    shape: tuple[int, ...], left: tuple[str, np.ndarray], right: tuple[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    for (name_a, a), (name_b, b) in itertools.product(_both_ways(*left), _both_ways(*right)):
        if a.ndim and b.ndim and a.shape[-1] == b.shape[0] and (*a.shape[:-1], *b.shape[1:]) == shape:
            yield f"{name_a} @ {name_b}", a @ b


def _both_ways(name: str, array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    if array.ndim <= 2:
        yield name, array
    if array.ndim == 2:
        yield f"{name}.T", array.T
