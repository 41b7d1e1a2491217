"""check_agreement: a disagreement is told."""

from typing import Any

import numpy as np
import pytest

import tinygrad_nn as tg


@pytest.mark.parametrize(
    ("function", "reference", "match"),
    [
        (lambda x: x * 2, lambda x: x * 2.5, "is not the reference's"),
        (lambda x: tg.sum(x), lambda x: x, r"results have shapes \[\(\)\], the reference's \[\(2,\)\]"),
        (lambda x: x * x.data, lambda x: x * x, "gradient of input 0 is .* by central differences"),
        (lambda x: x.detach() * (x * 2 - x.detach()), lambda x: x * x, "second order of input 0 is \\["),
    ],
    ids=["value", "shape", "gradient", "second order"],
)
def test_disagreement_is_told(function: Any, reference: Any, match: str) -> None:
    with pytest.raises(AssertionError, match=match):
        tg.testing.check_agreement(function, reference, [np.array([0.5, -1.5])])
