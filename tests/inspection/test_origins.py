"""Where a nan began: planted faults, and functions without one; writes into arrays; training that diverges."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from inspection.planted_nans import FAULTLESS, FAULTS, Fault
from slopes import leaf, slope

import tinygrad_nn as tg


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_origin_of_a_planted_fault_is_named(fault: Fault) -> None:
    origin = tg.why_nan(lambda *inputs: fault.function(tg, *inputs), *fault.inputs)
    assert origin is not None
    assert (origin.operation, origin.phase) == (fault.origin, fault.phase)
    if fault.entry is not None:
        assert origin.index == fault.entry
    assert not np.isfinite(origin.value)
    assert f": {origin.remedy}" in str(origin)
    assert len(origin.remedy.split()) > 4
    assert "planted_nans.py" in origin.line


@pytest.mark.parametrize("case", FAULTLESS, ids=lambda case: case.name)
def test_where_all_is_finite_there_is_none(case: Fault) -> None:
    assert tg.why_nan(lambda *inputs: case.function(tg, *inputs), *case.inputs) is None


def test_the_sentence_says_all_of_it() -> None:
    def loss(x: Any) -> Any:
        return tg.log(x).sum()

    first, _, line = str(tg.why_nan(loss, np.array([1.0, 2.0, 3.0, 0.0]))).partition(" (")
    assert first == "log of 0 at x[3] gives -inf: add eps, or mask with where"
    number = loss.__code__.co_firstlineno + 1
    assert line.endswith(f"test_origins.py:{number}, in loss: return tg.log(x).sum())")
    told = str(tg.why_nan(lambda x: (1 / x).sum(), np.array([1.0, 0.0])))
    assert told.startswith("divide of a = 1 and x[1] = 0 gives inf: add eps to the divisor, or mask with where")
    told = str(tg.why_nan(lambda x: tg.sqrt(x).sum(), np.array([1.0, 0.0])))
    assert told.startswith("the rule of sqrt for x[1], of 0 at x[1], gives inf from a finite cotangent: its slope is")


def test_an_anomaly_is_raised_where_it_begins_and_no_gradient_is_set() -> None:
    w = tg.tensor([1.0, -1.0], requires_grad=True, name="w")
    with tg.detect_anomaly():
        (w * w).sum().backward()
    expected = w.grad
    with pytest.raises(FloatingPointError, match=r"log of -1 at w\[1\] gives nan") as caught, tg.detect_anomaly():
        tg.log(w).sum().backward()
    assert caught.value.origin.phase == "forward"  # type: ignore[attr-defined]
    with pytest.raises(FloatingPointError, match="the rule of sqrt"), tg.detect_anomaly():
        tg.sqrt(w + 1).sum().backward()
    assert w.grad is expected
    with pytest.raises(FloatingPointError, match="reciprocal of 0"), tg.detect_anomaly():
        tg.reciprocal(w + 1)  # without a backward pass, at the end of the body


@pytest.mark.parametrize("write", ["t.data", "the array it was made of"])
def test_a_raw_write_to_what_the_graph_needs_is_caught(write: str) -> None:
    array = np.array([1.0, 2.0])
    w, t = leaf([3.0, 4.0]), tg.as_tensor(array)
    with (
        pytest.raises(FloatingPointError, match="t, which the backward pass of multiply still needs"),
        tg.detect_anomaly(),
    ):
        loss = (w * t).sum()
        (t.data if write == "t.data" else array)[0] = 7
        loss.backward()
    with tg.detect_anomaly():
        loss = (w + t).sum()  # its rules read nothing
        array[0] = 8
        loss.backward()

    def written(x: Any) -> Any:
        loss = tg.exp(x * 2)
        loss.data[...] = 1
        return loss.sum()

    origin = tg.why_nan(written, np.ones(3))
    assert origin is not None
    assert (origin.phase, origin.operation, origin.argument) == ("write", "exp", "loss")


def test_a_training_loop_keeps_only_its_last_passes() -> None:
    w, x = leaf(np.ones(3)), np.eye(3)
    optimizer = tg.optim.SGD([w], lr=0.1)
    counts = []
    with tg.detect_anomaly():
        from tinygrad_nn.engine.watching import watcher

        for _ in range(10):
            optimizer.zero_grad()
            ((x @ w - 1.5) ** 2).sum().backward()
            optimizer.step()
            watching: Any = watcher()
            counts.append(len(watching.graph))
    assert max(counts) <= 15


def test_running_means_keep_nothing_of_older_passes() -> None:
    net = tg.nn.Sequential(tg.nn.Linear(3, 4, seed=0), tg.nn.BatchNorm1d(4), tg.nn.Linear(4, 1, seed=1))
    counts = []
    with tg.detect_anomaly():
        for _ in range(8):
            (net(np.eye(3)) ** 2).mean().backward()
            gc.collect()
            counts.append(sum(type(x).__name__ == "GraphNode" for x in gc.get_objects()))
    assert counts[-1] <= counts[-4]


@pytest.mark.parametrize("passes", range(5))
def test_a_pass_may_begin_from_what_is_older_than_the_last_ones(passes: int) -> None:
    x = leaf([1.0, 4.0])
    with tg.detect_anomaly():
        z = (tg.sqrt(x) * 2).sum()
        for _ in range(passes):
            (x * 3).sum().backward()
        z.backward()
    np.testing.assert_array_equal(slope(x), np.array([1, 0.5]) + 3 * passes)
    with pytest.raises(FloatingPointError, match=r"the rule of sqrt for x\[1\]"), tg.detect_anomaly():
        x = leaf([1.0, 0.0])
        z = (tg.sqrt(x) * 2).sum()
        for _ in range(passes):
            (x * 3).sum().backward()
        z.backward()


def test_several_outputs_and_several_faults_give_the_first() -> None:
    def function(x: Any) -> Any:
        late = tg.log(x - 1)
        early = tg.sqrt(x - 2)
        return {"late": late.sum(), "early": early.sum()}

    origin = tg.why_nan(function, np.array([1.0, 3.0]))
    assert origin is not None
    assert origin.operation == "log"
    factors = tg.why_nan(lambda x: tg.linalg.qr(x)[1].sum() * np.inf, np.eye(2) + 0.1)
    assert factors is not None
    assert factors.operation == "multiply"


def test_second_derivatives_and_several_outputs_are_watched_for_anomalies() -> None:
    x = leaf([0.0, 1.0])
    with pytest.raises(FloatingPointError, match="the rule of power"), tg.detect_anomaly():
        (g,) = tg.autograd.grad((x**1.5).sum(), x, create_graph=True)
        assert g is not None
        g.sum().backward()
    origin = tg.why_nan(lambda a: tg.linalg.qr(a)[1].sum() * tg.log(a[0, 0] - 1), np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert origin is not None
    assert (origin.operation, origin.phase) == ("log", "forward")


def spread(x: Any) -> Any:
    w, v = tg.linalg.eigh(tg.diag(x))
    return w * np.inf + v


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda x: tg.sqrt(x * 1), r"rule of sqrt for multiply1\[0\] gives inf"),
        (lambda x: 1 / (x * 1), r"rule of divide for multiply1\[0\], of 0 at multiply1\[0\], gives -inf"),
        (tg.checkpoint(tg.sqrt), r"rule of checkpoint for x\[0\] gives inf from a finite cotangent: compute the whole"),
        (lambda x: sum(tg.checkpoint(lambda z: (tg.sqrt(z), z * 2))(x)), r"rule of checkpoint for x\[0\]"),
        (lambda x: tg.checkpoint(lambda z: z * 2)(tg.sqrt(x)), r"rule of sqrt for x\[0\]"),
        (spread, r"rule of multiply for item1\[0\]"),
        (lambda x: tg.sqrt(tg.checkpoint(lambda z: z * 2)(x)), r"rule of sqrt for item1\[0\]"),
    ],
)
def test_a_backward_pass_alone_is_watched(function: Any, sentence: str) -> None:
    x = tg.tensor([0.0, 2.0], requires_grad=True, name="x")
    with np.errstate(all="ignore"):
        loss = function(x).sum()
    with pytest.raises(FloatingPointError, match=rf"{sentence}.*\(computed outside of the wat"), tg.detect_anomaly():
        loss.backward()


def test_a_checkpoint_is_a_node_of_a_graph() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    y = tg.checkpoint(lambda z: tg.exp(z) * z)(x).sum()
    assert [n.name for n in tg.graph(y)] == ["x", "checkpoint1", "item1", "y"]
    with tg.watch():
        y.backward()
    (term,) = x.grad_terms()
    assert (term.argument, term.path) == ("input 0", ("checkpoint1", "item1", "y"))


def test_what_is_older_than_two_passes_is_still_checked() -> None:
    x = tg.tensor([0.0, 2.0], requires_grad=True, name="x")
    for function, sentence in (
        (tg.log, r"log of 0 at x\[0\] gives -inf.*or more than two passes ago\)"),
        (tg.sqrt, r"the rule of sqrt for x\[0\] gives inf.*or more than two passes ago\)"),
        (lambda x: tg.log(x) * 2, "compute its operands inside the watched block, too, at most two passes before"),
    ):
        with pytest.raises(FloatingPointError, match=sentence), tg.detect_anomaly():
            z = function(x)
            for _ in range(3):
                (x * 2).sum().backward()
            z.sum().backward()
    sentence = r"the rule of sqrt for x\[0\], of 0 at x.*: z = tg.sqrt\(x\)"
    with pytest.raises(FloatingPointError, match=sentence), tg.detect_anomaly():
        z = tg.sqrt(x)
        for row in np.eye(2)[[1, 1, 1, 0]]:  # each pass reaches the same graph
            z.backward(row, retain_graph=True)
    with pytest.raises(FloatingPointError, match="y, which the backward pass of exp still needs"), tg.detect_anomaly():
        y = tg.exp(x)
        for _ in range(3):
            (y * 2).sum().backward(retain_graph=True)
        y.data[0] = 1e5
        (y * 2).sum().backward()


def test_a_raw_write_to_one_of_several_outputs_or_of_a_nan_is_caught() -> None:
    w = leaf([[3.0, 1.0], [1.0, 2.0]])
    with pytest.raises(FloatingPointError, match="backward pass of svd still needs"), tg.detect_anomaly():
        u, s, _ = tg.linalg.svd(w)
        u.data[0, 0] = 99
        (s**2).sum().backward()
    message = r"y\[0\], which multiply computed of x\[0\] = 1 and b = 2, was written into"
    with pytest.raises(FloatingPointError, match=message), tg.detect_anomaly():
        x = leaf([1.0, 2.0])
        y = x * 2
        y.data[0] = np.nan
        (y * y).sum().backward()


@pytest.mark.parametrize(("kind", "slope", "told"), [(tg.optim.Adam, 0.0, "nan"), (tg.optim.SGD, 1e300, "-inf")])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_step_of_an_optimiser_is_named(kind: Any, slope: float, told: str, steps: int) -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    optimizer = kind([w], lr=1e200, **({"eps": 0.0} if kind is tg.optim.Adam else {}))
    message = rf"{kind.__name__}'s step made w\[0\] {told}, from value = 1 and gradient = .*optimizer.step\(\)"
    with pytest.raises(FloatingPointError, match=message), tg.detect_anomaly():
        for _ in range(steps):
            optimizer.zero_grad()
            (w * slope).sum().backward()
            optimizer.step()


class Root(tg.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = tg.nn.Linear(2, 1)
        for p in self.lin.parameters():
            p.data[...] = 0

    def forward(self, x: Any) -> Any:
        return tg.sqrt(self.lin(x))


@pytest.mark.parametrize("options", [{}, {"compile": True}, {"epochs": 1}, {"batch_size": 2, "accumulate": 2}])
def test_a_training_names_what_made_its_parameters_nan(options: dict[str, Any]) -> None:
    X, y = np.arange(8.0).reshape(4, 2) + 1, np.ones((4, 1))
    settings: dict[str, Any] = {"epochs": 3, "loss": tg.mse_loss, "progress": False} | options
    with pytest.raises(
        tg.errors.DivergedError, match=r"It began here: the rule of sqrt for linear1\[0, 0\], of 0"
    ) as e:
        tg.train(Root(), X, y, learning_rate=0.1, **settings)
    assert (e.value.origin.phase, e.value.origin.module) == ("backward", "Root")
    net = tg.nn.Linear(2, 1)
    adam, flat = tg.optim.Adam(net.parameters(), lr=0.1, eps=0.0), lambda scores, y: (scores * 0).sum()
    with (
        np.errstate(all="ignore"),
        pytest.raises(tg.errors.DivergedError, match=r"Adam's step made weight\[0, 0\] nan"),
    ):
        tg.train(net, X, y, optimizer=adam, **settings | {"loss": flat})
    assert np.isfinite(net.weight.data).all()


class Rare(tg.nn.Module):
    """A logarithm of how many of two entries dropout has kept: of 0 in about every fourth step."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.dropout = tg.nn.Linear(2, 1, seed=0), tg.nn.Dropout(0.5, seed=3)

    def forward(self, x: Any) -> Any:
        return self.linear(x) + tg.log(self.dropout(np.ones(2)).sum())


class Third(tg.optim.SGD):
    """Makes parameters infinite in its third step."""

    init = staticmethod(lambda w: {"count": 0})

    @staticmethod
    def rule(w: Any, g: Any, count: int, lr: float) -> Any:
        return np.full_like(w, np.inf) if count == 2 else w - lr * g, {"count": count + 1}


@pytest.mark.parametrize("compiled", [False, True])
def test_a_step_that_diverged_is_made_again_of_the_same_draws_and_state(compiled: bool) -> None:
    X, y = np.ones((4, 2)), np.ones((4, 1))
    settings: dict[str, Any] = {"epochs": 60, "loss": tg.mse_loss, "progress": False, "compile": compiled}
    message = r"It began here: log of 0 at sum1 gives -inf in Rare"
    with np.errstate(all="ignore"), pytest.raises(tg.errors.DivergedError, match=message):
        tg.train(Rare(), X, y, learning_rate=1e-3, **settings)
    net = tg.nn.Linear(2, 1, seed=0)
    message = r"It began here: Third's step made weight\[0, 0\] inf"
    with np.errstate(all="ignore"), pytest.raises(tg.errors.DivergedError, match=message):
        tg.train(net, X, y, optimizer=Third(net.parameters(), lr=1e-3), **settings)


def test_what_was_given_is_told_with_the_line_that_reads_it_first() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    message = r"the cotangent of y\[1\] is nan as it was given.*: y.backward\(tg.tensor\(\[1.0, np.nan\]\)\)"
    with pytest.raises(FloatingPointError, match=message), tg.detect_anomaly():
        y = x * 2
        y.backward(tg.tensor([1.0, np.nan]))


def test_a_result_that_nothing_recorded_is_checked() -> None:
    origin = tg.why_nan(lambda: tg.jvp(lambda z: 2 * z, (np.ones(1),), (np.array([np.inf]),))[1])
    assert str(origin).startswith("a result[0] is inf as it was given")


@pytest.mark.parametrize("nested", [lambda x: {"b": x}, lambda x: (x,), lambda x: [[x], np.ones(3)]])
def test_arrays_in_what_is_nested_are_differentiated(nested: Any) -> None:
    def loss(given: Any) -> Any:
        return tg.sqrt(given["b"] if isinstance(given, dict) else tg.concatenate([*tg.stack(given[0])])).sum()

    origin = tg.why_nan(loss, nested(np.array([[4.0, 0.0]])))
    assert origin is not None
    assert (origin.operation, origin.phase) == ("sqrt", "backward")
    assert len(tg.graph(loss, nested(np.array([[4.0, 1.0]]))).to_latex()) > 50
    with pytest.raises(tg.errors.GradientError, match="write the numbers as floats"):
        tg.why_nan(lambda given: 1, nested(np.array([0, 1])))


def test_several_outputs_that_record_nothing_are_followed() -> None:
    C = np.array([[1.0, 2.0], [3.0, 4.0]])
    for function in (
        lambda x: (tg.linalg.qr(tg.as_tensor(C) * 1e300 * 1e200)[1] * x).sum(),
        lambda x: (np.modf(tg.as_tensor(C) * 1e300 * 1e200)[1] * x).sum(),
    ):
        assert "multiply of multiply1[0, 0] = 1e+300 and b = 1e+200 gives inf" in str(tg.why_nan(function, C))


@pytest.mark.parametrize("loss", [tg.cross_entropy, tg.nll_loss])
def test_a_batch_without_a_label_is_told(loss: Any) -> None:
    origin = tg.why_nan(lambda x: loss(x, np.array([-100, -100])), np.ones((2, 3)))
    assert "leave out a batch whose labels are all ignore_index" in str(origin)


def test_what_a_transform_gives_a_function_has_its_name() -> None:
    inner = tg.grad(lambda p: (p["a"] ** 0.5).sum())
    origin = tg.why_nan(lambda p: inner(p)["a"].sum(), {"a": np.array([4.0, 0.0])})
    assert "the rule of power for a_2[1], of a_2[1] = 0 and b = 0.5" in str(origin)


def test_a_number_that_is_not_finite_is_told() -> None:
    origin = tg.why_nan(lambda x: (x * np.inf).sum(), np.ones(2))
    assert origin is not None
    assert "replace the operand, which is not finite itself" in origin.remedy


@pytest.mark.parametrize(
    ("function", "x", "remedy"),
    [
        (lambda x: x**2, -1e200, "the result is beyond 1.8e+308"),
        (lambda x: x**np.nan, 2.0, "replace the operand, which is not finite itself"),
        (lambda x: x**0.5, -2.0, "a negative number has no real fractional power"),
        (lambda x: tg.tensor(-2.0) ** x, 2.0, "a negative number has no real fractional power"),
        (lambda x: np.mod(x, 0.0), 2.0, "add eps to the divisor"),
    ],
)
def test_the_remedy_is_for_the_numbers_that_met(function: Any, x: float, remedy: str) -> None:
    origin = tg.why_nan(function, x)
    assert origin is not None
    assert remedy in origin.remedy


def test_a_hook_of_a_leaf_has_the_line_that_reads_the_leaf() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    w.register_hook(lambda g: g * np.inf)
    message = r"rule of hook for w\[0\] gives inf .*: loss = \(w \* 2\)"
    with pytest.raises(FloatingPointError, match=message), tg.detect_anomaly():
        loss = (w * 2).sum()
        loss.backward()


def test_integers_are_refused_where_nothing_else_is_recorded() -> None:
    for function in (tg.why_nan, tg.graph):
        with pytest.raises(tg.errors.GradientError, match="write the numbers as floats"):
            function(lambda x: tg.sum(1 / x), np.array([1, 2]))
    w = leaf([1.0, 2.0])
    assert tg.why_nan(lambda i: w[i].sum(), np.array([0, 1])) is None  # here they are indices
    assert "divide of a = 1 and x = 0 gives inf" in str(tg.why_nan(lambda x: 1 / x, 0))
