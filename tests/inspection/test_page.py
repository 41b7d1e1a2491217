"""The page: what stands in it, and, in a browser, that it steps, links, prints and can be read by everybody."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inspection.examples_of_graphs import large, page_of, twice, watched_figure_1
from slopes import leaf

import tinygrad_nn as tg
from tinygrad_nn import __main__ as program
from tinygrad_nn.inspection.graphs import Graph


class Text(HTMLParser):
    """Collects tags and what stands between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_of_figure_1_is_small_and_says_each_step(tmp_path: Path) -> None:
    page = page_of(watched_figure_1(), tmp_path / "page.html")
    assert len(page.encode()) < 150_000
    parsed = Text(page)
    assert parsed.tags.count("li") == 11 + 11 + 12
    for line in (
        "Z1 = X @ W1.T + b1",
        "A1 = np.maximum(Z1, 0)",
        "dW1 = dZ1.T @ X",
        "db1 = dZ1.sum(axis=0)",
        "dA4 = dZ5 @ W5",
    ):
        assert line in parsed.text
    assert parsed.text.count("tests/inspection/examples_of_graphs.py:") == 0
    assert parsed.text.count("examples_of_graphs.py:") == 22
    assert re.search(r"dA4 \* \(A4 > 0\).*?<dt>A4</dt>|<dt>A4</dt>(?:(?!<li).)*dA4 \* \(A4 &gt; 0\)", page, re.DOTALL)
    assert "loss = tg.binary_cross_entropy(network(X), y)" in parsed.text
    assert "right here, because no computed value is read in two ways" in parsed.text


def test_the_policy_allows_no_network_and_only_the_pages_own_script(tmp_path: Path) -> None:
    page = page_of(twice(), tmp_path / "page.html")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page.replace('src="data:', ""))
    assert re.findall(r"https?://[^\"'\s<]+", page) == ["http://www.w3.org/2000/svg"]


def test_the_naive_order_goes_wrong_where_a_value_is_read_twice(tmp_path: Path) -> None:
    text = Text(page_of(twice(), tmp_path / "page.html")).text
    assert "b hands on 1" in text
    assert "not yet ∂L/∂b = 2" in text
    assert "b gets 1 more, too late" in text
    assert "wrong: a" in text
    assert re.search(r"∂L/∂a, naive2\.?right4", text)


def test_the_naive_order_ends_however_many_ways_there_are(tmp_path: Path) -> None:
    x = leaf(1.0)
    with tg.watch() as graph:
        y = x
        for _ in range(60):
            y = y + y
        y.backward()
    page = page_of(graph, tmp_path / "page.html")
    assert page.count('<li id="naive-') == 60 + 59 + 1
    assert re.search(r"∂L/∂x, naive2\.?right1\.15\d*e\+18", Text(page).text)


def naive_order(graph: Graph, path: Path) -> str:
    return Text(page_of(graph, path)).text.partition("The naive order: depth first")[2]


def test_the_naive_order_is_not_shown_where_hooks_were_called(tmp_path: Path) -> None:
    x, called = leaf([1.0, 2.0]), list[Any]()
    with tg.watch() as graph:
        y = x * 2
        y.register_hook(called.append)
        y.sum().backward()
    assert naive_order(graph, tmp_path / "page.html") == ""
    assert len(called) == 1  # a page calls no hook again


def test_the_naive_order_passes_several_outputs(tmp_path: Path) -> None:
    a = leaf([[2.0, 0.0], [0.0, 3.0]])
    with tg.watch() as graph:
        w, v = tg.linalg.eigh(a)
        w.sum().backward()
    text = naive_order(graph, tmp_path / "page.html")
    assert "w hands on [1, 1]" in text
    assert "right here, because" in text
    with tg.watch() as graph:
        w, v = tg.linalg.eigh(a)
        (w.sum() + (v * np.array([[1.0, 2.0], [4.0, 3.0]])).sum()).backward()
    text = naive_order(graph, tmp_path / "page.html")
    assert re.search("eigh1 gets .* more, too late", text)
    assert "wrong: a" in text


def test_a_page_of_infinities_warns_of_nothing(tmp_path: Path) -> None:
    x = leaf(np.array([1.0, 2.0]))
    x.register_hook(lambda g: g * 1.0)
    with np.errstate(all="ignore"), tg.watch() as graph:
        h = x * np.inf
        (h - h * 1.0).sum().backward()
        total = (x * 1e308 * 10 - tg.log(x - 1)).sum()
        total.backward()
    graph.to_html(tmp_path / "page.html")
    str(graph), graph.to_latex(), graph.to_svg()
    assert not np.isfinite(x.grad_terms().total).all()


def test_contributions_are_added_up(tmp_path: Path) -> None:
    text = Text(page_of(twice(), tmp_path / "page.html")).text
    assert "db = dc" in text
    assert "db += dc" in text
    assert "contribution 2 of 2 to ∂L/∂b1.added up so far2." in text


def test_large_arrays_are_heat_maps_with_statistics(tmp_path: Path) -> None:
    page = page_of(large(), tmp_path / "page.html")
    assert 'alt="heat map of W"' in page
    assert "(20, 10), from -1 to 1, mean" in page
    assert "data:image/png;base64," in page


def test_a_node_of_several_outputs_has_its_rule_in_the_names_of_these(tmp_path: Path) -> None:
    x = leaf(np.random.default_rng(0).normal(size=(3, 2)))
    with tg.watch() as graph:
        q, r = tg.linalg.qr(x)
        loss = q.sum() + (r * r).sum()
        loss.backward()
    text = Text(page_of(graph, tmp_path / "page.html")).text
    assert "q, r = np.linalg.qr(x, 'reduced')" in text
    assert "dx = qr_vjp(dr, r, dq, q)" in text
    assert "def qr_vjp(dr, r, dq, q):" in text
    assert "q = qr1[0]" in text
    assert "dqr1[0] += dq" in text
    latex = graph.to_latex()
    assert r"qr\_vjp}\left(\frac{\partial L}{\partial r},r,\frac{\partial L}{\partial q},q\right)" in latex
    assert r"\operatorname{qr\_vjp}\left(\mathrm{dr},r,\mathrm{dq},q\right)&=" in latex
    assert "item" not in latex


def test_a_function_made_of_loops_has_a_sentence(tmp_path: Path) -> None:
    model = tg.nn.LSTM(2, 3, seed=0)
    with tg.watch() as graph:
        model(np.ones((4, 2, 2)))[0].sum().backward()
    text = Text(page_of(graph, tmp_path / "page.html")).text
    for name, sentence in {
        "lstm": "the states of all steps, and what the reverse pass reads: the cell states, if any, and the gates.",
        "lstm_backward": "the cotangents of the gates before their nonlinearity, and of the first state and cell.",
    }.items():
        assert re.search(rf'def {name}\([^)]*\):\n    """Return {sentence}"""', text)
    sentence = sentence.replace(" ", r"\ ")
    assert graph.to_latex().count(rf"\mathrm{{lstm\_backward}}&=\texttt{{{sentence}}} \\") == 1


def test_names_are_no_markup(tmp_path: Path) -> None:
    bad = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>'
    x = tg.tensor([1.0, 2.0], requires_grad=True, name=bad)
    graph = tg.graph(lambda: (x * x).sum())
    parsed = Text(page_of(graph, tmp_path / "page.html"))
    assert "img" not in parsed.tags
    assert parsed.tags.count("script") == 1


def test_too_many_nodes_are_refused(tmp_path: Path) -> None:
    y = leaf(1.0)
    for _ in range(700):
        y = y * 1.0
    with pytest.raises(ValueError, match=r"600 nodes at most, and this graph has 701; watch a smaller part"):
        tg.graph(y).to_html(tmp_path / "page.html")


def test_a_graph_that_was_not_watched_has_a_page_too(tmp_path: Path) -> None:
    x = leaf([1.0, 2.0])
    page = page_of(tg.graph(np.concatenate([x * x, x]).sum()), tmp_path / "page.html")
    for line in (
        "multiply1 = np.multiply(x, x)",
        "np.concatenate([multiply1, x], axis=0)",
        "np.sum(concatenate1, axis=(0,))",
    ):
        assert line in page


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "page.html"
    assert program.main(["graph", "--output", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    page = path.read_text(encoding="utf-8")
    text = Text(page).text
    assert text.count("__main__.py:") == 22
    assert text.count("loss = binary_cross_entropy(network(X), y)") == 22
    assert "def binary_cross_entropy(p, y):" in text
    assert "np.log1p(-p)" in text
    assert "def sigmoid(x):" in text
    assert "bernoulli" not in text
    adjoints = re.findall(r"<dt>(?:contribution . of . to )?∂L/∂(\w+)</dt><dd>(.*?)</dd>", page, re.DOTALL)
    assert len({name for name, _ in adjoints}) == 21
    assert [name for name, numbers in adjoints if not re.search("[1-9]", numbers)] == []  # a gradient comes to each
    with pytest.raises(SystemExit):
        program.main(["graph", "--output", str(tmp_path / "none" / "page.html")])
    assert "name a file in a folder that is there" in capsys.readouterr().err


def test_hooks_are_told(tmp_path: Path) -> None:
    x = leaf([1.0, 2.0])
    with tg.watch() as graph:
        y = x * 2
        y.register_hook(lambda g: g * 10)
        (y * y).sum().backward()
    text = Text(page_of(graph, tmp_path / "page.html")).text
    assert "added up so far[4. 8.]∂L/∂y, after its hooks[40. 80.]" in text
    assert "Reverse mode, step by step: sum1" in text
    assert r"{\partial y}&=\operatorname{hook}\left(" in graph.to_latex()


def test_a_second_derivative_has_a_page_too(tmp_path: Path) -> None:
    x = leaf([1.0, 2.0])
    with tg.watch() as graph:
        (slope,) = tg.autograd.grad((x**3).sum(), [x], create_graph=True)
        (slope * slope).sum().backward()
    assert "slope = multiply" in Text(page_of(graph, tmp_path / "page.html")).text


def test_what_is_infinite_huge_or_outside_a_domain_has_a_page_and_its_formulas(tmp_path: Path) -> None:
    x, huge = leaf(np.linspace(-1, 1, 100)), leaf(np.full(100, 1e308))
    with np.errstate(all="ignore"), tg.watch() as graph:
        (huge * (x / 0.0) + tg.log(x) + tg.arccosh(x)).sum().backward()
    text = Text(page_of(graph, tmp_path / "page.html")).text
    assert "mean inf" in text
    assert "log1 = np.log(x)" in text
    assert "dx += dlog1 / x" in text
    assert "_vjp" not in text


def test_a_graph_without_a_step_has_a_page_too(tmp_path: Path) -> None:
    with tg.watch() as empty:
        pass
    for graph in (empty, tg.graph(leaf(3.0))):
        assert "1. nothing was computed" in Text(page_of(graph, tmp_path / "page.html")).text


def test_a_heat_map_of_complex_numbers_shows_their_absolute_values(tmp_path: Path) -> None:
    with tg.watch() as graph:
        tg.tensor(np.full(60, 3j)) * 1
    assert "absolute values, (60,), from 3 to 3, mean 3" in page_of(graph, tmp_path / "page.html")


def test_what_can_not_be_compiled_alone_is_a_call_of_numpy(tmp_path: Path) -> None:
    text = Text(page_of(tg.graph(tg.nn.BatchNorm1d(2), np.eye(2)), tmp_path / "page.html")).text
    assert "= np.add(0, 1)" in text
    graph = tg.graph(lambda x, y: tg.copysign(x, y).sum(), np.ones(2), np.ones(2))
    assert "copysign1 = np.copysign(x, y)" in Text(page_of(graph, tmp_path / "page.html")).text
