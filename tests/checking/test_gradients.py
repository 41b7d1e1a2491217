"""`tg.gradcheck`: the right verdict on every function of the corpus, reports, modes, nestings, and what is refused."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from article import by_hand
from gradcheck_corpus import CORPUS, Entry, Ours, Planted, array, drawn, function_for, single, x3

import tinygrad_nn as tg
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.errors import DtypeError, GradientCheckError
from tinygrad_nn.testing import planted_rule

OURS = Ours()
WRONG = Planted("wrong_tanh", lambda xp, x: xp.tanh(x), (lambda xp, g, y, x: g,))


def wrong(x: Any) -> Any:
    return tg.sum(OURS.own(WRONG, x) * x)


def right(x: Any) -> Any:
    return tg.sum(tg.tanh(x) * x)


SEARCHED = ("a network without biases on zeros", "kinks that meet", "a field of kinks")  # for seconds each


@pytest.mark.parametrize(
    "entry", [pytest.param(e, id=str(e), marks=[pytest.mark.slow] * e.name.startswith(SEARCHED)) for e in CORPUS]
)
def test_verdict(entry: Entry) -> None:
    report = tg.gradcheck(function_for(entry, OURS), *entry.inputs, order=entry.order)
    told = str(report)
    assert (report.verdict, report.culprit) == (entry.verdict, entry.culprit), told
    assert entry.likely in (report.blame.told() if report.blame else ""), told
    assert entry.note in told


def test_the_corpus_covers_every_verdict_and_names_its_entries_once() -> None:
    assert len(CORPUS) >= 80
    assert len({entry.name for entry in CORPUS}) == len(CORPUS)
    assert {entry.verdict for entry in CORPUS} == {verdict.value for verdict in type(tg.gradcheck(right, x3).verdict)}


# ---- the report ----


def test_table_holds_what_was_found() -> None:
    table = tg.gradcheck(wrong, x3.reshape(1, 3), mode="reverse").table
    assert table.dtype.names == (
        "input", "index", "analytic", "numeric", "error", "uncertainty", "step", "verdict",
    )  # fmt: skip
    assert [tuple(index) for index in table["index"]] == [(0, 0), (0, 1), (0, 2)]
    assert set(table["input"]) == {"input"}
    assert (table["verdict"] == "BUG").all()
    np.testing.assert_allclose(table["numeric"], np.tanh(x3) + x3 / np.cosh(x3) ** 2, rtol=1e-12)
    np.testing.assert_allclose(table["analytic"], np.tanh(x3) + x3, rtol=1e-12)
    np.testing.assert_array_equal(table["error"], abs(table["analytic"] - table["numeric"]))
    assert (table["uncertainty"] < table["error"]).all()


def test_repr_names_the_culprit_its_line_and_the_mistake() -> None:
    report = tg.gradcheck(wrong, x3, mode="reverse")
    lines = repr(report).splitlines()
    assert lines[0] == "gradient check: BUG (3 BUG)"
    assert lines[1] == "all 3 entries of the inputs"
    assert re.fullmatch(
        r"to blame: the rule of operation 'wrong_tanh' for 'x', called at gradcheck_corpus.py:\d+ in own: "
        "it is g: the local derivative is missing; multiply g by it",
        lines[2],
    )
    assert lines[3] == "return self.declared[planted](*inputs)"
    assert lines[4].split() == ["input", "index", "analytic", "numeric", "error", "verdict"]
    assert not report
    assert report.culprit == "wrong_tanh"


def test_long_tables_are_cut() -> None:
    report = tg.gradcheck(right, drawn(20))
    assert "... and 15 more" in repr(report)
    assert len(report.table) == 23


def test_html_is_escaped() -> None:
    report = tg.gradcheck(lambda t: tg.sum(tg.tanh(t["<w>"])), {"<w>": x3})
    page = report._repr_html_()
    assert page.startswith("<p>gradient check: OK (6 OK)</p>")
    assert "&lt;w&gt;" in page
    assert "<w>" not in page
    assert page.count("<tr>") == 7


def test_raise_if_failed_and_assert_gradients() -> None:
    tg.gradcheck(right, x3).raise_if_failed()
    tg.assert_gradients(right, x3)
    with pytest.raises(GradientCheckError, match="wrong_tanh"):
        tg.gradcheck(wrong, x3).raise_if_failed()
    with pytest.raises(AssertionError, match="a derivative is wrong"):
        tg.assert_gradients(wrong, x3)


def test_plots_return_their_axes() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    _, ax = pyplot.subplots()
    assert tg.gradcheck(wrong, x3).plot(ax=ax) is ax
    labels = [line.get_label() for line in ax.lines]
    quotients, slopes = ["central difference", "forward difference"], ["rounding: 1 / step", "truncation: step$^2$"]
    assert labels == [*quotients, *slopes, "the function's own derivative"]
    assert [line.get_label() for line in tg.gradcheck(right, x3).plot().lines] == [*quotients, *slopes]
    assert tg.error_curve(lambda x: tg.sum(x * 0), x3).plot() is not ax  # an error of 0 everywhere
    pyplot.close("all")


def test_a_plot_without_matplotlib_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.style", None)
    with pytest.raises(ImportError, match=r"pictures need matplotlib; install it with: .* -m pip install matplotlib"):
        tg.gradcheck(lambda x: (x * x).sum(), np.array([1.0, 2.0])).plot()


def test_the_curve_of_a_wrong_derivative_is_a_v_below_its_error() -> None:
    curve = tg.error_curve(wrong, x3)
    assert curve.gap == pytest.approx(x3[0] * np.tanh(x3[0]) ** 2)  # 1 where 1 - tanh**2 is right
    assert curve.central.min() < 1e-8 < curve.gap < curve.forward[0] + 1


def test_error_curve_is_a_v() -> None:
    curve = tg.error_curve(lambda x: tg.sum(tg.exp(x)), x3, entry=1)
    assert curve.derivative == pytest.approx(np.exp(-1.2))
    central = dict(zip(np.log2(curve.steps).astype(int).tolist(), curve.central.tolist(), strict=True))
    forward = dict(zip(np.log2(curve.steps).astype(int).tolist(), curve.forward.tolist(), strict=True))
    assert central[-4] / central[-5] == pytest.approx(4, rel=0.01)  # truncation: step squared
    assert forward[-4] / forward[-5] == pytest.approx(2, rel=0.05)  # step
    assert min(central.values()) < 1e-10 < 1e-4 < central[-45]
    assert -21 <= min(central, key=lambda power: central[power]) <= -15  # eps ** (1/3) is 2 ** -17.3


ERRORS = {"central": 1e-9, "forward": 1e-6, "complex": 1e-15, "ridders": 1e-12}


@pytest.mark.parametrize("method", ERRORS)
def test_numerical_gradient(method: str) -> None:
    room = 25 * ERRORS[method]  # the function's value, and so its rounding, is about that large
    found = tg.numerical_gradient(lambda t: tg.sum(tg.exp(t["a"]) * t["b"]), {"a": x3, "b": x3 + 1}, method=method)
    np.testing.assert_allclose(found["a"], np.exp(x3) * (x3 + 1), rtol=0, atol=room)
    np.testing.assert_allclose(found["b"], np.exp(x3), rtol=0, atol=room)
    first, second = tg.numerical_gradient(lambda a, b: tg.sum(a * b * b), x3, x3, method=method)
    np.testing.assert_allclose(first, x3**2, rtol=0, atol=room)
    np.testing.assert_allclose(second, 2 * x3**2, rtol=0, atol=room)


def test_numerical_gradient_of_a_function_that_returns_a_number() -> None:
    found = tg.numerical_gradient(lambda x: math.sin(float(x[0])), x3)
    np.testing.assert_allclose(found, [np.cos(x3[0]), 0, 0], atol=1e-12)


def test_numerical_gradient_takes_a_step() -> None:
    found = tg.numerical_gradient(lambda x: tg.sum(x**3), x3, method="central", step=0.5)
    np.testing.assert_allclose(found, 3 * x3**2 + 0.25, rtol=1e-12)


# ---- modes, orders, what inputs may be ----


def test_modes() -> None:
    rows = {mode: tg.gradcheck(right, x3, mode=mode).table["input"].tolist() for mode in ("reverse", "forward", "both")}
    assert rows["reverse"] == ["input"] * 3
    assert rows["forward"] == ["forward mode"] * 3
    assert rows["both"] == rows["reverse"] + rows["forward"]


@pytest.mark.parametrize("mode", ["forward", "both"])
def test_a_wrong_forward_mode_is_blamed(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    op = OPERATIONS["linear"]
    wrong_rules = (lambda t, weight: t @ weight.T, lambda t, x: 2 * (x @ t.T), lambda t: t)
    monkeypatch.setattr(op, "tangent_rules", op.rules_from(wrong_rules, None, "t"))
    inputs = drawn(4, 3), drawn(2, 3), drawn(2)
    report = tg.gradcheck(lambda x, w, b: tg.sum(tg.tanh(tg.linear(x, w, b))), *inputs, mode=mode)
    assert (report.verdict, report.culprit) == ("BUG", "linear")
    assert "the forward mode of operation 'linear', called at test_gradients.py" in str(report)
    assert tg.gradcheck(lambda x, w, b: tg.sum(tg.linear(x, w, b)), *inputs, mode="reverse")


def test_second_order_names_its_rows() -> None:
    report = tg.gradcheck(right, x3, order=2)
    assert report
    assert set(report.table["input"]) == {
        "input", "forward mode", "second derivative, input", "second derivative, forward mode",
    }  # fmt: skip


def test_second_order_says_which_rule_is_wrong_there() -> None:
    frozen = next(entry for entry in CORPUS if entry.name == "a factor of a rule without derivative")
    assert tg.gradcheck(function_for(frozen, OURS), *frozen.inputs)
    told = str(tg.gradcheck(function_for(frozen, OURS), *frozen.inputs, order=2))
    assert "to blame: the second derivative of operation 'frozen' for 'x'" in told


def test_a_function_that_is_wrong_at_first_order_is_not_looked_at_twice() -> None:
    report = tg.gradcheck(wrong, x3, order=2)
    assert report.culprit == "wrong_tanh"
    assert not any("second" in name for name in report.table["input"])


def test_modules_are_checked_in_their_parameters() -> None:
    network = tg.nn.DenseNetwork(
        [
            {"input_dim": 2, "output_dim": 3, "activation": "tanh"},
            {"input_dim": 3, "output_dim": 1, "activation": "sigmoid"},
        ],
        seed=1,
    )
    X, y = tg.data.make_moons(10)
    before = {name: p.data.copy() for name, p in network.named_parameters()}

    def loss(net: Any, X: Any) -> Any:
        return tg.binary_cross_entropy(net(X), y.reshape(-1, 1).astype(float))

    report = tg.gradcheck(loss, network, X)
    assert report
    assert {"W1", "b1", "W2", "b2", "input 1"} <= set(report.table["input"])
    assert all(np.array_equal(p.data, before[name]) and p.grad is None for name, p in network.named_parameters())


def test_what_nested_containers_hold_is_named_by_its_path() -> None:
    tree = {"w": [x3, (x3[:2],)], "b": tg.tensor([1.0])}
    report = tg.gradcheck(lambda t, s: (t["w"][0] * s, [tg.sin(t["w"][1][0]) * t["b"]]), tree, np.float64(2.0))
    assert report
    named = set(report.table["input"]) - {"forward mode"}
    assert named == {"input 0['w'][0]", "input 0['w'][1][0]", "input 0['b']", "input 1"}


def test_tensors_may_be_named() -> None:
    w = tg.tensor(x3, requires_grad=True)
    w.name = "weights"
    report = tg.gradcheck(right, w)
    assert "weights" in report.table["input"].tolist()
    assert w.grad is None


def test_a_sample_covers_every_input_and_says_so() -> None:
    few, many = drawn(5), drawn(400, 250)
    report = tg.gradcheck(lambda a, b: tg.sum(tg.tanh(a)) + tg.mean(b * b), few, many)
    assert report
    assert report.covered == "128 of 100,005 entries of the inputs, and 3 directions through all"
    names = report.table["input"].tolist()
    assert [names.count(n) for n in ("input 0", "input 1", "all", "forward mode")] == [5, 123, 3, 3]
    full = tg.gradcheck(lambda x: tg.sum(tg.tanh(x)), drawn(200), full=True)
    assert full.covered == "all 200 entries of the inputs"


def test_a_bug_among_many_entries_is_named_with_its_mistake() -> None:
    with tg.testing.planted_rule(tg.tanh, "x", lambda g, y: 2 * g * (1 - y * y)):
        report = tg.gradcheck(lambda x, b: tg.sum(tg.tanh(x * b)), drawn(40, 30), np.float64(0.8))
    assert report.culprit == "tanh"
    assert "it is 2 times what is right: a factor 2 too much" in str(report)


LARGE: list[tuple[Callable[..., np.ndarray], str]] = [
    (lambda g, a: (a.T @ g).T, "it is transposed"),
    (lambda g, a: a.T @ g / 16, "it is 1/16 of what is right: 1/m once too often"),
    (lambda g, a: -(a.T @ g), "the sign is wrong"),
    (lambda g, a: a[:, ::-1].T @ g, "it is flipped along axis 0"),
    (lambda g, a: (a.T @ g).sum(axis=1, keepdims=True) + 0 * (a.T @ g), "it is summed over axis 1"),
]


@pytest.mark.parametrize(("rule", "told"), LARGE, ids=[told for _, told in LARGE])
def test_the_mistake_in_a_large_weight_is_named(rule: Any, told: str) -> None:
    data = drawn(16, 40)
    with tg.testing.planted_rule("matrix_product", "b", rule):
        report = tg.gradcheck(lambda w: tg.mean(tg.tanh(data @ w) ** 2), drawn(40, 40))
    assert report.culprit == "matrix_product"
    assert told in str(report)


def test_a_missing_transpose_is_named_beside_a_constant() -> None:
    data = drawn(30, 30)
    with tg.testing.planted_rule("matrix_product", "b", lambda g, a: a @ g):
        report = tg.gradcheck(lambda w: tg.mean(tg.tanh(data @ w)), drawn(30, 30, seed=1))
    assert "it is a @ g; write a.T @ g" in str(report)


def test_a_factor_of_two_lengths_is_no_missing_mean() -> None:
    with tg.testing.planted_rule(tg.tanh, "x", lambda g, y: 0.75 * g * (1 - y * y)):
        report = tg.gradcheck(lambda x: tg.sum(tg.tanh(x)), drawn(3, 4))
    assert "it is 0.75 times what is right: a constant factor is wrong" in str(report)


def test_a_mistake_of_a_few_entries_is_not_explained_by_the_others() -> None:
    corrupted = np.ones(2000)
    corrupted[777] = 3
    with tg.testing.planted_rule(tg.tanh, "x", lambda g, y: g * (1 - y * y) * corrupted):
        report = tg.gradcheck(lambda x: tg.sum(tg.cumsum(tg.tanh(x))), drawn(2000))
    assert report.culprit == "tanh"
    assert "along a random direction it says" in str(report)


def test_of_any_number_of_inputs_that_with_the_wrong_rule_is_named() -> None:
    halves = lambda g, index_of_input: (1 + index_of_input) * np.split(g, 2)[index_of_input]  # noqa: E731
    with tg.testing.planted_rule("join", "xs", halves):
        report = tg.gradcheck(lambda a, b: tg.sum(tg.exp(tg.concatenate([a, b]))), x3, x3 / 2)
    assert report.culprit == "join"
    assert "the rule of operation 'join' for 'xs[1]'" in str(report)


def test_samples_follow_the_seed() -> None:
    x, f = drawn(300), lambda x: tg.sum(x * x)
    first, again, other = (tg.gradcheck(f, x, seed=seed).table["index"].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_numpy_functions_of_the_dispatch_are_checked_too() -> None:
    assert tg.gradcheck(lambda x: np.linalg.norm(np.sort(x)) + x.sum(), x3).verdict == "OK"


def hilbert(n: int) -> Any:
    return 1 / (np.arange(1.0, n + 1)[:, None] + np.arange(n))


def nearly_singular() -> Any:
    a = drawn(4, 4)
    a[:, 0] = a[:, 1] + 1e-12 * drawn(4, seed=2)
    return a


ILL: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "a system": (np.linalg.solve, (hilbert(7), drawn(7))),
    "a system that is a constant": (lambda b: b @ np.linalg.solve(hilbert(6), b), (drawn(6),)),
    "least squares": (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0], (hilbert(7)[:, :-1], drawn(7))),
    "one triangle of a matrix": (np.linalg.cholesky, (hilbert(4) @ hilbert(4),)),
    "columns that are nearly alike": (np.linalg.solve, (nearly_singular(), drawn(4))),
    "a multiple of that": (
        lambda s: drawn(4) @ np.linalg.solve(s * nearly_singular() + 1e-8 * np.eye(4), drawn(4)),
        (array(1.3),),
    ),
}


@pytest.mark.parametrize("name", ILL)
def test_what_rounding_does_to_an_ill_conditioned_matrix_is_no_mistake(name: str) -> None:
    function, inputs = ILL[name]
    report = tg.gradcheck(function, *inputs)
    assert report, report


@pytest.mark.parametrize("factor", [1.01, 1.0001])
def test_but_a_wrong_rule_is_one_there_too(factor: float) -> None:
    with planted_rule("linear_solution", "b", lambda g, a: factor * np.linalg.solve(a.mT, g)):
        report = tg.gradcheck(np.linalg.solve, hilbert(5), drawn(5))
    assert report.verdict == "BUG"
    assert report.culprit == "linear_solution"


def test_neither_the_inputs_nor_the_recording_are_touched() -> None:
    x = x3.copy()
    x.flags.writeable = False
    with tg.no_grad():
        assert tg.gradcheck(right, x)
        assert not tg.tensor(1.0, requires_grad=True).sin().requires_grad


def test_results_that_are_not_finite_are_left_out_and_told() -> None:
    report = tg.gradcheck(lambda x: tg.log(x), array(0.0, 2.0))
    assert "1 of 2 results are not finite and were left out" in str(report)


def test_the_end_of_what_a_function_takes_has_a_derivative_to_one_side() -> None:
    labels = np.array([0.0, 1.0, 0.5, 0.0])
    report = tg.gradcheck(lambda p: tg.binary_cross_entropy(p, labels), np.array([0.0, 1.0, 0.4, 1e-9]))
    assert report.verdict.value == "OK"
    report = tg.gradcheck(lambda x: tg.sum(tg.erfinv(x)), np.array([1 - 1e-15, 0.2]))
    assert report


@pytest.mark.parametrize("function", [lambda x: 2 * x, tg.tanh])
def test_the_smallest_numbers_end_the_ladder(function: Callable[..., Any]) -> None:
    assert tg.gradcheck(function, np.array([5e-324, 1e-310]))


@pytest.mark.parametrize("mode", ["both", "forward"])
def test_where_no_value_is_finite_no_derivative_is_shown(mode: str) -> None:
    table = tg.gradcheck(lambda x: tg.sum(x * math.nan), x3, mode=mode).table
    assert set(table["verdict"]) == {"NONFINITE"}
    assert np.isnan(table["analytic"]).all()


def test_no_results_are_no_fault() -> None:
    assert tg.gradcheck(lambda x: x[:0] * 2, x3).verdict == "OK"


def test_a_saturated_softmax_keeps_few_digits_and_is_right() -> None:
    x, w = array(1e-4, -1.5, 23.0).reshape(1, 3), array(1.3, 0.9, -0.7, -1.3, -0.6, 0.0, -2.3, -0.2, -1.2).reshape(3, 3)
    report = tg.gradcheck(lambda x, w: tg.softmax(x @ w), x, w)
    assert report.verdict == "PRECISION", report
    with tg.testing.planted_rule(
        tg.softmax, "x", lambda g, y, axis: y * (g - (g * y).sum(axis, keepdims=True) * 1.001)
    ):
        assert tg.gradcheck(lambda x, w: tg.softmax(x @ w), x, w).verdict == "BUG"


def test_what_single_precision_can_not_hold_is_rounding() -> None:
    report = tg.gradcheck(lambda x: tg.erf(x), array(-10.4, 0.5).astype(np.float32))
    assert report.verdict == "OK", report
    saturated = single(array([20.0, 3.0, 9.0], [1.0, 12.5, -4.0]))
    report = tg.gradcheck(lambda x: tg.softmax(x), saturated)
    assert report.verdict in ("OK", "PRECISION"), report
    with tg.testing.planted_rule(tg.softmax, "x", lambda g, y, axis: 1.01 * y * (g - (g * y).sum(axis, keepdims=True))):
        assert tg.gradcheck(lambda x: tg.softmax(x), saturated).verdict == "BUG"


@pytest.mark.parametrize("logits", [array(56.2, -26.8, 71.3, 126.1), array(-55.1, 21.1, 28.5, 24.3)])
def test_a_complex_step_that_loses_digits_is_no_witness(logits: np.ndarray) -> None:
    labels = np.arange(4) % 2.0
    report = tg.gradcheck(lambda z: tg.binary_cross_entropy_with_logits(z * 1.3, labels), logits)
    assert report.verdict in ("OK", "PRECISION"), report
    assert tg.gradcheck(np.sinc, 5e-4 * x3).verdict == "OK"


def test_numbers_of_many_sizes_in_one_array_are_no_fault_of_a_rule() -> None:
    report = tg.gradcheck(np.cbrt, array(1e-290, 1.0))
    assert report, report
    with tg.testing.planted_rule(np.cbrt, "x", lambda g, y: g / (2 * y * y)):
        assert tg.gradcheck(np.cbrt, array(1e-290, 1.0)).verdict == "BUG"


def test_entries_that_tie_in_a_sort_share_its_gradient() -> None:
    weights = array(0.1, -0.5, 0.3)
    report = tg.gradcheck(lambda b: np.sort(b) @ weights, np.zeros(3))
    assert report.verdict == "KINK", report
    assert (
        tg.gradcheck(lambda b: np.sort(b) @ weights, np.zeros(3), gradient=lambda b: np.full(3, 0.5)).verdict == "BUG"
    )


@pytest.mark.parametrize("by_hand", [False, True])
def test_where_kinks_cancel_along_an_entry_all_between_the_gradients_around_is_right(by_hand: bool) -> None:
    weights = array(1.0, -0.5, 1.0)  # the first and the last slope are 1: along an entry no kink is seen

    def gradient(b: Any, at_0: float = 0.5) -> Any:
        return weights[np.argsort(np.argsort(b))] if b.any() else np.full(3, at_0)

    given: dict[str, Any] = {"gradient": gradient} if by_hand else {}
    report = tg.gradcheck(lambda b: np.sort(b) @ weights, np.zeros(3), **given)
    assert report.verdict == "KINK", report
    for outside in (1.5, -0.6):
        report = tg.gradcheck(lambda b: np.sort(b) @ weights, np.zeros(3), gradient=lambda b: gradient(b, outside))  # noqa: B023
        assert report.verdict == "BUG", report


def test_a_smooth_function_has_no_kink_that_excuses_a_gradient_that_is_wrong_at_one_point() -> None:
    report = tg.gradcheck(lambda x: (x * x).sum(), np.zeros(2), gradient=lambda x: 2 * x + 1e-4 * (x == 0))
    assert report.verdict == "BUG", report


@pytest.mark.parametrize("outer", [np.sort, lambda z: z * abs(z), tg.relu])
def test_a_sort_of_ties_in_a_network_is_a_kink(outer: Callable[[Any], Any]) -> None:
    x, w = array(0, 0, 1, 0, -1, 1).reshape(3, 2), array(-2, 1, 1, -2, 0, 1, 2, -1).reshape(2, 4)
    report = tg.gradcheck(lambda x, w, v: outer(np.sort(x @ w, axis=-1) @ v), x, w, drawn(4, 2))
    assert report, report


def test_ties_of_a_sort_whose_slopes_cancel_below_another_kink_are_a_kink() -> None:
    x, w, v = array([1.0], [0.0], [1.0]), array([-2.0, 2.0, 1.0, 2.0]), array(2.0, -1.0, 0.0, 1.0)
    report = tg.gradcheck(lambda x, w, b, v: np.clip(np.sort(x @ w + b) @ v, -1, 1), x, w, np.zeros(4), v)
    assert report.verdict == "KINK", report


def test_a_centred_factor_that_is_not_recorded_is_a_bug() -> None:
    assert tg.gradcheck(lambda x: tg.sum(x * (x.detach() - x.detach().mean())), x3).verdict == "BUG"


def test_a_formula_is_looked_for_among_numbers_too() -> None:
    with tg.testing.planted_rule(tg.exp, "x", lambda g, y: np.cos(g + y)):
        report = tg.gradcheck(lambda x: tg.tanh(tg.exp(x) * 2.0), np.array(0.3))
    assert (report.verdict, report.culprit) == ("BUG", "exp")


def test_a_wrong_sign_is_told_where_the_complex_step_is_no_witness() -> None:
    with tg.testing.planted_rule(np.conjugate, "x", lambda g: -g):
        report = tg.gradcheck(lambda x: np.conjugate(x) ** 2, x3)
    assert (report.verdict, report.culprit) == ("BUG", "conjugate")


def test_a_wrong_rule_beside_an_infinite_entry_is_told() -> None:
    with tg.testing.planted_rule(tg.arctan, "x", lambda g, x: 2 * g / (1 + x * x)):
        report = tg.gradcheck(lambda x: tg.sum(tg.arctan(x)), array(0.5, -math.inf))
    assert "it is 2 times what is right" in str(report)


def test_of_an_operation_that_is_checked_by_itself_the_line_of_the_check_is_named() -> None:
    with tg.testing.planted_rule(tg.tanh, "x", lambda g, y: g):
        assert "called at test_gradients.py:" in str(tg.gradcheck(tg.tanh, x3))


# ---- gradients by hand ----


def network_by_hand(features: int = 2) -> tuple[Any, Any, dict[str, np.ndarray]]:
    """Return the article's cost and its gradient as functions of the parameters, and parameters."""
    layers = [
        {"input_dim": features, "output_dim": 4, "activation": "relu"},
        {"input_dim": 4, "output_dim": 4, "activation": "relu"},
        {"input_dim": 4, "output_dim": 1, "activation": "sigmoid"},
    ]
    X, y = tg.data.make_moons(30)
    Y = y.reshape(1, -1).astype(float)

    def cost(parameters: Any) -> Any:
        return by_hand.cost(by_hand.forward(X.T, parameters, layers)[0], Y)

    def gradient(parameters: Any, backward: Any = by_hand.backward) -> Any:
        _, memory = by_hand.forward(X.T, parameters, layers)
        found = backward(Y, memory, parameters, layers)
        return {name: found[f"d{name}"] for name in parameters}

    parameters = by_hand.initialise(layers, seed=2)
    return cost, gradient, {name: 5 * value for name, value in parameters.items()}


def test_the_articles_backward_pass_is_right() -> None:
    cost, gradient, parameters = network_by_hand()
    report = tg.gradcheck(cost, parameters, gradient=gradient)
    assert report.verdict == "OK", report
    assert report.covered == "all 37 entries of the inputs"


PLANTED_BY_HAND: list[tuple[str, Callable[[np.ndarray], np.ndarray], str]] = [
    ("W2", lambda g: g.T, "the gradient by input['W2']: it is transposed"),
    ("W2", lambda g: 30 * g, "the gradient by input['W2']: it is 30 times what is right: a missing 1/m (m = 30)"),
    ("b1", lambda g: g / 30, "1/30 of what is right: 1/m once too often, as by a mean where a sum belongs (m = 30)"),
    ("b2", lambda g: -g, "the gradient by input['b2']: it is minus what is right: the sign is wrong"),
    ("W3", lambda g: g / 2, "the gradient by input['W3']: it is 1/2 of what is right: a missing factor 2"),
    ("b1", lambda g: 0 * g, "the gradient by input['b1']: it is 0 everywhere: was it ever computed"),
    ("W1", lambda g: g[:, ::-1], "the gradient by input['W1']: it is flipped along axis 1"),
    ("b2", lambda g: g.mean(0) + 0 * g, "the gradient by input['b2']: it is summed over axis 0"),
]


@pytest.mark.parametrize(("name", "corrupted", "told"), PLANTED_BY_HAND, ids=[told for _, _, told in PLANTED_BY_HAND])
def test_a_mistake_by_hand_is_found_and_told(name: str, corrupted: Any, told: str) -> None:
    cost, gradient, parameters = network_by_hand()

    def mistaken(parameters: Any) -> Any:
        found = gradient(parameters)
        return found | {name: corrupted(found[name])}

    report = tg.gradcheck(cost, parameters, gradient=mistaken)
    assert report.verdict == "BUG"
    assert {row["input"] for row in report.table if row["verdict"] == "BUG"} == {f"input['{name}']"}
    assert told in str(report)
    assert report.culprit is None


def test_a_forgotten_unbroadcast_is_an_error_by_its_shape() -> None:
    cost, gradient, parameters = network_by_hand()
    with pytest.raises(ValueError, match=r"gradient by input\['b2'\] has shape \(4, 30\); return one of .* \(4, 1\)"):
        tg.gradcheck(cost, parameters, gradient=lambda p: gradient(p) | {"b2": np.zeros((4, 30))})


def test_a_kink_by_hand_is_a_kink() -> None:
    zero = array(0.0, 1.0)
    assert tg.gradcheck(lambda x: abs(x).sum(), zero, gradient=np.sign).verdict == "KINK"
    hidden = tg.gradcheck(lambda x: abs(x).sum(), zero, gradient=lambda x: 0.5 * np.sign(x))
    assert hidden.table["verdict"].tolist() == ["BUG", "BUG"]


@pytest.mark.parametrize("factor", [1, 2, -1])
def test_a_gradient_by_hand_on_a_scale_that_differences_can_not_see_is_judged_by_smaller_numbers(factor: int) -> None:
    def gradient(x: Any) -> Any:
        return factor * 2 * np.sin(x).sum() * np.cos(x)

    report = tg.gradcheck(lambda x: float(np.sin(x).sum() ** 2), 1e12 * x3, gradient=gradient)
    assert report.verdict == ("PRECISION" if factor == 1 else "BUG"), report


def test_gradients_by_hand_of_several_inputs() -> None:
    f = lambda a, b: float(a @ b)  # noqa: E731
    assert tg.gradcheck(f, x3, x3 + 1, gradient=lambda a, b: (b, a))
    assert not tg.gradcheck(f, x3, x3 + 1, gradient=lambda a, b: (a, b))
    assert tg.gradcheck(f, single(x3), single(x3), gradient=lambda a, b: [b, a])


def test_a_gradient_of_a_pytorch_function_is_checked_on_its_tensors() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor(x3, requires_grad=True)

    def gradient(tree: Any) -> Any:
        return {"x": torch.autograd.grad(torch.tanh(tree["x"]).square().sum(), tree["x"])[0]}

    function = lambda tree: torch.tanh(tree["x"]).square().sum()  # noqa: E731
    assert tg.gradcheck(function, {"x": x}, gradient=gradient).verdict == "OK"
    assert tg.gradcheck(function, {"x": x.float()}, gradient=gradient)
    twice = tg.gradcheck(function, {"x": x}, gradient=lambda tree: {"x": 2 * gradient(tree)["x"]})
    assert "it is 2 times what is right" in str(twice)
    with pytest.raises(TypeError) as refused:
        tg.gradcheck(lambda x: torch.tanh(x).sum(), x)
    assert "check one of other arrays by gradient=" in refused.value.__notes__[0]
    with pytest.raises(TypeError) as refused:
        tg.gradcheck(lambda x: torch.tanh(x).sum(), x3, gradient=lambda x: 1 - torch.tanh(x) ** 2)
    assert "pass PyTorch's or JAX's to a function of theirs" in refused.value.__notes__[0]
    with pytest.raises(TypeError, match=r"returns a Tensor, got torch\.Tensor"):
        tg.gradcheck(lambda x: torch.tensor(x.data).sum(), x3)


# ---- what is refused ----


def refusals() -> Iterator[tuple[Any, str, Callable[[], Any]]]:
    yield TypeError, "input is int64, which has no derivative", lambda: tg.gradcheck(right, np.arange(3))
    yield DtypeError, r"input 1\['k'\] is bool", lambda: tg.gradcheck(lambda a, b: a, x3, {"k": np.array([True])})
    yield DtypeError, "input is complex128", lambda: tg.gradcheck(right, x3 + 1j)
    yield DtypeError, "a MaskedArray can't be", lambda: tg.gradcheck(right, np.ma.masked_less(x3, 0))
    yield ValueError, "there is nothing to check", lambda: tg.gradcheck(right, np.zeros((0, 3)))
    yield ValueError, "there is nothing to check", lambda: tg.gradcheck(right)
    yield TypeError, "got float; build its result", lambda: tg.gradcheck(lambda x: 1.0, x3)
    yield TypeError, "got NoneType", lambda: tg.gradcheck(lambda x: None, x3)
    yield TypeError, "no floating-point numbers, got int64", lambda: tg.gradcheck(lambda x: tg.argmax(x), x3)
    yield TypeError, "no floating-point numbers, got nothing", lambda: tg.gradcheck(lambda x: [], x3)
    yield ValueError, "changes input in place", lambda: tg.gradcheck(changing, x3)
    yield (
        ValueError,
        r"returns shapes \[\(2,\)\] and",
        lambda: tg.gradcheck(lambda x: x[x.data > 2], array(1, 2.001, 3)),
    )
    yield ValueError, "order=3 is unknown; write one of 1, 2", lambda: tg.gradcheck(right, x3, order=3)
    yield ValueError, "mode='backward' is unknown", lambda: tg.gradcheck(right, x3, mode="backward")
    yield ValueError, "first order and in reverse mode only", lambda: tg.gradcheck(right, x3, gradient=np.sign, order=2)
    yield ValueError, r"returns shapes \[\(3,\)\]; return a sum", lambda: tg.gradcheck(np.sin, x3, gradient=np.cos)
    yield ValueError, "pass a sequence of 2, got", lambda: tg.gradcheck(np.dot, x3, x3, gradient=lambda a, b: a[:1])
    yield ValueError, "method='secant' is unknown", lambda: tg.numerical_gradient(right, x3, method="secant")
    yield ValueError, "chooses its step by itself", lambda: tg.numerical_gradient(right, x3, step=0.1)
    yield ValueError, "where one number is needed", lambda: tg.numerical_gradient(tg.sin, x3)
    yield TypeError, "got object; return a Tensor of floats", lambda: tg.numerical_gradient(lambda x: None, x3)
    yield TypeError, "refuses complex", lambda: tg.numerical_gradient(lambda x: tg.sum(abs(x)), x3, method="complex")
    frame = type(
        "DataFrame", (), {"__module__": "pandas.core.frame", "__array__": lambda self, dtype=None, copy=None: x3}
    )()
    yield TypeError, "pass x.to_numpy", lambda: tg.gradcheck(np.sum, frame, gradient=np.ones_like)


def changing(x: Any) -> Any:
    x.data[0] += 1
    return tg.sum(x)


@pytest.mark.parametrize(("kind", "message", "call"), list(refusals()), ids=lambda v: v if isinstance(v, str) else "")
def test_refused(kind: Any, message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_errors_of_the_function_pass_through() -> None:
    with pytest.raises(ValueError, match="matmul"):
        tg.gradcheck(lambda x: x @ drawn(4, 4), x3)
