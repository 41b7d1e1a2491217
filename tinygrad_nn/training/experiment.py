"""The experiment of the article "Let's code a Neural Network in plain NumPy", from its data to its pictures."""

from __future__ import annotations

import importlib.util
import pathlib
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import errors
from ..checking.gradients import gradcheck
from ..errors import DivergedError
from ..nn.dense import DenseNetwork
from ..nn.losses import binary_cross_entropy_with_logits
from . import plots
from .blas_threads import limited_blas, threads_for
from .cost import evaluate
from .datasets import make_moons, train_test_split
from .history import History
from .loop import train
from .plots import Grid, boundary_into, new_axes, probability_grid, styled

ARTICLE = "https://towardsdatascience.com/lets-code-a-neural-network-in-plain-numpy-ae7e74410795"
LAYERS = [(2, 25, "relu"), (25, 50, "relu"), (50, 50, "relu"), (50, 25, "relu"), (25, 1, "sigmoid")]
ARCHITECTURE = [{"input_dim": i, "output_dim": o, "activation": a} for i, o, a in LAYERS]
ARTICLE_COSTS = {
    0: 0.6936484871866765,
    1: 0.6936453795732516,
    10: 0.6936171443380083,
    100: 0.6933371271884572,
    1000: 0.6910875862240591,
    2000: 0.6787465452541144,
    5000: 0.23821057694235312,
    9999: 0.07429314895274869,
}
EPOCHS, SEED, LEARNING_RATE = 10_000, 2, 0.01
_FRAMES, _FRAMES_PER_SECOND, _HELD = 60, 12, 24  # of the animation


def _columns() -> int:
    return shutil.get_terminal_size().columns


def say(*paragraphs: str) -> None:
    """Print paragraphs, wrapped between words to the width of the terminal."""
    for text in paragraphs:
        print(wrapped(text))
    sys.stdout.flush()


def wrapped(text: str) -> str:
    """Return the text in lines, broken between words, that fit the terminal."""
    return textwrap.fill(text, min(_columns(), 100), break_long_words=False, break_on_hyphens=False)


def can_draw() -> bool:
    """Return whether there is matplotlib for the pictures."""
    return importlib.util.find_spec("matplotlib") is not None


def run(options: Any, version: str) -> int:
    """Run the experiment with the options of `__main__`; return the exit code, 1 for a wrong gradient or divergence."""
    X, y = make_moons()
    split = X_train, X_test, y_train, y_test = train_test_split(X, y)
    network = DenseNetwork(ARCHITECTURE, seed=options.seed)
    parameters = network.parameters()
    labels = y_train.reshape(-1, 1).astype(float)
    _introduce(network, options, version, *split)
    with limited_blas(None, threads_for(len(X_train), parameters)):
        check = gradcheck(lambda net: binary_cross_entropy_with_logits(net.logits(X_train), labels), network)
        print(wrapped(f"gradient check OK: {check.covered}") if check else check, flush=True)
        try:
            history, frames = _trained(network, options, *split)
        except DivergedError as error:
            say(f"training diverged: {error}")
            return 1
    _report(network, history, options, X_test, y_test)
    if can_draw():
        for path in _pictures(network, history, frames, options.output, X, y, X_test, y_test):
            print(f"wrote {path}")
    else:
        print(errors.missing("the pictures need matplotlib", "matplotlib"))  # a command is not wrapped
    return 0 if check else 1


def _introduce(network: DenseNetwork, options: Any, version: str, X_train: Any, X_test: Any, *labels: Any) -> None:
    """Say what is about to happen, and to what network."""
    where = f", and draw into {options.output}/" if can_draw() else ""
    say(
        f'tinygrad_nn {version}: the experiment of "Let\'s code a Neural Network in plain NumPy" by Piotr Skalski',
        ARTICLE,
        "",
        f"Two moons: {len(X_train)} points to learn from, {len(X_test)} to test. Check the gradients numerically, "
        f"train {options.epochs:,} epochs{where}.",
        "",
    )
    summary = network.summary()
    if max(map(len, summary.splitlines())) <= _columns():
        print(summary, end="\n\n", flush=True)
    else:
        total = sum(p.size for p in network.parameters())
        say(f"{network!r}, {total:,} parameters", "")


def _trained(
    network: DenseNetwork, options: Any, X_train: Any, X_test: Any, y_train: Any, y_test: Any
) -> tuple[History, list[Frame]]:
    """Return the history of the training, and the boundary at 300 of its epochs if there is to be an animation."""
    frames: list[Frame] = []
    animated, last = options.animate and can_draw(), options.epochs - 1

    def remember(epoch: int, history: History) -> None:
        if animated and (epoch % max(options.epochs // 300, 1) == 0 or epoch == last):
            predict = network.predict_proba
            frames.append(Frame(epoch, probability_grid(predict, X_test), np.ravel(predict(X_test))))

    rate, test = options.learning_rate, (X_test, y_test)
    return train(network, X_train, y_train, options.epochs, rate, validation=test, on_epoch=remember), frames


def _report(network: DenseNetwork, history: History, options: Any, X_test: Any, y_test: Any) -> None:
    print()
    if options.seed == SEED and options.learning_rate == LEARNING_RATE:
        _costs(history)
    else:
        say("the article's costs are those of --seed 2 and --learning-rate 0.01, so none stand beside these")
    _, right = evaluate(network, X_test, y_test)
    per_epoch = history.seconds / max(len(history), 1) * 1e3
    say("", f"test accuracy {right:.2f} after {len(history)} epochs, {per_epoch:.2f} ms each")


def _costs(history: History) -> None:
    """Print the costs at some epochs beside the article's; in a narrow terminal, how far off they are."""
    wide = _columns() >= 66
    head = f"{'epoch':>6}  {'cost':<20}  {'by hand (the article)':<21}  difference"
    print(head if wide else f"{'epoch':>6}  {'cost':<9}  off by")
    for epoch, expected in ARTICLE_COSTS.items():
        if epoch < len(history):
            cost = history.cost[epoch]
            figures = f"{cost:<20.16g}  {expected:<21.16g}" if wide else f"{cost:<9.7f}"
            print(f"{epoch:>6}  {figures}  {abs(cost / expected - 1):.1e}")
    if not wide:
        say("(off by: relative to the costs of the article's own code)")


def _pictures(
    network: DenseNetwork, history: History, frames: Any, folder: pathlib.Path, X: Any, y: Any, X_test: Any, y_test: Any
) -> list[pathlib.Path]:
    pictures = {
        folder / "data.png": plots.plot_data(X, y),
        folder / "learning.png": plots.plot_history(history, held_out="test"),
        folder / "boundary.png": plots.plot_boundary(network.predict_proba, X_test, y_test),
    }
    for path, ax in pictures.items():
        ax.figure.savefig(path)
    animated = [save_animation(frames, history, X_test, y_test, folder / "learning.gif")] if frames else []
    return [*pictures, *animated]


class Frame(NamedTuple):
    """The boundary after an epoch's update: that of `plots.probability_grid`, and at the test points (n,)."""

    epoch: int
    grid: Grid
    at_points: np.ndarray


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
            wrong = (each.at_points > 0.5) != (np.ravel(y) > 0.5)
            ax.clear()
            boundary_into(each.grid, X, y, wrong, ax)
            cost = history.cost[each.epoch]
            ax.set(title=f"epoch {each.epoch + 1:,}: cost {cost:.4f}, test accuracy {1 - wrong.mean():.2f}")
            return []

        held = [*shown, *[shown[-1]] * _HELD]
        animation = FuncAnimation(ax.figure, draw, frames=held, init_func=lambda: [], blit=False)
        animation.save(path, writer=PillowWriter(fps=_FRAMES_PER_SECOND), dpi=70)
    return path
