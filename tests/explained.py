"""Functions and training steps whose texts are read by tests."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import tinygrad_nn as tg

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
    """Return a compiled step that was called once, its network, and its result."""
    net = tg.nn.DenseNetwork(layers([4, 5, 3], "softmax", "tanh"), seed=1)
    generator = np.random.RandomState(3)
    X, y = generator.randn(6, 4), generator.randint(0, 3, 6)
    compiled = tg.compile(classify(make(net.parameters()), net))
    return compiled, net, compiled(X, y)


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
