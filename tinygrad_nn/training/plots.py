"""Pictures of data, of learning and of what was learnt: each returns its Axes, takes `ax=`, and shows nothing.

Their style is `pictures.mplstyle`; Axes that are given keep the style that they were made in.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

from .. import errors

STYLE = "tinygrad_nn.training.pictures"
_GRID_X, _GRID_Y, _GRID = (-1.5, 2.5), (-1.0, 2.0), 100
_FRAMES, _FRAMES_PER_SECOND, _HELD = 60, 12, 24


def _style() -> AbstractContextManager[None]:
    """Return the body in which pictures have the library's style. Raises ImportError with the line that installs."""
    try:
        import matplotlib.figure
        import matplotlib.style
    except ImportError as error:
        raise ImportError(errors.missing("pictures need matplotlib", "matplotlib")) from error
    style: AbstractContextManager[None] = matplotlib.style.context(STYLE)
    return style


def _axes(rows: int = 1, **options: Any) -> Any:
    """Return new Axes, one above the other, in a figure that no window shows."""
    from matplotlib.figure import Figure

    return Figure().subplots(rows, **options)


def plot_data(X: np.ndarray, y: np.ndarray, ax: Any = None) -> Any:
    """Return Axes with the points X (n, 2), coloured by their class y (n,)."""
    with _style():
        ax = _axes() if ax is None else ax
        _points(X, y, ax)
        ax.set(title=f"Two moons: {len(X):,} points")
    return ax


def _points(X: np.ndarray, y: np.ndarray, ax: Any) -> None:
    for label, marker in ((0, "o"), (1, "s")):
        chosen = X[np.ravel(y) == label]
        looks = {"s": 26, "color": f"C{label}", "edgecolors": "white", "linewidths": 0.7, "zorder": 3}
        ax.scatter(*chosen.T, marker=marker, label=f"class {label}", **looks)
    ax.set(xlabel="x₁", ylabel="x₂")
    ax.legend(loc="upper right", frameon=True, framealpha=0.85, edgecolor="none")


def plot_history(history: Any, ax: Any = None, held_out: str = "validation") -> Any:
    """Return the Axes of the cost, with the training's curve and the validation's; below are those of the accuracy.

    Into Axes that are given the cost alone is drawn, into a pair of them both. Its axis is logarithmic where the
    first or the last fifth of the epochs would look flat on a linear one. A regression has no accuracy.
    `held_out` says what the validation data are.
    """
    panels = [("cost", history.cost, history.validation_cost)]
    if np.isfinite(history.accuracy).any():
        panels.append(("accuracy", history.accuracy, history.validation_accuracy))
    with _style():
        axes = np.ravel(_axes(len(panels), sharex=True) if ax is None else ax)
        for own, (name, training, validation) in zip(axes, panels, strict=False):
            _curves(own, name, training, validation, held_out)
        axes[min(len(panels), len(axes)) - 1].set(xlabel="epoch")
    return axes[0]


def _curves(ax: Any, name: str, training: Sequence[float], validation: Sequence[float], held_out: str) -> None:
    last = f": {training[-1]:.3g} in training" if len(training) else ""
    marker = "o" if len(training) < 3 else None  # a line of one point is none
    ax.plot(training, marker=marker, label="training")
    if len(validation):
        ax.plot(validation, linestyle="--", marker=marker, label=held_out)
        last += f", {validation[-1]:.3g} in {held_out}"
        ax.legend()
    if name == "cost" and _looks_flat(training):
        _logarithmic(ax, max(training) / min(training))
    ax.set(ylabel=name, title=f"{name.capitalize()}{last}")


def _logarithmic(ax: Any, ratio: float) -> None:
    """Give the y axis a logarithmic scale, with labels at 1, 2 and 5 where it spans few powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.set(yscale="log")
    if ratio < 1000:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())


def _looks_flat(curve: Sequence[float]) -> bool:
    """Return whether a positive curve's first or last fifth spans less than a twentieth of its height."""
    values = np.asarray(curve)
    if len(values) < 10 or not np.isfinite(values).all() or values.min() <= 0:
        return False
    ends = values[: len(values) // 5], values[-len(values) // 5 :]
    return any(np.ptp(end) < np.ptp(values) / 20 for end in ends)


def probability_grid(predict: Callable[[np.ndarray], Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the grid's x (100,), y (100,) and the probability of class 1 at its points (100, 100)."""
    x, y = np.linspace(*_GRID_X, _GRID), np.linspace(*_GRID_Y, _GRID)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return x, y, np.asarray(predict(points)).reshape(_GRID, _GRID)


def plot_boundary(
    predict: Callable[[np.ndarray], Any], X: np.ndarray, y: np.ndarray, ax: Any = None, title: str | None = None
) -> Any:
    """Return Axes with the probability as filled contours, its 0.5 line, and the points on top, wrong ones ringed.

    `predict` maps points (n, 2) to the probability of class 1, (n,) or (n, 1). The title says how many are right.
    """
    wrong = (np.ravel(predict(X)) > 0.5) != (np.ravel(y) > 0.5)
    with _style():
        ax = _axes() if ax is None else ax
        _boundary(probability_grid(predict), X, y, wrong, ax)
        ax.set(title=title or f"{len(X) - wrong.sum():,} of {len(X):,} test points right")
    return ax


def _boundary(grid: Any, X: np.ndarray, y: np.ndarray, wrong: np.ndarray, ax: Any) -> None:
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    pale = [0.6 * np.array(to_rgb(colour)) + 0.4 for colour in ("C0", "white", "C1")]
    classes = LinearSegmentedColormap.from_list("classes", pale)
    filled = ax.contourf(*grid, levels=np.linspace(0, 1, 21), cmap=classes)
    ax.contour(*grid, levels=[0.5], colors="#333333", linewidths=1.5)
    rings = {"s": 130, "facecolors": "none", "edgecolors": "black", "linewidths": 1.6, "zorder": 4}
    if wrong.any():
        ax.scatter(*X[wrong].T, label=f"wrong: {wrong.sum()}", **rings)
    _points(X, y, ax)
    if not any(other.get_label() == "<colorbar>" for other in ax.figure.axes):
        ax.figure.colorbar(filled, ax=ax, label="probability of class 1", ticks=[0, 0.25, 0.5, 0.75, 1])
    ax.set(xlim=_GRID_X, ylim=_GRID_Y)


def save(ax: Any, path: pathlib.Path) -> pathlib.Path:
    """Write the figure that the Axes belong to, and return the path."""
    ax.figure.savefig(path)
    return path


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
    with _style():
        ax = _axes()
        from matplotlib.animation import FuncAnimation, PillowWriter

        def draw(each: Frame) -> list[Any]:
            x, rows, _ = probability_grid(lambda points: np.zeros(len(points)))
            wrong = (each.at_points > 0.5) != (np.ravel(y) > 0.5)
            ax.clear()
            _boundary((x, rows, each.grid), X, y, wrong, ax)
            cost = history.cost[each.epoch]
            ax.set(title=f"epoch {each.epoch + 1:,}: cost {cost:.4f}, test accuracy {1 - wrong.mean():.2f}")
            return []

        held = [*shown, *[shown[-1]] * _HELD]
        animation = FuncAnimation(ax.figure, draw, frames=held, init_func=lambda: [], blit=False)
        animation.save(path, writer=PillowWriter(fps=_FRAMES_PER_SECOND), dpi=70)
    return path
