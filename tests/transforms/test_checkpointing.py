"""checkpoint: the same derivatives to every order, less memory, and mistakes that are told."""

import gc
import random
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest
from slopes import derivative

import tinygrad_nn as tg
from tinygrad_nn.errors import GradientError

RNG = np.random.default_rng(0)
WEIGHT: Any = tg.tensor(RNG.standard_normal((4, 4)) / 2, requires_grad=True)


def part(x: Any, scale: float) -> Any:
    h = np.tanh(x @ WEIGHT)
    return {"a": h * scale, "b": (h * h).sum(), "same": x, "constant": 1.0}


def chain(function: Any, x: Any) -> Any:
    first = function(x, 2.0)
    second = function(first["a"] + first["b"] + first["same"], scale=1.5)
    return (second["a"] * second["a"]).sum() + second["b"] * second["constant"]


def derivatives(function: Any, order: int) -> list[Any]:
    x = tg.tensor(np.linspace(-1, 1, 12).reshape(3, 4), requires_grad=True)
    y, found = chain(function, x), []
    for _ in range(order):
        gradients = tg.autograd.grad(y, [x, WEIGHT], create_graph=True)
        found += [g.data for g in gradients if g is not None]
        y = sum((g * g).sum() for g in gradients if g is not None)
    return found


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_are_those_without_it(order: int) -> None:
    for found, expected in zip(derivatives(tg.checkpoint(part), order), derivatives(part, order), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_backward_reaches_parameters_and_arguments() -> None:
    expected = derivatives(part, 1)
    x = tg.tensor(np.linspace(-1, 1, 12).reshape(3, 4), requires_grad=True)
    WEIGHT.zero_grad()
    chain(tg.checkpoint(part), x).backward()
    assert x.grad is not None
    assert WEIGHT.grad is not None
    np.testing.assert_allclose(x.grad.data, expected[0])
    np.testing.assert_allclose(WEIGHT.grad.data, expected[1])


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_part_may_read_what_was_computed_from_another_of_its_inputs(create_graph: bool) -> None:
    x: Any = tg.tensor(3.0, requires_grad=True)
    y = x * x
    z = tg.checkpoint(lambda x, y: x * y)(x, y) + y
    (g,) = tg.autograd.grad(z, [x], create_graph=create_graph)
    assert g is not None
    assert g.item() == 33.0  # of x^3 + x^2
    if create_graph:
        (second,) = tg.autograd.grad(g, [x])
        assert second is not None
        assert second.item() == 20.0
        tangent: Any = tg.jvp(lambda x: tg.checkpoint(lambda x, y: x * y)(x, x * x), (x.detach(),), (np.array(1.0),))[1]
        assert tangent.item() == 27.0


@pytest.mark.parametrize("is_leaf", [True, False])
def test_a_hook_of_what_a_part_reads_runs_once(is_leaf: bool) -> None:
    seen: list[float] = []

    def doubled(g: Any) -> Any:
        seen.append(g.item())
        return 2 * g

    x: Any = tg.tensor(3.0, requires_grad=True)
    y = x if is_leaf else x * 1.0
    y.register_hook(doubled)
    tg.checkpoint(lambda y: y * y)(y).backward()
    assert seen == [6.0]
    assert x.grad.item() == 12.0


def test_forward_mode_goes_through_it() -> None:
    x, v = np.linspace(-1, 1, 12).reshape(3, 4), RNG.standard_normal((3, 4))
    for transform in (tg.jvp, tg.hvp):
        found, expected = (transform(lambda x, f=f: chain(f, x), (x,), (v,)) for f in (tg.checkpoint(part), part))
        np.testing.assert_allclose(found[-1].data, expected[-1].data, rtol=1e-11)


def test_it_keeps_the_inputs_only() -> None:
    def block(x: Any) -> Any:
        for _ in range(20):
            x = np.sin(x) * 1.01
        return x

    def kept(function: Any) -> int:
        x: Any = tg.tensor(np.ones(20_000), requires_grad=True)
        tracemalloc.start()
        for _ in range(5):
            x = function(x)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        x.sum().backward()
        return size

    assert kept(tg.checkpoint(block)) < kept(block) / 10


def test_backward_frees_what_a_part_was_given() -> None:
    """By counts of references: nothing waits for the collector of cycles."""
    gc.disable()
    try:
        given = tg.ones((3, 4), requires_grad=True) * 2
        held = weakref.ref(given.data)
        loss = tg.checkpoint(part)(given, 2.0)["b"]
        del given
        assert held() is not None
        loss.backward()
        assert held() is None
    finally:
        gc.enable()


def test_a_chain_of_parts_is_linear_in_their_number() -> None:
    calls = [0]

    @tg.checkpoint
    def step(x: Any) -> Any:
        calls[0] += 1
        return np.sin(x)

    x = tg.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(2000):
        y = step(y)
    y.backward()
    assert calls == [4000]


def test_modules_and_rebinding_arguments() -> None:
    model = tg.nn.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": "tanh"}])
    x = tg.tensor([[1.0, 2.0]], requires_grad=True) * 1.0
    y = tg.checkpoint(lambda m, x: m(x))(model, x)
    x += 100.0
    y.sum().backward()
    found = [p.grad.data for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    model([[1.0, 2.0]]).sum().backward()
    np.testing.assert_allclose(found[0], model.values["W1"].grad.data)  # type: ignore[union-attr]


def test_nothing_is_recorded_without_need() -> None:
    with tg.no_grad():
        assert not tg.checkpoint(np.sin)(tg.tensor(1.0, requires_grad=True)).requires_grad
    assert not tg.checkpoint(np.sin)(tg.tensor(1.0)).requires_grad
    assert tg.checkpoint(lambda x: x)(WEIGHT).requires_grad


def test_a_function_that_does_not_repeat_itself_is_told() -> None:
    other = [WEIGHT, tg.tensor(2.0, requires_grad=True)]
    y = tg.checkpoint(lambda x: x * other.pop())(tg.tensor(1.0, requires_grad=True))
    with pytest.raises(GradientError, match="called again"):
        y.sum().backward()


class Noisy(tg.nn.Module):
    """What a part draws, and what it moves: dropout, batch norm's statistics, a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.dropout = tg.nn.BatchNorm1d(3), tg.nn.Dropout(0.5, seed=1)
        self.rng = np.random.Generator(np.random.MT19937(2))

    def forward(self, x: Any) -> Any:
        return np.tanh(self.dropout(self.norm(x)) * self.rng.random(3))


@pytest.mark.parametrize("inner", [lambda f: f, tg.checkpoint], ids=["one", "nested"])
def test_modules_draw_the_same_again_and_stay_as_without_it(inner: Any) -> None:
    def found(wrap: Any) -> list[Any]:
        module = Noisy()
        x = tg.tensor(np.linspace(-1, 2, 12).reshape(4, 3), requires_grad=True)
        y = wrap(lambda x: inner(module)(x) * 2)(wrap(module)(x))
        (g,) = tg.autograd.grad((y * y).sum(), x, create_graph=True)
        (h,) = tg.autograd.grad((g * g).sum(), x)
        return [y, g, h, *module.buffers(), module.rng.random(), module.dropout(tg.ones(9))]

    for a, b in zip(found(tg.checkpoint), found(lambda f: f), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_compiled_step_draws_anew_at_each_call_and_the_same_within_it() -> None:
    steps = []
    for wrap in (tg.checkpoint, lambda f: f):
        module = tg.nn.Dropout(0.5, seed=3)
        part = wrap(lambda x, module=module: np.exp(module(x)))
        step = tg.compile(lambda x, part=part: tg.autograd.grad(part(x).sum(), x))
        steps.append([step(tg.tensor(np.ones(50), requires_grad=True))[0] for _ in range(3)])
    np.testing.assert_array_equal(steps[0], steps[1])


GENERATOR, STATE, TABLE = np.random.default_rng(0), np.random.RandomState(0), {"of": [np.random.default_rng(1)]}
DRAWS: dict[str, Any] = {
    "numpy's own": lambda x: x * np.random.random(x.shape),
    "a global one": lambda x: x * (GENERATOR.random(x.shape) > 0.5),
    "in a sum": lambda x: (x * (GENERATOR.random(x.shape) > 0.5)).sum(),
    "of the old kind": lambda x: x * STATE.rand(*x.shape),
    "in a table": lambda x: {"a": x * 2, "b": x * TABLE["of"][0].standard_normal()},
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_second_call_draws_the_random_numbers_of_the_first(name: str) -> None:
    """Three entries and a coin: the sum of other draws is often the same, which no comparison of values would tell."""
    generators: list[Any] = [np.random.mtrand._rand, GENERATOR, STATE, TABLE["of"][0]]

    def total(y: Any) -> Any:
        return (y["b"] if isinstance(y, dict) else y).sum()

    for _ in range(20):
        x = tg.tensor([1.0, 1.0, 1.0], requires_grad=True)
        states = [g._bit_generator.state for g in generators]
        right = derivative(total(DRAWS[name](x)), x)
        for g, state in zip(generators, states, strict=True):
            g._bit_generator.state = state
        y = total(tg.checkpoint(DRAWS[name])(x))
        after = [repr(g._bit_generator.state) for g in generators]
        np.testing.assert_array_equal(derivative(y, x), right)
        assert [repr(g._bit_generator.state) for g in generators] == after


def test_other_random_numbers_are_refused() -> None:
    x = tg.tensor(np.ones(200), requires_grad=True)
    y = tg.checkpoint(lambda x: x * random.random())(x)
    with pytest.raises(GradientError, match="draw random numbers only in modules"):
        y.sum().backward()
    y = tg.checkpoint(lambda x: x * random.random())(tg.tensor([1.0, np.inf], requires_grad=True))
    with pytest.raises(GradientError, match="draw random numbers only in modules"):
        y.sum().backward()


def test_equal_values_are_no_others() -> None:
    x = tg.tensor([np.nan, np.inf, -np.inf, 1.0, 1e-300], requires_grad=True)
    for function in (lambda x: x * 2, lambda x: x[:0].sum() + x, lambda x: x[:0]):
        tg.checkpoint(function)(x).sum().backward()
