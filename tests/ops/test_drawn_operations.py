"""Every operation against every property on calls that Hypothesis draws: shapes, axes, indices, parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn import CALLS, EXAMPLES, SINGULAR_AT_ORIGIN, cases
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from references import FUNCTIONS, cofactor_slopes, sinc_integral
from rings import sampled

from tinygrad_nn.engine.operation import OPERATIONS
from tinygrad_nn.tensor.declaring import COMPOSITES
from tinygrad_nn.testing import PROPERTIES, planted_rule

OF_CALLS = {"keywords", "counted arguments", "errors"}  # whose numbers and shapes don't matter


def test_every_operation_has_calls_to_draw() -> None:
    assert set(CALLS) == {*FUNCTIONS, *COMPOSITES}


def hold(name: str, data: Any) -> None:
    case = data.draw(cases(name, data.draw(st.sampled_from(["float64", "float32"]))))
    for check, held in PROPERTIES.items():
        if check not in OF_CALLS and (check, name) != ("complex step", "pseudo_inverse"):  # LAPACK's SVD isn't analytic
            held(case)


@pytest.mark.parametrize("name", sampled(list(CALLS), 4, seed=1))
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_properties_hold_on_drawn_calls(name: str, data: Any) -> None:
    hold(name, data)


# ---- differences and references are to be more exact than what they judge ----


@pytest.mark.parametrize("name", sorted(SINGULAR_AT_ORIGIN))
@settings(max_examples=25)
@given(data=st.data())
def test_no_pair_is_drawn_next_to_a_singularity(name: str, data: Any) -> None:
    a, b = data.draw(cases(name)).leaves
    assert np.hypot(a, b).min(initial=1) > 0.3


@pytest.mark.parametrize("x", [1e-8, 1e-4, 1e-3])
def test_the_reference_of_the_slope_of_sinc_keeps_its_digits_next_to_0(x: float) -> None:
    z = (np.pi * x) ** 2
    series = -(np.pi**2) * x / 3 * (1 - z / 10 * (1 - z / 28))
    np.testing.assert_allclose(sinc_integral(np.array(x), 1), series, rtol=4e-15)


def test_the_reference_of_the_slopes_of_cofactors_adds_no_large_numbers() -> None:
    a, e = np.array([[1e-9, 2e-9], [3e-9, -1e-9]]), np.array([[1.0, 0.25], [-0.5, 2.0]])
    np.testing.assert_array_equal(cofactor_slopes(a, e), [[2.0, 0.5], [-0.25, 1.0]])
    a, e = np.diag([1e8, 1.0, 1.0]), np.diag([1.0, 3.0, 5.0])
    np.testing.assert_array_equal(cofactor_slopes(a, e), np.diag([8.0, 5e8 + 1, 3e8 + 1]))


# ---- what is wrong on some shapes only, or in one precision, is noticed ----


def noticed(name: str) -> bool:
    @settings(max_examples=50, phases=[Phase.generate])
    @given(data=st.data())
    def judge(data: Any) -> None:
        hold(name, data)

    try:
        judge()
    except Exception as error:
        return repr(name) in str(error) or name in "".join(getattr(error, "__notes__", []))
    return False


WRONG: dict[str, tuple[str, str, Any]] = {
    "of three axes": ("permute", "x", lambda g, axes: np.transpose(g, axes)),
    "of stretched operands": ("multiply", "b", lambda g, a: g * np.max(a, axis=-1, keepdims=True) if a.ndim else g * a),
    "of duplicate indices": ("getitem", "x", lambda g, x_shape, index: assigned(g, x_shape, index)),
    "of a running sum along another axis": ("running_total", "x", lambda g, axis: np.flip(np.cumsum(np.flip(g)))),
}


def assigned(g: Any, shape: Any, index: Any) -> Any:
    y = np.zeros(shape)
    y[index] = g
    return y


@pytest.mark.parametrize("mistake", WRONG)
def test_a_rule_wrong_on_some_calls_is_noticed(mistake: str) -> None:
    name, argument, rule = WRONG[mistake]
    with planted_rule(name, argument, rule):
        assert noticed(name), f"a rule wrong {mistake} passes"


@pytest.mark.parametrize(("name", "parameter"), [("largest", "axis"), ("total", "axis"), ("permute", "axes")])
def test_parameters_that_are_not_normalised_are_noticed(
    name: str, parameter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPERATIONS[name].normalise, parameter, lambda value, inputs: value)
    assert noticed(name)


def test_a_result_that_is_wrong_in_single_precision_only_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    op = OPERATIONS["logsumexp"]
    right = op.forward

    def rounded(x: Any, **parameters: Any) -> Any:
        y = right(x, **parameters)
        return y.astype(np.float16).astype(y.dtype) if y.dtype == np.float32 else y

    monkeypatch.setattr(op, "forward", rounded)
    assert noticed("logsumexp")
