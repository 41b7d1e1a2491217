"""The experiment of the article "Let's code a Neural Network in plain NumPy", from its data to its pictures."""

from __future__ import annotations

import importlib.util
import pathlib
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import errors
from ..checking.gradients import gradcheck
from ..errors import DivergedError
from ..nn.dense import DenseNetwork
from ..nn.losses import binary_cross_entropy_with_logits
from . import plots
from .blas_threads import limited_blas, threads_for
from .cost import accuracy, evaluate
from .datasets import make_moons, train_test_split
from .history import History
from .loop import train

ARTICLE = "https://towardsdatascience.com/lets-code-a-neural-network-in-plain-numpy-ae7e74410795"
LAYERS = [(2, 25, "relu"), (25, 50, "relu"), (50, 50, "relu"), (50, 25, "relu"), (25, 1, "sigmoid")]
ARCHITECTURE: list[dict[str, Any]] = [{"input_dim": i, "output_dim": o, "activation": a} for i, o, a in LAYERS]
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


def say(*paragraphs: str) -> None:
    """Print paragraphs, wrapped between words to the width of the terminal."""
    for text in paragraphs:
        print(wrapped(text))
    sys.stdout.flush()


def wrapped(text: str) -> str:
    """Return the text in lines, broken between words, that fit the terminal."""
    columns = min(shutil.get_terminal_size().columns, 100)
    return textwrap.fill(text, columns, break_long_words=False, break_on_hyphens=False)


def can_draw() -> bool:
    """Return whether there is matplotlib for the pictures."""
    return importlib.util.find_spec("matplotlib") is not None


def run(options: Any, version: str) -> int:
    """Run the experiment with the options of `__main__`; return the exit code, 1 for a wrong gradient or divergence."""
    X, y = make_moons()
    X_train, X_test, y_train, y_test = train_test_split(X, y)
    test, labels = (X_test, y_test), y_train.reshape(-1, 1).astype(float)
    network = DenseNetwork(ARCHITECTURE, seed=options.seed)
    _introduce(network, options, version, X_train, X_test)
    with limited_blas(None, threads_for(len(X_train), network.parameters())):
        check = gradcheck(lambda net: binary_cross_entropy_with_logits(net.logits(X_train), labels), network)
        print(wrapped(f"gradient check OK: {check.covered}") if check else check, flush=True)
        try:
            history, states = _trained(network, options, X_train, y_train, test)
        except DivergedError as error:
            say(f"training diverged: {error}")
            return 1
    _report(network, history, options, test)
    if can_draw():
        for path in _pictures(network, history, states, options.output, X, y, test):
            print(f"wrote {path}")
    else:
        print(errors.missing("the pictures need matplotlib", "matplotlib"))  # a command is not wrapped
    return 0 if check else 1


def _introduce(network: DenseNetwork, options: Any, version: str, X_train: Any, X_test: Any) -> None:
    """Say what is about to happen, and to what network."""
    where = f", and draw into {options.output}/" if can_draw() else ""
    say(
        f'tinygrad_nn {version}: the experiment of "Let\'s code a Neural Network in plain NumPy" by Piotr Skalski',
        ARTICLE,
        "",
        f"Two moons: {len(X_train)} points to learn from, {len(X_test)} to test. Check the gradients numerically, "
        f"train {options.epochs:,} epochs{where}.",
        "",
        *network.summary().splitlines(),
        "",
    )


def _trained(
    network: DenseNetwork, options: Any, X_train: Any, y_train: Any, test: Any
) -> tuple[History, dict[int, Any]]:
    """Return the history, and for an animation the parameters after some 300 of the epochs."""
    states: dict[int, Any] = {}

    def remember(epoch: int, history: History) -> None:
        if epoch % max(options.epochs // 300, 1) == 0 or epoch == options.epochs - 1:
            states[epoch] = network.state_dict()

    on_epoch = remember if options.animate and can_draw() else None
    rate = options.learning_rate
    return train(network, X_train, y_train, options.epochs, rate, validation=test, on_epoch=on_epoch), states


def _report(network: DenseNetwork, history: History, options: Any, test: Any) -> None:
    """Print the costs at some epochs beside the article's, and what was learnt."""
    print()
    if options.seed == SEED and options.learning_rate == LEARNING_RATE:
        print(f"{'epoch':>6}  {'cost':<10}  {'by hand':<10}  off by")
        for epoch, by_hand in ARTICLE_COSTS.items():
            if epoch < len(history):
                cost = history.cost[epoch]
                print(f"{epoch:>6}  {cost:.8f}  {by_hand:.8f}  {abs(cost / by_hand - 1):.1e}")
        say("(by hand: the costs of the article's own code; off by: relative to them)")
    else:
        say("the article's costs are those of --seed 2 and --learning-rate 0.01, so none stand beside these")
    _, right = evaluate(network, *test)
    per_epoch = history.seconds / max(len(history), 1) * 1e3
    say("", f"test accuracy {right:.2f} after {len(history)} epochs, {per_epoch:.2f} ms each")


def _pictures(
    network: DenseNetwork, history: History, states: Any, folder: pathlib.Path, X: Any, y: Any, test: Any
) -> list[pathlib.Path]:
    pictures = {
        folder / "data.png": plots.plot_data(X, y),
        folder / "learning.png": plots.plot_history(history, held_out="test"),
        folder / "boundary.png": plots.plot_boundary(network.predict_proba, *test),
    }
    for path, ax in pictures.items():
        ax.figure.savefig(path)
    animated = [save_animation(network, states, history, test, folder / "learning.gif")] if states else []
    return [*pictures, *animated]


def worth_showing(epochs: Sequence[int], cost: Sequence[float]) -> list[int]:
    """Return at most 60 epochs: from where the cost has fallen by a hundredth of all that it falls, to the last."""
    fallen = cost[0] - np.array([cost[min(epoch, len(cost) - 1)] for epoch in epochs])
    first = max(int(np.argmax(fallen > fallen.max() / 100)) - 1, 0)
    return [epochs[i] for i in np.unique(np.linspace(first, len(epochs) - 1, _FRAMES).round().astype(int))]


def save_animation(
    network: DenseNetwork, states: Mapping[int, Any], history: History, test: Any, path: pathlib.Path
) -> pathlib.Path:
    """Write a GIF of the boundary while it is learnt, which holds its last frame, and return the path.

    `states` are the network's after epochs, in order, `test` the points X (n, 2) and y (n,); each title says the epoch,
    the cost before its update and how many test points are right after it.
    """
    X, y = test
    shown = worth_showing([*states], history.cost)
    with plots.drawing(None) as ax:
        from matplotlib.animation import PillowWriter

        writer = PillowWriter(fps=_FRAMES_PER_SECOND)
        with writer.saving(ax.figure, str(path), dpi=70):
            for epoch in [*shown, *[shown[-1]] * _HELD]:
                network.load_state_dict(states[epoch])
                right = accuracy(network.predict_proba(X), y)
                title = f"epoch {epoch + 1:,}: cost {history.cost[epoch]:.4f}, test accuracy {right:.2f}"
                ax.clear()
                plots.plot_boundary(network.predict_proba, X, y, ax, title)
                writer.grab_frame()
    return path
