"""A function of Tensors compared with one of arrays, cheaply enough for every example that Hypothesis draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..tensor.handle import Tensor
from .case import listed
from .derivatives import check_gradient, check_second_order
from .samples import build

Function = Callable[..., Any]


def check_agreement(function: Function, reference: Function, arrays: Sequence[Any], exact: bool = True) -> None:
    """Check values against the reference's, and first and second derivatives against differences of values.

    Values have to be equal, or, with `exact=False`, close; both functions may return several results. Arrays are
    float64. Raises AssertionError if anything differs.

    >>> import numpy as np
    >>> import tinygrad_nn as tg
    >>> tg.testing.check_agreement(lambda x, y: x.T * y, lambda x, y: x.T * y, [np.eye(3), np.ones((3, 3))])
    """
    outputs = listed(function(*[Tensor(x, requires_grad=True) for x in arrays]))
    expected = [np.asarray(y) for y in listed(reference(*arrays))]
    shapes = [y.shape for y in outputs], [y.shape for y in expected]
    assert shapes[0] == shapes[1], f"the results have shapes {shapes[0]}, the reference's {shapes[1]}"
    for y, e in zip(outputs, expected):
        same = np.array_equal(y.data, e) if exact else np.allclose(y.data, e, 1e-13, 1e-13)  # for inputs near 1
        assert same, f"{y.data} is not the reference's {e}"
    case = replace(build("of the test", function, list(arrays), {}, "as given"), drawn=True)
    check_gradient(case)
    check_second_order(case)
