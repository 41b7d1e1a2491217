"""What the operations are held against: folds that are right on any processor, and never NumPy's own function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from by_folds import METHODS, accumulated, between, fold
from looped import LOOPS, MOVES, looped
from references import FUNCTIONS, REFERENCES, function_of

from tinygrad_nn.tensor.declaring import COMPOSITES
from tinygrad_nn.testing import numpy_functions

ROW = [1.1, 0.7, 1.9, 1.3]


def test_folds_go_from_left_to_right() -> None:
    """NumPy's own of these two are wrong on some processors."""
    power = 1.179147006089997
    angle = math.atan2(math.atan2(math.atan2(1.1, 0.7), 1.9), 1.3)
    for ufunc, whole in ((np.power, power), (np.arctan2, angle)):
        for found in (fold(ufunc, ROW), accumulated(ufunc, ROW)[-1], between(ufunc, ROW, [0])[0]):
            assert float(found) == pytest.approx(whole, rel=1e-15)
    assert fold(np.subtract, [[9.0, 4.0, 1.0]], axis=-1, keepdims=True).tolist() == [[4.0]]
    assert fold(np.add, ROW, where=[True, False, False, True], initial=0.5) == 0.5 + 1.1 + 1.3


@pytest.mark.parametrize("function", [np.sum, np.argmax, np.linalg.inv, np.apply_along_axis])
def test_a_looped_array_calls_the_loops(function: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOOPS, function, lambda *arguments, **parameters: 7)
    arguments = [np.sort, 0] if function is np.apply_along_axis else []
    assert looped(lambda x: function(*arguments, x))(np.eye(2)) == 7
    if hasattr(np.ndarray, function.__name__):
        assert looped(lambda x: getattr(x, function.__name__)())(np.eye(2)) == 7


def test_a_looped_array_folds_and_multiplies_by_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "reduce", lambda *arguments, **parameters: 7)
    monkeypatch.setitem(LOOPS, np.matmul, lambda *arguments, **parameters: 8)
    assert looped(lambda x: np.maximum.reduce(x))(np.eye(2)) == 7
    assert looped(lambda x: x @ x)(np.eye(2)) == 8


@pytest.mark.parametrize("function", [np.histogram, np.fft.fft, np.setdiff1d])
def test_a_looped_array_refuses_what_has_no_loops(function: Any) -> None:
    arguments = [np.eye(2)] if function is np.setdiff1d else []
    with pytest.raises(NotImplementedError, match="has no loops here"):
        looped(lambda x: function(x, *arguments))(np.eye(2))


def test_no_operation_is_held_against_the_function_that_it_stands_for() -> None:
    """But those that act entry by entry, or move entries."""
    for name in [*FUNCTIONS, *COMPOSITES]:
        known = [f for f in numpy_functions(function_of(name)) if getattr(f, "signature", "") is not None]
        assert not known or {f.__name__ for f in known} & MOVES or set(known) & LOOPS.keys(), name
    assert not {name for name, reference in REFERENCES.items() if reference in LOOPS}
