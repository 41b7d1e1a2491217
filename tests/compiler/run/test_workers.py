"""Large batches in tiles on threads: the step as a whole, up to rounding, or an error that says why not."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError

ROWS = 9001  # three tiles, of two sizes


def batch(dtype: str = "float64", rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((rows, 2)).astype(dtype)
    return X, (X[:, :1] > X[:, 1:]).astype(dtype)


def trained(workers: int | None, dtype: str, steps: int = 4) -> list[np.ndarray]:
    layers = [
        {"input_dim": 2, "output_dim": 7, "activation": "relu"},
        {"input_dim": 7, "output_dim": 5, "activation": "tanh"},
        {"input_dim": 5, "output_dim": 1, "activation": "sigmoid"},
    ]
    network = tg.nn.DenseNetwork(layers, seed=2, dtype=dtype)
    optimizer = tg.optim.Adam(network.parameters(), lr=0.05)

    def step(X: Any, y: Any) -> Any:
        loss = tg.binary_cross_entropy_with_logits(network.logits(X), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    run = tg.compile(step, workers=workers)
    losses = [run(*batch(dtype)).data for _ in range(steps)]
    gradients = [p.grad.data for p in network.parameters() if p.grad is not None]
    assert len(gradients) == 6
    return [np.stack(losses), *[p.data for p in network.parameters()], *gradients]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-4)])
def test_tiles_add_up_to_the_whole(dtype: str, tolerance: float) -> None:
    for whole, split in zip(trained(None, dtype), trained(2, dtype), strict=True):
        assert split.dtype == whole.dtype == np.dtype(dtype)
        np.testing.assert_allclose(split, whole, rtol=0, atol=tolerance * np.abs(whole).max())


def test_the_same_number_of_workers_gives_the_same_bits() -> None:
    first, again = trained(2, "float32"), trained(2, "float32")
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_results_that_hold_the_batch_are_whole() -> None:
    w = np.array([[0.5, -1.0], [2.0, 0.25]])

    def function(X: Any) -> Any:
        z = tg.exp(tg.as_tensor(X) @ w)
        return z, z.sum(), z.T, (z / z.sum(axis=1, keepdims=True)).max(axis=1)

    split = tg.compile(function, workers=3)
    X, _ = batch()
    split(X)
    for a, b in zip(split(X + 0.1), function(X + 0.1), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12)


def test_a_classifier_is_trained_in_tiles() -> None:
    def trained(workers: int | None) -> list[np.ndarray]:
        layers = [
            {"input_dim": 2, "output_dim": 7, "activation": "relu"},
            {"input_dim": 7, "output_dim": 5, "activation": "softmax"},
        ]
        network = tg.nn.DenseNetwork(layers, seed=2)
        optimizer = tg.optim.SGD(network.parameters(), lr=0.5, momentum=0.9)

        @tg.compile(workers=workers)
        def step(X: Any, labels: Any) -> Any:
            loss = tg.cross_entropy(network.logits(X), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        X, _ = batch()
        labels = np.arange(ROWS) ** 2 % 5
        losses = [step(np.roll(X, n, axis=0), np.roll(labels, n)).item() for n in range(4)]
        assert losses[3] < losses[0]
        with pytest.raises(ValueError, match=r"label 5 at \(8000,\) names no class"):
            step(X, np.where(np.arange(ROWS) == 8000, 5, labels))
        return [np.array(losses), *[p.data for p in network.parameters()]]

    for whole, split in zip(trained(None), trained(2), strict=True):
        np.testing.assert_allclose(split, whole, rtol=0, atol=1e-12 * np.abs(whole).max())


def test_entries_are_picked_from_rows_only_where_places_are_judged() -> None:
    starts = np.arange(40) * 2

    def picked(X: Any, places: Any) -> Any:
        return tg.as_tensor(X).reshape(-1)[starts + places].sum()

    with pytest.raises(CompileError, match=r"np.reshape at .*test_workers\.py.* couples the samples"):
        tg.compile(picked, workers=2)(batch(rows=40)[0], np.zeros(40, int))


def test_what_all_samples_have_in_common_is_not_cut() -> None:
    def function(X: Any, scale: Any, weights: Any) -> Any:
        return tg.grad(lambda w: (scale * (tg.as_tensor(X) @ w) ** 2).mean())(weights)

    X, _ = batch(rows=600)
    split = tg.compile(function, workers=2)
    for scale in (1.5, 0.5):
        weights = np.array([scale, -1.0])
        np.testing.assert_allclose(split(X, scale, weights).data, function(X, scale, weights).data, rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda X: tg.as_tensor(X) - tg.as_tensor(X).mean(axis=0), "np.subtract"),
        (lambda X: tg.cumsum(tg.as_tensor(X), axis=0), "np.add.accumulate"),
        (lambda X: tg.as_tensor(X).max(), "np.maximum.reduce"),
        (lambda X: tg.as_tensor(X)[::-1], "an index"),
        (lambda X: tg.as_tensor(X) @ tg.as_tensor(X).T, "np.matmul"),
        (lambda X: tg.sort(tg.as_tensor(X), axis=0), "np.argsort"),
    ],
)
def test_what_couples_samples_is_named(function: Any, name: str) -> None:
    with pytest.raises(CompileError, match=rf"{name} at .*test_workers\.py.* couples the samples"):
        tg.compile(function, workers=2)(batch(rows=40)[0])


def test_sums_are_computed_with_once_they_are_whole() -> None:
    def function(X: Any) -> Any:
        second = tg.as_tensor(X).T @ X
        return tg.linalg.solve(second, np.ones(2)), tg.linalg.slogdet(second)[1], tg.where(second > 0, second, 0)

    split = tg.compile(function, workers=2)
    X, _ = batch()
    split(X)
    for a, b in zip(split(1.5 * X), function(1.5 * X), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-10)


def test_a_constant_that_is_cut_is_not_read_whole() -> None:
    constant = np.linspace(0.0, 1.0, 300)

    def by_sample(x: Any, y: Any) -> Any:
        return (tg.as_tensor(x) * constant).sum() + (y * tg.as_tensor(constant)).sum()

    split = tg.compile(by_sample, workers=2)
    for y in (2.0, 3.0):
        np.testing.assert_allclose(split(np.ones(300), y).data, by_sample(np.ones(300), y).data, rtol=1e-12)

    def as_a_matrix(x: Any, y: Any) -> Any:
        return (tg.as_tensor(x) * constant).sum() + tg.linalg.norm(y * constant.reshape(15, 20))

    split = tg.compile(as_a_matrix, workers=2)
    for y in (2.0, 3.0):
        np.testing.assert_allclose(split(np.ones(300), y).data, as_a_matrix(np.ones(300), y).data, rtol=1e-12)


def test_inputs_unlike_the_first_are_computed_as_ever() -> None:
    def function(X: Any) -> Any:
        return tg.grad(lambda X: (tg.where(X > 0, tg.sqrt(abs(X)), 0)).sum())(X)

    split = tg.compile(function, workers=2)
    X = np.linspace(-1, 1, 501)
    split(X + 0.01)
    X[3] = 0.0
    np.testing.assert_array_equal(split(X).data, function(X).data)


def test_a_batch_of_one_is_not_split() -> None:
    split = tg.compile(lambda X: tg.exp(tg.as_tensor(X)).sum(), workers=2)
    for rows in (5, 1, 1, 4):
        X = np.arange(2.0 * rows).reshape(rows, 2)
        np.testing.assert_allclose(split(X).data, math.fsum(np.exp(X).flat), rtol=1e-12)


def test_misuse_says_what_to_write() -> None:
    with pytest.raises(ValueError, match="leave out exact=True"):
        tg.compile(lambda X: X, exact=True, workers=2)
    with pytest.raises(ValueError, match="at least 1"):
        tg.compile(lambda X: X, workers=0)
    with pytest.raises(CompileError, match="no argument has rows"):
        tg.compile(lambda x: x * 2, workers=2)(3.0)


def test_features_are_joined() -> None:
    def function(X: Any) -> Any:
        return tg.value_and_grad(lambda X: (tg.tanh(np.concatenate([X, X**2], axis=1)) @ np.arange(4.0)).mean())(X)

    split = tg.compile(function, workers=2)
    X, _ = batch()
    split(X)
    for a, b in zip(split(X + 0.5), function(X + 0.5), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-10, atol=1e-16)
    with pytest.raises(CompileError, match=r"np\.concatenate"):
        tg.compile(lambda X: np.concatenate([tg.as_tensor(X), X], axis=0).sum(), workers=2)(X)


def test_programs_share_their_threads() -> None:
    before = threading.active_count()
    split = tg.compile(lambda X: (tg.as_tensor(X) * 2).sum(), workers=3)
    for rows in range(10, 16):
        assert split(np.ones((rows, 2))).item() == split(np.ones((rows, 2))).item() == 4 * rows
    assert len(split.programs) == 6
    assert threading.active_count() <= before + 3
