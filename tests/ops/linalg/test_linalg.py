"""Linear algebra against PyTorch, and where it is hard: at singular matrices, repeated values and ties."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from by_algebra import norm
from hypothesis import given, settings
from looped import LOOPS, looped
from optional import pytorch

import tinygrad_nn as tg
from tinygrad_nn.errors import DisconnectedError, GradientError, unknown_numpy
from tinygrad_nn.tensor.handle import NUMPY_FUNCTIONS

Array = Any
EXAMPLES = settings().max_examples // 3
L = np.linalg


def leaf(x: Any) -> tg.Tensor:
    return tg.tensor(x, dtype=float, requires_grad=True)


def gradient(f: Callable[..., Any], *arrays: Any) -> Any:
    """Return the gradient of a scalar function of one array, a list of them of several."""
    leaves = [leaf(x) for x in arrays]
    found = [g.data for g in tg.autograd.grad(f(*leaves), leaves) if g is not None]
    return found[0] if len(arrays) == 1 else found


def hessian_along(f: Callable[[Any], Any], x: Any, v: Any) -> Array:
    """Return the derivative of the gradient along v."""
    t = leaf(x)
    (g,) = tg.autograd.grad(f(t), t, create_graph=True)
    assert g is not None
    (h,) = tg.autograd.grad((g * v).sum(), t)
    assert h is not None
    return h.data


def slopes(f: Callable[[Array], Any], x: Array, step: float = 1e-3) -> Array:
    """Return central differences in every entry, extrapolated."""
    found = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        unit = np.zeros(x.shape)
        unit[i] = step / 2
        wide, narrow = (float(f(x + k * unit) - f(x - k * unit)) / (k * step) for k in (2, 1))
        found[i] = (4 * narrow - wide) / 3
    return found


def value(f: Callable[[Any], Any]) -> Callable[[Array], float]:
    return lambda x: float(f(tg.Tensor(x)).data)


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def symmetric(*shape: int, seed: int = 0) -> Array:
    x = random(*shape, seed=seed)
    return x + x.mT


def positive(*shape: int, seed: int = 0) -> Array:
    x = random(*shape, seed=seed)
    return x @ x.mT + np.eye(shape[-1])


def turned(*values: float) -> Array:
    """Return a symmetric matrix with these eigenvalues, in a basis of no special directions."""
    q = L.qr(random(len(values), len(values), seed=5))[0]
    return (q * np.array(values)) @ q.T


# ---- all of numpy.linalg is there, and returns what NumPy's returns ----


def test_every_function_of_numpys_is_recorded() -> None:
    public = {name for name in np.linalg.__all__ if name != "LinAlgError"}
    assert public == set(tg.linalg.__all__)


@pytest.mark.parametrize("name", ["eigh", "svd", "qr", "slogdet", "eig"])
def test_several_results_have_numpys_names(name: str) -> None:
    a = turned(3.0, 2.0, 1.0)
    ours, numpys = getattr(L, name)(tg.Tensor(a)), getattr(L, name)(a)
    assert ours._fields == numpys._fields
    for field in ours._fields:
        np.testing.assert_array_equal(getattr(ours, field).data, getattr(numpys, field))


@pytest.mark.parametrize("name", ["vdot", "vecdot", "vecmat", "norm", "vector_norm", "svdvals", "lstsq", "einsum"])
def test_complex_numbers_go_forward(name: str) -> None:
    a = random(3, 3) + 1j * random(3, 3, seed=1)
    function = getattr(np, name, None) or getattr(L, name)
    pairs = {"vdot": [a, a], "vecdot": [a, a], "vecmat": [a[0], a], "lstsq": [a, a], "einsum": ["ij,jk", a, a]}
    arguments = pairs.get(name, [a])
    ours = function(*[x if isinstance(x, str) else tg.Tensor(x) for x in arguments])
    numpys = function(*arguments)
    loops = LOOPS[function](*arguments)
    parts = [*zip(ours, numpys, loops, strict=True)] if isinstance(numpys, tuple) else [(ours, numpys, loops)]
    for mine, known, expected in parts:
        assert mine.dtype == np.asarray(known).dtype
        np.testing.assert_allclose(mine.data, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shapes", [((3, 2), (3, 2)), ((2,), (4, 3)), ((4, 3), (4, 2))])
@pytest.mark.filterwarnings("ignore:Arrays of 2-dimensional vectors:DeprecationWarning")
def test_cross_products_in_the_plane(shapes: Any) -> None:
    a, b = (random(*shape, seed=i) for i, shape in enumerate(shapes))
    np.testing.assert_allclose(tg.cross(a, b).data, LOOPS[np.cross](a, b), rtol=1e-14)
    u = random(*LOOPS[np.cross](a, b).shape, seed=2)
    ga, gb = gradient(lambda s, t: (tg.cross(s, t) * u).sum(), a, b)
    np.testing.assert_allclose(ga, slopes(lambda s: np.sum(LOOPS[np.cross](s, b) * u), a), atol=1e-9)
    np.testing.assert_allclose(gb, slopes(lambda t: np.sum(LOOPS[np.cross](a, t) * u), b), atol=1e-9)


@given(lengths=st.lists(st.integers(0, 4), min_size=3, max_size=6), ends=st.tuples(st.booleans(), st.booleans()))
def test_multi_dot_is_numpys(lengths: list[int], ends: tuple[bool, bool]) -> None:
    arrays = [random(m, n, seed=i) for i, (m, n) in enumerate(itertools.pairwise(lengths))]
    if ends[0]:
        arrays[0] = arrays[0].sum(0)
    if ends[1]:
        arrays[-1] = arrays[-1].sum(1)
    np.testing.assert_allclose(tg.linalg.multi_dot(arrays).data, LOOPS[L.multi_dot](arrays), rtol=1e-10, atol=1e-10)


@given(lengths=st.lists(st.integers(1, 20), min_size=3, max_size=7))
def test_multi_dot_takes_the_cheapest_order(lengths: list[int]) -> None:
    leaves = [tg.ones(shape, requires_grad=True) for shape in itertools.pairwise(lengths)]
    y, spent, seen = tg.linalg.multi_dot(leaves), 0, set()
    unread: list[Any] = [y._node]
    while unread:
        node = unread.pop()
        if node.operation is None or node in seen:
            continue
        seen.add(node)
        unread += node.parents
        if node.operation.name == "matrix_product":
            spent += node.shape[0] * node.shape[1] * node.parents[0].shape[1]

    def cheapest(i: int, j: int) -> int:
        if i == j:
            return 0
        ends = lengths[i] * lengths[j + 1]
        return min(cheapest(i, k) + cheapest(k + 1, j) + ends * lengths[k + 1] for k in range(i, j))

    assert spent == cheapest(0, len(leaves) - 1)


# ---- against PyTorch: values and derivatives of first and second order, in batches ----


def sums_of(*results: Any) -> Any:
    """Return a number that depends on every entry differently."""
    total: Any = 0.0
    for y in results:
        weights = np.cos(np.arange(1.0, math.prod(y.shape) + 1)).reshape(tuple(y.shape))
        total = total + (y * (weights if isinstance(y, tg.Tensor) else y.new_tensor(weights))).sum()
    return total


def mended(x: Any) -> Any:
    """Return the symmetric part."""
    return (x + x.mT) / 2


def norms(order: Any) -> Callable[..., Any]:
    def of_matrices(lib: Any, a: Any) -> Any:
        return sums_of(lib.norm(a, order, (-2, -1)) if lib is tg.linalg else lib.matrix_norm(a, order))

    return of_matrices


def vector_norms(order: Any) -> Callable[..., Any]:
    def of_vectors(lib: Any, a: Any) -> Any:
        return sums_of(lib.norm(a, order, -1) if lib is tg.linalg else lib.vector_norm(a, order, -1))

    return of_vectors


def of_eigh(w: Any, v: Any) -> Any:
    return sums_of(w, v * v, (v * w[..., None, :] ** 3) @ v.mT)


def of_qr(q: Any, r: Any) -> Any:
    return sums_of(q * q, r * r, q @ r[..., :1])


def of_svd(u: Any, s: Any, vh: Any) -> Any:
    return sums_of(s, u * u, vh * vh, (u * s[..., None, :] ** 2) @ vh, u @ vh)


FUNCTIONS: dict[str, tuple[Callable[..., Any], str]] = {
    "inv": (lambda lib, a: sums_of(lib.inv(a)), "n,n"),
    "solve": (lambda lib, a, b: sums_of(lib.solve(a, b)), "n,n;n,k"),
    "det": (lambda lib, a: sums_of(lib.det(a)), "n,n"),
    "slogdet": (lambda lib, a: sums_of(lib.slogdet(a)[1]), "n,n"),
    "cholesky": (lambda lib, a: sums_of(lib.cholesky(mended(a @ a.mT) + a.shape[-1] * eye(a))), "n,n"),
    "eigh": (lambda lib, a: of_eigh(*lib.eigh(mended(a))), "n,n"),
    "eigvalsh": (lambda lib, a: sums_of(lib.eigvalsh(mended(a))), "n,n"),
    "tall qr": (lambda lib, a: of_qr(*lib.qr(a)), "m,n"),
    "wide qr": (lambda lib, a: of_qr(*lib.qr(a)), "n,m"),
    "tall svd": (lambda lib, a: of_svd(*lib.svd(a, full_matrices=False)), "m,n"),
    "wide svd": (lambda lib, a: of_svd(*lib.svd(a, full_matrices=False)), "n,m"),
    "svdvals": (lambda lib, a: sums_of(lib.svdvals(a)), "m,n"),
    "pinv": (lambda lib, a: sums_of(lib.pinv(a)), "m,n"),
    "power": (lambda lib, a: sums_of(lib.matrix_power(a, 5), lib.matrix_power(a, -2)), "n,n"),
    "cross": (lambda lib, a, b: sums_of(lib.cross(a, b)), "n,3;n,3"),
    "vecdot": (lambda lib, a, b: sums_of(lib.vecdot(a, b)), "m,n;m,n"),
    "cond": (lambda lib, a: sums_of(lib.cond(a)), "n,n"),
    **{f"norm {p}": (norms(p), "m,n") for p in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)},
    **{f"vector norm {p}": (vector_norms(p), "m,n") for p in (2, 1, 3, 0.5, -1, math.inf, -math.inf)},
}


def eye(a: Any) -> Any:
    n = a.shape[-1]
    return np.eye(n) if isinstance(a, tg.Tensor) else a.new_tensor(np.eye(n))


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=EXAMPLES)
@given(
    n=st.integers(1, 4),
    more=st.integers(1, 2),
    batch=st.sampled_from([(), (2,), (0,), (2, 1)]),
    seed=st.integers(0, 99),
)
def test_as_pytorch(name: str, n: int, more: int, batch: tuple[int, ...], seed: int) -> None:
    torch = pytorch()
    function, shapes = FUNCTIONS[name]
    lengths = {"n": n, "m": n + more, "k": more, "3": 3}
    each = [[*batch, *[lengths[c] for c in shape.split(",")]] for shape in shapes.split(";")]
    arrays = [random(*shape, seed=seed + i) for i, shape in enumerate(each)]
    ours, theirs = [leaf(x) for x in arrays], [torch.tensor(x, requires_grad=True) for x in arrays]
    y, expected = function(tg.linalg, *ours), function(torch.linalg, *theirs)
    scale = 1 + float(abs(expected.detach()))
    assert abs(y.item() - expected.item()) < 1e-9 * scale
    directions = [random(*x.shape, seed=seed + 10 + i) for i, x in enumerate(arrays)]
    first = tg.autograd.grad(y, ours, create_graph=True)
    if not expected.requires_grad:
        assert all(g is not None and g.size == 0 for g in first)
        return
    known = torch.autograd.grad(expected, theirs, create_graph=True)
    for g, e in zip(first, known, strict=True):
        close(g.data, e.numpy(force=True), 1e-8)
    along: Any = sum((g * v).sum() for g, v in zip(first, directions, strict=True))
    known_along = sum((e * torch.tensor(v)).sum() for e, v in zip(known, directions, strict=True))
    second = tg.autograd.grad(along, ours, allow_unused=True) if along.requires_grad else [None] * len(ours)
    known_second: Any = [None] * len(ours)
    if known_along.requires_grad:
        known_second = torch.autograd.grad(known_along, theirs, allow_unused=True)
    for h, e, x in zip(second, known_second, arrays, strict=True):
        close(np.zeros_like(x) if h is None else h.data, np.zeros_like(x) if e is None else e.numpy(force=True), 1e-6)


def close(found: Array, expected: Array, tolerance: float) -> None:
    scale = 1 + float(np.max(np.abs(expected), initial=0))
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=tolerance)


# ---- singular matrices ----


def minors(a: Array) -> Array:
    """Return each entry's cofactor by its definition."""
    found = np.zeros(a.shape)
    for i, j in np.ndindex(a.shape):
        found[i, j] = (-1) ** (i + j) * det_of(np.delete(np.delete(a, i, 0), j, 1))
    return found


def det_of(a: Array) -> float:
    """Return the determinant by expansion along the first row: right to the last bit for small integers."""
    if len(a) == 0:
        return 1.0
    return float(sum((-1) ** j * a[0, j] * det_of(np.delete(a[1:], j, 1)) for j in range(len(a))))


def test_det_of_rank_one() -> None:
    a = [[1.0, 2.0], [2.0, 4.0]]
    np.testing.assert_allclose(gradient(tg.linalg.det, a), [[4.0, -2.0], [-2.0, 1.0]], rtol=1e-14)
    h = hessian_along(tg.linalg.det, a, [[0.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(h, [[0.0, 0.0], [-1.0, 0.0]], atol=1e-15)


@given(n=st.integers(1, 4), rank=st.integers(0, 4), seed=st.integers(0, 999))
def test_det_of_any_rank_to_second_order(n: int, rank: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = (rng.integers(-3, 4, (n, min(rank, n))) @ rng.integers(-3, 4, (min(rank, n), n))).astype(float)
    v = rng.integers(-2, 3, (n, n)).astype(float)
    tolerance = 1e-12 * (1 + np.abs(a).max()) ** n
    np.testing.assert_allclose(gradient(tg.linalg.det, a), minors(a), rtol=0, atol=tolerance)
    line = [minors(a + k * v) for k in (-2, -1, 1, 2)]  # polynomials of degree 3: these differences are exact
    expected = (8 * (line[2] - line[1]) - (line[3] - line[0])) / 12
    np.testing.assert_allclose(hessian_along(tg.linalg.det, a, v), expected, rtol=0, atol=10 * tolerance)


def test_det_of_nearly_singular_matrices_keeps_its_digits() -> None:
    for gap in (1e-3, 1e-7, 1e-9, 1e-13, 1e-17, 0.0):
        a = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0 + gap], [1.0, 0.0, -1.0]])
        np.testing.assert_allclose(gradient(tg.linalg.det, a), minors(a), rtol=0, atol=1e-13)


@pytest.mark.filterwarnings("ignore:overflow encountered in det:RuntimeWarning")
def test_det_out_of_the_range_of_numbers_has_a_gradient_within() -> None:
    for tiny in (1e-200, 1e200, 1e-320):
        a = np.diag([tiny, tiny])
        np.testing.assert_allclose(gradient(tg.linalg.det, a), a, rtol=1e-14)


def test_third_order_of_det() -> None:
    a, v, w = random(3, 3), random(3, 3, seed=1), random(3, 3, seed=2)

    def third(t: Any) -> Any:
        g: Any = tg.autograd.grad(tg.linalg.det(t), t, create_graph=True)[0]
        h: Any = tg.autograd.grad((g * v).sum(), t, create_graph=True)[0]
        return (h * w).sum()

    t = leaf(a)
    (found,) = tg.autograd.grad(third(t), t)
    assert found is not None
    np.testing.assert_allclose(found.data, slopes(lambda x: third(leaf(x)).item(), a), atol=1e-9)
    singular = leaf(np.ones((3, 3)))
    with pytest.raises(GradientError, match="third derivative of a determinant"):
        tg.autograd.grad(third(singular), singular)


@pytest.mark.parametrize("name", ["inv", "solve", "tensorinv", "matrix_power"])
def test_singular_matrices_are_refused_in_the_forward(name: str) -> None:
    a = leaf([[1.0, 2.0], [2.0, 4.0]])
    many: dict[str, list[Any]] = {"solve": [a, tg.ones(2)], "tensorinv": [a, 1], "matrix_power": [a, -1]}
    arguments = many.get(name, [a])
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix") as raised:
        getattr(tg.linalg, name)(*arguments)
    assert "tg.linalg.pinv" in raised.value.__notes__[-1]
    assert f"'{name}'" in raised.value.__notes__[-1]


def test_the_logarithm_of_a_zero_determinant_has_no_gradient() -> None:
    a = leaf([[1.0, 2.0], [2.0, 4.0]])
    sign, size = tg.linalg.slogdet(a)
    assert (sign.item(), size.item()) == (0.0, -math.inf)
    with pytest.raises(GradientError, match="logarithm of a determinant that is 0 has no derivative"):
        size.backward()


def test_the_sign_of_a_determinant_is_flat() -> None:
    np.testing.assert_array_equal(gradient(lambda a: tg.linalg.slogdet(a)[0], random(3, 3)), 0.0)


def test_cholesky_of_what_is_not_positive_definite() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite") as raised:
        tg.linalg.cholesky(leaf([[1.0, 2.0], [2.0, 1.0]]))
    assert "tg.eye(n)" in raised.value.__notes__[-1]


@pytest.mark.parametrize("a", [[[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], [[1.0, 0.0, 5.0], [2.0, 0.0, 1.0]]])
def test_qr_of_dependent_columns_has_no_gradient(a: Any) -> None:
    q, r = tg.linalg.qr(leaf(a))
    with pytest.raises(GradientError, match="rank is less than its columns has no derivative"):
        (q.sum() + r.sum()).backward()


def pinv_of_one_rank(x: Array, y: Array) -> Array:
    return np.outer(y, x) / (math.fsum(x * x) * math.fsum(y * y))


@pytest.mark.parametrize("hermitian", [False, True])
def test_pinv_along_matrices_of_one_rank(hermitian: bool) -> None:
    """Of rank 1, moved along matrices of rank 1: that of x y^T is y x^T / (|x|^2 |y|^2)."""
    x, y, dx, dy, u = (random(3, seed=i) for i in range(5))
    y, dy = (x, dx) if hermitian else (y, dy)
    u = np.outer(u, y)

    def moved(k: float) -> float:
        return float(np.sum(u * pinv_of_one_rank(x + k * dx, y + k * dy)))

    g = gradient(lambda a: (tg.linalg.pinv(a, rcond=1e-10, hermitian=hermitian) * u).sum(), np.outer(x, y))
    along = np.sum(g * (np.outer(dx, y) + np.outer(x, dy)))
    np.testing.assert_allclose(along, (moved(1e-5) - moved(-1e-5)) / 2e-5, rtol=1e-8)


def test_least_squares_along_matrices_of_one_rank() -> None:
    x, y, dx, dy = random(4), random(2, seed=1), random(4, seed=2), random(2, seed=3)
    b, u = random(4, 3, seed=4), random(2, 3, seed=5)

    def moved(k: float) -> float:
        return float(np.sum(u * (pinv_of_one_rank(x + k * dx, y + k * dy) @ b)))

    found = tg.linalg.lstsq(leaf(np.outer(x, y)), leaf(b), 1e-10)
    assert (found[1].shape, int(found[2]), found[3].shape) == ((0,), 1, (2,))
    ga, gb = gradient(lambda a, b: (tg.linalg.lstsq(a, b, 1e-10)[0] * u).sum(), np.outer(x, y), b)
    along = np.sum(ga * (np.outer(dx, y) + np.outer(x, dy)))
    np.testing.assert_allclose(along, (moved(1e-5) - moved(-1e-5)) / 2e-5, rtol=1e-7)
    np.testing.assert_allclose(gb, pinv_of_one_rank(x, y).T @ u, atol=1e-12)


@pytest.mark.parametrize("p", [None, 2, -2, 1, "fro", math.inf])
def test_the_condition_of_a_singular_matrix(p: Any) -> None:
    a = leaf([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.5], [0.0, 2.0]]])
    c = tg.linalg.cond(a, p)
    assert c.data[0] == (0.0 if p == -2 else math.inf)
    c.sum().backward()
    assert a.grad is not None
    lone = gradient(lambda x: tg.linalg.cond(x, p), a.data[1])
    np.testing.assert_allclose(a.grad.data[1], lone, rtol=1e-12)
    assert np.isfinite(a.grad.data).all()
    if p != -2:
        np.testing.assert_array_equal(a.grad.data[0], 0.0)


# ---- a matrix whose cotangent is zero stays out of the gradient of its batch, whatever is in it ----

GOOD = turned(3.0, 2.0, 1.0)
BAD: dict[str, Array] = {
    "singular": np.ones((3, 3)),
    "zero": np.zeros((3, 3)),
    "nan": np.full((3, 3), np.nan),
    "eye": np.eye(3),
}
BATCHED: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "inv": (lambda a: tg.linalg.inv(a), {"nan", "eye"}),
    "solve": (lambda a: tg.linalg.solve(a, np.ones((3, 2))), {"nan", "eye"}),
    "solve by the right": (lambda b: tg.linalg.solve(GOOD, b), {"nan", "zero"}),
    "det": (lambda a: tg.linalg.det(a)[:, None, None], {"singular", "zero", "nan"}),
    "slogdet": (lambda a: tg.linalg.slogdet(a)[1][:, None, None], {"singular", "zero", "nan"}),
    "cholesky": (lambda a: tg.linalg.cholesky(a), {"nan", "eye"}),
    "qr": (lambda a: tg.concatenate(tg.linalg.qr(a)[:], axis=-1), {"singular", "zero", "nan"}),
    "eigh": (lambda a: tg.linalg.eigh(a)[1], {"eye", "zero"}),
    "eigvalsh": (lambda a: tg.linalg.eigvalsh(a)[..., None], {"eye", "zero"}),
    "svd": (lambda a: tg.linalg.svd(a)[0] @ tg.linalg.svd(a)[2], {"eye", "zero", "singular"}),
    "svdvals": (lambda a: tg.linalg.svdvals(a)[..., None], {"eye", "zero", "singular"}),
    "pinv": (lambda a: tg.linalg.pinv(a), {"eye", "zero", "singular"}),
    "norm": (lambda a: tg.linalg.norm(a, axis=(-2, -1), keepdims=True), {"zero", "nan"}),
}


SPOILT = [(name, kind) for name, (_, kinds) in BATCHED.items() for kind in sorted(kinds)]


@pytest.mark.parametrize(("name", "kind"), SPOILT)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_matrix_of_no_use_gets_a_zero_gradient(name: str, kind: str) -> None:
    function = BATCHED[name][0]

    def gradients(batch: Array, mask: Array) -> tuple[Array, Array]:
        a = leaf(batch)
        y = tg.where(mask[:, None, None], function(a), 0.0)
        (g,) = tg.autograd.grad(sums_of(y * y), a, create_graph=True)
        assert g is not None
        (h,) = tg.autograd.grad(sums_of(g * g), a)
        assert h is not None
        return g.data, h.data

    spoilt = gradients(np.stack([GOOD, BAD[kind]]), np.array([True, False]))
    clean = gradients(np.stack([GOOD, GOOD]), np.array([True, False]))
    for found, expected in zip(spoilt, clean, strict=True):
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-10, atol=1e-10)
        np.testing.assert_array_equal(found[1], 0.0)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_column_of_no_use_gets_a_zero_gradient() -> None:
    def gradients(b: Array) -> list[Array]:
        found: list[Array] = gradient(lambda a, b: tg.where([[True, False]], tg.linalg.solve(a, b), 0.0).sum(), GOOD, b)
        return found

    b = random(3, 2)
    spoilt = b.copy()
    spoilt[:, 1] = np.nan
    for found, expected in zip(gradients(spoilt), gradients(b), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13)


# ---- repeated eigenvalues and singular values ----

REPEATED = {"equal": np.diag([2.0, 2.0, 5.0]), "turned": turned(2.0, 2.0, 5.0), "zero": np.zeros((3, 3))}


@pytest.mark.parametrize("kind", REPEATED)
def test_repeated_eigenvalues_have_gradients(kind: str) -> None:
    g = gradient(lambda a: (tg.linalg.eigvalsh(a) ** 2).sum(), REPEATED[kind])
    np.testing.assert_allclose(g, 2 * REPEATED[kind], atol=1e-13)
    np.testing.assert_allclose(gradient(lambda a: tg.linalg.eigh(a)[0].sum(), REPEATED[kind]), np.eye(3), atol=1e-13)


def cubed(w: Any, v: Any) -> Any:
    return (v * (w + 1) ** 3) @ v.mT


def composed(u: Any, s: Any, vh: Any) -> Any:
    return (u * s) @ vh


@pytest.mark.parametrize("kind", ["equal", "turned"])
@pytest.mark.parametrize(
    "told_apart",
    [
        lambda a: tg.linalg.eigh(a)[1][:, 0].sum(),
        lambda a: sums_of(tg.linalg.eigh(a)[1]),
        lambda a: sums_of(cubed(*tg.linalg.eigh(a))),
        lambda a: sums_of(tg.autograd.grad((tg.linalg.eigvalsh(a) ** 2).sum(), a, create_graph=True)[0]),
    ],
    ids=["one vector", "all vectors", "a function of the matrix", "second order"],
)
def test_eigenvectors_of_repeated_eigenvalues_are_refused(kind: str, told_apart: Any) -> None:
    """0 would be a wrong answer for a function of the matrix, for which the quotient 0/0 has a limit."""
    with pytest.raises(GradientError, match=r"eigenvectors of repeated eigenvalues is not defined.*eigvalsh.*diagonal"):
        gradient(told_apart, REPEATED[kind])


def test_a_zero_cotangent_stays_zero_at_repeated_eigenvalues() -> None:
    """A convention, as in sqrt(x)**2 at 0: what is multiplied by a 0 from a quotient 0/0 counts as unused."""

    def largest(a: Any) -> Any:
        return tg.linalg.eigvalsh(a)[2]

    v = symmetric(3, 3)
    second = slopes(lambda a: np.sum(gradient(lambda x: largest((x + x.mT) / 2), a) * v), REPEATED["turned"])
    np.testing.assert_allclose(hessian_along(largest, REPEATED["turned"], v), second, atol=1e-8)
    unused = gradient(lambda a: sums_of(tg.linalg.eigh(a)[1] * 0.0), REPEATED["equal"])
    np.testing.assert_array_equal(unused, 0.0)


def test_the_other_eigenvectors_have_gradients() -> None:
    c = random(3)

    def lonely(a: Any) -> Any:
        return (tg.linalg.eigh(a)[1][:, 2] @ c) ** 2

    found = gradient(lonely, REPEATED["turned"])
    expected = slopes(value(lambda a: lonely((a + a.mT) / 2)), REPEATED["turned"])
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_repeated_singular_values_have_gradients() -> None:
    q = L.qr(random(4, 3))[0]
    np.testing.assert_allclose(gradient(lambda a: (tg.linalg.svdvals(a) ** 2).sum(), 3 * q), 6 * q, atol=1e-13)
    np.testing.assert_allclose(gradient(lambda a: tg.linalg.svd(a)[1].sum(), q), q, atol=1e-13)
    np.testing.assert_allclose(gradient(lambda a: tg.linalg.norm(a, "nuc"), q), q, atol=1e-13)
    with pytest.raises(GradientError, match="or a second derivative of the values alone, depends on the rotation"):
        tg.hessian(lambda a: (tg.linalg.svdvals(a) ** 2).sum())(np.eye(2))


@pytest.mark.parametrize(
    "told_apart",
    [
        lambda a: tg.linalg.svd(a, full_matrices=False)[0].sum(),
        lambda a: tg.linalg.svd(a)[2].sum(),
        lambda a: sums_of(composed(*tg.linalg.svd(a, full_matrices=False))),
    ],
)
@pytest.mark.parametrize("kind", ["equal", "zeros"])
def test_singular_vectors_of_repeated_values_are_refused(kind: str, told_apart: Any) -> None:
    a = L.qr(random(4, 3))[0] * 2 if kind == "equal" else np.outer(random(4), random(3, seed=1))
    with pytest.raises(GradientError, match="singular vectors of repeated singular values or of 0 is not defined"):
        gradient(told_apart, a)


@pytest.mark.parametrize(
    ("factors", "shape"),
    [(tg.linalg.svd, (4, 2)), (tg.linalg.svd, (2, 4)), (lambda a: tg.linalg.qr(a, "complete"), (4, 2))],
)
def test_columns_that_fill_up_the_space(factors: Any, shape: tuple[int, int]) -> None:
    """The space that they span has a derivative, they themselves have none, and may be left alone."""
    a = random(*shape)

    def rest(a: Any) -> Any:
        found = factors(a)
        return found[0][:, 2:] if shape[0] > shape[1] else found[2][2:].mT

    def span(a: Any) -> Any:
        q = rest(a)
        return sums_of(q @ q.mT)

    np.testing.assert_allclose(gradient(span, a), slopes(value(span), a), atol=1e-9)
    v = random(*shape, seed=1)
    second = slopes(lambda x: np.sum(gradient(span, x) * v), a)
    np.testing.assert_allclose(hessian_along(span, a, v), second, atol=1e-8)
    with pytest.raises(GradientError, match="columns that fill up a square matrix"):
        gradient(lambda a: sums_of(rest(a)), a)
    for result in range(2):
        used = lambda a, i=result: sums_of(factors(a)[i][..., :2] ** 2)  # noqa: E731
        np.testing.assert_allclose(gradient(used, a), slopes(value(used), a), atol=1e-9)


# ---- gradients of symmetric routines are symmetric, though they read one triangle ----


@pytest.mark.parametrize(
    ("function", "lower"),
    [
        (lambda a: tg.linalg.cholesky(a), True), (lambda a: tg.linalg.cholesky(a, upper=True), False),
        (lambda a: tg.linalg.eigvalsh(a), True), (lambda a: tg.linalg.eigvalsh(a, UPLO="U"), False),
        (lambda a: tg.linalg.eigh(a)[1], True), (lambda a: tg.linalg.eigh(a, "U")[1], False),
        (lambda a: tg.linalg.pinv(a, hermitian=True), True), (lambda a: tg.linalg.svd(a, hermitian=True)[0], True),
    ],
)  # fmt: skip
def test_gradients_of_symmetric_routines_are_symmetric(function: Any, lower: bool) -> None:
    a = positive(3, 3)
    other = np.tril(a) if lower else np.triu(a)
    np.testing.assert_array_equal(function(leaf(other)).data, function(leaf(a)).data)
    g = gradient(lambda x: sums_of(function(x)), other)
    np.testing.assert_array_equal(g, g.T)
    whole = slopes(value(lambda x: sums_of(function((x + x.mT) / 2))), a)
    np.testing.assert_allclose(g, whole, atol=1e-8)
    unread = np.triu(random(3, 3), 1) if lower else np.tril(random(3, 3), -1)
    second = [hessian_along(lambda x: sums_of(function(x)), x, random(3, 3, seed=2)) for x in (a, a + unread)]
    np.testing.assert_array_equal(*second)


# ---- norms at 0 and at ties ----


@pytest.mark.parametrize("order", [None, 2, 1, 3, 1.5, 0.5, math.inf, -math.inf, -1, -2])
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_a_vector_norm_of_nothing_but_zeros(order: Any) -> None:
    x = leaf([0.0, 0.0, 0.0])
    y = tg.linalg.norm(x, order)
    (g,) = tg.autograd.grad(y, x, create_graph=True)
    assert g is not None
    assert y.item() == 0.0
    np.testing.assert_array_equal(g.data, 0.0)
    if g.requires_grad:
        (h,) = tg.autograd.grad(g.sum(), x, allow_unused=True)
        np.testing.assert_array_equal(0.0 if h is None else h.data, 0.0)


@pytest.mark.parametrize("order", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
def test_a_matrix_norm_of_nothing_but_zeros(order: Any) -> None:
    np.testing.assert_array_equal(gradient(lambda a: tg.linalg.norm(a, order), np.zeros((2, 3))), 0.0)


@pytest.mark.parametrize("order", [None, 1, 3, 1.5, 0.5, math.inf, -math.inf, -1, -2])
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_a_zero_among_the_entries_of_a_vector(order: Any) -> None:
    g = gradient(lambda x: tg.linalg.norm(x, order), [3.0, 0.0, -4.0])
    assert g[1] == 0.0
    assert np.isfinite(g).all()
    if order in (None, 1, 3, 1.5, math.inf):
        expected = slopes(lambda x: norm(x, order), np.array([3.0, 0.0, -4.0]))
        np.testing.assert_allclose(g[[0, 2]], expected[[0, 2]], atol=1e-8)


@pytest.mark.parametrize(
    ("order", "a", "expected"),
    [
        (math.inf, [2.0, -2.0, 1.0], [0.5, -0.5, 0.0]),
        (-math.inf, [2.0, -2.0, 3.0], [0.5, -0.5, 0.0]),
        (1, [[2.0, -1.0], [1.0, 2.0]], [[0.5, -0.5], [0.5, 0.5]]),
        (math.inf, [[2.0, -1.0], [1.0, 2.0]], [[0.5, -0.5], [0.5, 0.5]]),
        (2, np.eye(3), np.eye(3) / 3),
        (-2, [[2.0, 0.0], [0.0, 2.0]], np.eye(2) / 2),
        ("nuc", [[3.0, 0.0], [4.0, 0.0]], [[0.6, 0.0], [0.8, 0.0]]),
        (-2, [[1.0, 0.0], [0.0, 0.0]], np.zeros((2, 2))),
    ],
)
def test_ties_share_the_gradient(order: Any, a: Any, expected: Any) -> None:
    np.testing.assert_allclose(gradient(lambda x: tg.linalg.norm(x, order), a), expected, atol=1e-15)


def test_the_number_of_entries_that_are_not_zero_is_flat() -> None:
    y = tg.linalg.norm(leaf([1.0, 0.0, 2.0]), 0)
    assert y.item() == 2.0
    assert not y.requires_grad


def test_the_largest_of_nothing_is_0() -> None:
    for order in (1, 2, math.inf, "fro", "nuc"):
        assert tg.linalg.norm(tg.zeros((0, 3)), order).item() == 0.0
    assert tg.linalg.norm(tg.zeros(0), math.inf).item() == 0.0


def axes_of(ndim: int) -> st.SearchStrategy[Any]:
    return st.permutations(range(-ndim, 0)).flatmap(lambda p: st.integers(1, ndim).map(lambda k: tuple(p[:k])))


@given(
    shape=st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple),
    data=st.data(),
    keepdims=st.booleans(),
    order=st.sampled_from([None, 1, 2, 3, math.inf, "fro", "nuc", -1, 0]),
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_norms_of_any_axes_are_numpys(shape: Any, data: st.DataObject, keepdims: bool, order: Any) -> None:
    x, axis = random(*shape), data.draw(st.none() | axes_of(len(shape)))
    for name, parameters in (
        ("norm", {"ord": order, "axis": axis, "keepdims": keepdims}),
        ("vector_norm", {"axis": axis, "keepdims": keepdims} | ({} if order is None else {"ord": order})),
        ("matrix_norm", {"keepdims": keepdims} | ({} if order is None else {"ord": order})),
    ):
        try:
            shape_of_numpys = np.shape(getattr(L, name)(x, **parameters))
        except (ValueError, np.exceptions.AxisError) as error:
            if str(error).startswith("zero-size"):
                continue  # NumPy before 2.3 refuses the largest of nothing, which is 0
            with pytest.raises((ValueError, np.exceptions.AxisError)):
                getattr(tg.linalg, name)(leaf(x), **parameters)
            continue
        t = leaf(x)
        y = getattr(tg.linalg, name)(t, **parameters)
        assert y.shape == shape_of_numpys
        expected = LOOPS[getattr(L, name)](x, **parameters)
        np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-13)
        if order != 0:
            (g,) = tg.autograd.grad(y.sum(), t)
            assert g is not None
            assert g.shape == shape
            assert np.isfinite(g.data).all()


# ---- what can't be done says so ----


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: tg.linalg.norm(tg.ones(3), "fro"), "Invalid norm order 'fro' for vectors"),
        (lambda: tg.linalg.norm(tg.ones((3, 3)), 3), "Invalid norm order 3 for matrices"),
        (lambda: tg.linalg.norm(tg.ones((3, 3, 3)), 2), "Improper number of dimensions to norm: 3"),
        (lambda: tg.linalg.det(tg.ones((2, 3))), "must be square"),
        (lambda: tg.linalg.solve(tg.eye(2), tg.ones((3, 1))), "mismatch in its core dimension"),
        (lambda: tg.linalg.cond(tg.ones((0, 0))), "takes matrices, not vectors or empty matrices"),
        (lambda: tg.linalg.qr(tg.eye(2), mode="raw"), "mode must be 'reduced', 'complete' or 'r'"),
        (lambda: tg.linalg.multi_dot([tg.eye(2)]), "at least two"),
        (lambda: tg.linalg.multi_dot([tg.ones((2, 2, 2)), tg.eye(2)]), "needs matrices, and vectors at the ends"),
        (lambda: tg.linalg.outer(tg.eye(2), tg.ones(2)), "np.outer flattens them"),
        (lambda: tg.linalg.cross(tg.ones(2), tg.ones(2)), "vectors of 3 components"),
        (lambda: tg.cross(tg.ones(4), tg.ones(4)), "2 or 3 components"),
        (lambda: tg.tensordot(tg.ones((2, 3)), tg.ones((2, 3)), 1), "pairs of equal axes"),
        (lambda: tg.tensordot(tg.ones(2), tg.ones(2), 2), "at most as many axes as both have, not 2"),
        (lambda: tg.linalg.matrix_power(tg.ones((2, 3)), 2), "must be square"),
        (lambda: tg.linalg.tensorinv(tg.ones((2, 2)), 0), "from 1 to the number of axes"),
        (lambda: tg.linalg.tensorsolve(tg.ones((2, 3)), tg.ones(2)), "as many equations as unknowns"),
        (lambda: tg.vecdot(tg.ones((2, 3)), tg.ones((2, 1))), "vectors of one length"),
        (lambda: tg.linalg.eig(leaf(np.eye(2))), "a derivative of complex numbers.*eigh"),
        (lambda: tg.linalg.eigvals(leaf(np.eye(2))), "a derivative of complex numbers.*eigvalsh"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(call: Any, said: str) -> None:
    with pytest.raises((ValueError, GradientError), match=said):
        call()


def test_matrix_power_takes_whole_numbers() -> None:
    with pytest.raises(TypeError):
        tg.linalg.matrix_power(tg.eye(2), 1.5)


def test_the_rank_has_no_gradient() -> None:
    rank = tg.linalg.matrix_rank(leaf(np.ones((2, 2))))
    assert rank.item() == 1
    assert not rank.requires_grad
    assert tg.linalg.matrix_rank(leaf(np.ones((3, 0, 2)))).tolist() == [0, 0, 0]


def test_results_that_a_loss_leaves_out_are_no_loss() -> None:
    a = leaf(GOOD)
    with pytest.raises(DisconnectedError):
        tg.autograd.grad(tg.linalg.slogdet(leaf(GOOD))[1], a)
    w, _ = tg.linalg.eigh(a)
    w.sum().backward()
    assert a.grad is not None
    np.testing.assert_allclose(a.grad.data, np.eye(3), atol=1e-14)


def test_a_refusal_names_the_nearest_where_it_is() -> None:
    assert "tg.linalg.tensorsolve, " in unknown_numpy("numpy.tensor_solve", NUMPY_FUNCTIONS.values())
    with pytest.raises(ValueError, match="two or more axes") as raised:
        tg.linalg.trace(tg.ones(3))
    assert "'linalg_trace'" in raised.value.__notes__[-1]
    assert "help(tg.linalg.trace)" in raised.value.__notes__[-1]
    with pytest.raises(TypeError, match="no_such_keyword") as refused:
        tg.linalg.solve(tg.eye(2), tg.ones(2), **{"no_such_keyword": 1})
    assert "help(tg.linalg.solve)" in refused.value.__notes__[-1]


def test_numpys_vecdot_takes_an_axis() -> None:
    a, b, vecdot = leaf(random(3, 2)), leaf(random(3, 2, seed=1)), getattr(np, "vecdot")  # noqa: B009
    y = vecdot(a, b, axis=0)
    np.testing.assert_allclose(y.data, looped(lambda a, b: vecdot(a, b, axis=0))(a.data, b.data), rtol=1e-14)
    (g,) = tg.autograd.grad(y.sum(), a)
    assert g is not None
    np.testing.assert_array_equal(g.data, b.data)
