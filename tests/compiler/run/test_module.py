"""A program's text runs alone: every operation's, and that of saved modules, where this package can't be imported."""

from __future__ import annotations

import builtins
import enum
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from orders import DEEP, EVERY, answer, moved, orders
from rings import sampled_by_name
from same_bits import same_bits

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.errors import CompileError
from tinygrad_nn.tensor.declaring import primitive
from tinygrad_nn.testing import Case


def imported(name: str, *args: Any) -> Any:
    if name.partition(".")[0] == "tinygrad_nn":
        raise ImportError("the package is not there")
    return builtins.__import__(name, *args)


def alone(path: Path) -> dict[str, Any]:
    """Return what a saved module defines, run where this package can't be imported."""
    text = path.read_text(encoding="utf-8")
    space = {"__file__": str(path), "__builtins__": {**vars(builtins), "__import__": imported}}
    exec(compile(text, str(path), "exec"), space)
    return space


def plain(x: Any) -> Any:
    """Return a result as a saved module returns it: arrays in place of Tensors, tuples without names."""
    if isinstance(x, tg.Tensor):
        return x.data
    if isinstance(x, (tuple, list)):
        return [plain(part) for part in x]
    return x


def same(a: Any, b: Any) -> bool:
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return a is b if a is None or isinstance(a, str) else same_bits(a, b)


def saved(compiled: Any, path: Path) -> dict[str, Any]:
    compiled.save(path)
    return alone(path)


def differences(case: Case, folder: Path) -> list[str]:
    """Return what a case's saved programs compute other than the functions do, and where nothing was saved."""
    found = []
    for number, (order, function) in enumerate(orders(case).items()):
        compiled = tg.compile(function, exact=True)
        if isinstance(answer(compiled, case.leaves), str) or not compiled.programs:
            continue
        space = saved(compiled, folder / f"{case.name}_{number}.py")
        for leaves in moved(case)[:2] if DEEP else moved(case)[1:2]:
            given = [x for x in leaves if isinstance(x, (np.ndarray, np.generic)) or type(x) in (int, float)]
            try:
                alone = answer(space["run"], tuple(given))
            except space["Unusual"]:
                continue
            if not same(plain(alone), plain(answer(function, leaves))):
                found.append(case.fails(f"the saved {order} differs"))
    return found


@pytest.mark.parametrize("cases", sampled_by_name(EVERY, share=15, seed=11))
def test_every_operation_runs_alone(cases: list[Case], tmp_path: Path) -> None:
    assert [wrong for case in cases for wrong in differences(case, tmp_path)] == []


# ---- a training step ----


def data(dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    X = generator.normal(size=(90, 2))
    return X.astype(dtype), (X[:, :1] * X[:, 1:] > 0).astype(dtype)


def training(optimizer: Callable[..., Any]) -> tuple[Any, tg.nn.DenseNetwork]:
    """Return the article's training step, compiled, and its network."""
    widths = [(2, 25, "relu"), (25, 50, "relu"), (50, 50, "relu"), (50, 25, "relu"), (25, 1, "sigmoid")]
    network = tg.nn.DenseNetwork([{"input_dim": n, "output_dim": m, "activation": f} for n, m, f in widths])
    chosen = optimizer(network.parameters())

    def step(X: Any, y: Any) -> Any:
        loss = tg.binary_cross_entropy(network(X), y)
        chosen.zero_grad()
        loss.backward()
        chosen.step()
        return loss

    return tg.compile(step, exact=True), network


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
sys.modules["tinygrad_nn"] = None
import numpy as np
import training
X, y = np.load("data.npz").values()
losses = [training.run(X, y, lr=0.05) for _ in range(5)]
np.savez("after.npz", losses=losses, **{k: v for k, v in training.parameters.items() if k[0] in "Wb"})
assert not [name for name in sys.modules if name.startswith("tinygrad_nn.")]
"""

OPTIMIZERS = {
    "SGD": lambda p: tg.optim.SGD(p, lr=0.1),
    "momentum": lambda p: tg.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: tg.optim.Adam(p, lr=0.1),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_saved_training_step_trains_alone(optimizer: str, tmp_path: Path) -> None:
    X, y = data()
    step, network = training(OPTIMIZERS[optimizer])
    step(X, y)
    step(X, y)
    step.save(tmp_path / "training.py")
    np.savez(tmp_path / "data.npz", X, y)
    subprocess.run([sys.executable, "-I", "-c", SCRIPT, str(tmp_path)], check=True, cwd=tmp_path)
    step.function.__closure__[0].cell_contents.lr = 0.05
    losses = [step.function(X, y).item() for _ in range(5)]
    after = np.load(tmp_path / "after.npz")
    assert after["losses"].tolist() == losses
    for p in network.parameters():
        assert same_bits(after[p.name], p.data)


def test_a_saved_step_replaces_the_arrays_that_it_is_given(tmp_path: Path) -> None:
    X, y = data()
    step, network = training(OPTIMIZERS["SGD"])
    step(X, y)
    space = saved(step, tmp_path / "training.py")
    own = {str(p.name): p.data.copy() for p in network.parameters()}
    held = dict(own)
    before = {name: x.copy() for name, x in own.items()}
    loss = space["run"](X, y, own)
    assert loss == step.function(X, y).item()
    for p in network.parameters():
        assert p.name is not None
        assert p.grad is not None
        assert same_bits(own[p.name], p.data)
        assert same_bits(held[p.name], before[p.name])
        assert same_bits(own[f"{p.name}.grad"], p.grad.data)


def test_a_saved_step_refuses_what_it_is_not_for(tmp_path: Path) -> None:
    X, y = data()
    step, _ = training(OPTIMIZERS["SGD"])
    step(X, y)
    space = saved(step, tmp_path / "training.py")
    with pytest.raises(space["Unusual"], match=r"y is float64 of shape \(90, 1\); it must be .* \(89, 1\)"):
        space["run"](X[1:], y)
    with pytest.raises(space["Unusual"], match=r"X is float64 of shape \(90, 1\); it must be .* \(90, 2\)"):
        space["run"](X[:, :1], y)
    with pytest.raises(space["Unusual"], match="X is float32"):
        space["run"](X.astype(np.float32), y)
    with pytest.raises(space["Unusual"]):
        space["run"](X, y, momentum=0.5)
    before = {name: x.copy() for name, x in space["parameters"].items()}
    with pytest.raises(space["Unusual"], match="invalid"):
        space["run"](np.full_like(X, np.inf), y)
    assert all(np.array_equal(x, before[name]) for name, x in space["parameters"].items())


def test_the_head_says_how_to_run_it(tmp_path: Path) -> None:
    step, _ = training(OPTIMIZERS["SGD"])
    step(*data())
    step.save(tmp_path / "training.py")
    head = (tmp_path / "training.py").read_text().split('"""')[1]
    for line in ("training.run(X, y)", "X: float64 of shape (rows, 2)", "W1: float64 of shape (25, 2), replaced",
                 "lr: a number, 0.1 unless it is given", "returns loss"):  # fmt: skip
        assert line in head


# ---- constants, results and functions of the user's ----


def test_large_constants_lie_in_a_file_beside(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(30, 4))
    compiled = tg.compile(lambda x: tg.tanh(x @ table.T))
    x = np.ones((2, 4))
    compiled(x)
    space = saved(compiled, tmp_path / "folder.py")
    assert same_bits(space["run"](x + 1), np.tanh((x + 1) @ table.T))
    assert [x.shape for x in np.load(tmp_path / "folder.npz").values()] == [(4, 30)]


def test_no_file_lies_beside_what_needs_none(tmp_path: Path) -> None:
    compiled = tg.compile(tg.grad(lambda x: (tg.tanh(x) * np.array([1.0, 2.0])).sum()))
    compiled(np.zeros(2))
    space = saved(compiled, tmp_path / "slope.py")
    assert space["run"](np.zeros(2)).tolist() == [1.0, 2.0]
    assert [path.name for path in tmp_path.iterdir()] == ["slope.py"]


def test_results_keep_their_nesting(tmp_path: Path) -> None:
    compiled = tg.compile(lambda x, n: {"sum": x.sum() * n, "rest": [x + 1, (None, "text", 3)]})
    compiled(tg.tensor([1.0, 2.0]), 2.0)
    found = saved(compiled, tmp_path / "nested.py")["run"](np.array([3.0, 4.0]), 3.0)
    assert found["sum"] == 21
    assert found["rest"][0].tolist() == [4.0, 5.0]
    assert found["rest"][1] == (None, "text", 3)


SCALE = (2.0, 3.0)


def _halved(x: Any) -> Any:
    return np.asarray(x) / SCALE[0]


@primitive(name="test_source_half", method=False)
def _half(x: Any, /, times: int = 1) -> Any:
    """Return x, halved."""
    for _ in range(np.asarray(times).item()):
        x = _halved(np.array(x))  # the array itself: this can't be traced
    return x


_half.vjp(lambda g, times: _half.kernel(g, times=times))
del OPERATIONS["test_source_half"]  # the other tests are over the library's own


def test_an_operation_of_the_users_is_text(tmp_path: Path) -> None:
    compiled = tg.compile(tg.grad(lambda x: (_half(x, times=2) ** 2).sum()))
    compiled(np.ones(2))
    assert "def _halved(x):" in compiled.source
    assert "def test_source_half(x, /, times=1):" in compiled.source
    assert saved(compiled, tmp_path / "half.py")["run"](np.array([4.0, 8.0])).tolist() == [0.5, 1.0]


def test_an_operation_without_source_says_so(tmp_path: Path) -> None:
    space: dict[str, Any] = {"np": np}
    exec("def forward(x, /):\n    return np.array(x) + 1", space)
    operation = primitive(name="test_source_nowhere", method=False)(space["forward"])
    operation.vjp(lambda g: g)
    del OPERATIONS["test_source_nowhere"]
    compiled = tg.compile(lambda x: operation(x) * 2)
    assert compiled(np.zeros(2)).tolist() == [2.0, 2.0]
    assert compiled(np.ones(2)).tolist() == [4.0, 4.0]
    assert "# test_source_nowhere: the source of forward is not available" in compiled.source
    with pytest.raises(CompileError, match="Define the operation in a file"):
        compiled.save(tmp_path / "never.py")
    assert list(tmp_path.iterdir()) == []


def test_a_program_is_saved_as_a_module(tmp_path: Path) -> None:
    compiled = tg.compile(tg.tanh)
    with pytest.raises(CompileError, match="no program yet"):
        compiled.save(tmp_path / "tanh.py")
    compiled(np.zeros(2))
    with pytest.raises(ValueError, match=r"ends in \.py"):
        compiled.save(tmp_path / "tanh")


class Side(enum.Enum):
    LEFT = 1


def test_a_result_that_is_no_text_is_not_saved(tmp_path: Path) -> None:
    compiled = tg.compile(lambda x: (x + 1, Side.LEFT))
    compiled(np.zeros(2))
    with pytest.raises(CompileError, match=r"Side\.LEFT"):
        compiled.save(tmp_path / "never.py")


def test_the_source_looks_at_the_shapes_that_it_is_given() -> None:
    compiled = tg.compile(lambda x, k: np.tanh(x) * k)
    compiled(np.ones((2, 3)), 2.0)
    space: dict[str, Any] = {}
    exec(compiled.source, space)
    step = space["build"]()
    (out,) = step(np.full((2, 3), 0.5), 4.0)
    np.testing.assert_array_equal(out, np.tanh(np.full((2, 3), 0.5)) * 4.0)
    for other in (np.ones((1, 3)), np.ones((2, 3), np.float32)):
        with pytest.raises(space["Unusual"], match=r"x is float.* of shape .*; it must be float64 of shape"):
            step(other, 2.0)


class Centred(tg.nn.Module):
    def __init__(self) -> None:
        self.mean, self.generator = np.array([1.0, 2.0, 4.0]), np.random.default_rng(3)

    def forward(self, x: Any) -> Any:
        return x - self.mean


def test_an_array_of_a_module_is_a_parameter(tmp_path: Path) -> None:
    compiled = tg.compile(Centred().forward)
    compiled(np.zeros(3))
    module = saved(compiled, tmp_path / "centred.py")
    np.testing.assert_array_equal(module["run"](np.full(3, 4.0)), [3.0, 2.0, 0.0])
    module["parameters"]["mean"] = np.zeros(3)
    np.testing.assert_array_equal(module["run"](np.full(3, 4.0)), np.full(3, 4.0))


def test_a_program_that_draws_is_not_saved(tmp_path: Path) -> None:
    module = Centred()
    compiled = tg.compile(lambda x: x + module.generator.normal(size=3))
    compiled(np.zeros(3))
    with pytest.raises(CompileError, match="draws from a module's generator, and a file has none; pass the numbers"):
        compiled.save(tmp_path / "noise.py")
    assert not (tmp_path / "noise.py").exists()
