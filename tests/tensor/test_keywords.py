"""NumPy's functions without a derivative take tensors by keyword."""

import numpy as np
import pytest

import tinygrad_nn as tg


def test_numpy_functions_without_a_derivative_take_tensors_by_keyword() -> None:
    t = tg.tensor([1.0, 2.0], requires_grad=True)
    assert np.allclose(a=t, b=t)
    assert np.shape(a=t) == (2,)
    assert np.isclose(t, b=t).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("ufunc", [np.add, np.power, np.maximum])
def test_a_python_number_has_the_dtype_that_a_ufunc_is_asked_for(ufunc: np.ufunc, dtype: type) -> None:
    x = np.array([1, 2], np.uint8)
    found, right = ufunc(tg.tensor(x), 2, dtype=dtype), ufunc(x, 2, dtype=dtype)
    assert found.dtype == right.dtype
    np.testing.assert_array_equal(found.data, right)


def test_a_dtype_that_is_not_recorded_is_given_afterwards() -> None:
    with pytest.raises(TypeError, match=r"y = np\.stack\(\.\.\.\)\.astype\(dtype\)"):
        np.stack([tg.ones(2)], dtype=np.float32)
