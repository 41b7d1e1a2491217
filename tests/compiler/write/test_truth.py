"""Every comment of a text is true: the text alone is run, and each adjoint that it tells of is found by perturbation.

A value is moved where its line defines it, the lines from there to the loss are run again, and what the loss
gains, by central differences, is compared with what the commented line assigns.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from explained import PURE, article_step, cross_entropy_step
from hypothesis import given, settings
from listings import agree, run

import tinygrad_nn as tg
from tinygrad_nn.compiler.write.explain import Listing
from tinygrad_nn.testing import random_programs

_ADJOINT = re.compile(r"d(L\d*)/d(\w+|\(dL\d*/d(?:\w+|\(dL/d\w+\))\))")
_SEEDED = re.compile(r"backward.*, (L\d*) = (.*)")


@dataclass
class Step:
    """What a text computes: the statements, the comment above them, and the name, or names, that they assign."""

    name: str
    comment: str
    section: str
    code: list[Any] = field(default_factory=list)


class Run:
    """A text, statement by statement, run once on what it was traced with."""

    def __init__(self, listing: Listing) -> None:
        self.listing, lines = listing, listing.splitlines()
        tree = ast.parse(listing)
        function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == listing.name)
        tree.body.remove(function)
        self.known: dict[str, Any] = {}
        exec(compile(tree, "<listing>", "exec"), self.known)
        self.helpers = {*self.known}
        self.known |= listing.inputs
        self.losses: dict[str, tuple[str, int]] = {}
        self.steps: list[Step] = []
        self.after: list[dict[str, Any]] = []
        section, last = "", function.lineno
        for statement in function.body[:-1]:
            above = [lines[n].strip()[2:] for n in range(last, statement.lineno - 1) if lines[n].strip()[:2] == "# "]
            last = statement.end_lineno or last
            heading = next((text for text in above if re.match("forward|backward|afterwards|update", text)), None)
            section = section if heading is None else heading
            if found := _SEEDED.fullmatch(heading or ""):
                self.losses[found[1]] = found[2], len(self.steps)
            written = statement.targets[0] if isinstance(statement, ast.Assign) else None
            if isinstance(written, (ast.Name, ast.Tuple)):
                comment = above[-1] if above and above[-1] != heading else ""
                self.steps.append(Step(ast.unparse(written).strip("()"), comment, section))
            self.steps[-1].code.append(compile(ast.Module([statement], []), "<listing>", "exec"))
        now = dict(self.known)
        for step in self.steps:
            self.run(step, now)
            self.after.append(dict(now))

    def run(self, step: Step, now: dict[str, Any]) -> None:
        with np.errstate(all="ignore"):
            for code in step.code:
                exec(code, now)

    def defined(self, name: str, before: int) -> int:
        """Return the number of the step that defines what the text calls so, -1 for a parameter."""
        if name.startswith("("):
            found = [n for n in range(before) if self.steps[n].comment.split(" = ")[0] == name[1:-1]]
        else:
            found = [n for n in range(before) if name in self.steps[n].name.split(", ")]
        assert found or name in self.known, f"{name} is not defined above"
        return found[-1] if found else -1

    def perturbed(self, loss: str, at: int, name: str, x: Any) -> float:
        """Return the loss with another value instead of what a step defines."""
        text, end = self.losses[loss]
        now = dict(self.known if at < 0 else self.after[at])
        now[name] = x
        for step in self.steps[at + 1 : end]:
            self.run(step, now)
        return float(np.sum(eval(text, now)))

    def slope(self, loss: str, at: int, name: str, direction: Any, h: float) -> float:
        x = (self.known if at < 0 else self.after[at])[name]
        f = [self.perturbed(loss, at, name, x + k * h * direction) for k in (-2, -1, 1, 2)]
        return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h)


def check(listing: Listing) -> tuple[int, int]:
    """Assert that every comment is true; return how many lines of backward passes there are, and how many have one."""
    text = Run(listing)
    backward = [(n, step) for n, step in enumerate(text.steps) if step.section.startswith("backward")]
    rng = np.random.default_rng(0)
    for n, step in backward:
        for name in names_in(step.comment):
            known = {*text.known, *[name for s in text.steps[:n] for name in s.name.split(", ")], *text.helpers}
            assert name in known or hasattr(np, name) or hasattr(np.linalg, name), f"{name} in {step.comment!r}"
        for named in _ADJOINT.finditer(step.comment.replace("ᵀ", "")):
            text.defined(named[2], n)
        found = _ADJOINT.match(step.comment)
        if not found or found[1] not in text.losses:
            assert not step.comment.startswith("dL"), step.comment
            continue
        at = text.defined(found[2], n)
        name = text.steps[at].name if found[2].startswith("(") else found[2]
        x, g = (text.known if at < 0 else text.after[at])[name], text.after[n][step.name]
        assert np.shape(g) == np.shape(x), step.comment
        for _ in range(2):
            direction = rng.choice([-1.0, 1.0], np.shape(x)) * rng.uniform(0.5, 1, np.shape(x))
            right = float(np.sum(g * direction))
            slopes = [text.slope(found[1], at, name, direction, h) for h in (1e-3, 1e-5, 1e-7)]
            scale = float(np.sum(np.abs(g))) + abs(text.perturbed(found[1], at, name, x))
            if np.isfinite(right):
                error = min(abs(slope - right) for slope in slopes)
                assert error <= 1e-6 * scale + 1e-9, f"{step.comment}: {right}, but the loss says {slopes}\n{listing}"
    return len(backward), sum(bool(step.comment) for _, step in backward)


def names_in(comment: str) -> list[str]:
    """Return the names in a comment that stand for values or functions."""
    text = re.sub(r"\w+'(?=\()|'[^']*'", "", _ADJOINT.sub("", comment.removeprefix("for ").replace("ᵀ", "")))
    found = re.findall(r"(?<![\w.])([^\W\d]\w*)(?!\w|=[^=])", text)
    return [name for name in found if name not in ("None", "True", "False", "Σ")]


def compiled_on(function: Callable[..., Any], *args: Any) -> Listing:
    compiled = tg.compile(function)
    compiled(*args)
    return compiled.explain()


def nearly_all_have_one(counts: tuple[int, int]) -> None:
    lines, commented = counts
    assert commented >= 0.95 * lines, counts


@pytest.mark.parametrize("name", [name for name in PURE if "no gradient" not in name and "float32" not in name])
def test_the_comments_of_a_pure_function_are_true(name: str) -> None:
    function, args = PURE[name]
    if name not in ("hvp", "parentheses"):
        nearly_all_have_one(check(compiled_on(function, *args)))


def test_the_comments_of_the_articles_step_are_true() -> None:
    step, X, Y = article_step()
    nearly_all_have_one(check(compiled_on(step, X[:20], Y[:20])))


@pytest.mark.parametrize("make", [tg.optim.SGD, tg.optim.Adam], ids=["SGD", "Adam"])
def test_the_comments_of_a_classifiers_step_are_true(make: Any) -> None:
    compiled, _, _ = cross_entropy_step(lambda parameters: make(parameters, lr=0.1))
    nearly_all_have_one(check(compiled.explain()))


def test_two_losses_whose_gradients_add_up_are_two_passes() -> None:
    w = tg.tensor([0.5, -1.0, 2.0], requires_grad=True)
    w.name = "w"

    def step(x: Any) -> Any:
        w.grad = None
        first = (tg.tanh(w) * x).sum()
        first.backward()
        second = (tg.exp(w * x)).sum()
        second.backward()
        return first, second

    compiled = tg.compile(step)
    compiled(np.array([0.3, 0.7, -0.2]))
    text = compiled.explain()
    nearly_all_have_one(check(text))
    _, gradients = run(text)
    agree(gradients["w"], w.grad, 8)
    assert [line[6:] for line in text.splitlines() if "backward" in line] == [
        *("backward, L = loss", "backward, pass 2, L2 = loss_2")
    ]


def test_equal_expressions_have_adjoints_of_their_own() -> None:
    """The derivative by the first of them alone is neither that by the mean's argument nor that by both."""
    text = compiled_on(tg.grad(lambda x: ((x - x.mean()) ** 2 * tg.exp(x - x.mean())).sum()), np.array([0.1, 0.5, 1.2]))
    assert check(text) == (3, 3)
    assert "subtract1 = x - x.mean() " in text
    assert "np.exp(x - x.mean())" in text


def scaled_without_gradient(x: Any) -> Any:
    with tg.no_grad():
        scale = tg.exp(x * 2).sum()
    y = tg.tanh(x)
    return (y * y / scale).sum()


@pytest.mark.parametrize(
    ("function", "adjoints"),
    [
        (lambda x: (x * x.detach()).sum(), 0),
        (lambda x: (tg.exp(x) * tg.sin(tg.tanh(x).detach())).sum(), 0),
        (scaled_without_gradient, 1),
        (lambda x: tg.where(x > 0.3, tg.exp(x), tg.sin(x)).sum(), 2),
    ],
)
def test_what_is_detached_has_no_adjoint_that_perturbing_it_would_deny(function: Any, adjoints: int) -> None:
    text = compiled_on(tg.grad(function), np.array([0.1, 0.5, 1.2]))
    check(text)
    assert len(re.findall(r"# dL/d\w+ = ", text)) == adjoints


def layer_norm(x: Any, scale: Any, shift: Any) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / tg.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * scale + shift


draws = np.random.RandomState(11)
x, kernel = draws.randn(3, 4), draws.randn(2, 2, 3, 3)
LAYERS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    name: (getattr(tg, name), (x,))
    for name in (
        *("relu", "sigmoid", "tanh", "softplus", "silu", "gelu", "leaky_relu", "elu"),
        *("softmax", "log_softmax", "logsumexp", "max", "mean", "var", "std", "sort", "cumsum", "prod"),
    )
}
LAYERS |= {
    "linear": (tg.linear, (x, draws.randn(5, 4), draws.randn(5))),
    "layer norm": (layer_norm, (x, draws.randn(4), draws.randn(4))),
    "conv2d": (lambda x, w: tg.conv2d(x, w, padding=1), (draws.randn(2, 2, 5, 5), kernel)),
    "conv1d": (lambda x, w, b: tg.conv1d(x, w, b, stride=2), (draws.randn(2, 2, 7), draws.randn(3, 2, 3), np.ones(3))),
    "max_pool2d": (lambda x: tg.max_pool2d(x, 2), (draws.randn(2, 2, 4, 4),)),
    "avg_pool2d": (lambda x: tg.avg_pool2d(x, 2), (draws.randn(2, 2, 4, 4),)),
    "cross entropy": (lambda z: tg.cross_entropy(z, np.array([0, 3, 1])), (x,)),
    "binary cross entropy": (tg.binary_cross_entropy, (draws.rand(3, 4), draws.rand(3, 4))),
    "with logits": (tg.binary_cross_entropy_with_logits, (x, draws.rand(3, 4))),
    "squared errors": (tg.mse_loss, (x, draws.randn(3, 4))),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_comments_of_a_layer_are_true(name: str) -> None:
    layer, args = LAYERS[name]

    def loss(*args: Any) -> Any:
        y = layer(*args)
        return (y * y).sum() + y.sum()

    counts = check(compiled_on(tg.grad(loss, tuple(range(len(args)))), *args))
    nearly_all_have_one(counts)


@pytest.mark.parametrize("layer", [tg.nn.LSTM, tg.nn.GRU])
def test_the_comments_of_a_recurrent_layer_are_true(layer: Any) -> None:
    """Its kernels have several outputs, one line for all."""
    cell = layer(3, 4, seed=0)
    optimizer = tg.optim.SGD(cell.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (cell(x)[0] ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    nearly_all_have_one(check(compiled_on(step, draws.randn(2, 5, 3))))


DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"


@settings(max_examples=500 if DEEP else 60)
@given(random_programs.programs(min_steps=3, max_steps=12))
def test_the_comments_of_random_programs_are_true(program: Any) -> None:
    def loss(*inputs: Any) -> Any:
        return program.run(inputs)

    numbers = tuple(range(len(program.inputs)))
    nearly_all_have_one(check(compiled_on(tg.grad(loss, numbers), *program.inputs)))
