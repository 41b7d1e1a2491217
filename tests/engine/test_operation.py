"""The record of an operation: how a call is bound, what nodes keep, and what is derived from the declaration."""

from __future__ import annotations

from inspect import Parameter
from typing import Any

import numpy as np
import pytest

from tinygrad_nn.engine import operation
from tinygrad_nn.engine.operation import Operation
from tinygrad_nn.engine.zero_safe import product_of_entries

REQUIRED: Any = Parameter.empty


@pytest.fixture(autouse=True)
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operation, "OPERATIONS", {})


def weighed(a: Any, b: Any, /, axis: Any, scale: float = 1.0) -> Any:
    return scale * np.sum(a * b, axis)


def declared(**options: Any) -> Operation:
    """Return an operation on two inputs, with a parameter that a call must give and one that it may give."""
    return Operation("weighed", weighed, ("a", "b"), {"axis": REQUIRED, "scale": 1.0}, **options)


# How a call is bound.


@pytest.mark.parametrize(
    ("args", "parameters", "inputs", "values"),
    [
        ((1, 2), {"axis": 0}, [1, 2], {"axis": 0, "scale": 1.0}),
        ((1, 2), {"scale": 5.0, "axis": 0}, [1, 2], {"axis": 0, "scale": 5.0}),
        ((1, 2, 0), {}, [1, 2], {"axis": 0, "scale": 1.0}),
        ((1, 2, 0, 5.0), {}, [1, 2], {"axis": 0, "scale": 5.0}),
        ((1,), {"b": 2, "axis": 0}, [1, 2], {"axis": 0, "scale": 1.0}),
        ((), {"b": 2, "a": 1, "axis": 0}, [1, 2], {"axis": 0, "scale": 1.0}),
    ],
    ids=["by name", "both by name", "by position", "both by position", "an input by name", "all by name"],
)
def test_a_call_is_bound_as_python_does(args: Any, parameters: Any, inputs: Any, values: Any) -> None:
    found, named = declared().bind(args, parameters)
    assert list(found) == inputs
    assert named == values


def test_an_optional_input_that_is_not_given_is_none() -> None:
    shifted = Operation("shifted", np.add, ("a", "b"), {"scale": 1.0}, optional=1)
    assert shifted.bind((1,), {"scale": 5.0}) == ([1, None], {"scale": 5.0})
    assert shifted.bind((1, 2), {}) == ((1, 2), {"scale": 1.0})


@pytest.mark.parametrize(
    ("args", "parameters", "text"),
    [
        ((1, 2), {}, "missing a required argument: 'axis'"),
        ((1,), {"axis": 0}, "missing a required argument: 'b'"),
        ((1, 2, 0, 5.0, 6), {}, "too many positional arguments"),
        ((1, 2, 0), {"axis": 0}, "multiple values for argument 'axis'"),
        ((1, 2), {"axis": 0, "dim": 1}, "got an unexpected keyword argument 'dim'"),
    ],
)
def test_what_python_refuses_is_refused(args: Any, parameters: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        declared().bind(args, parameters)


def test_the_inputs_of_a_variadic_operation_are_one_argument() -> None:
    joined = Operation("joined", np.concatenate, ("xs",), {"axis": 0}, variadic=True)
    assert joined.bind(((1, 2, 3), 1), {}) == ([1, 2, 3], {"axis": 1})


# What is computed.


def test_parameters_are_normalised_with_the_inputs_at_hand_and_then_the_forward_runs() -> None:
    op = declared(normalise={"axis": lambda axis, inputs: axis % inputs[0].ndim})
    values = {"axis": -1, "scale": 10.0}
    found = op.run([np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((2, 2))], values)
    np.testing.assert_array_equal(found, [30.0, 70.0])
    assert values == {"axis": 1, "scale": 10.0}


# What nodes keep.


def test_a_node_keeps_what_the_rules_of_the_inputs_that_require_grad_read() -> None:
    op = declared()
    op.set_rules((lambda g, b, axis: g, lambda g, a, y: g))
    slots = ("a", "b", "y", "a_shape", "b_shape", "wanted", "axis", "scale")
    assert op.slots == slots

    def kept(*wanted: bool) -> tuple[set[str], bool]:
        keeps, more = op.saves(wanted)
        return {slot for slot, keep in zip(slots, keeps, strict=True) if keep}, more

    assert kept(True, False) == ({"b", "axis"}, True)  # one comes after y
    assert kept(False, True) == ({"a", "y"}, False)
    assert kept(True, True) == ({"a", "b", "y", "axis"}, True)


def test_a_node_of_a_linear_operation_keeps_its_parameters() -> None:
    op = declared(linear=True)
    op.set_rules((lambda g: g, lambda g: g))
    assert op.saves((True, True)) == ((False,) * 6 + (True, True), True)


# What is derived from the rules.


def test_an_input_without_a_rule_is_constant_and_rules_of_entries_are_zero_safe() -> None:
    op = Operation("scaled", np.multiply, ("a", "b"), {}, pointwise=True)
    op.set_rules((None, lambda g, a: g * a))
    assert op.differentiable
    assert op.constant_inputs == (0,)
    assert op.rules[1].zero_safe is product_of_entries


def test_a_linear_operation_is_applied_to_tangents_zeros_and_constant_inputs() -> None:
    op = Operation("chosen", np.where, ("condition", "a", "b"), {}, linear=True)
    op.set_rules((None, lambda g, condition: g, lambda g, b_shape: g))
    saved = (np.array([True, False]), None, None, None, None, None, (2,))
    np.testing.assert_array_equal(op.applied({1: np.array([5.0, 7.0])}, saved), [5.0, 0.0])
    np.testing.assert_array_equal(op.applied({2: np.array([5.0, 7.0])}, saved), [0.0, 7.0])


def test_a_name_is_declared_once_but_by_the_same_source() -> None:
    declared()
    declared()  # as when a cell of a notebook runs again
    with pytest.raises(ValueError, match="an operation named 'weighed' is declared already; choose another name"):
        Operation("weighed", np.add, ("a", "b"), {})
    Operation("added", np.add, ("a", "b"), {})
    with pytest.raises(ValueError, match="choose another name"):
        Operation("added", np.subtract, ("a", "b"), {})
