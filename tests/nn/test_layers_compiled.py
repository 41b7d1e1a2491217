"""Every layer inside a compiled step, train and eval mode, computes call by call what it does eagerly, in few lines."""

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from same_bits import same

import tinygrad_nn as tg

nn = tg.nn
ROWS, SIGNALS, IMAGES = (4, 6), (2, 4, 6), (2, 4, 6, 6)
LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(6, 3, seed=0), ROWS),
    "Dropout": (lambda: nn.Sequential(nn.Linear(6, 3, seed=0), nn.Dropout(0.4, seed=1)), ROWS),
    "Dropout of everything": (lambda: nn.Sequential(nn.Linear(6, 3, seed=0), nn.Dropout(1.0, seed=1)), ROWS),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(6), ROWS),
    "BatchNorm1d of all batches": (lambda: nn.BatchNorm1d(4, momentum=None), SIGNALS),
    "BatchNorm1d without statistics": (lambda: nn.BatchNorm1d(4, track_running_stats=False), SIGNALS),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4), IMAGES),
    "LayerNorm": (lambda: nn.LayerNorm((6, 6)), IMAGES),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), IMAGES),
    "RMSNorm": (lambda: nn.RMSNorm(6), ROWS),
    "Conv1d": (lambda: nn.Conv1d(4, 2, 3, padding="same", seed=0), SIGNALS),
    "Conv2d": (lambda: nn.Conv2d(4, 2, 3, stride=2, padding=1, groups=2, seed=0), IMAGES),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1, seed=0), IMAGES),
    "MaxPool1d, AvgPool1d": (
        lambda: nn.Sequential(nn.Conv1d(4, 2, 1, seed=0), nn.MaxPool1d(2), nn.AvgPool1d(2)),
        SIGNALS,
    ),
    "MaxPool2d": (lambda: nn.Sequential(nn.Conv2d(4, 2, 1, seed=0), nn.MaxPool2d(3, 1, 1)), IMAGES),
    "AvgPool2d": (lambda: nn.Sequential(nn.Conv2d(4, 2, 1, seed=0), nn.AvgPool2d(2), nn.Flatten()), IMAGES),
    "AdaptiveAvgPool1d": (lambda: nn.Sequential(nn.Conv2d(4, 2, 1, seed=0), nn.AdaptiveAvgPool1d(4)), IMAGES),
    "AdaptiveAvgPool2d": (lambda: nn.Sequential(nn.Conv2d(4, 2, 1, seed=0), nn.AdaptiveAvgPool2d((4, 1))), IMAGES),
    "Flatten": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(24, 2, seed=0)), SIGNALS),
    "MultiheadAttention": (lambda: Applied(nn.MultiheadAttention(6, 2, dropout=0.3, seed=0), attended), SIGNALS),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(6, 2, 5, activation="gelu", seed=0), SIGNALS),
    "TransformerEncoderLayer, norm_first": (
        lambda: nn.TransformerEncoderLayer(6, 3, 5, batch_first=True, norm_first=True, seed=0),
        SIGNALS,
    ),
    "DenseNetwork": (lambda: nn.DenseNetwork([{"input_dim": 6, "output_dim": 2, "activation": "tanh"}]), ROWS),
    "ModuleList, ModuleDict, Sequential, Module": (lambda: Residual(), IMAGES),
}
ACTIVATIONS = [
    "ELU", "GELU", "Identity", "LeakyReLU", "LogSoftmax", "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Tanh",
]  # fmt: skip


ELSEWHERE = ["Embedding"]  # in a test of its own
RECURRENT = ["RNN", "GRU", "LSTM"]
LOSSES = [name for name in nn.__all__ if name.endswith("Loss")]
LONG = [name for name in [*LAYERS, *RECURRENT] if re.search("former|Multi|Dict|RNN|GRU|LSTM", name)]
NO_LAYERS = ["Buffer", "Parameter", "init"]


class Applied(nn.Module):
    """A layer whose call is not simply layer(x): it has several inputs or outputs, or none to train."""

    def __init__(self, layer: Any, how: Callable[[Any, Any], Any]) -> None:
        self.layer, self.how, self.linear = layer, how, nn.Linear(6, 6, seed=0)

    def forward(self, x: Any) -> Any:
        return self.how(self.layer, self.linear(x))


def attended(layer: Any, x: Any) -> Any:
    y, weights = layer(x, x, x, is_causal=True)
    return y.mean() + weights


def judged(layer: Any, x: Any) -> Any:
    """Return the loss against fixed targets, of an input that it takes."""
    kind, target = type(layer).__name__, np.linspace(0.1, 0.9, 24).reshape(4, 6)
    if kind in ("NLLLoss", "KLDivLoss", "BCELoss"):
        x = tg.sigmoid(x) if kind == "BCELoss" else tg.log_softmax(x)
    if kind in ("NLLLoss", "CrossEntropyLoss"):
        return layer(x, np.array([0, 5, 2, 2]))
    return layer(x, target, target + 1) if kind == "GaussianNLLLoss" else layer(x, target)


class Residual(nn.Module):
    """A block with what modules may hold: a list, a dictionary, containers."""

    def __init__(self) -> None:
        self.blocks = [nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, seed=k), nn.BatchNorm2d(4)) for k in range(2)]
        self.gates = {"out": nn.ModuleList([nn.Sigmoid(), nn.Dropout(0.2, seed=3)])}

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = x + block(x)
        for gate in self.gates["out"]:
            x = gate(x)
        return x


def step_of(module: Any) -> Callable[[Any], Any]:
    def step(x: Any) -> Any:
        module.zero_grad()
        y = module(x)
        (y * y).sum().backward()
        for p in module.parameters():
            p.data = p.data - 0.01 * p.grad.data
        return y.detach()

    return step


def all_of(module: Any) -> Any:
    state = [g.bit_generator.state for g in module.generators().values()]
    return [*module.state_dict().values(), *(p.grad.data for p in module.parameters()), repr(state)]


def activated(kind: str) -> Any:
    return nn.Sequential(nn.Linear(6, 3, seed=0), getattr(nn, kind)())


def others(name: str) -> tuple[Callable[[], Any], tuple[int, ...]]:
    """Return what makes the modules that need no line of their own, and the shape of their input."""
    kind = getattr(nn, name)
    if name in RECURRENT:
        layer = kind(6, 3, num_layers=2, bidirectional=True, dropout=0.3, seed=0)
        return lambda: Applied(layer, lambda layer, x: layer(x)[0]), SIGNALS
    return (lambda: Applied(kind(), judged)) if name in LOSSES else (lambda: activated(name)), ROWS


@pytest.mark.parametrize("name", [*LAYERS, *ACTIVATIONS, *RECURRENT, *LOSSES])
def test_a_compiled_step_equals_the_eager_one(name: str) -> None:
    make, shape = LAYERS.get(name) or others(name)
    module = make()
    twin = copy.deepcopy(module)
    compiled, eager = tg.compile(step_of(module), exact=True), step_of(twin)
    rng = np.random.default_rng(0)
    for training in (True, False, True):
        module.train(training)
        twin.train(training)
        outputs = []
        for x in rng.normal(size=(3, *shape)):
            outputs.append(compiled(x).data)
            assert same(outputs[-1], eager(x).data)
            assert same(all_of(module), all_of(twin))
        lines = compiled.explain().partition("\ndef step(")[2].partition("\n    return ")[0].count("\n")
        assert lines < (
            65 if name in ACTIVATIONS or isinstance(module, nn.Sequential) or not module.children() else 170
        )


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_an_activation_of_many_numbers_has_one_program(kind: str) -> None:
    """However many of them lie in the tails: batches differ there."""
    module = nn.Sequential(nn.Conv2d(2, 3, 1, seed=0), getattr(nn, kind)())
    twin = copy.deepcopy(module)
    compiled, eager = tg.compile(step_of(module), exact=True), step_of(twin)
    for x in 2 * np.random.default_rng(0).normal(size=(4, 8, 2, 6, 6)):
        assert same(compiled(x).data, eager(x).data)
        assert same(all_of(module), all_of(twin))
    assert [len(programs) for programs in compiled.programs.values()] == [1]


def test_no_layer_is_left_out() -> None:
    """A new one gets a line in the tables above."""
    tried = {word for name in LAYERS for word in re.findall(r"\w+", name)}
    losses = {name for name in nn.__all__ if name.endswith("Loss")}  # compiled in test_losses.py, which lists them all
    assert {*nn.__all__} - {*NO_LAYERS, *ELSEWHERE} - losses <= tried | {*ACTIVATIONS, *RECURRENT, *LOSSES}


def test_an_embedding_looks_up_other_rows_at_each_call() -> None:
    module = nn.Embedding(7, 3, padding_idx=2, seed=0)
    twin = copy.deepcopy(module)
    compiled, eager = tg.compile(step_of(module), exact=True), step_of(twin)
    for indices in np.random.default_rng(0).integers(0, 7, (4, 2, 5)):
        assert same(compiled(indices).data, eager(indices).data)
        assert same(all_of(module), all_of(twin))
    with pytest.raises(IndexError):
        compiled(np.full((2, 5), 7))


def test_dropout_draws_anew_and_batch_norm_moves_at_each_replay() -> None:
    module = nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(0.5, seed=0))
    forward = tg.compile(lambda x: module(x).detach())
    x = np.random.default_rng(0).normal(3, 1, (5, 6))
    masks, means = [], []
    for _ in range(4):
        masks.append(forward(x).data == 0)
        means.append(module[0].running_mean.data.copy())
    assert len({mask.tobytes() for mask in masks}) == 4
    assert (np.diff(np.mean(means, axis=1)) > 0.1).all()
    assert module[0].num_batches_tracked.item() == 4
