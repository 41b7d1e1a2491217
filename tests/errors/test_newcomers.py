"""Mistakes of a first day: each gets an error whose text, or whose note, says what to write instead."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from remedies import REMEDY

import tinygrad_nn

tg: Any = tinygrad_nn  # without the types that forbid such calls
nn, optim = tg.nn, tg.optim
rng = np.random.default_rng(0)
X, y = rng.normal(size=(10, 3)), rng.integers(0, 2, 10)
w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
model = nn.Sequential(nn.Linear(3, 4, seed=0), nn.ReLU(), nn.Linear(4, 2, seed=1))


def train(*data: Any, **settings: Any) -> Any:
    rows, labels = data or (X, y)
    return tg.train(model, rows, labels, 1, progress=False, **{"loss": tg.cross_entropy, **settings})


def backward_twice() -> None:
    loss = (w * w).sum()
    loss.backward()
    loss.backward()


def without_recording() -> None:
    with tg.no_grad():
        loss = (w * w).sum()
    loss.backward()


def assign() -> None:
    w[0] = 2.0


def subtract() -> None:
    v = tg.ones(3, requires_grad=True)
    v -= 0.1


def add_to_array() -> None:
    a = np.ones(3)
    a += w


def grad_of_another_shape() -> None:
    w.grad = tg.ones(4)


class NoForward(tg.nn.Module):  # type: ignore[misc]
    def foward(self, x: Any) -> Any:
        return x


class NoSuper(tg.nn.Linear):  # type: ignore[misc]
    def __init__(self) -> None:
        self.size = 3


@tinygrad_nn.compile
def branch(x: Any) -> Any:
    return x if x.sum() > 0 else -x


MISTAKES: dict[str, list[Callable[[], Any]]] = {
    "gradients": [
        lambda: tg.tensor([1.0, 2.0]).sum().backward(),
        backward_twice,
        without_recording,
        lambda: (2 * w).backward(),
        lambda: tg.tensor([1, 2], requires_grad=True),
        assign,
        subtract,
        add_to_array,
        grad_of_another_shape,
        lambda: np.asarray(w),
        lambda: tg.grad(lambda x: 2 * x)(np.ones(3)),
        lambda: tg.grad(lambda x: x.sum())(np.array([1, 2])),
        lambda: tg.grad(lambda x: x.sum().item())(np.ones(3)),
        lambda: tg.grad((w * w).sum()),
        lambda: tg.hessian((w * w).sum()),
        lambda: tg.jvp(tg.sin, np.ones(2), np.ones(2)),
        lambda: tg.autograd.grad((w * w).sum(), [tg.ones(3)]),
        lambda: tg.autograd.backward((w * w).sum()),
        lambda: tg.autograd.Function,
        lambda: w.register_hook(3),
    ],
    "arrays": [
        lambda: tg.tensor("abc"),
        lambda: tg.tensor([[1, 2], [3]]),
        lambda: tg.zeros(2, 3),
        lambda: tg.ones(3).astype("flaot"),
        lambda: tg.ones((2, 3)) @ tg.ones((2, 3)),
        lambda: tg.ones((2, 3)) + tg.ones((2, 4)),
        lambda: tg.ones((2, 3)).reshape(4),
        lambda: tg.ones((2, 3)).sum(axis=2),
        lambda: tg.ones((2, 3)).sum(dim=1),
        lambda: tg.ones((2, 3)).sum(1, True),
        lambda: tg.concatenate(tg.ones(2), tg.ones(2)),
        lambda: tg.stack([tg.ones(2), tg.ones(3)]),
        lambda: tg.ones(2)[5],
        lambda: tg.ones(2)[1.0],
        lambda: float(tg.ones(3)),
        lambda: tg.ones(2) + None,
        lambda: np.fft.fft(w),
        lambda: tg.linalg.inv(tg.ones((2, 2))),
        lambda: tg.softmax(tg.ones((2, 2)), axis=3),
        lambda: tg.einsum("ij,jk", tg.ones((2, 3)), tg.ones((2, 3))),
    ],
    "networks": [
        lambda: model(np.ones((10, 5))),
        lambda: nn.Linear(3.0, 2),
        lambda: nn.Linear(3, 2, bais=False),
        lambda: nn.Linear(3, 2, dtype="flaot32"),
        lambda: nn.Linear(3, 2, seed="a"),
        lambda: nn.GRU(4, 3, batch_firts=True),
        lambda: nn.GRU(4, 3)(np.ones((2, 3, 5))),
        lambda: nn.Conv2d(1, 2, 3)(np.ones((8, 8))),
        lambda: nn.Conv2d(1, 2, 3)(np.ones((2, 3, 8, 8))),
        lambda: nn.Embedding(3, 2)(np.array([0.0])),
        lambda: nn.Embedding(3, 2)(np.array([3])),
        lambda: nn.BatchNorm1d(3)(np.ones((1, 3))),
        lambda: nn.Dropout(50),
        lambda: nn.Sequential([nn.Linear(3, 2)]),
        lambda: nn.Sequential(nn.Linear(3, 2), nn.ReLU),
        lambda: NoForward()(X),
        lambda: NoSuper()(X),
        lambda: nn.DenseNetwork([3, 4, 2]),
        lambda: model.load_state_dict({"weight": X}),
        lambda: nn.CrossEntropyLoss(model(X), y),
        lambda: nn.MSELoss(reduction="avg"),
        lambda: tg.cross_entropy(model(X), y.astype(float)),
        lambda: tg.cross_entropy(y, model(X)),
        lambda: tg.cross_entropy(model(X), y + 1),
        lambda: tg.cross_entropy(model(X), y[:, None]),
        lambda: tg.mse_loss(model(X)[:, :1], y),
        lambda: tg.binary_cross_entropy(model(X)[:, 0], y.astype(float)),
    ],
    "training": [
        lambda: optim.SGD(model, lr=0.1),
        lambda: optim.SGD(model.parameters, lr=0.1),
        lambda: optim.SGD([X], lr=0.1),
        lambda: optim.SGD([w], lr="0.1"),
        lambda: optim.SGD([w], lr=0.1, momentun=0.9),
        lambda: optim.Adam([w], betas=0.9),
        lambda: optim.lr_scheduler.StepLR(0.1, 3),
        lambda: optim.clip_grad_norm_(model, 1.0),
        lambda: train(X, y[:5]),
        lambda: train(X * np.nan, y),
        lambda: train(X, y.astype(float)),
        lambda: train(X[:, :2], y),
        lambda: train(loss=None),
        lambda: train(loss="cross_entropy"),
        lambda: train(optimizer="adam"),
        lambda: train(optimizer=optim.SGD([w])),
        lambda: train(metrics=["accuracy"]),
        lambda: train(validation=0.2),
        lambda: train(early_stopping=3),
        lambda: train(batch_sise=4),
        lambda: train(callbacks=[print]),
        lambda: tg.predict(X, model),
        lambda: tg.save(model, "model.npz"),
        lambda: tg.save("model.pt", model),
        lambda: tg.data.one_hot(X),
        lambda: tg.data.make_moons("10"),
        lambda: tg.data.random_split([1, 2, 3], [2, 2]),
        lambda: tg.data.train_test_split(X, y, "a fifth"),
    ],
    "programs and checks": [
        lambda: branch(np.ones(3)),
        lambda: branch.explain(),
        lambda: tg.compile(3),
        lambda: tg.compile(model)(X),
        lambda: tg.gradcheck(lambda x: x.sum(), np.array([1, 2])),
        lambda: tg.gradcheck((w * w).sum(), w),
        lambda: tg.diff_backprop((w * w).sum(), np.ones(3)),
        lambda: tg.vmap(tg.sin),
        lambda: w.unsqueeze(0),
        lambda: tg.Linear(3, 2),
        lambda: model.fit(X, y),
        lambda: nn.Dense(3),
    ],
}


@pytest.mark.parametrize(
    ("about", "index"), [(about, i) for about, found in MISTAKES.items() for i in range(len(found))]
)
def test_a_mistake_gets_one_sentence_with_the_remedy(
    about: str, index: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception) as raised:
        MISTAKES[about][index]()
    text = "; ".join([str(raised.value), *getattr(raised.value, "__notes__", ())])
    assert REMEDY.search(text), text
    assert "\n" not in str(raised.value)
    assert not re.search(r"\bhelp\([\w.]+\) tells", text) or REMEDY.search(str(raised.value)), text


def test_a_setting_that_is_misspelt_is_named_where_it_is_written() -> None:
    class Own(tg.nn.Linear):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(2, 3, bais=False)

    with pytest.raises(TypeError, match=r"^Own has no bais=; write bias=$"):
        Own()
    with pytest.raises(TypeError, match=r"^train has no batch_sise=; write batch_size=$"):
        train(batch_sise=4)
    with pytest.raises(TypeError, match=r"^Dropout has no q=; write p=, seed=$"):
        nn.Dropout(q=0.5)
