"""Clipping by norm and by value: PyTorch's numbers, each gradient in its own dtype, and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optional import pytorch
from same_bits import same

import tinygrad_nn as tg

OPTIM: Any = tg.optim
NAMED: Any = [*tg.nn.Linear(2, 1, seed=0).named_parameters()]


def parameters(dtype: Any = np.float64, scale: float = 1.0) -> list[Any]:
    """Return parameters with gradients, of which one has none."""
    rng = np.random.default_rng(4)
    found: list[Any] = []
    for shape in ((3,), (2, 2), ()):
        found.append(tg.tensor(rng.normal(size=shape).astype(dtype), requires_grad=True))
        found[-1].grad = tg.tensor((scale * rng.normal(size=shape)).astype(dtype))
    return [*found, tg.ones(2, requires_grad=True)]


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, 0.5, np.inf])
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_the_norm_is_clipped_as_by_pytorch(norm_type: float, scale: float) -> None:
    torch, ours = pytorch(), parameters(scale=scale)
    theirs = [torch.tensor(p.data, requires_grad=True) for p in ours]
    for p, t in zip(ours[:-1], theirs, strict=False):
        t.grad = torch.tensor(p.grad.data)
    norm = tg.optim.clip_grad_norm_(iter(ours), 1.5, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 1.5, norm_type)
    assert abs(norm.item() - expected.item()) <= 1e-12 * expected.item()
    for p, t in zip(ours[:-1], theirs, strict=False):
        assert np.abs(p.grad.data - t.grad.numpy()).max() <= 1e-12 * scale
    assert ours[-1].grad is None


def test_values_are_clipped() -> None:
    ours = parameters(scale=2.0)
    expected = [np.clip(p.grad.data, -0.5, 0.5) for p in ours[:-1]]
    tg.optim.clip_grad_value_(ours, 0.5)
    assert same([p.grad.data for p in ours[:-1]], expected)
    one = ours[0]
    tg.optim.clip_grad_value_(one, 0.25)
    assert np.abs(one.grad.data).max() == 0.25


def test_each_gradient_keeps_its_dtype() -> None:
    mixed = [*parameters(np.float32), *parameters()]
    tg.optim.clip_grad_norm_(mixed, np.float64(0.5))
    tg.optim.clip_grad_value_(mixed, np.float64(0.25))
    assert all(p.grad is None or p.grad.dtype == p.dtype for p in mixed)


def test_without_gradients_the_norm_is_zero() -> None:
    assert tg.optim.clip_grad_norm_([tg.ones(2, requires_grad=True)], 1.0).item() == 0


def test_a_norm_that_is_not_finite() -> None:
    w = parameters()
    w[0].grad = tg.tensor([np.inf, 0.0, 0.0])
    with pytest.raises(tg.errors.GradientError, match="norm of the gradients is inf or nan; look for"):
        tg.optim.clip_grad_norm_(w, 1.0, error_if_nonfinite=True)
    assert w[0].grad.data[0] == np.inf


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: OPTIM.clip_grad_norm_(tg.nn.Module(), 1.0), TypeError, r"write model\.parameters\(\)"),
        (
            lambda: OPTIM.clip_grad_norm_([np.ones(2)], 1.0),
            TypeError,
            r"parameters, not of ndarray of shape \(2,\); wr",
        ),
        (
            lambda: OPTIM.clip_grad_norm_(NAMED, 1.0),
            TypeError,
            r"not of \('weight', .* of type tuple; write model\.par",
        ),
        (lambda: OPTIM.clip_grad_value_(dict(NAMED), 1.0), TypeError, "not of 'weight' of type str; write"),
        (lambda: OPTIM.clip_grad_value_(3, 1.0), TypeError, r"not of 3 of type int; write model\.parameters\(\)"),
        (lambda: OPTIM.clip_grad_norm_([], 1.0, foreach=True), TypeError, "has no foreach=, which is PyTorch's; leave"),
        (lambda: OPTIM.clip_grad_norm_(parameters(), -1.0), ValueError, "max_norm must be a number, 0 or more, got -1"),
        (lambda: OPTIM.clip_grad_norm_(parameters(), np.nan), ValueError, "max_norm must be a number, 0 or more"),
        (lambda: OPTIM.clip_grad_norm_(parameters(), 1.0, 0), ValueError, "norm_type must be a number above 0, or inf"),
        (lambda: OPTIM.clip_grad_norm_(parameters(), 1.0, "fro"), ValueError, "norm_type must be a number above 0"),
        (lambda: OPTIM.clip_grad_value_(parameters(), "1"), ValueError, "clip_value must be a number, 0 or more"),
    ],
)
def test_what_cannot_be_clipped_is_refused(call: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("how", ["norm", "largest", "value"])
def test_a_compiled_step_clips_as_eager_does(how: str) -> None:
    def made() -> tuple[Any, Any]:
        w = [tg.tensor([1.0, -2.0], requires_grad=True), tg.tensor(0.5, requires_grad=True)]
        optimizer = tg.optim.SGD(w, lr=0.1, momentum=0.5)

        def step(x: Any, bound: Any) -> Any:
            optimizer.zero_grad()
            (((w[0] * x) ** 2).sum() * w[1]).backward()
            norm = None
            if how == "value":
                tg.optim.clip_grad_value_(w, bound)
            else:
                norm = tg.optim.clip_grad_norm_(w, bound, 2.0 if how == "norm" else np.inf)
            optimizer.step()
            return norm

        return w, step

    (w, step), (other, eager) = made(), made()
    compiled = tg.compile(step, exact=True)
    for n in range(5):
        x = np.array([1.0, 0.1 * n])
        norm, expected = compiled(x, 0.5 + n), eager(x, 0.5 + n)
        assert how == "value" or same(norm.data, expected.data)
        assert same([p.data for p in w], [p.data for p in other])
        assert same([p.grad.data for p in w], [p.grad.data for p in other])
