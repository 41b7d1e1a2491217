"""Every loss against PyTorch's, as module and so as function: values, slopes and curvatures over drawn settings."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optional import pytorch
from same_bits import same

import tinygrad_nn as tg

torch = pytorch()
nn = tg.nn
Drawn = tuple[dict[str, Any], list[np.ndarray]]
Rng = np.random.Generator


def some(rng: Rng, **settings: Any) -> dict[str, Any]:
    """Return some of the settings, each by its function."""
    return {name: make() for name, make in settings.items() if rng.random() < 0.6}


def reduction(rng: Rng, *more: str) -> Callable[[], str]:
    return lambda: str(rng.choice(["mean", "sum", "none", *more]))


def lengths(rng: Rng, least: int = 0) -> tuple[int, ...]:
    return tuple(rng.integers(1, 5, rng.integers(least, 4)).tolist())


def distances(rng: Rng, **settings: Any) -> Drawn:
    shape = lengths(rng)
    return some(rng, reduction=reduction(rng), **settings), [rng.normal(0, 2, shape), rng.normal(0, 1, shape)]


def shares(rng: Rng, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers from 0 to 1, some of them exactly 0 or 1."""
    return np.where(rng.random(shape) < 0.5, rng.integers(0, 2, shape), rng.uniform(0.1, 0.9, shape))


def binary(rng: Rng, logits: bool) -> Drawn:
    shape = lengths(rng)

    def weight() -> np.ndarray:
        return rng.uniform(0.1, 3, shape[rng.integers(0, len(shape) + 1) :])

    x = (
        rng.normal(0, 3, shape) if logits else rng.uniform(0.2, 0.8, shape)
    )  # PyTorch adds 1e-12 below the second derivative
    settings = some(rng, reduction=reduction(rng), weight=weight, **({"pos_weight": weight} if logits else {}))
    return settings, [x, shares(rng, shape)]


def variances(rng: Rng) -> Drawn:
    shape = lengths(rng, 1)
    var = rng.uniform(0.1, 2, [shape, (*shape[:-1], 1), shape[:-1] if len(shape) > 1 else shape][rng.integers(0, 3)])
    settings = some(rng, reduction=reduction(rng), full=lambda: True, eps=lambda: 0.3)
    return settings, [rng.normal(size=shape), rng.normal(size=shape), var]


def divergence(rng: Rng) -> Drawn:
    shape = lengths(rng, 1)
    settings = some(rng, reduction=reduction(rng, "batchmean"), log_target=lambda: True)
    target = rng.normal(-1, 1, shape) if "log_target" in settings else rng.uniform(0.05, 1, shape)
    return settings, [rng.normal(-1, 1, shape), target]


def classes(rng: Rng, soft: bool = False, **settings: Any) -> Drawn:
    k = int(rng.integers(2, 6))
    shape = (k,) if rng.random() < 0.2 else (int(rng.integers(2, 6)), k, *lengths(rng)[:2])
    settings = some(rng, reduction=reduction(rng), weight=lambda: rng.uniform(0.1, 3, k), **settings)
    x = rng.normal(0, 2, shape)
    if soft:
        return settings, [x, shares(rng, shape)]
    labels = rng.integers(0, k, shape[:1] * (len(shape) > 1) + shape[2:])
    if labels.ndim and rng.random() < 0.5:
        ignored = settings.setdefault("ignore_index", int(rng.choice([-100, -1, 1, 77])))
        labels.flat[0], labels.flat[-1] = (ignored + 1) % k, ignored
    return settings, [x, labels]


LOSSES: dict[str, Callable[[Rng], Drawn]] = {
    "MSELoss": distances,
    "L1Loss": distances,
    "HuberLoss": lambda rng: distances(rng, delta=lambda: rng.uniform(0.1, 3)),
    "SmoothL1Loss": lambda rng: distances(rng, beta=lambda: float(rng.choice([0.0, 0.3, 2.5]))),
    "BCELoss": lambda rng: binary(rng, False),
    "BCEWithLogitsLoss": lambda rng: binary(rng, True),
    "GaussianNLLLoss": variances,
    "KLDivLoss": divergence,
    "NLLLoss": classes,
    "CrossEntropyLoss": lambda rng: classes(rng, bool(rng.integers(0, 2)), label_smoothing=lambda: rng.uniform(0, 1)),
}


def test_no_loss_is_left_out() -> None:
    assert {*LOSSES} == {name for name in nn.__all__ if name.endswith("Loss")}


def derivatives(loss: Any, leaves: list[Any], cotangent: Any, directions: list[Any], of: Any) -> list[Any]:
    """Return the value, its slopes along a cotangent, and the slopes of these along directions."""
    y = loss(*leaves)
    free = [x for x in leaves if x.requires_grad]
    slopes = of((y * cotangent).sum(), free, create_graph=True, allow_unused=True)
    pairs = [(g * v).sum() for g, v in zip(slopes, directions) if g is not None and g.requires_grad]
    curvatures = of(sum(pairs), free, allow_unused=True) if pairs else [None] * len(free)
    return [y, *slopes, *curvatures]


def in_torch(x: Any) -> Any:
    return torch.tensor(x, requires_grad=x.dtype.kind == "f")


def close(a: Any, b: Any, tolerance: float = 1e-10) -> bool:
    """Return whether ours is PyTorch's; None stands for zeros, which PyTorch does not even store."""
    a = 0.0 if a is None else a.data
    b = np.asarray(0.0 if b is None else b.numpy(force=True))
    return bool(np.abs(a - b).max(initial=0) <= tolerance * max(1.0, np.abs(b).max(initial=0)))


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # PyTorch says that "batchmean" is right
@pytest.mark.parametrize("kind", LOSSES)
@given(seed=st.integers(0, 2**32))
def test_a_loss_is_pytorchs(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    settings, arrays = LOSSES[kind](rng)
    ours = getattr(nn, kind)(**settings)
    theirs = getattr(torch.nn, kind)(
        **{k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in settings.items()}
    )
    leaves = [tg.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
    cotangent = rng.normal(size=ours(*leaves).shape)
    directions = [rng.normal(size=x.shape) for x in arrays]
    own = derivatives(ours, leaves, cotangent, directions, tg.autograd.grad)
    its = derivatives(
        theirs, [*map(in_torch, arrays)], torch.tensor(cotangent), [*map(torch.tensor, directions)], torch.autograd.grad
    )
    assert len(own) == len(its)
    assert own[0].shape == tuple(its[0].shape)
    for a, b in zip(own, its):
        assert close(a, b), (settings, arrays)


def squared(loss: Any) -> Any:
    return tg.value_and_grad(lambda *inputs: (loss(*inputs) ** 2).sum())


@pytest.mark.parametrize("kind", LOSSES)
def test_a_compiled_loss_is_the_eager_one_and_single_precision_stays(kind: str) -> None:
    drawn = (LOSSES[kind](np.random.default_rng(seed)) for seed in itertools.count())
    for settings, arrays in itertools.islice(drawn, 4):
        x, *others = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
        eager = squared(getattr(nn, kind)(**settings))
        compiled = tg.compile(eager, exact=True)
        for scale in (1.0, 0.5):
            results = compiled(x * np.float32(scale), *others)
            assert same(list(results), list(eager(x * np.float32(scale), *others)))
            assert [r.dtype for r in results] == [np.float32, np.float32]


@pytest.mark.parametrize("far", [1e3, -1e3, 0.0, 1.0])
def test_extremes_are_pytorchs(far: float) -> None:
    """Far logits, and probabilities of exactly 0 and 1, where PyTorch bounds what can be lost."""
    hot = np.array([0.0, 1.0, 0.25])
    pairs: list[tuple[str, Any, Any]] = [
        ("BCEWithLogitsLoss", np.full(3, far), hot),
        ("CrossEntropyLoss", np.array([[far, 0.0, -far]] * 3), np.array([0, 1, 2])),
        ("CrossEntropyLoss", np.array([[far, 0.0, -far]]), hot[None]),
        ("HuberLoss", np.full(3, far), hot),
    ]
    if 0 <= far <= 1:
        pairs.append(("BCELoss", np.full(3, far), np.array([1 - far, 1 - far, 0.25])))
        pairs.append(("KLDivLoss", np.full(3, -far), np.array([far, 1.0, 0.0])))
    for kind, x, y in pairs:
        ours, theirs = tg.tensor(x, requires_grad=True), in_torch(x)
        a = getattr(nn, kind)(reduction="sum")(ours, y)
        b = getattr(torch.nn, kind)(reduction="sum")(theirs, torch.tensor(y))
        a.backward()
        b.backward()
        assert close(a, b)
        assert close(ours.grad, theirs.grad, 1e-8 if kind == "BCELoss" else 1e-10)  # its 1e-12 is a float32


def test_the_slope_of_a_probability_is_that_of_its_value() -> None:
    """PyTorch's is 0 at a p that is right, where that of -log(1 - p) is 1, and at most 1e12 near 0 and 1."""
    p = tg.tensor([0.0, 1.0, 1e-20, 1 - 2.0**-50], requires_grad=True)
    tg.binary_cross_entropy(p, [0.0, 1.0, 1.0, 0.0], reduction="sum").backward()
    assert p.grad is not None
    np.testing.assert_allclose(p.grad.data, [1.0, -1.0, -1e20, 2.0**50], rtol=1e-15)


def test_a_variance_below_eps_is_eps_with_a_slope() -> None:
    var = [np.array([1e-9, 0.0, 2.0])] * 2
    ours, theirs = tg.tensor(var[0], requires_grad=True), in_torch(var[1])
    x, y = np.array([1.0, 0.5, 0.0]), np.zeros(3)
    tg.gaussian_nll_loss(x, y, ours).backward()
    torch.nn.functional.gaussian_nll_loss(torch.tensor(x), torch.tensor(y), theirs).backward()
    assert close(ours.grad, theirs.grad)
    assert np.all(ours.grad.data != 0)  # type: ignore[union-attr]


@pytest.mark.parametrize("loss", [tg.cross_entropy, tg.nll_loss])
def test_the_classes_may_lie_on_any_axis(loss: Any) -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 3, 4)), np.array([[0, 2, 1, 1], [2, 2, 0, 1]])
    last = loss(np.moveaxis(x, 1, 2), y, np.array([1.0, 2.0, 0.5]), reduction="none")
    assert same([loss(x, y, np.array([1.0, 2.0, 0.5]), reduction="none", axis=1)], [last])
    unsigned = loss(np.moveaxis(x, 1, 2), y.astype(np.uint64), np.array([1.0, 2.0, 0.5]), reduction="none")
    assert same([unsigned], [last])


def test_the_weights_of_a_module_are_buffers() -> None:
    loss = nn.CrossEntropyLoss([1.0, 2.0, 0.5], label_smoothing=0.1)
    assert [*loss.state_dict()] == [*torch.nn.CrossEntropyLoss(torch.ones(3)).state_dict()] == ["weight"]
    assert repr(loss) == "CrossEntropyLoss(ignore_index=-100, reduction='mean', label_smoothing=0.1)"


ELEMENTWISE: list[Any] = [
    tg.binary_cross_entropy, tg.binary_cross_entropy_with_logits, tg.mse_loss, tg.l1_loss, tg.huber_loss,
    tg.smooth_l1_loss, tg.kl_div, lambda x, y, **settings: tg.gaussian_nll_loss(x, y, x, **settings),
]  # fmt: skip


@pytest.mark.parametrize("loss", ELEMENTWISE)
def test_losses_refuse_different_shapes_and_unknown_reductions(loss: Any) -> None:
    half = tg.full((3, 1), 0.5)
    with pytest.raises(ValueError, match=r"\(3, 1\) and \(3,\); write y.reshape\(\(3, 1\)\)"):
        loss(half, np.ones(3))
    with pytest.raises(ValueError, match="reduction must be 'mean', 'sum' or 'none', got 'total'"):
        loss(half, np.ones((3, 1)), reduction="total")


@pytest.mark.parametrize(
    ("loss", "weights"),
    [
        (tg.binary_cross_entropy, ["weight"]), (tg.binary_cross_entropy_with_logits, ["weight"]),
        (tg.binary_cross_entropy_with_logits, ["pos_weight"]),
        (tg.binary_cross_entropy_with_logits, ["weight", "pos_weight"]),
    ],
)  # fmt: skip
def test_weights_make_no_more_losses_than_there_are_entries(loss: Any, weights: list[str]) -> None:
    half = tg.full(3, 0.5)
    for shape in ((3, 1), (1, 3), (1, 1)):
        with pytest.raises(ValueError, match=r"weights of shape \(., .\) don't broadcast to \(3,\); reshape them"):
            loss(half, np.ones(3), **dict.fromkeys(weights, np.ones(shape)))


@pytest.mark.parametrize("kind", [name for name in nn.__all__ if name.endswith("Loss")])
def test_a_loss_module_refuses_an_unknown_reduction(kind: str) -> None:
    with pytest.raises(ValueError, match=r"reduction must be .* got 'avg'"):
        getattr(nn, kind)(reduction="avg")


def test_the_batch_mean_of_a_number_is_its_divergence() -> None:
    torch = pytorch()
    theirs = torch.nn.KLDivLoss(reduction="batchmean")(torch.tensor(-1.0), torch.tensor(0.5))
    assert nn.KLDivLoss(reduction="batchmean")(-1.0, 0.5).item() == pytest.approx(theirs.item())


Z, Y = tg.zeros((2, 3)), np.array([0, 2])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: tg.cross_entropy(Z, np.array([0, 3], np.uint64)), ValueError, r"label 3 at \(1,\) names no class"),
        (lambda: tg.cross_entropy(Z, [0, 3]), ValueError, r"label 3 at \(1,\) names no class: it must be from 0 to 2"),
        (lambda: tg.nll_loss(Z, [-1, 0]), ValueError, r"label -1 at \(0,\)"),
        (lambda: tg.nll_loss(Z, Y, ignore_index=None), TypeError, "ignore_index must be a whole number, got None"),
        (lambda: tg.cross_entropy(Z, Y, ignore_index="1"), TypeError, "ignore_index must be a whole number, got '1'"),
        (lambda: tg.cross_entropy(np.ones((2, 0)), Y), ValueError, "names no class"),
        (lambda: tg.cross_entropy(Z, [0.0, 1.0]), TypeError, r"integers, got dtype float64; write y.astype\(int\)"),
        (lambda: tg.cross_entropy(Z, [0]), ValueError, r"\(2, 3\) need class labels of shape \(2,\), got \(1,\)"),
        (lambda: tg.nll_loss(Z, Y, [1.0, 2.0]), ValueError, r"entry for each of the 3 classes, got shape \(2,\)"),
        (lambda: tg.cross_entropy(Z, Y, label_smoothing=1.5), ValueError, "label_smoothing must be from 0 to 1"),
        (lambda: tg.cross_entropy(Z, Z, ignore_index=1), ValueError, "ignore_index=1 names a class.* leave it out"),
        (lambda: tg.huber_loss(Z, Z, delta=0.0), ValueError, r"delta must be above 0, got 0\.0"),
        (lambda: tg.smooth_l1_loss(Z, Z, beta=-1.0), ValueError, r"beta must be a finite number, 0 or more, got -1\.0"),
        (lambda: tg.gaussian_nll_loss(Z, Z, [1.0, 1.0, 1.0]), ValueError, r"shape \(2, 3\), or one for each row"),
        (lambda: tg.gaussian_nll_loss(Z, Z, -1.0), ValueError, "a variance must not be negative; compute it as tg.exp"),
        (lambda: tg.binary_cross_entropy(Z - 0.1, Z), ValueError, "takes probabilities, from 0 to 1; for logits"),
        (lambda: tg.cross_entropy(Z, Y, reduction="avg"), ValueError, "reduction must be"),
        (lambda: tg.nll_loss(Z, Y, reduction="avg"), ValueError, "reduction must be"),
    ],
)
def test_what_a_mistake_gets(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
