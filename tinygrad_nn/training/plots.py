"""Pictures of data, of training and of results. Each function takes `ax=`, returns its Axes and shows no window.

Their style is `pictures.mplstyle`; Axes that are passed in keep the style in which they were made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import errors
from ..engine.arrays import as_array, raw
from ..ops.settings import whole_number

__all__ = ["plot_boundary", "plot_confusion", "plot_data", "plot_history", "plot_predictions", "plot_weights"]

STYLE = "tinygrad_nn.training.pictures"
_GRID = 100  # points along an axis
_CLASSES = 1000  # no picture shows more


@contextmanager
def drawing(ax: Any, rows: int = 1) -> Iterator[Any]:
    """Yield the given Axes, or new ones in a figure without a window, one above the other; set the library's style.

    Raises ImportError with the line that installs matplotlib.
    """
    try:
        import matplotlib.style
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(errors.missing("pictures need matplotlib", "matplotlib")) from error
    with matplotlib.style.context(STYLE):
        yield Figure().subplots(rows, sharex=True) if ax is None else ax


def plot_data(X: Any, y: Any, ax: Any = None) -> Any:
    """Return Axes with the points X (n, 2), coloured by their class y (n,). Raises DataError for other shapes.

    >>> import tinygrad_nn as tg
    >>> X, y = tg.data.make_moons(50)
    >>> axes = tg.plots.plot_data(X, y)
    """
    X, y = _labelled(X, y)
    with drawing(ax) as ax:
        _points(X, y, ax)
        ax.set(title=f"{len(X):,} points")
    return ax


def _numbers(x: Any) -> np.ndarray:
    array: np.ndarray = as_array(raw(x))
    if array.dtype.kind == "c":
        raise errors.DataError("complex numbers have no place on an axis; pass x.real")
    return array


def _labelled(X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return points (n, 2) and their classes (n,) as arrays."""
    X, y = _numbers(X), np.ravel(_numbers(y))
    if X.ndim != 2 or X.shape[1] != 2 or len(X) != len(y):
        raise errors.DataError(f"X has shape {X.shape}, and there are {len(y)} classes; pass (n, 2), a class for each")
    return X, y


def _points(X: np.ndarray, y: np.ndarray, ax: Any) -> None:
    for i, label in enumerate(np.unique([0, 1, *y])):
        looks = {"s": 26, "color": f"C{i}", "edgecolors": "white", "linewidths": 0.7, "zorder": 3}
        if (chosen := y == label).any():
            ax.scatter(*X[chosen].T, marker="os^DvP*X"[i % 8], label=f"class {label:g}", **looks)
    ax.set(xlabel="x₁", ylabel="x₂")
    if len(X):
        ax.legend(loc="upper right", frameon=True, framealpha=0.85, edgecolor="none")


def plot_history(history: Any, ax: Any = None, held_out: str = "validation") -> Any:
    """Return the Axes of the cost, with the training's curve and the validation's; below are those of the accuracy.

    If `ax` is one Axes, only the cost is drawn into it; if it is a pair, both are. The cost's axis is logarithmic if
    all costs are positive, and one is more than three times another. A regression has no accuracy. `held_out` is the
    name of the validation data in the legend.

    >>> import tinygrad_nn as tg
    >>> axes = tg.plots.plot_history(tg.History(cost=[0.7, 0.5], accuracy=[0.5, 0.8]))
    """
    panels = [("cost", history.cost, history.validation_cost)]
    if np.isfinite(history.accuracy).any():
        panels.append(("accuracy", history.accuracy, history.validation_accuracy))
    with drawing(ax, len(panels)) as found:
        axes = np.ravel(found)
        for own, (name, training, validation) in zip(axes, panels, strict=False):
            _curves(own, name, training, validation, held_out)
        lowest = axes[min(len(panels), len(axes)) - 1]
        lowest.set(xlabel="epoch")
        if lowest.get_xscale() == "linear":
            lowest.locator_params(axis="x", integer=True)  # there is no epoch 2.5
    return axes[0]


def _curves(ax: Any, name: str, training: Sequence[float], validation: Sequence[float], held_out: str) -> None:
    last = f": {training[-1]:.3g} in training" if len(training) else ""
    marker = "o" if len(training) < 3 else None  # a line needs two points
    ax.plot(training, marker=marker, label="training")
    if len(validation):
        ax.plot(validation, linestyle="--", marker=marker, label=held_out)
        last += f", {validation[-1]:.3g} in {held_out}"
        ax.legend()
    low, high = np.min(training, initial=np.inf), np.max(training, initial=0)
    if name == "cost" and 0 < 3 * low < high < np.inf:
        _logarithmic(ax, high / low)
    ax.set(ylabel=name, title=f"{name.capitalize()}{last}")


def _logarithmic(ax: Any, ratio: float) -> None:
    """Give the y axis a logarithmic scale, with enough labels if it spans few powers of ten."""
    from matplotlib.ticker import LogLocator

    ax.set(yscale="log")
    if ratio < 1000:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if ratio > 10 else (1, 1.5, 2, 3, 4, 5, 7)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("")


def probability_grid(predict: Callable[[np.ndarray], Any], X: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the x (100,) and y (100,) of a grid around points (n, 2), and the probability of class 1 (100, 100).

    Raises DataError if there is no point, or one that is not finite.
    """
    if not (len(X) and np.isfinite(X).all()):
        raise errors.DataError(f"a boundary lies around points, got {X.shape}; pass one or more, all finite")
    least, most = X.min(axis=0), X.max(axis=0)
    room = np.where(most > least, (most - least) / 6, 1)
    x, y = np.linspace(least - room, most + room, _GRID, axis=1)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return x, y, _probabilities(predict, points).reshape(_GRID, _GRID)


def _probabilities(predict: Callable[[np.ndarray], Any], points: np.ndarray) -> np.ndarray:
    found = _numbers(predict(points))
    if found.size != len(points):
        raise errors.DataError(f"predict gave {found.shape} for {len(points)} points; return one for each, as p[:, 1]")
    return found.ravel()


def plot_boundary(
    predict: Callable[[np.ndarray], Any], X: Any, y: Any, ax: Any = None, title: str | None = None
) -> Any:
    """Return Axes with the probability as filled contours, its 0.5 line, and the points on top, wrong ones ringed.

    `predict` maps points (n, 2) to the probability of class 1, (n,) or (n, 1). The title says how many are right.

    >>> import tinygrad_nn as tg
    >>> X, y = tg.data.make_moons(50)
    >>> axes = tg.plots.plot_boundary(lambda points: 1.0 * (points[:, 1] < 0.2), X, y)
    """
    X, y = _labelled(X, y)
    wrong = (_probabilities(predict, X) > 0.5) != (y > 0.5)
    grid = probability_grid(predict, X)
    rings = {"s": 130, "facecolors": "none", "edgecolors": "black", "linewidths": 1.6, "zorder": 4}
    with drawing(ax) as ax:
        filled = ax.contourf(*grid, levels=np.linspace(0, 1, 21), cmap=_scale("C0", "white", "C1", strength=0.6))
        ax.contour(*grid, levels=[0.5], colors="#333333", linewidths=1.5)
        if wrong.any():
            ax.scatter(*X[wrong].T, label=f"wrong: {wrong.sum()}", **rings)
        _points(X, y, ax)
        if not any(other.get_label() == "<colorbar>" for other in ax.figure.axes):
            ax.figure.colorbar(filled, ax=ax, label="probability of class 1", ticks=[0, 0.25, 0.5, 0.75, 1])
        ax.set(xlim=grid[0][[0, -1]], ylim=grid[1][[0, -1]])
        ax.set(title=title or f"{len(X) - wrong.sum():,} of {len(X):,} test points right")
    return ax


def _scale(*colours: str, strength: float = 1.0) -> Any:
    """Return the colour map through these colours, made paler."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    return LinearSegmentedColormap.from_list("own", [strength * np.array(to_rgb(c)) + 1 - strength for c in colours])


def plot_confusion(y_true: Any, y_pred: Any, classes: Sequence[str] | None = None, ax: Any = None) -> Any:
    """Return Axes with the counts of true classes (n,), by row, and predicted classes (n,), by column.

    The larger a cell's share of its row, the deeper its colour. `classes` are the classes' names. Raises DataError
    unless both are class indices of the same number.

    >>> import tinygrad_nn as tg
    >>> tg.plots.plot_confusion([0, 0, 1], [0, 1, 1]).get_title(loc="left")
    '2 of 3 right'
    """
    truth, found = np.ravel(_numbers(y_true)), np.ravel(_numbers(y_pred))
    both = np.concatenate([truth, found])
    right = len(truth) == len(found) > 0 and ((both >= 0) & (both < _CLASSES)).all() and not (both % 1).any()
    if not right:
        raise errors.DataError(f"{len(truth)} classes, {len(found)} predictions; pass indices below {_CLASSES} of each")
    n = int(both.max()) + 1 if classes is None else len(classes)
    if both.max() >= n:
        raise errors.DataError(f"classes has {n} names, and there is a class {int(both.max())}; pass a name for each")
    counts = np.zeros((n, n), int)
    np.add.at(counts, (truth.astype(int), found.astype(int)), 1)
    shades = np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))  # so that 1 in 100 is seen
    with drawing(ax) as ax:
        signed = np.where(np.eye(n), -shades, shades)  # right in one colour, mistakes in the other
        ax.imshow(signed, cmap=_scale("C0", "white", "C1"), vmin=-1, vmax=1)
        for (row, column), count in np.ndenumerate(counts if n <= 20 else counts[:0]):
            colour = "white" if shades[row, column] > 0.7 else "#333333" if count else "#BBBBBB"
            ax.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
        _name_classes(ax, n, classes)
        ax.set(title=f"{np.trace(counts):,} of {len(truth):,} right", xlabel="predicted", ylabel="true")
    return ax


def _name_classes(ax: Any, n: int, classes: Sequence[str] | None) -> None:
    shown = range(0, n, -(-n // 20))
    names = [str(i if classes is None else classes[i]) for i in shown]
    ax.set(xticks=shown, yticks=shown, yticklabels=names)
    slant = {"rotation": 30, "ha": "right"} if sum(map(len, names)) > 50 else {}
    ax.set_xticks(shown, names, **slant)
    ax.grid(False)


def plot_predictions(y_true: Any, y_pred: Any, ax: Any = None) -> Any:
    """Return Axes with predictions (n,) or (n, outputs) over the truth, of that shape, and the line where they agree.

    Raises DataError unless both have the same number of entries, all finite.

    >>> import tinygrad_nn as tg
    >>> tg.plots.plot_predictions([0.0, 1.0, 2.0], [0.5, 1.0, 1.5]).get_title(loc="left")
    'Off by 0.408 (RMSE), R² 0.750'
    """
    truth, found = (np.atleast_1d(_numbers(y)).astype(float) for y in (y_true, y_pred))
    finite = truth.size and np.isfinite(truth).all() and np.isfinite(found).all()
    if not finite or truth.size != found.size or len(truth) != len(found):
        raise errors.DataError(f"predictions {found.shape} for the truth {truth.shape}; pass a finite one for each")
    truth, found = truth.reshape(len(truth), -1), found.reshape(len(truth), -1)
    error, spread = np.square(found - truth).sum(), np.square(truth - truth.mean(axis=0)).sum()
    explained = f", R² {1 - error / spread:.3f}" if spread else ""
    ends = np.array([min(truth.min(), found.min()), max(truth.max(), found.max())])
    ends += np.array([-0.04, 0.04]) * (np.ptp(ends) or 1)
    with drawing(ax) as ax:
        looks = {"s": 22 if truth.size < 1000 else 9, "alpha": 0.7 if truth.size < 1000 else 0.3, "linewidths": 0}
        for i, (x, y) in enumerate(zip(truth.T, found.T)):
            ax.scatter(x, y, color=f"C{i}", label=f"output {i}", **looks)
        ax.plot(ends, ends, color="#333333", linewidth=1.2, linestyle="--", zorder=3)
        if truth.shape[1] > 1:
            ax.legend()
        ax.set(title=f"Off by {np.sqrt(error / truth.size):.3g} (RMSE){explained}", xlabel="true", ylabel="predicted")
        ax.set(xlim=ends, ylim=ends, aspect="equal")
    return ax


def plot_weights(weights: Any, shape: tuple[int, int] | None = None, columns: int | None = None, ax: Any = None) -> Any:
    """Return Axes with weights (..., height, width), or (n, inputs) that make images of a shape, side by side.

    `columns` is the number of images in a row: for a convolution (out, in, height, width), `columns=in` gives each
    output its own row. All share one colour scale, in which white is 0. Images can be drawn as well. Raises DataError
    for shapes that are not images.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.plots.plot_weights(np.eye(9)).get_title(loc="left")
    '9 images of 3 × 3'
    """
    images = _numbers(weights).astype(float)  # whole numbers have sizes that they can't hold
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        height, width = [whole_number("each of shape", n, 0) for n in shape or (side, side)]
        if height * width != images.shape[1]:
            raise errors.DataError(f"{images.shape[1]} weights are no {height} x {width} image; pass shape=")
        images = images.reshape(len(images), height, width)
    if images.ndim < 3 or not images.size:
        raise errors.DataError(f"weights of shape {images.shape} are no images; pass (..., height, width)")
    images = images.reshape(-1, *images.shape[-2:])
    columns = math.ceil(math.sqrt(len(images))) if columns is None else whole_number("columns", columns)
    columns = min(columns, len(images))
    most = np.abs(images).max() or 1
    with drawing(ax) as ax:
        scale, least = (_scale("white", "C0"), 0) if images.min() >= 0 else (_scale("C0", "white", "C1"), -most)
        drawn = ax.imshow(_mosaic(images, columns), cmap=scale.with_extremes(bad="#CCCCCC"), vmin=least, vmax=most)
        ax.figure.colorbar(drawn, cax=ax.inset_axes((1.02, 0, 0.03, 1)))  # as high as the images
        ax.set_axis_off()
        ax.set(title=f"{len(images):,} images of {images.shape[1]} × {images.shape[2]}")
    return ax


def _mosaic(images: np.ndarray, columns: int) -> np.ndarray:
    """Return images (n, h, w) as one image, in rows of `columns`, with thin lines of nan between them."""
    times = -(-20 // max(images.shape[1:]))
    framed = np.pad(images.repeat(times, axis=1).repeat(times, axis=2), 1, constant_values=np.nan)
    n, h, w = len(images), *framed.shape[1:]
    rows = -(-n // columns)
    tiles = np.full((rows * columns, h, w), np.nan)
    tiles[:n] = framed[1:-1]
    return tiles.reshape(rows, columns, h, w).swapaxes(1, 2).reshape(rows * h, columns * w)
