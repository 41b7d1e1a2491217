"""Teach a small transformer to sort letters: it reads "qpwobnci>" and writes "bcinopqw", one letter at a time.

    layers  passes over 20,000 strings  cost of a letter, in nats  right of 1,000  processor seconds
    2       2                           0.0326                     930             7
    2       5                           0.0036                     995             16
    2       10                          0.0008                     999             32
    1       10                          0.0105                     981             17

Measured from seed 0 on new strings; a string is right if it has no mistake (AMD EPYC, NumPy 2.4.6, one thread). The
program does what the second row shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shared

import tinygrad_nn as tg

LETTERS, LENGTH = "abcdefghijklmnopqrstuvwxyz", 8
SYMBOLS = LETTERS + ">"
NO_TARGET = -100  # a label that `tg.cross_entropy` leaves out


class Transformer(tg.nn.Module):
    """A network that scores the next letter at each place. Shapes: int (N, T) -> (N, T, 27)."""

    def __init__(self, seed: int, width: int = 64, layers: int = 2) -> None:
        generator = np.random.default_rng(seed)
        self.symbols = tg.nn.Embedding(len(SYMBOLS), width, seed=generator)
        self.places = tg.nn.Embedding(2 * LENGTH, width, seed=generator)
        self.layers = [
            tg.nn.TransformerEncoderLayer(
                width, nhead=4, dim_feedforward=2 * width, dropout=0.0, batch_first=True, norm_first=True,
                seed=generator,
            )
            for _ in range(layers)
        ]  # fmt: skip
        self.norm = tg.nn.LayerNorm(width)
        self.scores = tg.nn.Linear(width, len(SYMBOLS), seed=generator)

    def forward(self, codes: Any) -> Any:
        """Return the scores."""
        x, later = self.started(codes)
        for layer in self.layers:
            x = layer(x, later)
        return self.scores(self.norm(x))

    def started(self, codes: Any) -> tuple[Any, np.ndarray]:
        """Return the input of the first layer, and the mask that keeps each place from reading those after it."""
        length = codes.shape[1]
        return self.symbols(codes) + self.places(np.arange(length)), np.triu(np.ones((length, length), bool), k=1)

    def attention(self, codes: Any) -> np.ndarray:
        """Return each place's attention to each in the last layer, the mean of heads. Shapes: (N, T) -> (N, T, T)."""
        with tg.no_grad():
            x, later = self.started(codes)
            *others, last = self.layers
            for layer in others:
                x = layer(x, later)
            x = last.norm1(x)
            weights: np.ndarray = last.self_attn(x, x, x, attn_mask=later)[1].data
        return weights


def tasks(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs, "qpwobnci>bcinopq", and what comes next, "........bcinopqw", as codes, (count, 16) each."""
    strings = np.random.default_rng(seed).integers(len(LETTERS), size=(count, LENGTH))
    in_order, arrow = np.sort(strings, axis=1), np.full((count, 1), SYMBOLS.index(">"))
    unknown = np.full((count, LENGTH), NO_TARGET)
    return np.hstack([strings, arrow, in_order[:, :-1]]), np.hstack([unknown, in_order])


def write(model: Transformer, questions: np.ndarray) -> np.ndarray:
    """Return the answers; each letter is the most likely one after those before it. int (N, 9) -> int (N, 8)."""
    codes = questions
    for _ in range(LENGTH):
        following = tg.predict(model, codes)[:, -1].argmax(axis=1)
        codes = np.hstack([codes, following[:, None]])
    return codes[:, -LENGTH:]


def text(codes: np.ndarray) -> str:
    """Return codes as text."""
    return "".join(SYMBOLS[code] for code in codes)


def picture(model: Transformer, question: np.ndarray) -> Any:
    """Return a figure that shows where the last layer looks while it writes each letter."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4))
    ax, codes = figure.subplots(), np.append(question, write(model, question[None])[0])
    drawn = ax.imshow(model.attention(codes[None, :-1])[0, LENGTH:], cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=ax, shrink=0.7, label="share of the attention")
    ax.set_xticks(range(2 * LENGTH), text(codes[:-1]))
    ax.set_yticks(range(LENGTH), text(codes[-LENGTH:]))
    ax.set(title="Where the last layer looks while it sorts", xlabel="what it reads", ylabel="what it writes next")
    ax.grid(False)
    return figure


def main() -> None:
    """Train on random strings, and print how many new ones are sorted without a mistake."""
    options = shared.options(__doc__, "transformer.png", quick="5,000 strings, 2 epochs, too few to sort them all")
    X, y = tasks(5_000 if options.quick else 20_000, seed=0)
    X_new, y_new = tasks(1_000, seed=1)
    model, epochs = Transformer(seed=0).astype(np.float32), 2 if options.quick else 5
    print(model.summary(X_new))
    optimizer = tg.optim.Adam(model.parameters(), lr=0.003)
    schedule = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    history = tg.train(
        model, X, y, epochs, batch_size=128, loss=tg.cross_entropy, optimizer=optimizer, scheduler=schedule,
        validation=(X_new, y_new), metrics={"accuracy": tg.accuracy}, compile=True,
    )  # fmt: skip
    print(history)
    questions, truth = X_new[:, : LENGTH + 1], y_new[:, LENGTH:]
    answers = write(model, questions)
    for question, answer in zip(questions[:5], answers, strict=False):
        print(text(question) + text(answer))
    right = (answers == truth).all(axis=1)
    print(f"{right.sum()} of {len(right):,} new strings are sorted without a mistake")
    shared.save(picture, model, questions[0], path=options.output)


if __name__ == "__main__":
    main()
