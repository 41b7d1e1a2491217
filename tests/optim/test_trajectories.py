"""Each optimiser walks as PyTorch's does: 200 steps with drawn hyperparameters, groups too; float32 stays float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from optional import pytorch

import tinygrad_nn as tg

OPTIM: Any = tg.optim


def drawn(name: str, rng: np.random.Generator) -> dict[str, Any]:
    """Return hyperparameters for an optimiser."""
    lr, decay = 10 ** rng.uniform(-3, -1), float(rng.choice([0.0, rng.uniform(0, 0.1)]))
    found: dict[str, Any] = {"lr": lr, "weight_decay": decay}
    if name == "SGD":
        found["momentum"] = float(rng.choice([0.0, rng.uniform(0, 0.99)]))
        found["nesterov"] = bool(found["momentum"]) and bool(rng.integers(2))
        found["dampening"] = 0.0 if found["nesterov"] else float(rng.choice([0.0, rng.uniform(0, 1)]))
    elif name == "RMSprop":
        found |= {"alpha": rng.uniform(0.5, 0.999), "eps": 10 ** rng.uniform(-9, -4)}
        found |= {"momentum": float(rng.choice([0.0, rng.uniform(0, 0.95)])), "centered": bool(rng.integers(2))}
    elif name == "Adagrad":
        found |= {"lr_decay": rng.uniform(0, 0.1), "initial_accumulator_value": rng.uniform(0, 1)}
        found |= {"eps": 10 ** rng.uniform(-11, -4)}
    else:
        found |= {"betas": (rng.uniform(0, 0.99), rng.uniform(0.5, 0.9999)), "eps": 10 ** rng.uniform(-9, -4)}
    if name in ("Adam", "AdamW"):
        found["amsgrad"] = bool(rng.integers(2))
    if name == "NAdam":
        found["momentum_decay"] = rng.uniform(0, 0.1)
    return found


@pytest.fixture
def in_doubles() -> Iterator[None]:
    """PyTorch computes in float64 also what it keeps as scalars, NAdam's product of momenta for one."""
    torch = pytorch()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


NAMES = ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RMSprop", "Adagrad"]


def walked(ours: Any, theirs: Any, w: list[Any], t: list[Any], rng: np.random.Generator, steps: int) -> None:
    """Take the same steps by both, and compare all parameters after each."""
    torch = pytorch()
    for _ in range(steps):
        for a, b in zip(w, t, strict=True):
            g = rng.normal(size=a.shape) * 10 ** rng.uniform(-2, 1)
            a.grad, b.grad = tg.tensor(g), torch.tensor(g)
        ours.step()
        theirs.step()
        for a, b in zip(w, t, strict=True):
            expected = b.detach().numpy()
            assert np.abs(a.data - expected).max() <= 1e-10 * max(1.0, np.abs(expected).max())


def both(shapes: list[tuple[int, ...]], rng: np.random.Generator) -> tuple[list[Any], list[Any]]:
    torch = pytorch()
    values = [rng.normal(size=shape) for shape in shapes]
    return ([tg.tensor(x, requires_grad=True) for x in values], [torch.tensor(x, requires_grad=True) for x in values])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.usefixtures("in_doubles")
@pytest.mark.parametrize("name", NAMES)
def test_a_walk_is_pytorchs(name: str, seed: int) -> None:
    torch, rng = pytorch(), np.random.default_rng([seed, NAMES.index(name)])
    w, t = both([(3,), (2, 2), ()], rng)
    options = drawn(name, rng)
    walked(getattr(tg.optim, name)(w, **options), getattr(torch.optim, name)(t, **options), w, t, rng, 200)


@pytest.mark.usefixtures("in_doubles")
@pytest.mark.parametrize("name", NAMES)
def test_the_defaults_are_pytorchs(name: str) -> None:
    torch, rng = pytorch(), np.random.default_rng(7)
    w, t = both([(3,)], rng)
    ours, theirs = getattr(tg.optim, name)(w), getattr(torch.optim, name)(t)
    for key in ours.hyperparameters():
        assert ours.param_groups[0][key] == theirs.param_groups[0][key], key
    walked(ours, theirs, w, t, rng, 20)


@pytest.mark.usefixtures("in_doubles")
@pytest.mark.parametrize("name", NAMES)
def test_groups_walk_as_pytorchs(name: str) -> None:
    torch, rng = pytorch(), np.random.default_rng(8)
    w, t = both([(3,), (2, 2), (1,), (4,)], rng)
    first, second, third = (drawn(name, rng) for _ in range(3))
    second.pop("initial_accumulator_value", None)  # PyTorch overlooks a group's own
    ours, theirs = (
        getattr(module, name)([{"params": [p[0], p[1]]}, {"params": [p[2]], **second}], **first)
        for module, p in ((tg.optim, w), (torch.optim, t))
    )
    walked(ours, theirs, w[:3], t[:3], rng, 20)
    if name == "Adagrad":  # of which PyTorch keeps no state for a group that is added
        return
    for optimizer, p in ((ours, w), (theirs, t)):
        optimizer.param_groups[0]["lr"] = 0.02
        optimizer.add_param_group({"params": [p[3]], "lr": third["lr"]})
    walked(ours, theirs, w, t, rng, 20)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = [tg.tensor(rng.normal(size=shape).astype(np.float32), requires_grad=True) for shape in ((3,), ())]
    optimizer = getattr(tg.optim, name)(w, **drawn(name, rng))
    for _ in range(5):
        for p in w:
            p.grad = tg.tensor(rng.normal(size=p.shape).astype(np.float32))
        optimizer.step()
    assert {p.dtype for p in w} == {np.dtype(np.float32)}
    kept = [x for entry in optimizer.state for x in entry.values() if isinstance(x, (np.ndarray, np.generic))]
    assert {x.dtype for x in kept} <= {np.dtype(np.float32)}
    optimizer.load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_old_values_are_left_alone(name: str) -> None:
    rng = np.random.default_rng(9)
    w = tg.tensor(rng.normal(size=3), requires_grad=True)
    optimizer = getattr(tg.optim, name)([w], **drawn(name, np.random.default_rng(0)))
    for _ in range(3):
        g, value = rng.normal(size=3), w.data
        before = value.copy()
        w.grad = tg.tensor(g)
        optimizer.step()
        assert np.array_equal(w.grad.data, g)
        assert np.array_equal(value, before)
        assert not any(np.shares_memory(x, w.grad.data) for x in optimizer.state[0].values() if np.ndim(x))
