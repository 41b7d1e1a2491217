"""Every layer against PyTorch's: the same weights and inputs give the same outputs, gradients and statistics."""

import math
from typing import Any

import numpy as np
import pytest
from optional import pytorch

import tinygrad_nn as tg

torch = pytorch()
nn = tg.nn
DRAWS = range(6)


def dense(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    k, n, bias = how(1, 7), how(1, 5), bool(how(0, 2))
    x = rng.normal(size=(*(how(1, 4) for _ in range(how(0, 3))), k))
    return nn.Linear(k, n, bias), torch.nn.Linear(k, n, bias), x


def embedding(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    n, width = how(2, 9), how(1, 5)
    padding = [None, 0, n - 1, -1][how(0, 4)]
    x = rng.integers(0, n, (how(1, 4), how(1, 6)))
    return nn.Embedding(n, width, padding), torch.nn.Embedding(n, width, padding), x


def flatten(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    start, end = how(0, 3), -how(1, 3)
    return nn.Flatten(start, end), torch.nn.Flatten(start, end), rng.normal(size=(2, 3, 4, 2, 3))


def batch_norm(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    c = how(1, 5)
    axes = how(1, 4)
    kind = "BatchNorm2d" if axes == 3 else "BatchNorm1d"
    settings = {
        "eps": 10.0 ** -how(3, 8),
        "momentum": [None, 0.1, 0.7][how(0, 3)],
        "affine": bool(how(0, 2)),
        "track_running_stats": how(0, 4) > 0,
        "bias": how(0, 4) > 0,
    }
    x = rng.normal(2, 3, (how(2, 5), c, *(how(2, 4) for _ in range(axes - 1))))
    return getattr(nn, kind)(c, **settings), getattr(torch.nn, kind)(c, **settings), x


def layer_norm(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    shape = tuple(how(2, 5) for _ in range(how(1, 3)))
    settings = {"eps": 10.0 ** -how(3, 8), "elementwise_affine": bool(how(0, 2)), "bias": bool(how(0, 2))}
    x = rng.normal(1, 2, (how(1, 4), 3, *shape))
    return nn.LayerNorm(shape, **settings), torch.nn.LayerNorm(shape, **settings), x


def rms_norm(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    shape = tuple(how(2, 5) for _ in range(how(1, 3)))
    eps, affine = [None, 1e-3][how(0, 2)], bool(how(0, 2))
    return nn.RMSNorm(shape, eps, affine), torch.nn.RMSNorm(shape, eps, affine), rng.normal(1, 2, (3, *shape))


def group_norm(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    groups, settings = how(1, 4), {"affine": bool(how(0, 2)), "bias": bool(how(0, 2))}
    c = groups * how(1, 4)
    x = rng.normal(1, 2, (how(1, 4), c, *(how(2, 4) for _ in range(how(1, 3)))))
    return nn.GroupNorm(groups, c, **settings), torch.nn.GroupNorm(groups, c, **settings), x


def convolution(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    axes, groups = how(1, 3), how(1, 3)
    c, o = groups * how(1, 3), groups * how(1, 3)
    settings: dict[str, Any] = {"stride": how(1, 3), "padding": how(0, 3), "dilation": how(1, 3), "groups": groups}
    if how(0, 3) == 0:
        settings |= {"stride": 1, "padding": "same"}
    settings |= {"bias": bool(how(0, 2)), "padding_mode": ["zeros", "reflect", "replicate", "circular"][how(0, 4)]}
    kernel = tuple(how(1, 4) for _ in range(axes))
    x = rng.normal(size=(how(1, 3), c, *(how(6, 9) for _ in range(axes))))
    kind = f"Conv{axes}d"
    return getattr(nn, kind)(c, o, kernel, **settings), getattr(torch.nn, kind)(c, o, kernel, **settings), x


def transposed(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    groups, stride = how(1, 3), how(1, 4)
    c, o = groups * how(1, 3), groups * how(1, 3)
    settings = {"stride": stride, "padding": how(0, 2), "output_padding": how(0, stride), "groups": groups}
    settings |= {"bias": bool(how(0, 2)), "dilation": how(1, 3)}
    kernel = (how(2, 4), how(2, 4))
    x = rng.normal(size=(how(1, 3), c, how(3, 6), how(3, 6)))
    return nn.ConvTranspose2d(c, o, kernel, **settings), torch.nn.ConvTranspose2d(c, o, kernel, **settings), x


def pooling(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    axes, kernel = how(1, 3), how(1, 4)
    stride, ceil = [None, how(1, 4)][how(0, 2)], bool(how(0, 2))
    settings: dict[str, Any] = {"stride": stride, "padding": kernel // 2 * how(0, 2), "ceil_mode": ceil}
    kind = ["MaxPool", "AvgPool"][how(0, 2)]
    settings |= {"dilation": how(1, 3)} if kind == "MaxPool" else {"count_include_pad": bool(how(0, 2))}
    x = rng.normal(size=(how(1, 3), how(1, 3), *(how(7, 10) for _ in range(axes))))
    kind = f"{kind}{axes}d"
    return getattr(nn, kind)(kernel, **settings), getattr(torch.nn, kind)(kernel, **settings), x


def adaptive(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    size = [how(1, 6), (how(1, 6), None), (how(1, 6), how(1, 9))][how(0, 3)]
    x = rng.normal(size=(how(1, 3), 2, how(4, 8), how(4, 8)))
    if how(0, 3) == 0:
        return nn.AdaptiveAvgPool1d(how(5, 6)), torch.nn.AdaptiveAvgPool1d(5), x[0]
    return nn.AdaptiveAvgPool2d(size), torch.nn.AdaptiveAvgPool2d(size), x


def activation(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    kinds: list[tuple[str, Any]] = [
        (k, ()) for k in ("ReLU", "Sigmoid", "Tanh", "GELU", "SiLU", "Softplus", "Identity")
    ]
    kinds += [("LeakyReLU", (0.2,)), ("ELU", (0.7,)), ("Softmax", (1,)), ("LogSoftmax", (-1,))]
    kind, args = kinds[how(0, len(kinds))]
    return getattr(nn, kind)(*args), getattr(torch.nn, kind)(*args), rng.normal(0, 3, (4, 3))


def stacked(rng: np.random.Generator, how: Any) -> tuple[Any, ...]:
    c = how(1, 4)
    layers = [
        [
            *[space.Conv2d(2, c, 3), space.BatchNorm2d(c), space.ReLU(), space.MaxPool2d(2), space.Flatten()],
            *[space.Linear(c * 9, 4), space.LayerNorm(4), space.Dropout(0.0)],
        ]
        for space in (nn, torch.nn)
    ]
    return nn.Sequential(*layers[0]), torch.nn.Sequential(*layers[1]), rng.normal(size=(3, 2, 8, 8))


CASES = [
    dense, embedding, flatten, batch_norm, layer_norm, rms_norm, group_norm, convolution, transposed, pooling, adaptive,
    activation, stacked,
]  # fmt: skip


def close(a: Any, b: Any) -> None:
    b = np.asarray(b)
    assert a.shape == b.shape
    assert np.abs(a - b).max(initial=0) <= 1e-10 * max(1.0, np.abs(b).max(initial=0))


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch says that it copies
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("case", CASES)
def test_a_layer_computes_what_pytorchs_does(case: Any, draw: int, training: bool) -> None:
    """Over several batches, so that statistics count; the state goes over to PyTorch, and back in the end."""
    rng = np.random.default_rng(draw)
    ours, theirs, x = case(rng, lambda low, high: int(rng.integers(low, high)))
    theirs.double()
    ours.load_state_dict({name: t + np.asarray(rng.random(t.shape), t.dtype) for name, t in ours.state_dict().items()})
    state = ours.state_dict()
    assert list(theirs.state_dict()) == list(state)
    theirs.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()})
    ours.train(training)
    theirs.train(training)
    for scale in (1.0, 0.5, -2.0):
        batch, floating = (scale * x, True) if x.dtype.kind == "f" else (x, False)
        a, b = tg.tensor(batch, requires_grad=floating), torch.tensor(batch, requires_grad=floating)
        y, z = ours(a), theirs(b)
        close(y.data, z.detach())
        if z.requires_grad:
            weights = rng.normal(size=z.shape)
            ours.zero_grad()
            theirs.zero_grad()
            (y * weights).sum().backward()
            (z * torch.tensor(weights)).sum().backward()
        if a.requires_grad:
            assert a.grad is not None
            close(a.grad.data, b.grad)
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            close(p.grad.data, q.grad)
        for t, u in zip(ours.buffers(), theirs.buffers(), strict=True):
            close(t.data, u)
    ours.load_state_dict(theirs.state_dict())
    close(ours(tg.tensor(x)).data, theirs(torch.tensor(x)).detach())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nn.Linear(50, 40, seed=0), torch.nn.Linear(50, 40)),
        (nn.Embedding(50, 40, seed=0), torch.nn.Embedding(50, 40)),
        (nn.Conv1d(40, 30, 5, seed=0), torch.nn.Conv1d(40, 30, 5)),
        (nn.Conv2d(20, 12, (3, 5), groups=2, seed=0), torch.nn.Conv2d(20, 12, (3, 5), groups=2)),
        (nn.ConvTranspose2d(20, 8, 3, groups=2, seed=0), torch.nn.ConvTranspose2d(20, 8, 3, groups=2)),
        (nn.BatchNorm1d(5), torch.nn.BatchNorm1d(5)),
        (nn.LayerNorm(5), torch.nn.LayerNorm(5)),
        (nn.GroupNorm(1, 5), torch.nn.GroupNorm(1, 5)),
        (nn.RMSNorm(5), torch.nn.RMSNorm(5)),
    ],
)
def test_a_layer_begins_as_pytorchs(ours: Any, theirs: Any) -> None:
    """The numbers differ, their distribution does not: standard deviation, and the largest of uniform draws."""
    torch.manual_seed(0)
    theirs.reset_parameters()
    weights = [ours.weight.data, theirs.weight.detach().numpy()]
    assert weights[0].std() == pytest.approx(weights[1].std(), rel=0.05)
    largest = [np.abs(w).max() for w in weights]
    assert isinstance(ours, nn.Embedding) or largest[0] == pytest.approx(largest[1], rel=0.01)
    for bias, bound in zip((getattr(ours, "bias", None), getattr(theirs, "bias", None)), largest, strict=True):
        if bias is not None:
            found = np.abs(np.asarray(bias.detach())).max()
            assert found == 0 if "Norm" in type(ours).__name__ else 0.5 * bound < found <= 1.01 * bound


def test_a_tied_weight_goes_over_and_back() -> None:
    ours = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)).double()
    ours[1].weight = ours[0].weight
    theirs[1].weight = theirs[0].weight
    ours.load_state_dict(theirs.state_dict())
    assert ours[1].weight is ours[0].weight
    close(ours(np.eye(3)).data, theirs(torch.eye(3).double()).detach())
    assert list(ours.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"] == list(theirs.state_dict())
    theirs.load_state_dict({name: torch.tensor(t) for name, t in ours.state_dict().items()})


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("GELU", {"approximate": "tanh"}),
        *[("Softplus", {"beta": b, "threshold": t}) for b in (0.5, 3) for t in (1, 20)],
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_settings_of_an_activation_are_pytorchs(kind: str, settings: dict[str, Any], dtype: str) -> None:
    x = np.concatenate([np.linspace(-60, 60, 481), [-1e30, 1e30]]).astype(dtype)
    mine, their = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = getattr(nn, kind)(**settings)(mine), getattr(torch.nn, kind)(**settings)(their)
    y.sum().backward()
    z[:-2].sum().backward()  # PyTorch's slopes there are nan
    assert mine.grad is not None
    assert y.dtype == dtype
    tolerance = 30 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(y.data, z.detach(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(mine.grad.data[:-2], their.grad[:-2], rtol=0, atol=tolerance)
    assert mine.grad.data[-2:].tolist() == [0, 1]


LOOSE: Any = nn  # without the types that forbid such calls


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: LOOSE.Softmax(dim=1), TypeError, "Softmax has no dim=, which is PyTorch's; write axis="),
        (lambda: LOOSE.LogSoftmax(dim=-1), TypeError, "LogSoftmax has no dim=.*; write axis="),
        (lambda: LOOSE.ReLU(inplace=True), TypeError, "ReLU has no inplace=.*; leave it out"),
        (lambda: LOOSE.ReLU(True), TypeError, r"ReLU: too many positional arguments; see help\(nn.ReLU\)"),
        (lambda: LOOSE.MaxPool2d(), TypeError, "MaxPool2d: missing a required argument: 'kernel_size'; see help"),
        (lambda: nn.Conv1d(1, 1, 3, padding_mode="wrap"), ValueError, "padding_mode must be 'zeros', 'reflect', "),
        (lambda: LOOSE.Linear(2.0, 1), TypeError, r"in_features must be a whole number, got 2\.0 of type float"),
        (lambda: LOOSE.Conv2d("2", 4, 3), TypeError, "in_channels must be a whole number, got '2' of type str"),
        (lambda: LOOSE.Conv1d(2, 4, 3, groups=2.0), TypeError, r"groups must be a whole number, got 2\.0"),
        (lambda: LOOSE.Embedding(3, 2, 1.5), TypeError, r"padding_idx must be a whole number, got 1\.5"),
        (lambda: LOOSE.MultiheadAttention(4, 2, kdim="2"), TypeError, "kdim must be a whole number, got '2'"),
        (lambda: LOOSE.GRU([2], 3), TypeError, r"input_size must be a whole number, got \[2\] of type list"),
        (lambda: nn.LayerNorm(-1), ValueError, "each size of a layer must be a whole number, 0 or more, got -1"),
        (lambda: LOOSE.GroupNorm(1.5, 3), TypeError, "num_groups must be a whole number"),
        (lambda: LOOSE.Dropout("0.5"), TypeError, "p must be from 0 to 1, got '0.5' of type str"),
        (
            lambda: nn.AdaptiveAvgPool2d((2, 2, 2)),
            ValueError,
            r"output_size is \[2, 2, 2\]; give one integer, or 2, of",
        ),
        (lambda: nn.AdaptiveAvgPool2d(2)(np.ones(5)), ValueError, "output_size is 2, and needs 2 of the axes of the"),
        (
            lambda: LOOSE.MaxPool2d(np.ones((1, 3))),
            ValueError,
            r"kernel_size is array\(\[\[1\., 1\., 1\.\]\]\); give one integer, or 2",
        ),
        (lambda: nn.GELU("erf"), ValueError, "approximate must be 'none' or 'tanh', got 'erf'"),
    ],
)
def test_what_pytorchs_names_get(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_sums_of_float16_are_taken_in_float32(affine: bool, training: bool) -> None:
    x = np.array([[300, -300], [-400, 200]], np.float16)
    norms = [("LayerNorm", (2, 1e-5, affine)), ("RMSNorm", (2, 1e-5, affine)), ("GroupNorm", (1, 2, 1e-5, affine))]
    for name, settings in [*norms, ("BatchNorm1d", (2, 1e-5, 0.1, affine))]:
        ours: Any = getattr(nn, name)(*settings, dtype=np.float16).train(training)
        theirs = getattr(torch.nn, name)(*settings, dtype=torch.float16).train(training)
        mine = tg.tensor(x, requires_grad=True)
        y, z = ours(mine), theirs(torch.tensor(x))
        assert y.dtype == np.float16
        np.testing.assert_allclose(y.data, z.detach(), rtol=2**-10, atol=0, err_msg=name)
        y.sum().backward()
        assert mine.grad is not None
        assert mine.grad.dtype == np.float16
        for t in ours.buffers()[:2]:
            assert t.dtype == np.float16
            assert np.isfinite(t.data).all()


@pytest.mark.parametrize("shape", [(1024, 8), (64, 8, 4, 4)])
def test_batch_norm_keeps_its_digits_far_from_zero(shape: tuple[int, ...]) -> None:
    x = (1000 + np.random.default_rng(0).normal(size=shape)).astype(np.float32)
    layer: Any = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(8, dtype=np.float32)
    y = layer(x).data
    for channel in range(8):
        exact = [float(value) for value in x[:, channel].ravel()]
        mean = math.fsum(exact) / len(exact)
        scale = math.sqrt(math.fsum((value - mean) ** 2 for value in exact) / len(exact) + 1e-5)
        expected = [(value - mean) / scale for value in exact]
        np.testing.assert_allclose(y[:, channel].ravel(), expected, rtol=0, atol=5e-6)
        np.testing.assert_allclose(layer.running_mean.data[channel], 0.1 * mean, rtol=2e-7)


@pytest.mark.parametrize(
    ("axes", "shape", "kind", "words"),
    [
        ((2, 1), (2, 3, 4), ValueError, r"Flatten\(.*\) got shape \(2, 3, 4\); name a first axis"),
        ((1, -1), (3,), np.exceptions.AxisError, "axis 1 is out of bounds"),
        ((0, -1), (), np.exceptions.AxisError, "axis 0 is out of bounds"),
        ((1, 3), (2, 3, 4), np.exceptions.AxisError, "axis 3 is out of bounds"),
        ((-4, 1), (2, 3, 4), np.exceptions.AxisError, "axis -4 is out of bounds"),
        (("a", -1), (2, 3, 4), TypeError, "start_axis must be a whole number, got 'a'"),
    ],
)
def test_axes_that_cannot_be_flattened_are_refused(
    axes: Any, shape: tuple[int, ...], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        nn.Flatten(*axes)(np.ones(shape))


@pytest.mark.parametrize("padding_idx", [4, -1])
def test_a_padding_row_has_no_gradient_by_either_of_its_indices(padding_idx: int) -> None:
    layer = nn.Embedding(5, 2, padding_idx, seed=0)
    layer([0, 4, -1]).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.data.sum(axis=1).tolist() == [2, 0, 0, 0, 0]


@pytest.mark.parametrize("rows", [0, 1])
def test_batch_norm_refuses_too_few_values_to_train_on(rows: int) -> None:
    layer = nn.BatchNorm1d(2)
    with pytest.raises(ValueError, match=r"more than one value per channel; take larger batches, or eval\(\)"):
        layer(np.ones((rows, 2)))
    with pytest.raises(ValueError, match="or eval\\(\\) with running statistics"):
        nn.BatchNorm1d(2, track_running_stats=False).eval()(np.ones((rows, 2)))
    assert layer.eval()(np.ones((rows, 2))).shape == (rows, 2)


def test_layers_keep_float32_throughout() -> None:
    ours: Any = nn.Sequential(
        *[nn.Conv2d(1, 2, 3, dtype=np.float32), nn.BatchNorm2d(2, momentum=None, dtype=np.float32), nn.GELU()],
        *[nn.GroupNorm(1, 2, dtype=np.float32), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5, seed=0)],
        *[nn.LayerNorm(8, dtype=np.float32), nn.RMSNorm(8, dtype=np.float32), nn.Linear(8, 1, dtype=np.float32)],
    )
    for mode in (True, False):
        y = ours.train(mode)(np.random.default_rng(0).normal(size=(3, 1, 7, 7)).astype(np.float32))
        assert y.dtype == np.float32
        y.sum().backward()
    assert {t.dtype for t in [*ours.parameters(), *(p.grad for p in ours.parameters())]} == {np.dtype(np.float32)}
    assert [t.dtype for t in ours.buffers()] == [np.float32, np.float32, np.int64]
