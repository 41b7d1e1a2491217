"""einsum over random equations: values as loops give them, derivatives as those of a multilinear function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from by_algebra import einsum
from hypothesis import given
from slopes import derivative, leaf

import tinygrad_nn as tg
from tinygrad_nn.engine.node import history

Array = Any


@dataclass
class Equation:
    """Subscripts, and the shapes of operands that fit them."""

    terms: list[str]
    output: str | None
    shapes: list[tuple[int, ...]]

    @property
    def text(self) -> str:
        return ",".join(self.terms) + ("" if self.output is None else f"->{self.output}")


@st.composite
def equations(draw: st.DrawFn) -> Equation:
    """Draw repeated labels, ellipses, stretched axes, implicit and explicit results, lengths of 0."""
    lengths = dict(zip("abcd", draw(st.tuples(*[st.integers(0, 3)] * 4)), strict=True))
    dots = draw(st.lists(st.integers(1, 2), max_size=2))
    names = [draw(st.lists(st.sampled_from("abcd"), max_size=3)) for _ in range(draw(st.integers(1, 3)))]
    terms, shapes = [], []
    for labels in names:
        elsewhere = "".join(label for other in names if other is not labels for label in other)
        shape = []
        for label in labels:
            stretched = labels.count(label) == 1 and label in elsewhere and draw(st.integers(0, 4)) == 0
            shape.append(1 if stretched else lengths[label])
        more = draw(st.integers(0, len(dots)))
        if more or draw(st.booleans()):
            place = draw(st.integers(0, len(labels)))
            shape[place:place] = [n if draw(st.booleans()) else 1 for n in dots[len(dots) - more :]]
            labels = [*labels[:place], "...", *labels[place:]]
        terms.append("".join(labels))
        shapes.append(tuple(shape))
    output = None
    if draw(st.booleans()):
        present = sorted({label for labels in names for label in labels})
        chosen = draw(st.permutations(draw(st.lists(st.sampled_from(present), unique=True)) if present else []))
        place = draw(st.integers(0, len(chosen)))
        dotted = ["..."] if any("..." in term for term in terms) else []
        output = "".join([*chosen[:place], *dotted, *chosen[place:]])
    return Equation(terms, output, shapes)


def by_loops(equation: Equation, arrays: list[Array]) -> Array:
    return einsum(equation.text, *arrays)


def replaced(arrays: list[Array], changes: dict[int, Array]) -> list[Array]:
    return [changes.get(i, x) for i, x in enumerate(arrays)]


@given(equation=equations(), optimize=st.sampled_from([False, True, "optimal"]))
def test_random_equations(equation: Equation, optimize: Any) -> None:
    """The function is linear in each operand, so the loops give all its derivatives exactly."""
    rng = np.random.default_rng(3)
    arrays, directions = ([np.asarray(rng.uniform(-1, 1, s)) for s in equation.shapes] for _ in range(2))
    expected = by_loops(equation, arrays)
    inputs = [tg.tensor(x, requires_grad=True) for x in arrays]
    y = tg.einsum(equation.text, *inputs, optimize=optimize)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.data, expected, rtol=0, atol=1e-13)
    u = np.asarray(rng.uniform(-1, 1, y.shape))
    first = tg.autograd.grad(y, inputs, u, create_graph=True)
    for i, (g, v) in enumerate(zip(first, directions, strict=True)):
        assert g is not None
        assert g.shape == arrays[i].shape
        along = np.sum(u * by_loops(equation, replaced(arrays, {i: v})))
        np.testing.assert_allclose((g * v).sum().data, along, rtol=0, atol=1e-12)
        others = [j for j in range(len(arrays)) if j != i]
        if not others:
            continue
        second = tg.autograd.grad((g * v).sum(), [inputs[j] for j in others], retain_graph=True)
        for j, h in zip(others, second, strict=True):
            assert h is not None
            twice = np.sum(u * by_loops(equation, replaced(arrays, {i: v, j: directions[j]})))
            np.testing.assert_allclose(np.sum(h.data * directions[j]), twice, rtol=0, atol=1e-12)


@given(equation=equations())
def test_lists_of_labels_say_the_same(equation: Equation) -> None:
    arrays = [np.random.default_rng(i).uniform(-1, 1, s) for i, s in enumerate(equation.shapes)]

    def numbers(term: str) -> list[Any]:
        return [... if label == "." else ord(label) - ord("a") for label in term.replace("...", ".")]

    operands = [part for x, term in zip(arrays, equation.terms, strict=True) for part in (tg.Tensor(x), numbers(term))]
    output = [] if equation.output is None else [numbers(equation.output)]
    np.testing.assert_array_equal(
        tg.einsum(*operands, *output).data, tg.einsum(equation.text, *map(tg.Tensor, arrays)).data
    )


@pytest.mark.parametrize("text", ["ij,jk->ik", "ij,ij->", "ij,ik->jk", "ii,jj->ij", "...i,...i"])
def test_an_operand_may_come_twice(text: str) -> None:
    x = tg.tensor(np.random.default_rng(0).uniform(-1, 1, (3, 3)), requires_grad=True)
    a, b = x.detach(), x.detach()
    a.requires_grad = b.requires_grad = True
    (twice,) = tg.autograd.grad(tg.einsum(text, x, x).sum(), x)
    once = tg.autograd.grad(tg.einsum(text, a, b).sum(), [a, b])
    assert twice is not None
    np.testing.assert_allclose(twice.data, once[0].data + once[1].data, rtol=1e-13)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32, np.complex64, np.float16])
@pytest.mark.parametrize("text", ["ij->i", "ij,ij->j", "ij,kj->ik", "ii->i"])
def test_dtypes_are_numpys(dtype: Any, text: str) -> None:
    x = (np.arange(9).reshape(3, 3) % 2).astype(dtype)
    arrays = [x] * text.count(",") + [x]
    y = tg.einsum(text, *arrays)
    assert y.dtype == np.einsum(text, *arrays).dtype
    np.testing.assert_array_equal(y.data, einsum(text, *arrays))


@pytest.mark.parametrize(
    ("operands", "said"),
    [
        (("ij,jk", (2, 3)), "a term of subscripts for each operand; got 2 for 1"),
        (("ij", (2, 3, 4)), r"does not fit shape \(2, 3, 4\)"),
        (("ijk", (2, 3)), r"does not fit shape \(2, 3\)"),
        (("i,i", (2,), (3,)), r"axes named 'i' must match exactly"),
        (("ii", (1, 3)), r"axes named 'i' must match exactly"),
        (("ij->ijj", (2, 3)), "each once"),
        (("ij->ik", (2, 3)), "must name axes of its operands"),
        (("...i->i", (2, 3)), "each once, and their '...'"),
        (("i..j", (2, 3)), r"not 'i\.\.j'"),
        (("i1", (2, 3)), "subscripts must be letters"),
        (("ij->ji->ij", (2, 3)), "subscripts must be letters"),
        (((2, 3), "ij"), "a list after each operand, not 'ij'"),
        (((2, 3), [0, -1]), r"not \[0, -1\]"),
        ((), "got 0 for 0"),
    ],
)
def test_errors_say_what_does_not_fit(operands: tuple[Any, ...], said: str) -> None:
    filled = [tg.ones(x) if isinstance(x, tuple) else x for x in operands]
    with pytest.raises(ValueError, match=said):
        tg.einsum(*filled)


def recorded(t: Any) -> list[str]:
    return sorted(node.operation.name for node in history([t._node]) if node.operation is not None)


def test_contractions_are_matrix_products() -> None:
    """Nothing of the size of all axes together is ever made; long chains are taken in the cheapest order."""
    a, b, c = (tg.ones(shape, requires_grad=True) for shape in [(30, 40), (40, 50), (50, 1)])
    assert recorded(tg.einsum("ij,jk->ik", a, b)) == ["matrix_product"]
    assert recorded(tg.einsum("ij,jk,kl->il", a, b, c)) == ["matrix_product"] * 2
    chain = tg.einsum("ij,jk,kl->il", a, b, c)
    assert {n.shape for n in history([chain._node]) if n.operation is not None} == {(40, 1), (30, 1)}  # type: ignore[list-item]
    forced = tg.einsum("ij,jk,kl->il", a, b, c, optimize=["einsum_path", (0, 1), (0, 1)])
    assert {n.shape for n in history([forced._node]) if n.operation is not None} == {(30, 50), (30, 1)}  # type: ignore[list-item]


@pytest.mark.parametrize("product", [np.matmul, np.dot, np.inner, np.vdot, np.vecdot])
def test_a_product_of_vectors_is_one_operation(product: Any) -> None:
    a, b = tg.tensor([1.0, 2.0, 3.0], requires_grad=True), tg.tensor([4.0, 0.0, -1.0], requires_grad=True)
    assert recorded(product(a, b)) == ["vector_product"]
    product(a, b).backward()
    assert a.grad.tolist() == [4.0, 0.0, -1.0]  # type: ignore[union-attr]
    assert b.grad.tolist() == [1.0, 2.0, 3.0]  # type: ignore[union-attr]


@pytest.mark.parametrize("product", [np.dot, np.inner])
def test_a_product_of_a_matrix_and_a_vector_is_one_operation(product: Any) -> None:
    a, b = tg.ones((2, 3), requires_grad=True), tg.ones(3, requires_grad=True)
    assert recorded(product(a, b)) == ["vector_product"]


@pytest.mark.parametrize("product", [np.dot, np.inner, np.vdot, np.vecdot])
@pytest.mark.parametrize("dtypes", [("int8", "int64"), ("bool", "bool"), ("float32", "int8"), ("complex128", "int8")])
def test_products_of_vectors_have_numpys_values_and_dtypes(product: Any, dtypes: tuple[str, str]) -> None:
    a, b = (np.array(x).astype(dtype) for x, dtype in zip(([1, 0, 3], [1, 5, 2]), dtypes, strict=True))
    a = a * (1 + 2j) if a.dtype.kind == "c" else a
    found, expected = product(tg.as_tensor(a), tg.as_tensor(b)).data, np.asarray(product(a, b))
    assert (found.dtype, found.shape, found.tolist()) == (expected.dtype, (), expected.tolist())


@pytest.mark.parametrize("product", [np.dot, np.inner, np.vdot, np.vecdot])
def test_products_of_vectors_of_other_lengths_are_refused(product: Any) -> None:
    """In NumPy's own words, which differ from function to function."""
    for f in (product, lambda a, b: product(tg.as_tensor(a), tg.as_tensor(b))):
        with pytest.raises(ValueError):
            f(np.ones(3), np.ones(2))


def test_a_product_of_vectors_knows_its_axis() -> None:
    assert tg.vecdot([1.0, 2.0], [3.0, 4.0], axis=0).item() == 11
    with pytest.raises(np.exceptions.AxisError, match="out of bounds"):
        tg.vecdot([1.0, 2.0], [3.0, 4.0], axis=1)


def test_more_labels_than_letters() -> None:
    shapes = [(1,) * 20 for _ in range(3)]
    terms = [list(range(20 * i, 20 * i + 20)) for i in range(3)]
    operands = [part for shape, term in zip(shapes, terms, strict=True) for part in (tg.full(shape, 2.0), term)]
    y = tg.einsum(*operands, [3, 59])
    assert y.shape == (1, 1)
    assert y.data[0, 0] == math.prod([2.0] * 3)


@pytest.mark.parametrize("subscripts", ["ij", "ij->ij", "...", "ij..."])
def test_an_operand_left_as_it_is_has_a_handle_of_its_own(subscripts: str) -> None:
    x = leaf(np.ones((2, 3)))
    t = x * 1.0
    y = np.einsum(subscripts, t)
    y += 1.0
    assert t.tolist() == x.tolist()
    assert np.array_equal(derivative(y, x, np.full((2, 3), 2.0)), np.full((2, 3), 2.0))
