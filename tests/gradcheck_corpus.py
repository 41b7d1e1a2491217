"""Functions whose gradient check has a known verdict: what `tg.gradcheck` and other systems' checkers are held against.

A function takes a namespace `xp` of array functions first, so that each system runs it on its own arrays, and
plants a wrong rule by `xp.own(Planted(...), x)`: an operation whose forward and rules take `xp` too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.tensor.declaring import primitive

RIGHT = {"OK", "CONVENTION", "KINK", "PRECISION"}


@dataclass(frozen=True)
class Planted:
    """An operation with one rule per input, `rule(xp, g, y, *inputs)`, of which some are wrong."""

    name: str
    forward: Callable[..., Any]
    rules: tuple[Callable[..., Any], ...]


@dataclass(frozen=True)
class Entry:
    """A function, where it is checked, and what is right to say about it.

    `likely` is a part of what is said about the mistake, `note` of what is said about the derivative. At `order` 2
    the function has to be right at first order.
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[np.ndarray, ...]
    verdict: str
    culprit: str | None = None
    likely: str = ""
    note: str = ""
    order: int = 1

    def __str__(self) -> str:
        return self.name


class Ours:
    """tinygrad_nn as the namespace that the corpus is written in."""

    def __init__(self) -> None:
        self.declared: dict[Planted, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(tg, name)

    norm = staticmethod(tg.linalg.norm)
    asarray = staticmethod(np.asarray)
    eigvalsh = staticmethod(tg.linalg.eigvalsh)
    cholesky = staticmethod(tg.linalg.cholesky)
    solve = staticmethod(tg.linalg.solve)

    def cast(self, x: Any, dtype: str) -> Any:
        return x.astype(dtype)

    def detach(self, x: Any) -> Any:
        return x.detach()

    def own(self, planted: Planted, *inputs: Any) -> Any:
        if planted not in self.declared:
            self.declared[planted] = declared(planted)
        return self.declared[planted](*inputs)


def declared(planted: Planted) -> Any:
    """Return the operation, which no registry keeps."""
    declare = primitive(name=planted.name, method=False)
    alone = len(planted.rules) == 1

    def _of_one(x: Any, /) -> Any:
        return planted.forward(np, x)

    def _of_two(a: Any, b: Any, /) -> Any:
        return planted.forward(np, a, b)

    def reading(rule: Callable[..., Any]) -> Callable[..., Any]:
        if alone:
            return lambda g, x, y: rule(np, g, y, x)
        return lambda g, a, b, y: rule(np, g, y, a, b)

    call = declare(_of_one if alone else _of_two)
    del OPERATIONS[planted.name]
    call.vjp(*map(reading, planted.rules))
    return call


def function_for(entry: Entry, xp: Any) -> Callable[..., Any]:
    """Return an entry's function on the arrays of a system."""
    return lambda *inputs: entry.function(xp, *inputs)


def array(*numbers: Any, dtype: Any = float) -> np.ndarray:
    return np.array(numbers, dtype)


def drawn(*shape: int, low: float = -1.5, high: float = 1.5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).uniform(low, high, shape)


def single(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32)


def half(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float16)


x3 = array(0.7, -1.2, 2.1)
square = drawn(3, 3)


def smooth() -> Iterator[Entry]:
    """Yield functions that have a derivative, which is right."""

    def ok(name: str, function: Callable[..., Any], *inputs: np.ndarray) -> Entry:
        return Entry(name, function, inputs, "OK")

    yield ok("polynomial", lambda xp, x: xp.sum(x**3 - 2 * x**2 + x), x3)
    yield ok("tanh of a product", lambda xp, a, b: xp.sum(xp.tanh(a @ b)), drawn(4, 3), drawn(3, 2))
    yield ok("entropy", lambda xp, x: -xp.sum(x * xp.log(x)), drawn(5, low=0.05, high=0.9))
    yield ok("log-sum-exp far out", lambda xp, x: xp.logsumexp(x), array(1000.0, 1001.0, 999.0))
    yield ok("softmax", lambda xp, x: xp.softmax(x), drawn(2, 4))
    yield ok("log-sum-exp of one large number", lambda xp, x: xp.logsumexp(x), array(0.0, -20.0, -20.5, -19.7))
    yield ok("cross entropy of logits", lambda xp, z: xp.mean(xp.softplus(z) - 0.3 * z), drawn(6, 1, high=4.0))
    yield ok("broadcasting", lambda xp, a, b: xp.sum((a * b) ** 2), drawn(3, 1), drawn(1, 4))
    yield ok("reduction along an axis", lambda xp, x: xp.sum(xp.sin(xp.sum(x, axis=0))), drawn(3, 2))
    yield ok("running total", lambda xp, x: xp.sum(xp.exp(xp.cumsum(x, axis=0))), drawn(4))
    yield ok("product with a zero", lambda xp, x: xp.prod(x), array(2.0, 0.0, 3.0))
    yield ok("product with two zeros", lambda xp, x: xp.prod(x), array(0.0, 2.0, 0.0))
    yield ok("square at 0", lambda xp, x: xp.sum(x**2), array(0.0, 1.0))
    yield ok("cube at 0", lambda xp, x: xp.sum(x**3), array(0.0, -1.0))
    yield ok("one number", lambda xp, x: xp.sin(x) * x, np.array(0.7))
    yield ok("large numbers", lambda xp, x: xp.sum(xp.log(x)), array(1e6, 3e8))
    yield ok("small numbers", lambda xp, x: xp.sum(xp.exp(x * 1e6)), array(1e-6, -2e-6))
    yield ok("tiny derivative", lambda xp, x: 1e-12 * xp.sum(xp.sin(x)), x3)
    yield ok("huge derivative", lambda xp, x: 1e12 * xp.sum(xp.sin(x)), x3)
    yield ok("tiny and huge derivatives", lambda xp, a, b: xp.sum(a**2) + 1e10 * xp.sum(b**2), x3, x3 / 2)
    yield ok("steep", lambda xp, x: xp.sum(xp.tanh(100 * x)), array(0.003, -0.011, 0.02))
    yield ok("fast oscillation", lambda xp, x: xp.sum(xp.sin(50 * x)), x3)
    yield ok("narrow bump", lambda xp, x: xp.sum(xp.exp(-((x * 1e3) ** 2))), array(1e-4, 1e-3))
    yield ok("beside a pole", lambda xp, x: xp.sum(1 / x), array(0.01, -0.02))
    yield ok("close to a pole", lambda xp, x: xp.sum(1 / x), array(1e-5))
    yield ok("logarithm close to 0", lambda xp, x: xp.sum(xp.log(x)), array(1e-6, 1e-3))
    yield ok("square root close to 0", lambda xp, x: xp.sum(xp.sqrt(x)), array(1e-6, 1.0))
    yield ok("saturated sigmoid", lambda xp, x: xp.sum(xp.sigmoid(x)), array(-40.0, 2.0))
    yield ok("a constant", lambda xp, x: xp.sum(x * 0 + 3), x3)
    yield ok("nothing comes through", lambda xp, x: xp.sum(xp.relu(x - 5)), x3)
    yield ok("masked logarithm", lambda xp, x: xp.sum(xp.where(x > 0, xp.log(xp.where(x > 0, x, 1.0)), x)), x3)
    yield ok("square of the positive part at 0", lambda xp, x: xp.sum(xp.relu(x) ** 2), array(0.0, 1.0))
    yield ok("x |x| at 0", lambda xp, x: xp.sum(x * abs(x)), array(0.0, 1.0))
    yield ok("square of the norm at 0", lambda xp, x: xp.sum(x * x), array(0.0, 0.0))
    yield ok("floor between integers", lambda xp, x: xp.sum(xp.floor(x) * x), array(1.5, -0.3))
    yield ok("single precision", lambda xp, x: xp.sum(xp.exp(x) * xp.sin(x)), single(x3))
    yield ok("half precision", lambda xp, x: xp.sum(xp.tanh(x) * x), half(x3))
    yield ok("a network in single precision", network, single(drawn(3, 4)), single(drawn(4, 1)))
    yield ok("a hundred times the same", lambda xp, x: xp.sum(repeated(xp, x, 100)), x3)
    yield ok("a masked logit", lambda xp, x: xp.softmax(x), array(1.0, 2.0, -np.inf))
    yield ok("seeded noise", seeded_noise, x3)
    yield ok("two mistakes that cancel", lambda xp, x: xp.sum(xp.own(HALVED, xp.own(DOUBLED, x))), x3)


def network(xp: Any, W: Any, b: Any) -> Any:
    return xp.mean(xp.tanh(xp.tanh(W.T @ W + b) @ W.T))


def repeated(xp: Any, x: Any, times: int) -> Any:
    for _ in range(times):
        x = xp.sin(x) + 0.5 * x
    return x


def seeded_noise(xp: Any, x: Any) -> Any:
    noise = np.random.default_rng(0).normal(size=3).tolist()
    return sum(x[i] ** 2 * noise[i] for i in range(3))


def kinks() -> Iterator[Entry]:
    """Yield functions at a kink, and next to one."""

    def kink(name: str, function: Callable[..., Any], *inputs: np.ndarray, note: str = "") -> Entry:
        return Entry(name, function, inputs, "KINK", note=note)

    def near(name: str, function: Callable[..., Any], *inputs: np.ndarray) -> Entry:
        return Entry(name, function, inputs, "OK")

    yield kink("absolute value at 0", lambda xp, x: xp.sum(abs(x)), array(0.0, 1.0), note="abs at 0: 0")
    yield kink("relu at 0", lambda xp, x: xp.sum(xp.relu(x)), array(0.0, 1.0, -1.0), note="relu at 0: 0")
    yield kink("relu inside a network at 0", lambda xp, x: xp.sum(xp.tanh(xp.relu(x * 2) * 3)), array(0.0, 0.4))
    yield kink("a tie of two", lambda xp, a, b: xp.sum(xp.maximum(a, b)), array(1.0, 2.0), array(1.0, 0.5))
    yield kink("a tie of a minimum", lambda xp, a, b: xp.sum(xp.minimum(a, b)), array(1.0), array(1.0))
    yield kink("a tie with a number", lambda xp, x: xp.sum(xp.maximum(x, xp.detach(x) * 0 + 1)), array(1.0, 3.0))
    yield kink("a tie of the largest", lambda xp, x: xp.amax(x), array(2.0, 1.0, 2.0))
    yield kink("a tie of three", lambda xp, x: xp.amax(x), array(2.0, 2.0, 2.0))
    yield kink("a tie in an order", lambda xp, x: xp.sum(xp.sort(x) * xp.asarray(array(1, 2, 3))), array(2.0, 1.0, 2.0))
    yield kink("a bound of a clip", lambda xp, x: xp.sum(xp.clip(x, -1, 1)), array(1.0, 0.3))
    yield kink("margin of a hinge", lambda xp, x: xp.mean(xp.relu(1 - x)), array(1.0, 0.0, 3.0))
    yield kink("norm at 0", lambda xp, x: xp.norm(x), array(0.0, 0.0))
    yield kink("distance of equal points", lambda xp, a, b: xp.sum(abs(a - b)), array(1.0, 2.0), array(1.0, 2.5))
    yield kink("a kink of unequal slopes", lambda xp, x: xp.sum(abs(x) + 0.5 * x), array(0.0))
    yield kink("a small kink on a slope", lambda xp, x: xp.sum(100 * x + 0.01 * abs(x)), array(0.0))
    yield kink("a kink in a large sum", lambda xp, x: xp.sum(abs(x)) + 1e4 * xp.sum(xp.sin(x)), array(0.0, 0.3))
    yield kink("a kink in single precision", lambda xp, x: xp.sum(xp.relu(x)), single(array(0.0, 1.0)))
    yield kink("a kink in half precision", lambda xp, x: xp.sum(abs(x)), half(array(0.0, 1.0)))
    yield kink("many kinks at once", lambda xp, x: xp.sum(xp.relu(x)), np.zeros(6))
    yield kink("a kink of |sin| away from 0", lambda xp, x: xp.sum(abs(x * x - 1)), array(1.0, 2.0))
    yield kink("kinks of half precision beside one another", lambda xp, x: xp.sum(xp.relu(x - 1)), half(np.ones(3)))
    yield kink("a field of kinks", field_of_kinks, np.zeros(200))
    yield kink("kinks that meet in a direction", lambda xp, x: xp.relu(x), np.zeros(200), note="relu at 0: 0")
    for seed in (2, 6, 7):
        yield kink(f"a network without biases on zeros, {seed}", unbiased, *unbiased_inputs(seed), note="relu at 0: 0")
    yield kink("equal eigenvalues", lambda xp, x: xp.eigvalsh(x), np.eye(3))
    yield kink("kinks one in another", lambda xp, x: xp.sum(abs(xp.relu(x) - 0.5)), array(0.5, 0.0))
    for off in (1e-9, 1e-6, 1e-3):
        yield near(f"absolute value {off} beside 0", lambda xp, x: xp.sum(abs(x)), array(off, -off))
    yield near("relu 1e-7 beside 0", lambda xp, x: xp.sum(xp.relu(x)), array(1e-7, -1e-7))
    yield near("relu of a shifted number, 1e-7 beside 0", lambda xp, x: xp.sum(xp.relu(x - 1)), array(1 + 1e-7))
    yield near("a tie but for 1e-8", lambda xp, x: xp.amax(x), array(1.0, 1 + 1e-8))
    yield near("a bend of high curvature", lambda xp, x: xp.sum(xp.sqrt(x * x + 1e-10)), array(0.0, 1e-5))
    yield near("softplus that looks like a kink", lambda xp, x: xp.sum(xp.softplus(x * 1e4)), array(0.0, 1e-5))


def field_of_kinks(xp: Any, x: Any) -> Any:
    return xp.sum(abs(x) * xp.asarray(np.cos(np.arange(200))))


def unbiased(xp: Any, first: Any, bias: Any, second: Any) -> Any:
    """Return what a network of two relu layers makes of samples of which every fourth is 0."""
    X = drawn(20, 2)
    X[::4] = 0
    return xp.relu(xp.relu(xp.asarray(X) @ first + bias) @ second)


def unbiased_inputs(seed: int) -> tuple[np.ndarray, ...]:
    return drawn(2, 30, seed=seed), np.zeros(30), drawn(30, 5, seed=seed)


def awkward() -> Iterator[Entry]:
    """Yield conventions, jumps, what is not finite, not connected, not the same twice, or lost by rounding."""
    yield Entry("root of x, squared, at 0", lambda xp, x: xp.sum(xp.sqrt(x) ** 2), (array(0.0, 1.0),), "CONVENTION")
    yield Entry("x times its root, at 0", lambda xp, x: xp.sum(xp.sqrt(x) * x), (array(0.0, 1.0),), "CONVENTION")
    yield Entry(
        "positive minus negative part", lambda xp, x: xp.sum(xp.relu(x) - xp.relu(-x)), (array(0.0, 1.0),), "CONVENTION"
    )
    yield Entry(
        "x log x where x is positive",
        lambda xp, x: xp.sum(xp.where(x > 0, x * xp.log(x), 0 * x)),
        (array(0.0, 1.0),),
        "CONVENTION",
        note="log where its derivative is singular",
    )
    jumps: list[tuple[str, Any, np.ndarray]] = [
        ("a logarithm where x is positive", lambda xp, x: xp.sum(xp.where(x > 0, xp.log(x), 0 * x)), array(0.0, 1.0)),
        ("a quotient where x is positive", lambda xp, x: xp.sum(xp.where(x > 0, 1 / x, 0 * x)), array(0.0, 1.0)),
        ("floor at an integer", lambda xp, x: xp.sum(xp.floor(x) * x), array(1.0, 0.5)),
        ("sign at 0", lambda xp, x: xp.sum(xp.sign(x) + x), array(0.0, 2.0)),
        ("round at a half", lambda xp, x: xp.sum(xp.round(x) * x), array(0.5, 0.3)),
        ("a step at 0", lambda xp, x: xp.sum(xp.where(x > 0, x + 1, x)), array(0.0, 1.0)),
        ("a small step at 0", lambda xp, x: xp.sum(xp.where(x > 0, x + 1e-3, x)), array(0.0, 1.0)),
    ]
    for name, function, x in jumps:
        yield Entry(name, function, (x,), "DISCONTINUITY")
    infinite: list[tuple[str, Any, np.ndarray]] = [
        ("root at 0", lambda xp, x: xp.sum(xp.sqrt(x)), array(0.0, 1.0)),
        ("logarithm at 0", lambda xp, x: xp.sum(xp.log(x)), array(0.0)),
        ("0 divided by 0", lambda xp, x: xp.sum(x / x), array(0.0)),
        ("softmax without care", lambda xp, x: xp.sum(xp.exp(x)[0] / xp.sum(xp.exp(x))), single(array(100.0, 99.0))),
        ("overflow of half precision", lambda xp, x: xp.sum(x**4), half(array(100.0))),
    ]
    for name, function, x in infinite:
        yield Entry(name, function, (x,), "NONFINITE")
    lost: list[tuple[str, Any, np.ndarray]] = [
        ("1 - cos, over a square", lambda xp, x: xp.sum((1 - xp.cos(x)) / x**2), single(array(3e-3))),
        ("logarithm of 1 + x", lambda xp, x: xp.sum(xp.log(1 + x) / x), single(array(1e-4))),
        ("exp(x) - 1, over x", lambda xp, x: xp.sum((xp.exp(x) - 1) / x), array(1e-9)),
        ("root of 1 - cos squared", lambda xp, x: xp.sum(xp.sqrt(1 - xp.cos(x) ** 2)), single(array(3e-3))),
        ("cancellation in half precision", lambda xp, x: xp.sum(((x + 64) - 64) ** 2), half(array(0.1, 0.3))),
        ("a difference of exponentials", lambda xp, x: xp.sum(xp.log(xp.exp(x) - xp.exp(-x))), single(array(1e-5))),
    ]
    lost += [
        ("terms that cancel", lambda xp, x: sum_of_zero(xp, xp.erf(x)), x3),
        ("large terms that cancel", lambda xp, x: sum_of_zero(xp, 1e8 * xp.erf(x)), x3),
        ("large terms that cancel beside others", lambda xp, x: sum_of_zero(xp, 1e8 * xp.erf(x)) + xp.sum(x), x3),
        (
            "terms that cancel in single precision",
            lambda xp, x: sum_of_zero(xp, xp.erf(x)) + 1e-6 * xp.sum(x),
            single(x3),
        ),
        ("a softmax that is sure", lambda xp, x: xp.softmax(x), array(0.0, -60.0, -60.5, -59.7)),
        ("a softmax that is sure, in single precision", lambda xp, x: xp.softmax(x), single(array(0, -40, -40.5, -39))),
        ("sum of a softmax", lambda xp, x: xp.sum(xp.softmax(x)), x3),
        ("sum of what is normalised", lambda xp, x: xp.sum(normalised(xp, x)), x3),
        ("the same in single precision", lambda xp, x: xp.sum(normalised(xp, x)), single(x3)),
    ]
    for name, function, x in lost:
        yield Entry(name, function, (x,), "PRECISION")
    generator = np.random.default_rng(5)
    calls = itertools.count()
    changing: list[tuple[str, Any]] = [
        ("dropout", lambda xp, x: sum(x[i] ** 2 * (generator.random() > 0.5) * 2.0 for i in range(3))),
        ("noise", lambda xp, x: xp.sum(x) * generator.normal()),
        ("a counter", lambda xp, x: xp.sum(x) * (1 + next(calls) % 3)),
    ]
    for name, function in changing:
        yield Entry(name, function, (x3,), "NONDETERMINISTIC")
    drawn_sign = lambda xp, a, b: xp.maximum(a, b) * generator.choice([-1.0, 1.0])  # noqa: E731
    yield Entry("a sign that two runs may share", drawn_sign, (np.zeros(150), np.zeros(150)), "NONDETERMINISTIC")
    yield Entry("detached", lambda xp, x: xp.sum(xp.detach(x) ** 2), (x3,), "DISCONNECTED")
    yield Entry("one input detached", lambda xp, a, b: xp.sum(a * xp.detach(b)), (x3, x3 + 1), "DISCONNECTED")
    yield Entry("one factor detached", lambda xp, x: xp.sum(x * xp.detach(x)), (x3,), "BUG", note="is not recorded")


def sum_of_zero(xp: Any, y: Any) -> Any:
    return xp.sum(y * 0.1 + y * 0.2 - y * 0.3)


def normalised(xp: Any, x: Any) -> Any:
    centred = x - xp.mean(x)
    return centred / xp.sqrt(xp.mean(centred**2))


DOUBLED = Planted("doubled", lambda xp, x: 1 * x, (lambda xp, g, y, x: 2 * g,))
HALVED = Planted("halved", lambda xp, x: 1 * x, (lambda xp, g, y, x: 0.5 * g,))


class Stale:
    """A square whose rule uses the first input that it was called with, or one from before that."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.first: Any = None

    def forward(self, xp: Any, x: Any) -> Any:
        if self.first is None:
            self.first = np.array(x) * self.factor
        return x**2

    def rule(self, xp: Any, g: Any, y: Any, x: Any) -> Any:
        return 2 * g * (x * 0 + xp.asarray(self.first))


def mistaken() -> Iterator[Entry]:
    """Yield wrong rules of every mistake of the catalogue, each in the middle of other operations."""

    def bug(name: str, forward: Any, rules: Any, *inputs: np.ndarray, likely: str = "") -> Entry:
        operation = name.replace(" ", "_").replace(",", "")
        planted = Planted(operation, forward, rules if isinstance(rules, tuple) else (rules,))
        return Entry(name, lambda xp, *xs: inside(xp, planted, xs), inputs, "BUG", operation, likely)

    def inside(xp: Any, planted: Planted, inputs: Any) -> Any:
        return xp.sum(xp.exp(0.3 * xp.own(planted, *[1.1 * x for x in inputs])))

    x, m = x3, drawn(4, 3)
    tanh, product = (lambda xp, x: xp.tanh(x)), (lambda xp, a, b: a @ b)
    first = lambda xp, g, y, a, b: g @ b.T  # noqa: E731
    second = lambda xp, g, y, a, b: a.T @ g  # noqa: E731
    yield bug("wrong sign", lambda xp, x: xp.cos(x), lambda xp, g, y, x: g * xp.sin(x), x, likely="sign")
    yield bug("twice", tanh, lambda xp, g, y, x: 2 * g * (1 - y * y), x, likely="it is 2 times")
    yield bug("half", lambda xp, x: x**2, lambda xp, g, y, x: g * x, x, likely="it is 1/2 of")
    yield bug("times 1.01", tanh, lambda xp, g, y, x: 1.01 * g * (1 - y * y), x, likely="1.01 times")
    yield bug(
        "no 1 over m",
        lambda xp, x: xp.mean(x, axis=0),
        lambda xp, g, y, x: g + 0 * x,
        m,
        likely="4 times what is right: a missing 1/m",
    )
    yield bug(
        "1 over m too often",
        lambda xp, x: xp.sum(x, axis=0),
        lambda xp, g, y, x: (g + 0 * x) / 4,
        m,
        likely="1/m once too often",
    )
    yield bug(
        "transposed", product, (lambda xp, g, y, a, b: (g @ b.T).T, second), square, square + 1, likely="is transposed"
    )
    yield bug(
        "no transpose",
        product,
        (lambda xp, g, y, a, b: g @ b, second),
        square,
        square + 1,
        likely="it is g @ b; write g @ b.T",
    )
    yield bug(
        "second input",
        product,
        (first, lambda xp, g, y, a, b: a @ g),
        square,
        square + 1,
        likely="it is a @ g; write a.T @ g",
    )
    yield bug("no local derivative", tanh, lambda xp, g, y, x: g, x, likely="the local derivative is missing")
    yield bug("wrong axis", lambda xp, x: x * xp.sum(x**2, axis=0), wrong_axis, drawn(3, 3), likely="")
    yield bug(
        "summed over an axis",
        lambda xp, x: 1 * x,
        lambda xp, g, y, x: xp.sum(g, axis=0) + 0 * x,
        m,
        likely="summed over axis 0",
    )
    yield bug(
        "a mean for a sum over the batch",
        lambda xp, a, b: a + b,
        (lambda xp, g, y, a, b: g, lambda xp, g, y, a, b: xp.mean(g, axis=0)),
        m,
        drawn(3),
        likely="1/m once too often",
    )
    yield bug(
        "first row of the batch alone",
        lambda xp, a, b: a + b,
        (lambda xp, g, y, a, b: g, lambda xp, g, y, a, b: g[0]),
        m,
        drawn(3),
        likely="it is g[0]; write g.sum(axis=0)",
    )
    yield bug("derivative of the input", tanh, lambda xp, g, y, x: g * (1 - x * x), x)
    yield bug("a factor missing", lambda xp, x: x**3, lambda xp, g, y, x: 3 * g * x, x, likely="a factor is missing: x")
    yield bug(
        "a factor too many", lambda xp, x: x**2, lambda xp, g, y, x: 2 * g * x * x, x, likely="one factor too many"
    )
    yield bug("the cotangent forgotten", tanh, lambda xp, g, y, x: 1 - y * y + 0 * g, x, likely="the cotangent")
    yield bug("nothing sent back", tanh, lambda xp, g, y, x: 0 * g, x, likely="it is 0 everywhere")
    yield bug("stale", (stale := Stale(0.75)).forward, stale.rule, x, likely="stale")
    yield bug("stale from now on", (now := Stale(1.0)).forward, now.rule, x, likely="stale")
    yield bug("flipped", lambda xp, x: xp.cumsum(x, axis=0), lambda xp, g, y, x: xp.cumsum(g, axis=0), x)
    yield bug(
        "another order",
        lambda xp, x: xp.flip(x, (0,)),
        lambda xp, g, y, x: g,
        x,
        likely="it is g: the local derivative is missing",
    )
    yield bug("one entry in a thousand", tanh, one_entry, drawn(1000))
    yield bug("the last entry", tanh, lambda xp, g, y, x: g * (1 - y * y) * xp.asarray(array(1, 1, 1, 0)), drawn(4))
    yield bug("a millionth off", tanh, lambda xp, g, y, x: (1 + 1e-6) * g * (1 - y * y), x)
    yield bug("a hundred billionth off", tanh, lambda xp, g, y, x: (1 + 1e-11) * g * (1 - y * y), x)
    yield bug("a millionth off, real numbers only", lambda xp, x: xp.maximum(x, -9 + 0 * x), millionth, x)
    yield bug("under a tiny derivative", lambda xp, x: 1e-9 * xp.sin(x), lambda xp, g, y, x: 1.1e-9 * g * xp.cos(x), x)
    yield bug("hidden at a kink", lambda xp, x: abs(x), lambda xp, g, y, x: 0.5 * g * xp.sign(x), array(0.0))
    yield bug("hidden at a tie", lambda xp, a, b: xp.maximum(a, b), (
        lambda xp, g, y, a, b: 0.5 * g, lambda xp, g, y, a, b: 0.5 * g), array(1.0), array(1.0))  # fmt: skip
    yield bug(
        "beyond both slopes", lambda xp, x: abs(x), lambda xp, g, y, x: g * (xp.sign(x) + 2 * (x == 0)), array(0.0)
    )
    yield bug("in single precision", tanh, lambda xp, g, y, x: 1.01 * g * (1 - y * y), single(x), likely="1.01 times")
    yield bug("in half precision", tanh, lambda xp, g, y, x: 2 * g * (1 - y * y), half(x), likely="it is 2 times")
    yield bug("errors of both signs", lambda xp, x: 1 * x, both_signs, drawn(200))
    yield bug("dead where it is far out", lambda xp, x: 1 / (1 + xp.exp(-x)), dead_far_out, array(0.5, -20.0))
    yield bug(
        "root without its half",
        lambda xp, x: xp.sqrt(x),
        lambda xp, g, y, x: g / y,
        array(0.5, 2.0),
        likely="it is 2 times",
    )
    yield bug("log without its quotient", lambda xp, x: xp.log(x), lambda xp, g, y, x: g * x, array(0.5, 2.0))
    yield bug("quotient", lambda xp, a, b: a / b, (
        lambda xp, g, y, a, b: g / b, lambda xp, g, y, a, b: g * a / b**2), x, x + 3, likely="sign")  # fmt: skip
    yield bug("power rule", lambda xp, x: x**3, lambda xp, g, y, x: 3 * g * x**3, x, likely="one factor too many")
    yield bug(
        "softmax, its diagonal only",
        lambda xp, x: xp.exp(x) / xp.sum(xp.exp(x)),
        lambda xp, g, y, x: g * y * (1 - y),
        drawn(4),
    )


def wrong_axis(xp: Any, g: Any, y: Any, x: Any) -> Any:
    return g * xp.sum(x**2, axis=0) + 2 * x * xp.sum(g * x, axis=1)


def millionth(xp: Any, g: Any, y: Any, x: Any) -> Any:
    return (1 + 1e-6) * g


def one_entry(xp: Any, g: Any, y: Any, x: Any) -> Any:
    return g * (1 - y * y) * xp.asarray(np.where(np.arange(1000) == 137, 3.0, 1.0))


def both_signs(xp: Any, g: Any, y: Any, x: Any) -> Any:
    return g * xp.asarray(1 + 0.5 * (-1.0) ** np.arange(200))


def dead_far_out(xp: Any, g: Any, y: Any, x: Any) -> Any:
    return g * y * (1 - y) * (abs(x) < 10)


def scales() -> Iterator[Entry]:
    """Yield functions that vary on a scale of their own, beside large constants, or in a narrower dtype inside."""
    below, above = (array(*[1 + sign * off for off in (1e-6, 1e-9, 1e-12)]) for sign in (-1, 1))
    edges: list[tuple[str, Any, np.ndarray]] = [
        ("arcsine beside its edge", lambda xp, x: xp.sum(xp.arcsin(x)), below),
        ("arccosh beside its edge", lambda xp, x: xp.sum(xp.arccosh(x)), above),
        ("arctanh beside its pole", lambda xp, x: xp.sum(xp.arctanh(x)), below),
        ("logarithm beside 1 - x = 0", lambda xp, x: xp.sum(xp.log(1 - x)), below),
        ("root beside 1 - x² = 0", lambda xp, x: xp.sum(xp.sqrt(1 - x * x)), below),
        ("logarithms down to 1e-300", lambda xp, x: xp.sum(xp.log(x)), array(1.0, 1e-9, 1e-30, 1e-100, 1e-300)),
        ("roots down to 1e-300", lambda xp, x: xp.sum(xp.sqrt(x)), array(1.0, 1e-9, 1e-30, 1e-100, 1e-300)),
        ("inverse of 1e-100", lambda xp, x: xp.sum(1 / x), array(1e-100)),
        ("fine waves on a slope", lambda xp, x: xp.sum(x + 1e-9 * xp.sin(1e9 * x)), x3),
        ("a square and a large constant", lambda xp, x: xp.sum(x**2) + 1e12, x3),
        ("what is left of a saturated sigmoid", lambda xp, x: xp.sum(1 - xp.sigmoid(x)), array(40.0, 30.0, 36.0)),
        ("a square and a huge constant", lambda xp, x: xp.sum(x**2) + 1e15, x3),
    ]
    edges += [(f"waves of frequency {k:g}", lambda xp, x, k=k: xp.sum(xp.sin(k * x)), x3) for k in (2e5, 1e6, 1e9)]
    for name, function, x in edges:
        yield Entry(name, function, (x,), "OK")
    unresolved: list[tuple[str, Any, np.ndarray]] = [
        ("waves of frequency 1e+12", lambda xp, x: xp.sum(xp.sin(1e12 * x)), x3),
        ("waves of frequency 1e+12 on a slope", lambda xp, x: xp.sum(1e-12 * xp.sin(1e12 * x) + x), x3),
        ("absolute waves of frequency 1e+12", lambda xp, x: xp.sum(abs(xp.sin(1e12 * x))), x3),
        ("waves far out", lambda xp, x: xp.sum(xp.sin(x)), 1e12 * x3),
        ("waves in single precision", lambda xp, x: xp.sum(xp.sin(1e12 * x)), single(x3)),
        ("waves of single precision inside", lambda xp, x: xp.sum(xp.sin(1e9 * xp.cast(x, "float32"))), x3),
        ("waves beside a large constant", lambda xp, x: xp.sum(1e12 + 1e-9 * xp.sin(1e9 * x)), x3),
        ("waves that get shorter", lambda xp, x: xp.sum(xp.sin(xp.exp(20 * x))), x3),
        ("waves that get shorter towards 0", lambda xp, x: xp.sum(x * xp.sin(1 / x)), array(1e-6, 1e-9, 1e-12)),
        ("a fine staircase", lambda xp, x: xp.sum(xp.floor(1e12 * x) * 1e-12 + x), x3),
    ]
    hilbert = 1 / (1 + np.add.outer(np.arange(8.0), np.arange(8.0)))
    unresolved += [
        ("a softmax beside a constant", lambda xp, x: xp.softmax(x + 1e15), x3),
        ("a softmax that a constant swallows", lambda xp, x: xp.softmax(x + 1e18), x3),
        ("1 + x² where x² is rounded away", lambda xp, x: xp.sum(xp.log(1 + x * x)), array(0.7e-6, -1.2e-6, 2e-7)),
        ("half precision swallows it inside", lambda xp, x: xp.sum(xp.cast(x, "float16") + 1000 - x), x3),
        ("a mean in half precision inside", lambda xp, x: xp.mean(xp.cast(x, "float16") * 1 + 100), x3),
        ("a variance in half precision inside", lambda xp, x: xp.mean((h := xp.cast(x, "float16")) * h), x3),
        ("an ill-conditioned system", lambda xp, x: xp.sum(xp.solve(x, np.cos(np.arange(8.0)))), hilbert),
    ]
    for name, function, x in unresolved:
        yield Entry(name, function, (x,), "PRECISION")
    stairs = lambda xp, x: xp.sum(1e-8 * xp.floor(1e8 * x) + x)  # noqa: E731
    yield Entry("at a step of a fine staircase", stairs, (x3,), "DISCONTINUITY")
    yield Entry("next to the edge", lambda xp, x: xp.sum(xp.arcsin(x)), (array(1 - 1e-15),), "OK")
    yield Entry("single precision inside", lambda xp, x: xp.sum(xp.tanh(xp.cast(x, "float32"))), (x3,), "PRECISION")
    there_and_back = lambda xp, x: xp.sum(xp.cast(xp.tanh(xp.cast(x, "float32")), "float64") ** 2)  # noqa: E731
    yield Entry("to single precision and back", there_and_back, (x3,), "PRECISION")
    for dtype in ("float32", "float16"):
        cast_alike = lambda xp, x: xp.sum(xp.cast(xp.sin(x), "float32"))  # noqa: E731
        yield Entry(f"single precision inside, of {dtype}", cast_alike, (x3.astype(dtype),), "PRECISION")
    yield Entry("half precision inside", lambda xp, x: xp.sum(xp.tanh(xp.cast(x, "float16"))), (x3,), "PRECISION")
    further_back = lambda xp, x: xp.sum(xp.cast(xp.tanh(xp.cast(x, "float16")), "float64"))  # noqa: E731
    yield Entry("to half precision and back", further_back, (x3,), "PRECISION")
    matrix = array([4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0])
    for name, function in (
        ("eigenvalues of a symmetric matrix", lambda xp, x: xp.eigvalsh(x)),
        ("a factor of a symmetric matrix", lambda xp, x: xp.sum(xp.cholesky(x) ** 3)),
    ):
        for each in (matrix, 2e-6 * matrix, single(matrix)):
            size = f"{each.dtype}, {each[0, 0]:g}"
            yield Entry(f"{name}, {size}", function, (each,), "CONVENTION", note="one triangle is read")

    def bug(name: str, forward: Any, rule: Any, outside: Any, *inputs: np.ndarray) -> Entry:
        planted = Planted(name.replace(" ", "_"), forward, (rule,))
        return Entry(name, lambda xp, *xs: outside(xp, xp.own(planted, *xs)), inputs, "BUG", planted.name)

    def only(dtype: str, factor: float) -> Any:
        return lambda xp, g, y, x: (factor if dtype in str(y.dtype) else 1.0) * g * (1 - y * y)

    square, tanh, total = (lambda xp, x: x**2), (lambda xp, x: xp.tanh(x)), (lambda xp, y: xp.sum(y))
    twice = lambda xp, g, y, x: 2 * g * (1 - y * y)  # noqa: E731
    yield bug("half beside a large constant", square, lambda xp, g, y, x: g * x, lambda xp, y: xp.sum(y) + 1e12, x3)
    huge = lambda xp, y: xp.sum(xp.maximum(y, -9 + 0 * y)) + 1e14  # noqa: E731
    yield bug("half beside a huge constant", square, lambda xp, g, y, x: g * x, huge, x3)
    yield bug("nothing beside a constant", square, lambda xp, g, y, x: 0 * g, lambda xp, y: xp.sum(y + 1e12), x3)
    fine = lambda xp, x: x + 1e-9 * xp.sin(1e9 * x)  # noqa: E731
    yield bug("fine waves left out", fine, lambda xp, g, y, x: g, total, x3)
    yield bug("waves twice", lambda xp, x: xp.sin(1e6 * x), lambda xp, g, y, x: 2e6 * g * xp.cos(1e6 * x), total, x3)
    twice_fine = lambda xp, g, y, x: 2e12 * g * xp.cos(1e12 * x)  # noqa: E731
    yield bug("fine waves twice", lambda xp, x: xp.sin(1e12 * x), twice_fine, total, x3)
    tiny = array(1e-300, 3e-300)
    yield bug("logarithm twice", lambda xp, x: xp.log(x), lambda xp, g, y, x: 2 * g / x, total, tiny)
    yield bug("twice in single precision only", tanh, only("float32", 2.0), total, single(x3))
    yield bug("a hundredth in single precision only", tanh, only("float32", 1.01), total, single(x3))
    yield bug("twice in half precision only", tanh, only("float16", 2.0), lambda xp, y: xp.sum(y * y), half(x3))
    planted = Planted("twice_inside", tanh, (twice,))
    back = lambda xp, y: xp.cast(xp.sum(xp.cast(y, "float16")), "float64")  # noqa: E731
    yield bug("nothing sent back, before half precision", tanh, lambda xp, g, y, x: 0 * g, back, x3)
    for dtype in ("float32", "float16"):
        inside = lambda xp, x, d=dtype: xp.sum(xp.cast(xp.own(planted, xp.cast(x, d)), "float64"))  # noqa: E731
        yield Entry(f"twice in {dtype} inside", inside, (x3,), "BUG", "twice_inside")


def second_order() -> Iterator[Entry]:
    """Yield rules that are right, the derivatives of which are wrong, and right ones."""
    frozen = Planted("frozen", lambda xp, x: xp.tanh(x), (lambda xp, g, y, x: g * (1 - flat(xp, y) * y),))
    yield Entry(
        "a factor of a rule without derivative",
        lambda xp, x: xp.sum(xp.own(frozen, x) * x),
        (x3,),
        "BUG",
        "frozen",
        order=2,
    )
    yield Entry(
        "a kink of the derivative", lambda xp, x: xp.sum(xp.relu(x) ** 2), (array(0.0, 1.0),), "KINK",
        note="relu at 0: 0", order=2,
    )  # fmt: skip
    yield Entry("right twice", lambda xp, x: xp.sum(xp.exp(x) * xp.sin(x)), (x3,), "OK", order=2)
    yield Entry("a linear function, twice", lambda xp, x: xp.sum(3 * x), (x3,), "OK", order=2)


def flat(xp: Any, y: Any) -> Any:
    """Return y itself, to the last bit, by a way that has no derivative."""
    return xp.round(y * 2.0**60) / 2.0**60


CORPUS = [*smooth(), *kinks(), *awkward(), *mistaken(), *scales(), *second_order()]
