"""Plots: they return their axes, draw into given ones, and name what to install."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.errors import DataError
from tinygrad_nn.training import plots


def test_plots_return_their_axes_and_draw_into_given_ones() -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    X, y = tg.data.make_moons(40)
    ax = figure.subplots()
    assert plots.plot_data(X, y, ax) is ax
    assert len(ax.collections) == 2
    assert len(plots.plot_data(tg.tensor(X), [0, 1, 2, 5] * 10).collections) == 4
    history = tg.History(cost=[0.7, 0.5], accuracy=[0.5, 0.8])
    np.testing.assert_array_equal(plots.plot_history(history).lines[0].get_ydata(), history.cost)
    boundary = plots.plot_boundary(lambda points: points[:, 0] > 0, X, y)
    for scale in (1.0, 100.0):  # all points are in the picture, wherever they lie
        boundary = plots.plot_boundary(lambda points: tg.tensor(points[:, 0] > 0), scale * X, y.tolist())
        (left, right), (low, high) = boundary.get_xlim(), boundary.get_ylim()
        assert ((left, low) < scale * X.min(axis=0)).all()
        assert ((right, high) > scale * X.max(axis=0)).all()
        assert right - left < 2 * scale * np.ptp(X[:, 0])
    x, rows, grid = plots.probability_grid(lambda points: points[:, 0] + 10 * points[:, 1], X)
    assert grid.shape == (100, 100)
    np.testing.assert_allclose(grid[7, 3], x[3] + 10 * rows[7])


def test_a_picture_without_matplotlib_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="-m pip install matplotlib"):
        plots.plot_history(tg.History(cost=[1.0], accuracy=[0.5]))


def drawn(**entries: Any) -> list[Any]:
    """Return the Axes of a history's plot."""
    pytest.importorskip("matplotlib")
    history = tg.History(**entries)
    return list(history.plot().figure.axes)


def test_a_history_shows_training_beside_validation() -> None:
    held_out = {"validation_cost": [3.0, 2.5], "validation_accuracy": [0.25, 0.5]}
    cost, accuracy = drawn(cost=[2.0, 1.5], accuracy=[0.5, 0.75], **held_out)
    assert [line.get_label() for line in cost.lines] == ["training", "validation"]
    assert [list(line.get_ydata()) for line in accuracy.lines] == [[0.5, 0.75], [0.25, 0.5]]
    assert cost.get_title(loc="left") == "Cost: 1.5 in training, 2.5 in validation"


def test_a_history_of_one_epoch_shows_a_point_and_one_without_accuracy_no_second_picture() -> None:
    (cost,) = drawn(cost=[2.0], accuracy=[math.nan])
    assert cost.lines[0].get_marker() == "o"
    assert cost.get_xlabel() == "epoch"
    assert drawn(cost=[], accuracy=[])[0].get_title(loc="left") == "Cost"


def test_a_history_is_drawn_into_axes_that_are_given() -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    pair = figure.subplots(2)
    history = tg.History(cost=[2.0, 1.0], accuracy=[0.5, 0.6])
    assert history.plot(pair) is pair[0]
    assert [len(ax.lines) for ax in pair] == [1, 1]
    alone = pytest.importorskip("matplotlib.figure").Figure().subplots()
    assert history.plot(alone) is alone


def test_a_history_has_whole_epochs_and_labels_enough() -> None:
    (ax,) = drawn(cost=[1.0 if i < 1 else 0.3 + 0.001 * (20 - i) for i in range(20)], accuracy=[])
    ax.figure.draw_without_rendering()
    assert all(tick == round(tick) for tick in ax.get_xticks())
    low, high = ax.get_ylim()
    assert ax.get_yscale() == "log"
    assert [float(label.get_text()) for label, y in zip(ax.get_yticklabels(), ax.get_yticks()) if low < y < high] == [
        0.3, 0.4, 0.5, 0.7, 1.0,
    ]  # fmt: skip
    logarithmic = pytest.importorskip("matplotlib.figure").Figure().subplots()
    logarithmic.set_xscale("log")
    assert tg.History(cost=[2.0, 1.0]).plot(logarithmic).get_xscale() == "log"


FLAT_AT_FIRST = [0.7] * 20 + [0.7 - 0.006 * i for i in range(100)]


@pytest.mark.parametrize(
    ("cost", "scale"),
    [(FLAT_AT_FIRST, "log"), (FLAT_AT_FIRST[::-1], "log"), ([1.0 - i / 200 for i in range(100)], "linear"),
     ([-1.0] * 50 + [0.0] * 50, "linear"), ([1.0] * 9, "linear")],
)  # fmt: skip
def test_a_cost_that_would_look_flat_has_a_logarithmic_axis(cost: list[float], scale: str) -> None:
    assert drawn(cost=cost, accuracy=[0.5] * len(cost))[0].get_yscale() == scale


@pytest.mark.parametrize("powers", [1, 2, 6])
def test_a_logarithmic_axis_has_labels(powers: int) -> None:
    (cost, _) = drawn(cost=[10.0 ** -(powers * i / 50) for i in range(50)], accuracy=[0.5] * 50)
    cost.figure.canvas.draw()
    low, high = cost.get_ylim()
    labels = [
        t.get_text() for t, at in zip(cost.get_yticklabels(), cost.get_yticks(), strict=True) if low <= at <= high
    ]
    assert 2 <= len([text for text in labels if text]) <= 10


def test_the_boundary_s_title_counts_the_points_and_wrong_ones_are_ringed() -> None:
    pytest.importorskip("matplotlib")
    X, y = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]]), np.array([0, 1, 1, 1])
    ax = plots.plot_boundary(lambda points: (points[:, 0] > 0.5) * 1.0, X, y)
    assert ax.get_title(loc="left") == "3 of 4 test points right"
    (rings,) = [c for c in ax.collections if c.get_label() == "wrong: 1"]
    np.testing.assert_array_equal(rings.get_offsets(), [[-1.0, 0.0]])


PLOTS = {
    "data": lambda **ax: plots.plot_data(np.eye(2), np.array([0, 1]), **ax),
    "history": lambda **ax: plots.plot_history(tg.History(cost=[0.7, 0.5], accuracy=[0.5, 0.8]), **ax),
    "boundary": lambda **ax: plots.plot_boundary(lambda points: points[:, 0], np.eye(2), np.array([0, 1]), **ax),
    "confusion": lambda **ax: plots.plot_confusion([0, 1, 1], [0, 1, 0], **ax),
    "predictions": lambda **ax: plots.plot_predictions([1.0, 2.0], [1.5, 2.0], **ax),
    "weights": lambda **ax: plots.plot_weights(np.eye(4), **ax),
}


def test_every_public_plot_is_tried_below() -> None:
    assert {f"plot_{name}" for name in PLOTS} == {*tg.plots.__all__}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_drawn_into_axes_of_its_own_or_given_and_shown_by_nobody(name: str, tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    ax = pytest.importorskip("matplotlib.figure").Figure().subplots()
    assert PLOTS[name](ax=ax) is ax
    own = PLOTS[name]()
    assert own.get_title(loc="left") == ax.get_title(loc="left") != ""
    own.figure.savefig(tmp_path / "picture.png")
    assert pyplot.get_fignums() == []  # pyplot keeps what it shows


def test_a_confusion_matrix_counts_each_pair() -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    ax = plots.plot_confusion(truth, tg.tensor(found), ["a", "b", "c", "d", "never"])
    counts = [[sum(t == i and f == j for t, f in zip(truth, found, strict=True)) for j in range(5)] for i in range(5)]
    assert [[int(t.get_text()) for t in ax.texts[5 * i : 5 * i + 5]] for i in range(5)] == counts
    assert [t.get_position() for t in ax.texts[:3]] == [(0, 0), (1, 0), (2, 0)]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b", "c", "d", "never"]
    assert ax.get_title(loc="left") == f"{sum(counts[i][i] for i in range(5))} of 500 right"
    shades = ax.images[0].get_array()
    assert shades[1][1] == -math.sqrt(counts[1][1] / sum(counts[1]))
    assert shades[1][2] == math.sqrt(counts[1][2] / sum(counts[1]))
    assert shades[4][4] == 0
    floats = plots.plot_confusion(np.array([[0.0], [1.0]]), np.array([True, True]))  # as labels and predictions come
    assert [t.get_text() for t in floats.texts] == ["0", "1", "0", "1"]
    large = plots.plot_confusion(np.arange(100), np.arange(100))
    assert len(large.texts) == 0
    assert len(large.get_xticklabels()) == 20


def test_predictions_stand_over_the_truth() -> None:
    pytest.importorskip("matplotlib")
    truth, found = np.array([[1.0, 5.0], [2.0, 7.0]]), np.array([[1.5, 5.0], [2.0, 6.0]])
    ax = plots.plot_predictions(tg.tensor(truth, requires_grad=True), found)
    np.testing.assert_array_equal(ax.collections[1].get_offsets(), [[5.0, 5.0], [7.0, 6.0]])
    assert ax.get_title(loc="left") == "Off by 0.559 (RMSE), R² 0.500"  # √(1.25 / 4) and 1 - 1.25 / (0.5 + 2)
    assert ax.get_xlim() == ax.get_ylim()
    whole = plots.plot_predictions(np.array([0, 3], np.uint8), np.array([1, 3], np.uint8))
    assert whole.get_title(loc="left") == "Off by 0.707 (RMSE), R² 0.778"  # √(1 / 2) and 1 - 1 / 4.5
    assert plots.plot_predictions([[3.0], [3.0]], [3.0, 3.0]).get_title(loc="left") == "Off by 0 (RMSE)"


def test_weights_lie_side_by_side_in_one_scale() -> None:
    pytest.importorskip("matplotlib")
    weights = np.random.default_rng(0).normal(size=(3, 2, 30, 20))
    ax = plots.plot_weights(weights, columns=2)
    shown = ax.images[0].get_array().filled(np.nan)
    assert shown.shape == (3 * 32, 2 * 22)
    for i in range(3):
        for j in range(2):
            np.testing.assert_array_equal(shown[32 * i + 1 : 32 * i + 31, 22 * j + 1 : 22 * j + 21], weights[i, j])
    assert np.isnan(shown).sum() == shown.size - weights.size
    assert ax.images[0].get_clim() == (-np.abs(weights).max(), np.abs(weights).max())
    assert plots.plot_weights(np.array([[[-128, 3]]], np.int8)).images[0].get_clim() == (-128, 128)
    flat = plots.plot_weights(np.arange(24.0).reshape(4, 6), shape=(2, 3))
    assert flat.images[0].get_array().shape == (2 * 16, 2 * 23)  # numbers as squares of 7
    assert flat.images[0].get_clim() == (0, 23)


def test_the_scale_of_weights_is_as_high_as_their_images(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    ax = plots.plot_weights(np.ones((8, 16)), columns=8)
    ax.figure.savefig(tmp_path / "wide.png")
    (scale,) = ax.child_axes
    assert scale.get_position().height == pytest.approx(ax.get_position().height)


@pytest.mark.parametrize(
    "call",
    [
        lambda: plots.plot_confusion([0, 1], [0]),
        lambda: plots.plot_confusion([], []),
        lambda: plots.plot_confusion([0, -1], [0, 1]),
        lambda: plots.plot_confusion([0.5], [0]),
        lambda: plots.plot_predictions([1.0, 2.0], [1.0]),
        lambda: plots.plot_predictions(np.ones((2, 3)), np.ones((3, 2))),
        lambda: plots.plot_predictions([], []),
        lambda: plots.plot_predictions([1.0], [math.nan]),
        lambda: plots.plot_weights(np.ones((2, 3))),
        lambda: plots.plot_weights(np.ones((2, 6)), shape=(2, 2)),
        lambda: plots.plot_weights(np.ones(4)),
        lambda: plots.plot_weights(np.ones((0, 2, 2))),
        lambda: plots.plot_confusion([0, 1, 2], [0, 1, 2], ["a", "b"]),
        lambda: plots.plot_data(np.ones((3, 3)), [0, 1, 1]),
        lambda: plots.plot_data(np.ones((3, 2)), [0, 1]),
        lambda: plots.plot_boundary(lambda points: np.ones(len(points)), np.ones((3, 2)), [0, 1]),
        lambda: plots.plot_boundary(lambda points: np.ones(len(points)), np.ones((0, 2)), []),
        lambda: plots.plot_boundary(lambda points: np.ones(len(points)), [[0.0, math.inf]], [0]),
        lambda: plots.plot_data(np.ones((1, 2)) * 1j, [0]),
        lambda: plots.plot_predictions([1j], [1j]),
        lambda: plots.plot_confusion([math.inf], [0]),
        lambda: plots.plot_confusion([10**12], [0]),
        lambda: plots.plot_weights(np.ones((2, 0))),
    ],
)
def test_what_makes_no_picture_is_refused(call: Any) -> None:
    with pytest.raises(tg.errors.DataError, match="; pass "):
        call()


def test_a_boundary_is_of_two_features_and_one_probability() -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(DataError, match=r"X has shape \(4, 3\), and there are 4 classes; pass \(n, 2\)"):
        plots.plot_boundary(lambda points: points[:, 0], np.ones((4, 3)), np.ones(4))
    with pytest.raises(DataError, match=r"gave \(4, 2\) for 4 points; return one for each"):
        plots.plot_boundary(lambda points: points, np.ones((4, 2)), np.ones(4))
    with pytest.raises(DataError, match=r"gave \(4,\) for 10000 points; return one for each"):
        plots.plot_boundary(lambda points: np.ones(4), np.ones((4, 2)), np.ones(4))
    assert plots.plot_data(np.ones((0, 2)), []).get_title(loc="left") == "0 points"
    assert plots.plot_weights(np.ones((2, 3, 3)), columns=10**9).images[0].get_array().shape == (23, 46)
