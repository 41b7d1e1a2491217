"""The decision boundary while it is learnt, as an animation."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .plots import boundary_into, new_axes, probability_grid, styled

_FRAMES, _FRAMES_PER_SECOND, _HELD = 60, 12, 24


class Frame(NamedTuple):
    """The boundary after an epoch's update: the probability on the grid (100, 100), and at the test points (n,)."""

    epoch: int
    grid: np.ndarray
    at_points: np.ndarray


def frame(epoch: int, predict: Callable[[np.ndarray], Any], X: np.ndarray) -> Frame:
    """Return what an animation needs of the network as it is now."""
    grid = probability_grid(predict)[2].astype(np.float32)
    return Frame(epoch, grid, np.ravel(predict(X)))


def worth_showing(frames: Sequence[Frame], cost: Sequence[float]) -> list[Frame]:
    """Return at most 60 frames: from where the cost has fallen by a hundredth of all that it falls, to the last."""
    fallen = cost[0] - np.array([cost[min(each.epoch, len(cost) - 1)] for each in frames])
    first = max(int(np.argmax(fallen > fallen.max() / 100)) - 1, 0)
    shown = np.unique(np.linspace(first, len(frames) - 1, _FRAMES).round().astype(int))
    return [frames[i] for i in shown]


def save_animation(frames: Sequence[Frame], history: Any, X: np.ndarray, y: np.ndarray, path: pathlib.Path) -> Any:
    """Write a GIF of the boundary while it is learnt, which holds its last frame, and return the path.

    X (n, 2) and y (n,) are the test points; each title says the epoch, the cost before its update and how many
    test points are right after it.
    """
    shown = worth_showing(frames, history.cost)
    with styled():
        ax = new_axes()
        from matplotlib.animation import FuncAnimation, PillowWriter

        def draw(each: Frame) -> list[Any]:
            x, rows, _ = probability_grid(lambda points: np.zeros(len(points)))
            wrong = (each.at_points > 0.5) != (np.ravel(y) > 0.5)
            ax.clear()
            boundary_into((x, rows, each.grid), X, y, wrong, ax)
            cost = history.cost[each.epoch]
            ax.set(title=f"epoch {each.epoch + 1:,}: cost {cost:.4f}, test accuracy {1 - wrong.mean():.2f}")
            return []

        held = [*shown, *[shown[-1]] * _HELD]
        animation = FuncAnimation(ax.figure, draw, frames=held, init_func=lambda: [], blit=False)
        animation.save(path, writer=PillowWriter(fps=_FRAMES_PER_SECOND), dpi=70)
    return path
