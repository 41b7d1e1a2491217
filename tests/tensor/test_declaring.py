"""Declaring operations of one's own: any order of derivative, and mistakes that say what to do."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.engine.zero_safe import sum_of_products
from tinygrad_nn.tensor.declaring import COMPOSITES, PUBLIC, composite, elementwise, primitive


@pytest.fixture(autouse=True)
def own_names() -> Any:
    registries: tuple[dict[str, Any], ...] = (OPERATIONS, PUBLIC, COMPOSITES)
    before, methods = [dict(r) for r in registries], set(vars(tg.Tensor))
    yield
    for registry, known in zip(registries, before, strict=True):
        for name in set(registry) - set(known):
            del registry[name]
    for name in set(vars(tg.Tensor)) - methods:
        delattr(tg.Tensor, name)


def test_a_row_is_a_function_a_method_and_differentiable_twice() -> None:
    cube = elementwise(lambda x: x**3, lambda g, x: g * (3 * x * x), name="cube")
    assert float(tg.grad(tg.grad(cube))(2.0)) == 12.0
    assert float(tg.tensor(2.0).cube()) == 8.0  # type: ignore[attr-defined]


def test_a_rule_may_read_shapes_and_what_requires_grad() -> None:
    def rule(g: Any, x_shape: tuple[int, ...], wanted: tuple[bool, ...]) -> Any:
        assert (x_shape, wanted) == ((3,), (True,))
        return g * 2

    twice = elementwise(lambda x: 2 * x, rule, name="twice")
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    twice(x).sum().backward()
    np.testing.assert_array_equal(x.grad.data, 2.0)  # type: ignore[union-attr]


def test_a_rule_on_raw_arrays_raises_at_second_order_instead_of_being_wrong() -> None:
    raw = elementwise(np.exp, lambda g, y: np.asarray(g) * np.asarray(y), name="raw_exp")
    x = tg.tensor(1.0, requires_grad=True)
    raw(x).backward()
    with pytest.raises(tg.errors.DetachedError, match=r"lose the gradient"):
        tg.autograd.grad(raw(x), x, create_graph=True)


@pytest.mark.parametrize(
    "read",
    [lambda x: x.data, lambda x: x.item(), lambda x: x.numpy(), lambda x: np.array(x.tolist()), lambda x: x.detach()],
    ids=["data", "item", "numpy", "tolist", "detach"],
)
def test_a_rule_that_leaves_the_graph_raises_at_second_order(read: Any) -> None:
    @primitive(name="left", method=False)
    def left(x: Any, /) -> Any:
        return x * x * x

    left.vjp(lambda g, x: g * 3 * (read(x) if isinstance(x, tg.Tensor) else x) ** 2)
    assert float(tg.grad(left)(2.0)) == 12.0
    for second in (
        lambda: tg.grad(tg.grad(left))(2.0),
        lambda: tg.hessian(left)(2.0),
        lambda: tg.hvp(left, (2.0,), (1.0,)),
    ):
        with pytest.raises(tg.errors.DetachedError, match="would be silently 0"):
            second()


def test_hooks_and_checkpoints_may_read_values_while_a_gradient_is_recorded() -> None:
    seen = []
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = x * x * x
    y.register_hook(lambda g: seen.append(g.detach().tolist()))

    def branching(t: Any) -> Any:
        return t * t if t.data[0] > 0 else t

    (g,) = tg.autograd.grad((tg.checkpoint(branching)(y) * 1).sum(), x, create_graph=True)
    assert tg.autograd.grad(g.sum(), x)[0].tolist() == [30.0, 30 * 16.0]
    assert seen[0] == [2.0, 16.0]


def test_a_primitive_without_a_rule_refuses_to_lose_the_gradient() -> None:
    @primitive()
    def mystery(x: Any, /, power: int = 2) -> Any:
        return x**power

    assert float(mystery(3.0)) == 9.0
    with pytest.raises(
        tg.errors.GradientError, match=r"'mystery' has no derivative rule; declare one with mystery.vjp"
    ):
        mystery(tg.tensor(3.0, requires_grad=True))


def test_mistakes_in_a_declaration_are_named() -> None:
    with pytest.raises(TypeError, match=r"the rule of 'misread' for 'x' has the parameters \(g, z\); name first g"):
        elementwise(lambda x: x, lambda g, z: g * z, name="misread")
    del OPERATIONS["misread"]
    with pytest.raises(TypeError, match=r"pair has inputs \('a', 'b'\); give one rule for each, or None"):
        elementwise(lambda a, b: a + b, lambda g: g, name="pair")
    with pytest.raises(ValueError, match="an operation named 'exp' is declared already; choose another name"):
        elementwise(lambda x: x, lambda g: g, name="exp")


def test_a_cell_may_be_run_again() -> None:
    def cell(factor: float) -> Any:
        return elementwise(lambda x: x * factor, lambda g: g * factor, name="again")

    assert [float(tg.grad(cell(factor))(1.0)) for factor in (2.0, 3.0)] == [2.0, 3.0]


def test_one_s_own_rule_for_a_numpy_function_leaves_numpy_s_name_alone() -> None:
    elementwise(np.exp, lambda g: g * 0, name="flat_exp")
    assert float(tg.grad(np.exp)(0.0)) == 1.0


@pytest.mark.parametrize("name", ["grad", "data", "backward"])
def test_a_name_that_the_tensor_uses_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"Tensor.{name} means something else already; pass method=False"):
        elementwise(lambda x: x, lambda g: g, name=name)


def test_a_rule_of_a_wrong_shape_is_named() -> None:
    @primitive(method=False)
    def first(x: Any, /) -> Any:
        return x[0]

    first.vjp(lambda g: np.stack([g, g]))
    with pytest.raises(ValueError, match=r"rule of 'first' for 'x' returned ndarray of shape \(2,\).* shape \(3,\)"):
        first(tg.tensor([1.0, 2.0, 3.0], requires_grad=True)).backward()


@pytest.mark.parametrize("rule", [lambda x, g: 3 * x * x * g, lambda x: 3 * x * x, lambda grad: grad, np.negative])
def test_a_rule_that_does_not_begin_with_g_is_refused_where_it_is_declared(rule: Any) -> None:
    @primitive(method=False)
    def cube(x: Any, /) -> Any:
        return x**3

    with pytest.raises(
        TypeError, match=r"the rule of 'cube' for 'x' .*; name first g, and|write a function that calls"
    ):
        cube.vjp(rule)
    with pytest.raises(TypeError, match=r"name first g, and|write a function that calls"):
        elementwise(lambda x: x**3, rule, name="cube_by_entry", method=False)
    cube.vjp(lambda g, x: g)
    with pytest.raises(TypeError, match=r"name first t, and|write a function that calls"):
        cube.jvp(rule)


@pytest.mark.parametrize("zero_safety", [{}, {"zero_safe": sum_of_products}, {"zero_where": lambda g: g == 0}])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("result", "told"), [(3, "3 of type int"), (None, "None of type NoneType"), ([1.0, 1.0], "[1.0, 1.0] of type list")]
)
def test_a_rule_that_returns_no_array_is_named(result: Any, told: str, masked: bool, zero_safety: Any) -> None:
    @primitive(method=False)
    def first(x: Any, /) -> Any:
        return x * 2

    first.vjp(lambda g, x: result, **zero_safety)
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = first(x) * np.array([0.0, 1.0]) if masked else first(x)
    text = f"the rule of 'first' for 'x' returned {told}, which can't be summed to the input's shape (2,); return the"
    for create_graph in (False, True):
        with pytest.raises(TypeError, match=re.escape(text)):
            y.sum().backward(retain_graph=True, create_graph=create_graph)
    with pytest.raises(TypeError, match=re.escape(text)):
        tg.jvp(first, (np.ones(2),), (np.ones(2),))
    with tg.watch(), pytest.raises(TypeError, match=re.escape(text)):
        first(x).sum().backward()


def test_a_rule_that_reads_nothing_but_its_cotangent_keeps_no_array() -> None:
    x = tg.tensor(np.ones(5), requires_grad=True)
    y = tg.relu(tg.linear(tg.ones((3, 5)), tg.ones((2, 5), requires_grad=True), x[:2]))
    assert (x + x)._node.saved == ()  # type: ignore[union-attr]
    linear = y._node.parents[0]  # type: ignore[union-attr, index]
    kept = [a for a in linear.saved if isinstance(a, np.ndarray)]  # type: ignore[union-attr]
    assert [a.shape for a in kept] == [(3, 5)]  # neither the weight nor the product


def test_a_composite_gets_as_tensors_what_it_declares_as_tensors() -> None:
    @composite(name="kinds", method=False)
    def kinds(x: tg.Tensor, y: tg.Tensor | None = None, rest: Sequence[tg.Tensor] = (), n: Any = 0) -> Any:
        return [type(part) for part in (x, y, *rest, n)]

    assert kinds([1.0, 2.0]) == [tg.Tensor, type(None), int]
    assert kinds(1.5, np.ones(2), [tg.ones(2), [1, 2]], 3) == [tg.Tensor] * 4 + [int]
    assert kinds(x=1.5, rest=[2.5], y=None, n=2.5) == [tg.Tensor, type(None), tg.Tensor, float]


def test_a_composites_types_may_be_texts_or_the_types_themselves() -> None:
    def given(x: Any, y: Any = None, rest: Any = ()) -> Any:
        return [type(part) for part in (x, y, *rest)]

    for types in (
        {"x": tg.Tensor, "y": tg.Tensor | None, "rest": Sequence[tg.Tensor]},
        {"x": "tg.Tensor", "y": "Tensor | None", "rest": "Sequence[tinygrad_nn.Tensor]"},
    ):
        given.__annotations__ = types
        assert composite(name="given", method=False)(given)(1.0, 2.0, [3.0]) == [tg.Tensor] * 3
    given.__annotations__ = {"x": "tg.Tensor | float", "rest": list[float]}
    assert composite(name="given", method=False)(given)(1.0, 2.0, [3.0]) == [float] * 3


def test_what_a_composite_cannot_make_a_tensor_is_refused_with_its_name() -> None:
    with pytest.raises(TypeError) as caught:
        tg.mean("numbers")
    assert any("operation 'mean'" in note for note in caught.value.__notes__), caught.value.__notes__


def test_a_keyword_that_is_no_parameter_is_refused_where_it_is_declared() -> None:
    with pytest.raises(TypeError, match=r"\['lineer'\] are keywords of neither .* nor the function; leave them"):
        primitive(method=False, lineer=True)(lambda x, /, scale=1.0: scale * x)  # type: ignore[arg-type]


def test_a_row_may_have_three_operands() -> None:
    rules = (lambda g, b: g * b, lambda g, a: g * a, lambda g, c: g * 2 * c)
    fused = elementwise(lambda a, b, c: a * b + c * c, *rules, name="multiply_and_square")
    a, b, c = (tg.tensor(values, requires_grad=True) for values in ([1.0, 2.0], [3.0, 5.0], 7.0))
    fused(a, b, c).sum().backward()
    assert [t.grad.tolist() for t in (a, b, c)] == [[3.0, 5.0], [1.0, 2.0], 28.0]  # type: ignore[union-attr]
    assert float(tg.grad(tg.grad(lambda x: fused(1.0, 2.0, x)))(5.0)) == 2.0
    assert float(tg.jvp(fused, (1.0, 2.0, 3.0), (1.0, 10.0, 100.0))[1]) == 2.0 + 10.0 + 600.0
    with pytest.raises(TypeError, match=r"short has inputs \('a', 'b', 'c'\); give one rule for each, or None"):
        elementwise(lambda a, b, c: a, lambda g: g, lambda g: g, name="short")
