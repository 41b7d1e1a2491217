"""The teaching form of a program: what it reads like, and that it computes the same on its own."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from explained import PURE, article_step, cross_entropy_step, draws
from listings import agree, run

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError

LISTING = Path(__file__).with_name("listing_of_the_article.txt")


def test_the_articles_network_reads_like_its_derivation_by_hand() -> None:
    step, X, Y = article_step()
    compiled = tg.compile(step)
    compiled(X, Y)
    assert compiled.explain() == LISTING.read_text(encoding="utf-8")


def test_the_articles_step_runs_from_its_text() -> None:
    """From dZ5 on it differs in the last bits: / 900 is * (1 / 900) in the trace, and sums are in another order."""
    step, X, Y = article_step()
    compiled = tg.compile(step)
    right = compiled(X, Y)
    net = dict(zip(step.__code__.co_freevars, step.__closure__, strict=True))["net"].cell_contents
    loss, gradients, parameters = run(compiled.explain())
    agree(loss, right)
    for name, p in net.named_parameters():
        agree(gradients[name], p.grad, 32)
        agree(parameters[name], p, 4)


@pytest.mark.parametrize("make", [tg.optim.SGD, tg.optim.Adam], ids=["SGD", "Adam"])
def test_softmax_and_cross_entropy_run_from_their_text(make: Any) -> None:
    lr = {"lr": 0.1, "momentum": 0.9} if make is tg.optim.SGD else {"lr": 0.1}
    compiled, net, right = cross_entropy_step(lambda parameters: make(parameters, **lr))
    listing = compiled.explain()
    inputs = dict(listing.inputs)
    result, gradients, parameters, state = run(listing)
    assert all(inputs[name] is x for name, x in listing.inputs.items())
    # The text starts where the trace did; the function was run once on it when the program was checked.
    agree(result, right, 8)
    for name, p in net.named_parameters():
        agree(gradients[name], p.grad, 8)
        agree(parameters[name], p, 8)
    assert next(iter(state)) == ("velocity1" if make is tg.optim.SGD else "step1")


def test_a_classifiers_text_says_what_one_says() -> None:
    text = cross_entropy_step(lambda parameters: tg.optim.Adam(parameters, lr=0.1))[0].explain()
    assert "    loss = softmax_cross_entropy(Z2, y) " in text
    assert "    dZ2 = (softmax(Z2) - (y[..., None] == np.arange(3))) / 6 " in text
    assert "    # dL/dZ1 = dL/dA1 ∘ tanh'(Z1)\n    dZ1 = dA1 * np.reciprocal(np.cosh(Z1)) ** 2 " in text
    assert "    accuracy = np.mean(Z2.argmax(axis=1) == y) " in text
    assert "    m1 = beta1 * m1 + (1 - beta1) * dW1 " in text
    assert "    W1 = W1 - multiply1 / (np.sqrt(v1) + eps * number1) " in text


@pytest.mark.parametrize("name", PURE)
def test_a_pure_function_runs_from_its_text(name: str) -> None:
    function, args = PURE[name]
    compiled = tg.compile(function)
    right = compiled(*args)
    agree(run(compiled.explain()), right, 8)


def test_gradients_of_arguments_have_their_names() -> None:
    function, args = PURE["least squares"]
    compiled = tg.compile(function)
    compiled(*args)
    body = compiled.explain().split("def gradient", 1)[1]
    assert (
        body
        == """(w, X, y):
    # forward
    subtract1 = X @ w - y           # (9,)
    loss = np.mean(subtract1 ** 2)  # ()

    # backward, L = loss
    # dL/dsubtract1 = 2 * subtract1 / 9
    dsubtract1 = 2 * subtract1 / 9  # (9,)
    # dL/dw = Xᵀ · dL/dsubtract1
    dw = X.T @ dsubtract1           # (3,)

    return dw
"""
    )


def test_a_recurrent_networks_text_is_backpropagation_through_time() -> None:
    function, args = PURE["a recurrent network"]
    compiled = tg.compile(function)
    compiled(*args)
    text = compiled.explain()
    assert re.search(r"    Z = h @ W +# \(4,\)\n", text)
    assert "    add1 = Z + part1 @ U " in text
    assert "    # dL/dA = dL/dadd2 · Wᵀ\n" in text
    assert "    # dL/dadd1 = dL/dA ∘ tanh'(add1)\n" in text
    assert "    # dL/dW = outer(A, dL/dadd2) + outer(h, dL/dadd1)\n" in text


def test_parameters_in_a_dict_have_the_names_of_their_keys() -> None:
    def network(parameters: Any, x: Any, y: Any) -> Any:
        h = np.maximum(x @ parameters["W1"] + parameters["b1"], 0)
        return ((tg.tanh(h @ parameters["W2"]) - y) ** 2).mean()

    compiled = tg.compile(tg.value_and_grad(network))
    parameters = {"W1": draws.randn(3, 4), "b1": draws.randn(4), "W2": draws.randn(4, 1)}
    compiled(parameters, draws.randn(9, 3), draws.randn(9, 1))
    text = compiled.explain()
    assert "def both(W1, b1, W2, x, y):" in text
    assert "    A1 = np.maximum(Z1, 0) " in text
    assert "    dZ1 = dA1 * (Z1 > 0) " in text
    assert "return (loss, {'W1': dW1, 'b1': db1, 'W2': dW2})" in text


def test_what_the_function_refers_to_has_the_users_names() -> None:
    slope = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    samples, labels = np.random.RandomState(0).randn(40, 3), np.zeros(40)

    def step() -> Any:
        slope.grad = None
        loss = ((samples @ slope - labels) ** 2).mean()
        loss.backward()
        return loss

    compiled = tg.compile(step)
    right = compiled()
    listing = compiled.explain()
    assert set(listing.inputs) == {"slope", "samples"}
    assert "    labels = np.zeros(40) " in listing
    loss, gradients = run(listing)
    agree(loss, right, 4)
    agree(gradients["slope"], slope.grad, 4)


def test_the_fast_form_has_the_same_names() -> None:
    step, X, Y = article_step()
    compiled = tg.compile(step)
    compiled(X, Y)
    source = compiled.source
    for line in ("(X, W1T, out=product1)", "(product1, b1, out=Z1)", "(dZ3, W3, out=dA2)", "(dZ3T, A2", "db3 = np."):
        assert line in source, line


def test_a_text_shows_as_it_is() -> None:
    compiled = tg.compile(lambda x: x * 2)
    compiled(np.ones(3))
    listing = compiled.explain()
    assert repr(listing) == str(listing)


def test_a_text_shows_on_a_terminal_that_knows_ascii_only(monkeypatch: pytest.MonkeyPatch) -> None:
    function, args = PURE["a recurrent network"]
    compiled = tg.compile(function)
    compiled(*args)
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, "ascii", write_through=True))
    print(compiled.explain())
    assert b"# dL/dA = dL/dadd2 @ W.T\n" in shown.getvalue()


def test_a_parameter_keeps_its_name_only_if_nobody_reads_the_old_one_afterwards() -> None:
    a, b = (tg.tensor(draws.randn(3), requires_grad=True) for _ in range(2))

    def step(x: Any) -> None:
        before = a.detach()
        with tg.no_grad():
            a[...] = a - x
            b[...] = b - before

    compiled = tg.compile(step)
    compiled(np.ones(3))
    listing = compiled.explain()
    assert "    new_a = a - x  # (3,)\n    b = b - a      # (3,)\n" in listing
    agree(run(listing), {"a": a, "b": b})


def test_the_sum_of_one_number_is_that_number() -> None:
    compiled = tg.compile(tg.grad(lambda x: (tg.grad(tg.log2)(x) * tg.grad(tg.log2)(x)).sum()))
    right = compiled(np.array(0.7))
    text = compiled.explain()
    agree(run(text), right, 4)
    assert "# update" not in text
    assert "backward, pass 3, L3 = multiply1\n" in text


def causal(q: Any, k: Any) -> Any:
    return (tg.softmax(np.where(np.tri(3) > 0, q @ k.T, -9.0)) @ k).sum()


@pytest.mark.parametrize(
    ("function", "shapes", "says", "says_not"),
    [
        (causal, [(3, 2), (3, 2)], ["np.tri(3, dtype=bool)", "np.ones((3, 2))", "dproduct1 @ k "], ".T.T"),
        (
            lambda a: tg.linalg.slogdet(a + 0.1 * np.eye(3))[1],
            [(3, 3)],
            ["slogdet1, loss = np.linalg", "0.1 * np.eye(3)"],
            "eye(3, 3",
        ),
        (lambda x: tg.cumprod(x).sum(), [(4,)], ["x[1:]", "backward, L = loss"], "True *"),
        (lambda x: tg.maximum((x**2).sum(axis=1) + 0.2, 0).mean(), [(5, 2)], ["dadd1 = 0.2 * (add1 > 0)"], "array("),
        (lambda x: x.min(axis=1).mean(), [(4, 3)], ["def gradient(x):"], "expand_dims1"),
        (tg.linalg.det, [(3, 3)], ["da = np.linalg.det(a)[..., None, None] * np.linalg.inv(a).T"], "multiply1"),
    ],
    ids=["causal", "slogdet", "cumprod", "maximum", "min", "det"],
)
def test_what_is_read_aloud(function: Any, shapes: Any, says: list[str], says_not: str) -> None:
    """No constant that stands nowhere, no factor of one, no transpose of a transpose, and the loss."""
    rng = np.random.default_rng(3)
    arrays = [rng.uniform(0.5, 2.0, shape) for shape in shapes]
    gradient = tg.grad(function, tuple(range(len(arrays))))
    compiled = tg.compile(gradient)
    right = compiled(*arrays)
    text = compiled.explain()
    body = text.partition("def gradient")[2]
    assert [part for part in [*says, "loss = "] if part not in text] == []
    assert says_not not in body
    assert len(text.inputs) == len(arrays)
    agree(run(text), right, 64)


def test_what_decides_is_said() -> None:
    compiled = tg.compile(lambda x, k: x * k if k > 1 else x)
    compiled(np.ones(3), 2.0)
    assert "x * k" in compiled.explain() or "k * x" in compiled.explain()
    compiled = tg.compile(lambda x, k: x * 2 if k else x)
    compiled(np.ones(3), 2.0)
    assert "Traced with k = 2.0, by which the function decides." in compiled.explain()


def test_a_function_that_was_not_called_has_no_text() -> None:
    with pytest.raises(CompileError, match=r"call it once"):
        tg.compile(lambda x: x).explain()
