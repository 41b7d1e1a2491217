"""Names in generated code: identifiers as Python reads them, none twice, none that hides what the text calls."""

from __future__ import annotations

import keyword
import unicodedata
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from listings import agree, run

import tinygrad_nn as tg
from tinygrad_nn.compiler.program import Value
from tinygrad_nn.compiler.write.naming import Names


@given(st.lists(st.text(max_size=4), max_size=8))
def test_any_wish_becomes_an_identifier_that_nobody_has(wishes: list[str]) -> None:
    names = Names()
    found = [unicodedata.normalize("NFKC", names.new(wish)) for wish in wishes]
    assert len({*found}) == len(found)
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in found)


def test_names_that_python_reads_as_one_are_two() -> None:
    names = Names()
    assert [names.new(wish) for wish in ("fi", "ﬁ", "x²", "x2")] == ["fi", "fi_2", "x2", "x2_2"]


def test_numbered_names_count_and_others_get_a_number_when_they_are_taken() -> None:
    names = Names()
    assert [names.new(wish) for wish in ("exp#", "exp#", "W", "W", "class", "1x", "", "np")] == [
        *("exp1", "exp2", "W", "W_2", "_class", "_1x", "_", "np_2")
    ]


def test_an_adjoint_is_named_after_its_primal_and_a_transpose_after_its_matrix() -> None:
    names, W, dW, T = Names(), Value(np.eye(2), "W"), Value(np.eye(2)), Value(np.eye(2), "T")
    dW.primal, T.after = W, W
    assert [names.of(v) for v in (W, dW, T, W)] == ["W", "dW", "WT", "W"]


@pytest.mark.parametrize("name", ["u", "ﬁ", "x²", "class", "float", "slice", "np", "memory", "bool", "a b", "ᵀ", "L"])
def test_a_tensor_has_the_name_that_it_is_given_inside(name: str) -> None:
    def doubled(x: Any) -> Any:
        u = x * 2
        u.name = name
        return (u * u).sum()

    compiled = tg.compile(tg.grad(doubled))
    right = compiled(np.arange(3.0))
    agree(run(compiled.explain()), right)
    agree(compiled(np.arange(3.0)), right)
    if name == "u":
        assert "    u = 2 * x " in compiled.explain()


def test_what_a_backward_pass_differentiates_has_its_name_alone() -> None:
    """In dL/dx = 2 * L nobody could tell the loss L from a matrix of that name."""

    def function(L: Any, L2: Any) -> Any:
        return (L @ L.T * L2).sum()

    compiled = tg.compile(tg.grad(function))
    compiled(np.eye(2), np.eye(2))
    assert "def gradient(L_2, L2):" in compiled.explain()
    assert "# backward, L = loss\n" in compiled.explain()


def test_parameters_may_have_any_names() -> None:
    def shadowing(float: Any, slice: Any, abs: Any, memory: Any, step: Any) -> Any:
        return tg.exp(float) * slice + abs[0:1] - memory * step

    x = np.arange(1.0, 4.0)
    compiled = tg.compile(shadowing)
    agree(compiled(x, x, x, x, 2.0), compiled(x, x, x, x, 2.0))
    agree(run(compiled.explain()), compiled(x, x, x, x, 2.0))


def test_what_is_added_to_a_layers_output_is_no_bias() -> None:
    """A product, its bias and a third term in one memory: the names of all three once got mixed up."""
    layer = tg.nn.Linear(3, 3, seed=0)
    compiled = tg.compile(lambda x: tg.exp(x + layer(x)).sum().detach())
    x = np.random.default_rng(0).normal(size=(4, 3))
    right = compiled(x)
    agree(compiled(x), right)
    agree(run(compiled.explain()), right)
    assert compiled.programs
    assert "Z = x @ weight.T + bias " in compiled.explain()
