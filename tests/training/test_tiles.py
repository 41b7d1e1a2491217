"""Large batches in tiles on threads: the same training up to rounding, the same bits each time, whole steps only."""

import _thread
import math
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from article import layers
from small import data

import tinygrad_nn as tg
from tinygrad_nn.training import steps
from tinygrad_nn.training.steps import Programs

pytest.importorskip("threadpoolctl")
FEW = 8


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let tiles have 8 rows at least, so that small batches are split."""
    monkeypatch.setattr(steps, "TILE", FEW)
    return FEW


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Let an interrupt be heard, also where the tests run in a shell's background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def network_for(activation: str, outputs: int, dtype: str = "float64") -> tg.DenseNetwork:
    return tg.DenseNetwork(layers([2, 7, 5, outputs], ["relu", "tanh", activation]), seed=2, dtype=dtype)


def labels_for(activation: str, outputs: int, X: Any) -> Any:
    positive = (X[:, :1] > X[:, 1:]).astype(float)
    return positive[:, 0].astype(int) if activation == "softmax" else np.repeat(positive, outputs, axis=1)


def trained(workers: int | None, activation: str = "sigmoid", outputs: int = 1, **options: Any) -> Any:
    """Return the history and the parameters of a training on 100 rows, or as many as there are in `X`."""
    X = options.pop("X", data(100)[0])
    network = network_for(activation, outputs, options.pop("dtype", "float64"))
    make = options.pop("optimizer", None)
    optimizer = None if make is None else make(network.parameters())
    history = tg.train(
        network, X, labels_for(activation, outputs, X), progress=False, workers=workers, optimizer=optimizer,
        **{"epochs": 4, "compile": True} | options,
    )  # fmt: skip
    return history, [p.data for p in network.parameters()], network


def close(one: Any, other: Any, dtype: str = "float64") -> bool:
    eps = 200 * float(np.finfo(dtype).eps)
    (first, p, _), (second, q, _) = one, other
    return (
        first.accuracy == pytest.approx(second.accuracy, nan_ok=True)
        and first.cost == pytest.approx(second.cost, rel=eps)
        and all(np.allclose(a, b, rtol=eps, atol=eps) for a, b in zip(p, q, strict=True))
    )


def same_bits(one: Any, other: Any) -> bool:
    return one[0].cost == other[0].cost and all(map(np.array_equal, one[1], other[1]))


@pytest.mark.usefixtures("few_rows")
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize(
    ("activation", "outputs", "loss"),
    [
        ("sigmoid", 1, None), ("sigmoid", 3, None), ("softmax", 3, None), ("identity", 2, None),
        ("sigmoid", 2, tg.binary_cross_entropy), ("tanh", 3, tg.mse_loss), ("softmax", 2, tg.cross_entropy),
    ],
)  # fmt: skip
def test_tiles_train_as_the_whole_batch_does(workers: int, activation: str, outputs: int, loss: Any) -> None:
    whole = trained(None, activation, outputs, loss=loss)
    assert close(trained(workers, activation, outputs, loss=loss, compile=None), whole)


@pytest.mark.usefixtures("few_rows")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", [lambda p: tg.optim.SGD(p, 0.1, momentum=0.9), lambda p: tg.optim.Adam(p, 0.01)])
def test_batches_with_a_small_rest_and_every_optimiser(dtype: str, optimizer: Any) -> None:
    options = {"batch_size": 31, "optimizer": optimizer, "dtype": dtype, "clip_norm": 0.05}
    tiled = trained(2, **options)
    assert close(tiled, trained(None, **options), dtype)
    assert all(p.dtype == dtype for p in tiled[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_of_many_rows_are_split_into_tiles_of_two_sizes(dtype: str) -> None:
    X = data(9001)[0]
    tiled = trained(2, X=X, dtype=dtype)
    assert close(tiled, trained(None, X=X, dtype=dtype), dtype)
    assert same_bits(tiled, trained(2, X=X, dtype=dtype))


def test_batches_of_few_rows_are_not_split(monkeypatch: pytest.MonkeyPatch) -> None:
    X = data(2 * 4000 - 1)[0]
    monkeypatch.setattr(steps, "ThreadPoolExecutor", None)
    assert same_bits(trained(2, X=X, blas_threads=None, epochs=1), trained(None, X=X, epochs=1))


@pytest.mark.usefixtures("few_rows")
def test_a_training_in_tiles_goes_on_from_its_checkpoint_bit_for_bit(tmp_path: pathlib.Path) -> None:
    options: dict[str, Any] = {"batch_size": 31, "optimizer": lambda p: tg.optim.Adam(p, 0.01), "resume": True}
    whole = trained(2, **options, epochs=5, checkpoint=tmp_path / "whole")
    trained(2, **options, epochs=2, checkpoint=tmp_path / "broken")
    assert same_bits(trained(2, **options, epochs=5, checkpoint=tmp_path / "broken"), whole)


@pytest.mark.usefixtures("few_rows")
def test_what_callbacks_change_is_seen() -> None:
    def run(workers: int | None) -> Any:
        optimizers: list[Any] = []

        def make(parameters: Any) -> Any:
            optimizers.append(tg.optim.SGD(parameters, 0.1, momentum=0.5))
            return optimizers[0]

        networks: list[Any] = []
        X = data(100)[0]

        def change(epoch: int, history: tg.History) -> None:
            network = networks[0]
            if epoch == 0:
                optimizers[0].lr = 0.3
            if epoch == 1:
                network.values["W1"] = tg.tensor(network.values["W1"].data * 2, requires_grad=True)
            if epoch == 2:
                network.load_state_dict({name: x / 2 for name, x in network.state_dict().items()})
                optimizers[0].load_state_dict(tg.optim.SGD(optimizers[0].parameters, 0.2, momentum=0.1).state_dict())
            if epoch == 3:
                network.values["b2"].requires_grad = False
            if epoch == 4:
                X[:] *= 2

        network = network_for("sigmoid", 1)
        networks.append(network)
        optimizer = make(network.parameters())
        history = tg.train(
            network, X, labels_for("sigmoid", 1, X), 7, progress=False, optimizer=optimizer, workers=workers,
            on_epoch=change, compile=None if workers else False,
        )  # fmt: skip
        return history, [p.data for p in network.values.values()], network

    assert close(run(2), run(None))


@pytest.mark.usefixtures("few_rows")
def test_a_hook_is_given_the_gradient_of_the_whole_batch_once() -> None:
    X = data(100)[0]
    found: list[Any] = []
    for workers in (None, 2):
        network = network_for("sigmoid", 1)
        network.values["W2"].register_hook(lambda g: found.append(g.data.copy()))
        tg.train(network, X, labels_for("sigmoid", 1, X), 1, progress=False, workers=workers)
    whole, tiled = found
    assert np.allclose(whole, tiled, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"loss": lambda p, y: ((p - y) ** 2).mean()}, ValueError, "it takes a tg.nn.DenseNetwork and one of"),
        ({"accumulate": 2}, ValueError, "without weights, accumulate= and"),
        ({"compile": False}, ValueError, "runs compiled programs; leave out compile=False"),
        ({"blas_threads": 2}, ValueError, "one thread of BLAS; pass workers= or blas_threads="),
        ({"workers": 0}, ValueError, "workers must be a whole number, 1 or more, got 0"),
        ({"workers": "2"}, TypeError, "workers must be a whole number, 1 or more, got '2'"),
        ({"workers": True}, TypeError, "workers must be a whole number"),
    ],
)
def test_what_is_not_for_tiles_is_refused(options: dict[str, Any], kind: type, words: str) -> None:
    X, y = data()
    with pytest.raises(kind, match=words):
        tg.train(network_for("sigmoid", 1), X, y, 1, progress=False, **{"workers": 2} | options)


def test_ignored_labels_are_refused() -> None:
    X, y = np.ones((4, 2)), np.array([0, 2, -100, 1])
    for labels in (y, abs(y) % 3):
        network = network_for("identity", 3)
        if labels is y:
            with pytest.raises(ValueError, match="accumulate= and ignored labels"):
                tg.train(network, X, labels, 1, loss=tg.cross_entropy, progress=False, workers=2)
        else:
            tg.train(network, X, labels, 1, loss=tg.cross_entropy, progress=False, workers=2)


def test_a_network_of_ones_own_is_refused() -> None:
    class Own(tg.DenseNetwork):
        pass

    with pytest.raises(ValueError, match=r"it takes a tg\.nn\.DenseNetwork and one of"):
        tg.train(Own(layers([2, 1], ["sigmoid"])), *data(), 1, progress=False, workers=2)


# ---- a step by itself: two parameters, and gradients that take their time ----


class Slow:
    """Returns the sums of X and y as gradients, and their size as a cost, after some time that differs."""

    def __init__(self, seed: int = 0) -> None:
        self.generator, self.lock, self.calls = np.random.default_rng(seed), threading.Lock(), 0

    def __call__(self, parameters: Any, X: Any, y: Any) -> Any:
        with self.lock:
            self.calls += 1
            pause = self.generator.uniform(0, 0.004)
        time.sleep(pause)
        self.meanwhile(X)
        return (tg.tensor(float(X.mean())), tg.tensor(X[:, 0])), {"w": tg.tensor(X.mean(0)), "v": tg.tensor(y.mean(0))}

    def meanwhile(self, X: Any) -> None:
        """Do nothing else."""


def made() -> tuple[dict[str, tg.Tensor], tg.optim.SGD]:
    parameters = {"w": tg.tensor([1.0, 2.0], requires_grad=True), "v": tg.tensor([3.0], requires_grad=True)}
    return parameters, tg.optim.SGD(parameters.values(), 1.0, momentum=0.5)


def programs(gradient: Any, optimizer: Any) -> Programs:
    found = Programs(None, None, optimizer, None, exact=True)
    found.gradient = gradient
    return found


X, Y = np.random.default_rng(5).normal(size=(101, 2)), np.random.default_rng(6).normal(size=(101, 1))


@pytest.mark.usefixtures("few_rows")
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_tiles_are_weighted_by_their_rows_and_added_in_an_order_of_their_own(workers: int) -> None:
    results = []
    for seed in range(3):
        parameters, optimizer = made()
        cost, scores = programs(Slow(seed), optimizer).update_in_tiles(parameters, workers, X, Y)
        assert np.array_equal(scores.data, X[:, 0])
        assert cost.item() == pytest.approx(math.fsum(X.flat) / X.size, rel=1e-13)
        expected = [[math.fsum(column) / 101 for column in x.T] for x in (X, Y)]
        for p, g in zip(parameters.values(), expected, strict=True):
            assert p.grad is not None
            assert p.grad.data == pytest.approx(np.array(g), rel=1e-13)
        results.append((cost.item(), [p.data.tolist() for p in parameters.values()]))
    assert results[0] == results[1] == results[2]


class Failing(Slow):
    """Fails on the tile that holds the last row."""

    def __init__(self, error: BaseException | None) -> None:
        super().__init__()
        self.error = error

    def meanwhile(self, X: Any) -> None:
        if X[-1, 0] == globals()["X"][-1, 0]:
            if self.error is None:
                _thread.interrupt_main()
            else:
                raise self.error


@pytest.mark.usefixtures("few_rows", "interrupts")
@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), None])
@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_and_an_interrupt_leave_no_thread_and_no_part_of_a_step(error: Any, workers: int) -> None:
    parameters, optimizer = made()
    threads, gradient = threading.active_count(), Failing(error)
    with pytest.raises(KeyboardInterrupt if error is None else ZeroDivisionError):
        programs(gradient, optimizer).update_in_tiles(parameters, workers, X, Y)
        time.sleep(1)  # the interrupt comes at the latest here
    calls = gradient.calls
    assert threading.active_count() == threads
    time.sleep(0.02)
    assert gradient.calls == calls
    if parameters["w"].grad is None:
        assert [p.data.tolist() for p in parameters.values()] == [[1.0, 2.0], [3.0]]
        assert optimizer.state == [{}, {}]
    else:  # the interrupt came when all was added
        assert error is None
        assert all(entry["velocity"].any() for entry in optimizer.state)


@pytest.mark.usefixtures("few_rows", "interrupts")
def test_an_interrupt_within_the_step_leaves_it_whole(capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupted(tg.optim.SGD):
        def update(self, w: Any, g: Any, state: Any) -> Any:
            _thread.interrupt_main()
            time.sleep(0.01)
            return super().update(w, g, state)

    rows = data(100)[0]
    network, twin = network_for("sigmoid", 1), network_for("sigmoid", 1)
    y = labels_for("sigmoid", 1, rows)
    history = tg.train(network, rows, y, 3, progress=False, workers=2, optimizer=Interrupted(network.parameters(), 0.1))
    assert len(history) == 0
    assert "stopped after 0 of 3 epochs" in capsys.readouterr().err
    tg.train(twin, rows, y, 1, 0.1, progress=False, workers=2)
    assert all(np.array_equal(a.data, b.data) for a, b in zip(network.parameters(), twin.parameters(), strict=True))


FORKING = """
import os
import numpy as np
import tinygrad_nn as tg
X, y = tg.data.make_moons(9000)
network = tg.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": "sigmoid"}])
children = []

def fork(epoch, history):
    if epoch == 1:
        children.append(os.fork())

history = tg.train(network, X, y, 4, progress=False, workers=2, on_epoch=fork)
if children[0]:
    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
    print(len(history))
else:
    os._exit(7 if len(history) == 4 else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_trains_on_by_threads_of_its_own() -> None:
    command = [sys.executable, "-c", FORKING]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "4\n", done.stderr
