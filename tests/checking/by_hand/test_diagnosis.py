"""What is said of one wrong gradient, made by hand, whose mistake is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg
from tinygrad_nn.checking.by_hand.diagnosis import diagnosed
from tinygrad_nn.checking.mistakes import WrongGradient

NAN = np.nan
RIGHT = np.array([[1.0, -2.0, 3.0], [5.0, 7.0, -11.0]])
SQUARE = np.array([[1.0, 2.0], [5.0, -3.0]])


def told(hand: Any, right: Any = RIGHT, **known: Any) -> str:
    """Return what is said of a gradient dW of four samples and two outputs."""
    given: dict[str, Any] = {
        "key": "dW", "name": "W", "called": "the adjoint", "before": {},
        "values": {"W": np.full(np.shape(right), 0.0)}, "m": 4, "sizes": (("m", 4, "samples"), ("k", 2, "outputs")),
        "close": 1e-7,
    }  # fmt: skip
    return diagnosed(WrongGradient(wrong=np.asarray(hand), right=np.asarray(right), **given | known))


# Factors.


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (4.0, "dW is 4 times the adjoint: a missing 1/m (m = 4 samples)"),
        (0.25, "dW is 1/4 of the adjoint: 1/m once too often, as by a mean where a sum belongs (m = 4 samples)"),
        (-1.0, "dW is minus the adjoint: the sign is wrong"),
        (-4.0, "dW is minus 4 times the adjoint: the sign is wrong and a missing 1/m (m = 4 samples)"),
        (8.0, "dW is 8 times the adjoint: a missing 1/m and a missing 1/k (m = 4 samples, k = 2 outputs)"),
        (2.0, "dW is 2 times the adjoint: a missing 1/k or a factor 2 too much (k = 2 outputs)"),
        (7.0, "dW is 7 times the adjoint: a constant factor is wrong"),
    ],
)
def test_a_constant_factor_is_named_and_explained(factor: float, expected: str) -> None:
    assert told(factor * RIGHT) == expected


def test_a_factor_between_the_gradients_is_no_constant_one() -> None:
    assert "factor" not in told(RIGHT * [[4.0], [-1.0]])


# Shapes.


def test_a_transposed_gradient_is_seen_by_its_shape() -> None:
    assert told(RIGHT.T) == "dW has shape (3, 2) where (2, 3) is right: it is transposed; write dW.T"


def test_a_transposed_square_gradient_is_seen_by_its_numbers() -> None:
    assert told(SQUARE.T, SQUARE) == "dW is transposed; write dW.T"


def test_two_mistakes_are_told_together() -> None:
    expected = "it is transposed; write dW.T; also, it is 4 times the adjoint: a missing 1/m (m = 4 samples)"
    assert told(4 * RIGHT.T).endswith(expected)


def test_a_sum_that_is_missing_or_too_much_is_told() -> None:
    columns = np.array([[2.0], [1.0]])  # the sums of RIGHT's rows
    missing = told(RIGHT, columns)
    assert missing.endswith("it is not summed over axis 1; write dW.sum(axis=1, keepdims=True)")
    dropped = told(np.array([2.0, 1.0]), columns)
    assert dropped.endswith("it fits in another shape: the sum dropped an axis; write keepdims=True")
    assert told(np.array(3.0), columns).endswith("it is everything added up; sum over the axis of the samples only")


def test_a_shape_that_nothing_explains_is_told_with_what_is_right() -> None:
    expected = "dW has shape (5,) where (2, 3) is right: it is the derivative of one number by W, entry by entry"
    assert told(np.arange(5.0)) == expected


# Derivatives that were left out, or are another's.


RELU_OF_DA = "write dA times the derivative of relu at W"


def relu(right: Any, *others: Any) -> dict[str, Any]:
    """Return what is known behind a relu that stops the second column, and is given `right`."""
    local = np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]])
    known = [("the derivative of relu at W alone", local), *others]
    return {"right": right * local, "before": {"dA": right}, "step": "relu at W", "local": local, "known": known}


def test_a_missing_derivative_of_the_activation_is_told() -> None:
    assert told(RIGHT, **relu(RIGHT)) == "dW is dA: the derivative of relu at W is missing; multiply dA by it"


def test_the_derivative_alone_is_told() -> None:
    local = relu(RIGHT)["local"]
    assert told(local, **relu(RIGHT)) == f"dW is the derivative of relu at W alone; {RELU_OF_DA}"


def test_the_derivative_of_another_function_is_told() -> None:
    other = RIGHT * 0.5 * np.array([1.0, 2.0, 3.0])
    known = relu(RIGHT, ("dA times the derivative of tanh at W", other))
    assert told(other, **known) == f"dW is dA times the derivative of tanh at W; {RELU_OF_DA}"


def test_a_switch_that_is_wrong_in_one_entry_is_told_with_its_index() -> None:
    known = relu(RIGHT)
    hand = known["right"].copy()
    hand[1, 1] = RIGHT[1, 1]
    assert told(hand, **known) == (
        "dW passes or stops dA wrongly in 1 of 6 entries, first at [1, 1]: switch it by relu at W, "
        "whose derivative at 0 is 0"
    )


def test_a_step_that_is_left_out_is_told_with_what_to_write() -> None:
    z, w = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([[2.0, 0.0], [1.0, 3.0]])
    product = np.array([[5.0, 9.0], [3.0, -3.0]])  # z.T @ w
    known = {"before": {"dZ": z}, "values": {"W": np.zeros((2, 2)), "X": w}}
    assert told(z, product, **known) == "dW is dZ: the step from W to Z is left out; write dZ.T @ X"
    other = np.array([[4.0, 6.0], [5.0, -1.0]])  # z @ w is [[4, 6], [5, -3]], but for the last entry
    assert "write" not in told(other, product, **known)
    assert told(np.array([[4.0, 6.0], [5.0, -3.0]]), product, **known) == "dW is dZ @ X; write dZ.T @ X"


def test_another_layers_gradient_is_told() -> None:
    other = np.array([[2.0, 3.0, 5.0], [7.0, 1.0, 1.0]])
    right = "the right dV: it is taken from another layer, or the layers are miscounted"
    assert told(other, known=[(right, other)]) == f"dW is {right}"


def test_a_weight_decay_that_the_loss_does_not_have_is_told() -> None:
    w = np.array([[1.0, 0.0, 2.0], [0.0, -1.0, 1.0]])
    expected = "dW is the adjoint plus 0.5 times W, as from a weight decay that this loss doesn't have"
    assert told(RIGHT + 0.5 * w, values={"W": w}) == expected


# Entries.


def test_a_gradient_of_zeros_and_one_that_is_not_finite_are_told() -> None:
    assert told(0 * RIGHT).startswith("dW is 0 everywhere: was it ever computed")
    hand = np.where(RIGHT == 7.0, NAN, RIGHT)
    assert told(hand).startswith("dW is nan in 1 of 6 entries, first at [1, 1] where 7 is right")


def test_entries_in_another_order_are_told() -> None:
    three = np.array([[1.0, 2.0], [5.0, -3.0], [4.0, 7.0]])
    assert told(three[[1, 2, 0]], three) == "dW is in another order: its row 0 belongs at 1"
    assert told(RIGHT[:, [1, 2, 0]]) == "dW is in another order: its column 1 belongs at 2"
    assert told(RIGHT[::-1]) == "dW is flipped along axis 0"
    assert told(RIGHT.reshape(3, 2).T) == "dW has the right entries in another order"


def test_a_gradient_that_is_nearly_right_is_a_matter_of_digits() -> None:
    assert told(RIGHT * (1 + 1e-5 * np.array([1.0, -1.0, 0.5]))).startswith(
        "dW agrees with the adjoint to 5 digits only: rounding"
    )


def test_what_nothing_explains_is_told_by_its_worst_entry() -> None:
    hand = RIGHT.copy()
    hand[0, 2], hand[1, 2] = 4.0, 8.0
    assert told(hand) == (
        "dW differs from the adjoint in 2 of 6 entries, all in column 2; most at [1, 2]: 8 where -11 is right"
    )


def test_wrong_signs_here_and_there_are_told() -> None:
    signs = np.array([[-1.0, 1.0, -1.0], [1.0, 1.0, 1.0]])
    assert told(RIGHT * signs) == (
        "dW differs from the adjoint in 2 of 6 entries, all in row 0, of the right size but the wrong sign; "
        "most at [0, 2]: -3 where 3 is right"
    )


# In a network of two layers, sigmoid and tanh, on seven samples.

DRAWN = np.random.default_rng(0)
X, WEIGHTS = DRAWN.normal(size=(7, 3)), [DRAWN.normal(size=shape) for shape in ((3, 4), (4,), (4, 4), (4,))]

IN_A_NETWORK: dict[str, tuple[str, Any, str]] = {
    "sigmoid of Z": ("dZ1", lambda v: v["dA1"] * v["Z1"] * (1 - v["Z1"]), r"with Z1, Z1 * (1 - Z1); write dA1 times"),
    "tanh of Z": ("dZ2", lambda v: v["dA2"] * (1 - v["Z2"] ** 2), "tanh written with Z2, 1 - Z2**2; write dA2 times"),
    "tanh for sigmoid": (
        "dZ1",
        lambda v: v["dA1"] * (1 - v["A1"] ** 2),
        "tanh written with A1, 1 - A1**2; write dA1 times the derivative of sigmoid at Z1",
    ),
    "one mean": ("db1", lambda v: np.full(4, v["dZ1"].mean()), "db1 is dZ1.mean() everywhere; write dZ1.sum(axis=0)"),
    "one sum": ("db1", lambda v: np.full(4, v["dZ1"].sum()), "db1 is dZ1.sum() everywhere; write dZ1.sum(axis=0)"),
    "a sample less": ("dW2", lambda v: v["dW2"] * 7 / 6, "1/6 where 1/7 belongs, one sample off (m = 7 samples)"),
    "a sample more": ("dA2", lambda v: v["dA2"] * 7 / 8, "1/8 where 1/7 belongs, one sample off (m = 7 samples)"),
    "layer after": ("dA1", lambda v: v["dZ1"] @ v["W2"].T, "from dZ1, where dZ2 belongs; write dZ2 @ W2.T"),
    "before the slope, W1": ("dW1", lambda v: X.T @ v["dA1"], "dW1 is derived from dA1, where dZ1 belongs"),
    "before the slope, W2": ("dW2", lambda v: v["A1"].T @ v["dA2"], "dA2, where dZ2 belongs; write A1.T @ dZ2"),
    "before the slope, b1": ("db1", lambda v: v["dA1"].sum(axis=0), "dA1, where dZ1 belongs; write dZ1.sum(axis=0)"),
    "before the slope, A1": ("dA1", lambda v: v["dA2"] @ v["W2"].T, "dA2, where dZ2 belongs; write dZ2 @ W2.T"),
    "a loop that ends early": ("dW2", lambda v: v["A1"][:-1].T @ v["dZ2"][:-1], "A1.T @ dZ2 without the last term"),
    "a loop that starts late": ("db2", lambda v: v["dZ2"][1:].sum(axis=0), "dZ2.sum(axis=0) without the first term"),
    "a loop that keeps nothing": (
        "dW2",
        lambda v: np.outer(v["A1"][-1], v["dZ2"][-1]),
        "dW2 is A1.T @ dZ2, the last term alone; write A1.T @ dZ2",
    ),
    "some of anything": ("dA1", lambda v: v["dA1"] * (v["Z1"] < 0.5), "is right; not any of the mistakes I know"),
    "anything": ("dW1", lambda v: np.cos(np.arange(12.0)).reshape(3, 4), "is right; not any of the mistakes I know"),
}


@pytest.mark.parametrize("mistake", IN_A_NETWORK)
def test_mistakes_in_a_network_are_told(mistake: str) -> None:
    W1, b1, W2, b2 = (tg.tensor(w, requires_grad=True) for w in WEIGHTS)
    Z1 = X @ W1 + b1
    A1 = tg.sigmoid(Z1)
    Z2 = A1 @ W2 + b2
    A2 = tg.tanh(Z2)
    tensors: dict[str, Any] = {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2, "W1": W1, "b1": b1, "W2": W2, "b2": b2}
    v = {name: t.data for name, t in tensors.items()}
    v["dA2"] = 2 * v["A2"] / 7
    v["dZ2"] = v["dA2"] * (1 - v["A2"] ** 2)
    v["dW2"], v["db2"], v["dA1"] = v["A1"].T @ v["dZ2"], v["dZ2"].sum(axis=0), v["dZ2"] @ v["W2"].T
    v["dZ1"] = v["dA1"] * v["A1"] * (1 - v["A1"])
    v["dW1"], v["db1"] = X.T @ v["dZ1"], v["dZ1"].sum(axis=0)
    gradients, loss = {key: g for key, g in v.items() if key[0] == "d"}, (A2**2).sum() / 7
    assert tg.diff_backprop(loss, gradients, tensors=tensors)
    key, wrong, expected = IN_A_NETWORK[mistake]
    report = tg.diff_backprop(loss, gradients | {key: wrong(v)}, tensors=tensors)
    assert report.first == key
    assert expected in report[key].finding
