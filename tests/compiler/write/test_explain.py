"""The teaching form of a program: what it reads like, and that it computes the same on its own."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from listings import agree, run

import tinygrad_nn as tg
from tinygrad_nn.errors import CompileError

LISTING = Path(__file__).with_name("listing_of_the_article.txt")
ARTICLE = [2, 25, 50, 50, 25, 1]


def layers(sizes: list[int], last: str, inner: str = "relu") -> list[dict[str, Any]]:
    pairs = list(itertools.pairwise(sizes))
    return [{"input_dim": k, "output_dim": n, "activation": inner} for k, n in pairs[:-1]] + [
        {"input_dim": pairs[-1][0], "output_dim": pairs[-1][1], "activation": last}
    ]


def article_step() -> tuple[Any, np.ndarray, np.ndarray]:
    """Return the article's training step on its network, and data for it."""
    net = tg.nn.DenseNetwork(layers(ARTICLE, "sigmoid"), seed=2)
    optimizer = tg.optim.SGD(net.parameters(), lr=0.01)
    generator = np.random.RandomState(0)

    def step(X: Any, Y: Any) -> Any:
        optimizer.zero_grad()
        loss = tg.binary_cross_entropy_with_logits(net.logits(X), Y)
        loss.backward()
        optimizer.step()
        return loss

    return step, generator.randn(900, 2), (generator.rand(900, 1) > 0.5) * 1.0


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


def classify(optimizer: Any, net: Any) -> Any:
    def step(X: Any, y: Any) -> Any:
        optimizer.zero_grad()
        z = net.logits(X)
        loss = tg.cross_entropy(z, y)
        loss.backward()
        optimizer.step()
        return {"loss": loss, "accuracy": (np.argmax(z, axis=1) == y).mean()}

    return step


def cross_entropy_step(make: Any) -> tuple[Any, Any, Any]:
    """Return a compiled step that has a program, its network, and its last result."""
    net = tg.nn.DenseNetwork(layers([4, 5, 3], "softmax", "tanh"), seed=1)
    generator = np.random.RandomState(3)
    X, y = generator.randn(6, 4), generator.randint(0, 3, 6)
    compiled = tg.compile(classify(make(net.parameters()), net))
    compiled(X, y)
    return compiled, net, compiled(X, y)


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
    assert "    loss = np.mean(cross_entropy(Z2, y)) " in text
    assert "    dZ2 = (softmax(Z2, axis=1) - (y[..., None] == np.arange(3))) / 6 " in text
    assert "    # dL/dZ1 = dL/dA1 ∘ tanh'(Z1)\n    dZ1 = dA1 * (1 - A1 * A1) " in text
    assert "    accuracy = np.mean(Z2.argmax(axis=1) == y) " in text
    assert "    m1 = beta1 * m1 + (1 - beta1) * dW1 " in text
    assert "    W1 = W1 - lr / (1 - beta1 ** step1) * m1 / add1 " in text


def picked(x: Any, w: Any) -> Any:
    h = tg.where(x > 0, tg.exp(x), x * w[None, :])
    return (h[1:, [0, 2, 0]] * h[0, 1]).sum() + tg.sum(w**2) + (tg.sigmoid(h) @ w).mean()


def cubic(x: Any) -> Any:
    return tg.sum(tg.tanh(x) ** 3 * x)


draws = np.random.RandomState(7)
PURE: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "gradient with broadcasting, where, indices": (tg.grad(picked, (0, 1)), (draws.randn(4, 3), draws.randn(3))),
    "hvp": (lambda x, v: tg.hvp(cubic, (x,), (v,)), (draws.randn(3), draws.randn(3))),
    "gradient of a gradient": (tg.grad(lambda x: tg.sum(tg.grad(cubic)(x) * tg.sin(x))), (draws.randn(3),)),
    "float32 and a number": (
        tg.value_and_grad(lambda x, k: tg.sum(tg.sigmoid(x * k) / 3 + tg.cumsum(x) * 1e-3)),
        (draws.randn(5).astype(np.float32), 2.0),
    ),
    "distances, no gradient": (
        lambda a, b: {"d": tg.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1)), "pair": (a, -b[0])},
        (draws.randn(4, 2), draws.randn(5, 2)),
    ),
    "parentheses": (
        lambda x, y: (
            x - (y - x),
            x / (y / x),
            (x / y) / x,
            -((x + y) ** 2),
            (-x) ** 2,
            2.0 ** (x**y),
            (x < y) == (y < 0.5),
        ),
        (draws.rand(4), draws.rand(4)),
    ),
    "inverse and determinant": (
        tg.grad(lambda A: tg.linalg.slogdet(A)[1] + tg.linalg.inv(A).sum()),
        (draws.randn(3, 3),),
    ),
    "assignment": (tg.grad(lambda x: tg.sum(assigned(x) ** 2)), (draws.randn(4),)),
    "least squares": (tg.grad(lambda w, X, y: ((X @ w - y) ** 2).mean()), (draws.randn(3), draws.randn(9, 3), 1.0)),
}


def recurrent(W: Any, U: Any, x: Any, h: Any) -> Any:
    for t in range(2):
        h = tg.tanh(h @ W + x[t] @ U)
    return (h**2).sum()


def attention(Wq: Any, Wk: Any, Wv: Any, x: Any) -> Any:
    return (tg.softmax((x @ Wq) @ (x @ Wk).T / 2.0) @ (x @ Wv)).sum()


PURE["a recurrent network"] = (
    tg.grad(recurrent, (0, 1)),
    (draws.randn(4, 4), draws.randn(2, 4), draws.randn(2, 2), draws.randn(4)),
)
PURE["attention"] = (
    tg.grad(attention, (0, 1, 2)),
    (draws.randn(4, 4), draws.randn(4, 4), draws.randn(4, 3), draws.randn(5, 4)),
)


def assigned(x: Any) -> Any:
    y = x * 2
    y[1:3] = x[0]
    return y * x


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
    body = compiled.explain().split("def step", 1)[1]
    assert (
        body
        == """(w, X, y):
    # forward
    subtract1 = X @ w - y           # (9,)

    # backward
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
    assert "    A = np.tanh(Z + part1 @ U) " in text
    assert "    # dL/dA = dL/dadd1 · Wᵀ\n" in text
    assert "    # dL/dadd2 = dL/dA ∘ tanh'(add2)\n" in text
    assert "    # dL/dW = outer(A, dL/dadd1) + outer(h, dL/dadd2)\n" in text


def test_parameters_in_a_dict_have_the_names_of_their_keys() -> None:
    def network(parameters: Any, x: Any, y: Any) -> Any:
        h = np.maximum(x @ parameters["W1"] + parameters["b1"], 0)
        return ((tg.tanh(h @ parameters["W2"]) - y) ** 2).mean()

    compiled = tg.compile(tg.value_and_grad(network))
    parameters = {"W1": draws.randn(3, 4), "b1": draws.randn(4), "W2": draws.randn(4, 1)}
    compiled(parameters, draws.randn(9, 3), draws.randn(9, 1))
    text = compiled.explain()
    assert "def step(W1, b1, W2, x, y):" in text
    assert "    A1 = np.maximum(Z1, 0) " in text
    assert "    dZ1 = dA1 * (Z1 > 0) " in text
    assert 'return loss, {"W1": dW1, "b1": db1, "W2": dW2}' in text


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
    for line in (
        "(X, W1T, out=Z1)",
        "(Z1, b1, out=Z1)",
        "(dZ3, W3, out=dA2)",
        "(dZ3T, A2, out=dW3)",
        ", dZ3, out=db3)",
    ):
        assert line in source, line


def test_a_text_shows_as_it_is() -> None:
    compiled = tg.compile(lambda x: x * 2)
    compiled(np.ones(3))
    listing = compiled.explain()
    assert repr(listing) == str(listing)
    shown: list[str] = []
    listing._repr_pretty_(type("Printer", (), {"text": lambda self, text: shown.append(text)})(), False)
    assert shown == [listing]


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
