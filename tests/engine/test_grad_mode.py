"""Where `no_grad` holds: in its own body, thread, task and generator, and nowhere else."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg


def records() -> bool:
    return bool((tg.tensor(1.0, requires_grad=True) * 2).requires_grad)


@pytest.fixture(autouse=True)
def recording_afterwards() -> Iterator[None]:
    yield
    assert records()


# Bodies.


def test_nothing_is_recorded_in_the_body_and_everything_after_it() -> None:
    with tg.no_grad():
        assert not records()
    assert records()


def test_a_tensor_made_under_no_grad_may_require_grad() -> None:
    with tg.no_grad():
        w = tg.tensor([1.0], requires_grad=True)
    assert w.requires_grad
    (w * 2).sum().backward()
    assert w.grad is not None


def test_the_switches_nest() -> None:
    with tg.no_grad():
        with tg.enable_grad():
            assert records()
            with tg.no_grad():
                assert not records()
            assert records()
        assert not records()
        with tg.no_grad():
            assert not records()
        assert not records()


def test_an_exception_restores_the_switch() -> None:
    with pytest.raises(ZeroDivisionError), tg.no_grad():
        raise ZeroDivisionError
    assert records()


def test_one_instance_may_be_entered_again_and_in_itself() -> None:
    switch = tg.no_grad()
    for _ in range(2):
        with switch:
            with switch:
                assert not records()
            assert not records()
        assert records()


def test_backward_works_under_no_grad() -> None:
    x = tg.tensor(3.0, requires_grad=True)
    y = x * x
    with tg.no_grad():
        y.backward()
    assert x.grad is not None
    assert float(x.grad) == 6.0
    assert not x.grad.requires_grad


def test_create_graph_records_under_no_grad_and_leaves_the_switch_alone() -> None:
    x = tg.tensor(3.0, requires_grad=True)
    y = x * x
    with tg.no_grad():
        (g,) = tg.autograd.grad(y, x, create_graph=True)
        assert not records()
    assert g is not None
    assert g.requires_grad


# Functions.


def test_a_decorated_function_does_not_record() -> None:
    @tg.no_grad()
    def predict(value: float, *, scale: float = 1.0) -> tuple[bool, float]:
        """Say what was recorded."""
        return records(), value * scale

    assert predict(2.0, scale=3.0) == (False, 6.0)
    assert predict.__name__ == "predict"
    assert predict.__doc__ == "Say what was recorded."
    assert records()


def test_a_decorated_method_does_not_record() -> None:
    class Model:
        @tg.no_grad()
        def predict(self) -> bool:
            return records()

    assert not Model().predict()


def test_a_decorated_function_that_raises_restores_the_switch() -> None:
    @tg.no_grad()
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert records()


def test_enable_grad_decorates_too() -> None:
    @tg.enable_grad()
    def compute() -> bool:
        return records()

    with tg.no_grad():
        assert compute()
        assert not records()


def test_a_decorated_function_may_recurse() -> None:
    @tg.no_grad()
    def depth(n: int) -> list[bool]:
        return [*depth(n - 1), records()] if n else [records()]

    assert depth(5) == [False] * 6


def test_the_decorator_works_without_parentheses() -> None:
    decorate: Any = tg.no_grad
    assert not decorate(records)()


# Generators.


@tg.no_grad()
def decorated_generator() -> Generator[bool, Any, str]:
    sent = yield records()
    while sent != "stop":
        sent = yield records()
    return "done"


def test_a_decorated_generator_holds_the_switch_only_while_it_runs() -> None:
    generator = decorated_generator()
    assert not next(generator)
    assert records()
    assert not generator.send("more")
    assert records()
    with pytest.raises(StopIteration) as stop:
        generator.send("stop")
    assert stop.value.value == "done"
    assert records()


def test_a_decorated_generator_is_lazy() -> None:
    started: list[int] = []

    @tg.no_grad()
    def generate() -> Iterator[int]:
        started.append(1)
        yield 1

    generator = generate()
    assert started == []
    assert next(generator) == 1


def test_the_consumers_own_switch_does_not_reach_into_a_decorated_generator() -> None:
    @tg.enable_grad()
    def generate() -> Iterator[bool]:
        yield records()
        yield records()

    with tg.no_grad():
        generator = generate()
        assert next(generator)
        assert not records()
    assert next(generator)


def test_what_is_thrown_into_a_decorated_generator_arrives_there() -> None:
    seen: list[bool] = []

    @tg.no_grad()
    def generate() -> Iterator[str]:
        try:
            yield "first"
        except KeyError:
            seen.append(records())
            yield "caught"

    generator: Any = generate()
    assert next(generator) == "first"
    assert generator.throw(KeyError("x")) == "caught"
    assert seen == [False]
    with pytest.raises(ZeroDivisionError):
        generator.throw(ZeroDivisionError)
    assert records()


def test_closing_a_decorated_generator_runs_its_clean_up_without_recording() -> None:
    seen: list[bool] = []

    @tg.no_grad()
    def generate() -> Iterator[int]:
        try:
            yield 1
        finally:
            seen.append(records())

    generator: Any = generate()
    next(generator)
    generator.close()
    assert seen == [False]
    assert records()


def _in_thread(function: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(timeout=20)


def test_a_decorated_generator_may_be_closed_in_another_thread() -> None:
    generator = decorated_generator()
    next(generator)

    def close() -> bool:
        generator.close()
        return records()

    assert _in_thread(close)
    assert records()


def test_a_decorated_generator_may_move_from_thread_to_thread() -> None:
    generator = decorated_generator()
    assert not next(generator)
    assert _in_thread(lambda: (next(generator), records())) == (False, True)
    assert not next(generator)


def test_a_generator_with_a_body_under_no_grad_may_be_closed_elsewhere() -> None:
    def generate() -> Iterator[bool]:
        with tg.no_grad():
            yield records()

    generator: Any = generate()

    def start() -> bool:
        return bool(next(generator))

    assert not _in_thread(start)
    generator.close()
    assert records()


def test_a_context_manager_made_from_a_generator_holds_the_switch() -> None:
    @contextmanager
    def evaluation() -> Iterator[None]:
        with tg.no_grad():
            yield

    with evaluation():
        assert not records()
    assert records()


def test_delegating_to_a_decorated_generator_works() -> None:
    def outer() -> Generator[bool, Any, str]:
        result = yield from decorated_generator()
        yield records()
        return result

    generator = outer()
    assert not next(generator)
    assert generator.send("stop")


# Threads.


def test_no_grad_in_one_thread_does_not_reach_another() -> None:
    entered, checked = threading.Event(), threading.Event()
    found: list[bool] = []

    def other() -> None:
        entered.wait(20)
        found.append(records())
        with tg.enable_grad():
            found.append(records())
        checked.set()

    thread = threading.Thread(target=other)
    thread.start()
    with tg.no_grad():
        entered.set()
        assert checked.wait(20)
        assert not records()
    thread.join(20)
    assert found == [True, True]


def test_a_thread_started_under_no_grad_records() -> None:
    with tg.no_grad():
        assert _in_thread(records)


def test_switches_that_overlap_in_time_in_two_threads_stay_apart() -> None:
    both_in, first_out = threading.Barrier(2, timeout=20), threading.Event()
    after: dict[str, bool] = {}

    def first() -> None:
        with tg.no_grad():
            both_in.wait()
        after["first"] = records()
        first_out.set()

    def second() -> None:
        with tg.no_grad():
            both_in.wait()
            first_out.wait(20)
            after["inside second"] = records()
        after["second"] = records()

    threads = [threading.Thread(target=f) for f in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert after == {"first": True, "inside second": False, "second": True}


def test_one_instance_shared_by_two_threads_restores_each_threads_own_value() -> None:
    shared = tg.no_grad()
    inside, outer_inside = threading.Event(), threading.Event()
    found: list[bool] = []

    def recorder() -> None:
        with shared:
            inside.set()
            outer_inside.wait(20)
        found.append(records())

    thread = threading.Thread(target=recorder)
    thread.start()
    with tg.no_grad():
        inside.wait(20)
        with shared:
            outer_inside.set()
            thread.join(20)
        assert not records()
    assert found == [True]


def test_threads_differentiate_their_own_graphs_side_by_side() -> None:
    def work(seed: int) -> bool:
        values = np.random.default_rng(seed).normal(size=20)
        for _ in range(50):
            x = tg.tensor(values, requires_grad=True)
            h = x
            for _ in range(20):
                h = tg.tanh(h * 1.01)
            h.sum().backward()
            with tg.no_grad():
                if records():
                    return False
            if x.grad is None or x.grad.shape != (20,):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


# asyncio.


def test_no_grad_in_one_task_does_not_reach_another() -> None:
    async def silent(entered: asyncio.Event, checked: asyncio.Event) -> bool:
        with tg.no_grad():
            entered.set()
            await checked.wait()
            return records()

    async def loud(entered: asyncio.Event, checked: asyncio.Event) -> bool:
        await entered.wait()
        found = records()
        checked.set()
        return found

    async def main() -> list[bool]:
        entered, checked = asyncio.Event(), asyncio.Event()
        return list(await asyncio.gather(silent(entered, checked), loud(entered, checked)))

    assert asyncio.run(main()) == [False, True]


def test_a_decorated_coroutine_does_not_record_and_does_not_leak() -> None:
    @tg.no_grad()
    async def silent(turns: list[str]) -> list[bool]:
        found = [records()]
        turns.append("silent")
        await asyncio.sleep(0)
        return [*found, records()]

    async def loud(turns: list[str]) -> list[bool]:
        found = [records()]
        turns.append("loud")
        await asyncio.sleep(0)
        return [*found, records()]

    async def main() -> list[list[bool]]:
        turns: list[str] = []
        found = list(await asyncio.gather(silent(turns), loud(turns), silent(turns)))
        await silent(turns)
        assert records()
        return found

    assert asyncio.run(main()) == [[False, False], [True, True], [False, False]]


def test_a_decorated_coroutine_function_still_is_one() -> None:
    @tg.no_grad()
    async def silent() -> None:
        """Do nothing."""

    assert inspect.iscoroutinefunction(silent)
    assert silent.__name__ == "silent"


def test_a_cancelled_coroutine_restores_the_switch() -> None:
    @tg.no_grad()
    async def forever() -> None:
        await asyncio.sleep(60)

    async def main() -> bool:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(forever(), 0.01)
        return records()

    assert asyncio.run(main())


def test_a_decorated_asynchronous_generator_does_not_record_while_it_runs() -> None:
    @tg.no_grad()
    async def generate() -> AsyncIterator[bool]:
        yield records()
        await asyncio.sleep(0)
        yield records()

    async def main() -> list[bool]:
        found = []
        async for value in generate():
            found += [value, records()]
        return found

    assert asyncio.run(main()) == [False, True, False, True]


def test_a_task_inherits_the_switch_of_the_task_that_started_it() -> None:
    async def child() -> bool:
        return records()

    async def main() -> tuple[bool, bool]:
        with tg.no_grad():
            inside = asyncio.create_task(child())
            in_worker = await asyncio.to_thread(records)
        return await inside, in_worker

    assert asyncio.run(main()) == (False, False)


def test_an_error_thrown_into_a_decorated_async_generator_reaches_it() -> None:
    @tg.no_grad()
    async def numbers() -> AsyncIterator[str]:
        try:
            yield "first"
        except ValueError:
            yield "caught"

    async def consume() -> list[str]:
        generator: Any = numbers()
        return [await anext(generator), await generator.athrow(ValueError("x"))]

    assert asyncio.run(consume()) == ["first", "caught"]
