"""NumPy's functions without a derivative take tensors by keyword."""

import numpy as np

import tinygrad_nn as tg


def test_numpy_functions_without_a_derivative_take_tensors_by_keyword() -> None:
    t = tg.tensor([1.0, 2.0], requires_grad=True)
    assert np.allclose(a=t, b=t)
    assert np.shape(a=t) == (2,)
    assert np.isclose(t, b=t).all()
