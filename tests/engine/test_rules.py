"""Rules: what a rule reads is told by its parameters' names, and one that is written otherwise is refused."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from tinygrad_nn.engine.rules import Rule, RuleForEach, parameter_names

SLOTS = ("a", "b", "y", "a_shape", "b_shape", "wanted", "axis")
KEPT = (2.0, 3.0, 5.0, (7,), (11,), (True, False), 13)


@pytest.mark.parametrize(
    ("function", "reads", "pulled"),
    [
        (lambda g: g, (), 1000.0),
        (lambda g, b: g + b, ("b",), 1003.0),
        (lambda g, y, a: g + 10 * y + a, ("y", "a"), 1052.0),
        (lambda g, axis, b_shape, b, y: g + axis + b_shape[0] + b * y, ("axis", "b_shape", "b", "y"), 1039.0),
    ],
    ids=["nothing", "one", "two", "four"],
)
def test_a_rule_reads_what_its_parameters_name_in_any_order(function: Any, reads: Any, pulled: float) -> None:
    rule = Rule(function, "a", SLOTS)
    assert rule.reads == reads
    assert rule.pull(1000.0, KEPT) == pulled


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda a, g: g * a, "a, g"),
        (lambda a: a, "a"),
        (lambda: 1.0, ""),
        (lambda grad: grad, "grad"),
        (lambda t: t, "t"),
        (lambda g, z: g * z, "g, z"),
        (lambda *saved: saved[0], ""),
    ],
    ids=["g is second", "no g", "nothing", "another name", "a tangent", "no slot", "any number"],
)
def test_a_rule_names_g_first_and_then_slots(function: Any, names: str) -> None:
    with pytest.raises(TypeError) as found:
        Rule(function, "a", SLOTS, name="cube")
    slots = "a, b, y, a_shape, b_shape, wanted, axis"
    assert str(found.value) == (
        f"the rule of 'cube' for 'a' has the parameters ({names}); name first g, and then any of {slots}"
    )


def test_a_tangent_rule_names_t_first() -> None:
    assert Rule(lambda t, b: t * b, "a", SLOTS, leading=("t",)).pull(10.0, KEPT) == 30.0
    with pytest.raises(TypeError, match=r"\(g, b\); name first t, and then any of"):
        Rule(lambda g, b: g * b, "a", SLOTS, leading=("t",))


@pytest.mark.parametrize("function", [np.negative, functools.partial(np.add, 1)], ids=["ufunc", "partial"])
def test_what_does_not_name_its_parameters_is_no_rule(function: Any) -> None:
    with pytest.raises(TypeError, match=r"has no named parameters; write a function that calls it: lambda g: \.\.\."):
        Rule(function, "a", SLOTS)


def test_parameters_come_in_order_and_those_by_keyword_alone_last() -> None:
    def function(b: Any, a: Any = 1, /, c: Any = 2, *rest: Any, d: Any = 3, **others: Any) -> Any:
        e = 4
        return e

    assert parameter_names(function) == ("b", "a", "c", "d")


def test_only_a_rule_that_reads_something_can_meet_zero_times_infinity() -> None:
    def zero_safe(rule: Any, g: Any, saved: Any, c: Any) -> Any: ...

    assert Rule(lambda g: 2 * g, "a", SLOTS, zero_safe).zero_safe is None
    assert Rule(lambda g, b: b * g, "a", SLOTS, zero_safe).zero_safe is zero_safe


def test_what_adds_into_a_buffer_names_the_buffer_and_g_first() -> None:
    rule = Rule(lambda g: g, "a", SLOTS)
    rule.add_by(lambda buffer, g, axis, b: None, SLOTS)
    assert rule.into_slots == [6, 1]
    with pytest.raises(TypeError, match=r"the rule `into` has the parameters \(g, buffer\); name first buffer, g, and"):
        rule.add_by(lambda g, buffer: None, SLOTS)


def test_the_one_rule_of_any_number_of_inputs_is_told_which() -> None:
    rules = RuleForEach(lambda g, index_of_input, axis: g + 100 * index_of_input + axis, SLOTS)
    assert rules.reads == ("axis",)
    assert [rule.pull(1.0, KEPT) for rule, _ in zip(rules, range(3), strict=False)] == [14.0, 114.0, 214.0]
    assert rules.rule(2) is rules.rule(2)
    assert rules.rule(2).argument == "input 2"


@pytest.mark.parametrize("function", [lambda g: g, lambda g, axis, index_of_input: g, lambda g, i: g])
def test_that_one_rule_names_the_index_second(function: Any) -> None:
    with pytest.raises(TypeError, match=r"the rule of 'join' for 'input 0' .*; name first g, index_of_input, and then"):
        RuleForEach(function, SLOTS, "join")
