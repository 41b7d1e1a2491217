"""Derivations as LaTeX that compiles, and as MathML that is XML; both by one printer."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from inspection.examples_of_graphs import EXAMPLES
from inspection.networks import figure_1
from slopes import leaf

import tinygrad_nn as tg
from tinygrad_nn.compiler.write.mathematics import LATEX, MATHML, Mathematics, latex_of, shown
from tinygrad_nn.inspection.graphs import Graph
from tinygrad_nn.testing import programs
from tinygrad_nn.testing.random_programs import Program

LINES = {
    "dLǀW1 = dLǀZ1.T @ X": r"\frac{\partial L}{\partial {W}_{1}}="
    r"{\left(\frac{\partial L}{\partial {Z}_{1}}\right)}^{\top }X",
    "dLǀb = Σ(dLǀZ * ǀ * Z2_2)": r"\frac{\partial L}{\partial b}=\sum \frac{\partial L}{\partial Z}\odot "
    r"{Z}_{\mathrm{2,2}}",
    "W2 = W_2": r"{W}_{2}=\mathrm{W\_2}",
    "y = window_maximum(x, windows=Windows(2))": r"y=\operatorname{window\_maximum}\left(x\right)",
    "dLǀZ = dLǀA * ǀ * relu__prime(Z)": r"\frac{\partial L}{\partial Z}=\frac{\partial L}{\partial A}\odot "
    r"{\operatorname{relu}}^{'}\left(Z\right)",
    "y = 2 * x ** 2 / (a + b)": r"y=\frac{2{x}^{2}}{a+b}",
    "y = (a + b) * c - d * (-e)":
    r"y=\left(a+b\right)\cdot c-d\cdot \left(-e\right)",
    "dZ = dA * (A > 0)": r"\mathrm{dZ}=\mathrm{dA}\cdot \left[A>0\right]",
    "y = np.sqrt(x) + np.abs(x)": r"y=\sqrt{x}+\left|x\right|",
    "y = x[1:].sum(axis=0)": r"y={\sum }_{\texttt{axis=0}}{x}_{\texttt{1:}}",
    "dL2ǀdLǀx = a_b": r"\frac{\partial {L}_{2}}{\partial \frac{\partial L}{\partial x}}=\mathrm{a\_b}",
    "x[1:] += y": r"\texttt{x[1:]\ +=\ y}",
    "y = x if a else b": r"y=\texttt{x\ if\ a\ else\ b}",
    "dLǀx = Σ(g) * ǀ * y + Σ(g)": r"\frac{\partial L}{\partial x}=\left(\sum g\right)\odot y+\sum g",
    "y = np.linalg.inv(x) // 2": r"y=\texttt{inv(x)\ //\ 2}",
    "y = np.linalg.inv(x)": r"y=\operatorname{inv}\left(x\right)",
}  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_lines_are_latex(line: str) -> None:
    assert Mathematics(LATEX).equation(line) == LINES[line]


@pytest.mark.parametrize("line", [*LINES, "y = a < b", "y = f('<&>')", "dLǀx = dLǀ_0_weight"])
def test_lines_are_mathml(line: str) -> None:
    tree = ET.fromstring(Mathematics(MATHML).equation(line))
    allowed = {"mrow", "mi", "mn", "mo", "mfrac", "msup", "msub", "msqrt", "mtext"}
    assert {element.tag for element in tree.iter()} <= allowed
    for element in tree.iter():
        assert len(element) == 2 or element.tag not in ("mfrac", "msup", "msub")
        assert not (element.text or "").strip() or element.tag in ("mi", "mn", "mo", "mtext")


def test_names_that_are_no_identifiers_are_shown_as_they_are() -> None:
    names = {"_0_weight": "0.weight", "W1": "W1"}
    assert Mathematics(MATHML, names).equation("_0_weight = W1").count("<mi>0.weight</mi>") == 1
    assert Mathematics(LATEX, names).equation("_0_weight = W1") == r"\mathrm{0.weight}={W}_{1}"


NAMES = {
    "a b": r"\mathrm{a\ b}",
    "α": r"\ensuremath{\alpha}",
    "Ω2": r"{\ensuremath{\Omega}}_{2}",
    "W^2": r"\mathrm{W\text{\textasciicircum}2}",
    "~\\": r"\mathrm{\text{\textasciitilde}\text{\textbackslash}}",
    "größe": r"\mathrm{grU+F6U+DFe}",
}


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_valid_in_a_formula(name: str) -> None:
    assert Mathematics(LATEX, {"x": name}).equation("x") == NAMES[name]


def test_a_derivation_is_what_the_comments_say_and_the_code_where_they_say_less() -> None:
    network, X, y = figure_1()

    @tg.compile
    def compiled(X: Any, y: Any) -> Any:
        return tg.autograd.grad(tg.binary_cross_entropy_with_logits(network.logits(X), y), network.parameters())

    compiled(X, y)
    lines = [shown(line) for line in compiled.explain().derivation]
    assert lines[0] == "L = loss"
    assert "dL/dW5 = dL/dZ5ᵀ · A4" in lines
    assert compiled.explain().to_latex().count("\\\\\n") == len(lines) - 1
    scattered = tg.compile(tg.grad(lambda x: (x[1:] * x[:2] * x.sum()).sum()))
    scattered(np.ones(3))
    last = [shown(line) for line in scattered.explain().derivation[-2:]]
    assert last == ["dL/dx = assigned1.copy()", "dL/dx[1:] = assigned1[1:] + dL/dpart1"]
    bounded = tg.compile(tg.grad(lambda x: (tg.clip(x, -1, 1) * np.sign(x)).sum()))
    bounded(np.ones(3))
    assert bounded.explain().derivation[-1].startswith("dx = "), "a line without a comment is left out"
    forward = tg.compile(lambda x: x * 2)
    forward(np.ones(2))
    with pytest.raises(tg.errors.CompileError, match="no backward pass to derive"):
        forward.explain().to_latex()


def test_a_derivation_has_one_notation_for_each_adjoint() -> None:
    """What is no adjoint of a value that is shown, as of a sum within a relu, is derived from adjoints, too."""
    model = tg.nn.Sequential(
        tg.nn.Linear(3, 4, seed=0), tg.nn.LayerNorm(4), tg.nn.ReLU(), tg.nn.Dropout(0.5), tg.nn.Linear(4, 3, seed=1)
    )
    step = tg.compile(lambda x: (model(x) ** 2).sum().backward())
    step(np.ones((2, 3)))
    lines = [shown(line) for line in step.explain().derivation]
    assert "dadd1 = dL/drelu1 ∘ (relu1 > 0)" in lines
    defined = [line.partition(" = ")[0] for line in lines]
    for line in lines:
        for name in re.findall(r"(?<![\w/])d(?!ivide)[a-z]\w*", line):
            assert name in defined, line
    assert "drelu" not in step.explain().to_latex()


def test_a_graph_without_a_backward_pass_has_nothing_to_derive() -> None:
    with pytest.raises(tg.errors.GradientError, match="no backward pass was watched"):
        tg.graph(leaf(1.0) * 2).to_latex()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_all_of_it_compiles(tmp_path: Path) -> None:
    texts = [make().to_latex() for make in EXAMPLES]
    texts.append(latex_of(f"{line} & % $ # _ {{ }} ~ ^ \\ é" for line in LINES))

    @settings(max_examples=30)
    @given(program=programs(max_steps=12))
    def drawn(program: Program) -> None:
        with tg.watch() as graph:
            program.run([leaf(x) for x in program.inputs]).backward()
        texts.append(graph.to_latex())

    drawn()
    body = "\n\n".join(texts)
    begin = "\\documentclass{article}\\usepackage{amsmath}\\allowdisplaybreaks\\begin{document}"
    source = f"{begin}{body}\\end{{document}}"
    (tmp_path / "all.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, errors="replace")
    assert ran.returncode == 0, ran.stdout[-2000:]


def graph_of(function: Callable[..., Any], *inputs: Any) -> Graph:
    return tg.graph(function, *inputs)


def test_a_watched_derivation_adds_contributions_up() -> None:
    lines = graph_of(lambda x: (x * x + x).sum(), np.array([1.0, 2.0])).to_latex().splitlines()
    assert re.search(r"partial x}&=.*\+.*\+", lines[-2])
