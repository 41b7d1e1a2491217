"""Settings of layers and losses: checked by one rule when a layer is made and whenever one is assigned later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn import nn

NAN, INF = np.nan, np.inf
NO_NUMBERS: list[Any] = ["1", True, [1.0], np.ones(2)]
ABOVE: list[Any] = [0, -1.0, NAN, INF, None, *NO_NUMBERS]
AT_LEAST_0: list[Any] = [-1e-5, NAN, INF, None, *NO_NUMBERS]
FINITE: list[Any] = [NAN, INF, -INF, None, *NO_NUMBERS]
SHARE: list[Any] = [-0.1, 1.1, NAN, INF, None, *NO_NUMBERS]
COUNT: list[Any] = [0, -2, 1.5, NAN, None, *NO_NUMBERS]
NO_SWITCH: list[Any] = ["no", "False", -1, 1, [True]]
NO_NAMES: list[Any] = ["other", None, 1, ["mean"]]
ENCODER = {"d_model": 2, "nhead": 1}
NETWORK = [{"input_dim": 2, "output_dim": 1, "activation": "relu"}]

# A class, what it needs, a setting, and values that it can't have.
CASES: list[tuple[str, dict[str, Any], str, list[Any]]] = [
    *[(f"BatchNorm{n}d", {"num_features": 2}, "eps", AT_LEAST_0) for n in (1, 2)],
    *[(f"BatchNorm{n}d", {"num_features": 2}, "momentum", [x for x in SHARE if x is not None]) for n in (1, 2)],
    ("AvgPool2d", {"kernel_size": 2}, "count_include_pad", [*NO_SWITCH, None]),
    ("BatchNorm2d", {"num_features": 2}, "track_running_stats", NO_SWITCH),
    ("Conv1d", {"in_channels": 1, "out_channels": 1, "kernel_size": 1}, "bias", NO_SWITCH),
    ("Conv1d", {"in_channels": 1, "out_channels": 1, "kernel_size": 1}, "padding_mode", NO_NAMES),
    ("CrossEntropyLoss", {}, "ignore_index", ["1", 1.5, None, True]),
    ("CrossEntropyLoss", {}, "label_smoothing", SHARE),
    ("DenseNetwork", {"architecture": NETWORK}, "architecture", [None, [], [NETWORK]]),
    ("DenseNetwork", {"architecture": NETWORK}, "init", ["other", None]),
    ("Dropout", {}, "p", SHARE),
    ("ELU", {}, "alpha", FINITE),
    ("GELU", {}, "approximate", NO_NAMES),
    *[(kind, {"input_size": 1, "hidden_size": 1}, "dropout", SHARE) for kind in ("GRU", "LSTM", "RNN")],
    *[(kind, {"input_size": 1, "hidden_size": 1}, "hidden_size", COUNT) for kind in ("GRU", "LSTM", "RNN")],
    *[(kind, {"input_size": 1, "hidden_size": 1}, "num_layers", COUNT) for kind in ("GRU", "LSTM", "RNN")],
    ("Flatten", {}, "start_axis", ["a", 1.5, None]),
    *[(kind, {"input_size": 1, "hidden_size": 1}, "batch_first", NO_SWITCH) for kind in ("GRU", "LSTM", "RNN")],
    ("GaussianNLLLoss", {}, "eps", ABOVE),
    ("GaussianNLLLoss", {}, "full", [*NO_SWITCH, None]),
    ("GroupNorm", {"num_groups": 1, "num_channels": 2}, "eps", AT_LEAST_0),
    ("GroupNorm", {"num_groups": 1, "num_channels": 2}, "num_groups", COUNT),
    ("HuberLoss", {}, "delta", ABOVE),
    ("KLDivLoss", {}, "log_target", [*NO_SWITCH, None]),
    ("KLDivLoss", {}, "reduction", NO_NAMES),
    ("LayerNorm", {"normalized_shape": 2}, "eps", AT_LEAST_0),
    ("LayerNorm", {"normalized_shape": 2}, "normalized_shape", [-1, 1.5, NAN, "2"]),
    ("LeakyReLU", {}, "negative_slope", FINITE),
    ("MSELoss", {}, "reduction", [*NO_NAMES, "batchmean"]),
    ("LayerNorm", {"normalized_shape": 2}, "elementwise_affine", NO_SWITCH),
    ("Linear", {"in_features": 2, "out_features": 1}, "bias", NO_SWITCH),
    ("MaxPool2d", {"kernel_size": 2}, "ceil_mode", [*NO_SWITCH, None]),
    ("MultiheadAttention", {"embed_dim": 2, "num_heads": 1}, "batch_first", NO_SWITCH),
    ("MultiheadAttention", {"embed_dim": 2, "num_heads": 1}, "num_heads", COUNT),
    ("RMSNorm", {"normalized_shape": 2}, "eps", [x for x in AT_LEAST_0 if x is not None]),
    ("RNN", {"input_size": 1, "hidden_size": 1}, "nonlinearity", NO_NAMES),
    ("SmoothL1Loss", {}, "beta", AT_LEAST_0),
    ("Softplus", {}, "beta", ABOVE),
    ("Softplus", {}, "threshold", [x for x in FINITE if x is not None]),
    ("TransformerEncoderLayer", ENCODER, "activation", ["other", None, 1]),
    ("TransformerEncoderLayer", ENCODER, "norm_first", NO_SWITCH),
]
REMEDY = "must be|write"


@pytest.mark.parametrize(("kind", "needed", "setting", "bad"), CASES)
def test_a_bad_setting_is_refused_when_it_is_given_and_when_it_is_assigned(
    kind: str, needed: dict[str, Any], setting: str, bad: list[Any]
) -> None:
    made = getattr(nn, kind)
    layer = made(**needed)
    before = dict(vars(layer))
    for x in bad:
        with pytest.raises((TypeError, ValueError), match=REMEDY):
            made(**needed | {setting: x})
        with pytest.raises((TypeError, ValueError), match=REMEDY):
            setattr(layer, setting, x)
        assert vars(layer) == before, x


@pytest.mark.parametrize("layer", [nn.Linear(2, 1), nn.Sequential(nn.Dropout())])
@pytest.mark.parametrize("bad", ["False", 0, None, np.ones(1)])
def test_training_is_true_or_false(layer: Any, bad: Any) -> None:
    with pytest.raises(TypeError, match="training must be True or False, got"):
        layer.training = bad
    with pytest.raises(TypeError, match="training must be True or False, got"):
        layer.train(bad)
    assert layer.training


def test_a_setting_is_kept_as_pythons_number() -> None:
    half: Any = np.float32(0.5)
    layer: Any = nn.BatchNorm1d(2, eps=half)
    assert type(layer.eps) is float
    layer.eps, layer.momentum = 0, None
    assert (layer.eps, layer.momentum) == (0.0, None)


def test_a_class_of_ones_own_keeps_the_checks_of_the_one_above() -> None:
    class Own(nn.LayerNorm):
        """A layer norm with a setting that nobody checks."""

        def __init__(self) -> None:
            super().__init__(2)
            self.own = -1.0

    layer = Own()
    with pytest.raises(ValueError, match="eps must be a finite number, 0 or more"):
        layer.eps = layer.own


def test_an_index_of_padding_outside_is_refused() -> None:
    layer = nn.Embedding(3, 2, padding_idx=-1, seed=0)
    assert not layer([2]).data.any()
    layer.padding_idx = 3
    with pytest.raises(IndexError, match="out of range"):
        layer([2])


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_dropout_that_is_assigned_later_holds_between_layers(kind: str) -> None:
    layer = getattr(nn, kind)(1, 4, 2, dropout=0.5, seed=0)
    layer.dropout = 1.0
    assert layer.between.p == 1
    with pytest.raises(ValueError, match="dropout must be from 0 to 1"):
        layer.dropout = 2.0
    assert (layer.dropout, layer.between.p) == (1, 1)


@pytest.mark.parametrize(
    ("function", "setting"), [(tg.leaky_relu, {"slope": NAN}), (tg.elu, {"alpha": INF}), (tg.elu, {"alpha": "1"})]
)
def test_functions_check_the_same_settings(function: Any, setting: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match="must be a finite number, got"):
        function([1.0], **setting)


def test_weights_of_losses_are_buffers_whenever_they_are_set() -> None:
    loss: Any = nn.CrossEntropyLoss()
    loss.weight = [1.0, 2.0]
    assert [*loss.state_dict()] == ["weight"]
    loss.weight = np.array([2.0, 1.0])
    assert loss.weight.tolist() == [2.0, 1.0]


def test_switches_of_a_loader_are_checked_and_a_users_own_are_not() -> None:
    for wrong in ({"shuffle": "no"}, {"drop_last": 1}):
        with pytest.raises(TypeError, match="must be True or False"):
            tg.data.DataLoader([1, 2], **wrong)
    loader = tg.data.DataLoader([1, 2])
    with pytest.raises(ValueError, match="batch_size must be a whole number"):
        loader.batch_size = -1

    class Own(nn.Module):
        def __init__(self, flag: bool) -> None:
            self.flag = flag

    assert Own(1).flag == 1  # type: ignore[arg-type]


def test_the_settings_of_windows_name_what_they_need() -> None:
    for layer in (nn.Conv2d(1, 1, 1, stride="a"), nn.MaxPool2d("a"), nn.AvgPool2d(2, stride=[1.5, 1])):
        with pytest.raises(ValueError, match="give one integer, or 2, of at least 1"):
            layer(np.ones((1, 1, 4, 4)))
