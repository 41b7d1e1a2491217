"""Calls of products, and of linear algebra on matrices of full rank."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tinygrad_nn.tensor.declaring import sample
from tinygrad_nn.testing import shapes

from .arrays import Calls, Draw, Shape, matching, numbers, several, some, spectral, stretching
from .reductions import reduced


@st.composite
def square(draw: Draw, /, min_side: int = 0, **parameters: Any) -> Any:
    (shape,) = draw(matching("(n,n)->()", min_side))
    return sample(shape, **draw(some(**parameters)))


@st.composite
def regular(draw: Draw, /, symmetric: bool = False, **parameters: Any) -> Any:
    """Return square matrices of full rank: symmetric and positive definite ones, if asked for."""
    *batch, n, _ = draw(matching("(n,n)->()"))[0]
    return sample(draw(spectral(tuple(batch), n, n, symmetric)), **draw(some(**parameters)))


@st.composite
def of_full_rank(draw: Draw, /, **parameters: Any) -> Any:
    """Return matrices of full rank, of any shape."""
    *batch, m, n = draw(matching("(m,n)->()"))[0]
    return sample(draw(spectral(tuple(batch), m, n)), **draw(some(**parameters)))


@st.composite
def system(draw: Draw, /, signature: str = "(n,n),(n,k)->(n,k)", min_side: int = 0) -> Any:
    a, b = draw(matching(signature, min_side))
    return sample(draw(spectral(a[:-2], a[-1], a[-1])), b)


@st.composite
def fitted(draw: Draw, /, vector: bool = True) -> Any:
    m, n = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    right = (m,) if vector and draw(st.booleans()) else (m, draw(st.integers(1, 2)))
    return sample(draw(spectral((), m, n)), right, **draw(some(rcond=st.just(1e-10))))


@st.composite
def tensor_system(draw: Draw) -> Any:
    rows, columns = draw(st.sampled_from([((2, 3), (6,)), ((2, 2), (2, 2)), ((3,), (3,)), ((), ()), ((6,), (3, 2))]))
    n = math.prod(rows)
    return sample(draw(spectral((), n, n)).reshape(rows + columns), rows)


@st.composite
def tensor_inverse(draw: Draw) -> Any:
    rows, columns = draw(st.sampled_from([((2, 3), (6,)), ((2, 2), (2, 2)), ((3,), (3,)), ((6,), (3, 2))]))
    n = math.prod(rows)
    return sample(draw(spectral((), n, n)).reshape(rows + columns), ind=len(rows))


@st.composite
def singular_values(draw: Draw) -> Any:
    if draw(st.booleans()):
        return draw(regular(True, hermitian=st.just(True), compute_uv=st.booleans()))
    inputs, parameters = draw(of_full_rank(compute_uv=st.booleans()))
    return sample(*inputs, full_matrices=False, **parameters)


@st.composite
def pseudo_inverted(draw: Draw) -> Any:
    if draw(st.booleans()):
        return draw(regular(True, hermitian=st.just(True)))
    return draw(of_full_rank(rcond=st.sampled_from([1e-10, 1e-3])))


ORDERS: dict[int, list[Any]] = {
    1: [None, 1, 2, 3, 0.5, 1.5, -1, -2, np.inf, -np.inf],
    2: [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf],
}


@st.composite
def normed(draw: Draw) -> Any:
    """Return norms of vectors and matrices along axes, and of everything."""
    axes_count = draw(st.sampled_from([0, 1, 2]))
    if axes_count == 0:
        return sample(draw(shapes(min_side=1)), **draw(some(keepdims=st.booleans())))
    shape = draw(shapes(axes_count, 3, min_side=1))
    chosen = tuple(a - len(shape) * draw(st.booleans()) for a in draw(st.permutations(range(len(shape)))))[:axes_count]
    axis: Any = chosen if axes_count == 2 else draw(st.sampled_from([chosen, chosen[0]]))
    x, order = draw(numbers(shape, kinks=[0])), draw(st.sampled_from(ORDERS[axes_count]))
    return sample(x, ord=order, axis=axis, **draw(some(keepdims=st.booleans())))


@st.composite
def vector_normed(draw: Draw) -> Any:
    (shape,), parameters = draw(reduced(1, ord=st.sampled_from([o for o in ORDERS[1] if o is not None])))
    return sample(draw(numbers(shape, kinks=[0])), **parameters)


@st.composite
def matrix_normed(draw: Draw) -> Any:
    orders = st.sampled_from([o for o in ORDERS[2] if o is not None])
    inputs, parameters = draw(of_full_rank(keepdims=st.booleans()))
    assume(inputs[0].size)
    return sample(*inputs, **parameters | draw(some(ord=orders)))


@st.composite
def conditioned(draw: Draw) -> Any:
    p = draw(st.sampled_from(ORDERS[2]))
    found = draw(of_full_rank() if p in (None, 2, -2) else regular())
    assume(found[0][0].size)
    return sample(*found[0], p=p)


@st.composite
def contracted(draw: Draw) -> Any:
    """Return two arrays that share the lengths of some axes, each counted from either end."""
    common, left, right = draw(shapes(0, 2)), draw(shapes(0, 1)), draw(shapes(0, 1))
    if draw(st.booleans()):
        return sample((*left, *common), (*common, *right), axes=len(common))
    of_a = [a - (len(left) + len(common)) * draw(st.booleans()) for a in range(len(left), len(left) + len(common))]
    return sample((*left, *common), (*common, *right), axes=(tuple(of_a), tuple(range(len(common)))))


@st.composite
def dotted(draw: Draw) -> Any:
    kind = draw(st.sampled_from(["scalar", "general"]))
    if kind == "scalar":
        return sample(*draw(st.permutations([draw(shapes()), ()])))
    n = draw(st.integers(0, 3))
    a = (*draw(shapes(0, 2)), n)
    lead = draw(shapes(0, 2))
    return sample(a, (*lead[:-1], n, *lead[-1:]) if lead else (n,))


@st.composite
def inner(draw: Draw) -> Any:
    n = draw(st.integers(0, 3))
    return sample(*[(*draw(shapes(0, 2)), n) for _ in "ab"])


@st.composite
def flattened_alike(draw: Draw) -> Any:
    shape = draw(shapes())
    return sample(shape, tuple(draw(st.permutations(shape))))


@st.composite
def chained(draw: Draw) -> Any:
    lengths = draw(st.lists(st.integers(0, 3), min_size=3, max_size=5))
    found: list[Shape] = list(itertools.pairwise(lengths))
    found[0] = draw(st.sampled_from([found[0], found[0][1:]]))
    found[-1] = draw(st.sampled_from([found[-1], found[-1][:1]]))
    return sample(found)


@st.composite
def summed_over_letters(draw: Draw) -> Any:
    """Return an einsum of one to three operands: repeated letters, ellipsis, any output, or none given."""
    lengths = dict(zip("ijkl", draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))))
    words = draw(st.lists(st.text("ijkl", max_size=3), min_size=1, max_size=3))
    batch = draw(stretching(count=len(words), max_dims=1)) if draw(st.booleans()) else None
    operands = [tuple(lengths[c] for c in word) for word in words]
    spelled, out = ",".join(words), ""
    if batch is not None:
        operands = [(*lead, *shape) for lead, shape in zip(batch, operands)]
        spelled, out = ",".join(f"...{word}" for word in words), "..."
    if draw(st.booleans()):
        letters = draw(st.permutations(sorted(set("".join(words)))))
        spelled += f"->{out}{''.join(letters[: draw(st.integers(0, len(letters)))])}"
    return sample(spelled, *operands, **draw(some(optimize=st.sampled_from([False, True, "optimal"]))))


@st.composite
def crossed(draw: Draw) -> Any:
    a, b = draw(stretching(max_dims=2))
    places = {name: draw(st.integers(-1, 0)) for name in ("axisa", "axisb")}
    put = {-1: lambda shape: (*shape, 3), 0: lambda shape: (3, *shape)}
    return sample(*[put[p](shape) for p, shape in zip(places.values(), (a, b))], **places)


@st.composite
def along_vectors(draw: Draw, /, length: st.SearchStrategy[int]) -> Any:
    """Return two arrays of vectors, along one axis that is counted from the end."""
    found, n = draw(stretching(max_dims=2)), draw(length)
    axis = draw(st.integers(-1 - min(map(len, found)), -1))
    places = [len(shape) + axis + 1 for shape in found]
    return sample(*[(*shape[:k], n, *shape[k:]) for shape, k in zip(found, places)], axis=axis)


@st.composite
def layer(draw: Draw) -> Any:
    *lead, inputs = draw(shapes(1))
    outputs = draw(st.integers(0, 3))
    return sample((*lead, inputs), (outputs, inputs), *draw(st.sampled_from([[], [(outputs,)]])))


CALLS: dict[str, Calls] = {
    # products
    "matmul": several(matching("(m?,k),(k,n?)->(m?,n?)")),
    "matrix_product": several(matching("(m,k),(k,n)->(m,n)")),
    "vector_product": several(
        st.sampled_from(["(k),(k)->()", "(m,k),(k)->(m)", "(k),(k,n)->(n)"]).flatmap(lambda s: matching(s, max_dims=0))
    ),
    "matvec": several(matching("(m,k),(k)->(m)")),
    "vecmat": several(matching("(k),(k,n)->(n)")),
    "vecdot": along_vectors(st.integers(0, 3)),
    "linear": layer(),
    "scaled_dot_product_attention": several(matching("(l,e),(s,e),(s,v)->(l,v)")),
    "tensordot": contracted(),
    "dot": dotted(),
    "inner": inner(),
    "vdot": flattened_alike(),
    **dict.fromkeys(["outer", "kron"], several(st.tuples(shapes(max_dims=2), shapes(max_dims=2)))),
    "linalg_outer": several(st.tuples(shapes(1, 1), shapes(1, 1))),
    "multi_dot": chained(),
    "einsum": summed_over_letters(),
    "cross": crossed(),
    "linalg_cross": along_vectors(st.just(3)),
    # linear algebra
    **dict.fromkeys(["linear_solution", "solution_unless_zero"], system()),
    "solve": st.one_of(system(), system("(n,n),(n)->(n)", 1).filter(lambda call: len(call[0][1]) == 1)),
    "tensorsolve": tensor_system(),
    "tensorinv": tensor_inverse(),
    "inv": regular(),
    "matrix_power": regular().flatmap(lambda call: st.integers(-2, 3).map(lambda n: sample(*call[0], n=n))),
    "det": square(),
    "slogdet": regular(),
    "cofactor_matrix": regular(),
    "cofactor_slopes": system("(n,n),(n,n)->()"),
    "mirrored_triangle": regular(True),
    "cholesky": regular(True, upper=st.booleans()),
    **dict.fromkeys(["eigh", "eigvalsh"], regular(True, UPLO=st.sampled_from("LU"))),
    **dict.fromkeys(["eig", "eigvals"], regular(True)),
    "qr_factors": of_full_rank(),
    "qr": of_full_rank(mode=st.sampled_from(["reduced", "r"])),
    "singular_factors": of_full_rank(),
    "svdvals": of_full_rank(),
    "svd": singular_values(),
    "pseudo_inverse": of_full_rank(),
    "pinv": pseudo_inverted(),
    "least_squares": fitted(vector=False),
    "lstsq": fitted(),
    "matrix_rank": of_full_rank(),
    "distinct_quotient": shapes(1).flatmap(lambda found: numbers(found, 0.5, 2).map(lambda d: sample(found, d, 1.0))),
    "norm": normed(),
    "vector_norm": vector_normed(),
    "matrix_norm": matrix_normed(),
    "cond": conditioned(),
}  # fmt: skip
