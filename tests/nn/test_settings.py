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
    ("AdaptiveAvgPool1d", {"output_size": 2}, "output_size", [0, 1.5, "2", (2, 2), np.ones(1)]),
    ("AdaptiveAvgPool2d", {"output_size": 2}, "output_size", [0, (2, -1), (2, 2, 2), [1.5, None], "a"]),
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
    *[(kind, {}, "axis", ["a", 1.5, None, True, (0, "a")]) for kind in ("LogSoftmax", "Softmax")],
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
REMEDY = "must be|write|give one integer"


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
        with pytest.raises((TypeError, ValueError, AttributeError), match=REMEDY):
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
    with pytest.raises(AttributeError, match=r"Embedding\.padding_idx stays -1, .*; write a new Embedding"):
        layer.padding_idx = 3
    with pytest.raises(IndexError, match="out of bounds"):
        nn.Embedding(3, 2, padding_idx=3)


# What each class needs, by name; others need nothing.
NEEDED: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(["Conv1d", "Conv2d", "ConvTranspose2d"], (2, 4, 3)),
    **dict.fromkeys(["GRU", "LSTM", "RNN"], (2, 3, 2)),
    **dict.fromkeys(["BatchNorm1d", "BatchNorm2d", "LayerNorm", "RMSNorm"], (2,)),
    **dict.fromkeys([f"{kind}Pool{n}d" for kind in ("Max", "Avg", "AdaptiveAvg") for n in (1, 2)], (2,)),
    **{"DenseNetwork": (NETWORK,), "Embedding": (3, 2, 0), "GroupNorm": (1, 2), "Linear": (2, 3)},
    **{"MultiheadAttention": (4, 2), "TransformerEncoderLayer": (4, 2, 8), "CrossEntropyLoss": ([1.0, 2.0],)},
    **{"CosineAnnealingLR": (3,), "CosineAnnealingWarmRestarts": (3,), "ExponentialLR": (0.5,)},
    **{"MultiStepLR": ([2],), "StepLR": (2,), "DataLoader": ([1, 2],)},
}


def objects() -> list[Any]:
    """Return one of each layer, loss, optimiser and schedule, and a loader."""
    schedules = tg.optim.lr_scheduler
    sgd = tg.optim.SGD([tg.ones(2, requires_grad=True)])
    kinds = [getattr(home, name) for home in (nn, tg.optim, schedules) for name in dir(home)]
    found: list[Any] = [tg.data.DataLoader([1, 2])]
    for kind in [kind for kind in kinds if isinstance(kind, type)]:
        needed = NEEDED.get(kind.__name__, ())
        if issubclass(kind, nn.Module):
            found.append(kind(*needed))
        elif issubclass(kind, tg.optim.Optimizer):
            found.append(kind([tg.ones(2, requires_grad=True)], 0.1))
        elif issubclass(kind, schedules.LRScheduler):
            found.append(kind(sgd, *needed))
    return found


@pytest.mark.parametrize("x", objects(), ids=lambda x: type(x).__name__)
def test_no_attribute_takes_anything(x: Any) -> None:
    """What can be assigned is checked as in the constructor, or refused."""
    before = dict(vars(x))
    names = [name for name in before if not name.startswith("_")]
    for name in [*names, *[n for n in ("padding_mode", "lr", "state") if hasattr(x, n)]]:
        with pytest.raises((TypeError, ValueError, AttributeError)):
            setattr(x, name, object())
    assert vars(x) == before


@pytest.mark.parametrize(
    ("kind", "name", "other"),
    [
        ("Linear", "in_features", 3),
        ("Conv2d", "groups", 2),
        ("Conv2d", "kernel_size", (5, 5)),
        ("BatchNorm1d", "track_running_stats", False),
        ("GroupNorm", "num_groups", 2),
        ("LayerNorm", "normalized_shape", 3),
        ("MultiheadAttention", "num_heads", 4),
        ("GRU", "bidirectional", True),
        ("DenseNetwork", "architecture", [*NETWORK, {"input_dim": 1, "output_dim": 1, "activation": "relu"}]),
        ("DataLoader", "dataset", [np.ones(2), np.ones(3)]),
    ],
)
def test_what_more_depends_on_stays(kind: str, name: str, other: Any) -> None:
    x = next(x for x in objects() if type(x).__name__ == kind)
    if kind != "DenseNetwork":  # whose description is copied
        setattr(x, name, getattr(x, name))
    with pytest.raises(AttributeError, match=f"{kind}.{name} stays .*; write a new {kind}"):
        setattr(x, name, other)


def test_windows_may_change_and_are_checked() -> None:
    layer = nn.Conv2d(1, 1, 3, padding="same", seed=0)
    layer.stride, layer.padding, layer.dilation = (2, 1), 1, 1
    assert layer(np.ones((1, 1, 4, 4))).shape == (1, 1, 2, 4)
    bad: list[tuple[str, Any]] = [("stride", 0), ("padding", "some"), ("padding", -1), ("dilation", (1, 2, 3))]
    for name, wrong in bad:
        with pytest.raises(ValueError, match=f"{name} is .*; give one integer, or 2, of at least"):
            setattr(layer, name, wrong)


def test_a_bias_is_a_tensor_or_none() -> None:
    layer: Any = nn.Linear(2, 1, bias=False)
    for wrong in (True, 1.0, np.ones(1)):
        with pytest.raises(TypeError, match=r"bias is a Tensor here, got .*; write .*Parameter\(array\)"):
            layer.bias = wrong
    layer.bias = nn.Parameter(np.ones(1))
    assert [*layer.state_dict()] == ["weight", "bias"]


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
def test_dropout_that_is_assigned_later_holds_between_layers(kind: str) -> None:
    layer = getattr(nn, kind)(1, 4, 2, seed=0)
    x = np.ones((3, 1, 1))
    before = layer(x)[0].data
    layer.dropout = 1.0
    assert not np.array_equal(layer(x)[0].data, before)
    assert np.array_equal(layer.eval()(x)[0].data, before)
    with pytest.raises(ValueError, match="dropout must be from 0 to 1"):
        layer.dropout = 2.0
    assert layer.dropout == 1


@pytest.mark.parametrize(
    ("function", "setting"),
    [(tg.leaky_relu, {"negative_slope": NAN}), (tg.elu, {"alpha": INF}), (tg.elu, {"alpha": "1"})],
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


def test_a_weight_of_a_loss_that_is_trained_stays_a_parameter() -> None:
    weight = tg.tensor([1.0, 2.0], requires_grad=True)
    loss: Any = nn.CrossEntropyLoss(weight)
    assert loss.weight is weight
    assert [name for name, _ in loss.named_parameters()] == ["weight"]
    loss([[0.0, 1.0], [1.0, 0.0]], [0, 1]).backward()
    assert weight.grad is not None


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
    bad: list[Any] = [(nn.Conv2d, (1, 1, 1, "a")), (nn.MaxPool2d, ("a",)), (nn.AvgPool2d, (2, [1.5, 1]))]
    for kind, settings in bad:
        with pytest.raises(ValueError, match="give one integer, or 2, of at least 1"):
            kind(*settings)
