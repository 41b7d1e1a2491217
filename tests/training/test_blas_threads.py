"""How many threads BLAS has while a network trains, and that it gets its own number back, whatever happens."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.training import blas_threads, steps
from tinygrad_nn.training.blas_threads import VARIABLE, limited_blas, threads_for

threadpoolctl: Any = pytest.importorskip("threadpoolctl")
LAYERS = [
    {"input_dim": 2, "output_dim": 3, "activation": "relu"},
    {"input_dim": 3, "output_dim": 1, "activation": "sigmoid"},
]


def now() -> int:
    (number,) = {found["num_threads"] for found in threadpoolctl.threadpool_info() if found["user_api"] == "blas"}
    return int(number)


@pytest.fixture(autouse=True)
def _three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """BLAS has a number of threads that nobody else would set."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with threadpoolctl.threadpool_limits(3, user_api="blas"):
        assert now() == 3
        yield


def trained(**options: Any) -> list[int]:
    """Return the threads that each epoch's callback finds."""
    X, y = tg.data.make_moons(20)
    found: list[int] = []
    network = tg.DenseNetwork(LAYERS)
    tg.train(network, X, y, 3, progress=False, on_epoch=lambda epoch, history: found.append(now()), **options)
    return found


def test_small_products_train_with_one_thread_and_give_the_others_back() -> None:
    assert trained() == [1, 1, 1]
    assert now() == 3


@pytest.mark.parametrize(("rows", "threads"), [(900, 1), (2**24 // 6, 1), (2**24 // 6 + 1, None)])
def test_the_largest_product_decides(rows: int, threads: int | None) -> None:
    matrices = [tg.zeros((3, 2)), tg.zeros((2, 2)), tg.zeros(10**6)]
    assert threads_for(rows, matrices) == threads


def test_large_products_are_left_alone() -> None:
    found: list[int] = []
    wide = tg.DenseNetwork([{"input_dim": 4200, "output_dim": 4000, "activation": "sigmoid"}])
    X, y = np.zeros((1, 4200)), np.zeros((1, 4000))
    tg.train(wide, X, y, 1, progress=False, on_epoch=lambda epoch, history: found.append(now()))
    assert found == [3]


def test_batches_decide_and_not_how_much_is_validated() -> None:
    found: list[int] = []
    wide = tg.DenseNetwork([{"input_dim": 420, "output_dim": 400, "activation": "sigmoid"}])
    X, y = np.zeros((100, 420)), np.zeros((100, 400))
    for batch_size in (10, 100):
        options: Any = {"batch_size": batch_size, "validation": (X, y), "progress": False}
        tg.train(wide, X, y, 1, on_epoch=lambda epoch, history: found.append(now()), **options)
    assert found == [1, 3]


def test_the_argument_counts_before_the_environment_and_that_before_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained(blas_threads=2) == [2, 2, 2]
    monkeypatch.setenv(VARIABLE, "4")
    assert trained() == [4, 4, 4]
    assert trained(blas_threads=2) == [2, 2, 2]
    assert now() == 3


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (0, ValueError, "blas_threads must be a whole number, 1 or more, got 0"),
        (1.5, TypeError, r"blas_threads must be a whole number, 1 or more, got 1\.5"),
        ("many", ValueError, f"{VARIABLE} must be a whole number, 1 or more, got 'many'; set another, or unset it"),
        ("0", ValueError, f"{VARIABLE} must be a whole number, 1 or more, got '0'; set another, or unset it"),
    ],
)
def test_what_is_no_number_of_threads_is_refused_before_training(
    value: Any, kind: type, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(value, str):
        monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(kind, match=words):
        trained(**({} if isinstance(value, str) else {"blas_threads": value}))
    assert now() == 3


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_threads_are_given_back_after_an_exception(error: type[BaseException]) -> None:
    with pytest.raises(error), limited_blas(1, None):
        raise error
    assert now() == 3


def test_of_nested_bodies_the_innermost_counts() -> None:
    found: list[int] = []
    with limited_blas(None, 1):
        for inner in (2, None):
            with limited_blas(inner, None):
                found.append(now())
        found += trained(blas_threads=2)[:1]
        found.append(now())
    assert [*found, now()] == [2, 3, 2, 1, 3]


def test_of_threads_at_once_the_smallest_number_counts_and_the_last_gives_back() -> None:
    entered, left = threading.Event(), threading.Event()

    def other() -> None:
        with limited_blas(None, 1):
            entered.set()
            left.wait()

    thread = threading.Thread(target=other)
    with limited_blas(2, None):
        thread.start()
        entered.wait()
        assert now() == 1
        left.set()
        thread.join()
        assert now() == 2
    assert now() == 3


@pytest.mark.parametrize("number", [np.int64(2), 10**20])
def test_any_whole_number_will_do(number: Any) -> None:
    with limited_blas(number, None):
        assert now() >= 2
    assert now() == 3


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert trained() == [1, 1, 1]


def test_validation_data_count_as_a_batch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas_threads, "SMALL", 200)
    assert trained() == [1, 1, 1]
    assert trained(validation=tg.data.make_moons(50)) == [3, 3, 3]


def test_many_threads_at_once_give_back_what_was_before() -> None:
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(50):
            with limited_blas(None, 1):
                pass

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert now() == 3
    assert blas_threads._requests == {}


def _in_a_child(queue: Any) -> None:
    queue.put((now(), len(blas_threads._requests)))
    with limited_blas(None, 1):
        queue.put(now())
    queue.put(now())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_keeps_only_what_its_own_thread_asked_for() -> None:
    """A limit of another thread would never be given back there."""
    context = multiprocessing.get_context("fork")
    entered, done = threading.Event(), threading.Event()

    def other() -> None:
        with limited_blas(None, 1):
            entered.set()
            done.wait()

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait()
    queue = context.Queue()
    child = context.Process(target=_in_a_child, args=(queue,))
    child.start()
    found = [queue.get(timeout=60) for _ in range(3)]
    child.join()
    done.set()
    thread.join()
    assert found == [(3, 0), 1, 3]
    assert now() == 3


def test_workers_compute_with_one_thread_each_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas_threads, "SMALL", 0)
    monkeypatch.setenv(VARIABLE, "4")
    assert trained(workers=2) == [4, 4, 4]  # of few rows
    monkeypatch.setattr(steps, "TILE", 10)
    assert trained(workers=2) == [1, 1, 1]
    monkeypatch.setattr(blas_threads, "_controller", lambda: None)
    with pytest.raises(ImportError, match="-m pip install threadpoolctl"):
        trained(workers=2)


def test_without_threadpoolctl_the_rule_does_nothing_and_a_number_asked_for_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blas_threads, "_controller", lambda: None)
    assert trained() == [3, 3, 3]
    with pytest.raises(ImportError, match=r"takes threadpoolctl; install it with: .* -m pip install threadpoolctl"):
        trained(blas_threads=2)
