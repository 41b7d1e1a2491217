"""Every operation against every property on calls that Hypothesis draws: shapes, axes, indices, parameters."""

from __future__ import annotations

from typing import Any

import pytest
from drawn_cases import CALLS, cases
from hypothesis import given, settings
from hypothesis import strategies as st
from references import FUNCTIONS

from tinygrad_nn.primitive import COMPOSITES
from tinygrad_nn.testing import PROPERTIES

OF_CALLS = {"keywords", "counted arguments", "errors"}
EXAMPLES = settings().max_examples // 10


def test_every_operation_has_calls_to_draw() -> None:
    assert set(CALLS) == {*FUNCTIONS, *COMPOSITES}


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_properties_hold_on_drawn_calls(name: str, data: Any) -> None:
    case = data.draw(cases(name, data.draw(st.sampled_from(["float64", "float32"]))))
    for check in PROPERTIES.keys() - OF_CALLS:
        PROPERTIES[check](case)
