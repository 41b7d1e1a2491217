"""Plots: they return their axes, draw into given ones, and name what to install."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.training import plots


def test_plots_return_their_axes_and_draw_into_given_ones() -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    X, y = tg.data.make_moons(40)
    ax = figure.subplots()
    assert plots.plot_data(X, y, ax) is ax
    assert len(ax.collections) == 2
    history = tg.History(cost=[0.7, 0.5], accuracy=[0.5, 0.8])
    np.testing.assert_array_equal(plots.plot_history(history).lines[0].get_ydata(), history.cost)
    boundary = plots.plot_boundary(lambda points: points[:, 0] > 0, X, y)
    assert boundary.get_xlim() == (-1.5, 2.5)
    assert boundary.get_ylim() == (-1.0, 2.0)
    x, rows, grid = plots.probability_grid(lambda points: points[:, 0] + 10 * points[:, 1])
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


def frames(epochs: list[int]) -> list[plots.Frame]:
    return [plots.Frame(epoch, np.full((100, 100), 0.5), np.zeros(3)) for epoch in epochs]


def test_an_animation_begins_where_the_cost_falls_and_ends_with_the_last_epoch() -> None:
    cost = [1.0] * 500 + [1.0 - i / 500 for i in range(500)]
    shown = plots.worth_showing(frames([*range(0, 1000, 10), 999]), cost)
    assert 490 <= shown[0].epoch <= 510
    assert shown[-1].epoch == 999
    assert len(shown) <= 60
    flat = plots.worth_showing(frames([0, 5, 9]), [1.0] * 10)
    assert [each.epoch for each in flat] == [0, 5, 9]


def test_an_animation_holds_its_last_frame(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    X, y = tg.data.make_moons(3)
    history = tg.History(cost=[1.0, 0.9, 0.5], accuracy=[0.5] * 3)
    grids = [plots.Frame(epoch, np.full((100, 100), epoch / 3), np.zeros(3)) for epoch in range(3)]
    plots.save_animation(grids, history, X, y, tmp_path / "learning.gif")
    with image.open(tmp_path / "learning.gif") as animation:
        durations = []
        for frame in range(animation.n_frames):
            animation.seek(frame)
            durations.append(animation.info["duration"])
    assert len(durations) == 3
    assert durations[-1] >= 20 * durations[0]


def test_the_boundary_s_title_counts_the_points_and_wrong_ones_are_ringed() -> None:
    pytest.importorskip("matplotlib")
    X, y = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]]), np.array([0, 1, 1, 1])
    ax = plots.plot_boundary(lambda points: (points[:, 0] > 0.5) * 1.0, X, y)
    assert ax.get_title(loc="left") == "3 of 4 test points right"
    (rings,) = [c for c in ax.collections if c.get_label() == "wrong: 1"]
    np.testing.assert_array_equal(rings.get_offsets(), [[-1.0, 0.0]])
