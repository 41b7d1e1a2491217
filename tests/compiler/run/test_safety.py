"""What a compiled function must never do: leave something half done, mix threads up, or lose a gradient silently."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.engine.grad_mode import recording
from tinygrad_nn.errors import CompileError

X = np.array([0.5, -1.25, 2.0])


def programs(compiled: Any) -> int:
    return sum(map(len, compiled.programs.values()))


def parameter(*values: float) -> Any:
    return tg.tensor(values or [0.5, 1.5, -1.0], requires_grad=True)


# ---- exceptions ----


class Failure(Exception):
    pass


def test_a_function_that_fails_leaves_everything_as_it_was() -> None:
    w, frozen = parameter(), tg.tensor([1.0, 2.0, 3.0])
    optimizer = tg.optim.Adam([w], lr=0.1)
    (w * 2).sum().backward()
    optimizer.step()

    def fails(x: Any) -> Any:
        w.grad = None
        (w * x).sum().backward()
        optimizer.step()
        w.data = w.data * 2
        frozen.data = x * 1.0
        raise Failure

    arrays = (w.data, w.grad.data, frozen.data, {**optimizer.state[0]})
    copies = [x.copy() for x in arrays[:3]]
    node = w._node
    with pytest.raises(Failure):
        tg.compile(fails)(X)
    assert w.data is arrays[0]
    assert w.grad.data is arrays[1]
    assert frozen.data is arrays[2]
    assert w._node is node
    assert same([w.data, w.grad.data, frozen.data], copies)
    assert optimizer.state[0] == arrays[3]
    assert recording.get() is True


def test_what_can_not_be_compiled_leaves_everything_as_it_was() -> None:
    w = parameter()

    @tg.compile
    def step(x: Any) -> Any:
        loss = (w * x).sum()
        loss.backward()
        with tg.no_grad():
            w.data = w.data - w.grad.data
        return loss.item()

    before = w.data
    for _ in range(2):
        with pytest.raises(CompileError, match="item"):
            step(X)
        assert w.data is before
        assert w.grad is None
        assert same(before, np.array([0.5, 1.5, -1.0]))


@pytest.mark.filterwarnings("ignore")
def test_a_replay_that_fails_leaves_everything_as_it_was() -> None:
    w = parameter(2.0, 0.0, 0.0, 3.0)

    @tg.compile
    def step(x: Any, rate: Any) -> Any:
        w.grad = None
        loss = np.linalg.inv(w.reshape(2, 2) * x).sum()
        loss.backward()
        with tg.no_grad():
            w.data = w.data - rate * w.grad.data
        return loss.detach()

    for _ in range(3):
        step(np.eye(2) + 0.5, 0.01)
    array, gradient = w.data, w.grad.data
    copies = [array.copy(), gradient.copy()]
    with pytest.raises(np.linalg.LinAlgError):
        step(np.zeros((2, 2)), 0.01)
    assert w.data is array
    assert same([array, gradient], copies)
    step(np.eye(2) + 0.5, 0.01)


def test_an_overflow_in_an_update_is_no_half_update() -> None:
    """Warnings are errors here: one that came between two updates would leave the second parameter behind."""
    first, second = parameter(1e308), parameter(1.0)

    @tg.compile
    def step(x: Any, rate: Any) -> Any:
        for p in (first, second):
            p.grad = None
        loss = (first * x).sum() + second.sum()
        loss.backward()
        with tg.no_grad():
            for p in (first, second):
                p -= rate * p.grad
        return loss.detach()

    for rate in (0.5, 0.5, 1e308):
        before = second.data.copy()
        step(np.array([-1.0]), rate)
        assert same(second.data, before - rate)


# ---- gradients are never lost ----


def test_gradients_do_not_go_back_through_a_program() -> None:
    w = parameter()
    scaled = tg.compile(lambda x: np.tanh(x * w))
    with pytest.raises(CompileError, match=r"detach\(\).*no_grad"):
        scaled(X)
    with tg.no_grad():
        assert same(scaled(X), np.tanh(X * w))
    with pytest.raises(CompileError, match="requires grad"):
        scaled(X)


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda f: tg.grad(f)(X),
    "value_and_grad": lambda f: tg.value_and_grad(f)(X),
    "vjp": lambda f: tg.vjp(f, X)[1](1.0),
    "jvp": lambda f: tg.jvp(f, (X,), (X,)),
    "hvp": lambda f: tg.hvp(f, (X,), (X,)),
    "hessian": lambda f: tg.hessian(f)(X),
    "backward": lambda f: f(parameter()).backward(),
    "backward through more": lambda f: (f(parameter() * 2) * 2).backward(),
    "autograd.grad": lambda f: tg.autograd.grad(f(w := parameter()), [w]),
}


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("what", TRANSFORMS)
def test_a_transform_of_a_compiled_function_is_refused(what: str, warm: bool) -> None:
    f = tg.compile(lambda x: (x**3).sum())
    if warm:
        f(X)
        f(tg.tensor(X))
        f(tg.tensor(X).detach())
    with pytest.raises(CompileError, match=r"requires grad|recorded outside"):
        TRANSFORMS[what](f)


def test_a_tensor_recorded_outside_is_refused() -> None:
    w = parameter()
    y = w * 2
    for _ in range(2):
        with pytest.raises(CompileError, match=r"recorded outside.*detach"):
            tg.compile(lambda x: (x * y).sum())(X)


def test_a_captured_tensor_that_becomes_recorded_is_refused() -> None:
    w, total = parameter(), tg.tensor([1.0, 2.0, 3.0])
    f = tg.compile(lambda x: (x * total).sum())
    f(X)
    f(X)
    total += w
    with pytest.raises(CompileError, match="recorded outside"):
        f(X)


def test_results_are_never_recorded() -> None:
    w = parameter()

    @tg.compile
    def step(x: Any) -> Any:
        loss = (w * x).sum()
        loss.backward()
        return loss

    for _ in range(3):
        assert not step(X).requires_grad


# ---- one inside another ----


def test_a_compiled_function_inside_another() -> None:
    inner = tg.compile(lambda x: np.tanh(x) * 2, exact=True)
    outer = tg.compile(lambda x: (inner(x) ** 2).sum(), exact=True)
    for warm in (False, True):
        for factor in (1, 2, 3):
            assert same(outer(X * factor), sum((np.tanh(X * factor) * 2) ** 2))
        assert programs(outer) == 1
        if not warm:
            inner(X)


@pytest.mark.parametrize("warm", [False, True])
def test_a_compiled_function_inside_a_derivative_that_is_compiled(warm: bool) -> None:
    inner = tg.compile(lambda x: np.tanh(x) * 2, exact=True)
    if warm:
        inner(X)
        inner(tg.tensor(X))
    outer = tg.compile(tg.grad(lambda x: (inner(x) ** 2).sum()), exact=True)
    expected = tg.grad(lambda x: ((np.tanh(x) * 2) ** 2).sum())
    for factor in (1, 2, 3):
        assert same(outer(X * factor), expected(X * factor))


def descending(w: Any) -> Any:
    def step(x: Any) -> Any:
        w.grad = None
        loss = ((w * x) ** 2).sum()
        loss.backward()
        with tg.no_grad():
            w.data = w.data - 0.1 * w.grad.data
        return loss.detach()

    return step


@pytest.mark.parametrize("warm", [False, True])
def test_a_compiled_step_inside_another(warm: bool) -> None:
    w, v = parameter(), parameter()
    inner, eager = tg.compile(descending(w), exact=True), descending(v)
    if warm:
        for _ in range(2):
            assert same(inner(X), eager(X))
    outer = tg.compile(lambda: inner(X) + inner(X * 2), exact=True)
    for _ in range(4):
        assert same(outer(), eager(X) + eager(X * 2))
        assert same([w, w.grad], [v, v.grad])


# ---- one tensor under two names ----


def product_step(a: Any, b: Any) -> Any:
    loss = (a * b * b).sum()
    for t in (a, b):
        t.grad = None
    loss.backward()
    with tg.no_grad():
        for t in (a, b):
            t.data = t.data - 0.1 * t.grad.data
    return loss.detach()


def test_one_tensor_as_two_arguments() -> None:
    step = tg.compile(product_step, exact=True)
    a, b, c = (parameter() for _ in range(3))
    u, v, w = (parameter() for _ in range(3))
    for first, second, one, two in [(a, b, u, v), (c, c, w, w), (a, b, u, v), (b, a, v, u), (c, c, w, w)]:
        assert same(step(first, second), product_step(one, two))
        assert same([first, second, first.grad, second.grad], [one, two, one.grad, two.grad])


def test_a_captured_tensor_as_argument_is_refused() -> None:
    w = parameter()
    step = tg.compile(lambda a: product_step(a, w))
    for _ in range(3):
        step(parameter())
        before = w.data
        with pytest.raises(CompileError, match="another name"):
            step(w)
        assert w.data is before


def test_a_captured_tensor_as_argument_is_the_reason_where_no_gradient_leads_to_it() -> None:
    w = parameter()
    step = tg.compile(lambda parameters: tg.autograd.grad((w * w).sum(), parameters))
    with pytest.raises(CompileError, match="by another name; use only one of the two"):
        step([w])


# ---- what is always the same, and what changes hands ----


def test_a_constant_gradient_and_a_constant_parameter() -> None:
    w, v, b, c = parameter(), parameter(), parameter(), parameter()

    def reset(w: Any, b: Any, x: Any) -> Any:
        w.grad = None
        w.sum().backward()
        b.data = np.array([1.0, 2.0, 3.0])
        return (w.sum() + x.sum()).detach()

    step = tg.compile(lambda x: reset(w, b, x), exact=True)
    for number in range(4):
        assert same(step(X + number), reset(v, c, X + number))
        assert same([w, w.grad, b], [v, v.grad, c])
        for t in (w, v, b, c):
            t.data = t.data + 1
            t.grad = None


def test_parameters_change_places() -> None:
    def swap(a: Any, b: Any) -> None:
        a.data, b.data = b.data, a.data

    a, b, c, d = parameter(1.0), parameter(2.0), parameter(1.0), parameter(2.0)
    step = tg.compile(lambda: swap(a, b), exact=True)
    for _ in range(5):
        step()
        swap(c, d)
        assert same([a, b], [c, d])


def test_gradients_are_scaled_in_place() -> None:
    def clip(w: Any, factor: Any) -> None:
        w.grad.data *= factor

    w, v = parameter(), parameter()
    step = tg.compile(lambda factor: clip(w, factor), exact=True)
    for number in range(5):
        for t in (w, v):
            (t * X).sum().backward()
        step(0.5 + number)
        clip(v, 0.5 + number)
        assert same([w, w.grad], [v, v.grad])


def test_constant_results_are_fresh() -> None:
    f = tg.compile(lambda x: (x, np.ones(3), tg.tensor([1.0, 2.0])))
    for _ in range(4):
        x, ones, t = f(X)
        assert same([x, ones, t], [X, np.ones(3), tg.tensor([1.0, 2.0])])
        x[...], ones[...], t.data[...] = 5, 5, 5
        X[...] = [0.5, -1.25, 2.0]


# ---- threads, tasks, memory ----


def in_threads(count: int, work: Callable[[int], Any]) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait()
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_threads_replay_one_function() -> None:
    w = tg.tensor(np.linspace(-1, 1, 300 * 300).reshape(300, 300))
    f = tg.compile(tg.value_and_grad(lambda x: (np.tanh(x @ w) ** 2).sum()), exact=True)
    inputs = [np.linspace(0, 1 + n, 40 * 300).reshape(40, 300) for n in range(4)]
    expected = [tg.value_and_grad(lambda x: (np.tanh(x @ w) ** 2).sum())(x) for x in inputs]

    def work(number: int) -> None:
        for _ in range(15):
            assert same(f(inputs[number]), expected[number])

    in_threads(4, work)
    assert programs(f) == 1


def test_threads_take_turns_in_one_step() -> None:
    """Steps that add commute: none may be lost."""
    w: Any = tg.tensor(np.zeros(20000), requires_grad=True)

    @tg.compile
    def step(x: Any) -> Any:
        w.grad = None
        (w * x).sum().backward()
        with tg.no_grad():
            w.data = w.data + w.grad.data
        return w.sum().detach()

    ones = np.ones(20000)
    in_threads(4, lambda _: [step(ones) for _ in range(25)])
    assert same(w.data, np.full(20000, 100.0))


def test_threads_take_turns_in_programs_that_change_the_same() -> None:
    w: Any = tg.tensor(np.zeros(20000), requires_grad=True)
    v: Any = tg.tensor(np.zeros(20000))

    def added(x: Any) -> Any:
        with tg.no_grad():
            w.data = w.data + x.mean(axis=0)

    def added_to_both(x: Any) -> Any:
        added(x)
        v.data = v.data + x.mean(axis=0)

    one, both = tg.compile(added), tg.compile(added_to_both)
    batches = [np.ones((rows, 20000)) for rows in (1, 2)]
    for x in batches:
        one(x)
        both(x)

    def work(number: int) -> None:
        for _ in range(25):
            (one, both)[number // 2](batches[number % 2])

    in_threads(4, work)
    assert programs(one) == programs(both) == 2
    assert same(w.data, np.full(20000, 104.0))
    assert same(v.data, np.full(20000, 52.0))


def test_tasks_keep_their_own_switch() -> None:
    w = parameter()
    f = tg.compile(lambda x: (x * w).detach() * (2.0 if (x * w).requires_grad else 3.0), exact=True)

    async def recorded() -> None:
        for _ in range(3):
            assert same(f(X), tg.tensor(X * w.data * 2.0))
            await asyncio.sleep(0)

    async def plain() -> None:
        for _ in range(3):
            with tg.no_grad():
                await asyncio.sleep(0)
                assert same(f(X), tg.tensor(X * w.data * 3.0))

    async def both() -> None:
        await asyncio.gather(recorded(), plain())

    asyncio.run(both())


def test_another_thread_is_not_traced() -> None:
    """What another thread computes while a function is traced is none of the program's business."""
    w, seen = parameter(), []

    def elsewhere() -> None:
        seen.append((w * 3).data)

    @tg.compile
    def f(x: Any) -> Any:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        return x * 2

    f(X)
    assert all(same(x, np.array([1.5, 4.5, -3.0])) for x in seen)
    assert "3" not in f.source.split("with np.errstate")[1]


def test_a_compiled_function_that_is_dropped_frees_its_memory() -> None:
    w = parameter()
    f = tg.compile(descending(w))
    f(X)
    f(X)
    held = weakref.ref(next(iter(f.programs.values()))[0])
    del f
    gc.collect()
    assert held() is None


def test_the_cache_is_bounded() -> None:
    f = tg.compile(lambda x: x * 2)
    for n in range(80):
        assert same(f(np.ones(n)), np.full(n, 2.0))
        assert same(f(np.ones(3)), np.full(3, 2.0))
    assert len(f.programs) == 32
    assert any("(3,)" in made.arguments for made in f.report().programs)  # the least recently used one goes


def test_arguments_are_not_kept_alive() -> None:
    f = tg.compile(lambda x: (x * 2).sum())
    f(X)
    big = tg.tensor(np.ones(1000))
    held = weakref.ref(big)
    f(big)
    f(big)
    del big
    gc.collect()
    assert held() is None


# ---- what changes between calls ----


def test_a_hook_that_comes_later_is_not_passed_over() -> None:
    w = parameter()

    @tg.compile
    def step(x: Any) -> None:
        w.grad = None
        (w * x).sum().backward()

    step(X)
    step(X)
    hook = w.register_hook(lambda g: g * 100)
    with pytest.raises(CompileError, match="hook"):
        step(X)
    hook.remove()
    step(X)
    assert same(w.grad.data, X)


class Decaying(tg.optim.SGD):
    decay = 0.0

    def update(self, w: Any, g: Any, state: Any) -> Any:
        return super().update(w, g + self.decay * w, state)


def test_an_optimiser_that_changes_between_calls() -> None:
    def run(step_of: Any) -> list[Any]:
        w, v = parameter(), parameter(1.0, 1.0, 1.0)
        optimizer = Decaying([w], lr=0.1)

        def step(x: Any) -> Any:
            w.grad = v.grad = None
            loss = ((w * x + v) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss

        step = step_of(step)
        for n in range(8):
            if n == 3:
                optimizer.decay = 0.5
            if n == 5:
                optimizer.parameters.append(v)
                optimizer.state.append({})
            if n == 7:
                optimizer.parameters[0] = parameter(7.0, 7.0, 7.0)
            step(X)
        return [w.data, v.data]

    assert same(run(functools.partial(tg.compile, exact=True)), run(lambda f: f))


def test_what_another_thread_changes_while_tracing_is_not_taken_back() -> None:
    w = parameter()
    step = tg.compile(descending(w), exact=True)
    for _ in range(3):
        step(X)
    deep: Any = [[[]]]

    def predict(x: Any) -> Any:
        y = w.detach() * x
        if not deep[0][0]:
            thread = threading.Thread(target=lambda: [step(X), step(X)])
            thread.start()
            thread.join()
            deep[0][0].append(w._array.copy())
        return y

    compiled = tg.compile(predict)
    compiled(X)
    assert same(w.data, deep[0][0][0])
    step(X)
    after = w.data.copy()
    assert same(compiled(X), tg.tensor(after * X))
    assert same(w.data, after)


CALLS = [[[0]]]  # so deep that no program is for what it holds


class Scaled(tg.nn.Module):
    def __init__(self) -> None:
        self.w, self.scale = parameter(), 2.0
        self.inner: Any = None

    def __call__(self, x: Any) -> Any:
        CALLS[0][0][0] += 1
        y = (self.w * x * self.scale).sum()
        return y if self.inner is None else y + self.inner(x)


@pytest.mark.parametrize("how", ["closure", "argument", "method", "inner"])
def test_attributes_of_modules_that_change_between_calls(how: str) -> None:
    module = Scaled()
    outer = Scaled()
    outer.inner = module
    calls: dict[str, Any] = {
        "closure": tg.compile(lambda x: module(x), exact=True),
        "argument": functools.partial(tg.compile(lambda m, x: m(x), exact=True), module),
        "method": tg.compile(module.__call__, exact=True),
        "inner": tg.compile(lambda x: outer(x), exact=True),
    }
    eager = outer if how == "inner" else module
    with tg.no_grad():
        for change in ({}, {}, {"scale": 3.0}, {"w": parameter(1.0, 2.0, 3.0)}, {}, {"scale": 2}):
            vars(module).update(change)
            assert same(calls[how](X), eager(X))
            before = CALLS[0][0][0]
            calls[how](X)
            assert CALLS[0][0][0] == before  # it was replayed


def test_lists_of_parameters_in_modules_that_change_between_calls() -> None:
    class Several(tg.nn.Module):
        def __init__(self) -> None:
            self.weights, self.past = [parameter(), parameter()], [0.0]

        def __call__(self, x: Any) -> Any:
            return sum([(w * x).sum() for w in self.weights])

    module = Several()
    compiled = tg.compile(lambda x: module(x), exact=True)
    with tg.no_grad():
        for _ in range(3):
            assert same(compiled(X), module(X))
        assert programs(compiled) == 1
        module.weights[0] = parameter(9.0, 9.0, 9.0)
        assert same(compiled(X), module(X))
        module.weights.append(parameter(1.0, 1.0, 1.0))
        assert same(compiled(X), module(X))
        assert same(compiled(X), module(X))
    assert programs(compiled) == 3


def cubed(x: Any) -> Any:
    return tg.as_tensor(x) ** 3


def test_copies_make_programs_of_their_own() -> None:
    compiled = tg.compile(exact=True)(cubed)
    compiled(X)
    for other in (copy.deepcopy([compiled])[0], pickle.loads(pickle.dumps(compiled)), copy.copy(compiled)):
        assert repr(compiled) == "<compiled cubed, 1 program>"
        assert repr(other) == "<compiled cubed, 0 programs>"
        assert other.exact
        for _ in range(2):
            assert same(other(X), cubed(X))
    assert pickle.loads(pickle.dumps(halved)) is halved


@tg.compile
def halved(x: Any) -> Any:
    return x / 2
