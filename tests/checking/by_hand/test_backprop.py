"""Hand-derived gradients against the recorded graph: right ones pass, planted mistakes are found and named."""

import itertools
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from article import MODERATE, Case, by_hand, cases, layers
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_nn as tg
from tinygrad_nn.errors import BackpropError, DisconnectedError, GradientError

Arrays = dict[str, np.ndarray]


def compared(case: Case, gradients: Arrays, ends: str = "A") -> Any:
    """Return the report on gradients in the article's convention, by the loss on probabilities or on logits."""
    network = case.network()
    memory = network.memory(tg.tensor(case.X.T, requires_grad=True))
    last, m = len(case.architecture), case.X.shape[1]
    loss = {"A": tg.binary_cross_entropy, "Z": tg.binary_cross_entropy_with_logits}[ends]
    total = loss(memory[f"{ends}{last}"], case.Y.T, reduction="sum") / m
    kept = {key: g for key, g in gradients.items() if ends == "A" or key != f"dA{last}"}
    return tg.diff_backprop(total, kept, tensors=memory, convention="article")


def written_by_hand(case: Case) -> Arrays:
    with np.errstate(over="ignore"):
        found: Arrays = by_hand.backward(case.Y, case.memory(), case.parameters, case.architecture)
    return found


def is_next_to_a_kink(case: Case) -> bool:
    """Return whether rounding may decide which side of relu's kink a value is on."""
    eps = float(np.finfo(case.X.dtype).eps)
    sizes = [np.abs(Z) for name, Z in case.memory().items() if name[0] == "Z"]
    return any(bool(((size > 0) & (size < 100 * eps * size.max())).any()) for size in sizes)


@pytest.mark.parametrize("ends", ["A", "Z"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_right_backprop_is_never_called_wrong(dtype: Any, ends: str, data: st.DataObject) -> None:
    case = data.draw(cases(MODERATE[dtype])).astype(dtype)
    assume(not is_next_to_a_kink(case))
    report = compared(case, written_by_hand(case), ends)
    assert report, [(r.name, r.verdict, r.error, r.finding) for r in report.table if r.verdict != "right"]
    assert report.first is None
    assert {row.verdict for row in report.table} == {"right"}
    report.raise_if_failed()


@pytest.mark.parametrize("seed", [12, 29, 35, 82, 143, 353])
def test_what_rounding_leaves_of_saturated_sigmoids_is_right(seed: int) -> None:
    case = network_of([4, 9, 9, 1], ["sigmoid"] * 3, 30, seed)
    case.parameters.update({name: 5 * value for name, value in case.parameters.items()})
    report = compared(case, written_by_hand(case))
    assert report, report


# Each plants a mistake at layer n: what is changed, by which formula, and the words that tell it.
Mistake = tuple[str, Callable[..., Any], str]
MISTAKES: dict[str, Mistake] = {
    "missing 1/m": ("dW", lambda g, a, p, n, m: g[f"dW{n}"] * m, r"dW{n} is {m} times .* a missing 1/m.*\(m = {m} sa"),
    "1/m too often": ("dZ", lambda g, a, p, n, m: g[f"dZ{n}"] / m, r"dZ{n} is 1/{m} of .*: 1/m once too often"),
    "mean": ("db", lambda g, a, p, n, m: g[f"db{n}"] / m, "1/m once too often, as by a mean where a sum belongs"),
    "twice": ("dZ", lambda g, a, p, n, m: 2 * g[f"dZ{n}"], "dZ{n} is 2 times .*: a factor 2 too much"),
    "half": ("dA", lambda g, a, p, n, m: g[f"dA{n}"] / 2, "dA{n} is 1/2 of .*: a missing factor 2, as from"),
    "sign": ("dZ", lambda g, a, p, n, m: -g[f"dZ{n}"], "dZ{n} is minus .*: the sign is wrong"),
    "transposed": ("dW", lambda g, a, p, n, m: g[f"dW{n}"].T, r"transposed; write dW{n}\.T"),
    "no derivative": ("dZ", lambda g, a, p, n, m: g[f"dA{n}"], "dZ{n} is dA{n}: the derivative of .* at Z"),
    "before the derivative": (
        "dW", lambda g, a, p, n, m: g[f"dA{n}"] @ a[f"A{n-1}"].T / m, r"from dA{n}, where dZ{n} belongs; write dZ{n} @",
    ),
    "derivative of another value": (
        "dZ", lambda g, a, p, n, m: by_hand.sigmoid_backward(g[f"dA{n}"], a[f"A{n}"]),
        "dA{n} times the derivative of sigmoid at A{n}; write dA{n} times the derivative of (sigmoid|relu) at Z{n}",
    ),
    "value for derivative": ("dZ", lambda g, a, p, n, m: g[f"dA{n}"] * a[f"A{n}"], r"dZ{n} is dA{n} \* A{n}; write"),
    "no sum": ("db", lambda g, a, p, n, m: g[f"dZ{n}"] / m, "it is not summed over axis 1.*keepdims=True"),
    "wrong axis": ("db", lambda g, a, p, n, m: g[f"dZ{n}"].sum(axis=0), r"dZ{n}\.sum\(axis=0\)"),
    "no keepdims": ("db", lambda g, a, p, n, m: g[f"db{n}"][:, 0], "sum dropped an axis; write keepdims=True"),
    "nan": ("dZ", lambda g, a, p, n, m: np.where(g[f"dZ{n}"] == g[f"dZ{n}"].max(), np.nan, g[f"dZ{n}"]), "is nan in"),
    "layer off by one": ("dW", lambda g, a, p, n, m: g[f"dZ{n}"] @ a[f"A{n}"].T / m, r"write dZ{n} @ A{n-1}\.T / m"),
    "no weights": ("dA-", lambda g, a, p, n, m: g[f"dZ{n}"], r"left out; write W{n}\.T @ dZ{n}"),
    "W for W.T": ("dA-", lambda g, a, p, n, m: p[f"W{n}"] @ g[f"dZ{n}"], r"is W{n} @ dZ{n}; write W{n}\.T @ dZ{n}"),
    "of another layer": ("dW", lambda g, a, p, n, m: g[f"dW{n % 3 + 1}"], r"dW{n} is the right dW\d: it is taken"),
    "all added up": ("dW", lambda g, a, p, n, m: g[f"dW{n}"].sum(), "it is everything added up"),
    "some other factor": ("dA", lambda g, a, p, n, m: 0.3 * g[f"dA{n}"], "is 0.3 times .*: a constant factor is wrong"),
    "slightly off": ("db", lambda g, a, p, n, m: g[f"db{n}"] * (1 + 5e-4), "to 3 digits only"),
    "the derivative alone": (
        "dZ", lambda g, a, p, n, m: a[f"A{n}"] * (1 - a[f"A{n}"]),
        "dZ{n} is the derivative of sigmoid at Z{n} alone; write dA{n} times the derivative of sigmoid at Z{n}",
    ),
    "another function's derivative": (
        "dZ", lambda g, a, p, n, m: g[f"dA{n}"] * (1 - np.tanh(a[f"Z{n}"]) ** 2), "times the derivative of tanh at Z",
    ),
    "weights updated": (
        "dA-", lambda g, a, p, n, m: (p[f"W{n}"] - 0.1 * g[f"dW{n}"]).T @ g[f"dZ{n}"],
        "through other weights than those of the forward pass",
    ),
    "rows permuted": ("dW", lambda g, a, p, n, m: np.roll(g[f"dW{n}"], 1, axis=0), "in another order: its row"),
    "columns permuted": ("dZ", lambda g, a, p, n, m: np.roll(g[f"dZ{n}"], 1, axis=1), "in another order: its column"),
    "shape": ("dA", lambda g, a, p, n, m: g[f"dA{n}"][:, 1:], "has shape .* where .* is right"),
    "never computed": ("dW", lambda g, a, p, n, m: 0 * g[f"dW{n}"], "dW{n} is 0 everywhere"),
    "decay": ("dW", lambda g, a, p, n, m: g[f"dW{n}"] + 0.5 * p[f"W{n}"], "plus 0.5 times W{n}, as from"),
    "one entry": ("dW", lambda g, a, p, n, m: g[f"dW{n}"] + 3 * (np.arange(g[f"dW{n}"].size) == 1).reshape(
        g[f"dW{n}"].shape), r"differs from .* in 1 of \d+ entries"),
}  # fmt: skip


def network_of(widths: list[int], activations: list[str], m: int, seed: int) -> Case:
    generator = np.random.default_rng(seed)
    parameters = {}
    for number, (k, n) in enumerate(itertools.pairwise(widths), start=1):
        parameters[f"W{number}"] = generator.normal(size=(n, k))
        parameters[f"b{number}"] = generator.normal(size=(n, 1))
    X = generator.normal(size=(widths[0], m))
    return Case(layers(widths, activations), parameters, X, generator.integers(0, 2, (widths[-1], m)).astype(float))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_at_every_layer_is_found_first_and_named(mistake: str, layer: int, dtype: Any) -> None:
    m = 11
    case = network_of([4, 4, 4, 4], ["sigmoid", "sigmoid", "sigmoid"], m, seed=layer).astype(dtype)
    kind, plant, words = MISTAKES[mistake]
    key = f"dA{layer - 1}" if kind == "dA-" else f"{kind}{layer}"
    gradients = written_by_hand(case)
    planted = plant(gradients, case.memory(), case.parameters, layer, m)
    report = compared(case, {**gradients, key: planted})
    assert not report
    assert report.first == key
    words = words.replace("{n-1}", str(layer - 1)).replace("{n}", str(layer)).replace("{m}", str(m))
    assert re.search(words, report[key].finding), report[key].finding
    assert [row.name for row in report.table if row.verdict != "right"] == [key]


@given(
    st.lists(st.integers(2, 7), min_size=3, max_size=6), st.integers(2, 20), st.integers(0, 10**6), st.data(),
    st.sampled_from(["missing 1/m", "1/m too often", "sign", "no sum", "no keepdims", "shape", "never computed"]),
)  # fmt: skip
def test_mistakes_are_found_in_any_architecture(
    widths: list[int], m: int, seed: int, data: st.DataObject, mistake: str
) -> None:
    hidden = data.draw(
        st.lists(st.sampled_from(["relu", "sigmoid"]), min_size=len(widths) - 2, max_size=len(widths) - 2)
    )
    layer = data.draw(st.integers(1, len(widths) - 1))
    case = network_of(widths, [*hidden, "sigmoid"], m, seed)
    kind, plant, words = MISTAKES[mistake]
    gradients = written_by_hand(case)
    planted = plant(gradients, case.memory(), case.parameters, layer, m)
    assume(gradients[f"{kind}{layer}"].any())
    report = compared(case, {**gradients, f"{kind}{layer}": planted})
    assert report.first == f"{kind}{layer}", report
    words = words.replace("{n}", str(layer)).replace("{m}", str(m))
    assert re.search(words, report[report.first].finding), report[report.first].finding


def test_what_only_inherits_a_mistake_follows_and_a_second_mistake_is_told_by_itself() -> None:
    case = network_of([3, 4, 5, 1], ["relu", "sigmoid", "sigmoid"], 9, seed=3)
    a, p, m = case.memory(), case.parameters, 9
    g = written_by_hand(case)
    g["dZ2"] = g["dA2"]
    g["dW2"], g["db2"] = g["dZ2"] @ a["A1"].T, g["dZ2"].sum(axis=1, keepdims=True) / m
    g["dA1"] = p["W2"].T @ g["dZ2"]
    g["dZ1"] = by_hand.relu_backward(g["dA1"], a["Z1"])
    report = compared(case, g)
    verdicts = {row.name: row.verdict for row in report.table}
    assert report.first == "dZ2"
    assert [name for name, verdict in verdicts.items() if verdict == "wrong"] == ["dZ2", "dW2"]
    assert [name for name, verdict in verdicts.items() if verdict == "follows"] == ["db2", "dA1", "dZ1"]
    assert verdicts["dW1"] == "right"
    assert report["dZ1"].finding == "right, but for the mistake in dZ2"
    assert report["dW2"].finding == "dW2 is 9 times what dZ2 leads to: a missing 1/m (m = 9 samples)"


def test_a_relu_switched_by_other_values_is_told() -> None:
    case = network_of([3, 4, 2], ["relu", "sigmoid"], 9, seed=3)
    case.parameters["W1"][0] = case.parameters["b1"][0] = 0
    g, Z1 = written_by_hand(case), case.memory()["Z1"]
    report = compared(case, {**g, "dZ1": np.where(Z1 < 0, 0, g["dA1"])})
    assert report["dZ1"].finding == (
        "dZ1 passes or stops dA1 wrongly in 9 of 36 entries, first at [0, 0]: switch it by relu at Z1, "
        "whose derivative at 0 is 0"
    )


def test_what_lies_behind_a_wrong_shape_or_nan_is_not_judged() -> None:
    case = network_of([3, 4, 5, 1], ["relu", "sigmoid", "sigmoid"], 9, seed=3)
    g = written_by_hand(case)
    for bad, why in ((g["dA2"][:, 1:], "has another shape"), (g["dA2"] * np.nan, "is not finite")):
        report = compared(case, {**g, "dA2": bad, "dZ2": g["dZ2"] + 1})
        assert report.first == "dA2"
        assert report["dZ2"].verdict == "unclear"
        assert report["dZ2"].finding == f"can't be judged: dA2 {why}"


def own() -> tuple[tg.Tensor, dict[str, tg.Tensor], Arrays]:
    """Return a loss on Tensors in rows, the Tensors, and right gradients by hand."""
    generator = np.random.default_rng(5)
    X, Y = generator.normal(size=(7, 3)), generator.normal(size=(7, 2))
    W1, b1 = (tg.tensor(generator.normal(size=shape), requires_grad=True) for shape in ((4, 3), (4,)))
    W2 = tg.tensor(generator.normal(size=(2, 4)), requires_grad=True)
    Z1 = X @ W1.T + b1
    A1 = np.tanh(Z1)
    P = A1 @ W2.T
    loss = ((P - Y) ** 2).sum() / 7
    dP = 2 * (P.data - Y) / 7
    dZ1 = dP @ W2.data * (1 - A1.data**2)
    grads = {"dP": dP, "dW2": dP.T @ A1.data, "dZ1": dZ1, "W1": dZ1.T @ X, "db1": dZ1.sum(axis=0)}
    return loss, {"W1": W1, "b1": b1, "W2": W2, "Z1": Z1, "A1": A1, "P": P}, grads


def test_tensors_of_ones_own_in_their_own_layout() -> None:
    loss, tensors, grads = own()
    report = tg.diff_backprop(loss, grads, tensors=tensors)
    assert report
    assert [row.name for row in report.table] == ["dP", "dW2", "dZ1", "W1", "db1"]
    report = tg.diff_backprop(loss, {**grads, "dP": grads["dP"] / 2}, tensors={**tensors, "X": np.ones(3), "n": 4})
    assert report["dP"].finding == (
        "dP is 1/2 of the adjoint: 1/k once too often or a missing factor 2, as from the derivative of a square "
        "(k = 2 outputs)"
    )
    with pytest.raises(BackpropError, match=r"not the adjoints(.|\n)*dP +\(7, 2\) +wrong +5e-01 +dP is 1/2 of the"):
        report.raise_if_failed()
    assert "<td>dP</td><td>(7, 2)</td><td>wrong</td>" in report._repr_html_()


def test_columns_in_the_graph_are_known_by_their_biases() -> None:
    case = network_of([3, 4, 2], ["relu", "sigmoid"], 7, seed=1)
    named = {name: tg.tensor(value, requires_grad=True) for name, value in case.parameters.items()}
    named["A0"] = tg.tensor(case.X, requires_grad=True)
    for n, activation in ((1, tg.relu), (2, tg.sigmoid)):
        named[f"Z{n}"] = named[f"W{n}"] @ named[f"A{n - 1}"] + named[f"b{n}"]
        named[f"A{n}"] = activation(named[f"Z{n}"])
    loss = tg.binary_cross_entropy(named["A2"], case.Y, reduction="sum") / 7
    g = written_by_hand(case)
    assert tg.diff_backprop(loss, g, named, convention="article")
    report = tg.diff_backprop(loss, {**g, "dW1": g["dW1"] * 7}, named, convention="article")
    assert report["dW1"].finding == "dW1 is 7 times what it should be: a missing 1/m (m = 7 samples)"


def test_graph_gradients_and_hooks_stay_as_they_were() -> None:
    loss, tensors, grads = own()
    calls: list[Any] = []
    tensors["Z1"].register_hook(calls.append)
    tensors["W1"].grad = tg.tensor(np.ones((4, 3)))
    mark = tensors["W1"].grad
    tg.diff_backprop(loss, {**grads, "dP": -grads["dP"]}, tensors=tensors)
    assert tensors["W1"].grad is mark
    assert tensors["b1"].grad is None
    assert calls == []
    loss.backward()
    assert len(calls) == 1
    assert np.allclose(tensors["b1"].grad.data, grads["db1"])  # type: ignore[attr-defined]


def test_two_names_of_one_tensor_are_two_steps() -> None:
    z = tg.tensor([1.0, 2.0], requires_grad=True) * 3
    loss, g = (z * z).sum(), 2 * z.data
    report = tg.diff_backprop(loss, {"dA": g, "dZ": -g}, tensors={"Z": z, "A": z})
    assert [row.verdict for row in report.table] == ["right", "wrong"]
    assert [row.verdict for row in tg.diff_backprop(loss, {"dA": -g, "dZ": -g}, {"Z": z, "A": z}).table] == [
        "wrong", "follows",
    ]  # fmt: skip


def test_sums_that_cancel_leave_room_for_their_rounding_alone() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(1000, 1)).astype(np.float32)
    w = tg.tensor(np.zeros(1, np.float32), requires_grad=True, name="w")
    residuals = (x @ w) - (generator.normal(size=1000) * 10).astype(np.float32)
    loss = (residuals + w).sum()
    exact = math.fsum(x.flat) + 1000
    total = tg.diff_backprop(loss, {"dw": np.array([exact])})
    assert total, total
    assert not tg.diff_backprop(loss, {"dw": np.array([exact * 1.01])})


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"gradients": {"dZ9": 1.0}}, ValueError, r"'dZ9' is the gradient of; there are .*W1.*nearest being [ZW]1"),
        ({"gradients": {}}, ValueError, "there is no gradient to compare"),
        ({"gradients": {"dW1": 1.0, "W1": 1.0}}, ValueError, "'dW1' and 'W1' are both the gradient of W1"),
        ({"convention": "columns"}, ValueError, "convention is 'columns'; write one of 'adjoint', 'article'"),
        ({"loss": 3.0}, TypeError, "the loss is .*only Tensors are differentiated"),
        ({"tensors": 3}, TypeError, "tensors= takes a mapping of names to Tensors"),
        ({"tensors": {"W1": np.ones(3)}, "gradients": {"dW1": 1.0}}, TypeError, "W1 is a ndarray, and an adjoint"),
        ({"tensors": {"W1": tg.tensor([1.0])}, "gradients": {"dW1": 1.0}}, GradientError, "W1 does not require"),
        (
            {"tensors": {"W1": tg.tensor([1.0], requires_grad=True)}, "gradients": {"dW1": 1.0}},
            DisconnectedError, "W1 does not lead to this loss",
        ),
        ({"gradients": {"dW1": 1j}}, TypeError, "complex numbers have no gradients here"),
    ],
)  # fmt: skip
def test_misuse_is_an_error_that_names_the_remedy(change: dict[str, Any], error: type[Exception], words: str) -> None:
    loss, tensors, grads = own()
    with pytest.raises(error, match=words):
        arguments: dict[str, Any] = {"loss": loss, "gradients": grads, "tensors": tensors} | change
        tg.diff_backprop(**arguments)


def test_without_any_named_tensor_the_error_says_how_to_name_them() -> None:
    loss = tg.tensor([1.0], requires_grad=True).sum()
    with pytest.raises(ValueError, match=r"no Tensor is known that 'dW' is the gradient of; name them by tensors="):
        tg.diff_backprop(loss, {"dW": 1.0})


def test_a_module_names_its_parameters() -> None:
    network = tg.DenseNetwork(layers([2, 1], ["sigmoid"]))
    loss = network([[1.0, 2.0]]).sum()
    dZ = 1.0 * (network([[1.0, 2.0]]) * (1 - network([[1.0, 2.0]]))).data
    for tensors in (network, {"network": network}, None):
        assert tg.diff_backprop(loss, {"db1": dZ[0], "dW1": dZ * [[1.0, 2.0]]}, tensors)
