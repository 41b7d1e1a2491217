"""Splitting: NumPy's pieces and their slopes, or an error with the remedy."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from shapes import SHAPES, axis_of, drawn
from slopes import leaf

import tinygrad_nn as tg
from tinygrad_nn.testing import check_agreement as check


@given(shape=SHAPES, sections=st.integers(1, 4), data=st.data())
def test_array_split(shape: tuple[int, ...], sections: int, data: st.DataObject) -> None:
    axis = axis_of(data, shape)
    indices = data.draw(st.lists(st.integers(-4, 5), max_size=3))
    for parts in (sections, indices):
        check(
            lambda x: tg.array_split(x, parts, axis),  # noqa: B023
            lambda x: np.array_split(x, parts, axis),  # noqa: B023
            drawn(shape),
        )


def test_equal_pieces_or_an_error_that_names_array_split() -> None:
    x = leaf(np.ones((4, 2, 6)))
    pieces = [np.split(x, 2), np.hsplit(x, 2), np.vsplit(x, 4), np.dsplit(x, [1, 5])]
    assert [[p.shape for p in ps] for ps in pieces] == [
        [(2, 2, 6)] * 2, [(4, 1, 6)] * 2, [(1, 2, 6)] * 4, [(4, 2, 1), (4, 2, 4), (4, 2, 1)],
    ]  # fmt: skip
    with pytest.raises(ValueError, match="length 4 has no 3 equal pieces; use array_split"):
        np.split(x, 3)
    with pytest.raises(ValueError, match="1 piece or more, not 0"):
        np.split(x, 0)
    with pytest.raises(ValueError, match=r"vsplit needs a tensor with 2 or more axes, got shape \(3,\)"):
        np.vsplit(leaf(np.ones(3)), 1)
