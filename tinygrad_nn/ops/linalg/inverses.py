"""Linear systems, inverses and powers of matrices in the last two axes."""

from __future__ import annotations

import math
import operator
from typing import Any, Final

import numpy as np

from ... import errors
from ...engine.arrays import raw
from ...tensor.declaring import composite, primitive, sample
from ...tensor.handle import Tensor
from ..elementwise import positive
from ..products import matmul
from ..sample_arrays import REGULAR
from ..selection import where
from ..shaping import moveaxis


def zero_matrices(g: Any) -> Any:
    """Return where the cotangents of a whole matrix are 0. Shapes: (..., m, n) -> (..., 1, 1)."""
    return (g == 0).all(axis=(-2, -1), keepdims=True)


def zero_vectors(g: Any) -> Any:
    """Return where the cotangents of a whole vector are 0, to mask its matrix. Shapes: (..., n) -> (..., 1, 1)."""
    return (g == 0).all(axis=-1)[..., None, None]


@primitive(name="linear_solution", method=False)
def _solve(a: Any, b: Any, /) -> Any:
    """Return the solutions of linear systems, a column for each. Shapes: (..., n, n), (..., n, k) -> (..., n, k)."""
    return np.linalg.solve(a, b)


def _by_columns(rule: Any, g: Any, saved: Any, c: Any) -> Any:
    """Return the cotangent by a rule that reads `y`; columns of y whose cotangents are 0 are taken as 0."""
    a, b, y, *more = saved
    unused = (raw(g) == 0).all(axis=-2, keepdims=True)
    c = rule.pull(g, (a, b, None if y is None else np.where(unused, 0, y), *more))
    return np.where(unused.all(axis=-1, keepdims=True), 0, c)


_solve.vjp(
    lambda g, a, y: -np.linalg.solve(a.mT, g) @ y.mT, lambda g, a: np.linalg.solve(a.mT, g), zero_safe=_by_columns
)


@primitive(name="solution_unless_zero", method=False)
def _solved(a: Any, b: Any, /, of: str = "this") -> Any:
    """Return the solution of `a @ x = b` as rules need it: 0 where b is 0, even if the matrix is singular.

    Raises GradientError for other singular matrices; it says what has no derivative: `of`.
    """
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        unused = zero_matrices(b) & (np.linalg.slogdet(a).sign == 0)[..., None, None]
    try:
        return np.where(unused, 0, np.linalg.solve(np.where(unused, np.eye(a.shape[-1], dtype=a.dtype), a), b))
    except np.linalg.LinAlgError as error:
        raise errors.GradientError(
            f"{of} has no derivative: the matrix is singular; add a small multiple of tg.eye(n) to it"
        ) from error


solved: Final = _solved.kernel
_solved.vjp(
    lambda g, a, y, of: -solved(a.mT, g, of=of) @ y.mT, lambda g, a, of: solved(a.mT, g, of=of), zero_safe=_by_columns
)


@composite(numpy=[np.linalg.solve], method=False)
def solve(a: Tensor, b: Tensor) -> Any:
    """Return the solution of `a @ x = b`. Shapes: (..., n, n), (..., n, k) -> (..., n, k).

    Only a 1-d `b` counts as a vector: (..., n, n), (n,) -> (..., n). Raises LinAlgError for a singular matrix.
    """
    return _solve(a, b.reshape(b.size, 1)).squeeze(-1) if b.ndim == 1 else _solve(a, b)


@primitive(numpy=[np.linalg.inv], method=False)
def inv(a: Any, /) -> Any:
    """Return the inverses. Shapes: (..., n, n) -> (..., n, n). Raises LinAlgError for a singular matrix."""
    return np.linalg.inv(a)


inv.vjp(lambda g, y: -(y.mT @ g @ y.mT), zero_where=zero_matrices)


@composite(numpy=[np.linalg.tensorsolve], method=False)
def tensorsolve(a: Tensor, b: Tensor, axes: Any = None) -> Any:
    """Return x for which `tensordot(a, x, x.ndim)` is b; first, `axes` of `a` are moved to its end."""
    if axes is not None:
        a = moveaxis(a, axes, range(a.ndim - len(axes), a.ndim))
    shape = a.shape[b.ndim :]
    if math.prod(shape) != b.size:
        raise ValueError(f"tensorsolve needs as many equations as unknowns, not shapes {a.shape} and {b.shape}")
    return solve(a.reshape(b.size, b.size), b.ravel()).reshape(shape)


@composite(numpy=[np.linalg.tensorinv], method=False)
def tensorinv(a: Tensor, ind: int = 2) -> Any:
    """Return the inverse of `tensordot` with `a`, whose first `ind` axes are those of the product."""
    if not 0 < ind <= a.ndim:
        raise ValueError(f"tensorinv needs ind from 1 to the number of axes, got {ind} and shape {a.shape}")
    first, last = a.shape[:ind], a.shape[ind:]
    return inv(a.reshape(math.prod(first), math.prod(last))).reshape((*last, *first))


@composite(numpy=[np.linalg.matrix_power], method=False)
def matrix_power(a: Tensor, n: Any) -> Any:
    """Return the n-th power of square matrices; for a negative n, of their inverses. (..., m, m) -> (..., m, m)."""
    times = operator.index(n)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"matrix_power needs matrices that must be square, got shape {a.shape}")
    if times == 0:
        return where(True, np.eye(a.shape[-1], dtype=a.dtype), a)
    square, times, power = inv(a) if times < 0 else positive(a), abs(times), None
    while True:
        times, odd = divmod(times, 2)
        if odd:
            power = square if power is None else matmul(power, square)
        if not times:
            return power
        square = matmul(square, square)


# Samples for tests: a tuple stands for random values of that shape.

_BATCH = np.stack([REGULAR[:2, :2], REGULAR[1:, 1:], [[0.2, 1.5], [-1.1, 0.4]]])
_solve.samples = [
    sample(REGULAR, (3, 2)), sample(_BATCH, (2, 1)), sample(REGULAR, (2, 3, 1)), sample((0, 0), (0, 2)),
    sample(REGULAR, (3, 0)),
]  # fmt: skip
_solved.samples = [sample(REGULAR, (3, 2)), sample(_BATCH, (2, 1)), sample((0, 0), (0, 2))]
solve.samples = [
    sample(REGULAR, (3,)), sample(REGULAR, (3, 2)), sample(_BATCH, (2,)), sample(_BATCH, (2, 1, 2, 1)),
    sample((0, 0), (0,)),
]  # fmt: skip
inv.samples = [sample(REGULAR), sample(_BATCH), sample((0, 0))]
tensorsolve.samples = [
    sample(np.eye(6).reshape(2, 3, 6) - 0.1, (2, 3)), sample((0, 0), (0,)), sample(np.array(0.7), ()),
    sample(REGULAR, (3,), axes=(0,)),
]  # fmt: skip
tensorinv.samples = [sample(np.eye(6).reshape(2, 3, 6) - 0.1), sample(REGULAR, ind=1)]
matrix_power.samples = [
    sample(REGULAR, n=3), sample(_BATCH, n=-2), sample(REGULAR, n=0), sample(REGULAR, n=1), sample((0, 0), n=2),
    sample((2, 2, 2), n=7),
]  # fmt: skip
