"""The contributions to a gradient: their sum, bit for bit, and the ways that they came."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given
from slopes import leaf, slope

import tinygrad_nn as tg
from tinygrad_nn.testing import programs
from tinygrad_nn.testing.random_programs import Program


@given(program=programs(max_steps=12))
def test_terms_sum_to_the_gradient_bit_for_bit(program: Program) -> None:
    inputs = [leaf(x) for x in program.inputs]
    for _ in range(2):  # the second pass adds to what the first has left
        with tg.watch():
            program.run(inputs).backward()
        for x in inputs:
            if x.grad is not None:
                terms = x.grad_terms()
                assert terms.total.tobytes() == slope(x).tobytes()
                assert all(np.shape(term.value) == x.shape for term in terms)


def test_each_use_is_a_term_with_its_way() -> None:
    x = leaf(3.0)
    with tg.watch():
        a = x * x
        b = tg.exp(a)
        loss = a + b + x
        loss.backward()
    last, *squares = x.grad_terms()
    assert (last.path, last.ways, float(last.value)) == (("loss",), 1, 1.0)
    for term, argument in zip(squares, "ab", strict=True):
        assert (term.argument, term.path, term.ways) == (argument, ("a", "add1", "loss"), 2)
    assert "1     loss" in str(x.grad_terms())


def test_what_was_held_before_is_the_last_term() -> None:
    x = leaf([1.0, 2.0])
    (x * 3).sum().backward()
    with tg.watch():
        (x * 5).sum().backward()
    assert [t.argument for t in x.grad_terms()] == ["a", ".grad"]
    np.testing.assert_array_equal(x.grad_terms().total, [8, 8])


def test_cancellation_is_told() -> None:
    x = leaf(1.0)
    with tg.watch():
        (x * 1e6 - x * (1e6 - 1)).backward()
    assert x.grad_terms().cancellation == pytest.approx(2e6 - 1)
    x.grad = None
    with tg.watch():
        (x - x).backward()
    assert x.grad_terms().cancellation == np.inf


def test_a_computed_tensor_that_retains_its_gradient_has_terms() -> None:
    x = leaf([1.0, 2.0])
    with tg.watch() as graph:
        h = x * x
        h.retain_grad()
        (h * h).sum().backward()
    np.testing.assert_array_equal(h.grad_terms().total, graph["h"].adjoint)
    assert len(h.grad_terms()) == 2
    with pytest.raises(tg.errors.GradientError, match="and retain_grad before that if the tensor was computed"):
        (x * x).grad_terms()


def test_terms_go_with_their_leaf_and_others_have_none() -> None:
    x = leaf(1.0)
    with pytest.raises(tg.errors.GradientError, match=r"inside `with tg.watch\(\):`"):
        x.grad_terms()
    with tg.watch():
        (x * 2).backward()
    assert len(x.grad_terms()) == 1
    gc.collect()  # of other tests' leaves
    known = len(tg.inspection.terms._LEAVES)  # type: ignore[attr-defined]
    del x
    gc.collect()
    assert len(tg.inspection.terms._LEAVES) == known - 1  # type: ignore[attr-defined]


def test_repeated_indices_and_masks_sum_as_well() -> None:
    x = leaf(np.arange(4.0))
    with tg.watch():
        (x[[0, 0, 3]].sum() + x[1:].sum() * 0.1 + x[x.data > 1].sum() * 0.3).backward()
    assert x.grad_terms().total.tobytes() == slope(x).tobytes()


def test_a_gradient_that_has_changed_since_is_refused() -> None:
    x = leaf([1.0, 2.0])
    with tg.watch():
        (x * 3).sum().backward()
    (x * x).sum().backward()
    with pytest.raises(tg.errors.GradientError, match="has changed since the pass that was watched; call grad_terms"):
        x.grad_terms()
    x.grad = None
    np.testing.assert_array_equal(x.grad_terms().total, [3, 3])
    (x * x).sum().backward()
    with pytest.raises(tg.errors.GradientError, match="has changed since"):
        x.grad_terms()


def test_terms_of_a_pass_that_fills_no_gradient_are_those_of_the_pass() -> None:
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    tg.graph(lambda: (x * 3).sum())
    np.testing.assert_array_equal(x.grad_terms().total, [3, 3])
    with tg.watch():
        tg.autograd.grad((x * 5).sum(), [x])
    np.testing.assert_array_equal(x.grad_terms().total, [5, 5])


def test_what_a_hook_has_changed_is_a_term() -> None:
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: g * 10)
    for whole in ([30, 30], [60, 60]):
        with tg.watch():
            (x * 3).sum().backward()
        terms = x.grad_terms()
        assert [term.argument for term in terms][:2] == ["a", "hook"]
        np.testing.assert_array_equal(terms[1].value, [27, 27])
        np.testing.assert_array_equal(terms.total, whole)


def test_terms_are_those_of_the_pass_that_came_last_to_the_leaf() -> None:
    x, z = leaf(1.0), leaf(2.0)
    with tg.watch() as graph:
        h = x * x
        y = h * z
        h.backward(retain_graph=True)
        (z * z).backward()
    assert [term.path for term in x.grad_terms()] == [("h",), ("h",)]
    assert [term.argument for term in z.grad_terms()] == ["a", "b"]
    assert graph[y].adjoint is None


def test_each_pass_that_was_added_up_has_its_terms() -> None:
    x = leaf([0.1, 0.2])
    (x * 7).sum().backward()
    with tg.watch():
        (x * x * 0.3).sum().backward()
        tg.autograd.grad((x * 9).sum(), [x])  # fills no `.grad`
        first = slope(x).copy()
        (x * 1.1 + x * 0.7).sum().backward()
    with tg.watch():
        tg.exp(x).sum().backward()
    terms = x.grad_terms()
    assert [t.path[0] for t in terms[:5]] == ["multiply1", "multiply1", "multiply5", "multiply4", "exp1"]
    assert [t.argument for t in terms[5:]] == [".grad"]
    assert terms.total.tobytes() == slope(x).tobytes()
    assert not np.array_equal(first, slope(x))
    x.grad = None
    with tg.watch():
        (x * x).sum().backward()
    assert len(x.grad_terms()) == 2


def test_terms_of_infinities_warn_of_nothing() -> None:
    x = leaf([1.0])
    x.register_hook(lambda g: g)
    with np.errstate(invalid="ignore"), tg.watch():
        (x * np.inf - x * np.inf).sum().backward()
    assert np.isnan(x.grad_terms().total).all()
    assert "cancellation nan" in str(x.grad_terms())
