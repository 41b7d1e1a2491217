"""Products of several matrices, in the order with the fewest multiplications."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...tensor.declaring import composite, sample
from ...tensor.handle import Tensor
from ..products import matmul


def _cheapest_split(lengths: tuple[int, ...]) -> Any:
    """Return a function that tells for matrices i to j the number of multiplications and where to split the product."""

    @functools.cache
    def best(i: int, j: int) -> tuple[int, int]:
        return min((cost(i, m) + cost(m + 1, j) + lengths[i] * lengths[m + 1] * lengths[j + 1], m) for m in range(i, j))

    def cost(i: int, j: int) -> int:
        return best(i, j)[0] if i < j else 0

    return best


@composite(numpy=[np.linalg.multi_dot], method=False)
def multi_dot(arrays: Sequence[Tensor]) -> Tensor:
    """Return the product of matrices, in the order with the fewest multiplications.

    The first may be a row vector, the last a column vector. Shapes: (m, k), (k, l), ..., (l, n) -> (m, n).
    """
    if len(arrays) < 2:
        raise ValueError("multi_dot needs at least two tensors")
    ends = {0: (1, -1), len(arrays) - 1: (-1, 1)}
    matrices = [x.reshape(ends[i]) if x.ndim == 1 and i in ends else x for i, x in enumerate(arrays)]
    if any(x.ndim != 2 for x in matrices):
        raise ValueError(f"multi_dot needs matrices, and vectors at the ends; got {[x.shape for x in arrays]}")
    best = _cheapest_split((*[len(x) for x in matrices], matrices[-1].shape[1]))

    def multiplied(i: int, j: int) -> Any:
        middle = best(i, j)[1] if i < j else i
        return matmul(multiplied(i, middle), multiplied(middle + 1, j)) if i < j else matrices[i]

    return multiplied(0, len(matrices) - 1).reshape(arrays[0].shape[:-1] + arrays[-1].shape[1:])


# Samples for tests: a tuple stands for random values of that shape.

multi_dot.samples = [
    sample([(2, 3), (3, 4)]), sample([(3,), (3, 2), (2, 4), (4,)]), sample([(2, 5), (5, 1), (1, 3)]),
    sample([(2, 0), (0, 3)]),
]  # fmt: skip
