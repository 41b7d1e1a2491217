"""Functions, compiled: every kind of argument and result, derivatives, branches by numbers, singular inputs."""

from __future__ import annotations

import copy
import functools
import math
import pathlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.compiler.lower import lowering
from tinygrad_nn.errors import CompileError

X = np.array([[0.5, -1.25, 2.0], [1.5, 0.25, -0.75]])
Y = np.array([[1.0, 0.5, -2.0], [0.125, 3.0, 1.0]])


class Pair(NamedTuple):
    first: Any
    second: Any


def programs(compiled: Any) -> int:
    return sum(map(len, compiled.programs.values()))


def cube(x: Any) -> Any:
    return (np.sin(x) * x * x).sum()


def energy(x: Any, y: Any) -> Any:
    return (np.tanh(x @ np.swapaxes(y, 0, 1)) ** 2).sum() + (x * y).sum() ** 2


DERIVATIVES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "value": (energy, (X, Y)),
    "grad": (tg.grad(energy), (X, Y)),
    "grad by both": (tg.grad(energy, argnums=(0, 1)), (X, Y)),
    "grad of grad": (tg.grad(lambda x: (tg.grad(cube)(x) ** 2).sum()), (X,)),
    "third": (tg.grad(tg.grad(tg.grad(lambda x: np.exp(x) * x**3))), (0.7,)),
    "value and grad": (tg.value_and_grad(energy), (X, Y)),
    "vjp": (lambda x, y, g: tg.vjp(lambda x, y: np.tanh(x) * y, x, y)[1](g), (X, Y, X + 1)),
    "jvp": (lambda x, y: tg.jvp(energy, (x, y), (y, x)), (X, Y)),
    "hvp": (lambda x, v: tg.hvp(cube, (x,), (v,)), (X, Y)),
    "jacobian": (tg.jacobian(lambda x: np.tanh(x).sum(0) ** 2), (X,)),
    "jacobian forward": (tg.jacobian(lambda x: np.tanh(x).sum(0) ** 2, mode="forward"), (X,)),
    "hessian": (tg.hessian(cube), (X,)),
    "checkpoint": (tg.grad(lambda x: tg.checkpoint(cube)(x) ** 2), (X,)),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("what", DERIVATIVES)
def test_derivatives(what: str, dtype: Any) -> None:
    function, args = DERIVATIVES[what]
    args = tuple([x.astype(dtype) if isinstance(x, np.ndarray) else x for x in args])
    compiled = tg.compile(function, exact=True)
    for factor in (1, 0.5, 3):
        near = [x * factor for x in args]
        assert same(compiled(*near), function(*near))
    assert programs(compiled) == 1


def test_under_no_grad() -> None:
    network = tg.nn.DenseNetwork([{"input_dim": 3, "output_dim": 2, "activation": "tanh"}])
    predict = tg.compile(network, exact=True)
    with tg.no_grad():
        for factor in (1, 2, 3):
            assert same(predict(X * factor), network(X * factor))
            assert not predict(X).requires_grad
            network.parameters()[0].data = network.parameters()[0].data * 1.5


def test_recording_or_not_are_two_programs() -> None:
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    f = tg.compile(lambda x: (x * w).detach() * (2.0 if (x * w).requires_grad else 3.0), exact=True)
    for _ in range(3):
        assert same(f(X), tg.tensor(X * w.data * 2.0))
        with tg.no_grad():
            assert same(f(X), tg.tensor(X * w.data * 3.0))


# ---- arguments and results ----

CALLS: dict[str, tuple[Callable[..., Any], list[tuple[tuple[Any, ...], dict[str, Any]]]]] = {
    "lists": (lambda xs: [xs[0] * 2, [xs[1] + xs[0]]], [(([X, Y],), {}), (([Y, X],), {})]),
    "tuples": (lambda xs: (xs[0] * 2, (xs[1],)), [(((X, Y),), {}), (((Y, X),), {})]),
    "named tuples": (lambda p: Pair(p.second, p.first * 2), [((Pair(X, Y),), {}), ((Pair(Y, X),), {})]),
    "dicts": (
        lambda d: {"sum": d["a"] + d["b"], 0: d["a"], None: 2.0},
        [(({"a": X, "b": Y},), {}), (({"a": Y, "b": X},), {}), (({"b": Y, "a": X},), {})],
    ),
    "keywords": (
        lambda x, *, scale=2.0, shift=None: x * scale if shift is None else x * scale + shift,
        [((X,), {}), ((Y,), {"scale": 3.0}), ((X,), {"shift": Y, "scale": 0.5}), ((Y,), {"scale": 0.5, "shift": X})],
    ),
    "tensors": (lambda t, u: (t * u, t.detach()), [((tg.tensor(X), tg.tensor(Y)), {}), ((tg.tensor(Y), X), {})]),
    "one tensor twice": (lambda t, u: t * 2 + u, [((t := tg.tensor(X), t), {}), ((tg.tensor(X), tg.tensor(Y)), {})]),
    "numbers": (lambda x, n: (x * n + 1 / n, n * 2, -n), [((X, 3), {}), ((X, -2), {}), ((X, 2.5), {}), ((X, 7), {})]),
    "NumPy's numbers": (lambda x, n: x * n, [((X, np.float32(3)), {}), ((X, np.int64(2)), {})]),
    "booleans": (lambda x, on: x if on else -x, [((X, True), {}), ((X, False), {}), ((Y, True), {})]),
    "slices": (lambda x, part: x[part], [((X, slice(1)), {}), ((X, slice(1, 2)), {}), ((Y, slice(None, None, 2)), {})]),
    "strings": (lambda x, how: getattr(np, how)(x), [((X, "sin"), {}), ((X, "cos"), {}), ((Y, "sin"), {})]),
    "constants": (lambda x: (x, 3, -1, 2.5, "text", None, True, (), [], {}), [((X,), {}), ((Y,), {})]),
    "nothing": (lambda: np.ones(3) * 2, [((), {}), ((), {})]),
    "no dimension": (lambda x: x * 2, [((np.array(1.5),), {}), ((np.array(2.5),), {}), ((np.float64(2.5),), {})]),
    "size 0": (lambda x: (x * 2).sum(0), [((np.ones((0, 3)),), {}), ((np.zeros((0, 3)),), {})]),
    "shapes": (lambda x: (x * 2).sum(0), [((X,), {}), ((X[:1],), {}), ((X[0],), {}), ((Y,), {})]),
    "dtypes": (lambda x: np.sqrt(x * x + 1), [((X,), {}), ((X.astype(np.float32),), {}), ((np.arange(3),), {})]),
    "orders": (lambda x: x.sum(1), [((X,), {}), ((np.asfortranarray(X),), {}), ((X[:, ::-1],), {}), ((X[::-1],), {})]),
    "read-only": (lambda x: x * 2, [((np.broadcast_to(X[0], (4, 3)),), {}), ((np.broadcast_to(Y[0], (4, 3)),), {})]),
    "a view returned": (lambda x: (x.T, x[0], x.reshape(-1)), [((X,), {}), ((Y,), {})]),
    "integers": (lambda n: (n // 3, n % 3, -n, abs(n), n**2), [((7,), {}), ((-8,), {}), ((2**70,), {})]),
    "booleans of arrays": (lambda x: np.where(x > 0, x, 0), [((X,), {}), ((-X,), {})]),
}  # fmt: skip


@pytest.mark.parametrize("what", CALLS)
def test_arguments_and_results(what: str) -> None:
    function, calls = CALLS[what]
    compiled = tg.compile(function, exact=True)
    for _ in range(2):
        for args, kwargs in calls:
            assert same(compiled(*args, **kwargs), function(*args, **kwargs))


def test_keywords_are_no_dictionary() -> None:
    def f(x: Any, a: Any = 1.0) -> Any:
        return x * 2 + a if isinstance(x, np.ndarray) or not isinstance(x, tuple) else x[0] - a["a"]

    compiled = tg.compile(f, exact=True)
    for _ in range(2):
        assert same(compiled(X, a=Y), f(X, a=Y))
        assert same(compiled((X,), {"a": Y}), f((X,), {"a": Y}))


def test_float32_stays_float32_beside_numbers() -> None:
    f = tg.compile(lambda x, rate: x * rate + 1)
    for rate in (0.5, 0.25, 3):
        assert f(X.astype(np.float32), rate).dtype == np.float32


def test_arguments_that_require_grad_get_their_gradient() -> None:
    def descend(w: Any, x: Any, rate: Any) -> Any:
        loss = (np.tanh(x @ w) ** 2).sum()
        loss.backward()
        with tg.no_grad():
            w -= rate * w.grad
        return loss.detach()

    step = tg.compile(descend, exact=True)
    w, v = (tg.tensor([0.5, -1.0, 2.0], requires_grad=True) for _ in range(2))
    for number in range(6):
        assert same(step(w, X, 0.1 * number), descend(v, X, 0.1 * number))
        assert same([w, w.grad], [v, v.grad])
        if number == 3:
            w, v = (tg.tensor([1.5, 1.0, -2.0], requires_grad=True) for _ in range(2))


def test_modules_as_arguments() -> None:
    layers = [{"input_dim": 3, "output_dim": 1, "activation": "identity"}]
    networks = [tg.nn.DenseNetwork(layers, seed=s) for s in (1, 2, 1, 2)]

    def descend(network: Any, x: Any) -> Any:
        loss = (network(x) ** 2).sum()
        network.zero_grad()
        loss.backward()
        with tg.no_grad():
            for p in network.parameters():
                p -= 0.1 * p.grad
        return loss.detach()

    step = tg.compile(descend, exact=True)
    for _ in range(4):
        for network, twin in zip(networks[:2], networks[2:], strict=True):
            assert same(step(network, X), descend(twin, X))
            assert same([p.data for p in network.parameters()], [p.data for p in twin.parameters()])


def test_decorated_functions_and_methods() -> None:
    class Model:
        def __init__(self, slope: float) -> None:
            self.slope = tg.tensor(slope)

        @tg.compile
        def scaled(self, x: Any) -> Any:
            """Return x, scaled."""
            return x * self.slope

        @tg.compile(exact=True)
        def shifted(self, x: Any) -> Any:
            return x + self.slope

    models = [Model(2.0), Model(3.0)]
    for model in models * 2:
        assert same(model.scaled(X), tg.tensor(X * model.slope.data))
        assert same(model.shifted(X), tg.tensor(X + model.slope.data))
    assert Model.scaled.__doc__ == "Return x, scaled."
    assert Model.scaled.__name__ == "scaled"


# ---- numbers that decide ----


def test_other_numbers_are_not_traced_again() -> None:
    f = tg.compile(lambda x, a, n: x * a + n)
    for a, n in [(0.5, 1), (2.5, 3), (-1.0, 0)]:
        np.testing.assert_array_equal(f(X, a, n), X * a + n)
    assert programs(f) == 1


def stepwise(x: Any, n: Any) -> Any:
    if n > 2:
        return x * n
    if n < 0:
        return -x
    return x + n


def test_both_sides_of_a_branch_by_a_number() -> None:
    f = tg.compile(stepwise, exact=True)
    for n in [3, 4, 1, 2, -1, 5, 0, -7, 2, 3]:
        assert same(f(X, n), stepwise(X, n))
    assert programs(f) == 3


def repeated(x: Any, n: Any) -> Any:
    for _ in range(n):
        x = np.sin(x) + n
    return x


def test_numbers_of_repetitions_beyond_the_bound() -> None:
    f = tg.compile(repeated, exact=True)
    for n in range(8):
        assert same(f(X, n), repeated(X, n))
    with pytest.warns(RuntimeWarning, match=r"8 programs.*test_functions\.py:\d+") as caught:
        assert same(f(X, 8), repeated(X, 8))
    for n in range(12):
        assert same(f(X, n), repeated(X, n))
    assert caught[0].filename == __file__


NUMBERS: dict[str, Callable[[Any, Any], Any]] = {
    "a length": lambda x, n: x[:n],
    "an index": lambda x, n: x[n],
    "a shape": lambda x, n: np.broadcast_to(x[0, 0], (n, n)),
    "an axis": lambda x, n: x.sum(axis=n),
    "a power": lambda x, n: x**n,
    "a fraction": lambda x, n: x / (1 - 0.9 ** (n + 1)),
    "an integer": lambda x, n: x * int(n) + float(n),
    "a key": lambda x, n: {0: x, 1: -x}[n],
    "equality": lambda x, n: x * 2 if n == 1 else x,
    "a truth": lambda x, n: x if n else -x,
    "a string": lambda x, n: x if f"{n}" == "1" else -x,
    "a maximum": lambda x, n: x * max(n, 0.5),
    "a minimum by NumPy": lambda x, n: x * np.minimum(n, 0.5),
    "a comparison chained": lambda x, n: x if 0 < n <= 1 else -x,
    "rounding": lambda x, n: x * round(n + 0.25),
    "a division": lambda x, n: x * divmod(n + 3, 2)[1],
    "an exponent": lambda x, n: x * 2**n,
    "a mask": lambda x, n: np.where(x > n, x, n),
    "a clip": lambda x, n: np.clip(x, -n, n + 0.5),
    "a filled array": lambda x, n: x + np.full(3, n),
    "a new array": lambda x, n: x + np.array([n, 2.0, 3.0]),
    "a linspace": lambda x, n: x + np.linspace(0, n, 3),
}


@pytest.mark.parametrize("what", NUMBERS)
def test_numbers_are_used_as_in_the_function(what: str) -> None:
    f = tg.compile(NUMBERS[what], exact=True)
    for n in [1, 0, 1, 0]:
        assert same(f(X, n), NUMBERS[what](X, n))


# ---- singular inputs ----

SINGULAR: dict[str, tuple[Callable[[Any], Any], list[list[float]]]] = {
    "0 log 0": (lambda x: np.where(x > 0, x * np.log(x), 0).sum(), [[1.0, 2.0], [0.0, 1.0], [0.5, 1.0], [0.0, 0.0]]),
    "sqrt at 0": (lambda x: np.where(x > 0, np.sqrt(x), 0).sum(), [[1.0, 2.0], [0.0, 1.0], [4.0, 0.0]]),
    "norm at 0": (lambda x: tg.linalg.norm(x), [[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]]),
    "std of a constant": (lambda x: np.std(x), [[1.0, 2.0], [1.0, 1.0], [2.0, 3.0]]),
    "masked quotient": (lambda x: np.where(x != 0, 1 / x, 0).sum(), [[1.0, 2.0], [0.0, 1.0], [2.0, 3.0]]),
    "nan": (lambda x: (x * np.tanh(x)).sum(), [[1.0, 2.0], [np.nan, 1.0], [2.0, 3.0]]),
    "inf": (lambda x: (x * np.tanh(x)).sum(), [[1.0, 2.0], [np.inf, 1.0], [-np.inf, 3.0], [0.5, 1.0]]),
    "inf - inf": (lambda x: (x - x[::-1]).sum() * 2, [[1.0, 2.0], [np.inf, np.inf], [2.0, 3.0]]),
    "logits": (lambda x: tg.logsumexp(x), [[1.0, 2.0], [-np.inf, 0.0], [-np.inf, -np.inf], [np.inf, 0.0], [1.0, 1.0]]),
    "softmax": (lambda x: tg.softmax(x)[0], [[1.0, 2.0], [-np.inf, 0.0], [1e4, -1e4], [3.0, 1.0]]),
    "cross entropy": (
        lambda x: tg.cross_entropy(x[None], np.array([1])), [[1.0, 2.0], [-np.inf, 0.0], [1e4, -1e4], [3.0, 1.0]]
    ),
    "bce with logits": (
        lambda x: tg.binary_cross_entropy_with_logits(x, np.array([0.0, 1.0])),
        [[1.0, 2.0], [-np.inf, np.inf], [np.inf, 0.0], [np.nan, 1.0], [1e4, -1e4]],
    ),
    "power": (lambda x: (x ** np.array([0.0, 0.5])).sum(), [[1.0, 2.0], [0.0, 0.0], [0.0, 1.0], [2.0, 3.0]]),
    "prod": (lambda x: np.prod(x), [[1.0, 2.0], [0.0, 3.0], [0.0, 0.0], [2.0, 3.0]]),
    "product of matrices": (
        lambda x: ((np.log(x)[:, None] * np.ones((2, 2))) @ x * np.array([0.0, 1.0])).sum(),
        [[1.0, 2.0], [0.0, 3.0], [2.0, 0.0]],
    ),
    "det": (lambda x: np.linalg.det(np.outer(x, x)), [[1.0, 2.0], [0.0, 3.0], [2.0, 3.0]]),
    "overflow": (lambda x: np.exp(x).sum(), [[1.0, 2.0], [1000.0, 0.0], [2.0, 3.0]]),
}  # fmt: skip
ORDERS: dict[str, Callable[[Any], Any]] = {
    "value": lambda f: f,
    "gradient": tg.grad,
    "second derivative": lambda f: tg.grad(lambda x: (tg.grad(f)(x) ** 2).sum()),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("what", SINGULAR)
def test_singular_inputs_have_the_eager_answer(what: str, order: str) -> None:
    function, inputs = SINGULAR[what]
    function = ORDERS[order](function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for start in range(len(inputs)):  # whichever comes first is traced
            compiled = tg.compile(function, exact=True)
            for x in [*inputs[start:], *inputs[:start], *inputs]:
                assert same(compiled(np.array(x)), function(np.array(x)))


def test_a_step_on_singular_data_changes_what_the_eager_one_changes() -> None:
    def descend(w: Any, x: Any) -> Any:
        loss = np.where(x > 0, np.log(np.abs(x * w)), 0).sum()
        w.grad = None
        loss.backward()
        with tg.no_grad():
            w -= 0.1 * w.grad
        return loss.detach()

    w, v = (tg.tensor([0.5, 2.0], requires_grad=True) for _ in range(2))
    step = tg.compile(lambda x: descend(w, x), exact=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for x in [[1.0, 2.0], [0.0, 1.0], [3.0, 1.0], [np.inf, 0.0], [1.0, 1.0], [np.nan, 1.0], [2.0, 2.0]]:
            assert same(step(np.array(x)), descend(v, np.array(x)))
            assert same([w, w.grad], [v, v.grad])


def test_a_detached_parameter_is_read_anew_at_every_replay() -> None:
    def made() -> tuple[Any, Any, Any]:
        a, b = (tg.tensor(np.arange(2.0), requires_grad=True) for _ in range(2))

        def step(x: Any) -> None:
            before = a.detach()
            with tg.no_grad():
                a[...] = a - x
                b[...] = b - before

        return step, a, b

    eager, compiled = made(), made()
    program = tg.compile(compiled[0])
    for _ in range(3):
        eager[0](np.ones(2))
        program(np.ones(2))
    assert np.array_equal(eager[1].data, compiled[1].data)
    assert np.array_equal(eager[2].data, compiled[2].data)


def test_a_checkpointed_part_reads_parameters_anew_at_every_replay() -> None:
    def made() -> Any:
        a = tg.tensor(np.array([1.0, 2.0]), requires_grad=True)
        optimizer = tg.optim.SGD([a], lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = tg.checkpoint(lambda x: tg.sum(tg.tanh(x) ** 2))(a) + tg.checkpoint(lambda x: tg.sum(x * a))(x)
            loss.backward()
            optimizer.step()
            return loss

        return step

    eager, program = made(), tg.compile(made())
    assert [float(eager(np.ones(2))) for _ in range(4)] == [float(program(np.ones(2))) for _ in range(4)]


# ---- shapes that depend on entries ----


SHAPED: dict[str, Callable[[Any], Any]] = {
    "mask": lambda x: x[x > 0].mean(),
    "derivative of a mask": tg.grad(lambda x: (tg.as_tensor(x)[x > 0] ** 2).mean()),
    "length": lambda x: x[x > 0].sum() / len(x[x > 0]),
    "compress": lambda x: np.compress(x > 0, x).mean(),
    "extract": lambda x: np.extract(x > 0, x).mean(),
    "nonzero": lambda x: x[np.nonzero(np.maximum(x, 0))].mean(),
    "where": lambda x: x[np.where(x > 0)].mean(),
    "delete": lambda x: np.delete(x, x > 0).mean(),
    "bincount": lambda x: np.bincount(np.abs(x * (x > 0)).astype(int)).mean(),
    "argwhere": lambda x: np.argwhere(x > 0).mean(),
    "flatnonzero": lambda x: np.flatnonzero(x > 0).mean(),
}


@pytest.mark.parametrize("what", SHAPED)
def test_another_number_of_entries_is_another_program(what: str) -> None:
    f = tg.compile(SHAPED[what], exact=True)
    more, fewer = np.array([1.0, -2.0, 3.0, 4.0]), np.array([-1.0, -2.0, 3.0, -4.0])
    for x in (more, fewer, more, fewer, -more):
        assert same(f(x), SHAPED[what](x))
        assert same(f(tg.tensor(x)), SHAPED[what](tg.tensor(x)))
    assert len(next(iter(f.programs.values()))) <= 3


@pytest.mark.parametrize("numbers", [(0.0, -0.0), (-0.0, 0.0), (math.nan, 1.0), (1.0, math.nan)])
def test_signs_of_zero_and_nans_are_decided_on(numbers: tuple[float, float]) -> None:
    def f(x: Any, number: Any) -> Any:
        return x * (5 if math.isnan(number) else math.copysign(1.0, number))

    compiled, x = tg.compile(f, exact=True), np.array([1.0, 2.0])
    for _ in range(3):
        for number in numbers:
            assert same(compiled(x, number), f(x, number))
    assert len(next(iter(compiled.programs.values()))) == 2


def test_methods_of_arrays_that_copy_or_write() -> None:
    def f(x: Any, number: float) -> Any:
        a = x * 2
        b, c = a.astype(float), a.flatten()
        b += number
        c *= number
        d = x * 3
        d.sort()
        return a, b, c, d

    compiled = tg.compile(f, exact=True)
    for x, number in ((np.array([1.0, 2.0, 3.0]), 0.0), (np.array([3.0, 1.0, 2.0]), 1.0)):
        assert same(compiled(x, number), f(x, number))


def test_entries_that_a_condition_names() -> None:
    compiled = tg.compile(lambda x: (x.compress([True, False, True]), x.compress(x > 1)), exact=True)
    for x in (np.array([1.0, 2.0, 3.0]), np.array([3.0, 1.0, 2.0])):
        assert same(compiled(x), compiled.function(x))


def test_numbers_bit_by_bit() -> None:
    def f(x: Any, n: int) -> Any:
        return x * (n & 6) + (1 << n) - (~n) * (+n) + (9 ^ n) * (n >> 1) + (n | 8)

    compiled, x = tg.compile(f, exact=True), np.array([1.0, 2.0])
    for n in (3, 5, 3):
        assert same(compiled(x, n), f(x, n))


def test_parts_of_complex_numbers() -> None:
    compiled, x = tg.compile(lambda x: (x * 1j).real + (x * 2j).imag, exact=True), np.array([1.0, 2.0])
    for factor in (1, 2, 3):
        assert same(compiled(x * factor), x * factor * 2)


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "C": lambda x: x.copy(),
    "Fortran": np.asfortranarray,
    "every other column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
}


@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("right", LAYOUTS)
def test_products_keep_their_bits_in_every_layout(left: str, right: str) -> None:
    """NumPy's spellings of a product add in different orders, by layout and size; of two numbers even zeros differ."""
    rng = np.random.default_rng(7)
    product = tg.compile(lambda a, b: a @ b, exact=True)
    for m, k, n in [(1, 1, 1), (1, 5, 1), (2, 2, 1), (1, 2, 2), (3, 7, 1), (1, 9, 4), (5, 11, 3), (33, 47, 29)]:
        for _ in range(3):
            a, b = LAYOUTS[left](rng.normal(size=(m, k))), LAYOUTS[right](rng.normal(size=(k, n)))
            assert same(product(a, b), a @ b)
            assert same(product(a * 0.0, b), (a * 0.0) @ b)
            assert same(product(a[0], b), a[0] @ b)


@pytest.mark.parametrize("size", [3, 300])
def test_arrays_from_outside_are_what_they_were(size: int) -> None:
    table, tensor = np.linspace(0, 1, size), tg.tensor(np.linspace(0, 1, size))
    once = table.copy()
    f = tg.compile(lambda x: x * table[::2] + tensor[::2], exact=True)
    x = np.ones(len(table[::2]))
    f(x)
    table += 1
    with tg.no_grad():
        tensor += 1
    assert same(f(x), tg.tensor(once[::2]) + tensor[::2])


@dataclass(frozen=True)
class Setting:
    factor: Any
    names: tuple[Any, ...] = ()


@pytest.mark.parametrize("wrapped", [Setting, lambda n: {n: 2}, lambda n: Setting(0, (n,)), lambda n: frozenset([n])])
def test_numbers_that_are_equal_and_not_the_same(wrapped: Any) -> None:
    def f(x: Any, setting: Any) -> Any:
        match setting:
            case Setting(factor, names):
                return x * (names[0] if names else factor)
            case _:
                return x * next(iter(setting))

    compiled = tg.compile(f, exact=True)
    x = np.arange(3)
    for n in (1, 1.0, True, 1, 1.0):
        assert same(compiled(x, wrapped(n)), f(x, wrapped(n)))
    assert programs(compiled) == 3


def test_copies_of_arrays_are_arrays() -> None:
    f = tg.compile(lambda x: (copy.copy(x), copy.deepcopy([x]) if isinstance(x, np.ndarray) else 0), exact=True)
    for _ in range(2):
        assert same(f(X), (X, [X]))


RATE = 0.5


def rated(x: Any) -> Any:
    return scaled_by_rate(x) * np.ones(2)


def scaled_by_rate(x: Any) -> Any:
    return x * RATE


class Plain:
    factor = 1.0

    def __init__(self) -> None:
        self.offset, self.table = 1, {"scale": 2.0}

    def shifted(self, x: Any) -> Any:
        return tg.as_tensor(x) + self.offset


def test_what_names_outside_refer_to_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    x, other, table, plain, w = np.arange(2.0), 1.0, {"scale": 2.0}, Plain(), tg.tensor([1.0, 2.0])

    def f(x: Any) -> Any:
        return rated(x) * table["scale"] * other + w * plain.offset

    compiled, method = tg.compile(f, exact=True), tg.compile(plain.shifted, exact=True)

    def check(expected: int) -> None:
        for _ in range(2):
            assert same(compiled(x), f(x))
            assert same(method(x), plain.shifted(x))
        assert programs(compiled) == expected

    check(1)
    other = 3.0
    check(2)
    table["scale"] = 1
    check(3)
    plain.offset = 5
    check(4)
    w = tg.tensor([5.0, 6.0])
    check(5)
    monkeypatch.setitem(globals(), "rated", lambda x: -x)
    check(6)
    monkeypatch.setitem(globals(), "math", None)  # which f does not name
    check(6)
    assert programs(method) == 2


def test_what_called_functions_read_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, x = tg.compile(lambda x: rated(x), exact=True), np.arange(2.0)
    before = compiled(x)
    monkeypatch.setitem(globals(), "RATE", 0.25)
    assert same(compiled(x), before)
    assert not same(rated(x), before)


class Net:
    """An object of the user's, whose tensors and optimiser change."""

    momentum = 0.5

    def __init__(self) -> None:
        self.epoch, self.rates = 0, [0.1]
        self.losses: list[float] = []
        self.renew()

    def renew(self) -> None:
        self.w = tg.tensor([1.0, 3.0], requires_grad=True)
        self.optimizer = tg.optim.SGD([self.w], lr=0.1)

    def loss(self, x: Any) -> Any:
        return ((self.w * x) ** 2).sum() * self.scale * self.momentum

    @property
    def scale(self) -> Any:
        return self.rates[0]

    @tg.compile
    def step(self, x: Any) -> Any:
        loss = self.loss(x)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss


def test_an_object_whose_tensors_are_replaced() -> None:
    one, other, x = Net(), Net(), np.ones(2)

    def check() -> None:
        for _ in range(3):
            expected = Net.step.function(other, x)
            assert same(one.step(x), tg.tensor(expected.data))
            assert same(one.w.data, other.w.data)

    check()
    for change in (
        lambda net: net.renew(),
        lambda net: setattr(net, "momentum", 0.25),
        lambda net: net.rates.__setitem__(0, 0.3),
    ):
        for net in (one, other):
            change(net)
        check()


def test_parameters_in_lists_and_dicts_that_are_replaced() -> None:
    def fitted(wrap: Any) -> Any:
        several, named = [tg.tensor([1.0, 2.0]), tg.tensor(0.5)], {"w": tg.tensor([1.0, 2.0])}
        slopes = wrap(lambda x: tg.grad(lambda w, b: ((w * x + b) ** 2).sum(), argnums=(0, 1))(*several))
        slope = wrap(lambda x: tg.grad(lambda w: ((w * x) ** 2).sum())(named["w"]))
        for _ in range(4):
            for i, g in enumerate(slopes(np.ones(2))):
                several[i] = several[i] - 0.1 * g
            named["w"] = named["w"] - 0.1 * slope(np.ones(2))
        return several, named

    assert same(fitted(functools.partial(tg.compile, exact=True)), fitted(lambda f: f))


class Decayed(tg.optim.SGD):
    """Weight decay by numbers that lie somewhere in the optimiser."""

    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, lr=lr)
        self.settings, self.groups = {"decay": 0.0}, [0.0]

    def update(self, w: Any, g: Any, state: Any) -> Any:
        return super().update(w, g + (self.settings["decay"] + self.groups[0]) * w, state)


def test_an_optimiser_of_the_users_with_settings_in_containers() -> None:
    def trained(wrap: Any) -> Any:
        w = tg.tensor([1.0, 2.0], requires_grad=True)
        optimizer = Decayed([w], lr=0.1)

        def step(x: Any) -> None:
            optimizer.zero_grad()
            (w * x).sum().backward()
            optimizer.step()

        step = wrap(step)
        for n in range(6):
            optimizer.settings["decay"], optimizer.groups[0], optimizer.lr = n // 2 * 0.1, n // 3 * 0.2, 0.1 / (n + 1)
            step(np.ones(2))
        return w.data

    assert same(trained(functools.partial(tg.compile, exact=True)), trained(lambda f: f))


NUMPYS: dict[str, Callable[[Any, Any], Any]] = {
    "a branch": lambda x, k: x * k if k > 1 else -x,
    "a float": lambda x, k: x * float(k),
    "a maximum": lambda x, k: x * max(k, 2),
    "a shape": lambda x, k: x * np.ones((int(k), 1, 1)),
    "a key": lambda x, k: x * {1: 5.0, 2: 7.0, 3: 9.0}[k],
    "an item": lambda x, k: x * k.item(),
    "a filled array": lambda x, k: x + np.full(3, k),
    "a number of places": lambda x, k: tg.roll(tg.as_tensor(x), int(k)) + np.roll(x, int(k)),
    "computed": lambda x, k: x if k * 2 + 1 > 4 else -x,
}


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.float64])
@pytest.mark.parametrize("what", NUMPYS)
def test_numpys_numbers_are_numbers(what: str, kind: Any) -> None:
    f = tg.compile(NUMPYS[what], exact=True)
    for k in (1, 2, 3, 2, 1):
        assert same(f(X, kind(k)), NUMPYS[what](X, kind(k)))


def test_operations_on_numpys_numbers_are_for_any_number() -> None:
    f = tg.compile(lambda k: tg.erf(k) + tg.gamma(k) + tg.i0(k), exact=True)
    for k in np.linspace(0.5, 3, 12):
        assert same(f(k), f.function(k))
    assert programs(f) == 1


def test_numbers_have_their_kind() -> None:
    f = tg.compile(lambda x, rate: x * rate if isinstance(rate, float) else x - rate, exact=True)
    for rate in (0.5, 2, 0.25, 3):
        assert same(f(X, rate), f.function(X, rate))


def test_a_program_that_does_not_hold_at_once_is_none() -> None:
    def singular(x: Any) -> Any:
        with np.errstate(over="ignore"):
            return np.sqrt(x * 1e30 * 1e30) * 0

    f = tg.compile(singular)
    with np.errstate(invalid="ignore"):
        for value in (1.0, 1e20, 1.0):
            x = np.array([value], np.float32)
            assert same(f(x), singular(x))


def test_arrays_in_files(tmp_path: pathlib.Path) -> None:
    data = np.memmap(tmp_path / "data.bin", dtype=float, mode="w+", shape=(2, 3))
    data[...] = X
    f = tg.compile(lambda x: np.sin(x) * 2, exact=True)
    for _ in range(2):
        assert same(np.asarray(f(data)), np.sin(X) * 2)
    assert same(f(X), np.sin(X) * 2)
    assert programs(f) == 1


def test_what_is_left_where_numbers_cancel_is_not_taken_for_another_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def difference(x: Any) -> Any:
        return x * 0.1 * 0.3 - x * (0.1 * 0.3)  # 0, but for rounding

    def rounded_otherwise(program: Any) -> Any:
        first, second, *_ = program.lines
        first.args, second.args = (first.args[0], 0.1 * 0.3), (second.args[0], 1.0)
        return program

    monkeypatch.setattr(lowering, "selected", rounded_otherwise)
    compiled, x = tg.compile(difference), np.linspace(-1, 1, 40)
    assert difference(x).any()
    for scale in (1.0, 2.0):
        assert not compiled(x * scale).any() or scale == 1
    assert programs(compiled) == 1
    with pytest.raises(CompileError, match="a result differs"):
        tg.compile(difference, exact=True)(x)


def test_constants_lie_as_the_arrays_that_they_were() -> None:
    wide = np.broadcast_to(np.array([[0.3], [0.7]]), (2, 3))
    for array in (wide, np.asfortranarray(X), X[:, ::-1], X.copy()):
        f = tg.compile(lambda x: x * array + np.cumsum(array, axis=0), exact=True)  # noqa: B023
        assert same(f(Y), f.function(Y))
        constants = f.programs[next(iter(f.programs))][0].trace.tracer.constants.values()
        assert array.strides in [value.strides for _, value in constants]
        assert not any(np.may_share_memory(value.concrete, array) for _, value in constants)


def test_what_is_written_by_out_lies_as_the_array_that_it_is_written_into() -> None:
    def f(x: Any, y: Any) -> Any:
        copy = x.copy(order="K")
        np.add(y, y, out=copy)
        return copy, np.sum(copy)

    columns = np.asfortranarray(0.1 ** np.arange(35.0).reshape(7, 5))
    for x, y in ((columns, columns.copy() + 1), (columns.copy() - 1, columns)):
        compiled = tg.compile(f, exact=True)
        for factor in (1.0, 3.0):
            (found, total), (right, right_total) = compiled(x, factor * y), f(x, factor * y)
            assert found.strides == right.strides == x.strides != y.strides
            assert same(total, right_total)


def test_results_lie_as_the_functions_own() -> None:
    columns = np.asfortranarray(X)
    functions: list[Any] = [lambda k: columns * k, lambda k: np.where(columns > 0, columns * k, k)]
    for function in (*functions, lambda k: columns + 0 * k):
        compiled = tg.compile(function, exact=True)
        for k in (2.0, 3.0):
            assert compiled(k).strides == function(k).strides == columns.strides != X.strides


def test_sums_add_up_in_the_order_of_the_memory_that_was_written_into() -> None:
    def total(x: Any, w: Any) -> Any:
        y = w * 2
        np.add(x, y, out=y)
        return y.sum(axis=0)

    rng = np.random.default_rng(0)
    f, x, w = tg.compile(total, exact=True), rng.normal(size=(999, 3)), np.asfortranarray(rng.normal(size=(999, 3)))
    for _ in range(2):
        assert same(f(x, w), total(x, w))


def row_by_row(y: Any) -> Any:
    for n, row in enumerate(y):
        row += n
    return y


def after_a_product(y: Any) -> Any:
    total = (y @ y.T).sum()  # through a view, of which nothing is left
    y[0] = total
    y += y.T.sum(axis=1)
    return y


def swapped(y: Any) -> Any:
    y[0], y[1] = y[1], y[0]  # windows both: NumPy writes one row twice
    return y


def seen_through_windows(y: Any) -> Any:
    row, flipped, part = y[0], y.T, y[1:, ::2]
    y[0, 1] = 50.0
    part *= 3
    row[2] -= 1
    return y, row * 2, flipped * 2, part


def of_a_window(y: Any) -> Any:
    row = y[1]
    entries = row[1:]
    entries[0] += 7
    row *= 2
    return y, row, entries


def by_out(y: Any) -> Any:
    np.add(y, 1, out=y[:])
    np.clip(y, 0, 2, out=y)
    sums = np.zeros_like(y[0])
    np.sum(y, axis=0, out=sums)
    return y, sums, y.cumsum(axis=1, out=y)


def in_another_dtype(y: Any) -> Any:
    narrow, whole = y.astype(np.float32), (y * 10).astype(int)
    narrow += y
    whole[0] += 2
    whole[1, 0] //= 3
    return narrow, whole


def of_other_views(y: Any) -> Any:
    twice = y * 2
    y[...] = twice[::-1]
    y[:, :2] = twice[:, 1:].T
    np.add(twice[0], twice[1], out=twice)  # a row, for each row
    twice[0] += y[1]
    return y, twice


WRITTEN: list[Callable[[Any], Any]] = [
    row_by_row, after_a_product, swapped, seen_through_windows, of_a_window, by_out, in_another_dtype, of_other_views,
]  # fmt: skip


@pytest.mark.parametrize("function", WRITTEN)
def test_what_is_written_through_windows(function: Callable[[Any], Any]) -> None:
    f = tg.compile(lambda x: function(x.copy()), exact=True)
    for x in (X, 2 * X, np.asfortranarray(X), X[:, ::-1], X - 7):
        assert same(f(x), f.function(x))


def test_parameters_that_are_written_after_a_layer_looked_into_them() -> None:
    layer, other = (tg.nn.Linear(3, 2, seed=0) for _ in "ab")
    arrays = [p.data for p in layer.parameters()]

    def trains(layer: Any) -> Callable[[Any], Any]:
        def step(x: Any) -> Any:
            layer.zero_grad()
            loss = (layer(x) ** 2).mean()
            loss.backward()
            for p in layer.parameters():
                p.data -= 0.1 * p.grad.data
                p.data[0] *= 0.5
            return loss.detach()

        return step

    compiled, eager = tg.compile(trains(layer), exact=True), trains(other)
    for n in range(3):
        assert same(compiled(X + n), eager(X + n))
        for p, q, array in zip(layer.parameters(), other.parameters(), arrays, strict=True):
            assert p.data is array
            assert same(p.data, q.data)


@pytest.mark.parametrize("view", [lambda y: y.T, lambda y: y.ravel(), lambda y: y.reshape(3, 2)])
def test_a_view_that_is_no_window_is_not_written_through(view: Callable[[Any], Any]) -> None:
    def f(x: Any) -> Any:
        y = x.copy()
        view(y)[0] = 1.0
        return y

    with pytest.raises(tg.errors.CompileError, match=r"test_functions\.py:\d+.*write into the whole"):
        tg.compile(f)(X)


def test_a_scalar_is_not_written_into() -> None:
    def f(x: Any) -> Any:
        total = x.sum()
        total += 1  # another scalar
        total[...] = 2.0
        return total

    with pytest.raises(TypeError, match=r"item assignment; write into"):
        tg.compile(f)(X)


def test_what_is_added_in_place_is_cast_as_numpy_casts_it() -> None:
    def adds(x: Any, k: Any) -> Any:
        x = x.copy()
        x += k
        return x

    for x, k in ((np.arange(3), 0.5), (np.arange(3) > 1, 1), (X.astype(np.float32), 1j)):
        for f in (adds, tg.compile(adds)):
            with pytest.raises(TypeError, match="same_kind"):
                f(x, k)


PUTTING: list[Callable[[Any], Any]] = [
    lambda x: np.put(x, [0], 5.0), lambda x: np.place(x, x > 0, 5.0), lambda x: np.putmask(x, x > 0, 5.0),
    lambda x: np.copyto(x, 5.0), lambda x: np.fill_diagonal(x, 5.0),
    lambda x: np.put_along_axis(x, np.array([[0]]), 5.0, 1), lambda x: x.fill(5.0), lambda x: x.put([0], 5.0),
]  # fmt: skip


@pytest.mark.parametrize("function", PUTTING)
def test_functions_that_write_into_what_they_are_given_are_refused_first(function: Callable[[Any], Any]) -> None:
    x = X.copy()
    with pytest.raises(tg.errors.CompileError, match=r"test_functions\.py:\d+.*write"):
        tg.compile(function)(x)
    assert same(x, X)


@pytest.mark.parametrize("subscripts", ["ij->ji", "ii->i", "ij->ij"])
def test_einsum_may_return_a_view(subscripts: str) -> None:
    square = np.arange(9.0).reshape(3, 3)
    functions: list[Callable[[Any], Any]] = [lambda x: np.einsum(subscripts, x), lambda x: np.einsum(subscripts, x) * 2]
    for f in functions:
        compiled = tg.compile(f, exact=True)
        for x in (square, -square):
            assert same(compiled(x), f(x))


def test_powers_that_arrays_take_in_their_own_way() -> None:
    for x in (X > 0, (10 * X).astype(int), X.astype(np.float32), X + 1j):
        for exponent in (2, 0.5, 1, -1.0, 3):
            f = tg.compile(lambda x: x**exponent, exact=True)  # noqa: B023
            with np.errstate(all="ignore"):
                assert same(f(x), f.function(x))


def test_arrays_of_other_kinds_become_tensors_as_ever() -> None:
    f = tg.compile(lambda x: tg.as_tensor(x) * 2, exact=True)
    assert same(f(X.astype(">f8")), f.function(X.astype(">f8")))
    for x in (np.array(["a"]), np.array([1.0, None]), np.array(["2020-01-01"], "M8[D]")):
        with pytest.raises(tg.errors.DtypeError):
            f(x)
    g = tg.compile(lambda x: (np.any(x), np.all(x)))
    flags = np.array([0, 5], dtype=object)
    assert same(list(g(flags)), [np.True_, np.False_])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.clip(x, a_min=None, a_max=1.0), lambda x: np.clip(x, max=1.0) * 2, lambda x: x.clip(min=0),
        lambda x: np.einsum("ij->ji", x), lambda x: np.einsum("ij->ij", x) * 2, lambda x: np.einsum("ii->i", x[:, :2]),
        lambda x: np.einsum("ij,kj->ik", x, x) + 1,
    ],
)  # fmt: skip
def test_bounds_by_name_and_sums_that_are_views_are_compiled(function: Any) -> None:
    compiled = tg.compile(function)
    for _ in range(3):
        assert same(compiled(X), function(X))
    assert programs(compiled) == 1


@pytest.mark.parametrize(("layer", "operation"), [(tg.nn.MaxPool2d(2), "maximum"), (tg.nn.AvgPool2d(2), "sum")])
def test_an_operation_that_writes_into_windows_is_a_line_of_its_own(layer: Any, operation: str) -> None:
    compiled = tg.compile(lambda x: layer(x))
    compiled(np.ones((2, 3, 4, 4)))
    assert f" = window_{operation}(x, " in str(compiled.explain())
