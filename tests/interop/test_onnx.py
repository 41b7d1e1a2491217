"""Compiled programs as ONNX models, judged by ONNX's checker, its reference evaluator and onnxruntime."""

from __future__ import annotations

import importlib.util
import inspect
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optional import onnx_and_its_judges

import tinygrad_nn as tg
from tinygrad_nn import nn
from tinygrad_nn.errors import CompileError

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
FLOAT_ONLY = {
    "Conv",
    "ConvTranspose",
    "AveragePool",
    "Erf",
    "RNN",
    "GRU",
    "LSTM",
}  # what onnxruntime has no doubles for

NOT_OF_NOTHING = {  # what a judge can't do without rows: onnxruntime ends the process there
    "reference": {"ConvTranspose"},
    "runtime": {"RNN", "GRU", "LSTM"},
}


class OfItself(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self) -> None:
        self.attention = nn.MultiheadAttention(8, 2, seed=0)

    def forward(self, x: Any) -> Any:
        return self.attention(x, x, x)


class OfLikeliest(nn.Module):
    """The losses of the likeliest classes, which have weights."""

    def forward(self, x: Any) -> Any:
        settings: dict[str, Any] = {"weight": [1.0, 2.0, 0.5, 3.0], "label_smoothing": 0.1, "reduction": "none"}
        return tg.cross_entropy(x, tg.argmax(x, axis=1), **settings)


class Twice(nn.Module):
    """A convolution and its transpose."""

    def __init__(self) -> None:
        self.there = nn.Conv2d(3, 4, 3, stride=2, dilation=1, padding=1, seed=0)
        self.back = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1, seed=1)

    def forward(self, x: Any) -> Any:
        return self.back(self.there(x))


IMAGES = (3, 8, 8)
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(4, 3, seed=0), (4,)),
    "Linear on more axes": (lambda: nn.Linear(4, 3, bias=False, seed=0), (2, 4)),
    "Conv1d": (lambda: nn.Conv1d(3, 4, 3, stride=2, padding=1, seed=0), (3, 9)),
    "Conv2d": (lambda: nn.Conv2d(4, 4, 3, padding="same", groups=2, dilation=2, seed=0), (4, 8, 8)),
    "Conv2d, an even kernel": (lambda: nn.Conv2d(3, 4, 2, padding="same", bias=False, seed=0), IMAGES),
    "ConvTranspose2d": (Twice, IMAGES),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(3), (3, 8)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(3), (3, 8, 7)), "AvgPool1d": (lambda: nn.AvgPool1d(2), (3, 8)),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, stride=2, padding=1), IMAGES), "MaxPool1d": (lambda: nn.MaxPool1d(2), (3, 8)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, stride=2, padding=1), IMAGES),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), (4, 5)), "BatchNorm2d": (lambda: nn.BatchNorm2d(3), IMAGES),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (4, 5)), "LayerNorm": (lambda: nn.LayerNorm(4), (5, 4)),
    "RMSNorm": (lambda: nn.RMSNorm(4), (5, 4)), "ELU": (nn.ELU, (4,)), "GELU": (nn.GELU, (4,)),
    "GELU by tanh": (lambda: nn.GELU(approximate="tanh"), (4,)), "LeakyReLU": (nn.LeakyReLU, (4,)),
    "LogSoftmax": (lambda: nn.LogSoftmax(-1), (4,)), "Softmax": (lambda: nn.Softmax(1), (4, 2)),
    "ReLU": (nn.ReLU, (4,)), "SiLU": (nn.SiLU, (4,)), "Sigmoid": (nn.Sigmoid, (4,)),
    "Softplus": (lambda: nn.Softplus(2, 3), (4,)),
    "Tanh": (nn.Tanh, (4,)), "Dropout": (nn.Dropout, (4,)), "Flatten": (nn.Flatten, (4, 2)),
    "Identity": (nn.Identity, (4,)), "Embedding": (lambda: nn.Embedding(10, 4, padding_idx=0, seed=0), (5,)),
    "RNN": (lambda: nn.RNN(3, 4, batch_first=True, seed=0), (5, 3)),
    "RNN by relu": (lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True, seed=0), (5, 3)),
    "GRU": (lambda: nn.GRU(3, 4, batch_first=True, bidirectional=True, num_layers=2, seed=0), (5, 3)),
    "LSTM": (lambda: nn.LSTM(3, 4, batch_first=True, bidirectional=True, seed=0), (5, 3)),
    "MultiheadAttention": (OfItself, (5, 8)),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, seed=0), (5, 8)),
    "DenseNetwork": (lambda: nn.DenseNetwork([{"input_dim": 4, "output_dim": 3, "activation": "softmax"}]), (4,)),
}  # fmt: skip
WITHOUT_OUTPUTS = {"Module", "ModuleDict", "ModuleList", "Sequential"}


def example(name: str) -> Any:
    """Return the module of an example."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(EXAMPLES))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(EXAMPLES))
    return module


OF_EXAMPLES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "autoencoder": (lambda: example("autoencoder").Autoencoder(0), (64,)),
    "digits": (lambda: example("digits").network(0), (1, 8, 8)),
    "gru": (lambda: example("gru").Writer(0), (12,)),
    "moons": (lambda: nn.DenseNetwork(example("moons").ARCHITECTURE, seed=0), (2,)),
    "regression": (lambda: example("regression").Forecast(0), (1,)),
    "transformer": (lambda: example("transformer").Transformer(0), (9,)),
}  # fmt: skip


def arrays(result: Any) -> list[Any]:
    """Return the arrays of a result, in their order."""
    if isinstance(result, (tuple, list)):
        return [x for part in result for x in arrays(part)]
    return [result.data if isinstance(result, tg.Tensor) else np.asarray(result)]


def judged(predict: Any, draw: Callable[[int], np.ndarray], folder: pathlib.Path, rows: tuple[int, ...]) -> set[str]:
    """Save a compiled function, let all three judge it, and return the names of the nodes' operators."""
    onnx, reference, runtime = onnx_and_its_judges()
    right = {n: arrays(predict.function(draw(n))) for n in rows}
    predict(draw(4))
    predict.save(folder / "model.onnx")
    model = onnx.load(str(folder / "model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    operators = {node.op_type for node in model.graph.node}
    double = right[rows[0]][0].dtype == np.float64
    rough = 1e-7 if double and "Erf" in operators else 1e-12 if double else 1e-5  # the reference's erf is single
    judges = {"reference": reference.ReferenceEvaluator(model)} if not relu_of_a_recurrence(model) else {}
    if not (double and operators & FLOAT_ONLY):
        judges["runtime"] = runtime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    assert judges
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "rows"
    for name, judge in judges.items():
        for n in rows:
            if n or operators.isdisjoint(NOT_OF_NOTHING[name]):
                found = judge.run(None, {model.graph.input[0].name: draw(n)})
                for x, y in zip(found, right[n], strict=True):
                    assert (x.dtype, x.shape) == (y.dtype, y.shape), (name, n)
                    np.testing.assert_allclose(x, y, rtol=0, atol=rough * max(1.0, float(np.abs(y).max(initial=0))))
    return operators


def relu_of_a_recurrence(model: Any) -> bool:
    """Return whether a node is a recurrence by relu, which the reference evaluator does not know."""
    nodes = [node for node in model.graph.node if node.op_type == "RNN"]
    return any(b"Relu" in list(a.strings) for node in nodes for a in node.attribute if a.name == "activations")


def of_module(module: nn.Module, shape: tuple[int, ...], dtype: Any, folder: pathlib.Path) -> set[str]:
    module.astype(dtype).eval()
    integers = any(isinstance(m, nn.Embedding) for _, m in module.named_modules())

    def draw(n: int) -> np.ndarray:
        rng = np.random.default_rng(n)
        return rng.integers(0, 10, (n, *shape)) if integers else rng.normal(size=(n, *shape)).astype(dtype)

    with tg.no_grad():
        return judged(tg.compile(lambda x: module(x)), draw, folder, (1, 7, 0, 4))


def test_every_layer_is_among_those_that_are_judged() -> None:
    layers = {n for n, x in vars(nn).items() if inspect.isclass(x) and issubclass(x, nn.Module) and n[-4:] != "Loss"}
    assert {name.partition(",")[0].partition(" ")[0] for name in LAYERS} == layers - WITHOUT_OUTPUTS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name in LAYERS for dtype in "fd" if (name, dtype) != ("RNN by relu", "d")]
)  # onnxruntime has no recurrences of doubles, and the reference evaluator none by relu
def test_a_layer_computes_the_same_for_any_rows(name: str, dtype: Any, tmp_path: pathlib.Path) -> None:
    make, shape = LAYERS[name]
    of_module(make(), shape, dtype, tmp_path)


@pytest.mark.slow
def test_a_module_may_use_num_pys_functions_on_its_argument(tmp_path: pathlib.Path) -> None:
    class Normalised(nn.Linear):
        def forward(self, x: Any) -> Any:
            return super().forward(np.stack([x, x], axis=1) / np.linalg.norm(x, axis=1)[:, None, None])

    of_module(Normalised(4, 3, seed=0), (4,), np.float32, tmp_path)


def test_losses_of_labels_with_weights_are_a_model_too(tmp_path: pathlib.Path) -> None:
    of_module(OfLikeliest(), (4,), np.float32, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_EXAMPLES)
def test_the_model_of_an_example_computes_the_same(name: str, tmp_path: pathlib.Path) -> None:
    make, shape = OF_EXAMPLES[name]
    of_module(make(), shape, np.float32, tmp_path)


WIDTH = 6
DRAWN = [
    lambda: nn.Linear(WIDTH, WIDTH, seed=0), lambda: nn.LayerNorm(WIDTH), lambda: nn.BatchNorm1d(WIDTH), nn.ReLU,
    nn.GELU, nn.Tanh, nn.SiLU, nn.ELU, lambda: nn.Softmax(-1), lambda: nn.Softplus(), lambda: nn.Dropout(0.5),
    lambda: nn.RMSNorm(WIDTH),
    lambda: nn.Sequential(nn.Linear(WIDTH, 3, seed=1), nn.Tanh(), nn.Linear(3, WIDTH, seed=2)),
]  # fmt: skip


class Residual(nn.Module):
    """x + f(x), and what else is written with operators, indices and reductions."""

    def __init__(self, inner: nn.Module, kind: int) -> None:
        self.inner, self.kind = inner, kind

    def forward(self, x: Any) -> Any:
        y = self.inner(x)
        others: list[Callable[[], Any]] = [  # continuous: a last bit may not decide
            lambda: x + y, lambda: tg.concatenate([y[:, ::2], x[:, 3:]], axis=1),
            lambda: (x > 0) * x * y - y.mean(axis=0),
            lambda: tg.where(x < y, x, y) / (1 + np.abs(x[:, -1:])), lambda: y.T.reshape(WIDTH, -1).T,
            lambda: (y[:, None, :] * x[:, :, None]).sum(axis=2) / len(x),
            lambda: np.minimum(x, y) ** 2 @ np.eye(WIDTH, dtype=np.float32),
            lambda: y[:, [5, 0, 3, 3, 1, 2]] - tg.clip(x, -1, 1),
        ]  # fmt: skip
        return others[self.kind]()


@pytest.mark.slow
@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from(DRAWN), st.integers(0, 7)), min_size=1, max_size=4))
def test_a_drawn_network_computes_the_same(drawn: list[tuple[Any, int]]) -> None:
    network = nn.Sequential(*[Residual(make(), kind) for make, kind in drawn])
    with tempfile.TemporaryDirectory() as folder:
        rows = (1, 7, 4)
        module = network.astype(np.float32).eval()

        def draw(n: int) -> np.ndarray:
            return np.random.default_rng(n).normal(size=(n, WIDTH)).astype(np.float32)

        with tg.no_grad():
            judged(tg.compile(lambda x: module(x)), draw, pathlib.Path(folder), rows)


def model_of(function: Any, *args: Any, folder: pathlib.Path) -> Any:
    onnx, _, _ = onnx_and_its_judges()
    compiled = tg.compile(function)
    compiled(*args)
    compiled.save(folder / "model.onnx")
    return onnx.load(str(folder / "model.onnx"))


@pytest.mark.slow
def test_names_are_kept(tmp_path: pathlib.Path) -> None:
    network = nn.Sequential(nn.Linear(2, 3, seed=0), nn.BatchNorm1d(3)).eval()
    model = model_of(lambda pixels: {"scores": network(pixels).detach()}, np.ones((4, 2)), folder=tmp_path)
    assert [x.name for x in model.graph.input] == ["pixels"]
    assert [x.name for x in model.graph.output] == ["scores"]
    names = {x.name for x in model.graph.initializer}
    assert {n for n in network.state_dict() if "num_batches" not in n} <= names
    assert model.opset_import[0].version >= 17


@pytest.mark.slow
def test_numbers_are_inputs_and_arguments_have_rows_of_their_own(tmp_path: pathlib.Path) -> None:
    _, _, runtime = onnx_and_its_judges()

    def mixed(a: Any, b: Any, k: float) -> Any:
        return tg.softmax(a @ b.T * k) @ b, len(a) * a.mean(axis=0) + a.mean()

    model_of(mixed, np.ones((4, 3)), np.ones((6, 3)), 2.0, folder=tmp_path)
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    a, b = np.random.default_rng(0).normal(size=(2, 3)), np.random.default_rng(1).normal(size=(9, 3))
    found = session.run(None, {"a": a, "b": b, "k": np.array(0.5)})
    for x, y in zip(found, arrays(mixed(tg.as_tensor(a), b, 0.5)), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    "function",
    [
        lambda x: (np.clip(x, 0, None), np.clip(x, None, 0.5), np.clip(x, -1, 1), np.clip(x, x - 1, x)),
        lambda x: (x.argmin(), tg.argmax(x, axis=None, keepdims=True), np.argmax(x * x)),
        lambda x: (x.argmin(axis=1), tg.argmax(x, axis=-1, keepdims=True), np.isnan(x), x > 1, x[:, 0] == len(x)),
        lambda x: (np.einsum("ij,ik->ijk", x, x), np.einsum("...i,...i", x, x), np.einsum("ij->ji", x)),
        lambda x: (np.cumsum(x, axis=1), tg.cumsum(x, axis=0), np.cumsum(x > 0, axis=-1), x.astype(np.float32)),
        lambda x: (np.any(x > 0, axis=1), np.all(x > -1, axis=0), (x > 9).any(), np.all(x, axis=1, keepdims=True)),
        lambda x: (np.isinf(x), np.isinf(np.where(x > 0, x, -np.inf)), np.isfinite(np.where(x > 0, x, np.nan))),
        lambda x: (np.trunc(3 * x), (x * 0 + 1) // 0.1, (x * 0 + 1) % 0.1, x // 1e-300, tg.trunc(x), tg.fmod(x, 0.3)),
        lambda x: (3 * x // 0.5, 3 * x // -x[:, ::-1], 3 * x % 0.5, 3 * x % -x[:, ::-1], np.fmod(3 * x, x[0])),
        lambda x: (x.std(), x.std(axis=0), np.std(x, axis=1, ddof=1, keepdims=True), np.var(x, ddof=0.5)),
        lambda x: (x[:, [1, 0, 1]], x[..., [-1], None], x[1:, [2]], np.logaddexp(x, 0)),
        lambda x: (x[None, :, 0, None], x[len(x) - 1], x[..., -1], x[-1:, None, 1]),
        lambda x: (tg.arange(len(x)) * x[:, 0], np.arange(1.0, len(x) + 1) @ x, x.std(axis=1, ddof=1)),
        lambda x: (x[:3], x[-2:, ::-1], np.diagonal(x), np.trace(x)),  # as many as there are
        lambda x: (x.sum(axis=()), x.max(axis=()), np.concatenate([x, x], axis=None), np.log2(abs(x)), np.exp2(x)),
        lambda x: (np.stack([x, x], axis=1), *np.split(x, 3, axis=1), np.tile(x, 2), np.repeat(x, 2, axis=1)),
        lambda x: (x / np.linalg.norm(x, axis=1, keepdims=True), np.dot(x, x[0]), np.outer(x[:, 0], x[:, 1])),
        lambda x: (np.roll(x, 1, axis=0), np.flip(x), np.take(x, [2, 0], axis=1), np.tensordot(x, np.eye(3), 1)),
        lambda x: (np.sort(x, axis=1), np.argsort(-x, axis=0)),
        lambda x: ((x - x.mean(axis=0)) / (1 + x.std(axis=0)), np.log10(abs(x)), np.fabs(x), np.round(x, 2)),
    ],
)
def test_what_functions_compute_of_arrays_is_the_same(function: Any, tmp_path: pathlib.Path) -> None:
    def draw(n: int) -> np.ndarray:
        return np.random.default_rng(n).normal(size=(n, 3))

    judged(tg.compile(function), draw, tmp_path, (1, 7, 4))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.bool_])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: (np.maximum(x, x[:, ::-1]), x.min(axis=1), x.max(axis=1), np.clip(x, 0, 1), abs(x)),
        lambda x: (
            x + x[:, ::-1],
            x * x,
            x @ x[0],
            np.einsum("ij,kj->ik", x > 0, x < 0),
            x.sum(axis=0),
            x.prod(axis=1),
        ),
        lambda x: (np.floor(x), np.ceil(x), np.exp(x), np.isnan(x), x < x[:, ::-1], x == x[0]),
        lambda x: (x.argmax(axis=1), tg.argmin(x), tg.argmax(x, axis=None, keepdims=True), np.cumsum(x, axis=1)),
        lambda x: (x.any(axis=1), np.all(x, axis=0), np.isinf(x), np.trunc(x), x.std(axis=0), np.var(x, axis=1)),
        lambda x: (
            x // np.int8(2),
            x % np.int8(-2),
            x // (x + np.int8(3)),
            x % (x - np.int8(3)),
            np.fmod(x, np.int8(2)),
        ),
        lambda x: ((x > 0).max(axis=1), (x > 0) * (x < 2), (x > 0).argmax(axis=1), (x > 0) + (x < 0)),
    ],
)
def test_integers_and_booleans_go_where_onnx_takes_none(function: Any, dtype: Any, tmp_path: pathlib.Path) -> None:
    def draw(n: int) -> np.ndarray:
        return np.random.default_rng(n).integers(-2, 3, (n, 3)).astype(dtype)

    judged(tg.compile(function), draw, tmp_path, (1, 7, 4))


@pytest.mark.slow
def test_large_integers_keep_their_digits(tmp_path: pathlib.Path) -> None:
    big = np.array([[2**62 + 1, 3], [-(2**62) - 1, 5]])
    judged(tg.compile(lambda x: (np.floor(x), x.max(axis=1))), lambda n: np.resize(big, (n, 2)), tmp_path, (2, 4))


@pytest.mark.slow
def test_what_is_for_its_own_rows_has_these(tmp_path: pathlib.Path) -> None:
    model = model_of(lambda x: tg.stack([row.sum() for row in x]), np.ones((3, 2)), folder=tmp_path)
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [3, 2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: tg.linalg.inv(x) @ x, r"inv at .*test_onnx.py:\d+, in .* has no counterpart in ONNX; write it by"),
        (lambda x: np.median(x, axis=0), r"median at .* has no counterpart"),
        (lambda x: x[[0, 1], [1, 0]], r"this index at .* has no counterpart"),
        (lambda x: np.pad(x, 1), r"setitem at .* has no counterpart"),
        (lambda x: abs(x.astype(complex)), r"absolute at .* has no counterpart"),
    ],
)
def test_a_line_without_a_counterpart_is_named(function: Any, words: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(CompileError, match=words):
        model_of(function, np.array([[2.0, 1.0], [0.5, 3.0]]), folder=tmp_path)
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.slow
def test_what_decides_and_what_changes_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(CompileError, match=r"decides by a number at .*test_onnx.py:\d+.*; compile a function that"):
        model_of(lambda x, k: x * 2 if k > 1 else x, np.ones(3), 2.0, folder=tmp_path)
    w = tg.tensor([1.0, 2.0], requires_grad=True)

    def step(x: Any) -> Any:
        loss = (w * x).sum()
        loss.backward()
        return loss.detach()

    with pytest.raises(
        CompileError, match="an ONNX model returns arrays, and not rows; leave it out, or return an array"
    ):
        model_of(lambda x: {"twice": 2 * x, "rows": len(x)}, np.ones((3, 2)), folder=tmp_path)
    with pytest.raises(
        CompileError, match="changes a tensor's gradient, and an ONNX model changes nothing; compile and"
    ):
        model_of(step, np.ones(2), folder=tmp_path)


def test_without_the_package_one_sentence_says_what_to_install(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = tg.compile(lambda x: x * 2)
    compiled(np.ones(3))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        ImportError, match=r"written by the package onnx; install it with: .*python\S* -m pip install onnx"
    ):
        compiled.save(tmp_path / "model.onnx")
