"""Transforms and checks take a function for one of values: modules are afterwards as they were."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from same_bits import same

import tinygrad_nn as tg

nn = tg.nn
X = np.random.default_rng(0).normal(1, 2, (5, 3))
DIRECTION = np.random.default_rng(1).normal(size=X.shape)
NAMED_AS_GLOBAL = nn.Sequential(nn.Linear(3, 3, seed=0), nn.BatchNorm1d(3), nn.Dropout(0.5, seed=1))


def network() -> Any:
    return nn.Sequential(nn.Linear(3, 3, seed=0), nn.BatchNorm1d(3), nn.Dropout(0.5, seed=1))


def state(module: Any) -> Any:
    generators = [repr(g.bit_generator.state) for g in module.generators().values()]
    return [*(t.data for t in module.buffers()), *generators]


def cost(module: Any, x: Any) -> Any:
    return (module(x) ** 2).sum()


class Cost(nn.Module):
    def __init__(self, module: Any) -> None:
        self.module = module

    def forward(self, x: Any) -> Any:
        return cost(self.module, x)


# How a function comes to its module: as an argument, or in one of the ways in which its code names it.
WAYS: dict[str, Callable[[Any], Callable[[Any], Any]]] = {
    "closure": lambda module: lambda x: cost(module, x),
    "partial": lambda module: functools.partial(cost, module),
    "partial by name": lambda module: functools.partial(lambda x, m: cost(m, x), m=module),
    "module": Cost,
    "method": lambda module: Cost(module).forward,
}
TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda f: tg.grad(f)(X),
    "value_and_grad": lambda f: tg.value_and_grad(f)(X)[1],
    "vjp": lambda f: tg.vjp(f, X)[1](1.0)[0],
    "jvp": lambda f: tg.jvp(f, (X,), (DIRECTION,))[1],
    "jacobian": lambda f: tg.jacobian(f)(X),
    "hessian": lambda f: tg.hessian(f)(X[:2]),
    "hvp": lambda f: tg.hvp(f, (X,), (DIRECTION,))[0],
    "numerical_gradient": lambda f: tg.numerical_gradient(f, X),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_module_is_afterwards_as_it_was(transform: str, way: str) -> None:
    module = network()
    before = state(module)
    results = [TRANSFORMS[transform](WAYS[way](module)).data for _ in range(2)]
    assert same(state(module), before)
    assert same(results[:1], results[1:])
    cost(module, X)
    assert not same(state(module), before)  # as a call does


def test_so_is_one_among_the_arguments_or_named_as_a_global() -> None:
    module = network()
    before = state(module), state(NAMED_AS_GLOBAL)
    for trees in ([module], {"net": (module,)}):
        tg.grad(lambda tree, x: cost(tree[0] if isinstance(tree, list) else tree["net"][0], x))(trees, X)
        tg.grad(lambda x, tree: cost(module, x), argnums=0)(X, trees)
    tg.grad(lambda x: cost(NAMED_AS_GLOBAL, x))(X)
    assert same([state(module), state(NAMED_AS_GLOBAL)], [*before])


def test_a_failing_evaluation_puts_back_too() -> None:
    module = network()
    before = state(module)

    def failing(x: Any) -> Any:
        raise ArithmeticError(cost(module, x).item())

    with pytest.raises(ArithmeticError):
        tg.grad(failing)(X)
    assert same(state(module), before)


@pytest.mark.parametrize("order", [1, 2])
def test_a_check_of_a_module_in_train_mode_is_right(order: int) -> None:
    module = network()
    before = state(module)
    report = tg.gradcheck(cost, module, X, order=order)
    assert report
    assert report.verdict.value == "OK"
    assert same(state(module), before)

    class Doubled(nn.BatchNorm1d):
        def forward(self, x: Any) -> Any:
            y = super().forward(x)
            return y + (y.detach() - y) / 2

    assert not tg.gradcheck(cost, nn.Sequential(Doubled(3), nn.Dropout(0.5, seed=0)), X)


def test_a_dropped_unit_has_the_slope_of_its_own_mask() -> None:
    module = nn.Dropout(0.5, seed=3)
    value, slopes = tg.value_and_grad(lambda x: module(x).sum())(np.ones(8))
    assert value.item() == slopes.sum().item()
    assert same([tg.grad(lambda x: module(x).sum())(np.ones(8)).data], [slopes.data])
    assert same([module(np.ones(8)).data], [slopes.data])  # what the next call draws


def test_a_compiled_gradient_puts_back_as_well() -> None:
    module = network().requires_grad_(False)
    compiled, eager = (make(tg.value_and_grad(lambda x: cost(module, x))) for make in (tg.compile, lambda f: f))
    before = state(module)
    for x in (X, X + 1, X * 2):
        assert same([compiled(x)[1].data], [eager(x)[1].data])
        assert same(state(module), before)
    dropout = nn.Dropout(0.5, seed=3)

    def beside(x: Any) -> Any:
        """Draw before, in, and after evaluations of which one lies in the other."""
        product = tg.hvp(lambda z: (dropout(z) ** 3).sum() + (dropout(z) ** 2).sum(), (x,), (x,))[0]
        inner = tg.grad(lambda z: (dropout(z) ** 3).sum())
        slopes = tg.grad(lambda z: inner(z * dropout(z)).sum())(x)
        return dropout(x).detach(), product, slopes, dropout(x).detach()

    twin, compiled = np.random.default_rng(3), tg.compile(beside)
    found = [[y.data for y in compiled(X)] for _ in range(3)]
    dropout.generator = twin
    assert same(found, [[y.data for y in beside(X)] for _ in range(3)])


def test_what_is_set_as_another_attribute_stays() -> None:
    """The documentation says so: buffers and generators are put back."""

    class Counting(nn.Module):
        calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return (x**2).sum()

    module = Counting()
    tg.grad(module)(X)
    assert module.calls == 1
