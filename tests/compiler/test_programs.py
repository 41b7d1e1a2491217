"""Random programs of many operations, compiled: values, gradients and Hessian-vector products are the eager ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.compiler.lower import lowering
from tinygrad_nn.compiler.numpy_calls import of_numpy
from tinygrad_nn.errors import CompileError
from tinygrad_nn.testing import programs
from tinygrad_nn.testing.random_programs import Program

DEEP = settings.default is not None and settings.default.max_examples >= 2000


def near(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple([x * 0.97 + 0.003 for x in arrays])


def gradient_of(program: Program) -> Any:
    """Return the function of arrays that computes a program's value and gradient, as a step does."""

    def function(*arrays: Any) -> Any:
        leaves = [tg.Tensor(x, requires_grad=True) for x in arrays]
        value = program.run(leaves)
        return value.detach(), tg.autograd.grad(value, leaves, allow_unused=True)

    return function


def product_of(program: Program) -> Any:
    """Return the function of arrays that computes the program's Hessian along the inputs themselves."""

    def function(*arrays: Any) -> Any:
        leaves = [tg.Tensor(x, requires_grad=True) for x in arrays]
        first = tg.autograd.grad(program.run(leaves), leaves, create_graph=True, allow_unused=True)
        along = sum([(g * x).sum() for g, x in zip(first, arrays, strict=True) if g is not None], start=tg.tensor(0.0))
        return tg.autograd.grad(along, leaves, allow_unused=True) if along.requires_grad else []

    return function


@settings(max_examples=10000 if DEEP else 40)
@given(programs())
def test_gradients_of_random_programs(program: Program) -> None:
    function = gradient_of(program)
    compiled = tg.compile(function, exact=True)
    for arrays in (program.inputs, near(program.inputs), program.inputs):
        assert same(compiled(*arrays), function(*arrays))


@settings(max_examples=2000 if DEEP else 15)
@given(programs(max_steps=12))
def test_hessians_of_random_programs(program: Program) -> None:
    function = product_of(program)
    compiled = tg.compile(function, exact=True)
    for arrays in (program.inputs, near(program.inputs)):
        assert same(compiled(*arrays), function(*arrays))


@settings(max_examples=2000 if DEEP else 15)
@given(programs())
def test_programs_reordered_are_equal_up_to_rounding(program: Program) -> None:
    function = gradient_of(program)
    compiled = tg.compile(function)
    for arrays in (program.inputs, near(program.inputs)):
        (value, gradients), (expected, expected_gradients) = compiled(*arrays), function(*arrays)
        pairs = [(value, expected), *zip(gradients, expected_gradients, strict=True)]
        for found, right in pairs:
            assert (found is None) == (right is None)
            if right is not None:
                np.testing.assert_allclose(found.data, right.data, rtol=1e-9, atol=1e-9 * float(abs(right.data).max()))


def test_a_program_that_computes_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(program: Any) -> Any:
        for line in program.lines:
            if line.function.text == "np.tanh":
                line.function = of_numpy(np.arctan)
        return program

    monkeypatch.setattr(lowering, "selected", spoiled)
    with pytest.raises(CompileError, match=r"a result differs from what the function computes"):
        tg.compile(lambda x: np.tanh(x * 2) + 1)(np.ones(3))
