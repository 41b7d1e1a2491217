"""Every operation, on every sample: its value, gradient and second derivative, compiled, are what they are eagerly.

The quick ring takes a third of the cases, the slow one the rest.
"""

from __future__ import annotations

import pytest
from orders import EVERY, answer, moved, orders
from rings import sampled_by_name
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.testing import Case

SINGULAR = {"matrix_norm", "nanstd", "norm", "std", "vander", "vector_norm"}  # 0 * inf: each call runs the function


def wrong_orders(case: Case) -> list[str]:
    """Return what differs between compiled and eager, and where no program was made though one could be."""
    found = []
    for order, function in orders(case).items():
        compiled = tg.compile(function, exact=True)
        for number, arrays in enumerate(moved(case)):
            expected = answer(function, arrays)
            if not same(answer(compiled, arrays), expected):
                found.append(case.fails(f"the {order} at point {number} differs from the eager one"))
        raises = isinstance(answer(function, case.leaves), str)
        if not (compiled.programs or raises or case.name in SINGULAR):
            found.append(case.fails(f"the {order} has no program"))
    return found


@pytest.mark.parametrize("cases", sampled_by_name(EVERY, share=8, seed=5))
def test_compiled_equals_eager(cases: list[Case]) -> None:
    assert [wrong for case in cases for wrong in wrong_orders(case)] == []
