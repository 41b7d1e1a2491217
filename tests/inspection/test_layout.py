"""Pictures: boxes apart, edges clear of boxes, few crossings, on drawn graphs and the examples' networks."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from inspection.examples_of_graphs import EXAMPLES, of_shared_module
from slopes import leaf

import tinygrad_nn as tg
from tinygrad_nn.inspection.graphs import Graph
from tinygrad_nn.inspection.layout import Box, Edge, Point, apart, boxes_of, laid_out
from tinygrad_nn.testing import programs
from tinygrad_nn.testing.random_programs import Program

Segment = tuple[Point, Point]


def within(a: Box, b: Box) -> bool:
    return abs(a.x - b.x) + a.width / 2 <= b.width / 2 + 0.01 and abs(a.y - b.y) + a.height / 2 <= b.height / 2 + 0.01


def clash(a: Box, b: Box) -> bool:
    return abs(a.x - b.x) < (a.width + b.width) / 2 - 0.01 and abs(a.y - b.y) < (a.height + b.height) / 2 - 0.01


def check_boxes(root: Box, ways: dict[Edge, list[Point]]) -> None:
    """Assert that boxes overlap only with what they hold, and that edges pass through no box but their groups."""
    for box in root.walk():
        assert all(within(inner, box) for inner in box.inner)
        assert not any(clash(a, b) for a, b in itertools.combinations(box.inner, 2))
    shown = [box for box in root.walk() if not box.inner]
    for (begin, end), points in ways.items():
        assert points[0] == (begin.x, begin.y + begin.height / 2)
        assert points[-1] == (end.x, end.y - end.height / 2)
        for x, y in sampled(points):
            assert not any(
                abs(x - b.x) < b.width / 2 - 0.01 and abs(y - b.y) < b.height / 2 - 0.01
                for b in shown
                if b not in (begin, end)
            )


def sampled(points: list[Point]) -> Iterator[Point]:
    """Yield points on the curves that are drawn, which leave and reach each given point vertically."""
    for (a, b), (c, d) in itertools.pairwise(points):
        for t in np.linspace(0, 1, 9):
            yield a + (c - a) * (3 * t**2 - 2 * t**3), b + (d - b) * (1.5 * (t - t**2) + t**3)


def crossed(segments: list[Segment]) -> int:
    """Return how many pairs of segments cross."""

    def side(a: Point, b: Point, c: Point) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    count = 0
    for (a, b), (c, d) in itertools.combinations(segments, 2):
        if len({a, b, c, d}) == 4:
            count += side(a, b, c) * side(a, b, d) < -1e-6 and side(c, d, a) * side(c, d, b) < -1e-6
    return count


def segments_of(ways: dict[Edge, list[Point]]) -> list[Segment]:
    return [pair for points in ways.values() for pair in itertools.pairwise(points)]


def naive(root: Box, ways: dict[Edge, list[Point]]) -> list[Segment]:
    """Return straight edges between boxes in layers by depth, each layer in the order of execution."""
    shown = [box for box in root.walk() if not box.inner]
    depth: dict[Box, int] = {}
    for box in sorted(shown, key=lambda b: b.members[-1].number):
        depth[box] = 1 + max((depth[a] for a, b in ways if b is box), default=0)
    rows: dict[int, list[Box]] = {}
    for box in shown:
        rows.setdefault(depth[box], []).append(box)
    place = {box: (100.0 * (i - len(row) / 2), 100.0 * d) for d, row in rows.items() for i, box in enumerate(row)}
    return [(place[a], place[b]) for a, b in ways]


def drawn(graph: Graph) -> tuple[Box, dict[Edge, list[Point]]]:
    root = boxes_of(graph.nodes)
    return root, laid_out(root)


@pytest.mark.parametrize("example", EXAMPLES)
def test_boxes_do_not_overlap_and_edges_pass_beside_them(example: Callable[[], Graph]) -> None:
    root, ways = drawn(example())
    check_boxes(root, ways)
    assert crossed(segments_of(ways)) <= crossed(naive(root, ways))


COUNTS: list[tuple[int, int]] = []


@settings(max_examples=200)
@given(program=programs(max_steps=25))
def drawn_graph(program: Program) -> None:
    root, ways = drawn(tg.graph(program.run([leaf(x) for x in program.inputs])))
    check_boxes(root, ways)
    COUNTS.append((crossed(segments_of(ways)), crossed(naive(root, ways))))


@pytest.mark.slow
def test_two_hundred_drawn_graphs_have_no_overlaps_and_fewer_crossings() -> None:
    COUNTS.clear()
    drawn_graph()
    ours, theirs = (sum(counts) for counts in zip(*COUNTS, strict=True))
    print(f"\n{len(COUNTS)} graphs: {ours} crossings, {theirs} by a naive placement")
    assert len(COUNTS) >= 200
    assert ours < theirs / 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_beside_graphviz() -> None:
    """Graphviz lays the same graphs out with splines; compared are crossings of straight lines through its points."""
    for example in EXAMPLES:
        graph = example()
        _, ways = drawn(graph)
        text = subprocess.run(
            ["dot", "-Tplain"], input=graph.to_dot(), capture_output=True, text=True, check=True
        ).stdout
        theirs = []
        for line in text.splitlines():
            if line.startswith("edge"):
                numbers = [float(x) for x in line.split()[4 : 4 + 2 * int(line.split()[3])]]
                theirs += list(itertools.pairwise(zip(numbers[::2], numbers[1::2], strict=True)))
        ours = crossed(segments_of(ways))
        print(f"{example.__name__}: {ours} crossings, Graphviz {crossed(theirs)}")
        assert ours <= crossed(theirs) + 3


def test_places_are_nearest_to_the_wished_ones() -> None:
    assert apart([0.0, 100.0], [10, 10]) == [0, 100]
    assert apart([50.0, 50.0], [10, 30]) == pytest.approx([31, 69])  # 20 apart, and the gap of 18
    assert apart([5.0, 0.0, 200.0], [2, 2, 2]) == pytest.approx([-7.5, 12.5, 200])


def test_a_picture_is_xml_with_kinds_told_apart_and_names_that_cannot_be_markup() -> None:
    bad = '</text><script>alert("x")</script>'
    x = tg.tensor([1.0], requires_grad=True, name=bad)
    graph = tg.graph(lambda: (x * tg.as_tensor(np.ones(1))).sum())
    assert "<script" not in graph.to_svg()
    tree = ET.fromstring(graph.to_svg())
    groups = {g.get("class"): g for g in tree.iter("{http://www.w3.org/2000/svg}g")}
    shapes = [groups[kind][0] for kind in ("data", "parameter", "operation")]
    assert [shape.tag.rpartition("}")[2] for shape in shapes] == ["rect", "polygon", "rect"]
    assert [float(shape.get("rx", 0)) for shape in shapes] == [0, 0, float(shapes[2].get("height", 0)) / 2]
    assert len(shapes[1].get("points", "").split()) == 6
    assert graph._repr_svg_() == graph.to_svg()
    assert '\\")</script>' in graph.to_dot()


def test_large_graphs_are_collapsed_to_modules_and_then_to_rows() -> None:
    model = tg.nn.Sequential(*[tg.nn.Sequential(tg.nn.Linear(3, 3, seed=i), tg.nn.Tanh()) for i in range(40)])
    root, ways = drawn(tg.graph(lambda x: model(x).sum(), np.ones((2, 3))))
    check_boxes(root, ways)
    assert 40 <= sum(not box.inner for box in root.walk()) <= 150
    assert any(box.lines[1] == "3 nodes: 1 linear" for box in root.walk() if box.kind == "group" and not box.inner)
    y = leaf(np.ones(2))
    for _ in range(1000):
        y = y * 1.01 + 0.1
    root, ways = drawn(tg.graph(y))
    check_boxes(root, ways)
    assert len(root.inner) <= 150
    assert sum(len(box.members) for box in root.inner) == 2001


def test_a_module_that_is_called_again_has_another_frame() -> None:
    root, _ = drawn(of_shared_module())
    assert [box.lines[0] for box in root.inner if box.kind == "group"] == [
        "Linear"
    ] * 3  # the last two calls are in a row


def test_outputs_of_several_are_in_the_frame_of_their_module() -> None:
    layer = tg.nn.LSTM(3, 4, num_layers=2, seed=0)
    root, _ = drawn(tg.graph(lambda x: layer(x)[0].sum(), np.ones((5, 2, 3))))
    assert [box.lines[0] for box in root.inner if box.kind == "group"] == ["LSTM"]


@pytest.mark.slow
def test_a_hundred_thousand_nodes_are_drawn() -> None:
    y = leaf(np.ones(2))
    for _ in range(100_000):
        y = y * 1.0
    assert tg.graph(y).to_svg().count("<g ") <= 150
