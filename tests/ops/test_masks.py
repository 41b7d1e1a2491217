"""An operation that can leave a nan of an input out of its output says so: zero-safety relies on it.

That all do is one of the properties in test_operations.py.
"""

from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.tensor.handle import Tensor
from tinygrad_nn.testing import PROPERTIES


@pytest.mark.parametrize("name", ["getitem", "set_at", "power", "hypot", "fmax"])
def test_what_leaves_out_a_nan_and_does_not_say_so_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function = getattr(tg, name)
    monkeypatch.setattr(function.operation, "masks", False)
    with pytest.raises(AssertionError, match=f"'{name}'.* is not in the output; declare masks=True"):
        for case in tg.testing.cases_of(function):
            PROPERTIES["masks"](case)


def test_a_nan_behind_every_kind_of_mask_stays_out_of_the_gradient() -> None:
    for mask in (lambda t: np.where([True, False], t, 0.0), lambda t: t[:1]):
        x = Tensor(np.array([2.0, -1.0]), requires_grad=True)
        with np.errstate(invalid="ignore"):
            y = np.sum(mask(x * np.log(x)))
        y.backward()
        assert x.grad is not None
        assert x.grad.data[1] == 0.0


BAD_ROWS = [np.nan, np.inf, -np.inf]
CHOSEN = np.array([True, False, True])


def masked_sum(y: Any) -> Any:
    """Return the sum of the chosen rows, each entry weighed differently."""
    return np.sum(np.where(CHOSEN[:, None], y * np.arange(1.0, y.size + 1).reshape(y.shape), 0.0))


LAYERS: dict[str, Any] = {
    "matmul": lambda x, w, b: x @ w,
    "matmul from the right": lambda x, w, b: (w.T @ x.T).T,
    "batched matmul": lambda x, w, b: (x.reshape(3, 1, 2) @ w).reshape(3, 4),
    "linear": lambda x, w, b: tg.linear(x, w.T, b),
    "softmax": lambda x, w, b: tg.softmax(x @ w, axis=-1),
    "log_softmax": lambda x, w, b: tg.log_softmax(x @ w, axis=-1),
    "logsumexp": lambda x, w, b: tg.logsumexp(x @ w, axis=-1, keepdims=True),
    "cross_entropy": lambda x, w, b: tg.cross_entropy(x @ w, np.array([0, 3, 1]), reduction="none").reshape(3, 1),
}


@pytest.mark.parametrize("bad", BAD_ROWS)
@pytest.mark.parametrize("name", LAYERS)
def test_a_masked_row_stays_out_of_the_gradients_of_layers(name: str, bad: float) -> None:
    """With a bad row behind the mask, gradients of first and second order are those without the row."""
    rng = np.random.default_rng(0)
    rows, weights, bias = rng.standard_normal((3, 2)), rng.standard_normal((2, 4)), rng.standard_normal(4)

    def gradients(values: Any) -> list[Any]:
        x, w, b = (tg.tensor(v, requires_grad=True) for v in (values, weights, bias))
        inputs = [x, w, b] if name == "linear" else [x, w]
        first = tg.autograd.grad(masked_sum(LAYERS[name](x, w, b)), inputs, create_graph=True)
        curved = sum((g * g).sum() for g in first)
        second = tg.autograd.grad(curved, inputs, allow_unused=True)
        return [g.data for g in (*first, *second) if g is not None]

    good, spoilt = rows.copy(), rows.copy()
    spoilt[1] = bad
    with np.errstate(all="ignore"):
        for found, expected in zip(gradients(spoilt), gradients(good), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_a_bad_weight_that_only_meets_zero_cotangents_counts_as_zero() -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    w = tg.tensor([[1.0, np.nan], [2.0, 3.0]], requires_grad=True)
    y = tg.where(np.array([True, False]), x @ w, 0.0).sum()
    y.backward()
    assert x.grad is not None
    assert w.grad is not None
    np.testing.assert_array_equal(x.grad.data, [[1.0, 2.0], [1.0, 2.0]])
    np.testing.assert_array_equal(w.grad.data, [[4.0, 0.0], [6.0, 0.0]])


def test_a_bad_entry_that_a_cotangent_reaches_stays_what_ieee_says() -> None:
    x = tg.tensor([[1.0, 2.0], [0.0, 4.0]], requires_grad=True)
    w = tg.tensor([[np.inf], [3.0]], requires_grad=True)
    with np.errstate(invalid="ignore"):
        y = tg.where(np.array([[True], [False]]), x @ w, 0.0).sum()
    y.backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, [[np.inf, 3.0], [0.0, 0.0]])
