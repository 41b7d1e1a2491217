"""mutate_rules: a test with teeth leaves no survivor, and a toothless one is told what it missed."""

from typing import Any

import numpy as np
import pytest
from tanh import SLOPE, slope

import tinygrad_nn as tg
from tinygrad_nn.engine import cotangents
from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.testing import mutate_rules


def mutants(found: Any) -> set[str]:
    return {str(mutant) for mutant in found}


def product(x: Any, w: Any) -> Any:
    return tg.sum(tg.tanh(x * w))


X, W = np.array([[0.5, -0.3, 0.8], [1.1, 0.2, -0.7]]), np.array([0.4, -0.6, 0.9])


def by_differences() -> None:
    """A test with teeth: several points, a cotangent that is not 1, broadcasting, two orders."""
    tg.testing.check_agreement(lambda x, w: tg.tanh(x * w), lambda x, w: np.tanh(x * w), [X, W])
    tg.testing.check_agreement(lambda x, w: tg.tanh(x * w), lambda x, w: np.tanh(x * w), [-X, W + 1.0])


def of_the_sign() -> None:
    """A toothless test."""
    x = tg.tensor(X, requires_grad=True)
    product(x, W).backward()
    assert x.grad is not None
    assert (np.sign(x.grad.data) == np.sign(W)).all()


def test_a_test_with_teeth_leaves_no_survivor() -> None:
    report = mutate_rules(by_differences, [tg.tanh, tg.multiply])
    assert report
    assert report.survivors == ()
    assert mutants(report.without_effect) == {
        "tanh for x: skips the sum over what was broadcast",
        "multiply for a: skips the sum over what was broadcast",
        # of a few numbers the slope is computed from x alone
        "tanh for x: drops the factor y", "tanh for x: uses a stale y", "tanh for x: takes y for a constant",
    }  # fmt: skip
    expected = {
        "tanh for x: flips the sign", "tanh for x: drops the factor g", "tanh for x: drops the factor x",
        "tanh for x: uses a stale x", "tanh for x: takes x for a constant", "tanh for x: transposes",
        "multiply for b: skips the sum over what was broadcast", "multiply for b: transposes",
    }  # fmt: skip
    assert expected <= mutants(report.noticed)


def test_the_survivors_of_a_toothless_test_are_listed() -> None:
    report = mutate_rules(of_the_sign)
    assert not report
    assert {"multiply for a: flips the sign", "multiply for a: drops the factor b"} <= mutants(report.noticed)
    assert {"multiply for a: drops the factor g", "tanh for x: transposes"} <= mutants(report.survivors)
    assert {"tanh for x: drops the factor g", "tanh for x: uses a stale y"} <= mutants(report.without_effect)
    assert "multiply for b" not in {m.partition(":")[0] for m in mutants(report.noticed)}
    text = str(report)
    assert "survived, though they changed a derivative:\n  " in text
    assert "changed no derivative that the test computes:\n  " in text


def test_a_test_that_computes_no_derivative_has_no_teeth() -> None:
    report = mutate_rules(lambda: None)
    assert not report
    assert str(report) == "no rule was mutated: the test computes no derivative by these operations"


def test_rules_that_were_asked_for_and_not_used_are_told() -> None:
    report = mutate_rules(of_the_sign, ["multiply", tg.exp])
    assert report.unused == ("multiply for b", "exp for x")
    assert "never used by the test:\n  multiply for b\n  exp for x" in str(report)


def test_mutations_of_an_operation_on_many_inputs_and_of_one_with_multiple_outputs() -> None:
    def many() -> None:
        tg.testing.check_agreement(lambda a, b: tg.concatenate([a, b]), lambda a, b: np.concatenate([a, b]), [X, X[:1]])

    def multiple_outputs() -> None:
        tg.testing.check_agreement(lambda x: tg.unstack(x), lambda x: list(x), [X])

    assert mutants(mutate_rules(many, ["join"]).noticed) == {
        "join for xs: flips the sign", "join for xs: transposes", "join for xs: drops the factor g",
    }  # fmt: skip
    report = mutate_rules(multiple_outputs, ["unstack"])
    assert "unstack for x: drops the factor g" in mutants(report.noticed)
    assert report.survivors == ()


def test_what_pytest_raises_counts_as_noticing() -> None:
    def fails() -> None:
        if slope() < 0:
            pytest.fail("negative")

    assert mutants(mutate_rules(fails, [tg.tanh]).noticed) == {"tanh for x: flips the sign"}


def test_a_test_that_fails_as_it_is_says_so() -> None:
    def fails() -> None:
        raise AssertionError("mine")

    with pytest.raises(AssertionError, match="mine") as caught:
        mutate_rules(fails)
    assert caught.value.__notes__ == [
        "the test fails as it is, before any rule was mutated; mutate_rules needs one that passes"
    ]


def test_an_interrupt_ends_the_mutations_and_leaves_nothing_behind() -> None:
    calls = []

    def interrupted() -> None:
        calls.append(slope())
        if len(calls) == 3:
            raise KeyboardInterrupt

    before = cotangents.project
    with pytest.raises(KeyboardInterrupt):
        mutate_rules(interrupted, [tg.tanh])
    assert calls[1] == -SLOPE
    assert slope() == SLOPE
    assert cotangents.project is before
    assert isinstance(OPERATIONS["tanh"].rules, tuple)
