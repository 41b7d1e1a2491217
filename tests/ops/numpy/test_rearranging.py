"""Repeating, rolling, turning and diagonals: NumPy's values, slopes of both orders, and PyTorch's gradients."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as npst
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given
from optional import pytorch
from shapes import SHAPES, drawn, same
from slopes import derivative, leaf

import tinygrad_nn as tg
from tinygrad_nn.testing import check_agreement as check


@given(shape=SHAPES, data=st.data())
def test_repeat(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    n = math.prod(shape) if axis is None else shape[axis]
    counts = data.draw(st.integers(0, 3) | st.lists(st.integers(0, 3), min_size=n, max_size=n))
    assume(not isinstance(counts, list) or n)
    same(lambda x: np.repeat(x, counts, axis), shape)
    check(lambda x: x.repeat(counts, axis), lambda x: x.repeat(counts, axis), drawn(shape))


@given(shape=SHAPES, reps=st.integers(0, 2) | st.lists(st.integers(0, 2), max_size=4))
def test_tile(shape: tuple[int, ...], reps: Any) -> None:
    same(lambda x: np.tile(x, reps), shape)


@given(shape=SHAPES, data=st.data())
def test_roll(shape: tuple[int, ...], data: st.DataObject) -> None:
    axes = data.draw(st.lists(st.integers(-len(shape), len(shape) - 1), min_size=1, max_size=3))
    shifts = data.draw(st.lists(st.integers(-7, 7), min_size=len(axes), max_size=len(axes)))
    same(lambda x: np.roll(x, shifts, axes), shape)
    same(lambda x: np.roll(x, shifts[0], tuple(axes)), shape)
    same(lambda x: np.roll(x, shifts[0]), shape)


@given(shape=npst.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=3), data=st.data())
def test_flips_turns_and_diagonals(shape: tuple[int, ...], data: st.DataObject) -> None:
    first, second = data.draw(st.permutations(range(len(shape))))[:2]
    if data.draw(st.booleans()):
        first -= len(shape)
    k = data.draw(st.integers(-4, 4))
    same(lambda x: np.flip(x, (first, second)), shape)
    same(lambda x: np.rot90(x, k, (first, second)), shape)
    same(lambda x: np.diagonal(x, k, first, second), shape)
    same(lambda x: np.trace(x, k, first, second), shape)
    same(lambda x: np.tril(x, k), shape)
    same(lambda x: np.triu(x, k), shape)
    check(lambda x: x.diagonal(k, first, second), lambda x: x.diagonal(k, first, second), drawn(shape))


@given(shape=npst.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=4), k=st.integers(-4, 4))
def test_diag_of_vectors_and_rectangles(shape: tuple[int, ...], k: int) -> None:
    same(lambda x: np.diag(x, k), shape)
    same(lambda x: np.diagflat(x, k), shape)


def test_vander() -> None:
    for n, increasing in itertools.product([None, 0, 1, 4], [True, False]):
        same(lambda x: np.vander(x, n, increasing), (3,))  # noqa: B023
    x = leaf([0.0, 2.0])
    (g,) = tg.autograd.grad(np.vander(x, 4).sum(), x, create_graph=True)
    assert g is not None
    assert g.tolist() == [1.0, 1 + 4.0 + 12.0]
    assert derivative(g.sum(), x).tolist() == [2.0, 2.0 + 12.0]


TORCH: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "roll": (lambda x: np.roll(x, (1, -2), (0, 2)), lambda torch, x: torch.roll(x, (1, -2), (0, 2))),
    "repeat": (lambda x: np.repeat(x, 3, -1), lambda torch, x: torch.repeat_interleave(x, 3, -1)),
    "repeats": (
        lambda x: np.repeat(x, [2, 0, 1], 1),
        lambda torch, x: torch.repeat_interleave(x, torch.tensor([2, 0, 1]), 1),
    ),
    "tile": (lambda x: np.tile(x, (2, 1)), lambda torch, x: torch.tile(x, (2, 1))),
    "flip": (lambda x: np.flip(x, (0, -1)), lambda torch, x: torch.flip(x, (0, -1))),
    "rot90": (lambda x: np.rot90(x, 3, (0, 2)), lambda torch, x: torch.rot90(x, 3, (0, 2))),
    "tril": (lambda x: np.tril(x, 1), lambda torch, x: torch.tril(x, 1)),
    "diagonal": (lambda x: np.diagonal(x, -1, 1, 2), lambda torch, x: torch.diagonal(x, -1, 1, 2)),
    "diag": (lambda x: np.diag(x[0], 1), lambda torch, x: torch.diag(x[0], 1)),
    "trace": (lambda x: np.trace(x[0]), lambda torch, x: torch.trace(x[0])),
    "diagflat": (lambda x: np.diagflat(x, 1), lambda torch, x: torch.diagflat(x, 1)),
    "vander": (lambda x: np.vander(x[0, 0], 4), lambda torch, x: torch.stack([x[0, 0] ** n for n in (3, 2, 1, 0)], 1)),
    "edge": (lambda x: np.pad(x, ((0, 0), (0, 0), (2, 1)), "edge"), lambda torch, x: padded(torch, x, "replicate")),
    "reflect": (lambda x: np.pad(x, ((0, 0), (0, 0), (2, 1)), "reflect"), lambda torch, x: padded(torch, x, "reflect")),
    "wrap": (lambda x: np.pad(x, ((0, 0), (0, 0), (2, 1)), "wrap"), lambda torch, x: padded(torch, x, "circular")),
    "take": (lambda x: np.take(x, [5, 0, 5]), lambda torch, x: torch.take(x, torch.tensor([5, 0, 5]))),
}


def padded(torch: Any, x: Any, mode: str) -> Any:
    return torch.nn.functional.pad(x, (2, 1), mode)


@pytest.mark.parametrize("name", TORCH)
def test_gradients_equal_pytorchs(name: str) -> None:
    torch = pytorch()
    ours, theirs = TORCH[name]
    (x,) = drawn((2, 3, 4))
    t = leaf(x)
    w = torch.tensor(x, requires_grad=True)
    y, z = ours(t * t), theirs(torch, w * w)
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-14)
    seed = np.random.default_rng(0).standard_normal(y.shape)
    z.backward(torch.tensor(seed))
    np.testing.assert_allclose(derivative(y, t, seed), w.grad.numpy(), rtol=1e-14, atol=1e-14)
