"""Random programs of many operations: their derivatives against PyTorch's where it is installed, or numerical ones.

Hypothesis draws a program: a list of steps, each an operation on earlier values. It is run on Tensors
and on PyTorch's tensors; values, first and second derivatives have to agree. Steps mix their operands
with odd constants, so that ties and kinks, where conventions differ, are never met.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_nn as tg

torch: Any = pytest.importorskip("torch") if importlib.util.find_spec("torch") else None


@dataclass(frozen=True)
class Step:
    """An operation by name, the places of its operands among the earlier values, and its parameters."""

    name: str
    operands: tuple[int, ...]
    parameters: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"{self.name}{self.operands}{list(self.parameters)}"


@dataclass(frozen=True)
class Kind:
    """What a step does in both systems, and which parameters it may have for its operands' shapes.

    `draw` returns None where the shapes don't fit.
    """

    arity: int
    draw: Callable[[Any, list[tuple[int, ...]]], tuple[Any, ...] | None]
    ours: Callable[..., Any]
    theirs: Callable[..., Any]


def constants(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...]:
    """Two odd numbers that mix the operands."""
    return (draw(st.sampled_from([0.83, -1.17, 0.61])), draw(st.sampled_from([0.37, -0.71, 1.13])))


def mixed(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda a, b, c, d: function(a * c + 0.11, b * d - 0.07)


def broadcastable(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...] | None:
    try:
        if math.prod(np.broadcast_shapes(*shapes)) > 60:
            return None
    except ValueError:
        return None
    return constants(draw, shapes)


def one_axis(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...] | None:
    n = len(shapes[0])
    return (draw(st.integers(-n, n - 1)), draw(st.booleans())) if n and 0 not in shapes[0] else None


def an_axis(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...] | None:
    found = one_axis(draw, shapes)
    return found[:1] if found else None


def matrices(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...] | None:
    a, b = shapes
    if not a or not b or a[-1] != b[-2 if len(b) > 1 else 0] or len(a) + len(b) > 5:
        return None
    try:
        np.broadcast_shapes(a[:-2], b[:-2])
    except ValueError:
        return None
    return constants(draw, shapes)


def an_index(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...] | None:
    """Slices with positive steps, integers, None, and one array of integers, perhaps repeated ones."""
    shape = shapes[0]
    if not shape or 0 in shape:
        return None
    parts: list[Any] = []
    for i, n in enumerate(shape):
        kind = draw(st.sampled_from(["slice", "all", "int", "array"] if i == 0 else ["slice", "all", "int"]))
        if kind == "slice":
            start = draw(st.integers(0, n - 1))
            parts.append(slice(start, draw(st.integers(start + 1, n)), draw(st.integers(1, 2))))
        elif kind == "int":
            parts.append(draw(st.integers(0, n - 1)))
        elif kind == "array":
            parts.append(tuple(draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=3))))
        else:
            parts.append(slice(None))
    return (tuple(parts),)


def whole_index(index: tuple[Any, ...], array: Callable[[Any], Any]) -> Any:
    return tuple([array(list(p)) if isinstance(p, tuple) else p for p in index])


def assigned(x: Any, value: Any, index: tuple[Any, ...], array: Any, copy: Any) -> Any:
    y = copy(x)
    place = whole_index(index, array)
    y[place] = value.sum() * 0.31 + y[place] * 0.5
    return y


def unrepeated(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...] | None:
    found = an_index(draw, shapes)
    if found is None:
        return None
    return (tuple([tuple(dict.fromkeys(p)) if isinstance(p, tuple) else p for p in found[0]]),)


def joined(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...] | None:
    a, b = shapes
    if len(a) != len(b) or not a or math.prod(a) + math.prod(b) > 40:
        return None
    axes = [i for i in range(len(a)) if all(j == i or a[j] == b[j] for j in range(len(a)))]
    return (draw(st.sampled_from(axes)),) if axes else None


def equal_shapes(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...] | None:
    return (draw(st.integers(0, len(shapes[0]))),) if shapes[0] == shapes[1] and math.prod(shapes[0]) < 20 else None


def a_shape(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...] | None:
    n = math.prod(shapes[0])
    if n == 0:
        return None
    first = draw(st.sampled_from([k for k in range(1, n + 1) if n % k == 0]))
    return (draw(st.sampled_from([(n,), (first, n // first), (first, 1, n // first), (-1, first)])),)


def an_order(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...] | None:
    return (tuple(draw(st.permutations(range(len(shapes[0]))))),)


def nothing(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...]:
    return ()


def a_shift(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...] | None:
    found = an_axis(draw, shapes)
    return (draw(st.integers(-2, 3)), *found) if found else None


def widened(draw: Any, shapes: list[tuple[int, ...]]) -> tuple[Any, ...] | None:
    lead = draw(st.sampled_from([(2,), (1,), (3,)]))
    return ((*lead, *shapes[0]),) if len(shapes[0]) < 3 and math.prod(shapes[0]) < 20 else None


def t(name: str) -> Callable[..., Any]:
    return lambda *args, **options: getattr(torch, name)(*args, **options)


def ramp(a: Any) -> Any:
    """Return distinct numbers in the operand's shape, so that extremes and orders have no ties."""
    values = 0.019 * np.arange(math.prod(a.shape)).reshape(tuple(a.shape)) ** 1.1
    return values if isinstance(a, tg.Tensor) else torch.tensor(values)


def in_place(a: Any, c: float, d: float) -> Any:
    """Return the value of a handle that was changed in place twice, where its older values were used too."""
    y = a * c
    first = np.sin(y)
    y += d
    second = np.sin(y * 0.7)
    y *= first
    return y + second


def out_of_place(a: Any, c: float, d: float) -> Any:
    """Return the same without changing anything, which PyTorch would not differentiate."""
    y = a * c
    moved = y + d
    return moved * torch.sin(y) + torch.sin(moved * 0.7)


def weighed(parts: list[Any]) -> Any:
    total = parts[0] * 0.9
    for k, part in enumerate(parts[1:], start=2):
        total = total + part * part * (0.3 / k)
    return total


KINDS: dict[str, Kind] = {
    "add": Kind(2, broadcastable, mixed(lambda a, b: a + b), mixed(lambda a, b: a + b)),
    "multiply": Kind(2, broadcastable, mixed(lambda a, b: a * b), mixed(lambda a, b: a * b)),
    "divide": Kind(2, broadcastable, mixed(lambda a, b: a / (1.3 + b * b)), mixed(lambda a, b: a / (1.3 + b * b))),
    "subtract": Kind(2, broadcastable, mixed(np.subtract), mixed(lambda a, b: a - b)),
    "maximum": Kind(2, broadcastable, mixed(np.maximum), mixed(t("maximum"))),
    "minimum": Kind(2, broadcastable, mixed(tg.minimum), mixed(t("minimum"))),
    "where": Kind(
        2, broadcastable, mixed(lambda a, b: np.where(a > b, np.sin(a), b * b)),
        mixed(lambda a, b: torch.where(a > b, torch.sin(a), b * b)),
    ),
    "logaddexp": Kind(2, broadcastable, mixed(np.logaddexp), mixed(t("logaddexp"))),
    "hypot": Kind(2, broadcastable, mixed(np.hypot), mixed(t("hypot"))),
    "power": Kind(
        2, broadcastable, mixed(lambda a, b: (1.5 + np.tanh(a)) ** np.sin(b)),
        mixed(lambda a, b: (1.5 + torch.tanh(a)) ** torch.sin(b)),
    ),
    "tanh": Kind(1, nothing, np.tanh, t("tanh")),
    "exp": Kind(1, nothing, lambda a: np.exp(np.tanh(a)), lambda a: torch.exp(torch.tanh(a))),
    "sin": Kind(1, nothing, np.sin, t("sin")),
    "sigmoid": Kind(1, nothing, tg.sigmoid, t("sigmoid")),
    "log": Kind(1, nothing, lambda a: np.log(1.2 + a * a), lambda a: torch.log(1.2 + a * a)),
    "sqrt": Kind(1, nothing, lambda a: np.sqrt(0.7 + a * a), lambda a: torch.sqrt(0.7 + a * a)),
    "abs": Kind(1, nothing, lambda a: abs(a + 0.013), lambda a: abs(a + 0.013)),
    "softplus": Kind(1, nothing, tg.softplus, lambda a: torch.nn.functional.softplus(a, threshold=1e9)),
    "gelu": Kind(1, nothing, tg.gelu, lambda a: torch.nn.functional.gelu(a)),
    "erf": Kind(1, nothing, tg.erf, lambda a: torch.special.erf(a)),
    "arctan": Kind(1, nothing, np.arctan, t("arctan")),
    "sum": Kind(1, one_axis, lambda a, i, k: np.sum(a, axis=i, keepdims=k), lambda a, i, k: a.sum(i, keepdim=k)),
    "mean": Kind(1, one_axis, lambda a, i, k: a.mean(i, keepdims=k), lambda a, i, k: a.mean(i, keepdim=k)),
    "max": Kind(
        1, one_axis, lambda a, i, k: (a + ramp(a)).max(i, keepdims=k), lambda a, i, k: (a + ramp(a)).amax(i, k),
    ),
    "var": Kind(
        1, one_axis, lambda a, i, k: np.var(a, axis=i, keepdims=k), lambda a, i, k: a.var(i, correction=0, keepdim=k),
    ),
    "prod": Kind(
        1, one_axis, lambda a, i, k: np.prod(np.tanh(a), axis=i, keepdims=k), lambda a, i, k: torch.tanh(a).prod(i, k),
    ),
    "logsumexp": Kind(1, one_axis, lambda a, i, k: tg.logsumexp(a, i, k), lambda a, i, k: a.logsumexp(i, k)),
    "norm": Kind(
        1, one_axis, lambda a, i, k: np.sqrt((a * a).sum(i, keepdims=k) + 0.1),
        lambda a, i, k: torch.sqrt((a * a).sum(i, keepdim=k) + 0.1),
    ),
    "softmax": Kind(1, an_axis, lambda a, i: tg.softmax(a, i), lambda a, i: a.softmax(i)),
    "log_softmax": Kind(1, an_axis, lambda a, i: tg.log_softmax(a, i), lambda a, i: a.log_softmax(i)),
    "cumsum": Kind(1, an_axis, lambda a, i: np.cumsum(a, axis=i), lambda a, i: a.cumsum(i)),
    "cumprod": Kind(1, an_axis, lambda a, i: np.cumprod(np.tanh(a), axis=i), lambda a, i: torch.tanh(a).cumprod(i)),
    "sort": Kind(1, an_axis, lambda a, i: np.sort(a + ramp(a), axis=i), lambda a, i: (a + ramp(a)).sort(i).values),
    "flip": Kind(1, an_axis, lambda a, i: np.flip(a, i), lambda a, i: a.flip(i)),
    "roll": Kind(1, a_shift, lambda a, s, i: np.roll(a, s, i), lambda a, s, i: a.roll(s, i)),
    "reshape": Kind(1, a_shape, lambda a, s: a.reshape(s), lambda a, s: a.reshape(s)),
    "transpose": Kind(1, an_order, lambda a, o: a.transpose(o), lambda a, o: a.permute(o)),
    "broadcast": Kind(1, widened, lambda a, s: np.broadcast_to(a, s), lambda a, s: a.expand(s)),
    "matmul": Kind(2, matrices, mixed(lambda a, b: np.tanh(a @ b)), mixed(lambda a, b: torch.tanh(a @ b))),
    "concatenate": Kind(2, joined, lambda a, b, i: np.concatenate([a, b], i), lambda a, b, i: torch.cat([a, b], i)),
    "stack": Kind(2, equal_shapes, lambda a, b, i: np.stack([a, b], i), lambda a, b, i: torch.stack([a, b], i)),
    "getitem": Kind(
        1, an_index, lambda a, i: a[whole_index(i, np.array)], lambda a, i: a[whole_index(i, torch.tensor)],
    ),
    "setitem": Kind(
        2, lambda draw, shapes: unrepeated(draw, shapes), lambda a, b, i: assigned(a, b, i, np.array, lambda x: x * 1),
        lambda a, b, i: assigned(a, b, i, torch.tensor, lambda x: x.clone()),
    ),
    "inplace": Kind(1, constants, in_place, out_of_place),
    "unbind": Kind(
        1, lambda draw, shapes: () if shapes[0] and 0 not in shapes[0] else None,
        lambda a: weighed(list(a)), lambda a: weighed(list(a.unbind(0))),
    ),
    "einsum": Kind(
        2, lambda draw, shapes: () if all(len(s) == 2 for s in shapes) and shapes[0][0] == shapes[1][0] else None,
        lambda a, b: np.tanh(np.einsum("ij,ik->jk", a, b)), lambda a, b: torch.tanh(torch.einsum("ij,ik->jk", a, b)),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Program:
    """Inputs and steps. The result is the weighed sum of the last values."""

    inputs: tuple[np.ndarray, ...]
    steps: tuple[Step, ...]

    def run(self, inputs: list[Any], which: str) -> Any:
        values = list(inputs)
        for step in self.steps:
            function = getattr(KINDS[step.name], which)
            values.append(function(*[values[i] for i in step.operands], *step.parameters))
        results = values[-3:]
        return sum((v * v).sum() * (0.4 + 0.1 * k) + v.sum() for k, v in enumerate(results))


@st.composite
def programs(draw: Any) -> Program:
    """Return a program of 5 to 40 steps on one to three inputs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = draw(st.lists(st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=1, max_size=3))
    inputs = tuple([rng.uniform(-1.5, 1.5, shape) for shape in shapes])
    values = [tg.Tensor(x) for x in inputs]
    steps: list[Step] = []
    wanted = draw(st.integers(5, 40))
    while len(steps) < wanted:
        kind = KINDS[name := draw(st.sampled_from(list(KINDS)))]
        recent = st.integers(max(0, len(values) - 6), len(values) - 1)
        operands = tuple([draw(recent) for _ in range(kind.arity)])
        parameters = kind.draw(draw, [values[i].shape for i in operands])
        if parameters is None:
            name, operands = "tanh", operands[:1]
            kind, parameters = KINDS[name], ()
        steps.append(Step(name, operands, parameters))
        values.append(kind.ours(*[values[i] for i in operands], *parameters))
        values[-1] = tg.as_tensor(values[-1])
    return Program(inputs, tuple(steps))


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
    y = program.run(list(leaves), "ours")
    first = tg.autograd.grad(y, leaves, create_graph=True, allow_unused=True)
    along = sum((g * d).sum() for g, d in zip(first, v, strict=True) if g is not None)
    second: Any = [None] * len(leaves)
    if isinstance(along, tg.Tensor) and along.requires_grad:
        second = tg.autograd.grad(along, leaves, allow_unused=True)
    _, slope = tg.jvp(lambda *xs: program.run(list(xs), "ours"), program.inputs, v)
    filled = [
        [np.zeros(x.shape) if g is None else g.data for g, x in zip(gs, program.inputs)] for gs in (first, second)
    ]
    return y.data, filled[0], filled[1], slope.item()


def by_torch(program: Program) -> tuple[Any, list[Any], list[Any], float]:
    leaves = [torch.tensor(x, requires_grad=True) for x in program.inputs]
    v = [torch.tensor(d) for d in directions(program)]
    y = program.run(list(leaves), "theirs")
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
            return float(program.run(list(moved), "ours").data)

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
        for place, (a, b) in enumerate(zip(found, known, strict=True)):
            assert close(a, b), f"order {order}, input {place}: {a}, PyTorch has {b}"


def kinked(program: Program) -> bool:
    """Return whether a maximum, an absolute value or an order changes within the step of the differences."""
    return bool({s.name for s in program.steps} & {"maximum", "minimum", "abs", "where", "max", "sort"})


@pytest.mark.parametrize("name", ["tanh", "multiply", "getitem", "cumsum", "softmax"])
def test_a_wrong_rule_is_found_by_random_programs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison has teeth: with a rule spoilt by a millionth it fails on a program that uses the operation."""
    if torch is None:
        pytest.skip("the comparison is with PyTorch")
    operation = (
        getattr(tg, name).operation
        if hasattr(getattr(tg, name), "operation")
        else tg.ops.cumulative._running_total.operation
    )
    for rule in operation.rules:
        pull = rule.pull
        monkeypatch.setattr(rule, "pull", lambda g, saved, pull=pull: pull(g, saved) * (1 + 1e-6))
        monkeypatch.setattr(rule, "into", None)
    parameters: dict[str, tuple[Any, ...]] = {
        "multiply": (0.83, 0.37),
        "getitem": ((slice(0, 2),),),
        "cumsum": (0,),
        "softmax": (0,),
    }
    operands = (0, 0) if name == "multiply" else (0,)
    program = Program((np.array([0.3, -0.8, 1.1]),), (Step(name, operands, parameters.get(name, ())),))
    _, first, _, _ = derivatives(program)
    assert not close(first[0], by_torch(program)[1][0])
