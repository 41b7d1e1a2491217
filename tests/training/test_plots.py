"""Plots: they return their axes, draw into given ones, and name what to install."""

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
