"""Forward mode, called directly: what a tangent is like, and which are computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from slopes import leaf

import tinygrad_nn as tg
from tinygrad_nn.engine import operation
from tinygrad_nn.engine.forward import pushforward
from tinygrad_nn.tensor import declaring
from tinygrad_nn.tensor.handle import make, node_of


def pushed(y: Any, given: dict[Any, Any], *, create_graph: bool = False) -> Any:
    """Return the tangent of `y`, those of the given tensors being known."""
    tangents = {node_of(t): np.array(tangent, t.dtype) for t, tangent in given.items()}
    lifted: Any = {node: make(t, None) for node, t in tangents.items()} if create_graph else tangents
    return pushforward([node_of(y)], lifted, make, create_graph=create_graph)[node_of(y)]


@pytest.fixture(name="both")
def _both(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an operation of two inputs and two outputs, which is forgotten after the test."""
    monkeypatch.setattr(operation, "OPERATIONS", dict(operation.OPERATIONS))
    monkeypatch.setattr(declaring, "PUBLIC", dict(declaring.PUBLIC))

    @declaring.primitive(multiple_outputs=True, method=False)
    def both(a: Any, b: Any, /) -> Any:
        return a * b, a + b

    both.vjp(lambda g, b: g[0] * b + g[1], lambda g, a: g[0] * a + g[1])
    return both


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: np.concatenate([x, y]),  # x alone has a tangent, and zeros stand for that of y
        lambda x, y: tg.where(np.array([True, False]), x, y),
        lambda x, y: x * y + tg.exp(x) @ y,
        lambda x, y: x.sum() * 2.0,
        lambda x, y: np.sort(x),
    ],
    ids=["joined", "chosen", "computed", "summed", "sorted"],
)
def test_a_tangent_has_the_dtype_of_its_node(function: Any) -> None:
    x, y = leaf([1.0, 2.0], np.float32), leaf([3.0, 4.0], np.float32)
    assert pushed(function(x, y), {x: [1.0, 1.0]}).dtype == np.float32
    assert tg.jvp(lambda x: function(x, y), (x.detach(),), (np.ones(2, np.float32),))[1].dtype == np.float32


def test_a_tangent_follows_a_change_of_dtype() -> None:
    x = leaf([1.0, 2.0], np.float32)
    assert pushed(x.astype(np.float64), {x: [1.0, 1.0]}).dtype == np.float64


def test_a_tangent_has_the_shape_of_its_node() -> None:
    x, rows = leaf([1.0, 2.0]), leaf(np.ones((3, 2)))
    np.testing.assert_array_equal(pushed(x + rows, {x: [5.0, 7.0]}), [[5.0, 7.0]] * 3)


def test_two_outputs_of_two_inputs_add_up_what_each_input_contributes(both: Any) -> None:
    a, b = leaf([2.0, 3.0]), leaf([5.0, 7.0])
    product, total = both(a, b)
    given = {a: [1.0, 1.0], b: [1.0, 10.0]}
    np.testing.assert_array_equal(pushed(product, given), [7.0, 37.0])  # b + a, and b + 10 a
    np.testing.assert_array_equal(pushed(total, given), [2.0, 11.0])


def test_a_rule_that_pushes_to_two_outputs_returns_two_tangents(both: Any) -> None:
    both.jvp(lambda t, b: (t * b, t), lambda t, a: (t * a, t))
    a, b = leaf([2.0, 3.0]), leaf([5.0, 7.0])
    product, total = both(a, b)
    given = {a: [1.0, 1.0], b: [1.0, 10.0]}
    np.testing.assert_array_equal(pushed(product, given), [7.0, 37.0])
    np.testing.assert_array_equal(pushed(total, given), [2.0, 11.0])


def test_the_outputs_of_a_linear_operation_have_a_tangent_each() -> None:
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    first, second = tg.unstack(x)
    given = {x: [[5.0, 6.0], [7.0, 8.0]]}
    np.testing.assert_array_equal(pushed(first, given), [5.0, 6.0])
    np.testing.assert_array_equal(pushed(second, given), [7.0, 8.0])


def test_an_output_that_does_not_depend_on_an_input_has_a_recorded_tangent_of_zero(both: Any) -> None:
    both.vjp(lambda g, b: g[0] * b, lambda g, a: g[0] * a)  # as if the second output depended on neither
    a, b = leaf([2.0, 3.0]), leaf([5.0, 7.0])
    _, total = both(a, b)
    t = pushed(total, {a: [1.0, 1.0]}, create_graph=True)
    assert isinstance(t, tg.Tensor)
    np.testing.assert_array_equal(t.data, [0.0, 0.0])


def test_a_given_tangent_of_an_inner_node_counts_instead_of_its_parents() -> None:
    x = leaf(3.0)
    inner = x * x
    y = inner * 2.0
    assert pushed(y, {x: 1.0}) == 12.0
    assert pushed(y, {inner: 100.0}) == 200.0
    assert pushed(y, {x: 1.0, inner: 100.0}) == 200.0


def test_a_node_that_no_given_one_reaches_has_no_tangent() -> None:
    x, y = leaf(1.0), leaf(2.0)
    z = y * 3
    assert node_of(z) not in pushforward([node_of(z * x)], {node_of(x): np.array(1.0)}, make, create_graph=False)


@pytest.mark.parametrize(("result", "told"), [(None, "None of type NoneType"), (3, "3 of type int")])
def test_a_rule_that_pushes_no_array_is_named(result: Any, told: str, both: Any) -> None:
    both.jvp(lambda t: result, lambda t: t)
    product, _ = both(leaf([2.0, 3.0]), leaf([5.0, 7.0]))
    whole = node_of(product).parents[0]
    with pytest.raises(TypeError, match=rf"the rule that pushes 'a' of 'both' returned {told}; return the output"):
        pushforward([whole], {whole.parents[0]: np.ones(2)}, make, create_graph=False)


def test_a_recorded_tangent_is_differentiable() -> None:
    x = leaf(2.0)
    t = pushed(x * x * x, {x: 1.0}, create_graph=True)  # 3 x^2
    assert tg.autograd.grad(t, x)[0].item() == 12.0


def test_a_rule_that_is_transposed_is_told_that_all_cotangents_arrived(both: Any) -> None:
    told: list[list[int]] = []

    def rule(g: Any, b: Any) -> Any:
        told.append(list(g.arrived))
        return g[0] * b + g[1]

    both.vjp(rule, lambda g, a: g[0] * a + g[1])
    x = leaf([1.0, 2.0])
    np.testing.assert_array_equal(pushed(both(x, np.array([3.0, 4.0]))[0], {x: [1.0, 1.0]}), [3.0, 4.0])
    assert told == [[0, 1]]


def test_a_zero_tangent_stays_zero_at_a_singular_slope_and_nothing_warns() -> None:
    x = leaf([0.0, 2.0])
    with np.errstate(divide="ignore"):
        y = tg.log(x)
    np.testing.assert_array_equal(pushed(y, {x: [0.0, 1.0]}), [0.0, 0.5])


def test_tangents_are_recorded_and_rules_transposed_under_no_grad_too(both: Any) -> None:
    x = leaf([1.0, 2.0])
    y, z = tg.exp(x), both(x, np.array([3.0, 4.0]))[0]
    with tg.no_grad():
        assert pushed(y, {x: [1.0, 1.0]}, create_graph=True).requires_grad
        np.testing.assert_array_equal(pushed(z, {x: [1.0, 1.0]}), [3.0, 4.0])


@pytest.mark.parametrize("zero", [lambda g: np.zeros_like(g[0]), lambda g: np.zeros(2)], ids=["Tensor", "array"])
def test_a_rule_that_is_zero_pushes_zeros(both: Any, zero: Any) -> None:
    both.vjp(zero, lambda g, a: g[0] * a + g[1])
    x = leaf([1.0, 2.0])
    np.testing.assert_array_equal(pushed(both(x, np.array([3.0, 4.0]))[0], {x: [1.0, 1.0]}), [0.0, 0.0])
