"""Every operation, on every sample: its value, gradient and second derivative, compiled, are what they are eagerly.

The quick profile takes a third of the cases, drawn once; the deep one takes all.
"""

from __future__ import annotations

import random

import pytest
from orders import DEEP, EVERY, answer, moved, orders
from same_bits import same

import tinygrad_nn as tg
from tinygrad_nn.testing import Case

SINGULAR = {"matrix_norm", "nanstd", "norm", "std", "vector_norm"}  # 0 * inf: each call runs the function itself
CHOSEN = EVERY if DEEP else random.Random(5).sample(EVERY, len(EVERY) // 3)
BY_NAME: dict[str, list[Case]] = {}
for _case in CHOSEN:
    BY_NAME.setdefault(_case.name, []).append(_case)


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


@pytest.mark.parametrize("name", BY_NAME)
def test_compiled_equals_eager(name: str) -> None:
    assert [wrong for case in BY_NAME[name] for wrong in wrong_orders(case)] == []
