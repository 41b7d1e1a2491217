"""Where a nan began: planted faults, and functions without one; writes into arrays; training that diverges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from inspection.planted_nans import FAULTLESS, FAULTS, Fault
from slopes import leaf

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
    assert "planted_nans.py" in origin.line or fault.phase == "given"


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
    assert told.startswith("divide of a = 1 and x[1] = 0 gives inf: add eps, or mask with where, for the divisor is 0")
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
    w = leaf(np.ones(3))
    optimizer = tg.optim.SGD([w], lr=0.1)
    counts = []
    with tg.detect_anomaly():
        from tinygrad_nn.engine.watching import watcher

        for _ in range(10):
            optimizer.zero_grad()
            ((w - 1.5) ** 2).sum().backward()
            optimizer.step()
            watching: Any = watcher()
            counts.append(len(watching.graph))
    assert max(counts) <= 12


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
