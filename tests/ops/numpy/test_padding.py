"""Padding in every mode: its values by an oracle, slopes of first and second order, and what it refuses."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from by_folds import pad
from hypothesis import assume, given
from rings import sampled
from shapes import FULL, drawn, same
from slopes import derivative, leaf

import tinygrad_nn as tg

NUMPY: Any = np  # for calls that its types refuse


MODES: list[tuple[str, dict[str, Any]]] = [
    ("constant", {}),
    ("constant", {"constant_values": 1.5}),
    ("edge", {}),
    ("wrap", {}),
    ("reflect", {}),
    ("reflect", {"reflect_type": "odd"}),
    ("symmetric", {}),
    ("symmetric", {"reflect_type": "odd"}),
    ("linear_ramp", {}),
    ("linear_ramp", {"end_values": (1.0, -2.0)}),
    ("mean", {}),
    ("mean", {"stat_length": 2}),
    ("maximum", {"stat_length": (1, 2)}),
    ("minimum", {}),
]


@pytest.mark.parametrize("how", sampled(MODES, 3, seed=1))
@given(shape=FULL, data=st.data())
def test_pad(how: tuple[Any, dict[str, Any]], shape: tuple[int, ...], data: st.DataObject) -> None:
    mode, options = how
    widths = [data.draw(st.tuples(st.integers(0, 7), st.integers(0, 5))) for _ in shape]
    if len(shape) == 3:
        widths = [(before % 2, after % 2) for before, after in widths]
    (x,) = drawn(shape)
    known, expected = np.pad(x, widths, mode, **options), pad(x, widths, mode, **options)
    y: Any = np.pad(leaf(x), widths, mode, **options)
    np.testing.assert_allclose(y.data, expected, rtol=1e-13, atol=1e-13)
    assert (y.shape, y.dtype) == (known.shape, known.dtype)
    if mode in ("maximum", "minimum") and any(map(sum, widths)):
        return  # what is padded is an extreme again: every later axis ties
    assume(expected.size <= 150)
    same(lambda t: np.pad(t, widths, mode, **options), shape)


def test_pad_by_a_median_and_by_extremes() -> None:
    for mode in ("median", "maximum", "minimum"):
        same(lambda t: np.pad(t, (2, 1), mode), (3,))  # noqa: B023
        same(lambda t: np.pad(t, ((0, 0), (2, 1)), mode, stat_length=2), (2, 4))  # noqa: B023


def test_pad_widths_in_all_their_forms() -> None:
    x = leaf(np.arange(6.0).reshape(2, 3))
    forms: Any = (2, (1, 2), [[1], [2]], ((1, 2), (3, 0)), np.array([[1, 0]]), {-1: (1, 2)}, {0: 1}, tg.tensor([1, 2]))
    widths: Any
    for widths in forms:
        plain: Any = widths.data if isinstance(widths, tg.Tensor) else widths
        if isinstance(plain, dict):
            named: dict[int, Any] = plain
            plain = [np.broadcast_to(named.get(i, named.get(i - 2, 0)), 2) for i in range(2)]
        np.testing.assert_array_equal(np.pad(x, widths).data, pad(x.data, plain))


def test_padding_values_may_be_tensors() -> None:
    x, v = leaf(np.ones((1, 2))), leaf([[10.0, 20.0], [30.0, 40.0]])
    y = np.pad(x, 1, constant_values=v)
    np.testing.assert_array_equal(y.data, pad(x.data, 1, constant_values=v.data))
    np.testing.assert_array_equal(derivative(y, v, np.ones(y.shape)), [[2, 2], [3, 3]])
    end = leaf(3.0)
    ramp = np.pad(leaf([1.0]), (0, 2), "linear_ramp", end_values=end)
    assert ramp.tolist() == [1.0, 2.0, 3.0]
    assert derivative(ramp.sum(), end).item() == 1.5
    nested = NUMPY.pad(leaf([1.0]), 1, constant_values=(end, 5.0))
    assert nested.tolist() == [3.0, 1.0, 5.0]
    assert nested.requires_grad


def test_odd_mirrors_go_on_as_a_line_does() -> None:
    line = leaf([0.0, 1.0])
    np.testing.assert_array_equal(np.pad(line, (3, 4), "reflect", reflect_type="odd").data, np.arange(-3.0, 6.0))
    twice = [-2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3, 3]
    np.testing.assert_array_equal(np.pad(line, 5, "symmetric", reflect_type="odd").data, twice)


def test_an_infinite_edge_reflected_oddly_does_not_spread() -> None:
    x = np.array([1.0, 2.0, np.inf])
    with np.errstate(invalid="ignore"):
        expected = pad(x, (2, 0), "reflect", reflect_type="odd")
    np.testing.assert_array_equal(np.pad(leaf(x), (2, 0), "reflect", reflect_type="odd").data, expected)


def test_integers_are_padded_as_numpy_pads_them() -> None:
    x = np.arange(5)
    for mode in ("mean", "linear_ramp", "reflect", "median"):
        y = np.pad(tg.tensor(x), 2, mode)
        assert (y.shape, y.dtype) == ((9,), x.dtype)
        np.testing.assert_array_equal(y.data, pad(x, 2, mode))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: np.pad(x, 1, lambda *_: None), TypeError, "pad by a function"),
        (lambda x: NUMPY.pad(x, 1, "mirror"), ValueError, "mode must be one of constant, "),
        (lambda x: np.pad(x, 1, "edge", constant_values=2), TypeError, r"unexpected keyword .*constant_values"),
        (lambda x: np.pad(x, -1), ValueError, "can't be negative; to take entries away, use a slice"),
        (lambda x: NUMPY.pad(x, 1.5), TypeError, "counts entries, so it must be integers"),
        (lambda x: np.pad(x[:0], 1, "edge"), ValueError, "can't extend empty axis 0"),
        (
            lambda x: NUMPY.pad(x, 1, "reflect", reflect_type="weird"),
            ValueError,
            "reflect_type must be 'even' or 'odd'",
        ),
        (lambda x: np.pad(x, 1, "maximum", stat_length=0), ValueError, "zero-size array"),
    ],
)
def test_what_pad_refuses(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call(leaf(np.ones(3)))
    assert any("'pad'" in note for note in caught.value.__notes__)
