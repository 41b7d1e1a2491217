"""Random programs of many operations: their derivatives against PyTorch's where it is installed, or numerical ones.

The programs are those of `tg.testing.programs`: lists of steps, each an operation on earlier values. One is
run on Tensors and on PyTorch's tensors; values, first and second derivatives have to agree.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from optional import pytorch

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.testing import planted_rule, programs
from tinygrad_nn.testing.random_programs import KINDS, Program, Step, assigned, mixed, weighed_sum, whole_index

torch: Any = pytorch() if importlib.util.find_spec("torch") else None


def t(name: str) -> Callable[..., Any]:
    return lambda *args, **options: getattr(torch, name)(*args, **options)


def apart(a: Any) -> Any:
    """Return the operand with distinct numbers added, so that extremes and orders have no ties."""
    return a + torch.tensor(0.019 * np.arange(math.prod(a.shape)).reshape(tuple(a.shape)) ** 1.1)


def out_of_place(a: Any, c: float, d: float) -> Any:
    """Return what the step in place does, without changing anything, which PyTorch would not differentiate."""
    y = a * c
    moved = y + d
    return moved * torch.sin(y) + torch.sin(moved * 0.7)


THEIRS: dict[str, Callable[..., Any]] = {
    "add": mixed(lambda a, b: a + b),
    "multiply": mixed(lambda a, b: a * b),
    "divide": mixed(lambda a, b: a / (1.3 + b * b)),
    "subtract": mixed(lambda a, b: a - b),
    "maximum": mixed(t("maximum")),
    "minimum": mixed(t("minimum")),
    "where": mixed(lambda a, b: torch.where(a > b, torch.sin(a), b * b)),
    "logaddexp": mixed(t("logaddexp")),
    "hypot": mixed(t("hypot")),
    "power": mixed(lambda a, b: (1.5 + torch.tanh(a)) ** torch.sin(b)),
    "tanh": t("tanh"),
    "exp": lambda a: torch.exp(torch.tanh(a)),
    "sin": t("sin"),
    "sigmoid": t("sigmoid"),
    "log": lambda a: torch.log(1.2 + a * a),
    "sqrt": lambda a: torch.sqrt(0.7 + a * a),
    "abs": lambda a: abs(a + 0.013),
    "softplus": lambda a: torch.nn.functional.softplus(a, threshold=1e9),
    "gelu": lambda a: torch.nn.functional.gelu(a),
    "erf": lambda a: torch.special.erf(a),
    "arctan": t("arctan"),
    "sum": lambda a, i, k: a.sum(i, keepdim=k),
    "mean": lambda a, i, k: a.mean(i, keepdim=k),
    "max": lambda a, i, k: apart(a).amax(i, k),
    "var": lambda a, i, k: a.var(i, correction=0, keepdim=k),
    "prod": lambda a, i, k: torch.tanh(a).prod(i, k),
    "logsumexp": lambda a, i, k: a.logsumexp(i, k),
    "norm": lambda a, i, k: torch.sqrt((a * a).sum(i, keepdim=k) + 0.1),
    "softmax": lambda a, i: a.softmax(i),
    "log_softmax": lambda a, i: a.log_softmax(i),
    "cumsum": lambda a, i: a.cumsum(i),
    "cumprod": lambda a, i: torch.tanh(a).cumprod(i),
    "sort": lambda a, i: apart(a).sort(i).values,
    "flip": lambda a, i: a.flip(i),
    "roll": lambda a, s, i: a.roll(s, i),
    "reshape": lambda a, s: a.reshape(s),
    "transpose": lambda a, o: a.permute(o),
    "broadcast": lambda a, s: a.expand(s),
    "matmul": mixed(lambda a, b: torch.tanh(a @ b)),
    "concatenate": lambda a, b, i: torch.cat([a, b], i),
    "stack": lambda a, b, i: torch.stack([a, b], i),
    "getitem": lambda a, i: a[whole_index(i, torch.tensor)],
    "setitem": lambda a, b, i: assigned(a, b, i, torch.tensor, lambda x: x.clone()),
    "inplace": out_of_place,
    "unbind": lambda a: weighed_sum(list(a.unbind(0))),
    "einsum": lambda a, b: torch.tanh(torch.einsum("ij,ik->jk", a, b)),
}


def test_every_step_is_there_in_both_systems() -> None:
    assert THEIRS.keys() == KINDS.keys()


def close(found: Any, expected: Any) -> bool:
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    return bool(np.allclose(found, expected, rtol=1e-9, atol=1e-10 * scale))


def directions(program: Program) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [rng.uniform(0.5, 1.5, x.shape) * rng.choice([-1, 1], x.shape) for x in program.inputs]


def derivatives(program: Program) -> tuple[Any, list[Any], list[Any], float]:
    """Return the value, the gradient, the Hessian along a direction, and the slope along it by forward mode."""
    leaves = [tg.tensor(x, requires_grad=True) for x in program.inputs]
    v = directions(program)
    y = program.run(leaves)
    first = tg.autograd.grad(y, leaves, create_graph=True, allow_unused=True)
    along = sum((g * d).sum() for g, d in zip(first, v, strict=True) if g is not None)
    second: Any = [None] * len(leaves)
    if isinstance(along, tg.Tensor) and along.requires_grad:
        second = tg.autograd.grad(along, leaves, allow_unused=True)
    _, slope = tg.jvp(lambda *xs: program.run(xs), program.inputs, v)
    filled = [
        [np.zeros(x.shape) if g is None else g.data for g, x in zip(gs, program.inputs)] for gs in (first, second)
    ]
    return y.data, filled[0], filled[1], slope.item()


def by_torch(program: Program) -> tuple[Any, list[Any], list[Any], float]:
    leaves = [torch.tensor(x, requires_grad=True) for x in program.inputs]
    v = [torch.tensor(d) for d in directions(program)]
    y = program.run(leaves, THEIRS)
    first = torch.autograd.grad(y, leaves, create_graph=True, allow_unused=True)
    along = sum((g * d).sum() for g, d in zip(first, v, strict=True) if g is not None)
    second = [None] * len(leaves)
    if isinstance(along, torch.Tensor) and along.requires_grad:
        second = torch.autograd.grad(along, leaves, allow_unused=True)
    filled = [
        [np.zeros(x.shape) if g is None else g.detach().numpy() for g, x in zip(gs, program.inputs)]
        for gs in (first, second)
    ]
    return y.detach().numpy(), filled[0], filled[1], along.item() if isinstance(along, torch.Tensor) else float(along)


def by_differences(program: Program, order: int) -> float:
    """Return the value's first or second derivative along the direction, by extrapolated central differences."""
    v = directions(program)

    def at(by: float) -> float:
        with tg.no_grad():
            moved = [tg.Tensor(x + by * d) for x, d in zip(program.inputs, v, strict=True)]
            return float(program.run(moved).data)

    def difference(h: float) -> float:
        return (at(h) - at(-h)) / (2 * h) if order == 1 else (at(h) - 2 * at(0.0) + at(-h)) / (h * h)

    h = 1e-3
    return (4 * difference(h / 2) - difference(h)) / 3


EXAMPLES = settings().max_examples


@settings(max_examples=10_000 if EXAMPLES >= 2000 else EXAMPLES)  # of all tests, this one has the most to meet
@given(programs())
def test_derivatives_of_random_programs(program: Program) -> None:
    value, first, second, slope = derivatives(program)
    along = math.fsum(float((g * d).sum()) for g, d in zip(first, directions(program), strict=True))
    assert close(slope, along), f"forward mode says {slope}, reverse mode {along}"
    if torch is None:
        numeric = by_differences(program, 1)
        assert abs(along - numeric) <= 1e-6 * max(1.0, abs(numeric)) or kinked(program)
        return
    expected = by_torch(program)
    assert close(value, expected[0])
    for order, (found, known) in enumerate(((first, expected[1]), (second, expected[2])), start=1):
        for index, (a, b) in enumerate(zip(found, known, strict=True)):
            assert close(a, b), f"order {order}, input {index}: {a}, PyTorch has {b}"


def kinked(program: Program) -> bool:
    """Return whether a maximum, an absolute value or an order changes within the step of the differences."""
    return bool({s.name for s in program.steps} & {"maximum", "minimum", "abs", "where", "max", "sort"})


BY_A_MILLIONTH = 1 + 1e-6
SPOILT: dict[str, tuple[Step, Callable[..., Any]]] = {
    "tanh": (Step("tanh", (0,), ()), lambda g, y: BY_A_MILLIONTH * g * (1 - y * y)),
    "multiply": (Step("multiply", (0, 0), (0.83, 0.37)), lambda g, b: BY_A_MILLIONTH * g * b),
    "getitem": (
        Step("getitem", (0,), ((slice(0, 2),),)),
        lambda g, x_shape, index: OPERATIONS["scatter_add"].kernel(BY_A_MILLIONTH * g, index, x_shape),
    ),
    "running_total": (
        Step("cumsum", (0,), (0,)),
        lambda g, axis: BY_A_MILLIONTH * np.flip(np.cumsum(np.flip(g, axis), axis), axis),
    ),
    "softmax": (
        Step("softmax", (0,), (0,)),
        lambda g, y, axis: BY_A_MILLIONTH * y * (g - np.sum(g * y, axis=axis, keepdims=True)),
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_wrong_rule_is_found_by_random_programs(name: str) -> None:
    """The comparison has teeth: with a rule spoilt by a millionth it fails on a program that uses the operation."""
    pytorch()
    step, rule = SPOILT[name]
    program = Program((np.array([0.3, -0.8, 1.1]),), (step,))
    expected = by_torch(program)[1][0]
    assert close(derivatives(program)[1][0], expected)
    with planted_rule(name, OPERATIONS[name].arguments[0], rule):
        assert not close(derivatives(program)[1][0], expected)
