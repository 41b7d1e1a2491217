"""Products, linear algebra and polynomials by their definitions: what the operations are held against.

Systems of equations are solved in fractions, without rounding errors; factors of matrices are SciPy's.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.linalg
import scipy.special
from by_folds import UNSET, added, axes_of, each_pair, fold, largest, smallest, wide

Array = Any
Rows = list[list[Fraction]]

# ---- products ----


def einsum(*operands: Any, **ignored: Any) -> Array:
    """Return the sum over each letter's values of the product of the entries."""
    text, *given = operands if isinstance(operands[0], str) else (spelled(operands), *operands[:-1:2], *operands[-1:])
    given = given[: text.split("->")[0].count(",") + 1]
    arrays = [wide(x) for x in given]
    left, arrow, out = text.replace(" ", "").partition("->")
    words = [spread(word, x.ndim) for word, x in zip(left.split(","), arrays)]
    batch = max(([c for c in word if c.isdigit()] for word in words), key=len)
    letters = sorted({c for word in words for c in word if not c.isdigit()})
    once = [c for c in letters if sum(word.count(c) for word in words) == 1]
    result = [*batch, *once] if not arrow else [p for c in out.replace("...", ".") for p in (batch if c == "." else c)]
    lengths: dict[str, int] = {}
    for word, x in zip(words, arrays):
        for c, n in zip(word, x.shape):
            lengths[c] = n if lengths.get(c, 1) == 1 else lengths[c]
    y = summed_products(arrays, words, result, lengths)
    return y.astype(bool) if all(np.asarray(x).dtype == bool for x in given) else y


def spelled(operands: Sequence[Any]) -> str:
    """Return the text of a call by lists of numbers."""

    def word(axes: Any) -> str:
        return "".join("..." if a is Ellipsis else chr(ord("A") + a) for a in axes)

    text = ",".join(map(word, operands[1 : len(operands) // 2 * 2 : 2]))
    return f"{text}->{word(operands[-1])}" if len(operands) % 2 else text


def spread(word: str, ndim: int) -> list[str]:
    """Return a name for each axis: of an ellipsis the numbers of the axes, counted from the last."""
    left, dots, right = word.partition("...")
    more = ndim - len(left) - len(right) if dots else 0
    return [*left, *[str(k) for k in reversed(range(more))], *right]


def summed_products(arrays: list[Array], words: list[list[str]], result: list[str], lengths: dict[str, int]) -> Array:
    others = [c for c in lengths if c not in result]
    y = np.zeros([lengths[c] for c in result], np.result_type(*arrays))
    for place in np.ndindex(*y.shape):
        at = dict(zip(result, place))
        products = []
        for rest in itertools.product(*[range(lengths[c]) for c in others]):
            at |= dict(zip(others, rest))
            entries = [x[tuple(at[c] if n > 1 else 0 for c, n in zip(w, x.shape))] for w, x in zip(words, arrays)]
            products.append(functools.reduce(np.multiply, entries))
        y[place] = added(products) if products else 0
    return y


def matmul(a: Any, b: Any) -> Array:
    left, right = ("j" if np.ndim(a) == 1 else "...ij"), ("j" if np.ndim(b) == 1 else "...jk")
    return einsum(f"{left},{right}->...{'i' * (np.ndim(a) > 1)}{'k' * (np.ndim(b) > 1)}", a, b)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Array:
    a, b = np.asarray(a), np.asarray(b)
    of_a, of_b = (range(a.ndim - axes, a.ndim), range(axes)) if isinstance(axes, int) else map(np.atleast_1d, axes)
    letters = [chr(ord("a") + k) for k in range(a.ndim + b.ndim)]
    left, right = letters[: a.ndim], letters[a.ndim :]
    for i, j in zip(of_a, of_b):
        right[j] = left[i]
    kept = [c for c in left + right if (c in left) != (c in right)]
    return einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", a, b)


def dot(a: Any, b: Any, out: Any = None) -> Array:
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim == 0 or b.ndim == 0:
        return np.multiply(a, b)
    return tensordot(a, b, ([-1], [max(b.ndim - 2, 0)]))


def inner(a: Any, b: Any) -> Array:
    return np.multiply(a, b) if np.ndim(a) == 0 or np.ndim(b) == 0 else tensordot(a, b, ([-1], [-1]))


def vdot(a: Any, b: Any) -> Array:
    return einsum("i,i->", np.ravel(np.conj(a)), np.ravel(b))


def outer(a: Any, b: Any, out: Any = None) -> Array:
    return each_pair(np.multiply, np.ravel(a), np.ravel(b))


def kron(a: Any, b: Any) -> Array:
    a, b = np.asarray(a), np.asarray(b)
    n = max(a.ndim, b.ndim)
    a, b = (x.reshape((1,) * (n - x.ndim) + x.shape) for x in (a, b))
    y = each_pair(np.multiply, a, b).transpose([k for d in range(n) for k in (d, d + n)])
    return y.reshape([p * q for p, q in zip(a.shape, b.shape)])


def vecdot(a: Any, b: Any, axis: int = -1, **ignored: Any) -> Array:
    return einsum("...i,...i->...", np.conj(np.moveaxis(a, axis, -1)), np.moveaxis(b, axis, -1))


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None) -> Array:
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis,) * 3
    left, right = list(np.moveaxis(a, axisa, 0)), list(np.moveaxis(b, axisb, 0))
    (u, v, w), (p, q, r) = (x if len(x) == 3 else [*x, 0.0 * x[0]] for x in (left, right))
    if len(left) == len(right) == 2:
        return u * q - v * p
    return np.moveaxis(np.array([v * r - w * q, w * p - u * r, u * q - v * p]), 0, axisc)


# ---- systems of equations, in fractions ----


def matrices(*arrays: Array) -> Iterator[Any]:
    """Yield the places of a stack of matrices, and the matrices there."""
    batch = np.broadcast_shapes(*[a.shape[:-2] for a in arrays])
    whole = [np.broadcast_to(a, batch + a.shape[-2:]) for a in arrays]
    return ((place, *[a[place] for a in whole]) for place in np.ndindex(*batch))


def each(function: Any, *arrays: Any, shape: tuple[int, ...] = ()) -> Array:
    """Return a function of each matrix of a stack; its results have this shape."""
    given = [wide(a) for a in arrays]
    batch = np.broadcast_shapes(*[a.shape[:-2] for a in given])
    found = [np.asarray(function(*rows)) for _, *rows in matrices(*given)]
    return np.array(found).reshape(batch + (found[0].shape if found else shape))


def fractions(a: Array) -> Rows:
    return [[Fraction(float(v)) for v in row] for row in a]


def floats(rows: Rows, shape: tuple[int, int]) -> Array:
    return np.array([[float(v) for v in row] for row in rows]).reshape(shape)


def eliminated(a: Rows, b: Rows) -> tuple[Fraction, Rows]:
    """Return the determinant of a, and the solution of a @ x = b, empty if there isn't one, by Gauss and Jordan."""
    rows, det = [[*p, *q] for p, q in zip(a, b)], Fraction(1)
    for k in range(len(rows)):
        pivot = next((i for i in range(k, len(rows)) if rows[i][k]), None)
        if pivot is None:
            return Fraction(0), []
        if pivot != k:
            rows[k], rows[pivot], det = rows[pivot], rows[k], -det
        det *= rows[k][k]
        rows[k] = [v / rows[k][k] for v in rows[k]]
        for i in range(len(rows)):
            if i != k and rows[i][k]:
                rows[i] = [p - rows[i][k] * q for p, q in zip(rows[i], rows[k])]
    return det, [row[len(rows) :] for row in rows]


def determinant(a: Array) -> Fraction:
    return eliminated(fractions(a), [[] for _ in a])[0]


def solution(a: Array, b: Array) -> Array:
    det, rows = eliminated(fractions(a), fractions(b))
    if not det:
        raise np.linalg.LinAlgError("Singular matrix")
    return floats(rows, b.shape)


def solve(a: Any, b: Any) -> Array:
    b = np.asarray(b)
    y = each(solution, a, b[:, None] if b.ndim == 1 else b, shape=b.shape[-2:])
    return y[..., 0] if b.ndim == 1 else y


def inv(a: Any) -> Array:
    return each(lambda m: solution(m, np.eye(len(m))), a, shape=np.shape(a)[-2:])


def det(a: Any) -> Array:
    return each(lambda m: float(determinant(m)), a)


def slogdet(a: Any) -> tuple[Array, Array]:
    y = det(a)
    with np.errstate(divide="ignore"):
        return np.sign(y), np.log(np.abs(y))


def matrix_power(a: Any, n: int) -> Array:
    m = inv(a) if n < 0 else wide(a)
    return functools.reduce(matmul, [m] * abs(n), np.broadcast_to(np.eye(m.shape[-1]), m.shape))


def tensorinv(a: Any, ind: int = 2) -> Array:
    shape = np.shape(a)
    n = math.prod(shape[:ind])
    return inv(np.reshape(a, (n, n))).reshape(shape[ind:] + shape[:ind])


def tensorsolve(a: Any, b: Any, axes: Any = None) -> Array:
    a = np.asarray(a)
    moved = [] if axes is None else [d % a.ndim for d in axes]
    a = a.transpose([*[d for d in range(a.ndim) if d not in moved], *moved])
    n = np.size(b)
    return solve(a.reshape(n, n), np.ravel(b)).reshape(a.shape[np.ndim(b) :])


def transposed(rows: Rows) -> Rows:
    return [list(column) for column in zip(*rows)]


def product(a: Rows, b: Rows) -> Rows:
    return [[sum((p * q for p, q in zip(row, column)), Fraction(0)) for column in zip(*b)] for row in a]


def fitted(a: Array, b: Array) -> Any:
    """Return the shortest x with the least |a @ x - b|, by the normal equations; None where the rank isn't full."""
    if np.iscomplexobj(a):
        return scipy.linalg.pinv(a) @ b
    if 0 in a.shape:
        return np.zeros((a.shape[1], b.shape[1]))
    m, n = a.shape
    left, right = fractions(a), fractions(b)
    turned = transposed(left)
    gram, side = (product(turned, left), product(turned, right)) if m >= n else (product(left, turned), right)
    det, rows = eliminated(gram, side)
    return floats(rows if m >= n else product(turned, rows), (n, b.shape[1])) if det else None


def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = UNSET) -> Array:
    *batch, m, n = np.shape(a)
    cuts = np.broadcast_to(np.array(rcond if rtol is UNSET else rtol, object), batch)
    places = np.ndindex(*batch)
    found = [scipy.linalg.pinv(a[p], rtol=cuts[p]) if m * n else np.zeros((n, m)) for p in places]
    return np.array(found).reshape(*batch, n, m)


def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Any, ...]:
    a, b = wide(a), wide(b)
    many = b[:, None] if b.ndim == 1 else b
    rank = int(matrix_rank(a, rtol=rcond))
    x = fitted(a, many) if rank == min(a.shape) else scipy.linalg.pinv(a, rtol=rcond) @ many
    left = fold(np.add, np.square(many - matmul(a, x)), 0) if rank == a.shape[1] < len(a) else np.zeros(0)
    return x.reshape(a.shape[1:] + b.shape[1:]), left, rank, singular_values(a)


# ---- factors of matrices ----


def singular_values(a: Array) -> Array:
    return scipy.linalg.svdvals(a) if a.size else np.zeros(0)


def svdvals(x: Any) -> Array:
    return each(singular_values, x, shape=(min(np.shape(x)[-2:]),))


def factors(function: Any, a: Any, *shapes: tuple[int, ...]) -> tuple[Array, ...]:
    """Return several results for each matrix of a stack."""
    a = wide(a)
    found = [function(m) for _, m in matrices(a)]
    return tuple(
        np.array([parts[k] for parts in found]).reshape(a.shape[:-2] + (np.shape(found[0][k]) if found else shape))
        for k, shape in enumerate(shapes)
    )


def cholesky(a: Any, /, *, upper: bool = False) -> Array:
    """Return the factor row by row, from the products that each entry of the matrix is."""

    def one(m: Array) -> Array:
        y = np.zeros(m.shape)
        for i, j in itertools.combinations_with_replacement(range(len(m)), 2):
            rest = m[i, j] - added([*(y[j, k] * y[i, k] for k in range(i)), 0.0])
            y[j, i] = math.sqrt(rest) if i == j else rest / y[i, i]
        return y.T if upper else y

    return each(one, np.swapaxes(a, -1, -2) if not upper else a, shape=np.shape(a)[-2:])


def eigvalsh(a: Any, UPLO: str = "L") -> Array:
    lower = UPLO == "L"
    return each(lambda m: scipy.linalg.eigvalsh(m, lower=lower) if m.size else np.zeros(0), a, shape=np.shape(a)[-1:])


def eigh(a: Any, UPLO: str = "L") -> tuple[Array, ...]:
    *_, n = np.shape(a)
    return factors(
        lambda m: scipy.linalg.eigh(m, lower=UPLO == "L", driver="evd") if n else (np.zeros(0), m), a, (n,), (n, n)
    )


def eig(a: Any) -> tuple[Array, ...]:
    *_, n = np.shape(a)
    return tuple(
        map(real_if_all_are, factors(lambda m: scipy.linalg.eig(m) if n else (np.zeros(0), m), a, (n,), (n, n)))
    )


def eigvals(a: Any) -> Array:
    return real_if_all_are(
        each(lambda m: scipy.linalg.eigvals(m) if m.size else np.zeros(0), a, shape=np.shape(a)[-1:])
    )


def real_if_all_are(y: Array) -> Array:
    return y.real if all(v.imag == 0 for v in y.flat) else y


def qr(a: Any, mode: str = "reduced") -> Any:
    *_, m, n = np.shape(a)
    q, r = factors(functools.partial(one_qr, mode=mode), a, *qr_shapes(m, n, mode))
    return r if mode == "r" else (q, r)


def qr_shapes(m: int, n: int, mode: str) -> tuple[tuple[int, int], tuple[int, int]]:
    k = m if mode == "complete" else min(m, n)
    return (m, k), (k, n)


def one_qr(a: Array, mode: str) -> Any:
    if a.size:
        return scipy.linalg.qr(a, mode="full" if mode == "complete" else "economic")
    q, r = qr_shapes(len(a), a.shape[1], mode)
    return np.eye(*q), np.zeros(r)


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    *_, m, n = np.shape(a)
    if not compute_uv:
        return svdvals(a)
    k, (p, q) = min(m, n), ((m, n) if full_matrices else (min(m, n),) * 2)

    def one(x: Array) -> Any:
        return scipy.linalg.svd(x, full_matrices) if x.size else (np.eye(m, p), np.zeros(k), np.eye(q, n))

    def of_symmetric(x: Array) -> Any:
        values, vectors = scipy.linalg.eigh(x, driver="evd") if n else (np.zeros(0), x)
        order = sorted(range(n), key=lambda i: -abs(values[i]))
        return vectors[:, order], np.abs(values[order]), (vectors * np.sign(values))[:, order].T

    return factors(of_symmetric if hermitian else one, a, (m, p), (k,), (q, n))


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Array:
    if np.ndim(A) < 2:
        return np.array(int(any(np.ravel(A).tolist())))
    shape = np.shape(A)[-2:]
    s = svdvals(A)
    relative = max(shape) * np.finfo(np.asarray(A).dtype).eps if rtol is None else np.asarray(rtol)[..., None]
    cut = np.asarray(tol)[..., None] if tol is not None else relative * s[..., :1]
    return fold(np.add, s > cut, -1)


# ---- norms ----


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Array:
    x = np.abs(wide(x))
    axes = axes_of(x.ndim, axis)
    if abs(ord) == math.inf:
        return largest(x, axes, None, keepdims, 0) if ord > 0 else smallest(x, axes, None, keepdims)
    if ord == 0:
        return fold(np.add, (x != 0).astype(float), axes, keepdims=keepdims)
    with np.errstate(divide="ignore"):
        return fold(np.add, x**ord, axes, keepdims=keepdims) ** (1 / ord)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    x = wide(x)
    if ord in ("nuc", 2, -2):
        s = svdvals(x)
        y = fold(np.add, s, -1) if ord == "nuc" else largest(s, -1, initial=0) if ord == 2 else smallest(s, -1)
    elif ord == "fro":
        y = vector_norm(x, axis=(-2, -1))
    else:
        sums = fold(np.add, np.abs(x), -2 if abs(ord) == 1 else -1)
        y = largest(sums, -1, initial=0) if ord > 0 else smallest(sums, -1)
    return np.expand_dims(y, (-2, -1)) if keepdims else y


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    x = np.asarray(x)
    if ord is None:
        return vector_norm(x, axis=axis, keepdims=keepdims)
    axes = axes_of(x.ndim, axis)
    if len(axes) == 1:
        return vector_norm(x, axis=axes, keepdims=keepdims, ord=ord)
    y = matrix_norm(np.moveaxis(x, axes, (-2, -1)), ord=ord)
    return np.expand_dims(y, axes) if keepdims else y


def cond(x: Any, p: Any = None) -> Array:
    if p in (None, 2, -2):
        s = svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return matrix_norm(x, ord=p) * matrix_norm(inv(x), ord=p)


# ---- polynomials, from the highest power ----


def polyval(p: Any, x: Any) -> Array:
    return functools.reduce(lambda y, c: y * x + c, p, np.zeros(np.shape(x)))


def polymul(a: Any, b: Any) -> Array:
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    y = np.zeros(len(a) + len(b) - 1, np.result_type(a, b))
    for (i, p), (j, q) in itertools.product(enumerate(a), enumerate(b)):
        y[i + j] += p * q
    return y


def summed(ufunc: Any, a: Any, b: Any) -> Array:
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    n = max(len(a), len(b))
    return np.array([ufunc(*pair) for pair in zip([0] * (n - len(a)) + list(a), [0] * (n - len(b)) + list(b))])


def poly(seq_of_zeros: Any) -> Array:
    return functools.reduce(polymul, [np.array([1.0, -root]) for root in np.ravel(seq_of_zeros)], np.array([1.0]))


def polyder(p: Any, m: int = 1) -> Array:
    for _ in range(m):
        p = [c * (len(p) - 1 - k) for k, c in enumerate(p[:-1])]
    return np.array(p)


def polyint(p: Any, m: int = 1, k: Any = None) -> Array:
    constants = [0.0] * m if k is None else list(np.broadcast_to(k, m))
    for constant in constants:
        p = [*(c / (len(p) - n) for n, c in enumerate(p)), constant]
    return np.array(p)


def polydiv(u: Any, v: Any) -> tuple[Array, Array]:
    """Return the quotient and the rest by long division, the rest without its leading zeros."""
    u, v = np.atleast_1d(u), np.atleast_1d(v)
    rest: list[float] = list(map(float, u))
    quotient: list[float] = []
    for k in range(len(u) - len(v) + 1):
        quotient.append(rest[k] * (1 / v[0]))
        rest[k : k + len(v)] = [r - quotient[-1] * c for r, c in zip(rest[k:], v)]
    while len(rest) > 1 and abs(rest[0]) <= 1e-8:
        rest = rest[1:]
    return np.array(quotient or [0.0]), np.array(rest)


def polyfit(x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None) -> Array:
    y = np.asarray(y)
    weights = np.ones(len(x)) if w is None else np.asarray(w)
    a = np.array([[v**k for k in range(deg, -1, -1)] for v in x]) * weights[:, None]
    return fitted(a, y.reshape(len(y), -1) * weights[:, None]).reshape(deg + 1, *y.shape[1:])


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Array:
    n = len(x) if N is None else N
    powers = range(n) if increasing else range(n - 1, -1, -1)
    return np.array([[math.prod([v] * k) for k in powers] for v in x]).reshape(len(x), n)


# ---- ranges ----


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    start, stop = np.broadcast_arrays(start, stop)
    parts = num - endpoint
    found = [start * ((parts - k) / max(parts, 1)) + stop * (k / max(parts, 1)) for k in range(num)]
    y = np.moveaxis(np.array(found if parts else [start] * num).reshape(num, *start.shape), 0, axis)
    y = y if dtype is None else np.floor(y).astype(dtype) if np.dtype(dtype).kind == "i" else y.astype(dtype)
    return (y, (stop - start) / parts if parts else np.full(start.shape, np.nan)) if retstep else y


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Array:
    start, stop, base = np.broadcast_arrays(start, stop, base)
    y = np.power(np.expand_dims(base, axis), linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else y.astype(dtype)


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Array:
    start, stop = np.broadcast_arrays(start, stop)
    y = np.exp(linspace(np.log(abs(start)), np.log(abs(stop)), num, endpoint, axis=axis))
    y = y * np.expand_dims(np.sign(start), axis)
    return y if dtype is None else y.astype(dtype)


L = np.linalg
ALGEBRA: dict[Any, Callable[..., Any]] = {
    np.einsum: einsum, np.matmul: matmul, L.matmul: matmul, np.tensordot: tensordot, L.tensordot: tensordot,
    np.dot: dot, np.inner: inner, np.vdot: vdot, np.outer: outer, L.outer: outer, np.kron: kron,
    np.vecdot: vecdot, L.vecdot: vecdot, L.multi_dot: lambda arrays, **_: functools.reduce(dot, arrays),
    np.matvec: lambda a, b: einsum("...ij,...j->...i", a, b),
    np.vecmat: lambda a, b: einsum("...i,...ij->...j", np.conj(a), b),
    np.cross: cross, L.cross: lambda a, b, /, *, axis=-1: cross(a, b, axis=axis),
    L.trace: lambda x, /, *, offset=0, dtype=None: fold(np.add, np.diagonal(x, offset, -2, -1), -1, dtype),
    L.solve: solve, L.inv: inv, L.det: det, L.slogdet: slogdet, L.matrix_power: matrix_power,
    L.tensorinv: tensorinv, L.tensorsolve: tensorsolve, L.pinv: pinv, L.lstsq: lstsq,
    L.svdvals: svdvals, L.cholesky: cholesky, L.eigvalsh: eigvalsh, L.eigh: eigh, L.eig: eig, L.eigvals: eigvals,
    L.qr: qr, L.svd: svd, L.matrix_rank: matrix_rank,
    L.vector_norm: vector_norm, L.matrix_norm: matrix_norm, L.norm: norm, L.cond: cond,
    np.polyval: polyval, np.polymul: polymul, np.poly: poly, np.polyder: polyder, np.polyint: polyint,
    np.polyadd: functools.partial(summed, np.add), np.polysub: functools.partial(summed, np.subtract),
    np.polydiv: polydiv, np.polyfit: polyfit, np.vander: vander, np.i0: scipy.special.i0,
    np.linspace: linspace, np.logspace: logspace, np.geomspace: geomspace,
}  # fmt: skip
