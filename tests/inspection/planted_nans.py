"""Faults that make a value or a gradient nan or inf, and where each begins; and functions that only look like it.

A fault's `function` takes the library, `tg` or PyTorch, and its inputs, unless it is about what only `tg` has. Its
origin is an operation, "forward" where that computes the first value that is not finite, or "backward" where its rule
turns a finite cotangent into one that is not, at an `entry`; or what was "given" so, by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.primitive import primitive

INF = float("inf")


class Fault(NamedTuple):
    name: str
    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    origin: str
    phase: str
    entry: tuple[int, ...] | None = None
    theirs: bool = True  # whether PyTorch can run it


def forward(
    name: str, function: Any, x: Any, origin: str, index: Any = None, theirs: bool = True, dtype: Any = float
) -> Fault:
    xs = x if isinstance(x, tuple) else (x,)
    return Fault(name, function, tuple([np.array(v, dtype) for v in xs]), origin, "forward", index, theirs)


def backward(*args: Any, **options: Any) -> Fault:
    return forward(*args, **options)._replace(phase="backward")


def softmax(m: Any, x: Any) -> Any:
    e = m.exp(x)
    return e / e.sum()


def distances(m: Any, x: Any) -> Any:
    d = x[:, None] - x[None]
    return m.sqrt((d * d).sum(-1)).sum()


def deviation(m: Any, x: Any) -> Any:
    return m.sqrt(((x - x.mean()) ** 2).mean())


def cross_entropy(m: Any, p: Any, y: Any) -> Any:
    return -(y * m.log(p) + (1 - y) * m.log(1 - p)).sum()


def sigmoid(m: Any, x: Any) -> Any:
    return 1 / (1 + m.exp(-x))


def attention(m: Any, s: Any, log_mask: Any) -> Any:
    """Return attention that is right, beside a logarithm that is not: the mask's -inf come first, and are no origin."""
    z = s + m.log(log_mask)
    e = m.exp(z - 5)
    return (e / e.sum()).sum() + m.log(s - 1).sum()


FORWARD = [
    forward("log of 0", lambda m, x: m.log(x).sum(), [1, 2, 0, 3], "log", (2,)),
    forward("log of a negative number", lambda m, x: m.log(x).mean(), [[1, 2], [-1, 3]], "log", (1, 0)),
    forward("log2 of 0", lambda m, x: (2 * m.log2(x)).sum(), [1, 0.0], "log2", (1,)),
    forward("log10 of a negative number", lambda m, x: m.log10(x).sum(), [-1, 1], "log10", (0,)),
    forward("log1p of -1", lambda m, x: m.log1p(x).sum(), [0, -1], "log1p", (1,)),
    forward("log1p below -1", lambda m, x: m.log1p(x * 2).sum(), [0, -1], "log1p", (1,)),
    forward("sqrt of a negative number", lambda m, x: m.sqrt(x).sum(), [4, 9, -1e-9], "sqrt", (2,)),
    forward("division by 0", lambda m, x: (1 / x).sum(), [1, 0], "divide", (1,)),
    forward("0 / 0", lambda m, x: (x / x.sum()).sum(), [0, 0], "divide", (0,)),
    forward("division by a norm of 0", lambda m, x: (x / m.sqrt((x * x).sum())).sum(), [0, 0], "divide", (0,)),
    forward("a reciprocal of 0", lambda m, x: m.reciprocal(x).sum(), [0, 3], "reciprocal", (0,)),
    forward("exp overflows", lambda m, x: m.exp(x).sum(), [1, 1000], "exp", (1,)),
    forward("expm1 overflows", lambda m, x: m.expm1(x).sum(), [800, 1], "expm1", (0,)),
    forward("exp overflows in float32", lambda m, x: m.exp(x).sum(), [1, 100], "exp", (1,), dtype=np.float32),
    forward("cosh overflows", lambda m, x: m.cosh(x).sum(), [1, -1000], "cosh", (1,)),
    forward("inf - inf after exp", lambda m, x: (m.exp(x) - m.exp(x)).sum(), [800, 0], "exp", (0,)),
    forward("softmax by hand", lambda m, x: (softmax(m, x) * x).sum(), [1, 2, 1000], "exp", (2,)),
    forward("log of an underflowed sum", lambda m, x: m.log(m.exp(x).sum()), [-1000, -1001], "log", ()),
    forward("log of an underflowed softmax", lambda m, x: m.log(softmax(m, x)).sum(), [0, -800], "log", (1,)),
    forward("entropy with a 0", lambda m, p: -(p * m.log(p)).sum(), [0.5, 0.5, 0], "log", (2,)),
    forward("cross entropy, sure and wrong", cross_entropy, ([0, 0.5], [1, 1]), "log", (0,)),
    forward("cross entropy, sure and right", cross_entropy, ([0.5, 1], [1, 1]), "log", (1,)),
    forward("a saturated sigmoid", lambda m, x: m.log(1 - sigmoid(m, x)).sum(), [1, 40], "log", (1,)),
    forward("logit of 1", lambda m, p: m.log(p / (1 - p)).sum(), [0.5, 1], "divide", (1,)),
    forward("a negative power of 0", lambda m, x: (x**-1.5).sum(), [1, 0], "power", (1,)),
    forward("a root of a negative number", lambda m, x: (x**0.5).sum(), [4, -4], "power", (1,)),
    forward("a power overflows", lambda m, x: (x**40.0).sum(), [1, 1e10], "power", (1,)),
    forward("arcsin beyond 1", lambda m, x: m.arcsin(x).sum(), [0, 1.001], "arcsin", (1,)),
    forward("arccos beyond -1", lambda m, x: m.arccos(x / 2).sum(), [-3, 1], "arccos", (0,)),
    forward("arctanh of 1", lambda m, x: m.arctanh(x).sum(), [1, 0], "arctanh", (0,)),
    forward("arccosh below 1", lambda m, x: m.arccosh(x).sum(), [2, 0.5], "arccosh", (1,)),
    forward("a product overflows", lambda m, x: (x * x).sum(), [1, 1e200], "multiply", (1,)),
    forward("a square overflows", lambda m, x: m.sqrt(m.square(x).sum()), [1e200, 1], "square", (0,)),
    forward("a sum overflows", lambda m, x: x.sum() * 0.5, [1.5e308, 1.5e308], "sum", ()),
    forward(
        "a product of all overflows", lambda m, x: x.prod(), [1e200, 1e200], "multiply", None
    ),  # prod is made of it
    forward("a matrix product overflows", lambda m, x: (x @ x).sum(), [[1e200, 0], [0, 1]], "matmul", (0, 0)),
    forward("a running sum overflows", lambda m, x: m.cumsum(x, 0).sum(), [1.5e308, 1e308], "cumsum", (1,)),
    forward(
        "the logarithm of a determinant of 0",
        lambda m, x: tg.linalg.slogdet(x)[1],
        [[1, 2], [2, 4]],
        "slogdet",
        theirs=False,
    ),
    forward("behind a mask that is right", attention, ([2, 3, 1], [1, 1, 0]), "log", (2,)),
    forward("a fill of inf", lambda m, x: (m.where(x > 0, x, INF) * 0).sum(), [1, -1], "where", (1,)),
]
GIVEN = [
    forward("data with a nan", lambda m, x, data: (x * data).sum(), ([1, 2], [1, np.nan]), "data", (1,)),
    forward("data with an inf", lambda m, x, data: (x * (data - data)).sum(), ([1, 2], [np.inf, 2]), "data", (0,)),
    forward("an input that is nan", lambda m, x: (x * x).sum(), [np.nan, 2], "x", (0,)),
]
BACKWARD = [
    backward("sqrt at 0", lambda m, x: m.sqrt(x).sum(), [1, 0], "sqrt", (1,)),
    backward("sqrt of a product at 0", lambda m, x, y: m.sqrt(x * y).sum(), ([0, 3], [2, 2]), "sqrt", (0,)),
    backward("sqrt of a sum that cancels", lambda m, x: m.sqrt(x.sum()), [1, -1], "sqrt", ()),
    backward("sqrt of differences", lambda m, x: m.sqrt(x[1:] - x[:-1]).sum(), [1, 1, 4], "sqrt", (0,)),
    backward("a geometric mean with a 0", lambda m, x: (x[0] * x[1]) ** 0.5, [0, 2], "power", ()),
    backward("a power of 1/2 at 0", lambda m, x: (x**0.5).sum(), [0, 4], "power", (0,)),
    backward("a power of 1/3 at 0", lambda m, x: ((x * 2) ** (1 / 3)).sum(), [1, 0], "power", (1,)),
    backward("cbrt at 0", lambda m, x: m.cbrt(x).sum(), [8, 0], "cbrt", (1,), theirs=False),
    backward("arcsin at -1", lambda m, x: m.arcsin(x).sum(), [-1, 0], "arcsin", (0,)),
    backward("arccos at 1", lambda m, x: m.arccos(x).sum(), [0.5, 1], "arccos", (1,)),
    backward("arccosh at 1", lambda m, x: m.arccosh(x * x).sum(), [1, 2], "arccosh", (0,)),
    backward("log next to 0", lambda m, x: m.log(x).sum(), [1, 1e-310], "log", (1,)),
    backward("a quotient next to 0", lambda m, x: (1 / x).sum(), [1e-200, 1], "divide", (0,)),
    backward("a gradient overflows", lambda m, x: ((x * 1e200) * 1e200).sum(), [1e-200, 0], "multiply", (0,)),
    backward(
        "a gradient overflows in float32", lambda m, x: ((x * 1e30) * 1e30).sum(), [1e-30, 0], "multiply", (0,),
        dtype=np.float32,
    ),
    backward("a gradient overflows in its sum", lambda m, x: (x * np.array([1e308, 1e308])).sum(), 0.0, "multiply", ()),
    backward(
        "sqrt at 0, a gradient being the result", lambda m, x: tg.grad(lambda z: tg.sqrt(z).sum())(x), [1, 0], "sqrt",
        (1,), theirs=False,
    ),
    backward("sqrt at 0 behind a sum", lambda m, x: (m.sqrt(x * 2) + m.exp(x)).sum(), [0, 1], "sqrt", (0,)),
]  # fmt: skip


@primitive(method=False)
def _planted(x: Any, /) -> Any:
    """Return twice x, by a rule that is wrong for negative entries."""
    return 2 * x


_planted.vjp(lambda g, x: g * np.sqrt(np.where(x < 0, np.nan, 4)))
del OPERATIONS["_planted"]  # the other tests are over the library's own


def hooked(x: Any) -> Any:
    """Return a loss, one of whose cotangents a hook replaces by nan."""
    h = x * 2
    h.register_hook(lambda g: g * np.nan)
    return (h * h).sum()


class Log(tg.nn.Module):
    def forward(self, x: Any) -> Any:
        return tg.log(x)


class Root(tg.nn.Module):
    """Roots of the rows' sums."""

    def forward(self, x: Any) -> Any:
        return tg.sqrt(x.sum(axis=1))


class Exploding(tg.nn.Module):
    def __init__(self, depth: int) -> None:
        self.layers = [tg.nn.Linear(2, 2, bias=False, seed=i) for i in range(depth)]
        for layer in self.layers:
            layer.weight.data = np.full((2, 2), 1e20)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


class Attention(tg.nn.Module):
    """Softmax by hand over scores whose mask leaves nothing in the last row."""

    def forward(self, scores: Any, mask: Any) -> Any:
        masked = tg.where(mask, scores, -INF)
        e = tg.exp(masked - masked.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)


def with_nan_weight() -> Any:
    model = tg.nn.Sequential(tg.nn.Linear(2, 2, seed=0), tg.nn.Linear(2, 1, seed=1))
    weight = model[1].weight.data.copy()
    weight[0, 1] = np.nan
    model[1].weight.data = weight
    return model


def saturated(x: Any) -> Any:
    network = tg.nn.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": "sigmoid"}], seed=2)
    network.values["W1"].data = np.full((1, 2), 30.0)
    return tg.log(1 - network(x)).sum()


def step(function: Callable[..., Any], *sizes: int) -> Callable[..., Any]:
    """Return a compiled step of gradient descent on a parameter that is zeros before each call."""
    w = tg.tensor(np.zeros(sizes), requires_grad=True, name="w")
    optimizer = tg.optim.SGD([w], lr=0.1)

    @tg.compile
    def compiled(x: Any) -> Any:
        optimizer.zero_grad()
        loss = function(w, x)
        loss.backward()
        optimizer.step()
        return loss

    def begun(x: Any) -> Any:
        w.data = np.zeros(sizes)
        return compiled(x)

    return begun


def only_ours(name: str, function: Any, x: Any, origin: str, index: Any = None, phase: str = "forward") -> Fault:
    return forward(name, lambda m, *given: function(*given), x, origin, index, theirs=False)._replace(phase=phase)


_ROWS = [[0.3, 0.4], [-0.5, 1.0]]
MODULES = [
    only_ours("log of an activation", tg.nn.Sequential(tg.nn.Identity(), Log()), _ROWS, "log", (1, 0)),
    only_ours("log of relu", tg.nn.Sequential(tg.nn.ReLU(), Log()), _ROWS, "log", (1, 0)),
    only_ours("roots of rows", lambda x: Root()(x).sum(), [[1, 2], [1, -1]], "sqrt", (1,), "backward"),
    only_ours("a parameter that is nan", with_nan_weight(), _ROWS, "1.weight", (0, 1), "given"),
    only_ours("layers that explode", Exploding(20), [[1, 1.0]], "linear", (0, 0)),
    only_ours(
        "a row that is masked whole",
        lambda s: (Attention()(s, np.array([[True, False], [False, False]])) * s).sum(), _ROWS, "where", (1, 0),
    ),
    only_ours("a saturated network", saturated, [[0.1, 0.2], [1.0, 1.0]], "log", (1, 0)),
    only_ours("a rule of one's own", lambda x: _planted(x).sum(), [1, -1], "_planted", (1,), "backward"),
    only_ours("a hook that returns nan", hooked, [1, 2], "hook", (0,), "backward"),
    only_ours("batch norm without eps", tg.nn.BatchNorm1d(2, eps=0.0), [[1, 2], [1, 3]], "divide", None),
    only_ours(
        "an inf that gates make finite", lambda x: tg.nn.GRU(2, 2, seed=0)(x), [[[INF, 1.0]]], "x", (0, 0, 0), "given",
    ),
    only_ours("a float16 overflows", lambda x: x.astype(np.float16).sum(), [1, 1e6], "astype", (1,)),
]  # fmt: skip
COMPILED = [
    only_ours("a compiled step, log of 0", step(lambda w, x: tg.log(w * x).sum(), 2), [1, 2], "log", (0,)),
    only_ours("a step, sqrt at 0", step(lambda w, x: tg.sqrt(w * x).sum(), 2), [1, 2], "sqrt", (0,), "backward"),
    only_ours("a compiled step, division", step(lambda w, x: (x / w).mean(), 2), [1, 2], "divide", (0,)),
    only_ours("a compiled step, exp", step(lambda w, x: tg.exp(x + w).sum(), 2), [1, 800], "exp", (1,)),
    only_ours("a step, a root", step(lambda w, x: tg.sqrt(w.sum()) * x.sum(), 2), [1, 2], "sqrt", (), "backward"),
    only_ours("a step, a power", step(lambda w, x: ((w + x) ** 0.5).sum(), 2), [1, 0], "power", (1,), "backward"),
]  # fmt: skip
PASSES = [
    only_ours("a tangent of sqrt", lambda x: tg.jvp(tg.sqrt, (x,), (np.ones(2),))[1], [0, 4], "sqrt", (0,), "backward"),
    only_ours("a Hessian of sqrt", tg.hessian(lambda x: tg.sqrt(x).sum()), [4, 0], "sqrt", (1,), "backward"),
    only_ours(
        "a Hessian of a power times a vector",
        lambda x: tg.hvp(lambda z: (z**1.5).sum(), (x,), (np.ones(2),)), [0, 4], "power", (0,), "backward",
    ),
    only_ours(
        "a gradient at an array",
        lambda _: tg.grad(lambda z: tg.sqrt(z).sum())(np.zeros(2)), 1, "sqrt", (0,), "backward",
    ),
]  # fmt: skip
FAULTS = [*FORWARD, *[f._replace(phase="given") for f in GIVEN], *BACKWARD, *MODULES, *COMPILED, *PASSES]

FAULTLESS = [
    forward("a mask of -inf", lambda m, s: (m.softmax(m.where(s > 0, s, -INF), -1) * s).sum(), [1, 2, -1], ""),
    forward("an inf that becomes 0", lambda m, x: (1 / (1 + m.exp(x))).sum(), [1, 1000], ""),
    forward("a masked log", lambda m, x: m.where(x > 0, m.log(x), 0 * x).sum(), [1, 0], ""),
    forward("a masked sqrt", lambda m, x: m.where(x > 0, m.sqrt(x), 0 * x).sum(), [1, 0], ""),
    forward("tanh of inf", lambda m, x: m.tanh(m.exp(x)).sum(), [1000, 1], ""),
    forward("a minimum with inf", lambda m, x: m.minimum(1 / x, x).sum(), [0, 2], ""),
    forward("a stable cross entropy", lambda m, x: (m.logaddexp(x, 0 * x) - x).sum(), [1000, -1000], ""),
    forward("a part that is not read", lambda m, x: (m.log(x)[1:] * 2).sum(), [0, 2], ""),
    forward("a value that the result is not computed from", lambda m, x: [m.log(x), x * x][1].sum(), [0, 2], ""),
    forward("a logarithm as a mask", lambda m, s, keep: m.softmax(s + m.log(keep), -1)[0], ([1, 2], [1, 0]), ""),
    forward("sqrt of a square at 0", lambda m, x: m.sqrt(x * x).sum(), [0, 3], ""),
    forward("a norm by hand at 0", lambda m, x: m.sqrt((x * x).sum()), [0, 0], ""),
    forward("distances to oneself", distances, [[0, 1], [2, 2]], ""),
    forward("a deviation of equal numbers", deviation, [3, 3, 3], ""),
    only_ours("binary cross entropy of 0", lambda p: tg.binary_cross_entropy(p, np.array([1.0, 1])), [0.5, 0], ""),
    only_ours(
        "a recorded pass through a masked log",
        lambda x: tg.autograd.grad(tg.where(x > 0, tg.log(x), 0).sum(), x, create_graph=True)[0].sum(),
        [1, 0],
        "",
    ),
    only_ours("the Hessian of a masked log", tg.hessian(lambda x: tg.where(x > 0, tg.log(x), 0).sum()), [1, 0], ""),
    only_ours("the Hessian of a norm at 0", tg.hessian(lambda x: tg.sqrt((x * x).sum())), [0, 0], ""),
    only_ours("a network that learns", step(lambda w, x: ((w - x) ** 2).sum(), 2), [1, 2], ""),
    only_ours(
        "the networks' own losses", lambda z: tg.binary_cross_entropy_with_logits(z, np.ones(2)), [-800, 800], ""
    ),
    only_ours("a norm of the library", lambda x: tg.linalg.norm(x), [0, 0], ""),
]
