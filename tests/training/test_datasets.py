"""The experiment's data: scikit-learn's, bit for bit, without scikit-learn."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn.errors import DataError

SEEDS = st.integers(0, 2**32 - 1)


@given(st.integers(1, 300), st.floats(0, 5), SEEDS)
def test_moons_are_scikit_learns(n_samples: int, noise: float, seed: int) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = tg.data.make_moons(n_samples, noise, seed)
    theirs_X, theirs_y = datasets.make_moons(n_samples, noise=noise, random_state=seed)
    assert X.dtype == theirs_X.dtype
    assert X.tobytes() == theirs_X.tobytes()
    assert y.dtype == theirs_y.dtype
    assert y.tobytes() == theirs_y.tobytes()


@given(st.integers(2, 300), st.floats(0.001, 0.999), SEEDS)
def test_splits_are_scikit_learns(n: int, test_size: float, seed: int) -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    X, y = np.random.default_rng(seed).normal(size=(n, 3)), np.arange(n)
    try:
        expected = selection.train_test_split(X, y, test_size=test_size, random_state=seed)
    except ValueError:
        with pytest.raises(ValueError, match="pass one between 0 and 1"):
            tg.data.train_test_split(X, y, test_size, seed)
        return
    for part, theirs in zip(tg.data.train_test_split(X, y, test_size, seed), expected, strict=True):
        assert part.shape == theirs.shape
        assert part.tobytes() == theirs.tobytes()


def test_the_experiments_data_is_scikit_learns() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    selection = pytest.importorskip("sklearn.model_selection")
    data = datasets.make_moons(n_samples=1000, noise=0.2, random_state=100)
    expected = selection.train_test_split(*data, test_size=0.1, random_state=42)
    for part, theirs in zip(tg.data.train_test_split(*tg.data.make_moons()), expected, strict=True):
        assert np.array_equal(part, theirs)


def test_moons_in_pinned_numbers() -> None:
    X, y = tg.data.make_moons()
    assert X.shape == (1000, 2)
    assert y.shape == (1000,)
    assert (y == 1).sum() == 500
    assert X[:2].tolist() == [[2.2490706926908948e-05, 1.0727582480097542], [-0.05590373765584977, 0.42524128246424875]]
    assert y[:10].tolist() == [0, 0, 1, 0, 1, 0, 0, 1, 1, 1]


def test_splits_in_pinned_numbers() -> None:
    X = np.arange(11)
    train_X, test_X, train_y, test_y = tg.data.train_test_split(X, X * 10, 0.25, seed=42)
    assert test_X.tolist() == [5, 0, 9]
    assert train_X.tolist() == [10, 2, 1, 8, 4, 7, 3, 6]
    assert np.array_equal(test_y, test_X * 10)
    assert np.array_equal(train_y, train_X * 10)


def test_moons_without_noise_lie_on_their_half_circles() -> None:
    X, y = tg.data.make_moons(101, noise=0, seed=3)
    centre = np.where(y[:, None] == 0, [0.0, 0.0], [1.0, 0.5])
    assert np.abs(np.hypot(*(X - centre).T) - 1).max() <= 1e-15
    assert (np.where(y == 0, X[:, 1], 0.5 - X[:, 1]) >= -1e-15).all()
    assert (y == 0).sum() == 50


def test_seeds_differ_and_the_global_generator_is_left_alone() -> None:
    before: Any = np.random.get_state(legacy=True)
    X, y = tg.data.make_moons(20)
    assert not np.array_equal(X, tg.data.make_moons(20, seed=101)[0])
    split, other = tg.data.train_test_split(X, y), tg.data.train_test_split(X, y, seed=43)
    assert not np.array_equal(split[1], other[1])
    after: Any = np.random.get_state(legacy=True)
    assert np.array_equal(before[1], after[1])
    assert before[2] == after[2]


def test_a_split_keeps_every_row_once() -> None:
    train_X, test_X, train_y, test_y = tg.data.train_test_split(np.array([[1], [2], [3], [4]]), np.arange(1, 5), 0.5)
    assert sorted([*train_y.tolist(), *test_y.tolist()]) == [1, 2, 3, 4]
    assert train_X[:, 0].tolist() == train_y.tolist()
    assert test_X[:, 0].tolist() == test_y.tolist()


@pytest.mark.parametrize(("n", "noise"), [(-1, 0.2), (10, -0.1)])
def test_negative_moons_are_refused(n: int, noise: float) -> None:
    with pytest.raises(ValueError, match=r"(n_samples|noise) must be a (whole|finite) number, 0 or more, got -"):
        tg.data.make_moons(n, noise)


@pytest.mark.parametrize("test_size", [0.0, 1.0, -0.2, 1.5, float("nan")])
def test_a_split_with_an_empty_part_is_refused(test_size: float) -> None:
    with pytest.raises(ValueError, match=r"test_size=.* of 10 rows.*pass one between 0 and 1"):
        tg.data.train_test_split(np.ones((10, 2)), np.ones(10), test_size)


def test_a_split_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="of 0 rows"):
        tg.data.train_test_split(np.ones((0, 2)), np.ones(0))


def test_a_split_of_unpaired_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="X has 10 rows, y 9; each sample needs one label"):
        tg.data.train_test_split(np.ones((10, 2)), np.ones(9))


def test_moons_can_be_trained_on_but_not_none_of_them() -> None:
    X, y = tg.data.make_moons(0)
    assert X.shape == (0, 2)
    network = tg.nn.DenseNetwork([{"input_dim": 2, "output_dim": 1, "activation": "sigmoid"}])
    with pytest.raises(DataError, match="no samples"):
        tg.train(network, X, y, 1, progress=False)


def test_one_hot_rows_are_1_at_the_class() -> None:
    labels = np.array([[2, 0], [1, 2]], np.uint8)
    found = tg.data.one_hot(labels, dtype=np.float32)
    assert (found.shape, found.dtype) == ((2, 2, 3), np.dtype(np.float32))
    assert [[row.tolist().index(1) for row in pair] for pair in found] == labels.tolist()
    assert found.sum() == 4
    assert tg.data.one_hot([1], 4).tolist() == [[0.0, 1.0, 0.0, 0.0]]
    assert tg.data.one_hot(np.zeros(0, int)).shape == (0, 0)
    assert tg.data.one_hot(3).tolist() == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        ([-1], 3, "counted from 0, got -1; drop it"),
        ([2, -1], None, "counted from 0, got -1; drop it"),
        ([-1], None, "counted from 0, got -1; drop it"),
        ([3, 0], 3, "there are 3 classes, and a label is 3; pass num_classes=4"),
        ([0], 0, "there are 0 classes, and a label is 0; pass num_classes=1"),
        ([0.5], 3, r"whole numbers, got dtype float64; convert them: labels\.astype\(int\)"),
        ([1.0], None, "whole numbers, got dtype float64; convert them"),
        ([True], 3, "whole numbers, got dtype bool; convert them"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels: Any, classes: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        tg.data.one_hot(labels, classes)


@pytest.mark.parametrize(("classes", "kind"), [(-1, ValueError), (2.0, TypeError), ("3", TypeError)])
def test_a_number_of_classes_is_a_whole_number(classes: Any, kind: type) -> None:
    with pytest.raises(kind, match="num_classes must be a whole number, 0 or more, got"):
        tg.data.one_hot([0, 1], classes)


def test_the_module_of_data_has_its_public_names_and_no_others() -> None:
    assert all(hasattr(tg.data, name) for name in ("read_idx", "DataLoader"))
    with pytest.raises(AttributeError, match="has no attribute 'read_mnist'"):
        tg.data.read_mnist  # type: ignore[attr-defined]
