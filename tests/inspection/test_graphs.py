"""A graph as a list: printed, looked into, and as large as they come."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from cases import CASES
from slopes import leaf

import tinygrad_nn as tg
from tinygrad_nn.inspection.graphs import Graph
from tinygrad_nn.tensor.declaring import PUBLIC


def test_a_graph_prints_who_reads_what() -> None:
    x = tg.tensor([1.0, -2.0], requires_grad=True, name="x")
    with tg.watch() as graph:
        y = x * 3.5
        loss = (y * y).sum()
    lines = str(graph).splitlines()
    assert lines[0].split() == ["#", "name", "operation", "shape", "dtype", "reads", "line", "value", "read", "by"]
    assert lines[2].split()[:6] == ["1", "y", "multiply", "(2,)", "float64", "x,"]
    assert lines[2].endswith("multiply1, multiply1")
    with tg.watch():
        loss.backward()
    assert "adjoint" not in str(graph).splitlines()[0] or x.grad is not None
    assert repr(graph) == "<graph of 4 nodes: 1 parameter, 3 operations>"
    assert [len(graph), graph[0].name, graph[-1 + len(graph)].name] == [4, "x", "loss"]
    assert repr(Graph()) == "<empty graph>"


def test_adjoints_are_printed_after_backward() -> None:
    x = tg.tensor([1.0, -2.0], requires_grad=True, name="x")
    loss = (x * x).sum()
    graph = tg.graph(loss)
    assert "adjoint" not in str(graph)
    loss.backward()
    assert "[2, -4]" in str(graph)


def test_a_node_that_is_not_there_says_so() -> None:
    graph = tg.graph(leaf(1.0) * 2)
    with pytest.raises(KeyError, match="print"):
        graph["nothing"]
    with pytest.raises(KeyError, match="this tensor"):
        graph[tg.tensor(1.0)]


def test_of_many_readers_the_first_are_named() -> None:
    x, y = leaf(1.0), leaf(2.0)
    for _ in range(13):
        y = y * x
    assert any(line.endswith("multiply11, multiply12, ... 13 in all") for line in str(tg.graph(y)).splitlines())


@pytest.mark.slow
def test_a_hundred_thousand_nodes_are_watched_and_print() -> None:
    x, y = leaf(np.ones(2)), leaf(np.ones(2))
    with tg.watch() as graph:
        for _ in range(100_000):
            y = y * x  # which is read by all
        y.sum().backward()
    lines = str(graph).splitlines()
    assert len(lines) == 100_004
    assert max(map(len, lines)) < 1_000


def test_memory_lists_what_is_kept_and_by_whom() -> None:
    X = np.ones((50, 4))
    W = tg.tensor(np.ones((4, 3)), requires_grad=True, name="W")
    h = tg.relu(X @ W)
    loss = (h * h).sum()
    graph = tg.graph(loss)
    memory = graph.memory()
    assert [(k.nbytes, k.shape) for k in memory] == [(1600, (50, 4)), (1200, (50, 3))]
    assert memory[0].by == ["matmul1 (a)"]
    assert memory[1].by == ["h (y)", "multiply1 (a)", "multiply1 (b)"]
    assert memory.nbytes == 2800
    assert str(memory).splitlines()[-1] == "2,800 bytes in 2 arrays"
    loss.backward()
    assert graph.memory() == ()


def test_memory_counts_views_once_and_a_watched_graph_keeps_no_more_for_the_pass() -> None:
    x = leaf(np.ones((6, 2)))
    with tg.watch() as graph:
        (x[:3] * x[3:] * x[:3].T.T).sum()
    assert [k.nbytes for k in graph.memory()] == [96, 48]


def test_memory_sees_what_a_checkpoint_keeps() -> None:
    x, W = leaf(np.ones((100, 3))), leaf(np.ones((3, 50)))
    h, e = tg.relu(x @ W), tg.exp(x)
    layer = tg.nn.Linear(3, 2, seed=0)
    parts: list[tuple[Any, set[Any]]] = [
        (lambda: tg.checkpoint(lambda h: tg.exp(h) * h)(h).sum(), {(100, 50)}),
        (lambda: tg.checkpoint(lambda *, of: tg.exp(of["h"]))(of={"h": h}).sum(), {(100, 50)}),
        (lambda: tg.checkpoint(lambda: tg.exp(h) * h)().sum(), {(100, 50)}),
        (lambda: tg.checkpoint(layer)(e).sum(), {(100, 3), (2, 3), (2,)}),
    ]
    for part, arrays in parts:
        y = part()
        graph = tg.graph(y)
        kept = {k.shape: k.by for k in graph.memory() if k.by != ["matmul1 (a)"] and k.shape != (3, 50)}
        assert arrays <= kept.keys()
        assert all("checkpoint1 (part)" in kept[shape] for shape in arrays)
        y.backward(retain_graph=True)
        graph = tg.graph(y)
    y.backward()
    assert graph.memory() == ()


def test_no_character_of_a_name_breaks_a_row_or_a_picture() -> None:
    x = tg.tensor(1.0, requires_grad=True, name="a\nb\x00\ud800c")
    graph = tg.graph(x * 2)
    assert graph[0].name == "a b  c"
    assert len(str(graph).splitlines()) == 3
    ET.fromstring(graph.to_svg())


def test_names_that_are_one_identifier_stay_apart() -> None:
    given = ["a.b", "a_b", "a b", "np", "lambda", "ϵ", "ε"]
    graph = tg.graph(lambda: sum(tg.tensor(1.0, requires_grad=True, name=name) * 2 for name in given))
    assert [node.name for node in graph if node.kind == "parameter"] == given
    latex = graph.to_latex()
    symbols = [node.symbol for node in graph]
    assert len({*symbols}) == len(graph)
    assert {"a_b", "a_b_2", "a_b_3", "np_2", "_lambda", "ε", "ε_2"} <= {*symbols}
    for shown in (r"\mathrm{a.b}", r"\mathrm{a\_b}", r"\mathrm{a\ b}"):
        assert latex.count(rf"\frac{{\partial L}}{{\partial {shown}}}&=") == 1


def test_operations_have_their_public_names() -> None:
    known = {*dir(tg), *dir(tg.linalg), "item"}
    own = {"bessel", "sinc_derivative", "mirrored_triangle", "window_sum", "class_entries"}  # parts of functions
    for case in itertools.chain(*[CASES.get(name, [])[:4] for name in PUBLIC]):
        with np.errstate(all="ignore"), tg.watch() as graph:
            case.results(case.leaves)
        assert {node.operation for node in graph if node.operation} <= known | own, case
    x, w = leaf(np.ones((1, 1, 4, 4))), leaf(np.ones((1, 1, 2, 2)))
    y = tg.max_pool1d(tg.conv2d(x, w)[0], 2)
    assert [node.operation for node in tg.graph(y)][2:5] == ["conv2d", "getitem", "max_pool1d"]


def test_an_empty_graph_is_drawn() -> None:
    with tg.watch() as graph:
        pass
    ET.fromstring(graph.to_svg())
    assert graph.to_dot() == "digraph {\n}\n"
