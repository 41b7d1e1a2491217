"""Random programs of many operations, drawn by a Hypothesis strategy to compare whole graphs with a reference.

A program is a list of steps, each an operation on earlier values. Steps mix their operands with odd constants, so that
ties and kinks, where conventions differ, hardly ever occur.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ..ops.activation import gelu, softplus
from ..ops.elementwise import sigmoid
from ..ops.fused import log_softmax, logsumexp, softmax
from ..ops.special import erf
from ..tensor.creation import as_tensor

Shapes = Sequence[tuple[int, ...]]
Parameters = tuple[Any, ...] | None


@dataclass(frozen=True)
class Step:
    """An operation by name, the positions of its operands among the earlier values, and its parameters."""

    name: str
    operands: tuple[int, ...]
    parameters: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"{self.name}{self.operands}{list(self.parameters)}"


@dataclass(frozen=True)
class Kind:
    """How many operands a step has, which parameters it may have for their shapes, and the function it computes.

    `draw` returns None if the shapes don't fit.
    """

    arity: int
    draw: Callable[[Any, Shapes], Parameters]
    function: Callable[..., Any]


@dataclass(frozen=True)
class Program:
    """Inputs and steps. The result is a weighted sum over the last values."""

    inputs: tuple[Any, ...]
    steps: tuple[Step, ...]

    def run(self, inputs: Sequence[Any], functions: Mapping[str, Callable[..., Any]] | None = None) -> Any:
        """Return the program's value for these inputs: Tensors, or another system's arrays with its `functions`."""
        known = {name: kind.function for name, kind in KINDS.items()} if functions is None else functions
        values = list(inputs)
        for step in self.steps:
            values.append(known[step.name](*[values[i] for i in step.operands], *step.parameters))
        return sum((v * v).sum() * (0.4 + 0.1 * k) + v.sum() for k, v in enumerate(values[-3:]))


@st.composite
def programs(draw: st.DrawFn, min_steps: int = 5, max_steps: int = 40) -> Program:
    """Return a strategy for programs of `min_steps` to `max_steps` steps on one to three float64 inputs in [-1.5, 1.5].

    >>> import tinygrad_nn as tg
    >>> from hypothesis import find
    >>> find(tg.testing.programs(min_steps=1, max_steps=3), lambda program: True) is not None
    True
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = draw(st.lists(st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=1, max_size=3))
    inputs = tuple([rng.uniform(-1.5, 1.5, shape) for shape in shapes])
    values = [as_tensor(x) for x in inputs]
    steps: list[Step] = []
    wanted = draw(st.integers(min_steps, max_steps))
    while len(steps) < wanted:
        kind = KINDS[name := draw(st.sampled_from(list(KINDS)))]
        recent = st.integers(max(0, len(values) - 6), len(values) - 1)
        operands = tuple([draw(recent) for _ in range(kind.arity)])
        parameters = kind.draw(draw, [values[i].shape for i in operands])
        if parameters is None:
            name, operands = "tanh", operands[:1]
            kind, parameters = KINDS[name], ()
        steps.append(Step(name, operands, parameters))
        values.append(as_tensor(kind.function(*[values[i] for i in operands], *parameters)))
    return Program(inputs, tuple(steps))


# ---- parameters that fit the operands ----


def _constants(draw: Any, shapes: Shapes) -> Parameters:
    """Two odd numbers that mix the operands."""
    return (draw(st.sampled_from([0.83, -1.17, 0.61])), draw(st.sampled_from([0.37, -0.71, 1.13])))


def _together(shapes: Shapes) -> tuple[int, ...] | None:
    """Return the shape that these broadcast to, None if they don't."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


def _broadcastable(draw: Any, shapes: Shapes) -> Parameters:
    together = _together(shapes)
    return None if together is None or math.prod(together) > 60 else _constants(draw, shapes)


def _one_axis(draw: Any, shapes: Shapes) -> Parameters:
    n = len(shapes[0])
    return (draw(st.integers(-n, n - 1)), draw(st.booleans())) if n else None


def _an_axis(draw: Any, shapes: Shapes) -> Parameters:
    found = _one_axis(draw, shapes)
    return found[:1] if found else None


def _matrices(draw: Any, shapes: Shapes) -> Parameters:
    a, b = shapes
    fit = a and b and a[-1] == b[-2 if len(b) > 1 else 0] and len(a) + len(b) <= 5
    return _constants(draw, shapes) if fit and _together([a[:-2], b[:-2]]) is not None else None


def _an_index(draw: Any, shapes: Shapes) -> Parameters:
    """An index of slices with positive steps, integers, and at most one array of integers, perhaps repeated ones."""
    shape = shapes[0]
    if not shape:
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


def _unrepeated(draw: Any, shapes: Shapes) -> Parameters:
    found = _an_index(draw, shapes)
    if found is None:
        return None
    return (tuple([tuple(dict.fromkeys(p)) if isinstance(p, tuple) else p for p in found[0]]),)


def _joined(draw: Any, shapes: Shapes) -> Parameters:
    a, b = shapes
    if len(a) != len(b) or not a or math.prod(a) + math.prod(b) > 40:
        return None
    axes = [i for i in range(len(a)) if all(j == i or a[j] == b[j] for j in range(len(a)))]
    return (draw(st.sampled_from(axes)),) if axes else None


def _equal_shapes(draw: Any, shapes: Shapes) -> Parameters:
    return (draw(st.integers(0, len(shapes[0]))),) if shapes[0] == shapes[1] and math.prod(shapes[0]) < 20 else None


def _a_shape(draw: Any, shapes: Shapes) -> Parameters:
    n = math.prod(shapes[0])
    first = draw(st.sampled_from([k for k in range(1, n + 1) if n % k == 0]))
    return (draw(st.sampled_from([(n,), (first, n // first), (first, 1, n // first), (-1, first)])),)


def _an_order(draw: Any, shapes: Shapes) -> Parameters:
    return (tuple(draw(st.permutations(range(len(shapes[0]))))),)


def _nothing(draw: Any, shapes: Shapes) -> Parameters:
    return ()


def _parts(draw: Any, shapes: Shapes) -> Parameters:
    return () if shapes[0] else None


def _one_contraction(draw: Any, shapes: Shapes) -> Parameters:
    return () if all(len(s) == 2 for s in shapes) and shapes[0][0] == shapes[1][0] else None


def _a_shift(draw: Any, shapes: Shapes) -> Parameters:
    found = _an_axis(draw, shapes)
    return (draw(st.integers(-2, 3)), *found) if found else None


def _widened(draw: Any, shapes: Shapes) -> Parameters:
    lead = draw(st.sampled_from([(2,), (1,), (3,)]))
    return ((*lead, *shapes[0]),) if len(shapes[0]) < 3 and math.prod(shapes[0]) < 20 else None


# ---- what the steps compute; the functions with a docstring serve other systems, too ----


def mixed(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Return a function of two operands, each mixed with one of the step's constants."""
    return lambda a, b, c, d: function(a * c + 0.11, b * d - 0.07)


def whole_index(index: tuple[Any, ...], array: Callable[[Any], Any]) -> Any:
    """Return a step's index, with arrays in place of the tuples of integers that stand for them."""
    return tuple([array(list(p)) if isinstance(p, tuple) else p for p in index])


def assigned(x: Any, value: Any, index: tuple[Any, ...], array: Any, copy: Any) -> Any:
    """Return a copy of x with some entries replaced by a function of them and of the value."""
    y = copy(x)
    index = whole_index(index, array)
    y[index] = value.sum() * 0.31 + y[index] * 0.5
    return y


def weighed_sum(parts: Sequence[Any]) -> Any:
    """Return the sum of the first part and the squares of the others, each weighted differently."""
    total = parts[0] * 0.9
    for k, part in enumerate(parts[1:], start=2):
        total = total + part * part * (0.3 / k)
    return total


def _in_place(a: Any, c: float, d: float) -> Any:
    """Return the value of a handle that was changed in place twice, and whose older values were used, too."""
    y = a * c
    first = np.sin(y)
    y += d
    second = np.sin(y * 0.7)
    y *= first
    return y + second


def _apart(a: Any) -> Any:
    """Return the operand with distinct numbers added, so that extremes and orders have no ties."""
    return a + 0.019 * np.arange(math.prod(a.shape)).reshape(a.shape) ** 1.1


KINDS: dict[str, Kind] = {
    "add": Kind(2, _broadcastable, mixed(lambda a, b: a + b)),
    "multiply": Kind(2, _broadcastable, mixed(lambda a, b: a * b)),
    "divide": Kind(2, _broadcastable, mixed(lambda a, b: a / (1.3 + b * b))),
    "subtract": Kind(2, _broadcastable, mixed(np.subtract)),
    "maximum": Kind(2, _broadcastable, mixed(np.maximum)),
    "minimum": Kind(2, _broadcastable, mixed(np.minimum)),
    "where": Kind(2, _broadcastable, mixed(lambda a, b: np.where(a > b, np.sin(a), b * b))),
    "logaddexp": Kind(2, _broadcastable, mixed(np.logaddexp)),
    "hypot": Kind(2, _broadcastable, mixed(np.hypot)),
    "power": Kind(2, _broadcastable, mixed(lambda a, b: (1.5 + np.tanh(a)) ** np.sin(b))),
    "tanh": Kind(1, _nothing, np.tanh),
    "exp": Kind(1, _nothing, lambda a: np.exp(np.tanh(a))),
    "sin": Kind(1, _nothing, np.sin),
    "sigmoid": Kind(1, _nothing, sigmoid),
    "log": Kind(1, _nothing, lambda a: np.log(1.2 + a * a)),
    "sqrt": Kind(1, _nothing, lambda a: np.sqrt(0.7 + a * a)),
    "abs": Kind(1, _nothing, lambda a: abs(a + 0.013)),
    "softplus": Kind(1, _nothing, softplus),
    "gelu": Kind(1, _nothing, gelu),
    "erf": Kind(1, _nothing, erf),
    "arctan": Kind(1, _nothing, np.arctan),
    "sum": Kind(1, _one_axis, lambda a, i, k: np.sum(a, axis=i, keepdims=k)),
    "mean": Kind(1, _one_axis, lambda a, i, k: a.mean(i, keepdims=k)),
    "max": Kind(1, _one_axis, lambda a, i, k: _apart(a).max(i, keepdims=k)),
    "var": Kind(1, _one_axis, lambda a, i, k: np.var(a, axis=i, keepdims=k)),
    "prod": Kind(1, _one_axis, lambda a, i, k: np.prod(np.tanh(a), axis=i, keepdims=k)),
    "logsumexp": Kind(1, _one_axis, logsumexp),
    "norm": Kind(1, _one_axis, lambda a, i, k: np.sqrt((a * a).sum(i, keepdims=k) + 0.1)),
    "softmax": Kind(1, _an_axis, softmax),
    "log_softmax": Kind(1, _an_axis, log_softmax),
    "cumsum": Kind(1, _an_axis, lambda a, i: np.cumsum(a, axis=i)),
    "cumprod": Kind(1, _an_axis, lambda a, i: np.cumprod(np.tanh(a), axis=i)),
    "sort": Kind(1, _an_axis, lambda a, i: np.sort(_apart(a), axis=i)),
    "flip": Kind(1, _an_axis, np.flip),
    "roll": Kind(1, _a_shift, np.roll),
    "reshape": Kind(1, _a_shape, lambda a, s: a.reshape(s)),
    "transpose": Kind(1, _an_order, lambda a, o: a.transpose(o)),
    "broadcast": Kind(1, _widened, np.broadcast_to),
    "matmul": Kind(2, _matrices, mixed(lambda a, b: np.tanh(a @ b))),
    "concatenate": Kind(2, _joined, lambda a, b, i: np.concatenate([a, b], i)),
    "stack": Kind(2, _equal_shapes, lambda a, b, i: np.stack([a, b], i)),
    "getitem": Kind(1, _an_index, lambda a, i: a[whole_index(i, np.array)]),
    "setitem": Kind(2, _unrepeated, lambda a, b, i: assigned(a, b, i, np.array, lambda x: x * 1)),
    "inplace": Kind(1, _constants, _in_place),
    "unbind": Kind(1, _parts, lambda a: weighed_sum(list(a))),
    "einsum": Kind(2, _one_contraction, lambda a, b: np.tanh(np.einsum("ij,ik->jk", a, b))),
}
