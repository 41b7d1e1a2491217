"""Graphs that tests draw and make pages of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from inspection.networks import figure_1, sequence
from slopes import leaf

import tinygrad_nn as tg
from tinygrad_nn.inspection.graphs import Graph


def of_figure_1() -> Graph:
    network, X, y = figure_1()
    return tg.graph(lambda X: tg.binary_cross_entropy(network(X), y), X)


def of_sequence() -> Graph:
    model = sequence()
    return tg.graph(lambda X: tg.mse_loss(model(X), np.zeros((4, 1))), np.ones((4, 2)))


def of_attention() -> Graph:
    layer = tg.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, seed=0)
    return tg.graph(lambda x: layer(x).sum(), np.random.default_rng(0).normal(size=(2, 5, 8)))


def of_shared_module() -> Graph:
    layer, other = tg.nn.Linear(3, 3, seed=0), tg.nn.Linear(3, 3, seed=1)
    return tg.graph(lambda x: (layer(other(layer(x))) + layer(x)).sum(), np.ones((2, 3)))


def of_convolutions() -> Graph:
    model = tg.nn.Sequential(
        tg.nn.Conv2d(1, 2, 3, seed=0), tg.nn.BatchNorm2d(2), tg.nn.ReLU(), tg.nn.MaxPool2d(2), tg.nn.Flatten(),
        tg.nn.Linear(18, 3, seed=1),
    )  # fmt: skip
    return tg.graph(
        lambda x: tg.cross_entropy(model(x), np.array([0, 2])), np.random.default_rng(0).normal(size=(2, 1, 8, 8))
    )


def of_recurrent() -> Graph:
    model = tg.nn.GRU(3, 4, seed=0)
    return tg.graph(lambda x: model(x)[0].sum(), np.ones((5, 2, 3)))


EXAMPLES: list[Callable[[], Graph]] = [
    of_figure_1,
    of_sequence,
    of_attention,
    of_shared_module,
    of_convolutions,
    of_recurrent,
]


def page_of(graph: Graph, path: Path) -> str:
    graph.to_html(path)
    return path.read_text(encoding="utf-8")


def watched_figure_1() -> Graph:
    network, X, y = figure_1()
    with tg.watch() as graph:
        loss = tg.binary_cross_entropy(network(X), y)
        loss.backward()
    return graph


def twice() -> Graph:
    a = leaf(1.0)
    with tg.watch() as graph:
        b = a + a
        c = b + b
        c.backward()
    return graph


def single() -> Graph:
    return tg.graph(leaf(3.0))


def large() -> Graph:
    W, x = leaf(np.linspace(-1, 1, 200).reshape(20, 10)), np.linspace(0, 2, 10)
    with tg.watch() as graph:
        h = tg.tanh(W @ x)
        tg.sqrt(h * h + 1).sum().backward()
    return graph


def with_wide_names() -> Graph:
    """Return a graph with names of the widest letters, and large complex values."""
    names = ["W" * 24, "M@W%" * 6, "\N{GRINNING FACE}" * 24, "\N{FULLWIDTH LATIN CAPITAL LETTER W}" * 12, "i" * 24]
    layer = type("W" * 24, (tg.nn.Module,), {"forward": lambda self, x: x * 2})()
    with tg.watch() as graph:
        for name in names:
            layer(tg.tensor(np.full(60, 1j), name=name))
            layer(tg.tensor(np.ones(2), requires_grad=True, name=name)).sum().backward()
    return graph


PAGES: list[Callable[[], Graph]] = [watched_figure_1, twice, large, single, with_wide_names, *EXAMPLES]
