"""Planted rules: used while their body runs, where the derivative is taken, and by nobody else."""

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from tanh import SLOPE, doubled, slope

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.testing import planted_rule


def test_a_planted_rule_is_used_while_the_body_runs() -> None:
    declared = OPERATIONS["tanh"].rules
    with planted_rule(np.tanh, "x", doubled):
        assert slope() == 2 * SLOPE
        with planted_rule("tanh", "x", lambda g: 7 * g):
            assert slope() == 7.0
        assert slope() == 2 * SLOPE
    assert slope() == SLOPE
    assert OPERATIONS["tanh"].rules is declared


def test_a_planted_rule_counts_where_the_derivative_is_taken() -> None:
    x = tg.tensor(1.0, requires_grad=True)
    y = tg.tanh(x)
    with planted_rule(tg.tanh, "x", doubled):
        later = tg.tanh(x)
        assert tg.autograd.grad(y, x)[0].item() == 2 * SLOPE
    assert tg.autograd.grad(later, x)[0].item() == SLOPE


def test_an_error_ends_a_planted_rule() -> None:
    def fails() -> None:
        with planted_rule(tg.tanh, "x", doubled):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fails()
    assert slope() == SLOPE


def test_other_threads_do_not_see_a_planted_rule() -> None:
    inside, done, seen = threading.Event(), threading.Event(), []

    def plants() -> None:
        with planted_rule(tg.tanh, "x", doubled):
            inside.set()
            done.wait(10)
            seen.append(slope())

    thread = threading.Thread(target=plants)
    thread.start()
    inside.wait(10)
    assert slope() == SLOPE
    with planted_rule(tg.tanh, "x", lambda g: 5 * g):
        assert slope() == 5.0
    done.set()
    thread.join()
    assert seen == [2 * SLOPE]
    assert isinstance(OPERATIONS["tanh"].rules, tuple)


def test_other_tasks_do_not_see_a_planted_rule() -> None:
    async def with_factor(k: float) -> float:
        with planted_rule(tg.tanh, "x", lambda g, y: k * g):
            await asyncio.sleep(0)
            return slope()

    async def without() -> float:
        await asyncio.sleep(0)
        return slope()

    async def all_three() -> list[float]:
        return list(await asyncio.gather(with_factor(3.0), without(), with_factor(4.0)))

    assert asyncio.run(all_three()) == [3.0, SLOPE, 4.0]


def test_a_planted_rule_differentiates_to_any_order_and_forwards() -> None:
    with planted_rule(tg.tanh, "x", lambda g, y: g * y * y):
        t = np.tanh(1.0)
        assert float(tg.grad(tg.grad(tg.tanh))(1.0)) == pytest.approx(2 * t**3, rel=1e-14)  # y' is by the rule, too
        assert float(tg.jvp(tg.tanh, (1.0,), (1.0,))[1]) == pytest.approx(t**2, rel=1e-14)


def test_a_rule_planted_for_one_input_leaves_the_other() -> None:
    with planted_rule(tg.multiply, "b", lambda g, a: -g * a):
        a, b = tg.grad(lambda a, b: a * b, argnums=(0, 1))(3.0, 5.0)
    assert (float(a), float(b)) == (5.0, -3.0)


def test_a_rule_planted_in_an_operation_on_many_inputs() -> None:
    xs = [tg.tensor([1.0], requires_grad=True), tg.tensor([2.0, 3.0], requires_grad=True)]
    join = OPERATIONS["join"]
    with planted_rule("join", "xs", lambda g, index_of_input, xs_shapes: np.full(xs_shapes[index_of_input], 9.0)):
        tg.concatenate(xs).sum().backward()
    assert [x.grad.tolist() for x in xs] == [[9.0], [9.0, 9.0]]  # type: ignore[union-attr]
    assert join.arguments == ("xs",)


def test_a_planted_rule_replaces_adding_in_place() -> None:
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with planted_rule("getitem", "x", lambda g, x_shape: np.full(x_shape, 4.0)):
        (x[0] + x[2]).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [8.0, 8.0, 8.0]


def test_a_planted_rule_that_reads_less_does_not_starve_the_declared_one() -> None:
    """What nodes save is remembered by the operation: it must not be learnt from the planted rule."""
    operation = OPERATIONS["softmax"]
    operation._saves.clear()
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with planted_rule(operation, "x", lambda g: g):
        y = tg.softmax(x)
    y.backward([1.0, 0.0])
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([y.data[0] * y.data[1], -y.data[0] * y.data[1]], rel=1e-12)


@pytest.mark.parametrize(
    ("operation", "argument", "rule", "error", "match"),
    [
        ("tnah", "x", doubled, ValueError, "'tnah' is no operation; name one of the nearest: .*tanh"),
        (tg.mean, "x", doubled, ValueError, "'mean' is composed of operations and has no rule of its own"),
        ("mean", "x", doubled, ValueError, "'mean' is composed of operations and has no rule of its own"),
        (np.mean, "x", doubled, ValueError, "'mean' is composed of operations and has no rule of its own"),
        (np.unique, "x", doubled, ValueError, "'unique' is no operation"),
        (tg.tanh, "a", doubled, ValueError, "'tanh' has no rule for an input named 'a'; name one that has: x"),
        (tg.floor, "x", doubled, ValueError, "'floor' has no rule for an input named 'x'; name another operation"),
        (tg.exp, "x", lambda g, x: g * x, TypeError, "'exp' for 'x' reads x, which is not kept; it may read g, y"),
        (tg.tanh, "x", lambda g, z: g * z, TypeError, r"'tanh' for 'x' has the parameters \(g, z\); name first g"),
    ],
)
def test_what_cannot_be_planted_says_why(operation: Any, argument: str, rule: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match), planted_rule(operation, argument, rule):
        raise AssertionError("planted")
    assert slope() == SLOPE
