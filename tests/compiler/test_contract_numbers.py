"""The contract, point 2: a number is an input; what is asked of its value makes the program one for that number."""

from __future__ import annotations

import copy
import datetime
import enum
import functools
import json
import math
import pickle
import statistics
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from compiler.contract import Twin, X, Y, ran
from same_bits import same

import tinygrad_nn as tg

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "a factor": lambda x, n: x * n + 1 / n,
    "Python's operators": lambda x, n: x + (n * 2 - 1) / 3,
    "a NumPy call": lambda x, n: np.maximum(x, n) + np.sin(n),
    "a derivative": lambda x, n: tg.grad(lambda v: (v * v * n).sum())(x),
    "a result": lambda x, n: (x, n, n * 2, -n, abs(n)),
    "a tensor": lambda x, n: tg.tensor(x) * n,
}


@pytest.mark.parametrize(
    "values", [(2, 3, 5), (0.5, 1.5, 2.25), (np.int64(2), np.int64(3)), (np.float32(0.5), np.float32(3))]
)
@pytest.mark.parametrize("what", ARITHMETIC)
def test_arithmetic_is_for_any_number(what: str, values: Any) -> None:
    def f(x: Any, n: Any) -> Any:
        ran()
        return ARITHMETIC[what](x, n)

    twin = Twin(f)
    assert [twin.equal(X, n) for n in values] == [1] + [0] * (len(values) - 1)


ASKED: dict[str, Callable[[Any, Any], Any]] = {
    "an index": lambda x, n: [10.0, 20.0, 30.0, 40.0][n] * x,
    "an index of an array": lambda x, n: x[:, n - 1],
    "a length": lambda x, n: x[0, :n] * 2 + 1,
    "a step": lambda x, n: x.ravel()[::n],
    "a branch": lambda x, n: x if n > 2 else -x,
    "a truth": lambda x, n: x if n - 1 else -x,
    "a key": lambda x, n: x * {1: 5.0, 2: 7.0, 3: 9.0}[n],
    "a member of a set": lambda x, n: x if n in {2} else -x,
    "math.floor": lambda x, n: x * math.floor(n),
    "math.trunc": lambda x, n: x * math.trunc(float(n)) + math.trunc(n + 0.5),
    "math.ldexp": lambda x, n: x * math.ldexp(1.0, int(n)),
    "math.sqrt": lambda x, n: x * math.sqrt(n),
    "pow of three": lambda x, n: x * pow(int(n), 2, 5),
    "int": lambda x, n: x * int(n),
    "float": lambda x, n: x * float(n),
    "a range": lambda x, n: sum([x * k for k in range(n)], x),
    "a repetition": lambda x, n: np.concatenate([x] * n),
    "a shape": lambda x, n: x * np.ones((n, 1, 1)),
    "an axis": lambda x, n: x.reshape(1, 1, 2, 3).mean(axis=n),
    "an axis of a sum": lambda x, n: np.sum(x.reshape(1, 1, 2, 3), axis=n),
    "a split": lambda x, n: np.split(x, [n], axis=1),
    "a count of parts": lambda x, n: np.split(np.tile(x, (1, 2)), n, axis=1) if n != 4 else [],
    "a shift": lambda x, n: np.roll(x, n, axis=1),
    "a repeat": lambda x, n: np.repeat(x, n, axis=0),
    "a reshape": lambda x, n: x.reshape(n, -1),
    "a text": lambda x, n: x * len(f"{n}") + float(str(n)),
    "a hash": lambda x, n: x * hash(n),
    "round": lambda x, n: x * round(n),
    "a maximum of Python's": lambda x, n: x * max(n, 2),
    "a comparison in NumPy": lambda x, n: x * (np.arange(4) < n).sum(),
    "np.isscalar": lambda x, n: x * n if np.isscalar(n) else -x,
    "isinstance": lambda x, n: x * n if isinstance(n, (int, np.integer)) else -x,
    "the bits": lambda x, n: x * (int(n) & 1),
    "divmod with a float": lambda x, n: x * divmod(n, 0.75)[1],
    "pickling": lambda x, n: x * pickle.loads(pickle.dumps(n)),
    "a method": lambda x, n: x * n.conjugate() + n.as_integer_ratio()[0] if hasattr(n, "as_integer_ratio") else x,
    "a bound of np.linspace": lambda x, n: x * np.linspace(0, np.float32(1), 3) * n,
    "json": lambda x, n: x * len(json.dumps([float(n)])),
    "a Decimal": lambda x, n: x * float(Decimal(int(n)) / 3),
    "a timedelta": lambda x, n: x * datetime.timedelta(days=int(n)).days,
    "a mean of Python's": lambda x, n: x * statistics.mean([float(n), 2.0]),
    "no shape": lambda x, n: x * n if hasattr(n, "shape") else -x,
    "a key of the result": lambda x, n: {n: x * 2, int(n): 3},
    "a slice in the result": lambda x, n: str(slice(0, n)),
}


@pytest.mark.parametrize("kind", [int, np.int64])
@pytest.mark.parametrize("what", ASKED)
def test_a_number_whose_value_is_asked(what: str, kind: Any) -> None:
    def f(x: Any, n: Any) -> Any:
        ran()
        return ASKED[what](x, n)

    twin = Twin(f)
    first = [twin.equal(X, kind(n)) for n in (1, 3, 2)]
    assert [twin.equal(Y, kind(n)) for n in (2, 1, 3)] == [0, 0, 0], "a program for a number is kept"
    assert first[0] == 1
    assert set(first) <= {0, 1}


def test_a_number_that_c_code_asks_for() -> None:
    """No proxy passes for a number there; the function is traced for the very numbers that it is given."""

    def f(x: Any, n: Any, k: Any) -> Any:
        return x * len(json.dumps([n])) * float(Decimal(n)) * k + np.random.default_rng(n).random(3)

    twin = Twin(f)
    for n, k in ((1, 2.0), (10, 2.0), (1, 3.0), (1, 2.0)):
        twin.equal(X, n, k)
    with pytest.raises(TypeError, match="JSON"):
        tg.compile(lambda x, n: x * len(json.dumps({n, 1})))(X, 2)


def test_keys_of_a_result_are_numbers() -> None:
    step = tg.compile(lambda n: {n: 1, (n, "a"): [n]})
    for n in (2, 3.5, np.int64(2), np.float32(3), 2):
        assert [type(key) for key in step(n)] == [type(n), tuple]
        assert type(list(step(n))[1][0]) is type(n)


@pytest.mark.parametrize("factor", [1j, 2.5, np.float64(2), np.complex64(1j), True])
def test_numbers_of_other_classes(factor: Any) -> None:
    computations: list[Callable[[Any], Any]] = [
        lambda n: n * factor, lambda n: factor + n, lambda n: factor / (n + 1), lambda n: n - factor,
    ]  # fmt: skip
    for compute in computations:
        twin = Twin(lambda x, n: (x * complex(compute(n)), x * (n * 1j), n + 1j))  # noqa: B023
        for n in (2, 3.0, np.int64(3), 2):
            twin.equal(X, n)


class Level(enum.IntEnum):
    """Numbers with names."""

    LOW = 1
    HIGH = 5


class Odd(int):
    """A number that shows in its own way."""

    def __repr__(self) -> str:
        return "odd!"


def test_numbers_that_are_constants_stand_as_numbers() -> None:
    for constant in (Level.HIGH, Odd(3)):
        twin = Twin(lambda x: np.multiply(x, constant) + x * constant)  # noqa: B023
        twin.equal(X)
        twin.equal(Y)
    twin = Twin(lambda x, level: np.multiply(x, level))
    for level in Level:
        twin.equal(X, level)
    twin = Twin(lambda x, n: np.ldexp(x, n) + np.ldexp(x, 2))
    twin.equal(X, 3)


def test_a_float_whose_value_is_asked() -> None:
    for ask in (math.floor, bool, round, float, lambda n: n > 1, lambda n: {0.5: 1.0}.get(n, 2.0), lambda n: n == 1.5):
        twin = Twin(lambda x, n: x * ask(n))  # noqa: B023
        for n in (0.5, 1.5, 0.0, 0.5, 2.5, 1.5):
            twin.equal(X, n)


def test_flags_strings_and_none_are_part_of_what_a_program_is_for() -> None:
    def f(x: Any, on: Any, how: Any) -> Any:
        ran()
        return getattr(np, how)(x) if on else x * 2 if on is None else -x

    twin = Twin(f)
    cases = [(True, "sin"), (False, "sin"), (None, "sin"), (True, "cos")]
    assert [twin.equal(X, *case) for case in cases] == [1, 1, 1, 1]
    assert [twin.equal(Y, *case) for case in cases] == [0, 0, 0, 0]


@pytest.mark.parametrize("kind", [np.str_, np.bytes_])
def test_a_text_of_numpys_is_a_text(kind: Any) -> None:
    lengths = {kind("sum" if kind is np.str_ else b"sum"): 2.0, kind("mean" if kind is np.str_ else b"mean"): 3.0}
    twin = Twin(lambda x, text: x * len(text) * lengths[text])
    for text in (*lengths, *lengths):
        twin.equal(X, text)


def test_a_flag_is_not_the_number_that_equals_it() -> None:
    twin = Twin(lambda x, n: x * n if n is not True else -x)
    for n in (1, True, 1.0, np.int64(1), np.bool_(True), 1, True):
        twin.equal(np.array([1, 2, 3]), n)


def test_a_number_that_is_asked_for_its_truth_first_and_for_its_value_then() -> None:
    twin = Twin(lambda x, n: x[..., :n] * 2 if n else x)
    for n in (1, 2, 0, 3, 1):
        twin.equal(X, n)
    other = Twin(lambda x, n: x * round(n) if n else x)
    for factor in (1.0, 2.0, 0.0):
        other.equal(X, factor)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_a_number_that_is_copied(copied: Callable[[Any], Any]) -> None:
    twin = Twin(lambda x, n: x * copied(n))
    for n in (2, 3, 2.5, 3.5):
        twin.equal(X, n)


def test_a_caches_key_acts_as_the_number() -> None:
    @functools.lru_cache
    def table(n: Any) -> Any:
        return n * n + 0.5

    known: dict[Any, Any] = {}

    def f(x: Any, n: Any) -> Any:
        return x * table(n)

    twin = Twin(f)
    for n in (2, 3, 2, 5):
        twin.equal(X, n)
        assert table(n) == n * n + 0.5
        assert same(f(X, n), X * (n * n + 0.5))

    def remember(n: Any) -> Any:
        known[n] = True
        return n

    twin = Twin(lambda x, n: x * remember(n))
    for n in (2, 3):
        twin.equal(X, n)
    keys = [key for key in known if key == 2]
    assert keys
    assert keys[0] + 1 == 3
    assert [1, 2, 3][keys[0]] == 3
    assert isinstance(keys[0], int)
    assert f"{keys[0]}" == "2"


# ---- arrays that decide shapes ----

SHAPES: dict[str, tuple[Callable[[Any, Any], Any], list[Any], list[int]]] = {
    "a mask": (
        lambda x, m: x[:, m],
        [np.array([True, False, True]), np.array([False, True, True]), np.array([True, False, False])],
        [1, 0, 1],
    ),
    "an open mesh": (
        lambda x, m: x[np.ix_(np.array([True, True]), m)] * 2,
        [np.array([True, False, True]), np.array([False, True, True]), np.array([True, False, False])],
        [1, 0, 1],
    ),
    "counts": (
        lambda x, k: np.repeat(x, k, axis=1),
        [np.array([1, 2, 0]), np.array([0, 0, 3]), np.array([1, 1, 0])],
        [1, 0, 1],
    ),
    "indices": (lambda x, k: np.take(x, k, axis=1), [np.array([0, 2]), np.array([2, 2]), np.array([1])], [1, 0, 1]),
}


@pytest.mark.parametrize("what", SHAPES)
def test_arrays_are_guarded_by_the_shape_that_results(what: str) -> None:
    compute, values, runs = SHAPES[what]

    def f(x: Any, k: Any) -> Any:
        ran()
        return compute(x, k)

    twin = Twin(f)
    assert [twin.equal(X, k) for k in values] == runs


ENTRIES: dict[str, Callable[[Any, Any], Any]] = {
    "a length": lambda x, k: x[0, : k[0]] * 2,
    "an axis": lambda x, k: np.mean(x, axis=k[0] - 1),
    "a split": lambda x, k: np.split(x, [k[0]], axis=1),
    "splits": lambda x, k: np.split(x, k, axis=1),
    "a shape": lambda x, k: np.ones((k[0], 1, 1)) * x,
    "an index": lambda x, k: x[:, k[0]],
    "a range": lambda x, k: x[0, list(range(k[0]))],
    "a repetition": lambda x, k: np.repeat(x, k[0], axis=0),
    "a shift": lambda x, k: np.roll(x, k[0], axis=1),
    "an eye": lambda x, k: np.eye(k[0], 3)[:, None] * x,
    "padding": lambda x, k: np.pad(x, ((0, k[0]), (0, 0))),
    "where it is not zero": lambda x, k: np.flatnonzero(k - 1),
    "what is unlike": lambda x, k: x[0, np.nonzero(k > 1)[0]],
}


@pytest.mark.parametrize("what", ENTRIES)
def test_entries_of_arrays_that_decide_shapes(what: str) -> None:
    compute = ENTRIES[what]
    twin = Twin(lambda x, k: compute(x, k))
    for entries in ([1, 2], [2, 1], [1, 2], [2, 2], [1, 1]):
        twin.equal(X, np.array(entries))


def test_the_rows_that_an_argument_has() -> None:
    twin = Twin(lambda x: (x / len(x), x.shape[0] * 2, x.reshape(-1, x.shape[0])))
    for rows in (2, 1, 2):
        twin.equal(X[:rows])


@pytest.mark.parametrize("number", [np.float64(2.5), np.float32(1.5), np.int64(3), np.bool_(True)])
def test_a_numpy_scalar_as_pythons_number_is_weak(number: Any) -> None:
    def f(x: Any, n: Any) -> Any:
        return x * n.item(), x * n.tolist(), n.item(), n.tolist()

    twin, x = Twin(f), X.astype(np.float32)
    for n in (number, number, type(number)(0), number):
        twin.equal(x, n)
    assert type(twin.step(x, number)[2]) is type(number.item())


def test_a_copy_of_a_numpy_scalar_is_a_scalar() -> None:
    twin = Twin(lambda x, n: (n.copy(), x.sum().copy(), copy.copy(x.max()), copy.deepcopy(n), x[:1, 0].copy()))
    for n in (np.float64(2.5), np.float64(0.5), np.int64(3)):
        twin.equal(X, n)
        assert [type(part) for part in twin.step(X, n)[:2]] == [type(n), np.float64]
