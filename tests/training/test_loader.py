"""Datasets and their batches: each sample once an epoch, in an order that a seed or a state repeats."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optional import pytorch

import tinygrad_nn as tg
from tinygrad_nn.data import DataLoader, Subset, TensorDataset, collate, random_split
from tinygrad_nn.errors import DataError


def rows(n: int) -> TensorDataset:
    """Return n samples: three numbers, and which sample it is."""
    return TensorDataset(np.arange(3.0 * n).reshape(n, 3), np.arange(n))


class Squares:
    """A dataset as users write one."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> dict[str, Any]:
        assert type(i) is int
        if not 0 <= i < self.n:
            raise IndexError(i)
        return {"x": np.full((2, 2), i, np.float32), "y": (i * i, f"number {i}")}


@given(st.integers(0, 30), st.integers(1, 12), st.booleans(), st.booleans(), st.integers(0, 5))
def test_an_epoch_has_each_sample_once(n: int, size: int, shuffle: bool, drop_last: bool, seed: int) -> None:
    loader = DataLoader(rows(n), size, shuffle, drop_last=drop_last, seed=seed)
    batches = list(loader)
    assert len(batches) == len(loader) == (n // size if drop_last else (n + size - 1) // size)
    assert all(len(y) == size for _, y in batches[:-1])
    seen = Counter(int(i) for _, y in batches for i in y)
    assert set(seen.values()) <= {1}
    assert sum(seen.values()) == (n // size * size if drop_last else n)
    assert set(seen) <= set(range(n))
    for X, y in batches:
        np.testing.assert_array_equal(X, 3.0 * y[:, None] + [0, 1, 2])


def epochs(loader: DataLoader, count: int) -> list[list[int]]:
    return [[int(i) for _, y in loader for i in y] for _ in range(count)]


def test_each_epoch_has_its_own_order_and_a_seed_repeats_them() -> None:
    first, again = (epochs(DataLoader(rows(20), 3, shuffle=True, seed=5), 4) for _ in range(2))
    assert first == again
    assert len({tuple(order) for order in first}) == 4
    assert first != epochs(DataLoader(rows(20), 3, shuffle=True, seed=6), 4)
    fresh = [epochs(DataLoader(rows(20), 3, shuffle=True), 1) for _ in range(2)]
    assert fresh[0] != fresh[1]
    assert epochs(DataLoader(rows(4), 3), 2) == [[0, 1, 2, 3]] * 2


def test_every_order_is_drawn_alike() -> None:
    loader = DataLoader(rows(3), 3, shuffle=True, seed=0)
    counts = Counter(tuple(order) for order in epochs(loader, 6000))
    assert len(counts) == 6
    assert all(abs(count - 1000) < 150 for count in counts.values())  # five standard deviations


def test_a_state_brings_back_an_epoch_and_those_after_it() -> None:
    loader, other = (DataLoader(rows(20), 3, shuffle=True, seed=seed) for seed in (5, 6))
    epochs(loader, 2)
    state = loader.generator.bit_generator.state
    following = epochs(loader, 3)
    other.generator.bit_generator.state = state
    assert epochs(other, 3) == following


def test_an_order_is_drawn_when_its_loop_begins() -> None:
    loader = DataLoader(rows(20), 20, shuffle=True, seed=5)
    expected = epochs(DataLoader(rows(20), 20, shuffle=True, seed=5), 2)
    first, second = iter(loader), iter(loader)
    assert [next(each)[1].tolist() for each in (second, first)] == expected[::-1]


def test_datasets_of_one_s_own_are_collated() -> None:
    batches = list(DataLoader(Squares(5), 2))
    assert [batch["y"][0].tolist() for batch in batches] == [[0, 1], [4, 9], [16]]
    assert batches[1]["y"][1] == ["number 2", "number 3"]
    assert batches[1]["x"].dtype == np.float32
    np.testing.assert_array_equal(batches[1]["x"], [[[2, 2], [2, 2]], [[3, 3], [3, 3]]])
    assert list(DataLoader(Squares(3), 2, collate_fn=len)) == [2, 1]
    assert [y for _, y in DataLoader(rows(3), 2, collate_fn=lambda samples: samples[0])] == [0, 2]


class Pair(NamedTuple):
    """A sample with names."""

    x: float
    y: int


@pytest.mark.parametrize(
    ("samples", "batch"),
    [
        ([1, 2], np.array([1, 2])),
        ([True, False], np.array([True, False])),
        ([1, 2.5], np.array([1.0, 2.5])),
        ([np.float32(1), np.float32(2)], np.array([1, 2], np.float32)),
        ([[1, 2.0], [3, 4.0]], [np.array([1, 3]), np.array([2.0, 4.0])]),
        ([Pair(1.0, 2), Pair(3.0, 4)], Pair(np.array([1.0, 3.0]), np.array([2, 4]))),  # type: ignore[arg-type]
        ([{"a": ("x", 1)}, {"a": ("y", 2)}], {"a": (["x", "y"], np.array([1, 2]))}),
        ([np.zeros((0, 2))] * 3, np.zeros((3, 0, 2))),
    ],
)
def test_collate_makes_a_batch_of_each_entry(samples: Any, batch: Any) -> None:
    found = collate(samples)
    assert type(found) is type(batch)
    assert repr(found) == repr(batch)


def test_tensors_are_batched_as_tensors() -> None:
    t = tg.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    for (batch,) in (next(iter(DataLoader(TensorDataset(t), 2))), collate([(t[0],), (t[1],)])):
        assert isinstance(batch, tg.Tensor)
        assert batch.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    batch.sum().backward()
    assert t.grad is not None
    assert t.grad.tolist() == [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    "samples",
    [
        [np.ones(2), np.ones(3)],
        [(1, 2), (1, 2, 3)],
        [{"a": 1}, {"b": 1}],
        [{"a": 1}, {"a": 1, "b": 2}],
        [{"a": 1}, 3],
        [(1,), 3],
        [None, None],
        [{"a": (np.ones(2), 1)}, {"a": (np.ones((2, 1)), 1)}],
    ],
)
def test_samples_that_differ_make_no_batch(samples: Any) -> None:
    with pytest.raises(DataError, match=r"no batch can be made of .*; pad them, or pass collate_fn"):
        collate(samples)


@pytest.mark.parametrize("arrays", [(), (3.0,), (np.ones(2), np.ones(3)), (np.ones((2, 2)), 1)])
def test_arrays_that_are_no_rows_of_samples_are_refused(arrays: Any) -> None:
    with pytest.raises(DataError, match="one row for each sample"):
        TensorDataset(*arrays)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_a_batch_size_is_a_whole_number_from_1(size: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="batch_size"):
        DataLoader(rows(3), size)


@given(st.integers(0, 60), st.lists(st.floats(0.01, 1), min_size=1, max_size=5), st.integers(0, 3))
def test_fractions_are_rounded_as_pytorch_does(n: int, shares: list[float], seed: int) -> None:
    data = pytorch().utils.data
    fractions = [share / sum(shares) for share in shares]
    while sum(fractions) > 1:  # by rounding, which PyTorch does not take for fractions
        largest = fractions.index(max(fractions))
        fractions[largest] = float(np.nextafter(fractions[largest], 0))
    parts = random_split(range(n), fractions, seed)
    if n:  # PyTorch warns of empty parts
        assert [len(p) for p in parts] == [len(p) for p in split_by(data, n, fractions)]
    assert sorted(int(i) for part in parts for i in part.indices) == list(range(n))


def split_by(data: Any, n: int, fractions: list[float]) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return data.random_split(range(n), fractions)


def test_a_split_by_lengths_is_shuffled_and_repeated_by_its_seed() -> None:
    one, two = random_split(rows(30), [20, 10], seed=1)
    assert (len(one), len(two)) == (20, 10)
    assert one.indices.tolist() != sorted(one.indices.tolist())
    np.testing.assert_array_equal(random_split(rows(30), [20.0, 10], seed=1)[1].indices, two.indices)
    assert random_split(rows(30), [20, 10], seed=2)[1].indices.tolist() != two.indices.tolist()
    assert random_split(range(0), []) == []


@pytest.mark.parametrize("lengths", [[20, 11], [31, -1], [0.5, 0.4], [29.5, 0.5], [], [float("nan"), 30]])
def test_a_split_that_is_none_is_refused(lengths: Any) -> None:
    with pytest.raises(ValueError, match=r"no split of 30 samples; pass lengths that add up to 30, or fractions"):
        random_split(range(30), lengths)


def test_parts_of_parts_are_batched_with_and_without_a_loop() -> None:
    part = Subset(Subset(rows(10), [9, 7, 5, 3]), [2, 0])
    assert [int(part[i][1]) for i in range(len(part))] == [5, 9]
    for collate_fn in (collate, lambda samples: collate(samples)):
        ((X, y),) = DataLoader(part, 2, collate_fn=collate_fn)
        assert y.tolist() == [5, 9]
        assert X.tolist() == [[15.0, 16.0, 17.0], [27.0, 28.0, 29.0]]
    assert [batch["y"][0].tolist() for batch in DataLoader(Subset(Squares(9), [8, 1]), 2)] == [[64, 1]]


@pytest.mark.parametrize("indices", [[True, False, True], [0.5, 1.0], 1, [[0], [1]]])
def test_indices_are_whole_numbers(indices: Any) -> None:
    """A mask would be the indices 0 and 1."""
    with pytest.raises(DataError, match=r"indices are whole numbers, got dtype .*; pass np\.flatnonzero"):
        Subset(range(3), indices)
    assert len(Subset(range(3), [])) == 0


@pytest.mark.parametrize("dataset", [5, iter([1]), {"a": 1}, None])
def test_a_loader_takes_a_dataset(dataset: Any) -> None:
    with pytest.raises(TypeError, match="a dataset needs a length, and a sample for each index from 0; got "):
        DataLoader(dataset)


def test_a_part_of_a_split_is_sliced_as_a_sequence() -> None:
    rows = tg.data.TensorDataset(np.arange(20.0).reshape(10, 2), np.arange(10))
    part = tg.data.random_split(rows, [6, 4], seed=0)[0]
    of_part = [part[i][1] for i in range(6)]
    for index in (slice(1, 3), slice(None, None, -2), np.array([4, 0, 4])):
        assert [y for _, y in part[index]] == np.array(of_part)[index].tolist()
    assert [y.tolist() for _, y in tg.data.DataLoader(part[1:4], 2)] == [of_part[1:3], of_part[3:4]]
    assert part[-1][1] == of_part[5]
