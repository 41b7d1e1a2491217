"""The contract, point 5: what a program is for, what may be an argument or a result, and which programs are kept."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import gc
import warnings
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from compiler.contract import Twin, X, Y, assert_refused, ran, runs_of
from same_bits import same

import tinygrad_nn as tg

SIGNATURES: dict[str, list[Any]] = {
    "shape": [X, X[:1], X[0]],
    "dtype": [X, X.astype(np.float32), X.astype(int)],
    "layout": [X, np.asfortranarray(X), X[:, ::-1]],
    "kind": [X, tg.tensor(X)],
    "nesting": [[X, X + 1], (X, X + 1), {"a": X, "b": X + 1}],
    "keys": [{"a": X}, {"b": X}, {"a": X, "b": Y}],
    "length": [[X], [X, Y], []],
    "class of a number": [2, 2.0, np.int64(2), np.float32(2)],
}


def total(value: Any) -> Any:
    ran()
    if isinstance(value, dict):
        return [total(part) * (2 if name == "a" else 3) for name, part in value.items()]
    if isinstance(value, (list, tuple)):
        return [total(part) for part in value]
    return value * 2 + 1


@pytest.mark.parametrize("what", SIGNATURES)
def test_what_a_program_is_for(what: str) -> None:
    twin = Twin(total)
    assert [twin.equal(value) > 0 for value in SIGNATURES[what]] == [True] * len(SIGNATURES[what])
    assert [twin.equal(value) for value in SIGNATURES[what]] == [0] * len(SIGNATURES[what])


def test_tensors_by_whether_they_require_grad() -> None:
    def f(t: Any) -> Any:
        ran()
        return (t * 2).detach() * (3.0 if (t * 2).requires_grad else 5.0)

    twin, t = Twin(f), tg.tensor(X)
    assert twin.equal(t) == 1
    t.requires_grad = True
    assert [twin.equal(t), twin.equal(tg.tensor(Y, requires_grad=True)), twin.equal(tg.tensor(Y))] == [1, 0, 0]


def test_the_flags_of_the_caller() -> None:
    step, large = tg.compile(lambda x: np.exp(x), exact=True), np.array([1.0, 800.0])
    for _ in range(2):
        with np.errstate(over="ignore"):
            assert same(step(large), np.exp(large))
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            step(large)


def test_tensors_by_their_hooks() -> None:
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def f(t: Any) -> None:
        (t * t).sum().backward()

    step = tg.compile(f)
    step(w)
    w.grad = None
    w.register_hook(lambda g: g * 10)
    try:
        step(w)
    except tg.errors.CompileError as error:
        assert "hook" in str(error)  # noqa: PT017
        assert w.grad is None
    else:
        assert same(w.grad, tg.tensor([20.0, 40.0, 60.0]))


@dataclasses.dataclass
class Batch:
    """An argument of a class of the user's; two of them can't be compared by ==, since arrays are in them."""

    x: Any
    scale: Any
    how: str = "sin"


def apply(batch: Any) -> Any:
    ran()
    return getattr(np, batch.how)(batch.x) * batch.scale


def test_a_dataclass_by_its_attributes() -> None:
    twin = Twin(apply)
    assert twin.equal(Batch(X, 2.0)) == 1
    assert twin.equal(Batch(X, 2.0)) == 0
    assert twin.equal(Batch(X, 3.0)) in (0, 1)
    assert twin.equal(Batch(X, 2.0, "cos")) == 1
    assert twin.equal(Batch(Y, 2.0)) in (0, 1)
    twin.equal(Batch(Y, 2.0))


def test_an_arguments_attribute_that_is_set_between_calls() -> None:
    twin, batch = Twin(apply), Batch(X, 2.0)
    twin.equal(batch)
    batch.scale = 5.0
    twin.equal(batch)
    batch.how = "tanh"
    twin.equal(batch)
    batch.x = Y
    twin.equal(batch)


def test_a_bound_method_by_what_its_object_holds() -> None:
    class Scaled:
        def __init__(self, k: float) -> None:
            self.k = k

        def apply(self, x: Any) -> Any:
            return x * self.k

    def f(x: Any, how: Any) -> Any:
        ran()
        return how(x)

    twin, scaled, circle = Twin(f), Scaled(2.0), Scaled(3.0)
    circle.itself = circle  # type: ignore[attr-defined]
    assert [twin.equal(x, scaled.apply) for x in (X, Y)] == [1, 0]
    scaled.k = 5.0
    assert [twin.equal(x, scaled.apply) for x in (X, Y)] == [1, 0]
    assert [twin.equal(x, circle.apply) for x in (X, Y)] == [1, 0]


def test_equality_is_never_asked() -> None:
    class Odd:
        def __init__(self, k: float) -> None:
            self.k = k

        def __eq__(self, other: object) -> bool:
            raise AssertionError("asked")

        def __hash__(self) -> int:
            raise AssertionError("asked")

    class Alike(Odd):
        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    for kind in (Odd, Alike):
        twin = Twin(lambda x, odd: x * odd.k)
        for k in (2.0, 3.0, 2.0):
            twin.equal(X, kind(k))


def test_slots() -> None:
    class Slotted:
        __slots__ = ("k",)

        def __init__(self, k: float) -> None:
            self.k = k

    step = tg.compile(lambda x, s: x * s.k, exact=True)
    for k in (2.0, 3.0, 2.0):
        assert same(step(X, Slotted(k)), X * k)


class Hidden:
    """What it holds is in a slot whose name Python mangles, and a copy does without it."""

    __slots__ = ("__k",)

    def __init__(self, k: float) -> None:
        self.__k = k

    def __getstate__(self) -> Any:
        return None

    @property
    def k(self) -> float:
        return self.__k


class Marked(float):
    """A number with an attribute."""

    k: float


def marked(k: float) -> Marked:
    number = Marked(2.0)
    number.k = k
    return number


class Listed(list[Any]):
    """A list with an attribute."""

    def __init__(self, k: float) -> None:
        super().__init__([k, 1.0])
        self.k = k


OBJECTS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[float], Any]]] = {
    "a partial": (lambda x, how: how(x), lambda k: functools.partial(np.multiply, k)),
    "a partial with a keyword": (lambda x, how: how()["k"] * x, lambda k: functools.partial(dict, k=k)),
    "a hidden slot": (lambda x, hidden: x * hidden.k, Hidden),
    "a number with an attribute": (lambda x, number: x * number.k, marked),
    "a deque": (lambda x, parts: x * parts[-1], lambda k: deque([1.0, k])),
    "a Fraction": (lambda x, number: x * float(number), Fraction),
    "a Decimal": (lambda x, number: x * float(number), Decimal),
    "a timedelta": (lambda x, time: x * time.days, lambda k: datetime.timedelta(days=k)),
    "a bytearray": (lambda x, data: x * data[0], lambda k: bytearray([int(k)])),
    "an exception": (lambda x, error: x * error.args[0], ValueError),
    "a list with an attribute": (lambda x, parts: x * parts.k, Listed),
}


@pytest.mark.parametrize("what", OBJECTS)
def test_an_object_by_all_that_a_copy_of_it_would_hold(what: str) -> None:
    function, make = OBJECTS[what]

    def f(x: Any, given: Any) -> Any:
        ran()
        return function(x, given)

    twin = Twin(f)
    assert [twin.equal(X, make(k)) for k in (2.0, 3.0)] == [1, 1]
    assert [twin.equal(Y, make(k)) for k in (2.0, 3.0)] == [0, 0]


def test_what_contains_itself_is_refused() -> None:
    circle: list[Any] = [X]
    circle.append(circle)
    with pytest.raises(tg.errors.CompileError, match=r"contains itself; pass.*test_contract_signatures\.py:\d+"):
        tg.compile(lambda parts: parts[0] * 2)(circle)


def test_what_can_not_be_described_is_refused() -> None:
    def f(x: Any, parts: Any) -> Any:
        return x * next(parts)

    parts = iter([2.0, 3.0])
    with pytest.raises(tg.errors.CompileError, match=r"iterator.*test_contract_signatures\.py:\d+"):
        tg.compile(f)(X, parts)
    assert next(parts) == 2.0


@pytest.mark.parametrize("kind", [np.matrix, np.ma.MaskedArray, type("Own", (np.ndarray,), {})])
def test_an_array_of_a_class_of_its_own_is_refused(kind: Any) -> None:
    assert_refused(lambda x: x * x, X[:, :2].copy().view(kind), says=r"pass np\.asarray\(x\)")


def test_an_ordered_dict_and_a_set_among_the_arguments() -> None:
    def by_order(d: Any) -> Any:
        ran()
        found = 0.0
        for value in d.values():
            found = found * 0.5 + value
        return found

    twin = Twin(by_order)
    twin.equal(OrderedDict(a=X, b=Y))
    twin.equal(OrderedDict(b=Y, a=X))
    twin.equal(OrderedDict(a=Y, b=X))
    chosen = Twin(lambda x, names: np.maximum(x, 0) if "relu" in names else x * len(names))
    for names in ({"relu"}, {"tanh", "sin"}, {"relu", "sin"}, frozenset({"a", "b", "c"})):
        chosen.equal(X, names)


# ---- results ----


class Named(NamedTuple):
    """A result with names."""

    first: Any
    second: Any


def test_results() -> None:
    twin = Twin(lambda x, n: {"a": [x * 2, (x.sum(), n, "text", None, True)], "b": Named(x[0], n + 1), 3: tg.tensor(x)})
    twin.equal(X, 2)
    twin.equal(Y, 3)


RESULTS: dict[str, Callable[[Any], Any]] = {
    "a set": lambda x: {1, 2},
    "an object": lambda x: Batch(x, 2.0),
    "a list of one's own": lambda x: Listed(2.0),
    "a tuple of one's own": lambda x: type("Own", (tuple,), {})([x]),
    "a bytearray": lambda x: bytearray(b"ab"),
    "an iterator": lambda x: iter([x * 2]),
    "a generator": lambda x: (x * k for k in range(3)),
    "a function": lambda x: lambda: x * 2,
    "an optimiser": lambda x: tg.optim.SGD([tg.Tensor(x * 2, requires_grad=True)], lr=0.1),
}


@pytest.mark.parametrize("what", RESULTS)
def test_other_mutable_results_are_refused(what: str) -> None:
    step = tg.compile(RESULTS[what])
    for _ in range(2):
        with pytest.raises(tg.errors.CompileError, match=r"[Rr]eturn|result"):
            step(X)


def test_results_are_the_callers_own() -> None:
    step = tg.compile(lambda x: (x.T, [x * 2, np.ones(3)], x), exact=True)
    x = X.copy()
    first = step(x)
    copies = [np.array(first[0]), np.array(first[1][0])]
    second = step(Y)
    assert same([first[0], first[1][0]], copies)
    second[1][1][0] = 50.0
    second[1].append(None)
    third = step(Y)
    assert same(third[1], [Y * 2, np.ones(3)])


# ---- which programs are kept ----


def test_the_program_that_was_used_last_is_kept_longest() -> None:
    def f(x: Any) -> Any:
        ran()
        return x * 2

    step = tg.compile(f)
    hot = np.ones(3)
    step(hot)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for rows in range(4, 200):
            step(np.ones(rows))
            assert runs_of(lambda: step(hot))[1] == 0
        assert len(step.programs) < 196, "programs of long ago go"


def test_what_was_traced_last_is_what_is_shown() -> None:
    step = tg.compile(lambda x, n: x * 2 if n > 0 else x * 3)
    for x, n in ((np.ones(2), 1), (np.ones(3), 1), (np.ones(2), -1)):
        step(x, n)
    assert "3 * x" in str(step.explain())
    assert "(2,)" in str(step.explain())


def test_thrashing_warns_once() -> None:
    step = tg.compile(lambda x: x * 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(4):
            for rows in range(1, 150):
                step(np.ones(rows))
    assert len(caught) == 1
    assert __file__.rsplit("/", 1)[-1] in caught[0].filename


def test_eight_batch_sizes_in_turn_are_replayed() -> None:
    def f(x: Any) -> Any:
        ran()
        return x * 2

    step = tg.compile(f)
    batches = [np.ones(rows) for rows in range(1, 9)]

    def epoch() -> None:
        for x in batches:
            step(x)

    assert [runs_of(epoch)[1] for _ in range(3)] == [8, 0, 0]


def test_a_compiled_method_keeps_no_instance_alive() -> None:
    class Model:
        def __init__(self) -> None:
            self.w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)

        @tg.compile
        def slope(self, x: Any) -> Any:
            return tg.grad(lambda v: (v * self.w * x).sum().detach() + (v * v).sum())(x)

    gone = []
    for _ in range(4):
        model = Model()
        model.slope(X)
        gone.append(weakref.ref(model))
    del model
    gc.collect()
    assert [ref() for ref in gone] == [None] * 4


def test_a_swapped_rule_makes_every_program_stale() -> None:
    def f(x: Any) -> Any:
        ran()
        return tg.grad(lambda v: np.tanh(v).sum())(x)

    twin = Twin(f)
    assert [twin.equal(X), twin.equal(X)] == [1, 0]
    with tg.testing.planted_rule(tg.tanh, "x", lambda g, y: g * (1 - y)):
        assert twin.equal(X) == 1
    twin.equal(X)
    with tg.testing.planted_rule(tg.tanh, "x", lambda g, y: g * 3.0):
        assert twin.equal(X) == 1
    twin.equal(X)


def test_a_compiled_function_as_an_argument_is_the_same_for_itself_alone() -> None:
    twice, thrice = tg.compile(lambda x: x * 2), tg.compile(lambda x: x * 3)

    def f(x: Any, g: Any) -> Any:
        ran()
        return g(x) + 1

    twin = Twin(f)
    assert [twin.equal(X, g) for g in (twice, twice, thrice, twice)] == [1, 0, 1, 0]
