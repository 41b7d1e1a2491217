"""Saved programs for any number of rows: what goes with them is told, and what does not is for its own shapes alone."""

from __future__ import annotations

import ast
import gc
import re
import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn

ALONE = """
import sys
sys.modules["tinygrad_nn"] = None
import numpy as np
sys.path.insert(0, sys.argv[1])
before = {*sys.modules}
import saved
assert {*sys.modules} - before == {"saved"}
given = np.load(sys.argv[1] + "/given.npz")
np.savez(sys.argv[1] + "/found.npz", **{name: saved.run(x) for name, x in given.items()})
"""


class Attentive(nn.Module):
    """Attention, then a recurrence over the steps, then a layer on the last of them."""

    def __init__(self) -> None:
        self.attention, self.recurrence = nn.MultiheadAttention(8, 2, seed=0), nn.LSTM(8, 6, batch_first=True, seed=1)
        self.last = nn.Linear(6, 2, seed=2)

    def forward(self, x: Any) -> Any:
        y, _ = self.attention(x, x, x)
        y, _ = self.recurrence(y)
        return self.last(y[:, -1])


def dense() -> tg.nn.DenseNetwork:
    sizes = [(4, 5, "tanh"), (5, 3, "softmax")]
    return tg.nn.DenseNetwork([{"input_dim": n, "output_dim": m, "activation": f} for n, m, f in sizes], seed=1)


def convolutional() -> nn.Module:
    layers = [nn.Conv2d(1, 4, 3, padding="same", seed=0), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(36, 3, seed=1), nn.LayerNorm(3))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "dense": (dense, (4,)), "convolutional": (convolutional, (1, 6, 6)), "attentive": (Attentive, (5, 8)),
}  # fmt: skip


def trained(network: nn.Module, shape: tuple[int, ...]) -> Any:
    """Return what predicts with a network that was trained a little, compiled and called once."""
    X = np.random.default_rng(0).normal(size=(6, *shape))
    optimizer = tg.optim.Adam(network.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        (network(X) ** 2).mean().backward()
        optimizer.step()
    network.eval()
    predict = tg.compile(lambda x: network(x).detach())
    predict(X)
    return predict


def alone(file: Path) -> dict[str, Any]:
    space: dict[str, Any] = {"__file__": str(file)}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), space)
    return space


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_predicts_for_any_rows_in_a_process_that_has_numpy_alone(name: str, tmp_path: Path) -> None:
    make, shape = NETWORKS[name]
    predict = trained(make(), shape)
    predict.save(tmp_path / "saved.py")
    assert [path.name for path in tmp_path.iterdir()] == ["saved.py"]
    rows = {f"n{n}": np.random.default_rng(n).normal(size=(n, *shape)) for n in (1, 7, 0, 6)}
    np.savez(tmp_path / "given.npz", allow_pickle=False, **rows)
    subprocess.run([sys.executable, "-I", "-c", ALONE, str(tmp_path)], check=True)
    with np.load(tmp_path / "found.npz") as found:
        for n, x in rows.items():
            np.testing.assert_array_equal(found[n], predict.function(x).data, err_msg=n)


def test_the_file_imports_numpy_alone_and_names_parameters_as_their_modules_do(tmp_path: Path) -> None:
    network = convolutional()
    trained(network, (1, 6, 6)).save(tmp_path / "saved.py")
    text = (tmp_path / "saved.py").read_text(encoding="utf-8")
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imports}
    assert "numpy" in modules
    assert modules - {"numpy"} <= sys.stdlib_module_names
    parameters = alone(tmp_path / "saved.py")["parameters"]
    for name, x in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(parameters[name], x)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RMSprop", "Adagrad"])
def test_one_call_is_enough_for_a_step_of_any_optimiser_and_it_takes_any_rows(name: str, tmp_path: Path) -> None:
    dtype: Any = np.float32 if name in ("SGD", "Adam") else np.float64
    network = dense().astype(dtype)
    optimizer = getattr(tg.optim, name)(network.parameters(), lr=0.1)

    def step(X: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = tg.cross_entropy(network.logits(X), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    compiled = tg.compile(step)
    rng = np.random.default_rng(0)
    compiled(rng.normal(size=(6, 4)).astype(dtype), rng.integers(0, 3, 6))
    compiled.save(tmp_path / "saved.py")
    space = alone(tmp_path / "saved.py")
    for n in (6, 3, 1, 11):
        X, y = rng.normal(size=(n, 4)).astype(dtype), rng.integers(0, 3, n)
        np.testing.assert_array_equal(space["run"](X, y), step(X, y).data)
    for key, p in network.named_parameters():
        np.testing.assert_array_equal(space["parameters"][key], p.data)


def test_a_step_with_batch_norm_takes_any_rows(tmp_path: Path) -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2, seed=0), nn.BatchNorm1d(2))
    optimizer = tg.optim.SGD(network.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        cost = (network(x) ** 3).mean()
        cost.backward()
        optimizer.step()
        return cost.detach()

    compiled, rng = tg.compile(step), np.random.default_rng(0)
    compiled(rng.normal(size=(6, 3, 2, 2)))
    compiled.save(tmp_path / "saved.py")
    space = alone(tmp_path / "saved.py")
    for n in (6, 3, 2, 21):
        x = rng.normal(size=(n, 3, 2, 2))
        np.testing.assert_allclose(space["run"](x), step(x).data, rtol=1e-12)
    for key, array in network.state_dict().items():
        np.testing.assert_allclose(space["parameters"][key], array, rtol=1e-12)


def test_a_mean_of_everything_is_one_for_any_rows_without_a_warning_about_none(tmp_path: Path) -> None:
    compiled = tg.compile(lambda x: (x.mean(), np.mean(x), x.mean(1), np.mean(x, dtype=np.float32), x.argmax()))
    compiled(np.ones((6, 2)))
    with warnings.catch_warnings(record=True, action="always") as found:
        compiled.save(tmp_path / "saved.py")
    assert not found
    x = np.random.default_rng(0).normal(size=(4, 2))
    results, rights = alone(tmp_path / "saved.py")["run"](x), compiled.function(x)
    for result, right in zip(results, rights, strict=True):
        assert result.dtype == right.dtype
        np.testing.assert_array_equal(result, right)


def by_rows(x: Any) -> Any:
    return sum(row.sum() for row in x)


def in_pieces(x: Any) -> Any:
    return tg.concatenate([tg.exp(x[i : i + 9]) for i in range(0, len(x), 9)])


def squared(x: Any) -> Any:
    return x.reshape(len(x) ** 2)[:2]


def spread(x: Any) -> Any:
    return x * np.geomspace(1e-30, 1, len(x))[:, None]


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (by_rows, (6, 2)),
        (in_pieces, (6, 2)),
        (squared, (3, 3)),
        (tg.grad(lambda x: x.trace()), (3, 4)),
        (spread, (6, 2)),
        (lambda x: x[::2] * 2, (6, 2)),
    ],
)
def test_a_program_for_its_own_rows_says_so_and_looks(function: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    compiled, x = tg.compile(function), np.random.default_rng(0).normal(size=shape)
    right = compiled(x)
    compiled.save(tmp_path / "saved.py")
    space = alone(tmp_path / "saved.py")
    assert re.search("It is for these shapes alone: (another program|cannot reshape)", space["__doc__"])
    np.testing.assert_array_equal(space["run"](x), getattr(right, "data", right))
    with pytest.raises(space["Unusual"], match="x is float64 of shape"):
        space["run"](np.concatenate([x, x]))


def test_rows_are_counted_wherever_they_stand(tmp_path: Path) -> None:
    def function(x: Any, names: Any, k: float) -> Any:
        y = tg.concatenate([x, tg.zeros((len(x) + 1, 2))]) * k
        picked = y[tg.as_tensor(np.arange(2 * len(x))[::2])] + np.ones(len(x))[:, None] / len(x)
        return {"rows": len(x), "mean": x.mean(axis=0), "picked": picked.reshape(-1, 1), "last": names["b"][-1]}

    compiled = tg.compile(function)
    x = np.random.default_rng(0).normal(size=(4, 2))
    compiled(x, {"b": x[:, 0].copy()}, 0.5)
    compiled.save(tmp_path / "saved.py")
    run = alone(tmp_path / "saved.py")["run"]
    for n in (4, 1, 9):
        x = np.random.default_rng(n).normal(size=(n, 2))
        right, found = function(tg.as_tensor(x), {"b": x[:, 0]}, 2.0), run(x, x[:, 0].copy(), 2.0)
        assert found["rows"] == n
        for key in ("mean", "picked", "last"):
            np.testing.assert_array_equal(found[key], getattr(right[key], "data", right[key]))


def test_a_part_that_is_the_whole_of_few_rows_stays_a_part(tmp_path: Path) -> None:
    compiled = tg.compile(lambda x: tg.exp(x[:9]).sum())
    compiled(np.ones((3, 2)))
    compiled.save(tmp_path / "saved.py")
    x = np.random.default_rng(0).normal(size=(12, 2))
    np.testing.assert_allclose(alone(tmp_path / "saved.py")["run"](x), np.exp(x[:9]).sum())


def test_what_is_refused_for_some_numbers_of_rows_may_go_with_others(tmp_path: Path) -> None:
    compiled = tg.compile(lambda x: tg.as_tensor(x).std(axis=0))
    compiled(np.random.default_rng(0).normal(size=(4, 2)))
    compiled.save(tmp_path / "saved.py")
    space = alone(tmp_path / "saved.py")
    x = np.random.default_rng(1).normal(size=(9, 2))
    np.testing.assert_allclose(space["run"](x), np.std(x, axis=0))
    with pytest.raises(space["Unusual"]):
        space["run"](x[:1])  # the deviation is 0, and has no slope


def test_numbers_that_a_derivative_makes_of_the_rows_are_no_parameters(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        return tg.grad(lambda x: (tg.grad(lambda x: x.var())(x) ** 2).sum())(x)

    compiled = tg.compile(function)
    compiled(np.random.default_rng(0).normal(size=(2, 3)))
    compiled.save(tmp_path / "saved.py")
    x = np.random.default_rng(1).normal(size=(7, 3))
    np.testing.assert_array_equal(alone(tmp_path / "saved.py")["run"](x), function(tg.as_tensor(x)).data)


def test_the_rows_of_any_of_the_arguments(tmp_path: Path) -> None:
    """The first argument is a parameter: only the rows of the others may vary."""
    step = tg.compile(tg.grad(lambda w, x, y: ((x @ w - y) ** 2).mean()))
    rng = np.random.default_rng(0)
    w = rng.normal(size=4)
    step(w, rng.normal(size=(6, 4)), rng.normal(size=6))
    step.save(tmp_path / "saved.py")
    run = alone(tmp_path / "saved.py")["run"]
    for n in (1, 2, 3, 50):
        x, y = rng.normal(size=(n, 4)), rng.normal(size=n)
        np.testing.assert_allclose(run(w, x, y), step.function(w, x, y).data, rtol=1e-12)


def test_arguments_with_rows_of_their_own(tmp_path: Path) -> None:
    compiled = tg.compile(lambda a, b: tg.softmax(a @ b.T) @ b)
    compiled(np.ones((4, 3)), np.ones((6, 3)))
    compiled.save(tmp_path / "saved.py")
    run = alone(tmp_path / "saved.py")["run"]
    a, b = np.random.default_rng(0).normal(size=(2, 3)), np.random.default_rng(1).normal(size=(9, 3))
    np.testing.assert_array_equal(run(a, b), compiled.function(tg.as_tensor(a), b).data)


def test_many_parameters_lie_beside_and_nothing_is_unpickled(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(200, 200, seed=0), nn.Tanh())
    predict = tg.compile(lambda x: network(x).detach())
    x = np.random.default_rng(0).normal(size=(3, 200))
    right = predict(x)
    predict.save(tmp_path / "saved.py")
    assert "allow_pickle=False" in (tmp_path / "saved.py").read_text(encoding="utf-8")
    np.testing.assert_array_equal(alone(tmp_path / "saved.py")["run"](x[:2]), right.data[:2])
    with np.load(tmp_path / "saved.npz", allow_pickle=False) as file:
        assert {*file} == {"0.weight", "0.bias"}


def test_saving_changes_nothing_and_keeps_no_argument_alive(tmp_path: Path) -> None:
    network, calls = dense(), [0]
    optimizer = tg.optim.Adam(network.parameters())
    n = 0

    def step(x: Any, other: Any) -> Any:
        nonlocal n
        n += 1
        optimizer.zero_grad()
        loss = (network(x) ** 2).mean() + (other(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    compiled, other = tg.compile(step), nn.Linear(4, 1, seed=0)
    compiled(np.ones((3, 4)), other)
    before = [*network.state_dict().values(), *[np.copy(x) for x in optimizer._state[0].values()]]
    compiled.save(tmp_path / "saved.py")
    after = [*network.state_dict().values(), *optimizer._state[0].values()]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert (n, calls) == (1, [0])
    held = weakref.ref(other)
    del other
    gc.collect()
    assert held() is None
    assert not compiled.programs


def test_two_networks_with_parameters_of_one_name_keep_them_apart(tmp_path: Path) -> None:
    first, second = nn.Linear(3, 4, seed=0), nn.Linear(4, 2, seed=1)
    compiled = tg.compile(lambda x: second(first(x)).detach())
    x = np.random.default_rng(0).normal(size=(3, 3))
    right = compiled(x)
    compiled.save(tmp_path / "saved.py")
    space = alone(tmp_path / "saved.py")
    np.testing.assert_array_equal(space["run"](x), right.data)
    assert len(space["parameters"]) == 4
    assert {name.rpartition(".")[2] for name in space["parameters"]} == {"weight", "bias"}
