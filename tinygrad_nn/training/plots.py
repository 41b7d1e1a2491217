"""Matplotlib pictures: each returns its Axes, takes `ax=`, and shows nothing by itself."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_GRID_X, _GRID_Y, _GRID = (-1.5, 2.5), (-1.0, 2.0), 100


def install_line() -> str:
    """Return the command that installs what the pictures need into this Python."""
    return f"{sys.executable} -m pip install matplotlib"


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"pictures need matplotlib; install it with: {install_line()}") from error
    return Figure(figsize=(7, 5), layout="constrained").subplots()


def plot_data(X: np.ndarray, y: np.ndarray, ax: Any = None) -> Any:
    """Return Axes with the points X (n, 2), coloured by their class y (n,)."""
    ax = _axes(ax)
    for label, colour in ((0, "#3b6ea8"), (1, "#c8553d")):
        chosen = X[np.ravel(y) == label]
        ax.scatter(
            chosen[:, 0], chosen[:, 1], s=26, c=colour, edgecolors="white", linewidths=0.8, label=f"class {label}"
        )
    ax.set(xlabel="x₁", ylabel="x₂", title=f"Two moons, {len(X)} points")
    ax.legend(loc="upper right")
    return ax


def plot_history(history: Any, ax: Any = None) -> Any:
    """Return Axes with the cost (left) and the accuracy (right) of every epoch."""
    ax = _axes(ax)
    ax.plot(history.cost, color="#3b6ea8")
    ax.set(xlabel="epoch", title="Learning curves")
    ax.set_ylabel("cost", color="#3b6ea8")
    right = ax.twinx()
    right.plot(history.accuracy, color="#c8553d")
    right.set_ylabel("training accuracy", color="#c8553d")
    right.set_ylim(0, 1.02)
    return ax


def probability_grid(predict: Callable[[np.ndarray], Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the grid's x (100,), y (100,) and the probability of class 1 at its points (100, 100)."""
    x, y = np.linspace(*_GRID_X, _GRID), np.linspace(*_GRID_Y, _GRID)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return x, y, np.asarray(predict(points)).reshape(_GRID, _GRID)


def plot_boundary(
    predict: Callable[[np.ndarray], Any], X: np.ndarray, y: np.ndarray, ax: Any = None, title: str = "Decision boundary"
) -> Any:
    """Return Axes with the probability as filled contours, its 0.5 line, and the points on top.

    `predict` maps points (n, 2) to the probability of class 1, (n,) or (n, 1).
    """
    ax = _axes(ax)
    grid = probability_grid(predict)
    filled = ax.contourf(*grid, levels=np.linspace(0, 1, 21), cmap="RdBu_r", alpha=0.5)
    ax.contour(*grid, levels=[0.5], colors="black", linewidths=1.5)
    plot_data(X, y, ax)
    if ax.figure is not None and not any(a.get_label() == "<colorbar>" for a in ax.figure.axes):
        ax.figure.colorbar(filled, ax=ax, label="probability of class 1", ticks=[0, 0.25, 0.5, 0.75, 1])
    ax.set(xlim=_GRID_X, ylim=_GRID_Y, title=title)
    return ax


def save(ax: Any, path: pathlib.Path) -> pathlib.Path:
    """Write the figure that the Axes belong to, and return the path."""
    ax.figure.savefig(path, dpi=120)
    return path


def save_animation(
    frames: Sequence[tuple[int, np.ndarray]], X: np.ndarray, y: np.ndarray, path: pathlib.Path
) -> pathlib.Path:
    """Write a GIF of the boundary while it is learnt; frames are (epoch, probability grid (100, 100))."""
    ax = _axes(None)
    from matplotlib.animation import FuncAnimation, PillowWriter

    def draw(frame: tuple[int, np.ndarray]) -> list[Any]:
        epoch, grid = frame
        ax.clear()
        plot_boundary(lambda _: grid, X, y, ax, title=f"epoch {epoch}")
        return []

    animation = FuncAnimation(ax.figure, draw, frames=list(frames), init_func=lambda: [], blit=False)
    animation.save(path, writer=PillowWriter(fps=12), dpi=70)
    return path
