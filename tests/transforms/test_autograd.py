"""autograd.grad: with respect to what it differentiates, what it sums, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from slopes import leaf

import tinygrad_nn as tg
from tinygrad_nn.errors import DisconnectedError, GradientError


@pytest.mark.parametrize(
    ("outputs", "inputs", "words"),
    [
        (None, np.ones(2), r"input 0 is ndarray of shape \(2,\), and only Tensors are differentiated"),
        (None, 3.0, r"input 0 is 3\.0 of type float, .*: x = tg\.tensor\(x, requires_grad=True\)"),
        (None, [tg.ones(2, requires_grad=True), [1.0]], r"input 1 is \[1\.0\] of type list"),
        (2.0, None, r"output 0 is 2\.0 of type float, and only Tensors are differentiated"),
    ],
)
def test_what_is_not_a_tensor_is_not_differentiated(outputs: Any, inputs: Any, words: str) -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TypeError, match=words):
        tg.autograd.grad((x * x).sum() if outputs is None else outputs, x if inputs is None else inputs)


def test_gradients_with_respect_to_intermediate_tensors() -> None:
    x = leaf(2.0)
    h = x * x
    y = tg.exp(h)
    dh, dx = tg.autograd.grad(y * 1, [h, x])
    assert dh is not None
    assert dx is not None
    np.testing.assert_allclose([dh.item(), dx.item()], [np.exp(4.0), 4 * np.exp(4.0)], rtol=1e-15)


def test_an_output_is_its_own_input() -> None:
    y = leaf(2.0) * 3
    (g,) = tg.autograd.grad(y, y)
    assert g is not None
    assert g.item() == 1.0


def test_autograd_grad_touches_no_grad_and_retains_nothing() -> None:
    x = leaf(2.0)
    h = x * x
    h.retain_grad()
    tg.autograd.grad(h * 1, x)
    assert x.grad is None
    assert h.grad is None


def test_several_outputs_are_summed_and_an_output_listed_twice_counts_twice() -> None:
    x = leaf(3.0)
    y = x * x
    (g,) = tg.autograd.grad([y, y, x * 1], x)
    assert g is not None
    assert g.item() == 13.0


def test_an_output_inside_the_graph_of_another_gets_both_cotangents() -> None:
    x = leaf(3.0)
    h = x * x
    (g,) = tg.autograd.grad([h, h * 5], x, grad_outputs=[1.0, 1.0])
    assert g is not None
    assert g.item() == 36.0


def test_grad_outputs_must_be_as_many_as_the_outputs() -> None:
    x = leaf(3.0)
    with pytest.raises(ValueError, match="2 outputs need 2 grad_outputs"):
        tg.autograd.grad([x * 1, x * 2], x, grad_outputs=[1.0])


def test_an_input_that_nothing_connects_raises_or_gives_none() -> None:
    x, z = leaf(1.0), leaf(2.0)
    with pytest.raises(DisconnectedError, match=r"input 1.*allow_unused=True"):
        tg.autograd.grad(x * 2, [x, z], retain_graph=True)
    dx, dz = tg.autograd.grad(x * 2, [x, z], allow_unused=True)
    assert dx is not None
    assert dx.item() == 2.0
    assert dz is None


def test_an_input_cut_off_by_detach_raises() -> None:
    x = leaf(1.0)
    with pytest.raises(DisconnectedError, match="detach"):
        tg.autograd.grad(x.detach() * leaf(2.0), x)


def test_an_input_that_records_nothing_is_an_error() -> None:
    with pytest.raises(GradientError, match="input 0 records nothing"):
        tg.autograd.grad(leaf(1.0) * 2, tg.tensor(1.0))
