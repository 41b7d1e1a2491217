"""The contract, point 4: effects that no program can repeat are refused, with everything as before the call."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
import os
import random
import secrets
import sys
import threading
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from compiler.contract import Twin, X, Y, assert_refused, ran
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError

KEPT: list[Any] = []
CALLS = {"n": 0}
OBJECT = SimpleNamespace(calls=0, inner=SimpleNamespace(kept=[]))


def put_away(value: Any) -> Any:
    """Put a value where the caller's code names nothing."""
    OBJECT.inner.kept.append(value)
    return value


# ---- changes in the table, and among the arguments ----


def appends(x: Any) -> Any:
    y = x * 2
    KEPT.append(y)
    return y


def appends_a_number(x: Any) -> Any:
    KEPT.append(len(KEPT))
    return x * 2


def counts_in_a_dict(x: Any) -> Any:
    CALLS["n"] += 1
    return x * CALLS["n"]


def counts_in_an_attribute(x: Any) -> Any:
    OBJECT.calls += 1
    return x * OBJECT.calls


def sorts(x: Any) -> Any:
    NUMBERS.sort()
    return x * NUMBERS[0]


def adds_to_a_set(x: Any) -> Any:
    SEEN.add("b")
    return x * len(SEEN)


def pops(x: Any) -> Any:
    return x * NUMBERS.pop()


def counts_in_an_array(x: Any) -> Any:
    np.add(STEPS, 1.0, out=STEPS)
    return x * 2


def counts_in_a_large_array(x: Any) -> Any:
    LARGE[LARGE[0] + 1] += 1
    return x * 2


def writes_into_an_array_that_it_reads(x: Any) -> Any:
    y = x * STEPS
    STEPS[0] = 5.0
    return y


def puts_into_a_deque(x: Any) -> Any:
    LATEST.append(len(LATEST))
    return x * 2


def calls_a_bound_method(x: Any) -> Any:
    KEEP(2.0)
    return x * 2


NUMBERS = [3.0, 1.0, 2.0]
SEEN = {"a"}
STEPS = np.zeros(3)
LARGE = np.zeros(300_000, int)  # of more than 2 MB
LATEST = deque([1.0], maxlen=3)
KEEP = NUMBERS.append
CHANGES: list[Callable[[Any], Any]] = [
    appends, appends_a_number, counts_in_a_dict, counts_in_an_attribute, sorts, adds_to_a_set, pops,
    counts_in_an_array, counts_in_a_large_array, writes_into_an_array_that_it_reads, puts_into_a_deque,
    calls_a_bound_method,
]  # fmt: skip


@pytest.mark.parametrize("function", CHANGES, ids=lambda f: f.__name__)
def test_a_change_in_the_table_is_refused_and_undone(function: Callable[[Any], Any]) -> None:
    KEPT.clear()
    assert_refused(function, X, says=r"return|argument|nonlocal|tensor|Tensor")
    assert (KEPT, CALLS, OBJECT.calls) == ([], {"n": 0}, 0)
    assert ([3.0, 1.0, 2.0], {"a"}, [0.0] * 3, [1.0]) == (NUMBERS, SEEN, STEPS.tolist(), [*LATEST])
    assert not LARGE.any()


BATCHES = iter([1.0, 2.0, 3.0])
LOADER = SimpleNamespace(batches=(float(n) for n in range(3)))


def test_an_iterator_is_refused_before_it_is_read() -> None:
    assert_refused(lambda x: x * next(BATCHES), X, says=r"next.*argument")
    assert_refused(lambda x: x * next(LOADER.batches), X, says=r"next.*argument")
    assert [next(BATCHES), next(LOADER.batches)] == [1.0, 0.0]
    twin = Twin(lambda x: x * 2 if sys.stderr else x)  # a file is one, too, but is no source of what is computed with
    twin.equal(X)


def test_an_attribute_of_ones_own_self_is_refused() -> None:
    class Model:
        def __init__(self) -> None:
            self.t, self.losses = 0, list[Any]()

        def counts(self, x: Any) -> Any:
            self.t += 1
            return x * self.t

        def keeps(self, x: Any) -> Any:
            self.losses.append(x.sum())
            return x

        def remembers(self, x: Any) -> Any:
            self.last = x * 2
            return self.last

    model = Model()
    for method in (model.counts, model.keeps, model.remembers):
        assert_refused(method, X, says=r"return|argument|nonlocal|tensor|Tensor")
        assert vars(model) == {"t": 0, "losses": []}


class Counted:
    """What counts in its class, and in a slot of an object."""

    __slots__ = ("n",)
    n: int
    made = 0


SLOTTED = Counted()
SLOTTED.n = 0


def counts_in_a_class(x: Any) -> Any:
    Counted.made += 1
    return x * Counted.made


def counts_in_a_slot(x: Any) -> Any:
    SLOTTED.n += 1
    return x * SLOTTED.n


def puts_a_new_name_in_a_class(x: Any) -> Any:
    Counted.last = 3.0  # type: ignore[attr-defined]
    return x * 2


def puts_a_name_in_a_class_by_its_text(x: Any) -> Any:
    setattr(Counted, "la" + "st", 3.0)
    return x * 2


@pytest.mark.parametrize(
    "function",
    [counts_in_a_class, counts_in_a_slot, puts_a_new_name_in_a_class, puts_a_name_in_a_class_by_its_text],
    ids=lambda f: f.__name__,
)
def test_an_attribute_of_a_class_or_in_a_slot_is_refused_and_undone(function: Callable[[Any], Any]) -> None:
    assert_refused(function, X, says=r"sets the attribute '(made|n|last)'.*return the new value")
    assert (Counted.made, SLOTTED.n, hasattr(Counted, "last")) == (0, 0, False)


class Once:
    """An attribute that is computed when it is first read."""

    def __set_name__(self, owner: Any, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return vars(instance).setdefault(self.name, 3.0)


class Lazy:
    """What computes attributes when they are read, and keeps them or counts."""

    once = Once()

    @functools.cached_property
    def cached(self) -> float:
        return 3.0

    @property
    def counted(self) -> float:
        self.n = getattr(self, "n", 0) + 1
        return 3.0

    def __getattr__(self, name: str) -> float:
        if name != "late":
            raise AttributeError(name)
        self.late = 3.0
        return self.late


@pytest.mark.parametrize("name", ["once", "cached", "counted", "late"])
def test_an_attribute_that_reading_sets_is_refused_and_undone(name: str) -> None:
    lazy = Lazy()
    by_name = {
        "once": lambda x: x * lazy.once,
        "cached": lambda x: x * lazy.cached,
        "counted": lambda x: x * lazy.counted,
        "late": lambda x: x * lazy.late,
    }
    assert_refused(by_name[name], X, says=r"sets the attribute '(once|cached|n|late)'.*return the new value")
    assert vars(lazy) == {}
    unread = tg.compile(lambda x, wanted: x * lazy.cached if wanted else x * 2)
    assert same(unread(X, False), X * 2)
    assert vars(lazy) == {}
    lazy.cached = 5.0
    assert same(unread(X, True), X * 5)


def test_an_attribute_of_a_modules_class_is_refused_and_undone() -> None:
    class Net(tg.nn.Module):
        calls = 0

        def forward(self, x: Any) -> Any:
            type(self).calls += 1
            Net.last = 3.0  # type: ignore[attr-defined]
            return x * 2

    net = Net()
    assert_refused(lambda x: net.forward(x), X, says=r"changes what a module .* holds|sets the attribute")
    assert (Net.calls, hasattr(Net, "last")) == (0, False)


def test_a_name_that_is_deleted_is_refused() -> None:
    n = 2.0

    def f(x: Any) -> Any:
        nonlocal n
        y = x * n
        del n
        return y

    assert_refused(f, X, says=r"deletes a name outside.*return the new value")
    assert n == 2.0


def test_a_name_that_is_bound_to_a_new_container_is_refused() -> None:
    found: Any = None

    def f(x: Any) -> Any:
        nonlocal found
        found = [1.0]
        return x * 2

    assert_refused(f, X, says=r"binds a name outside to a list that it has made.*return the new value")
    assert found is None


def test_a_dict_among_the_arguments() -> None:
    def f(p: Any, g: Any) -> None:
        for name in p:
            p[name] = p[name] - 0.01 * g[name]

    p, g = {"w": X, "b": Y}, {"w": Y, "b": X}
    assert_refused(f, p, g, says=r"return")
    assert list(p) == ["w", "b"]
    assert p["w"] is X
    assert p["b"] is Y


class Slotless:
    """An object with a number."""

    def __init__(self) -> None:
        self.n = 1


class Slot:
    """An object with a slot, whose name Python mangles."""

    __slots__ = ("__n",)

    def __init__(self, n: int) -> None:
        self.n = n

    @property
    def n(self) -> int:
        return self.__n

    @n.setter
    def n(self, n: int) -> None:
        self.__n = n


class Inherited(Slot):
    """Its slots are its base's."""

    __slots__ = ()


ARGUMENTS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[], Any]]] = {
    "a list": (lambda x, out: out.append(x * 2), lambda: [1.0]),
    "a list cleared": (lambda x, out: out.clear(), lambda: [1.0, X]),
    "a list in a dict": (lambda x, out: out["a"].append(x * 2), lambda: {"a": [1.0]}),
    "a dict": (lambda x, out: out.update(a=x * 2), lambda: {"b": 1.0}),
    "an ordered dict": (lambda x, out: out.update(a=x * 2), lambda: OrderedDict(b=1.0)),
    "a counter": (lambda x, out: out.__setitem__("n", out["n"] + 1), lambda: {"n": 1}),
    "a Counter": (lambda x, out: out.update("ab"), lambda: Counter("a")),
    "a defaultdict": (lambda x, out: out["new"].append(1.0), lambda: defaultdict(list, a=[1.0])),
    "a deque": (lambda x, out: out.append(2.0), lambda: deque([1.0], maxlen=2)),
    "a list in an object": (lambda x, out: out.kept.append(2.0), lambda: SimpleNamespace(kept=[1.0])),
    "an object in an object": (lambda x, out: vars(out.inner).update(n=2), lambda: SimpleNamespace(inner=Slotless())),
    "a slot": (lambda x, out: setattr(out, "n", out.n + 1), lambda: Inherited(1)),
    "a slot in a list": (lambda x, out: setattr(out[0], "n", 3), lambda: [Inherited(1)]),
    "an array in an object": (lambda x, out: np.add(out.y, 1.0, out=out.y), lambda: SimpleNamespace(y=Y.copy())),
    "a generator in an object": (lambda x, out: out.draw.random(), lambda: SimpleNamespace(draw=random.Random(3))),
}


def shown(x: Any) -> Any:
    """Return what an argument holds, in a form that can be compared."""
    if isinstance(x, Inherited):
        return x.n
    if isinstance(x, (SimpleNamespace, Slotless)):
        return shown(vars(x))
    if isinstance(x, random.Random):
        return x.getstate()
    if isinstance(x, dict):
        return [(key, shown(part)) for key, part in x.items()]
    return list(map(shown, x)) if isinstance(x, (list, deque)) else x.tolist() if isinstance(x, np.ndarray) else x


@pytest.mark.parametrize("what", ARGUMENTS)
def test_a_container_among_the_arguments(what: str) -> None:
    function, make = ARGUMENTS[what]
    out, before = make(), make()
    assert_refused(function, X, out, says=r"return|argument")
    assert shown(out) == shown(before)


def test_an_object_among_the_arguments() -> None:
    @dataclasses.dataclass
    class State:
        n: int
        last: Any = None

    def counts(x: Any, state: Any) -> Any:
        state.n += 1
        return x * state.n

    def keeps(x: Any, state: Any) -> Any:
        state.last = x * 2
        return x

    state = State(3)
    for function in (counts, keeps):
        assert_refused(function, X, state, says=r"return")
        assert state == State(3)


def test_containers_of_the_functions_own_are_no_effect() -> None:
    def f(parts: Any) -> Any:
        found, table, last = [], {}, deque(maxlen=1)  # type: ignore[var-annotated]
        for n, part in enumerate(parts):
            found.append(part * n)
            table[n] = part
            last.append(part)
        holder = SimpleNamespace(value=found[0])
        holder.value = holder.value + last[0]
        return found, table, holder.value

    twin = Twin(f)
    assert twin.equal([X, Y]) in (0, 1)
    twin.equal([Y, X])


# ---- results that are put away ----


@dataclasses.dataclass
class Holder:
    """Where a result may be put away, two levels behind a name."""

    places: Any


def in_a_list(x: Any) -> Any:
    return put_away(x * 2) + 1


def in_a_deque(x: Any) -> Any:
    HOLDER.places.queue.append(x * 2)
    return x


def in_a_cell(x: Any) -> Any:
    HOLDER.places.set(x * 2)
    return x


def in_a_default(x: Any) -> Any:
    HOLDER.places.function(x * 2)
    return x


def a_tensor(x: Any) -> Any:
    put_away(tg.tensor(x).sum())
    return x


def the_argument_itself(x: Any) -> Any:
    put_away(x)
    return x * 2


def with_its_graph(x: Any) -> Any:
    w = tg.Tensor(x, requires_grad=True)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    put_away(loss)
    return w.grad


class _Places:
    def __init__(self) -> None:
        self.queue: deque[Any] = deque()
        held: list[Any] = []

        def keep(value: Any, _kept: list[Any] = held) -> None:
            _kept.append(value)

        cell = None

        def put(value: Any) -> None:
            nonlocal cell
            cell = value

        self.function, self.set, self.held = keep, put, held
        self.cell = lambda: cell


HOLDER = Holder(_Places())


@pytest.mark.parametrize(
    "function",
    [in_a_list, in_a_deque, in_a_cell, in_a_default, a_tensor, the_argument_itself, with_its_graph],
    ids=lambda f: f.__name__,
)
def test_what_is_still_alive_after_the_trace_is_refused(function: Callable[[Any], Any]) -> None:
    OBJECT.inner.kept.clear()
    HOLDER.places = _Places()
    assert_refused(function, X, says=r"[Rr]eturn", calls=put_away)
    for value in [*OBJECT.inner.kept, *HOLDER.places.queue, *HOLDER.places.held, HOLDER.places.cell()]:
        if value is not None:
            np.sin(np.asarray(value.data if isinstance(value, tg.Tensor) else value))  # no dead proxy


def test_numbers_and_texts_that_are_put_away_by_called_functions_are_their_own() -> None:
    OBJECT.inner.kept.clear()

    def f(x: Any) -> Any:
        put_away("text")
        put_away(x.shape)
        return x * 2

    twin = Twin(f, lambda x: x * 2)
    assert twin.equal(X) in (0, 1)
    twin.equal(Y)
    assert OBJECT.inner.kept == ["text", (2, 3)]


def test_a_circle_is_no_result_that_is_put_away() -> None:
    def f(x: Any) -> Any:
        circle: list[Any] = [x * 2]
        circle.append(circle)
        return circle[0]

    twin = Twin(f)
    twin.equal(X)
    twin.equal(Y)


# ---- hyperparameters ----


def hyperparameters(optimizer: Any, w: Any) -> dict[str, Callable[[Any], Any]]:
    def halves_the_rate(x: Any) -> Any:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.lr = optimizer.lr * 0.5
        optimizer.step()

    def sets_the_rate_after_the_step(x: Any) -> Any:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()
        optimizer.lr = 0.01

    def loads_a_state(x: Any) -> Any:
        optimizer.zero_grad()
        (w * x).sum().backward()
        saved = optimizer.state_dict()
        saved["param_groups"][0]["lr"] = 0.25
        optimizer.load_state_dict(saved)
        optimizer.step()

    found = (halves_the_rate, sets_the_rate_after_the_step, loads_a_state)
    return {f.__name__: f for f in found}


@pytest.mark.parametrize("what", ["halves_the_rate", "sets_the_rate_after_the_step", "loads_a_state"])
def test_a_hyperparameter_that_is_set_is_refused(what: str) -> None:
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=0.1, momentum=0.5)
    (w * 2.0).sum().backward()
    optimizer.step()
    data, grad, state = w.data.copy(), tg.tensor(w.grad), optimizer.state_dict()
    assert_refused(hyperparameters(optimizer, w)[what], X, says=r"between|outside|before|after")
    assert same(w.data, data)
    assert same(w.grad, grad)
    assert same(optimizer.state_dict(), state)


class Counting(tg.optim.SGD):
    """An optimiser that steps every second call."""

    calls = 0

    def step(self) -> None:
        self.calls += 1
        if self.calls % 2 == 0:
            super().step()


def test_an_optimiser_that_counts_is_refused() -> None:
    w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    optimizer = Counting([w], lr=0.1)

    def f(x: Any) -> Any:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    assert_refused(f, X, says=r"between|outside|argument|return")
    assert "calls" not in vars(optimizer)
    assert same(w.data, np.array([1.0, 2.0, 3.0]))
    assert w.grad is None


# ---- random numbers ----

GENERATOR = np.random.default_rng(3)
LEGACY = np.random.RandomState(3)
PYTHONS = random.Random(3)
GENERATOR_BITS = np.random.PCG64(3)
DRAW = GENERATOR.random
DRAW_AROUND = functools.partial(GENERATOR.normal, 1.0)


def shuffled(x: Any) -> Any:
    order = [0, 1, 2]
    random.shuffle(order)
    return x[:, order]


def on_one_tenth(x: Any) -> Any:
    return x * 0 if random.random() < 0.1 else x * 2


def seeded(x: Any) -> Any:
    random.seed(3)
    return x * 2


def legacy_seeded(x: Any) -> Any:
    np.random.seed(3)
    return x * 2


def in_a_called_function() -> float:
    return random.random()


RANDOM: dict[str, Callable[[Any], Any]] = {
    "random.random": on_one_tenth,
    "random.shuffle": shuffled,
    "random in a called function": lambda x: x * in_a_called_function(),
    "random.seed": seeded,
    "a random.Random in the table": lambda x: x * PYTHONS.random(),
    "a new random.Random": lambda x: x * random.Random().random(),
    "random.SystemRandom": lambda x: x * random.SystemRandom().random(),
    "np.random.rand": lambda x: x * np.random.rand(),
    "np.random.normal of a shape": lambda x: x + np.random.normal(size=x.shape),
    "np.random.permutation": lambda x: x[np.random.permutation(2)],
    "np.random.seed": legacy_seeded,
    "a Generator in the table": lambda x: x * GENERATOR.random(3),
    "a bit generator": lambda x: x * (GENERATOR_BITS.random_raw() % 5),
    "a method of a Generator": lambda x: x * DRAW(),
    "a partial of one": lambda x: x * DRAW_AROUND(),
    "a RandomState in the table": lambda x: x * LEGACY.random_sample(3),
    "a new Generator": lambda x: x * np.random.default_rng().random(3),
    "a new bit generator": lambda x: x * np.random.Generator(np.random.PCG64()).random(3),
    "os.urandom": lambda x: x * os.urandom(1)[0],
    "secrets": lambda x: x * secrets.randbelow(10),
    "uuid": lambda x: x * (uuid.uuid4().int % 10),
}


@pytest.mark.parametrize("what", RANDOM)
def test_random_numbers_are_refused(what: str) -> None:
    def states() -> Any:
        legacy: list[Any] = [np.random.get_state(), LEGACY.get_state()]
        return (
            random.getstate(),
            PYTHONS.getstate(),
            GENERATOR.bit_generator.state,
            GENERATOR_BITS.state,
            [(state[1].tolist(), state[2:]) for state in legacy],
        )

    before, legacy = states(), np.random.get_state()
    try:
        assert_refused(RANDOM[what], X, says=r"argument|Module", calls=in_a_called_function)
        assert states() == before
    finally:
        random.setstate(before[0])
        np.random.set_state(legacy)


def test_a_generator_with_a_seed_that_is_made_inside_draws_the_same_at_every_call() -> None:
    twin = Twin(lambda x: x * np.random.default_rng(7).random(3) + random.Random(7).random())
    twin.equal(X)
    twin.equal(Y)


def test_a_generator_among_the_arguments() -> None:
    rng, before = np.random.default_rng(3), np.random.default_rng(3)

    def f(x: Any, generator: Any) -> Any:
        return x * generator.random(3)

    step = tg.compile(f)
    for _ in range(2):
        with pytest.raises(CompileError, match=r"argument|Module"):
            step(X, rng)
    assert rng.bit_generator.state == before.bit_generator.state


# ---- exceptions ----

GOOD, BAD = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, 2.0], [2.0, 1.0]])


def factor(a: Any) -> Any:
    ran()
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        return np.linalg.cholesky(a + 10 * np.eye(2))


def test_an_error_that_is_caught_in_a_trace_is_refused() -> None:
    assert_refused(factor, BAD, says=r"outside|where|before")


def test_an_error_in_a_replay_hands_the_call_to_the_function() -> None:
    twin = Twin(factor)
    assert [twin.equal(GOOD), twin.equal(2 * GOOD), twin.equal(BAD), twin.equal(GOOD)] == [1, 0, 1, 0]


def test_an_error_in_a_replay_that_nothing_catches_is_the_functions_own() -> None:
    step: Any = tg.compile(lambda a: np.linalg.inv(a) * 2, exact=True)
    singular = np.ones((2, 2))
    with pytest.raises(np.linalg.LinAlgError):
        step(singular)
    assert same(step(GOOD), np.linalg.inv(GOOD) * 2)
    with pytest.raises(np.linalg.LinAlgError):
        step(singular)
    assert same(step(BAD), np.linalg.inv(BAD) * 2)


def divided(x: Any, n: Any) -> Any:
    ran()
    try:
        return x * (1 / n)
    except ZeroDivisionError:
        return x * 0


def test_an_error_of_a_python_number() -> None:
    assert_refused(divided, X, 0.0, says=r"outside|where|before|if")
    twin = Twin(divided)
    assert [twin.equal(X, n) for n in (2.0, 4.0, 0.0, 8.0)] == [1, 0, 1, 0]


def suppressed(x: Any) -> Any:
    with contextlib.suppress(ValueError):
        return x.reshape(4, 4)
    return x * 2


def by_finally(x: Any) -> Any:
    try:
        return x.reshape(4, 4)
    finally:
        return x * 2  # noqa: B012, SIM107


def by_bare_except(x: Any) -> Any:
    try:
        return x[:, 7]
    except:  # noqa: E722
        return x * 2


def in_a_called_one(x: Any) -> Any:
    def attempt() -> Any:
        try:
            return np.linalg.inv(x @ np.zeros((3, 2)))
        except np.linalg.LinAlgError:
            return np.eye(2)

    return attempt() * 3


@pytest.mark.parametrize(
    "function", [suppressed, by_finally, by_bare_except, in_a_called_one], ids=lambda f: f.__name__
)
def test_errors_of_lines_that_are_caught_in_other_ways(function: Callable[[Any], Any]) -> None:
    assert_refused(function, X, says=r"outside|where|before|if")


def test_errors_of_pythons_own_are_control_flow() -> None:
    table = {"a": 2.0}

    def f(x: Any, name: Any) -> Any:
        try:
            return x * table[name]
        except KeyError:
            return x * 5

    twin = Twin(f)
    for name in ("a", "b", "a", "b"):
        twin.equal(X, name)
    table["b"] = 7.0
    twin.equal(X, "b")
    twin.equal(X, "a")


def test_a_floating_point_flag_that_raises() -> None:
    def own(x: Any) -> Any:
        ran()
        with np.errstate(divide="raise"):
            return 1 / x

    def callers(x: Any) -> Any:
        ran()
        return 1 / x

    for function in (own, callers):
        twin = Twin(function)
        with np.errstate(divide="raise"):
            assert [twin.equal(X), twin.equal(Y)] == [1, 0]
            with pytest.raises(FloatingPointError):
                function(X * 0)
            with pytest.raises(FloatingPointError):
                twin.step(X * 0)
            assert twin.equal(X) == 0


def test_a_floating_point_flag_that_raises_and_is_caught() -> None:
    def f(x: Any) -> Any:
        ran()
        try:
            with np.errstate(over="raise"):
                return np.exp(x)
        except FloatingPointError:
            return x * 0

    twin = Twin(f)
    assert [twin.equal(X), twin.equal(X * 1e5), twin.equal(Y)] == [1, 1, 0]
    assert_refused(f, X * 1e5, says=r"outside|where|before|if")


# ---- threads and contexts ----


def in_a_thread(x: Any) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(_tried(lambda: np.sin(x) * 2)))
    thread.start()
    thread.join()
    return found[0]


def in_a_context(x: Any) -> Any:
    return contextvars.copy_context().run(lambda: np.sin(x) * 2)


def _tried(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except CompileError as error:  # the thread's own; the caller is told, too
        return str(error)


@pytest.mark.parametrize("function", [in_a_thread, in_a_context], ids=lambda f: f.__name__)
def test_a_proxy_in_another_thread_or_context_is_refused(function: Callable[[Any], Any]) -> None:
    assert_refused(function, X, says=r"thread|context")


# ---- arrays that are written into ----


def test_an_argument_that_is_written_into_is_right_or_refused_and_as_before() -> None:
    def adds(x: Any) -> Any:
        x += 1.0
        return x * 2

    def sets(x: Any) -> Any:
        x[0, 0] = 5.0
        return x * 2

    def out(x: Any) -> Any:
        return np.multiply(x, 2.0, out=x)

    for function in (adds, sets, out):
        step = tg.compile(function, exact=True)
        for _ in range(3):
            x, y = X.copy(), X.copy()
            try:
                found = step(x)
            except CompileError as error:
                assert "return" in str(error) or "argument" in str(error)  # noqa: PT017
                assert same(x, X)
            else:
                assert same(found, function(y))
                assert same(x, y)


def test_everything_is_as_before_a_call_that_is_refused() -> None:
    w, table = tg.tensor([1.0, 2.0, 3.0], requires_grad=True), {"n": 1}
    optimizer, count, argument = tg.optim.Adam([w], lr=0.1), 0, [X]
    array = w.data

    def f(parts: Any) -> Any:
        nonlocal count
        count += 1
        optimizer.zero_grad()
        ((w * parts[0]) ** 2).sum().backward()
        optimizer.step()
        parts.append(w.detach())
        table["n"] += 1
        return w.detach() * random.random()

    state = random.getstate()
    assert_refused(f, argument, says=r"return|argument")
    assert w.data is array
    assert same(array, np.array([1.0, 2.0, 3.0]))
    assert w.grad is None
    assert optimizer.state == [{}] or same(optimizer.state, tg.optim.Adam([w], lr=0.1).state)
    assert (count, table, len(argument)) == (0, {"n": 1}, 1)
    assert argument[0] is X
    assert random.getstate() == state


@pytest.mark.parametrize("wanted", [True, False])
def test_whether_a_tensor_requires_grad_is_not_changed(wanted: bool) -> None:
    t = tg.tensor(X, requires_grad=not wanted)

    def sets(x: Any) -> Any:
        t.requires_grad = wanted
        return x + 1

    def sets_back(x: Any) -> Any:
        t.requires_grad = wanted
        t.requires_grad = not wanted
        return x + 1

    assert_refused(sets, X, says="changes whether a tensor requires grad")
    assert t.requires_grad is not wanted
    assert Twin(sets_back).equal(X) == 0


def test_a_tensor_keeps_its_dtype_through_a_program_and_through_a_refused_call() -> None:
    layer = tg.nn.Linear(3, 1, seed=0)

    def converts(x: Any) -> Any:
        layer.astype(np.float32)
        return layer(x).sum().detach()

    assert_refused(converts, X.astype(np.float32), says=r"converts weight to float32.* convert it before the call")
    assert (layer.weight.dtype, layer.weight.requires_grad) == (np.float64, True)
    layer.astype(np.float32)
    assert Twin(converts).equal(X.astype(np.float32)) == 0
